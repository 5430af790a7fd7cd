"""What the data say tooth by tooth, and the comb as it is best reconstructed; plain NumPy over bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.engines.echo.template import CombTemplate, band_slice
from sciinf.numerics.bessel import log_i0_many
from sciinf.results.weights import weighted_quantile

if TYPE_CHECKING:
    import pandas as pd

    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["ModeTable", "Resolution", "comb_statistics", "mode_table", "predict", "reconstruct", "resolution", "thetas_of"]


@dataclass(frozen=True, eq=False)
class ModeTable:
    """One row per tooth that has a bin in the band.

    Parameters
    ----------
    tooth : (n,) int64 array
        Its number, counted from the offset.
    frequency : (n,) float64 array
        Centre in Hz.
    n_bins : (n,) int64 array
        Bins in its window.
    kappa : (n,) float64 array
        abs of the matched filter kappa_n (of its parts summed without phase for "bin"; its real part for "whittle").
    rho : (n,) float64 array
        Optimal SNR of the template in the tooth.
    phase : (n,) float64 array
        Best phase, arg kappa_n, in rad.
    log_likelihood : (n,) float64 array
        Share in ln L.
    amplitude : float
        The amplitude used, in s; that of the largest ln L where it is marginalised.
    """

    tooth: NDArray[np.int64]
    frequency: NDArray[np.float64]
    n_bins: NDArray[np.int64]
    kappa: NDArray[np.float64]
    rho: NDArray[np.float64]
    phase: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    amplitude: float

    def __len__(self) -> int:
        return len(self.tooth)

    def to_frame(self) -> pd.DataFrame:
        """As a pandas DataFrame, one row per tooth."""
        import pandas as pd

        columns = ("tooth", "frequency", "n_bins", "kappa", "rho", "phase", "log_likelihood")
        return pd.DataFrame({name: getattr(self, name) for name in columns})


@dataclass(frozen=True)
class Resolution:
    """Whether a posterior's modes are resolved, as one phase per mode needs it.

    Parameters
    ----------
    time_times_width : float
        Median of T w: the segment in damping times.
    spacing_over_width : float
        Median of spacing (Hz) over width (rad/s), the published quality.
    """

    time_times_width: float
    spacing_over_width: float

    @property
    def is_resolved(self) -> bool:
        """Whether the segment is at least one damping time long."""
        return self.time_times_width >= 1.0

    def __str__(self) -> str:
        numbers = f"T width = {self.time_times_width:.3g}, spacing/width = {self.spacing_over_width:.3g} at the posterior's medians"
        if self.is_resolved:
            return f"{numbers}: modes are resolved where both are well above 1"
        return (
            f"{numbers}: the segment is shorter than one damping time, so its modes are not resolved and phase = 'mode' has no advantage "
            "over 'bin'. Take a longer segment, or phase = 'bin'"
        )


def resolution(posterior: Posterior, engine: EchoSearch) -> Resolution:
    """Whether the modes of ``posterior`` are resolved; `EchoSearch.check` says it of every run with one phase per mode.

    Parameters
    ----------
    posterior : Posterior
        A run of ``engine``.
    engine : EchoSearch
        Read for T.

    Raises
    ------
    ConfigError
        If the posterior is not one of the engine.

    Notes
    -----
    "mode" assumes T of the order of 1/width or longer, a spacing well above the width, and one pole's phase inside each mode. For T well
    below 1/width it gives what "bin" gives.
    """
    spacing, width = (thetas_of(posterior, engine)[:, engine.parameters.index(name)] for name in ("spacing", "width"))
    weights = posterior.weights if posterior.is_weighted else None
    turns, quality = (float(weighted_quantile(values, 0.5, weights)) for values in (engine.duration * width, spacing / width))
    return Resolution(turns, quality)


def thetas_of(posterior: Posterior, engine: EchoSearch) -> NDArray[np.float64]:
    """Samples (n, n_parameters) in the engine's order, with the parameters that its prior holds fixed.

    Raises
    ------
    ConfigError
        If a parameter of the engine is neither sampled nor fixed.
    """
    fixed = posterior.meta.get("fixed") or {}
    columns = [
        np.full(len(posterior), float(fixed[name])) if name in fixed and name not in posterior.names else posterior.column(name)
        for name in engine.parameters
    ]
    return np.column_stack(columns)


@dataclass(frozen=True, eq=False)
class _Comb:
    """A comb on its bins, in the reference detector's frame."""

    first: int
    h: NDArray[np.complex128]
    tooth: NDArray[np.int64]
    matched: NDArray[np.complex128]
    norm: NDArray[np.float64]
    amplitude: float
    spacing: float
    f0: float


def comb_statistics(engine: EchoSearch, theta: ArrayLike) -> _Comb:
    """h_j, tooth labels, 4 df conj(h_j) y_j and 4 df abs(h_j)^2 v_j over the bins of the band at ``theta``.

    Raises
    ------
    LikelihoodError
        If theta is outside the domain.
    """
    values = engine.named(theta)
    amplitude = values.get("amplitude")
    if amplitude is None:
        assert engine.amplitude_prior is not None
        best = engine.maximise_amplitude(theta)[0]
        amplitude = min(max(best, engine.amplitude_prior.low), engine.amplitude_prior.high)
    low, high = engine.band_of(values)
    bottom, top = engine.bins
    first, last = band_slice(low, high, engine.duration, engine.spectra[0].last_bin)
    first, last = max(first, bottom), min(last, top)
    assert isinstance(engine.template, CombTemplate)
    f0 = engine.offset_hz(values)
    u, tooth = engine.template.evaluate(values["spacing"], f0, values["width"], first, last, engine.duration)
    df, frequency = 1.0 / engine.duration, np.arange(first, last + 1) / engine.duration
    y, v = np.zeros(len(u), dtype=np.complex128), np.zeros(len(u))
    for spectrum in engine.spectra:
        used = spectrum.used[first : last + 1]
        inverse = np.zeros(len(u))
        np.divide(1.0, spectrum.psd[first : last + 1], out=inverse, where=used)
        turn = np.exp(1j * (values.get(f"phase_shift_{spectrum.detector}", 0.0) - 2.0 * np.pi * spectrum.delay * frequency))
        y += spectrum.response * np.where(used, spectrum.values[first : last + 1], 0.0) * inverse * turn
        v += spectrum.response**2 * inverse
    h = amplitude * u
    return _Comb(first, h, tooth, 4.0 * df * np.conj(h) * y, 4.0 * df * np.abs(h) ** 2 * v, amplitude, values["spacing"], f0)


def mode_table(engine: EchoSearch, theta: ArrayLike) -> ModeTable:
    """Tooth by tooth: bins, kappa_n, rho_n, best phase, share in ln L (the shares add up to it)."""
    comb = comb_statistics(engine, theta)
    inside = comb.h != 0.0
    if comb.amplitude == 0.0:
        inside = np.zeros(len(comb.h), dtype=np.bool_)
    labels, at = np.unique(comb.tooth[inside], return_inverse=True)
    n = len(labels)
    kappa = np.bincount(at, comb.matched[inside].real, n) + 1j * np.bincount(at, comb.matched[inside].imag, n)
    rho2 = np.bincount(at, comb.norm[inside], n)
    if engine.phase == "mode":
        strength, share = np.abs(kappa), log_i0_many(np.abs(kappa))
    elif engine.phase == "bin":
        each = np.abs(comb.matched[inside])
        strength, share = (np.asarray(np.bincount(at, part, n), dtype=np.float64) for part in (each, log_i0_many(each)))
    else:
        strength = share = kappa.real
    counts = np.bincount(at, minlength=n).astype(np.int64)
    frequency = comb.f0 + labels * comb.spacing
    return ModeTable(labels, frequency, counts, strength, np.sqrt(rho2), np.angle(kappa), share - 0.5 * rho2, comb.amplitude)


def reconstruct(engine: EchoSearch, theta: ArrayLike) -> NDArray[np.complex128]:
    """The comb (n_bin,) in the reference detector's frame: A u_j, turned by the best phase of its mode, or of its bin; zero elsewhere."""
    comb = comb_statistics(engine, theta)
    turn = np.ones(len(comb.h), dtype=np.complex128)
    if engine.phase == "bin":
        turn = np.exp(1j * np.angle(comb.matched))
    elif engine.phase == "mode" and len(comb.h):
        at = comb.tooth - comb.tooth.min()
        kappa = np.bincount(at, comb.matched.real) + 1j * np.bincount(at, comb.matched.imag)
        turn = np.exp(1j * np.angle(kappa))[at]
    out = np.zeros(engine.spectra[0].n_bin, dtype=np.complex128)
    out[comb.first : comb.first + len(comb.h)] = comb.h * turn
    return out


def predict(engine: EchoSearch, theta: ArrayLike) -> dict[str, NDArray[Any]]:
    """``frequency`` (Hz), ``reconstruction`` (reference frame), and ``whitened_residual_<detector>`` over the bins that may be read."""
    values, comb = engine.named(theta), reconstruct(engine, theta)
    first, last = engine.bins
    frequency = np.arange(first, last + 1) / engine.duration
    found: dict[str, NDArray[Any]] = {"frequency": frequency, "reconstruction": comb[first : last + 1]}
    for spectrum in engine.spectra:
        turn = 2.0 * math.pi * spectrum.delay * frequency - values.get(f"phase_shift_{spectrum.detector}", 0.0)
        seen = spectrum.response * comb[first : last + 1] * np.exp(1j * turn)
        rest = spectrum.values.copy()
        rest[first : last + 1] -= seen
        found[f"whitened_residual_{spectrum.detector}"] = spectrum.with_values(rest).whitened()[first : last + 1]
    return found
