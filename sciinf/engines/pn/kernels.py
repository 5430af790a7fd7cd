"""Compiled loops of the engine."""

from __future__ import annotations

import numba
import numpy as np

from sciinf.numerics.jit import MATRIX, VECTOR, inline_kernel, kernel

__all__ = [
    "LOG_BASE",
    "STATISTICS",
    "evaluate",
    "evaluate_log_base",
    "gibbs",
    "inverted",
    "metropolis",
    "no_base",
    "powers",
    "third_entries",
    "third_sums",
]

_GENERATOR = numba.typeof(np.random.default_rng(0))

STATISTICS = numba.types.FunctionType(numba.types.void(VECTOR, VECTOR))
"""``statistics(x, out)``: a user's function as an argument, so that the loop is compiled once."""

LOG_BASE = numba.types.FunctionType(numba.float64(VECTOR))
"""``log_base(x)``."""


@kernel(numba.types.void(VECTOR, VECTOR))
def powers(x, out):
    """x, x^2 .. x^p."""
    power = 1.0
    for k in range(out.shape[0]):
        power *= x[0]
        out[k] = power


@kernel(numba.float64(VECTOR))
def no_base(x):
    """Log h of a family that has none."""
    return 0.0


@kernel(numba.types.void(STATISTICS, MATRIX, MATRIX))
def evaluate(statistics, points, out):
    """Statistics (n, p) of points (n, dim)."""
    for i in range(points.shape[0]):
        statistics(points[i], out[i])


@kernel(numba.types.void(LOG_BASE, MATRIX, VECTOR))
def evaluate_log_base(log_base, points, out):
    """Log h (n,) of points (n, dim)."""
    for i in range(points.shape[0]):
        out[i] = log_base(points[i])


@inline_kernel
def _series(coefficients, t):
    """Integral from -1 to t of a Legendre series, and its value at t."""
    before, now = 1.0, t
    integral, value = coefficients[0] * (t + 1.0), coefficients[0]
    for k in range(1, coefficients.shape[0]):
        after = ((2.0 * k + 1.0) * t * now - k * before) / (k + 1.0)
        integral += coefficients[k] * (after - before) / (2.0 * k + 1.0)
        value += coefficients[k] * now
        before, now = now, after
    return integral, value


@kernel(numba.types.void(MATRIX, VECTOR, VECTOR, VECTOR, VECTOR))
def inverted(series, edges, up_to, masses, out):
    """Where a distribution function has the values ``masses`` (n,).

    Its density in panel k is ``series[k]`` in Legendre polynomials of t in [-1, 1], times the panel's half width, and ``up_to[k]`` lies
    below the panel. Newton's method inside a bracket.
    """
    for i in range(masses.shape[0]):
        k = min(max(np.searchsorted(up_to, masses[i], side="right") - 1, 0), series.shape[0] - 1)
        goal = masses[i] - up_to[k]
        whole = up_to[k + 1] - up_to[k]
        low, high = -1.0, 1.0
        t = 2.0 * goal / whole - 1.0 if whole > 0.0 else 0.0
        for _ in range(100):
            integral, value = _series(series[k], t)
            if integral > goal:
                high = t
            else:
                low = t
            step = (integral - goal) / value if value > 0.0 else np.inf
            after = t - step
            if not low < after < high:
                after = 0.5 * (low + high)
            if abs(after - t) <= 2e-16:
                break
            t = after
        out[i] = edges[k] + 0.5 * (edges[k + 1] - edges[k]) * (t + 1.0)


@kernel(numba.int64(STATISTICS, LOG_BASE, VECTOR, MATRIX, MATRIX, VECTOR, numba.float64, numba.int64, _GENERATOR, MATRIX))
def metropolis(statistics, log_base, theta, bounds, factor, state, power, thin, rng, out):
    """Random walk over the density exp(power (theta.T(x) + log h(x))) by steps of ``factor`` times a normal vector.

    Every ``thin``-th state is written to ``out``. ``bounds`` (2, dim) are the ends of the support, ``state`` (dim,) is where the walk is,
    before and after. Returns how many steps were accepted.
    """
    dim, p = state.shape[0], theta.shape[0]
    trial, normal, values = np.empty(dim), np.empty(dim), np.empty(p)
    statistics(state, values)
    now = log_base(state)
    for k in range(p):
        now += theta[k] * values[k]
    accepted = 0
    for i in range(out.shape[0]):
        for _ in range(thin):
            inside = True
            for j in range(dim):
                normal[j] = rng.standard_normal()
            for j in range(dim):
                moved = state[j]
                for k in range(j + 1):
                    moved += factor[j, k] * normal[k]
                trial[j] = moved
                inside = inside and bounds[0, j] < moved < bounds[1, j]
            limit = rng.standard_exponential()
            if inside:
                statistics(trial, values)
                then = log_base(trial)
                for k in range(p):
                    then += theta[k] * values[k]
                if power * (now - then) < limit:
                    now = then
                    accepted += 1
                    for j in range(dim):
                        state[j] = trial[j]
        for j in range(dim):
            out[i, j] = state[j]
    return accepted


@kernel(numba.types.void(STATISTICS, LOG_BASE, VECTOR, VECTOR, numba.float64, numba.int64, _GENERATOR, MATRIX))
def gibbs(statistics, log_base, theta, state, power, thin, rng, out):
    """Sweeps over spins of -1 and +1, each drawn given all others; every ``thin``-th sweep in ``out``; arguments as `metropolis`."""
    dim, p = state.shape[0], theta.shape[0]
    values = np.empty(p)
    statistics(state, values)
    now = log_base(state)
    for k in range(p):
        now += theta[k] * values[k]
    for i in range(out.shape[0]):
        for _ in range(thin):
            for j in range(dim):
                state[j] = -state[j]
                statistics(state, values)
                then = log_base(state)
                for k in range(p):
                    then += theta[k] * values[k]
                if rng.random() * (1.0 + np.exp(power * (now - then))) < 1.0:
                    now = then
                else:
                    state[j] = -state[j]
        for j in range(dim):
            out[i, j] = state[j]


@kernel(numba.types.void(MATRIX, VECTOR, VECTOR, numba.int64, numba.int64, numba.int64, numba.int64, VECTOR), reassociate=True)
def third_entries(columns, weights, weighted, n, p, first, last, total):
    """Add M_abc = sum_i w_i z_ia z_ib z_ic of ``n`` rows to ``total``, for first <= b < last, a <= b <= c.

    ``columns`` (p + 4, n or more) is Z' with rows of zeros at its end, ``weighted`` (n,) is room to work. Tiles of two a and four c, eight
    sums held in registers, follow each other by b, c and a; beyond a = b and c = p - 1 they hold what is not read.
    """
    at = 0
    for b in range(first, last):
        for i in range(n):
            weighted[i] = weights[i] * columns[b, i]
        for c in range(b, p, 4):
            for a in range(0, b + 1, 2):
                r0, r1, r2, r3, s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                for i in range(n):
                    r, s = weighted[i] * columns[a, i], weighted[i] * columns[a + 1, i]
                    r0 += r * columns[c, i]
                    r1 += r * columns[c + 1, i]
                    r2 += r * columns[c + 2, i]
                    r3 += r * columns[c + 3, i]
                    s0 += s * columns[c, i]
                    s1 += s * columns[c + 1, i]
                    s2 += s * columns[c + 2, i]
                    s3 += s * columns[c + 3, i]
                total[at] += r0
                total[at + 1] += r1
                total[at + 2] += r2
                total[at + 3] += r3
                total[at + 4] += s0
                total[at + 5] += s1
                total[at + 6] += s2
                total[at + 7] += s3
                at += 8


@kernel(numba.types.UniTuple(numba.float64, 2)(VECTOR, VECTOR, VECTOR, numba.int64, numba.int64))
def third_sums(model, truth, scale, first, last):
    """Sums over (a, b, c) of scale_a scale_b M_abc^2 and of M_abc N_abc, of the b from ``first`` to ``last`` in `third_entries`' order.

    An entry with a <= b <= c stands for 6, 3 or 1 of the symmetric tensor.
    """
    p = scale.shape[0]
    squares, products = 0.0, 0.0
    at = 0
    for b in range(first, last):
        for c0 in range(b, p, 4):
            for a0 in range(0, b + 1, 2):
                for a in range(a0, min(a0 + 2, b + 1)):
                    for c in range(c0, min(c0 + 4, p)):
                        k = at + 4 * (a - a0) + c - c0
                        count = 1.0 if a == c else 3.0 if (a == b or b == c) else 6.0
                        pairs = scale[a] * scale[b] + scale[b] * scale[c] + scale[a] * scale[c]
                        squares += count * pairs / 3.0 * model[k] ** 2
                        products += count * model[k] * truth[k]
                at += 8
    return squares, products
