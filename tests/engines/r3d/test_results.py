"""What a fit offers beside its numbers: summary, table, pictures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.core.errors import ConfigError
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
    for part in ("frechet, p = 2, s = 1", "HC3", "imse", f"{fit.params[4]:.4f}", f"{fit.bse[4]:.4f}", "0.25 to 0.5", "rddensity"):
        assert part in text
    assert "R3D-compatible" not in text
    assert "|" not in text
    assert "known defects 1-9" in fitted(compat="R3D", bandwidth=0.6).summary()


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


def test_values_of_each_level(fit: R3DResults) -> None:
    assert_allclose(fit.bse**2, np.diag(fit.cov_params()))
    assert_allclose(fit.tvalues, fit.params / fit.bse)
    assert_allclose(fit.pvalues, 2 * stats.norm.sf(np.abs(fit.tvalues)))
    wide, narrow = fit.conf_int(use_t=True), fit.conf_int()
    ratio = (wide[:, 1] - wide[:, 0]) / (narrow[:, 1] - narrow[:, 0])
    assert_allclose(ratio, stats.t.ppf(0.975, fit.nu_eff) / stats.norm.ppf(0.975))
    assert fit.influence.shape == (len(fit.active), 9)
    assert sum(fit.n_eff) == len(fit.active)


def test_pictures(fit: R3DResults) -> None:
    import matplotlib.pyplot as plt

    assert isinstance(fit.plot_effect(), Figure)
    whole = fit.plot_effect(fit.conf_band(n_draws=199), fit.average_effect([(0.1, 0.5), (0.5, 0.9)]))
    assert {text.get_text() for text in whole.axes[0].get_legend().get_texts()} >= {"95 % band", "effect", "average"}
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
