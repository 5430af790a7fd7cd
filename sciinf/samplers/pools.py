"""Where likelihood calls run: in this process, in worker processes, or in any executor. The result never depends on which.

A pool maps ``function(problem, item)`` over items, in order. The problem travels to a worker once; afterwards a task holds only the
function's name and the items. Worker processes count their calls in shared memory, a row each, which the parent sums.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import COUNTER_FIELDS, Counts
from sciinf.core.errors import ConfigError, LikelihoodError, shown
from sciinf.core.problem import Problem

__all__ = ["MAX_WORKERS", "ExecutorPool", "Pool", "ProcessPool", "SerialPool", "check_workers", "limit_threads", "open_pool", "pickled"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Workers = int | Executor

MAX_WORKERS = 1024
"""Processes, or threads of a process, at most."""

_N_FIELDS = len(COUNTER_FIELDS)
_HELD_AT_MOST = 4
_POINTS_NAMED = 4
_MAIN_GUARD = "In a script, start the run under `if __name__ == '__main__':`"


class Pool(Protocol):
    """What a sampler sees: a size, a map, and the counts so far."""

    size: int

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order."""
        ...

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, all workers together."""
        ...

    def close(self, *, now: bool = False) -> None:
        """Give up the workers; ``now`` does not wait for running tasks."""
        ...


@contextlib.contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Within the block BLAS, OpenMP and (where loaded) numba use at most ``threads`` threads in this process."""
    from threadpoolctl import threadpool_limits

    numba: Any = sys.modules.get("numba")
    before = numba.get_num_threads() if numba is not None else 0
    if numba is not None:
        numba.set_num_threads(min(threads, int(numba.config.NUMBA_NUM_THREADS)))
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        if numba is not None:
            numba.set_num_threads(before)


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


class _MainRefused(pickle.Unpickler):
    """Reads a pickle back as a worker would, except that nothing may come from ``__main__``."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__":
            raise ConfigError(
                f"'{name}' is defined in __main__ (a script, a notebook or a prompt), where worker processes cannot find it. "
                "Move it to a module and import it from there, or use workers=1"
            )
        return super().find_class(module, name)


def pickled(problem: Problem) -> bytes:
    """The problem as bytes that a worker can turn back into the same problem.

    Raises
    ------
    ConfigError
        If the problem holds a lambda, a nested function or something of ``__main__``; says to move it to a module.
    """
    try:
        payload = pickle.dumps(problem, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{problem.name} cannot be sent to worker processes: {error}. A lambda or a function inside a function has no name that "
            "a worker could import: move it to a module, or use workers=1"
        ) from error
    _MainRefused(io.BytesIO(payload)).load()
    return payload


class _Held(threading.local):
    """Problems this worker has received, by the sha256 of their bytes; each thread has its own, since a problem counts its calls."""

    def __init__(self) -> None:
        self.problems: dict[str, Problem] = {}


_held = _Held()


def _receive(key: str, payload: bytes) -> Problem:
    while len(_held.problems) >= _HELD_AT_MOST:
        _held.problems.pop(next(iter(_held.problems)))
    problem: Problem = pickle.loads(payload)
    _held.problems[key] = problem
    return problem


def _leave_with_parent() -> None:
    """End this worker when its parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Watched:
    """An engine that notes in shared memory where it is being evaluated, for the case that this costs the process its life."""

    def __init__(self, engine: Any, place: NDArray[np.float64]) -> None:
        self._engine, self._place = engine, place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def log_likelihood(self, theta: NDArray[np.float64]) -> Any:
        """The engine's value at ``theta``."""
        self._place[1:], self._place[0] = theta, 1.0
        value = self._engine.log_likelihood(theta)
        self._place[0] = 0.0
        return value

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> Any:
        """The engine's values; only the first row is noted, and how many there are."""
        self._place[1:], self._place[0] = thetas[0], len(thetas)
        values = self._engine.log_likelihood_many(thetas)
        self._place[0] = 0.0
        return values


def _start_worker(key: str, payload: bytes, shared: tuple[Any, Any, Any], threads: int) -> None:
    """Initializer of a worker process: one row of the shared table, limited threads, the problem."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads)
    table, places, claimed = shared
    with claimed.get_lock():
        row = claimed.value
        claimed.value += 1
    rows = np.frombuffer(table, dtype=np.int64).reshape(-1, _N_FIELDS + 1)
    rows[row, _N_FIELDS] = os.getpid()
    problem = _receive(key, payload)
    problem.count_into(rows[row, :_N_FIELDS])
    place = np.frombuffer(places, dtype=np.float64).reshape(len(rows), -1)[row]
    problem.engine = _Watched(problem.engine, place)


def _run_held(key: str, function: Callable[[Problem, Any], Any], items: Sequence[Any]) -> list[Any]:
    """A task of a worker process of `ProcessPool`."""
    problem = _held.problems[key]
    return [function(problem, item) for item in items]


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
        table = context.RawArray("q", size * (_N_FIELDS + 1))
        self._rows: NDArray[np.int64] = np.frombuffer(table, dtype=np.int64).reshape(size, _N_FIELDS + 1)
        places = context.RawArray("d", size * (len(problem.engine.parameters) + 1))
        self._places: NDArray[np.float64] = np.frombuffer(places, dtype=np.float64).reshape(size, -1)
        start = (self._key, payload, (table, places, context.Value("q", 0)), threads)
        self._executor = ProcessPoolExecutor(size, mp_context=context, initializer=_start_worker, initargs=start)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order; contiguous shares of the items go to the workers.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, or that a worker died.
        """
        try:
            futures = [self._executor.submit(_run_held, self._key, function, share) for share in _shares(items, self.size)]
            return [result for future in futures for result in future.result()]
        except BrokenExecutor as error:
            raise LikelihoodError(self._obituary()) from error

    def _obituary(self) -> str:
        started = int(np.count_nonzero(self._rows[:, _N_FIELDS]))
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
        return Counts.from_rows(np.vstack([self._rows[:, :_N_FIELDS], np.array(self._parent.counts(), dtype=np.int64)]))

    def close(self, *, now: bool = False) -> None:
        """Give up the workers; ``now`` ends them in the middle of their tasks."""
        self._executor.shutdown(wait=not now, cancel_futures=True)
        if now:
            for pid in self._rows[:, _N_FIELDS]:
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGTERM)


def _run_anywhere(
    key: str, payload: bytes | None, function: Callable[[Problem, Any], Any], items: Sequence[Any]
) -> tuple[list[Any], tuple[int, ...]] | None:
    """A task of a foreign executor; None where this worker does not hold the problem yet and was not given it."""
    problem = _held.problems.get(key)
    if problem is None:
        if payload is None:
            return None
        problem = _receive(key, payload)
    before = np.array(problem.counts, dtype=np.int64)
    results = [function(problem, item) for item in items]
    return results, tuple(int(n) for n in np.array(problem.counts, dtype=np.int64) - before)


class ExecutorPool:
    """Any executor with ``submit`` (``concurrent.futures``, ``mpi4py.futures.MPIPoolExecutor``), which stays open.

    A worker that has not seen the problem says so and is sent it once; the calls it counted come back with its results.

    Raises
    ------
    ConfigError
        If the problem cannot be sent to a worker.
    """

    def __init__(self, problem: Problem, executor: Executor) -> None:
        self._payload = pickled(problem)
        self._key = hashlib.sha256(self._payload).hexdigest()
        self._executor, self._problem = executor, problem
        self._parent = SerialPool(problem)
        self._counted = np.zeros(_N_FIELDS, dtype=np.int64)
        size = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)  # concurrent.futures; mpi4py
        self.size = int(size or os.cpu_count() or 1)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, or that a worker died.
        """
        shares = _shares(items, self.size)
        try:
            futures = [self._submit(None, function, share) for share in shares]
            results: list[Result] = []
            for share, future in zip(shares, futures, strict=True):
                answer = future.result()
                if answer is None:
                    answer = self._submit(self._payload, function, share).result()
                results += answer[0]
                self._counted += answer[1]
            return results
        except BrokenExecutor as error:
            raise LikelihoodError(f"{self._problem.name}: a worker of the executor died. Resume from the last checkpoint") from error

    def _submit(self, payload: bytes | None, function: Callable[[Problem, Any], Any], share: Sequence[Any]) -> Future[Any]:
        return self._executor.submit(_run_anywhere, self._key, payload, function, share)

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, as the workers reported them, and this process's own."""
        return Counts.from_rows(np.vstack([self._counted, np.array(self._parent.counts(), dtype=np.int64)]))

    def close(self, *, now: bool = False) -> None:
        """The executor belongs to the caller and stays open."""


def _shares(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """At most ``size`` contiguous, nearly equal, non-empty shares."""
    edges = np.linspace(0, len(items), min(size, len(items)) + 1).astype(int)
    return [items[low:high] for low, high in itertools.pairwise(edges)]


def check_workers(workers: Any) -> None:
    """Refuse what no pool can be made for.

    Raises
    ------
    ConfigError
        If ``workers`` is neither an integer from 1 to `MAX_WORKERS` nor an executor.
    """
    whole = isinstance(workers, (int, np.integer))
    if whole and not isinstance(workers, (bool, np.timedelta64)) and 1 <= workers <= MAX_WORKERS:
        return
    if whole or isinstance(workers, type) or not callable(getattr(workers, "submit", None)):
        raise ConfigError(f"workers must be an integer from 1 to {MAX_WORKERS}, or an executor with submit, got {shown(workers)}")


def open_pool(problem: Problem, workers: Workers, *, threads: int = 1) -> Pool:
    """The pool for ``workers``: 1 for this process, more for worker processes, or an executor.

    Raises
    ------
    ConfigError
        If ``workers`` is neither a positive integer nor an executor, or the problem cannot be sent to a worker.
    """
    check_workers(workers)
    if isinstance(workers, (int, np.integer)):
        return SerialPool(problem) if workers == 1 else ProcessPool(problem, int(workers), threads=threads)
    return ExecutorPool(problem, workers)
