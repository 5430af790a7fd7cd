"""Thresholds, required n, largest p."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciinf.core.errors import ConfigError
from sciinf.engines.pn import bayes_error_lower, kl_threshold, max_p, required_n
from sciinf.engines.pn.threshold import _divergence, _variation
from tests.engines.pn.conftest import TABLES


@pytest.mark.parametrize("row", TABLES["thresholds"]["rows"])
def test_the_table(row: dict[str, float]) -> None:
    assert kl_threshold(row["delta"]) == pytest.approx(row["pinsker"], rel=1e-14)
    assert kl_threshold(row["delta"], "tight") == pytest.approx(row["tight"], abs=1e-7)


@pytest.mark.parametrize("t", [1e-8, 1e-3, 0.0999999, 0.1000001, 0.7, 5.0, 19.0, 40.0, 300.0, 5000.0])
def test_the_curve_against_forty_digits(t: float) -> None:
    mpmath.mp.dps = 60
    x = mpmath.mpf(t)
    divergence = mpmath.log(x / mpmath.sinh(x)) + x * mpmath.coth(x) - (x / mpmath.sinh(x)) ** 2
    variation = x / 2 * (1 - (mpmath.coth(x) - 1 / x) ** 2)
    assert _divergence(t) == pytest.approx(float(divergence), rel=1e-13)
    assert _variation(t) == pytest.approx(float(variation), rel=1e-13)


@given(st.floats(0.001, 0.49))
def test_the_tight_bound_is_the_least_divergence_of_two_bernoulli_laws(delta: float) -> None:
    v = 2.0 * delta
    s = np.linspace(1e-9, 1.0 - v - 1e-9, 20_001)
    kl = s * np.log(s / (s + v)) + (1.0 - s) * np.log((1.0 - s) / (1.0 - s - v))
    found = kl_threshold(delta, "tight")
    assert found <= kl.min() * (1.0 + 1e-12)
    assert found == pytest.approx(kl.min(), rel=1e-4)  # the grid's own error, (1e-4 of the range)^2 of the curvature, is far below
    assert found >= kl_threshold(delta)


@pytest.mark.parametrize("bound", ["pinsker", "tight"])
def test_the_error_at_the_threshold_is_a_half_less_delta(bound: str) -> None:
    for delta in (0.001, 0.05, 0.3, 0.49):
        assert bayes_error_lower(kl_threshold(delta, bound), bound) == pytest.approx(0.5 - delta, abs=1e-12)  # type: ignore[arg-type]
    assert bayes_error_lower(0.0, bound) == 0.5  # type: ignore[arg-type]
    assert 0.0 <= bayes_error_lower(50.0, bound) < 0.02  # type: ignore[arg-type]


@pytest.mark.parametrize("row", TABLES["normal"]["rows"], ids=lambda row: f"d={row['d']}")
def test_required_n_of_the_normal_law(row: dict[str, object]) -> None:
    d = int(str(row["d"]))
    a, b = d * (d + 3) / 4.0, (d * (d + 2) * (d + 3) - d * (d + 1) * (2 * d + 1) / 12 - d * (d + 1) / 2 - d / 3) / 2
    counts = row["n"]
    assert isinstance(counts, dict)
    for level, (first, second, _) in counts.items():
        assert (required_n(a, b, float(level), order=1), required_n(a, b, float(level))) == (first, second)


def test_required_n_keeps_integers_and_never_gives_nan() -> None:
    assert required_n(5.0, 0.0, 0.02) == 250  # 5 / .02 = 250.00000000000003
    assert required_n(1.0, -20.0, 0.02) == required_n(1.0, 0.0, 0.02, order=1) == 50  # no root
    assert required_n(304.8, 544145.0, 0.18) == 2781


@given(st.floats(0.1, 1e3), st.floats(-1e4, 1e6), st.sampled_from([0.0008, 0.02, 0.3]))
def test_required_n_is_the_smallest(a: float, b: float, level: float) -> None:
    n = required_n(a, b, level)
    if a * a + 4.0 * level * b < 0.0:
        assert n == required_n(a, 0.0, level, order=1)
        return
    assert a / n + b / n**2 <= level * (1.0 + 1e-8)
    if n > 1 and n - 1 >= 2.0 * abs(min(b, 0.0)) / a:
        assert a / (n - 1) + b / (n - 1) ** 2 > level * (1.0 - 1e-8)


def test_largest_p() -> None:
    assert max_p(1000, 0.02) == 40
    assert max_p(999, 0.02) == 39
    assert max_p(10, 0.02) == 0
    assert max_p(1000, 0.02, lambda p: (0.5 * p, 0.0)) == 40
    assert max_p(1000, 0.02, lambda p: (0.5 * p, 5.0 * p**2)) < 40


@pytest.mark.parametrize("delta", [0.0, 0.5, -0.1, math.nan, True, "0.05"])
def test_delta_out_of_range(delta: object) -> None:
    with pytest.raises(ConfigError, match=r"delta.*\(0, 0\.5\)"):
        kl_threshold(delta)  # type: ignore[arg-type]


def test_unknown_bound() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pinsker'"):
        kl_threshold(0.05, "pinskr")  # type: ignore[arg-type]


def test_numbers_out_of_range() -> None:
    with pytest.raises(ConfigError, match="a must be"):
        required_n(-1.0, 0.0, 0.02)
    with pytest.raises(ConfigError, match="b must be"):
        required_n(1.0, math.nan, 0.02)
    with pytest.raises(ConfigError, match="order must be 1 or 2"):
        required_n(1.0, 0.0, 0.02, order=3)
    with pytest.raises(ConfigError, match="n must be a positive integer"):
        max_p(0, 0.02)
    with pytest.raises(ConfigError, match="risk must be a number"):
        bayes_error_lower(math.nan)
