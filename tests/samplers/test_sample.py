"""`sample` end to end: known answers, the prior back from a flat likelihood, fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import sciinf
from sciinf.calibration import analytic
from sciinf.core.errors import SciinfWarning
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee, Settings

QUICK_NESTED = Dynesty(n_live=80, walks=20, dlogz=0.1)
QUICK_CHAIN = Emcee(n_walkers=32)


def agrees_in_moments(posterior: Posterior, known: analytic.AnalyticProblem, sigmas: float = 4.5) -> None:
    """Means and standard deviations within ``sigmas`` of the Monte Carlo errors for a Gaussian."""
    assert known.mean is not None
    assert known.covariance is not None
    truth, std = known.mean, np.sqrt(np.diag(known.covariance))
    assert np.all(np.abs(posterior.mean() - truth) < sigmas * std / np.sqrt(posterior.ess))
    assert np.all(np.abs(posterior.std() / std - 1.0) < sigmas / np.sqrt(2.0 * posterior.ess))


def test_dynesty_finds_the_evidence_and_moments_of_a_gaussian() -> None:
    """-3 ln 20 = -8.987197, by hand: normalised Gaussian well inside a box of side 20."""
    known = analytic.gauss3()
    posterior = sample(known.problem, QUICK_NESTED, seed=1, progress=False)
    assert posterior.log_evidence is not None
    assert posterior.log_evidence_error is not None
    assert abs(posterior.log_evidence + 3.0 * np.log(20.0)) < 4.0 * posterior.log_evidence_error
    agrees_in_moments(posterior, known)
    assert posterior.status == "ok"


def test_emcee_finds_the_moments_of_a_gaussian() -> None:
    known = analytic.gauss3()
    posterior = sample(known.problem, QUICK_CHAIN, seed=1, progress=False)
    agrees_in_moments(posterior, known)
    assert posterior.status == "ok"
    assert posterior.log_evidence is None
    assert posterior.chain is not None


@pytest.mark.parametrize("settings", [QUICK_NESTED, QUICK_CHAIN], ids=["dynesty", "emcee"])
def test_a_constant_likelihood_gives_the_prior_back(settings: Settings) -> None:
    """Kolmogorov-Smirnov against the prior's own distribution function, each parameter."""
    known = analytic.prior()
    with pytest.warns(SciinfWarning, match="a, b, c never changed the likelihood"):
        posterior = sample(known.problem, settings, seed=3, progress=False)
    draws = posterior.equal_weight(np.random.default_rng(1))
    keep = max(1, int(len(draws) / posterior.ess))
    for i, member in enumerate(known.problem.priors.members):
        assert stats.kstest(draws[::keep, i], member.prior.cdf).pvalue > 1e-4
    if posterior.log_evidence is not None:
        assert abs(posterior.log_evidence) < 2.0 / QUICK_NESTED.n_live  # the trapezium rule leaves out 3 half shells of 1 / (n_live + 1)


@pytest.mark.parametrize("settings", [Dynesty(n_live=30, walks=10, dlogz=0.5), Emcee(n_walkers=16, n_steps=150)], ids=["dynesty", "emcee"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(settings: Settings) -> None:
    problem = analytic.gauss3().problem
    first, again, other = (sample(problem, settings, seed=seed, progress=False).content_hash() for seed in (5, 5, 6))
    assert first == again != other


def test_it_is_reachable_from_the_package() -> None:
    assert sciinf.sample is sample
    assert sciinf.Dynesty is Dynesty
