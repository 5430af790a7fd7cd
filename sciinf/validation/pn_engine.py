"""The likelihood engine: ranks of simulated truths, one posterior by several ways, and faults of a normaliser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from sciinf.calibration import sbc
from sciinf.calibration.injections import Campaign, reranked
from sciinf.calibration.verdict import Verdict
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.pn import ExponentialFamilyLikelihood, LikelihoodSettings, RealLine, families
from sciinf.engines.pn.likelihood_settings import Parametrisation, PartitionKind
from sciinf.engines.pn.references import _Search
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee

__all__ = [
    "CAMPAIGN",
    "ENGINES",
    "Frozen",
    "agreement",
    "cross_checked",
    "far_reference",
    "frozen_problem",
    "made",
    "moved",
    "one_parameter",
    "problem",
    "rank_verdicts",
    "sharpened",
]

FloatArray = NDArray[np.float64]

CAMPAIGN = Emcee(n_walkers=64, moves="de", tau_multiple=20)
_BOUND = 4.0
_FAR = 60.0  # in standard deviations of an estimate from 400 observations
_PRIOR = 2.0  # width of the prior in standard deviations of the estimate


# ---- engines ----


def _ising() -> tuple[Any, FloatArray, int]:
    family = families.Ising(4, ((0, 1), (1, 2), (2, 3), (3, 0)))
    return family, family.natural([0.1, -0.2, 0.3, 0.0], [0.4, 0.4, -0.3, 0.2]), 400


def _quartic() -> tuple[Any, FloatArray, int]:
    family = families.PolynomialExponential(4, RealLine())
    return family, np.array([0.0, 1.0, 0.0, -0.25]), 800


def _gamma() -> tuple[Any, FloatArray, int]:
    family = families.Gamma()
    return family, family.natural(2.0, 1.5), 200


def _exponential() -> tuple[Any, FloatArray, int]:
    family = families.Exponential()
    return family, family.natural(0.5), 100


_MAKERS: dict[str, tuple[Callable[[], tuple[Any, FloatArray, int]], PartitionKind]] = {
    "Ising": (_ising, "exact"),
    "Ising, importance": (_ising, "importance"),
    "quartic": (_quartic, "exact"),
    "gamma": (_gamma, "exact"),
    "exponential": (_exponential, "exact"),
}

ENGINES = ("Ising", "Ising, importance", "quartic", "gamma")
"""Whose ranks are tested."""


def made(name: str, seed: int, parametrise: Parametrisation = "natural") -> ExponentialFamilyLikelihood:
    """The likelihood of simulated data."""
    maker, partition = _MAKERS[name]
    family, theta, n = maker()
    data = family.simulate(theta, n, generator(seed, f"pn.data/engine/{name.split(',')[0]}"))
    return ExponentialFamilyLikelihood(family, data, LikelihoodSettings(partition=partition, parametrise=parametrise, seed=seed))


def problem(name: str, seed: int) -> Problem:
    """A whitened likelihood with a normal prior of two standard deviations of the estimate."""
    return _with_prior(made(name, seed, "whitened"), name)


def _with_prior(engine: Any, name: str) -> Problem:
    return Problem(engine, PriorSet([Parameter(each, Normal(0.0, _PRIOR)) for each in engine.parameters]), name=name)


# ---- ranks ----


def rank_verdicts(name: str, ranks: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Verdict]:
    """Rank mean and rank variance of each parameter: z of the worst, bound 4, and its chance with Bonferroni over parameters."""
    found = sbc.test(ranks, names)
    out = {}
    rows = (("mean", found.mean_z, found.p_mean, ""), ("variance", found.variance_z, found.p_variance, ", negative: posterior too wide"))
    for what, z, p, note in rows:
        worst = int(np.argmax(np.abs(z)))
        chance = min(1.0, float(p[worst]) * len(z))
        detail = f"z {z[worst]:+.2f} of {names[worst]}{note}; bound {_BOUND:g}"
        out[what] = Verdict(f"{name}: rank {what}", float(z[worst]), chance, len(ranks), bool(abs(z[worst]) < _BOUND), detail)
    return out


def sharpened(done: Campaign, factor: float) -> Campaign:
    """The same campaign with posteriors that are too narrow."""
    mean = done.draws.mean(axis=1, keepdims=True)
    return reranked(done, mean + (done.draws - mean) / factor, done.mean, done.std / factor)


def moved(done: Campaign, errors: float) -> Campaign:
    """The same campaign with posteriors that are displaced by so many of their standard deviations."""
    return reranked(done, done.draws + errors * done.std[:, None, :], done.mean + errors * done.std, done.std)


@dataclass(frozen=True, eq=False)
class Frozen:
    """Data from the right likelihood, analysed with psi expanded to second order at the engine's first estimate.

    Parameters
    ----------
    engine : ExponentialFamilyLikelihood
        In natural parameters.
    centre : (p,) float64 array
        Where psi is expanded.
    """

    engine: ExponentialFamilyLikelihood
    centre: FloatArray

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self.engine.parameters

    def log_likelihood(self, theta: FloatArray) -> float:
        """The wrong ln L at ``theta`` (p,)."""
        return float(self.log_likelihood_many(np.atleast_2d(theta))[0])

    def log_likelihood_many(self, thetas: FloatArray) -> FloatArray:
        """The wrong ln L of each row of ``thetas`` (n, p)."""
        psi, mean, fisher = self.engine.family.state(self.centre)
        off, data = thetas - self.centre, self.engine.data
        expanded = psi + off @ mean + 0.5 * np.sum(off * (off @ fisher), axis=1)
        return np.asarray(data.n * (thetas @ data.mean - expanded) + data.log_base)

    def default_priors(self) -> PriorSet:
        """Those of the right engine."""
        return self.engine.default_priors()

    def simulate(self, theta: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Observations drawn from the right law."""
        return self.engine.simulate(theta, rng)

    def with_data(self, data: ArrayLike) -> Frozen:
        """The same fault on other observations."""
        return replace(self, engine=self.engine.with_data(data))

    def fingerprint(self) -> str:
        """sha256 over the right likelihood and the fault."""
        return sha256_of("frozen", self.engine.fingerprint(), self.centre)


def frozen_problem(seed: int, *, wrong: bool = True) -> Problem:
    """Ten Poisson counts of rate about 1, a normal prior on ln rate; with ``wrong`` psi is expanded at the estimate."""
    family = families.Poisson()
    data = np.array([0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 3.0, 1.0, 0.0, 1.0])
    engine = ExponentialFamilyLikelihood(family, data, LikelihoodSettings(seed=seed))
    priors = PriorSet([Parameter(engine.parameters[0], Normal(0.0, 0.8))])
    used: Any = Frozen(engine, family.fit(data)) if wrong else engine
    return Problem(used, priors, name="expanded psi" if wrong else "exact psi")


# ---- one posterior by several ways ----


def agreement(name: str, first: Posterior, second: Posterior, shift: float = 0.0) -> list[Verdict]:
    """Means in their combined Monte Carlo errors, and standard deviations.

    Parameters
    ----------
    name : str
    first, second : Posterior
    shift : float
        By how many standard deviations frozen draws displace the first (``mc_shift``): an error that its chain does not know of.
    """
    error = np.sqrt(first.std() ** 2 * (1.0 / first.ess + shift**2) + second.std() ** 2 / second.ess)
    worst = float(np.abs((first.mean() - second.mean()) / error).max())
    ratio = float(np.abs(first.std() / second.std() - 1.0).max())
    return [
        Verdict(f"{name}: means", worst, None, 2, worst < _BOUND, f"largest difference in combined errors; bound {_BOUND:g}"),
        Verdict(f"{name}: widths", ratio, None, 2, ratio < 0.10, "largest relative difference of standard deviations; bound .10"),
    ]


def cross_checked(name: str, n_live: int, seed: int) -> tuple[list[Verdict], tuple[str, ...], Posterior]:
    """dynesty and emcee on one problem; the mean of n KL[estimate | theta] beside p / 2, to first order the same."""
    one = problem(name, seed)
    nested = sample(one, Dynesty(n_live=n_live), seed=seed, progress=False)
    chain = sample(one, Emcee(n_walkers=64, moves="de", tau_multiple=100), seed=seed, progress=False)
    engine: Any = one.engine
    gap = engine.data.n * float(np.mean(engine.derived_many(chain.samples)[:, 2]))
    row = (name, f"{nested.log_evidence:.3f} +- {nested.log_evidence_error:.3f}", f"{nested.ess:.0f}", f"{chain.ess:.0f}", f"{gap:.3f}",
           f"{0.5 * one.n_dim:g}")  # fmt: skip
    return agreement(f"{name}, dynesty = emcee", nested, chain), row, chain


def one_parameter(n_live: int, seed: int) -> Verdict:
    """Evidence of an exponential law beside quadrature."""
    one = problem("exponential", seed)
    nested = sample(one, Dynesty(n_live=n_live), seed=seed, progress=False)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    grid = 8.0 * _PRIOR * nodes
    log_likelihood = one.engine.log_likelihood_many(grid[:, None])
    log_prior = -0.5 * (grid / _PRIOR) ** 2 - math.log(_PRIOR) - 0.5 * math.log(2.0 * math.pi)
    exact = float(logsumexp(log_likelihood + log_prior, b=8.0 * _PRIOR * weights))
    assert nested.log_evidence is not None
    assert nested.log_evidence_error is not None
    gap, error = nested.log_evidence - exact, nested.log_evidence_error
    detail = f"ln Z {nested.log_evidence:.3f} +- {error:.3f}, by quadrature {exact:.3f}; bound 3 errors"
    return Verdict("exponential: evidence", gap, None, 1, abs(gap) < 3.0 * error, detail)


def far_reference(seed: int) -> Problem:
    """The Ising likelihood with all draws at one far point, three standard deviations of one observation away, and no ``ess_min``."""
    exact = made("Ising", seed, "whitened")
    assert exact.anchor is not None
    settings = LikelihoodSettings(partition="importance", parametrise="whitened", ess_min=0.0, seed=seed)
    away = exact.natural(np.full(exact.family.p, _FAR / math.sqrt(exact.family.p)))
    mixture = _Search(exact.family, seed).mixture(away[None, :], [400 * exact.data.n], "far", exact.family.log_partition(away))
    return _with_prior(replace(exact, settings=settings, mixture=mixture), "one far reference")
