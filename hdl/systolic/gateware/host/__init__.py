"""What the host sees: control registers and counters."""
