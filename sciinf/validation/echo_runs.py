"""Searches of the echo suite: comb injections, a network, two samplers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import Campaign, campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, Spectrum, fixed_band_priors
from sciinf.engines.echo.scan_peaks import climb
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.engines.echo.simulate import comb, inject, project, scale_to_snr
from sciinf.samplers.pools import Workers
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation.echo_checks import BAND, COMB, Phase, noise
from sciinf.validation.echo_published import COMBS

__all__ = ["Injections", "best_of", "injections", "network", "published_search", "two_samplers"]

_SPACING = 0.005  # Hz: how near the true spacing a search must come


def best_of(problem: Problem, draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The best of a run's draws (n, n_dim), the amplitude marginalised, climbed from as a scan climbs from its cells.

    Returns theta (n_dim,) and ln L, both at the best amplitude within its prior: the largest ln L of a published run, which samples the
    amplitude, and of a scan. The marginalised ln L is lower by what the prior of the amplitude costs, 5 to 7 on loud combs.
    """
    engine = problem.engine
    assert isinstance(engine, EchoSearch)
    space = SearchSpace.of(engine, problem.priors)
    points = np.insert(draws, engine.parameters.index("width") + 1, 1.0, axis=1)  # the amplitude, which is maximised over
    best = points[int(np.argmax(space.profiles(points)[:, 1]))]
    theta, value = climb(space, best, 3, space.offset_step)
    return space.original_columns(theta[None, :])[0], value


@dataclass(frozen=True, eq=False)
class Injections:
    """Runs on the published comb and on noise alone, for one T and phase; ``first`` is the first comb's problem and its best point."""

    duration: int
    phase: Phase
    first: tuple[Problem, NDArray[np.float64]]
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


def published_search(duration: int, phase: Phase, index: int, seed: int) -> tuple[Problem, Problem]:
    """The published four-parameter search of one seeded data set with the comb, and of its noise alone."""
    rng = generator(seed, f"injection/{duration}/{index}")
    data = noise(float(duration), rng)
    made = []
    for spectrum in (inject(data, comb(data, **COMB, rng=rng)), data):
        engine = EchoSearch(spectrum, phase=phase, amplitude=Uniform(0.0, 10.0), band=BAND, offset_unit="Hz")
        made.append(Problem(engine, fixed_band_priors(engine), name=f"T = {duration}, {phase}, {index}"))
    return made[0], made[1]


def _with_amplitude(problem: Problem) -> EchoSearch:
    """The engine with its amplitude among the parameters."""
    assert isinstance(problem.engine, EchoSearch)
    return replace(problem.engine, amplitude="sampled")


def injections(
    duration: int, phase: Phase, seeds: int, noise_seeds: int, n_live: int, seed: int, workers: Workers, folder: Path | None
) -> Injections:
    """The published four-parameter search: U(0, 10) for the amplitude (marginalised), the default prior for the rest."""
    both = [published_search(duration, phase, i, seed) for i in range(max(seeds, noise_seeds))]
    combs, quiet = [one for one, _ in both[:seeds]], [one for _, one in both[:noise_seeds]]
    settings = Dynesty(n_live=n_live)
    where = None if folder is None else folder / f"comb-{duration}-{phase}"
    found = campaign_over(combs, settings, seed, workers=workers, directory=where)
    where = None if folder is None else folder / f"noise-{duration}-{phase}"
    nothing = campaign_over(quiet, settings, seed, workers=workers, directory=where) if quiet else None
    truth = np.array([COMB["spacing"], COMB["offset_hz"], COMB["width"], COMB["amplitude"]])
    best = [best_of(problem, draws) for problem, draws in zip(combs, found.draws, strict=True)]
    return Injections(
        duration, phase, (combs[0], best[0][0]), found, nothing, np.array([value for _, value in best]),
        np.array([_with_amplitude(problem).log_likelihood(truth) for problem in combs]), np.array([theta[0] for theta, _ in best]),
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
