"""Quantile of every one-dimensional prior, chosen by an integer code and at most four numbers.

The same formulas as the classes in `sciinf.core.priors`, one point at a time; the numbers are the class's arguments in order, NaN for
one that is left out. Nothing raises: NaN comes out where a quantile is undefined. Densities are in `prior_densities`: a run that needs
only one of the two waits for its compilation only.
"""

from __future__ import annotations

import math

from numba import float64, int64

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import VECTOR, kernel
from sciinf.numerics.special_beta import beta_quantile, student_t_quantile
from sciinf.numerics.special_gamma import gamma_quantile
from sciinf.numerics.special_normal import (
    half_normal_quantile,
    log_normal_cdf,
    log_normal_mass,
    normal_cdf,
    normal_quantile,
    normal_quantile_of_log,
)

__all__ = ["quantile"]

_HALF_PI = 0.5 * math.pi
_INF = math.inf
_FAR = -30.0  # below it the normal distribution function nears the smallest float64: work with its logarithm

UNIFORM, LOG_UNIFORM, NORMAL, TRUNCATED_NORMAL = codes.UNIFORM, codes.LOG_UNIFORM, codes.NORMAL, codes.TRUNCATED_NORMAL
HALF_NORMAL, LOG_NORMAL, EXPONENTIAL, GAMMA = codes.HALF_NORMAL, codes.LOG_NORMAL, codes.EXPONENTIAL, codes.GAMMA
INVERSE_GAMMA, BETA, CAUCHY, HALF_CAUCHY = codes.INVERSE_GAMMA, codes.BETA, codes.CAUCHY, codes.HALF_CAUCHY
STUDENT_T, SINE, COSINE, POWER_LAW = codes.STUDENT_T, codes.SINE, codes.COSINE, codes.POWER_LAW
TRIANGULAR, CHI, INTERPOLATED = codes.TRIANGULAR, codes.CHI, codes.INTERPOLATED


@kernel(float64(float64, float64, float64))
def _clipped(x, low, high):
    """X moved into [low, high]; NaN stays."""
    if x < low:
        return low
    return high if x > high else x


@kernel(float64(float64, float64, float64, float64, float64))
def _truncated_normal_quantile(u, mean, std, low, high):
    a, b = (low - mean) / std, (high - mean) / std
    if b < _FAR or a > -_FAR:
        near, far, v, sign = (a, b, u, 1.0) if b < _FAR else (-b, -a, 1.0 - u, -1.0)
        log_far = log_normal_cdf(far)
        z = sign * normal_quantile_of_log(log_far + math.log(v + (1.0 - v) * math.exp(log_normal_cdf(near) - log_far)))
    else:
        mass = math.exp(log_normal_mass(a, b))
        below = normal_cdf(a) + u * mass  # count probability from the side where it is small
        z = normal_quantile(below) if below <= 0.5 else -normal_quantile(normal_cdf(-b) + (1.0 - u) * mass)
    return _clipped(mean + std * z, low, high)


@kernel(float64(float64, float64, float64))
def _sine_quantile(u, low, high):
    square_sine = (1.0 - u) * math.sin(0.5 * low) ** 2 + u * math.sin(0.5 * high) ** 2
    square_cosine = (1.0 - u) * math.cos(0.5 * low) ** 2 + u * math.cos(0.5 * high) ** 2
    return _clipped(2.0 * math.atan2(math.sqrt(square_sine), math.sqrt(square_cosine)), low, high)


@kernel(float64(float64, float64, float64, float64, float64))
def _power_law_quantile(u, alpha, low, high, reflect_at):
    reflected = not math.isnan(reflect_at)
    a, b = (reflect_at - high, reflect_at - low) if reflected else (low, high)
    k = alpha + 1.0
    log_ratio = math.log1p((b - a) / a) if a > 0.0 else _INF
    from_a, from_b = (1.0 - u, u) if reflected else (u, 1.0 - u)
    if k == 0.0:
        y = a * math.exp(from_a * log_ratio)
    else:
        share = -math.expm1(-abs(k) * log_ratio)
        gap, rest, reference = (from_b, from_a, b) if k > 0.0 else (from_a, from_b, a)
        log_power = math.log1p(-gap * share) if gap * share < 0.5 else math.log((1.0 - share) + rest * share)
        y = reference * math.exp(log_power / k)
    y = _clipped(y, a, b)
    return _clipped(reflect_at - y if reflected else y, low, high)


@kernel(float64(float64, float64, float64, float64))
def _triangular_quantile(u, low, mode, high):
    width = high - low
    if u < (mode - low) / width:
        return _clipped(low + math.sqrt(u * width * (mode - low)), low, high)
    return _clipped(high - math.sqrt((1.0 - u) * width * (high - mode)), low, high)


@kernel(float64(float64, VECTOR, int64))
def _interpolated_quantile(u, floats, table):
    """``floats`` from ``table`` on: n, grid (n,), density (n,), distribution function (n,)."""
    n = int(floats[table])
    grid, density, cumulative = table + 1, table + 1 + n, table + 1 + 2 * n
    left, right = 0, n  # the first point with a distribution function of at least u
    while left < right:
        middle = (left + right) // 2
        if floats[cumulative + middle] < u:
            left = middle + 1
        else:
            right = middle
    cell = min(max(left - 1, 0), n - 2)
    width = floats[grid + cell + 1] - floats[grid + cell]
    start, end = floats[density + cell], floats[density + cell + 1]
    slope = (end - start) / width
    if end >= start:
        rest = max(u - floats[cumulative + cell], 0.0)
        step = 2.0 * rest / (start + math.sqrt(start * start + 2.0 * rest * slope)) if rest > 0.0 else 0.0
        return floats[grid + cell] + min(step, width)
    rest = max(floats[cumulative + cell + 1] - u, 0.0)
    step = 2.0 * rest / (end + math.sqrt(end * end - 2.0 * rest * slope)) if rest > 0.0 else 0.0
    return floats[grid + cell + 1] - min(step, width)


@kernel(float64(int64, float64, float64, float64, float64, float64, VECTOR, int64))
def quantile(code, u, a, b, c, d, floats, table):
    """Quantile of u under the prior ``code`` with numbers (a, b, c, d); NaN for u outside [0, 1]. ``table`` serves a grid only."""
    if not 0.0 <= u <= 1.0:
        return math.nan
    if code == UNIFORM:
        return min(a + (b - a) * u, b)
    if code == NORMAL:
        return a + b * normal_quantile(u)
    if code == LOG_UNIFORM:
        return _clipped(a * math.exp(math.log1p((b - a) / a) * u), a, b)
    if code == TRUNCATED_NORMAL:
        return _truncated_normal_quantile(u, a, b, c, d)
    if code == HALF_NORMAL:
        return a * half_normal_quantile(u)
    if code == LOG_NORMAL:
        return math.exp(a + b * normal_quantile(u))
    if code == EXPONENTIAL:
        return -a * math.log1p(-u)
    if code == GAMMA:
        return b * gamma_quantile(a, u, 1.0 - u)
    if code == INVERSE_GAMMA:
        return b / gamma_quantile(a, 1.0 - u, u)
    if code == BETA:
        return beta_quantile(a, b, u, 1.0 - u)
    if code == CAUCHY:
        tail = min(u, 1.0 - u)
        z = -1.0 / math.tan(math.pi * tail) if tail < 0.25 else math.tan(math.pi * (tail - 0.5))
        return a + b * (z if u < 0.5 else -z)
    if code == HALF_CAUCHY:
        return a * (math.tan(_HALF_PI * u) if u < 0.5 else 1.0 / math.tan(_HALF_PI * (1.0 - u)))
    if code == STUDENT_T:
        return b + c * student_t_quantile(a, u)
    if code == SINE:
        return _sine_quantile(u, a, b)
    if code == COSINE:
        return _clipped(_sine_quantile(u, a + _HALF_PI, b + _HALF_PI) - _HALF_PI, a, b)
    if code == POWER_LAW:
        return _power_law_quantile(u, a, b, c, d)
    if code == TRIANGULAR:
        return _triangular_quantile(u, a, b, c)
    if code == CHI:
        return b * math.sqrt(2.0 * gamma_quantile(0.5 * a, u, 1.0 - u))
    if code == INTERPOLATED:
        return _interpolated_quantile(u, floats, table)
    return math.nan
