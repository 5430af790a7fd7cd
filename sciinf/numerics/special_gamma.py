"""The incomplete gamma functions and their inverse in compiled form."""

from __future__ import annotations

import math

from numba import float64, types

from sciinf.numerics.jit import kernel
from sciinf.numerics.special_log import log1p_minus_x, stirling_correction
from sciinf.numerics.special_normal import normal_quantile

__all__ = ["gamma_p", "gamma_pq", "gamma_q", "gamma_quantile"]

_TRIPLE = types.UniTuple(float64, 3)
_EPSILON = 2.0**-53
_TINY = 1e-300
_STEPS = 1_000_000


@kernel(float64(float64, float64))
def _power_over_gamma(a, x):
    """x^a exp(-x) / Gamma(a + 1), to full relative accuracy for large a too."""
    if a < 10.0:
        return math.exp(a * math.log(x) - x - math.lgamma(a + 1.0))
    distance = (x - a) / a
    exponent = log1p_minus_x(distance) if distance > -0.39 else math.log(x / a) - distance
    return math.exp(a * exponent - stirling_correction(a)) / math.sqrt(2.0 * math.pi * a)


@kernel(_TRIPLE(float64, float64))
def gamma_pq(a, x):
    """Regularised incomplete gamma functions P(a, x) and Q(a, x), and the density's x^a exp(-x) / Gamma(a).

    Power series below a + 1, continued fraction (modified Lentz) above: DLMF 8.11.4 and 8.9.2. Both need about 6 sqrt(a) terms near
    x = a; tested for a in [0.01, 1e5].
    """
    if math.isnan(a) or math.isnan(x) or a <= 0.0:
        return math.nan, math.nan, math.nan
    if x <= 0.0:
        return 0.0, 1.0, 0.0
    if x == math.inf:
        return 1.0, 0.0, 0.0
    front = _power_over_gamma(a, x)
    if x < a + 1.0:
        term, total = 1.0, 1.0
        for n in range(1, _STEPS):
            term *= x / (a + n)
            total += term
            if term < 0.1 * _EPSILON * total:
                break
        p = min(front * total, 1.0)
        return p, 1.0 - p, front * a
    b = x + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    fraction = d
    for n in range(1, _STEPS):
        step = -n * (n - a)
        b += 2.0
        d = step * d + b
        c = b + step / c
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        fraction *= d * c
        if abs(d * c - 1.0) < _EPSILON:
            break
    q = min(front * a * fraction, 1.0)
    return 1.0 - q, q, front * a


@kernel(float64(float64, float64))
def gamma_p(a, x):
    """Regularised lower incomplete gamma function."""
    return gamma_pq(a, x)[0]


@kernel(float64(float64, float64))
def gamma_q(a, x):
    """Regularised upper incomplete gamma function."""
    return gamma_pq(a, x)[1]


@kernel(float64(float64, float64, float64))
def _start(a, p, q):
    """A first guess at the quantile: Wilson and Hilferty's cube of a normal variable, or the leading power for small a or p."""
    log_small = (math.log(p) + math.lgamma(a + 1.0)) / a
    if log_small < -2.0 or a < 0.3:
        if q < 0.1:
            return max(-math.log(q * math.gamma(a)), 0.5)
        return math.exp(min(log_small, 1.0))
    z = normal_quantile(p) if p < q else -normal_quantile(q)
    root = 1.0 - 1.0 / (9.0 * a) + z / (3.0 * math.sqrt(a))
    return a * root * root * root if root > 0.05 else math.exp(log_small)


@kernel(float64(float64, float64, float64))
def gamma_quantile(a, p, q):
    """X with P(a, x) = p and Q(a, x) = q, p + q = 1; give both, so that neither tail loses digits.

    Newton steps for ln x on ln P (where p <= q) or ln Q: both are concave in ln x, so the steps converge from anywhere.
    """
    if not (0.0 <= p <= 1.0 and 0.0 <= q <= 1.0 and a > 0.0):
        return math.nan
    if p == 0.0:
        return 0.0
    if q == 0.0:
        return math.inf
    x = _start(a, p, q)
    for _ in range(200):
        if x == 0.0:
            return 0.0
        below, above, density = gamma_pq(a, x)
        if p <= q:
            step = -math.log(below / p) * below / density if below > 0.0 else 2.0
        else:
            step = math.log(above / q) * above / density if above > 0.0 else -2.0
        if math.isnan(step):
            step = -2.0 if (p <= q) == (below > p) else 2.0
        step = min(max(step, -5.0), 5.0) if a >= 0.3 else min(max(step, -5.0 / a), 5.0)
        x *= math.exp(step)
        if abs(step) < 1e-9:
            break
    return x
