"""SimAll: the official cell rule at every edge, the linear form, values without likelihood, the mock model."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.kernels import KERNEL_VERSION
from sciinf.engines.cmb.simall import SimAllEE, SimAllMock
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

UNIT = {"A_planck": 1.0}
STEP = 1e-4
CENTRES = (np.arange(3000) + 0.5) * STEP
# A table that names its cells: row i, column j holds i + j / 100, so a sum over 28 columns tells every cell that was used.
NAMED = np.arange(3000)[:, None] + np.arange(28)[None, :] / 100.0


def ee(values: float | np.ndarray) -> Spectra:
    """EE with the given D_l at l = 2-29, unchecked."""
    spectrum = np.zeros(30)
    spectrum[2:] = values
    return Spectra.unchecked({"EE": spectrum})


def twin(table: np.ndarray, spectrum: np.ndarray, y: float = 1.0) -> float:
    """The published rule, in NumPy."""
    cells = (spectrum[2:30] / (y * y * STEP)).astype(int)
    return float(sum(table[cells[j], j] for j in range(28)))


@pytest.fixture(scope="module")
def low_ee(components: dict[str, Component]) -> SimAllEE:
    return components["low_ee"]  # type: ignore[return-value]


def test_every_cell_edge_takes_the_cell_of_the_float_rule() -> None:
    """Just below, on and above each of the 3,000 edges: the cell is floor(D / (A A 1e-4)) as double precision gives it."""
    part, table = SimAllEE(NAMED), NAMED
    edges = np.arange(3000) * STEP
    for points in (np.nextafter(edges[1:], 0.0), edges, np.nextafter(edges, 1.0)):
        expected = table[(points / STEP).astype(int)].sum(axis=1)
        found = part.log_likelihood_many(SpectraBatch(ee=np.pad(np.repeat(points[:, None], 28, axis=1), ((0, 0), (2, 0)))), UNIT)
        assert np.array_equal(np.round(found, 6), np.round(expected, 6))
    last = np.nextafter(0.3, 0.0)
    assert part.log_likelihood(ee(last), UNIT) == pytest.approx(table[2999].sum())


@pytest.mark.parametrize("value", [-1e-12, 0.3, 0.31, 1e300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("interp", ["nearest", "linear"])
def test_outside_the_table_is_minus_infinity(value: float, interp: str) -> None:
    part = SimAllEE(NAMED, interp)  # type: ignore[arg-type]
    spectrum = np.full(28, 0.01)
    spectrum[11] = value
    assert part.log_likelihood(ee(spectrum), UNIT) == -math.inf
    assert part.log_likelihood_many(SpectraBatch(ee=np.pad(spectrum, (2, 0))[None, :]), UNIT)[0] == -math.inf
    (reason,) = part.explain(ee(spectrum), UNIT)
    assert "EE at l = 13 is" in reason


def test_negative_control_numpy_wraps_below_zero() -> None:
    """The published rule in NumPy silently reads the table's last row at D < 0."""
    spectrum = np.full(30, 0.01)
    spectrum[5] = -1.5 * STEP
    assert twin(NAMED, spectrum) == pytest.approx(NAMED[100].sum() - NAMED[100, 3] + NAMED[2999, 3])
    assert SimAllEE(NAMED).log_likelihood(ee(spectrum[2:]), UNIT) == -math.inf


def test_the_calibration_enters_the_cell_and_the_limits() -> None:
    part = SimAllEE(NAMED)
    for y in (0.99, 1.0025, 1.05):
        spectrum = np.random.default_rng(1).uniform(0.0, 0.25, 30)
        assert part.log_likelihood(ee(spectrum[2:]), {"A_planck": y}) == pytest.approx(twin(NAMED, spectrum, y), rel=1e-14)
    assert part.log_likelihood(ee(0.2999), {"A_planck": 0.99}) == -math.inf
    assert part.log_likelihood(ee(0.3001), {"A_planck": 1.01}) > -math.inf


def test_equals_the_numpy_twin_on_look_alike_data(low_ee: SimAllEE, fiducial: Spectra) -> None:
    assert low_ee.log_likelihood(fiducial, UNIT) == pytest.approx(twin(low_ee.table, fiducial["EE"]), rel=1e-14)


def test_linear_is_nearest_at_cell_centres_and_clamped_at_the_ends(low_ee: SimAllEE) -> None:
    linear = low_ee.smooth()
    assert linear.interp == "linear"
    assert linear.smooth() is linear
    for cell in (0, 1, 57, 1234, 2998, 2999):
        centre = ee(CENTRES[cell])
        assert linear.log_likelihood(centre, UNIT) == pytest.approx(low_ee.log_likelihood(centre, UNIT), abs=1e-9)
    for end, cell in ((0.0, 0), (0.2e-4, 0), (0.5e-4, 0), (0.29995, 2999), (np.nextafter(0.3, 0), 2999)):
        assert linear.log_likelihood(ee(end), UNIT) == pytest.approx(low_ee.table[cell].sum(), abs=1e-9)
    half = linear.log_likelihood(ee(CENTRES[40] + 0.25 * STEP), UNIT)
    assert half == pytest.approx(0.75 * low_ee.table[40].sum() + 0.25 * low_ee.table[41].sum(), rel=1e-9)


@pytest.mark.planck
def test_the_real_table(planck_files: PlanckFiles) -> None:
    """Range and argmax of the real table: spec 2.5."""
    table = planck_files.low_ee().table
    assert (table.min(), table.max()) == pytest.approx((-13.966, -5.877), abs=5e-4)
    assert (np.argmax(table[:, :5], axis=0) * STEP) == pytest.approx([0.0920, 0.0463, 0.0081, 0.0347, 0.0070])


@pytest.mark.planck
def test_linear_moves_chi2_by_little_on_the_stored_spectra(planck_files: PlanckFiles, stored_spectra: dict[str, Spectra]) -> None:
    """At most 0.08 on 11 points [spec 2.5]."""
    part = planck_files.low_ee()
    for model in stored_spectra.values():
        assert abs(part.chi2(model, UNIT) - part.smooth().chi2(model, UNIT)) < 0.08


def test_a_calibration_whose_square_is_no_float64(low_ee: SimAllEE, fiducial: Spectra) -> None:
    huge, tiny = {"A_planck": 1e308}, {"A_planck": 1e-308}
    assert np.all(low_ee.predict(fiducial, huge)["low_ee"] == 0.0)
    assert low_ee.explain(fiducial, huge) == []
    assert math.isfinite(low_ee.log_likelihood(fiducial, huge))
    assert "outside [0, 0.3)" in low_ee.explain(fiducial, tiny)[0]
    assert low_ee.log_likelihood(fiducial, tiny) == -math.inf


def test_calibration_without_likelihood(low_ee: SimAllEE, fiducial: Spectra) -> None:
    for y, expected in ((0.0, -math.inf), (-1.0, -math.inf), (math.nan, math.nan), (math.inf, math.nan)):
        found = low_ee.log_likelihood(fiducial, {"A_planck": y})
        batch = low_ee.log_likelihood_many(SpectraBatch.stack([fiducial]), {"A_planck": np.array([y])})[0]
        assert np.array_equal([found, batch], [expected, expected], equal_nan=True)
        assert "A_planck" in low_ee.explain(fiducial, {"A_planck": y})[0]
    with pytest.raises(ConfigError, match=r"low_ee needs EE at l 2-29, gets l up to 20"):
        low_ee.log_likelihood(Spectra(ee=np.zeros(21)), UNIT)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (NAMED[:-1], r"shape \(3000, 28\) .* got \(2999, 28\)"),
        (NAMED.T, r"got \(28, 3000\)"),
        (np.where((NAMED > 7.0) & (NAMED < 7.02), np.nan, NAMED), "row 7, column 1 .l = 3. is nan"),
    ],
)
def test_refuses_tables(table: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SimAllEE(table)


def test_refuses_options() -> None:
    with pytest.raises(ConfigError, match="interp must be 'nearest' or 'linear', got 'cubic'"):
        SimAllEE(NAMED, "cubic")  # type: ignore[arg-type]
    for options in ({"f_sky": 0.0}, {"f_sky": 1.5}, {"noise": 0.0}, {"noise": math.nan}):
        with pytest.raises(ConfigError, match="0 < f_sky <= 1 and noise > 0"):
            SimAllMock(**options)


def test_the_mock_table_is_the_density_of_the_mock_draws(fiducial: Spectra) -> None:
    """Column = ln p(D_hat | D): equals scipy's gamma density, and draws follow it (KS), on three multipoles."""
    mock, rng, spectrum = SimAllMock(), np.random.default_rng(2), fiducial["EE"][2:30]
    draws = np.array([mock.draw(spectrum, rng) for _ in range(2000)])
    observed = draws[0]
    table = mock.table(observed)
    for j in (0, 8, 27):
        nu = 0.5 * (2 * (j + 2) + 1)
        scale = CENTRES + 5e-3
        assert np.allclose(table[:, j], stats.gamma.logpdf(observed[j] + 5e-3, nu / 2, scale=2 * scale / nu), rtol=1e-10)
        law = stats.gamma(nu / 2, scale=2 * (spectrum[j] + 5e-3) / nu)
        assert stats.kstest(draws[:, j] + 5e-3, law.cdf).pvalue > 1e-4
        wrong = stats.gamma(nu / 2, scale=1.3 * 2 * (spectrum[j] + 5e-3) / nu)
        assert stats.kstest(draws[:, j] + 5e-3, wrong.cdf).pvalue < 1e-4


def test_with_data_replaces_the_table(low_ee: SimAllEE, fiducial: Spectra) -> None:
    observed = low_ee.simulate(fiducial, {"A_planck": 1.002}, np.random.default_rng(3))
    expected = low_ee.mock.draw(fiducial["EE"][2:30] / 1.002**2, np.random.default_rng(3))
    assert np.array_equal(observed, expected)
    other = low_ee.with_data(observed)
    assert other.log_likelihood(fiducial, UNIT) == pytest.approx(twin(low_ee.mock.table(observed), fiducial["EE"]), rel=1e-13)
    assert other.origin.source == "simulated"
    assert other.fingerprint() != low_ee.fingerprint()
    with pytest.raises(DataError, match="must exceed -noise"):
        low_ee.with_data(np.full(28, -0.01))


def test_pickle_and_fingerprint(low_ee: SimAllEE, fiducial: Spectra) -> None:
    copy = pickle.loads(pickle.dumps(low_ee))
    assert copy.fingerprint() == low_ee.fingerprint()
    assert copy.log_likelihood(fiducial, UNIT) == low_ee.log_likelihood(fiducial, UNIT)
    changed = [low_ee.smooth(), SimAllEE(low_ee.table, mock=SimAllMock(f_sky=0.6)), SimAllEE(low_ee.table + 1.0)]
    assert len({part.fingerprint() for part in (low_ee, *changed)}) == 4
    assert KERNEL_VERSION
