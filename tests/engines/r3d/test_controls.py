"""Negative controls: each fault, put into the default method, is found by the reference figures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate

from sciinf.engines.r3d import R3D, R3DEffectEngine, R3DResults, R3DSettings, bandwidth, compat, fitting
from sciinf.engines.r3d.draws import Drawing
from sciinf.engines.r3d.local_polynomial import fit_side
from sciinf.engines.r3d.simulate import dgp1
from sciinf.validation.rates import window

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
    called: list[int] = []

    def truncated(*arguments: Any) -> Any:
        called.append(1)
        return compat.outcome_part(*arguments)

    monkeypatch.setattr(fitting, "Part", type("Truncated", (), {"of": staticmethod(truncated)}))
    found, row, _ = fit(reference_set, "sharpA")
    assert called
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
    right = bandwidth.curvature

    def lower(side: Any, outcomes: Any, h: float, s: int, kernel: str) -> Any:
        found = right(side, outcomes, h, s, kernel)
        if kernel == "uniform":  # the first stage
            return found
        return found._replace(coefficient=fit_side(side, outcomes, np.array([h]), s + 1, kernel).coefficients[s] / h ** (s + 1))

    assert abs(model.select_bandwidth().h[0] / row["h"] - 1.0) < 1e-9
    monkeypatch.setattr(bandwidth, "curvature", lower)
    assert abs(model.select_bandwidth().h[0] / row["h"] - 1.0) > 1e-3


def test_an_uncentred_gini(reference_set: Sets, anchors: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that keep the estimate: 105 of 199 reach it, 7 of the centred ones; p is no longer the stored one, nor small."""
    data, stored = reference_set("sharpA"), anchors["gini"]["p_value"]
    made = data.model(R3DSettings(q_grid=tuple(k / 100 for k in range(1, 100)))).fit(0.5, cov_type="HC0")
    healthy = made.gini_test(xi=data.multipliers)
    assert healthy.p_value == stored == (1 + 7) / 200
    right = Drawing.over

    def kept(self: Drawing, *arguments: Any) -> Any:
        return right(self, *arguments) + healthy.difference  # the test takes it off again

    monkeypatch.setattr(Drawing, "over", kept)
    assert made.gini_test(xi=data.multipliers).p_value == (1 + 105) / 200


def half_log_determinant(engine: R3DEffectEngine) -> float:
    return 0.5 * float(np.linalg.slogdet(engine.covariance)[1])


def test_without_the_determinant(reference_set: Sets) -> None:
    """The density over the data, d = 2, nu = 8, in polar coordinates: it integrates to 1 with ln det S, and to det^(1/2) without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # d = 2 at nu = 8
        fitted = reference_set("sharpA").model(R3DSettings(q_grid=DECILES)).fit(0.5)
        engine = fitted.to_engine("shift", q=(0.3, 0.7), nu=8.0)
    factor = np.linalg.cholesky(engine.covariance)

    def total(fault: float) -> float:
        def density(radius: float) -> float:
            here = engine.with_data(factor @ np.array([radius, 0.0]))
            object.__setattr__(here, "_constant", here._constant + fault)
            return 2.0 * math.pi * radius * math.exp(here.log_likelihood_null()) * float(np.prod(np.diag(factor)))

        return float(sum(integrate.quad(density, *ends, epsabs=1e-12)[0] for ends in ((0.0, 5.0), (5.0, np.inf))))

    fault = half_log_determinant(engine)
    assert abs(fault) > 0.5  # so that leaving it out is seen
    assert abs(total(0.0) - 1.0) < 1e-8
    assert total(fault) == pytest.approx(math.exp(fault), rel=1e-8)
    assert abs(total(fault) - 1.0) > 0.3


def test_infinite_freedom_does_not_cover() -> None:
    """n = 200, h = .5, five levels, 95 % intervals of a shift: those of the t hold the truth, those of the normal fail the check."""
    theta, flags = np.linspace(-9.0, 11.0, 2001), {"t": [], "gaussian": []}
    settings = R3DSettings(q_grid=(0.1, 0.3, 0.5, 0.7, 0.9))
    for seed in range(250):
        data = dgp1(200, 50, 1.0, np.random.default_rng([seed, 5]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # d > nu / 4, and what the Gaussian form says of itself
            fitted = R3D(data.x, data.outcomes, settings=settings).fit(0.5)
            engines = {form: fitted.to_engine("shift", likelihood=form) for form in flags}
        for form, engine in engines.items():
            density = np.exp(engine.log_likelihood_many(theta[:, None]) - engine.log_likelihood_many(theta[:, None]).max())
            below = np.cumsum(density)[1000] / density.sum()  # theta = 1
            flags[form].append(bool(0.025 <= below <= 0.975))
    assert window("t", flags["t"], 0.90, 0.975).passed
    assert not window("nu to infinity", flags["gaussian"], 0.90, 0.975).passed
