"""plik_lite and the low-l bins: reference values, exact identities, a NumPy twin, selections, refusals, negative controls."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.plik_lite import LowEllTTBins, PlikLite, PlikLiteData
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

UNIT = {"A_planck": 1.0}
ORDER = ("TT", "TE", "EE")


@pytest.fixture(scope="module")
def plik(components: dict[str, Component]) -> PlikLite:
    return components["plik_lite"]  # type: ignore[return-value]


def twin(data: PlikLiteData, spectra: Spectra, y: float = 1.0, names: tuple[str, ...] = ORDER) -> float:
    """The method of planck-lite-py in NumPy: loop over bins, dense inverse of the sliced covariance."""
    model, rows, start = [], [], 0
    for name in ORDER:
        multipole = np.arange(len(spectra[name]))
        with np.errstate(divide="ignore", invalid="ignore"):
            c_l = np.where(multipole > 1, spectra[name] * 2 * np.pi / (multipole * (multipole + 1.0)), 0.0)
        for b in range(data.n_bins[name]):
            if name in names:
                low, high = data.l_low[b], data.l_high[b]
                model.append(np.sum(c_l[low : high + 1] * data.weights[low - 30 : high - 29]))
                rows.append(start + b)
        start += data.n_bins[name]
    residual = data.bandpowers[rows] - np.array(model) / y**2
    return float(residual @ np.linalg.inv(data.covariance[np.ix_(rows, rows)]) @ residual)


@pytest.mark.planck
def test_planck_lite_py_s_own_values(planck_files: PlanckFiles, shared_file: Callable[[str], Path]) -> None:
    """lnL at A = 1 within 1e-9, printed by planck-lite-py's test on its own spectrum file."""
    model = Spectra.from_file(shared_file("Dl_planck2015fit.dat"), columns=("l", "tt", "te", "ee"))
    tt, bins, full = planck_files.plik_lite(("TT",)), planck_files.low_tt_bins(), planck_files.plik_lite()
    expected = {
        (tt,): -101.58123068722583,
        (tt, bins): -104.20228335099686,
        (full,): -291.33481235418026,
        (full, bins): -293.95586501795134,
    }
    for parts, value in expected.items():
        assert sum(part.log_likelihood(model, UNIT) for part in parts) == pytest.approx(value, abs=1e-9)


@pytest.mark.planck
def test_the_real_covariance_is_the_one_described(planck_files: PlanckFiles) -> None:
    """Condition number 6.46e9, ln det -11669.617029, sqrt(diag) = column 3 to 3e-15 relative, eigenvalues 7.47e-11 to 0.483: spec 2.2."""
    data = planck_files.plik_lite().data
    eigenvalues = np.linalg.eigvalsh(data.covariance)
    assert eigenvalues[0] == pytest.approx(7.47e-11, rel=1e-3)
    assert eigenvalues[-1] == pytest.approx(0.483, rel=2e-3)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(6.46e9, rel=2e-3)
    assert np.linalg.slogdet(data.covariance)[1] == pytest.approx(-11669.617029, abs=1e-5)
    column = np.loadtxt(planck_files.folder / "plik_lite/cl_cmb_plik_v22.dat")[:, 2]
    assert np.max(np.abs(np.sqrt(np.diag(data.covariance)) / column - 1.0)) < 1e-13
    widths = data.l_high - data.l_low + 1
    assert [(int(w), int(np.sum(widths == w))) for w in (5, 9, 17, 33)] == [(5, 14), (9, 156), (17, 30), (33, 15)]
    assert (data.l_low[0], data.l_high[214], data.l_high[198]) == (30, 2508, 1996)


@pytest.mark.planck
def test_real_low_l_bins(planck_files: PlanckFiles) -> None:
    data = planck_files.low_tt_bins().data
    assert np.allclose(data.bandpowers, [53.43946, 9.69570], atol=1e-5)  # spec 2.3
    assert np.allclose(data.sigma, [4.92291, 0.587968], atol=1e-5)
    assert (data.l_low.tolist(), data.l_high.tolist()) == ([2, 16], [15, 29])


@pytest.mark.parametrize("names", [ORDER, ("TT",), ("TE", "EE"), ("TT", "EE")])
@pytest.mark.parametrize("y", [1.0, 1.01])
def test_equals_the_numpy_twin(lookalike: PlanckFiles, fiducial: Spectra, names: tuple[str, ...], y: float) -> None:
    part = lookalike.plik_lite(names)
    assert part.chi2(fiducial, {"A_planck": y}) == pytest.approx(twin(part.data, fiducial, y, names), rel=1e-8)


@pytest.mark.parametrize("control", ["not symmetrised", "inverse sliced", "D_l as C_l", "clik order", "multiplied"])
def test_negative_controls_move_chi2_beyond_tolerance(plik: PlikLite, fiducial: Spectra, control: str) -> None:
    """Each classical mistake changes chi2 by far more than the 1e-6 of the identity table."""
    data, y = plik.data, 1.00044
    residual = plik.residuals(fiducial, y)
    right = plik.chi2(fiducial, {"A_planck": y})
    if control == "not symmetrised":
        # what an LU inverse makes of the file as it stands: one triangle only
        wrong = residual @ np.linalg.inv(np.tril(data.covariance)) @ residual
    elif control == "inverse sliced":
        rows = slice(0, 215)
        wrong = residual[rows] @ np.linalg.inv(data.covariance)[rows, rows] @ residual[rows]
        right = PlikLite(data, ("TT",)).chi2(fiducial, {"A_planck": y})
    elif control == "D_l as C_l":
        multipole = np.arange(2701)
        factor = np.where(multipole > 0, multipole * (multipole + 1) / 2 / np.pi, 0.0)
        scaled = Spectra.unchecked({name: factor * fiducial[name] for name in ORDER})
        wrong = plik.chi2(scaled, {"A_planck": y})
    elif control == "clik order":
        wrong = plik.chi2(Spectra(tt=fiducial["TT"], te=fiducial["EE"], ee=fiducial["TE"]), {"A_planck": y})
    else:
        wrong = plik.chi2(fiducial, {"A_planck": 1.0 / y})
    assert abs(wrong - right) > 0.1


def test_calibration_is_a_division_of_the_spectra(plik: PlikLite, fiducial: Spectra) -> None:
    for y in (0.99, 1.0025):
        divided = Spectra(**{name.lower(): fiducial[name] / y**2 for name in ORDER})
        assert plik.chi2(fiducial, {"A_planck": y}) == pytest.approx(plik.chi2(divided, UNIT), abs=1e-9)


def test_permuted_bins_have_the_same_chi2(plik: PlikLite, fiducial: Spectra) -> None:
    order = np.random.default_rng(4).permutation(613)
    core = plik.core
    shuffled = dataclasses.replace(
        core,
        data=core.data[order],
        covariance=np.ascontiguousarray(core.covariance[np.ix_(order, order)]),
        windows=tuple(core.windows[i] for i in order),
        offset=core.offset[order],
    )
    assert shuffled.chi2(fiducial, 1.0) == pytest.approx(core.chi2(fiducial, 1.0), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(names=st.permutations(ORDER).flatmap(lambda p: st.integers(1, 3).map(lambda k: tuple(p[:k]))), low=st.integers(30, 900))
def test_the_order_of_spectra_does_not_matter(lookalike: PlanckFiles, fiducial: Spectra, names: tuple[str, ...], low: int) -> None:
    data = _data(lookalike)
    one = PlikLite(data, names, (low, low + 300))
    other = PlikLite(data, tuple(sorted(names)), (low, low + 300))
    assert one.spectra == tuple(name for name in ORDER if name in names)
    assert one.fingerprint() == other.fingerprint()
    assert one.chi2(fiducial, UNIT) == other.chi2(fiducial, UNIT)


_CACHE: dict[Path, PlikLiteData] = {}


def _data(files: PlanckFiles) -> PlikLiteData:
    if files.folder not in _CACHE:
        _CACHE[files.folder] = files.plik_lite().data
    return _CACHE[files.folder]


@pytest.mark.parametrize(
    ("l_range", "name", "low", "high", "n"),
    [((30, 1000), "TT", 30, 999, 14 + 100), ((800, 2508), "TT", 802, 2508, 78 + 30 + 15), ((30, 33), "EE", 30, 34, 1)],
)
def test_a_bin_belongs_where_its_middle_lies(
    lookalike: PlanckFiles, l_range: tuple[int, int], name: str, low: int, high: int, n: int
) -> None:
    part = PlikLite(_data(lookalike), (name,), l_range)
    assert part.requires == {name: (low, high)}
    assert part.core.size == len(part.l_eff) == n


def test_l_range_by_spectrum(lookalike: PlanckFiles) -> None:
    part = PlikLite(_data(lookalike), ("TT", "EE"), {"TT": (30, 1000)})
    assert part.requires == {"TT": (30, 999), "EE": (30, 1996)}
    assert part.labels.count("EE") == 199


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spectra": ("TT", "TB")}, "no spectrum 'TB': allowed: TT, TE, EE"),
        ({"spectra": ("TT", "TT")}, "once at most"),
        ({"spectra": ()}, "one at least"),
        ({"l_range": (2000, 2400)}, "leaves no bin of TE; its bins reach over l 30-1996"),
        ({"l_range": (31, 31)}, "leaves no bin of TT"),
        ({"l_range": (1000, 30)}, "low <= high"),
        ({"l_range": {"EE": (30, 500)}, "spectra": ("TT",)}, "names 'EE', which is not selected"),
    ],
)
def test_refuses_selections(lookalike: PlanckFiles, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PlikLite(_data(lookalike), **options)


def test_refuses_spectra_that_are_too_short(plik: PlikLite, fiducial: Spectra) -> None:
    short = Spectra(tt=fiducial["TT"][:2001], te=fiducial["TE"], ee=fiducial["EE"])
    with pytest.raises(ConfigError, match="component plik_lite needs TT at l 30-2508, gets l up to 2000"):
        plik.log_likelihood(short, UNIT)
    with pytest.raises(ConfigError, match=r"needs TE at l 30-1996, gets none \(present: TT\)"):
        plik.log_likelihood(Spectra(tt=fiducial["TT"]), UNIT)
    with pytest.raises(ConfigError, match="needs the nuisance parameter 'A_planck', got A_plank"):
        plik.log_likelihood(fiducial, {"A_plank": 1.0})


def test_values_that_have_no_likelihood(plik: PlikLite, fiducial: Spectra) -> None:
    assert plik.explain(fiducial, UNIT) == []
    for y in (0.0, -1.0):
        assert plik.log_likelihood(fiducial, {"A_planck": y}) == -np.inf
        assert f"A_planck = {y:g} must be positive" in plik.explain(fiducial, {"A_planck": y})[0]
    for y in (np.nan, np.inf):
        assert np.isnan(plik.log_likelihood(fiducial, {"A_planck": y}))
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = fiducial["TE"].copy()
        spoilt[500] = bad
        model = Spectra.unchecked({"TT": fiducial["TT"], "TE": spoilt, "EE": fiducial["EE"]})
        assert plik.log_likelihood(model, UNIT) == -np.inf
        assert f"TE at l = 500 is {bad}" in plik.explain(model, UNIT)[0]
    unused = fiducial["TE"].copy()
    unused[2000:] = np.nan  # TE is used to l = 1996
    assert np.isfinite(plik.log_likelihood(Spectra.unchecked({"TT": fiducial["TT"], "TE": unused, "EE": fiducial["EE"]}), UNIT))


def test_batch_rows_have_the_same_bytes_whatever_the_batch(plik: PlikLite, fiducial: Spectra) -> None:
    """256 rows under 1,000 permutations of parts of them and one by one: array_equal; and 1e-10 from the scalar form."""
    rng = np.random.default_rng(5)
    scale, y = rng.uniform(0.9, 1.1, 256), rng.normal(1.0, 0.0025, 256)
    batch = SpectraBatch(**{name.lower(): scale[:, None] * fiducial[name] for name in ORDER})
    values = plik.log_likelihood_many(batch, {"A_planck": y})
    scalar = [plik.log_likelihood(batch.row(i), {"A_planck": y[i]}) for i in range(256)]
    assert np.allclose(values, scalar, rtol=1e-10, atol=0.0)
    alone = [plik.log_likelihood_many(batch.take(np.array([i])), {"A_planck": y[[i]]})[0] for i in range(256)]
    assert np.array_equal(values, alone)
    for _ in range(1000):
        rows = rng.permutation(256)[: rng.integers(1, 16)]
        assert np.array_equal(plik.log_likelihood_many(batch.take(rows), {"A_planck": y[rows]}), values[rows])


def test_a_batch_treats_bad_rows_as_the_scalar_form_does(plik: PlikLite, fiducial: Spectra) -> None:
    y = np.array([1.0, 0.0, np.nan, -1.0, 1.0])
    tt = np.repeat(fiducial["TT"][None, :], 5, axis=0)
    tt[4, 100] = np.nan
    batch = SpectraBatch(tt=tt, te=np.repeat(fiducial["TE"][None, :], 5, axis=0), ee=np.repeat(fiducial["EE"][None, :], 5, axis=0))
    values = plik.log_likelihood_many(batch, {"A_planck": y})
    scalar = [plik.log_likelihood(batch.row(i), {"A_planck": y[i]}) for i in range(5)]
    assert np.allclose(values, scalar, rtol=1e-10, atol=0.0, equal_nan=True)
    assert np.array_equal(np.isnan(values), [False, False, True, False, False])
    assert np.array_equal(values == -np.inf, [False, True, False, True, True])


def test_mock_chi2_has_the_mean_and_variance_of_613_degrees(plik: PlikLite, fiducial: Spectra) -> None:
    """Mean 613 within 4 sqrt(1226/N), variance 1226 within 4 of its own standard errors sqrt(2 (1226^2) / N)(1 + ...)."""
    n, rng = 400, np.random.default_rng(6)
    model, factor = plik.binned(fiducial), plik.core.cholesky()
    draws = model + rng.standard_normal((n, 613)) @ factor.T
    values = np.array([plik.with_data(draw).chi2(fiducial, UNIT) for draw in draws])
    assert abs(values.mean() - 613) < 4 * np.sqrt(2 * 613 / n)
    spread = np.sqrt((stats.moment(values, 4) - values.var() ** 2) / n)
    assert abs(values.var(ddof=1) - 1226) < 4 * spread
    assert stats.kstest(values, stats.chi2(613).cdf).pvalue > 1e-4
    # a covariance scaled by 1.69 must fail
    assert abs((values / 1.69).mean() - 613) > 4 * np.sqrt(2 * 613 / n)


def test_simulate_is_model_plus_the_covariance_s_factor(plik: PlikLite, fiducial: Spectra) -> None:
    draw = plik.simulate(fiducial, {"A_planck": 1.002}, np.random.default_rng(7))
    expected = plik.binned(fiducial, 1.002) + np.linalg.cholesky(plik.covariance) @ np.random.default_rng(7).standard_normal(613)
    assert np.allclose(draw, expected, rtol=1e-9)


def test_with_data_keeps_everything_but_the_data(lookalike: PlanckFiles, fiducial: Spectra) -> None:
    part = PlikLite(_data(lookalike), ("TE",), (100, 500))
    other = part.with_data(part.binned(fiducial))
    assert other.chi2(fiducial, UNIT) == pytest.approx(0.0, abs=1e-18)
    assert other.fingerprint() != part.fingerprint()
    assert np.array_equal(other.data.bandpowers[:215], part.data.bandpowers[:215])
    assert other.origin.source == "simulated"
    assert other.with_data(part.core.data).fingerprint() == part.fingerprint()
    rebuilt = PlikLite(other.data, ("TE",), (100, 500))
    assert rebuilt.chi2(fiducial, {"A_planck": 1.01}) == other.chi2(fiducial, {"A_planck": 1.01})
    with pytest.raises(DataError, match=r"plik_lite data must have shape"):
        part.with_data(np.zeros(3))


@pytest.mark.parametrize("name", ["plik_lite", "low_tt_bins", "lensing"])
def test_the_linear_form_is_the_likelihood(components: dict[str, Component], fiducial: Spectra, name: str) -> None:
    part = components[name]
    linear, y = part.linear(), 1.01
    assert linear is not None
    model = linear.offset.copy()
    for spectrum, response in linear.response.items():
        model += response @ fiducial[spectrum][: response.shape[1]] / (1.0 if spectrum == "PP" else y * y)
    whitened = np.linalg.solve(linear.cholesky, linear.data - model)
    assert whitened @ whitened == pytest.approx(part.chi2(fiducial, {"A_planck": y}), rel=1e-9)


def test_pickle_and_fingerprint(plik: PlikLite, fiducial: Spectra) -> None:
    copy = pickle.loads(pickle.dumps(plik))
    assert copy.fingerprint() == plik.fingerprint()
    assert copy.log_likelihood(fiducial, UNIT) == plik.log_likelihood(fiducial, UNIT)
    assert PlikLite(plik.data, ("TT",)).fingerprint() != plik.fingerprint()
    assert PlikLite(plik.data, l_range=(30, 1000)).fingerprint() != plik.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": lambda d: d.weights * 1.01}, r"weights of bin \d+ .* sum to 1\.01"),
        ({"l_low": lambda d: d.l_low + 1}, "must tile l = 30 to 2508"),
        ({"bandpowers": lambda d: d.bandpowers[:-1]}, r"shape \(613,\)"),
        ({"n_bins": lambda d: {"TT": 215, "TE": 199}}, "n_bins must give TT, TE and EE"),
        ({"covariance": lambda d: d.covariance[:5]}, r"covariance must have shape \(613, 613\)"),
    ],
)
def test_refuses_data_that_do_not_fit(plik: PlikLite, change: dict[str, Callable[[PlikLiteData], Any]], message: str) -> None:
    values = {name: make(plik.data) for name, make in change.items()}
    with pytest.raises(DataError, match=message):
        dataclasses.replace(plik.data, **values)


def test_refuses_a_covariance_that_is_none(plik: PlikLite) -> None:
    broken = plik.data.covariance.copy()
    broken[3, 5] *= 1.5
    with pytest.raises(DataError, match=r"symmetric; \[[35], [35]\]"):
        PlikLite(dataclasses.replace(plik.data, covariance=broken))
    indefinite = plik.data.covariance - 2e-3 * np.eye(613)
    with pytest.raises(DataError, match=r"positive definite; its smallest eigenvalue is -0\.00"):
        PlikLite(dataclasses.replace(plik.data, covariance=indefinite))


def test_low_l_bins_are_two_independent_gaussians(components: dict[str, Component], fiducial: Spectra) -> None:
    bins: LowEllTTBins = components["low_tt_bins"]  # type: ignore[assignment]
    multipole, data, y = np.arange(2, 30), bins.data, 1.003
    c_l = fiducial["TT"][2:30] * 2 * np.pi / (multipole * (multipole + 1)) / y**2
    model = [np.sum((data.weights * c_l)[:14]), np.sum((data.weights * c_l)[14:])]
    expected = np.sum(((data.bandpowers - model) / data.sigma) ** 2)
    assert bins.chi2(fiducial, {"A_planck": y}) == pytest.approx(expected, rel=1e-12)
    assert bins.requires == {"TT": (2, 29)}
    assert "arXiv:1909.05869" in bins.citations()
    with pytest.raises(DataError, match="errors must be positive"):
        dataclasses.replace(data, sigma=np.array([1.0, 0.0]))
