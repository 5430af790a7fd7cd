"""Columns that a user gives: real numbers, labels, and the tables they are in; what is wrong is told by name and unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError, DataTypeError, nearest_names, shown

__all__ = ["FrameColumns", "as_labels", "columns_of", "listed", "names_of", "real_column", "unit_of"]

FloatArray = NDArray[np.float64]

_NAMED = 5  # labels that a message lists
_LARGEST = np.iinfo(np.int64).max


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


def unit_of(labels: NDArray[Any]) -> Callable[[int], str]:
    """How messages name a position of a column with one entry for each label."""

    def where(position: int) -> str:
        return f"unit {labels[position]}" if position < len(labels) else f"index {position}"

    return where


def _is_missing(item: Any) -> bool:
    """None, pandas.NA, pandas.NaT, or a floating-point NaN among objects."""
    return item is None or type(item).__name__ in ("NAType", "NaTType") or (isinstance(item, float) and item != item)


def _refuse_missing(name: str, values: Any, where: Callable[[int], str]) -> None:
    """DataError for masked entries, or None and NA among objects."""
    if isinstance(values, np.ma.MaskedArray):
        absent = np.flatnonzero(np.ma.getmaskarray(values))
    elif isinstance(values, np.ndarray) and values.dtype.kind == "O":
        absent = np.flatnonzero([_is_missing(item) for item in values.ravel().tolist()])
    else:
        return
    if len(absent):
        first = int(absent[0])
        raise DataError(
            f"{name} contains missing values: the first is at position {first} ({where(first)}), {len(absent)} in all. Drop those rows, or "
            "fill them in"
        )


def as_labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """``values`` as a one-dimensional array of int64 or of text.

    Raises
    ------
    DataTypeError
        If they are neither, or both; floating-point labels that are whole numbers are taken as integers, bytes as UTF-8 text.
    DataError
        If one is missing.
    """
    if not isinstance(values, np.ma.MaskedArray):
        values = np.array(values, dtype=object) if isinstance(values, (list, tuple)) else np.asarray(values)  # [1, "1"] stays two things
    if values.ndim != 1:
        raise DataError(f"{name} must be a one-dimensional array of labels, got shape {values.shape}")
    _refuse_missing(name, values, "index {}".format)
    labels = np.asarray(values)
    if labels.dtype.kind == "O":
        labels = _of_objects(name, labels)
    if labels.dtype.kind == "f":
        if np.isnan(labels).any():
            first = int(np.argmax(np.isnan(labels)))
            raise DataError(f"{name} contains missing values: the first is nan at position {first}")
        if not np.all(np.isfinite(labels)) or np.any(labels != np.floor(labels)):
            raise DataTypeError(f"{name} must be integers or text, got floating-point numbers that are not whole")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        try:
            labels = np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise DataTypeError(f"{name} must be integers or text; its bytes are not UTF-8 ({error})") from None
    if labels.dtype.kind not in "iuU" or (labels.dtype.kind == "u" and labels.size and labels.max() > _LARGEST):
        raise DataTypeError(f"{name} must be integers (of 64 bits, signed) or text, got dtype {labels.dtype}")
    return labels if labels.dtype.kind == "U" else labels.astype(np.int64, copy=False)


def _of_objects(name: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Objects that are all text, all bytes or all integers, as an array of that type."""
    items = labels.tolist()
    kinds = {bool: "bool", np.bool_: "bool", str: "text", np.str_: "text", bytes: "bytes", int: "integer", float: "number"}
    found = {kinds.get(type(item), "integer" if isinstance(item, np.integer) else "other"): item for item in items}
    if set(found) <= {"text"} or set(found) <= {"bytes"}:
        return np.array(items)
    if set(found) <= {"integer", "number"}:
        return np.array(items)
    if set(found) == {"text", "integer"}:
        raise DataTypeError(
            f"{name} must be integers or text, got both ({shown(found['integer'])} and {shown(found['text'])}): they would not be told "
            "apart. Make them one type"
        )
    wrong = next(kind for kind in found if kind not in ("text", "integer"))
    raise DataTypeError(f"{name} must be integers or text, got {shown(found[wrong])}")


def real_column(name: str, values: ArrayLike, *, length: int | None = None, where: Callable[[int], str] = "index {}".format) -> FloatArray:
    """``values`` as a finite, C-contiguous (length,) float64 array; not copied where it is one already, and writeable.

    Parameters
    ----------
    name : str
        For messages.
    values : array
        Real numbers.
    length : int, optional
        How many there must be.
    where : callable
        Names a position, for messages: `unit_of` the labels.

    Raises
    ------
    DataTypeError
        If they are not real numbers; names the array, the dtype and the first offending unit.
    DataError
        If the length differs or a value is missing or not finite; names the first unit, its position and the count.
    """
    if type(values) is np.ndarray and values.dtype == np.float64 and values.flags.c_contiguous and values.flags.writeable:
        column: FloatArray = values
    else:
        raw = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        _refuse_missing(name, raw, where)
        if raw.dtype.kind == "O":
            items = raw.ravel().tolist()
            bad = next((i for i, item in enumerate(items) if not isinstance(item, Real)), None)
            which = "" if bad is None else f"the first such value is {shown(items[bad])} at {where(bad)}; "
            raise DataTypeError(f"{name} must hold real numbers, got dtype object; {which}give the numbers as float64")
        if raw.dtype.kind not in "fiub":
            raise DataTypeError(f"{name} must hold real numbers, got dtype {raw.dtype}, from {where(0)} on. Give the numbers as float64")
        column = as_float_array(name, raw)
    if column.ndim != 1 or (length is not None and len(column) != length):
        wanted = "(n,)" if length is None else f"({length},)"
        raise DataError(f"{name} must have shape {wanted}, got {column.shape}: one number for each unit, or value, that there is")
    if not np.all(np.isfinite(column)):
        bad_places = np.flatnonzero(~np.isfinite(column))
        first = int(bad_places[0])
        raise DataError(
            f"{name} must be finite: {column[first]} at position {first} ({where(first)}), {len(bad_places)} such values. Drop or mend them"
        )
    return column


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

    @property
    def of_observations(self) -> dict[str, str | None]:
        """Columns of the table of observations, by role."""
        return {"unit": self.unit, "value": self.value, "weight": self.weight}

    @property
    def of_units(self) -> dict[str, str | None]:
        """Columns of the table of units, by role."""
        return {"unit": self.unit, "running variable": self.running_variable, "treatment": self.treatment, "cluster": self.cluster}


def names_of(table: Any, where: str, names: Mapping[str, str | None]) -> dict[str, str]:
    """The columns that are named, by role, each of them present.

    Raises
    ------
    ConfigError
        If a column is missing; names the nearest ones.
    DataTypeError
        If the table is none.
    """
    try:
        present = [str(key) for key in (table.columns if hasattr(table, "columns") else table)]
    except TypeError:
        raise DataTypeError(f"{where} must be a data frame or a dictionary of columns, got {shown(table)}") from None
    for role, name in names.items():
        if name is not None and name not in present:
            raise ConfigError(f"{where} has no column {shown(name)} ({role}): {nearest_names(name, present)}")
    return {role: name for role, name in names.items() if name is not None}


def columns_of(table: Any, where: str, names: Mapping[str, str | None]) -> dict[str, NDArray[Any]]:
    """The named columns of a dictionary of arrays or of a data frame, by role; roles without a column are left out.

    Raises
    ------
    ConfigError, DataTypeError
        As `names_of`.
    """
    found: dict[str, NDArray[Any]] = {}
    for role, name in names_of(table, where, names).items():
        column = table[name]
        found[role] = column if isinstance(column, np.ma.MaskedArray) else np.asarray(column)
    return found
