"""The worker's side of a pool: it receives a problem once, holds it, limits its threads, and does the tasks it is given.

Everything here must work in a thread beside others of the same process: each thread has a problem of its own, since a problem counts
its calls, and limits of the process are lifted by the last thread that leaves.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import COUNTER_FIELDS
from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem

__all__ = ["N_FIELDS", "drop", "keep", "limit_threads", "pickled", "run_anywhere", "run_held", "run_kept", "start_process"]

N_FIELDS = len(COUNTER_FIELDS)
_HELD_AT_MOST = 4
Answer = tuple[list[Any], tuple[int, ...]]


class _Limits:
    """BLAS and OpenMP limits are the process's, not a thread's: the smallest in force holds, and the last to leave lifts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_force: list[int] = []
        self._before: list[Any] = []
        self._controller: Any = None
        self._modules = 0

    def enter(self, threads: int) -> None:
        with self._lock:
            new = len(sys.modules) != self._modules  # a library comes with a module; looking for libraries costs milliseconds
            if new:
                from threadpoolctl import ThreadpoolController

                self._controller, self._modules = ThreadpoolController(), len(sys.modules)
            limited = self._controller.limit(limits=min([threads, *self._in_force]))
            if new or not self._in_force:
                self._before.append(limited)
            self._in_force.append(threads)

    def leave(self, threads: int) -> None:
        with self._lock:
            self._in_force.remove(threads)
            if self._in_force:
                self._controller.limit(limits=min(self._in_force))
                return
            while self._before:
                self._before.pop().restore_original_limits()


_limits = _Limits()


@contextlib.contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Within the block BLAS and OpenMP use at most ``threads`` threads in this process, and (where loaded) numba in this thread."""
    numba: Any = sys.modules.get("numba")
    before = numba.get_num_threads() if numba is not None else 0
    if numba is not None:
        numba.set_num_threads(min(threads, int(numba.config.NUMBA_NUM_THREADS)))
    _limits.enter(threads)
    try:
        yield
    finally:
        _limits.leave(threads)
        if numba is not None:
            numba.set_num_threads(before)


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
    """Problems this thread has unpickled, by the sha256 of their bytes."""

    def __init__(self) -> None:
        self.problems: dict[str, Problem] = {}


_held = _Held()
_kept: dict[str, list[bytes]] = {}  # pickled problems that pools have placed in this process, by the pool's name
_keeping = threading.Lock()


def keep(name: str, payload: bytes) -> None:
    """Keep a pool's pickled problem in this process, for all threads of all workers that live here."""
    with _keeping:
        _kept.setdefault(name, []).append(payload)


def drop(name: str) -> None:
    """Undo one `keep`."""
    with _keeping:
        if name in _kept and len(_kept[name]) > 1:
            _kept[name].pop()
        else:
            _kept.pop(name, None)


def _receive(key: str, payload: bytes) -> Problem:
    """Unpickle a problem for this thread.

    Raises
    ------
    ConfigError
        If this process cannot import what the problem is made of.
    """
    while len(_held.problems) >= _HELD_AT_MOST:
        _held.problems.pop(next(iter(_held.problems)))
    try:
        problem: Problem = pickle.loads(payload)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"a worker cannot import what the problem is made of ({error}). Workers need the same packages as the parent, and your own "
            "module on their PYTHONPATH"
        ) from error
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


def start_process(key: str, payload: bytes, shared: tuple[Any, Any, Any], threads: int) -> None:
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
    rows = np.frombuffer(table, dtype=np.int64).reshape(-1, N_FIELDS + 1)
    rows[row, N_FIELDS] = os.getpid()
    problem = _receive(key, payload)
    problem.count_into(rows[row, :N_FIELDS])
    place = np.frombuffer(places, dtype=np.float64).reshape(len(rows), -1)[row]
    problem.engine = _Watched(problem.engine, place)


def run_held(key: str, function: Callable[[Problem, Any], Any], items: Sequence[Any]) -> list[Any]:
    """A task of a process that `start_process` prepared."""
    problem = _held.problems[key]
    return [function(problem, item) for item in items]


def run_anywhere(
    key: str, payload: bytes | None, threads: int, function: Callable[[Problem, Any], Any], items: Sequence[Any]
) -> Answer | None:
    """A task of a foreign executor: results and counts; None where this thread does not hold the problem yet and was not given it."""
    problem = _held.problems.get(key)
    if problem is None:
        if payload is None:
            return None
        problem = _receive(key, payload)
    return _counted(problem, threads, function, items)


def run_kept(name: str, key: str, threads: int, task: bytes) -> Answer:
    """A task, pickled ``(function, items)``, of a process in which `keep` has placed the problem: results and counts."""
    problem = _held.problems.get(key)
    if problem is None:
        problem = _receive(key, _kept[name][0])
    function, items = pickle.loads(task)
    return _counted(problem, threads, function, items)


def _counted(problem: Problem, threads: int, function: Callable[[Problem, Any], Any], items: Sequence[Any]) -> Answer:
    """Results, and the counts of this task alone: the problem is this thread's own."""
    before = np.array(problem.counts, dtype=np.int64)
    with limit_threads(threads):
        results = [function(problem, item) for item in items]
    return results, tuple(int(n) for n in np.array(problem.counts, dtype=np.int64) - before)
