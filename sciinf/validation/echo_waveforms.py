"""Searches of the four benchmark waveforms: nested runs, and importance sampling from a scan beside them."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, Remnant, Spectrum, importance_sample, scan
from sciinf.engines.echo.benchmarks import F_RINGDOWN, FAMILIES, family_waveform, read_benchmark_waveform
from sciinf.engines.echo.simulate import benchmark, inject, optimal_snr
from sciinf.samplers.pools import Workers, open_pool
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import Phase
from sciinf.validation.echo_published import NOISE_OF_WAVEFORMS, WAVEFORMS
from sciinf.validation.echo_runs import best_of

__all__ = ["HEADS", "Scanned", "Waveforms", "bars", "benchmark_data", "benchmarks", "beside_the_files", "wave_search", "waveform_noise"]

_SNR = {"constant_wall": 11.911, "damped_wall": 10.610, "boltzmann_wall": 13.606, "wide_band": 16.937}
"""SNR of our families: that of the published N = 20 waveforms."""

HEADS = (
    "family", "N", "waveform", "phase", "ln B, nested", "published", "ln B from a scan", "best ln L, nested", "published", "of the scan",
    "above noise", "published",
)  # fmt: skip
"""Of `Waveforms.row`."""

_SCANNED = 2  # first runs of each with a scan beside
_SHORT = 0.5  # in ln L: what a scan may fall short of an exhaustive one, and of a nested run
_EXHAUSTIVE = 0.5  # steps of the rule
_SIGMAS = 4.0
_MOST_ABOVE: tuple[tuple[int, Phase], ...] = ((100, "mode"), (100, "bin"), (150, "mode"))
_ABOVE = 0.95


def wave_search(spectrum: Spectrum, phase: Phase) -> Problem:
    """The six-parameter search of a dimensionless waveform, the amplitude marginalised."""
    engine = EchoSearch(spectrum, phase=phase, amplitude="marginalised", remnant=Remnant(0.69))
    return Problem(engine, engine.default_priors(), name=f"{spectrum.detector}, {phase}")


def benchmark_data(family: str, n_echoes: int, folder: Path | None, rng: np.random.Generator) -> tuple[Spectrum, str]:
    """One of the published waveforms in unit noise where its file is there, else our own of the same family and source.

    The same source heard for longer is louder: our own waveforms all have the strength that gives N = 20 the published SNR.
    """
    path = None if folder is None else folder / "benchmarks" / f"waveform_{family}_N{n_echoes:03d}.dat.gz"
    if path is None or not path.exists():
        own, first = (optimal_snr(family_waveform(family, n), f_max=F_RINGDOWN) for n in (n_echoes, 20))
        return benchmark(family, n_echoes, _SNR[family] * own / first, rng), "own"
    signal = read_benchmark_waveform(path, FAMILIES[family].factor, pairing="reference")
    values = 0.5 * np.sqrt(signal.psd * signal.duration) * (rng.standard_normal(signal.n_bin) + 1j * rng.standard_normal(signal.n_bin))
    return inject(signal, signal.with_values(values)), "file"


@dataclass(frozen=True)
class Scanned:
    """The best ln L of a scan and of an exhaustive one, and ln B by importance sampling about the first's peaks, with error and status."""

    best: float
    exhaustive: float
    log_evidence: float
    error: float
    status: str

    def __str__(self) -> str:
        doubtful = "" if self.status == "ok" else f" ({self.status})"
        return f"{self.log_evidence:.2f}{doubtful}"


def _scanned(_: Problem, unit: tuple[Problem, int]) -> Scanned:
    """Scan one data set, and sample from it."""
    problem, seed = unit
    assert isinstance(problem.engine, EchoSearch)
    found = scan(problem.engine, priors=problem.priors)
    drawn = importance_sample(found, seed)
    assert drawn.log_evidence is not None
    assert drawn.log_evidence_error is not None
    most = scan(problem.engine, priors=problem.priors, steps=_EXHAUSTIVE).log_likelihood
    return Scanned(found.log_likelihood, most, drawn.log_evidence, drawn.log_evidence_error, drawn.status)


def _scan_all(problems: Sequence[Problem], seed: int, workers: Workers) -> list[Scanned]:
    """`_scanned` of each, by the workers."""
    pool = open_pool(problems[0], workers)
    try:
        found: list[Scanned] = pool.map(_scanned, [(problem, seed + i) for i, problem in enumerate(problems)])
    except BaseException:
        pool.close(now=True)
        raise
    pool.close()
    return found


@dataclass(frozen=True, eq=False)
class Waveforms:
    """Nested runs on one benchmark waveform, in one phase.

    Parameters
    ----------
    source : str
        "file" for a published waveform, "own" for one of ours.
    first : (Problem, theta)
        The first run's, and its best point.
    log_evidence, best : (n,) float64 arrays
        ln B of each run, and its largest ln L, the amplitude at its best too.
    quiet : (m,) float64 array
        ln B of noise alone; empty where none was run.
    scans : sequence of Scanned
        Of the first runs' data; empty where none were scanned.
    """

    family: str
    n_echoes: int
    phase: Phase
    source: str
    first: tuple[Problem, NDArray[np.float64]]
    log_evidence: NDArray[np.float64]
    best: NDArray[np.float64]
    quiet: NDArray[np.float64]
    scans: Sequence[Scanned]

    @property
    def above(self) -> float:
        """Share of the runs above every noise run."""
        return float(np.mean(self.log_evidence > self.quiet.max())) if len(self.quiet) else math.nan

    def verdict(self) -> Verdict:
        """Neither an exhaustive scan nor a nested run has a better comb than the scan of the same data, from which a search starts."""
        short = max(max(one.exhaustive, float(best)) - one.best for best, one in zip(self.best, self.scans, strict=False))
        detail = f"best ln L of a scan of half the steps, or of a nested run, less that of the scan, the largest; bound {_SHORT:g}"
        return Verdict(f"{self.family}, N = {self.n_echoes}, {self.phase}: scan", short, None, len(self.scans), short < _SHORT, detail)

    def row(self) -> tuple[str, ...]:
        """For the table, with the published figures: medians, 16th and 84th percentiles; of three runs or fewer every value."""
        published = WAVEFORMS.get((self.family, self.n_echoes, self.phase))
        if len(self.best) <= 3:
            lnb, best = (", ".join(f"{value:.{k}f}" for value in values) for values, k in ((self.log_evidence, 2), (self.best, 1)))
        else:
            (low, middle, high), (down, at, up) = (np.percentile(values, [16, 50, 84]) for values in (self.log_evidence, self.best))
            lnb, best = f"{middle:.2f} [{low:.1f}, {high:.1f}]", f"{at:.1f} [{down:.1f}, {up:.1f}]"
        above = f"{self.above:.2f}" if len(self.quiet) else ""
        beside = ("", "", "")
        if published is not None:
            reached = f"{published.best:.1f} [{published.best_low:.1f}, {published.best_high:.1f}]"
            beside = f"{published} (z {published.z_of_median(self.log_evidence):+.1f})", reached, f"{published.above:.2f}"
        scans = ", ".join(str(one) for one in self.scans), ", ".join(f"{one.best:.1f}" for one in self.scans)
        which = (self.family, str(self.n_echoes), self.source, self.phase)
        return (*which, lnb, beside[0], scans[0], best, beside[1], scans[1], above, beside[2])


def benchmarks(
    families: Sequence[str], n_echoes: int, runs: int, phases: Sequence[Phase], n_live: int, seed: int, workers: Workers,
    folder: Path | None, data_folder: Path | None, quiet: dict[Phase, NDArray[np.float64]], *, scanned: bool,
) -> list[Waveforms]:  # fmt: skip
    """``runs`` noise seeds of every family and phase; ``quiet`` is `waveform_noise` by phase, where it was run; ``scanned``: with scans."""
    found = []
    for family in families:
        made = [benchmark_data(family, n_echoes, data_folder, generator(seed, f"{family}/{n_echoes}/{i}")) for i in range(runs)]
        for phase in phases:
            problems = [wave_search(spectrum, phase) for spectrum, _ in made]
            where = None if folder is None else folder / f"{family}-{n_echoes}-{phase}"
            run = campaign_over(problems, Dynesty(n_live=n_live), seed, workers=workers, directory=where)
            best = [best_of(problem, draws) for problem, draws in zip(problems, run.draws, strict=True)]
            first, reached = (problems[0], best[0][0]), np.array([value for _, value in best])
            noise_only = quiet.get(phase, np.empty(0))
            scans = _scan_all(problems[:_SCANNED], seed, workers) if scanned else ()
            found.append(Waveforms(family, n_echoes, phase, made[0][1], first, run.log_evidence, reached, noise_only, scans))
    return found


def bars(found: Sequence[Waveforms]) -> list[Verdict]:
    """Wide band, N = 100: the phase per mode gains. Constant wall, N >= 100, where noise was run: nearly all runs are above it."""
    by = {(one.family, one.n_echoes, one.phase): one for one in found}
    made = []
    both = by.get(("wide_band", 100, "mode")), by.get(("wide_band", 100, "bin"))
    if both[0] is not None and both[1] is not None:
        gap = float(np.median(both[0].log_evidence - both[1].log_evidence))
        detail = "median ln B of mode less that of bin; bound 10"
        made.append(Verdict("wide band, N = 100: mode >> bin", gap, None, len(both[0].best), gap > 10.0, detail))
    keys: list[tuple[str, int, Phase]] = [("constant_wall", n, phase) for n, phase in _MOST_ABOVE]
    for one in (by[key] for key in keys if key in by and len(by[key].quiet)):
        name, n, detail = f"constant wall, N = {one.n_echoes}, {one.phase}: above noise", len(one.best), "share of runs; bound 0.95"
        made.append(Verdict(name, one.above, None, n, one.above >= _ABOVE, detail))
    return made


def _best_of_file(folder: Path, family: str, n_echoes: int, phase: Phase) -> NDArray[np.float64]:
    """Largest ln L of each published run on a waveform, all six parameters sampled."""
    with gzip.open(folder / "benchmarks" / f"{family}_N{n_echoes:03d}_{phase}.csv.gz", "rt", encoding="utf-8") as stream:
        return np.array([float(row["maxloglikelihood"]) for row in csv.DictReader(stream)])


def beside_the_files(found: Sequence[Waveforms], folder: Path) -> list[Verdict]:
    """Best ln L of our runs on the published waveforms among those of the published runs, by phase: ranks, family by family.

    The waveforms are the same, the noise is not: it was not published, so that no run can be compared with its like. Published runs that
    missed their comb lie below ours, which is no fault; hence a bound on one side only.
    """
    made = []
    for phase in sorted({one.phase for one in found if one.source == "file"}):
        above, variance, n = 0.0, 0.0, 0
        for one in found:
            if one.phase == phase and one.source == "file":
                ours, theirs = one.best[:, None], _best_of_file(folder, one.family, one.n_echoes, phase)[None, :]
                above += float(np.sum((ours > theirs) + 0.5 * (ours == theirs) - 0.5))
                variance += ours.size * theirs.size * (ours.size + theirs.size + 1) / 12.0
                n += ours.size
        z = above / math.sqrt(variance)
        detail = "z of the rank sum of our runs' best ln L among the published runs' on the same waveforms in other noise; bound -4"
        made.append(Verdict(f"benchmarks, {phase}: best ln L beside the published", z, None, n, z > -_SIGMAS, detail))
    return made


def waveform_noise(
    n_echoes: int, runs: int, phase: Phase, n_live: int, seed: int, workers: Workers, folder: Path | None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """ln B of the same search in noise alone, which knows of N only by the duration; and a row for the table."""
    spectra = [benchmark("constant_wall", n_echoes, 0.0, generator(seed, f"noise/{n_echoes}/{i}")) for i in range(runs)]
    problems = [wave_search(spectrum, phase) for spectrum in spectra]
    where = None if folder is None else folder / f"quiet-{n_echoes}-{phase}"
    values = campaign_over(problems, Dynesty(n_live=n_live), seed, workers=workers, directory=where).log_evidence
    published = NOISE_OF_WAVEFORMS[phase].get(n_echoes)
    beside = "" if published is None else f"{published[0]:.2f}, {published[1]:.2f}"
    return values, (str(n_echoes), phase, str(runs), f"{np.median(values):.2f}, {values.max():.2f}", beside)
