"""What a sampler's loop has at hand: the problem, where to evaluate it, its budget, its checkpoint, and who may stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import Counts
from sciinf.core.errors import LikelihoodError, SciinfError
from sciinf.core.problem import Problem
from sciinf.samplers.checkpoint import Checkpoint, CheckpointFile, Interrupted, StopSignal, sampler_versions
from sciinf.samplers.pools import MAX_WORKERS, Pool, Workers, check_workers
from sciinf.samplers.progress import Progress
from sciinf.samplers.settings import check_integer, check_positive, plain_value

__all__ = ["Outcome", "Resources", "Session", "Stop", "likelihood_of", "nothing_finite"]

Stop = Literal["", "interrupted", "max_calls", "max_seconds", "max_iterations"]


@dataclass(frozen=True)
class Resources:
    """What a run may use; none of it changes the result of a run that converges.

    Parameters
    ----------
    workers : int, executor or Dask client
        Processes that evaluate the likelihood, or an executor or Dask client that does.
    threads : int
        Threads inside a batched kernel, in this process and in each worker; at most 1024.
    max_calls, max_seconds : int and float, optional
        Budget of the whole run, resumed parts included; when it is spent the run stops with status "not_converged".
    checkpoint_every : float
        Seconds between checkpoints.
    max_iterations : int, optional
        Stop after this many iterations of the sampler: repeats a run that a wall time had cut.

    Raises
    ------
    ConfigError
        If a number is not positive and finite, or ``workers`` is neither a number from 1 to 1024 nor an executor.
    """

    workers: Workers = 1
    threads: int = 1
    max_calls: int | None = None
    max_seconds: float | None = None
    checkpoint_every: float = 60.0
    max_iterations: int | None = None

    def __post_init__(self) -> None:
        check_workers(self.workers)
        check_integer("threads", self.threads, 1, MAX_WORKERS)
        check_positive("checkpoint_every", self.checkpoint_every)
        for name in ("max_calls", "max_iterations"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)
        if self.max_seconds is not None:
            check_positive("max_seconds", self.max_seconds)
        for item in fields(self):  # as JSON holds them
            object.__setattr__(self, item.name, plain_value(getattr(self, item.name)))

    def describe(self) -> dict[str, Any]:
        """JSON-able; an executor or client by its type's name."""
        workers = int(self.workers) if isinstance(self.workers, (int, np.integer)) else type(self.workers).__name__
        return {
            "workers": workers,
            "threads": self.threads,
            "max_calls": self.max_calls,
            "max_seconds": self.max_seconds,
            "checkpoint_every": self.checkpoint_every,
            "max_iterations": self.max_iterations,
        }


@dataclass(frozen=True)
class Outcome:
    """What a sampler hands back: fields of a Posterior, why it stopped, and what it has to say for the manifest."""

    fields: Mapping[str, Any]
    stopped: str
    iterations: int
    report: Mapping[str, Any]

    @property
    def converged(self) -> bool:
        """Whether the sampler's own stopping rule ended the run."""
        return self.stopped == "converged"


@dataclass
class Session:
    """One run of one sampler: everything outside its algorithm."""

    problem: Problem
    seed: int
    pool: Pool
    resources: Resources
    package: str
    science_hash: str
    stop: StopSignal
    progress: Progress
    file: CheckpointFile | None = None
    force: bool = False
    earlier: Counts = field(default_factory=Counts)
    earlier_seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections of the whole run, earlier parts included."""
        return Counts(*(a + b for a, b in zip(self.earlier, self.pool.counts(), strict=True)))

    def seconds(self) -> float:
        """Wall time of the whole run, earlier parts included."""
        return self.earlier_seconds + time.monotonic() - self._started

    def why_stop(self, iterations: int) -> Stop:
        """Why the run must stop now, "" to go on."""
        limits = self.resources
        if self.stop.received:
            return "interrupted"
        if limits.max_iterations is not None and iterations >= limits.max_iterations:
            return "max_iterations"
        if limits.max_calls is not None and self.counts().calls >= limits.max_calls:
            return "max_calls"
        if limits.max_seconds is not None and self.seconds() >= limits.max_seconds:
            return "max_seconds"
        return ""

    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return self.file is not None and time.monotonic() - self._saved >= self.resources.checkpoint_every

    def save(self, iterations: int, body: Callable[[], bytes]) -> None:
        """Write a checkpoint whose body ``body()`` gives; nothing where the run has no directory.

        Raises
        ------
        SciinfError
            If it cannot be written; the last one stays as it is.
        """
        if self.file is None:
            return
        calls, minus_inf, rejected = self.counts()
        counts = (calls, minus_inf, rejected)
        try:
            self.file.write(Checkpoint(sampler_versions(self.package), self.science_hash, iterations, counts, self.seconds(), body()))
        except OSError as error:
            raise SciinfError(
                f"{self.file.path.name} could not be written ({error.strerror}); the checkpoint before it is untouched. "
                "Free some space, or check the folder's permissions, and resume"
            ) from error
        self._saved = time.monotonic()

    def restore(self, verify: Callable[[bytes], None] | None = None) -> Checkpoint | None:
        """The checkpoint to go on from, its counts and seconds taken over; None to start. ``verify`` as in `CheckpointFile.read`."""
        if self.file is None:
            return None
        found = self.file.read(sampler_versions(self.package), self.science_hash, force=self.force, verify=verify)
        if found is not None:
            self.earlier, self.earlier_seconds = Counts(*found.counts), found.seconds
        return found

    def interrupted(self, iterations: int) -> Interrupted:
        """The error to raise once the checkpoint is written."""
        where = (
            "no directory was given, so nothing is kept"
            if self.file is None
            else f"the checkpoint is written: resume the run in '{self.file.folder.name}' to go on"
        )
        return Interrupted(f"{self.problem.name}: stopped by {self.stop.received} after {iterations} iterations; {where}")


def likelihood_of(problem: Problem, theta: NDArray[np.float64]) -> float:
    """Log-likelihood at one point: what a pool maps where points are evaluated one by one."""
    return problem.log_likelihood(theta)


def nothing_finite(problem: Problem, tried: int, found: int = 0) -> LikelihoodError:
    """The error for start points that all, or nearly all, have likelihood zero."""
    ranges = ", ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in problem.priors.supports.items())
    head = f"{tried} points of the prior were tried and the likelihood is zero (ln L = -inf) at "
    share = "every one of them" if not found else f"all but {found} of them"
    mend = "Narrow them to where the model can explain the data, or check the units"
    return LikelihoodError(f"{problem.name}: {head}{share}. The prior ranges are {ranges}. {mend}")
