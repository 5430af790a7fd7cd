"""One HDF5 file per posterior: exact, whole or absent, verified when read, never unpickled."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.core.atomic import atomic_path
from sciinf.core.errors import DataError, SciinfError
from sciinf.core.fingerprint import sha256_of
from sciinf.results.posterior import INTEGER_FIELDS, LOG_FIELDS, SCALAR_FIELDS, Posterior

__all__ = ["SCHEMA_VERSION", "load", "save"]

SCHEMA_VERSION = 1
_FORMAT = "sciinf-posterior"
_MAGIC = b"sciinf-posterior-sha256\n"
_USER_BLOCK = 512  # HDF5 leaves the first bytes of a file to the user: they hold the sha256 of all that follows
_ARRAYS = ("samples", "derived", *LOG_FIELDS, *INTEGER_FIELDS)
_TEXTS = ("names", "latex", "units", "derived_names", "derived_latex", "status", "meta")


def save(posterior: Posterior, path: Path | str) -> None:
    """Write ``posterior`` to one HDF5 file, atomically.

    Parameters
    ----------
    posterior : Posterior
        What to write.
    path : path
        The file, replaced if it exists; its folder must exist.

    Raises
    ------
    DataError
        If the folder does not exist.

    Notes
    -----
    Datasets are little-endian float64 or int64 of the fields' names; names, labels, status and meta are one JSON text (UTF-8 bytes).
    Attributes: ``format``, ``schema_version``, ``content_hash``, ``text_hash``. The user block holds a sha256 over the HDF5 part.

    Examples
    --------
    >>> import tempfile
    >>> posterior = Posterior(np.ones((1, 1)), np.zeros(1), np.zeros(1), np.zeros(1), ("x",))
    >>> path = Path(tempfile.mkdtemp()) / "posterior.h5"
    >>> save(posterior, path)
    >>> load(path).content_hash() == posterior.content_hash()
    True
    """
    import h5py

    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path.name}: its folder does not exist. Create it first")
    text = json.dumps({name: getattr(posterior, name) for name in _TEXTS}, sort_keys=True).encode("utf-8")
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", userblock_size=_USER_BLOCK) as file:
            file.attrs["format"] = _FORMAT
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["content_hash"] = posterior.content_hash()
            file.attrs["text_hash"] = sha256_of(text)
            file.create_dataset("text", data=np.frombuffer(text, dtype=np.uint8))
            for name in (*_ARRAYS, *SCALAR_FIELDS):
                value = getattr(posterior, name)
                if value is not None:
                    file.create_dataset(name, data=np.asarray(value, dtype="<i8" if name in INTEGER_FIELDS else "<f8"))
        with temporary.open("rb+") as stream:
            stream.seek(_USER_BLOCK)
            digest = hashlib.file_digest(stream, "sha256").digest()
            stream.seek(0)
            stream.write(_MAGIC + digest)


def _verified_bytes(path: Path) -> bytes:
    """All bytes of the file, after its checksum has been checked."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror})") from error
    header = len(_MAGIC) + hashlib.sha256().digest_size
    if not content.startswith(_MAGIC):
        raise DataError(f"{path.name}: not a posterior file of sciinf, or its first bytes are damaged ({len(content)} bytes)")
    if len(content) <= _USER_BLOCK or content[header:_USER_BLOCK].strip(b"\0"):
        raise DataError(f"{path.name}: truncated or damaged ({len(content)} bytes)")
    expected, found = content[len(_MAGIC) : header], hashlib.sha256(memoryview(content)[_USER_BLOCK:]).digest()
    if expected != found:
        raise DataError(
            f"{path.name}: checksum mismatch, expected sha256 {expected.hex()}, found {found.hex()}: the file is truncated or damaged"
        )
    return content


def _read(file: Any, name: str) -> Posterior:
    """The posterior in an open file, whatever its hashes say."""
    if file.attrs.get("format") != _FORMAT:
        raise DataError(f"{name}: format is {file.attrs.get('format')!r}, expected {_FORMAT!r}")
    schema = int(file.attrs["schema_version"])
    if schema > SCHEMA_VERSION:
        raise DataError(
            f"{name}: written with schema version {schema}, newer than this sciinf reads (up to {SCHEMA_VERSION}). Upgrade sciinf"
        )
    text = file["text"][()].tobytes()
    if sha256_of(text) != file.attrs["text_hash"]:
        raise DataError(f"{name}: names, labels or meta do not match their hash: the file was changed")
    arrays: dict[str, Any] = {item: file[item][()] for item in _ARRAYS if item in file}
    scalars: dict[str, Any] = {item: float(file[item][()]) for item in SCALAR_FIELDS if item in file}
    posterior = Posterior(**arrays, **scalars, **json.loads(text))
    if (found := posterior.content_hash()) != (expected := file.attrs["content_hash"]):
        raise DataError(f"{name}: content hash is {found}, the file says {expected}: the arrays were changed")
    return posterior


def load(path: Path | str) -> Posterior:
    """Read a posterior written by `save`, to the bit.

    Raises
    ------
    DataError
        If the file is missing, not one of ours, truncated, changed in any byte, or of a newer schema.
    """
    import h5py

    path = Path(path)
    content = _verified_bytes(path)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _read(file, path.name)
    except SciinfError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path.name}: cannot be read as a posterior file ({error})") from error
