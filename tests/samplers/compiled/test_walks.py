"""dynesty's loop with compiled proposals: in our driver and in dynesty as it is."""

from __future__ import annotations

import dataclasses
from typing import Any

import dynesty
import numpy as np
import pytest

from sciinf.calibration import analytic
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.numerics.jit import LIKELIHOOD, kernel
from sciinf.samplers.compiled.walks import CompiledAxisSlices, CompiledRandomSlices, CompiledRandomWalk
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty

PROPOSALS = {"rwalk": CompiledRandomWalk(walks=20), "rslice": CompiledRandomSlices(slices=5), "slice": CompiledAxisSlices(slices=2)}


@pytest.mark.parametrize("proposal", list(PROPOSALS))
def test_in_dynesty_as_it_is(proposal: str) -> None:
    known = analytic.gauss3()
    problem, rng = known.problem, np.random.default_rng(2)
    functions = problem.log_likelihood, problem.prior_transform
    sampler = dynesty.NestedSampler(*functions, problem.n_dim, nlive=100, sample=PROPOSALS[proposal], rstate=rng)
    sampler.run_nested(dlogz=0.05, print_progress=False)
    found = sampler.results
    assert abs(found.logz[-1] - known.log_evidence) < 4.0 * found.logzerr[-1]


def test_the_walk_is_dynesty_s_in_two_dimensions() -> None:
    # the same draws and the same tuning: dynesty's run until rounding parts them
    problem = analytic.eggbox().problem
    found = []
    for proposal in ("rwalk", CompiledRandomWalk(walks=22)):
        rng = np.random.default_rng(2)
        sampler = dynesty.NestedSampler(
            problem.log_likelihood, problem.prior_transform, 2, nlive=60, sample=proposal, walks=None, rstate=rng
        )
        sampler.run_nested(dlogz=0.5, print_progress=False)
        found.append(sampler.results)
    n = 200
    assert np.allclose(found[0].samples[:n], found[1].samples[:n], rtol=1e-9)


@pytest.mark.parametrize("changes", [{"dynamic": True, "n_effective": 600}, {"bound": "balls"}])
def test_in_the_driver_the_hash_does_not_depend_on_workers(changes: dict[str, Any]) -> None:
    known = analytic.gauss3()
    settings = dataclasses.replace(Dynesty(n_live=60, walks=15, dlogz=0.3), **changes)
    first = sample(known.problem, settings, seed=1, progress=False)
    assert first.meta["sampler"]["form"] == "compiled proposals"
    assert abs(first.log_evidence - known.log_evidence) < 4.0 * first.log_evidence_error  # type: ignore[operator]
    second = sample(known.problem, settings, seed=1, workers=2, progress=False)
    assert second.content_hash() == first.content_hash()
    assert second.meta["counts"] == first.meta["counts"]


@kernel(LIKELIHOOD)
def raises_near_zero(theta, floats, ints, work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    if abs(theta[0]) < 1.0:
        raise ArithmeticError("no model there")
    return -0.5 * theta[0] ** 2


def test_an_exception_of_a_compiled_likelihood_ends_the_run() -> None:
    compiled = CompiledLikelihood(raises_near_zero, np.empty(0), np.empty(0, dtype=np.int64), workspace_size=0)
    engine = FunctionEngine(minus_half_square, ["x"], compiled=compiled, version="1")
    problem = Problem(engine, PriorSet([Parameter("x", Uniform(-10.0, 10.0))]))
    with pytest.raises(ArithmeticError, match="no model there"):
        sample(problem, Dynesty(n_live=60, walks=15, dynamic=True, engine="compiled"), seed=1, progress=False)


def minus_half_square(theta: np.ndarray) -> float:
    return -0.5 * float(theta[0]) ** 2


def test_another_function_is_refused() -> None:
    at_once = {"min_ncall": 1, "min_eff": 200.0}
    options = {"nlive": 60, "sample": PROPOSALS["rwalk"], "rstate": np.random.default_rng(1), "first_update": at_once}
    sampler = dynesty.NestedSampler(lambda theta: -float(theta @ theta), lambda unit: unit, 2, **options)
    with pytest.raises(ConfigError, match=r"needs problem.log_likelihood of a Problem"):
        sampler.run_nested(maxiter=300, print_progress=False)
