"""Planck-style hybrid CMB likelihoods, from spectra or from parameters."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciinf.engines.cmb.component import Component, Origin
from sciinf.engines.cmb.data import PlanckFiles, planck_data
from sciinf.engines.cmb.identity import self_test
from sciinf.engines.cmb.lensing import Lensing, LensingData
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.plik_lite import LowEllData, LowEllTTBins, PlikLite, PlikLiteData
from sciinf.engines.cmb.presets import TEMPLATE, from_config, input_files, planck2018
from sciinf.engines.cmb.simall import SimAllEE, SimAllMock
from sciinf.engines.cmb.spectra import LinearPart, Spectra, SpectraBatch
from sciinf.engines.cmb.theory import CAMBSettings, CAMBTheory, Theory

if TYPE_CHECKING:
    from sciinf.engines.cmb import importance, plots, simulate
    from sciinf.engines.cmb.emulator import EmulatorTheory
    from sciinf.engines.cmb.inference import BestFit, best_fit

__all__ = [
    "TEMPLATE",
    "BestFit",
    "CAMBSettings",
    "CAMBTheory",
    "Component",
    "EmulatorTheory",
    "Hybrid",
    "Lensing",
    "LensingData",
    "LinearPart",
    "LowEllData",
    "LowEllTTBins",
    "Origin",
    "PlanckFiles",
    "PlikLite",
    "PlikLiteData",
    "SimAllEE",
    "SimAllMock",
    "Spectra",
    "SpectraBatch",
    "Theory",
    "best_fit",
    "from_config",
    "importance",
    "input_files",
    "planck2018",
    "planck_data",
    "plots",
    "self_test",
    "simulate",
]

_LAZY = {
    "BestFit": "inference:BestFit",
    "EmulatorTheory": "emulator:EmulatorTheory",
    "best_fit": "inference:best_fit",
    "importance": "importance",
    "plots": "plots",
    "simulate": "simulate",
}


def __getattr__(name: str) -> Any:
    """Load what is heavy, or rarely wanted, when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module, _, attribute = _LAZY[name].partition(":")
    loaded = importlib.import_module(f"{__name__}.{module}")
    return getattr(loaded, attribute) if attribute else loaded
