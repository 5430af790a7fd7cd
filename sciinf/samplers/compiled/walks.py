"""dynesty's proposals as `InternalSampler` objects whose walk is compiled; dynesty tunes them as its own.

For dynesty's own loops: dynamic runs, and bounds that the compiled nested loop does not know. The likelihood that dynesty hands over must
be the bound method ``problem.log_likelihood``: its Problem brings the compiled form, so that tasks stay small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from dynesty.internal_samplers import RSliceSampler, RWalkSampler, SamplerReturn, SliceSampler
from dynesty.utils import get_random_generator

from sciinf.core.compiled_problem import CompiledProblem
from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem
from sciinf.samplers.compiled.choice import wrong_value
from sciinf.samplers.compiled.posterior_kernels import FINITE
from sciinf.samplers.compiled.walk_kernels import evaluate_each, random_walk, slices

__all__ = ["CompiledAxisSlices", "CompiledRandomSlices", "CompiledRandomWalk", "compiled_proposal", "target_of"]


def target_of(problem: Problem, compiled: CompiledProblem) -> tuple[Any, ...]:
    """The first arguments of every kernel that proposes: likelihood, prior, and whether a region restricts it."""
    return compiled.proposal_arguments(restricted=problem.priors.is_constrained)


def _problem_of(likelihood: Any) -> Problem:
    """The Problem whose bound method dynesty was given, found behind dynesty's own wrappers where it has put them.

    Raises
    ------
    ConfigError
        If it was given anything else.
    """
    inner = getattr(likelihood, "loglikelihood", likelihood)  # its counter of calls
    inner = getattr(inner, "func", inner)  # its binder of further arguments
    owner = getattr(inner, "__self__", None)
    if not isinstance(owner, Problem):
        raise ConfigError(f"a compiled proposal needs problem.log_likelihood of a Problem as the likelihood, got {inner!r}")
    return owner


class _Start:
    """Where a proposal starts, in the arrays that the kernels move."""

    def __init__(self, args: Any) -> None:
        self.problem = _problem_of(args.loglikelihood)
        compiled = self.problem.compiled()
        if isinstance(compiled, str):
            raise ConfigError(f"a compiled proposal needs a compiled problem, but {compiled}")
        self.target = target_of(self.problem, compiled)
        self.rng = get_random_generator(args.rseed)
        self.axes = np.ascontiguousarray(args.axes, dtype=np.float64)
        self.u = np.array(args.u, dtype=np.float64)
        self.theta, self.value = np.empty(self.problem.n_dim), np.full(1, np.nan)
        self.tuning, self.counts = np.zeros(4, dtype=np.int64), np.zeros(3, dtype=np.int64)

    def end(self, status: int, n_calls: int, tuning_info: dict[str, Any], stats: dict[str, int]) -> SamplerReturn:
        """What dynesty gets; the start itself where no step was accepted."""
        if status == FINITE and np.isnan(self.value[0]):
            evaluate_each(*self.target, self.u[None, :], self.theta[None, :], self.value, self.counts)
        self.problem.add_counts(self.counts)
        if status != FINITE:
            raise wrong_value(self.problem, self.theta)
        return SamplerReturn(
            u=self.u,
            v=self.theta,
            logl=float(self.value[0]),
            ncalls=n_calls,
            tuning_info=tuning_info,
            evaluation_history=[],
            proposal_stats=stats,
        )


class CompiledRandomWalk(RWalkSampler):  # type: ignore[misc]
    """dynesty's ``rwalk``."""

    @staticmethod
    def sample(args: Any) -> SamplerReturn:
        """A new point by ``walks`` steps."""
        start, walks = _Start(args), int(args.kwargs["walks"])
        periodic = np.array(args.kwargs.get("periodic") or (), dtype=np.int64)
        status = random_walk(
            *start.target,
            start.rng,
            walks,
            float(args.loglstar),
            float(args.scale),
            start.axes,
            periodic,
            start.u,
            start.theta,
            start.value,
            start.tuning,
            start.counts,
        )
        accepted, rejected = int(start.tuning[0]), int(start.tuning[1])
        tuning = {"accept": accepted, "reject": rejected, "scale": args.scale}
        return start.end(status, walks, tuning, {"n_accept": accepted, "n_reject": rejected})


def _by_slices(args: Any, along_axes: bool) -> SamplerReturn:
    start, doubling = _Start(args), bool(args.kwargs.get("slice_doubling", False))
    start.tuning[3] = doubling
    status = slices(
        *start.target,
        start.rng,
        int(args.kwargs["slices"]),
        along_axes,
        float(args.loglstar),
        float(args.scale),
        start.axes,
        start.u,
        start.theta,
        start.value,
        start.tuning,
        start.counts,
    )
    expanded, contracted, tried, doubles = (int(n) for n in start.tuning)
    tuning = {"n_expand": expanded, "n_contract": contracted, "expansion_warning_set": bool(doubles) and not doubling}
    return start.end(status, tried, tuning, {"n_expand": expanded, "n_contract": contracted})


class CompiledRandomSlices(RSliceSampler):  # type: ignore[misc]
    """dynesty's ``rslice``."""

    @staticmethod
    def sample(args: Any) -> SamplerReturn:
        """A new point by slices along random directions."""
        return _by_slices(args, along_axes=False)


class CompiledAxisSlices(SliceSampler):  # type: ignore[misc]
    """dynesty's ``slice``."""

    @staticmethod
    def sample(args: Any) -> SamplerReturn:
        """A new point by slices along each axis of the bound."""
        return _by_slices(args, along_axes=True)


def compiled_proposal(proposal: str, steps: int) -> CompiledRandomWalk | CompiledRandomSlices | CompiledAxisSlices:
    """The object that does ``proposal`` ("rwalk", "rslice", "slice") with ``steps`` walks or slices."""
    if proposal == "rwalk":
        return CompiledRandomWalk(walks=steps)
    return CompiledRandomSlices(slices=steps) if proposal == "rslice" else CompiledAxisSlices(slices=steps)
