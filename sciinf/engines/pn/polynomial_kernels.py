"""Compiled quadrature of exp(theta_1 x + ... + theta_p x^p) over a line, a half-line or an interval.

The stationary points and the inflections of the exponent, the real roots of its derivatives, cut the line into sections in which it is
monotone and bends one way; each is halved until Gauss-Legendre of two orders agrees. So the accuracy is held at every theta, where fixed
nodes would hold it in some box only.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64

from sciinf.numerics.jit import VECTOR, inline_kernel, kernel

__all__ = ["MOST_SECTIONS", "log_partition_polynomial", "polynomial_work"]

_DROP = 60.0  # below the largest exponent, where a density ends: what lies beyond is 1e-26 of it
_X10, _W10 = np.polynomial.legendre.leggauss(10)
_X20, _W20 = np.polynomial.legendre.leggauss(20)
_AGREE = 1e-9  # of ten nodes with twenty, whose own error is then about its square
_ROUNDING = 1e-14  # of the exponent's terms: nodes agree no better than these are known
_LARGE = 1e17  # exponent, beside whose rounding a width's logarithm is nothing
_BISECTIONS, _NEWTON, _DOUBLINGS = 60, 100, 4000
_PANELS = 4000
MOST_SECTIONS = 160
"""Panels that wait at a time: each halving adds one."""


def polynomial_work(p: int) -> int:
    """Length of the work array for p statistics."""
    return 5 * (2 * p + 2) + 2 * MOST_SECTIONS


@inline_kernel
def _horner(coefficients, n, x):
    """Polynomial of ``n`` coefficients, lowest first."""
    value = 0.0
    for i in range(n - 1, -1, -1):
        value = value * x + coefficients[i]
    return value


@inline_kernel
def _exponent(theta, q, x):
    """theta_1 x + ... + theta_q x^q."""
    return x * _horner(theta, q, x)


@kernel(float64(VECTOR, float64, float64, float64))
def _root(coefficients, low, high, at_low):
    """The root between two places of opposite sign; ``at_low`` is the value at the first. Newton's steps, kept inside by halving."""
    n = coefficients.size
    x = 0.5 * (low + high)
    for _ in range(_NEWTON):
        value, slope = 0.0, 0.0
        for i in range(n - 1, -1, -1):
            slope = slope * x + value
            value = value * x + coefficients[i]
        if value == 0.0:
            return x
        if (value > 0.0) == (at_low > 0.0):
            low = x
        else:
            high = x
        step = x - value / slope if slope != 0.0 else low
        middle = 0.5 * (low + high)
        new = step if low < step < high else middle
        if abs(new - x) <= 4e-16 * abs(new) or not low < middle < high:
            return new
        x = new
    return x


@inline_kernel
def _roots(derivative, low, high, known, n_known, found):
    """Real roots in (low, high) of a polynomial, from those of its derivative: at most one between two of them."""
    n, count = derivative.size, 0
    before = low
    at_before = _horner(derivative, n, before)
    for k in range(n_known + 1):
        place = known[k] if k < n_known else high
        value = _horner(derivative, n, place)
        if at_before != 0.0 and value != 0.0 and (at_before > 0.0) != (value > 0.0):
            found[count] = _root(derivative, before, place, at_before)
            count += 1
        elif value == 0.0 and k < n_known:
            found[count] = place
            count += 1
        before, at_before = place, value
    return count


@inline_kernel
def _bound(slope, n):
    """Fujiwara's bound of the roots of a polynomial of ``n`` coefficients."""
    largest = 0.0
    for i in range(n - 1):
        if slope[i] != 0.0:
            largest = max(largest, (abs(slope[i] / slope[n - 1])) ** (1.0 / (n - 1 - i)))
    return 2.001 * largest if largest > 0.0 else 1.0


@inline_kernel
def _terms(theta, q, low, high, found, count, top):
    """Sum of the absolute terms of the exponent where it is largest."""
    place = low if math.isfinite(low) and _exponent(theta, q, low) >= top else high
    for k in range(count):
        if _exponent(theta, q, found[k]) >= top:
            place = found[k]
    total, power = 0.0, 1.0
    for i in range(q):
        power *= abs(place)
        total += abs(theta[i]) * power
    return total


@inline_kernel
def _far(theta, q, start, sign, scale, floor):
    """From where, outwards, the exponent lies below a floor."""
    step, inner = 1e-3 * scale, start
    outer = start + sign * step
    for _ in range(_DOUBLINGS):
        if not _exponent(theta, q, outer) >= floor:
            break
        inner, step = outer, 2.0 * step
        outer = start + sign * step
    return _cut(theta, q, inner, outer, start, floor)


@inline_kernel
def _cut(theta, q, inner, outer, start, floor):
    """Between ``inner``, above a floor, and ``outer``, below: where it is crossed, to half of its distance from ``start``."""
    for _ in range(_BISECTIONS):
        if abs(outer - inner) <= 0.25 * abs(inner - start):
            break
        middle = 0.5 * (inner + outer)
        if _exponent(theta, q, middle) >= floor:
            inner = middle
        else:
            outer = middle
    return outer


@inline_kernel
def _panel(theta, q, low, high, top):
    """Integral of exp(exponent - top) by ten and by twenty nodes."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    coarse, fine = 0.0, 0.0
    for i in range(10):
        coarse += _W10[i] * math.exp(_exponent(theta, q, middle + half * _X10[i]) - top)
    for i in range(20):
        fine += _W20[i] * math.exp(_exponent(theta, q, middle + half * _X20[i]) - top)
    return half * coarse, half * fine


@inline_kernel
def _edges(theta, q, low, high, work):
    """Stationary points and inflections of the exponent inside (low, high), in order, into ``work``; their number, -1 for overflow."""
    size = 2 * theta.size + 2
    slope, lower, found = work[:size], work[size : 2 * size], work[2 * size : 3 * size]
    bends, n_bends = work[3 * size : 4 * size], 0
    for i in range(q):
        slope[i] = (i + 1) * theta[i]
    if q == 1:
        return 0
    reach = _bound(slope, q)
    if not math.isfinite(reach):
        return -1
    first, last = max(low, -reach), min(high, reach)
    if not first < last:
        return 0
    count = 0
    for m in range(q - 2, -1, -1):  # the m-th derivative of the slope, of degree q - 1 - m, from its linear one to itself
        n = q - m
        for i in range(n):
            factor = 1.0
            for k in range(m):
                factor *= i + m - k
            lower[i] = factor * slope[i + m]
        if m == 0:
            for k in range(count):
                bends[k] = found[k]
            n_bends = count
        spare = work[4 * size : 5 * size]
        new = _roots(lower[:n], first, last, found, count, spare)
        for k in range(new):
            found[k] = spare[k]
        count = new
    for k in range(n_bends):  # both lists are in order: insert
        place = count
        while place > 0 and found[place - 1] > bends[k]:
            found[place] = found[place - 1]
            place -= 1
        found[place] = bends[k]
        count += 1
    return count


@kernel(float64(VECTOR, float64, VECTOR, float64, float64, float64, float64))
def _integrated(theta, order, stack, n_sections, top, estimate, agree):
    """Logarithm of the integral over the sections of a stack."""
    q, n_open, done, panels = int(order), int(n_sections), 0.0, 0
    while n_open > 0:
        n_open -= 1
        panels += 1
        low, high = stack[2 * n_open], stack[2 * n_open + 1]
        coarse, fine = _panel(theta, q, low, high, top)
        if abs(fine - coarse) <= agree * max(estimate, done):
            done += fine
            continue
        middle = 0.5 * (low + high)
        if not low < middle < high:
            done += fine
            continue
        if panels > _PANELS or n_open + 2 > MOST_SECTIONS:
            return math.nan
        stack[2 * n_open], stack[2 * n_open + 1] = middle, high
        stack[2 * n_open + 2], stack[2 * n_open + 3] = low, middle
        n_open += 2
    return top + math.log(done)


@kernel(float64(VECTOR, float64, float64, VECTOR))
def log_partition_polynomial(theta, low, high, work):
    """Logarithm of the integral over (low, high), either end infinite; inf where it diverges, NaN where it is not resolved."""
    p = theta.size
    bounded = math.isfinite(low) and math.isfinite(high)
    if not bounded and not theta[p - 1] < 0.0:
        return math.inf
    q = p
    while q > 0 and theta[q - 1] == 0.0:
        q -= 1
    if q == 0:
        return math.log(high - low)
    size = 2 * p + 2
    count = _edges(theta, q, low, high, work)
    if count < 0:
        return math.nan
    found, stack = work[2 * size : 3 * size], work[5 * size : 5 * size + 2 * MOST_SECTIONS]
    top = -math.inf
    for k in range(count):
        top = max(top, _exponent(theta, q, found[k]))
    if math.isfinite(low):
        top = max(top, _exponent(theta, q, low))
    if math.isfinite(high):
        top = max(top, _exponent(theta, q, high))
    floor = top - _DROP
    terms = _terms(theta, q, low, high, found, count, top)
    if terms > _LARGE:
        return top
    agree = _AGREE + _ROUNDING * terms
    scale = abs(theta[q - 1]) ** (-1.0 / q)
    start = low if math.isfinite(low) else _far(theta, q, found[0], -1.0, scale, floor)
    end = high if math.isfinite(high) else _far(theta, q, found[count - 1] if count > 0 else low, 1.0, scale, floor)
    n_open, total = 0, 0.0
    before, at_before = start, _exponent(theta, q, start)
    for k in range(count + 1):
        place = found[k] if k < count else end
        value = _exponent(theta, q, place)
        if place > before and (at_before >= floor or value >= floor):
            first, last = before, place
            if at_before < floor:
                first = _cut(theta, q, place, before, place, floor)
            if value < floor:
                last = _cut(theta, q, before, place, before, floor)
            stack[2 * n_open], stack[2 * n_open + 1] = first, last
            n_open += 1
            total += _panel(theta, q, first, last, top)[1]
        before, at_before = place, value
    return _integrated(theta, q, stack, n_open, top, total, agree)
