"""Importance weights smoothed by a Pareto tail, and a posterior carried to another likelihood or prior."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError
from sciinf.results.posterior import Posterior
from sciinf.results.weights import effective_size, log_normalised, log_sum_exp

__all__ = ["Reweighted", "pareto_fit", "psis", "reweight"]

_SMALLEST_TAIL = 5
_PRIOR_SHAPE, _PRIOR_STRENGTH, _PRIOR_SCALE = 0.5, 10.0, 3.0  # ArviZ's weak prior on the shape, and the grid's scale


class Reweighted(NamedTuple):
    """A reweighted posterior, Pareto's shape k-hat of its ratios, and its effective size relative to before."""

    posterior: Posterior
    k_hat: float
    efficiency: float


def pareto_fit(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape k and scale sigma of a generalised Pareto distribution for sorted positive ``excess`` (n,), with a weak prior on k.

    References
    ----------
    Zhang & Stephens 2009, doi:10.1198/tech.2009.08017; prior on k from Vehtari et al. 2024, arXiv:1507.02646.
    """
    n = len(excess)
    grid = 30 + int(n**0.5)
    b = 1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (_PRIOR_SCALE * excess[int(n / 4 + 0.5) - 1]) + 1.0 / excess[-1]
    k = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = n * (np.log(-(b / k)) - k - 1.0)
    weights = np.exp(profile - log_sum_exp(profile))
    kept = weights >= 10.0 * np.finfo(np.float64).eps
    weights, b = weights[kept] / weights[kept].sum(), b[kept]
    b_mean = float(np.sum(b * weights))
    shape = float(np.log1p(-b_mean * excess).mean())
    return (n * shape + _PRIOR_STRENGTH * _PRIOR_SHAPE) / (n + _PRIOR_STRENGTH), -shape / b_mean


def _pareto_quantile(probability: NDArray[np.float64], shape: float, scale: float) -> NDArray[np.float64]:
    if abs(shape) < np.finfo(np.float64).eps:
        return -scale * np.log1p(-probability)
    return np.asarray(scale * np.expm1(-shape * np.log1p(-probability)) / shape)


def psis(log_weights: ArrayLike, relative_efficiency: float = 1.0) -> tuple[NDArray[np.float64], float]:
    """Pareto-smoothed, normalised importance log-weights (n,), and the shape k-hat of their tail.

    Parameters
    ----------
    log_weights : (n,) float array
        Raw log-ratios; -inf allowed.
    relative_efficiency : float
        Effective over nominal number of draws, for chains; in (0, 1].

    Returns
    -------
    log_weights : (n,) float64 array
        The largest min(n/5, 3 sqrt(n / relative_efficiency)) replaced by quantiles of the fitted distribution; the weights sum to one.
    k_hat : float
        Below 0.5 good, below 0.7 usable; infinite where the tail has fewer than 5 points: they cannot be judged.

    References
    ----------
    Vehtari et al. 2024, "Pareto smoothed importance sampling", arXiv:1507.02646.
    """
    values = np.array(log_weights, dtype=np.float64)
    n = len(values)
    values -= np.max(values)
    order = np.argsort(values)
    tail_size = int(np.ceil(min(n / 5.0, 3.0 * np.sqrt(n / relative_efficiency))))
    cutoff = max(float(values[order[max(n - tail_size - 1, 0)]]), float(np.log(np.finfo(np.float64).tiny)))
    tail = np.flatnonzero(values > cutoff)
    if len(tail) < _SMALLEST_TAIL:
        return values - log_sum_exp(values), float("inf")
    tail = tail[np.argsort(values[tail])]
    shape, scale = pareto_fit(np.exp(values[tail]) - np.exp(cutoff))
    if np.isfinite(shape) and scale > 0.0:
        places = (np.arange(len(tail)) + 0.5) / len(tail)
        values[tail] = np.log(_pareto_quantile(places, shape, scale) + np.exp(cutoff))
        values = np.minimum(values, 0.0)
    return values - log_sum_exp(values), float(shape)


def _even_indices(posterior: Posterior) -> NDArray[np.int64]:
    """About Kish's number of indices, evenly spaced in cumulated weight: stand-ins of equal weight for the tail fit."""
    size = max(1, int(effective_size(posterior.log_weights)))
    places = (np.arange(size) + 0.5) / size
    return np.minimum(np.searchsorted(np.cumsum(posterior.weights), places), len(posterior) - 1)


def _log_evidence(posterior: Posterior, ratio: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Evidence after reweighting: the old one times the mean ratio; errors in quadrature."""
    if posterior.log_evidence is None:
        return None, None
    total = log_sum_exp(posterior.log_weights + ratio)
    share = posterior.weights * (np.exp(ratio - total) - 1.0)
    error = posterior.log_evidence_error
    return posterior.log_evidence + total, None if error is None else float(np.hypot(error, np.sqrt(np.sum(share**2))))


def reweight(posterior: Posterior, log_ratio: ArrayLike, *, changes: Literal["likelihood", "prior"] = "likelihood") -> Reweighted:
    """Carry a posterior to another likelihood or prior by importance sampling.

    Parameters
    ----------
    posterior : Posterior
        Samples of the old posterior.
    log_ratio : (n,) float array
        ln of new over old (likelihood or prior density) at each sample; -inf allowed.
    changes : {"likelihood", "prior"}
        Which of the two columns the ratio is added to.

    Returns
    -------
    Reweighted
        The new posterior, ``k_hat`` (trust it below 0.7), and ``efficiency`` (new over old effective number of weights).

    Raises
    ------
    DataError
        If the ratios have the wrong shape, are NaN or +inf, or leave no point.
    ConfigError
        If ``changes`` is neither.

    Notes
    -----
    Equal weights: the ratios are Pareto smoothed, as `psis` does. Weighted samples (nested runs): k-hat is that of the ratios at evenly
    resampled points, and the weights are multiplied by the raw ratios, so that a ratio of one changes nothing. The evidence is multiplied
    by the mean raw ratio. Contours, volumes and ranks of a nested run do not survive and are dropped.
    """
    if changes not in ("likelihood", "prior"):
        raise ConfigError(f"changes must be 'likelihood' or 'prior', got {changes!r}")
    ratio = as_float_array("log_ratio", log_ratio)
    if ratio.shape != (len(posterior),):
        raise DataError(f"log_ratio must have shape ({len(posterior)},), got {ratio.shape}")
    if (bad := np.flatnonzero(np.isnan(ratio) | (ratio == np.inf))).size:
        raise DataError(f"log_ratio must be finite or -inf; log_ratio[{bad[0]}] = {ratio[bad[0]]} ({bad.size} such values)")
    if not np.isfinite(posterior.log_weights + ratio).any():
        raise DataError("log_ratio is -inf at every sample that carries weight: the two posteriors do not overlap")
    if posterior.is_weighted:
        smoothed, k_hat = log_normalised(posterior.log_weights + ratio), psis(ratio[_even_indices(posterior)])[1]
    else:
        smoothed, k_hat = psis(ratio, min(1.0, posterior.ess / len(posterior)) if posterior.is_mcmc else 1.0)
    log_evidence, error = _log_evidence(posterior, ratio)
    field = f"log_{changes}"
    changed: dict[str, Any] = {
        field: getattr(posterior, field) + ratio,
        "log_evidence": log_evidence,
        "log_evidence_error": error,
        "information": None,
    }
    nested: dict[str, Any] = dict.fromkeys(("birth_log_likelihood", "n_live", "log_volume", "insertion_rank"))
    new = dataclasses.replace(posterior, log_weights=smoothed, **changed, **nested)
    return Reweighted(new, k_hat, effective_size(smoothed) / effective_size(posterior.log_weights))
