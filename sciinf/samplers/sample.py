"""From a Problem and settings to a Posterior: one way, with or without a run directory."""

from __future__ import annotations

import dataclasses
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.counters import Counts
from sciinf.core.engine import comparison_key_of, derived_of, posterior_meta_of, products_of
from sciinf.core.errors import ConfigError, DataError, ResumeError, SciinfError
from sciinf.core.problem import Problem
from sciinf.core.seeding import check_seed
from sciinf.core.user_paths import what_is_at
from sciinf.results import manifest as manifests
from sciinf.results import storage
from sciinf.results.posterior import Posterior
from sciinf.results.run_directory import RunDirectory
from sciinf.samplers.checkpoint import CheckpointFile, Interrupted, StopSignal
from sciinf.samplers.pools import Workers, open_pool
from sciinf.samplers.progress import Progress
from sciinf.samplers.repeats import merged, repeat_seed
from sciinf.samplers.session import Outcome, Resources, Session
from sciinf.samplers.settings import Dynesty, Emcee, Settings
from sciinf.samplers.worker import limit_threads

__all__ = ["Resources", "resolved_settings", "run_in", "sample"]

_LOG = logging.getLogger(__name__)
_FROM_PYTHON = {"origin": "python"}


def sample(
    problem: Problem,
    settings: Settings,
    *,
    seed: int,
    repeats: int = 1,
    workers: Workers = 1,
    threads: int = 1,
    max_calls: int | None = None,
    max_seconds: float | None = None,
    directory: Path | str | None = None,
    resume: bool = False,
    force: bool = False,
    overwrite: bool = False,
    checkpoint_every: float = 60.0,
    progress: bool = True,
) -> Posterior:
    """Sample a problem's posterior.

    Parameters
    ----------
    problem : Problem
        Engine and prior.
    settings : Dynesty or Emcee
        The sampler and its options.
    seed : int
        Master seed in [0, 2**64). Same problem, settings and seed: same bytes, whatever the workers, killed and resumed or not.
    repeats : int
        Number of seeds to run (the given one and children of it), merged into one posterior when they agree.
    workers : int, executor or Dask client
        Processes for the likelihood, an executor with ``submit``, or a ``distributed.Client``. With more than one process, the likelihood
        must live in a module. A compiled loop (see ``engine`` of the settings) runs in this process, and the log says so.
    threads : int
        Threads inside a batched kernel.
    max_calls, max_seconds : optional
        Budget of the whole run; when it is spent the run stops with status "not_converged" and keeps what it has.
    directory : path, optional
        Run directory: manifest, checkpoints, posterior.h5, summary.txt, run.log. It must not exist unless ``resume`` or ``overwrite``.
    resume : bool
        Go on from the directory's checkpoint; a run that is complete is read back; a directory that does not exist is started.
    force : bool
        With ``resume``: go on although something that decides the result has changed, or from the previous checkpoint where the newest is
        damaged. The manifest records it.
    overwrite : bool
        Take over the directory of an earlier run, whose files move aside into a folder inside it.
    checkpoint_every : float
        Seconds between checkpoints.
    progress : bool
        Show a progress line on a terminal.

    Warns
    -----
    SciinfWarning
        If a sampled parameter never changes the likelihood at a few points of the prior.

    Raises
    ------
    ConfigError
        If a setting is wrong, the directory exists, or the problem cannot be sent to workers.
    LikelihoodError
        What the likelihood did wrong, with theta by name.
    ResumeError
        If the run cannot go on from what is on disk.
    Interrupted
        After Ctrl-C or SIGTERM; the checkpoint is written.

    Examples
    --------
    >>> from sciinf.core.function_engine import FunctionEngine
    >>> from sciinf.core.parameter import Parameter
    >>> from sciinf.core.prior_set import PriorSet
    >>> from sciinf.core.priors import Normal
    >>> engine = FunctionEngine(lambda theta: -0.5 * float(theta @ theta), ["x"], version="1")
    >>> problem = Problem(engine, PriorSet([Parameter("x", Normal(0.0, 10.0))]))
    >>> posterior = sample(problem, Emcee(n_walkers=16, n_steps=200), seed=1, progress=False)
    >>> posterior.names
    ('x',)
    """
    resources = Resources(workers, threads, max_calls, max_seconds, checkpoint_every)
    plan = _Plan.make(problem, settings, check_seed(seed), repeats, resources, progress)
    if force and not resume:
        raise ConfigError("force=True says how to resume: it needs resume=True")
    if directory is None:
        if resume:
            raise ConfigError("resume=True needs the directory of the run to go on with")
        if overwrite:
            raise ConfigError("overwrite=True needs a directory")
        return _run(plan, None, fresh=True, force=False)[0]
    if resume and overwrite:
        raise ConfigError("resume=True goes on with the earlier run, overwrite=True replaces it: give one of them")
    path = Path(directory)
    going_on = resume and what_is_at(path / "manifest.json") == "file"
    with RunDirectory.open(path) if going_on else RunDirectory.create(path, overwrite=overwrite) as opened:
        return _run_on_disk(plan, opened, resume=going_on, force=force, origin=_FROM_PYTHON)


def run_in(
    directory: RunDirectory,
    problem: Problem,
    settings: Settings,
    *,
    seed: int,
    repeats: int = 1,
    resources: Resources | None = None,
    resume: bool = False,
    force: bool = False,
    origin: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Posterior:
    """Sample into an open run directory: what `sample` and the runner share.

    Parameters
    ----------
    directory : RunDirectory
        Locked by the caller.
    problem, settings, seed, repeats, progress
        As in `sample`.
    resources : Resources, optional
        Workers, threads, budgets.
    resume : bool
        Go on with the run that the directory's manifest describes.
    force : bool
        Go on although engine, parameters, sampler, seed or data differ, or from the previous checkpoint where the newest is damaged.
        The manifest records it.
    origin : mapping, optional
        What the manifest says about where the run came from: ``{"origin": "toml", "config": {...}}``; python where not given.

    Raises
    ------
    ConfigError, LikelihoodError, ResumeError, Interrupted
        As `sample`.
    """
    plan = _Plan.make(problem, settings, check_seed(seed), repeats, resources or Resources(), progress)
    return _run_on_disk(plan, directory, resume=resume, force=force, origin=origin or _FROM_PYTHON)


def resolved_settings(problem: Problem, settings: Settings) -> dict[str, Any]:
    """The settings as they run for this problem, JSON-able: engine and form, and every default that the problem decides.

    Raises
    ------
    ConfigError
        If the settings do not fit the problem: too few walkers or live points, or a compiled engine where there is none.
    """
    found: dict[str, Any] = _driver(settings).resolved(problem, settings)
    return found


@dataclass(frozen=True)
class _Plan:
    """Everything that was asked for, checked."""

    problem: Problem
    settings: Settings
    seed: int
    repeats: int
    resources: Resources
    progress: bool
    resolved: dict[str, Any]
    science_hash: str

    @classmethod
    def make(cls, problem: Problem, settings: Settings, seed: int, repeats: int, resources: Resources, progress: bool) -> _Plan:
        if not isinstance(problem, Problem):
            raise ConfigError(f"problem must be a Problem(engine, priors), got {type(problem).__name__}")
        if not isinstance(settings, (Dynesty, Emcee)):
            raise ConfigError(f"settings must be Dynesty(...) or Emcee(...), got {type(settings).__name__}")
        if isinstance(repeats, bool) or not isinstance(repeats, (int, np.integer)) or repeats < 1:
            raise ConfigError(f"repeats must be a positive integer, got {repeats!r}")
        resolved = resolved_settings(problem, settings)
        science = manifests.science(problem, resolved, seed, int(repeats))
        return cls(problem, settings, seed, int(repeats), resources, progress, resolved, science["science_hash"])

    @property
    def streams(self) -> list[str]:
        """Names of the child streams that the run draws from."""
        return ["start", "sampler", *(f"repeat/{i}" for i in range(1, self.repeats))]


def _driver(settings: Settings) -> Any:
    """The module that drives the settings' sampler, loaded when it is needed."""
    return importlib.import_module(f"sciinf.samplers.{settings.kind}")


def _run_on_disk(plan: _Plan, directory: RunDirectory, *, resume: bool, force: bool, origin: Mapping[str, Any]) -> Posterior:
    """A run with a manifest that says at every moment how far it is."""
    manifest = manifests.build(
        plan.problem,
        plan.resolved,
        seed=plan.seed,
        repeats=plan.repeats,
        resources=plan.resources.describe(),
        streams=plan.streams,
        origin=origin,
    )
    old = directory.read_manifest() if resume else manifest
    if resume:
        lacking = [name for name in ("status", "started", "science", "content_hash") if name not in old]
        if lacking or old["status"] not in manifests.RUN_STATUSES:
            what = f"it has no {', '.join(lacking)}" if lacking else f"its status is {old['status']!r}"
            raise ResumeError(f"{directory.manifest.name} is damaged: {what}. Put it back, or start the run again")
        differ = manifests.check_same_science(old, manifest, force=force)
        if old["status"] == "complete" and not differ:
            return _read_back(directory, old)
        note = {"at": manifest["started"], "status": old["status"], "forced": force, "differs": differ}
        manifest |= {"started": old["started"], "resumed": [*old.get("resumed", []), note]}
    directory.write_manifest(manifest)
    with directory.logging():
        try:
            directory.write_products(products_of(plan.problem.engine))
            posterior, outcome, counts = _run(plan, directory.path, fresh=not resume, force=force)
            directory.write_posterior(posterior)
        except ResumeError as error:
            _LOG.info("not resumed: %s", error)
            directory.write_manifest(old)  # a refusal changes nothing, a forced one neither
            raise
        except (Interrupted, KeyboardInterrupt) as error:
            _LOG.info("interrupted: %s", error)
            _note_end(directory, manifest, "interrupted")
            raise
        except BaseException as error:
            _LOG.exception("the run failed: %s", type(error).__name__)
            _note_end(directory, manifest, "failed")
            raise
    complete = posterior.status != "not_converged"
    ended = manifests.finished(
        manifest,
        "complete" if complete else "not_converged",
        counts=counts,
        iterations=outcome.iterations,
        content_hash=posterior.content_hash(),
        report={"stopped": outcome.stopped, **outcome.report},
    )
    directory.write_manifest(ended)
    if complete:
        directory.remove_checkpoints()
    return posterior


def _note_end(directory: RunDirectory, manifest: Mapping[str, Any], status: manifests.RunStatus) -> None:
    """Put why the run ended into its manifest; where that fails too (a full disk), the error under way is the one to be seen."""
    try:
        directory.write_manifest(manifests.finished(manifest, status))
    except SciinfError as error:
        _LOG.warning("status '%s' is not noted: %s", status, error)


def _read_back(directory: RunDirectory, manifest: Mapping[str, Any]) -> Posterior:
    """The posterior of a complete run, held against its manifest."""
    posterior = storage.load(directory.posterior)
    if posterior.content_hash() != manifest["content_hash"]:
        raise ResumeError(
            f"{directory.posterior.name} has content hash {posterior.content_hash()}, its manifest says {manifest['content_hash']}: "
            "one of the two was changed. Start a new run"
        )
    directory.remove_checkpoints()  # where the process was killed before it had
    return posterior


def _run(plan: _Plan, folder: Path | None, *, fresh: bool, force: bool) -> tuple[Posterior, Outcome, Counts]:
    """All repeats in one pool, merged."""
    title = f"{plan.problem.name}: {plan.settings.kind}"
    if plan.resolved["form"] == "compiled" and plan.resources.describe()["workers"] != 1:
        _LOG.info("%s runs compiled, in this process: its workers stay idle. engine='%s' uses them", plan.problem.name, plan.settings.kind)
    with limit_threads(plan.resources.threads), StopSignal() as stop, Progress(title, enabled=plan.progress) as bar:
        pool = open_pool(plan.problem, plan.resources.workers, threads=plan.resources.threads)
        session = Session(plan.problem, plan.seed, pool, plan.resources, plan.settings.kind, plan.science_hash, stop, bar, force=force)
        parts: list[Posterior] = []
        try:
            if fresh:
                plan.problem.probe(plan.seed)
            elif folder is not None and not any(folder.glob("checkpoint*.bin")):
                _LOG.info("%s: no checkpoint is left, what was not finished starts again", plan.problem.name)
            for index in range(plan.repeats):
                part, outcome = _repeat(plan, session, folder, index)
                parts.append(part)
                if not outcome.converged:
                    break
        except KeyboardInterrupt:
            pool.close(now=True)
            left = "nothing is kept" if folder is None else "resume goes on from the last checkpoint"
            raise Interrupted(f"{plan.problem.name}: stopped at once by a second signal; {left}") from None
        except BaseException:
            pool.close(now=True)
            raise
        pool.close()
    posterior = merged(plan.problem.name, parts)
    meta = {**posterior.meta, **_meta(plan, outcome, session.counts(), parts)}
    return dataclasses.replace(posterior, meta=meta), outcome, session.counts()


def _repeat(plan: _Plan, session: Session, folder: Path | None, index: int) -> tuple[Posterior, Outcome]:
    """One seed: run, or read back where an earlier process finished it."""
    stored = None if folder is None or plan.repeats == 1 else folder / f"repeat-{index:03d}.h5"
    if stored is not None and stored.exists():
        try:
            part = storage.load(stored)
        except DataError as error:
            raise ResumeError(f"{error}. Delete {stored.name} to run that repeat again") from error
        notes = part.meta["repeat"]
        session.earlier, session.earlier_seconds = Counts(*notes["counts"]), float(notes["seconds"])
        return part, Outcome({}, notes["stopped"], notes["iterations"], notes["report"])
    session.seed = repeat_seed(plan.seed, index)
    stem = "checkpoint" if plan.repeats == 1 else f"checkpoint-{index:03d}"
    session.file = None if folder is None else CheckpointFile(folder, stem)
    outcome: Outcome = _driver(plan.settings).run(session, plan.settings)
    part = _posterior(plan.problem, outcome)
    if stored is not None and outcome.converged:
        notes = {
            "counts": list(session.counts()),
            "seconds": session.seconds(),
            "stopped": outcome.stopped,
            "iterations": outcome.iterations,
            "report": dict(outcome.report),
        }
        storage.save(dataclasses.replace(part, meta={"repeat": notes}), stored)
    return part, outcome


def _posterior(problem: Problem, outcome: Outcome) -> Posterior:
    """The sampler's arrays with the problem's names, and the engine's derived quantities on them."""
    fields = dict(outcome.fields)
    derived = derived_of(problem.engine)
    if derived is not None:
        fields["derived"] = _derived(problem, fields)
        fields["derived_names"] = derived.names
        fields["derived_latex"] = tuple(getattr(problem.engine, "derived_latex", ()))
    return Posterior(
        names=problem.names,
        latex=problem.priors.latex,
        units=problem.priors.units,
        status="ok" if outcome.converged else "not_converged",
        **fields,
    )


def _derived(problem: Problem, fields: Mapping[str, Any]) -> NDArray[np.float64]:
    """Derived quantities (n, k), NaN at points of zero likelihood, where the engine may not be valid."""
    derived = derived_of(problem.engine)
    assert derived is not None
    rows = np.isfinite(fields["log_likelihood"])
    values = np.full((len(rows), len(derived.names)), np.nan)
    values[rows] = derived.many(problem.engine_theta(fields["samples"][rows]))
    return values


def _meta(plan: _Plan, outcome: Outcome, counts: Counts, parts: list[Posterior]) -> dict[str, Any]:
    """Extract of the manifest that travels with the posterior."""
    problem = plan.problem
    ends = {name: [end if np.isfinite(end) else None for end in pair] for name, pair in problem.priors.supports.items()}
    meta: dict[str, Any] = {
        "problem": problem.name,
        "sampler": plan.resolved,
        "seed": plan.seed,
        "science_hash": plan.science_hash,
        "engine_fingerprint": problem.engine.fingerprint(),
        "comparison_key": comparison_key_of(problem.engine),
        "supports": ends,
        "fixed": problem.priors.fixed,
        "counts": counts._asdict(),
        "stopped": outcome.stopped,
        "report": dict(outcome.report),
    }
    if notes := posterior_meta_of(problem.engine):
        meta["engine"] = dict(notes)
    if plan.repeats > 1:
        meta["repeats"] = [
            {"log_evidence": part.log_evidence, "log_evidence_error": part.log_evidence_error, "samples": len(part)} for part in parts
        ]
    return meta
