"""Where likelihood calls run: in this process, in worker processes, in any executor, on a Dask cluster. The result never depends on which.

A pool maps ``function(problem, item)`` over items, in order. The problem travels to a worker once; afterwards a task holds only the
function's name and the items. Worker processes of our own count their calls in shared memory, a row each, which the parent sums; other
workers send their counts back with their results. `sciinf.samplers.worker` is the other side.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import math
import multiprocessing
import os
import pickle
import reprlib
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import Counts
from sciinf.core.errors import ConfigError, LikelihoodError, SciinfError, shown
from sciinf.core.problem import Problem
from sciinf.samplers.worker import N_FIELDS, drop, keep, pickled, run_anywhere, run_held, run_kept, start_process

if TYPE_CHECKING:
    from distributed import Client

__all__ = [
    "MAX_WORKERS",
    "DaskPool",
    "ExecutorPool",
    "Pool",
    "ProcessPool",
    "SerialPool",
    "Workers",
    "check_workers",
    "compute_lazy",
    "open_pool",
    "stream",
]

_LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Workers: TypeAlias = "int | Executor | Client"

MAX_WORKERS = 1024
"""Processes, or threads of a process, at most."""

_POINTS_NAMED = 4
_MAIN_GUARD = "In a script, start the run under `if __name__ == '__main__':`"
_ASK_EVERY = 1.0  # seconds between questions for the size of a Dask cluster
_LOOK_EVERY = 0.2  # seconds between looks for a first worker
_PATROL = 2.0  # seconds of waiting for results before a look whether one has failed, and whether a worker is left
_PATIENCE = 300.0  # seconds without any worker, after there were some
_TELL_EVERY = 60.0
_SHORT = reprlib.Repr()
_SHORT.maxother = 80


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
            futures = [self._executor.submit(run_held, self._key, function, share) for share in _shares(items, self.size)]
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
        self.size = _size_of(executor)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, or that a worker died.
        """
        shares = _shares(items, self.size)
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


class DaskPool:
    """A Dask client (``distributed.Client``), whose cluster stays open.

    The scheduler gives the pickled problem to every worker process once, to those that join later too; a task holds the function's name
    and the items. Workers may come and go: a task whose worker is lost runs again on another, with the same result.

    Raises
    ------
    ConfigError
        If the problem cannot be sent to a worker, or the client is asynchronous or not connected.
    """

    def __init__(self, problem: Problem, client: Client, *, threads: int = 1) -> None:
        _check_client(client)
        payload = pickled(problem)
        self._key = hashlib.sha256(payload).hexdigest()
        self._name = f"sciinf-{uuid.uuid4().hex}"
        self._client, self._problem, self._threads = client, problem, threads
        self._parent = SerialPool(problem)
        self._counted = np.zeros(N_FIELDS, dtype=np.int64)
        self._size, self._asked, self._met = 0, -math.inf, False
        client.register_plugin(_placed(self._name, payload), name=self._name)

    @property
    def size(self) -> int:
        """Threads of the workers that are connected, asked at most once a second; waits for a first worker.

        Raises
        ------
        LikelihoodError
            If the cluster is closed, or all workers were lost and none has come back within five minutes.
        """
        if time.monotonic() - self._asked > _ASK_EVERY:
            self._size, self._asked = self._threads_there(), time.monotonic()
        return self._size

    def _threads_there(self) -> int:
        started = told = time.monotonic()
        while True:
            try:
                threads = sum(self._client.nthreads().values()) if self._client.status != "closed" else None
            except OSError:  # the scheduler is gone, and the client has given up looking for it
                threads = None
            if threads is None:
                raise LikelihoodError(f"{self._problem.name}: the Dask cluster was closed. Resume from the last checkpoint")
            if threads:
                self._met = True
                return int(threads)
            now = time.monotonic()
            if self._met and now - started > _PATIENCE:
                raise LikelihoodError(
                    f"{self._problem.name}: every Dask worker was lost after {self.counts().calls} likelihood calls, and none has come "
                    f"back for {_PATIENCE:g} s (killed, out of memory, or out of wall time). Resume from the last checkpoint"
                )
            if now - told > _TELL_EVERY:
                _LOG.warning(
                    "%s: no Dask worker is connected; waiting (if jobs of a queue fail, their output says why)",
                    self._problem.name,
                )
                told = now
            time.sleep(_LOOK_EVERY)

    def map(self, function: Callable[[Problem, Item], Result], items: Sequence[Item]) -> list[Result]:
        """``function(problem, item)`` for each item, in order; one task per thread of the cluster.

        Raises
        ------
        LikelihoodError
            What a likelihood raised in a worker, that a task cost several workers their life, or that none is left.
        """
        from distributed import CancelledError, KilledWorker

        shares = _shares(items, self.size)
        tasks = [pickle.dumps((function, share), protocol=pickle.HIGHEST_PROTOCOL) for share in shares]
        futures = [self._client.submit(run_kept, self._name, self._key, self._threads, task, pure=False) for task in tasks]
        try:
            self._wait(futures)
            answers = self._client.gather(futures)
        except KilledWorker as error:  # its own text names a host
            share = next((s for s, future in zip(shares, futures, strict=True) if future.status == "error"), shares[0])
            raise LikelihoodError(
                f"{self._problem.name}: a task took {error.allowed_failures + 1} Dask workers down, one after another (killed, out of "
                f"memory, or a crash in compiled code). It held {len(share)} items, the first of them {_SHORT.repr(share[0])}. Resume from "
                "the last checkpoint; workers=1 shows whether the likelihood itself crashes"
            ) from None
        except CancelledError as error:
            raise LikelihoodError(
                f"{self._problem.name}: Dask gave up the tasks: its cluster or client was closed. Resume to go on"
            ) from error
        finally:
            if not all(future.done() for future in futures):
                self._client.cancel(futures)
        for _, counts in answers:
            self._counted += counts
        return [result for results, _ in answers for result in results]

    def _wait(self, futures: list[Any]) -> None:
        """Until all are done or one has failed; looks now and then whether anybody is there to do them."""
        from distributed import wait as wait_for

        while waiting := [future for future in futures if not future.done()]:
            if any(future.status == "error" for future in futures):
                return
            try:
                wait_for(waiting, timeout=_PATROL)
            except TimeoutError:
                self._threads_there()

    def counts(self) -> Counts:
        """Likelihood calls, -inf and rejections since the pool was opened, as the workers reported them, and this process's own."""
        return Counts.from_rows(np.vstack([self._counted, np.array(self._parent.counts(), dtype=np.int64)]))

    def close(self, *, now: bool = False) -> None:
        """Workers forget the problem; the cluster belongs to the caller and stays open."""
        if self._client.status == "running":
            self._client.unregister_worker_plugin(self._name)


def _check_client(client: Client) -> None:
    if client.asynchronous:
        raise ConfigError("workers: an asynchronous Dask client cannot be waited for; make it with Client(...), outside a coroutine")
    if client.status != "running":
        raise ConfigError(f"workers: the Dask client is {client.status}; connect it to a running cluster")


def _size_of(executor: Executor) -> int:
    """Workers of an executor, where it says; else the processors of this machine."""
    size = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)  # concurrent.futures; mpi4py
    return int(size or os.cpu_count() or 1)


def _placed(name: str, payload: bytes) -> Any:
    """A plugin that places the pickled problem in each worker process when it starts, and takes it away at the end."""
    from distributed import WorkerPlugin

    class Placed(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            keep(name, payload)

        def teardown(self, worker: Any) -> None:
            drop(name)

    return Placed()


def _shares(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
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
        return DaskPool(problem, workers, threads=threads)
    return ExecutorPool(problem, workers, threads=threads)


def stream(function: Callable[[Item], Result], items: Iterable[Item], workers: Workers) -> Iterator[Result]:
    """``function(item)`` for each of many items, in order, for work that is data and no likelihood.

    Items are taken from the iterable as they are needed: those taken and not yet worked off are at most one more than there are workers.

    Parameters
    ----------
    function : callable
        Of one item; for other processes it must be possible to pickle it.
    items : iterable
        Anything that ``function`` takes.
    workers : int, executor or Dask client
        A number is one of threads of this process: ``function`` should release the interpreter.

    Raises
    ------
    ConfigError
        If ``workers`` is none of these.
    SciinfError
        If a worker dies.

    Examples
    --------
    >>> list(stream(abs, iter([-1, 2, -3]), 2))
    [1, 2, 3]
    """
    check_workers(workers)
    if isinstance(workers, (int, np.integer)):
        if workers == 1:
            return map(function, items)
        return _threaded(function, items, int(workers))
    other: Any = workers
    if is_dask_client(other):
        _check_client(other)
        return _in_order(lambda item: _on_cluster(other, function, item), items, sum(other.nthreads().values()))
    return _in_order(lambda item: other.submit(function, item), items, _size_of(other))


def _threaded(function: Callable[[Item], Result], items: Iterable[Item], size: int) -> Iterator[Result]:
    with ThreadPoolExecutor(size) as executor:
        yield from _in_order(lambda item: executor.submit(function, item), items, size)


def _on_cluster(client: Client, function: Callable[[Item], Any], item: Item) -> Any:
    """A task whose item is sent for itself: Dask wants graphs to be small."""
    return client.submit(function, client.scatter(item, hash=False), pure=False)


def _in_order(submit: Callable[[Item], Any], items: Iterable[Item], size: int) -> Iterator[Any]:
    """Results of what was submitted, in order; at most ``size`` + 1 are under way."""
    waiting: deque[Any] = deque()
    try:
        with _told_of_deaths():
            for item in items:
                waiting.append(submit(item))
                del item  # what is worked off must not be kept while the next is made
                if len(waiting) > size:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def _told_of_deaths() -> Iterator[None]:
    """What an executor or Dask raises when workers die becomes an error of ours; theirs may name a host."""
    try:
        yield
    except Exception as error:
        if isinstance(error, BrokenExecutor) or type(error).__name__ in ("KilledWorker", "CancelledError", "FutureCancelledError"):
            raise SciinfError("a worker died (killed, out of memory, or a crash in compiled code), or its cluster was closed") from None
        raise


def compute_lazy(function: Callable[[Any], Result], parts: Sequence[Any], workers: Workers) -> list[Result]:
    """``function(part)`` for each part of a lazy Dask object, in order, as one graph: Dask does what parts share once, and drops a part
    when it is worked off.

    Parameters
    ----------
    function : callable
        Of one part, computed; for other processes it must be possible to pickle it.
    parts : sequence of Dask objects
        As ``to_delayed`` gives them.
    workers : int, executor or Dask client
        A number is one of threads of this process.

    Raises
    ------
    ConfigError
        If ``workers`` is none of these.
    SciinfError
        If a worker dies.
    """
    import dask

    check_workers(workers)
    tasks = [dask.delayed(partial(function), pure=False, traverse=False)(part) for part in parts]
    client: Any = workers
    with _told_of_deaths():
        if is_dask_client(client):
            _check_client(client)
            return list(client.gather(client.compute(tasks)))
        if workers == 1:
            return list(dask.compute(*tasks, scheduler="synchronous"))
        if isinstance(workers, (int, np.integer)):
            return list(dask.compute(*tasks, scheduler="threads", num_workers=int(workers)))
        return list(dask.compute(*tasks, scheduler=workers))
