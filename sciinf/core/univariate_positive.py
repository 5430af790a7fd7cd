"""Priors of positive quantities: scales, rates and widths."""

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

__all__ = ["Chi", "Exponential", "Gamma", "HalfCauchy", "InverseGamma"]

Array = NDArray[np.float64]


def _positive(*numbers: Any) -> Any:
    """Whether all numbers are finite and > 0."""
    good = np.isfinite(numbers[0]) & (numbers[0] > 0.0)
    for number in numbers[1:]:
        good = good & np.isfinite(number) & (number > 0.0)
    return good


@dataclass(frozen=True)
class Exponential(NumberedPrior):
    """Exponential density on [0, inf).

    Parameters
    ----------
    scale : float
        Mean; finite, > 0.

    Examples
    --------
    >>> float(Exponential(2.0).ppf(0.5))
    1.386294
    """

    scale: float

    code = codes.EXPONENTIAL
    needs = "finite scale > 0"

    @staticmethod
    def valid(scale: Any) -> Any:
        return _positive(scale)

    @staticmethod
    def constants(scale: Any) -> tuple[Any, ...]:
        return scale, -np.log(scale)

    @staticmethod
    def quantiles(u: Array, scale: Any, log_norm: Any) -> Any:
        return -scale * np.log1p(-u)

    @staticmethod
    def log_densities(x: Array, scale: Any, log_norm: Any) -> Any:
        return np.where(x < 0.0, -np.inf, log_norm - x / scale)

    @staticmethod
    def probabilities(x: Array, scale: Any, log_norm: Any) -> Any:
        return -np.expm1(-np.maximum(x, 0.0) / scale)


@dataclass(frozen=True)
class Gamma(NumberedPrior):
    """Gamma density, proportional to x^(shape-1) exp(-x/scale), on [0, inf).

    Parameters
    ----------
    shape, scale : float
        Finite, > 0. The mean is shape * scale.

    Notes
    -----
    At 0 ``logpdf`` is +inf for shape < 1, where the density diverges, and -inf for shape > 1.

    Examples
    --------
    >>> float(Gamma(1.0, 2.0).ppf(0.5))
    1.386294
    """

    shape: float
    scale: float

    code = codes.GAMMA
    needs = "finite shape > 0 and scale > 0"

    @staticmethod
    def valid(shape: Any, scale: Any) -> Any:
        return _positive(shape, scale)

    @staticmethod
    def constants(shape: Any, scale: Any) -> tuple[Any, ...]:
        return shape, scale, -special.gammaln(shape) - np.log(scale)

    @staticmethod
    def quantiles(u: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        return scale * special.gammaincinv(shape, u)

    @staticmethod
    def log_densities(x: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        y = x / scale
        return np.where((x < 0.0) | (x == np.inf), -np.inf, log_norm + special.xlogy(shape - 1.0, y) - y)

    @staticmethod
    def probabilities(x: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        return special.gammainc(shape, np.maximum(x, 0.0) / scale)


@dataclass(frozen=True)
class InverseGamma(NumberedPrior):
    """Inverse gamma density, proportional to x^(-shape-1) exp(-scale/x), on (0, inf).

    Parameters
    ----------
    shape, scale : float
        Finite, > 0.

    Notes
    -----
    The density is zero at 0: ``logpdf(0)`` is -inf.

    Examples
    --------
    >>> float(InverseGamma(1.0, 2.0).ppf(0.5))
    2.885390
    """

    shape: float
    scale: float

    code = codes.INVERSE_GAMMA
    needs = "finite shape > 0 and scale > 0"

    @staticmethod
    def valid(shape: Any, scale: Any) -> Any:
        return _positive(shape, scale)

    @staticmethod
    def constants(shape: Any, scale: Any) -> tuple[Any, ...]:
        return shape, scale, -special.gammaln(shape) - np.log(scale)

    @staticmethod
    def quantiles(u: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        return scale / special.gammainccinv(shape, u)

    @staticmethod
    def log_densities(x: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        y = x / scale
        return np.where(x <= 0.0, -np.inf, log_norm - (shape + 1.0) * np.log(y) - 1.0 / y)

    @staticmethod
    def probabilities(x: Array, shape: Any, scale: Any, log_norm: Any) -> Any:
        return special.gammaincc(shape, scale / np.maximum(x, 0.0))


@dataclass(frozen=True)
class Chi(NumberedPrior):
    """Density of the length of a vector of ``df`` independent normal components of standard deviation ``scale``, on [0, inf).

    Parameters
    ----------
    df, scale : float
        Finite, > 0; df = 2 is the Rayleigh density, df = 3 the Maxwell density.

    Notes
    -----
    At 0 ``logpdf`` is +inf for df < 1 and -inf for df > 1.

    Examples
    --------
    >>> float(Chi(2.0).ppf(0.5))
    1.177410
    """

    df: float
    scale: float = 1.0

    code = codes.CHI
    needs = "finite df > 0 and scale > 0"

    @staticmethod
    def valid(df: Any, scale: Any) -> Any:
        return _positive(df, scale)

    @staticmethod
    def constants(df: Any, scale: Any) -> tuple[Any, ...]:
        return df, scale, (1.0 - 0.5 * df) * math.log(2.0) - special.gammaln(0.5 * df) - np.log(scale)

    @staticmethod
    def quantiles(u: Array, df: Any, scale: Any, log_norm: Any) -> Any:
        return scale * np.sqrt(2.0 * special.gammaincinv(0.5 * df, u))

    @staticmethod
    def log_densities(x: Array, df: Any, scale: Any, log_norm: Any) -> Any:
        y = x / scale
        return np.where((x < 0.0) | (x == np.inf), -np.inf, log_norm + special.xlogy(df - 1.0, y) - 0.5 * y * y)

    @staticmethod
    def probabilities(x: Array, df: Any, scale: Any, log_norm: Any) -> Any:
        y = np.maximum(x, 0.0) / scale
        return special.gammainc(0.5 * df, 0.5 * y * y)


@dataclass(frozen=True)
class HalfCauchy(NumberedPrior):
    """Density of the modulus of a Cauchy variable with location zero, on [0, inf).

    Parameters
    ----------
    scale : float
        Median; finite, > 0.

    Examples
    --------
    >>> float(HalfCauchy(2.0).ppf(0.5))
    2.0
    """

    scale: float

    code = codes.HALF_CAUCHY
    needs = "finite scale > 0"

    @staticmethod
    def valid(scale: Any) -> Any:
        return _positive(scale)

    @staticmethod
    def constants(scale: Any) -> tuple[Any, ...]:
        return scale, math.log(2.0 / math.pi) - np.log(scale)

    @staticmethod
    def quantiles(u: Array, scale: Any, log_norm: Any) -> Any:
        angle = 0.5 * math.pi
        return scale * np.where(u < 0.5, np.tan(angle * u), 1.0 / np.tan(angle * (1.0 - u)))

    @staticmethod
    def log_densities(x: Array, scale: Any, log_norm: Any) -> Any:
        z = x / scale
        return np.where(x < 0.0, -np.inf, log_norm - np.log1p(z * z))

    @staticmethod
    def probabilities(x: Array, scale: Any, log_norm: Any) -> Any:
        return (2.0 / math.pi) * np.arctan(np.maximum(x, 0.0) / scale)
