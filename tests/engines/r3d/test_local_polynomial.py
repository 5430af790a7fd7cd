"""Boundary constants, weights at the cutoff, and the projection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate

from sciinf.core.errors import DataError
from sciinf.engines.r3d.constants import boundary_constants
from sciinf.engines.r3d.local_kernels import curvature_sums
from sciinf.engines.r3d.local_polynomial import design_of, fit_side, kernel_weights, side_of
from sciinf.engines.r3d.projection import cell_weights, count_moved, project

KERNELS = ("triangular", "epanechnikov", "uniform")
CONSTANTS = {
    "triangular": [(1 / 3, 4 / 3), (-1 / 10, 24 / 5), (1 / 35, 72 / 7), (-0.0079365079, 17.7777778)],
    "epanechnikov": [(3 / 8, 6 / 5), (-11 / 95, 4.4979817966), (0.0334821429, 9.8164682540), (-0.0093622279, 17.1423583608)],
    "uniform": [(1 / 2, 1.0), (-1 / 6, 4.0), (1 / 20, 9.0), (-1 / 70, 16.0)],
}
X = np.random.default_rng(1).uniform(-1.0, 1.0, 400)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("s", range(4))
def test_boundary_constants(kernel: str, s: int) -> None:
    assert_allclose(boundary_constants(kernel, s), CONSTANTS[kernel][s], rtol=1e-8)

    def integral(function: object) -> float:
        return float(integrate.quad(function, 0.0, 1.0, epsabs=1e-14)[0])

    def k(u: float) -> float:
        return float(kernel_weights(kernel, np.array([u]))[0])

    r = range(s + 1)
    gamma = np.array([[integral(lambda u, i=i, j=j: k(u) * u ** (i + j)) for i in r] for j in r])
    right = np.array([integral(lambda u, i=i: k(u) * u ** (s + 1 + i)) for i in r])
    psi = np.array([[integral(lambda u, i=i, j=j: k(u) ** 2 * u ** (i + j)) for i in r] for j in r])
    first = np.linalg.inv(gamma)[0]
    assert_allclose(boundary_constants(kernel, s), (first @ right, first @ psi @ first), rtol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_integrate_to_one(kernel: str) -> None:
    u = np.linspace(-1.2, 1.2, 240_001)
    assert_allclose(np.trapezoid(kernel_weights(kernel, u), u), 1.0, rtol=1e-4)
    assert kernel_weights(kernel, np.array([-1.0, 1.0])).tolist() == ([0.5, 0.5] if kernel == "uniform" else [0.0, 0.0])
    assert kernel_weights(kernel, np.array([1.0 + 1e-12])).tolist() == [0.0]


@given(st.sampled_from(KERNELS), st.integers(0, 4), st.floats(0.15, 3.0), st.sampled_from([1, -1]))
@settings(max_examples=60, deadline=None)
def test_weights_reproduce_polynomials(kernel: str, p: int, h: float, sign: int) -> None:
    side = side_of(X, sign)
    fit = fit_side(side, np.ones((400, 1)), np.array([h]), p, kernel)
    s, u = fit.weights[:, 0], side.x[fit.active] / h
    assert abs(s.sum() - 1.0) < 1e-10
    for j in range(1, p + 1):
        assert abs(s @ u**j) < 1e-10
    top = design_of(side, h, p, kernel).table[2]
    assert_allclose([top @ u**j for j in range(p + 1)], np.eye(p + 1)[p], atol=1e-8)
    assert_allclose(fit.leverage.sum(), p + 1, rtol=1e-10)
    if p > 0:
        assert (s < 0.0).any()  # a weight may be negative: that is right


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("p", [0, 1, 2, 3])
def test_equals_the_normal_equations(kernel: str, p: int) -> None:
    side = side_of(X, 1)
    y = np.random.default_rng(2).normal(size=(400, 3))
    fit = fit_side(side, y, np.array([0.6]), p, kernel)
    u = side.x / 0.6
    k = kernel_weights(kernel, u)
    r = np.vander(u, p + 1, increasing=True)
    gram = r.T @ (k[:, None] * r)
    assert_allclose(fit.coefficients, np.linalg.solve(gram, r.T @ (k[:, None] * y[side.rows])), rtol=1e-9, atol=1e-11)
    hat = np.einsum("ij,jk,ik->i", r, np.linalg.inv(gram), r) * k
    assert_allclose(fit.leverage[:, 0], hat[fit.active], rtol=1e-8, atol=1e-12)
    assert_allclose(fit.weights[:, 0] @ y[fit.rows], fit.intercept, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("m", [1, 7, 8, 19])
@pytest.mark.parametrize("p", [0, 1, 3])
def test_sums_of_the_curvature_equal_those_of_the_fit(m: int, p: int) -> None:
    side, y = side_of(X, -1), np.random.default_rng(4).normal(size=(400, m))
    active, table, inverse = design_of(side, 0.7, p, "epanechnikov")
    fit = fit_side(side, y, np.array([0.7]), p, "epanechnikov")
    e = fit.residuals
    expected = [
        fit.coefficients[p], fit.kernel[:, 0] @ e**2, table[2] ** 2 @ e**2, np.abs(e).max(axis=0), np.abs(fit.fitted).max(axis=0),
    ]  # fmt: skip
    assert_allclose(curvature_sums(table, inverse, side.rows, active, y).T, expected, rtol=1e-11)


def test_a_bandwidth_per_column_is_each_column_by_itself() -> None:
    side, y = side_of(X, -1), np.random.default_rng(3).normal(size=(400, 3))
    h = np.array([0.4, 0.7, 0.4])
    together = fit_side(side, y, h, 2, "triangular", (0.2, 0.5, 0.8))
    for j in range(3):
        alone = fit_side(side, y[:, [j]], h[[j]], 2, "triangular")
        place = np.searchsorted(together.active, alone.active)
        assert_allclose(together.coefficients[:, j], alone.coefficients[:, 0], rtol=1e-12)
        for name in ("weights", "leverage", "residuals", "fitted", "kernel"):
            column = getattr(together, name)[:, j]
            assert_allclose(column[place], getattr(alone, name)[:, 0], rtol=1e-12, atol=1e-14)
            assert np.count_nonzero(np.delete(column, place)) == 0


def test_singular_designs() -> None:
    x = np.concatenate([np.full(5, 0.1), 0.1 + 1e-9 * np.arange(1, 6), -np.linspace(0.1, 1.0, 10)])
    with pytest.raises(DataError, match=r"plus side.*singular to working precision"):
        fit_side(side_of(x, 1), np.ones((20, 1)), np.array([1.0]), 2, "triangular")


# ---- projection ----


def twin_projection(curve: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Max-min formula of isotonic regression, O(n^3)."""
    n = len(curve)
    total, mass = np.concatenate([[0.0], np.cumsum(curve * weights)]), np.concatenate([[0.0], np.cumsum(weights)])
    mean = np.array([[(total[j + 1] - total[i]) / (mass[j + 1] - mass[i]) if j >= i else np.nan for j in range(n)] for i in range(n)])
    return np.array([max(min(mean[i, j] for j in range(k, n)) for i in range(k + 1)) for k in range(n)])


curves = st.lists(st.floats(-100, 100), min_size=1, max_size=14)


@given(curves, st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_projection(values: list[float], seed: int) -> None:
    rng, curve = np.random.default_rng(seed), np.array(values)
    weights = rng.uniform(0.1, 2.0, len(curve))
    found = project(curve, weights)
    assert_allclose(found, twin_projection(curve, weights), rtol=1e-9, atol=1e-9)
    assert (np.diff(found) >= 0.0).all()
    assert_allclose(project(found, weights), found, rtol=1e-12, atol=1e-12)
    assert_allclose(weights @ found, weights @ curve, rtol=1e-9, atol=1e-9)
    for _ in range(5):
        target = np.sort(rng.normal(0.0, 50.0, len(curve)))
        assert weights @ (found - target) ** 2 <= weights @ (curve - target) ** 2 + 1e-7


def test_projection_leaves_its_argument_and_monotone_rows() -> None:
    rows = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 2.0]])
    before = rows.copy()
    found = project(rows, np.ones(3))
    assert np.array_equal(rows, before)
    assert found.tolist() == [[2.0, 2.0, 2.0], [1.0, 2.0, 2.0]]
    assert count_moved(rows[0], found[0]) == 2
    assert count_moved(rows[1], found[1]) == 0


def test_cells() -> None:
    assert_allclose(cell_weights(np.arange(1, 10) / 10), np.full(9, 1 / 9))
    assert cell_weights(np.array([0.5])).tolist() == [1.0]
    assert_allclose(cell_weights(np.array([0.1, 0.2, 0.4])), np.array([0.1, 0.15, 0.2]) / 0.45)
