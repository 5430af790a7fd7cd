"""Looking at a run on disk: its summary checked against its manifest, and its report written again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciinf.core.errors import SciinfError
from sciinf.results.run_directory import load
from sciinf.run.background import read_background
from sciinf.run.prepare import data_by_key, prepare
from sciinf.run.runner import write_report
from sciinf.run.stored import StoredRun, open_run

if TYPE_CHECKING:
    from sciinf.results.summary import Summary

__all__ = ["View", "look", "report_again"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """A run as it can be shown: manifest, summary where there is a posterior, and what is wrong between the two."""

    path: Path
    manifest: Mapping[str, Any]
    summary: Summary | None
    problem: str = ""
    background: Mapping[str, Any] | None = None

    @property
    def intact(self) -> bool:
        """Whether what is on disk is what the manifest says."""
        return not self.problem

    @property
    def references(self) -> dict[str, tuple[float, float, str]]:
        """Published values by name."""
        return {name: (float(item[0]), float(item[1]), str(item[2])) for name, item in self.manifest.get("references", {}).items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        manifest = self.manifest
        keys = ("name", "origin", "status", "seed", "repeats", "science_hash", "content_hash", "counts", "iterations", "started", "ended")
        return {
            "directory": str(self.path),
            **{key: manifest.get(key) for key in keys},
            "sampler": manifest.get("sampler"),
            "comparison_key": manifest.get("engine", {}).get("comparison_key"),
            "summary": None if self.summary is None else self.summary.to_dict(),
            "check": manifest.get("check"),
            "background": None if self.background is None else dict(self.background),
            "references": {name: list(item) for name, item in self.references.items()},
            "intact": self.intact,
            "problem": self.problem,
        }


def look(path: Path | str) -> View:
    """A run as it can be shown, checked: the posterior's content hash against the manifest's, the config's copy too.

    Raises
    ------
    DataError
        If it is not a run directory, or its posterior is damaged.
    """
    stored = open_run(path)
    manifest = stored.manifest
    if not (stored.path / "posterior.h5").exists():
        missing = "posterior.h5 is missing, although the manifest has its hash" if manifest.get("content_hash") else ""
        return View(stored.path, manifest, None, missing)
    posterior = load(stored.path)
    found, expected = posterior.content_hash(), manifest.get("content_hash")
    problem = ""
    if expected is not None and found != expected:
        problem = f"posterior.h5 has content hash {found}, the manifest says {expected}: one of the two was changed"
    elif not stored.from_python:
        problem = _config_problem(stored)
    domain = {name: (float(low), float(high)) for name, (low, high) in manifest.get("domain", {}).items()}
    background, wrong = read_background(stored.path, manifest)
    return View(stored.path, manifest, posterior.summary(domain=domain), problem or wrong, background)


def _config_problem(stored: StoredRun) -> str:
    """What is wrong with the copy of the config; empty where nothing is."""
    try:
        stored.text()
    except SciinfError as error:
        return str(error)
    return ""


def report_again(path: Path | str, data: Mapping[str, Path | str], target: Path | None = None) -> tuple[Path, str]:
    """Write a run's report; without the engine's own pictures where the engine cannot be built here.

    Returns
    -------
    tuple
        Where the report is, and why the engine's pictures are left out (empty where they are not).
    """
    stored = open_run(path)
    posterior = load(stored.path)
    prepared, missing = None, ""
    if stored.from_python:
        missing = "the run was started from Python"
    else:
        try:
            config, found = stored.config(data_by_key(data))
            prepared = prepare(config, found)
            if prepared.problem.engine.fingerprint() != stored.manifest.get("engine", {}).get("fingerprint"):
                prepared, missing = None, "the engine or its data have changed since the run"
        except SciinfError as error:
            _log.info("report without the engine: %s", error)
            missing = str(error)
    return write_report(stored.path, posterior, prepared, missing=missing, target=target), missing
