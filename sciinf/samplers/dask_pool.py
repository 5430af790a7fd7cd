"""A Dask cluster as a pool: workers that come and go, the problem with each of them, the same result."""

from __future__ import annotations

import hashlib
import logging
import math
import pickle
import reprlib
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sciinf.core.counters import Counts
from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.problem import Problem
from sciinf.samplers.pools import SerialPool, shares_of
from sciinf.samplers.worker import N_FIELDS, drop, keep, pickled, run_kept

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskPool", "check_client"]

_LOG = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_ASK_EVERY = 1.0  # seconds between questions for the size of a Dask cluster
_LOOK_EVERY = 0.2  # seconds between looks for a first worker
_PATROL = 2.0  # seconds of waiting for results before a look whether one has failed, and whether a worker is left
_PATIENCE = 300.0  # seconds without any worker, after there were some
_TELL_EVERY = 60.0
_SHORT = reprlib.Repr()
_SHORT.maxother = 80


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
        check_client(client)
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

        shares = shares_of(items, self.size)
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


def check_client(client: Client) -> None:
    """Refuse a client that cannot be waited for.

    Raises
    ------
    ConfigError
        If it is asynchronous or not connected.
    """
    if client.asynchronous:
        raise ConfigError("workers: an asynchronous Dask client cannot be waited for; make it with Client(...), outside a coroutine")
    if client.status != "running":
        raise ConfigError(f"workers: the Dask client is {client.status}; connect it to a running cluster")


def _placed(name: str, payload: bytes) -> Any:
    """A plugin that places the pickled problem in each worker process when it starts, and takes it away at the end."""
    from distributed import WorkerPlugin

    class Placed(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            keep(name, payload)

        def teardown(self, worker: Any) -> None:
            drop(name)

    return Placed()
