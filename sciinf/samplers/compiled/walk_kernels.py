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
from sciinf.samplers.compiled.posterior_kernels import DONE, NOT_A_NUMBER, PLUS_INF, TARGET, guarded

__all__ = ["GENERATOR", "SHRUNK", "SPACE", "ball_point", "evaluate", "inside_cube", "random_walk", "slices"]

GENERATOR = numba.typeof(np.random.default_rng(0))
"""Type of a `numpy.random.Generator`."""

SPACE = (FUNCTION, FUNCTION, VECTOR, INTS, numba.boolean)
"""Types of the prior's side of a proposal: transform, log_prior, floats, ints, and whether a region restricts it."""

SHRUNK = 3
"""A slice shrank to its start without a point inside: the likelihood there is not what it was before."""

_REACHED = -1
_MOST_EXPANSIONS = 1000  # stepping out further than this turns to doubling, as dynesty does


@inline_kernel
def inside_cube(u):
    """Whether every coordinate lies strictly inside (0, 1)."""
    inside = True
    for i in range(u.size):
        inside &= 0.0 < u[i] < 1.0
    return inside


@inline_kernel
def ball_point(rng, out):
    """A point uniform in the unit ball, written into ``out``."""
    n_dim, squares = out.size, 0.0
    for i in range(n_dim):
        out[i] = rng.standard_normal()
        squares += out[i] * out[i]
    factor = rng.random() ** (1.0 / n_dim) / math.sqrt(squares)
    for i in range(n_dim):
        out[i] *= factor


@kernel(numba.float64(*TARGET, *SPACE, VECTOR, VECTOR, INTS))
def evaluate(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted, u, theta, counts
):
    """Ln L at the cube point ``u``, whose parameters are written into ``theta``; -inf outside a restricted prior's region."""
    transform(u, prior_floats, prior_ints, theta)
    if restricted and log_prior(theta, prior_floats, prior_ints, work) == -math.inf:
        counts[1] += 1
        return -math.inf
    return guarded(function, floats, ints, work, point, places, reject_nan, theta, counts)


@inline_kernel
def _verdict(value):
    """Whether a value is one to go on with."""
    if math.isnan(value):
        return NOT_A_NUMBER
    return PLUS_INF if value == math.inf else DONE


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
    Returns `DONE`, or what the likelihood gave at ``theta`` that it must not.
    """
    n_dim = u.size
    step, trial, moved = np.empty(n_dim), np.empty(n_dim), np.empty(n_dim)
    tuning[0], tuning[1] = 0, 0
    for _ in range(walks):
        ball_point(rng, step)
        for i in range(n_dim):
            total = 0.0
            for j in range(n_dim):
                total += axes[i, j] * step[j]
            trial[i] = u[i] + scale * total
        for i in range(periodic.size):
            trial[periodic[i]] -= math.floor(trial[periodic[i]])
        if not inside_cube(trial):
            tuning[1] += 1
            continue
        found = evaluate(
            function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
            trial, moved, counts,
        )  # fmt: skip
        status = _verdict(found)
        if status != DONE:
            copy_vector(moved, theta)
            return status
        if found > bar:
            copy_vector(trial, u)
            copy_vector(moved, theta)
            value[0] = found
            tuning[0] += 1
        else:
            tuning[1] += 1
    return DONE


@kernel(numba.float64(*TARGET, *SPACE, VECTOR, VECTOR, numba.float64, VECTOR, VECTOR, INTS, INTS))
def _along(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    u, direction, x, trial, moved, tuning, counts,
):  # fmt: skip
    """Ln L at u + x direction, -inf outside the cube."""
    tuning[2] += 1
    for i in range(u.size):
        trial[i] = u[i] + x * direction[i]
    if not inside_cube(trial):
        return -math.inf
    return evaluate(
        function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
        trial, moved, counts,
    )  # fmt: skip


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
    """Neal's test (his figure 6) that the doubled interval could have been reached from ``x`` too: `_REACHED` if so, else `DONE`."""
    differs = False
    while right - left > 1.1:
        middle = 0.5 * (left + right)
        differs |= (0.0 < middle <= x) or (x < middle <= 0.0)
        found = _along(
            function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
            u, direction, middle, trial, moved, tuning, counts,
        )  # fmt: skip
        status = _verdict(found)
        if status != DONE:
            return status
        if x < middle:
            right, at_right = middle, found
        else:
            left, at_left = middle, found
        if differs and bar >= at_left and bar >= at_right:
            return DONE
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
    if _verdict(at_left) != DONE:
        copy_vector(moved, theta)
        return _verdict(at_left)
    at_right = _along(
        function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
        u, direction, right, trial, moved, tuning, counts,
    )  # fmt: skip
    if _verdict(at_right) != DONE:
        copy_vector(moved, theta)
        return _verdict(at_right)
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
            status = _verdict(at_left)
        else:
            right += reach
            at_right = _along(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                u, direction, right, trial, moved, tuning, counts,
            )  # fmt: skip
            status = _verdict(at_right)
        if status != DONE:
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
        status = _verdict(found)
        if status != DONE:
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
            if status != DONE:
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
    return DONE


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
            if status != DONE:
                return status
    return DONE
