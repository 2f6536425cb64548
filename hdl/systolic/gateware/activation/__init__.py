"""The activation unit: requantisation, pooling, addition, lookup."""
