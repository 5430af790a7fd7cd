"""Scan of the comb's parameters: where the likelihood peaks, start points for emcee, and a check that a run has seen the best peak.

A scan never supplies live points or proposals to a nested run: its evidence would be biased.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, PriorError, nearest_names, shown
from sciinf.core.problem import Problem

if TYPE_CHECKING:
    from sciinf.core.prior_set import PriorSet
    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["ScanResult", "check_against_scan", "scan"]

FloatArray = NDArray[np.float64]

_FINER = 2  # centres of the table per step of the offset
_LEAST_SNR, _AMPLITUDE_RATIO, _MOST_AMPLITUDES = 3.0, 1.45, 24
_CUT_RATIO = 1.15  # spacings whose lines are cut at half the spacing share a table within this ratio
_CHUNK = 8192  # spacings per call of the kernel
_MOST_ROWS, _MOST_COLUMNS = 512, 256
_PER_TABLE = 128  # best cells kept per width and phase
_LEAST_PEAKS, _GAIN = 4, 1.7  # peaks maximised at least, and by how much a cell's ln L may grow when it is
_SHORT = 2.0  # in ln L: what a run may fall short of the scan's best
_SHARE = 0.2  # of the evidence: of a broad peak of less, a sound run may hold no sample within 2 of its top
_MODES, _DEPTH = 8, 12.0  # for starts: at most so many peaks, at most this far below the best


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What `scan` found; ln L is the largest over the amplitude within its prior.

    Attributes
    ----------
    names : tuple of str
        The engine's parameters: columns of ``peaks``.
    peaks : (n_peaks, n_parameters) float64 array
        Distinct peaks, locally maximised, best first.
    log_likelihoods, amplitudes : (n_peaks,) float64 array
        ln L of each peak, and the amplitude (s) there.
    spacing : (n_rows,) float64 array
        Hz: middles of the map's rows.
    offset : (n_columns,) float64 array
        In spacings: middles of the map's columns.
    grid : (n_rows, n_columns) float64 array
        Largest ln L of the grid points in each cell of the map, over widths and phase shifts; approximate (float32, tabulated teeth).
    widths : (n_widths,) float64 array
        rad/s.
    n_spacing : tuple of int
        Spacings per width.
    n_points : int
        Combs tried.
    steps : float
        Steps in units of the rule.
    """

    names: tuple[str, ...]
    peaks: FloatArray
    log_likelihoods: FloatArray
    amplitudes: FloatArray
    spacing: FloatArray
    offset: FloatArray
    grid: FloatArray
    widths: FloatArray
    n_spacing: tuple[int, ...]
    n_points: int
    steps: float
    engine: EchoSearch = field(repr=False)
    priors: PriorSet = field(repr=False)

    @property
    def theta(self) -> FloatArray:
        """The best point (n_parameters,), in the engine's order."""
        return np.asarray(self.peaks[0])

    @property
    def log_likelihood(self) -> float:
        """The best ln L."""
        return float(self.log_likelihoods[0])

    @property
    def amplitude(self) -> float:
        """The amplitude at the best point, in s, marginalised by the engine or not."""
        return float(self.amplitudes[0])

    def starts(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Walker starts (n, n_dim) in the order of the priors, each inside the prior, no two alike.

        Parameters
        ----------
        n : int
            Walkers; more than the number of sampled parameters.
        rng : numpy.random.Generator
            Of the draws.

        Raises
        ------
        ConfigError
            If ``n`` is too small.

        Notes
        -----
        An ensemble does not carry walkers between narrow peaks, so each peak gets walkers in proportion to its share of the posterior,
        estimated by importance sampling from a Gaussian fitted to it in six rounds. That is for the best eight peaks, within 12 of the
        best in ln L, and worth at least three walkers. Within a peak walkers are draws from the fitted Gaussian.
        """
        n_dim = self.priors.n_dim
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n <= n_dim:
            raise ConfigError(f"starts: n must be an integer above the number of sampled parameters, {n_dim}; got {shown(n)}")
        depth = self.log_likelihoods[0] - self.log_likelihoods
        near = np.flatnonzero(depth <= _DEPTH)[:_MODES]
        modes = [_Mode.fitted(self, int(k), rng) for k in near]
        masses = np.array([mode.log_mass for mode in modes])
        if not np.any(np.isfinite(masses)):
            masses[0] = 0.0
        share = np.exp(masses - masses.max())
        share[share / share.sum() * n < 3.0] = 0.0
        if not share.any():
            share[int(np.argmax(masses))] = 1.0
        counts = np.floor(n * share / share.sum()).astype(np.int64)
        counts[int(np.argmax(share))] += n - counts.sum()
        drawn = [mode.draw(int(count), rng) for mode, count in zip(modes, counts, strict=True) if count > 0]
        return np.ascontiguousarray(np.concatenate(drawn))


@dataclass(frozen=True, eq=False)
class _Search:
    """The engine with the amplitude as a parameter, the prior's box, and the maps between points and local coordinates."""

    engine: EchoSearch
    original: EchoSearch
    priors: PriorSet
    box: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, engine: EchoSearch, priors: PriorSet | None) -> _Search:
        if priors is None:
            priors = engine.default_priors()
        Problem(engine, priors)  # names and ranges fit, or an error that says which do not
        with warnings.catch_warnings():  # the engine has said already what is to be said of its data
            warnings.simplefilter("ignore")
            sampled = replace(engine, amplitude="sampled")
        box = {**{name: (value, value) for name, value in priors.fixed.items()}, **priors.supports}
        if engine.amplitude_prior is not None:
            box["amplitude"] = (0.0, math.inf)
        return cls(sampled, engine, priors, box)

    @property
    def names(self) -> tuple[str, ...]:
        return self.engine.parameters

    @property
    def phases(self) -> tuple[str, ...]:
        return self.names[len(self.names) - len(self.engine.spectra) + 1 :]

    @property
    def is_free(self) -> bool:
        """Whether the band is sampled."""
        return self.engine.band == "sampled"

    def profiles(self, thetas: FloatArray) -> FloatArray:
        """Amplitude and ln L of each row, (n, 2)."""
        from sciinf.engines.echo.scan_kernels import profiles_many

        packed = self.engine.compiled()
        rows = np.ascontiguousarray(thetas)
        return np.asarray(profiles_many(rows, packed.floats, packed.ints, np.empty(packed.workspace_size), *self.box["amplitude"]))

    def sampled_columns(self, thetas: FloatArray) -> FloatArray:
        """Columns of the priors' parameters."""
        return np.ascontiguousarray(thetas[:, [self.names.index(name) for name in self.priors.names]])

    def log_prior(self, thetas: FloatArray) -> FloatArray:
        """Prior density (ln) of each row (n, all parameters); a marginalised amplitude has none."""
        return np.asarray(self.priors.log_prior(self.sampled_columns(thetas)))

    def original_columns(self, thetas: FloatArray) -> FloatArray:
        """Columns of the original engine's parameters."""
        return np.ascontiguousarray(thetas[:, [self.names.index(name) for name in self.original.parameters]])

    def first_offset(self, spacing: FloatArray) -> FloatArray:
        """Least offset that the prior allows, in Hz."""
        low = self.box["offset"][0]
        return np.full_like(spacing, low) if self.engine.offset_unit == "Hz" else low * spacing

    def offset_room(self, spacing: FloatArray) -> FloatArray:
        """Range of offsets in Hz, one spacing at most."""
        low, high = self.box["offset"]
        room = np.full_like(spacing, high - low) if self.engine.offset_unit == "Hz" else (high - low) * spacing
        return np.minimum(room, spacing)

    def with_offset(self, f0: FloatArray, spacing: FloatArray) -> FloatArray:
        """The offset parameter of the comb with a tooth at ``f0`` Hz."""
        low = self.first_offset(spacing)
        turned = low + (f0 - low) % spacing
        return turned if self.engine.offset_unit == "Hz" else turned / spacing

    def middle(self, theta: FloatArray) -> int:
        """Number of the tooth nearest to the middle of the band."""
        values: dict[str, float] = dict(zip(self.names, theta.tolist(), strict=True))
        low, high = self.engine.band_of(values)
        return round((0.5 * (low + high) - self.engine.offset_hz(values)) / values["spacing"])


def scan(
    engine: EchoSearch,
    n_spacing: int | None = None,
    n_offset: int | None = None,
    widths: ArrayLike | int | None = None,
    *,
    steps: float = 1.0,
    priors: PriorSet | None = None,
    n_phase: int = 8,
    n_refine: int = 400,
    n_peaks: int = 24,
) -> ScanResult:
    """Search the prior's box for the combs of the largest ln L, maximised over the amplitude.

    Parameters
    ----------
    engine : EchoSearch
        Its data are read; a marginalised amplitude is maximised over.
    n_spacing : int, optional
        Spacings, in equal ratios over the prior's range. None: by the rule.
    n_offset : int, optional
        Offsets at the largest spacing; the step in Hz is the same at all. None: by the rule.
    widths : int or (n,) float64 array, optional
        Widths in rad/s, or their number, in equal ratios over the prior's range. None: in ratios of at most 2.
    steps : float
        Steps in units of the rule (see Notes): 0.5 is exhaustive.
    priors : PriorSet, optional
        None: the engine's default ones.
    n_phase : int
        Phase shifts tried per detector after the first.
    n_refine, n_peaks : int
        Cells evaluated exactly, and how many distinct ones of them are maximised.

    Returns
    -------
    ScanResult

    Raises
    ------
    ConfigError
        If an option is not allowed, or the priors are not those of the engine's parameters (the nearest name is given).
    PriorError
        If the range of the spacing or the width is infinite or reaches 0, or a range reaches out of the engine's domain.

    Notes
    -----
    The step of the offset is max(w, 2 pi/T)/(4 pi) Hz, half of that for "whittle", whose phase runs along the band; that of the spacing
    the same over the number of teeth in the band: the last tooth moves by one step (derived here). Per width a tooth's share in ln L
    is tabulated over its centre, at amplitudes in ratios of 1.45, and combs are sums over the table; in a sampled band over the best
    run of at least ten teeth. Memory is that of the tables, about 16 B per amplitude and step of the offset in the band, and of the map:
    below 100 MB at T = 52 s. The best cells are evaluated exactly, and the distinct ones that could be best maximised by simplices.

    Examples
    --------
    >>> from sciinf.engines.echo import EchoSearch, Psd
    >>> from sciinf.engines.echo.simulate import comb, gaussian_noise, inject
    >>> rng = np.random.default_rng(1)
    >>> noise = gaussian_noise(Psd.white(2 / 1024), 4.0, 1 / 1024, rng)
    >>> signal = comb(noise, spacing=5.0, offset_hz=1.0, width=0.5, amplitude=0.1, band=(50, 150), rng=rng)
    >>> found = scan(EchoSearch(inject(noise, signal), band=(50.0, 150.0)))
    >>> round(float(found.theta[0]), 2), len(found.widths)
    (5.0, 4)
    """
    for name, value in (
        ("n_spacing", n_spacing),
        ("n_offset", n_offset),
        ("n_phase", n_phase),
        ("n_refine", n_refine),
        ("n_peaks", n_peaks),
    ):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise ConfigError(f"scan: {name} must be a positive integer, got {shown(value)}")
    if isinstance(steps, bool) or not isinstance(steps, int | float | np.number) or not 0.0 < float(steps) < math.inf:
        raise ConfigError(f"scan: steps must be a positive finite number (1 is the rule, 0.5 exhaustive), got {shown(steps)}")
    search = _Search.of(engine, priors)
    for name in ("spacing", "width"):
        low, high = search.box[name]
        if not 0.0 < low <= high < math.inf:
            raise PriorError(f"scan: the prior of {name} must have a positive, finite range, got {low:g} to {high:g}")
    chosen = _widths(search, widths)
    table = _Tables(search, float(steps), n_spacing, n_offset)
    n_cells = max(int(_PER_TABLE), int(n_refine))
    for width in chosen:
        for phases in _phase_grid(len(search.phases), n_phase):
            table.add(float(width), phases, n_cells)
    return _refined(search, table, chosen, int(n_refine), int(n_peaks))


def _widths(search: _Search, widths: ArrayLike | int | None) -> FloatArray:
    """The widths of a scan in rad/s."""
    low, high = search.box["width"]
    if widths is None:
        return np.geomspace(low, high, 1 + math.ceil(math.log2(high / low) - 1e-9)) if high > low else np.array([low])
    if isinstance(widths, int | np.integer) and not isinstance(widths, bool):
        if widths < 1:
            raise ConfigError(f"scan: widths must be a positive number of them or an array in rad/s, got {widths}")
        return np.geomspace(low, high, int(widths)) if widths > 1 else np.array([math.sqrt(low * high)])
    values = finite_array("scan: widths (rad/s)", np.atleast_1d(np.asarray(widths)), shape=(-1,))
    if not len(values) or np.any(values <= 0.0):
        raise ConfigError(f"scan: widths must be positive (rad/s), got {shown(widths)}")
    if np.any((values < low * (1.0 - 1e-9)) | (values > high * (1.0 + 1e-9))):
        raise ConfigError(
            f"scan: widths must lie in the prior's range, {low:g} to {high:g} rad/s, got {values.min():g} to {values.max():g}"
        )
    return values


def _phase_grid(n_phases: int, n: int) -> FloatArray:
    """All combinations (n^n_phases, n_phases) of ``n`` phases on the circle from -pi/2 on."""
    circle = -0.5 * math.pi + 2.0 * math.pi * np.arange(n) / n
    grids = np.meshgrid(*[circle] * n_phases, indexing="ij")
    return np.stack([grid.ravel() for grid in grids], axis=1) if n_phases else np.zeros((1, 0))


class _Tables:
    """The map and the best cells, gathered width by width."""

    def __init__(self, search: _Search, steps: float, n_spacing: int | None, n_offset: int | None) -> None:
        self.search, self.steps, self.n_spacing, self.n_offset = search, steps, n_spacing, n_offset
        self.band = search.engine.band_limits
        low, high = search.box["spacing"]
        widest = self.step(search.box["width"][1])
        narrow = self.spacings(self.step(search.box["width"][0]))
        room = float(search.offset_room(np.array([low]))[0])
        self.columns = int(min(max(math.floor(room / widest), 1), _MOST_COLUMNS))
        rows = int(min(len(self.spacings(widest)), _MOST_ROWS))
        self.edges = np.geomspace(low, high, rows + 1) if high > low else np.array([low, low])
        self.grid = np.full((len(self.edges) - 1, self.columns), -np.inf)
        self.counts: list[int] = []
        self.n_points = 0
        self.cells: list[FloatArray] = []
        self.finest = len(narrow)

    def step(self, width: float) -> float:
        """Step of the offset in Hz."""
        if self.n_offset is not None:
            return self.search.box["spacing"][1] / self.n_offset
        step = max(width, 2.0 * math.pi / self.search.engine.duration) / (4.0 * math.pi)
        return self.steps * (0.5 * step if self.search.engine.phase == "whittle" else step)

    def spacings(self, step: float) -> FloatArray:
        """Spacings in Hz: the last tooth in the band moves by one step from one to the next."""
        low, high = self.search.box["spacing"]
        if high == low:
            return np.array([low])
        n = self.n_spacing
        if n is None:
            n = 2 + math.ceil(math.log(high / low) / math.log1p(step / (self.band[1] - self.band[0])))
        return np.geomspace(low, high, n) if n > 1 else np.array([math.sqrt(low * high)])

    def add(self, width: float, phases: FloatArray, n_cells: int) -> None:
        """Scan all spacings and offsets at one width and one set of phases."""
        from scipy.ndimage import maximum_filter1d

        step = self.step(width)
        spacings = self.spacings(step)
        self.counts.append(len(spacings))
        parts = [self._group(group, width, cut, phases, step) for group, cut in self._groups(spacings, width)]
        cells = np.concatenate(parts)  # spacing, f0, ln L
        peaks = np.flatnonzero(cells[:, 2] >= maximum_filter1d(cells[:, 2], 5, mode="nearest"))
        best = peaks[np.argsort(-cells[peaks, 2], kind="stable")[:n_cells]]
        rest = np.broadcast_to([width, *phases], (len(best), 1 + len(phases)))
        self.cells.append(np.hstack([cells[best], rest]))

    def _groups(self, spacings: FloatArray, width: float) -> list[tuple[FloatArray, float]]:
        """Spacings that share a table, and the cut of their lines in rad/s: each line's own, or half of the group's least spacing."""
        template, duration = self.search.engine.template, self.search.engine.duration
        assert not isinstance(template, str)
        own = template.cut(width, math.inf, duration)
        free = spacings * math.pi >= own
        groups = [(spacings[free], own)] if np.any(free) else []
        rest = spacings[~free]
        while len(rest):
            n = int(np.searchsorted(rest, rest[0] * _CUT_RATIO, side="right"))
            groups.append((rest[:n], math.pi * math.sqrt(float(rest[0] * rest[n - 1]))))
            rest = rest[n:]
        return groups

    def _group(self, spacings: FloatArray, width: float, cut: float, phases: FloatArray, step: float) -> FloatArray:
        """Best offset of each spacing: (n, 3) of spacing, f0 in Hz, ln L."""
        from sciinf.engines.echo.scan_kernels import sweep

        search, fine = self.search, step / _FINER
        low, high = self.band
        reach = cut / (2.0 * math.pi) + 2.0 / search.engine.duration
        first = search.first_offset(spacings)
        n_offset = np.maximum(1, np.ceil(search.offset_room(spacings) / step - 1e-9)).astype(np.int64)
        n_first = np.ceil((low - reach - first - (n_offset - 1) * step) / spacings).astype(np.int64)
        n_last = np.floor((high + reach - first) / spacings).astype(np.int64)
        origin = float(np.min(first + n_first * spacings)) - step
        end = float(np.max(first + n_last * spacings + n_offset * step)) + 2.0 * step
        length = math.ceil((end - origin) / step) + 1
        table, amplitudes, per_tooth = self._table(origin, fine, length, (low - reach, high + reach), width, cut, phases)
        # Amplitudes of no less than the least SNR that the comb's teeth could have together.
        snr = amplitudes[None, :] * np.sqrt(per_tooth * np.maximum(n_last - n_first + 1, 1))[:, None]
        k_first = np.minimum(np.sum(snr < _LEAST_SNR, axis=1), len(amplitudes) - 1)
        ranges = np.column_stack([n_offset, n_first, n_last, k_first, np.full(len(spacings), len(amplitudes))]).astype(np.int64)
        combs = np.column_stack([spacings, first - origin])
        rows = np.clip(np.searchsorted(self.edges, spacings, side="right") - 1, 0, len(self.grid) - 1).astype(np.int64)
        top, found = np.empty(len(spacings)), np.column_stack([np.zeros(len(spacings)), first / spacings % 1.0])
        for at in range(0, len(spacings), _CHUNK):
            part = slice(at, at + _CHUNK)
            sweep(table, fine, _FINER, combs[part], ranges[part], int(search.is_free), self.grid, rows[part], top[part], found[part])
        self.n_points += int(np.sum(n_offset))
        return np.column_stack([spacings, first + found[:, 0] * step, top])

    def _table(
        self, origin: float, fine: float, length: int, band: tuple[float, float], width: float, cut: float, phases: FloatArray
    ) -> tuple[NDArray[np.float32], FloatArray, float]:
        """Scores of teeth (finer, n_amplitudes, length) at centres ``fine`` apart from ``origin``; the amplitudes; E of the mean tooth."""
        from sciinf.engines.echo.scan_kernels import tooth_scores

        search = self.search
        first = max(math.floor((band[0] - origin) / fine), 0)
        last = min(math.ceil((band[1] - origin) / fine), _FINER * length - 1)
        centres = origin + fine * np.arange(first, last + 1)
        sums, each = teeth(search, np.asarray(centres, dtype=np.float64), width, cut, phases)
        norm = sums[1][sums[1] > 0.0]
        per_tooth = float(np.mean(norm)) if len(norm) else 0.0
        amplitudes = np.ones(1)
        if len(norm):
            good = sums[1] > 1e-3 * per_tooth
            most = float(np.max(np.abs(sums[0][good]) / sums[1][good]))
            teeth_most = (band[1] - band[0]) / search.box["spacing"][0] + 1.0
            least = min(_LEAST_SNR / math.sqrt(per_tooth * teeth_most), most)
            n = min(2 + math.floor(math.log(most / least) / math.log(_AMPLITUDE_RATIO)), _MOST_AMPLITUDES)
            amplitudes = np.geomspace(least, most, n)
        scores = np.zeros((len(amplitudes), _FINER * length), dtype=np.float32)
        scores[:, first : last + 1] = tooth_scores(amplitudes, sums, each, search.engine.compiled().ints)
        turned = scores.reshape(len(amplitudes), length, _FINER).transpose(2, 0, 1)
        return np.ascontiguousarray(turned), amplitudes, per_tooth


def teeth(search: _Search, centres: FloatArray, width: float, cut: float, phases: FloatArray) -> tuple[FloatArray, FloatArray]:
    """K and E (2, n) of teeth of unit amplitude at ``centres`` in Hz, and the K of their bins where each has its phase."""
    from sciinf.engines.echo.scan_kernels import tooth_sums

    packed = search.engine.compiled()
    most = math.ceil(cut / math.pi * search.engine.duration) + 2 if search.engine.phase == "bin" else 0
    each = np.zeros((len(centres), most))
    return tooth_sums(np.ascontiguousarray(centres), width, cut, np.array(phases, dtype=np.float64), packed.floats, packed.ints, each), each


def _refined(search: _Search, table: _Tables, widths: FloatArray, n_refine: int, n_peaks: int) -> ScanResult:
    """The best cells, evaluated exactly, thinned to distinct ones and maximised."""
    cells = np.concatenate(table.cells)
    cells = cells[np.argsort(-cells[:, 2], kind="stable")[:n_refine]]
    points = np.array([_point(search, cell) for cell in cells])
    values = search.profiles(points)
    inside = np.isfinite(values[:, 1])
    points, values = points[inside], values[inside]
    order = np.argsort(-values[:, 1], kind="stable")
    found: list[tuple[FloatArray, float]] = []
    best = -math.inf
    for k in _distinct(search, points[order], table)[:n_peaks]:
        if len(found) < _LEAST_PEAKS or _GAIN * values[order[k], 1] + _SHORT > best:
            found.append(_climb(search, points[order[k]], table, rounds=1))
            best = max(best, found[-1][1])
    found.sort(key=lambda peak: -peak[1])
    found = [_climb(search, theta, table, rounds=3) if k < 6 else (theta, value) for k, (theta, value) in enumerate(found)]
    found.sort(key=lambda peak: -peak[1])
    peaks = np.array([theta for theta, _ in found])
    kept = _distinct(search, peaks, table)
    peaks = peaks[kept]
    amplitude = search.names.index("amplitude")
    result = np.array([found[k][1] for k in kept])
    middles = np.sqrt(table.edges[1:] * table.edges[:-1])
    return ScanResult(
        search.original.parameters,
        search.original_columns(peaks),
        result,
        peaks[:, amplitude].copy(),
        middles,
        (np.arange(table.columns) + 0.5) / table.columns,
        table.grid,
        widths,
        tuple(table.counts),
        table.n_points,
        table.steps,
        search.original,
        search.priors,
    )


def _point(search: _Search, cell: FloatArray) -> FloatArray:
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
            theta = _best_band(search, theta)
    return theta


def _best_band(search: _Search, theta: FloatArray) -> FloatArray:
    """``theta`` with f_min and f_max around the best admissible run of teeth, for the best of several amplitudes."""
    from sciinf.engines.echo.scan_kernels import LEAST_TEETH, tooth_scores

    values = dict(zip(search.names, theta.tolist(), strict=True))
    template = search.engine.template
    assert not isinstance(template, str)
    spacing, f0 = values["spacing"], search.engine.offset_hz(values)
    low, high = search.engine.band_limits
    centres = f0 + spacing * np.arange(math.ceil((low - f0) / spacing), math.floor((high - f0) / spacing) + 1)
    cut = template.cut(values["width"], spacing, search.engine.duration)
    sums, each = teeth(search, centres, values["width"], cut, np.array([values[name] for name in search.phases]))
    starts, ends = np.maximum(centres - 0.51 * spacing, low), np.minimum(centres + 0.51 * spacing, high)
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


def _distinct(search: _Search, thetas: FloatArray, table: _Tables) -> list[int]:
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
class _Local:
    """Coordinates around a point, nearly independent of each other: spacing, a tooth near the middle, ln width, phases."""

    search: _Search
    theta: FloatArray
    tooth: int
    scale: FloatArray

    @classmethod
    def around(cls, search: _Search, theta: FloatArray, step: float) -> _Local:
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


def _climb(search: _Search, theta: FloatArray, table: _Tables, rounds: int) -> tuple[FloatArray, float]:
    """Local maximum from ``theta``, and its ln L; with more rounds also the band's edges bin by bin and random steps across small jumps."""
    amplitude = search.names.index("amplitude")
    rng = np.random.default_rng(20_000 + rounds)
    best, value = theta, float(search.profiles(theta[None, :])[0, 1])
    for turn in range(rounds):
        step = table.step(float(best[search.names.index("width")])) / table.steps
        best = _simplex(_Local.around(search, best, step), 1.0 if turn == 0 else 0.3)
        if rounds > 1:
            best = _shaken(_Local.around(search, best, step), rng)
        if search.is_free:
            best = _better(search, best, _best_band(search, best))
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


def _better(search: _Search, one: FloatArray, other: FloatArray) -> FloatArray:
    values = search.profiles(np.array([one, other]))[:, 1]
    return other if values[1] > values[0] else one


def _simplex(local: _Local, size: float) -> FloatArray:
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


def _shaken(local: _Local, rng: np.random.Generator) -> FloatArray:
    """The best of random steps around the origin, ever smaller: ln L jumps a little where bins enter a tooth."""
    search, best = local.search, local.theta
    for size in (1.0, 0.5, 0.25, 0.12):
        here = replace(local, theta=best)
        thetas = here.thetas(here.origin + size * here.scale * rng.standard_normal((192, len(here.scale))))
        values = search.profiles(thetas)[:, 1]
        best = _better(search, best, thetas[int(np.argmax(values))])
    return best


def _edges(search: _Search, theta: FloatArray) -> FloatArray:
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


@dataclass(frozen=True, eq=False)
class _Mode:
    """A Gaussian fitted to the posterior around one peak, and the peak's share of the evidence (ln, by importance sampling)."""

    local: _Local
    mean: FloatArray
    root: FloatArray
    log_mass: float
    floor: float

    @classmethod
    def fitted(cls, result: ScanResult, k: int, rng: np.random.Generator) -> _Mode:
        search = _Search.of(result.engine, result.priors)
        theta = np.array([1.0] * len(search.names))
        for name, value in zip(result.names, result.peaks[k].tolist(), strict=True):
            theta[search.names.index(name)] = value
        theta[search.names.index("amplitude")] = result.amplitudes[k]
        step = max(theta[search.names.index("width")], 2.0 * math.pi / search.engine.duration) / (4.0 * math.pi)
        local = _Local.around(search, theta, step)
        return cls._adapted(local, rng)

    @classmethod
    def _adapted(cls, local: _Local, rng: np.random.Generator) -> _Mode:
        mean, scale = _centre(local), _spread(local)
        root = np.diag(scale)
        log_mass, floor = -math.inf, math.inf
        constant = math.lgamma(3.0 + 0.5 * len(mean)) - math.lgamma(3.0) - 0.5 * len(mean) * math.log(6.0 * math.pi)
        for _ in range(6):
            unit = rng.standard_normal((600, len(mean))) * np.sqrt(6.0 / rng.chisquare(6.0, size=(600, 1)))  # Student's t, six degrees
            points = mean + unit @ root.T
            values = _log_posterior(local, points)
            squares = np.sum(unit**2, axis=1)
            log_density = constant - 0.5 * (6.0 + len(mean)) * np.log1p(squares / 6.0) - float(np.sum(np.log(np.abs(np.diag(root)))))
            weights = values - log_density
            if not np.any(np.isfinite(weights)):
                root = 0.5 * root
                continue
            log_mass = float(np.logaddexp.reduce(weights)) - math.log(len(weights))
            floor = float(np.max(values)) - 2.0 * len(mean) - 4.0
            share = _tempered(weights, 20.0 * len(mean))
            mean = share @ points
            centred = points - mean
            covariance = (share[:, None] * centred).T @ centred + np.diag((1e-3 * scale) ** 2)
            root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        return cls(local, mean, root, log_mass, floor)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Points (n, n_dim) of the fitted Gaussian with a posterior not far below the peak's."""
        search, kept = self.local.search, np.empty((0, self.local.search.priors.n_dim))
        size, mean = 1.0, self.mean
        for turn in range(200):
            points = mean + size * rng.standard_normal((4 * n + 16, len(mean))) @ self.root.T
            good = _log_posterior(self.local, points) > self.floor
            kept = np.vstack([kept, search.sampled_columns(_full(self.local, points[good])[0])])
            if len(kept) >= n:
                return kept[:n]
            if turn % 10 == 9:  # a needle beside what the fit has seen: closer to the peak
                size, mean = 0.5 * size, _centre(self.local)
        raise DataError("scan: no start points with a finite posterior around a peak; are the priors those of the scan?")


def _tempered(weights: FloatArray, least: float) -> FloatArray:
    """Normalised weights, flattened until their effective number is at least ``least``."""
    power, share = 1.0, np.ones(len(weights))
    for _ in range(30):
        share = np.exp(power * (weights - np.max(weights)))
        share /= np.sum(share)
        if 1.0 / np.sum(share**2) >= least:
            break
        power *= 0.7
    return share


def _extra(search: _Search) -> list[str]:
    """Sampled parameters that are no local coordinate: amplitude and band."""
    return [name for name in ("amplitude", "f_min", "f_max") if name in search.priors.names]


def _centre(local: _Local) -> FloatArray:
    names, theta = local.search.names, local.theta
    return np.concatenate([local.origin[local.moves], [theta[names.index(name)] for name in _extra(local.search)]])


def _spread(local: _Local) -> FloatArray:
    """First guess of the posterior's widths in the coordinates of `_centre`."""
    search, theta = local.search, local.theta
    spacing = theta[search.names.index("spacing")]
    snr = max(float(search.engine.derived_many(theta[None, :])[0, 0]), 1.0)
    wide = {"amplitude": theta[search.names.index("amplitude")] / snr, "f_min": 0.5 * spacing, "f_max": 0.5 * spacing}
    extra = [max(wide[name], 1e-300) for name in _extra(search)]
    return np.concatenate([min(1.0, 5.0 / snr) * local.scale[local.moves], extra])


def _full(local: _Local, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All parameters of points in the coordinates of `_centre`, and the comb's local coordinates."""
    moves = local.moves
    combs = np.repeat(local.origin[None, :], len(points), axis=0)
    combs[:, moves] = points[:, : len(moves)]
    thetas = local.thetas(combs)
    for k, name in enumerate(_extra(local.search)):
        thetas[:, local.search.names.index(name)] = points[:, len(moves) + k]
    return thetas, combs


def _log_posterior(local: _Local, points: FloatArray) -> FloatArray:
    """Posterior density (ln) in the coordinates of `_centre`; -inf outside the box."""
    search = local.search
    thetas, combs = _full(local, points)
    # Dtheta/dy is the width, and one over the spacing for an offset in spacings; what is fixed only adds a constant.
    out = search.log_prior(thetas) + combs[:, 2]
    if search.engine.offset_unit == "spacing":
        out -= np.log(combs[:, 0].clip(min=1e-300))
    for k, values in ((0, combs[:, 0]), (2, np.exp(combs[:, 2].clip(-700.0, 700.0)))):
        low, high = search.box[("spacing", "offset", "width")[k]]
        if high > low:
            out[(values < low) | (values > high)] = -np.inf
    inside = np.isfinite(out)
    if np.any(inside):
        out[inside] += search.original.log_likelihood_many(search.original_columns(thetas[inside]))
    return out


def check_against_scan(posterior: Posterior, engine: EchoSearch, scan: ScanResult | None = None) -> Posterior:
    """Say whether a run has seen the best peak that a scan finds.

    Parameters
    ----------
    posterior : Posterior
        A run of ``engine``, with the amplitude marginalised, sampled, or restored.
    engine : EchoSearch
        That engine.
    scan : ScanResult, optional
        None: a `scan` with the default steps and the engine's default priors.

    Returns
    -------
    Posterior
        With ``meta["scan"]``: the best ln L of both and the scan's best point. The status is "missed_mode" if the run's is lower by more
        than 2 and, where the run has an evidence, the scan's peak would hold a fifth of it: in noise alone there is always some narrow
        peak of larger ln L and next to no prior mass, which a sound run need not have met. Peaks outside ``meta["supports"]`` do not count.

    Raises
    ------
    ConfigError
        If the posterior, or the scan, is of other parameters or another engine.

    Notes
    -----
    ln L is maximised over the amplitude where it is marginalised, at the 100 best samples.
    """
    result = scan if scan is not None else _default_scan(engine)
    if not isinstance(result, ScanResult):
        raise ConfigError(f"check_against_scan: scan must be a ScanResult or None, got {shown(scan)}")
    if result.engine.fingerprint() != engine.fingerprint():
        raise ConfigError("check_against_scan: the scan is of another engine (data, phase, amplitude or band differ); scan this one")
    unknown = [name for name in posterior.names if name not in (*engine.parameters, "amplitude")]
    if unknown or not set(posterior.names):
        raise ConfigError(
            f"check_against_scan: the posterior has '{unknown[0]}', the engine has not: {nearest_names(unknown[0], engine.parameters)}"
        )
    best = _best_of_run(posterior, engine)
    supports = dict(posterior.meta.get("supports") or {})
    counts = np.ones(len(result.peaks), dtype=np.bool_)
    for name, (low, high) in supports.items():
        if name in result.names:
            column = result.peaks[:, result.names.index(name)]
            counts &= (column >= (-math.inf if low is None else low)) & (column <= (math.inf if high is None else high))
    reached = float(np.max(result.log_likelihoods[counts])) if np.any(counts) else -math.inf
    k, note = 0, dict[str, Any]()
    note |= {"log_likelihood_of_run": best, "short": max(reached - best, 0.0) if math.isfinite(reached) else 0.0}
    if np.any(counts):
        k = int(np.flatnonzero(counts)[np.argmax(result.log_likelihoods[counts])])
        note |= {"log_likelihood_of_scan": reached, "theta": dict(zip(result.names, result.peaks[k].tolist(), strict=True))}
        note["amplitude"] = float(result.amplitudes[k])
    missed = note["short"] > _SHORT
    if missed and posterior.log_evidence is not None:
        note["log_mass"] = _Mode.fitted(result, k, np.random.default_rng(0)).log_mass
        missed = note["log_mass"] > posterior.log_evidence + math.log(_SHARE)
    if missed:
        note["note"] = f"the run's best ln L is {best:.2f}, a scan's {reached:.2f}: a mode of the posterior was missed"
    return replace(posterior, status="missed_mode" if missed else posterior.status, meta={**posterior.meta, "scan": note})


def _default_scan(engine: EchoSearch) -> ScanResult:
    return scan(engine)


def _best_of_run(posterior: Posterior, engine: EchoSearch) -> float:
    """Best ln L of a run, over the amplitude too where the engine marginalises it."""
    if engine.amplitude_prior is None:
        return float(np.max(posterior.log_likelihood))
    top = np.argsort(-posterior.log_likelihood)[:100]
    fixed = posterior.meta.get("fixed") or {}
    columns = [posterior.column(name)[top] if name in posterior.names else np.full(len(top), fixed[name]) for name in engine.parameters]
    return max(engine.maximise_amplitude(theta)[1] for theta in np.column_stack(columns))
