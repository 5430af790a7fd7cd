"""The normal distribution in compiled form: distribution function, its logarithm, their inverses, and the mass of an interval."""

from __future__ import annotations

import math

import numpy as np
from numba import float64

from sciinf.numerics.jit import kernel

__all__ = [
    "half_normal_quantile",
    "log_normal_cdf",
    "log_normal_mass",
    "normal_cdf",
    "normal_quantile",
    "normal_quantile_of_log",
]

_SQRT_HALF = math.sqrt(0.5)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


@kernel(float64(float64))
def normal_cdf(x):
    """Probability of a standard normal variable below x."""
    return 0.5 * math.erfc(-x * _SQRT_HALF)


@kernel(float64(float64))
def log_normal_cdf(x):
    """Logarithm of `normal_cdf`: below -14 by the asymptotic series of the Mills ratio, with terms below 1e-17 from the 15th on."""
    if x > 0.0:
        return math.log1p(-0.5 * math.erfc(x * _SQRT_HALF))
    if x > -14.0:
        return math.log(0.5 * math.erfc(-x * _SQRT_HALF))
    if x == -math.inf:
        return -math.inf
    square = 1.0 / (x * x)
    term, total = 1.0, 1.0
    for k in range(1, 16):
        term *= -(2 * k - 1) * square
        total += term
    return math.log(total / -x) - 0.5 * x * x - _HALF_LOG_2PI


@kernel(float64(float64))
def _central(q):
    """Quantile of 0.5 + q, |q| <= 0.425: Wichura's algorithm AS 241 (Appl. Statist. 37, 477, 1988), PPND16."""
    r = 0.180625 - q * q
    above = 2.5090809287301226727e3
    above = above * r + 3.3430575583588128105e4
    above = above * r + 6.7265770927008700853e4
    above = above * r + 4.5921953931549871457e4
    above = above * r + 1.3731693765509461125e4
    above = above * r + 1.9715909503065514427e3
    above = above * r + 1.3314166789178437745e2
    above = above * r + 3.3871328727963666080
    below = 5.2264952788528545610e3
    below = below * r + 2.8729085735721942674e4
    below = below * r + 3.9307895800092710610e4
    below = below * r + 2.1213794301586595867e4
    below = below * r + 5.3941960214247511077e3
    below = below * r + 6.8718700749205790830e2
    below = below * r + 4.2313330701600911252e1
    below = below * r + 1.0
    return q * above / below


@kernel(float64(float64))
def _outer(r):
    """Minus the quantile of the tail probability exp(-r^2), 1.6 < r <= 27: AS 241."""
    if r <= 5.0:
        s = r - 1.6
        above = 7.74545014278341407640e-4
        above = above * s + 2.27238449892691845833e-2
        above = above * s + 2.41780725177450611770e-1
        above = above * s + 1.27045825245236838258
        above = above * s + 3.64784832476320460504
        above = above * s + 5.76949722146069140550
        above = above * s + 4.63033784615654529590
        above = above * s + 1.42343711074968357734
        below = 1.05075007164441684324e-9
        below = below * s + 5.47593808499534494600e-4
        below = below * s + 1.51986665636164571966e-2
        below = below * s + 1.48103976427480074590e-1
        below = below * s + 6.89767334985100004550e-1
        below = below * s + 1.67638483018380384940
        below = below * s + 2.05319162663775882187
        below = below * s + 1.0
        return above / below
    s = r - 5.0
    above = 2.01033439929228813265e-7
    above = above * s + 2.71155556874348757815e-5
    above = above * s + 1.24266094738807843860e-3
    above = above * s + 2.65321895265761230930e-2
    above = above * s + 2.96560571828504891230e-1
    above = above * s + 1.78482653991729133580
    above = above * s + 5.46378491116411436990
    above = above * s + 6.65790464350110377720
    below = 2.04426310338993978564e-15
    below = below * s + 1.42151175831644588870e-7
    below = below * s + 1.84631831751005468180e-5
    below = below * s + 7.86869131145613259100e-4
    below = below * s + 1.48753612908506148525e-2
    below = below * s + 1.36929880922735805310e-1
    below = below * s + 5.99832206555887937690e-1
    below = below * s + 1.0
    return above / below


@kernel(float64(float64))
def normal_quantile(p):
    """Inverse of `normal_cdf`: -inf at 0, inf at 1, NaN outside [0, 1]."""
    if not 0.0 <= p <= 1.0:
        return math.nan
    q = p - 0.5
    if abs(q) <= 0.425:
        return _central(q)
    tail = p if q < 0.0 else 1.0 - p
    if tail == 0.0:
        return math.copysign(math.inf, q)
    return math.copysign(_outer(math.sqrt(-math.log(tail))), q)


@kernel(float64(float64))
def half_normal_quantile(p):
    """Quantile of the modulus of a standard normal variable, to full relative accuracy at small p: sqrt(2) times the inverse of erf."""
    if not 0.0 <= p <= 1.0:
        return math.nan
    if p <= 0.85:
        return _central(0.5 * p)
    if p == 1.0:
        return math.inf
    return _outer(math.sqrt(-math.log(0.5 * (1.0 - p))))


@kernel(float64(float64))
def normal_quantile_of_log(log_p):
    """Quantile of exp(log_p), also where exp(log_p) underflows: Newton steps on `log_normal_cdf` beyond AS 241's range."""
    if log_p > 0.0 or math.isnan(log_p):
        return math.nan
    if log_p > -_LOG_2:
        return -normal_quantile(-math.expm1(log_p))
    if log_p > -2.6:  # exp(-1.6^2) = 0.077: AS 241's central part begins at a tail of 0.075
        return normal_quantile(math.exp(log_p))
    r = math.sqrt(-log_p)
    if r <= 26.0:
        return -_outer(r)
    if log_p == -math.inf:
        return -math.inf
    x = -math.sqrt(2.0) * r
    for _ in range(8):
        log_cdf = log_normal_cdf(x)
        step = (log_cdf - log_p) * math.exp(log_cdf + 0.5 * x * x + _HALF_LOG_2PI)
        x -= step
        if abs(step) < 1e-9:
            break
    return x


@kernel(float64(float64, float64))
def log_normal_mass(a, b):
    """Logarithm of the standard normal probability of [a, b], to full relative accuracy.

    A short interval about m is integrated, phi(m) times the integral of cosh(m t) exp(-t^2/2) by 10 Gauss-Legendre points, so that
    nothing cancels; a long one is a difference of distribution functions in the tail where they are small.
    """
    if a + b > 0.0:
        a, b = -b, -a
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    if half * (abs(centre) + half) < 0.5:
        total = 0.0
        for i in range(10):
            t = half * _NODES[i]
            total += _WEIGHTS[i] * math.cosh(centre * t) * math.exp(-0.5 * t * t)
        return math.log(2.0 * half * total) - 0.5 * centre * centre - _HALF_LOG_2PI
    log_b = log_normal_cdf(b)
    return log_b + math.log1p(-math.exp(log_normal_cdf(a) - log_b))
