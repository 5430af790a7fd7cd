"""The prior of a whole problem: independent, joint and conditional members, in one order, for the cube and for the density."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.conditional import ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError, nearest_names
from sciinf.core.joint_priors import Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Fixed, Prior
from sciinf.core.prior_blocks import blocks_of
from sciinf.core.region import Region, estimated_fraction
from sciinf.core.seeding import generator

if TYPE_CHECKING:
    from sciinf.core.compiled_priors import CompiledPrior

__all__ = ["PriorSet", "constrained"]

Array = NDArray[np.float64]

_MASS_SEED = 20180717  # of the one estimate of a region's mass: part of its definition
_MASS_TOLERANCE = 0.005  # standard error of ln mass at which the estimate stops
_MASS_BATCH = 4096
_MASS_DRAWS = 1_000_000
_LEAST_ACCEPTANCE = 1e-6


class PriorSet:
    """Prior over all parameters of an engine.

    Parameters
    ----------
    members : iterable of Parameter or Joint
        In the order of ``theta``; a `Fixed` member is passed to the engine and not sampled. A `ConditionalPrior` reads members before
        it.

    Raises
    ------
    ConfigError
        If two names are equal or a member is neither.
    PriorError
        If a conditional prior reads a parameter that does not come before it.

    Notes
    -----
    ``transform`` maps cube points to draws, ``log_prior`` is the density of the same prior: nested samplers use the first, MCMC the
    second. Both take (n_dim,) or (n, n_dim), and a row's bytes do not depend on its neighbours. With a region (see `constrained`)
    ``transform`` stays that of the uncut prior, and ``log_prior`` is normalised over the region.

    Examples
    --------
    >>> from sciinf.core.priors import Normal, Uniform
    >>> priors = PriorSet([Parameter("amplitude", Uniform(0.0, 2.0)), Parameter("tau", Fixed(0.06)), Parameter("slope", Normal(0.0, 1.0))])
    >>> priors.names, priors.fixed
    (('amplitude', 'slope'), {'tau': 0.06})
    >>> priors.transform(np.array([0.25, 0.5])).tolist()
    [0.5, 0.0]
    >>> priors.replace(tau=Normal(0.06, 0.01)).n_dim
    3
    """

    def __init__(self, members: Iterable[Parameter | Joint]) -> None:
        self.members = tuple(members)
        for member in self.members:
            if not isinstance(member, (Parameter, Joint)):
                raise ConfigError(f"a PriorSet holds Parameter and Joint members, got {type(member).__name__}")
        every = [name for member in self.members for name in _names_of(member)]
        if len(set(every)) != len(every):
            twice = sorted({name for name in every if every.count(name) > 1})
            raise ConfigError(f"parameter names must differ, got {', '.join(twice)} more than once in {every}")
        self._free = tuple(member for member in self.members if isinstance(member, Joint) or not member.is_fixed)
        self._regions: tuple[Region, ...] = ()
        self._masses: tuple[tuple[float, float], ...] = ()  # ln of each region's share of what those before it leave, and its error
        self._names = tuple(name for member in self._free for name in _names_of(member))
        self._blocks = blocks_of(self.members, self.fixed)
        self._compiled: CompiledPrior | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sampled parameters, in the order of ``theta``."""
        return self._names

    @property
    def fixed(self) -> dict[str, float]:
        """Parameters that are passed to the engine and not sampled."""
        return {m.name: m.prior.value for m in self.members if isinstance(m, Parameter) and isinstance(m.prior, Fixed)}

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return len(self._names)

    @property
    def latex(self) -> tuple[str, ...]:
        """LaTeX labels of the sampled parameters, without units and dollar signs."""
        given = [text for member in self._free for text in (member.latex if isinstance(member, Joint) else (member.latex,))]
        return tuple(text or name.replace("_", r"\_") for name, text in zip(self._names, given, strict=True))

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the sampled parameters."""
        return tuple(text for member in self._free for text in (member.units if isinstance(member, Joint) else (member.unit,)))

    @property
    def periodic(self) -> tuple[int, ...]:
        """Indices of the periodic sampled parameters."""
        flags = [flag for m in self._free for flag in ([False] * len(m.names) if isinstance(m, Joint) else [m.periodic])]
        return tuple(i for i, flag in enumerate(flags) if flag)

    @property
    def supports(self) -> dict[str, tuple[float, float]]:
        """Support of each sampled parameter (marginal, before any region; outer bounds for a conditional one)."""
        result: dict[str, tuple[float, float]] = {}
        fixed = {name: (value, value) for name, value in self.fixed.items()}
        for member in self._free:
            if isinstance(member, Joint):
                result.update(zip(member.names, member.prior.supports, strict=True))
            elif isinstance(member.prior, ConditionalPrior):
                result[member.name] = member.prior.support_within({**fixed, **result})
            else:
                result[member.name] = member.prior.support
        return result

    @property
    def is_constrained(self) -> bool:
        """Whether a declared region cuts the members' product."""
        return bool(self._regions)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The declared regions, in the order of their declaration."""
        return self._regions

    @property
    def log_mass(self) -> float:
        """Logarithm of the fraction of the members' product that lies inside every region (0 without one)."""
        return sum(share for share, _ in self._shares())

    @property
    def log_mass_error(self) -> float:
        """Standard error of ``log_mass`` where it was estimated, else 0."""
        return math.hypot(*(error for _, error in self._shares()))

    def _shares(self) -> tuple[tuple[float, float], ...]:
        """ln of each region's share and its error; estimated when first asked for, since many a set is only replaced."""
        for i in range(len(self._masses), len(self._regions)):
            region = self._regions[i]
            if region.mass is not None:
                share = math.log(region.mass), 0.0
            else:
                share = estimated_fraction(_draws_of(self._within(i), region), _MASS_TOLERANCE, _MASS_DRAWS)[:2]
            self._masses = (*self._masses, share)
        return self._masses

    def _within(self, n: int) -> PriorSet:
        """The same members inside the first ``n`` regions only."""
        result = PriorSet(self.members)
        result._regions, result._masses = self._regions[:n], self._masses[:n]
        return result

    def inside(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Whether each point lies in every region: () for (n_dim,), (n,) for (n, n_dim)."""
        theta = self._points(theta)
        result = np.ones(theta.shape[:-1], dtype=bool)
        for region in self._regions:
            result = result & region.inside(theta, self._names, self.fixed)
        return result

    def transform(self, unit: ArrayLike) -> Array:
        """Cube points (n_dim,) or (n, n_dim) to parameters, without the region; NaN for entries outside [0, 1].

        Raises
        ------
        PriorError
            If a conditional prior's numbers define no density at the earlier parameters' values.
        """
        unit = self._points(unit)
        theta = np.empty(unit.shape)
        with np.errstate(all="ignore"):
            for block in self._blocks:
                block.fill(unit, theta)
            if not np.all((unit >= 0.0) & (unit <= 1.0)):
                theta[~((unit >= 0.0) & (unit <= 1.0))] = np.nan
        return theta

    def log_prior(self, theta: ArrayLike) -> Array:
        """Log of the prior density, normalised: () for (n_dim,), (n,) for (n, n_dim); -inf outside, NaN where an entry is NaN."""
        theta = self._points(theta)
        terms = np.empty(theta.shape)
        with np.errstate(all="ignore"):
            for block in self._blocks:
                block.terms(theta, terms)
            total = np.asarray(terms.sum(axis=-1))
        if not self._regions:
            return total
        rows = total > -np.inf
        allowed = np.zeros(rows.shape, dtype=bool)
        allowed[rows] = self.inside(theta[rows])
        return np.where(allowed | np.isnan(total), total - self.log_mass, -np.inf)

    def _points(self, values: ArrayLike) -> Array:
        points = np.asarray(values, dtype=np.float64)
        if points.shape[-1:] != (self.n_dim,):
            raise ConfigError(f"points must have {self.n_dim} entries ({', '.join(self._names)}), got shape {points.shape}")
        return points

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, n_dim) independent draws from the prior, inside the region (by rejection).

        Raises
        ------
        PriorError
            If fewer than one draw in a million lies inside the region.
        """
        if not self._regions:
            return self.transform(rng.random((n, self.n_dim)))
        found, kept, tried = 0, list[Array](), 0
        share = max(math.exp(self.log_mass), _LEAST_ACCEPTANCE)
        while found < n:
            size = min(int(1.2 * (n - found) / share) + 16, _MASS_DRAWS)
            draws = self.transform(rng.random((size, self.n_dim)))
            draws = draws[self.inside(draws)]
            kept.append(draws)
            found, tried = found + len(draws), tried + size
            if tried > 10 / _LEAST_ACCEPTANCE and found < _LEAST_ACCEPTANCE * tried:
                raise PriorError(
                    f"region {self._region_names()}: {found} of {tried} prior draws lie inside. Choose priors nearer to the region"
                )
        return np.concatenate(kept)[:n]

    def _region_names(self) -> str:
        return ", ".join(f"'{region.name}'" for region in self._regions)

    def replace(self, **priors: Prior | ConditionalPrior) -> PriorSet:
        """The same set with other priors for the named parameters.

        Members of a joint prior can be replaced all together only; they then become independent. Regions stay, and their mass is
        estimated anew.

        Raises
        ------
        PriorError
            If a name is unknown, a joint prior's members are replaced in part, or a region that reads ``theta`` by position would see
            other positions.

        Examples
        --------
        >>> from sciinf.core.priors import Normal, Uniform
        >>> PriorSet([Parameter("tau", Uniform(0.0, 1.0))]).replace(tua=Normal(0.06, 0.01))
        Traceback (most recent call last):
        sciinf.core.errors.PriorError: no parameter 'tua' to replace: did you mean 'tau'? Allowed: tau
        """
        known = [name for member in self.members for name in _names_of(member)]
        for name in priors:
            if name not in known:
                raise PriorError(f"no parameter '{name}' to replace: {nearest_names(name, known)}")
        result = PriorSet([new for member in self.members for new in _replaced(member, priors)])
        for region in self._regions:
            if region.takes_vector and result.names != self.names:
                raise PriorError(
                    f"region '{region.name}' reads theta by position, and the sampled parameters would change from "
                    f"{', '.join(self.names)} to {', '.join(result.names)}. Name the predicate's arguments after parameters"
                )
            result = constrained(result, region.name, region.predicate, region.version)
        return result

    def compiled(self) -> CompiledPrior | None:
        """Kernels of ``transform`` and ``log_prior`` with their numbers packed, or None where a member or region has no compiled form."""
        if self._compiled is None:
            from sciinf.core.compiled_priors import compile_priors

            self._compiled = compile_priors(self)
        return self._compiled

    def describe(self) -> dict[str, object]:
        """JSON-able description: what the manifest and the fingerprint hold."""
        members: list[dict[str, object]] = []
        for m in self.members:
            if isinstance(m, Joint):
                members.append({"names": list(m.names), "prior": m.prior.describe()})
            else:
                members.append({"name": m.name, "periodic": m.periodic, "prior": m.prior.describe()})
        return {"members": members, "regions": [region.describe() for region in self._regions]}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_masses": self._shares(), "_compiled": None}

    def __repr__(self) -> str:
        region = f", inside {self._region_names()}" if self._regions else ""
        return f"PriorSet({', '.join(self._names)}{region})"


def _names_of(member: Parameter | Joint) -> tuple[str, ...]:
    return tuple(member.names) if isinstance(member, Joint) else (member.name,)


def _replaced(member: Parameter | Joint, priors: dict[str, Prior | ConditionalPrior]) -> list[Parameter | Joint]:
    """The member with the priors that are meant for it."""
    names = _names_of(member)
    wanted = [name for name in names if name in priors]
    if not wanted:
        return [member]
    if isinstance(member, Parameter):
        return [Parameter(member.name, priors[member.name], unit=member.unit, latex=member.latex, periodic=member.periodic)]
    if len(wanted) < len(names):
        raise PriorError(
            f"{', '.join(wanted)}: one member of a joint prior cannot be replaced alone. {type(member.prior).__name__} holds "
            f"{', '.join(names)}: give a prior for each of them"
        )
    labels = zip(names, member.units, member.latex, strict=True)
    return [Parameter(name, priors[name], unit=unit, latex=latex) for name, unit, latex in labels]


def constrained(prior_set: PriorSet, name: str, predicate: Callable[..., Any], version: str | int, mass: float | None = None) -> PriorSet:
    """The prior restricted to the region where ``predicate`` is true, normalised there.

    Parameters
    ----------
    prior_set : PriorSet
        The prior to restrict; one that is restricted already is restricted further.
    name : str
        Of the region, for messages and the fingerprint.
    predicate : function of a module
        Its argument names say what it gets: parameters by name (sampled or fixed), as floats, one point at a time, giving a boolean
        (marked by `sciinf.core.region.of_arrays`, also as arrays, a batch at a time, giving booleans);
        or the one argument ``theta``, an array (..., n_dim) of the sampled parameters, giving booleans (...). Where the predicate is
        compiled with numba (then ``theta`` is one point), the set keeps its compiled form.
    version : str or int
        Change it when the predicate changes: the fingerprint holds its name and version.
    mass : float, optional
        Fraction of ``prior_set`` inside the region. Where it is left out it is estimated once, from a fixed stream of prior draws, when
        it is first needed.

    Returns
    -------
    PriorSet
        Its ``transform`` is that of ``prior_set`` (draw initial points inside with ``sample``); ``log_prior`` is -inf outside and
        higher by -``log_mass`` inside.

    Raises
    ------
    PriorError
        If the predicate is a lambda or closure, its arguments are not parameters, no draw lies inside, or the mass given disagrees
        with 4,096 draws by more than six standard errors.

    Notes
    -----
    A nested sampler that gets its first live points inside the region and -inf outside it has the region as its prior: its evidence
    does not use the mass, which enters ``log_prior`` only. The estimate stops at a standard error of 0.005 in ln mass, or at a million
    draws.

    Examples
    --------
    >>> from sciinf.core.priors import Uniform
    >>> def above_the_diagonal(x, y):
    ...     return y > x
    >>> square = PriorSet([Parameter("x", Uniform(0.0, 1.0)), Parameter("y", Uniform(0.0, 1.0))])
    >>> triangle = constrained(square, "triangle", above_the_diagonal, version=1, mass=0.5)
    >>> triangle.log_prior([[0.2, 0.4], [0.4, 0.2]]).tolist()
    [0.6931471805599453, -inf]
    """
    region = Region(name, predicate, version, mass)
    region.check_arguments((*prior_set.names, *prior_set.fixed))

    draw = _draws_of(prior_set, region)
    if mass is None:
        some, _, drawn = estimated_fraction(draw, math.inf, _MASS_DRAWS)
        if some == -math.inf:
            raise PriorError(f"region '{name}': none of {drawn} prior draws lies inside. Choose priors nearer to the region")
    else:
        drawn, found = draw(0)
        if abs(found / drawn - mass) > 6.0 * math.sqrt(max(mass * (1.0 - mass), 1.0 / drawn) / drawn):
            raise PriorError(
                f"region '{name}': mass={mass:g} was given, but {found} of {drawn} prior draws lie inside ({found / drawn:.4f})"
            )
    result = PriorSet(prior_set.members)
    result._regions, result._masses = (*prior_set.regions, region), prior_set._masses
    return result


def _draws_of(prior_set: PriorSet, region: Region) -> Callable[[int], tuple[int, int]]:
    """Batches of draws from ``prior_set``, always the same: how many, and how many of them lie in the region."""

    def draw(batch: int) -> tuple[int, int]:
        points = prior_set.sample(generator(_MASS_SEED, f"mass/{region.name}/{batch}"), _MASS_BATCH)
        return _MASS_BATCH, int(np.count_nonzero(region.inside(points, prior_set.names, prior_set.fixed)))

    return draw
