"""dynesty, static and dynamic, driven through its public generators, pool and checkpointable state.

The pool given to dynesty is always ours, with ``queue_size`` proposals in flight whatever the number of workers, so that serial and
parallel runs make the same draws. Every likelihood and prior call happens behind that pool.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

import dynesty
import numpy as np
from dynesty.dynamicsampler import DynamicSamplerStatesEnum, stopping_function, weight_function
from dynesty.internal_samplers import SamplerArgument
from dynesty.utils import LogLikelihood, LoglOutput, Results, compute_integrals
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, ResumeError, SciinfWarning
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.samplers.compiled.choice import BOUNDS, PROPOSALS, compiled_for
from sciinf.samplers.dead_points import posterior_fields
from sciinf.samplers.pools import Pool
from sciinf.samplers.session import Outcome, Session, likelihood_of, nothing_finite
from sciinf.samplers.settings import Dynesty

__all__ = ["resolved", "run"]

_LOG = logging.getLogger(__name__)
_START_BATCHES = 20  # batches of n_live prior points before giving up on a likelihood that is zero at all of them
_SMALL_N_LIVE = 200  # below, many -inf among the first points bias the evidence
_MANY_ZERO = 0.05


def resolved(problem: Problem, settings: Dynesty) -> dict[str, Any]:
    """The settings as they run for this problem: engine, form, walks, wrapped parameters.

    Raises
    ------
    ConfigError
        If there are too few live points for the number of parameters, or the compiled engine is asked for and the problem or the
        settings have none.
    """
    if settings.n_live <= 2 * problem.n_dim:
        raise ConfigError(f"Dynesty: n_live must be more than 2 n_dim = {2 * problem.n_dim} for {problem.name}, got {settings.n_live}")
    form = _form(problem, settings)
    engine = "compiled" if form == "compiled" else "dynesty"
    described = {
        **settings.describe(),
        "engine": engine,
        "form": form,
        "periodic": list(settings.wrapped(problem.priors.periodic, problem.n_dim)),
    }
    if settings.proposal == "rwalk":
        described["walks"] = settings.walks_for(problem.n_dim)
    return described


def _form(problem: Problem, settings: Dynesty) -> str:
    """What runs: the whole loop compiled ("compiled"), dynesty's loop with "compiled proposals", or with the engine's own ("scalar")."""
    lacking = "" if settings.proposal in PROPOSALS else f"proposal='{settings.proposal}' has no compiled form"
    if compiled_for(problem, settings.engine, "dynesty", lacking) is None:
        return "scalar"
    return "compiled" if settings.bound in BOUNDS and not settings.dynamic else "compiled proposals"


def _behind_the_pool(point: NDArray[np.float64]) -> float:
    """Stands where dynesty expects a function; the pool calls the problem instead."""
    raise RuntimeError("dynesty called a function outside its pool")


def _propose(problem: Problem, task: tuple[Callable[[Any], Any], Any]) -> Any:
    """One new point: dynesty's own proposal with the problem's functions put in, its history of calls left behind."""
    sample, argument = task
    found = sample(argument._replace(prior_transform=problem.prior_transform, loglikelihood=problem.log_likelihood))
    return found._replace(logl=float(found.logl), evaluation_history=[])


class _DynestyPool:
    """The pool as dynesty sees it: ``map`` and a size that is the queue's, not the workers'."""

    def __init__(self, problem: Problem, pool: Pool, queue_size: int) -> None:
        self._problem, self._pool, self.size = problem, pool, queue_size

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """The three uses that dynesty has for a pool: proposals, likelihoods, prior transforms."""
        items = list(items)
        if items and isinstance(items[0], SamplerArgument):
            return self._pool.map(_propose, [(function, _light(item)) for item in items])
        if isinstance(function, LogLikelihood):
            return [LoglOutput(value, False) for value in self._pool.map(likelihood_of, items)]
        return [self._problem.prior_transform(item) for item in items]


def _light(argument: Any) -> Any:
    """A proposal's argument without functions, its point its own and its axes laid out as they would arrive in a worker."""
    axes = argument.axes if argument.axes.flags.forc else np.ascontiguousarray(argument.axes)
    own = {"u": np.array(argument.u), "axes": axes, "scale": float(argument.scale)}
    return argument._replace(**own, prior_transform=None, loglikelihood=None)


@contextlib.contextmanager
def _dynesty_warnings_to_log() -> Iterator[None]:
    """Warnings of dynesty go to the log; all others stay what they are."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"dynesty(\..*)?$")
        show = warnings.showwarning

        def forward(
            message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
        ) -> None:
            if "dynesty" in filename.replace("\\", "/").split("/"):
                _LOG.warning("dynesty: %s", " ".join(str(message).split()))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = forward
        yield


def _first_points(session: Session, settings: Dynesty) -> list[NDArray[np.float64]] | None:
    """Live points drawn from the prior, by rejection inside a constrained one; None to let dynesty look for them.

    Raises
    ------
    LikelihoodError
        If the likelihood is zero at every point tried.
    """
    problem, rng = session.problem, generator(session.seed, "start")
    n, enough = settings.n_live, max(2 * problem.n_dim + 1, min(20, settings.n_live))
    for attempt in range(1, _START_BATCHES + 1):
        units, thetas = _inside(problem, rng, n)
        values = np.array(session.pool.map(likelihood_of, list(thetas)))
        finite = int(np.count_nonzero(np.isfinite(values)))
        if attempt == 1 and 0 < finite < (1.0 - _MANY_ZERO) * n and (n < _SMALL_N_LIVE or finite < enough):
            warnings.warn(
                f"{problem.name}: the likelihood is zero (ln L = -inf) at {n - finite} of the first {n} points of the prior. With fewer "
                f"than {_SMALL_N_LIVE} live points this can bias the evidence: declare the region in the prior (constrained), or raise "
                "n_live",
                SciinfWarning,
                stacklevel=2,
            )
        if finite >= enough:
            return [units, thetas, values] if attempt == 1 else None
        if finite:
            return None
    raise nothing_finite(problem, _START_BATCHES * n)


def _inside(problem: Problem, rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``n`` cube points inside the prior's region, and their parameters."""
    units = np.empty((0, problem.n_dim))
    while len(units) < n:
        more = rng.random((n, problem.n_dim))
        units = np.vstack([units, more[problem.priors.inside(problem.priors.transform(more))]])
    units = units[:n]
    return units, problem.priors.transform(units)


def _new_sampler(session: Session, settings: Dynesty, live_points: list[NDArray[np.float64]] | None) -> Any:
    problem = session.problem
    options: dict[str, Any] = {
        "nlive": settings.n_live,
        "bound": settings.bound,
        "periodic": list(settings.wrapped(problem.priors.periodic, problem.n_dim)) or None,
        "rstate": generator(session.seed, "sampler"),
        "pool": _DynestyPool(problem, session.pool, settings.queue_size),
        "queue_size": settings.queue_size,
        "use_pool": {"update_bound": False, "stop_function": False},
    }
    if _form(problem, settings) == "scalar":
        walks = settings.walks_for(problem.n_dim) if settings.proposal == "rwalk" else None
        options |= {"sample": settings.proposal, "walks": walks, "slices": settings.slices}
    else:
        from sciinf.samplers.compiled.walks import compiled_proposal

        options["sample"] = compiled_proposal(settings.proposal, settings.steps_for(problem.n_dim))
    if settings.dynamic:
        sampler = dynesty.DynamicNestedSampler(_behind_the_pool, _behind_the_pool, problem.n_dim, **options)
    else:
        sampler = dynesty.NestedSampler(_behind_the_pool, _behind_the_pool, problem.n_dim, live_points=live_points, **options)
    if live_points is not None:
        sampler.ncall = settings.n_live  # dynesty counts no calls for points it is given, and divides by the count
    return sampler


def _attach(sampler: Any, pool: _DynestyPool) -> None:
    """Give a sampler read from a checkpoint, and the samplers inside it, a pool again."""
    for item in (sampler, getattr(sampler, "sampler", None), getattr(sampler, "batch_sampler", None)):
        if item is not None:
            item.pool, item.mapper = pool, pool.map


def _check_shape(sampler: Any, problem: Problem, settings: Dynesty) -> None:
    """A checkpoint that was forced on another run must at least hold the same kind of sampler.

    Raises
    ------
    ResumeError
        If it is static where a dynamic one is asked for, or has another dimension.
    """
    held, asked = isinstance(sampler, dynesty.DynamicNestedSampler), settings.dynamic
    if held != asked or sampler.ndim != problem.n_dim:
        raise ResumeError(
            f"the checkpoint holds a {'dynamic' if held else 'static'} sampler of {sampler.ndim} parameters, the run asks for a "
            f"{'dynamic' if asked else 'static'} one of {problem.n_dim}. Start a new run"
        )


class _Loop:
    """Steps through dynesty's generators, counting, saving and stopping."""

    def __init__(self, session: Session, sampler: Any, iterations: int) -> None:
        self.session, self.sampler, self.iterations = session, sampler, iterations
        self.stopped: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it."""
        return self.stopped == "interrupted"

    def body(self) -> bytes:
        """The sampler as a checkpoint holds it."""
        return pickle.dumps(self.sampler, protocol=pickle.HIGHEST_PROTOCOL)

    def through(self, steps: Iterable[Any], pausable: Callable[[], bool]) -> bool:
        """Run ``steps`` to their end; False where the run must stop before, its checkpoint written."""
        session = self.session
        for result in steps:
            self.iterations += 1
            if not pausable():
                continue
            self.stopped = session.why_stop(self.iterations)
            if self.stopped:
                session.save(self.iterations, self.body)
                return False
            if session.checkpoint_due():
                session.save(self.iterations, self.body)
            if session.progress.due:
                calls, left = session.counts().calls, float(result.delta_logz)
                session.progress.show(f"{self.iterations} iterations, {calls} calls, ln L {float(result.loglstar):.2f}, dlogz {left:.3g}")
        return True


def run(session: Session, settings: Dynesty) -> Outcome:
    """Run dynesty to its end, its budget or its interruption.

    Raises
    ------
    LikelihoodError
        What the likelihood raised, or that it is zero at all first points.
    Interrupted
        If a signal asked to stop; the checkpoint is written.
    ResumeError
        If the checkpoint cannot be used.
    """
    problem = session.problem
    if _form(problem, settings) == "compiled":
        from sciinf.samplers.compiled import nested

        return nested.run(session, settings)
    with _dynesty_warnings_to_log():
        found = session.restore()
        live_points = None
        if found is None:
            live_points = _first_points(session, settings)
            sampler = _new_sampler(session, settings, live_points)
        else:
            if found.body.startswith(b"PK"):
                raise ResumeError("the checkpoint holds a compiled run, the run asks for dynesty itself. Start a new run")
            sampler = pickle.loads(found.body)
            _check_shape(sampler, problem, settings)
            _attach(sampler, _DynestyPool(problem, session.pool, settings.queue_size))
        loop = _Loop(session, sampler, 0 if found is None else found.iterations)
        drive = _dynamic if settings.dynamic else _static
        record = drive(loop, settings, live_points, resume=found is not None)
        if loop.interrupted:
            raise session.interrupted(loop.iterations)
    fields = posterior_fields(problem, record, None if settings.dynamic else int(sampler.nlive))
    report = {"iterations": loop.iterations, "efficiency_percent": float(sampler.eff), "batches": int(getattr(sampler, "batch", 0))}
    return Outcome(fields, loop.stopped or "converged", loop.iterations, report)


def _static(loop: _Loop, settings: Dynesty, live_points: Sequence[Any] | None, *, resume: bool) -> Any:
    """The static loop, then the live points and the integrals over the whole run, as ``run_nested`` does."""
    sampler = loop.sampler
    loop.through(sampler.sample(dlogz=settings.dlogz, save_bounds=False, resume=resume), lambda: True)
    if not loop.interrupted:
        for _ in sampler.add_live_points():
            pass
        record = sampler.saved_run
        integrals = compute_integrals(logl=record["logl"], logvol=record["logvol"])
        for name, values in zip(("logwt", "logz", "logzvar", "h"), integrals, strict=True):
            record[name] = values.tolist()
    return sampler.saved_run


def _dynamic(loop: _Loop, settings: Dynesty, live_points: Sequence[Any] | None, *, resume: bool) -> Any:
    """The dynamic loop: a base run, then batches where the weight function puts them, until the stopping function says so."""
    sampler, state, n_dim = loop.sampler, DynamicSamplerStatesEnum, loop.session.problem.n_dim
    if sampler.internal_state in (state.INIT, state.LIVEPOINTSINIT, state.INBASE):
        base = {"nlive": settings.n_live, "dlogz": settings.dlogz}
        steps = sampler.sample_initial(live_points=live_points, resume=resume, **base)
        if not loop.through(steps, lambda: sampler.internal_state == state.INBASE) and not loop.interrupted:
            _exhaust(sampler.sample_initial(resume=True, maxiter=-1, **base))
    sampler.sampler.save_bounds = False
    pausable = (state.BASE_DONE, state.BATCH_DONE, state.INBATCH)
    while not loop.stopped:
        inside = sampler.batch_sampler is not None
        bounds = None
        if not inside:
            target = {"target_n_effective": settings.n_effective_for(n_dim)}
            if stopping_function(sampler.results, target, rstate=sampler.rstate):
                break
            bounds = _batch_bounds(loop.session.problem, sampler.results)
        batch = {"nlive_new": settings.n_live, "save_bounds": False}
        steps = sampler.sample_batch(logl_bounds=bounds, resume=inside, **batch)
        if not loop.through(steps, lambda: sampler.internal_state in pausable):
            if loop.interrupted:
                break
            _exhaust(sampler.sample_batch(resume=True, maxiter=-1, **batch))
        sampler.combine_runs()
        sampler.internal_state = state.BATCH_DONE
    return sampler.saved_run


def _exhaust(steps: Iterable[Any]) -> None:
    for _ in steps:
        pass


def _batch_bounds(problem: Problem, results: Any) -> tuple[float, float]:
    """Where the next batch goes. Inside a constrained prior it starts at the first dead point, not from the cube that the prior cuts.

    No such batch can add live points to that first one: it is weighed with its neighbour's number, or the weights would send every
    further batch there in vain.
    """
    if not problem.priors.is_constrained:
        return tuple(weight_function(results))
    record = results.asdict()
    record["samples_n"][0] = record["samples_n"][1]
    low, high = weight_function(Results(record))
    return max(float(low), float(results.logl[0])), high
