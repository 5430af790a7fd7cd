"""Faults put into the engine, one at a time, each of which a check must find."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.verdict import Verdict
from sciinf.engines.pn import TruthSample, families, risk_expansion, verdict
from sciinf.engines.pn import risk as risk_module
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import Contractions, DenseMoments, GaussianMoments
from sciinf.engines.pn.risk import RiskExpansion
from sciinf.engines.pn.verdict import Threshold, judged
from sciinf.validation.pn_risks import cases, injected

__all__ = ["Break", "breaks", "broken", "oracle", "verdict_rule"]

FloatArray = NDArray[np.float64]


# ---- two checks of their own ----


def oracle() -> list[Verdict]:
    """One dimension: terms of the normal model from skewness, kurtosis and sixth moment of a sample, and a turn of coordinates.

    Notes
    -----
    With g the skewness, k the kurtosis and m the sixth standardised moment: trace (k + 1) / 2, B = m - 1, A1 = 4 g^2 + 2 k^2,
    K4 = 3 k^2 + 8 g^2 - 2 k - 1, A2 = 2 k^2 + 6 g^2 - 2 k + 2 (derived here).
    """
    x = np.random.default_rng(20210501).gamma(3.0, size=40)
    z = (x - x.mean()) / x.std()
    g, k, m = (float(np.mean(z**power)) for power in (3, 4, 6))
    expected = {"trace": 0.5 * (k + 1.0), "B": m - 1.0, "A1": 4.0 * g**2 + 2.0 * k**2, "K4": 3.0 * k**2 + 8.0 * g**2 - 2.0 * k - 1.0,
                "A2": 2.0 * k**2 + 6.0 * g**2 - 2.0 * k + 2.0}  # fmt: skip
    one = risk_expansion(families.Normal(), TruthSample(x))
    worst = max(abs(getattr(one, name) / value - 1.0) for name, value in expected.items())
    many = np.random.default_rng(20210502).gamma(3.0, size=(60, 3))
    turned = many @ np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5], [0.3, 0.0, 1.0]]) + [1.0, -2.0, 5.0]
    first, second = (risk_expansion(families.MultivariateNormal(3), TruthSample(points)) for points in (many, turned))
    moved = max(abs(getattr(second, name) / getattr(first, name) - 1.0) for name in expected)
    return [
        Verdict("normal model on data: closed terms", worst, None, 40, worst < 1e-8, "largest relative distance; bound 1e-8"),
        Verdict("normal model on data: affine data", moved, None, 60, moved < 1e-8, "largest relative distance; bound 1e-8"),
    ]


def verdict_rule() -> list[Verdict]:
    """An expansion that is not reliable must not accept by its first order: a = 304.8, b = 544145, C = .18."""
    nan = float("nan")
    risk = RiskExpansion(1, np.zeros(1), 609.6, 304.8, nan, nan, nan, nan, 544145.0, nan, 0.0, 0.0, "closed", False)
    rows = []
    for n, accept in ((2000, False), (2780, False), (2781, True)):
        used = 304.8 / n + 544145.0 / n**2
        found, flags = judged(risk, n, Threshold(0.15, "pinsker", 0.18))
        right = (
            found.accept is accept and "expansion_unreliable" in flags and found.n_required_2 == 2781 and abs(found.ED_used - used) < 1e-12
        )
        detail = f"ED used {found.ED_used:.8f}, expected {used:.8f}; {'accepted' if found.accept else 'rejected'}"
        rows.append(Verdict(f"verdict where the expansion is not reliable, n = {n}", found.ED_used, None, 1, right, detail))
    return rows


# ---- faults ----


@contextlib.contextmanager
def broken(owner: Any, name: str, fault: Any) -> Iterator[None]:
    """Put ``fault`` in the place of an attribute, and the right one back at the end."""
    own = name in vars(owner)
    right = vars(owner).get(name)
    setattr(owner, name, fault)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, right)
        else:
            delattr(owner, name)


@dataclass(frozen=True)
class Break:
    """A fault and the checks that must find it."""

    name: str
    owner: Any
    attribute: str
    fault: Any
    check: Callable[[int, int], list[Verdict]]


def _case(name: str) -> Callable[[int, int], list[Verdict]]:
    def check(n_data: int, seed: int) -> list[Verdict]:
        (case,) = cases((name,))
        return injected(replace(case, published=None), n_data, seed)[0]

    return check


_KL, _EXPANSION, _DENSE = ExponentialFamily.kl, risk_module.expansion_of, DenseMoments.contract
_ROWS = GaussianMoments._rows


def _reversed(self: Any, theta_a: Any, theta_b: Any) -> float:
    return _KL(self, theta_b, theta_a)


def _nine(self: Contractions) -> float:
    """(9 A1 + 9 A2 - 9 K4) / 24 for a true model."""
    return -self.B / 3.0 + 3.0 * (self.A1 - self.K4) / 8.0 + (0.75 - 1.0 / 24.0) * self.A2


def _wider(self: GaussianMoments, statistics: FloatArray) -> FloatArray:
    n = len(statistics)
    return np.asarray(_ROWS(self, statistics) * np.sqrt((n - 1.0) / n))


def _trace_p(theta: FloatArray, terms: Contractions, method: str, **rest: Any) -> RiskExpansion:
    return _EXPANSION(theta, replace(terms, trace=float(len(theta))), method, **rest)


def _turned(self: DenseMoments, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
    return _DENSE(replace(self, third=-self.third), statistics, weights)


def _first(first: float, second: float) -> float:
    """In the place of the larger of the two orders."""
    del second
    return first


def breaks() -> list[Break]:
    """Every fault."""
    return [
        Break("divergence reversed", ExponentialFamily, "kl", _reversed, _case("normal")),
        Break("A2 with 9 in the place of 10", Contractions, "b", property(_nine), _case("normal")),
        Break("whitening with divisor n - 1", GaussianMoments, "_rows", _wider, lambda n_data, seed: oracle()),
        Break("p in the place of the sandwich's trace", risk_module, "expansion_of", _trace_p, _case("negative binomial truth")),
        Break("third cumulants of the other sign", DenseMoments, "contract", _turned, _case("negative binomial truth")),
        Break("first order where the expansion is not reliable", verdict, "max", _first, lambda n_data, seed: verdict_rule()),
    ]
