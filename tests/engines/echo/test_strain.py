"""Strain: the Fourier convention, its parts, and every way it can be wrong."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.strain import Strain, fourier_bins, samples_in

GPS = 1126259446.0


def noise(n: int = 64, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def test_the_fourier_convention() -> None:
    """d = dt FFT(x) with e^{-i 2 pi f t}: a cosine of amplitude a and phase phi in a bin gives (a T / 2) e^{i phi}."""
    n, dt, j, phi = 512, 1.0 / 256.0, 20, 0.7
    time = np.arange(n) * dt
    d = fourier_bins(3.0 * np.cos(2.0 * np.pi * j / (n * dt) * time + phi), dt)
    assert d.shape == (n // 2 + 1,)
    assert np.abs(d[j] - 3.0 * n * dt / 2.0 * np.exp(1j * phi)) < 1e-12
    assert np.abs(np.delete(d, j)).max() < 1e-12


def test_parseval_for_white_noise() -> None:
    """S = 2 s^2 dt: the mean of |d|^2 is S T / 2."""
    n, dt, s = 2**16, 1.0 / 4096.0, 3.0
    strain = Strain(s * noise(n), dt, GPS, "H1")
    made = strain.spectrum(Psd.white(2.0 * s**2 * dt))
    ratio = np.abs(made.values[1:-1]) ** 2 / (made.psd[1:-1] * made.duration / 2.0)
    assert abs(ratio.mean() - 1.0) < 5.0 / np.sqrt(ratio.size)
    assert made.duration == n * dt
    assert made.start_time == GPS
    assert made.frequency[1] == 1.0 / made.duration
    assert made.last_bin == n // 2 - 1
    assert abs(made.whitened()[1:-1].real.std() - 1.0) < 5.0 / np.sqrt(2.0 * ratio.size)


def test_strain_is_a_read_only_copy() -> None:
    values = noise()
    strain = Strain(values, 0.25, 10.0, "H1")
    values[0] = 99.0
    assert strain.values[0] != 99.0
    for one in (strain, pickle.loads(pickle.dumps(strain))):
        with pytest.raises(ValueError, match="read-only"):
            one.values[0] = 0.0
        assert one.fingerprint() == strain.fingerprint()
    assert (strain.n, strain.duration, strain.end_time) == (64, 16.0, 26.0)
    assert strain.times[2] == 10.5


def test_cut() -> None:
    strain = Strain(noise(), 0.25, 10.0, "H1")
    part = strain.cut(12.1, 4.0)
    assert np.array_equal(part.values, strain.values[8:24])
    assert part.start_time == 12.0
    with pytest.raises(DataError, match=r"H1: GPS 24\.0+ to 28\.0+ is not inside the strain, holding 10\.0+ to 26\.0+"):
        strain.cut(24.0, 4.0)
    with pytest.raises(DataError, match=r"whole number of samples: got 4\.1 s, the nearest is 16 x 0\.25 s = 4 s"):
        strain.cut(12.0, 4.1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": np.where(np.arange(64) == 5, np.nan, 1.0)}, DataError, r"H1.*1 of 64.*sample 5 at GPS 11\.25.*cut or fill before"),
        ({"values": np.where(np.arange(64) > 61, np.inf, 1.0)}, DataError, r"H1.*2 of 64.*sample 62 at GPS 25\.5.*cut or fill before"),
        ({"values": np.concatenate([noise(60), np.zeros(4)])}, DataError, "H1 is zero-padded: 4 exact zeros"),
        ({"values": np.concatenate([np.zeros(4), noise(60)])}, DataError, "H1 is zero-padded: 4 exact zeros"),
        ({"values": np.zeros(64)}, DataError, "zero-padded: 64 exact zeros"),
        ({"values": np.ones((2, 8))}, DataError, r"must have shape \(n,\)"),
        ({"values": np.ones(3)}, DataError, "n >= 4"),
        ({"values": np.ones(64, dtype=complex)}, DataTypeError, "strain of H1 must hold real numbers, got dtype complex128"),
        ({"values": np.array(["a"] * 64)}, DataTypeError, "strain of H1 must hold real numbers, got dtype <U1"),
        ({"sample_interval": 0.0}, DataError, "sample interval of H1 .s. must be positive"),
        ({"sample_interval": "1"}, DataTypeError, "sample interval of H1 .s. must be a real number"),
        ({"sample_interval": [1.0]}, DataTypeError, "sample interval of H1 .s. must be a real number"),
        ({"start_time": np.nan}, DataError, "start time of H1"),
        ({"detector": " "}, ConfigError, "a detector needs a name such as 'H1', got ' '"),
        ({"detector": None}, ConfigError, "a detector needs a name"),
    ],
)
def test_wrong_strain(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Strain(**{"values": noise(), "sample_interval": 0.25, "start_time": 10.0, "detector": "H1", **changes})


def test_a_zero_inside_is_no_padding() -> None:
    values = noise(1000)
    values[400:500] = 0.0
    values[-5:] = 0.0
    assert Strain(values, 0.25, 0.0, "H1").n == 1000


def test_samples_in() -> None:
    assert samples_in(57.0, 1.0 / 4096.0) == 233472
    assert samples_in(5539 * np.pi, np.pi) == 5539
    with pytest.raises(DataError, match=r"got 57\.2 s, the nearest is 234291 x"):
        samples_in(57.2, 1.0 / 4096.0)
    with pytest.raises(DataError, match="duration must be positive"):
        samples_in(-1.0, 0.25)
