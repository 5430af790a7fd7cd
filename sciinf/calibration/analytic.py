"""Problems with known answers: evidence and moments by formula, to hold samplers against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration import kernels
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, nearest_names
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.numerics.jit import kernel

__all__ = [
    "PROBLEMS",
    "AnalyticProblem",
    "analytic_problem",
    "eggbox",
    "funnel5",
    "gauss3",
    "gauss10",
    "hole",
    "line",
    "line_posterior",
    "plateau",
    "prior",
    "shells4",
]

_VERSION = "1"
_CORRELATION = 0.95
_NO_INTS = np.empty(0, dtype=np.int64)
_NO_WORK = np.empty(0)

LINE_X = np.linspace(-0.5, 1.5, 10)
"""Abscissae of the straight line that `line` measures."""
LINE_ERROR = 1.0
"""Its one-sigma error."""


@dataclass(frozen=True, eq=False)
class AnalyticProblem:
    """A problem and what is known about its posterior.

    Attributes
    ----------
    problem : Problem
        What a sampler gets; picklable.
    log_evidence : float
        ln Z for the normalised prior.
    mean, covariance : (n_dim,) and (n_dim, n_dim) float64 arrays, or None
        Posterior moments.
    one_mode : bool
        Whether an ensemble of walkers started from the prior can be expected to find the whole posterior.
    """

    problem: Problem
    log_evidence: float
    mean: NDArray[np.float64] | None = None
    covariance: NDArray[np.float64] | None = None
    one_mode: bool = True

    @property
    def name(self) -> str:
        """The problem's name."""
        return self.problem.name


def _log_gauss(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.gauss_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _log_eggbox(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.eggbox_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _log_shells(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.shells_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _log_funnel(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.funnel_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _log_plateau(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.plateau_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _log_constant(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.constant_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _line_floats(y: NDArray[np.float64]) -> NDArray[np.float64]:
    design = np.column_stack([np.ones_like(LINE_X), LINE_X])
    return np.concatenate([[LINE_ERROR], y, design.ravel()])


def _log_line(thetas: NDArray[np.float64], floats: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(kernels.line_many(np.ascontiguousarray(thetas), floats, _NO_INTS, _NO_WORK))


def _compiled_line(data: NDArray[np.float64]) -> CompiledLikelihood:
    return CompiledLikelihood(kernels.line, data.copy(), _NO_INTS.copy(), workspace_size=0)


def _simulate_line(theta: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return _line_floats(theta[0] + theta[1] * LINE_X + LINE_ERROR * rng.standard_normal(LINE_X.size))


@kernel()
def _right_of_the_hole(x0: float) -> bool:
    """Region of `hole`: x_0 > -4."""
    return x0 > -4.0


def _uniform_box(names: tuple[str, ...], low: float, high: float) -> PriorSet:
    return PriorSet([Parameter(name, Uniform(low, high)) for name in names])


def _names(n_dim: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(n_dim))


def _problem(
    name: str, function: Callable[..., NDArray[np.float64]], scalar: Callable[..., float], floats: list[float], priors: PriorSet
) -> Problem:
    """A Problem around a batched wrapper and its scalar kernel."""
    data = np.array(floats, dtype=np.float64)
    compiled = CompiledLikelihood(scalar, data.copy(), _NO_INTS.copy(), workspace_size=0)
    engine = FunctionEngine(function, priors.names, data=data, compiled=compiled, vectorized=True, version=_VERSION, default_priors=priors)
    return Problem(engine, priors, name=name)


def _equicorrelated(n_dim: int) -> NDArray[np.float64]:
    return (1.0 - _CORRELATION) * np.eye(n_dim) + _CORRELATION * np.ones((n_dim, n_dim))


def _gauss(name: str, n_dim: int) -> AnalyticProblem:
    problem = _problem(name, _log_gauss, kernels.gauss, [_CORRELATION], _uniform_box(_names(n_dim), -10.0, 10.0))
    return AnalyticProblem(problem, -n_dim * math.log(20.0), np.zeros(n_dim), _equicorrelated(n_dim))


def gauss3() -> AnalyticProblem:
    """3-D Gaussian, unit variances, correlation 0.95, prior U(-10, 10)^3: ln Z = -3 ln 20."""
    return _gauss("gauss3", 3)


def gauss10() -> AnalyticProblem:
    """10-D equicorrelated Gaussian, correlation 0.95, prior U(-10, 10)^10: ln Z = -10 ln 20."""
    return _gauss("gauss10", 10)


def eggbox() -> AnalyticProblem:
    """(2 + cos(x/2) cos(y/2))^5 as ln L, prior U(0, 10 pi)^2; evidence and moments by Gauss-Legendre quadrature.

    The ln likelihood depends on products of cosines only, so the mean is the centre by symmetry.
    """
    problem = _problem("eggbox", _log_eggbox, kernels.eggbox, [], _uniform_box(("x", "y"), 0.0, 10.0 * math.pi))
    # 60 panels of 40 Gauss-Legendre nodes per axis; tests/calibration/test_analytic.py repeats them with another rule.
    variance, cross = 88.33616226179981, 0.37502831019306265
    covariance = np.array([[variance, cross], [cross, variance]])
    return AnalyticProblem(problem, 235.85594033225414, np.full(2, 5.0 * math.pi), covariance, one_mode=False)


def shells4() -> AnalyticProblem:
    """Two 4-D shells at +-3.5 on axis 0, radius 2, width 0.1, prior U(-6, 6)^4.

    The integral over one shell is 2 pi^2 E[r^3] with r ~ N(2, 0.1); what the box cuts off is 3e-10 of it.
    """
    offset, radius, width = 3.5, 2.0, 0.1
    problem = _problem("shells4", _log_shells, kernels.shells, [offset, radius, width], _uniform_box(_names(4), -6.0, 6.0))
    third = radius**3 + 3.0 * radius * width**2
    fifth = radius**5 + 10.0 * radius**3 * width**2 + 15.0 * radius * width**4
    variance = fifth / third / 4.0
    covariance = np.diag([variance + offset**2, variance, variance, variance])
    return AnalyticProblem(problem, math.log(4.0 * math.pi**2 * third / 12.0**4), np.zeros(4), covariance, one_mode=False)


def funnel5() -> AnalyticProblem:
    """Prior v ~ U(-4, 4), four x_i ~ U(-30, 30), L = prod N(x_i; 0, exp(v/2)): numbers by quadrature over v of the truncated Gaussians."""
    priors = PriorSet([Parameter("v", Uniform(-4.0, 4.0))] + [Parameter(f"x{i}", Uniform(-30.0, 30.0)) for i in range(1, 5)])
    problem = _problem("funnel5", _log_funnel, kernels.funnel, [], priors)
    # mpmath, 30 digits; tests/calibration/test_analytic.py repeats them with scipy's quad.
    covariance = np.diag([5.333307920565998, *[6.821763386031207] * 4])
    return AnalyticProblem(
        problem, -16.377380812287182, np.array([-1.0006792278163465e-05, 0.0, 0.0, 0.0, 0.0]), covariance, one_mode=False
    )


def hole() -> AnalyticProblem:
    """`gauss3` with its prior restricted to x_0 > -4 and normalised: ln Z = -3 ln 20 - ln 0.7 + ln Phi(4)."""
    box = _uniform_box(_names(3), -10.0, 10.0)
    priors = constrained(box, "right_of_the_hole", _right_of_the_hole, version="1", mass=0.7)
    problem = _problem("hole", _log_gauss, kernels.gauss, [_CORRELATION], priors)
    phi = math.exp(-8.0) / math.sqrt(2.0 * math.pi)
    inside = 0.5 * math.erfc(-4.0 / math.sqrt(2.0))
    shift = phi / inside
    variance = 1.0 - 4.0 * shift - shift**2
    column = _equicorrelated(3)[0]
    covariance = _equicorrelated(3) - (1.0 - variance) * np.outer(column, column)
    return AnalyticProblem(problem, -3.0 * math.log(20.0) - math.log(0.7) + math.log(inside), shift * column, covariance)


def plateau() -> AnalyticProblem:
    """A flat top, ln L = -max(0, r^2 - 1)/2 in 3-D, prior U(-5, 5)^3.

    Z = 10^-3 [4 pi/3 + e^(1/2) (G - 4 pi I_2)] with G the Gaussian integral over the box and I_k = int_0^1 r^k e^(-r^2/2) dr.
    """
    problem = _problem("plateau", _log_plateau, kernels.plateau, [], _uniform_box(_names(3), -5.0, 5.0))
    root, erf5 = math.sqrt(2.0 * math.pi), math.erf(5.0 / math.sqrt(2.0))
    erf1, edge = root * math.erf(1.0 / math.sqrt(2.0)) / 2.0, math.exp(-0.5)
    second, fourth = erf1 - edge, 3.0 * (erf1 - edge) - edge
    volume = 4.0 * math.pi / 3.0 + math.sqrt(math.e) * ((root * erf5) ** 3 - 4.0 * math.pi * second)
    box_x2 = (root * erf5) ** 2 * (root * erf5 - 10.0 * math.exp(-12.5))
    x2 = 4.0 * math.pi / 15.0 + math.sqrt(math.e) * (box_x2 - 4.0 * math.pi / 3.0 * fourth)
    return AnalyticProblem(problem, math.log(volume / 1000.0), np.zeros(3), np.eye(3) * x2 / volume)


def prior() -> AnalyticProblem:
    """A constant likelihood: ln Z = 0 and the posterior is the prior."""
    priors = PriorSet([Parameter("a", Uniform(-1.0, 2.0)), Parameter("b", Normal(0.5, 2.0)), Parameter("c", Uniform(0.0, 100.0))])
    problem = _problem("prior", _log_constant, kernels.constant, [0.0], priors)
    return AnalyticProblem(problem, 0.0, np.array([0.5, 0.5, 50.0]), np.diag([0.75, 4.0, 100.0**2 / 12.0]))


def line() -> Problem:
    """A straight line through ten points with unit errors, prior N(0, 1) on both parameters: cheap, with a simulator.

    For calibration campaigns: ``line().simulate(theta, rng)`` is the same problem with other data, and `line_posterior` its exact
    posterior.
    """
    priors = PriorSet([Parameter("intercept", Normal(0.0, 1.0)), Parameter("slope", Normal(0.0, 1.0))])
    engine = FunctionEngine(
        _log_line,
        priors.names,
        data=_line_floats(np.zeros_like(LINE_X)),
        simulate=_simulate_line,
        compiled=_compiled_line,
        vectorized=True,
        version=_VERSION,
        default_priors=priors,
    )
    return Problem(engine, priors, name="line")


def line_posterior(problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Exact mean (2,), covariance (2, 2) and ln Z of a `line` problem with its own data."""
    y = problem.engine.data[1 : 1 + LINE_X.size]  # type: ignore[attr-defined]
    design = np.column_stack([np.ones_like(LINE_X), LINE_X])
    covariance = np.linalg.inv(np.eye(2) + design.T @ design / LINE_ERROR**2)
    marginal = design @ design.T + LINE_ERROR**2 * np.eye(LINE_X.size)
    log_evidence = -0.5 * (y @ np.linalg.solve(marginal, y) + np.linalg.slogdet(2.0 * math.pi * marginal)[1])
    return np.asarray(covariance @ design.T @ y / LINE_ERROR**2), np.asarray(covariance), float(log_evidence)


PROBLEMS: dict[str, Callable[[], AnalyticProblem]] = {
    "gauss3": gauss3,
    "gauss10": gauss10,
    "eggbox": eggbox,
    "shells4": shells4,
    "funnel5": funnel5,
    "hole": hole,
    "plateau": plateau,
    "prior": prior,
}
"""The rows of the accuracy table, by name."""


def analytic_problem(name: str) -> AnalyticProblem:
    """The problem of that name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in PROBLEMS:
        raise ConfigError(f"no problem '{name}' with a known answer: {nearest_names(name, PROBLEMS)}")
    return PROBLEMS[name]()
