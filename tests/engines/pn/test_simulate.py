"""Draws of families against exact laws, each with a law near by that must be refused; families in other statistics."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats

from sciinf.core.errors import ConfigError, ConvergenceError, DataError
from sciinf.engines.pn import (
    Box,
    Circle,
    CumulantSettings,
    ExponentialFamily,
    FiniteSet,
    HalfLine,
    Integers,
    Interval,
    RealLine,
    TruthSample,
    families,
    risk_expansion,
)

N = 4000
LEAST = 1e-3  # p-value: one seed in a thousand would fail, and the seeds are fixed


@numba.njit
def identity(x: np.ndarray, out: np.ndarray) -> None:
    for k in range(out.shape[0]):
        out[k] = x[k]


@numba.njit
def squares(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = x[0]
    out[1] = x[0] * x[0]


@numba.njit
def cosines(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = math.cos(x[0])
    out[1] = math.sin(x[0])


@numba.njit
def product(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = x[0] * x[1]


@numba.njit
def poisson_base(x: np.ndarray) -> float:
    return -math.lgamma(x[0] + 1.0)


@numba.njit
def two_hills(x: np.ndarray) -> float:
    far = math.exp(-0.5 * (((x[0] - 8.0) / 0.1) ** 2 + ((x[1] - 8.0) / 0.1) ** 2))
    near = math.exp(-0.5 * (((x[0] - 2.0) / 0.1) ** 2 + ((x[1] - 2.0) / 0.1) ** 2))
    return math.log(far + near + 1e-200)


def tabled(log_density: Any, low: float, high: float) -> Any:
    """Distribution function by the trapezoid rule on 200,001 points, error below 1e-8."""
    grid = np.linspace(low, high, 200_001)
    up_to = integrate.cumulative_trapezoid(np.exp(log_density(grid)), grid, initial=0.0)
    return lambda x: np.interp(x, grid, up_to / up_to[-1])


LINES = [
    ("line", ExponentialFamily(squares, 2, RealLine()), [0.7, -0.5], stats.norm(0.7, 1.0).cdf, stats.norm(0.85, 1.0).cdf),
    ("half-line", ExponentialFamily(identity, 1, HalfLine(2.0)), [-3.0], stats.expon(2.0, 1 / 3).cdf, stats.expon(2.0, 1 / 2.6).cdf),
    (
        "interval", ExponentialFamily(identity, 1, Interval(0.0, 2.0)), [-1.0], stats.truncexpon(2.0).cdf,
        stats.truncexpon(2.0 / 0.85, 0.0, 0.85).cdf,
    ),
    (
        "circle", ExponentialFamily(cosines, 2, Circle()), [0.0, 1.5], tabled(lambda x: 1.5 * np.sin(x), 0.0, 2 * np.pi),
        tabled(lambda x: 1.2 * np.sin(x), 0.0, 2 * np.pi),
    ),
    (
        "quartic", families.PolynomialExponential(4, RealLine()), [0.0, 1.0, 0.0, -0.25], tabled(lambda x: x**2 - 0.25 * x**4, -8.0, 8.0),
        tabled(lambda x: 0.1 * x + x**2 - 0.25 * x**4, -8.0, 8.0),
    ),
    (
        "cubic", families.PolynomialExponential(3, Interval(0.0, 1.0)), [2.0, -5.0, 3.0],
        tabled(lambda x: 2 * x - 5 * x**2 + 3 * x**3, 0.0, 1.0), stats.uniform().cdf,
    ),
    ("singular", families.Gamma().quadrature(), [-0.5, -0.5], stats.gamma(0.5, scale=2.0).cdf, stats.gamma(0.55, scale=2.0).cdf),
]  # fmt: skip


@pytest.mark.parametrize(("family", "theta", "exact", "other"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_draws_on_a_line(family: ExponentialFamily, theta: list[float], exact: Any, other: Any) -> None:
    x = family.simulate(theta, N, np.random.default_rng(7))
    assert x.shape == (N,)
    assert family.support.contains(x[:, None]).all()
    assert stats.kstest(x, exact).pvalue > LEAST
    assert stats.kstest(x, other).pvalue < LEAST


def test_the_inverse_of_the_distribution_function_is_exact() -> None:
    """Not only within the noise of a sample: the same uniform numbers give scipy's quantiles."""
    family = ExponentialFamily(squares, 2, RealLine())
    x = family.simulate([0.7, -0.5], N, np.random.default_rng(7))
    uniform = np.random.default_rng(7).random(N)
    assert_allclose(x, stats.norm(0.7, 1.0).ppf(uniform), rtol=0.0, atol=1e-9)


def refused_and_kept(counts: np.ndarray, probabilities: np.ndarray, others: np.ndarray) -> None:
    assert stats.chisquare(counts, counts.sum() * probabilities).pvalue > LEAST
    assert stats.chisquare(counts, counts.sum() * others).pvalue < LEAST


def test_draws_of_integers() -> None:
    family = ExponentialFamily(identity, 1, Integers(0), log_base=poisson_base)
    x = family.simulate([math.log(3.0)], N, np.random.default_rng(8))
    assert x.shape == (N,)

    def law(rate: float) -> np.ndarray:
        return np.append(stats.poisson(rate).pmf(np.arange(9)), stats.poisson(rate).sf(8))

    refused_and_kept(np.bincount(np.minimum(x, 9.0).astype(int), minlength=10), law(3.0), law(3.2))


def test_draws_of_listed_states() -> None:
    family = ExponentialFamily(identity, 1, FiniteSet([-1.0, 0.5, 4.0]))
    x = family.simulate([0.3], N, np.random.default_rng(9))
    states = family.support.points()[:, 0]
    law, other = np.exp(0.3 * states), np.exp(0.35 * states)
    refused_and_kept(np.array([np.sum(x == s) for s in states]), law / law.sum(), other / other.sum())
    ising = families.Ising(3, ((0, 1), (1, 2)))
    theta = ising.natural([0.1, 0.0, -0.2], [0.5, -0.3])
    spins = ising.simulate(theta, N, np.random.default_rng(9))
    assert spins.shape == (N, 3)
    cells = (spins > 0.0) @ np.array([4, 2, 1])
    law = np.exp(ising.log_density(ising.support.points(), theta))
    other = np.exp(ising.log_density(ising.support.points(), ising.natural([0.1, 0.1, -0.2], [0.5, -0.3])))
    refused_and_kept(np.bincount(cells, minlength=8), law, other)


def test_draws_in_a_box_by_chains() -> None:
    """exp(2 x y) on the unit square: the margin of x is (e^(2x) - 1) / x. In four dimensions, independent truncated exponentials."""
    square = ExponentialFamily(product, 1, Box((0.0, 0.0), (1.0, 1.0)))
    xy = square.simulate([2.0], N, np.random.default_rng(10))
    assert xy.shape == (N, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        margin = tabled(lambda x: np.log(np.where(x > 0.0, np.expm1(2.0 * x) / x, 2.0)), 0.0, 1.0)
    for column in xy.T:
        assert stats.kstest(column, margin).pvalue > LEAST
        assert stats.kstest(column, stats.uniform().cdf).pvalue < LEAST
    many = ExponentialFamily(identity, 4, Box((0.0,) * 4, (3.0,) * 4))
    x = many.simulate([-1.0, -2.0, 0.0, -4.0], N, np.random.default_rng(11))
    for column, rate in zip(x.T, (1.0, 2.0, 0.0, 4.0), strict=True):
        law = stats.truncexpon(3.0 * rate, 0.0, 1.0 / rate) if rate else stats.uniform(0.0, 3.0)
        assert stats.kstest(column, law.cdf).pvalue > LEAST
        steeper = 1.15 * rate + 0.15
        assert stats.kstest(column, stats.truncexpon(3.0 * steeper, 0.0, 1.0 / steeper).cdf).pvalue < LEAST


def test_draws_of_too_many_spins_to_list() -> None:
    """An open chain of 24 spins without fields: neighbours have the mean product tanh(coupling)."""
    family = families.Ising(24, tuple((k, k + 1) for k in range(23)))
    theta = family.natural(np.zeros(24), np.full(23, 0.4))
    x = family.simulate(theta, N, np.random.default_rng(12))
    products = x[:, :-1] * x[:, 1:]
    error = math.sqrt((1.0 - math.tanh(0.4) ** 2) / products.size)  # in an open chain the products are independent
    assert abs(products.mean() - math.tanh(0.4)) < 4.5 * error
    assert abs(products.mean() - math.tanh(0.42)) > 4.5 * error


def test_chains_that_do_not_meet_are_refused() -> None:
    hills = ExponentialFamily(identity, 2, Box((0.0, 0.0), (10.0, 10.0)), log_base=two_hills, names=("east", "north"))
    with pytest.raises(ConvergenceError, match=r"statistic of (east|north): split R-hat"):
        hills.simulate([0.0, 0.0], N, np.random.default_rng(0))


def test_the_same_seed_gives_the_same_draws() -> None:
    square = ExponentialFamily(product, 1, Box((0.0, 0.0), (1.0, 1.0)))
    quartic = families.PolynomialExponential(4, RealLine())
    for family, theta in ((square, [2.0]), (quartic, [0.0, 1.0, 0.0, -0.25])):
        one, two = (family.simulate(theta, 50, np.random.default_rng(3)) for _ in range(2))
        assert_array_equal(one, two)
        rng = np.random.default_rng(3)
        assert not np.array_equal(family.simulate(theta, 50, rng), family.simulate(theta, 50, rng))


def test_what_simulate_refuses() -> None:
    family = families.PolynomialExponential(4, RealLine())
    theta = np.array([0.0, 1.0, 0.0, -0.25])
    with pytest.raises(ConfigError, match="n must be an integer of at least 1, got 0"):
        family.simulate(theta, 0, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"default_rng\(seed\), got 3"):
        family.simulate(theta, 5, 3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"x\^4 must be negative"):
        family.simulate(-theta, 5, np.random.default_rng(0))


AFFINE = [
    (families.Normal(), {"mean": 0.4, "sd": 1.7}),
    (families.MultivariateNormal(2), {"mean": [0.4, -1.0], "cov": [[1.0, 0.3], [0.3, 2.0]]}),
    (families.Gamma(), {"shape": 2.0, "scale": 0.5}),
    (families.VonMises(), {"kappa": 1.5, "mu": 0.3}),
    (families.PolynomialExponential(4, RealLine()), {"theta": [0.3, -0.5, 0.1, -0.1]}),
    (families.Multinomial(4), {"probs": [0.5, 0.3, 0.15, 0.05]}),
]


@pytest.mark.parametrize(("family", "usual"), AFFINE, ids=[type(row[0]).__name__ for row in AFFINE])
def test_affine_statistics(family: Any, usual: dict[str, Any]) -> None:
    """All that does not name a statistic is the same; means and information follow the map; condition number 1e3."""
    rng = np.random.default_rng(5)
    theta, p = family.natural(**usual), family.p
    left, right = (np.linalg.qr(rng.standard_normal((p, p)))[0] for _ in range(2))
    turn, shift = left @ np.diag(np.geomspace(1.0, 1e3, p)) @ right, rng.standard_normal(p)
    other = family.affine(turn, shift)
    moved = np.linalg.solve(turn.T, theta)
    x = family.simulate(theta, 200, np.random.default_rng(6))
    drawn = (item.simulate(at, 5, np.random.default_rng(1)) for item, at in ((other, moved), (family, theta)))
    assert_allclose(*drawn, rtol=1e-9)
    assert_allclose(other.log_density(x, moved), family.log_density(x, theta), rtol=1e-8, atol=1e-8)
    assert_allclose(other.mean(moved), turn @ family.mean(theta) + shift, rtol=1e-9, atol=1e-9)
    assert_allclose(other.fisher(moved), turn @ family.fisher(theta) @ turn.T, rtol=1e-8)
    assert_allclose(other.fit(x), np.linalg.solve(turn.T, family.fit(x)), rtol=1e-6, atol=1e-9)
    one, two = family.cumulants(theta), other.cumulants(moved)
    assert one.method == two.method
    assert_allclose([two.A1, two.A2, two.K4, two.b], [one.A1, one.A2, one.K4, one.b], rtol=1e-8)
    a, b = (risk_expansion(item, TruthSample(x)) for item in (family, other))
    assert_allclose([b.trace, b.A1, b.A2, b.K4, b.B, b.b], [a.trace, a.A1, a.A2, a.K4, a.B, a.b], rtol=1e-7)


def test_affine_statistics_by_quadrature() -> None:
    """The same without closed forms, by an own computation over nodes of the mapped statistics."""
    normal = families.Normal()
    mapped = normal.affine([[1.0, 0.5], [0.0, 2.0]], [3.0, -1.0])
    theta = np.linalg.solve(np.array([[1.0, 0.5], [0.0, 2.0]]).T, normal.natural(0.2, 1.1))
    assert mapped.cumulants(theta, CumulantSettings(method="quad")).b == pytest.approx(61.0 / 12.0, rel=1e-9)


def test_affine_maps_that_are_none() -> None:
    with pytest.raises(ConfigError, match="M must be invertible, got rank 1 of 2"):
        families.Normal().affine([[1.0, 2.0], [2.0, 4.0]], [0.0, 0.0])
    with pytest.raises(DataError, match="affine: c"):
        families.Normal().affine(np.eye(2), [0.0])
    mapped = families.Normal().affine(2.0 * np.eye(2), np.zeros(2))
    with pytest.raises(DataError, match=r"before the affine map, that of x\^2 must be negative"):
        mapped.mean([0.0, 1.0])
