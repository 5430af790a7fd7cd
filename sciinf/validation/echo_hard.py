"""Searches that are easily missed: narrow lines in long data, and walls of many echoes; each run against an exhaustive scan."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.atomic import write_text
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, fixed_band_priors
from sciinf.engines.echo.simulate import comb, inject
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import BAND, COMB, noise
from sciinf.validation.echo_runs import benchmark_data, best_of, wave_search

__all__ = ["SETS", "hard_set"]

SETS = ("narrow lines, T = 52 s", "damped wall, N = 100", "damped wall, N = 150")

_SHORT = 0.5  # in ln L: what a run may fall short of the scan's best
_SHARE = 0.98
_STEPS = 0.5  # of the scan's rule: exhaustive


def _problem(name: str, index: int, seed: int, data_folder: Path | None) -> Problem:
    """One seeded data set of a set."""
    rng = generator(seed, f"hard/{name}/{index}")
    if name == SETS[0]:
        data = noise(52.0, rng)
        signal = comb(data, **(COMB | {"width": 1.0 / 52.0, "amplitude": 0.25}), rng=rng)
        engine = EchoSearch(inject(data, signal), amplitude=Uniform(0.0, 10.0), band=BAND, offset_unit="Hz")
        return Problem(engine, fixed_band_priors(engine), name=f"{name}, {index}")
    spectrum, _ = benchmark_data("damped_wall", int(name.rsplit(" ", 1)[1]), data_folder, rng)
    return wave_search(spectrum, "mode")


def _scanned(problem: Problem, path: Path | None) -> float:
    """The best ln L of an exhaustive scan, read back where an earlier run left it for the same problem."""
    from sciinf.engines.echo.scan import scan

    key = problem.fingerprint()
    if path is not None and path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["problem"] == key:
            return float(found["log_likelihood"])
    engine = problem.engine
    assert isinstance(engine, EchoSearch)
    value = scan(engine, steps=_STEPS, priors=problem.priors).log_likelihood
    if path is not None:
        write_text(path, json.dumps({"problem": key, "log_likelihood": value}) + "\n")
    return value


def _reached(problem: Problem, draws: NDArray[np.float64]) -> float:
    """ln L, over the amplitude within its prior, of the best of a run's draws, climbed from."""
    engine = problem.engine
    assert isinstance(engine, EchoSearch)
    assert engine.amplitude_prior is not None
    theta, _ = best_of(problem, draws)
    best, value = engine.maximise_amplitude(theta)
    low, high = engine.amplitude_prior.low, engine.amplitude_prior.high
    if low <= best <= high:
        return value
    at = engine.parameters.index("width") + 1
    plain = EchoSearch(
        engine.strain,
        phase=engine.phase,
        template=engine.template,
        band=engine.band,
        offset_unit=engine.offset_unit,
        remnant=engine.remnant,
    )
    return plain.log_likelihood(np.insert(theta, at, min(max(best, low), high)))


def hard_set(
    name: str, runs: int, n_live: int, seed: int, workers: Workers, folder: Path | None, data_folder: Path | None
) -> tuple[Verdict, Sequence[str]]:
    """``runs`` searches of one set: how many come within 0.5 of the scan's best ln L; and a row for the table."""
    problems = [_problem(name, i, seed, data_folder) for i in range(runs)]
    place = None if folder is None else folder / f"hard-{SETS.index(name)}"
    found = campaign_over(problems, Dynesty(n_live=n_live), seed, workers=workers, directory=place)
    short = np.empty(runs)
    for i, (problem, draws) in enumerate(zip(problems, found.draws, strict=True)):
        best = _scanned(problem, None if place is None else place / f"scan-{i:06d}.json")
        short[i] = best - _reached(problem, draws)
    good = int(np.sum(short <= _SHORT))
    needed = math.ceil(_SHARE * runs)
    detail = f"runs within {_SHORT:g} of the best ln L of an exhaustive scan; bound {needed} of {runs}"
    row = (name, f"{good} of {runs}", f"{np.max(short):.2f}", f"{np.median(found.log_evidence):.2f}")
    return Verdict(f"hard set: {name}", float(good), None, runs, good >= needed, detail), row
