"""Regression discontinuity with distribution-valued outcomes: effects on every quantile, with honest bands."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.columns import FrameColumns
from sciinf.engines.r3d.data import RaggedSample, UnitQuantiles
from sciinf.engines.r3d.draws import Drawing
from sciinf.engines.r3d.effect import R3DEffectEngine
from sciinf.engines.r3d.effect_models import EffectModel
from sciinf.engines.r3d.estimates import Estimates
from sciinf.engines.r3d.extract import extract_quantiles
from sciinf.engines.r3d.model import R3D
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.settings import R3DSettings, R3DWarning

if TYPE_CHECKING:
    from sciinf.engines.r3d import plots, simulate

__all__ = [
    "R3D",
    "BandwidthInfo",
    "Drawing",
    "EffectModel",
    "Estimates",
    "FrameColumns",
    "R3DEffectEngine",
    "R3DResults",
    "R3DSettings",
    "R3DWarning",
    "RaggedSample",
    "UnitQuantiles",
    "extract_quantiles",
    "plots",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Load what is rarely wanted when it is first asked for."""
    if name not in ("plots", "simulate"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return importlib.import_module(f"{__name__}.{name}")
