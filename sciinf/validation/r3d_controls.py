"""Faults of the likelihood that ranks must find: a covariance too wide, a statistic that is moved, a normal for a t."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.engines.r3d import R3DEffectEngine

__all__ = ["Mistaken", "gaussian", "moved", "wider"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mistaken:
    """Data from the right likelihood, analysed with a wrong one.

    Parameters
    ----------
    right, wrong : R3DEffectEngine
        Of the same shape and levels.
    offset : (d,) float64 array
        Added to every statistic before it is analysed; outcome's unit.
    """

    right: R3DEffectEngine
    wrong: R3DEffectEngine
    offset: FloatArray

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the shape's parameters."""
        return self.right.parameters

    def log_likelihood(self, theta: FloatArray) -> float:
        """The wrong ln L at ``theta`` (n_parameters,)."""
        return self.wrong.log_likelihood(theta)

    def log_likelihood_many(self, thetas: FloatArray) -> FloatArray:
        """The wrong ln L of each row of ``thetas`` (n, n_parameters)."""
        return self.wrong.log_likelihood_many(thetas)

    def compiled(self) -> CompiledLikelihood | None:
        """The wrong kernel."""
        return self.wrong.compiled()

    def default_priors(self) -> PriorSet:
        """Those of the right engine."""
        return self.right.default_priors()

    def simulate(self, theta: FloatArray, rng: np.random.Generator) -> FloatArray:
        """A statistic (d,) drawn from the right law."""
        return self.right.simulate(theta, rng)

    def with_data(self, data: ArrayLike) -> Mistaken:
        """The same fault on another statistic (d,)."""
        moved_data: Any = np.asarray(data, dtype=np.float64) + self.offset
        return replace(self, wrong=self.wrong.with_data(moved_data))

    def fingerprint(self) -> str:
        """sha256 over both likelihoods and the offset."""
        return sha256_of("mistaken", self.right.fingerprint(), self.wrong.fingerprint(), self.offset)


def wider(engine: R3DEffectEngine, factor: float) -> Mistaken:
    """Analysed with ``factor`` times the covariance."""
    return Mistaken(engine, replace(engine, covariance=factor * engine.covariance), np.zeros(len(engine.statistic)))


def moved(engine: R3DEffectEngine, errors: float) -> Mistaken:
    """Every entry of the statistic moved by ``errors`` of its standard errors."""
    return Mistaken(engine, engine, errors * np.sqrt(np.diag(engine.covariance)))


def gaussian(engine: R3DEffectEngine) -> Mistaken:
    """A t taken for a normal."""
    return Mistaken(engine, replace(engine, nu=math.inf), np.zeros(len(engine.statistic)))
