"""Observations of a family at one theta: by probabilities, by the inverse of a distribution function, or by chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, shown
from sciinf.engines.pn.nodes import panels_of
from sciinf.engines.pn.settings import positive_integer
from sciinf.engines.pn.support import Integers

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily

__all__ = ["simulated"]

FloatArray = NDArray[np.float64]

_SPACING = 2.0  # autocorrelation times of chains between draws
_ORDER = 32  # Legendre polynomials of a panel, which `panels_of` has found to be enough


def simulated(family: ExponentialFamily, theta: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """``n`` points (n, dim) of the law at a theta of the domain, the same for the same state of ``rng``.

    Raises
    ------
    ConfigError
        If n is no positive integer or rng no generator of numpy.
    ConvergenceError
        If the law needs chains, and they do not mix.

    Notes
    -----
    Finite and countable supports by probabilities; a line, half-line, interval or circle by Newton's method on the distribution function,
    whose density is a Legendre series in each panel of the quadrature; all else by thinned chains.
    """
    positive_integer("n", n)
    if not isinstance(rng, np.random.Generator):
        raise ConfigError(f"pn: simulate needs a numpy.random.Generator, np.random.default_rng(seed), got {shown(rng)}")
    if family.support.is_finite or isinstance(family.support, Integers):
        return _by_probabilities(family, theta, n, rng)
    if family.support.dim == 1:
        return _by_inversion(family, theta, n, rng)
    from sciinf.engines.pn.draws import chained, check_mixed

    steps = chained(family, theta, n, rng, spacing=_SPACING)
    check_mixed(family, steps)
    pooled = steps.transpose(1, 0, 2).reshape(-1, family.support.dim)
    return np.ascontiguousarray(pooled[:: len(pooled) // n][:n])


def _by_probabilities(family: ExponentialFamily, theta: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    rule = family.rule(theta)
    probabilities = family._tilted(theta, rule)[1]
    up_to = np.cumsum(probabilities)
    chosen = np.searchsorted(up_to, rng.random(n) * up_to[-1], side="right")
    return np.asarray(rule.points[np.minimum(chosen, len(up_to) - 1)], dtype=np.float64)


def _by_inversion(family: ExponentialFamily, theta: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    from sciinf.engines.pn.kernels import inverted

    def log_density(x: FloatArray) -> FloatArray:
        return np.asarray(family.evaluate(x) @ theta + family.log_base_of(x))

    edges = panels_of(family.support, log_density, family.evaluate, family.hints(theta))
    nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
    half = 0.5 * np.diff(edges)[:, None]
    values = log_density((edges[:-1, None] + half * (1.0 + nodes)).reshape(-1, 1)).reshape(-1, _ORDER)
    density = np.exp(values - np.max(values))
    legendre = np.polynomial.legendre.legvander(nodes, _ORDER - 1)
    series = (density * weights) @ legendre * (np.arange(_ORDER) + 0.5) * half  # of the density times the panel's half width
    masses = np.maximum(2.0 * series[:, 0], 0.0)
    up_to = np.concatenate([[0.0], np.cumsum(masses)])
    out = np.empty(n)
    inverted(np.ascontiguousarray(series), edges, up_to, rng.random(n) * up_to[-1], out)
    return out[:, None]
