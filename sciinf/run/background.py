"""After the run: the same search where no signal can be, for engines that offer it, and what that says of the result."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciinf.core.atomic import write_text
from sciinf.core.engine import background_of
from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.core.user_paths import what_is_at

if TYPE_CHECKING:
    from sciinf.core.engine import Background
    from sciinf.core.problem import Problem
    from sciinf.results.posterior import Posterior
    from sciinf.results.run_directory import RunDirectory
    from sciinf.run.config import Config

__all__ = ["FILE", "check_background", "read_background", "run_background"]

_log = logging.getLogger(__name__)

FILE = "background.json"
_FOLDER = "background"  # of finished units; goes when the file is written
_DRAWS = 20  # posterior draws that a unit keeps; only its evidence is wanted


def check_background(config: Config, problem: Problem) -> None:
    """Refuse a background that the config's sampler cannot judge, before anything is written.

    Raises
    ------
    ConfigError
        If the sampler gives no evidence.
    """
    if config.settings.kind != "dynesty" and background_of(problem) is not None:
        raise ConfigError(
            f"{config.source}: a background compares evidences, which {config.settings.kind} does not give: [sampler] kind = 'dynesty', "
            "or take the background out"
        )


def run_background(directory: RunDirectory, config: Config, problem: Problem, posterior: Posterior, *, progress: bool) -> None:
    """Sample the engine's background problems with the run's own settings and seed, and write the judgement beside the posterior.

    Finished units stay in the run directory until the last is done: a resumed run goes on with the next. The manifest's ``background``
    says how far it is, and holds the hash of the file. Without one that the engine offers, or with a run that has not converged, nothing
    happens.

    Raises
    ------
    Interrupted
        After Ctrl-C or SIGTERM.
    """
    background = background_of(problem)
    if background is None or posterior.status == "not_converged":
        return
    manifest = directory.read_manifest()
    if manifest.get("background", {}).get("status") == "complete" and not _problem(directory.path, manifest):
        return
    directory.write_manifest({**manifest, "background": {"status": "running"}})
    record = _record(background, directory, config, posterior, progress=progress)
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_text(directory.path / FILE, text)
    note = {"status": "complete", "file": FILE, "sha256": hashlib.sha256(text.encode()).hexdigest(), "sentence": record["sentence"]}
    directory.write_manifest({**manifest, "background": note})
    shutil.rmtree(directory.path / _FOLDER, ignore_errors=True)
    _log.info("background: %s", record["sentence"])


def _record(background: Background, directory: RunDirectory, config: Config, posterior: Posterior, *, progress: bool) -> dict[str, Any]:
    from sciinf.calibration.injections import campaign_over
    from sciinf.samplers.checkpoint import Interrupted

    folder, problems = directory.path / _FOLDER, []
    try:
        problems = list(background.problems())
        _log.info("background: %d runs", len(problems))
        campaign = campaign_over(
            problems,
            config.settings,
            config.seed,
            workers=config.resources.workers,
            directory=folder,
            n_draws=_DRAWS,
            progress=progress,
        )
    except (KeyboardInterrupt, Interrupted):
        done = len(list((folder / "units").glob("*.bin")))
        raise Interrupted(
            f"{config.name}: the posterior is complete; its background was stopped after {done} of {len(problems) or 'its'} runs, "
            "which are kept"
        ) from None
    assert posterior.log_evidence is not None
    return {
        **background.judge(posterior.log_evidence, campaign.log_evidence),
        "on": posterior.log_evidence,
        "on_error": posterior.log_evidence_error,
        "names": [problem.name for problem in problems],
        "log_evidence": campaign.log_evidence.tolist(),
        "log_evidence_error": campaign.log_evidence_error.tolist(),
        "calls": campaign.calls.tolist(),
    }


def _problem(path: Path, manifest: Mapping[str, Any]) -> str:
    """What is wrong between a background's file and the manifest; empty where nothing is."""
    expected = manifest["background"].get("sha256")
    if what_is_at(path / FILE) != "file":
        return f"{FILE} is missing, although the manifest has its hash"
    found = hashlib.sha256((path / FILE).read_bytes()).hexdigest()
    return "" if found == expected else f"{FILE} has sha256 {found}, the manifest says {expected}: one of the two was changed"


def read_background(path: Path, manifest: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The background's record in a run directory, or None; and what is wrong with it, empty where nothing is."""
    status = manifest.get("background", {}).get("status")
    if status != "complete":
        return None, ""
    if problem := _problem(path, manifest):
        return None, problem
    try:
        record = json.loads((path / FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{FILE}: not JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("sentence"), str):
        raise DataError(f"{FILE}: not a record of a background: {shown(record)}")
    return record, ""
