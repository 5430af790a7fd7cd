"""Weighted statistics against numpy, hand-made cases and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciinf.results import weights as w

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)


@given(VALUES)
def test_equal_weights_give_numpy_s_quantile_and_covariance(values: list[float]) -> None:
    x = np.array(values)
    equal = np.full(len(x), 1.0 / len(x))
    scale = 1e-12 * (1.0 + np.abs(x).max())
    assert np.allclose(
        w.weighted_quantile(x, [0.0, 0.1, 0.5, 0.9, 1.0], equal), np.quantile(x, [0.0, 0.1, 0.5, 0.9, 1.0]), rtol=0, atol=scale
    )
    assert w.weighted_covariance(x[:, None], equal)[0, 0] == pytest.approx(np.var(x, ddof=1), abs=1e-9 * (1 + np.abs(x).max() ** 2))


@given(VALUES, st.integers(0, 2**32 - 1))
def test_quantile_is_symmetric_and_blind_to_order_and_zero_weights(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, p = np.array(values), np.array([0.05, 0.5, 0.95])
    mass = rng.dirichlet(np.ones(len(x)))
    there = w.weighted_quantile(x, p, mass)
    order = rng.permutation(len(x))
    tolerance = 1e-9 * (1.0 + np.abs(x).max())
    # tied values are one step of the distribution whatever their order, up to where the steps lie: compare distinct values only
    if len(np.unique(x)) == len(x):
        assert np.allclose(w.weighted_quantile(x[order], p, mass[order]), there, atol=tolerance)
        assert np.allclose(-w.weighted_quantile(-x, 1.0 - p, mass), there, atol=tolerance)
    padded = w.weighted_quantile(np.append(x, [1e6, np.nan]), p, np.append(mass, [0.0, 0.0]))
    assert np.array_equal(padded, there)


def test_quantile_of_weighted_normal_points_is_the_normal_quantile() -> None:
    """Points from N(0, 2), weighted to N(0, 1): each quantile within 5 standard errors sqrt(p (1 - p) / ESS) / pdf."""
    rng = np.random.default_rng(1)
    x = 2.0 * rng.normal(size=20_000)
    mass = np.exp(-0.5 * x**2 + 0.125 * x**2)
    mass /= mass.sum()
    found = w.weighted_quantile(x, [0.15865525, 0.5, 0.84134475], mass)
    ess = w.effective_size(np.log(mass))
    for value, truth in zip(found, (-1.0, 0.0, 1.0), strict=True):
        p = 0.5 if truth == 0.0 else 0.15865525
        error = np.sqrt(p * (1 - p) / ess) * np.sqrt(2 * np.pi) * np.exp(0.5 * truth**2)
        assert abs(value - truth) < 5.0 * error


def test_one_point_and_nan() -> None:
    assert np.array_equal(w.weighted_quantile(np.array([3.0, 9.0]), [0.1, 0.9], np.array([1.0, 0.0])), [3.0, 3.0])
    assert np.isnan(w.weighted_quantile(np.array([np.nan, 1.0]), 0.5, np.array([0.5, 0.5])))
    assert np.isnan(w.weighted_covariance(np.ones((2, 1)), np.array([1.0, 0.0]))).all()


def test_normalising_twice_changes_no_bit() -> None:
    raw = np.random.default_rng(2).normal(size=1001) * 50.0
    once = w.log_normalised(raw)
    assert abs(w.log_sum_exp(once)) < 1e-12
    assert w.log_normalised(once) is once


def test_systematic_resampling_gives_floor_or_ceil_copies() -> None:
    rng = np.random.default_rng(3)
    mass = rng.dirichlet(np.ones(30))
    for size in (7, 30, 1000):
        index = w.systematic_resample(mass, size, rng)
        copies = np.bincount(index, minlength=30)
        assert index.shape == (size,)
        assert np.all((copies == np.floor(size * mass)) | (copies == np.ceil(size * mass)))
