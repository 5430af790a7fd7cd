"""Compiled log-partition functions, and the log-likelihood that they make.

``floats`` starts with the mean of the statistics (p), the sum of log h, and the affine map theta = centre + root phi of whitened
parameters (p and p x p); then the constants of the partition. ``ints``: n, p, the route to psi, whether the parameters are whitened, where
in ``floats`` the constants start, number of rows.

Rows, of a listed support or of importance draws, are stored statistic by statistic (p, S), padded to a multiple of `LANES`, with log
weights (S) and, for draws, counts (S), the least effective sample size and the share of it that correlated draws keep. Sums over rows go
lane by lane in one order: the bytes depend neither on the batch nor on what the compiler makes of a loop.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, void

from sciinf.engines.pn.polynomial_kernels import log_partition_polynomial
from sciinf.numerics.bessel import log_i0
from sciinf.numerics.jit import LIKELIHOOD, LIKELIHOOD_MANY, VECTOR, inline_kernel, kernel
from sciinf.numerics.special_exp import exponential
from sciinf.numerics.special_log import log_beta

__all__ = [
    "BLOCK",
    "HEAD",
    "KERNEL_VERSION",
    "LANES",
    "ROUTES",
    "effective_sizes",
    "log_likelihood",
    "log_likelihood_many",
    "log_partitions",
]

KERNEL_VERSION = "1"
LANES = 8
BLOCK = 512
_STATE = 1 + 2 * LANES  # running maximum, sums of weights, sums of their squares
_FLOOR = -700.0  # e^-700 beside 1 is nothing, and `exponential` goes no further
_LOG_2PI = math.log(2.0 * math.pi)
HEAD = 6
"""Length of ``ints``."""

_ROWS, _DRAWS, _NORMAL, _MVN, _EXPONENTIAL, _GAMMA, _INVERSE_GAUSSIAN, _BETA, _VON_MISES, _POISSON, _BINOMIAL, _NEGATIVE_BINOMIAL = range(
    12
)
_POLYNOMIAL = 12
ROUTES = {
    "rows": _ROWS, "draws": _DRAWS, "Normal": _NORMAL, "MultivariateNormal": _MVN, "Exponential": _EXPONENTIAL, "Gamma": _GAMMA,
    "InverseGaussian": _INVERSE_GAUSSIAN, "Beta": _BETA, "VonMises": _VON_MISES, "Poisson": _POISSON, "Binomial": _BINOMIAL,
    "Bernoulli": _BINOMIAL, "NegativeBinomial": _NEGATIVE_BINOMIAL, "Geometric": _NEGATIVE_BINOMIAL,
    "PolynomialExponential": _POLYNOMIAL,
}  # fmt: skip
"""Code of each route to psi."""


@inline_kernel
def _add_block(theta, rows, log_weights, counts, start, size, exponents, state):
    """Add ``size`` rows from ``start`` on to the running sums of one theta."""
    weights = log_weights[start : start + size]
    for s in range(size):
        exponents[s] = weights[s]
    for j in range(rows.shape[0]):
        t, row = theta[j], rows[j, start : start + size]
        for s in range(size):
            exponents[s] += t * row[s]
    n_chunks = size // LANES
    highest = np.empty(LANES)
    highest[:] = -np.inf
    for b in range(n_chunks):
        chunk = exponents[b * LANES : (b + 1) * LANES]
        for k in range(LANES):
            highest[k] = chunk[k] if chunk[k] > highest[k] else highest[k]
    top = state[0]
    for k in range(LANES):
        top = highest[k] if highest[k] > top else top
    if top > state[0]:
        scale = math.exp(state[0] - top)
        for k in range(LANES):
            state[1 + k] *= scale
            state[1 + LANES + k] *= scale * scale
        state[0] = top
    for s in range(size):
        exponents[s] = exponential(max(exponents[s] - top, _FLOOR))
    ones, squares, some = state[1 : 1 + LANES], state[1 + LANES : _STATE], counts[start : start + size]
    for b in range(n_chunks):
        for k in range(LANES):
            value = exponents[b * LANES + k]
            weighted = some[b * LANES + k] * value
            ones[k] += weighted
            squares[k] += weighted * value


@inline_kernel
def _of_state(state):
    """psi, and the effective sample size of independent draws."""
    total, squares = 0.0, 0.0
    for k in range(LANES):
        total += state[1 + k]
        squares += state[1 + LANES + k]
    return state[0] + math.log(total), total * total / squares


@inline_kernel
def _begin(state):
    state[:] = 0.0
    state[0] = -np.inf


@inline_kernel
def _over_rows(theta, rows, log_weights, counts, work):
    """psi and effective sample size of one theta; ``work`` has _STATE + BLOCK entries."""
    state, exponents = work[:_STATE], work[_STATE : _STATE + BLOCK]
    _begin(state)
    n = rows.shape[1]
    for start in range(0, n, BLOCK):
        _add_block(theta, rows, log_weights, counts, start, min(BLOCK, n - start), exponents, state)
    return _of_state(state)


@inline_kernel
def _rows_of(floats, ints):
    """Rows (p, S), log weights (S) and counts (S) in ``floats``."""
    p, at, n = ints[1], ints[4], ints[5]
    rows = floats[at : at + p * n].reshape(p, n)
    return rows, floats[at + p * n : at + (p + 1) * n], floats[at + (p + 1) * n : at + (p + 2) * n]


@inline_kernel
def _allowed(psi, size, floats, ints):
    """psi, or NaN where too few draws count."""
    at = ints[4] + (ints[1] + 2) * ints[5]
    return psi if ints[2] == _ROWS or size * floats[at + 1] >= floats[at] else math.nan


@inline_kernel
def _mvn(theta, d, work):
    """psi of the multivariate normal law; inf where the precision is not positive definite."""
    factor = work[: d * d].reshape(d, d)
    k = d
    for i in range(d):
        for j in range(i, d):
            factor[j, i] = (-2.0 if i == j else -1.0) * theta[k]
            k += 1
    log_root, square = 0.0, 0.0
    half = work[d * d : d * d + d]
    for i in range(d):
        for j in range(i + 1):
            value = factor[i, j]
            for m in range(j):
                value -= factor[i, m] * factor[j, m]
            if i == j:
                if not value > 0.0:
                    return math.inf
                factor[i, i] = math.sqrt(value)
            else:
                factor[i, j] = value / factor[j, j]
        value = theta[i]
        for m in range(i):
            value -= factor[i, m] * half[m]
        half[i] = value / factor[i, i]
        square += half[i] * half[i]
        log_root += math.log(factor[i, i])
    return 0.5 * square - log_root + 0.5 * d * _LOG_2PI


@kernel(float64(VECTOR, int64, VECTOR, VECTOR))
def _closed(theta, route, constants, work):
    """psi of a family in closed form or by its own quadrature; inf outside the natural domain."""
    one = theta[0]
    if route == _POISSON:
        return math.exp(one)
    if route == _BINOMIAL:
        return constants[0] * (max(one, 0.0) + math.log1p(math.exp(-abs(one))))
    if route == _EXPONENTIAL:
        return -math.log(-one) if one < 0.0 else math.inf
    if route == _NEGATIVE_BINOMIAL:
        return -constants[0] * math.log(-math.expm1(one)) if one < 0.0 else math.inf
    if route == _POLYNOMIAL:
        return log_partition_polynomial(theta, constants[0], constants[1], work)
    if route == _MVN:
        return _mvn(theta, int(constants[0]), work)
    two = theta[1]
    if route == _NORMAL:
        return -one * one / (4.0 * two) + 0.5 * math.log(math.pi / -two) if two < 0.0 else math.inf
    if route == _GAMMA:
        shape = one + 1.0
        return math.lgamma(shape) - shape * math.log(-two) if shape > 0.0 and two < 0.0 else math.inf
    if route == _INVERSE_GAUSSIAN:
        return -2.0 * math.sqrt(one * two) - 0.5 * math.log(-2.0 * two) if one < 0.0 and two < 0.0 else math.inf
    if route == _BETA:
        return log_beta(one + 1.0, two + 1.0) if one > -1.0 and two > -1.0 else math.inf
    return _LOG_2PI + log_i0(math.hypot(one, two))


@inline_kernel
def _natural(theta, floats, ints, out):
    """Natural parameters of the sampled ones; False where one is not finite."""
    p = ints[1]
    for i in range(p):
        if not math.isfinite(theta[i]):
            return False
    if ints[3] == 0:
        out[:] = theta
        return True
    centre, root = floats[p + 1 : 2 * p + 1], floats[2 * p + 1 : 2 * p + 1 + p * p].reshape(p, p)
    for i in range(p):
        value = centre[i]
        for j in range(i + 1):
            value += root[i, j] * theta[j]
        out[i] = value
    return True


@inline_kernel
def _of_psi(natural, psi, floats, ints):
    """Ln L: -inf outside the natural domain."""
    if psi == math.inf:
        return -math.inf
    p, total = ints[1], -psi
    for i in range(p):
        total += natural[i] * floats[i]
    return ints[0] * total + floats[p]


@kernel(LIKELIHOOD)
def log_likelihood(theta, floats, ints, work):
    """Ln L at one point."""
    p = ints[1]
    natural, rest = work[:p], work[p:]
    if not _natural(theta, floats, ints, natural):
        return math.nan
    if ints[2] > _DRAWS:
        return _of_psi(natural, _closed(natural, ints[2], floats[ints[4] :], rest), floats, ints)
    rows, log_weights, counts = _rows_of(floats, ints)
    psi, size = _over_rows(natural, rows, log_weights, counts, rest)
    return _of_psi(natural, _allowed(psi, size, floats, ints), floats, ints)


@kernel(LIKELIHOOD_MANY)
def log_likelihood_many(thetas, floats, ints, work):
    """Ln L of each row: the sums of `log_likelihood` in the same order; a block of rows is read once for all of them."""
    m, p = thetas.shape
    out = np.empty(m)
    if ints[2] > _DRAWS:
        for i in range(m):
            out[i] = log_likelihood(thetas[i], floats, ints, work)
        return out
    natural, states = np.empty((m, p)), np.empty((m, _STATE))
    finite = np.empty(m, dtype=np.bool_)
    for i in range(m):
        finite[i] = _natural(thetas[i], floats, ints, natural[i])
        _begin(states[i])
    rows, log_weights, counts = _rows_of(floats, ints)
    n, exponents = rows.shape[1], work[:BLOCK]
    for start in range(0, n, BLOCK):
        for i in range(m):
            if finite[i]:
                _add_block(natural[i], rows, log_weights, counts, start, min(BLOCK, n - start), exponents, states[i])
    for i in range(m):
        if finite[i]:
            psi, size = _of_state(states[i])
            out[i] = _of_psi(natural[i], _allowed(psi, size, floats, ints), floats, ints)
        else:
            out[i] = math.nan
    return out


@kernel(LIKELIHOOD_MANY)
def log_partitions(naturals, floats, ints, work):
    """psi (n,) of natural parameters (n, p): inf outside the domain; of draws without regard to their number."""
    m = naturals.shape[0]
    out = np.empty(m)
    for i in range(m):
        if ints[2] > _DRAWS:
            out[i] = _closed(naturals[i], ints[2], floats[ints[4] :], work)
        else:
            rows, log_weights, counts = _rows_of(floats, ints)
            out[i] = _over_rows(naturals[i], rows, log_weights, counts, work)[0]
    return out


@kernel(void(float64[:, ::1], float64[:, ::1], VECTOR, VECTOR, VECTOR))
def effective_sizes(naturals, rows, log_weights, counts, out):
    """Effective sample sizes (n,) of independent draws at natural parameters (n, p)."""
    work = np.empty(_STATE + BLOCK)
    for i in range(naturals.shape[0]):
        out[i] = _over_rows(naturals[i], rows, log_weights, counts, work)[1]
