"""Passes: each a pure function of a graph.

::

    fold ──▶ order ──▶ place ──▶ segments ──▶ lowering
"""

from .fold import fold
from .order import order
from .place import place
from .segments import Segment, segment, segments

__all__ = ["Segment", "fold", "order", "place", "segment", "segments"]
