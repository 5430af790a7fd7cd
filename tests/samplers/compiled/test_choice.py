# ruff: noqa: ANN001, ANN201
"""What runs compiled, and what refuses to."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.numerics.jit import LIKELIHOOD, kernel
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee


@kernel(LIKELIHOOD)
def minus_square_distance(theta, floats, ints, work):  # type: ignore[no-untyped-def]
    return -((theta[0] - floats[0]) ** 2)


def distance(theta: np.ndarray, data: float) -> float:
    return -((float(theta[0]) - data) ** 2)


@pytest.mark.parametrize("settings", [Dynesty(n_live=50), Emcee(n_walkers=8, n_steps=10)], ids=["dynesty", "emcee"])
def test_a_compiled_form_that_is_another_likelihood_is_refused(settings: Dynesty | Emcee) -> None:
    other = CompiledLikelihood(minus_square_distance, np.array([4.0]), np.empty(0, dtype=np.int64), workspace_size=0)
    engine = FunctionEngine(distance, ["x"], data=3.0, compiled=other, version="1")
    problem = Problem(engine, PriorSet([Parameter("x", Uniform(0.0, 10.0))]))
    with pytest.raises(LikelihoodError, match=r"the compiled likelihood gives .* the engine's log_likelihood"):
        sample(problem, settings, seed=1, progress=False)
