"""PSD and Fourier data: what they hold, and every way they can be wrong."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.engines.echo.data import Psd, Spectrum

GPS = 1126259446.0


def spectrum(seed: int = 1, n_bin: int = 401, duration: float = 4.0, **changes: Any) -> Spectrum:
    rng = np.random.default_rng(seed)
    values = 0.5 * np.sqrt(duration) * (rng.standard_normal(n_bin) + 1j * rng.standard_normal(n_bin))
    return Spectrum(**{"values": values, "psd": np.ones(n_bin), "duration": duration, "detector": "H1", **changes})


def test_psd_is_linear_between_its_points_and_refuses_to_extrapolate() -> None:
    psd = Psd([1.0, 3.0, 4.0], [1.0, 5.0, 0.0])
    assert np.array_equal(psd.at([1.0, 2.0, 3.5]), [1.0, 3.0, 2.5])
    with pytest.raises(DataError, match=r"does not cover the band: it holds 1 to 4 Hz, wanted are 0\.5 to 5 Hz"):
        psd.at([0.5, 5.0])
    bins = psd.on_bins(11, 2.0)
    assert np.array_equal(bins[2:9], [1.0, 2.0, 3.0, 4.0, 5.0, 2.5, 0.0])
    assert np.isnan(bins[[0, 1, 9, 10]]).all()
    with pytest.raises(DataError, match=r"it holds 1 to 4 Hz, wanted are 0 to 0\.04 Hz"):
        psd.on_bins(5, 100.0)
    again = pickle.loads(pickle.dumps(psd))
    assert not again.density.flags.writeable
    assert again.fingerprint() == psd.fingerprint()


def test_white_psd() -> None:
    psd = Psd.white(2e-46)
    assert np.array_equal(psd.at([0.0, 60.0, 1e9]), [2e-46] * 3)
    assert psd.source == "white"
    with pytest.raises(DataError, match=r"white PSD .1/Hz. must be positive"):
        Psd.white(0.0)


@pytest.mark.parametrize(
    ("frequency", "density", "error", "message"),
    [
        ([1.0, 1.0], [1.0, 1.0], DataError, r"increase from 0 or more; frequency\[1\] = 1 Hz"),
        ([-1.0, 1.0], [1.0, 1.0], DataError, r"frequency\[0\] = -1 Hz"),
        ([1.0, np.nan], [1.0, 1.0], DataError, "frequency of the PSD .Hz. must be finite"),
        ([1.0, 2.0], [1.0], DataError, "two columns of one length"),
        ([1.0], [1.0], DataError, "two columns of one length >= 2"),
        ([1.0, 2.0], ["a", "b"], DataTypeError, "density of the PSD"),
    ],
)
def test_wrong_psd(frequency: Any, density: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Psd(frequency, density)


def test_psd_files(tmp_path: Path) -> None:
    path = tmp_path / "noise.txt"
    path.write_text("# Hz, density\n10 1e-23\n20 2e-23\n")
    assert np.allclose(Psd.from_asd_file(path).density, [1e-46, 4e-46], rtol=1e-15)
    assert np.array_equal(Psd.from_psd_file(path).density, [1e-23, 2e-23])
    assert Psd.from_psd_file(path).source == "PSD noise.txt"
    for text, message in (("1 2 3\n4 5 6\n", "expected 2 columns"), ("a b\n", "not a readable table"), ("2 1\n1 1\n", "increase")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            Psd.from_psd_file(path)
    with pytest.raises(DataError, match=r"^none\.txt: not a readable table") as error:
        Psd.from_psd_file(tmp_path / "none.txt")
    assert str(tmp_path) not in str(error.value)


def test_the_design_psd(shared_file: Callable[[str], Path]) -> None:
    psd = Psd.from_psd_file(shared_file("psd/aLIGO_ZERO_DET_high_P_psd.txt"))
    assert (psd.frequency[0], psd.frequency[-1]) == (9.0, 8192.0)
    assert 1e-47 < float(psd.at(100.0)) < 3e-47


def test_spectrum_is_a_read_only_copy() -> None:
    one = spectrum(mask=np.arange(401) % 2 == 0, delay=6.9e-3, response=0.8, start_time=GPS)
    for other in (one, pickle.loads(pickle.dumps(one)), dataclasses.replace(one)):
        for array in (other.values, other.psd, other.used):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        assert other.fingerprint() == one.fingerprint()
        assert (other.delay, other.response, other.start_time) == (6.9e-3, 0.8, GPS)
    assert spectrum().used.all()


def test_what_is_masked_is_not_in_the_fingerprint() -> None:
    mask = np.arange(401) != 100
    values = spectrum().values.copy()
    values[100] = np.nan
    assert spectrum(mask=mask).fingerprint() == spectrum(mask=mask, values=values).fingerprint()
    assert spectrum().fingerprint() != spectrum(mask=mask).fingerprint()
    assert spectrum().fingerprint() != spectrum(delay=1e-3).fingerprint()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": np.array(["x"] * 401)}, DataTypeError, "Fourier data of H1 must hold complex numbers, got dtype <U1"),
        ({"psd": np.ones(401, dtype=complex)}, DataTypeError, "PSD of H1 must hold real numbers, got dtype complex128"),
        ({"psd": np.ones(400)}, DataError, r"H1: .* got \(401,\) and \(400,\)"),
        ({"values": [1.0, 2.0], "psd": [1.0, 1.0]}, DataError, "n_bin >= 3"),
        ({"mask": np.ones(400, dtype=bool)}, DataError, r"mask of H1 must have shape \(401,\), got \(400,\)"),
        ({"mask": np.ones(401)}, DataTypeError, "mask of H1 must hold booleans .* got dtype float64"),
        ({"duration": 0.0}, DataError, "duration of H1"),
        ({"response": -1.0}, DataError, "response of H1 must be positive"),
        ({"delay": np.inf}, DataError, "delay of H1 .s. must be finite"),
        ({"detector": ""}, ConfigError, "a detector needs a name"),
    ],
)
def test_wrong_spectrum(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spectrum(**changes)


def test_the_import_is_light() -> None:
    load = "import sys, sciinf.engines.echo.data, sciinf.engines.echo.simulate; "
    code = load + "print([name for name in ('h5py', 'matplotlib', 'pandas', 'dynesty') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
