"""The quasi-likelihood: evidences of a stored statistic by two samplers, coverage of its two forms, and its way from raw data to ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from sciinf.calibration.verdict import Verdict
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.r3d import R3D, R3DEffectEngine, R3DSettings
from sciinf.engines.r3d.simulate import dgp1
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation.r3d_reference import DECILES, EVIDENCE, FIVE, NULL, stored_engine
from sciinf.validation.rates import rate

__all__ = [
    "FORMS",
    "LENGTHS",
    "PIPELINE_PRIOR",
    "Case",
    "bayes_factors",
    "cases",
    "compared",
    "effect_problem",
    "interval_rows",
    "pipeline_engine",
    "quadrature",
    "shape_replica",
]

FloatArray = NDArray[np.float64]

LENGTHS = {3: (0.1, 0.5, 0.9), 5: FIVE, 9: DECILES}
"""Levels of the statistic by their number d."""

FORMS = {
    "Gaussian, HC0": ("shift", "gaussian", "HC0"),
    "Gaussian, HC2": ("shift", "gaussian", "HC2"),
    "t, HC2": ("shift", "t", "HC2"),
    "t, HC2, two parameters": ("location_scale", "t", "HC2"),
}
"""Shape, form and covariance of the columns of the coverage table."""

PIPELINE_PRIOR = Normal(0.0, 3.0)
"""Of the shift in the campaign from raw data; its truths are drawn from it."""

_TRUTH = 1.0
_PRIOR = Normal(0.0, 5.0)
_DELTA, _GAMMA = np.linspace(-14.0, 16.0, 751), np.linspace(-5.0, 5.0, 101)  # sums over smooth densities: steps of a width would do


def effect_problem(seed: int, nu: float = 20.0) -> Problem:
    """A shape with two parameters over a fixed statistic of five levels."""
    data = dgp1(400, 60, 1.0, np.random.default_rng(seed))
    fit = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=FIVE)).fit()
    engine: R3DEffectEngine = fit.to_engine("location_scale", nu=nu)
    return Problem(engine, engine.default_priors(), name="location and scale")


def _priors(engine: R3DEffectEngine) -> PriorSet:
    return PriorSet([Parameter(name, _PRIOR) for name in engine.parameters])


# ---- evidence and posterior ----


def _log_posterior(engine: R3DEffectEngine, axes: list[FloatArray]) -> FloatArray:
    """ln L plus ln prior on a grid, in the shape of the grid."""
    thetas = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    found = engine.log_likelihood_many(np.ascontiguousarray(thetas)) + stats.norm.logpdf(thetas, 0.0, 5.0).sum(axis=1)
    return np.asarray(found).reshape([len(axis) for axis in axes])


def quadrature(engine: R3DEffectEngine) -> tuple[float, FloatArray, FloatArray]:
    """ln Z, means (k,) and standard deviations (k,) under N(0, 5^2), by sums over a grid: the integrand vanishes at its ends."""
    k = len(engine.parameters)
    axes = [np.linspace(-30.0, 30.0, 6001)] if k == 1 else [np.linspace(-12.0, 16.0, 1401), np.linspace(-7.0, 6.0, 1301)]
    log_density = _log_posterior(engine, axes)
    cell = float(np.log([axis[1] - axis[0] for axis in axes]).sum())
    total = float(logsumexp(log_density))
    share = np.exp(log_density - total)
    means, widths = np.empty(k), np.empty(k)
    for i, axis in enumerate(axes):
        marginal = share if k == 1 else share.sum(axis=1 - i)
        means[i] = marginal @ axis
        widths[i] = math.sqrt(float(marginal @ (axis - means[i]) ** 2))
    return total + cell, means, widths


@dataclass(frozen=True, eq=False)
class Case:
    """One likelihood and what its posterior should be.

    Attributes
    ----------
    name : str
        Form, covariance and shape.
    engine : R3DEffectEngine
        The likelihood.
    log_evidence : float
        ln Z.
    mean, std : (k,) float64 arrays
        Of the posterior.
    """

    name: str
    engine: R3DEffectEngine
    log_evidence: float
    mean: FloatArray
    std: FloatArray


def cases(names: tuple[str, ...] = tuple(EVIDENCE)) -> list[Case]:
    """Likelihoods with stored figures, by name."""
    out = []
    for name in names:
        log_evidence, mean, std = EVIDENCE[name]
        form, cov_type, model = name.split(", ")
        out.append(Case(name, stored_engine(form, cov_type, model), log_evidence, np.array(mean), np.array(std)))
    return out


def compared(case: Case, n_live: int, seed: int) -> tuple[list[Verdict], tuple[str, ...]]:
    """A case by quadrature, dynesty and emcee: four verdicts, and a row of the table."""
    problem = Problem(case.engine, _priors(case.engine), name=case.name)
    nested = sample(problem, Dynesty(n_live=n_live), seed=seed, progress=False)
    chain = sample(problem, Emcee(n_walkers=32), seed=seed, progress=False)
    log_evidence, mean, std = quadrature(case.engine)
    off = max(abs(log_evidence - case.log_evidence), float(np.abs([*(mean - case.mean), *(std - case.std)]).max()))
    detail = "ln Z, means, standard deviations: largest distance from the stored figures; bound 1e-5"
    out = [Verdict(f"{case.name}: quadrature", off, None, 1 + 2 * len(mean), off < 1e-5, detail)]
    assert nested.log_evidence is not None
    assert nested.log_evidence_error is not None
    gap, error = nested.log_evidence - case.log_evidence, nested.log_evidence_error
    detail = f"ln Z {nested.log_evidence:.3f} +- {error:.3f}, expected {case.log_evidence:.3f}; bounds 3 errors and .15"
    out.append(Verdict(f"{case.name}: dynesty", gap, None, 1, abs(gap) <= min(3.0 * error, 0.15), detail))
    moved, ratio = (chain.mean() - case.mean) / case.mean, chain.std() / case.std - 1.0
    worst = float(np.abs([*moved, *ratio]).max())
    detail = "means and standard deviations: largest relative distance from the stored figures; bound 5 %"
    out.append(Verdict(f"{case.name}: emcee", worst, None, len(chain.samples), worst < 0.05, detail))
    out.append(_agreement(case.name, nested, chain))
    text = [f"{posterior.mean()[0]:.3f} +- {posterior.std()[0]:.3f}" for posterior in (nested, chain)]
    row = (case.name, f"{case.log_evidence:.3f}", f"{nested.log_evidence:.3f} +- {error:.3f}", f"{case.mean[0]:.3f} +- {case.std[0]:.3f}")
    return out, (*row, *text)


def _agreement(name: str, first: Posterior, second: Posterior) -> Verdict:
    """Means of two samplers in their combined Monte Carlo errors."""
    error = np.sqrt(first.std() ** 2 / first.ess + second.std() ** 2 / second.ess)
    worst = float(np.abs((first.mean() - second.mean()) / error).max())
    return Verdict(f"{name}: dynesty = emcee", worst, None, 2, worst < 4.0, "difference of means in combined errors; bound 4")


def bayes_factors(n_live: int, seed: int) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """No effect, shift, and location and scale over one statistic: ln B by dynesty beside the closed form, in either form."""
    verdicts: list[Verdict] = []
    rows: list[tuple[str, ...]] = []
    for form, cov_type in (("Gaussian", "HC0"), ("t", "HC2")):
        engines = {model: stored_engine(form, cov_type, model) for model in ("shift", "location_scale")}
        null = engines["shift"].log_likelihood_null()
        if form == "Gaussian":
            verdicts.append(Verdict("no effect: ln L", null, None, 1, abs(null - NULL) < 1e-6, f"expected {NULL}; bound 1e-6"))
        exact = {model: quadrature(engine)[0] for model, engine in engines.items()}
        rows.append((f"{form}, {cov_type}", "none", f"{null:.3f}", f"{null:.3f}", "0"))
        worst, keys = 0.0, {engine.comparison_key() for engine in engines.values()}
        for model, engine in engines.items():
            found = sample(Problem(engine, _priors(engine), name=model), Dynesty(n_live=n_live), seed=seed, progress=False)
            assert found.log_evidence is not None
            assert found.log_evidence_error is not None
            worst = max(worst, abs(found.log_evidence - exact[model]) / found.log_evidence_error)
            text = f"{found.log_evidence:.3f} +- {found.log_evidence_error:.3f}"
            rows.append((f"{form}, {cov_type}", model, f"{exact[model]:.3f}", text, f"{exact[model] - null:+.3f}"))
        detail = f"ln B by dynesty less by quadrature, in errors; bound 3; {len(keys)} comparison key"
        verdicts.append(Verdict(f"Bayes factors, {form}", worst, None, 2, worst < 3.0 and len(keys) == 1, detail))
    return verdicts, rows


# ---- coverage of the two forms ----


def _below_truth(engine: R3DEffectEngine) -> float:
    """Posterior probability of a shift below the truth, over any other parameter."""
    log_density = _log_posterior(engine, [_DELTA, _GAMMA][: len(engine.parameters)])
    density = np.exp(log_density - log_density.max())
    marginal = density if density.ndim == 1 else density.sum(axis=1)
    share = np.cumsum(marginal) / marginal.sum()
    return float(np.interp(_TRUTH, _DELTA, share - 0.5 * marginal / marginal.sum()))


def shape_replica(seed: int, n: int, n_i: int, h: float) -> dict[str, bool]:
    """One data set of the first design at a given bandwidth: does each 95 % interval of the shift hold the truth, 1?"""
    data = dgp1(n, n_i, _TRUTH, generator(seed, "r3d/shape"))
    fit = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES)).fit(h)
    out = {}
    for d, q in LENGTHS.items():
        for name, (model, likelihood, cov_type) in FORMS.items():
            if likelihood == "t" and not fit.nu_eff + 1.0 > d:
                continue  # no t of so many entries
            engine = fit.to_engine(model, q=q, likelihood=likelihood, cov_type=cov_type)
            out[f"{name}, d = {d}"] = 0.025 <= _below_truth(engine) <= 0.975
    return out


def interval_rows(found: list[dict[str, bool]], design: str) -> list[tuple[str, ...]]:
    """Rows of the coverage table, one for each d."""

    def cell(key: str) -> str:
        flags = [one[key] for one in found if key in one]
        missing = len(found) - len(flags)
        return (rate(flags) if flags else "-") + (f" ({missing} without)" if missing else "")

    return [(design, str(d), *(cell(f"{name}, d = {d}") for name in FORMS)) for d in LENGTHS]


# ---- from raw data ----


def pipeline_engine(seed: int, n: int, n_i: int) -> tuple[R3DEffectEngine, float]:
    """Raw data of the first design with a shift drawn from `PIPELINE_PRIOR`, fitted: the likelihood on five levels, and the truth."""
    rng = generator(seed, "r3d/pipeline")
    delta: Any = PIPELINE_PRIOR.ppf(rng.uniform())
    data = dgp1(n, n_i, float(delta), rng)
    return R3D(data.x, data.outcomes).fit().to_engine("shift"), float(delta)
