"""One-dimensional priors: each defines ppf, logpdf, cdf and support once, for every sampler.

The classes live in one module per family; this is where they are imported from, and where a config finds them by name.
"""

from __future__ import annotations

from sciinf.core.interpolated import Empirical, Interpolated
from sciinf.core.prior_base import Fixed, NumberedPrior, Prior
from sciinf.core.univariate_angles import Cosine, Sine
from sciinf.core.univariate_bounded import Beta, LogUniform, PowerLaw, Triangular, Uniform
from sciinf.core.univariate_normal import HalfNormal, LogNormal, Normal, TruncatedNormal
from sciinf.core.univariate_positive import Chi, Exponential, Gamma, HalfCauchy, InverseGamma
from sciinf.core.univariate_tails import Cauchy, StudentT

__all__ = [
    "PRIORS",
    "Beta",
    "Cauchy",
    "Chi",
    "Cosine",
    "Empirical",
    "Exponential",
    "Fixed",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "Interpolated",
    "InverseGamma",
    "LogNormal",
    "LogUniform",
    "Normal",
    "NumberedPrior",
    "PowerLaw",
    "Prior",
    "Sine",
    "StudentT",
    "Triangular",
    "TruncatedNormal",
    "Uniform",
]

PRIORS: dict[str, type[Prior]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "half_normal": HalfNormal,
    "log_normal": LogNormal,
    "exponential": Exponential,
    "gamma": Gamma,
    "inverse_gamma": InverseGamma,
    "beta": Beta,
    "cauchy": Cauchy,
    "half_cauchy": HalfCauchy,
    "student_t": StudentT,
    "sine": Sine,
    "cosine": Cosine,
    "power_law": PowerLaw,
    "triangular": Triangular,
    "chi": Chi,
    "interpolated": Interpolated,
    "empirical": Empirical,
    "fixed": Fixed,
}
"""Name in a config -> class; its keyword arguments are the config's keys."""
