"""Quantiles of units that are extracted chunk by chunk, where the values do not fit into memory together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, DataTypeError, shown
from sciinf.engines.r3d.data import RaggedSample, UnitQuantiles
from sciinf.engines.r3d.settings import QuantileRule, one_of

__all__ = ["extract_quantiles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST_THREADS = 1024


def _of_chunk(
    chunk: RaggedSample, levels: FloatArray, rule: QuantileRule
) -> tuple[NDArray[Any], FloatArray, IntArray, FloatArray, FloatArray]:
    """Labels, quantiles, counts, means and weight sums of one chunk; runs in a worker."""
    sums = chunk.sizes.astype(np.float64) if chunk.weights is None else np.add.reduceat(chunk.weights, chunk.offsets[:-1])
    assert chunk.labels is not None
    return chunk.labels, chunk.quantiles(levels, rule), chunk.sizes, chunk.means(), sums


def extract_quantiles(
    chunks: Iterable[RaggedSample], q_grid: ArrayLike, rule: QuantileRule = "type7", workers: int | Executor = 1
) -> UnitQuantiles:
    """Quantiles of units that come in chunks; only a few chunks are held at a time.

    Parameters
    ----------
    chunks : iterable of RaggedSample
        Whole units each, in any order, labelled; a generator is read as it is needed.
    q_grid : (n_q,) array
        Levels in (0, 1), strictly increasing.
    rule : {"type7", "inverted_cdf"}
        See `unit_quantiles`.
    workers : int or Executor
        Threads (sorting releases the interpreter), or any executor with ``submit``.

    Returns
    -------
    UnitQuantiles
        Units sorted by label: the same bytes for any chunks and any number of workers.

    Raises
    ------
    DataError
        If a unit is in two chunks (names it and both chunks), or there is none.
    DataTypeError
        If a chunk is not a RaggedSample.
    ConfigError
        If levels or workers cannot be used.

    Examples
    --------
    >>> halves = (RaggedSample(np.arange(4.0) + i, np.array([0, 4]), labels=np.array([i])) for i in (1, 0))
    >>> extract_quantiles(halves, [0.5]).quantiles.ravel().tolist()
    [1.5, 2.5]
    """
    levels = np.array(_checked_levels(q_grid))
    one_of("quantile_rule", rule, ("type7", "inverted_cdf"))
    if isinstance(workers, Executor):
        return _gathered(_mapped(chunks, levels, rule, workers, window=_window(workers)), levels, rule)
    if isinstance(workers, (bool, np.bool_)) or not isinstance(workers, (int, np.integer)) or not 1 <= workers <= _MOST_THREADS:
        raise ConfigError(f"r3d: workers must be a number of threads from 1 to {_MOST_THREADS}, or an executor; got {shown(workers)}")
    if workers == 1:
        return _gathered((_of_chunk(chunk, levels, rule) for chunk in _checked(chunks)), levels, rule)
    with ThreadPoolExecutor(int(workers)) as pool:
        return _gathered(_mapped(chunks, levels, rule, pool, window=int(workers) + 1), levels, rule)


def _checked_levels(q_grid: ArrayLike) -> tuple[float, ...]:
    from sciinf.engines.r3d.settings import R3DSettings

    return R3DSettings(q_grid=tuple(np.atleast_1d(np.asarray(q_grid, dtype=np.float64)).tolist())).q_grid


def _window(executor: Executor) -> int:
    """Chunks under way at a time: one more than workers where the executor says how many it has."""
    return int(getattr(executor, "_max_workers", 4)) + 1


def _checked(chunks: Iterable[RaggedSample]) -> Iterator[RaggedSample]:
    for i, chunk in enumerate(chunks):
        if not isinstance(chunk, RaggedSample):
            raise DataTypeError(f"chunk {i} must be a RaggedSample, got {shown(chunk)}")
        yield chunk


def _mapped(chunks: Iterable[RaggedSample], levels: FloatArray, rule: QuantileRule, executor: Executor, window: int) -> Iterator[Any]:
    """Results in the order of the chunks, a bounded number of chunks under way."""
    waiting: deque[Future[Any]] = deque()
    for chunk in _checked(chunks):
        waiting.append(executor.submit(_of_chunk, chunk, levels, rule))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _gathered(results: Iterator[Any], levels: FloatArray, rule: QuantileRule) -> UnitQuantiles:
    """All chunks as one table, units sorted by label."""
    parts = list(results)
    if not parts:
        raise DataError("there is no chunk: extract_quantiles needs at least one")
    labels, quantiles, counts, means, sums = (np.concatenate(column) for column in zip(*parts, strict=True))
    origin = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    order = np.argsort(labels, kind="stable")
    same = np.flatnonzero(labels[order][1:] == labels[order][:-1])
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise DataError(
            f"unit {labels[first]} is in chunk {origin[first]} and in chunk {origin[second]}: a chunk must hold whole units "
            f"({len(same)} such units). Cut the chunks between units"
        )
    return UnitQuantiles(labels[order], levels, quantiles[order], counts[order], means[order], sums[order], rule)
