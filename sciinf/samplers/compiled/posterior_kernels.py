"""The guarded posterior inside a compiled loop.

The few lines that evaluate it stand in every loop by themselves: a helper that takes arrays, even one written into its caller, makes numba
count references of each of them at every call, which costs more than a cheap likelihood (130 ns of 200 were measured).
"""

from __future__ import annotations

import math

import numba

from sciinf.numerics.jit import FUNCTION, INTS, MATRIX, VECTOR, inline_kernel, kernel

__all__ = ["CALLS", "FINITE", "MINUS_INF", "NOT_A_NUMBER", "PLUS_INF", "REJECTED", "TARGET", "kind_of", "log_posteriors"]

CALLS, MINUS_INF, REJECTED = 0, 1, 2
"""Places in ``counts``, as `sciinf.core.counters` has them."""

FINITE, NOT_A_NUMBER, PLUS_INF = 0, 3, 4
"""Further kinds of a likelihood's value; the last two end a run."""

TARGET = (FUNCTION, VECTOR, INTS, VECTOR, VECTOR, INTS, numba.boolean)
"""Types of `CompiledProblem.likelihood_arguments`: function, floats, ints, work, point, places, reject_nan."""


@inline_kernel
def kind_of(value, reject_nan):
    """`FINITE`; `MINUS_INF` or `REJECTED`, to be counted in that place and taken as -inf; `NOT_A_NUMBER` or `PLUS_INF`."""
    if -math.inf < value < math.inf:
        return FINITE
    if value == -math.inf:
        return MINUS_INF
    if value == math.inf:
        return PLUS_INF
    return REJECTED if reject_nan else NOT_A_NUMBER


@kernel(numba.int64(*TARGET, FUNCTION, VECTOR, INTS, MATRIX, MATRIX, INTS))
def log_posteriors(function, floats, ints, work, point, places, reject_nan, prior, prior_floats, prior_ints, thetas, out, counts):
    """(ln L, ln prior) of each row of ``thetas`` into ``out`` (n, 2); -inf both where the prior is zero or has a pole.

    Returns
    -------
    int
        -1, or the row whose likelihood is NaN or +inf, behind which nothing is evaluated.
    """
    for i in range(thetas.shape[0]):
        density, value = prior(thetas[i], prior_floats, prior_ints, work), -math.inf
        if math.isfinite(density):
            for k in range(places.size):
                point[places[k]] = thetas[i, k]
            counts[CALLS] += 1
            value = function(point, floats, ints, work)
            kind = kind_of(value, reject_nan)
            if kind > REJECTED:
                return i
            if kind != FINITE:
                counts[kind] += 1
                value = -math.inf
        else:
            density = -math.inf
        out[i, 0], out[i, 1] = value, density
    return -1
