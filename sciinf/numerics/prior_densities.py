"""Log-density of every one-dimensional prior, chosen by an integer code and at most four numbers.

The same formulas as the classes in `sciinf.core.priors`, one point at a time; the numbers are the class's arguments in order, NaN for
one that is left out. Quantiles are in `prior_quantiles`.
"""

from __future__ import annotations

import math

from numba import float64, int64

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import VECTOR, kernel
from sciinf.numerics.special_log import log_beta
from sciinf.numerics.special_normal import log_normal_mass

__all__ = ["log_density"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_HALF_LOG_2_OVER_PI = 0.5 * math.log(2.0 / math.pi)
_LOG_2 = math.log(2.0)
_LOG_2_OVER_PI = math.log(2.0 / math.pi)
_HALF_PI = 0.5 * math.pi
_INF = math.inf

UNIFORM, LOG_UNIFORM, NORMAL, TRUNCATED_NORMAL = codes.UNIFORM, codes.LOG_UNIFORM, codes.NORMAL, codes.TRUNCATED_NORMAL
HALF_NORMAL, LOG_NORMAL, EXPONENTIAL, GAMMA = codes.HALF_NORMAL, codes.LOG_NORMAL, codes.EXPONENTIAL, codes.GAMMA
INVERSE_GAMMA, BETA, CAUCHY, HALF_CAUCHY = codes.INVERSE_GAMMA, codes.BETA, codes.CAUCHY, codes.HALF_CAUCHY
STUDENT_T, SINE, COSINE, POWER_LAW = codes.STUDENT_T, codes.SINE, codes.COSINE, codes.POWER_LAW
TRIANGULAR, CHI, INTERPOLATED = codes.TRIANGULAR, codes.CHI, codes.INTERPOLATED


@kernel(float64(float64, float64))
def _xlogy(x, y):
    """X ln y, and 0 at x = 0 whatever y (NaN excepted)."""
    if x == 0.0 and not math.isnan(y):
        return 0.0
    return x * math.log(y)


@kernel(float64(float64, float64))
def _sine_area(low, high):
    """cos(low) - cos(high), without cancellation."""
    return 2.0 * math.sin(0.5 * (high + low)) * math.sin(0.5 * (high - low))


@kernel(float64(float64, float64, float64, float64, float64))
def _power_law_log_density(x, alpha, low, high, reflect_at):
    reflected = not math.isnan(reflect_at)
    a, b = (reflect_at - high, reflect_at - low) if reflected else (low, high)
    k = alpha + 1.0
    log_ratio = math.log1p((b - a) / a) if a > 0.0 else _INF
    if k == 0.0:
        log_norm = -math.log(log_ratio)
    else:
        log_norm = math.log(abs(k)) - k * math.log(b if k > 0.0 else a) - math.log(-math.expm1(-abs(k) * log_ratio))
    return log_norm + _xlogy(alpha, reflect_at - x if reflected else x)


@kernel(float64(float64, float64, float64, float64))
def _triangular_log_density(x, low, mode, high):
    height = 1.0
    if x < mode:
        height = (x - low) / (mode - low)
    elif x > mode:
        height = (high - x) / (high - mode)
    return math.log(2.0 / (high - low)) + math.log(height)


@kernel(float64(float64, VECTOR, int64))
def _interpolated_log_density(x, floats, table):
    n = int(floats[table])
    grid, density = table + 1, table + 1 + n
    if x < floats[grid] or x > floats[grid + n - 1]:
        return -_INF
    left, right = 0, n  # the first point beyond x
    while left < right:
        middle = (left + right) // 2
        if floats[grid + middle] <= x:
            left = middle + 1
        else:
            right = middle
    cell = min(max(left - 1, 0), n - 2)
    start, end = floats[density + cell], floats[density + cell + 1]
    slope = (end - start) / (floats[grid + cell + 1] - floats[grid + cell])
    if end >= start:
        return math.log(start + slope * (x - floats[grid + cell]))
    return math.log(end - slope * (floats[grid + cell + 1] - x))


@kernel(float64(int64, float64, float64, float64))
def _log_density_above_zero(code, x, a, b):
    """Priors on the positive half line; x >= 0."""
    if code == HALF_NORMAL:
        return _HALF_LOG_2_OVER_PI - math.log(a) - 0.5 * (x / a) ** 2
    if code == EXPONENTIAL:
        return -math.log(a) - x / a
    if code == HALF_CAUCHY:
        return _LOG_2_OVER_PI - math.log(a) - math.log1p((x / a) ** 2)
    if x == _INF:
        return -_INF
    if code == GAMMA:
        return _xlogy(a - 1.0, x / b) - x / b - math.lgamma(a) - math.log(b)
    if code == CHI:
        log_norm = (1.0 - 0.5 * a) * _LOG_2 - math.lgamma(0.5 * a) - math.log(b)
        return log_norm + _xlogy(a - 1.0, x / b) - 0.5 * (x / b) ** 2
    if x == 0.0:
        return -_INF
    if code == LOG_NORMAL:
        log_x = math.log(x)
        return -math.log(b) - _HALF_LOG_2PI - log_x - 0.5 * ((log_x - a) / b) ** 2
    return -(a + 1.0) * math.log(x / b) - b / x - math.lgamma(a) - math.log(b)  # inverse gamma


@kernel(float64(int64, float64, float64, float64, float64, float64))
def _log_density_within(code, x, a, b, c, d):
    """Priors on an interval; x inside it."""
    if code == UNIFORM:
        return -math.log(b - a)
    if code == LOG_UNIFORM:
        return -math.log(math.log1p((b - a) / a)) - math.log(x)
    if code == TRUNCATED_NORMAL:
        z = (x - a) / b
        return -log_normal_mass((c - a) / b, (d - a) / b) - math.log(b) - _HALF_LOG_2PI - 0.5 * z * z
    if code == BETA:
        return _xlogy(a - 1.0, x) + (0.0 if b == 1.0 else (b - 1.0) * math.log1p(-x)) - log_beta(a, b)
    if code == SINE:
        return math.log(math.sin(x)) - math.log(_sine_area(a, b))
    if code == COSINE:
        return math.log(math.cos(x)) - math.log(_sine_area(a + _HALF_PI, b + _HALF_PI))
    if code == POWER_LAW:
        return _power_law_log_density(x, a, b, c, d)
    return _triangular_log_density(x, a, b, c)


@kernel(float64(int64, float64, float64, float64, float64, float64, VECTOR, int64))
def log_density(code, x, a, b, c, d, floats, table):
    """Log-density of x under the prior ``code`` with numbers (a, b, c, d); -inf outside the support, NaN at NaN."""
    if math.isnan(x):
        return math.nan
    if code == NORMAL:
        z = (x - a) / b
        return -math.log(b) - _HALF_LOG_2PI - 0.5 * z * z
    if code == CAUCHY:
        z = (x - a) / b
        return -math.log(math.pi * b) - math.log1p(z * z)
    if code == STUDENT_T:
        z = (x - b) / c
        return -log_beta(0.5 * a, 0.5) - 0.5 * math.log(a) - math.log(c) - 0.5 * (a + 1.0) * math.log1p(z * z / a)
    if code == INTERPOLATED:
        return _interpolated_log_density(x, floats, table)
    low, high = 0.0, _INF
    if code in (UNIFORM, LOG_UNIFORM, SINE, COSINE):
        low, high = a, b
    elif code == TRUNCATED_NORMAL:
        low, high = c, d
    elif code == BETA:
        high = 1.0
    elif code == POWER_LAW:
        low, high = b, c
    elif code == TRIANGULAR:
        low, high = a, c
    else:
        return _log_density_above_zero(code, x, a, b) if x >= 0.0 else -_INF
    return _log_density_within(code, x, a, b, c, d) if low <= x <= high else -_INF
