"""The text and the table of a fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sciinf.engines.r3d.inference import Band

if TYPE_CHECKING:
    from sciinf.engines.r3d.results import R3DResults

__all__ = ["frame", "summary_text"]

_SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9)
_QUARTERS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
_WIDTH = 78
_DEFECTS = "R3D-compatible: known defects 1-9 of the R package are reproduced; not for inference"


def _clusters(fit: R3DResults) -> str:
    """Number of clusters, and of those with active units on both sides."""
    cluster, outcome = fit.contributions.cluster, fit.contributions.outcome
    assert cluster is not None
    plus, minus = (np.unique(cluster[outcome.rows[side]]) for side in (outcome.plus, ~outcome.plus))
    both = len(np.intersect1d(plus, minus))
    return f"{fit.contributions.n_blocks}; within the bandwidth {len(plus)} above and {len(minus)} below, {both} on both sides"


def _pairs(fit: R3DResults) -> Iterator[tuple[str, str]]:
    """What was done to what, by name."""
    info, settings = fit.bandwidth_info, fit.settings
    h = f"{info.h[0]:.6g}" if len(info.h) == 1 else f"{info.h.min():.6g} to {info.h.max():.6g} over levels"
    yield "Method", f"{settings.method}, p = {settings.p}, s = {settings.s}"
    yield "Kernel, quantiles", f"{settings.kernel}, {settings.quantile_rule}"
    yield "Cutoff", f"{fit.cutoff:g}"
    yield "Units", f"{fit.nobs}; within the bandwidth {fit.n_eff[0]} above and {fit.n_eff[1]} below"
    if fit.sizes is not None:
        yield "Values", f"{fit.sizes.sum()}; in a unit at least {fit.sizes.min()}, median {np.median(fit.sizes):g}"
    if fit.contributions.cluster is not None:
        yield "Clusters", _clusters(fit)
    yield "Bandwidth", f"{h} ({info.rule}{'' if info.binding in ('none', 'given') else ', ' + info.binding})"
    yield "Covariance", f"{fit.cov_type}, resting on about {fit.nu_eff:.1f} degrees of freedom"
    yield "Levels crossing", f"{fit.n_projected[0]} above and {fit.n_projected[1]} below, of {settings.n_q}"
    if fit.denominator is not None:
        yield "First stage", f"jump {fit.denominator:.4g}, t = {fit.first_stage_t:.2f}, bandwidth {info.h_den:.6g}"


def _row(name: str, value: float, se: float, t: float, p: float, low: float, high: float) -> str:
    return f"{name:>14}{value:>12.4f}{se:>12.4f}{t:>9.3f}{p:>10.3f}{low:>11.4f}{high:>10.4f}"


def _curve(fit: R3DResults, alpha: float) -> Iterator[str]:
    """What holds for the whole curve: the band, and the two tests."""
    n_draws = max(4999, math.ceil(1.0 / alpha))
    band = fit.conf_band(alpha, n_draws=n_draws)
    error = band.critical_value_mc_error
    yield f"Uniform {100 * (1 - alpha):g} % band: effect +- {band.critical_value:.4f} (Monte Carlo error {error:.1g})"
    if fit.settings.n_q > 1:
        for name, test in (("No effect at any level", fit.test_nullity), ("The same effect at all levels", fit.test_homogeneity)):
            found = test(alpha=alpha, n_draws=n_draws)[0]
            yield f"{name + ':':<32}sup {found.statistic:.4f}, critical {found.critical_value:.4f}, p = {found.p_value:.4f}"


def _remarks(fit: R3DResults) -> Iterator[str]:
    """What a reader must know."""
    settings, levels = fit.settings, fit.q_grid
    if settings.compat is not None:
        yield _DEFECTS
    if settings.p <= settings.s:
        yield f"Conventional: smoothing bias not removed (order p = {settings.p} at a bandwidth for s = {settings.s})."
    typical = math.inf if fit.sizes is None else float(np.median(fit.sizes))
    if 1.0 < typical < math.inf and (beyond := int(((levels * typical < 1.0) | ((1.0 - levels) * typical < 1.0)).sum())):
        yield f"{beyond} levels are nearer to 0 or 1 than 1 / {typical:g}: in a typical unit its extreme values decide."
    for note in fit.notes:
        yield f"Note: {note}."
    yield "Rows hold for one level or range each, with normal intervals; the band holds for all levels."
    yield "Whether units sort around the cutoff is not tested here: see manipulation_test()."


def summary_text(fit: R3DResults, alpha: float = 0.05) -> str:
    """Options, effects, averages over quarters of the distribution with their own intervals, band and tests, and what is doubtful."""
    title = "Local average quantile treatment effect" + (" of compliers (fuzzy)" if fit.denominator is not None else "")
    lines = [title.center(_WIDTH).rstrip(), "=" * _WIDTH, *(f"{name:<20}{text}" for name, text in _pairs(fit)), "-" * _WIDTH]
    lines.append(f"{'':>14}{'effect':>12}{'std err':>12}{'z':>9}{'P>|z|':>10}{f'[{alpha / 2:g}':>11}{f'{1 - alpha / 2:g}]':>10}")
    levels, interval = fit.q_grid, fit.conf_int(alpha)
    rows = sorted({int(np.argmin(np.abs(levels - level))) for level in _SHOWN})
    lines += [_row(f"q = {levels[i]:g}", fit.params[i], fit.bse[i], fit.tvalues[i], fit.pvalues[i], *interval[i]) for i in rows]
    quarters = [(low, high) for low, high in _QUARTERS if ((levels >= low) & (levels <= high)).sum() >= 2]
    if quarters:
        mean = fit.average_effect(quarters, alpha)
        lines += ["-" * _WIDTH, "Averages over ranges of levels, each with its own error"]
        columns = (mean.estimate, mean.se, mean.tvalues, mean.pvalues, mean.lower, mean.upper)
        lines += [_row(f"{low:g} to {high:g}", *row) for (low, high), row in zip(quarters, np.column_stack(columns), strict=True)]
    return "\n".join([*lines, "-" * _WIDTH, *_curve(fit, alpha), "=" * _WIDTH, *_remarks(fit)])


def frame(fit: R3DResults, alpha: float, band: Band | None) -> Any:
    """The curve as a pandas data frame; columns as `R3DResults.to_frame`."""
    import pandas

    interval, h = fit.conf_int(alpha), np.broadcast_to(fit.bandwidth_info.h, (fit.settings.n_q,))
    columns = {"q": fit.q_grid, "tau": fit.params, "se": fit.bse, "lower": interval[:, 0], "upper": interval[:, 1]}
    columns |= {"m_plus": fit.m_plus, "m_minus": fit.m_minus, "h": h}
    if band is not None:
        columns |= {"band_lower": band.lower, "band_upper": band.upper}
    return pandas.DataFrame({name: np.array(column) for name, column in columns.items()})
