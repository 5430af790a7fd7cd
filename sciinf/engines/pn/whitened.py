"""The prior of whitened parameters: uniform in a box of theta, as a density of phi."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sciinf.core.joint_priors import JointPrior
from sciinf.engines.pn import whitened_kernels as kernels

__all__ = ["WhitenedBox"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WhitenedBox(JointPrior):
    """Uniform in low <= centre + root phi <= high.

    Parameters
    ----------
    low, high, centre : (p,) float64 array
        In theta.
    root : (p, p) float64 array
        Lower triangular, its diagonal positive.

    Notes
    -----
    The density of phi is that of theta times det root, a constant, so an evidence is the same in both.
    """

    low: FloatArray
    high: FloatArray
    centre: FloatArray
    root: FloatArray
    log_density: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        log_volume = float(np.sum(np.log(self.high - self.low)))
        object.__setattr__(self, "log_density", float(np.sum(np.log(np.diag(self.root)))) - log_volume)

    @property
    def n_dim(self) -> int:
        """p."""
        return len(self.low)

    @property
    def supports(self) -> tuple[tuple[float, float], ...]:
        """The box that holds the image of the theta box."""
        inverse = np.linalg.inv(self.root)
        ends = np.stack([inverse * (self.low - self.centre), inverse * (self.high - self.centre)])
        return tuple(zip(ends.min(axis=0).sum(axis=1).tolist(), ends.max(axis=0).sum(axis=1).tolist(), strict=True))

    def transform(self, unit: FloatArray) -> FloatArray:
        """Cube points (..., p) to phi, by forward substitution."""
        x = self.low + np.asarray(unit, dtype=np.float64) * (self.high - self.low) - self.centre
        out = np.empty(x.shape)
        for i in range(self.n_dim):
            value = x[..., i].copy()
            for j in range(i):
                value -= self.root[i, j] * out[..., j]
            out[..., i] = value / self.root[i, i]
        return out

    def logpdf(self, x: FloatArray) -> FloatArray:
        """Log-density (...,) of phi (..., p)."""
        phi = np.asarray(x, dtype=np.float64)
        inside = np.ones(phi.shape[:-1], dtype=np.bool_)
        for i in range(self.n_dim):
            theta = np.full(phi.shape[:-1], self.centre[i])
            for j in range(i + 1):
                theta = theta + self.root[i, j] * phi[..., j]
            inside &= (theta >= self.low[i]) & (theta <= self.high[i])
        found = np.where(inside, self.log_density, -np.inf)
        return np.asarray(np.where(np.isnan(phi).any(axis=-1), np.nan, found))

    def table(self) -> FloatArray:
        """log_density, low, high, centre, root row by row."""
        return np.concatenate([[self.log_density], self.low, self.high, self.centre, self.root.ravel()])

    def kernels(self) -> tuple[Callable[..., float], Callable[..., float]]:
        """Compiled forms of both."""
        return kernels.transform, kernels.log_density
