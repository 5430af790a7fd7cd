"""Speed of the echo likelihood beside plain NumPy forms of it: one process, one thread, median and minimum of several rounds.

    python validation/benchmarks/echo.py [--json FILE] [--end-to-end N_LIVE]
    python validation/benchmarks/echo.py --draw FILE

The JSON file gets a table (.md) and a picture (.png) beside it; ``--draw`` makes both again from an earlier one.
Peers are re-expressed here: (a) the likelihood vectorised over bins, (b) a piecewise evaluation mode by mode, with the template taken
three times, as the published scripts have it. Ratios of medians; goals beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy import special

import sciinf
from sciinf.core.priors import Uniform
from sciinf.engines.echo import EchoSearch, Psd, Spectrum, fixed_band_priors
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject
from sciinf.engines.echo.template import CombTemplate, band_slice
from sciinf.numerics.jit import FUNCTION, INTS, MATRIX, VECTOR

COMB: dict[str, Any] = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.077, "band": (50.0, 339.0)}
THETA = np.array([5.83, 1.26, 0.25, 0.077])
ROUNDS = 9
DT = 1.0 / 4096.0


@dataclass(frozen=True)
class Timing:
    """Seconds per evaluation: median and minimum over rounds."""

    name: str
    median: float
    minimum: float


@dataclass(frozen=True)
class Ratio:
    """One row of the table of goals; ``least`` says which way it counts."""

    what: str
    ratio: float | None
    goal: float
    least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where nothing was measured."""
        return None if self.ratio is None else self.ratio >= self.goal if self.least else self.ratio <= self.goal


def clock(name: str, call: Callable[[], Any], per: int = 1, seconds: float = 0.1) -> Timing:
    """Time ``call``, which does ``per`` evaluations, in ROUNDS rounds of about ``seconds``."""
    call()
    start = time.perf_counter()
    call()
    repeats = max(1, int(seconds / max(time.perf_counter() - start, 1e-9)))
    values = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        values.append((time.perf_counter() - start) / repeats / per)
    return Timing(name, statistics.median(values), min(values))


@numba.njit(numba.float64(FUNCTION, MATRIX, VECTOR, INTS, VECTOR), nogil=True)
def run_scalar(function: Any, thetas: Any, floats: Any, ints: Any, work: Any) -> float:
    """Sum of the scalar kernel over rows, called as the compiled samplers call it."""
    total = 0.0
    for j in range(thetas.shape[0]):
        total += function(thetas[j], floats, ints, work)
    return total


def kernel(engine: EchoSearch, thetas: np.ndarray, name: str) -> Timing:
    """Per evaluation of the scalar kernel."""
    packed = engine.compiled()
    assert packed is not None
    rows, work = np.ascontiguousarray(thetas[:, : len(engine.parameters)]), np.empty(packed.workspace_size)
    return clock(name, lambda: run_scalar(packed.function, rows, packed.floats, packed.ints, work), per=len(rows))


def log_i0(x: np.ndarray) -> np.ndarray:
    """As scipy gives it."""
    return np.log(special.i0e(x)) + x


class Vectorised:
    """(a): everything over the bins of the band at once."""

    def __init__(self, data: Spectrum, phase: str) -> None:
        self.first, self.last = band_slice(*COMB["band"], data.duration, data.last_bin)
        self.data, self.psd, self.duration = data.values[self.first : self.last + 1], data.psd[self.first : self.last + 1], data.duration
        self.phase, self.template = phase, CombTemplate()

    def __call__(self, theta: np.ndarray) -> float:
        """Ln L."""
        u, tooth = self.template.evaluate(theta[0], theta[1], theta[2], self.first, self.last, self.duration)
        h = theta[3] * u
        matched, norm = 4.0 / self.duration * np.conj(h) * self.data / self.psd, 2.0 / self.duration * np.abs(h) ** 2 / self.psd
        if self.phase == "bin":
            return float(np.sum(log_i0(np.abs(matched))) - np.sum(norm))
        at = tooth - tooth[0]
        kappa = np.hypot(np.bincount(at, matched.real), np.bincount(at, matched.imag))
        return float(np.sum(log_i0(kappa)) - np.sum(norm))


class Piecewise:
    """(b): the comb made tooth by tooth over the whole band, three times (signal, norm, labels), then an append loop over the teeth."""

    def __init__(self, data: Spectrum) -> None:
        self.first, self.last = band_slice(*COMB["band"], data.duration, data.last_bin)
        self.frequency = np.arange(self.first, self.last + 1) / data.duration
        self.data, self.psd, self.duration = data.values[self.first : self.last + 1], data.psd[self.first : self.last + 1], data.duration
        self.template = CombTemplate()

    def comb(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Template and labels."""
        spacing, f0, w, a = theta
        centres = f0 + spacing * np.arange(np.floor((self.frequency[0] - f0) / spacing), np.ceil((self.frequency[-1] - f0) / spacing) + 1)
        half = self.template.cut(w, spacing, self.duration) * (1.0 - 1e-9) / (2.0 * np.pi)
        conditions = [np.abs(self.frequency - centre) < half for centre in centres]

        def line(centre: float) -> Callable[[np.ndarray], np.ndarray]:
            def value(f: np.ndarray) -> np.ndarray:
                rate = w + 2j * np.pi * (f - centre)
                return a * w / rate * (1.0 - np.exp(-rate * self.duration))

            return value

        signal = np.piecewise(self.frequency.astype(complex), conditions, [line(c) for c in centres] + [0.0])
        label = np.piecewise(self.frequency, conditions, [float(k) for k in range(len(centres))] + [-1.0])
        return signal, label

    def __call__(self, theta: np.ndarray) -> float:
        """Ln L of "mode"."""
        signal, norm, label = self.comb(theta)[0], self.comb(theta)[0], self.comb(theta)[1]
        kappa = []
        for k in np.unique(label[label >= 0.0]):
            here = label == k
            kappa.append(abs(np.sum(4.0 / self.duration * np.conj(signal[here]) * self.data[here] / self.psd[here])))
        return float(np.sum(log_i0(np.array(kappa))) - np.sum(2.0 / self.duration * np.abs(norm) ** 2 / self.psd))


def engine_at(duration: float, phase: str = "mode", amplitude: Any = "sampled", seed: int = 1) -> EchoSearch:
    """The published comb in unit noise."""
    rng = np.random.default_rng(seed)
    data = gaussian_noise(Psd.white(2.0 * DT), duration, DT, rng)
    data = inject(data, comb(data, **COMB, rng=rng))
    return EchoSearch(data, phase=phase, amplitude=amplitude, band=COMB["band"], offset_unit="Hz")  # type: ignore[arg-type]


def around(engine: EchoSearch, n: int = 2000) -> np.ndarray:
    """Points about the truth, so that no branch is learned by heart."""
    rng = np.random.default_rng(2)
    return THETA * (1.0 + rng.uniform(-1e-3, 1e-3, size=(n, 4)))


def off_signal(n: int = 2000) -> np.ndarray:
    """Points of the prior."""
    rng = np.random.default_rng(3)
    spacing = rng.uniform(4.0, 10.0, n)
    return np.column_stack([spacing, rng.uniform(0.0, 1.0, n) * spacing, np.full(n, 0.25), np.full(n, 0.077)])


def kernels(timings: list[Timing], rows: list[Ratio]) -> None:
    """One evaluation at T = 12 s against both peers, amplitude given and marginalised."""
    for phase, bar in (("mode", 100.0), ("bin", 50.0), ("whittle", None)):
        engine = engine_at(12.0, phase)
        spectrum = engine.spectra[0]
        plain = kernel(engine, around(engine), f"kernel, {phase}")
        timings.append(plain)
        if bar is not None:
            twin = Vectorised(spectrum, phase)
            assert abs(twin(THETA) - engine.log_likelihood(THETA)) < 1e-8
            numpy = clock(f"NumPy over bins, {phase}", lambda twin=twin: twin(THETA))
            timings.append(numpy)
            rows.append(Ratio(f"kernel, {phase}, against NumPy over bins", numpy.median / plain.median, bar))
        if phase == "mode":
            peer = Piecewise(spectrum)
            assert abs(peer(THETA) - engine.log_likelihood(THETA)) < 1e-8
            timings.append(clock("mode by mode, piecewise", lambda peer=peer: peer(THETA)))
            rows.append(Ratio("kernel, mode, against the piecewise form", timings[-1].median / plain.median, 1000.0))
        marginal = replace(engine, amplitude=Uniform(0.0, 10.0))
        for where, points in (("at the signal", around(engine)), ("off the signal", off_signal())):
            one = kernel(marginal, points, f"kernel, {phase}, marginalised, {where}")
            same = kernel(engine, points, f"kernel, {phase}, {where}")
            timings += [one, same]
            rows.append(Ratio(f"{phase}: marginalised over plain, {where}", one.median / same.median, 3.0, least=False))


def high_lower_end(timings: list[Timing], rows: list[Ratio]) -> None:
    """U(0.07, 0.13) for the amplitude at T = 4 s: it cuts the peak at the signal, and off it nearly all of the likelihood lies below it."""
    for phase in ("mode", "bin"):
        engine = engine_at(4.0, phase)
        high = replace(engine, amplitude=Uniform(0.07, 0.13))
        for where, points in (("at the signal", around(engine)), ("off the signal", off_signal())):
            one = kernel(high, points, f"kernel, {phase}, T = 4 s, U(0.07, 0.13), {where}")
            same = kernel(engine, points, f"kernel, {phase}, T = 4 s, {where}")
            timings += [one, same]
            rows.append(Ratio(f"{phase}: a prior of high lower end over plain, {where}", one.median / same.median, 3.0, least=False))


def scaling(timings: list[Timing], rows: list[Ratio]) -> None:
    """T = 48 s against T = 8 s with as many bins in the windows: widths chosen to match within 2 %."""
    found = {}
    for duration, width in ((8.0, 0.75), (48.0, 0.125)):
        engine = engine_at(duration)
        points = around(engine)
        points[:, 2] = width
        bins = float(np.mean(engine.derived_many(points)[:, 4]))
        found[duration] = kernel(engine, points, f"kernel, mode, T = {duration:g} s, {bins:.0f} bins"), bins
        timings.append(found[duration][0])
    note = f"{found[8.0][1]:.1f} and {found[48.0][1]:.1f} bins in the windows"
    rows.append(Ratio("T = 48 s over T = 8 s at as many bins", found[48.0][0].median / found[8.0][0].median, 1.3, least=False, note=note))


def batch(timings: list[Timing], rows: list[Ratio]) -> None:
    """10,000 points in one call, and halves of them on two threads."""
    engine = engine_at(12.0)
    points = around(engine, 10_000)
    single = kernel(engine, points, "scalar kernel over 10,000 points")
    many = clock("batch of 10,000", lambda: engine.log_likelihood_many(points), per=len(points))
    halves = np.array_split(points, 2)
    with ThreadPoolExecutor(2) as pool:
        two = clock("batch of 10,000 on two threads", lambda: list(pool.map(engine.log_likelihood_many, halves)), per=len(points))
    python = clock("engine.log_likelihood from Python", lambda: engine.log_likelihood(THETA))
    timings += [single, many, two, python]
    rows.append(Ratio("batch of 10,000 over the scalar kernel", single.median / many.median, 1.0))
    note = "" if (os.cpu_count() or 1) > 1 else "one core only"
    rows.append(Ratio("two threads over one", many.median / two.median, 1.7, note=note))


def end_to_end(n_live: int, timings: list[Timing], rows: list[Ratio]) -> dict[str, Any]:
    """One search at T = 12 s: stock dynesty with our kernel, compiled proposals, and with the amplitude marginalised."""
    sampled = engine_at(12.0)
    marginal = replace(sampled, amplitude=Uniform(0.0, 10.0))
    found: dict[str, Any] = {}
    for name, engine, how in (
        ("compiled, marginalised", marginal, "auto"), ("compiled, sampled", sampled, "auto"),
        ("stock dynesty, sampled", sampled, "dynesty"),
    ):  # fmt: skip
        problem = sciinf.Problem(engine, fixed_band_priors(engine, unit_noise=engine is sampled))
        start = time.perf_counter()
        posterior = sciinf.sample(problem, sciinf.Dynesty(n_live=n_live, engine=how), seed=1, progress=False)  # type: ignore[arg-type]
        seconds = time.perf_counter() - start
        found[name] = {
            "seconds": seconds, "calls": int(posterior.meta["counts"]["calls"]), "log_evidence": posterior.log_evidence,
            "error": posterior.log_evidence_error, "best": float(posterior.log_likelihood.max()),
        }  # fmt: skip
        timings.append(Timing(f"search, {name}, n_live {n_live}", seconds, seconds))
    stock = found["stock dynesty, sampled"]
    for name, goal in (("compiled, sampled", 2.0), ("compiled, marginalised", 5.0)):
        off = abs(found[name]["log_evidence"] - stock["log_evidence"]) / np.hypot(found[name]["error"], stock["error"])
        rows.append(
            Ratio(
                f"search: {name}, less wall than stock",
                stock["seconds"] / found[name]["seconds"],
                goal,
                note=f"ln B: {off:.1f} errors",
            )
        )
    return found


def sizes(rows: list[Ratio]) -> None:
    """Memory of the engine, and of a task sent to a worker."""
    engine = engine_at(52.0)
    packed = engine.compiled()
    assert packed is not None
    n_bins = engine.bins[1] - engine.bins[0] + 1
    held = packed.floats.nbytes + 8 * packed.workspace_size
    rows.append(Ratio("bytes per bin in the band, less 1 MB", max(held - 2**20, 0) / n_bins, 64.0, least=False, note=f"{held} B"))
    rows.append(Ratio("bytes of a pickled task", float(len(pickle.dumps(THETA))), 1000.0, least=False))


def _short(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:.3g}" if value < 1000.0 else f"{value:,.0f}"


def table(report: dict[str, Any]) -> str:
    """Goals and times as Markdown."""
    lines = [", ".join(f"{name} {value}" for name, value in report["versions"].items()) + "; one process, one thread.", ""]
    lines += ["| what | ratio of medians | goal | met | note |", "|---|---|---|---|---|"]
    for row in report["ratios"]:
        ratio = "-" if row["ratio"] is None else _short(row["ratio"])
        met = {True: "yes", False: "NO", None: "-"}[row["met"]]
        lines.append(f"| {row['what']} | {ratio} | {'≥' if row['least'] else '≤'} {row['goal']:g} | {met} | {row['note']} |")
    lines += ["", "| one evaluation | median, µs | least, µs |", "|---|---|---|"]
    each = [item for item in report["timings"] if not item["name"].startswith("search")]
    lines += [f"| {item['name']} | {1e6 * item['median']:.2f} | {1e6 * item['minimum']:.2f} |" for item in each]
    if report["searches"]:
        lines += ["", "| search, T = 12 s | seconds | calls | ln B | best ln L |", "|---|---|---|---|---|"]
    for name, run in report["searches"].items():
        evidence = f"{run['log_evidence']:.2f} ± {run['error']:.2f}"
        lines.append(f"| {name} | {run['seconds']:.1f} | {run['calls']:,} | {evidence} | {run['best']:.1f} |")
    return "\n".join(lines) + "\n"


def plot(report: dict[str, Any], path: Path) -> None:
    """How far each ratio is beyond its goal, and the times of one evaluation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in report["ratios"] if row["ratio"]]
    each = [item for item in report["timings"] if not item["name"].startswith("search")]
    figure = Figure(figsize=(11.0, 0.27 * (len(rows) + len(each)) + 1.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(len(rows), len(each)))
    factors = [row["ratio"] / row["goal"] if row["least"] else row["goal"] / row["ratio"] for row in rows]
    above.barh(range(len(rows)), [f - 1.0 for f in factors], left=1.0, color=["C0" if row["met"] else "C3" for row in rows], height=0.7)
    above.axvline(1.0, color="0.3", linewidth=1.0)
    for k, (row, factor) in enumerate(zip(rows, factors, strict=True)):
        text = f" {_short(row['ratio'])} ({'≥' if row['least'] else '≤'} {row['goal']:g}) "
        above.text(factor, k, text, va="center", ha="left" if factor >= 1.0 else "right", fontsize="small")
    above.set_yticks(range(len(rows)), [row["what"] for row in rows], fontsize="small")
    above.set(xscale="log", xlabel="times better than its goal", xlim=(0.7 * min(1.0, *factors), 4.0 * max(factors)))
    below.barh(range(len(each)), [1e6 * item["median"] for item in each], color="C0", height=0.7)
    for k, item in enumerate(each):
        below.text(1e6 * item["median"], k, f" {_short(1e6 * item['median'])}", va="center", fontsize="small")
    below.set_yticks(range(len(each)), [item["name"] for item in each], fontsize="small")
    below.set(xscale="log", xlabel="one evaluation, median [µs]", xlim=(1.0, 4e6 * max(item["median"] for item in each)))
    for axes in (above, below):
        axes.invert_yaxis()
        axes.margins(y=0.01)
    FigureCanvasAgg(figure).print_png(path)


def draw(path: Path) -> None:
    """Table and picture beside the JSON file."""
    report = json.loads(path.read_text(encoding="utf-8"))
    path.with_suffix(".md").write_text(table(report), encoding="utf-8")
    plot(report, path.with_suffix(".png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--end-to-end", type=int, metavar="N_LIVE", default=0, help="run searches too (1000 is the published setting)")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="table and picture of an earlier run's JSON file, and nothing else")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(arguments.draw)
        return
    timings: list[Timing] = []
    rows: list[Ratio] = []
    kernels(timings, rows)
    high_lower_end(timings, rows)
    scaling(timings, rows)
    batch(timings, rows)
    sizes(rows)
    searches = end_to_end(arguments.end_to_end, timings, rows) if arguments.end_to_end else {}
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba", "dynesty")}
    versions |= {"python": platform.python_version(), "sciinf": sciinf.__version__}
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    for item in timings:
        print(f"{item.name:55s} {1e6 * item.median:12.2f} us  (least {1e6 * item.minimum:.2f})")
    for row in rows:
        sign = ">=" if row.least else "<="
        print(f"{'met ' if row.met else 'MISS'}  {row.what:60s} {row.ratio:10.2f}  {sign} {row.goal:g}  {row.note}")
    for name, values in searches.items():
        print(f"{name}: {values}", file=sys.stderr)
    if arguments.json:
        report = {
            "versions": versions, "timings": [asdict(item) for item in timings],
            "ratios": [{**asdict(row), "met": row.met} for row in rows],
            "searches": searches,
        }  # fmt: skip
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
        draw(arguments.json)


if __name__ == "__main__":
    main()
