"""Pictures of the echo suite: ln B by T beside the published figures, ranks, and the engine's own of what was searched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration.sbc import N_DRAWS
from sciinf.core.problem import Problem
from sciinf.engines.echo import EchoSearch, scan
from sciinf.engines.echo.plots import mode_statistics, scan_map
from sciinf.results.drawing import COLOURS, GREY, new_figure
from sciinf.validation.echo_checks import Phase
from sciinf.validation.echo_published import COMBS
from sciinf.validation.echo_runs import Injections

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["evidence_by_duration", "rank_histograms", "search_pictures"]

_PHASES: tuple[Phase, ...] = ("mode", "bin")
_LEAST = 8  # values that make a violin; fewer are points
_CELLS = 20  # of a rank histogram: 200 ranks, ten a cell


def evidence_by_duration(found: Sequence[Injections]) -> Figure:
    """ln B of the published comb by T and phase, violins of ours with median, beside the published median and 16 to 84 %; noise below."""
    durations = sorted({one.duration for one in found})
    figure = new_figure(8.0, 4.2)
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    phases = [phase for phase in _PHASES if any(one.phase == phase for one in found)]
    for one in found:
        k = phases.index(one.phase)
        place, colour, shift = float(durations.index(one.duration)), COLOURS[k], 0.42 * (k - 0.5 * (len(phases) - 1))
        _spread(axis, one.with_comb.log_evidence, place + shift - 0.07, colour)
        published = COMBS.get((one.duration, one.phase))
        if published is not None:
            bars = [[published.median - published.low], [published.high - published.median]]
            axis.errorbar(place + shift + 0.1, published.median, bars, fmt="s", ms=5, mfc="white", color=colour, capsize=3, lw=1.2)
            axis.plot(place + shift + 0.15, published.noise_max, "v", ms=5, mfc="white", color=GREY)
        if one.noise_only is not None:
            _spread(axis, one.noise_only.log_evidence, place + shift - 0.12, GREY)  # beside, where few runs are points
    axis.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    axis.set_xticks(range(len(durations)), [str(duration) for duration in durations])
    axis.set_xlim(-0.6, len(durations) - 0.4)
    axis.set_xlabel(r"$T$ [s]")
    axis.set_ylabel(r"$\ln B$")
    handles: list[Any] = [axis.plot([], [], "o", color=COLOURS[k], label=f"{phase}, ours")[0] for k, phase in enumerate(phases)]
    handles.append(axis.plot([], [], "o", color=GREY, label="noise only, ours")[0])
    handles.append(axis.errorbar([], [], [], fmt="s", mfc="white", color="black", capsize=3, label="published, median and 16 to 84 %"))
    handles.append(axis.plot([], [], "v", mfc="white", color=GREY, label="published, largest of noise")[0])
    figure.legend(handles=handles, loc="outside upper center", ncols=5, frameon=False, fontsize=8, columnspacing=1.2, handletextpad=0.5)
    return figure


def _spread(axis: Axes, values: NDArray[np.float64], place: float, colour: str) -> None:
    """A violin with its median, or points where there are too few for one."""
    if len(values) < _LEAST:
        axis.plot(np.full(len(values), place), values, "o", ms=4, alpha=0.8, color=colour)
        return
    for body in axis.violinplot(values, positions=[place], widths=0.28, showextrema=False)["bodies"]:  # type: ignore[attr-defined]
        body.set(facecolor=colour, alpha=0.45)
    axis.plot(place, float(np.median(values)), "o", ms=5, color=colour)


def rank_histograms(ranks: NDArray[np.int64], names: Sequence[str], n_draws: int = N_DRAWS) -> Figure:
    """Ranks of the truths, parameter by parameter, with the 99 % range of a uniform cell's count."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(2.6 * len(names) + 0.6, 2.8)
    figure.set_layout_engine("constrained")
    edges = np.linspace(-0.5, n_draws + 0.5, min(_CELLS, max(len(ranks) // 10, 2)) + 1)
    low, high = stats.binom.interval(0.99, len(ranks), 1.0 / (len(edges) - 1))
    counts = [np.histogram(column, edges)[0] for column in ranks.T]
    axes: Sequence[Axes] = figure.subplots(1, len(names), sharey=True, squeeze=False)[0].tolist()
    for axis, name, column in zip(axes, names, ranks.T, strict=True):
        axis.hist(column, edges.tolist(), color=COLOURS[0], alpha=0.35)
        axis.hist(column, edges.tolist(), histtype="step", color=COLOURS[0], lw=1.4)
        axis.axhspan(low, high, facecolor="none", edgecolor=GREY, hatch="///", alpha=0.35, lw=0, label="99 % of uniform ranks")
        axis.axhline(len(ranks) / (len(edges) - 1), color=GREY, lw=1.0)
        axis.set_xlim(edges[0], edges[-1])
        axis.set_xlabel(f"rank of {name}")
    axes[0].set_ylabel(f"replicas, of {len(ranks)}")
    axes[0].set_ylim(0.0, 1.35 * max(float(high), float(np.max(counts))))
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(frameon=False, fontsize=8, loc="upper right")
    return figure


def search_pictures(problem: Problem, theta: NDArray[np.float64]) -> dict[str, Figure]:
    """The scan's map and the modes' statistics of one search, with its best point."""
    engine = problem.engine
    assert isinstance(engine, EchoSearch)
    theta = problem.engine_theta(theta)
    values = engine.named(theta)
    spacing = values["spacing"]
    offset = math.fmod(engine.offset_hz(values) / spacing, 1.0)
    return {"scan": scan_map(scan(engine, priors=problem.priors), (spacing, offset)), "modes": mode_statistics(engine, theta)}
