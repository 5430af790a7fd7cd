"""Exponential families: own statistics over a support, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, shown
from sciinf.engines.pn.cumulants import CumulantSummary, settled, summary_of
from sciinf.engines.pn.hull import check_inside
from sciinf.engines.pn.moments import ModelMoments, whitening_root
from sciinf.engines.pn.nodes import Rule, rule_of
from sciinf.engines.pn.settings import CumulantSettings, positive_integer
from sciinf.engines.pn.support import Support

__all__ = ["ExponentialFamily", "normalised_weights"]

FloatArray = NDArray[np.float64]

_NEWTON, _GRADIENT = 100, 1e-10
_HALVINGS = 60
_CUT = 0.25


def normalised_weights(n: int, weights: ArrayLike | None) -> FloatArray:
    """Weights (n,) that sum to one.

    Raises
    ------
    DataError
        If they are negative, all zero, not finite or of another length.
    """
    if weights is None:
        return np.full(n, 1.0 / n)
    values = finite_array("weights", weights, shape=(-1,))
    if len(values) != n:
        raise DataError(f"pn: weights must have one entry per observation, {n}, got {len(values)}")
    if np.any(values < 0.0):
        first = int(np.argmax(values < 0.0))
        raise DataError(f"pn: weights must not be negative; weights[{first}] = {values[first]:g}")
    total = float(values.sum())
    if total <= 0.0:
        raise DataError("pn: all weights are zero")
    return np.asarray(values / total)


def _as_points(x: ArrayLike, dim: int) -> FloatArray:
    """Observations as (n, dim)."""
    raw = np.asarray(x)
    if raw.ndim == 1 and dim == 1:
        raw = raw[:, None]
    points = finite_array("data", raw, shape=(-1, dim))
    if len(points) < 2:
        raise DataError(f"pn: at least two observations are needed, got {len(points)}")
    return points


@dataclass(frozen=True, eq=False)
class ExponentialFamily:
    """Densities exp(theta.T(x) + log h(x) - psi(theta)) over a support.

    Parameters
    ----------
    statistics : numba function
        ``statistics(x, out)`` writes T (n_statistics,) of a point x (dim,) float64 into ``out``; decorated with ``numba.njit``.
    n_statistics : int
        p.
    support : Support
        Where x lives.
    log_base : numba function, optional
        ``log_base(x) -> float``, log h; None for 0.
    names : tuple of str, optional
        Of the parameters; theta_1, theta_2, ... by default.

    Raises
    ------
    ConfigError
        If the statistics are not a numba function, or numbers and names do not fit.

    Examples
    --------
    >>> import numba
    >>> from sciinf.engines.pn.support import Spins
    >>> @numba.njit
    ... def edge(x, out):
    ...     out[0] = x[0] * x[1]
    >>> family = ExponentialFamily(edge, 1, Spins(2), names=("coupling",))
    >>> round(float(family.mean(np.array([0.5]))[0]), 6)  # tanh(0.5)
    0.462117
    """

    statistics: Any
    n_statistics: int
    support: Support
    log_base: Any = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        positive_integer("n_statistics", self.n_statistics)
        if not isinstance(self.support, Support):
            raise ConfigError(
                "ExponentialFamily: support must be one of RealLine, HalfLine, Interval, Box, Circle, FiniteSet, Integers, Spins, "
                f"got {shown(self.support)}"
            )
        for label, function in (("statistics", self.statistics), ("log_base", self.log_base)):
            if function is not None and not hasattr(function, "py_func"):
                raise ConfigError(
                    f"ExponentialFamily: {label} must be a numba function: put @numba.njit above its definition; got {shown(function)}"
                )
        names = tuple(self.names) if self.names is not None else tuple(f"theta_{i + 1}" for i in range(self.n_statistics))
        if len(names) != self.n_statistics or len(set(names)) != len(names):
            raise ConfigError(f"ExponentialFamily: names must be {self.n_statistics} different ones, got {names}")
        object.__setattr__(self, "names", names)

    # What a family with closed forms replaces.

    def evaluate(self, x: FloatArray) -> FloatArray:
        """T (n, p) of points (n, dim)."""
        from sciinf.engines.pn.kernels import evaluate

        out = np.empty((len(x), self.n_statistics))
        evaluate(self.statistics, np.array(x, dtype=np.float64, order="C"), out)
        return out

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """Log h (n,) of points (n, dim)."""
        if self.log_base is None:
            return np.zeros(len(x))
        from sciinf.engines.pn.kernels import evaluate_log_base

        out = np.empty(len(x))
        evaluate_log_base(self.log_base, np.array(x, dtype=np.float64, order="C"), out)
        return out

    @property
    def simulates_itself(self) -> bool:
        """Whether `simulate` is a direct law of the family's own."""
        return False

    def compiled_density(self, theta: FloatArray) -> tuple[Any, Any, FloatArray]:
        """Numba functions of T and log h, None where there is none, and the theta (p,) that goes with them: for chains over x."""
        return self.statistics, self.log_base, theta

    def hints(self, theta: FloatArray) -> FloatArray | None:
        """Stationary points of the density on a line, where they are known."""
        del theta
        return None

    def boundary(self, theta: FloatArray) -> str | None:
        """What is wrong with a theta outside the natural domain; None inside, or where it is not known without integrating."""
        del theta
        return None

    def check_step(self, theta: FloatArray, information: FloatArray, cut: int) -> None:
        """Stop a search that runs to the edge of the natural domain, where the edge belongs to another family.

        ``cut`` counts the last steps in a row that had to be shortened to a quarter or less.

        Raises
        ------
        DataError
            If it does: no maximum exists.
        """
        del theta, information, cut

    def start(self, mean: FloatArray) -> FloatArray:
        """Where a search for theta begins."""
        return np.zeros(len(mean))

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """Cumulants in closed form, or None."""
        del theta
        return None

    # What follows.

    @property
    def p(self) -> int:
        """Number of parameters."""
        return self.n_statistics

    def check_theta(self, theta: ArrayLike) -> FloatArray:
        """``theta`` (p,) inside the natural domain, as far as that is known.

        Raises
        ------
        DataError
            If it has another length, is not finite, or lies outside.
        """
        raw = np.asarray(theta)
        if raw.shape != (self.p,):
            raise DataError(f"pn: theta must be ({', '.join(self.names or ())}) of shape ({self.p},), got shape {raw.shape}")
        values = finite_array("theta", raw, shape=(self.p,))
        wrong = self.boundary(values)
        if wrong is not None:
            raise DataError(f"pn: theta lies outside the natural domain: {wrong}")
        return values

    def in_domain(self, theta: ArrayLike) -> bool:
        """Whether psi is finite at ``theta`` (p,)."""
        try:
            return math.isfinite(self.log_partition(theta))
        except DataError:
            return False

    def rule(self, theta: FloatArray) -> Rule:
        """Points and measure for sums over the law at ``theta``."""
        return rule_of(self.support, lambda x: self.evaluate(x) @ theta + self.log_base_of(x), self.evaluate, self.hints(theta))

    def _tilted(self, theta: FloatArray, rule: Rule) -> tuple[FloatArray, FloatArray, float]:
        """Statistics, probabilities and psi of a rule."""
        statistics = self.evaluate(rule.points)
        exponents = statistics @ theta + self.log_base_of(rule.points) + rule.log_measure
        log_partition = float(special.logsumexp(exponents))
        return statistics, np.exp(exponents - log_partition), log_partition

    def log_partition(self, theta: ArrayLike) -> float:
        """psi at ``theta`` (p,).

        Raises
        ------
        DataError
            If theta lies outside the natural domain.
        """
        values = self.check_theta(theta)
        return float(settled(self.rule(values), lambda rule: np.array([self._tilted(values, rule)[2]]), absolute=1e-13)[0])

    def mean(self, theta: ArrayLike) -> FloatArray:
        """E T (p,) at ``theta``; errors as `log_partition`."""
        return self._mean_and_fisher(self.check_theta(theta))[0]

    def fisher(self, theta: ArrayLike) -> FloatArray:
        """Covariance of T (p, p) at ``theta``; errors as `log_partition`."""
        return self._mean_and_fisher(self.check_theta(theta))[1]

    def _mean_and_fisher(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.state(theta)[1:]

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """psi, E T (p,) and the covariance of T (p, p) at a theta of the domain."""

        def all_three(rule: Rule) -> FloatArray:
            statistics, probabilities, log_partition = self._tilted(theta, rule)
            mean = probabilities @ statistics
            centred = statistics - mean
            return np.concatenate([[log_partition], mean, ((centred * probabilities[:, None]).T @ centred).ravel()])

        found = settled(self.rule(theta), all_three, relative=1e-12)
        return float(found[0]), found[1 : self.p + 1], found[self.p + 1 :].reshape(self.p, self.p)

    def moments(self, theta: ArrayLike, settings: CumulantSettings | None = None) -> tuple[ModelMoments, str, int]:
        """Moments at ``theta``, where they come from, and the number of nodes."""
        from sciinf.engines.pn.cumulants import moments_of

        return moments_of(self, self.check_theta(theta), settings or CumulantSettings())

    def cumulants(self, theta: ArrayLike, settings: CumulantSettings | None = None) -> CumulantSummary:
        """Second-order terms of the risk at ``theta``, the model true.

        Raises
        ------
        DataError
            If theta lies outside the natural domain or the information is singular.
        ConfigError
            If the chosen source does not apply.
        """
        return summary_of(*self.moments(theta, settings))

    def log_density(self, x: ArrayLike, theta: ArrayLike) -> FloatArray:
        """Log density (n,) of observations ``x`` (n,) or (n, dim); -inf outside the support."""
        values = self.check_theta(theta)
        raw = np.asarray(x, dtype=np.float64)
        points = raw[:, None] if raw.ndim == 1 and self.support.dim == 1 else np.atleast_2d(raw)
        inside = self.support.contains(points)
        out = np.full(len(points), -math.inf)
        if inside.any():
            some = points[inside]
            out[inside] = self.evaluate(some) @ values + self.log_base_of(some) - self.log_partition(values)
        return out

    def kl(self, theta_a: ArrayLike, theta_b: ArrayLike) -> float:
        """Kullback-Leibler divergence of the law at ``theta_a`` from that at ``theta_b``, KL[a | b], in nats."""
        a, b = self.check_theta(theta_a), self.check_theta(theta_b)
        return max(self.log_partition(b) - self.log_partition(a) - float(self.mean(a) @ (b - a)), 0.0)

    def observed(self, x: ArrayLike) -> FloatArray:
        """Observations as (n, dim), all in the support.

        Raises
        ------
        DataError
            If one is not finite or outside; names the first.
        """
        points = _as_points(x, self.support.dim)
        outside = ~self.support.contains(points)
        if outside.any():
            first = int(np.argmax(outside))
            value = points[first, 0] if self.support.dim == 1 else points[first].tolist()
            raise DataError(f"pn: observation {first} is {value}, outside {self.support} ({int(outside.sum())} such)")
        return points

    def fit(self, x: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
        """Maximum-likelihood theta (p,) of observations ``x`` (n,) or (n, dim).

        Raises
        ------
        DataError
            If the data are malformed or no maximum exists.
        ConvergenceError
            If Newton's method does not end.
        """
        points = self.observed(x)
        share = normalised_weights(len(points), weights)
        return self.fit_statistics(self.evaluate(points), share)

    def fit_statistics(self, statistics: FloatArray, share: FloatArray, near: FloatArray | None = None) -> FloatArray:
        """`fit` from statistics (n, p) and weights (n,) that sum to one; ``near``: a theta to begin at."""
        self.check_exists(statistics, share)
        return self.fit_mean(share @ statistics, near)

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Check that a maximum of the likelihood exists, as far as the data can tell.

        Raises
        ------
        DataError
            If not.
        """
        if self.support.is_finite:
            check_inside(self.evaluate(self.support.points()), share @ statistics, self.names or ())
            return
        kept = statistics[share > 0.0]
        if np.any(np.ptp(kept, axis=0) == 0.0):
            name = (self.names or ())[int(np.argmax(np.ptp(kept, axis=0) == 0.0))]
            raise DataError(f"pn: the maximum likelihood estimate does not exist: the statistic of {name} is the same in all observations")

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """Theta (p,) at which E T is ``eta``: Newton's method on psi(theta) - theta.eta, held inside the domain.

        Raises
        ------
        DataError
            If there is none.
        ConvergenceError
            If it does not end; names the iterations and the gradient.
        """
        target = finite_array("eta", np.asarray(eta), shape=(self.p,))
        theta, state = self._begun(target) if near is None else (near, self.state(near))
        norm, cut = math.inf, 0
        for _ in range(_NEWTON):
            log_partition, mean, information = state
            self.check_step(theta, information, cut)
            root = whitening_root(information, self.names or ())
            half = np.linalg.solve(root.T, mean - target)
            norm = float(np.sqrt(half @ half))
            if norm < _GRADIENT:
                return theta
            value = log_partition - float(theta @ target)
            theta, state, length = self._descended(theta, value, np.linalg.solve(root, half), norm, target)
            cut = cut + 1 if length <= _CUT else 0
        raise ConvergenceError(
            f"pn: Newton's method has not found theta in {_NEWTON} iterations: gradient {norm:.2g}, theta {theta.tolist()}"
        )

    def _begun(self, target: FloatArray) -> tuple[FloatArray, tuple[float, FloatArray, FloatArray]]:
        """A theta with a finite psi: the family's start, or, where no density is finite there, a step along one statistic."""
        start = self.start(target)
        try:
            return start, self.state(start)
        except DataError as error:
            failed = error
        size = np.maximum(np.abs(target), 1e-3)
        for k in reversed(range(self.p)):
            for sign in (-1.0, 1.0):
                trial = start.copy()
                trial[k] += sign / size[k]
                try:
                    return trial, self.state(trial)
                except DataError:
                    continue
        raise failed

    def _descended(
        self, theta: FloatArray, value: float, step: FloatArray, norm: float, target: FloatArray
    ) -> tuple[FloatArray, tuple[float, FloatArray, FloatArray], float]:
        """The step, halved until the value falls, and what is left of it."""
        length = 1.0
        for _ in range(_HALVINGS):
            trial = theta - length * step
            if self.boundary(trial) is None:
                try:
                    state = self.state(trial)
                except (DataError, ConvergenceError):
                    length *= 0.5
                    continue
                found = state[0] - float(trial @ target)
                if found <= value - 1e-4 * length * norm**2 or (norm < 1e-5 and found <= value + 1e-12 * (1.0 + abs(value))):
                    return trial, state, length
            length *= 0.5
        raise ConvergenceError(
            f"pn: Newton's method finds no descent: gradient {norm:.2g} at theta {theta.tolist()}. Is the mean of the statistics on the "
            "edge of what the family can have?"
        )

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,), or (n, dim) of more coordinates than one; the same for the same state of ``rng``.

        Parameters
        ----------
        theta : (p,) float64 array
        n : int
        rng : numpy.random.Generator

        Raises
        ------
        ConfigError
            If n is no positive integer or rng no generator of numpy.
        DataError
            If theta lies outside the natural domain.
        ConvergenceError
            If the law needs chains, and they do not mix.

        Notes
        -----
        Exact on listed states, integers and in one dimension; beyond, thinned chains.

        Examples
        --------
        >>> from sciinf.engines.pn import families, RealLine
        >>> quartic = families.PolynomialExponential(4, RealLine())
        >>> x = quartic.simulate([0.0, 1.0, 0.0, -0.25], 1000, np.random.default_rng(1))
        >>> x.shape, bool(abs(np.mean(x**2) - quartic.mean([0.0, 1.0, 0.0, -0.25])[1]) < 0.2)
        ((1000,), True)
        """
        from sciinf.engines.pn.simulate import simulated

        drawn = simulated(self, self.check_theta(theta), n, rng)
        return drawn[:, 0] if self.support.dim == 1 else drawn

    def affine(self, M: ArrayLike, c: ArrayLike) -> ExponentialFamily:
        """The same laws in the statistics M T + c: theta becomes the inverse of M' times theta.

        Parameters
        ----------
        M : (p, p) float64 array
            Invertible.
        c : (p,) float64 array

        Raises
        ------
        ConfigError
            If M is singular, or shapes do not fit.

        Examples
        --------
        >>> from sciinf.engines.pn import families
        >>> poisson = families.Poisson()
        >>> halved = poisson.affine([[0.5]], [1.0])
        >>> round(float(halved.mean([2.0 * np.log(3.0)])[0]), 12)  # 3 / 2 + 1
        2.5
        """
        from sciinf.engines.pn.affine import AffineFamily

        return AffineFamily(self, M, c)

    def describe(self) -> tuple[Any, ...]:
        """What identifies the family, for hashes."""
        code = self.statistics.py_func.__code__.co_code, repr(self.statistics.py_func.__code__.co_consts)
        return type(self).__name__, self.p, str(self.support), self.names, code
