"""Where a family's moments come from: closed forms, listed states, quadrature refined until they stand, draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, ConvergenceError
from sciinf.engines.pn.moments import Contractions, ModelMoments, NodeMoments
from sciinf.engines.pn.nodes import Rule, has_rule

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily
    from sciinf.engines.pn.settings import CumulantSettings

__all__ = ["CumulantSummary", "moments_of", "settled", "summary_of"]

FloatArray = NDArray[np.float64]

_ROUNDS = 12
_WITH_ERROR = ("A1", "A2", "K4", "b", "optimism")


@dataclass(frozen=True, eq=False)
class CumulantSummary:
    """Second-order terms of the risk of a true model at one theta.

    Attributes
    ----------
    G : (p, p) float64 array
        Covariance of the statistics.
    A1, A2, K4, b, optimism : float
        Terms of the risk's coefficient of 1/n^2, that coefficient, and that of the optimism.
    se : dict of str to float
        Standard errors of A1, A2, K4, b and optimism; 0 where the source is exact.
    method : str
        "closed", "enumerate", "quad" or "draws".
    n_nodes : int
        Nodes or draws; 0 for a closed form.
    ess : float
        Least effective number of draws of a statistic; infinite where the source is exact.
    condition : float
        Condition number of G scaled to a unit diagonal.
    """

    G: FloatArray
    A1: float
    A2: float
    K4: float
    b: float
    optimism: float
    se: dict[str, float]
    method: str
    n_nodes: int
    ess: float
    condition: float


def settled(rule: Rule, values: Callable[[Rule], FloatArray], *, relative: float = 0.0, absolute: float = 0.0) -> FloatArray:
    """Values of a rule, refined until they move by less than ``absolute`` or ``relative`` of the largest.

    Raises
    ------
    ConvergenceError
        If they still move.
    """
    found = values(rule)
    for _ in range(_ROUNDS):
        if rule.refined is None:
            return found
        rule = rule.refined()
        before, found = found, values(rule)
        if np.max(np.abs(found - before)) <= max(absolute, relative * float(np.max(np.abs(found)))):
            return found
    raise ConvergenceError(f"pn: a quadrature still moves with {len(rule.points)} points")


def moments_of(family: ExponentialFamily, theta: FloatArray, settings: CumulantSettings) -> tuple[ModelMoments, str, int]:
    """Moments at ``theta``, their source and the number of nodes.

    Raises
    ------
    ConfigError
        If the chosen source does not apply.
    """
    method, support = settings.method, family.support
    if method in ("auto", "closed"):
        closed = family.closed_moments(theta)
        if closed is not None:
            return closed, "closed", 0
        if method == "closed":
            raise ConfigError(f"pn: {type(family).__name__} has no cumulants in closed form: take method 'auto'")
    if method == "draws" or (method == "auto" and not has_rule(support)):
        from sciinf.engines.pn.drawn import drawn_moments

        drawn = drawn_moments(family, theta, settings)
        return drawn, "draws", len(drawn.nodes.statistics)
    if method == "enumerate" and not support.is_finite:
        raise ConfigError(f"pn: {support} cannot be enumerated: take method 'auto'")
    rule = family.rule(theta)
    if method == "quad" and rule.refined is None:
        raise ConfigError(f"pn: {support} is summed and not integrated: take method 'auto'")
    found = _node_moments(family, theta, rule)
    if rule.refined is None:
        return found, "enumerate", len(rule.points)
    before = found.contract()
    for _ in range(_ROUNDS):
        assert rule.refined is not None
        rule = rule.refined()
        found = _node_moments(family, theta, rule)
        now = found.contract()
        if _moved(before, now) <= settings.rtol:
            return found, "quad", len(rule.points)
        before = now
    raise ConvergenceError(f"pn: the cumulants still move by more than {settings.rtol:g} with {len(rule.points)} points")


def _moved(before: Contractions, now: Contractions) -> float:
    size = max(abs(now.A1), abs(now.A2), abs(now.K4), 1.0)
    return max(abs(now.A1 - before.A1), abs(now.A2 - before.A2), abs(now.K4 - before.K4)) / size


def _node_moments(family: ExponentialFamily, theta: FloatArray, rule: Rule) -> NodeMoments:
    statistics, probabilities, _ = family._tilted(theta, rule)
    kept = probabilities > 0.0
    return NodeMoments.of(statistics[kept], probabilities[kept], family.names or ())


def summary_of(moments: ModelMoments, method: str, n_nodes: int) -> CumulantSummary:
    """`CumulantSummary` of moments."""
    from sciinf.engines.pn.drawn import DrawnMoments

    terms = moments.contract()
    fisher = moments.fisher
    scale = np.sqrt(np.diag(fisher))
    errors, ess = (moments.errors(), moments.ess) if isinstance(moments, DrawnMoments) else ({}, math.inf)
    se = {name: errors.get(name, 0.0) for name in _WITH_ERROR}
    return CumulantSummary(
        fisher, terms.A1, terms.A2, terms.K4, terms.b, terms.optimism, se, method, n_nodes, ess,
        float(np.linalg.cond(fisher / np.outer(scale, scale))),
    )  # fmt: skip
