"""Sums of ln I0(A K_i) at many amplitudes A: the K_i are condensed once into a few nodes with weights.

ln I0(x) has its singularities at x = +-i z, z >= 2.405 the zeros of J0. With c = 2.405^2, a limit of A, and x = limit K, the map
s = sqrt(x^2 + c), t = (s - g) / (s + g) takes the plane of K, cut there, onto the unit disc and the K_i onto [-r, r], with g the geometric
mean of the ends in s. Interpolation at n Chebyshev nodes of that interval errs by about 2.2 x rho^-n a term, rho = (q + 1) / (q - 1) with
q^4 the ratio of the ends, and by less at any smaller amplitude. Read the other way round it gives the nodes' weights (derived here).

``work`` holds E, X and two counts, then what this module keeps (nodes, weights, and how far they reach), then the caller's own, then the
K_i, and `PADDING` places that may hold anything.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, types, void

from sciinf.numerics.bessel import bessel_ratio, log_i0, log_i0_many
from sciinf.numerics.jit import VECTOR, inline_kernel, kernel

__all__ = [
    "AT_MULTIPLES", "AT_NODES", "BEYOND", "BEYOND_NODES", "BEYOND_WEIGHTS", "BINS", "E_SUM", "HIGHEST", "LAST", "LIMIT", "MOST_IN_TABLE",
    "MULTIPLES", "NOWHERE", "N_KEPT", "N_MULTIPLES", "PADDING", "RULE_NODES", "RULE_WEIGHTS", "SQUARES", "TEETH", "TOTAL", "X_SUM",
    "condense", "measure", "sum_log_i0", "sum_ratios",
]  # fmt: skip

E_SUM, X_SUM, TEETH, BINS, TOTAL, SQUARES, LOWEST, HIGHEST, LIMIT, N_HELD, LAST = range(11)
N_MULTIPLES = 48
_MOST_NODES, _MOST_PIECES = 40, 4
_LANES = 16
_UNROLLED = 4
MULTIPLES = LAST + 1
NODES = MULTIPLES + N_MULTIPLES + 1
WEIGHTS = NODES + _MOST_NODES * _MOST_PIECES
_TURNS = WEIGHTS + _MOST_NODES * _MOST_PIECES
_SUMS = _TURNS + 3 * _LANES
N_KEPT = _SUMS + _MOST_NODES * _LANES
"""Length of the part of ``work`` before the caller's own."""

PADDING = _LANES
"""Places behind the K_i that are read, and not used."""

NOWHERE, AT_MULTIPLES, AT_NODES = range(3)
"""Where `condense` leaves the sums: nowhere, at multiples of limit / `N_MULTIPLES`, at `RULE_NODES` of the limit; from 3 on, at row k of
`BEYOND_NODES` of the limit for 3 + k."""

_nodes, _weights = np.polynomial.legendre.leggauss(2 * N_MULTIPLES)
RULE_NODES, RULE_WEIGHTS = np.append(_nodes[N_MULTIPLES:], 1.0), np.append(_weights[N_MULTIPLES:], 0.0)
"""Positive nodes of the Gauss-Legendre rule on [-1, 1], then its end, and their weights: the integral of an even function over [0, 1]."""

BEYOND = np.array([0.125, 0.5, 1.25, 2.5])
"""How far beyond its lower end, in units of that, a row of `BEYOND_NODES` reaches."""
_nodes, BEYOND_WEIGHTS = np.polynomial.legendre.leggauss(N_MULTIPLES)
_nodes = np.append(0.5 * (1.0 + _nodes), 0.0)
BEYOND_NODES, BEYOND_WEIGHTS = (1.0 + np.outer(BEYOND, _nodes)) / (1.0 + BEYOND[:, None]), 0.5 * BEYOND_WEIGHTS
"""Nodes of Gauss-Legendre rules whose upper end is 1, then their lower end; and the weights for an interval of length 1."""

_CUT = 5.783185962946784  # square of the first zero of J0
_LOG_ERROR = 24.0  # ln of 2.2 over the error of the whole sum: 1e-10
_NARROWEST = 1.001
_LARGEST = 1e7

# Cosines of the nodes, by their number over `_UNROLLED`.
_COSINES = np.zeros((_MOST_NODES // _UNROLLED + 1, _MOST_NODES))
for _n in range(_UNROLLED, _MOST_NODES + 1, _UNROLLED):
    _COSINES[_n // _UNROLLED, :_n] = np.cos(np.pi * (np.arange(_n) + 0.5) / _n)

# Intervals [0, x] of limit K_i, with as many nodes as keep the sum of 2,000 terms within 1e-10, and ln I0 of each node times each fraction.
_CLASSES = np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
_ROWS = np.array([3, 4, 5, 6, 8, 10])
_N_CLASSES, _MOST_TERMS = len(_CLASSES), 2000
_FIRSTS = _UNROLLED * np.concatenate([[0], np.cumsum(_ROWS)[:-1]])
_Q = (1.0 + _CLASSES**2 / _CUT) ** 0.125
MOST_IN_TABLE = float(_CLASSES[-1])
"""The largest limit K_i that a table holds."""
_FRACTIONS = np.stack([np.arange(N_MULTIPLES + 1) / N_MULTIPLES, RULE_NODES, *BEYOND_NODES])
_TABLE = np.empty((len(_FRACTIONS), _UNROLLED * int(_ROWS.sum()), N_MULTIPLES + 1))
for _row, _first, _q in zip(_ROWS, _FIRSTS, _Q, strict=True):
    _t = (_q**2 - 1.0) / (_q**2 + 1.0) * _COSINES[_row, : _UNROLLED * _row]
    _x = np.sqrt(np.maximum(_CUT * (_q**2 * (1.0 + _t) / (1.0 - _t)) ** 2 - _CUT, 0.0))
    _TABLE[:, _first : _first + len(_x)] = [log_i0_many(np.outer(_x, _f)) for _f in _FRACTIONS]


@kernel(void(VECTOR, int64, int64))
def measure(work, start, count):
    """Sums of the K_i and of their squares, the least and the largest of them; nothing is condensed yet."""
    total, squares, lowest, highest = 0.0, 0.0, math.inf, 0.0
    for i in range(start, start + count):
        k = work[i]
        total += k
        squares += k * k
        lowest = k if k < lowest else lowest
        highest = k if k > highest else highest
    work[TOTAL], work[SQUARES], work[LOWEST], work[HIGHEST], work[LIMIT] = total, squares, lowest, highest, -1.0


@kernel(float64(VECTOR, int64, int64, float64))
def sum_log_i0(work, start, count, amplitude):
    """Sum of ln I0(A K_i), the K_i being work[start : start + count]; by their nodes up to work[LIMIT]."""
    total = 0.0
    if amplitude <= work[LIMIT]:
        for m in range(int(work[N_HELD])):
            total += work[WEIGHTS + m] * log_i0(amplitude * work[NODES + m])
    else:
        for i in range(start, start + count):
            total += log_i0(amplitude * work[i])
    return total


@kernel(types.UniTuple(float64, 2)(VECTOR, int64, int64, float64))
def sum_ratios(work, start, count, amplitude):
    """First and second derivative by A > 0 of `sum_log_i0`."""
    slope, curvature = 0.0, 0.0
    if amplitude <= work[LIMIT]:
        for m in range(int(work[N_HELD])):
            k, weight = work[NODES + m], work[WEIGHTS + m]
            ratio = bessel_ratio(amplitude * k)
            slope += weight * k * ratio
            curvature += weight * k * (k * (1.0 - ratio * ratio) - ratio / amplitude)
    else:
        for i in range(start, start + count):
            k = work[i]
            ratio = bessel_ratio(amplitude * k)
            slope += k * ratio
            curvature += k * (k * (1.0 - ratio * ratio) - ratio / amplitude)
    return slope, curvature


@inline_kernel
def _sum_polynomials(work, start, count, limit, low, high, g, r, n):
    """Sums of T_p(t / r), p < n, over the terms with low < s <= high: work[_SUMS + p], the terms side by side in lanes."""
    lanes, sums = work[_TURNS : _TURNS + 3 * _LANES], work[_SUMS : _SUMS + _MOST_NODES * _LANES]
    for p in range(n * _LANES):
        sums[p] = 0.0
    for block in range(0, count, _LANES):
        terms = work[start + block : start + block + _LANES]
        for lane in range(_LANES):
            x = limit * terms[lane] if block + lane < count else 0.0
            s = math.sqrt(x * x + _CUT)
            t = (s - g) / ((s + g) * r)
            inside = 1.0 if (block + lane < count) & (s > low) & (s <= high) else 0.0
            lanes[lane], lanes[_LANES + lane], lanes[2 * _LANES + lane] = 2.0 * t, inside, inside * t
        for p in range(0, n, _UNROLLED):
            four = sums[p * _LANES : (p + _UNROLLED) * _LANES]
            for lane in range(_LANES):
                twice, t0, t1 = lanes[lane], lanes[_LANES + lane], lanes[2 * _LANES + lane]
                t2 = twice * t1 - t0
                t3 = twice * t2 - t1
                four[lane] += t0
                four[_LANES + lane] += t1
                four[2 * _LANES + lane] += t2
                four[3 * _LANES + lane] += t3
                t4 = twice * t3 - t2
                lanes[_LANES + lane], lanes[2 * _LANES + lane] = t4, twice * t4 - t3
    for p in range(n):
        each = sums[p * _LANES : (p + 1) * _LANES]
        total = 0.0
        for lane in range(0, _LANES, 4):
            total += (each[lane] + each[lane + 1]) + (each[lane + 2] + each[lane + 3])
        sums[p] = total


@inline_kernel
def _weigh(work, limit, g, r, n, held):
    """Nodes and weights, after those ``held``, from `_sum_polynomials`."""
    nodes, weights = work[NODES + held : NODES + held + n], work[WEIGHTS + held : WEIGHTS + held + n]
    before, cosines = work[_TURNS : _TURNS + n], _COSINES[n // _UNROLLED]
    for m in range(n):
        t = r * cosines[m]
        s = g * (1.0 + t) / (1.0 - t)
        nodes[m], weights[m], before[m] = math.sqrt(max(s * s - _CUT, 0.0)) / limit, 0.0, 0.0
    # Clenshaw's recurrence for all nodes side by side, two orders a turn: a node's weight is 2/n times half the sum of T_0, and T_p(node)
    # times the sum of T_p from p = 1 on.
    for p in range(n - 1, 1, -2):
        odd, even = work[_SUMS + p], work[_SUMS + p - 1]
        for m in range(n):
            twice, here = 2.0 * cosines[m], weights[m]
            after = odd + twice * here - before[m]
            before[m], weights[m] = after, even + twice * after - here
    for m in range(n):
        first = work[_SUMS + 1] + 2.0 * cosines[m] * weights[m] - before[m]
        weights[m] = 2.0 / n * (0.5 * work[_SUMS] + cosines[m] * first - weights[m])


@kernel(void(VECTOR, int64, int64, float64, int64))
def condense(work, start, count, limit, tabulated):
    """Nodes and weights of the K_i, once measured, for amplitudes up to ``limit``: the sum then errs by less than 1e-10.

    The K_i stay. Where they are few they are the nodes; where they are spread too far there are none, and work[LIMIT] is -1. With
    ``tabulated`` other than `NOWHERE` also the sums at those amplitudes, in work[MULTIPLES + k], k <= work[LAST], or nothing where
    no interval of the table holds the K_i.
    """
    work[LIMIT], work[LAST] = -1.0, -1.0
    x = limit * work[HIGHEST]
    bottom, pieces, n, q, which = math.sqrt(_CUT), 1, 0, 1.0, 0
    if tabulated != NOWHERE:
        while which < _N_CLASSES and x > _CLASSES[which]:
            which += 1
        if which < _N_CLASSES and count <= _MOST_TERMS:
            n, q = _UNROLLED * _ROWS[which], _Q[which]
    elif x < _LARGEST:
        bottom, n, pieces = math.sqrt((limit * work[LOWEST]) ** 2 + _CUT), _MOST_NODES + 1, 0
        top, wanted = math.sqrt(x * x + _CUT), math.log(count * max(x, 1.0)) + _LOG_ERROR
        while n > _MOST_NODES and pieces < _MOST_PIECES:
            pieces += 1
            q = max((top / bottom) ** (0.25 / pieces), _NARROWEST)
            n = _UNROLLED * max(math.ceil(wanted / (_UNROLLED * math.log((q + 1.0) / (q - 1.0)))), 2)
    if n == 0 or n > _MOST_NODES:
        return
    if tabulated == NOWHERE and count <= pieces * n:
        for i in range(count):
            work[NODES + i], work[WEIGHTS + i] = work[start + i], 1.0
        work[LIMIT], work[N_HELD] = math.inf, float(count)
        return
    g, r = bottom * q * q, (q * q - 1.0) / (q * q + 1.0)
    for piece in range(pieces):
        low, high = 0.0 if piece == 0 else g / (q * q), math.inf if piece == pieces - 1 else g * q * q
        _sum_polynomials(work, start, count, limit, low, high, g, r, n)
        _weigh(work, limit, g, r, n, piece * n)
        g *= q**4
    work[LIMIT], work[N_HELD] = limit, float(pieces * n)
    if tabulated != NOWHERE:
        values = work[MULTIPLES : MULTIPLES + N_MULTIPLES + 1]
        for k in range(N_MULTIPLES + 1):
            values[k] = 0.0
        for m in range(n):
            weight, logs = work[WEIGHTS + m], _TABLE[tabulated - 1, _FIRSTS[which] + m]
            for k in range(N_MULTIPLES + 1):
                values[k] += weight * logs[k]
        work[LAST] = float(N_MULTIPLES)
