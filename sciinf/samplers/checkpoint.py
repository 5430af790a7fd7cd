"""Checkpoints: checksummed, replaced atomically, the one before kept; and the signals that ask for one."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import sciinf
from sciinf.core.atomic import atomic_path, checksummed, read_checksummed
from sciinf.core.errors import DataError, ResumeError, SciinfError

__all__ = ["Checkpoint", "CheckpointFile", "Interrupted", "StopSignal", "sampler_versions"]

_FORMAT = 1


class Interrupted(SciinfError):  # noqa: N818 - not a fault of anything
    """A run was stopped by Ctrl-C or SIGTERM; what it had is in its checkpoint."""


class StopSignal:
    """Within the block SIGINT and SIGTERM ask the run to stop at its next step; a second one stops it at once.

    Outside the main thread signals cannot be caught, and nothing changes.
    """

    def __init__(self) -> None:
        self.received = ""
        self._before: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()


def sampler_versions(package: str) -> dict[str, str]:
    """Versions that must be the same for a checkpoint of ``package`` to be read: all that the bytes of the rest of the run hang on.

    Examples
    --------
    >>> sorted(sampler_versions("emcee"))
    ['emcee', 'numba', 'numpy', 'python', 'sciinf', 'scipy']
    """
    names = (package, "numba", "numpy", "scipy")
    return {**{name: metadata.version(name) for name in names}, "python": platform.python_version(), "sciinf": sciinf.__version__}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds: who wrote it, after how many iterations, and the sampler's own bytes."""

    versions: dict[str, str]
    science_hash: str
    iterations: int
    counts: tuple[int, int, int]
    seconds: float
    body: bytes


class CheckpointFile:
    """A checkpoint and the one before it, in one folder.

    Parameters
    ----------
    folder : Path
        The run directory.
    stem : str
        Name of the file without its ending; ``STEM.bin`` is the newest checkpoint, ``STEM.previous.bin`` the one before, and
        ``STEM.damaged.bin`` a newest one that was given up for it.

    Notes
    -----
    The header (JSON, one line) is read and compared before the body is touched, so that a body that is a pickle is never loaded
    unless the checksum and the versions match.
    """

    def __init__(self, folder: Path, stem: str = "checkpoint") -> None:
        self.folder = Path(folder)
        self.path = self.folder / f"{stem}.bin"
        self.previous = self.folder / f"{stem}.previous.bin"
        self.damaged = self.folder / f"{stem}.damaged.bin"

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the newest checkpoint atomically; what was the newest becomes the previous one.

        Raises
        ------
        OSError
            If it cannot be written (a full disk, say); the last checkpoint and the one before it stay as they are.
        """
        header = {
            "format": _FORMAT,
            "versions": checkpoint.versions,
            "science_hash": checkpoint.science_hash,
            "iterations": checkpoint.iterations,
            "counts": list(checkpoint.counts),
            "seconds": checkpoint.seconds,
        }
        content = checksummed(json.dumps(header, sort_keys=True).encode() + b"\n" + checkpoint.body)
        with atomic_path(self.path, before_rename=self._keep_newest) as temporary:
            temporary.write_bytes(content)

    def _keep_newest(self) -> None:
        """Give the newest file its second name; at every moment at least one whole checkpoint has a name."""
        if not self.path.exists():
            return
        aside = self.previous.with_suffix(".aside")
        aside.unlink(missing_ok=True)
        try:
            os.link(self.path, aside)
        except OSError:  # a file system without hard links
            self.path.replace(self.previous)
        else:
            aside.replace(self.previous)

    def read(
        self, versions: dict[str, str], science_hash: str, *, force: bool = False, verify: Callable[[bytes], None] | None = None
    ) -> Checkpoint | None:
        """The newest checkpoint, or None where there is none.

        Parameters
        ----------
        versions : dict
            What `sampler_versions` says now.
        science_hash : str
            Of the run that wants to go on.
        force : bool
            Go on from the previous checkpoint where the newest is damaged, and ignore another science hash. Versions must match always.
        verify : callable, optional
            Given a checkpoint's body, raises DataError where a file that the body names is damaged or gone.

        Raises
        ------
        ResumeError
            If the newest is damaged, or was written by other versions or another run; never falls back silently.
        """
        if not self.path.exists() and not self.previous.exists():
            return None
        path = self.path if self.path.exists() else self.previous  # without hard links a kill may fall between two renames
        tests = [lambda found: self._compare(found, versions, science_hash, force)]
        if verify is not None:
            tests.append(lambda found: verify(found.body))
        try:
            return self._tested(path, tests)
        except DataError as error:
            if path == self.previous or not self.previous.exists():
                raise ResumeError(f"{error}. There is no other checkpoint: start the run again") from error
            return self._previous(tests, error, force)

    def _tested(self, path: Path, tests: list[Callable[[Checkpoint], None]]) -> Checkpoint:
        found = self._parse(path)
        for test in tests:
            test(found)
        return found

    def _previous(self, tests: list[Callable[[Checkpoint], None]], damage: DataError, force: bool) -> Checkpoint:
        """The previous checkpoint in the place of a damaged newest one, where it is whole and ``force`` allows it."""
        try:
            found = self._tested(self.previous, tests)
        except DataError as error:
            raise ResumeError(f"{damage}. The one before it is damaged too ({error}): start the run again") from damage
        if not force:
            raise ResumeError(
                f"{damage}. {self.previous.name} is whole (iteration {found.iterations}): resume with force=True (--force) to go on from "
                "it, to the same result"
            ) from damage
        self.path.replace(self.damaged)  # or the next checkpoint would keep it in the place of the whole one
        return found

    def _parse(self, path: Path) -> Checkpoint:
        payload = read_checksummed(path)
        first, _, body = payload.partition(b"\n")
        header = json.loads(first)
        if header.get("format") != _FORMAT:
            raise DataError(f"{path.name}: checkpoint format {header.get('format')}, this version reads {_FORMAT}")
        calls, minus_inf, rejected = header["counts"]
        return Checkpoint(
            header["versions"], header["science_hash"], header["iterations"], (calls, minus_inf, rejected), header["seconds"], body
        )

    def _compare(self, found: Checkpoint, versions: dict[str, str], science_hash: str, force: bool) -> None:
        differ = [
            f"{name} {found.versions.get(name)} (now {versions.get(name)})"
            for name in sorted({*versions, *found.versions})
            if found.versions.get(name) != versions.get(name)
        ]
        if differ:
            raise ResumeError(f"{self.path.name} was written by {', '.join(differ)}. Install those versions, or start the run again")
        if found.science_hash != science_hash and not force:
            raise ResumeError(
                f"{self.path.name} belongs to a run with science hash {found.science_hash}, this one has {science_hash}: "
                "engine, parameters, sampler or seed have changed"
            )

    def remove(self) -> None:
        """Delete all of them, and what was left between."""
        for path in (self.path, self.previous, self.damaged, self.previous.with_suffix(".aside")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
