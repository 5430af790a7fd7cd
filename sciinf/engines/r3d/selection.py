"""Which bandwidths a fit takes: given in numbers, or chosen by a rule, for the outcome and for the treatment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, shown
from sciinf.engines.r3d import bandwidth as rules
from sciinf.engines.r3d import compat
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.data import RaggedSample
from sciinf.engines.r3d.projection import cell_weights
from sciinf.engines.r3d.settings import R3DSettings, one_of

if TYPE_CHECKING:
    from sciinf.engines.r3d.model import R3D

__all__ = ["select"]

FloatArray = NDArray[np.float64]

_RULES = ("imse", "mse", "rot")


def select(
    model: R3D, bandwidth: str | float | ArrayLike, bandwidth_den: float | None, regularise: bool, coverage_rule: bool
) -> BandwidthInfo:
    """Bandwidths of a model; parameters and errors as `R3D.select_bandwidth`."""
    settings = model.settings
    given = _given(bandwidth, settings)
    if given is None:
        if not regularise and (bandwidth == "rot" or settings.compat is not None):
            raise ConfigError("R3D: 'rot' and the selector of compat='R3D' have no regularisation to leave out: leave regularise out")
        info = _chosen(model, str(bandwidth), _quantiles(model), regularise)
    elif coverage_rule or not regularise:
        raise ConfigError("R3D: coverage_rule and regularise are of chosen bandwidths; with a bandwidth that is given leave them out")
    else:
        info = rules.fixed(given, settings.n_q)
    den = _of_treatment(model, bandwidth, bandwidth_den, given, regularise)
    if coverage_rule:
        factor = rules.coverage_factor(len(model.x), settings.s)
        info = replace(info, h=info.h * factor)
        den = None if den is None else replace(den, h=den.h * factor) if den.rule != "given" else den
    return info if den is None else replace(info, denominator=den)


def _of_treatment(model: R3D, bandwidth: Any, bandwidth_den: Any, given: FloatArray | None, regularise: bool) -> BandwidthInfo | None:
    """The treatment's bandwidth: given, or by the outcome's rule, or the outcome's one number."""
    if model.treatment is None:
        if bandwidth_den is not None:
            raise ConfigError("R3D: bandwidth_den is of the treatment, and there is none: give R3D(..., treatment=...), or leave it out")
        return None
    if bandwidth_den is not None:
        if np.ndim(bandwidth_den) != 0:
            raise ConfigError(f"R3D: bandwidth_den must be one number, got {shown(bandwidth_den)}")
        return rules.fixed(_positive("bandwidth_den", bandwidth_den, "; leave it out for the outcome's rule or number"), 1)
    if given is None:
        return _chosen(model, "rot" if bandwidth == "rot" else "imse", model.treatment[:, None], regularise)
    if len(given) == 1:
        return rules.fixed(given, 1)
    raise ConfigError("R3D: with a bandwidth for each level, give bandwidth_den for the treatment as well")


def _quantiles(model: R3D) -> FloatArray:
    """The fit's own quantiles; in compatible fits those of unweighted samples."""
    settings = model.settings
    if settings.compat is None or not isinstance(model.outcomes, RaggedSample):
        return model.quantiles
    return model.outcomes.unweighted().quantiles(settings.levels, "type7")


def _given(bandwidth: Any, settings: R3DSettings) -> FloatArray | None:
    """A bandwidth in numbers as (1,) or (n_q,), or None where it is a rule."""
    if isinstance(bandwidth, str):
        one_of("bandwidth", bandwidth, _RULES)
        if bandwidth == "mse" and settings.method == "frechet":
            raise ConfigError("R3D: method 'frechet' takes one bandwidth for all levels, so not 'mse': take 'imse', 'rot' or a number")
        return None
    values = _positive("bandwidth", bandwidth, f" (or a rule: {', '.join(_RULES)})")
    if np.ndim(bandwidth) == 0:
        return values
    if settings.method == "frechet":
        raise ConfigError(
            f"R3D: method 'frechet' takes one bandwidth for all levels, got {len(values)} numbers: give one, or take method 'simple'"
        )
    if len(values) != settings.n_q:
        raise ConfigError(f"R3D: bandwidth must be one number or one for each of the {settings.n_q} levels, got {len(values)}")
    return values


def _positive(name: str, value: Any, otherwise: str) -> FloatArray:
    values = np.asarray(value)
    if values.dtype.kind not in "fiu" or values.ndim > 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise ConfigError(f"R3D: {name} must be positive and finite, got {shown(value)}{otherwise}")
    return np.atleast_1d(values.astype(np.float64))


def _chosen(model: R3D, rule: str, outcomes: FloatArray, regularise: bool) -> BandwidthInfo:
    """By a rule, from outcomes (n, m)."""
    settings, sides, m = model.settings, model.sides(), outcomes.shape[1]
    if rule == "rot":
        return rules.rule_of_thumb(sides, m, settings.kernel)
    if settings.compat is not None:
        return compat.plug_in(sides, outcomes, settings.levels, settings.s, settings.kernel, pooled=rule == "imse")
    cells = cell_weights(settings.levels) if m > 1 else np.ones(1)
    return rules.plug_in(sides, outcomes, cells, settings.s, settings.kernel, pooled=rule == "imse", regularise=regularise)
