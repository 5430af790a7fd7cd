"""dynesty's proposals inside a likelihood constraint, compiled: random walk, random slices, slices along the axes.

Each starts at a live point ``u`` of the unit cube and moves it inside ln L > ``bar``; each returns how many steps or slices it made, in
the numbers by which dynesty tunes the scale. Draws come from a `numpy.random.Generator`, whose stream numba and numpy share.

References
----------
The algorithms are those of dynesty 3.1 (Speagle 2020, MNRAS 493, 3132): Skilling 2006, Bayesian Anal. 1, 833 (walks in the bound's
shape); Neal 2003, Ann. Stat. 31, 705 (slices, stepping out and doubling).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.copying import copy_vector
from sciinf.numerics.jit import FUNCTION, INTS, MATRIX, VECTOR, inline_kernel, kernel
from sciinf.samplers.compiled.posterior_kernels import CALLS, FINITE, MINUS_INF, NOT_A_NUMBER, PLUS_INF, REJECTED, TARGET, kind_of

__all__ = ["GENERATOR", "SHRUNK", "SPACE", "evaluate_each", "random_walk", "slices"]

GENERATOR = numba.typeof(np.random.default_rng(0))
"""Type of a `numpy.random.Generator`."""

SPACE = (FUNCTION, FUNCTION, VECTOR, INTS, numba.boolean)
"""Types of the prior's side of a proposal: transform, log_prior, floats, ints, and whether a region restricts it."""

SHRUNK = 5
"""A slice shrank to its start without a point inside: the likelihood there is not what it was before."""

_REACHED = -1
_MOST_EXPANSIONS = 1000  # stepping out further than this turns to doubling, as dynesty does


@kernel(numba.int64(*TARGET, *SPACE, MATRIX, MATRIX, VECTOR, INTS))
def evaluate_each(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    units, thetas, values, counts,
):  # fmt: skip
    """Parameters and ln L of each row of ``units`` (n, n_dim), into ``thetas`` and ``values`` (n,); -inf outside a prior's region.

    Returns -1, or the row whose likelihood is NaN or +inf, behind which nothing is evaluated.
    """
    for i in range(values.size):
        transform(units[i], prior_floats, prior_ints, thetas[i])
        values[i] = -math.inf
        if restricted and log_prior(thetas[i], prior_floats, prior_ints, work) == -math.inf:
            counts[MINUS_INF] += 1
            continue
        for k in range(places.size):
            point[places[k]] = thetas[i, k]
        counts[CALLS] += 1
        value = function(point, floats, ints, work)
        kind = kind_of(value, reject_nan)
        if kind > REJECTED:
            return i
        if kind == FINITE:
            values[i] = value
        else:
            counts[kind] += 1
    return -1


@kernel(
    numba.int64(
        *TARGET, *SPACE, GENERATOR, numba.int64, numba.float64, numba.float64, MATRIX, INTS, VECTOR, VECTOR, VECTOR, INTS, INTS
    )
)  # fmt: skip
def random_walk(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    rng, walks, bar, scale, axes, periodic, u, theta, value, tuning, counts,
):  # fmt: skip
    """``walks`` steps uniform in the ellipsoid ``scale`` times ``axes`` about the walker.

    ``u``, ``theta`` and ``value`` (1,) hold the live point and take the last accepted one; ``tuning`` takes (accepted, rejected).
    Returns `FINITE`, or what the likelihood gave at ``theta`` that it must not.
    """
    n_dim = u.size
    step, trial, moved, rows = np.empty(n_dim), np.empty(n_dim), np.empty(n_dim), np.empty((n_dim, n_dim))
    for i in range(n_dim):
        for j in range(n_dim):
            rows[j, i] = scale * axes[i, j]
    tuning[0], tuning[1] = 0, 0
    for _ in range(walks):
        squares = 0.0
        for i in range(n_dim):
            step[i] = rng.standard_normal()
            squares += step[i] * step[i]
        length = rng.random() ** (1.0 / n_dim) / math.sqrt(squares)  # of a point uniform in the ball
        for i in range(n_dim):
            step[i] *= length
            trial[i] = u[i]
        for j in range(n_dim):  # axis by axis: sums over neighbours in memory
            for i in range(n_dim):
                trial[i] += rows[j, i] * step[j]
        for i in range(periodic.size):
            trial[periodic[i]] -= math.floor(trial[periodic[i]])
        inside = True
        for i in range(n_dim):
            inside &= 0.0 < trial[i] < 1.0
        if not inside:
            tuning[1] += 1
            continue
        transform(trial, prior_floats, prior_ints, moved)
        if restricted and log_prior(moved, prior_floats, prior_ints, work) == -math.inf:
            counts[MINUS_INF] += 1
            tuning[1] += 1
            continue
        for k in range(n_dim):
            point[places[k]] = moved[k]
        counts[CALLS] += 1
        found = function(point, floats, ints, work)
        kind = kind_of(found, reject_nan)
        if kind != FINITE:
            if kind > REJECTED:
                for k in range(n_dim):
                    theta[k] = moved[k]
                return kind
            counts[kind] += 1
            found = -math.inf
        if found > bar:
            for k in range(n_dim):
                u[k], theta[k] = trial[k], moved[k]
            value[0] = found
            tuning[0] += 1
        else:
            tuning[1] += 1
    return FINITE


@inline_kernel
def _wrong(value):
    """`FINITE` where a slice can go on with a value, -inf included."""
    if math.isnan(value):
        return NOT_A_NUMBER
    return PLUS_INF if value == math.inf else FINITE


@kernel(numba.float64(*TARGET, *SPACE, VECTOR, VECTOR, numba.float64, VECTOR, VECTOR, INTS, INTS))
def _along(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    u, direction, x, trial, moved, tuning, counts,
):  # fmt: skip
    """Ln L at u + x direction, -inf outside the cube; NaN and +inf as they come."""
    tuning[2] += 1
    for i in range(u.size):
        trial[i] = u[i] + x * direction[i]
        if not 0.0 < trial[i] < 1.0:
            return -math.inf
    transform(trial, prior_floats, prior_ints, moved)
    if restricted and log_prior(moved, prior_floats, prior_ints, work) == -math.inf:
        counts[MINUS_INF] += 1
        return -math.inf
    for k in range(places.size):
        point[places[k]] = moved[k]
    counts[CALLS] += 1
    value = function(point, floats, ints, work)
    kind = kind_of(value, reject_nan)
    if FINITE < kind <= REJECTED:
        counts[kind] += 1
        value = -math.inf
    return value


@kernel(
    numba.int64(
        *TARGET, *SPACE, numba.float64, VECTOR, VECTOR, numba.float64, numba.float64, numba.float64, numba.float64, numba.float64,
        VECTOR, VECTOR, INTS, INTS,
    )
)  # fmt: skip
def _doubled_to(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    bar, direction, u, x, left, right, at_left, at_right, trial, moved, tuning, counts,
):  # fmt: skip
    """Neal's test (his figure 6) that the doubled interval could have been reached from ``x`` too: `_REACHED` if so, else `FINITE`."""
    differs = False
    while right - left > 1.1:
        middle = 0.5 * (left + right)
        differs |= (0.0 < middle <= x) or (x < middle <= 0.0)
        found = _along(
            function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
            u, direction, middle, trial, moved, tuning, counts,
        )  # fmt: skip
        status = _wrong(found)
        if status != FINITE:
            return status
        if x < middle:
            right, at_right = middle, found
        else:
            left, at_left = middle, found
        if differs and bar >= at_left and bar >= at_right:
            return FINITE
    return _REACHED


@kernel(
    numba.int64(
        *TARGET, *SPACE, GENERATOR, numba.float64, VECTOR, VECTOR, VECTOR, VECTOR, INTS, INTS, VECTOR, VECTOR
    )
)  # fmt: skip
def _one_slice(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    rng, bar, direction, u, theta, value, tuning, counts, trial, moved,
):  # fmt: skip
    """Move ``u`` along ``direction`` to a uniform point of the slice ln L > ``bar``: an interval found, then shrunk."""
    left = -rng.random()
    right = 1.0 + left
    at_left = _along(
        function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
        u, direction, left, trial, moved, tuning, counts,
    )  # fmt: skip
    if _wrong(at_left) != FINITE:
        copy_vector(moved, theta)
        return _wrong(at_left)
    at_right = _along(
        function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
        u, direction, right, trial, moved, tuning, counts,
    )  # fmt: skip
    if _wrong(at_right) != FINITE:
        copy_vector(moved, theta)
        return _wrong(at_right)
    doubling, expansions, doubled = tuning[3] != 0, 0, 1
    while at_left > bar or at_right > bar:
        if doubling:
            go_left = rng.random() < 0.5
            reach = right - left
            expansions += doubled
            doubled *= 2
        else:
            go_left = at_left > bar
            reach = 1.0
            expansions += 1
        if go_left:
            left -= reach
            at_left = _along(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                u, direction, left, trial, moved, tuning, counts,
            )  # fmt: skip
            status = _wrong(at_left)
        else:
            right += reach
            at_right = _along(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                u, direction, right, trial, moved, tuning, counts,
            )  # fmt: skip
            status = _wrong(at_right)
        if status != FINITE:
            copy_vector(moved, theta)
            return status
    tuning[0] += expansions
    if expansions > _MOST_EXPANSIONS:
        tuning[3] = 1
    whole_left, whole_right = left, right
    while True:
        x = left + rng.random() * (right - left)
        found = _along(
            function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
            u, direction, x, trial, moved, tuning, counts,
        )  # fmt: skip
        tuning[1] += 1
        status = _wrong(found)
        if status != FINITE:
            copy_vector(moved, theta)
            return status
        if found > bar:
            if not doubling:
                break
            status = _doubled_to(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                bar, direction, u, x, whole_left, whole_right, at_left, at_right, trial, moved, tuning, counts,
            )  # fmt: skip
            if status == _REACHED:
                for i in range(u.size):
                    trial[i] = u[i] + x * direction[i]
                transform(trial, prior_floats, prior_ints, moved)
                break
            if status != FINITE:
                copy_vector(moved, theta)
                return status
        if x < 0.0:
            left = x
        elif x > 0.0:
            right = x
        else:
            return SHRUNK
    copy_vector(trial, u)
    copy_vector(moved, theta)
    value[0] = found
    return FINITE


@kernel(
    numba.int64(
        *TARGET, *SPACE, GENERATOR, numba.int64, numba.boolean, numba.float64, numba.float64, MATRIX,
        VECTOR, VECTOR, VECTOR, INTS, INTS,
    )
)  # fmt: skip
def slices(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    rng, n_slices, along_axes, bar, scale, axes, u, theta, value, tuning, counts,
):  # fmt: skip
    """``n_slices`` slices along random directions in the ellipsoid's metric, or as many times one along each of its axes.

    ``tuning`` takes (expansions, contractions, points tried) and holds in its last entry whether intervals double instead of
    stepping out, which it turns to after 1,000 expansions of one interval.
    """
    n_dim = u.size
    direction, trial, moved, order = np.empty(n_dim), np.empty(n_dim), np.empty(n_dim), np.arange(n_dim)
    tuning[0], tuning[1], tuning[2] = 0, 0, 0
    longest = math.sqrt(n_dim) / 2.0
    for _ in range(n_slices):
        if along_axes:
            for i in range(n_dim - 1, 0, -1):
                j = int(rng.random() * (i + 1))
                order[i], order[j] = order[j], order[i]
        for which in range(n_dim if along_axes else 1):
            squares = 0.0
            if along_axes:
                for i in range(n_dim):
                    direction[i] = scale * axes[i, order[which]]
            else:
                for i in range(n_dim):
                    trial[i] = rng.standard_normal()
                    squares += trial[i] * trial[i]
                for i in range(n_dim):
                    total = 0.0
                    for j in range(n_dim):
                        total += axes[i, j] * trial[j]
                    direction[i] = total / math.sqrt(squares) * scale
            squares = 0.0
            for i in range(n_dim):
                squares += direction[i] * direction[i]
            length = math.sqrt(squares)
            if length > longest:
                for i in range(n_dim):
                    direction[i] /= length / longest
            status = _one_slice(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                rng, bar, direction, u, theta, value, tuning, counts, trial, moved,
            )  # fmt: skip
            if status != FINITE:
                return status
    return FINITE
