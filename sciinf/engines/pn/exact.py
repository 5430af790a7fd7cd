"""Risks at finite n that are known exactly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.pn.families_continuous import Exponential, InverseGaussian
from sciinf.engines.pn.families_discrete import Bernoulli, Poisson
from sciinf.engines.pn.families_normal import MultivariateNormal, Normal
from sciinf.engines.pn.family import ExponentialFamily

__all__ = ["EXACT_FAMILIES", "exact_risk"]

FloatArray = NDArray[np.float64]

EXACT_FAMILIES = (Exponential, InverseGaussian, MultivariateNormal, Normal, Bernoulli, Poisson)
"""Families whose risk is known at every n."""

_SPREADS = 12.0  # standard deviations of a Poisson total, beyond which nothing is left in double precision


def exact_risk(family: ExponentialFamily, theta: ArrayLike, n: int) -> float:
    """Expected divergence of the plug-in density from a true model at ``n`` observations, nats per observation.

    Parameters
    ----------
    family : ExponentialFamily
        Exponential, InverseGaussian, MultivariateNormal, Normal, Bernoulli or Poisson.
    theta : (p,) float64 array
    n : int

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        If it is not known for the family.
    DataError
        If it is infinite at this n.

    Notes
    -----
    From the laws of the estimates (derived here): Gamma for a rate, Wishart for a covariance, Gaussian and chi-square for the inverse
    Gaussian; sums over the binomial or Poisson law of the total, conditional on the estimate's existence.

    Examples
    --------
    >>> exponential = Exponential()
    >>> round(exact_risk(exponential, exponential.natural(1.0), 10), 10)
    0.0602786072
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ConfigError(f"exact_risk: n must be an integer of at least 2, got {shown(n)}")
    values, size = family.check_theta(theta), float(n)
    if isinstance(family, Exponential):
        return float(special.digamma(size)) - math.log(size) + 1.0 / (size - 1.0)
    if isinstance(family, Normal | MultivariateNormal):
        d = 1 if isinstance(family, Normal) else family.d
        _finite(size > d + 2, n, f"{d + 3}")
        spread = float(np.sum(special.digamma(0.5 * (size - np.arange(1, d + 1)))))
        return 0.5 * (spread + d * math.log(2.0 / size) + d * (size + 1.0) / (size - d - 2.0) - d)
    if isinstance(family, InverseGaussian):
        _finite(size > 3, n, "4")
        usual = family.usual(values)
        extra = 1.0 + 1.0 / size + 3.0 * usual["mean"] / (usual["shape"] * size**2)
        return 0.5 * (float(special.digamma(0.5 * (size - 1.0))) + math.log(2.0 / size) - 1.0 + size / (size - 3.0) * extra)
    if isinstance(family, Bernoulli):
        q = family.usual(values)["prob"]
        k = np.arange(1.0, size)
        log_weight = stats.binom.logpmf(k, n, q)
        return _conditional(log_weight, special.rel_entr(q, k / size) + special.rel_entr(1.0 - q, 1.0 - k / size))
    if isinstance(family, Poisson):
        rate = family.usual(values)["rate"]
        last = math.ceil(size * rate + _SPREADS * math.sqrt(size * rate) + 60.0)
        k = np.arange(1.0, last + 1.0)
        return _conditional(stats.poisson.logpmf(k, size * rate), special.rel_entr(rate, k / size) - rate + k / size)
    raise ConfigError(
        f"exact_risk: no exact risk is known for {type(family).__name__}: take method 'expansion'; known are "
        f"{', '.join(item.__name__ for item in EXACT_FAMILIES)}"
    )


def _finite(is_finite: bool, n: int, least: str) -> None:
    if not is_finite:
        raise DataError(f"exact_risk: the risk is infinite at n = {n}: at least {least} observations are needed")


def _conditional(log_weight: FloatArray, divergence: FloatArray) -> float:
    """Mean under weights that stand for the cases in which the estimate exists."""
    weight = np.exp(log_weight)
    return float(weight @ divergence / weight.sum())
