"""The echo suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

import csv
import gzip
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from sciinf.calibration.injections import Campaign
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
from sciinf.validation import echo_figures as figures
from sciinf.validation import echo_runs as runs
from sciinf.validation import echo_waveforms as waveforms
from sciinf.validation.echo_oracle import Detector, Oracle, log_i0
from sciinf.validation.echo_published import COMBS, NOISE_OF_WAVEFORMS, WAVEFORMS

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
    assert len(WAVEFORMS) == 48
    for (_, n, phase), one in WAVEFORMS.items():
        assert one.low < one.median < one.high < one.best_high
        assert one.best_low < one.best < one.best_high
        assert NOISE_OF_WAVEFORMS[phase][n][0] < NOISE_OF_WAVEFORMS[phase][n][1]


@pytest.mark.skipif(not os.environ.get(echo.ENVIRONMENT_VARIABLE), reason=f"no published files: set {echo.ENVIRONMENT_VARIABLE}")
def test_the_tables_are_those_of_the_published_files() -> None:
    folder = Path(os.environ[echo.ENVIRONMENT_VARIABLE]) / "benchmarks"

    def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
        with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return np.array([float(row["logB"]) for row in rows]), np.array([float(row["maxloglikelihood"]) for row in rows])

    for (family, n, phase), one in WAVEFORMS.items():
        evidence_of, best = columns(f"{family}_N{n:03d}_{phase}")
        quiet = columns(f"noise_N{n:03d}_{phase}")[0]
        assert np.percentile(evidence_of, [16, 50, 84]) == pytest.approx([one.low, one.median, one.high], abs=0.0051)
        assert np.percentile(best, [16, 50, 84]) == pytest.approx([one.best_low, one.best, one.best_high], abs=0.051)
        assert np.mean(evidence_of > quiet.max()) == pytest.approx(one.above, abs=0.0051)
        assert [np.median(quiet), quiet.max()] == pytest.approx(NOISE_OF_WAVEFORMS[phase][n], abs=0.0051)


def searched(
    values: list[float], quiet: list[float], scans: tuple[waveforms.Scanned, ...], family: str = "wide_band"
) -> waveforms.Waveforms:
    """Runs whose best ln L is 25 above ln B."""
    problem = Problem(Gaussian(), Gaussian().default_priors(), name="Gaussian")
    lnb = np.array(values)
    return waveforms.Waveforms(family, 100, "mode", "file", (problem, np.zeros(3)), lnb, lnb + 25.0, np.array(quiet), scans)


def test_rows_and_bars_of_the_waveforms() -> None:
    scans = (waveforms.Scanned(40.0, 40.2, 15.0, 0.02, "ok"), waveforms.Scanned(41.0, 39.0, 16.0, 0.02, "not_converged"))
    few = searched([14.0, 16.4], [], scans)
    row = dict(zip(waveforms.HEADS, few.row(), strict=True))
    assert row["ln B, nested"] == "14.00, 16.40"
    assert row["ln B from a scan"] == "15.00, 16.00 (not_converged)"
    assert row["above noise"] == ""
    # The published file has median 24.60, 16th 18.04, 84th 30.49 percentile: (15.2 - 24.6) / (1.2533 * 6.225 sqrt(1/2 + 1/100)) = -1.69.
    assert few.row()[5] == "24.60 [18.0, 30.5] (z -1.7)"
    assert few.verdict().passed  # 39.0 against 40.0 and 41.4 against 41.0
    assert not searched([14.0, 16.6], [], scans).verdict().passed  # 41.6 against 41.0: a comb that the scan has not seen
    assert not searched([14.0, 14.0], [], (waveforms.Scanned(40.0, 40.6, 15.0, 0.02, "ok"),)).verdict().passed  # an exhaustive scan has
    assert waveforms.bars([few]) == []
    loud = searched([5.0] * 19 + [-2.0], [-1.0, -3.0], (), "constant_wall")
    assert loud.above == 0.95
    assert [v.passed for v in waveforms.bars([loud])] == [True]
    assert not waveforms.bars([searched([5.0] * 18 + [-2.0] * 2, [-1.0], (), "constant_wall")])[0].passed


def test_the_best_ln_l_among_that_of_the_published_runs(tmp_path: Path) -> None:
    """Ranks by hand: 39 is above one of two values and 41.4 above both, so that the sum of (above - 1/2) is 0 + 1 = 1."""
    (tmp_path / "benchmarks").mkdir()
    with gzip.open(tmp_path / "benchmarks" / "wide_band_N100_mode.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write("i,logB,maxloglikelihood\n0,20.0,38.0\n1,22.0,40.0\n")
    (one,) = waveforms.beside_the_files([searched([14.0, 16.4], [], ())], tmp_path)
    assert (one.name, one.n, one.passed) == ("benchmarks, mode: best ln L beside the published", 2, True)
    assert one.statistic == pytest.approx(1.0 / math.sqrt(2 * 2 * 5 / 12.0))
    with gzip.open(tmp_path / "benchmarks" / "wide_band_N100_mode.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write("i,maxloglikelihood\n" + "".join(f"{i},{48.0 + 0.1 * i}\n" for i in range(100)))
    few, many = searched([14.0, 16.4], [], ()), searched([14.0 + 0.01 * i for i in range(7)], [], ())
    assert waveforms.beside_the_files([few], tmp_path)[0].passed  # two runs below all of a hundred are 2.4 sigma
    assert not waveforms.beside_the_files([many], tmp_path)[0].passed  # seven of them 4.5
    assert waveforms.beside_the_files([replace(few, source="own")], tmp_path) == []


def test_pictures() -> None:
    values = np.random.default_rng(1).normal(50.0, 8.0, size=12)
    quiet = Campaign(("x",), *(np.zeros((12, 1)),) * 4, np.zeros((12, 1, 1)), values - 55.0, *(np.ones(12),) * 4, "")
    problem = Problem(Gaussian(), Gaussian().default_priors(), name="Gaussian")
    found = [
        runs.Injections(duration, phase, (problem, np.zeros(3)), replace(quiet, log_evidence=values[:n]), quiet, values, values, values)
        for duration, n in ((1, 3), (12, 12))
        for phase in ("mode", "bin")
    ]
    axis = figures.evidence_by_duration(found).axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "12"]
    assert len(axis.collections) >= 6  # two violins of twelve runs, four of the noise's; three runs are points
    ranks = np.random.default_rng(2).integers(0, 200, size=(300, 2))
    bars = figures.rank_histograms(ranks, ("spacing", "width"))
    assert [sum(patch.get_height() for patch in axis.containers[0]) for axis in bars.axes] == [300, 300]


def test_a_source_heard_for_longer_is_louder() -> None:
    """SNR 10.61 at N = 20; the published damped wall has 17.3 at N = 100, ours 18.0."""
    snr = []
    for n in (20, 100, 150):
        made = [waveforms.benchmark_data("damped_wall", n, None, np.random.default_rng(seed))[0] for seed in (1, 1)]
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
    """As high as the truth with its amplitude, from points about it; the marginalised ln L there is lower by the amplitude's prior."""
    problem = runs.published_search(12, "mode", 0, 1)[0]
    assert isinstance(problem.engine, EchoSearch)
    truth = np.array([checks.COMB["spacing"], checks.COMB["offset_hz"], checks.COMB["width"]])
    rng = np.random.default_rng(1)
    draws = truth * (1.0 + rng.normal(size=(50, 3)) * [2e-4, 2e-2, 0.1])
    theta, value = runs.best_of(problem, draws)
    at_truth = replace(problem.engine, amplitude="sampled").log_likelihood(np.append(truth, checks.COMB["amplitude"]))
    assert value > at_truth
    assert value == pytest.approx(problem.engine.maximise_amplitude(theta)[1], abs=1e-9)
    assert value > max(problem.engine.maximise_amplitude(draw)[1] for draw in draws)
    # sqrt(2 pi) / (10 sqrt(E)) of the prior U(0, 10), E = (SNR / A)^2 = (16.3 / 0.077)^2, is exp(-6.7); I0 leaves K_n of order one more
    assert 5.5 < value - problem.log_likelihood(theta) < 7.5


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
