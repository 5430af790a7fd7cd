"""The pn suite: simulated risks beside their expansions, what thresholds and verdicts promise, and faults that must be found."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.calibration import sbc
from sciinf.calibration.injections import Campaign, campaign
from sciinf.core.problem import Problem
from sciinf.samplers.pools import Workers
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Emcee
from sciinf.samplers.streams import stream
from sciinf.validation import pn_controls as controls
from sciinf.validation import pn_engine as engine
from sciinf.validation import pn_figures as figures
from sciinf.validation import pn_risks as risks
from sciinf.validation import pn_sets as sets
from sciinf.validation import pn_verdicts as verdicts
from sciinf.validation.rates import rate
from sciinf.validation.suite import Recorder, SuiteResult, Tier, check_tier, quiet_samplers

__all__ = ["FULL", "LONG", "QUICK", "Scale", "run"]

_SEED = 20250601
_DELTA = 0.05
_FEW = 40_000  # data sets that show every fault


@dataclass(frozen=True)
class Scale:
    """How much a tier runs; 0 leaves a part out.

    Parameters
    ----------
    cases : tuple of str
        Simulated risks.
    data_sets : int
        Of each.
    deltas : tuple of float
        Whose thresholds are tried.
    told : int
        Data sets of each Bayes error.
    decisions : int
        Of each rate of acceptance.
    errors : int
        Seeds of the coverage of standard errors.
    ranks : dict of str to int
        Replicas of each likelihood.
    frozen : int
        Of the control with an expanded psi.
    narrow : float
        By which a control's posteriors are too narrow.
    ways : tuple of str
        Posteriors by both samplers.
    n_live : int
        Live points there.
    """

    cases: tuple[str, ...]
    data_sets: int
    deltas: tuple[float, ...]
    told: int
    decisions: int
    errors: int
    ranks: dict[str, int]
    frozen: int
    narrow: float
    ways: tuple[str, ...]
    n_live: int


QUICK = Scale(
    cases=risks.QUICK_CASES, data_sets=_FEW, deltas=(_DELTA,), told=1000, decisions=100, errors=0, ranks={"Ising": 100}, frozen=100,
    narrow=1.6, ways=(), n_live=300,
)  # fmt: skip
FULL = Scale(
    cases=risks.CASES, data_sets=400_000, deltas=(0.025, 0.05, 0.1), told=5000, decisions=500, errors=200,
    ranks=dict.fromkeys(engine.ENGINES, 300), frozen=300, narrow=1.3, ways=("Ising", "quartic"), n_live=1000,
)  # fmt: skip
LONG = replace(FULL, ranks={**FULL.ranks, "Ising": 2100, "gamma": 2100})


@dataclass
class _Suite:
    """One run of the suite."""

    scale: Scale
    record: Recorder
    workers: Workers

    def _map(self, function: Any, n: int, *arguments: Any) -> list[Any]:
        """``function(seed, *arguments)`` for ``n`` seeds, in order."""
        return list(stream(_Replica(function, arguments), range(_SEED, _SEED + n), self.workers))

    def risks(self) -> None:
        """Simulated losses beside expansions and exact risks, for true models and wrong ones."""
        rows = []
        for case in risks.cases(self.scale.cases):
            with self.record.part(f"risk, {case.name}"):
                found, lines = risks.injected(case, self.scale.data_sets, _SEED)
            self.record.add(*found)
            rows += lines
        heads = ("model", "n", "risk, simulated", "expected", "from", "z", "without an estimate")
        self.record.table(
            f"Estimation risk, nats per observation ({self.scale.data_sets:,} data sets; a design counts as one observation; beside an "
            "expansion z shows the next order)",
            heads,
            rows,
        )
        self.record.add(*controls.oracle(), *controls.verdict_rule())

    def thresholds(self) -> None:
        """Bayes errors at the required n."""
        rows, slacks = [], {}
        for case in verdicts.telling():
            for delta in self.scale.deltas:
                for bound in verdicts.BOUNDS:
                    with self.record.part(f"Bayes error, {case.name}"):
                        found, row, slack = verdicts.told_apart(case, delta, bound, self.scale.told, _SEED)
                    self.record.add(*found)
                    rows.append(row)
                    slacks[row[0]] = slack
        heads = ("family, bound", "required n", "mean Bayes error", "asked", "slack", "risk at n/4 (cut losses)", "C")
        self.record.table("Bayes error of telling fitted from true densities, at the required n", heads, rows)
        if self.record.directory:
            self.record.figure("slack", figures.slack(slacks))

    def decisions(self) -> None:
        """Rates of acceptance of a normal model, right and wrong, by either verdict."""
        found = {}
        for truth in verdicts.TRUTHS:
            needed = verdicts.required(truth, _DELTA)
            with self.record.part(f"decisions, {truth} truth"):
                found[truth] = {
                    n: self._map(verdicts.decision_replica, self.scale.decisions, truth, n, _DELTA)
                    for n in (round(share * needed) for share in (0.8, 1.0, 1.25))
                }
        checked, rows = verdicts.decisions(found, _DELTA)
        self.record.add(*checked)
        heads = ("truth", "n", "sandwich accepts, %", "model accepts, %", "bias of the plug-in trace")
        self.record.table(f"Normal model at delta = {_DELTA}, .8, 1 and 1.25 of the required n", heads, rows)

    def errors(self) -> None:
        """Coverage of standard errors."""
        n = self.scale.errors
        if not n:
            self.record.skip("coverage of standard errors", "in --full")
            return
        with self.record.part("standard errors"):
            drawn = self._map(verdicts.draws_replica, n, 10_000)
            data = {size: self._map(verdicts.data_replica, n, size) for size in (100, 1000)}
        self.record.add(verdicts.draws_cover(drawn))
        rows = [("b of two normal dimensions", "10,000 draws", rate(drawn))]
        for size, flags in data.items():
            rows += [
                (f"{what} of a normal model of Laplace data", f"n = {size}", rate([flag[i] for flag in flags]))
                for i, what in enumerate("ab")
            ]
        title = "Coverage at two standard errors by the jackknife, per cent (of data it is optimistic, and nothing is asserted)"
        self.record.table(title, ("figure", "from", "coverage"), rows)

    def sets(self) -> None:
        """The sets of statsmodels, and the figures that need no simulation."""
        with self.record.part("data sets"):
            found = sets.judged_sets()
        self.record.add(*sets.accepted(found))
        rows = []
        for name, one in found.items():
            both = (one.verdict_model, one.verdict_sandwich)
            told = ["accept" if each.accept else "reject" for each in both]
            risks_of = [f"{both[0].ED1:.7f}", f"{both[0].ED2:.7f}", f"{one.risk_sandwich.trace:.6f}", f"{both[1].ED2:.7f}"]
            rows.append((name, f"{one.n}", f"{one.p}", *risks_of, *told))
        heads = ("data", "n", "p", "ED1, model", "ED2, model", "trace", "ED2, sandwich", "model", "sandwich")
        self.record.table("Data sets of statsmodels at delta = .05", heads, rows)
        if self.record.directory:
            self.record.figure("verdicts", figures.verdicts(found))
            self.record.figure("risks", figures.risks())
            self.record.figure("affordable", figures.affordable_p())
            self.record.figure("path", figures.path_figure())

    def ranks(self) -> None:
        """Ranks of simulated truths, of posteriors made too narrow or displaced, and of an expanded psi."""
        panels, rows = {}, []
        for name, n in self.scale.ranks.items():
            problem = engine.problem(name, _SEED)
            done = self._campaign(name, problem, n)
            self.record.add(*engine.rank_verdicts(name, done.ranks, problem.names).values())
            panels[name] = done.ranks
            if name == engine.ENGINES[0]:
                narrow, moved = engine.sharpened(done, self.scale.narrow), engine.moved(done, 1.0)
                found = engine.rank_verdicts("ranks", narrow.ranks, problem.names)
                self.record.add_renamed(f"posteriors too narrow by {self.scale.narrow:g}", [found["variance"]], expect_failure=True)
                found = engine.rank_verdicts("ranks", moved.ranks, problem.names)
                self.record.add_renamed("posteriors displaced by one deviation", [found["mean"]], expect_failure=True)
                panels |= {f"too narrow by {self.scale.narrow:g} (control)": narrow.ranks, "displaced (control)": moved.ranks}
        for wrong in (False, True):
            problem = engine.frozen_problem(_SEED, wrong=wrong)
            done = self._campaign(problem.name, problem, self.scale.frozen)
            checked = engine.rank_verdicts("ten Poisson counts", done.ranks, problem.names).values()
            self.record.add_renamed("psi expanded at the estimate", checked, expect_failure=True) if wrong else self.record.add(*checked)
            panels["psi expanded (control)" if wrong else "ten Poisson counts"] = done.ranks
        for name, ranks in panels.items():
            found_ranks = sbc.test(ranks, [str(j) for j in range(ranks.shape[1])])
            rows.append(
                (name, str(len(ranks)), *(" ".join(f"{z:+.2f}" for z in each) for each in (found_ranks.mean_z, found_ranks.variance_z)))
            )
        self.record.table("Ranks of truths, in errors of uniform ones", ("likelihood", "N", "mean z", "variance z"), rows)
        if self.record.directory:
            self.record.figure("ranks", figures.rank_histograms(panels, sbc.N_DRAWS))

    def _campaign(self, name: str, problem: Problem, n: int) -> Campaign:
        with self.record.part(f"ranks, {name}"):
            folder = self.record.folder(f"ranks-{name.replace(', ', '-').replace(' ', '-')}")
            return campaign(problem, n, _SEED, engine.CAMPAIGN, workers=self.workers, directory=folder)

    def ways(self) -> None:
        """One posterior by dynesty and emcee, by an exact normaliser and by draws, and evidence beside quadrature."""
        if not self.scale.ways:
            self.record.skip("one posterior by several ways", "in --full")
            return
        rows, chains = [], {}
        for name in self.scale.ways:
            with self.record.part(f"samplers, {name}"):
                checked, row, chains[name] = engine.cross_checked(name, self.scale.n_live, _SEED)
            self.record.add(*checked)
            rows.append(row)
        heads = ("likelihood", "ln Z", "effective samples, dynesty", "emcee", "mean n KL[estimate, theta]", "p / 2")
        self.record.table("One posterior by both samplers (a normal prior of two deviations lowers the last but one)", heads, rows)
        with self.record.part("normaliser by draws"):
            self.record.add(engine.one_parameter(self.scale.n_live, _SEED))
            settings = Emcee(n_walkers=64, moves="de", tau_multiple=100)
            drawn, far = engine.problem("Ising, importance", _SEED), engine.far_reference(_SEED)
            likelihood: Any = drawn.engine
            shift = float(np.median(likelihood.derived_many(chains["Ising"].samples[:1000])[:, 1]))
            chain = sample(drawn, settings, seed=_SEED, progress=False)
            self.record.add(*engine.agreement("Ising, draws = exact", chain, chains["Ising"], shift))
            chain = sample(far, settings, seed=_SEED, progress=False)
            self.record.add_renamed("one far reference", engine.agreement("far", chain, chains["Ising"], shift), expect_failure=True)

    def faults(self) -> None:
        """Every fault of the engine, put in and taken out."""
        for fault in controls.breaks():
            with self.record.part(fault.name), controls.broken(fault.owner, fault.attribute, fault.fault):
                found = fault.check(_FEW, _SEED)
            self.record.add_renamed(fault.name, found, expect_failure=True)


@dataclass(frozen=True)
class _Replica:
    """A function of a seed with its other arguments, for a worker."""

    function: Any
    arguments: tuple[Any, ...]

    def __call__(self, seed: int) -> Any:
        return self.function(seed, *self.arguments)


@contextlib.contextmanager
def _workers(workers: int) -> Iterator[Workers]:
    """One set of worker processes for the whole suite."""
    if workers == 1:
        yield 1
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=quiet_samplers) as executor:
        yield executor


_PARTS = ("risks", "thresholds", "decisions", "errors", "sets", "faults", "ranks", "ways")


def run(tier: Tier, *, workers: int = 1, progress: bool = True, directory: Path | None = None) -> SuiteResult:
    """Run a tier of the suite.

    Parameters
    ----------
    tier : {"quick", "full", "long"}
        "quick": four simulated risks, few of the rest and 100 ranks; "full": all of them; "long": with 2100 ranks of two likelihoods, which
        show a width that is wrong by a tenth.
    workers : int
        Processes for independent replicas.
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
    with Recorder("pn", tier, progress, directory, _SEED) as record, _workers(workers) as found:
        suite = _Suite(scale, record, found)
        for part in _PARTS:
            getattr(suite, part)()
    return record.result()
