"""Priors with heavy tails on both sides."""

# ruff: noqa: D102 (the static functions of every class are documented once, in NumberedPrior)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.prior_base import NumberedPrior
from sciinf.numerics import prior_codes as codes

__all__ = ["Cauchy", "StudentT"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cauchy(NumberedPrior):
    """Cauchy density.

    Parameters
    ----------
    location, scale : float
        Median and half width at half maximum; finite, scale > 0.

    Examples
    --------
    >>> float(Cauchy(1.0, 2.0).ppf(0.75))
    3.0
    """

    location: float
    scale: float

    code = codes.CAUCHY
    needs = "finite location and finite scale > 0"

    @staticmethod
    def valid(location: Any, scale: Any) -> Any:
        return np.isfinite(location) & np.isfinite(scale) & (scale > 0.0)

    @staticmethod
    def constants(location: Any, scale: Any) -> tuple[Any, ...]:
        return location, scale, -np.log(math.pi * scale)

    @staticmethod
    def ends(location: Any, scale: Any) -> tuple[Any, Any]:
        return -math.inf, math.inf

    @staticmethod
    def quantiles(u: Array, location: Any, scale: Any, log_norm: Any) -> Any:
        tail = np.minimum(u, 1.0 - u)
        z = np.where(tail < 0.25, -1.0 / np.tan(math.pi * tail), np.tan(math.pi * (tail - 0.5)))
        return location + scale * np.where(u < 0.5, z, -z)

    @staticmethod
    def log_densities(x: Array, location: Any, scale: Any, log_norm: Any) -> Any:
        z = (x - location) / scale
        return log_norm - np.log1p(z * z)

    @staticmethod
    def probabilities(x: Array, location: Any, scale: Any, log_norm: Any) -> Any:
        return np.arctan2(1.0, -(x - location) / scale) / math.pi


@dataclass(frozen=True)
class StudentT(NumberedPrior):
    """Student's t density.

    Parameters
    ----------
    df : float
        Degrees of freedom; finite, > 0.
    location, scale : float
        Median and width; finite, scale > 0.

    Notes
    -----
    The quantile is that of df / (df + t^2), which is beta(df/2, 1/2) distributed.

    Examples
    --------
    >>> float(StudentT(1.0).ppf(0.75))
    1.0
    """

    df: float
    location: float = 0.0
    scale: float = 1.0

    code = codes.STUDENT_T
    needs = "finite df > 0, finite location and finite scale > 0"

    @staticmethod
    def valid(df: Any, location: Any, scale: Any) -> Any:
        return np.isfinite(df) & (df > 0.0) & np.isfinite(location) & np.isfinite(scale) & (scale > 0.0)

    @staticmethod
    def constants(df: Any, location: Any, scale: Any) -> tuple[Any, ...]:
        return df, location, scale, -special.betaln(0.5 * df, 0.5) - 0.5 * np.log(df) - np.log(scale)

    @staticmethod
    def ends(df: Any, location: Any, scale: Any) -> tuple[Any, Any]:
        return -math.inf, math.inf

    @staticmethod
    def quantiles(u: Array, df: Any, location: Any, scale: Any, log_norm: Any) -> Any:
        tail = np.minimum(u, 1.0 - u)
        x = special.betaincinv(0.5 * df, 0.5, 2.0 * tail)  # df / (df + t^2): small in the tail
        y = special.betaincinv(0.5, 0.5 * df, 1.0 - 2.0 * tail)  # t^2 / (df + t^2): small at the centre
        odds = np.where(x < 0.5, (1.0 - x) / x, y / (1.0 - y))
        return location + scale * np.where(u < 0.5, -1.0, 1.0) * np.sqrt(df * odds)

    @staticmethod
    def log_densities(x: Array, df: Any, location: Any, scale: Any, log_norm: Any) -> Any:
        z = (x - location) / scale
        return log_norm - 0.5 * (df + 1.0) * np.log1p(z * z / df)

    @staticmethod
    def probabilities(x: Array, df: Any, location: Any, scale: Any, log_norm: Any) -> Any:
        z = (x - location) / scale
        square = z * z
        outer = special.betainc(0.5 * df, 0.5, df / (df + square))
        inner = special.betaincc(0.5, 0.5 * df, square / (df + square))
        tail = 0.5 * np.where(square > df, outer, inner)
        return np.where(z > 0.0, 1.0 - tail, tail)
