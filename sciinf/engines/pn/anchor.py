"""Where a likelihood is at home: the estimate, the spread of its error, and the box around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.pn.references import inside_domain

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily
    from sciinf.engines.pn.model import ExponentialFamilyResults

__all__ = ["Anchor"]

FloatArray = NDArray[np.float64]

_WIDTH = 8.0  # robust standard errors
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Anchor:
    """The estimate (p,), the Cholesky factor (p, p) of the model's covariance of it, and the ends (p,) of the box.

    The box is the estimate +- 8 robust standard errors, each side cut where the natural domain ends along that axis.
    """

    centre: FloatArray
    root: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, fit: ExponentialFamilyResults) -> Anchor:
        """Of a fit."""
        robust = fit.bse_robust
        half = _WIDTH * np.where(robust > 0.0, robust, fit.bse)  # a statistic without spread in the data says nothing of its error
        low, high = (_cut(fit.model.family, fit.params, sign * half) for sign in (-1.0, 1.0))
        return cls(fit.params, np.asarray(np.linalg.cholesky(fit.cov), dtype=np.float64), low, high)


def _cut(family: ExponentialFamily, centre: FloatArray, step: FloatArray) -> FloatArray:
    """Ends (p,) of steps along each axis from a theta of the domain, where need be up to its edge."""
    out = centre + step
    for i in range(len(centre)):
        trial = centre.copy()
        trial[i] = out[i]
        if inside_domain(family, trial):
            continue
        inner, outer = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (inner + outer)
            trial[i] = centre[i] + middle * step[i]
            inner, outer = (middle, outer) if inside_domain(family, trial) else (inner, middle)
            if outer - inner < 1e-15:
                break
        out[i] = centre[i] + inner * step[i]
    return out
