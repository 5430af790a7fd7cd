"""What the R package R3D (commit 28744db) computes where it differs from the method: reproduced number by number, and nothing else.

Each function is one of its defects. They are wrong on purpose; nothing outside ``compat="R3D"`` calls them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.r3d.bandwidth import BandwidthInfo, Binding, optimum, pilot, scale
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

    def best(variance: FloatArray, squared: FloatArray) -> FloatArray:
        return np.asarray(np.where(squared > 0.0, optimum(n, s, variance, squared), fallback))

    constants = [_numerical_constants(kernel, s, side.sign) for side in sides]
    first = [pilot(side, outcomes, s) for side in sides]
    jump = constants[0][0] * first[0][0] - constants[1][0] * first[1][0]
    kept = [np.where(own[1] >= _NO_VARIANCE, own[1], 1.0) for own in first]
    guess = best(pool((constants[0][1] * kept[0] + constants[1][1] * kept[1]) / density), squared(jump))
    bias, spread = np.zeros((2, 2, outcomes.shape[1]))
    for i, side in enumerate(sides):
        fit = fit_side(side, outcomes, guess, s, "triangular")
        positive = np.maximum(fit.weights, 0.0)
        bias[i] = fit.coefficients[s] / math.factorial(s + 1)
        spread[i] = (positive * fit.residuals**2).sum(axis=0) / positive.sum(axis=0)
    h = best(pool(spread.sum(axis=0) / density), squared(bias[0] - bias[1]))
    unbound: tuple[Binding, ...] = ("none",)
    return BandwidthInfo(
        rule="imse" if pooled else "mse", h=h, pilot=guess, b=math.nan, bias_plus=bias[0], bias_minus=bias[1], variance_plus=spread[0],
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
