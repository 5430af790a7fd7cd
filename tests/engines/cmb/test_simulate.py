"""Look-alike data: golden values, formats, and that they are draws of their own likelihood."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of_file
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import FILES, PlanckFiles
from sciinf.engines.cmb.identity import reference_spectra
from sciinf.engines.cmb.simulate import FIDUCIAL, fiducial_spectra, write_lookalike
from sciinf.engines.cmb.spectra import SPECTRA, Spectra

FIXTURE = Path(__file__).parents[2] / "fixtures" / "cmb" / "lookalike_chi2.json"


@pytest.mark.parametrize("name", list(FILES))
def test_golden_chi2(components: dict[str, Component], fiducial: Spectra, name: str) -> None:
    golden = json.loads(FIXTURE.read_text())
    expected = golden["chi2"][name]
    assert components[name].chi2(fiducial, {"A_planck": 1.0}) == pytest.approx(expected, rel=golden["tolerance_relative"])


def test_every_file_of_the_real_set_is_there_and_is_another(lookalike: PlanckFiles) -> None:
    written = {path.relative_to(lookalike.folder).as_posix() for path in lookalike.folder.rglob("*") if path.is_file()}
    assert written == {name for names in FILES.values() for name in names}
    total = sum((lookalike.folder / name).stat().st_size for name in written)
    assert total < 8e6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_data(lookalike: PlanckFiles, tmp_path: Path) -> None:
    same, other = write_lookalike(tmp_path / "same", seed=1), write_lookalike(tmp_path / "other", seed=2)
    drawn = {
        "plik_lite/cl_cmb_plik_v22.dat",
        "plik_lite/low_ell/CTT_bin_low_ell_2018.dat",
        "lowE2018/prob_table.txt",
        "lensing2018/bandpowers.dat",
    }
    for names in FILES.values():
        for name in names:
            first = sha256_of_file(lookalike.folder / name)
            assert sha256_of_file(same.folder / name) == first
            assert (sha256_of_file(other.folder / name) != first) == (name in drawn), name


def test_the_covariance_file_fills_one_triangle(lookalike: PlanckFiles) -> None:
    raw = (lookalike.folder / "plik_lite/c_matrix_plik_v22.dat").read_bytes()
    matrix = np.frombuffer(raw[4:-4], dtype="<f8").reshape(613, 613)
    assert len(raw) == 3006160
    assert np.all(np.triu(matrix, 1) == 0.0)
    assert np.any(np.tril(matrix, -1) != 0.0)


def test_an_occupied_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="is not empty"):
        write_lookalike(tmp_path, seed=1)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_chi2_over_seeds_is_that_of_draws(fiducial: Spectra, tmp_path: Path) -> None:
    """4 seeds: mean chi2 of plik_lite within 4 sqrt(1226 / 4) of 613; lensing and bins together within 4 sigma of 11."""
    high, low = [], []
    for seed in range(4):
        files = write_lookalike(tmp_path / str(seed), seed=seed)
        high.append(files.plik_lite().chi2(fiducial, {"A_planck": 1.0}))
        low.append(sum(part.chi2(fiducial, {"A_planck": 1.0}) for part in (files.low_tt_bins(), files.lensing())))
    assert abs(np.mean(high) - 613) < 4 * np.sqrt(2 * 613 / 4)
    assert abs(np.mean(low) - 11) < 4 * np.sqrt(2 * 11 / 4)


def test_the_fiducial_spectra_are_the_stored_best_fit() -> None:
    stored, fiducial = reference_spectra("bf_pol"), fiducial_spectra()
    assert all(np.array_equal(stored[name], fiducial[name]) for name in SPECTRA)
    assert set(FIDUCIAL) == {"omega_b", "omega_c", "theta_mc", "tau", "logA", "n_s"}
