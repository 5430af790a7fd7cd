"""Where likelihood calls run: in this process, in worker processes, in any executor, on a Dask cluster (`sciinf.samplers.dask_pool`). The
result never depends on which.

A pool maps ``function(problem, item)`` over items, in order. The problem travels to a worker once; afterwards a task holds only the
function's name and the items. Worker processes of our own count their calls in shared memory, a row each, which the parent sums; other
workers send their counts back with their results. `sciinf.samplers.worker` is the other side.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import Counts
from sciinf.core.errors import ConfigError, LikelihoodError, shown
from sciinf.core.problem import Problem
from sciinf.samplers.worker import N_FIELDS, pickled, run_anywhere, run_held, start_process

if TYPE_CHECKING:
    from distributed import Client

__all__ = [
    "MAX_WORKERS",
    "ExecutorPool",
    "Pool",
    "ProcessPool",
    "SerialPool",
    "Workers",
    "check_workers",
    "is_dask_client",
    "open_pool",
    "shares_of",
    "size_of",
]

Item = TypeVar("Item")
Result = TypeVar("Result")
Workers: TypeAlias = "int | Executor | Client"

MAX_WORKERS = 1024
"""Processes, or threads of a process, at most."""

_POINTS_NAMED = 4
_MAIN_GUARD = "In a script, start the run under `if __name__ == '__main__':`"


class Pool(Protocol):
    """What a sampler sees: a size, a map, and the counts so far."""

    @property
    def size(self) -> int:
        """Workers that can do something at the same time."""
        ...

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order."""
        ...

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, all workers together."""
        ...

    def close(self, *, now: bool = False) -> None:
        """Give up the workers; ``now`` does not wait for running tasks."""
        ...


class SerialPool:
    """Everything in this process, in order."""

    size = 1

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._before = np.array(problem.counts, dtype=np.int64)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order."""
        problem = self._problem
        return [function(problem, item) for item in items]

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened."""
        return Counts.from_rows(np.array(self._problem.counts, dtype=np.int64) - self._before)

    def close(self, *, now: bool = False) -> None:
        """Nothing to give up."""


class ProcessPool:
    """Worker processes on this machine, started afresh (``spawn``); each holds the problem and uses ``threads`` threads.

    Raises
    ------
    ConfigError
        If the problem cannot be sent to a worker.
    """

    def __init__(self, problem: Problem, size: int, *, threads: int = 1) -> None:
        payload = pickled(problem)
        self.size = size
        self._problem = problem
        self._key = hashlib.sha256(payload).hexdigest()
        self._parent = SerialPool(problem)
        context = multiprocessing.get_context("spawn")
        table = context.RawArray("q", size * (N_FIELDS + 1))
        self._rows: NDArray[np.int64] = np.frombuffer(table, dtype=np.int64).reshape(size, N_FIELDS + 1)
        places = context.RawArray("d", size * (len(problem.engine.parameters) + 1))
        self._places: NDArray[np.float64] = np.frombuffer(places, dtype=np.float64).reshape(size, -1)
        start = (self._key, payload, (table, places, context.Value("q", 0)), threads)
        self._executor = ProcessPoolExecutor(size, mp_context=context, initializer=start_process, initargs=start)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order; contiguous shares of the items go to the workers.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, or that a worker died.
        """
        try:
            futures = [self._executor.submit(run_held, self._key, function, share) for share in shares_of(items, self.size)]
            return [result for future in futures for result in future.result()]
        except BrokenExecutor as error:
            raise LikelihoodError(self._obituary()) from error

    def _obituary(self) -> str:
        started = int(np.count_nonzero(self._rows[:, N_FIELDS]))
        if started < self.size and not self.counts().calls:
            return f"{self._problem.name}: a worker process died before it could start. {_MAIN_GUARD}; its output above says more"
        names = self._problem.engine.parameters
        under_way = [
            ", ".join(f"{name}={x!r}" for name, x in zip(names, place[1:].tolist(), strict=True))
            + (f" (first of {int(place[0])} points)" if place[0] > 1.0 else "")
            for place in self._places
            if place[0] > 0.0
        ]
        where = f". It was evaluating {' or '.join(under_way[:_POINTS_NAMED])}" if under_way else ""
        return (
            f"{self._problem.name}: a worker process died after {self.counts().calls} likelihood calls (killed, out of memory, or a crash "
            f"in compiled code){where}. Resume from the last checkpoint; workers=1 shows whether the likelihood itself crashes"
        )

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, this process and all workers together."""
        return Counts.from_rows(np.vstack([self._rows[:, :N_FIELDS], np.array(self._parent.counts(), dtype=np.int64)]))

    def close(self, *, now: bool = False) -> None:
        """Give up the workers; ``now`` ends them in the middle of their tasks."""
        self._executor.shutdown(wait=not now, cancel_futures=True)
        if now:
            for pid in self._rows[:, N_FIELDS]:
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGTERM)


class ExecutorPool:
    """Any executor with ``submit`` (``concurrent.futures``, ``mpi4py.futures.MPIPoolExecutor``), which stays open.

    A worker that has not seen the problem says so, and its share is submitted again with the problem; the calls that a worker counted
    come back with its results.

    Raises
    ------
    ConfigError
        If the problem cannot be sent to a worker.
    """

    def __init__(self, problem: Problem, executor: Executor, *, threads: int = 1) -> None:
        self._payload = pickled(problem)
        self._key = hashlib.sha256(self._payload).hexdigest()
        self._executor, self._problem, self._threads = executor, problem, threads
        self._parent = SerialPool(problem)
        self._counted = np.zeros(N_FIELDS, dtype=np.int64)
        self.size = size_of(executor)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, or that a worker died.
        """
        shares = shares_of(items, self.size)
        answers: list[Any] = [None] * len(shares)
        under_way: dict[Future[Any], int] = {}
        try:
            under_way |= {self._submit(None, function, share): i for i, share in enumerate(shares)}
            while under_way:
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    i = under_way.pop(future)
                    answers[i] = future.result()
                    if answers[i] is None:
                        under_way[self._submit(self._payload, function, shares[i])] = i
        except BrokenExecutor as error:
            raise LikelihoodError(f"{self._problem.name}: a worker of the executor died. Resume from the last checkpoint") from error
        finally:
            for future in under_way:  # after an error: those that have not begun
                future.cancel()
        for _, counts in answers:
            self._counted += counts
        return [result for results, _ in answers for result in results]

    def _submit(self, payload: bytes | None, function: Callable[[Problem, Any], Any], share: Sequence[Any]) -> Future[Any]:
        return self._executor.submit(run_anywhere, self._key, payload, self._threads, function, share)

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, as the workers reported them, and this process's own."""
        return Counts.from_rows(np.vstack([self._counted, np.array(self._parent.counts(), dtype=np.int64)]))

    def close(self, *, now: bool = False) -> None:
        """The executor belongs to the caller and stays open."""


def size_of(executor: Executor) -> int:
    """Workers of an executor, where it says; else the processors of this machine."""
    size = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)  # concurrent.futures; mpi4py
    return int(size or os.cpu_count() or 1)


def shares_of(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """At most ``size`` contiguous, nearly equal, non-empty shares."""
    edges = np.linspace(0, len(items), min(size, len(items)) + 1).astype(int)
    return [items[low:high] for low, high in itertools.pairwise(edges)]


def is_dask_client(workers: Any) -> bool:
    """Whether it is a ``distributed.Client``, or does all that one does here."""
    return callable(getattr(workers, "register_plugin", None)) and callable(getattr(workers, "get_executor", None))


def check_workers(workers: Any) -> None:
    """Refuse what no pool can be made for.

    Raises
    ------
    ConfigError
        If ``workers`` is no integer from 1 to `MAX_WORKERS`, no executor and no Dask client.
    """
    whole = isinstance(workers, (int, np.integer))
    if whole and not isinstance(workers, (bool, np.timedelta64)) and 1 <= workers <= MAX_WORKERS:
        return
    if not isinstance(workers, type) and is_dask_client(workers):
        return
    if type(workers).__module__.startswith("distributed"):
        raise ConfigError(f"workers: give the Dask client itself, Client(cluster), got its {type(workers).__name__}")
    if whole or isinstance(workers, type) or not callable(getattr(workers, "submit", None)):
        raise ConfigError(
            f"workers must be an integer from 1 to {MAX_WORKERS}, an executor with submit, or a Dask client, got {shown(workers)}"
        )


def open_pool(problem: Problem, workers: Workers, *, threads: int = 1) -> Pool:
    """The pool for ``workers``: 1 for this process, more for worker processes, an executor, or a Dask client.

    Raises
    ------
    ConfigError
        If ``workers`` is none of these, or the problem cannot be sent to a worker.
    """
    check_workers(workers)
    if isinstance(workers, (int, np.integer)):
        return SerialPool(problem) if workers == 1 else ProcessPool(problem, int(workers), threads=threads)
    if is_dask_client(workers):
        from sciinf.samplers.dask_pool import DaskPool

        return DaskPool(problem, workers, threads=threads)
    return ExecutorPool(problem, workers, threads=threads)
