"""Systolic matrix engines: from a small description to Verilog, golden model and bitstream."""
