"""What a fit and its likelihood refuse when something is asked of them: never a NaN, always what was expected and what came."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, SciinfError, SciinfWarning
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings
from sciinf.engines.r3d.simulate import dgp1

DECILES = tuple(k / 10 for k in range(1, 10))
DATA = dgp1(200, 60, 1.0, np.random.default_rng(6))

Call = Callable[[R3DResults], Any]


def fitted(bandwidth: Any = 0.6, q_grid: tuple[float, ...] = DECILES, cov_type: Any = None, **options: Any) -> R3DResults:
    chosen = {key: options.pop(key) for key in ("method", "compat", "p", "kernel") if key in options}
    den = options.pop("bandwidth_den", None)
    data = {"x": DATA.x, "outcomes": DATA.outcomes} | options
    return R3D(**data, settings=R3DSettings(q_grid=q_grid, **chosen)).fit(bandwidth, den, cov_type=cov_type)


@pytest.fixture(scope="module")
def fit() -> R3DResults:
    return fitted()


@pytest.mark.parametrize("alpha", [math.nan, "a", None, 0.0, 1.0, -0.05, [0.05, 0.1], math.inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda fit, alpha: fit.conf_int(alpha),
        lambda fit, alpha: fit.conf_band(alpha),
        lambda fit, alpha: fit.test_nullity(alpha=alpha),
        lambda fit, alpha: fit.test_homogeneity(alpha=alpha),
        lambda fit, alpha: fit.gini_test(alpha),
        lambda fit, alpha: fit.average_effect(alpha=alpha),
        lambda fit, alpha: fit.summary(alpha),
        lambda fit, alpha: fit.to_frame(alpha),
    ],
)
def test_alpha(fit: R3DResults, call: Callable[[R3DResults, Any], Any], alpha: Any) -> None:
    with pytest.raises(ConfigError, match=r"alpha must be a number inside \(0, 1\), got"):
        call(fit, alpha)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda fit: fit.conf_band(n_draws=True), ConfigError, "n_draws must be an integer of at least 19, got True"),
        (lambda fit: fit.conf_band(n_draws=99.0), ConfigError, "n_draws must be an integer of at least 19, got 99.0"),
        (lambda fit: fit.test_nullity(n_draws="99"), ConfigError, "n_draws must be an integer"),
        (lambda fit: fit.test_nullity(alpha=0.01, n_draws=98), ConfigError, "98 draws are too few for alpha = 0.01: at least 99"),
        (lambda fit: fit.conf_band(seed=1.5), SciinfError, "seed must be"),
        (lambda fit: fit.conf_band(xi=np.full((200, 99), np.nan)), DataError, "xi"),
        (lambda fit: fit.conf_band(xi=np.ones(99)), DataError, "xi"),
        (lambda fit: fit.conf_band(xi=np.ones((200, 18))), ConfigError, "at least 19, got 18"),
        (lambda fit: fit.average_effect([]), ConfigError, r"ranges must be pairs"),
        (lambda fit: fit.average_effect([(0.1, 0.5, 0.9)]), ConfigError, r"ranges must be pairs"),
        (lambda fit: fit.average_effect([(0.1, math.nan)]), ConfigError, r"ranges must be pairs"),
        (lambda fit: fit.average_effect([(2.0, 3.0)]), ConfigError, r"range \[2, 3\] holds 0 .* run from 0.1 to 0.9"),
        (lambda fit: fit.to_engine(q=()), ConfigError, "q must be levels that increase strictly"),
        (lambda fit: fit.to_engine(q=(0.1, math.nan)), ConfigError, "q must be levels that increase strictly"),
        (lambda fit: fit.to_engine(n_components=True), ConfigError, "n_components must be an integer from 1 to 3, got True"),
        (lambda fit: fit.to_engine(n_components=2.0), ConfigError, "n_components must be an integer from 1 to 3, got 2.0"),
        (lambda fit: fit.to_engine(nu=math.nan), ConfigError, "nu must be a positive finite number, got nan"),
        (lambda fit: fit.to_engine(nu=math.inf), ConfigError, "nu must be a positive finite number, got inf"),
        (lambda fit: fit.to_engine(nu="20"), ConfigError, "nu must be a positive finite number, got '20'"),
        (lambda fit: fit.to_engine(cov_type="HC9"), ConfigError, "no cov_type 'HC9'"),
        (lambda fit: fit.to_engine().with_data(np.zeros(3)), DataError, "statistic"),
        (lambda fit: fit.to_engine().with_data(np.full(5, np.nan)), DataError, "statistic"),
    ],
)
@pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")
def test_asked_wrongly(fit: R3DResults, call: Call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(fit)


@pytest.mark.parametrize("compat", [None, "R3D"])
def test_one_level_has_no_shape(compat: Any) -> None:
    single = fitted(q_grid=(0.5,), compat=compat)
    with pytest.raises(ConfigError, match=r"range \[0.5, 0.5\] holds 1 of the fit's quantile levels, and needs at least 2"):
        single.test_homogeneity()
    with pytest.raises(ConfigError, match="at least two quantile levels, the fit has one"):
        single.gini_test()


def test_more_components_than_levels() -> None:
    with pytest.raises(ConfigError, match="n_components must be an integer from 1 to 2, got 3"):
        fitted(q_grid=(0.4, 0.6)).to_engine(n_components=3)


def test_a_covariance_that_is_singular_to_working_precision(fit: R3DResults) -> None:
    """A Cholesky factor exists in both cases; the condition decides, at 1e10."""
    engine = fit.to_engine(q=(0.3, 0.7))
    worse, near = np.diag([1.0, 0.5e-10]), np.diag([1.0, 2e-10])
    assert np.linalg.cholesky(worse)[1, 1] > 0.0
    with pytest.raises(DataError, match=r"d = 2\) is singular to working precision \(condition 2.0e\+10\).*n_components=3"):
        replace(engine, covariance=worse)
    assert math.isfinite(replace(engine, covariance=near).log_likelihood_null())


@pytest.mark.filterwarnings("ignore:few degrees of freedom")
def test_one_cluster_within_the_bandwidth() -> None:
    """Two clusters on each side, but near the cutoff one of the plus side's alone."""
    cluster = np.where(DATA.x >= 0.0, np.where(DATA.x < 0.8, 1, 2), np.where(np.arange(200) % 2, 3, 4))
    with pytest.raises(DataError, match=r"the plus side has 1 cluster\(s\) with active units.*at least 2. Raise h"):
        fitted(0.7, cluster=cluster)
    assert fitted(0.95, cluster=cluster).cov_type == "CR1"


def test_a_unit_that_determines_its_own_fit_at_one_level() -> None:
    """Leverage 1 at the second level's bandwidth only: the unit and its side are named, and HC0 goes on."""
    x = np.concatenate([np.full(20, 0.1), [0.5], np.linspace(0.55, 1.0, 20), -np.linspace(0.01, 1.0, 40)])
    rng = np.random.default_rng(1)
    model = R3D(x, [rng.normal(size=50) for _ in x], settings=R3DSettings(q_grid=(0.3, 0.7), method="simple", kernel="uniform", p=1))
    assert model.fit([1.0, 1.0], cov_type="HC2").bse.min() > 0.0
    with pytest.raises(DataError, match=r"unit 20 on the plus side determines its own fit.*HC2 is not defined"):
        model.fit([1.0, 0.52], cov_type="HC2")
    assert model.fit([1.0, 0.52], cov_type="HC0").bse.min() > 0.0


def test_too_few_units_for_the_first_stage() -> None:
    share = np.where(DATA.x >= 0.0, 0.8, 0.1)
    with pytest.raises(DataError, match=r"too few units on the (plus|minus) side: .*h = 0.01"):
        fitted(0.6, treatment=share, bandwidth_den=0.01)


def test_a_gini_whose_draws_have_no_mean() -> None:
    """Estimated means are positive and about one standard error from zero: many draws are not."""
    rng = np.random.default_rng(2)
    outcomes = [shift + rng.normal(0.0, 1.0, 40) for shift in rng.normal(0.0, 1.5, 200)]
    first = fitted(0.6, outcomes=outcomes)
    lower = min(first.m_plus.mean(), first.m_minus.mean())
    made = fitted(0.6, outcomes=[values - lower + 0.2 for values in outcomes])
    assert min(made.m_plus.mean(), made.m_minus.mean()) == pytest.approx(0.2)
    assert first.bse.min() > 0.2
    with pytest.raises(DataError, match=r"of 999 draws have a mean that is not positive") as caught:
        made.gini_test(n_draws=999)
    count = re.match(r"(\d+) of", str(caught.value))
    assert count is not None
    assert int(count[1]) > 9


def test_a_first_stage_at_its_cap_is_said() -> None:
    """The same shares on both sides but for a jump: biases cancel, and the unregularised bandwidth is the range; the note names which."""
    rng = np.random.default_rng(3)
    half = np.sort(rng.uniform(0.01, 1.0, 200))
    noise = rng.uniform(-0.1, 0.1, 200)
    x, share = np.concatenate([half, -half]), np.concatenate([0.7 + noise, 0.2 + noise])
    outcomes = [rng.normal(u + 4.0 * u * abs(u), 1.0, 40) for u in x]
    with pytest.warns(SciinfWarning, match="the bandwidth of the treatment is cut off at the range of the shorter side"):
        made = R3D(x, outcomes, treatment=share, settings=R3DSettings(q_grid=DECILES)).fit(regularise=False)
    assert made.bandwidth_info.binding == "none"
    assert made.bandwidth_info.denominator is not None
    assert made.bandwidth_info.denominator.binding == "cap"


def test_a_clean_fit_is_silent() -> None:
    """Large units, a smooth running variable: nothing is said by the fit, its summary's notes, or its likelihood at three levels."""
    data = dgp1(500, 100, 1.0, np.random.default_rng(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES)).fit(0.6)
        made.to_engine("location_scale", q=(0.3, 0.5, 0.7))
        text = made.summary()
    assert made.notes == ()
    assert "Note:" not in text
