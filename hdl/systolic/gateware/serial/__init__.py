"""A TPU on a serial line: for boards without another way to a host."""
