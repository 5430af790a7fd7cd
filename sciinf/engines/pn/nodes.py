"""Points and weights that stand for a family's law: listed states, sums over integers, quadrature in up to three dimensions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from sciinf.core.errors import ConvergenceError, DataError
from sciinf.engines.pn.support import Box, Circle, HalfLine, Integers, Interval, Spins, Support

__all__ = ["LogDensity", "Rule", "ends_of", "has_rule", "listed", "modes_of", "panels_of", "rule_of"]

FloatArray = NDArray[np.float64]
LogDensity = Callable[[FloatArray], FloatArray]

_DROP = 745.0  # in ln: where a density ends in double precision
_TAIL = 1e-17  # of a sum over integers, relative
_SINH = 33.0  # search for modes on the real line reaches e^33 either way
_COARSE, _FINE = 16, 32  # nodes of a panel, for its error
_PANEL_ERROR = 1e-13
_MOST_PANELS = 4000
_MOST_NODES = 2**19  # of all panels: a density of few of them is resolved long before
_DEPTH = 100
_BISECTIONS = 8  # of where a density ends: panels are halved afterwards
_MOST_INTEGERS = 2**24


@dataclass(frozen=True, eq=False)
class Rule:
    """Points (n, dim) and the logarithms of their measure (n,), finer from ``refined`` to ``refined``; None where it is exact."""

    points: FloatArray
    log_measure: FloatArray
    refined: Callable[[], Rule] | None = None


def rule_of(
    support: Support, log_density: LogDensity, statistics: Callable[[FloatArray], FloatArray], hints: FloatArray | None = None
) -> Rule:
    """A rule for sums and integrals of a density over a support, or their listed points.

    Parameters
    ----------
    support : Support
    log_density : callable
        ln of the density, up to a constant, of points (n, dim); -inf allowed.
    statistics : callable
        From points (n, dim) to (n, p) what is to be integrated, to fourth order.
    hints : (k,) float64 array, optional
        All stationary points of a density on a line, where they are known: none is then searched for.

    Raises
    ------
    DataError
        If the density cannot be normalised, or the support has too many dimensions or states.
    """
    if support.is_finite:
        return listed(support)
    if isinstance(support, Integers):
        return _integers(support, log_density)
    if isinstance(support, Circle):
        return _circle(32)
    if isinstance(support, Box) and 1 < support.dim <= 3:
        return _box(support, 24)
    if support.dim == 1 and not isinstance(support, Spins):
        return _panels(panels_of(support, log_density, statistics, hints), 2 * _COARSE)
    raise DataError(f"pn: no quadrature over {support}: at most three dimensions, or 2^20 states")


def has_rule(support: Support) -> bool:
    """Whether there is a `rule_of` a support, exact or refinable."""
    return support.is_finite or not (isinstance(support, Spins) or support.dim > 3)


def panels_of(
    support: Support, log_density: LogDensity, statistics: Callable[[FloatArray], FloatArray], hints: FloatArray | None = None
) -> FloatArray:
    """Edges (k + 1,) of panels in each of which 32 nodes resolve a density on a line or once around the circle; arguments as `rule_of`."""
    low, high = ends_of(support)
    return _edges(log_density, statistics, low, high, hints)


def listed(support: Support) -> Rule:
    """All points of a finite support."""
    points = support.points()
    return Rule(points, np.zeros(len(points)))


def ends_of(support: Support) -> tuple[float, float]:
    """Ends of a line, half-line, interval, or the circle."""
    if isinstance(support, HalfLine):
        return support.low, math.inf
    if isinstance(support, Interval):
        return support.low, support.high
    if isinstance(support, Circle):
        return 0.0, 2.0 * math.pi
    return (support.lower[0], support.upper[0]) if isinstance(support, Box) else (-math.inf, math.inf)


def _integers(support: Integers, log_density: LogDensity) -> Rule:
    """From the first on until the rest, bounded by a geometric series of the last ratio, is below 1e-17 of the sum."""
    size = 1024
    while size <= _MOST_INTEGERS:
        points = (support.low + np.arange(size, dtype=np.float64))[:, None]
        values = log_density(points)
        top, slope = float(np.max(values)), float(values[-1] - values[-2])
        if not math.isfinite(top):
            raise DataError(f"pn: the density on {support} is nowhere positive and finite")
        total = float(np.sum(np.exp(values - top)))
        if slope < 0.0 and values[-1] - top < math.log(_TAIL * total * -math.expm1(slope)):
            last = int(np.flatnonzero(values - top > math.log(_TAIL) - 20.0)[-1]) + 2
            return Rule(points[:last], np.zeros(min(last, size)))
        size *= 2
    raise DataError(f"pn: the density on {support} has no end within {_MOST_INTEGERS:,} integers: can it be normalised at this theta?")


def _circle(n: int) -> Rule:
    """Equal steps: exact for trigonometric polynomials below degree n, and spectral for smooth periodic densities."""
    points = (2.0 * math.pi * np.arange(n) / n)[:, None]
    return Rule(points, np.full(n, math.log(2.0 * math.pi / n)), lambda: _circle(2 * n))


def _box(box: Box, order: int) -> Rule:
    """Gauss-Legendre in each direction."""
    if order**box.dim > 2**23:
        raise ConvergenceError(f"pn: the density over {box} is not resolved by {order // 2} points in each direction")
    x, w = _legendre(order)
    axes = [
        (0.5 * (low + high) + 0.5 * (high - low) * x, np.log(0.5 * (high - low) * w))
        for low, high in zip(box.lower, box.upper, strict=True)
    ]
    points = np.array(list(itertools.product(*[axis for axis, _ in axes])))
    measure = np.array([sum(parts) for parts in itertools.product(*[weights for _, weights in axes])])
    return Rule(points, measure, lambda: _box(box, 2 * order))


def _panels(edges: FloatArray, order: int) -> Rule:
    """Gauss-Legendre in every panel."""
    if order > 2048 or order * (len(edges) - 1) > _MOST_NODES:
        raise ConvergenceError(f"pn: {order // 2} points in each of {len(edges) - 1} panels do not resolve the density")
    points, measure = _gauss(edges[:-1], edges[1:], order)
    return Rule(points.reshape(-1, 1), np.log(measure).ravel(), lambda: _panels(edges, 2 * order))


@functools.lru_cache(maxsize=32)
def _legendre(order: int) -> tuple[FloatArray, FloatArray]:
    return np.polynomial.legendre.leggauss(order)


def _gauss(low: FloatArray, high: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    x, w = _legendre(order)
    half = 0.5 * (high - low)[:, None]
    return low[:, None] + half * (1.0 + x), half * w


def _edges(
    log_density: LogDensity, statistics: Callable[[FloatArray], FloatArray], low: float, high: float, hints: FloatArray | None
) -> FloatArray:
    """Panels that resolve a density on a line: between its modes and its ends, halved until two orders agree."""

    def value(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = log_density(np.asarray(x, dtype=np.float64).reshape(-1, 1))
        return np.where(np.isnan(found), -np.inf, found)

    modes = np.empty(0)
    if hints is not None:  # a density may be largest at an end
        modes = np.unique([*filter(math.isfinite, (low, high)), *hints[(hints > low) & (hints < high)]])
    modes = modes if len(modes) else modes_of(value, low, high)
    top = float(np.max(value(modes)))
    if not math.isfinite(top):
        raise DataError("pn: the density is nowhere positive and finite")
    start = _reach(value, float(modes[0]), low, top, -1.0)
    end = _reach(value, float(modes[-1]), high, top, 1.0)
    inner = modes[(modes > start) & (modes < end)]

    def density(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):  # a density that exceeds its modes has no finite integral, which `_halved` says
            return np.asarray(np.exp(value(x.ravel()) - top)).reshape(x.shape)

    edges = _halved(density, np.concatenate([[start], inner, [end]]))
    points, measure = _gauss(edges[:-1], edges[1:], _FINE)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what has no finite fourth moments, `_halved` refuses
        weights = (density(points) * measure).ravel()
        known = statistics(points.reshape(-1, 1))
        weights /= weights.sum()
        mean = weights @ known
        spread = np.sqrt(np.maximum(weights @ (known - mean) ** 2, 1e-300))

    def with_fourth(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            far = (statistics(x.reshape(-1, 1)) - mean) / spread
            return np.asarray(density(x) * (1.0 + np.sum(far**4, axis=1)).reshape(x.shape))

    return _halved(with_fourth, edges)


def modes_of(value: LogDensity, low: float, high: float) -> FloatArray:
    """Places of the local maxima of a function of (n,) numbers, in order."""
    if math.isinf(low):
        grid = np.sinh(np.linspace(-_SINH, _SINH, 4001))
    elif math.isinf(high):
        grid = low + np.exp(np.linspace(-_SINH, _SINH, 4001))
    else:
        grid = low + (high - low) * np.sin(np.linspace(0.0, 0.5 * math.pi, 4003)[1:-1]) ** 2
    found = value(grid)
    most = int(np.argmax(found))
    if (most == len(grid) - 1 and math.isinf(high)) or (most == 0 and math.isinf(low)):
        raise DataError("pn: the density grows without end: it cannot be normalised")
    before, after = np.concatenate([[-np.inf], found[:-1]]), np.concatenate([found[1:], [-np.inf]])
    peaks = np.flatnonzero((found >= before) & (found > after) & (found > np.max(found) - _DROP))
    places = []
    for k in peaks.tolist():
        left, right = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, len(grid) - 1)])
        best = optimize.minimize_scalar(
            lambda x: -float(value(np.array([x]))[0]), bounds=(left, right), method="bounded", options={"xatol": 1e-10 * (right - left)}
        )
        places.append(float(best.x) if -best.fun > found[k] else float(grid[k]))
    return np.unique(np.array(places))


def _reach(value: LogDensity, mode: float, end: float, top: float, sign: float) -> float:
    """Where beyond the outermost mode a density has fallen by `_DROP`, or its end."""
    step = 1e-3 * max(abs(mode), 1.0)
    inner = mode
    for _ in range(2000):
        outer = mode + sign * step
        if sign * (outer - end) >= 0.0:
            return end
        if float(value(np.array([outer]))[0]) < top - _DROP:
            break
        inner, step = outer, 2.0 * step
        if step > 1e150:
            raise DataError("pn: the density does not fall off: it cannot be normalised")
    for _ in range(_BISECTIONS):
        middle = 0.5 * (inner + outer)
        inner, outer = (inner, middle) if float(value(np.array([middle]))[0]) < top - _DROP else (middle, outer)
    return outer


def _halved(density: Callable[[FloatArray], FloatArray], edges: FloatArray) -> FloatArray:
    """Edges between which Gauss-Legendre of two orders agrees."""
    low, high = edges[:-1], edges[1:]
    done: list[FloatArray] = [edges]
    total = 0.0
    for _ in range(_DEPTH):
        (x1, w1), (x2, w2) = _gauss(low, high, _COARSE), _gauss(low, high, _FINE)
        coarse, fine = np.sum(w1 * density(x1), axis=1), np.sum(w2 * density(x2), axis=1)
        total = max(total, float(fine.sum()))
        open_ = (np.abs(fine - coarse) > _PANEL_ERROR * total) & (high - low > 1e-15 * np.maximum(np.abs(low), np.abs(high)))
        if not open_.any():
            break
        middle = 0.5 * (low[open_] + high[open_])
        low, high = np.concatenate([low[open_], middle]), np.concatenate([middle, high[open_]])
        done.append(middle)
        if sum(len(part) for part in done) > _MOST_PANELS:
            raise ConvergenceError(f"pn: the density is not resolved by {_MOST_PANELS} panels: has it jumps?")
    if not 0.0 < total < math.inf:
        raise DataError("pn: the density cannot be normalised")
    return np.unique(np.concatenate(done))
