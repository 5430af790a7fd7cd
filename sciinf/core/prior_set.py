"""The prior of a whole problem: independent and joint members, in one order, for the cube and for the density."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, PriorError, nearest_names
from sciinf.core.parameter import Parameter
from sciinf.core.priors import Fixed, Prior

__all__ = ["PriorSet"]


class PriorSet:
    """Prior over all parameters of an engine.

    (First form: independent parameters. ``inside`` and ``log_mass`` are where a constraint enters.)
    """

    def __init__(self, members: Iterable[Parameter]) -> None:
        self.members = tuple(members)
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise ConfigError(f"parameter names must differ, got {names}")
        self._free = tuple(member for member in self.members if not member.is_fixed)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sampled parameters, in the order of ``theta``."""
        return tuple(member.name for member in self._free)

    @property
    def fixed(self) -> dict[str, float]:
        """Parameters that are passed to the engine and not sampled."""
        return {member.name: float(member.prior.value) for member in self.members if isinstance(member.prior, Fixed)}

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return len(self._free)

    @property
    def latex(self) -> tuple[str, ...]:
        """LaTeX labels of the sampled parameters, without units and dollar signs."""
        return tuple(member.latex or member.name.replace("_", r"\_") for member in self._free)

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the sampled parameters."""
        return tuple(member.unit for member in self._free)

    @property
    def periodic(self) -> tuple[int, ...]:
        """Indices of the periodic sampled parameters."""
        return tuple(i for i, member in enumerate(self._free) if member.periodic)

    @property
    def supports(self) -> dict[str, tuple[float, float]]:
        """Support of each sampled parameter (marginal, before any constraint)."""
        return {member.name: member.prior.support for member in self._free}

    @property
    def is_constrained(self) -> bool:
        """Whether a declared region cuts the members' product."""
        return False

    @property
    def log_mass(self) -> float:
        """ln of the fraction of the members' product that lies inside the region (0 without one)."""
        return 0.0

    def inside(self, theta: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point lies in the region: () for (n_dim,), (n,) for (n, n_dim)."""
        return np.ones(np.shape(theta)[:-1], dtype=bool)

    def transform(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cube points (n_dim,) or (n, n_dim) to parameters, without the constraint."""
        unit = np.asarray(unit, dtype=np.float64)
        return np.stack([member.prior.ppf(unit[..., i]) for i, member in enumerate(self._free)], axis=-1)

    def log_prior(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """ln prior density, normalised: () for (n_dim,), (n,) for (n, n_dim)."""
        theta = np.asarray(theta, dtype=np.float64)
        total = np.zeros(theta.shape[:-1])
        for i, member in enumerate(self._free):
            total = total + member.prior.logpdf(theta[..., i])
        return total

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """(n, n_dim) independent draws from the prior, inside the region."""
        return self.transform(rng.random((n, self.n_dim)))

    def replace(self, **priors: Prior) -> PriorSet:
        """The same set with other priors for the named parameters."""
        known = {member.name for member in self.members}
        for name in priors:
            if name not in known:
                raise PriorError(f"no parameter '{name}' to replace: {nearest_names(name, known)}")
        return PriorSet(
            Parameter(m.name, priors.get(m.name, m.prior), unit=m.unit, latex=m.latex, periodic=m.periodic) for m in self.members
        )

    def describe(self) -> dict[str, object]:
        """JSON-able description: what the manifest and the fingerprint hold."""
        return {"members": [{"name": m.name, "periodic": m.periodic, "prior": m.prior.describe()} for m in self.members]}
