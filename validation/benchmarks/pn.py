"""Speed of the pn engine beside what its parts replace: one process, one thread, processor time, median and minimum of seven rounds.

Run in an environment of its own:

    make bench
    .venv-bench/bin/python validation/benchmarks/pn.py [--json FILE] [--rounds N]

Peers: NumPy, emcee over x, statsmodels' fits. A ratio is the peer's time over ours, so large is fast; beside it stands what it must be at
least. Growth and memory have bounds of their own. With ``--json FILE`` a table and a picture of the same name are written beside it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import emcee
import numpy as np
from scipy.special import expit, logsumexp

from sciinf.calibration.verdict import text_table
from sciinf.engines.pn import ExponentialFamilyLikelihood, LikelihoodSettings, RealLine, families, pn_criterion
from sciinf.engines.pn.contractions import third_by_entries, third_by_rows, third_contractions
from sciinf.engines.pn.draws import chained
from sciinf.engines.pn.glm import GeneralisedDesign
from sciinf.results.diagnostics import ess_mean
from sciinf.results.drawing import COLOURS, new_figure
from sciinf.validation.pn_sets import fitted

ROUNDS = 7


@dataclass(frozen=True)
class Pair:
    """Two calls that do the same, with how much each does, and what the ratio must be."""

    what: str
    against: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    floor: float
    work: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Row:
    """A figure with its bounds, and the seconds behind it: (median, minimum) of ours and of the peer; None where it was skipped."""

    what: str
    against: str
    figure: float | None
    bounds: tuple[float, float]
    unit: str = "times faster"
    ours: tuple[float, float] | None = None
    peer: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """Holds, MISSED or skipped."""
        if self.figure is None:
            return "skipped"
        return "holds" if self.bounds[0] <= self.figure <= self.bounds[1] else "MISSED"


def seconds(calls: tuple[Callable[[], Any], ...], rounds: int) -> list[tuple[float, float]]:
    """Median and minimum processor seconds of calls, turn by turn, after one call each."""
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, values in zip(calls, found, strict=True):
            start = time.process_time()
            call()
            values.append(time.process_time() - start)
    return [(statistics.median(values), min(values)) for values in found]


def clock(pair: Pair, rounds: int) -> Row:
    """The ratio of what two calls cost for the same work."""
    ours, peer = seconds((pair.ours, pair.peer), rounds)
    ratio = (peer[0] / pair.work[1]) / (ours[0] / pair.work[0])
    return Row(pair.what, pair.against, ratio, (pair.floor, np.inf), ours=ours, peer=peer)


def whitened(n: int, p: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, p) of unit covariance, skewed, and equal weights."""
    z = np.random.default_rng(seed).gamma(4.0, size=(n, p))
    return (z - z.mean(axis=0)) / z.std(axis=0), np.full(n, 1.0 / n)


def loop_over_a(rows: np.ndarray, weights: np.ndarray) -> float:
    """A2 by a matrix product for each column."""
    return float(sum(np.sum(((rows * (weights * rows[:, a])[:, None]).T @ rows) ** 2) for a in range(rows.shape[1])))


def contractions() -> Iterator[Pair]:
    """A2 in its two forms."""
    for p in (40, 80):
        third = whitened(20_000, p)
        ones = np.ones(p)
        assert abs(third_by_entries(third, ones)[0] / loop_over_a(*third) - 1.0) < 1e-9
        yield Pair(f"A2, N = 20000, p = {p}", "NumPy, (Z * Z_a)'Z for each a", lambda third=third, ones=ones: third_by_entries(third, ones),
                   lambda third=third: loop_over_a(*third), 5.0)  # fmt: skip
    few, ones = whitened(500, 100), np.ones(100)
    yield Pair("A2 by rows, N = 500, p = 100", "by entries", lambda: third_by_rows(few, ones), lambda: third_by_entries(few, ones), 2.0)
    for name, third in (("N = 500, p = 100", few), ("N = 20000, p = 40", whitened(20_000, 40))):
        scale = np.ones(third[0].shape[1])
        ways = seconds((lambda t=third, s=scale: third_by_rows(t, s), lambda t=third, s=scale: third_by_entries(t, s)), 3)
        slower = third_by_entries if ways[0][0] < ways[1][0] else third_by_rows
        yield Pair(f"A2, the form chosen, {name}", "the other form", lambda t=third, s=scale: third_contractions(t, s),
                   lambda t=third, s=scale, f=slower: f(t, s), 1.0)  # fmt: skip


def draws() -> Iterator[Pair]:
    """Effective draws of x from the quartic density."""
    family, theta = families.PolynomialExponential(4, RealLine()), np.array([0.0, 1.0, 0.0, -0.25])

    def effective(chains: np.ndarray) -> float:
        """Least effective number over the statistics of chains (n_chains, n_steps)."""
        return min(float(ess_mean(chains**k)) for k in range(1, 5))

    def log_density(x: np.ndarray) -> np.ndarray:
        return x[:, 0] ** 2 - 0.25 * x[:, 0] ** 4

    def by_emcee() -> np.ndarray:
        sampler = emcee.EnsembleSampler(64, 1, log_density, vectorize=True)
        sampler.run_mcmc(np.random.default_rng(1).normal(size=(64, 1)), 2000)
        return np.asarray(sampler.get_chain()[1000:, :, 0]).T

    n = 200_000

    def chains() -> np.ndarray:
        return chained(family, theta, n, np.random.default_rng(2))[:, :, 0]

    peer = effective(by_emcee())
    yield Pair("x draws of the quartic, independent", f"emcee {emcee.__version__}, vectorised, effective draws",
               lambda: family.simulate(theta, n, np.random.default_rng(2)), by_emcee, 100.0, (float(n), peer))  # fmt: skip
    yield Pair("x draws of the quartic, compiled chains", f"emcee {emcee.__version__}, vectorised, effective draws", chains, by_emcee,
               100.0, (effective(chains()), peer))  # fmt: skip


def regressions() -> Iterator[Pair | Row]:
    """Second order of the fair data, and refits of a logit."""
    import statsmodels.api as sm

    found = fitted("fair")
    x, mu = np.asarray(found.model.exog), np.asarray(found.predict())
    v = mu * (1.0 - mu)
    design = GeneralisedDesign(x, v, v * (1.0 - 2.0 * mu), v * (1.0 - 6.0 * v), np.asarray(found.model.endog) - mu, tuple("abcdefg"))

    def plain() -> float:
        root = np.linalg.cholesky(np.linalg.inv((x * v[:, None]).T @ x))
        z = x @ root
        spread = np.einsum("i,ia,ib->ab", design.residual**2, z, z)
        third = np.einsum("i,ia,ib,ic->abc", design.k3, z, z, z)
        truth = np.einsum("i,ia,ib,ic->abc", design.residual**3, z, z, z)
        fourth = np.einsum("i,ia,ib,ic,id->abcd", design.k4, z, z, z, z)
        vector = np.einsum("abe,ab->e", third, spread)
        a2 = np.einsum("ace,bde,ab,cd->", third, third, spread, spread)
        k4 = np.einsum("abcd,ab,cd->", fourth, spread, spread)
        return float(-np.sum(third * truth) / 3.0 - 0.375 * k4 + 0.375 * vector @ vector + 0.75 * a2)

    assert abs(design.sandwich().b / plain() - 1.0) < 1e-6
    yield Pair("second order of a logit, n = 6366, p = 7, sandwich", "einsum", design.sandwich, plain, 3.0)
    what, against = "bootstrap refit, logit, n = 150, p = 3", "GLM.fit of statsmodels"
    if util.find_spec("sciinf.engines.pn.bootstrap") is None:
        yield Row(what, against, None, (40.0, np.inf))
        return
    from sciinf.engines.pn import PNSettings, estimation_risk_bootstrap

    z = (np.arange(150) + 0.5) / 150.0
    w = np.column_stack([np.ones(150), 2.0 * z - 1.0, np.cos(3.0 * np.pi * z)])
    probability = expit(w @ [-0.4, 1.0, 0.5])
    y = (np.random.default_rng(4).uniform(size=(20, 150)) < probability).astype(float)
    fit = sm.Logit(y[0], w).fit(disp=0)
    settings = PNSettings(n_bootstrap=4000)
    yield Pair(what, against, lambda: estimation_risk_bootstrap(fit, settings=settings),
               lambda: [sm.GLM(each, w, family=sm.families.Binomial()).fit() for each in y], 40.0, (4000.0, 20.0))  # fmt: skip


def ising(n: int, partition: Any = "exact") -> ExponentialFamilyLikelihood:
    """Four spins on a ring."""
    family = families.Ising(4, ((0, 1), (1, 2), (2, 3), (3, 0)))
    theta = family.natural([0.1, -0.2, 0.3, 0.0], [0.4, 0.4, -0.3, 0.2])
    data = family.simulate(theta, n, np.random.default_rng(3))
    return ExponentialFamilyLikelihood(family, data, LikelihoodSettings(partition=partition, n_draws=20_000))


def likelihood() -> Iterator[Pair]:
    """Calls of the engine by draws."""
    engine = ising(50, "importance")
    mixture = engine.mixture
    assert mixture is not None
    counts = mixture.counts.astype(np.int64)
    rows, weights = np.repeat(mixture.rows, counts, axis=0), np.repeat(mixture.log_weights, counts)
    loose = replace(engine, mixture=replace(mixture, rows=rows, counts=np.ones(len(rows)), log_weights=weights))
    thetas = mixture.thetas[0] + 0.05 * np.random.default_rng(5).normal(size=(64, 8))

    def plain() -> np.ndarray:
        return engine.data.n * (thetas @ engine.data.mean - logsumexp(thetas @ rows.T + weights, axis=1)) + engine.data.log_base

    assert np.allclose(loose.log_likelihood_many(thetas), plain(), rtol=1e-9)
    yield Pair(f"ln L by {len(rows)} draws, p = 8, batch of 64", "NumPy product and logsumexp",
               lambda: loose.log_likelihood_many(thetas), plain, 2.0)  # fmt: skip
    many = np.repeat(thetas, 50, axis=0)
    yield Pair("ln L of four spins, equal draws once", "all draws", lambda: engine.log_likelihood_many(many),
               lambda: loose.log_likelihood_many(thetas), 100.0, (float(len(many)), 64.0))  # fmt: skip


def growth(rounds: int) -> Iterator[Row]:
    """Exponents and flatness."""
    sizes = (20, 40, 80, 160)
    found = []
    for p in sizes:
        third, ones = whitened(4000, p), np.ones(p)
        found.append(seconds((lambda t=third, o=ones: third_by_entries(t, o),), rounds)[0])
    slope = float(np.polyfit(np.log(sizes), np.log([each[0] for each in found]), 1)[0])
    yield Row("A2 by entries, exponent in p", "p = 20 to 160", slope, (2.5, 3.2), "exponent", found[-1], found[0])
    gamma, quartic = families.Gamma(), families.PolynomialExponential(4, RealLine())
    kinds: list[tuple[str, Any, Any, int]] = [
        ("closed", gamma, gamma.natural(2.0, 1.5), 200_000),
        ("quadrature", quartic, np.array([0.0, 1.0, 0.0, -0.25]), 4000),
        ("listed", None, None, 40_000),
    ]
    for name, family, theta, batch in kinds:
        engines = []
        for n in (100, 10_000, 1_000_000):
            engine = (
                ising(n) if family is None else ExponentialFamilyLikelihood(family, family.simulate(theta, n, np.random.default_rng(6)))
            )
            assert engine.anchor is not None
            engines.append((engine, np.tile(engines[0][1][0] if engines else engine.anchor.centre, (batch, 1))))
        calls = tuple(lambda e=engine, t=thetas: e.log_likelihood_many(t) for engine, thetas in engines)
        times = seconds(calls, rounds)
        ratio = max(each[1] for each in times) / min(each[1] for each in times)
        yield Row(f"ln L, {name}, dearest over cheapest n", "n = 1e2, 1e4, 1e6", ratio, (0.0, 1.2), "ratio of minima", times[-1], times[0])


MEMORY: dict[str, tuple[Callable[[], Callable[[], Any]], str, float]] = {}


def memory(what: str, bound: float) -> Callable[[Callable[[], Callable[[], Any]]], None]:
    """Register what makes inputs and returns a call, whose peak memory above them a process of its own measures."""

    def add(make: Callable[[], Callable[[], Any]]) -> None:
        MEMORY[make.__name__] = (make, what, bound)

    return add


@memory("A2, N = 20000, p = 80: peak above inputs", 64.0)
def wide() -> Callable[[], Any]:
    third, ones = whitened(20_000, 80), np.ones(80)
    third_by_entries(whitened(300, 8), np.ones(8))
    return lambda: third_contractions(third, ones)


@memory("A2, N = 2000, p = 150: peak above inputs", 128.0)
def wider() -> Callable[[], Any]:
    third, ones = whitened(2000, 150), np.ones(150)
    third_by_entries(whitened(300, 8), np.ones(8))
    return lambda: third_contractions(third, ones)


@memory("criterion of a normal law, d = 30, n = 1000, robust: peak of the process", 2048.0)
def thirty() -> Callable[[], Any]:
    x = np.random.default_rng(7).normal(size=(1000, 30))
    return lambda: pn_criterion(families.MultivariateNormal(30), x)


def peak(name: str) -> float:
    """MiB at the peak of a call, above what was in use before it unless the bound is of the process (Linux)."""
    make, what, _ = MEMORY[name]
    call = make()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what inputs left behind on the heap is not there for the call
    before = in_use("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    call()
    top = in_use("VmHWM")
    return top if "process" in what else top - before


def in_use(which: str) -> float:
    """MiB, of the kernel's count: VmRSS now, VmHWM at the peak."""
    return int(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))) / 1024.0


def memories() -> Iterator[Row]:
    """Each in a process of its own."""
    for name, (_, what, bound) in MEMORY.items():
        done = subprocess.run([sys.executable, __file__, "--memory", name], capture_output=True, text=True, check=True)
        yield Row(what, f"{bound:g} MiB", float(done.stdout), (-np.inf, bound), "MiB")


def single_thread() -> None:
    """Start again with one thread everywhere, where the environment does not say so: libraries read it when they load."""
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells."""

    def told(pair: tuple[float, float] | None) -> str:
        return "-" if pair is None else f"{pair[0]:.2e} ({pair[1]:.2e})"

    def bound(row: Row) -> str:
        low, high = row.bounds
        return f"at least {low:g}" if high == np.inf else f"at most {high:g}" if low <= 0.0 else f"{low:g} to {high:g}"

    heads = ["what", "against", "figure", "unit", "must be", "", "ours: median (minimum), s", "peer"]
    return heads, [
        [row.what, row.against, "-" if row.figure is None else f"{row.figure:.3g}", row.unit, bound(row), row.verdict, told(row.ours),
         told(row.peer)]
        for row in rows
    ]  # fmt: skip


def picture(rows: list[Row], path: Path) -> None:
    """Speed-ups as bars on a logarithmic axis, with what must hold."""
    shown = [row for row in rows if row.figure is not None and row.unit == "times faster"][::-1]
    figure = new_figure(9.0, 0.42 * len(shown) + 1.0)
    axis = figure.add_axes((0.46, 0.15, 0.51, 0.82))
    for i, row in enumerate(shown):
        axis.barh(i, row.figure or np.nan, color=COLOURS[0] if row.verdict != "MISSED" else COLOURS[1], height=0.6)
        axis.plot([row.bounds[0]] * 2, [i - 0.4, i + 0.4], color="black", lw=1.6, label="must hold" if i == 0 else None)
    axis.set_xscale("log")
    axis.set_yticks(range(len(shown)), [f"{row.what}\n: {row.against}" for row in shown], fontsize=7)
    axis.set_xlabel("times faster than the peer")
    figure.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here, and a table and a picture beside it")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each call")
    parser.add_argument("--memory", choices=list(MEMORY), help=argparse.SUPPRESS)
    options = parser.parse_args()
    single_thread()
    warnings.simplefilter("ignore")
    if options.memory is not None:
        print(peak(options.memory))
        return
    rows: list[Row] = []
    for collect in (contractions, draws, regressions, likelihood):
        rows += [clock(item, options.rounds) if isinstance(item, Pair) else item for item in collect()]
    rows += [*growth(options.rounds), *memories()]
    versions = {name: metadata.version(name) for name in ("sciinf", "numpy", "scipy", "numba", "emcee", "statsmodels")}
    versions |= {"python": platform.python_version(), "machine": platform.machine()}
    heads, cells = table(rows)
    print(", ".join(f"{name} {value}" for name, value in versions.items()))
    print(text_table(heads, cells))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"versions": versions, "rounds": options.rounds, "rows": [{**asdict(row), "verdict": row.verdict} for row in rows]}
        for row in content["rows"]:
            row["bounds"] = [None if abs(value) == np.inf else value for value in row["bounds"]]
        options.json.write_text(json.dumps(content, indent=1) + "\n")
        lines = ["| " + " | ".join(line) + " |" for line in (heads[:6], ["---"] * 6, *(line[:6] for line in cells))]
        note = ", ".join(f"{name} {value}" for name, value in versions.items() if name not in ("sciinf", "machine"))
        options.json.with_suffix(".md").write_text("\n".join(lines) + f"\n\nOne thread, median of {options.rounds} rounds; {note}.\n")
        picture(rows, options.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
