"""Many maximum-likelihood estimates of a family at once, from means of its statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.errors import ConvergenceError, DataError
from sciinf.engines.pn import families
from sciinf.engines.pn.affine import AffineFamily
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.hull import check_inside
from sciinf.engines.pn.nodes import has_rule

__all__ = ["refitted"]

FloatArray = NDArray[np.float64]

_ITERATIONS = 40
_SOLVED = 1e-9  # of an equation between moments, relative to one
_TAIL = 35.0  # in ln below its top: a density that ends there is covered by its nodes
_NO_MAXIMUM = "the maximum likelihood estimate does not exist"
_NO_END = "Newton's method does not end"


def refitted(family: ExponentialFamily, theta: FloatArray, means: FloatArray) -> tuple[FloatArray, FloatArray, dict[int, str]]:
    """Estimates (R, p) from means of statistics (R, p), psi (R,) there, and why for each row that has none.

    Notes
    -----
    Closed forms and Newton's method over all rows at a time for the families that have them; for all others a compiled Newton's method over
    listed states, or over the nodes of a quadrature at ``theta``, where they cover the density at the estimate too; row by row where not.
    """
    if isinstance(family, AffineFamily):
        inner, psis, failed = refitted(family.family, family.inner(theta), family._back(means))
        outer = np.asarray(np.linalg.solve(family.turn.T, inner.T).T, dtype=np.float64)
        return outer, psis + outer @ family.shift, failed
    closed = _CLOSED.get(type(family))
    if closed is not None:
        with np.errstate(all="ignore"):
            thetas, psis = closed(family, means)
        done = np.isfinite(psis) & np.all(np.isfinite(thetas), axis=1)
    else:
        thetas, psis, done = _over_nodes(family, theta, means)
    reasons: dict[int, str] = {}
    for r in np.flatnonzero(~done).tolist():
        try:
            if family.support.is_finite and closed is None:
                check_inside(family.evaluate(family.support.points()), means[r], family.names or ())
            thetas[r] = family.fit_mean(means[r], theta)
            psis[r] = family.log_partition(thetas[r])
        except DataError:
            reasons[r] = _NO_MAXIMUM
        except (ConvergenceError, np.linalg.LinAlgError):
            reasons[r] = _NO_END
    return thetas, psis, reasons


def _over_nodes(family: ExponentialFamily, theta: FloatArray, means: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    from sciinf.engines.pn.refit_kernels import CONVERGED, refit_listed

    thetas, psis, status = np.empty(means.shape), np.empty(len(means)), np.zeros(len(means), dtype=np.int64)
    if not has_rule(family.support):
        return thetas, psis, status == CONVERGED
    rule = family.rule(theta)
    exact = rule.refined is None and family.support.is_finite
    if rule.refined is not None:
        rule = rule.refined()
    statistics = np.ascontiguousarray(family.evaluate(rule.points))
    measure = family.log_base_of(rule.points) + rule.log_measure
    ranges = np.ptp(statistics, axis=0) if exact else np.zeros(family.p)
    refit_listed(statistics, measure, ranges, np.ascontiguousarray(means), theta, thetas, psis, status)
    done = status == CONVERGED
    if not exact:
        finer = rule.refined() if rule.refined is not None else rule
        done &= _covered(family, finer, thetas, psis)
    return thetas, psis, done


def _covered(family: ExponentialFamily, rule: Any, thetas: FloatArray, psis: FloatArray) -> NDArray[np.bool_]:
    """Whether a finer rule has the same psi at each theta, which lies in the domain and whose density ends within the nodes."""
    statistics = family.evaluate(rule.points)
    base = family.log_base_of(rule.points)
    out = np.zeros(len(thetas), dtype=np.bool_)
    ends = [k for k in (0, len(base) - 1) if family.support.dim == 1 and _open(family, k)]
    for r, theta in enumerate(thetas):
        if family.boundary(theta) is not None:
            continue
        density = statistics @ theta + base
        psi = float(special.logsumexp(density + rule.log_measure))
        out[r] = abs(psi - psis[r]) <= 1e-10 * (1.0 + abs(psi)) and all(density[k] < np.max(density) - _TAIL for k in ends)
    return out


def _open(family: ExponentialFamily, node: int) -> bool:
    """Whether the support goes on beyond the first (0) or the last node."""
    from sciinf.engines.pn.nodes import ends_of
    from sciinf.engines.pn.support import Circle, Integers

    if isinstance(family.support, Circle):
        return False
    if isinstance(family.support, Integers):
        return node > 0
    return math.isinf(ends_of(family.support)[0 if node == 0 else 1])


_Refit = tuple[FloatArray, FloatArray]


def _normal(family: Any, means: FloatArray) -> _Refit:
    mean, variance = means[:, 0], means[:, 1] - means[:, 0] ** 2
    variance = np.where(variance > 0.0, variance, np.nan)
    return np.column_stack([mean / variance, -0.5 / variance]), 0.5 * mean**2 / variance + 0.5 * np.log(2.0 * math.pi * variance)


def _multivariate(family: Any, means: FloatArray) -> _Refit:
    d = family.d
    mean, covariance = means[:, :d], np.zeros((len(means), d, d))
    i, j = np.triu_indices(d)
    covariance[:, i, j] = covariance[:, j, i] = means[:, d:]
    covariance -= mean[:, :, None] * mean[:, None, :]
    lowest = np.linalg.eigvalsh(covariance)
    covariance[lowest[:, 0] <= 1e-13 * lowest[:, -1]] = np.nan
    precision = np.full_like(covariance, np.nan)
    whole = np.isfinite(covariance[:, 0, 0])
    precision[whole] = np.linalg.inv(covariance[whole])
    thetas = np.hstack([np.einsum("rij,rj->ri", precision, mean), np.where(i == j, -0.5, -1.0) * precision[:, i, j]])
    logdet = np.log(np.maximum(lowest, 0.0)).sum(axis=1)
    return thetas, 0.5 * (np.einsum("ri,rij,rj->r", mean, precision, mean) + logdet + d * math.log(2.0 * math.pi))


def _exponential(family: Any, means: FloatArray) -> _Refit:
    mean = np.where(means > 0.0, means, np.nan)
    return -1.0 / mean, np.log(mean[:, 0])


def _gamma(family: Any, means: FloatArray) -> _Refit:
    mean = np.where(means[:, 1] > 0.0, means[:, 1], np.nan)
    gap = np.log(mean) - means[:, 0]
    gap = np.where(gap > 0.0, gap, np.nan)
    shape = (3.0 - gap + np.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    for _ in range(_ITERATIONS):  # in 1 / shape (Minka 2002, "Estimating a Gamma distribution")
        miss = np.log(shape) - special.digamma(shape) - gap
        shape = 1.0 / (1.0 / shape + miss / (shape - shape**2 * special.polygamma(1, shape)))
        if np.all(~(np.abs(miss) > 1e-14 * np.maximum(gap, 1e-300))):
            break
    miss = np.log(shape) - special.digamma(shape) - gap
    shape = np.where(np.abs(miss) <= _SOLVED * gap, shape, np.nan)
    return np.column_stack([shape - 1.0, -shape / mean]), special.gammaln(shape) + shape * np.log(mean / shape)


def _inverse_gaussian(family: Any, means: FloatArray) -> _Refit:
    mean = np.where(means[:, 0] > 0.0, means[:, 0], np.nan)
    gap = means[:, 1] - 1.0 / mean
    shape = 1.0 / np.where(gap > 0.0, gap, np.nan)
    return np.column_stack([-0.5 * shape / mean**2, -0.5 * shape]), -shape / mean - 0.5 * np.log(shape)


def _beta(family: Any, means: FloatArray) -> _Refit:
    one, two = np.exp(means[:, 0]), np.exp(means[:, 1])
    size = np.maximum(0.5 / np.maximum(1.0 - one - two, 1e-12), 1e-2)
    a, b = one * size + 0.5, two * size + 0.5
    for _ in range(_ITERATIONS):
        whole, common = special.digamma(a + b), special.polygamma(1, a + b)
        f, g = special.digamma(a) - whole - means[:, 0], special.digamma(b) - whole - means[:, 1]
        p, q = special.polygamma(1, a) - common, special.polygamma(1, b) - common
        det = p * q - common**2
        da, db = (q * f + common * g) / det, (common * f + p * g) / det
        a, b = np.where(da < 0.9 * a, a - da, 0.1 * a), np.where(db < 0.9 * b, b - db, 0.1 * b)
        if np.all(~(np.abs(da) > 1e-14 * a)) and np.all(~(np.abs(db) > 1e-14 * b)):
            break
    whole = special.digamma(a + b)
    miss = np.maximum(np.abs(special.digamma(a) - whole - means[:, 0]), np.abs(special.digamma(b) - whole - means[:, 1]))
    a = np.where(miss <= _SOLVED, a, np.nan)
    return np.column_stack([a, b]) - 1.0, special.betaln(a, b)


def _von_mises(family: Any, means: FloatArray) -> _Refit:
    length = np.linalg.norm(means, axis=1)
    length = np.where(length < 1.0 - 1e-12, length, np.nan)
    kappa = length * (2.0 - length**2) / (1.0 - length**2)
    for _ in range(_ITERATIONS):
        ratio = special.i1e(kappa) / special.i0e(kappa)
        slope = np.where(kappa > 1e-6, 1.0 - ratio / np.maximum(kappa, 1e-300) - ratio**2, 0.5)
        step = (ratio - length) / slope
        kappa = np.where(step < 0.9 * kappa, kappa - step, 0.1 * kappa)
        if np.all(~(np.abs(step) > 1e-14 * np.maximum(kappa, 1e-12))):
            break
    kappa = np.where(np.abs(special.i1e(kappa) / special.i0e(kappa) - length) <= _SOLVED, kappa, np.nan)
    thetas = means * (kappa / np.maximum(length, 1e-300))[:, None]
    return thetas, math.log(2.0 * math.pi) + np.log(special.i0e(kappa)) + kappa


def _poisson(family: Any, means: FloatArray) -> _Refit:
    mean = np.where(means > 0.0, means, np.nan)
    return np.log(mean), mean[:, 0]


def _binomial(family: Any, means: FloatArray) -> _Refit:
    share = means / family.m
    share = np.where((share > 0.0) & (share < 1.0), share, np.nan)
    return special.logit(share), -family.m * np.log1p(-share[:, 0])


def _negative_binomial(family: Any, means: FloatArray) -> _Refit:
    mean = np.where(means > 0.0, means, np.nan)
    return -np.log1p(family.size / mean), family.size * np.log1p(mean[:, 0] / family.size)


def _multinomial(family: Any, means: FloatArray) -> _Refit:
    last = 1.0 - means.sum(axis=1)
    shares = np.where(means > 1e-14, means, np.nan)
    last = np.where(last > 1e-14, last, np.nan)
    return np.log(shares / last[:, None]), -np.log(last)


_CLOSED: dict[type, Callable[[Any, FloatArray], _Refit]] = {
    families.Normal: _normal,
    families.MultivariateNormal: _multivariate,
    families.Exponential: _exponential,
    families.Gamma: _gamma,
    families.InverseGaussian: _inverse_gaussian,
    families.Beta: _beta,
    families.VonMises: _von_mises,
    families.Poisson: _poisson,
    families.Bernoulli: _binomial,
    families.Binomial: _binomial,
    families.NegativeBinomial: _negative_binomial,
    families.Geometric: _negative_binomial,
    families.Multinomial: _multinomial,
}
