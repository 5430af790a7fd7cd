"""Turning what a user passes into arrays that kernels may trust."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import DataError, DataTypeError

__all__ = ["as_float_array", "finite_array", "finite_column"]


def as_float_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Copy ``values`` into a C-contiguous float64 array of the same shape; finite or not.

    Raises
    ------
    DataTypeError
        If the values are complex, text or ragged.
    """
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise DataTypeError(f"{name} must be a rectangular array of real numbers: {error}") from error
    if raw.dtype.kind not in "fiub":
        raise DataTypeError(f"{name} must hold real numbers, got dtype {raw.dtype}")
    return np.array(raw, dtype=np.float64, order="C")


def finite_array(name: str, values: ArrayLike, *, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Copy ``values`` into a C-contiguous, finite float64 array of ``shape`` (-1: any length).

    Raises
    ------
    DataTypeError
        If the values are not real numbers.
    DataError
        If the shape differs or a value is not finite; names ``name``, the first offending index and how many there are.

    Examples
    --------
    >>> finite_array("x", [[1, 2]], shape=(-1, 2))
    array([[1., 2.]])
    """
    array = as_float_array(name, values)
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = "(" + ", ".join("n" if want == -1 else str(want) for want in shape) + ("," if len(shape) == 1 else "") + ")"
        raise DataError(f"{name} must have shape {wanted}, got {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        raise DataError(f"{name} must be finite; {name}[{where}] = {array[tuple(bad[0])]} ({len(bad)} such values)")
    return array


def finite_column(name: str, values: ArrayLike, *, length: int) -> NDArray[np.float64]:
    """Copy ``values`` into a C-contiguous, finite float64 array of shape (length,); errors as `finite_array`."""
    return finite_array(name, values, shape=(length,))
