"""Simulated estimation risks beside their expansions and, where they are known, exact values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from sciinf.calibration.verdict import Verdict
from sciinf.core.seeding import generator
from sciinf.engines.pn import Integers, RealLine, TruthDensity, exact_risk, families, risk_expansion
from sciinf.engines.pn.glm import GeneralisedDesign
from sciinf.validation.pn_losses import LOSSES, Design

__all__ = ["CASES", "QUICK_CASES", "Case", "Injection", "cases", "injected", "simulated"]

FloatArray = NDArray[np.float64]

_DRAWS = 4_000_000  # numbers at a time
_BOUND = 4.0
_LIMIT = 10_000  # where exact risks are expanded
_BOUND_TO_ENGINE = 20


@dataclass(frozen=True, eq=False)
class Case:
    """A model, a truth, and what its risk should be.

    Attributes
    ----------
    name : str
    sizes : (n, 2 n)
        Observations, or times that a design is taken.
    a, b : float
        Of the expansion, as the engine has it.
    losses : callable
        From a generator, n and a number of data sets to losses and their quadratic parts, each (n_data,); NaN without an estimate.
    exact : callable, optional
        Risk at n, where it is known.
    bound : callable, optional
        Largest distance, over a / n, of the losses from those that the engine computes from raw data one by one.
    published : float, optional
        b where it is tabulated, to 1e-6 relative.
    """

    name: str
    sizes: tuple[int, int]
    a: float
    b: float
    losses: Callable[[np.random.Generator, int, int], tuple[FloatArray, FloatArray]]
    exact: Callable[[int], float] | None = None
    bound: Callable[[np.random.Generator], float] | None = None
    published: float | None = None


@dataclass(frozen=True)
class Injection:
    """A simulated risk: its mean over data sets with the quadratic part's expectation taken as a / n, and its error.

    Attributes
    ----------
    n : int
    risk, error : float
    first : float
        Distance of the mean quadratic part from a / n, in its own errors.
    missing : int
        Data sets without an estimate, which are left out.
    """

    n: int
    risk: float
    error: float
    first: float
    missing: int


def simulated(case: Case, n: int, n_data: int, rng: np.random.Generator) -> Injection:
    """Risk at ``n``: a / n and the mean of what losses have beyond their quadratic part."""
    loss, quadratic = case.losses(rng, n, n_data)
    kept = np.isfinite(loss)
    rest, size = (loss - quadratic)[kept], math.sqrt(kept.sum())
    first = (float(quadratic.mean()) - case.a / n) / (float(quadratic.std(ddof=1)) / math.sqrt(n_data))
    return Injection(n, case.a / n + float(rest.mean()), float(rest.std(ddof=1)) / size, first, n_data - len(rest))


def injected(case: Case, n_data: int, seed: int) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """Verdicts on a case, and its rows of a table.

    Notes
    -----
    The quadratic part of a loss has expectation a / n exactly, which is tested by itself; what is left has a smaller error.
    Where the risk is known exactly the simulated one is compared with it at the first size, and the expansion with its limit. Elsewhere
    n^2 (risk - a / n) at both sizes is carried on linearly in 1/n to b.
    """
    rng = generator(seed, f"pn.data/risk/{case.name}")
    verdicts: list[Verdict] = []
    found = [simulated(case, n, n_data, rng) for n in (case.sizes[:1] if case.exact else case.sizes)]
    rows: list[tuple[str, ...]] = []
    for one in found:
        expected = case.exact(one.n) if case.exact else case.a / one.n + case.b / one.n**2
        z = (one.risk - expected) / one.error
        kind = "exact" if case.exact else "expansion"
        rows.append((case.name, f"{one.n}", f"{one.risk:.7f} +- {one.error:.7f}", f"{expected:.7f}", kind, f"{z:+.2f}", f"{one.missing}"))
    worst = max((one.first for one in found), key=abs)
    detail = f"a {case.a:g}: z of the mean quadratic part, bound {_BOUND:g}"
    verdicts.append(Verdict(f"{case.name}: first order", worst, None, n_data, abs(worst) < _BOUND, detail))
    if case.exact:
        one = found[0]
        z = (one.risk - case.exact(one.n)) / one.error
        verdicts.append(Verdict(f"{case.name}: exact risk", z, None, n_data, abs(z) < _BOUND, f"n = {one.n}; z, bound {_BOUND:g}"))
        near, far = (n * n * (case.exact(n) - case.a / n) for n in (_LIMIT, 2 * _LIMIT))
        limit = 2.0 * far - near
        off = abs(limit / case.b - 1.0)
        detail = f"b {case.b:.6f}, limit of the exact risk {limit:.6f}; relative distance, bound 1e-4"
        verdicts.append(Verdict(f"{case.name}: expansion", off, None, 2, off < 1e-4, detail))
    else:
        first, second = ((one.n**2 * (one.risk - case.a / one.n), one.n**2 * one.error) for one in found)
        limit, error = 2.0 * second[0] - first[0], math.hypot(2.0 * second[1], first[1])
        z = (limit - case.b) / error
        detail = f"b {case.b:.5f}, simulated {limit:.5f} +- {error:.5f} (from n = {found[0].n} and {found[1].n}); z, bound {_BOUND:g}"
        verdicts.append(Verdict(f"{case.name}: second order", z, None, 2 * n_data, abs(z) < _BOUND, detail))
    if case.published is not None:
        off = abs(case.b / case.published - 1.0)
        detail = f"b {case.b:.7f}, reference {case.published:.7f}; relative distance, bound 1e-6"
        verdicts.append(Verdict(f"{case.name}: reference", off, None, 1, off < 1e-6, detail))
    if case.bound is not None:
        off = case.bound(rng)
        detail = "largest distance from losses of fits one by one, over a / n; bound 1e-9"
        verdicts.append(Verdict(f"{case.name}: loss", off, None, _BOUND_TO_ENGINE, off < 1e-9, detail))
    return verdicts, rows


def _simulated_means(
    family: Any, draw: Callable[[int, np.random.Generator], FloatArray], rng: np.random.Generator, n: int, n_data: int
) -> FloatArray:
    """Means of the statistics (n_data, p) of raw data, a block of data sets at a time."""
    block = max(1, _DRAWS // n)
    out = np.empty((n_data, family.p))
    for start in range(0, n_data, block):
        size = min(block, n_data - start)
        points = draw(n * size, rng)
        points = points[:, None] if points.ndim == 1 else points
        out[start : start + size] = family.evaluate(points).reshape(size, n, family.p).mean(axis=1)
    return out


def _listed_means(family: Any, theta: FloatArray, rng: np.random.Generator, n: int, n_data: int) -> FloatArray:
    """The same for a family whose states are listed: counts of the states."""
    states = family.evaluate(family.support.points())
    return np.asarray(
        rng.multinomial(n, special.softmax(states @ theta + family.log_base_of(family.support.points())), n_data) @ states / n
    )


def _case(name: str, family: Any, theta: FloatArray, n: int, *, exact: bool = False, published: float | None = None,
          truth: TruthDensity | None = None, draw: Callable[[int, np.random.Generator], FloatArray] | None = None) -> Case:  # fmt: skip
    """A family under a truth, or true at ``theta``."""
    risk = risk_expansion(family, truth, None if truth is not None else theta)
    best = risk.theta
    eta, fisher, loss = family.mean(best), family.fisher(best), LOSSES[type(family).__name__]
    sample = draw or (lambda size, rng: family.simulate(best, size, rng))

    def losses(rng: np.random.Generator, size: int, n_data: int) -> tuple[FloatArray, FloatArray]:
        if family.support.is_finite:
            means = _listed_means(family, best, rng, size, n_data)
        else:
            means = _simulated_means(family, sample, rng, size, n_data)
        off = means - eta
        return loss(family, best, means), 0.5 * np.sum(off * np.linalg.solve(fisher, off.T).T, axis=1)

    def bound(rng: np.random.Generator) -> float:
        worst, size = 0.0, max(n, 50)
        for _ in range(_BOUND_TO_ENGINE):
            x = sample(size, rng)
            points = x[:, None] if x.ndim == 1 else x
            ours = float(loss(family, best, family.evaluate(points).mean(axis=0)[None, :])[0])
            worst = max(worst, abs(ours - family.kl(best, family.fit(x))) * size / risk.a)
        return worst

    known = (lambda size: exact_risk(family, best, size)) if exact else None
    return Case(name, (n, 2 * n), risk.a, risk.b, losses, known, bound, published)


def _design(kind: str) -> Case:
    """A regression by formula: 60 rows of a Poisson law, 150 of a logit."""
    if kind == "Poisson":
        t = np.linspace(-1.0, 1.0, 60)
        x, beta = np.column_stack([np.ones(60), t, t**2 - 1.0 / 3.0]), np.array([0.3, 0.8, -0.5])
        mean = np.exp(x @ beta)
        k2 = k3 = k4 = mean
    else:
        z = (np.arange(150) + 0.5) / 150.0
        x, beta = np.column_stack([np.ones(150), 2.0 * z - 1.0, np.cos(3.0 * math.pi * z)]), np.array([-0.4, 1.0, 0.5])
        mean = special.expit(x @ beta)
        k2 = mean * (1.0 - mean)
        k3, k4 = k2 * (1.0 - 2.0 * mean), k2 * (1.0 - 6.0 * k2)
    terms = GeneralisedDesign(x, k2, k3, k4, np.zeros(len(x)), ("const", "x1", "x2")).model()
    return Case(f"{kind} regression", (1, 2), 0.5 * terms.trace, terms.b, Design(kind, x, beta).losses)


def _in_blocks(case: Case) -> Case:
    """The same case, its data sets a thousand at a time: a design's are wide."""

    def losses(rng: np.random.Generator, n: int, n_data: int) -> tuple[FloatArray, FloatArray]:
        parts = [case.losses(rng, n, min(4096, n_data - start)) for start in range(0, n_data, 4096)]
        return np.concatenate([loss for loss, _ in parts]), np.concatenate([quadratic for _, quadratic in parts])

    return Case(case.name, case.sizes, case.a, case.b, losses, case.exact, case.bound, case.published)


def _wrong(name: str, law: Any, n: int, published: float) -> Case:
    """A normal model of another law."""
    draw = {
        "exponential": lambda size, rng: rng.standard_exponential(size),
        "Laplace": lambda size, rng: rng.laplace(size=size),
        "logistic": lambda size, rng: rng.logistic(size=size),
    }[name]
    from sciinf.engines.pn import HalfLine

    support = HalfLine(0.0) if name == "exponential" else RealLine()
    truth = TruthDensity(law.logpdf, support)
    return _case(f"normal model, {name} truth", families.Normal(), np.zeros(2), n, truth=truth, draw=draw, published=published)


def _overdispersed() -> Case:
    law = stats.nbinom(4, 2.0 / 3.0)  # mean 2
    truth = TruthDensity(law.logpmf, Integers(0))
    return _case(
        "Poisson model, negative binomial truth", families.Poisson(), np.zeros(1), 20, truth=truth, published=11.0 / 32.0,
        draw=lambda size, rng: rng.negative_binomial(4, 2.0 / 3.0, size).astype(np.float64),
    )  # fmt: skip


_RING = ((0, 1), (1, 2), (2, 3), (3, 0))


def _built(name: str) -> Case:
    exponential, normal, inverse = families.Exponential(), families.Normal(), families.InverseGaussian()
    pair, poisson, bernoulli = families.MultivariateNormal(2), families.Poisson(), families.Bernoulli()
    cells, spins = families.Multinomial(4), families.Ising(4, _RING)
    makers: dict[str, Callable[[], Case]] = {
        "exponential": lambda: _case(name, exponential, exponential.natural(2.0), 20, exact=True, published=11.0 / 12.0),
        "normal": lambda: _case(name, normal, normal.natural(1.0, 2.0), 50, exact=True, published=61.0 / 12.0),
        "normal, two dimensions": lambda: _case(
            name, pair, pair.natural([1.0, -1.0], [[2.0, 0.6], [0.6, 1.0]]), 50, exact=True, published=203.0 / 12.0
        ),
        "inverse Gaussian": lambda: _case(name, inverse, inverse.natural(1.0, 2.0), 50, exact=True, published=61.0 / 12.0 + 0.75),
        "Poisson": lambda: _case(name, poisson, poisson.natural(3.0), 50, exact=True, published=5.0 / 36.0),
        "Bernoulli": lambda: _case(name, bernoulli, bernoulli.natural(0.2), 100, exact=True, published=1.6875),
        "multinomial": lambda: _case(name, cells, cells.natural([0.5, 0.3, 0.15, 0.05]), 400, published=11.4166666667),
        "Ising": lambda: _case(name, spins, spins.natural([0.1, -0.2, 0.3, 0.0], [0.4, 0.4, -0.3, 0.2]), 500, published=21.00146),
        "logit": lambda: _in_blocks(_design("logit")),
        "Poisson regression": lambda: _in_blocks(_design("Poisson")),
        "exponential truth": lambda: _wrong("exponential", stats.expon, 400, 10.25),
        "Laplace truth": lambda: _wrong("Laplace", stats.laplace, 200, 197.0 / 24.0),
        "logistic truth": lambda: _wrong("logistic", stats.logistic, 200, 5.6176190476),
        "negative binomial truth": _overdispersed,
    }
    return makers[name]()


CASES = (
    "exponential", "normal", "normal, two dimensions", "inverse Gaussian", "Poisson", "Bernoulli", "multinomial", "Ising", "logit",
    "Poisson regression", "exponential truth", "Laplace truth", "logistic truth", "negative binomial truth",
)  # fmt: skip
"""All of them."""

QUICK_CASES = ("normal", "Ising", "logit", "negative binomial truth")
"""Those of the quick tier."""


def cases(names: tuple[str, ...]) -> list[Case]:
    """Cases by name, their expansions computed by the engine as it stands."""
    return [_built(name) for name in names]
