"""Where the cycles of a compiled model go, layer by layer, from the cycle model."""
