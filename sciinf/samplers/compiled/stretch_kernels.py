"""emcee's ensemble step in compiled form: the stretch move and the differential-evolution move, with emcee's draws in emcee's order.

References
----------
Goodman & Weare 2010, CAMCoS 5, 65 (stretch); Foreman-Mackey et al. 2013, PASP 125, 306 (two halves); ter Braak 2006, Stat. Comput. 16,
239 and Nelson et al. 2014, ApJS 210, 11 (differential evolution). The order of the draws is that of emcee 3.1.6.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.copying import copy_matrix, copy_vector
from sciinf.numerics.jit import FUNCTION, INTS, MATRIX, VECTOR, inline_kernel, kernel
from sciinf.numerics.legacy_random import WORDS, bounded, gaussian, shuffle, uniform
from sciinf.samplers.compiled.posterior_kernels import CALLS, FINITE, REJECTED, TARGET, kind_of

__all__ = ["DIFFERENTIAL_EVOLUTION", "FINISHED", "STRETCH", "TIE", "WRONG_VALUE", "log_posteriors", "steps"]

STRETCH, DIFFERENTIAL_EVOLUTION = 0, 1
FINISHED, TIE, WRONG_VALUE = 0, 1, 2
"""Why `steps` returned: all steps made, or no calls left; a proposal too near to its bar; a likelihood of NaN or +inf."""

_STRETCH_SCALE = 2.0  # emcee's defaults
_SPREAD = 1.0e-5
_CUBE = numba.types.Array(numba.float64, 3, "C")


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


@inline_kernel
def _propose_stretch(key, place, coords, movers, others, proposals, factors):
    """Goodman & Weare: along the line to a walker of the other half, by z with density 1/sqrt(z) on [1/2, 2]."""
    n_dim = coords.shape[1]
    for i in range(movers.size):
        root = (_STRETCH_SCALE - 1.0) * uniform(key, place) + 1.0
        factors[i] = root * root / _STRETCH_SCALE
    for i in range(movers.size):
        partner, z = others[bounded(key, place, others.size - 1)], factors[i]
        for k in range(n_dim):
            c = coords[partner, k]
            proposals[i, k] = c - (c - coords[movers[i], k]) * z
        factors[i] = (n_dim - 1.0) * math.log(z)


@inline_kernel
def _propose_evolution(key, place, held, coords, movers, others, proposals, factors, pairs):
    """Differential evolution: along the difference of two walkers of the other half, by 2.38 / sqrt(2 n_dim), slightly spread."""
    n_dim, n_others = coords.shape[1], others.size
    half = n_others * (n_others - 1) // 2
    length = 2.38 / math.sqrt(2 * n_dim)
    for i in range(movers.size):
        pairs[i] = bounded(key, place, 2 * half - 1)
    for i in range(movers.size):
        gamma = length * (1 + _SPREAD * gaussian(key, place, held))
        index = pairs[i] % half  # below the diagonal, row by row; then above it in the same order
        row = int((1.0 + math.sqrt(1.0 + 8.0 * index)) / 2.0)
        while row * (row - 1) // 2 > index:
            row -= 1
        while row * (row + 1) // 2 <= index:
            row += 1
        first, second = others[row], others[index - row * (row - 1) // 2]
        if pairs[i] >= half:
            first, second = second, first
        for k in range(n_dim):
            proposals[i, k] = coords[movers[i], k] + gamma * (coords[second, k] - coords[first, k])
        factors[i] = 0.0


@kernel(
    numba.int64(
        *TARGET, FUNCTION, VECTOR, INTS, numba.int64, MATRIX, MATRIX, WORDS, INTS, VECTOR,
        _CUBE, MATRIX, _CUBE, INTS, INTS, numba.int64, numba.float64, VECTOR, INTS,
    )
)  # fmt: skip
def steps(
    function, floats, ints, work, point, places, reject_nan, prior, prior_floats, prior_ints, move, coords, values, key, place, held,
    chain, log_prob, blobs, accepted, counts, most_calls, band, trouble, why,
):  # fmt: skip
    """Up to ``chain.shape[0]`` steps of an ensemble.

    Parameters
    ----------
    function ... prior_ints
        The posterior, as `CompiledProblem` holds it.
    move : int
        `STRETCH` or `DIFFERENTIAL_EVOLUTION`.
    coords, values : (n_walkers, n_dim) and (n_walkers, 2) float64 arrays
        Walkers and their (ln L, ln prior); replaced.
    key, place, held : arrays
        Generator, see `sciinf.numerics.legacy_random`; advanced.
    chain, log_prob, blobs : (n_steps, n_walkers, n_dim), (n_steps, n_walkers) and (n_steps, n_walkers, 2) float64 arrays
        Where each step is written.
    accepted : (n_walkers,) int64 array
        Accepted proposals are added.
    counts : (3,) int64 array
        Calls, -inf and rejections are added.
    most_calls : int
        No step begins once ``counts`` has this many calls.
    band : float
        Proposals whose acceptance hangs on less than this, in units of 1 + |ln posterior|, are a `TIE`: the step is undone and left to
        the caller, who decides with numpy's logarithm, from which the C library's differs in the last bit now and then.
    trouble : (n_dim,) float64 array
        Takes the point of a `WRONG_VALUE`.
    why : (1,) int64 array
        Takes the reason of the return.

    Returns
    -------
    int
        Steps made.
    """
    n_walkers, n_dim = coords.shape
    half = n_walkers // 2
    colours = np.empty(n_walkers, dtype=np.int64)
    movers, others, pairs = np.empty(half, dtype=np.int64), np.empty(half, dtype=np.int64), np.empty(half, dtype=np.int64)
    proposals, found, factors = np.empty((half, n_dim)), np.empty((half, 2)), np.empty(half)
    old_coords, old_values, old_key = np.empty_like(coords), np.empty_like(values), np.empty_like(key)
    old_place, old_counts, old_accepted = np.empty_like(place), np.empty_like(counts), np.empty_like(accepted)
    why[0] = FINISHED
    for step in range(chain.shape[0]):
        if counts[CALLS] >= most_calls:
            return step
        copy_matrix(coords, old_coords)
        copy_matrix(values, old_values)
        copy_vector(key, old_key)
        copy_vector(place, old_place)
        copy_vector(counts, old_counts)
        copy_vector(accepted, old_accepted)
        old_held = held[0]
        uniform(key, place)  # the choice among one move
        for i in range(n_walkers):
            colours[i] = i % 2
        shuffle(key, place, colours)
        for colour in range(2):
            n_movers, n_others = 0, 0
            for i in range(n_walkers):
                if colours[i] == colour:
                    movers[n_movers] = i
                    n_movers += 1
                else:
                    others[n_others] = i
                    n_others += 1
            if move == STRETCH:
                _propose_stretch(key, place, coords, movers, others, proposals, factors)
            else:
                _propose_evolution(key, place, held, coords, movers, others, proposals, factors, pairs)
            for i in range(half):
                density, value = prior(proposals[i], prior_floats, prior_ints, work), -math.inf
                if math.isfinite(density):
                    for k in range(n_dim):
                        point[places[k]] = proposals[i, k]
                    counts[CALLS] += 1
                    value = function(point, floats, ints, work)
                    kind = kind_of(value, reject_nan)
                    if kind > REJECTED:
                        for k in range(n_dim):
                            trouble[k] = proposals[i, k]
                        why[0] = WRONG_VALUE
                        return step
                    if kind != FINITE:
                        counts[kind] += 1
                        value = -math.inf
                else:
                    density = -math.inf
                found[i, 0], found[i, 1] = value, density
            for i in range(half):
                j, new = movers[i], found[i, 0] + found[i, 1]
                margin = factors[i] + new - (values[j, 0] + values[j, 1]) - math.log(uniform(key, place))
                if abs(margin) < band * (1.0 + abs(new)):
                    copy_matrix(old_coords, coords)
                    copy_matrix(old_values, values)
                    copy_vector(old_key, key)
                    copy_vector(old_place, place)
                    copy_vector(old_counts, counts)
                    copy_vector(old_accepted, accepted)
                    held[0] = old_held
                    why[0] = TIE
                    return step
                if margin > 0.0:
                    for k in range(n_dim):
                        coords[j, k] = proposals[i, k]
                    values[j, 0], values[j, 1] = found[i, 0], found[i, 1]
                    accepted[j] += 1
        copy_matrix(coords, chain[step])
        copy_matrix(values, blobs[step])
        for i in range(n_walkers):
            log_prob[step, i] = values[i, 0] + values[i, 1]
    return chain.shape[0]
