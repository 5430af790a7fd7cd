"""Keeping machine paths out of a run directory, and finding inputs again without them."""

from __future__ import annotations

import getpass
import itertools
import json
import os
import platform
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sciinf.core.errors import ConfigError
from sciinf.core.fingerprint import sha256_of, sha256_of_file
from sciinf.core.user_paths import user_path, what_is_at
from sciinf.results.run_log import scrub

__all__ = [
    "HashedPath",
    "find_by_hash",
    "is_absolute",
    "portable_text",
    "relative_folder",
    "sha256_of_path",
    "split_suffix",
    "strings_of",
]

_MAX_FILES = 10_000


def is_absolute(text: str) -> bool:
    r"""Whether a string is an absolute path on some platform, or begins at a home folder.

    Examples
    --------
    >>> [is_absolute(text) for text in ("/data/planck", "~/planck", "C:\\data", "../data", "km/s/Mpc")]
    [True, True, True, False, False]
    """
    if len(text) < 2 or "\n" in text:
        return False
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or text.startswith(("~", "file:///"))


@dataclass(frozen=True)
class HashedPath:
    """What stands in a copied config in the place of an absolute path: the key and the content's sha256.

    ``suffix`` is what follows the path in the value: the ``:NAME`` of ``FILE.py:NAME``.
    """

    key: str
    sha256: str
    suffix: str = ""

    def __str__(self) -> str:
        return f"<{self.key} sha256:{self.sha256}>{self.suffix}"

    @classmethod
    def parse(cls, text: str) -> HashedPath | None:
        """The stand-in that ``text`` is, or None."""
        match = re.fullmatch(r"<([\w.-]+) sha256:([0-9a-f]{64}|unknown)>(:\w+)?", text)
        return cls(match.group(1), match.group(2), match.group(3) or "") if match else None

    @classmethod
    def of(cls, key: str, value: str) -> HashedPath:
        """The stand-in for a value that looks like an absolute path; hashed where it is one that the engine reads."""
        path, suffix = split_suffix(value)
        if not key.startswith("engine."):
            return cls(key, "unknown", suffix)
        return cls(key, sha256_of_path(user_path(key, str(path))), suffix)


def split_suffix(value: str) -> tuple[Path, str]:
    """The path in a value, and the ``:NAME`` behind a Python file.

    Examples
    --------
    >>> split_suffix("models/my_model.py:engine")[1], split_suffix("table.txt")[1]
    (':engine', '')
    """
    match = re.fullmatch(r"(.+\.py)(:\w+)", value)
    return (Path(match.group(1)), match.group(2)) if match else (Path(value), "")


def sha256_of_path(path: Path) -> str:
    """sha256 of a file, or of the names and hashes of a folder's files; "unknown" where there is nothing to read, or too much."""
    try:
        if what_is_at(path) == "file":
            return sha256_of_file(path)
        if what_is_at(path) == "folder":
            inside = list(itertools.islice(path.rglob("*"), _MAX_FILES + 1))
            if len(inside) <= _MAX_FILES:
                files = [item for item in sorted(inside) if what_is_at(item) == "file"]
                return sha256_of({item.relative_to(path).as_posix(): sha256_of_file(item) for item in files})
    except OSError:  # a file that may not be read
        pass
    return "unknown"


def strings_of(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(dotted key path, value) of every string in nested tables and arrays."""
    if isinstance(content, str):
        yield ".".join(path), content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from strings_of(value, (*path, str(key)))
    elif isinstance(content, list):
        for i, value in enumerate(content):
            yield from strings_of(value, (*path, str(i)))


def portable_text(text: str, source: str) -> tuple[str, tuple[HashedPath, ...]]:
    """The config text as it may stand in a run directory, and the stand-ins put in.

    The text is returned as it is where it holds no absolute path, comments included. Otherwise every string that is an absolute path
    becomes a `HashedPath`, and paths inside comments or other text are cut by `scrub`.

    Raises
    ------
    ConfigError
        If a path cannot be replaced without changing something else.
    """
    content = tomllib.loads(text)
    stand_ins: dict[str, HashedPath] = {}
    for key, value in strings_of(content):
        if is_absolute(value) and value not in stand_ins:
            stand_ins[value] = HashedPath.of(key, value)
    result = text
    for value, stand_in in stand_ins.items():
        for written in (json.dumps(value, ensure_ascii=False), f"'{value}'"):
            result = result.replace(written, f'"{stand_in}"')
    result = scrub(result)
    if result == text:
        return text, ()
    expected = {key: str(stand_ins[value]) if value in stand_ins else scrub(value) for key, value in strings_of(content)}
    if _strings_in(result) != expected:
        raise ConfigError(
            f"{source}: cannot copy this config without its absolute paths ({', '.join(item.key for item in stand_ins.values())}). "
            "Write them as plain one-line strings, or relative to the config's folder"
        )
    return result, tuple(stand_ins.values())


def _strings_in(text: str) -> dict[str, str] | None:
    """Every string of a TOML text by its key path; None where the text is no TOML."""
    try:
        return dict(strings_of(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        return None


def relative_folder(folder: Path, start: Path) -> str | None:
    """``folder`` seen from ``start``, or None where that would spell out a user's or host's name."""
    try:
        relative = Path(os.path.relpath(folder.resolve(), start.resolve()))
    except ValueError:  # another drive
        return None
    private = {getpass.getuser(), platform.node(), *(part for part in Path.home().parts if len(part) > 1)}
    return None if private & set(relative.parts) else relative.as_posix()


def find_by_hash(sha256: str, folders: Iterable[Path]) -> Path | None:
    """The first file directly in one of the ``folders`` whose content has this sha256."""
    for folder in folders:
        if what_is_at(folder) == "folder":
            for item in sorted(folder.iterdir()):
                if what_is_at(item) == "file" and not item.name.startswith(".") and sha256_of_file(item) == sha256:
                    return item
    return None
