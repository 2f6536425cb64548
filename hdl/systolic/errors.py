"""Errors that the user can mend, and the checks of parameters that raise them."""

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "UserError", "did_you_mean", "require", "require_int", "require_one_of"]


class UserError(Exception):
    """What the user can mend; the command prints the message in place of a traceback."""


class ConfigError(UserError, ValueError):
    """A parameter outside what is allowed; the message names it, its value and the range."""


def require(condition: bool, parameter: str, allowed: str, value: object) -> None:
    """Raise ConfigError, "<parameter> must be <allowed>, not <value>", unless the condition holds."""
    if not condition:
        raise ConfigError(f"{parameter} must be {allowed}, not {value!r}")


def require_int(parameter: str, value: object, low: int, high: int | None = None, reason: str = "") -> None:
    """Raise ConfigError unless the value is an integer from ``low`` to ``high``, or at least ``low``.

    The message names the range and ends it with ``reason``. A bool is not an integer.
    """
    allowed = f"an integer from {low} to {high}" if high is not None else \
              "a positive integer" if low == 1 else f"an integer of at least {low}"
    require(isinstance(value, int) and not isinstance(value, bool) and value >= low
            and (high is None or value <= high), parameter, allowed + reason, value)


def require_one_of(parameter: str, choices: Iterable[str], value: object) -> None:
    """Raise ConfigError unless the value is one of these names; the message lists them, and the one most like it."""
    names = list(choices)
    if value not in names:
        raise ConfigError(f"{parameter} must be one of {', '.join(names)}, not {value!r}"
                          f"{did_you_mean(value, names)}")


def did_you_mean(value: object, names: Iterable[str]) -> str:
    """``: did you mean NAME?`` for the name most like the value; empty if none is, or the value is no text."""
    close = difflib.get_close_matches(value, list(names), n=1) if isinstance(value, str) else []
    return f": did you mean {close[0]}?" if close else ""
