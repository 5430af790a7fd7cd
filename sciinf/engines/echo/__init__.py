"""Phase-marginalised search for combs of quasinormal modes in gravitational-wave strain."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciinf.engines.echo.background import (
    PValue,
    Segments,
    SensitivityLimit,
    UpperLimit,
    block_interval,
    off_source_segments,
    p_value,
    sensitivity_limit,
    slide_pairs,
    time_slides,
    upper_limit,
)
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.gwosc import read_gwosc
from sciinf.engines.echo.missed import check_against_scan
from sciinf.engines.echo.model import EchoSearch
from sciinf.engines.echo.network import EchoWarning
from sciinf.engines.echo.priors import Remnant, amplitude_prior, fixed_band_priors, search_priors
from sciinf.engines.echo.scan import ScanResult, scan  # now: a module loaded later would take the function's name
from sciinf.engines.echo.strain import Strain
from sciinf.engines.echo.template import CombTemplate

if TYPE_CHECKING:
    from sciinf.engines.echo import benchmarks, plots, simulate
    from sciinf.engines.echo.conditioning import LineReport, apply_lines, condition, find_lines, welch_psd
    from sciinf.engines.echo.diagnostics import ModeTable, Resolution, resolution
    from sciinf.engines.echo.importance import importance_sample

__all__ = [
    "CombTemplate",
    "EchoSearch",
    "EchoWarning",
    "LineReport",
    "ModeTable",
    "PValue",
    "Psd",
    "Remnant",
    "Resolution",
    "ScanResult",
    "Segments",
    "SensitivityLimit",
    "Spectrum",
    "Strain",
    "UpperLimit",
    "amplitude_prior",
    "apply_lines",
    "benchmarks",
    "block_interval",
    "check_against_scan",
    "condition",
    "find_lines",
    "fixed_band_priors",
    "importance_sample",
    "off_source_segments",
    "p_value",
    "plots",
    "read_gwosc",
    "resolution",
    "scan",
    "search_priors",
    "sensitivity_limit",
    "simulate",
    "slide_pairs",
    "time_slides",
    "upper_limit",
    "welch_psd",
]

_LAZY = {
    "LineReport": "conditioning:LineReport",
    "ModeTable": "diagnostics:ModeTable",
    "Resolution": "diagnostics:Resolution",
    "apply_lines": "conditioning:apply_lines",
    "benchmarks": "benchmarks",
    "condition": "conditioning:condition",
    "find_lines": "conditioning:find_lines",
    "importance_sample": "importance:importance_sample",
    "plots": "plots",
    "resolution": "diagnostics:resolution",
    "simulate": "simulate",
    "welch_psd": "conditioning:welch_psd",
}


def __getattr__(name: str) -> Any:
    """Load what is heavy, or rarely wanted, when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module, _, attribute = _LAZY[name].partition(":")
    loaded = importlib.import_module(f"{__name__}.{module}")
    return getattr(loaded, attribute) if attribute else loaded
