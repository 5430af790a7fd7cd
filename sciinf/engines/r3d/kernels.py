"""Compiled loops over units: means, digests, blocks to sort, quantiles read from them, and the nearest nondecreasing curves.

Kernels take arrays and numbers only; shapes and finiteness are checked where the arrays are made.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import INTS, MATRIX, VECTOR, inline_kernel, kernel

__all__ = ["fill_block", "project_rows", "read_type7", "read_weighted", "segment_means", "unit_digests"]

WORDS = numba.uint64[::1]

_WEIGHT_ROUNDING = 1e-12  # of the total weight


@kernel(VECTOR(VECTOR, VECTOR, INTS), reassociate=True)
def segment_means(values, weights, offsets):
    """Mean of each unit; weighted if ``weights`` is not empty. Summed as differences from the first value."""
    n = offsets.size - 1
    out = np.empty(n)
    for i in range(n):
        start, stop = offsets[i], offsets[i + 1]
        first, total, mass = values[start], 0.0, 0.0
        if weights.size > 0:
            for j in range(start, stop):
                total += weights[j] * (values[j] - first)
                mass += weights[j]
        else:
            mass = 1.0 * (stop - start)
            for j in range(start, stop):
                total += values[j] - first
        out[i] = first + total / mass
    return out


@inline_kernel
def _mixed(bits):
    """All 64 bits of a number spread over each other: the finaliser of SplitMix64 (Steele, Lea & Flood 2014), one to one."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@kernel(numba.void(WORDS, WORDS, INTS, numba.uint64[:, ::1]))
def unit_digests(values, weights, offsets, out):
    """Two sums of mixed bits for each unit, (n, 2): of its pairs of value and weight, whatever their order; no ``weights``, no pairs."""
    for i in range(offsets.size - 1):
        one, two = np.uint64(0), np.uint64(0)
        if weights.size > 0:
            for j in range(offsets[i], offsets[i + 1]):
                bits = _mixed(values[j] + np.uint64(0x9E3779B97F4A7C15))
                bits = _mixed(bits ^ _mixed(weights[j] + np.uint64(0xD1B54A32D192ED03)))
                one += bits
                two += bits * (bits >> np.uint64(32))
        else:  # a loop of its own, which the compiler can turn into vectors
            for j in range(offsets[i], offsets[i + 1]):
                bits = _mixed(values[j] + np.uint64(0x9E3779B97F4A7C15))
                one += bits
                two += bits * (bits >> np.uint64(32))
        out[i, 0], out[i, 1] = one, two


@kernel(numba.void(VECTOR, INTS, INTS, MATRIX))
def fill_block(values, offsets, rows, block):
    """Copy the units ``rows`` into the rows of ``block``, the rest of each row +inf."""
    for r in range(rows.size):
        start = offsets[rows[r]]
        size = offsets[rows[r] + 1] - start
        for j in range(size):
            block[r, j] = values[start + j]
        for j in range(size, block.shape[1]):
            block[r, j] = np.inf


@kernel(numba.void(MATRIX, INTS, VECTOR, MATRIX))
def read_type7(block, sizes, levels, out):
    """Linear interpolation at (n_i - 1) q, with NumPy's own arithmetic: its bytes."""
    for r in range(sizes.size):
        last = sizes[r] - 1
        for k in range(levels.size):
            position = last * levels[k]
            low = math.floor(position)
            high = min(low + 1, last)
            part = position - low
            a, b = block[r, low], block[r, high]
            if part >= 0.5:
                out[r, k] = b - (b - a) * (1.0 - part)
            else:
                out[r, k] = a + (b - a) * part


@kernel(numba.void(VECTOR, VECTOR, VECTOR, numba.int64, VECTOR))
def read_weighted(values, weights, levels, interpolate, out):
    """Weighted quantiles of one unit: ``values`` sorted, all weights positive."""
    n = values.size
    total = 0.0
    for j in range(n):
        total += weights[j]
    scale = n / total if interpolate else 1.0
    mass = n * 1.0 if interpolate else total
    slack = _WEIGHT_ROUNDING * mass
    cumulative = np.empty(n)
    running = 0.0
    for j in range(n):
        running += weights[j]
        cumulative[j] = running * scale
    cumulative[n - 1] = mass
    for k in range(levels.size):
        if not interpolate:
            j = np.searchsorted(cumulative, levels[k] * mass - slack)
            out[k] = values[min(j, n - 1)]
            continue
        order = 1.0 + (mass - 1.0) * levels[k]
        low = max(math.floor(order), 1.0)
        high = min(low + 1.0, mass)
        part = order - math.floor(order)
        i = min(np.searchsorted(cumulative, low - slack), n - 1)
        j = min(np.searchsorted(cumulative, high - slack), n - 1)
        out[k] = (1.0 - part) * values[i] + part * values[j]


@kernel(numba.void(MATRIX, VECTOR))
def project_rows(rows, weights):
    """Replace each row by the nearest nondecreasing one, in squared distance with ``weights``: pool adjacent violators, in place."""
    n, m = rows.shape
    level, mass, length = np.empty(m), np.empty(m), np.empty(m, dtype=np.int64)
    for i in range(n):
        count = 0
        moved = False
        for k in range(m):
            level[count], mass[count], length[count] = rows[i, k], weights[k], 1
            count += 1
            while count > 1 and level[count - 2] > level[count - 1]:
                both = mass[count - 2] + mass[count - 1]
                level[count - 2] = (level[count - 2] * mass[count - 2] + level[count - 1] * mass[count - 1]) / both
                mass[count - 2] = both
                length[count - 2] += length[count - 1]
                count -= 1
                moved = True
        if moved:
            k = 0
            for block in range(count):
                for _ in range(length[block]):
                    rows[i, k] = level[block]
                    k += 1
