"""Bands and tests: the law of the draws, the order statistics, and controls that must fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings
from sciinf.engines.r3d.draws import Drawing, critical_value
from sciinf.engines.r3d.gini import gini
from sciinf.engines.r3d.inference import range_weights
from sciinf.engines.r3d.simulate import dgp1, scalar

DECILES = tuple(k / 10 for k in range(1, 10))
Sets = Callable[[str], Any]


@pytest.fixture(scope="module")
def fit() -> R3DResults:
    data = dgp1(300, 25, 2.0, np.random.default_rng(7))
    return R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES)).fit(0.6)


def test_the_exact_law_is_that_of_multipliers(fit: R3DResults) -> None:
    """Two samples of 20,000 suprema, p > .001; with the covariance 1.21 times too large it must be found."""
    sup = lambda g: np.abs(g).max(axis=1)  # noqa: E731
    exact = fit.draw(Drawing(20_000, 1), sup)
    direct = fit.draw(Drawing(20_000, 2, "multiplier"), sup)
    assert stats.ks_2samp(exact, direct).pvalue > 1e-3
    assert stats.ks_2samp(1.1 * exact, direct).pvalue < 1e-3


def test_the_draws_have_the_covariance(fit: R3DResults) -> None:
    draws = fit.draw(Drawing(40_000, 3), lambda g: g)
    found, expected = np.cov(draws.T), fit.cov_params()
    error = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / 40_000)
    assert (np.abs(found - expected) < 5.0 * error).all()


def test_a_singular_covariance_is_no_obstacle() -> None:
    """A fine grid over few units: the rank is that of the units, no factor exists, and draws stay in its space."""
    data = dgp1(60, 200, 1.0, np.random.default_rng(3))
    made = R3D(data.x, data.outcomes).fit(0.9, cov_type="HC0")
    draws = made.draw(Drawing(500, 1), lambda g: g)
    values, vectors = np.linalg.eigh(made.cov_params())
    empty = vectors[:, values < 1e-14 * values[-1]]
    assert empty.shape[1] > 10
    assert np.abs(draws @ empty).max() < 1e-5 * np.abs(draws).max()


def test_limits_of_the_reference_set(reference_set: Sets) -> None:
    """Suprema's quantiles from 2e6 draws: 1.899, 1.644, studentised 2.336; ours from 200,000 within .01 + 3 errors."""
    fitted = reference_set("sharpA").model(R3DSettings(q_grid=DECILES)).fit(0.5, cov_type="HC0")
    for alpha, studentized, expected in ((0.05, False, 1.899), (0.10, False, 1.644), (0.05, True, 2.336)):
        band = fitted.conf_band(alpha, studentized, n_draws=200_000)
        assert abs(band.critical_value - expected) < 0.01 + 3.0 * band.critical_value_mc_error


def test_order_statistic() -> None:
    found = critical_value(np.arange(1.0, 200.0), 0.05)
    assert found.value == 190.0  # ceil(.95 * 200)
    assert found.mc_error == pytest.approx(round(math.sqrt(199 * 0.05 * 0.95)), abs=1.0)
    assert critical_value(np.arange(1.0, 20.0), 0.05).value == 19.0


def test_the_critical_value_s_error_is_right(fit: R3DResults) -> None:
    bands = [fit.conf_band(n_draws=999, seed=seed) for seed in range(60)]
    spread = np.std([band.critical_value for band in bands], ddof=1)
    stated = np.mean([band.critical_value_mc_error for band in bands])
    assert 0.7 < spread / stated < 1.4  # the spread of 60 has an error of 9 %, and the stated one is itself noisy


def test_bands(fit: R3DResults) -> None:
    constant, student = fit.conf_band(), fit.conf_band(studentized=True)
    assert np.ptp(constant.upper - constant.lower) < 1e-12
    assert_allclose((student.upper - student.lower) / 2.0, student.critical_value * fit.bse)
    pointwise = fit.conf_int()
    assert (student.lower < pointwise[:, 0]).all()  # a whole curve asks for more
    assert fit.conf_band(0.1).critical_value < constant.critical_value


def test_multipliers_by_block_are_the_same_draws(fit: R3DResults, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit.draw(Drawing(300, 5), lambda g: g)
    monkeypatch.setattr("sciinf.engines.r3d.draws._BLOCK_FLOATS", 700)
    assert_allclose(fit.draw(Drawing(300, 5), lambda g: g), whole, rtol=1e-12, atol=1e-14)


def test_nullity_and_homogeneity(fit: R3DResults) -> None:
    """The design's effect is 2 at all levels: zero is refused, constancy is not; a tilt added to the curve is found."""
    nullity, homogeneity = fit.test_nullity(), fit.test_homogeneity()
    assert nullity[0].p_value < 0.05
    assert homogeneity[0].p_value > 0.05
    assert nullity[0].range == (0.1, 0.9)
    assert nullity[0].statistic == pytest.approx(np.abs(fit.params).max())
    tilted = replace(fit, contributions=replace(fit.contributions, jump=fit.params + 8.0 * fit.q_grid))
    assert tilted.test_homogeneity()[0].p_value < 0.01


@pytest.mark.parametrize("offset", [0.0, 5.1, 1e6])
@pytest.mark.parametrize("studentized", [False, True])
def test_homogeneity_of_a_curve_that_is_flat_to_rounding(offset: float, studentized: bool) -> None:
    """One value per unit: every level is that value, so the curve less its mean is nothing but rounding, and so are its draws."""
    for seed in range(5):
        data = scalar(200, 1.0, np.random.default_rng(seed))
        values = [part + offset for part in np.split(data.outcomes.values, data.outcomes.offsets[1:-1])]
        made = R3D(data.x, values, settings=R3DSettings(q_grid=DECILES)).fit(0.6)
        found = made.test_homogeneity(studentized=studentized, n_draws=99)[0]
        assert (found.statistic, found.p_value, found.p_holm, found.critical_value) == (0.0, 1.0, 1.0, 0.0)
        assert made.test_nullity(n_draws=99)[0].statistic == pytest.approx(np.abs(made.params).max())


def test_levels_that_are_alike_do_not_hide_those_that_are_not() -> None:
    """Three of nine levels are one column: their contrasts are left out where they vanish, and what differs is tested as before."""
    data = dgp1(300, 25, 2.0, np.random.default_rng(7))
    quantiles = data.outcomes.quantiles(np.array(DECILES), "type7")
    quantiles[data.x >= 0.0] += 8.0 * np.array(DECILES)
    alike = quantiles.copy()
    alike[:, :3] = quantiles[:, :1]
    made = R3D.from_quantiles(data.x, alike, settings=R3DSettings(q_grid=DECILES)).fit(0.6, cov_type="HC0")
    for studentized in (False, True):
        first, whole = made.test_homogeneity([(0.1, 0.3), (0.1, 0.9)], studentized=studentized, n_draws=999)
        assert (first.statistic, first.p_value) == (0.0, 1.0)
        assert whole.p_value < 0.01


def test_a_curve_without_any_error() -> None:
    """Every unit holds zeros: the effect is zero for certain, and no band can be in units of its standard error."""
    x = np.linspace(-1.0, 1.0, 80)
    made = R3D(x, [np.zeros(1)] * 80, settings=R3DSettings(q_grid=(0.25, 0.5, 0.75))).fit(0.5)
    for studentized in (False, True):
        for test in (made.test_nullity, made.test_homogeneity):
            found = test(studentized=studentized, n_draws=99)[0]
            assert (found.statistic, found.p_value) == (0.0, 1.0)
    assert made.conf_band(n_draws=99).critical_value == 0.0
    with pytest.raises(DataError, match=r"standard error of the effect is zero at 3 levels.*studentized=False"):
        made.conf_band(studentized=True)


def test_several_ranges_share_draws_and_are_adjusted(fit: R3DResults) -> None:
    pair = fit.test_nullity((0.1, 0.5, 0.9))
    assert [one.range for one in pair] == [(0.1, 0.5), (0.5, 0.9)]
    alone = fit.test_nullity([(0.1, 0.5)])[0]
    assert alone.p_value == pair[0].p_value
    low, high = sorted(one.p_value for one in pair)
    assert sorted(one.p_holm for one in pair) == pytest.approx([min(1.0, 2 * low), min(1.0, max(2 * low, high))])
    student = fit.test_homogeneity([(0.1, 0.9)], studentized=True)[0]
    assert student.critical_value > 2.0


def test_p_values_are_never_zero(fit: R3DResults) -> None:
    assert fit.test_nullity(n_draws=99)[0].p_value >= 0.01


def test_averages(fit: R3DResults) -> None:
    found = fit.average_effect([(0.1, 0.9), (0.3, 0.7)])
    assert_allclose(found.estimate, [fit.params.mean(), fit.params[2:7].mean()])
    weights = np.full(9, 1 / 9)
    assert found.se[0] == pytest.approx(math.sqrt(weights @ fit.cov_params() @ weights))
    together = fit.average_effect([(0.1, 0.9), (0.3, 0.7)], simultaneous=True)
    assert together.critical_value > found.critical_value
    single = fit.average_effect([(0.1, 0.9)], simultaneous=True, n_draws=40_000)
    assert single.critical_value == pytest.approx(stats.norm.ppf(0.975), abs=0.04)
    assert fit.average_effect(use_t=True).critical_value == pytest.approx(stats.t.ppf(0.975, fit.nu_eff))
    assert_allclose(found.tvalues, found.estimate / found.se)
    assert_allclose(found.pvalues, 2 * stats.norm.sf(np.abs(found.tvalues)))
    assert_allclose(fit.average_effect(use_t=True).pvalues, 2 * stats.t.sf(np.abs(found.tvalues[:1]), fit.nu_eff))
    # the interval's end is zero exactly where p is alpha
    assert ((found.lower < 0.0) & (found.upper > 0.0)).tolist() == (found.pvalues > 0.05).tolist()
    rng = np.random.default_rng(1)
    drawn = fit.average_effect([(0.1, 0.9)], simultaneous=True, draws="multiplier", n_draws=20_000)
    given = fit.average_effect([(0.1, 0.9)], simultaneous=True, xi=rng.standard_normal((fit.nobs, 20_000)))
    assert drawn.critical_value == pytest.approx(given.critical_value, abs=0.1)  # two samples of 2e4: errors of .02 each


def test_given_multipliers_leave_nothing_to_draw(fit: R3DResults) -> None:
    xi = np.random.default_rng(1).standard_normal((fit.nobs, 99))
    band = fit.conf_band(xi=xi)
    assert band.n_draws == 99
    assert fit.conf_band(xi=xi, n_draws=99, draws="multiplier").critical_value == band.critical_value
    for options, names in (({"n_draws": 5000}, "n_draws"), ({"seed": 3}, "seed"), ({"n_draws": 5000, "seed": 3}, "n_draws and seed")):
        for call in (fit.conf_band, fit.test_nullity, fit.test_homogeneity, fit.gini_test, fit.average_effect):
            with pytest.raises(ConfigError, match=f"xi are the draws themselves, 99 of them: leave out {names}"):
                call(xi=xi, **options)
    with pytest.raises(ConfigError, match="one row for each of the 300 units"):
        fit.conf_band(xi=xi[:-1])


@given(st.lists(st.integers(1, 999).map(lambda k: k / 1000), min_size=4, max_size=20, unique=True))
@settings(max_examples=50, deadline=None)
def test_weights_of_a_range(levels: list[float]) -> None:
    grid = np.sort(np.array(levels))
    weights = range_weights(grid, grid[1], grid[-1])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] == 0.0
    assert (weights[1:] > 0.0).all()


# ---- Gini ----


def test_gini_in_closed_form() -> None:
    """Q(p) = p: 1/3; exponential: 1/2; power p^k: k / (k + 2); within the error of the grid."""
    grid = np.arange(1, 2000) / 2000
    curves = np.array([grid, -np.log1p(-grid), grid**3])
    assert_allclose(gini(grid, curves), [1 / 3, 1 / 2, 3 / 5], atol=2e-3)
    assert_allclose(gini(grid, 7.0 * curves), gini(grid, curves), rtol=1e-12)
    assert np.isnan(gini(grid, -curves)).all()


def twin_gini(levels: np.ndarray, curve: np.ndarray) -> float:
    """The same integrals, one trapezoid after the other."""
    q, z = [0.0, *levels, 1.0], [curve[0], *curve, curve[-1]]
    lorenz = [0.0]
    for i in range(1, len(q)):
        lorenz.append(lorenz[-1] + 0.5 * (z[i] + z[i - 1]) * (q[i] - q[i - 1]))
    area = sum(0.5 * (lorenz[i] + lorenz[i - 1]) * (q[i] - q[i - 1]) for i in range(1, len(q)))
    return 1.0 - 2.0 * area / lorenz[-1]


@given(st.lists(st.floats(0.1, 100.0), min_size=9, max_size=9))
@settings(max_examples=40, deadline=None)
def test_gini_twin(values: list[float]) -> None:
    curve = np.sort(np.array(values))
    assert gini(np.array(DECILES), curve[None, :])[0] == pytest.approx(twin_gini(np.array(DECILES), curve), rel=1e-10, abs=1e-12)


def test_the_gini_test_is_centred() -> None:
    """Spread three times as large above the cutoff: found. The uncentred count of the R package is near 1/2 all the same."""
    rng = np.random.default_rng(11)
    x = rng.uniform(-1.0, 1.0, 400)
    values = [np.exp(rng.normal(0.0, 0.9 if u >= 0.0 else 0.3, 100)) for u in x]
    found = R3D(x, values).fit(0.5).gini_test(n_draws=999)
    assert found.p_value < 0.01
    assert found.plus > found.minus
    assert found.ci[0] < found.difference < found.ci[1]
    assert found.ci[0] > 0.0
    wrong = R3D(x, values, settings=R3DSettings(compat="R3D")).fit(0.5).gini_test(n_draws=999)
    assert 0.3 < wrong.p_value < 0.7


def test_the_gini_of_a_fuzzy_design_is_the_reduced_form_s() -> None:
    data = dgp1(300, 25, 2.0, np.random.default_rng(7))
    values = [np.exp(0.1 * part) for part in np.split(data.outcomes.values, data.outcomes.offsets[1:-1])]
    treated = np.where(np.random.default_rng(1).uniform(size=300) < 0.2, 1.0 - (data.x >= 0.0), 1.0 * (data.x >= 0.0))
    chosen = R3DSettings(q_grid=DECILES)
    sharp = R3D(data.x, values, settings=chosen).fit(0.6, cov_type="HC0").gini_test()
    fuzzy = R3D(data.x, values, treatment=treated, settings=chosen).fit(0.6, bandwidth_den=0.6, cov_type="HC0").gini_test()
    assert fuzzy.difference == pytest.approx(sharp.difference, rel=1e-12)
    assert_allclose(fuzzy.ci, sharp.ci, rtol=1e-9)
