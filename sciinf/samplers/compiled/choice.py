"""Whether a problem runs compiled, and what to say where it cannot."""

from __future__ import annotations

import logging

from sciinf.core.compiled_problem import CompiledProblem
from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem

__all__ = ["BOUNDS", "PROPOSALS", "compiled_for"]

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
