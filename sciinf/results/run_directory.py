"""A run on disk: one writer at a time, nothing of an earlier run deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sciinf.core.atomic import write_text
from sciinf.core.errors import ConfigError, DataError, SciinfError, shown
from sciinf.core.user_paths import what_is_at
from sciinf.results import manifest as manifests
from sciinf.results.run_log import run_log

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior

__all__ = ["RUN_FILES", "RunDirectory", "load"]

RUN_FILES = ("config.toml", "manifest.json", "posterior.h5", "background.json", "summary.txt", "report.html", "run.log")
_LEAST_FREE = 16 * 1024 * 1024  # bytes; a run of any size writes about this much


class RunDirectory:
    """The folder of one run, locked while it is open for writing.

    Use `create` or `open` to get one, as a context manager: the lock is given back at the end, and by the system when the process
    dies.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp()) / "first"
    >>> with RunDirectory.create(folder) as directory:
    ...     directory.status is None
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    @property
    def config(self) -> Path:
        """The configuration the run was started from."""
        return self.path / "config.toml"

    @property
    def manifest(self) -> Path:
        """What ran and how it ended."""
        return self.path / "manifest.json"

    @property
    def posterior(self) -> Path:
        """The result."""
        return self.path / "posterior.h5"

    @property
    def summary(self) -> Path:
        """The result's table, as text."""
        return self.path / "summary.txt"

    @property
    def report(self) -> Path:
        """The result to look at."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What the run said."""
        return self.path / "run.log"

    @property
    def lock(self) -> Path:
        """Held by the one process that writes."""
        return self.path / "run.lock"

    @classmethod
    def create(cls, path: Path | str, *, overwrite: bool = False) -> RunDirectory:
        """A new run directory, locked.

        Parameters
        ----------
        path : path
            A folder that does not exist, is empty, or holds the first files of a run that ended before its manifest was written.
        overwrite : bool
            Take over the folder of an earlier run; its files move into a folder ``replaced-1``, ``replaced-2``, ... inside.

        Raises
        ------
        ConfigError
            If the folder holds a run and ``overwrite`` is not given, holds other things, is being written by another process, or
            cannot be written.
        """
        path = Path(path)
        _check_room(path)
        used = path.is_dir() and not _barely_begun(path)
        is_run = (path / "manifest.json").exists()
        if used and not is_run:
            raise ConfigError(
                f"'{path.name}' exists and is not a run directory (it has no manifest.json): give a folder that does not exist or is empty"
            )
        if used and not overwrite:
            raise ConfigError(
                f"the run directory '{path.name}' exists. Go on with it by resume=True (--resume), replace it by overwrite=True "
                "(--overwrite), or give another name; nothing was touched"
            )
        directory = cls(path)
        directory._acquire()
        directory._remove_parts()
        if used:
            directory._move_aside()
        return directory

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """The directory of an earlier run, locked, to go on with it.

        Raises
        ------
        DataError
            If there is no manifest.
        ConfigError
            If another process is writing it, or it cannot be written.
        """
        path = Path(path)
        if not what_is_at(path / "manifest.json"):
            raise DataError(f"{shown(path.name)} is not a run directory: it has no manifest.json")
        _check_room(path)
        directory = cls(path)
        directory._acquire()
        directory._remove_parts()
        return directory

    def _remove_parts(self) -> None:
        """Delete what a process left that was killed while it wrote."""
        for left in self.path.glob(".*.part"):
            left.unlink(missing_ok=True)

    def _acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        ConfigError
            If another process holds it.
        """
        while True:
            try:
                handle = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise ConfigError(
                    f"'{self.lock.name}' in the run directory '{self.path.name}' cannot be opened ({error.strerror}). Remove it, "
                    "or give another folder"
                ) from error
            if not _try_lock(handle):
                os.close(handle)
                raise ConfigError(
                    f"another process is writing the run directory '{self.path.name}' (it holds run.lock). Wait for it to end"
                )
            with contextlib.suppress(OSError):
                if os.fstat(handle).st_ino == self.lock.stat().st_ino:  # not deleted by the last holder in between
                    self._lock = handle
                    return
            os.close(handle)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self.lock.unlink()
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _move_aside(self) -> None:
        number = 1
        while (aside := self.path / f"replaced-{number}").exists():
            number += 1
        aside.mkdir()
        for item in self.path.iterdir():
            if item.name in RUN_FILES or item.name.startswith(("checkpoint", "repeat-", "background", "products")):
                item.rename(aside / item.name)

    @property
    def status(self) -> str | None:
        """Status in the manifest, None where there is no manifest yet."""
        return str(self.read_manifest()["status"]) if self.manifest.exists() else None

    def read_manifest(self) -> dict[str, Any]:
        """The manifest (DataError where it cannot be read)."""
        return manifests.read(self.manifest)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest atomically (SciinfError where it cannot be written)."""
        with _or_say_so(self.manifest):
            manifests.write(self.manifest, manifest)

    def write_posterior(self, posterior: Posterior) -> None:
        """Write the posterior and its summary (SciinfError where they cannot be written)."""
        from sciinf.results import storage

        with _or_say_so(self.posterior):
            storage.save(posterior, self.posterior)
        with _or_say_so(self.summary):
            write_text(self.summary, f"{posterior.summary()}\n")

    def write_products(self, products: Mapping[str, Callable[[Path], None]]) -> None:
        """Write an engine's own files into the folder ``products``, each by its function (SciinfError where one cannot be written)."""
        for name, write in products.items():
            path = self.path / "products" / name
            with _or_say_so(path):
                path.parent.mkdir(exist_ok=True)
                write(path)

    def remove_checkpoints(self) -> None:
        """Delete what only an unfinished run needs."""
        for pattern in ("checkpoint*", "repeat-*.h5"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Within the block, what the package logs goes to run.log too; tracebacks are cut to module and line."""
        with run_log(self.log):
            yield


def _barely_begun(path: Path) -> bool:
    """Whether a folder holds nothing, or only what a run writes before its manifest. A config alone is its owner's."""
    names = {item.name for item in path.iterdir() if not (item.name.startswith(".") and item.name.endswith(".part"))}
    return names <= {"run.lock", "run.log", "config.toml"} and names != {"config.toml"}


@contextlib.contextmanager
def _or_say_so(path: Path) -> Iterator[None]:
    """Turn the system's error for a file that cannot be written into one that says which, and what to do.

    Raises
    ------
    SciinfError
        In the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise SciinfError(
            f"{path.name} could not be written ({error.strerror or error}); what was on disk before is untouched. Free some space, or "
            "check the folder's permissions, and resume"
        ) from error


def _try_lock(handle: int) -> bool:
    """Take an exclusive lock that the system drops when the process ends."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _make_folder(path: Path) -> None:
    """Make a folder and those above it; `Path.mkdir` with ``parents`` calls itself for each, and many do not fit on the stack."""
    missing: list[Path] = []
    for folder in (path, *path.parents):
        try:
            folder.mkdir(exist_ok=True)
            break
        except FileNotFoundError:
            missing.append(folder)
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)


def _check_room(path: Path) -> None:
    """Make the folder, write a file into it and look at the free space.

    Raises
    ------
    ConfigError
        If one of these fails.
    """
    try:
        _make_folder(path)
        with tempfile.TemporaryFile(dir=path) as trial:
            trial.write(b"\0" * 4096)
        free = shutil.disk_usage(path).free
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"the run directory {shown(path.name)} cannot be written ({why}). Give a folder that can be") from error
    if free < _LEAST_FREE:
        raise ConfigError(
            f"the disk of the run directory '{path.name}' has {free / 2**20:.1f} MiB left, a run needs at least "
            f"{_LEAST_FREE / 2**20:.0f} MiB. Free some space, or give another folder"
        )


def load(path: Path | str) -> Posterior:
    """The posterior of a run directory, or of one posterior.h5.

    Raises
    ------
    DataError
        If there is none (the message gives the run's status), or it is damaged.
    """
    from sciinf.results import storage

    path = Path(path)
    if what_is_at(path) != "folder":
        return storage.load(path)
    directory = RunDirectory(path)
    if not directory.posterior.exists():
        status = directory.status if directory.manifest.exists() else None
        hint = "it has no manifest: is it a run directory?" if status is None else f"its status is '{status}'. Resume it first"
        raise DataError(f"'{path.name}' holds no posterior.h5; {hint}")
    return storage.load(directory.posterior)
