"""Best fit and importance correction on mock data."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.engines import cmb
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.inference import best_fit
from sciinf.engines.cmb.presets import planck2018

TRUTH = np.array([0.02237, 0.12, 1.04092, 0.0544, 3.044, 0.9649, 1.0])


@pytest.fixture(scope="module")
def problem(lookalike: PlanckFiles) -> Problem:
    engine = planck2018(data=lookalike)
    return Problem(engine, engine.default_priors()).simulate(TRUTH, np.random.default_rng(1))


def test_best_fit_is_a_maximum_of_the_official_posterior(problem: Problem) -> None:
    """Better than the truth by about n_dim / 2, converged, its parts sum to its chi2, and no nearby point of the smooth form is better."""
    found = best_fit(problem, seed=1, n_starts=2)
    assert found.converged
    assert found.names == problem.names
    assert found.chi2 == pytest.approx(sum(found.breakdown.values()))
    assert found.chi2 == pytest.approx(-2.0 * problem.log_likelihood(found.theta), abs=1e-6)
    assert found.log_posterior == pytest.approx(problem.log_posterior(found.theta), abs=1e-9)
    gain = found.log_posterior - problem.log_posterior(TRUTH)
    assert -0.5 < gain < 0.5 * 7 + 4 * np.sqrt(7 / 2)
    smooth = Problem(problem.engine.smooth(), problem.priors)  # type: ignore[attr-defined]
    top = smooth.log_posterior(found.theta)
    rng = np.random.default_rng(2)
    step = np.array([1e-5, 1e-4, 3e-5, 7e-4, 1e-3, 4e-4, 2e-4])
    assert max(smooth.log_posterior(found.theta + step * rng.normal(size=7)) for _ in range(50)) < top + 1e-3
    assert "chi2 = " in str(found)


def test_best_fit_needs_a_hybrid() -> None:
    engine = FunctionEngine(lambda theta: -float(theta[0] ** 2), ["x"], version="1")
    with pytest.raises(ConfigError, match=r"needs a Problem over a cmb Hybrid, got FunctionEngine; .*optimum\.maximise"):
        best_fit(Problem(engine, PriorSet([Parameter("x", Uniform(-1, 1))])), seed=1)


def test_the_public_names_load_late() -> None:
    assert cmb.best_fit is best_fit
    assert cmb.importance.correct
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        cmb.nonsense  # noqa: B018
