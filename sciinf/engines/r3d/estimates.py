"""The estimated effect curve, its covariance, and draws of its error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.covariance import Contributions
from sciinf.engines.r3d.draws import Drawing, root_of
from sciinf.engines.r3d.projection import count_moved
from sciinf.engines.r3d.settings import CovType, R3DSettings

__all__ = ["Estimates", "Limits", "over_error", "two_sided"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def over_error(values: FloatArray, se: FloatArray) -> FloatArray:
    """Values over their standard errors; 0 where both are zero, infinite where only the error is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(values == 0.0, 0.0, values / se))


def two_sided(t: FloatArray, nu: float) -> FloatArray:
    """Two-sided p-values of t: normal where ``nu`` is infinite.

    Examples
    --------
    >>> two_sided(np.array([1.96]), math.inf).round(3), two_sided(np.array([2.2281]), 10.0).round(3)
    (array([0.05]), array([0.05]))
    """
    return np.asarray(2.0 * (special.ndtr(-np.abs(t)) if math.isinf(nu) else special.stdtr(nu, -np.abs(t))))


@dataclass(frozen=True, eq=False)
class Limits:
    """The two limits at the cutoff, (n_q,) float64 arrays in the outcome's unit.

    Attributes
    ----------
    plus, minus : (n_q,) float64 array
        From above and from below, projected or sorted.
    plus_raw, minus_raw : (n_q,) float64 array
        Before that.
    """

    plus: FloatArray
    minus: FloatArray
    plus_raw: FloatArray
    minus_raw: FloatArray


@dataclass(frozen=True, eq=False)
class Estimates:
    """The curve of one fit and its covariance. Where there are two sides, plus (above the cutoff) comes first.

    Attributes
    ----------
    settings : R3DSettings
        What was asked.
    contributions : Contributions
        The jump, and what each unit adds to it: every covariance follows from these.
    limits : Limits
        The two curves whose difference is the jump.
    cov_type : {"HC0", "HC2", "HC3", "CR0", "CR1"}
        Covariance of ``bse`` and of all
    bandwidth_info : BandwidthInfo
        Bandwidths and where they come from.
    running_variable : (n,) float64 array
        Of all units.
    cutoff : float
        Unit of the running variable.
    sizes : (n,) int64 array, optional
        Values in each unit, where they are known.
    first_stage_t : float, optional
        Jump of the treatment over its standard error, in a fuzzy design.
    notes : tuple of str
        What is doubtful, as warned when the fit was made.
    """

    settings: R3DSettings
    contributions: Contributions
    limits: Limits
    cov_type: CovType
    bandwidth_info: BandwidthInfo
    running_variable: FloatArray
    cutoff: float
    sizes: IntArray | None = None
    first_stage_t: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def q_grid(self) -> FloatArray:
        """Quantile levels, (n_q,)."""
        return self.settings.levels

    @cached_property
    def params(self) -> FloatArray:
        """Effect tau(q), (n_q,), outcome's unit: of all units at the cutoff, or of compliers in a fuzzy design."""
        return self.contributions.jump if self.denominator is None else self.contributions.jump / self.denominator

    @property
    def m_plus(self) -> FloatArray:
        """Limit from above, (n_q,), outcome's unit."""
        return self.limits.plus

    @property
    def m_minus(self) -> FloatArray:
        """Limit from below, (n_q,), outcome's unit."""
        return self.limits.minus

    @property
    def m_plus_raw(self) -> FloatArray:
        """Limit from above before projection or sorting, (n_q,), outcome's unit."""
        return self.limits.plus_raw

    @property
    def m_minus_raw(self) -> FloatArray:
        """Limit from below before projection or sorting, (n_q,), outcome's unit."""
        return self.limits.minus_raw

    @property
    def denominator(self) -> float | None:
        """Jump of the treatment, in a fuzzy design."""
        return self.contributions.denominator

    @property
    def nobs(self) -> int:
        """Units."""
        return len(self.running_variable)

    @property
    def n_eff(self) -> tuple[int, int]:
        """Units within the bandwidth, plus and minus side."""
        plus = self.contributions.outcome.plus
        return int(plus.sum()), int((~plus).sum())

    @property
    def active(self) -> IntArray:
        """Places of the units that count, increasing: (n_active,)."""
        return self.contributions.active

    @property
    def weights(self) -> FloatArray:
        """Weights s_i of the outcome's fit, (n_outcome, k), k = 1 or n_q; the units are ``contributions.outcome.rows``."""
        return self.contributions.outcome.weights

    @cached_property
    def influence(self) -> FloatArray:
        """Contributions A (n_active, n_q) to the effect, outcome's unit."""
        return self.contributions.influence(self.cov_type)

    @cached_property
    def blocks(self) -> FloatArray:
        """The influence summed over what is not independent, (n_independent, n_q), outcome's unit."""
        return self.contributions.independent(self.influence)

    @cached_property
    def _covariance(self) -> FloatArray:
        return self.blocks.T @ self.blocks

    @cached_property
    def _root(self) -> FloatArray:
        return root_of(self.blocks)  # an eigendecomposition, which every band and test of one fit shares

    def cov_params(self) -> FloatArray:
        """Covariance S of the effect curve, (n_q, n_q), outcome's unit squared."""
        return self._covariance.copy()

    @property
    def bse(self) -> FloatArray:
        """Standard errors, (n_q,), outcome's unit."""
        return np.asarray(np.sqrt(np.diag(self._covariance)))

    @property
    def tvalues(self) -> FloatArray:
        """Effect over standard error, (n_q,)."""
        return over_error(self.params, self.bse)

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided normal p-values of each level by itself, (n_q,)."""
        return two_sided(self.tvalues, math.inf)

    @property
    def nu_eff(self) -> float:
        """Effective degrees of freedom of the variance: (sum s^2)^2 / sum s^4, the smallest over bandwidths."""
        return float(self.contributions.freedom().min())

    @property
    def n_projected(self) -> tuple[int, int]:
        """Levels moved by the projection, plus and minus side: how far the raw quantile curves cross."""
        return count_moved(self.m_plus_raw, self.m_plus), count_moved(self.m_minus_raw, self.m_minus)

    def draw(self, drawing: Drawing, statistic: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """``statistic`` of draws (b, n_q) of the curve's error; see `Drawing.over`."""
        return drawing.over(self.blocks, self.contributions.blocks, self.contributions.n_blocks, statistic, lambda: self._root)
