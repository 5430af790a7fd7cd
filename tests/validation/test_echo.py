"""The echo suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.engines.echo import EchoSearch, EchoWarning, Remnant, Spectrum
from sciinf.engines.echo.benchmarks import F_RINGDOWN
from sciinf.engines.echo.simulate import benchmark, optimal_snr
from sciinf.validation import echo, suites
from sciinf.validation import echo_checks as checks
from sciinf.validation import echo_controls as controls
from sciinf.validation import echo_evidence as evidence
from sciinf.validation import echo_runs as runs
from sciinf.validation.echo_oracle import Detector, Oracle, log_i0
from sciinf.validation.echo_published import BENCHMARKS, COMBS

SMALL = echo.Scale(5, (1,), 5, 1, (), 100, (0, (), 0, 0), {}, 0, (), 0, ())


def test_the_oracle_of_one_bin_by_hand() -> None:
    """One bin at the centre of one tooth, w T >> 1: u = 1, so kappa = 4 df A d / S, rho^2 = 4 df A^2 / S."""
    values, psd = np.zeros(100, dtype=complex), np.full(100, 0.5)
    values[20] = 3.0 + 4.0j
    used = np.zeros(100, dtype=bool)
    used[20] = True
    comb = {"spacing": 50.0, "offset_hz": 20.0, "width": 40.0, "f_min": 15.0, "f_max": 25.0}
    oracle = Oracle([Detector(values, psd, used)], 1.0, comb)
    kappa, rho2 = 4.0 * 0.3 * 5.0 / 0.5, 4.0 * 0.3**2 / 0.5
    for phase in ("mode", "bin"):
        assert oracle.log_likelihood(phase, 0.3) == pytest.approx(math.log(special.i0(kappa)) - 0.5 * rho2, rel=1e-12)
    assert oracle.log_likelihood("whittle", 0.3) == pytest.approx(4.0 * 0.3 * 3.0 / 0.5 - 0.5 * rho2, rel=1e-12)
    assert oracle.snr(0.3) == pytest.approx(math.sqrt(rho2), rel=1e-12)
    x = np.array([0.0, 1e-9, 0.5, 0.9999, 1.0, 30.0, 1e5])
    assert log_i0(x) == pytest.approx(np.where(x < 1e-3, x * x / 4.0, np.log(special.ive(0, x)) + x), rel=1e-12)


def test_the_oracle_s_checks_notice_faults() -> None:
    assert all(v.passed for v in checks.oracle(5, (1,), 1, None))
    assert not any(v.passed for v in checks.oracle(5, (1,), 1, None, controls.without_the_norm))
    shifted = {v.name: v.passed for v in checks.oracle(5, (1,), 1, None, controls.half_a_tooth)}
    assert shifted == {"oracle: mode": False, "oracle: bin": True, "oracle: whittle": True}
    assert all(v.passed for v in checks.network_identity(5, 1))
    assert all(v.passed for v in checks.knife_edges(1))
    assert all(v.passed for v in checks.snr_columns())


def test_the_amplitude_scan_notices_a_two_sided_psd() -> None:
    assert checks.amplitude_scan(60, ((0.1, 4),), 1)[0][0].passed
    assert not checks.amplitude_scan(60, ((0.1, 4),), 1, 0.5)[0][0].passed


def test_controls() -> None:
    data = checks.noise(4.0, np.random.default_rng(1))
    assert controls.level(data, 1.0, 200, 1357).passed
    assert not controls.level(data, 0.5, 200, 1357).passed
    assert controls.data_sign(1, False).passed
    assert not controls.data_sign(1, True).passed
    for _, value, error, expected in controls.box_masses(200_000, 1):
        assert abs(value - expected) < 4.0 * error + 2e-3
    engine = EchoSearch(data, band=(50.0, 110.0))
    wrong = controls.WrongNoise(engine, 2.56)
    theta = np.array([5.0, 0.3, 0.5, 0.1])
    with pytest.warns(EchoWarning, match="times the PSD"):
        scaled = engine.with_data(replace(data, psd=2.56 * data.psd))
    assert wrong.log_likelihood(theta) == scaled.log_likelihood(theta)
    assert np.array_equal(wrong.log_likelihood_many(theta[None, :]), scaled.log_likelihood_many(theta[None, :]))
    made = wrong.simulate(theta, np.random.default_rng(2))
    assert isinstance(made, Spectrum)
    assert np.array_equal(made.psd, data.psd)
    assert len({wrong.fingerprint(), wrong.with_data(made).fingerprint(), engine.fingerprint()}) == 3


def test_the_box_rejects_what_the_constraint_excludes() -> None:
    """45 % of the four-parameter box and 65 % of the six-parameter one; inside, the engine's own ln L."""
    four = EchoSearch(checks.noise(4.0, np.random.default_rng(1)), amplitude="marginalised", band=(50.0, 110.0), offset_unit="Hz")
    wave = benchmark("constant_wall", 20, 0.0, np.random.default_rng(1))
    for engine, mass in ((four, 0.55), (EchoSearch(wave, amplitude="marginalised", remnant=Remnant(0.69)), 0.346)):
        box = controls.Box(engine)
        points = box.default_priors().sample(np.random.default_rng(2), 4000)
        values, inside = box.log_likelihood_many(points), engine.default_priors().log_prior(points) > -math.inf
        assert abs(inside.mean() - mass) < 4.0 * math.sqrt(mass * (1.0 - mass) / 4000)
        assert np.array_equal(values > -math.inf, inside)
        assert np.array_equal(values[inside], engine.log_likelihood_many(points[inside]))


def test_distances_from_the_published_figures() -> None:
    row = COMBS[12, "mode"]
    assert row.z_of_median(np.full(100, row.median)) == row.z_of_noise(np.full(100, row.noise)) == 0.0
    shift = row.noise_sd * math.sqrt(1.0 / 25 + 1.0 / 100)
    assert row.z_of_noise(np.full(25, row.noise + 3.0 * shift)) == pytest.approx(3.0)
    assert row.z_of_median(np.full(25, row.low)) == pytest.approx((row.low - row.median) / (1.2533 * 13.7 * math.sqrt(0.05)))
    assert len(COMBS) == 16
    assert len(BENCHMARKS) == 48


def test_a_source_heard_for_longer_is_louder() -> None:
    """SNR 10.61 at N = 20; the published damped wall has 17.3 at N = 100, ours 18.0."""
    snr = []
    for n in (20, 100, 150):
        made = [runs.benchmark_data("damped_wall", n, None, np.random.default_rng(seed))[0] for seed in (1, 1)]
        assert np.array_equal(made[0].values, made[1].values)
        quiet = benchmark("damped_wall", n, 0.0, np.random.default_rng(1))
        snr.append(optimal_snr(made[0].with_values(made[0].values - quiet.values), f_max=F_RINGDOWN))
    assert snr == pytest.approx([10.610, 17.99, 20.49], abs=0.01)


class Gaussian:
    """ln L of a known mean, over the parameters of a case."""

    parameters = ("x", "y", "z")

    def log_likelihood(self, theta: np.ndarray) -> float:
        return float(self.log_likelihood_many(theta[None, :])[0])

    def log_likelihood_many(self, thetas: np.ndarray) -> np.ndarray:
        return np.asarray(-0.5 * np.sum(((thetas - 0.4) / 0.1) ** 2, axis=1))

    def default_priors(self) -> PriorSet:
        return PriorSet([Parameter(name, Uniform(-1.0, 2.0)) for name in self.parameters])

    def fingerprint(self) -> str:
        return "0" * 64


def test_quadrature_of_a_known_integral() -> None:
    problem = Problem(Gaussian(), Gaussian().default_priors(), name="Gaussian")
    value, error = evidence.quadrature(problem, 2**14, 1)
    assert 0.0 < error < 0.01
    truth = 3.0 * math.log(0.1 * math.sqrt(2.0 * math.pi) / 3.0)
    assert abs(value - truth) < 4.0 * error + 1e-6  # the t distribution of fifteen degrees of freedom: 4 is one in a thousand


def test_the_best_of_a_run_is_climbed_to() -> None:
    problem = Problem(Gaussian(), Gaussian().default_priors(), name="Gaussian")
    draws = np.random.default_rng(1).normal(0.4, 0.1, size=(50, 3))
    theta, value = runs.best_of(problem, draws)
    assert value > -1e-3
    assert theta == pytest.approx([0.4, 0.4, 0.4], abs=0.01)


def test_the_suite_runs_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(echo, "QUICK", SMALL)
    monkeypatch.delenv(echo.ENVIRONMENT_VARIABLE, raising=False)
    result = suites()["echo"].run("quick", progress=False, directory=tmp_path / "out")
    assert result.passed, str(result)
    skipped = {item.name for item in result.skipped}
    assert {"waveform reader", "GW150914", "network injections"} <= skipped
    names = {verdict.name for verdict in result.verdicts}
    assert {"oracle without rho^2/2 (control)", "labels shifted by half a tooth (control)", "two-sided PSD (control)"} <= names
    with pytest.raises(ConfigError, match="no tier 'fast'"):
        suites()["echo"].run("fast", progress=False)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_quick_tier_passes() -> None:
    result = suites()["echo"].run("quick", progress=False)
    assert result.passed, str(result)
