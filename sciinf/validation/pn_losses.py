"""Losses of many simulated data sets at once: divergences of fitted laws written out, beside what the engine computes one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["LOSSES", "Design", "Loss", "gamma_shapes", "ising"]

FloatArray = NDArray[np.float64]
Loss = Callable[[Any, FloatArray, FloatArray], FloatArray]
"""From a family, its best theta and means of the statistics (n_data, p) to losses (n_data,); NaN where there is no estimate."""

_NEWTON = 40
_CONVERGED = 1e-9


def _where(exists: NDArray[np.bool_], values: Callable[[], FloatArray]) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.where(exists, values(), np.nan)


def _exponential(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    ratio = 1.0 / (family.usual(theta)["rate"] * means[:, 0])
    return np.asarray(-np.log(ratio) - 1.0 + ratio)


def _normal(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    usual = family.usual(theta)
    variance = means[:, 1] - means[:, 0] ** 2
    true = usual["sd"] ** 2
    return np.asarray(0.5 * (np.log(variance / true) + (true + (means[:, 0] - usual["mean"]) ** 2) / variance - 1.0))


def _multivariate(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    usual, d = family.usual(theta), family.d
    i, j = np.triu_indices(d)
    mean = means[:, :d]
    second = np.empty((len(means), d, d))
    second[:, i, j] = second[:, j, i] = means[:, d:]
    covariance = second - mean[:, :, None] * mean[:, None, :]
    off = mean - usual["mean"]
    inside = usual["cov"] + off[:, :, None] * off[:, None, :]
    size = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(usual["cov"])[1]
    return np.asarray(0.5 * (size + np.trace(np.linalg.solve(covariance, inside), axis1=1, axis2=2) - d))


def _inverse_gaussian(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    usual = family.usual(theta)
    mean, shape = usual["mean"], usual["shape"]
    own = means[:, 0]
    own_shape = 1.0 / (means[:, 1] - 1.0 / own)
    spread = mean / own**2 - 2.0 / own + 1.0 / mean + 1.0 / shape
    return np.asarray(0.5 * (np.log(shape / own_shape) - 1.0 + own_shape * spread))


def _poisson(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    rate, own = family.usual(theta)["rate"], means[:, 0]
    return _where(own > 0.0, lambda: rate * np.log(rate / own) - rate + own)


def _bernoulli(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    q, own = family.usual(theta)["prob"], means[:, 0]
    return _where((own > 0.0) & (own < 1.0), lambda: q * np.log(q / own) + (1.0 - q) * np.log((1.0 - q) / (1.0 - own)))


def _multinomial(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    probs = family.usual(theta)["probs"]
    own = np.column_stack([means, 1.0 - means.sum(axis=1)])
    return _where(np.all(own > 1e-12, axis=1), lambda: np.sum(probs * np.log(probs / own), axis=1))


def gamma_shapes(means: FloatArray) -> FloatArray:
    """Shapes and scales (n_data, 2) whose ln x and x have these means (n_data, 2): Newton's method in ln shape.

    Notes
    -----
    Solves ln a - digamma(a) = ln mean x - mean ln x.
    """
    gap = np.log(means[:, 1]) - means[:, 0]
    log_shape = np.log((3.0 - gap + np.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap))
    for _ in range(_NEWTON):
        shape = np.exp(log_shape)
        value = log_shape - special.digamma(shape) - gap
        log_shape = log_shape - value / (1.0 - shape * special.polygamma(1, shape))
    shape = np.exp(log_shape)
    return np.column_stack([shape, means[:, 1] / shape])


def _gamma(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    usual = family.usual(theta)
    shape, scale = usual["shape"], usual["scale"]
    own, own_scale = gamma_shapes(means).T
    size = special.gammaln(own) - special.gammaln(shape) + own * np.log(own_scale) - shape * math.log(scale)
    return np.asarray(size + (shape - own) * (special.digamma(shape) + math.log(scale)) + shape * scale * (1.0 / own_scale - 1.0 / scale))


def _newton(start: FloatArray, target: FloatArray, mean_and_variance: Callable[[FloatArray], tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Parameters (n_data, p) at which means are the targets; NaN where Newton's method does not end."""
    theta = np.tile(start, (len(target), 1))
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON):
            mean, variance = mean_and_variance(theta)
            usable = np.isfinite(variance).all(axis=(1, 2)) & (np.linalg.det(np.where(np.isfinite(variance), variance, 0.0)) > 0.0)
            step = np.full_like(theta, np.nan)
            step[usable] = np.linalg.solve(variance[usable], (target - mean)[usable][:, :, None])[:, :, 0]
            theta = theta + step
            if not np.any(np.abs(step[usable]) > _CONVERGED):
                break
    theta[~(np.abs(step) <= 1e-6).all(axis=1)] = np.nan
    return theta


def ising(family: Any, theta: FloatArray, means: FloatArray) -> FloatArray:
    """Loss of a family whose states are listed: `Loss`."""
    states = family.evaluate(family.support.points())
    p = states.shape[1]
    products = (states[:, :, None] * states[:, None, :]).reshape(len(states), p * p)

    def mean_and_variance(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        weight = special.softmax(values @ states.T, axis=1)
        mean = weight @ states
        return mean, (weight @ products).reshape(-1, p, p) - mean[:, :, None] * mean[:, None, :]

    own = _newton(theta, means, mean_and_variance)
    centre = mean_and_variance(theta[None, :])[0][0]
    return np.asarray(special.logsumexp(own @ states.T, axis=1) - special.logsumexp(states @ theta) - (own - theta) @ centre)


LOSSES: dict[str, Loss] = {
    "Exponential": _exponential, "Normal": _normal, "MultivariateNormal": _multivariate, "InverseGaussian": _inverse_gaussian,
    "Poisson": _poisson, "Bernoulli": _bernoulli, "Multinomial": _multinomial, "Gamma": _gamma, "Ising": ising,
}  # fmt: skip
"""By the family's class."""


class Design:
    """A canonical regression of given coefficients on a design that is taken k times.

    Parameters
    ----------
    kind : {"logit", "Poisson"}
    design : (n_rows, p) float64 array
    beta : (p,) float64 array
    """

    def __init__(self, kind: str, design: FloatArray, beta: FloatArray) -> None:
        self.kind, self.design, self.beta = kind, design, beta
        p = design.shape[1]
        self._products = (design[:, :, None] * design[:, None, :]).reshape(len(design), p * p)
        self._mean, self._variance = (part[0] for part in self._at(beta[None, :]))
        self.fisher: FloatArray = (self._variance @ self._products).reshape(p, p)

    def _at(self, betas: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and variances (n_data, n_rows)."""
        linear = betas @ self.design.T
        if self.kind == "Poisson":
            mean = np.exp(linear)
            return mean, mean
        mean = special.expit(linear)
        return mean, mean * (1.0 - mean)

    def _total(self, betas: FloatArray) -> FloatArray:
        """Log-partition function (n_data,) of the whole design."""
        linear = betas @ self.design.T
        return np.asarray(np.sum(np.exp(linear) if self.kind == "Poisson" else np.logaddexp(0.0, linear), axis=1))

    def losses(self, rng: np.random.Generator, k: int, n_data: int) -> tuple[FloatArray, FloatArray]:
        """Losses (n_data,) over k designs, per design, and their quadratic parts, whose expectation is p / (2 k)."""
        shape = (n_data, len(self.design))
        draws = rng.poisson(k * self._mean, shape) if self.kind == "Poisson" else rng.binomial(k, self._mean, shape)
        totals = draws / k @ self.design
        p = len(self.beta)

        def mean_and_variance(values: FloatArray) -> tuple[FloatArray, FloatArray]:
            mean, variance = self._at(values)
            return mean @ self.design, (variance @ self._products).reshape(-1, p, p)

        own = _newton(self.beta, totals, mean_and_variance)
        centre = self._mean @ self.design
        loss = self._total(own) - self._total(self.beta[None, :])[0] - (own - self.beta) @ centre
        off = totals - centre
        return loss, 0.5 * np.sum(off * np.linalg.solve(self.fisher, off.T).T, axis=1)
