"""The corner plot, drawn with matplotlib alone: the corner package goes through pyplot and the root logger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError
from sciinf.results import drawing
from sciinf.results.weights import weighted_covariance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.results.posterior import Posterior

__all__ = ["corner", "corner_overlay"]

_TRUTH = {"color": "#d9822b", "linewidth": 1.0, "linestyle": "--"}
_MANY = 8
"""With more quantities than this the type gets smaller."""


def _empty_grid(labels: Sequence[str], spans: Sequence[drawing.Axis]) -> tuple[Figure, NDArray[Any]]:
    """A lower triangle of axes with labels, ticks and ranges set."""
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    n = len(labels)
    side = max(3.4, min(1.5, 15.0 / n) * n + 1.4)
    figure = drawing.new_figure(side, side)
    axes = np.empty((n, n), dtype=object)
    grid = figure.add_gridspec(
        n, n, left=1.05 / side, bottom=1.0 / side, right=1 - 0.15 / side, top=1 - 0.55 / side, wspace=0.05, hspace=0.05
    )
    small, large = (8, 12) if n <= _MANY else (6, 9)
    for i in range(n):
        for j in range(i + 1):
            ax: Axes = figure.add_subplot(grid[i, j])
            axes[i, j] = ax
            ax.set_xlim(spans[j].low, spans[j].high)
            ax.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
            ax.yaxis.set_major_locator(MaxNLocator(3, prune="both") if j < i else NullLocator())
            for side_axis in (ax.xaxis, ax.yaxis):
                side_axis.set_major_formatter(ScalarFormatter(useOffset=False))
            ax.tick_params(labelsize=small, direction="in", length=3, labelbottom=i == n - 1, labelleft=j == 0 < i)
            ax.tick_params(axis="x", labelrotation=45)
            if j < i:
                ax.set_ylim(spans[i].low, spans[i].high)
            else:
                ax.set_ylim(0.0, 1.08)
            if i == n - 1:
                ax.set_xlabel(labels[j], fontsize=large)
            if j == 0 < i:
                ax.set_ylabel(labels[i], fontsize=large)
    figure.align_labels()
    return figure, axes


def _draw(axes: NDArray[Any], posterior: Posterior, names: Sequence[str], spans: Sequence[drawing.Axis], colour: str) -> None:
    """One posterior's curves and contours."""
    from matplotlib.colors import to_rgba

    kept = posterior.weights > 0.0
    weights, effective = posterior.weights[kept], posterior.ess
    columns = [posterior.column(name)[kept] for name in names]
    for i, own in enumerate(columns):
        axes[i, i].plot(*drawing.density_1d(own, weights, spans[i], effective), color=colour, linewidth=1.4)
        for j in range(i):
            pair = np.column_stack([columns[j], own])
            x, y, density = drawing.density_2d(pair, weights, (spans[j], spans[i]), effective)
            if levels := drawing.mass_levels(density, drawing.MASSES):
                shades = [to_rgba(colour, alpha) for alpha in (0.28, 0.62)][-len(levels) :]
                axes[i, j].contourf(x, y, density.T, levels=[*levels, float(density.max()) * 1.0001], colors=shades)
                axes[i, j].contour(x, y, density.T, levels=levels, colors=[colour], linewidths=0.9)
            else:
                axes[i, j].plot(pair[:, 0], pair[:, 1], ".", color=colour, markersize=3)


def _mark_truths(axes: NDArray[Any], names: Sequence[str], truths: Mapping[str, float]) -> None:
    for i, name in enumerate(names):
        for j in range(i + 1):
            if names[j] in truths:
                axes[i, j].axvline(truths[names[j]], **_TRUTH)
            if j < i and name in truths:
                axes[i, j].axhline(truths[name], **_TRUTH)


def _widened(span: drawing.Axis, value: float | None) -> drawing.Axis:
    """The range with a value to mark inside."""
    if value is None:
        return span
    margin = 0.04 * (span.high - span.low)
    return span._replace(low=min(span.low, value - margin), high=max(span.high, value + margin))


def corner(
    posterior: Posterior,
    *,
    names: Sequence[str] | None = None,
    truths: Mapping[str, float] | None = None,
    titles: bool = True,
    colour: str = drawing.COLOURS[0],
) -> Figure:
    """Marginal densities, and 68 and 95 % regions of each pair of quantities.

    Parameters
    ----------
    posterior : Posterior
        What to draw.
    names : sequence of str, optional
        Sampled or derived quantities; the sampled ones by default.
    truths : dict of str to float, optional
        Values to mark.
    titles : bool
        Whether mean and standard deviation stand above the diagonal.
    colour : str
        Any matplotlib colour.

    Raises
    ------
    ConfigError
        If a name is unknown or none is given.
    DataError
        If a quantity is not finite.

    Examples
    --------
    >>> from sciinf.results.posterior import Posterior
    >>> samples = np.random.default_rng(1).normal(size=(500, 2))
    >>> figure = corner(Posterior(samples, np.zeros(500), np.zeros(500), np.zeros(500), ("x", "y")))
    >>> len(figure.axes)
    3
    """
    chosen, marks = drawing.checked_names(posterior, names), dict(truths or {})
    if unknown := [name for name in marks if name not in posterior.names + posterior.derived_names]:
        raise ConfigError(f"truths names {', '.join(unknown)}, which the posterior does not have")
    spans = [_widened(drawing.axis_of(posterior, name), marks.get(name)) for name in chosen]
    figure, axes = _empty_grid([drawing.label_of(posterior, name) for name in chosen], spans)
    _draw(axes, posterior, chosen, spans, colour)
    if titles:
        for i, name in enumerate(chosen):
            values = posterior.column(name)[:, None]
            std = float(np.sqrt(weighted_covariance(values, posterior.weights)[0, 0]))
            text = drawing.value_and_error(float(posterior.weights @ values[:, 0]), std)
            axes[i, i].set_title(f"{drawing.label_of(posterior, name, unit=False)}\n${text}$", fontsize=9 if len(chosen) <= _MANY else 6)
    _mark_truths(axes, chosen, marks)
    return figure


def corner_overlay(posteriors: Mapping[str, Posterior], *, names: Sequence[str] | None = None) -> Figure:
    """Several posteriors in one corner plot, with a legend.

    Parameters
    ----------
    posteriors : dict of str to Posterior
        What to draw, by the text of the legend.
    names : sequence of str, optional
        Quantities that all have; by default the sampled ones of the first that all have.

    Raises
    ------
    ConfigError
        If nothing is given, or the posteriors share no quantity.
    DataError
        If a quantity is not finite.
    """
    from matplotlib.lines import Line2D

    if not posteriors:
        raise ConfigError("corner_overlay needs at least one posterior")
    items = list(posteriors.values())
    if names is None:
        names = [name for name in items[0].names if all(name in item.names + item.derived_names for item in items)]
        if not names:
            raise ConfigError(f"the posteriors share no sampled parameter: {'; '.join(', '.join(item.names) for item in items)}")
    for item in items:
        chosen = drawing.checked_names(item, names)
    every = [[drawing.axis_of(item, name) for name in chosen] for item in items]
    spans = [drawing.Axis(min(own[i].low for own in every), max(own[i].high for own in every)) for i in range(len(chosen))]
    figure, axes = _empty_grid([drawing.label_of(items[0], name) for name in chosen], spans)
    handles = []
    for i, (text, own) in enumerate(zip(posteriors, every, strict=True)):
        colour = drawing.COLOURS[i % len(drawing.COLOURS)]
        shared = [axis._replace(low=span.low, high=span.high) for axis, span in zip(own, spans, strict=True)]
        _draw(axes, items[i], chosen, shared, colour)
        handles.append(Line2D([], [], color=colour, linewidth=4, label=text.replace("$", r"\$")))
    figure.legend(handles=handles, loc="upper right", frameon=False, fontsize=10)
    return figure
