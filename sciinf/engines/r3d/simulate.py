"""Designs with a known effect: two of the literature, one with a closed form, and classical ones."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from sciinf.core.errors import ConfigError, shown
from sciinf.engines.r3d.data import RaggedSample

__all__ = ["Simulated", "closed_form", "dgp1", "dgp2", "scalar"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LEVELS = np.arange(1, 100) / 100
_NODES = 24  # of the quadrature over rates: 12 and 24 differ by less than 1e-9
_HALVINGS = 60


class Simulated(NamedTuple):
    """A simulated data set.

    Attributes
    ----------
    x : (n,) float64 array
        Running variable; the cutoff is 0.
    outcomes : RaggedSample
        Values of the units.
    q : (99,) float64 array
        Levels .01, ..., .99.
    effect : (99,) float64 array
        True effect at these levels.
    """

    x: FloatArray
    outcomes: RaggedSample
    q: FloatArray
    effect: FloatArray


def _sizes(n: int, n_i: ArrayLike) -> IntArray:
    """Numbers of values of n units: one for all, or one each."""
    sizes = np.asarray(n_i)
    if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 2:
        raise ConfigError(f"simulate: n must be an integer of at least 2, got {shown(n)}")
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), (n,)) or (sizes < 1).any():
        raise ConfigError(f"simulate: n_i must be a positive integer, or {n} of them, got {shown(n_i)}")
    return np.broadcast_to(sizes, (n,)).astype(np.int64)


def _packed(x: FloatArray, values: FloatArray, sizes: IntArray, effect: ArrayLike) -> Simulated:
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    truth = np.array(np.broadcast_to(effect, _LEVELS.shape), dtype=np.float64)
    return Simulated(x, RaggedSample(values, offsets), _LEVELS.copy(), truth)


def dgp1(n: int, n_i: ArrayLike, effect: float, rng: np.random.Generator) -> Simulated:
    """Normal units whose mean and spread vary: the effect is the same at all levels.

    Parameters
    ----------
    n : int
        Units.
    n_i : int or (n,) array of int
        Values of each.
    effect : float
        Delta.
    rng : numpy.random.Generator
        Source of randomness.

    Notes
    -----
    X ~ U(-1, 1), mu ~ N(5 + 5 X + Delta 1[X >= 0], 1), sigma ~ abs N(1 + X, 1), Z ~ N(mu, sigma^2): eq. 17 of arXiv:2504.03992.

    Examples
    --------
    >>> dgp1(10, 3, 2.0, np.random.default_rng(1)).outcomes.sizes.tolist()
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    """
    sizes = _sizes(n, n_i)
    x = rng.uniform(-1.0, 1.0, n)
    mean = rng.normal(5.0 + 5.0 * x + effect * (x >= 0.0), 1.0)
    spread = np.abs(rng.normal(1.0 + x, 1.0))
    values = np.repeat(mean, sizes) + np.repeat(spread, sizes) * rng.standard_normal(int(sizes.sum()))
    return _packed(x, values, sizes, effect)


def dgp2(n: int, n_i: ArrayLike, effect: float, rate_effect: float, rng: np.random.Generator) -> Simulated:
    """Skewed units: a normal plus an exponential whose rate changes at the cutoff; the effect by quadrature.

    Parameters
    ----------
    n, n_i, rng
        As `dgp1`.
    effect : float
        Delta, of the normal part.
    rate_effect : float
        Delta_lambda > -.5, of the exponential's rate.

    Notes
    -----
    mu ~ U(-5, 5) + 2 X, lambda ~ U(.5, 1.5), Z ~ N(mu + Delta 1[X >= 0], 1) + 2 Exp(lambda + Delta_lambda 1[X >= 0]): eq. 18 of
    arXiv:2504.03992, its argument of Exp read as a rate. The effect at a level is Delta plus the mean over lambda of the change of that
    quantile of N(0, 1) + 2 Exp(lambda), an exponentially modified normal distribution. The mean rises by Delta + 2 E[1 / (lambda +
    Delta_lambda)] - 2 E[1 / lambda].

    Examples
    --------
    >>> data = dgp2(10, 3, 1.0, 0.5, np.random.default_rng(1))
    >>> data.effect[[9, 49, 89]].round(3).tolist()
    [0.766, 0.45, -0.745]
    """
    sizes = _sizes(n, n_i)
    if not rate_effect > -0.5:
        raise ConfigError(f"simulate: rate_effect must be above -0.5, so that every rate is positive; got {shown(rate_effect)}")
    x = rng.uniform(-1.0, 1.0, n)
    right = (x >= 0.0).astype(np.float64)
    mean = rng.uniform(-5.0, 5.0, n) + 2.0 * x + effect * right
    rate = rng.uniform(0.5, 1.5, n) + rate_effect * right
    total = int(sizes.sum())
    values = np.repeat(mean, sizes) + rng.standard_normal(total) + 2.0 * rng.standard_exponential(total) / np.repeat(rate, sizes)
    return _packed(x, values, sizes, effect + np.array(_skewed_change(float(rate_effect))))


@cache
def _skewed_change(rate_effect: float) -> tuple[float, ...]:
    """Mean over the rates of units of the change of their quantiles: Gauss-Legendre over U(.5, 1.5), smooth in the rate."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    rates = 1.0 + 0.5 * nodes
    change = _skewed_quantiles(rates + rate_effect) - _skewed_quantiles(rates)
    return tuple((0.5 * weights @ change).tolist())


def _skewed_quantiles(rates: FloatArray) -> FloatArray:
    """Quantiles of N(0, 1) + 2 Exp(rate) at the levels, (n_rates, 99), by bisection."""
    tail = (2.0 / rates)[:, None]
    low = np.broadcast_to(special.ndtri(_LEVELS), (len(rates), len(_LEVELS))).copy()  # the exponential adds, so it is below
    high = low + 1.0 - tail * np.log1p(-_LEVELS)
    while (stats.exponnorm.cdf(high, tail) < _LEVELS).any():
        high += tail
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = stats.exponnorm.cdf(middle, tail) < _LEVELS
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def closed_form(n: int, n_i: ArrayLike, gamma: float, t: float, sigma: float, rng: np.random.Generator) -> Simulated:
    """Normal units whose spread grows by the factor 1 + gamma at the cutoff: the effect is gamma sigma Phi^-1(q).

    Parameters
    ----------
    n, n_i, rng
        As `dgp1`.
    gamma : float
        Relative change of the spread.
    t : float
        Standard deviation of unit means around X: a pooled comparison of quantiles estimates something else where it is large.
    sigma : float
        Spread within units.
    """
    sizes = _sizes(n, n_i)
    x = rng.uniform(-1.0, 1.0, n)
    spread = sigma * (1.0 + gamma * (x >= 0.0))
    values = np.repeat(rng.normal(x, t), sizes) + np.repeat(spread, sizes) * rng.standard_normal(int(sizes.sum()))
    return _packed(x, values, sizes, gamma * sigma * special.ndtri(_LEVELS))


def scalar(n: int, effect: float, rng: np.random.Generator, noise: float = 0.5) -> Simulated:
    """Classical discontinuity, one value per unit: x + x^2 + effect 1[x >= 0] plus normal noise."""
    sizes = _sizes(n, 1)
    x = rng.uniform(-1.0, 1.0, n)
    return _packed(x, x + x**2 + effect * (x >= 0.0) + noise * rng.standard_normal(n), sizes, effect)
