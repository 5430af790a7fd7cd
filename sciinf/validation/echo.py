"""The echo suite: the likelihood against an oracle, evidence by quadrature, calibration, injections, benchmarks, real noise, faults."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciinf.calibration import coverage, sbc
from sciinf.calibration.controls import broken
from sciinf.calibration.injections import Campaign, campaign
from sciinf.calibration.verdict import Verdict
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.plots import background_histogram, spectrum_with_teeth
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty
from sciinf.validation import echo_checks as checks
from sciinf.validation import echo_controls as controls
from sciinf.validation import echo_evidence as evidence
from sciinf.validation import echo_figures as figures
from sciinf.validation import echo_hard
from sciinf.validation import echo_runs as runs
from sciinf.validation import echo_waveforms as waveforms
from sciinf.validation.echo_checks import SCAN_ROWS, Phase
from sciinf.validation.echo_event import GW150914
from sciinf.validation.echo_scale import FULL, LONG, QUICK, Scale
from sciinf.validation.suite import Recorder, SuiteResult, Tier, check_tier, quiet_samplers

__all__ = ["ENVIRONMENT_VARIABLE", "FULL", "LONG", "QUICK", "Scale", "run"]

ENVIRONMENT_VARIABLE = "SCIINF_ECHO_DATA"
"""Folder with ``strain/``, ``benchmarks/`` and ``psd/``: the published files, which are not distributed with the package."""

_SEED = 20230802
_DESIGN = "psd/aLIGO_ZERO_DET_high_P_psd.txt"


def calibration_problem(phase: Phase, low: float = 0.0) -> Problem:
    """About ten teeth at T = 4 s, U(low, 0.13) for the amplitude: SNR up to 15, from prior-dominated replicas to needles."""
    data = checks.noise(4.0, generator(_SEED, "calibration"))
    engine = EchoSearch(data, phase=phase, amplitude=Uniform(low, 0.13), band=(50.0, 110.0))
    members = [
        Parameter("spacing", Uniform(5.0, 7.0)),
        Parameter("offset", Uniform(0.0, 1.0), periodic=True),
        Parameter("width", LogUniform(0.25, 1.0)),
    ]
    return Problem(engine, PriorSet(members), name=f"comb, {phase}")


@dataclass
class _Suite:
    """One run of the suite."""

    scale: Scale
    record: Recorder
    workers: Workers
    data: Path | None

    def likelihood(self) -> None:
        """What needs no sampler."""
        design = None if self.data is None or not (self.data / _DESIGN).exists() else Psd.from_psd_file(self.data / _DESIGN)
        with self.record.part("oracle"):
            self.record.add(*checks.oracle(self.scale.draws, self.scale.durations, _SEED, design))
            self.record.add(*checks.network_identity(self.scale.draws, _SEED), *checks.knife_edges(_SEED), *checks.snr_columns())
        with self.record.part("amplitude scan"):
            rows = tuple(SCAN_ROWS)[: self.scale.scan_rows]
            rows = rows if self.scale.scan_rows > 2 else ((0.1, 4), (0.2, 50))
            verdicts, lines = checks.amplitude_scan(self.scale.scan_seeds, rows, _SEED)
            self.record.add(*verdicts)
            self.record.table("Largest ln L over A, mean over seeds", ("comb", "found", "independent code, 1,000 seeds", "z"), lines)
        if self.data is not None and (self.data / "benchmarks").is_dir():
            self.record.add(checks.reader(self.data), checks.reader(self.data, "reference"))
        else:
            self.record.skip("waveform reader", f"no published waveforms: set {ENVIRONMENT_VARIABLE}")

    def controls(self) -> None:
        """Faults that need no campaign."""
        with self.record.part("controls"):
            n = min(self.scale.draws, 50)
            for name, wrong in (
                ("oracle without rho^2/2", controls.without_the_norm),
                ("labels shifted by half a tooth", controls.half_a_tooth),
            ):
                found = [v for v in checks.oracle(n, (4,), _SEED, None, wrong) if "mode" in v.name]
                self.record.add_renamed(name, found, expect_failure=True)
            data = checks.noise(12.0, generator(_SEED, "level"))
            self.record.add(controls.level(data, 1.0, 600, 4069))
            self.record.add_renamed("two-sided PSD", [controls.level(data, 0.5, 600, 4069)], expect_failure=True)
            if self.scale.scan_seeds >= 200:
                wrong_scan = checks.amplitude_scan(50, ((0.1, 4),), _SEED, 0.5)[0]
                self.record.add_renamed("amplitude scan, two-sided PSD", wrong_scan, expect_failure=True)
            self.record.add(controls.data_sign(_SEED, False))
            self.record.add_renamed("data of the other sign", [controls.data_sign(_SEED, True)], expect_failure=True)
            for name, value, error, expected in controls.box_masses(1_000_000, _SEED):
                z = (value - expected) / max(error, 2e-3)  # the quoted figures have three digits
                detail = f"-ln of the share of the box inside the constraint {value:.4f}, expected {expected}; bound 4"
                self.record.add(Verdict(f"box, {name}", abs(z), None, 1_000_000, abs(z) < 4.0, detail))
            if self.data is not None and (self.data / "benchmarks").is_dir():
                self.record.add_renamed("reference pairing", [checks.reader(self.data, "exact", "reference")], expect_failure=True)

    def evidence(self) -> None:
        """ln Z by quadrature beside dynesty, and what the test must find."""
        count, phases, points, seeds = self.scale.evidence
        if not count:
            self.record.skip("evidence", "in another tier")
            return
        with self.record.part("evidence"):
            lines: list[tuple[str, ...]] = []
            found = evidence.cases(phases, count, _SEED)
            values = []
            for case in found:
                verdicts, rows, value = evidence.compared(case, self.scale.n_live, points, _SEED, self.workers)
                self.record.add(*verdicts)
                lines += rows
                values.append(value)
            self.record.table("ln Z", ("comb", "amplitude", "found", "quadrature", "z"), lines)
            if seeds:
                self.record.add(evidence.seed_scatter(found[0], values[0], self.scale.n_live, seeds, _SEED, self.workers))
            if self.scale.controls:
                right, boxes = controls.boxes(_SEED, 500, 400_000)
                self.record.add(*right)
                for name, wrong in boxes:
                    self.record.add_renamed(name, [wrong], expect_failure=True)
                value, error = controls.from_the_scan(found[0].marginalised, self.scale.n_live, _SEED)
                wrong = controls.agreeing("evidence", value, error, values[0])
                self.record.add_renamed("live points from a scan", [wrong], expect_failure=True)
        if not self.scale.needle:
            self.record.skip("evidence over the whole prior", "in --full and --long")
            return
        with self.record.part("evidence over the whole prior"):
            folder = self.record.folder("whole-prior")
            verdicts, lines = evidence.whole_prior(self.scale.needle, self.scale.nested_needle, _SEED, self.workers, folder)
            self.record.add(*verdicts)
            heads = ("how", "seeds", "mean ln B", "scatter over seeds", "stated error")
            self.record.table("Published comb at T = 12 s, mode, over the whole prior", heads, lines)

    def calibration(self) -> None:
        """Ranks of the truths, by phase; coverage; and the faults on the same or on new replicas."""
        for phase, replicas in self.scale.replicas.items():
            problem = calibration_problem(phase)
            result = self._campaign(f"sbc-{phase}", problem, replicas)
            self.record.add_renamed(f"SBC, {phase}", sbc.test(result.ranks, result.names).verdicts)
            self.record.add_renamed(f"coverage, {phase}", [coverage.test(result.ranks, result.names).verdict])
            if self.record.directory:
                self.record.figure(f"sbc-{phase}", sbc.plot(result.ranks, result.names))
                self.record.figure(f"ranks-{phase}", figures.rank_histograms(result.ranks, result.names))
            if phase == "mode" and self.scale.controls:
                first = result.names.index("spacing")
                moved = broken(result, shift=1.0)
                self.record.add_renamed(
                    "spacing moved by one sd", sbc.test(moved.ranks[:, [first]], ["spacing"]).verdicts, expect_failure=True
                )
        for factor, count in ((2.56, self.scale.controls), (1.69, self.scale.wide_controls)):
            if not count:
                self.record.skip(f"SBC with {factor} times the PSD", "in another tier")
                continue
            right = calibration_problem("mode", 0.07)  # SNR 8 to 15: others dilute the fault
            engine = right.engine
            assert isinstance(engine, EchoSearch)
            wrong = Problem(controls.WrongNoise(engine, factor), right.priors, name=f"PSD x {factor}")
            found = self._campaign(f"sbc-psd-{factor}", wrong, count)
            self.record.add_renamed(f"PSD x {factor}", sbc.test(found.ranks, found.names).verdicts, expect_failure=True)

    def _campaign(self, name: str, problem: Problem, replicas: int) -> Campaign:
        with self.record.part(name):
            settings = Dynesty(n_live=300) if replicas > 30 else Dynesty(n_live=250, walks=25)  # a smoke test: 3 dimensions, no funnel
            return campaign(problem, replicas, _SEED, settings, workers=self.workers, directory=self.record.folder(name))

    def searches(self) -> None:
        """Injections, two samplers, benchmarks and the network."""
        folder, n_live = self.record.folder("searches"), self.scale.n_live
        lines = []
        found: dict[tuple[int, Phase], runs.Injections] = {}
        for duration, phase, combs, quiet in self.scale.injections:
            with self.record.part(f"injections, T = {duration}, {phase}"):
                one = found[duration, phase] = runs.injections(duration, phase, combs, quiet, n_live, _SEED, self.workers, folder)
                self.record.add(*one.verdicts() if duration == 12 else [])
                lines.append(one.row())
        heads = ("T", "phase", "seeds", "ln B", "published", "best ln L", "published", "ln B of noise: mean, max", "published")
        self.record.table("Published comb, SNR 16.3 at T = 12 s; medians with 16th and 84th percentile", heads, lines)
        self._bars_of_long(found)
        if found and self.record.directory:
            self.record.figure("evidence-by-duration", figures.evidence_by_duration(tuple(found.values())))
            shown = found.get((12, "mode"), next(iter(found.values())))
            for name, figure in figures.search_pictures(*shown.first).items():
                self.record.figure(f"comb-{shown.duration}-{shown.phase}-{name}", figure)
        for i in range(self.scale.samplers):
            with self.record.part(f"two samplers {i + 1}"):
                self.record.add(*runs.two_samplers(_SEED, i))
        self._benchmarks(folder)
        if self.scale.pairs:
            with self.record.part("network"):
                self.record.add(*runs.network(self.scale.pairs, n_live, _SEED, self.workers))
        else:
            self.record.skip("network injections", "in --full and --long")

    def _benchmarks(self, folder: Path | None) -> None:
        """The four waveforms, noise alone, and where it was run the share of the waveforms above it."""
        n_live, found = self.scale.n_live, []
        quiet_rows: list[tuple[str, ...]] = []
        for families, n_echoes, count, phases in self.scale.benchmarks:
            with self.record.part(f"benchmarks, N = {n_echoes}"):
                quiet = {}
                for phase in phases if self.scale.quiet else ():
                    quiet[phase], row = waveforms.waveform_noise(n_echoes, self.scale.quiet, phase, n_live, _SEED, self.workers, folder)
                    quiet_rows.append(row)
                found += waveforms.benchmarks(
                    families, n_echoes, count, phases, n_live, _SEED, self.workers, folder, self.data, quiet,
                    scanned=n_echoes in self.scale.scanned,
                )  # fmt: skip
        self.record.add(*(one.verdict() for one in found if one.scans), *waveforms.bars(found))
        if self.data is not None and any(one.source == "file" for one in found):
            self.record.add(*waveforms.beside_the_files(found, self.data))
        self.record.table("Benchmarks: medians with 16th and 84th percentile", waveforms.HEADS, [one.row() for one in found])
        if quiet_rows:
            heads = ("N", "phase", "runs", "ln B: median, largest", "published")
            self.record.table("Noise alone, searched as the benchmarks are", heads, quiet_rows)
        if self.record.directory:
            for one in found:
                problem, theta = one.first
                assert isinstance(problem.engine, EchoSearch)
                name = f"benchmark-{one.family.replace('_', '-')}-{one.n_echoes}-{one.phase}"
                self.record.figure(name, spectrum_with_teeth(problem.engine, problem.engine_theta(theta)))

    def _bars_of_long(self, found: dict[tuple[int, Phase], runs.Injections]) -> None:
        """Medians and differences that need twenty seeds."""
        bounds: dict[Phase, tuple[float, float]] = {"mode": (42.0, 63.0), "bin": (12.0, 31.0)}
        for phase, (low, high) in bounds.items():
            one = found.get((12, phase))
            if one is None or len(one.best) < 20:
                return
            median = float(np.median(one.with_comb.log_evidence))
            self.record.add(Verdict(f"T = 12, {phase}: median ln B", median, None, 20, low <= median <= high, f"bounds {low:g}, {high:g}"))
        for duration in (12, 1):
            gap = float(np.median(found[duration, "mode"].with_comb.log_evidence - found[duration, "bin"].with_comb.log_evidence))
            passed = gap > 15.0 if duration == 12 else abs(gap) < 6.0
            detail = "median ln B of mode less that of bin; bound > 15 at T = 12, of size < 6 at T = 1"
            self.record.add(Verdict(f"T = {duration}: mode against bin", gap, None, 20, passed, detail))
        quiet = found[12, "mode"].noise_only
        if quiet is not None:
            mean = float(quiet.log_evidence.mean())
            self.record.add(Verdict("T = 12, mode: noise", mean, None, len(quiet), abs(mean + 5.3) < 0.3, "mean ln B; bound -5.3 +- 0.3"))

    def hard_sets(self) -> None:
        """Searches that are easily missed, against exhaustive scans."""
        if not self.scale.hard:
            self.record.skip("hard sets", "ten hours of scans: in --long")
            return
        rows = []
        for name in echo_hard.SETS:
            with self.record.part(name):
                verdicts, row = echo_hard.hard_set(name, self.scale.hard, 1000, _SEED, self.workers, self.record.folder("hard"), self.data)
                self.record.add(*verdicts)
                rows.append(row)
        self.record.table(
            "Hard sets",
            ("set", "search", "most missing, ln L", "nested", "said so", "ln B nested, median", "ln B from the scan, median"),
            rows,
        )

    def real_noise(self) -> None:
        """Slides of GW150914."""
        if self.data is None or not (self.data / "strain").is_dir():
            self.record.skip("GW150914", f"no strain: set {ENVIRONMENT_VARIABLE} to a folder with strain/H-H1_LOSC_4_V2-1126259446-32.hdf5")
            return
        rows: list[tuple[str, ...]] = []
        for duration, phase, n in self.scale.slides:
            with self.record.part(f"GW150914, T = {duration:g}, {phase}"):
                event = GW150914.read(self.data, duration)
                slides = event.slides(phase, n, 200, _SEED, self.workers, self.record.folder("slides"))
                self.record.add(*slides.verdicts())
                rows.append(slides.row())
                if self.record.directory:
                    figure = background_histogram(slides.on, slides.background, slides.p.p, slides.block)
                    self.record.figure(f"slides-{duration:g}-{phase}", figure)
        self.record.table("GW150914", ("T", "phase", "ln B on source", "largest slide", "p", "PSD level q"), rows)


def _folder() -> Path | None:
    """The folder with published files, where one is named."""
    value = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(value) if value and Path(value).is_dir() else None


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
        "quick": oracle, scan of the amplitude, one evidence by quadrature, one injection, a calibration smoke test; "full": all of the
        likelihood's settings, 300 calibration replicas, every slide of GW150914, controls with campaigns; "long": hundreds of searches.
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
    with Recorder("echo", tier, progress, directory, _SEED) as record, _pool(workers) as pool:
        suite = _Suite(scale, record, pool, _folder())
        suite.likelihood()
        suite.controls()
        suite.evidence()
        suite.calibration()
        suite.searches()
        suite.real_noise()
        suite.hard_sets()
    return record.result()
