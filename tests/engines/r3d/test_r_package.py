"""Parity: with compat="R3D" every stored output of the R package is reproduced, and none is left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sciinf.engines.r3d import R3DResults, R3DSettings

SETS = ("sharpA", "fuzzyB")
KERNELS = ("triangular", "epanechnikov", "uniform")
METHODS = ("simple", "frechet")
N_ROWS = {"sharpA": (18, 6, 2, 6, 1), "fuzzyB": (18, 6, 2, 6, 1)}  # fixed h, auto, auto on 20 points, selector, coverage rule
Sets = Callable[[str], Any]


def settings_of(row: dict[str, Any]) -> R3DSettings:
    chosen = row["settings"]
    return R3DSettings(
        q_grid=tuple(chosen["q_grid"]), method=chosen["method"], p=chosen["p"], s=chosen["s"], kernel=chosen["kernel"], compat="R3D"
    )


def ranges_of(tests: dict[str, Any], q_grid: tuple[float, ...]) -> list[tuple[float, float]]:
    """Ranges as the keys say them: "[0.10, 0.90]"; the first is the whole grid, its ends rounded to two digits in the key."""
    found = [tuple(float(part) for part in re.findall(r"[\d.]+", key)) for key in tests]
    return [(q_grid[0], q_grid[-1]), *((low, high) for low, high in found[1:])]


def check_inference(fit: R3DResults, boot: dict[str, Any], xi: np.ndarray) -> None:
    band = fit.conf_band(0.05, xi=xi)
    assert_allclose(band.critical_value, boot["crit"], rtol=0, atol=1e-9)
    assert_allclose(band.lower, boot["cb_lower"], rtol=0, atol=1e-9)
    assert_allclose(band.upper, boot["cb_upper"], rtol=0, atol=1e-9)
    for name in ("nullity", "homogeneity"):
        stored = boot["tests"][name]
        ranges = ranges_of(stored, fit.settings.q_grid)
        results = (fit.test_nullity if name == "nullity" else fit.test_homogeneity)(ranges, xi=xi)
        assert len(results) == len(stored) == 2
        for result, expected in zip(results, stored.values(), strict=True):
            assert_allclose(result.statistic, expected["test_stat"], rtol=0, atol=1e-9)
            assert_allclose(result.critical_value, expected["test_crit_val"], rtol=0, atol=1e-9)
            assert_allclose(result.p_value, expected["p_value"], rtol=0, atol=1e-12)


def check_curves(fit: R3DResults, row: dict[str, Any], tolerance: float) -> None:
    for found, name in (
        (fit.params, "tau"), (fit.m_plus, "m_plus"), (fit.m_minus, "m_minus"), (fit.m_plus_raw, "raw_plus"), (fit.m_minus_raw, "raw_minus")
    ):  # fmt: skip
        assert_allclose(found, row[name], rtol=0, atol=tolerance, err_msg=name)
    if row["denominator"] is not None:
        assert_allclose(fit.denominator, row["denominator"], rtol=0, atol=tolerance)


@pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_fixed_bandwidth(reference_set: Sets, name: str, method: str, kernel: str, p: int) -> None:
    data = reference_set(name)
    row = data.reference("R3D")[f"fixedh_{method}_{kernel}_p_{p}_g9"]
    given = row["settings"]["bandwidths"]
    h, h_den = (given["num"], given["den"]) if isinstance(given, dict) else (given, None)
    fit = data.model(settings_of(row)).fit(bandwidth=h, bandwidth_den=h_den)
    check_curves(fit, row, 1e-9)
    check_inference(fit, row["boot"], data.multipliers)


AUTO = [f"auto_{method}_{kernel}_p2_g9" for method in METHODS for kernel in KERNELS] + [
    f"auto_{method}_triangular_p2_g20" for method in METHODS
]


@pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("key", [*AUTO, "coverage_frechet_triangular_p2_g9"])
def test_chosen_bandwidth(reference_set: Sets, name: str, key: str) -> None:
    data = reference_set(name)
    row = data.reference("R3D")[key]
    rule = "imse" if row["settings"]["method"] == "frechet" else "mse"
    fit = data.model(settings_of(row)).fit(bandwidth=rule, coverage_rule=row["settings"]["coverage"])
    assert_allclose(fit.bandwidth_info.h, row["h_num"], rtol=1e-8)
    if row["h_den"] is not None:
        assert_allclose(fit.bandwidth_info.h_den, row["h_den"], rtol=1e-8)
    check_curves(fit, row, 1e-7)
    check_inference(fit, row["boot"], data.multipliers)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_selector(reference_set: Sets, name: str, method: str, kernel: str) -> None:
    data = reference_set(name)
    stored = data.reference("R3D")
    row = stored[f"bwselect_{method}_{kernel}_g9"]
    info = data.model(settings_of(stored[f"auto_{method}_{kernel}_p2_g9"])).select_bandwidth("imse" if method == "frechet" else "mse")
    pairs = {
        "h_star_num": info.h, "pilot_h_num": info.pilot, "B_plus": info.bias_plus, "B_minus": info.bias_minus,
        "V_plus": info.variance_plus, "V_minus": info.variance_minus, "f_X_hat": info.density,
    }  # fmt: skip
    if row["h_star_den"] is not None:
        assert info.denominator is not None
        pairs |= {"h_star_den": info.h_den, "pilot_h_den": info.denominator.pilot}
    for key, found in pairs.items():
        assert_allclose(found, row[key], rtol=1e-8, err_msg=key)


def test_gini(reference_set: Sets) -> None:
    data = reference_set("sharpA")
    row = data.reference("R3D")["gini_frechet_triangular_p2_g99"]
    fit = data.model(settings_of(row)).fit(bandwidth=0.5)
    check_curves(fit, row, 1e-9)
    check_inference(fit, row["boot"], data.multipliers)
    found, stored = fit.gini_test(xi=data.multipliers), row["boot"]["tests"]["gini"]["full_sample"]
    assert_allclose(found.plus, stored["gini_above"], rtol=0, atol=1e-9)
    assert_allclose(found.minus, stored["gini_below"], rtol=0, atol=1e-9)
    assert_allclose(found.difference, stored["gini_diff"], rtol=0, atol=1e-9)
    assert_allclose(abs(found.difference), stored["test_stat"], rtol=0, atol=1e-9)
    assert_allclose(found.critical_value, stored["test_crit_val"], rtol=0, atol=1e-9)
    assert_allclose(found.p_value, stored["p_value"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_unit_quantiles(reference_set: Sets, name: str) -> None:
    data = reference_set(name)
    stored = data.reference("R3D")
    matrix = data.outcomes.quantiles(np.arange(1, 10) / 10, "type7")
    assert_allclose(matrix[:3], stored["qmat_type7_first3"], rtol=0, atol=1e-9)
    assert_allclose(matrix.mean(axis=0), stored["qmat_type7_colmeans"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_no_row_is_left_out(reference_set: Sets, name: str) -> None:
    keys = set(reference_set(name).reference("R3D"))
    fixed = {f"fixedh_{method}_{kernel}_p_{p}_g9" for method in METHODS for kernel in KERNELS for p in (1, 2, 3)}
    selector = {f"bwselect_{method}_{kernel}_g9" for method in METHODS for kernel in KERNELS}
    run = fixed | selector | set(AUTO) | {"coverage_frechet_triangular_p2_g9", "qmat_type7_first3", "qmat_type7_colmeans"}
    assert keys == run | ({"gini_frechet_triangular_p2_g99"} if name == "sharpA" else set())
    assert (len(fixed), len(AUTO) - 2, 2, len(selector), 1) == N_ROWS[name]
