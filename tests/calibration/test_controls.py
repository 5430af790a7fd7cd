"""Negative controls: what is broken is broken by exactly as much as was asked, and calibration sees it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import stats

from sciinf.calibration import analytic, coverage, sbc
from sciinf.calibration.controls import broken
from sciinf.calibration.injections import Campaign
from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.results.posterior import Posterior

TRUTH = np.array([0.7, -1.1])
WRONG = PriorSet([Parameter(name, Normal(0.3, 0.5)) for name in ("intercept", "slope")])


def simulated() -> Problem:
    return analytic.line().simulate(TRUTH, np.random.default_rng(3))


def log_density_differences(problem: Problem, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """ln posterior minus ln of the Gaussian expected, at random points: constant where they agree."""
    thetas = np.random.default_rng(4).normal(size=(30, 2))
    return problem.log_posterior_many(thetas) - stats.multivariate_normal(mean, covariance).logpdf(thetas)


def exact_campaign(n: int, seed: int) -> Campaign:
    """A campaign over `line` whose draws come from the exact posterior: no sampler, no Monte Carlo error of one."""
    rng, problem = np.random.default_rng(seed), analytic.line()
    thetas = problem.priors.sample(rng, n)
    moments = [analytic.line_posterior(problem.simulate(theta, rng)) for theta in thetas]
    mean, std = np.array([m[0] for m in moments]), np.array([np.sqrt(np.diag(m[1])) for m in moments])
    draws = np.array([rng.multivariate_normal(m[0], m[1], size=sbc.N_DRAWS) for m in moments])
    ranks = np.sum(draws < thetas[:, None, :], axis=1)
    blank = np.full(n, np.nan)
    counts = np.ones(n, dtype=np.int64)
    return Campaign(("intercept", "slope"), thetas, ranks, mean, std, draws, blank, blank, blank, counts, counts, "")


def test_a_wide_problem_is_wider_by_exactly_that() -> None:
    problem = simulated()
    mean, covariance, _ = analytic.line_posterior(problem)
    assert np.ptp(log_density_differences(broken(problem, width=1.3), mean, 1.69 * covariance)) < 1e-9
    assert np.ptp(log_density_differences(problem, mean, 1.69 * covariance)) > 0.1


def test_a_shifted_problem_is_shifted_by_exactly_that() -> None:
    problem = simulated()
    mean, covariance, _ = analytic.line_posterior(problem)
    moved = mean + 0.5 * np.sqrt(np.diag(covariance))
    assert np.ptp(log_density_differences(broken(problem, shift=0.5), moved, covariance)) < 1e-6


def test_a_wrong_prior_gives_that_prior_s_posterior_and_evidence() -> None:
    problem = simulated()
    wrong, honest = broken(problem, priors=WRONG), Problem(problem.engine, WRONG)
    thetas = np.random.default_rng(5).normal(size=(20, 2))
    assert wrong.log_posterior_many(thetas) == pytest.approx(honest.log_posterior_many(thetas), rel=1e-12)
    assert wrong.priors.names == problem.priors.names
    assert np.array_equal(wrong.priors.sample(np.random.default_rng(1), 3), problem.priors.sample(np.random.default_rng(1), 3))


def test_simulated_data_are_the_healthy_engine_s() -> None:
    problem = analytic.line()
    fresh = broken(problem, width=1.3).simulate(TRUTH, np.random.default_rng(6))
    healthy = problem.simulate(TRUTH, np.random.default_rng(6))
    mean, covariance, _ = analytic.line_posterior(healthy)
    assert np.ptp(log_density_differences(fresh, mean, 1.69 * covariance)) < 1e-9


def test_batches_rows_pickles_and_fingerprints() -> None:
    problem = broken(simulated(), width=1.2, shift=0.3, priors=WRONG)
    thetas = np.random.default_rng(7).normal(size=(40, 2))
    together = problem.engine.log_likelihood_many(thetas)
    assert np.array_equal([problem.engine.log_likelihood(theta) for theta in thetas], together)
    copy = pickle.loads(pickle.dumps(problem))
    assert np.array_equal(copy.log_likelihood_many(thetas), together)
    prints = {p.fingerprint() for p in (simulated(), problem, broken(simulated(), width=1.2), broken(simulated(), width=1.3))}
    assert len(prints) == 4
    assert problem.name == "line, width x 1.2, shift 0.3 sigma, wrong prior"


def test_outside_the_support_nothing_is_possible() -> None:
    box = PriorSet([Parameter(name, Uniform(-1.0, 1.0)) for name in ("intercept", "slope")])
    problem = broken(Problem(simulated().engine, box), shift=0.5)
    assert problem.log_posterior([0.0, 2.0]) == -np.inf
    edge = -1.0 + 0.5 * problem.engine.offset[0]  # inside the prior; its origin is not
    assert problem.log_posterior([edge, 0.5]) == -np.inf


def test_a_posterior_s_samples_move_and_stretch_about_their_mean() -> None:
    samples = np.random.default_rng(8).normal([3.0, -2.0], [1.0, 5.0], size=(5000, 2))
    posterior = Posterior(samples, np.zeros(5000), np.zeros(5000), np.zeros(5000), ("a", "b"))
    other = broken(posterior, width=1.3, shift=0.5)
    assert other.std() == pytest.approx(1.3 * posterior.std(), rel=1e-12)
    assert other.mean() == pytest.approx(posterior.mean() + 0.5 * posterior.std(), rel=1e-12)
    assert other.meta["broken"] == {"width": 1.3, "shift": 0.5}
    assert other.content_hash() != posterior.content_hash()


def test_calibration_passes_the_healthy_campaign_and_fails_each_broken_one() -> None:
    healthy = exact_campaign(300, 9)
    assert sbc.test(healthy.ranks, healthy.names).passed
    assert coverage.test(healthy.ranks, healthy.names).passed
    for fault in ({"width": 1.3}, {"shift": 0.5}, {"width": 1 / 1.3}):
        assert not sbc.test(broken(healthy, **fault).ranks, healthy.names).passed
    assert np.abs(broken(healthy, shift=0.5).z - healthy.z) == pytest.approx(0.5)
    assert broken(healthy, width=1.3).z == pytest.approx(healthy.z / 1.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing"),
        ({"width": 0.0}, "width=0"),
        ({"shift": np.inf}, "shift=inf"),
        ({"priors": PriorSet([Parameter("a", Normal(0, 1))])}, "same parameters in the same order"),
    ],
)
def test_refuses_a_fault_that_is_none(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        broken(analytic.line(), **arguments)


def test_refuses_what_it_cannot_break() -> None:
    with pytest.raises(ConfigError, match="got int"):
        broken(3, width=1.3)
    with pytest.raises(ConfigError, match="only be wrong for a Problem"):
        broken(exact_campaign(3, 1), priors=WRONG)
    with pytest.raises(ConfigError, match="nothing"):
        broken(exact_campaign(3, 1))
