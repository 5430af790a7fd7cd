"""Contractions of third and fourth moments of whitened statistics, without arrays of p^4.

Rows of Z (n, p) are statistics whitened by the information, M_abc = sum_i w_i z_ia z_ib z_ic, N_abc the same with other rows and weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Third", "first_contraction", "fourth_contraction", "third_by_entries", "third_by_rows", "third_contractions"]

FloatArray = NDArray[np.float64]

_ROWS = 256  # of a block: p columns of them stay in the cache
_GRAM_ROWS = 512
_CUBE = 15.0  # multiplications of a matrix product in whose time one inner product is cubed, weighted and summed (measured)
_ENTRIES = 2**21  # of a third moment held at a time, 16 MiB

Third = tuple[FloatArray, FloatArray]
"""Rows (n, p) and weights (n,), of any sign, of a third moment."""


def first_contraction(rows: FloatArray, weights: FloatArray, scale: FloatArray) -> float:
    """A1: squared length of sum_i w_i q_i z_i, q_i = sum_a scale_a z_ia^2."""
    vector = rows.T @ (weights * (rows**2 @ scale))
    return float(vector @ vector)


def fourth_contraction(rows: FloatArray, weights: FloatArray, scale: FloatArray) -> float:
    """K4: sum_i w_i q_i^2 less what a normal law has, for rows of unit covariance."""
    q = rows**2 @ scale
    return float(weights @ q**2) - float(scale.sum()) ** 2 - 2.0 * float(scale @ scale)


def third_contractions(model: Third, scale: FloatArray, truth: Third | None = None) -> tuple[float, float]:
    """A2 and B: sums over (a, b, c) of scale_a scale_b M_abc^2 and of M_abc N_abc, by the cheaper of two ways.

    Parameters
    ----------
    model, truth : (rows (n, p), weights (n,)) of float64 arrays
        Of M and N; with None N is M.
    scale : (p,) float64 array
        Eigenvalues of the truth's covariance of the rows' columns.

    Returns
    -------
    A2, B : float
    """
    n, p = model[0].shape
    others = 0 if truth is None else len(truth[1])
    products = 1.0 if truth is not None or np.any(scale != 1.0) else 0.5  # of a symmetric matrix, n p numbers each
    by_rows = n * n * (products * p + _CUBE) + n * others * (p + _CUBE)
    by_entries = (n + others) * p * (p + 1) * (p + 2) / 6.0
    return (third_by_rows if by_rows < by_entries else third_by_entries)(model, scale, truth)


def third_by_entries(model: Third, scale: FloatArray, truth: Third | None = None) -> tuple[float, float]:
    """`third_contractions` by the p (p + 1) (p + 2) / 6 different entries of M, as many operations for each row."""
    from sciinf.engines.pn.kernels import third_sums

    p = model[0].shape[1]
    sizes = [-(-(p - b) // 4) * ((b + 2) // 2) * 8 for b in range(p)]
    a2 = b_sum = 0.0
    first = 0
    while first < p:
        last, size = first, 0
        while last < p and (last == first or size + sizes[last] <= _ENTRIES):
            size, last = size + sizes[last], last + 1
        one = _entries(model, first, last, size)
        other = one if truth is None else _entries(truth, first, last, size)
        squares, products = third_sums(one, other, scale, first, last)
        a2, b_sum, first = a2 + squares, b_sum + products, last
    return a2, b_sum


def _entries(third: Third, first: int, last: int, size: int) -> FloatArray:
    """M_abc of a <= b <= c, first <= b < last, in the order of the kernel."""
    from sciinf.engines.pn.kernels import third_entries

    rows, weights = third
    n, p = rows.shape
    total, columns, room = np.zeros(size), np.zeros((p + 4, _ROWS)), np.empty(_ROWS)
    for start in range(0, n, _ROWS):
        part = slice(start, start + _ROWS)
        count = len(weights[part])
        columns[:p, :count] = rows[part].T
        third_entries(columns, np.ascontiguousarray(weights[part], dtype=np.float64), room, count, p, first, last, total)
    return total


def third_by_rows(model: Third, scale: FloatArray, truth: Third | None = None) -> tuple[float, float]:
    """`third_contractions` by inner products of the rows.

    Notes
    -----
    A2 = sum_ij w_i w_j U_ij^2 V_ij and B = sum_ij w_i v_j (z_i.y_j)^3, with V = Z Z', U = Z diag(scale) Z', y and v rows and weights of the
    truth.
    """
    rows, weights = model
    plain = bool(np.all(scale == 1.0))
    a2 = b_sum = 0.0
    for start in range(0, len(rows), _GRAM_ROWS):
        stop = start + _GRAM_ROWS
        here = weights[start:stop]
        times = np.where(np.arange(start, len(rows)) < stop, 1.0, 2.0) * weights[start:]  # what lies beyond this block stands for two
        inner = rows[start:stop] @ rows[start:].T
        weighted = inner if plain else (rows[start:stop] * scale) @ rows[start:].T
        a2 += float(here @ (weighted * weighted * inner) @ times)
        if truth is not None:
            beside = rows[start:stop] @ truth[0].T
            b_sum += float(here @ (beside * beside * beside) @ truth[1])
        elif not plain:
            b_sum += float(here @ (inner * inner * inner) @ times)
    return a2, a2 if plain and truth is None else b_sum
