"""Nested runs taken apart: against dynesty on the same runs, and against what must hold or must fail."""

from __future__ import annotations

import dataclasses
from typing import Any

import dynesty.utils
import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.results import diagnostics, nested
from sciinf.results.posterior import Posterior
from sciinf.results.weights import log_sum_exp


def perfect_run(rng: np.random.Generator, n_live: int, n_dead: int, *, cheat: float = 1.0) -> Posterior:
    """A static run by exact draws: ln L = -X is uniform over the volume inside, so each new X is uniform in (0, X*).

    ``cheat`` < 1 draws from the upper part of the contour only: a sampler that misses its outskirts.
    """
    live_x, live_birth = rng.uniform(size=n_live), np.full(n_live, -np.inf)
    x, birth = [], []
    for _ in range(n_dead):
        worst = int(np.argmax(live_x))
        x.append(live_x[worst])
        birth.append(live_birth[worst])
        live_birth[worst] = -live_x[worst]
        live_x[worst] *= cheat * rng.uniform()
    order = np.argsort(-live_x)
    log_l = -np.concatenate([x, live_x[order]])
    n = len(log_l)
    count = np.minimum(np.arange(n, 0, -1), n_live)
    log_volume = np.cumsum(np.log(count / (count + 1.0)))
    integral = nested.integrate(log_l, log_volume)
    return Posterior(
        samples=-log_l[:, None],
        log_weights=integral.log_weights,
        log_likelihood=log_l,
        log_prior=np.zeros(n),
        names=("x",),
        log_evidence=integral.log_evidence,
        log_evidence_error=integral.log_evidence_error,
        information=integral.information,
        birth_log_likelihood=np.concatenate([birth, live_birth[order]]),
        n_live=count,
        log_volume=log_volume,
    )


def test_integral_is_dynesty_s(static_runs: list[Any], dynamic_run: Any) -> None:
    for results in [*static_runs, dynamic_run]:
        found = nested.integrate(np.asarray(results.logl), np.asarray(results.logvol))
        assert found.log_evidence == pytest.approx(results.logz[-1], abs=1e-10)
        assert found.log_evidence_error == pytest.approx(results.logzerr[-1], rel=1e-10)
        assert found.information == pytest.approx(results.information[-1], abs=1e-10)
        assert np.allclose(found.log_weights, results.logwt, rtol=0, atol=1e-10)


def test_integral_with_minus_infinity_at_the_start() -> None:
    """L = 0 on the outer 30 % and 1 inside: Z = 0.7, to the resolution of the shells."""
    count = np.full(4000, 400)
    log_volume = np.cumsum(np.log(count / (count + 1.0)))
    log_l = np.where(np.exp(log_volume) > 0.7, -np.inf, 0.0)
    found = nested.integrate(log_l, log_volume)
    assert found.log_evidence == pytest.approx(np.log(0.7), abs=3e-3)
    assert np.isfinite([found.log_evidence_error, found.information]).all()


def test_live_points_and_threads_are_dynesty_s(
    nested_runs: list[Posterior], static_runs: list[Any], dynamic: Posterior, dynamic_run: Any
) -> None:
    for posterior, results in zip([*nested_runs, dynamic], [*static_runs, dynamic_run], strict=True):
        death, birth = posterior.log_likelihood, np.asarray(posterior.birth_log_likelihood)
        assert np.array_equal(nested.live_points(death, birth), posterior.n_live)
        label = nested.threads(death, birth)
        assert label.max() + 1 == len(np.unique(results.samples_id))
        if not results.isdynamic():  # there the partition is unique too
            pairs = {(int(a), int(b)) for a, b in zip(label, results.samples_id, strict=True)}
            assert len(pairs) == label.max() + 1


def test_one_resampled_run_is_dynesty_s_to_rounding(
    static_runs: list[Any], dynamic_run: Any, nested_runs: list[Posterior], dynamic: Posterior
) -> None:
    """The same strands drawn by dynesty's ``resample_run``: the same ln Z."""
    for posterior, results in ((nested_runs[0], static_runs[0]), (dynamic, dynamic_run)):
        strand = np.asarray(results.samples_id)
        end = np.zeros(len(strand), dtype=bool)
        end[[np.flatnonzero(strand == label)[-1] for label in np.unique(strand)]] = True
        for seed in range(5):
            theirs, index = dynesty.utils.resample_run(results, rstate=np.random.default_rng(seed), return_idx=True)
            ours = nested._one_bootstrap(posterior.log_likelihood, np.asarray(posterior.birth_log_likelihood), end, [np.asarray(index)])
            assert ours == pytest.approx(theirs.logz[-1], abs=1e-10)


def test_bootstrap_error_is_dynesty_s(nested_runs: list[Posterior], static_runs: list[Any]) -> None:
    """400 resampled runs each: the ratio of two standard deviations is 1 within 5 / sqrt(400)."""
    found = diagnostics.evidence_error_bootstrap(nested_runs[0], np.random.default_rng(1), n_bootstrap=400)
    theirs = np.std(
        [dynesty.utils.resample_run(static_runs[0], rstate=np.random.default_rng(seed)).logz[-1] for seed in range(400)], ddof=1
    )
    assert found.log_evidences.shape == (400,)
    assert found.error == pytest.approx(np.std(found.log_evidences, ddof=1))
    assert abs(np.log(found.error / theirs)) < 5.0 / np.sqrt(400)


def test_bootstrap_error_is_the_scatter_over_runs() -> None:
    """80 exact runs of L = e^-x with n_live 25: mean bootstrap variance over the variance of ln Z across runs.

    The latter has relative error sqrt(2 / 79); 4 of them. The same with errors 1.6 times too small must fail.
    """
    rng = np.random.default_rng(5)
    runs = [perfect_run(rng, 25, 150) for _ in range(80)]
    scatter = np.var([run.log_evidence for run in runs], ddof=1)
    stated = np.mean([diagnostics.evidence_error_bootstrap(run, rng, n_bootstrap=40).error ** 2 for run in runs])
    assert abs(np.log(stated / scatter)) < 4.0 * np.sqrt(2.0 / 79.0)
    assert abs(np.log(stated / 1.6**2 / scatter)) > np.sqrt(2.0 / 79.0) * 4.0


def test_bootstrap_refuses(chains: Posterior, nested: Posterior) -> None:
    with pytest.raises(DataError, match="birth_log_likelihood"):
        diagnostics.evidence_error_bootstrap(chains, np.random.default_rng(1))
    with pytest.raises(ConfigError, match="at least 2"):
        diagnostics.evidence_error_bootstrap(nested, np.random.default_rng(1), n_bootstrap=1)
    outside = dataclasses.replace(nested, birth_log_likelihood=nested.log_likelihood + 1.0)
    with pytest.raises(DataError, match=r"point 0 has ln L = .*, below the contour of its birth"):
        diagnostics.evidence_error_bootstrap(outside, np.random.default_rng(1))
    lonely = dataclasses.replace(nested, birth_log_likelihood=np.append(-np.inf, nested.log_likelihood[:-1]))
    with pytest.raises(DataError, match="1 thread"):
        diagnostics.evidence_error_bootstrap(lonely, np.random.default_rng(1))


def test_insertion_ranks_by_counting(nested_runs: list[Posterior]) -> None:
    """The ranks, from a replay of the run with a list of live points."""
    posterior = nested_runs[0]
    death, birth = posterior.log_likelihood, np.asarray(posterior.birth_log_likelihood)
    rank, alive = nested.insertion_ranks(death, birth)
    live = sorted(death[np.isneginf(birth)])
    for contour in death:
        live.pop(0)
        for i in np.flatnonzero(birth == contour):
            assert rank[i] == np.searchsorted(live, death[i])
            live.insert(int(rank[i]), death[i])
            assert alive[i] == len(live)
    assert np.all(rank[np.isneginf(birth)] == -1)


def test_insertion_ranks_of_exact_runs_are_uniform_and_of_broken_ones_not() -> None:
    """p-values of 60 exact runs: smallest above 1e-5, their mean 1/2 within 5 standard errors; a sampler that misses the outer
    20 % of each contour fails at 1e-6 in each of 5 runs, in the whole and in the worst stretch."""
    rng = np.random.default_rng(6)
    results = [diagnostics.insertion_rank_test(perfect_run(rng, 40, 400)) for _ in range(60)]
    for p in (np.array([r.p_value for r in results]), np.array([r.p_value_worst_stretch for r in results])):
        assert p.min() > 1e-5
        assert abs(p.mean() - 0.5) < 5.0 * np.sqrt(1.0 / 12.0 / 60.0)
    for _ in range(5):
        broken = diagnostics.insertion_rank_test(perfect_run(rng, 40, 400, cheat=0.8))
        assert broken.p_value < 1e-6
        assert broken.n == 400


def test_insertion_test_of_real_runs_passes(nested_runs: list[Posterior], dynamic: Posterior) -> None:
    for posterior in [*nested_runs, dynamic]:
        assert diagnostics.insertion_rank_test(posterior).p_value > 1e-4


def test_given_ranks_are_used_and_checked(nested: Posterior) -> None:
    rank, _ = nested_ranks = _ranks(nested)
    same = dataclasses.replace(nested, insertion_rank=rank)
    assert diagnostics.insertion_rank_test(same) == diagnostics.insertion_rank_test(nested)
    low = dataclasses.replace(nested, insertion_rank=np.minimum(rank, 20))
    assert diagnostics.insertion_rank_test(low).p_value < 1e-10
    beyond = dataclasses.replace(nested, insertion_rank=np.where(rank >= 0, nested_ranks[1], -1))
    with pytest.raises(DataError, match="is not below the 60 live points"):
        diagnostics.insertion_rank_test(beyond)


def _ranks(posterior: Posterior) -> tuple[np.ndarray, np.ndarray]:
    return nested.insertion_ranks(posterior.log_likelihood, np.asarray(posterior.birth_log_likelihood))


def test_points_of_likelihood_zero_keep_their_threads(hole_run: Any, hole: Posterior) -> None:
    """Half of the prior at ln L = -inf: as many threads as strands, and the ln Z of dynesty's resampled runs."""
    assert np.isneginf(hole.log_likelihood).sum() > 10
    _, death, birth = nested.sorted_deaths(hole)
    assert nested.threads(death, birth).max() + 1 == len(np.unique(hole_run.samples_id)) == 50
    found = diagnostics.evidence_error_bootstrap(hole, np.random.default_rng(2), n_bootstrap=200)
    theirs = [dynesty.utils.resample_run(hole_run, rstate=np.random.default_rng(seed)).logz[-1] for seed in range(200)]
    assert abs(np.log(found.error / np.std(theirs, ddof=1))) < 5.0 / np.sqrt(200)
    assert abs(found.log_evidences.mean() - np.mean(theirs)) < 5.0 * np.std(theirs) * np.sqrt(2.0 / 200)


def test_plateaus_do_not_break_threads() -> None:
    """Points born at a plateau of equal likelihood, one even at its own height: each gets a label of an earlier point or its own."""
    death = np.array([1.0, 1.0, 1.0, 2.0, 3.0, 3.0])
    birth = np.array([-np.inf, -np.inf, 1.0, 1.0, 3.0, 1.0])
    assert nested.threads(death, birth).tolist() == [0, 1, 0, 1, 2, 0]
    assert nested.live_points(death, birth).tolist() == [2, 1, 1, 2, 1, 1]


def test_order_of_points_does_not_matter(nested: Posterior) -> None:
    """A file sorted otherwise gives the same answers."""
    mixed = np.random.default_rng(3).permutation(len(nested))
    fields = ("samples", "log_weights", "log_likelihood", "log_prior", "derived", "birth_log_likelihood", "n_live", "log_volume")
    shuffled = dataclasses.replace(nested, **{name: getattr(nested, name)[mixed] for name in fields})
    assert diagnostics.insertion_rank_test(shuffled) == diagnostics.insertion_rank_test(nested)
    one, other = (diagnostics.evidence_error_bootstrap(item, np.random.default_rng(4), n_bootstrap=20) for item in (nested, shuffled))
    assert np.array_equal(one.log_evidences, other.log_evidences)


def test_perfect_run_s_evidence_is_right() -> None:
    """Z = 1 - 1/e for L = e^-x: the mean of 40 runs within 4 standard errors; guards the toy itself."""
    rng = np.random.default_rng(8)
    values = [perfect_run(rng, 50, 400).log_evidence for _ in range(40)]
    assert abs(np.mean(values) - np.log(1.0 - np.exp(-1.0))) < 4.0 * np.std(values, ddof=1) / np.sqrt(40)
    assert log_sum_exp(perfect_run(rng, 50, 400).log_weights) == pytest.approx(0.0, abs=1e-10)
