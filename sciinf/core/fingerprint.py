"""sha256 over values of many kinds, with one unambiguous byte encoding."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.core.errors import DataTypeError

__all__ = ["sha256_of", "sha256_of_file"]


def _encode(value: Any) -> bytes:
    """One value as a tag, a length and its bytes: no two different values share an encoding."""
    if value is None:
        tag, body = b"N", b""
    elif isinstance(value, (bool, np.bool_)):
        tag, body = b"B", b"1" if value else b"0"
    elif isinstance(value, (int, np.integer)):
        tag, body = b"I", str(int(value)).encode()
    elif isinstance(value, (float, np.floating)):
        tag, body = b"F", struct.pack("<d", float(value))
    elif isinstance(value, str):
        tag, body = b"S", value.encode()
    elif isinstance(value, bytes):
        tag, body = b"Y", value
    elif isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiubcS":
            raise DataTypeError(f"an array in a fingerprint must be numeric, got dtype {value.dtype}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        tag, body = b"A", f"{little.dtype.str}{value.shape}".encode() + b":" + little.tobytes()
    elif isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise DataTypeError("a mapping in a fingerprint must have string keys")
        tag, body = b"M", b"".join(_encode(key) + _encode(value[key]) for key in sorted(value))
    elif isinstance(value, (tuple, list)):
        tag, body = b"L", b"".join(_encode(item) for item in value)
    else:
        raise DataTypeError(
            f"a fingerprint takes numbers, strings, bytes, arrays, and lists or dictionaries of these, got {type(value).__name__}"
        )

    return tag + str(len(body)).encode() + b":" + body


def sha256_of(*values: Any) -> str:
    """Hexadecimal sha256 of ``values``: numbers, strings, bytes, None, numeric arrays, lists and dictionaries of these.

    Arrays enter as dtype, shape and little-endian C-order bytes; dictionaries by sorted key. -0.0 and 0.0 differ.

    Raises
    ------
    DataTypeError
        For any other type: an object without a stable byte form cannot be fingerprinted.

    Examples
    --------
    >>> sha256_of("a", 1.0)[:12], sha256_of("a", 1)[:12]
    ('645525925652', '2d604b8a1d3c')
    """
    digest = hashlib.sha256()
    for value in values:
        digest.update(_encode(value))
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
