"""Structures made of the primitives of FPGA families."""
