"""What a fit offers beside its numbers: summary, table, pictures."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.core.errors import ConfigError, MissingDependencyError
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings
from sciinf.engines.r3d.simulate import dgp1

DECILES = tuple(k / 10 for k in range(1, 10))


def fitted(**options: object) -> R3DResults:
    data = dgp1(300, 40, 2.0, np.random.default_rng(5))
    choices = {key: options.pop(key) for key in ("method", "compat", "p") if key in options}
    return R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES, **choices)).fit(**options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fit() -> R3DResults:
    return fitted()


def test_summary(fit: R3DResults) -> None:
    text = fit.summary()
    band, nullity, homogeneity = fit.conf_band(), fit.test_nullity()[0], fit.test_homogeneity()[0]
    for part in (
        "frechet, p = 2, s = 1", "HC3", "imse", f"{fit.params[4]:.4f}", f"{fit.bse[4]:.4f}", "0.25 to 0.5", "manipulation_test()",
        f"{fit.n_eff[0]} above and {fit.n_eff[1]} below", "12000; in a unit at least 40, median 40", "[0.025", "0.975]",
        f"Uniform 95 % band: effect +- {band.critical_value:.4f}", f"critical {nullity.critical_value:.4f}, p = {nullity.p_value:.4f}",
        f"critical {homogeneity.critical_value:.4f}, p = {homogeneity.p_value:.4f}",
    ):  # fmt: skip
        assert part in text
    for part in ("R3D-compatible", "Conventional", "Clusters", "nearer to 0 or 1"):
        assert part not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "known defects 1-9" in fitted(compat="R3D", bandwidth=0.6).summary()
    assert f"Uniform 90 % band: effect +- {fit.conf_band(0.1).critical_value:.4f}" in fit.summary(0.1)
    assert "Uniform 99.99 % band" in fit.summary(1e-4)  # as many draws as it takes


def test_what_a_summary_warns_of() -> None:
    assert "Conventional: smoothing bias not removed (order p = 1 at a bandwidth for s = 1)" in fitted(p=1, bandwidth=0.6).summary()
    data = dgp1(300, 40, 2.0, np.random.default_rng(5))
    fine = R3D(data.x, data.outcomes, cluster=np.arange(300) // 5).fit(0.6)
    assert "4 levels are nearer to 0 or 1 than 1 / 40" in fine.summary()  # .01, .02, .98, .99
    codes = np.arange(300) // 5
    inside = np.abs(data.x) < 0.6
    above, below = set(codes[inside & (data.x >= 0.0)]), set(codes[inside & (data.x < 0.0)])
    expected = f"60; within the bandwidth {len(above)} above and {len(below)} below, {len(above & below)} on both sides"
    assert expected in fine.summary()


def test_the_summary_s_averages_have_their_own_p(fit: R3DResults) -> None:
    average = fit.average_effect([(0.25, 0.5)])
    row = next(line for line in fit.summary().splitlines() if "0.25 to 0.5" in line)
    assert f"{average.tvalues[0]:.3f}" in row
    assert f"{average.pvalues[0]:.3f}" in row


def test_one_level_has_a_summary() -> None:
    data = dgp1(300, 40, 2.0, np.random.default_rng(5))
    text = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=(0.5,))).fit(0.6).summary()
    assert "q = 0.5" in text
    assert "sup" not in text


def test_the_summary_s_averages_have_their_own_intervals(fit: R3DResults) -> None:
    average = fit.average_effect([(0.25, 0.5)])
    assert f"{average.se[0]:.4f}" in fit.summary()
    assert average.se[0] < fit.bse[2:5].mean()  # an average of correlated errors: never the mean of interval ends


def test_frame(fit: R3DResults) -> None:
    frame = fit.to_frame(alpha=0.1)
    assert list(frame.columns) == ["q", "tau", "se", "lower", "upper", "m_plus", "m_minus", "h"]
    assert_allclose(frame["tau"], fit.params)
    assert_allclose(frame["upper"] - frame["tau"], stats.norm.ppf(0.95) * fit.bse)
    assert (frame["h"] == fit.bandwidth_info.h[0]).all()


def test_frame_with_a_band(fit: R3DResults) -> None:
    band = fit.conf_band(n_draws=199)
    frame = fit.to_frame(band=band)
    assert list(frame.columns)[-2:] == ["band_lower", "band_upper"]
    assert_allclose(frame["band_upper"] - frame["tau"], band.critical_value)
    assert_allclose(band.q, frame["q"])


def test_values_of_each_level(fit: R3DResults) -> None:
    assert_allclose(fit.bse**2, np.diag(fit.cov_params()))
    assert_allclose(fit.tvalues, fit.params / fit.bse)
    assert_allclose(fit.pvalues, 2 * stats.norm.sf(np.abs(fit.tvalues)))
    wide, narrow = fit.conf_int(use_t=True), fit.conf_int()
    ratio = (wide[:, 1] - wide[:, 0]) / (narrow[:, 1] - narrow[:, 0])
    assert_allclose(ratio, stats.t.ppf(0.975, fit.nu_eff) / stats.norm.ppf(0.975))
    assert fit.influence.shape == (len(fit.active), 9)
    assert sum(fit.n_eff) == len(fit.active)


def test_manipulation_is_tested_by_rddensity(fit: R3DResults, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own function, called as its documentation says: rddensity(X, c); its result as it is."""
    calls: list[tuple[np.ndarray, float]] = []
    stub = ModuleType("rddensity")
    stub.rddensity = lambda X, c: (calls.append((X, c)), "its result")[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rddensity", stub)
    assert fit.manipulation_test() == "its result"
    assert np.array_equal(calls[0][0], dgp1(300, 40, 2.0, np.random.default_rng(5)).x)
    assert calls[0][1] == 0.0
    monkeypatch.setitem(sys.modules, "rddensity", None)
    with pytest.raises(MissingDependencyError, match="pip install rddensity"):
        fit.manipulation_test()


def test_pictures(fit: R3DResults) -> None:
    import matplotlib.pyplot as plt

    def names(figure: Figure) -> set[str]:
        legend = figure.axes[0].get_legend()
        assert legend is not None
        return {text.get_text() for text in legend.get_texts()}

    assert names(fit.plot_effect()) == {"95 % band", "effect", "pointwise interval"}
    assert names(fit.plot_effect(fit.conf_band(0.1))) == {"90 % band", "effect", "pointwise interval"}
    assert names(fit.plot_effect(False)) == {"effect", "pointwise interval"}
    with pytest.raises(ConfigError, match=r"another fit: it has 2 levels from 0.4 to 0.5"):
        fit.plot_effect(replace(fit.conf_band(n_draws=99), q=np.array([0.4, 0.5])))
    whole = fit.plot_effect(fit.conf_band(n_draws=199), fit.average_effect([(0.1, 0.5), (0.5, 0.9)]))
    assert names(whole) >= {"95 % band", "effect", "average"}
    assert isinstance(fit.plot_sides(), Figure)
    assert isinstance(fit.plot_bandwidth(), Figure)
    assert len(fitted(method="simple", bandwidth="mse").plot_bandwidth().axes) == 2
    assert plt.get_fignums() == []  # nothing of pyplot's
    figure = Figure()
    axes = figure.add_subplot()
    assert fit.plot_effect(ax=axes) is figure


def test_the_bandwidth_s_picture_needs_a_chosen_one() -> None:
    with pytest.raises(ConfigError, match="chosen by 'imse' or 'mse'"):
        fitted(bandwidth=0.5).plot_bandwidth()


def test_the_curves_of_the_bandwidth_s_picture_cross_where_it_was_chosen(fit: R3DResults) -> None:
    """The sum's minimum is the bandwidth, where neither the cap nor an edge of the picture binds."""
    assert fit.bandwidth_info.binding != "cap"
    lines = {line.get_label(): line for line in fit.plot_bandwidth().axes[0].get_lines()}
    h, total = lines["sum"].get_data()
    assert_allclose(h[np.argmin(total)], fit.bandwidth_info.h[0], rtol=0.02)


def test_the_picture_of_a_shape(fit: R3DResults) -> None:
    import sciinf

    engine = fit.to_engine("location_scale", q=(0.3, 0.5, 0.7))
    posterior = sciinf.sample(sciinf.Problem(engine, engine.default_priors()), sciinf.Dynesty(n_live=60, engine="compiled"), seed=1)
    assert isinstance(engine.figures(posterior)["effect_shape"], Figure)


def test_a_compatible_fit_says_the_weights_that_it_uses() -> None:
    """The R package knows equal weights only, whatever is asked for."""
    assert R3DSettings(compat="R3D", projection_weights="cell").projection_weights == "equal"
    assert R3DSettings.r3d_defaults() == R3DSettings(method="simple", kernel="epanechnikov", compat="R3D")
