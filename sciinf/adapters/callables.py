"""A problem as plain functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem

__all__ = ["Callables", "as_callables", "theta_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Callables:
    """What a sampler that takes functions needs of a `Problem`.

    Parameters
    ----------
    problem : Problem
        Its guard stays in force: NaN follows ``on_nan``, +inf raises, -inf is allowed.

    Notes
    -----
    An array that is handed in is copied before the engine or a prior sees it, so it is never changed. Values are those of the problem,
    to the bit. Picklable where the problem is.
    """

    problem: Problem

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sampled parameters, in the order of ``theta``."""
        return self.problem.names

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return self.problem.n_dim

    @property
    def periodic(self) -> tuple[int, ...]:
        """Indices of the parameters whose two ends of the prior are the same point."""
        return self.problem.priors.periodic

    def log_likelihood(self, theta: ArrayLike) -> float:
        """Ln L at ``theta`` (n_dim,)."""
        return self.problem.log_likelihood(_own(theta))

    def log_likelihood_many(self, thetas: ArrayLike) -> Array:
        """Ln L (n,) of each row of ``thetas`` (n, n_dim)."""
        return self.problem.log_likelihood_many(_own(thetas))

    def log_prior(self, theta: ArrayLike) -> float:
        """Ln of the normalised prior density at ``theta`` (n_dim,); -inf outside."""
        return self.problem.log_prior(_own(theta))

    def log_posterior(self, theta: ArrayLike) -> float:
        """Ln prior + ln L at ``theta`` (n_dim,); the engine is not called where the prior is zero."""
        return self.problem.log_posterior(_own(theta))

    def log_posterior_many(self, thetas: ArrayLike) -> Array:
        """`log_posterior` (n,) of each row of ``thetas`` (n, n_dim)."""
        return self.problem.log_posterior_many(_own(thetas))

    def prior_transform(self, unit: ArrayLike) -> Array:
        """Cube point (n_dim,) to a new array of parameters (n_dim,)."""
        return self.problem.prior_transform(_own(unit))

    def prior_transform_many(self, units: ArrayLike) -> Array:
        """Cube points (n, n_dim) to a new array of parameters (n, n_dim)."""
        return self.problem.prior_transform(np.atleast_2d(_own(units)))


def _own(values: ArrayLike) -> Array:
    """A writable contiguous float64 copy."""
    return np.array(values, dtype=np.float64, order="C")


def as_callables(problem: Problem) -> Callables:
    """A problem as plain functions: what nautilus, UltraNest, dynesty, emcee, zeus and scipy take.

    Parameters
    ----------
    problem : Problem
        The likelihood and its prior.

    Returns
    -------
    Callables
        ``log_likelihood(theta)``, ``log_prior(theta)``, ``log_posterior(theta)`` and ``prior_transform(unit)`` of (n_dim,) arrays,
        their batched forms ``..._many`` of (n, n_dim) arrays, ``names``, ``n_dim`` and the indices ``periodic``.

    Notes
    -----
    With a prior restricted by `constrained`, ``prior_transform`` is that of the uncut prior and ln L is -inf outside the region. The
    evidence of a nested sampler that starts from the cube then refers to the uncut prior: subtract ``problem.priors.log_mass`` from
    ln Z. ``log_prior`` is normalised over the region.

    Examples
    --------
    >>> from sciinf.calibration.analytic import gauss3
    >>> functions = as_callables(gauss3().problem)
    >>> functions.names, functions.periodic
    (('x0', 'x1', 'x2'), ())
    >>> functions.prior_transform([0.5, 0.5, 0.75]).tolist()
    [0.0, 0.0, 5.0]
    >>> functions.log_prior([0.0, 0.0, 0.0])
    -8.987196820661973
    """
    return Callables(problem)


def theta_of(problem: Problem, values: Mapping[str, float]) -> Array:
    """Sampled parameters (n_dim,) from values by name.

    Raises
    ------
    ConfigError
        If a sampled parameter is missing, or a fixed one has another value than the problem holds.
    """
    if missing := [name for name in problem.names if name not in values]:
        raise ConfigError(f"{problem.name}: no value for {', '.join(missing)}; got {', '.join(values) or 'none'}")
    for name, value in problem.priors.fixed.items():
        if name in values and float(values[name]) != value:
            raise ConfigError(
                f"{problem.name}: '{name}' is fixed at {value!r} in the problem, got {float(values[name])!r}. Build the problem with the "
                f"other value: priors.replace({name}=Fixed({float(values[name])!r}))"
            )
    return np.array([values[name] for name in problem.names], dtype=np.float64)
