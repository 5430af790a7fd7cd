"""Priors built on the normal density."""

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

__all__ = ["HalfNormal", "LogNormal", "Normal", "TruncatedNormal"]

Array = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_HALF_LOG_2_OVER_PI = 0.5 * math.log(2.0 / math.pi)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_FAR = -30.0  # below it the normal distribution function nears the smallest float64: work with its logarithm


def _log_normal_mass(a: Any, b: Any) -> Any:
    """Ln of the standard normal probability of [a, b], to full relative accuracy.

    A short interval about m is integrated, phi(m) times the integral of cosh(m t) exp(-t^2/2), so that nothing cancels; a long one is
    a difference of distribution functions in the tail where they are small.
    """
    right = a + b > 0.0
    a, b = np.where(right, -b, a), np.where(right, -a, b)
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    short = half * (np.abs(centre) + half) < 0.5
    t = np.where(short, half, 0.0)[..., None] * _NODES
    m = np.where(short, centre, 0.0)[..., None]
    near = np.log(2.0 * half * np.sum(_WEIGHTS * np.cosh(m * t) * np.exp(-0.5 * t * t), axis=-1)) - 0.5 * centre * centre - _HALF_LOG_2PI
    log_b = special.log_ndtr(b)
    far = log_b + np.log1p(-np.exp(special.log_ndtr(a) - log_b))
    return np.where(short, near, far)


@dataclass(frozen=True)
class Normal(NumberedPrior):
    """Normal density.

    Parameters
    ----------
    mean, std : float
        Finite; std > 0. ``std`` is the standard deviation, never the variance.

    Examples
    --------
    >>> float(Normal(0.06, 0.01).ppf(0.5))
    0.06
    """

    mean: float
    std: float

    code = codes.NORMAL
    needs = "finite mean and finite std > 0"

    @staticmethod
    def valid(mean: Any, std: Any) -> Any:
        return np.isfinite(mean) & np.isfinite(std) & (std > 0.0)

    @staticmethod
    def constants(mean: Any, std: Any) -> tuple[Any, ...]:
        return mean, std, -np.log(std) - _HALF_LOG_2PI

    @staticmethod
    def ends(mean: Any, std: Any) -> tuple[Any, Any]:
        return -math.inf, math.inf

    @staticmethod
    def quantiles(u: Array, mean: Any, std: Any, log_norm: Any) -> Any:
        return mean + std * special.ndtri(u)

    @staticmethod
    def log_densities(x: Array, mean: Any, std: Any, log_norm: Any) -> Any:
        z = (x - mean) / std
        return log_norm - 0.5 * z * z

    @staticmethod
    def probabilities(x: Array, mean: Any, std: Any, log_norm: Any) -> Any:
        return special.ndtr((x - mean) / std)


@dataclass(frozen=True)
class TruncatedNormal(NumberedPrior):
    """Normal density cut to [low, high] and normalised there.

    Parameters
    ----------
    mean, std : float
        Of the normal density before the cut; finite, std > 0. The mean may lie outside [low, high].
    low, high : float
        low < high; either may be infinite.

    Notes
    -----
    ``ppf`` is accurate to a few units in the last place of x and std, also where [low, high] lies far in a tail (there through
    the logarithm of the distribution function). An interval so far out that it holds less than exp(-1e300) is refused.

    Examples
    --------
    >>> prior = TruncatedNormal(0.0, 1.0, 40.0, 41.0)
    >>> float(prior.ppf(0.5))
    40.01731
    """

    mean: float
    std: float
    low: float
    high: float

    code = codes.TRUNCATED_NORMAL
    needs = "finite mean, finite std > 0 and low < high (not so far in a tail that nothing is left)"

    @staticmethod
    def valid(mean: Any, std: Any, low: Any, high: Any) -> Any:
        good = np.isfinite(mean) & np.isfinite(std) & (std > 0.0) & (low < high)
        return good & np.isfinite(_log_normal_mass((low - mean) / std, (high - mean) / std))

    @staticmethod
    def constants(mean: Any, std: Any, low: Any, high: Any) -> tuple[Any, ...]:
        a, b = (low - mean) / std, (high - mean) / std
        log_mass = _log_normal_mass(a, b)
        return mean, std, low, high, a, b, special.ndtr(a), special.ndtr(-b), log_mass, -log_mass - np.log(std) - _HALF_LOG_2PI

    @staticmethod
    def ends(mean: Any, std: Any, low: Any, high: Any) -> tuple[Any, Any]:
        return low, high

    @staticmethod
    def quantiles(u: Array, *constants: Any) -> Any:
        mean, std, low, high, a, b, below, above, log_mass, _ = constants
        mass = np.exp(log_mass)
        left = below + u * mass <= 0.5  # count probability from the side where it is small
        z = special.ndtri(np.where(left, below + u * mass, above + (1.0 - u) * mass))
        if np.any((b < _FAR) | (a > -_FAR)):
            left = np.where(b < _FAR, True, np.where(a > -_FAR, False, left))
            near, far, v = np.where(left, a, -b), np.where(left, b, -a), np.where(left, u, 1.0 - u)
            log_far = special.log_ndtr(far)
            log_p = log_far + np.log(v + (1.0 - v) * np.exp(special.log_ndtr(near) - log_far))
            z = np.where(far < _FAR, special.ndtri_exp(log_p), z)
        return np.minimum(np.maximum(mean + std * np.where(left, z, -z), low), high)

    @staticmethod
    def log_densities(x: Array, *constants: Any) -> Any:
        mean, std, low, high, *_, log_norm = constants
        z = (x - mean) / std
        return np.where((x < low) | (x > high), -np.inf, log_norm - 0.5 * z * z)

    @staticmethod
    def probabilities(x: Array, *constants: Any) -> Any:
        mean, std, low, high, a, *_, log_mass, _ = constants
        inside = np.exp(_log_normal_mass(a, (np.minimum(np.maximum(x, low), high) - mean) / std) - log_mass)
        return np.where(x <= low, 0.0, np.where(x >= high, 1.0, np.minimum(inside, 1.0)))


@dataclass(frozen=True)
class HalfNormal(NumberedPrior):
    """Density of the modulus of a normal variable with zero mean, on [0, inf).

    Parameters
    ----------
    std : float
        Standard deviation of the normal variable; finite, > 0.

    Examples
    --------
    >>> float(HalfNormal(2.0).ppf(0.5))
    1.34898
    """

    std: float

    code = codes.HALF_NORMAL
    needs = "finite std > 0"

    @staticmethod
    def valid(std: Any) -> Any:
        return np.isfinite(std) & (std > 0.0)

    @staticmethod
    def constants(std: Any) -> tuple[Any, ...]:
        return std, math.sqrt(2.0) * std, _HALF_LOG_2_OVER_PI - np.log(std)

    @staticmethod
    def quantiles(u: Array, std: Any, scale: Any, log_norm: Any) -> Any:
        return scale * special.erfinv(u)

    @staticmethod
    def log_densities(x: Array, std: Any, scale: Any, log_norm: Any) -> Any:
        z = x / std
        return np.where(x < 0.0, -np.inf, log_norm - 0.5 * z * z)

    @staticmethod
    def probabilities(x: Array, std: Any, scale: Any, log_norm: Any) -> Any:
        return special.erf(np.maximum(x, 0.0) / scale)


@dataclass(frozen=True)
class LogNormal(NumberedPrior):
    """Density of x where ln x is normal, on (0, inf).

    Parameters
    ----------
    mu, sigma : float
        Mean and standard deviation of ln x; finite, sigma > 0.

    Notes
    -----
    The density is zero at 0: ``logpdf(0)`` is -inf.

    Examples
    --------
    >>> float(LogNormal(0.0, 0.5).ppf(0.5))
    1.0
    """

    mu: float
    sigma: float

    code = codes.LOG_NORMAL
    needs = "finite mu and finite sigma > 0"

    @staticmethod
    def valid(mu: Any, sigma: Any) -> Any:
        return np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0.0)

    @staticmethod
    def constants(mu: Any, sigma: Any) -> tuple[Any, ...]:
        return mu, sigma, -np.log(sigma) - _HALF_LOG_2PI

    @staticmethod
    def quantiles(u: Array, mu: Any, sigma: Any, log_norm: Any) -> Any:
        return np.exp(mu + sigma * special.ndtri(u))

    @staticmethod
    def log_densities(x: Array, mu: Any, sigma: Any, log_norm: Any) -> Any:
        log_x = np.log(x)
        z = (log_x - mu) / sigma
        return np.where(x <= 0.0, -np.inf, log_norm - log_x - 0.5 * z * z)

    @staticmethod
    def probabilities(x: Array, mu: Any, sigma: Any, log_norm: Any) -> Any:
        return special.ndtr((np.log(np.maximum(x, 0.0)) - mu) / sigma)
