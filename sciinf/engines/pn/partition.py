"""Where a family's log-partition function comes from, packed for the compiled likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.pn.affine import AffineFamily
from sciinf.engines.pn.closed import ClosedFamily
from sciinf.engines.pn.families import Binomial, MultivariateNormal, NegativeBinomial, PolynomialExponential
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.nodes import ends_of, has_rule
from sciinf.engines.pn.partition_kernels import BLOCK, LANES, ROUTES
from sciinf.engines.pn.polynomial_kernels import polynomial_work

__all__ = ["PackedPartition", "is_exact", "packed_exact", "packed_rows", "unique_rows"]

FloatArray = NDArray[np.float64]

_STATE = 1 + 2 * LANES
_NOTHING = -1e300  # log weight of a row that only fills a lane


class PackedPartition(NamedTuple):
    """Route to psi, its constants, number of rows, and length of the work array beyond p."""

    route: int
    constants: FloatArray
    n_rows: int
    work: int


def is_exact(family: ExponentialFamily) -> bool:
    """Whether psi is known in closed form, by listing states, or by quadrature."""
    if isinstance(family, AffineFamily):
        return is_exact(family.family)
    return (isinstance(family, ClosedFamily) and not family.support.is_finite) or has_rule(family.support)


def unique_rows(statistics: FloatArray, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Different rows (k, p) of statistics (n, p), and the log of their summed weights (k,)."""
    rows, which = np.unique(statistics, axis=0, return_inverse=True)
    summed = np.full(len(rows), -np.inf)
    np.logaddexp.at(summed, which.reshape(-1), log_weights)
    return rows, summed


def packed_rows(
    rows: FloatArray, log_weights: FloatArray, counts: FloatArray | None = None, *, ess_min: float = 0.0, kept: float = 1.0
) -> PackedPartition:
    """psi as the logarithm of a sum over rows (S, p) with log weights (S,), of which each stands for ``counts`` (S,) draws.

    Parameters
    ----------
    rows : (S, p) float64 array
    log_weights : (S,) float64 array
    counts : (S,) float64 array, optional
        None for a listed support.
    ess_min, kept : float
        Least effective number of draws, and the share of draws that counts where they are correlated.
    """
    n, p = rows.shape
    full = -(-n // LANES) * LANES
    columns, weights, numbers = np.zeros((p, full)), np.full(full, _NOTHING), np.zeros(full)
    columns[:, :n], weights[:n] = rows.T, log_weights
    numbers[:n] = 1.0 if counts is None else counts
    constants = np.concatenate([columns.ravel(), weights, numbers, [ess_min, kept]])
    return PackedPartition(ROUTES["rows" if counts is None else "draws"], constants, full, _STATE + BLOCK)


def packed_exact(family: ExponentialFamily) -> PackedPartition | None:
    """The compiled form of an exact psi; None for sums and integrals over a user's statistics."""
    name = type(family).__name__
    if isinstance(family, PolynomialExponential):
        return PackedPartition(ROUTES[name], np.array(ends_of(family.support)), 0, polynomial_work(family.p))
    if isinstance(family, MultivariateNormal):
        return PackedPartition(ROUTES[name], np.array([float(family.d)]), 0, family.d * (family.d + 1))
    if isinstance(family, Binomial):
        return PackedPartition(ROUTES[name], np.array([float(family.m)]), 0, 0)
    if isinstance(family, NegativeBinomial):
        return PackedPartition(ROUTES[name], np.array([family.size]), 0, 0)
    if isinstance(family, ClosedFamily) and name in ROUTES:
        return PackedPartition(ROUTES[name], np.zeros(1), 0, 0)
    if not family.support.is_finite:
        return None
    points = family.support.points()
    log_base = family.log_base_of(points)
    possible = np.isfinite(log_base)
    return packed_rows(*unique_rows(family.evaluate(points)[possible], log_base[possible]))
