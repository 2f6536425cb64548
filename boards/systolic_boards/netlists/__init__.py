"""Netlists in place of their designs: what synthesis makes of them, simulated."""
