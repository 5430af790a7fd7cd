"""Special functions for kernels, in pure numba: scipy's compiled ones cannot be cached from inside a kernel.

Each takes and returns float64 scalars, never raises, and gives NaN where it is undefined; `numerics.bessel` has forms for arrays. The
accuracy that the tests hold them to is stated in tests/numerics/test_special.py and test_bessel.py, against mpmath.
"""

from __future__ import annotations

from sciinf.numerics.bessel import bessel_ratio, log_i0
from sciinf.numerics.special_beta import beta_i, beta_quantile, beta_quantile_log_odds, student_t_quantile
from sciinf.numerics.special_gamma import gamma_p, gamma_pq, gamma_q, gamma_quantile
from sciinf.numerics.special_log import log1p_minus_x, log_beta, stirling_correction
from sciinf.numerics.special_normal import (
    half_normal_quantile,
    log_normal_cdf,
    log_normal_mass,
    normal_cdf,
    normal_quantile,
    normal_quantile_of_log,
)

__all__ = [
    "bessel_ratio",
    "beta_i",
    "beta_quantile",
    "beta_quantile_log_odds",
    "gamma_p",
    "gamma_pq",
    "gamma_q",
    "gamma_quantile",
    "half_normal_quantile",
    "log1p_minus_x",
    "log_beta",
    "log_i0",
    "log_normal_cdf",
    "log_normal_mass",
    "normal_cdf",
    "normal_quantile",
    "normal_quantile_of_log",
    "stirling_correction",
    "student_t_quantile",
]
