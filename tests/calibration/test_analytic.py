"""The problems with known answers: references recomputed another way, batches, pickles, the simulator."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import integrate, special, stats

from sciinf.calibration import analytic
from sciinf.core.engine import compiled_of
from sciinf.core.errors import ConfigError

# Spec section 6, column "log evidence", to its digits.
SPEC = {
    "gauss3": -8.987197,
    "gauss10": -29.957323,
    "eggbox": 235.855940,
    "shells4": -4.176959,
    "funnel5": -16.377381,
    "hole": -8.630554,
    "prior": 0.0,
}


def moments_eggbox() -> tuple[float, float, float, float]:
    """ln Z, mean, variance and covariance on midpoint grids, extrapolated (the analytic module used Gauss-Legendre)."""
    coarse, fine = (np.array(midpoint_eggbox(n)) for n in (1500, 3000))
    return tuple((4.0 * fine - coarse) / 3.0)


def midpoint_eggbox(n: int) -> tuple[float, float, float, float]:
    """The same numbers with n midpoints per axis: wrong by O(1/n^2) as the box cuts off mid-hill."""
    side = 10.0 * math.pi
    x = (np.arange(n) + 0.5) * side / n
    cosine = np.cos(0.5 * x)
    log_likelihood = (2.0 + np.outer(cosine, cosine)) ** 5
    weight = np.exp(log_likelihood - 243.0)
    total, marginal = weight.sum(), weight.sum(axis=1)
    mean = float(marginal @ x / total)
    cross = float((x - mean) @ weight @ (x - mean) / total)
    return 243.0 + math.log(total / n**2), mean, float(marginal @ (x - mean) ** 2 / total), cross


def moments_funnel() -> tuple[float, float, float]:
    """ln Z, variance of v and of x_1 by quadrature over v and, for x, over x too."""

    def inside(v: float) -> float:
        return special.erf(30.0 * math.exp(-0.5 * v) / math.sqrt(2.0)) ** 4

    def x2(v: float) -> float:
        sigma = math.exp(0.5 * v)
        second = integrate.quad(lambda x: x * x * stats.norm.pdf(x, 0, sigma), -30, 30, points=[-3 * sigma, 0, 3 * sigma])[0]
        return second * special.erf(30.0 / sigma / math.sqrt(2.0)) ** 3

    norm = integrate.quad(inside, -4, 4, epsabs=1e-12)[0] / 8.0
    mean = integrate.quad(lambda v: v * inside(v), -4, 4)[0] / 8.0 / norm
    variance = integrate.quad(lambda v: v * v * inside(v), -4, 4)[0] / 8.0 / norm - mean**2
    return -4.0 * math.log(60.0) + math.log(norm), variance, integrate.quad(x2, -4, 4)[0] / 8.0 / norm


def radial_shell(power: int) -> float:
    """4-D surface times the radial integral of r^power N(r; 2, 0.1), numerically."""
    return 2.0 * math.pi**2 * integrate.quad(lambda r: r**power * stats.norm.pdf(r, 2.0, 0.1), 1.0, 3.0, points=[2.0], epsabs=1e-12)[0]


def plateau_quadrature() -> tuple[float, float]:
    """ln Z and variance of x_0: radially out to the box's inner radius, the rest on a grid."""
    inner = 4.0 * math.pi * integrate.quad(lambda r: r * r * math.exp(-0.5 * max(0.0, r * r - 1.0)), 0.0, 5.0, points=[1.0])[0]
    second = 4.0 * math.pi / 3.0 * integrate.quad(lambda r: r**4 * math.exp(-0.5 * max(0.0, r * r - 1.0)), 0.0, 5.0, points=[1.0])[0]
    # What the box holds beyond r = 5 (a tail of e^-12): midpoint rule.
    n = 200
    x = (np.arange(n) + 0.5) * 10.0 / n - 5.0
    r2 = x[:, None, None] ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2
    tail = np.where(r2 > 25.0, np.exp(-0.5 * (r2 - 1.0)), 0.0) * (10.0 / n) ** 3
    total = inner + tail.sum()
    return math.log(total / 1000.0), (second + (tail * x[:, None, None] ** 2).sum()) / total


@pytest.mark.parametrize("name", SPEC)
def test_log_evidence_is_the_specs(name: str) -> None:
    assert analytic.analytic_problem(name).log_evidence == pytest.approx(SPEC[name], abs=5.1e-7)


def test_gaussians_by_the_independent_density() -> None:
    """The likelihood is scipy's normal density, so its integral over the box is 1 to 1e-20 and ln Z is minus ln of the volume."""
    for problem, n_dim in ((analytic.gauss3(), 3), (analytic.gauss10(), 10)):
        density = stats.multivariate_normal(np.zeros(n_dim), problem.covariance)
        for theta in np.random.default_rng(1).normal(size=(5, n_dim)):
            assert problem.problem.log_likelihood(theta) == pytest.approx(density.logpdf(theta), rel=1e-12)
        assert problem.log_evidence == pytest.approx(-n_dim * math.log(20.0), rel=1e-14)


def test_eggbox_by_another_rule() -> None:
    log_evidence, mean, variance, cross = moments_eggbox()
    problem = analytic.eggbox()
    assert problem.log_evidence == pytest.approx(log_evidence, abs=1e-8)
    assert problem.mean == pytest.approx([mean, mean], rel=1e-9)
    assert problem.covariance == pytest.approx(np.array([[variance, cross], [cross, variance]]), abs=2e-6)


def test_shells_by_radial_quadrature() -> None:
    problem = analytic.shells4()
    assert problem.log_evidence == pytest.approx(math.log(2.0 * radial_shell(3) / 12.0**4), abs=1e-9)
    spread = radial_shell(5) / radial_shell(3) / 4.0
    assert np.diag(problem.covariance) == pytest.approx([spread + 12.25, spread, spread, spread], rel=1e-9)


def test_funnel_by_quadrature() -> None:
    log_evidence, variance_v, variance_x = moments_funnel()
    problem = analytic.funnel5()
    assert problem.log_evidence == pytest.approx(log_evidence, abs=1e-9)
    assert np.diag(problem.covariance) == pytest.approx([variance_v, *[variance_x] * 4], rel=1e-7)


def test_plateau_by_radial_quadrature() -> None:
    log_evidence, variance = plateau_quadrature()
    problem = analytic.plateau()
    assert problem.log_evidence == pytest.approx(log_evidence, abs=1e-7)
    assert np.diag(problem.covariance) == pytest.approx([variance] * 3, rel=1e-6)


def test_hole_by_quadrature_over_x0() -> None:
    """x_0 is a unit Gaussian cut at -4; x_1 given x_0 is N(0.95 x_0, 1 - 0.95^2)."""
    problem = analytic.hole()
    inside = integrate.quad(stats.norm.pdf, -4.0, 10.0, points=[0.0])[0]
    assert problem.log_evidence == pytest.approx(-3.0 * math.log(20.0) - math.log(0.7) + math.log(inside), abs=1e-10)
    mean = integrate.quad(lambda x: x * stats.norm.pdf(x), -4.0, 10.0, points=[0.0])[0] / inside
    square = integrate.quad(lambda x: x * x * stats.norm.pdf(x), -4.0, 10.0, points=[0.0])[0] / inside
    variance = square - mean**2
    assert problem.mean == pytest.approx([mean, 0.95 * mean, 0.95 * mean], rel=1e-8)
    expected = [variance, 0.9025 * variance + 1.0 - 0.9025]
    assert problem.covariance[[0, 1], [0, 1]] == pytest.approx(expected, rel=1e-9)
    assert problem.covariance[1, 2] == pytest.approx(0.95 - 0.9025 * (1.0 - variance), rel=1e-9)
    assert problem.problem.log_likelihood([-4.5, 0.0, 0.0]) == -math.inf
    assert problem.problem.priors.log_prior([0.0, 0.0, 0.0]) == pytest.approx(-math.log(0.7 * 8000.0))


def test_prior_problem_has_the_priors_moments() -> None:
    problem = analytic.prior()
    draws = problem.problem.priors.sample(np.random.default_rng(1), 40_000)
    sigma = np.sqrt(np.diag(problem.covariance) / len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - problem.mean) < 5.0 * sigma)
    assert draws.var(axis=0) == pytest.approx(np.diag(problem.covariance), rel=0.04)


@pytest.mark.parametrize("name", analytic.PROBLEMS)
def test_rows_do_not_know_their_neighbours_and_pickles_are_equal(name: str) -> None:
    problem = analytic.analytic_problem(name).problem
    rng = np.random.default_rng(2)
    thetas = problem.priors.sample(rng, 97)
    together = problem.engine.log_likelihood_many(thetas)
    order = rng.permutation(97)
    assert np.array_equal(problem.engine.log_likelihood_many(thetas[order]), together[order])
    assert np.array_equal(problem.engine.log_likelihood_many(np.asfortranarray(thetas)), together)
    assert np.array_equal([problem.engine.log_likelihood(theta) for theta in thetas], together)
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.fingerprint() == problem.fingerprint() == analytic.analytic_problem(name).problem.fingerprint()
    assert np.array_equal(copy.log_likelihood_many(thetas), problem.log_likelihood_many(thetas))
    compiled = compiled_of(problem.engine)
    assert compiled is not None
    assert np.array_equal([compiled(theta) for theta in thetas], together)


def test_fingerprints_differ() -> None:
    prints = [analytic.analytic_problem(name).problem.fingerprint() for name in analytic.PROBLEMS]
    assert len(set(prints)) == len(prints)


def test_line_posterior_is_exact() -> None:
    """Against the posterior's own curvature and Bayes' theorem: ln Z = ln L + ln prior - ln posterior anywhere."""
    problem = analytic.line().simulate(np.array([0.7, -1.1]), np.random.default_rng(3))
    mean, covariance, log_evidence = analytic.line_posterior(problem)
    for theta in np.random.default_rng(4).normal(size=(4, 2)):
        direct = problem.log_posterior(theta) - stats.multivariate_normal(mean, covariance).logpdf(theta)
        assert direct == pytest.approx(log_evidence, rel=1e-10)


def test_line_simulates_its_own_likelihood() -> None:
    """Chi square of 500 simulated data sets at their truth: mean 10 and variance 20 within 5 standard errors."""
    problem, rng, theta = analytic.line(), np.random.default_rng(5), np.array([0.3, 0.8])
    top = -0.5 * 10 * math.log(2.0 * math.pi)
    chi2 = np.array([-2.0 * (problem.simulate(theta, rng).log_likelihood(theta) - top) for _ in range(500)])
    assert abs(chi2.mean() - 10.0) < 5.0 * math.sqrt(20.0 / 500)
    assert stats.kstest(chi2, stats.chi2(10).cdf).pvalue > 1e-4


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gauss3'"):
        analytic.analytic_problem("gaus3")
