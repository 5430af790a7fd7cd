"""Noise, damped sines, combs and scaling, against the conventions they must meet."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.echo.benchmarks import F_RINGDOWN, FAMILIES
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.network import check_spectra
from sciinf.engines.echo.simulate import (
    benchmark,
    comb,
    damped_sines,
    gaussian_noise,
    inject,
    optimal_snr,
    project,
    scale_to_snr,
    to_strain,
)
from sciinf.engines.echo.strain import fourier_bins

DT = 1.0 / 4096.0
WHITE = Psd.white(2.0 * DT)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_noise_has_the_variance_of_the_convention() -> None:
    """Re d and Im d independent, variance S T / 4 each, whatever the PSD."""
    frequency = np.linspace(0.0, 2048.0, 100)
    psd = Psd(frequency, 1e-46 * (1.0 + frequency))
    made = gaussian_noise(psd, 16.0, DT, rng())
    assert made.n_bin == 8 * 4096 + 1
    z = made.values[1:-1] / np.sqrt(made.psd[1:-1] * 16.0 / 4.0)
    n = len(z)
    for part in (z.real, z.imag):
        assert abs(part.var() - 1.0) < 5.0 * math.sqrt(2.0 / n)
        assert abs(part.mean()) < 5.0 / math.sqrt(n)
    assert abs(np.mean(z.real * z.imag)) < 5.0 / math.sqrt(n)
    assert made.values[0] == made.values[-1] == 0.0
    (level,) = check_spectra([made], 1, made.last_bin)
    assert abs(level - 1.0) < 5.0 / (math.log(2.0) * math.sqrt(n))


def test_noise_is_that_of_its_time_series() -> None:
    """Unit white noise back in time has unit variance, and its FFT is the spectrum."""
    made = gaussian_noise(WHITE, 8.0, DT, rng(), "L1")
    strain = to_strain(made, DT, 100.0)
    assert (strain.n, strain.start_time, strain.detector) == (32768, 100.0, "L1")
    assert abs(strain.values.var() - 1.0) < 5.0 * math.sqrt(2.0 / strain.n)
    assert np.abs(fourier_bins(strain.values, DT) - made.values).max() < 1e-14
    with pytest.raises(DataError, match="8 s in 16384 samples have 8193 bins, the spectrum has 16385"):
        to_strain(made, 2.0 * DT)


def test_noise_is_seeded() -> None:
    one, again, other = (gaussian_noise(WHITE, 1.0, DT, rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one.values, again.values)
    assert not np.array_equal(one.values, other.values)


def test_noise_where_the_psd_says_nothing() -> None:
    made = gaussian_noise(Psd([20.0, 500.0], [1.0, 1.0]), 1.0, DT, rng())
    outside = (made.frequency < 20.0) | (made.frequency > 500.0)
    assert np.isnan(made.psd[outside]).all()
    assert not made.values[outside].any()
    assert made.values[~outside].all()
    with pytest.raises(DataError, match="must not be negative; it is -1 1/Hz at 0 Hz"):
        gaussian_noise(Psd([0.0, 4096.0], [-1.0, 1.0]), 1.0, DT, rng())
    with pytest.raises(DataError, match="whole number of samples"):
        gaussian_noise(WHITE, 1.0001, DT, rng())


def test_a_damped_sine_has_the_stated_transform() -> None:
    """A e^{i phi} w / (w + i Omega) (1 - e^{-(w + i Omega) T}), up to a counter-rotating term ~ w / (4 pi f)."""
    duration, f, w, a, phi = 4.0, 131.07, 0.25, 0.1, 0.9
    n = int(duration / DT)
    signal = damped_sines(np.arange(n) * DT, [f], w, a, phi)
    omega = 2.0 * np.pi * (np.arange(n // 2 + 1) / duration - f)
    rate = w + 1j * omega
    wanted = a * np.exp(1j * phi) * w / rate * (1.0 - np.exp(-rate * duration))
    near = np.abs(omega) < 40.0
    assert np.abs(fourier_bins(signal, DT) - wanted)[near].max() < 2.0 * a * (w / (4.0 * np.pi * f) + w * DT)
    wrong = a * np.exp(1j * phi) * w / np.conj(rate) * (1.0 - np.exp(-np.conj(rate) * duration))
    assert np.abs(fourier_bins(signal, DT) - wrong)[near].max() > 0.1 * a  # negative control: the other sign


def test_damped_sines_add_and_start_at_zero() -> None:
    time = np.arange(-100, 400) * DT
    both = damped_sines(time, [100.0, 200.0], [1.0, 2.0], [0.5, 0.25], [0.1, 0.2])
    one, two = damped_sines(time, 100.0, 1.0, 0.5, 0.1), damped_sines(time, [200.0], [2.0], [0.25], [0.2])
    assert np.array_equal(both, one + two)
    assert not both[:100].any()
    assert both[100] == pytest.approx(2 * 0.5 * 1.0 * math.cos(0.1) + 2 * 0.25 * 2.0 * math.cos(0.2), rel=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [1.0, 2.0], [1.0, 1.0, 1.0], 1.0), "widths .rad/s. must be one number or 2"),
        (([0.0], [1.0], [0.0], 1.0), "widths must be positive, got 0 rad/s"),
        (([0.0], [np.nan], [1.0], 1.0), "frequencies .Hz. must be finite"),
    ],
)
def test_wrong_damped_sines(arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        damped_sines(*arguments)


COMB = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.077, "band": (50.0, 339.0)}
SNR = json.loads((Path(__file__).parents[3] / "tests" / "fixtures" / "echo" / "comb_snr.json").read_text())["rows"]


def blank(duration: float, **changes: Any) -> Spectrum:
    n_bin = int(duration * 4096) // 2 + 1
    values = {"values": np.zeros(n_bin), "psd": np.full(n_bin, 2.0 * DT), "duration": duration, "detector": "H1", **changes}
    return Spectrum(**values)


@pytest.mark.parametrize("row", SNR, ids=lambda row: f"{row['comb']['amplitude']}-{row['duration']}")
def test_the_snr_of_a_comb(row: dict[str, Any]) -> None:
    pytest.importorskip("sciinf.engines.echo.template")
    made = comb(blank(float(row["duration"])), **row["comb"])
    assert abs(optimal_snr(made) - row["snr"]) < row["tolerance"]


def test_the_phases_of_a_comb() -> None:
    template = pytest.importorskip("sciinf.engines.echo.template")
    base = blank(4.0)
    plain = comb(base, **COMB)  # type: ignore[arg-type]
    assert np.array_equal(comb(base, **COMB, phase="whittle", rng=rng()).values, plain.values)  # type: ignore[arg-type]
    by_mode = comb(base, **COMB, rng=rng())  # type: ignore[arg-type]
    by_bin = comb(base, **COMB, phase="bin", rng=rng())  # type: ignore[arg-type]
    first, last = template.band_slice(50.0, 339.0, 4.0, base.last_bin)
    u, tooth = template.CombTemplate().evaluate(5.83, 1.26, 0.25, first, last, 4.0)
    on = np.abs(u) > 0.0
    for made in (by_mode, by_bin):
        assert np.allclose(np.abs(made.values[first : last + 1]), 0.077 * np.abs(u), rtol=1e-14)
    turn = np.angle(by_mode.values[first : last + 1][on] / u[on])
    spread = [np.abs(np.exp(1j * turn[tooth[on] == n]) - np.exp(1j * turn[tooth[on] == n][0])).max() for n in np.unique(tooth[on])]
    assert max(spread) < 1e-12
    assert len(np.unique(np.round(turn, 9))) == len(np.unique(tooth[on])) == 50  # the slice ends inside the last
    turn = np.angle(by_bin.values[first : last + 1][on] / u[on])
    assert len(np.unique(np.round(turn, 9))) == on.sum()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"spacing": 0.0}, DataError, "spacing .Hz. must be positive"),
        ({"width": -1.0}, DataError, "width .rad/s. must be positive"),
        ({"amplitude": -1.0}, DataError, "amplitude must not be negative"),
        ({"band": (100.0, 50.0)}, ConfigError, "f_min below f_max; got 100 to 50 Hz"),
        ({"band": (50.0, 5000.0)}, ConfigError, "between 0 and 2048 Hz"),
        ({"phase": "modes"}, ConfigError, "did you mean 'mode'"),
    ],
)
def test_wrong_combs(change: dict[str, Any], error: type[Exception], message: str) -> None:
    pytest.importorskip("sciinf.engines.echo.template")
    with pytest.raises(error, match=message):
        comb(blank(4.0), **{**COMB, **change})


def test_projection_is_a_delay() -> None:
    """At Dt = t_1 - t_k the signal arrives Dt earlier at detector k: shifted by whole samples, the bins are those of the shifted series."""
    n, shift = 4096, 7
    series = rng().standard_normal(n)
    signal = Spectrum(fourier_bins(series, DT), np.ones(n // 2 + 1), n * DT, detector="H1")
    later = Spectrum(np.zeros(n // 2 + 1), np.full(n // 2 + 1, 2.0), n * DT, detector="L1", response=0.5, delay=shift * DT)
    made = project(signal, later)
    assert made.detector == "L1"
    assert made.psd[0] == 2.0
    wanted = fourier_bins(0.5 * np.roll(series, -shift), DT)
    assert np.abs(made.values - wanted)[1:-1].max() < 1e-13
    assert np.allclose(project(signal, later, 0.4).values, made.values * np.exp(-0.4j), rtol=1e-13)
    with pytest.raises(DataError, match="H1 has 2049 bins of 1 s, L1 has 16385 bins of 8 s; they must agree"):
        project(signal, gaussian_noise(WHITE, 8.0, DT, rng(), "L1"))


def test_injection_adds() -> None:
    noise = gaussian_noise(WHITE, 1.0, DT, rng())
    signal = noise.with_values(np.full(noise.n_bin, 0.1j))
    assert np.array_equal(inject(noise, signal).values, noise.values + 0.1j)


def test_snr_and_scaling() -> None:
    n_bin = 101
    mask = np.ones(n_bin, dtype=bool)
    mask[40] = False
    psd = np.full(n_bin, 2.0)
    psd[[0, 40, 100]] = np.nan
    values = np.full(n_bin, 3.0 + 4.0j)
    one = Spectrum(values, psd, 10.0, mask, "H1")
    assert optimal_snr(one) == pytest.approx(math.sqrt(4.0 / 10.0 * 25.0 / 2.0 * 98), rel=1e-14)
    assert optimal_snr(one, 2.0, 3.0) == pytest.approx(math.sqrt(4.0 / 10.0 * 25.0 / 2.0 * 10), rel=1e-14)
    for made, band in ((scale_to_snr(one, 12.0), ()), (scale_to_snr(one, 12.0, 2.0, 3.0), (2.0, 3.0))):
        assert optimal_snr(made, *band) == pytest.approx(12.0, rel=1e-14)
        assert np.allclose(np.angle(made.values), np.angle(values[0]))
    assert optimal_snr(scale_to_snr(one, 0.0)) == 0.0
    for target, signal in ((-1.0, one), (5.0, one.with_values(np.zeros(n_bin)))):
        with pytest.raises(DataError, match="cannot be scaled to SNR"):
            scale_to_snr(signal, target)
    psd[50] = 0.0
    with pytest.raises(DataError, match=r"bin 50 \(5 Hz\)"):
        optimal_snr(Spectrum(values, psd, 10.0, mask, "H1"))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_benchmarks(family: str) -> None:
    signal = benchmark(family, 20, 13.0, None)
    assert optimal_snr(signal, f_max=F_RINGDOWN) == pytest.approx(13.0, rel=1e-13)
    assert np.allclose(signal.psd, 2.0 * math.pi, rtol=1e-14)
    made = benchmark(family, 20, 13.0, rng())
    assert np.array_equal(made.values, benchmark(family, 20, 13.0, rng()).values)
    noise = made.values - signal.values
    z = noise[1:-1] / math.sqrt(2.0 * math.pi * made.duration / 4.0)
    assert abs(np.mean(np.abs(z) ** 2) / 2.0 - 1.0) < 5.0 / math.sqrt(len(z))
    assert (made.duration, made.n_bin, made.detector) == (signal.duration, 2770, family)
