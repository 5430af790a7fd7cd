"""Base of the families whose log-partition function and its derivatives are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import DenseMoments, ModelMoments
from sciinf.engines.pn.support import Support

__all__ = ["ClosedFamily", "Cumulants", "finite", "positive", "probability"]

FloatArray = NDArray[np.float64]
Cumulants = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""Mean (p,), G (p, p), third (p, p, p) and fourth (p, p, p, p) cumulants of the statistics."""


def finite(owner: str, name: str, value: Any) -> float:
    """A usual parameter that must be finite.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ConfigError(f"{owner}: {name} must be a finite number, got {shown(value)}")
    return float(value)


def positive(owner: str, name: str, value: Any) -> float:
    """A usual parameter that must be positive and finite.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 < float(value) < math.inf:
        raise ConfigError(f"{owner}: {name} must be a positive finite number, got {shown(value)}")
    return float(value)


def probability(owner: str, name: str, value: Any) -> float:
    """A usual parameter that must lie in (0, 1).

    Raises
    ------
    ConfigError
        If it does not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 < float(value) < 1.0:
        raise ConfigError(f"{owner}: {name} must lie in (0, 1), got {shown(value)}")
    return float(value)


class ClosedFamily(ExponentialFamily):
    """A family with psi, its derivatives to fourth order, and a maximum-likelihood estimate.

    A subclass gives ``evaluate``, ``log_base_of``, ``psi``, ``derivatives``, ``boundary``, ``natural`` and ``usual``.
    """

    def __init__(self, support: Support, names: tuple[str, ...]) -> None:
        object.__setattr__(self, "statistics", None)
        object.__setattr__(self, "log_base", None)
        object.__setattr__(self, "n_statistics", len(names))
        object.__setattr__(self, "support", support)
        object.__setattr__(self, "names", names)

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """Log h (n,)."""
        return np.zeros(len(x))

    @property
    def simulates_itself(self) -> bool:
        """Where the subclass has a ``simulate``."""
        return type(self).simulate is not ExponentialFamily.simulate

    def psi(self, theta: FloatArray) -> float:
        """Log-partition function inside the domain."""
        raise NotImplementedError

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """Derivatives of psi of orders one to four."""
        raise NotImplementedError

    def log_partition(self, theta: ArrayLike) -> float:
        """psi at ``theta`` (p,)."""
        return self.psi(self.check_theta(theta))

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """psi and its first two derivatives."""
        mean, fisher, _, _ = self.derivatives(theta)
        return self.psi(theta), mean, fisher

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """Cumulants from the derivatives of psi."""
        return DenseMoments(*self.derivatives(theta), self.names or ())

    def quadrature(self) -> ExponentialFamily:
        """The same family without its closed forms, by nodes: for checks."""
        return _ByNodes(self)

    def describe(self) -> tuple[Any, ...]:
        """What identifies the family, for hashes."""
        return type(self).__name__, self.p, str(self.support), self.names

    def missing(self, why: str) -> DataError:
        """Error: no maximum of the likelihood."""
        return DataError(
            f"pn: the maximum likelihood estimate of {type(self).__name__} does not exist: {why}. "
            "Report the risk conditional on existence by bootstrap, or change the model"
        )


class _ByNodes(ExponentialFamily):
    """A closed family's statistics and support alone."""

    def __init__(self, family: ClosedFamily) -> None:
        for name in ("statistics", "log_base", "n_statistics", "support", "names"):
            object.__setattr__(self, name, getattr(family, name))
        object.__setattr__(self, "_family", family)

    def evaluate(self, x: FloatArray) -> FloatArray:
        """T (n, p)."""
        return self._family.evaluate(x)  # type: ignore[attr-defined,no-any-return]

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """Log h (n,)."""
        return self._family.log_base_of(x)  # type: ignore[attr-defined,no-any-return]

    def boundary(self, theta: FloatArray) -> str | None:
        """As of the family."""
        return self._family.boundary(theta)  # type: ignore[attr-defined,no-any-return]
