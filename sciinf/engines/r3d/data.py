"""What a fit knows of its units' outcomes: samples of values, or quantiles extracted from them; both joined to units by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import DataError, DataTypeError
from sciinf.engines.r3d.columns import as_labels, listed, real_column, unit_of
from sciinf.engines.r3d.kernels import segment_means
from sciinf.engines.r3d.settings import QuantileRule, checked_grid, one_of

__all__ = ["Outcomes", "RaggedSample", "UnitQuantiles", "join_units", "named_as"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_OFFSETS = "They say where each unit begins, and last the number of values: np.concatenate([[0], np.cumsum(sizes)])"


@dataclass(frozen=True, eq=False)
class RaggedSample:
    """The values of n units, one unit behind the other.

    Parameters
    ----------
    values : (N,) float64 array
        All values, in the outcome's unit.
    offsets : (n + 1,) int64 array
        Unit i holds values[offsets[i]:offsets[i + 1]].
    weights : (N,) float64 array, optional
        Non-negative; only their ratios within a unit count.
    labels : (n,) array of integers or text, optional
        Names of the units, all different. Default 0, 1, ..., n - 1, which then only number them (`named` is False).

    Raises
    ------
    DataTypeError
        If values or weights are not real numbers, or labels neither integers nor text.
    DataError
        If a value is not finite, offsets do not increase from 0 to N, a unit is empty, labels repeat, or weights are negative or sum to 0
        in a unit; names the unit.

    Examples
    --------
    >>> sample = RaggedSample.from_list([[1.0, 2.0, 3.0], [5.0]])
    >>> sample.sizes.tolist(), sample.means().tolist()
    ([3, 1], [2.0, 5.0])
    >>> sample.quantiles([0.25, 0.5]).tolist()
    [[1.5, 2.0], [5.0, 5.0]]
    """

    values: FloatArray
    offsets: IntArray
    weights: FloatArray | None = None
    labels: NDArray[Any] | None = None
    named: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        offsets = np.asarray(self.offsets)
        if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2:
            raise DataError(
                f"offsets must be an integer array (n_units + 1,), got dtype {offsets.dtype} and shape {offsets.shape}. {_OFFSETS}"
            )
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        n = len(offsets) - 1
        labels = np.arange(n) if self.labels is None else as_labels("labels", self.labels)
        if len(labels) != n:
            raise DataError(f"labels must be ({n},), one for each unit of the offsets, got {labels.shape}")
        total = np.asarray(self.values).shape
        if offsets[0] != 0 or (offsets[-1],) != total:
            raise DataError(f"offsets must run from 0 to the number of values, {total}; got {offsets[0]} to {offsets[-1]}. {_OFFSETS}")
        sizes = np.diff(offsets)
        if (sizes < 0).any():
            first = int(np.argmax(sizes < 0))
            raise DataError(f"offsets must increase; they fall after unit {labels[first]}, by {-sizes[first]}. {_OFFSETS}")
        if (sizes == 0).any():
            raise DataError(f"every unit needs at least one value; none in: {listed(labels[sizes == 0])}. Leave such units out everywhere")
        _refuse_repeated(labels)
        for name, value in (("named", self.labels is not None), ("offsets", offsets), ("labels", labels)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "values", self._per_value("values", self.values))
        if self.weights is not None:
            object.__setattr__(self, "weights", self._checked_weights())

    def _per_value(self, name: str, values: ArrayLike) -> FloatArray:
        """A finite column of length N; what is wrong is told by unit."""
        return real_column(name, values, length=int(self.offsets[-1]), where=lambda place: f"unit {self._unit_of(place)}")

    def _unit_of(self, position: int) -> Any:
        """Label of the unit that holds a position."""
        assert self.labels is not None
        return self.labels[int(np.searchsorted(self.offsets, position, side="right")) - 1]

    def _checked_weights(self) -> FloatArray:
        weights = self._per_value("weights", self.weights)  # type: ignore[arg-type]
        if (weights < 0.0).any():
            first = int(np.argmax(weights < 0.0))
            raise DataError(
                f"weights must not be negative; unit {self._unit_of(first)} has {weights[first]:g} ({int((weights < 0.0).sum())} such "
                "weights). Drop those values, or weigh them 0"
            )
        sums = np.add.reduceat(weights, self.offsets[:-1])
        if (sums <= 0.0).any():
            assert self.labels is not None
            raise DataError(f"the weights of a unit must not sum to 0; they do in: {listed(self.labels[sums <= 0.0])}. Drop such units")
        return weights

    @classmethod
    def from_long(cls, unit: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> RaggedSample:
        """Sample of a long table, one row per value, in any order of rows; units come sorted by label.

        Raises
        ------
        DataError, DataTypeError
            As the class, naming the row; also if columns differ in length.
        """
        labels = as_labels("unit", unit)
        columns = {"values": values} if weights is None else {"values": values, "weights": weights}
        for name, other in columns.items():
            if np.shape(other) != labels.shape:
                raise DataError(f"unit and {name} must have one length, got {labels.shape} and {np.shape(other)}")
        found = {name: real_column(name, other, where=unit_of(labels)) for name, other in columns.items()}
        names, offsets, order = _runs(labels)
        column, mass = found["values"], found.get("weights")
        if order is not None:
            column, mass = column[order], None if mass is None else mass[order]
        return cls(column, offsets, mass, names)

    @classmethod
    def from_list(cls, arrays: Sequence[ArrayLike], weights: Sequence[ArrayLike] | None = None) -> RaggedSample:
        """Sample of a list with one array (n_i,) per unit, and one of weights where given.

        Raises
        ------
        DataError, DataTypeError
            As the class; also if a unit's weights are not as many as its values.
        """
        parts = [_part(i, "outcomes", part) for i, part in enumerate(arrays)]
        if not parts:
            raise DataError("outcomes must hold at least one unit, got none")
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        if weights is None:
            return cls(np.concatenate(parts), offsets)
        others = [_part(i, "weights", part) for i, part in enumerate(weights)]
        if [part.shape for part in others] != [part.shape for part in parts]:
            wrong = next(
                (i for i, (a, b) in enumerate(zip(parts, others, strict=False)) if a.shape != b.shape), min(len(parts), len(others))
            )
            raise DataError(
                f"weights must be as many as values in every unit; they are not in unit {wrong} ({len(parts)} units, weights of "
                f"{len(others)})"
            )
        return cls(np.concatenate(parts), offsets, np.concatenate(others))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.offsets) - 1

    @cached_property
    def sizes(self) -> IntArray:
        """Number of values of each unit, (n,)."""
        return np.diff(self.offsets)

    def quantiles(self, q_grid: ArrayLike, rule: QuantileRule = "type7") -> FloatArray:
        """Quantiles of each unit at each level: (n, n_q), in the outcome's unit; see `unit_quantiles`."""
        from sciinf.engines.r3d.quantiles import unit_quantiles

        return unit_quantiles(self, q_grid, rule)

    def means(self) -> FloatArray:
        """Mean of each unit, weighted where there are weights: (n,)."""
        weights = np.ones(0) if self.weights is None else self.weights
        return np.asarray(segment_means(self.values, weights, self.offsets))

    def take(self, rows: ArrayLike) -> RaggedSample:
        """The units at ``rows``, in that order, under their labels."""
        rows = np.asarray(rows)
        sizes = self.sizes[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        assert self.labels is not None
        return RaggedSample(self.values[places], offsets, None if self.weights is None else self.weights[places], self.labels[rows])

    def unweighted(self) -> RaggedSample:
        """The same values without weights."""
        return replace(self, weights=None, labels=self.labels if self.named else None)


def _part(i: int, name: str, values: ArrayLike) -> FloatArray:
    """Values of unit i as a float64 array; finite or not, which the class checks."""
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        raw = np.atleast_1d(values)
    else:
        raw = np.atleast_1d(np.asanyarray(values))
        if raw.size and (isinstance(raw, np.ma.MaskedArray) or raw.dtype.kind not in "fiub"):
            raw = real_column(f"unit {i}: {name}", raw)
    if raw.ndim != 1:
        raise DataError(f"unit {i}: {name} must be (n_i,) real numbers, got dtype {raw.dtype} and shape {raw.shape}")
    return raw.astype(np.float64, copy=False)


def _runs(labels: NDArray[Any]) -> tuple[NDArray[Any], IntArray, IntArray | None]:
    """Distinct labels, sorted; where each begins once rows are sorted; and the order that sorts them, None where they are sorted."""
    if len(labels) == 0:
        raise DataError("the table of observations has no row")
    order = None if (labels[1:] >= labels[:-1]).all() else np.argsort(labels, kind="stable")
    ordered = labels if order is None else labels[order]
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    return ordered[starts], np.append(starts, len(labels)), order


@dataclass(frozen=True, eq=False)
class UnitQuantiles:
    """Quantiles of n units at n_q levels: all that a fit needs of their samples.

    Attributes
    ----------
    labels : (n,) array of integers or text, or None
        Names of the units, all different. None: 0, 1, ..., n - 1, which only number them (`named` is False).
    q_grid : (n_q,) float64 array
        Levels inside (0, 1), strictly increasing.
    quantiles : (n, n_q) float64 array
        Outcome's unit, nondecreasing along a row.
    counts : (n,) int64 array, optional
        Number of values of each unit.
    means, weight_sums : (n,) float64 array, optional
        Mean and total weight of each unit.
    rule : {"type7", "inverted_cdf"}
        How they were taken.
    input_hash : str, optional
        Of what they were extracted from: sha256 over each unit's label, size and digest of values and weights, units sorted by label.

    Raises
    ------
    DataError, DataTypeError
        If shapes do not fit, a row decreases, a label repeats, or a count is no positive integer; names the unit.
    ConfigError
        If levels or rule cannot be used.

    Examples
    --------
    >>> table = UnitQuantiles(["b", "a"], [0.25, 0.75], [[1.0, 2.0], [3.0, 3.0]])
    >>> table.take([1]).quantiles.tolist()
    [[3.0, 3.0]]
    """

    labels: NDArray[Any] | None
    q_grid: FloatArray
    quantiles: FloatArray
    counts: IntArray | None = None
    means: FloatArray | None = None
    weight_sums: FloatArray | None = None
    rule: QuantileRule = "type7"
    input_hash: str | None = None
    named: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        one_of("quantile_rule", self.rule, get_args(QuantileRule))
        levels = np.array(checked_grid(self.q_grid))
        table = self._checked_table(len(levels))
        n = len(table)
        labels = np.arange(n) if self.labels is None else as_labels("labels", self.labels)
        columns = {"labels": labels, "counts": self.counts, "means": self.means, "weight_sums": self.weight_sums}
        for name, column in columns.items():
            if column is not None and np.shape(column) != (n,):
                raise DataError(f"{name} must be ({n},), one for each row of quantiles, got {np.shape(column)}")
        _refuse_repeated(labels)
        falling = (table[:, 1:] < table[:, :-1]).any(axis=1)
        if falling.any():
            raise DataError(
                f"quantiles must not decrease along a row; those of unit {labels[np.argmax(falling)]} do ({int(falling.sum())} such units)"
            )
        for name in ("means", "weight_sums"):
            if (column := columns[name]) is not None:
                object.__setattr__(self, name, real_column(name, column, where=unit_of(labels)))
        object.__setattr__(self, "counts", self._checked_counts(labels))
        for name, value in (("named", self.labels is not None), ("quantiles", table), ("labels", labels), ("q_grid", levels)):
            object.__setattr__(self, name, value)

    def _checked_table(self, n_q: int) -> FloatArray:
        """The quantiles as a finite (n, n_q) float64 array; not copied where it is one."""
        table = self.quantiles
        is_one = type(table) is np.ndarray and table.dtype == np.float64 and table.flags.c_contiguous and table.flags.writeable
        if is_one and table.shape == (len(table), n_q) and np.isfinite(table).all():
            return table
        return finite_array("quantiles", table, shape=(-1, n_q))

    def _checked_counts(self, labels: NDArray[Any]) -> IntArray | None:
        if self.counts is None:
            return None
        counts = real_column("counts", self.counts, where=unit_of(labels))
        wrong = np.flatnonzero((counts < 1.0) | (counts != np.floor(counts)))
        if len(wrong):
            raise DataError(
                f"counts must be positive integers, numbers of values; unit {labels[wrong[0]]} has {counts[wrong[0]]:g} "
                f"({len(wrong)} such units)"
            )
        return counts.astype(np.int64)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.quantiles)

    @property
    def sizes(self) -> IntArray | None:
        """Number of values of each unit, where known."""
        return self.counts

    def take(self, rows: ArrayLike) -> UnitQuantiles:
        """The units at ``rows``, in that order, under their labels; the input's hash stays that of the whole."""
        rows = np.asarray(rows)
        columns = (self.counts, self.means, self.weight_sums)
        counts, means, sums = (None if column is None else column[rows] for column in columns)
        assert self.labels is not None
        return UnitQuantiles(self.labels[rows], self.q_grid, self.quantiles[rows], counts, means, sums, self.rule, self.input_hash)

    def save(self, path: Path | str) -> None:
        """Write the table to one HDF5 file, whole or not at all; `load` reads it to the bit.

        Raises
        ------
        DataError
            If the folder does not exist.
        """
        from sciinf.engines.r3d.storage import save_quantiles

        save_quantiles(self, path)

    @staticmethod
    def load(path: Path | str) -> UnitQuantiles:
        """Read a table that `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, not one of ours, or changed.
        """
        from sciinf.engines.r3d.storage import load_quantiles

        return load_quantiles(path)


Outcomes = TypeVar("Outcomes", RaggedSample, UnitQuantiles)


def _refuse_repeated(labels: NDArray[Any]) -> None:
    names, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"a unit may be there only once; repeated: {listed(names[counts > 1])}. Put its values together, or drop the copies"
        )


def join_units(outcomes: Outcomes, units: NDArray[Any], where: str) -> Outcomes:
    """The outcomes in the order of ``units``, joined by label; ``where`` says in messages what holds those.

    Raises
    ------
    DataError
        If a unit is in one of the two only, in either direction, or twice among ``units``, or the outcomes have no labels; names them.
    DataTypeError
        If labels are text in one and integers in the other.
    """
    labels = outcomes.labels
    assert labels is not None
    if not outcomes.named:
        raise DataError(f"the outcomes have no labels, so they cannot be joined to {where}: give RaggedSample(..., labels=...)")
    names, counts = np.unique(units, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{where} must have one row per unit; repeated: {listed(names[counts > 1])}. Keep one row of each")
    if names.dtype.kind != labels.dtype.kind:
        raise DataTypeError(f"unit labels are of different kinds: {labels.dtype} in the outcomes, {names.dtype} in {where}")
    unknown, empty = np.setdiff1d(labels, names), np.setdiff1d(names, labels)
    wrong = [f"observations of units that are not in {where}: {listed(unknown)}"] if len(unknown) else []
    wrong += [f"units of {where} without any observation: {listed(empty)}"] if len(empty) else []
    if wrong:
        raise DataError(f"{'; '.join(wrong)}. Every unit must be in both: drop these, or add what is missing")
    order = np.argsort(labels, kind="stable")
    rows = order[np.searchsorted(labels[order], units)]
    return outcomes if (rows == np.arange(len(rows))).all() else outcomes.take(rows)


def named_as(outcomes: Outcomes, labels: ArrayLike | None) -> Outcomes:
    """The outcomes in the order of the labels of a running variable's units, where there are any.

    Outcomes with labels of their own are joined by label. Others are in that order by their place, and take the labels as names. Without
    labels on the other side, only labels 0, 1, ..., n - 1 in this order, which are the places themselves, tell what belongs to what.

    Raises
    ------
    DataError
        If the two cannot be joined (`join_units`), or only the outcomes have labels.
    """
    if labels is not None:
        names = as_labels("labels", labels)
        if outcomes.named:
            return join_units(outcomes, names, "labels")
        if len(names) != outcomes.n_units:
            raise DataError(f"labels must be ({outcomes.n_units},), one for each unit of the outcomes, got {names.shape}")
        return replace(outcomes, labels=names)
    own = outcomes.labels
    assert own is not None
    if outcomes.named and not (own.dtype.kind == "i" and (own == np.arange(len(own))).all()):
        raise DataError(
            f"the outcomes name their units ({listed(own)}) and the running variable does not, so nothing tells which value of it belongs "
            "to which unit. Give R3D(..., labels=...), the units' labels in the order of the running variable, or use R3D.from_frame with "
            "a table of units"
        )
    return outcomes
