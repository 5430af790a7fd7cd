"""Where the walkers of an ensemble start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.samplers.session import Session, nothing_finite
from sciinf.samplers.settings import Emcee

__all__ = ["start_points"]

_START_BATCHES = 200  # batches of n_walkers points before giving up
LogPosterior = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def start_points(session: Session, settings: Emcee, log_posterior: LogPosterior) -> NDArray[np.float64]:
    """Start points (n_walkers, n_dim), each with a finite posterior.

    Raises
    ------
    ConfigError
        If given points have the wrong shape, lie outside the prior, or span fewer dimensions than there are parameters.
    LikelihoodError
        If the likelihood is zero at all but too few points of the prior that were tried.
    """
    problem, rng = session.problem, generator(session.seed, "start")
    if isinstance(settings.start, np.ndarray):
        return _given(problem, settings.start, log_posterior)
    if settings.start == "optimum":
        draw = _ball(problem, session.seed)
    else:
        draw = problem.priors.sample
    kept = np.empty((0, problem.n_dim))
    for _ in range(_START_BATCHES):
        points = draw(rng, settings.n_walkers)
        values, _ = log_posterior(points)
        kept = np.vstack([kept, points[np.isfinite(values)]])
        if len(kept) >= settings.n_walkers:
            return np.ascontiguousarray(kept[: settings.n_walkers])
    raise nothing_finite(problem, _START_BATCHES * settings.n_walkers, len(kept))


def _given(problem: Problem, points: NDArray[np.float64], log_posterior: LogPosterior) -> NDArray[np.float64]:
    if points.shape[1] != problem.n_dim:
        raise ConfigError(f"Emcee: start must have {problem.n_dim} columns ({', '.join(problem.names)}), got {points.shape[1]}")
    values, _ = log_posterior(points)
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        by_name = ", ".join(f"{name}={x!r}" for name, x in zip(problem.names, points[bad[0]].tolist(), strict=True))
        raise ConfigError(f"Emcee: start[{bad[0]}] has zero posterior at {by_name} ({bad.size} such points). Move it inside the prior")
    if np.linalg.matrix_rank(points - points.mean(axis=0)) < problem.n_dim:
        raise ConfigError(f"Emcee: the start points span fewer than {problem.n_dim} dimensions, and walkers would never leave them")
    return np.array(points)


def _ball(problem: Problem, seed: int) -> Callable[[np.random.Generator, int], NDArray[np.float64]]:
    """Draws from the Gaussian of the posterior's curvature at its maximum."""
    from sciinf.samplers.optimum import fisher, maximise

    best = maximise(problem, seed)
    covariance = np.linalg.inv(fisher(problem, best.theta))
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T))

    def draw(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        return np.asarray(best.theta + rng.standard_normal((n, problem.n_dim)) @ root.T)

    return draw
