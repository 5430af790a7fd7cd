"""Arrays from users: copied, typed, finite, or refused with the place named."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.core.arrays import as_float_array, finite_array, finite_column
from sciinf.core.errors import DataError, DataTypeError


def test_copies_and_converts() -> None:
    source = np.arange(3, dtype=np.int32)
    column = finite_column("x", source, length=3)
    assert column.dtype == np.float64
    assert column.flags["C_CONTIGUOUS"]
    assert not np.shares_memory(column, source)


def test_fortran_order_becomes_c_order() -> None:
    array = finite_array("m", np.asfortranarray(np.arange(6.0).reshape(2, 3)), shape=(2, 3))
    assert array.flags["C_CONTIGUOUS"]
    assert np.array_equal(array, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ([1.0, np.nan, np.inf], (3,), r"x\[1\] = nan \(2 such values\)"),
        ([[1.0, 2.0], [3.0, -np.inf]], (2, 2), r"x\[1, 1\] = -inf \(1 such values\)"),
        ([1.0, 2.0], (3,), r"must have shape \(3,\), got \(2,\)"),
        ([1.0, 2.0], (-1, 2), r"must have shape \(n, 2\), got \(2,\)"),
    ],
)
def test_refuses_with_the_place_named(values: list, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        finite_array("x", values, shape=shape)


@pytest.mark.parametrize("values", [["a", "b"], [1j], [[1.0], [1.0, 2.0]], [None]])
def test_refuses_what_is_not_real_numbers(values: list) -> None:
    with pytest.raises(DataTypeError, match="x must"):
        as_float_array("x", values)
