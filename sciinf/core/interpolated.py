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
    The distribution function is quadratic in each cell; its inverse is 2 r / (f + sqrt(f^2 + 2 r s)), f the lower of the cell's two
    densities, r the probability from that end and s the slope's modulus: nothing cancels. Where the density is zero at an end,
    ``logpdf`` is -inf there.

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
        if x.size < 2 or np.any(x[1:] <= x[:-1]):
            at = int(np.argmax(x[1:] <= x[:-1])) + 1 if x.size > 1 else 0
            raise PriorError(
                f"Interpolated: x must hold at least 2 strictly increasing values, got {x.size} values, the order broken at x[{at}]"
            )
        if np.any(pdf < 0.0) or not np.any(pdf > 0.0):
            raise PriorError(f"Interpolated: pdf must be >= 0 and not all zero, got minimum {pdf.min():g} and maximum {pdf.max():g}")
        with np.errstate(all="ignore"):
            pdf = pdf / pdf.max()
            cells = 0.5 * (pdf[1:] + pdf[:-1]) * np.diff(x)
            total = cells.sum()
            cumulative = np.concatenate([[0.0], np.cumsum(cells)]) / total
            if not np.all(np.isfinite(pdf / total)) or not np.all(np.isfinite(cumulative)):
                raise PriorError(
                    f"Interpolated: the area under pdf over [{x[0]:g}, {x[-1]:g}] must be a number that float64 can hold, got {total:g}. "
                    "Choose a unit in which x is neither so large nor so close together"
                )
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
        rising = right >= left
        rest = np.maximum(np.where(rising, u - self.cumulative[cell], self.cumulative[cell + 1] - u), 0.0)
        start, slope = np.minimum(left, right), np.abs(right - left) / width
        with np.errstate(all="ignore"):
            step = np.where(rest > 0.0, 2.0 * rest / (start + np.sqrt(start * start + 2.0 * rest * slope)), 0.0)
            step = np.minimum(step, width)
            x = np.where(rising, self.grid[cell] + step, self.grid[cell + 1] - step)
            return np.where((u >= 0.0) & (u <= 1.0), x, np.nan)

    def logpdf(self, x: ArrayLike) -> Array:
        """Log-density; -inf outside the grid and where the density is zero, NaN at NaN."""
        x = np.asarray(x, dtype=np.float64)
        cell = np.clip(np.searchsorted(self.grid, x, side="right") - 1, 0, self.grid.size - 2)
        left, right = self.density[cell], self.density[cell + 1]
        slope = np.abs(right - left) / (self.grid[cell + 1] - self.grid[cell])
        step = np.where(right >= left, x - self.grid[cell], self.grid[cell + 1] - x)
        with np.errstate(all="ignore"):
            value = np.log(np.minimum(left, right) + slope * step)
        return np.where((x < self.grid[0]) | (x > self.grid[-1]), -np.inf, value)

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
