"""emcee, driven step by step: seeded through its State, batched likelihoods, convergence by autocorrelation time.

The chain is emcee's own to the bit. Its ensemble keeps ln L and ln prior of every walker as blobs, handed over as one array per half
step instead of one Python object per walker.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import emcee
import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.problem import Problem
from sciinf.core.seeding import legacy_state
from sciinf.samplers.chain_length import ChainLength, judge, next_check
from sciinf.samplers.pools import Pool
from sciinf.samplers.segments import Segments
from sciinf.samplers.session import Outcome, Session
from sciinf.samplers.settings import Emcee
from sciinf.samplers.walkers import start_points

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior

__all__ = ["export_hdf", "resolved", "run"]

_FIRST_CHECK = 200
_BLOCK = 500  # steps for which emcee's storage grows at a time
_N_BLOBS = 2
_NEARLY = 1e-9


def resolved(problem: Problem, settings: Emcee) -> dict[str, Any]:
    """The settings as they run for this problem: engine and form of the likelihood."""
    return {**settings.describe(), "engine": "emcee", "form": "batched"}


class _TogetherMove(emcee.moves.RedBlueMove):  # type: ignore[misc]
    """emcee's step with the accept test of a half ensemble in one expression: emcee's draws in emcee's order, the same chain."""

    def propose(self, model: Any, state: Any) -> tuple[Any, NDArray[np.bool_]]:
        """One step of all walkers; which were accepted."""
        self.setup(state.coords)
        accepted = np.zeros(len(state.coords), dtype=bool)
        halves = np.arange(len(accepted)) % self.nsplits
        if self.randomize_split:
            model.random.shuffle(halves)
        for half in range(self.nsplits):
            moving = halves == half
            sets = [state.coords[halves == other] for other in range(self.nsplits)]
            points, factors = self.get_proposal(sets[half], sets[:half] + sets[half + 1 :], model.random)
            values, blobs = model.compute_log_prob_fn(points)
            gain, bar = factors + values - state.log_prob[moving], model.random.rand(len(points))
            margin = gain - np.log(bar)
            passed = margin > 0.0
            for i in np.flatnonzero(np.abs(margin) < _NEARLY):  # where a vector's log and a number's might disagree
                passed[i] = gain[i] > np.log(bar[i])
            accepted[moving] = passed
            state = self.update(state, emcee.State(points, log_prob=values, blobs=blobs), accepted, moving)
        return state, accepted


class _Stretch(_TogetherMove, emcee.moves.StretchMove):  # type: ignore[misc]
    pass


class _DifferentialEvolution(_TogetherMove, emcee.moves.DEMove):  # type: ignore[misc]
    pass


class _Snooker(_TogetherMove, emcee.moves.DESnookerMove):  # type: ignore[misc]
    pass


def _moves(settings: Emcee) -> Any:
    """emcee's moves; with ``engine="emcee"`` as they are, else with `_TogetherMove`, which makes the same chain sooner."""
    stock = settings.engine == "emcee"
    stretch = emcee.moves.StretchMove if stock else _Stretch
    evolution = emcee.moves.DEMove if stock else _DifferentialEvolution
    snooker = emcee.moves.DESnookerMove if stock else _Snooker
    if settings.moves == "mix":
        return [(evolution(), 0.8), (snooker(), 0.2)]
    return evolution() if settings.moves == "de" else stretch()


def _log_likelihoods(problem: Problem, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
    """One worker's share of a batch."""
    return problem.log_likelihood_many(thetas)


class _Ensemble(emcee.EnsembleSampler):  # type: ignore[misc]
    """emcee's ensemble, whose posterior comes in batches from a pool; blobs are (ln L, ln prior)."""

    def __init__(self, problem: Problem, pool: Pool, settings: Emcee) -> None:
        super().__init__(settings.n_walkers, problem.n_dim, _behind_the_pool, moves=_moves(settings), vectorize=True)
        self._problem, self._workers = problem, pool

    @property
    def random_state(self) -> Any:
        """None: emcee asks after every step, and copying the generator's 624 words costs a tenth of it; see `generator_state`."""
        return None

    @random_state.setter
    def random_state(self, state: Any) -> None:
        if state is not None:
            self._random.set_state(state)

    def generator_state(self) -> Any:
        """State of the generator after the last step, as `emcee.State` takes it."""
        return self._random.get_state(legacy=True)

    def compute_log_prob(self, coords: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-posterior (n,) and blobs (n, 2) of ``coords`` (n, n_dim)."""
        if not np.isfinite(coords).all():
            raise ValueError("emcee proposed a point that is not finite")
        blobs = np.empty((len(coords), _N_BLOBS))
        prior = self._problem.log_prior_many(coords)
        rows = np.isfinite(prior)  # +inf at a pole of the prior would be accepted and never left
        blobs[:, 1] = np.where(rows, prior, -np.inf)
        if rows.all():
            blobs[:, 0] = evaluate(self._workers, coords)
        else:
            blobs[:, 0] = -np.inf
            if rows.any():
                blobs[rows, 0] = evaluate(self._workers, coords[rows])
        return blobs[:, 0] + blobs[:, 1], blobs


def evaluate(pool: Pool, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood (n,) of ``thetas`` (n, n_dim), in one block per worker."""
    if pool.size == 1:
        return pool.map(_log_likelihoods, [thetas])[0]
    blocks = [block for block in np.array_split(thetas, pool.size) if len(block)]
    return np.concatenate(pool.map(_log_likelihoods, blocks))


def _behind_the_pool(thetas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stands where emcee expects a function; `_Ensemble` calls the problem instead."""
    raise RuntimeError("emcee called a function outside its pool")


class _Chain:
    """An emcee run in progress: its storage, its next check, and its checkpoints."""

    def __init__(self, session: Session, settings: Emcee) -> None:
        self.session, self.settings = session, settings
        self.sampler = _Ensemble(session.problem, session.pool, settings)
        self.segments = None if session.file is None else Segments(session.file.folder, session.file.path.stem)
        self.next_check = _FIRST_CHECK
        self.length: ChainLength | None = None
        self.state: emcee.State | None = None

    @property
    def n_steps(self) -> int:
        """Steps made so far."""
        return int(self.sampler.backend.iteration)

    def begin(self) -> None:
        """Start from the checkpoint where there is one, else from fresh walkers."""
        found = self.session.restore()
        if found is not None and self.segments is not None:
            stored = self.segments.read(found.body, self.sampler.backend)
            self.next_check = int(stored["next_check"])
            self.state = self.sampler.backend.get_last_sample()
            return
        points = start_points(self.session, self.settings, lambda thetas: self.sampler.compute_log_prob(thetas))
        self.state = emcee.State(points, random_state=legacy_state(self.session.seed, "sampler"))

    def save(self) -> None:
        """New steps as a segment, then the state that names all segments."""
        segments = self.segments
        if segments is not None and self.n_steps:
            sampler, notes = self.sampler, {"next_check": self.next_check}
            self.session.save(self.n_steps, lambda: segments.write(sampler.backend, sampler.generator_state(), notes))

    def advance(self, last: int) -> str:
        """Step until ``last`` steps are made; why it stopped before, or ""."""
        session = self.session
        while self.n_steps < last:
            block = min(_BLOCK, last - self.n_steps)
            for state in self.sampler.sample(self.state, iterations=block, skip_initial_state_check=self.n_steps > 0):
                self.state = state
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
            self.length = judge(self.sampler.get_chain(), settings, early=self.n_steps < settings.max_steps)
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
        If there are too few walkers for the number of parameters, or start points of the wrong shape or outside the prior.
    LikelihoodError
        What the likelihood raised, or that it is zero at all start points.
    Interrupted
        If a signal asked to stop; the checkpoint is written.
    ResumeError
        If the checkpoint cannot be used.
    """
    n_dim = session.problem.n_dim
    if settings.n_walkers < 2 * n_dim:
        raise ConfigError(f"Emcee: n_walkers must be at least 2 n_dim = {2 * n_dim} for {session.problem.name}, got {settings.n_walkers}")
    chain = _Chain(session, settings)
    chain.begin()
    stopped = chain.until_converged() if settings.n_steps is None else chain.advance(settings.n_steps)
    if stopped in ("interrupted", "max_calls", "max_seconds", "max_iterations", "max_steps"):
        chain.save()
    if stopped == "interrupted":
        raise session.interrupted(chain.n_steps)
    if settings.n_steps is not None or chain.length is None or stopped != "converged":
        chain.length = judge(chain.sampler.get_chain(), settings)
    if not stopped:
        stopped = "converged" if chain.length.multiple >= settings.tau_multiple else "n_steps"
    report = {
        "steps": chain.n_steps,
        "acceptance": float(np.mean(chain.sampler.acceptance_fraction)),
        "tau": dict(zip(session.problem.names, map(float, chain.length.tau), strict=True)),
        "n_over_tau": float(chain.length.multiple),
        "ess": float(chain.length.ess),
        "tau_stable": chain.length.stable,
        **(kept := _kept(chain.length, settings)),
    }
    return Outcome(_fields(chain.sampler.backend, **kept), stopped, chain.n_steps, report)


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
