"""A run's folder: one writer, nothing deleted, refused before the run where it can be known."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.core.errors import ConfigError, DataError, SciinfError
from sciinf.results.posterior import Posterior
from sciinf.results.run_directory import RunDirectory, load


def a_posterior() -> Posterior:
    return Posterior(np.arange(6.0).reshape(3, 2), np.zeros(3), np.array([-1.0, -2.0, -3.0]), np.zeros(3), ("a", "b"))


def a_run(path: Path, status: str = "complete") -> None:
    with RunDirectory.create(path) as directory:
        directory.write_manifest({"manifest_version": 1, "status": status})
        directory.write_posterior(a_posterior())


def files(path: Path) -> dict[str, bytes]:
    return {str(item.relative_to(path)): item.read_bytes() for item in sorted(path.rglob("*")) if item.is_file()}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    a_run(tmp_path / "deep" / "run")
    assert load(tmp_path / "deep" / "run").content_hash() == a_posterior().content_hash()
    assert load(tmp_path / "deep" / "run" / "posterior.h5").content_hash() == a_posterior().content_hash()
    assert sciinf.load is load
    assert RunDirectory(tmp_path / "deep" / "run").status == "complete"
    assert "a" in (tmp_path / "deep" / "run" / "summary.txt").read_text()
    assert not (tmp_path / "deep" / "run" / "run.lock").exists()


def test_an_existing_run_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    before = files(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"'run' exists.*--resume.*--overwrite.*nothing was touched"):
        RunDirectory.create(tmp_path / "run")
    assert files(tmp_path / "run") == before


def test_overwriting_moves_the_earlier_run_aside(tmp_path: Path) -> None:
    path = tmp_path / "run"
    a_run(path)
    (path / "checkpoint.bin").write_bytes(b"old")
    (path / "notes.md").write_text("mine")
    before = files(path)
    for number in (1, 2):
        with RunDirectory.create(path, overwrite=True) as directory:
            assert directory.status is None
            assert not directory.posterior.exists()
            assert (path / "notes.md").read_text() == "mine"
            directory.write_manifest({"manifest_version": 1, "status": f"run {number}"})
    kept = files(path / "replaced-1")
    assert kept == {name: content for name, content in before.items() if name != "notes.md"}
    assert b"run 1" in files(path / "replaced-2")["manifest.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_things_is_never_taken(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not a run directory"):
        RunDirectory.create(tmp_path, overwrite=overwrite)
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_second_writer_is_refused_here_and_from_another_process(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    with RunDirectory.open(tmp_path / "run"), pytest.raises(ConfigError, match=r"another process is writing.*run.lock"):
        RunDirectory.open(tmp_path / "run")
    with RunDirectory.open(tmp_path / "run"):
        pass


def _hold(path: str, ready: Any) -> None:
    directory = RunDirectory.open(path)
    ready.set()
    signal.pause()
    directory.close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path / "run"), ready))
    holder.start()
    assert ready.wait(30.0)
    with pytest.raises(ConfigError, match=r"run.lock"):
        RunDirectory.open(tmp_path / "run")
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    (tmp_path / "run" / ".checkpoint.bin.abc.part").write_bytes(b"half")
    with RunDirectory.open(tmp_path / "run"):
        assert not (tmp_path / "run" / ".checkpoint.bin.abc.part").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file" / "run")
    if Path("/proc/version").exists():
        with pytest.raises(ConfigError, match="cannot be written"):
            RunDirectory.create("/proc/run")


def test_a_full_disk_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 2**20, 2**20))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"has 1.0 MiB left.*at least 16 MiB"):
        RunDirectory.create(tmp_path / "run")


def test_what_holds_no_result_says_its_status(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run") as directory:
        directory.write_manifest({"manifest_version": 1, "status": "interrupted"})
    with pytest.raises(DataError, match=r"its status is 'interrupted'. Resume it first"):
        load(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is it a run directory"):
        load(tmp_path / "empty")
    with pytest.raises(DataError, match="is not a run directory"):
        RunDirectory.open(tmp_path / "empty")


def test_the_log_names_modules_and_lines_but_no_paths(tmp_path: Path) -> None:
    logger = logging.getLogger("sciinf.test")
    with RunDirectory.create(tmp_path / "run") as directory:
        with directory.logging():
            logger.info("begins")
            try:
                raise ValueError("bad number")
            except ValueError:
                logger.exception("failed")
        logger.warning("outside")
        text = directory.log.read_text()
    assert "begins" in text
    assert f"  {__name__}:" in text
    assert "ValueError: bad number" in text
    assert "outside" not in text
    assert str(Path(__file__).parent) not in text


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000])
def test_a_name_that_no_folder_can_have_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        RunDirectory.create(tmp_path / name)
    with pytest.raises(DataError, match="is not a run directory"):
        RunDirectory.open(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_very_deep_folder_can_be_made(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["a"] * 1500)
    RunDirectory.create(deepest).close()
    assert deepest.is_dir()
    for folder in (deepest, *deepest.parents):  # deeper than what takes a tree away goes
        if folder == tmp_path:
            break
        folder.rmdir()


def test_a_lock_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run" / "run.lock").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"'run.lock' in the run directory 'run' cannot be opened \(Is a directory\)"):
        RunDirectory.create(tmp_path / "run")


@pytest.mark.parametrize(
    "left", [(), ("run.lock",), (".manifest.json.abc.part",), ("run.log",), ("run.lock", "config.toml"), ("run.log", "config.toml")]
)
def test_what_a_run_leaves_that_ended_before_its_manifest_is_taken_over(left: tuple[str, ...], tmp_path: Path) -> None:
    for name in left:
        (tmp_path / name).write_text("begun")
    with RunDirectory.create(tmp_path) as directory:
        assert directory.status is None
    assert {item.name for item in tmp_path.iterdir()} == {name for name in left if not name.endswith(("lock", "part"))}


@pytest.mark.parametrize("there", ["config.toml", "notes.txt", "checkpoint.bin", "posterior.h5"])
def test_a_folder_with_other_things_is_not_taken_over(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match=r"is not a run directory \(it has no manifest.json\)"):
        RunDirectory.create(tmp_path)
    assert (tmp_path / there).read_text() == "mine"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with RunDirectory.create(tmp_path / "run") as directory:
        directory.write_manifest({"manifest_version": 1, "status": "running"})
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(SciinfError, match=r"manifest.json could not be written \(No space left on device\); what was on disk before"):
            directory.write_manifest({"manifest_version": 1, "status": "complete"})
        assert directory.status == "running"
