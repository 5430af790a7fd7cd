"""The one-dimensional likelihood of the amplitude, ln L(A) = sum_i ln I0(A K_i) - A^2 E / 2: its maximum, and its integral over a prior.

L is an average over phases of Gaussians of width 1/sqrt(E), all of positive weight (I0(x) is the mean of exp(x cos phi)). So the
trapezoidal rule with step h errs by at most 2 exp(-2 pi^2 / (h^2 E)) of the integral, and L is even in A: a sum over multiples of h that
reaches down to 0 is half the integral over the whole line. Where the K_i are many they are condensed once, for all amplitudes up to a
limit: those with limit K_i below 2 into fifteen power sums, those of [2, 8] and of [8, 32] into 22 weighted nodes each, the Chebyshev
interpolation of ln I0 in K read the other way round (derived here).

``work`` holds E, X and two counts, then what this module keeps (sums, weights, and how far they reach), then the caller's own, then the
K_i.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numba import float64, int64

from sciinf.numerics.bessel import bessel_ratio, log_i0
from sciinf.numerics.jit import VECTOR, kernel

__all__ = ["BINS", "E_SUM", "LIMIT", "N_KEPT", "TEETH", "X_SUM", "log_marginal", "log_shape", "maximum", "quantile"]

E_SUM, X_SUM, TEETH, BINS, LARGE, LIMIT, MOMENTS = range(7)
N_MOMENTS = 15
N_NODES, N_PIECES = 22, 2
WEIGHTS = MOMENTS + N_MOMENTS
PIECES = WEIGHTS + N_PIECES * N_NODES
SUMS = PIECES + N_PIECES
N_KEPT = SUMS + N_NODES
"""Length of the part of ``work`` before the caller's own."""

_STEP = 0.9  # of 1/sqrt(E): 2 exp(-2 pi^2 / 0.81) = 5e-11
_DROP = 30.0  # what lies this far below the top in ln L is left out: 1e-13
_SMALL = 0.5  # a lower end of the prior within this times 1/sqrt(E) is taken off by five nodes, good to 1e-12
_PANEL = 5.0  # length in 1/sqrt(E) that sixteen Gauss-Legendre nodes integrate to 1e-12
_FALL = 0.6  # of the slope of ln L: sixteen nodes integrate exp(-8 x) to 1e-12
_SERIES_END = 2.0
_ENDS = (2.0, 8.0, 32.0)  # of the pieces that are condensed: 22 nodes err by less than 1e-11 a term, whatever the amplitude
_AHEAD = 14.0  # steps beyond the peak for which the K_i are condensed at a time
_FEW = 32  # terms of a piece that are left as they are
_CELLS = 512

# ln I0(x)/x^2 in powers of x^2 up to x = 2: interpolation at 15 Chebyshev nodes with 40 digits (mpmath); largest error of ln I0 4e-15.
_SERIES = np.array([
    0.2499999999999985, -0.015624999999830401, 0.0017361111079225728, -0.00022379554911661803, 3.092438552079813e-05,
    -4.454966019913409e-06, 6.59939564674497e-07, -9.951712579195756e-08, 1.505265371147734e-08, -2.2143931319810276e-09,
    2.9948613044352343e-10, -3.430846976725901e-11, 2.99453422114539e-12, -1.713624295691001e-13, 4.719060852027336e-15,
])  # fmt: skip

_ANGLES = np.pi * (np.arange(N_NODES) + 0.5) / N_NODES
_CHEBYSHEV = 2.0 / N_NODES * np.cos(np.outer(_ANGLES, np.arange(N_NODES)))
_CHEBYSHEV[:, 0] *= 0.5
_PLACES = np.array([0.5 * (high + low) + 0.5 * (high - low) * np.cos(_ANGLES) for low, high in itertools.pairwise(_ENDS)])

_NODES5, _WEIGHTS5 = np.polynomial.legendre.leggauss(5)
_NODES16, _WEIGHTS16 = np.polynomial.legendre.leggauss(16)


@kernel(float64(VECTOR, int64, int64, int64, float64))
def log_shape(work, start, count, gaussian, amplitude):
    """ln L at an amplitude: the K_i are work[start : start + count]; with ``gaussian`` A X - A^2 E / 2."""
    if gaussian == 1:
        return amplitude * (work[X_SUM] - 0.5 * amplitude * work[E_SUM])
    end, total = start + count, 0.0
    if amplitude <= work[LIMIT]:
        end = start + int(work[LARGE])
        t = (amplitude / work[LIMIT]) ** 2
        for p in range(MOMENTS + N_MOMENTS - 1, MOMENTS - 1, -1):
            total = total * t + work[p]
        total *= t
        scale = amplitude / work[LIMIT]
        for piece in range(N_PIECES):
            if work[PIECES + piece] == 1.0:
                for m in range(N_NODES):
                    total += work[WEIGHTS + piece * N_NODES + m] * log_i0(scale * _PLACES[piece, m])
    for i in range(start, end):
        total += log_i0(amplitude * work[i])
    return total - 0.5 * amplitude * amplitude * work[E_SUM]


@kernel(float64(VECTOR, int64, int64, float64))
def _gather_small(work, start, count, limit):
    """The K_i with K_i limit <= 2 go to the end and into the power sums, which then serve up to that amplitude; how many are left.

    The sums are of (K_i limit)^2: amplitudes of strain are of the order of 1e-23 s, and no power of their inverse must overflow.
    """
    last = start + count - 1
    at, bar = start, _SERIES_END / limit
    s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = s12 = s13 = s14 = s15 = 0.0
    while at <= last:
        k = work[at]
        if k > bar:
            at += 1
        else:
            work[at], work[last] = work[last], k
            last -= 1
            t = (k * limit) ** 2
            t2 = t * t
            t4, t8 = t2 * t2, (t2 * t2) * (t2 * t2)
            t3, t12 = t * t2, t4 * t8
            s1, s2, s3, s4, s5 = s1 + t, s2 + t2, s3 + t3, s4 + t4, s5 + t * t4
            s6, s7, s8, s9, s10 = s6 + t2 * t4, s7 + t3 * t4, s8 + t8, s9 + t * t8, s10 + t2 * t8
            s11, s12, s13, s14, s15 = s11 + t3 * t8, s12 + t12, s13 + t * t12, s14 + t2 * t12, s15 + t3 * t12
    sums = (s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)
    for p in range(N_MOMENTS):
        work[MOMENTS + p] = sums[p] * _SERIES[p]
    work[LIMIT], work[LARGE] = limit, float(at - start)
    return work[LARGE]


@kernel(float64(VECTOR, int64, int64, float64, int64))
def _gather_piece(work, start, count, limit, piece):
    """The K_i of one piece of [2, 32] / limit go to the end, and into the weights of its nodes, if they are many; how many are left."""
    low, high = _ENDS[piece] / limit, _ENDS[piece + 1] / limit
    n = 0
    for i in range(start, start + count):
        if low < work[i] <= high:
            n += 1
    work[PIECES + piece] = 0.0
    if n <= _FEW:
        return float(count)
    for p in range(N_NODES):
        work[SUMS + p] = 0.0
    last, at = start + count - 1, start
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    while at <= last:
        k = work[at]
        if not low < k <= high:
            at += 1
        else:
            work[at], work[last] = work[last], k
            last -= 1
            t = (k - middle) / half
            twice, before, here = 2.0 * t, 1.0, t
            work[SUMS] += 1.0
            for p in range(1, N_NODES):
                work[SUMS + p] += here
                before, here = here, twice * here - before
    for m in range(N_NODES):
        weight = 0.0
        for p in range(N_NODES):
            weight += _CHEBYSHEV[m, p] * work[SUMS + p]
        work[WEIGHTS + piece * N_NODES + m] = weight
    work[PIECES + piece] = 1.0
    return float(at - start)


@kernel(float64(VECTOR, int64, int64, float64))
def _gather(work, start, count, limit):
    """Condense the K_i for amplitudes up to ``limit``; how many are left as they are."""
    left = _gather_small(work, start, count, limit)
    for piece in range(N_PIECES):
        left = _gather_piece(work, start, int(left), limit, piece)
    work[LARGE] = left
    return left


@kernel(float64(VECTOR, int64, int64, int64, float64))
def maximum(work, start, count, gaussian, tolerance):
    """Amplitude >= 0 of the largest ln L, to ``tolerance`` / sqrt(E).

    The derivative sum K I1/I0(A K) - A E is concave in A and vanishes at 0, so it has at most one other root, and has it where
    sum K^2 > 2 E; Newton's steps from sum K / E, where it is negative, come down to the root without passing it (derived here).
    """
    e_sum = work[E_SUM]
    if e_sum <= 0.0:
        return 0.0
    if gaussian == 1:
        return max(work[X_SUM] / e_sum, 0.0)
    squares, total = 0.0, 0.0
    for i in range(start, start + count):
        squares += work[i] * work[i]
        total += work[i]
    if not squares > 2.0 * e_sum:
        return 0.0
    amplitude, small = total / e_sum, tolerance / math.sqrt(e_sum)
    for _ in range(200):
        slope, curvature = -amplitude * e_sum, -e_sum
        for i in range(start, start + count):
            k = work[i]
            ratio = bessel_ratio(amplitude * k)
            slope += k * ratio
            curvature += k * (k * (1.0 - ratio * ratio) - ratio / amplitude)
        if curvature >= 0.0:
            break
        step = slope / curvature
        amplitude -= step
        if abs(step) <= small:
            break
    return max(amplitude, 0.0)


@kernel(float64(VECTOR, int64, int64, int64, float64))
def _slope(work, start, count, gaussian, amplitude):
    """Derivative of ln L at an amplitude."""
    slope = (work[X_SUM] if gaussian == 1 else 0.0) - amplitude * work[E_SUM]
    if gaussian == 0:
        for i in range(start, start + count):
            slope += work[i] * bessel_ratio(amplitude * work[i])
    return slope


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, float64, float64, int64))
def _panels(work, start, count, gaussian, top, low, high, rate, weight):
    """Integral of exp(ln L - top) over [low, high] by Gauss-Legendre panels, ``rate`` being the inverse of the length on which it changes.

    With a ``weight`` of 1 the integrand is (exp(ln L) - 1) exp(-top) / A, with 2 it is exp(ln L - top) / A.
    """
    n = max(4, math.ceil((high - low) * rate / _PANEL))
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
        if log_shape(work, start, count, gaussian, a) < top - _DROP:
            return a
        step *= 1.5


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, int64))
def _by_panels(work, start, count, gaussian, low, high, log_uniform):
    """ln of the integral over the prior where an end of it cuts the likelihood, or where it is uniform in ln A."""
    centre = min(max(maximum(work, start, count, gaussian, 1e-2), low), high)
    top = log_shape(work, start, count, gaussian, centre)
    # Where the peak is outside the prior, ln L falls from the prior's end on as fast as its slope there says.
    rate = max(math.sqrt(work[E_SUM]), _FALL * abs(_slope(work, start, count, gaussian, centre)))
    step = _STEP / rate
    left, right = _far(work, start, count, gaussian, centre, top, -step, low), _far(work, start, count, gaussian, centre, top, step, high)
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


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, int64))
def log_marginal(work, start, count, gaussian, low, high, log_uniform):
    """ln of the integral of L over a normalised prior: uniform on [low, high], or uniform in ln A."""
    e_sum = work[E_SUM]
    if e_sum <= 0.0:
        return 0.0
    work[LIMIT] = -1.0
    if log_uniform == 1 or gaussian == 1:
        return _by_panels(work, start, count, gaussian, low, high, log_uniform)
    squares = 0.0
    for i in range(start, start + count):
        squares += work[i] * work[i]
    step = _STEP / math.sqrt(e_sum)
    # Where the top would be if all modes were alike: K^2 has the mean (A E/N)^2 + 2 E/N.
    guess = math.sqrt(max(count * (squares - 2.0 * e_sum), 0.0)) / e_sum
    _gather(work, start, count, guess + _AHEAD * step)
    if low * math.sqrt(e_sum) > _SMALL:
        return _by_panels(work, start, count, gaussian, low, high, log_uniform)
    middle = math.floor(min(guess, high) / step + 0.5)
    top = log_shape(work, start, count, gaussian, middle * step)
    total = 0.5 if middle == 0.0 else 1.0
    k, inside, value = middle, True, 1.0
    while inside and value > 1e-12 * total:
        k += 1.0
        inside = k * step <= high
        if k * step > work[LIMIT]:
            _gather(work, start, count, (k + _AHEAD) * step)
        here = log_shape(work, start, count, gaussian, k * step)
        if here > top:
            total, top = total * math.exp(top - here), here
        value = math.exp(here - top)
        total += value
    if not inside:
        return _by_panels(work, start, count, gaussian, low, high, log_uniform)
    k, value = middle, 1.0
    while k > 0.0 and (value > 1e-12 * total or k >= middle):
        k -= 1.0
        here = log_shape(work, start, count, gaussian, k * step)
        if here > top:
            total, top = total * math.exp(top - here), here
        value = math.exp(here - top)
        total += 0.5 * value if k == 0.0 else value
    total *= step
    if k == 0.0 and low > 0.0:
        for q in range(5):
            total -= 0.5 * low * _WEIGHTS5[q] * math.exp(log_shape(work, start, count, gaussian, 0.5 * low * (1.0 + _NODES5[q])) - top)
    return top + math.log(total / (high - low))


@kernel(float64(VECTOR, int64, int64, int64, float64, float64, int64, float64))
def quantile(work, start, count, gaussian, low, high, log_uniform, share):
    """Amplitude below which ``share`` of its posterior lies: cumulative Simpson sums over 512 cells, linear in the density within one."""
    if work[E_SUM] <= 0.0:
        return low * (high / low) ** share if log_uniform == 1 else low + share * (high - low)
    work[LIMIT] = -1.0
    centre = min(max(maximum(work, start, count, gaussian, 1e-2), low), high)
    step = _STEP / max(math.sqrt(work[E_SUM]), _FALL * abs(_slope(work, start, count, gaussian, centre)))
    top = log_shape(work, start, count, gaussian, centre)
    left, right = _far(work, start, count, gaussian, centre, top, -step, low), _far(work, start, count, gaussian, centre, top, step, high)
    if gaussian == 0:
        _gather(work, start, count, right)
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
    i = min(max(int(np.searchsorted(total, wanted)) - 1, 0), _CELLS - 1)
    # The density is a + (b - a) t within the cell, scaled to the cell's mass.
    a, b, part = ends[i], ends[i + 1], (wanted - total[i]) / max(total[i + 1] - total[i], 1e-300)
    root = math.sqrt(max(a * a + part * (b * b - a * a), 0.0))
    t = part * (a + b) / (a + root) if a + root > 0.0 else part
    x = left + width * (i + min(max(t, 0.0), 1.0))
    return math.exp(x) if log_uniform == 1 else x
