"""Contractions of third and fourth moments of whitened statistics, without arrays of p^4.

Rows of Z (n, p) are statistics whitened by the information, M_abc = sum_i w_i z_ia z_ib z_ic, N_abc the same with other rows and weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Third", "first_contraction", "fourth_contraction", "third_contractions", "third_contractions_gram"]

FloatArray = NDArray[np.float64]

_ROWS = 1024
_GRAM_ROWS = 512

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
    """A2 and B: sums over (a, b, c) of scale_a scale_b M_abc^2 and of M_abc N_abc.

    Parameters
    ----------
    model, truth : (rows (n, p), weights (n,)) of float64 arrays
        Of M and N; with None N is M.
    scale : (p,) float64 array
        Eigenvalues of the truth's covariance of the rows' columns.

    Returns
    -------
    A2, B : float

    Notes
    -----
    M is symmetric: its entries with a <= b <= c are all there is, n p^3 / 3 floating-point operations, a block of b at a time and with
    blocks of rows that stay in the cache. An entry stands for 6, 3 or 1 of M.
    """
    p = model[0].shape[1]
    width = max(4, p // 10)
    one, other = _Blocked.of(model), None if truth is None else _Blocked.of(truth)
    a2 = b_sum = 0.0
    for first in range(0, p, width):
        last = min(first + width, p)
        left = one.moments(first, last)
        right = left if other is None else other.moments(first, last)
        at = 0
        for b in range(first, last):
            entries, beside = left[at : at + b + 1, b - first :], right[at : at + b + 1, b - first :]
            at += b + 1
            count = np.full(entries.shape, 6.0)
            count[b, :] = count[:, 0] = 3.0
            count[b, 0] = 1.0
            low, middle, high = scale[: b + 1, None], scale[b], scale[None, b:]
            a2 += float(np.sum(count / 3.0 * (low * middle + middle * high + low * high) * entries**2))
            b_sum += float(np.sum(count * entries * beside))
    return a2, b_sum


class _Blocked:
    """Rows in blocks, each transposed, so that products of columns are products of contiguous vectors."""

    def __init__(self, rows: FloatArray, weights: FloatArray) -> None:
        n, p = rows.shape
        self.n_blocks, self.p = -(-n // _ROWS), p
        self.columns, self.weights = np.zeros((self.n_blocks, p, _ROWS)), np.zeros((self.n_blocks, _ROWS))
        for i in range(self.n_blocks):
            part = slice(i * _ROWS, (i + 1) * _ROWS)
            size = len(weights[part])
            self.columns[i, :, :size], self.weights[i, :size] = rows[part].T, weights[part]

    @classmethod
    def of(cls, third: Third) -> _Blocked:
        return cls(*third)

    def moments(self, first: int, last: int) -> FloatArray:
        """M_abc of a <= b, first <= b < last, c >= first: pairs (a, b) as rows, b after b, and c as columns."""
        pairs = sum(b + 1 for b in range(first, last))
        products, total = np.empty((pairs, _ROWS)), np.zeros((pairs, self.p - first))
        for columns, weights in zip(self.columns, self.weights, strict=True):
            at = 0
            for b in range(first, last):
                np.multiply(columns[: b + 1], weights * columns[b], out=products[at : at + b + 1])
                at += b + 1
            total += products @ columns[first:].T
        return total


def third_contractions_gram(
    rows: FloatArray, weights: FloatArray, scale: FloatArray, other: FloatArray | None = None
) -> tuple[float, float]:
    """`third_contractions` of M and, on the same rows, of N with the weights ``other``: by inner products of rows, 3 n^2 p operations.

    Notes
    -----
    A2 = sum_ij w_i w_j U_ij^2 V_ij and B = sum_ij w_i other_j V_ij^3, V = Z Z', U = Z diag(scale) Z'.
    """
    a2 = b_sum = 0.0
    beside = weights if other is None else other
    scaled = rows * scale
    for start in range(0, len(rows), _GRAM_ROWS):
        part = slice(start, start + _GRAM_ROWS)
        inner, weighted = rows[part] @ rows.T, scaled[part] @ rows.T
        a2 += float(weights[part] @ (weighted**2 * inner) @ weights)
        b_sum += float(weights[part] @ inner**3 @ beside)
    return a2, b_sum
