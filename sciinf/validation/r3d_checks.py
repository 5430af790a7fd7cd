"""Verdicts on bands and ranks, and how replicas are spread over workers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration import sbc
from sciinf.calibration.verdict import Verdict
from sciinf.core.problem import Problem
from sciinf.engines.r3d import R3DWarning
from sciinf.engines.r3d.inference import Band
from sciinf.samplers.pools import Pool

__all__ = ["covers", "mapped", "quiet", "rank_verdicts", "together"]

FloatArray = NDArray[np.float64]

_RANK_BOUND = 3.5
_BINS = 10
_CHANCE = 1e-3


def together(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Columns of rows that have the same keys."""
    return {key: [row[key] for row in rows] for key in rows[0]}


def covers(band: Band, truth: FloatArray | float) -> bool:
    """Whether a band holds the whole true curve."""
    return bool((band.lower <= truth).all() and (band.upper >= truth).all())


def quiet() -> None:
    """Say nothing of doubtful fits: thousands of them are made on purpose."""
    warnings.filterwarnings("ignore", category=R3DWarning)


def _replica(problem: Problem, item: tuple[Callable[..., Any], int, tuple[Any, ...]]) -> Any:
    """One unit of work; the pool's problem plays no part."""
    quiet()
    function, seed, arguments = item
    return function(seed, *arguments)


def mapped(pool: Pool, function: Callable[..., Any], seeds: Sequence[int], *arguments: Any) -> list[Any]:
    """``function(seed, *arguments)`` for each seed, in order, in the units of a pool."""
    return pool.map(_replica, [(function, seed, arguments) for seed in seeds])


def rank_verdicts(ranks: NDArray[np.int64], names: Sequence[str]) -> dict[str, Verdict]:
    """Three verdicts on ranks that should be uniform: chi-square, rank mean and rank variance; the worst parameter decides.

    Parameters
    ----------
    ranks : (n, n_dim) int64 array
        Of each truth among `sciinf.calibration.sbc.N_DRAWS` draws.
    names : sequence of str
        Parameters.
    """
    n, cells = len(ranks), sbc.N_DRAWS + 1
    counts = np.array([np.bincount(column * _BINS // cells, minlength=_BINS) for column in ranks.T])
    p = stats.chisquare(counts, axis=1).pvalue
    least = min(1.0, float(p.min()) * len(p))
    found = sbc.test(ranks, names)
    out = {"uniform": Verdict("chi-square", least, least, n, least > _CHANCE, f"{_BINS} bins; worst: {names[int(np.argmin(p))]}")}
    for what, z, note in (("mean", found.mean_z, ""), ("variance", found.variance_z, ", negative: posterior too wide")):
        worst = int(np.argmax(np.abs(z)))
        detail = f"z {z[worst]:+.2f} of {names[worst]}{note}; bound {_RANK_BOUND}"
        out[what] = Verdict(f"rank {what}", float(z[worst]), None, n, bool(abs(z[worst]) < _RANK_BOUND), detail)
    return out
