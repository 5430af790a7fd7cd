"""Scan of the comb's parameters: where the likelihood peaks, and start points for emcee.

A scan never supplies live points or proposals to a nested run: its evidence would be biased.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, PriorError, shown
from sciinf.engines.echo.scan_peaks import peaks_of
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.engines.echo.scan_starts import FittedPeak
from sciinf.engines.echo.scan_tables import CELLS_PER_TABLE, ToothTables

if TYPE_CHECKING:
    from sciinf.core.prior_set import PriorSet
    from sciinf.engines.echo.model import EchoSearch

__all__ = ["ScanResult", "comb_in_words", "scan"]

_log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_MODES, _DEPTH = 8, 12.0  # for starts: at most so many peaks, at most this far below the best


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What `scan` found; ln L is the largest over the amplitude within its prior.

    Attributes
    ----------
    names : tuple of str
        The engine's parameters: columns of ``peaks``.
    peaks : (n_peaks, n_parameters) float64 array
        Distinct peaks, locally maximised, best first. In a sampled band one comb may have several: other runs of its teeth.
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
    def place(self) -> tuple[float, float]:
        """Spacing (Hz) and offset (spacings) of the best point: where it lies on the map."""
        values = dict(zip(self.names, self.theta.tolist(), strict=True))
        return values["spacing"], self.engine.offset_hz(values) / values["spacing"] % 1.0

    @property
    def unit(self) -> str:
        """Unit of frequencies: "Hz", or "1/M" for a remnant without a mass."""
        return "Hz" if self.engine.is_in_hertz else "1/M"

    @property
    def amplitude(self) -> float:
        """The amplitude at the best point, in s, marginalised by the engine or not."""
        return float(self.amplitudes[0])

    def __str__(self) -> str:
        values = dict(zip(self.names, self.theta.tolist(), strict=True))
        return f"{self.n_points:,} combs, the best at {comb_in_words(self.engine, values, self.log_likelihood)}"

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
        modes = [FittedPeak.fitted(self, int(k), rng) for k in near]
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
        Cells evaluated exactly, and how many distinct ones of them are maximised at most. In a sampled band the result may hold more
        peaks than ``n_peaks``: other runs of a comb's teeth are peaks of their own.

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
    below 100 MB at T = 52 s. The best cells are evaluated exactly, and the distinct ones that could be best maximised by simplices; in
    a sampled band the other runs of their teeth, divided by a rise of 2 in ln L along the teeth, follow as peaks.

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
    search = SearchSpace.of(engine, priors)
    for name in ("spacing", "width"):
        low, high = search.box[name]
        if not 0.0 < low <= high < math.inf:
            raise PriorError(f"scan: the prior of {name} must have a positive, finite range, got {low:g} to {high:g}")
    chosen = _widths(search, widths)
    table = ToothTables(search, float(steps), n_spacing, n_offset)
    n_cells = max(CELLS_PER_TABLE, int(n_refine))
    for width in chosen:
        for phases in _phase_grid(len(search.phases), n_phase):
            table.add(float(width), phases, n_cells)
    peaks, values = peaks_of(search, table, int(n_refine), int(n_peaks))
    result = ScanResult(
        search.original.parameters,
        search.original_columns(peaks),
        values,
        peaks[:, search.names.index("amplitude")].copy(),
        np.sqrt(table.edges[1:] * table.edges[:-1]),
        (np.arange(table.columns) + 0.5) / table.columns,
        table.map(),
        chosen,
        tuple(table.counts),
        table.n_points,
        table.steps,
        search.original,
        search.priors,
    )
    _log.info("scan: %s", result)
    return result


def comb_in_words(engine: EchoSearch, values: Mapping[str, float], log_likelihood: float) -> str:
    """Where a comb lies, and its ln L."""
    unit, seconds = ("Hz", "s") if engine.is_in_hertz else ("1/M", "M")
    offset = f"{values['offset']:.5g}" + (f" {unit}" if engine.offset_unit == "Hz" else "")
    return (
        f"spacing {values['spacing']:.6g} {unit}, offset {offset}, width {values['width']:.3g} rad/{seconds}, ln L = {log_likelihood:.2f}"
    )


def _widths(search: SearchSpace, widths: ArrayLike | int | None) -> FloatArray:
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
