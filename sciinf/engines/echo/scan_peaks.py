"""From a scan's best cells to its peaks: evaluated exactly, thinned to distinct combs, and maximised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.engines.echo.scan_tables import ToothTables, teeth

__all__ = ["LocalFrame", "climb", "peaks_of"]

FloatArray = NDArray[np.float64]

_DEPTH = 14.0  # in ln L: runs of teeth further below the best are no peaks of their own
_BARRIER = 2.0  # in ln L, between two runs of one comb
_MOST_RUNS = 12
_LEAST_PEAKS, _GAIN, _SLACK = 4, 1.7, 2.0  # peaks maximised at least; a cell's ln L may grow by this factor and this much when it is


def peaks_of(search: SearchSpace, table: ToothTables, n_refine: int, n_peaks: int) -> tuple[FloatArray, FloatArray]:
    """Peaks (n, n_parameters) of the engine with its amplitude as a parameter, best first, and their ln L.

    The best ``n_refine`` cells of ``table`` are evaluated exactly, thinned to distinct ones, and at most ``n_peaks`` of them maximised.
    In a sampled band the other runs of the teeth of the good ones come beside them.
    """
    cells = np.concatenate(table.cells)
    cells = cells[np.argsort(-cells[:, 2], kind="stable")[:n_refine]]
    points = np.array([_comb_of(search, cell) for cell in cells])
    values = search.profiles(points)
    inside = np.isfinite(values[:, 1])
    points, values = points[inside], values[inside]
    order = np.argsort(-values[:, 1], kind="stable")
    found: list[tuple[FloatArray, float]] = []
    best = -math.inf
    for k in _distinct(search, points[order], table)[:n_peaks]:
        if len(found) < _LEAST_PEAKS or _GAIN * values[order[k], 1] + _SLACK > best:
            found.append(climb(search, points[order[k]], 1, table.step_unit))
            best = max(best, found[-1][1])
    found.sort(key=lambda peak: -peak[1])
    found = [climb(search, theta, 3, table.step_unit) if k < 6 else (theta, value) for k, (theta, value) in enumerate(found)]
    found.sort(key=lambda peak: -peak[1])
    peaks = np.array([theta for theta, _ in found])
    kept = _distinct(search, peaks, table)
    found = [found[k] for k in kept]
    if search.is_free:
        found += [other for peak in found if peak[1] > found[0][1] - _DEPTH for other in _other_runs(search, *peak)]
        found.sort(key=lambda peak: -peak[1])
    return np.array([theta for theta, _ in found]), np.array([value for _, value in found])


def _comb_of(search: SearchSpace, cell: FloatArray) -> FloatArray:
    """All parameters (amplitude 1, or its best in a fixed band) of a cell: spacing, f0, ln L, width, phases."""
    spacing, f0, _, width = cell[:4].tolist()
    values = {"spacing": spacing, "width": width, "amplitude": 1.0, **dict(zip(search.phases, cell[4:].tolist(), strict=True))}
    values["offset"] = float(search.with_offset(np.array(f0), np.array(spacing)))
    if search.is_free:
        values["f_min"], values["f_max"] = search.engine.band_limits
    theta = np.array([values[name] for name in search.names])
    theta[search.names.index("amplitude")] = search.profiles(theta[None, :])[0, 0]
    if search.is_free:
        for _ in range(3):
            theta = _with_best_band(search, theta)
    return theta


def _teeth_of(search: SearchSpace, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Of every tooth in the prior's band: K and E (2, n), K of its bins, and where the band of a run begins and ends with it, in Hz."""
    values = dict(zip(search.names, theta.tolist(), strict=True))
    template = search.engine.template
    assert not isinstance(template, str)
    spacing, f0 = values["spacing"], search.engine.offset_hz(values)
    low, high = search.engine.band_limits
    centres = f0 + spacing * np.arange(math.ceil((low - f0) / spacing), math.floor((high - f0) / spacing) + 1)
    cut = template.cut(values["width"], spacing, search.engine.duration)
    sums, each = teeth(search, centres, values["width"], cut, np.array([values[name] for name in search.phases]))
    return sums, each, np.maximum(centres - 0.51 * spacing, low), np.minimum(centres + 0.51 * spacing, high)


def _other_runs(search: SearchSpace, theta: FloatArray, value: float) -> list[tuple[FloatArray, float]]:
    """The other runs of teeth of a comb that a band could hold: peaks beside the best one in f_min and f_max, with ln L.

    Along the teeth the sum of their shares in ln L falls and rises: a run begins where it is lowest and ends where it is highest, and two
    that a rise of `_BARRIER` divides are modes of their own.
    """
    from sciinf.engines.echo.scan_kernels import LEAST_TEETH, tooth_scores

    sums, each, starts, ends = _teeth_of(search, theta)
    at = search.names.index("amplitude")
    scores = tooth_scores(theta[at : at + 1], sums, each, search.engine.compiled().ints)[0].astype(np.float64)
    before = np.concatenate([[0.0], np.cumsum(scores)])
    spacing, found = theta[search.names.index("spacing")], [(theta, value)]
    pairs = [
        (before[last] - before[first], first, last)
        for first in _valleys(before[:-1])
        for last in _valleys(-before)
        if last > first and ends[last - 1] - starts[first] > LEAST_TEETH * spacing * (1.0 + 1e-9)
    ]
    most = max((gain for gain, _, _ in pairs), default=0.0)
    own = [search.names.index(name) for name in ("f_min", "f_max")]
    for gain, first, last in sorted(pairs, reverse=True):
        if gain < most - _DEPTH or len(found) > _MOST_RUNS:
            break
        other = theta.copy()
        other[own] = starts[first], ends[last - 1]
        if any(np.all(np.abs(other[own] - known[own]) < 2.0 * spacing) for known, _ in found):
            continue
        other[at] = search.profiles(other[None, :])[0, 0]
        other = _edges(search, other)
        if np.isfinite(search.log_prior(other[None, :])[0]):
            other[at], height = search.profiles(other[None, :])[0]
            found.append((other, float(height)))
    return found[1:]


def _valleys(values: FloatArray) -> list[int]:
    """Places of the minima that rises of `_BARRIER` divide, ends included."""
    found, low, high, falling = [], 0, 0, True
    for k in range(1, len(values)):
        if falling:
            if values[k] < values[low]:
                low = k
            elif values[k] > values[low] + _BARRIER:
                found.append(low)
                falling, high = False, k
        elif values[k] > values[high]:
            high = k
        elif values[k] < values[high] - _BARRIER:
            falling, low = True, k
    return [*found, low] if falling else found


def _with_best_band(search: SearchSpace, theta: FloatArray) -> FloatArray:
    """``theta`` with f_min and f_max around the best admissible run of teeth, for the best of several amplitudes."""
    from sciinf.engines.echo.scan_kernels import LEAST_TEETH, tooth_scores

    sums, each, starts, ends = _teeth_of(search, theta)
    spacing = theta[search.names.index("spacing")]
    with np.errstate(invalid="ignore", divide="ignore"):
        singles = np.sort(np.abs(sums[0]) / sums[1])
    most = float(np.nanmax(singles, initial=0.0))
    amplitudes = max(most, 1e-300) / 1.3 ** np.arange(16)
    scores = tooth_scores(amplitudes, sums, each, search.engine.compiled().ints).astype(np.float64)
    before = np.concatenate([np.zeros((len(amplitudes), 1)), np.cumsum(scores, axis=1)], axis=1)
    # The first tooth of a run may be any of the first `allowed` ones: their band up to this tooth's end is wide enough.
    allowed = np.searchsorted(starts, ends - LEAST_TEETH * spacing * (1.0 + 1e-9), side="left")
    lowest = np.minimum.accumulate(before[:, :-1], axis=1)
    gains = np.where(allowed > 0, before[:, 1:] - lowest[:, np.maximum(allowed, 1) - 1], -np.inf)
    k, last = np.unravel_index(int(np.argmax(gains)), gains.shape)
    if not np.isfinite(gains[k, last]):
        return theta
    first = int(np.argmin(before[k, : allowed[last]]))
    changed = theta.copy()
    changed[search.names.index("f_min")], changed[search.names.index("f_max")] = starts[first], ends[last]
    changed[search.names.index("amplitude")] = search.profiles(changed[None, :])[0, 0]
    return changed


def _distinct(search: SearchSpace, thetas: FloatArray, table: ToothTables) -> list[int]:
    """Rows that are no second image of a better one: combs whose teeth at both ends of the band lie within a step of each other."""
    spacing, offset, width = (thetas[:, search.names.index(name)] for name in ("spacing", "offset", "width"))
    f0 = offset if search.engine.offset_unit == "Hz" else offset * spacing
    near = 2.0 * np.array([table.step(value) for value in width]) / table.steps
    low, high = (f0 + np.round((end - f0) / spacing) * spacing for end in table.band)
    n_teeth = np.round((high - low) / spacing)
    kept = np.zeros(len(thetas), dtype=np.bool_)
    for k in range(len(thetas)):
        n_low, n_high = np.round((low[kept] - f0[k]) / spacing[k]), np.round((high[kept] - f0[k]) / spacing[k])
        off = np.maximum(np.abs(low[kept] - f0[k] - n_low * spacing[k]), np.abs(high[kept] - f0[k] - n_high * spacing[k]))
        kept[k] = not np.any((off < np.maximum(near[k], near[kept])) & (n_high - n_low == n_teeth[kept]))
    return [int(k) for k in np.flatnonzero(kept)]


@dataclass(frozen=True, eq=False)
class LocalFrame:
    """Coordinates around a point, nearly independent of each other: spacing, a tooth near the middle, ln width, phases."""

    search: SearchSpace
    theta: FloatArray
    tooth: int
    scale: FloatArray

    @classmethod
    def around(cls, search: SearchSpace, theta: FloatArray, step: float) -> LocalFrame:
        """Those at ``theta``, for a ``step`` of the offset in Hz."""
        values = dict(zip(search.names, theta.tolist(), strict=True))
        low, high = search.engine.band_of(values)
        teeth_here = max((high - low) / values["spacing"], 1.0)
        scale = np.array([0.5 * step / teeth_here, 0.3 * step, 0.3, *(0.3 for _ in search.phases)])
        return cls(search, theta, search.middle(theta), scale)

    @property
    def moves(self) -> list[int]:
        """Coordinates that the prior leaves free."""
        box = self.search.box
        return [k for k, name in enumerate(("spacing", "offset", "width", *self.search.phases)) if box[name][1] > box[name][0]]

    @property
    def origin(self) -> FloatArray:
        """Coordinates (n,) of the point."""
        values = dict(zip(self.search.names, self.theta.tolist(), strict=True))
        centre = self.search.engine.offset_hz(values) + self.tooth * values["spacing"]
        return np.array([values["spacing"], centre, math.log(values["width"]), *(values[name] for name in self.search.phases)])

    def thetas(self, points: FloatArray) -> FloatArray:
        """All parameters of points (k, n), inside the prior's box; band and amplitude as at the point."""
        box, names, origin = self.search.box, self.search.names, self.theta
        places = [names.index(name) for name in ("spacing", "offset", "width", *self.search.phases)]
        in_hertz, phases = self.search.engine.offset_unit == "Hz", [box[name] for name in self.search.phases]
        (least, most), (low, high), (narrow, wide) = (box[name] for name in ("spacing", "offset", "width"))
        rows = []
        for spacing, centre, log_width, *turns in points.tolist():
            step = min(max(spacing, least), most)
            first = low if in_hertz else low * step
            f0 = first + (centre - self.tooth * step - first) % step
            row = [step, min(f0 if in_hertz else f0 / step, high), min(max(math.exp(min(max(log_width, -700.0), 700.0)), narrow), wide)]
            row += [min(lower + (turn - lower) % (2.0 * math.pi), upper) for turn, (lower, upper) in zip(turns, phases, strict=True)]
            rows.append(row)
        out = np.repeat(origin[None, :], len(points), axis=0)
        if rows:
            out[:, places] = rows
        return out


def climb(search: SearchSpace, theta: FloatArray, rounds: int, step_of: Callable[[float], float]) -> tuple[FloatArray, float]:
    """Local maximum from ``theta`` (all parameters of the space), and its ln L.

    With more rounds than one also the band's edges bin by bin, and random steps across small jumps. ``step_of`` gives the offset's step in
    Hz at a width, which sets the scale.
    """
    amplitude = search.names.index("amplitude")
    rng = np.random.default_rng(20_000 + rounds)
    best, value = theta, float(search.profiles(theta[None, :])[0, 1])
    for turn in range(rounds):
        step = step_of(float(best[search.names.index("width")]))
        best = _simplex(LocalFrame.around(search, best, step), 1.0 if turn == 0 else 0.3)
        if rounds > 1:
            best = _shaken(LocalFrame.around(search, best, step), rng)
        if search.is_free:
            best = _better(search, best, _with_best_band(search, best))
            if rounds > 1:
                best = _edges(search, best)
    final = search.profiles(best[None, :])[0]
    best = best.copy()
    best[amplitude] = final[0]
    if not np.isfinite(search.log_prior(best[None, :])[0]):
        best = theta.copy()
        best[amplitude], value = search.profiles(theta[None, :])[0]
        return best, value
    return best, float(final[1])


def _better(search: SearchSpace, one: FloatArray, other: FloatArray) -> FloatArray:
    values = search.profiles(np.array([one, other]))[:, 1]
    return other if values[1] > values[0] else one


def _simplex(local: LocalFrame, size: float) -> FloatArray:
    """Nelder and Mead's simplex from the local origin."""
    from scipy import optimize

    origin, scale, search = local.origin, size * local.scale, local.search
    moves = local.moves
    if not moves:
        return local.theta

    def points(y: FloatArray) -> FloatArray:
        at = origin.copy()
        at[moves] += y * scale[moves]
        return local.thetas(at[None, :])

    def cost(y: FloatArray) -> float:
        return -float(search.profiles(points(y))[0, 1])

    start = np.vstack([np.zeros(len(moves)), np.eye(len(moves)) * np.where(np.arange(len(moves)) % 2 == 0, 1.0, -1.0)])
    limit = {"initial_simplex": start, "maxfev": 100 * len(moves), "xatol": 1e-3, "fatol": 1e-3}
    found = optimize.minimize(cost, np.zeros(len(moves)), method="Nelder-Mead", options=limit)
    return _better(search, local.theta, points(found.x)[0])


def _shaken(local: LocalFrame, rng: np.random.Generator) -> FloatArray:
    """The best of random steps around the origin, ever smaller: ln L jumps a little where bins enter a tooth."""
    search, best = local.search, local.theta
    for size in (1.0, 0.5, 0.25, 0.12):
        here = replace(local, theta=best)
        thetas = here.thetas(here.origin + size * here.scale * rng.standard_normal((192, len(here.scale))))
        values = search.profiles(thetas)[:, 1]
        best = _better(search, best, thetas[int(np.argmax(values))])
    return best


def _edges(search: SearchSpace, theta: FloatArray) -> FloatArray:
    """``theta`` with f_min, then f_max, at the best bin within two spacings."""
    duration = search.engine.duration
    for name in ("f_min", "f_max"):
        at, reach = search.names.index(name), 2.0 * theta[search.names.index("spacing")]
        low, high = (max(theta[at] - reach, search.box[name][0]), min(theta[at] + reach, search.box[name][1]))
        places = (np.arange(math.ceil(low * duration), math.floor(high * duration)) + 0.5) / duration
        thetas = np.repeat(theta[None, :], len(places), axis=0)
        thetas[:, at] = places
        thetas[:, search.names.index("amplitude")] = theta[search.names.index("amplitude")]
        thetas = thetas[np.isfinite(search.log_prior(thetas))]
        if len(thetas):
            theta = _better(search, theta, thetas[int(np.argmax(search.profiles(thetas)[:, 1]))])
    return theta
