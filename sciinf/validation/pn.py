"""The pn suite: simulated risks beside their expansions, what thresholds and verdicts promise, and faults that must be found."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciinf.samplers.pools import Workers, stream
from sciinf.validation import pn_controls as controls
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
    """

    cases: tuple[str, ...]
    data_sets: int
    deltas: tuple[float, ...]
    told: int
    decisions: int
    errors: int


QUICK = Scale(cases=risks.QUICK_CASES, data_sets=_FEW, deltas=(_DELTA,), told=1000, decisions=100, errors=0)
FULL = Scale(cases=risks.CASES, data_sets=400_000, deltas=(0.025, 0.05, 0.1), told=5000, decisions=500, errors=200)
LONG = FULL


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
            f"Estimation risk, nats per observation ({self.scale.data_sets:,} data sets; a design counts as one observation)", heads, rows
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


_PARTS = ("risks", "thresholds", "decisions", "errors", "sets", "faults")


def run(tier: Tier, *, workers: int = 1, progress: bool = True, directory: Path | None = None) -> SuiteResult:
    """Run a tier of the suite.

    Parameters
    ----------
    tier : {"quick", "full", "long"}
        "quick": four simulated risks and few of the rest; "full": all of them; "long": as full.
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
    with Recorder("pn", tier, progress, directory) as record, _workers(workers) as found:
        suite = _Suite(scale, record, found)
        for part in _PARTS:
            getattr(suite, part)()
    return record.result()
