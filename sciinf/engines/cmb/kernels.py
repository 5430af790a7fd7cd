"""Compiled parts of the components: bandpowers, whitened chi2, table look-up.

A Gaussian component is packed as ``floats`` = [target (m) | whitener rows (m(m+1)/2) | weights] and ``ints`` = [m, start of the whitener,
start of the weights, first segment of each row (m + 1) | segments (4 each: spectrum code, first l, number of weights, first weight)],
with target = data - offset and the whitener the inverse of the covariance's Cholesky factor, packed by rows. Weights act on D_l.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import kernel

__all__ = [
    "CODES",
    "KERNEL_VERSION",
    "SIMALL_CELLS",
    "SIMALL_D_MAX",
    "SIMALL_L_MAX",
    "SIMALL_L_MIN",
    "SIMALL_STEP",
    "TILE",
    "bandpowers",
    "gaussian_chi2",
    "gaussian_chi2_many",
    "pack_lower",
    "simall",
    "simall_many",
    "unwhiten",
    "whitened_chi2",
]

KERNEL_VERSION = "1"

TILE = 4
"""Rows that are whitened together in a batch."""

CODES = {"TT": 0, "TE": 1, "EE": 2, "PP": 3}
"""Spectrum codes of the segments; PP alone is not divided by A_planck^2."""

SIMALL_L_MIN, SIMALL_L_MAX = 2, 29
SIMALL_CELLS = 3000
SIMALL_STEP = 1e-4
SIMALL_D_MAX = 0.3

_VECTOR = numba.types.Array(numba.float64, 1, "C")
_MATRIX = numba.types.Array(numba.float64, 2, "C")
_INTS = numba.types.Array(numba.int64, 1, "C")
_FLOAT, _INT = numba.float64, numba.int64


@kernel(_FLOAT(_VECTOR, _INT, _VECTOR, _INT, _INT), reassociate=True)
def _weighted_sum(weights, first, spectrum, low, count):
    """Sum of ``count`` weights from ``first`` times the spectrum from l = ``low``; NaN and inf survive."""
    chosen, values = weights[first : first + count], spectrum[low : low + count]
    total = 0.0
    for i in range(count):
        total += chosen[i] * values[i]
    return total


@kernel(numba.void(_VECTOR, _VECTOR, _VECTOR, _VECTOR, _FLOAT, _VECTOR, _INTS, _VECTOR))
def bandpowers(tt, te, ee, pp, y, floats, ints, out):
    """Model bandpowers without the offset, at map-level calibration ``y``: out[b] = sum_X sum_l w D^X_l / a_X."""
    m, weights = ints[0], ints[2]
    segments = 4 + m
    scale = 1.0 / (y * y)
    for b in range(m):
        total = 0.0
        for s in range(ints[3 + b], ints[4 + b]):
            at = segments + 4 * s
            code, low, count, first = ints[at], ints[at + 1], ints[at + 2], weights + ints[at + 3]
            if code == 0:
                total += scale * _weighted_sum(floats, first, tt, low, count)
            elif code == 1:
                total += scale * _weighted_sum(floats, first, te, low, count)
            elif code == 2:
                total += scale * _weighted_sum(floats, first, ee, low, count)
            else:
                total += _weighted_sum(floats, first, pp, low, count)
        out[b] = total


@kernel(_FLOAT(_VECTOR, _INT, _VECTOR, _INT), reassociate=True)
def whitened_chi2(whitener, start, residual, m):
    """|P r|^2 with the lower triangular P packed by rows from ``start``; the same order of sums in every call."""
    chi2 = 0.0
    for i in range(m):
        row = whitener[start : start + i + 1]
        total = 0.0
        for j in range(i + 1):
            total += row[j] * residual[j]
        chi2 += total * total
        start += i + 1
    return chi2


@kernel(numba.void(_VECTOR, _INT, _VECTOR, _INT), reassociate=True)
def unwhiten(whitener, start, values, m):
    """Solve P x = values in place, P packed by rows from ``start``: standard normal values become draws of the covariance."""
    for i in range(m):
        row = whitener[start : start + i + 1]
        total = 0.0
        for j in range(i):
            total += row[j] * values[j]
        values[i] = (values[i] - total) / row[i]
        start += i + 1


@kernel(_FLOAT(_VECTOR, _VECTOR, _VECTOR, _VECTOR, _FLOAT, _VECTOR, _INTS, _VECTOR))
def gaussian_chi2(tt, te, ee, pp, y, floats, ints, work):
    """chi2 of a packed Gaussian component; ``work`` holds m numbers."""
    m = ints[0]
    bandpowers(tt, te, ee, pp, y, floats, ints, work)
    for b in range(m):
        work[b] = floats[b] - work[b]
    return whitened_chi2(floats, ints[1], work, m)


@kernel(numba.void(_VECTOR, _INT, _MATRIX, _INT, _VECTOR), reassociate=True)
def _whitened_chi2_tile(whitener, start, residuals, m, out):
    """|P r|^2 of the four rows of ``residuals`` (4, m), P read once for all; the four sums take the same steps in the same order."""
    first, second, third, fourth = residuals[0], residuals[1], residuals[2], residuals[3]
    chi2_1 = chi2_2 = chi2_3 = chi2_4 = 0.0
    for i in range(m):
        row = whitener[start : start + i + 1]
        a = b = c = d = 0.0
        for j in range(i + 1):
            weight = row[j]
            a += weight * first[j]
            b += weight * second[j]
            c += weight * third[j]
            d += weight * fourth[j]
        chi2_1 += a * a
        chi2_2 += b * b
        chi2_3 += c * c
        chi2_4 += d * d
        start += i + 1
    out[0], out[1], out[2], out[3] = chi2_1, chi2_2, chi2_3, chi2_4


@kernel(numba.void(_MATRIX, _MATRIX, _MATRIX, _MATRIX, _VECTOR, _VECTOR, _INTS, _MATRIX, _VECTOR))
def gaussian_chi2_many(tt, te, ee, pp, y, floats, ints, work, out):
    """chi2 of each row, `TILE` rows at a time; ``work`` is (TILE, m).

    A last tile that is not full is filled with its last row, so that every row goes through the same instructions: its bytes depend on
    nothing but itself. They may differ from `gaussian_chi2`'s in the last digits.
    """
    m, n = ints[0], out.size
    found = np.empty(TILE)
    for start in range(0, n, TILE):
        for t in range(TILE):
            i = min(start + t, n - 1)
            residual = work[t]
            bandpowers(tt[i], te[i], ee[i], pp[i], y[i], floats, ints, residual)
            for b in range(m):
                residual[b] = floats[b] - residual[b]
        _whitened_chi2_tile(floats, ints[1], work, m, found)
        for t in range(min(TILE, n - start)):
            out[start + t] = found[t]


@kernel(_FLOAT(_VECTOR, _INT, _FLOAT, _VECTOR, _INT, _INT))
def simall(ee, first, y, table, start, linear):
    """SimAll's ln L: table of 3000 cells by 28 multipoles from ``start``, EE of l = 2 at ``ee[first]``; -inf outside [0, 0.3) muK^2."""
    total = 0.0
    width = SIMALL_L_MAX - SIMALL_L_MIN + 1
    for i in range(width):
        value = ee[first + i]
        if not (value >= 0.0 and value / (y * y) < SIMALL_D_MAX):
            return -math.inf
        position = value / (y * y * SIMALL_STEP)
        if linear == 0:
            total += table[start + min(int(position), SIMALL_CELLS - 1) * width + i]
        else:
            position = min(max(position - 0.5, 0.0), SIMALL_CELLS - 1.0)
            cell = min(int(position), SIMALL_CELLS - 2)
            fraction = position - cell
            total += (1.0 - fraction) * table[start + cell * width + i] + fraction * table[start + (cell + 1) * width + i]
    return total


@kernel(numba.void(_MATRIX, _INT, _VECTOR, _VECTOR, _INT, _INT, _VECTOR))
def simall_many(ee, first, y, table, start, linear, out):
    """`simall` of each row."""
    for i in range(out.size):
        out[i] = simall(ee[i], first, y[i], table, start, linear)


def pack_lower(matrix: np.ndarray) -> np.ndarray:
    """Lower triangle of a square matrix, packed by rows."""
    return np.ascontiguousarray(matrix[np.tril_indices(len(matrix))])
