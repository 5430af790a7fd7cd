# mypy: disable-error-code="no-any-return"
"""Compiled evaluation of the emulator: parameters, scaled coordinates, monomials, coefficients, spectra.

The emulator is packed as ``floats`` and ``ints``. ``ints`` starts with `HEADER` numbers at the indices below; from `BLOCKS` follow five
for each block, in the order of `BLOCK_ORDER`: monomials used, basis functions, first l, number of l, and where in ``floats`` its mean
(n_l), basis (n_basis, n_l) and coefficients (n_monomials, n_basis) start. After the blocks, for each monomial: its parent and the
coordinate that multiplies it.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from sciinf.engines.cmb.background import theta_mc_kernel
from sciinf.numerics.jit import inline_kernel, kernel
from sciinf.numerics.special_exp import exponential

__all__ = [
    "AMPLITUDE",
    "BLOCKS",
    "BLOCK_ORDER",
    "BLOCK_SIZE",
    "HEADER",
    "KERNEL_VERSION",
    "LOW_EE",
    "MONOMIALS",
    "N_COORDINATES",
    "N_LOW_EE",
    "SCALE",
    "TABLE_AT",
    "add_columns",
    "coefficients",
    "coordinates",
    "low_ee",
    "monomials",
    "spectra",
    "spectra_many",
]

KERNEL_VERSION = "1"

u64 = np.uint64
"""Indices into packed arrays are made unsigned: numba adds a branch for negative ones to every signed index, which stops SIMD."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MONOMIALS, SCALE, BOX_AT, TABLE_AT, LOG_FLAGS = 0, 1, 2, 3, 4
"""Places in ``ints``: number of monomials; 1 where H0 is the third parameter; where in ``floats`` the box (low, high, centre, 1/half
width, 6 each) and the background's table start; six flags for coordinates that are logarithms."""

N_COORDINATES = 6
BLOCKS = LOG_FLAGS + N_COORDINATES
BLOCK_SIZE = 5
BLOCK_ORDER = ("TT", "TE", "EE", "PP", "EE_low")
LOW_EE = BLOCKS + 4 * BLOCK_SIZE
HEADER = BLOCKS + BLOCK_SIZE * len(BLOCK_ORDER)
N_LOW_EE = 28
"""Multipoles 2-29 of EE, emulated apart as logarithms."""

AMPLITUDE = 1e-10

_VECTOR = numba.types.Array(numba.float64, 1, "C")
_MATRIX = numba.types.Array(numba.float64, 2, "C")
_INTS = numba.types.Array(numba.int64, 1, "C")
_INT = numba.int64


@inline_kernel
def coordinates(theta: Floats, floats: Floats, ints: Ints, out: Floats, at: int) -> bool:
    """Scaled coordinates (6) of ``theta`` into ``out[at:]``; False outside the box, or where H0 belongs to no such universe."""
    box, first = u64(ints[BOX_AT]), u64(at)
    for i in range(u64(N_COORDINATES)):
        value = theta[i]
        if i == u64(2) and ints[SCALE] == 1:
            value = theta_mc_kernel(theta[0], theta[1], theta[2], floats, ints[TABLE_AT])
        if not (floats[box + i] <= value <= floats[box + u64(6) + i]):
            return False
        if ints[u64(LOG_FLAGS) + i] == 1:
            value = math.log(value)
        out[first + i] = (value - floats[box + u64(12) + i]) * floats[box + u64(18) + i]
    return True


@inline_kernel
def monomials(ints: Ints, work: Floats, coordinate: int, phi: int) -> None:
    """Every monomial of the coordinates at ``work[coordinate:]`` into ``work[phi:]``: each is an earlier one times a coordinate."""
    n, x, out = u64(ints[MONOMIALS]), u64(coordinate), u64(phi)
    work[out] = 1.0
    for t in range(u64(1), n):
        work[out + t] = work[out + u64(ints[u64(HEADER) + t])] * work[x + u64(ints[u64(HEADER) + n + t])]


@kernel(numba.void(_VECTOR, _INT, _INT, _INT, _VECTOR, _INT, _INT), reassociate=True)
def add_columns(floats: Floats, matrix: int, n_columns: int, n_rows: int, work: Floats, weights: int, out: int) -> None:
    """``work[out + i] += sum_j work[weights + j] * floats[matrix + j * n_rows + i]``: four columns at a time, SIMD over rows."""
    first, columns, rows, x, y = u64(matrix), u64(n_columns), u64(n_rows), u64(weights), u64(out)
    four = u64(4)
    j = u64(0)
    while j + four <= columns:
        a, b, c, d = work[x + j], work[x + j + u64(1)], work[x + j + u64(2)], work[x + j + u64(3)]
        p = first + j * rows
        q = p + rows
        r = q + rows
        s = r + rows
        for i in range(rows):
            work[y + i] += a * floats[p + i] + b * floats[q + i] + c * floats[r + i] + d * floats[s + i]
        j += four
    while j < columns:
        a = work[x + j]
        p = first + j * rows
        for i in range(rows):
            work[y + i] += a * floats[p + i]
        j += u64(1)


@inline_kernel
def coefficients(block: int, floats: Floats, ints: Ints, work: Floats, phi: int, out: int) -> None:
    """Basis coefficients of a block, from the monomials at ``work[phi:]``, into ``work[out:]``."""
    n_terms, n_basis, n_l = ints[block], ints[block + 1], ints[block + 3]
    for k in range(u64(n_basis)):
        work[u64(out) + k] = 0.0
    add_columns(floats, ints[block + 4] + (n_basis + 1) * n_l, n_terms, n_basis, work, phi, out)


@inline_kernel
def _curve(block: int, floats: Floats, ints: Ints, work: Floats, phi: int, scratch: int, out: int) -> None:
    """Mean plus basis of a block, into ``work[out:]``; ``work[scratch:]`` holds the coefficients meanwhile."""
    coefficients(block, floats, ints, work, phi, scratch)
    n_basis, n_l, mean = ints[block + 1], ints[block + 3], ints[block + 4]
    for i in range(u64(n_l)):
        work[u64(out) + i] = floats[u64(mean) + i]
    add_columns(floats, mean + n_l, n_basis, n_l, work, scratch, out)


@inline_kernel
def low_ee(log_a: float, floats: Floats, ints: Ints, work: Floats, phi: int, scratch: int, out: int) -> None:
    """D_l^EE (muK^2) at l = 2-29 into ``work[out:]``; ``log_a`` = ln(1e10 A_s)."""
    _curve(LOW_EE, floats, ints, work, phi, scratch, out)
    for i in range(u64(N_LOW_EE)):
        work[u64(out) + i] = AMPLITUDE * exponential(work[u64(out) + i] + log_a)


@inline_kernel
def _fill(block: int, scale: float, floats: Floats, ints: Ints, work: Floats, phi: int, scratch: int, curve: int, out: Floats) -> None:
    """One spectrum, indexed by l from 0, into ``out``: zero below the block's first l."""
    _curve(block, floats, ints, work, phi, scratch, curve)
    first, n_l = u64(ints[block + 2]), u64(ints[block + 3])
    for i in range(first):
        out[i] = 0.0
    for i in range(n_l):
        out[first + i] = scale * work[u64(curve) + i]


@kernel(numba.boolean(_VECTOR, _VECTOR, _INTS, _VECTOR, _VECTOR, _VECTOR, _VECTOR, _VECTOR))
def spectra(theta: Floats, floats: Floats, ints: Ints, work: Floats, tt: Floats, te: Floats, ee: Floats, pp: Floats) -> bool:
    """All spectra at ``theta`` (6), indexed by l from 0; False, and nothing written, outside the box.

    ``work`` holds 6 + n_monomials + max basis + max n_l numbers.
    """
    phi = N_COORDINATES
    if not coordinates(theta, floats, ints, work, 0):
        return False
    monomials(ints, work, 0, phi)
    scratch = phi + ints[MONOMIALS]
    curve = scratch
    for b in range(len(BLOCK_ORDER)):
        curve = max(curve, scratch + ints[BLOCKS + BLOCK_SIZE * b + 1])
    potential = AMPLITUDE * math.exp(theta[4])
    cmb = AMPLITUDE * math.exp(theta[4] - 2.0 * theta[3])
    for b in range(4):  # one call, not four: the compiled function stays a quarter of the size
        out = tt
        if b == 1:
            out = te
        elif b == 2:
            out = ee
        elif b == 3:
            out = pp
        _fill(BLOCKS + BLOCK_SIZE * b, potential if b == 3 else cmb, floats, ints, work, phi, scratch, curve, out)
    low_ee(theta[4], floats, ints, work, phi, scratch, curve)
    for i in range(N_LOW_EE):
        ee[2 + i] = work[curve + i]
    return True


@kernel(numba.void(_MATRIX, _VECTOR, _INTS, _VECTOR, _MATRIX, _MATRIX, _MATRIX, _MATRIX))
def spectra_many(thetas: Floats, floats: Floats, ints: Ints, work: Floats, tt: Floats, te: Floats, ee: Floats, pp: Floats) -> None:
    """`spectra` of each row, the same operations in the same order; a row outside the box is NaN from l = 2."""
    for i in range(thetas.shape[0]):
        if not spectra(thetas[i], floats, ints, work, tt[i], te[i], ee[i], pp[i]):
            for out in (tt[i], te[i], ee[i], pp[i]):
                out[:2] = 0.0
                out[2:] = math.nan
