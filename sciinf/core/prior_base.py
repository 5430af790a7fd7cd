"""What a one-dimensional prior is, and the form shared by all those given by at most four numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import PriorError, shown

__all__ = ["Fixed", "NumberedPrior", "Prior", "json_value", "real_number"]

Array = NDArray[np.float64]


def real_number(kind: str, key: str, value: Any) -> float:
    """Return ``value`` as a float.

    Raises
    ------
    PriorError
        If it is not a real number, or is NaN; names the kind of prior, the key and the value.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise PriorError(f"{kind}: {key} must be a real number, got {shown(value)}")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError) as error:
        raise PriorError(f"{kind}: {key} must be a real number that float64 can hold, got {shown(value)}") from error
    if math.isnan(number):
        raise PriorError(f"{kind}: {key} must be a real number, got {key}=nan")
    return number


def json_value(value: Any) -> Any:
    """A prior's number, array or None as strict JSON holds it: infinities become strings, NaN (a number left out) null."""
    if isinstance(value, np.ndarray):
        return [json_value(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


class Prior(ABC):
    """A one-dimensional normalised density, given by its quantile function, its log-density and its distribution function.

    Notes
    -----
    A prior of one's own needs ``support``, ``ppf``, ``logpdf`` and ``cdf``, and must be a dataclass (or bring its own ``describe``).
    It has no compiled form.
    """

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Closed interval outside which the density is zero."""

    @abstractmethod
    def ppf(self, u: ArrayLike) -> Array:
        """Quantile of each probability in [0, 1]; NaN outside. 0 and 1 give the ends of the support, which may be infinite."""

    @abstractmethod
    def logpdf(self, x: ArrayLike) -> Array:
        """Log-density; -inf outside the support, NaN at NaN."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Array:
        """Probability at or below each x."""

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """``n`` independent draws."""
        return self.ppf(rng.random(n))

    def describe(self) -> dict[str, object]:
        """JSON-able kind and numbers: what the manifest and the fingerprint hold."""
        return {"kind": type(self).__name__, **{item.name: json_value(getattr(self, item.name)) for item in fields(self) if item.init}}  # type: ignore[arg-type]


class NumberedPrior(Prior):
    """A prior given by at most four real numbers, its dataclass fields.

    A subclass gives five static functions of arrays, all elementwise. They serve one prior, a group of priors of one kind (a number
    is then an array over parameters) and conditional priors (an array over points) alike:

    - ``valid(*numbers)``: whether the numbers define a density;
    - ``constants(*numbers)``: what the next three need, computed once;
    - ``quantiles(u, *constants)`` for u in [0, 1];
    - ``log_densities(x, *constants)``;
    - ``probabilities(x, *constants)``.

    They do not guard against floating-point warnings: the caller does.
    """

    code: ClassVar[int]
    needs: ClassVar[str]
    """What ``valid`` asks for, as the error says it."""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if value is not None or item.default is not None:
                object.__setattr__(self, item.name, real_number(kind, item.name, value))
        with np.errstate(all="ignore"):
            good = bool(self.valid(*map(np.float64, self.numbers)))
        if not good:
            given = ", ".join(f"{item.name}={getattr(self, item.name)}" for item in fields(self))  # type: ignore[arg-type]
            raise PriorError(f"{kind} needs {self.needs}, got {given}")

    @classmethod
    def number_names(cls) -> tuple[str, ...]:
        """Names of the numbers, in order."""
        return tuple(item.name for item in fields(cls))  # type: ignore[arg-type]

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The numbers in order; NaN for one that is left out."""
        return tuple(math.nan if (value := getattr(self, name)) is None else float(value) for name in self.number_names())

    @cached_property
    def prepared(self) -> tuple[Any, ...]:
        """``constants`` of this prior's numbers."""
        with np.errstate(all="ignore"):
            return self.constants(*map(np.float64, self.numbers))

    @staticmethod
    @abstractmethod
    def valid(*numbers: Any) -> Any:
        """Whether the numbers define a density."""

    @staticmethod
    @abstractmethod
    def constants(*numbers: Any) -> tuple[Any, ...]:
        """What the three functions below need, computed once from the numbers."""

    @staticmethod
    @abstractmethod
    def quantiles(u: Array, *constants: Any) -> Any:
        """Quantile of each u in [0, 1]."""

    @staticmethod
    @abstractmethod
    def log_densities(x: Array, *constants: Any) -> Any:
        """Log-density of each x."""

    @staticmethod
    @abstractmethod
    def probabilities(x: Array, *constants: Any) -> Any:
        """Probability at or below each x."""

    @staticmethod
    def ends(*numbers: Any) -> tuple[Any, Any]:
        """Ends of the support, non-decreasing in each number: (0, inf) unless the subclass says otherwise."""
        return 0.0, math.inf

    @property
    def support(self) -> tuple[float, float]:
        """Closed interval outside which the density is zero."""
        low, high = self.ends(*self.numbers)
        return float(low), float(high)

    def ppf(self, u: ArrayLike) -> Array:
        """Quantile of each probability in [0, 1]; NaN outside. 0 and 1 give the ends of the support, which may be infinite."""
        u = np.asarray(u, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.where((u >= 0.0) & (u <= 1.0), self.quantiles(u, *self.prepared), np.nan)

    def logpdf(self, x: ArrayLike) -> Array:
        """Log-density; -inf outside the support, NaN at NaN."""
        with np.errstate(all="ignore"):
            return np.asarray(self.log_densities(np.asarray(x, dtype=np.float64), *self.prepared))

    def cdf(self, x: ArrayLike) -> Array:
        """Probability at or below each x."""
        with np.errstate(all="ignore"):
            return np.asarray(self.probabilities(np.asarray(x, dtype=np.float64), *self.prepared))


@dataclass(frozen=True)
class Fixed(Prior):
    """A value that is passed to the engine and not sampled.

    Parameters
    ----------
    value : float
        Finite.

    Examples
    --------
    >>> Fixed(0.06).support
    (0.06, 0.06)
    """

    value: float

    def __post_init__(self) -> None:
        value = real_number("Fixed", "value", self.value)
        if not math.isfinite(value):
            raise PriorError(f"Fixed needs a finite value, got {self.value}")
        object.__setattr__(self, "value", value)

    @property
    def support(self) -> tuple[float, float]:
        """The value, twice."""
        return self.value, self.value

    def ppf(self, u: ArrayLike) -> Array:
        """The value, whatever the probability."""
        return np.full(np.shape(u), self.value)

    def logpdf(self, x: ArrayLike) -> Array:
        """0 at the value (a point mass counts as one), -inf elsewhere, NaN at NaN."""
        x = np.asarray(x, dtype=np.float64)
        return np.where(x == self.value, 0.0, np.where(np.isnan(x), np.nan, -np.inf))

    def cdf(self, x: ArrayLike) -> Array:
        """0 below the value, 1 from it on."""
        x = np.asarray(x, dtype=np.float64)
        return np.where(np.isnan(x), np.nan, np.where(x >= self.value, 1.0, 0.0))
