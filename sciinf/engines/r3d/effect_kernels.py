"""Compiled quasi-likelihood of an effect's shape: multivariate t, or normal.

``floats`` start with the degrees of freedom (negative: normal) and the constant. For a built-in shape, which has one or two columns, six
numbers of the quadratic form chi2(a, b) follow; ``ints``: number of parameters, whether the one coefficient is exp(kappa) - 1.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from sciinf.numerics.jit import LIKELIHOOD, LIKELIHOOD_MANY, inline_kernel, kernel
from sciinf.numerics.special_log import log1p_positive

__all__ = ["KERNEL_VERSION", "linear", "linear_many", "of_function", "quadratic"]

KERNEL_VERSION = "2"
_HEAD = 2


@inline_kernel
def _chi2(a, b, floats):
    """Squared distance of a shape with coefficients a and b; the same operations for one row and for many."""
    first = floats[3] - floats[5] * a - floats[6] * b
    second = floats[4] - floats[7] * b
    return floats[2] + first * first + second * second


@inline_kernel
def _density(chi2, floats):
    """Ln L from a finite squared distance, without a branch on it: a loop over this is vectorised."""
    nu = floats[0]
    if nu < 0.0:
        return floats[1] - 0.5 * chi2
    return floats[1] - 0.5 * (nu + 1.0) * log1p_positive(chi2 / nu)


@kernel(LIKELIHOOD)
def linear(theta, floats, ints, work):
    """Ln L of a shape that is a sum of columns."""
    a = theta[0]
    b = theta[1] if ints[0] == 2 else 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.nan
    chi2 = _chi2(math.expm1(a) if ints[1] == 1 else a, b, floats)
    return _density(chi2, floats) if math.isfinite(chi2) else -math.inf


@kernel(LIKELIHOOD_MANY)
def linear_many(thetas, floats, ints, work):
    """Ln L of each row: the operations of `linear` on each, so the same bytes whatever the batch."""
    n = thetas.shape[0]
    out = np.empty(n)
    if ints[0] == 2:
        for i in range(n):
            out[i] = _chi2(thetas[i, 0], thetas[i, 1], floats)
    else:
        for i in range(n):
            a = thetas[i, 0]
            out[i] = _chi2(math.expm1(a) if ints[1] == 1 else a, 0.0, floats)
    for i in range(n):
        out[i] = _density(out[i], floats)
    for i in range(n):
        if not math.isfinite(out[i]) or not math.isfinite(thetas[i, 0]):
            out[i] = linear(thetas[i], floats, ints, work)
    return out


@functools.cache
def of_function(function):
    """Kernels of the fixed signatures, one row and many, around a compiled shape ``function(theta, q, m_minus)``: once for each function.

    ``floats``: degrees of freedom, constant, levels (n,), m_minus (n,), whitened data (d,), whitening matrix (d, n). ``ints``: d, n. A
    curve that is not as long as the levels gives NaN: nothing is read beyond its end.
    """

    @kernel(LIKELIHOOD)
    def likelihood(theta, floats, ints, work):
        d, n = ints[0], ints[1]
        for j in range(theta.size):
            if not math.isfinite(theta[j]):
                return math.nan
        q, m_minus = floats[_HEAD : _HEAD + n], floats[_HEAD + n : _HEAD + 2 * n]
        curve = function(theta, q, m_minus)
        if len(curve) != n:
            return math.nan
        chi2 = 0.0
        for i in range(d):
            residual = floats[_HEAD + 2 * n + i]
            for j in range(n):
                residual -= floats[_HEAD + 2 * n + d + i * n + j] * curve[j]
            chi2 += residual * residual
        return _density(chi2, floats) if math.isfinite(chi2) else -math.inf

    @kernel(LIKELIHOOD_MANY)
    def likelihood_many(thetas, floats, ints, work):
        out = np.empty(thetas.shape[0])
        for i in range(thetas.shape[0]):
            out[i] = likelihood(thetas[i], floats, ints, work)
        return out

    return likelihood, likelihood_many


def quadratic(data: NDArray[np.float64], columns: NDArray[np.float64]) -> list[float]:
    """Six numbers of chi2(a, b), the squared length of ``data`` (d,) - ``columns`` (d, 1 or 2) (a, b)'.

    With columns = Q R, chi2 = least + (y_0 - R_00 a - R_01 b)^2 + (y_1 - R_11 b)^2, y = Q' data: least, y_0, y_1, R_00, R_01, R_11, zero
    where there is no such column or row. A sum of squares, so nothing cancels.
    """
    q, r = np.linalg.qr(columns)
    y, upper = np.zeros(2), np.zeros((2, 2))
    y[: q.shape[1]] = q.T @ data
    upper[: r.shape[0], : r.shape[1]] = r
    least = data - q @ (q.T @ data)
    return [float(least @ least), y[0], y[1], upper[0, 0], upper[0, 1], upper[1, 1]]
