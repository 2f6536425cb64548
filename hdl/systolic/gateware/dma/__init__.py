"""Units that move data between memory and the machine."""
