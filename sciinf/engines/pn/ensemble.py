"""Draws of x by emcee, through the package's adapter: a check on the compiled chains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import child_sequence
from sciinf.engines.pn.nodes import panels_of
from sciinf.engines.pn.support import Box, FiniteSet, Integers, Spins

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily
    from sciinf.engines.pn.settings import CumulantSettings

__all__ = ["walked"]

FloatArray = NDArray[np.float64]

_WALKERS = 64


@dataclass(frozen=True, eq=False)
class _DensityOfX:
    """theta.T(x) + log h(x) as a likelihood of x, under a uniform law over the support, or over where the density is not 0 in doubles."""

    family: ExponentialFamily
    theta: FloatArray
    bounds: FloatArray

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(f"x{k + 1}" for k in range(self.family.support.dim))

    def log_likelihood(self, theta: FloatArray) -> float:
        return float(self.log_likelihood_many(np.asarray(theta, dtype=np.float64)[None, :])[0])

    def log_likelihood_many(self, thetas: FloatArray) -> FloatArray:
        inside = self.family.support.contains(thetas)
        out = np.full(len(thetas), -math.inf)
        some = thetas[inside]
        out[inside] = np.sum(self.family.evaluate(some) * self.theta, axis=1) + self.family.log_base_of(some)
        return out

    def default_priors(self) -> PriorSet:
        low, high = self.bounds
        return PriorSet([Parameter(name, Uniform(low[k], high[k])) for k, name in enumerate(self.parameters)])

    def fingerprint(self) -> str:
        return sha256_of("pn.x", repr(self.family.describe()), self.theta, self.bounds)


def walked(family: ExponentialFamily, theta: FloatArray, settings: CumulantSettings) -> FloatArray:
    """At least ``settings.n_draws`` draws of an ensemble behind its first half, (n_walkers, n_steps, dim).

    Raises
    ------
    ConfigError
        If x is discrete.
    """
    from sciinf.samplers.sample import sample
    from sciinf.samplers.settings import Emcee

    if isinstance(family.support, FiniteSet | Integers | Spins):
        raise ConfigError(f"pn: emcee draws no x from {family.support}: take sampler 'numba'")
    engine = _DensityOfX(family, theta, _bounds(family, theta))
    walkers = max(_WALKERS, 2 * family.support.dim)
    kept = -(-settings.n_draws // walkers)
    seed = int(child_sequence(settings.seed, "pn.draws").generate_state(1, np.uint64)[0])
    posterior = sample(
        Problem(engine, engine.default_priors()), Emcee(n_walkers=walkers, n_steps=2 * kept, burn=kept, thin=1), seed=seed, progress=False
    )
    from sciinf.results.diagnostics import chains_of

    return chains_of(posterior, posterior.samples)


def _bounds(family: ExponentialFamily, theta: FloatArray) -> FloatArray:
    if isinstance(family.support, Box) and family.support.dim > 1:
        return np.array([family.support.lower, family.support.upper])

    def log_density(x: FloatArray) -> FloatArray:
        return np.asarray(family.evaluate(x) @ theta + family.log_base_of(x))

    edges = panels_of(family.support, log_density, family.evaluate, family.hints(theta))
    return edges[[0, -1]][:, None]
