"""Named columns of a comma-separated file."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.core.user_paths import what_is_at

__all__ = ["read_columns"]


def read_columns(path: Path, names: Mapping[str, str | None], labels: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Named columns of a comma-separated file with a header, gzipped or not.

    Parameters
    ----------
    path : Path
        The file, UTF-8.
    names : dict of str to str
        Column by role; a role without a column is left out.
    labels : sequence of str
        Roles whose column is integers or text; all others are numbers.

    Returns
    -------
    dict of str to array
        By column name.

    Raises
    ------
    ConfigError
        If a column is missing; names the nearest.
    DataError
        If the file cannot be read or a field is not a number; names file, line and column.
    """
    if what_is_at(path) != "file":
        raise DataError(f"{path.name}: no such file")
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name}: cannot be read as comma-separated text ({error})") from error
    header = [name.strip() for name in rows[0]] if rows else []
    body = [(i + 2, row) for i, row in enumerate(rows[1:]) if row]
    for line, row in body:
        if len(row) != len(header):
            raise DataError(f"{path.name}, line {line}: {len(row)} fields, the header has {len(header)}")
    found: dict[str, NDArray[Any]] = {}
    for role, name in names.items():
        if name is None:
            continue
        if name not in header:
            raise ConfigError(f"{path.name} has no column {shown(name)} ({role}): {nearest_names(name, header)}")
        place = header.index(name)
        fields = [(line, row[place].strip()) for line, row in body]
        found[name] = _labels([field for _, field in fields]) if role in labels else _numbers(path.name, name, fields)
    return found


def _labels(fields: Sequence[str]) -> NDArray[Any]:
    """Integers where every field is written as one is, else text: "01" and "1", or "1_000" and "1000", are different labels."""
    try:
        found = np.array([int(field) for field in fields], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(fields, dtype=np.str_)
    return found if found.astype(np.str_).tolist() == list(fields) else np.array(fields, dtype=np.str_)


def _numbers(file: str, column: str, fields: Sequence[tuple[int, str]]) -> NDArray[np.float64]:
    out = np.empty(len(fields))
    for i, (line, field) in enumerate(fields):
        try:
            out[i] = float(field)
        except ValueError:
            raise DataError(f"{file}, line {line}: {column} must be a number, got {shown(field)}") from None
        if not math.isfinite(out[i]):
            raise DataError(f"{file}, line {line}: {column} must be finite, got {shown(field)}")
    return out
