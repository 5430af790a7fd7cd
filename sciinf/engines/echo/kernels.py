"""Compiled comb likelihoods: whittle, one phase per bin, one phase per mode; one detector or a network; amplitude given or marginalised.

A call walks over the teeth of the comb and touches only the bins inside their windows, so its cost does not depend on the duration. The
amplitude is factored out: `collect` leaves K_i (one per mode, or per bin) and E with ln L(A) = sum_i ln I0(A K_i) - A^2 E / 2, or, for
"whittle", X with ln L(A) = A X - A^2 E / 2. No sum is reordered by the compiler, so every way to a value gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int64

from sciinf.engines.echo.amplitude_kernels import log_marginal
from sciinf.engines.echo.condensed_kernels import BINS, E_SUM, N_KEPT, PADDING, TEETH, X_SUM
from sciinf.numerics.bessel import log_i0
from sciinf.numerics.jit import INTS, LIKELIHOOD, VECTOR, kernel

KERNEL_VERSION = "1"

WHITTLE, BIN, MODE = range(3)
SAMPLED, UNIFORM, LOG_UNIFORM = range(3)

# Places in ints. A parameter's place in theta is -1 where it is not sampled.
PHASE, AMPLITUDE, OFFSET_IN_HZ, N_DETECTORS, FIRST_BIN, N_BINS = range(6)
AT_SPACING, AT_OFFSET, AT_WIDTH, AT_AMPLITUDE, AT_F_MIN, AT_F_MAX, AT_PHASES = range(6, 13)
N_INTS = 13

# Places in floats; then, for each detector, Re and Im of 4 df conj-free y, then 4 df v, each N_BINS long.
DURATION, REACH, MINIMUM_CUT, F_MIN, F_MAX, AMPLITUDE_LOW, AMPLITUDE_HIGH = range(7)
N_FLOATS = 7

# After what condensed_kernels.py keeps in work: cos and sin of the detectors' phases, then the K_i.
N_SUMS = N_KEPT

_EDGE = 1.0 - 1e-9
_ROOM = 1e-9
_MOST_BINS = 1e15
# A comb of more than a thousand million teeth per bin, or that far from its first, has no labels in float64.
_NARROWEST, _FARTHEST = 1e-9, 1e9
_TWO_PI = 2.0 * math.pi


def workspace_size(n_detectors: int, n_bins: int) -> int:
    """Length of ``work``: sums, phases, one K per bin or tooth, and padding."""
    return N_SUMS + 2 * n_detectors + n_bins + PADDING


@kernel(int64(VECTOR, VECTOR, INTS, VECTOR))
def collect(theta, floats, ints, work):
    """K_i from work[N_SUMS + 2 n_detectors] on, E, X and the counts at its start; the number of K_i, -1 outside the domain, -2 for NaN."""
    spacing, width = theta[ints[AT_SPACING]], theta[ints[AT_WIDTH]]
    f0 = theta[ints[AT_OFFSET]] if ints[OFFSET_IN_HZ] == 1 else theta[ints[AT_OFFSET]] * spacing
    f_min, f_max = floats[F_MIN], floats[F_MAX]
    if ints[AT_F_MIN] >= 0:
        f_min, f_max = theta[ints[AT_F_MIN]], theta[ints[AT_F_MAX]]
    duration = floats[DURATION]
    df = 1.0 / duration
    count = 0
    for i in range(theta.size):
        if not math.isfinite(theta[i]):
            count = -2
    if count == 0 and (spacing <= _NARROWEST * df or width <= 0.0 or f_max < f_min or not abs(f0) <= _FARTHEST * spacing):
        count = -1
    if count == 0 and ints[AT_AMPLITUDE] >= 0 and theta[ints[AT_AMPLITUDE]] < 0.0:
        count = -1
    if count == 0:
        n_detectors, first_bin, n_bins, phase = ints[N_DETECTORS], ints[FIRST_BIN], ints[N_BINS], ints[PHASE]
        for k in range(1, n_detectors):
            work[N_SUMS + 2 * k] = math.cos(theta[ints[AT_PHASES] + k - 1])
            work[N_SUMS + 2 * k + 1] = math.sin(theta[ints[AT_PHASES] + k - 1])
        out, v_at = N_SUMS + 2 * n_detectors, N_FLOATS + 2 * n_detectors * n_bins
        cut = min(max(width * floats[REACH], floats[MINIMUM_CUT]), math.pi * spacing) * _EDGE
        half, w2 = cut / _TWO_PI, width * width
        low = max(math.floor(min(max(f_min * duration, 0.0), _MOST_BINS) + _ROOM), first_bin)
        high = min(math.floor(min(max(f_max * duration, 0.0), _MOST_BINS) + _ROOM) + 1, first_bin + n_bins - 1)
        n, n_last = np.floor((low * df - f0) / spacing + 0.5), np.floor((high * df - f0) / spacing + 0.5)
        # The end of the mode at T is decay exp(i turn) of its start: the same for all bins of a tooth, and turned on by one step a tooth.
        decay, turn = math.exp(-width * duration), _TWO_PI * ((f0 + n * spacing) * duration % 1.0)
        turn_re, turn_im = math.cos(turn), math.sin(turn)
        step_re, step_im = math.cos(_TWO_PI * (spacing * duration % 1.0)), math.sin(_TWO_PI * (spacing * duration % 1.0))
        e_sum, x_sum, teeth, bins, j = 0.0, 0.0, 0, 0, low
        while n <= n_last and j <= high:
            centre = f0 + n * spacing
            first = max(math.floor((centre - half) * duration), low)
            last = min(math.floor((centre + half) * duration) + 1, high)
            while first <= last and abs(_TWO_PI * (first * df - f0 - n * spacing)) >= cut:
                first += 1
            while last >= first and abs(_TWO_PI * (last * df - f0 - n * spacing)) >= cut:
                last -= 1
            if first <= last:
                end_re, end_im = 1.0 - decay * turn_re, decay * turn_im
                end2 = end_re * end_re + end_im * end_im
                a, b, c, e, q = 0.0, 0.0, 0.0, 0.0, 0.0
                for i in range(first, last + 1):
                    at = N_FLOATS + i - first_bin
                    y_re, y_im = floats[at], floats[at + n_bins]
                    for k in range(1, n_detectors):
                        z_re, z_im = floats[at + 2 * k * n_bins], floats[at + (2 * k + 1) * n_bins]
                        cosine, sine = work[N_SUMS + 2 * k], work[N_SUMS + 2 * k + 1]
                        y_re += z_re * cosine - z_im * sine
                        y_im += z_re * sine + z_im * cosine
                    omega = _TWO_PI * (i * df - f0 - n * spacing)
                    r = 1.0 / (w2 + omega * omega)
                    q += r * floats[v_at + i - first_bin]
                    if phase == BIN:
                        work[out + count] = width * math.sqrt((y_re * y_re + y_im * y_im) * r * end2)
                        count += 1
                    else:
                        x, y = y_re * r, y_im * r
                        a += x
                        b += y
                        c += x * omega
                        e += y * omega
                e_sum += w2 * end2 * q
                re, im = width * (width * a - e), width * (width * b + c)
                if phase == MODE:
                    work[out + count] = math.sqrt((re * re + im * im) * end2)
                    count += 1
                x_sum += end_re * re - end_im * im
                teeth += 1
                bins += last - first + 1
            if spacing >= df:
                n += 1.0
                turn_re, turn_im = turn_re * step_re - turn_im * step_im, turn_im * step_re + turn_re * step_im
            else:
                # Narrower than the grid: on to the tooth of the next bin.
                j += 1
                n = np.floor((j * df - f0) / spacing + 0.5)
                turn = _TWO_PI * ((f0 + n * spacing) * duration % 1.0)
                turn_re, turn_im = math.cos(turn), math.sin(turn)
        work[E_SUM], work[X_SUM], work[TEETH], work[BINS] = e_sum, x_sum, teeth, bins
    return count


@kernel(LIKELIHOOD)
def echo(theta, floats, ints, work):
    """Ln L over noise only at theta; NaN for a theta that is not finite, -inf outside the domain, 0 where no bin is in the comb."""
    count = collect(theta, floats, ints, work)
    if count == -2:
        value = math.nan
    elif count == -1:
        value = -math.inf
    elif ints[AMPLITUDE] != SAMPLED:
        gaussian = 1 if ints[PHASE] == WHITTLE else 0
        out = N_SUMS + 2 * ints[N_DETECTORS]
        log_uniform = 1 if ints[AMPLITUDE] == LOG_UNIFORM else 0
        value = log_marginal(work, out, count, gaussian, floats[AMPLITUDE_LOW], floats[AMPLITUDE_HIGH], log_uniform)
    else:
        amplitude = theta[ints[AT_AMPLITUDE]]
        if ints[PHASE] == WHITTLE:
            value = amplitude * (work[X_SUM] - 0.5 * amplitude * work[E_SUM])
        else:
            value = -0.5 * amplitude * amplitude * work[E_SUM]
            for i in range(N_SUMS + 2 * ints[N_DETECTORS], N_SUMS + 2 * ints[N_DETECTORS] + count):
                value += log_i0(amplitude * work[i])
    return value
