"""Pareto-smoothed importance sampling against ArviZ and against known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.results.combine import reweight
from sciinf.results.importance import pareto_fit, psis
from sciinf.results.posterior import Posterior


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("n", "scale", "efficiency"), [(1000, 1.0, 1.0), (500, 3.0, 1.0), (4000, 0.2, 0.3), (60, 1.0, 0.9), (10, 1.0, 1.0)]
)
def test_psis_is_arviz_s(arviz: Any, seed: int, n: int, scale: float, efficiency: float) -> None:
    raw = scale * np.random.default_rng(seed).normal(size=n) - 300.0
    theirs, k_theirs = arviz.psislw(raw.copy(), reff=efficiency)
    ours, k_ours = psis(raw, efficiency)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-10)
    assert k_ours == pytest.approx(float(k_theirs), rel=1e-10)


def test_psis_of_heavy_tails_and_of_constants(arviz: Any) -> None:
    raw = np.random.default_rng(1).standard_cauchy(3000)
    theirs, k_theirs = arviz.psislw(raw.copy())
    ours, k_ours = psis(raw)
    assert k_ours == pytest.approx(float(k_theirs), rel=1e-10)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-9)
    flat, k = psis(np.zeros(100))
    assert k == np.inf
    assert np.allclose(flat, -np.log(100))
    some, _ = psis(np.append(np.full(50, -np.inf), np.random.default_rng(2).normal(size=100)))
    assert np.all(np.isneginf(some[:50]))
    assert not np.isnan(some).any()


@pytest.mark.parametrize("k", [-0.2, 0.3, 0.8])
def test_pareto_fit_finds_the_shape(k: float) -> None:
    """20,000 draws: within 5 asymptotic errors (1 + k) / sqrt(n) and the prior's pull of at most 10 / n."""
    n = 20_000
    draws = np.sort(stats.genpareto.rvs(k, scale=2.0, size=n, random_state=3))
    shape, scale = pareto_fit(draws)
    assert abs(shape - k) < 5.0 * (1.0 + abs(k)) / np.sqrt(n) + 10.0 / n
    assert scale == pytest.approx(2.0, rel=0.05)


def normal_posterior(width: float, seed: int = 1, n: int = 8000) -> Posterior:
    x = width * np.random.default_rng(seed).normal(size=n)
    return Posterior(x[:, None], np.zeros(n), -0.5 * (x / width) ** 2, np.zeros(n), ("x",))


def test_reweighting_to_a_narrower_normal() -> None:
    """N(0, 1.5) to N(0.3, 1): mean and std within 5 errors by the new ESS; k-hat low, efficiency below one."""
    old = normal_posterior(1.5)
    x = old.samples[:, 0]
    new, k_hat, efficiency = reweight(old, -0.5 * (x - 0.3) ** 2 + 0.5 * (x / 1.5) ** 2)
    size = efficiency * len(old)
    assert abs(new.mean()[0] - 0.3) < 5.0 / np.sqrt(size)
    assert abs(new.std()[0] - 1.0) < 5.0 / np.sqrt(2 * size)
    assert k_hat < 0.5
    assert 0.5 < efficiency < 0.95
    assert new.best == int(np.argmin(np.abs(x - 0.3)))


def test_k_hat_alarms_where_the_old_posterior_is_too_narrow() -> None:
    """N(0, 0.3) to N(0, 1): the ratios' tail has k = 1 - 0.3^2."""
    old = normal_posterior(0.3)
    x = old.samples[:, 0]
    assert reweight(old, -0.5 * x**2 + 0.5 * (x / 0.3) ** 2).k_hat > 0.7


def test_a_ratio_of_one_changes_nothing_in_a_nested_run(nested: Posterior) -> None:
    new, _, efficiency = reweight(nested, np.zeros(len(nested)))
    assert np.array_equal(new.log_weights, nested.log_weights)
    assert efficiency == 1.0
    assert new.log_evidence == pytest.approx(nested.log_evidence, abs=1e-12)
    assert new.n_live is None
    assert new.birth_log_likelihood is None


def test_evidence_of_a_reweighted_nested_run(nested: Posterior) -> None:
    """Likelihood times N(x; 0.5, 1): ln Z changes by ln N(0.5; 0, sqrt 2), within 4 of the stated errors."""
    x = nested.samples[:, 0]
    new, k_hat, _ = reweight(nested, stats.norm.logpdf(x, 0.5))
    truth = -3.0 * np.log(20.0) + stats.norm.logpdf(0.5, 0.0, np.sqrt(2.0))
    assert abs(new.log_evidence - truth) < 4.0 * new.log_evidence_error
    assert new.log_evidence_error > nested.log_evidence_error
    assert k_hat < 0.7
    assert abs(new.mean()[0] - 0.25) < 5.0 * new.summary()["x"].mcse
    assert abs(new.mean()[0] - nested.mean()[0]) > 5.0 * new.summary()["x"].mcse / np.sqrt(5)


def test_a_new_prior_goes_to_the_prior_s_column(nested: Posterior) -> None:
    ratio = -0.1 * nested.samples[:, 0] ** 2
    new = reweight(nested, ratio, changes="prior").posterior
    assert np.array_equal(new.log_likelihood, nested.log_likelihood)
    assert np.allclose(new.log_prior, nested.log_prior + ratio)


def test_chains_keep_their_chains_and_count_their_correlation(chains: Posterior) -> None:
    new, k_hat, efficiency = reweight(chains, 0.3 * chains.samples[:, 0])
    assert np.array_equal(new.chain, chains.chain)
    assert new.ess < chains.ess
    assert k_hat < 0.5
    assert abs(new.mean()[0] - 0.3) < 5.0 * new.summary()["alpha"].mcse
    assert efficiency == pytest.approx(
        np.exp(-0.09), abs=0.05
    )  # ESS/n = (E w)^2 / E w^2 = exp(-s^2) for normal log-weights of variance s^2


def test_refuses(nested: Posterior) -> None:
    n = len(nested)
    with pytest.raises(DataError, match="log_ratio must have shape"):
        reweight(nested, np.zeros(n - 1))
    with pytest.raises(DataError, match=r"log_ratio\[3\] = nan"):
        reweight(nested, np.where(np.arange(n) == 3, np.nan, 0.0))
    with pytest.raises(DataError, match="do not overlap"):
        reweight(nested, np.full(n, -np.inf))
    with pytest.raises(ConfigError, match="changes"):
        reweight(nested, np.zeros(n), changes="data")  # type: ignore[arg-type]
