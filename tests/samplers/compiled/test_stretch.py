# ruff: noqa: ANN001, ANN201
"""The compiled ensemble against emcee itself: the same chain, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import emcee
import numpy as np
import pytest

from sciinf.calibration import kernels as known
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Beta, Fixed, Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import legacy_state
from sciinf.numerics.jit import LIKELIHOOD, kernel
from sciinf.samplers.compiled.stretch import CompiledEnsemble
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee

N_STEPS = 1000


@kernel(LIKELIHOOD)
def gauss_with_a_hole(theta, floats, ints, work):  # type: ignore[no-untyped-def]
    """A correlated Gaussian, zero where the first parameter is below -0.5 or the product of the first two above 1."""
    if theta[0] < -0.5 or theta[0] * theta[1] > 1.0:
        return -np.inf
    return known.gauss(theta, floats, ints, work)


@kernel(LIKELIHOOD)
def not_a_number_beyond_two(theta, floats, ints, work):  # type: ignore[no-untyped-def]
    return floats[0] if theta[0] > 2.0 else -0.5 * theta[0] ** 2


def problem_of(kernel: Any, priors: PriorSet, floats: list[float], on_nan: Any = "raise", names: Any = None) -> Problem:
    """A Problem whose Python form calls the same scalar kernel."""
    numbers, no_ints, no_work = np.array(floats), np.empty(0, dtype=np.int64), np.empty(0)

    def value(theta: np.ndarray, data: np.ndarray) -> float:
        return float(kernel(np.ascontiguousarray(theta), data, np.empty(0, dtype=np.int64), np.empty(0)))

    compiled = CompiledLikelihood(kernel, numbers, no_ints, workspace_size=no_work.size)
    engine = FunctionEngine(value, names or priors.names, data=numbers.copy(), compiled=compiled, version="1")
    return Problem(engine, priors, on_nan=on_nan)


def box(n_dim: int) -> PriorSet:
    return PriorSet([Parameter(f"x{i}", Uniform(-4.0, 4.0)) for i in range(n_dim)])


def start_of(problem: Problem, n_walkers: int) -> np.ndarray:
    """Points of finite posterior."""
    rng, points = np.random.default_rng(8), np.empty((0, problem.n_dim))
    while len(points) < n_walkers:
        more = 0.3 * rng.standard_normal((n_walkers, problem.n_dim))
        points = np.vstack([points, more[np.isfinite(problem.log_posterior_many(more))]])
    return points[:n_walkers]


def by_emcee(problem: Problem, moves: str, start: np.ndarray, n_steps: int, seed: int) -> emcee.EnsembleSampler:
    """emcee as it is, its posterior one point after another, ln L + ln prior."""

    def log_posterior(theta: np.ndarray) -> float:
        prior = compiled_log_prior(problem, theta)
        return problem.log_likelihood(theta) + prior if np.isfinite(prior) else -np.inf

    move = emcee.moves.StretchMove() if moves == "stretch" else emcee.moves.DEMove()
    peer = emcee.EnsembleSampler(len(start), problem.n_dim, log_posterior, moves=move)
    peer.run_mcmc(emcee.State(start, random_state=legacy_state(seed, "sampler")), n_steps)
    return peer


def compiled_log_prior(problem: Problem, theta: np.ndarray) -> float:
    prior = problem.priors.compiled()
    assert prior is not None
    return prior.log_prior(np.ascontiguousarray(theta), prior.floats, prior.ints, np.empty(0))


@pytest.mark.parametrize("moves", ["stretch", "de"])
@pytest.mark.parametrize(("n_dim", "n_walkers"), [(6, 32), (12, 64)])
@pytest.mark.parametrize("function", [known.gauss, gauss_with_a_hole], ids=["smooth", "with -inf"])
def test_the_chain_is_emcee_s_to_the_bit(function: Any, n_dim: int, n_walkers: int, moves: Any) -> None:
    problem = problem_of(function, box(n_dim), [0.6])
    start = start_of(problem, n_walkers)
    settings = Emcee(n_walkers=n_walkers, n_steps=N_STEPS, burn=0, thin=1, moves=moves, start=start, engine="compiled")
    posterior = sample(problem, settings, seed=6, progress=False)
    peer = by_emcee(problem, moves, start, N_STEPS, seed=6)
    assert np.array_equal(posterior.samples, peer.get_chain(flat=True))
    assert np.array_equal(posterior.log_likelihood + posterior.log_prior, peer.get_log_prob(flat=True))
    assert posterior.meta["report"]["acceptance"] == pytest.approx(np.mean(peer.acceptance_fraction), rel=1e-12)


@pytest.mark.parametrize("moves", ["stretch", "de"])
@pytest.mark.parametrize("band", [0.0, 1e-3, 1e9], ids=["never", "now and then", "always"])
def test_steps_left_to_emcee_join_without_a_seam(moves: Any, band: float) -> None:
    problem = problem_of(gauss_with_a_hole, box(3), [0.6])
    start = start_of(problem, 12)
    compiled = problem.compiled()
    assert not isinstance(compiled, str)
    ensemble = CompiledEnsemble(problem, compiled, Emcee(n_walkers=12, moves=moves), band=band)
    ensemble.begin(start, legacy_state(3, "sampler"))
    for _ in ensemble.steps(300, None):
        pass
    peer = by_emcee(problem, moves, start, 300, seed=3)
    assert np.array_equal(ensemble.backend.get_chain(), peer.get_chain())
    assert np.array_equal(ensemble.backend.accepted, peer.backend.accepted)
    state, theirs = ensemble.generator_state(), peer.random_state
    assert np.array_equal(state[1], theirs[1])
    assert state[2:4] == tuple(theirs[2:4])


def test_fixed_parameters_and_another_order_reach_the_engine() -> None:
    priors = PriorSet([Parameter("c", Normal(0.0, 1.0)), Parameter("b", Fixed(0.7)), Parameter("a", Normal(0.0, 2.0))])
    problem = problem_of(known.gauss, priors, [0.9], names=("a", "b", "c"))
    settings = Emcee(n_walkers=8, n_steps=50, engine="compiled")
    posterior = sample(problem, settings, seed=1, progress=False)
    assert np.array_equal(posterior.log_likelihood, [problem.log_likelihood(theta) for theta in posterior.samples])


def test_calls_are_counted_as_the_stock_run_counts_them() -> None:
    problem = problem_of(gauss_with_a_hole, box(2), [0.5])
    start = start_of(problem, 8)
    counts = {
        engine: sample(problem, Emcee(n_walkers=8, n_steps=60, start=start, engine=engine), seed=4, progress=False).meta["counts"]
        for engine in ("compiled", "emcee")
    }
    assert counts["compiled"]["minus_inf"] > 0
    assert counts["compiled"] == counts["emcee"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_wrong_value_is_an_error_that_names_the_point(value: float) -> None:
    problem = problem_of(not_a_number_beyond_two, PriorSet([Parameter("x", Uniform(-3.0, 3.0))]), [value])
    start = np.linspace(-1.0, 1.0, 8)[:, None]
    with pytest.raises(LikelihoodError, match=r"gave (NaN|\+inf) at x=2\."):
        sample(problem, Emcee(n_walkers=8, n_steps=500, start=start, engine="compiled"), seed=1, progress=False)


def test_nan_may_be_rejected_and_is_counted() -> None:
    problem = problem_of(not_a_number_beyond_two, PriorSet([Parameter("x", Uniform(-3.0, 3.0))]), [np.nan], on_nan="reject")
    posterior = sample(problem, Emcee(n_walkers=8, n_steps=500, engine="compiled"), seed=1, progress=False)
    assert posterior.meta["counts"]["rejected"] > 0
    assert posterior.samples.max() < 2.0


@pytest.mark.filterwarnings("ignore:.*never changed the likelihood")
def test_no_walker_enters_a_pole_of_the_prior() -> None:
    problem = problem_of(known.constant, PriorSet([Parameter("x", Beta(0.5, 0.5))]), [0.0])
    posterior = sample(problem, Emcee(n_walkers=8, n_steps=2000, engine="compiled"), seed=1, progress=False)
    assert np.isfinite(posterior.log_prior).all()


def test_a_budget_of_calls_stops_at_the_same_step_as_the_stock_run() -> None:
    problem = problem_of(known.gauss, box(2), [0.5])
    parts = [
        sample(problem, Emcee(n_walkers=8, n_steps=10_000, burn=0, thin=1, engine=engine), seed=4, max_calls=1000, progress=False)
        for engine in ("compiled", "emcee")
    ]
    assert [part.status for part in parts] == ["not_converged"] * 2
    assert np.array_equal(parts[0].samples, parts[1].samples)


@pytest.mark.parametrize("moves", ["stretch", "de"])
def test_stopped_and_resumed_is_the_chain_that_was_not_stopped(tmp_path: Path, moves: Any) -> None:
    problem = problem_of(gauss_with_a_hole, box(2), [0.5])
    settings = Emcee(n_walkers=8, n_steps=400, burn=0, thin=1, moves=moves, engine="compiled")
    whole = sample(problem, settings, seed=4, progress=False)
    part = sample(problem, settings, seed=4, max_calls=900, directory=tmp_path / "r", progress=False)
    assert part.status == "not_converged"
    assert len(part) < len(whole)
    resumed = sample(problem, settings, seed=4, directory=tmp_path / "r", resume=True, progress=False)
    assert np.array_equal(resumed.samples, whole.samples)
    assert resumed.meta["counts"] == whole.meta["counts"]


def test_auto_takes_the_compiled_loop_where_it_can_and_says_so() -> None:
    problem = problem_of(known.gauss, box(2), [0.5])
    assert sample(problem, Emcee(n_walkers=8, n_steps=20), seed=1, progress=False).meta["sampler"]["engine"] == "compiled"
    mixed = sample(problem, Emcee(n_walkers=8, n_steps=20, moves="mix"), seed=1, progress=False)
    assert mixed.meta["sampler"]["engine"] == "emcee"


def test_asked_for_where_there_is_none_it_says_why() -> None:
    plain = Problem(FunctionEngine(lambda theta: -float(theta @ theta), ["x"], version="1"), PriorSet([Parameter("x", Uniform(-1, 1))]))
    with pytest.raises(ConfigError, match=r"has no compiled likelihood. Use engine='auto' or engine='emcee'"):
        sample(plain, Emcee(n_walkers=8, engine="compiled"), seed=1, progress=False)
    compiled = problem_of(known.gauss, box(2), [0.5])
    with pytest.raises(ConfigError, match="moves='mix' has no compiled form"):
        sample(compiled, Emcee(n_walkers=8, moves="mix", engine="compiled"), seed=1, progress=False)
    assert Dynesty(engine="compiled").engine == "compiled"
