"""Bandwidths: the plug-in of the mean squared error at the cutoff, per level or integrated over levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.r3d.constants import boundary_constants
from sciinf.engines.r3d.local_kernels import curvature_sums
from sciinf.engines.r3d.local_polynomial import Side, design_of, kernel_weights

__all__ = ["BandwidthInfo", "Binding", "coverage_factor", "optimum", "pilot", "plug_in", "rule_of_thumb", "scale"]

FloatArray = NDArray[np.float64]
Binding = Literal["none", "cap", "regularised", "given", "exact"]

_PILOT_FACTORS = (1.5, 2.0)  # of the pilot bandwidth and of the rule of thumb: the wider one is where bias is estimated
_REGULARISATION = 3.0
_ROUNDING = 1e-12  # residuals of a polynomial, of its largest value: QR leaves some 1e-15
_STRAIGHT = 1e-11  # its last coefficient, the same with the condition of the design


@dataclass(frozen=True, eq=False)
class BandwidthInfo:
    """A bandwidth and what it was computed from; k is 1 or n_q.

    Attributes
    ----------
    rule : str
        "imse", "mse", "rot" or "given".
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
    bindings : (k,) tuple of {"none", "cap", "regularised", "given", "exact"}
        What decided each bandwidth; "exact": a polynomial of order s on each side to working precision, for which any will do.
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
        order: tuple[Binding, ...] = ("cap", "regularised", "given", "none", "exact")
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


def optimum(n: int, s: int, variance: FloatArray, bias_squared: FloatArray) -> FloatArray:
    """Minimum of (s+1)-order squared bias plus variance; infinite where there is no bias, or neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((variance == 0.0) & (bias_squared == 0.0), np.inf, variance / (2.0 * (s + 1) * bias_squared))
    return np.asarray((ratio / n) ** (1.0 / (2 * s + 3)))


class Curvature(NamedTuple):
    """What a polynomial of order s + 1 on one side tells of each column, (m,) arrays.

    ``coefficient``: that of x^(s+1). ``squares``: sum of k e^2. ``mass``: sum of k. ``noise``: variance of the coefficient. Of a column
    that is a polynomial to working precision ``squares`` and ``noise`` are 0, and ``coefficient`` too where its order is s or less.
    """

    coefficient: FloatArray
    squares: FloatArray
    mass: float
    noise: FloatArray


def curvature(side: Side, outcomes: FloatArray, h: float, s: int, kernel: str) -> Curvature:
    """Local polynomial of order s + 1 at the bandwidth ``h``."""
    active, table, inverse = design_of(side, h, s + 1, kernel)
    top, squares, noise, largest, size = curvature_sums(table, inverse, side.rows, active, outcomes).T
    exact = largest <= _ROUNDING * size
    if exact.any():
        straight = exact & (np.abs(top) <= _STRAIGHT * size)
        squares[exact], noise[exact], top[straight] = 0.0, 0.0, 0.0
    scale = h ** (s + 1)
    return Curvature(top / scale, squares, float(table[0].sum()), noise / scale**2)


def pilot(side: Side, outcomes: FloatArray, s: int) -> tuple[FloatArray, FloatArray]:
    """Coefficient of x^(s+1) and residual variance of a polynomial of degree s + 1 over the whole side."""
    found = curvature(side, outcomes, float(np.abs(side.x).max()), s, "uniform")
    n = len(side.x)
    return found.coefficient, found.squares / found.mass * (n / (n - 1))  # residuals of mean 0


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
    column without noise whose degree is s or less on each side (a treatment that is a straight line there) has neither bias nor variance:
    what is left of them is rounding and counts as 0; where nothing else decides, the cap is taken, or b where it is straight only there.

    Raises
    ------
    DataError
        If there is no noise but curvature: the best bandwidth is 0.
    """
    plus, minus = sides
    n = len(plus.x) + len(minus.x)
    width, density, cap = scale(np.concatenate((plus.x, minus.x)), kernel)
    beta, v = boundary_constants(kernel, s)
    betas = (beta, beta * (-1.0) ** (s + 1))
    first = [pilot(side, outcomes, s) for side in sides]
    jump = betas[0] * first[0][0] - betas[1] * first[1][0]
    variance = v * (first[0][1] + first[1][1]) / density
    guess = min(float(optimum(n, s, cells @ variance, cells @ jump**2)), cap)
    b = min(max(_PILOT_FACTORS[0] * guess, _PILOT_FACTORS[1] * width), cap)
    second = [curvature(side, outcomes, b, s, kernel) for side in sides]
    bias = [constant * one.coefficient for constant, one in zip(betas, second, strict=True)]
    spread = [v * one.squares / one.mass / density for one in second]
    squared = (bias[0] - bias[1]) ** 2
    extra = _REGULARISATION * beta**2 * (second[0].noise + second[1].noise) if regularise else np.zeros_like(squared)
    parts = [np.array([cells @ part]) if pooled else part for part in (spread[0] + spread[1], squared, extra)]
    best = optimum(n, s, parts[0], parts[1] + parts[2])
    if not best.min() > 0.0:
        raise DataError(
            f"an outcome or treatment without noise: on each side it is exactly a polynomial of degree {s + 1} in the running variable, so "
            "that the smaller the bandwidth the better. Give a bandwidth"
        )
    straight = (variance == 0.0) & (jump == 0.0)  # over the whole of both sides, not within b only
    exact = np.isinf(best) & (parts[0] == 0.0)
    h = np.where(exact & ~(straight.all() if pooled else straight), b, np.minimum(best, cap))
    return BandwidthInfo(
        rule="imse" if pooled else "mse", h=h, pilot=np.array([guess]), b=b, bias_plus=bias[0], bias_minus=bias[1],
        variance_plus=spread[0], variance_minus=spread[1], density=density, regularisation=extra, cap=cap,
        bindings=tuple(_binding(cap, *each) for each in zip(best, exact, parts[1], parts[2], strict=True)),
    )  # fmt: skip


def _binding(cap: float, h: float, exact: bool, bias: float, regularisation: float) -> Binding:
    """What decided a bandwidth."""
    if exact:
        return "exact"
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
