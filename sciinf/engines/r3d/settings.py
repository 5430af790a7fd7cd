"""What a fit is asked to do: checked when it is made, not when it is used."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from sciinf.core.errors import ConfigError, SciinfWarning, nearest_names, shown

__all__ = ["CovType", "Kernel", "Method", "QuantileRule", "R3DSettings", "R3DWarning", "checked_grid", "one_of"]


Method = Literal["frechet", "simple"]
Kernel = Literal["triangular", "epanechnikov", "uniform"]
QuantileRule = Literal["type7", "inverted_cdf"]
CovType = Literal["HC0", "HC2", "HC3", "CR0", "CR1"]

_HIGHEST_ORDER = 5  # beyond it the fit at the edge is noise, and the design near singular
_LEVELS = "Give shares in order and once each, such as (0.1, 0.5, 0.9)"
_PERCENTILES = tuple(k / 100 for k in range(1, 100))


class R3DWarning(SciinfWarning):
    """Data or settings of a discontinuity fit are doubtful, but can be used."""


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is allowed.

    Raises
    ------
    ConfigError
        If not; names the nearest.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"r3d: no {name} {shown(value)}: {nearest_names(str(value), allowed)}")
    return value


def _order(name: str, value: Any, lowest: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not lowest <= value <= _HIGHEST_ORDER:
        raise ConfigError(f"r3d: {name} must be an integer from {lowest} to {_HIGHEST_ORDER}, got {shown(value)}")
    return int(value)


def checked_grid(values: Any) -> tuple[float, ...]:
    """Quantile levels as floats.

    Raises
    ------
    ConfigError
        If they are not numbers inside (0, 1), strictly increasing, at least one.
    """
    try:
        levels = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ConfigError(f"r3d: q_grid must be numbers inside (0, 1), got {shown(values)}. {_LEVELS}") from None
    if not levels:
        raise ConfigError(f"r3d: q_grid needs at least one level, got none. {_LEVELS}")
    outside = [level for level in levels if not (math.isfinite(level) and 0.0 < level < 1.0)]
    if outside:
        raise ConfigError(f"r3d: q_grid must lie inside (0, 1), got {', '.join(f'{level:g}' for level in outside[:5])}. {_LEVELS}")
    for low, high in itertools.pairwise(levels):
        if not high > low:
            raise ConfigError(f"r3d: q_grid must increase strictly, got {low:g} before {high:g}. {_LEVELS}")
    return levels


@dataclass(frozen=True)
class R3DSettings:
    """Options of a fit.

    Parameters
    ----------
    q_grid : sequence of float
        Quantile levels inside (0, 1), strictly increasing. Default .01, .02, ..., .99.
    method : {"frechet", "simple"}
        "frechet": one bandwidth for all levels, each side projected onto the nondecreasing functions. "simple": a bandwidth per level is
        allowed, each side sorted.
    p : int
        Order of the local polynomial of the fit.
    s : int
        Order that bandwidths are chosen for; p = s + 1 corrects the leading bias.
    kernel : {"triangular", "epanechnikov", "uniform"}
        Weights in the running variable.
    quantile_rule : {"type7", "inverted_cdf"}
        Which quantile of a unit's sample, see `RaggedSample.quantiles`.
    projection_weights : {"cell", "equal"}
        Weights of the levels in the projection: their share of (0, 1), or equal ones.
    compat : None or "R3D"
        "R3D" reproduces the numbers of the R package R3D, its known defects included; it has projection_weights "equal" alone.

    Raises
    ------
    ConfigError
        If an option is not known (the nearest is named) or the levels cannot be used; gives the values.

    Examples
    --------
    >>> R3DSettings(q_grid=(0.25, 0.5, 0.75), p=1).n_q
    3
    """

    q_grid: tuple[float, ...] = _PERCENTILES
    method: Method = "frechet"
    p: int = 2
    s: int = 1
    kernel: Kernel = "triangular"
    quantile_rule: QuantileRule = "type7"
    projection_weights: Literal["cell", "equal"] = "cell"
    compat: Literal["R3D"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "q_grid", checked_grid(self.q_grid))
        one_of("method", self.method, get_args(Method))
        one_of("kernel", self.kernel, get_args(Kernel))
        one_of("quantile_rule", self.quantile_rule, get_args(QuantileRule))
        one_of("projection_weights", self.projection_weights, ("cell", "equal"))
        if self.compat is not None:
            one_of("compat", self.compat, ("R3D",))
            object.__setattr__(self, "projection_weights", "equal")
        object.__setattr__(self, "p", _order("p", self.p, 0))
        object.__setattr__(self, "s", _order("s", self.s, 0))
        if self.s > 3:
            raise ConfigError(f"r3d: s must be an integer from 0 to 3, got {self.s}")
        if self.compat is not None and self.n_q < 2 and self.method == "simple":
            raise ConfigError("r3d: the rearrangement of compat='R3D' needs at least two levels in q_grid, got one")

    @classmethod
    def r3d_defaults(cls) -> R3DSettings:
        """What the R package takes when nothing is said: Epanechnikov kernel, local polynomials per level, levels .01 to .99.

        Examples
        --------
        >>> R3DSettings.r3d_defaults().kernel
        'epanechnikov'
        """
        return cls(method="simple", kernel="epanechnikov", projection_weights="equal", compat="R3D")

    @property
    def n_q(self) -> int:
        """Number of quantile levels."""
        return len(self.q_grid)

    @property
    def levels(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The levels as a (n_q,) float64 array."""
        return np.array(self.q_grid, dtype=np.float64)
