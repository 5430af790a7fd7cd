"""A result of the criterion in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sciinf.engines.pn.criterion import PNResult
    from sciinf.engines.pn.verdict import Verdict

__all__ = ["FLAGS", "in_words"]

FLAGS = {
    "expansion_unreliable": "The second order is more than half of the first, so the expansion does not tell the risk at this n.",
    "near_threshold": "The risk lies within two standard errors of the threshold: another sample could turn the verdict.",
    "influential_rows": "One row carries more than a quarter of the sandwich's trace: look at it before trusting the verdict.",
    "b_robust_noisy": "The standard error of the second order is above a tenth of the threshold.",
    "dispersion_fixed": "The dispersion is held at its estimate; its own estimation is not in the risk.",
    "no_second_order_root": "No n solves the second-order condition: the first order's number of observations stands.",
    "first_order_only": "Only the first order of the risk is known.",
    "conditional_on_existence": "Some refits of the bootstrap have no estimate: its risk is conditional on existence.",
    "information_observed": "The information could not be integrated: minus the mean Hessian of the data stands for it.",
    "draws_optimistic_se": "Moments come from draws of the model: their standard errors rest on eighth moments and are optimistic.",
}
"""What each flag says."""


def in_words(result: PNResult) -> str:
    """Model, threshold, both risks and verdicts, criteria, influential rows, flags, and what the verdict bounds."""
    threshold, criteria = result.threshold, result.information_criteria
    lines = [
        f"p-n criterion: {result.family}",
        f"n = {result.n} ({result.unit}s), p = {result.p}",
        f"threshold: delta = {threshold.delta:g}, bound '{threshold.bound}', C = {threshold.C:.6g} nats per observation",
        "",
        f"{'':10s}{'a':>11s}{'b':>13s}{'ED1':>12s}{'ED2':>12s}{'reliable':>10s}{'Er >=':>8s}{'n1':>9s}{'n2':>9s}  verdict",
    ]
    for name, (risk, verdict) in zip(("model", "sandwich"), result._pairs(), strict=True):
        b = f"{risk.b:13.5g}" if risk.has_second_order else f"{'-':>13s}"
        lines.append(
            f"{name:10s}{risk.a:11.5g}{b}{_number(verdict.ED1)}{_number(verdict.ED2)}{'yes' if verdict.reliable else 'no':>10s}"
            f"{verdict.er_lower:8.4f}{verdict.n_required_1:9d}{_count(verdict)}  {'accept' if verdict.accept else 'reject'}"
        )
    if result.method == "exact":
        lines.append(f"{'':10s}exact risk of a true model: {result.verdict_model.ED_used:.6g} nats per observation, which decides its row")
    for name, refits in zip(("model", "sandwich"), result.bootstrap or (), strict=False):
        failed = "; ".join(f"{count} refits failed: {reason}" for reason, count in refits.reasons.items())
        lines.append(
            f"{'':10s}bootstrap risk of the {name}: {refits.ed:.6g} +- {refits.se:.2g} nats per observation, which decides its row"
            f"{' (' + failed + ')' if failed else ''}"
        )
    used = result.verdict
    error = f" +- {used.se:.2g}" if used.se > 0.0 else ""
    lines += [
        "",
        f"judged by the {'sandwich' if used.robust else 'model'}: risk {used.ED_used:.6g}{error} per observation, {used.ED_total:.5g} in "
        f"all; at most {used.p_max} parameters are affordable at this n (first order, true model)",
        f"AIC {criteria.aic:.3f}, AICc {'-' if criteria.aicc is None else format(criteria.aicc, '.3f')}, TIC {criteria.tic:.3f}, "
        f"TIC2 {'-' if math.isnan(criteria.tic2) else format(criteria.tic2, '.3f')} (they rank models by misfit and optimism together)",
    ]
    if result.influence.rows:
        shares = ", ".join(f"{row} ({share:.1%})" for row, share in zip(result.influence.rows, result.influence.shares, strict=True))
        lines.append(f"rows that carry most of the sandwich's trace: {shares}")
    lines += [FLAGS[flag] for flag in result.flags]
    lines.append(
        "The verdict bounds how well one observation tells the fitted density from the best one of the model; it says nothing of how far "
        "that best one is from the truth."
    )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return f"{'-':>12s}" if value is None else f"{value:12.6f}"


def _count(verdict: Verdict) -> str:
    return f"{'-':>9s}" if verdict.n_required_2 is None else f"{verdict.n_required_2:9d}"
