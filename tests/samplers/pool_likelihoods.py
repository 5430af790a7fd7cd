"""Likelihoods that worker processes can import: healthy ones, and ones that fail in every way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.samplers import worker

BOX = 5.0


def gauss(theta: NDArray[np.float64]) -> float:
    return -0.5 * float(theta @ theta)


def slow_gauss(theta: NDArray[np.float64]) -> float:
    time.sleep(2e-4)
    return -0.5 * float(theta @ theta)


def raises_beyond_two(theta: NDArray[np.float64]) -> float:
    if theta[0] > 2.0:
        raise ArithmeticError("no model beyond two")
    return -0.5 * float(theta @ theta)


def nan_beyond_two(theta: NDArray[np.float64]) -> float:
    return float("nan") if theta[0] > 2.0 else -0.5 * float(theta @ theta)


def infinite_beyond_two(theta: NDArray[np.float64]) -> float:
    return float("inf") if theta[0] > 2.0 else -0.5 * float(theta @ theta)


def kills_its_process(theta: NDArray[np.float64]) -> float:
    if theta[0] > 2.0 and os.environ.get("SCIINF_TEST_PARENT") != str(os.getpid()):
        os._exit(9)
    return -0.5 * float(theta @ theta)


def zero_everywhere(theta: NDArray[np.float64]) -> float:
    return -np.inf


def zero_on_the_left(theta: NDArray[np.float64]) -> float:
    return -np.inf if theta[0] < -2.0 else -0.5 * float(theta @ theta)


def of(function: object, n_dim: int = 2, **options: object) -> Problem:
    """A problem of ``function`` in a box."""
    names = ["x", "y", "z"][:n_dim]
    engine = FunctionEngine(function, names, version="1")  # type: ignore[arg-type]
    return Problem(engine, PriorSet([Parameter(name, Uniform(-BOX, BOX)) for name in names]), **options)  # type: ignore[arg-type]


def kills_its_worker_once(theta: NDArray[np.float64]) -> float:
    """Ends the process at its first call of all, which leaves a mark."""
    mark = Path(os.environ["SCIINF_TEST_MARK"])
    if os.environ["SCIINF_TEST_PARENT"] != str(os.getpid()) and not mark.exists():
        mark.touch()
        os._exit(9)
    return -0.5 * float(theta @ theta)


def first_of(problem: Problem, item: NDArray[np.float64]) -> tuple[float, int]:
    """The value at ``item`` and where it was found."""
    time.sleep(0.002)
    return problem.log_likelihood(item), os.getpid()


def placed() -> list[int]:
    """How many copies of each pool's pickled problem this process holds."""
    return [len(copies) for copies in worker._kept.values()]
