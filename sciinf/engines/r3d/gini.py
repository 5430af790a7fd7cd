"""Whether treatment changes inequality: the Gini coefficients of the two limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.r3d import compat
from sciinf.engines.r3d.draws import Drawing, check_alpha, critical_value
from sciinf.engines.r3d.estimates import Estimates

__all__ = ["GiniResult", "gini", "gini_test"]

FloatArray = NDArray[np.float64]

_MOST_WITHOUT = 0.01  # share of draws whose mean is not positive


@dataclass(frozen=True)
class GiniResult:
    """Gini coefficients at the cutoff.

    Attributes
    ----------
    plus, minus : float
        Of ``m_+`` and ``m_-``.
    difference : float
        plus - minus; in a fuzzy design that of the reduced form, of all units and not of compliers.
    ci : (float, float)
        Interval of the difference.
    p_value : float
        That the difference is zero.
    critical_value : float
        Of abs(difference).
    n_without : int
        Draws left out because their mean is not positive.
    """

    plus: float
    minus: float
    difference: float
    ci: tuple[float, float]
    p_value: float
    critical_value: float
    n_without: int


def gini(levels: FloatArray, curves: FloatArray) -> FloatArray:
    """Gini coefficient of each quantile function; NaN where the mean is not positive.

    Parameters
    ----------
    levels : (n_q,) float64 array
        Inside (0, 1).
    curves : (n, n_q) float64 array
        Quantile functions, continued flat to 0 and 1.

    Returns
    -------
    (n,) float64 array

    Notes
    -----
    1 - 2 int L(q) dq with the Lorenz curve L(q) = int_0^q Q / int_0^1 Q, both integrals by the trapezoidal rule.

    Examples
    --------
    >>> grid = np.arange(1, 100) / 100
    >>> gini(grid, grid[None, :]).round(3)
    array([0.333])
    """
    q = np.concatenate([[0.0], levels, [1.0]])
    padded = np.concatenate([curves[:, :1], curves, curves[:, -1:]], axis=1)
    step = np.diff(q)
    total = np.zeros((len(curves), len(q)))
    np.cumsum(0.5 * (padded[:, 1:] + padded[:, :-1]) * step, axis=1, out=total[:, 1:])
    area = (0.5 * (total[:, 1:] + total[:, :-1]) * step).sum(axis=1)
    mean = total[:, -1]
    return np.where(mean > 0.0, 1.0 - 2.0 * area / np.where(mean > 0.0, mean, 1.0), np.nan)


def gini_test(fit: Estimates, alpha: float, drawing: Drawing) -> GiniResult:
    """The difference of the two coefficients, its interval and p-value, from joint draws of both limits."""
    alpha, levels = check_alpha(alpha), fit.settings.levels
    if len(levels) < 2:
        raise ConfigError("r3d: a Gini coefficient needs at least two quantile levels, the fit has one. Fit with R3DSettings(q_grid=...)")
    found = []
    for name, curve in (("plus", fit.m_plus), ("minus", fit.m_minus)):
        value = float(gini(levels, curve[None, :])[0])
        if np.isnan(value):
            raise DataError(
                f"the Gini coefficient needs a positive mean; that of the {name} side is {curve.mean():g}. It is of outcomes such as "
                "incomes, counted from zero; for others compare average_effect() of the tails"
            )
        found.append(value)
    n_q, joint, plus, minus = len(levels), fit.contributions.of_the_sides(fit.cov_type), fit.m_plus, fit.m_minus
    clamp = fit.settings.compat is not None

    def differences(draws: FloatArray) -> FloatArray:
        upper, lower = gini(levels, plus + draws[:, :n_q]), gini(levels, minus + draws[:, n_q:])
        return np.clip(upper, 0.0, 1.0) - np.clip(lower, 0.0, 1.0) if clamp else upper - lower

    drawn = drawing.over(joint, fit.contributions.blocks, fit.contributions.n_blocks, differences)
    used = drawn[~np.isnan(drawn)]
    without = len(drawn) - len(used)
    if without > _MOST_WITHOUT * len(drawn):
        raise DataError(
            f"{without} of {len(drawn)} draws have a mean that is not positive: the outcome's mean is too near zero for a Gini coefficient"
        )
    difference = found[0] - found[1]
    centred = used - difference
    low, high = np.quantile(centred, [alpha / 2.0, 1.0 - alpha / 2.0])
    if clamp:
        p, limit = compat.gini_p_value(used, difference), compat.test_quantile(np.abs(used), alpha)
    else:
        p = float((1.0 + np.count_nonzero(np.abs(centred) >= abs(difference))) / (len(used) + 1.0))
        limit = critical_value(np.abs(centred), alpha).value
    return GiniResult(found[0], found[1], difference, (difference - float(high), difference - float(low)), p, limit, without)
