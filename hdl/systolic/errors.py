"""Errors that the user can mend, and the checks of parameters that raise them."""

__all__ = ["ConfigError", "UserError", "require", "require_int"]


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
