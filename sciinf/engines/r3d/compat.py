"""What the R package R3D (commit 28744db) computes where it differs from the method: reproduced number by number, and nothing else.

Each function is one of its defects. They are wrong on purpose; nothing outside ``compat="R3D"`` calls them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.r3d.bandwidth import BandwidthInfo, Binding, scale
from sciinf.engines.r3d.covariance import Part
from sciinf.engines.r3d.local_polynomial import Side, SideFit, fit_side, kernel_weights

__all__ = ["gini_p_value", "outcome_part", "plug_in", "range_mean", "rearranged", "test_p_value", "test_quantile", "treatment_part"]

FloatArray = NDArray[np.float64]

_NODES = 1000
_NO_JUMP = 1e-14
_NO_VARIANCE = 2.2e-16


def _numerical_constants(kernel: str, s: int, sign: int) -> tuple[float, float]:
    """Boundary constants from 1000 equispaced nodes on [-1, 1]: those of the side, each with weight 2/1000."""
    nodes = np.linspace(-1.0, 1.0, _NODES)
    u = nodes[nodes >= 0.0] if sign > 0 else nodes[nodes < 0.0]
    k, step = kernel_weights(kernel, u), 2.0 / _NODES
    powers = np.vander(u, s + 1, increasing=True)
    gamma = (powers * (k * step)[:, None]).T @ powers
    moment = powers.T @ (k * u ** (s + 1) * step)
    psi = (powers * (k**2 * step)[:, None]).T @ powers
    first = np.linalg.inv(gamma)[0]
    return float(first @ moment), float(first @ psi @ first)


def _pilot(side: Side, outcomes: FloatArray, s: int) -> tuple[FloatArray, FloatArray]:
    """Derivative of order s + 1 over its factorial, and the residual variance, of a polynomial of degree s + 1."""
    width = float(np.abs(side.x).max())
    fit = fit_side(side, outcomes, np.array([width]), s + 1, "uniform")
    variance = np.var(fit.residuals, axis=0, ddof=1)
    return fit.coefficients[s + 1] / width ** (s + 1), np.where(variance >= _NO_VARIANCE, variance, 1.0)


def _formula(n: int, s: int, variance: FloatArray, squared: FloatArray, fallback: float) -> FloatArray:
    """The optimum, or the fallback where there is no bias."""
    with np.errstate(divide="ignore", invalid="ignore"):
        h = (variance / (2.0 * (s + 1) * squared)) ** (1.0 / (2 * s + 3)) * n ** (-1.0 / (2 * s + 3))
    return np.asarray(np.where(squared > 0.0, h, fallback))


def plug_in(sides: tuple[Side, Side], outcomes: FloatArray, levels: FloatArray, s: int, kernel: str, *, pooled: bool) -> BandwidthInfo:
    """The selector: an order-s coefficient taken for the bias, no boundary constants in the second stage, always triangular there.

    So h changes by 2.51 and not by 100 when the running variable is multiplied by 100, and it does not shrink with n.
    """
    n = sum(len(side.x) for side in sides)
    x = np.concatenate([side.x for side in sides])
    _, density, cap = scale(x, kernel)
    fallback = 1.06 * float(np.std(x, ddof=1)) * n ** (-1.0 / (2 * s + 1))
    step = float(levels[1] - levels[0]) if len(levels) > 1 else 1.0

    def squared(jump: FloatArray) -> FloatArray:
        if pooled:
            total = float(np.sum(jump**2))
            return np.array([total if total * step > _NO_JUMP else 0.0])
        return np.where(np.abs(jump) > _NO_JUMP, jump**2, 0.0)

    def pool(values: FloatArray) -> FloatArray:
        return np.array([values.sum()]) if pooled else values

    constants = [_numerical_constants(kernel, s, side.sign) for side in sides]
    first = [_pilot(side, outcomes, s) for side in sides]
    jump = constants[0][0] * first[0][0] - constants[1][0] * first[1][0]
    variance = sum((c[1] * own[1] / density for c, own in zip(constants, first, strict=True)), np.zeros(outcomes.shape[1]))
    pilot = _formula(n, s, pool(variance), squared(jump), fallback)
    bias, spread = np.zeros((2, 2, outcomes.shape[1]))
    for i, side in enumerate(sides):
        fit = fit_side(side, outcomes, pilot, s, "triangular")
        kept = np.maximum(fit.weights, 0.0)
        bias[i] = fit.coefficients[s] / math.factorial(s + 1)
        spread[i] = (kept * fit.residuals**2).sum(axis=0) / kept.sum(axis=0)
    h = _formula(n, s, pool(spread.sum(axis=0) / density), squared(bias[0] - bias[1]), fallback)
    unbound: tuple[Binding, ...] = ("none",)
    return BandwidthInfo(
        rule="imse" if pooled else "mse", h=h, pilot=pilot, b=math.nan, bias_plus=bias[0], bias_minus=bias[1], variance_plus=spread[0],
        variance_minus=spread[1], density=density, regularisation=np.zeros(outcomes.shape[1]), cap=cap, bindings=unbound * len(h),
    )  # fmt: skip


def outcome_part(fits: tuple[SideFit, SideFit], residuals: tuple[FloatArray, FloatArray], p: int) -> Part:
    """Only units whose weight is positive count for the variance."""
    kept = tuple(np.where(fit.weights > 0.0, e, 0.0) for fit, e in zip(fits, residuals, strict=True))
    return Part.of(fits, kept, p)  # type: ignore[arg-type]


def treatment_part(outcome: tuple[SideFit, SideFit], treatment: tuple[SideFit, SideFit], values: FloatArray, h_den: float, p: int) -> Part:
    """Residuals of the treatment's own fit, kept and weighted with the outcome's weights at the first level."""
    residuals = []
    for fit, other in zip(outcome, treatment, strict=True):
        powers = np.vander(fit.side.x[fit.active] / h_den, p + 1, increasing=True)
        residuals.append(values[fit.rows] - powers @ other.coefficients[:, 0])
    first = tuple(replace(fit, **{name: getattr(fit, name)[:, :1] for name in ("kernel", "weights", "leverage")}) for fit in outcome)
    kept = tuple(np.where(fit.weights > 0.0, e[:, None], 0.0) for fit, e in zip(first, residuals, strict=True))
    return Part.of(first, kept, p)  # type: ignore[arg-type]


def rearranged(levels: FloatArray, curve: FloatArray) -> FloatArray:
    """The rearrangement: quantiles of the curve over 1001 interpolated points, at the levels rescaled to [0, 1]."""
    scaled = (levels - levels[0]) / (levels[-1] - levels[0])
    fine = np.interp(np.linspace(0.0, 1.0, 1001), scaled, curve)
    return np.asarray(np.quantile(fine, scaled))


def test_quantile(sups: FloatArray, alpha: float) -> float:
    """Interpolated quantile of the suprema, where the band takes an order statistic."""
    return float(np.quantile(sups, 1.0 - alpha))


def test_p_value(sups: FloatArray, statistic: float) -> float:
    """Share of draws at or above the statistic, which may be 0."""
    return float(np.mean(sups >= statistic))


def range_mean(within: NDArray[np.bool_]) -> FloatArray:
    """Weights of an average over the levels in a range: equal, on any grid."""
    return np.asarray(within / within.sum())


def gini_p_value(draws: FloatArray, difference: float) -> float:
    """Share of uncentred draws that are as large as the difference: near 1/2 however large it is."""
    return float(np.mean(np.abs(draws) >= abs(difference)))
