"""The samplers beside their peers on the problems with known answers: one machine, one core, several seeds.

    make bench
    .venv-bench/bin/python validation/benchmarks/samplers.py [--out FOLDER] [--seeds N] [--problems gauss10 shells4 ...] [--peers ...]

A peer that is not installed is left out. Times are of the processor, after a run that imports and compiles. Writes
benchmark-samplers.json, .md and .png; a run found in that JSON with the same versions and machine is not repeated, so an interrupted
benchmark goes on.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import signal
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import emcee
import numpy as np
import peers
from peers import N_LIVE, Outcome, quiet, walks_for

from sciinf import adapters
from sciinf.calibration import kernels
from sciinf.calibration.analytic import PROBLEMS, AnalyticProblem, analytic_problem
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import legacy_state
from sciinf.samplers.compiled.stretch import CompiledEnsemble
from sciinf.samplers.settings import Dynesty, Emcee

PACKAGES = ("sciinf", "numpy", "scipy", "numba", "dynesty", "emcee", "nautilus-sampler", "ultranest", "blackjax", "jax")
CHAINS = ("gauss3", "gauss10", "hole", "plateau", "prior")
LIMIT = 900
"""Seconds of processor time that one run may take."""


@dataclass(frozen=True)
class Run:
    """One run of one sampler on one problem; ``failure`` says why there is no result."""

    problem: str
    sampler: str
    seed: int
    seconds: float
    calls: int | None = None
    log_evidence: float | None = None
    error: float | None = None
    truth: float | None = None
    ess: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Ratio:
    """A peer's processor time over ours, for the same work."""

    what: str
    against: str
    ratio: float
    target: float | None = None


def truth_for(sampler: str, known: AnalyticProblem) -> float:
    """The evidence that a sampler aims at: peers start from the uncut cube and see ln L = -inf outside a region."""
    return known.log_evidence + (0.0 if sampler.startswith("sciinf") else known.problem.priors.log_mass)


def timed(problem: str, sampler: str, seed: int, call: Callable[[int], Outcome], truth: float) -> Run:
    """One run under the time limit."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {LIMIT} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    start = time.process_time()
    try:
        with quiet():
            found = call(seed)
    except Exception as error:  # a peer may fail in any way; the table says so
        return Run(problem, sampler, seed, time.process_time() - start, failure=f"{type(error).__name__}: {str(error)[:120]}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return Run(problem, sampler, seed, time.process_time() - start, truth=truth, **asdict(found))


def every_sampler(name: str, wanted: Iterable[str]) -> dict[str, Callable[[int], Outcome]]:
    """Samplers for a problem: nested ones on all, ensembles where walkers find the whole posterior."""
    known = analytic_problem(name)
    found = peers.nested_samplers(known)
    if name in CHAINS:
        found["sciinf, compiled stretch"] = lambda seed: peers.compiled_ensemble(known, seed)
        found["emcee"] = lambda seed: peers.by_emcee(known, seed)
    return {sampler: call for sampler, call in found.items() if sampler in wanted} if wanted else found


class Record:
    """Runs made so far, kept on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.versions = {name: importlib.metadata.version(name) for name in PACKAGES if installed(name)}
        self.machine = f"{processor()}, Python {platform.python_version()}, one core"
        self.runs: list[Run] = []
        self.ratios: list[Ratio] = []
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["versions"] == self.versions and stored["machine"] == self.machine:
                self.runs = [Run(**item) for item in stored["runs"]]
                self.ratios = [Ratio(**item) for item in stored["ratios"]]

    def find(self, problem: str, sampler: str, seed: int) -> Run | None:
        """A run made earlier."""
        return next((run for run in self.runs if (run.problem, run.sampler, run.seed) == (problem, sampler, seed)), None)

    def save(self) -> None:
        """All of it, atomically."""
        whole = {"machine": self.machine, "versions": self.versions, "n_live": N_LIVE, "ratios": [asdict(item) for item in self.ratios],
                 "runs": [asdict(item) for item in self.runs]}  # fmt: skip
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)

    def rows(self) -> list[Row]:
        """Means over seeds, in the order of problems and samplers."""
        order = list(PROBLEMS)
        pairs = sorted({(order.index(run.problem), run.sampler) for run in self.runs}, key=lambda pair: (pair[0], NAMES.index(pair[1])))
        return [Row.of([run for run in self.runs if run.problem == order[at] and run.sampler == name]) for at, name in pairs]


NAMES = ("sciinf, compiled nested", "dynesty", "UltraNest", "blackjax nss", "nautilus", "sciinf, compiled stretch", "emcee")


def installed(name: str) -> bool:
    """Whether a distribution is there."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def processor() -> str:
    """The processor's name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Row:
    """Means over the seeds of one sampler on one problem."""

    problem: str
    sampler: str
    n: int
    seconds: float
    calls: float = math.nan
    ess: float = math.nan
    shift: float = math.nan
    shift_error: float = math.nan
    stated: float = math.nan
    scatter: float = math.nan
    failure: str = ""

    @classmethod
    def of(cls, runs: list[Run]) -> Row:
        """From the runs that gave a result; from the first failure if none did."""
        done = [run for run in runs if not run.failure]
        if not done:
            return cls(runs[0].problem, runs[0].sampler, 0, runs[0].seconds, failure=runs[0].failure)
        mean = {item: statistics.mean(getattr(run, item) for run in done) for item in ("seconds", "calls", "ess")}
        row = cls(done[0].problem, done[0].sampler, len(done), mean["seconds"], mean["calls"], mean["ess"])
        if done[0].log_evidence is None:
            return row
        shift = np.array([run.log_evidence - run.truth for run in done])  # type: ignore[operator]
        scatter = float(shift.std(ddof=1)) if len(done) > 1 else math.nan
        stated = statistics.mean(run.error for run in done)  # type: ignore[misc]
        return replace(row, shift=float(shift.mean()), shift_error=scatter / len(done) ** 0.5, stated=stated, scatter=scatter)

    @property
    def per_second(self) -> float:
        """Effective samples per second of processor time."""
        return self.ess / self.seconds

    def cells(self) -> list[str]:
        """As text, for a Markdown table."""
        if self.failure:
            return [self.problem, self.sampler, "0", f"{self.seconds:.3g}", *["-"] * 6, self.failure]
        evidence = [f"{self.shift:+.3f} ± {self.shift_error:.3f}", f"{self.stated:.3f}", f"{self.scatter:.3f}"]
        if math.isnan(self.shift):
            evidence = ["-"] * 3
        return [self.problem, self.sampler, str(self.n), f"{self.seconds:.3g}", f"{self.calls:.0f}", f"{self.ess:.0f}",
                f"{1e3 * self.ess / self.calls:.3g}", f"{self.per_second:,.0f}", *evidence]  # fmt: skip


def table(record: Record) -> str:
    """Everything as Markdown."""
    head = ["problem", "sampler", "seeds", "CPU s", "calls", "ESS", "ESS per 1000 calls", "ESS per CPU s", "ln Z - truth", "stated error",
            "scatter"]  # fmt: skip
    lines = [
        f"{record.machine}; {N_LIVE} live points; " + ", ".join(f"{name} {value}" for name, value in record.versions.items()) + ".",
        "",
    ]
    lines += ["| what | against | processor time, ratio | target |", "|---|---|---|---|"]
    lines += [
        f"| {item.what} | {item.against} | {item.ratio:.1f} | {'-' if item.target is None else f'{item.target:g}'} |"
        for item in record.ratios
    ]
    lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in record.rows()]
    return "\n".join(lines) + "\n"


def plot(record: Record, path: Path) -> None:
    """Effective samples per second, and the evidence's error, by problem and sampler."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in record.rows() if not row.failure]
    problems = [name for name in PROBLEMS if any(row.problem == name for row in rows)]
    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    speed, evidence = figure.subplots(2, 1, sharex=True)
    for number, name in enumerate(NAMES):
        mine = [row for row in rows if row.sampler == name]
        x = np.array([problems.index(row.problem) for row in mine]) + (number - (len(NAMES) - 1) / 2) * 0.11
        style = {"marker": "o" if name.startswith("sciinf") else "s", "linestyle": "none", "color": f"C{number}", "label": name}
        speed.plot(x, [row.per_second for row in mine], **style)
        evidence.errorbar(x, [row.shift for row in mine], yerr=[row.shift_error for row in mine], capsize=2, **style)
    speed.set(yscale="log", ylabel="effective samples per CPU second")
    worst = max((abs(row.shift) for row in rows if abs(row.shift) < 2.0), default=1.0)
    evidence.set(ylabel="ln Z − truth (mean over seeds, standard error)", ylim=(-1.3 * worst - 0.1, 1.3 * worst + 0.1))
    for row in rows:
        if abs(row.shift) > 1.3 * worst + 0.1:
            side = math.copysign(1.3 * worst, row.shift)
            evidence.annotate(f"{row.sampler} {row.shift:+.0f}", (problems.index(row.problem), side), ha="center", fontsize="small")
    evidence.axhline(0.0, color="0.6", zorder=0)
    evidence.set_xticks(range(len(problems)), problems)
    for axes in (speed, evidence):
        for at in range(1, len(problems)):
            axes.axvline(at - 0.5, color="0.9", zorder=0)
    figure.legend(*speed.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    FigureCanvasAgg(figure).print_png(path)


def process_seconds(call: Callable[[], Any], rounds: int = 3) -> float:
    """Least processor time of a few rounds, after one to warm up."""
    call()
    values = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        values.append(time.process_time() - start)
    return min(values)


def _log_gauss(thetas: np.ndarray, floats: np.ndarray) -> np.ndarray:
    return np.asarray(kernels.gauss_many(np.ascontiguousarray(thetas), floats, np.empty(0, dtype=np.int64), np.empty(0)))


def gauss6() -> Problem:
    """gauss10's likelihood and prior in six dimensions."""
    names, floats = [f"x{i}" for i in range(6)], np.array([0.95])
    compiled = CompiledLikelihood(kernels.gauss, floats.copy(), np.empty(0, dtype=np.int64), workspace_size=0)
    engine = FunctionEngine(_log_gauss, names, data=floats, compiled=compiled, vectorized=True, version="1")
    return Problem(engine, PriorSet([Parameter(name, Uniform(-10.0, 10.0)) for name in names]), name="gauss6")


def stretch_ratios() -> list[Ratio]:
    """Per proposal: 128 walkers in six dimensions, a likelihood of tenths of a microsecond."""
    known = gauss6()
    functions, start = adapters.as_callables(known), 0.3 * np.random.default_rng(1).standard_normal((128, known.n_dim))
    compiled = known.compiled()
    ratios = []
    for moves, move in (("stretch", emcee.moves.StretchMove()), ("de", emcee.moves.DEMove())):
        ensemble = CompiledEnsemble(known, compiled, Emcee(n_walkers=128, moves=moves))  # type: ignore[arg-type]
        ensemble.begin(start, legacy_state(1, "sampler"))
        mine = process_seconds(lambda e=ensemble: [None for _ in e.steps(4000, None)]) / 4000

        def log_posterior(theta: np.ndarray) -> float:
            prior = functions.log_prior(theta)
            return prior + functions.log_likelihood(theta) if np.isfinite(prior) else -np.inf

        def many(thetas: np.ndarray) -> np.ndarray:
            return np.asarray(known.log_posterior_many(thetas))

        for name, function, vectorize, target in (("one by one", log_posterior, False, 50.0), ("vectorize=True", many, True, None)):
            peer = emcee.EnsembleSampler(128, known.n_dim, function, moves=move, vectorize=vectorize)
            theirs = process_seconds(lambda p=peer: p.run_mcmc(start, 100), rounds=3) / 100
            ratios.append(Ratio(f"compiled {moves}, 6-D Gaussian, 128 walkers", f"emcee, {name}", theirs / mine, target))
    return ratios


def nested_ratios() -> list[Ratio]:
    """Same settings, gauss10, n_live 200: the whole loop, and dynesty's loop with compiled proposals."""
    known = analytic_problem("gauss10")
    walks = walks_for(known)
    with quiet():
        whole = process_seconds(lambda: peers.ours(known, 1, Dynesty(n_live=N_LIVE, bound="single", walks=walks, engine="compiled")))
        single = process_seconds(lambda: peers.by_dynesty(known, 1, "single"), rounds=1)
        stock = process_seconds(lambda: peers.by_dynesty(known, 1, "multi"), rounds=1)
        proposals = process_seconds(lambda: peers.by_compiled_walk(known, 1), rounds=1)
    return [
        Ratio("compiled nested, gauss10, single/rwalk", "dynesty", single / whole, 50.0),
        Ratio("compiled walks in dynesty, gauss10, multi", "dynesty multi/rwalk", stock / proposals, 2.3),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--peers", nargs="*", default=[], choices=NAMES)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # one core for all, also for peers that start threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    record = Record(given.out / "benchmark-samplers.json")
    if not record.ratios and not given.peers:
        record.ratios = [*stretch_ratios(), *nested_ratios()]
        for item in record.ratios:
            print(f"{item.what:45s} {item.against:25s} {item.ratio:8.1f} x  (target {item.target})", flush=True)
    for name in given.problems:
        known = analytic_problem(name)
        for sampler, call in every_sampler(name, given.peers).items():
            missing = [seed for seed in range(1, given.seeds + 1) if record.find(name, sampler, seed) is None]
            if missing and sampler != "nautilus":  # nautilus has nothing to compile and its runs are long
                timed(name, sampler, 0, call, 0.0)
            for seed in missing:
                record.runs.append(timed(name, sampler, seed, call, truth_for(sampler, known)))
                record.save()
                if record.runs[-1].failure:
                    break
            print(" | ".join(Row.of([run for run in record.runs if (run.problem, run.sampler) == (name, sampler)]).cells()), flush=True)
    record.save()
    (given.out / "benchmark-samplers.md").write_text(table(record), encoding="utf-8")
    plot(record, given.out / "benchmark-samplers.png")


if __name__ == "__main__":
    main()
