"""Whether the numbers of a one-dimensional prior, chosen by an integer code, define a density: asked before quantile and density."""

from __future__ import annotations

import math

from numba import boolean, float64, int64

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import kernel
from sciinf.numerics.special_normal import log_normal_mass

__all__ = ["valid"]

_HALF_PI = 0.5 * math.pi
_INF = math.inf

UNIFORM, LOG_UNIFORM, NORMAL, TRUNCATED_NORMAL = codes.UNIFORM, codes.LOG_UNIFORM, codes.NORMAL, codes.TRUNCATED_NORMAL
HALF_NORMAL, LOG_NORMAL, EXPONENTIAL, GAMMA = codes.HALF_NORMAL, codes.LOG_NORMAL, codes.EXPONENTIAL, codes.GAMMA
INVERSE_GAMMA, BETA, CAUCHY, HALF_CAUCHY = codes.INVERSE_GAMMA, codes.BETA, codes.CAUCHY, codes.HALF_CAUCHY
STUDENT_T, SINE, COSINE, POWER_LAW = codes.STUDENT_T, codes.SINE, codes.COSINE, codes.POWER_LAW
TRIANGULAR, CHI, INTERPOLATED = codes.TRIANGULAR, codes.CHI, codes.INTERPOLATED


@kernel(boolean(int64, float64, float64, float64, float64))
def valid(code, a, b, c, d):
    """Whether the numbers (a, b, c, d) define a density, as the class's ``valid``."""
    if code == UNIFORM:
        return math.isfinite(b - a) and a < b
    if code == LOG_UNIFORM:
        return 0.0 < a < b < _INF and math.log(b / a) > 0.0
    if code in (NORMAL, LOG_NORMAL, CAUCHY):
        return math.isfinite(a) and 0.0 < b < _INF
    if code == TRUNCATED_NORMAL:
        return math.isfinite(a) and 0.0 < b < _INF and c < d and math.isfinite(log_normal_mass((c - a) / b, (d - a) / b))
    if code in (HALF_NORMAL, EXPONENTIAL, HALF_CAUCHY):
        return 0.0 < a < _INF
    if code in (GAMMA, INVERSE_GAMMA, BETA, CHI):
        return 0.0 < a < _INF and 0.0 < b < _INF
    if code == STUDENT_T:
        return 0.0 < a < _INF and math.isfinite(b) and 0.0 < c < _INF
    if code == SINE:
        return 0.0 <= a < b <= math.pi
    if code == COSINE:
        return -_HALF_PI <= a < b <= _HALF_PI
    if code == TRIANGULAR:
        return math.isfinite(c - a) and a <= b <= c and a < c
    if code == POWER_LAW:
        low, high = (b, c) if math.isnan(d) else (d - c, d - b)
        return math.isfinite(a) and math.isfinite(high - low) and b < c and low < high and (low > 0.0 or (low == 0.0 and a > -1.0))
    return code == INTERPOLATED
