"""dynesty's static nested loop, compiled: the same bounds, proposals, tuning, queue, plateau rule and stopping rule.

The state lives in arrays that the caller keeps between calls and writes into checkpoints: ``numbers`` and ``flags`` at the places
named below, the live points, the queue of proposals and the ellipsoids.

References
----------
Skilling 2006, Bayesian Anal. 1, 833; Speagle 2020, MNRAS 493, 3132; Fowlie, Handley & Su 2021, MNRAS 503, 1199 (plateaus). The order
of decisions is that of dynesty 3.1.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.copying import copy_vector
from sciinf.numerics.ellipsoids import CUBE, contains, enclose, enlarge, pick
from sciinf.numerics.jit import INTS, MATRIX, VECTOR, inline_kernel, kernel
from sciinf.samplers.compiled.posterior_kernels import CALLS, FINITE, MINUS_INF, REJECTED, TARGET, kind_of
from sciinf.samplers.compiled.walk_kernels import GENERATOR, SHRUNK, SPACE, random_walk, slices

__all__ = [
    "BOUND", "CONVERGED", "GOING_ON", "LOG_VOLUME", "LOWEST", "N_FLAGS", "N_NUMBERS", "N_OPTIONS", "advance",
]  # fmt: skip

LOWEST = -1e300
"""dynesty's stand-in for ln L = -inf; what is not above it counts as zero, and no live point lies there."""

# places in ``numbers`` (float64)
LOG_VOLUME, LOG_Z, LOG_L_STAR, SCALE, PLATEAU_STEP, DELTA_LOG_Z = range(6)
N_NUMBERS = 6

# places in ``flags`` (int64)
ITERATIONS, N_CALLS, LAST_UPDATE, IN_CUBE, PLATEAU_LEFT, N_QUEUED, QUEUE_AT, COUNT_A, COUNT_B, DOUBLING, N_ELLIPSOIDS = range(11)
N_FLAGS = 11

# places in ``options`` (int64), behind which stand the places of the periodic parameters
BOUND, PROPOSAL, STEPS, QUEUE_SIZE = range(4)
N_OPTIONS = 4
NO_BOUND, _, MULTI = range(3)  # in the order of `choice.BOUNDS`
RANDOM_WALK, _, AXIS_SLICES = range(3)  # in the order of `choice.PROPOSALS`

GOING_ON, CONVERGED, PLATEAU = 0, -1, -2
"""Why `advance` returned beside the statuses of a wrong likelihood value: the records are full or the calls spent; by the stopping
rule; the live points have all one likelihood."""
STUCK = SHRUNK
"""No live point lies above the bar, or a slice found nothing."""

_ENLARGE = 1.25  # dynesty's defaults
_TARGET_ACCEPTANCE = 0.5
_LEAST_EFFICIENCY = 10.0


@inline_kernel
def _log_add(a, b):
    """ln(e^a + e^b)."""
    high = max(a, b)
    return high if high == -math.inf else high + math.log1p(math.exp(min(a, b) - high))


@inline_kernel
def _rebound(live_units, flags, options, centres, axes, precisions, lengths, log_volumes):
    """Ellipsoids around the live points, which all have a likelihood; the cube is left for good."""
    flags[IN_CUBE] = 0
    if options[BOUND] == NO_BOUND:
        return
    index = np.arange(live_units.shape[0])
    flags[N_ELLIPSOIDS] = enclose(live_units, index, options[BOUND] == MULTI, centres, axes, precisions, lengths, log_volumes)
    enlarge(flags[N_ELLIPSOIDS], math.log(_ENLARGE), axes, precisions, lengths, log_volumes)


@inline_kernel
def _rebound_if_due(n_calls, live_units, flags, options, centres, axes, precisions, lengths, log_volumes):
    """dynesty's two occasions in a static run: the cube has become inefficient; the interval is over."""
    n_live, n_dim = live_units.shape
    if flags[IN_CUBE]:
        due = 100.0 * flags[ITERATIONS] / flags[N_CALLS] < _LEAST_EFFICIENCY and n_calls >= 2 * n_live
    else:
        ratio = options[STEPS]
        if options[PROPOSAL] == AXIS_SLICES:
            ratio *= n_dim
        due = n_calls >= ratio * n_live + flags[LAST_UPDATE]
    if due:
        _rebound(live_units, flags, options, centres, axes, precisions, lengths, log_volumes)
        flags[LAST_UPDATE] = n_calls


@inline_kernel
def _fill_queue(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    rng, bar, live_units, live_thetas, live_values, queue_units, queue_thetas, queue_values, queue_calls,
    numbers, flags, options, centres, axes, precisions, lengths, log_volumes, counts,
):  # fmt: skip
    """``queue_size`` proposals from live points above ``bar``, all with the bounds and the scale of now.

    Where the likelihood gives what it must not, the point stands in ``queue_thetas[0]``. (Calls of more than 30 arguments go through a
    tuple, in which numba warns of functions: hence no more than these.)
    """
    n_live, n_dim = live_units.shape
    above, tuning, cube = np.empty(n_live, dtype=np.int64), np.zeros(4, dtype=np.int64), np.eye(n_dim)
    n_above = 0
    for i in range(n_live):
        if live_values[i] > bar:
            above[n_above] = i
            n_above += 1
    if n_above == 0:
        return STUCK
    for q in range(options[QUEUE_SIZE]):
        if flags[IN_CUBE]:
            tried = 0
            while True:
                for i in range(n_dim):
                    queue_units[q, i] = rng.random()
                transform(queue_units[q], prior_floats, prior_ints, queue_thetas[q])
                if restricted and log_prior(queue_thetas[q], prior_floats, prior_ints, work) == -math.inf:
                    counts[MINUS_INF] += 1
                    continue
                for k in range(n_dim):
                    point[places[k]] = queue_thetas[q, k]
                counts[CALLS] += 1
                found = function(point, floats, ints, work)
                tried += 1
                kind = kind_of(found, reject_nan)
                if kind != FINITE:
                    if kind > REJECTED:
                        copy_vector(queue_thetas[q], queue_thetas[0])
                        return kind
                    counts[kind] += 1
                    found = -math.inf
                if found > bar:
                    break
            queue_values[q] = found
            queue_calls[3 * q], queue_calls[3 * q + 1], queue_calls[3 * q + 2] = tried, 0, 0
            continue
        start = above[min(int(rng.random() * n_above), n_above - 1)]
        shape = cube
        if options[BOUND] != NO_BOUND:
            if not contains(flags[N_ELLIPSOIDS], centres, precisions, live_units[start]):
                _rebound(live_units, flags, options, centres, axes, precisions, lengths, log_volumes)
                flags[LAST_UPDATE] = flags[N_CALLS]
            chosen = 0
            if options[BOUND] == MULTI:
                chosen = pick(flags[N_ELLIPSOIDS], log_volumes, rng.random())
            shape = axes[chosen]
        copy_vector(live_units[start], queue_units[q])
        copy_vector(live_thetas[start], queue_thetas[q])
        queue_values[q] = live_values[start]
        tuning[3] = flags[DOUBLING]
        if options[PROPOSAL] == RANDOM_WALK:
            status = random_walk(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                rng, options[STEPS], bar, numbers[SCALE], shape, options[N_OPTIONS:],
                queue_units[q], queue_thetas[q], queue_values[q : q + 1], tuning, counts,
            )  # fmt: skip
            queue_calls[3 * q] = options[STEPS]
        else:
            status = slices(
                function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                rng, options[STEPS], options[PROPOSAL] == AXIS_SLICES, bar, numbers[SCALE], shape,
                queue_units[q], queue_thetas[q], queue_values[q : q + 1], tuning, counts,
            )  # fmt: skip
            queue_calls[3 * q] = tuning[2]
            flags[DOUBLING] = tuning[3]
        if status != FINITE:
            copy_vector(queue_thetas[q], queue_thetas[0])
            return status
        queue_calls[3 * q + 1], queue_calls[3 * q + 2] = tuning[0], tuning[1]
    flags[N_QUEUED], flags[QUEUE_AT] = options[QUEUE_SIZE], 0
    return FINITE


@inline_kernel
def _tune(numbers, flags, options, n_dim, first, second, update):
    """Accumulate what proposals tell, and at the end of a queue set the scale by it."""
    flags[COUNT_A] += first
    flags[COUNT_B] += second
    if not update:
        return
    a, b = flags[COUNT_A], flags[COUNT_B]
    if options[PROPOSAL] == RANDOM_WALK:
        wanted = min(1.0, max(1.0 / options[STEPS], _TARGET_ACCEPTANCE))
        numbers[SCALE] *= math.exp((a / (a + b) - wanted) / n_dim / wanted)
    else:
        expansions = max(a, 1)
        numbers[SCALE] *= min(max(2.0 * expansions / (expansions + b), 0.5), 2.0)
    flags[COUNT_A], flags[COUNT_B] = 0, 0


@kernel(
    numba.int64(
        *TARGET, *SPACE, GENERATOR, numba.float64, MATRIX, MATRIX, VECTOR, MATRIX, MATRIX, VECTOR, INTS,
        VECTOR, INTS, INTS, MATRIX, CUBE, CUBE, MATRIX, VECTOR, INTS, numba.int64, MATRIX, VECTOR, VECTOR, INTS, INTS,
    )
)  # fmt: skip
def advance(
    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
    rng, dlogz, live_units, live_thetas, live_values, queue_units, queue_thetas, queue_values, queue_calls,
    numbers, flags, options, centres, axes, precisions, lengths, log_volumes, counts, most_calls,
    dead_thetas, dead_values, dead_log_volumes, dead_slots, why,
):  # fmt: skip
    """Up to ``dead_values.size`` iterations; how many were made, and in ``why`` (1,) the reason to stop."""
    n_live, n_dim = live_units.shape
    shrinkage = math.log((n_live + 1.0) / n_live)
    why[0] = GOING_ON
    for it in range(dead_values.size):
        if counts[CALLS] >= most_calls:
            return it
        worst, n_worst, best = 0, 0, live_values[0]
        lowest = live_values[0]
        for i in range(n_live):
            value = live_values[i]
            if value < lowest:
                lowest, worst, n_worst = value, i, 0
            if value == lowest:
                n_worst += 1
            best = max(best, value)
        log_volume = numbers[LOG_VOLUME]
        numbers[DELTA_LOG_Z] = _log_add(0.0, best + log_volume - numbers[LOG_Z])
        if numbers[DELTA_LOG_Z] < dlogz:
            why[0] = CONVERGED
            return it
        if best == lowest:
            why[0] = PLATEAU
            return it
        if flags[PLATEAU_LEFT] == 0 and n_worst > 1:
            flags[PLATEAU_LEFT] = n_worst
            numbers[PLATEAU_STEP] = log_volume - math.log(n_live + 1.0)
        step = shrinkage
        if flags[PLATEAU_LEFT] > 0:
            step = -math.log1p(-math.exp(numbers[PLATEAU_STEP] - log_volume))
        n_calls = flags[N_CALLS]
        while True:
            if flags[N_QUEUED] == 0:
                status = _fill_queue(
                    function, floats, ints, work, point, places, reject_nan, transform, log_prior, prior_floats, prior_ints, restricted,
                    rng, lowest, live_units, live_thetas, live_values, queue_units, queue_thetas, queue_values, queue_calls,
                    numbers, flags, options, centres, axes, precisions, lengths, log_volumes, counts,
                )  # fmt: skip
                if status != FINITE:
                    why[0] = status
                    return it
            q = flags[QUEUE_AT]
            flags[QUEUE_AT] += 1
            flags[N_QUEUED] -= 1
            n_calls += queue_calls[3 * q]
            if not flags[IN_CUBE]:
                _tune(numbers, flags, options, n_dim, queue_calls[3 * q + 1], queue_calls[3 * q + 2], flags[N_QUEUED] == 0)
            if flags[N_QUEUED] == 0:
                _rebound_if_due(n_calls, live_units, flags, options, centres, axes, precisions, lengths, log_volumes)
            if queue_values[q] > lowest:
                break
        flags[N_CALLS] = n_calls
        log_volume -= step
        log_shell = log_volume + math.log(0.5 * math.expm1(step))
        log_weight = _log_add(lowest, numbers[LOG_L_STAR]) + log_shell
        numbers[LOG_Z] = _log_add(numbers[LOG_Z], log_weight)
        numbers[LOG_VOLUME], numbers[LOG_L_STAR] = log_volume, lowest
        copy_vector(live_thetas[worst], dead_thetas[it])
        dead_values[it], dead_log_volumes[it], dead_slots[it] = lowest, log_volume, worst
        copy_vector(queue_units[q], live_units[worst])
        copy_vector(queue_thetas[q], live_thetas[worst])
        live_values[worst] = queue_values[q]
        flags[ITERATIONS] += 1
        if flags[PLATEAU_LEFT] > 0:
            flags[PLATEAU_LEFT] -= 1
    return dead_values.size
