"""A family in other statistics: T becomes M T + c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import Contractions, ModelMoments

__all__ = ["AffineFamily"]

FloatArray = NDArray[np.float64]

_SINGULAR = 1e-14  # reciprocal condition number of M


class AffineFamily(ExponentialFamily):
    """The laws of a family in the statistics M T + c, whose theta is that of the family times the inverse of M'.

    Parameters
    ----------
    family : ExponentialFamily
    M : (p, p) float64 array
        Invertible.
    c : (p,) float64 array

    Raises
    ------
    ConfigError
        If M is singular, or shapes do not fit.
    """

    def __init__(self, family: ExponentialFamily, M: ArrayLike, c: ArrayLike) -> None:
        p = family.p
        turn, shift = finite_array("affine: M", M, shape=(p, p)).copy(), finite_array("affine: c", c, shape=(p,)).copy()
        if not 1.0 / np.linalg.cond(turn) > _SINGULAR:
            raise ConfigError(f"affine: M must be invertible, got rank {np.linalg.matrix_rank(turn)} of {p}")
        for name, value in (
            ("statistics", family.statistics), ("log_base", family.log_base), ("n_statistics", p), ("support", family.support),
            ("names", tuple(f"theta_{i + 1}" for i in range(p))), ("family", family), ("turn", turn), ("shift", shift),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    family: ExponentialFamily
    turn: FloatArray
    shift: FloatArray

    def inner(self, theta: FloatArray) -> FloatArray:
        """Theta of the family for one of this."""
        return np.asarray(self.turn.T @ theta)

    def _outer(self, theta: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.solve(self.turn.T, theta))

    def _back(self, statistics: FloatArray) -> FloatArray:
        """T (n, p) of rows M T + c."""
        return np.asarray(np.linalg.solve(self.turn, (statistics - self.shift).T).T)

    def evaluate(self, x: FloatArray) -> FloatArray:
        """M T + c."""
        return np.asarray(self.family.evaluate(x) @ self.turn.T + self.shift)

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """As of the family."""
        return self.family.log_base_of(x)

    @property
    def simulates_itself(self) -> bool:
        """As of the family."""
        return self.family.simulates_itself

    def compiled_density(self, theta: FloatArray) -> tuple[Any, Any, FloatArray]:
        """That of the family: the shift changes the normaliser alone."""
        return self.family.compiled_density(self.inner(theta))

    def hints(self, theta: FloatArray) -> FloatArray | None:
        """As of the family."""
        return self.family.hints(self.inner(theta))

    def boundary(self, theta: FloatArray) -> str | None:
        """As of the family."""
        wrong = self.family.boundary(self.inner(theta))
        return None if wrong is None else f"in the family before the affine map, {wrong}"

    def log_partition(self, theta: ArrayLike) -> float:
        """psi of the family, and theta.c."""
        values = self.check_theta(theta)
        return self.family.log_partition(self.inner(values)) + float(values @ self.shift)

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """From the family's."""
        psi, mean, fisher = self.family.state(self.inner(theta))
        return psi + float(theta @ self.shift), self.turn @ mean + self.shift, self.turn @ fisher @ self.turn.T

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """The family's, of statistics mapped back."""
        moments = self.family.closed_moments(self.inner(theta))
        return None if moments is None else _MappedBack(self, moments)

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """As of the family."""
        self.family.check_exists(self._back(statistics), share)

    def fit_statistics(self, statistics: FloatArray, share: FloatArray, near: FloatArray | None = None) -> FloatArray:
        """The family's estimate, mapped."""
        return self._outer(self.family.fit_statistics(self._back(statistics), share, None if near is None else self.inner(near)))

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """The family's theta, mapped."""
        target = finite_array("eta", np.asarray(eta), shape=(self.p,))
        return self._outer(self.family.fit_mean(self._back(target[None, :])[0], None if near is None else self.inner(near)))

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """As of the family."""
        return self.family.simulate(self.inner(self.check_theta(theta)), n, rng)

    def describe(self) -> tuple[Any, ...]:
        """What identifies the family, for hashes."""
        return "affine", self.family.describe(), self.turn.tobytes(), self.shift.tobytes()


@dataclass(frozen=True, eq=False)
class _MappedBack:
    """Moments of the family before the map: all but G is the same in both."""

    owner: AffineFamily
    moments: ModelMoments

    @property
    def fisher(self) -> FloatArray:
        """G (p, p)."""
        return np.asarray(self.owner.turn @ self.moments.fisher @ self.owner.turn.T)

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """See `ModelMoments`."""
        return self.moments.contract(None if statistics is None else self.owner._back(statistics), weights)

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """See `ModelMoments`."""
        return self.moments.shares(self.owner._back(statistics), weights)
