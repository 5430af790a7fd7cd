"""Families: cumulants against the tables and against quadrature, estimates, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.core.errors import ConfigError, ConvergenceError, DataError, DataTypeError
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
    Spins,
    families,
)
from tests.engines.pn.conftest import TABLES, made

ROWS = TABLES["families"]["rows"]


def agree(found: Any, row: dict[str, Any], tolerance: float) -> None:
    named = {"A1": found.A1, "A2": found.A2, "K4": found.K4, "b": found.b, "o": found.optimism}
    compared = [name for name in named if name in row]
    assert "b" in compared
    for name in compared:
        assert named[name] == pytest.approx(row[name], rel=tolerance), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['family']}-{row['b']}")
def test_the_table(row: dict[str, Any]) -> None:
    family, theta = made(row)
    agree(family.cumulants(theta), row, row["tolerance"])


@pytest.mark.parametrize("row", TABLES["polynomials"]["rows"], ids=lambda row: row["support"])
def test_polynomials(row: dict[str, Any]) -> None:
    support = RealLine() if row["support"] == "line" else Interval(0.0, 1.0)
    family = families.PolynomialExponential(len(row["theta"]), support)
    found = family.cumulants(row["theta"])
    agree(found, row, row["tolerance"])
    assert found.method == "quad"


@pytest.mark.parametrize("row", [row for row in TABLES["normal"]["rows"] if "b" in row], ids=lambda row: f"d={row['d']}")
def test_normal(row: dict[str, Any]) -> None:
    d = row["d"]
    rng = np.random.default_rng(d)
    factor = rng.standard_normal((d, d))
    family = families.MultivariateNormal(d)
    assert family.p == row["p"]
    agree(family.cumulants(family.natural(rng.standard_normal(d), factor @ factor.T + np.eye(d))), row, 1e-8)


def random_usual(name: str, rng: np.random.Generator) -> dict[str, Any]:
    size = lambda: float(rng.uniform(0.3, 6.0))  # noqa: E731
    share = lambda: float(rng.uniform(0.05, 0.95))  # noqa: E731
    return {
        "Exponential": lambda: {"rate": size()}, "Normal": lambda: {"mean": float(rng.normal()), "sd": size()},
        "Gamma": lambda: {"shape": size(), "scale": size()}, "InverseGaussian": lambda: {"mean": size(), "shape": size()},
        # below one the density is infinite at x = 1, next to which doubles are too coarse for nodes
        "Beta": lambda: {"alpha": size(), "beta": 1.0 + size()}, "Poisson": lambda: {"rate": 4.0 * size()},
        "Geometric": lambda: {"prob": share()}, "NegativeBinomial": lambda: {"prob": share()}, "Binomial": lambda: {"prob": share()},
    }[name]()  # fmt: skip


CLOSED: dict[str, tuple[Any, ...]] = {
    "Exponential": (), "Normal": (), "Gamma": (), "InverseGaussian": (), "Beta": (), "Poisson": (), "Geometric": (),
    "NegativeBinomial": (2.5,), "Binomial": (7,),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_closed_forms_against_nodes_at_twelve_random_parameters(name: str) -> None:
    rng = np.random.default_rng(len(name))
    family = getattr(families, name)(*CLOSED[name])
    for _ in range(12):
        theta = family.natural(**random_usual(name, rng))
        closed, nodes = family.cumulants(theta), family.quadrature().cumulants(theta)
        assert closed.method == "closed"
        assert nodes.method in ("quad", "enumerate")
        for field in ("A1", "A2", "K4", "b", "optimism"):
            assert getattr(closed, field) == pytest.approx(getattr(nodes, field), rel=1e-8, abs=1e-8), field
        assert_allclose(family.log_partition(theta), family.quadrature().log_partition(theta), rtol=1e-10, atol=1e-10)
        assert_allclose(family.mean(theta), family.quadrature().mean(theta), rtol=1e-9, atol=1e-12)
        assert_allclose(family.fisher(theta), family.quadrature().fisher(theta), rtol=1e-8, atol=1e-12)


def test_von_mises_against_bessel_ratios() -> None:
    """In the frame of the mean direction: f = ln I0, G = diag(f'', f'/kappa), and third derivatives f''' and (f'/kappa)'."""
    from scipy import special

    family = families.VonMises()
    for kappa in (0.4, 2.0, 9.0):
        a = special.i1e(kappa) / special.i0e(kappa)
        first, second = a, 1.0 - a / kappa - a * a
        third = a / kappa**2 - second / kappa - 2.0 * a * second
        slope = second / kappa - first / kappa**2
        g = np.array([second, first / kappa])
        assert_allclose(family.fisher(family.natural(kappa, 0.0)), np.diag(g), rtol=1e-9, atol=1e-13)
        a1 = (third / g[0] + slope / g[1]) ** 2 / g[0]
        a2 = third**2 / g[0] ** 3 + 3.0 * slope**2 / (g[0] * g[1] ** 2)
        found = family.cumulants(family.natural(kappa, 1.1))
        assert (pytest.approx(a1, rel=1e-8), pytest.approx(a2, rel=1e-8)) == (found.A1, found.A2)


LAWS: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("Normal", (), {"mean": 1.0, "sd": 2.0}, stats.norm(1.0, 2.0)),
    ("Exponential", (), {"rate": 2.0}, stats.expon(scale=0.5)),
    ("Gamma", (), {"shape": 2.5, "scale": 0.5}, stats.gamma(2.5, scale=0.5)),
    ("InverseGaussian", (), {"mean": 1.5, "shape": 2.0}, stats.invgauss(0.75, scale=2.0)),
    ("Beta", (), {"alpha": 2.0, "beta": 3.5}, stats.beta(2.0, 3.5)),
    ("VonMises", (), {"kappa": 2.0, "mu": 0.4}, stats.vonmises(2.0, loc=0.4)),
    ("Poisson", (), {"rate": 3.0}, stats.poisson(3.0)),
    ("Binomial", (6,), {"prob": 0.3}, stats.binom(6, 0.3)),
    ("Bernoulli", (), {"prob": 0.3}, stats.bernoulli(0.3)),
    ("Geometric", (), {"prob": 0.3}, stats.geom(0.3, loc=-1)),
    ("NegativeBinomial", (2.5,), {"prob": 0.3}, stats.nbinom(2.5, 0.3)),
]


@pytest.mark.parametrize(("name", "make", "usual", "law"), LAWS, ids=[row[0] for row in LAWS])
def test_densities_are_scipys_and_estimates_solve_the_score(name: str, make: tuple[Any, ...], usual: dict[str, Any], law: Any) -> None:
    family = getattr(families, name)(*make)
    theta = family.natural(**usual)
    x = family.simulate(theta, 200, np.random.default_rng(1))
    density = law.logpmf(x) if hasattr(law.dist, "logpmf") else law.logpdf(x)
    assert_allclose(family.log_density(x, theta), density, rtol=1e-9, atol=1e-9)
    for key, value in usual.items():
        assert family.usual(theta)[key] == pytest.approx(value, rel=1e-12)
    best = family.fit(x)
    observed = family.evaluate(x[:, None]).mean(axis=0)
    spread = np.sqrt(np.diag(family.fisher(best)))
    assert np.all(np.abs(family.mean(best) - observed) < 1e-8 * spread)
    for k in range(family.p):
        for step in (-1e-3, 1e-3):
            moved = best.copy()
            moved[k] += step * (1.0 + abs(moved[k]))
            if family.in_domain(moved):
                assert family.log_density(x, moved).sum() < family.log_density(x, best).sum()


def test_the_mean_of_draws_is_the_mean() -> None:
    for name, make, usual, _ in LAWS:
        family = getattr(families, name)(*make)
        theta = family.natural(**usual)
        statistics = family.evaluate(family.simulate(theta, 20_000, np.random.default_rng(5))[:, None])
        z = (statistics.mean(axis=0) - family.mean(theta)) / np.sqrt(np.diag(family.fisher(theta)) / 20_000)
        assert np.all(np.abs(z) < 4.5), (name, z)


def test_divergence_of_normal_laws() -> None:
    family = families.Normal()
    found = family.kl(family.natural(0.0, 1.0), family.natural(0.3, 2.0))
    assert found == pytest.approx(math.log(2.0) + (1.0 + 0.09) / 8.0 - 0.5, rel=1e-12)
    assert family.kl(family.natural(1.0, 2.0), family.natural(1.0, 2.0)) == 0.0


@numba.njit
def powers(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = x[0]
    out[1] = x[0] * x[0]


@numba.njit
def product(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = x[0] * x[1]


@numba.njit
def identity(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = x[0]


@numba.njit
def poisson_base(x: np.ndarray) -> float:
    return -math.lgamma(x[0] + 1.0)


def test_own_statistics() -> None:
    own = ExponentialFamily(powers, 2, RealLine(), names=("slope", "curvature"))
    normal = families.Normal()
    theta = normal.natural(0.7, 1.3)
    assert own.cumulants(theta).b == pytest.approx(61.0 / 12.0, rel=1e-9)
    x = np.random.default_rng(0).normal(2.0, 0.1, 50)
    assert_allclose(own.fit(x), normal.fit(x), rtol=1e-8)


def test_own_statistics_of_spins_integers_and_two_dimensions() -> None:
    edge = ExponentialFamily(product, 1, Spins(2))
    assert edge.mean(np.array([0.5]))[0] == pytest.approx(math.tanh(0.5), rel=1e-14)
    count = ExponentialFamily(identity, 1, Integers(0), log_base=poisson_base)
    assert count.mean(np.array([math.log(3.0)]))[0] == pytest.approx(3.0, rel=1e-12)
    square = ExponentialFamily(product, 1, Box((0.0, 0.0), (1.0, 1.0)))
    x, w = np.polynomial.legendre.leggauss(40)
    x, w = 0.5 * (x + 1.0), 0.5 * w
    brute = np.log(w @ np.exp(2.0 * np.outer(x, x)) @ w)
    assert square.log_partition(np.array([2.0])) == pytest.approx(brute, rel=1e-12)


def test_a_polynomial_with_two_far_modes() -> None:
    """exp(-(x^2 - 100)^2 / 2): modes at -10 and 10, each of width .05; psi by Laplace's method to first order in 1 / 4000."""
    theta = np.array([0.0, 100.0, 0.0, -0.5])
    family = families.PolynomialExponential(4, RealLine())
    laplace = 0.5 * 100.0**2 + math.log(2.0 * math.sqrt(2.0 * math.pi) / 20.0)
    assert family.log_partition(theta) == pytest.approx(laplace, abs=1e-4)
    assert family.mean(theta)[0] == pytest.approx(0.0, abs=1e-9)
    assert family.mean(theta)[1] == pytest.approx(100.0, abs=0.02)


def test_settings_choose_the_source() -> None:
    normal, ising = families.Normal(), families.Ising(2, ((0, 1),))
    theta = normal.natural(0.0, 1.0)
    assert normal.cumulants(theta, CumulantSettings(method="quad")).method == "quad"
    assert ising.cumulants(np.zeros(3)).method == "enumerate"
    with pytest.raises(ConfigError, match="cannot be enumerated"):
        normal.cumulants(theta, CumulantSettings(method="enumerate"))
    with pytest.raises(ConfigError, match="is summed and not integrated"):
        ising.cumulants(np.zeros(3), CumulantSettings(method="quad"))
    with pytest.raises(ConfigError, match="no cumulants in closed form"):
        ising.cumulants(np.zeros(3), CumulantSettings(method="closed"))
    with pytest.raises(ConfigError, match="did you mean 'quad'"):
        CumulantSettings(method="quadd")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "make", "x", "why"),
    [
        ("Poisson", (), [0.0, 0.0, 0.0], "all observations are 0"), ("Bernoulli", (), [1.0, 1.0], "all observations are 1"),
        ("Gamma", (), [2.0, 2.0], "all observations are 2"), ("Beta", (), [0.5, 0.5], "all observations are 0.5"),
        ("InverseGaussian", (), [2.0, 2.0], "all observations are 2"), ("Normal", (), [2.0, 2.0], "all observations are 2"),
        ("Multinomial", (3,), [0.0, 1.0, 1.0], "cell 2 is empty"), ("VonMises", (), [1.0, 1.0], "all directions are the same"),
        ("PolynomialExponential", (4, RealLine()), [1.0, 2.0], "determine no polynomial"),
        ("Ising", (2, ((0, 1),)), [[1.0, 1.0], [1.0, -1.0]], "edge of what they can be"),
        ("MultivariateNormal", (3,), np.eye(3), "more than d are needed"),
        ("MultivariateNormal", (2,), [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [5.0, 10.0]], "linear combination"),
    ],
)  # fmt: skip
def test_no_estimate(name: str, make: tuple[Any, ...], x: Any, why: str) -> None:
    with pytest.raises(DataError, match=f"estimate.*does not exist.*{why}"):
        getattr(families, name)(*make).fit(x)


def test_heavy_tails_leave_the_polynomials() -> None:
    x = np.random.default_rng(3).standard_t(5, 400)
    with pytest.raises((DataError, ConvergenceError), match=r"does not exist|Newton"):
        families.PolynomialExponential(4, RealLine()).fit(x)


def test_a_search_along_the_edge_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sextic of Laplace data: a far mode of hardly any mass; the search is stopped, its edge named, long before 100 steps."""
    x = np.random.default_rng(3).laplace(size=100)
    family, seen = families.PolynomialExponential(6, RealLine()), []
    right = families.PolynomialExponential.state
    monkeypatch.setattr(families.PolynomialExponential, "state", lambda self, theta: seen.append(theta) or right(self, theta))
    with pytest.raises(DataError, match=r"creeps along its edge, where the term of x\^6.* all but vanishes"):
        family.fit(x)
    assert len(seen) < 150  # evaluations; 100 steps made more than 400


def test_collinear_statistics_are_named() -> None:
    @numba.njit
    def twice(x: np.ndarray, out: np.ndarray) -> None:
        out[0] = x[0]
        out[1] = 2.0 * x[0] + 1.0

    family = ExponentialFamily(twice, 2, Interval(0.0, 1.0), names=("one", "two"))
    with pytest.raises(DataError, match=r"rank 1 of p = 2: .*one.*two does not vary"):
        family.cumulants(np.array([0.1, 0.1]))


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (families.Normal(), [1.0, math.nan, math.inf], r"data must be finite; data\[1, 0\] = nan \(2 such"),
        (families.Poisson(), [1.0, 2.5], r"observation 1 is 2\.5, outside the integers from 0 on"),
        (families.Gamma(), [1.0, -1.0, 0.0], r"observation 1 is -1\.0, outside numbers above 0 \(2 such\)"),
        (families.Beta(), [0.5, 1.0], r"observation 1 is 1\.0, outside numbers between 0 and 1"),
        (families.Ising(2, ((0, 1),)), [[1.0, 1.0], [1.0, 0.0]], r"observation 1 is \[1\.0, 0\.0\], outside 2 spins"),
        (families.Multinomial(3), [0.0, 3.0], "outside a set of 3 points"),
        (families.Normal(), [1.0], "at least two observations"),
        (families.Normal(), [], "at least two observations"),
        (families.MultivariateNormal(2), [1.0, 2.0], r"shape \(n, 2\)"),
    ],
)  # fmt: skip
def test_bad_data(family: Any, x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        family.fit(x)


def test_bad_weights() -> None:
    x = [1.0, 2.0, 4.0]
    for weights, message in (
        ([1.0, -1.0, 1.0], r"must not be negative; weights\[1\]"), ([0.0, 0.0, 0.0], "all weights are zero"),
        ([1.0, 1.0], "one entry per observation, 3, got 2"), ([1.0, math.nan, 1.0], "weights must be finite"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            families.Normal().fit(x, weights)
    with pytest.raises(DataTypeError, match="real numbers"):
        families.Normal().fit(["a", "b"])


def test_weights_are_repetitions() -> None:
    x = np.array([0.3, 1.2, 2.7, 0.9])
    for family in (families.Gamma(), families.Normal()):
        assert_allclose(family.fit(x, [2, 1, 3, 1]), family.fit(np.repeat(x, [2, 1, 3, 1])), rtol=1e-10)


def test_theta_outside_the_domain() -> None:
    for family, theta, message in (
        (families.Normal(), [0.0, 0.5], r"that of x\^2 must be negative, got 0\.5"),
        (families.Gamma(), [-2.0, -1.0], "ln x must be above -1"),
        (families.PolynomialExponential(4, RealLine()), [0.0, 0.0, 0.0, 1.0], "cannot be normalised"),
        (families.Normal(), [1.0], r"shape \(2,\), got shape \(1,\)"), (families.Normal(), [math.nan, -1.0], "theta must be finite"),
        (families.MultivariateNormal(2), [0.0, 0.0, -0.5, 5.0, -0.5], "positive definite"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            family.log_partition(theta)  # type: ignore[attr-defined]
        assert not family.in_domain(theta)  # type: ignore[attr-defined]


def test_what_is_no_family() -> None:
    with pytest.raises(ConfigError, match=r"must be a numba function: put @numba\.njit"):
        ExponentialFamily(lambda x, out: None, 1, RealLine())
    with pytest.raises(ConfigError, match="support must be one of"):
        ExponentialFamily(powers, 2, (0, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="names must be 2 different ones"):
        ExponentialFamily(powers, 2, RealLine(), names=("a", "a"))
    with pytest.raises(ConfigError, match="degree must be even"):
        families.PolynomialExponential(3, RealLine())
    with pytest.raises(ConfigError, match="sum to one"):
        families.Multinomial(2).natural([0.5, 0.6])
    with pytest.raises(ConfigError, match="two different spins"):
        families.Ising(2, ((0, 0),))
    with pytest.raises(ConfigError, match="sd must be a positive"):
        families.Normal().natural(0.0, -1.0)
    with pytest.raises(ConfigError, match="a term names"):
        families.LogLinear((2, 2), ((0, 2),))


def test_what_is_no_support() -> None:
    with pytest.raises(ConfigError, match="low must lie below high"):
        Interval(1.0, 1.0)
    with pytest.raises(ConfigError, match="one length"):
        Box((0.0,), (1.0, 2.0))
    with pytest.raises(ConfigError, match="no two points"):
        FiniteSet([1.0, 1.0])
    with pytest.raises(ConfigError, match="d must be a positive integer"):
        Spins(0)
    with pytest.raises(ConfigError, match="low must be a finite number"):
        HalfLine(math.inf)
    assert Circle().contains(np.array([[7.0], [math.nan]])).tolist() == [True, False]


@pytest.mark.parametrize("theta", [[0.056, 330.7, 0.02, 1.5, 1.35, 0.145, -0.52], [-1.605, 29.815, -22.84, 75.245], [3.0, 8.0]])
def test_a_polynomial_that_is_largest_at_an_end(theta: list[float]) -> None:
    """With stationary points inside, of which none is the largest; scipy's quadrature beside it."""
    from scipy import integrate

    def exponent(x: float) -> float:
        return float(sum(value * x ** (k + 1) for k, value in enumerate(theta)))

    top = max(exponent(-1.0), exponent(2.0))
    width = 40.0 / abs(sum((k + 1) * value * 2.0**k for k, value in enumerate(theta)))  # 40 in ln below the larger end
    value, _ = integrate.quad(lambda x: math.exp(exponent(x) - top), 2.0 - min(width, 3.0), 2.0, epsabs=0.0, epsrel=1e-12)
    found = families.PolynomialExponential(len(theta), Interval(-1.0, 2.0)).log_partition(theta)
    assert found == pytest.approx(top + math.log(value), rel=1e-12)
