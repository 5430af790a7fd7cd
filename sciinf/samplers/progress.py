"""A progress line on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

_EVERY = 0.2


class Progress:
    """A line that says what a run is doing, redrawn at most five times a second.

    Parameters
    ----------
    title : str
        What runs.
    enabled : bool
        False, or a standard error that is no terminal, shows nothing.
    """

    def __init__(self, title: str, *, enabled: bool) -> None:
        self._title = title
        self._bar: Any = None
        self._task: Any = None
        self._next = float("inf")
        if enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[text]}"), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to `show` again."""
        return time.monotonic() >= self._next

    def show(self, text: str, fraction: float | None = None) -> None:
        """Redraw with ``text``; ``fraction`` of the work done, where it is known."""
        if self._bar is not None:
            self._bar.update(self._task, text=text, total=None if fraction is None else 1.0, completed=fraction or 0.0)
            self._next = time.monotonic() + _EVERY

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None, text="starting")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
