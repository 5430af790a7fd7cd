"""Where the observations of a family live."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Box", "Circle", "FiniteSet", "HalfLine", "Integers", "Interval", "RealLine", "Spins", "Support"]

FloatArray = NDArray[np.float64]

_MOST_STATES = 2**20


def _finite(owner: str, name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ConfigError(f"{owner}: {name} must be a finite number, got {shown(value)}")
    return float(value)


@dataclass(frozen=True)
class Support:
    """Base: a set of points x of ``dim`` coordinates."""

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return 1

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Which rows of ``x`` (n, dim) belong to it, (n,)."""
        raise NotImplementedError

    @property
    def is_finite(self) -> bool:
        """Whether its points can be listed."""
        return False

    def points(self) -> FloatArray:
        """All points (n_states, dim) of a finite one."""
        raise NotImplementedError


@dataclass(frozen=True)
class RealLine(Support):
    """All real numbers."""

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Every finite number."""
        return np.asarray(np.isfinite(x[:, 0]))

    def __str__(self) -> str:
        return "the real line"


@dataclass(frozen=True)
class HalfLine(Support):
    """Numbers above ``low``."""

    low: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _finite("HalfLine", "low", self.low))

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Numbers above the end, which does not belong to it."""
        return np.asarray(x[:, 0] > self.low)

    def __str__(self) -> str:
        return f"numbers above {self.low:g}"


@dataclass(frozen=True)
class Interval(Support):
    """Numbers between ``low`` and ``high``, ends not included."""

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, _finite("Interval", name, getattr(self, name)))
        if not self.low < self.high:
            raise ConfigError(f"Interval: low must lie below high, got {self.low:g} and {self.high:g}")

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Numbers strictly between the ends."""
        return np.asarray((x[:, 0] > self.low) & (x[:, 0] < self.high))

    def __str__(self) -> str:
        return f"numbers between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Box(Support):
    """A product of intervals; ``lower`` and ``upper`` of one length."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        lower, upper = tuple(self.lower), tuple(self.upper)
        if len(lower) != len(upper) or not lower:
            raise ConfigError(f"Box: lower and upper must have one length above 0, got {len(lower)} and {len(upper)}")
        for low, high in zip(lower, upper, strict=True):
            Interval(low, high)
        object.__setattr__(self, "lower", tuple(float(value) for value in lower))
        object.__setattr__(self, "upper", tuple(float(value) for value in upper))

    @property
    def dim(self) -> int:
        """Length of the corners."""
        return len(self.lower)

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Rows strictly inside."""
        return np.asarray(np.all((x > self.lower) & (x < self.upper), axis=1))

    def __str__(self) -> str:
        return f"the box from {self.lower} to {self.upper}"


@dataclass(frozen=True)
class Circle(Support):
    """Angles in radians; all finite numbers, read modulo 2 pi."""

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Every finite angle."""
        return np.asarray(np.isfinite(x[:, 0]))

    def __str__(self) -> str:
        return "the circle"


@dataclass(frozen=True)
class Integers(Support):
    """Integers from ``low`` on."""

    low: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.low, bool) or not isinstance(self.low, int | np.integer):
            raise ConfigError(f"Integers: low must be an integer, got {shown(self.low)}")

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Integers not below the first."""
        return np.asarray((x[:, 0] >= self.low) & (x[:, 0] == np.floor(x[:, 0])) & np.isfinite(x[:, 0]))

    def __str__(self) -> str:
        return f"the integers from {self.low} on"


@dataclass(frozen=True)
class Spins(Support):
    """``d`` variables of -1 or +1 each."""

    d: int

    def __post_init__(self) -> None:
        if isinstance(self.d, bool) or not isinstance(self.d, int | np.integer) or self.d < 1:
            raise ConfigError(f"Spins: d must be a positive integer, got {shown(self.d)}")

    @property
    def dim(self) -> int:
        """Number of spins."""
        return self.d

    @property
    def is_finite(self) -> bool:
        """Whether there are at most 2^20 states."""
        return bool(2**self.d <= _MOST_STATES)

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Rows of -1 and +1."""
        return np.asarray(np.all(np.abs(x) == 1.0, axis=1))

    def points(self) -> FloatArray:
        """All 2^d states, the first spin slowest."""
        numbers = np.arange(2**self.d)
        bits = numbers[:, None] >> np.arange(self.d)[::-1] & 1
        return np.asarray(2.0 * bits - 1.0, dtype=np.float64)

    def __str__(self) -> str:
        return f"{self.d} spins"


@dataclass(frozen=True, eq=False)
class FiniteSet(Support):
    """Given points (n_states, dim), or (n_states,) numbers; no two alike."""

    states: FloatArray

    def __init__(self, points: ArrayLike | Sequence[Sequence[float]]) -> None:
        raw = np.asarray(points, dtype=object if points is None else None)
        states = finite_array("FiniteSet: points", raw.reshape(len(raw), -1) if raw.ndim else raw, shape=(-1, -1))
        if not 1 <= len(states) <= _MOST_STATES:
            raise ConfigError(f"FiniteSet: between 1 and 2^20 points are possible, got {len(states)}")
        if len(np.unique(states, axis=0)) != len(states):
            raise ConfigError("FiniteSet: no two points may be alike")
        states.setflags(write=False)
        object.__setattr__(self, "states", states)

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return int(self.states.shape[1])

    @property
    def is_finite(self) -> bool:
        """Always."""
        return True

    def contains(self, x: FloatArray) -> NDArray[np.bool_]:
        """Rows equal to one of the points."""
        known = {row.tobytes() for row in self.states + 0.0}
        return np.array([row.tobytes() in known for row in np.ascontiguousarray(x + 0.0)], dtype=np.bool_)

    def points(self) -> FloatArray:
        """The points, in the given order."""
        return self.states

    def __str__(self) -> str:
        return f"a set of {len(self.states)} points"
