"""What is going on, on standard error: live rows on a terminal, one line a finished task elsewhere."""

import logging
import threading

import rich.console
import rich.progress

__all__ = ["Progress"]


class Progress:
    """Context manager that shows named tasks; may be called from several threads.

    Parameters
    ----------
    show : bool
        Whether anything is shown.
    """

    def __init__(self, *, show=True):
        show = show and logging.getLogger("systolic").isEnabledFor(logging.WARNING)
        self._console = rich.console.Console(stderr=True, quiet=not show, soft_wrap=True, highlight=False)
        self._rows = rich.progress.Progress(
            rich.progress.SpinnerColumn(), rich.progress.TextColumn("{task.description:<10}"),
            rich.progress.TimeElapsedColumn(), rich.progress.TextColumn("{task.fields[text]}"),
            console=self._console, transient=True, disable=not (show and self._console.is_terminal))
        self._tasks = {}
        self._lock = threading.Lock()

    def __enter__(self):
        self._rows.start()
        return self

    def __exit__(self, *_):
        self._rows.stop()

    def update(self, name, text):
        """A task is under way; an empty text leaves what it says."""
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._rows.add_task(name, total=None, text=text)
            elif text:
                self._rows.update(self._tasks[name], text=text)

    def finish(self, name, text):
        """A task is over, and what came of it."""
        with self._lock:
            if name in self._tasks:
                self._rows.remove_task(self._tasks.pop(name))
            self._console.print(f"{name}: {text}", markup=False)
