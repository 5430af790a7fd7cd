"""Compiled loops of a one-sided local polynomial: kernel weights, the weighted design in factors, and what a fit leaves over."""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import INTS, MATRIX, VECTOR, inline_kernel, kernel

__all__ = ["KERNELS", "count_places", "curvature_sums", "kernel_values", "local_design"]

KERNELS = {"triangular": 0, "epanechnikov": 1, "uniform": 2}
"""How the loops call each kernel."""

_TOGETHER = 8


@inline_kernel
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


@inline_kernel
def _within(x, h):
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


@inline_kernel
def _factorise(powers, root, q, r, inverse):
    """QR of the rows of ``powers`` times ``root`` by Gram-Schmidt done twice: Q is orthogonal to working precision."""
    order, n = powers.shape
    for j in range(order):
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


@kernel(
    numba.types.Tuple((INTS, MATRIX, MATRIX, numba.float64, numba.int64))(VECTOR, numba.float64, numba.int64, numba.int64),
    reassociate=True,
)
def local_design(x, h, p, code):
    """What an order-p fit over the units with abs x <= h does to any outcome.

    Returns the places of those units; a table (2 p + 6, n) whose rows are k = K(u), the weights of the first and of the last coefficient,
    leverages, p + 1 powers R of u = x / h, and the p + 1 of sqrt(k) Q of the QR of ``diag(sqrt k) R`` (one array: each that Python gets
    costs it a microsecond); the inverse of the triangular factor, (p + 1, p + 1), not finite where the design is singular to the bit; a
    number that its condition does not exceed; and how many k are positive. The coefficients are ``inverse @ (sqrt(k) Q @ outcomes)``.
    """
    active, u = _within(x, h)
    n, n_used = u.size, 0
    table, root = np.empty((2 * p + 6, n)), np.empty(n)
    k, weights, top, leverage, powers, q = table[0], table[1], table[2], table[3], table[4 : p + 5], table[p + 5 :]
    for i in range(n):
        k[i] = _kernel_value(u[i], code)
        root[i] = math.sqrt(k[i])
        n_used += k[i] > 0.0
        powers[0, i] = 1.0
    for j in range(1, p + 1):
        for i in range(n):
            powers[j, i] = powers[j - 1, i] * u[i]
    r, inverse = np.zeros((p + 1, p + 1)), np.zeros((p + 1, p + 1))
    _factorise(powers, root, q, r, inverse)
    weights[:], leverage[:] = 0.0, 0.0
    for j in range(p + 1):
        for i in range(n):
            leverage[i] += q[j, i] * q[j, i]
            q[j, i] *= root[i]
            weights[i] += q[j, i] * inverse[0, j]
    for i in range(n):
        top[i] = q[p, i] * inverse[p, p]
    bound = math.sqrt(np.sum(r * r) * np.sum(inverse * inverse))  # Frobenius norms
    return active, table, inverse, bound, n_used


@inline_kernel
def _column(table, inverse, y, products, fitted, sums):
    """`curvature_sums` of one column ``y`` (n,)."""
    order, k, top = inverse.shape[0], table[0], table[2]
    for j in range(order):
        q, total = table[4 + order + j], 0.0
        for i in range(y.size):
            total += q[i] * y[i]
        products[j] = total
    fitted[:] = 0.0
    coefficient = 0.0
    for j in range(order):
        powers, coefficient = table[4 + j], 0.0
        for m in range(j, order):
            coefficient += inverse[j, m] * products[m]
        for i in range(y.size):
            fitted[i] += coefficient * powers[i]
    spread, noise = 0.0, 0.0
    for i in range(y.size):
        y[i] -= fitted[i]
        square = y[i] * y[i]
        spread += k[i] * square
        noise += top[i] * top[i] * square
    largest, size = 0.0, 0.0
    for i in range(y.size):
        largest, size = max(largest, abs(y[i])), max(size, abs(fitted[i]))
    sums[0], sums[1], sums[2], sums[3], sums[4] = coefficient, spread, noise, largest, size


@kernel(MATRIX(MATRIX, MATRIX, INTS, INTS, MATRIX), reassociate=True)
def curvature_sums(table, inverse, rows, active, outcomes):
    """What an order-p fit by the design of `local_design` tells of the columns of ``outcomes[rows[active]]``, (m, 5).

    The last coefficient, in powers of u = x / h; sums over the units of k e^2 and of (w e)^2, w the weights of that coefficient; largest
    abs e and abs fit. Columns are read some at a time, as many as a line of the cache holds.
    """
    n, m = active.size, outcomes.shape[1]
    sums, part = np.empty((m, 5)), np.empty((min(m, _TOGETHER), n))
    products, fitted = np.empty(inverse.shape[0]), np.empty(n)
    for start in range(0, m, _TOGETHER):
        width = min(_TOGETHER, m - start)
        for i in range(n):
            row = rows[active[i]]
            for c in range(width):
                part[c, i] = outcomes[row, start + c]
        for c in range(width):
            _column(table, inverse, part[c], products, fitted, sums[start + c])
    return sums


@kernel(numba.int64(VECTOR, INTS, numba.int64))
def count_places(x, rows, most):
    """Distinct values of ``x[rows]``, counted up to ``most``."""
    found, count = np.empty(most), 0
    for i in range(rows.size):
        known = False
        for j in range(count):
            known = known or found[j] == x[rows[i]]
        if not known:
            found[count] = x[rows[i]]
            count += 1
            if count == most:
                break
    return count
