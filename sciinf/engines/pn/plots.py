"""Pictures of verdicts: risk against n, affordable parameters, influence, nested models. Each returns a Figure and shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, MissingDependencyError
from sciinf.engines.pn import curves
from sciinf.engines.pn.threshold import required_n
from sciinf.results.drawing import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.engines.pn.criterion import PNResult
    from sciinf.engines.pn.path import PNPath
    from sciinf.engines.pn.risk import RiskExpansion

__all__ = ["affordable", "influence", "max_p", "path", "required_n_of"]

FloatArray = NDArray[np.float64]

_FINE = 300
_INFLUENTIAL = 0.25
_RELIABLE = 0.5
_MOST_P = 400

_CURVES: dict[str, tuple[str, Callable[[int], tuple[float, float]]]] = {
    "Normal": ("multivariate normal", curves.mvn),
    "MultivariateNormal": ("multivariate normal", curves.mvn),
    "Multinomial": ("equal cells", curves.multinomial_uniform),
    "normal regression": ("normal regression", curves.regression),
}
"""Second-order curve of a model's label, where its own data play no part in it or little."""


def _canvas(ax: Axes | None, height: float = 4.2) -> tuple[Figure, Axes]:
    """The axes given and their figure, or new ones."""
    if ax is not None:
        return ax.get_figure(), ax  # type: ignore[return-value]
    try:
        figure = new_figure(7.0, height)
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error
    figure.set_layout_engine("constrained")
    return figure, figure.add_subplot()


def _counts(axis: Axes, which: str) -> None:
    """Whole numbers at 1, 2, 5 times powers of ten on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    one = axis.xaxis if which == "x" else axis.yaxis
    one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1.0 else ""))
    one.set_minor_locator(NullLocator())


def _units(result: PNResult) -> str:
    """What n counts; a fixed design grows by whole replications of itself."""
    whole = ", as replications of this design" if result.family.startswith("GLM") or result.family.endswith("regression") else ""
    return f"{result.unit}s, n{whole}"


def _curve(axis: Axes, risk: RiskExpansion, n: FloatArray, colour: str, name: str) -> None:
    """First order dotted; the second solid where it is reliable, dashed where not."""
    first = risk.a / n
    axis.loglog(n, first, color=colour, lw=1.0, ls=":", label=f"{name}, first order")
    if not risk.has_second_order:
        return
    second = first + risk.b / n**2
    trusted = np.abs(second - first) <= _RELIABLE * first
    axis.loglog(n, np.where(trusted, second, np.nan), color=colour, lw=1.6, label=f"{name}, second order")
    doubtful = ~trusted & (second > 0.0)
    if doubtful.any():
        axis.loglog(n, np.where(doubtful, second, np.nan), color=colour, lw=1.2, ls="--", label=f"{name}, not reliable")


def required_n_of(result: PNResult, ax: Axes | None = None) -> Figure:
    """Risk against n by both risks, the threshold, this n, and the number of observations that each risk asks for.

    Parameters
    ----------
    result : PNResult
    ax : Axes, optional
        Where to draw; a new figure by default.
    """
    figure, axis = _canvas(ax)
    verdicts = (result.verdict_model, result.verdict_sandwich)
    needed = [one.n_required_1 if one.n_required_2 is None else one.n_required_2 for one in verdicts]
    ends = [result.n, *needed, *(one.n_required_1 for one in verdicts)]
    n = np.geomspace(max(min(ends) / 3.0, 2.0), 3.0 * max(ends), _FINE)
    rows = (("model", result.risk_model, COLOURS[0]), ("sandwich", result.risk_sandwich, COLOURS[1]))
    for (name, risk, colour), least in zip(rows, needed, strict=True):
        _curve(axis, risk, n, colour, name)
        axis.plot([least], [result.threshold.C], color=colour, ls="none", marker="o", ms=6, label=f"{name}: n = {least:,}")
    axis.axhline(result.threshold.C, color="black", lw=1.0, label=f"threshold C = {result.threshold.C:.3g}")
    axis.axvline(result.n, color=GREY, lw=1.0, ls="-.", label=f"these data, n = {result.n:,}")
    used = result.verdict.ED_used
    axis.plot([result.n], [used], color="black", ls="none", marker="x", ms=7, label=f"risk used, {used:.3g}")
    axis.set_xlim(float(n[0]), float(n[-1]))
    _counts(axis, "x")
    axis.set_xlabel(_units(result))
    axis.set_ylabel("estimation risk, nats per observation")
    axis.set_title(f"{result.family}: {'accepted' if result.verdict.accept else 'rejected'} by the {_judge(result)}", fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _judge(result: PNResult) -> str:
    return "sandwich" if result.robust else "model"


def affordable(axis: Axes, a_b: Callable[[int], tuple[float, float]] | None, threshold: float, most: int, label: str, colour: str,
               ls: str = "-") -> None:  # fmt: skip
    """The largest p against n on ``axis``: each p from 1 to ``most`` begins where n affords it; None for first order and a true model."""
    p = np.arange(1, most + 1)
    n = [required_n(*((0.5 * k, 0.0) if a_b is None else a_b(int(k))), threshold) for k in p]
    axis.step(n, p, where="post", color=colour, ls=ls, lw=1.4, label=label)


def max_p(result: PNResult, ax: Axes | None = None) -> Figure:
    """Parameters that n observations afford, to first order and for a true model; to second order where the model has a curve.

    Parameters
    ----------
    result : PNResult
    ax : Axes, optional
        Where to draw; a new figure by default.

    Notes
    -----
    Two points stand at these data's n: p, and the trace tr(G^-1 Sigma), which takes its place where the model is wrong.
    """
    figure, axis = _canvas(ax)
    level, trace = result.threshold.C, result.risk_sandwich.trace
    most = min(max(10, 2 * result.p, result.verdict.p_max), _MOST_P)
    affordable(axis, None, level, most, "first order, true model", COLOURS[0])
    curve = _CURVES.get(result.family)
    if curve is not None:
        affordable(axis, curve[1], level, most, f"second order, {curve[0]}", COLOURS[2], "--")
    axis.plot([result.n], [result.p], color="black", ls="none", marker="o", ms=6, label=f"this model, p = {result.p}")
    axis.plot([result.n], [trace], color=COLOURS[1], ls="none", marker="D", ms=6, label=f"its trace under the data, {trace:.3g}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    _counts(axis, "x")
    _counts(axis, "y")
    axis.set_xlabel(_units(result))
    axis.set_ylabel("largest number of parameters p")
    axis.set_title(f"{result.family}: what n affords at delta = {result.threshold.delta:g} ({result.threshold.bound})", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def influence(result: PNResult, ax: Axes | None = None) -> Figure:
    """Share of each row in the sandwich's trace, per cent; the five largest by number, and the share above which one is called influential.

    Raises
    ------
    ConfigError
        If the result holds no shares.
    """
    shares = result.risk_sandwich.shares
    if shares is None:
        raise ConfigError("pn: this result holds no shares of rows: its risk is not from data")
    figure, axis = _canvas(ax)
    per_cent = 100.0 * shares / float(shares.sum())
    axis.vlines(np.arange(len(per_cent)), 0.0, per_cent, color=COLOURS[0], lw=1.0)
    axis.axhline(100.0 / len(per_cent), color=GREY, lw=1.0, ls="--", label="equal shares")
    if per_cent.max() > 50.0 * _INFLUENTIAL:
        axis.axhline(100.0 * _INFLUENTIAL, color=COLOURS[1], lw=1.0, label="called influential")
    for row in result.influence.rows:
        axis.annotate(str(row), (row, per_cent[row]), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8)
    axis.set_ylim(0.0, 1.12 * float(per_cent.max()))
    axis.set_xlabel("row of the data, from 0")
    axis.set_ylabel("share of the trace, %")
    axis.set_title(f"{result.family}: which rows carry the trace {result.risk_sandwich.trace:.4g}", fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    return figure


def path(found: PNPath, ax: Axes | None = None) -> Figure:
    """Risk against p with the threshold, and the information criteria below it, each less its least; with ``ax`` the risk alone."""
    figure, axis = _canvas(ax, 6.0)
    below = None
    if ax is None:
        axis.remove()
        axis, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 1.0))
    results = found.results
    p = np.array([one.p for one in results], dtype=np.float64)
    for name, order, style in (("first order", 1, ":"), ("second order", 2, "-")):
        values = np.array([getattr(one.verdict, f"ED{order}") or np.nan for one in results], dtype=np.float64)
        axis.plot(p, values, color=COLOURS[0], ls=style, lw=1.4, label=name)
    used, accepted = np.array([one.verdict.ED_used for one in results]), np.array([one.verdict.accept for one in results])
    for chosen, name, colour, marker in ((accepted, "accepted", COLOURS[2], "o"), (~accepted, "rejected", COLOURS[1], "X")):
        if chosen.any():
            axis.plot(p[chosen], used[chosen], color=colour, ls="none", marker=marker, ms=7, label=name)
    level = results[0].threshold.C
    axis.axhline(level, color="black", lw=1.0, label=f"threshold C = {level:.3g}")
    axis.set_yscale("log")
    axis.set_ylabel("estimation risk,\nnats per observation")
    axis.set_title(f"Nested models, n = {results[0].n:,} {results[0].unit}s, judged by the {_judge(results[0])}", fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    axis.set_xticks(p, [str(one.p) for one in results])
    if below is None:
        axis.set_xlabel("parameters, p")
        return figure
    for (name, label), colour in zip((("aic", "AIC"), ("aicc", "AICc"), ("tic", "TIC"), ("tic2", "TIC2")), COLOURS, strict=False):
        read = [getattr(one.information_criteria, name) for one in results]
        values = np.array([np.nan if value is None else value for value in read], dtype=np.float64)
        if np.isfinite(values).any():
            below.plot(p, values - np.nanmin(values), color=colour, marker=".", lw=1.2, label=label)
    below.set_xlabel("parameters, p")
    below.set_ylabel("criterion less\nits least")
    below.legend(frameon=False, fontsize=8, ncols=4)
    return figure
