"""emcee's ensemble stepped by a compiled loop: the same chain to the bit, without Python between likelihood calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import emcee
import numpy as np
from emcee.model import Model
from numpy.typing import NDArray

from sciinf.core.compiled_problem import CompiledProblem, check_same
from sciinf.core.problem import Problem
from sciinf.samplers.compiled import stretch_kernels as kernels
from sciinf.samplers.compiled.choice import wrong_value
from sciinf.samplers.settings import Emcee

__all__ = ["CompiledEnsemble"]

_BLOCK_SECONDS = 0.1  # between pauses, at which signals, budgets and checkpoints have their turn
_FIRST_BLOCK = 20
_CHECKED = 3  # start points at which the compiled likelihood is held against the engine's own
_BAND = 1e-12  # thousands of times what two logarithms and the sums behind them can differ by
_NO_LIMIT = np.iinfo(np.int64).max


class CompiledEnsemble:
    """Walkers of emcee in a compiled loop, writing into emcee's own storage.

    Parameters
    ----------
    problem : Problem
        For its counters and messages.
    compiled : CompiledProblem
        Its compiled form.
    settings : Emcee
        Walkers and moves ("stretch" or "de").
    band : float
        How near to its bar a proposal must be for numpy, not the kernel, to judge it.

    Notes
    -----
    The chain is `numpy.array_equal` to that of `emcee.EnsembleSampler` with the same start, seed and kernel. The kernel computes
    logarithms with the C library, emcee with numpy, whose last bit may differ; a step in which that could decide an acceptance is made
    by emcee's own move instead (about one proposal in 1e10).
    """

    def __init__(self, problem: Problem, compiled: CompiledProblem, settings: Emcee, *, band: float = _BAND) -> None:
        self._problem, self._compiled, self._band = problem, compiled, band
        self._stretch = settings.moves == "stretch"
        self.backend = emcee.backends.Backend()
        self.backend.reset(settings.n_walkers, problem.n_dim)
        self._coords = np.empty((settings.n_walkers, problem.n_dim))
        self._values = np.empty((settings.n_walkers, 2))
        self._key = np.empty(0, dtype=np.uint32)
        self._place, self._held = np.zeros(2, dtype=np.int64), np.zeros(1)
        self._kind = "MT19937"
        self._block = _FIRST_BLOCK

    def begin(self, points: NDArray[np.float64], random_state: Any) -> None:
        """Start from ``points`` (n_walkers, n_dim) and a legacy generator's state."""
        _, blobs = self.compute_log_prob(points)
        check_same(self._problem, points[:_CHECKED], blobs[:_CHECKED, 0])
        self._coords, self._values = np.array(points, dtype=np.float64), blobs
        self._take(random_state)

    def resume(self) -> None:
        """Go on from the last step in the storage."""
        last = self.backend.get_last_sample()
        self._coords, self._values = np.array(last.coords), np.array(last.blobs)
        self._take(last.random_state)

    def _take(self, state: Any) -> None:
        self._kind, key, position, has_gauss, held = state
        self._key = np.array(key, dtype=np.uint32)
        self._place, self._held = np.array([position, has_gauss], dtype=np.int64), np.array([held], dtype=np.float64)

    def generator_state(self) -> tuple[Any, ...]:
        """State of the generator after the last step, as `emcee.State` takes it."""
        return self._kind, self._key, int(self._place[0]), int(self._place[1]), float(self._held[0])

    def compute_log_prob(self, coords: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-posterior (n,) and blobs (n, 2), ln L and ln prior, of ``coords`` (n, n_dim).

        Raises
        ------
        LikelihoodError
            If the likelihood is NaN (and not rejected) or +inf.
        """
        compiled, points = self._compiled, np.array(coords, dtype=np.float64, order="C")
        blobs, counts = np.empty((len(points), 2)), np.zeros(3, dtype=np.int64)
        row = kernels.log_posteriors(*compiled.posterior_arguments(), points, blobs, counts)
        self._problem.add_counts(counts)
        if row >= 0:
            raise wrong_value(self._problem, points[row])
        return blobs[:, 0] + blobs[:, 1], blobs

    def steps(self, n_steps: int, most_calls: int | None) -> Iterator[None]:
        """Make ``n_steps`` steps, fewer where ``most_calls`` likelihood calls are spent; a pause every tenth of a second.

        Raises
        ------
        LikelihoodError
            If the likelihood is NaN (and not rejected) or +inf.
        """
        last, left = self.backend.iteration + n_steps, _NO_LIMIT if most_calls is None else most_calls
        while self.backend.iteration < last:
            started = time.perf_counter()
            block = min(self._block, last - self.backend.iteration)
            made, spent = self._run(block, left)
            left -= spent
            if made == block:
                elapsed = max(time.perf_counter() - started, 1e-6)
                self._block = int(np.clip(block * _BLOCK_SECONDS / elapsed, max(1, self._block // 2), 4 * self._block))
            yield

    def _run(self, n_steps: int, most_calls: int) -> tuple[int, int]:
        """At most ``n_steps`` steps into the storage; how many, and the calls they took."""
        compiled, storage, first = self._compiled, self.backend, self.backend.iteration
        if len(storage.chain) - first < n_steps:
            storage.grow(max(n_steps, first), self._values)
        here = slice(first, first + n_steps)
        accepted, counts = np.zeros(len(self._coords), dtype=np.int64), np.zeros(3, dtype=np.int64)
        trouble, why = np.empty(self._coords.shape[1]), np.zeros(1, dtype=np.int64)
        made = kernels.steps(
            *compiled.posterior_arguments(),
            kernels.STRETCH if self._stretch else kernels.DIFFERENTIAL_EVOLUTION,
            self._coords,
            self._values,
            self._key,
            self._place,
            self._held,
            storage.chain[here],
            storage.log_prob[here],
            storage.blobs[here],
            accepted,
            counts,
            most_calls,
            self._band,
            trouble,
            why,
        )
        storage.accepted += accepted
        storage.iteration += made
        self._problem.add_counts(counts)
        storage.random_state = self.generator_state()
        if why[0] == kernels.WRONG_VALUE:
            raise wrong_value(self._problem, trouble)
        if why[0] == kernels.TIE:
            before = self._problem.counts.calls
            self._step_by_emcee()
            return made + 1, int(counts[0]) + self._problem.counts.calls - before
        return made, int(counts[0])

    def _step_by_emcee(self) -> None:
        """One step by emcee's own move."""
        random = np.random.RandomState()
        random.set_state(self.generator_state())
        move = random.choice([emcee.moves.StretchMove() if self._stretch else emcee.moves.DEMove()], p=[1.0])
        values = self._values[:, 0] + self._values[:, 1]
        state = emcee.State(self._coords, log_prob=values, blobs=self._values, copy=True)
        state, accepted = move.propose(Model(None, self.compute_log_prob, map, random), state)
        self._coords, self._values = np.array(state.coords), np.array(state.blobs)
        self._take(random.get_state(legacy=True))
        state.random_state = self.generator_state()
        self.backend.save_step(state, accepted)
