"""Bandwidths: the plug-in of the mean squared error at the cutoff, per level or integrated over levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.r3d.constants import boundary_constants
from sciinf.engines.r3d.local_kernels import constant_columns, residual_squares
from sciinf.engines.r3d.local_polynomial import Side, fit_side, kernel_weights

__all__ = ["BandwidthInfo", "Binding", "coverage_factor", "plug_in", "rule_of_thumb", "scale"]

FloatArray = NDArray[np.float64]
Binding = Literal["none", "cap", "regularised", "given"]

_PILOT_FACTORS = (1.5, 2.0)  # of the pilot bandwidth and of the rule of thumb: the wider one is where bias is estimated
_REGULARISATION = 3.0


@dataclass(frozen=True, eq=False)
class BandwidthInfo:
    """A bandwidth and what it was computed from; k is 1 or n_q.

    Attributes
    ----------
    rule : str
        "imse", "mse", "rot" or "given"; "constant" where the outcome is constant on each side.
    h : (k,) float64 array
        Bandwidth of the outcome, unit of the running variable.
    pilot : (k,) float64 array
        First guess.
    b : float
        Bandwidth at which bias and variance were estimated.
    bias_plus, bias_minus : (n_q,) float64 array
        B of each side: the bias of an order-s fit is B h^(s+1).
    variance_plus, variance_minus : (n_q,) float64 array
        V of each side: the variance is V / (n h).
    density : float
        Density of the running variable at the cutoff.
    regularisation : (n_q,) float64 array
        What was added to (B+ - B-)^2; zero where it is switched off.
    cap : float
        The largest bandwidth: the shorter side's range.
    bindings : (k,) tuple of {"none", "cap", "regularised", "given"}
        What decided each bandwidth.
    denominator : BandwidthInfo, optional
        The same of the treatment, in a fuzzy design.
    """

    rule: str
    h: FloatArray
    pilot: FloatArray
    b: float
    bias_plus: FloatArray
    bias_minus: FloatArray
    variance_plus: FloatArray
    variance_minus: FloatArray
    density: float
    regularisation: FloatArray
    cap: float
    bindings: tuple[Binding, ...]
    denominator: BandwidthInfo | None = None

    @property
    def h_den(self) -> float | None:
        """Bandwidth of the treatment, or None in a sharp design."""
        return None if self.denominator is None else float(self.denominator.h[0])

    @property
    def binding(self) -> Binding:
        """What decided the bandwidths, at the level where most was in the way: "cap" before "regularised" before "none"."""
        order: tuple[Binding, ...] = ("cap", "regularised", "given", "none")
        return next(name for name in order if name in self.bindings)


def scale(x: FloatArray, kernel: str) -> tuple[float, float, float]:
    """Rule-of-thumb bandwidth 1.06 sd n^(-1/5), the density at the cutoff that it gives, and the shorter side's range.

    Raises
    ------
    DataError
        If the density is zero: no unit within the bandwidth.
    """
    n, deviations = len(x), x - x.sum() / len(x)
    width = 1.06 * math.sqrt(float(deviations @ deviations) / (n - 1)) * n**-0.2
    density = float(kernel_weights(kernel, x / width).sum()) / n / width
    if not density > 0.0:
        raise DataError(
            f"no unit within {width:.6g} of the cutoff, so no density there and no plug-in bandwidth: the nearest is "
            f"{np.abs(x).min():.6g} away. Is the cutoff in the unit of the running variable? Or give a bandwidth"
        )
    return width, density, float(min(x.max(), -x.min()))


def _formula(n: int, s: int, variance: FloatArray, bias_squared: FloatArray) -> FloatArray:
    """Minimum of (s+1)-order squared bias plus variance; infinite where there is no bias, or neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((variance == 0.0) & (bias_squared == 0.0), np.inf, variance / (2.0 * (s + 1) * bias_squared))
    return np.asarray((ratio / n) ** (1.0 / (2 * s + 3)))


def _pilot(side: Side, outcomes: FloatArray, s: int) -> tuple[FloatArray, FloatArray]:
    """Coefficient of x^(s+1) and residual variance of a polynomial of degree s + 1 over the whole side."""
    width = float(np.abs(side.x).max())
    fit = fit_side(side, outcomes, np.array([width]), s + 1, "uniform")
    squares, _ = residual_squares(fit.residuals, fit.kernel.ravel(), fit.top_weights.ravel())
    return fit.coefficients[s + 1] / width ** (s + 1), squares / fit.kernel[0] / (len(fit.active) - 1)  # their mean is 0


def coverage_factor(n: int, s: int) -> float:
    """n^(-s / ((2s + 3)(s + 3))): from the error-optimal to the coverage-optimal rate; n^(-1/20) at s = 1."""
    return float(n ** (-s / ((2 * s + 3) * (s + 3))))


def plug_in(
    sides: tuple[Side, Side], outcomes: FloatArray, cells: FloatArray, s: int, kernel: str, *, pooled: bool, regularise: bool
) -> BandwidthInfo:
    """Plug-in bandwidth for an order-s fit on each side.

    Parameters
    ----------
    sides : tuple of Side
        Plus and minus.
    outcomes : (n, m) float64 array
        Outcome columns.
    cells : (m,) float64 array
        Quadrature weights of the columns.
    s : int
        Order that the bandwidth is for.
    kernel : str
        Kernel.
    pooled : bool
        One bandwidth from sums over columns weighted by ``cells``, or one for each.
    regularise : bool
        Add three times the variance of the estimated bias to its square.

    Notes
    -----
    h = {[V+ + V-] / (2 (s+1) n [(B+ - B-)^2 + R])}^(1/(2s+3)), B = beta_s m^(s+1) / (s+1)!, V = v_s sigma^2 / f: eq. A-15 ff. of
    arXiv:2504.03992 with the constants made consistent (derived here), R as in Calonico, Cattaneo & Titiunik (2014). Derivatives come
    from a local polynomial of order s + 1 at b = max(1.5 h0, 2 c_n), capped at the shorter side's range; h0 from global polynomials. A
    column that is constant on each side takes the cap: any bandwidth gives the same.
    """
    plus, minus = sides
    n = len(plus.x) + len(minus.x)
    width, density, cap = scale(np.concatenate((plus.x, minus.x)), kernel)
    flat = constant_columns(outcomes, plus.rows) & constant_columns(outcomes, minus.rows)
    if flat.all():
        return fixed(np.array([cap]), outcomes.shape[1], rule="constant", density=density, cap=cap)  # any bandwidth gives the same
    beta, v = boundary_constants(kernel, s)
    betas = (beta, beta * (-1.0) ** (s + 1))
    first = [_pilot(side, outcomes, s) for side in sides]
    jump = betas[0] * first[0][0] - betas[1] * first[1][0]
    variance = v * (first[0][1] + first[1][1]) / density
    pilot = min(float(_formula(n, s, cells @ variance, cells @ jump**2)), cap)
    b = min(max(_PILOT_FACTORS[0] * pilot, _PILOT_FACTORS[1] * width), cap)
    bias, spread, noise = np.zeros((3, 2, outcomes.shape[1]))
    for i, (side, constant) in enumerate(zip(sides, betas, strict=True)):
        fit = fit_side(side, outcomes, np.array([b]), s + 1, kernel)
        bias[i] = constant * fit.coefficients[s + 1] / b ** (s + 1)
        squares, of_bias = residual_squares(fit.residuals, fit.kernel.ravel(), fit.top_weights.ravel())
        spread[i] = v * squares / fit.kernel.sum() / density
        noise[i] = constant**2 * of_bias / b ** (2 * s + 2)
    squared = (bias[0] - bias[1]) ** 2
    extra = _REGULARISATION * noise.sum(axis=0) if regularise else np.zeros_like(squared)
    for part in (bias, spread, squared, extra):
        part[..., flat] = 0.0  # a level that is the same in all units has rounding errors only
    parts = [np.array([cells @ part]) if pooled else part for part in (spread.sum(axis=0), squared, extra)]
    optimum = _formula(n, s, parts[0], parts[1] + parts[2])
    bindings = tuple(_binding(h, cap, own, more) for h, own, more in zip(optimum, parts[1], parts[2], strict=True))
    return BandwidthInfo(
        rule="imse" if pooled else "mse", h=np.minimum(optimum, cap), pilot=np.array([pilot]), b=b, bias_plus=bias[0], bias_minus=bias[1],
        variance_plus=spread[0], variance_minus=spread[1], density=density, regularisation=extra, cap=cap, bindings=bindings,
    )  # fmt: skip


def _binding(h: float, cap: float, bias: float, regularisation: float) -> Binding:
    """What decided a bandwidth."""
    if h >= cap:
        return "cap"
    return "regularised" if regularisation > bias else "none"


def rule_of_thumb(sides: tuple[Side, Side], m: int, kernel: str) -> BandwidthInfo:
    """c_n = 1.06 sd n^(-1/5) alone, for samples too small for derivatives."""
    x = np.concatenate([side.x for side in sides])
    width, density, cap = scale(x, kernel)
    return fixed(np.array([min(width, cap)]), m, rule="rot", density=density, cap=cap)


def fixed(h: FloatArray, m: int, *, rule: str = "given", density: float = math.nan, cap: float = math.nan) -> BandwidthInfo:
    """A bandwidth that was given: nothing was estimated."""
    none, bindings = np.full(m, math.nan), tuple[Binding, ...](["given"] * len(h))
    return BandwidthInfo(rule, h, h, math.nan, none, none, none, none, density, none, cap, bindings)
