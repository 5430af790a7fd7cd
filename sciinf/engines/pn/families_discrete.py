"""Discrete families in their usual parameters: order of statistics and theta as in each class."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, shown
from sciinf.engines.pn.closed import ClosedFamily, Cumulants, positive, probability
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import ModelMoments
from sciinf.engines.pn.settings import positive_integer
from sciinf.engines.pn.support import FiniteSet, Integers, Spins

__all__ = ["Bernoulli", "Binomial", "Geometric", "Ising", "LogLinear", "Multinomial", "NegativeBinomial", "Poisson"]

FloatArray = NDArray[np.float64]


def _single(first: float, second: float, third: float, fourth: float) -> Cumulants:
    """Cumulants of the one statistic x."""
    return np.array([first]), np.array([[second]]), np.array([[[third]]]), np.array([[[[fourth]]]])


class _Single(ClosedFamily):
    """A family of the one statistic x, whose maximum-likelihood mean is that of the data."""

    def evaluate(self, x: FloatArray) -> FloatArray:
        """x."""
        return x.copy()

    def of_mean(self, mean: float) -> FloatArray:
        """Theta (1,) of a mean inside the support's hull."""
        raise NotImplementedError

    @property
    def _highest(self) -> float:
        return math.inf

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """The mean must lie inside the support's hull."""
        self._check_mean(float(share @ statistics[:, 0]))

    def _check_mean(self, mean: float) -> None:
        if not 0.0 < mean < self._highest:
            end = 0.0 if mean <= 0.0 else self._highest
            raise self.missing(f"all observations are {end:g}")

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """From E x."""
        (mean,) = finite_array("eta", np.asarray(eta), shape=(1,)).tolist()
        self._check_mean(mean)
        return self.of_mean(mean)


class Poisson(_Single):
    """x: theta = ln rate.

    Examples
    --------
    >>> round(Poisson().cumulants(Poisson().natural(3.0)).b, 6)  # 5 / (12 rate)
    0.138889
    """

    def __init__(self) -> None:
        super().__init__(Integers(0), ("x",))

    def natural(self, rate: float) -> FloatArray:
        """Theta of a rate."""
        return np.array([math.log(positive("Poisson", "rate", rate))])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``rate`` of a theta."""
        return {"rate": math.exp(self.check_theta(theta)[0])}

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """-ln x!."""
        return np.asarray(-special.gammaln(x[:, 0] + 1.0))

    def psi(self, theta: FloatArray) -> float:
        """The rate."""
        return math.exp(theta[0])

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """All equal the rate."""
        return _single(*[math.exp(theta[0])] * 4)

    def of_mean(self, mean: float) -> FloatArray:
        """Ln of it."""
        return self.natural(mean)

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        return rng.poisson(self.usual(theta)["rate"], n).astype(np.float64)


class Binomial(_Single):
    """x of m trials: theta = ln(prob / (1 - prob))."""

    def __init__(self, m: int) -> None:
        positive_integer("m", m)
        super().__init__(FiniteSet(np.arange(m + 1.0)), ("x",))
        object.__setattr__(self, "m", int(m))

    m: int

    @property
    def _highest(self) -> float:
        return float(self.m)

    def natural(self, prob: float) -> FloatArray:
        """Theta of a probability of success."""
        return np.array([float(special.logit(probability(type(self).__name__, "prob", prob)))])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``prob`` of a theta."""
        return {"prob": float(special.expit(self.check_theta(theta)[0]))}

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """Ln of the binomial coefficient."""
        k = x[:, 0]
        return np.asarray(special.gammaln(self.m + 1.0) - special.gammaln(k + 1.0) - special.gammaln(self.m - k + 1.0))

    def psi(self, theta: FloatArray) -> float:
        """M ln(1 + e^theta)."""
        return self.m * float(np.logaddexp(0.0, theta[0]))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """M times those of one trial."""
        q, r = float(special.expit(theta[0])), float(special.expit(-theta[0]))
        v = q * r
        return _single(self.m * q, self.m * v, self.m * v * (r - q), self.m * v * (1.0 - 6.0 * v))

    def of_mean(self, mean: float) -> FloatArray:
        """Its logit over m."""
        return self.natural(mean / self.m)

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        return rng.binomial(self.m, self.usual(theta)["prob"], n).astype(np.float64)


class Bernoulli(Binomial):
    """x in {0, 1}: theta = ln(prob / (1 - prob))."""

    def __init__(self) -> None:
        super().__init__(1)


class NegativeBinomial(_Single):
    """x failures before ``size`` successes: theta = ln(1 - prob), mean size (1 - prob) / prob; ``size`` is known."""

    def __init__(self, size: float) -> None:
        super().__init__(Integers(0), ("x",))
        object.__setattr__(self, "size", positive("NegativeBinomial", "size", size))

    size: float

    def natural(self, prob: float) -> FloatArray:
        """Theta of a probability of success."""
        return np.array([math.log1p(-probability(type(self).__name__, "prob", prob))])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``prob`` of a theta."""
        return {"prob": -math.expm1(self.check_theta(theta)[0])}

    def boundary(self, theta: FloatArray) -> str | None:
        """It must be negative."""
        return None if theta[0] < 0.0 else f"that of x must be negative, got {theta[0]:g}"

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """Ln Gamma(x + size) / (Gamma(size) x!)."""
        k = x[:, 0]
        return np.asarray(special.gammaln(k + self.size) - special.gammaln(self.size) - special.gammaln(k + 1.0))

    def psi(self, theta: FloatArray) -> float:
        """-size ln(1 - e^theta)."""
        return -self.size * math.log(-math.expm1(theta[0]))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """In u = (1 - prob) / prob: size times u, u(1+u), u(1+u)(1+2u), u(1+u)(1+6u+6u^2)."""
        u = math.exp(theta[0]) / -math.expm1(theta[0])
        v = u * (1.0 + u)
        return _single(self.size * u, self.size * v, self.size * v * (1.0 + 2.0 * u), self.size * v * (1.0 + 6.0 * v))

    def of_mean(self, mean: float) -> FloatArray:
        """Prob = size / (size + mean)."""
        return np.array([math.log(mean / (self.size + mean))])

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        return rng.negative_binomial(self.size, self.usual(theta)["prob"], n).astype(np.float64)


class Geometric(NegativeBinomial):
    """x failures before a success, from 0 on: theta = ln(1 - prob)."""

    def __init__(self) -> None:
        super().__init__(1.0)


class _Table(ClosedFamily):
    """A family over cells with a probability each."""

    def _tabled(self, owner: str, probs: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
        values = finite_array(f"{owner}: probs", probs, shape=shape)
        if np.any(values <= 0.0) or abs(float(values.sum()) - 1.0) > 1e-9:
            raise ConfigError(
                f"{owner}: probs must be positive and sum to one, got a sum of {values.sum():.6g} and a least of {values.min():.3g}"
            )
        return np.asarray(values / values.sum())

    def psi(self, theta: FloatArray) -> float:
        """Log-sum-exp over the cells."""
        points = self.support.points()
        return float(special.logsumexp(self.evaluate(points) @ theta + self.log_base_of(points)))

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Over the cells."""
        return ExponentialFamily.state(self, theta)

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """None: the cells are listed."""
        del theta
        return None

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """By linear program over the cells."""
        ExponentialFamily.check_exists(self, statistics, share)


class Multinomial(_Table):
    """One draw of k cells 0 .. k - 1: indicators of all but the last, theta = ln(p_i / p_last)."""

    def __init__(self, k: int) -> None:
        positive_integer("k", k, 2)
        super().__init__(FiniteSet(np.arange(float(k))), tuple(f"cell {i}" for i in range(k - 1)))
        object.__setattr__(self, "k", int(k))

    k: int

    def natural(self, probs: ArrayLike) -> FloatArray:
        """Theta of cell probabilities (k,)."""
        values = self._tabled("Multinomial", probs, (self.k,))
        return np.asarray(np.log(values[:-1] / values[-1]))

    def usual(self, theta: ArrayLike) -> dict[str, FloatArray]:
        """``probs`` (k,) of a theta."""
        return {"probs": np.asarray(special.softmax(np.append(self.check_theta(theta), 0.0)))}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Indicators."""
        return np.asarray(x == np.arange(self.k - 1.0), dtype=np.float64)

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """No cell may be empty."""
        counts = np.append(share @ statistics, 1.0 - float(np.sum(share @ statistics)))
        if np.any(counts < 1e-14):
            raise self.missing(f"cell {int(np.argmin(counts))} is empty")

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """Logarithms of the shares."""
        values = finite_array("eta", np.asarray(eta), shape=(self.p,))
        last = 1.0 - float(values.sum())
        if np.any(values <= 0.0) or last <= 0.0:
            raise self.missing(f"cell {int(np.argmin(np.append(values, last)))} is empty")
        return np.asarray(np.log(values / last))


class LogLinear(_Table):
    """Cells of a table: products of indicators, the last level of each factor being the reference.

    Parameters
    ----------
    shape : tuple of int
        Levels of each factor.
    terms : tuple of tuples of int
        Factors of each term: ((0,), (1,)) is independence, ((0,), (1,), (0, 1)) the saturated model of two.
    """

    def __init__(self, shape: tuple[int, ...], terms: tuple[tuple[int, ...], ...]) -> None:
        levels = tuple(shape)
        for level in levels:
            positive_integer("levels of a factor", level, 2)
        chosen = tuple(tuple(term) for term in terms)
        for term in chosen:
            if not term or len(set(term)) != len(term) or any(not 0 <= factor < len(levels) for factor in term):
                raise ConfigError(f"LogLinear: a term names different factors from 0 to {len(levels) - 1}, got {shown(term)}")
        if len(set(chosen)) != len(chosen) or not chosen:
            raise ConfigError(f"LogLinear: terms must be different and at least one, got {shown(terms)}")
        columns = [(term, cell) for term in chosen for cell in np.ndindex(*[levels[factor] - 1 for factor in term])]
        names = tuple(" ".join(f"{factor}={level}" for factor, level in zip(term, cell, strict=True)) for term, cell in columns)
        points = np.array(list(np.ndindex(*levels)), dtype=np.float64)
        super().__init__(FiniteSet(points), names)
        object.__setattr__(self, "shape", levels)
        object.__setattr__(self, "columns", tuple(columns))

    shape: tuple[int, ...]
    columns: tuple[Any, ...]

    def natural(self, probs: ArrayLike) -> FloatArray:
        """Theta of cell probabilities (shape): of the law of the family with the same means of the statistics.

        For a table that belongs to the family it is that table's theta.
        """
        values = self._tabled("LogLinear", probs, self.shape).ravel()
        return self.fit_mean(values @ self.evaluate(self.support.points()))

    def usual(self, theta: ArrayLike) -> dict[str, FloatArray]:
        """``probs`` (shape) of a theta."""
        values = self.check_theta(theta)
        return {"probs": np.asarray(special.softmax(self.evaluate(self.support.points()) @ values)).reshape(self.shape)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Products of indicators."""
        out = np.ones((len(x), self.p))
        for j, (term, cell) in enumerate(self.columns):
            for factor, level in zip(term, cell, strict=True):
                out[:, j] *= x[:, factor] == level
        return out


class Ising(_Table):
    """Spins of -1 and +1: s_1 .. s_d, then the products s_i s_j in the order of the edges.

    Parameters
    ----------
    d : int
        Spins.
    edges : tuple of pairs of int
        Coupled spins, counted from 0.
    """

    def __init__(self, d: int, edges: tuple[tuple[int, int], ...]) -> None:
        pairs = tuple((int(i), int(j)) for i, j in edges)
        for i, j in pairs:
            if i == j or not (0 <= i < d and 0 <= j < d):
                raise ConfigError(f"Ising: an edge joins two different spins from 0 to {d - 1}, got {(i, j)}")
        if len({frozenset(pair) for pair in pairs}) != len(pairs):
            raise ConfigError(f"Ising: no edge may occur twice, got {shown(edges)}")
        super().__init__(Spins(d), (*(f"s{i}" for i in range(d)), *(f"s{i} s{j}" for i, j in pairs)))
        object.__setattr__(self, "d", int(d))
        object.__setattr__(self, "edges", pairs)

    d: int
    edges: tuple[tuple[int, int], ...]

    def compiled_density(self, theta: FloatArray) -> tuple[Any, Any, FloatArray]:
        """Spins and products."""
        return _spins_and_products(self.d, self.edges), None, theta

    def natural(self, fields: ArrayLike, couplings: ArrayLike) -> FloatArray:
        """Theta of fields (d,) and couplings (n_edges,)."""
        one, two = finite_array("fields", fields, shape=(self.d,)), finite_array("couplings", couplings, shape=(len(self.edges),))
        return np.concatenate([one, two])

    def usual(self, theta: ArrayLike) -> dict[str, FloatArray]:
        """``fields`` (d,) and ``couplings`` (n_edges,) of a theta."""
        values = self.check_theta(theta)
        return {"fields": values[: self.d], "couplings": values[self.d :]}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Spins and their products."""
        return np.hstack([x, *[x[:, [i]] * x[:, [j]] for i, j in self.edges]])


@functools.lru_cache(maxsize=16)
def _spins_and_products(d: int, edges: tuple[tuple[int, int], ...]) -> Any:
    """``Ising.evaluate`` of one point, compiled."""
    import numba

    first, second = np.array([i for i, _ in edges], dtype=np.int64), np.array([j for _, j in edges], dtype=np.int64)

    @numba.njit
    def statistics(x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for i in range(d):
            out[i] = x[i]
        for k in range(first.shape[0]):
            out[d + k] = x[first[k]] * x[second[k]]

    return statistics
