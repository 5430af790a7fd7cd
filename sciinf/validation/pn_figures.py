"""Figures of the pn suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.engines.pn import PNPath, PNResult, curves, exact_risk, families, kl_threshold, pn_path, required_n, risk_expansion
from sciinf.engines.pn.plots import affordable
from sciinf.results.drawing import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["affordable_p", "nested", "path_figure", "rank_histograms", "risks", "slack", "verdicts"]

FloatArray = NDArray[np.float64]

_LEVEL = 0.02
_BINS = 10


def _canvas(width: float, height: float) -> Figure:
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    return figure


def risks() -> Figure:
    """Risk against n of three families: first order, second order, exact, and the threshold."""
    figure = _canvas(10.0, 3.6)
    exponential, normal, pair = families.Exponential(), families.Normal(), families.MultivariateNormal(3)
    rows: list[tuple[str, Any, FloatArray, int]] = [
        ("exponential, p = 1", exponential, exponential.natural(1.0), 4),
        ("normal, p = 2", normal, normal.natural(0.0, 1.0), 5),
        ("normal in three dimensions, p = 9", pair, pair.natural(np.zeros(3), np.eye(3)), 8),
    ]
    for i, (name, family, theta, least) in enumerate(rows):
        axis = figure.add_subplot(1, 3, i + 1)
        n = np.unique(np.geomspace(least, 1000, 80).astype(np.int64))
        risk = risk_expansion(family, None, theta)
        axis.loglog(n, [exact_risk(family, theta, int(k)) for k in n], color="black", lw=1.8, label="exact")
        axis.loglog(n, [risk.risk(float(k), 1) for k in n], color=COLOURS[0], lw=1.2, ls=":", label="first order")
        axis.loglog(n, [risk.risk(float(k)) for k in n], color=COLOURS[1], lw=1.2, ls="--", label="second order")
        axis.axhline(_LEVEL, color=GREY, lw=0.8, label=f"C = {_LEVEL}")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("observations, n")
        if i == 0:
            axis.set_ylabel("estimation risk, nats per observation")
            axis.legend(frameon=False, fontsize=8)
    return figure


def affordable_p(deltas: Sequence[float] = (0.025, 0.05, 0.1)) -> Figure:
    """Largest p against n for three values of delta, to first order and for three models to second; below it what a parameter costs."""
    figure = _canvas(10.0, 6.2)
    rows = (("first order, any true model", None), ("multivariate normal", curves.mvn), ("normal regression", curves.regression),
            ("equal cells", curves.multinomial_uniform))  # fmt: skip
    p = np.arange(1, 101)
    for i, delta in enumerate(deltas):
        axis, below = (figure.add_subplot(2, len(deltas), row * len(deltas) + i + 1) for row in (0, 1))
        level = kl_threshold(delta)
        for (name, curve), colour in zip(rows, ("black", *COLOURS), strict=False):
            affordable(axis, curve, level, 100, name, colour, ":" if curve is None else "-")
            needed = [required_n(*((0.5 * k, 0.0) if curve is None else curve(int(k))), level) for k in p]
            below.plot(p, needed / p, color=colour, ls=":" if curve is None else "-", lw=1.4)
        axis.set_xscale("log")
        axis.set_yscale("log")
        below.set_xscale("log")
        axis.set_title(f"delta = {delta:g}, C = {level:.3g}", fontsize=10)
        axis.set_xlabel("observations, n")
        below.set_xlabel("parameters, p")
        if i == 0:
            axis.set_ylabel("largest number of parameters p")
            below.set_ylabel("observations needed per parameter")
            axis.legend(frameon=False, fontsize=8)
    return figure


def slack(found: dict[str, float]) -> Figure:
    """By how much the measured Bayes error at the required n exceeds what was asked; and total variation at a divergence by three laws."""
    figure = _canvas(10.0, 3.8)
    axis = figure.add_subplot(1, 2, 1)
    axis.barh(range(len(found)), list(found.values()), color=COLOURS[0], height=0.6)
    axis.set_yticks(range(len(found)), list(found), fontsize=8)
    axis.axvline(0.0, color="black", lw=0.8)
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("mean Bayes error less 1/2 - delta")
    axis.set_title("At the required n", fontsize=10)
    below = figure.add_subplot(1, 2, 2)
    delta = np.geomspace(0.005, 0.45, 60)
    below.loglog(delta, [kl_threshold(float(each)) for each in delta], color=COLOURS[0], label="Pinsker")
    below.loglog(delta, [kl_threshold(float(each), "tight") for each in delta], color=COLOURS[1], ls="--", label="tight")
    below.loglog(
        delta, [2.0 * float(special.ndtri(0.5 + each)) ** 2 for each in delta], color=COLOURS[2], ls=":", label="shift of a normal law"
    )
    below.set_xlabel("delta")
    below.set_ylabel("divergence C at which the\nBayes error is 1/2 - delta, nats")
    below.set_title("Thresholds, and what one pair of laws needs", fontsize=10)
    below.legend(frameon=False, fontsize=8)
    return figure


def verdicts(found: dict[str, PNResult]) -> Figure:
    """Risk of the seven data sets by either risk, with the threshold."""
    figure = _canvas(7.4, 4.0)
    axis = figure.add_subplot()
    for i, one in enumerate(found.values()):
        model, sandwich = one.verdict_model.ED_used, one.verdict_sandwich.ED_used
        axis.plot([model, sandwich], [i, i], color=GREY, lw=1.0)
        axis.plot([model], [i], color=COLOURS[0], ls="none", marker="o", ms=7, label="model" if i == 0 else None)
        axis.plot([sandwich], [i], color=COLOURS[1], ls="none", marker="D", ms=6, label="sandwich" if i == 0 else None)
    axis.axvline(_LEVEL, color="black", lw=1.0, label=f"threshold C = {_LEVEL}")
    axis.set_xscale("log")
    axis.set_yticks(range(len(found)), [f"{name}\nn = {one.n:,}, p = {one.p}" for name, one in found.items()], fontsize=8)
    axis.set_xlabel("estimation risk used, nats per row")
    axis.set_title("Accepted to the left of the threshold", fontsize=10)
    axis.legend(frameon=False, fontsize=8)
    return figure


def nested(n: int = 32) -> PNPath:
    """Polynomials of degree 1 to 8 on longley's size of data: a quadratic with noise."""
    import statsmodels.api as sm

    rng = np.random.default_rng(20210508)
    t = np.linspace(-1.0, 1.0, n)
    y = 1.0 + t - 1.5 * t**2 + rng.normal(0.0, 0.3, n)
    powers = np.polynomial.legendre.legvander(t, 8)
    return pn_path(
        [sm.OLS(y, powers[:, : k + 1]).fit() for k in range(1, 9)], delta=0.1, robust=False, names=[f"degree {k}" for k in range(1, 9)]
    )


def path_figure() -> Figure:
    """The picture of `nested`."""
    return nested().plot()


def rank_histograms(panels: dict[str, NDArray[np.int64]], n_draws: int) -> Figure:
    """Histograms of the ranks of all parameters (n, n_dim) of each campaign, with the 99 % range of a bin's count."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = _canvas(3.2 * columns, 2.6 * rows)
    for i, (name, ranks) in enumerate(panels.items()):
        axis = figure.add_subplot(rows, columns, i + 1)
        low, high = special.bdtrik([0.005, 0.995], len(ranks), 1.0 / _BINS)
        axis.axhspan(low, high, color="0.88", lw=0.0)
        axis.axhline(len(ranks) / _BINS, color=GREY, lw=0.8)
        for j, column in enumerate(ranks.T):
            counts = np.histogram((column + 0.5) / (n_draws + 1), bins=_BINS, range=(0.0, 1.0))[0]
            axis.stairs(counts, np.linspace(0.0, 1.0, _BINS + 1), color=COLOURS[j % len(COLOURS)], lw=1.1)
        axis.set_xlim(0.0, 1.0)
        axis.set_ylim(0.0, None)
        axis.set_title(f"{name}, N = {len(ranks)}", fontsize=8)
        axis.tick_params(labelsize=7)
        if i >= len(panels) - columns:
            axis.set_xlabel("fractional rank of the truth", fontsize=8)
        if i % columns == 0:
            axis.set_ylabel("replicas", fontsize=8)
    return figure
