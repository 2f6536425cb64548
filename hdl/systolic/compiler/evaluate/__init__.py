"""A graph in numpy, with the bits of the runtime that is named: what the host executes, and what models are checked by.

Written from what runtimes compute, not from what the TPU does: that both agree is what tests hold.
"""

from .run import evaluate, execute

__all__ = ["evaluate", "execute"]
