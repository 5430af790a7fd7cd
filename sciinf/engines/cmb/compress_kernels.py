# mypy: disable-error-code="no-any-return"
"""The whole hybrid in one compiled call over the emulator: compressed, and full.

Both take ``floats`` and ``ints`` that start with the emulator (`emulator_kernels`); what follows in ``ints``, from `form_at`, is the
form: its own header, then four numbers for each component. Compressed, the whitened residuals of all Gaussian components are one vector,
target + A x + B z: A, on every row, acts on x = monomials (or 1 and coefficients) times 1e-10 e^(logA - 2 tau) / y^2; B, on the first
rows alone, acts on z = the same times 1e-10 e^logA for PP, then D_l^EE / y^2 at l = 2-29. Matrices are stored by columns, with the sign.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from sciinf.engines.cmb import kernels
from sciinf.engines.cmb.emulator_kernels import (
    AMPLITUDE,
    HEADER,
    MONOMIALS,
    N_COORDINATES,
    N_LOW_EE,
    add_columns,
    coordinates,
    low_ee,
    monomials,
    spectra,
    u64,
)
from sciinf.numerics.jit import LIKELIHOOD, LIKELIHOOD_MANY, inline_kernel, kernel
from sciinf.numerics.special_exp import exponential

__all__ = [
    "COMPRESSED_HEADER",
    "FULL_HEADER",
    "GAUSSIAN",
    "KERNEL_VERSION",
    "TABLE",
    "compressed",
    "compressed_many",
    "compressed_parts",
    "full",
    "full_many",
    "full_parts",
]

KERNEL_VERSION = "1"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GAUSSIAN, TABLE = 0, 1

N_THETA, CALIBRATION, N_COMPONENTS = 0, 1, 2
"""Places in both headers: parameters, index of A_planck (-1: none), components."""

HAS_LOW, N_TERMS, CMB_TRANSFORM, PP_COLUMNS, PP_TRANSFORM, TARGET, CMB_MATRIX, CMB_COLUMNS, N_ROWS = range(3, 12)
COMPRESSED_HEADER = 15
"""Places in the compressed header, which ends with matrix, columns and rows of B. A transform is where the matrix from monomials to
coefficients starts in ``floats``, -1 for none; a matrix likewise."""

SPECTRA_WORK, REACH, FULL_HEADER = 3, 4, 8
"""Places in the full header: the emulator's workspace, and the lengths of TT, TE, EE, PP."""

_LAST_FAST_CELL = kernels.SIMALL_CELLS - 1.0
_VECTOR = numba.types.Array(numba.float64, 1, "C")
_MATRIX = numba.types.Array(numba.float64, 2, "C")
_INTS = numba.types.Array(numba.int64, 1, "C")
_INT = numba.int64
_CORE = numba.float64(_VECTOR, _VECTOR, _INTS, _VECTOR, numba.boolean)
_PARTS = numba.void(_MATRIX, _VECTOR, _INTS, _VECTOR, _MATRIX)


@inline_kernel
def form_at(ints: Ints) -> int:
    """Where the form's header starts in ``ints``."""
    return HEADER + 2 * ints[MONOMIALS]


@inline_kernel
def _start(theta: Floats, ints: Ints, form: int, work: Floats) -> float:
    """A_planck, or NaN where theta is not finite, or -1 where A_planck is not positive; the components' places are made -inf."""
    for i in range(ints[form + N_THETA]):
        if not math.isfinite(theta[i]):
            for c in range(ints[form + N_COMPONENTS]):
                work[c] = math.nan
            return math.nan
    for c in range(ints[form + N_COMPONENTS]):
        work[c] = -math.inf
    if ints[form + CALIBRATION] < 0:
        return 1.0
    y = theta[ints[form + CALIBRATION]]
    return y if y > 0.0 else -1.0


@inline_kernel
def _table(floats: Floats, table: int, linear: int, y: float, work: Floats, ee: int) -> float:
    """SimAll's ln L: `kernels.simall` where every multipole lies safely inside the table is a look-up in the same cell."""
    divisor = y * y * kernels.SIMALL_STEP
    inside = True
    first, positions, n = u64(ee), u64(ee + N_LOW_EE), u64(N_LOW_EE)
    for i in range(n):
        work[positions + i] = work[first + i] / divisor
    for i in range(n):
        inside &= 0.0 <= work[positions + i] < _LAST_FAST_CELL
    if linear != 0 or not inside:
        return kernels.simall(work, ee, y, floats, table, linear)
    total = 0.0
    for i in range(n):
        total += floats[u64(table) + u64(work[positions + i]) * n + i]
    return total


@inline_kernel
def _columns(scale: float, transform: int, n_columns: int, n_terms: int, floats: Floats, work: Floats, phi: int, out: int) -> None:
    """The vector that a CMB or potential block acts on, into ``work[out:]``: scaled monomials, or scaled coefficients after a scaled 1."""
    if transform < 0:
        for j in range(u64(n_columns)):
            work[u64(out) + j] = scale * work[u64(phi) + j]
    else:
        for j in range(u64(n_columns)):
            work[u64(out) + j] = 0.0
        add_columns(floats, transform, n_terms, n_columns, work, phi, out)
        for j in range(u64(n_columns)):
            work[u64(out) + j] *= scale


@kernel(numba.float64(_VECTOR, _INT, _INT), reassociate=True)
def _squares(values: Floats, first: int, last: int) -> float:
    """Sum of squares of ``values[first:last]``."""
    total = 0.0
    for i in range(u64(first), u64(last)):
        total += values[i] * values[i]
    return total


@kernel(_CORE)  # not reassociate: helpers inherit it, and the table's division must be the one that defines its cells
def _compressed(theta: Floats, floats: Floats, ints: Ints, work: Floats, every: bool) -> float:
    """Total log-likelihood; the components' in ``work[:n]``. The first -inf ends it unless ``every``."""
    form = form_at(ints)
    n_components = ints[form + N_COMPONENTS]
    y = _start(theta, ints, form, work)
    if not y > 0.0:
        return math.nan if math.isnan(y) else -math.inf
    u = n_components
    phi = u + N_COORDINATES
    if not coordinates(theta, floats, ints, work, u):
        return -math.inf
    monomials(ints, work, u, phi)
    x = phi + ints[MONOMIALS]
    z = x + ints[form + CMB_COLUMNS]
    low = z + ints[form + PP_COLUMNS]
    ee = low + N_LOW_EE
    rows = ee + 2 * N_LOW_EE
    inverse = 1.0 / (y * y)
    potential = AMPLITUDE * exponential(theta[4])
    if ints[form + HAS_LOW] == 1:
        low_ee(theta[4], floats, ints, work, phi, rows, ee)
        for i in range(u64(N_LOW_EE)):
            work[u64(low) + i] = inverse * work[u64(ee) + i]
    n_terms = ints[form + N_TERMS]
    cmb = potential * exponential(-2.0 * theta[3]) * inverse
    _columns(cmb, ints[form + CMB_TRANSFORM], ints[form + CMB_COLUMNS], n_terms, floats, work, phi, x)
    _columns(potential, ints[form + PP_TRANSFORM], ints[form + PP_COLUMNS], n_terms, floats, work, phi, z)
    n_rows, target = ints[form + N_ROWS], ints[form + TARGET]
    for i in range(u64(n_rows)):
        work[u64(rows) + i] = floats[u64(target) + i]
    for k in range(0, 6, 3):  # the matrix on every row, then the one on the mixed rows
        matrix = form + CMB_MATRIX + k
        add_columns(floats, ints[matrix], ints[matrix + 1], ints[matrix + 2], work, x if k == 0 else z, rows)
    parts = form + COMPRESSED_HEADER
    total = 0.0
    for c in range(n_components):
        part = parts + 4 * c
        if ints[part] == GAUSSIAN:
            chi2 = floats[ints[part + 3]] + _squares(work, rows + ints[part + 1], rows + ints[part + 2])
            work[c] = -0.5 * chi2
        else:
            work[c] = _table(floats, ints[part + 1], ints[part + 2], y, work, ee)
        total += work[c]
        if total == -math.inf and not every:
            return total
    return total


@kernel(_CORE)
def _full(theta: Floats, floats: Floats, ints: Ints, work: Floats, every: bool) -> float:
    """As `_compressed`, through spectra, bandpowers and whitened residuals."""
    form = form_at(ints)
    n_components = ints[form + N_COMPONENTS]
    y = _start(theta, ints, form, work)
    if not y > 0.0:
        return math.nan if math.isnan(y) else -math.inf
    first = n_components + ints[form + SPECTRA_WORK]
    ends = (
        first + ints[form + REACH],
        first + ints[form + REACH] + ints[form + REACH + 1],
        first + ints[form + REACH] + ints[form + REACH + 1] + ints[form + REACH + 2],
        first + ints[form + REACH] + ints[form + REACH + 1] + ints[form + REACH + 2] + ints[form + REACH + 3],
    )
    tt, te, ee, pp = work[first : ends[0]], work[ends[0] : ends[1]], work[ends[1] : ends[2]], work[ends[2] : ends[3]]
    if not spectra(theta, floats, ints, work[n_components:first], tt, te, ee, pp):
        return -math.inf
    total = 0.0
    for c in range(n_components):
        part = form + FULL_HEADER + 4 * c
        if ints[part] == GAUSSIAN:
            chi2 = kernels.gaussian_chi2(tt, te, ee, pp, y, floats[ints[part + 1] :], ints[ints[part + 2] :], work[ends[3] :])
            work[c] = -0.5 * chi2
        else:
            work[c] = kernels.simall(ee, kernels.SIMALL_L_MIN, y, floats, ints[part + 1], ints[part + 2])
        total += work[c]
        if total == -math.inf and not every:
            return total
    return total


@kernel(LIKELIHOOD)
def compressed(theta: Floats, floats: Floats, ints: Ints, work: Floats) -> float:
    """Log-likelihood of one point from the compressed form."""
    return _compressed(theta, floats, ints, work, False)


@kernel(LIKELIHOOD)
def full(theta: Floats, floats: Floats, ints: Ints, work: Floats) -> float:
    """Log-likelihood of one point through spectra."""
    return _full(theta, floats, ints, work, False)


@kernel(LIKELIHOOD_MANY)
def compressed_many(thetas: Floats, floats: Floats, ints: Ints, work: Floats) -> Floats:
    """`compressed` of each row: the same compiled operations, so the same bytes."""
    out = np.empty(thetas.shape[0])
    for i in range(out.size):
        out[i] = _compressed(thetas[i], floats, ints, work, False)
    return out


@kernel(LIKELIHOOD_MANY)
def full_many(thetas: Floats, floats: Floats, ints: Ints, work: Floats) -> Floats:
    """`full` of each row: the same compiled operations, so the same bytes."""
    out = np.empty(thetas.shape[0])
    for i in range(out.size):
        out[i] = _full(thetas[i], floats, ints, work, False)
    return out


@kernel(_PARTS)
def compressed_parts(thetas: Floats, floats: Floats, ints: Ints, work: Floats, out: Floats) -> None:
    """Log-likelihood of every component (n, n_components), none left out."""
    for i in range(thetas.shape[0]):
        _compressed(thetas[i], floats, ints, work, True)
        for c in range(out.shape[1]):
            out[i, c] = work[c]


@kernel(_PARTS)
def full_parts(thetas: Floats, floats: Floats, ints: Ints, work: Floats, out: Floats) -> None:
    """Log-likelihood of every component (n, n_components), none left out."""
    for i in range(thetas.shape[0]):
        _full(thetas[i], floats, ints, work, True)
        for c in range(out.shape[1]):
            out[i, c] = work[c]
