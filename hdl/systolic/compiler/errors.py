"""What a compiler says to its user."""

from ..errors import UserError

__all__ = ["CompileError"]


class CompileError(UserError, ValueError):
    """What was asked for does not fit the machine; the message names the parameter, its value and what is allowed."""
