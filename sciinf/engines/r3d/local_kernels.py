"""Compiled loops of a one-sided local polynomial: kernel weights, and the weighted design in factors."""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import INTS, MATRIX, VECTOR, kernel

__all__ = ["KERNELS", "kernel_values", "weighted_design"]

KERNELS = {"triangular": 0, "epanechnikov": 1, "uniform": 2}
"""How the loops call each kernel."""


@kernel()
def _kernel_value(u, code):
    distance = abs(u)
    if code == 0:
        return max(1.0 - distance, 0.0)
    if code == 1:
        return 0.75 * max(1.0 - distance * distance, 0.0)
    return 0.5 if distance <= 1.0 else 0.0


@kernel(VECTOR(VECTOR, numba.int64))
def kernel_values(u, code):
    """K(u): (1 - abs u)+, 3/4 (1 - u^2)+, or 1/2 on the closed interval abs u <= 1; each integrates to 1 over the line."""
    out = np.empty(u.size)
    for i in range(u.size):
        out[i] = _kernel_value(u[i], code)
    return out


@kernel(numba.types.Tuple((INTS, VECTOR))(VECTOR, numba.float64))
def within(x, h):
    """Places of the units with abs x / h <= 1, and u = x / h there."""
    count = 0
    for i in range(x.size):
        if abs(x[i] / h) <= 1.0:
            count += 1
    active, u = np.empty(count, dtype=np.int64), np.empty(count)
    count = 0
    for i in range(x.size):
        ratio = x[i] / h
        if abs(ratio) <= 1.0:
            active[count], u[count] = i, ratio
            count += 1
    return active, u


@kernel(numba.types.Tuple((VECTOR, MATRIX, MATRIX, MATRIX, MATRIX))(VECTOR, numba.int64, numba.int64), reassociate=True)
def weighted_design(u, p, code):
    """QR of ``diag(sqrt k) R``, R the powers of u up to p, by Gram-Schmidt done twice: Q is orthogonal to working precision.

    Returns K(u), (n,); the powers, (p + 1, n); Q, (p + 1, n); the triangular factor and its inverse, (p + 1, p + 1), not finite where
    a column depends on those before it to the bit.
    """
    n = u.size
    k, root = np.empty(n), np.empty(n)
    powers, q = np.empty((p + 1, n)), np.empty((p + 1, n))
    r, inverse = np.zeros((p + 1, p + 1)), np.zeros((p + 1, p + 1))
    for i in range(n):
        k[i] = _kernel_value(u[i], code)
        root[i] = math.sqrt(k[i])
        powers[0, i] = 1.0
    for j in range(1, p + 1):
        for i in range(n):
            powers[j, i] = powers[j - 1, i] * u[i]
    for j in range(p + 1):
        for i in range(n):
            q[j, i] = root[i] * powers[j, i]
        for _ in range(2):
            for m in range(j):
                share = 0.0
                for i in range(n):
                    share += q[m, i] * q[j, i]
                r[m, j] += share
                for i in range(n):
                    q[j, i] -= share * q[m, i]
        square = 0.0
        for i in range(n):
            square += q[j, i] * q[j, i]
        r[j, j] = math.sqrt(square)
        inverse[j, j] = 1.0 / r[j, j]
        for i in range(n):
            q[j, i] *= inverse[j, j]
        for m in range(j):
            total = 0.0
            for i in range(m, j):
                total += inverse[m, i] * r[i, j]
            inverse[m, j] = -total * inverse[j, j]
    return k, powers, q, r, inverse


@kernel(numba.types.Tuple((VECTOR, VECTOR, VECTOR))(VECTOR, MATRIX, MATRIX))
def unit_weights(k, q, inverse):
    """What each unit adds to the first and to the last coefficient, (n,) each, and its leverage, (n,); ``q`` becomes sqrt(k) Q."""
    p, n = q.shape[0] - 1, q.shape[1]
    weights, top, leverage = np.zeros(n), np.empty(n), np.zeros(n)
    for j in range(p + 1):
        for i in range(n):
            leverage[i] += q[j, i] * q[j, i]
            q[j, i] *= math.sqrt(k[i])
            weights[i] += q[j, i] * inverse[0, j]
    for i in range(n):
        top[i] = q[p, i] * inverse[p, p]
    return weights, top, leverage
