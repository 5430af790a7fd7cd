"""The run's log file: times, warnings and tracebacks, without the machine's paths."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TextIO

__all__ = ["PortableFormatter", "run_log", "scrub"]

_log = logging.getLogger("sciinf")
_START = r"(?:file://)?(?:/[^\s\"'/`),\]]|~[\w.-]*/|[A-Za-z]:[\\/]{1,2}\w)"
_QUOTED = re.compile(rf"""(?<=(["'`])){_START}[^"'`\n]*(?=\1)""")
_BARE = re.compile(rf"""(?:(?<=^)|(?<=[\s"'=(\[,`:])){_START}[^\s"'`),\]]*""", re.MULTILINE)


def scrub(text: str) -> str:
    """``text`` with every absolute path cut to ``<.../last part>``.

    Examples
    --------
    >>> scrub("cannot read '/somewhere/deep/table.txt' in km/s (https://example.org/a)")
    "cannot read '<.../table.txt>' in km/s (https://example.org/a)"
    """
    return _BARE.sub(_last_part, _QUOTED.sub(_last_part, text))


def _last_part(match: re.Match[str]) -> str:
    """The last part of a matched path, marked as cut."""
    last = re.split(r"[/\\]", match.group().rstrip("/\\"))[-1]
    return f"<.../{last}>"


class _LogFile(logging.FileHandler):
    """A log file that never ends the run: what a full disk does not take is lost, and the run's own error is the one to be seen."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """Print what logging prints, but for errors of the disk."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            super().close()


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
    """Append the package's log and every warning to ``path`` while the block runs; inside another block of the same file, nothing more."""
    place = str(Path(path).resolve())
    if any(isinstance(handler, logging.FileHandler) and handler.baseFilename == place for handler in _log.handlers):
        yield
        return
    handler = _LogFile(place, encoding="utf-8")
    handler.setFormatter(PortableFormatter())
    level, show = _log.level, warnings.showwarning

    def showwarning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
    ) -> None:
        _log.warning("%s: %s", category.__name__, message)
        show(message, category, filename, lineno, file, line)

    _log.addHandler(handler)
    if _log.getEffectiveLevel() > logging.INFO:
        _log.setLevel(logging.INFO)
    warnings.showwarning = showwarning
    try:
        yield
    finally:
        if warnings.showwarning is showwarning:
            warnings.showwarning = show
        _log.setLevel(level)
        _log.removeHandler(handler)
        handler.close()
