"""Speed of the r3d engine beside what its parts replace: one process, one thread, processor time, median and minimum of seven rounds.

Run in an environment of its own; a peer that is absent is reported as skipped:

    make bench
    .venv-bench/bin/python validation/benchmarks/r3d.py [--json FILE] [--values N]

Peers: a loop of ``np.sort`` or ``np.quantile`` over units, multipliers of the active units drawn and multiplied, scipy's multivariate t,
and rdrobust. A ratio is our time over the peer's, so small is fast; beside it stand what must hold and the goal. With ``--json FILE`` a
table and a picture of the same name are written beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from sciinf.calibration.verdict import text_table
from sciinf.engines.r3d import R3D, R3DSettings
from sciinf.engines.r3d.simulate import dgp1, scalar
from sciinf.results.drawing import COLOURS, new_figure
from sciinf.validation import r3d_scale

ROUNDS = 7
SHORTEST = 0.05  # seconds of a round: one call of a millisecond is the clock's and the caches' as much as its own
LEVELS = np.arange(1, 100) / 100
CHUNK = r3d_scale.CHUNKS[0]  # blocks of about 1e5 values
SEED = 1


@dataclass(frozen=True)
class Pair:
    """Two calls that do the same, and what their ratio must be and should be."""

    what: str
    against: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    floor: float
    goal: float


@dataclass(frozen=True)
class Row:
    """A ratio with the seconds behind it: (median, minimum) of ours and of the peer; None where it was skipped."""

    what: str
    against: str
    ratio: float | None
    floor: float
    goal: float | None
    ours: tuple[float, float] | None = None
    peer: tuple[float, float] | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Goal, holds, MISSED or skipped."""
        if self.ratio is None:
            return "skipped"
        if self.goal is not None and self.ratio <= self.goal:
            return "goal"
        return "holds" if self.ratio <= self.floor else "MISSED"


def clock(pair: Pair) -> Row:
    """Processor seconds of both calls, turn by turn; a short call is made so often that a round takes `SHORTEST`, the first untimed."""
    calls = (pair.ours, pair.peer)
    seconds: tuple[list[float], list[float]] = ([], [])
    repeats = []
    for call in calls:
        call()
        start = time.process_time()
        call()
        repeats.append(max(1, math.ceil(SHORTEST / (time.process_time() - start))))
    for _ in range(ROUNDS):
        for call, often, values in zip(calls, repeats, seconds, strict=True):
            call()  # the other one emptied the caches
            start = time.process_time()
            for _ in range(often):
                call()
            values.append((time.process_time() - start) / often)
    ours, peer = ((statistics.median(values), min(values)) for values in seconds)
    return Row(pair.what, pair.against, ours[0] / peer[0], pair.floor, pair.goal, ours, peer)


def parts(outcomes: Any) -> list[np.ndarray]:
    """Values of each unit."""
    return np.split(outcomes.values, outcomes.offsets[1:-1])


def extraction() -> Iterator[Pair]:
    """Unit quantiles, and the whole fit that rests on them."""
    data = dgp1(2000, 200, 1.0, np.random.default_rng(1))
    units = parts(data.outcomes)
    sort = "np.sort once per unit"
    yield Pair("whole fit, h given, n = 2000, n_i = 200, 99 levels", sort, lambda: R3D(data.x, data.outcomes).fit(0.5),
               lambda: [np.sort(unit) for unit in units], 2.0, 1.0)  # fmt: skip
    rng = np.random.default_rng(2)
    ragged = dgp1(16_000, rng.integers(100, 401, 16_000), 1.0, rng).outcomes
    loose = parts(ragged)

    def quantiles() -> Any:
        return ragged.quantiles(LEVELS)

    what = "unit quantiles, n_i = 100 to 400, 4e6 values"
    yield Pair(what, sort, quantiles, lambda: [np.sort(unit) for unit in loose], 1.2, 0.4)
    yield Pair(what, "np.quantile once per unit", quantiles, lambda: [np.quantile(unit, LEVELS) for unit in loose], 1 / 8, 1 / 20)


def bands() -> Iterator[Pair]:
    """The band's critical value from its exact law, and with a multiplier for each active unit."""
    for n, n_draws, floor, goal in ((2000, 1000, 0.25, 0.10), (5000, 5000, 0.10, 0.05)):
        data = dgp1(n, 100, 1.0, np.random.default_rng(n))
        fit = R3D(data.x, data.outcomes).fit(0.5)

        def direct(influence: np.ndarray = fit.influence, n_draws: int = n_draws) -> float:
            xi = np.random.default_rng(1).standard_normal((n_draws, len(influence)))
            return float(np.sort(np.abs(xi @ influence).max(axis=1))[int(0.95 * n_draws)])

        def ours(fit: Any = fit, n_draws: int = n_draws) -> Any:
            return fit.conf_band(n_draws=n_draws)

        what = f"band, B = {n_draws}, n = {n}, 99 levels"
        yield Pair(what, f"multipliers of the {len(fit.influence)} active units", ours, direct, floor, goal)


def likelihood() -> Iterator[Pair]:
    """The t likelihood of a shape, many points at once."""
    data = dgp1(500, 100, 1.0, np.random.default_rng(5))
    engine = R3D(data.x, data.outcomes).fit(0.6).to_engine("location_scale")
    thetas = np.random.default_rng(6).normal(size=(10_000, 2))
    freedom = engine.nu + 1.0 - len(engine.statistic)
    frozen = stats.multivariate_t(np.zeros(len(engine.statistic)), engine.covariance * engine.nu / freedom, freedom)
    basis = np.array([engine.tau(row) for row in np.eye(2)])

    def peer() -> Any:
        return frozen.logpdf(engine.statistic - thetas @ basis)

    assert np.allclose(engine.log_likelihood_many(thetas), peer(), rtol=1e-10)
    yield Pair("t likelihood, d = 5, batch of 1e4", "scipy's multivariate t", lambda: engine.log_likelihood_many(thetas), peer, 1 / 3, 0.1)


def classical() -> Iterator[Pair | Row]:
    """One value per unit: the discontinuity of rdrobust."""
    data = scalar(2000, 1.0, np.random.default_rng(7))
    settings, y = R3DSettings(q_grid=(0.5,)), data.outcomes.values
    model = R3D(data.x, data.outcomes, settings=settings)
    rows = (("fit, h given, one value per unit, n = 2000", "rdrobust at the same h", 1 / 20, 1 / 100),
            ("bandwidth and fit, one value per unit, n = 2000", "rdrobust, defaults", 1 / 20, 1 / 50))  # fmt: skip
    if util.find_spec("rdrobust") is None:
        for what, against, floor, goal in rows:
            yield Row(what, against, None, floor, goal, note="skipped: rdrobust is not installed")
        return
    from rdrobust import rdrobust

    theirs = float(np.ravel(rdrobust(y, data.x, h=0.4, b=0.4).coef)[0])
    linear = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=(0.5,), p=1))
    assert (
        abs(float(linear.fit(0.4).params[0]) - theirs) < 1e-9
    )  # the same estimate; ours below is of order 2, which is its bias-corrected one

    def fresh() -> R3D:
        return R3D(model.x, model.outcomes, settings=settings)  # nothing is kept from call to call

    yield Pair(*rows[0][:2], lambda: fresh().fit(0.4), lambda: rdrobust(y, data.x, h=0.4, b=0.4), *rows[0][2:])
    yield Pair(*rows[1][:2], lambda: fresh().fit(), lambda: rdrobust(y, data.x), *rows[1][2:])


def scale(values: int) -> list[Row]:
    """Chunks: cost per value beside the path in memory, growth, two threads beside one (wall time), memory of a worker."""

    def run(n: int, workers: int = 1, kind: str = "threads") -> tuple[float, float, r3d_scale.Extraction]:
        start = time.perf_counter()
        one = r3d_scale.extract(SEED, n, CHUNK, kind, workers)
        return one.cpu / one.values, (time.perf_counter() - start) / one.values, one

    rng = np.random.default_rng(3)
    whole = dgp1(4000, rng.integers(500, 1501, 4000), 1.0, rng).outcomes
    run(values // 100)
    whole.quantiles(LEVELS)
    rounds: dict[str, list[float]] = {"memory": [], "tenth": [], "all": [], "one, wall": [], "two, wall": []}
    for _ in range(ROUNDS):
        start = time.process_time()
        whole.quantiles(LEVELS)
        rounds["memory"].append((time.process_time() - start) / len(whole.values))
        rounds["tenth"].append(run(values // 10)[0])
        cpu, wall, _ = run(values)
        rounds["all"].append(cpu)
        rounds["one, wall"].append(wall)
        rounds["two, wall"].append(run(values, 2)[1])
    found = {name: (statistics.median(each), min(each)) for name, each in rounds.items()}

    def row(what: str, against: str, ours: str, peer: str, floor: float, goal: float | None = None) -> Row:
        return Row(what, against, found[ours][0] / found[peer][0], floor, goal, found[ours], found[peer], "seconds per value")

    worker = run(values // 10, 2, "processes")[2]
    bound = 6 * 8 * values_of_a_chunk() + 300 * 2**20
    memory = Row("memory of a worker process", f"6 chunks and 300 MiB ({bound / 2**20:.0f} MiB)", worker.worker_peak / bound, 1.0, None,
                 note=f"{worker.worker_peak / 2**20:.0f} MiB")  # fmt: skip
    return [
        row(f"chunks of 4e6, {values:.0e} values, 99 levels", "in memory, 4e6 values", "all", "memory", 1.5),
        row(f"{values:.0e} values in chunks", f"{values // 10:.0e} values", "all", "tenth", 1.15),
        row(f"{values:.0e} values, two threads, wall time", "one thread", "two, wall", "one, wall", 1 / 1.5),
        memory,
    ]


def values_of_a_chunk() -> int:
    """Values of the largest chunk."""
    return r3d_scale.extract(SEED, 1, 1, "threads", 1).values * CHUNK


def single_thread() -> None:
    """Start again with one thread everywhere, where the environment does not say so: libraries read it when they load."""
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells."""

    def seconds(pair: tuple[float, float] | None) -> str:
        return "-" if pair is None else f"{pair[0]:.2e} ({pair[1]:.2e})"

    heads = ["what", "against", "ratio", "must be at most", "goal", "", "ours: median (minimum), s", "peer"]
    return heads, [
        [row.what, row.against, row.note if row.ratio is None else f"{row.ratio:.3f}", f"{row.floor:.3g}",
         "-" if row.goal is None else f"{row.goal:.3g}", row.verdict, seconds(row.ours), seconds(row.peer)]
        for row in rows
    ]  # fmt: skip


def picture(rows: list[Row], path: Path) -> None:
    """Ratios as bars on a logarithmic axis, with what must hold and the goal."""
    shown = [row for row in rows if row.ratio is not None][::-1]
    figure = new_figure(9.0, 0.42 * len(shown) + 1.0)
    axis = figure.add_axes((0.44, 0.13, 0.53, 0.84))
    for i, row in enumerate(shown):
        axis.barh(i, row.ratio, color=COLOURS[0] if row.verdict != "MISSED" else COLOURS[1], height=0.6)
        axis.plot([row.floor] * 2, [i - 0.4, i + 0.4], color="black", lw=1.6, label="must hold" if i == 0 else None)
        if row.goal is not None:
            axis.plot([row.goal] * 2, [i - 0.4, i + 0.4], color=COLOURS[4], lw=1.6, ls=":", label="goal" if i == len(shown) - 1 else None)
    axis.set_xscale("log")
    axis.set_yticks(range(len(shown)), [f"{row.what}\n: {row.against}" for row in shown], fontsize=7)
    axis.set_xlabel("our time over the peer's")
    figure.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here, and a table and a picture beside it")
    parser.add_argument("--values", type=lambda text: int(float(text)), default=100_000_000, help="values of the largest extraction")
    options = parser.parse_args()
    single_thread()
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for collect in (extraction, bands, likelihood, classical):
        rows += [clock(item) if isinstance(item, Pair) else item for item in collect()]
    rows += scale(options.values)
    packages = ("sciinf", "numpy", "scipy", "numba", "rdrobust")
    versions = {name: metadata.version(name) if util.find_spec(name) else "absent" for name in packages}
    versions |= {"python": platform.python_version(), "machine": platform.machine()}
    heads, cells = table(rows)
    print(", ".join(f"{name} {value}" for name, value in versions.items()))
    print(text_table(heads, cells))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"versions": versions, "rounds": ROUNDS, "rows": [{**asdict(row), "verdict": row.verdict} for row in rows]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
        lines = ["| " + " | ".join(line) + " |" for line in (heads[:6], ["---"] * 6, *(line[:6] for line in cells))]
        note = ", ".join(f"{name} {value}" for name, value in versions.items() if name not in ("sciinf", "machine"))
        options.json.with_suffix(".md").write_text("\n".join(lines) + f"\n\nOne thread, median of {ROUNDS} rounds; {note}.\n")
        picture(rows, options.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
