"""Pictures of a fit: the effect, the two limits, the bandwidth, an effect's shape. Each returns a matplotlib Figure and shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, MissingDependencyError
from sciinf.engines.r3d.projection import cell_weights
from sciinf.results.drawing import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.engines.r3d.effect import R3DEffectEngine
    from sciinf.engines.r3d.inference import AverageEffects, Band
    from sciinf.engines.r3d.results import R3DResults
    from sciinf.results.posterior import Posterior

__all__ = ["bandwidth", "effect", "shape_over_curve", "sides"]

FloatArray = NDArray[np.float64]

_FILL = 0.25
_FINE = 200
_MOST_DRAWS = 2000


def _canvas(ax: Axes | None, height: float = 4.2) -> tuple[Figure, Axes]:
    """The axes given and their figure, or new ones."""
    if ax is not None:
        return ax.get_figure(), ax  # type: ignore[return-value]
    try:
        figure = new_figure(7.0, height)
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error
    return figure, figure.add_subplot()


def _legend(axis: Axes) -> None:
    axis.legend(frameon=False, fontsize=9)


def effect(fit: R3DResults, band: Band | bool = True, averages: AverageEffects | None = None, ax: Axes | None = None) -> Figure:
    """The effect with its uniform band shaded, pointwise intervals thin, the zero line, and range averages as bars where given.

    Parameters
    ----------
    fit : R3DResults
        What to draw.
    band : Band or bool
        The band, ``fit.conf_band()`` with True, none with False.
    averages : AverageEffects, optional
        Of ranges of levels.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    ConfigError
        If the band has other levels than the fit.
    """
    shown = (fit.conf_band() if band else None) if isinstance(band, bool) else band
    if shown is not None and not np.array_equal(shown.q, fit.q_grid):
        raise ConfigError(f"r3d: the band is of another fit: it has {len(shown.q)} levels from {shown.q[0]:g} to {shown.q[-1]:g}")
    figure, axis = _canvas(ax)
    q, limits = fit.q_grid, fit.conf_int(0.05 if shown is None else shown.alpha)
    axis.axhline(0.0, color=GREY, lw=0.8)
    if shown is not None:
        name = f"{100 * (1 - shown.alpha):g} % band"
        axis.fill_between(q, shown.lower, shown.upper, color=COLOURS[0], alpha=_FILL, lw=0.0, label=name)
    axis.plot(q, limits[:, 0], color=COLOURS[0], lw=0.7, ls=":", label="pointwise interval")
    axis.plot(q, limits[:, 1], color=COLOURS[0], lw=0.7, ls=":")
    axis.plot(q, fit.params, color=COLOURS[0], lw=1.6, label="effect")
    if averages is not None:
        for i, (low, high) in enumerate(averages.ranges):
            axis.plot([low, high], [averages.estimate[i]] * 2, color=COLOURS[1], lw=2.0, label="average" if i == 0 else None)
            axis.plot([0.5 * (low + high)] * 2, [averages.lower[i], averages.upper[i]], color=COLOURS[1], lw=1.0)
    axis.set_title("Effect at the cutoff" + (" on compliers" if fit.denominator is not None else ""), fontsize=10)
    axis.set_xlabel("quantile level")
    axis.set_ylabel("effect (outcome's unit)")
    _legend(axis)
    return figure


def sides(fit: R3DResults, ax: Axes | None = None) -> Figure:
    """The two limits at the cutoff, lines, and what they were before the projection, dots."""
    figure, axis = _canvas(ax)
    rows = (("above the cutoff", fit.m_plus, fit.m_plus_raw, COLOURS[1]), ("below the cutoff", fit.m_minus, fit.m_minus_raw, COLOURS[0]))
    for name, curve, raw, colour in rows:
        axis.plot(fit.q_grid, curve, color=colour, lw=1.6, label=name)
        axis.plot(fit.q_grid, raw, color=colour, ls="none", marker=".", ms=4)
    axis.set_xlabel("quantile level")
    axis.set_ylabel("quantile (outcome's unit)")
    axis.set_title("Average quantiles on the two sides of the cutoff", fontsize=10)
    _legend(axis)
    return figure


def bandwidth(fit: R3DResults, ax: Axes | None = None) -> Figure:
    """Squared bias, variance and their sum against the bandwidth; the chosen one, the pilot and the cap; h(q) below where it varies.

    With ``coverage_rule=True`` the chosen one lies below the least sum on purpose.

    Raises
    ------
    ConfigError
        If the bandwidth was given or is a rule of thumb: nothing was estimated. Compatible fits have no bias in a unit either.
    """
    info, s = fit.bandwidth_info, fit.settings.s
    if info.rule not in ("imse", "mse") or fit.settings.compat is not None:
        raise ConfigError(f"r3d: this picture needs a bandwidth chosen by 'imse' or 'mse', outside compat; the fit's is '{info.rule}'")
    figure, axis = _canvas(ax, 4.2 if len(info.h) == 1 else 6.4)
    from matplotlib.ticker import LogLocator, NullFormatter

    if ax is None and len(info.h) > 1:
        axis.remove()
        axis, below = figure.subplots(2, 1, height_ratios=(2.0, 1.0), gridspec_kw={"hspace": 0.35})
        below.plot(fit.q_grid, info.h, color=COLOURS[0], marker=".")
        below.set_xlabel("quantile level")
        below.set_ylabel("bandwidth h(q)")
    cells = cell_weights(fit.q_grid)
    low, high = 0.25 * float(info.h.min()), 1.5 * max(info.cap, float(info.h.max()))
    h = np.geomspace(low, high, _FINE)
    bias = float(cells @ (info.bias_plus - info.bias_minus) ** 2) * h ** (2 * s + 2)
    doubt = float(cells @ info.regularisation) * h ** (2 * s + 2)
    variance = float(cells @ (info.variance_plus + info.variance_minus)) / (fit.nobs * h)
    for name, curve, colour in (
        ("squared bias", bias, COLOURS[1]),
        *((("its regularisation", doubt, COLOURS[3]),) if doubt.any() else ()),
        ("variance", variance, COLOURS[2]),
        ("sum", bias + doubt + variance, COLOURS[0]),
    ):
        axis.loglog(h, curve, color=colour, lw=1.4, label=name)
    lowest, highest = float(info.h.min()), float(info.h.max())
    chosen = f"chosen, {lowest:.3g}" + (f" to {highest:.3g}" if highest > lowest else "")
    axis.axvspan(lowest, highest, color=COLOURS[0], alpha=_FILL, lw=0.0)
    axis.axvline(lowest, color=COLOURS[0], lw=0.8, label=chosen)
    axis.axvline(highest, color=COLOURS[0], lw=0.8)
    axis.axvline(info.pilot[0], color=GREY, lw=0.8, ls="--", label="pilot")
    axis.axvline(info.cap, color=GREY, lw=0.8, ls=":", label="cap")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("bandwidth (unit of the running variable)")
    axis.set_ylabel("error at the cutoff (outcome's unit squared)")
    axis.set_title("Mean squared error averaged over levels", fontsize=10)
    _legend(axis)
    return figure


def shape_over_curve(engine: R3DEffectEngine, posterior: Posterior) -> Figure:
    """The posterior band of a shape (68 and 95 %) over the estimated curve with its standard errors."""
    figure, axis = _canvas(None)
    weights = np.exp(posterior.log_weights - posterior.log_weights.max())
    rows = np.linspace(0, len(weights) - 1, min(_MOST_DRAWS, len(weights))).astype(np.int64)
    kept = rows[weights[rows] > 0.0]
    curves = np.array([engine.tau(_theta(engine, posterior, i)) for i in kept])
    levels = _weighted_quantiles(curves, weights[kept], np.array([0.025, 0.16, 0.5, 0.84, 0.975]))
    q = engine.q
    axis.axhline(0.0, color=GREY, lw=0.8)
    axis.fill_between(q, levels[0], levels[4], color=COLOURS[1], alpha=0.5 * _FILL, lw=0.0, label="95 %")
    axis.fill_between(q, levels[1], levels[3], color=COLOURS[1], alpha=_FILL, lw=0.0, label="68 %")
    axis.plot(q, levels[2], color=COLOURS[1], lw=1.4, label="shape")
    axis.errorbar(q, engine.curve, engine.curve_se, color=COLOURS[0], ls="none", marker="o", ms=4, label="estimated effect")
    axis.set_xlabel("quantile level")
    axis.set_ylabel("effect (outcome's unit)")
    _legend(axis)
    return figure


def _theta(engine: R3DEffectEngine, posterior: Posterior, row: int) -> FloatArray:
    """The engine's parameters in one sample; what was fixed is among the posterior's derived quantities or its notes."""
    values: dict[str, Any] = dict(zip(posterior.names, posterior.samples[row], strict=True))
    values |= {name: value for name, value in posterior.meta.get("fixed", {}).items() if name not in values}
    return np.array([float(values[name]) for name in engine.parameters])


def _weighted_quantiles(curves: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantiles (n_levels, n_q) of curves (n, n_q) with weights (n,)."""
    out = np.empty((len(levels), curves.shape[1]))
    for j in range(curves.shape[1]):
        order = np.argsort(curves[:, j])
        cumulative = np.cumsum(weights[order])
        out[:, j] = curves[order[np.minimum(np.searchsorted(cumulative, levels * cumulative[-1]), len(order) - 1)], j]
    return out
