"""The one-dimensional likelihood of the amplitude, ln L(A) = sum_i ln I0(A K_i) - A^2 E / 2: its maximum, and its integral over a prior.

L is an average over phases of Gaussians of width 1/sqrt(E), all of positive weight (I0(x) is the mean of exp(x cos phi)). So the
trapezoidal rule with step h errs by at most 2 exp(-2 pi^2 / (h^2 E)) of the integral, and L is even in A: a sum over multiples of h that
reaches down to 0 is half the integral over the whole line (derived here).
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64

from sciinf.numerics.bessel import bessel_ratio, log_i0
from sciinf.numerics.jit import VECTOR, kernel

__all__ = ["log_marginal", "log_shape", "maximum"]

_STEP = 0.9  # of 1/sqrt(E): 2 exp(-2 pi^2 / 0.81) = 5e-11
_DROP = 30.0  # what lies this far below the top in ln L is left out: 1e-13
_SMALL = 0.5  # a lower end of the prior within this times 1/sqrt(E) is taken off by five nodes, good to 1e-12
_PANEL = 5.0  # length in 1/sqrt(E) that sixteen Gauss-Legendre nodes integrate to 1e-12

_NODES5, _WEIGHTS5 = np.polynomial.legendre.leggauss(5)
_NODES16, _WEIGHTS16 = np.polynomial.legendre.leggauss(16)


@kernel(float64(VECTOR, int64, int64, float64, float64, int64, float64))
def log_shape(work, start, count, e_sum, x_sum, gaussian, amplitude):
    """ln L at an amplitude: the K_i are work[start : start + count]; with ``gaussian`` A X - A^2 E / 2."""
    if gaussian == 1:
        return amplitude * (x_sum - 0.5 * amplitude * e_sum)
    total = 0.0
    for i in range(start, start + count):
        total += log_i0(amplitude * work[i])
    return total - 0.5 * amplitude * amplitude * e_sum


@kernel(float64(VECTOR, int64, int64, float64, float64, int64, float64))
def maximum(work, start, count, e_sum, x_sum, gaussian, tolerance):
    """Amplitude >= 0 of the largest ln L, to ``tolerance`` / sqrt(E).

    The derivative sum K I1/I0(A K) - A E is concave in A and vanishes at 0, so it has at most one other root, and has it where
    sum K^2 > 2 E; Newton's steps from sum K / E, where it is negative, come down to the root without passing it (derived here).
    """
    if e_sum <= 0.0:
        return 0.0
    if gaussian == 1:
        return max(x_sum / e_sum, 0.0)
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


@kernel(float64(VECTOR, int64, int64, float64, float64, int64, float64, float64, float64, float64, int64))
def _panels(work, start, count, e_sum, x_sum, gaussian, top, low, high, root_e, over_a):
    """Integral of exp(ln L - top) over [low, high] by Gauss-Legendre panels; with ``over_a`` of (exp(ln L) - 1) exp(-top) / A."""
    n = max(4, int(math.ceil((high - low) * root_e / _PANEL)))
    half = 0.5 * (high - low) / n
    total = 0.0
    for p in range(n):
        middle = low + (2 * p + 1) * half
        for q in range(16):
            a = middle + half * _NODES16[q]
            value = math.exp(log_shape(work, start, count, e_sum, x_sum, gaussian, a) - top)
            total += half * _WEIGHTS16[q] * ((value - math.exp(-top)) / a if over_a == 1 else value)
    return total


@kernel(float64(VECTOR, int64, int64, float64, float64, int64, float64, float64, float64, float64))
def _far(work, start, count, e_sum, x_sum, gaussian, peak, top, step, end):
    """How far from the peak towards ``end`` ln L has fallen by `_DROP`, or ``end``."""
    a = peak
    while True:
        a += step
        if (step > 0.0 and a >= end) or (step < 0.0 and a <= end):
            return end
        if log_shape(work, start, count, e_sum, x_sum, gaussian, a) < top - _DROP:
            return a
        step *= 1.5


@kernel(float64(VECTOR, int64, int64, float64, float64, int64, float64, float64, int64))
def log_marginal(work, start, count, e_sum, x_sum, gaussian, low, high, log_uniform):
    """ln of the integral of L over a normalised prior: uniform on [low, high], or uniform in ln A."""
    if e_sum <= 0.0:
        return 0.0
    root_e = math.sqrt(e_sum)
    peak = maximum(work, start, count, e_sum, x_sum, gaussian, 1e-2)
    step = _STEP / root_e
    if log_uniform == 0 and gaussian == 0 and low * root_e <= _SMALL and peak <= high:
        # Outwards from the multiple of the step next to the peak, down to 0 if it lies within.
        middle = math.floor(peak / step + 0.5)
        top = log_shape(work, start, count, e_sum, x_sum, gaussian, middle * step)
        total, k, right = (0.5 if middle == 0.0 else 1.0), middle, False
        while True:
            k += 1.0
            if k * step > high:
                break
            value = math.exp(log_shape(work, start, count, e_sum, x_sum, gaussian, k * step) - top)
            total += value
            if value < 1e-13:
                right = True
                break
        if right:
            k = middle
            while k > 0.0:
                k -= 1.0
                value = math.exp(log_shape(work, start, count, e_sum, x_sum, gaussian, k * step) - top)
                total += 0.5 * value if k == 0.0 else value
                if value < 1e-13:
                    break
            total *= step
            if k == 0.0 and low > 0.0:
                cut = 0.0
                for q in range(5):
                    a = 0.5 * low * (1.0 + _NODES5[q])
                    cut += 0.5 * low * _WEIGHTS5[q] * math.exp(log_shape(work, start, count, e_sum, x_sum, gaussian, a) - top)
                total -= cut
            return top + math.log(total / (high - low))
    centre = min(max(peak, low), high)
    top = log_shape(work, start, count, e_sum, x_sum, gaussian, centre)
    left = _far(work, start, count, e_sum, x_sum, gaussian, centre, top, -step, low)
    right_end = _far(work, start, count, e_sum, x_sum, gaussian, centre, top, step, high)
    total = 0.0
    if centre > left:
        total += _panels(work, start, count, e_sum, x_sum, gaussian, top, left, centre, root_e, log_uniform)
    if right_end > centre:
        total += _panels(work, start, count, e_sum, x_sum, gaussian, top, centre, right_end, root_e, log_uniform)
    if log_uniform == 1:
        # The integral of 1/A is taken apart: what is left, (L - 1)/A, is smooth at 0.
        return top + math.log((total + math.exp(-top) * math.log(right_end / left)) / math.log(high / low))
    return top + math.log(total / (high - low))
