"""Samples of many units, one behind the other, and the columns they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError, DataTypeError, nearest_names, shown
from sciinf.engines.r3d.kernels import segment_means

if TYPE_CHECKING:
    from sciinf.engines.r3d.settings import QuantileRule

__all__ = ["FrameColumns", "RaggedSample", "as_labels", "columns_of", "join_units", "listed", "real_column"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NAMED = 5  # labels that a message lists


def listed(labels: ArrayLike) -> str:
    """The first labels, and how many there are.

    Examples
    --------
    >>> listed(np.arange(7))
    '0, 1, 2, 3, 4, ... (7 in all)'
    """
    every = np.asarray(labels)
    names = ", ".join(str(item) for item in every[:_NAMED].tolist())
    return names if len(every) <= _NAMED else f"{names}, ... ({len(every)} in all)"


def as_labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """``values`` as a one-dimensional array of integers or text.

    Raises
    ------
    DataTypeError
        If they are neither; floating-point labels that are whole numbers are taken as integers.
    """
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise DataError(f"{name} must be a one-dimensional array of labels, got shape {labels.shape}")
    if labels.dtype.kind == "O":
        if not all(isinstance(item, (str, int, np.integer)) and not isinstance(item, bool) for item in labels.tolist()):
            bad = next(item for item in labels.tolist() if not isinstance(item, (str, int, np.integer)) or isinstance(item, bool))
            raise DataTypeError(f"{name} must be integers or text, got {shown(bad)}")
        whole = all(not isinstance(item, str) for item in labels.tolist())
        labels = labels.astype(np.int64) if whole else labels.astype(str)
    if labels.dtype.kind == "f":
        if not np.all(np.isfinite(labels)) or np.any(labels != np.floor(labels)):
            raise DataTypeError(f"{name} must be integers or text, got floating-point numbers that are not whole")
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuUS":
        raise DataTypeError(f"{name} must be integers or text, got dtype {labels.dtype}")
    return labels


def _where(labels: NDArray[Any] | None, index: int) -> str:
    return f"unit {labels[index]}" if labels is not None else f"index {index}"


def real_column(name: str, values: ArrayLike, *, length: int | None = None, labels: NDArray[Any] | None = None) -> FloatArray:
    """``values`` as a finite, C-contiguous (length,) float64 array; not copied where it is one already.

    Raises
    ------
    DataTypeError
        If they are not real numbers; names the array, the dtype and the first offending unit.
    DataError
        If the length differs or a value is not finite; names the first unit, its position and the count.
    """
    if isinstance(values, np.ndarray) and values.dtype == np.float64 and values.flags.c_contiguous:
        column: FloatArray = values
    else:
        raw = np.asarray(values)
        if raw.dtype.kind == "O":
            bad = next((i for i, item in enumerate(raw.ravel().tolist()) if isinstance(item, str) or not np.isrealobj(item)), 0)
            raise DataTypeError(f"{name} must hold real numbers, got dtype object; the first such value is at {_where(labels, bad)}")
        if raw.dtype.kind not in "fiub":
            raise DataTypeError(f"{name} must hold real numbers, got dtype {raw.dtype}, from {_where(labels, 0)} on")
        column = as_float_array(name, raw)
    if column.ndim != 1 or (length is not None and len(column) != length):
        wanted = "(n,)" if length is None else f"({length},)"
        raise DataError(f"{name} must have shape {wanted}, got {column.shape}")
    if not np.all(np.isfinite(column)):
        bad_places = np.flatnonzero(~np.isfinite(column))
        first = int(bad_places[0])
        where = _where(labels, first)
        raise DataError(
            f"{name} must be finite: {column[first]} at position {first} ({where}), {len(bad_places)} such values. Drop or mend them"
        )
    return column


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
        Names of the units, all different. Default 0, 1, ..., n - 1.

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

    def __post_init__(self) -> None:
        offsets = np.asarray(self.offsets)
        if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2:
            raise DataError(f"offsets must be an integer array (n_units + 1,), got dtype {offsets.dtype} and shape {offsets.shape}")
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        n = len(offsets) - 1
        labels = np.arange(n) if self.labels is None else as_labels("labels", self.labels)
        if len(labels) != n:
            raise DataError(f"labels must be ({n},), one for each unit of the offsets, got {labels.shape}")
        total = np.asarray(self.values).shape
        if offsets[0] != 0 or (offsets[-1],) != total:
            raise DataError(f"offsets must run from 0 to the number of values, {total}; got {offsets[0]} to {offsets[-1]}")
        sizes = np.diff(offsets)
        if (sizes < 0).any():
            raise DataError(f"offsets must increase; they fall after unit {labels[np.argmax(sizes < 0)]}")
        if (sizes == 0).any():
            raise DataError(f"every unit needs at least one value; none in: {listed(labels[sizes == 0])}")
        if len(np.unique(labels)) != n:
            names, counts = np.unique(labels, return_counts=True)
            raise DataError(f"a unit may be there only once; repeated: {listed(names[counts > 1])}")
        for name, value in (("offsets", offsets), ("labels", labels)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "values", self._per_value("values", self.values))
        if self.weights is not None:
            object.__setattr__(self, "weights", self._checked_weights())

    def _per_value(self, name: str, values: ArrayLike) -> FloatArray:
        """A finite column of length N; what is wrong is told by unit."""
        try:
            return real_column(name, values, length=int(self.offsets[-1]))
        except DataError as error:
            raw = np.asarray(values)
            if raw.dtype.kind == "f" and raw.shape == (self.offsets[-1],):
                first = int(np.flatnonzero(~np.isfinite(raw))[0])
                raise type(error)(f"{error}; it is in unit {self._unit_of(first)}") from None
            raise

    def _unit_of(self, position: int) -> Any:
        """Label of the unit that holds a position."""
        assert self.labels is not None
        return self.labels[int(np.searchsorted(self.offsets, position, side="right")) - 1]

    def _checked_weights(self) -> FloatArray:
        weights = self._per_value("weights", self.weights)  # type: ignore[arg-type]
        if (weights < 0.0).any():
            first = int(np.argmax(weights < 0.0))
            raise DataError(f"weights must not be negative; unit {self._unit_of(first)} has {weights[first]:g}")
        sums = np.add.reduceat(weights, self.offsets[:-1])
        if (sums <= 0.0).any():
            assert self.labels is not None
            raise DataError(f"the weights of a unit must not sum to 0; they do in: {listed(self.labels[sums <= 0.0])}")
        return weights

    @classmethod
    def from_long(cls, unit: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> RaggedSample:
        """Sample of a long table, one row per value, in any order of rows; units come sorted by label.

        Raises
        ------
        DataError, DataTypeError
            As the class; also if columns differ in length.
        """
        labels = as_labels("unit", unit)
        column = np.asarray(values)
        for name, other in (("values", column), *([] if weights is None else [("weights", np.asarray(weights))])):
            if other.shape != labels.shape:
                raise DataError(f"unit and {name} must have one length, got {labels.shape} and {other.shape}")
        names, codes = np.unique(labels, return_inverse=True)
        real_column("values", column, labels=labels)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))])
        if (np.diff(codes) < 0).any():
            order = np.argsort(codes, kind="stable")
            column = column[order]
            weights = None if weights is None else np.asarray(weights)[order]
        return cls(column, offsets, weights, names)  # type: ignore[arg-type]

    @classmethod
    def from_list(cls, arrays: Sequence[ArrayLike], weights: Sequence[ArrayLike] | None = None) -> RaggedSample:
        """Sample of a list with one array (n_i,) per unit, and one of weights where given.

        Raises
        ------
        DataError, DataTypeError
            As the class; also if a unit's weights are not as many as its values.
        """
        parts = [np.atleast_1d(np.asarray(part)) for part in arrays]
        if not parts:
            raise DataError("outcomes must hold at least one unit, got none")
        for i, part in enumerate(parts):
            if part.ndim != 1 or part.dtype.kind not in "fiub":
                kind = DataTypeError if part.dtype.kind not in "fiub" else DataError
                raise kind(f"unit {i}: outcomes must be (n_i,) real numbers, got dtype {part.dtype} and shape {part.shape}")
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        if weights is None:
            return cls(np.concatenate(parts).astype(np.float64), offsets)
        others = [np.atleast_1d(np.asarray(part)) for part in weights]
        if [part.shape for part in others] != [part.shape for part in parts]:
            wrong = next(
                (i for i, (a, b) in enumerate(zip(parts, others, strict=False)) if a.shape != b.shape), min(len(parts), len(others))
            )
            raise DataError(
                f"weights must be as many as values in every unit; they are not in unit {wrong} ({len(parts)} units, weights of "
                f"{len(others)})"
            )
        return cls(np.concatenate(parts).astype(np.float64), offsets, np.concatenate(others))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.offsets) - 1

    @property
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

    def take(self, rows: IntArray) -> RaggedSample:
        """The units at ``rows``, in that order."""
        sizes = self.sizes[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        assert self.labels is not None
        return RaggedSample(self.values[places], offsets, None if self.weights is None else self.weights[places], self.labels[rows])

    def unweighted(self) -> RaggedSample:
        """The same values without weights."""
        return RaggedSample(self.values, self.offsets, None, self.labels)


@dataclass(frozen=True)
class FrameColumns:
    """Names of the columns that a model reads.

    Parameters
    ----------
    unit : str
        Label of the unit, in both tables.
    value : str
        Outcome, in the table of observations.
    weight : str, optional
        Weight of an observation, in the table of observations.
    running_variable, treatment, cluster : str, optional
        In the table of units.
    """

    unit: str = "unit"
    value: str = "z"
    running_variable: str = "x"
    treatment: str | None = None
    weight: str | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.default is None:
                continue
            if not isinstance(value, str) or not value:
                raise ConfigError(f"FrameColumns: {item.name} must be a column's name, got {shown(value)}")


def columns_of(table: Any, where: str, names: Mapping[str, str | None]) -> dict[str, NDArray[Any]]:
    """The named columns of a dictionary of arrays or of a data frame, by role; roles without a column are left out.

    Raises
    ------
    ConfigError
        If a column is missing; names the nearest ones.
    """
    try:
        present = [str(key) for key in (table.columns if hasattr(table, "columns") else table)]
    except TypeError:
        raise DataTypeError(f"{where} must be a data frame or a dictionary of columns, got {shown(table)}") from None
    found: dict[str, NDArray[Any]] = {}
    for role, name in names.items():
        if name is None:
            continue
        if name not in present:
            raise ConfigError(f"{where} has no column {shown(name)} ({role}): {nearest_names(name, present)}")
        found[role] = np.asarray(table[name])
    return found


def join_units(sample: RaggedSample, units: NDArray[Any]) -> RaggedSample:
    """The sample in the order of the table of units.

    Raises
    ------
    DataError
        If a unit is in one table only, in either direction, or twice in the table of units; lists the labels.
    """
    names, counts = np.unique(units, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"the table of units must have one row per unit; repeated: {listed(names[counts > 1])}")
    assert sample.labels is not None
    if names.dtype.kind != sample.labels.dtype.kind and "U" in (names.dtype.kind, sample.labels.dtype.kind):
        raise DataTypeError(
            f"unit labels are of different kinds: {sample.labels.dtype} in the observations, {names.dtype} in the table of units"
        )
    missing = np.setdiff1d(sample.labels, names)
    if len(missing):
        raise DataError(f"observations of units that are not in the table of units: {listed(missing)}")
    empty = np.setdiff1d(names, sample.labels)
    if len(empty):
        raise DataError(f"units without any observation: {listed(empty)}. Drop them from the table of units, or add their values")
    return sample.take(np.searchsorted(sample.labels, units).astype(np.int64))
