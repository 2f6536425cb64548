"""Passes: each a pure function of a graph.

::

    fold ──▶ place ──▶ segments ──▶ lowering
"""

from .fold import fold
from .place import place
from .segments import Segment, segments

__all__ = ["Segment", "fold", "place", "segments"]
