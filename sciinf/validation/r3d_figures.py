"""Figures of the r3d suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.calibration import sbc
from sciinf.engines.r3d import R3D
from sciinf.engines.r3d.simulate import dgp1, dgp2
from sciinf.results.drawing import COLOURS, GREY, new_figure
from sciinf.validation.r3d_designs import CONTRAST_LEVELS, pooled_limit
from sciinf.validation.r3d_reference import OPTIMUM, PUBLISHED
from sciinf.validation.rates import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bandwidths", "contrast", "coverage", "effects", "pit"]

FloatArray = NDArray[np.float64]

_BINS = 10


def _canvas(width: float, height: float) -> Figure:
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    return figure


def coverage(flags: dict[int, dict[str, list[bool]]]) -> Figure:
    """Coverage of the constant band by number of units and covariance, with Wilson intervals, beside the published ones."""
    figure = _canvas(7.0, 4.2)
    axis = figure.add_subplot()
    axis.axhline(95.0, color=GREY, lw=0.8)
    for i, cov in enumerate(("HC0", "HC2", "HC3")):
        for j, form in enumerate(("constant", "studentised")):
            sizes = sorted(flags)
            rows = [flags[n][f"{cov} {form}"] for n in sizes]
            rates = np.array([100.0 * np.mean(row) for row in rows])
            ends = 100.0 * np.array([wilson(sum(row), len(row)) for row in rows])
            place = np.array(sizes) * 1.03 ** (2 * i + j - 2.5)
            spread = np.clip([rates - ends[:, 0], ends[:, 1] - rates], 0.0, None)
            axis.errorbar(place, rates, spread, color=COLOURS[i], ls="none", marker="os"[j], ms=5, mfc=COLOURS[i] if j == 0 else "white",
                          lw=1.0, label=f"{cov}, {form}")  # fmt: skip
    for k, (name, marker) in enumerate((("published, Frechet", "_"), ("published, local polynomial", "x"))):
        axis.plot(
            list(PUBLISHED), [100.0 * row[k] for row in PUBLISHED.values()], color="black", ls="none", marker=marker, ms=9, label=name
        )
    axis.set_xscale("log")
    sizes = sorted({*flags, *PUBLISHED})
    axis.set_xticks(sizes, [str(n) for n in sizes])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("units")
    axis.set_ylabel("coverage of the 95 % band, %")
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    low, high = axis.get_ylim()
    axis.set_ylim(low - 0.45 * (high - low), high)
    return figure


def bandwidths(medians: dict[str, FloatArray], sizes: Sequence[int]) -> Figure:
    """Median bandwidth against the number of units, beside the optimum."""
    figure = _canvas(6.4, 4.2)
    axis = figure.add_subplot()
    n = np.array(sizes, dtype=np.float64)
    axis.loglog(n, OPTIMUM * n**-0.2, color=GREY, lw=1.2, ls="--", label="optimum")
    names = {"R package": "R3D-compatible"}
    for (name, median), colour in zip(medians.items(), (COLOURS[0], COLOURS[2], COLOURS[1]), strict=True):
        axis.loglog(n, median, color=colour, marker="o", ms=5, lw=1.4, label=names.get(name, name))
    axis.set_xticks(n, [f"{value:g}" for value in n])
    axis.set_xticks([], minor=True)
    ticks = [0.15, 0.2, 0.3, 0.4, 0.6, 0.8]
    axis.set_yticks(ticks, [f"{value:g}" for value in ticks])
    axis.set_yticks([], minor=True)
    axis.set_xlabel("units")
    axis.set_ylabel("bandwidth, median over data sets")
    axis.legend(frameon=False, fontsize=9)
    return figure


def contrast(ours: FloatArray, pooled: FloatArray) -> Figure:
    """Our effect and the pooled comparison (n, n_q): means with their errors over replicas, and what each tends to."""
    figure = _canvas(6.4, 4.2)
    axis = figure.add_subplot()
    levels = np.array(CONTRAST_LEVELS)
    axis.plot(levels, special.ndtri(levels), color=COLOURS[0], lw=1.2, label="average quantile effect, truth")
    axis.plot(levels, pooled_limit(CONTRAST_LEVELS), color=COLOURS[1], lw=1.2, ls="--", label="pooled comparison, limit")
    for name, values, colour in (("ours", ours, COLOURS[0]), ("pooled", pooled, COLOURS[1])):
        values = values - values.mean(axis=1, keepdims=True)  # what moves all levels together is not the contrast
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axis.errorbar(levels, values.mean(axis=0), error, color=colour, ls="none", marker="o", ms=4, lw=1.0, label=name)
    axis.axhline(0.0, color=GREY, lw=0.8)
    axis.set_xlabel("quantile level")
    axis.set_ylabel("effect less its mean over levels")
    axis.legend(frameon=False, fontsize=9)
    return figure


def effects(seed: int, n: int, rate_effect: float) -> Figure:
    """One data set of either published design: estimate, band and truth."""
    figure = _canvas(9.0, 4.0)
    designs: list[tuple[str, Any]] = [
        ("first design", dgp1(n, 100, 1.0, np.random.default_rng(seed))),
        ("skewed design", dgp2(n, 100, 1.0, rate_effect, np.random.default_rng(seed))),
    ]
    for i, (name, data) in enumerate(designs):
        axis = figure.add_subplot(1, 2, i + 1)
        fit = R3D(data.x, data.outcomes).fit()
        fit.plot_effect(fit.conf_band(), ax=axis)
        axis.plot(data.q, data.effect, color=COLOURS[1], lw=1.4, ls="--", label="truth")
        axis.set_title(f"{name}, n = {n}", fontsize=10)
        if (own := axis.get_legend()) is not None:
            own.remove()
    figure.axes[1].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def pit(panels: dict[str, NDArray[np.int64]]) -> Figure:
    """Histograms of ranks (n,), as probabilities below the truth, with the 99 % range of a bin's count."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = _canvas(3.0 * columns, 2.6 * rows)
    for i, (name, ranks) in enumerate(panels.items()):
        axis = figure.add_subplot(rows, columns, i + 1)
        expected = len(ranks) / _BINS
        low, high = special.bdtrik([0.005, 0.995], len(ranks), 1.0 / _BINS)
        axis.axhspan(low, high, color="0.88", lw=0.0)
        axis.axhline(expected, color=GREY, lw=0.8)
        axis.hist((ranks + 0.5) / (sbc.N_DRAWS + 1), bins=_BINS, range=(0.0, 1.0), color=COLOURS[0], alpha=0.7)
        axis.set_xlim(0.0, 1.0)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
        if i >= len(panels) - columns:
            axis.set_xlabel("probability below the truth", fontsize=8)
    return figure
