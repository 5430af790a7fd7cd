"""The fingerprint sees content, not accidents of memory, and never confuses two values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciinf.core.errors import DataTypeError
from sciinf.core.fingerprint import sha256_of, sha256_of_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def canonical(value: object) -> object:
    """Equality that tells 1 from 1.0 from True and 0.0 from -0.0, as the fingerprint does."""
    if isinstance(value, dict):
        return ("M", tuple(sorted((k, canonical(v)) for k, v in value.items())) if value else ())
    if isinstance(value, list):
        return ("L", tuple(canonical(v) for v in value))
    return (type(value).__name__, repr(value))


@given(VALUES, VALUES)
def test_equal_exactly_where_the_values_are(a: object, b: object) -> None:
    assert (sha256_of(a) == sha256_of(b)) == (repr(canonical(a)) == repr(canonical(b)))


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_arguments_do_not_run_together(a: list[str], b: list[str]) -> None:
    assert (sha256_of(*a) == sha256_of(*b)) == (a == b)


def test_memory_order_and_byte_order_do_not_matter() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert sha256_of(array) == sha256_of(np.asfortranarray(array)) == sha256_of(array.astype(">f8"))
    assert sha256_of(array) != sha256_of(array.ravel())
    assert sha256_of(array) != sha256_of(array.astype(np.float32))


def test_dictionary_order_does_not_matter() -> None:
    assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [object(), {1: 2}, np.array(["a", None], dtype=object), {1, 2}])
def test_refuses_what_has_no_stable_bytes(value: object) -> None:
    with pytest.raises(DataTypeError, match="fingerprint"):
        sha256_of(value)


def test_same_in_another_process() -> None:
    code = "from sciinf.core.fingerprint import sha256_of; import sys; sys.stdout.write(sha256_of('a', {'x': [1, 2.5]}))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other == sha256_of("a", {"x": [1, 2.5]})


def test_of_a_file(tmp_path: Path) -> None:
    """sha256 of b"abc": FIPS 180-4, appendix example."""
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
