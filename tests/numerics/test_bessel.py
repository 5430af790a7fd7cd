"""ln I0 and I1/I0 against mpmath with 40 digits, and the tables against the script that makes them."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special as scipy_special

from sciinf.numerics import bessel, bessel_coefficients, special

EDGES = [edge for i in range(1, 41) for edge in (math.nextafter(i / 2, 0.0), i / 2)]


def points(low: float, high: float, n: int) -> list[float]:
    return np.exp(np.random.default_rng(20).uniform(math.log(low), math.log(high), n)).tolist()


def exact(x: float) -> tuple[mp.mpf, mp.mpf]:
    """ln I0 and I1/I0; below 1e-9 their first two terms, 1 part in 1e36."""
    x = mp.mpf(x)
    if x < 1e-9:
        return x**2 / 4 - x**4 / 64, x / 2 - x**3 / 16
    if x > 1e5:
        return x - mp.log(2 * mp.pi * x) / 2 + 1 / (8 * x) + 1 / (16 * x**2), 1 - 1 / (2 * x) - 1 / (8 * x**2) - 1 / (8 * x**3)
    i0 = mp.besseli(0, x)
    return mp.log(i0), mp.besseli(1, x) / i0


@pytest.mark.parametrize("x", [1e-150, 1e-20, 1e-9, 1e-6, 1e-3, *points(1e-8, 20.0, 300), *EDGES])
def test_relative_error_up_to_twenty(x: float) -> None:
    with mp.workdps(60):
        log_i0, ratio = exact(x)
        assert abs(special.log_i0(x) - log_i0) <= 1e-15 * log_i0
        assert abs(special.bessel_ratio(x) - ratio) <= 1e-15 * ratio


@pytest.mark.parametrize("x", [20.0, math.nextafter(20.0, 21.0), 713.0, 715.0, 1e8, 1e16, 1e100, 1e300, *points(20.0, 1e5, 200)])
def test_error_above_twenty(x: float) -> None:
    with mp.workdps(60):
        log_i0, ratio = exact(x)
        assert abs(special.log_i0(x) - log_i0) <= 2e-16 * mp.mpf(x) + 2e-15
        assert abs(special.bessel_ratio(x) - ratio) <= 1e-15 * ratio


@given(st.floats(0.0, 1e300))
def test_even_odd_and_within_their_bounds(x: float) -> None:
    """0 <= ln I0 <= min(x, x^2/4) and 0 <= I1/I0 <= min(1, x/2), to rounding."""
    log_i0, ratio = special.log_i0(x), special.bessel_ratio(x)
    assert special.log_i0(-x) == log_i0
    assert special.bessel_ratio(-x) == -ratio
    assert 0.0 <= log_i0 <= (1.0 + 1e-15) * min(x, 0.25 * x * x if x < 1e3 else x)
    assert 0.0 <= ratio <= min(1.0, (1.0 + 1e-15) * 0.5 * x)


def test_special_values() -> None:
    assert special.log_i0(0.0) == 0.0
    assert math.copysign(1.0, special.bessel_ratio(-0.0)) == -1.0
    assert math.isnan(special.log_i0(math.nan))
    assert math.isnan(special.bessel_ratio(math.nan))
    assert special.log_i0(math.inf) == special.log_i0(-math.inf) == math.inf
    assert special.bessel_ratio(math.inf) == -special.bessel_ratio(-math.inf) == 1.0
    assert special.log_i0(1.79e308) == 1.79e308


def test_second_oracle_and_the_form_that_fails() -> None:
    """scipy's i0e agrees where ln(I0e) + x keeps its digits, and that form has lost four of them at 1e-6."""
    x = np.geomspace(1.0, 1e4, 1001)
    assert bessel.log_i0_many(x) == pytest.approx(np.log(scipy_special.i0e(x)) + x, rel=3e-15)
    assert bessel.bessel_ratio_many(x) == pytest.approx(scipy_special.i1e(x) / scipy_special.i0e(x), rel=3e-15)
    naive = math.log(scipy_special.i0e(1e-6)) + 1e-6
    assert abs(naive / special.log_i0(1e-6) - 1.0) > 1e-5


def test_continuous_across_the_pieces_and_increasing() -> None:
    x = np.sort(np.concatenate([np.linspace(0.01, 25.0, 20001), EDGES]))
    assert np.all(np.diff(bessel.log_i0_many(x)) >= -4e-15)
    assert np.all(np.diff(bessel.bessel_ratio_many(x)) >= -4e-16)


def test_array_form_is_the_scalar_to_the_bit() -> None:
    x = np.random.default_rng(3).uniform(-40.0, 40.0, (3, 5, 7))
    for many, scalar in ((bessel.log_i0_many, special.log_i0), (bessel.bessel_ratio_many, special.bessel_ratio)):
        assert np.array_equal(many(x), np.reshape([scalar(v) for v in x.ravel()], x.shape))
        assert many(x.swapaxes(0, 2)).tolist() == many(x).swapaxes(0, 2).tolist()
        assert many([]).shape == (0,)


def test_the_tables_are_what_their_script_makes() -> None:
    path = Path(__file__).with_name("bessel_coefficients.py")
    spec = importlib.util.spec_from_file_location("bessel_script", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, rows in script.tables().items():
        assert np.array_equal(np.squeeze(rows), getattr(bessel_coefficients, name)), name
