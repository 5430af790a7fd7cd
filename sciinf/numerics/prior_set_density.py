"""The log-density of a packed set of priors; the layout is in `sciinf.numerics.prior_set_layout`."""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, types

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import INTS, LIKELIHOOD, VECTOR, kernel
from sciinf.numerics.prior_densities import log_density
from sciinf.numerics.prior_set_layout import FUNCTION, LOG_NORM, PLAIN, WIDTH, numbers_of
from sciinf.numerics.prior_validity import valid

__all__ = ["log_prior", "term"]

MULTIVARIATE_NORMAL, DIRICHLET, UNIFORM, NORMAL = codes.MULTIVARIATE_NORMAL, codes.DIRICHLET, codes.UNIFORM, codes.NORMAL
_LEAST_REMAINDER = 2.0**-54


@kernel(float64(int64, float64, VECTOR, int64, types.boolean, VECTOR))
def _log_density_at(code, x, numbers, table, conditional, floats):
    """Log-density at numbers that may depend on earlier parameters: -inf where they define none."""
    a, b, c, d = numbers[0], numbers[1], numbers[2], numbers[3]
    if conditional and not math.isnan(x) and not valid(code, a, b, c, d):
        return -math.inf
    return log_density(code, x, a, b, c, d, floats, table)


@kernel(float64(int64, int64, int64, VECTOR, VECTOR, int64))
def _joint_log_density(code, first, size, theta, floats, table):
    """Log-density of a built-in joint prior."""
    if code == MULTIVARIATE_NORMAL:
        total = 0.0
        for i in range(size):
            white = 0.0
            row = table + 1 + size + size * size + i * size
            for j in range(i + 1):
                white += floats[row + j] * (theta[first + j] - floats[table + 1 + j])
            total += white * white
        return floats[table] - 0.5 * total
    if code == DIRICHLET:
        last, total, outside = 1.0, floats[table], False
        for i in range(size):
            x, exponent = theta[first + i], floats[table + 1 + i] - 1.0
            outside |= x < 0.0
            last -= x
            if exponent != 0.0 or math.isnan(x):
                total += exponent * math.log(x)
        if outside or last < -4.0 * (size + 1) * _LEAST_REMAINDER:
            return -math.inf
        exponent = floats[table + 1 + size] - 1.0
        return total + exponent * math.log(max(last, _LEAST_REMAINDER)) if exponent != 0.0 else total
    missing = False
    for i in range(size):
        missing |= math.isnan(theta[first + i])
        if i > 0 and theta[first + i] < theta[first + i - 1]:
            return -math.inf
    if theta[first] < floats[table + 1] or theta[first + size - 1] > floats[table + 2]:
        return -math.inf
    return math.nan if missing else floats[table]


@kernel(float64(int64, VECTOR, VECTOR, INTS, VECTOR))
def term(at, theta, floats, ints, numbers):
    """One block's term of the log-density; in mode FUNCTION the caller has set ``numbers``."""
    code, first, mode = ints[at], ints[at + 1], ints[at + 5]
    if code >= MULTIVARIATE_NORMAL:
        return _joint_log_density(code, first, ints[at + 2], theta, floats, ints[at + 4])
    if mode != FUNCTION:
        numbers_of(at, theta, floats, ints, numbers)
    return _log_density_at(code, theta[first], numbers, ints[at + 4], mode != PLAIN, floats)


@kernel(float64(int64, VECTOR, VECTOR, INTS))
def _term_alone(at, theta, floats, ints):
    """`term` with numbers of its own."""
    return term(at, theta, floats, ints, np.empty(4))


@kernel(LIKELIHOOD)
def log_prior(theta, floats, ints, work):
    """Logarithm of the prior density at ``theta``, the commonest priors without a call; ``work`` is not used."""
    total = 0.0
    for block in range(ints[0]):
        at = 1 + WIDTH * block
        code, x, offset = ints[at], theta[ints[at + 1]], ints[at + 3]
        if code == UNIFORM and ints[at + 5] == PLAIN and floats[offset] <= x <= floats[offset + 1]:
            total += floats[offset + LOG_NORM]
        elif code == NORMAL and ints[at + 5] == PLAIN:
            z = (x - floats[offset]) / floats[offset + 1]
            total += floats[offset + LOG_NORM] - 0.5 * z * z
        else:
            total += _term_alone(at, theta, floats, ints)
    return total
