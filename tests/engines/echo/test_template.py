"""The comb template: its labels, support and height, and the signal in time that it stands for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciinf.core.errors import ConfigError
from sciinf.engines.echo import CombTemplate, Psd
from sciinf.engines.echo.simulate import comb, damped_sines, gaussian_noise, optimal_snr
from sciinf.engines.echo.strain import fourier_bins
from sciinf.engines.echo.template import EDGE, band_slice

DT = 1.0 / 4096.0
ACCURACY = json.loads((Path(__file__).parents[3] / "tests" / "fixtures" / "echo" / "accuracy.json").read_text())


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([1.0, 4.0, 12.0, 52.0, 0.1]))
@settings(max_examples=200, deadline=None)
def test_the_slice_is_safe_against_rounding(a: int, b: int, duration: float) -> None:
    """Ends on the grid, whatever the last bit of j / T: from j up to and including j + 1."""
    low, high = sorted((a, b))
    for nudge in (-1e-13, 0.0, 1e-13):
        assert band_slice(low / duration * (1 + nudge), high / duration * (1 + nudge), duration, 10_000) == (low, high + 1)
    assert band_slice(0.0, 1e9, duration, 77) == (1, 77)


@given(st.floats(0.3, 20.0), st.floats(-50.0, 50.0), st.floats(1e-3, 40.0), st.sampled_from([1.0, 4.0, 12.0]))
@settings(max_examples=100, deadline=None)
def test_support_and_height(spacing: float, offset: float, width: float, duration: float) -> None:
    template = CombTemplate()
    u, tooth = template.evaluate(spacing, offset, width, 1, 1500, duration)
    j = np.arange(1, 1501)
    omega = 2.0 * np.pi * (j / duration - offset - tooth * spacing)
    cut = template.cut(width, spacing, duration)
    inside = u != 0.0
    assert np.array_equal(inside, np.abs(2.0 * np.pi * (j * (1.0 / duration) - offset - tooth * spacing)) < cut * EDGE)
    assert (np.abs(omega) <= np.pi * spacing * (1 + 1e-9)).all()  # the nearest tooth
    rate = width + 1j * omega[inside]
    expected = width / rate * (1.0 - np.exp(-rate * duration))
    assert np.abs(u[inside] - expected).max(initial=0.0) < 1e-9
    assert np.abs(u[inside]).max(initial=0.0) <= 1.0 + math.exp(-width * duration) + 1e-12


def test_where_lines_end() -> None:
    """cut = min(max(w sqrt(1 - c^2)/c, 6 pi/T), pi Df) with c = 0.2."""
    template = CombTemplate()
    assert abs(template.reach - math.sqrt(0.96) / 0.2) < 1e-15
    assert template.cut(0.25, 5.83, 4.0) == 6.0 * math.pi / 4.0
    assert template.cut(1.0, 5.83, 52.0) == template.reach
    assert template.cut(10.0, 5.83, 52.0) == math.pi * 5.83
    # at its end a long line has fallen to a fifth
    u, _ = template.evaluate(100.0, 50.0, 0.5, 1, 4000 * 10, 400.0)
    height = np.abs(u[u != 0.0])
    assert 0.2 < height.min() < 0.202
    assert abs(height.max() - 1.0) < 1e-9


@pytest.mark.parametrize(
    "options", [{"cut_height": 0.0}, {"cut_height": 1.0}, {"cut_height": "0.2"}, {"minimum_bins": 0}, {"minimum_bins": 2.5}]
)
def test_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        CombTemplate(**options)  # type: ignore[arg-type]


def test_the_sign_of_the_finite_factor() -> None:
    """2 A w e^{-wt} cos(2 pi f t + phi) on [0, T) transforms to A e^{i phi} u, up to its counter-rotating part of size w / (4 pi f).

    The mode is off the grid and decays little within T, so that the factor 1 - exp(-(w + i Omega) T) counts; with the other sign of the
    phase in it the difference is of order 1.
    """
    duration, width, frequency, phi, amplitude = 1.0, 0.5, 400.37, 0.8, 0.3
    n = 65536
    times = np.arange(n) * (duration / n)
    signal = damped_sines(times, [frequency], [width], [amplitude], [phi])
    signal[0] *= 0.5  # the jump at 0 counts half in the sum that stands for the integral
    spectrum = fourier_bins(signal, duration / n)
    u, _ = CombTemplate(0.2, 200).evaluate(450.0, frequency, width, 380, 420, duration)
    found = spectrum[380:421] / (amplitude * np.exp(1j * phi))
    assert np.abs(found - u).max() < 2.0 * width / (4.0 * math.pi * frequency) * 2.0 + 1e-4
    omega = 2.0 * np.pi * (np.arange(380, 421) / duration - frequency)
    wrong = width / (width + 1j * omega) * (1.0 - np.exp(-width * duration + 1j * omega * duration))
    assert np.abs(found - wrong).max() > 0.1


def test_closed_form_snr() -> None:
    """SNR^2 = 2 N A^2 w k / S for T >> tau, k = (2/pi) atan(sqrt(1 - c^2)/c)."""
    row = ACCURACY["closed_form_snr"]
    k = 2.0 / math.pi * math.atan(math.sqrt(1.0 - 0.2**2) / 0.2)
    assert abs(k - row["k"]) < 5e-5
    n, a, w, s = (row[name] for name in ("n", "amplitude", "width", "density"))
    expected = math.sqrt(2.0 * n * a**2 * w * k / s)
    assert abs(expected - row["snr"]) < 5e-3
    # 49 teeth from 60 Hz on, spacing 5.83 Hz, in a band that cuts none: the sum over bins is the integral as T grows
    noise = gaussian_noise(Psd.white(s), 400.0, DT, np.random.default_rng(1))
    made = comb(noise, spacing=5.83, offset_hz=60.0, width=w, amplitude=a, band=(58.0, 60.0 + 48.5 * 5.83))
    assert abs(optimal_snr(made) / expected - 1.0) < 2e-3
