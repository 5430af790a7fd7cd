"""Draws that do not depend on each other, of weighted points and of chains."""

from __future__ import annotations

import numpy as np

from sciinf.calibration.draws import independent_draws
from sciinf.results.posterior import Posterior


def test_independent_draws_of_weighted_points_follow_the_weights() -> None:
    n = 8000
    x = np.linspace(-5.0, 5.0, n)
    posterior = Posterior(x[:, None], -0.5 * x**2, -0.5 * x**2, np.zeros(n), ("x",))
    draws = independent_draws(posterior, 199, np.random.default_rng(1))
    assert draws is not None
    assert abs(draws.mean()) < 5.0 / np.sqrt(199)
    assert abs(draws.std() - 1.0) < 5.0 / np.sqrt(2 * 199)
    assert independent_draws(posterior, 2000, np.random.default_rng(1)) is None


def test_independent_draws_of_a_chain_are_thinned_beyond_two_autocorrelation_times() -> None:
    """An AR(1) ensemble with tau = (1 + a)/(1 - a) = 9: at most every 19th step stays, and neighbours no longer correlate."""
    rng, walkers, steps, a = np.random.default_rng(2), 20, 4000, 0.8
    chain = np.zeros((steps, walkers))
    for i in range(1, steps):
        chain[i] = a * chain[i - 1] + np.sqrt(1 - a * a) * rng.normal(size=walkers)
    draw, walker = np.repeat(np.arange(steps), walkers), np.tile(np.arange(walkers), steps)
    zeros = np.zeros(chain.size)
    posterior = Posterior(chain.reshape(-1, 1), zeros, zeros, zeros, ("x",), chain=walker, draw=draw)
    most = independent_draws(posterior, walkers * (steps // 21), np.random.default_rng(3))
    assert most is not None
    assert len(np.unique(most)) == len(most)
    assert independent_draws(posterior, walkers * (steps // 17), np.random.default_rng(3)) is None
