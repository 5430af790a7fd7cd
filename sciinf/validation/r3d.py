"""The r3d suite: coverage of bands and averages, size and power of tests, bandwidths, the likelihood of shapes, scale, and faults."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration import sbc
from sciinf.calibration.injections import campaign, campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.samplers.pools import Pool, Workers, open_pool
from sciinf.samplers.settings import Emcee
from sciinf.validation import r3d_checks as checks
from sciinf.validation import r3d_controls as controls
from sciinf.validation import r3d_coverage as bands
from sciinf.validation import r3d_designs as designs
from sciinf.validation import r3d_figures as figures
from sciinf.validation import r3d_likelihood as likelihood
from sciinf.validation import rates
from sciinf.validation.r3d_reference import OPTIMUM, PUBLISHED
from sciinf.validation.r3d_scale import extraction
from sciinf.validation.r3d_tiers import FULL, LONG, QUICK, Scale
from sciinf.validation.suite import Recorder, SuiteResult, Tier, check_tier, quiet_samplers

__all__ = ["FULL", "LONG", "QUICK", "Scale", "run"]

_SEED = 20250401
_SIZES = (500, 2000, 8000)
_CAMPAIGN = Emcee(n_walkers=64, moves="de", tau_multiple=20)
_SKEWED = (0.25, 0.5, 1.0)
_STRONG = 2.27
_CLUSTERED = (1000, 2000, 4000)
_FEW = (10, 20, 50, 150)
_NU = 12.4  # of the statistic of five levels at n = 200


@dataclass
class _Suite:
    """One run of the suite."""

    scale: Scale
    record: Recorder
    workers: Workers
    pool: Pool

    def _map(self, function: Any, n: int, stream: int, *arguments: Any) -> list[Any]:
        """``n`` replicas of one seed stream."""
        return checks.mapped(self.pool, function, [_SEED + 100_000 * stream + i for i in range(n)], *arguments)

    def _skipped(self, name: str, replicas: int) -> bool:
        if not replicas:
            self.record.skip(name, "in --full")
        return not replicas

    # ---- bands, averages, tests ----

    def coverage(self) -> None:
        """Bands and averages on the first design, by covariance and form; the published coverages beside ours."""
        rows, widths, by_size = [], [], {}
        for i, (n, n_i, replicas) in enumerate(self.scale.coverage):
            name = f"n = {n}, n_i = {n_i if isinstance(n_i, int) else '{}-{}'.format(*n_i)}"
            with self.record.part(f"coverage, {name}"):
                flags = checks.together(self._map(bands.coverage_replica, replicas, i, n, n_i, 1.0))
            rows.append((name, *(rates.rate(flags[key]) for key in bands.BANDS), f"{np.median(flags['h']):.3f}"))
            widths.append((name, *(f"{np.mean(flags[f'{key} half-width']):.3f}" for key in bands.BANDS)))
            if isinstance(n_i, int):
                by_size[n] = flags
            self._judge(name, n, n_i, flags, decides=i == 0)
        self.record.table("Coverage of the 95 % band, per cent", ("design", *bands.BANDS, "h, median"), rows)
        self.record.table("Mean half-width of the band", ("design", *bands.BANDS), widths)
        self._beside_the_published(by_size)
        if self.record.directory:
            self.record.figure("coverage", figures.coverage(by_size))
            self.record.figure("effects", figures.effects(_SEED, 1000, _SKEWED[1]))

    def _judge(self, name: str, n: int, n_i: bands.Sizes, flags: dict[str, list[Any]], *, decides: bool) -> None:
        """The checks of one row."""
        band, full = flags["HC3 constant"], len(flags["h"]) >= 1000
        if not decides:
            self.record.add(rates.window(f"band, {name}", band, 0.92, 0.975 if n == 200 or not isinstance(n_i, int) else 0.97))
            return
        floor = 0.91 if full else None
        self.record.add(rates.window(f"band, {name}", band, 0.92, 0.97, floor=floor))
        if full:
            wrong = rates.window("band", flags["truncated"], 0.92, 0.97, floor=floor)
            self.record.add_renamed("residuals of negative weight left out, variance x .8", [wrong], expect_failure=True)
        self.record.add(rates.window("homogeneity accepts a constant effect", flags["homogeneity"], 0.915, 0.98))
        for j, (low, high) in enumerate(bands.RANGES):
            self.record.add(rates.window(f"average {low:g}-{high:g}", [one[j] for one in flags["averages"]], 0.92, 0.975))
        self.record.add(rates.window("averages together", flags["averages together"], 0.92, 0.975))

    def _beside_the_published(self, by_size: dict[int, dict[str, list[Any]]]) -> None:
        columns = ("HC0 constant", "local polynomial", "R package's h", "HC3 constant")
        rows = []
        for n, published in PUBLISHED.items():
            ours = [rates.rate(by_size[n][key]) for key in columns] if n in by_size else ["-"] * len(columns)
            rows.append((str(n), *(f"{100 * value:.2f}" for value in published), *ours))
        heads = (
            "n",
            "published, Frechet",
            "published, local polynomial",
            "HC0",
            "HC0, local polynomial",
            "HC0 at the R package's h",
            "HC3",
        )
        self.record.table(
            "Coverage of the 95 % constant band beside the published, per cent (n_i = 100; theirs is not stated)", heads, rows
        )

    def clusters(self) -> None:
        """Units that share shocks: clusters few in number are recorded, many decide."""
        if self._skipped("clusters", self.scale.clusters):
            return
        rows = []
        with self.record.part("clusters"):
            for i, n in enumerate(_CLUSTERED):
                flags = checks.together(self._map(bands.clustered_replica, self.scale.clusters, 33 + i, n, 20, 1.5))
                rows.append((str(n), str(n // 5), *(rates.rate(flags[name]) for name in ("CR1", "HC3"))))
        self.record.add(rates.window(f"clusters of five, CR1, n = {_CLUSTERED[-1]}", flags["CR1"], 0.92, 0.975))
        wrong = rates.window("HC3", flags["HC3"], 0.90)
        self.record.add_renamed("clusters taken for independent: coverage of 90 %", [wrong], expect_failure=True)
        title = "Clusters of five neighbours with a shared shock of 1.5: coverage of the 95 % band, per cent"
        self.record.table(title, ("units", "clusters", "CR1", "HC3"), rows)

    def few_clusters(self) -> None:
        """Normal and t intervals of a clustered covariance by the number of clusters on a side."""
        if self._skipped("few clusters", self.scale.few_clusters):
            return
        rows, found = [], {}
        with self.record.part("few clusters"):
            for i, g in enumerate(_FEW):
                found[g] = checks.together(self._map(bands.few_clusters_replica, self.scale.few_clusters, 81 + i, g))
                rows.append((str(g), f"{np.median(found[g]['nu']):.1f}", *(rates.rate(found[g][name]) for name in ("normal", "t"))))
        self.record.add(rates.window(f"CR1, {_FEW[-1]} clusters a side", found[_FEW[-1]]["normal"], 0.92, 0.975))
        self.record.add(rates.window(f"CR1 and t, {_FEW[-2]} clusters a side", found[_FEW[-2]]["t"], 0.92, 0.975))
        wrong = rates.window("normal interval", found[_FEW[0]]["normal"], 0.90)
        self.record.add_renamed(f"a normal interval from {_FEW[0]} clusters a side", [wrong], expect_failure=True)
        title = "CR1 with clusters of ten neighbours, one value per unit: coverage of 95 % intervals, per cent"
        self.record.table(title, ("clusters a side", "nu_eff, median", "normal", "t(nu_eff)"), rows)

    def tests(self) -> None:
        """Size and power of nullity; power of homogeneity on the skewed design."""
        with self.record.part("tests"):
            null = self._map(bands.nullity_replica, self.scale.nullity, 11, 500, 100, 0.0)
            strong = self._map(bands.nullity_replica, self.scale.power, 12, 500, 100, _STRONG)
        self.record.add(rates.window("nullity accepts no effect", null, 0.915, 0.98))
        self.record.add(
            rates.window(f"nullity rejects at {_STRONG}", [not one for one in strong], 0.95, floor=0.95 if len(strong) >= 1000 else None)
        )
        if self._skipped("power of homogeneity on the skewed design", self.scale.skewed):
            return
        rows = []
        with self.record.part("skewed design"):
            for i, rate_effect in enumerate(_SKEWED):
                flags = checks.together(self._map(bands.homogeneity_replica, self.scale.skewed, 13 + i, 500, 100, 1.0, rate_effect))
                rows.append((f"{rate_effect:g}", rates.rate(flags["rejected"]), rates.rate(flags["covers"])))
        title = "Skewed design, n = 500, n_i = 100, effect 1: per cent of data sets"
        self.record.table(title, ("change of the rate", "constant effect rejected at 5 %", "band holds the truth"), rows)

    def gini(self) -> None:
        """Size and power of the centred test; the uncentred one has none."""
        with self.record.part("gini"):
            strong = checks.together(self._map(bands.gini_replica, self.scale.gini, 21, 400, 100, 1.0))
            null = checks.together(self._map(bands.gini_replica, self.scale.gini, 22, 400, 100, 0.3))
        floor = 0.95 if self.scale.gini >= 80 else None
        power = {name: [p < 0.05 for p in values] for name, values in strong.items()}
        size = {name: [p < 0.05 for p in values] for name, values in null.items()}
        self.record.add(rates.window("Gini test finds a log-sd of 1.0 for .3", power["ours"], 0.95, floor=floor))
        self.record.add(rates.window("Gini test: size", size["ours"], 0.03, 0.08))
        wrong = rates.window("power", power["uncentred"], 0.95, floor=floor)
        self.record.add_renamed("Gini test, not centred: power", [wrong], expect_failure=True)
        rows = [(name, rates.rate(size[name]), rates.rate(power[name]), f"{np.median(strong[name]):.3f}") for name in power]
        self.record.table("Gini test, per cent rejected at 5 %", ("draws", "no change", "log-sd .3 to 1.0", "median p there"), rows)

    # ---- designs ----

    def fuzzy(self) -> None:
        """Compliance that differs between units; a weak first stage, as it is."""
        with self.record.part("fuzzy"):
            found = {c: checks.together(self._map(designs.fuzzy_replica, self.scale.fuzzy, 31, 600, 50, c)) for c in (0.75, 0.33)}
        strong = found[0.75]
        self.record.add(rates.window("fuzzy band, compliance .75", strong["compliers"], 0.92, 0.975))
        wrong = rates.window("band", strong["all units"], 0.92, 0.975)
        self.record.add_renamed("effect on all units taken for that on compliers", [wrong], expect_failure=True)
        apart = float(np.median(np.abs(np.log(np.array(strong["h"]) / np.array(strong["h_den"])))))
        detail = "median distance of the logarithms of the bandwidths of outcome and treatment; bound > .2"
        self.record.add(Verdict("fuzzy: two bandwidths", apart, None, len(strong["h"]), apart > 0.2, detail))
        rows = [
            (f"{c:g}", f"{np.median(np.abs(one['t'])):.1f}", rates.rate(one["compliers"]), rates.rate(one["all units"]),
             f"{np.median(one['half-width']):.2f}")
            for c, one in found.items()
        ]  # fmt: skip
        heads = ("compliance", "first stage t, median", "effect on compliers", "effect on all units", "half-width, median")
        self.record.table("Fuzzy designs, n = 600: coverage of the 95 % band, per cent", heads, rows)

    def bandwidths(self) -> None:
        """Medians beside the optimum, the rate, and what a change of unit does."""
        with self.record.part("bandwidths"):
            found = [checks.together(self._map(designs.bandwidth_replica, self.scale.bandwidths, 41, n)) for n in _SIZES]
        rows, medians = [], {name: np.array([np.median(each[name]) for each in found]) for name in found[0]}
        for name, median in medians.items():
            verdict = designs.bandwidth_verdict(name, median, _SIZES, self.scale.bandwidths)
            if name == "R package":
                self.record.add_renamed("order-s coefficient taken for the bias", [verdict], expect_failure=True)
            else:
                self.record.add(verdict)
            slope = float(np.polyfit(np.log(_SIZES), np.log(median), 1)[0])
            rows.append((name, *(f"{value:.3f}" for value in median), f"{slope:.3f}"))
        rows.append(("optimum", *(f"{OPTIMUM * n**-0.2:.3f}" for n in _SIZES), "-0.200"))
        self.record.table("Bandwidth, median", ("rule", *(f"n = {n}" for n in _SIZES), "log-log slope"), rows)
        self.record.add(designs.equivariance(_SEED, compat=False))
        self.record.add_renamed("bandwidth of the R package", [designs.equivariance(_SEED, compat=True)], expect_failure=True)
        if self.record.directory:
            self.record.figure("bandwidths", figures.bandwidths(medians, _SIZES))

    def contrast(self) -> None:
        """Average quantile effects are not what a pooled comparison finds."""
        with self.record.part("contrast"):
            found = checks.together(self._map(designs.contrast_replica, self.scale.contrast, 51, 2000, 60))
        curves = {name: np.array(values) for name, values in found.items()}
        low, high = (designs.CONTRAST_LEVELS.index(q) for q in (0.1, 0.9))
        limits = {"ours": 1.2815515655446004, "pooled": float(designs.pooled_limit((0.9,))[0])}
        for name, bound in (("ours", 0.12), ("pooled", 0.10)):
            self.record.add(designs.contrast_verdict(name, 0.5 * (curves[name][:, high] - curves[name][:, low]), limits[name], bound))
        wrong = designs.contrast_verdict("pooled", 0.5 * (curves["pooled"][:, high] - curves["pooled"][:, low]), limits["ours"], 0.12)
        self.record.add_renamed("pooled comparison taken for the average quantile effect", [wrong], expect_failure=True)
        if self.record.directory:
            self.record.figure("contrast", figures.contrast(curves["ours"], curves["pooled"]))

    # ---- likelihood ----

    def evidence(self) -> None:
        """Evidence and posterior of stored statistics by both samplers; Bayes factors."""
        rows = []
        for i, case in enumerate(likelihood.cases(self.scale.evidence)):
            with self.record.part(case.name):
                verdicts, row = likelihood.compared(case, self.scale.n_live, _SEED + i)
            self.record.add(*verdicts)
            rows.append(row)
        heads = ("likelihood", "ln Z", "dynesty", "delta", "dynesty", "emcee")
        self.record.table("Evidence and posterior, N(0, 25) priors", heads, rows)
        with self.record.part("Bayes factors"):
            verdicts, lines = likelihood.bayes_factors(self.scale.n_live, _SEED)
        self.record.add(*verdicts)
        self.record.table("Shapes of one effect", ("form", "shape", "ln Z", "dynesty", "ln B against none"), lines)

    def intervals(self) -> None:
        """Coverage of a shift by the t and the Gaussian form."""
        if self._skipped("coverage of the likelihood's forms", self.scale.intervals):
            return
        rows = []
        for i, (n, n_i, h) in enumerate(((500, 100, 0.6), (200, 50, 0.5))):
            with self.record.part(f"intervals, n = {n}"):
                found = self._map(likelihood.shape_replica, self.scale.intervals, 71 + i, n, n_i, h)
            rows += likelihood.interval_rows(found, f"n = {n}, h = {h}")
            for name in ("t, HC2", "t, HC2, two parameters"):
                low, floor = (0.92 if n == 500 else 0.90), (0.92 if n == 500 and len(found) >= 1000 else None)
                flags = [one[key] for one in found if (key := f"{name}, d = 5") in one]  # a few have too few degrees of freedom
                self.record.add(rates.window(f"{name}, n = {n}, d = 5", flags, low, 0.975, floor=floor))
            if n == 200:
                wrong = rates.window("interval", [one["Gaussian, HC2, d = 5"] for one in found], 0.90, 0.975)
                self.record.add_renamed("nu to infinity, n = 200, d = 5", [wrong], expect_failure=True)
        self.record.table("Coverage of 95 % intervals of a shift, per cent", ("design", "d", *likelihood.FORMS), rows)

    def ranks(self) -> None:
        """Ranks on the likelihood's own law, and of faulty analyses of it; then from raw data to the posterior."""
        n, width = self.scale.ranks, self.scale.width
        right, small = likelihood.effect_problem(_SEED), likelihood.effect_problem(_SEED, _NU)
        panels = {"own law": self._ranks("own law", right)}
        self.record.add_renamed("own law", checks.rank_verdicts(panels["own law"], right.names).values())
        faults = [(f"covariance x {width}^2", "variance", controls.wider(right.engine, width**2))]  # type: ignore[arg-type]
        faults.append(("statistic moved by half an error", "mean", controls.moved(right.engine, 0.5)))  # type: ignore[arg-type]
        if self.scale.gaussian:
            faults.append((f"a normal for a t of nu = {_NU}", "variance", controls.gaussian(small.engine)))  # type: ignore[arg-type]
        for name, test, engine in faults:
            panels[name] = self._ranks(name, Problem(engine, right.priors, name=name))
            self.record.add_renamed(name, [checks.rank_verdicts(panels[name], right.names)[test]], expect_failure=True)
        panels["from raw data"] = self._pipeline()
        rows = []
        for name, ranks in panels.items():
            found = sbc.test(ranks, [f"{j}" for j in range(ranks.shape[1])])
            rows.append((name, str(len(ranks)), *(", ".join(f"{z:+.2f}" for z in each) for each in (found.mean_z, found.variance_z))))
        self.record.table(f"Ranks ({n} replicas of the likelihood's own law)", ("analysis", "n", "mean z", "variance z"), rows)
        if self.record.directory:
            self.record.figure("pit", figures.pit({name: ranks[:, 0] for name, ranks in panels.items()}))

    def _ranks(self, name: str, problem: Problem) -> NDArray[np.int64]:
        with self.record.part(f"ranks, {name}"):
            folder = self.record.folder(f"ranks-{name.replace(' ', '-')}")
            return campaign(problem, self.scale.ranks, _SEED, _CAMPAIGN, workers=self.workers, directory=folder).ranks

    def _pipeline(self) -> NDArray[np.int64]:
        """Ranks of shifts whose raw data were simulated, fitted and sampled."""
        with self.record.part("pipeline"):
            found = self._map(likelihood.pipeline_engine, self.scale.pipeline, 61, 500, 100)
            priors = PriorSet([Parameter("delta", likelihood.PIPELINE_PRIOR)])
            problems = [Problem(engine, priors, name="pipeline") for engine, _ in found]
            thetas = np.array([[delta] for _, delta in found])
            folder = self.record.folder("pipeline")
            done = campaign_over(problems, _CAMPAIGN, _SEED, thetas=thetas, workers=self.workers, directory=folder)
        self.record.add_renamed("from raw data", checks.rank_verdicts(done.ranks, done.names).values())
        inside = ((done.ranks[:, 0] >= 5) & (done.ranks[:, 0] < sbc.N_DRAWS - 4)).tolist()  # 190 of 200 ranks
        self.record.add(rates.window("from raw data: 95 % intervals", inside, 0.92, 0.98))
        return done.ranks

    def extraction(self) -> None:
        """Values that do not fit together."""
        with self.record.part("extraction"):
            verdicts, rows = extraction(self.scale.values, _SEED, self.scale.repeats)
        self.record.add(*verdicts)
        heads = ("values", "in a chunk", "workers", "CPU ns per value, reading process")
        self.record.table("Extraction at 99 levels, 100 units to 1e5 values, ragged", heads, rows)


def _start() -> None:
    """What a worker process of the suite does first."""
    quiet_samplers()
    checks.quiet()


@contextlib.contextmanager
def _workers(workers: int) -> Iterator[Workers]:
    """One set of worker processes for the whole suite."""
    if workers == 1:
        yield 1
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start) as executor:
        yield executor


_PARTS = (
    "coverage", "clusters", "few_clusters", "tests", "gini", "fuzzy", "bandwidths", "contrast", "evidence", "intervals", "ranks",
    "extraction",
)  # fmt: skip


def run(tier: Tier, *, workers: int = 1, progress: bool = True, directory: Path | None = None) -> SuiteResult:
    """Run a tier of the suite.

    Parameters
    ----------
    tier : {"quick", "full", "long"}
        "quick": 200 replicas of coverage and few of the rest; "full": thousands, with the controls that need them; "long": as full.
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
    with Recorder("r3d", tier, progress, directory, _SEED) as record, _workers(workers) as found:
        checks.quiet()
        suite = _Suite(scale, record, found, open_pool(likelihood.effect_problem(_SEED), found))
        for part in _PARTS:
            getattr(suite, part)()
    return record.result()
