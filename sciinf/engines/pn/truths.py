"""What the data come from: a sample, a density, or nodes with weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, shown
from sciinf.engines.pn.family import ExponentialFamily, normalised_weights
from sciinf.engines.pn.nodes import rule_of
from sciinf.engines.pn.support import Support

__all__ = ["Truth", "TruthDensity", "TruthNodes", "TruthSample"]

FloatArray = NDArray[np.float64]

_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class TruthSample:
    """Observations: the truth is their empirical law.

    Parameters
    ----------
    x : (n,) or (n, dim) float64 array
    weights : (n,) float64 array, optional
        Not negative; relative.
    """

    x: ArrayLike
    weights: ArrayLike | None = None

    def nodes(self, family: ExponentialFamily) -> tuple[FloatArray, FloatArray]:
        """Statistics (n, p) and weights (n,) that sum to one."""
        points = family.observed(self.x)
        return family.evaluate(points), normalised_weights(len(points), self.weights)


@dataclass(frozen=True, eq=False)
class TruthDensity:
    """A density, before there are data.

    Parameters
    ----------
    logpdf : callable
        From (n,) numbers, or (n, dim) points, to (n,) logarithms of the density; need not be normalised.
    support : Support
        Where it lives.
    """

    logpdf: Callable[[FloatArray], FloatArray]
    support: Support

    def __post_init__(self) -> None:
        if not callable(self.logpdf) or not isinstance(self.support, Support):
            raise ConfigError(f"TruthDensity: a function and a support are needed, got {shown(self.logpdf)} and {shown(self.support)}")

    def nodes(self, family: ExponentialFamily) -> tuple[FloatArray, FloatArray]:
        """Statistics (n, p) and weights (n,) that sum to one, of a rule refined until the second moments stand."""
        if self.support.dim != family.support.dim:
            raise ConfigError(f"TruthDensity: the truth has {self.support.dim} dimensions, the family {family.support.dim}")

        def log_density(points: FloatArray) -> FloatArray:
            return np.asarray(self.logpdf(points[:, 0] if self.support.dim == 1 else points), dtype=np.float64)

        def statistics_of(points: FloatArray) -> FloatArray:
            outside = ~family.support.contains(points)
            if outside.any():
                raise DataError(
                    f"TruthDensity: the truth lives on {self.support}, which reaches outside the family's support, "
                    f"{family.support}: {points[outside][0]}"
                )
            return family.evaluate(points)

        rule = rule_of(self.support, log_density, statistics_of)
        before: FloatArray | None = None
        for _ in range(_ROUNDS):
            exponents = log_density(rule.points) + rule.log_measure
            weights = np.exp(exponents - special.logsumexp(exponents))
            statistics = statistics_of(rule.points)
            mean = weights @ statistics
            now = weights @ (statistics - mean) ** 4
            if rule.refined is None or (before is not None and np.all(np.abs(now - before) <= 1e-11 * np.abs(now))):
                return statistics[weights > 0.0], weights[weights > 0.0]
            before, rule = now, rule.refined()
        raise ConvergenceError("TruthDensity: the fourth moments of the statistics under the truth still move: do they exist?")


@dataclass(frozen=True, eq=False)
class TruthNodes:
    """Statistics with weights.

    Parameters
    ----------
    T : (n, p) float64 array
        In the family's order.
    weights : (n,) float64 array
        Not negative; relative.
    """

    T: ArrayLike
    weights: ArrayLike

    def nodes(self, family: ExponentialFamily) -> tuple[FloatArray, FloatArray]:
        """The statistics and the weights, which sum to one."""
        statistics = finite_array("T", self.T, shape=(-1, family.p))
        return statistics, normalised_weights(len(statistics), self.weights)


Truth = TruthSample | TruthDensity | TruthNodes
