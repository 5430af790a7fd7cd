"""A whole prior in compiled form: the cube map and the log-density of a set whose members are packed into two arrays.

``ints`` holds the number of blocks, then ``WIDTH`` integers per block: code, first column, columns, offset of the numbers in
``floats``, offset of a table in ``floats``, mode (``PLAIN``, ``AFFINE`` or ``FUNCTION``), number of earlier parameters (or, in mode
``FUNCTION`` and for a joint prior of one's own, which function), offset in ``ints`` of the earlier parameters' columns. ``floats``
begins with ln of a region's mass; a block's numbers are 4 constants and, in mode ``AFFINE``, 4 coefficients per earlier parameter.

Both kernels have the one signature `sciinf.numerics.jit.LIKELIHOOD`: ``transform(unit, floats, ints, theta)`` writes ``theta`` and
returns 0, ``log_prior(theta, floats, ints, work)`` returns the log-density.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float64, int64, types
from numba.np.unsafe.ndarray import to_fixed_tuple

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import LIKELIHOOD, kernel
from sciinf.numerics.prior_kernels import log_density, quantile, valid
from sciinf.numerics.special import beta_quantile_log_odds, normal_quantile

__all__ = ["AFFINE", "CONDITIONAL", "FUNCTION", "PLAIN", "WIDTH", "custom_kernels", "log_prior", "transform"]

PLAIN, AFFINE, FUNCTION = 0, 1, 2
WIDTH = 8

_VECTOR = types.Array(float64, 1, "C")
_INTS = types.Array(int64, 1, "C")
_LEAST_REMAINDER = 2.0**-54
MULTIVARIATE_NORMAL, DIRICHLET, ORDERED_UNIFORM = codes.MULTIVARIATE_NORMAL, codes.DIRICHLET, codes.ORDERED_UNIFORM
CUSTOM_JOINT = codes.CUSTOM_JOINT

CONDITIONAL = types.void(_VECTOR, _VECTOR)
"""``f(given, numbers)``: signature of a conditional prior's function."""


@kernel(float64(int64, float64, _VECTOR, int64, types.boolean, _VECTOR))
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
        return low if low == high and 0.0 <= u <= 1.0 else math.nan
    return quantile(code, u, a, b, c, d, floats, table)


@kernel(float64(int64, float64, _VECTOR, int64, types.boolean, _VECTOR))
def _log_density_at(code, x, numbers, table, conditional, floats):
    """Log-density at numbers that may depend on earlier parameters: -inf where they define none."""
    a, b, c, d = numbers[0], numbers[1], numbers[2], numbers[3]
    if conditional and not math.isnan(x) and not valid(code, a, b, c, d):
        return -math.inf
    return log_density(code, x, a, b, c, d, floats, table)


@kernel(types.void(int64, _VECTOR, _VECTOR, _INTS, _VECTOR))
def _numbers_of(at, theta, floats, ints, numbers):
    """The block's four numbers: constants, plus coefficients times earlier parameters."""
    offset, n_given, given = ints[at + 3], ints[at + 6], ints[at + 7]
    for i in range(4):
        numbers[i] = floats[offset + i]
        if ints[at + 5] == AFFINE:
            for j in range(n_given):
                coefficient = floats[offset + 4 * (1 + j) + i]
                if coefficient != 0.0:
                    numbers[i] += coefficient * theta[ints[given + j]]


@kernel(types.void(int64, int64, int64, _VECTOR, _VECTOR, int64, _VECTOR))
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


@kernel(float64(int64, int64, int64, _VECTOR, _VECTOR, int64))
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


@kernel(types.void(int64, _VECTOR, _VECTOR, _INTS, _VECTOR, _VECTOR))
def _fill(at, unit, floats, ints, theta, numbers):
    """Write one block's columns of ``theta``; in mode FUNCTION the caller has set ``numbers``."""
    code, first, mode = ints[at], ints[at + 1], ints[at + 5]
    if code >= MULTIVARIATE_NORMAL:
        _joint_transform(code, first, ints[at + 2], unit, floats, ints[at + 4], theta)
        return
    if mode != FUNCTION:
        _numbers_of(at, theta, floats, ints, numbers)
    theta[first] = _quantile_at(code, unit[first], numbers, ints[at + 4], mode != PLAIN, floats)


@kernel(float64(int64, _VECTOR, _VECTOR, _INTS, _VECTOR))
def _term(at, theta, floats, ints, numbers):
    """One block's term of the log-density; in mode FUNCTION the caller has set ``numbers``."""
    code, first, mode = ints[at], ints[at + 1], ints[at + 5]
    if code >= MULTIVARIATE_NORMAL:
        return _joint_log_density(code, first, ints[at + 2], theta, floats, ints[at + 4])
    if mode != FUNCTION:
        _numbers_of(at, theta, floats, ints, numbers)
    return _log_density_at(code, theta[first], numbers, ints[at + 4], mode != PLAIN, floats)


@kernel(LIKELIHOOD)
def transform(unit, floats, ints, theta):
    """Cube point to parameters, written into ``theta``."""
    numbers = np.empty(4)
    for block in range(ints[0]):
        _fill(1 + WIDTH * block, unit, floats, ints, theta, numbers)
    return 0.0


@kernel(LIKELIHOOD)
def log_prior(theta, floats, ints, work):
    """Logarithm of the prior density at ``theta``; ``work`` is not used."""
    numbers = np.empty(4)
    total = 0.0
    for block in range(ints[0]):
        total += _term(1 + WIDTH * block, theta, floats, ints, numbers)
    return total


@numba.njit
def _no_numbers(which, theta, numbers):
    numbers[:] = math.nan


@numba.njit
def _no_joint(which, vector, floats, ints, out):
    return math.nan


@numba.njit
def _everywhere(theta):
    return True


def _link_numbers(head, columns, values, tail):
    """Numbers by the function ``head`` for which = 0, by ``tail`` beyond; ``columns`` -1 means a fixed value."""
    n = len(columns)

    @numba.njit
    def dispatch(which, theta, numbers):
        if which == 0:
            given = np.empty(n)
            for i in range(n):
                given[i] = theta[columns[i]] if columns[i] >= 0 else values[i]
            head(given, numbers)
        else:
            tail(which - 1, theta, numbers)

    return dispatch


def _link_joint(head, tail):
    """A joint prior's kernel ``head`` for which = 0, ``tail`` beyond."""

    @numba.njit
    def dispatch(which, vector, floats, ints, out):
        if which == 0:
            return head(vector, floats, ints, out)
        return tail(which - 1, vector, floats, ints, out)

    return dispatch


def _link_region(head, columns, values, tail):
    """Inside the region ``head`` and inside ``tail``; no ``columns``: the predicate takes theta itself."""
    n = len(columns)
    if n == 0:

        @numba.njit
        def of_vector(theta):
            return bool(head(theta)) and tail(theta)

        return of_vector

    @numba.njit
    def of_names(theta):
        given = np.empty(n)
        for i in range(n):
            given[i] = theta[columns[i]] if columns[i] >= 0 else values[i]
        return bool(head(*to_fixed_tuple(given, n))) and tail(theta)

    return of_names


def custom_kernels(functions, joints, regions):
    """``transform`` and ``log_prior`` of a set that brings compiled functions of its own; compiled anew in each process.

    Parameters
    ----------
    functions : list of (dispatcher, columns, values)
        Conditional priors' functions, with what they read: a column of theta, or -1 and a fixed value.
    joints : list of (dispatcher, dispatcher)
        Joint priors' transforms and log-densities, each of the signature `LIKELIHOOD` over its own columns and table.
    regions : list of (dispatcher, columns, values)
        Predicates, with what they read; no columns for one that takes theta.
    """
    numbers_of, joint_transform, joint_log_density, inside = _no_numbers, _no_joint, _no_joint, _everywhere
    for head, columns, values in reversed(functions):
        numbers_of = _link_numbers(head, columns, values, numbers_of)
    for head, other in reversed(joints):
        joint_transform, joint_log_density = _link_joint(head, joint_transform), _link_joint(other, joint_log_density)
    for head, columns, values in reversed(regions):
        inside = _link_region(head, columns, values, inside)

    @numba.njit(LIKELIHOOD, nogil=True, error_model="numpy")
    def custom_transform(unit, floats, ints, theta):
        numbers = np.empty(4)
        for block in range(ints[0]):
            at = 1 + WIDTH * block
            if ints[at] == CUSTOM_JOINT:
                first, end, start, stop = ints[at + 1], ints[at + 1] + ints[at + 2], ints[at + 4], ints[at + 3]
                joint_transform(ints[at + 6], unit[first:end], floats[start:stop], ints[:0], theta[first:end])
                continue
            if ints[at + 5] == FUNCTION:
                numbers[:] = math.nan
                numbers_of(ints[at + 6], theta, numbers)
            _fill(at, unit, floats, ints, theta, numbers)
        return 0.0

    @numba.njit(LIKELIHOOD, nogil=True, error_model="numpy")
    def custom_log_prior(theta, floats, ints, work):
        numbers = np.empty(4)
        total = 0.0
        for block in range(ints[0]):
            at = 1 + WIDTH * block
            if ints[at] == CUSTOM_JOINT:
                first, end, start, stop = ints[at + 1], ints[at + 1] + ints[at + 2], ints[at + 4], ints[at + 3]
                total += joint_log_density(ints[at + 6], theta[first:end], floats[start:stop], ints[:0], work)
                continue
            if ints[at + 5] == FUNCTION:
                numbers[:] = math.nan
                numbers_of(ints[at + 6], theta, numbers)
            total += _term(at, theta, floats, ints, numbers)
        if total == -math.inf or math.isnan(total):
            return total
        return total - floats[0] if inside(theta) else -math.inf

    return custom_transform, custom_log_prior
