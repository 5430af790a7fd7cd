"""The diagnostics table of a report: each check with its value and what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciinf.core.errors import SciinfError

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior
    from sciinf.results.summary import Summary

__all__ = ["diagnostic_rows"]

_LEAST_ESS = 400.0
_LEAST_P = 1e-3
_LEAST_LENGTH = 50.0


def _row(name: str, value: str, note: str, *, good: bool | None = None) -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "tone": "" if good is None else ("good" if good else "bad")}


def _whole(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "not defined"


def diagnostic_rows(posterior: Posterior, summary: Summary, manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of the diagnostics table: effective numbers, then those of chains or of nested runs, then counts."""
    rows = [
        _row(
            *("Effective samples", _whole(summary.effective)),
            "independent samples that carry the same information; a few hundred serve for means, a few thousand for intervals",
            good=summary.effective >= _LEAST_ESS,
        )
    ]
    rows += _chain_rows(posterior, summary, manifest) if posterior.is_mcmc else _nested_rows(posterior)
    worst = max((row.mcse / row.std for row in summary.rows if not row.derived and row.std > 0.0), default=math.nan)
    rows.append(
        _row("Largest Monte Carlo error", f"{worst:.3f} σ", "of a parameter's mean, in units of its standard deviation", good=worst < 0.1)
    )
    return rows + _count_rows(manifest)


def _chain_rows(posterior: Posterior, summary: Summary, manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """Autocorrelation, bulk and tail: walkers of one ensemble are not independent, so there is no R-hat among them."""
    sampled = [row for row in summary.rows if not row.derived]
    report = manifest.get("report", {})
    tau = report.get("tau") or {}
    asked = manifest.get("sampler", {}).get("tau_multiple", _LEAST_LENGTH)
    rows = []
    if tau:
        slowest = max(tau, key=lambda name: tau[name])
        rows.append(_row("Autocorrelation time", f"{tau[slowest]:.1f} steps", f"of the slowest parameter, {slowest}"))
    if (length := report.get("n_over_tau")) is not None:
        note = f"steps behind the burn-in ({report.get('burn', 0):,} steps) over the slowest autocorrelation time; asked for: {asked:g}"
        rows.append(_row("Chain length", f"{length:.0f} τ", note, good=length >= asked))
    if "acceptance" in report:
        rows.append(_row("Acceptance", f"{100.0 * report['acceptance']:.0f} %", "of the proposed moves"))
    rows.append(_row("Smallest bulk ESS", _whole(min(row.ess_bulk for row in sampled)), "of a parameter: reliability of centres"))
    rows.append(
        _row("Smallest tail ESS", _whole(min(row.ess_tail for row in sampled)), "of a parameter: reliability of 5 and 95 % quantiles")
    )
    return rows


def _nested_rows(posterior: Posterior) -> list[dict[str, str]]:
    """Insertion ranks, and the evidence error by bootstrap."""
    from sciinf.core.seeding import generator
    from sciinf.results.nested import evidence_error_bootstrap, insertion_rank_test

    if posterior.birth_log_likelihood is None:
        return []
    rows = []
    try:
        test = insertion_rank_test(posterior)
        note = f"whether new points landed as draws from the prior would ({test.n:,} ranks, KS; small p: the run may be biased)"
        rows.append(_row("Insertion ranks", f"p = {test.p_value:.3g}", note, good=test.p_value > _LEAST_P))
        boot = evidence_error_bootstrap(posterior, generator(0, "report/bootstrap"), n_bootstrap=50)
        stated = "" if posterior.log_evidence_error is None else f"; the run states {posterior.log_evidence_error:.3f}"
        rows.append(_row("Evidence error, bootstrap", f"{boot.error:.3f}", f"scatter of ln Z over resampled threads{stated}"))
    except SciinfError as error:
        rows.append(_row("Insertion ranks", "not available", str(error)))
    return rows


def _count_rows(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the likelihood did."""
    counts = manifest.get("counts") or {}
    rows = []
    if counts:
        rows.append(_row("Likelihood calls", f"{counts.get('calls', 0):,}", "all processes together"))
        note = "points where the likelihood is zero: outside a region, or refused by the engine"
        rows.append(_row("Calls at ln L = −∞", f"{counts.get('minus_inf', 0):,}", note))
        if counts.get("rejected"):
            rows.append(
                _row("NaN, taken as −∞", f"{counts['rejected']:,}", 'the likelihood gave NaN there (on_nan = "reject")', good=False)
            )
    if manifest.get("iterations") is not None:
        rows.append(_row("Iterations", f"{manifest['iterations']:,}", "of the sampler"))
    return rows
