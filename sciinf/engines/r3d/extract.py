"""Quantiles of units that are extracted chunk by chunk, where the values do not fit into memory together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, DataTypeError, MissingDependencyError, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.r3d import kernels
from sciinf.engines.r3d.columns import FrameColumns, columns_of, listed, names_of
from sciinf.engines.r3d.data import RaggedSample, UnitQuantiles
from sciinf.engines.r3d.settings import QuantileRule, checked_grid, one_of
from sciinf.samplers.pools import Workers, is_dask_client
from sciinf.samplers.streams import compute_lazy, stream

__all__ = ["extract_quantiles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def extract_quantiles(
    chunks: Iterable[RaggedSample | Path | str | Any],
    q_grid: ArrayLike,
    rule: QuantileRule = "type7",
    workers: Workers = 1,
    *,
    columns: FrameColumns | None = None,
) -> UnitQuantiles:
    """Quantiles of units that come in chunks; only a few chunks are held at a time.

    Parameters
    ----------
    chunks : iterable, or Dask DataFrame
        Whole units each, labelled, in any order; a generator is read as it is needed. A chunk is a RaggedSample, the path of a Parquet
        file, or a table (data frame or dictionary of columns) with one row per value; of a Dask DataFrame it is a partition. One without
        rows is passed over.
    q_grid : (n_q,) array
        Levels in (0, 1), strictly increasing.
    rule : {"type7", "inverted_cdf"}
        See `unit_quantiles`.
    workers : int, Executor or Dask client
        Threads (sorting releases the interpreter), any executor with ``submit``, or a ``distributed.Client``. At most one chunk more than
        there are workers is held. Paths are read by the workers; samples and tables are sent to them. Partitions are Dask's own business:
        it makes and drops them as its workers can take them.
    columns : FrameColumns, optional
        Columns of files and tables: ``unit``, ``value`` and, where named, ``weight``; the others are of the table of units and not read.

    Returns
    -------
    UnitQuantiles
        Units sorted by label: the same bytes, `input_hash` included, for any chunks, any order of units and any number of workers.

    Raises
    ------
    DataError
        If a unit is in two chunks (names it and both chunks), there is no value at all, or a file cannot be read.
    DataTypeError
        If a chunk is none of these, or labels are integers in one chunk and text in another.
    ConfigError
        If levels or workers cannot be used, or a column is missing.
    MissingDependencyError
        If there are Parquet files and no pyarrow.

    Examples
    --------
    >>> halves = (RaggedSample(np.arange(4.0) + i, np.array([0, 4]), labels=np.array([i])) for i in (1, 0))
    >>> extract_quantiles(halves, [0.5]).quantiles.ravel().tolist()
    [1.5, 2.5]
    """
    levels = checked_grid(np.atleast_1d(np.asarray(q_grid)).tolist())
    one_of("quantile_rule", rule, ("type7", "inverted_cdf"))
    if columns is not None and not isinstance(columns, FrameColumns):
        raise ConfigError(f"extract_quantiles: columns must be FrameColumns, got {shown(columns)}")
    columns = columns or FrameColumns()
    names: list[str] = []
    extraction = _Extraction(levels, rule, columns)
    if hasattr(chunks, "to_delayed") and hasattr(chunks, "columns"):
        partitions = _partitions(chunks, columns, is_local=not is_dask_client(workers))
        names += [f"partition {i}" for i in range(len(partitions))]
        parts = compute_lazy(extraction, partitions, workers)
    else:
        parts = list(stream(extraction, _chunks(chunks, names), workers))
    return _gathered(parts, names, np.array(levels), rule)


class _Part(NamedTuple):
    """What is kept of a chunk."""

    labels: NDArray[Any]
    quantiles: FloatArray
    counts: IntArray
    means: FloatArray
    sums: FloatArray
    digests: NDArray[np.uint64]


@dataclass(frozen=True)
class _Extraction:
    """What is done to a chunk; runs in a worker, which may be another process."""

    levels: tuple[float, ...]
    rule: QuantileRule
    columns: FrameColumns

    def __call__(self, chunk: Any) -> _Part | None:
        """Its units' labels, quantiles, counts, means, weight sums and digests; None if it has no row."""
        sample = _sample(chunk, self.columns)
        if sample is None:
            return None
        sums = sample.sizes.astype(np.float64) if sample.weights is None else np.add.reduceat(sample.weights, sample.offsets[:-1])
        assert sample.labels is not None
        return _Part(sample.labels, sample.quantiles(self.levels, self.rule), sample.sizes, sample.means(), sums, _digests(sample))


def _partitions(frame: Any, columns: FrameColumns, *, is_local: bool) -> list[Any]:
    """The partitions of a Dask DataFrame, with the wanted columns alone."""
    import dask

    if columns.unit not in list(frame.columns) and frame.index.name == columns.unit:
        frame = frame.reset_index()
    wanted = names_of(frame, "the Dask DataFrame", columns.of_observations)
    with dask.config.set({"dataframe.shuffle.method": "tasks"} if is_local else {}):  # else a shuffle looks for a cluster
        return list(frame[list(wanted.values())].to_delayed())


def _chunks(chunks: Any, names: list[str]) -> Iterator[Any]:
    """One chunk after the other, checked; how messages call each is put into ``names``."""
    if isinstance(chunks, (str, Path, RaggedSample, Mapping)) or hasattr(chunks, "columns") or not isinstance(chunks, Iterable):
        raise DataTypeError(f"chunks must be an iterable of samples, paths or tables, or a Dask DataFrame: give [one], got {shown(chunks)}")
    for i, chunk in enumerate(chunks):
        path = isinstance(chunk, (str, Path))
        if not (path or isinstance(chunk, (RaggedSample, Mapping)) or hasattr(chunk, "columns")):
            raise DataTypeError(f"chunk {i} must be a RaggedSample, the path of a Parquet file, or a table of columns, got {shown(chunk)}")
        names.append(f"chunk {i} ({Path(chunk).name})" if path else f"chunk {i}")
        yield Path(chunk) if path else chunk
        del chunk


def _sample(chunk: Any, columns: FrameColumns) -> RaggedSample | None:
    """The chunk's units, read where it is a file; None where there is no row."""
    if isinstance(chunk, RaggedSample):
        return chunk
    where = chunk.name if isinstance(chunk, Path) else "a chunk"
    table = _parquet(chunk, columns) if isinstance(chunk, Path) else chunk
    found = columns_of(table, where, columns.of_observations)
    if all(len(column) == 0 for column in found.values()):
        return None
    try:
        return RaggedSample.from_long(found["unit"], found["value"], found.get("weight"))
    except DataError as error:
        raise type(error)(f"{where}: {error}") from error


def _parquet(path: Path, columns: FrameColumns) -> dict[str, NDArray[Any]]:
    """The wanted columns of a Parquet file."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingDependencyError.for_extra("pyarrow", "parquet", f"extract_quantiles from Parquet files ({path.name})") from error
    try:
        present = dict.fromkeys(parquet.read_schema(path).names)
        wanted = names_of(present, path.name, columns.of_observations)
        table = parquet.read_table(path, columns=list(wanted.values()), use_threads=False)
    except (OSError, ArrowException) as error:
        raise DataError(f"{path.name}: cannot be read as a Parquet file ({type(error).__name__}). Is it there, and whole?") from error
    return {name: np.asarray(table.column(name).to_numpy()) for name in wanted.values()}


def _digests(sample: RaggedSample) -> NDArray[np.uint64]:
    """Two words for each unit, (n, 2), that change with its values and weights, and with no other unit or order of rows.

    They tell data apart that differ by accident (two words of 64 bits); sha256 of every unit would cost as much as its sort.
    """
    weights = np.empty(0) if sample.weights is None else sample.weights
    out = np.empty((sample.n_units, 2), dtype=np.uint64)
    kernels.unit_digests(sample.values.view(np.uint64), weights.view(np.uint64), sample.offsets, out)
    return out


def _gathered(parts: list[_Part | None], names: list[str], levels: FloatArray, rule: QuantileRule) -> UnitQuantiles:
    """All chunks as one table, units sorted by label."""
    held = [(name, part) for name, part in zip(names, parts, strict=True) if part is not None]
    parts.clear()
    if not held:
        raise DataError(f"there is no value in {len(names)} chunks: extract_quantiles needs at least one unit")
    kinds = {part.labels.dtype.kind: name for name, part in held}
    if len(kinds) > 1:
        raise DataTypeError(f"unit labels are text in {kinds['U']} and integers in {kinds['i']}. Make them one type in all chunks")
    labels = np.concatenate([part.labels for _, part in held])
    origin = np.repeat(np.arange(len(held)), [len(part.labels) for _, part in held])
    order = np.argsort(labels, kind="stable")
    same = np.flatnonzero(labels[order][1:] == labels[order][:-1])
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise DataError(
            f"unit {labels[first]} is in {held[origin[first]][0]} and in {held[origin[second]][0]}: a chunk must hold whole units "
            f"({len(same)} such units: {listed(labels[order][same])}). Cut the chunks between units; in Dask, shuffle(on=...) by unit"
        )
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    columns = [[part[k] for _, part in held] for k in range(1, len(_Part._fields))]
    held.clear()
    quantiles, counts, means, sums, digests = (_placed(column, rank) for column in columns)
    whole = sha256_of(*_spelt(labels[order]), counts, digests)
    return UnitQuantiles(labels[order], levels, quantiles, counts, means, sums, rule, whole)


def _spelt(labels: NDArray[Any]) -> tuple[Any, ...]:
    """Labels for a fingerprint: integers as they are; text as one string with the lengths, whatever the width of the array."""
    return (labels,) if labels.dtype.kind == "i" else ("".join(labels.tolist()), np.strings.str_len(labels))


def _placed(columns: list[NDArray[Any]], rank: IntArray) -> NDArray[Any]:
    """Rows of all chunks, each at its unit's place; a chunk's are given up as they are placed."""
    out = np.empty((len(rank), *columns[0].shape[1:]), dtype=columns[0].dtype)
    stop = len(rank)
    while columns:
        column = columns.pop()
        out[rank[stop - len(column) : stop]] = column
        stop -= len(column)
    return out
