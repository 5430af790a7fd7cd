"""The r3d suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.calibration import sbc
from sciinf.calibration.injections import campaign
from sciinf.calibration.verdict import Verdict
from sciinf.core.errors import ConfigError
from sciinf.core.problem import Problem
from sciinf.engines.r3d import R3D, R3DSettings, RaggedSample
from sciinf.engines.r3d.simulate import dgp1
from sciinf.samplers.pools import SerialPool
from sciinf.samplers.settings import Emcee
from sciinf.validation import r3d, r3d_scale, rates, suites
from sciinf.validation import r3d_checks as checks
from sciinf.validation import r3d_controls as controls
from sciinf.validation import r3d_coverage as bands
from sciinf.validation import r3d_designs as designs
from sciinf.validation import r3d_likelihood as likelihood
from sciinf.validation import r3d_reference as reference
from sciinf.validation.suite import Recorder, SuiteResult

pytestmark = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "r3d"


# ---- checks ----


def test_wilson() -> None:
    """Published values (Newcombe 1998, table I): 81 of 263, 15 of 148, 0 of 20."""
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert rates.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def flags(hits: int, n: int) -> list[bool]:
    return [True] * hits + [False] * (n - hits)


def test_windows() -> None:
    assert rates.window("right", flags(95, 100), 0.92, 0.97).passed
    assert not rates.window("low", flags(80, 100), 0.92, 0.97).passed
    assert not rates.window("high", flags(1000, 1000), 0.92, 0.97).passed
    assert not rates.window("floor", flags(92, 100), 0.92, 0.97, floor=0.91).passed
    assert rates.window("floor", flags(940, 1000), 0.92, 0.97, floor=0.91).passed


def test_rank_verdicts() -> None:
    """Uniform ranks pass all three; each kind of fault fails its own."""
    rng = np.random.default_rng(1)
    even = rng.integers(0, sbc.N_DRAWS + 1, (300, 2))
    assert all(verdict.passed for verdict in checks.rank_verdicts(even, ["a", "b"]).values())
    narrow = np.where(rng.uniform(size=(300, 2)) < 0.5, even // 2 + 50, even)
    found = checks.rank_verdicts(narrow, ["a", "b"])
    assert not found["variance"].passed
    assert found["mean"].passed
    moved = np.column_stack([even[:, 0], np.minimum(even[:, 1] + 25, sbc.N_DRAWS)])
    found = checks.rank_verdicts(moved, ["a", "b"])
    assert not found["mean"].passed
    assert "of b" in found["mean"].detail
    assert not found["uniform"].passed


def test_replicas_are_the_same_in_any_process() -> None:
    pool = SerialPool(likelihood.effect_problem(1))
    found = checks.mapped(pool, bands.nullity_replica, [5, 6], 200, 20, 1.0)
    assert found == [bands.nullity_replica(seed, 200, 20, 1.0) for seed in (5, 6)]


# ---- replicas ----


def test_a_replica_depends_on_its_seed_alone() -> None:
    one, again, other = (bands.coverage_replica(seed, 200, 30, 1.0) for seed in (5, 5, 6))
    assert one == again
    assert one["h"] != other["h"]
    assert one["HC0 constant half-width"] < one["HC2 constant half-width"] < one["HC3 constant half-width"]
    assert bands.coverage_replica(5, 200, (20, 60), 1.0)["h"] != one["h"]


def test_the_truncated_variance_is_too_small() -> None:
    data = dgp1(400, 50, 1.0, np.random.default_rng(1))
    fit = replace(R3D(data.x, data.outcomes).fit(), cov_type="HC0")
    assert (bands.truncated(fit).bse < 0.999 * np.sqrt(0.8) * fit.bse).all()  # less than the factor alone


def test_the_effect_on_compliers_is_not_that_on_all() -> None:
    found = checks.together([designs.fuzzy_replica(seed, 600, 30, 0.75) for seed in range(20)])
    assert np.mean(found["compliers"]) > 0.7 > np.mean(found["all units"])
    assert np.median(found["t"]) > 4.0
    assert all(h != h_den for h, h_den in zip(found["h"], found["h_den"], strict=True))


def test_clusters_have_five_neighbours_each() -> None:
    """A band of clusters is wider: with the same data, where it misses the other one misses as well."""
    found = [bands.clustered_replica(seed, 400, 20, 1.5) for seed in range(20)]
    assert all(one["CR1"] or not one["HC3"] for one in found)
    assert sum(one["CR1"] for one in found) > sum(one["HC3"] for one in found)


def test_gini_replicas() -> None:
    found = bands.gini_replica(1, 300, 60, 1.0)
    assert found["ours"] < 0.01
    assert found["uncentred"] > 0.2


def test_the_package_s_bandwidth_does_not_shrink() -> None:
    small, large = (checks.together([designs.bandwidth_replica(seed, n) for seed in range(5)]) for n in (500, 8000))
    assert np.median(large["R package"]) > 0.7 * np.median(small["R package"])
    assert np.median(large["ours"]) < 0.7 * np.median(small["ours"])
    assert designs.equivariance(1, compat=False).passed
    assert not designs.equivariance(1, compat=True).passed


# ---- likelihood ----


@pytest.mark.parametrize("name", list(reference.EVIDENCE))
def test_quadrature_of_the_stored_statistic(name: str) -> None:
    (case,) = likelihood.cases((name,))
    log_evidence, mean, std = likelihood.quadrature(case.engine)
    assert log_evidence == pytest.approx(case.log_evidence, abs=1e-6)
    np.testing.assert_allclose([mean, std], [case.mean, case.std], atol=1e-6)


def test_the_stored_statistic_is_that_of_the_reference_set() -> None:
    if not (SHARED / "sharpA_obs.csv").exists():
        pytest.skip("needs ../shared/data/r3d/sharpA_obs.csv, which is not distributed with the project")
    units = np.genfromtxt(SHARED / "sharpA_units.csv", delimiter=",", names=True)
    observed = np.genfromtxt(SHARED / "sharpA_obs.csv", delimiter=",", names=True)
    sample = RaggedSample.from_long(observed["unit"].astype(np.int64), observed["z"])
    fit = R3D(units["x"].copy(), sample, settings=R3DSettings(q_grid=reference.DECILES)).fit(0.5)
    for form, q in (("t", reference.FIVE), ("Gaussian", reference.DECILES)):
        for cov_type in ("HC0", "HC2"):
            stored, made = reference.stored_engine(form, cov_type, "shift"), fit.to_engine("shift", q=q, cov_type=cov_type)
            np.testing.assert_allclose(stored.statistic, made.statistic, rtol=1e-11)  # stored with 13 digits
            np.testing.assert_allclose(stored.covariance, made.covariance, rtol=1e-11)


def test_the_marginal_of_a_shift() -> None:
    """Probability below the truth over a grid in two parameters, beside draws of the same linear t model's exact marginal."""
    data = dgp1(400, 60, 1.0, np.random.default_rng(3))
    engine = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=reference.FIVE)).fit(0.6).to_engine("location_scale")
    design = np.array([engine.tau(row) for row in np.eye(2)]).T
    weight = np.linalg.inv(engine.covariance)
    information = design.T @ weight @ design
    best = np.linalg.solve(information, design.T @ weight @ engine.statistic)
    residual = engine.statistic - design @ best
    freedom = engine.nu + 1.0 - 2.0
    scale = np.sqrt((engine.nu + residual @ weight @ residual) / freedom * np.linalg.inv(information)[0, 0])
    from scipy import stats

    exact = stats.t.cdf((1.0 - best[0]) / scale, freedom)  # a flat prior: N(0, 5^2) is wide beside it
    assert likelihood._below_truth(engine) == pytest.approx(exact, abs=0.02)


def test_faults_of_the_likelihood() -> None:
    right = likelihood.effect_problem(1).engine
    theta, data = np.array([0.5, 0.1]), np.array([1.0, 1.1, 0.9, 1.2, 1.0])
    for fault, change in (
        (controls.wider(right, 2.56), "covariance"),
        (controls.moved(right, 0.5), "statistic"),
        (controls.gaussian(right), "nu"),
    ):  # type: ignore[arg-type]
        wrong, healthy = fault.with_data(data), right.with_data(data)  # type: ignore[attr-defined]
        assert wrong.log_likelihood(theta) != healthy.log_likelihood(theta), change
        assert wrong.compiled() is not None
        assert fault.fingerprint() != right.fingerprint()
        np.testing.assert_array_equal(fault.simulate(theta, np.random.default_rng(1)), right.simulate(theta, np.random.default_rng(1)))  # type: ignore[attr-defined]
    np.testing.assert_allclose(controls.moved(right, 0.5).with_data(data).wrong.statistic - data, 0.5 * np.sqrt(np.diag(right.covariance)))  # type: ignore[attr-defined,arg-type]


@pytest.mark.slow
def test_a_campaign_of_the_normal_for_the_t_fails() -> None:
    right = likelihood.effect_problem(20250401, 12.4)
    problem = Problem(controls.gaussian(right.engine), right.priors, name="normal")  # type: ignore[arg-type]
    ranks = campaign(problem, 300, 1, Emcee(n_walkers=64, moves="de", tau_multiple=20)).ranks
    assert not checks.rank_verdicts(ranks, problem.names)["variance"].passed


# ---- scale ----


def test_a_table_that_is_cut_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = r3d_scale.digest
    one = r3d_scale.extract(1, 400_000, 1, "threads", 1)
    assert one.digest == r3d_scale.extract(1, 400_000, 8, "threads", 2).digest
    monkeypatch.setattr(r3d_scale, "digest", lambda table: right(replace(table, means=table.means + 1e-15)))
    assert one.digest != r3d_scale.extract(1, 400_000, 1, "threads", 1).digest
    assert one.peak > one.table > 0


def test_growth() -> None:
    def run(values: int, cpu: float, peak: int, table: int) -> r3d_scale.Extraction:
        return r3d_scale.Extraction(values, "", cpu, peak, 0, table)

    small = [run(10, 1.0, 100, 10), run(10, 1.1, 100, 10)]
    assert r3d_scale._linear(small, [run(100, 10.2, 300, 100)]).passed
    assert not r3d_scale._linear(small, [run(100, 13.0, 300, 100)]).passed
    assert r3d_scale._memory(small[0], run(100, 10.2, 300, 100)).passed
    assert not r3d_scale._memory(small[0], run(100, 10.2, 900, 100)).passed
    timed = r3d_scale._timed(1, 1_000_000, 2)
    assert [len(each) for each in timed] == [2, 2]
    assert timed[1][0].values > 5 * timed[0][0].values


# ---- the suite ----

TINY = r3d.Scale(
    coverage=((200, 30, 10), (500, (20, 60), 4)), clusters=24, few_clusters=80, nullity=10, power=10, skewed=2, gini=10, fuzzy=16,
    bandwidths=8, contrast=3, evidence=("t, HC2, shift",), n_live=300, intervals=60, ranks=60, pipeline=20, width=2.0, gaussian=False,
    values=1_000_000, repeats=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[SuiteResult, Path]:
    """Every part in its smallest form."""
    folder = tmp_path_factory.mktemp("r3d")
    with Recorder("r3d", "quick", progress=False, directory=folder) as record:
        checks.quiet()
        suite = r3d._Suite(TINY, record, 1, SerialPool(likelihood.effect_problem(1)))
        for part in r3d._PARTS:
            getattr(suite, part)()
    return record.result(), folder


def test_every_check_of_every_part_holds(tiny: tuple[SuiteResult, Path]) -> None:
    verdicts = {verdict.name: verdict for verdict in tiny[0].verdicts}
    assert len(verdicts) == len(tiny[0].verdicts)  # one verdict a claim
    assert [verdict.name for verdict in verdicts.values() if not verdict.passed] == []
    assert not tiny[0].skipped
    assert {
        "order-s coefficient taken for the bias (control)",
        "bandwidth of the R package (control)",
        "Gini test, not centred: power (control)",
        "clusters taken for independent: coverage of 90 % (control)",
        "effect on all units taken for that on compliers (control)",
        "pooled comparison taken for the average quantile effect (control)",
        "covariance x 2.0^2 (control)",
        "statistic moved by half an error (control)",
        "nu to infinity, n = 200, d = 5 (control)",
        "a normal interval from 10 clusters a side (control)",
    } <= set(verdicts)


def test_its_figures_and_tables(tiny: tuple[SuiteResult, Path]) -> None:
    result, folder = tiny
    assert {path.stem for path in (folder / "figures").iterdir()} == {"bandwidths", "contrast", "coverage", "effects", "pit"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    titles = [table.title for table in result.tables]
    assert len(set(titles)) == len(titles) == 14
    published = next(table for table in result.tables if "beside the published" in table.title)
    assert published.rows[0][:3] == ("500", "92.56", "92.12")
    json.dumps(result.to_dict())


def faulty(monkeypatch: pytest.MonkeyPatch, part: str, module: Any, name: str, fault: Callable[..., Any]) -> dict[str, Verdict]:
    """Verdicts of one part with a fault put into a replica."""
    monkeypatch.setattr(module, name, fault)
    with Recorder("r3d", "quick", progress=False) as record:
        checks.quiet()
        getattr(r3d._Suite(replace(TINY, skewed=0), record, 1, SerialPool(likelihood.effect_problem(1))), part)()
    return {verdict.name: verdict for verdict in record.result().verdicts}


def test_faults_in_replicas_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    never = faulty(monkeypatch, "tests", bands, "nullity_replica", lambda *_: False)
    assert not never["nullity accepts no effect"].passed
    always = faulty(monkeypatch, "tests", bands, "nullity_replica", lambda *_: True)
    assert not always["nullity rejects at 2.27"].passed
    uncentred = faulty(monkeypatch, "gini", bands, "gini_replica", lambda *_: {"ours": 0.5, "uncentred": 0.0})
    assert not uncentred["Gini test finds a log-sd of 1.0 for .3"].passed
    assert not uncentred["Gini test, not centred: power (control)"].passed  # a control that is not caught fails


def test_its_place() -> None:
    assert suites()["r3d"].module == "sciinf.validation.r3d"
    with pytest.raises(ConfigError, match="no tier 'quik'"):
        r3d.run("quik", progress=False)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_quick_tier() -> None:
    result = r3d.run("quick", workers=2, progress=False)
    assert [verdict.name for verdict in result.verdicts if not verdict.passed] == []
