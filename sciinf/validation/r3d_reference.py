"""Figures that the r3d suite is held to: a stored statistic with its evidences, and coverages of the literature."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.r3d import R3DEffectEngine

__all__ = ["DECILES", "EVIDENCE", "FIVE", "NULL", "OPTIMUM", "PUBLISHED", "stored_engine"]

DECILES: Final = tuple(k / 10 for k in range(1, 10))
FIVE: Final = (0.1, 0.3, 0.5, 0.7, 0.9)

OPTIMUM: Final = 1.4963
"""Optimal bandwidth times n^(1/5) of the design of `bandwidth_replica`: (4.8 / (4 x .16))^(1/5), derived by hand."""

PUBLISHED: Final = {500: (0.9256, 0.9212), 1000: (0.9328, 0.9336), 2000: (0.9420, 0.9440)}
"""Coverage of the 95 % band over the first design: local Frechet regression, local polynomial (Van Dijcke, arXiv:2504.03992)."""

EVIDENCE: Final = {
    "t, HC0, shift": (-6.154256, (1.688661,), (0.869576,)),
    "t, HC2, shift": (-5.991743, (1.670313,), (0.896538,)),
    "Gaussian, HC0, shift": (-0.146160, (1.702501,), (0.573578,)),
    "Gaussian, HC0, location_scale": (3.267772, (2.222401, -0.771342), (0.591236, 0.212775)),
}
"""ln Z, posterior mean and standard deviation under N(0, 5^2), from an independent implementation: by quadrature (t, nu = 20, five levels)
and in closed form (Gaussian, nine deciles)."""

NULL: Final = -2.385996
"""ln L of no effect in the Gaussian form on nine deciles, HC0; the same source."""

# One data set of the first design, n = 240, 20 to 40 values each, effect 2: type 7 quantiles, Frechet, triangular, p = 2, h = .5, deciles.
# Made by R3D(x, outcomes, settings=R3DSettings(q_grid=deciles)).fit(0.5) and .to_engine(q=deciles, cov_type=...).
_TAU = """
    3.034312384257 2.700104469366 2.523583682948 2.468742015104 2.400141209085 2.173997588573 1.99612442335 1.778339086101
    1.424490703722
"""
_HC0 = """
    0.8532584347965 0.7534980594572 0.6855159387756 0.6871840610631 0.6299607972537 0.5887698623746 0.6308811640009
    0.5867395770356 0.5537096771349 0.5315830633246 0.5288693150586 0.5084628195959 0.4928265701947 0.4873268422158
    0.4799246184916 0.4444091110414 0.440574331898 0.43438224703 0.4363263382746 0.4458672036795 0.4270127175953
    0.3475077246222 0.3596542269354 0.3660901613222 0.3806219800025 0.4129418239511 0.4104248523665 0.4225037868577
    0.2779863116585 0.301803419179 0.3230821745105 0.3481583322661 0.4025180021065 0.4111667617908 0.4398756192438
    0.4782511108244 0.2237933378159 0.2585411510381 0.2856116140938 0.3211488767438 0.3911051837419 0.4094560457182
    0.4538089999568 0.5037113434708 0.5545298699595
"""
_HC2 = """
    0.9474677249188 0.8365613358054 0.7605904010239 0.7640341159062 0.6998532528591 0.6547880188522 0.7018612129985
    0.6521479500178 0.6160554777794 0.5915857340044 0.5893887887843 0.5658258237383 0.5488106027142 0.5426756058974
    0.5342189562499 0.4949195740732 0.4897539906112 0.4831624987922 0.4853338373545 0.4957105504983 0.4741332384149
    0.3863095340189 0.3990988464977 0.4064975700023 0.4227498751371 0.458587860011 0.4553807639018 0.4686674187739
    0.3103294078844 0.3359452611111 0.3595911522242 0.3874756099899 0.4475253735495 0.456674378164 0.4884315748066
    0.5312105971408 0.2495704544491 0.2873709969318 0.3173125072513 0.3567498894261 0.4340952561983 0.4541008834534
    0.5034069082521 0.5588400409892 0.6143868007077
"""


def _symmetric(text: str) -> NDArray[np.float64]:
    """A matrix from its lower triangle, row by row."""
    out = np.zeros((9, 9))
    rows, columns = np.tril_indices(9)
    out[rows, columns] = out[columns, rows] = np.array(text.split(), dtype=np.float64)
    return out


def stored_engine(form: str, cov_type: str, model: str) -> R3DEffectEngine:
    """The engine of the stored statistic.

    Parameters
    ----------
    form : {"t", "Gaussian"}
        Five levels and nu = 20, or the nine deciles.
    cov_type : {"HC0", "HC2"}
        Covariance.
    model : str
        Shape.
    """
    tau, covariance = np.array(_TAU.split(), dtype=np.float64), _symmetric({"HC0": _HC0, "HC2": _HC2}[cov_type])
    keep = slice(None, None, 2 if form == "t" else 1)
    tau, covariance = tau[keep].copy(), covariance[keep, keep].copy()
    return R3DEffectEngine(
        statistic=tau, covariance=covariance, nu=20.0 if form == "t" else math.inf, q=np.array(FIVE if form == "t" else DECILES),
        m_minus=np.zeros(len(tau)), curve=tau, curve_se=np.sqrt(np.diag(covariance)), projection=None, model=model,
        bandwidth=np.array([0.5]),
    )  # fmt: skip
