"""One-sided local polynomials at the cutoff: weights, fits and leverages, by QR in the unit of the bandwidth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.r3d.columns import listed

__all__ = ["Side", "SideFit", "fit_side", "kernel_weights", "side_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_WORST_CONDITION = 1e8
SIDES = {1: "plus", -1: "minus"}


def kernel_weights(name: str, u: FloatArray) -> FloatArray:
    """K(u): (1 - abs u)+, 3/4 (1 - u^2)+, or 1/2 on the closed interval abs u <= 1; each integrates to 1 over the line."""
    distance = np.abs(u)
    if name == "triangular":
        return np.asarray(np.maximum(1.0 - distance, 0.0))
    if name == "epanechnikov":
        return np.asarray(0.75 * np.maximum(1.0 - distance * distance, 0.0))
    return np.asarray(np.where(distance <= 1.0, 0.5, 0.0))


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
    labels : (n_side,) array
        Names, for messages.
    """

    sign: int
    rows: IntArray
    x: FloatArray
    labels: NDArray[Any]

    @property
    def name(self) -> str:
        """Name of the side: plus or minus."""
        return SIDES[self.sign]


def side_of(x: FloatArray, sign: int, labels: NDArray[Any]) -> Side:
    """The side of ``sign`` among all units; a unit exactly at the cutoff is on the plus side."""
    rows = np.flatnonzero(x >= 0.0 if sign > 0 else x < 0.0)
    return Side(sign, rows, np.ascontiguousarray(x[rows]), labels[rows])


@dataclass(frozen=True, eq=False)
class SideFit:
    """A local polynomial of order p on one side, for m outcome columns; k is 1 (one bandwidth) or m.

    Attributes
    ----------
    side : Side
        The side.
    active : (n_active,) int64 array
        Places within the side of units with abs(x) <= h for some column.
    inside : (n_active, k) bool array
        Which are active for which bandwidth.
    kernel : (n_active, k) float64 array
        K(x / h), 0 where not active.
    coefficients : (p + 1, m) float64 array
        In units of the outcome, of powers of u = x / h.
    weights : (n_active, k) float64 array
        s_i: the fit at the cutoff is their sum over the outcomes.
    leverage : (n_active, k) float64 array
        l_i, dimensionless.
    residuals : (n_active, m) float64 array
        Outcome less fit, 0 where not active.
    fitted : (n_active, m) float64 array
        The fit at each unit.
    top_weights : (n_active, k) float64 array
        As ``weights``, for the highest coefficient.
    """

    side: Side
    active: IntArray
    inside: NDArray[np.bool_]
    kernel: FloatArray
    coefficients: FloatArray
    weights: FloatArray
    leverage: FloatArray
    residuals: FloatArray
    fitted: FloatArray
    top_weights: FloatArray

    @property
    def rows(self) -> IntArray:
        """Places of the active units among all units."""
        return self.side.rows[self.active]

    @property
    def intercept(self) -> FloatArray:
        """The limit at the cutoff, (m,)."""
        return np.asarray(self.coefficients[0])

    def with_fitted(self, outcomes: FloatArray, fitted: FloatArray) -> FloatArray:
        """Residuals (n_active, m) against other fitted values, 0 where not active."""
        return np.asarray(np.where(self.inside, outcomes[self.rows] - fitted, 0.0))


def _check(side: Side, x: FloatArray, used: NDArray[np.bool_], h: float, p: int, where: str) -> None:
    """Enough units at enough places for order p."""
    count = int(used.sum())
    if count < p + 2:
        distances = np.sort(np.abs(side.x))
        enough = f"h > {distances[p + 1]:.6g} would do" if len(distances) > p + 1 else f"the side has {len(distances)} units in all"
        raise DataError(
            f"too few units on the {side.name} side{where}: order p = {p} needs at least {p + 2} units with weight, got {count} "
            f"at h = {h:.6g}; {enough}"
        )
    places = np.unique(x[used])
    if len(places) <= p:
        raise DataError(
            f"order p = {p} needs at least {p + 1} distinct values of the running variable on the {side.name} side within "
            f"h = {h:.6g}{where}, got {len(places)}: {listed(places)} (relative to the cutoff). Lower p or raise h"
        )


def _one(side: Side, outcomes: FloatArray, h: float, p: int, kernel: str, where: str) -> tuple[Any, ...]:
    """Order-p fit at one bandwidth over the units of the side with abs(x) <= h."""
    u = side.x / h
    active = np.flatnonzero(np.abs(u) <= 1.0)
    u = u[active]
    k = kernel_weights(kernel, u)
    _check(side, side.x[active], k > 0.0, h, p, where)
    powers = np.vander(u, p + 1, increasing=True)
    root = np.sqrt(k)
    q, r = np.linalg.qr(root[:, None] * powers)
    condition = float(np.linalg.cond(r))
    if not condition <= _WORST_CONDITION:
        raise DataError(
            f"the design of order p = {p} on the {side.name} side within h = {h:.6g}{where} is singular to working precision (condition "
            f"{condition:.1e}); distinct values of the running variable: {listed(np.unique(side.x[active]))}. Lower p or raise h"
        )
    inner = outcomes[side.rows[active]]
    coefficients = np.linalg.solve(r, q.T @ (root[:, None] * inner))
    ends = np.zeros((p + 1, 2))
    ends[0, 0] = ends[p, 1] = 1.0
    weights = root[:, None] * (q @ np.linalg.solve(r.T, ends))
    fitted = powers @ coefficients
    leverage = np.einsum("ij,ij->i", q, q)
    return active, k, coefficients, weights[:, 0], weights[:, 1], leverage, fitted, inner - fitted


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
        active, k, coefficients, weights, top, leverage, fitted, residuals = _one(side, outcomes, float(h[0]), p, kernel, "")
        column = (slice(None), None)
        inside = np.ones((len(active), 1), dtype=np.bool_)
        return SideFit(
            side, active, inside, k[column], coefficients, weights[column], leverage[column], residuals, fitted, top[column]
        )  # fmt: skip
    m = outcomes.shape[1]
    active = np.flatnonzero(np.abs(side.x) / h.max() <= 1.0)
    place = np.full(len(side.x), -1)
    place[active] = np.arange(len(active))
    inside = np.zeros((len(active), m), dtype=np.bool_)
    arrays = {name: np.zeros((len(active), m)) for name in ("kernel", "weights", "leverage", "residuals", "fitted", "top_weights")}
    coefficients = np.empty((p + 1, m))
    for value in np.unique(h):
        columns = np.flatnonzero(h == value)
        where = "" if levels is None else f" at q = {levels[columns[0]]:g}"
        here, k, found, weights, top, leverage, fitted, residuals = _one(side, outcomes[:, columns], float(value), p, kernel, where)
        coefficients[:, columns] = found
        cells = np.ix_(place[here], columns)
        inside[cells] = True
        for name, each in (("kernel", k), ("weights", weights), ("leverage", leverage), ("top_weights", top)):
            arrays[name][cells] = each[:, None]
        arrays["residuals"][cells], arrays["fitted"][cells] = residuals, fitted
    return SideFit(side, active, inside, coefficients=coefficients, **arrays)
