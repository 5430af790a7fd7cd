"""Four analytic families of echo waveforms, and the reader of the published ones. Dimensionless: G = c = M = 1, spin 0.69."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.engines.echo.checked import real_number, restore_state
from sciinf.engines.echo.data import Psd, Spectrum

__all__ = [
    "FAMILIES",
    "F_RINGDOWN",
    "ROUND_TRIP",
    "SAMPLE_INTERVAL",
    "Barrier",
    "Family",
    "Pairing",
    "boltzmann_wall_log",
    "constant_wall_log",
    "damped_wall_log",
    "family_waveform",
    "read_benchmark_waveform",
    "ringdown_frequency",
]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Pairing = Literal["exact", "reference"]

SAMPLE_INTERVAL = math.pi
"""dt in M: the Nyquist frequency is omega = 1."""
ROUND_TRIP = 870.117
"""t_d in M: one bounce; the spacing of the modes is 1 / t_d."""

_SPIN = 0.69
_OMEGA_R, _OMEGA_I = 0.52822, 0.08116  # least damped mode of the black hole, 1/M
_OMEGA_H = 0.40028  # edge of superradiance, m = 2, 1/M
_T_HAWKING = 0.033414
_DAMPED = (0.2, 0.087, 0.0284)  # V, k_1 and the largest -ln R
_BOUNCE_PHASE = 2.0 * math.pi * 0.83  # the offset recovered from the published constant wall


def ringdown_frequency(spin: float) -> float:
    """f_RD = (1.5251 - 1.1568 (1 - chi)^0.129) / 2 pi in 1/M, the frequency of the dominant ringdown mode.

    Examples
    --------
    >>> round(ringdown_frequency(0.69), 7)
    0.0844333
    """
    return (1.5251 - 1.1568 * math.pow(1.0 - spin, 0.129)) / (2.0 * math.pi)


F_RINGDOWN = ringdown_frequency(_SPIN)
"""f_RD in 1/M of the benchmarks: what is above is not searched."""


@dataclass(frozen=True, eq=False)
class Barrier:
    """Power reflectivity of the potential barrier as a cubic spline through a table.

    Parameters
    ----------
    omega : (m,) float64 array
        1/M, increasing; at least four.
    power : (m,) float64 array
        abs(R_BH)^2, not negative; slightly above 1 where the hole is superradiant.

    Raises
    ------
    DataError
        If the table is not finite, increasing in omega, or of at least four rows.
    """

    omega: FloatArray
    power: FloatArray

    def __post_init__(self) -> None:
        omega = finite_array("omega of the barrier (1/M)", self.omega, shape=(-1,))
        power = finite_array("power reflectivity of the barrier", self.power, shape=(len(omega),))
        if len(omega) < 4 or np.any(np.diff(omega) <= 0.0) or np.any(power < 0.0):
            raise DataError(f"a barrier needs at least 4 rows of increasing omega and power >= 0, got {len(omega)} rows")
        restore_state(self, {"omega": omega, "power": power})

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore_state(self, state)

    @classmethod
    def from_file(cls, path: str | Path) -> Barrier:
        """Read two columns, omega in 1/M and power reflectivity (text, may be gzipped); DataError names the file."""
        name = Path(path).name
        try:
            rows = np.loadtxt(path, ndmin=2)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"{name}: not a readable table of two columns of numbers") from error
        if rows.shape[1] != 2:
            raise DataError(f"{name}: expected 2 columns (omega, power reflectivity), found {rows.shape[1]}")
        return cls(rows[:, 0], rows[:, 1])

    def __call__(self, omega: ArrayLike) -> FloatArray:
        """Power reflectivity at ``omega`` (1/M); DataError outside the table, with both ranges."""
        from scipy.interpolate import CubicSpline

        wanted = np.asarray(omega, dtype=np.float64)
        if wanted.size and (wanted.min() < self.omega[0] or wanted.max() > self.omega[-1]):
            raise DataError(
                f"the barrier is tabulated for omega = {self.omega[0]:g} to {self.omega[-1]:g} per M, wanted are {wanted.min():g} to "
                f"{wanted.max():g}"
            )
        return np.asarray(np.maximum(CubicSpline(self.omega, self.power)(wanted), 0.0), dtype=np.float64)


def analytic_barrier(omega: ArrayLike) -> FloatArray:
    """Power reflectivity 1 / (1 + exp(pi (omega - w_R) / w_I)) of a parabolic barrier; within 0.03 of the table, never above 1."""
    return np.asarray(1.0 / (1.0 + np.exp(np.pi * (np.asarray(omega, dtype=np.float64) - _OMEGA_R) / _OMEGA_I)), dtype=np.float64)


def constant_wall_log(omega: ArrayLike) -> FloatArray:
    """-ln R of a wall that reflects the amplitude 0.99 at every ``omega``."""
    return np.full(np.shape(omega), -math.log(0.99))


def damped_wall_log(omega: ArrayLike) -> FloatArray:
    """-ln R = min(V (1 - e^{-abs(k)/k_1}) / (4000 pi k^2), 0.0284), k = omega - 0.40028, V = 0.2, k_1 = 0.087.

    Our fit to the published tabulated wall: within 1 % for 0.05 <= abs(k) <= 0.4, 11 % at 0.01; the cap is that table's floor.
    """
    strength, scale, cap = _DAMPED
    k = np.abs(np.asarray(omega, dtype=np.float64) - _OMEGA_H)
    k = np.maximum(k, 1e-6)  # the cap rules below 0.006
    return np.minimum(-strength * np.expm1(-k / scale) / (4000.0 * math.pi * k**2), cap)


def boltzmann_wall_log(omega: ArrayLike) -> FloatArray:
    """-ln R = abs(k) / (2 T_QH), k = omega - 0.40028, T_QH ten times the Hawking temperature 0.033414."""
    return np.abs(np.asarray(omega, dtype=np.float64) - _OMEGA_H) / (2.0 * 10.0 * _T_HAWKING)


def _wide_wall_log(omega: ArrayLike) -> FloatArray:
    return np.full(np.shape(omega), -math.log(0.3))


def _resonant_source(omega: FloatArray, reflected: FloatArray) -> ComplexArray:
    """Z = R sqrt(P_BH) w_I / (w_I + i (omega - w_R)): the black hole's least damped mode, reflected once."""
    return np.asarray(reflected * _OMEGA_I / (_OMEGA_I + 1j * (omega - _OMEGA_R)), dtype=np.complex128)


def _gaussian_source(omega: FloatArray, reflected: FloatArray) -> ComplexArray:
    """Z = exp(-(omega - 0.4)^2 / (2 0.1^2)), whatever is reflected."""
    return np.exp(-0.5 * ((omega - 0.4) / 0.1) ** 2).astype(np.complex128)


@dataclass(frozen=True)
class Family:
    """A wall and a source; ``factor`` scales the published waveform of that name."""

    name: str
    wall_log: Callable[[ArrayLike], FloatArray]
    source: Callable[[FloatArray, FloatArray], ComplexArray]
    factor: float


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("constant_wall", constant_wall_log, _resonant_source, 34.0),
        Family("damped_wall", damped_wall_log, _resonant_source, 29.0),
        Family("boltzmann_wall", boltzmann_wall_log, _resonant_source, 57.0),
        Family("wide_band", _wide_wall_log, _gaussian_source, 160.0),
    )
}
"""The four families by name. The sources are ours: like the published benchmarks, not equal to them."""


def family_waveform(
    family: str,
    n_echoes: int,
    *,
    barrier: Callable[[FloatArray], ArrayLike] | None = None,
    bounce_phase: float = _BOUNCE_PHASE,
) -> Spectrum:
    """``n_echoes`` echoes of one family in unit noise, as Fourier data.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    n_echoes : int
        N >= 1; the segment lasts N t_d, rounded to whole samples of pi M.
    barrier : callable or None
        Power reflectivity at omega (1/M), such as a `Barrier`; None takes `analytic_barrier`.
    bounce_phase : float
        delta: the modes lie at f = (m + delta / 2 pi) / t_d. The default is the offset of the published constant wall, 0.83.

    Returns
    -------
    Spectrum
        h in M, at f_j = j / T in 1/M; S = 2 dt, the noise of unit variance; zero frequency holds 0.

    Raises
    ------
    ConfigError
        If the family is unknown or N is not a positive integer.
    DataError
        If abs(X) >= 1 at a frequency (the echoes would grow); names omega and abs(X).

    Notes
    -----
    h = Z (1 - X^N) / (1 - X), X = R_wall sqrt(P_BH) exp(-i (omega t_d - delta)) in numpy's sign (arXiv:2308.01017); the width of the mode
    at omega is -ln abs(X) / t_d.
    """
    if family not in FAMILIES:
        raise ConfigError(f"no benchmark family {shown(family)}: {nearest_names(str(family), FAMILIES)}")
    if isinstance(n_echoes, (bool, np.bool_)) or not isinstance(n_echoes, (int, np.integer)) or n_echoes < 1:
        raise ConfigError(f"n_echoes must be an integer >= 1, got {shown(n_echoes)}")
    chosen = FAMILIES[family]
    n = round(int(n_echoes) * ROUND_TRIP / SAMPLE_INTERVAL)
    duration = n * SAMPLE_INTERVAL
    omega: FloatArray = np.asarray(2.0 * np.pi * np.arange(1, n // 2 + 1) / duration, dtype=np.float64)
    power = np.asarray((analytic_barrier if barrier is None else barrier)(omega), dtype=np.float64)
    reflected: FloatArray = np.asarray(np.exp(-chosen.wall_log(omega)) * np.sqrt(power), dtype=np.float64)
    grows = np.flatnonzero(~(reflected < 1.0))
    if len(grows):
        worst = grows[int(np.nanargmax(np.nan_to_num(reflected[grows], nan=np.inf)))]
        raise DataError(
            f"{family}: the echoes grow, |X| = {reflected[worst]:.6g} at omega = {omega[worst]:.6g} per M ({len(grows)} such bins); "
            "|X| = R_wall sqrt(P_BH) must stay below 1"
        )
    x = reflected * np.exp(-1j * (omega * ROUND_TRIP - bounce_phase))
    values = np.zeros(n // 2 + 1, dtype=np.complex128)
    values[1:] = chosen.source(omega, reflected) * (1.0 - x ** int(n_echoes)) / (1.0 - x)
    return _unit_noise(values, duration, n, family)


def _unit_noise(values: ComplexArray, duration: float, n: int, name: str) -> Spectrum:
    """Fourier data with S = 2 dt."""
    density = Psd.white(2.0 * duration / n).on_bins(len(values), duration)
    return Spectrum(values, density, duration, detector=name)


def _lines_of(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("ascii").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "not a text file, or a truncated gzip file"
        raise DataError(f"{path.name}: cannot be read ({reason})") from error


def _row(name: str, number: int, text: str) -> tuple[float, complex]:
    """One row: omega and complex h; DataError with the line number and the text."""
    parts = text.split()
    try:
        omega, value = float(parts[0]), complex(parts[1])
    except (IndexError, ValueError) as error:
        raise DataError(f"{name}: line {number} is not 'omega <tab> complex h': {shown(text)}") from error
    if len(parts) != 2 or not (math.isfinite(omega) and math.isfinite(value.real) and math.isfinite(value.imag)):
        raise DataError(f"{name}: line {number} must hold two finite numbers, omega and complex h: {shown(text)}")
    return omega, value


def read_benchmark_waveform(path: str | Path, factor: float, pairing: Pairing = "exact") -> Spectrum:
    """Read a published benchmark waveform as the Fourier data of a real signal in unit noise.

    Parameters
    ----------
    path : path
        Two columns, omega in 1/M and complex h, in FFT order (from 0 up, then the negative ones from the lowest up); may be gzipped.
    factor : float
        Scale, > 0: 34, 29, 57 and 160 for the constant, damped and Boltzmann walls and the wide band (`FAMILIES`).
    pairing : "exact" or "reference"
        Partner of bin j among the n rows: (n - j) mod n, the bin at -omega; or n - 1 - j, one bin off, as the published figures have it.

    Returns
    -------
    Spectrum
        d_j = factor conj((h_j + conj h_partner) / 2), j = 0 ... n // 2, in M; T = 2 pi / (step of omega), S = 2 T / n.

    Raises
    ------
    ConfigError
        If the pairing is unknown.
    DataError
        If the file cannot be read, a row is not omega and a complex number, or rows are missing; gives line number and text.

    Notes
    -----
    The files have the sign e^{+i omega t}: the phase rises through a resonance, hence the conjugation to numpy's sign (arXiv:2308.01017
    and its repository; n may be odd).
    """
    if pairing not in get_args(Pairing):
        raise ConfigError(f"no pairing {shown(pairing)}: {nearest_names(str(pairing), get_args(Pairing))}")
    scale = real_number("factor", factor, positive=True)
    name = Path(path).name
    lines = _lines_of(Path(path))
    rows = [_row(name, number, text) for number, text in enumerate(lines, start=1) if text.strip()]
    if len(rows) < 4 or rows[0][0] != 0.0 or not rows[1][0] > 0.0:
        raise DataError(f"{name}: expected rows from omega = 0 up, at least 4; line 1 is {shown(lines[0] if lines else '')}")
    omega, h = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    n, step = len(rows), rows[1][0]
    order = np.round(omega / step) % n
    off = np.flatnonzero((order != np.arange(n)) | (np.abs(omega / step - np.round(omega / step)) > 1e-3))
    if len(off):
        number = [k for k, text in enumerate(lines, start=1) if text.strip()][int(off[0])]
        raise DataError(
            f"{name}: line {number} is not the next row in FFT order (step {step:.6g}; {n} rows): {shown(lines[number - 1])}. "
            "Rows are missing or in another order"
        )
    j = np.arange(n // 2 + 1)
    partner = (n - j) % n if pairing == "exact" else n - 1 - j
    return _unit_noise(scale * np.conj(0.5 * (h[j] + np.conj(h[partner]))), 2.0 * math.pi / step, n, name.split(".")[0])
