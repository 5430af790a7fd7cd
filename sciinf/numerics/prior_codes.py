"""Integer codes of the priors that have a compiled form: shared by the prior classes and by the kernels, without importing numba."""

from __future__ import annotations

__all__ = [
    "BETA",
    "CAUCHY",
    "CHI",
    "COSINE",
    "CUSTOM_JOINT",
    "DIRICHLET",
    "EMPTY",
    "EXPONENTIAL",
    "GAMMA",
    "HALF_CAUCHY",
    "HALF_NORMAL",
    "INTERPOLATED",
    "INVERSE_GAMMA",
    "LOG_NORMAL",
    "LOG_UNIFORM",
    "MULTIVARIATE_NORMAL",
    "NORMAL",
    "ORDERED_UNIFORM",
    "POWER_LAW",
    "SINE",
    "STUDENT_T",
    "TRIANGULAR",
    "TRUNCATED_NORMAL",
    "UNIFORM",
]

UNIFORM = 1
LOG_UNIFORM = 2
NORMAL = 3
TRUNCATED_NORMAL = 4
HALF_NORMAL = 5
LOG_NORMAL = 6
EXPONENTIAL = 7
GAMMA = 8
INVERSE_GAMMA = 9
BETA = 10
CAUCHY = 11
HALF_CAUCHY = 12
STUDENT_T = 13
SINE = 14
COSINE = 15
POWER_LAW = 16
TRIANGULAR = 17
CHI = 18
INTERPOLATED = 19

MULTIVARIATE_NORMAL = 101
DIRICHLET = 102
ORDERED_UNIFORM = 103
CUSTOM_JOINT = 104

EMPTY = 4.0 * 2.0**-52
"""An interval that a conditional prior's numbers reverse by less than this, relative to its larger end, is empty and not reversed."""
