"""Strain of one detector as a time series, and its Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.echo.checked import detector_name, freeze, real_number, restore_state
from sciinf.engines.echo.data import Psd, Spectrum

__all__ = ["Strain", "fourier_bins", "samples_in"]

FloatArray = NDArray[np.float64]

_ZERO_SHARE = 0.01
_ROUNDING = 1e-9  # relative: T = n dt in float64, whatever the sampling rate


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


def fourier_bins(values: FloatArray, sample_interval: float) -> NDArray[np.complex128]:
    """d_j = dt FFT(x)_j, j = 0 ... n // 2, numpy's sign (e^{-2 pi i f t}); a strain in 1 gives d in s."""
    return np.asarray(sample_interval * np.fft.rfft(values), dtype=np.complex128)


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
        name = detector_name(self.detector)
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
        freeze(self, values=values)

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
