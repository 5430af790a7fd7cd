"""The dynesty driver: dynesty's own run to the bit, where its points were born, constrained and awkward likelihoods."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import Any

import dynesty
import numpy as np
import pool_likelihoods as likelihoods
import pytest
from dynesty.dynamicsampler import stopping_function

from sciinf.calibration import analytic
from sciinf.core.errors import ConfigError, LikelihoodError, SciinfWarning
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.results.diagnostics import evidence_error_bootstrap, insertion_rank_test
from sciinf.results.nested import live_points
from sciinf.results.posterior import Posterior
from sciinf.samplers.dead_points import births
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty

QUICK = Dynesty(engine="dynesty", n_live=60, walks=10, dlogz=0.3)


class Isolated:
    """What a pool of processes does to dynesty's tasks, in this process: each works on a copy of its arguments.

    (With a pool that hands over the arguments themselves dynesty's queue holds views of live points that change under it.)
    """

    size = 8

    def map(self, function: Any, items: Any) -> list[Any]:
        return [function(copy.deepcopy(item)) for item in items]


def peer_of(problem: Problem, seed: int, n_live: int, **options: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Options of a dynesty sampler as a user would make it, and first points: from the same first points and generator."""
    units = generator(seed, "start").random((n_live, problem.n_dim))
    thetas = problem.priors.transform(units)
    first = [units, thetas, np.array([problem.log_likelihood(theta) for theta in thetas])]
    return {
        "loglikelihood": problem.log_likelihood,
        "prior_transform": problem.prior_transform,
        "ndim": problem.n_dim,
        "nlive": n_live,
        "sample": "rwalk",
        "rstate": generator(seed, "sampler"),
        "pool": Isolated(),
        "queue_size": 8,
        **options,
    }, first


def test_a_static_run_is_dynesty_s_to_the_bit() -> None:
    problem = analytic.gauss3().problem
    posterior = sample(problem, QUICK, seed=3, progress=False)
    options, first = peer_of(problem, 3, 60, walks=10)
    peer = dynesty.NestedSampler(**options, live_points=first)
    peer.ncall = 60
    peer.run_nested(dlogz=0.3, print_progress=False)
    assert np.array_equal(posterior.samples, peer.results.samples)
    assert np.array_equal(posterior.log_likelihood, peer.results.logl)
    assert np.array_equal(posterior.log_volume, peer.results.logvol)  # type: ignore[arg-type]
    assert posterior.log_evidence == peer.results.logz[-1]
    assert posterior.log_evidence_error == peer.results.logzerr[-1]
    assert posterior.information == peer.results.information[-1]


def test_a_dynamic_run_is_dynesty_s_to_the_bit() -> None:
    problem = analytic.gauss3().problem
    posterior = sample(
        problem, Dynesty(engine="dynesty", n_live=60, walks=6, dlogz=0.3, dynamic=True, n_effective=600), seed=3, progress=False
    )
    options, first = peer_of(problem, 3, 60, walks=6)
    peer = dynesty.DynamicNestedSampler(**options, use_pool={"stop_function": False})
    peer.ncall = 60
    peer.run_nested(dlogz_init=0.3, live_points=first, n_effective=600, print_progress=False)
    assert peer.batch >= 2
    assert stopping_function(peer.results, {"target_n_effective": 600})
    assert np.array_equal(posterior.samples, peer.results.samples)
    assert np.array_equal(posterior.n_live, peer.results.samples_n)  # type: ignore[arg-type]
    assert posterior.log_evidence == peer.results.logz[-1]


def nested_is_consistent(posterior: Posterior) -> None:
    """Points lie inside the contour they were born in, and live points follow from births alone."""
    assert posterior.birth_log_likelihood is not None
    assert posterior.log_volume is not None
    assert np.all(np.diff(posterior.log_likelihood) >= 0.0)
    assert np.all(np.diff(posterior.log_volume) < 0.0)
    born, values = posterior.birth_log_likelihood, posterior.log_likelihood
    assert np.all((values > born) | np.isneginf(born))
    assert np.array_equal(live_points(values, born), posterior.n_live)  # type: ignore[arg-type]


@pytest.mark.parametrize("dynamic", [False, True])
def test_births_live_points_and_ranks_fit_together(dynamic: bool) -> None:
    posterior = sample(
        analytic.gauss3().problem,
        Dynesty(engine="dynesty", n_live=60, walks=20, dlogz=0.1, dynamic=dynamic, n_effective=600 if dynamic else None),
        seed=3,
        progress=False,
    )
    nested_is_consistent(posterior)
    assert insertion_rank_test(posterior).p_value > 1e-4
    assert posterior.log_evidence_error is not None
    bootstrap = evidence_error_bootstrap(posterior, np.random.default_rng(1), n_bootstrap=60).error
    assert 0.5 < bootstrap / posterior.log_evidence_error < 2.0


def test_births_follow_the_slots() -> None:
    slots, values = np.array([2, 0, 2, 1, 0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    starts = np.array([-np.inf, 0.5, -np.inf, -np.inf, 0.5])
    assert np.array_equal(births(slots, values, starts), [-np.inf, 0.5, 1.0, -np.inf, 2.0])


@pytest.mark.parametrize(
    ("proposal", "bound"),
    [("unif", "multi"), ("unif", "none"), ("rslice", "single"), ("slice", "multi"), ("rwalk", "balls"), ("rwalk", "cubes")],
)
def test_every_proposal_and_kind_of_bound_finds_the_evidence(proposal: Any, bound: Any) -> None:
    """2-D unit Gaussian in a box of side 10: ln Z = ln(2 pi) - 2 ln 10 = -2.767293, by hand."""
    problem = likelihoods.of(likelihoods.gauss)
    posterior = sample(problem, Dynesty(engine="dynesty", n_live=40, proposal=proposal, bound=bound, dlogz=0.3), seed=2, progress=False)
    assert posterior.log_evidence is not None
    assert abs(posterior.log_evidence - (np.log(2.0 * np.pi) - 2.0 * np.log(10.0))) < 4.5 * posterior.log_evidence_error  # type: ignore[operator]


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_constrained_prior_is_normalised(dynamic: bool) -> None:
    """hole: -3 ln 20 - ln 0.7 + ln Phi(4) = -8.630554, by hand; every point inside the region."""
    known = analytic.hole()
    posterior = sample(
        known.problem,
        Dynesty(engine="dynesty", n_live=60, walks=20, dlogz=0.1, dynamic=dynamic, n_effective=600 if dynamic else None),
        seed=3,
        progress=False,
    )
    assert posterior.log_evidence is not None
    assert abs(posterior.log_evidence + 8.630554) < 4.5 * posterior.log_evidence_error  # type: ignore[operator]
    assert np.all(known.problem.priors.inside(posterior.samples))
    nested_is_consistent(posterior)


def test_a_plateau_is_integrated() -> None:
    known = analytic.plateau()
    posterior = sample(known.problem, Dynesty(engine="dynesty", n_live=60, walks=20, dlogz=0.1), seed=3, progress=False)
    assert posterior.log_evidence is not None
    assert abs(posterior.log_evidence - known.log_evidence) < 4.5 * posterior.log_evidence_error  # type: ignore[operator]


def test_many_zeros_among_the_first_points_warn_when_live_points_are_few() -> None:
    problem = likelihoods.of(likelihoods.zero_on_the_left)
    with pytest.warns(SciinfWarning, match=r"zero \(ln L = -inf\) at \d+ of the first 60 points.*200 live points.*constrained"):
        posterior = sample(problem, QUICK, seed=2, progress=False)
    zero = np.isneginf(posterior.log_likelihood)
    assert 5 < np.count_nonzero(zero) < 35
    assert np.all(posterior.weights[zero] == 0.0)
    assert posterior.birth_log_likelihood is not None
    assert np.isneginf(posterior.birth_log_likelihood).sum() == 60
    with warnings.catch_warnings():
        warnings.simplefilter("error", SciinfWarning)
        sample(problem, Dynesty(engine="dynesty", n_live=220, walks=5, dlogz=2.0), seed=2, progress=False)


@pytest.mark.slow
def test_zeros_in_part_of_the_prior_do_not_bias_the_evidence() -> None:
    """Mean over 24 seeds at n_live 100: dynesty's own first points give -0.32 +- 0.03 here; truth ln(2 pi) - 2 ln 10 + ln Phi(2)."""
    problem, values, errors = likelihoods.of(likelihoods.zero_on_the_left), [], []
    for seed in range(24):
        with pytest.warns(SciinfWarning, match="first 100 points"):
            posterior = sample(problem, Dynesty(engine="dynesty", n_live=100, walks=30), seed=seed, progress=False)
        values.append(posterior.log_evidence)
        errors.append(posterior.log_evidence_error)
    truth = np.log(2.0 * np.pi) - 2.0 * np.log(10.0) + np.log(0.9772499)
    mean = np.mean(values)  # type: ignore[arg-type]
    assert abs(mean - truth) < 4.0 * np.sqrt(np.mean(np.square(errors)) / len(errors))  # type: ignore[arg-type]


def test_a_likelihood_that_is_zero_everywhere_says_how_many_points_were_tried_and_where() -> None:
    with pytest.raises(LikelihoodError, match=r"1200 points of the prior were tried.*every one.*x in \[-5, 5\], y in \[-5, 5\]"):
        sample(likelihoods.of(likelihoods.zero_everywhere), QUICK, seed=1, progress=False)


def test_nan_can_be_rejected_and_is_counted() -> None:
    problem = likelihoods.of(likelihoods.nan_beyond_two, on_nan="reject")
    posterior = sample(problem, Dynesty(engine="dynesty", n_live=220, walks=5, dlogz=1.0), seed=1, progress=False)
    assert np.max(posterior.column("x")[posterior.weights > 0.0]) <= 2.0
    assert posterior.meta["counts"]["rejected"] > 0


def _angle(theta: np.ndarray) -> float:
    return 30.0 * float(np.cos(theta[0]))


@pytest.mark.parametrize("names", [("phase",), ("phase", "other")])
@pytest.mark.filterwarnings("ignore:.*other never changed the likelihood")
def test_a_periodic_parameter_wraps(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """von Mises at the seam of [0, 2 pi): ln Z = ln I_0(30) = 27.384701 (scipy.special.ive); half the mass at each end."""
    engine = FunctionEngine(_angle, list(names), version="1")
    problem = Problem(engine, PriorSet([Parameter(name, Uniform(0.0, 2.0 * np.pi), periodic=True) for name in names]))
    posterior = sample(problem, Dynesty(engine="dynesty", n_live=60, walks=15, dlogz=0.1), seed=2, progress=False)
    assert posterior.meta["sampler"]["periodic"] == ([] if len(names) == 1 else [1])
    assert posterior.log_evidence is not None
    assert abs(posterior.log_evidence - 27.384701) < 4.5 * posterior.log_evidence_error  # type: ignore[operator]
    low = float(np.sum(posterior.weights[posterior.samples[:, 0] < np.pi]))
    assert abs(low - 0.5) < 4.5 * 0.5 / np.sqrt(posterior.ess)


def test_too_few_live_points_for_the_dimension_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"more than 2 n_dim = 20 for .*, got 20"):
        sample(analytic.gauss10().problem, Dynesty(engine="dynesty", n_live=20), seed=1, progress=False)


@pytest.mark.filterwarnings("ignore:prior. a, b, c never changed the likelihood")
def test_dynesty_s_warnings_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sciinf.samplers.dynesty"):
        sample(analytic.prior().problem, Dynesty(engine="dynesty", n_live=50, walks=5), seed=1, progress=False)
    assert any("plateau" in record.message for record in caplog.records)


@pytest.mark.slow
def test_the_default_walk_is_unbiased_on_the_funnel() -> None:
    """funnel5, 12 seeds at n_live 200: mean pull within 4 sigma, rms pull in [0.4, 1.6]."""
    known = analytic.funnel5()
    pulls = []
    for seed in range(12):
        posterior = sample(known.problem, Dynesty(engine="dynesty", n_live=200), seed=seed, progress=False)
        assert posterior.log_evidence is not None
        assert posterior.log_evidence_error is not None
        pulls.append((posterior.log_evidence - known.log_evidence) / posterior.log_evidence_error)
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(len(pulls))
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.6
