"""What a component of the hybrid likelihood is, and the calibration parameter that all of them share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.engines.cmb.spectra import LinearPart, Spectra, SpectraBatch

__all__ = [
    "A_PLANCK",
    "Component",
    "Origin",
    "calibration",
    "calibration_prior",
    "calibration_reason",
    "calibrations",
    "check_spectra",
    "non_finite",
]

A_PLANCK = "A_planck"
_A_PLANCK_STD = 0.0025  # the standard deviation: public parameter files of cobaya; some label the same number "variance"


@dataclass(frozen=True)
class Origin:
    """Where a component's data come from, for the manifest.

    Parameters
    ----------
    source : str
        Package and version ("cosmofit 2.2.0"), "folder", "simulated", or "memory".
    files : dict of str to str
        Relative file name to sha256.
    notes : tuple of str
        Such as "unverified data".
    """

    source: str = "memory"
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class Component(Protocol):
    """One likelihood on spectra, with its data inside.

    ``requires`` maps a spectrum to the first and last l used. ``nuisance`` names what ``log_likelihood`` looks up in its mapping.
    ``linear`` is None for a component that is not Gaussian in the spectra.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def nuisance(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def requires(self) -> dict[str, tuple[int, int]]: ...  # noqa: D102
    @property
    def origin(self) -> Origin: ...  # noqa: D102
    def default_priors(self) -> PriorSet: ...  # noqa: D102
    def citations(self) -> tuple[str, ...]: ...  # noqa: D102
    def log_likelihood(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float: ...  # noqa: D102
    def log_likelihood_many(self, batch: SpectraBatch, nuisances: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]: ...  # noqa: D102
    def chi2(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float: ...  # noqa: D102
    def explain(self, spectra: Spectra, nuisance: Mapping[str, float]) -> list[str]: ...  # noqa: D102
    def predict(self, spectra: Spectra, nuisance: Mapping[str, float]) -> dict[str, NDArray[np.float64]]: ...  # noqa: D102
    def linear(self) -> LinearPart | None: ...  # noqa: D102
    def simulate(self, spectra: Spectra, nuisance: Mapping[str, float], rng: np.random.Generator) -> Any: ...  # noqa: D102
    def with_data(self, data: Any) -> Component: ...  # noqa: D102
    def fingerprint(self) -> str: ...  # noqa: D102


def calibration_prior() -> PriorSet:
    """The one prior of A_planck: Normal(1, 0.0025), 0.0025 being the standard deviation."""
    return PriorSet([Parameter(A_PLANCK, Normal(1.0, _A_PLANCK_STD), latex=r"A_{\rm planck}")])


def _lookup(component: str, nuisance: Mapping[str, Any]) -> Any:
    if A_PLANCK not in nuisance:
        raise ConfigError(f"{component} needs the nuisance parameter '{A_PLANCK}', got {', '.join(nuisance) or 'nothing'}")
    return nuisance[A_PLANCK]


def calibration(component: str, nuisance: Mapping[str, float]) -> float:
    """A_planck from a nuisance mapping; ConfigError where it is missing."""
    return float(_lookup(component, nuisance))


def calibrations(component: str, nuisances: Mapping[str, ArrayLike], n: int) -> NDArray[np.float64]:
    """A_planck (n,) from a mapping of arrays or numbers; ConfigError where it is missing."""
    values = np.asarray(_lookup(component, nuisances), dtype=np.float64)
    return np.ascontiguousarray(np.broadcast_to(values, (n,)))


def check_spectra(component: str, requires: Mapping[str, tuple[int, int]], l_max: Mapping[str, int]) -> None:
    """ConfigError unless spectra that reach to ``l_max`` serve a component."""
    for name, (low, high) in requires.items():
        if l_max.get(name, -1) < high:
            has = f"gets l up to {l_max[name]}" if name in l_max else f"gets none (present: {', '.join(l_max)})"
            raise ConfigError(f"component {component} needs {name} at l {low}-{high}, {has}")


def non_finite(component: str, requires: Mapping[str, tuple[int, int]], spectra: Spectra) -> list[str]:
    """A line for each spectrum that holds NaN or infinity where the component looks."""
    lines = []
    for name, (low, high) in requires.items():
        values = spectra[name][low : high + 1]
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            lines.append(f"{component}: {name} at l = {low + bad[0]} is {values[bad[0]]} ({len(bad)} such values)")
    return lines


def calibration_reason(component: str, y: float) -> list[str]:
    """A line where A_planck makes the likelihood NaN (not finite) or -inf (not positive)."""
    if not math.isfinite(y):
        return [f"{component}: {A_PLANCK} = {y} is not finite, so the likelihood is NaN"]
    return [] if y > 0.0 else [f"{component}: {A_PLANCK} = {y:g} must be positive"]
