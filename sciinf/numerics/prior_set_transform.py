"""The cube map of a packed set of priors; the layout is in `sciinf.numerics.prior_set_layout`."""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, types

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import INTS, LIKELIHOOD, VECTOR, kernel
from sciinf.numerics.prior_quantiles import quantile
from sciinf.numerics.prior_set_layout import FUNCTION, PLAIN, WIDTH, WIDTH_OF_UNIFORM, numbers_of
from sciinf.numerics.prior_validity import valid
from sciinf.numerics.special_beta import beta_quantile_log_odds
from sciinf.numerics.special_normal import normal_quantile

__all__ = ["fill", "transform"]

MULTIVARIATE_NORMAL, DIRICHLET, UNIFORM, EMPTY = codes.MULTIVARIATE_NORMAL, codes.DIRICHLET, codes.UNIFORM, codes.EMPTY


@kernel(float64(int64, float64, VECTOR, int64, types.boolean, VECTOR))
def _quantile_at(code, u, numbers, table, conditional, floats):
    """Quantile at numbers that may depend on earlier parameters: NaN where they define no density, an empty interval's end on its edge."""
    a, b, c, d = numbers[0], numbers[1], numbers[2], numbers[3]
    if conditional and not valid(code, a, b, c, d):
        low, high = math.nan, math.nan
        if code == codes.UNIFORM or code == codes.LOG_UNIFORM or code == codes.SINE or code == codes.COSINE:
            low, high = a, b
        elif code == codes.TRUNCATED_NORMAL:
            low, high = c, d
        elif code == codes.POWER_LAW:
            low, high = b, c
        elif code == codes.TRIANGULAR:
            low, high = a, c
        empty = low == high or low - high <= EMPTY * max(abs(low), abs(high))
        return high if empty and 0.0 <= u <= 1.0 else math.nan
    return quantile(code, u, a, b, c, d, floats, table)


@kernel(types.void(int64, int64, int64, VECTOR, VECTOR, int64, VECTOR))
def _joint_transform(code, first, size, unit, floats, table, theta):
    """Cube map of a built-in joint prior; its ``table`` as `sciinf.core.joint_priors` packs it."""
    if code == MULTIVARIATE_NORMAL:
        for i in range(size):
            theta[first + i] = normal_quantile(unit[first + i])
        for i in range(size - 1, -1, -1):
            total = floats[table + 1 + i]
            row = table + 1 + size + i * size
            for j in range(i + 1):
                total += floats[row + j] * theta[first + j]
            theta[first + i] = total
    elif code == DIRICHLET:
        left, rest = 1.0, 0.0
        for i in range(1, size + 1):
            rest += floats[table + 1 + i]
        for i in range(size):
            odds = beta_quantile_log_odds(floats[table + 1 + i], rest, unit[first + i], 1.0 - unit[first + i])
            theta[first + i] = left / (1.0 + math.exp(-odds))
            left /= 1.0 + math.exp(odds)
            rest -= floats[table + 2 + i]
    else:
        low, high, top = floats[table + 1], floats[table + 2], 1.0
        for i in range(size - 1, -1, -1):
            top *= unit[first + i] ** (1.0 / (i + 1))
            theta[first + i] = min(low + (high - low) * top, high)


@kernel(types.void(int64, VECTOR, VECTOR, INTS, VECTOR, VECTOR))
def fill(at, unit, floats, ints, theta, numbers):
    """Write one block's columns of ``theta``; in mode FUNCTION the caller has set ``numbers``."""
    code, first, mode = ints[at], ints[at + 1], ints[at + 5]
    if code >= MULTIVARIATE_NORMAL:
        _joint_transform(code, first, ints[at + 2], unit, floats, ints[at + 4], theta)
        return
    if mode != FUNCTION:
        numbers_of(at, theta, floats, ints, numbers)
    theta[first] = _quantile_at(code, unit[first], numbers, ints[at + 4], mode != PLAIN, floats)


@kernel(types.void(int64, VECTOR, VECTOR, INTS, VECTOR))
def _fill_alone(at, unit, floats, ints, theta):
    """`fill` with numbers of its own."""
    fill(at, unit, floats, ints, theta, np.empty(4))


@kernel(LIKELIHOOD)
def transform(unit, floats, ints, theta):
    """Cube point to parameters, written into ``theta``; the commonest priors without a call."""
    for block in range(ints[0]):
        at = 1 + WIDTH * block
        code, first, offset = ints[at], ints[at + 1], ints[at + 3]
        u = unit[first]
        if code == UNIFORM and ints[at + 5] == PLAIN and 0.0 <= u <= 1.0:
            theta[first] = min(floats[offset] + floats[offset + WIDTH_OF_UNIFORM] * u, floats[offset + 1])
        else:
            _fill_alone(at, unit, floats, ints, theta)
    return 0.0
