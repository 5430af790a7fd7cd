"""The best fit of a hybrid, with chi2 per component."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem
from sciinf.engines.cmb.model import Hybrid
from sciinf.samplers.optimum import maximise

__all__ = ["BestFit", "best_fit"]


@dataclass(frozen=True, eq=False)
class BestFit:
    """What `best_fit` found.

    Attributes
    ----------
    theta : (n_dim,) float64 array
        The maximum of the posterior, in the order of ``names``.
    names : tuple of str
        Sampled parameters.
    chi2 : float
        -2 ln L there, by the official (staircase) low-l EE likelihood; priors not included.
    breakdown : dict of str to float
        chi2 of each component.
    log_posterior : float
        ln L + ln prior there.
    converged : bool
        Whether the search ended at a maximum.
    """

    theta: NDArray[np.float64]
    names: tuple[str, ...]
    chi2: float
    breakdown: dict[str, float]
    log_posterior: float
    converged: bool

    def __str__(self) -> str:
        point = ", ".join(f"{name} = {value:.6g}" for name, value in zip(self.names, self.theta, strict=True))
        parts = ", ".join(f"{name} {value:.3f}" for name, value in self.breakdown.items())
        return f"chi2 = {self.chi2:.3f} ({parts}){'' if self.converged else ', NOT converged'} at {point}"


def best_fit(problem: Problem, seed: int, n_starts: int = 4) -> BestFit:
    """Maximum of a hybrid's posterior, searched on the smooth form (SimAll is a staircase), reported with the official values.

    Parameters
    ----------
    problem : Problem
        Over a `Hybrid`.
    seed : int
        Of the starting points.
    n_starts : int
        Searches from different starts; the best is kept.

    Raises
    ------
    ConfigError
        If the problem's engine is not a Hybrid.
    """
    engine = problem.engine
    if not isinstance(engine, Hybrid):
        raise ConfigError(f"best_fit needs a Problem over a cmb Hybrid, got {type(engine).__name__}; the generic form is optimum.maximise")
    found = maximise(problem, seed, n_starts)
    parts = engine.breakdown(problem.engine_theta(found.theta))
    return BestFit(found.theta, problem.names, sum(parts.values()), parts, found.log_posterior, found.converged)
