"""Compiled parts of the scan: scores of single teeth on a fine frequency grid, and their sums over combs of every spacing and offset.

At one width, one cut and given phases between detectors, a tooth's share in ln L depends on its centre and the amplitude alone. So a table
over centres serves all combs, and for all offsets at once: those of tooth n are neighbours in the table (derived here).
"""

from __future__ import annotations

import math

import numpy as np
from numba import float32, float64, int64, types

from sciinf.engines.echo.amplitude_kernels import log_shape, maximum
from sciinf.engines.echo.condensed_kernels import E_SUM, LIMIT
from sciinf.engines.echo.kernels import BIN, DURATION, FIRST_BIN, N_BINS, N_DETECTORS, N_FLOATS, N_SUMS, PHASE, WHITTLE, collect
from sciinf.numerics.bessel import log_i0
from sciinf.numerics.jit import INTS, MATRIX, VECTOR, inline_kernel, kernel

__all__ = ["LEAST_TEETH", "profiles_many", "sweep", "tooth_scores", "tooth_sums"]

LEAST_TEETH = 10
"""Teeth that a sampled band holds at least."""

_EDGE = 1.0 - 1e-9
_TWO_PI = 2.0 * math.pi
_SCORES = types.Array(float32, 2, "C")
_RANGES = types.Array(int64, 2, "C")
_ROW = types.Array(float32, 1, "C")
_TABLE = types.Array(float32, 3, "C")


@kernel(types.UniTuple(int64, 2)(float64, float64, float64, VECTOR, INTS))
def _window(centre, cut, df, floats, ints):
    """First and last bin of the data, counted from its first, within ``cut`` (rad/s) of a centre in Hz."""
    half, first_bin = cut / _TWO_PI, ints[FIRST_BIN]
    first = max(math.ceil((centre - half) / df), first_bin)
    last = min(math.floor((centre + half) / df), first_bin + ints[N_BINS] - 1)
    return first - first_bin, last - first_bin


@kernel(MATRIX(VECTOR, float64, float64, VECTOR, VECTOR, INTS, MATRIX))
def tooth_sums(centres, width, cut, phases, floats, ints, each):
    """Per centre (Hz): K (of the bins summed without phase for "bin"; X for "whittle") and E of a tooth of unit amplitude, (2, n).

    ``cut`` in rad/s, ``phases`` of the detectors after the first in rad. ``each`` (n, most bins) is filled with the bins' own K for "bin".
    """
    df = 1.0 / floats[DURATION]
    n_bins, n_detectors, phase = ints[N_BINS], ints[N_DETECTORS], ints[PHASE]
    v_at = N_FLOATS + 2 * n_detectors * n_bins
    decay, w2, inside = math.exp(-width * floats[DURATION]), width * width, cut * _EDGE
    out = np.zeros((2, centres.size))
    for c in range(centres.size):
        centre = centres[c]
        first, last = _window(centre, inside, df, floats, ints)
        turn = _TWO_PI * (centre * floats[DURATION] % 1.0)
        end_re, end_im = 1.0 - decay * math.cos(turn), decay * math.sin(turn)
        end2 = end_re * end_re + end_im * end_im
        re, im, total, q = 0.0, 0.0, 0.0, 0.0
        for i in range(first, last + 1):
            at = N_FLOATS + i
            y_re, y_im = floats[at], floats[at + n_bins]
            for k in range(1, n_detectors):
                z_re, z_im = floats[at + 2 * k * n_bins], floats[at + (2 * k + 1) * n_bins]
                cosine, sine = math.cos(phases[k - 1]), math.sin(phases[k - 1])
                y_re += z_re * cosine - z_im * sine
                y_im += z_re * sine + z_im * cosine
            omega = _TWO_PI * ((i + ints[FIRST_BIN]) * df - centre)
            r = 1.0 / (w2 + omega * omega)
            q += r * floats[v_at + i]
            if phase == BIN:
                k_bin = width * math.sqrt((y_re * y_re + y_im * y_im) * r * end2)
                total += k_bin
                if i - first < each.shape[1]:
                    each[c, i - first] = k_bin
            else:
                re += r * (width * y_re - omega * y_im)
                im += r * (width * y_im + omega * y_re)
        re, im = width * re, width * im
        if phase == BIN:
            out[0, c] = total
        elif phase == WHITTLE:
            out[0, c] = end_re * re - end_im * im
        else:
            out[0, c] = math.sqrt((re * re + im * im) * end2)
        out[1, c] = w2 * end2 * q
    return out


@kernel(_SCORES(VECTOR, MATRIX, MATRIX, INTS))
def tooth_scores(amplitudes, sums, each, ints):
    """Share of each tooth of `tooth_sums` in ln L at each amplitude, (n_amplitudes, n) float32."""
    out = np.zeros((amplitudes.size, sums.shape[1]), dtype=np.float32)
    for k in range(amplitudes.size):
        a = amplitudes[k]
        for c in range(sums.shape[1]):
            score = -0.5 * a * a * sums[1, c]
            if ints[PHASE] == WHITTLE:
                score += a * sums[0, c]
            elif ints[PHASE] == BIN:
                for i in range(each.shape[1]):
                    if each[c, i] > 0.0:
                        score += log_i0(a * each[c, i])
            else:
                score += log_i0(a * sums[0, c])
            out[k, c] = score
    return out


@inline_kernel
def _neighbours(table, k, m, finer, centre, step):
    """Scores at amplitude ``k`` of the teeth at ``centre`` (counted from the table's first, in Hz) and its m - 1 successors."""
    at = math.floor(centre / step + 0.5)
    first = at // finer
    return table[at - first * finer, k, first : first + m]


@inline_kernel
def _add_tooth(total, part, before):
    """``before`` becomes ``total``, and ``total`` the sum with ``part``."""
    for i in range(total.size):
        before[i] = total[i]
        total[i] += part[i]


@inline_kernel
def _lower(low, before):
    """``low`` becomes the lesser of the two."""
    for i in range(low.size):
        low[i] = np.minimum(before[i], low[i])  # a condition would become a slow masked store


@inline_kernel
def _raise_runs(most, total, low, oldest):
    """``most`` becomes the larger of itself and ``total`` less the least sum that a run may begin at."""
    for i in range(total.size):
        most[i] = np.maximum(total[i] - np.minimum(oldest[i], low[i]), most[i])


@kernel(types.void(_ROW, _ROW))
def _raise(best, value):
    """``best`` becomes the larger of the two."""
    for i in range(best.size):
        best[i] = np.maximum(value[i], best[i])


@kernel(types.void(_TABLE, int64, int64, int64, int64, int64, float64, float64, float64, _ROW, _SCORES), reassociate=True)
def _comb_scores(table, k, m, n_first, n_last, finer, start, spacing, step, best, scratch):
    """Largest of ``best`` and the sums over teeth at amplitude ``k`` of the combs whose tooth 0 is at ``start`` + i finer step, i < m.

    ``start`` counts from the table's first centre.
    """
    total = scratch[0, :m]
    for i in range(m):
        total[i] = 0.0
    n = n_first
    while n + 3 <= n_last:
        # Four teeth at a time: the sums are read and written once for them.
        one, two = (
            _neighbours(table, k, m, finer, start + n * spacing, step),
            _neighbours(table, k, m, finer, start + (n + 1) * spacing, step),
        )
        three, four = (
            _neighbours(table, k, m, finer, start + (n + 2) * spacing, step),
            _neighbours(table, k, m, finer, start + (n + 3) * spacing, step),
        )
        for i in range(m):
            total[i] += (one[i] + two[i]) + (three[i] + four[i])
        n += 4
    while n <= n_last:
        part = _neighbours(table, k, m, finer, start + n * spacing, step)
        for i in range(m):
            total[i] += part[i]
        n += 1
    _raise(best, total)


@kernel(types.void(_TABLE, int64, int64, int64, int64, int64, float64, float64, float64, _ROW, _SCORES))
def _run_scores(table, k, m, n_first, n_last, finer, start, spacing, step, best, scratch):
    """`_comb_scores` of the best run of at least `LEAST_TEETH` neighbouring teeth of each comb."""
    total, low, most = scratch[0, :m], scratch[1, :m], scratch[2, :m]
    for i in range(m):
        total[i], low[i], most[i] = np.float32(0.0), np.float32(1e30), np.float32(-1e30)
    for n in range(n_first, n_last + 1):
        slot, done = (n - n_first) % LEAST_TEETH, n - n_first + 1
        before = scratch[3 + slot, :m]
        if done > LEAST_TEETH:
            # What this slot holds is the sum before the tooth that lies LEAST_TEETH back; with this tooth the run is one longer.
            _lower(low, before)
        _add_tooth(total, _neighbours(table, k, m, finer, start + n * spacing, step), before)
        if done >= LEAST_TEETH:
            _raise_runs(most, total, low, scratch[3 + (slot + 1) % LEAST_TEETH, :m])
    _raise(best, most)


@kernel(types.void(_TABLE, float64, int64, MATRIX, _RANGES, int64, MATRIX, INTS, VECTOR, MATRIX))
def sweep(table, step, finer, combs, ranges, runs, grid, rows, top, found):
    """Sums over teeth for every spacing and offset.

    ``table`` (finer, n_amplitudes, n) float32: tooth scores at centres ``step`` (Hz) apart, the centre number finer i + p in [p, :, i].
    ``combs`` (n, 2): spacing, and the first offset counted from the table's first centre, in Hz. ``ranges`` (n, 5): number of offsets,
    first and last tooth, first and one past the last amplitude. ``runs`` = 1 where the band is free. ``grid`` (n_rows, n_columns) is
    raised to the largest sum per cell, rows by ``rows``, columns by the comb's offset in spacings. ``top`` (n,) gets each spacing's
    largest sum; ``found`` (n, 2) gets the number of its offset, and holds the first offset in spacings.
    """
    most = 0
    for s in range(combs.shape[0]):
        most = max(most, ranges[s, 0])
    best = np.empty(most, dtype=np.float32)
    scratch = np.empty((3 + LEAST_TEETH if runs == 1 else 1, most), dtype=np.float32)
    columns = grid.shape[1]
    for s in range(combs.shape[0]):
        spacing, start, m = combs[s, 0], combs[s, 1], ranges[s, 0]
        for i in range(m):
            best[i] = np.float32(-1e30)
        for k in range(ranges[s, 3], ranges[s, 4]):
            if runs == 1:
                _run_scores(table, k, m, ranges[s, 1], ranges[s, 2], finer, start, spacing, step, best[:m], scratch)
            else:
                _comb_scores(table, k, m, ranges[s, 1], ranges[s, 2], finer, start, spacing, step, best[:m], scratch)
        row, phase, value, place = rows[s], found[s, 1], -1e30, 0
        share = finer * step / spacing
        for i in range(m):
            if best[i] > value:
                value, place = best[i], i
            column = min(int((phase + i * share) % 1.0 * columns), columns - 1)
            if best[i] > grid[row, column]:
                grid[row, column] = best[i]
        top[s], found[s, 0] = value, place


@kernel(MATRIX(MATRIX, VECTOR, INTS, VECTOR, float64, float64))
def profiles_many(thetas, floats, ints, work, low, high):
    """Per row: the amplitude in [low, high] of the largest ln L, and that ln L; NaN and -inf outside the domain."""
    out = np.empty((thetas.shape[0], 2))
    for j in range(thetas.shape[0]):
        count = int(collect(thetas[j], floats, ints, work))
        out[j, 0], out[j, 1] = math.nan, -math.inf
        if count >= 0:
            start, gaussian = N_SUMS + 2 * ints[N_DETECTORS], 1 if ints[PHASE] == WHITTLE else 0
            work[LIMIT] = -1.0
            amplitude = maximum(work, start, count, gaussian, 1e-6) if work[E_SUM] > 0.0 else 0.0
            amplitude = min(max(amplitude, low), high)
            out[j, 0], out[j, 1] = amplitude, log_shape(work, start, count, gaussian, amplitude)
    return out
