"""Quantiles of units that were extracted before, and their extraction chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import DataError
from sciinf.engines.r3d.data import as_labels
from sciinf.engines.r3d.settings import QuantileRule

__all__ = ["UnitQuantiles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UnitQuantiles:
    """Quantiles of n units at n_q levels: all that a fit needs of their samples.

    Attributes
    ----------
    labels : (n,) array
        Names of the units.
    q_grid : (n_q,) float64 array
        Levels.
    quantiles : (n, n_q) float64 array
        Outcome's unit, nondecreasing along a row.
    counts : (n,) int64 array, optional
        Number of values of each unit.
    means, weight_sums : (n,) float64 array, optional
        Mean and total weight of each unit.
    rule : {"type7", "inverted_cdf"}
        How they were taken.

    Raises
    ------
    DataError
        If shapes do not fit or a row decreases; names the unit.
    """

    labels: NDArray[Any]
    q_grid: FloatArray
    quantiles: FloatArray
    counts: IntArray | None = None
    means: FloatArray | None = None
    weight_sums: FloatArray | None = None
    rule: QuantileRule = "type7"

    def __post_init__(self) -> None:
        table = finite_array("quantiles", self.quantiles, shape=(-1, len(self.q_grid)))
        labels = as_labels("labels", self.labels)
        for name, value in (("labels", labels), ("counts", self.counts), ("means", self.means), ("weight_sums", self.weight_sums)):
            if value is not None and np.shape(value) != (len(table),):
                raise DataError(f"{name} must be ({len(table)},), one for each row of quantiles, got {np.shape(value)}")
        falling = (np.diff(table, axis=1) < 0.0).any(axis=1)
        if falling.any():
            raise DataError(
                f"quantiles must not decrease along a row; those of unit {labels[np.argmax(falling)]} do ({int(falling.sum())} such units)"
            )
        object.__setattr__(self, "quantiles", table)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "q_grid", np.asarray(self.q_grid, dtype=np.float64))

    @classmethod
    def of(cls, quantiles: ArrayLike, q_grid: ArrayLike, counts: ArrayLike | None, rule: QuantileRule) -> UnitQuantiles:
        """From an array (n, n_q), units named 0, 1, ..."""
        n = len(np.atleast_1d(np.asarray(quantiles)))
        sizes = None if counts is None else np.asarray(counts, dtype=np.int64)
        return cls(np.arange(n), np.asarray(q_grid), quantiles, sizes, rule=rule)  # type: ignore[arg-type]

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.quantiles)

    @property
    def sizes(self) -> IntArray | None:
        """Number of values of each unit, where known."""
        return self.counts
