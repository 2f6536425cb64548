"""cocotb testbenches and their agents."""
