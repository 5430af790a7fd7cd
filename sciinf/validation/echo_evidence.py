"""Evidence without a sampler: the marginalised likelihood integrated over three parameters, and dynesty beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.stats import qmc

from sciinf.calibration.injections import campaign_over
from sciinf.calibration.verdict import ALARM, Verdict
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, importance_sample, scan
from sciinf.engines.echo.simulate import comb, inject
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import Phase, noise
from sciinf.validation.echo_runs import published_search

__all__ = ["Case", "cases", "compared", "quadrature", "seed_scatter", "whole_prior"]

_BAND = (50.0, 110.0)
_STABLE = 0.01
_SIGMAS = 3.0
_FREEDOM = 5
_AMPLITUDE = Uniform(0.003, 0.5)
_NEEDLE_LIVE = 1000  # the published setting


@dataclass(frozen=True, eq=False)
class Case:
    """A comb of ten teeth at T = 4 s, with narrow priors about it."""

    label: str
    engine: EchoSearch
    priors: PriorSet

    @property
    def marginalised(self) -> Problem:
        """Over spacing, offset and width."""
        return Problem(self.engine, self.priors, name=f"{self.label}, marginalised")

    @property
    def sampled(self) -> Problem:
        """Over the amplitude too."""
        priors = PriorSet([*self.priors.members, Parameter("amplitude", _AMPLITUDE)])
        return Problem(replace(self.engine, amplitude="sampled"), priors, name=f"{self.label}, sampled")


def cases(phases: tuple[Phase, ...], injections: int, seed: int) -> list[Case]:
    """Combs of different strength and width in seeded noise."""
    made = []
    for i in range(injections):
        truth = {"spacing": 5.83 + 0.4 * i, "width": (0.4, 0.8, 0.3)[i % 3], "amplitude": (0.10, 0.06, 0.14)[i % 3]}
        for phase in phases:
            rng = generator(seed, f"evidence/{i}")
            data = noise(4.0, rng)
            signal = comb(data, offset_hz=1.26, band=_BAND, phase=phase, rng=None if phase == "whittle" else rng, **truth)  # type: ignore[arg-type]
            engine = EchoSearch(inject(data, signal), phase=phase, amplitude=_AMPLITUDE, band=_BAND, offset_unit="Hz")
            members = [
                Parameter("spacing", Uniform(truth["spacing"] - 0.03, truth["spacing"] + 0.03)),
                Parameter("offset", Uniform(0.96, 1.56)),
                Parameter("width", LogUniform(0.25, 2.0)),
            ]
            made.append(Case(f"comb {i + 1}, {phase}", engine, PriorSet(members)))
    return made


def _coarse(problem: Problem, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance of the posterior in the cube, from a coarse grid."""
    axis = (np.arange(n) + 0.5) / n
    units = np.column_stack([part.ravel() for part in np.meshgrid(axis, axis, axis, indexing="ij")])
    values = problem.log_likelihood_many(problem.priors.transform(units))
    weights = np.exp(values - values.max())
    return np.average(units, axis=0, weights=weights), np.cov(units.T, aweights=weights) + np.eye(3) / (12.0 * n * n)


def quadrature(problem: Problem, n: int, seed: int) -> tuple[float, float]:
    """ln Z and its standard error, by ``n`` scrambled Sobol points of three quarters Student's t about the likelihood and a quarter prior.

    ln L jumps wherever a bin enters or leaves a mode, so that grids settle slowly; the t is fitted to a coarse one. Sixteen scramblings
    of n / 16 points each give the error.
    """
    mean, covariance = _coarse(problem, 40)
    shape = stats.multivariate_t(mean, 1.5 * covariance, df=_FREEDOM)
    root = np.linalg.cholesky(1.5 * covariance)
    each = n // 16
    parts = []
    for k in range(16):
        points = qmc.Sobol(5, rng=generator(seed, f"points/{k}")).random(each)
        radius = np.sqrt(_FREEDOM / stats.chi2.ppf(np.clip(points[:, 3], 1e-12, 1.0), _FREEDOM))
        units = mean + (radius[:, None] * stats.norm.ppf(np.clip(points[:, :3], 1e-15, 1.0 - 1e-15))) @ root.T
        units = np.where((points[:, 4] < 0.25)[:, None], points[:, :3], units)
        inside = np.all((units > 0.0) & (units < 1.0), axis=1)
        values: NDArray[np.float64] = problem.log_likelihood_many(problem.priors.transform(units[inside]))
        density = 0.25 + 0.75 * shape.pdf(units[inside])
        parts.append(special.logsumexp(values - np.log(density)) - math.log(each))
    top = max(parts)
    shares = np.exp(np.array(parts) - top)
    return float(top + np.log(shares.mean())), float(shares.std(ddof=1) / 4.0 / shares.mean())


def compared(case: Case, n_live: int, points: int, seed: int, workers: Workers) -> tuple[list[Verdict], list[tuple[str, ...]], float]:
    """dynesty on the marginalised and the sampled problem, and importance sampling about a scan's peaks, against the quadrature's ln Z."""
    value, own = quadrature(case.marginalised, points, seed)
    detail = "standard error of ln Z; bound 0.01"
    verdicts = [Verdict(f"evidence, {case.label}: quadrature", own, None, points, own < _STABLE, detail)]
    rows: list[tuple[str, ...]] = []
    for kind, problem in (("marginalised", case.marginalised), ("sampled", case.sampled)):
        run = campaign_over([problem], Dynesty(n_live=n_live), seed, workers=workers)
        found, error = float(run.log_evidence[0]), float(run.log_evidence_error[0])
        z = (found - value) / math.hypot(error, own)
        detail = f"dynesty {found:.3f} +- {error:.3f}, quadrature {value:.3f}; bound 3 errors"
        verdicts.append(Verdict(f"evidence, {case.label}: {kind}", abs(z), None, 1, abs(z) < _SIGMAS, detail))
        rows.append((case.label, kind, f"{found:.3f} +- {error:.3f}", f"{value:.3f} +- {own:.3f}", f"{z:+.2f}"))
    engine = case.marginalised.engine
    assert isinstance(engine, EchoSearch)
    drawn = importance_sample(scan(engine, priors=case.priors), seed)
    assert drawn.log_evidence is not None
    assert drawn.log_evidence_error is not None
    z = (drawn.log_evidence - value) / math.hypot(drawn.log_evidence_error, own)
    detail = f"importance sampling {drawn.log_evidence:.3f} +- {drawn.log_evidence_error:.3f}, quadrature {value:.3f}; bound 3 errors"
    good = abs(z) < _SIGMAS and drawn.status == "ok"
    verdicts.append(Verdict(f"evidence, {case.label}: importance sampling", abs(z), None, 1, good, detail))
    stated = f"{drawn.log_evidence:.3f} +- {drawn.log_evidence_error:.3f}"
    rows.append((case.label, "marginalised, from a scan", stated, f"{value:.3f} +- {own:.3f}", f"{z:+.2f}"))
    return verdicts, rows, value


def seed_scatter(case: Case, value: float, n_live: int, seeds: int, seed: int, workers: Workers) -> Verdict:
    """Whether the stated error of ln Z is right: rms pull over seeds."""
    run = campaign_over([case.marginalised] * seeds, Dynesty(n_live=n_live), seed, workers=workers)
    pulls = (run.log_evidence - value) / run.log_evidence_error
    rms = float(np.sqrt(np.mean(pulls**2)))
    # 99.9 % of chi with ten degrees of freedom, over sqrt(10): 0.38 to 1.72
    return Verdict(f"evidence, {case.label}: stated error", rms, None, seeds, 0.38 < rms < 1.72, "rms pull over seeds; bounds 0.38, 1.72")


def whole_prior(seeds: int, nested: int, seed: int, workers: Workers, folder: Path | None) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """ln B of the published comb at T = 12 s over the whole prior, by seed: importance sampling from one scan, and ``nested`` nested runs.

    Importance sampling must scatter as it states. Nested runs scatter far more than they state, for a needle of which a handful of live
    points decide; their mean must agree within that scatter.
    """
    problem = published_search(12, "mode", 0, seed)[0]
    assert isinstance(problem.engine, EchoSearch)
    found = scan(problem.engine, priors=problem.priors)
    drawn = [importance_sample(found, seed + i) for i in range(seeds)]
    values, errors = (np.array([getattr(one, name) for one in drawn]) for name in ("log_evidence", "log_evidence_error"))
    best = float(np.average(values, weights=errors**-2))
    own = float(1.0 / np.sqrt(np.sum(errors**-2)))
    chi2 = float(np.sum(((values - best) / errors) ** 2))
    p = 2.0 * min(stats.chi2.cdf(chi2, seeds - 1), stats.chi2.sf(chi2, seeds - 1))
    unsound = sum(one.status != "ok" for one in drawn)
    detail = f"chi-square of ln Z about its mean over seeds, two-sided; {unsound} not converged"
    verdicts = [Verdict("whole prior: importance sampling's error", chi2, p, seeds, p > ALARM and unsound == 0, detail)]
    rows: list[tuple[str, ...]] = [
        ("importance sampling from a scan", str(seeds), f"{values.mean():.3f}", f"{values.std(ddof=1):.3f}", f"{errors.mean():.3f}")
    ]
    if not nested:
        return verdicts, rows
    run = campaign_over([problem] * nested, Dynesty(n_live=_NEEDLE_LIVE), seed, workers=workers, directory=folder)
    mean, scatter = float(run.log_evidence.mean()), float(run.log_evidence.std(ddof=1))
    t = (mean - best) / math.hypot(scatter / math.sqrt(nested), own)
    p = 2.0 * float(stats.t.sf(abs(t), nested - 1))
    detail = f"t of the mean ln Z of nested runs about {best:.3f} +- {own:.3f} of importance sampling, by their own scatter"
    verdicts.append(Verdict("whole prior: nested runs", t, p, nested, p > ALARM, detail))
    stated = f"{run.log_evidence_error.mean():.2f}"
    rows.append((f"nested, n_live {_NEEDLE_LIVE}", str(nested), f"{mean:.2f}", f"{scatter:.2f}", stated))
    return verdicts, rows
