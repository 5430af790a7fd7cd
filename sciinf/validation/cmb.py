"""The cmb suite: reference values, low-l EE, emulator, calibration of the hybrid, the real posterior, and faults that must be found."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sciinf.calibration import coverage, sbc
from sciinf.calibration.controls import broken
from sciinf.calibration.injections import Campaign, campaign
from sciinf.calibration.verdict import Verdict
from sciinf.core.errors import DataError
from sciinf.core.priors import Normal
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.cmb.component import A_PLANCK
from sciinf.engines.cmb.data import PlanckFiles, planck_data
from sciinf.engines.cmb.identity import compare, reference_spectra
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.presets import planck2018
from sciinf.engines.cmb.simulate import write_lookalike
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Emcee
from sciinf.validation import cmb_checks as checks
from sciinf.validation import cmb_controls as controls
from sciinf.validation.cmb_posterior import planck2018_posteriors
from sciinf.validation.suite import Recorder, SuiteResult, Tier, check_tier, quiet_samplers

__all__ = ["FULL", "LONG", "QUICK", "Scale", "run"]

_SEED = 20180717
_FOUR = ("plik_lite", "low_tt_bins", "low_ee", "lensing")
_REFERENCES = ("bf_pol", "bf_TT", "mean_TTTEEE_lowE")
_SBC = Emcee(n_walkers=64, moves="de", tau_multiple=20)
_WITHOUT_A = "A_planck's ranks are reported apart"


@dataclass(frozen=True)
class Scale:
    """How much a tier runs.

    Parameters
    ----------
    replicas : int
        Of the calibration campaign of the hybrid.
    tables : int
        Simulated low-l EE tables.
    mocks : int
        Data sets of the chi2 controls; 0 skips them.
    posterior : bool
        Whether the real posteriors run.
    campaigns : bool
        Whether the controls that need campaigns of their own run.
    exact : int
        Points of the headline posterior that CAMB evaluates.
    """

    replicas: int
    tables: int
    mocks: int
    posterior: bool
    campaigns: bool
    exact: int = 0


QUICK = Scale(30, 300, 0, False, False)
FULL = Scale(300, 300, 300, True, False)
LONG = Scale(300, 1000, 1000, True, True, 200)


@dataclass
class _Suite:
    """One run of the suite."""

    scale: Scale
    record: Recorder
    workers: Workers
    mock: PlanckFiles
    real: PlanckFiles | None

    def identity(self) -> None:
        """Reference cells on the real files; identities on look-alike data."""
        with self.record.part("identity"):
            if self.real is not None:
                table = compare(self.real, {name: reference_spectra(name) for name in _REFERENCES})
                self.record.add(*checks.reference_table(table))
                rows = [(c.spectrum, c.selection, f"{c.found:.6f}", f"{c.expected:.6f}", f"{c.difference:+.1e}") for c in table.cells]
                self.record.table(f"chi2 on {table.source}", ("spectrum", "selection", "found", "expected", "difference"), rows)
            engine = planck2018(_FOUR, data=self.mock)
            self.record.add(*checks.identities(engine.components), *checks.lookalike_selections(self.mock))

    def simall(self) -> None:
        """Calibration of an amplitude with simulated low-l EE tables, its control, and the effect of the table's step."""
        with self.record.part("simall"):
            component = self.mock.low_ee()
            self.record.add(checks.amplitude_ranks(component, self.scale.tables, _SEED))
            wrong = checks.amplitude_ranks(component, self.scale.tables, _SEED, width=2.0)
            self.record.add_renamed("simall, width x 2", [wrong], expect_failure=True)
            found = checks.step_study(component, self.scale.tables, _SEED)
            rows = [(f"{item.step:g}", f"{item.mean_shift:.4f}", f"{item.width_ratio:.4f}") for item in found]
            self.record.table("Step of the low-l EE table", ("step, muK^2", "rms shift of the mean, sigma", "width / exact"), rows)
            shift = found[0].mean_shift
            detail = "rms shift of an amplitude's mean against the exact density, sigma; bound 0.05"
            self.record.add(Verdict("simall: step 1e-4", shift, None, self.scale.tables, shift < 0.05, detail))

    def emulator(self) -> None:
        """Emulator against stored CAMB spectra."""
        with self.record.part("emulator"):
            verdicts, rows = checks.emulator(self.real or self.mock)
            self.record.add(*verdicts)
            source = "real data" if self.real is not None else "look-alike data"
            header = ("spectrum", "plik_lite", "low_tt_bins", "lensing", "low_ee (linear)")
            self.record.table(f"Emulator minus CAMB, delta chi2 on {source}", header, rows)
            verdicts, rows = checks.stored_errors()
            self.record.add(*verdicts)
            self.record.table("Test points of the weights file", ("set", "n", "median", "largest", "largest, low EE"), rows)

    def replicas(self, name: str, problem: Problem) -> Campaign:
        """A calibration campaign: truths from the prior, every block simulated, sampled with emcee on the compressed form."""
        with self.record.part(f"SBC, {name}"):
            folder = self.record.folder(f"sbc-{name.replace(' ', '-')}")
            return campaign(problem, self.scale.replicas, _SEED, _SBC, workers=self.workers, directory=folder)

    def calibration(self) -> None:
        """Calibration of the hybrid, with controls on the same campaign's draws where it is large enough."""
        engine = planck2018(_FOUR, data=self.mock)
        problem = Problem(engine, engine.default_priors(), name="hybrid")
        healthy = self.replicas("hybrid", problem)
        figure = self.record.figure("sbc-hybrid", sbc.plot(healthy.ranks, healthy.names)) if self.record.directory else ""
        if self.record.directory:
            self.record.figure("coverage-hybrid", coverage.plot(healthy.ranks, healthy.names))
        self._test_ranks("hybrid", healthy)
        self.record.add_renamed("hybrid", [coverage.test(healthy.ranks, healthy.names).verdict])
        self.record.add_renamed("hybrid", coverage.tarp(healthy.draws, healthy.theta, generator(_SEED, "tarp")).verdicts)
        rows = [_row("healthy", healthy)]
        if self.scale.replicas < 300:
            self.record.skip("controls on the campaign", f"{self.scale.replicas} replicas are a smoke test; they need 300 (--full)")
        else:
            for label, result in {"width x 1.3": broken(healthy, width=1.3), "shift 0.5 sigma": broken(healthy, shift=0.5)}.items():
                self._test_ranks(f"hybrid, {label}", result, expect_failure=True)
                rows.append(_row(label, result))
            rows += self._campaign_controls(engine, problem, healthy)
        title = f"SBC of the hybrid, {self.scale.replicas} replicas{f' ({figure})' if figure else ''}; {_WITHOUT_A}"
        self.record.table(title, ("posterior", "mean z", "variance z", "A_planck mean z", "A_planck variance z"), rows)

    def _test_ranks(self, label: str, result: Campaign, *, expect_failure: bool = False) -> None:
        """Rank tests over the cosmological parameters, and over A_planck apart."""
        at = result.names.index(A_PLANCK)
        others = [i for i in range(len(result.names)) if i != at]
        found = sbc.test(result.ranks[:, others], [result.names[i] for i in others]).verdicts
        apart = sbc.test(result.ranks[:, [at]], [A_PLANCK]).verdicts
        self.record.add_renamed(label, found, expect_failure=expect_failure)
        self.record.add_renamed(f"{label}, {A_PLANCK}", apart, expect_failure=expect_failure)

    def _campaign_controls(self, engine: Hybrid, problem: Problem, healthy: Campaign) -> list[tuple[str, ...]]:
        """Controls that sample a broken problem anew."""
        if not self.scale.campaigns:
            self.record.skip("A_planck prior twice, SimAll dropped", "need campaigns of their own: they run in --long")
            return []
        twice = broken(problem, priors=problem.priors.replace(A_planck=Normal(1.0, 0.0025 / math.sqrt(2.0))))
        doubled = self.replicas("A_planck prior twice", twice)
        at = [doubled.names.index(A_PLANCK)]
        self.record.add_renamed("A_planck prior twice", sbc.test(doubled.ranks[:, at], [A_PLANCK]).verdicts, expect_failure=True)
        dropped = Hybrid(engine.theory, tuple(item for item in engine.components if item.name != "low_ee"))
        partial = self.replicas("SimAll dropped", Problem(controls.Mismatched(dropped, engine), problem.priors, name="SimAll dropped"))
        with self.record.part("ranks of ln L"):
            for label, result in (("hybrid", healthy), ("SimAll dropped", partial)):
                ranks = controls.data_ranks(result, problem, _SEED)
                self.record.add_renamed(label, sbc.test(ranks, ["ln L of all data"]).verdicts, expect_failure=result is partial)
        return [_row("A_planck prior twice", doubled), _row("SimAll dropped", partial)]

    def chi2_controls(self) -> None:
        """chi2 of mock data at their truth: right for each Gaussian component, wrong with a wrong covariance or calibration."""
        if not self.scale.mocks:
            self.record.skip("chi2 controls", "run in --full and --long")
            return
        with self.record.part("chi2 of mocks"):
            model, n, y = reference_spectra("bf_pol"), self.scale.mocks, 1.05
            plik, lensing = self.mock.plik_lite(), self.mock.lensing()
            mocks = controls.component_mocks(plik, model, 1.0, n, _SEED)
            chi2 = np.array([item.chi2(model, {A_PLANCK: 1.0}) for item in mocks])
            self.record.add(controls.mock_chi2("plik_lite: chi2 of mocks", chi2, plik.core.size))
            wide = controls.scaled_covariance(plik, 1.69)
            wrong = np.array([wide.with_data(item.core.data).chi2(model, {A_PLANCK: 1.0}) for item in mocks])
            verdict = controls.mock_chi2("plik_lite: covariance x 1.69", wrong, plik.core.size)
            self.record.add_renamed("plik_lite, covariance x 1.69", [verdict], expect_failure=True)
            draws = controls.component_mocks(lensing, model, y, n, _SEED)
            right = np.array([item.chi2(model, {A_PLANCK: y}) for item in draws])
            self.record.add(controls.mock_chi2("lensing: chi2 of mocks at A = 1.05", right, lensing.core.size))
            divided = np.array([controls.pp_divided(item, model, y) for item in draws])  # type: ignore[arg-type]
            verdict = controls.mock_chi2("lensing: PP divided by A^2", divided, lensing.core.size)
            self.record.add_renamed("lensing, PP divided by A^2", [verdict], expect_failure=True)

    def posterior(self) -> None:
        """The real posteriors."""
        if not self.scale.posterior:
            self.record.skip("planck2018", "the real posteriors run in --full and --long")
        elif self.real is None:
            self.record.skip("planck2018", 'no Planck files: pip install "sciinf[planck]"')
        else:
            planck2018_posteriors(self.record, self.real, self.scale.exact)


def _row(label: str, result: Campaign) -> tuple[str, ...]:
    """Largest rank-mean and rank-variance z over the cosmological parameters, and those of A_planck."""
    found, at = sbc.test(result.ranks, result.names), result.names.index(A_PLANCK)
    others = [i for i in range(len(result.names)) if i != at]
    largest = (np.abs(found.mean_z[others]).max(), np.abs(found.variance_z[others]).max(), found.mean_z[at], found.variance_z[at])
    return (label, *(f"{value:.2f}" for value in largest))


def _real_files(record: Recorder) -> PlanckFiles | None:
    """The real files where they are found and verified; else the reason is recorded."""
    try:
        files = planck_data()
        for component in _FOUR:
            files.check(component)
    except DataError as error:
        record.skip("parts on real data", str(error))
        return None
    return replace(files, allow_unknown_data=False)


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[Workers]:
    """One set of worker processes for all campaigns of the suite."""
    if workers == 1:
        yield 1
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=quiet_samplers) as executor:
        yield executor


def run(tier: Tier, *, workers: int = 1, progress: bool = True, directory: Path | None = None) -> SuiteResult:
    """Run a tier of the suite.

    Parameters
    ----------
    tier : {"quick", "full", "long"}
        "quick": reference table (real data where found), identities, low-l EE, emulator on stored spectra, a calibration smoke test of
        30; "full": calibration with 300 replicas and its controls, chi2 controls, the real posteriors with both samplers; "long": also
        the controls that need campaigns of their own, and 200 CAMB runs.
    workers : int
        Processes for independent runs.
    progress : bool
        Show a progress line on a terminal.
    directory : Path, optional
        Where campaigns leave their units (a suite that was cut off goes on from them) and figures go.

    Raises
    ------
    ConfigError
        If there is no such tier.
    """
    scale = {"quick": QUICK, "full": FULL, "long": LONG}[check_tier(tier)]
    with Recorder("cmb", tier, progress, directory, _SEED) as record, tempfile.TemporaryDirectory() as folder, _pool(workers) as pool:
        suite = _Suite(scale, record, pool, write_lookalike(folder, seed=1), _real_files(record))
        suite.identity()
        suite.simall()
        suite.emulator()
        suite.chi2_controls()
        suite.calibration()
        suite.posterior()
    record.skip("pixel, plik_style, commander", "not in this version")
    return record.result()
