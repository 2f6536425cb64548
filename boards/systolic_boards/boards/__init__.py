"""Boards, one a file: ``BOARDS`` is the board with each of its matrix units, a :class:`.Board` each."""
