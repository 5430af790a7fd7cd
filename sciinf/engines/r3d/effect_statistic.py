"""From a fitted curve to the statistic of a likelihood: which levels or components, their covariance, and its degrees of freedom."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, shown
from sciinf.engines.r3d.covariance import check_cov_type
from sciinf.engines.r3d.effect import R3DEffectEngine
from sciinf.engines.r3d.effect_models import EffectModel, Shape, shape_of
from sciinf.engines.r3d.settings import R3DWarning, one_of

if TYPE_CHECKING:
    from sciinf.engines.r3d.results import R3DResults

__all__ = ["COARSE", "effect_engine"]

FloatArray = NDArray[np.float64]

_SAME_LEVEL = 1e-12
_MOST_COMPONENTS = 3

COARSE = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Levels of the likelihood where none are given."""


def effect_engine(
    fit: R3DResults,
    model: str | EffectModel,
    q: ArrayLike | None,
    n_components: int | None,
    likelihood: str,
    nu: float | None,
    cov_type: str | None,
) -> R3DEffectEngine:
    """The engine of a fit; arguments, errors and warnings as `R3DResults.to_engine`."""
    if fit.settings.compat is not None:
        raise ConfigError(
            "r3d: a fit with compat='R3D' has a covariance that is known to be wrong, so it offers no likelihood: fit without compat"
        )
    shape = shape_of(model)
    one_of("likelihood", likelihood, ("t", "gaussian"))
    clustered = fit.contributions.cluster is not None
    if cov_type is None:
        cov_type = fit.cov_type if clustered else "HC2"
    cov = check_cov_type(cov_type, clustered=clustered, compat=False)
    if q is not None and n_components is not None:
        raise ConfigError("r3d: the data are the curve at levels q, or its n_components leading components: give one of the two")
    if q is None and n_components is None:
        q = COARSE
    columns = np.arange(fit.settings.n_q) if q is None else _columns(fit.settings.levels, q)
    some = fit.contributions.with_levels(columns)
    covariance = some.covariance(cov)
    se, tau, projection = np.sqrt(np.diag(covariance)), fit.params[columns], None
    statistic = tau
    if n_components is not None:
        projection, covariance = _components(covariance, n_components)
        statistic = projection @ tau
    freedom = _freedom(likelihood, nu, float(some.freedom().min()), len(statistic))
    if isinstance(shape, Shape) and shape.reads_m_minus:
        warnings.warn(
            f"r3d: the model '{model}' takes m_-, the limit from below, as known; its error is not in the likelihood",
            R3DWarning,
            stacklevel=3,
        )
    return R3DEffectEngine(
        statistic=statistic.copy(), covariance=covariance, nu=freedom, q=fit.settings.levels[columns], m_minus=fit.m_minus[columns].copy(),
        curve=tau.copy(), curve_se=se, projection=projection, model=model, bandwidth=fit.bandwidth_info.h.copy(), fit=fit,
    )  # fmt: skip


def _columns(levels: FloatArray, q: ArrayLike) -> NDArray[np.int64]:
    """Places of the levels ``q`` on the grid of the fit."""
    try:
        wanted = np.atleast_1d(np.asarray(q, dtype=np.float64))
    except (TypeError, ValueError):
        wanted = np.empty(0)
    if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all() or (np.diff(wanted) <= 0.0).any():
        raise ConfigError(f"r3d: q must be levels that increase strictly, got {shown(q)}")
    places = np.clip(np.searchsorted(levels, wanted - _SAME_LEVEL), 0, len(levels) - 1)
    absent = np.abs(levels[places] - wanted) > _SAME_LEVEL
    if absent.any():
        names = ", ".join(f"{level:g}" for level in wanted[absent][:5])
        raise ConfigError(
            f"r3d: q must be levels of the fit; not among them: {names}. The fit has {len(levels)} from {levels[0]:g} to "
            f"{levels[-1]:g}: take those, or fit with R3DSettings(q_grid=...)"
        )
    return places.astype(np.int64)


def _components(covariance: FloatArray, n_components: int) -> tuple[FloatArray, FloatArray]:
    """The leading eigenvectors as rows, and the covariance of the curve's components."""
    most = min(_MOST_COMPONENTS, len(covariance))
    if isinstance(n_components, (bool, np.bool_)) or not isinstance(n_components, (int, np.integer)) or not 1 <= n_components <= most:
        raise ConfigError(f"r3d: n_components must be an integer from 1 to {most}, got {shown(n_components)}")
    values, vectors = np.linalg.eigh(covariance)
    rows = vectors[:, ::-1][:, :n_components].T
    signs = np.where(rows.sum(axis=1) < 0.0, -1.0, 1.0)  # a vector's sign is free: positive on average
    return np.ascontiguousarray(rows * signs[:, None]), np.diag(values[::-1][:n_components])


def _freedom(likelihood: str, nu: float | None, estimated: float, d: int) -> float:
    """Degrees of freedom; infinite for the normal form, which warns."""
    if likelihood == "gaussian":
        if nu is not None:
            raise ConfigError(f"r3d: the Gaussian form has no degrees of freedom, so nu must be left out; got {shown(nu)}")
        warnings.warn(
            "r3d: the Gaussian form takes the covariance as known, so its intervals are too narrow: it rests on about "
            f"{estimated:.1f} degrees of freedom. likelihood='t' accounts for that", R3DWarning, stacklevel=4,
        )  # fmt: skip
        return math.inf
    given: Any = estimated if nu is None else nu
    if isinstance(given, (bool, np.bool_, str)) or np.ndim(given) != 0 or not (np.isfinite(given) and given > 0.0):
        raise ConfigError(f"r3d: nu must be a positive finite number, got {shown(nu)}")
    freedom = float(given)
    if freedom + 1.0 > d > freedom / 4.0:
        warnings.warn(
            f"r3d: the statistic has d = {d} entries and its covariance nu = {freedom:.1f} degrees of freedom; above nu / 4 the likelihood "
            "is dominated by the covariance's error. Take fewer levels, or n_components", R3DWarning, stacklevel=4,
        )  # fmt: skip
    return freedom
