"""Coefficients of the risk by the number of parameters, for planning: the models taken as true.

Each function takes p and returns (a, b) of ED(n) = a / n + b / n^2, as `max_p` wants them.
"""

from __future__ import annotations

import math

from sciinf.engines.pn.settings import positive_integer

__all__ = ["multinomial_uniform", "mvn", "regression"]


def mvn(p: int) -> tuple[float, float]:
    """A multivariate normal law, mean and covariance free.

    Parameters
    ----------
    p : int
        d (d + 3) / 2 at d dimensions; between two such numbers d is the solution, no integer.

    Returns
    -------
    a, b : float

    Raises
    ------
    ConfigError
        If p is not a positive integer.

    Notes
    -----
    b = [d (d+2) (d+3) - d (d+1) (2d+1) / 12 - d (d+1) / 2 - d / 3] / 2 (derived here, from the exact risk).

    Examples
    --------
    >>> from sciinf.engines.pn import max_p
    >>> round(mvn(5)[1], 6)  # d = 2: 203/12
    16.916667
    >>> max_p(132, 0.02, a_b=mvn), max_p(131, 0.02, a_b=mvn)
    (5, 4)
    """
    positive_integer("p", p)
    d = 0.5 * (math.sqrt(9.0 + 8.0 * p) - 3.0)
    return 0.5 * p, 0.5 * (d * (d + 2.0) * (d + 3.0) - d * (d + 1.0) * (2.0 * d + 1.0) / 12.0 - 0.5 * d * (d + 1.0) - d / 3.0)


def regression(p: int) -> tuple[float, float]:
    """A normal regression on p - 1 columns, its variance free; n counts rows.

    Parameters
    ----------
    p : int

    Returns
    -------
    a, b : float

    Raises
    ------
    ConfigError
        If p is not a positive integer.

    Notes
    -----
    With q = p - 1 columns b = (9 q^2 + 30 q + 22) / 12 (derived here, from the exact risk); it does not depend on the design.

    Examples
    --------
    >>> round(regression(2)[1], 6)  # one column: 61/12
    5.083333
    """
    positive_integer("p", p)
    q = p - 1.0
    return 0.5 * p, (9.0 * q * q + 30.0 * q + 22.0) / 12.0


def multinomial_uniform(p: int) -> tuple[float, float]:
    """A table of p + 1 cells of equal probability.

    Parameters
    ----------
    p : int

    Returns
    -------
    a, b : float

    Raises
    ------
    ConfigError
        If p is not a positive integer.

    Notes
    -----
    With k = p + 1 cells b = (5 k - 1) (k - 1) / 12, from (5 sum_i 1/p_i - 6 k + 1) / 12 (derived here); unequal cells need more.

    Examples
    --------
    >>> multinomial_uniform(9)
    (4.5, 36.75)
    """
    positive_integer("p", p)
    k = p + 1.0
    return 0.5 * p, (5.0 * k - 1.0) * (k - 1.0) / 12.0
