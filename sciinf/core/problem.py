"""An engine and a prior, guarded: the only thing a sampler sees."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.compiled_problem import CompiledProblem, compile_problem
from sciinf.core.counters import COUNTER_FIELDS, Counts
from sciinf.core.engine import Engine, domain_of, simulator_of
from sciinf.core.errors import ConfigError, LikelihoodError, PriorError, SciinfWarning, nearest_names
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.core.seeding import generator

__all__ = ["Problem"]

_PROBE_TRIES = 100


class Problem:
    """An engine and its prior: names checked both ways, every value guarded.

    Parameters
    ----------
    engine : Engine
        The likelihood.
    priors : PriorSet
        One prior for every engine parameter (`Fixed` for those not sampled).
    on_nan : {"raise", "reject"}
        What a NaN likelihood does: stop with a LikelihoodError, or count as -inf and be reported.
    name : str, optional
        For messages; the engine's class name by default.

    Raises
    ------
    ConfigError
        If a prior names a parameter that the engine does not know, an engine parameter has no prior, nothing is sampled, or
        ``on_nan`` is not one of the two.
    PriorError
        If a prior's support reaches outside the engine's domain.

    Notes
    -----
    ``theta`` here holds the sampled parameters in the order of ``names``; the engine sees its own order with fixed values filled in.
    NaN follows ``on_nan``; +inf, complex numbers and arrays always raise; -inf is allowed and counted. Outside a constrained prior's
    region the likelihood is -inf and the engine is not called. Where a prior's density has a pole (Beta or Gamma with a shape below 1,
    at the end of its support) the log posterior is -inf: a set of measure zero, where a Markov chain would stay for ever.

    Examples
    --------
    >>> from sciinf.core.function_engine import FunctionEngine
    >>> from sciinf.core.parameter import Parameter
    >>> from sciinf.core.priors import Uniform
    >>> engine = FunctionEngine(lambda theta: -0.5 * float(theta @ theta), ["x", "y"], version="1")
    >>> problem = Problem(engine, PriorSet([Parameter("x", Uniform(-5, 5)), Parameter("y", Uniform(-5, 5))]))
    >>> problem.log_likelihood([1.0, 1.0]), problem.counts.calls
    (-1.0, 1)
    """

    def __init__(self, engine: Engine, priors: PriorSet, *, on_nan: Literal["raise", "reject"] = "raise", name: str | None = None) -> None:
        if on_nan not in ("raise", "reject"):
            raise ConfigError(f"on_nan must be 'raise' or 'reject', got {on_nan!r}")
        self.engine = engine
        self.priors = priors
        self.on_nan = on_nan
        self.name = name or type(engine).__name__
        self._check_names()
        self._check_domain()
        fixed = priors.fixed
        order = {sampled: i for i, sampled in enumerate(priors.names)}
        self._template = np.array([fixed.get(item, 0.0) for item in engine.parameters], dtype=np.float64)
        self._to_engine = np.array([i for i, item in enumerate(engine.parameters) if item in order], dtype=np.int64)
        self._from_theta = np.array([order[item] for item in engine.parameters if item in order], dtype=np.int64)
        self._same_order = len(self._from_theta) == len(self._template) and bool(np.all(np.diff(self._from_theta) == 1))
        self._counts = np.zeros(len(COUNTER_FIELDS), dtype=np.int64)
        self._compiled: tuple[Engine, CompiledProblem | str] | None = None

    def _check_names(self) -> None:
        known, given = tuple(self.engine.parameters), (*self.priors.names, *self.priors.fixed)
        for item in given:
            if item not in known:
                raise ConfigError(f"{self.name} has no parameter '{item}': {nearest_names(item, known)}")
        if missing := [item for item in known if item not in given]:
            raise ConfigError(f"{self.name} needs a prior for {', '.join(missing)}. Give each a prior, or Fixed(value)")
        if self.priors.n_dim == 0:
            raise ConfigError(f"{self.name}: every parameter is fixed, so there is nothing to sample. Free at least one")

    def _check_domain(self) -> None:
        domain = domain_of(self.engine)
        if domain is None:
            return
        ranges = {**self.priors.supports, **{item: (value, value) for item, value in self.priors.fixed.items()}}
        for item, (low, high) in domain.items():
            if item not in ranges:
                raise ConfigError(f"{self.name}: the engine declares a domain for '{item}', which has no prior")
            prior_low, prior_high = ranges[item]
            if prior_low < low or prior_high > high:
                raise PriorError(
                    f"{self.name}: the prior of '{item}' reaches over [{prior_low:g}, {prior_high:g}], but the engine is valid on "
                    f"[{low:g}, {high:g}] only. Use Uniform or TruncatedNormal inside that range" + getattr(self.engine, "domain_hint", "")
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sampled parameters, in the order of ``theta``."""
        return self.priors.names

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return self.priors.n_dim

    @property
    def counts(self) -> Counts:
        """Calls, -inf and rejections counted by this object (one process)."""
        return Counts.from_rows(self._counts)

    def count_into(self, row: NDArray[np.int64]) -> None:
        """Count from now on into ``row`` (3,), a row of a shared-memory block that the parent sums."""
        self._counts = row

    def add_counts(self, counts: NDArray[np.int64]) -> None:
        """Add calls, -inf and rejections (3,) that a compiled loop counted by itself."""
        self._counts += counts

    def compiled(self) -> CompiledProblem | str:
        """Likelihood and prior as compiled samplers take them, or what is lacking, as the end of a sentence."""
        if self._compiled is None or self._compiled[0] is not self.engine:
            self._compiled = self.engine, compile_problem(self)
        return self._compiled[1]

    def engine_theta(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sampled points (n_dim,) or (n, n_dim) to the engine's order, fixed values filled in."""
        theta = np.asarray(theta, dtype=np.float64)
        if theta.shape[-1:] != (self.n_dim,):
            raise ConfigError(f"{self.name}: theta must have {self.n_dim} entries ({', '.join(self.names)}), got shape {theta.shape}")
        if self._same_order:
            points = np.ascontiguousarray(theta)
            return points if points.flags.writeable else points.copy()  # a read-only array is another type to a compiled engine
        full = np.empty((*theta.shape[:-1], self._template.size))
        full[...] = self._template
        full[..., self._to_engine] = theta[..., self._from_theta]
        return full

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L at ``theta`` (n_dim,), guarded.

        Raises
        ------
        LikelihoodError
            If the engine gives NaN (with ``on_nan="raise"``), +inf, a complex number, an array, or raises.
        """
        theta = np.asarray(theta, dtype=np.float64)
        if self.priors.is_constrained and not self.priors.inside(theta):
            self._counts[1] += 1
            return -math.inf
        point = self.engine_theta(theta)
        self._counts[0] += 1
        try:
            value = self.engine.log_likelihood(point)
        except LikelihoodError:
            raise
        except Exception as error:
            raise LikelihoodError(self._message(theta, f"raised {type(error).__name__}: {error}")) from error
        if type(value) is float and -math.inf < value < math.inf:
            return value
        return self._judge(theta, value)

    def peek(self, theta: NDArray[np.float64]) -> float:
        """`log_likelihood` without counting the call."""
        saved, self._counts = self._counts, np.zeros_like(self._counts)
        try:
            return self.log_likelihood(theta)
        finally:
            self._counts = saved

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L of each row of ``thetas`` (n, n_dim), as an (n,) array, guarded as `log_likelihood`."""
        thetas = np.atleast_2d(np.asarray(thetas, dtype=np.float64))
        if not self.priors.is_constrained and len(thetas):
            return self._values_of(thetas)
        values = np.full(len(thetas), -np.inf)
        rows = np.flatnonzero(self.priors.inside(thetas))
        self._counts[1] += len(thetas) - len(rows)
        if len(rows):
            values[rows] = self._values_of(thetas[rows])
        return values

    def _values_of(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """The engine's values of all rows of ``thetas`` (n, n_dim), guarded."""
        points = self.engine_theta(thetas)
        self._counts[0] += len(thetas)
        try:
            found = np.asarray(self.engine.log_likelihood_many(points))
        except LikelihoodError:
            raise
        except Exception as error:
            for theta in thetas:
                self.log_likelihood(theta)  # names the row that raises by itself
            raise LikelihoodError(self._message(thetas[0], f"raised {type(error).__name__} (batch of {len(thetas)}): {error}")) from error
        if found.shape != (len(thetas),) or found.dtype.kind != "f":
            raise LikelihoodError(
                f"{self.name}: log_likelihood_many must return {len(thetas)} real numbers, got shape {found.shape}, dtype {found.dtype}"
            )
        values = np.array(found, dtype=np.float64)
        finite = np.isfinite(values)
        if not finite.all():
            for i in np.flatnonzero(~finite):
                values[i] = self._judge(thetas[i], float(values[i]))
        return values

    def _judge(self, theta: NDArray[np.float64], value: Any) -> float:
        """What becomes of a value that is not a finite Python float."""
        if isinstance(value, (complex, np.complexfloating)):
            raise LikelihoodError(self._message(theta, f"gave the complex number {value}"))
        if isinstance(value, np.ndarray) and value.ndim > 0:
            raise LikelihoodError(self._message(theta, f"gave an array of shape {value.shape} instead of one number"))
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise LikelihoodError(self._message(theta, f"gave {value!r} ({type(value).__name__}) instead of one number")) from None
        if number == math.inf:
            raise LikelihoodError(self._message(theta, "gave +inf"))
        if math.isnan(number):
            if self.on_nan == "raise":
                raise LikelihoodError(
                    self._message(theta, "gave NaN") + ". To treat NaN as -inf and count it, use Problem(..., on_nan='reject')"
                )
            self._counts[2] += 1
            return -math.inf
        if number == -math.inf:
            self._counts[1] += 1
        return number

    def _message(self, theta: NDArray[np.float64], what: str) -> str:
        """A message with theta by name, the call's number and one line that repeats it."""
        by_name = ", ".join(f"{item}={float(x)!r}" for item, x in zip(self.names, theta, strict=True))
        repeat = f"problem.log_likelihood({[float(x) for x in theta]!r})"
        return f"{self.name}: the likelihood {what} at {by_name} (call {int(self._counts[0])} of this process). Repeat with: {repeat}"

    def log_prior(self, theta: NDArray[np.float64]) -> float:
        """Ln prior density at ``theta`` (n_dim,)."""
        return float(self.priors.log_prior(np.asarray(theta, dtype=np.float64)))

    def log_prior_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln prior density of each row of ``thetas`` (n, n_dim)."""
        return np.asarray(self.priors.log_prior(np.atleast_2d(np.asarray(thetas, dtype=np.float64))))

    def log_posterior(self, theta: NDArray[np.float64]) -> float:
        """Ln prior + ln L at ``theta``; the engine is not called where the prior is zero or has a pole."""
        prior = self.log_prior(theta)
        return prior + self.log_likelihood(theta) if -math.inf < prior < math.inf else -math.inf

    def log_posterior_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """`log_posterior` of each row of ``thetas`` (n, n_dim)."""
        thetas = np.atleast_2d(np.asarray(thetas, dtype=np.float64))
        values = self.log_prior_many(thetas)
        possible = np.isfinite(values)
        if possible.all():
            return values + self.log_likelihood_many(thetas)
        values[~possible] = -np.inf
        rows = np.flatnonzero(possible)
        if len(rows):
            values[rows] += self.log_likelihood_many(thetas[rows])
        return values

    def prior_transform(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cube point (n_dim,) to parameters."""
        return self.priors.transform(unit)

    def probe(self, seed: int, n_points: int = 3) -> tuple[str, ...]:
        """Names of sampled parameters that never change the likelihood at ``n_points`` prior points; warns about them.

        Costs n_points (1 + n_dim) calls at most; they are not counted.
        """
        rng, saved = generator(seed, "probe"), self._counts
        self._counts = np.zeros_like(saved)
        idle = set(self.names)
        try:
            found = 0
            for _ in range(_PROBE_TRIES):
                if found == n_points or not idle:
                    break
                here, other = self.priors.sample(rng, 2)
                value = self.log_likelihood(here)
                if value == -math.inf:
                    continue
                found += 1
                for i, item in enumerate(self.names):
                    if item in idle:
                        moved = here.copy()
                        moved[i] = other[i]
                        if self.log_likelihood(moved) != value:
                            idle.discard(item)
        finally:
            self._counts = saved
        names = tuple(item for item in self.names if item in idle) if found else ()
        if names:
            warnings.warn(
                f"{self.name}: {', '.join(names)} never changed the likelihood at {found} prior points: its posterior will be the prior",
                SciinfWarning,
                stacklevel=2,
            )
        return names

    @property
    def can_simulate(self) -> bool:
        """Whether the engine brings a simulator."""
        return simulator_of(self.engine) is not None

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> Problem:
        """The same problem with data drawn at ``theta`` (n_dim,).

        Raises
        ------
        ConfigError
            If the engine has no simulator.
        """
        simulator = simulator_of(self.engine)
        if simulator is None:
            raise ConfigError(f"{self.name}: the engine cannot simulate data. Give it `simulate` and `with_data`")
        data = simulator.simulate(self.engine_theta(theta), rng)
        return Problem(simulator.with_data(data), self.priors, on_nan=self.on_nan, name=self.name)

    def fingerprint(self) -> str:
        """sha256 over the engine's fingerprint, the priors and the NaN policy."""
        return sha256_of("problem", self.engine.fingerprint(), list(self.engine.parameters), self.priors.describe(), self.on_nan)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_counts": np.zeros(len(COUNTER_FIELDS), dtype=np.int64), "_compiled": None}

    def __repr__(self) -> str:
        return f"Problem({self.name}, {', '.join(self.names)})"
