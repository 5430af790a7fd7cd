"""The cmb suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciinf.calibration import sbc
from sciinf.calibration.injections import Campaign
from sciinf.core.errors import ConfigError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.cmb.data import ENVIRONMENT_VARIABLE, PlanckFiles
from sciinf.engines.cmb.emulator import EmulatorTheory
from sciinf.engines.cmb.identity import reference_spectra
from sciinf.engines.cmb.presets import planck2018
from sciinf.engines.cmb.simulate import write_lookalike
from sciinf.results.posterior import Posterior
from sciinf.validation import cmb, suites
from sciinf.validation import cmb_checks as checks
from sciinf.validation import cmb_controls as controls
from sciinf.validation import cmb_posterior as posterior

UNIT = {"A_planck": 1.0}
FOUR = ("plik_lite", "low_tt_bins", "low_ee", "lensing")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PlanckFiles:
    return write_lookalike(tmp_path_factory.mktemp("lookalike") / "data", seed=1)


@pytest.fixture(scope="module")
def engine(files: PlanckFiles) -> Any:
    return planck2018(FOUR, data=files)


def test_identities_pass_and_notice_a_changed_component(engine: Any) -> None:
    assert all(verdict.passed for verdict in checks.identities(engine.components))

    class Multiplied(type(engine.components[1])):  # type: ignore[misc]
        """The spectra multiplied by A_planck^2 instead of divided."""

        def log_likelihood(self, spectra: Any, nuisance: dict[str, float]) -> float:
            return super().log_likelihood(spectra, {"A_planck": 1.0 / nuisance["A_planck"]})  # type: ignore[no-any-return]

    broken = Multiplied(engine.components[1].data)
    failed = {verdict.name for verdict in checks.identities([broken]) if not verdict.passed}
    assert {"identity: low_tt_bins = dense twin", "identity: low_tt_bins, D/A^2 at A = 0.99"} <= failed


def test_rows_that_depend_on_their_neighbours_are_noticed(engine: Any) -> None:
    class Centred(type(engine.components[1])):  # type: ignore[misc]
        def log_likelihood_many(self, batch: Any, nuisances: Any) -> np.ndarray:
            values = super().log_likelihood_many(batch, nuisances)
            return values - values.mean()

    (rows,) = [v for v in checks.identities([Centred(engine.components[1].data)]) if v.name.endswith("rows")]
    assert not rows.passed


def test_selections(files: PlanckFiles) -> None:
    verdicts = checks.lookalike_selections(files)
    assert [verdict.n for verdict in verdicts] == [215, 398, 342]
    assert all(verdict.passed for verdict in verdicts)


def test_amplitude_ranks_pass_and_a_wrong_width_fails(engine: Any) -> None:
    component = engine.component("low_ee")
    assert checks.amplitude_ranks(component, 300, seed=3).passed
    assert not checks.amplitude_ranks(component, 300, seed=3, width=2.0).passed


def test_a_coarser_table_shifts_more(engine: Any) -> None:
    fine, middle, coarse = checks.step_study(engine.component("low_ee"), 60, seed=4)
    assert fine.mean_shift < middle.mean_shift < coarse.mean_shift < 0.05
    assert fine.width_ratio == pytest.approx(1.0, abs=1e-3)


def test_the_emulator_s_checks(files: PlanckFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts, rows = checks.emulator(files)
    assert len(verdicts) == 6
    assert len(rows) == 3
    assert all(verdict.passed for verdict in verdicts)
    stored, table = checks.stored_errors()
    assert all(verdict.passed for verdict in stored)
    assert {row[0] for row in table} >= {"test_ell", "test_box"}
    moved = EmulatorTheory.spectra

    def wrong(self: EmulatorTheory, theta: np.ndarray) -> Any:
        return moved(self, theta * np.array([1.01, 1, 1, 1, 1, 1]))

    monkeypatch.setattr(EmulatorTheory, "spectra", wrong)
    assert not all(verdict.passed for verdict in checks.emulator(files)[0])


def test_mock_chi2_finds_a_scale_and_a_shift() -> None:
    chi2 = stats.chi2(9).rvs(500, random_state=5)
    assert controls.mock_chi2("right", chi2, 9).passed
    assert not controls.mock_chi2("scaled", chi2 / 1.69, 9).passed
    assert not controls.mock_chi2("shifted", chi2 + 2.0, 9).passed
    assert not controls.mock_chi2("flattened", 9.0 + 0.5 * (chi2 - 9.0), 9).passed


def test_component_faults(engine: Any) -> None:
    model = reference_spectra("bf_pol")
    plik, lensing = engine.component("plik_lite"), engine.component("lensing")
    assert controls.scaled_covariance(plik, 1.69).chi2(model, UNIT) == pytest.approx(plik.chi2(model, UNIT) / 1.69, rel=1e-9)
    assert controls.pp_divided(lensing, model, 1.0) == lensing.chi2(model, UNIT)
    assert abs(controls.pp_divided(lensing, model, 1.05) - lensing.chi2(model, {"A_planck": 1.05})) > 0.1
    mocks = controls.component_mocks(lensing, model, 1.05, 300, seed=6)
    right = np.array([mock.chi2(model, {"A_planck": 1.05}) for mock in mocks])
    wrong = np.array([controls.pp_divided(mock, model, 1.05) for mock in mocks])  # type: ignore[arg-type]
    assert controls.mock_chi2("right", right, 9).passed
    assert not controls.mock_chi2("wrong", wrong, 9).passed


def test_a_mismatched_engine_simulates_all_and_analyses_less(engine: Any) -> None:
    less = dataclasses.replace(engine, components=tuple(item for item in engine.components if item.name != "low_ee"))
    pair = controls.Mismatched(less, engine)
    theta = np.array([0.02237, 0.12, 1.04092, 0.0544, 3.044, 0.9649, 1.0])
    data = pair.simulate(theta, np.random.default_rng(7))
    assert set(data) == set(FOUR)
    other = pair.with_data(data)
    assert other.log_likelihood(theta) == less.with_data({k: v for k, v in data.items() if k != "low_ee"}).log_likelihood(theta)
    assert len({pair.fingerprint(), other.fingerprint(), engine.fingerprint()}) == 3
    Problem(pair, pair.default_priors())


def _normal_log_likelihood(theta: np.ndarray, data: np.ndarray) -> np.ndarray:
    return -0.5 * np.sum((data[None, :] - theta) ** 2, axis=1)


def _normal_data(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return theta[0] + rng.standard_normal(2)


def test_ranks_of_ln_l_find_ignored_data_where_parameter_ranks_cannot() -> None:
    """Two observations of a mean with a normal prior: exact posteriors of both, and of the first alone."""
    fiducial = FunctionEngine(_normal_log_likelihood, ["mu"], data=np.zeros(2), simulate=_normal_data, vectorized=True, version="1")
    problem = Problem(fiducial, PriorSet([Parameter("mu", Normal(0.0, 1.0))]))
    n, seed, rng = 300, 8, np.random.default_rng(9)
    theta = rng.standard_normal((n, 1))
    draws: dict[int, list[np.ndarray]] = {1: [], 2: []}
    for i in range(n):
        data = problem.simulate(theta[i], generator(seed, f"simulate/{i}")).engine.data  # type: ignore[attr-defined]
        for used, rows in draws.items():
            precision = 1.0 + used
            rows.append(np.sum(data[:used]) / precision + rng.standard_normal((199, 1)) / np.sqrt(precision))
    for used, rows in draws.items():
        values = np.array(rows)
        ranks = np.array([sbc.rank_of(t, d, rng) for t, d in zip(theta, values, strict=True)])
        empty = np.full(n, np.nan)
        counts = np.ones(n, dtype=np.int64)
        result = Campaign(("mu",), theta, ranks, values.mean(axis=1), values.std(axis=1), values, empty, empty, empty, counts, counts, "")
        assert all(verdict.passed for verdict in sbc.test(ranks, ["mu"]).verdicts)
        found = sbc.test(controls.data_ranks(result, problem, seed), ["ln L"]).verdicts
        assert all(verdict.passed for verdict in found) == (used == 2)


def _made(mean: np.ndarray, std: np.ndarray, names: tuple[str, ...], seed: int, n: int = 4000, **options: Any) -> Posterior:
    samples = mean + std * np.random.default_rng(seed).normal(size=(n, len(mean)))
    zeros = np.zeros(n)
    return Posterior(samples, zeros, zeros, zeros, names, **options)


def test_against_published_notices_means_and_widths() -> None:
    class Published:
        @staticmethod
        def reference_values() -> dict[str, tuple[float, float, str]]:
            return {"a": (1.0, 0.1, "paper"), "b": (2.0, 0.2, "paper")}

    class Fake:
        engine = Published()

    centre, width = np.array([1.0, 2.0]), np.array([0.1, 0.2])
    cases = {(0.0, 1.0): [True, True], (0.5, 1.0): [False, True], (0.0, 1.3): [True, False]}
    for (shift, factor), expected in cases.items():
        made = _made(centre + shift * width, factor * width, ("a", "b"), seed=10)
        verdicts, rows = posterior.against_published("mock", made, Fake())  # type: ignore[arg-type]
        assert [verdict.passed for verdict in verdicts] == expected
        assert [row[1] for row in rows] == ["a", "b"]


def test_the_exact_theory_s_checks(engine: Any) -> None:
    """The emulator against itself passes; against one of another baryon density it does not."""

    class Moved(EmulatorTheory):
        form = None  # no compiled form: the spectra below are what counts

        def spectra_many(self, thetas: np.ndarray) -> Any:
            return super().spectra_many(thetas * np.array([1.01, 1, 1, 1, 1, 1]))

    width = np.array([1.5e-4, 1.4e-3, 3e-4, 7e-3, 1.5e-2, 4e-3, 2.5e-3])
    centre = np.array([0.02237, 0.12, 1.04092, 0.0544, 3.044, 0.9649, 1.0])
    made = _made(centre, width, engine.parameters, 15, n=400)
    problem = Problem(engine, engine.default_priors())
    verdicts, rows = posterior.exact_theory(problem, made, EmulatorTheory(), 40)
    assert all(verdict.passed for verdict in verdicts)
    assert [row[0] for row in rows] == list(engine.parameters)
    assert not any(verdict.passed for verdict in posterior.exact_theory(problem, made, Moved(), 40)[0][:2])


def test_two_samplers_agree_or_not() -> None:
    centre, width, names = np.zeros(2), np.ones(2), ("a", "b")
    one, same = _made(centre, width, names, 11, n=600), _made(centre, width, names, 12, n=600)
    assert all(verdict.passed for verdict in posterior.two_samplers("mock", one, same))
    moved = _made(centre + 0.5, width, names, 13, n=600)
    assert not any(verdict.passed for verdict in posterior.two_samplers("mock", one, moved)[:2])


@pytest.mark.skipif(importlib.util.find_spec("getdist") is None, reason="needs getdist (extra `getdist`)")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_exported_chains_have_the_same_means() -> None:
    steps = np.arange(500)
    chain, draw = np.repeat(np.arange(8), 500), np.tile(steps, 8)
    made = _made(np.array([1.0, 2.0]), np.array([0.1, 0.2]), ("a", "b"), 14, chain=chain, draw=draw)
    assert posterior.exported("mock", made).passed


def test_the_suite_runs_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cmb, "QUICK", cmb.Scale(3, 60, 40, False, False))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))  # an empty folder: no real data
    result = suites()["cmb"].run("quick", progress=False, directory=tmp_path / "out")
    skipped = {item.name: item.reason for item in result.skipped}
    assert "component plik_lite needs" in skipped["parts on real data"]
    assert "planck2018" in skipped
    names = {verdict.name for verdict in result.verdicts}
    assert "identity: reference table" not in names
    assert {"plik_lite, covariance x 1.69 (control)", "lensing, PP divided by A^2 (control)", "emulator: bf_pol"} <= names
    assert (tmp_path / "out/figures/sbc-hybrid.png").exists()
    failed = {verdict.name for verdict in result.verdicts if not verdict.passed}
    assert failed <= {"simall, width x 2 (control)", "lensing, PP divided by A^2 (control)"}  # too few draws to catch them for certain
    with pytest.raises(ConfigError, match="no tier 'fast'"):
        suites()["cmb"].run("fast", progress=False)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_quick_tier_passes() -> None:
    result = suites()["cmb"].run("quick", progress=False)
    assert result.passed, str(result)
