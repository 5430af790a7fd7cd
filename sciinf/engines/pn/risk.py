"""Estimation risk in Kullback-Leibler divergence to second order in 1/n."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.pn.drawn import DrawnMoments
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import Contractions, ModelMoments
from sciinf.engines.pn.settings import CumulantSettings
from sciinf.engines.pn.truths import Truth, TruthDensity, TruthNodes, TruthSample

__all__ = ["RiskExpansion", "expansion_of", "jackknife_error", "risk_expansion"]

FloatArray = NDArray[np.float64]

_BLOCKS = 20


@dataclass(frozen=True, eq=False)
class RiskExpansion:
    """ED(n) = a / n + b / n^2, the expected divergence of the plug-in density from the best one of the model, nats per observation.

    Attributes
    ----------
    p : int
        Parameters.
    theta : (p,) float64 array
        Where it was computed: the best parameter under the truth.
    trace : float
        tr(G^-1 Sigma) = 2 a; p for a true model.
    a, b : float
        Coefficients of 1/n and 1/n^2; b is NaN where only the first order is known.
    A1, A2, K4, B : float
        Terms of b.
    optimism : float
        Coefficient of 1/n^2 in the optimism of the mean log-likelihood.
    se_a, se_b : float
        Standard errors of sampled truths and of moments from draws; 0 where there are neither.
    method : str
        Where the moments come from.
    well_specified : bool
        Whether the model was taken as true.
    """

    p: int
    theta: FloatArray
    trace: float
    a: float
    A1: float
    A2: float
    K4: float
    B: float
    b: float
    optimism: float
    se_a: float
    se_b: float
    method: str
    well_specified: bool
    shares: FloatArray | None = field(default=None, repr=False)

    @property
    def has_second_order(self) -> bool:
        """Whether b is known."""
        return not math.isnan(self.b)

    def risk(self, n: float, order: int = 2) -> float:
        """ED at ``n`` observations, nats per observation.

        Raises
        ------
        ConfigError
            If n is not positive, or the second order is asked for and not known.
        """
        if isinstance(n, bool) or not isinstance(n, int | float | np.number) or not 0.0 < n < math.inf:
            raise ConfigError(f"pn: n must be a positive number, got {shown(n)}")
        if order not in (1, 2):
            raise ConfigError(f"pn: order must be 1 or 2, got {shown(order)}")
        if order == 2 and not self.has_second_order:
            raise ConfigError("pn: only the first order of this risk is known: ask for order=1")
        return self.a / n + (self.b / n**2 if order == 2 else 0.0)


def expansion_of(
    theta: FloatArray, terms: Contractions, method: str, *, well_specified: bool, scale: float = 1.0, shares: FloatArray | None = None
) -> RiskExpansion:
    """A risk from its terms; those of a fixed design are totals, and ``scale`` is then its number of units."""
    return RiskExpansion(
        len(theta), theta, terms.trace, 0.5 * terms.trace, terms.A1, terms.A2, terms.K4, terms.B, scale * terms.b, scale * terms.optimism,
        0.0, 0.0, method, well_specified, shares,
    )  # fmt: skip


def jackknife_error(values: FloatArray) -> FloatArray:
    """Standard errors (k,) from values (n_blocks, k) that each leave one block out."""
    m = len(values)
    return np.asarray(np.sqrt((m - 1) / m * np.sum((values - values.mean(axis=0)) ** 2, axis=0)))


def risk_expansion(
    family: ExponentialFamily, truth: Truth | None, theta: ArrayLike | None = None, settings: CumulantSettings | None = None
) -> RiskExpansion:
    """Second-order risk of a family under a truth, or of a true model.

    Parameters
    ----------
    family : ExponentialFamily
    truth : TruthSample, TruthDensity, TruthNodes or None
        None: the model is true, at ``theta``.
    theta : (p,) float64 array, optional
        For a true model only; under a truth it is the family's best member.
    settings : CumulantSettings, optional

    Returns
    -------
    RiskExpansion

    Raises
    ------
    ConfigError
        If theta is missing or not to be given.
    DataError
        If data are malformed, no best member exists or the information is singular.

    Notes
    -----
    With G the information, S = G^-1 Sigma G^-1 the sandwich and k3, k4 the model's cumulants of the statistics, kt those of order three
    under the truth (derived here): a = tr(G^-1 Sigma) / 2 and b = -B/3 - 3 K4/8 + 3 A1/8 + 3 A2/4, where B contracts k3 with kt by G^-1,
    A1 and A2 k3 with itself by S and G^-1, and K4 k4 by S. A true model has a = p/2 and b = (9 A1 + 10 A2 - 9 K4) / 24. Standard errors
    of a sampled truth leave one of 20 blocks of its observations out at a time; where the moments come from draws of the model, those
    of the draws are added in squares.

    References
    ----------
    Y. Sheena, arXiv:2105.08947: the idea of a criterion of p and n by this risk.

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> normal = families.Normal()
    >>> risk = risk_expansion(normal, None, normal.natural(0.0, 1.0))
    >>> risk.a, round(risk.b, 4)  # 61/12
    (1.0, 5.0833)
    """
    chosen = settings or CumulantSettings()
    if truth is None:
        if theta is None:
            raise ConfigError("risk_expansion: a true model needs theta, where it is true")
        moments, method, _ = family.moments(theta, chosen)
        found = expansion_of(family.check_theta(theta), moments.contract(), method, well_specified=True)
        return replace(found, se_b=moments.errors()["b"]) if isinstance(moments, DrawnMoments) else found
    if theta is not None:
        raise ConfigError("risk_expansion: under a truth theta is the family's best member: leave it out")
    if not isinstance(truth, TruthSample | TruthDensity | TruthNodes):
        raise ConfigError(f"risk_expansion: the truth must be a TruthSample, TruthDensity, TruthNodes or None, got {shown(truth)}")
    statistics, weights = truth.nodes(family)
    best, moments, method = _at_best(family, statistics, weights, chosen)
    shares = moments.shares(statistics, weights) if isinstance(truth, TruthSample) else None
    found = expansion_of(best, moments.contract(statistics, weights), method, well_specified=False, shares=shares)
    if isinstance(moments, DrawnMoments):
        drawn = moments.errors(statistics, weights)
        found = replace(found, se_a=0.5 * drawn["trace"], se_b=drawn["b"])
    if not isinstance(truth, TruthSample):
        return found
    se_a, se_b = _sampling_error(family, statistics, weights, chosen, best)
    return replace(found, se_a=math.hypot(se_a, found.se_a), se_b=math.hypot(se_b, found.se_b))


def _at_best(
    family: ExponentialFamily, statistics: FloatArray, weights: FloatArray, settings: CumulantSettings, near: FloatArray | None = None
) -> tuple[FloatArray, ModelMoments, str]:
    best = family.fit_statistics(statistics, weights, near)
    moments, method, _ = family.moments(best, settings)
    return best, moments, method


def _sampling_error(
    family: ExponentialFamily, statistics: FloatArray, weights: FloatArray, settings: CumulantSettings, best: FloatArray
) -> tuple[float, float]:
    """Of a and b, by the jackknife over blocks; NaN where too few observations are left for a fit."""
    n = len(weights)
    block = np.arange(n) % min(_BLOCKS, n)
    values = []
    for k in range(int(block.max()) + 1):
        kept = block != k
        share = weights[kept] / weights[kept].sum()
        try:
            _, moments, _ = _at_best(family, statistics[kept], share, settings, best)
        except DataError:
            return math.nan, math.nan
        terms = moments.contract(statistics[kept], share)
        values.append((0.5 * terms.trace, terms.b))
    error = jackknife_error(np.array(values))
    return float(error[0]), float(error[1])
