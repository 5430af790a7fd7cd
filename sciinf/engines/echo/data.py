"""What the likelihood reads: Fourier data of a segment, and the power spectral density of its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array, finite_array
from sciinf.core.errors import DataError, DataTypeError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.echo.checked import complex_array, detector_name, file_name, freeze, real_number, restore_state

__all__ = ["Psd", "Spectrum"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
BoolArray = NDArray[np.bool_]


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
        freeze(self, frequency=frequency, density=density)

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


def _two_columns(path: str | Path) -> tuple[FloatArray, FloatArray]:
    name = file_name(path)
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
        name = detector_name(self.detector)
        values = complex_array(f"Fourier data of {name}", self.values)
        psd = as_float_array(f"PSD of {name}", self.psd)
        if values.ndim != 1 or psd.shape != values.shape or len(values) < 3:
            raise DataError(f"{name}: Fourier data and PSD must be (n_bin,) with n_bin >= 3, got {values.shape} and {psd.shape}")
        mask = np.ones(len(values), dtype=np.bool_) if self.mask is None else np.asarray(self.mask)
        if mask.dtype.kind != "b":
            raise DataTypeError(f"mask of {name} must hold booleans (True where the bin is used), got dtype {mask.dtype}")
        if mask.shape != values.shape:
            raise DataError(f"mask of {name} must have shape {values.shape}, got {mask.shape}")
        freeze(self, values=values, psd=psd, mask=mask.copy())
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
        return replace(self, values=complex_array(f"Fourier data of {self.detector}", values))

    def fingerprint(self) -> str:
        """sha256 over the numbers of the used bins, the mask, and what fixes the detector's frame; the start time is left out."""
        used = self.used
        frame = (self.detector, self.duration, self.response, self.delay)
        return sha256_of("spectrum", self.values[used], self.psd[used], used, *frame)
