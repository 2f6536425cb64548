"""The claims about what hardware does under stress, each on the compiled TPU: long runs whose parts are kept, so that
what was interrupted resumes.

Functions as in :mod:`systolic_sim.claims.matrix_unit`.
"""

from systolic_sim.claims.oracles import oracles
from systolic_sim.claims.soak import soak
from systolic_sim.claims.upsets import resets, unknown_state, upsets

__all__ = ["CLAIMS"]

CLAIMS = {claim.__name__: claim for claim in (soak, unknown_state, resets, upsets, oracles)}
