"""What each unit contributes to the estimated curve, and the covariance that follows: HC0, HC2, HC3, or by cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.r3d.local_polynomial import SideFit
from sciinf.engines.r3d.settings import CovType, one_of

__all__ = ["Contributions", "Part", "check_cov_type", "effective_freedom"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_LEAST_FREE = 1e-8


def check_cov_type(cov_type: Any, *, clustered: bool, compat: bool) -> CovType:
    """The covariance that is meant: HC3, or CR1 with clusters, where none is named; in compatible fits HC0 is the only one.

    Raises
    ------
    ConfigError
        If it is not known, or is for clusters without any, or for independent units with clusters, or there are clusters in a compatible
        fit.
    """
    if compat and clustered:
        raise ConfigError("r3d: compat='R3D' does as the R package, which knows no clusters: leave cluster out, or compat")
    if cov_type is None:
        return "CR1" if clustered else "HC0" if compat else "HC3"
    one_of("cov_type", cov_type, get_args(CovType))
    if compat and cov_type != "HC0":
        raise ConfigError(f"r3d: compat='R3D' has one covariance, 'HC0'; got {cov_type!r}. Leave cov_type out")
    if clustered != cov_type.startswith("CR"):
        reason = (
            "units are clustered: take 'CR0' or 'CR1'"
            if clustered
            else "there are no clusters: give cluster=..., or take 'HC0', 'HC2' or 'HC3'"
        )
        raise ConfigError(f"r3d: cov_type {cov_type!r} does not fit, {reason}")
    return cov_type  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Part:
    """Weighted residuals of one local fit over both sides; k is 1 or the number of columns.

    Attributes
    ----------
    rows : (m,) int64 array
        Places of the units among all units.
    plus : (m,) bool array
        On the plus side.
    inside : (m, k) bool array
        Of positive kernel weight at the bandwidth: at h exactly a unit is active, and has none.
    weights : (m, k) float64 array
        s_i, positive or negative.
    leverage : (m, k) float64 array
        l_i.
    scores : (m, n_q) float64 array
        sigma_i s_i e_i, sigma = 1 on the plus side and -1 on the other; outcome's unit.
    p : int
        Order of the fit.
    """

    rows: IntArray
    plus: BoolArray
    inside: BoolArray
    weights: FloatArray
    leverage: FloatArray
    scores: FloatArray
    p: int

    @classmethod
    def of(cls, fits: tuple[SideFit, SideFit], residuals: tuple[FloatArray, FloatArray], p: int) -> Part:
        """From the fits of the plus and the minus side and the residuals that count."""
        plus, minus = fits
        rows = np.concatenate((plus.rows, minus.rows))
        weights, leverage = np.concatenate((plus.weights, minus.weights)), np.concatenate((plus.leverage, minus.leverage))
        scores = np.concatenate((plus.weights * residuals[0], -minus.weights * residuals[1]))
        inside = np.concatenate((plus.kernel, minus.kernel)) > 0.0
        return cls(rows, np.arange(len(rows)) < len(plus.rows), inside, weights, leverage, scores, p)

    def factors(self, cov_type: CovType, cluster: IntArray | None, labels: NDArray[Any]) -> FloatArray | float:
        """c_i of the covariance: 1, (1 - l)^(-1/2), (1 - l)^-1, or the small-sample factor of a side's clusters.

        Raises
        ------
        DataError
            If a unit determines its own fit (1 - l < 1e-8); names it.
        """
        if cov_type in ("HC0", "CR0"):
            return 1.0
        if cov_type == "CR1":
            return self._cluster_factors(cluster)
        free = 1.0 - self.leverage
        if (free < _LEAST_FREE).any():
            i = int(np.argmax((free < _LEAST_FREE).any(axis=1)))
            raise DataError(
                f"unit {labels[self.rows[i]]} on the {'plus' if self.plus[i] else 'minus'} side determines its own fit (1 - leverage = "
                f"{free[i].min():.1e}), so {cov_type} is not defined. Take cov_type='HC0' or a larger bandwidth"
            )
        return np.asarray(free ** (-0.5 if cov_type == "HC2" else -1.0))

    def _cluster_factors(self, cluster: IntArray | None) -> FloatArray:
        assert cluster is not None
        out = np.ones(self.inside.shape)
        for side in (self.plus, ~self.plus):
            for j in range(self.inside.shape[1]):
                here = side & self.inside[:, j]
                n, g = int(here.sum()), len(np.unique(cluster[self.rows[here]]))
                if g < 2:
                    name = "plus" if side is self.plus else "minus"
                    raise DataError(
                        f"the {name} side has {g} cluster(s) with active units; a clustered covariance needs at least 2. Raise h"
                    )
                out[side, j] = np.sqrt((n - 1) / (n - self.p - 1) * g / (g - 1))
        return out


@dataclass(frozen=True, eq=False)
class Contributions:
    """The parts of a fit, outcome and treatment, from which every covariance follows.

    Attributes
    ----------
    outcome : Part
        Of the outcome's curve.
    jump : (n_q,) float64 array
        ``m_+ - m_-``.
    treatment : Part, optional
        Of the treatment, one column.
    denominator : float, optional
        Jump of the treatment.
    cluster : (n,) int64 array, optional
        Cluster of each unit, 0, 1, ...
    labels : (n,) array
        Names of the units.
    """

    outcome: Part
    jump: FloatArray
    treatment: Part | None
    denominator: float | None
    cluster: IntArray | None
    labels: NDArray[Any]

    @cached_property
    def active(self) -> IntArray:
        """Places of the units that count, for outcome or treatment, increasing: (n_active,)."""
        counts = np.zeros(len(self.labels), dtype=np.bool_)
        for part in (self.outcome, self.treatment):
            if part is not None:
                counts[part.rows] = True
        return np.flatnonzero(counts)

    def _places(self, part: Part) -> IntArray:
        """Where each unit of a part is among the active ones."""
        places = np.empty(len(self.labels), dtype=np.int64)
        places[self.active] = np.arange(len(self.active))
        return places[part.rows]

    def reduced_form(self, cov_type: CovType) -> FloatArray:
        """Contributions (n_active, n_q) to ``m_+ - m_-``, outcome's unit: the sharp effect, or the numerator of a fuzzy one."""
        return self._spread(self.outcome, cov_type)

    def influence(self, cov_type: CovType) -> FloatArray:
        """Contributions A (n_active, n_q) to the effect, outcome's unit; S = A'A where units are independent.

        Notes
        -----
        Fuzzy, by the delta method: ``[den A - (m_+ - m_-) D] / den^2``, D the treatment's contributions. The covariance of numerator and
        denominator enters by itself, since both are sums over the same units.
        """
        reduced = self.reduced_form(cov_type)
        if self.treatment is None:
            return reduced
        assert self.denominator is not None
        first_stage = self._spread(self.treatment, cov_type)
        return (self.denominator * reduced - first_stage * self.jump) / self.denominator**2

    def first_stage(self, cov_type: CovType) -> FloatArray:
        """Contributions (n_active,) to the denominator; dimensionless."""
        assert self.treatment is not None
        return self._spread(self.treatment, cov_type)[:, 0]

    def _spread(self, part: Part, cov_type: CovType) -> FloatArray:
        out = np.zeros((len(self.active), part.scores.shape[1]))
        out[self._places(part)] = part.scores * part.factors(cov_type, self.cluster, self.labels)
        return out

    def independent(self, contributions: FloatArray) -> FloatArray:
        """Sums over clusters, (n_clusters_active, n_q), in the order of the clusters; what is independent stays as it is."""
        if self.cluster is None:
            return contributions
        found, codes = np.unique(self.cluster[self.active], return_inverse=True)
        sums = np.zeros((len(found), contributions.shape[1]))
        np.add.at(sums, codes, contributions)
        return sums

    @property
    def blocks(self) -> IntArray:
        """Place of each independent block among all units, or among all clusters."""
        return self.active if self.cluster is None else np.unique(self.cluster[self.active])

    @property
    def n_blocks(self) -> int:
        """Independent blocks among all units: units, or clusters."""
        return len(self.labels) if self.cluster is None else int(self.cluster.max()) + 1

    def clusters_of_sides(self) -> tuple[int, int]:
        """Clusters with units within the outcome's bandwidth, above and below the cutoff."""
        assert self.cluster is not None
        found = self.cluster[self.outcome.rows]
        return len(np.unique(found[self.outcome.plus])), len(np.unique(found[~self.outcome.plus]))

    def of_the_sides(self, cov_type: CovType) -> FloatArray:
        """Contributions to (``m_+``, ``m_-``) together, (n_independent, 2 n_q), outcome's unit; in a fuzzy design of the reduced form."""
        reduced = self.reduced_form(cov_type)
        plus = np.zeros(len(self.active), dtype=np.bool_)
        plus[self._places(self.outcome)] = self.outcome.plus
        return self.independent(np.concatenate([np.where(plus[:, None], reduced, 0.0), np.where(plus[:, None], 0.0, -reduced)], axis=1))

    def covariance(self, cov_type: CovType) -> FloatArray:
        """S = A'A over independent blocks, (n_q, n_q), outcome's unit squared."""
        blocks = self.independent(self.influence(cov_type))
        return blocks.T @ blocks

    def with_levels(self, columns: IntArray) -> Contributions:
        """The same at some of the levels."""
        wide = self.outcome.inside.shape[1] > 1
        few = {name: getattr(self.outcome, name)[:, columns] for name in ("scores", *(("inside", "weights", "leverage") if wide else ()))}
        return replace(self, outcome=replace(self.outcome, **few), jump=self.jump[columns])

    def freedom(self) -> FloatArray:
        """Effective number of independent contributions, (k,): see `effective_freedom`."""
        weights = self.outcome.weights
        if self.cluster is not None:
            found, codes = np.unique(self.cluster[self.outcome.rows], return_inverse=True)
            sums = np.zeros((len(found), weights.shape[1]))
            np.add.at(sums, codes, weights**2)
            return effective_freedom(sums)
        return effective_freedom(weights**2)


def effective_freedom(squared_weights: FloatArray) -> FloatArray:
    """(sum s^2)^2 / sum s^4 over both sides, for each column of squared weights (m, k): the freedom of a variance made of their residuals.

    Notes
    -----
    Satterthwaite's approximation for a weighted sum of squares; derived here for the sample-weight covariance.
    """
    return np.asarray(squared_weights.sum(axis=0) ** 2 / (squared_weights**2).sum(axis=0))
