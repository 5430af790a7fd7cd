"""The spine's suite: samplers against problems with known answers, hashes, kills, and calibration with its negative controls."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sciinf.calibration import coverage, sbc
from sciinf.calibration.analytic import AnalyticProblem, analytic_problem, line
from sciinf.calibration.controls import broken
from sciinf.calibration.injections import Campaign, campaign, campaign_over
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty, Emcee, Settings
from sciinf.validation import spine_checks as checks
from sciinf.validation.spine_kills import HEADER as KILLS_HEADER
from sciinf.validation.spine_kills import KillReport, can_fork, killed_and_resumed
from sciinf.validation.spine_runs import dask_workers, same_hash
from sciinf.validation.suite import Recorder, SuiteResult, Tier, check_tier, quiet_samplers

__all__ = ["FULL", "LONG", "QUICK", "SEED", "Scale", "kill_reports", "run"]

SEED = 20180717
"""Master seed of every part."""
_ALL = ("gauss3", "gauss10", "eggbox", "shells4", "funnel5", "hole", "plateau", "prior")
_HEADER = ("run", "log Z", "mean shift", "scatter", "stated", "mean pull", "rms pull", "ESS", "calls")
_SBC = Emcee(n_walkers=32, moves="de")
_MCMC = Emcee(n_walkers=32, engine="emcee")
_TO_KILL: dict[str, tuple[str, Settings]] = {
    "dynesty static": ("hole", Dynesty(n_live=50, walks=10, engine="dynesty")),
    "emcee": ("hole", Emcee(n_walkers=32, n_steps=1000, tau_multiple=5, engine="emcee")),
    "compiled nested": ("gauss10", Dynesty(n_live=400, engine="compiled")),
    "compiled stretch": ("gauss10", Emcee(n_walkers=32, n_steps=8000, tau_multiple=5, burn=0, thin=10, engine="compiled")),
    "compiled proposals": ("hole", Dynesty(n_live=100, walks=10, bound="balls", engine="compiled")),
}
_DRAWS = 40  # per seed, for the comparison of samplers
_LEAST_DRAWS = 400  # of a sampler, for the two-sample tests: ten seeds


@dataclass(frozen=True)
class Scale:
    """How much a tier runs.

    Parameters
    ----------
    static, dynamic, compiled : tuple of str
        Problems for dynesty's static and dynamic samplers, and for the compiled nested loop.
    mcmc : tuple of str
        Problems for emcee.
    seeds : int
        Per problem and sampler.
    n_live : int
        Of the static runs.
    n_effective : int or None
        Effective samples of the dynamic runs; None for dynesty's own 10,000.
    workers : tuple of int
        Numbers of workers whose hashes must agree.
    kills : int
        At random moments, per sampler, beside those at every step of a write; 0 skips them.
    replicas : int
        Of the calibration campaigns.
    controls : bool
        Whether to run the negative controls (they need 300 replicas to fail for certain).
    dask : bool
        Whether the hash must be the same through a Dask cluster on this machine too.
    dynamic_engine : {"auto", "dynesty"}
        Whether the dynamic runs take compiled proposals where they can, as users' do, or dynesty as it is.
    sample_controls : bool
        Whether the wrong width and shift are sampled too, not only applied to the healthy campaign's draws.
    """

    static: tuple[str, ...]
    dynamic: tuple[str, ...]
    compiled: tuple[str, ...]
    mcmc: tuple[str, ...]
    seeds: int
    n_live: int
    n_effective: int | None
    workers: tuple[int, ...]
    kills: int
    replicas: int
    controls: bool
    dask: bool
    dynamic_engine: Literal["auto", "dynesty"] = "auto"
    sample_controls: bool = False


QUICK = Scale(("gauss3", "hole", "prior"), (), ("gauss3", "hole", "prior"), (), 1, 60, None, (1, 2), 0, 30, False, False)
FULL = Scale(_ALL, _ALL, _ALL, ("gauss3", "gauss10", "hole", "prior"), 12, 100, 1500, (1, 2, 4), 100, 300, True, True)
LONG = Scale(_ALL, _ALL, _ALL, ("gauss3", "gauss10", "hole", "prior"), 48, 400, None, (1, 2, 4), 100, 2100, True, True, "dynesty", True)


@dataclass
class _Spine:
    """One run of the suite."""

    scale: Scale
    record: Recorder
    workers: Workers
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def over_seeds(self, known: AnalyticProblem, name: str, settings: Settings, n_draws: int = _DRAWS) -> Campaign:
        """The problem under ``seeds`` seeds."""
        with self.record.part(f"{known.name}, {name}"):
            problems = [known.problem] * self.scale.seeds
            folder = self.record.folder(f"{known.name}-{name.replace(' ', '-')}")
            return campaign_over(problems, settings, SEED, workers=self.workers, directory=folder, n_draws=n_draws)

    def nested(self, known: AnalyticProblem, name: str, settings: Dynesty) -> Campaign:
        """Evidence, moments and, for a constant likelihood, the prior, by dynesty."""
        label = f"{known.name}, {name}"
        result = self.over_seeds(known, name, settings)
        self.rows.append(checks.evidence_row(label, known, result))
        self.record.add(*checks.evidence(label, known, result, n_live=settings.n_live))
        self.sampled(label, known, result)
        return result

    def sampled(self, label: str, known: AnalyticProblem, result: Campaign) -> None:
        """What every sampler must get right."""
        self.record.add(*checks.moments(label, known, result))
        if known.name == "prior":
            self.record.add(checks.prior_returned(label, known, result))

    def problems(self) -> None:
        """Every problem by every sampler, and the samplers against each other."""
        for name in _ALL:
            known = analytic_problem(name)
            results: dict[str, Campaign] = {}
            if name in self.scale.static:
                results["dynesty static"] = self.nested(known, "dynesty static", static_settings(name, self.scale.n_live))
            if name in self.scale.dynamic:
                results["dynesty dynamic"] = self.nested(known, "dynesty dynamic", dynamic_settings(name, self.scale))
            if name in self.scale.compiled:
                settings = dataclasses.replace(static_settings(name, self.scale.n_live), engine="compiled")
                results["compiled nested"] = self.nested(known, "compiled nested", settings)
                if "dynesty static" in results and name != "prior" and self.scale.seeds >= checks.SEEDS_FOR_MEANS:
                    label = f"{name}, compiled nested against dynesty static"
                    self.record.add(*checks.same_cost(label, results["compiled nested"], results["dynesty static"]))
            if name in self.scale.mcmc:
                results["emcee"] = self.over_seeds(known, "emcee", _MCMC)
                self.sampled(f"{name}, emcee", known, results["emcee"])
            names = list(results) if self.scale.seeds * _DRAWS >= _LEAST_DRAWS else []
            for first, second in ((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
                label = f"{name}, {first} = {second}"
                with self.record.part(label):
                    self.record.add(
                        *checks.agreement(
                            label, results[first], results[second], seed=SEED, classify=first == "dynesty static" and second == "emcee"
                        )
                    )
        self.record.table(f"Evidences, {self.scale.seeds} seeds", _HEADER, self.rows)
        if self.scale.compiled and self.scale.seeds * _DRAWS < _LEAST_DRAWS:
            self.record.skip("samplers against each other", "needs ten seeds: runs in --full and --long")

    def runs(self) -> None:
        """Hashes for numbers of workers, and after kills."""
        problem = analytic_problem("hole").problem
        samplers: dict[str, Settings] = {
            "dynesty static": Dynesty(n_live=30, walks=20, engine="dynesty"),
            "compiled nested": Dynesty(n_live=30, walks=20, engine="compiled"),
            "compiled proposals": Dynesty(n_live=30, walks=20, bound="balls", engine="compiled"),
            "emcee": Emcee(n_walkers=16, n_steps=200, engine="emcee"),
            "compiled stretch": Emcee(n_walkers=16, n_steps=200, engine="compiled"),
        }
        if self.scale.dynamic:
            samplers["dynesty dynamic"] = Dynesty(n_live=50, dynamic=True, proposal="unif", n_effective=self.scale.n_effective)
        with contextlib.ExitStack() as stack:
            workers: dict[str, Workers] = {str(count): count for count in self.scale.workers}
            if self.scale.dask:
                through_dask = stack.enter_context(dask_workers())
                if not through_dask:
                    self.record.skip("hashes through Dask", "needs dask and distributed (extra dask)")
                workers |= through_dask
            for name, settings in samplers.items():
                with self.record.part(f"hashes, {name}"):
                    self.record.add(same_hash(f"hole, {name}", problem, settings, workers, seed=SEED))
        if not self.scale.kills:
            self.record.skip("killed and resumed", "runs in --full and --long")
            return
        if not can_fork():
            self.record.skip("killed and resumed", "needs a system with fork and SIGKILL")
            return
        rows = []
        for label, report in kill_reports(self.scale.kills, self.record):
            self.record.add(report.verdict(label))
            rows.append(report.row(label))
        self.record.table("Killed and resumed", KILLS_HEADER, rows)

    def replicas(self, name: str, problem: Problem) -> Campaign:
        """A calibration campaign over the straight line."""
        with self.record.part(f"SBC, {name}"):
            folder = self.record.folder(f"sbc-{name.replace(' ', '-')}")
            return campaign(problem, self.scale.replicas, SEED, _SBC, workers=self.workers, directory=folder)

    def calibration(self) -> None:
        """Healthy replicas pass all tests; with enough of them, broken ones must fail."""
        healthy = self.replicas("healthy", line())
        found = sbc.test(healthy.ranks, healthy.names)
        figures = {
            "SBC ECDF band": self.record.figure("sbc-line", sbc.plot(healthy.ranks, healthy.names)),
            "coverage": self.record.figure("coverage-line", coverage.plot(healthy.ranks, healthy.names)),
        }
        verdicts = [*found.verdicts, coverage.test(healthy.ranks, healthy.names).verdict]
        self.record.add_renamed("line, emcee", [dataclasses.replace(v, figure=figures.get(v.name, "")) for v in verdicts])
        self.record.add_renamed("line, emcee", coverage.tarp(healthy.draws, healthy.theta, generator(SEED, "tarp")).verdicts)
        rows = [_sbc_row("healthy", found)]
        if not self.scale.controls:
            self.record.skip("negative controls", "need 300 replicas: they run in --full and --long")
        else:
            rows += self.controls(healthy)
        self.record.table(
            f"SBC, {self.scale.replicas} replicas", ("posterior", "largest |mean z|", "largest |variance z|", "least p, any test"), rows
        )

    def controls(self, healthy: Campaign) -> list[tuple[str, ...]]:
        """Each fault must be caught."""
        wrong = PriorSet([Parameter(name, Normal(0.0, 0.5)) for name in line().names])  # half the true prior's width
        faults = {
            "width x 1.3": broken(healthy, width=1.3),
            "shift 0.5 sigma": broken(healthy, shift=0.5),
            "wrong prior, sampled": self.replicas("wrong prior", broken(line(), priors=wrong)),
        }
        if self.scale.sample_controls:
            faults["width x 1.3, sampled"] = self.replicas("width", broken(line(), width=1.3))
            faults["shift 0.5 sigma, sampled"] = self.replicas("shift", broken(line(), shift=0.5))
        rows = []
        for name, result in faults.items():
            found = sbc.test(result.ranks, result.names)
            self.record.add_renamed(f"line, {name}", found.verdicts, expect_failure=True)
            rows.append(_sbc_row(name, found))
        return rows


def kill_reports(kills: int, record: Recorder) -> Iterator[tuple[str, KillReport]]:
    """Each sampler killed ``kills`` times at random, and at every step of a write."""
    for name, (target, settings) in _TO_KILL.items():
        with record.part(f"kills, {name}"):
            problem = analytic_problem(target).problem
            yield f"{target}, {name}", killed_and_resumed(problem, settings, kills=kills, seed=SEED)


def static_settings(name: str, n_live: int) -> Dynesty:
    """Default walks where they are put to the test, shorter ones where they suffice; a constant likelihood needs only points."""
    if name == "prior":
        return Dynesty(n_live=1000, engine="dynesty")
    return Dynesty(n_live=n_live, engine="dynesty", walks={"gauss10": 30, "eggbox": 40, "shells4": 50, "hole": 50}.get(name))


def dynamic_settings(name: str, scale: Scale) -> Dynesty:
    """The cheapest proposal that suits the problem's shape and dimension: a dynamic run adds batches until it has enough samples."""
    base = Dynesty(n_live=100, dynamic=True, n_effective=scale.n_effective, engine=scale.dynamic_engine)
    if name in ("gauss3", "hole", "plateau", "prior"):
        return dataclasses.replace(base, proposal="unif", bound="single")
    return dataclasses.replace(base, walks={"gauss10": 50, "funnel5": 100}.get(name, 30))


def _sbc_row(name: str, found: sbc.SbcResult) -> tuple[str, ...]:
    least = min(1.0 if v.p is None else v.p for v in found.verdicts)
    return name, f"{abs(found.mean_z).max():.2f}", f"{abs(found.variance_z).max():.2f}", f"{least:.2g}"


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
        "quick": three problems, one seed, hashes at 1 and 2 workers, a calibration smoke test; "full": every problem over 12 seeds,
        samplers against each other, hashes, kills, calibration with its controls; "long": the same with 48 seeds, 400 live points and
        2,100 replicas, which catch a width wrong by 10 %.
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
    with Recorder("spine", tier, progress, directory, SEED) as record, _pool(workers) as pool:
        suite = _Spine(scale, record, pool)
        suite.problems()
        suite.runs()
        suite.calibration()
    return record.result()
