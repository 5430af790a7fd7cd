"""The text of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sciinf.engines.r3d.results import R3DResults

__all__ = ["summary_text"]

_SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9)
_QUARTERS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
_WIDTH = 78
_DEFECTS = "R3D-compatible: known defects 1-9 of the R package are reproduced; not for inference"


def _pairs(fit: R3DResults) -> list[tuple[str, str]]:
    info, settings = fit.bandwidth_info, fit.settings
    h = f"{info.h[0]:.6g}" if len(info.h) == 1 else f"{info.h.min():.6g} to {info.h.max():.6g} over levels"
    pairs = [
        ("Method", f"{settings.method}, p = {settings.p}, s = {settings.s}"),
        ("Kernel, quantiles", f"{settings.kernel}, {settings.quantile_rule}"),
        ("Cutoff", f"{fit.cutoff:g}"),
        ("Units", f"{fit.nobs}; within the bandwidth {fit.n_eff[1]} below and {fit.n_eff[0]} above"),
        ("Bandwidth", f"{h} ({info.rule}{'' if info.binding in ('none', 'given') else ', ' + info.binding})"),
        ("Covariance", f"{fit.cov_type}, about {fit.nu_eff:.1f} degrees of freedom"),
        ("Levels moved", f"{fit.n_projected[1]} below and {fit.n_projected[0]} above, of {settings.n_q}"),
    ]
    if fit.denominator is not None:
        pairs.append(("First stage", f"jump {fit.denominator:.4g}, t = {fit.first_stage_t:.2f}, bandwidth {info.h_den:.6g}"))
    return pairs


def summary_text(fit: R3DResults, alpha: float = 0.05) -> str:
    """Options, effects at some levels, averages over quarters of the distribution with their own intervals, and what is doubtful."""
    title = "Local average quantile treatment effect" + (" of compliers (fuzzy)" if fit.denominator is not None else "")
    lines = [title.center(_WIDTH).rstrip(), "=" * _WIDTH]
    lines += [f"{name:<20}{text}" for name, text in _pairs(fit)]
    head = f"{'':>14}{'effect':>12}{'std err':>12}{'z':>9}{'P > abs(z)':>12}{f'[{alpha / 2:g}':>10}{f'{1 - alpha / 2:g}]':>9}"
    lines += ["-" * _WIDTH, head]
    levels, interval = fit.q_grid, fit.conf_int(alpha)
    rows = sorted({int(np.argmin(np.abs(levels - level))) for level in _SHOWN})
    for i in rows:
        value = f"{fit.params[i]:>12.4f}{fit.bse[i]:>12.4f}{fit.tvalues[i]:>9.3f}{fit.pvalues[i]:>12.3f}"
        lines.append(f"{f'q = {levels[i]:g}':>14}{value}{interval[i, 0]:>10.4f}{interval[i, 1]:>9.4f}")
    quarters = [(low, high) for low, high in _QUARTERS if ((levels >= low) & (levels <= high)).sum() >= 2]
    if quarters:
        average = fit.average_effect(quarters, alpha)
        lines += ["-" * _WIDTH, "Averages over ranges of levels, each with its own error"]
        for j, (low, high) in enumerate(quarters):
            z = average.estimate[j] / average.se[j] if average.se[j] > 0.0 else np.inf
            value = f"{average.estimate[j]:>12.4f}{average.se[j]:>12.4f}{z:>9.3f}{'':>12}{average.lower[j]:>10.4f}{average.upper[j]:>9.4f}"
            lines.append(f"{f'{low:g} to {high:g}':>14}{value}")
    lines.append("=" * _WIDTH)
    if fit.settings.compat is not None:
        lines.append(_DEFECTS)
    lines += [f"Note: {note}." for note in fit.notes]
    lines.append("Intervals hold for one level each; conf_band() holds for all. Whether units sort around the")
    lines.append("cutoff is not tested here: see the package rddensity.")
    return "\n".join(lines)
