"""Counts of likelihood calls that survive worker processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["COUNTER_FIELDS", "Counts"]

COUNTER_FIELDS = ("calls", "minus_inf", "rejected")


class Counts(NamedTuple):
    """Likelihood evaluations, those that were -inf, and those rejected (NaN under ``on_nan="reject"``)."""

    calls: int = 0
    minus_inf: int = 0
    rejected: int = 0

    @classmethod
    def from_rows(cls, rows: NDArray[np.int64]) -> Counts:
        """Sum of counter rows (n_rows, 3)."""
        return cls(*(int(total) for total in np.sum(np.atleast_2d(rows), axis=0)))
