"""Priors of the search, normalised over their constraints by closed-form cube maps: no rejection, no -inf inside the cube.

The published runs constrain a box (arXiv:2308.01017, arXiv:2512.24730 and their repositories); the maps of the constrained densities are
derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from sciinf.core.conditional import Affine, ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError, shown
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Prior
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, PowerLaw, Uniform

__all__ = ["Remnant", "SearchEngine", "amplitude_prior", "fixed_band_priors", "search_priors"]

_SOLAR_MASS = 1.3271244e20 / 299_792_458.0**3
"""G M_sun / c^3 in s: the nominal solar mass parameter of IAU 2015 resolution B3 over the cube of the speed of light."""

_LEAST_TEETH = 10.0  # spacings that a sampled band spans at least
_STRAIN_LOW = 50.0  # Hz: lower end of a sampled band of real strain
_ABOVE_RINGDOWN = 1.1  # upper end of a sampled band of real strain over the ringdown frequency
_SPACINGS = (1.0, 10.0)  # Hz, of a fixed band
_LONG = 4.0  # s: above it the published runs cut the width at 0.5 rad/s
_WIDTHS = (2.0, 0.5)  # rad/s: largest width up to and above that duration
_UNIT_NOISE_AMPLITUDE = 10.0


class SearchEngine(Protocol):
    """What the priors read from an engine."""

    @property
    def duration(self) -> float:
        """T, in s (in units of the mass for dimensionless runs)."""

    @property
    def band(self) -> Any:
        """``"sampled"``, or (f_min, f_max) in Hz."""

    @property
    def offset_unit(self) -> str:
        """``"spacing"`` or ``"Hz"``."""

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names, the reference detector first."""

    @property
    def amplitude_scale(self) -> float | None:
        """Mean absolute value of the noise's Fourier data over the band, in s for strain."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the sampled parameters."""


@dataclass(frozen=True)
class Remnant:
    """The black hole that is left, as far as it sets the scales of the search.

    Parameters
    ----------
    spin : float
        Dimensionless spin chi, 0 <= chi < 1.
    mass_detector_frame : float, optional
        Mass times (1 + z), in solar masses. Without it frequencies are in units of 1/M (G = c = M = 1), for dimensionless data.

    Raises
    ------
    ConfigError
        If the spin lies outside [0, 1) or the mass is not positive and finite; gives the value.

    Notes
    -----
    f_RD = (1.5251 - 1.1568 (1 - chi)^0.129) / (2 pi M), the ringdown frequency, and R = 0.00547 / (1 + 1/sqrt(1 - chi^2)) / M, the largest
    spacing of the search (arXiv:2308.01017).

    Examples
    --------
    >>> remnant = Remnant(0.69)
    >>> round(remnant.ringdown_frequency, 7), round(remnant.largest_spacing, 8)
    (0.0844333, 0.0022968)
    >>> round(Remnant(0.67, 61.5 * 1.1).ringdown_frequency, 1)
    249.5
    """

    spin: float
    mass_detector_frame: float | None = None

    def __post_init__(self) -> None:
        spin = _real("spin", self.spin)
        if not 0.0 <= spin < 1.0:
            raise ConfigError(f"Remnant: spin must lie in [0, 1), got {spin:g}")
        object.__setattr__(self, "spin", spin)
        if self.mass_detector_frame is None:
            return
        mass = _real("mass_detector_frame", self.mass_detector_frame)
        if not 0.0 < mass < math.inf:
            raise ConfigError(f"Remnant: mass_detector_frame must be positive and finite (solar masses), got {mass:g}")
        object.__setattr__(self, "mass_detector_frame", mass)

    @property
    def is_dimensionless(self) -> bool:
        """Whether frequencies are in units of 1/M."""
        return self.mass_detector_frame is None

    @property
    def unit_time(self) -> float:
        """G M / c^3 in s; 1 for a dimensionless remnant."""
        return 1.0 if self.mass_detector_frame is None else self.mass_detector_frame * _SOLAR_MASS

    @property
    def ringdown_frequency(self) -> float:
        """f_RD in Hz (in 1/M without a mass)."""
        return (1.5251 - 1.1568 * math.pow(1.0 - self.spin, 0.129)) / (2.0 * math.pi) / self.unit_time

    @property
    def largest_spacing(self) -> float:
        """R in Hz (in 1/M without a mass)."""
        return 0.00547 / (1.0 + 1.0 / math.sqrt((1.0 - self.spin) * (1.0 + self.spin))) / self.unit_time

    @property
    def search_band(self) -> tuple[float, float]:
        """Range of f_min and f_max: (50 Hz, 1.1 f_RD) for a mass in solar masses, (0, f_RD) in 1/M without one."""
        if self.is_dimensionless:
            return 0.0, self.ringdown_frequency
        return _STRAIN_LOW, _ABOVE_RINGDOWN * self.ringdown_frequency


def amplitude_prior(scale: float) -> Uniform:
    """U(m/100, 10 m) for the scale m of the noise, mean abs(d_j) over the band.

    Raises
    ------
    PriorError
        If the scale is not positive and finite.

    Examples
    --------
    >>> amplitude_prior(2.0)
    Uniform(low=0.02, high=20.0)
    """
    if not 0.0 < scale < math.inf:
        raise PriorError(f"the amplitude's prior needs a positive, finite scale (mean |d| of the noise over the band), got {scale!r}")
    return Uniform(scale / 100.0, 10.0 * scale)


def search_priors(remnant: Remnant, engine: SearchEngine) -> PriorSet:
    """Prior of a search over the band too: spacing, offset, width, amplitude, f_min, f_max, and the phase shifts of a network.

    Parameters
    ----------
    remnant : Remnant
        Sets the ranges of spacing, width and band. With a mass, frequencies are in Hz; without, everything is in units of M.
    engine : EchoSearch
        Read for its duration, offset unit, detectors and amplitude scale; what it marginalises is left out.

    Returns
    -------
    PriorSet
        In the engine's order; normalised over the constraint, with a compiled form.

    Raises
    ------
    PriorError
        If the band leaves no room for ten of the least spacing, is so wide that the constraint's upper bound would cut it, or the largest
        width is below 1/T; gives the numbers.
    ConfigError
        If there is no remnant, or the engine's band is fixed.

    Notes
    -----
    The box is spacing ~ U(R/4, R), offset q0 ~ U(0, 1) (or f0 ~ U(0, spacing) in Hz: the same joint density), width ~ logU(1/T, R),
    amplitude ~ U(m/100, 10 m), f_min and f_max ~ U(f_lo, f_hi), under 0 < f_max - f_min - 10 spacing < f_RD. With L = f_hi - f_lo the
    spacing's marginal is proportional to (L - 10 spacing)^2, that of f_min given it to f_hi - 10 spacing - f_min, and f_max is uniform
    on [f_min + 10 spacing, f_hi] (derived here). Where L < 10 R the spacing ends at L/10.
    """
    if not isinstance(remnant, Remnant):
        raise ConfigError(
            "a sampled band needs the remnant's scales: EchoSearch(..., remnant=Remnant(spin, mass_detector_frame)), or "
            f"search_priors(Remnant(spin, mass_detector_frame), engine); got {shown(remnant)}"
        )
    if engine.band != "sampled":
        raise ConfigError(f"search_priors is the prior of a sampled band, and this engine's is {shown(engine.band)}: use fixed_band_priors")
    unit = "1/M" if remnant.is_dimensionless else "Hz"
    low, high = remnant.search_band
    least, largest, room = remnant.largest_spacing / 4.0, remnant.largest_spacing, high - low
    if room <= _LEAST_TEETH * least:
        raise PriorError(
            f"the band from {low:.6g} to {high:.6g} {unit} (f_RD = {remnant.ringdown_frequency:.6g} {unit}) has room for "
            f"{max(room, 0.0):.6g} {unit}, less than ten of the least spacing, {_LEAST_TEETH * least:.6g} {unit}. A lighter remnant has "
            "a higher band"
        )
    if room - _LEAST_TEETH * least > remnant.ringdown_frequency:
        raise PriorError(
            f"the band from {low:.6g} to {high:.6g} {unit} is wider than f_RD + 10 spacings = "
            f"{remnant.ringdown_frequency + _LEAST_TEETH * least:.6g} {unit}: f_max - f_min - 10 spacing < f_RD would cut the prior, which "
            "has no closed form then. Give the engine a band (f_min, f_max) and fixed_band_priors"
        )
    spacing = PowerLaw(2.0, least, min(largest, room / _LEAST_TEETH), reflect_at=room / _LEAST_TEETH)
    top = Affine(high, {"spacing": -_LEAST_TEETH})
    f_min = ConditionalPrior(PowerLaw, {"alpha": 1.0, "low": low, "high": top, "reflect_at": top})
    f_max = ConditionalPrior(Uniform, {"low": Affine(0.0, {"f_min": 1.0, "spacing": _LEAST_TEETH}), "high": high})
    hint = ". Without a mass the remnant's scales are in 1/M: is the data's unit of time M?" if remnant.is_dimensionless else ""
    members = _comb(engine, spacing, largest, unit, amplitude_prior, hint)
    members += [Parameter("f_min", f_min, unit=unit, latex=r"f_{\min}"), Parameter("f_max", f_max, unit=unit, latex=r"f_{\max}")]
    return PriorSet(members + _phase_shifts(engine))


def fixed_band_priors(engine: SearchEngine, unit_noise: bool = False) -> PriorSet:
    """Prior of a search in a fixed band: spacing, offset, width, amplitude, and the phase shifts of a network.

    Parameters
    ----------
    engine : EchoSearch
        Read for its duration, band, offset unit, detectors and amplitude scale; what it marginalises is left out.
    unit_noise : bool
        Amplitude ~ U(0, 10), as in the published runs in white noise of unit variance, instead of U(m/100, 10 m).

    Returns
    -------
    PriorSet
        In the engine's order; normalised over the constraint, with a compiled form.

    Raises
    ------
    ConfigError
        If the engine's band is sampled or narrower than ten of the least spacing (10 Hz), or ``unit_noise`` is asked of an engine that
        marginalises the amplitude.
    PriorError
        If the largest width is below 1/T; gives both.

    Notes
    -----
    The box is spacing ~ U(1, 10) Hz and f0 ~ U(0, 10) Hz under 0 < spacing - f0 < 10 Hz, of mass 0.55. Its exact form: the spacing's
    density is proportional to the spacing, and f0 given it is U(0, spacing), or q0 ~ U(0, 1) in units of the spacing. width ~ logU(1/T, 2)
    rad/s for T <= 4 s, logU(1/T, 0.5) above (arXiv:2308.01017).
    """
    if isinstance(engine.band, str):
        raise ConfigError(f"fixed_band_priors is the prior of a fixed band, and this engine's is {shown(engine.band)}: use search_priors")
    low, high = engine.band
    if high - low < _LEAST_TEETH * _SPACINGS[0]:
        raise ConfigError(
            f"the band from {low:.6g} to {high:.6g} Hz has room for {high - low:.6g} Hz, less than ten of the least spacing, "
            f"{_LEAST_TEETH * _SPACINGS[0]:g} Hz. Widen it, or give priors of your own"
        )
    if unit_noise and "amplitude" not in engine.parameters:
        raise ConfigError(
            "unit_noise=True asks for amplitude ~ U(0, 10), but this engine marginalises the amplitude under the prior it was given: "
            f'construct it with amplitude=Uniform(0, {_UNIT_NOISE_AMPLITUDE:g}), or with amplitude="sampled"'
        )
    spacing = PowerLaw(1.0, *_SPACINGS)
    widest = _WIDTHS[0] if engine.duration <= _LONG else _WIDTHS[1]
    return PriorSet(_comb(engine, spacing, widest, "Hz", _unit_noise if unit_noise else amplitude_prior, "") + _phase_shifts(engine))


def _unit_noise(scale: float) -> Uniform:
    return Uniform(0.0, _UNIT_NOISE_AMPLITUDE)


def _comb(engine: SearchEngine, spacing: Prior, widest: float, unit: str, amplitude: Any, hint: str) -> list[Parameter]:
    """Spacing, offset, width and, where it is sampled, amplitude; ``unit`` of frequencies, ``hint`` for a width that is too narrow."""
    narrowest = 1.0 / engine.duration
    if widest <= narrowest:
        raise PriorError(
            f"the width's prior ends at {widest:.6g} rad/s, below 1/T = {narrowest:.6g} rad/s for T = {engine.duration:g} s, where it "
            f"begins. Take a longer segment{hint}"
        )
    in_hertz = engine.offset_unit == "Hz"
    offset: Prior | ConditionalPrior = Uniform(0.0, 1.0)
    if in_hertz:
        offset = ConditionalPrior(Uniform, {"low": 0.0, "high": Affine(0.0, {"spacing": 1.0})})
    seconds = "M" if unit == "1/M" else "s"
    members = [
        Parameter("spacing", spacing, unit=unit, latex=r"\Delta f"),
        # a comb moved by one spacing is the same comb: q0 = 0 and q0 = 1 are one point
        Parameter("offset", offset, unit=unit if in_hertz else "", latex="f_0" if in_hertz else "q_0", periodic=not in_hertz),
        Parameter("width", LogUniform(narrowest, widest), unit=f"rad/{seconds}", latex="w"),
    ]
    if "amplitude" in engine.parameters:
        members.append(Parameter("amplitude", amplitude(engine.amplitude_scale), unit=seconds, latex="A"))
    return members


def _phase_shifts(engine: SearchEngine) -> list[Parameter]:
    """Phase of every detector after the first against it, on a circle."""
    circle = Uniform(-0.5 * math.pi, 1.5 * math.pi)
    return [
        Parameter(f"phase_shift_{detector}", circle, unit="rad", latex=rf"\phi_{{\mathrm{{{detector}}}}}", periodic=True)
        for detector in engine.detectors[1:]
    ]


def _real(name: str, value: Any) -> float:
    """``value`` as a float; ConfigError unless it is a real number."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"Remnant: {name} must be a real number, got {shown(value)}") from None
