"""Invariances of a fit, its special cases, and its bandwidths."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate, stats

from sciinf.core.errors import DataError, SciinfWarning
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings, RaggedSample
from sciinf.engines.r3d.covariance import effective_freedom
from sciinf.engines.r3d.simulate import closed_form, dgp1, dgp2, scalar

DECILES = tuple(k / 10 for k in range(1, 10))
SETTINGS = R3DSettings(q_grid=DECILES)
DATA = dgp1(300, 25, 2.0, np.random.default_rng(7))
SCALES = st.floats(-3.0, 3.0).map(lambda e: 10.0**e)


def fitted(x: np.ndarray = DATA.x, values: np.ndarray = DATA.outcomes.values, cutoff: float = 0.0, **options: Any) -> R3DResults:
    sample = RaggedSample(values, DATA.outcomes.offsets)
    chosen = options.pop("settings", SETTINGS)
    return R3D(x, sample, cutoff, settings=chosen).fit(**options)


BASE = fitted()
METHODS = [("frechet", "imse"), ("simple", "mse"), ("simple", "imse")]


@given(st.floats(-1e3, 1e3))
@settings(max_examples=15, deadline=None)
def test_a_shift_of_all_outcomes(shift: float) -> None:
    fit = fitted(values=DATA.outcomes.values + shift)
    assert_allclose(fit.params, BASE.params, rtol=0, atol=1e-9)
    assert_allclose(fit.m_plus, BASE.m_plus + shift, rtol=1e-9, atol=1e-9)
    assert_allclose(fit.bse, BASE.bse, rtol=1e-8)
    assert_allclose(fit.bandwidth_info.h, BASE.bandwidth_info.h, rtol=1e-8)


@given(SCALES)
@settings(max_examples=15, deadline=None)
def test_a_scale_of_all_outcomes(scale: float) -> None:
    fit = fitted(values=DATA.outcomes.values * scale)
    assert_allclose(fit.params, BASE.params * scale, rtol=1e-9)
    assert_allclose(fit.bse, BASE.bse * scale, rtol=1e-9)
    assert_allclose(fit.bandwidth_info.h, BASE.bandwidth_info.h, rtol=1e-9)
    assert_allclose(fit.conf_band(n_draws=199).critical_value, BASE.conf_band(n_draws=199).critical_value * scale, rtol=1e-8)


@pytest.mark.parametrize(("method", "rule"), METHODS)
@given(scale=SCALES, cutoff=st.floats(-50.0, 50.0))
@settings(max_examples=10, deadline=None)
def test_the_unit_of_the_running_variable(method: Any, rule: str, scale: float, cutoff: float) -> None:
    chosen = replace(SETTINGS, method=method)
    base = fitted(bandwidth=rule, settings=chosen)
    fit = fitted(x=DATA.x * scale, bandwidth=rule, settings=chosen)
    assert_allclose(fit.bandwidth_info.h, base.bandwidth_info.h * scale, rtol=1e-8)
    assert_allclose(fit.params, base.params, rtol=1e-8)
    moved = fitted(x=(DATA.x + cutoff) * scale, cutoff=cutoff * scale, bandwidth=rule, settings=chosen)
    assert_allclose(moved.bandwidth_info.h, base.bandwidth_info.h * scale, rtol=1e-7)
    assert_allclose(moved.params, base.params, rtol=1e-7)  # x - c loses some of its last digits


def test_a_scale_without_its_cutoff_is_another_question() -> None:
    """Control of the test above: the cutoff in the old unit is another cutoff."""
    wrong = fitted(x=(DATA.x + 1.0) * 3.0, cutoff=1.0)
    assert np.abs(wrong.params - BASE.params).max() > 0.1


def test_the_order_of_units() -> None:
    order = np.random.default_rng(1).permutation(300)
    fit = R3D(DATA.x[order], DATA.outcomes.take(order), settings=SETTINGS, labels=order).fit()
    assert_allclose(fit.params, BASE.params, rtol=1e-10)
    assert_allclose(fit.cov_params(), BASE.cov_params(), rtol=1e-8)


def test_a_fit_is_a_function_of_its_data() -> None:
    model = R3D(DATA.x, DATA.outcomes, settings=SETTINGS)
    one, two = model.fit(), pickle.loads(pickle.dumps(model)).fit()
    assert np.array_equal(one.params, two.params)
    assert np.array_equal(one.cov_params(), BASE.cov_params())
    assert np.array_equal(one.conf_band(seed=3).lower, two.conf_band(seed=3).lower)
    assert not np.array_equal(one.conf_band(seed=3).lower, two.conf_band(seed=4).lower)


@pytest.mark.parametrize(("method", "rule"), METHODS)
def test_the_mirror_image(method: Any, rule: str) -> None:
    chosen = replace(SETTINGS, method=method)
    base = fitted(bandwidth=rule, settings=chosen)
    mirrored = fitted(x=-DATA.x, bandwidth=rule, settings=chosen)
    assert_allclose(mirrored.params, -base.params, rtol=1e-9)
    assert_allclose(mirrored.bse, base.bse, rtol=1e-9)


def test_a_shift_of_one_side_moves_the_effect_by_it() -> None:
    step = np.repeat(np.where(DATA.x >= 0.0, 0.37, 0.0), DATA.outcomes.sizes)
    fit = fitted(values=DATA.outcomes.values + step, bandwidth=0.5)
    assert_allclose(fit.params, fitted(bandwidth=0.5).params + 0.37, rtol=1e-10)


@pytest.mark.parametrize("rule", ["type7", "inverted_cdf"])
def test_constant_weights_are_none(rule: Any) -> None:
    weights = np.repeat(np.random.default_rng(2).uniform(0.5, 2.0, 300), DATA.outcomes.sizes)
    sample = RaggedSample(DATA.outcomes.values, DATA.outcomes.offsets, weights)
    chosen = replace(SETTINGS, quantile_rule=rule)
    assert_allclose(R3D(DATA.x, sample, settings=chosen).fit().params, fitted(settings=chosen).params, rtol=1e-9)


def test_weights_enter_the_bandwidth() -> None:
    weights = np.random.default_rng(2).uniform(0.0, 2.0, len(DATA.outcomes.values)) ** 3
    sample = RaggedSample(DATA.outcomes.values, DATA.outcomes.offsets, weights)
    ours = R3D(DATA.x, sample, settings=SETTINGS).select_bandwidth()
    assert abs(ours.h[0] / BASE.bandwidth_info.h[0] - 1.0) > 1e-4
    compatible = replace(SETTINGS, compat="R3D")
    theirs = R3D(DATA.x, sample, settings=compatible).select_bandwidth()
    assert theirs.h[0] == R3D(DATA.x, DATA.outcomes, settings=compatible).select_bandwidth().h[0]


# ---- special cases ----


@pytest.mark.parametrize("cov_type", ["HC0", "HC3"])
def test_full_compliance_is_the_sharp_design(cov_type: Any) -> None:
    sharp = fitted(cov_type=cov_type)
    fuzzy = R3D(DATA.x, DATA.outcomes, treatment=(DATA.x >= 0.0) * 1.0, settings=SETTINGS).fit(cov_type=cov_type)
    assert fuzzy.denominator == pytest.approx(1.0, abs=1e-12)
    assert_allclose(fuzzy.params, sharp.params, rtol=1e-10)
    assert_allclose(fuzzy.cov_params(), sharp.cov_params(), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:few degrees of freedom")
def test_each_unit_its_own_cluster() -> None:
    clustered = R3D(DATA.x, DATA.outcomes, cluster=np.arange(300), settings=SETTINGS)
    plain = fitted(bandwidth=0.6, cov_type="HC0")
    assert_allclose(clustered.fit(0.6, cov_type="CR0").cov_params(), plain.cov_params(), rtol=1e-12)
    assert clustered.fit(0.6).nu_eff == pytest.approx(plain.nu_eff)
    n_plus, n_minus = plain.n_eff
    factors = [n / (n - 3) for n in (n_plus, n_minus)]  # (n - 1) / (n - p - 1) n / (n - 1)
    ratio = np.diag(clustered.fit(0.6, cov_type="CR1").cov_params()) / np.diag(plain.cov_params())
    assert (min(factors) - 1e-12 <= ratio).all()
    assert (ratio <= max(factors) + 1e-12).all()


@pytest.mark.filterwarnings("ignore:the running variable has", "ignore:few degrees of freedom")
def test_units_without_weight_do_not_count_in_a_cluster_s_factor() -> None:
    """Whole x, h = 5, clusters by x (Lee & Card 2008): the units at 5 have no weight, so dropping them changes nothing."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.integers(-9, 10, 300)]).astype(float)
    outcomes = rng.normal(x[:, None], 1.0, (300, 20))
    kept = np.abs(x) != 5.0
    fits = [R3D(x[k], list(outcomes[k]), cluster=x[k], settings=SETTINGS).fit(5.0) for k in (slice(None), kept)]
    assert fits[0].cov_type == "CR1"
    assert_allclose(fits[0].params, fits[1].params, rtol=1e-12)
    assert_allclose(fits[0].cov_params(), fits[1].cov_params(), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:atoms", "ignore:the bandwidth of the outcome is cut off")
def test_a_level_that_is_the_same_in_all_units() -> None:
    """Outcomes with many zeros, or another floor: that level takes the cap (any bandwidth gives its effect of nothing), no other moves."""
    chosen = replace(SETTINGS, method="simple")
    ordered = np.sort(DATA.outcomes.values.reshape(300, 25), axis=1)
    ordered[:, :8] = ordered.min() - 1.0  # the lowest third of each unit's values: levels .1 and .2 are theirs alone
    found = []
    for floor in (0.0, 5.1):
        fit = R3D(DATA.x, list(ordered - ordered.min() + floor), settings=chosen).fit("mse")
        info = fit.bandwidth_info
        assert (info.h[:2] == info.cap).all()
        assert info.bindings[:2] == ("exact", "exact")
        assert ((info.h > 0.0) & (info.h <= info.cap)).all()
        assert_allclose(fit.params[:2], 0.0, atol=1e-12)
        found.append(fit)
    assert_allclose(found[0].bandwidth_info.h, found[1].bandwidth_info.h, rtol=1e-9)
    assert_allclose(found[0].params, found[1].params, atol=1e-9)


@pytest.mark.filterwarnings("ignore:few degrees of freedom")
def test_copies_of_units_as_clusters() -> None:
    """Every unit three times, a cluster each: the covariance is that of the units; taken as independent it is a third."""
    order = np.repeat(np.arange(300), 3)
    model = R3D(DATA.x[order], [DATA.outcomes.values[25 * i : 25 * i + 25] for i in order],
                cluster=order, settings=SETTINGS)  # fmt: skip
    plain = fitted(bandwidth=0.6, cov_type="HC0")
    assert_allclose(model.fit(0.6, cov_type="CR0").cov_params(), plain.cov_params(), rtol=1e-10)
    apart = R3D(model.x, model.outcomes, settings=SETTINGS).fit(0.6, cov_type="HC0")
    assert_allclose(3.0 * apart.cov_params(), plain.cov_params(), rtol=1e-10)


def test_one_value_per_unit_has_one_curve() -> None:
    data = scalar(400, 1.0, np.random.default_rng(3))
    fit = R3D(data.x, data.outcomes, settings=SETTINGS).fit(0.4)
    assert np.ptp(fit.params) < 1e-12
    assert np.ptp(fit.bse) < 1e-12
    assert abs(fit.params[0] - 1.0) < 5.0 * fit.bse[0]


def test_leverage_makes_errors_larger() -> None:
    errors = [fitted(bandwidth=0.5, cov_type=name).bse for name in ("HC0", "HC2", "HC3")]
    assert (errors[0] < errors[1]).all()
    assert (errors[1] < errors[2]).all()


def test_effective_freedom() -> None:
    assert effective_freedom(np.ones((20, 1)))[0] == pytest.approx(20.0)
    assert effective_freedom(np.array([[1.0], [0.0], [0.0]]))[0] == pytest.approx(1.0)
    assert BASE.nu_eff < sum(BASE.n_eff)


def test_the_closed_form() -> None:
    """Effect gamma sigma z(q): the contrast of the outer deciles, in which the error common to all levels cancels, within 12 %.

    A pooled comparison of quantiles tends to .759, far outside; without the doubled spread the contrast is 0.
    """
    contrasts = {}
    for gamma in (1.0, 0.0):
        data = closed_form(1500, 60, gamma, 2.0, 1.0, np.random.default_rng(8))
        fit = R3D(data.x, data.outcomes, settings=SETTINGS).fit(0.5)
        contrasts[gamma] = 0.5 * (fit.params[8] - fit.params[0])
        assert_allclose(data.effect[[9, 89]], [-1.2815515655446004 * gamma, 1.2815515655446004 * gamma], atol=1e-12)
    assert abs(contrasts[1.0] - 1.28155) < 0.12 * 1.28155
    assert abs(contrasts[0.0]) < 0.12 * 1.28155
    pooled = (np.sqrt(4.0 + 4.0) - np.sqrt(4.0 + 1.0)) * 1.28155
    assert pooled == pytest.approx(0.759, abs=1e-3)
    assert abs(pooled - 1.28155) > 0.12 * 1.28155


def test_the_skewed_design_s_effect() -> None:
    """SciPy's own quantiles of the modified normal, under adaptive quadrature over the rate; and the caller's draws stay its own."""
    rngs = [np.random.default_rng(9), np.random.default_rng(9)]
    data = dgp2(50, 10, 0.5, 0.7, rngs[0])
    for place, q in ((0, 0.01), (49, 0.5), (98, 0.99)):
        right, left = (integrate.quad(lambda rate, a, b: stats.exponnorm.ppf(b, 2.0 / (rate + a)), 0.5, 1.5, (a, q))[0] for a in (0.7, 0.0))
        assert data.effect[place] == pytest.approx(0.5 + right - left, abs=1e-9)
    assert np.ptp(dgp2(50, 10, 0.5, 0.0, rngs[1]).effect) < 1e-12
    assert rngs[0].uniform() == rngs[1].uniform()  # as many draws as the data need, whatever the effect


def test_the_bundled_example_has_its_documented_effect() -> None:
    """The figures in data/SOURCES.md, data/make_r3d_example.py and docs/examples/r3d_shape.toml."""
    effect = dgp2(2, 1, 1.0, 0.5, np.random.default_rng(1)).effect[[9, 49, 89]]
    assert_allclose(effect, [0.766, 0.450, -0.745], atol=5e-4)
    root = Path(__file__).parents[3]
    written = [(root / "data" / name).read_text() for name in ("SOURCES.md", "make_r3d_example.py")]
    written.append((root / "docs" / "examples" / "r3d_shape.toml").read_text())
    for text in written:
        assert all(f"{value:.3f}" in text for value in effect)


# ---- bandwidths ----


def test_what_decided_the_bandwidth() -> None:
    model = R3D(DATA.x, DATA.outcomes, settings=SETTINGS)
    info = model.select_bandwidth()
    assert info.binding == "regularised"  # both sides curve alike in this design
    assert (model.select_bandwidth(regularise=False).h >= info.h).all()
    assert model.select_bandwidth(coverage_rule=True).h[0] == pytest.approx(info.h[0] * 300 ** (-1 / 20))
    assert model.select_bandwidth(0.4).binding == "given"
    assert model.select_bandwidth("rot").h[0] == pytest.approx(1.06 * np.std(DATA.x, ddof=1) * 300**-0.2)


def test_a_treatment_without_noise() -> None:
    """Straight on each side, everywhere or near the cutoff alone: no bandwidth made of rounding, and the jump is exact; curved: refused."""
    data = dgp1(400, 40, 1.0, np.random.default_rng(3))
    above = data.x >= 0.0
    lines = np.where(above, 0.7 + 0.2 * data.x, 0.2 + 0.1 * data.x)
    bent = np.where(above, 0.7 + 0.2 * np.minimum(data.x, 0.7), 0.2 + 0.1 * np.maximum(data.x, -0.8))
    for share, where in ((lines, "cap"), (bent, "b"), (above.astype(float), "cap")):
        fit = R3D(data.x, data.outcomes, treatment=share, settings=SETTINGS).fit()
        info = fit.bandwidth_info.denominator
        assert info is not None
        assert info.binding == "exact"
        assert info.h[0] == getattr(info, where)
        assert fit.denominator == pytest.approx(0.5 if share[above].min() < 1.0 else 1.0, rel=1e-12)
    with pytest.raises(DataError, match=r"without noise.*polynomial of degree 2.*Give a bandwidth"):
        R3D(data.x, data.outcomes, treatment=np.where(above, 0.7 + 0.2 * data.x**2, 0.2 + 0.1 * data.x), settings=SETTINGS).fit()


def test_few_clusters_are_said() -> None:
    """Eight clusters on each side: a note with their number and the degrees of freedom; forty: none."""
    rng = np.random.default_rng(4)
    for groups, said in ((8, True), (60, False)):
        cluster = np.repeat(np.arange(2 * groups), 10)
        x = np.where(cluster < groups, -1.0, 1.0) * rng.uniform(0.01, 1.0, len(cluster))
        y = x + rng.normal(size=2 * groups)[cluster] + rng.normal(size=len(cluster))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = R3D(x, [[value] for value in y], cluster=cluster, settings=R3DSettings(q_grid=(0.5,))).fit(1.0)
        texts = [str(one.message) for one in caught if "few degrees of freedom" in str(one.message)]
        assert (fit.nu_eff < 20.0) is said
        assert len(texts) == said
        if said:
            assert f"8 clusters above and 8 below the cutoff are within the bandwidth, and their weights leave {fit.nu_eff:.1f}" in texts[0]
            assert "use_t=True" in texts[0]


def test_the_cap() -> None:
    """The same curve on both sides has no difference of curvature: without regularisation the range binds, and the fit says so."""
    half = np.linspace(0.02, 1.0, 50)
    x, noise = np.concatenate([-half, half]), np.tile(np.random.default_rng(1).normal(0.0, 0.1, 50), 2)
    values = [u**2 + e + np.arange(12) for u, e in zip(x, noise, strict=True)]
    made = R3D(x, values, settings=R3DSettings(q_grid=(0.3, 0.7)))
    with pytest.warns(SciinfWarning, match="cut off at the range of the shorter side, 1"):
        fit = made.fit(regularise=False)
    assert fit.bandwidth_info.h[0] == pytest.approx(1.0)


@pytest.mark.parametrize("regularise", [True, False])
def test_it_shrinks_as_it_should(regularise: bool) -> None:
    """The design with a known optimum 1.4963 n^(-1/5): medians over 12 draws within 25 % of it, and the rate of the literature."""
    medians = []
    sizes = (500, 2000, 8000)
    for n in sizes:
        found = []
        for seed in range(12):
            rng = np.random.default_rng([n, seed])
            x = rng.uniform(-1.0, 1.0, n)
            side = np.where(x >= 0.0, 1.0, -1.0)
            level = x + side * 2.0 * x**2 + (x >= 0.0) + rng.normal(0.0, 0.5, n)
            table = level[:, None] + np.array([-1.2815515655446004, 0.0, 1.2815515655446004])
            model = R3D.from_quantiles(x, table, settings=R3DSettings(q_grid=(0.1, 0.5, 0.9)))
            found.append(model.select_bandwidth(regularise=regularise).h[0])
        medians.append(np.median(found))
    ratio = np.array(medians) / (1.4963 * np.array(sizes) ** -0.2)
    assert (ratio > 0.75).all()
    assert (ratio < 1.25).all()
    assert -0.30 < np.polyfit(np.log(sizes), np.log(medians), 1)[0] < -0.12
