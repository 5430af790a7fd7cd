"""Logarithms that kernels need without cancellation: Stirling's correction, ln(1 + x) - x, and the beta function's."""

from __future__ import annotations

import math

from numba import float64

from sciinf.numerics.jit import kernel

__all__ = ["log1p_minus_x", "log_beta", "stirling_correction"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


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
