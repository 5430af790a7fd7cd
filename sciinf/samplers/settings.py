"""What to run: frozen settings of each sampler, checked when made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, nearest_names, shown

__all__ = ["SETTINGS", "Dynesty", "Emcee", "Settings", "check_integer", "check_positive", "plain_value", "settings_from"]

_BOUNDS = ("none", "single", "multi", "balls", "cubes")
_PROPOSALS = ("rwalk", "slice", "rslice", "unif")
_MOVES = ("stretch", "de", "mix")
_LEAST_WALKS = 100
_DYNAMIC_ESS = 10_000  # dynesty's own


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        near = nearest_names(value if isinstance(value, str) else "", allowed)
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}: {near}")


def check_integer(name: str, value: Any, least: int, most: int = 2**63 - 1) -> None:
    """Refuse what is not an integer from ``least`` to ``most``.

    Raises
    ------
    ConfigError
        With ``name``, the limit and the value.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))
    if not whole or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}, got {shown(value)}")
    if value > most:
        raise ConfigError(f"{name} must be an integer of at most {most}, got {shown(value)}")


def check_positive(name: str, value: Any) -> None:
    """Refuse what is not a positive finite number.

    Raises
    ------
    ConfigError
        With ``name`` and the value.
    """
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.timedelta64))
    try:
        number = float(value) if real else math.nan
    except OverflowError:  # an integer beyond the largest float64
        number = math.inf
    if not 0.0 < number < math.inf:
        raise ConfigError(f"{name} must be a positive finite number, got {shown(value)}")


def plain_value(value: Any) -> Any:
    """A setting as JSON holds it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.floating):  # a long double's item() is no float
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, eq=False)
class Dynesty:
    """Nested sampling by dynesty: evidence and posterior.

    Parameters
    ----------
    n_live : int
        Live points; the evidence error falls as its square root.
    dynamic : bool
        After a static run, add live points where the posterior gains most (dynesty's dynamic sampler with its own stopping rule).
    bound : {"multi", "single", "none", "balls", "cubes"}
        What encloses the live points.
    proposal : {"rwalk", "slice", "rslice", "unif"}
        How a new point is found inside the likelihood constraint.
    walks : int, optional
        Steps of a random walk (``rwalk`` only). By default 100, or n_dim + 20 where larger: shorter walks are biased on funnels.
    slices : int, optional
        Slices per new point (``slice`` and ``rslice`` only); dynesty's default where not given (3, or 3 + n_dim).
    dlogz : float
        Stop when the live points could add no more than this to ln Z.
    n_effective : int, optional
        Effective posterior samples at which a dynamic run stops adding batches (``dynamic`` only). By default 10,000, or n_dim^2 where
        larger, as dynesty has it.
    queue_size : int
        New points proposed together. It is part of the result: fixed here, whatever the number of workers.
    engine : {"auto", "dynesty", "compiled"}
        What runs: dynesty as it is; compiled code for engines and priors with a compiled form (static runs with bounds "none", "single"
        and "multi" whole, otherwise dynesty's loop with compiled proposals; not "unif"); or "auto": compiled where it can. The compiled
        loop is dynesty's algorithm with draws of its own: the same results within their errors, not to the bit.

    Raises
    ------
    ConfigError
        If a value is not allowed, or ``walks``, ``slices`` or ``n_effective`` is given where nothing uses it.

    Examples
    --------
    >>> Dynesty(n_live=200).describe()["queue_size"]
    8
    """

    n_live: int = 500
    dynamic: bool = False
    bound: Literal["none", "single", "multi", "balls", "cubes"] = "multi"
    proposal: Literal["rwalk", "slice", "rslice", "unif"] = "rwalk"
    walks: int | None = None
    slices: int | None = None
    dlogz: float = 0.01
    n_effective: int | None = None
    queue_size: int = 8
    engine: Literal["auto", "dynesty", "compiled"] = "auto"

    kind: ClassVar[str] = "dynesty"

    def __post_init__(self) -> None:
        check_integer("Dynesty: n_live", self.n_live, 10)
        check_integer("Dynesty: queue_size", self.queue_size, 1)
        check_positive("Dynesty: dlogz", self.dlogz)
        _one_of("Dynesty: bound", self.bound, _BOUNDS)
        _one_of("Dynesty: proposal", self.proposal, _PROPOSALS)
        if not isinstance(self.dynamic, (bool, np.bool_)):
            raise ConfigError(f"Dynesty: dynamic must be True or False, got {shown(self.dynamic)}")
        if self.n_effective is not None:
            check_integer("Dynesty: n_effective", self.n_effective, 1)
            if not self.dynamic:
                raise ConfigError("Dynesty: n_effective is for dynamic=True; a static run stops by dlogz. Leave it out, or raise n_live")
        for name, users in (("walks", ("rwalk",)), ("slices", ("slice", "rslice"))):
            value = getattr(self, name)
            if value is None:
                continue
            check_integer(f"Dynesty: {name}", value, 2 if name == "walks" else 1)
            if self.proposal not in users:
                raise ConfigError(f"Dynesty: {name} is for proposal {' or '.join(map(repr, users))}, not {self.proposal!r}. Leave it out")
        _one_of("Dynesty: engine", self.engine, ("auto", "dynesty", "compiled"))

    def walks_for(self, n_dim: int) -> int:
        """Steps of a random walk in ``n_dim`` dimensions."""
        return self.walks if self.walks is not None else max(_LEAST_WALKS, n_dim + 20)

    def steps_for(self, n_dim: int) -> int:
        """Steps of a random walk, or slices per new point as dynesty has them."""
        if self.proposal == "rwalk":
            return self.walks_for(n_dim)
        return self.slices if self.slices is not None else (3 if self.proposal == "slice" else 3 + n_dim)

    def wrapped(self, periodic: Sequence[int], n_dim: int) -> tuple[int, ...]:
        """Which of the ``periodic`` parameters are wrapped: only random walks wrap them rightly, and dynesty needs one that is bounded."""
        if self.proposal != "rwalk":
            return ()
        return tuple(periodic[1:] if len(periodic) == n_dim else periodic)

    def n_effective_for(self, n_dim: int) -> int:
        """Effective samples at which a dynamic run in ``n_dim`` dimensions stops."""
        return self.n_effective if self.n_effective is not None else max(_DYNAMIC_ESS, n_dim * n_dim)

    def describe(self) -> dict[str, Any]:
        """JSON-able settings, ``kind`` first."""
        return {"kind": self.kind, **{item.name: plain_value(getattr(self, item.name)) for item in fields(self)}}


@dataclass(frozen=True, eq=False)
class Emcee:
    """Ensemble MCMC by emcee: posterior without evidence.

    Parameters
    ----------
    n_walkers : int
        Walkers of the ensemble; even, and at least twice the number of parameters.
    n_steps : int, optional
        Number of steps. None: run until converged (see Notes).
    max_steps : int
        Where a run that should converge gives up (status "not_converged").
    moves : {"stretch", "de", "mix"}
        Affine-invariant stretch; differential evolution; or "mix": 80 % differential evolution and 20 % snooker, as emcee's
        documentation recommends for awkward shapes.
    tau_multiple : float
        Converged when the chain behind the burn-in is longer than this many autocorrelation times ...
    rtol_tau : float
        ... and the last autocorrelation time's worth of steps changed the estimate of it by less than this fraction.
    burn, thin : "auto" or int
        Steps dropped at the start, and every how many steps one is kept. "auto": 5 times the longest autocorrelation time, and half
        of the shortest.
    start : "prior", "optimum" or (n_walkers, n_dim) array
        Where walkers start: draws from the prior, a Gaussian ball of the posterior's curvature around its maximum, or given points.
    engine : {"auto", "emcee", "compiled"}
        Who steps the walkers: emcee itself, a compiled loop that makes the same chain ("stretch" and "de" only, for engines and
        priors with a compiled form), or "auto": compiled where it can.

    Raises
    ------
    ConfigError
        If a value is not allowed.

    Notes
    -----
    Walkers of one ensemble are not independent: convergence is judged by N / tau and the effective sample size
    n_walkers N / tau (at least 1,000), never by R-hat over walkers.

    Examples
    --------
    >>> Emcee(n_walkers=32).describe()["moves"]
    'stretch'
    """

    n_walkers: int = 64
    n_steps: int | None = None
    max_steps: int = 100_000
    moves: Literal["stretch", "de", "mix"] = "stretch"
    tau_multiple: float = 50.0
    rtol_tau: float = 0.01
    burn: int | Literal["auto"] = "auto"
    thin: int | Literal["auto"] = "auto"
    start: Literal["prior", "optimum"] | NDArray[np.float64] = "prior"
    engine: Literal["auto", "emcee", "compiled"] = "auto"

    kind: ClassVar[str] = "emcee"

    def __post_init__(self) -> None:
        check_integer("Emcee: n_walkers", self.n_walkers, 4)
        if self.n_walkers % 2:
            raise ConfigError(f"Emcee: n_walkers must be even (the ensemble moves in two halves), got {self.n_walkers}")
        if self.n_steps is not None:
            check_integer("Emcee: n_steps", self.n_steps, 1)
        check_integer("Emcee: max_steps", self.max_steps, 1)
        _one_of("Emcee: moves", self.moves, _MOVES)
        check_positive("Emcee: tau_multiple", self.tau_multiple)
        check_positive("Emcee: rtol_tau", self.rtol_tau)
        for name, least in (("burn", 0), ("thin", 1)):
            value = getattr(self, name)
            if isinstance(value, str):
                _one_of(f"Emcee: {name}", value, ("auto",))
            else:
                check_integer(f"Emcee: {name}", value, least)
        if self.n_steps is not None and not isinstance(self.burn, str) and self.burn >= self.n_steps:
            raise ConfigError(f"Emcee: burn must be less than n_steps = {self.n_steps}, got {self.burn}")
        if isinstance(self.start, str):
            _one_of("Emcee: start", self.start, ("prior", "optimum"))
        else:
            try:
                points = finite_array("Emcee: start", self.start, shape=(self.n_walkers, -1))
            except ValueError as error:
                raise ConfigError(str(error)) from error
            points.flags.writeable = False
            object.__setattr__(self, "start", points)
        _one_of("Emcee: engine", self.engine, ("auto", "emcee", "compiled"))

    def describe(self) -> dict[str, Any]:
        """JSON-able settings, ``kind`` first."""
        return {"kind": self.kind, **{item.name: plain_value(getattr(self, item.name)) for item in fields(self)}}


Settings = Dynesty | Emcee

SETTINGS: dict[str, type[Dynesty] | type[Emcee]] = {"dynesty": Dynesty, "emcee": Emcee}
"""Settings by kind, as TOML names them."""


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Settings from a mapping with ``kind`` and options, as a TOML table or `describe` gives.

    Raises
    ------
    ConfigError
        If the kind or an option is unknown (the nearest name is given), or a value is not allowed.

    Examples
    --------
    >>> settings_from({"kind": "dynesty", "n_live": 100}).n_live
    100
    """
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in SETTINGS:
        near = nearest_names(kind if isinstance(kind, str) else "", SETTINGS)
        raise ConfigError(f"sampler kind must be one of {', '.join(SETTINGS)}, got {shown(kind)}: {near}")
    chosen = SETTINGS[kind]
    known = [item.name for item in fields(chosen)]
    for name in options:
        if name != "kind" and name not in known:
            raise ConfigError(f"sampler '{kind}' has no option {shown(name)}: {nearest_names(name, known)}")
    return chosen(**{name: value for name, value in options.items() if name != "kind"})
