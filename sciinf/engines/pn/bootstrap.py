"""Estimation risk by bootstrap, with the risk's first term as a control variate."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, ConvergenceError, DataTypeError, shown
from sciinf.core.seeding import generator
from sciinf.engines.pn.family import ExponentialFamily, normalised_weights
from sciinf.engines.pn.parametric import ParametricModel
from sciinf.engines.pn.settings import PNSettings, positive_integer

__all__ = ["BootstrapRisk", "Replicates", "estimation_risk_bootstrap", "family_replicates", "summarised"]

FloatArray = NDArray[np.float64]

_NUMBERS = 2**21  # simulated at a time


@dataclass(frozen=True)
class BootstrapRisk:
    """An estimation risk by refits of simulated or resampled data.

    Attributes
    ----------
    ed, se : float
        Risk, conditional on the estimate's existence, and its standard error; with the control variate unless it was left out.
    ed_plain, se_plain : float
        Mean divergence of the refits alone.
    variance_ratio : float
        Variance of the divergence over that of its difference from the control variate: by so much fewer replicates are needed.
    n_failed : int
        Refits without an estimate, which are left out.
    reasons : dict of str to int
        Why, and how often.
    """

    ed: float
    se: float
    ed_plain: float
    se_plain: float
    variance_ratio: float
    n_failed: int
    reasons: dict[str, int]


@dataclass(frozen=True, eq=False)
class Replicates:
    """What R replicates gave.

    Attributes
    ----------
    divergence : (R,) float64 array
        KL[best | refit]; any value where a refit failed.
    quadratic : (R,) float64 array
        The divergence to first order in 1/n, Q.
    expected : float
        Its mean over all data, exact.
    reasons : dict of int to str
        Why a refit failed, by replicate.
    error : float
        Standard error of what all replicates share.
    """

    divergence: FloatArray
    quadratic: FloatArray
    expected: float
    reasons: dict[int, str] = field(default_factory=dict)
    error: float = 0.0


def summarised(found: Replicates, *, units: float = 1.0, control: bool = True) -> BootstrapRisk:
    """The risk of replicates, over ``units``.

    Raises
    ------
    ConvergenceError
        If fewer than two refits have an estimate.

    Notes
    -----
    With E the refits that have one, mean(D - Q | E) + E[Q | E], where E[Q | E] = (E Q - mean(Q; not E)) / P(E), for Q is known in every
    replicate: leaving the failures out of D - Q alone would add to it what they have of Q.
    """
    total = len(found.divergence)
    kept = np.ones(total, dtype=np.bool_)
    kept[list(found.reasons)] = False
    share = float(np.mean(kept))
    reasons = dict(Counter(found.reasons.values()).most_common())
    if kept.sum() < 2:
        raise ConvergenceError(f"pn: {total - int(kept.sum())} of {total} refits of the bootstrap failed: {reasons}")
    plain, quadratic = found.divergence[kept], found.quadratic
    difference = plain - quadratic[kept]
    ed_plain = float(np.mean(plain))
    ed = (found.expected + float(np.where(kept, found.divergence - quadratic, -quadratic).mean())) / share
    influence = np.where(kept, found.divergence - quadratic, -quadratic) - ed * kept
    se = math.hypot(float(np.std(influence, ddof=1)) / share / math.sqrt(total), found.error)
    se_plain = math.hypot(float(np.std(plain, ddof=1)) / math.sqrt(len(plain)), found.error)
    left = float(np.var(difference))
    ratio = float(np.var(plain)) / left if left > 0.0 else math.inf
    chosen = (ed, se) if control else (ed_plain, se_plain)
    return BootstrapRisk(chosen[0] / units, chosen[1] / units, ed_plain / units, se_plain / units, ratio, total - int(kept.sum()), reasons)


def estimation_risk_bootstrap(
    model: Any, theta: ArrayLike | None = None, n: int | None = None, settings: PNSettings | None = None, control: bool = True, *,
    data: ArrayLike | None = None,
) -> BootstrapRisk:  # fmt: skip
    """Estimation risk of a model by refits.

    Parameters
    ----------
    model : ExponentialFamily, ParametricModel, or a fitted result of statsmodels
    theta : (p,) float64 array
        Where the model is true; with ``data`` and for a fitted result leave it out, it is their estimate.
    n : int
        Observations; with ``data`` and for a fitted result leave it out.
    settings : PNSettings, optional
        ``n_bootstrap`` replicates, ``seed``.
    control : bool
        Use the control variate.
    data : (n,) or (n, dim) array, optional
        Observations to resample, in place of data simulated from the model: the truth is then theirs and not the model's.

    Returns
    -------
    BootstrapRisk
        Nats per observation; of a fitted result, per row.

    Raises
    ------
    ConfigError
        If theta or n is missing or not to be given.
    DataError
        If theta lies outside the domain, or the data are malformed.
    DataTypeError
        If the model is none of these.
    ConvergenceError
        If fewer than two refits have an estimate.

    Notes
    -----
    Mean divergence D of the plug-in density, KL[best | refit], less its first-order form Q = d.I d / 2, d = K mean(u), whose mean
    tr(I K J K) / (2 n) is added instead: u are the scores at the best parameter, J their mean square, K the inverse of minus the mean
    Hessian H, and I minus the Hessian's mean under the model (derived here).

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> normal = families.Normal()
    >>> found = estimation_risk_bootstrap(normal, normal.natural(0.0, 1.0), 50)
    >>> abs(found.ed - 0.0221783522) < 4.0 * found.se  # the exact risk
    True
    """
    chosen = settings or PNSettings()
    rng = generator(chosen.seed, "pn.bootstrap" if data is None else "pn.bootstrap/data")
    replicates = chosen.n_bootstrap
    if isinstance(model, ExponentialFamily | ParametricModel):
        if data is not None:
            if theta is not None or n is not None:
                raise ConfigError("estimation_risk_bootstrap: with data, theta is their estimate and n their number: leave both out")
            if isinstance(model, ParametricModel):
                return summarised(model.resampled(data, replicates, rng), control=control)
            points = model.observed(data)
            share = normalised_weights(len(points), None)
            best = model.fit(points)
            found = family_replicates(model, best, len(points), replicates, rng, truth=(model.evaluate(points), share))
            return summarised(found, control=control)
        if theta is None or n is None:
            raise ConfigError("estimation_risk_bootstrap: a model needs theta and n, or data to resample")
        positive_integer("n", n, 2)
        if isinstance(model, ParametricModel):
            return summarised(model.simulated(theta, n, replicates, rng), control=control)
        return summarised(family_replicates(model, model.check_theta(theta), n, replicates, rng), control=control)
    from sciinf.engines.pn.adapters import from_statsmodels, is_statsmodels

    if is_statsmodels(model):
        if theta is not None or n is not None or data is not None:
            raise ConfigError("estimation_risk_bootstrap: a fitted result holds its estimate and data: leave theta, n and data out")
        fitted = from_statsmodels(model)
        return summarised(fitted.refits.simulated(replicates, rng), units=fitted.n_rows, control=control)
    raise DataTypeError(
        f"estimation_risk_bootstrap: the model must be an ExponentialFamily, a ParametricModel or a fitted result, got {shown(model)}"
    )


def family_replicates(
    family: ExponentialFamily, theta: FloatArray, n: int, replicates: int, rng: np.random.Generator,
    truth: tuple[FloatArray, FloatArray] | None = None,
) -> Replicates:  # fmt: skip
    """Refits of ``n`` observations each: simulated at theta, or drawn from statistics (m, p) with shares (m,) whose estimate theta is."""
    from sciinf.engines.pn.refits import refitted

    psi, mean, information = family.state(theta)
    if truth is None:
        means = _simulated_means(family, theta, n, replicates, rng)
        trace = float(family.p)
    else:
        statistics, share = truth
        mean = share @ statistics
        centred = statistics - mean
        trace = float(np.trace(np.linalg.solve(information, (centred * share[:, None]).T @ centred)))
        means = _resampled_means(statistics, share, n, replicates, rng)
    thetas, psis, reasons = refitted(family, theta, means)
    off = means - mean
    quadratic = 0.5 * np.sum(off * np.linalg.solve(information, off.T).T, axis=1)
    return Replicates(psis - psi - (thetas - theta) @ mean, quadratic, trace / (2.0 * n), reasons)


def _simulated_means(family: ExponentialFamily, theta: FloatArray, n: int, replicates: int, rng: np.random.Generator) -> FloatArray:
    means = np.empty((replicates, family.p))
    together = max(1, _NUMBERS // (n * max(family.support.dim, family.p)))
    for start in range(0, replicates, together):
        count = min(together, replicates - start)
        x = np.asarray(family.simulate(theta, n * count, rng), dtype=np.float64).reshape(n * count, -1)
        means[start : start + count] = family.evaluate(x).reshape(count, n, -1).mean(axis=1)
    return means


def _resampled_means(statistics: FloatArray, share: FloatArray, n: int, replicates: int, rng: np.random.Generator) -> FloatArray:
    means = np.empty((replicates, statistics.shape[1]))
    together = max(1, _NUMBERS // len(share))
    for start in range(0, replicates, together):
        count = min(together, replicates - start)
        means[start : start + count] = rng.multinomial(n, share, size=count) @ statistics / n
    return means
