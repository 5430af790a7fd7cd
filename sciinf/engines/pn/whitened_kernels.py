"""Compiled prior of whitened parameters; ``floats``: log density, low, high, centre (p each), root (p x p)."""

from __future__ import annotations

import math

from sciinf.numerics.jit import LIKELIHOOD, kernel

__all__ = ["log_density", "transform"]


@kernel(LIKELIHOOD)
def transform(unit, floats, ints, x):
    """A cube point to phi, written into ``x``."""
    p = unit.size
    low, high, centre, root = floats[1 : p + 1], floats[p + 1 : 2 * p + 1], floats[2 * p + 1 : 3 * p + 1], floats[3 * p + 1 :]
    for i in range(p):
        value = low[i] + unit[i] * (high[i] - low[i]) - centre[i]
        for j in range(i):
            value -= root[i * p + j] * x[j]
        x[i] = value / root[i * p + i]
    return 0.0


@kernel(LIKELIHOOD)
def log_density(x, floats, ints, work):
    """Log-density of phi: constant where theta lies in its box; NaN at NaN."""
    p = x.size
    low, high, centre, root = floats[1 : p + 1], floats[p + 1 : 2 * p + 1], floats[2 * p + 1 : 3 * p + 1], floats[3 * p + 1 :]
    inside = True
    for i in range(p):
        if math.isnan(x[i]):
            return math.nan
        theta = centre[i]
        for j in range(i + 1):
            theta += root[i * p + j] * x[j]
        if not (low[i] <= theta <= high[i]):
            inside = False
    return floats[0] if inside else -math.inf
