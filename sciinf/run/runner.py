"""A run from its config to its report."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sciinf.core.atomic import write_text
from sciinf.core.engine import check_of, edges_of
from sciinf.core.errors import SciinfError, SciinfWarning
from sciinf.core.user_paths import what_is_at
from sciinf.results.run_directory import RunDirectory
from sciinf.results.run_log import run_log
from sciinf.results.summary import notes_of
from sciinf.run.background import check_background, read_background, run_background
from sciinf.run.config import Config, load_config
from sciinf.run.prepare import Prepared, check_sampler, data_by_key, prepare
from sciinf.run.stored import open_run

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior

__all__ = ["RunOptions", "output_of", "resume", "run", "run_prepared", "write_report"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How to run a config: what the command line adds to it.

    Parameters
    ----------
    output : Path, optional
        Run directory; by default the config's ``output``, else ``runs/NAME`` below the current folder.
    resume : bool
        Go on with the run in that directory, where there is one.
    overwrite : bool
        Start anew in a directory that holds a run; its files move into a folder inside.
    force : bool
        Resume although something that decides the result has changed; the manifest records it.
    data : dict of str to path
        Inputs by key, before the config's own.
    progress : bool
        Show a progress line on a terminal.
    workers : int, optional
        Processes, in the place of the config's.
    report : bool
        Whether to write the HTML report at the end (`sciinf report` writes it later).
    """

    output: Path | None = None
    resume: bool = False
    overwrite: bool = False
    force: bool = False
    data: Mapping[str, Path | str] = field(default_factory=dict)
    progress: bool = True
    workers: int | None = None
    report: bool = True


def output_of(config: Config, options: RunOptions) -> Path:
    """The run directory of a config."""
    return Path(options.output or config.output or Path("runs") / config.name)


def run(config: Config | Path | str, options: RunOptions | None = None) -> Posterior:
    """Run a config: engine, prior, sampler, posterior, report, all in its run directory.

    Parameters
    ----------
    config : Config or path
        What to run.
    options : RunOptions, optional
        How.

    Returns
    -------
    Posterior
        Also in the run directory; its ``status`` says whether the run converged.

    Raises
    ------
    ConfigError, DataError, PriorError
        If the config, its inputs or the run directory are not as they must be; nothing is written then.
    LikelihoodError
        What the likelihood did wrong; the last checkpoint is kept.
    ResumeError
        If the run cannot go on from what is on disk.
    Interrupted
        After Ctrl-C or SIGTERM; the checkpoint is written.
    """
    options = options or RunOptions()
    config = config if isinstance(config, Config) else load_config(config)
    prepared = prepare(config.override(workers=options.workers), data_by_key(options.data))
    check_sampler(prepared)
    check_background(prepared.config, prepared.problem)
    path = output_of(config, options)
    going_on = options.resume and what_is_at(path / "manifest.json") == "file"
    with RunDirectory.open(path) if going_on else RunDirectory.create(path, overwrite=options.overwrite) as directory:
        return run_prepared(directory, prepared, options, resume=going_on)


def resume(path: Path | str, options: RunOptions | None = None) -> Posterior:
    """Go on with the run in a directory, from its own copy of the config.

    Raises
    ------
    ConfigError
        If the run was started from Python.
    ResumeError
        If config, inputs, engine or versions have changed since, or a checkpoint is damaged.
    """
    options = options or RunOptions()
    stored = open_run(path)
    config, data = stored.config(data_by_key(options.data), force=options.force)
    prepared = prepare(config.override(workers=options.workers), data)
    with RunDirectory.open(stored.path) as directory:
        prepared = replace(prepared, copy=directory.config.read_text(encoding="utf-8"))
        return run_prepared(directory, prepared, options, resume=True)


def run_prepared(directory: RunDirectory, prepared: Prepared, options: RunOptions, *, resume: bool) -> Posterior:
    """Sample into a locked directory, and write what people read."""
    from sciinf.samplers.sample import run_in

    config = prepared.config
    with run_log(directory.log):
        _log.info("%s: %s with seed %d%s", config.name, config.settings.kind, config.seed, ", resumed" if resume else "")
        prepared.log_defaults()
        if not resume:
            write_text(directory.config, prepared.copy)
        origin = prepared.origin(directory.path)
        try:
            posterior = run_in(
                directory,
                prepared.problem,
                config.settings,
                seed=config.seed,
                repeats=config.repeats,
                resources=config.resources,
                resume=resume,
                force=options.force,
                origin=origin,
                progress=options.progress,
            )
        finally:
            _keep_copy(directory, prepared)
        posterior = _checked(directory, prepared, posterior)
        _edges(directory, prepared, posterior)
        run_background(directory, config, prepared.problem, posterior, progress=options.progress)
        if options.report:
            write_report(directory.path, posterior, prepared)
        _log.info("%s: %s", config.name, directory.status)
    return posterior


def _keep_copy(directory: RunDirectory, prepared: Prepared) -> None:
    """After a resume from an edited config (other budgets, say) that was accepted: keep the text that ran."""
    if directory.manifest.exists():
        accepted = directory.read_manifest().get("config", {}).get("sha256")
        if (
            accepted == prepared.origin(directory.path)["config"]["sha256"]
            and directory.config.read_text(encoding="utf-8") != prepared.copy
        ):
            write_text(directory.config, prepared.copy)


def _checked(directory: RunDirectory, prepared: Prepared, posterior: Posterior) -> Posterior:
    """The posterior with the status that the engine's own check gives it, where it has one; once for a run."""
    check = check_of(prepared.problem.engine)
    if check is None or posterior.status != "ok" or "check" in directory.read_manifest():
        return posterior
    try:
        checked: Posterior = check(posterior)
    except SciinfError as error:
        warnings.warn(f"the engine's own check could not be made: {error}", SciinfWarning, stacklevel=2)
        return posterior
    if checked is not posterior:
        directory.write_posterior(checked)
    for note in notes_of(checked):
        _log.log(logging.INFO if note.good else logging.WARNING, "%s", note.text)
    if checked.status != posterior.status:
        _log.warning("%s: the engine's own check: %s", prepared.config.name, checked.status.replace("_", " "))
    directory.write_manifest({**directory.read_manifest(), "check": {"status": checked.status}})
    return checked


def _edges(directory: RunDirectory, prepared: Prepared, posterior: Posterior) -> None:
    """Warn of parameters that lean on the edge of the engine's domain, and put them into the summary."""
    summary = posterior.summary(domain=edges_of(prepared.problem.engine))
    for edge in summary.edges:
        warnings.warn(f"{edge}: the engine ends there, and the posterior with it", SciinfWarning, stacklevel=2)
    if summary.edges:
        write_text(directory.summary, f"{summary}\n")


def write_report(
    path: Path, posterior: Posterior, prepared: Prepared | None = None, *, missing: str = "", target: Path | None = None
) -> Path:
    """Write the HTML report of a run.

    Parameters
    ----------
    path : Path
        The run directory.
    posterior : Posterior
        Its result.
    prepared : Prepared, optional
        The run's problem, for the engine's own figures.
    missing : str
        Why there is none.
    target : Path, optional
        Where to write; ``report.html`` in the directory by default.
    """
    from sciinf.run.report import ReportInput, render

    directory = RunDirectory(path)
    text = directory.config.read_text(encoding="utf-8") if directory.config.exists() else ""
    manifest = directory.read_manifest()
    given = manifest.get("config", {}).get("given_priors")
    background, _ = read_background(directory.path, manifest)
    source = ReportInput(
        posterior=posterior,
        manifest=manifest,
        directory_name=path.resolve().name,
        config_text=text,
        given=None if given is None else tuple(given),
        problem=None if prepared is None else prepared.problem,
        missing=missing,
        background=background,
    )
    target = target or directory.report
    write_text(target, render(source))
    return target
