"""The posterior's maximum and its curvature there, for any Problem."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from sciinf.core.arrays import finite_column
from sciinf.core.engine import smooth_of
from sciinf.core.errors import ConfigError, ConvergenceError, LikelihoodError
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator

__all__ = ["Optimum", "fisher", "maximise"]

logger = logging.getLogger(__name__)

_POOL_PER_START = 32  # prior draws looked at for each start; the best one starts the search
_GAIN_LEFT = 1e-3  # in ln posterior: what a Newton step may still promise at convergence
_DROP = 0.5  # fall of ln posterior that defines a parameter's scale: one conditional sigma where it is Gaussian
_GRADIENT_STEP = 1e-2  # in scales
_HESSIAN_STEP = 0.1  # in scales; Richardson's extrapolation from this and twice this
_NEWTON_STEPS = 30


@dataclass(frozen=True, eq=False)
class Optimum:
    """What `maximise` found.

    Attributes
    ----------
    theta : (n_dim,) float64 array
        The best point.
    log_posterior : float
        ln prior + ln L there, by the engine itself and not by its smooth stand-in.
    converged : bool
        Whether a Newton step within the prior's support promises less than 1e-3 in ln posterior.
    gain_left : float
        What it promises; infinite where the curvature could not be had.
    starts : (n_starts, n_dim) float64 array
        Where each search ended, best first.
    start_values : (n_starts,) float64 array
        ln posterior of the searched (smooth) problem at each: values far apart tell of several modes.
    n_calls : int
        Likelihood evaluations spent; the problem's own counters are untouched.
    """

    theta: NDArray[np.float64]
    log_posterior: float
    converged: bool
    gain_left: float
    starts: NDArray[np.float64]
    start_values: NDArray[np.float64]
    n_calls: int


@dataclass(frozen=True, eq=False)
class _Surface:
    """The searched problem with the box of its prior's support and each parameter's prior width."""

    problem: Problem
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    width: NDArray[np.float64]

    def values(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Posterior (ln) of each row."""
        return self.problem.log_posterior_many(thetas)

    def value(self, theta: NDArray[np.float64]) -> float:
        """Posterior (ln) at one point."""
        return float(self.values(theta[None, :])[0])


@dataclass(frozen=True, eq=False)
class _Peak:
    """Where one search stands."""

    theta: NDArray[np.float64]
    value: float
    gain_left: float = math.inf


def _surface(problem: Problem) -> _Surface:
    """The problem to search on: its engine's smooth form, with counters of its own."""
    searched = Problem(smooth_of(problem.engine), problem.priors, on_nan=problem.on_nan, name=problem.name)
    supports = problem.priors.supports
    low, high = (np.array([supports[name][side] for name in problem.names], dtype=np.float64) for side in (0, 1))
    sample = problem.priors.sample(generator(0, "optimum/width"), 256)
    width = np.quantile(sample, 0.84, axis=0) - np.quantile(sample, 0.16, axis=0)
    return _Surface(searched, low, high, np.where(width > 0.0, width, 1.0))


def _axis_scale(surface: _Surface, theta: NDArray[np.float64], axis: int, guess: float) -> float:
    """Step along ``axis`` over which ln posterior bends by about `_DROP`; the largest step tried where it does not bend."""
    largest = min(8.0 * surface.width[axis], 0.25 * (surface.high[axis] - surface.low[axis]))
    step = min(guess, largest)
    best, distance = step, math.inf
    smallest = 1e-12 * max(surface.width[axis], abs(float(theta[axis])))
    for _ in range(40):
        triple = np.repeat(theta[None, :], 3, axis=0)
        triple[:, axis] = np.clip(theta[axis], surface.low[axis] + step, surface.high[axis] - step) + step * np.array([0.0, 1.0, -1.0])
        middle, right, left = surface.values(triple)
        bend = middle - 0.5 * (right + left) if middle > -math.inf else math.inf
        off = abs(math.log(bend / _DROP)) if 0.0 < bend < math.inf else math.inf
        if off < distance or distance == math.inf:
            best, distance = step, off
        if off < 0.7:
            break
        factor = math.sqrt(_DROP / bend) if bend > 0.0 else 4.0
        if (factor > 1.0 and step >= largest) or (factor < 1.0 and step <= smallest):
            break
        step = min(largest, step * min(10.0, max(0.05, factor)))
    return float(best)


def _scales(surface: _Surface, theta: NDArray[np.float64], guess: NDArray[np.float64]) -> NDArray[np.float64]:
    """`_axis_scale` of every parameter."""
    return np.array([_axis_scale(surface, theta, axis, guess[axis]) for axis in range(theta.size)])


def _second_differences(surface: _Surface, centre: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_dim, n_dim) minus second derivatives of ln posterior in units of ``step``, by central differences."""
    n, unit = centre.size, np.diag(step)
    rows, columns = np.tril_indices(n, -1)
    points = [centre[None, :], centre + unit, centre - unit]
    points += [centre + a * unit[rows] + b * unit[columns] for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    values = surface.values(np.concatenate(points))
    middle, right, left = values[0], values[1 : n + 1], values[n + 1 : 2 * n + 1]
    corner = values[2 * n + 1 :].reshape(4, len(rows))
    matrix = np.empty((n, n))
    with np.errstate(invalid="ignore"):
        matrix[np.diag_indices(n)] = 2.0 * middle - right - left
        matrix[rows, columns] = -0.25 * (corner[0] - corner[1] - corner[2] + corner[3])
    matrix[columns, rows] = matrix[rows, columns]
    return matrix


def _curvature(surface: _Surface, theta: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus Hessian of ln posterior in units of ``scale``, fourth order; the stencil moves inward at an edge. NaN where it cannot be."""
    step = np.minimum(_HESSIAN_STEP * scale, (surface.high - surface.low) / 8.0)
    at_edge = np.minimum(theta - surface.low, surface.high - theta) < 2.0 * step
    step = np.where(at_edge, 0.1 * step, step)  # there the stencil moves inward: by little
    for _ in range(4):
        centre = np.minimum(np.maximum(theta, surface.low + 2.0 * step), surface.high - 2.0 * step)
        coarse, fine = _second_differences(surface, centre, 2.0 * step), _second_differences(surface, centre, step)
        with np.errstate(invalid="ignore"):
            matrix = (16.0 * fine - coarse) / 12.0 / np.outer(step / scale, step / scale)
        if np.all(np.isfinite(matrix)):
            return matrix
        step = step / 4.0  # a stencil point fell outside a region that is no box
    return np.full((theta.size, theta.size), np.nan)


def _gradient(surface: _Surface, theta: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of ln posterior per scale: central, one-sided where the support or the region ends."""
    step = _GRADIENT_STEP * scale
    ahead, behind = np.minimum(step, surface.high - theta), np.minimum(step, theta - surface.low)
    values = surface.values(np.concatenate([theta[None, :], theta + np.diag(ahead), theta - np.diag(behind)]))
    middle, right, left = values[0], values[1 : theta.size + 1], values[theta.size + 1 :]
    ahead, right = np.where(np.isfinite(right), ahead, 0.0), np.where(np.isfinite(right), right, middle)
    behind, left = np.where(np.isfinite(left), behind, 0.0), np.where(np.isfinite(left), left, middle)
    span = (ahead + behind) / scale
    with np.errstate(invalid="ignore"):  # -inf on both sides, where the span is 0
        return np.where(span > 0.0, (right - left) / np.where(span > 0.0, span, 1.0), 0.0)


def _search(surface: _Surface, peak: _Peak, scale: NDArray[np.float64], method: str) -> _Peak:
    """One search of scipy's in coordinates of ``scale``, bounded by the support; never returns a worse point."""
    origin, best = peak.theta, peak

    def evaluate(y: NDArray[np.float64]) -> float:
        nonlocal best
        theta = np.clip(origin + y * scale, surface.low, surface.high)
        value = surface.value(theta)
        if value > best.value:
            best = _Peak(theta, value)
        return -value if value > -math.inf else abs(peak.value) + 1e10

    def slope(y: NDArray[np.float64]) -> NDArray[np.float64]:
        return -_gradient(surface, np.clip(origin + y * scale, surface.low, surface.high), scale)

    bounds = optimize.Bounds((surface.low - origin) / scale, (surface.high - origin) / scale)
    if method == "L-BFGS-B":
        optimize.minimize(evaluate, np.zeros(origin.size), jac=slope, method=method, bounds=bounds, options={"maxiter": 200, "gtol": 1e-3})
    else:
        limit = {"maxfev": 400 * origin.size, "xatol": 1e-3, "fatol": 1e-5, "adaptive": True}
        optimize.minimize(evaluate, np.zeros(origin.size), method=method, bounds=bounds, options=limit)
    return best


def _newton(surface: _Surface, peak: _Peak, scale: NDArray[np.float64]) -> _Peak:
    """Damped Newton steps within the support, until a step promises less than `_GAIN_LEFT`."""
    radius = 4.0
    for _ in range(_NEWTON_STEPS):
        curvature, gradient = _curvature(surface, peak.theta, scale), _gradient(surface, peak.theta, scale)
        if not np.all(np.isfinite(curvature)):
            return _Peak(peak.theta, peak.value)
        values, vectors = np.linalg.eigh(curvature)
        root = np.sqrt(np.maximum(np.abs(values), 1e-6))[:, None] * vectors.T  # root.T @ root is the curvature, made positive
        low, high = (surface.low - peak.theta) / scale, (surface.high - peak.theta) / scale
        while radius > 1e-8:
            limits = (np.maximum(low, -radius) - 1e-12, np.minimum(high, radius) + 1e-12)
            step = optimize.lsq_linear(root, np.linalg.solve(root.T, gradient), bounds=limits, method="bvls").x
            promised = float(gradient @ step - 0.5 * np.sum((root @ step) ** 2))
            theta = np.clip(peak.theta + step * scale, surface.low, surface.high)
            value = surface.value(theta)
            if value >= peak.value or promised < 0.1 * _GAIN_LEFT:
                break
            radius = min(radius, float(np.max(np.abs(step)))) / 4.0
        full = bool(np.max(np.abs(step)) < radius)
        gained, peak = value - peak.value, _Peak(theta, value, promised) if value >= peak.value else _Peak(peak.theta, peak.value, promised)
        if (promised < _GAIN_LEFT and full and gained < _GAIN_LEFT) or radius <= 1e-8:
            return peak
        radius *= 4.0
    return peak


def _climb(surface: _Surface, theta: NDArray[np.float64]) -> _Peak:
    """Search from one start: quasi-Newton while it gains, then Newton; a simplex where those do not converge."""
    peak, scale = _Peak(theta, surface.value(theta)), 0.1 * surface.width
    for _ in range(6):
        scale = _scales(surface, peak.theta, scale)
        before, peak = peak.value, _search(surface, peak, scale, "L-BFGS-B")
        if peak.value - before < 0.1:
            break
    scale = _scales(surface, peak.theta, scale)
    peak = _newton(surface, peak, scale)
    if peak.gain_left > _GAIN_LEFT:
        peak = _search(surface, peak, scale, "Nelder-Mead")
        peak = _newton(surface, peak, _scales(surface, peak.theta, scale))
    return peak


def _start_points(surface: _Surface, seed: int, n_starts: int) -> NDArray[np.float64]:
    """(n_starts, n_dim): the best of each of n_starts groups of prior draws; widened where a group has none that is possible."""
    priors, rng = surface.problem.priors, generator(seed, "optimum")
    starts: list[NDArray[np.float64]] = []
    for _ in range(n_starts + 20):
        pool = priors.sample(rng, _POOL_PER_START)
        values = surface.values(pool)
        if np.max(values) > -np.inf:
            starts.append(pool[int(np.argmax(values))])
        if len(starts) == n_starts:
            return np.array(starts)
    if starts:
        return np.array(starts)
    ranges = ", ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in priors.supports.items())
    tried = _POOL_PER_START * (n_starts + 20)
    raise LikelihoodError(f"{surface.problem.name}: the posterior is zero at all {tried} prior draws tried as starts, from {ranges}")


def maximise(problem: Problem, seed: int, n_starts: int = 4) -> Optimum:
    """Find the maximum of ``problem``'s posterior density.

    Each search starts at the best of 32 prior draws and runs scipy's bounded quasi-Newton method in coordinates scaled to the
    posterior's width, then Newton steps within the prior's support, with numerical derivatives. An engine that offers `smooth` is
    searched in that form; the value reported is the engine's own.

    Parameters
    ----------
    problem : Problem
        What to maximise; prior density included.
    seed : int
        Of the starting points.
    n_starts : int
        Searches; compare `Optimum.start_values` to see whether they met.

    Raises
    ------
    ConfigError
        If ``n_starts`` is not a positive integer.
    LikelihoodError
        If the posterior is zero at every starting point tried, or the likelihood fails.

    Notes
    -----
    Edges of the prior's box are respected and do not spoil convergence. Where the maximum lies on the edge of a declared region that is
    no box, derivatives across that edge are missing: the search ends near it (by about 0.01 in ln posterior in the tests) and
    ``converged`` speaks of the directions that are left.

    Examples
    --------
    >>> from sciinf.core.function_engine import FunctionEngine
    >>> from sciinf.core.parameter import Parameter
    >>> from sciinf.core.prior_set import PriorSet
    >>> from sciinf.core.priors import Uniform
    >>> engine = FunctionEngine(lambda theta: -0.5 * float((theta[0] - 1.0) ** 2), ["x"], version="1")
    >>> best = maximise(Problem(engine, PriorSet([Parameter("x", Uniform(-5, 5))])), seed=1)
    >>> best.converged, round(float(best.theta[0]), 4)
    (True, 1.0)
    """
    if isinstance(n_starts, bool) or not isinstance(n_starts, (int, np.integer)) or n_starts < 1:
        raise ConfigError(f"n_starts must be a positive integer, got {n_starts!r}")
    surface = _surface(problem)
    peaks = [_climb(surface, start) for start in _start_points(surface, seed, int(n_starts))]
    peaks.sort(key=lambda peak: -peak.value)
    best = peaks[0]
    official = Problem(problem.engine, problem.priors, on_nan=problem.on_nan, name=problem.name)
    value = official.log_posterior(best.theta)
    calls = surface.problem.counts.calls + official.counts.calls
    converged = best.gain_left < _GAIN_LEFT
    logger.info("%s: maximum %.6g after %d calls, %s", problem.name, value, calls, "converged" if converged else "not converged")
    return Optimum(
        best.theta,
        value,
        converged,
        best.gain_left,
        np.array([peak.theta for peak in peaks]),
        np.array([peak.value for peak in peaks]),
        calls,
    )


def fisher(problem: Problem, theta: ArrayLike) -> NDArray[np.float64]:
    """Curvature of ``problem``'s ln posterior at ``theta``: minus its Hessian, (n_dim, n_dim), prior included.

    At the maximum its inverse is the covariance of the Gaussian approximation. Central differences with steps of a tenth of each
    parameter's conditional sigma, found by the fall of ln posterior, extrapolated once (error of fourth order); at the edge of the
    prior's support the stencil moves inward. An engine that offers `smooth` is differentiated in that form.

    Raises
    ------
    DataError
        If ``theta`` is not n_dim finite numbers.
    LikelihoodError
        If the posterior is zero at ``theta``.
    ConvergenceError
        If no step keeps all points of the stencil inside the region where the posterior is positive.

    Examples
    --------
    >>> from sciinf.core.function_engine import FunctionEngine
    >>> from sciinf.core.parameter import Parameter
    >>> from sciinf.core.prior_set import PriorSet
    >>> from sciinf.core.priors import Uniform
    >>> engine = FunctionEngine(lambda theta: -0.5 * float((theta[0] / 0.1) ** 2), ["x"], version="1")
    >>> fisher(Problem(engine, PriorSet([Parameter("x", Uniform(-5, 5))])), [0.0]).round(3)
    array([[100.]])
    """
    point = finite_column("theta", theta, length=problem.n_dim)
    surface = _surface(problem)
    if surface.value(point) == -math.inf:
        by_name = ", ".join(f"{name}={value:g}" for name, value in zip(problem.names, point, strict=True))
        raise LikelihoodError(f"{problem.name}: the posterior is zero at {by_name}, so it has no curvature there")
    scale = _scales(surface, point, 0.1 * surface.width)
    matrix = _curvature(surface, point, scale)
    if not np.all(np.isfinite(matrix)):
        raise ConvergenceError(
            f"{problem.name}: no finite-difference step stays where the posterior is positive; move theta off the region's edge"
        )
    return matrix / np.outer(scale, scale)
