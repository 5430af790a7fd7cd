"""What a kernel does at a boundary: the numbers of bias and variance, in exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

__all__ = ["boundary_constants"]

Polynomial = tuple[Fraction, ...]  # coefficients of 1, u, u^2, ... on [0, 1]

_KERNELS: dict[str, Polynomial] = {
    "triangular": (Fraction(1), Fraction(-1)),
    "epanechnikov": (Fraction(3, 4), Fraction(0), Fraction(-3, 4)),
    "uniform": (Fraction(1, 2),),
}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    out = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return tuple(out)


def _moment(weight: Polynomial, power: int) -> Fraction:
    """Integral of weight(u) u^power over [0, 1]."""
    return sum((c / (i + power + 1) for i, c in enumerate(weight)), Fraction(0))


def _solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Gauss elimination without rounding; the matrices here are moment matrices, never singular."""
    n = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[n] for row in rows]


@cache
def boundary_constants(kernel: str, s: int) -> tuple[float, float]:
    """Bias and variance constants (beta_s, v_s) of the one-sided local polynomial of order s at its edge, plus side.

    Parameters
    ----------
    kernel : {"triangular", "epanechnikov", "uniform"}
        The kernel.
    s : int
        Order >= 0.

    Returns
    -------
    beta, v : float
        Dimensionless. On the minus side beta takes the sign (-1)^(s+1), v is the same.

    Notes
    -----
    With Gamma = int K r r', Lambda = int u^(s+1) K r, Psi = int K^2 r r' over [0, 1], r = (1, u, ..., u^s):
    beta = e' Gamma^-1 Lambda and v = e' Gamma^-1 Psi Gamma^-1 e, e = (1, 0, ..., 0): Fan & Gijbels (1996), section 3.2.

    Examples
    --------
    >>> boundary_constants("triangular", 1)
    (-0.1, 4.8)
    """
    weight = _KERNELS[kernel]
    square = _product(weight, weight)
    gamma = [[_moment(weight, i + j) for j in range(s + 1)] for i in range(s + 1)]
    first = _solve(gamma, [Fraction(int(i == 0)) for i in range(s + 1)])  # e' Gamma^-1
    beta = sum((first[i] * _moment(weight, i + s + 1) for i in range(s + 1)), Fraction(0))
    v = sum((first[i] * first[j] * _moment(square, i + j) for i in range(s + 1) for j in range(s + 1)), Fraction(0))
    return float(beta), float(v)
