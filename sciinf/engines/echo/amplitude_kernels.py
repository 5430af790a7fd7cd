"""The one-dimensional likelihood of the amplitude, ln L(A) = sum_i ln I0(A K_i) - A^2 E / 2: its maximum, and its integral over a prior.

L is an average over phases of Gaussians of width 1/sqrt(E), all of positive weight (I0(x) is the mean of exp(x cos phi)). So the
trapezoidal rule with step h errs by at most 2 exp(-2 pi^2 / (h^2 E)) of the integral, and L is even in A: a sum over multiples of h that
reaches down to 0 is half the integral over the whole line (derived here). With 1/A it holds where L has died away before 0.

Where an end b of the prior cuts L, one Gauss-Legendre rule on [-b, b] does: |I0(x + iy)| <= I0(x), and ln I0(c x) <= c^2 ln I0(x) for
c >= 1, keep |L| on Bernstein's ellipse of half-axes c b and sqrt(c^2 - 1) b below exp(c^2 ln L(b)) or exp((c^2 - 1) b^2 E / 2), and 96
nodes integrate it to 1e-11 while neither ln L(b) nor b^2 E / 2 is above 350 (derived here).

Where L falls from the prior's lower end a on, at the rate s = -d ln L / dA there, most of that would be taken off again: one rule on
[a, a + l] does. The derivative is concave in A and vanishes at 0, so ln L <= ln L(a) - s t + t^2 / 2 d^2 ln L / dA^2 at A = a + t, which
says where L has died away, and L(A) <= L(a) exp(-s t) on either side of a; with the bound off the axis as above, 48 nodes err by less than
1e-11 of the integral while l sqrt(E) <= 22 and s l <= 250, sixteen by less than 1e-10 while they are below 5 and 26 (derived here). What is
left goes to Gauss-Legendre panels. `condense` makes the many evaluations cheap.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64

from sciinf.engines.echo.condensed_kernels import (
    AT_MULTIPLES,
    AT_NODES,
    BEYOND,
    BEYOND_NODES,
    BEYOND_WEIGHTS,
    E_SUM,
    HIGHEST,
    LAST,
    LIMIT,
    MOST_IN_TABLE,
    MULTIPLES,
    N_MULTIPLES,
    NOWHERE,
    RULE_NODES,
    RULE_WEIGHTS,
    SQUARES,
    TOTAL,
    X_SUM,
    condense,
    measure,
    sum_log_i0,
    sum_ratios,
)
from sciinf.numerics.jit import VECTOR, inline_kernel, kernel

__all__ = ["log_marginal", "log_shape", "maximum", "quantile"]

_STEP = 0.9  # of 1/sqrt(E): 2 exp(-2 pi^2 / 0.81) = 5e-11
_DROP = 30.0  # what lies this far below the top in ln L is left out: 1e-13
_SMALL = 0.5  # a lower end of the prior within this times 1/sqrt(E) is taken off by five nodes, good to 1e-12
_PANEL = 5.0  # length in 1/sqrt(E) that sixteen Gauss-Legendre nodes integrate to 1e-12
_MOST_PANELS = 1000.0  # more are wanted only where the likelihood is a matter of float64's last bits
_FALL = 0.6  # of the slope of ln L: sixteen nodes integrate exp(-8 x) to 1e-12
_STEEPEST = 350.0  # ln L at the prior's upper end, and half its square times E, that one rule bears
_MOST_BELOW = 0.7  # of the integral up to the upper end of the prior, that may be taken off for its lower end
_WIDEST = 100.0  # an upper end of the prior, in units of its lower end, for which the latter is looked at
_GONE = 26.0  # what lies this far below L at the lower end is left out where L falls: 5e-12
_LONGEST, _DEEPEST = 22.0, 250.0  # length in 1/sqrt(E), and fall at the first rate, that 48 nodes bear where L falls
_SHORT = 5.0  # length in 1/sqrt(E) that sixteen nodes bear there, for a fall of `_GONE`
_AHEAD = 12.0  # steps beyond the peak for which the K_i are condensed at a time
_LEFT_OUT = 1e-12  # of the sum so far: where the trapezoidal rule ends
_FARTHEST = 1e9  # steps
_CELLS = 512

_NODES5, _WEIGHTS5 = np.polynomial.legendre.leggauss(5)
_NODES16, _WEIGHTS16 = np.polynomial.legendre.leggauss(16)


@kernel(float64(VECTOR, int64, int64, int64, float64))
def log_shape(work, start, count, gaussian, amplitude):
    """ln L at an amplitude: the K_i are work[start : start + count]; with ``gaussian`` A X - A^2 E / 2."""
    gain = amplitude * work[X_SUM] if gaussian == 1 else sum_log_i0(work, start, count, amplitude)
    return gain - 0.5 * amplitude * amplitude * work[E_SUM]


@inline_kernel
def _slope(work, start, count, gaussian, amplitude):
    """Derivative of ln L at an amplitude."""
    gain = work[X_SUM] if gaussian == 1 else sum_ratios(work, start, count, amplitude)[0]
    return gain - amplitude * work[E_SUM]


@inline_kernel
def _beyond(work, count):
    """An amplitude that is not below that of the largest ln L, 0 only where that is 0: see `maximum`."""
    e_sum, squares = work[E_SUM], work[SQUARES]
    if not squares > 2.0 * e_sum:
        return 0.0
    return min(work[TOTAL], math.sqrt(count * (squares - 2.0 * e_sum) * (1.0 + 2.0 * e_sum / squares))) / e_sum


@kernel(float64(VECTOR, int64, int64, int64, float64))
def _peak(work, start, count, gaussian, tolerance):
    """`maximum` of K_i that are measured, by their nodes where they are condensed."""
    e_sum = work[E_SUM]
    if gaussian == 1:
        return max(work[X_SUM] / e_sum, 0.0)
    amplitude, small = _beyond(work, count), tolerance / math.sqrt(e_sum)
    for _ in range(200 if amplitude > 0.0 else 0):
        slope, curvature = sum_ratios(work, start, count, amplitude)
        slope, curvature = slope - amplitude * e_sum, curvature - e_sum
        if curvature >= 0.0:
            break
        step = slope / curvature
        amplitude -= step
        if abs(step) <= small:
            break
    return max(amplitude, 0.0)


@kernel(float64(VECTOR, int64, int64, int64, float64))
def maximum(work, start, count, gaussian, tolerance):
    """Amplitude >= 0 of the largest ln L, to ``tolerance`` / sqrt(E).

    The derivative sum K I1/I0(A K) - A E is concave in A and vanishes at 0, so it has at most one other root, and has it where
    Q = sum K^2 > 2 E; Newton's steps from where it is negative come down to the root without passing it. It is so at sum K / E, and,
    I1/I0(x) being below x / sqrt(4 + x^2), at sqrt(n (Q - 4 E^2 / Q)) / E for n terms (derived here).
    """
    if work[E_SUM] <= 0.0:
        return 0.0
    measure(work, start, count)
    return _peak(work, start, count, gaussian, tolerance)


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, float64, float64, int64))
def _panels(work, start, count, gaussian, top, low, high, rate, weight):
    """Integral of exp(ln L - top) over [low, high] by Gauss-Legendre panels, ``rate`` being the inverse of the length on which it changes.

    With a ``weight`` of 1 the integrand is (exp(ln L) - 1) exp(-top) / A, with 2 it is exp(ln L - top) / A.
    """
    n = math.ceil(min(max((high - low) * rate / _PANEL, 2.0), _MOST_PANELS))
    half = 0.5 * (high - low) / n
    total, plateau = 0.0, math.exp(-top) if weight == 1 else 0.0
    for p in range(n):
        middle = low + (2 * p + 1) * half
        for q in range(16):
            a = middle + half * _NODES16[q]
            value = math.exp(log_shape(work, start, count, gaussian, a) - top) - plateau
            total += half * _WEIGHTS16[q] * (value if weight == 0 else value / a)
    return total


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, float64, float64))
def _far(work, start, count, gaussian, peak, top, step, end):
    """How far from the peak towards ``end`` ln L has fallen by `_DROP`, or ``end``."""
    a = peak
    while True:
        a += step
        if (step > 0.0 and a >= end) or (step < 0.0 and a <= end):
            return end
        if not log_shape(work, start, count, gaussian, a) >= top - _DROP:
            return a
        step *= 1.5


@inline_kernel
def _by_panels(work, start, count, gaussian, low, high, log_uniform):
    """ln of the integral over the prior where an end of it cuts the likelihood, or where it is uniform in ln A."""
    centre = min(max(_peak(work, start, count, gaussian, 1e-2), low), high)
    top = log_shape(work, start, count, gaussian, centre)
    # Where the peak is outside the prior, ln L falls from the prior's end on as fast as its slope there says.
    rate = max(math.sqrt(work[E_SUM]), _FALL * abs(_slope(work, start, count, gaussian, centre)))
    step = _STEP / rate
    left, right = _far(work, start, count, gaussian, centre, top, -step, low), _far(work, start, count, gaussian, centre, top, step, high)
    if gaussian == 0 and right > work[LIMIT]:
        condense(work, start, count, right, NOWHERE)
    # Uniform in ln A, the integral of 1/A is taken apart: what is left, (L - 1)/A, is smooth at 0; a top below 1 lies far from 0.
    weight = 0 if log_uniform == 0 else 1 if top > -1.0 else 2
    total = 0.0
    if centre > left:
        total += _panels(work, start, count, gaussian, top, left, centre, rate, weight)
    if right > centre:
        total += _panels(work, start, count, gaussian, top, centre, right, rate, weight)
    if weight == 1:
        total += math.exp(-top) * math.log(right / left)
    return top + math.log(total / (math.log(high / low) if log_uniform == 1 else high - low))


@inline_kernel
def _top_multiple(work, start, count, step):
    """The multiple of the step with the largest ln L, or one near it, the multiples about it being tabulated or the K_i condensed."""
    beyond, place, top = _beyond(work, count), 0.0, 0.0
    work[LAST] = -1.0
    if beyond < (N_MULTIPLES - _AHEAD) * step:
        condense(work, start, count, N_MULTIPLES * step, AT_MULTIPLES)
    if work[LAST] < 0.0:
        condense(work, start, count, beyond + _AHEAD * step, NOWHERE)
        place = math.floor(_peak(work, start, count, 0, _STEP) / step + 0.5)
    for k in range(int(work[LAST]) + 1):
        here = work[MULTIPLES + k] - 0.5 * (k * step) ** 2 * work[E_SUM]
        if here > top:
            place, top = float(k), here
    return place


@inline_kernel
def _below(work, start, count, low, top):
    """Integral of exp(ln L - top) from 0 to a ``low`` end of the prior that is within `_SMALL` of 0 and far below where L is large."""
    total = 0.0
    for q in range(5 if low > 0.0 else 0):
        total += 0.5 * low * _WEIGHTS5[q] * math.exp(log_shape(work, start, count, 0, 0.5 * low * (1.0 + _NODES5[q])) - top)
    return total


@inline_kernel
def _less(value, share):
    """ln of an integral less a share of it; NaN where the difference would have lost its digits."""
    return value + math.log1p(-share) if share <= _MOST_BELOW else math.nan


@kernel(float64(VECTOR, int64, int64, float64))
def _up_to(work, start, count, end):
    """ln of the integral of L from 0 to ``end`` by one Gauss-Legendre rule; NaN where that would not do."""
    steep = 0.5 * (end * math.sqrt(work[E_SUM])) ** 2
    if not (steep <= _STEEPEST and end * work[HIGHEST] <= MOST_IN_TABLE):
        return math.nan
    condense(work, start, count, end, AT_NODES)
    values = work[MULTIPLES : MULTIPLES + N_MULTIPLES + 1]
    if work[LAST] < 0.0:
        return math.nan
    top, total = 0.0, 0.0
    for k in range(N_MULTIPLES + 1):
        values[k] -= RULE_NODES[k] * RULE_NODES[k] * steep
        top = values[k] if values[k] > top else top
    for k in range(N_MULTIPLES):
        if values[k] > top - _DROP:
            total += RULE_WEIGHTS[k] * math.exp(values[k] - top)
    return top + math.log(total * end) if values[N_MULTIPLES] <= _STEEPEST else math.nan


@inline_kernel
def _by_multiples(work, start, count, low, high, log_uniform):
    """ln of the integral over the prior by the trapezoidal rule, from the top up, then down; NaN where its ends, or 1/A, cut L."""
    step = _STEP / math.sqrt(work[E_SUM])
    far = low * math.sqrt(work[E_SUM]) > _SMALL
    first = low if log_uniform == 1 or (far and high > _WIDEST * low) else 0.0
    middle = _top_multiple(work, start, count, step)
    if middle > _FARTHEST:
        return math.nan
    k, way, total, top = middle, 1.0, 0.0, -math.inf
    while True:
        a = k * step
        if a > high or a < first or (log_uniform == 1 and k == 0.0):
            return math.nan
        if k <= work[LAST]:
            here = work[MULTIPLES + int(k)]
        else:
            if a > work[LIMIT]:
                condense(work, start, count, a + _AHEAD * step, NOWHERE)
            here = sum_log_i0(work, start, count, a)
        here -= 0.5 * a * a * work[E_SUM]
        if here > top:
            total, top = total * math.exp(top - here), here
        value = math.exp(here - top) / (k if log_uniform == 1 else 1.0)
        total += 0.5 * value if k == 0.0 else value
        if value > _LEFT_OUT * total:
            k += way
        elif way > 0.0:
            k, way = middle - 1.0, -1.0
        else:
            break
        if k < 0.0:
            break
    if log_uniform == 1:
        return top + math.log(total / math.log(high / low))
    total *= step
    if far:
        value = top + math.log(total)
        share = math.exp(_up_to(work, start, count, low) - value) if k * step < low else 0.0
        return _less(value, share) - math.log(high - low)
    if k < 0.0:
        total -= _below(work, start, count, low, top)
    return top + math.log(total / (high - low))


@inline_kernel
def _by_rule(work, start, count, low, high):
    """ln of the integral over a uniform prior an end of which cuts L, by one rule for each end; NaN where that would not do."""
    root = math.sqrt(work[E_SUM])
    if low * root <= _SMALL and high >= _beyond(work, count) + _AHEAD * _STEP / root:
        return math.nan
    value = _up_to(work, start, count, high)
    if low > 0.0 and not math.isnan(value):
        near = low * root <= _SMALL and 8.0 * low <= high
        share = _below(work, start, count, low, value) if near else math.exp(_up_to(work, start, count, low) - value)
        value = _less(value, share)
    return value - math.log(high - low)


@inline_kernel
def _beyond_low(work, start, count, low, reach, fall):
    """ln of the integral of L from ``low`` on, it being gone ``reach`` further on, by the table's rules; NaN where none of them does."""
    root, row = math.sqrt(work[E_SUM]), 0
    while row < len(BEYOND) and low * BEYOND[row] < reach:
        row += 1
    if row == len(BEYOND):
        return math.nan
    length = low * BEYOND[row]
    if length * root > _LONGEST or length * fall > _DEEPEST or (low + length) * work[HIGHEST] > MOST_IN_TABLE:
        return math.nan
    condense(work, start, count, low + length, AT_NODES + 1 + row)
    if work[LAST] < 0.0:
        return math.nan
    values = work[MULTIPLES : MULTIPLES + N_MULTIPLES + 1]
    steep, total = 0.5 * ((low + length) * root) ** 2, 0.0
    top = values[N_MULTIPLES] - BEYOND_NODES[row, N_MULTIPLES] ** 2 * steep
    for k in range(N_MULTIPLES):
        value = values[k] - BEYOND_NODES[row, k] * BEYOND_NODES[row, k] * steep - top
        if value < -_DROP:
            break
        total += BEYOND_WEIGHTS[k] * math.exp(value)
    return top + math.log(length * total)


@kernel(float64(VECTOR, int64, int64, float64, float64))
def _by_fall(work, start, count, low, high):
    """ln of the integral over a uniform prior from whose lower end on L falls; NaN where it does not, or too slowly."""
    slope, curvature = sum_ratios(work, start, count, low)
    fall, bend = low * work[E_SUM] - slope, work[E_SUM] - curvature
    if not (fall > 0.0 and bend > 0.0):
        return math.nan
    reach, value = 2.0 * _GONE / (fall + math.sqrt(fall * fall + 2.0 * _GONE * bend)), math.nan
    if low + reach <= high:
        value = _beyond_low(work, start, count, low, reach, fall)
    length = min(reach, high - low)
    if math.isnan(value) and length * math.sqrt(work[E_SUM]) <= _SHORT:
        condense(work, start, count, low + length, NOWHERE)
        top, total = log_shape(work, start, count, 0, low), 0.0
        for q in range(16):
            total += _WEIGHTS16[q] * math.exp(log_shape(work, start, count, 0, low + 0.5 * length * (1.0 + _NODES16[q])) - top)
        value = top + math.log(0.5 * length * total)
    return value - math.log(high - low)


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, int64))
def log_marginal(work, start, count, gaussian, low, high, log_uniform):
    """ln of the integral of L over a normalised prior: uniform on [low, high], or uniform in ln A."""
    if work[E_SUM] <= 0.0:
        return 0.0
    value = math.nan
    if gaussian == 0:
        measure(work, start, count)
        if log_uniform == 0 and high <= _WIDEST * low and low * math.sqrt(work[E_SUM]) > _SMALL:
            value = _by_fall(work, start, count, low, high)
        if log_uniform == 0 and math.isnan(value):
            value = _by_rule(work, start, count, low, high)
        if math.isnan(value):
            value = _by_multiples(work, start, count, low, high, log_uniform)
    return _by_panels(work, start, count, gaussian, low, high, log_uniform) if math.isnan(value) else value


@inline_kernel
def quantile(work, start, count, gaussian, low, high, log_uniform, share):
    """Amplitude below which ``share`` of its posterior lies: cumulative Simpson sums over 512 cells, linear in the density within one."""
    if work[E_SUM] <= 0.0:
        return low * (high / low) ** share if log_uniform == 1 else low + share * (high - low)
    if gaussian == 0:
        measure(work, start, count)
    centre = min(max(_peak(work, start, count, gaussian, 1e-2), low), high)
    step = _STEP / max(math.sqrt(work[E_SUM]), _FALL * abs(_slope(work, start, count, gaussian, centre)))
    top = log_shape(work, start, count, gaussian, centre)
    left, right = _far(work, start, count, gaussian, centre, top, -step, low), _far(work, start, count, gaussian, centre, top, step, high)
    if gaussian == 0:
        condense(work, start, count, right, NOWHERE)
    # In ln A the prior is flat, and its plateau may reach far below what the likelihood can tell apart from nothing.
    if log_uniform == 1:
        left, right = math.log(low if top < _DROP else left), math.log(right)
    width = (right - left) / _CELLS
    ends, total = np.empty(_CELLS + 1), np.empty(_CELLS + 1)
    total[0] = 0.0
    for i in range(_CELLS + 1):
        x = left + width * i
        ends[i] = math.exp(log_shape(work, start, count, gaussian, math.exp(x) if log_uniform == 1 else x) - top)
        if i > 0:
            x -= 0.5 * width
            middle = math.exp(log_shape(work, start, count, gaussian, math.exp(x) if log_uniform == 1 else x) - top)
            total[i] = total[i - 1] + (ends[i - 1] + 4.0 * middle + ends[i]) / 6.0
    wanted = share * total[_CELLS]
    i = 0
    while i < _CELLS - 1 and total[i + 1] < wanted:
        i += 1
    # The density is a + (b - a) t within the cell, scaled to the cell's mass.
    a, b, part = ends[i], ends[i + 1], (wanted - total[i]) / max(total[i + 1] - total[i], 1e-300)
    root = math.sqrt(max(a * a + part * (b * b - a * a), 0.0))
    t = part * (a + b) / (a + root) if a + root > 0.0 else part
    x = left + width * (i + min(max(t, 0.0), 1.0))
    return math.exp(x) if log_uniform == 1 else x
