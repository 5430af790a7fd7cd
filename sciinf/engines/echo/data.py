"""What the search reads: strain, its power spectral density, and the Fourier data of one segment."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array, finite_array
from sciinf.core.errors import ConfigError, DataError, DataTypeError, SciinfWarning, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.core.user_paths import what_is_at

__all__ = ["EchoWarning", "Psd", "Spectrum", "Strain", "check_spectra", "fourier_bins", "read_gwosc", "samples_in"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
BoolArray = NDArray[np.bool_]

_ZERO_SHARE = 0.01
_LEVEL_RANGE = (0.7, 1.4)
_LONGEST_NAME = 160
_ROUNDING = 1e-9  # relative: T = n dt in float64, whatever the sampling rate


class EchoWarning(SciinfWarning):
    """Data of the echo search look wrong, but can be used."""


def _freeze(owner: object, **arrays: NDArray[Any]) -> None:
    for name, array in arrays.items():
        array.flags.writeable = False
        object.__setattr__(owner, name, array)


def restore_state(owner: object, state: dict[str, Any]) -> None:
    """Set a pickled state; numpy hands read-only arrays back writable."""
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        object.__setattr__(owner, name, value)


def real_number(name: str, value: Any, *, positive: bool = False) -> float:
    """``value`` as a finite float, positive where asked.

    Raises
    ------
    DataTypeError
        If it is not a real number.
    DataError
        If it is not finite or not positive; names it.
    """
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise DataTypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"{name} must be a real number, got {shown(value)}") from error
    if not math.isfinite(number) or (positive and number <= 0.0):
        raise DataError(f"{name} must be {'positive and ' if positive else ''}finite, got {number}")
    return number


def _detector(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"a detector needs a name such as 'H1', got {shown(name)}")
    return name


def _complex_array(name: str, values: ArrayLike) -> ComplexArray:
    """Copy ``values`` into a C-contiguous complex128 array; DataTypeError unless they are numbers."""
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise DataTypeError(f"{name} must be a rectangular array of numbers: {error}") from error
    if raw.dtype.kind not in "fiubc":
        raise DataTypeError(f"{name} must hold complex numbers, got dtype {raw.dtype}")
    return np.array(raw, dtype=np.complex128, order="C")


def samples_in(duration: float, sample_interval: float) -> int:
    """Number of samples n with n * sample_interval == duration.

    Raises
    ------
    DataError
        If the duration is no whole number of samples; gives it and the nearest one that is.

    Examples
    --------
    >>> samples_in(4.0, 1.0 / 4096.0)
    16384
    """
    duration = real_number("duration", duration, positive=True)
    sample_interval = real_number("sample_interval", sample_interval, positive=True)
    n = round(duration / sample_interval)
    if n < 1 or abs(n * sample_interval - duration) > _ROUNDING * duration:
        raise DataError(
            f"duration must be a whole number of samples: got {duration:.12g} s, the nearest is {max(n, 1)} x {sample_interval:.12g} s "
            f"= {max(n, 1) * sample_interval:.12g} s. Give that one"
        )
    return n


def fourier_bins(values: FloatArray, sample_interval: float) -> ComplexArray:
    """d_j = dt FFT(x)_j, j = 0 ... n // 2, numpy's sign (e^{-2 pi i f t}); a strain in 1 gives d in s."""
    return np.asarray(sample_interval * np.fft.rfft(values), dtype=np.complex128)


@dataclass(frozen=True, eq=False)
class Psd:
    """One-sided power spectral density, linear between its points.

    Parameters
    ----------
    frequency : (m,) float64 array
        Hz, increasing, not negative; at least two.
    density : (m,) float64 array
        1/Hz. Not checked here: a value that is not positive is an error only where a bin uses it.
    source : str
        What it was made from, for the manifest.

    Raises
    ------
    DataTypeError
        If an array is not of real numbers.
    DataError
        If lengths differ, fewer than two points are given, or the frequencies are not finite, increasing and >= 0.

    Examples
    --------
    >>> Psd([0.0, 10.0], [1.0, 3.0]).at(5.0)
    array(2.)
    """

    frequency: FloatArray
    density: FloatArray
    source: str = ""

    def __post_init__(self) -> None:
        frequency = finite_array("frequency of the PSD (Hz)", self.frequency, shape=(-1,))
        density = as_float_array("density of the PSD (1/Hz)", self.density)
        if density.shape != frequency.shape or len(frequency) < 2:
            raise DataError(f"a PSD needs two columns of one length >= 2, got shapes {frequency.shape} (Hz) and {density.shape} (1/Hz)")
        bad = np.flatnonzero(np.diff(frequency) <= 0.0)
        if frequency[0] < 0.0 or len(bad):
            where = f"frequency[{bad[0] + 1}] = {frequency[bad[0] + 1]:g}" if len(bad) else f"frequency[0] = {frequency[0]:g}"
            raise DataError(f"frequencies of a PSD must increase from 0 or more; {where} Hz")
        _freeze(self, frequency=frequency, density=density)

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore_state(self, state)

    @classmethod
    def white(cls, density: float) -> Psd:
        """The same ``density`` (1/Hz, > 0) at every frequency; noise of variance s^2 sampled at dt has 2 s^2 dt."""
        value = real_number("density of a white PSD (1/Hz)", density, positive=True)
        return cls(np.array([0.0, np.finfo(np.float64).max]), np.array([value, value]), "white")

    @classmethod
    def from_psd_file(cls, path: str | Path) -> Psd:
        """Read two columns, Hz and 1/Hz; DataError names the file where they cannot be read."""
        return cls(*_two_columns(path), source=f"PSD {Path(path).name}")

    @classmethod
    def from_asd_file(cls, path: str | Path) -> Psd:
        """Read two columns, Hz and 1/sqrt(Hz); DataError names the file where they cannot be read."""
        frequency, amplitude = _two_columns(path)
        return cls(frequency, amplitude**2, source=f"ASD {Path(path).name}")

    def at(self, frequency: ArrayLike) -> FloatArray:
        """Density (1/Hz) at ``frequency`` (Hz, any shape), linear between the points.

        Raises
        ------
        DataError
            If a frequency lies outside the PSD; gives both ranges.
        """
        wanted = finite_array("frequency (Hz)", np.atleast_1d(np.asarray(frequency)).ravel(), shape=(-1,))
        if len(wanted) and (wanted.min() < self.frequency[0] or wanted.max() > self.frequency[-1]):
            raise DataError(
                f"PSD does not cover the band: it holds {self.frequency[0]:g} to {self.frequency[-1]:g} Hz, wanted are {wanted.min():g} to "
                f"{wanted.max():g} Hz. Narrow the band, or give a PSD that covers it"
            )
        return np.asarray(np.interp(wanted, self.frequency, self.density).reshape(np.shape(frequency)), dtype=np.float64)

    def on_bins(self, n_bin: int, duration: float) -> FloatArray:
        """Density (n_bin,) at j / duration; NaN where the PSD says nothing, which is an error only in a used bin.

        Raises
        ------
        DataError
            If the PSD covers none of the bins; gives both ranges.
        """
        frequency = np.arange(n_bin) / duration
        inside = (frequency >= self.frequency[0]) & (frequency <= self.frequency[-1])
        if not inside.any():
            self.at(frequency)
        with np.errstate(invalid="ignore"):
            return np.where(inside, np.interp(frequency, self.frequency, self.density), np.nan)

    def fingerprint(self) -> str:
        """sha256 over the two columns."""
        return sha256_of("psd", self.frequency, self.density)


def _shown_name(path: str | Path) -> str:
    """A file's name without its folder, short."""
    name = Path(path).name
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _two_columns(path: str | Path) -> tuple[FloatArray, FloatArray]:
    name = _shown_name(path)
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        reason = error.strerror or "not readable" if isinstance(error, OSError) else str(error)
        raise DataError(f"{name}: not a readable table of two columns of numbers ({reason})") from error
    if rows.shape[1] != 2:
        raise DataError(f"{name}: expected 2 columns (Hz and density), found {rows.shape[1]}")
    try:
        return finite_array("column 1 (Hz)", rows[:, 0], shape=(-1,)), rows[:, 1]
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Fourier data of one segment of one detector, with the noise it is judged by; bin j at index j, from 0.

    Parameters
    ----------
    values : (n_bin,) complex128 array
        d_j = dt FFT(x)_j in s, numpy's sign, at f_j = j / duration.
    psd : (n_bin,) float64 array
        One-sided density S_j at f_j, 1/Hz.
    duration : float
        T = n dt in s.
    mask : (n_bin,) bool array or None
        m_j: **True where the bin is used**. None uses all.
    detector : str
        Its name.
    response : float
        Ratio r > 0 of its response to that of the first detector.
    delay : float
        Dt = t_1 - t_k in s: arrival time at the first detector less that at this one.
    start_time : float or None
        GPS s of the first sample where the segments of a network must agree; None where they need not (time slides, simulations).

    Raises
    ------
    DataTypeError
        If an array is not numeric; names the detector and the dtype.
    DataError
        If shapes differ, fewer than 3 bins are given, or the duration or response is not positive.
    ConfigError
        If the detector has no name.

    Notes
    -----
    What lies in a bin that is masked or out of band is never read, so `values` and `psd` may hold anything there: `check_spectra` looks
    at the bins that are used. The first and the last bin (zero frequency, Nyquist) never are.

    Examples
    --------
    >>> noise = Spectrum(np.ones(5), np.ones(5), duration=4.0, detector="H1")
    >>> noise.n_bin, noise.last_bin, noise.used.tolist()
    (5, 3, [True, True, True, True, True])
    """

    values: ComplexArray
    psd: FloatArray
    duration: float
    mask: BoolArray | None = None
    detector: str = "H1"
    response: float = 1.0
    delay: float = 0.0
    start_time: float | None = None

    def __post_init__(self) -> None:
        name = _detector(self.detector)
        values = _complex_array(f"Fourier data of {name}", self.values)
        psd = as_float_array(f"PSD of {name}", self.psd)
        if values.ndim != 1 or psd.shape != values.shape or len(values) < 3:
            raise DataError(f"{name}: Fourier data and PSD must be (n_bin,) with n_bin >= 3, got {values.shape} and {psd.shape}")
        mask = np.ones(len(values), dtype=np.bool_) if self.mask is None else np.asarray(self.mask)
        if mask.dtype.kind != "b":
            raise DataTypeError(f"mask of {name} must hold booleans (True where the bin is used), got dtype {mask.dtype}")
        if mask.shape != values.shape:
            raise DataError(f"mask of {name} must have shape {values.shape}, got {mask.shape}")
        _freeze(self, values=values, psd=psd, mask=mask.copy())
        object.__setattr__(self, "duration", real_number(f"duration of {name} (s)", self.duration, positive=True))
        object.__setattr__(self, "response", real_number(f"response of {name}", self.response, positive=True))
        object.__setattr__(self, "delay", real_number(f"delay of {name} (s)", self.delay))
        if self.start_time is not None:
            object.__setattr__(self, "start_time", real_number(f"start time of {name} (GPS s)", self.start_time))

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore_state(self, state)

    @property
    def n_bin(self) -> int:
        """Number of bins, zero frequency included."""
        return len(self.values)

    @property
    def last_bin(self) -> int:
        """Last bin that may be used: the one before the last, which is taken for Nyquist."""
        return self.n_bin - 2

    @property
    def frequency(self) -> FloatArray:
        """f_j = j / T in Hz, (n_bin,)."""
        return np.arange(self.n_bin) / self.duration

    @property
    def used(self) -> BoolArray:
        """The mask: (n_bin,), True where a bin is used."""
        assert self.mask is not None
        return self.mask

    def whitened(self) -> ComplexArray:
        """d_j sqrt(4 df / S_j), (n_bin,): unit variance in each part for Gaussian noise; 0 where masked or S is not positive."""
        good = self.used & np.isfinite(self.psd) & (self.psd > 0.0)
        scale = np.zeros(self.n_bin)
        scale[good] = np.sqrt(4.0 / self.duration / self.psd[good])
        return np.asarray(np.where(good, self.values, 0.0) * scale, dtype=np.complex128)

    def psd_level(self, first: int, last: int) -> float:
        """q = median(4 df abs(d)^2 / (2 S)) / ln 2 over the used bins first..last: 1 for Gaussian noise, 2 where S is two-sided."""
        bins = first + np.flatnonzero(self.used[first : last + 1])
        power = 2.0 / self.duration * np.abs(self.values[bins]) ** 2 / self.psd[bins]
        return float(np.median(power) / math.log(2.0))

    def with_values(self, values: ArrayLike) -> Spectrum:
        """The same segment with other Fourier data (n_bin,)."""
        return replace(self, values=_complex_array(f"Fourier data of {self.detector}", values))

    def fingerprint(self) -> str:
        """sha256 over the numbers of the used bins, the mask, and what fixes the detector's frame; the start time is left out."""
        used = self.used
        frame = (self.detector, self.duration, self.response, self.delay)
        return sha256_of("spectrum", self.values[used], self.psd[used], used, *frame)


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain of one detector, evenly sampled.

    Parameters
    ----------
    values : (n,) float64 array
        h(t), dimensionless (or in units of the noise, for simulated data).
    sample_interval : float
        dt in s.
    start_time : float
        GPS s of the first sample.
    detector : str
        Its name.

    Raises
    ------
    DataTypeError
        If the values are not real numbers; names the detector and the dtype.
    DataError
        If a value is NaN or infinite (count, first index and GPS time), the series is zero-padded (exact zeros at its ends on more than
        1 % of the samples), too short (4 samples), or the sample interval is not positive.
    ConfigError
        If the detector has no name.
    """

    values: FloatArray
    sample_interval: float
    start_time: float
    detector: str

    def __post_init__(self) -> None:
        name = _detector(self.detector)
        values = as_float_array(f"strain of {name}", self.values)
        object.__setattr__(self, "sample_interval", real_number(f"sample interval of {name} (s)", self.sample_interval, positive=True))
        object.__setattr__(self, "start_time", real_number(f"start time of {name} (GPS s)", self.start_time))
        if values.ndim != 1 or len(values) < 4:
            raise DataError(f"strain of {name} must have shape (n,) with n >= 4, got {values.shape}")
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"strain of {name} must be finite: {len(bad)} of {len(values)} samples are not, the first is sample {bad[0]} at GPS "
                f"{self.start_time + bad[0] * self.sample_interval:.6f} ({values[bad[0]]}); cut or fill before"
            )
        filled = np.flatnonzero(values)
        zeros = len(values) if not len(filled) else int(filled[0] + len(values) - 1 - filled[-1])
        if zeros > _ZERO_SHARE * len(values):
            raise DataError(
                f"strain of {name} is zero-padded: {zeros} exact zeros at its ends, of {len(values)} samples. The likelihood needs data "
                "that fill the segment (T = n dt): cut the zeros off"
            )
        _freeze(self, values=values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore_state(self, state)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.values)

    @property
    def duration(self) -> float:
        """T = n dt in s."""
        return self.n * self.sample_interval

    @property
    def end_time(self) -> float:
        """GPS s just after the last sample."""
        return self.start_time + self.duration

    @property
    def times(self) -> FloatArray:
        """GPS s of every sample, (n,)."""
        return self.start_time + np.arange(self.n, dtype=np.float64) * self.sample_interval

    def index_of(self, time: float) -> int:
        """Sample nearest to GPS ``time``, inside the series or not."""
        return round((real_number("time (GPS s)", time) - self.start_time) / self.sample_interval)

    def cut(self, start: float, duration: float) -> Strain:
        """The part of ``duration`` s from the sample nearest to GPS ``start``.

        Raises
        ------
        DataError
            If the duration is no whole number of samples, or the part is not inside; gives both GPS ranges.
        """
        n, first = samples_in(duration, self.sample_interval), self.index_of(start)
        if first < 0 or first + n > self.n:
            raise DataError(
                f"{self.detector}: GPS {start:.6f} to {start + duration:.6f} is not inside the strain, holding {self.start_time:.6f} to "
                f"{self.end_time:.6f}"
            )
        time = self.start_time + first * self.sample_interval
        return Strain(self.values[first : first + n], self.sample_interval, time, self.detector)

    def spectrum(self, psd: Psd) -> Spectrum:
        """FFT of the series as it is, for simulated stationary noise; real strain goes through `condition`."""
        values = fourier_bins(self.values, self.sample_interval)
        return Spectrum(values, psd.on_bins(len(values), self.duration), self.duration, detector=self.detector, start_time=self.start_time)

    def fingerprint(self) -> str:
        """sha256 over samples, sampling, start and detector."""
        return sha256_of("strain", self.values, self.sample_interval, self.start_time, self.detector)


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
            raise ConfigError(f"detector names must differ; '{name}' is there {names.count(name)} times")
    for other in spectra[1:]:
        if other.duration != one.duration:
            raise DataError(
                f"detectors need one duration: {one.detector} has {one.duration:.12g} s, {other.detector} {other.duration:.12g} s"
            )
        if other.n_bin != one.n_bin:
            raise DataError(f"detectors need the same bins: {one.detector} has {one.n_bin}, {other.detector} {other.n_bin}")
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
                stacklevel=3,
            )
    return tuple(levels)


def _gwosc_value(stream: Any, key: str, name: str) -> Any:
    if key not in stream:
        raise DataError(f"{name}: no '{key}' in the file; expected a GWOSC strain file (HDF5)")
    return stream[key]


def _check_present(stream: Any, name: str, start: float, stop: float) -> None:
    """DataError where bit 0 ("data present") of the data-quality mask is off between GPS start and stop."""
    quality = _gwosc_value(stream, "quality/simple/DQmask", name)
    begin = float(quality.attrs.get("Xstart", stream["strain/Strain"].attrs["Xstart"]))
    step = float(quality.attrs.get("Xspacing", 1.0))
    bits = np.asarray(quality[()])
    seconds = begin + step * np.arange(len(bits))
    missing = seconds[(bits & 1 == 0) & (seconds < stop) & (seconds + step > start)]
    if len(missing):
        listing = ", ".join(f"{second:.0f}" for second in missing[:8]) + (", ..." if len(missing) > 8 else "")
        raise DataError(f"{name}: no data (DQmask bit 0 off) in {len(missing)} of the wanted seconds: GPS {listing}. Choose another range")


def read_gwosc(path: str | Path, start: float | None = None, duration: float | None = None) -> Strain:
    """Read strain from an HDF5 file of the Gravitational Wave Open Science Center.

    Parameters
    ----------
    path : path
        Holds ``strain/Strain`` with attributes Xstart and Xspacing, ``meta/GPSstart``, ``meta/Detector``, ``quality/simple/DQmask``.
    start, duration : float or None
        Part to read, GPS s and s; None from the start, to the end.

    Raises
    ------
    DataError
        If the file cannot be read, a key is missing, data are missing in the wanted seconds (bit 0 of the data-quality mask), or the part
        is not inside the file. Messages name the file without its folder.
    """
    import h5py

    name = _shown_name(path)
    try:
        stream = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not what_is_at(Path(path)) else "not an HDF5 file, or truncated"
        raise DataError(f"{name}: cannot be read ({reason}); expected a GWOSC strain file (HDF5)") from error
    with stream:
        series = _gwosc_value(stream, "strain/Strain", name)
        for key in ("Xspacing", "Xstart"):
            if key not in series.attrs:
                raise DataError(f"{name}: 'strain/Strain' has no attribute '{key}'; expected a GWOSC strain file (HDF5)")
        interval = real_number(f"{name}: Xspacing (s)", series.attrs["Xspacing"], positive=True)
        begin = real_number(f"{name}: Xstart (GPS s)", series.attrs["Xstart"])
        stated = float(_gwosc_value(stream, "meta/GPSstart", name)[()])
        if stated != begin:
            raise DataError(f"{name}: Xstart is GPS {begin:.6f}, meta/GPSstart {stated:.6f}; they must agree")
        label = _gwosc_value(stream, "meta/Detector", name)[()]
        detector = label.decode() if isinstance(label, bytes) else str(label)
        end = begin + len(series) * interval
        wanted = begin if start is None else real_number("start (GPS s)", start)
        length = end - wanted if duration is None else real_number("duration (s)", duration, positive=True)
        first = round((wanted - begin) / interval)
        n = len(series) - first if duration is None else samples_in(length, interval)
        if first < 0 or n < 1 or first + n > len(series):
            raise DataError(
                f"{name}: GPS {wanted:.6f} to {wanted + length:.6f} is not inside the file, which holds {begin:.6f} to {end:.6f}"
            )
        time = begin + first * interval
        _check_present(stream, name, time, time + n * interval)
        try:
            return Strain(series[first : first + n], interval, time, detector)
        except DataError as error:
            raise type(error)(f"{name}: {error}") from error
