"""A progress bar for what takes more than a second."""

import contextlib
import logging
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

__all__ = ["progress_bar", "shown_on"]


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on standard error, if that is a terminal; gives the function to call with what is done of how much."""
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(console=console, transient=True, disable=not shown_on(console)) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def shown_on(console: rich.console.Console) -> bool:
    """Whether progress is to be shown there: on a terminal, unless the command was asked to be quiet."""
    return console.is_terminal and logging.getLogger("systolic").isEnabledFor(logging.WARNING)
