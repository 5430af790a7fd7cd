"""Independent draws of a posterior, and what to run where it holds too few."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from sciinf.results.diagnostics import slowest_autocorrelation_time
from sciinf.results.posterior import Posterior
from sciinf.samplers.settings import Dynesty, Settings

__all__ = ["LEAST_ESS", "independent_draws", "longer"]

LEAST_ESS = 1000.0  # of a nested run that is resampled by equal weight


def independent_draws(
    posterior: Posterior, n: int, rng: np.random.Generator, *, least_ess: float = LEAST_ESS
) -> NDArray[np.float64] | None:
    """``n`` independent draws (n, n_dim) of a posterior, or None where it holds too few.

    Chains are thinned beyond two autocorrelation times, all walkers kept, and ``n`` of what is left taken without replacement. Weighted
    points are drawn by their weights where the effective sample size is at least ``least_ess`` (1,000: what ranks need), and at least
    5 ``n``.
    """
    if posterior.chain is None or posterior.draw is None:
        if posterior.ess < max(least_ess, 5.0 * n):
            return None
        return np.asarray(posterior.samples[rng.choice(len(posterior), size=n, p=posterior.weights)])
    stride = math.ceil(2.0 * slowest_autocorrelation_time(posterior)) + 1
    steps = np.unique(posterior.draw)
    kept = np.flatnonzero(np.isin(posterior.draw, steps[len(steps) - 1 :: -stride]))
    if len(kept) < n:
        return None
    return np.asarray(posterior.samples[rng.permutation(kept)[:n]])


def longer(settings: Settings, posterior: Posterior, wanted: float) -> Settings:
    """Settings of a longer run, for a posterior with too few independent draws; ``wanted`` is the ESS that a nested run must reach."""
    if isinstance(settings, Dynesty) and settings.dynamic:
        return dataclasses.replace(settings, n_effective=math.ceil(max(1.2 * wanted, 1.5 * posterior.ess)))
    if isinstance(settings, Dynesty):
        factor = max(1.5, 1.2 * wanted / max(posterior.ess, 1.0))
        return dataclasses.replace(settings, n_live=math.ceil(settings.n_live * min(factor, 8.0)))
    if settings.n_steps is not None:
        return dataclasses.replace(settings, n_steps=2 * settings.n_steps)
    if posterior.status == "not_converged":
        return dataclasses.replace(settings, max_steps=2 * settings.max_steps)
    return dataclasses.replace(settings, tau_multiple=2.0 * settings.tau_multiple)
