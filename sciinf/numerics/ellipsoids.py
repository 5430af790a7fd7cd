"""Ellipsoids around points, one or as many as the points ask for: dynesty's bounds of live points, compiled.

A set of ellipsoids is five arrays, the first index counting ellipsoids: ``centres`` (m, n_dim), ``axes`` (m, n_dim, n_dim) whose columns
are the semi-axes, ``precisions`` (m, n_dim, n_dim) with (x - c)^T P (x - c) <= 1 inside, ``lengths`` (m, n_dim) of the semi-axes in
increasing order, and ``log_volumes`` (m,).

References
----------
The algorithm and its constants are those of dynesty 3.1 (Speagle 2020, MNRAS 493, 3132), after Feroz & Hobson 2008, MNRAS 384, 449:
recursive two-means splits from the ends of the major axis, accepted where the volume falls by more than a BIC-like bar.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.copying import copy_matrix, copy_vector
from sciinf.numerics.jit import INTS, MATRIX, VECTOR, kernel

__all__ = ["CUBE", "contains", "enclose", "enlarge", "pick"]

CUBE = numba.types.Array(numba.float64, 3, "C")

_ROUND_OFF = 1e-3
_LARGEST_CONDITION = 1e12
_RAISED_TO = 10.0
_TRIES = 100
_LEAST_BLEND = 1e-10
_MEANS_STEPS = 10


@kernel(numba.boolean(MATRIX, MATRIX, MATRIX, VECTOR))
def _mended(covariance, axes, precision, lengths):
    """Make ``covariance`` safely positive definite in place; write its axes and inverse. True where it was as it came."""
    n_dim = covariance.shape[0]
    for attempt in range(_TRIES):
        finite = True
        for i in range(n_dim):
            for j in range(n_dim):
                finite &= math.isfinite(covariance[i, j])
        broken = not finite
        if finite:
            values, vectors = np.linalg.eigh(covariance)
            largest, smallest = values[n_dim - 1], values[0]
            broken = not (math.isfinite(largest) and math.isfinite(smallest)) or largest <= 0.0
            if not broken and smallest >= largest / _LARGEST_CONDITION:
                for i in range(n_dim):
                    lengths[i] = math.sqrt(values[i])
                    for j in range(n_dim):
                        axes[i, j] = vectors[i, j] * math.sqrt(values[j])
                        total = 0.0
                        for k in range(n_dim):
                            total += vectors[i, k] * (1.0 / values[k]) * vectors[j, k]
                        precision[i, j] = total
                return attempt == 0
            if not broken:
                for k in range(n_dim):
                    values[k] = max(values[k], _RAISED_TO * largest / _LARGEST_CONDITION)
                for i in range(n_dim):
                    for j in range(n_dim):
                        total = 0.0
                        for k in range(n_dim):
                            total += vectors[i, k] * values[k] * vectors[j, k]
                        covariance[i, j] = total
        if broken:
            blend = _LEAST_BLEND * (1.0 / _LEAST_BLEND) ** (attempt / (_TRIES - 1.0))
            for i in range(n_dim):
                for j in range(n_dim):
                    unit = 1.0 if i == j else 0.0
                    covariance[i, j] = unit if not finite else (1.0 - blend) * covariance[i, j] + blend * unit
    for i in range(n_dim):
        lengths[i] = 1.0
        for j in range(n_dim):
            unit = 1.0 if i == j else 0.0
            covariance[i, j], axes[i, j], precision[i, j] = unit, unit, unit
    return False


@kernel(numba.float64(MATRIX, INTS, numba.int64, numba.int64, VECTOR, MATRIX, VECTOR))
def _furthest(points, index, low, high, centre, precision, shift):
    """Largest (x - c)^T P (x - c) of the points."""
    n_dim, furthest = centre.size, 0.0
    for p in range(low, high):
        for i in range(n_dim):
            shift[i] = points[index[p], i] - centre[i]
        total = 0.0
        for i in range(n_dim):
            row = 0.0
            for j in range(n_dim):
                row += precision[i, j] * shift[j]
            total += shift[i] * row
        furthest = max(furthest, total)
    return furthest


@kernel(numba.float64(MATRIX, INTS, numba.int64, numba.int64, VECTOR, MATRIX, MATRIX, VECTOR))
def _around(points, index, low, high, centre, axes, precision, lengths):
    """The ellipsoid of the covariance's shape that holds the points ``index[low:high]``; its ln volume."""
    n, n_dim = high - low, points.shape[1]
    for i in range(n_dim):
        centre[i] = 0.0
    for p in range(low, high):
        for i in range(n_dim):
            centre[i] += points[index[p], i]
    for i in range(n_dim):
        centre[i] /= n
    covariance, shift = np.zeros((n_dim, n_dim)), np.empty(n_dim)
    for p in range(low, high):
        for i in range(n_dim):
            shift[i] = points[index[p], i] - centre[i]
        for i in range(n_dim):
            for j in range(i + 1):
                covariance[i, j] += shift[i] * shift[j]
    for i in range(n_dim):
        for j in range(i + 1):
            covariance[i, j] /= n - 1
            covariance[j, i] = covariance[i, j]
    bar = 1.0 - _ROUND_OFF
    good = _mended(covariance, axes, precision, lengths)
    furthest = _furthest(points, index, low, high, centre, precision, shift)
    while furthest > bar:
        factor = furthest / bar
        root = math.sqrt(factor)
        for i in range(n_dim):
            lengths[i] *= root
            for j in range(n_dim):
                covariance[i, j] *= factor
                precision[i, j] /= factor
                axes[i, j] *= root
        if good:
            break
        good = _mended(covariance, axes, precision, lengths)
        furthest = _furthest(points, index, low, high, centre, precision, shift)
        good = True
    log_volume = n_dim * math.log(2.0) + n_dim * math.lgamma(1.5) - math.lgamma(0.5 * n_dim + 1.0)
    for i in range(n_dim):
        log_volume += math.log(lengths[i])
    return log_volume


@kernel(numba.int64(MATRIX, INTS, numba.int64, numba.int64, VECTOR, VECTOR, MATRIX, INTS))
def _two_means(points, index, low, high, scale, centre, axes, labels):
    """Lloyd's algorithm for two clusters from the ends of the longest axis, coordinates in units of ``scale``; size of the first."""
    n_dim = points.shape[1]
    ends, sums, sizes = np.empty((2, n_dim)), np.empty((2, n_dim)), np.zeros(2, dtype=np.int64)
    for i in range(n_dim):
        ends[0, i] = (centre[i] - axes[i, n_dim - 1]) / scale[i]
        ends[1, i] = (centre[i] + axes[i, n_dim - 1]) / scale[i]
    for _ in range(_MEANS_STEPS):
        for label in range(2):
            sizes[label] = 0
            for i in range(n_dim):
                sums[label, i] = 0.0
        for p in range(low, high):
            near, far = 0.0, 0.0
            for i in range(n_dim):
                x = points[index[p], i] / scale[i]
                near += (x - ends[0, i]) * (x - ends[0, i])
                far += (x - ends[1, i]) * (x - ends[1, i])
            label = 1 if far < near else 0
            labels[p] = label
            sizes[label] += 1
            for i in range(n_dim):
                sums[label, i] += points[index[p], i] / scale[i]
        for label in range(2):
            if sizes[label] > 0:
                for i in range(n_dim):
                    ends[label, i] = sums[label, i] / sizes[label]
    return sizes[0]


@kernel(numba.float64(VECTOR, numba.int64, numba.int64))
def _log_sum(log_volumes, low, high):
    """Logarithm of the summed volumes."""
    top = -math.inf
    for i in range(low, high):
        top = max(top, log_volumes[i])
    total = 0.0
    for i in range(low, high):
        total += math.exp(log_volumes[i] - top)
    return top + math.log(total)


@kernel(
    numba.int64(
        MATRIX, INTS, numba.int64, numba.int64, VECTOR, INTS, numba.int64, MATRIX, CUBE, CUBE, MATRIX, VECTOR,
    )
)  # fmt: skip
def _split(points, index, low, high, scale, labels, at, centres, axes, precisions, lengths, log_volumes):
    """Replace ellipsoid ``at``, which holds ``index[low:high]``, by smaller ones from ``at`` on where that pays; how many there are."""
    n, n_dim = high - low, points.shape[1]
    least = 2 * n_dim
    if n < 2 * least:
        return 1
    n_first = _two_means(points, index, low, high, scale, centres[at], axes[at], labels)
    if min(n_first, n - n_first) < least:
        return 1
    ordered, first, second = np.empty(n, dtype=np.int64), 0, n_first
    for p in range(low, high):
        if labels[p] == 0:
            ordered[first] = index[p]
            first += 1
        else:
            ordered[second] = index[p]
            second += 1
    copy_vector(ordered, index[low:high])
    middle, own_volume = low + n_first, log_volumes[at]
    own_centre, own_axes, own_precision = centres[at].copy(), axes[at].copy(), precisions[at].copy()
    own_lengths = lengths[at].copy()
    bar = (n_dim * (n_dim + 3)) // 2 * math.log(n) / n
    log_volumes[at] = left = _around(points, index, low, middle, centres[at], axes[at], precisions[at], lengths[at])
    n_left = _split(points, index, low, middle, scale, labels, at, centres, axes, precisions, lengths, log_volumes)
    to = at + n_left
    log_volumes[to] = right = _around(points, index, middle, high, centres[to], axes[to], precisions[to], lengths[to])
    count = n_left + _split(points, index, middle, high, scale, labels, to, centres, axes, precisions, lengths, log_volumes)
    if np.logaddexp(left, right) - own_volume < -bar or _log_sum(log_volumes, at, at + count) - own_volume < -bar * (count - 1):
        return count
    copy_vector(own_centre, centres[at])
    copy_matrix(own_axes, axes[at])
    copy_matrix(own_precision, precisions[at])
    copy_vector(own_lengths, lengths[at])
    log_volumes[at] = own_volume
    return 1


@kernel(numba.int64(MATRIX, INTS, numba.boolean, MATRIX, CUBE, CUBE, MATRIX, VECTOR))
def enclose(points, index, several, centres, axes, precisions, lengths, log_volumes):
    """Ellipsoids around the points ``index`` (at least two) of ``points`` (n, n_dim): one, or ``several`` where they pay; how many.

    The arrays of the set need room for max(1, n // (2 n_dim)) + 1 ellipsoids; ``index`` is reordered.
    """
    n, n_dim = index.size, points.shape[1]
    log_volumes[0] = _around(points, index, 0, n, centres[0], axes[0], precisions[0], lengths[0])
    if not several:
        return 1
    scale, labels = np.empty(n_dim), np.empty(n, dtype=np.int64)
    for i in range(n_dim):
        mean, squares = 0.0, 0.0
        for p in range(n):
            mean += points[index[p], i]
        mean /= n
        for p in range(n):
            squares += (points[index[p], i] - mean) ** 2
        scale[i] = math.sqrt(squares / n)
    return _split(points, index, 0, n, scale, labels, 0, centres, axes, precisions, lengths, log_volumes)


@kernel(numba.void(numba.int64, numba.float64, CUBE, CUBE, MATRIX, VECTOR))
def enlarge(count, log_factor, axes, precisions, lengths, log_volumes):
    """Grow the volume of each of the first ``count`` ellipsoids by exp(``log_factor``); axes stop at half the unit cube's diagonal."""
    n_dim = lengths.shape[1]
    longest = math.log(math.sqrt(n_dim) / 2.0)
    for e in range(count):
        left, n_left = log_factor, n_dim
        free = math.log(lengths[e, n_dim - 1]) < longest - log_factor / n_dim
        for k in range(n_dim - 1, -1, -1):
            grown = log_factor / n_dim
            if not free:
                grown = max(min(longest - math.log(lengths[e, k]), left / n_left), 0.0)
                left -= grown
                n_left -= 1
            factor = math.exp(grown)
            lengths[e, k] *= factor
            for i in range(n_dim):
                axes[e, i, k] *= factor
        for i in range(n_dim):
            for j in range(n_dim):
                total = 0.0
                for k in range(n_dim):
                    total += axes[e, i, k] / lengths[e, k] ** 2 * (axes[e, j, k] / lengths[e, k] ** 2)
                precisions[e, i, j] = total
        log_volumes[e] += log_factor


@kernel(numba.boolean(numba.int64, MATRIX, CUBE, VECTOR))
def contains(count, centres, precisions, x):
    """Whether ``x`` (n_dim,) lies inside one of the first ``count`` ellipsoids."""
    n_dim = x.size
    for e in range(count):
        total = 0.0
        for i in range(n_dim):
            row = 0.0
            for j in range(n_dim):
                row += precisions[e, i, j] * (x[j] - centres[e, j])
            total += (x[i] - centres[e, i]) * row
        if total < 1.0:
            return True
    return False


@kernel(numba.int64(numba.int64, VECTOR, numba.float64))
def pick(count, log_volumes, u):
    """Ellipsoid picked by a uniform number ``u``, with probability proportional to its volume."""
    total, at = 0.0, 0
    norm = _log_sum(log_volumes, 0, count)
    for e in range(count):
        total += math.exp(log_volumes[e] - norm)
        at = e
        if u <= total:
            break
    return at
