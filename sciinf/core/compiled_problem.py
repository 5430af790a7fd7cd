"""A Problem as compiled samplers see it: two kernels, their numbers, and where each sampled parameter goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.engine import compiled_of
from sciinf.core.errors import LikelihoodError

if TYPE_CHECKING:
    from sciinf.core.compiled_priors import CompiledPrior
    from sciinf.core.problem import Problem

__all__ = ["CompiledProblem", "check_same", "compile_problem"]

_SAME = 1e-8  # of ln L or 1: another order of sums; a likelihood of other data or parameters differs by far more


@dataclass(frozen=True, eq=False)
class CompiledProblem:
    """Likelihood and prior of a Problem in compiled form.

    Parameters
    ----------
    log_likelihood : numba dispatcher
        The engine's kernel, of the signature `sciinf.numerics.jit.LIKELIHOOD`, over the engine's parameters.
    floats, ints : float64 and int64 arrays
        Its numbers.
    workspace_size : int
        Length of its workspace.
    prior : CompiledPrior
        The prior's kernels and numbers, over the sampled parameters.
    template : (n_parameters,) float64 array
        The engine's parameters with the fixed values filled in.
    places : (n_dim,) int64 array
        Place of each sampled parameter among the engine's.
    reject_nan : bool
        Whether a NaN likelihood counts as zero, or is an error.
    """

    log_likelihood: Callable[..., float]
    floats: NDArray[np.float64]
    ints: NDArray[np.int64]
    workspace_size: int
    prior: CompiledPrior
    template: NDArray[np.float64]
    places: NDArray[np.int64]
    reject_nan: bool

    def likelihood_arguments(self) -> tuple[Any, ...]:
        """What a kernel needs to evaluate the likelihood: function, floats, ints, a fresh workspace and point, places, ``reject_nan``."""
        return (
            self.log_likelihood,
            self.floats,
            self.ints,
            np.empty(self.workspace_size),
            self.template.copy(),
            self.places,
            self.reject_nan,
        )

    def posterior_arguments(self) -> tuple[Any, ...]:
        """`likelihood_arguments`, and the prior's log-density with its numbers."""
        return *self.likelihood_arguments(), self.prior.log_prior, self.prior.floats, self.prior.ints

    def proposal_arguments(self, *, restricted: bool) -> tuple[Any, ...]:
        """`likelihood_arguments`; the prior's cube map and log-density with their numbers; and whether a region restricts it.

        Where none does no kernel asks for the density: the cube map stands in its place, and the density is not compiled for nothing.
        """
        density = self.prior.log_prior if restricted else self.prior.transform
        return *self.likelihood_arguments(), self.prior.transform, density, self.prior.floats, self.prior.ints, restricted


def check_same(problem: Problem, thetas: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Hold compiled values (n,) at points (n, n_dim) against the engine's own.

    Raises
    ------
    LikelihoodError
        If they differ by more than the order of sums can explain.
    """
    for theta, value in zip(thetas, values, strict=True):
        expected = problem.peek(theta)
        if not (value == expected or abs(value - expected) <= _SAME * max(1.0, abs(expected))):
            named = ", ".join(f"{name}={float(x)!r}" for name, x in zip(problem.names, theta, strict=True))
            raise LikelihoodError(
                f"{problem.name}: the compiled likelihood gives {float(value)!r} at {named}, the engine's log_likelihood {expected!r}. "
                "Mend the one that is wrong, or sample with the stock engine (engine='dynesty' or engine='emcee')"
            )


def compile_problem(problem: Problem) -> CompiledProblem | str:
    """The compiled form of ``problem``, or what it lacks, as the end of a sentence."""
    likelihood = compiled_of(problem.engine)
    if likelihood is None:
        return f"{problem.name} has no compiled likelihood"
    prior = problem.priors.compiled()
    if prior is None:
        return "a prior, or the function of a region, has no compiled form"
    order = {name: i for i, name in enumerate(problem.engine.parameters)}
    fixed = problem.priors.fixed
    return CompiledProblem(
        likelihood.function,
        _plain(likelihood.floats, np.float64),
        _plain(likelihood.ints, np.int64),
        int(likelihood.workspace_size),
        prior,
        np.array([fixed.get(name, 0.0) for name in problem.engine.parameters], dtype=np.float64),
        np.array([order[name] for name in problem.names], dtype=np.int64),
        problem.on_nan == "reject",
    )


def _plain(array: NDArray[Any], kind: Any) -> NDArray[Any]:
    """C-contiguous and writable: the one type that the kernels are compiled for."""
    return np.require(array, dtype=kind, requirements=["C", "W"])
