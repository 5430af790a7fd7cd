"""The generic maximum and curvature: known maxima, edges, staircases, scales, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, ConvergenceError, DataError, LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.joint_priors import Dirichlet, Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.samplers import optimum

A = np.random.default_rng(0).normal(size=(12, 12))
COVARIANCE = A @ A.T + 1e-2 * np.eye(12)
PRECISION = np.linalg.inv(COVARIANCE)


def log_gauss(theta: np.ndarray) -> float:
    x = theta - 0.3
    return float(-0.5 * x @ PRECISION @ x)


def log_rosenbrock(theta: np.ndarray) -> float:
    return -float(np.sum(100.0 * (theta[1:] - theta[:-1] ** 2) ** 2 + (1.0 - theta[:-1]) ** 2))


def log_narrow(theta: np.ndarray) -> float:
    return float(-0.5 * np.sum(((theta - 0.123) / 1e-6) ** 2))


def log_ridge(theta: np.ndarray) -> float:
    """Highest at the corner (1, 1) of the box (1, 3)^2."""
    return float(-0.5 * ((theta[0] + theta[1] - 0.5) ** 2 / 0.01 + (theta[0] - theta[1]) ** 2))


def log_kink(theta: np.ndarray) -> float:
    return -float(np.sum(np.abs(theta - 0.3)))


def log_circle(theta: np.ndarray) -> float:
    return -0.5 * float(theta @ theta)


def log_two_modes(theta: np.ndarray) -> float:
    return float(np.logaddexp(-0.5 * ((theta[0] - 4.0) / 0.2) ** 2, 1.0 - 0.5 * ((theta[0] + 4.0) / 0.2) ** 2))


def problem(function: object, n_dim: int, low: float, high: float) -> Problem:
    names = [f"x{i}" for i in range(n_dim)]
    return Problem(FunctionEngine(function, names, version="1"), PriorSet([Parameter(name, Uniform(low, high)) for name in names]))


@pytest.mark.parametrize(
    ("function", "n_dim", "low", "high", "expected"),
    [
        (log_gauss, 12, -100.0, 100.0, 0.3),
        (log_rosenbrock, 5, -5.0, 5.0, 1.0),
        (log_narrow, 3, -1e3, 1e3, 0.123),
        (log_ridge, 2, 1.0, 3.0, 1.0),
        (log_kink, 3, -1.0, 1.0, 0.3),
    ],
)
def test_finds_the_known_maximum(function: object, n_dim: int, low: float, high: float, expected: float) -> None:
    target = problem(function, n_dim, low, high)
    best = optimum.maximise(target, seed=1)
    top = target.log_posterior(np.full(n_dim, expected))
    assert best.converged
    assert best.gain_left < 1e-3
    assert top - best.log_posterior < 2e-3
    assert best.log_posterior == target.log_posterior(best.theta)


def test_same_seed_same_bytes_and_the_problem_s_counters_are_untouched() -> None:
    target = problem(log_rosenbrock, 3, -5.0, 5.0)
    first, second = (optimum.maximise(target, seed=3) for _ in range(2))
    assert np.array_equal(first.theta, second.theta)
    assert first.n_calls == second.n_calls > 0
    assert target.counts.calls == 0


def below_the_diagonal(x0: float, x1: float) -> bool:
    return x0 + x1 < 1.0


def log_beyond(theta: np.ndarray) -> float:
    return -0.5 * float(np.sum((theta - 1.0) ** 2)) / 0.01


def test_a_maximum_on_the_edge_of_a_region_is_approached() -> None:
    """Highest at (1/2, 1/2) on the line x0 + x1 = 1: ln L = -25, prior density 1 / (1/2)."""
    box = PriorSet([Parameter(name, Uniform(0.0, 2.0)) for name in ("x0", "x1")])
    priors = constrained(box, "below_the_diagonal", below_the_diagonal, version=1, mass=0.125)
    best = optimum.maximise(Problem(FunctionEngine(log_beyond, ["x0", "x1"], version="1"), priors), seed=1)
    assert best.log_posterior == pytest.approx(-25.0 + math.log(2.0), abs=0.05)
    assert np.sum(best.theta) < 1.0


def log_counts(theta: np.ndarray) -> float:
    return float(3 * np.log(theta[0]) + 5 * np.log(theta[1]) + 2 * np.log1p(-theta[0] - theta[1]))


def test_joint_priors_are_searched_inside_their_simplex() -> None:
    """Multinomial counts 3, 5, 2 under a flat Dirichlet prior: maximum at the fractions."""
    priors = PriorSet([Joint(("a", "b"), Dirichlet([1.0, 1.0, 1.0]))])
    best = optimum.maximise(Problem(FunctionEngine(log_counts, ["a", "b"], version="1"), priors), seed=1)
    assert best.converged
    assert best.theta == pytest.approx([0.3, 0.5], abs=1e-3)


def test_all_starts_are_reported_so_that_modes_show() -> None:
    best = optimum.maximise(problem(log_two_modes, 1, -10.0, 10.0), seed=2, n_starts=12)
    assert best.theta[0] == pytest.approx(-4.0, abs=1e-2)
    assert {round(float(x)) for x in best.starts[:, 0]} == {-4, 4}
    assert best.start_values[0] - best.start_values[-1] == pytest.approx(1.0, abs=1e-2)


def test_prior_density_counts() -> None:
    """Product of N(x; 1, 1) and N(x; 0, 1): maximum at 1/2, curvature 2."""
    priors = PriorSet([Parameter("x", Normal(1.0, 1.0))])
    target = Problem(FunctionEngine(log_circle, ["x"], version="1"), priors)
    best = optimum.maximise(target, seed=1)
    assert best.theta[0] == pytest.approx(0.5, abs=1e-3)
    assert optimum.fisher(target, best.theta)[0, 0] == pytest.approx(2.0, rel=1e-8)


def test_fixed_parameters_are_filled_in() -> None:
    from sciinf.core.priors import Fixed

    priors = PriorSet([Parameter("x", Uniform(-3, 3)), Parameter("y", Fixed(2.0))])
    best = optimum.maximise(Problem(FunctionEngine(log_circle, ["y", "x"], version="1"), priors), seed=1)
    assert best.theta.shape == (1,)
    assert best.log_posterior == pytest.approx(-2.0 - math.log(6.0), abs=1e-4)


class Stairs:
    """A Gaussian whose value is rounded down to steps of 0.5, with its smooth form."""

    parameters = ("x", "y")

    def log_likelihood(self, theta: np.ndarray) -> float:
        return math.floor(2.0 * log_circle(theta - 1.0)) / 2.0

    def log_likelihood_many(self, thetas: np.ndarray) -> np.ndarray:
        return np.array([self.log_likelihood(theta) for theta in thetas])

    def default_priors(self) -> PriorSet:
        return PriorSet([Parameter(name, Uniform(-5, 5)) for name in self.parameters])

    def fingerprint(self) -> str:
        return "stairs"

    def smooth(self) -> FunctionEngine:
        return FunctionEngine(log_shifted, self.parameters, version="1")


def log_shifted(theta: np.ndarray) -> float:
    return log_circle(theta - 1.0)


def test_searches_the_smooth_form_and_reports_the_official_value() -> None:
    engine = Stairs()
    target = Problem(engine, engine.default_priors())
    best = optimum.maximise(target, seed=1, n_starts=2)
    assert best.theta == pytest.approx([1.0, 1.0], abs=1e-3)
    assert best.log_posterior == target.log_posterior(best.theta)
    stair = best.log_posterior - 2.0 * math.log(0.1)
    assert 2.0 * stair == pytest.approx(round(2.0 * stair), abs=1e-12)  # a stair, not the smooth value
    assert optimum.fisher(target, best.theta) == pytest.approx(np.eye(2), abs=1e-8)


def test_fisher_is_the_precision_of_a_gaussian() -> None:
    found = optimum.fisher(problem(log_gauss, 12, -100.0, 100.0), np.full(12, 0.3))
    assert np.linalg.inv(found) == pytest.approx(COVARIANCE, rel=1e-6, abs=1e-8 * np.max(COVARIANCE))
    assert np.array_equal(found, found.T)


def test_fisher_away_from_the_maximum_and_of_a_curved_function() -> None:
    """Rosenbrock's analytic Hessian at (0.5, 0.2): d2/dx2 = 1200 x^2 - 400 y + 2, d2/dxdy = -400 x, d2/dy2 = 200."""
    found = optimum.fisher(problem(log_rosenbrock, 2, -5.0, 5.0), [0.5, 0.2])
    assert found == pytest.approx(np.array([[1200 * 0.25 - 80 + 2, -200.0], [-200.0, 200.0]]), rel=1e-6)


def test_fisher_of_a_parameter_that_does_nothing_is_zero() -> None:
    def first_only(theta: np.ndarray) -> float:
        return -0.5 * float(theta[0] ** 2)

    assert optimum.fisher(problem(first_only, 2, -9.0, 9.0), [0.0, 0.0]) == pytest.approx(np.diag([1.0, 0.0]), abs=1e-9)


def test_fisher_at_the_edge_of_the_support() -> None:
    found = optimum.fisher(problem(log_ridge, 2, 1.0, 3.0), [1.0, 1.0])
    assert found == pytest.approx(np.array([[101.0, 99.0], [99.0, 101.0]]), rel=1e-5)


@pytest.mark.parametrize("n_starts", [0, -1, 1.5, True])
def test_refuses_a_number_of_starts_that_is_none(n_starts: object) -> None:
    with pytest.raises(ConfigError, match="n_starts"):
        optimum.maximise(problem(log_circle, 1, -1, 1), seed=1, n_starts=n_starts)  # type: ignore[arg-type]


def nowhere(theta: np.ndarray) -> float:
    return -math.inf


def test_says_that_the_posterior_is_zero_everywhere_it_looked() -> None:
    with pytest.raises(LikelihoodError, match=r"zero at all 672 prior draws.*x0 in \[-1, 1\]"):
        optimum.maximise(problem(nowhere, 1, -1.0, 1.0), seed=1, n_starts=1)
    with pytest.raises(LikelihoodError, match=r"x0=0\.5"):
        optimum.fisher(problem(nowhere, 1, -1.0, 1.0), [0.5])
    with pytest.raises(DataError, match=r"\(1,\)"):
        optimum.fisher(problem(log_circle, 1, -1.0, 1.0), [0.5, 0.5])


def needle(theta: np.ndarray) -> float:
    return 0.0 if theta[0] == 0.5 else -math.inf


def test_says_that_no_step_fits() -> None:
    with pytest.raises(ConvergenceError, match="no finite-difference step"):
        optimum.fisher(problem(needle, 1, -1.0, 1.0), [0.5])
