"""The incomplete beta function and its inverse in compiled form, and Student's t."""

from __future__ import annotations

import math

from numba import float64, types

from sciinf.numerics.jit import kernel
from sciinf.numerics.special_log import log1p_minus_x, log_beta, stirling_correction
from sciinf.numerics.special_normal import normal_quantile

__all__ = ["beta_i", "beta_quantile", "beta_quantile_log_odds", "student_t_quantile"]

_TRIPLE = types.UniTuple(float64, 3)
_EPSILON = 2.0**-53
_TINY = 1e-300
_STEPS = 1_000_000


@kernel(float64(float64, float64, float64, float64))
def _front(a, b, x, y):
    """x^a y^b / B(a, b), y = 1 - x, to full relative accuracy for large a and b too."""
    if a < 10.0 or b < 10.0:
        log_x = math.log(x) if x < 0.5 else math.log1p(-y)
        log_y = math.log(y) if y < 0.5 else math.log1p(-x)
        return math.exp(a * log_x + b * log_y - log_beta(a, b))
    total = a + b
    distance = x * b - y * a  # total times the distance from the mean
    rest = stirling_correction(total) - stirling_correction(a) - stirling_correction(b)
    exponent = rest
    for n, z, sign in ((a, x, 1.0), (b, y, -1.0)):
        d = sign * distance / n
        exponent += n * (log1p_minus_x(d) if d > -0.39 else math.log(z * total / n) - d)
    return math.exp(exponent) * math.sqrt(a * b / (2.0 * math.pi * total))


@kernel(float64(float64, float64, float64))
def _fraction(a, b, x):
    """Continued fraction of the incomplete beta function (DLMF 8.17.22, modified Lentz), for x below (a + 1) / (a + b + 2)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    fraction = d
    for m in range(1, _STEPS):
        double = a + 2 * m
        for step in (m * (b - m) * x / ((double - 1.0) * double), -(a + m) * (a + b + m) * x / (double * (double + 1.0))):
            d = 1.0 + step * d
            c = 1.0 + step / c
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            change = d * c
            fraction *= change
        if abs(change - 1.0) < _EPSILON:
            break
    return fraction


@kernel(_TRIPLE(float64, float64, float64, float64))
def beta_i(a, b, x, y):
    """Regularised incomplete beta function I_x(a, b), its complement, and x^a y^b / B(a, b); give y = 1 - x too.

    About sqrt(max(a, b)) terms are needed near the mean; tested for a and b in [0.01, 1e5].
    """
    if math.isnan(a + b + x + y) or a <= 0.0 or b <= 0.0:
        return math.nan, math.nan, math.nan
    if x <= 0.0:
        return 0.0, 1.0, 0.0
    if y <= 0.0:
        return 1.0, 0.0, 0.0
    front = _front(a, b, x, y)
    if x <= (a + 1.0) / (a + b + 2.0):
        below = min(front * _fraction(a, b, x) / a, 1.0)
        return below, 1.0 - below, front
    above = min(front * _fraction(b, a, y) / b, 1.0)
    return 1.0 - above, above, front


@kernel(float64(float64, float64, float64, float64))
def _start(a, b, p, q):
    """A first guess at the quantile's log-odds: Abramowitz and Stegun 26.5.22 where both are >= 1, else the leading powers."""
    if a >= 1.0 and b >= 1.0:
        z = -normal_quantile(p) if p < q else normal_quantile(q)
        left, right = 1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0)
        h = 2.0 / (left + right)
        shift = (z * z - 3.0) / 6.0
        w = z * math.sqrt(max(h + shift, 0.0)) / h - (right - left) * (shift + 5.0 / 6.0 - 2.0 / (3.0 * h))
        return math.log(a / b) - 2.0 * w
    left, right = math.exp(a * math.log(a / (a + b))) / a, math.exp(b * math.log(b / (a + b))) / b
    if p * (left + right) < left:
        log_x = min(math.log(a * (left + right) * p) / a, -1e-6)
        return log_x - math.log(-math.expm1(log_x))
    log_y = min(math.log(b * (left + right) * q) / b, -1e-6)
    return math.log(-math.expm1(log_y)) - log_y


@kernel(float64(float64, float64, float64, float64))
def beta_quantile_log_odds(a, b, p, q):
    """ln(x / (1 - x)) of the x with I_x(a, b) = p, p + q = 1; give both, so that neither tail loses digits.

    Newton steps on ln I (where p <= q) or on ln(1 - I): both are concave in the log-odds, so the steps converge from anywhere. Where
    x or 1 - x is below exp(-40) the leading power is exact to rounding.
    """
    if not (0.0 <= p <= 1.0 and 0.0 <= q <= 1.0 and a > 0.0 and b > 0.0):
        return math.nan
    if p == 0.0:
        return -math.inf
    if q == 0.0:
        return math.inf
    log_b = log_beta(a, b)
    low = (math.log(p) + math.log(a) + log_b) / a
    high = (math.log(q) + math.log(b) + log_b) / b
    if low + math.log1p(b) < -40.0:
        return low
    if high + math.log1p(a) < -40.0:
        return -high
    t = _start(a, b, p, q)
    for _ in range(200):
        small = math.exp(-abs(t))
        x, y = 1.0 / (1.0 + small), small / (1.0 + small)
        if t < 0.0:
            x, y = y, x
        below, above, front = beta_i(a, b, x, y)
        if p <= q:
            step = -math.log(below / p) * below / front if below > 0.0 else 2.0
        else:
            step = math.log(above / q) * above / front if above > 0.0 else -2.0
        if math.isnan(step):
            step = -2.0 if (p <= q) == (below > p) else 2.0
        t += min(max(step, -20.0), 20.0)
        if abs(step) < 1e-9:
            break
    return t


@kernel(float64(float64, float64, float64, float64))
def beta_quantile(a, b, p, q):
    """X with I_x(a, b) = p, p + q = 1."""
    t = beta_quantile_log_odds(a, b, p, q)
    if t < 0.0:
        return math.exp(t) / (1.0 + math.exp(t))
    return 1.0 / (1.0 + math.exp(-t))


@kernel(float64(float64, float64))
def student_t_quantile(df, p):
    """Quantile of Student's t: df / (df + t^2) is beta(df/2, 1/2) distributed, taken from its odds so that no digit is lost at p = 1/2."""
    if not 0.0 <= p <= 1.0:
        return math.nan
    tail, centre = min(p, 1.0 - p), abs(p - 0.5)
    odds = math.exp(-beta_quantile_log_odds(0.5 * df, 0.5, 2.0 * tail, 2.0 * centre))
    return math.copysign(math.sqrt(df * odds), p - 0.5)
