"""Checks of samplers against known answers: evidences, moments, the prior returned, two samplers agreeing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration.analytic import AnalyticProblem
from sciinf.calibration.classifier import c2st, energy_test
from sciinf.calibration.injections import Campaign
from sciinf.calibration.verdict import ALARM, Verdict, bonferroni
from sciinf.core.parameter import Parameter
from sciinf.core.priors import Prior

__all__ = ["SEEDS_FOR_MEANS", "agreement", "evidence", "evidence_row", "moments", "prior_returned", "same_cost"]

_SIGMAS = 4.0
_RMS_PULL = (0.4, 1.6)  # an exact sampler leaves [0.5, 1.5] in 1.2 % of rows at 12 seeds
SEEDS_FOR_MEANS = 12
"""Seeds from which means and scatters over seeds are judged."""
_SAME = 0.1


def evidence(label: str, known: AnalyticProblem, result: Campaign, *, n_live: int) -> list[Verdict]:
    """|log Z - truth| < 4 sigma for every seed, and the rms pull in [0.4, 1.6] at 12 seeds or more.

    A constant likelihood has no pull: its evidence must be 1 to the accuracy of the quadrature, 5 / n_live.
    """
    shift, n = result.log_evidence - known.log_evidence, len(result)
    if known.name == "prior":
        worst = float(np.max(np.abs(shift)))
        return [Verdict(f"{label}: log Z = 0", worst, None, n, worst < 5.0 / n_live, f"largest |log Z|; bound 5/n_live = {5.0 / n_live:g}")]
    pulls = shift / result.log_evidence_error
    largest = float(np.max(np.abs(pulls)))
    p = float(min(1.0, n * 2.0 * stats.norm.sf(largest)))
    verdicts = [Verdict(f"{label}: log Z", largest, p, n, largest < _SIGMAS, "largest pull; bound 4")]
    if n >= SEEDS_FOR_MEANS:
        rms = float(np.sqrt(np.mean(pulls**2)))
        verdicts.append(Verdict(f"{label}: rms pull", rms, None, n, _RMS_PULL[0] <= rms <= _RMS_PULL[1], "bounds 0.4, 1.6"))
    return verdicts


def evidence_row(label: str, known: AnalyticProblem, result: Campaign) -> tuple[str, ...]:
    """A table row: truth, mean and scatter of log Z, stated error, mean and rms pull, ESS and calls."""
    shift = result.log_evidence - known.log_evidence
    pulls = shift / np.where(result.log_evidence_error > 0.0, result.log_evidence_error, np.nan)
    scatter = float(np.std(result.log_evidence, ddof=1)) if len(result) > 1 else float("nan")
    return (
        label,
        f"{known.log_evidence:.6f}",
        f"{np.mean(shift):+.3f}",
        f"{scatter:.3f}",
        f"{np.mean(result.log_evidence_error):.3f}",
        f"{np.mean(pulls):+.2f}",
        f"{np.sqrt(np.mean(pulls**2)):.2f}",
        f"{np.mean(result.ess):.0f}",
        f"{np.mean(result.calls):.0f}",
    )


def same_cost(label: str, first: Campaign, second: Campaign) -> list[Verdict]:
    """Likelihood calls and effective samples of two samplers of one algorithm: means over the seeds within 10 %."""
    verdicts = []
    for name, a, b in (("calls", first.calls, second.calls), ("ESS", first.ess, second.ess)):
        ratio = float(np.mean(a) / np.mean(b))
        verdicts.append(Verdict(f"{label}: {name}", ratio, None, len(first), abs(ratio - 1.0) < _SAME, f"ratio of means; bar {_SAME}"))
    return verdicts


def moments(label: str, known: AnalyticProblem, result: Campaign) -> list[Verdict]:
    """Posterior means and variances within 4 sigma of the known ones, worst parameter.

    With several seeds sigma is their own scatter (Student's t, turned into a normal z); with one it is std / sqrt(ESS).
    """
    if known.mean is None or known.covariance is None:
        return []
    variance = np.diag(known.covariance)
    found = np.concatenate([result.mean, result.std**2], axis=1)
    shift = found.mean(axis=0) - np.concatenate([known.mean, variance])
    if len(result) > 1:
        sigma = found.std(axis=0, ddof=1) / np.sqrt(len(result))
        p = 2.0 * stats.t.sf(np.abs(shift / sigma), len(result) - 1)
    else:
        sigma = np.concatenate([np.sqrt(variance), variance * np.sqrt(2.0)]) / np.sqrt(result.ess[0])
        p = 2.0 * stats.norm.sf(np.abs(shift / sigma))
    worst, corrected = bonferroni(p)
    z = float(stats.norm.isf(0.5 * max(float(p[worst]), 1e-300)))
    which = "mean" if worst < len(known.mean) else "variance"
    name = result.names[worst % len(known.mean)]
    return [Verdict(f"{label}: moments", z, corrected, len(result), z < _SIGMAS, f"largest z, {which} of {name}; bound 4")]


def prior_returned(label: str, known: AnalyticProblem, result: Campaign) -> Verdict:
    """Draws of a posterior under a constant likelihood follow the prior: KS per parameter, Bonferroni."""
    draws = _pooled(result)
    priors = [member.prior for member in known.problem.priors.members if isinstance(member, Parameter) and isinstance(member.prior, Prior)]
    p = [stats.kstest(draws[:, i], prior.cdf).pvalue for i, prior in enumerate(priors)]
    worst, corrected = bonferroni(p)
    return Verdict(f"{label}: prior returned", p[worst], corrected, len(draws), corrected >= ALARM, f"KS p, worst: {result.names[worst]}")


def _pooled(result: Campaign) -> NDArray[np.float64]:
    """Independent draws of all units together."""
    return result.draws.reshape(-1, result.draws.shape[2])


def agreement(label: str, first: Campaign, second: Campaign, *, seed: int, classify: bool = False) -> list[Verdict]:
    """Two samplers draw from one posterior: energy distance with runs exchanged whole, and the classifier where asked."""
    a, b = _pooled(first), _pooled(second)
    verdicts = [energy_test(a, b, seed=seed, block=first.draws.shape[1])]
    if classify:
        verdicts.append(c2st(a, b, seed=seed))
    return [Verdict(f"{label}: {v.name}", v.statistic, v.p, v.n, v.passed, v.detail) for v in verdicts]
