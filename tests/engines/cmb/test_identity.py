"""The reference table: every cell on the real files, and that the table would notice a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciinf.engines.cmb import identity, self_test
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.spectra import SPECTRA, Spectra

# Columns of the specification's table and the keys of reference_chi2.json (cobaya 3.6.2, planck-lite-py).
KEYS = {
    "TTTEEE": "cobaya_TTTEEE",
    "TT": "cobaya_TT",
    "TE": "cobaya_TE",
    "EE": "cobaya_EE",
    "TEEE": "cobaya_TEEE",
    "TTTE": "cobaya_TTTE",
    "TTTEEE + 2 bins": "plik_lite_TTTEEE+2lowTTbins",
    "TTTEEE L30-1000": "cobaya_TTTEEE_L30_1000",
    "TT 800-2508": "cobaya_TT_L800_2508",
    "lensing": "lensing_consext8_native",
    "lowE": "lowE_simall_cobaya",
    "TTTEEE at A=1": "cobaya_TTTEEE_A1",
    "lowE at A=1": "lowE_simall_Aplanck1",
}


def test_the_table_in_the_package_is_the_one_in_the_fixture(reference: dict[str, Any]) -> None:
    for name, row in identity.REFERENCE.items():
        assert identity.CALIBRATION[name] == reference[name]["A_planck"]
        params = reference[name]["params"]
        renamed = {"omega_b": "omegabh2", "omega_c": "omegach2", "theta_mc": "theta_MC_100", "n_s": "ns"}
        assert identity.POINTS[name] == {key: params[renamed.get(key, key)] for key in identity.POINTS[name]}
        assert row == pytest.approx({key: reference[name]["chi2"][value] for key, value in KEYS.items()}, abs=1e-9)


def test_the_spectra_in_the_package_are_those_of_the_fixture(stored_spectra: dict[str, Spectra]) -> None:
    for name, model in stored_spectra.items():
        shipped = identity.reference_spectra(name)
        assert all(np.array_equal(shipped[item], model[item]) for item in SPECTRA)


@pytest.mark.planck
def test_every_cell_on_the_real_files(planck_files: PlanckFiles, stored_spectra: dict[str, Spectra]) -> None:
    """Tolerance 1e-6 absolute on 39 cells: figures of two independent codes, see KEYS."""
    table = identity.compare(planck_files, stored_spectra)
    assert {(cell.spectrum, cell.selection) for cell in table.cells} == {(name, key) for name in identity.CALIBRATION for key in KEYS}
    for cell in table.cells:
        assert cell.found == pytest.approx(cell.expected, abs=1e-6), cell
    assert table.passed
    assert table.worst < 1e-6


@pytest.mark.planck
def test_self_test_recomputes_the_row_of_the_shipped_best_fit(planck_files: PlanckFiles) -> None:
    table = self_test(planck_files)
    assert table.passed
    assert len(table.cells) == len(KEYS)
    assert "13 cells" in str(table)
    assert "passed" in str(table)


def test_other_data_fail_the_table(lookalike: PlanckFiles, stored_spectra: dict[str, Spectra]) -> None:
    table = identity.compare(lookalike, {"bf_pol": stored_spectra["bf_pol"]})
    assert not table.passed
    assert "FAILED" in str(table)
