"""Families in their usual parameters."""

from __future__ import annotations

from sciinf.engines.pn.families_continuous import Beta, Exponential, Gamma, InverseGaussian, VonMises
from sciinf.engines.pn.families_discrete import Bernoulli, Binomial, Geometric, Ising, LogLinear, Multinomial, NegativeBinomial, Poisson
from sciinf.engines.pn.families_normal import MultivariateNormal, Normal
from sciinf.engines.pn.families_polynomial import PolynomialExponential

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Exponential",
    "Gamma",
    "Geometric",
    "InverseGaussian",
    "Ising",
    "LogLinear",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "PolynomialExponential",
    "VonMises",
]
