"""The real Planck 2018 posterior: both samplers, published figures, hashes, exported chains, fit per component."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration.classifier import c2st, energy_test
from sciinf.calibration.verdict import Verdict
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.cmb import plots
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.importance import correct
from sciinf.engines.cmb.inference import BestFit, best_fit
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.presets import planck2018
from sciinf.engines.cmb.theory import CAMBTheory, Theory
from sciinf.results import export
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation.suite import Recorder

__all__ = ["COMBINATIONS", "against_published", "exact_theory", "exported", "planck2018_posteriors", "two_samplers"]

_SEED = 20180717
_BASE = ("plik_lite", "low_tt_bins", "low_ee")
COMBINATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "TT,TE,EE+lowE": (_BASE, ("TT", "TE", "EE")),
    "TT,TE,EE+lowE+lensing": ((*_BASE, "lensing"), ("TT", "TE", "EE")),
    "TT+lowE": (_BASE, ("TT",)),
}
_MEAN_LIMIT, _WIDTH_LIMIT = 0.2, 0.08  # of published figures that are goals, not exact: sigma; relative
_DRAWS = 1000
_SPECTRA_LIMIT, _LOW_EE_LIMIT = 0.15, 0.1  # |delta chi2| of the emulator: Gaussian components together; low-l EE


def against_published(label: str, posterior: Posterior, problem: Problem) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """Means within 0.2 sigma and widths within 8 % of the published ones, and the table of both."""
    references = problem.engine.reference_values()  # type: ignore[attr-defined]
    shifts, widths = [], []
    rows: list[tuple[str, ...]] = []
    for name, (mean, std, _) in references.items():
        values, weights = posterior.column(name), posterior.weights
        ours = float(weights @ values)
        width = float(np.sqrt(weights @ (values - ours) ** 2))
        shifts.append((ours - mean) / std)
        widths.append(width / std - 1.0)
        rows.append(
            (label, name, f"{ours:.6g}", f"{width:.2g}", f"{mean:.6g}", f"{std:.2g}", f"{shifts[-1]:+.2f}", f"{100 * widths[-1]:+.0f} %")
        )
    names = list(references)
    far, off = int(np.argmax(np.abs(shifts))), int(np.argmax(np.abs(widths)))
    verdicts = [
        Verdict(f"{label}: means", abs(shifts[far]), None, len(names), abs(shifts[far]) < _MEAN_LIMIT,
                f"largest shift from the published mean, {names[far]}, sigma; bound {_MEAN_LIMIT}"),
        Verdict(f"{label}: widths", abs(widths[off]), None, len(names), abs(widths[off]) < _WIDTH_LIMIT,
                f"largest relative difference from the published width, {names[off]}; bound {_WIDTH_LIMIT}"),
    ]  # fmt: skip
    return verdicts, rows


def _mean_errors(posterior: Posterior) -> NDArray[np.float64]:
    """Monte Carlo standard error of each mean, by the effective sample size."""
    return np.asarray(posterior.std() / np.sqrt(posterior.ess))


def two_samplers(label: str, one: Posterior, other: Posterior) -> list[Verdict]:
    """Two samplers on one Problem: means within 4 combined errors, energy distance, and a classifier where scikit-learn is installed."""
    z = (one.mean() - other.mean()) / np.hypot(_mean_errors(one), _mean_errors(other))
    worst = int(np.argmax(np.abs(z)))
    detail = f"largest difference of means over its error, {one.names[worst]}; bound 4"
    verdicts = [Verdict(f"{label}: means agree", abs(z[worst]), None, len(z), abs(z[worst]) < 4.0, detail)]
    a, b = (_independent(item, generator(_SEED, f"agree/{k}")) for k, item in enumerate((one, other)))
    scale = one.std()
    found = [energy_test(a / scale, b / scale, seed=_SEED)]
    if importlib.util.find_spec("sklearn") is not None:
        found.append(c2st(a / scale, b / scale, seed=_SEED))
    return verdicts + [Verdict(f"{label}: {v.name}", v.statistic, v.p, v.n, v.passed, v.detail) for v in found]


def _independent(posterior: Posterior, rng: np.random.Generator) -> NDArray[np.float64]:
    """About independent, equally weighted draws, as many as both kinds of run can give."""
    size = min(_DRAWS, int(posterior.ess))
    if posterior.is_mcmc:
        return posterior.samples[rng.choice(len(posterior), size=size, replace=False)]
    return posterior.samples[rng.choice(len(posterior), size=size, p=posterior.weights)]


def exported(label: str, posterior: Posterior) -> Verdict:
    """Means of the exported GetDist files, read back with getdist, against ours; in units of the posterior's width."""
    import getdist

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):  # getdist prints what it loads
        root = Path(folder) / "chain"
        export.write_getdist(posterior, root)
        chains = getdist.loadMCSamples(str(root), no_cache=True, settings={"ignore_rows": 0})
        means = np.array([chains.mean(name) for name in posterior.names])
    gap = float(np.max(np.abs(means - posterior.mean()) / posterior.std()))
    return Verdict(f"{label}: GetDist files", gap, None, posterior.n_dim, gap < 1e-4, "largest difference of means, sigma; bound 1e-4")


def fit_per_spectrum(label: str, problem: Problem, found: BestFit) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """chi2 of the best fit by component, with p-values of the Gaussian ones: a model that does not fit shows here."""
    verdicts: list[Verdict] = []
    rows: list[tuple[str, ...]] = []
    for name, value in found.breakdown.items():
        core = getattr(problem.engine.component(name), "core", None)  # type: ignore[attr-defined]
        if core is None:
            rows.append((label, name, f"{value:.2f}", "", ""))
            continue
        p = float(stats.chi2.sf(value, core.size))
        rows.append((label, name, f"{value:.2f}", str(core.size), f"{p:.2f}"))
        verdicts.append(Verdict(f"{label}: fit of {name}", value, p, core.size, p > 1e-3, "chi2 at the best fit"))
    converged = f"chi2 {found.chi2:.2f}"
    verdicts.append(Verdict(f"{label}: best fit converged", found.chi2, None, 1, found.converged, converged))
    return verdicts, rows


def _same_hash(problem: Problem, settings: Emcee, posterior: Posterior) -> Verdict:
    """The same seed on two workers gives the same content hash."""
    other = sample(problem, settings, seed=_SEED, workers=2, progress=False)
    same = other.content_hash() == posterior.content_hash()
    return Verdict("headline: same hash at 1 and 2 workers", float(same), None, 2, same, posterior.content_hash()[:16])


def exact_theory(problem: Problem, posterior: Posterior, theory: Theory, n: int) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """``n`` fresh points of the posterior with the exact theory: differences of chi2, and what the importance correction moves."""
    engine: Hybrid = problem.engine  # type: ignore[assignment]
    smooth = engine.smooth()
    found = correct(posterior, smooth, theory, n, seed=_SEED)
    largest = float(2.0 * np.max(np.abs(found.log_ratio)))
    limit = _SPECTRA_LIMIT + _LOW_EE_LIMIT
    far = max(found.shifts, key=lambda name: abs(found.shifts[name]))
    verdicts = [
        Verdict("emulator: fresh points", largest, None, n, largest < limit, f"largest |delta chi2|, linear low EE too; bound {limit:g}"),
        Verdict("importance: effective fraction", found.effective_fraction, None, n, found.effective_fraction > 0.8, "bound 0.8"),
        Verdict("importance: shifts", abs(found.shifts[far]), None, n, abs(found.shifts[far]) < 0.1, f"largest, {far}, sigma; bound 0.1"),
    ]
    return verdicts, [(name, f"{shift:+.4f}") for name, shift in found.shifts.items()]


def _exact(record: Recorder, problem: Problem, posterior: Posterior, n: int) -> None:
    """Importance correction of the headline posterior by CAMB."""
    if not n:
        record.skip("importance correction by CAMB", "hundreds of CAMB runs: in --long")
    elif importlib.util.find_spec("camb") is None:
        record.skip("importance correction by CAMB", 'camb is not installed: pip install "sciinf[cmb]"')
    else:
        with record.part(f"{n} points by CAMB"):
            verdicts, rows = exact_theory(problem, posterior, CAMBTheory(), n)
            record.add(*verdicts)
            record.table(f"Shift of the headline's means by CAMB, {n} points", ("parameter", "shift, sigma"), rows)


def planck2018_posteriors(record: Recorder, files: PlanckFiles, n_exact: int = 0) -> None:
    """Every combination with emcee; the headline also with dynesty, on two workers, exported and read back, and by CAMB."""
    settings = Emcee(n_walkers=64)
    published: list[tuple[str, ...]] = []
    fits: list[tuple[str, ...]] = []
    for label, (components, spectra) in COMBINATIONS.items():
        with record.part(f"posterior of {label}"):
            engine = planck2018(components, spectra, data=files)
            problem = Problem(engine, engine.default_priors(), name=label)
            posterior = sample(problem, settings, seed=_SEED, progress=False)
            verdicts, rows = against_published(label, posterior, problem)
            record.add(*verdicts)
            published += rows
            found = best_fit(problem, _SEED, n_starts=2)
            verdicts, rows = fit_per_spectrum(label, problem, found)
            record.add(*verdicts)
            fits += rows
            record.figure(f"residuals-{label.replace(',', '')}", plots.residuals(engine, problem.engine_theta(found.theta)))
        if label == "TT,TE,EE+lowE":
            _headline(record, problem, settings, posterior)
            _exact(record, problem, posterior, n_exact)
    header = ("data", "parameter", "mean", "std", "published", "std", "shift", "width")
    record.table("Against Planck 2018 VI, table 2 (low-l TT is two Gaussian bins here, Commander there)", header, published)
    record.table("chi2 at the best fit", ("data", "component", "chi2", "data points", "p"), fits)


def _headline(record: Recorder, problem: Problem, settings: Emcee, posterior: Posterior) -> None:
    """What is checked on the headline posterior alone."""
    with record.part("headline on two workers"):
        record.add(_same_hash(problem, settings, posterior))
    if importlib.util.find_spec("getdist") is None:
        record.skip("GetDist files read back", "getdist is not installed (extra `getdist`)")
    else:
        record.add(exported("headline", posterior))
    with record.part("headline by dynesty"):
        nested = sample(problem, Dynesty(n_live=400), seed=_SEED, progress=False)
        record.add(*two_samplers("headline, emcee = dynesty", posterior, nested))
        error = f"ln Z = {nested.log_evidence:.2f} +- {nested.log_evidence_error:.2f}"
        record.table(
            "Evidence of the headline run (dynesty, 400 live points)", ("ln Z", "calls"), [(error, str(nested.meta["counts"]["calls"]))]
        )
