"""Running a run again, and saying what differs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciinf.core.errors import ConfigError, DataError
from sciinf.results.run_directory import RunDirectory, load
from sciinf.run.prepare import data_by_key, prepare
from sciinf.run.runner import RunOptions, run_prepared
from sciinf.run.stored import StoredRun, open_run

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior
    from sciinf.results.summary import Row
    from sciinf.run.config import Config

__all__ = ["Moment", "Reproduction", "compare_posteriors", "reproduce"]

_SIGMAS = 5.0
_PARTS = {"engine": "engine and its data", "parameters": "parameters and priors", "sampler": "sampler settings", "seed": "seed"}


@dataclass(frozen=True)
class Moment:
    """One figure of both runs: its values, and the difference in units of their combined Monte Carlo error."""

    name: str
    first: float
    second: float
    sigma: float


@dataclass(frozen=True)
class Reproduction:
    """What came out of running again.

    Parameters
    ----------
    identical : bool
        Whether the content hashes of the two posteriors are equal, and those of their backgrounds where they have one.
    first_hash, second_hash : str
        The hashes.
    differences : tuple of str
        What differs between the two runs: engine, parameters, data, versions, machine.
    moments : tuple of Moment
        Means, standard deviations and the evidence; empty where identical.
    directory : Path
        Where the second run lies.
    """

    identical: bool
    first_hash: str
    second_hash: str
    differences: tuple[str, ...]
    moments: tuple[Moment, ...]
    directory: Path

    @property
    def agrees(self) -> bool:
        """Whether the runs are identical, or every moment agrees within 5 of its Monte Carlo errors."""
        return self.identical or all(abs(moment.sigma) < _SIGMAS for moment in self.moments)

    @property
    def worst(self) -> Moment | None:
        """The moment that differs most."""
        return max(self.moments, key=lambda moment: abs(moment.sigma), default=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "identical": self.identical,
            "agrees": self.agrees,
            "content_hash": [self.first_hash, self.second_hash],
            "differences": list(self.differences),
            "moments": [asdict(moment) for moment in self.moments],
        }


def reproduce(path: Path | str, output: Path, options: RunOptions | None = None) -> Reproduction:
    """Run the run in ``path`` again, into ``output``, and compare.

    A run that a budget had cut is repeated to the recorded number of iterations, not to a wall time.

    Parameters
    ----------
    path : Path
        A run directory with a posterior.
    output : Path
        Where the second run goes; must not hold a run.
    options : RunOptions, optional
        Inputs by key, workers, progress; the rest does not matter here.

    Raises
    ------
    ConfigError
        If the run was started from Python, or has no posterior yet.
    ResumeError
        If config or inputs have changed since (with ``force`` they are used as they are).
    """
    options = options or RunOptions()
    stored = open_run(path)
    config, data = stored.config(data_by_key(options.data), force=options.force)
    first = _posterior_of(stored)
    if options.workers is not None:
        config = config.override(workers=options.workers)
    options = dataclasses.replace(options, report=False)
    prepared = prepare(_to_recorded_iterations(config, stored.manifest), data)
    text = (stored.path / "config.toml").read_text(encoding="utf-8")
    with RunDirectory.create(output) as directory:
        second = run_prepared(directory, dataclasses.replace(prepared, copy=text), options, resume=False)
        manifest = directory.read_manifest()
    first_hash, second_hash = str(stored.manifest["content_hash"]), second.content_hash()
    same = first_hash == second_hash
    return Reproduction(
        identical=same and _background(stored.manifest) == _background(manifest),
        first_hash=first_hash,
        second_hash=second_hash,
        differences=tuple(differences(stored.manifest, manifest)),
        moments=() if same else compare_posteriors(first, second),
        directory=output,
    )


def _posterior_of(stored: StoredRun) -> Posterior:
    """The first run's posterior, held against its manifest."""
    if stored.manifest.get("content_hash") is None:
        status = stored.manifest.get("status")
        raise ConfigError(f"'{stored.path.name}' has no posterior to reproduce: its status is '{status}'. Finish it with sciinf resume")
    posterior = load(stored.path)
    if posterior.content_hash() != stored.manifest["content_hash"]:
        raise DataError(
            f"{stored.path.name}/posterior.h5 has content hash {posterior.content_hash()}, its manifest says "
            f"{stored.manifest['content_hash']}: one of the two was changed"
        )
    return posterior


def _to_recorded_iterations(config: Config, manifest: Mapping[str, Any]) -> Config:
    """Budgets replaced by the number of iterations at which the run had stopped."""
    stopped = manifest.get("report", {}).get("stopped", "converged")
    limit = None if stopped == "converged" else manifest.get("iterations")
    resources = dataclasses.replace(config.resources, max_calls=None, max_seconds=None, max_iterations=limit)
    return dataclasses.replace(config, resources=resources)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What two manifests say differently about what decides a result, versions and machine included."""
    found = []
    for part, text in _PARTS.items():
        was, now = first.get("science", {}).get(part), second.get("science", {}).get(part)
        if was != now:
            found.append(f"{text}: hash was {was}, is {now}")
    if _background(first) != _background(second):
        found.append(f"background: sha256 was {_background(first)}, is {_background(second)}")
    for what, look in (("sha256 ", _files), ("", _environment)):
        old, new = look(first), look(second)
        found += [
            f"{name}: {what}was {old.get(name)}, is {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)
        ]
    return found


def _background(manifest: Mapping[str, Any]) -> Any:
    """sha256 of the background's file; None where there is none."""
    return manifest.get("background", {}).get("sha256")


def _files(manifest: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of the engine's data files and of the inputs that the config names."""
    return {**manifest.get("data", {}).get("files", {}), **manifest.get("inputs", {})}


def _environment(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Versions and processor."""
    package, machine = manifest.get("sciinf", {}), manifest.get("machine", {})
    named = {f"version of {name}": str(version) for name, version in manifest.get("versions", {}).items()}
    named |= {"version of sciinf": str(package.get("version")), "commit of sciinf": str(package.get("commit"))}
    return named | {"processor": str(machine.get("cpu")), "architecture": str(machine.get("architecture"))}


def compare_posteriors(first: Posterior, second: Posterior) -> tuple[Moment, ...]:
    """Means, standard deviations and the evidence of two runs of one problem, against their Monte Carlo errors.

    Notes
    -----
    The error of a mean is the summary's. That of a standard deviation s is sqrt(sum w_i^2 ((x_i - m)^2 - s^2)^2) / 2s, the delta
    method, times sqrt(tau) for chains.
    """
    rows = {row.name: row for row in first.summary().rows}, {row.name: row for row in second.summary().rows}
    moments = []
    for name in [*first.names, *first.derived_names]:
        if name not in rows[1]:
            continue
        a, b = rows[0][name], rows[1][name]
        moments.append(Moment(f"mean of {name}", a.mean, b.mean, _sigma(b.mean - a.mean, a.mcse, b.mcse)))
        errors = [_error_of_std(posterior, row) for posterior, row in ((first, a), (second, b))]
        moments.append(Moment(f"standard deviation of {name}", a.std, b.std, _sigma(b.std - a.std, *errors)))
    if first.log_evidence is not None and second.log_evidence is not None:
        errors = [first.log_evidence_error or 0.0, second.log_evidence_error or 0.0]
        difference = second.log_evidence - first.log_evidence
        moments.append(Moment("log evidence", first.log_evidence, second.log_evidence, _sigma(difference, *errors)))
    return tuple(moments)


def _error_of_std(posterior: Posterior, row: Row) -> float:
    """Monte Carlo error of a standard deviation."""
    if not row.std > 0.0:
        return 0.0
    carries = posterior.weights > 0.0
    spread = (posterior.column(row.name)[carries] - row.mean) ** 2 - row.std**2
    error = float(np.sqrt(np.sum((posterior.weights[carries] * spread) ** 2))) / (2.0 * row.std)
    return error * math.sqrt(max(1.0, row.autocorrelation_time)) if posterior.is_mcmc else error


def _sigma(difference: float, *errors: float) -> float:
    """A difference in units of its error; 0 where both are 0, infinite where only the error is."""
    error = math.hypot(*errors)
    if difference == 0.0:
        return 0.0
    return difference / error if error > 0.0 else math.copysign(math.inf, difference)
