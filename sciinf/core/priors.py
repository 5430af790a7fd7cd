"""One-dimensional priors: each defines ppf, logpdf, cdf and support once, for every sampler."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.errors import PriorError

__all__ = ["Fixed", "Normal", "Prior", "Uniform"]


class Prior(ABC):
    """A one-dimensional normalised density, given by its quantile function, its log-density and its distribution function."""

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Closed interval outside which the density is zero."""

    @abstractmethod
    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        """Quantile of each probability in [0, 1]."""

    @abstractmethod
    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """ln density; -inf outside the support, NaN at NaN."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability at or below each x."""

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """``n`` independent draws."""
        return self.ppf(rng.random(n))

    def describe(self) -> dict[str, object]:
        """JSON-able kind and numbers: what the manifest and the fingerprint hold."""
        return {"kind": type(self).__name__, **{item.name: getattr(self, item.name) for item in fields(self) if item.init}}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Uniform(Prior):
    """Uniform density on [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise PriorError(f"Uniform needs finite low < high, got low={self.low}, high={self.high}")

    @property
    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        return self.low + (self.high - self.low) * np.asarray(u, dtype=np.float64)

    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(x, dtype=np.float64)
        return np.where((x >= self.low) & (x <= self.high), -math.log(self.high - self.low), np.where(np.isnan(x), np.nan, -np.inf))

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        return np.clip((np.asarray(x, dtype=np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True)
class Normal(Prior):
    """Normal density with mean and standard deviation."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise PriorError(f"Normal needs finite mean and std > 0, got mean={self.mean}, std={self.std}")

    @property
    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        return self.mean + self.std * special.ndtri(np.asarray(u, dtype=np.float64))

    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]:
        z = (np.asarray(x, dtype=np.float64) - self.mean) / self.std
        return -0.5 * z * z - math.log(self.std) - 0.5 * math.log(2.0 * math.pi)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        return special.ndtr((np.asarray(x, dtype=np.float64) - self.mean) / self.std)


@dataclass(frozen=True)
class Fixed(Prior):
    """A value that is passed to the engine and not sampled."""

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise PriorError(f"Fixed needs a finite value, got {self.value}")

    @property
    def support(self) -> tuple[float, float]:
        return float(self.value), float(self.value)

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        return np.full(np.shape(u), float(self.value))

    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]:
        return np.where(np.asarray(x, dtype=np.float64) == self.value, 0.0, -np.inf)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        return np.where(np.asarray(x, dtype=np.float64) >= self.value, 1.0, 0.0)
