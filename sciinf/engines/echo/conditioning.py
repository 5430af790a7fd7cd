"""From raw strain to Fourier data: power spectral density, whitening, and the lines that have to go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.strain import Strain, fourier_bins, samples_in

__all__ = [
    "MAINS",
    "O1_LINES",
    "LineReport",
    "apply_lines",
    "bridge",
    "condition",
    "find_lines",
    "line_candidates",
    "line_mask",
    "notch",
    "welch_psd",
]

MAINS: Mapping[float, float] = {60.0 * k: 0.06 * k for k in range(1, 5)}
"""Mains harmonics: line in Hz -> tolerance in Hz (arXiv:2512.24730)."""

O1_LINES: Mapping[str, Mapping[float, float]] = {
    "H1": dict.fromkeys((64.0, 128.0, 160.0, 192.0, 256.0, 272.0), 0.03),
    "L1": dict.fromkeys((73.9, 122.2, 147.8, 170.5, 196.1, 244.4, 267.1), 0.03),
}
"""Further candidates of the first observing run by detector: line in Hz -> tolerance in Hz (arXiv:2512.24730)."""

_LONG = 24.0  # s: longer segments have more bins, and a higher threshold
_THRESHOLD = (5.0, 6.0)
_BRIDGE = 2.0  # Hz
_MASK = 0.3  # Hz
_CROP = 1.0  # s at either side of what a notch has filtered
_NOTCH_WIDTH = 0.5  # Hz


def line_candidates(detector: str, run: str | None = None) -> dict[float, float]:
    """Candidate lines of a detector, Hz -> tolerance in Hz: the mains harmonics, and what is known of observing run ``run`` ("O1").

    Raises
    ------
    ConfigError
        If the run is another one.

    Examples
    --------
    >>> sorted(line_candidates("H1", "O1"))[:4]
    [60.0, 64.0, 120.0, 128.0]
    """
    if run not in (None, "O1"):
        raise ConfigError(f"lines are known for run 'O1' or None (mains only), got {shown(run)}; give others as {{Hz: tolerance}}")
    return {**MAINS, **(O1_LINES.get(detector, {}) if run else {})}


def welch_psd(
    strain: Strain,
    segment: float = 0.5,
    overlap: float = 0.5,
    window: str = "blackman",
    exclude: tuple[float, float] | None = None,
) -> Psd:
    """Welch's one-sided PSD: mean over windowed segments, no detrending.

    Parameters
    ----------
    strain : Strain
        Off-source data, or the analysed segment (``strain.cut(start, duration)``).
    segment : float
        Length of a segment in s; the PSD has a point every 1 / segment Hz.
    overlap : float
        Share of a segment that the next one repeats, in [0, 1).
    window : str
        A window that scipy.signal knows.
    exclude : (start, stop) or None
        GPS s that no segment touches: the on-source segment of an off-source PSD.

    Returns
    -------
    Psd
        1/Hz from 0 to the Nyquist frequency.

    Raises
    ------
    ConfigError
        If the overlap or the window is not allowed.
    DataError
        If the segment is no whole number of samples, or no segment fits.
    """
    if not 0.0 <= overlap < 1.0:
        raise ConfigError(f"overlap must lie in [0, 1), got {shown(overlap)}")
    n = samples_in(segment, strain.sample_interval)
    try:
        taper = signal.get_window(window, n)
    except ValueError as error:
        raise ConfigError(f"window must be one that scipy.signal knows, such as 'blackman', got {shown(window)}") from error
    step = max(n - int(overlap * n), 1)
    pieces = [strain.values]
    if exclude is not None:
        before, after = (min(max(strain.index_of(time), 0), strain.n) for time in exclude)
        pieces = [strain.values[:before], strain.values[max(after, before) :]]
    pieces = [piece for piece in pieces if len(piece) >= n]
    if not pieces:
        raise DataError(
            f"{strain.detector}: no PSD segment of {segment:g} s fits into GPS {strain.start_time:.6f} to {strain.end_time:.6f}"
            + (f" outside {exclude[0]:.6f} to {exclude[1]:.6f}" if exclude else "")
        )
    counts = [1 + (len(piece) - n) // step for piece in pieces]
    options: dict[str, Any] = {"fs": 1.0 / strain.sample_interval, "window": taper, "nperseg": n, "noverlap": n - step}
    results = [signal.welch(piece, detrend=False, scaling="density", average="mean", **options) for piece in pieces]
    density = np.average([result[1] for result in results], axis=0, weights=counts)
    without = f" without {exclude[0]:.6f} to {exclude[1]:.6f}" if exclude else ""
    source = f"Welch, {sum(counts)} {window} segments of {segment:g} s, GPS {strain.start_time:.6f} to {strain.end_time:.6f}{without}"
    return Psd(results[0][0], density, source)


def condition(strain: Strain, psd: Psd, start: float, duration: float) -> Spectrum:
    """Fourier data of a segment of real strain, free of leakage from the steep low-frequency noise.

    Three times the duration, centred on the segment, is whitened in the Fourier domain; the central part is cut and transformed, and
    the bins are multiplied by sqrt(S) again (arXiv:2512.24730).

    Parameters
    ----------
    strain : Strain
        Holds GPS ``start - duration`` to ``start + 2 duration``.
    psd : Psd
        One-sided, 1/Hz.
    start, duration : float
        The segment, GPS s (the nearest sample is taken) and s.

    Returns
    -------
    Spectrum
        n // 2 + 1 bins, d in s and S in 1/Hz; frequencies that the PSD does not cover have d = 0 and S = NaN.

    Raises
    ------
    DataError
        If three times the duration is not inside the strain (needed and available GPS range, and the largest duration that fits), the
        duration is no whole number of samples, or the PSD covers none of the bins.
    """
    n, first = samples_in(duration, strain.sample_interval), strain.index_of(start)
    if first - n < 0 or first + 2 * n > strain.n:
        longest = max(min(first, (strain.n - first) // 2), 0) * strain.sample_interval
        raise DataError(
            f"{strain.detector}: a segment of {duration:g} s at GPS {start:.6f} needs strain three times as long, GPS "
            f"{start - duration:.6f} to {start + 2.0 * duration:.6f}; available is {strain.start_time:.6f} to {strain.end_time:.6f}. "
            f"The largest duration that fits at this start is {longest:.6g} s"
        )
    around = np.fft.rfft(strain.values[first - n : first + 2 * n])
    density = psd.on_bins(len(around), 3 * n * strain.sample_interval)
    known = np.isfinite(density) & (density > 0.0)
    white = np.fft.irfft(np.where(known, around, 0.0) / np.sqrt(np.where(known, density, 1.0)), n=3 * n)[n : 2 * n]
    values = fourier_bins(white, strain.sample_interval)
    density = psd.on_bins(len(values), n * strain.sample_interval)
    known = np.isfinite(density) & (density > 0.0)
    return Spectrum(
        values * np.sqrt(np.where(known, density, 0.0)),
        density,
        n * strain.sample_interval,
        detector=strain.detector,
        start_time=strain.start_time + first * strain.sample_interval,
    )


def notch(strain: Strain, frequencies: Sequence[float], width: float = _NOTCH_WIDTH, crop: float = _CROP) -> Strain:
    """Filter lines out of ``strain`` with second-order notches, forward and backward (no phase), and crop ``crop`` s at either side.

    Parameters
    ----------
    strain : Strain
        Longer than twice ``crop``.
    frequencies : sequence of float
        Lines in Hz, below Nyquist; without any the strain comes back as it is.
    width : float
        Full width of a notch at half power, one way, in Hz. Both ways leave 1 / (1 + (width / 2 delta)^2) of an amplitude delta Hz away.
    crop : float
        Seconds to drop at either side.

    Raises
    ------
    ConfigError
        If a line is not between 0 and Nyquist, or the width is not positive.
    DataError
        If nothing is left after cropping.
    """
    lines = [float(line) for line in frequencies]
    if not lines:
        return strain
    rate = 1.0 / strain.sample_interval
    if not width > 0.0:
        raise ConfigError(f"the width of a notch must be positive, got {shown(width)} Hz")
    for line in lines:
        if not 0.0 < line < 0.5 * rate:
            raise ConfigError(f"a notch must lie between 0 and the Nyquist frequency {0.5 * rate:g} Hz, got {line:g} Hz")
    edge = math.ceil(crop * rate)
    if strain.n <= 2 * edge + 3:
        raise DataError(f"{strain.detector}: nothing is left of {strain.duration:g} s after cropping {crop:g} s at either side of a notch")
    sections = np.concatenate([signal.tf2sos(*signal.iirnotch(line, line / width, fs=rate)) for line in lines])
    padding = min(strain.n - 1, math.ceil(3.0 * rate / (math.pi * width)))
    values = signal.sosfiltfilt(sections, strain.values, padtype="odd", padlen=padding)
    return Strain(
        values[edge : strain.n - edge],
        strain.sample_interval,
        strain.start_time + edge * strain.sample_interval,
        strain.detector,
    )


def bridge(psd: Psd, frequencies: Sequence[float], reach: float = _BRIDGE) -> Psd:
    """The PSD with a straight line across every line +- ``reach`` Hz; stretches that touch become one.

    Examples
    --------
    >>> bridge(Psd([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 9.0, 1.0, 1.0]), [2.0], reach=1.0).at(2.0)
    array(1.)
    """
    if not len(frequencies):
        return psd
    edges: list[list[float]] = []
    for line in sorted(float(line) for line in frequencies):
        low = max(line - reach, float(psd.frequency[0]))
        high = min(line + reach, float(psd.frequency[-1]))
        if low >= high:
            continue
        if edges and low <= edges[-1][1]:
            edges[-1][1] = max(high, edges[-1][1])
        else:
            edges.append([low, high])
    keep = np.ones(len(psd.frequency), dtype=np.bool_)
    for low, high in edges:
        keep &= (psd.frequency < low) | (psd.frequency > high)
    ends = np.array(edges, dtype=np.float64).ravel()
    frequency = np.concatenate([psd.frequency[keep], ends])
    density = np.concatenate([psd.density[keep], psd.at(ends)])
    order = np.argsort(frequency)
    return Psd(frequency[order], density[order], f"{psd.source}, bridged".lstrip(", "))


def line_mask(n_bin: int, duration: float, frequencies: Sequence[float], reach: float = _MASK) -> NDArray[np.bool_]:
    """(n_bin,) bool, False where j / duration lies within ``reach`` Hz of a line."""
    bins = np.arange(n_bin) / duration
    mask = np.ones(n_bin, dtype=np.bool_)
    for line in frequencies:
        mask &= np.abs(bins - line) > reach * (1.0 + 1e-9)
    return mask


@dataclass(frozen=True, eq=False)
class LineReport:
    """Lines found in a segment, and what takes them out; `apply_lines` does so.

    Attributes
    ----------
    detector : str
        Whose strain it was.
    start, duration : float
        The segment, GPS s and s.
    lines : tuple of float
        Candidates found, Hz, in the order found.
    heights : tuple of float
        Largest abs(d_white) sqrt(4 df) within the tolerance of each, in the round that found it; about 1.25 on average in Gaussian noise.
    found_in : tuple of int
        Round that found each, from 1.
    threshold : float
        Height above which a candidate is a line.
    rounds : int
        Rounds that found something new.
    masked : tuple of int
        Bins within 0.3 Hz of a line, in increasing order.
    notch_width : float
        Full width of a notch in Hz; see `notch`.
    psd_source : str
        What the PSD was made from; "segment" where it is that of the notched segment itself.
    """

    detector: str
    start: float
    duration: float
    lines: tuple[float, ...]
    heights: tuple[float, ...]
    found_in: tuple[int, ...]
    threshold: float
    rounds: int
    masked: tuple[int, ...]
    notch_width: float = field(default=_NOTCH_WIDTH)
    psd_source: str = "segment"

    def __str__(self) -> str:
        head = f"{self.detector}: {len(self.lines)} lines above {self.threshold:g} in {self.rounds} rounds, {len(self.masked)} bins masked"
        found = sorted(zip(self.lines, self.heights, self.found_in, strict=True))
        return "\n".join([head, *(f"  {line:8.3f} Hz  height {height:7.1f}  round {n}" for line, height, n in found)])


def _candidates(candidates: Mapping[float, float] | Sequence[tuple[float, float]], nyquist: float) -> list[tuple[float, float]]:
    pairs: list[Any] = list(candidates.items()) if isinstance(candidates, Mapping) else list(candidates)
    checked = []
    for pair in pairs:
        try:
            line, tolerance = (float(number) for number in pair)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a candidate line is (Hz, tolerance in Hz), got {shown(pair)}") from error
        if not (0.0 < line < nyquist and 0.0 <= tolerance < math.inf):
            raise ConfigError(f"a candidate line lies in 0 to {nyquist:g} Hz with a tolerance >= 0, got {line:g} and {tolerance:g} Hz")
        checked.append((line, tolerance))
    return checked


def _prepared(strain: Strain, psd: Psd | None, lines: Sequence[float], width: float, start: float, duration: float) -> tuple[Strain, Psd]:
    """Notched strain and the PSD it is whitened with, bridged over the lines."""
    clean = notch(strain, lines, width)
    if psd is None:
        try:
            segment = clean.cut(start, duration)
        except DataError:
            condition(clean, Psd.white(1.0), start, duration)  # its message says what is needed and what fits
            raise
        psd = welch_psd(segment)
    return clean, bridge(psd, lines)


def find_lines(
    strain: Strain,
    psd: Psd | None,
    candidates: Mapping[float, float] | Sequence[tuple[float, float]],
    start: float,
    duration: float,
    *,
    threshold: float | None = None,
    max_rounds: int = 10,
    notch_width: float = _NOTCH_WIDTH,
) -> LineReport:
    """Which candidate lines stand out of a segment, by notching and whitening it until nothing new does.

    Parameters
    ----------
    strain : Strain
        Three times the segment, and one second more at either side for the notches.
    psd : Psd or None
        Whitens every round, bridged over the lines so far; None takes that of the notched segment anew in every round.
    candidates : mapping or sequence of pairs
        Line in Hz -> tolerance in Hz (`line_candidates`). Anything else that stands out is left alone.
    start, duration : float
        The segment, GPS s and s.
    threshold : float or None
        On abs(d_white) sqrt(4 df) per bin; None takes 5 up to 24 s and 6 above.
    max_rounds : int
        At most this many rounds notch something.
    notch_width : float
        See `notch`.

    Returns
    -------
    LineReport

    Raises
    ------
    ConfigError
        If a candidate or an option is not allowed.
    DataError
        As `condition` and `notch`.

    Notes
    -----
    A candidate is a line where a bin within its tolerance is above the threshold (arXiv:2512.24730). Where bins are wider than that, the
    bin that holds the candidate counts (ours: the published segments have finer bins).
    """
    known = _candidates(candidates, 0.5 / strain.sample_interval)
    limit = _THRESHOLD[duration > _LONG] if threshold is None else float(threshold)
    if not limit > 0.0 or isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise ConfigError(f"threshold must be positive and max_rounds an integer >= 1, got {shown(threshold)} and {shown(max_rounds)}")
    lines: list[float] = []
    heights: list[float] = []
    found_in: list[int] = []
    rounds = 0
    while True:
        spectrum = condition(*_prepared(strain, psd, lines, notch_width, start, duration), start, duration)
        height, frequency = np.abs(spectrum.whitened()), spectrum.frequency
        usable = slice(1, spectrum.last_bin + 1)
        new = []
        for line, tolerance in known:
            near = np.abs(frequency[usable] - line) <= max(tolerance, 0.5 / duration) * (1.0 + 1e-9)
            top = float(height[usable][near].max(initial=0.0))
            if top > limit and line not in lines:
                new.append((line, top))
        if not new or rounds == max_rounds:
            break
        rounds += 1
        lines += [line for line, _ in new]
        heights += [top for _, top in new]
        found_in += [rounds] * len(new)
    masked = np.flatnonzero(~line_mask(spectrum.n_bin, spectrum.duration, lines))
    return LineReport(
        detector=strain.detector,
        start=start,
        duration=duration,
        lines=tuple(lines),
        heights=tuple(heights),
        found_in=tuple(found_in),
        threshold=limit,
        rounds=rounds,
        masked=tuple(int(j) for j in masked),
        notch_width=notch_width,
        psd_source="segment" if psd is None else psd.source,
    )


def apply_lines(strain: Strain, psd: Psd | None, report: LineReport) -> Spectrum:
    """The segment of ``report`` with its lines notched, the PSD bridged over them, and the bins beside them masked.

    Parameters
    ----------
    strain : Strain
        As given to `find_lines`.
    psd : Psd or None
        As given to `find_lines`; None takes that of the notched segment.

    Raises
    ------
    ConfigError
        If the report is of another detector.
    DataError
        As `condition` and `notch`.

    Notes
    -----
    A PSD made of strain that still holds a strong line is wide of it by the leakage of its segments (some 6 Hz for 0.5 s), more than
    the bridge: make it of ``notch(strain, report.lines)``.
    """
    if report.detector != strain.detector:
        raise ConfigError(f"the lines are of detector '{report.detector}', the strain of '{strain.detector}'")
    prepared = _prepared(strain, psd, report.lines, report.notch_width, report.start, report.duration)
    spectrum = condition(*prepared, report.start, report.duration)
    return replace(spectrum, mask=line_mask(spectrum.n_bin, spectrum.duration, report.lines))
