"""A progress bar for what takes more than a second."""

import contextlib
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on standard error, if that is a terminal; gives the function to call with what is done of how much."""
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
