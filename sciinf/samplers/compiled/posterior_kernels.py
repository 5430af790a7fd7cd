"""The guarded posterior inside a compiled loop.

The few lines that evaluate it stand in every loop by themselves: a helper that takes arrays, even one written into its caller, makes numba
count references of each of them at every call, which costs more than a cheap likelihood (130 ns of 200 were measured).
"""

from __future__ import annotations

import math

import numba

from sciinf.numerics.jit import FUNCTION, INTS, VECTOR, inline_kernel

__all__ = ["CALLS", "FINITE", "MINUS_INF", "NOT_A_NUMBER", "PLUS_INF", "REJECTED", "TARGET", "kind_of"]

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
