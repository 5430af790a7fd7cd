"""Pictures of a hybrid: data against theory, chi2 per spectrum, posterior bands. Functions that return a matplotlib Figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError
from sciinf.core.seeding import generator
from sciinf.engines.cmb.component import A_PLANCK
from sciinf.engines.cmb.importance import engine_points
from sciinf.engines.cmb.kernels import SIMALL_CELLS, SIMALL_L_MAX, SIMALL_L_MIN, SIMALL_STEP
from sciinf.engines.cmb.lensing import Lensing
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.plik_lite import LowEllTTBins, PlikLite
from sciinf.engines.cmb.simall import SimAllEE
from sciinf.results.drawing import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciinf.results.posterior import Posterior

__all__ = ["chi2_bars", "figures", "lensing", "low_l", "residuals", "spectra_posterior"]

_DRAWS = 100
_SEED = 1
_LABEL = {name: rf"$D_\ell^{{{name}}}\ [\mu\mathrm{{K}}^2]$" for name in ("TT", "TE", "EE")}


def _component(engine: Hybrid, kind: type[Any]) -> Any:
    """The engine's component of one class, or None."""
    return next((component for component in engine.components if isinstance(component, kind)), None)


def _required(engine: Hybrid, kind: type[Any]) -> Any:
    found = _component(engine, kind)
    if found is None:
        raise ConfigError(f"this picture needs a {kind.__name__} component; the engine has {', '.join(engine.names)}")
    return found


def _calibration(engine: Hybrid, theta: NDArray[np.float64]) -> float:
    return float(theta[engine.parameters.index(A_PLANCK)]) if A_PLANCK in engine.parameters else 1.0


def _to_d_l(part: PlikLite | LowEllTTBins) -> NDArray[np.float64]:
    """Factor from each binned C_l to the mean D_l of its bin: the weights are l(l+1) over their sum."""
    edges = [(row[0].l_low, row[0].l_high) for row in part.core.windows]
    return np.array([np.mean(np.arange(low, high + 1) * np.arange(low + 1.0, high + 2.0)) for low, high in edges]) / (2.0 * np.pi)


def residuals(engine: Hybrid, theta: NDArray[np.float64]) -> Figure:
    """Residuals of plik_lite, data minus model at ``theta`` (n_parameters,) over each bin's error, with chi2 per spectrum and p-value."""
    from scipy.stats import chi2 as chi2_distribution

    part: PlikLite = _required(engine, PlikLite)
    spectra, labels = engine.spectra(theta), np.array(part.labels)
    residual = part.residuals(spectra, _calibration(engine, theta))
    sigma, l_eff = np.sqrt(np.diag(part.covariance)), part.l_eff
    figure = new_figure(8.0, 1.9 * len(part.spectra) + 0.8)
    axes = figure.subplots(len(part.spectra), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name, colour in zip(axes, part.spectra, COLOURS, strict=False):
        rows = np.flatnonzero(labels == name)
        block = np.linalg.cholesky(part.covariance[np.ix_(rows, rows)])
        value = float(np.sum(np.linalg.solve(block, residual[rows]) ** 2))
        probability = float(chi2_distribution.sf(value, len(rows)))
        axis.axhline(0.0, color=GREY, lw=0.8)
        axis.errorbar(l_eff[rows], residual[rows] / sigma[rows], yerr=1.0, fmt=".", ms=3, lw=0.6, color=colour)
        axis.set_ylabel(rf"{name}: $\Delta / \sigma$")
        axis.set_ylim(-4.5, 4.5)
        axis.text(
            0.99,
            0.94,
            rf"$\chi^2$ = {value:.1f} for {len(rows)} bins, p = {probability:.2f}",
            transform=axis.transAxes,
            ha="right",
            va="top",
        )
    axes[-1].set_xlabel(r"multipole $\ell$")
    figure.tight_layout()
    figure.set_label(
        "Binned TT, TE, EE (plik_lite): data minus best sample, in units of each bin's error; neighbouring bins are correlated."
    )
    return figure


def low_l(engine: Hybrid, theta: NDArray[np.float64]) -> Figure:
    """Low multipoles at ``theta``: the two TT bins, and the EE table's 68 and 95 % intervals per multipole (flat prior on D_l)."""
    bins, table = _component(engine, LowEllTTBins), _component(engine, SimAllEE)
    if bins is None and table is None:
        raise ConfigError(f"this picture needs low_tt_bins or low_ee; the engine has {', '.join(engine.names)}")
    spectra, scale = engine.spectra(theta), _calibration(engine, theta) ** -2
    multipole = np.arange(2, 30)
    panels = [part for part in (bins, table) if part is not None]
    figure = new_figure(8.0, 2.7 * len(panels) + 0.4)
    axes = list(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    if bins is not None:
        axis, data = axes[0], bins.data
        middle, factor = 0.5 * (data.l_low + data.l_high), _to_d_l(bins)
        axis.plot(multipole, scale * spectra["TT"][2:30], color=COLOURS[1], lw=1.2, label="model")
        axis.plot(middle, factor * bins.core.model(spectra, scale**-0.5), "s", ms=5, mfc="none", color=COLOURS[1], label="model, binned")
        axis.errorbar(middle, factor * data.bandpowers, yerr=factor * data.sigma, xerr=0.5 * (data.l_high - data.l_low), fmt="o", ms=4,
                      color=COLOURS[0], label="bins")  # fmt: skip
        axis.set_ylabel(_LABEL["TT"])
        axis.legend(frameon=False, loc="upper center", ncols=3)
    if table is not None:
        axis = axes[-1]
        low95, low68, middle, high68, high95 = _table_quantiles(table)
        axis.vlines(multipole, low95, high95, color=COLOURS[0], lw=1.0, label="95 %")
        axis.vlines(multipole, low68, high68, color=COLOURS[0], lw=3.5, label="68 %")
        axis.plot(multipole, middle, "_", color="white", ms=6)
        axis.plot(multipole, scale * spectra["EE"][2:30], color=COLOURS[1], lw=1.2, label="model")
        axis.set_ylabel(_LABEL["EE"])
        axis.set_ylim(0.0, 1.05 * float(np.max(high95)))
        axis.legend(frameon=False)
    axes[-1].set_xlabel(r"multipole $\ell$")
    figure.tight_layout()
    figure.set_label("Low multipoles: two Gaussian TT bins (an approximation to Commander), and the EE table's interval at each multipole.")
    return figure


def _table_quantiles(table: SimAllEE) -> tuple[NDArray[np.float64], ...]:
    """2.5, 16, 50, 84, 97.5 % points of each multipole's table, as a density in D_l with a flat prior on the grid."""
    density = np.exp(table.table - table.table.max(axis=0))
    cumulative = np.cumsum(density, axis=0) / density.sum(axis=0)
    grid = (np.arange(SIMALL_CELLS) + 0.5) * SIMALL_STEP
    columns = range(SIMALL_L_MAX - SIMALL_L_MIN + 1)
    return tuple(np.array([np.interp(p, cumulative[:, j], grid) for j in columns]) for p in (0.025, 0.16, 0.5, 0.84, 0.975))


def lensing(engine: Hybrid, theta: NDArray[np.float64]) -> Figure:
    """Lensing bandpowers and the model's at ``theta`` (n_parameters,), with chi2 and p-value."""
    from scipy.stats import chi2 as chi2_distribution

    part: Lensing = _required(engine, Lensing)
    spectra, y = engine.spectra(theta), _calibration(engine, theta)
    model, data = part.core.model(spectra, y), part.data
    value = part.chi2(spectra, {A_PLANCK: y})
    figure = new_figure(8.0, 3.4)
    axis = figure.subplots()
    half = 0.5 * (data.l_range[:, 1] - data.l_range[:, 0])
    axis.errorbar(data.l_mean, 1e7 * data.bandpowers, yerr=1e7 * np.sqrt(np.diag(data.covariance)), xerr=half, fmt="o", ms=4,
                  color=COLOURS[0], label="data")  # fmt: skip
    axis.plot(data.l_mean, 1e7 * model, "s", ms=5, mfc="none", color=COLOURS[1], label="model bandpowers")
    axis.set_xlabel(r"multipole $L$")
    axis.set_ylabel(r"$10^7\,[L(L+1)]^2 C_L^{\phi\phi} / 2\pi$")
    axis.set_title(rf"$\chi^2$ = {value:.1f} for {len(model)} bandpowers, p = {chi2_distribution.sf(value, len(model)):.2f}", fontsize=10)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.set_label("CMB lensing bandpowers (conservative range) and the best sample's model, corrected for its CMB spectra.")
    return figure


def chi2_bars(engine: Hybrid, theta: NDArray[np.float64]) -> Figure:
    """Bars of chi2 of each component at ``theta``; a mark at the number of data where the component is Gaussian."""
    parts = engine.breakdown(theta)
    figure = new_figure(8.0, 0.6 * len(parts) + 1.1)
    axis = figure.subplots()
    places = np.arange(len(parts))
    axis.barh(places, list(parts.values()), height=0.6, color=COLOURS[0])
    for place, component in enumerate(engine.components):
        value, core = parts[component.name], getattr(component, "core", None)
        text = f" {value:.2f}" + (f" ({core.size} data)" if core is not None else " (offset arbitrary)")
        axis.text(max(value, 0.0 if core is None else core.size), place, text, va="center", fontsize=9)
        if core is not None:
            axis.plot([core.size] * 2, [place - 0.36, place + 0.36], color=COLOURS[1], lw=1.5)
    axis.set_yticks(places, list(parts))
    axis.invert_yaxis()
    axis.set_xlim(min(0.0, 1.05 * min(parts.values())), 1.3 * max(*parts.values(), 1.0))
    axis.set_xlabel(r"$\chi^2 = -2 \ln L$")
    figure.tight_layout()
    figure.set_label("chi2 of each component at the best sample; red marks: number of data. The offset of low-l EE is arbitrary.")
    return figure


def spectra_posterior(engine: Hybrid, posterior: Posterior, n: int = _DRAWS, seed: int = _SEED) -> Figure:
    """TT, TE, EE of ``n`` posterior draws (median, 68 and 95 % bands over A_planck^2) with plik_lite's bandpowers where present."""
    index = posterior.equal_weight_indices(generator(seed, "spectra"), n)
    index = index if len(index) <= n else index[np.linspace(0, len(index) - 1, n).astype(np.int64)]
    points = engine_points(posterior, engine, posterior.samples[index])
    part = _component(engine, PlikLite)
    names = part.spectra if part is not None else tuple(name for name in ("TT", "TE", "EE") if name in engine.theory.l_max)
    first = len(engine.theory.parameters)
    batch = engine.theory.spectra_many(np.ascontiguousarray(points[:, :first]))
    scale = np.array([_calibration(engine, point) ** -2 for point in points])
    figure = new_figure(8.0, 2.4 * len(names) + 0.5)
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        curves = batch[name][:, 2:] * scale[:, None]
        multipole = np.arange(2, 2 + curves.shape[1])
        low, inner_low, middle, inner_high, high = np.quantile(curves, (0.025, 0.16, 0.5, 0.84, 0.975), axis=0)
        if part is not None:
            rows = np.flatnonzero(np.array(part.labels) == name)
            factor = _to_d_l(part)[rows]
            sigma = np.sqrt(np.diag(part.covariance))[rows]
            axis.errorbar(part.l_eff[rows], factor * part.core.data[rows], yerr=factor * sigma, fmt=".", ms=2.5, lw=0.5, color=GREY)
        axis.fill_between(multipole, low, high, color=COLOURS[1], alpha=0.25, lw=0)
        axis.fill_between(multipole, inner_low, inner_high, color=COLOURS[1], alpha=0.5, lw=0)
        axis.plot(multipole, middle, color=COLOURS[1], lw=0.8)
        axis.set_ylabel(_LABEL[name])
    axes[-1].set_xlabel(r"multipole $\ell$")
    axes[-1].set_xlim(0.0, None)
    figure.tight_layout()
    figure.set_label(f"Spectra of {len(points)} posterior draws: median, 68 and 95 % bands; points: binned data.")
    return figure


def figures(engine: Hybrid, posterior: Posterior) -> dict[str, Figure]:
    """The pictures that the engine's components allow, at the best sample of ``posterior``."""
    theta = engine_points(posterior, engine, posterior.samples[posterior.best][None, :])[0]
    made: dict[str, Figure] = {"chi2_per_component": chi2_bars(engine, theta)} if math.isfinite(engine.log_likelihood(theta)) else {}
    if _component(engine, PlikLite) is not None:
        made["spectra"] = spectra_posterior(engine, posterior)
        made["residuals"] = residuals(engine, theta)
    if _component(engine, LowEllTTBins) is not None or _component(engine, SimAllEE) is not None:
        made["low_multipoles"] = low_l(engine, theta)
    if _component(engine, Lensing) is not None:
        made["lensing"] = lensing(engine, theta)
    return made
