"""Amaranth components: one box of the block diagram per module."""
