"""Strain files: what is read, what is refused, the real files and the small ones of the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of_file
from sciinf.engines.echo.conditioning import condition, welch_psd
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.gwosc import read_gwosc
from sciinf.engines.echo.network import check_spectra

ROOT = Path(__file__).parents[3]
GPS = 1126259446.0


def write_file(path: Path, change: Callable[[Any], None] = lambda stream: None) -> np.ndarray:
    values = np.random.default_rng(1).standard_normal(8 * 64)
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
