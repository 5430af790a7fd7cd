"""Regression discontinuity with distribution-valued outcomes: effects on every quantile, with honest bands."""

from __future__ import annotations

from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.data import FrameColumns, RaggedSample
from sciinf.engines.r3d.effect import R3DEffectEngine
from sciinf.engines.r3d.effect_models import EffectModel
from sciinf.engines.r3d.extract import UnitQuantiles, extract_quantiles
from sciinf.engines.r3d.model import R3D
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.settings import R3DSettings, R3DWarning

__all__ = [
    "R3D",
    "BandwidthInfo",
    "EffectModel",
    "FrameColumns",
    "R3DEffectEngine",
    "R3DResults",
    "R3DSettings",
    "R3DWarning",
    "RaggedSample",
    "UnitQuantiles",
    "extract_quantiles",
]
