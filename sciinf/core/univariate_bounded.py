"""Priors on a bounded interval."""

# ruff: noqa: D102 (the static functions of every class are documented once, in NumberedPrior)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.prior_base import NumberedPrior
from sciinf.numerics import prior_codes as codes

__all__ = ["Beta", "LogUniform", "PowerLaw", "Triangular", "Uniform"]

Array = NDArray[np.float64]


def clipped(x: Array, low: Any, high: Any) -> Any:
    """X with the rounding that leaves [low, high] taken away; NaN stays."""
    return np.minimum(np.maximum(x, low), high)


def cut(x: Array, low: Any, high: Any, log_density: Any) -> Any:
    """-inf outside [low, high], the log-density inside."""
    return np.where((x < low) | (x > high), -np.inf, log_density)


@dataclass(frozen=True)
class Uniform(NumberedPrior):
    """Uniform density on [low, high].

    Parameters
    ----------
    low, high : float
        Finite, low < high.

    Examples
    --------
    >>> float(Uniform(1.0, 3.0).ppf(0.25))
    1.5
    """

    low: float
    high: float

    code = codes.UNIFORM
    needs = "finite low < high"

    @staticmethod
    def valid(low: Any, high: Any) -> Any:
        return np.isfinite(high - low) & (low < high)

    @staticmethod
    def constants(low: Any, high: Any) -> tuple[Any, ...]:
        return low, high, high - low, -np.log(high - low)

    @staticmethod
    def ends(low: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return np.minimum(low + width * u, high)

    @staticmethod
    def log_densities(x: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return cut(x, low, high, log_norm + 0.0 * x)

    @staticmethod
    def probabilities(x: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return (clipped(x, low, high) - low) / width


@dataclass(frozen=True)
class LogUniform(NumberedPrior):
    """Density proportional to 1/x on [low, high].

    Parameters
    ----------
    low, high : float
        Finite, 0 < low < high.

    Examples
    --------
    >>> float(LogUniform(0.01, 100.0).ppf(0.5))
    1.0
    """

    low: float
    high: float

    code = codes.LOG_UNIFORM
    needs = "finite 0 < low < high"

    @staticmethod
    def valid(low: Any, high: Any) -> Any:
        return (low > 0.0) & (low < high) & np.isfinite(high) & (np.log(high / low) > 0.0)

    @staticmethod
    def constants(low: Any, high: Any) -> tuple[Any, ...]:
        width = np.log1p((high - low) / low)
        return low, high, width, -np.log(width)

    @staticmethod
    def ends(low: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return clipped(low * np.exp(width * u), low, high)

    @staticmethod
    def log_densities(x: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return cut(x, low, high, log_norm - np.log(x))

    @staticmethod
    def probabilities(x: Array, low: Any, high: Any, width: Any, log_norm: Any) -> Any:
        return np.minimum(np.log1p((clipped(x, low, high) - low) / low) / width, 1.0)


@dataclass(frozen=True)
class PowerLaw(NumberedPrior):
    """Density proportional to x^alpha on [low, high], or to (reflect_at - x)^alpha.

    Parameters
    ----------
    alpha : float
        Exponent, any finite number; 0 is uniform, -1 (without reflection) log-uniform.
    low, high : float
        Finite, 0 <= low < high; low = 0 only with alpha > -1. With ``reflect_at`` they may have any sign.
    reflect_at : float, optional
        At or above ``high``; equal to it only with alpha > -1.

    Notes
    -----
    The quantile is the inverse of (y^k - a^k) / (b^k - a^k), k = alpha + 1 and y = x or reflect_at - x, written with expm1 and log1p so
    that it is exact through k = 0 and nothing cancels. At an end where y = 0 the log-density is -inf for alpha > 0 and +inf for
    alpha < 0.

    Examples
    --------
    >>> float(PowerLaw(2.0, 0.0, 10.0).ppf(0.125))
    5.0
    >>> float(PowerLaw(1.0, 0.0, 10.0, reflect_at=10.0).ppf(0.75))
    5.0
    """

    alpha: float
    low: float
    high: float
    reflect_at: float | None = None

    code = codes.POWER_LAW
    needs = "finite alpha and finite 0 <= low < high (or low < high <= reflect_at), with alpha > -1 where the power's base reaches 0"

    @staticmethod
    def _base(low: Any, high: Any, reflect_at: Any) -> tuple[Any, Any, Any]:
        """Whether reflected, and the ends (a, b) of the power's base."""
        reflected = ~np.isnan(reflect_at)
        return reflected, np.where(reflected, reflect_at - high, low), np.where(reflected, reflect_at - low, high)

    @staticmethod
    def valid(alpha: Any, low: Any, high: Any, reflect_at: Any) -> Any:
        _, a, b = PowerLaw._base(low, high, reflect_at)
        return np.isfinite(alpha) & np.isfinite(b - a) & (low < high) & (a < b) & ((a > 0.0) | ((a == 0.0) & (alpha > -1.0)))

    @staticmethod
    def constants(alpha: Any, low: Any, high: Any, reflect_at: Any) -> tuple[Any, ...]:
        reflected, a, b = PowerLaw._base(low, high, reflect_at)
        k = alpha + 1.0
        log_ratio = np.where(a > 0.0, np.log1p((b - a) / np.where(a > 0.0, a, 1.0)), np.inf)
        # the end where the power y^k is largest is the reference: share = 1 - (smallest / largest)
        share = -np.expm1(-np.abs(k) * log_ratio)
        reference = np.where(k >= 0.0, b, a)
        log_norm = np.where(k == 0.0, -np.log(log_ratio), np.log(np.abs(k)) - k * np.log(reference) - np.log(share))
        return alpha, low, high, reflect_at, reflected, a, b, k, log_ratio, share, reference, log_norm

    @staticmethod
    def ends(alpha: Any, low: Any, high: Any, reflect_at: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, *constants: Any) -> Any:
        _, low, high, reflect_at, reflected, a, b, k, log_ratio, share, reference, _ = constants
        from_a, from_b = np.where(reflected, 1.0 - u, u), np.where(reflected, u, 1.0 - u)
        gap = np.where(k >= 0.0, from_b, from_a)  # probability between y and the reference end
        power = (1.0 - share) + np.where(k >= 0.0, from_a, from_b) * share
        log_power = np.where(gap * share < 0.5, np.log1p(-gap * share), np.log(power))
        y = np.where(k == 0.0, a * np.exp(from_a * log_ratio), reference * np.exp(log_power / k))
        y = clipped(y, a, b)
        return clipped(np.where(reflected, reflect_at - y, y), low, high)

    @staticmethod
    def log_densities(x: Array, *constants: Any) -> Any:
        alpha, low, high, reflect_at, reflected, *_, log_norm = constants
        y = np.where(reflected, reflect_at - x, x)
        return cut(x, low, high, log_norm + special.xlogy(alpha, y))

    @staticmethod
    def probabilities(x: Array, *constants: Any) -> Any:
        _, low, high, reflect_at, reflected, a, b, k, log_ratio, share, reference, _ = constants
        x = clipped(x, low, high)
        y = np.where(reflected, reflect_at - x, x)
        log_y = np.log(y / reference)
        gap = -np.expm1(k * log_y) / share  # probability between y and the reference end
        rest = (np.exp(k * log_y) - (1.0 - share)) / share
        above_a = np.where(k == 0.0, np.log(y / a) / log_ratio, np.where(k > 0.0, rest, gap))
        below_b = np.where(k == 0.0, np.log(b / y) / log_ratio, np.where(k > 0.0, gap, rest))
        return clipped(np.where(reflected, below_b, above_a), 0.0, 1.0)


@dataclass(frozen=True)
class Triangular(NumberedPrior):
    """Density that rises linearly from low to mode and falls linearly to high.

    Parameters
    ----------
    low, mode, high : float
        Finite, low <= mode <= high, low < high.

    Notes
    -----
    At an end that is not the mode the density is zero: ``logpdf`` is -inf there.

    Examples
    --------
    >>> float(Triangular(0.0, 1.0, 2.0).ppf(0.5))
    1.0
    """

    low: float
    mode: float
    high: float

    code = codes.TRIANGULAR
    needs = "finite low <= mode <= high with low < high"

    @staticmethod
    def valid(low: Any, mode: Any, high: Any) -> Any:
        return np.isfinite(high - low) & (low <= mode) & (mode <= high) & (low < high)

    @staticmethod
    def constants(low: Any, mode: Any, high: Any) -> tuple[Any, ...]:
        return low, mode, high, (mode - low) / (high - low), np.log(2.0 / (high - low))

    @staticmethod
    def ends(low: Any, mode: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, low: Any, mode: Any, high: Any, turn: Any, log_norm: Any) -> Any:
        width = high - low
        rising = low + np.sqrt(u * width * (mode - low))
        falling = high - np.sqrt((1.0 - u) * width * (high - mode))
        return clipped(np.where(u < turn, rising, falling), low, high)

    @staticmethod
    def log_densities(x: Array, low: Any, mode: Any, high: Any, turn: Any, log_norm: Any) -> Any:
        height = np.where(x < mode, (x - low) / (mode - low), np.where(x > mode, (high - x) / (high - mode), 1.0 + 0.0 * x))
        return cut(x, low, high, log_norm + np.log(np.maximum(height, 0.0)))

    @staticmethod
    def probabilities(x: Array, low: Any, mode: Any, high: Any, turn: Any, log_norm: Any) -> Any:
        x = clipped(x, low, high)
        rising = turn * ((x - low) / (mode - low)) ** 2
        falling = 1.0 - (1.0 - turn) * ((high - x) / (high - mode)) ** 2
        return np.where(x < mode, rising, np.where(x > mode, falling, turn + 0.0 * x))


@dataclass(frozen=True)
class Beta(NumberedPrior):
    """Beta density, proportional to x^(a-1) (1-x)^(b-1), on [0, 1].

    Parameters
    ----------
    a, b : float
        Finite, > 0.

    Notes
    -----
    At an end whose exponent is negative (a < 1 or b < 1) the density diverges and ``logpdf`` is +inf; where it is positive, -inf.

    Examples
    --------
    >>> float(Beta(2.0, 2.0).ppf(0.5))
    0.5
    """

    a: float
    b: float

    code = codes.BETA
    needs = "finite a > 0 and b > 0"

    @staticmethod
    def valid(a: Any, b: Any) -> Any:
        return np.isfinite(a) & np.isfinite(b) & (a > 0.0) & (b > 0.0)

    @staticmethod
    def constants(a: Any, b: Any) -> tuple[Any, ...]:
        return a, b, -special.betaln(a, b)

    @staticmethod
    def ends(a: Any, b: Any) -> tuple[Any, Any]:
        return 0.0, 1.0

    @staticmethod
    def quantiles(u: Array, a: Any, b: Any, log_norm: Any) -> Any:
        return special.betaincinv(a, b, u)

    @staticmethod
    def log_densities(x: Array, a: Any, b: Any, log_norm: Any) -> Any:
        return cut(x, 0.0, 1.0, log_norm + special.xlogy(a - 1.0, x) + special.xlog1py(b - 1.0, -x))

    @staticmethod
    def probabilities(x: Array, a: Any, b: Any, log_norm: Any) -> Any:
        return special.betainc(a, b, clipped(x, 0.0, 1.0))
