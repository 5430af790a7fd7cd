"""Moments of a family's statistics from draws of x, with the Monte Carlo error of what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConvergenceError
from sciinf.core.seeding import generator
from sciinf.engines.pn.draws import chained, check_mixed
from sciinf.engines.pn.moments import Contractions, NodeMoments
from sciinf.engines.pn.support import FiniteSet, Integers

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily
    from sciinf.engines.pn.settings import CumulantSettings

__all__ = ["DrawnMoments", "drawn_moments"]

FloatArray = NDArray[np.float64]

_BLOCK_TIMES = 10.0  # least length of a block, in autocorrelation times


@dataclass(frozen=True, eq=False)
class DrawnMoments:
    """Moments by draws: the same ones whiten and are contracted.

    Attributes
    ----------
    nodes : NodeMoments
        Of all draws, chain after chain, with equal weights.
    n_blocks : int
        Consecutive blocks of draws for the jackknife.
    ess : float
        Least effective number of draws of a statistic.
    """

    nodes: NodeMoments
    n_blocks: int
    ess: float

    @property
    def fisher(self) -> FloatArray:
        """G (p, p)."""
        return self.nodes.fisher

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """See `ModelMoments`."""
        return self.nodes.contract(statistics, weights)

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """See `ModelMoments`."""
        return self.nodes.shares(statistics, weights)

    def errors(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> dict[str, float]:
        """Standard errors of trace, A1, A2, K4, b and the optimism, by a jackknife that leaves one block of draws out.

        Notes
        -----
        The errors of A1, A2 and K4 cancel in b: that of b is its own, never their sum. The figures are optimistic, for they rest on
        eighth moments of the draws.
        """
        names = ("trace", "A1", "A2", "K4", "b", "optimism")
        block = np.arange(len(self.nodes.statistics)) * self.n_blocks // len(self.nodes.statistics)
        values = []
        for k in range(self.n_blocks):
            kept = self.nodes.statistics[block != k]
            terms = NodeMoments.of(kept, np.full(len(kept), 1.0 / len(kept)), self.nodes.names).contract(statistics, weights)
            values.append([getattr(terms, name) for name in names])
        from sciinf.engines.pn.risk import jackknife_error

        return dict(zip(names, jackknife_error(np.array(values)).tolist(), strict=True))


def drawn_moments(family: ExponentialFamily, theta: FloatArray, settings: CumulantSettings) -> DrawnMoments:
    """Moments at a theta of the domain by ``settings.n_draws`` draws, at least.

    Raises
    ------
    ConfigError
        If chains are needed and the statistics are not compiled, or emcee is asked for where x is discrete.
    ConvergenceError
        If the chains do not agree, or are too short for the checks or the blocks.

    Notes
    -----
    Independent draws where the family has a simulator of its own or its states can be listed; else chains of this package, or, with
    ``sampler="emcee"`` always, of emcee.
    """
    if settings.sampler == "emcee":
        from sciinf.engines.pn.ensemble import walked

        points = walked(family, theta, settings)
        ess = check_mixed(family, points, ensemble=True)
    elif family.simulates_itself or isinstance(family.support, FiniteSet | Integers):
        drawn = family.simulate(theta, settings.n_draws, generator(settings.seed, "pn.draws"))
        points, ess = np.asarray(drawn, dtype=np.float64).reshape(1, len(drawn), -1), float(len(drawn))
    else:
        points = chained(family, theta, settings.n_draws, generator(settings.seed, "pn.draws"))
        ess = check_mixed(family, points)
    pooled = points.reshape(-1, points.shape[2])
    time = len(pooled) / ess
    if len(pooled) < _BLOCK_TIMES * time * settings.n_blocks:
        raise ConvergenceError(
            f"pn: {settings.n_blocks} blocks of {len(pooled)} draws, whose autocorrelation time is {time:.3g}, are shorter than "
            f"{_BLOCK_TIMES:g} such times: raise n_draws or lower n_blocks"
        )
    weights = np.full(len(pooled), 1.0 / len(pooled))
    return DrawnMoments(NodeMoments.of(family.evaluate(pooled), weights, family.names or ()), settings.n_blocks, ess)
