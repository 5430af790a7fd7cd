"""dynesty's static nested loop, compiled: interruptible, with checkpoints, into the same Posterior."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.compiled_problem import CompiledProblem, check_same
from sciinf.core.errors import ConfigError, LikelihoodError, ResumeError
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.results.nested import integrate
from sciinf.samplers.compiled import nested_kernels as kernels
from sciinf.samplers.compiled.choice import BOUNDS, PROPOSALS, wrong_value
from sciinf.samplers.compiled.walk_kernels import evaluate_each
from sciinf.samplers.compiled.walks import target_of
from sciinf.samplers.dead_points import fields_of
from sciinf.samplers.session import Outcome, Session, nothing_finite
from sciinf.samplers.settings import Dynesty

__all__ = ["run"]

_BLOCK_SECONDS = 0.1
_FIRST_BLOCK = 20
_CHECKED = 3  # live points at which the compiled likelihood is held against the engine's own
_HOPELESS_BATCHES = 20  # of n_live prior points, all of likelihood zero
_MOST_BATCHES = 1000
_NO_LIMIT = np.iinfo(np.int64).max
_STATE = (
    "live_units", "live_thetas", "live_values", "queue_units", "queue_thetas", "queue_values", "queue_calls", "numbers", "flags",
    "centres", "axes", "precisions", "lengths", "log_volumes",
)  # fmt: skip
_RECORD = ("thetas", "values", "log_volumes", "slots")


class _Record:
    """Dead points in order of death; grows by halves."""

    def __init__(self, n_dim: int) -> None:
        self.n = 0
        self.thetas, self.values, self.log_volumes = np.empty((0, n_dim)), np.empty(0), np.empty(0)
        self.slots = np.empty(0, dtype=np.int64)

    def room(self, n: int) -> slice:
        """Where the next ``n`` points go."""
        if len(self.values) < self.n + n:
            size = self.n + max(n, self.n // 2)
            for name in _RECORD:
                old = getattr(self, name)
                new = np.empty((size, *old.shape[1:]), dtype=old.dtype)
                new[: self.n] = old[: self.n]
                setattr(self, name, new)
        return slice(self.n, self.n + n)

    def append(self, thetas: NDArray[np.float64], values: Any, log_volumes: Any, slots: Any) -> None:
        """Add points."""
        here = self.room(len(thetas))
        self.thetas[here], self.values[here], self.log_volumes[here], self.slots[here] = thetas, values, log_volumes, slots
        self.n += len(thetas)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The filled parts, by name."""
        return {name: getattr(self, name)[: self.n] for name in _RECORD}


class _NestedRun:
    """The state of a run, in the arrays that the kernel reads and writes."""

    def __init__(self, session: Session, settings: Dynesty, compiled: CompiledProblem) -> None:
        problem, n_dim, n_live, queue = session.problem, session.problem.n_dim, settings.n_live, settings.queue_size
        most = max(1, n_live // (2 * n_dim)) + 1
        self.session, self.settings, self.problem = session, settings, problem
        self.target = target_of(problem, compiled)
        codes = BOUNDS.index(settings.bound), PROPOSALS.index(settings.proposal)
        wrapped = settings.wrapped(problem.priors.periodic, n_dim)
        self.options = np.array([*codes, settings.steps_for(n_dim), queue, *wrapped], dtype=np.int64)
        self.live_units, self.live_thetas, self.live_values = np.empty((n_live, n_dim)), np.empty((n_live, n_dim)), np.empty(n_live)
        self.queue_units, self.queue_thetas, self.queue_values = np.empty((queue, n_dim)), np.empty((queue, n_dim)), np.empty(queue)
        self.queue_calls = np.zeros(3 * queue, dtype=np.int64)
        self.numbers, self.flags = np.zeros(kernels.N_NUMBERS), np.zeros(kernels.N_FLAGS, dtype=np.int64)
        self.centres, self.axes, self.precisions = np.zeros((most, n_dim)), np.zeros((most, n_dim, n_dim)), np.zeros((most, n_dim, n_dim))
        self.lengths, self.log_volumes = np.zeros((most, n_dim)), np.zeros(most)
        self.record = _Record(n_dim)
        self.n_zero = 0
        self.rng = generator(session.seed, "sampler")
        self._block = _FIRST_BLOCK

    @property
    def iterations(self) -> int:
        """Points that died so far, those of likelihood zero among the first draws not counted."""
        return int(self.flags[kernels.ITERATIONS])

    def begin(self) -> None:
        """Live points: the first ``n_live`` draws from the prior that have a likelihood; the draws between them die at once.

        Raises
        ------
        LikelihoodError
            If the likelihood is NaN or +inf somewhere, or zero at (nearly) all of the points tried.
        """
        problem, rng, n_live = self.problem, generator(self.session.seed, "start"), self.settings.n_live
        counts, batches = np.zeros(3, dtype=np.int64), 0
        tried: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
        n_found = 0
        while n_found < n_live:
            if batches == (_MOST_BATCHES if n_found else _HOPELESS_BATCHES):
                raise nothing_finite(problem, batches * n_live, n_found)
            batches += 1
            units = inside(problem, rng, n_live)
            thetas, values = np.empty_like(units), np.empty(n_live)
            row = evaluate_each(*self.target, units, thetas, values, counts)
            if row >= 0:
                raise wrong_value(problem, thetas[row])
            tried.append((units, thetas, values))
            n_found += int(np.count_nonzero(values > kernels.LOWEST))
        units, thetas, values = (np.concatenate(column) for column in zip(*tried, strict=True))
        found = np.flatnonzero(values > kernels.LOWEST)[:n_live]
        n_tried = int(found[-1]) + 1
        self.live_units, self.live_thetas, self.live_values = units[found], thetas[found], values[found]
        zeros = thetas[:n_tried][values[:n_tried] <= kernels.LOWEST]
        problem.add_counts(counts)
        check_same(problem, self.live_thetas[:_CHECKED], self.live_values[:_CHECKED])
        self.n_zero = len(zeros)
        if len(zeros):
            volumes = np.log1p(-np.arange(1, len(zeros) + 1) / (n_tried - 1.0))
            self.record.append(zeros, kernels.LOWEST, volumes, n_live + np.arange(len(zeros)))
            self.numbers[kernels.LOG_VOLUME] = volumes[-1]
        self.numbers[kernels.LOG_Z], self.numbers[kernels.LOG_L_STAR] = kernels.LOWEST, kernels.LOWEST
        self.numbers[kernels.SCALE] = 1.0
        self.flags[kernels.IN_CUBE], self.flags[kernels.N_CALLS] = 1, n_tried

    def body(self) -> bytes:
        """The run as a checkpoint holds it."""
        notes = json.dumps({"n_zero": self.n_zero, "generator": self.rng.bit_generator.state})
        buffer = io.BytesIO()
        state = {f"state_{name}": getattr(self, name) for name in _STATE}
        record = {f"record_{name}": array for name, array in self.record.arrays().items()}
        np.savez(buffer, notes=np.array(notes), **state, **record)  # type: ignore[arg-type]
        return buffer.getvalue()

    def restore(self, body: bytes) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ResumeError
            If it holds another number of live points or parameters, or a run of dynesty itself.
        """
        if not body.startswith(b"PK"):  # a zip archive of arrays; dynesty's is a pickle
            raise ResumeError("the checkpoint holds a run of dynesty itself, the run asks for the compiled loop. Start a new run")
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            if arrays["state_live_units"].shape != self.live_units.shape:
                held, asked = arrays["state_live_units"].shape, self.live_units.shape
                raise ResumeError(
                    f"the checkpoint holds {held[0]} live points of {held[1]} parameters, the run asks for {asked[0]} of {asked[1]}. "
                    "Start a new run"
                )
            for name in _STATE:
                setattr(self, name, np.ascontiguousarray(arrays[f"state_{name}"]))
            self.record.append(*(arrays[f"record_{name}"] for name in _RECORD))
            notes = json.loads(str(arrays["notes"]))
        self.n_zero = int(notes["n_zero"])
        self.rng.bit_generator.state = notes["generator"]

    def until_stopped(self) -> str:
        """Iterate by blocks of a tenth of a second: "converged", or why not."""
        session, limits = self.session, self.session.resources
        while True:
            stopped = session.why_stop(self.iterations)
            if stopped:
                session.save(self.iterations, self.body)
                return stopped
            if session.checkpoint_due():
                session.save(self.iterations, self.body)
            if session.progress.due:
                left, bar = self.numbers[kernels.DELTA_LOG_Z], self.numbers[kernels.LOG_L_STAR]
                calls = session.counts().calls
                session.progress.show(f"{self.iterations} iterations, {calls} calls, ln L {bar:.2f}, dlogz {left:.3g}")
            block = self._block if limits.max_iterations is None else min(self._block, limits.max_iterations - self.iterations)
            calls_left = _NO_LIMIT if limits.max_calls is None else limits.max_calls - session.counts().calls
            if self._iterate(block, calls_left):
                return "converged"

    def _iterate(self, n: int, most_calls: int) -> bool:
        """At most ``n`` iterations; True where the run has converged."""
        started, record, here = time.perf_counter(), self.record, self.record.room(n)
        counts, why = np.zeros(3, dtype=np.int64), np.zeros(1, dtype=np.int64)
        made = kernels.advance(
            *self.target,
            self.rng,
            self.settings.dlogz,
            self.live_units,
            self.live_thetas,
            self.live_values,
            self.queue_units,
            self.queue_thetas,
            self.queue_values,
            self.queue_calls,
            self.numbers,
            self.flags,
            self.options,
            self.centres,
            self.axes,
            self.precisions,
            self.lengths,
            self.log_volumes,
            counts,
            most_calls,
            record.thetas[here],
            record.values[here],
            record.log_volumes[here],
            record.slots[here],
            why,
        )
        record.n += made
        self.problem.add_counts(counts)
        if why[0] == kernels.STUCK:
            raise LikelihoodError(
                f"{self.problem.name}: no point above ln L = {float(self.live_values.min())!r} could be found from the live points. The "
                "likelihood is not the same at the same point, or flat to the last bit around its maximum: check that it is pure, or "
                "raise dlogz"
            )
        if why[0] > kernels.GOING_ON:
            raise wrong_value(self.problem, self.queue_thetas[0])
        if made == n:
            elapsed = max(time.perf_counter() - started, 1e-6)
            self._block = int(np.clip(n * _BLOCK_SECONDS / elapsed, max(1, n // 2), 4 * n))
        return bool(why[0] < kernels.GOING_ON)

    def fields(self) -> dict[str, Any]:
        """The Posterior's fields: the dead points, then the live ones in the volume that is left, as dynesty shares it out."""
        n_live, left = self.settings.n_live, int(self.flags[kernels.PLATEAU_LEFT])
        log_volume = float(self.numbers[kernels.LOG_VOLUME])
        if left:
            step = np.exp(self.numbers[kernels.PLATEAU_STEP] - log_volume)
            first = np.log1p(-np.arange(1, left + 1) * step)
            rest = n_live - left
            volumes = np.concatenate([first, first[-1] + np.log1p(-np.arange(1, rest + 1) / (rest + 1.0))])
        else:
            volumes = np.log1p(-np.arange(1, n_live + 1) / (n_live + 1.0))
        order = np.argsort(self.live_values, kind="stable")
        record = self.record.arrays()
        columns = {
            "thetas": self.live_thetas[order],
            "values": self.live_values[order],
            "log_volumes": log_volume + volumes,
            "slots": order,
        }
        joined = {name: np.concatenate([record[name], columns[name]]) for name in _RECORD}
        n = len(joined["values"])
        count = np.minimum(n_live, n - np.arange(n))
        count[: self.n_zero] = n_live + self.n_zero - np.arange(self.n_zero)
        integral = integrate(joined["values"], joined["log_volumes"])
        share_zero = self.n_zero / (n_live + self.n_zero)
        return fields_of(
            self.problem,
            joined["thetas"],
            joined["values"],
            joined["slots"],
            starts=np.full(n, -np.inf),
            n_live=count.astype(np.int64),
            log_volume=joined["log_volumes"],
            log_weights=integral.log_weights - integral.log_evidence,
            log_evidence=integral.log_evidence,
            log_evidence_error=float(np.hypot(integral.log_evidence_error, np.sqrt(share_zero / n_live))),
            information=integral.information,
        )


def inside(problem: Problem, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """``n`` cube points (n, n_dim) inside the prior's region."""
    units = np.empty((0, problem.n_dim))
    while len(units) < n:
        more = rng.random((n, problem.n_dim))
        units = np.vstack([units, more[problem.priors.inside(problem.priors.transform(more))]])
    return np.ascontiguousarray(units[:n])


def run(session: Session, settings: Dynesty) -> Outcome:
    """Run the compiled loop to its end, its budget or its interruption.

    Raises
    ------
    ConfigError
        If the problem has no compiled form.
    LikelihoodError
        What the likelihood did wrong, or that it is zero at all first points.
    Interrupted
        If a signal asked to stop; the checkpoint is written.
    ResumeError
        If the checkpoint cannot be used.
    """
    compiled = session.problem.compiled()
    if isinstance(compiled, str):
        raise ConfigError(f"{session.problem.name} cannot run compiled: {compiled}")
    nested = _NestedRun(session, settings, compiled)
    found = session.restore()
    if found is None:
        nested.begin()
    else:
        nested.restore(found.body)
    stopped = nested.until_stopped()
    if stopped == "interrupted":
        raise session.interrupted(nested.iterations)
    efficiency = 100.0 * nested.iterations / max(int(nested.flags[kernels.N_CALLS]), 1)
    report = {"iterations": nested.iterations, "efficiency_percent": efficiency, "batches": 0}
    return Outcome(nested.fields(), stopped, nested.iterations, report)
