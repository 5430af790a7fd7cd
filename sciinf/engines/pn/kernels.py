"""Compiled loops of the engine."""

from __future__ import annotations

import numba

from sciinf.numerics.jit import MATRIX, VECTOR, kernel

__all__ = ["LOG_BASE", "STATISTICS", "evaluate", "evaluate_log_base"]

STATISTICS = numba.types.FunctionType(numba.types.void(VECTOR, VECTOR))
"""``statistics(x, out)``: a user's function as an argument, so that the loop is compiled once."""

LOG_BASE = numba.types.FunctionType(numba.float64(VECTOR))
"""``log_base(x)``."""


@kernel(numba.types.void(STATISTICS, MATRIX, MATRIX))
def evaluate(statistics, points, out):
    """Statistics (n, p) of points (n, dim)."""
    for i in range(points.shape[0]):
        statistics(points[i], out[i])


@kernel(numba.types.void(LOG_BASE, MATRIX, VECTOR))
def evaluate_log_base(log_base, points, out):
    """Log h (n,) of points (n, dim)."""
    for i in range(points.shape[0]):
        out[i] = log_base(points[i])
