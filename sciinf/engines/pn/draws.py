"""Draws of x from a family's law at one theta: chains over the density, which needs no normaliser, and whether they can be trusted.

They simulate data of the model; theta itself is sampled by emcee and dynesty alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, ConvergenceError, DataError
from sciinf.engines.pn.nodes import ends_of, modes_of
from sciinf.engines.pn.support import Box, Circle, Spins

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily

__all__ = ["chained", "check_mixed", "starts"]

FloatArray = NDArray[np.float64]

_CHAINS = 4
_LEAST = 1000  # kept draws of a chain, for its checks to mean something
_PILOT = 2000  # steps of a chain from which its autocorrelation time is read
_MOST_THIN = 400
_RHAT, _LEAST_EFFECTIVE = 1.01, 1000.0

_STAGES = 10  # of the walk in which steps are scaled
_STAGE_STEPS = 500
_ROUNDS, _ROUND_STEPS = 60, 100  # until a first scale is found
_LADDER = (0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7)  # powers of the density of a tempered start

_GRID = 129  # points in each direction, where the modes of two dimensions are looked for
_NEAR = 10.0  # in ln below the highest mode: others where a chain begins


def chained(family: ExponentialFamily, theta: FloatArray, n: int, rng: np.random.Generator, spacing: float = 1.0) -> FloatArray:
    """At least ``n`` draws of four chains, (4, n_steps, dim): Gibbs sweeps over spins, Metropolis steps over all else.

    Parameters
    ----------
    family : ExponentialFamily
        With compiled statistics.
    theta : (p,) float64 array
    n : int
    rng : numpy.random.Generator
    spacing : float
        Steps between kept draws, in autocorrelation times.

    Raises
    ------
    ConfigError
        If the statistics are not compiled.

    Notes
    -----
    Chains begin at the modes found on a grid in up to two dimensions, else behind a walk from a flattened density to the true one. The
    first half of each is discarded; scale of the steps and spacing of the draws are chosen in it alone. Whether the chains can be trusted
    is for `check_mixed` to say.
    """
    walks = [_Walk(family, theta, seed) for seed in rng.integers(0, 2**63, size=_CHAINS).tolist()]
    for walk, place in zip(walks, starts(family, theta, [walk.rng for walk in walks]), strict=True):
        walk.settle(place)
    pilot = np.stack([walk.steps(_PILOT, 1) for walk in walks])
    time = pilot.shape[0] * pilot.shape[1] / min(_effective(_statistics(family, pilot)))
    thin = int(min(max(1, math.ceil(spacing * time)), _MOST_THIN))
    length = max(-(-n // _CHAINS), _LEAST)
    for walk in walks:
        walk.steps(length, thin)  # the rest of the discarded half
    return np.stack([walk.steps(length, thin) for walk in walks])


def check_mixed(family: ExponentialFamily, points: FloatArray, *, ensemble: bool = False) -> float:
    """Least effective number of draws of a statistic, of points (n_chains, n_steps, dim); ``ensemble``: the chains are walkers of one.

    Raises
    ------
    ConvergenceError
        If for a statistic split R-hat is above 1.01 or that number below 1,000.
    """
    from sciinf.results.diagnostics import autocorrelation_time, split_rhat

    statistics = _statistics(family, points)
    if ensemble:  # walkers depend on each other: their number over the common autocorrelation time, and R-hat of groups laid end to end
        moving = [float(autocorrelation_time(statistics[:, :, k])) for k in range(family.p)]
        effective = [statistics.shape[0] * statistics.shape[1] / time for time in moving]
        statistics = statistics[: len(statistics) // _CHAINS * _CHAINS].reshape(_CHAINS, -1, family.p)
    else:
        effective = _effective(statistics)
    for k, name in enumerate(family.names or ()):
        rhat = split_rhat(statistics[:, :, k]) if np.ptp(statistics[:, :, k]) > 0.0 else 1.0
        if not rhat <= _RHAT:
            raise ConvergenceError(
                f"pn: the chains over x do not agree on the statistic of {name}: split R-hat {rhat:.4f}, at most {_RHAT} is asked for. "
                "The density may have modes that no chain leaves: take quadrature or enumeration where they apply, or more draws"
            )
        if not effective[k] >= _LEAST_EFFECTIVE:
            raise ConvergenceError(
                f"pn: the chains over x have {effective[k]:.0f} effective draws of the statistic of {name}, at least "
                f"{_LEAST_EFFECTIVE:.0f} are asked for: raise n_draws"
            )
    return float(min(effective))


def _statistics(family: ExponentialFamily, points: FloatArray) -> FloatArray:
    """T (n_chains, n_steps, p) of points (n_chains, n_steps, dim)."""
    chains, length, dim = points.shape
    return family.evaluate(points.reshape(-1, dim)).reshape(chains, length, family.p)


def _effective(statistics: FloatArray) -> list[float]:
    from sciinf.results.diagnostics import ess_mean

    return [float(ess_mean(statistics[:, :, k])) for k in range(statistics.shape[2])]


class _Walk:
    """One chain: where it is, how far it steps, and its own random numbers."""

    def __init__(self, family: ExponentialFamily, theta: FloatArray, seed: int) -> None:
        from sciinf.engines.pn.kernels import no_base

        statistics, log_base, inner = family.compiled_density(theta)
        if statistics is None:
            raise ConfigError(f"pn: {type(family).__name__} has no compiled statistics, which chains over x need")
        self.density = (statistics, log_base or no_base, inner)
        self.rng = np.random.default_rng(seed)
        self.dim, self.spins = family.support.dim, isinstance(family.support, Spins)
        self.bounds = _bounds(family)
        self.state: FloatArray = np.zeros(self.dim)
        self.factor: FloatArray = np.eye(self.dim)
        self.accepted = 0.0

    def steps(self, n: int, thin: int, power: float = 1.0) -> FloatArray:
        """``n`` more draws (n, dim), ``thin`` steps apart."""
        from sciinf.engines.pn.kernels import gibbs, metropolis

        out = np.empty((n, self.dim))
        if self.spins:
            gibbs(*self.density, self.state, power, thin, self.rng, out)
        else:
            accepted: Any = metropolis(*self.density, self.bounds, self.factor, self.state, power, thin, self.rng, out)
            self.accepted = accepted / (n * thin)
        return out

    def settle(self, place: tuple[FloatArray, float] | None) -> None:
        """Begin at a place with a scale, or, without one, from the support at large; then scale the steps."""
        if place is None:
            self._anneal()
        else:
            self.state, self.factor = place[0].copy(), place[1] * np.eye(self.dim)
        if self.spins:
            self.steps(_STAGES * _STAGE_STEPS, 1)
            return
        self._rough(1.0)
        seen = []
        for stage in range(_STAGES):
            seen.append(self.steps(_STAGE_STEPS, 1))
            if self.dim > 1 and stage in (1, 3, 6):
                covariance = np.asarray(np.cov(np.vstack(seen[stage // 2 :]).T), dtype=np.float64)
                spread = np.diag(np.maximum(np.diag(covariance), 1e-300))
                self.factor = np.asarray(np.linalg.cholesky(covariance + 1e-6 * spread) * 2.4 / math.sqrt(self.dim), dtype=np.float64)
            else:
                self.factor = self.factor * math.exp(2.0 * (self.accepted - self._goal))

    @property
    def _goal(self) -> float:
        """Rate of acceptance, by the number of dimensions (Roberts, Gelman & Gilks 1997, Ann. Appl. Probab. 7, 110)."""
        return 0.44 if self.dim == 1 else 0.3

    def _rough(self, power: float) -> None:
        """A scale of steps of which neither all nor none are accepted."""
        for _ in range(_ROUNDS):
            self.steps(_ROUND_STEPS, 1, power)
            if self.accepted < 0.15:
                self.factor = self.factor * (0.1 if self.accepted < 0.03 else 0.5)
            elif self.accepted > 0.75:
                self.factor = self.factor * 2.0
            else:
                return

    def _anneal(self) -> None:
        if self.spins:
            self.state = np.asarray(np.where(self.rng.random(self.dim) < 0.5, -1.0, 1.0), dtype=np.float64)
        else:
            low, high = self.bounds
            self.state = low + (high - low) * self.rng.random(self.dim)
            self.factor = np.diag(0.2 * (high - low)).astype(np.float64)
        for power in _LADDER:
            if not self.spins:
                self._rough(power)
            self.steps(_STAGE_STEPS, 1, power)


def _bounds(family: ExponentialFamily) -> FloatArray:
    support = family.support
    if isinstance(support, Box):
        return np.array([support.lower, support.upper])
    if isinstance(support, Circle | Spins):
        return np.array([[-math.inf] * support.dim, [math.inf] * support.dim])
    return np.array(ends_of(support))[:, None]


def starts(family: ExponentialFamily, theta: FloatArray, generators: list[np.random.Generator]) -> list[tuple[FloatArray, float] | None]:
    """Where each chain begins, with a length to begin with: at the modes by turns; None where they are not looked for."""
    support, number = family.support, len(generators)

    def value(x: FloatArray) -> FloatArray:
        points = np.asarray(x, dtype=np.float64).reshape(-1, support.dim)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = family.evaluate(points) @ theta + family.log_base_of(points)
        return np.where(np.isnan(found), -np.inf, found)

    if isinstance(support, Spins) or support.dim > 2:
        return [None] * number
    if support.dim == 2:
        modes, length = _modes_on_a_grid(value, _bounds(family))
    else:
        hints = family.hints(theta)
        low, high = ends_of(support)
        inside = hints[(hints > low) & (hints < high)] if hints is not None else np.empty(0)
        modes = (inside if len(inside) else modes_of(value, low, high))[:, None]
        length = 1e-2 * max(float(np.max(np.abs(modes))), 1e-6)
    heights = value(modes)
    if not math.isfinite(float(np.max(heights))):
        raise DataError("pn: the density is nowhere positive and finite")
    kept = modes[heights > np.max(heights) - _NEAR]
    kept = kept[np.argsort(-heights[heights > np.max(heights) - _NEAR], kind="stable")]
    return [(kept[k % len(kept)], length) for k in range(number)]


def _modes_on_a_grid(value: Any, bounds: FloatArray) -> tuple[FloatArray, float]:
    """Points (k, 2) of a grid that are above their neighbours, and its step."""
    low, high = bounds
    axis = (np.arange(_GRID) + 0.5) / _GRID
    x, y = np.meshgrid(low[0] + (high[0] - low[0]) * axis, low[1] + (high[1] - low[1]) * axis, indexing="ij")
    heights = value(np.column_stack([x.ravel(), y.ravel()])).reshape(_GRID, _GRID)
    padded = np.pad(heights, 1, constant_values=-math.inf)
    around = [padded[1 + i : 1 + i + _GRID, 1 + j : 1 + j + _GRID] for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    best = np.all([heights >= other for other in around], axis=0) & np.isfinite(heights)
    return np.column_stack([x[best], y[best]]), float(np.min(high - low)) / _GRID
