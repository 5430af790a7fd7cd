"""Weights of quantile levels, and the nearest nondecreasing quantile function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.r3d.kernels import project_rows

__all__ = ["cell_weights", "count_moved", "project"]

FloatArray = NDArray[np.float64]

_MOVED = 1e-12  # of a curve's range


def cell_weights(levels: FloatArray) -> FloatArray:
    """Share of each level in an average over the range of the levels: (n_q,), sum 1.

    Half the distance to each neighbour; an end point's one half counts twice, so that a uniform grid has equal weights.

    Examples
    --------
    >>> cell_weights(np.array([0.1, 0.2, 0.4])).round(4).tolist()
    [0.2222, 0.3333, 0.4444]
    """
    if len(levels) == 1:
        return np.ones(1)
    half = 0.5 * np.diff(levels)
    cells = np.concatenate([[2.0 * half[0]], half[:-1] + half[1:], [2.0 * half[-1]]])
    return np.asarray(cells / cells.sum())


def project(curves: FloatArray, weights: FloatArray) -> FloatArray:
    """Nearest nondecreasing curves in squared distance weighted over levels: pool adjacent violators, row by row.

    Parameters
    ----------
    curves : (n, n_q) or (n_q,) float64 array
        Not changed.
    weights : (n_q,) float64 array
        Positive.

    Returns
    -------
    array of the same shape

    Notes
    -----
    On quantile functions this is the projection of a local Frechet regression in 2-Wasserstein space: Proposition A-3 of
    arXiv:2504.03992. Algorithm: Barlow, Bartholomew, Bremner & Brunk (1972).

    Examples
    --------
    >>> project(np.array([1.0, 3.0, 2.0]), np.ones(3)).tolist()
    [1.0, 2.5, 2.5]
    """
    found = np.array(curves, dtype=np.float64, order="C")
    if len(weights) > 1:
        project_rows(found.reshape(-1, len(weights)), np.ascontiguousarray(weights, dtype=np.float64))
    return found


def count_moved(raw: FloatArray, projected: FloatArray) -> int:
    """Levels at which a curve was moved by more than 1e-12 of its range."""
    return int(np.count_nonzero(np.abs(projected - raw) > _MOVED * max(float(np.ptp(raw)), np.finfo(float).tiny)))
