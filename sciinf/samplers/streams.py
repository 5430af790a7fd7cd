"""Streams of data through workers: one item after the other, in order, few held at a time; for work that is no likelihood."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sciinf.core.errors import SciinfError
from sciinf.samplers.dask_pool import check_client
from sciinf.samplers.pools import Workers, check_workers, is_dask_client, size_of

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compute_lazy", "stream"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        check_client(other)
        return _in_order(lambda item: _on_cluster(other, function, item), items, sum(other.nthreads().values()))
    return _in_order(lambda item: other.submit(function, item), items, size_of(other))


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
            check_client(client)
            return list(client.gather(client.compute(tasks)))
        if workers == 1:
            return list(dask.compute(*tasks, scheduler="synchronous"))
        if isinstance(workers, (int, np.integer)):
            return list(dask.compute(*tasks, scheduler="threads", num_workers=int(workers)))
        return list(dask.compute(*tasks, scheduler=workers))
