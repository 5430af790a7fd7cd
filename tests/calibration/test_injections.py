"""Campaigns: the same results for any workers and order, resumed unit by unit, never a replica dropped."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sciinf.calibration import analytic, injections, sbc
from sciinf.core.errors import ConfigError, ConvergenceError, ResumeError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.problem import Problem
from sciinf.samplers.settings import Dynesty, Emcee

SETTINGS = Emcee(n_walkers=32, moves="de")
N = 12


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[injections.Campaign, Path]:
    folder = tmp_path_factory.mktemp("campaign") / "runs"
    return injections.campaign(analytic.line(), N, 1, SETTINGS, directory=folder), folder


def test_shapes_and_what_is_kept(finished: tuple[injections.Campaign, Path]) -> None:
    result, folder = finished
    assert result.names == ("intercept", "slope")
    assert len(result) == N
    assert result.draws.shape == (N, sbc.N_DRAWS, 2)
    assert np.all(np.isnan(result.log_evidence))
    assert np.all(result.attempts >= 1)
    assert np.all(result.calls > 1000)
    assert sorted(path.name for path in (folder / "units").iterdir()) == [f"unit-{i:06d}.bin" for i in range(N)]


def test_each_unit_agrees_with_its_exact_posterior(finished: tuple[injections.Campaign, Path]) -> None:
    """Mean within 5 standard errors (std / sqrt(ESS)) of the exact one; z-scores and ranks follow from truth and draws."""
    result, _ = finished
    problem = analytic.line()
    for i in range(N):
        theta = problem.priors.sample(injections.generator(1, f"theta/{i}"), 1)[0]
        assert np.array_equal(theta, result.theta[i])
        mean, covariance, _ = analytic.line_posterior(problem.simulate(theta, injections.generator(1, f"simulate/{i}")))
        sigma = np.sqrt(np.diag(covariance))
        assert np.all(np.abs(result.mean[i] - mean) < 5.0 * sigma / np.sqrt(result.ess[i]))
        assert result.std[i] == pytest.approx(sigma, rel=5.0 / np.sqrt(result.ess[i]))
    assert np.array_equal(result.ranks, np.sum(result.draws < result.theta[:, None, :], axis=1))
    assert result.z == pytest.approx((result.mean - result.theta) / result.std)


def test_same_results_for_threads_processes_and_any_part_of_them(finished: tuple[injections.Campaign, Path], tmp_path: Path) -> None:
    result, folder = finished
    with ThreadPoolExecutor(2) as executor:
        threads = injections.campaign(analytic.line(), 4, 1, SETTINGS, workers=executor)
    assert np.array_equal(threads.draws, result.draws[:4])
    processes = injections.campaign(analytic.line(), 4, 1, SETTINGS, workers=2, directory=tmp_path / "two")
    assert np.array_equal(processes.draws, result.draws[:4])
    for path in (tmp_path / "two" / "units").iterdir():
        assert path.read_bytes() == (folder / "units" / path.name).read_bytes()


def test_another_seed_is_another_campaign(finished: tuple[injections.Campaign, Path]) -> None:
    other = injections.campaign(analytic.line(), 1, 2, SETTINGS)
    assert not np.array_equal(other.theta[0], finished[0].theta[0])
    assert other.key != finished[0].key


def test_resumes_what_is_missing_and_reads_the_rest(
    finished: tuple[injections.Campaign, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, folder = finished
    copy = shutil.copytree(folder, tmp_path / "copy")
    for i in (0, 7):
        (copy / "units" / f"unit-{i:06d}.bin").unlink()
    done: list[int] = []
    original = injections._sampled
    monkeypatch.setattr(injections, "_sampled", lambda unit, problem: done.append(unit.index) or original(unit, problem))
    again = injections.campaign(analytic.line(), N, 1, SETTINGS, directory=copy)
    assert done == [0, 7]
    assert again.content_hash() == result.content_hash()
    assert again.key == result.key
    longer = injections.campaign(analytic.line(), N + 1, 1, SETTINGS, directory=copy)
    assert done == [0, 7, N]
    assert np.array_equal(longer.draws[:N], result.draws)


def test_refuses_the_directory_of_another_campaign(finished: tuple[injections.Campaign, Path]) -> None:
    _, folder = finished
    with pytest.raises(ResumeError, match=r"seed 1 \(now 2\)"):
        injections.campaign(analytic.line(), N, 2, SETTINGS, directory=folder)
    with pytest.raises(ResumeError, match="settings"):
        injections.campaign(analytic.line(), N, 1, Emcee(n_walkers=64), directory=folder)


def test_refuses_a_damaged_unit_and_a_damaged_record(finished: tuple[injections.Campaign, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(finished[1], tmp_path / "copy")
    path = copy / "units" / "unit-000003.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResumeError, match=r"Delete unit-000003\.bin"):
        injections.campaign(analytic.line(), N, 1, SETTINGS, directory=copy)
    (copy / "campaign.json").write_text("{")
    with pytest.raises(ResumeError, match="no JSON"):
        injections.campaign(analytic.line(), N, 1, SETTINGS, directory=copy)


def test_no_file_holds_a_path_or_a_pickle(finished: tuple[injections.Campaign, Path]) -> None:
    for path in finished[1].rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(finished[1]).encode() not in content
            assert b"pickle" not in content
    assert json.loads((finished[1] / "campaign.json").read_text())["seed"] == 1


def test_a_short_replica_is_run_longer_and_never_dropped() -> None:
    """60 steps are not 50 autocorrelation times: the unit doubles them until they are, and says how often it had to."""
    result = injections.campaign(analytic.line(), 2, 1, Emcee(n_walkers=32, n_steps=60, moves="de"))
    assert np.all(result.attempts > 1)
    assert np.all(result.ranks >= 0)


def test_a_nested_unit_reaches_an_ess_of_1000_and_reports_evidence() -> None:
    problem = analytic.line()
    result = injections.campaign(problem, 1, 1, Dynesty(n_live=100, proposal="unif", bound="single"))
    assert result.attempts[0] > 1
    assert result.ess[0] >= 1000
    simulated = problem.simulate(result.theta[0], injections.generator(1, "simulate/0"))
    pull = (result.log_evidence[0] - analytic.line_posterior(simulated)[2]) / result.log_evidence_error[0]
    assert abs(pull) < 4.5


def test_a_dynamic_unit_is_run_to_more_effective_samples() -> None:
    settings = Dynesty(n_live=60, dynamic=True, n_effective=300, proposal="unif", bound="single")
    result = injections.campaign(analytic.line(), 1, 1, settings)
    assert result.attempts[0] == 2
    assert result.ess[0] >= 1000


def test_gives_up_with_the_unit_named() -> None:
    with pytest.raises(ConvergenceError, match="line, unit 0: 199 independent draws were not reached in 6 runs"):
        injections.campaign(analytic.line(), 1, 1, Emcee(n_walkers=4, n_steps=1))


def test_campaign_over_runs_a_list_with_its_own_data() -> None:
    rng, problem = np.random.default_rng(1), analytic.line()
    thetas = problem.priors.sample(rng, 3)
    problems = [problem.simulate(theta, rng) for theta in thetas]
    blind = injections.campaign_over(problems, SETTINGS, 5)
    known = injections.campaign_over(problems, SETTINGS, 5, thetas=thetas)
    assert np.array_equal(blind.draws, known.draws)
    assert np.all(blind.ranks == -1)
    assert np.all(np.isnan(blind.z))
    assert np.array_equal(known.ranks, np.sum(known.draws < thetas[:, None, :], axis=1))
    seeds = injections.campaign_over([problems[0]] * 2, SETTINGS, 5)
    assert np.array_equal(seeds.draws[0], blind.draws[0])
    assert not np.array_equal(seeds.draws[0], seeds.draws[1])


def test_a_worker_that_does_not_see_the_directory_says_so_before_it_works(tmp_path: Path) -> None:
    unit = injections._Unit(3, 1, SETTINGS, 199, tmp_path / "elsewhere" / "units" / "unit-000003.bin")
    with pytest.raises(ConfigError, match=r"line, unit 3: a worker cannot see the campaign's directory.*share"):
        injections._run_unit(analytic.line(), unit)


def test_seeds_of_one_problem_do_not_carry_it_each(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, sizes = analytic.line(), []
    original = injections._run_unit
    monkeypatch.setattr(injections, "_run_unit", lambda held, unit: sizes.append(len(pickle.dumps(unit))) or original(held, unit))
    injections.campaign_over([problem] * 2, SETTINGS, 5)
    assert max(sizes) < 1000 < len(pickle.dumps(problem))


@pytest.mark.parametrize(("n", "message"), [(0, "n must be a positive integer"), (True, "n must be"), (2.5, "2.5")])
def test_refuses_a_number_of_units_that_is_none(n: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        injections.campaign(analytic.line(), n, 1, SETTINGS)  # type: ignore[arg-type]


def log_flat(theta: np.ndarray) -> float:
    return 0.0


def test_refuses_what_it_cannot_run() -> None:
    priors = analytic.line().priors
    silent = Problem(FunctionEngine(log_flat, priors.names, version="1"), priors)
    with pytest.raises(ConfigError, match="campaign_over takes given data"):
        injections.campaign(silent, 1, 1, SETTINGS)
    with pytest.raises(ConfigError, match="at least one problem"):
        injections.campaign_over([], SETTINGS, 1)
    with pytest.raises(ConfigError, match="same parameters"):
        injections.campaign_over([analytic.line(), analytic.gauss3().problem], SETTINGS, 1)
    with pytest.raises(ConfigError, match="settings must be"):
        injections.campaign(analytic.line(), 1, 1, "emcee")  # type: ignore[arg-type]
