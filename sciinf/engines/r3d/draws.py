"""Draws of the estimated curve's error: from its exact Gaussian law, or with multipliers, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, shown
from sciinf.core.seeding import check_seed, generator
from sciinf.engines.r3d.settings import one_of

__all__ = ["CriticalValue", "Drawing", "check_alpha", "critical_value", "root_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FEWEST = 19
_N_DRAWS = 4999
_BLOCK_FLOATS = 4_000_000
_NULL_SPACE = 1e-12  # of the largest eigenvalue
_RANK_ROUNDING = 1e-9


def check_alpha(alpha: Any) -> float:
    """``alpha`` as a float inside (0, 1).

    Raises
    ------
    ConfigError
        If it is not.
    """
    try:
        value = float(alpha)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 < value < 1.0:
        raise ConfigError(f"r3d: alpha must be a number inside (0, 1), got {shown(alpha)}")
    return value


@dataclass(frozen=True, eq=False)
class CriticalValue:
    """An order statistic of drawn suprema, and its Monte Carlo error."""

    value: float
    mc_error: float


def _rank(alpha: float, n_draws: int) -> int:
    """k = ceil((1 - alpha)(B + 1)), which must be one of the B draws."""
    rank = math.ceil((1.0 - alpha) * (n_draws + 1) - _RANK_ROUNDING)
    if rank > n_draws:
        smallest = math.ceil(1.0 / alpha - 1.0 - _RANK_ROUNDING)
        raise ConfigError(f"r3d: {n_draws} draws are too few for alpha = {alpha:g}: at least {smallest} are needed")
    return rank


def critical_value(sups: FloatArray, alpha: float) -> CriticalValue:
    """The k-th smallest of B suprema, k = ceil((1 - alpha)(B + 1)).

    Parameters
    ----------
    sups : (B,) float64 array
        Suprema.
    alpha : float
        One less the level.

    Returns
    -------
    CriticalValue
        Its error is half the distance between the order statistics k - d and k + d, d = sqrt(B alpha (1 - alpha)).

    Raises
    ------
    ConfigError
        If k > B; names the smallest B that would do.
    """
    n_draws = len(sups)
    rank = _rank(alpha, n_draws)
    ordered = np.sort(sups)
    spread = math.sqrt(n_draws * alpha * (1.0 - alpha))
    low, high = max(round(rank - spread), 1), min(round(rank + spread), n_draws)
    return CriticalValue(float(ordered[rank - 1]), 0.5 * float(ordered[high - 1] - ordered[low - 1]))


@dataclass(frozen=True, eq=False)
class Drawing:
    """How the errors of an estimated curve are drawn: what ``n_draws``, ``seed``, ``draws`` and ``xi`` mean wherever they are asked for.

    Parameters
    ----------
    n_draws : int
        B >= 19; of ``xi``, where that is given.
    seed : int
        Of the draws.
    draws : {"gaussian", "multiplier"}
        From the law N(0, S) that multipliers have given the data, or with one standard normal multiplier for each independent block.
    xi : (n_blocks, B) float64 array, optional
        Multipliers of all units, or of all clusters in sorted order: then there is nothing to draw, and no seed.

    Raises
    ------
    ConfigError
        If an option is not known, there are too few draws, or a number of draws or a seed stands beside ``xi``.

    Examples
    --------
    >>> Drawing(n_draws=999, seed=1).draws
    'gaussian'
    """

    n_draws: int = _N_DRAWS
    seed: int = 0
    draws: str = "gaussian"
    xi: ArrayLike | None = None

    def __post_init__(self) -> None:
        one_of("draws", self.draws, ("gaussian", "multiplier"))
        check_seed(self.seed)
        if self.xi is not None:
            multipliers = finite_array("xi", self.xi, shape=(-1, -1))
            beside = [
                name for name in ("n_draws", "seed") if getattr(self, name) not in ((_N_DRAWS, multipliers.shape[1]), (0,))[name == "seed"]
            ]
            if beside:
                raise ConfigError(f"r3d: xi are the draws themselves, {multipliers.shape[1]} of them: leave out {' and '.join(beside)}")
            object.__setattr__(self, "xi", multipliers)
            object.__setattr__(self, "n_draws", multipliers.shape[1])
            object.__setattr__(self, "draws", "multiplier")
        if isinstance(self.n_draws, (bool, np.bool_)) or not isinstance(self.n_draws, (int, np.integer)) or self.n_draws < _FEWEST:
            raise ConfigError(f"r3d: n_draws must be an integer of at least {_FEWEST}, got {shown(self.n_draws)}")

    def over(
        self, blocks: FloatArray, places: IntArray, n_places: int, statistic: Callable[[FloatArray], FloatArray],
        root: Callable[[], FloatArray] | None = None,
    ) -> FloatArray:  # fmt: skip
        """``statistic`` of every draw.

        Parameters
        ----------
        blocks : (n_independent, m) float64 array
            Contributions.
        places : (n_independent,) int64 array
            Their rows in ``xi``.
        n_places : int
            Rows that ``xi`` must have.
        statistic : callable
            (b, m) draws to (b,) or (b, k).
        root : callable, optional
            Gives `root_of` the blocks, where it is kept.

        Returns
        -------
        (B,) or (B, k) float64 array
        """
        return np.concatenate([statistic(draws) for draws in self._draws(blocks, places, n_places, root)])

    def _draws(self, blocks: FloatArray, places: IntArray, n_places: int, root: Callable[[], FloatArray] | None) -> Iterator[FloatArray]:
        if self.xi is not None:
            xi = np.asarray(self.xi)
            if len(xi) != n_places:
                raise ConfigError(f"r3d: xi must have one row for each of the {n_places} units (or clusters), got {len(xi)}")
            yield xi[places].T @ blocks
            return
        rng = generator(self.seed, "r3d/draws")
        factor = blocks if self.draws == "multiplier" else root_of(blocks) if root is None else root()
        step = max(1, _BLOCK_FLOATS // max(factor.shape))
        for start in range(0, self.n_draws, step):
            yield rng.standard_normal((min(step, self.n_draws - start), len(factor))) @ factor


def root_of(blocks: FloatArray) -> FloatArray:
    """F (r, m) with F'F = S = A'A, its null space left out: S of a fine grid is singular, so no Cholesky factor exists."""
    values, vectors = np.linalg.eigh(blocks.T @ blocks)
    kept = values > _NULL_SPACE * max(float(values[-1]), np.finfo(float).tiny)
    if not kept.any():
        return np.zeros((1, blocks.shape[1]))
    signs = np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(values))])  # a vector's sign is free: fix it
    return np.ascontiguousarray((vectors * signs * np.sqrt(np.maximum(values, 0.0)))[:, kept].T)
