"""Whether a problem runs compiled, and what to say where it cannot, or where its likelihood went wrong."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from sciinf.core.compiled_problem import CompiledProblem
from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.problem import Problem

__all__ = ["BOUNDS", "PROPOSALS", "compiled_for", "wrong_value"]

BOUNDS = ("none", "single", "multi")
PROPOSALS = ("rwalk", "rslice", "slice")
"""Settings of `Dynesty` that the compiled nested loop knows, in the order of its codes."""

_LOG = logging.getLogger(__name__)


def compiled_for(problem: Problem, engine: str, stock: str, lacking: str = "") -> CompiledProblem | None:
    """The compiled form of ``problem`` if it is to run compiled, None for the stock sampler.

    Parameters
    ----------
    problem : Problem
        What is to be sampled.
    engine : str
        As the settings say: "auto", "compiled", or the stock sampler's name.
    stock : str
        Name of the stock sampler.
    lacking : str
        What among the settings has no compiled form; empty where all have.

    Raises
    ------
    ConfigError
        If ``engine`` is "compiled" and the problem or the settings have no compiled form.
    """
    if engine == stock:
        return None
    found = lacking or problem.compiled()
    if isinstance(found, CompiledProblem):
        return found
    if engine == "compiled":
        raise ConfigError(f"{problem.name} cannot run compiled: {found}. Use engine='auto' or engine='{stock}'")
    _LOG.debug("%s runs in %s: %s", problem.name, stock, found)
    return None


def wrong_value(problem: Problem, theta: NDArray[np.float64]) -> LikelihoodError:
    """What is wrong with the likelihood at ``theta``, in the problem's own words."""
    try:
        value = problem.log_likelihood(theta)
    except LikelihoodError as error:
        return error
    named = ", ".join(f"{name}={float(x)!r}" for name, x in zip(problem.names, theta, strict=True))
    return LikelihoodError(f"{problem.name}: the compiled likelihood gave no number at {named}, where the engine gives {value}")
