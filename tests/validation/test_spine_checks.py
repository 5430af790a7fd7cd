"""The suite's own checks: right answers pass, each kind of wrong answer fails."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sciinf.calibration import analytic
from sciinf.calibration.injections import Campaign
from sciinf.samplers.settings import Emcee
from sciinf.validation import spine_checks as checks
from sciinf.validation.spine_runs import same_hash

KNOWN = analytic.gauss3()


def campaign(n: int = 12, seed: int = 1, n_draws: int = 60, ess: float = 500.0) -> Campaign:
    """What a perfect sampler would give for gauss3: log Z with its stated error, moments with those of ``ess`` draws."""
    rng = np.random.default_rng(seed)
    assert KNOWN.mean is not None
    assert KNOWN.covariance is not None
    draws = rng.multivariate_normal(KNOWN.mean, KNOWN.covariance, size=(n, n_draws))
    samples = rng.multivariate_normal(KNOWN.mean, KNOWN.covariance, size=(n, int(ess)))
    error = np.full(n, 0.2)
    blank, counts = np.full((n, 3), np.nan), np.ones(n, dtype=np.int64)
    return Campaign(
        names=KNOWN.problem.names,
        theta=blank,
        ranks=np.full((n, 3), -1),
        mean=samples.mean(axis=1),
        std=samples.std(axis=1, ddof=1),
        draws=draws,
        log_evidence=KNOWN.log_evidence + error * rng.standard_normal(n),
        log_evidence_error=error,
        ess=np.full(n, ess),
        calls=counts,
        attempts=counts,
        key="",
    )


def outcomes(verdicts: list) -> list[bool]:
    return [verdict.passed for verdict in verdicts]


def test_evidence_passes_the_right_one() -> None:
    assert outcomes(checks.evidence("x", KNOWN, campaign(), n_live=100)) == [True, True]
    assert outcomes(checks.evidence("x", KNOWN, campaign(1), n_live=100)) == [True]  # no rms pull of one seed


def test_evidence_fails_on_one_outlier_a_bias_and_a_wrong_error() -> None:
    healthy = campaign()
    outlier = healthy.log_evidence.copy()
    outlier[3] = KNOWN.log_evidence + 0.9
    assert outcomes(checks.evidence("x", KNOWN, dataclasses.replace(healthy, log_evidence=outlier), n_live=100))[0] is False
    biased = dataclasses.replace(healthy, log_evidence=healthy.log_evidence + 0.4)
    assert outcomes(checks.evidence("x", KNOWN, biased, n_live=100))[1] is False
    for factor in (0.4, 4.0):  # an error stated too small, or too large
        wrong = dataclasses.replace(healthy, log_evidence_error=factor * healthy.log_evidence_error)
        assert outcomes(checks.evidence("x", KNOWN, wrong, n_live=100))[1] is False


def test_a_constant_likelihood_has_evidence_one() -> None:
    known = analytic.prior()
    good = dataclasses.replace(campaign(), log_evidence=np.full(12, 0.002))
    assert outcomes(checks.evidence("x", known, good, n_live=1000)) == [True]
    assert outcomes(checks.evidence("x", known, dataclasses.replace(good, log_evidence=np.full(12, 0.02)), n_live=1000)) == [False]


@pytest.mark.parametrize("n", [1, 12])
def test_moments_pass_when_right_and_fail_when_wrong(n: int) -> None:
    healthy = campaign(n)
    assert outcomes(checks.moments("x", KNOWN, healthy)) == [True]
    for fault in ({"shift": 0.4}, {"width": 1.3}):
        verdict = checks.moments(
            "x", KNOWN, dataclasses.replace(healthy, mean=broken_mean(healthy, **fault), std=broken_std(healthy, **fault))
        )[0]
        assert not verdict.passed
        assert ("variance" if "width" in fault else "mean") in verdict.detail


def broken_mean(result: Campaign, *, width: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return result.mean + shift * result.std


def broken_std(result: Campaign, *, width: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return width * result.std


def test_moments_are_skipped_where_unknown() -> None:
    unknown = analytic.AnalyticProblem(KNOWN.problem, 0.0)
    assert checks.moments("x", unknown, campaign()) == []


def test_false_alarms_of_moments_are_rare() -> None:
    """200 perfect campaigns of 12 seeds, 6 statistics each: 4 sigma is passed by 1 - 6.3e-5 of them."""
    alarms = sum(not checks.moments("x", KNOWN, campaign(seed=seed, n_draws=1))[0].passed for seed in range(200))
    assert alarms <= 1


def test_prior_returned_or_not() -> None:
    known = analytic.prior()
    draws = known.problem.priors.sample(np.random.default_rng(2), 600).reshape(12, 50, 3)
    healthy = dataclasses.replace(campaign(), names=known.problem.names, draws=draws, mean=draws.mean(axis=1), std=draws.std(axis=1))
    assert checks.prior_returned("x", known, healthy).passed
    assert not checks.prior_returned("x", known, dataclasses.replace(healthy, draws=0.8 * draws)).passed


def test_agreement_passes_equal_and_fails_different_samplers() -> None:
    first, second = campaign(seed=3), campaign(seed=4)
    assert outcomes(checks.agreement("x", first, second, seed=1, classify=True)) == [True, True]
    wide = dataclasses.replace(second, draws=1.3 * second.draws)
    assert not checks.agreement("x", first, wide, seed=1)[0].passed


def test_evidence_row_has_a_cell_per_column() -> None:
    from sciinf.validation import spine

    assert len(checks.evidence_row("x", KNOWN, campaign())) == len(spine._HEADER)


def test_samplers_of_one_algorithm_must_cost_the_same() -> None:
    plain = campaign()
    first = dataclasses.replace(plain, calls=np.full(len(plain), 1000))
    dearer = dataclasses.replace(first, calls=np.full(len(plain), 1120))
    poorer = dataclasses.replace(first, ess=0.88 * first.ess)
    assert [v.passed for v in checks.same_cost("x", first, first)] == [True, True]
    assert [v.passed for v in checks.same_cost("x", dearer, first)] == [False, True]
    assert [v.passed for v in checks.same_cost("x", poorer, first)] == [True, False]


def test_same_hash_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.validation import spine_runs

    settings, problem = Emcee(n_walkers=8, n_steps=40), KNOWN.problem
    assert same_hash("x", problem, settings, {"1": 1}, seed=1).passed
    real, seeds = spine_runs.sample, iter((1, 2, 1))
    monkeypatch.setattr(spine_runs, "sample", lambda *a, seed, workers, progress: real(*a, seed=next(seeds), workers=1, progress=False))
    verdict = same_hash("x", problem, settings, {"1": 1, "2": 2}, seed=1)
    assert not verdict.passed
    assert verdict.detail == "differs at workers 1"
