"""One object for the outcome of a test: what was measured, how likely it is by chance, and whether it passed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sciinf.core.errors import ConfigError

__all__ = ["ALARM", "Verdict", "all_passed", "bonferroni", "text_table", "verdict_table"]

ALARM = 1e-3
"""p below which a calibration test fails, after Bonferroni: one false alarm in a thousand."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of one test.

    Parameters
    ----------
    name : str
        What was tested.
    statistic : float
        The measured number; ``detail`` says which.
    p : float or None
        Probability of a statistic at least as extreme by chance, all corrections made; None where the test has a bound and no p.
    n : int
        Sample size: replicas, draws, or comparisons.
    passed : bool
        Whether it passed.
    detail : str
        One line for people: units, where the worst value stands, the bound.
    figure : str
        Path of a picture, relative to the results' folder; empty without one.

    Raises
    ------
    ConfigError
        If ``p`` is outside [0, 1].

    Examples
    --------
    >>> Verdict("rank mean", 0.7, 0.48, 300, True).to_dict()["passed"]
    True
    """

    name: str
    statistic: float
    p: float | None
    n: int
    passed: bool
    detail: str = ""
    figure: str = ""

    def __post_init__(self) -> None:
        if self.p is not None and not 0.0 <= self.p <= 1.0:
            raise ConfigError(f"verdict '{self.name}': p must lie in [0, 1], got {self.p}")
        object.__setattr__(self, "statistic", float(self.statistic))
        object.__setattr__(self, "p", None if self.p is None else float(self.p))
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "passed", bool(self.passed))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; a statistic that is not finite becomes text."""
        statistic = self.statistic if math.isfinite(self.statistic) else str(self.statistic)
        return {
            "name": self.name,
            "statistic": statistic,
            "p": self.p,
            "n": self.n,
            "passed": self.passed,
            "detail": self.detail,
            "figure": self.figure,
        }


def all_passed(verdicts: Iterable[Verdict]) -> bool:
    """Whether every verdict passed; no verdict at all is not a pass."""
    outcomes = [verdict.passed for verdict in verdicts]
    return bool(outcomes) and all(outcomes)


def bonferroni(p: ArrayLike) -> tuple[int, float]:
    """Flat index of the smallest of several p-values, and it times their number (at most 1).

    Examples
    --------
    >>> bonferroni([0.5, 0.01, 0.2])
    (1, 0.03)
    """
    values = np.asarray(p, dtype=np.float64).ravel()
    worst = int(np.argmin(values))
    return worst, float(min(1.0, values[worst] * values.size))


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns with a rule under the header.

    Examples
    --------
    >>> print(text_table(["a", "b"], [["1", "two"]]))
    a  b
    -  ---
    1  two
    """
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def verdict_table(verdicts: Iterable[Verdict]) -> str:
    """Text table of verdicts, one a line."""
    rows = [
        ["pass" if v.passed else "FAIL", v.name, f"{v.statistic:.4g}", "-" if v.p is None else f"{v.p:.3g}", str(v.n), v.detail]
        for v in verdicts
    ]
    return text_table(["", "test", "statistic", "p", "n", "detail"], rows)
