"""Generated Verilog as compiled models that Python drives."""
