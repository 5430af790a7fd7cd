"""Compiled special functions against mpmath with 40 digits and more.

A quantile is judged by its error in x: the exact distribution function at the returned x, less the probability, over the density. That
is one Newton step, exact to second order in an error that is tiny already.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import special as scipy_special

from sciinf.numerics import special
from sciinf.numerics.special_log import log1p_positive

U = (1e-12, 1e-6, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1 - 1e-6, 1 - 1e-12)
SHAPES = (0.01, 0.1, 0.3, 0.5, 1.0, 1.5, 3.0, 9.9, 10.0, 50.0, 1e3, 1e5)


def log_cdf(x: float) -> mp.mpf:
    return mp.log(mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2)


@pytest.mark.parametrize("p", [1e-300, 1e-100, 1e-20, 1e-8, 0.0749, 0.0751, *U, 0.49999, 0.9249, 0.9251, 1 - 2.0**-53])
def test_normal_quantile(p: float) -> None:
    with mp.workdps(60):
        x = mp.mpf(special.normal_quantile(p))
        low, tail = (mp.ncdf(x), mp.mpf(p)) if p < 0.5 else (mp.ncdf(-x), 1 - mp.mpf(p))
        error = (low - tail) / mp.npdf(x)
        assert abs(error) <= 8e-16 * max(abs(x), 1e-3)
        assert special.normal_quantile(1 - p) == -special.normal_quantile(1 - (1 - p))


@pytest.mark.parametrize("p", [1e-300, 1e-12, 0.01, 0.5, 0.8499, 0.8501, 0.99, 1 - 1e-12])
def test_half_normal_quantile(p: float) -> None:
    with mp.workdps(60):
        truth = mp.sqrt(2) * mp.erfinv(mp.mpf(p))
        assert abs(special.half_normal_quantile(p) - truth) <= 6e-16 * truth


@pytest.mark.parametrize("x", [-1e3, -100.0, -40.0, -14.1, -14.0, -13.9, -5.0, -1.0, -0.1, 0.0, 0.1, 1.0, 5.0, 8.0, 30.0])
def test_log_normal_cdf(x: float) -> None:
    with mp.workdps(450):
        truth = log_cdf(x)
        assert abs(special.log_normal_cdf(x) - truth) <= 5e-14 * abs(truth)


@pytest.mark.parametrize("log_p", [-1e-12, -1e-3, -0.3, -0.7, -1.0, -2.5, -2.7, -25.0, -100.0, -670.0, -680.0, -730.0, -800.0, -1e3])
def test_normal_quantile_of_log(log_p: float) -> None:
    with mp.workdps(450):
        x = mp.mpf(special.normal_quantile_of_log(log_p))
        error = (log_cdf(x) - log_p) * mp.exp(log_cdf(x)) / mp.npdf(x)
        assert abs(error) <= 4e-15 * max(abs(x), 0.1)


INTERVALS = [
    (-1.0, 1.0),
    (0.0, 1e-8),
    (3.0, 3.0001),
    (-40.0, -39.0),
    (-40.0, -39.9999),
    (100.0, 101.0),
    (10.0, math.inf),
    (-math.inf, -35.0),
    (-0.5, 0.5),
    (-0.7, 0.71),
    (-0.75, 0.75),
    (5.0, 5.3),
    (-8.0, 9.0),
]


@pytest.mark.parametrize(("a", "b"), INTERVALS)
def test_log_normal_mass(a: float, b: float) -> None:
    """The absolute error of the logarithm, the relative one of the mass, in units of what -m^2/2 loses by rounding."""
    with mp.workdps(40):
        left, right = (-b, -a) if a + b > 0 else (a, b)
        if left == -math.inf:
            truth = log_cdf(right)
        else:
            nearest = mp.mpf(min(abs(left), abs(right)))
            integral = mp.quad(lambda t: mp.exp((nearest**2 - t**2) / 2), mp.linspace(left, right, 9))
            truth = mp.log(integral) - nearest**2 / 2 - mp.log(2 * mp.pi) / 2
        tolerance = 2e-16 * max(20.0, min(a * a, b * b))
        assert abs(special.log_normal_mass(a, b) - truth) <= tolerance
        assert special.log_normal_mass(a, b) == special.log_normal_mass(-b, -a)


@pytest.mark.parametrize("x", [-0.999, -0.5, -0.391, -0.389, -1e-3, -1e-9, 1e-9, 0.1, 0.569, 0.571, 3.0, 1e5])
def test_log1p_minus_x(x: float) -> None:
    with mp.workdps(60):
        truth = mp.log1p(mp.mpf(x)) - x
        assert abs(special.log1p_minus_x(x) - truth) <= 1e-15 * abs(truth)


@pytest.mark.parametrize(
    "x", [0.0, 5e-324, 1e-300, 1e-17, 3e-16, 1e-8, 0.1, 0.4142, 0.4143, 0.999999, 1.0, 1.5, 3.0, 1e5, 1e16, 1e300, 1.7e308]
)
def test_log1p_positive(x: float) -> None:
    with mp.workdps(60):
        truth = mp.log1p(mp.mpf(x))
        assert abs(log1p_positive(x) - truth) <= 1.01 * math.ulp(float(truth))


def test_log1p_positive_over_its_range() -> None:
    """Against math.log1p, itself within 1 ulp: 2e5 numbers over all magnitudes and around 1."""
    rng = np.random.default_rng(1)
    for x in (10.0 ** rng.uniform(-320.0, 308.0, 100_000), rng.uniform(0.0, 4.0, 100_000)):
        found, expected = np.array([log1p_positive(value) for value in x.tolist()]), np.log1p(x)
        assert (np.abs(found - expected) <= 2.0 * np.spacing(expected)).all()


@pytest.mark.parametrize("a", [0.1, 1.0, 5.0, 9.99, 10.0, 30.0, 1e4])
def test_stirling_correction(a: float) -> None:
    with mp.workdps(60):
        truth = mp.loggamma(a) - ((mp.mpf(a) - 0.5) * mp.log(a) - a + mp.log(2 * mp.pi) / 2)
        assert abs(special.stirling_correction(a) - truth) <= 1e-14 * max(1, truth)


@pytest.mark.parametrize("a", SHAPES)
def test_gamma_functions(a: float) -> None:
    with mp.workdps(40):
        for ratio in (1e-6, 0.1, 0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 2.0, 5.0) if a < 1e5 else (0.98, 0.999, 1.0, 1.001, 1.02):
            x = a * ratio
            p, q, density = special.gamma_pq(a, x)
            lower = mp.gammainc(mp.mpf(a), 0, mp.mpf(x), regularized=True)
            upper = mp.gammainc(mp.mpf(a), mp.mpf(x), mp.inf, regularized=True)
            if lower > 1e-290:
                assert abs(p - lower) <= 2e-13 * lower
            if upper > 1e-290 and x > a + 1:
                assert abs(q - upper) <= 2e-13 * upper
            assert p + q == pytest.approx(1.0, abs=1e-15)
            assert density == pytest.approx(float(mp.exp(a * mp.log(x) - x - mp.loggamma(a))), rel=1e-12)
            assert special.gamma_p(a, x) == p
            assert special.gamma_q(a, x) == q


@pytest.mark.parametrize("a", SHAPES)
def test_gamma_quantile(a: float) -> None:
    with mp.workdps(40):
        for u in U:
            x = mp.mpf(special.gamma_quantile(a, u, 1 - u))
            if x < 1e-300:  # underflow: (u Gamma(a + 1))^(1/a) is that small
                assert (mp.log(u) + mp.loggamma(a + 1)) / a < math.log(1e-299)
                continue
            if u <= 0.5:
                error = mp.gammainc(mp.mpf(a), 0, x, regularized=True) - mp.mpf(u)
            else:
                error = (1 - mp.mpf(u)) - mp.gammainc(mp.mpf(a), x, mp.inf, regularized=True)
            density = mp.exp((mp.mpf(a) - 1) * mp.log(x) - x - mp.loggamma(a))
            assert abs(error / density) <= 1e-13 * max(1, x)


def exact_beta(a: float, b: float, x: mp.mpf, y: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """I_x(a, b), 1 - I_x and x^a y^b / B: DLMF 8.17.8 on the side where the hypergeometric series converges fast."""
    front = mp.exp(a * mp.log(x) + b * mp.log(y) - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(mp.mpf(a) + b))
    if x <= (a + 1) / (a + b + 2):
        below = front / a * mp.hyp2f1(1, mp.mpf(a) + b, mp.mpf(a) + 1, x)
        return below, 1 - below, front
    above = front / b * mp.hyp2f1(1, mp.mpf(a) + b, mp.mpf(b) + 1, y)
    return 1 - above, above, front


@pytest.mark.parametrize("a", [0.01, 0.5, 1.0, 3.0, 9.9, 10.0, 50.0, 1e3])
@pytest.mark.parametrize("b", [0.01, 0.5, 1.5, 10.0, 1e3])
def test_beta_functions(a: float, b: float) -> None:
    with mp.workdps(50):
        log_beta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(mp.mpf(a) + b)
        assert abs(special.log_beta(a, b) - log_beta) <= 4e-15 * max(1, abs(log_beta))
        assert special.log_beta(a, b) == special.log_beta(b, a)
        for u in U:
            t = special.beta_quantile_log_odds(a, b, u, 1 - u)
            x, y = 1 / (1 + mp.exp(-mp.mpf(t))), 1 / (1 + mp.exp(mp.mpf(t)))
            if min(x, y) < 1e-300:
                continue
            below, above, front = exact_beta(a, b, x, y)
            error = (below - mp.mpf(u) if u <= 0.5 else (1 - mp.mpf(u)) - above) / front  # of the log-odds
            assert abs(error) <= 1e-12
            assert abs(special.beta_quantile(a, b, u, 1 - u) - (x - error * x * y)) <= 2e-13
            if float(x) != 1.0 and float(y) != 1.0:
                found = special.beta_i(a, b, float(x), float(y))
                assert found[0] == pytest.approx(float(below), rel=1e-11)
                assert found[2] == pytest.approx(float(front), rel=1e-11)


@pytest.mark.parametrize("df", [0.1, 0.5, 1.0, 2.0, 3.0, 10.0, 100.0, 1e4, 1e5])
def test_student_t_quantile(df: float) -> None:
    """Within 1e-12 max(1, |t|) up to a hundred thousand degrees of freedom (3e-12 at a million)."""
    with mp.workdps(50):
        for u in (*U, 0.4999999, 0.50000001):
            t = mp.mpf(special.student_t_quantile(df, u))
            n = mp.mpf(df)
            x, y = n / (n + t * t), t * t / (n + t * t)
            if t == 0:
                assert u == 0.5
                continue
            tail = exact_beta(df / 2, 0.5, x, y)[0] / 2
            density = mp.exp(-mp.log(mp.beta(n / 2, 0.5)) - mp.log(n) / 2 - (n + 1) / 2 * mp.log1p(t * t / n))
            error = (tail - min(mp.mpf(u), 1 - mp.mpf(u))) / density
            assert abs(error) <= 1e-12 * max(1, abs(t))


def test_ends_and_nonsense() -> None:
    nan, inf = math.nan, math.inf
    assert (special.normal_quantile(0.0), special.normal_quantile(1.0), special.normal_quantile(0.5)) == (-inf, inf, 0.0)
    assert (special.half_normal_quantile(0.0), special.half_normal_quantile(1.0)) == (0.0, inf)
    assert (special.log_normal_cdf(-inf), special.log_normal_cdf(inf)) == (-inf, 0.0)
    assert (special.normal_quantile_of_log(-inf), special.normal_quantile_of_log(0.0)) == (-inf, inf)
    assert special.log_normal_mass(-inf, inf) == 0.0
    assert special.gamma_pq(2.0, 0.0)[:2] == (0.0, 1.0)
    assert special.gamma_pq(2.0, inf)[:2] == (1.0, 0.0)
    assert (special.gamma_quantile(2.0, 0.0, 1.0), special.gamma_quantile(2.0, 1.0, 0.0)) == (0.0, inf)
    assert special.beta_i(2.0, 3.0, 0.0, 1.0)[:2] == (0.0, 1.0)
    assert special.beta_i(2.0, 3.0, 1.0, 0.0)[:2] == (1.0, 0.0)
    assert (special.beta_quantile(2.0, 3.0, 0.0, 1.0), special.beta_quantile(2.0, 3.0, 1.0, 0.0)) == (0.0, 1.0)
    assert (special.student_t_quantile(3.0, 0.0), special.student_t_quantile(3.0, 0.5), special.student_t_quantile(3.0, 1.0)) == (
        -inf,
        0.0,
        inf,
    )
    undefined = [
        special.normal_quantile(nan),
        special.normal_quantile(1.1),
        special.half_normal_quantile(-0.1),
        special.normal_cdf(nan),
        special.log_normal_cdf(nan),
        special.normal_quantile_of_log(0.1),
        special.gamma_p(-1.0, 1.0),
        special.gamma_q(1.0, nan),
        special.gamma_quantile(0.0, 0.5, 0.5),
        special.beta_i(1.0, nan, 0.5, 0.5)[0],
        special.beta_quantile(1.0, 1.0, nan, nan),
        special.student_t_quantile(3.0, 2.0),
    ]
    assert all(math.isnan(value) for value in undefined)


def test_the_oracle_would_see_a_wrong_digit() -> None:
    """Negative control: a gamma quantile off by 1e-11 fails the bound that the tests above set."""
    x = mp.mpf(special.gamma_quantile(3.0, 0.3, 0.7)) * (1 + mp.mpf(1e-11))
    with mp.workdps(40):
        error = (mp.gammainc(3, 0, x, regularized=True) - mp.mpf(0.3)) / mp.exp(2 * mp.log(x) - x - mp.loggamma(3))
    assert abs(error) > 1e-13 * max(1, x)


def test_each_function_has_one_specialisation() -> None:
    """An explicit signature compiles once, whatever is passed later."""
    special.normal_quantile(1)
    for name in special.__all__:
        assert len(getattr(special, name).signatures) == 1


def test_agrees_with_scipy_on_a_grid() -> None:
    for a in (0.7, 4.0, 33.0):
        for u in U:
            assert special.gamma_quantile(a, u, 1 - u) == pytest.approx(scipy_special.gammaincinv(a, u), rel=1e-12)
            assert special.beta_quantile(a, 2.5, u, 1 - u) == pytest.approx(scipy_special.betaincinv(a, 2.5, u), rel=1e-12)
