"""emcee's ensemble, stepped by emcee itself: seeded through its State, likelihoods in batches from a pool.

The ensemble keeps ln L and ln prior of every walker as blobs, handed over as one array per half step instead of one Python object
per walker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import emcee
import numpy as np
from numpy.typing import NDArray

from sciinf.core.problem import Problem
from sciinf.samplers.pools import Pool
from sciinf.samplers.settings import Emcee

__all__ = ["StockEnsemble", "evaluate"]

_BLOCK = 500  # steps for which emcee's storage grows at a time
_N_BLOBS = 2
_NEARLY = 1e-9


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


class StockEnsemble(emcee.EnsembleSampler):  # type: ignore[misc]
    """emcee's ensemble, whose posterior comes in batches from a pool; blobs are (ln L, ln prior)."""

    def __init__(self, problem: Problem, pool: Pool, settings: Emcee) -> None:
        super().__init__(settings.n_walkers, problem.n_dim, _behind_the_pool, moves=_moves(settings), vectorize=True)
        self._problem, self._workers = problem, pool
        self._state: emcee.State | None = None

    def begin(self, points: NDArray[np.float64], random_state: Any) -> None:
        """Start from ``points`` (n_walkers, n_dim) and a legacy generator's state."""
        self._state = emcee.State(points, random_state=random_state)

    def resume(self) -> None:
        """Go on from the last step in the storage."""
        self._state = self.backend.get_last_sample()

    def steps(self, n_steps: int) -> Iterator[None]:
        """Make ``n_steps`` steps; a pause after each."""
        while n_steps > 0:
            block = min(_BLOCK, n_steps)
            n_steps -= block
            for state in self.sample(self._state, iterations=block, skip_initial_state_check=self.backend.iteration > 0):
                self._state = state
                yield

    @property
    def random_state(self) -> Any:
        """None: emcee asks after every step, and copying the generator's 624 words costs a tenth of it; see `generator_state`."""
        return None

    @random_state.setter
    def random_state(self, state: Any) -> None:
        if state is not None:
            self._random.set_state(state)

    def generator_state(self) -> tuple[Any, ...]:
        """State of the generator after the last step, as `emcee.State` takes it."""
        state: tuple[Any, ...] = self._random.get_state(legacy=True)
        return state

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
    """Stands where emcee expects a function; `StockEnsemble` calls the problem instead."""
    raise RuntimeError("emcee called a function outside its pool")
