"""Negative controls: posteriors and problems that are wrong on purpose, so that a test can show that it fails."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.injections import Campaign, reranked
from sciinf.core.engine import simulator_of
from sciinf.core.errors import ConfigError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.results.posterior import Posterior
from sciinf.samplers import optimum

__all__ = ["BrokenEngine", "broken"]


@dataclass(frozen=True, eq=False)
class BrokenEngine:
    """Engine whose posterior under ``inner``'s priors is wrong in a known way.

    Parameters
    ----------
    inner : Problem
        The healthy problem.
    width : float
        The posterior's width is multiplied by this (exactly so for a Gaussian posterior).
    offset : (n_dim,) float64 array
        The posterior is moved by this, in the parameters' units.
    wrong_priors : PriorSet, optional
        Used in place of the true priors, for the same parameters in the same order; what reaches outside the true support is cut.

    Notes
    -----
    With p(theta) = L(theta) pi'(theta), pi' being the wrong or the true prior, the likelihood given out is
    p(theta - offset)^(1 / width^2) / pi(theta): a sampler that multiplies it by the true prior pi draws from the broken posterior.
    Simulated data come from the healthy engine.
    """

    inner: Problem
    width: float
    offset: NDArray[np.float64]
    wrong_priors: PriorSet | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names, as the healthy engine has them."""
        return tuple(self.inner.engine.parameters)

    @property
    def can_simulate(self) -> bool:
        """Whether the healthy engine can."""
        return self.inner.can_simulate

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """The broken ln L at ``theta`` (n_parameters,)."""
        return float(self.log_likelihood_many(np.asarray(theta, dtype=np.float64)[None, :])[0])

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """The broken ln L of each row of ``thetas`` (n, n_parameters)."""
        sampled = np.asarray(thetas, dtype=np.float64)[:, [self.parameters.index(name) for name in self.inner.names]]
        moved = sampled - self.offset
        priors = self.inner.priors if self.wrong_priors is None else self.wrong_priors
        target = np.asarray(priors.log_prior(moved), dtype=np.float64)
        rows = np.flatnonzero(target > -np.inf)
        if len(rows):
            target[rows] += self.inner.log_likelihood_many(moved[rows])
        true_prior = self.inner.log_prior_many(sampled)
        return np.where(true_prior > -np.inf, target / self.width**2 - np.where(true_prior > -np.inf, true_prior, 0.0), -np.inf)

    def default_priors(self) -> PriorSet:
        """The true priors."""
        return self.inner.priors

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> Any:
        """Data drawn by the healthy engine."""
        simulator = simulator_of(self.inner.engine)
        if simulator is None:
            raise ConfigError(f"{self.inner.name}: the engine cannot simulate data")
        return simulator.simulate(theta, rng)

    def with_data(self, data: Any) -> BrokenEngine:
        """The same fault on other data."""
        simulator = simulator_of(self.inner.engine)
        if simulator is None:
            raise ConfigError(f"{self.inner.name}: the engine cannot take other data")
        inner = Problem(simulator.with_data(data), self.inner.priors, on_nan=self.inner.on_nan, name=self.inner.name)
        return dataclasses.replace(self, inner=inner)

    def fingerprint(self) -> str:
        """sha256 over the healthy problem and the fault."""
        wrong = None if self.wrong_priors is None else self.wrong_priors.describe()
        return sha256_of("broken", self.inner.fingerprint(), float(self.width), self.offset, wrong)


def _check(width: float, shift: float) -> None:
    if not (0.0 < width < math.inf) or not math.isfinite(shift):
        raise ConfigError(f"a control needs a finite width > 0 and a finite shift, got width={width}, shift={shift}")


@singledispatch
def broken(target: Any, *, width: float = 1.0, shift: float = 0.0, priors: PriorSet | None = None) -> Any:
    """``target`` with a fault that calibration must find.

    Parameters
    ----------
    target : Problem, Posterior or Campaign
        What to break. A Problem gives a Problem to sample; a Posterior gives its samples moved and stretched about their mean; a
        Campaign gives itself with every replica's draws moved and stretched and the truths ranked anew.
    width : float
        Factor on the posterior's width.
    shift : float
        Added to every parameter, in posterior standard deviations. For a Problem these come from its curvature at the maximum.
    priors : PriorSet, optional
        For a Problem only: analyse with these priors, while data sets are still drawn from the true ones.

    Raises
    ------
    ConfigError
        If nothing is broken, a number is not finite, ``priors`` is given for anything but a Problem or names other parameters, or the
        type cannot be broken.

    Examples
    --------
    >>> from sciinf.calibration import analytic
    >>> wide = broken(analytic.line(), width=1.3)
    >>> wide.name
    'line, width x 1.3'
    """
    raise ConfigError(f"broken() takes a Problem, a Posterior or a Campaign, got {type(target).__name__}")


@broken.register
def _broken_problem(target: Problem, *, width: float = 1.0, shift: float = 0.0, priors: PriorSet | None = None) -> Problem:
    _check(width, shift)
    faults = ([f"width x {width:g}"] if width != 1.0 else []) + ([f"shift {shift:g} sigma"] if shift else [])
    if priors is not None:
        if priors.names != target.names or priors.fixed != target.priors.fixed:
            raise ConfigError(f"wrong priors must name the same parameters in the same order: {target.names}, got {priors.names}")
        faults.append("wrong prior")
    if not faults:
        raise ConfigError("broken() was asked to break nothing: give width, shift or priors")
    offset = np.zeros(target.n_dim)
    if shift:
        best = optimum.maximise(target, seed=0)
        offset = shift * np.sqrt(np.diag(np.linalg.inv(optimum.fisher(target, best.theta))))
    engine = BrokenEngine(target, float(width), offset, priors)
    return Problem(engine, target.priors, on_nan=target.on_nan, name=f"{target.name}, {', '.join(faults)}")


@broken.register
def _broken_posterior(target: Posterior, *, width: float = 1.0, shift: float = 0.0, priors: PriorSet | None = None) -> Posterior:
    _check_stretch(width, shift, priors)
    mean, std = target.mean(), target.std()
    meta = {**target.meta, "broken": {"width": float(width), "shift": float(shift)}}
    return dataclasses.replace(target, samples=mean + width * (target.samples - mean) + shift * std, meta=meta)


@broken.register
def _broken_campaign(target: Campaign, *, width: float = 1.0, shift: float = 0.0, priors: PriorSet | None = None) -> Campaign:
    _check_stretch(width, shift, priors)
    mean, std = target.mean[:, None, :], target.std[:, None, :]
    draws = mean + width * (target.draws - mean) + shift * std
    return reranked(target, draws, target.mean + shift * target.std, width * target.std)


def _check_stretch(width: float, shift: float, priors: PriorSet | None) -> None:
    """Refusals that posteriors and campaigns share."""
    _check(width, shift)
    if priors is not None:
        raise ConfigError("priors can only be wrong for a Problem: a posterior that exists cannot be analysed anew")
    if width == 1.0 and not shift:
        raise ConfigError("broken() was asked to break nothing: give width or shift")
