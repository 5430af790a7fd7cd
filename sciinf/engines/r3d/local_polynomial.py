"""One-sided local polynomials at the cutoff: weights, fits and leverages, by QR in the unit of the bandwidth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.r3d import local_kernels
from sciinf.engines.r3d.columns import listed

__all__ = ["Side", "SideFit", "design_of", "fit_side", "kernel_weights", "side_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_WORST_CONDITION = 1e8
SIDES = {1: "plus", -1: "minus"}


def kernel_weights(name: str, u: FloatArray) -> FloatArray:
    """K(u): (1 - abs u)+, 3/4 (1 - u^2)+, or 1/2 on the closed interval abs u <= 1; each integrates to 1 over the line."""
    return np.asarray(local_kernels.kernel_values(u, local_kernels.KERNELS[name]))


@dataclass(frozen=True, eq=False)
class Side:
    """The units of one side of the cutoff.

    Parameters
    ----------
    sign : {1, -1}
        Plus side x >= 0, or minus side.
    rows : (n_side,) int64 array
        Their places among all units.
    x : (n_side,) float64 array
        Running variable less the cutoff.
    """

    sign: int
    rows: IntArray
    x: FloatArray

    @property
    def name(self) -> str:
        """Name of the side: plus or minus."""
        return SIDES[self.sign]


def side_of(x: FloatArray, sign: int) -> Side:
    """The side of ``sign`` among all units; a unit exactly at the cutoff is on the plus side."""
    rows = np.flatnonzero(x >= 0.0 if sign > 0 else x < 0.0)
    return Side(sign, rows, x[rows])


@dataclass(frozen=True, eq=False)
class SideFit:
    """A local polynomial of order p on one side, for m outcome columns; k is 1 (one bandwidth) or m.

    Attributes
    ----------
    side : Side
        The side.
    active : (n_active,) int64 array
        Places within the side of units with abs(x) <= h for some column.
    coefficients : (p + 1, m) float64 array
        In units of the outcome, of powers of u = x / h.
    kernel : (n_active, k) float64 array
        K(x / h), 0 where not active.
    weights : (n_active, k) float64 array
        s_i: the fit at the cutoff is their sum over the outcomes.
    leverage : (n_active, k) float64 array
        l_i, dimensionless.
    residuals : (n_active, m) float64 array
        Outcome less fit, 0 where not active.
    fitted : (n_active, m) float64 array
        The fit at each unit.
    """

    side: Side
    active: IntArray
    coefficients: FloatArray
    kernel: FloatArray
    weights: FloatArray
    leverage: FloatArray
    residuals: FloatArray
    fitted: FloatArray

    @cached_property
    def rows(self) -> IntArray:
        """Places of the active units among all units."""
        return self.side.rows[self.active]

    @property
    def intercept(self) -> FloatArray:
        """The limit at the cutoff, (m,)."""
        return np.asarray(self.coefficients[0])

    def residuals_of(self, fitted: FloatArray) -> FloatArray:
        """Residuals (n_active, m) against other fitted values."""
        return self.residuals + (self.fitted - fitted)


class _Fit(NamedTuple):
    """The fit at one bandwidth, over the units within it; fields as `SideFit`, arrays of units with one axis."""

    active: IntArray
    coefficients: FloatArray
    kernel: FloatArray
    weights: FloatArray
    leverage: FloatArray
    residuals: FloatArray
    fitted: FloatArray


class LocalDesign(NamedTuple):
    """What an order-p fit over the units within one bandwidth does to any outcome: the first three of `local_kernels.local_design`."""

    active: IntArray
    table: FloatArray
    inverse: FloatArray


def design_of(side: Side, h: float, p: int, kernel: str, where: str = "") -> LocalDesign:
    """Weights and factors over the units of the side with abs(x) <= h.

    Raises
    ------
    DataError
        As `fit_side`; ``where`` goes into the message.
    """
    active, table, inverse, bound, n_used = local_kernels.local_design(side.x, h, p, local_kernels.KERNELS[kernel])
    if n_used < p + 2 or not bound <= _WORST_CONDITION:
        _check(side, side.x[active], table[0] > 0.0, inverse, h, where)
    return LocalDesign(active, table, inverse)


def _one(side: Side, outcomes: FloatArray, h: float, p: int, kernel: str, where: str) -> _Fit:
    """Order-p fit at one bandwidth over the units of the side with abs(x) <= h."""
    active, table, inverse = design_of(side, h, p, kernel, where)
    k, weights, _, leverage = table[:4]
    inner = outcomes.take(side.rows.take(active), axis=0)
    coefficients = inverse @ (table[p + 5 :] @ inner)
    fitted = table[4 : p + 5].T @ coefficients
    return _Fit(active, coefficients, k, weights, leverage, inner - fitted, fitted)


def _check(side: Side, x: FloatArray, used: NDArray[np.bool_], inverse: FloatArray, h: float, where: str) -> None:
    """Enough units at enough places for the order of a design with that ``inverse``, and not all too near to each other."""
    p, count = len(inverse) - 1, int(used.sum())
    if count < p + 2:
        distances = np.sort(np.abs(side.x))
        enough = f"h > {distances[p + 1]:.6g} would do" if len(distances) > p + 1 else f"the side has {len(distances)} units in all"
        raise DataError(
            f"too few units on the {side.name} side{where}: order p = {p} needs at least {p + 2} units with weight, got {count} "
            f"at h = {h:.6g}; {enough}. Raise h, or lower p"
        )
    places = np.unique(x[used])
    if len(places) <= p:
        raise DataError(
            f"order p = {p} needs at least {p + 1} distinct values of the running variable on the {side.name} side within "
            f"h = {h:.6g}{where}, got {len(places)}: {listed(places)} (relative to the cutoff). Lower p or raise h"
        )
    condition = float(np.linalg.cond(inverse)) if np.isfinite(inverse).all() else math.inf
    if not condition <= _WORST_CONDITION:
        raise DataError(
            f"the design of order p = {p} on the {side.name} side within h = {h:.6g}{where} is singular to working precision (condition "
            f"{condition:.1e}); distinct values of the running variable: {listed(np.unique(x))}. Lower p or raise h"
        )


def fit_side(side: Side, outcomes: FloatArray, h: FloatArray, p: int, kernel: str, levels: Sequence[float] | None = None) -> SideFit:
    """Local polynomial of order ``p`` of every outcome column on one side.

    Parameters
    ----------
    side : Side
        n_side units.
    outcomes : (n, m) float64 array
        Outcome columns of all units.
    h : (k,) float64 array
        Bandwidth, in the unit of the running variable: one for all columns, or one per column.
    p : int
        Order.
    kernel : str
        Kernel.
    levels : sequence of float, optional
        Quantile levels of the columns, for messages.

    Raises
    ------
    DataError
        If fewer than p + 2 units have weight, there are no more than p distinct places, or the design's condition exceeds 1e8; names the
        side, the level, the bandwidth and the smallest one that would do.

    Notes
    -----
    With r = (1, u, ..., u^p)', u = x / h and k = K(u): coefficients minimise sum k (Y - r'a)^2, s_i = e_0' G^-1 r_i k_i and
    l_i = k_i r_i' G^-1 r_i, G = sum k r r'. Solved by QR of diag(sqrt k) R: G is never formed.
    """
    if len(h) == 1:
        one = _one(side, outcomes, float(h[0]), p, kernel, "")
        k, weights, leverage = (array[:, None] for array in (one.kernel, one.weights, one.leverage))
        return SideFit(side, one.active, one.coefficients, k, weights, leverage, one.residuals, one.fitted)
    m = outcomes.shape[1]
    active = np.flatnonzero(np.abs(side.x) / h.max() <= 1.0)
    place = np.full(len(side.x), -1)
    place[active] = np.arange(len(active))
    arrays = {name: np.zeros((len(active), m)) for name in ("kernel", "weights", "leverage", "residuals", "fitted")}
    coefficients = np.empty((p + 1, m))
    for value in np.unique(h):
        columns = np.flatnonzero(h == value)
        where = "" if levels is None else f" at q = {levels[columns[0]]:g}"
        one = _one(side, outcomes[:, columns], float(value), p, kernel, where)
        coefficients[:, columns] = one.coefficients
        cells = np.ix_(place[one.active], columns)
        for name, array in arrays.items():
            each = getattr(one, name)
            array[cells] = each if each.ndim == 2 else each[:, None]
    return SideFit(side, active, coefficients, **arrays)
