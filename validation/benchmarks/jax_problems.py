"""The problems with known answers written in JAX, as functions of the unit cube, for samplers that need JAX."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sciinf.calibration.analytic import analytic_problem

Array = Any
_CORRELATION, _LOG_2PI = 0.95, math.log(2.0 * math.pi)


def _gauss(theta: Array) -> Array:
    n, c = theta.shape[0], _CORRELATION
    spread = 1.0 + (n - 1) * c
    quadratic = (jnp.sum(theta**2) - c / spread * jnp.sum(theta) ** 2) / (1.0 - c)
    return -0.5 * (quadratic + (n - 1) * math.log(1.0 - c) + math.log(spread) + n * _LOG_2PI)


def _eggbox(theta: Array) -> Array:
    return (2.0 + jnp.cos(0.5 * theta[0]) * jnp.cos(0.5 * theta[1])) ** 5


def _shells(theta: Array) -> Array:
    rest = jnp.sum(theta[1:] ** 2)
    left, right = ((jnp.sqrt((theta[0] + side * 3.5) ** 2 + rest) - 2.0) / 0.1 for side in (1.0, -1.0))
    return jnp.logaddexp(-0.5 * left**2, -0.5 * right**2) - math.log(0.1) - 0.5 * _LOG_2PI


def _funnel(theta: Array) -> Array:
    v, n = theta[0], theta.shape[0] - 1
    return -0.5 * (jnp.sum(theta[1:] ** 2) * jnp.exp(-v) + n * v + n * _LOG_2PI)


def _plateau(theta: Array) -> Array:
    return -0.5 * jnp.maximum(0.0, jnp.sum(theta**2) - 1.0)


def _hole(theta: Array) -> Array:
    return jnp.where(theta[0] > -4.0, _gauss(theta), -jnp.inf)


def _box(low: float | list[float], high: float | list[float]) -> Callable[[Array], Array]:
    start, width = jnp.asarray(low), jnp.asarray(high) - jnp.asarray(low)
    return lambda unit: start + width * unit


def _prior(unit: Array) -> Array:
    return jnp.array([-1.0 + 3.0 * unit[0], 0.5 + 2.0 * jax.scipy.special.ndtri(unit[1]), 100.0 * unit[2]])


def _parts(name: str) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Log-likelihood of the parameters, and the parameters of a cube point."""
    wide = _box(-10.0, 10.0)
    return {
        "gauss3": (_gauss, wide),
        "gauss10": (_gauss, wide),
        "eggbox": (_eggbox, _box(0.0, 10.0 * math.pi)),
        "shells4": (_shells, _box(-6.0, 6.0)),
        "funnel5": (_funnel, _box([-4.0, *[-30.0] * 4], [4.0, *[30.0] * 4])),
        "hole": (_hole, wide),
        "plateau": (_plateau, _box(-5.0, 5.0)),
        "prior": (lambda theta: 0.0 * theta[0], _prior),
    }[name]


def in_cube(name: str) -> Callable[[Array], Array]:
    """Log-likelihood of a cube point; held against the compiled one before it is handed out.

    Raises
    ------
    AssertionError
        If it differs from the problem's own by more than 1e-9 at one of 50 prior points.
    """
    log_likelihood, transform = _parts(name)
    problem = analytic_problem(name).problem

    def composed(unit: Array) -> Array:
        return log_likelihood(transform(unit))

    for unit in jax.random.uniform(jax.random.key(0), (50, problem.n_dim)):
        mine = problem.log_likelihood(problem.prior_transform(jnp.asarray(unit).__array__().copy()))
        assert mine == float(composed(unit)) or abs(mine - float(composed(unit))) < 1e-9 * max(1.0, abs(mine)), name
    return composed


def inside(unit: Array, log_likelihood: Callable[[Array], Array]) -> Array:
    """-inf outside the cube, where a slice may step."""
    within = jnp.all((unit > 0.0) & (unit < 1.0))
    return jnp.where(within, log_likelihood(jnp.where(within, unit, 0.5)), -jnp.inf)
