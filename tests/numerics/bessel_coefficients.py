"""Makes sciinf/numerics/bessel_coefficients.py: ``python tests/numerics/bessel_coefficients.py``.

Chebyshev interpolants at 24 nodes, computed with mpmath at 50 digits, cut, rearranged into powers of the local variable, rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import mpmath as mp

WIDTH, PIECES, ORDER, TAIL_ORDER, NODES = mp.mpf("0.5"), 40, 12, 10, 24

HEADER = '''"""Coefficients of `sciinf.numerics.bessel`, in powers of the local variable s in [-1, 1].

Made by tests/numerics/bessel_coefficients.py: Chebyshev interpolants from mpmath with 50 digits. Row i of the two tables belongs to
i/2 <= x < (i + 1)/2, s = 4 x - 2 i - 1; the two tails to x >= 20, s = 40/x - 1.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LOG_I0", "LOG_I0_TAIL", "RATIO", "RATIO_TAIL"]
'''


def log_i0_over_square(x: mp.mpf) -> mp.mpf:
    """ln I0(x) / x^2; the nodes lie above 1e-4, where 50 digits leave more than 40."""
    return mp.log(mp.besseli(0, x)) / x**2


def ratio_over_x(x: mp.mpf) -> mp.mpf:
    """I1(x) / (x I0(x))."""
    return mp.besseli(1, x) / (x * mp.besseli(0, x))


def log_i0_tail(z: mp.mpf) -> mp.mpf:
    """Logarithm of I0(x) exp(-x) sqrt(2 pi x), over z = 1/x."""
    return mp.log(mp.besseli(0, 1 / z) * mp.exp(-1 / z) * mp.sqrt(2 * mp.pi / z)) / z


def ratio_tail(z: mp.mpf) -> mp.mpf:
    """One minus I1(x)/I0(x), over z = 1/x."""
    return (1 - mp.besseli(1, 1 / z) / mp.besseli(0, 1 / z)) / z


def powers(function: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, order: int) -> list[float]:
    """Coefficients of s^0 ... s^(order-1) of the Chebyshev interpolant of ``function`` on [low, high], cut after ``order`` terms."""
    angles = [mp.pi * (k + mp.mpf("0.5")) / NODES for k in range(NODES)]
    values = [function((low + high) / 2 + (high - low) / 2 * mp.cos(angle)) for angle in angles]
    result = [mp.mpf(0)] * order
    before, now = [mp.mpf(1)] + [mp.mpf(0)] * (order - 1), [mp.mpf(0), mp.mpf(1)] + [mp.mpf(0)] * (order - 2)
    for j in range(order):
        weight = (2 if j else 1) * sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / NODES
        result = [total + weight * c for total, c in zip(result, before, strict=True)]
        after = [2 * c for c in [mp.mpf(0), *now[:-1]]]
        before, now = now, [a - b for a, b in zip(after, before, strict=True)]
    return [float(c) for c in result]


def tables() -> dict[str, list[list[float]]]:
    """Every table, as rows of float64 numbers."""
    with mp.workdps(50):
        edges = [i * WIDTH for i in range(PIECES + 1)]
        pairs = list(pairwise(edges))
        return {
            "LOG_I0": [powers(log_i0_over_square, *pair, ORDER) for pair in pairs],
            "RATIO": [powers(ratio_over_x, *pair, ORDER) for pair in pairs],
            "LOG_I0_TAIL": [powers(log_i0_tail, mp.mpf(0), 1 / edges[-1], TAIL_ORDER)],
            "RATIO_TAIL": [powers(ratio_tail, mp.mpf(0), 1 / edges[-1], TAIL_ORDER)],
        }


def source() -> str:
    """Text of the module."""
    text = HEADER
    for name, rows in tables().items():
        text += f"\n# fmt: off\n{name} = np.array([\n" if name == "LOG_I0" else f"\n{name} = np.array([\n"
        for row in rows:
            numbers = [repr(c) for c in row]
            lines = [", ".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)]
            body = ",\n     ".join(lines) if len(rows) > 1 else ",\n    ".join(lines)
            text += f"    [{body}],\n" if len(rows) > 1 else f"    {body},\n"
        text += "])\n"
    return text + "# fmt: on\n"


if __name__ == "__main__":
    target = Path(__file__).parents[2] / "sciinf" / "numerics" / "bessel_coefficients.py"
    target.write_text(source())
