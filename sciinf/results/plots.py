"""Pictures of a posterior: functions that return a matplotlib Figure and leave pyplot's state alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.engine import predict_of
from sciinf.core.errors import ConfigError, DataError, nearest_names
from sciinf.results import drawing
from sciinf.results.corner_plot import corner, corner_overlay
from sciinf.results.diagnostics import autocorrelation_time, chains_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.core.problem import Problem
    from sciinf.results.posterior import Posterior

__all__ = ["corner", "corner_overlay", "posterior_predictive", "run_plot", "trace"]

_MAX_WALKERS, _MAX_STEPS = 48, 1000
_BANDS = ((0.02275, 0.97725, 0.25), (0.15866, 0.84134, 0.5))  # two and one sigma of a normal distribution, and the shade
_FEW_TIMES = 50  # a chain should hold this many autocorrelation times


def _column_of_axes(n: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = drawing.new_figure(8.0, height * n + 0.7)
    axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
    total = height * n + 0.7
    figure.subplots_adjust(left=0.13, right=0.97, bottom=0.55 / total, top=1.0 - 0.15 / total, hspace=0.08)
    for ax in axes:
        ax.tick_params(labelsize=8)
    return figure, list(axes)


def _depth(posterior: Posterior) -> NDArray[np.float64]:
    """-ln X of each point of a nested run; its rank where volumes are not kept."""
    if posterior.log_volume is not None:
        return -posterior.log_volume
    return np.arange(len(posterior), dtype=np.float64)


def trace(posterior: Posterior, *, names: Sequence[str] | None = None) -> Figure:
    """How the samples arose: walkers against steps for chains, points against ln X shaded by weight for nested runs.

    Parameters
    ----------
    posterior : Posterior
        What to draw.
    names : sequence of str, optional
        Sampled or derived quantities; the sampled ones by default. At most 48 walkers and 1,000 steps are drawn, evenly chosen.

    Raises
    ------
    ConfigError
        If a name is unknown or none is given.
    DataError
        If a quantity is not finite.
    """
    chosen = drawing.checked_names(posterior, names)
    figure, axes = _column_of_axes(len(chosen), 1.25)
    for ax, name in zip(axes, chosen, strict=True):
        if posterior.is_mcmc:
            draws = chains_of(posterior, posterior.column(name))
            picked = np.unique(np.linspace(0, len(draws) - 1, min(len(draws), _MAX_WALKERS)).astype(int))
            steps = np.arange(0, draws.shape[1], -(-draws.shape[1] // _MAX_STEPS))
            ax.plot(steps, draws[np.ix_(picked, steps)].T, color=drawing.COLOURS[0], linewidth=0.4, alpha=0.35)
            ax.plot(steps, np.median(draws[:, steps], axis=0), color=drawing.COLOURS[1], linewidth=1.0)
        else:
            shade = posterior.weights / np.max(posterior.weights)
            order = np.argsort(shade)
            ax.scatter(_depth(posterior)[order], posterior.column(name)[order], c=shade[order], s=3, cmap="viridis", rasterized=True)
        ax.set_ylabel(drawing.label_of(posterior, name), fontsize=10)
    axes[-1].set_xlabel("kept step" if posterior.is_mcmc else r"$-\ln X$" if posterior.log_volume is not None else "point", fontsize=10)
    figure.align_ylabels()
    return figure


def _nested_panels(posterior: Posterior, axes: Sequence[Axes]) -> None:
    """Live points, likelihood, weight, and evidence so far with its error, against -ln X."""
    from sciinf.results.nested import integrate

    order = np.argsort(posterior.log_likelihood, kind="stable")
    depth, height = _depth(posterior)[order], posterior.log_likelihood[order]
    colour = drawing.COLOURS[0]
    if posterior.n_live is not None:
        axes[0].plot(depth, posterior.n_live[order], color=colour, linewidth=1.2)
        axes[0].set_ylim(0.0, 1.1 * float(np.max(posterior.n_live)))
    axes[0].set_ylabel("live points", fontsize=10)
    finite = np.isfinite(height)
    axes[1].plot(depth[finite], height[finite] - height[finite].max() if finite.any() else [], color=colour, linewidth=1.2)
    axes[1].set_ylabel(r"$\ln L - \ln L_\mathrm{max}$", fontsize=10)
    if finite.any():
        low = float(np.quantile(height[finite] - height[finite].max(), 0.3))
        axes[1].set_ylim(min(1.5 * low, -1.0), max(-0.05 * low, 0.1))
    edges = np.linspace(depth.min(), max(depth.max(), depth.min() + 1.0), 121)
    mass = np.histogram(depth, bins=edges, weights=posterior.weights[order])[0]
    axes[2].fill_between(0.5 * (edges[1:] + edges[:-1]), mass / mass.max(), step="mid", color=colour, alpha=0.6, linewidth=0.0)
    axes[2].set_ylabel("posterior mass", fontsize=10)
    if posterior.log_volume is not None and posterior.log_evidence is not None:
        running = np.logaddexp.accumulate(integrate(height, -depth).log_weights)
        ratio = np.exp(np.minimum(running - posterior.log_evidence, 5.0))
        axes[3].plot(depth, ratio, color=colour, linewidth=1.2)
        error = posterior.log_evidence_error or 0.0
        axes[3].axhspan(np.exp(-error), np.exp(error), color=colour, alpha=0.2, linewidth=0.0)
        text = rf"$\ln Z = {posterior.log_evidence:.3f} \pm {error:.3f}$"
        axes[3].text(0.98, 0.08, text, transform=axes[3].transAxes, fontsize=10, ha="right")
    axes[3].set_ylim(0.0, 1.6)
    axes[3].set_ylabel(r"$Z$ so far $/\ Z$", fontsize=10)
    axes[3].set_xlabel(r"$-\ln X$" if posterior.log_volume is not None else "point", fontsize=10)


def _chain_panels(posterior: Posterior, axes: Sequence[Axes]) -> None:
    """Height of the posterior over the walkers, and the autocorrelation time estimated from growing parts of the chain."""
    height = chains_of(posterior, posterior.log_likelihood + posterior.log_prior)
    low, middle, high = np.quantile(height, [0.16, 0.5, 0.84], axis=0)
    step = np.arange(height.shape[1])
    axes[0].fill_between(step, low, high, color=drawing.COLOURS[0], alpha=0.3, linewidth=0.0, label="68 % of the walkers")
    axes[0].plot(step, middle, color=drawing.COLOURS[0], linewidth=1.0, label="median")
    axes[0].set_ylabel(r"$\ln L + \ln \pi$", fontsize=10)
    axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    draws = chains_of(posterior, posterior.samples)
    ends = np.unique(np.geomspace(min(20, draws.shape[1]), draws.shape[1], 14).astype(int))
    for i, name in enumerate(posterior.names):
        times = [autocorrelation_time(draws[:, :end, i]) for end in ends]
        colour = drawing.COLOURS[i % len(drawing.COLOURS)]
        style = "-" if i < len(drawing.COLOURS) else "--"
        axes[1].plot(ends, times, style, color=colour, linewidth=1.2, label=drawing.label_of(posterior, name, unit=False))
    axes[1].plot(ends, ends / _FEW_TIMES, ":", color=drawing.GREY, linewidth=1.2, label=rf"$N / {_FEW_TIMES}$")
    axes[1].set_ylabel(r"autocorrelation time $\tau$", fontsize=10)
    axes[1].set_xlabel("kept step", fontsize=10)
    axes[1].set_ylim(bottom=0.0)
    axes[1].legend(frameon=False, fontsize=8, ncols=4, loc="upper left")


def run_plot(posterior: Posterior) -> Figure:
    """How the run went.

    Nested runs: live points, likelihood, posterior mass and evidence so far with its error, against -ln X. Chains: the posterior's
    height over the walkers, and the autocorrelation times estimated from growing parts of the chain against N / 50.
    """
    if posterior.is_mcmc:
        figure, axes = _column_of_axes(2, 2.6)
        _chain_panels(posterior, axes)
    else:
        figure, axes = _column_of_axes(4, 1.7)
        _nested_panels(posterior, axes)
    figure.align_ylabels()
    return figure


def _predictions(posterior: Posterior, problem: Problem, rng: np.random.Generator, n_draws: int) -> dict[str, NDArray[np.float64]]:
    """The engine's predictions at ``n_draws`` posterior points: arrays (n_draws, m) by name."""
    predict = predict_of(problem.engine)
    if predict is None:
        raise ConfigError(f"{problem.name}: the engine has no predict(theta), so there is nothing to draw")
    if tuple(posterior.names) != tuple(problem.names):
        raise ConfigError(f"the posterior has parameters {list(posterior.names)}, the problem {list(problem.names)}")
    drawn = [predict(problem.engine_theta(theta)) for theta in posterior.equal_weight(rng, n_draws)]
    return {name: np.stack([np.ravel(np.asarray(item[name], dtype=np.float64)) for item in drawn]) for name in drawn[0]}


def posterior_predictive(
    posterior: Posterior,
    problem: Problem,
    rng: np.random.Generator,
    *,
    n_draws: int = 100,
    abscissae: Mapping[str, ArrayLike] | None = None,
    observed: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Bands (68 and 95 %) of the engine's prediction over the posterior, one panel for each predicted array.

    Parameters
    ----------
    posterior : Posterior
        Where to predict.
    problem : Problem
        Brings the engine (with ``predict``) and the fixed parameters.
    rng : Generator
        Draws the points.
    n_draws : int
        How many.
    abscissae, observed : dict of str to array, optional
        By the names that ``predict`` gives: what to plot against (default: the index), and data to draw as points.

    Raises
    ------
    ConfigError
        If the engine predicts nothing, the parameters differ, ``n_draws`` is not positive, or a name is not predicted.
    DataError
        If a given array has another length than the prediction.
    """
    bands = _predictions(posterior, problem, rng, n_draws)
    for given in (abscissae or {}, observed or {}):
        for name, values in given.items():
            if name not in bands:
                raise ConfigError(f"'{name}' is not predicted by {problem.name}: {nearest_names(name, bands)}")
            if np.size(values) != bands[name].shape[1]:
                raise DataError(f"'{name}' is predicted at {bands[name].shape[1]} points, got {np.size(values)} values for it")
    figure = drawing.new_figure(8.0, 2.6 * len(bands) + 0.6)
    axes = figure.subplots(len(bands), 1, squeeze=False)[:, 0]
    for ax, (name, drawn) in zip(axes, bands.items(), strict=True):
        x = np.ravel(np.asarray((abscissae or {}).get(name, np.arange(drawn.shape[1])), dtype=np.float64))
        style = {"marker": "o", "markersize": 3} if len(x) == 1 else {}
        for low, high, shade in _BANDS:
            ax.fill_between(x, *np.quantile(drawn, [low, high], axis=0), color=drawing.COLOURS[0], alpha=shade, linewidth=0.0)
        ax.plot(x, np.median(drawn, axis=0), color=drawing.COLOURS[0], linewidth=1.2, **style)
        if observed and name in observed:
            ax.plot(x, np.ravel(np.asarray(observed[name])), ".", color="black", markersize=3, zorder=0.5)
        ax.set_ylabel(name.replace("$", r"\$"), fontsize=10)
        ax.tick_params(labelsize=8)
    axes[-1].set_xlabel("index" if not abscissae else "", fontsize=10)
    figure.tight_layout()
    return figure
