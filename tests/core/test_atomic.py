"""Files are whole or absent; a damaged one is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sciinf.core.atomic import atomic_path, read_checksummed, write_bytes, write_checksummed, write_text
from sciinf.core.errors import DataError


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "f") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [item.name for item in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "x")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o666 & ~umask


def test_checksummed_round_trip(tmp_path: Path) -> None:
    write_checksummed(tmp_path / "f", b"payload")
    assert read_checksummed(tmp_path / "f") == b"payload"


@pytest.mark.parametrize("position", [0, 5, 14, 30, 46, 47, 50])
def test_every_flipped_bit_is_seen(tmp_path: Path, position: int) -> None:
    write_checksummed(tmp_path / "f", b"payload")
    content = bytearray((tmp_path / "f").read_bytes())
    content[position] ^= 1
    write_bytes(tmp_path / "f", bytes(content))
    with pytest.raises(DataError, match="f: "):
        read_checksummed(tmp_path / "f")


@pytest.mark.parametrize("length", [0, 10, 45, 50])
def test_truncated_is_an_error(tmp_path: Path, length: int) -> None:
    write_checksummed(tmp_path / "f", b"payload")
    write_bytes(tmp_path / "f", (tmp_path / "f").read_bytes()[:length])
    with pytest.raises(DataError):
        read_checksummed(tmp_path / "f")


def test_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_checksummed(tmp_path / "none")


def test_killed_while_writing_the_old_or_the_new_is_there(tmp_path: Path) -> None:
    """A process rewrites one file without pause and is killed: the file always verifies."""
    target = tmp_path / "f"
    code = (
        "import sys; from pathlib import Path; from sciinf.core.atomic import write_checksummed\n"
        "i = 0\nwhile True:\n    write_checksummed(Path(sys.argv[1]), str(i).encode() * 20000); i += 1\n"
    )
    for delay in (0.0, 0.01, 0.037):
        process = subprocess.Popen([sys.executable, "-c", code, str(target)])
        while not target.exists():
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(read_checksummed(target)) % 20000 == 0
        target.unlink()
