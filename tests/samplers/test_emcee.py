"""The emcee driver: emcee's own chain to the bit, convergence that is what it says, start points, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import emcee
import numpy as np
import pool_likelihoods as likelihoods
import pytest

from sciinf.calibration import analytic
from sciinf.core.errors import ConfigError, DataError, LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import legacy_state
from sciinf.samplers.chain_length import judge
from sciinf.samplers.emcee import export_hdf
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee


def start_of(problem: Problem, n_walkers: int) -> np.ndarray:
    return problem.priors.sample(np.random.default_rng(8), n_walkers)


@pytest.mark.parametrize("engine", ["auto", "emcee"])
@pytest.mark.parametrize("moves", ["stretch", "de", "mix"])
@pytest.mark.parametrize("function", [likelihoods.gauss, likelihoods.zero_on_the_left], ids=["smooth", "with -inf"])
def test_the_chain_is_emcee_s_to_the_bit(engine: Any, moves: Any, function: Any) -> None:
    problem, n_steps = likelihoods.of(function), 250
    start = start_of(problem, 20)
    start[start[:, 0] < -2.0, 0] *= -1.0
    posterior = sample(
        problem, Emcee(n_walkers=20, n_steps=n_steps, burn=0, thin=1, moves=moves, start=start, engine=engine), seed=6, progress=False
    )
    stock = {
        "stretch": emcee.moves.StretchMove(),
        "de": emcee.moves.DEMove(),
        "mix": [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)],
    }[moves]
    peer = emcee.EnsembleSampler(20, 2, problem.log_posterior_many, moves=stock, vectorize=True)
    peer.run_mcmc(emcee.State(start, random_state=legacy_state(6, "sampler")), n_steps)
    assert np.array_equal(posterior.samples, peer.get_chain(flat=True))
    assert np.array_equal(posterior.log_likelihood + posterior.log_prior, peer.get_log_prob(flat=True))
    assert np.array_equal(posterior.draw[:41], [0] * 20 + [1] * 20 + [2])  # type: ignore[index]
    assert np.array_equal(posterior.chain[:21], [*range(20), 0])  # type: ignore[index]


def test_likelihood_and_prior_of_each_sample_are_the_problem_s() -> None:
    problem = analytic.gauss3().problem
    posterior = sample(problem, Emcee(n_walkers=16, n_steps=100), seed=2, progress=False)
    assert np.array_equal(posterior.log_likelihood, problem.log_likelihood_many(posterior.samples))
    assert np.array_equal(posterior.log_prior, problem.log_prior_many(posterior.samples))


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    problem, settings = likelihoods.of(likelihoods.gauss), Emcee(n_walkers=8, n_steps=20)
    np.random.seed(1)  # noqa: NPY002 - the global state is what this test is about
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]  # noqa: NPY002
    first = sample(problem, settings, seed=2, progress=False)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index,arg-type]  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert sample(problem, settings, seed=2, progress=False).content_hash() == first.content_hash()


def autoregressive(rho: float, n_steps: int, n_walkers: int, seed: int = 1) -> np.ndarray:
    """Chains whose autocorrelation time is (1 + rho) / (1 - rho)."""
    rng = np.random.default_rng(seed)
    chain = np.empty((n_steps, n_walkers, 1))
    chain[0] = rng.standard_normal((n_walkers, 1))
    for i in range(1, n_steps):
        chain[i] = rho * chain[i - 1] + np.sqrt(1.0 - rho**2) * rng.standard_normal((n_walkers, 1))
    return chain


def test_the_length_of_a_chain_is_in_its_autocorrelation_times() -> None:
    """AR(1) with rho = 0.8: tau = 9; the standard error of Sokal's estimate is tau sqrt(2 (2 M + 1) / N), M = 5 tau, N all steps."""
    chain = autoregressive(0.8, 3000, 20)
    length = judge(chain, Emcee())
    assert abs(length.tau[0] - 9.0) < 4.5 * 9.0 * np.sqrt(2.0 * 91.0 / 60_000)
    assert length.burn == pytest.approx(45, abs=6)
    assert length.multiple == pytest.approx((3000 - length.burn) / length.tau[0])
    assert length.ess == pytest.approx(20 * length.multiple)
    assert length.stable
    assert length.enough(Emcee())
    assert not length.enough(Emcee(tau_multiple=1000))
    assert not judge(chain[:300], Emcee()).enough(Emcee())


def test_a_drift_at_the_start_is_burnt_and_does_not_count_as_correlation() -> None:
    chain = autoregressive(0.8, 3000, 20)
    chain[:, :, 0] += 30.0 * np.exp(-np.arange(3000) / 10.0)[:, None]
    assert judge(chain, Emcee()).tau[0] < 12.0


def test_burn_in_waits_for_the_last_walker_to_arrive() -> None:
    """One of 32 walkers travels for 300 steps of a chain whose tau is 1: without it the burn-in is 5 tau, with it 300 steps more."""
    chain = np.random.default_rng(8).normal(size=(1600, 32, 2))
    settled = judge(chain, Emcee())
    chain[:300, 7, 1] += np.linspace(60.0, 12.0, 300)
    late = judge(chain, Emcee())
    assert settled.burn < 12
    assert 300 <= late.burn < 312
    assert np.std(chain[late.burn :, :, 1]) == pytest.approx(1.0, abs=0.02)
    assert np.std(chain[settled.burn :, :, 1]) > 2.0
    assert judge(chain, Emcee(burn=20)).burn == 20


@pytest.mark.parametrize(("options", "status"), [({}, "ok"), ({"max_steps": 300}, "not_converged"), ({"n_steps": 300}, "not_converged")])
def test_a_run_is_ok_only_when_it_is_long_enough(options: dict[str, Any], status: str) -> None:
    posterior = sample(analytic.gauss3().problem, Emcee(n_walkers=24, **options), seed=2, progress=False)
    report = posterior.meta["report"]
    assert posterior.status == status
    assert (report["n_over_tau"] >= 50.0) == (status == "ok")
    if status == "ok":
        assert report["ess"] >= 1000
        assert report["thin"] == max(1, int(0.5 * min(report["tau"].values())))
    else:
        assert report["steps"] == 300
    assert len(posterior) == 24 * len(range(report["burn"], report["steps"], report["thin"]))


def test_burn_and_thin_are_taken_as_given() -> None:
    posterior = sample(analytic.gauss3().problem, Emcee(n_walkers=8, n_steps=50, burn=10, thin=7), seed=2, progress=False)
    assert np.array_equal(np.unique(posterior.draw), range(10, 50, 7))  # type: ignore[arg-type]


def test_walkers_may_start_at_the_optimum() -> None:
    problem = analytic.gauss3().problem
    posterior = sample(problem, Emcee(n_walkers=64, n_steps=1, burn=0, start="optimum"), seed=2, progress=False)
    assert np.all(np.abs(posterior.samples) < 6.0)
    assert np.all(posterior.samples.std(axis=0) < 1.6)


def test_points_outside_the_likelihood_s_support_are_drawn_again() -> None:
    posterior = sample(likelihoods.of(likelihoods.zero_on_the_left), Emcee(n_walkers=32, n_steps=30, burn=0), seed=2, progress=False)
    assert np.all(np.isfinite(posterior.log_likelihood))
    assert posterior.meta["counts"]["minus_inf"] > 0


def test_a_likelihood_that_is_zero_everywhere_says_how_many_points_were_tried_and_where() -> None:
    with pytest.raises(LikelihoodError, match=r"1600 points of the prior were tried.*every one.*x in \[-5, 5\], y in \[-5, 5\]"):
        sample(likelihoods.of(likelihoods.zero_everywhere), Emcee(n_walkers=8), seed=1, progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Emcee(n_walkers=4), "at least 2 n_dim = 6"),
        (Emcee(n_walkers=8, start=np.zeros((8, 2))), r"must have 3 columns \(x, y, z\), got 2"),
        (Emcee(n_walkers=8, start=np.ones((8, 3))), "span fewer than 3 dimensions"),
        (Emcee(n_walkers=8, start=np.full((8, 3), 7.0)), r"start\[0\] has zero posterior at x=7.0, y=7.0, z=7.0 \(8 such points\)"),
    ],
)
def test_start_points_that_cannot_serve_are_refused(settings: Emcee, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sample(likelihoods.of(likelihoods.gauss, 3), settings, seed=1, progress=False)


def test_derived_quantities_come_with_the_kept_samples() -> None:
    def log_likelihood(theta: np.ndarray) -> float:
        return -0.5 * float(theta @ theta)

    engine = FunctionEngine(log_likelihood, ["y", "x"], derived={"total": lambda theta: theta[0] + 10.0 * theta[1]}, version="1")
    problem = Problem(engine, PriorSet([Parameter("x", Uniform(-5, 5)), Parameter("y", Uniform(-5, 5))]))
    posterior = sample(problem, Emcee(n_walkers=8, n_steps=20), seed=1, progress=False)
    assert np.array_equal(posterior.column("total"), posterior.column("y") + 10.0 * posterior.column("x"))


def test_nan_can_be_rejected_and_is_counted() -> None:
    problem = likelihoods.of(likelihoods.nan_beyond_two, on_nan="reject")
    posterior = sample(problem, Emcee(n_walkers=16, n_steps=50), seed=1, progress=False)
    assert np.max(posterior.column("x")) <= 2.0
    assert posterior.meta["counts"]["rejected"] > 0


def test_emcee_reads_what_was_exported(tmp_path: Path) -> None:
    posterior = sample(analytic.gauss3().problem, Emcee(n_walkers=8, n_steps=40, burn=0, thin=1), seed=2, progress=False)
    export_hdf(posterior, tmp_path / "chain.h5")
    backend = emcee.backends.HDFBackend(str(tmp_path / "chain.h5"), read_only=True)
    assert np.array_equal(backend.get_chain(flat=True), posterior.samples)
    assert np.array_equal(backend.get_log_prob(flat=True), posterior.log_likelihood + posterior.log_prior)
    assert np.array_equal(backend.get_blobs(flat=True)[:, 0], posterior.log_likelihood)
    with pytest.raises(DataError, match="exists"):
        export_hdf(posterior, tmp_path / "chain.h5")
    nested = sample(analytic.gauss3().problem, Dynesty(n_live=20, walks=5, dlogz=1.0), seed=1, progress=False)
    with pytest.raises(DataError, match="no chains"):
        export_hdf(nested, tmp_path / "other.h5")


@pytest.mark.slow
@pytest.mark.parametrize("known", [analytic.gauss10, analytic.hole], ids=["gauss10", "hole"])
def test_moments_of_known_posteriors(known: Any) -> None:
    """Each mean and standard deviation within 4.5 Monte Carlo errors of the formula."""
    problem = known()
    posterior = sample(problem.problem, Emcee(), seed=5, progress=False)
    std = np.sqrt(np.diag(problem.covariance))
    assert np.all(np.abs(posterior.mean() - problem.mean) < 4.5 * std / np.sqrt(posterior.ess))
    assert np.all(np.abs(posterior.std() / std - 1.0) < 4.5 / np.sqrt(2.0 * posterior.ess))
