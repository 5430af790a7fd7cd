"""Negative controls: each fault, put into the default method, is found by the reference figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.engines.r3d import R3DResults, R3DSettings, bandwidth, compat, fitting
from sciinf.engines.r3d.covariance import Part

DECILES = tuple(k / 10 for k in range(1, 10))
Sets = Callable[[str], Any]


def fit(reference_set: Sets, name: str, kernel: str = "triangular", p: int = 2) -> tuple[R3DResults, dict[str, Any], Any]:
    data = reference_set(name)
    row = data.reference("corrected")[f"type7_frechet_{kernel}_p{p}"]
    model = data.model(R3DSettings(q_grid=DECILES, kernel=kernel, p=p))
    return model.fit(row["h"], row.get("hd"), cov_type="HC0"), row, data


def agrees(found: R3DResults, row: dict[str, Any]) -> bool:
    return bool(np.allclose(found.params, row["tau"], rtol=1e-9, atol=0) and np.allclose(found.bse, row["se"], rtol=1e-9, atol=0))


def test_without_a_fault(reference_set: Sets) -> None:
    for name in ("sharpA", "fuzzyB"):
        assert agrees(*fit(reference_set, name)[:2])


def test_residuals_of_negative_weight_left_out(reference_set: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "Part", type("Truncated", (), {"of": staticmethod(compat.outcome_part)}))
    found, row, _ = fit(reference_set, "sharpA")
    assert_allclose(found.params, row["tau"], rtol=1e-9)
    assert not agrees(found, row)


def test_the_outcome_s_weights_for_the_treatment(reference_set: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: Any, info: Any, outcome: Any) -> Any:
        part, jump = right(model, info, outcome)
        theirs = compat.treatment_part(
            outcome, treatment_fits(model, info), model.treatment, float(info.denominator.h[0]), model.settings.p
        )
        assert part is not None
        return theirs, jump

    def treatment_fits(model: Any, info: Any) -> Any:
        column, settings = model.treatment[:, None], model.settings
        return tuple(fitting.fit_side(side, column, info.denominator.h, settings.p, settings.kernel) for side in model.sides())

    right = fitting._first_stage
    monkeypatch.setattr(fitting, "_first_stage", wrong)
    found, row, _ = fit(reference_set, "fuzzyB")
    assert_allclose(found.params, row["tau"], rtol=1e-9)
    assert not agrees(found, row)


def test_one_side_not_projected(reference_set: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cubic on the fine grid crosses at four levels above the cutoff: curve and residuals change where they do."""
    model = reference_set("sharpA").model(R3DSettings(p=3))
    whole = model.fit(0.5, cov_type="HC0")
    assert whole.n_projected[0] == 4
    calls: list[int] = []

    def minus_only(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
        calls.append(1)
        return curves if len(calls) % 2 else right(curves, weights)

    right = fitting.project
    monkeypatch.setattr(fitting, "project", minus_only)
    broken = model.fit(0.5, cov_type="HC0")
    assert len(calls) == 4  # two curves, two sets of residuals
    assert np.abs(broken.params - whole.params).max() > 1e-4
    assert np.abs(broken.bse / whole.bse - 1.0).max() > 1e-6


def test_an_order_s_coefficient_for_the_bias(reference_set: Sets, anchors: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    row = anchors["bandwidth"]["rows"][0]
    model = reference_set("sharpA").model(R3DSettings(q_grid=DECILES))
    right = bandwidth.fit_side

    def lower(side: Any, outcomes: Any, h: Any, p: int, kernel: str) -> Any:
        found = right(side, outcomes, h, p, kernel)
        if kernel != "uniform":  # the second stage
            found.coefficients[p] = found.coefficients[p - 1]
        return found

    assert abs(model.select_bandwidth().h[0] / row["h"] - 1.0) < 1e-9
    monkeypatch.setattr(bandwidth, "fit_side", lower)
    assert abs(model.select_bandwidth().h[0] / row["h"] - 1.0) > 1e-3


def test_an_uncentred_gini(reference_set: Sets, anchors: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    grid = tuple(k / 100 for k in range(1, 100))
    data = reference_set("sharpA")
    made = data.model(R3DSettings(q_grid=grid)).fit(0.5, cov_type="HC0")
    draws: list[np.ndarray] = []
    monkeypatch.setattr("sciinf.engines.r3d.gini.np.quantile", lambda values, levels: (draws.append(values), np.zeros(2))[1])
    found = made.gini_test(xi=data.multipliers)
    uncentred = draws[0] + found.difference
    assert np.count_nonzero(np.abs(uncentred) >= abs(found.difference)) == 105
    assert np.count_nonzero(np.abs(draws[0]) >= abs(found.difference)) == 7
    assert found.p_value == anchors["gini"]["p_value"]


def test_infinite_freedom_and_a_missing_determinant(reference_set: Sets) -> None:
    """The t form with nu to infinity is the normal, whose intervals are narrower; without ln det S the density does not integrate to 1."""
    data = reference_set("sharpA")
    made = data.model(R3DSettings(q_grid=DECILES)).fit(0.5)
    with pytest.warns(UserWarning, match="too narrow|d = 5"):
        normal = made.to_engine("shift", likelihood="gaussian")
    with pytest.warns(UserWarning, match="d = 5"):
        student = made.to_engine("shift", nu=12.4)
    theta = np.linspace(-6.0, 10.0, 4001)

    def width(engine: Any) -> float:
        density = np.exp(engine.log_likelihood_many(theta[:, None]))
        density /= np.trapezoid(density, theta)
        mean = np.trapezoid(theta * density, theta)
        return float(np.sqrt(np.trapezoid((theta - mean) ** 2 * density, theta)))

    assert width(student) > 1.1 * width(normal)
    half = made.to_engine("shift", q=(0.5,), nu=12.4)
    scale = np.sqrt(half.covariance[0, 0])
    assert_allclose(half.log_likelihood(np.zeros(1)), stats.t.logpdf(half.statistic[0] / scale, 12.4) - np.log(scale), rtol=1e-12)


def test_part_is_the_one_that_is_used() -> None:
    assert fitting.Part is Part
