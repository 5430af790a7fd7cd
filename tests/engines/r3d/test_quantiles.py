"""Unit quantiles against NumPy and slow twins, to the bit where that can be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sciinf.core.errors import ConfigError
from sciinf.engines.r3d import RaggedSample

LEVELS = np.arange(1, 100) / 100
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def ragged(counts: list[int], seed: int = 1) -> RaggedSample:
    rng = np.random.default_rng(seed)
    return RaggedSample.from_list([np.round(rng.normal(size=n), 1) for n in counts])  # rounded: ties


def parts(sample: RaggedSample) -> list[np.ndarray]:
    return np.split(sample.values, sample.offsets[1:-1])


@given(sizes, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_type7_is_numpy_s_to_the_bit(counts: list[int], seed: int) -> None:
    sample = ragged(counts, seed)
    assert np.array_equal(sample.quantiles(LEVELS), [np.quantile(part, LEVELS) for part in parts(sample)])


@given(sizes, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_inverted_cdf_is_the_order_statistic_meant(counts: list[int], seed: int) -> None:
    """ceil(n q) in exact arithmetic: levels are k / 100."""
    sample = ragged(counts, seed)
    expected = [[np.sort(part)[-(-len(part) * k // 100) - 1] for k in range(1, 100)] for part in parts(sample)]
    assert np.array_equal(sample.quantiles(LEVELS, "inverted_cdf"), expected)


def test_where_rounding_would_take_the_next_value() -> None:
    """25 * .28 is 7.000000000000001 in floating point: NumPy takes the eighth value, the seventh is meant."""
    assert 25 * 0.28 > 7
    sample = RaggedSample.from_list([np.arange(1.0, 26.0)])
    assert sample.quantiles([0.28], "inverted_cdf")[0, 0] == 7.0
    assert np.quantile(np.arange(1.0, 26.0), 0.28, method="inverted_cdf") == 8.0


def test_blocks_of_any_size_give_the_same_bytes() -> None:
    counts = [1, 2, 9000, 3, 400, 401, 399, 8191, 8192, 40, 40]
    sample = ragged(counts)
    whole = sample.quantiles(LEVELS)
    for i in range(len(counts)):
        assert np.array_equal(sample.take(np.array([i])).quantiles(LEVELS)[0], whole[i])
    order = np.random.default_rng(3).permutation(len(counts))
    assert np.array_equal(sample.take(order).quantiles(LEVELS), whole[order])


def weighted(counts: list[int], seed: int, *, integer: bool) -> RaggedSample:
    rng, sample = np.random.default_rng(seed), ragged(counts, seed)
    weights = rng.integers(0, 4, len(sample.values)).astype(float) if integer else rng.uniform(0.1, 2.0, len(sample.values))
    weights[sample.offsets[:-1]] += 1.0  # no unit without weight
    return RaggedSample(sample.values, sample.offsets, weights)


@given(sizes, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_integer_weights_are_repetitions(counts: list[int], seed: int) -> None:
    sample = weighted(counts, seed, integer=True)
    bounds = zip(sample.offsets, sample.offsets[1:], strict=False)
    repeated = RaggedSample.from_list([np.repeat(sample.values[a:b], sample.weights[a:b].astype(int)) for a, b in bounds])
    assert np.array_equal(sample.quantiles(LEVELS, "inverted_cdf"), repeated.quantiles(LEVELS, "inverted_cdf"))
    assert_allclose(sample.means(), repeated.means(), rtol=1e-12, atol=1e-13)


@given(sizes, st.integers(0, 5), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_equal_weights_are_none(counts: list[int], seed: int, weight: float) -> None:
    sample = ragged(counts, seed)
    same = RaggedSample(sample.values, sample.offsets, np.full(len(sample.values), weight))
    assert_allclose(same.quantiles(LEVELS), sample.quantiles(LEVELS), rtol=0, atol=1e-11)
    assert np.array_equal(same.quantiles(LEVELS, "inverted_cdf"), sample.quantiles(LEVELS, "inverted_cdf"))


def twin_type7(values: np.ndarray, weights: np.ndarray, q: float) -> float:
    """The rule of Hmisc's wtd.quantile with normalised weights, written down from its documentation."""
    values, weights = values[weights > 0], weights[weights > 0]
    n = len(values)
    distinct = np.unique(values)
    merged = np.array([weights[values == value].sum() for value in distinct]) * n / weights.sum()
    cumulative, order = np.cumsum(merged), 1 + (n - 1) * q
    low = max(math.floor(order), 1)
    high = min(low + 1, n)
    at = [distinct[min(np.searchsorted(cumulative, place - 1e-9), len(distinct) - 1)] for place in (low, high)]
    part = order % 1
    return (1 - part) * at[0] + part * at[1]


@given(sizes, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_weighted_type7_is_hmisc_s(counts: list[int], seed: int) -> None:
    sample, levels = weighted(counts, seed, integer=False), np.array([0.03, 0.25, 0.5, 0.81])
    bounds = zip(sample.offsets, sample.offsets[1:], strict=False)
    expected = [[twin_type7(sample.values[a:b], sample.weights[a:b], q) for q in levels] for a, b in bounds]
    assert_allclose(sample.quantiles(levels), expected, rtol=0, atol=1e-12)


def test_weights_of_zero_leave_a_value_out() -> None:
    sample = RaggedSample.from_list([[1.0, 2.0, 1e9]], [[1.0, 1.0, 0.0]])
    for rule in ("type7", "inverted_cdf"):
        assert sample.quantiles(LEVELS, rule).max() <= 2.0


def test_weighted_rows_do_not_depend_on_the_order_of_values() -> None:
    rng = np.random.default_rng(4)
    values, weights = np.round(rng.normal(size=50), 1), rng.uniform(size=50)
    order = rng.permutation(50)
    one, other = RaggedSample.from_list([values], [weights]), RaggedSample.from_list([values[order]], [weights[order]])
    for rule in ("type7", "inverted_cdf"):
        assert np.array_equal(one.quantiles(LEVELS, rule), other.quantiles(LEVELS, rule))


def test_means_keep_small_differences() -> None:
    sample = RaggedSample.from_list([1e12 + np.arange(5.0)])
    assert sample.means()[0] == 1e12 + 2.0


def test_unknown_rule() -> None:
    with pytest.raises(ConfigError, match=r"no quantile_rule 'type8'.*'type7'"):
        ragged([3]).quantiles([0.5], "type8")  # type: ignore[arg-type]
