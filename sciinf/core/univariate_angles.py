"""Priors of angles on the sphere: isotropic inclinations and declinations."""

# ruff: noqa: D102 (the static functions of every class are documented once, in NumberedPrior)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.prior_base import NumberedPrior
from sciinf.core.univariate_bounded import clipped, cut
from sciinf.numerics import prior_codes as codes

__all__ = ["Cosine", "Sine"]

Array = NDArray[np.float64]

_HALF_PI = 0.5 * math.pi


def _quantile(u: Array, low: Any, high: Any) -> Any:
    """Angle with probability u between low and it, for a density proportional to the sine, through the half angle's sine and cosine."""
    square_sine = (1.0 - u) * np.sin(0.5 * low) ** 2 + u * np.sin(0.5 * high) ** 2
    square_cosine = (1.0 - u) * np.cos(0.5 * low) ** 2 + u * np.cos(0.5 * high) ** 2
    return clipped(2.0 * np.arctan2(np.sqrt(square_sine), np.sqrt(square_cosine)), low, high)


def _area(low: Any, high: Any) -> Any:
    """cos(low) - cos(high), without cancellation."""
    return 2.0 * np.sin(0.5 * (high + low)) * np.sin(0.5 * (high - low))


@dataclass(frozen=True)
class Sine(NumberedPrior):
    """Density proportional to sin x on [low, high] within [0, pi]: an isotropic inclination or polar angle.

    Parameters
    ----------
    low, high : float
        Radians, 0 <= low < high <= pi; the whole range by default.

    Notes
    -----
    At 0 the density is zero: ``logpdf`` is -inf. At the float64 nearest to pi, which is below pi, it is about -37.

    Examples
    --------
    >>> float(Sine().ppf(0.5))
    1.570796
    """

    low: float = 0.0
    high: float = math.pi

    code = codes.SINE
    needs = "0 <= low < high <= pi"

    @staticmethod
    def valid(low: Any, high: Any) -> Any:
        return (low >= 0.0) & (low < high) & (high <= math.pi)

    @staticmethod
    def constants(low: Any, high: Any) -> tuple[Any, ...]:
        area = _area(low, high)
        return low, high, area, -np.log(area)

    @staticmethod
    def ends(low: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return _quantile(u, low, high)

    @staticmethod
    def log_densities(x: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return cut(x, low, high, log_norm + np.log(np.sin(x)))

    @staticmethod
    def probabilities(x: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return _area(low, clipped(x, low, high)) / area


@dataclass(frozen=True)
class Cosine(NumberedPrior):
    """Density proportional to cos x on [low, high] within [-pi/2, pi/2]: an isotropic declination or latitude.

    Parameters
    ----------
    low, high : float
        Radians, -pi/2 <= low < high <= pi/2; the whole range by default.

    Notes
    -----
    At the float64 nearest to +-pi/2, which lies inside, ``logpdf`` is about -37.

    Examples
    --------
    >>> float(Cosine().ppf(0.5))
    0.0
    """

    low: float = -_HALF_PI
    high: float = _HALF_PI

    code = codes.COSINE
    needs = "-pi/2 <= low < high <= pi/2"

    @staticmethod
    def valid(low: Any, high: Any) -> Any:
        return (low >= -_HALF_PI) & (low < high) & (high <= _HALF_PI)

    @staticmethod
    def constants(low: Any, high: Any) -> tuple[Any, ...]:
        area = _area(low + _HALF_PI, high + _HALF_PI)
        return low, high, area, -np.log(area)

    @staticmethod
    def ends(low: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return clipped(_quantile(u, low + _HALF_PI, high + _HALF_PI) - _HALF_PI, low, high)

    @staticmethod
    def log_densities(x: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return cut(x, low, high, log_norm + np.log(np.cos(x)))

    @staticmethod
    def probabilities(x: Array, low: Any, high: Any, area: Any, log_norm: Any) -> Any:
        return _area(low + _HALF_PI, clipped(x, low, high) + _HALF_PI) / area
