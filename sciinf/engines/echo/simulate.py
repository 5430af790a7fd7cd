"""Seeded noise, combs, damped sines and benchmarks: what the search is tried on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.engines.echo.benchmarks import F_RINGDOWN, family_waveform
from sciinf.engines.echo.checked import real_number
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.strain import Strain, samples_in

if TYPE_CHECKING:
    from sciinf.engines.echo.template import CombTemplate

__all__ = [
    "benchmark",
    "comb",
    "damped_sines",
    "gaussian_noise",
    "inject",
    "optimal_snr",
    "project",
    "scale_to_snr",
    "to_strain",
]

FloatArray = NDArray[np.float64]
Phase = Literal["mode", "bin", "whittle"]


def gaussian_noise(psd: Psd, duration: float, sample_interval: float, rng: np.random.Generator, detector: str = "H1") -> Spectrum:
    """Fourier data of stationary Gaussian noise.

    Parameters
    ----------
    psd : Psd
        One-sided, 1/Hz.
    duration, sample_interval : float
        T and dt in s; T = n dt.
    rng : numpy.random.Generator
        Draws 2 (n // 2 + 1) normal deviates: all real parts, then all imaginary ones.
    detector : str
        Its name.

    Returns
    -------
    Spectrum
        Real and imaginary parts independent with variance S_j T / 4; 0 at zero frequency, in the last bin, and where the PSD says nothing.

    Raises
    ------
    DataError
        If the duration is no whole number of samples, or the PSD covers none of the bins or is negative.
    """
    n = samples_in(duration, sample_interval)
    n_bin, length = n // 2 + 1, n * sample_interval
    density = psd.on_bins(n_bin, length)
    if np.any(density < 0.0):
        raise DataError(f"a PSD must not be negative; it is {np.nanmin(density):g} 1/Hz at {np.nanargmin(density) / length:g} Hz")
    real, imaginary = rng.standard_normal((2, n_bin))
    values = 0.5 * np.sqrt(np.where(np.isfinite(density), density, 0.0) * length) * (real + 1j * imaginary)
    values[0] = values[-1] = 0.0
    return Spectrum(values, density, length, detector=detector)


def to_strain(spectrum: Spectrum, sample_interval: float, start_time: float = 0.0) -> Strain:
    """The time series with the Fourier data of ``spectrum``, periodic in its duration.

    Raises
    ------
    DataError
        If the duration is no whole number of samples, or the bins are not n // 2 + 1.
    """
    n = samples_in(spectrum.duration, sample_interval)
    if spectrum.n_bin != n // 2 + 1:
        raise DataError(f"{spectrum.duration:g} s in {n} samples have {n // 2 + 1} bins, the spectrum has {spectrum.n_bin}")
    values = np.fft.irfft(spectrum.values, n=n) / sample_interval
    return Strain(values, sample_interval, start_time, spectrum.detector)


def damped_sines(
    times: ArrayLike, frequencies: ArrayLike, widths: ArrayLike, amplitudes: ArrayLike, phases: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Sum of 2 A w e^{-w t} cos(2 pi f t + phi) from t = 0 on: the signal of which the comb template is the Fourier transform.

    Parameters
    ----------
    times : (n,) float64 array
        s from the start of the signal; before it is 0.
    frequencies : (k,) float64 array
        f in Hz.
    widths : (k,) float64 array or float
        w = 1 / tau in rad/s, > 0.
    amplitudes : (k,) float64 array or float
        A in s (strain times s): the height of the line in d where w T >> 1.
    phases : (k,) float64 array or float
        phi in rad.

    Returns
    -------
    (n,) float64 array

    Raises
    ------
    DataError
        If shapes do not fit, a value is not finite, or a width is not positive.
    """
    time = finite_array("times (s)", times, shape=(-1,))
    frequency = finite_array("frequencies (Hz)", np.atleast_1d(np.asarray(frequencies)), shape=(-1,))
    others = []
    for name, values in (("widths (rad/s)", widths), ("amplitudes (s)", amplitudes), ("phases (rad)", phases)):
        row = finite_array(name, np.atleast_1d(np.asarray(values)), shape=(-1,))
        if len(row) not in (1, len(frequency)):
            raise DataError(f"{name} must be one number or {len(frequency)}, as the frequencies; got {len(row)}")
        others.append(np.broadcast_to(row, frequency.shape))
    width, amplitude, phase = others
    if np.any(width <= 0.0):
        raise DataError(f"widths must be positive, got {width.min():g} rad/s")
    signal = np.zeros(len(time))
    on = time >= 0.0
    since = time[on]
    for f, w, a, phi in zip(frequency, width, amplitude, phase, strict=True):
        signal[on] += 2.0 * a * w * np.exp(-w * since) * np.cos(2.0 * math.pi * f * since + phi)
    return signal


def comb(
    spectrum: Spectrum,
    *,
    spacing: float,
    offset_hz: float,
    width: float,
    amplitude: float,
    band: tuple[float, float],
    phase: Phase = "mode",
    rng: np.random.Generator | None = None,
    template: CombTemplate | None = None,
) -> Spectrum:
    """A comb, alone, on the bins of ``spectrum`` and in the frame of the first detector (`project`, `inject` bring it into data).

    Parameters
    ----------
    spectrum : Spectrum
        Gives bins, duration, PSD and mask; its values are not read.
    spacing, offset_hz : float
        Df > 0 and f0 in Hz.
    width : float
        w = 1 / tau > 0 in rad/s.
    amplitude : float
        A >= 0 in s.
    band : (f_min, f_max)
        Hz.
    phase : "mode", "bin" or "whittle"
        One random phase per mode, one per bin, or none: what that likelihood assumes.
    rng : numpy.random.Generator or None
        Draws the phases: one per tooth from the lowest to the highest with a bin, or one per bin of the band. None: all 0.
    template : CombTemplate or None
        None is the default one.

    Returns
    -------
    Spectrum
        A u_j e^{i phi}.

    Raises
    ------
    ConfigError
        If the phase is unknown, or the band is not inside (0, Nyquist).
    DataError
        If a parameter is out of its range.
    """
    from sciinf.engines.echo.template import CombTemplate, band_slice

    if phase not in get_args(Phase):
        raise ConfigError(f"no phase {shown(phase)}: {nearest_names(str(phase), get_args(Phase))}")
    df, w = real_number("spacing (Hz)", spacing, positive=True), real_number("width (rad/s)", width, positive=True)
    f0, a = real_number("offset_hz (Hz)", offset_hz), real_number("amplitude (s)", amplitude)
    if a < 0.0:
        raise DataError(f"amplitude must not be negative, got {a:g} s")
    low, high = band
    nyquist = (spectrum.n_bin - 1) / spectrum.duration
    if not 0.0 <= low < high <= nyquist:
        raise ConfigError(f"band must lie between 0 and {nyquist:g} Hz, f_min below f_max; got {low:g} to {high:g} Hz")
    first, last = band_slice(low, high, spectrum.duration, spectrum.last_bin)
    u, tooth = (template or CombTemplate()).evaluate(df, f0, w, first, last, spectrum.duration)
    angle = np.zeros(len(u))
    if rng is not None and phase == "mode" and len(u):
        labels = tooth - tooth.min()
        angle = rng.uniform(0.0, 2.0 * math.pi, size=int(labels.max()) + 1)[labels]
    elif rng is not None and phase == "bin":
        angle = rng.uniform(0.0, 2.0 * math.pi, size=len(u))
    values = np.zeros(spectrum.n_bin, dtype=np.complex128)
    values[first : last + 1] = a * u * np.exp(1j * angle)
    return spectrum.with_values(values)


def project(signal: Spectrum, detector: Spectrum, phase_shift: float = 0.0) -> Spectrum:
    """A signal in the first detector's frame as ``detector`` sees it: r h e^{-i phi} e^{+2 pi i Dt f}, on the bins of ``detector``.

    Parameters
    ----------
    signal : Spectrum
        h in the first detector's frame.
    detector : Spectrum
        Gives response r, delay Dt, PSD and mask.
    phase_shift : float
        phi in rad.

    Raises
    ------
    DataError
        If durations or numbers of bins differ.
    """
    _same_bins(signal, detector)
    turn = np.exp(1j * (2.0 * math.pi * detector.delay * detector.frequency - phase_shift))
    return detector.with_values(detector.response * signal.values * turn)


def inject(spectrum: Spectrum, signal: Spectrum) -> Spectrum:
    """``spectrum`` with ``signal`` added; DataError if durations or numbers of bins differ."""
    _same_bins(spectrum, signal)
    return spectrum.with_values(spectrum.values + signal.values)


def _same_bins(one: Spectrum, other: Spectrum) -> None:
    if one.duration != other.duration or one.n_bin != other.n_bin:
        has = [f"{each.detector} has {each.n_bin} bins of {each.duration:.12g} s" for each in (one, other)]
        raise DataError(f"{has[0]}, {has[1]}; they must agree")


def optimal_snr(spectrum: Spectrum, f_min: float = 0.0, f_max: float = math.inf) -> float:
    """sqrt(sum 4 df abs(h_j)^2 / S_j) over the used bins with f_min <= f_j < f_max (Hz), ``spectrum`` being a signal without noise.

    Zero frequency and the last bin are left out; so are bins where the signal is 0.

    Raises
    ------
    DataError
        If S is not positive, or a value is not finite, in a bin that counts.
    """
    frequency = spectrum.frequency
    counts = spectrum.used & (frequency >= f_min) & (frequency < f_max) & (spectrum.values != 0.0)
    counts[[0, -1]] = False
    values, density = spectrum.values[counts], spectrum.psd[counts]
    wrong = np.flatnonzero(~(np.isfinite(values) & np.isfinite(density) & (density > 0.0)))
    if len(wrong):
        j = int(np.flatnonzero(counts)[wrong[0]])
        raise DataError(
            f"{spectrum.detector}: signal and PSD must be finite and the PSD positive; bin {j} ({frequency[j]:g} Hz) holds "
            f"{spectrum.values[j]} and {spectrum.psd[j]}"
        )
    return math.sqrt(4.0 / spectrum.duration * float(np.sum(np.abs(values) ** 2 / density)))


def scale_to_snr(spectrum: Spectrum, target: float, f_min: float = 0.0, f_max: float = math.inf) -> Spectrum:
    """A signal scaled so that its optimal SNR in the band is ``target`` (>= 0).

    Raises
    ------
    DataError
        If the signal is 0 in the used bins of the band, or the target is negative or not finite.
    """
    wanted = real_number("target SNR", target)
    snr = optimal_snr(spectrum, f_min, f_max)
    if wanted < 0.0 or snr == 0.0:
        raise DataError(f"a signal of SNR {snr:g} in the band cannot be scaled to SNR {wanted:g}")
    return spectrum.with_values(spectrum.values * (wanted / snr))


def benchmark(
    family: str,
    n_echoes: int,
    snr: float,
    rng: np.random.Generator | None,
    *,
    barrier: Callable[[FloatArray], ArrayLike] | None = None,
) -> Spectrum:
    """One of the four analytic families in unit noise, dimensionless (G = c = M = 1, spin 0.69, dt = pi M, S = 2 dt).

    Parameters
    ----------
    family : str
        "constant_wall", "damped_wall", "boltzmann_wall" or "wide_band"; see `benchmarks.family_waveform`.
    n_echoes : int
        N; the segment lasts N round trips of 870.117 M.
    snr : float
        Optimal SNR of the bins below the ringdown frequency 0.0844333 / M, which are those that a search uses.
    rng : numpy.random.Generator or None
        Draws the noise; None gives the signal alone.
    barrier : callable or None
        Power reflectivity at omega, such as a `benchmarks.Barrier`; None takes the analytic one.

    Raises
    ------
    ConfigError
        If the family is unknown or N is not a positive integer.
    DataError
        If abs(X) >= 1 at a frequency.

    Examples
    --------
    >>> signal = benchmark("constant_wall", 20, 12.0, None)
    >>> signal.n_bin, round(optimal_snr(signal, f_max=0.0844), 2)
    (2770, 12.0)
    """
    signal = scale_to_snr(family_waveform(family, n_echoes, barrier=barrier), snr, f_max=F_RINGDOWN)
    if rng is None:
        return signal
    n = round(signal.duration / math.pi)
    noise = gaussian_noise(Psd.white(2.0 * math.pi), n * math.pi, math.pi, rng, signal.detector)
    return inject(noise, signal)
