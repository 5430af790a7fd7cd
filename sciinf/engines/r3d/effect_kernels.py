"""Compiled quasi-likelihood of an effect's shape: multivariate t, or normal, in whitened data.

``floats`` of a linear shape: degrees of freedom (negative: normal), the constant, the whitened data (d,), the whitened columns (k, d).
``ints``: d, k, whether the one coefficient is exp(kappa) - 1.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from sciinf.numerics.jit import LIKELIHOOD, LIKELIHOOD_MANY, kernel

__all__ = ["KERNEL_VERSION", "linear", "linear_many", "of_function"]

KERNEL_VERSION = "1"
_HEAD = 2


@kernel()
def _from_chi2(chi2, floats):
    """Ln L from the squared distance; -inf where it has overflowed."""
    if not math.isfinite(chi2):
        return -math.inf
    nu = floats[0]
    if nu < 0.0:
        return floats[1] - 0.5 * chi2
    return floats[1] - 0.5 * (nu + 1.0) * math.log1p(chi2 / nu)


@kernel(LIKELIHOOD)
def linear(theta, floats, ints, work):
    """Ln L of a shape that is a sum of columns."""
    d, k = ints[0], ints[1]
    for j in range(k):
        if not math.isfinite(theta[j]):
            return math.nan
    chi2 = 0.0
    for i in range(d):
        residual = floats[_HEAD + i]
        for j in range(k):
            coefficient = math.expm1(theta[j]) if ints[2] == 1 else theta[j]
            residual -= coefficient * floats[_HEAD + d + j * d + i]
        chi2 += residual * residual
    return _from_chi2(chi2, floats)


@kernel(LIKELIHOOD_MANY)
def linear_many(thetas, floats, ints, work):
    """Ln L of each row: the same sums in the same order, so the same bytes whatever the batch."""
    out = np.empty(thetas.shape[0])
    for i in range(thetas.shape[0]):
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
        return _from_chi2(chi2, floats)

    @kernel(LIKELIHOOD_MANY)
    def likelihood_many(thetas, floats, ints, work):
        out = np.empty(thetas.shape[0])
        for i in range(thetas.shape[0]):
            out[i] = likelihood(thetas[i], floats, ints, work)
        return out

    return likelihood, likelihood_many
