"""Compiled draws of the amplitude from its conditional density; apart from the likelihood, which does not wait for them."""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64

from sciinf.engines.echo.amplitude_kernels import quantile
from sciinf.engines.echo.kernels import N_DETECTORS, N_SUMS, PHASE, WHITTLE, collect
from sciinf.numerics.jit import INTS, MATRIX, VECTOR, kernel

__all__ = ["draws_many"]


@kernel(VECTOR(MATRIX, VECTOR, INTS, VECTOR, VECTOR, float64, float64, int64))
def draws_many(thetas, floats, ints, work, shares, low, high, log_uniform):
    """Per row: the amplitude below which ``shares`` of its posterior lies, with its prior uniform (in ln A) on [low, high]."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        count = collect(thetas[j], floats, ints, work)
        gaussian = 1 if ints[PHASE] == WHITTLE else 0
        out[j] = math.nan
        if count >= 0:
            out[j] = quantile(work, N_SUMS + 2 * ints[N_DETECTORS], count, gaussian, low, high, log_uniform, shares[j])
    return out
