"""What a user hands to the search, checked when it comes in and read-only after."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, DataTypeError, shown

__all__ = ["complex_array", "detector_name", "file_name", "freeze", "real_number", "restore_state"]

_LONGEST_NAME = 160


def freeze(owner: object, **arrays: NDArray[Any]) -> None:
    """Set arrays, read-only, as attributes of a frozen dataclass."""
    for name, array in arrays.items():
        array.flags.writeable = False
        object.__setattr__(owner, name, array)


def restore_state(owner: object, state: dict[str, Any]) -> None:
    """Set a pickled state; numpy hands read-only arrays back writable."""
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        object.__setattr__(owner, name, value)


def real_number(name: str, value: Any, *, positive: bool = False) -> float:
    """``value`` as a finite float, positive where asked.

    Raises
    ------
    DataTypeError
        If it is not a real number.
    DataError
        If it is not finite or not positive; names it.
    """
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise DataTypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"{name} must be a real number, got {shown(value)}") from error
    if not math.isfinite(number) or (positive and number <= 0.0):
        raise DataError(f"{name} must be {'positive and ' if positive else ''}finite, got {number}")
    return number


def detector_name(name: Any) -> str:
    """``name`` where it is one of a detector; ConfigError where it is empty or no text."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"a detector needs a name such as 'H1', got {shown(name)}")
    return name


def complex_array(name: str, values: ArrayLike) -> NDArray[np.complex128]:
    """Copy ``values`` into a C-contiguous complex128 array; DataTypeError unless they are numbers."""
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise DataTypeError(f"{name} must be a rectangular array of numbers: {error}") from error
    if raw.dtype.kind not in "fiubc":
        raise DataTypeError(f"{name} must hold complex numbers, got dtype {raw.dtype}")
    return np.array(raw, dtype=np.complex128, order="C")


def file_name(path: str | Path) -> str:
    """A file's name without its folder, short."""
    name = Path(path).name
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
