"""Statistics of weighted points: effective number, moments, quantiles, resampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["effective_size", "log_normalised", "log_sum_exp", "systematic_resample", "weighted_covariance", "weighted_quantile"]

_NORMALISED = 1e-10  # a log-sum-exp closer to 0 than this is left as it is, so that normalising twice changes no bit


def log_sum_exp(values: NDArray[np.float64]) -> float:
    """Log of the sum of exp(values); -inf for values that are all -inf.

    Examples
    --------
    >>> log_sum_exp(np.log([1.0, 2.0, 3.0]))
    1.791759469228055
    """
    top = float(np.max(values))
    return top if not np.isfinite(top) else top + float(np.log(np.sum(np.exp(values - top))))


def log_normalised(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-weights (n,) whose weights sum to one; those that do already come back with the same bytes."""
    total = log_sum_exp(log_weights)
    return log_weights if abs(total) <= _NORMALISED else log_weights - total


def effective_size(log_weights: ArrayLike) -> float:
    """Kish's effective number of points, (sum w)^2 / sum w^2, of log-weights (n,) of any normalisation.

    Examples
    --------
    >>> effective_size(np.zeros(8)), effective_size([0.0, -np.inf])
    (8.0, 1.0)
    """
    weights = np.asarray(log_weights, dtype=np.float64)
    weights = np.exp(weights - np.max(weights))
    return float(np.sum(weights) ** 2 / np.sum(weights**2))


def weighted_covariance(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance (k, k) of ``values`` (n, k) under ``weights`` (n,) that sum to one; NaN where a single point carries all weight.

    Notes
    -----
    sum_i w_i (x_i - m)(x_i - m)^T / (1 - sum_i w_i^2): unbiased for weights that do not depend on the values, and the usual n - 1
    form for equal weights.
    """
    offset = values - weights @ values
    free = 1.0 - float(np.sum(weights**2))
    if free <= 0.0:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    return np.asarray((offset * weights[:, None]).T @ offset / free)


def weighted_quantile(
    values: NDArray[np.float64], probabilities: ArrayLike, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Quantiles of ``values`` (n,) at ``probabilities``, of the same shape as these.

    Points of zero weight do not enter. NaN among the values gives NaN.

    Notes
    -----
    With the points sorted, S_k the cumulated weight, the k-th point sits at probability (S_k - w_k/2 - w_0/2) / (1 - w_0/2 - w_{n-1}/2),
    linear between: symmetric under x -> -x, and `numpy.quantile`'s default for equal weights (derived here).

    Examples
    --------
    >>> weighted_quantile(np.array([3.0, 1.0, 2.0]), [0.0, 0.25, 0.5], np.array([0.2, 0.4, 0.4]))
    array([1.   , 1.4375, 1.875 ])
    """
    wanted = np.asarray(probabilities, dtype=np.float64)
    if weights is None:
        return np.asarray(np.quantile(values, wanted))
    kept = weights > 0.0
    points, mass = values[kept], weights[kept]
    if np.isnan(points).any():
        return np.full(wanted.shape, np.nan)
    order = np.argsort(points, kind="stable")
    points, mass = points[order], mass[order]
    if len(points) == 1:
        return np.full(wanted.shape, points[0])
    position = np.cumsum(mass) - 0.5 * mass
    position = (position - position[0]) / (position[-1] - position[0])
    return np.asarray(np.interp(wanted, position, points))


def systematic_resample(weights: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (size,) in random order; point i appears floor(size w_i) or ceil(size w_i) times for ``weights`` that sum to one.

    References
    ----------
    Hol, Schon & Gustafsson 2006, "On resampling algorithms for particle filters", doi:10.1109/NSSPW.2006.4378824.
    """
    cumulated = np.cumsum(weights)
    positions = (rng.random() + np.arange(size)) / size * cumulated[-1]
    index = np.minimum(np.searchsorted(cumulated, positions, side="right"), len(weights) - 1)
    return np.asarray(rng.permutation(index), dtype=np.int64)
