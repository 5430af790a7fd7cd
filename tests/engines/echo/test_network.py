"""Whether spectra can be searched together: used bins, masks, what detectors must share, the level of the PSD."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, SciinfWarning
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.network import EchoWarning, check_spectra

GPS = 1126259446.0


def spectrum(seed: int = 1, n_bin: int = 401, duration: float = 4.0, **changes: Any) -> Spectrum:
    rng = np.random.default_rng(seed)
    values = 0.5 * np.sqrt(duration) * (rng.standard_normal(n_bin) + 1j * rng.standard_normal(n_bin))
    return Spectrum(**{"values": values, "psd": np.ones(n_bin), "duration": duration, "detector": "H1", **changes})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_used_bins_are_checked_and_others_are_not(bad: float) -> None:
    values, psd = spectrum().values.copy(), np.ones(401)
    values[100], psd[120], psd[390] = bad, -1.0, 0.0
    mask = np.ones(401, dtype=bool)
    mask[[100, 120]] = False
    assert len(check_spectra([spectrum(values=values, psd=psd, mask=mask)], 40, 380)) == 1
    with pytest.raises(DataError, match=r"H1: PSD must be finite and positive .*; bin 390 \(97\.5 Hz\) holds 0\.0 \(1 such"):
        check_spectra([spectrum(values=values, psd=psd, mask=mask)], 40, 395)
    mask[100] = True
    with pytest.raises(DataError, match=r"H1: Fourier data must be finite; bin 100 \(25 Hz\)"):
        check_spectra([spectrum(values=values, psd=psd, mask=mask)], 40, 380)
    mask[[100, 120]] = False, True
    with pytest.raises(DataError, match=r"H1: PSD must be finite and positive .*; bin 120 \(30 Hz\) holds -1\.0"):
        check_spectra([spectrum(values=values, psd=psd, mask=mask)], 40, 380)


def test_a_psd_that_does_not_cover_the_band() -> None:
    one = spectrum(psd=Psd([20.0, 90.0], [1.0, 1.0]).on_bins(401, 4.0))
    assert len(check_spectra([one], 80, 360)) == 1
    for band, wanted in (((79, 360), "19.75 to 90"), ((80, 361), "20 to 90.25"), ((40, 390), "10 to 97.5")):
        with pytest.raises(DataError, match=f"H1: PSD does not cover the band: it holds 20 to 90 Hz, wanted are {wanted} Hz"):
            check_spectra([one], *band)
    with pytest.raises(DataError, match="it is NaN everywhere"):
        check_spectra([spectrum(psd=np.full(401, np.nan))], 80, 360)


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        ({"detector": "H1"}, ConfigError, "'H1' is there 2 times"),
        ({"duration": 8.0}, DataError, "H1 has 4 s, L1 8 s"),
        ({"n_bin": 301}, DataError, "H1 has 401, L1 301"),
        ({"start_time": GPS + 1.0}, DataError, r"H1 has GPS 1126259446\.0+, L1 1126259447\.0+"),
    ],
)
def test_networks_that_do_not_fit(other: dict[str, Any], error: type[Exception], message: str) -> None:
    two = [spectrum(start_time=GPS), spectrum(2, **{"detector": "L1", "start_time": GPS, **other})]
    with pytest.raises(error, match=message):
        check_spectra(two, 10, 290)


def test_a_slide_has_no_common_start() -> None:
    levels = check_spectra([spectrum(start_time=GPS), spectrum(2, detector="L1", start_time=None)], 10, 390)
    assert len(levels) == 2


def test_masks_that_leave_nothing() -> None:
    mask = np.ones(401, dtype=bool)
    mask[40:81] = False
    two = [spectrum(mask=mask), spectrum(2, detector="L1", mask=mask)]
    with pytest.raises(DataError, match="masks of H1, L1 leave no bin in 10 to 20 Hz: 41 masked in each"):
        check_spectra(two, 40, 80)
    levels = check_spectra([two[0], spectrum(2, detector="L1")], 40, 80)
    assert np.isnan(levels[0])
    assert np.isfinite(levels[1])
    for band in ((0, 80), (10, 400), (80, 40)):
        with pytest.raises(DataError, match="are not inside 1 to 399"):
            check_spectra(two, *band)


def test_the_level_of_the_psd() -> None:
    """q = 1 for Gaussian noise within its own error, 2 for a two-sided PSD, which is warned about."""
    n_bin = 40001
    one = spectrum(n_bin=n_bin)
    (level,) = check_spectra([one], 1, n_bin - 2)
    assert abs(level - 1.0) < 5.0 / (np.log(2.0) * np.sqrt(n_bin))  # the median of N exponential deviates has sd 1/sqrt(N)
    with pytest.warns(EchoWarning, match=r"H1: .*q = .* = (1.9|2).*one-sided 1/Hz expected"):
        (twice,) = check_spectra([dataclasses.replace(one, psd=0.5 * one.psd)], 1, n_bin - 2)
    assert twice == 2.0 * level
    assert issubclass(EchoWarning, SciinfWarning)
