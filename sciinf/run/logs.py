"""The run's log file: times, warnings and tracebacks, without the machine's paths."""

from __future__ import annotations

import contextlib
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TextIO

from sciinf.run.paths import scrub

__all__ = ["PortableFormatter", "run_log"]

_log = logging.getLogger("sciinf")


class PortableFormatter(logging.Formatter):
    """One line per record; tracebacks as ``module:line in function``; absolute paths cut."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name is logging's)
        """The traceback cut to module and line."""
        error: BaseException | None = ei[1]
        parts: list[str] = []
        while error is not None:
            frames = [_frame(*place) for place in _walk(error.__traceback__)]
            parts.insert(0, "\n".join([*frames, "".join(traceback.format_exception_only(error)).strip()]))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused:\n".join(parts)

    def format(self, record: logging.LogRecord) -> str:
        """The record as text without absolute paths."""
        return scrub(super().format(record))


def _frame(frame: FrameType, line: int) -> str:
    return f"  {frame.f_globals.get('__name__', '?')}:{line} in {frame.f_code.co_name}"


def _walk(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Append the package's log and every warning to ``path`` while the block runs; an error that leaves it is logged."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(PortableFormatter())
    level, show = _log.level, warnings.showwarning

    def showwarning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
    ) -> None:
        _log.warning("%s: %s", category.__name__, message)
        show(message, category, filename, lineno, file, line)

    _log.addHandler(handler)
    _log.setLevel(min(level, logging.INFO) if level else logging.INFO)
    warnings.showwarning = showwarning
    try:
        yield
    except BaseException as error:
        _log.error("%s", type(error).__name__, exc_info=True)
        raise
    finally:
        if warnings.showwarning is showwarning:
            warnings.showwarning = show
        _log.setLevel(level)
        _log.removeHandler(handler)
        handler.close()
