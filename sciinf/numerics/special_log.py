"""Logarithms for kernels: Stirling's correction, ln(1 + x) - x and the beta function's without cancellation; ln(1 + x) in SIMD."""

from __future__ import annotations

import math

import numpy as np
from numba import float64

from sciinf.numerics.jit import inline_kernel, kernel

__all__ = ["log1p_minus_x", "log1p_positive", "log_beta", "stirling_correction"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first with 21 zero bits: k times it is exact
_ROOT_HALF_BITS = 4604544271217802189  # of sqrt(1/2) as float64


@kernel(float64(float64))
def stirling_correction(a):
    """Logarithm of Gamma(a) minus (a - 1/2) ln a - a + ln(2 pi)/2: by its asymptotic series from 10 on, whose next term is 3e-17 there."""
    if a < 10.0:
        return math.lgamma(a) - ((a - 0.5) * math.log(a) - a + _HALF_LOG_2PI)
    s = 1.0 / (a * a)
    series = 1.0 / 156.0
    series = series * s - 691.0 / 360360.0
    series = series * s + 1.0 / 1188.0
    series = series * s - 1.0 / 1680.0
    series = series * s + 1.0 / 1260.0
    series = series * s - 1.0 / 360.0
    series = series * s + 1.0 / 12.0
    return series / a


@kernel(float64(float64))
def log1p_minus_x(x):
    """ln(1 + x) - x without cancellation: through ln(1 + x) = 2 artanh(x / (2 + x))."""
    if x < -0.39 or x > 0.57:
        return math.log1p(x) - x
    r = x / (2.0 + x)
    square = r * r
    total, power = 0.0, 1.0
    for k in range(1, 16):
        power *= square
        total += power / (2 * k + 1)
    return r * (2.0 * total - x)


@inline_kernel
def log1p_positive(x):
    """ln(1 + x) of 0 <= x < inf to 1 ulp without a branch: a loop over it is vectorised, over math.log1p it is not.

    1 + x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2), with the rounding of the sum put back; the polynomial is that of fdlibm's e_log.c.
    NaN at inf.
    """
    u = 1.0 + x
    lost = (x - (u - 1.0)) if x < 1.0 else (1.0 - (u - x))
    bits = np.float64(u).view(np.int64)
    k = (bits - _ROOT_HALF_BITS) >> 52
    f = np.int64(bits - (k << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = 1.479819860511658591e-01
    series = series * z + 1.531383769920937332e-01
    series = series * z + 1.818357216161805012e-01
    series = series * z + 2.222219843214978396e-01
    series = series * z + 2.857142874366239149e-01
    series = series * z + 3.999999999940941908e-01
    series = series * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    exponent = float(k)
    return exponent * _LOG_2_HIGH - ((half - (s * (half + series * z) + (exponent * _LOG_2_LOW + lost / u))) - f)


@kernel(float64(float64, float64))
def log_beta(a, b):
    """Logarithm of B(a, b); the large parts of the gamma functions are cancelled by hand (Stirling) where an argument is 10 or more."""
    if a > b:
        a, b = b, a
    total = a + b
    if a >= 10.0:
        rest = stirling_correction(a) + stirling_correction(b) - stirling_correction(total)
        return _HALF_LOG_2PI + 0.5 * math.log(total / (a * b)) - a * math.log1p(b / a) - b * math.log1p(a / b) + rest
    if b >= 10.0:
        rest = stirling_correction(b) - stirling_correction(total)
        return math.lgamma(a) - (b - 0.5) * math.log1p(a / b) - a * math.log(total) + a + rest
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(total)
