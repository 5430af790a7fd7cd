"""Scientific inference: hard likelihoods, trusted samplers, reproducible posteriors.

Only numpy and the standard library are imported here; everything else loads when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Problem": "sciinf.core.problem",
    "Parameter": "sciinf.core.parameter",
    "PriorSet": "sciinf.core.prior_set",
    "FunctionEngine": "sciinf.core.function_engine",
    "Dynesty": "sciinf.samplers.settings",
    "Emcee": "sciinf.samplers.settings",
    "sample": "sciinf.samplers.sample",
    "Posterior": "sciinf.results.posterior",
    "load": "sciinf.results.run_directory",
    "SciinfError": "sciinf.core.errors",
}
_MODULES = ("core", "results", "samplers", "engines", "calibration", "run", "validation", "numerics", "adapters")

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"sciinf.{name}")
    raise AttributeError(f"module 'sciinf' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
