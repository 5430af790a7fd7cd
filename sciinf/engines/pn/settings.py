"""What can be chosen when a risk is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.seeding import check_seed

__all__ = ["CumulantMethod", "CumulantSettings", "DrawSampler", "PNSettings", "one_of", "positive_integer"]

CumulantMethod = Literal["auto", "closed", "enumerate", "quad", "draws"]
DrawSampler = Literal["numba", "emcee"]
RiskMethod = Literal["auto", "expansion", "exact", "bootstrap"]
Unit = Literal["row", "trial"]


def one_of(name: str, value: object, allowed: tuple[Any, ...]) -> None:
    """Check that an option has an allowed value.

    Raises
    ------
    ConfigError
        If not; names the nearest.
    """
    if value not in allowed or isinstance(value, bool):
        raise ConfigError(f"pn: no {name} {shown(value)}: {nearest_names(str(value), [str(item) for item in allowed])}")


def positive_integer(name: str, value: object, least: int = 1) -> None:
    """Check that a setting is an integer of at least ``least``.

    Raises
    ------
    ConfigError
        If not.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"pn: {name} must be an integer of at least {least}, got {shown(value)}")


@dataclass(frozen=True)
class CumulantSettings:
    """Where the moments of a family's statistics come from.

    Parameters
    ----------
    method : {"auto", "closed", "enumerate", "quad", "draws"}
        "auto" takes the first that applies.
    n_draws : int
        Draws of x, at least.
    n_blocks : int
        Blocks of them for the jackknife.
    rtol : float
        Change of A1, A2 and K4, relative, at which a quadrature ends.
    sampler : {"numba", "emcee"}
        Whose chains over x are used where the family has no simulator of its own, or emcee's in any case.
    seed : int
        Of the draws.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    method: CumulantMethod = "auto"
    n_draws: int = 100_000
    n_blocks: int = 20
    rtol: float = 1e-10
    sampler: DrawSampler = "numba"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("method", self.method, get_args(CumulantMethod))
        one_of("sampler", self.sampler, get_args(DrawSampler))
        positive_integer("n_draws", self.n_draws, 1000)
        positive_integer("n_blocks", self.n_blocks, 5)
        check_seed(self.seed)
        if isinstance(self.rtol, bool) or not isinstance(self.rtol, int | float) or not 0.0 < self.rtol < 1.0:
            raise ConfigError(f"pn: rtol must be a number in (0, 1), got {shown(self.rtol)}")


@dataclass(frozen=True)
class PNSettings:
    """How a risk is computed.

    Parameters
    ----------
    order : {1, 2}
        Terms of the expansion.
    cumulants : CumulantSettings
    method : {"auto", "expansion", "exact", "bootstrap"}
        "auto" is the expansion; "exact" is for a true model where a closed form is known; "bootstrap" refits simulated data for a true
        model and resampled data for the sandwich.
    n_bootstrap : int
        Refits of each.
    unit : {"row", "trial"}
        What counts as one observation of a fitted result's grouped data.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    order: Literal[1, 2] = 2
    cumulants: CumulantSettings = field(default_factory=CumulantSettings)
    method: RiskMethod = "auto"
    n_bootstrap: int = 2000
    unit: Unit = "row"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("order", self.order, (1, 2))
        one_of("method", self.method, get_args(RiskMethod))
        one_of("unit", self.unit, get_args(Unit))
        positive_integer("n_bootstrap", self.n_bootstrap, 100)
        check_seed(self.seed)
        if not isinstance(self.cumulants, CumulantSettings):
            raise ConfigError(f"pn: cumulants must be CumulantSettings, got {shown(self.cumulants)}")
