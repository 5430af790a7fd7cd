"""Does a maximum of the likelihood exist? Tests by linear programs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from sciinf.core.errors import DataError

__all__ = ["check_inside", "separating_direction"]

FloatArray = NDArray[np.float64]

_EDGE = 1e-9  # of the largest coordinate


def check_inside(points: FloatArray, mean: FloatArray, names: tuple[str, ...]) -> None:
    """Check that ``mean`` (p,) lies inside the convex hull of ``points`` (n, p), not on its boundary.

    Raises
    ------
    DataError
        If not; names a direction in which no point lies further.

    Notes
    -----
    Seeks a direction d of entries in [-1, 1], in units of the points' spread, with d.(T - mean) <= 0 for all points: the one with the
    smallest sum. Only d = 0 has none below.
    """
    spread = np.maximum(np.ptp(points, axis=0), 1e-300)
    scaled = (np.unique(points, axis=0) - mean) / spread
    p = len(mean)
    found = optimize.linprog(scaled.sum(axis=0), A_ub=scaled, b_ub=np.full(len(scaled), 1e-12), bounds=[(-1.0, 1.0)] * p, method="highs")
    if found.status == 0 and found.fun > -_EDGE * len(scaled):
        return
    direction = np.asarray(found.x) / spread if found.x is not None else np.zeros(p)
    top = float(np.max(np.abs(direction))) or 1.0
    terms = " ".join(f"{value:+.3g} T[{name}]" for name, value in zip(names, direction / top, strict=True) if abs(value) > 1e-9 * top)
    raise DataError(
        f"pn: the maximum likelihood estimate does not exist: the mean of the statistics lies on the edge of what they can be; none lies "
        f"further along {terms}. Report the risk conditional on existence by bootstrap, or change the model"
    )


def separating_direction(design: FloatArray, sign: FloatArray) -> FloatArray | None:
    """Coefficients (p,) that separate two classes, sign (n,) of -1, 0 or +1 (0: both occur in the row); None where there are none.

    Notes
    -----
    With rows s_i x_i, the likelihood of a logit has no maximum if some d has s_i x_i.d >= 0 for all rows, > 0 for one, and x_i.d = 0 where
    both classes occur (Albert & Anderson 1984, Biometrika 71, 1).
    """
    scale = np.maximum(np.max(np.abs(design), axis=0), 1e-300)
    rows = design / scale
    one, both = rows[sign != 0.0] * sign[sign != 0.0, None], rows[sign == 0.0]
    p = design.shape[1]
    found = optimize.linprog(
        -one.sum(axis=0) if len(one) else np.zeros(p), A_ub=-one if len(one) else None, b_ub=np.zeros(len(one)) if len(one) else None,
        A_eq=both if len(both) else None, b_eq=np.zeros(len(both)) if len(both) else None, bounds=[(-1.0, 1.0)] * p, method="highs",
    )  # fmt: skip
    if found.status != 0 or -found.fun <= _EDGE * max(len(one), 1):
        return None
    return np.asarray(found.x / scale, dtype=np.float64)
