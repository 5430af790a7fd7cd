"""Rates with their intervals, and verdicts on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from sciinf.calibration.verdict import Verdict

__all__ = ["rate", "wilson", "window"]


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate.

    Examples
    --------
    >>> low, high = wilson(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    z = float(stats.norm.ppf(0.5 * (1.0 + level)))
    centre, spread = hits + 0.5 * z * z, z * math.sqrt(hits * (n - hits) / n + 0.25 * z * z)
    return (centre - spread) / (n + z * z), (centre + spread) / (n + z * z)


def rate(flags: Sequence[bool]) -> str:
    """A rate in per cent with its interval.

    Examples
    --------
    >>> rate([True] * 95 + [False] * 5)
    '95.0 [88.8, 97.8]'
    """
    low, high = wilson(sum(flags), len(flags))
    return f"{100 * np.mean(flags):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def window(name: str, flags: Sequence[bool], low: float, high: float = 1.0, *, floor: float | None = None) -> Verdict:
    """Whether the rate's Wilson interval meets [low, high], and where asked lies above ``floor`` as a whole."""
    bottom, top = wilson(sum(flags), len(flags))
    passed = top >= low and bottom <= high and (floor is None or bottom >= floor)
    bound = f"interval meets [{100 * low:g}, {100 * high:g}]" + ("" if floor is None else f", its lower end >= {100 * floor:g}")
    return Verdict(name, float(np.mean(flags)), None, len(flags), passed, f"{rate(flags)} %; {bound}")
