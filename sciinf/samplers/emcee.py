"""emcee, driven step by step, by its own code or compiled: convergence by autocorrelation time, checkpoints, export.

The chain is emcee's own to the bit, whichever of the two steps it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import emcee
import numpy as np

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.problem import Problem
from sciinf.core.seeding import legacy_state
from sciinf.samplers.chain_length import ChainLength, judge, next_check
from sciinf.samplers.compiled.choice import compiled_for
from sciinf.samplers.ensemble import StockEnsemble
from sciinf.samplers.segments import Segments
from sciinf.samplers.session import Outcome, Session
from sciinf.samplers.settings import Emcee
from sciinf.samplers.walkers import start_points

if TYPE_CHECKING:
    from sciinf.core.compiled_problem import CompiledProblem
    from sciinf.results.posterior import Posterior
    from sciinf.samplers.compiled.stretch import CompiledEnsemble

__all__ = ["export_hdf", "resolved", "run"]

_FIRST_CHECK = 200
_N_BLOBS = 2


def resolved(problem: Problem, settings: Emcee) -> dict[str, Any]:
    """The settings as they run for this problem: engine and form of the likelihood.

    Raises
    ------
    ConfigError
        If there are too few walkers for the number of parameters, or the compiled engine is asked for and the problem or the moves
        have none.
    """
    n_dim = problem.n_dim
    if settings.n_walkers < 2 * n_dim:
        raise ConfigError(f"Emcee: n_walkers must be at least 2 n_dim = {2 * n_dim} for {problem.name}, got {settings.n_walkers}")
    compiled = _compiled(problem, settings) is not None
    return {**settings.describe(), "engine": "compiled" if compiled else "emcee", "form": "compiled" if compiled else "batched"}


def _compiled(problem: Problem, settings: Emcee) -> CompiledProblem | None:
    lacking = "moves='mix' has no compiled form" if settings.moves == "mix" else ""
    return compiled_for(problem, settings.engine, "emcee", lacking)


def _ensemble(session: Session, settings: Emcee) -> StockEnsemble | CompiledEnsemble:
    """Who steps the walkers."""
    compiled = _compiled(session.problem, settings)
    if compiled is None:
        return StockEnsemble(session.problem, session.pool, settings)
    from sciinf.samplers.compiled.stretch import CompiledEnsemble

    return CompiledEnsemble(session.problem, compiled, settings)


class _Chain:
    """An emcee run in progress: its storage, its next check, and its checkpoints."""

    def __init__(self, session: Session, settings: Emcee) -> None:
        self.session, self.settings = session, settings
        self.ensemble = _ensemble(session, settings)
        self.segments = None if session.file is None else Segments(session.file.folder, session.file.path.stem)
        self.next_check = _FIRST_CHECK
        self.length: ChainLength | None = None

    @property
    def n_steps(self) -> int:
        """Steps made so far."""
        return int(self.ensemble.backend.iteration)

    def begin(self) -> None:
        """Start from the checkpoint where there is one, else from fresh walkers."""
        found = self.session.restore(None if self.segments is None else self.segments.verify)
        if found is not None and self.segments is not None:
            stored = self.segments.read(found.body, self.ensemble.backend)
            self.next_check = int(stored["next_check"])
            self.ensemble.resume()
            return
        points = start_points(self.session, self.settings, self.ensemble.compute_log_prob)
        self.ensemble.begin(points, legacy_state(self.session.seed, "sampler"))

    def save(self) -> None:
        """New steps as a segment, then the state that names all segments."""
        segments = self.segments
        if segments is not None and self.n_steps:
            ensemble, notes = self.ensemble, {"next_check": self.next_check}
            self.session.save(self.n_steps, lambda: segments.write(ensemble.backend, ensemble.generator_state(), notes))

    def advance(self, last: int) -> str:
        """Step until ``last`` steps are made; why it stopped before, or ""."""
        session, limits = self.session, self.session.resources
        last = min(last, limits.max_iterations or last)
        n_steps, ensemble = last - self.n_steps, self.ensemble
        if isinstance(ensemble, StockEnsemble):  # pauses at every step, where `why_stop` counts calls
            pauses = ensemble.steps(n_steps)
        else:
            calls_left = None if limits.max_calls is None else max(1, limits.max_calls - session.counts().calls)  # one step in any case
            pauses = ensemble.steps(n_steps, calls_left)  # type: ignore[call-arg]  # emcee's untyped base hides the narrowing
        for _ in pauses:
            stopped = session.why_stop(self.n_steps)
            if stopped:
                return stopped
            if session.checkpoint_due():
                self.save()
            if session.progress.due:
                self.show()
        return ""

    def show(self) -> None:
        """One line for the terminal."""
        calls, goal = self.session.counts().calls, self.settings.n_steps
        text = f"{self.n_steps} steps, {calls} calls"
        if self.length is not None:
            text += f", {self.length.multiple:.0f} of {self.settings.tau_multiple:g} autocorrelation times"
        fraction = self.n_steps / goal if goal else (self.length.multiple / self.settings.tau_multiple if self.length else None)
        self.session.progress.show(text, fraction)

    def until_converged(self) -> str:
        """Step and judge by turns; "converged", or why not."""
        settings = self.settings
        while True:
            stopped = self.advance(min(self.next_check, settings.max_steps))
            if stopped:
                return stopped
            self.length = judge(self.ensemble.backend.get_chain(), settings, early=self.n_steps < settings.max_steps)
            if self.length.enough(settings):
                return "converged"
            if self.n_steps >= settings.max_steps:
                return "max_steps"
            self.next_check = next_check(self.n_steps, self.length, settings)


def run(session: Session, settings: Emcee) -> Outcome:
    """Run emcee until it converges, its number of steps, its budget or its interruption.

    Raises
    ------
    ConfigError
        If given start points have the wrong shape or lie outside the prior.
    LikelihoodError
        What the likelihood raised, or that it is zero at all start points.
    Interrupted
        If a signal asked to stop; the checkpoint is written.
    ResumeError
        If the checkpoint cannot be used.
    """
    chain = _Chain(session, settings)
    chain.begin()
    stopped = chain.until_converged() if settings.n_steps is None else chain.advance(settings.n_steps)
    if stopped in ("interrupted", "max_calls", "max_seconds", "max_iterations", "max_steps"):
        chain.save()
    if stopped == "interrupted":
        raise session.interrupted(chain.n_steps)
    if settings.n_steps is not None or chain.length is None or stopped != "converged":
        chain.length = judge(chain.ensemble.backend.get_chain(), settings)
    if not stopped:
        stopped = "converged" if chain.length.multiple >= settings.tau_multiple else "n_steps"
    backend = chain.ensemble.backend
    report = {
        "steps": chain.n_steps,
        "acceptance": float(np.mean(backend.accepted) / backend.iteration),
        "tau": dict(zip(session.problem.names, map(float, chain.length.tau), strict=True)),
        "n_over_tau": float(chain.length.multiple),
        "ess": float(chain.length.ess),
        "tau_stable": chain.length.stable,
        **(kept := _kept(chain.length, settings)),
    }
    return Outcome(_fields(backend, **kept), stopped, chain.n_steps, report)


def _kept(length: ChainLength, settings: Emcee) -> dict[str, int]:
    """Which steps are kept: ``burn`` and ``thin``."""
    shortest = float(np.min(length.tau))
    thin = max(1, int(0.5 * shortest)) if isinstance(settings.thin, str) else int(settings.thin)
    return {"burn": int(length.burn), "thin": thin}


def _fields(backend: Any, burn: int, thin: int) -> dict[str, Any]:
    """Fields of a Posterior from emcee's storage: steps burn, burn + thin, ... of each walker, step by step."""
    steps = np.arange(burn, backend.iteration, thin)
    chain, blobs = backend.chain[steps], backend.blobs[steps]
    n_steps, n_walkers, n_dim = chain.shape
    return {
        "samples": chain.reshape(-1, n_dim),
        "log_weights": np.zeros(n_steps * n_walkers),
        "log_likelihood": blobs[:, :, 0].ravel(),
        "log_prior": blobs[:, :, 1].ravel(),
        "chain": np.tile(np.arange(n_walkers), n_steps),
        "draw": np.repeat(steps, n_walkers),
    }


def export_hdf(posterior: Posterior, path: Path | str, *, group: str = "mcmc") -> None:
    """Write the kept steps of an emcee run in emcee's own HDF5 format, for `emcee.backends.HDFBackend` to read.

    Parameters
    ----------
    posterior : Posterior
        Of one emcee run; with ``burn=0, thin=1`` it holds every step.
    path : path
        A file that does not exist yet.
    group : str
        Name of the group inside, as emcee calls it.

    Raises
    ------
    DataError
        If the posterior has no chains of equal length, or the file exists.
    """
    if posterior.chain is None or posterior.draw is None:
        raise DataError("this posterior has no chains: emcee's format is for MCMC runs")
    path = Path(path)
    if path.exists():
        raise DataError(f"{path.name} exists: give another name, nothing is overwritten")
    walkers, steps = np.unique(posterior.chain), np.unique(posterior.draw)
    if len(walkers) * len(steps) != len(posterior):
        raise DataError(f"the {len(walkers)} chains have different lengths ({len(posterior)} samples in all)")
    order = np.lexsort((posterior.chain, posterior.draw))
    shape = (len(steps), len(walkers))
    backend = emcee.backends.HDFBackend(str(path), name=group)
    backend.reset(len(walkers), posterior.n_dim)
    blobs = np.stack([posterior.log_likelihood, posterior.log_prior], axis=-1)[order].reshape(*shape, _N_BLOBS)
    backend.grow(len(steps), blobs[0])
    with backend.open("a") as file:
        target = file[group]
        target["chain"][...] = posterior.samples[order].reshape(*shape, posterior.n_dim)
        target["log_prob"][...] = blobs.sum(axis=-1)
        target["blobs"][...] = blobs
        target.attrs["iteration"] = len(steps)
