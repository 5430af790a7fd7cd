"""The samplers beside their peers on the problems with known evidences: one machine, one process, one thread, several seeds.

    make bench
    .venv-bench/bin/python validation/benchmarks/samplers.py [--json FILE] [--plot FILE] [--seeds N] [--problems gauss10 shells4 ...]

Every peer gets the same compiled likelihood through plain Python functions, as a user's own script would call it; one that is not
installed is left out. Times are of the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dynesty
import emcee
import numpy as np

from sciinf import adapters
from sciinf.calibration.analytic import AnalyticProblem, analytic_problem
from sciinf.core.seeding import legacy_state
from sciinf.samplers.compiled.stretch import CompiledEnsemble
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee

N_LIVE = 200
PROBLEMS = ("gauss3", "gauss10", "eggbox", "shells4", "funnel5")
PEERS = ("numpy", "numba", "dynesty", "emcee", "nautilus-sampler", "ultranest")


@dataclass(frozen=True)
class Run:
    """One run of one sampler on one problem."""

    problem: str
    sampler: str
    seed: int
    seconds: float
    calls: int
    log_evidence: float | None
    error: float | None
    truth: float
    ess: float


@dataclass(frozen=True)
class Ratio:
    """A peer's processor time over ours, for the same work."""

    what: str
    against: str
    ratio: float
    target: float


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Peers print and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def kish(log_weights: np.ndarray) -> float:
    """Effective sample size of log weights."""
    weights = np.exp(log_weights - np.max(log_weights))
    return float(weights.sum() ** 2 / np.sum(weights**2))


def ours(known: AnalyticProblem, seed: int, settings: Dynesty) -> tuple[int, float, float, float]:
    """Calls, log Z, its error and ESS of a run through `sample`."""
    found = sample(known.problem, settings, seed=seed, progress=False)
    return found.meta["counts"]["calls"], found.log_evidence, found.log_evidence_error, found.ess


def by_dynesty(known: AnalyticProblem, seed: int, bound: str, walks: int) -> tuple[int, float, float, float]:
    """dynesty as a script would run it."""
    functions = adapters.as_callables(known.problem)
    rng = np.random.default_rng(seed)
    sampler = dynesty.NestedSampler(
        functions.log_likelihood, functions.prior_transform, known.problem.n_dim, nlive=N_LIVE, bound=bound, sample="rwalk", walks=walks,
        rstate=rng,
    )  # fmt: skip
    sampler.run_nested(dlogz=0.01, print_progress=False)
    found = sampler.results
    return int(np.sum(found.ncall)), float(found.logz[-1]), float(found.logzerr[-1]), kish(found.logwt)


def by_nautilus(known: AnalyticProblem, seed: int) -> tuple[int, float, float, float]:
    """nautilus with its defaults."""
    from nautilus import Sampler

    functions = adapters.as_callables(known.problem)
    sampler = Sampler(
        functions.prior_transform_many,
        functions.log_likelihood_many,
        n_dim=known.problem.n_dim,
        vectorized=True,
        seed=seed,
        pass_dict=False,
    )
    sampler.run(verbose=False)
    _, log_weights, _ = sampler.posterior()
    return sampler.n_like, float(sampler.log_z), 1.0 / float(np.sqrt(sampler.n_eff)), kish(log_weights)


def by_ultranest(known: AnalyticProblem, seed: int) -> tuple[int, float, float, float]:
    """UltraNest with its defaults, vectorized, and as many live points."""
    import ultranest

    functions = adapters.as_callables(known.problem)
    np.random.seed(seed)  # noqa: NPY002 - UltraNest draws from the global generator
    sampler = ultranest.ReactiveNestedSampler(
        list(known.problem.names), functions.log_likelihood_many, functions.prior_transform_many, vectorized=True
    )
    found = sampler.run(min_num_live_points=N_LIVE, show_status=False, viz_callback=False)
    return int(found["ncall"]), float(found["logz"]), float(found["logzerr"]), float(found["ess"])


def nested_samplers(known: AnalyticProblem) -> dict[str, Callable[[int], tuple[int, float, float, float]]]:
    """Whoever is installed, by name."""
    walks = known.problem.n_dim + 20
    found: dict[str, Callable[[int], tuple[int, float, float, float]]] = {
        "sciinf compiled": lambda seed: ours(known, seed, Dynesty(n_live=N_LIVE, walks=walks, engine="compiled")),
        "dynesty": lambda seed: by_dynesty(known, seed, "multi", walks),
    }
    if importlib.util.find_spec("nautilus"):
        found["nautilus"] = lambda seed: by_nautilus(known, seed)
    if importlib.util.find_spec("ultranest"):
        found["UltraNest"] = lambda seed: by_ultranest(known, seed)
    return found


def nested_runs(names: list[str], seeds: int) -> list[Run]:
    """Every nested sampler on every problem."""
    runs = []
    for name in names:
        known = analytic_problem(name)
        for sampler, call in nested_samplers(known).items():
            with quiet():
                call(0)  # compiled and imported
            for seed in range(1, seeds + 1):
                start = time.process_time()
                with quiet():
                    calls, log_z, error, ess = call(seed)
                seconds = time.process_time() - start
                runs.append(Run(name, sampler, seed, seconds, calls, log_z, error, known.log_evidence, ess))
            print(row(runs[-seeds:]), flush=True)
    return runs


def row(runs: list[Run]) -> str:
    """One line of the table: means over seeds."""
    shift = np.array([run.log_evidence - run.truth for run in runs])  # type: ignore[operator]
    seconds, calls, ess = (statistics.mean(getattr(run, item) for run in runs) for item in ("seconds", "calls", "ess"))
    return (
        f"{runs[0].problem:9s} {runs[0].sampler:16s} {seconds:9.3f} s {calls:10.0f} calls  ESS {ess:7.0f}  {ess / seconds:10.0f} ESS/s  "
        f"{1e3 * ess / calls:7.2f} ESS/1000 calls  log Z off by {shift.mean():+.3f} +- {shift.std(ddof=1) / len(runs) ** 0.5:.3f}"
    )


def process_seconds(call: Callable[[], Any], rounds: int = 3) -> float:
    """Least processor time of a few rounds, after one to warm up."""
    call()
    values = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        values.append(time.process_time() - start)
    return min(values)


def stretch_ratios() -> list[Ratio]:
    """Per proposal: 128 walkers in six dimensions."""
    known = analytic_problem("gauss10").problem
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

        for name, function, vectorize in (("one by one", log_posterior, False), ("vectorize=True", many, True)):
            peer = emcee.EnsembleSampler(128, known.n_dim, function, moves=move, vectorize=vectorize)
            theirs = process_seconds(lambda p=peer: p.run_mcmc(start, 100), rounds=3) / 100
            ratios.append(Ratio(f"compiled {moves}, gauss10, 128 walkers", f"emcee, {name}", theirs / mine, 50.0))
    return ratios


def nested_ratios() -> list[Ratio]:
    """Same settings, gauss10, n_live 200: the whole loop, and dynesty's loop with compiled proposals."""
    known = analytic_problem("gauss10")
    walks = known.problem.n_dim + 20
    with quiet():
        whole = process_seconds(lambda: ours(known, 1, Dynesty(n_live=N_LIVE, bound="single", walks=walks, engine="compiled")))
        single = process_seconds(lambda: by_dynesty(known, 1, "single", walks), rounds=1)
        dynesty_loop = Dynesty(n_live=N_LIVE, bound="multi", walks=walks, engine="dynesty")
        stock = process_seconds(lambda: ours(known, 1, dynesty_loop), rounds=1)
        proposals = process_seconds(lambda: by_proposals(known, walks), rounds=1)
    return [
        Ratio("compiled nested, gauss10, single/rwalk", "dynesty", single / whole, 50.0),
        Ratio("compiled walks in dynesty, gauss10, multi", "dynesty multi/rwalk", stock / proposals, 2.3),
    ]


def by_proposals(known: AnalyticProblem, walks: int) -> None:
    """dynesty's own loop with the compiled walk as its internal sampler."""
    from sciinf.samplers.compiled.walks import CompiledRandomWalk

    problem = known.problem
    sampler = dynesty.NestedSampler(
        problem.log_likelihood, problem.prior_transform, problem.n_dim, nlive=N_LIVE, bound="multi", sample=CompiledRandomWalk(walks=walks),
        rstate=np.random.default_rng(1),
    )  # fmt: skip
    sampler.run_nested(dlogz=0.01, print_progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS))
    given = parser.parse_args()
    installed = {name: importlib.metadata.version(name) for name in PEERS if importlib.util.find_spec(name.split("-")[0])}
    print(f"{platform.processor() or platform.machine()}, {installed}")
    ratios = [*stretch_ratios(), *nested_ratios()]
    for item in ratios:
        print(f"{item.what:45s} {item.against:25s} {item.ratio:8.1f} x  (target {item.target:g})", flush=True)
    runs = nested_runs(given.problems, given.seeds)
    if given.json is not None:
        result = {"versions": installed, "ratios": [asdict(item) for item in ratios], "runs": [asdict(item) for item in runs]}
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
