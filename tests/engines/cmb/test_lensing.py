"""Lensing: reference values through the identity table, a NumPy twin, what A_planck touches and what it does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sciinf.core.errors import DataError
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.lensing import Lensing
from sciinf.engines.cmb.spectra import Spectra

UNIT = {"A_planck": 1.0}


@pytest.fixture(scope="module")
def lensing(components: dict[str, Component]) -> Lensing:
    return components["lensing"]  # type: ignore[return-value]


def twin(part: Lensing, spectra: Spectra, y: float) -> float:
    """The published formula with dense arrays and an inverse."""
    data = part.data
    model = -data.fiducial + data.windows @ spectra["PP"][: data.windows.shape[1]]
    for name, window in data.corrections.items():
        model = model + window @ spectra[name][: window.shape[1]] / (1.0 if name == "PP" else y * y)
    residual = model - data.bandpowers
    return float(residual @ np.linalg.inv(data.covariance) @ residual)


@pytest.mark.parametrize("y", [1.0, 0.97, 1.05])
def test_equals_the_dense_twin(lensing: Lensing, fiducial: Spectra, y: float) -> None:
    assert lensing.chi2(fiducial, {"A_planck": y}) == pytest.approx(twin(lensing, fiducial, y), rel=1e-10)


@pytest.mark.planck
def test_equals_the_dense_twin_on_the_real_files(planck_files: PlanckFiles, stored_spectra: dict[str, Spectra]) -> None:
    part = planck_files.lensing()
    for model in stored_spectra.values():
        assert part.chi2(model, {"A_planck": 1.01}) == pytest.approx(twin(part, model, 1.01), rel=1e-10)


@pytest.mark.planck
def test_the_real_files_are_the_ones_described(planck_files: PlanckFiles) -> None:
    data = planck_files.lensing().data
    assert data.bandpowers[0] == pytest.approx(1.46960e-07)  # bandpowers.dat, column PP
    assert data.l_range.tolist()[0] == [8, 40]
    assert data.l_range.tolist()[-1] == [355, 400]
    used = np.flatnonzero(np.any(data.corrections["PP"] != 0.0, axis=0))
    assert used[:5].tolist() == [2, 12, 22, 32, 42]  # the weights already contain the step: nothing is interpolated
    assert len(used) < 60
    assert planck_files.lensing().requires["PP"][0] == 2


def test_pp_is_not_divided_by_the_calibration(lensing: Lensing, fiducial: Spectra) -> None:
    """With the CMB corrections absent, A_planck moves nothing; dividing PP (the negative control) moves chi2 by far more than 1e-9."""
    zero = {name: np.zeros_like(window) for name, window in lensing.data.corrections.items() if name != "PP"}
    data = dataclasses.replace(lensing.data, corrections={**lensing.data.corrections, **zero})
    part = Lensing(data)
    assert part.chi2(fiducial, {"A_planck": 1.05}) == part.chi2(fiducial, UNIT)
    divided = Spectra.unchecked({**{name: fiducial[name] for name in ("TT", "TE", "EE")}, "PP": fiducial["PP"] / 1.05**2})
    assert abs(part.chi2(divided, UNIT) - part.chi2(fiducial, UNIT)) > 0.1
    assert part.requires.keys() == {"PP"}


def test_the_correction_vanishes_at_the_fiducial_model(lensing: Lensing, fiducial: Spectra) -> None:
    """The look-alike's fiducial correction is that of its own fiducial spectra, so the model there is W PP alone."""
    model = lensing.predict(fiducial, UNIT)["lensing"]
    assert np.allclose(model, lensing.data.windows @ fiducial["PP"][: lensing.data.windows.shape[1]], rtol=1e-9)


def test_the_corrections_are_in_column_order_tt_ee_te_pp(lensing: Lensing, fiducial: Spectra) -> None:
    swapped = {**lensing.data.corrections, "EE": lensing.data.corrections["TE"], "TE": lensing.data.corrections["EE"]}
    other = Lensing(dataclasses.replace(lensing.data, corrections=swapped))
    moved = Spectra.unchecked({**{name: fiducial[name] for name in ("TT", "PP")}, "EE": 1.2 * fiducial["EE"], "TE": fiducial["TE"]})
    assert abs(other.chi2(moved, UNIT) - lensing.chi2(moved, UNIT)) > 1e-6


def test_with_data(lensing: Lensing, fiducial: Spectra) -> None:
    other = lensing.with_data(lensing.predict(fiducial, UNIT)["lensing"])
    assert other.chi2(fiducial, UNIT) == pytest.approx(0.0, abs=1e-20)
    assert other.fingerprint() != lensing.fingerprint()
    assert Lensing(other.data).chi2(fiducial, {"A_planck": 1.1}) == other.chi2(fiducial, {"A_planck": 1.1})


def test_refuses_data_that_do_not_fit(lensing: Lensing) -> None:
    data = lensing.data
    with pytest.raises(DataError, match="must hold TT, EE, TE, PP"):
        dataclasses.replace(data, corrections={"TT": data.corrections["TT"]})
    with pytest.raises(DataError, match=r"lensing fiducial must have shape \(9,\)"):
        dataclasses.replace(data, fiducial=data.fiducial[:3])
    with pytest.raises(DataError, match="9 bandpowers, but a covariance of 8"):
        Lensing(dataclasses.replace(data, covariance=data.covariance[:8, :8]))
    with pytest.raises(DataError, match="positive definite"):
        Lensing(dataclasses.replace(data, covariance=-data.covariance))
