"""Files that are either whole or absent: written aside, synced, renamed; with a checksum where asked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sciinf.core.errors import DataError

__all__ = ["atomic_path", "checksummed", "read_checksummed", "write_bytes", "write_checksummed", "write_text"]

_MAGIC = b"sciinf-sha256\n"
_DIGEST_BYTES = 32
_UMASK = threading.Lock()  # it can be read only by setting it, and belongs to all threads


def _sync_directory(folder: Path) -> None:
    """Make a rename in ``folder`` durable (a no-op where the platform cannot open directories)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def atomic_path(path: Path, before_rename: Callable[[], None] | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success it is synced and renamed onto ``path``, on any error removed.

    ``before_rename`` is called when the new file is whole and synced, and ``path`` is still the old one.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        with _UMASK:
            umask = os.umask(0)
            os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if before_rename is not None:
            before_rename()
        temporary.replace(path)
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` atomically, as UTF-8 with the newlines given."""
    write_bytes(path, content.encode("utf-8"))


def checksummed(payload: bytes) -> bytes:
    """``payload`` with its sha256 in front, as a file holds it."""
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def write_checksummed(path: Path, payload: bytes) -> None:
    """Write ``payload`` with its sha256 in front, atomically; `read_checksummed` verifies it."""
    write_bytes(path, checksummed(payload))


def read_checksummed(path: Path) -> bytes:
    """Return the payload of a file written by `write_checksummed`.

    Raises
    ------
    DataError
        If the file is missing, is not of this kind, is truncated, or its bytes do not match its checksum.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror})") from error
    header = len(_MAGIC) + _DIGEST_BYTES
    if len(content) < header or not content.startswith(_MAGIC):
        raise DataError(f"{path.name}: not a checksummed file of this package, or truncated ({len(content)} bytes)")
    expected, payload = content[len(_MAGIC) : header], content[header:]
    found = hashlib.sha256(payload).digest()
    if found != expected:
        raise DataError(f"{path.name}: checksum mismatch, expected sha256 {expected.hex()}, found {found.hex()}: the file is damaged")
    return payload
