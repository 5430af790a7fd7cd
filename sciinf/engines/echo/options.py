"""What a user may hand to `EchoSearch`: options by name, the band, and data in their three forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from sciinf.core.errors import ConfigError, PriorError, nearest_names, shown
from sciinf.core.priors import LogUniform, Uniform
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.priors import Remnant
from sciinf.engines.echo.strain import Strain
from sciinf.engines.echo.template import CombTemplate

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch

__all__ = ["Band", "OffsetUnit", "Phase", "as_spectra", "check_options", "checked_band"]

Phase = Literal["mode", "bin", "whittle"]
OffsetUnit = Literal["spacing", "Hz"]
Band = Literal["sampled"] | tuple[float, float]


def check_options(engine: EchoSearch) -> None:
    """Raise ConfigError for an option that is not known, and name the nearest."""
    for name, value, allowed in (("phase", engine.phase, get_args(Phase)), ("offset_unit", engine.offset_unit, get_args(OffsetUnit))):
        if value not in allowed:
            raise ConfigError(f"EchoSearch: no {name} {shown(value)}: {nearest_names(str(value), allowed)}")
    if isinstance(engine.template, str) and engine.template != "comb":
        raise ConfigError(f"EchoSearch: no template {shown(engine.template)}: {nearest_names(engine.template, ('comb',))}")
    if not isinstance(engine.template, (str, CombTemplate)):
        raise ConfigError(f"EchoSearch: template must be 'comb' or a CombTemplate, got {shown(engine.template)}")
    if isinstance(engine.amplitude, str):
        if engine.amplitude not in ("sampled", "marginalised"):
            raise ConfigError(
                f"EchoSearch: no amplitude {shown(engine.amplitude)}: "
                f"{nearest_names(engine.amplitude, ('sampled', 'marginalised'))}, or a prior to marginalise over, "
                "Uniform(low, high) or LogUniform(low, high)"
            )
    elif type(engine.amplitude) not in (Uniform, LogUniform):
        raise ConfigError(
            f"EchoSearch: the amplitude is marginalised over Uniform(low, high) or LogUniform(low, high), got {shown(engine.amplitude)}"
        )
    if engine.remnant is not None and not isinstance(engine.remnant, Remnant):
        raise ConfigError(f"EchoSearch: remnant must be Remnant(spin, mass_detector_frame), got {shown(engine.remnant)}")


def checked_band(engine: EchoSearch) -> Band:
    """The band, a fixed one as floats.

    Raises
    ------
    ConfigError
        If a fixed band is not inside (0, Nyquist), or a sampled one is to be marginalised over the amplitude without a remnant.
    PriorError
        If the remnant's search band holds no frequency of the data.
    """
    if isinstance(engine.band, str):
        if engine.band != "sampled":
            raise ConfigError(
                f"EchoSearch: no band {shown(engine.band)}: {nearest_names(engine.band, ('sampled',))}, or (f_min, f_max) in Hz"
            )
        if engine.amplitude == "marginalised" and engine.remnant is None and engine.amplitude_scale is None:
            raise ConfigError(
                "EchoSearch: the amplitude's prior needs the band of the search, and a sampled band needs the remnant for it: "
                'EchoSearch(..., amplitude="marginalised", remnant=Remnant(spin, mass_detector_frame)), or give band=(f_min, f_max)'
            )
        if engine.remnant is not None and engine.band_limits[0] >= engine.band_limits[1]:
            (low, high), unit = engine.remnant.search_band, "1/M" if engine.remnant.is_dimensionless else "Hz"
            raise PriorError(
                f"EchoSearch: the remnant's search band, {low:.6g} to {high:.6g} {unit} (f_RD = {engine.remnant.ringdown_frequency:.6g} "
                f"{unit}), is empty or above the Nyquist frequency, {engine.nyquist:.6g} {unit}. Check the mass (a lighter remnant has a "
                "higher band), or give band=(f_min, f_max)"
            )
        return engine.band
    try:
        low, high = (float(value) for value in engine.band)
    except (TypeError, ValueError):
        raise ConfigError(f"EchoSearch: band must be 'sampled' or (f_min, f_max) in Hz, got {shown(engine.band)}") from None
    if not 0.0 < low < high < engine.nyquist:
        raise ConfigError(
            f"EchoSearch: a band needs 0 < f_min < f_max < Nyquist ({engine.nyquist:g} Hz), got f_min={low:g}, f_max={high:g} Hz"
        )
    return low, high


def as_spectra(strain: Any, psd: Psd | None) -> tuple[Spectrum, ...]:
    """What a user gave, as a tuple of spectra; ConfigError where it is none of the three forms."""
    if isinstance(strain, Strain):
        if not isinstance(psd, Psd):
            raise ConfigError(f"EchoSearch: a Strain needs psd=Psd(...) beside it (one-sided, 1/Hz), got psd={shown(psd)}")
        return (strain.spectrum(psd),)
    if psd is not None:
        raise ConfigError("EchoSearch: a Spectrum holds its PSD; psd= goes with a Strain only")
    spectra = (strain,) if isinstance(strain, Spectrum) else strain
    if not isinstance(spectra, (tuple, list)) or not spectra or not all(isinstance(item, Spectrum) for item in spectra):
        raise ConfigError(f"EchoSearch: data must be a Strain, a Spectrum or a tuple of Spectrum, got {shown(strain)}")
    return tuple(spectra)
