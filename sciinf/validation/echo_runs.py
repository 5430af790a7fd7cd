"""Searches of the echo suite: comb injections, benchmarks, a network, two samplers, and the slides of GW150914."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from sciinf.calibration.injections import Campaign, campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import (
    EchoSearch,
    Remnant,
    Spectrum,
    block_interval,
    condition,
    fixed_band_priors,
    off_source_segments,
    p_value,
    read_gwosc,
    slide_pairs,
    time_slides,
    welch_psd,
)
from sciinf.engines.echo.benchmarks import F_RINGDOWN, FAMILIES, family_waveform, read_benchmark_waveform
from sciinf.engines.echo.simulate import benchmark, comb, inject, optimal_snr, project, scale_to_snr
from sciinf.samplers.pools import Workers
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation.echo_checks import BAND, COMB, Phase, noise
from sciinf.validation.echo_published import BENCHMARKS, COMBS

__all__ = ["GW150914", "Injections", "benchmark_data", "benchmarks", "best_of", "injections", "network", "two_samplers", "wave_search"]

_SPACING = 0.005  # Hz: how near the true spacing a search must come
_SNR = {"constant_wall": 11.911, "damped_wall": 10.610, "boltzmann_wall": 13.606, "wide_band": 16.937}
"""SNR of our families: that of the published N = 20 waveforms."""


def best_of(problem: Problem, draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The best of a run's draws, climbed from by a simplex within the prior: theta and ln L."""
    values = problem.log_likelihood_many(draws)
    start, width = draws[int(np.argmax(values))], np.maximum(draws.std(axis=0), 1e-9)

    def cost(x: NDArray[np.float64]) -> float:
        theta = start + width * x
        return -problem.log_likelihood(theta) if problem.log_prior(theta) > -math.inf else math.inf

    simplex = np.vstack([np.zeros(len(start)), np.eye(len(start))])
    options = {"maxfev": 2000, "xatol": 1e-3, "fatol": 1e-3, "initial_simplex": simplex}
    found = optimize.minimize(cost, np.zeros(len(start)), method="Nelder-Mead", options=options)
    return start + width * found.x, max(-float(found.fun), float(values.max()))


@dataclass(frozen=True, eq=False)
class Injections:
    """Runs on the published comb and on noise alone, for one T and phase."""

    duration: int
    phase: Phase
    with_comb: Campaign
    noise_only: Campaign | None
    best: NDArray[np.float64]
    at_truth: NDArray[np.float64]
    spacing: NDArray[np.float64]

    def verdicts(self) -> list[Verdict]:
        """Every run reaches the truth's ln L and its spacing; every injection lies above every noise run."""
        label, n = f"comb, T = {self.duration}, {self.phase}", len(self.best)
        short = float(np.max(self.at_truth - self.best))
        off = float(np.max(np.abs(self.spacing - COMB["spacing"])))
        made = [
            Verdict(f"{label}: ln L of the truth reached", short, None, n, short <= 0.0, "largest ln L(truth) - best ln L; bound 0"),
            Verdict(f"{label}: spacing", off, None, n, off < _SPACING, "largest |spacing - 5.83| of the best point, Hz; bound 0.005"),
        ]
        if self.noise_only is not None:
            gap = float(self.with_comb.log_evidence.min() - self.noise_only.log_evidence.max())
            made.append(Verdict(f"{label}: above noise", gap, None, n, gap > 0.0, "least ln B of a comb less the largest of noise"))
        return made

    def row(self) -> tuple[str, ...]:
        """For the table, with the published figures and how far ours are from them."""
        lnb, published = self.with_comb.log_evidence, COMBS.get((self.duration, self.phase))
        low, high = np.percentile(lnb, [16, 84])
        found = f"{np.median(lnb):.2f} [{low:.1f}, {high:.1f}]"
        quiet, beside = ("", ""), ("", "")
        if self.noise_only is not None:
            values = self.noise_only.log_evidence
            quiet = f"{values.mean():.2f}, {values.max():.2f}", ""
            if published is not None:
                quiet = quiet[0], f"{published.noise:.2f}, {published.noise_max:.2f} (z {published.z_of_noise(values):+.1f})"
        if published is not None:
            beside = f"{published} (z {published.z_of_median(lnb):+.1f})", f"{published.best:.1f}"
        return (str(self.duration), self.phase, str(len(lnb)), found, beside[0], f"{np.median(self.best):.1f}", beside[1], *quiet)


def injections(
    duration: int, phase: Phase, seeds: int, noise_seeds: int, n_live: int, seed: int, workers: Workers, folder: Path | None
) -> Injections:
    """The published four-parameter search: U(0, 10) for the amplitude (marginalised), the default prior for the rest."""
    combs: list[Problem] = []
    quiet: list[Problem] = []
    for i in range(max(seeds, noise_seeds)):
        rng = generator(seed, f"injection/{duration}/{i}")
        data = noise(float(duration), rng)
        signal = comb(data, **COMB, rng=rng)
        for kept, count, spectrum in ((combs, seeds, inject(data, signal)), (quiet, noise_seeds, data)):
            if i < count:
                engine = EchoSearch(spectrum, phase=phase, amplitude=Uniform(0.0, 10.0), band=BAND, offset_unit="Hz")
                kept.append(Problem(engine, fixed_band_priors(engine), name=f"T = {duration}, {phase}, {i}"))
    settings = Dynesty(n_live=n_live)
    where = None if folder is None else folder / f"comb-{duration}-{phase}"
    found = campaign_over(combs, settings, seed, workers=workers, directory=where)
    where = None if folder is None else folder / f"noise-{duration}-{phase}"
    nothing = campaign_over(quiet, settings, seed, workers=workers, directory=where) if quiet else None
    truth = np.array([COMB["spacing"], COMB["offset_hz"], COMB["width"]])
    best = [best_of(problem, draws) for problem, draws in zip(combs, found.draws, strict=True)]
    return Injections(
        duration, phase, found, nothing, np.array([value for _, value in best]),
        np.array([problem.log_likelihood(truth) for problem in combs]), np.array([theta[0] for theta, _ in best]),
    )  # fmt: skip


def two_samplers(seed: int, index: int) -> list[Verdict]:
    """dynesty and emcee (started from a scan) on one comb at T = 12 s: means within 4 errors, widths within 4 of theirs."""
    from sciinf.engines.echo.scan import scan

    rng = generator(seed, f"samplers/{index}")
    data = noise(12.0, rng)
    engine = EchoSearch(inject(data, comb(data, **COMB, rng=rng)), amplitude=Uniform(0.0, 10.0), band=BAND, offset_unit="Hz")
    problem = Problem(engine, fixed_band_priors(engine), name="two samplers")
    nested = sample(problem, Dynesty(n_live=400), seed=seed + index, progress=False)
    starts = scan(engine).starts(32, generator(seed, f"starts/{index}"))
    chain = sample(problem, Emcee(n_walkers=32, moves="de", start=starts), seed=seed + index, progress=False)
    ess = np.minimum(nested.ess, chain.ess)
    z = np.abs(nested.mean() - chain.mean()) / np.hypot(nested.std() / np.sqrt(nested.ess), chain.std() / np.sqrt(chain.ess))
    widths = np.abs(np.log(nested.std() / chain.std())) / np.sqrt(1.0 / nested.ess + 1.0 / chain.ess)
    n = int(np.min(ess))
    return [
        Verdict(f"two samplers {index + 1}: means", float(z.max()), None, n, bool(z.max() < 4.0), "largest z; bound 4"),
        Verdict(f"two samplers {index + 1}: widths", float(widths.max()), None, n, bool(widths.max() < 4.0), "largest z of ln sd; bound 4"),
    ]


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


def benchmarks(
    families: Sequence[str], n_echoes: int, runs: int, phases: Sequence[Phase], n_live: int, seed: int, workers: Workers,
    folder: Path | None, data_folder: Path | None,
) -> tuple[dict[tuple[str, str], NDArray[np.float64]], list[tuple[str, ...]]]:  # fmt: skip
    """ln B of ``runs`` noise seeds of every family and phase; and rows for the table."""
    found: dict[tuple[str, str], NDArray[np.float64]] = {}
    rows: list[tuple[str, ...]] = []
    for family in families:
        made = [benchmark_data(family, n_echoes, data_folder, generator(seed, f"{family}/{n_echoes}/{i}")) for i in range(runs)]
        for phase in phases:
            problems = [wave_search(spectrum, phase) for spectrum, _ in made]
            where = None if folder is None else folder / f"{family}-{n_echoes}-{phase}"
            run = campaign_over(problems, Dynesty(n_live=n_live), seed, workers=workers, directory=where)
            best = [best_of(problem, draws)[1] for problem, draws in zip(problems, run.draws, strict=True)]
            found[family, phase] = run.log_evidence
            lnb = ", ".join(f"{value:.2f}" for value in run.log_evidence) if runs <= 3 else f"{np.median(run.log_evidence):.2f}"
            published = BENCHMARKS.get((family, n_echoes, phase))
            beside = "" if published is None else f"{published:.2f}"
            rows.append((family, str(n_echoes), made[0][1], phase, lnb, beside, f"{np.median(best):.1f}"))
    return found, rows


def network(seeds: int, n_live: int, seed: int, workers: Workers) -> list[Verdict]:
    """Two detectors at T = 2 s, SNR 14 in all: phase shift and spacing recovered; a strong line, masked, changes nothing."""
    shift, delay, problems, lines = 0.9, 6.9e-3, [], []
    for i in range(seeds):
        rng = generator(seed, f"pair/{i}")
        pair = [noise(2.0, rng, name) for name in ("H1", "L1")]
        mask = np.ones(pair[1].n_bin, dtype=np.bool_)
        mask[120:123] = mask[240:243] = False
        second = Spectrum(pair[1].values, pair[1].psd, 2.0, mask, "L1", 1.0, delay)
        signal = scale_to_snr(comb(pair[0], **(COMB | {"width": 0.5}), rng=rng), 10.0)
        data = (inject(pair[0], signal), inject(second, project(signal, second, shift)))
        loud = data[1].values.copy()
        loud[~mask] += 1e3
        engine = EchoSearch(data, amplitude="marginalised", band=BAND, offset_unit="Hz")
        lines.append((engine, engine.with_data((data[0], data[1].with_values(loud)))))
        problems.append(Problem(engine, fixed_band_priors(engine), name=f"network {i}"))
    thetas = problems[0].priors.sample(generator(seed, "line"), 50)
    same = all(np.array_equal(one.log_likelihood_many(thetas), other.log_likelihood_many(thetas)) for one, other in lines)
    verdicts = [Verdict("network: masked lines harmless", float(same), None, 50 * seeds, same, "ln L equal to the bit")]
    run = campaign_over(problems, Dynesty(n_live=n_live), seed, workers=workers)
    at, k = run.names.index("phase_shift_L1"), run.names.index("spacing")
    turns = np.exp(1j * run.draws[:, :, at])
    centre = np.angle(turns.mean(axis=1))
    spread = np.sqrt(-2.0 * np.log(np.abs(turns.mean(axis=1))))
    off = np.abs(np.angle(np.exp(1j * (centre - shift)))) / spread
    z = np.abs(run.mean[:, k] - COMB["spacing"]) / run.std[:, k]
    for name, values in (("phase shift", off), ("spacing", z)):
        worst = float(np.max(values))
        verdicts.append(Verdict(f"network: {name} recovered", worst, None, seeds, worst < 4.0, "largest |mean - truth| / sd; bound 4"))
    return verdicts


_MERGER = 1126259462.44
_FILES = {"H1": "H-H1_LOSC_4_V2-1126259446-32.hdf5", "L1": "L-L1_LOSC_4_V2-1126259446-32.hdf5"}
_DELAY = 6.9e-3


@dataclass(frozen=True, eq=False)
class GW150914:
    """32 s of both detectors, conditioned into segments; an engine for what is on source, and slides of what is not."""

    duration: float
    on: tuple[Spectrum, Spectrum]
    off: tuple[tuple[Spectrum, ...], tuple[Spectrum, ...]]

    @classmethod
    def read(cls, folder: Path, duration: float) -> GW150914:
        """From the folder's two strain files."""
        on, off = [], []
        for detector, name in _FILES.items():
            strain = read_gwosc(folder / "strain" / name)
            psd = welch_psd(strain, exclude=(_MERGER, _MERGER + duration))
            delay = 0.0 if detector == "H1" else _DELAY
            segments = off_source_segments(strain, _MERGER, duration)
            on.append(_at(condition(strain, psd, _MERGER, duration), delay))
            off.append(tuple(_at(condition(strain, psd, start, duration), delay) for start in segments.starts.tolist()))
        return cls(duration, (on[0], on[1]), (off[0], off[1]))

    def engine(self, phase: Phase) -> EchoSearch:
        """The search of the on-source segment."""
        return EchoSearch(self.on, phase=phase, amplitude="marginalised", remnant=Remnant(0.67, 67.65))

    def loud(self, engine: EchoSearch, snr: float, seed: int) -> EchoSearch:
        """The same with a comb of that network SNR added."""
        rng = generator(seed, "loud")
        signal = comb(self.on[0], spacing=7.0, offset_hz=1.26, width=1.0, amplitude=1e-23, band=(70.0, 250.0), phase=engine.phase, rng=rng)
        seen = [project(signal, spectrum, 0.9 * k) for k, spectrum in enumerate(self.on)]
        factor = snr / math.sqrt(sum(optimal_snr(item, f_min=60.0) ** 2 for item in seen))
        return engine.with_data(tuple(inject(one, item.with_values(factor * item.values)) for one, item in zip(self.on, seen, strict=True)))

    def slides(
        self, phase: Phase, n: int | None, n_live: int, seed: int, workers: Workers, folder: Path | None
    ) -> tuple[list[Verdict], list[tuple[str, ...]]]:
        """Slides, the event and the event with a comb; the latter must be above all slides."""
        engine = self.engine(phase)
        priors = engine.default_priors()
        chosen = slide_pairs(len(self.off[0]), n, None if n is None else seed)
        problems = list(time_slides(engine, priors, *self.off, pairs=chosen))
        settings = Dynesty(n_live=n_live)
        where = None if folder is None else folder / f"slides-{self.duration:g}-{phase}"
        background = campaign_over(problems, settings, seed, workers=workers, directory=where).log_evidence
        ours = [Problem(engine, priors, name="on source"), Problem(self.loud(engine, 12.0, seed), priors, name="on source, comb added")]
        event = campaign_over(ours, settings, seed, workers=workers)
        on, loud = (float(value) for value in event.log_evidence)
        gap = loud - float(background.max())
        label = f"GW150914, T = {self.duration:g}, {phase}"
        verdicts = [Verdict(f"{label}: comb of SNR 12 found", gap, None, len(background), gap > 0.0, "its ln B less the largest slide's")]
        few = problems[: min(10, max(len(problems) // 2, 1))]
        again = campaign_over(ours, settings, seed, workers=1).content_hash() == event.content_hash()
        one, two = (campaign_over(few, settings, seed, workers=w).content_hash() for w in (workers, 1))
        same = again and one == two
        verdicts.append(Verdict(f"{label}: run again", float(same), None, 2 + len(few), same, "content hash of event and slides"))
        p = p_value(on, background)
        block = block_interval(on, background, chosen) if len(self.off[0]) > 2 and n is None else None
        levels = ", ".join(f"{level:.3f}" for level in engine.psd_levels)
        sentence = p.sentence(len(self.off[0]), None if block is None else (float(block[0]), float(block[1])))
        return verdicts, [(f"{self.duration:g}", phase, f"{on:.2f}", f"{background.max():.2f}", sentence, levels)]


def _at(spectrum: Spectrum, delay: float) -> Spectrum:
    return Spectrum(spectrum.values, spectrum.psd, spectrum.duration, spectrum.mask, spectrum.detector, 1.0, delay, None)
