"""Whether the spectra of one detector or several can be searched together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from sciinf.core.errors import ConfigError, DataError, SciinfWarning
from sciinf.engines.echo.data import Spectrum

__all__ = ["EchoWarning", "check_spectra"]

_LEVEL_RANGE = (0.7, 1.4)


class EchoWarning(SciinfWarning):
    """Data of the echo search look wrong, but can be used."""


def _check_used_bins(spectrum: Spectrum, first: int, last: int) -> int:
    """Number of used bins in first..last; DataError where one of them cannot be used."""
    bins = first + np.flatnonzero(spectrum.used[first : last + 1])
    values, density = spectrum.values[bins], spectrum.psd[bins]
    said = np.flatnonzero(~np.isnan(spectrum.psd))
    if len(bins) and (not len(said) or bins[0] < said[0] or bins[-1] > said[-1]):
        holds = f"holds {said[0] / spectrum.duration:g} to {said[-1] / spectrum.duration:g} Hz" if len(said) else "is NaN everywhere"
        raise DataError(
            f"{spectrum.detector}: PSD does not cover the band: it {holds}, wanted are {bins[0] / spectrum.duration:g} to "
            f"{bins[-1] / spectrum.duration:g} Hz. Narrow the band, or give a PSD that covers it"
        )
    for what, wrong, at in (
        ("Fourier data must be finite", ~np.isfinite(values), values),
        ("PSD must be finite and positive (one-sided, 1/Hz)", ~(np.isfinite(density) & (density > 0.0)), density),
    ):
        bad = np.flatnonzero(wrong)
        if len(bad):
            j = int(bins[bad[0]])
            raise DataError(
                f"{spectrum.detector}: {what}; bin {j} ({j / spectrum.duration:g} Hz) holds {at[bad[0]]} ({len(bad)} such used bins in "
                f"{first / spectrum.duration:g} to {last / spectrum.duration:g} Hz). Mask the bin or narrow the band"
            )
    return len(bins)


def check_spectra(spectra: Sequence[Spectrum], first: int, last: int) -> tuple[float, ...]:
    """Check that ``spectra`` are one network whose used bins first..last can be searched; returns the PSD level q of each.

    Raises
    ------
    ConfigError
        If two detectors share a name.
    DataError
        If durations, numbers of bins or start times (where both are given) differ; a used bin holds what is not finite, or S <= 0; or the
        masks leave no bin in the band.

    Warns
    -----
    EchoWarning
        If q = median(4 df abs(d)^2 / (2 S)) / ln 2 of a detector lies outside [0.7, 1.4].
    """
    if not spectra:
        raise DataError("expected the spectrum of at least one detector, got none")
    one = spectra[0]
    names = [spectrum.detector for spectrum in spectra]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"detector names must differ; '{name}' is there {names.count(name)} times. Name each spectrum after its detector"
            )
    for other in spectra[1:]:
        if other.duration != one.duration:
            raise DataError(
                f"detectors need one duration: {one.detector} has {one.duration:.12g} s, {other.detector} {other.duration:.12g} s. "
                "Condition the same segment of each"
            )
        if other.n_bin != one.n_bin:
            raise DataError(
                f"detectors need the same bins: {one.detector} has {one.n_bin}, {other.detector} {other.n_bin}. Sample both at one rate"
            )
        starts = (one.start_time, other.start_time)
        if starts[0] is not None and starts[1] is not None and abs(starts[0] - starts[1]) > 0.5 * one.duration / (one.n_bin - 1):
            raise DataError(
                f"detectors need one start time: {one.detector} has GPS {starts[0]:.6f}, {other.detector} {starts[1]:.6f}. "
                "For a time slide set start_time=None"
            )
    if not 1 <= first <= last <= one.last_bin:
        raise DataError(f"bins {first} to {last} are not inside 1 to {one.last_bin}, between zero and the Nyquist frequency")
    counts = [_check_used_bins(spectrum, first, last) for spectrum in spectra]
    if not sum(counts):
        raise DataError(
            f"the masks of {', '.join(names)} leave no bin in {first / one.duration:g} to {last / one.duration:g} Hz: "
            f"{last - first + 1} masked in each. Mask less or widen the band"
        )
    levels = []
    for spectrum, count in zip(spectra, counts, strict=True):
        level = spectrum.psd_level(first, last) if count else math.nan
        levels.append(level)
        if count and not _LEVEL_RANGE[0] <= level <= _LEVEL_RANGE[1]:
            warnings.warn(
                f"{spectrum.detector}: the data are {level:.3g} times the PSD (q = median(4 df |d|^2 / (2 S)) / ln 2 = {level:.3g}, 1 for "
                "Gaussian noise): one-sided 1/Hz expected; q = 2 is a two-sided PSD",
                EchoWarning,
                stacklevel=4,
            )
    return tuple(levels)
