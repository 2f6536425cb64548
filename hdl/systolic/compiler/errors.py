"""What a compiler says to its user."""

from ..errors import UserError

__all__ = ["CompileError"]

#: Names in a damaged file may be long.
_MOST = 2000


class CompileError(UserError, ValueError):
    """What was asked for does not fit the machine; the message names the parameter, its value and what is allowed.

    One line, whatever the names in a model are.
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(each if each.isprintable() else "?" for each in text[:_MOST]))
