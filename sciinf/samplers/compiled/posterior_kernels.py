"""The guarded likelihood and posterior inside a compiled loop."""

from __future__ import annotations

import math

import numba

from sciinf.numerics.jit import FUNCTION, INTS, MATRIX, VECTOR, inline_kernel, kernel

__all__ = ["CALLS", "DONE", "MINUS_INF", "NOT_A_NUMBER", "PLUS_INF", "REJECTED", "TARGET", "guarded", "log_posteriors", "posterior_at"]

CALLS, MINUS_INF, REJECTED = 0, 1, 2
"""Places in ``counts``, as `sciinf.core.counters` has them."""

DONE, NOT_A_NUMBER, PLUS_INF = 0, 1, 2
"""What became of an evaluation."""

TARGET = (FUNCTION, VECTOR, INTS, VECTOR, VECTOR, INTS, numba.boolean)
"""Types of `CompiledProblem.likelihood_arguments`: function, floats, ints, work, point, places, reject_nan."""


@inline_kernel
def guarded(function, floats, ints, work, point, places, reject_nan, theta, counts):
    """Ln L at ``theta`` (n_dim,), counted; NaN stays NaN unless it is rejected, +inf stays."""
    for i in range(places.size):
        point[places[i]] = theta[i]
    counts[CALLS] += 1
    value = function(point, floats, ints, work)
    if math.isnan(value) and reject_nan:
        counts[REJECTED] += 1
        value = -math.inf
    elif value == -math.inf:
        counts[MINUS_INF] += 1
    return value


@inline_kernel
def posterior_at(function, floats, ints, work, point, places, reject_nan, prior, prior_floats, prior_ints, theta, counts, pair):
    """Write (ln L, ln prior) of ``theta`` into ``pair``, -inf both where the prior is zero or has a pole; what became of it."""
    density = prior(theta, prior_floats, prior_ints, work)
    if not math.isfinite(density):
        pair[0], pair[1] = -math.inf, -math.inf
        return DONE
    value = guarded(function, floats, ints, work, point, places, reject_nan, theta, counts)
    pair[0], pair[1] = value, density
    if math.isnan(value):
        return NOT_A_NUMBER
    return PLUS_INF if value == math.inf else DONE


@kernel(numba.int64(*TARGET, FUNCTION, VECTOR, INTS, MATRIX, MATRIX, INTS))
def log_posteriors(function, floats, ints, work, point, places, reject_nan, prior, prior_floats, prior_ints, thetas, out, counts):
    """(ln L, ln prior) of each row of ``thetas`` into ``out`` (n, 2).

    Returns
    -------
    int
        -1, or the row whose likelihood is NaN or +inf, behind which nothing is evaluated.
    """
    for i in range(thetas.shape[0]):
        status = posterior_at(
            function, floats, ints, work, point, places, reject_nan, prior, prior_floats, prior_ints, thetas[i], counts, out[i]
        )
        if status != DONE:
            return i
    return -1
