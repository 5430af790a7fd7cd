"""Chain diagnostics against ArviZ and emcee, against theory for AR(1) chains, and where they must alarm."""

from __future__ import annotations

from typing import Any

import emcee
import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.results import diagnostics as d
from sciinf.results.posterior import Posterior

SHAPES = [(1, 4), (1, 5), (1, 7), (2, 10), (3, 50), (4, 1000), (4, 1001), (32, 300)]


def draws_of(shape: tuple[int, int], rho: float, seed: int = 0) -> np.ndarray:
    """Stationary AR(1) chains of unit variance."""
    noise = np.random.default_rng(seed).normal(size=shape)
    out = np.empty(shape)
    out[:, 0] = noise[:, 0]
    for step in range(1, shape[1]):
        out[:, step] = rho * out[:, step - 1] + np.sqrt(1.0 - rho**2) * noise[:, step]
    return out


def both(arviz: Any, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All diagnostics by ArviZ and by us."""
    theirs = [arviz.ess(draws), arviz.ess(draws, method="tail"), arviz.ess(draws, method="mean"), arviz.rhat(draws)]
    theirs += [arviz.mcse(draws), arviz.mcse(draws, method="sd"), arviz.mcse(draws, method="median")]
    theirs += [arviz.mcse(draws, method="quantile", prob=0.1)]
    ours = [d.ess_bulk(draws), d.ess_tail(draws), d.ess_mean(draws), d.split_rhat(draws)]
    ours += [d.mcse(draws), d.mcse(draws, "sd"), d.mcse(draws, "median"), d.mcse(draws, "quantile", 0.1)]
    return np.array(theirs, dtype=float), np.array(ours)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95, -0.6])
def test_equal_to_arviz(arviz: Any, shape: tuple[int, int], rho: float) -> None:
    theirs, ours = both(arviz, draws_of(shape, rho))
    assert np.allclose(ours, theirs, rtol=1e-10, atol=0.0, equal_nan=True)


def test_equal_to_arviz_with_ties_and_shifted_chains(arviz: Any) -> None:
    draws = np.round(draws_of((4, 400), 0.5), 1) + np.array([[0.0], [0.1], [0.2], [2.0]])
    theirs, ours = both(arviz, draws)
    assert np.allclose(ours, theirs, rtol=1e-10, atol=0.0)
    assert d.split_rhat(draws) > 1.1  # and it alarms


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_autocorrelation_time_is_emcee_s(shape: tuple[int, int], rho: float) -> None:
    draws = draws_of(shape, rho, seed=1)
    assert d.autocorrelation_time(draws) == pytest.approx(emcee.autocorr.integrated_time(draws.T, tol=0, quiet=True)[0], rel=1e-9)


def test_autocorrelation_time_of_ar1() -> None:
    """AR(1): tau = (1 + rho) / (1 - rho). Error from 32 chains estimated one by one; 4 standard errors and 2 % for the window's bias."""
    draws = draws_of((32, 8000), 0.8, seed=2)
    single = np.array([d.autocorrelation_time(row) for row in draws])
    assert abs(d.autocorrelation_time(draws) - 9.0) < 4.0 * single.std(ddof=1) / np.sqrt(32) + 0.18


def test_a_stuck_chain_counts_as_fully_correlated() -> None:
    moving = draws_of((3, 1000), 0.0)
    stuck = np.vstack([moving, np.ones((1, 1000))])
    assert d.autocorrelation_time(moving) < 1.2
    assert d.autocorrelation_time(stuck) > 50.0
    assert d.autocorrelation_time(np.ones((2, 1000))) == pytest.approx(1999.0)


def test_mcse_is_the_scatter_of_means() -> None:
    """200 replicas of AR(1): rms of (mean / stated error) is 1 within 4 standard errors, 1 / sqrt(2 * 200) each."""
    pulls = []
    for seed in range(200):
        draws = draws_of((4, 250), 0.7, seed=seed + 10)
        pulls.append(draws.mean() / d.mcse(draws))
    rms = float(np.sqrt(np.mean(np.square(pulls))))
    assert abs(rms - 1.0) < 4.0 / np.sqrt(400)
    assert abs(1.5 * rms - 1.0) > 4.0 / np.sqrt(400)  # an error stated too small by a third would be seen


def test_too_few_draws_or_nan_give_nan() -> None:
    for function in (d.ess_bulk, d.ess_tail, d.ess_mean, d.split_rhat, d.mcse):
        assert np.isnan(function(np.zeros((2, 3))))
        assert np.isnan(function(np.full((2, 10), np.nan)))
    assert np.isnan(d.split_rhat(draws_of((1, 100), 0.0)))
    assert np.isnan(d.autocorrelation_time([np.nan, 1.0]))


def test_constant_draws() -> None:
    assert d.ess_bulk(np.ones((2, 10))) == 20.0  # as ArviZ
    assert np.isnan(d.split_rhat(np.ones((2, 10))))
    assert d.mcse(np.ones((2, 10)), "sd") == 0.0


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="method must be"):
        d.mcse(np.ones((2, 10)), "mode")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="probability goes with"):
        d.mcse(np.ones((2, 10)), "quantile")
    with pytest.raises(ConfigError, match=r"\(0, 1\)"):
        d.mcse(draws_of((2, 10), 0.0), "quantile", 1.0)
    with pytest.raises(DataError, match="n_chains, n_draws"):
        d.ess_bulk(np.ones((2, 3, 4)))


def test_kish_ess() -> None:
    assert d.ess(np.log([1.0, 1.0, 2.0])) == pytest.approx(16.0 / 6.0)


def test_chains_are_put_in_order_and_cut_to_the_shortest(chains: Posterior, nested: Posterior) -> None:
    draws = d.chains_of(chains, chains.samples)
    assert draws.shape == (16, 500, 2)
    assert np.array_equal(draws[3, 17], chains.samples[(chains.chain == 3) & (chains.draw == 17)][0])
    ragged = Posterior(
        np.arange(5.0)[:, None],
        np.zeros(5),
        np.zeros(5),
        np.zeros(5),
        ("x",),
        chain=np.array([1, 0, 0, 1, 0]),
        draw=np.array([5, 2, 0, 7, 1]),
    )
    assert np.array_equal(d.chains_of(ragged, ragged.samples[:, 0]), [[4.0, 1.0], [0.0, 3.0]])
    with pytest.raises(DataError, match="no chains"):
        d.chains_of(nested, nested.samples)
