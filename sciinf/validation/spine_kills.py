"""Runs killed (SIGKILL) at random moments and at every step of their writes, and resumed: the same bytes as left alone, or not."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciinf.calibration.verdict import Verdict
from sciinf.core.errors import SciinfError
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.results.run_directory import RunDirectory, load
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Settings
from sciinf.validation.suite import quiet_samplers

__all__ = ["HEADER", "KillReport", "can_fork", "killed_and_resumed"]

HEADER = ("run", "random kills", "inside a write", "kills at steps", "runs", "left alone", "resumed")
_ALWAYS, _OFTEN, _NEVER = 1e-9, 0.02, 1e9  # seconds between checkpoints
_LONGEST_LIFE = 0.3  # seconds before a random kill
_MOST_ENDED = 3  # in a row, before the step at which they were to be killed
_SAVES = 2  # checkpoints of one life whose every step is tried
_NEAR_THE_END = (0.9, 0.97)  # of the likelihood calls: where the last two checkpoints are
_STEPS = ("open", "fsync", "chmod", "link", "replace", "unlink")  # of `os`: all that the writing of a file is made of but the bytes
_FINISHED = frozenset({"manifest.json", "posterior.h5", "summary.txt", "run.log"})


@dataclass(frozen=True)
class KillReport:
    """What became of one sampler's killed runs.

    Attributes
    ----------
    random, inside : int
        Kills at random moments, and how many of them left a temporary file: they fell into a write.
    steps : dict of str to int
        Kills just before a step of a write, by the step.
    runs : int
        Runs that were resumed to their end.
    expected : str
        Content hash of the run left alone.
    found : tuple of str
        Content hashes of the resumed runs, each once.
    left : tuple of str
        Files in finished directories that do not belong there.
    same_counts : bool
        Whether each resumed run counted as many likelihood calls as the run left alone.
    """

    random: int
    inside: int
    steps: dict[str, int]
    runs: int
    expected: str
    found: tuple[str, ...]
    left: tuple[str, ...]
    same_counts: bool

    @property
    def equal(self) -> bool:
        """Whether every resumed run ended with the bytes of the run left alone, and nothing besides."""
        return self.found == (self.expected,) and not self.left and self.same_counts

    def verdict(self, label: str) -> Verdict:
        """The check."""
        kills = self.random + sum(self.steps.values())
        detail = f"{self.random} kills at random ({self.inside} inside a write), {kills - self.random} at {len(self.steps)} kinds of step"
        if not self.equal:
            detail += f"; hashes {[item[:16] for item in self.found]} for {self.expected[:16]}, left {list(self.left)}"
            detail += "" if self.same_counts else ", other counts of calls"
        return Verdict(f"{label}: killed and resumed", float(len(self.found)), None, kills, self.equal, detail)

    def row(self, label: str) -> tuple[str, ...]:
        """The figures below `HEADER`."""
        counts = (self.random, self.inside, sum(self.steps.values()), self.runs)
        return label, *map(str, counts), self.expected[:16], ", ".join(item[:16] for item in self.found)


def can_fork() -> bool:
    """Whether this system has what the kills need."""
    return hasattr(os, "fork")


def killed_and_resumed(problem: Problem, settings: Settings, *, kills: int, seed: int) -> KillReport:
    """Kill runs ``kills`` times at random moments, then once before every step of every kind of write, resuming each to its end.

    Runs in a process of its own with no other thread, which forks each life of a run after imports and compilation.

    Raises
    ------
    SciinfError
        If a resumed run ends with an error, which the message holds.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(_report, problem, settings, kills, seed).result()


def _report(problem: Problem, settings: Settings, kills: int, seed: int) -> KillReport:
    quiet_samplers()
    alone = sample(problem, settings, seed=seed, progress=False)
    folder = Path(tempfile.mkdtemp(prefix="sciinf-kills-"))
    try:
        lives = _Lives(problem, settings, seed, folder, alone.meta["counts"])
        lives.at_random(kills)
        lives.at_steps_of_saves()
        lives.at_steps_of_the_end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return KillReport(
        kills, lives.inside, dict(sorted(lives.steps.items())), lives.runs, alone.content_hash(), tuple(sorted(lives.found)),
        tuple(sorted(lives.left)), lives.same_counts,
    )  # fmt: skip


@dataclass
class _Lives:
    """Lives of runs, one process each, and what they leave."""

    problem: Problem
    settings: Settings
    seed: int
    folder: Path
    counts: dict[str, int]
    runs: int = 0
    inside: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    found: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    same_counts: bool = True

    @property
    def target(self) -> Path:
        """Directory of the run under way."""
        return self.folder / f"run-{self.runs:04d}"

    def life(self, act: Callable[[int], None], *, every: float = _OFTEN, step: int = 0, max_calls: int | None = None) -> str | None:
        """Resume in a child process, to which ``act`` is done; None where it came to its end, else what it said before it was killed."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                if step:
                    _die_at(step, write)
                sample(
                    self.problem, self.settings, seed=self.seed, directory=self.target, resume=True, checkpoint_every=every,
                    max_calls=max_calls, progress=False,
                )  # fmt: skip
                status = 0
            except BaseException:
                os.write(write, traceback.format_exc()[-4000:].encode())
            finally:
                os._exit(status)
        os.close(write)
        act(child)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read, encoding="utf-8", errors="replace") as stream:
            said = stream.read()
        if os.WIFSIGNALED(status):
            return said
        if os.waitstatus_to_exitcode(status) != 0:
            raise SciinfError(f"a resumed run failed after {self.runs} runs: {said}")
        return None

    def finish(self) -> None:
        """Let the run under way come to its end, and look at it."""
        self.life(_wait, every=_NEVER)
        self.look()

    def look(self) -> None:
        """Hash and files of the run that has ended; the next one begins."""
        posterior = load(self.target)
        self.found.add(posterior.content_hash())
        self.left |= {item.name for item in self.target.iterdir()} - _FINISHED
        self.same_counts &= RunDirectory(self.target).read_manifest()["counts"] == posterior.meta["counts"] == self.counts
        shutil.rmtree(self.target)
        self.runs += 1

    def at_random(self, kills: int) -> None:
        """Kill at moments drawn uniformly, resuming after each; every other life writes checkpoints all the time."""
        rng, done = generator(self.seed, "kills"), 0
        while done < kills:
            seconds = float(rng.uniform(0.0, _LONGEST_LIFE))
            every = _ALWAYS if done % 2 else _OFTEN
            if self.life(functools.partial(_kill_after, seconds), every=every) is None:
                self.look()
                continue
            done += 1
            self.inside += any(self.target.glob(".*.part"))
        self.finish()

    def at_steps_of_saves(self) -> None:
        """Kill before step 1, 2, 3, ... of a life: its lock, its manifest, its first checkpoints.

        Raises
        ------
        SciinfError
            If the run is too short for that.
        """
        step, saves, ended = 1, 0, 0
        while saves < _SAVES:
            said = self.life(_wait, every=_ALWAYS, step=step)
            if said is None:
                self.look()
                ended += 1
                if ended > _MOST_ENDED:
                    raise SciinfError(f"runs end before {_SAVES} checkpoints and {step} steps of writing: give a longer one")
                continue
            saves, ended = self._count(said), 0
            step += 1
        self.finish()

    def at_steps_of_the_end(self) -> None:
        """Kill before each step that follows the last checkpoint: posterior, summary, manifest, removal of checkpoints."""
        for part in _NEAR_THE_END:
            self.life(_wait, every=_NEVER, max_calls=int(part * self.counts["calls"]))
        near = self.folder / "near-the-end"
        self.target.rename(near)
        for step in range(1, 1000):
            shutil.copytree(near, self.target)
            said = self.life(_wait, every=_NEVER, step=step)
            if said is None:
                self.look()
                return
            self._count(said)
            self.finish()

    def _count(self, said: str) -> int:
        saves, _, name = said.partition(" ")
        self.steps[name] += 1
        return int(saves)


def _wait(child: int) -> None:
    """Leave the child alone."""


def _kill_after(seconds: float, child: int) -> None:
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)


def _die_at(step: int, report: int) -> None:
    """Let this process kill itself before its ``step``-th step of writing, having reported it, after the number of checkpoints written."""
    count, saves, kill = 0, 0, os.kill

    def reach(name: str, place: Any) -> None:
        nonlocal count, saves
        count += 1
        if count == step:
            os.write(report, f"{saves} {name} {_role(place)}".encode())
            kill(os.getpid(), signal.SIGKILL)

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(place: Any, *more: Any, **options: Any) -> Any:
            nonlocal saves
            reach(name, place)
            result = original(place, *more, **options)
            saves += name == "replace" and Path(more[0]).name == "checkpoint.bin"
            return result

        return call

    for name in _STEPS:
        setattr(os, name, watched(name))
    write_bytes = Path.write_bytes

    def by_halves(path: Path, data: Any) -> int:
        reach("write", path)
        write_bytes(path, data[: len(data) // 2])
        reach("write second half", path)
        return write_bytes(path, data)

    Path.write_bytes = by_halves  # type: ignore[method-assign, assignment]


def _role(place: Any) -> str:
    """What the file of a path or handle is for."""
    if isinstance(place, int):
        with contextlib.suppress(OSError):
            place = Path(f"/proc/self/fd/{place}").readlink()
    name = Path(os.fsdecode(place)).name if not isinstance(place, int) else "a file"
    if name.startswith(("run-", "near-")):
        return "the folder"
    name = re.sub(r"^\.(.+)\.[^.]+\.part$", r"\1, temporary", name)
    return re.sub(r"segment-\d+", "segment", name)
