"""Evidence without a sampler: the marginalised likelihood on grids that are refined until nothing moves, and dynesty beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import campaign_over
from sciinf.calibration.verdict import Verdict
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch
from sciinf.engines.echo.simulate import comb, inject
from sciinf.samplers.pools import Workers
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import Phase, noise

__all__ = ["Case", "cases", "compared", "quadrature", "seed_scatter"]

_BAND = (50.0, 110.0)
_STABLE = 0.01
_SIGMAS = 3.0
_DEPTH = 25.0  # in ln L: what is lower adds less than 1e-6 of the integral
_AMPLITUDE = Uniform(0.003, 0.5)


@dataclass(frozen=True, eq=False)
class Case:
    """A comb of ten teeth at T = 4 s, with narrow priors about it."""

    label: str
    engine: EchoSearch
    priors: PriorSet

    @property
    def marginalised(self) -> Problem:
        """Over spacing, offset and width."""
        return Problem(self.engine, self.priors, name=f"{self.label}, marginalised")

    @property
    def sampled(self) -> Problem:
        """Over the amplitude too."""
        priors = PriorSet([*self.priors.members, Parameter("amplitude", _AMPLITUDE)])
        return Problem(replace(self.engine, amplitude="sampled"), priors, name=f"{self.label}, sampled")


def cases(phases: tuple[Phase, ...], injections: int, seed: int) -> list[Case]:
    """Combs of different strength and width in seeded noise."""
    made = []
    for i in range(injections):
        truth = {"spacing": 5.83 + 0.4 * i, "width": (0.4, 0.8, 0.3)[i % 3], "amplitude": (0.10, 0.06, 0.14)[i % 3]}
        for phase in phases:
            rng = generator(seed, f"evidence/{i}")
            data = noise(4.0, rng)
            signal = comb(data, offset_hz=1.26, band=_BAND, phase=phase, rng=None if phase == "whittle" else rng, **truth)  # type: ignore[arg-type]
            engine = EchoSearch(inject(data, signal), phase=phase, amplitude=_AMPLITUDE, band=_BAND, offset_unit="Hz")
            members = [
                Parameter("spacing", Uniform(truth["spacing"] - 0.03, truth["spacing"] + 0.03)),
                Parameter("offset", Uniform(0.96, 1.56)),
                Parameter("width", LogUniform(0.25, 2.0)),
            ]
            made.append(Case(f"comb {i + 1}, {phase}", engine, PriorSet(members)))
    return made


@dataclass(frozen=True, eq=False)
class _Frame:
    """A box of the cube about the likelihood, its second axis sheared along the ridge of the first two."""

    slope: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def about(cls, problem: Problem, n: int) -> _Frame:
        """From the points of a coarse grid of the cube within `_DEPTH` of its top."""
        axis = (np.arange(n) + 0.5) / n
        units = np.column_stack([part.ravel() for part in np.meshgrid(axis, axis, axis, indexing="ij")])
        values = problem.log_likelihood_many(problem.priors.transform(units))
        weights = np.exp(values - values.max())
        spread = np.cov(units[:, :2].T, aweights=weights)
        slope = float(spread[0, 1] / spread[0, 0]) if spread[0, 0] > 0.0 else 0.0
        near = units[values > values.max() - _DEPTH]
        near[:, 1] -= slope * near[:, 0]
        room = 1.5 / n * np.array([1.0, 1.0 + abs(slope), 1.0])
        low, high = near.min(axis=0) - room, near.max(axis=0) + room
        whole = np.array([True, False, True])
        return cls(slope, np.where(whole, np.maximum(low, 0.0), low), np.where(whole, np.minimum(high, 1.0), high))


def _grid(problem: Problem, frame: _Frame, sizes: tuple[int, ...], rng: np.random.Generator) -> float:
    """ln of the integral over the cube by the middles of the frame's cells, moved at random as a whole, slice by slice."""
    shift = rng.uniform(size=len(sizes))
    axes = [low + (high - low) * (np.arange(n) + s) / n for low, high, n, s in zip(frame.low, frame.high, sizes, shift, strict=True)]
    total, top = 0.0, -math.inf
    for first in axes[0]:
        rest: Any = np.meshgrid(*axes[1:], indexing="ij")
        units = np.column_stack([np.full(rest[0].size, first), *(part.ravel() for part in rest)])
        units[:, 1] += frame.slope * first
        units = units[np.all((units > 0.0) & (units < 1.0), axis=1)]
        if not len(units):
            continue
        values: NDArray[np.float64] = problem.log_likelihood_many(problem.priors.transform(units))
        high = float(values.max())
        if high > top:
            total, top = total * math.exp(top - high) if top > -math.inf else 0.0, high
        total += float(np.exp(values - top).sum())
    return top + math.log(total / math.prod(sizes) * float(np.prod(frame.high - frame.low)))


def quadrature(problem: Problem, start: int, largest: int, seed: int) -> tuple[float, float, int]:
    """ln Z on grids refined by half until two steps in a row move it by less than 0.01: the value, the last step, the points per axis."""
    n, rng, frame = start, generator(seed, "grid"), _Frame.about(problem, 2 * start)
    values = [_grid(problem, frame, (n, n, max(n // 2, 8)), rng)]
    while True:
        n = (3 * n) // 2
        values.append(_grid(problem, frame, (n, n, max(n // 2, 8)), rng))
        moved = abs(values[-1] - values[-2])
        settled = len(values) > 2 and max(moved, abs(values[-2] - values[-3])) < _STABLE
        if settled or (3 * n) // 2 > largest:
            return values[-1], moved if len(values) < 3 else max(moved, abs(values[-2] - values[-3])), n


def compared(case: Case, n_live: int, largest: int, seed: int, workers: Workers) -> tuple[list[Verdict], list[tuple[str, ...]], float]:
    """dynesty on the marginalised and the sampled problem against the grid; and the grid's ln Z."""
    value, moved, n = quadrature(case.marginalised, 40, largest, seed)
    verdicts = [Verdict(f"evidence, {case.label}: grid settled", moved, None, n, moved < _STABLE, "last two moves of ln Z; bound 0.01")]
    rows: list[tuple[str, ...]] = []
    for kind, problem in (("marginalised", case.marginalised), ("sampled", case.sampled)):
        run = campaign_over([problem], Dynesty(n_live=n_live), seed, workers=workers)
        found, error = float(run.log_evidence[0]), float(run.log_evidence_error[0])
        z = (found - value) / math.hypot(error, moved)
        detail = f"dynesty {found:.3f} +- {error:.3f}, grid {value:.3f}; bound 3 errors"
        verdicts.append(Verdict(f"evidence, {case.label}: {kind}", abs(z), None, 1, abs(z) < _SIGMAS, detail))
        rows.append((case.label, kind, f"{found:.3f} +- {error:.3f}", f"{value:.3f} ({n} points an axis)", f"{z:+.2f}"))
    return verdicts, rows, value


def seed_scatter(case: Case, value: float, n_live: int, seeds: int, seed: int, workers: Workers) -> Verdict:
    """Whether the stated error of ln Z is right: rms pull over seeds."""
    run = campaign_over([case.marginalised] * seeds, Dynesty(n_live=n_live), seed, workers=workers)
    pulls = (run.log_evidence - value) / run.log_evidence_error
    rms = float(np.sqrt(np.mean(pulls**2)))
    # 99.9 % of chi with ten degrees of freedom, over sqrt(10): 0.38 to 1.72
    return Verdict(f"evidence, {case.label}: stated error", rms, None, seeds, 0.38 < rms < 1.72, "rms pull over seeds; bounds 0.38, 1.72")
