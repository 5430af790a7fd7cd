"""A prior given by its density on a grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import DataError, PriorError
from sciinf.core.prior_base import Prior

__all__ = ["Empirical", "Interpolated"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Interpolated(Prior):
    """Density that is linear between the points of a grid, and zero outside it.

    Parameters
    ----------
    x : (n,) array
        Grid, strictly increasing, finite, n >= 2.
    pdf : (n,) array
        Density at the grid, >= 0, not all zero; normalised here.

    Raises
    ------
    PriorError
        If the two arrays differ in length, are not finite, the grid does not increase, or the density is negative or zero everywhere.

    Notes
    -----
    The distribution function is quadratic in each cell; its inverse is 2 r / (f_0 + sqrt(f_0^2 + 2 r s)), r the probability still to
    go in the cell and s the slope, which cancels nowhere. Where the density is zero at an end, ``logpdf`` is -inf there.

    Examples
    --------
    >>> prior = Interpolated([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    >>> float(prior.ppf(0.5)), float(prior.cdf(0.5))
    (1.0, 0.125)
    """

    x: ArrayLike
    pdf: ArrayLike
    grid: Array = field(init=False, repr=False)
    """The grid, (n,) float64."""
    density: Array = field(init=False, repr=False)
    """The normalised density at the grid, (n,) float64."""
    cumulative: Array = field(init=False, repr=False)
    """The distribution function at the grid, (n,) float64."""

    def __post_init__(self) -> None:
        try:
            x = finite_array("x", self.x, shape=(-1,))
            pdf = finite_array("pdf", self.pdf, shape=x.shape)
        except DataError as error:
            raise PriorError(f"Interpolated: {error}") from error
        if x.size < 2 or np.any(np.diff(x) <= 0.0):
            at = int(np.argmax(np.diff(x) <= 0.0)) + 1 if x.size > 1 else 0
            raise PriorError(
                f"Interpolated: x must hold at least 2 strictly increasing values, got {x.size} values, the order broken at x[{at}]"
            )
        if np.any(pdf < 0.0) or not np.any(pdf > 0.0):
            raise PriorError(f"Interpolated: pdf must be >= 0 and not all zero, got minimum {pdf.min():g} and maximum {pdf.max():g}")
        pdf = pdf / pdf.max()
        cells = 0.5 * (pdf[1:] + pdf[:-1]) * np.diff(x)
        total = cells.sum()
        cumulative = np.concatenate([[0.0], np.cumsum(cells)]) / total
        cumulative[-1] = 1.0
        for name, value in {"x": x, "pdf": pdf, "grid": x, "density": pdf / total, "cumulative": np.minimum(cumulative, 1.0)}.items():
            object.__setattr__(self, name, value)

    @property
    def support(self) -> tuple[float, float]:
        """Ends of the grid."""
        return float(self.grid[0]), float(self.grid[-1])

    def ppf(self, u: ArrayLike) -> Array:
        """Quantile of each probability in [0, 1]; NaN outside. Where the density vanishes over a cell, its left end."""
        u = np.asarray(u, dtype=np.float64)
        cell = np.clip(np.searchsorted(self.cumulative, u, side="left") - 1, 0, self.grid.size - 2)
        width = self.grid[cell + 1] - self.grid[cell]
        left, right = self.density[cell], self.density[cell + 1]
        rest = np.maximum(u - self.cumulative[cell], 0.0)
        with np.errstate(all="ignore"):
            root = np.sqrt(np.maximum(left * left + 2.0 * rest * (right - left) / width, 0.0))
            step = np.where(rest > 0.0, 2.0 * rest / (left + root), 0.0)
            x = self.grid[cell] + np.minimum(step, width)
            return np.where((u >= 0.0) & (u <= 1.0), x, np.nan)

    def logpdf(self, x: ArrayLike) -> Array:
        """Ln density; -inf outside the grid and where the density is zero, NaN at NaN."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.asarray(np.log(np.interp(x, self.grid, self.density, left=0.0, right=0.0)))

    def cdf(self, x: ArrayLike) -> Array:
        """Probability at or below each x."""
        at = np.minimum(np.maximum(np.asarray(x, dtype=np.float64), self.grid[0]), self.grid[-1])
        cell = np.clip(np.searchsorted(self.grid, at, side="right") - 1, 0, self.grid.size - 2)
        left, right = self.density[cell], self.density[cell + 1]
        step = at - self.grid[cell]
        slope = (right - left) / (self.grid[cell + 1] - self.grid[cell])
        return np.asarray(np.minimum(self.cumulative[cell] + step * (left + 0.5 * slope * step), 1.0))


Empirical = Interpolated
"""The same prior under its other common name."""
