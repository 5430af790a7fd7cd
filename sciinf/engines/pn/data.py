"""What the data are to an exponential family: how many, the mean of the statistics, the sum of log h."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.pn.family import ExponentialFamily, normalised_weights

__all__ = ["SufficientStatistics", "counted"]

FloatArray = NDArray[np.float64]


def counted(n_rows: int, weights: ArrayLike | None) -> tuple[int, FloatArray]:
    """How many observations rows with counts stand for, and each row's share (n_rows,), sum one.

    Raises
    ------
    DataError
        If a weight is negative, not finite or no integer, all are zero, or their number is another.

    Examples
    --------
    >>> counted(2, [1, 3])
    (4, array([0.25, 0.75]))
    """
    share = normalised_weights(n_rows, weights)
    if weights is None:
        return n_rows, share
    counts = np.asarray(weights, dtype=np.float64)
    broken = counts != np.round(counts)
    if broken.any():
        first = int(np.argmax(broken))
        raise DataError(f"pn: weights say how often each observation occurred; weights[{first}] = {counts[first]:g} is no integer")
    return round(float(counts.sum())), share


@dataclass(frozen=True, eq=False)
class SufficientStatistics:
    """All that a likelihood of an exponential family takes from n observations.

    Attributes
    ----------
    n : int
        Observations.
    mean : (p,) float64 array
        Of the statistics.
    log_base : float
        Sum of log h over the observations.
    data : str
        sha256 of observations and weights: what evidences of different families are compared by.

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> found = SufficientStatistics.of(families.Normal(), [0.0, 2.0])
    >>> found.n, found.mean
    (2, array([1., 2.]))
    """

    n: int
    mean: FloatArray
    log_base: float
    data: str

    @classmethod
    def of(cls, family: ExponentialFamily, x: ArrayLike, weights: ArrayLike | None = None) -> SufficientStatistics:
        """From observations (n,) or (n, dim), and how often each occurred.

        Raises
        ------
        DataError
            If an observation is not finite or outside the support, or the weights are no counts.
        """
        points = family.observed(x)
        n, share = counted(len(points), weights)
        return cls._of(family, points, n, share)

    @classmethod
    def _of(cls, family: ExponentialFamily, points: FloatArray, n: int, share: FloatArray) -> SufficientStatistics:
        log_base = family.log_base_of(points)
        if not np.isfinite(log_base[share > 0.0]).all():
            first = int(np.flatnonzero(~np.isfinite(log_base) & (share > 0.0))[0])
            raise DataError(f"pn: log h of observation {first} is {log_base[first]}: it cannot occur under any theta")
        kept = share > 0.0
        return cls(n, share @ family.evaluate(points), n * float(share[kept] @ log_base[kept]), sha256_of("pn data", points, n * share))
