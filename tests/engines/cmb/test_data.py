"""Finding, checking and reading the Planck files: every way they can be wrong."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of_file
from sciinf.engines.cmb import data as module
from sciinf.engines.cmb.data import ENVIRONMENT_VARIABLE, FILES, SHA256, PlanckFiles, find_cosmofit, planck_data

COVARIANCE = "plik_lite/c_matrix_plik_v22.dat"


@pytest.fixture
def folder(lookalike: PlanckFiles, tmp_path: Path) -> Path:
    """A writable copy of the look-alike folder."""
    return Path(shutil.copytree(lookalike.folder, tmp_path / "planck"))


@pytest.fixture
def unknown(folder: Path) -> PlanckFiles:
    return planck_data(folder, allow_unknown_data=True)


def test_nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="no folder given, SCIINF_PLANCK_DATA is not set, package cosmofit is not installed") as error:
        planck_data()
    for way in ("sciinf[planck]", "SCIINF_PLANCK_DATA", "folder="):
        assert way in str(error.value)


def test_the_order_is_argument_then_variable_then_package(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(folder))
    assert planck_data().folder == folder
    assert planck_data().source == "folder"
    other = tmp_path / "other"
    other.mkdir()
    assert planck_data(other).folder == other
    with pytest.raises(DataError, match=r"argument folder: .*none' is not a folder"):
        planck_data(tmp_path / "none")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"SCIINF_PLANCK_DATA: .*none' is not a folder"):
        planck_data()
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    monkeypatch.setattr(module, "find_cosmofit", lambda: PlanckFiles(folder, "cosmofit 2.2.0"))
    assert planck_data(allow_unknown_data=True) == PlanckFiles(folder, "cosmofit 2.2.0", allow_unknown_data=True)


def test_another_version_of_the_package_is_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = tmp_path / "cosmofit"
    (package / "data" / "cmb").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    with caplog.at_level(logging.INFO, logger="sciinf"):
        found = find_cosmofit()
    assert found is not None
    assert found.source == "cosmofit 9.9"
    assert "cosmofit 9.9 found, 2.2.0 is the version" in caplog.text
    with pytest.raises(DataError, match="missing in the data folder"):
        found.low_ee()


def test_missing_files_name_the_components_and_spare_the_others(folder: Path, unknown: PlanckFiles) -> None:
    (folder / "lensing2018/window/window3.dat").unlink()
    (folder / "plik_lite/blmin.dat").unlink()
    with pytest.raises(DataError, match=r"component lensing needs lensing2018/window/window3\.dat: missing") as error:
        unknown.lensing()
    assert "Components that cannot load: plik_lite, lensing" in str(error.value)
    assert str(folder) not in str(error.value)
    assert unknown.low_ee().name == "low_ee"
    assert unknown.low_tt_bins().name == "low_tt_bins"


def test_an_unexpected_hash_is_refused_or_marked(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = "lowE2018/prob_table.txt"
    with pytest.raises(DataError, match=f"{name}: expected sha256 {SHA256[name]}, found [0-9a-f]{{64}} .[0-9]+ bytes") as error:
        planck_data(folder).low_ee()
    assert sha256_of_file(folder / name) in str(error.value)
    assert "allow_unknown_data=True" in str(error.value)
    with caplog.at_level(logging.WARNING, logger="sciinf"):
        part = planck_data(folder, allow_unknown_data=True).low_ee()
    assert part.origin.notes == ("unverified data",)
    assert part.origin.files == {name: sha256_of_file(folder / name)}
    assert "unverified" in caplog.text


@pytest.mark.planck
def test_the_real_files_are_verified(planck_files: PlanckFiles) -> None:
    """Every file in the table of hashes belongs to a component and is the one in the wheel; cosmofit itself is never imported."""
    assert {name for names in FILES.values() for name in names} <= set(SHA256)
    for component in FILES:
        origin = planck_files.check(component)
        assert origin.source == "cosmofit 2.2.0"
        assert origin.notes == ()
        assert origin.files == {name: SHA256[name] for name in FILES[component]}


def _record(matrix: np.ndarray, marker: int | None = None) -> bytes:
    edge = np.array([matrix.size * 8 if marker is None else marker], dtype="<i4").tobytes()
    return edge + matrix.astype("<f8").tobytes() + edge


def _lower(n: int = 613) -> np.ndarray:
    return np.tril(0.1 * np.ones((n, n)) + np.eye(n))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: _record(_lower())[:-4], "expected 3006160 bytes .record of 613 x 613 float64., found 3006156"),
        (lambda: _record(_lower(612)), "expected 3006160 bytes"),
        (lambda: _record(_lower(), marker=7), "expected record markers 3006152, found 7 and 7"),
        (lambda: _record(np.where(np.arange(613)[:, None] == 4, np.nan, _lower())), "row 4, column 0 is nan"),
        (
            lambda: _record(_lower() + np.triu(0.2 * np.ones((613, 613)), 1)),
            "both triangles are filled and differ; row 1, column 0 is 0.1, its mirror 0.2",
        ),
        (lambda: _record(_lower() - np.eye(613)), "positive definite; its smallest eigenvalue is"),
    ],
)
def test_wrong_covariance_files(folder: Path, unknown: PlanckFiles, content: Callable[[], bytes], message: str) -> None:
    (folder / COVARIANCE).write_bytes(content())
    with pytest.raises(DataError, match=message) as error:
        unknown.plik_lite()
    assert str(error.value).startswith(COVARIANCE)


def test_either_triangle_or_both_equal_ones_are_read(folder: Path, unknown: PlanckFiles) -> None:
    full = unknown.plik_lite().data.covariance
    assert np.array_equal(full, full.T)
    for matrix in (np.tril(full), np.triu(full), full):
        (folder / COVARIANCE).write_bytes(_record(matrix))
        assert np.array_equal(unknown.plik_lite().data.covariance, full)


def _rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.savetxt(path, change(np.loadtxt(path, ndmin=2)), fmt="%.17g")


def _spoil(row: int, column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(rows: np.ndarray) -> np.ndarray:
        rows[row, column] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("name", "change", "load", "message"),
    [
        ("plik_lite/cl_cmb_plik_v22.dat", lambda r: r[:-1], "plik_lite", "expected 613 rows .215 TT, 199 TE, 199 EE., found 612"),
        ("plik_lite/cl_cmb_plik_v22.dat", lambda r: r[:, :2], "plik_lite", "expected 3 columns, found 2"),
        ("plik_lite/bweight.dat", _spoil(3, 0, np.nan), "plik_lite", "bweight.dat: row 3, column 0 is nan"),
        ("plik_lite/bweight.dat", _spoil(3, 0, 0.9), "plik_lite", "weights of bin 0 .l 30-34. sum to"),
        ("plik_lite/low_ell/bweight_low_ell.dat", lambda r: r[:-1], "low_tt_bins", "bins must tile l = 2 to 28"),
        ("lowE2018/prob_table.txt", lambda r: r[:-1], "low_ee", "expected 3000 rows .* found 2999"),
        ("lowE2018/prob_table.txt", lambda r: r[:, 1:], "low_ee", "expected 28 columns, found 27"),
        ("lowE2018/prob_table.txt", _spoil(8, 1, np.nan), "low_ee", "row 8, column 1 is nan"),
        ("lensing2018/cov.dat", lambda r: r[:, 1:], "lensing", "cov.dat: expected 9 columns, found 8"),
        ("lensing2018/window/window2.dat", lambda r: r[::-1], "lensing", "window2.dat: column 1 must hold increasing integers"),
        ("lensing2018/lens_delta_window/window2.dat", lambda r: r[:, :4], "lensing", "expected 5 columns, found 4"),
    ],
)
def test_wrong_tables(
    folder: Path, unknown: PlanckFiles, name: str, change: Callable[[np.ndarray], np.ndarray], load: str, message: str
) -> None:
    _rewrite(folder / name, change)
    with pytest.raises(DataError, match=message):
        getattr(unknown, load)()


def test_a_table_of_words(folder: Path, unknown: PlanckFiles) -> None:
    (folder / "lowE2018/prob_table.txt").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"lowE2018/prob_table\.txt: not a readable table of numbers"):
        unknown.low_ee()


def test_options_reach_the_components(unknown: PlanckFiles) -> None:
    part: Any = unknown.plik_lite(("EE",), (100, 1000))
    assert part.requires == {"EE": (100, 999)}
    assert unknown.low_ee("linear").interp == "linear"
