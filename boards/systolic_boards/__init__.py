"""Boards the engine runs on: one board, one module."""
