"""Campaigns: many runs over simulated or given data, unit by unit, resumable, the same for any number of workers."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.calibration import sbc
from sciinf.calibration.draws import LEAST_ESS, independent_draws, longer
from sciinf.core.arrays import finite_array
from sciinf.core.atomic import read_checksummed, write_checksummed, write_text
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, ResumeError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.problem import Problem
from sciinf.core.seeding import check_seed, child_sequence, generator
from sciinf.results.posterior import Posterior
from sciinf.samplers.checkpoint import sampler_versions
from sciinf.samplers.pools import Workers, open_pool
from sciinf.samplers.progress import Progress
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee, Settings

__all__ = ["Campaign", "campaign", "campaign_over", "reranked"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_ATTEMPTS = 6
_UNITS_PER_WORKER = 4  # handed out at a time: progress shows, and slow units even out
_ARRAYS = ("theta", "ranks", "mean", "std", "draws")
_FLOATS = ("log_evidence", "log_evidence_error", "ess")
_COUNTS = ("calls", "attempts")


@dataclass(frozen=True, eq=False)
class Campaign:
    """Results of all units of a campaign, in their order.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    theta : (n, n_dim) float64 array
        Truths; NaN where a unit had data of its own and no truth was given.
    ranks : (n, n_dim) int64 array
        Rank of each truth among its draws; -1 without a truth.
    mean, std : (n, n_dim) float64 arrays
        Posterior mean and standard deviation of each unit.
    draws : (n, n_draws, n_dim) float64 array
        The independent posterior draws that were ranked.
    log_evidence, log_evidence_error : (n,) float64 arrays
        ln Z and its stated error; NaN for MCMC.
    ess : (n,) float64 array
        Effective sample size of each run.
    calls : (n,) int64 array
        Likelihood calls of the run that was kept.
    attempts : (n,) int64 array
        How many runs it took to have enough independent draws; each longer than the one before.
    key : str
        sha256 over problem, settings, seed and number of draws.
    """

    names: tuple[str, ...]
    theta: NDArray[np.float64]
    ranks: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    draws: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    log_evidence_error: NDArray[np.float64]
    ess: NDArray[np.float64]
    calls: NDArray[np.int64]
    attempts: NDArray[np.int64]
    key: str

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def z(self) -> NDArray[np.float64]:
        """(n, n_dim) posterior mean minus truth, in posterior standard deviations."""
        return (self.mean - self.theta) / self.std

    @property
    def n_draws(self) -> int:
        """Draws per unit."""
        return int(self.draws.shape[1])

    def content_hash(self) -> str:
        """sha256 over names and arrays: equal for equal results."""
        arrays = [getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in ("names", "key")]
        return sha256_of("campaign", list(self.names), *arrays)


@dataclass(frozen=True, eq=False)
class _Unit:
    """One unit of work: small, picklable, and enough with the pool's problem to be done anywhere.

    A unit simulates its data from the pool's problem, or with ``given`` samples data that are there: its own problem's, or the pool's
    where it has none.
    """

    index: int
    seed: int
    settings: Settings
    n_draws: int
    path: Path | None
    least_ess: float = LEAST_ESS
    given: bool = False
    problem: Problem | None = None
    theta: tuple[float, ...] | None = None


def _sampled(unit: _Unit, problem: Problem) -> tuple[Posterior, NDArray[np.float64], int]:
    """The unit's posterior and draws, run longer until there are enough; and how many runs that took."""
    settings = unit.settings
    for attempt in range(_ATTEMPTS):
        seed = int(child_sequence(unit.seed, f"sample/{unit.index}/{attempt}").generate_state(1, np.uint64)[0])
        posterior = sample(problem, settings, seed=seed, progress=False)
        rng = generator(unit.seed, f"draws/{unit.index}/{attempt}")
        draws = independent_draws(posterior, unit.n_draws, rng, least_ess=unit.least_ess) if posterior.status == "ok" else None
        if draws is not None:
            return posterior, draws, attempt + 1
        settings = longer(settings, posterior, max(unit.least_ess, 5.0 * unit.n_draws))
        logger.info("%s, unit %d: too few independent draws, run again longer: %s", problem.name, unit.index, settings.describe())
    raise ConvergenceError(
        f"{problem.name}, unit {unit.index}: {unit.n_draws} independent draws were not reached in {_ATTEMPTS} runs, each longer than the "
        f"one before; the last settings were {settings.describe()}. Start from settings that suit the problem"
    )


def _run_unit(pool_problem: Problem, unit: _Unit) -> bytes:
    """Do one unit, or read what an earlier run left; the unit's record as bytes."""
    if unit.path is not None:
        if unit.path.exists():
            return _read_unit(unit.path)
        if not unit.path.parent.is_dir():
            raise ConfigError(
                f"{pool_problem.name}, unit {unit.index}: a worker cannot see the campaign's directory. Give one on a file system that "
                "all workers share"
            )
    theta = np.full(pool_problem.n_dim, np.nan) if unit.theta is None else np.array(unit.theta, dtype=np.float64)
    problem = pool_problem if unit.problem is None else unit.problem
    if not unit.given:
        theta = pool_problem.priors.sample(generator(unit.seed, f"theta/{unit.index}"), 1)[0]
        problem = pool_problem.simulate(theta, generator(unit.seed, f"simulate/{unit.index}"))
    posterior, draws, attempts = _sampled(unit, problem)
    known = bool(np.all(np.isfinite(theta)))
    ranks = sbc.rank_of(theta, draws, generator(unit.seed, f"ties/{unit.index}")) if known else np.full(problem.n_dim, -1, dtype=np.int64)
    numbers = {
        "log_evidence": posterior.log_evidence,
        "log_evidence_error": posterior.log_evidence_error,
        "ess": float(posterior.ess),
        "calls": int(posterior.meta["counts"]["calls"]),
        "attempts": attempts,
    }
    arrays = {"theta": theta, "ranks": ranks, "mean": posterior.mean(), "std": posterior.std(), "draws": draws}
    payload = _encode(numbers, arrays)
    if unit.path is not None:
        write_checksummed(unit.path, payload)
    return payload


def _encode(numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """A unit's record: one JSON line, then its arrays as npy, each in the order of `_ARRAYS`; no pickles."""
    stream = io.BytesIO()
    stream.write(json.dumps(numbers, sort_keys=True).encode() + b"\n")
    for name in _ARRAYS:
        np.save(stream, arrays[name], allow_pickle=False)
    return stream.getvalue()


def _decode(payload: bytes) -> dict[str, Any]:
    stream = io.BytesIO(payload)
    record: dict[str, Any] = json.loads(stream.readline())
    for name in _ARRAYS:
        record[name] = np.load(stream, allow_pickle=False)
    return record


def _read_unit(path: Path) -> bytes:
    try:
        return read_checksummed(path)
    except DataError as error:
        raise ResumeError(f"{error}. Delete {path.name} to run that unit again") from error


def campaign(
    problem: Problem,
    n: int,
    seed: int,
    settings: Settings,
    *,
    workers: Workers = 1,
    directory: Path | str | None = None,
    n_draws: int = sbc.N_DRAWS,
    progress: bool = False,
) -> Campaign:
    """Draw ``n`` truths from the prior, simulate data for each, sample each posterior, and rank each truth among its draws.

    Parameters
    ----------
    problem : Problem
        Its engine must have a simulator.
    n : int
        Units (replicas).
    seed : int
        Master seed: unit i depends on it and on i alone, never on the workers, their number, or the other units.
    settings : Dynesty or Emcee
        How each unit is sampled. A unit with too few independent draws is run again, longer, never dropped.
    workers : int, executor or Dask client
        Units in parallel; each runs in one process.
    directory : path, optional
        Every finished unit leaves a small checksummed file here, and a later call with the same problem, settings, seed and number of
        draws skips it; ``n`` may grow. On a file system that all workers share.
    n_draws : int
        Independent draws among which each truth is ranked.
    progress : bool
        Show a progress line on a terminal.

    Raises
    ------
    ConfigError
        If the engine cannot simulate, or a number is wrong.
    ConvergenceError
        If a unit has too few independent draws after six runs.
    ResumeError
        If the directory holds another campaign, or a damaged unit.

    Examples
    --------
    >>> from sciinf.calibration import analytic, sbc
    >>> from sciinf.samplers.settings import Emcee
    >>> result = campaign(analytic.line(), 3, 1, Emcee(n_walkers=32, moves="de"))
    >>> result.ranks.shape, result.draws.shape
    ((3, 2), (3, 199, 2))
    """
    if not problem.can_simulate:
        raise ConfigError(f"{problem.name}: a campaign needs an engine with `simulate` and `with_data`; campaign_over takes given data")
    count = _check_count("n", n)
    science = _science(problem.fingerprint(), settings, seed, n_draws, "simulated")
    folder = _open_directory(directory, science)
    units = [_Unit(i, check_seed(seed), settings, _check_count("n_draws", n_draws), _unit_path(folder, i)) for i in range(count)]
    return _run(problem, units, science, workers, progress)


def campaign_over(
    problems: Sequence[Problem],
    settings: Settings,
    seed: int,
    *,
    thetas: ArrayLike | None = None,
    workers: Workers = 1,
    directory: Path | str | None = None,
    n_draws: int = sbc.N_DRAWS,
    progress: bool = False,
) -> Campaign:
    """Sample each of a list of problems with their own data: time slides, segments, or one problem under many seeds.

    Parameters
    ----------
    problems : sequence of Problem
        With the same parameters in the same order. The same problem may stand there many times: every unit has its own stream.
    settings, seed, workers, directory, n_draws, progress
        As in `campaign`.
    thetas : (n, n_dim) float64 array, optional
        Truths to rank; without them ranks are -1, and nested runs need an effective sample size of 5 ``n_draws`` only.

    Raises
    ------
    ConfigError
        If there is no problem, or their parameters differ.
    ConvergenceError, ResumeError
        As `campaign`.
    """
    problems = list(problems)
    if not problems:
        raise ConfigError("campaign_over needs at least one problem")
    names = problems[0].names
    if other := next((item for item in problems if item.names != names), None):
        raise ConfigError(f"all problems of a campaign must have the same parameters: {names} and {other.names} differ")
    truths = None if thetas is None else finite_array("thetas", thetas, shape=(len(problems), len(names)))
    prints = [sha256_of("units", [item.fingerprint() for item in problems], truths)]
    science = _science(prints[0], settings, seed, n_draws, "given")
    folder = _open_directory(directory, science)
    draws = _check_count("n_draws", n_draws)
    rows: Sequence[Any] = [None] * len(problems) if truths is None else [tuple(row) for row in truths.tolist()]
    least = LEAST_ESS if truths is not None else 0.0
    units = [
        _Unit(i, check_seed(seed), settings, draws, _unit_path(folder, i), least, True, None if item is problems[0] else item, row)
        for i, (item, row) in enumerate(zip(problems, rows, strict=True))
    ]
    return _run(problems[0], units, science, workers, progress)


def _check_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def _science(fingerprint: str, settings: Settings, seed: int, n_draws: int, kind: str) -> dict[str, Any]:
    """What a campaign's results depend on: the content of ``campaign.json``."""
    if not isinstance(settings, (Dynesty, Emcee)):
        raise ConfigError(f"settings must be Dynesty(...) or Emcee(...), got {type(settings).__name__}")
    return {
        "format": _FORMAT,
        "kind": kind,
        "problem": fingerprint,
        "settings": settings.describe(),
        "seed": check_seed(seed),
        "n_draws": int(n_draws),
        "versions": sampler_versions(settings.kind),
    }


def _open_directory(directory: Path | str | None, science: dict[str, Any]) -> Path | None:
    """The campaign's folder, made or checked."""
    if directory is None:
        return None
    folder = Path(directory).absolute()  # workers may have another working directory
    record = folder / "campaign.json"
    try:
        (folder / "units").mkdir(parents=True, exist_ok=True)
        if not record.exists():
            write_text(record, json.dumps(science, indent=2, sort_keys=True) + "\n")
            return folder
    except OSError as error:
        raise ConfigError(f"the campaign's directory {folder.name} cannot be written ({error.strerror})") from error
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResumeError(f"{record.name} is no JSON ({error}): the directory cannot be resumed") from error
    differ = [f"{name} {found.get(name)!r} (now {science[name]!r})" for name in science if found.get(name) != science[name]]
    if differ:
        raise ResumeError(f"{folder.name} holds another campaign: {'; '.join(differ)}. Give another directory")
    return folder


def _unit_path(folder: Path | None, index: int) -> Path | None:
    return None if folder is None else folder / "units" / f"unit-{index:06d}.bin"


def _run(problem: Problem, units: list[_Unit], science: dict[str, Any], workers: Workers, progress: bool) -> Campaign:
    """All units through one pool, gathered in order."""
    pool = open_pool(problem, workers)
    records: list[dict[str, Any]] = []
    try:
        with Progress(f"{problem.name}: campaign", enabled=progress) as bar:
            while len(records) < len(units):
                share = units[len(records) : len(records) + pool.size * _UNITS_PER_WORKER]
                records += [_decode(payload) for payload in pool.map(_run_unit, share)]
                if bar.due:
                    bar.show(f"{len(records)} of {len(units)} units", len(records) / len(units))
    except BaseException:
        pool.close(now=True)
        raise
    pool.close()
    key = sha256_of({name: json.dumps(value, sort_keys=True) for name, value in science.items()})
    columns: dict[str, Any] = {name: np.stack([record[name] for record in records]) for name in _ARRAYS}
    columns |= {name: np.array([np.nan if record[name] is None else record[name] for record in records]) for name in _FLOATS}
    columns |= {name: np.array([record[name] for record in records], dtype=np.int64) for name in _COUNTS}
    return Campaign(names=problem.names, key=key, **columns)


def reranked(result: Campaign, draws: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> Campaign:
    """The same campaign with other draws, mean and standard deviation per unit, its truths ranked among the new draws."""
    rng = generator(0, "reranked")
    ranks = np.array([sbc.rank_of(theta, rows, rng) for theta, rows in zip(result.theta, draws, strict=True)])
    return dataclasses.replace(result, draws=draws, ranks=ranks, mean=mean, std=std)
