"""Priors of several parameters at once: each an exact map from the cube and a normalised density."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, PriorError, shown
from sciinf.core.parameter import check_name
from sciinf.core.prior_base import json_value, real_number
from sciinf.numerics import prior_codes as codes

__all__ = ["JOINT_PRIORS", "Dirichlet", "Joint", "JointPrior", "MultivariateNormal", "OrderedUniform"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)
_LEAST_REMAINDER = 2.0**-54  # what rounding leaves undetermined in 1 - sum(x)


class JointPrior(ABC):
    """A normalised density of several parameters.

    Notes
    -----
    Arrays are (..., n_dim): one point or a batch, and a row's bytes do not depend on its neighbours. A joint prior of one's own is a
    dataclass with ``n_dim``, ``supports``, ``transform`` and ``logpdf``; with ``table`` and ``kernels`` it has a compiled form too.
    """

    code: ClassVar[int | None] = None
    """Code of the compiled form; None without one."""

    @property
    @abstractmethod
    def n_dim(self) -> int:
        """Number of parameters."""

    @property
    @abstractmethod
    def supports(self) -> tuple[tuple[float, float], ...]:
        """Marginal support of each parameter."""

    @abstractmethod
    def transform(self, unit: Array) -> Array:
        """Cube points (..., n_dim) to parameters: uniform points become draws."""

    @abstractmethod
    def logpdf(self, x: Array) -> Array:
        """Log-density (...,) of points (..., n_dim); -inf outside the support, NaN at NaN."""

    def table(self) -> Array:
        """The numbers of the compiled form, (n,) float64."""
        return np.empty(0)

    def kernels(self) -> tuple[Callable[..., float], Callable[..., float]] | None:
        """Compiled ``transform(unit, floats, ints, x)`` and ``log_density(x, floats, ints, work)``, or None without them.

        Both are numba functions of a module with the signature `sciinf.numerics.jit.LIKELIHOOD`; ``unit`` and ``x`` are (n_dim,),
        ``floats`` is ``table()``, ``ints`` is empty, and the first writes ``x``. The built-in ones have a code instead.
        """
        return None

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, n_dim) independent draws."""
        return self.transform(rng.random((n, self.n_dim)))

    def describe(self) -> dict[str, object]:
        """JSON-able kind and numbers: what the manifest and the fingerprint hold."""
        return {"kind": type(self).__name__, **{item.name: json_value(getattr(self, item.name)) for item in fields(self) if item.init}}  # type: ignore[arg-type]


def _array(kind: str, key: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    """``finite_array`` with a PriorError that names the prior."""
    try:
        return finite_array(key, value, shape=shape)
    except DataError as error:
        raise PriorError(f"{kind}: {error}") from error


def _product(matrix: Array, vectors: Array) -> Array:
    """Matrix @ vector for each vector (..., k), summed in an order that does not depend on the batch (a BLAS product's may)."""
    return np.asarray(np.sum(matrix * vectors[..., None, :], axis=-1))


def _factors(covariance: Array, scale: Array) -> tuple[Array, Array]:
    """The Cholesky factor of a symmetric covariance, and its inverse; ``scale`` is the square root of its diagonal.

    Raises
    ------
    PriorError
        If it is not positive definite, to float64's accuracy.
    """
    with np.errstate(all="ignore"):
        correlation = covariance / scale / scale[:, None]
        beyond = float(np.max(np.abs(correlation)))
        if not math.isfinite(beyond):
            raise PriorError(f"MultivariateNormal: covariance must be positive definite; its largest correlation is {beyond:g}")
        try:
            cholesky = np.linalg.cholesky(covariance)
            whitening = np.tril(np.linalg.solve(cholesky, np.eye(len(scale))))
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(correlation)[0])
            raise PriorError(
                f"MultivariateNormal: covariance must be positive definite; its correlation has eigenvalue {least:.3g}"
            ) from None
    return np.asarray(cholesky, dtype=np.float64), np.asarray(whitening, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class MultivariateNormal(JointPrior):
    """Normal density of k parameters.

    Parameters
    ----------
    mean : (k,) array
        Means, finite.
    covariance : (k, k) array
        Symmetric, positive definite.

    Raises
    ------
    PriorError
        If the shapes differ, a value is not finite, or the covariance is not symmetric (to 1e-12 of its diagonal) and positive definite.

    Examples
    --------
    >>> prior = MultivariateNormal([0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]])
    >>> prior.transform(np.array([0.5, 0.5])).tolist()
    [0.0, 1.0]
    """

    mean: ArrayLike
    covariance: ArrayLike
    centre: Array = field(init=False, repr=False)
    cholesky: Array = field(init=False, repr=False)
    whitening: Array = field(init=False, repr=False)
    log_norm: float = field(init=False, repr=False)

    code = codes.MULTIVARIATE_NORMAL

    def __post_init__(self) -> None:
        mean = _array("MultivariateNormal", "mean", self.mean, (-1,))
        covariance = _array("MultivariateNormal", "covariance", self.covariance, (mean.size, mean.size))
        if mean.size == 0:
            raise PriorError("MultivariateNormal: mean must hold at least one value")
        diagonal = np.diag(covariance)
        if np.any(diagonal <= 0.0):
            at = int(np.argmax(diagonal <= 0.0))
            raise PriorError(f"MultivariateNormal: covariance[{at}, {at}] = {diagonal[at]:g} must be a positive variance")
        scale = np.sqrt(diagonal)
        with np.errstate(all="ignore"):
            skew = np.abs(covariance - covariance.T) / scale / scale[:, None]
        if not skew.max() <= 1e-12:
            i, j = (int(at) for at in np.unravel_index(np.argmax(skew), skew.shape))
            raise PriorError(
                f"MultivariateNormal: covariance must be symmetric, got covariance[{i}, {j}] = {covariance[i, j]!r} "
                f"and covariance[{j}, {i}] = {covariance[j, i]!r}"
            )
        covariance = 0.5 * covariance + 0.5 * covariance.T
        cholesky, whitening = _factors(covariance, scale)
        log_norm = -float(np.sum(np.log(np.diag(cholesky)))) - 0.5 * mean.size * _LOG_2PI
        for name, value in {"mean": mean, "centre": mean, "covariance": covariance, "cholesky": cholesky, "whitening": whitening}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "log_norm", log_norm)

    @property
    def n_dim(self) -> int:
        """Number of parameters."""
        return int(self.centre.size)

    @property
    def supports(self) -> tuple[tuple[float, float], ...]:
        """The whole line for each."""
        return ((-math.inf, math.inf),) * self.n_dim

    def transform(self, unit: Array) -> Array:
        """Mean plus Cholesky factor times standard normal quantiles."""
        with np.errstate(all="ignore"):
            return self.centre + _product(self.cholesky, special.ndtri(np.asarray(unit, dtype=np.float64)))

    def logpdf(self, x: Array) -> Array:
        """Log-density of points (..., k)."""
        white = _product(self.whitening, np.asarray(x, dtype=np.float64) - self.centre)
        return np.asarray(self.log_norm - 0.5 * np.sum(white * white, axis=-1))

    def table(self) -> Array:
        """log_norm, mean, Cholesky factor and its inverse, row by row."""
        return np.concatenate([[self.log_norm], self.centre, self.cholesky.ravel(), self.whitening.ravel()])


@dataclass(frozen=True, eq=False)
class Dirichlet(JointPrior):
    """Dirichlet density of fractions that sum to one; the last fraction is not a parameter.

    Parameters
    ----------
    concentration : (k,) array
        All > 0, k >= 2. There are k - 1 parameters, the first k - 1 fractions.

    Notes
    -----
    By stick-breaking: v_j is beta(a_j, a_{j+1} + ... + a_k) distributed and x_j = v_j (1 - v_1) ... (1 - v_{j-1}). The density is with
    respect to the volume of the first k - 1 fractions. On a face whose concentration is below 1 it diverges (+inf), above 1 it is zero
    (-inf); the last fraction, 1 minus the others, is known to one rounding only and is not taken smaller than 2^-54.

    Examples
    --------
    >>> prior = Dirichlet([1.0, 1.0, 1.0])
    >>> float(np.exp(prior.logpdf(np.array([0.2, 0.3]))))
    2.0
    """

    concentration: ArrayLike
    weights: Array = field(init=False, repr=False)
    log_norm: float = field(init=False, repr=False)

    code = codes.DIRICHLET

    def __post_init__(self) -> None:
        weights = _array("Dirichlet", "concentration", self.concentration, (-1,))
        if weights.size < 2 or np.any(weights <= 0.0):
            raise PriorError(f"Dirichlet: concentration must hold at least 2 values, all > 0, got {shown(weights.tolist())}")
        with np.errstate(all="ignore"):
            log_norm = float(special.gammaln(weights.sum()) - special.gammaln(weights).sum())
        if not math.isfinite(log_norm):
            raise PriorError(
                f"Dirichlet: concentration must hold values whose density float64 can normalise, got {shown(weights.tolist())}"
            )
        object.__setattr__(self, "concentration", weights)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "log_norm", log_norm)

    @property
    def n_dim(self) -> int:
        """Number of parameters: one less than the number of fractions."""
        return int(self.weights.size) - 1

    @property
    def supports(self) -> tuple[tuple[float, float], ...]:
        """[0, 1] for each."""
        return ((0.0, 1.0),) * self.n_dim

    @property
    def _rest(self) -> Array:
        """Sum of the concentrations after each parameter's own."""
        return np.asarray(np.cumsum(self.weights[::-1])[::-1][1:])

    def transform(self, unit: Array) -> Array:
        """Stick-breaking: each fraction takes a beta-distributed share of what the earlier ones left."""
        unit = np.asarray(unit, dtype=np.float64)
        a, b = self.weights[:-1], self._rest
        share, kept = special.betaincinv(a, b, unit), special.betainccinv(b, a, unit)
        left = np.concatenate([np.ones((*unit.shape[:-1], 1)), np.cumprod(kept[..., :-1], axis=-1)], axis=-1)
        return np.asarray(share * left)

    def logpdf(self, x: Array) -> Array:
        """Log-density of points (..., k - 1)."""
        x = np.asarray(x, dtype=np.float64)
        last = np.subtract.reduce(np.concatenate([np.ones((*x.shape[:-1], 1)), x], axis=-1), axis=-1)  # one after the other
        outside = np.any(x < 0.0, axis=-1) | (last < -4.0 * self.weights.size * _LEAST_REMAINDER)
        with np.errstate(all="ignore"):
            terms = special.xlogy(self.weights[:-1] - 1.0, x)
            value = self.log_norm + np.sum(terms, axis=-1) + special.xlogy(self.weights[-1] - 1.0, np.maximum(last, _LEAST_REMAINDER))
        return np.where(outside, -np.inf, value)

    def table(self) -> Array:
        """log_norm and the concentrations."""
        return np.concatenate([[self.log_norm], self.weights])


@dataclass(frozen=True)
class OrderedUniform(JointPrior):
    """Uniform density of sorted parameters: low <= x_1 <= x_2 <= ... <= high.

    Parameters
    ----------
    low, high : float
        Finite, low < high.
    size : int
        Number of parameters, at least 1.

    Notes
    -----
    The density is size! / (high - low)^size on the ordered region. The map is exact by order statistics: from the top,
    x_k = u_k^(1/k) and x_j = x_{j+1} u_j^(1/j) on the unit interval.

    Examples
    --------
    >>> OrderedUniform(0.0, 1.0, 2).transform(np.array([0.5, 0.25])).tolist()
    [0.25, 0.5]
    """

    low: float
    high: float
    size: int

    code = codes.ORDERED_UNIFORM

    def __post_init__(self) -> None:
        low, high = (real_number("OrderedUniform", key, getattr(self, key)) for key in ("low", "high"))
        if not (low < high and math.isfinite(high - low)):
            raise PriorError(f"OrderedUniform needs finite low < high, got low={low}, high={high}")
        if isinstance(self.size, bool) or not isinstance(self.size, (int, np.integer)) or self.size < 1:
            raise PriorError(f"OrderedUniform: size must be an integer of at least 1, got {shown(self.size)}")
        for name, value in {"low": low, "high": high, "size": int(self.size)}.items():
            object.__setattr__(self, name, value)

    @property
    def n_dim(self) -> int:
        """Number of parameters."""
        return self.size

    @property
    def supports(self) -> tuple[tuple[float, float], ...]:
        """[low, high] for each."""
        return ((self.low, self.high),) * self.size

    @property
    def log_norm(self) -> float:
        """Logarithm of the density inside the region."""
        return math.lgamma(self.size + 1.0) - self.size * math.log(self.high - self.low)

    def transform(self, unit: Array) -> Array:
        """Order statistics from the top down."""
        unit = np.asarray(unit, dtype=np.float64)
        steps = unit ** (1.0 / np.arange(1.0, self.size + 1.0))
        ordered = np.cumprod(steps[..., ::-1], axis=-1)[..., ::-1]
        return np.asarray(np.minimum(self.low + (self.high - self.low) * ordered, self.high))

    def logpdf(self, x: Array) -> Array:
        """Log-density of points (..., size)."""
        x = np.asarray(x, dtype=np.float64)
        outside = (x[..., 0] < self.low) | (x[..., -1] > self.high) | np.any(x[..., 1:] < x[..., :-1], axis=-1)
        value = np.where(np.any(np.isnan(x), axis=-1), np.nan, self.log_norm)
        return np.where(outside, -np.inf, value)

    def table(self) -> Array:
        """log_norm, low, high."""
        return np.array([self.log_norm, self.low, self.high])


@dataclass(frozen=True)
class Joint:
    """Named parameters that share a joint prior: a member of a `PriorSet`.

    Parameters
    ----------
    names : sequence of str
        As many as the prior has dimensions, all different.
    prior : JointPrior
        Their density, in the order of ``names``.
    units, latex : sequence of str
        One per name, or empty.

    Raises
    ------
    ConfigError
        If a name is not allowed or stands twice, or units or latex differ in number.
    PriorError
        If ``prior`` is not a JointPrior or has another number of dimensions.

    Examples
    --------
    >>> Joint(("f_1", "f_2"), OrderedUniform(1.0, 10.0, 2)).names
    ('f_1', 'f_2')
    """

    names: Sequence[str]
    prior: JointPrior
    units: Sequence[str] = ()
    latex: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.names, str):
            raise ConfigError(f"a joint prior needs a sequence of names, got {self.names!r}")
        names = tuple(check_name(name) for name in self.names)
        if len(set(names)) != len(names):
            raise ConfigError(f"parameter names must differ, got {list(names)}")
        if not isinstance(self.prior, JointPrior):
            raise PriorError(
                f"parameters {', '.join(names)}: prior must be a JointPrior such as MultivariateNormal, got {type(self.prior).__name__}"
            )
        if self.prior.n_dim != len(names):
            raise PriorError(f"{type(self.prior).__name__} has {self.prior.n_dim} parameters, got {len(names)} names: {', '.join(names)}")
        object.__setattr__(self, "names", names)
        for key in ("units", "latex"):
            texts = getattr(self, key)
            if isinstance(texts, str) or len(texts) not in (0, len(names)):
                raise ConfigError(f"parameters {', '.join(names)}: {key} must hold one text per name or none, got {texts!r}")
            object.__setattr__(self, key, tuple(texts) or ("",) * len(names))


JOINT_PRIORS: dict[str, type[JointPrior]] = {
    "multivariate_normal": MultivariateNormal,
    "dirichlet": Dirichlet,
    "ordered_uniform": OrderedUniform,
}
"""Name in a config -> class; its keyword arguments are the config's keys."""
