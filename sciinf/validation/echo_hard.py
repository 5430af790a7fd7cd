"""Searches that are easily missed: narrow lines in long data, and walls of many echoes; each against an exhaustive scan.

A search is what the package offers: a scan, walkers that start from it, and importance sampling about its peaks for the evidence. Beside
the first of each set a nested run from the prior alone, which may miss the mode but must then say so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.calibration.verdict import Verdict
from sciinf.core.atomic import write_text
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, check_against_scan, fixed_band_priors, importance_sample, scan
from sciinf.engines.echo.simulate import comb, inject
from sciinf.results.posterior import Posterior
from sciinf.samplers.pools import Workers, open_pool
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation.echo_checks import BAND, COMB, noise
from sciinf.validation.echo_runs import best_of
from sciinf.validation.echo_waveforms import benchmark_data, wave_search

__all__ = ["SETS", "hard_set"]

SETS = ("narrow lines, T = 52 s", "damped wall, N = 100", "damped wall, N = 150")

_SHORT = 0.5  # in ln L: what a run may fall short of the scan's best
_MISSED = 2.0  # in ln L: what a nested run may fall short without having to say so
_SHARE = 0.98
_WALKERS = 32
_NESTED = 20  # runs of a set with a nested run beside
_BATCHES, _POINTS = 40, 10_000
_SIGMAS = 4.0
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


def _reached(problem: Problem, posterior: Posterior) -> float:
    """ln L, over the amplitude within its prior, of the best of a run's samples, climbed from as a scan climbs from its cells."""
    return best_of(problem, posterior.samples[np.argsort(-posterior.log_likelihood)[:1000]])[1]


@dataclass(frozen=True)
class _Unit:
    """One data set of a set: what a worker needs to make it and to search it."""

    name: str
    index: int
    n_live: int | None
    seed: int
    folder: Path | None
    data_folder: Path | None


@dataclass(frozen=True)
class _Nested:
    """ln L that a nested run reached, whether it said that it had missed the mode, and its ln Z."""

    reached: float
    flagged: bool
    log_evidence: float


@dataclass(frozen=True)
class _Found:
    """ln L: the best of an exhaustive scan, and what walkers from a scan reached; the nested run beside, where there is one.

    The status of importance sampling from the scan, and its ln Z over the box that the walkers filled, with error,
    beside that of plain points in the box.
    """

    problem: str
    exhaustive: float
    searched: float
    nested: _Nested | None
    sampled: str
    in_box: Sequence[float]
    by_quadrature: Sequence[float]

    @classmethod
    def read(cls, path: Path) -> _Found:
        """What an earlier run left."""
        content = json.loads(path.read_text(encoding="utf-8"))
        nested = content.pop("nested")
        return cls(**content, nested=None if nested is None else _Nested(**nested))


def _within(posterior: Posterior, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """ln of the evidence inside a box, and its error."""
    assert posterior.log_evidence is not None
    inside = np.all((posterior.samples >= low) & (posterior.samples <= high), axis=1)
    calls = int(posterior.meta["counts"]["calls"])
    shares = np.where(inside, posterior.weights, 0.0) * calls  # draws outside the prior, of no weight, are not among the samples
    spread = math.sqrt(max(float(np.sum(shares**2)) / calls - (float(np.sum(shares)) / calls) ** 2, 0.0))
    total = float(np.sum(shares)) / calls
    return posterior.log_evidence + math.log(total), spread / math.sqrt(calls) / total


def _by_plain_points(problem: Problem, low: NDArray[np.float64], high: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """ln of the evidence inside a box from uniform points (the width's logarithm uniform), and its error."""
    k, rng = problem.names.index("width"), generator(seed, "plain")
    low, high = low.copy(), high.copy()
    low[k], high[k] = np.log(low[k]), np.log(high[k])
    parts = []
    for _ in range(_BATCHES):
        points = rng.uniform(low, high, size=(_POINTS, len(low)))
        shift = points[:, k].copy()
        points[:, k] = np.exp(points[:, k])
        density = problem.log_prior_many(points)
        inside = density > -math.inf
        values: NDArray[np.float64] = problem.log_likelihood_many(points[inside]) + density[inside] + shift[inside]
        parts.append(float(special.logsumexp(values)) - math.log(_POINTS))
    top = max(parts)
    shares = np.exp(np.array(parts) - top)
    volume = float(np.sum(np.log(high - low)))
    return top + math.log(shares.mean()) + volume, float(shares.std(ddof=1) / math.sqrt(_BATCHES) / shares.mean())


def _run_unit(_: Problem, unit: _Unit) -> _Found:
    """Search one data set, or read what an earlier run left of the same."""
    problem = _problem(unit.name, unit.index, unit.seed, unit.data_folder)
    key, path = (
        f"{problem.fingerprint()} n_live={unit.n_live}",
        None if unit.folder is None else unit.folder / f"unit-{unit.index:06d}.json",
    )
    if path is not None and path.exists():
        found = _Found.read(path)
        if found.problem == key:
            return found
    engine = problem.engine
    assert isinstance(engine, EchoSearch)
    exhaustive = scan(engine, steps=_STEPS, priors=problem.priors).log_likelihood
    usual = scan(engine, priors=problem.priors)
    starts = usual.starts(_WALKERS, generator(unit.seed, f"starts/{unit.name}/{unit.index}"))
    chain = sample(problem, Emcee(n_walkers=_WALKERS, moves="de", start=starts), seed=unit.seed + unit.index, progress=False)
    nested = None
    if unit.n_live is not None:
        run = sample(problem, Dynesty(n_live=unit.n_live), seed=unit.seed + unit.index, progress=False)
        assert run.log_evidence is not None
        nested = _Nested(_reached(problem, run), check_against_scan(run, engine, usual).status == "missed_mode", run.log_evidence)
    drawn = importance_sample(usual, unit.seed + unit.index)
    low, high = chain.samples.min(axis=0), chain.samples.max(axis=0)
    found = _Found(
        key, exhaustive, _reached(problem, chain), nested, drawn.status, _within(drawn, low, high),
        _by_plain_points(problem, low, high, unit.seed + unit.index),
    )  # fmt: skip
    if path is not None:
        write_text(path, json.dumps(asdict(found)) + "\n")
    return found


def hard_set(
    name: str, runs: int, n_live: int, seed: int, workers: Workers, folder: Path | None, data_folder: Path | None
) -> tuple[list[Verdict], Sequence[str]]:
    """``runs`` searches of one set: how many come within 0.5 of an exhaustive scan's best ln L; and a row for the table."""
    place = None if folder is None else folder / f"hard-{SETS.index(name)}"
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    units = [_Unit(name, i, n_live if i < _NESTED else None, seed, place, data_folder) for i in range(runs)]
    pool = open_pool(_problem(name, 0, seed, data_folder), workers)
    try:
        found = pool.map(_run_unit, units)
    except BaseException:
        pool.close(now=True)
        raise
    pool.close()
    short = np.array([one.exhaustive - one.searched for one in found])
    beside = [(one.exhaustive - one.nested.reached, one.nested) for one in found if one.nested is not None]
    silent = sum(missing > _MISSED and not one.flagged for missing, one in beside)
    good, needed = int(np.sum(short <= _SHORT)), math.ceil(_SHARE * runs)
    reached = f"searches within {_SHORT:g} of the best ln L of an exhaustive scan; bound {needed} of {runs}"
    said = f"nested runs more than {_MISSED:g} short in ln L that do not say so; bound 0"
    z = np.array([(one.in_box[0] - one.by_quadrature[0]) / math.hypot(one.in_box[1], one.by_quadrature[1]) for one in found])
    unsound = sum(one.sampled != "ok" for one in found)
    right = bool(np.max(np.abs(z)) < _SIGMAS and abs(z.mean()) * math.sqrt(runs) < _SIGMAS) and unsound == 0
    equal = (
        f"largest z of ln Z from the scan against plain points in the same box, mean z {z.mean():+.2f}, {unsound} not converged; bound 4"
    )
    row = (
        name, f"{good} of {runs}", f"{np.max(short):.2f}", f"{sum(missing <= _SHORT for missing, _ in beside)} of {len(beside)}",
        str(sum(one.flagged for _, one in beside)),
        f"{np.median([one.log_evidence for _, one in beside]):.2f}", f"{np.median([one.in_box[0] for one in found]):.2f}",
    )  # fmt: skip
    return [
        Verdict(f"hard set: {name}", float(good), None, runs, good >= needed, reached),
        Verdict(f"hard set: {name}: misses named", float(silent), None, len(beside), silent == 0, said),
        Verdict(f"hard set: {name}: evidence", float(np.max(np.abs(z))), None, runs, right, equal),
    ], row
