"""A whole TPU on a board, driven over its serial line."""
