"""Pictures of a search: spectrum and teeth, the modes' statistics, the scan, the background. Functions that return a matplotlib Figure."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, MissingDependencyError, PriorError
from sciinf.engines.echo.diagnostics import predict, thetas_of
from sciinf.results.drawing import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["background_histogram", "evidence_against_duration", "figures", "mode_statistics", "scan_map", "spectrum_with_teeth"]

Array = NDArray[np.float64]

_FILL = 0.55
_GOLDEN = "#c98a1b"
_MARK = COLOURS[5]
_ROWS, _COLUMNS = 300, 60  # of a scan's map: a narrow peak stays one that can be seen


class _Scan(Protocol):
    """What a scan's map is drawn from."""

    @property
    def spacing(self) -> Array: ...
    @property
    def offset(self) -> Array: ...
    @property
    def grid(self) -> Array: ...
    @property
    def place(self) -> tuple[float, float]: ...
    @property
    def log_likelihood(self) -> float: ...
    @property
    def unit(self) -> str: ...


def _figure(width: float, height: float) -> Figure:
    """A new figure, or MissingDependencyError that says what to install."""
    try:
        return new_figure(width, height)
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error


def _legend(axis: Axes, **options: Any) -> None:
    axis.legend(frameon=False, fontsize=9, **options)


def spectrum_with_teeth(engine: EchoSearch, theta: ArrayLike) -> Figure:
    """Whitened data of each detector with the teeth at ``theta`` (n_parameters,) and the reconstructed comb on them.

    Raises
    ------
    LikelihoodError
        If theta is outside the domain.
    MissingDependencyError
        Without matplotlib.
    """
    values = engine.named(theta)
    first, last = engine.bins
    found = predict(engine, theta)
    frequency = found["frequency"]
    low, high = engine.band_of(values)
    spacing, f0 = values["spacing"], engine.offset_hz(values)
    teeth = f0 + spacing * np.arange(math.ceil((low - f0) / spacing), math.floor((high - f0) / spacing) + 1)
    count = len(engine.spectra)
    figure = _figure(8.0, 2.0 * count + 2.9)
    grid = figure.add_gridspec(2, 1, height_ratios=(2.0 * count + 0.3, 2.0))
    axes = grid[0].subgridspec(count, 1, hspace=0.08).subplots(sharex=True, squeeze=False)[:, 0]
    folded = figure.add_subplot(grid[1])
    for axis, spectrum, colour in zip(axes, engine.spectra, (COLOURS[0], *COLOURS[2:]), strict=False):
        data = spectrum.whitened()[first : last + 1]
        comb = data - found[f"whitened_residual_{spectrum.detector}"]
        used = spectrum.used[first : last + 1]
        axis.vlines(teeth, 0.0, 1.0, color=_GOLDEN, lw=0.7, alpha=_FILL, transform=axis.get_xaxis_transform(), zorder=0)
        axis.plot(frequency, np.where(used, np.abs(data), np.nan), color=colour, lw=0.5, alpha=0.6, label="data")
        axis.plot(frequency, np.where(used & (comb != 0.0), np.abs(comb), np.nan), color=COLOURS[1], lw=1.5, label="comb")
        for begin, end in _runs(~used):
            axis.axvspan(frequency[begin] - 0.5 / engine.duration, frequency[end] + 0.5 / engine.duration, color=GREY, alpha=0.25, lw=0)
        axis.set_ylabel(r"$|d_j|\,(4\,\delta f/S_j)^{1/2}$")
        axis.text(
            0.01, 0.95, spectrum.detector, transform=axis.transAxes, va="top", bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1.5}
        )
        axis.set_ylim(0.0, 1.25 * float(np.max(np.abs(data[used]), initial=1.0)))
        inside = used & (frequency >= low) & (frequency <= high)
        _fold(folded, (frequency[inside] - f0) / spacing, data[inside], comb[inside], spacing * engine.duration, spectrum.detector, colour)
    margin = max(2.0 * spacing, 0.03 * (high - low))
    axes[-1].set_xlim(max(low - margin, frequency[0]), min(high + margin, frequency[-1]))
    axes[-1].set_xlabel("frequency" + (" [Hz]" if engine.is_in_hertz else r" [1/$M$]"))
    _legend(axes[0], loc="upper right", ncols=2)
    folded.axhline(1.0, color=GREY, lw=0.8)
    folded.set_xlim(-0.5, 0.5)
    folded.set_xlabel("distance from the nearest tooth [spacings]")
    folded.set_ylabel("mean power over noise")
    _legend(folded, loc="upper right")
    figure.subplots_adjust(left=0.09, right=0.98, top=0.98, bottom=0.5 / (2.0 * count + 2.9), hspace=0.32)
    figure.set_label(
        "Whitened data and the comb of the best sample at its best phases. Vertical lines: teeth; grey: masked bins. Below, the power of "
        "all teeth laid on one another, and what the comb adds to the noise."
    )
    return figure


def _fold(
    axis: Axes, turns: Array, data: NDArray[np.complex128], comb: NDArray[np.complex128], bins: float, name: str, colour: str
) -> None:
    """Mean whitened power (1 for noise) of the bins at each distance from their tooth, and the comb's above the noise."""
    edges = np.linspace(-0.5, 0.5, 2 * int(np.clip(bins, 8, 80) / 2) + 2)
    place = turns - np.floor(turns + 0.5)
    total = np.histogram(place, edges)[0]
    mean = [
        np.histogram(place, edges, weights=power)[0] / np.maximum(total, 1) for power in (0.5 * np.abs(data) ** 2, 0.5 * np.abs(comb) ** 2)
    ]
    some = total > 0
    centres = 0.5 * (edges[1:] + edges[:-1])
    axis.errorbar(centres[some], mean[0][some], yerr=1.0 / np.sqrt(total[some]), fmt="o", ms=3, lw=0.8, color=colour, label=f"data, {name}")
    axis.plot(centres[some], 1.0 + mean[1][some], drawstyle="steps-mid", color=COLOURS[1] if colour == COLOURS[0] else colour, lw=1.3)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(begin), int(end) - 1) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def mode_statistics(engine: EchoSearch, theta: ArrayLike) -> Figure:
    """Each mode's matched filter abs(kappa_n) against its template SNR rho_n, and its share of ln L against frequency.

    Raises
    ------
    LikelihoodError
        If theta is outside the domain.
    MissingDependencyError
        Without matplotlib.
    """
    table = engine.modes(theta)
    figure = _figure(8.0, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.35))
    unit = "Hz" if engine.is_in_hertz else r"1/$M$"
    top = 1.08 * float(np.max(table.rho, initial=1.0))
    line = np.linspace(0.0, top, 100)
    left.fill_between(line, np.maximum(line**2 - line, 0.0), line**2 + line, color=GREY, alpha=0.2, lw=0)
    left.plot(line, line**2, color=GREY, lw=1.0)
    points = left.scatter(table.rho, table.kappa, c=table.frequency, cmap="viridis", s=18, zorder=3)
    left.set_xlim(0.0, top)
    left.set_ylim(min(0.0, 1.1 * float(np.min(table.kappa, initial=0.0))), 1.1 * float(np.max(table.kappa, initial=1.0)))
    left.set_xlabel(r"template SNR $\rho_n$")
    left.set_ylabel(r"matched filter $|\kappa_n|$" if engine.phase != "whittle" else r"matched filter Re $\kappa_n$")
    figure.colorbar(points, ax=left, label=f"frequency [{unit}]", pad=0.03)
    width = 0.7 * float(np.min(np.diff(table.frequency), initial=math.inf)) if len(table) > 1 else 1.0
    colours = np.where(table.log_likelihood >= 0.0, COLOURS[0], COLOURS[1])
    right.bar(table.frequency, table.log_likelihood, width=width, color=colours.tolist())
    right.axhline(0.0, color=GREY, lw=0.8)
    right.set_xlabel(f"frequency [{unit}]")
    right.set_ylabel(r"share of $\ln L$")
    figure.tight_layout()
    figure.set_label(
        f"Modes of the best sample: {len(table)} teeth, ln L = {float(np.sum(table.log_likelihood)):.2f} at amplitude "
        f"{table.amplitude:.3g}. Grey: what a signal equal to the template gives in the mean, and one standard deviation of the noise "
        "around it."
    )
    return figure


def scan_map(scan: _Scan, point: Sequence[float] | None = None) -> Figure:
    """ln L over spacing and offset, maximised over the rest; ``point`` (spacing, offset) is marked, the best sample say.

    Parameters
    ----------
    scan : ScanResult
        Its map, and its best point.
    point : (spacing, offset), optional
        In units of the map: Hz and spacings.

    Raises
    ------
    DataError
        If shapes do not fit.
    MissingDependencyError
        Without matplotlib.
    """
    spacing = finite_array("spacing of the scan", scan.spacing, shape=(-1,))
    offset = finite_array("offset of the scan", scan.offset, shape=(-1,))
    values = np.asarray(scan.grid, dtype=np.float64)
    if values.shape != (len(spacing), len(offset)) or not values.size:
        raise DataError(f"grid of a scan must be ({len(spacing)}, {len(offset)}), spacing by offset, got {values.shape}")
    figure = _figure(8.0, 5.2)
    figure.set_layout_engine("constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 2.0))
    finite = np.where(np.isfinite(values), values, np.nan)
    top.plot(spacing, np.fmax.reduce(finite, axis=1), color=COLOURS[0], lw=0.8)
    top.plot(scan.place[0], scan.log_likelihood, "o", ms=8, mfc="none", mec=COLOURS[1], mew=1.4, clip_on=False)
    top.set_ylabel(r"largest $\ln L$")
    # most of a scan is far finer than a picture: keep the largest value of every pixel
    pixels, edges = _coarse(finite, spacing, _ROWS)
    turned, sides = _coarse(pixels.T, offset, _COLUMNS)
    mesh = bottom.pcolormesh(edges, sides, turned, cmap="magma", shading="flat", rasterized=True, vmin=float(np.nanmedian(turned)))
    bottom.plot(*scan.place, "o", ms=11, mfc="none", mec="white", mew=1.4, label="best of the scan", clip_on=False)
    if point is not None:
        bottom.plot(point[0], point[1], "+", ms=12, color=_MARK, mew=1.8, label="best sample", clip_on=False)
        top.axvline(point[0], color=_MARK, lw=0.8, zorder=0)
    legend = bottom.legend(loc="upper right", fontsize=9, framealpha=0.6, facecolor="black", edgecolor="none")
    for text in legend.get_texts():
        text.set_color("white")
    _ratio_axis(bottom, edges[0], edges[-1])
    bottom.set_xlabel(f"spacing [{scan.unit}]")
    bottom.set_ylabel("offset [spacings]")
    figure.colorbar(mesh, ax=[top, bottom], label=r"$\ln L$", pad=0.02, aspect=40)
    figure.set_label(
        f"Scan of {len(spacing)} spacings by {len(offset)} offsets: largest ln L over width, amplitude and band. Its best comb is climbed "
        "to from there, and may lie above it. Combs of half or twice a spacing share teeth."
    )
    return figure


def _ratio_axis(axis: Axes, low: float, high: float) -> None:
    """Spacings are in equal ratios: a logarithmic axis, with numbers that can be read also over less than a decade."""
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    if low > 0.0:
        axis.set_xscale("log")
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter(useMathText=True))


def _edges(centres: Array) -> Array:
    """Cell edges around points that increase."""
    if len(centres) < 2:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2.0 * centres[0] - middle[0]], middle, [2.0 * centres[-1] - middle[-1]]])


def _coarse(values: Array, at: Array, most: int) -> tuple[Array, Array]:
    """At most ``most`` rows, each the largest value of its group, and the rows' edges."""
    edges = _edges(at)
    step = -(-len(at) // most)
    starts = np.arange(0, len(at), step)
    grouped = np.fmax.reduceat(values, starts, axis=0)
    return np.asarray(grouped, dtype=np.float64), np.asarray(np.append(edges[starts], edges[-1]), dtype=np.float64)


def background_histogram(
    on: float, background: ArrayLike, p: float | None = None, interval: Sequence[float] | None = None, what: str = "ln B"
) -> Figure:
    """Histogram of background values with the event's, and p with its interval where they are given.

    Raises
    ------
    DataError
        If a value is not finite, or there is none.
    MissingDependencyError
        Without matplotlib.
    """
    values = finite_array("background", background, shape=(-1,))
    if not len(values):
        raise DataError("a background histogram needs at least one value")
    figure = _figure(8.0, 3.4)
    from matplotlib.ticker import MaxNLocator

    axis = figure.subplots()
    low, high = min(float(values.min()), on), max(float(values.max()), on)
    room = 0.05 * (high - low) or 0.5
    count = min(max(int(3.0 * math.sqrt(len(values))), 5), 40)
    inside = np.linspace(float(values.min()), float(values.max()) + 1e-9, count + 1)
    axis.hist(values, bins=inside.tolist(), color=COLOURS[0], alpha=0.8, label=f"{len(values)} off-source runs")
    axis.plot(values, np.full(len(values), -0.02), "|", color=COLOURS[0], ms=7, transform=axis.get_xaxis_transform(), clip_on=False)
    label = f"on source: {on:.2f}" + ("" if p is None else f", p = {p:.3g}")
    if interval is not None:
        label += f" ({interval[0]:.2g} to {interval[1]:.2g})"
    axis.axvline(on, color=COLOURS[1], lw=1.8, label=label)
    axis.set_xlim(low - room, high + room)
    axis.tick_params(axis="x", pad=8)
    axis.set_xlabel(what)
    axis.set_ylabel("runs")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axis, loc="best")
    figure.tight_layout()
    figure.set_label(
        "Evidences of the off-source runs, each marked below the axis, and that of the run on source"
        + ("." if interval is None else "; the interval of p is that of the bootstrap over segments.")
    )
    return figure


def evidence_against_duration(
    duration: ArrayLike, log_evidence: Mapping[str, ArrayLike], noise: Mapping[str, ArrayLike] | None = None
) -> Figure:
    """ln B of many runs against the duration analysed: median and 16 to 84 % of each series.

    Parameters
    ----------
    duration : (n,) float64 array
        T in s.
    log_evidence : dict of str to (n, m) float64 array
        ln B of m runs at each duration, by the series' name ("mode", "bin").
    noise : dict of str to (n, m) float64 array, optional
        The same in noise only: its maximum is drawn.

    Raises
    ------
    DataError
        If shapes do not fit.
    MissingDependencyError
        Without matplotlib.
    """
    time = finite_array("duration", duration, shape=(-1,))
    figure = _figure(8.0, 3.8)
    axis = figure.subplots()
    shifts = np.linspace(-0.012, 0.012, len(log_evidence)) if len(log_evidence) > 1 else np.zeros(1)
    for (name, given), colour, shift in zip(log_evidence.items(), COLOURS, shifts, strict=False):
        low, middle, high = np.quantile(_rows(name, given, len(time)), (0.16, 0.5, 0.84), axis=1)
        at = time * (1.0 + shift)
        axis.errorbar(at, middle, yerr=(middle - low, high - middle), fmt="o-", ms=4, lw=1.2, capsize=2, color=colour, label=name)
        if noise is not None and name in noise:
            highest = _rows(name, noise[name], len(time)).max(axis=1)
            axis.plot(time, highest, ls="--", lw=1.0, color=colour, label=f"{name}, largest in noise")
    axis.axhline(0.0, color=GREY, lw=0.8)
    axis.set_xscale("log")
    axis.set_xticks(time, [f"{value:g}" for value in time])
    axis.minorticks_off()
    axis.set_xlabel(r"$T$ [s]")
    axis.set_ylabel(r"$\ln B$")
    _legend(axis, loc="best", ncols=2)
    figure.tight_layout()
    figure.set_label("Evidence over noise against the duration analysed: median and 16 to 84 % of the runs at each duration.")
    return figure


def _rows(name: str, given: ArrayLike, n: int) -> Array:
    values = finite_array(f"ln B of {name}", given, shape=(n, -1))
    if not values.shape[1]:
        raise DataError(f"ln B of {name} must be ({n}, m), one row for each duration, got {values.shape}")
    return values


def figures(engine: EchoSearch, posterior: Posterior) -> dict[str, Figure]:
    """Spectrum with teeth and the modes' statistics at the best sample of ``posterior``; the scan's map where it was held against one."""
    theta = thetas_of(posterior, engine)[posterior.best]
    made = {"whitened_spectrum": spectrum_with_teeth(engine, theta), "modes": mode_statistics(engine, theta)}
    if "scan" in posterior.meta:
        values = dict(zip(engine.parameters, theta.tolist(), strict=True))
        with contextlib.suppress(ConfigError, PriorError):  # no default priors to scan: the run was held against a scan of other ones
            made["scan"] = scan_map(engine.default_scan, (values["spacing"], engine.offset_hz(values) / values["spacing"] % 1.0))
    return made
