"""Several runs beside each other: Bayes factors where they may be formed, shifts of parameters, one corner plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciinf.core.atomic import atomic_path
from sciinf.core.errors import ConfigError, nearest_names
from sciinf.results.run_directory import load
from sciinf.run.stored import StoredRun, open_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciinf.results.posterior import Posterior

__all__ = ["BayesFactor", "Comparison", "Shift", "compare"]


@dataclass(frozen=True)
class BayesFactor:
    """Log of the ratio of two evidences, first over second; ``refused`` says why there is none."""

    first: str
    second: str
    log_ratio: float | None
    error: float | None
    refused: str = ""


@dataclass(frozen=True)
class Shift:
    """A quantity in two runs, and the difference of the means in units of the two standard deviations added in quadrature."""

    name: str
    first: str
    second: str
    first_mean: float
    first_std: float
    second_mean: float
    second_std: float
    sigma: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: every run against the first."""

    labels: tuple[str, ...]
    posteriors: tuple[Posterior, ...]
    bayes_factors: tuple[BayesFactor, ...]
    shifts: tuple[Shift, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; numbers that are not finite become None."""

        def plain(item: Any) -> dict[str, Any]:
            values = asdict(item).items()
            return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values}

        return {
            "runs": list(self.labels),
            "bayes_factors": [plain(item) for item in self.bayes_factors],
            "shifts": [plain(item) for item in self.shifts],
        }

    def figure(self) -> Figure:
        """The posteriors over each other in one corner plot of the quantities they share."""
        from sciinf.results.plots import corner_overlay

        return corner_overlay(dict(zip(self.labels, self.posteriors, strict=True)))

    def save_figure(self, path: Path) -> None:
        """Write the corner plot, atomically; the ending says the format.

        Raises
        ------
        ConfigError
            If matplotlib does not know the format, or the file cannot be written.
        """
        figure = self.figure()
        known = figure.canvas.get_supported_filetypes()
        ending = path.suffix.removeprefix(".").lower()
        if ending not in known:
            raise ConfigError(f"cannot write a picture as {path.name!r}: {nearest_names(ending, known)}")
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=ending, dpi=160, facecolor="white")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def compare(paths: Sequence[Path | str]) -> Comparison:
    """Compare runs with the first of them.

    Parameters
    ----------
    paths : sequence of path
        Two or more run directories with a posterior.

    Raises
    ------
    ConfigError
        If fewer than two are given, or runs share no quantity and no evidences that may be compared.
    DataError
        If one is not a run directory, or has no posterior.

    Notes
    -----
    An evidence is the probability of the data, so two may be divided only where the data are the same: where the engines'
    ``comparison_key`` are equal; where they are not, the refusal names the parts that differ, if the engine keeps them apart. The rest is
    compared all the same. The shift of a quantity takes the runs as independent; for runs that share data it is too small a
    number of sigma.
    """
    if len(paths) < 2:
        raise ConfigError(f"compare needs at least two run directories, got {len(paths)}")
    runs = [open_run(path) for path in paths]
    posteriors = tuple(load(run.path) for run in runs)
    labels = _labels(runs)
    factors, shifts = [], []
    for i in range(1, len(runs)):
        factors.append(_bayes_factor((labels[0], runs[0], posteriors[0]), (labels[i], runs[i], posteriors[i])))
        shifts += _shifts((labels[0], posteriors[0]), (labels[i], posteriors[i]))
    if not shifts and all(factor.log_ratio is None for factor in factors):
        raise ConfigError(f"the runs {', '.join(labels)} share no quantity: there is nothing to compare ({factors[0].refused})")
    return Comparison(labels, posteriors, tuple(factors), tuple(shifts))


def _labels(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """The runs' names, with their folders where two are equal."""
    names = [str(run.manifest.get("name", run.path.name)) for run in runs]
    folders = [f"{name} ({run.path.resolve().name})" for name, run in zip(names, runs, strict=True)]
    labels = [name if names.count(name) == 1 else folder for name, folder in zip(names, folders, strict=True)]
    return tuple(label if labels.count(label) == 1 else f"{label} {i + 1}" for i, label in enumerate(labels))


def _bayes_factor(first: tuple[str, StoredRun, Posterior], second: tuple[str, StoredRun, Posterior]) -> BayesFactor:
    """The log Bayes factor, ln Z_1 - ln Z_2, with its error, or why it is refused."""
    keys = [str(run.manifest.get("engine", {}).get("comparison_key")) for _, run, _ in (first, second)]
    without = [label for label, _, posterior in (first, second) if posterior.log_evidence is None]
    unfinished = [label for label, _, posterior in (first, second) if posterior.status != "ok"]
    refused = ""
    if without:
        refused = f"no evidence in {' and '.join(without)} (not sampled by a nested sampler)"
    elif keys[0] != keys[1]:
        what = _differing(first[1], second[1])
        refused = f"the data differ{what} (comparison keys {keys[0][:12]}… and {keys[1][:12]}…), so the ratio of evidences means nothing"
    elif unfinished:
        refused = f"{' and '.join(unfinished)} did not converge"
    if refused:
        return BayesFactor(first[0], second[0], None, None, refused)
    values = [float(item[2].log_evidence or 0.0) for item in (first, second)]
    errors = [float(item[2].log_evidence_error or 0.0) for item in (first, second)]
    return BayesFactor(first[0], second[0], values[0] - values[1], math.hypot(*errors))


def _differing(first: StoredRun, second: StoredRun) -> str:
    """In which parts of what they are given two runs differ; nothing where an engine does not say."""
    parts = [run.manifest.get("engine", {}).get("comparison_parts") or {} for run in (first, second)]
    names = [name for name in {**parts[0], **parts[1]} if parts[0].get(name) != parts[1].get(name)]
    return f" in {', '.join(names)}" if parts[0] and parts[1] and names else ""


def _shifts(first: tuple[str, Posterior], second: tuple[str, Posterior]) -> list[Shift]:
    """Every quantity that both have, but for parts of the likelihood: those belong to each run's own data."""
    rows = {row.name: row for row in first[1].summary().rows}, {row.name: row for row in second[1].summary().rows}
    found = []
    for name, a in rows[0].items():
        if name in rows[1] and not name.startswith("chi2__"):
            b = rows[1][name]
            error = math.hypot(a.std, b.std)
            sigma = (b.mean - a.mean) / error if error > 0 else math.nan
            found.append(Shift(name, first[0], second[0], a.mean, a.std, b.mean, b.std, sigma))
    return found
