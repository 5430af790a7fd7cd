"""The p-n criterion: is the sample large enough for the model?"""

from __future__ import annotations

from sciinf.engines.pn import families
from sciinf.engines.pn.adapters import from_scipy
from sciinf.engines.pn.bootstrap import BootstrapRisk, estimation_risk_bootstrap
from sciinf.engines.pn.criterion import PNResult, pn_criterion
from sciinf.engines.pn.cumulants import CumulantSummary
from sciinf.engines.pn.exact import exact_risk
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.likelihood import ExponentialFamilyLikelihood
from sciinf.engines.pn.likelihood_settings import LikelihoodSettings
from sciinf.engines.pn.model import ExponentialFamilyModel, ExponentialFamilyResults
from sciinf.engines.pn.parametric import ParametricModel
from sciinf.engines.pn.risk import RiskExpansion, risk_expansion
from sciinf.engines.pn.settings import CumulantSettings, PNSettings
from sciinf.engines.pn.support import Box, Circle, FiniteSet, HalfLine, Integers, Interval, RealLine, Spins
from sciinf.engines.pn.threshold import bayes_error_lower, kl_threshold, max_p, required_n
from sciinf.engines.pn.truths import TruthDensity, TruthNodes, TruthSample

__all__ = [
    "BootstrapRisk",
    "Box",
    "Circle",
    "CumulantSettings",
    "CumulantSummary",
    "ExponentialFamily",
    "ExponentialFamilyLikelihood",
    "ExponentialFamilyModel",
    "ExponentialFamilyResults",
    "FiniteSet",
    "HalfLine",
    "Integers",
    "Interval",
    "LikelihoodSettings",
    "PNResult",
    "PNSettings",
    "ParametricModel",
    "RealLine",
    "RiskExpansion",
    "Spins",
    "TruthDensity",
    "TruthNodes",
    "TruthSample",
    "bayes_error_lower",
    "estimation_risk_bootstrap",
    "exact_risk",
    "families",
    "from_scipy",
    "kl_threshold",
    "max_p",
    "pn_criterion",
    "required_n",
    "risk_expansion",
]
