"""Building blocks that know nothing of a TPU."""
