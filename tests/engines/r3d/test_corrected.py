"""The default method against an independent implementation of it, row by row, and against its single figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sciinf.engines.r3d import R3DSettings

Sets = Callable[[str], Any]
DECILES = tuple(round(0.1 * k, 1) for k in range(1, 10))
RULES = ("type7", "inverted_cdf")
METHODS = ("simple", "frechet")
KERNELS = ("triangular", "epanechnikov", "uniform")


@pytest.mark.parametrize("name", ["sharpA", "fuzzyB"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_row(reference_set: Sets, name: str, rule: str, method: str, kernel: str, p: int) -> None:
    data = reference_set(name)
    stored = data.reference("corrected")
    assert len(stored) == 3 + 36  # note, q_grid, cutoff; a row for each combination
    row = stored[f"{rule}_{method}_{kernel}_p{p}"]
    settings = R3DSettings(q_grid=tuple(stored["q_grid"]), method=method, p=p, kernel=kernel, quantile_rule=rule)
    fit = data.model(settings).fit(bandwidth=row["h"], bandwidth_den=row.get("hd"), cov_type="HC0")
    assert_allclose(fit.params, row["tau"], rtol=1e-9)
    assert_allclose(fit.bse, row["se"], rtol=1e-9)
    assert_allclose(fit.conf_band(0.05, xi=data.multipliers).critical_value, row["crit"], rtol=1e-9)
    assert_allclose(fit.conf_band(0.05, studentized=True, xi=data.multipliers).critical_value, row["crit_stud"], rtol=1e-9)
    if "cov" in row:
        assert_allclose(fit.cov_params(), row["cov"], rtol=1e-9)


@pytest.mark.parametrize("rule", ["imse", "mse"])
def test_bandwidths(reference_set: Sets, anchors: dict[str, Any], rule: str) -> None:
    rows = [row for row in anchors["bandwidth"]["rows"] if row["rule"] == rule]
    assert rows
    for row in rows:
        data = reference_set(row["set"])
        settings = R3DSettings(q_grid=DECILES, method="frechet" if rule == "imse" else "simple", kernel=row["kernel"])
        info = data.model(settings).select_bandwidth(rule, regularise=row["regularise"])
        assert_allclose(info.h, row["h"], rtol=row["tolerance"])
        if "h_den" in row:
            assert_allclose(info.h_den, row["h_den"], rtol=row["tolerance"])


def sharp(reference_set: Sets, cov_type: str, q_grid: tuple[float, ...] = DECILES) -> Any:
    return reference_set("sharpA").model(R3DSettings(q_grid=q_grid)).fit(bandwidth=0.5, cov_type=cov_type)


def test_single_figures(reference_set: Sets, anchors: dict[str, Any]) -> None:
    figures = anchors["sharpA_frechet_triangular_p2_h05"]
    for cov_type, expected in figures["se"].items():
        fit = sharp(reference_set, cov_type)
        assert_allclose(fit.bse[[0, 4, 8]], expected, rtol=0, atol=figures["se_tolerance"])
        average = fit.average_effect([(0.3, 0.7), (0.1, 0.9)])
        assert_allclose(average.estimate, figures["average"], rtol=0, atol=figures["tolerance"])
        for value, wanted in zip(average.se, figures["average_se"][cov_type], strict=True):
            assert wanted is None or abs(value - wanted) <= figures["tolerance"]
    assert_allclose(sharp(reference_set, "HC2").nu_eff, figures["nu_eff"], rtol=0, atol=figures["tolerance"])


def test_gini(reference_set: Sets, anchors: dict[str, Any]) -> None:
    figures = anchors["gini"]
    fit = sharp(reference_set, "HC0", tuple(round(0.01 * k, 2) for k in range(1, 100)))
    found = fit.gini_test(xi=reference_set("sharpA").multipliers)
    for name in ("plus", "minus", "difference"):
        assert_allclose(getattr(found, name), figures[name], rtol=0, atol=figures["tolerance"])
    assert_allclose(found.p_value, figures["p_value"], rtol=0, atol=1e-12)


def test_mean_identity(reference_set: Sets, anchors: dict[str, Any]) -> None:
    """With as many quantiles as values, the mean of the curve is the classical estimate on unit means."""
    data, figures = reference_set("fuzzyB"), anchors["mean_identity"]
    grid = tuple((np.arange(1, 31) - 0.5) / 30)
    for p, sharp_mean, fuzzy_mean in zip((1, 2), figures["sharp"], figures["fuzzy"], strict=True):
        settings = R3DSettings(q_grid=grid, quantile_rule="inverted_cdf", p=p)
        one = data.model(settings, fuzzy=False).fit(bandwidth=0.5, cov_type="HC0")
        average = one.average_effect([(grid[0], grid[-1])])
        assert_allclose(average.estimate, sharp_mean, rtol=0, atol=figures["tolerance"])
        assert_allclose(one.params.mean(), sharp_mean, rtol=0, atol=figures["tolerance"])
        if p == 1:
            assert_allclose(average.se, figures["se_p1"], rtol=0, atol=figures["tolerance"])
        two = data.model(settings).fit(bandwidth=0.5, bandwidth_den=0.5, cov_type="HC0")
        assert_allclose(two.params.mean(), fuzzy_mean, rtol=0, atol=figures["tolerance"])
