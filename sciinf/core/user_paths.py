"""Paths that a user writes: expanded, and looked at, without an error of the system's getting through."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from sciinf.core.errors import ConfigError, shown

__all__ = ["user_path", "what_is_at"]


def user_path(where: str, text: str) -> Path:
    """The path that ``text`` writes, a leading ``~`` expanded.

    Parameters
    ----------
    where : str
        What names the path, for the message.
    text : str
        As the user wrote it.

    Raises
    ------
    ConfigError
        If it holds the character NUL, which no path can, or begins at a user's home that does not exist.

    Examples
    --------
    >>> user_path("run.output", "out/a").as_posix()
    'out/a'
    """
    if "\0" in text:
        raise ConfigError(f"{where} must be a path, got {shown(text)}: no path can hold the character NUL. Take it out")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{where} must be a path, got {shown(text)}: there is no such home folder. Write './~...' for a name that begins with ~"
        ) from error


def what_is_at(path: Path) -> Literal["file", "folder", "other", ""]:
    """What stands at ``path``; "" where nothing does, or where it cannot be looked at (a name too long, a folder that is closed).

    Examples
    --------
    >>> what_is_at(Path("/")), what_is_at(Path("x" * 5000))
    ('folder', '')
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "other"
