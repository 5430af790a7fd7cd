"""Killed and resumed gives the same bytes; what cannot be resumed is refused."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import killable
import numpy as np
import pool_likelihoods as likelihoods
import pytest

from sciinf.core.errors import ConfigError, LikelihoodError, ResumeError, SciinfError
from sciinf.results.run_directory import RunDirectory, load
from sciinf.samplers import checkpoint as checkpoints
from sciinf.samplers.checkpoint import Interrupted
from sciinf.samplers.sample import run_in, sample
from sciinf.samplers.session import Resources, Session
from sciinf.samplers.settings import Dynesty, Emcee

NESTED, CHAIN = killable.SETTINGS["static"], killable.SETTINGS["emcee"]
BOTH = pytest.mark.parametrize("settings", [NESTED, CHAIN], ids=["dynesty", "emcee"])
EVERY_KIND = pytest.mark.parametrize("kind", ["static", "dynamic", "emcee"])


def problem() -> Any:
    return likelihoods.of(likelihoods.gauss)


@functools.cache
def uninterrupted(kind: str) -> str:
    return sample(likelihoods.of(likelihoods.slow_gauss), killable.SETTINGS[kind], seed=killable.SEED, progress=False).content_hash()


def start(folder: Path, kind: str, *more: str, workers: int = 1, every: float = 0.1) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(killable.__file__)), str(folder), kind, str(workers), str(every), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_killed(folder: Path, kind: str, kills: int, rng: np.random.Generator, workers: int = 1) -> str:
    """Content hash of a run killed ``kills`` times at random moments of its sampling, and resumed to its end."""
    killed = 0
    while True:
        process = start(folder, kind, workers=workers)
        if killed < kills:
            waited = time.monotonic()
            while process.poll() is None and not (folder / "manifest.json").exists() and time.monotonic() - waited < 60.0:
                time.sleep(0.01)
            if killed:
                time.sleep(1.0)  # the interpreter and its imports
            time.sleep(rng.uniform(0.0, 0.8))
            killed += process.poll() is None
            process.kill()
            process.communicate()
            if process.returncode != 0:
                continue
        out, err = process.communicate(timeout=300)
        if process.returncode == 0 and out:
            return out.strip()
        if process.returncode == 0:
            return load(folder).content_hash()
        raise AssertionError(err)


@pytest.mark.parametrize("kind", ["static", "emcee"])
def test_killed_at_random_and_resumed_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    assert run_killed(tmp_path / "run", kind, 2, np.random.default_rng(1)) == uninterrupted(kind)
    manifest = RunDirectory(tmp_path / "run").read_manifest()
    assert manifest["status"] == "complete"
    assert manifest["resumed"]


@pytest.mark.slow
@EVERY_KIND
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_twenty_times_and_resumed_gives_the_same_bytes(kind: str, workers: int, tmp_path: Path) -> None:
    assert run_killed(tmp_path / "run", kind, 20, np.random.default_rng(2), workers) == uninterrupted(kind)


@pytest.mark.parametrize(
    ("kind", "function", "call"),
    [("static", "fsync", 9), ("static", "replace", 5), ("emcee", "link", 2), ("emcee", "replace", 7)],
)
def test_killed_inside_the_writing_of_a_checkpoint_and_resumed(kind: str, function: str, call: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, kind, function, str(call))
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "posterior.h5").exists()
    assert (folder / "checkpoint.bin").exists() or function == "replace"
    process = start(folder, kind)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip() == uninterrupted(kind)
    assert sorted(item.name for item in folder.iterdir()) == ["manifest.json", "posterior.h5", "run.log", "summary.txt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@EVERY_KIND
def test_a_signal_writes_a_checkpoint_and_resume_gives_the_same_bytes(kind: str, number: signal.Signals, tmp_path: Path) -> None:
    settings, folder = killable.SETTINGS[kind], tmp_path / "run"
    uninterrupted_hash = sample(problem(), settings, seed=3, progress=False).content_hash()
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    made = {"static": 70, "dynamic": 600, "emcee": 120}[kind]
    stopped = pytest.raises(Interrupted, match=rf"{number.name} after \d+ iterations; the checkpoint is written")
    with after(made, signalled(number)), stopped:
        sample(problem(), settings, seed=3, directory=folder, progress=False)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert RunDirectory(folder).status == "interrupted"
    assert sample(problem(), settings, seed=3, directory=folder, resume=True, progress=False).content_hash() == uninterrupted_hash


@contextlib.contextmanager
def after(iterations: int, act: Callable[[], None]) -> Iterator[None]:
    """Within the block ``act`` is called once, when a run has made ``iterations``."""
    original, done = Session.why_stop, [False]

    def why_stop(self: Session, made: int) -> Any:
        if made >= iterations and not done[0]:
            done[0] = True
            act()
        return original(self, made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "why_stop", why_stop)
        yield


def signalled(*numbers: signal.Signals) -> Callable[[], None]:
    """An act that sends signals to this process."""

    def act() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return act


def interrupt(folder: Path, settings: Dynesty | Emcee, **options: Any) -> None:
    """A run interrupted on its way, its checkpoints written often."""
    with after(80, signalled(signal.SIGINT)), pytest.raises(Interrupted):
        sample(problem(), settings, seed=3, directory=folder, checkpoint_every=1e-3, progress=False, **options)


@BOTH
def test_a_second_signal_stops_at_once_and_the_last_checkpoint_serves(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    stopped = pytest.raises(Interrupted, match="second signal; resume goes on from the last checkpoint")
    with after(80, signalled(signal.SIGINT, signal.SIGINT)), stopped:
        sample(problem(), settings, seed=3, directory=tmp_path / "run", checkpoint_every=1e-3, progress=False)
    resumed = sample(problem(), settings, seed=3, directory=tmp_path / "run", resume=True, progress=False)
    assert resumed.content_hash() == sample(problem(), settings, seed=3, progress=False).content_hash()


def test_without_a_directory_an_interruption_says_that_nothing_is_kept() -> None:
    with after(10, signalled(signal.SIGINT)), pytest.raises(Interrupted, match="nothing is kept"):
        sample(problem(), CHAIN, seed=3, progress=False)


@BOTH
def test_a_flipped_bit_is_an_error_that_offers_the_previous_checkpoint(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, settings)
    newest = folder / "checkpoint.bin"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.raises(ResumeError, match=r"expected sha256 \w+, found \w+.*checkpoint.previous.bin is whole \(iteration \d+\).*--force"):
        sample(problem(), settings, seed=3, directory=folder, resume=True, progress=False)
    with RunDirectory.open(folder) as directory:
        forced = run_in(directory, problem(), settings, seed=3, resume=True, force=True, progress=False)
        assert directory.read_manifest()["resumed"][-1]["forced"] is True
    assert forced.content_hash() == sample(problem(), settings, seed=3, progress=False).content_hash()


@BOTH
@pytest.mark.parametrize("keep", [0, 30, 0.5])
def test_a_truncated_checkpoint_is_an_error_never_a_restart(settings: Dynesty | Emcee, keep: float, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, settings)
    for path in (folder / "checkpoint.bin", folder / "checkpoint.previous.bin"):
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else int(keep)])
    with pytest.raises(ResumeError, match=r"checkpoint.bin.*The one before it is damaged too"):
        sample(problem(), settings, seed=3, directory=folder, resume=True, progress=False)


def test_a_damaged_or_missing_segment_of_a_chain_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, CHAIN)
    segment = folder / "checkpoint.segment-000001.npz"
    content = bytearray(segment.read_bytes())
    content[-9] ^= 4
    segment.write_bytes(content)
    with pytest.raises(ResumeError, match=r"segment-000001.npz is damaged: expected sha256 \w+, found \w+"):
        sample(problem(), CHAIN, seed=3, directory=folder, resume=True, progress=False)
    segment.unlink()
    with pytest.raises(ResumeError, match=r"segment-000001.npz cannot be read"):
        sample(problem(), CHAIN, seed=3, directory=folder, resume=True, progress=False)


@BOTH
def test_another_version_is_refused_before_the_pickle_is_read(
    settings: Dynesty | Emcee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    interrupt(folder, settings)
    monkeypatch.setattr(checkpoints.platform, "python_version", lambda: "3.99.0")
    monkeypatch.setattr("pickle.loads", lambda content: pytest.fail("the pickle was read"))
    with pytest.raises(ResumeError, match=r"python 3.11.\d+ \(now 3.99.0\)"):
        sample(problem(), settings, seed=3, directory=folder, resume=True, progress=False)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"settings": Dynesty(n_live=50, walks=10, dlogz=0.5)}, "sampler"),
        ({"seed": 4}, "seed"),
        ({"problem": likelihoods.of(likelihoods.zero_on_the_left)}, "engine"),
        ({"problem": likelihoods.of(likelihoods.gauss, on_nan="reject")}, "parameters"),
    ],
)
def test_a_changed_run_is_refused_with_both_hashes_and_force_is_recorded(change: dict[str, Any], part: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, NESTED)
    asked: dict[str, Any] = {"problem": problem(), "settings": NESTED, "seed": 3} | change
    with pytest.raises(ResumeError, match=rf"{part}: was [0-9a-f]{{64}}, is [0-9a-f]{{64}}"):
        sample(asked["problem"], asked["settings"], seed=asked["seed"], directory=folder, resume=True, progress=False)
    assert RunDirectory(folder).status == "interrupted"
    with RunDirectory.open(folder) as directory:
        run_in(directory, asked["problem"], asked["settings"], seed=asked["seed"], resume=True, force=True, progress=False)
        note = directory.read_manifest()["resumed"][-1]
    assert note["forced"] is True
    assert note["differs"][0].startswith(f"{part}: was")


@pytest.mark.parametrize(
    ("settings", "other"),
    [(NESTED, Dynesty(n_live=40, walks=10, dlogz=0.5, dynamic=True)), (CHAIN, Emcee(n_walkers=14, n_steps=300))],
    ids=["dynesty", "emcee"],
)
def test_force_cannot_turn_one_kind_of_run_into_another(settings: Dynesty | Emcee, other: Dynesty | Emcee, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, settings)
    with RunDirectory.open(folder) as directory, pytest.raises(ResumeError, match=r"the checkpoint holds .* the run asks for"):
        run_in(directory, problem(), other, seed=3, resume=True, force=True, progress=False)


def test_an_existing_directory_is_refused_or_taken_over_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = sample(problem(), CHAIN, seed=3, directory=folder, progress=False)
    with pytest.raises(ConfigError, match=r"exists.*nothing was touched"):
        sample(problem(), CHAIN, seed=4, directory=folder, progress=False)
    assert load(folder).content_hash() == first.content_hash()
    with pytest.raises(ConfigError, match="give one of them"):
        sample(problem(), CHAIN, seed=4, directory=folder, resume=True, overwrite=True, progress=False)
    second = sample(problem(), CHAIN, seed=4, directory=folder, overwrite=True, progress=False)
    assert load(folder).content_hash() == second.content_hash()
    assert load(folder / "replaced-1").content_hash() == first.content_hash()


def test_workers_budgets_and_progress_may_change_on_resume(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupt(folder, NESTED, max_calls=100_000)
    resumed = sample(problem(), NESTED, seed=3, workers=2, directory=folder, resume=True, checkpoint_every=5.0, progress=False)
    assert resumed.content_hash() == sample(problem(), NESTED, seed=3, progress=False).content_hash()


@BOTH
@pytest.mark.parametrize("budget", [{"max_calls": 700}, {"max_seconds": 0.2}])
def test_a_spent_budget_keeps_the_result_and_more_goes_on(settings: Dynesty | Emcee, budget: dict[str, Any], tmp_path: Path) -> None:
    folder, slow = tmp_path / "run", likelihoods.of(likelihoods.slow_gauss)
    part = sample(slow, settings, seed=3, directory=folder, progress=False, **budget)
    assert part.status == "not_converged"
    assert part.meta["stopped"] == next(iter(budget))
    assert load(folder).content_hash() == part.content_hash()
    manifest = RunDirectory(folder).read_manifest()
    assert manifest["status"] == "not_converged"
    assert manifest["report"]["stopped"] == next(iter(budget))
    if "max_calls" in budget:
        assert 700 <= manifest["counts"]["calls"] < 900
    whole = sample(slow, settings, seed=3, directory=folder, resume=True, progress=False)
    assert whole.content_hash() == sample(slow, settings, seed=3, progress=False).content_hash()
    assert RunDirectory(folder).status == "complete"
    assert RunDirectory(folder).read_manifest()["counts"] == whole.meta["counts"]


@BOTH
def test_max_iterations_repeats_a_run_that_time_had_cut(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    slow = likelihoods.of(likelihoods.slow_gauss)
    with RunDirectory.create(tmp_path / "cut") as directory:
        cut = run_in(directory, slow, settings, seed=3, resources=Resources(max_seconds=0.2), progress=False)
        iterations = directory.read_manifest()["iterations"]
    with RunDirectory.create(tmp_path / "again") as directory:
        again = run_in(directory, slow, settings, seed=3, resources=Resources(max_iterations=iterations), progress=False)
    assert again.content_hash() == cut.content_hash()


@BOTH
def test_a_complete_run_is_read_back(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    first = sample(problem(), settings, seed=3, directory=tmp_path / "run", progress=False)
    again = sample(likelihoods.of(likelihoods.gauss), settings, seed=3, directory=tmp_path / "run", resume=True, progress=False)
    assert again.content_hash() == first.content_hash()
    assert again.meta == first.meta
    path = tmp_path / "run" / "manifest.json"
    path.write_text(path.read_text().replace(first.content_hash(), "0" * 64))
    with pytest.raises(ResumeError, match="content hash"):
        sample(problem(), settings, seed=3, directory=tmp_path / "run", resume=True, progress=False)


def test_a_failed_run_says_so_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    def fail() -> None:
        raise LikelihoodError("broken on purpose at x=1.0")

    with after(80, fail), pytest.raises(LikelihoodError, match="on purpose"):
        sample(problem(), CHAIN, seed=3, directory=tmp_path / "run", checkpoint_every=1e-3, progress=False)
    assert RunDirectory(tmp_path / "run").status == "failed"
    log = (tmp_path / "run" / "run.log").read_text()
    assert "LikelihoodError: broken on purpose" in log
    assert "sciinf.samplers.sample:" in log
    assert str(Path.cwd()) not in log
    assert sample(problem(), CHAIN, seed=3, directory=tmp_path / "run", resume=True, progress=False).status == "ok"


@BOTH
def test_a_disk_that_fills_up_stops_the_run_and_leaves_the_last_checkpoint(
    settings: Dynesty | Emcee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, original = tmp_path / "run", os.fsync

    def full(handle: int) -> None:
        of_file = stat.S_ISREG(os.fstat(handle).st_mode)
        if of_file and (folder / "checkpoint.previous.bin").exists() and not (folder / "posterior.h5").exists() and not ending:
            ending.append(1)
            raise OSError(28, "No space left on device")
        original(handle)

    ending: list[int] = []
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SciinfError, match=r"checkpoint.bin could not be written \(No space left on device\); the checkpoint before it"):
        sample(problem(), settings, seed=3, directory=folder, checkpoint_every=1e-3, progress=False)
    assert RunDirectory(folder).status == "failed"
    resumed = sample(problem(), settings, seed=3, directory=folder, resume=True, progress=False)
    assert resumed.content_hash() == sample(problem(), settings, seed=3, progress=False).content_hash()


def test_resume_needs_a_directory_and_starts_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the directory"):
        sample(problem(), CHAIN, seed=3, resume=True, progress=False)
    started = sample(problem(), CHAIN, seed=3, directory=tmp_path / "new", resume=True, progress=False)
    assert json.loads((tmp_path / "new" / "manifest.json").read_text())["content_hash"] == started.content_hash()
