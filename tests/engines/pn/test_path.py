"""Curves of risk by p, nested models, and the pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.pn import PNPath, PNResult, RealLine, curves, exact_risk, families, max_p, pn_criterion, pn_path, required_n
from sciinf.engines.pn.glm import NormalDesign

sm = pytest.importorskip("statsmodels.api")


# ---- curves ----


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_the_curve_of_normal_laws_is_the_family_s(d: int) -> None:
    family = families.MultivariateNormal(d)
    p = d * (d + 3) // 2
    assert family.p == p
    assert_allclose(curves.mvn(p), (0.5 * p, family.cumulants(family.natural(np.zeros(d), np.eye(d))).b), rtol=1e-12)


def test_the_curve_of_normal_laws_needs_what_the_exact_risk_needs() -> None:
    """Smallest n of the exact risk, by bisection over its values: within one of the second order's."""
    for d, needed in ((1, 55), (2, 132), (5, 512)):
        family = families.MultivariateNormal(d)
        theta = family.natural(np.zeros(d), np.eye(d))
        exact = next(n for n in range(needed - 3, needed + 4) if exact_risk(family, theta, n) <= 0.02)
        assert exact == needed == required_n(*curves.mvn(d * (d + 3) // 2), 0.02)


@pytest.mark.parametrize("q", [1, 3, 6])
def test_the_curve_of_regressions_is_the_expansion_of_their_exact_risk(q: int) -> None:
    """c of the total risk (q + 1)/2 + c/n, from exact risks at n and 2n."""

    def slope(n: int) -> float:
        design = NormalDesign(np.random.default_rng(1).normal(size=(n, q)), np.ones(n), tuple("abcdef"[:q]))
        return n * (design.exact() - 0.5 * (q + 1))

    a, b = curves.regression(q + 1)
    assert a == 0.5 * (q + 1)
    assert b == pytest.approx(2.0 * slope(40_000) - slope(20_000), rel=1e-4)


def test_the_curve_of_equal_cells_is_the_family_s() -> None:
    for k in (2, 4, 10):
        family = families.Multinomial(k)
        assert_allclose(
            curves.multinomial_uniform(k - 1), (0.5 * (k - 1), family.cumulants(family.natural(np.full(k, 1.0 / k))).b), rtol=1e-10
        )


@pytest.mark.parametrize("curve", [curves.mvn, curves.regression, curves.multinomial_uniform])
def test_a_second_order_costs_parameters(curve: Any) -> None:
    assert max_p(2000, 0.02, curve) < max_p(2000, 0.02)
    assert all(required_n(*curve(p), 0.02) < required_n(*curve(p + 1), 0.02) for p in range(1, 100))
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ConfigError, match="p must be an integer of at least 1"):
            curve(wrong)


# ---- nested models ----


def polynomials(n: int = 400) -> tuple[list[Any], np.ndarray]:
    x = np.random.default_rng(7).normal(size=n)
    return [families.Normal(), *(families.PolynomialExponential(k, RealLine()) for k in (4, 6))], x


def test_a_path_of_families() -> None:
    models, x = polynomials()
    path = pn_path(models, x, robust=False)
    frame = path.to_frame()
    assert list(frame.columns) == ["p", "log_likelihood", "AIC", "AICc", "TIC", "TIC2", "ED1", "ED2", "accept"]
    assert list(frame.index) == ["p = 2", "p = 4", "p = 6"]
    alone = pn_criterion(models[1], x, robust=False)
    row = frame.loc["p = 4"]
    assert row["ED2"] == alone.verdict.ED2
    assert row["TIC2"] == alone.information_criteria.tic2
    assert frame["log_likelihood"].is_monotonic_increasing
    accepted = [i for i, one in enumerate(path.results) if one.verdict.accept]
    assert path.largest_accepted == (accepted[-1] if accepted else None)
    assert pn_path(models, x, delta=0.001).largest_accepted is None


def test_a_path_of_fits() -> None:
    loaded = sm.datasets.fair.load_pandas().data
    y = (loaded["affairs"] > 0).astype(float)
    columns = ["rate_marriage", "age", "yrs_married", "children", "religious", "educ"]
    fits = [sm.Logit(y, sm.add_constant(loaded[columns[:k]])).fit(disp=0) for k in (1, 3, 6)]
    path = pn_path(fits, names=["one", "three", "six"])
    assert path.names == ("one", "three", "six")
    assert path.to_frame()["p"].tolist() == [2, 4, 7]
    assert path.largest_accepted == 2
    assert_allclose(path.results[2].verdict.ED2 or math.nan, 0.0005564, atol=5.1e-8)  # as tables.json, regressions


def test_what_is_no_path() -> None:
    models, x = polynomials()
    with pytest.raises(ConfigError, match="at least one model"):
        pn_path([], x)
    with pytest.raises(ConfigError, match="smallest first: Normal with p = 2 comes after PolynomialExponential with p = 4"):
        pn_path(models[1::-1], x)
    with pytest.raises(ConfigError, match="names must be 3 different texts"):
        pn_path(models, x, names=["a", "a", "b"])
    z = np.linspace(-1.0, 1.0, 60)
    y = 1.0 + z + 0.1 * np.random.default_rng(1).normal(size=60)
    whole = sm.OLS(y, sm.add_constant(z)).fit()
    part = sm.OLS(y[:50], np.column_stack([np.ones(50), z[:50], z[:50] ** 2])).fit()
    with pytest.raises(DataError, match="n = 60, normal regression n = 50"):
        pn_path([whole, part])
    other = sm.OLS(y, np.column_stack([np.ones(60), z**2, z**4])).fit()
    with pytest.raises(DataError, match="lower likelihood"):
        pn_path([whole, other])


# ---- pictures ----


@pytest.fixture(scope="module")
def rejected() -> PNResult:
    return pn_criterion(sm.OLS(*_stackloss()).fit())


def _stackloss() -> tuple[Any, Any]:
    loaded = sm.datasets.stackloss.load_pandas()
    return loaded.endog, sm.add_constant(loaded.exog)


def texts(figure: Figure) -> list[str]:
    axis = figure.axes[0]
    legend = axis.get_legend()
    return [
        axis.get_title(),
        axis.get_xlabel(),
        axis.get_ylabel(),
        *([] if legend is None else [item.get_text() for item in legend.get_texts()]),
    ]


def test_risk_against_n(rejected: PNResult) -> None:
    figure = rejected.plot_required_n()
    found = texts(figure)
    assert found[0] == "normal regression: rejected by the sandwich"
    assert found[1:3] == ["rows, n, as replications of this design", "estimation risk, nats per observation"]
    verdict = rejected.verdict_sandwich
    assert f"sandwich: n = {verdict.n_required_2}" in found
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "sandwich, second order")
    n, values = (np.asarray(each, dtype=float) for each in curve.get_data())
    risk = rejected.risk_sandwich
    kept = np.isfinite(values)
    assert_allclose(values[kept], [risk.risk(float(each)) for each in n[kept]], rtol=1e-12)
    assert n[kept].min() > 2.0 * abs(risk.b) / risk.a * 0.999  # drawn solid only where it is reliable
    marks = {line.get_label(): line.get_data() for line in figure.axes[0].lines}
    assert (verdict.n_required_2, rejected.threshold.C) == tuple(float(part[0]) for part in marks[f"sandwich: n = {verdict.n_required_2}"])


def test_affordable_parameters(rejected: PNResult) -> None:
    figure = rejected.plot_max_p()
    found = texts(figure)
    assert found[1:3] == ["rows, n, as replications of this design", "largest number of parameters p"]
    assert "second order, normal regression" in found
    curve = next(line for line in figure.axes[0].lines if line.get_label().startswith("second order"))
    n, p = (np.asarray(each, dtype=float) for each in curve.get_data())
    assert [max_p(int(each), rejected.threshold.C, curves.regression) for each in n[:6]] == p[:6].tolist()
    plain = pn_criterion(families.Exponential(), np.random.default_rng(2).exponential(size=100)).plot_max_p()
    assert not any(text.startswith("second order") for text in texts(plain))
    assert texts(plain)[1] == "rows, n"


def test_influence(rejected: PNResult) -> None:
    figure = rejected.plot_influence()
    assert texts(figure)[1:3] == ["row of the data, from 0", "share of the trace, %"]
    assert {int(label.get_text()) for label in figure.axes[0].texts} == set(rejected.influence.rows)
    segments = figure.axes[0].collections[0].get_segments()  # type: ignore[attr-defined]
    heights = np.array([segment[1, 1] for segment in segments])
    assert heights.sum() == pytest.approx(100.0)
    assert heights[rejected.influence.rows[0]] == pytest.approx(100.0 * rejected.influence.shares[0])


def test_first_order_alone_can_be_drawn() -> None:
    z = np.linspace(-1.0, 1.0, 80)
    y = (np.random.default_rng(3).uniform(size=80) < 0.5 + 0.3 * z).astype(float)
    result = pn_criterion(sm.GLM(y, sm.add_constant(z), family=sm.families.Binomial(sm.families.links.Probit())).fit())
    assert "first_order_only" in result.flags
    assert not any("second order" in text for text in texts(result.plot_required_n()))


def test_a_path_s_picture() -> None:
    models, x = polynomials()
    path = pn_path(models, x)
    assert isinstance(path, PNPath)
    figure = path.plot()
    assert len(figure.axes) == 2
    line = next(line for line in figure.axes[0].lines if line.get_label() == "second order")
    assert_allclose(np.asarray(line.get_ydata(), dtype=float), [one.verdict.ED2 or math.nan for one in path.results])
    assert figure.axes[1].get_xlabel() == "parameters, p"
    assert min(np.nanmin(np.asarray(each.get_ydata(), dtype=float)) for each in figure.axes[1].lines) == 0.0


def test_axes_that_are_given(rejected: PNResult) -> None:
    models, x = polynomials()
    for draw in (rejected.plot_required_n, rejected.plot_max_p, rejected.plot_influence, pn_path(models, x).plot):
        figure = Figure()
        axis = figure.add_subplot()
        assert draw(axis) is figure
        assert axis.get_xlabel()
        assert len(figure.axes) == 1
