"""Compiled loops over many points: the sums of ln L as a function of the amplitude, and its values.

Apart from the likelihood, for which nobody need wait until these are compiled.
"""

from __future__ import annotations

import math

import numpy as np

from sciinf.engines.echo.amplitude_kernels import log_shape, maximum
from sciinf.engines.echo.condensed_kernels import BINS, E_SUM, LIMIT, TEETH
from sciinf.engines.echo.kernels import N_DETECTORS, N_SUMS, PHASE, WHITTLE, collect
from sciinf.numerics.jit import INTS, MATRIX, VECTOR, kernel

__all__ = ["shapes_many", "sums_many"]


@kernel(MATRIX(MATRIX, VECTOR, INTS, VECTOR))
def sums_many(thetas, floats, ints, work):
    """Per row: E, the amplitude of the largest ln L, teeth and bins of the comb; NaN outside the domain."""
    out = np.full((thetas.shape[0], 4), math.nan)
    for j in range(thetas.shape[0]):
        count = collect(thetas[j], floats, ints, work)
        if count >= 0:
            gaussian = 1 if ints[PHASE] == WHITTLE else 0
            out[j, 0] = work[E_SUM]
            out[j, 1] = maximum(work, N_SUMS + 2 * ints[N_DETECTORS], count, gaussian, 1e-13)
            out[j, 2], out[j, 3] = work[TEETH], work[BINS]
    return out


@kernel(MATRIX(MATRIX, VECTOR, INTS, VECTOR, MATRIX))
def shapes_many(thetas, floats, ints, work, amplitudes):
    """ln L of each row of ``thetas`` at the amplitudes in the same row."""
    out = np.empty(amplitudes.shape)
    for j in range(thetas.shape[0]):
        count = collect(thetas[j], floats, ints, work)
        gaussian = 1 if ints[PHASE] == WHITTLE else 0
        work[LIMIT] = -1.0
        for i in range(amplitudes.shape[1]):
            out[j, i] = math.nan if count < 0 else log_shape(work, N_SUMS + 2 * ints[N_DETECTORS], count, gaussian, amplitudes[j, i])
    return out
