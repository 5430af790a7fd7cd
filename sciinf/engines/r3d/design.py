"""Who stands where: running variable, cutoff, treatment and clusters of the units, checked together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.r3d.columns import as_labels, real_column, unit_of
from sciinf.engines.r3d.local_polynomial import Side, side_of

__all__ = ["Design"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Design:
    """The units of a discontinuity design, without their outcomes.

    Parameters
    ----------
    x : (n,) float64 array
        Running variable of each unit.
    cutoff : float
        Where treatment starts, unit of ``x``; a unit exactly there is treated.
    treatment : (n,) array, optional
        Share treated in [0, 1]; makes the design fuzzy.
    cluster : (n,) array of labels, optional
        Units that are not independent.
    labels : (n,) array, optional
        Names of the units, for messages. Default 0, 1, ..., n - 1.

    Raises
    ------
    DataTypeError
        If a column does not hold real numbers.
    DataError
        If lengths differ, a value is missing or not finite, a side has no unit or, with clusters, fewer than two of them, or the treatment
        is outside [0, 1] or constant.
    ConfigError
        If the cutoff is no finite number.

    Examples
    --------
    >>> [side.rows.tolist() for side in Design(np.array([-1.0, 0.0, 2.0])).sides]
    [[1, 2], [0]]
    """

    x: FloatArray
    cutoff: float = 0.0
    treatment: FloatArray | None = None
    cluster: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.labels is None:
            object.__setattr__(self, "labels", np.arange(np.size(self.x)))
        object.__setattr__(self, "x", self._column("running variable", self.x))
        object.__setattr__(self, "cutoff", _real_cutoff(self.cutoff))
        for side in self.sides:
            if not len(side.x):
                raise DataError(
                    f"no unit on the {side.name} side of the cutoff {self.cutoff:g}: the running variable runs from {self.x.min():g} to "
                    f"{self.x.max():g}. Is the cutoff in the unit of the running variable?"
                )
        if self.treatment is not None:
            object.__setattr__(self, "treatment", self._checked_treatment(self.treatment))
        if self.cluster is not None:
            object.__setattr__(self, "cluster", self._checked_clusters(self.cluster))

    @property
    def names(self) -> NDArray[Any]:
        """Names of the units, (n,)."""
        assert self.labels is not None
        return self.labels

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.names)

    def _column(self, name: str, values: ArrayLike) -> FloatArray:
        return real_column(name, values, length=self.n_units, where=unit_of(self.names))

    def _checked_treatment(self, treatment: ArrayLike) -> FloatArray:
        share = self._column("treatment", treatment)
        outside = np.flatnonzero((share < 0.0) | (share > 1.0))
        if len(outside):
            raise DataError(
                f"treatment must lie in [0, 1]; unit {self.names[outside[0]]} has {share[outside[0]]:g} ({len(outside)} such units). "
                "Give the share treated, per cent divided by 100"
            )
        if np.ptp(share) == 0.0:
            raise DataError(
                f"treatment is {share[0]:g} in every unit: a fuzzy design needs one that changes. For a sharp design leave treatment out"
            )
        return share

    def _checked_clusters(self, cluster: ArrayLike) -> NDArray[Any]:
        clusters = as_labels("cluster", cluster)
        if len(clusters) != self.n_units:
            raise DataError(f"cluster must have one label for each of the {self.n_units} units, got {len(clusters)}")
        for side in self.sides:
            if (count := len(np.unique(clusters[side.rows]))) < 2:
                raise DataError(
                    f"the {side.name} side has {count} cluster; a clustered covariance needs at least 2 on each side. "
                    "Leave cluster out if units are independent"
                )
        return clusters

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        """Plus and minus side of the cutoff."""
        centred = self.x - self.cutoff
        return side_of(centred, 1), side_of(centred, -1)


def _real_cutoff(cutoff: Any) -> float:
    value = np.asarray(cutoff)
    if value.ndim != 0 or value.dtype.kind not in "fiu" or not np.isfinite(value):
        raise ConfigError(f"R3D: cutoff must be a finite number, in the unit of the running variable; got {shown(cutoff)}")
    return float(value)
