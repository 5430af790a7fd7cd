"""What is said of the curve as a whole: bands, tests of zero and of constancy, averages over ranges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.r3d import compat
from sciinf.engines.r3d.draws import Drawing, check_alpha, critical_value
from sciinf.engines.r3d.estimates import Estimates, over_error, two_sided
from sciinf.engines.r3d.projection import cell_weights

__all__ = [
    "AverageEffects",
    "Band",
    "TestResult",
    "as_ranges",
    "average_effect",
    "curve_test",
    "quantile_of_error",
    "range_weights",
    "uniform_band",
]

FloatArray = NDArray[np.float64]
Ranges = Sequence[tuple[float, float]] | Sequence[float] | None

_AT_A_LEVEL = 1e-12
_ROUNDING = 1e-12  # of the largest value of a curve


@dataclass(frozen=True, eq=False)
class Band:
    """Uniform confidence band of the effect curve.

    Attributes
    ----------
    q : (n_q,) float64 array
        Quantile levels.
    lower, upper : (n_q,) float64 array
        Its ends, outcome's unit.
    critical_value : float
        Half-width (constant band), or in units of the standard error (studentised).
    critical_value_mc_error : float
        Its Monte Carlo error.
    alpha : float
        One less the level.
    studentized : bool
        Which form.
    n_draws : int
        Draws behind it.
    """

    q: FloatArray
    lower: FloatArray
    upper: FloatArray
    critical_value: float
    critical_value_mc_error: float
    alpha: float
    studentized: bool
    n_draws: int


@dataclass(frozen=True)
class TestResult:
    """A test over one range of levels.

    Attributes
    ----------
    statistic : float
        Supremum over the range; outcome's unit, or dimensionless where studentised.
    critical_value : float
        Of the level 1 - alpha.
    p_value : float
        (1 + number of draws as large) / (1 + number of draws).
    p_holm : float
        Adjusted for the number of ranges tested together (Holm 1979).
    range : (float, float)
        As asked for; the levels used are those of the fit inside it.
    """

    __test__ = False  # not a test of pytest's

    statistic: float
    critical_value: float
    p_value: float
    p_holm: float
    range: tuple[float, float]


@dataclass(frozen=True, eq=False)
class AverageEffects:
    """Averages of the effect over ranges of levels, (n_ranges,) each.

    Attributes
    ----------
    ranges : tuple of (float, float)
        The ranges.
    estimate, se, lower, upper : (n_ranges,) float64 array
        Average, standard error and interval, outcome's unit.
    critical_value : float
        In units of the standard error.
    simultaneous : bool
        Whether the intervals hold together.
    freedom : float
        Degrees of freedom of `pvalues` and of intervals that do not hold together; infinite where both are normal.
    """

    ranges: tuple[tuple[float, float], ...]
    estimate: FloatArray
    se: FloatArray
    lower: FloatArray
    upper: FloatArray
    critical_value: float
    simultaneous: bool
    freedom: float

    @property
    def tvalues(self) -> FloatArray:
        """Average over standard error, (n_ranges,)."""
        return over_error(self.estimate, self.se)

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-value of each average by itself, (n_ranges,)."""
        return two_sided(self.tvalues, self.freedom)


def quantile_of_error(alpha: float, nu: float) -> float:
    """Two-sided critical value of one number: t with ``nu`` degrees of freedom, normal where they are infinite.

    Examples
    --------
    >>> round(quantile_of_error(0.05, math.inf), 4), round(quantile_of_error(0.05, 10.0), 4)
    (1.96, 2.2281)
    """
    level = 1.0 - alpha / 2.0
    return float(special.ndtri(level) if math.isinf(nu) else special.stdtrit(nu, level))


def as_ranges(ranges: Ranges, levels: FloatArray) -> tuple[tuple[float, float], ...]:
    """Ranges as pairs: the whole grid where none is given; an increasing sequence of numbers as its consecutive pairs.

    Raises
    ------
    ConfigError
        If they are neither, or an end is not above its begin.

    Examples
    --------
    >>> as_ranges((0.1, 0.5, 0.9), np.array([0.1, 0.9]))
    ((0.1, 0.5), (0.5, 0.9))
    """
    if ranges is None:
        return ((float(levels[0]), float(levels[-1])),)
    try:
        items: list[Any] = list(ranges)
        if items and all(np.ndim(item) == 0 for item in items):
            items = list(itertools.pairwise(items))
        pairs = tuple((float(low), float(high)) for low, high in items)
    except (TypeError, ValueError):
        pairs = ()
    if not pairs or not all(low < high for low, high in pairs):
        raise ConfigError(
            f"r3d: ranges must be pairs (low, high) with low < high, or an increasing sequence of levels, got {shown(ranges)}"
        )
    return pairs


def inside(levels: FloatArray, low: float, high: float) -> NDArray[np.bool_]:
    """Which levels lie in [low, high]; at least two must."""
    within = (levels >= low - _AT_A_LEVEL) & (levels <= high + _AT_A_LEVEL)
    if within.sum() < 2:
        raise ConfigError(
            f"r3d: the range [{low:g}, {high:g}] holds {int(within.sum())} of the fit's quantile levels, and needs at least 2 "
            f"(the {len(levels)} levels run from {levels[0]:g} to {levels[-1]:g}). Widen it, or fit with more: R3DSettings(q_grid=...)"
        )
    return np.asarray(within)


def range_weights(levels: FloatArray, low: float, high: float) -> FloatArray:
    """Weights (n_q,) of an average over the levels in [low, high], sum 1 and zero outside: each level's cell of the grid.

    Raises
    ------
    ConfigError
        If fewer than two levels lie in the range.
    """
    within = inside(levels, low, high)
    weights = np.where(within, cell_weights(levels), 0.0)
    return np.asarray(weights / weights.sum())


def _positive(se: FloatArray, what: str) -> FloatArray:
    if not (se > 0.0).all():
        raise DataError(
            f"the standard error of {what} is zero at {int((se <= 0.0).sum())} levels, and nothing can be divided by it. "
            "Take studentized=False"
        )
    return se


def uniform_band(fit: Estimates, alpha: float, studentized: bool, drawing: Drawing) -> Band:
    """Band tau +- c with c the order statistic of sup abs(G), or tau +- c se with that of sup abs(G) / se."""
    alpha = check_alpha(alpha)
    scale = _positive(fit.bse, "the effect") if studentized else np.ones(fit.settings.n_q)
    sups = fit.draw(drawing, lambda g: np.abs(g / scale).max(axis=1))
    found = critical_value(sups, alpha)
    half = found.value * scale
    return Band(fit.q_grid, fit.params - half, fit.params + half, found.value, found.mc_error, alpha, studentized, drawing.n_draws)


def _holm(p_values: FloatArray) -> FloatArray:
    """Step-down adjusted p-values."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)), 1.0)
    return adjusted


def _nothing(fit: Estimates, contrasts: FloatArray, se: FloatArray) -> NDArray[np.bool_]:
    """Which contrasts are rounding: of the curve and of its error alike, as where all levels of a unit are one value."""
    size = max(float(np.abs(curve).max()) for curve in (fit.params, fit.m_plus, fit.m_minus))
    return np.asarray((np.abs(contrasts @ fit.params) <= _ROUNDING * size) & (se <= _ROUNDING * (float(fit.bse.max()) + size)))


def curve_test(
    fit: Estimates, ranges: Ranges, alpha: float, studentized: bool, drawing: Drawing, *, constant: bool
) -> tuple[TestResult, ...]:
    """Tests of tau = 0 (``constant`` False) or of tau = its average, over each range, from the same draws."""
    alpha, levels, plain = check_alpha(alpha), fit.settings.levels, fit.settings.compat is not None
    pairs = as_ranges(ranges, levels)
    contrasts, scales = [], []
    for low, high in pairs:
        within = inside(levels, low, high)
        contrast = np.eye(len(levels))[within]
        if constant:
            contrast = contrast - (compat.range_mean(within) if plain else range_weights(levels, low, high))
        se = np.linalg.norm(fit.blocks @ contrast.T, axis=0)
        nothing = _nothing(fit, contrast, se)
        contrast[nothing] = 0.0
        contrasts.append(contrast)
        scales.append(_positive(np.where(nothing, 1.0, se), "the contrast") if studentized else np.ones(len(contrast)))

    def sups(curves: FloatArray) -> FloatArray:
        return np.column_stack([np.abs(curves @ c.T / scale).max(axis=1) for c, scale in zip(contrasts, scales, strict=True)])

    drawn, statistics = fit.draw(drawing, sups), sups(fit.params[None, :])[0]
    if plain:
        p_values = np.array([compat.test_p_value(drawn[:, j], value) for j, value in enumerate(statistics)])
        limits = [compat.test_quantile(drawn[:, j], alpha) for j in range(len(pairs))]
    else:
        p_values = (1.0 + (drawn >= statistics).sum(axis=0)) / (len(drawn) + 1.0)
        limits = [critical_value(drawn[:, j], alpha).value for j in range(len(pairs))]
    rows = zip(statistics, limits, p_values, _holm(p_values), pairs, strict=True)
    return tuple(TestResult(float(value), limit, float(p), float(adjusted), pair) for value, limit, p, adjusted, pair in rows)


def average_effect(fit: Estimates, ranges: Ranges, alpha: float, simultaneous: bool, use_t: bool, drawing: Drawing) -> AverageEffects:
    """a'tau and sqrt(a'Sa) over each range, with normal or t intervals, or intervals that hold together."""
    alpha, levels = check_alpha(alpha), fit.settings.levels
    pairs = as_ranges(ranges, levels)
    weights = np.array([range_weights(levels, low, high) for low, high in pairs])
    estimate = weights @ fit.params
    se = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", weights, fit.cov_params(), weights), 0.0))
    freedom = fit.nu_eff if use_t else math.inf
    if simultaneous and use_t:
        raise ConfigError(
            "r3d: simultaneous intervals take their critical value from draws, so use_t has nothing to do; give one of the two"
        )
    if simultaneous:
        _positive(se, "an average")
        c = critical_value(fit.draw(drawing, lambda g: np.abs(g @ weights.T / se).max(axis=1)), alpha).value
    else:
        c = quantile_of_error(alpha, freedom)
    return AverageEffects(pairs, estimate, se, estimate - c * se, estimate + c * se, c, simultaneous, freedom)
