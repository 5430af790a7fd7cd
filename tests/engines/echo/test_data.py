"""Strain, PSD, Fourier data: every way they can be wrong, and the file reader."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, DataTypeError, SciinfWarning
from sciinf.core.fingerprint import sha256_of_file
from sciinf.engines.echo.conditioning import condition, welch_psd
from sciinf.engines.echo.data import EchoWarning, Psd, Spectrum, Strain, check_spectra, fourier_bins, read_gwosc, samples_in

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "echo"
GPS = 1126259446.0


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    """Path of a file beside the repository, or a skip."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/echo/{name}, which is not distributed with the project")
        return path

    return find


def noise(n: int = 64, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def spectrum(seed: int = 1, n_bin: int = 401, duration: float = 4.0, **changes: Any) -> Spectrum:
    rng = np.random.default_rng(seed)
    values = 0.5 * np.sqrt(duration) * (rng.standard_normal(n_bin) + 1j * rng.standard_normal(n_bin))
    return Spectrum(**{"values": values, "psd": np.ones(n_bin), "duration": duration, "detector": "H1", **changes})


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


def write_file(path: Path, change: Callable[[Any], None] = lambda stream: None) -> np.ndarray:
    values = noise(8 * 64)
    with h5py.File(path, "w") as stream:
        series = stream.create_dataset("strain/Strain", data=values)
        series.attrs.update({"Xstart": 1000, "Xspacing": 1.0 / 64.0})
        stream["meta/GPSstart"] = 1000
        stream["meta/Detector"] = "L1"
        quality = stream.create_dataset("quality/simple/DQmask", data=np.full(8, 127, dtype=np.uint32))
        quality.attrs.update({"Xstart": 1000, "Xspacing": 1.0})
        change(stream)
    return values


def test_read_gwosc(tmp_path: Path) -> None:
    values = write_file(tmp_path / "x.hdf5")
    whole = read_gwosc(tmp_path / "x.hdf5")
    assert np.array_equal(whole.values, values)
    assert (whole.start_time, whole.sample_interval, whole.detector) == (1000.0, 1.0 / 64.0, "L1")
    part = read_gwosc(tmp_path / "x.hdf5", 1002.5, 2.0)
    assert np.array_equal(part.values, values[160:288])
    assert part.start_time == 1002.5
    assert np.array_equal(read_gwosc(tmp_path / "x.hdf5", start=1006.0).values, values[384:])
    for start, duration in ((999.0, 2.0), (1007.0, 2.0), (1009.0, None)):
        with pytest.raises(DataError, match=r"x\.hdf5: GPS .* is not inside the file, which holds 1000\.0+ to 1008\.0+"):
            read_gwosc(tmp_path / "x.hdf5", start, duration)


def _flag(stream: Any) -> None:
    stream["quality/simple/DQmask"][3:5] = 126


def _spoil(stream: Any) -> None:
    stream["strain/Strain"][200] = np.nan


def _delete(key: str) -> Callable[[Any], None]:
    def change(stream: Any) -> None:
        del stream[key]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_delete("strain/Strain"), "no 'strain/Strain'"),
        (_delete("quality"), "no 'quality/simple/DQmask'"),
        (_delete("meta/Detector"), "no 'meta/Detector'"),
        (lambda stream: stream["strain/Strain"].attrs.__delitem__("Xspacing"), "no attribute 'Xspacing'"),
        (lambda stream: stream["strain/Strain"].attrs.__setitem__("Xstart", 7), "Xstart is GPS 7.0+, meta/GPSstart 1000.0+"),
        (_flag, r"DQmask bit 0 off. in 2 of the wanted seconds: GPS 1003, 1004"),
        (_spoil, r"strain of L1 must be finite: 1 of 512 .* GPS 1003\.125000"),
    ],
)
def test_wrong_gwosc_files(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    write_file(tmp_path / "x.hdf5", change)
    with pytest.raises(DataError, match=rf"^x\.hdf5: .*{message}") as error:
        read_gwosc(tmp_path / "x.hdf5")
    assert str(tmp_path) not in str(error.value)


def test_bad_seconds_outside_the_wanted_part_do_no_harm(tmp_path: Path) -> None:
    write_file(tmp_path / "x.hdf5", _flag)
    assert read_gwosc(tmp_path / "x.hdf5", 1000.0, 3.0).n == 192
    assert read_gwosc(tmp_path / "x.hdf5", 1005.0, 3.0).n == 192
    with pytest.raises(DataError, match="GPS 1003"):
        read_gwosc(tmp_path / "x.hdf5", 1000.0, 3.5)


def test_no_file_or_another_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^none\.hdf5: cannot be read .no such file"):
        read_gwosc(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(DataError, match=r"^text\.hdf5: cannot be read .not an HDF5 file"):
        read_gwosc(tmp_path / "text.hdf5")


@pytest.mark.parametrize(("name", "detector", "std"), [("H-H1", "H1", 2.20e-19), ("L-L1", "L1", 2.34e-19)])
def test_the_real_files(shared_file: Callable[[str], Path], name: str, detector: str, std: float) -> None:
    strain = read_gwosc(shared_file(f"strain/{name}_LOSC_4_V2-1126259446-32.hdf5"))
    assert (strain.n, strain.start_time, strain.duration, strain.detector) == (131072, GPS, 32.0, detector)
    assert abs(strain.values.std() / std - 1.0) < 0.005
    excerpt = read_gwosc(ROOT / "data" / "echo" / f"{name}_LOSC_4_V2-1126259461-4.hdf5")
    assert np.array_equal(excerpt.values, strain.cut(1126259461.0, 4.0).values)


def test_the_small_files_of_the_repository() -> None:
    """data/echo is what data/SHA256SUMS lists, and small; the excerpt reads as a GWOSC file does, the PSD covers its band."""
    folder = ROOT / "data"
    listed = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {f"echo/{path.name}": path for path in (folder / "echo").iterdir()}
    assert {name: sha256_of_file(path) for name, path in files.items()} == {name: listed[name] for name in files}
    assert {name for name in listed if name.startswith("echo/")} == set(files)
    assert sum(path.stat().st_size for path in files.values()) < 300_000
    for name, detector in (("H-H1", "H1"), ("L-L1", "L1")):
        strain = read_gwosc(folder / "echo" / f"{name}_LOSC_4_V2-1126259461-4.hdf5")
        assert (strain.detector, strain.start_time, strain.n, strain.sample_interval) == (detector, 1126259461.0, 16384, 1.0 / 4096.0)
        psd = Psd.from_psd_file(folder / "echo" / f"{name}_PSD-1126259446-32.txt.gz")
        assert (psd.frequency[0], psd.frequency[-1], len(psd.frequency)) == (0.0, 2048.0, 1025)
        made = condition(strain, psd, 1126259462.44, 1.25)
        (level,) = check_spectra([made], 63, 374)
        assert abs(level - 1.0) < 4.0 / (np.log(2.0) * np.sqrt(312))


def test_the_psd_of_the_repository_is_that_of_the_real_file(shared_file: Callable[[str], Path]) -> None:
    strain = read_gwosc(shared_file("strain/H-H1_LOSC_4_V2-1126259446-32.hdf5"))
    stored = Psd.from_psd_file(ROOT / "data" / "echo" / "H-H1_PSD-1126259446-32.txt.gz")
    assert np.allclose(welch_psd(strain, exclude=(1126259462.0, 1126259463.0)).density, stored.density, rtol=1e-6, atol=0.0)


def test_the_import_is_light() -> None:
    load = "import sys, sciinf.engines.echo.data, sciinf.engines.echo.simulate; "
    code = load + "print([name for name in ('h5py', 'matplotlib', 'pandas', 'dynesty') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
