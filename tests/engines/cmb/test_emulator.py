from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.cmb import emulator_kernels as kernels
from sciinf.engines.cmb.component import A_PLANCK
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.emulator import EmulatorTheory, EmulatorWeights, read_weights, shipped_weights, write_weights
from sciinf.engines.cmb.lcdm import LCDM_BOX
from sciinf.engines.cmb.spectra import Spectra
from sciinf.engines.cmb.theory import PARAMETERS, Theory

CENTRE = np.array([0.02236, 0.1202, 1.0409, 0.0544, 3.045, 0.9649])
NAMES = {"omega_b": "omegabh2", "omega_c": "omegach2", "theta_mc": "theta_MC_100", "tau": "tau", "logA": "logA", "n_s": "ns"}
WEIGHTS_FILE = Path(kernels.__file__).parent / "weights" / "lcdm.npz"


def box_points(n: int, seed: int) -> np.ndarray:
    low, high = np.array(list(LCDM_BOX.values())).T
    return low + (high - low) * np.random.default_rng(seed).random((n, 6))


def twin(weights: EmulatorWeights, point: np.ndarray) -> dict[str, np.ndarray]:
    """The spectra in plain NumPy, from the file's definition."""
    header, u = weights.header, []
    for name, value in zip(PARAMETERS, point, strict=True):
        change = np.log if header["coordinates"][name] == "log" else float
        low, high = (change(edge) for edge in header["domain"][name])
        u.append(2.0 * (change(value) - low) / (high - low) - 1.0)
    phi = np.prod(np.array(u) ** weights.arrays["powers"].astype(float), axis=1)
    tau, log_a = point[3], point[4]
    found = {}
    for block in kernels.BLOCK_ORDER:
        mean, basis, coefficients = (weights.arrays[f"{part}_{block}"].astype(np.float64) for part in ("mean", "basis", "coefficients"))
        curve = mean + (phi[: len(coefficients)] @ coefficients) @ basis
        if block == "EE_low":
            curve = 1e-10 * np.exp(log_a + curve)
        elif block == "PP":
            curve = 1e-10 * np.exp(log_a) * curve
        else:
            curve = 1e-10 * np.exp(log_a - 2.0 * tau) * curve
        found[block] = np.concatenate([np.zeros(header["first_l"][block]), curve])
    low = found.pop("EE_low")
    found["EE"][: len(low)] += low
    return found


def test_is_a_theory_with_the_specified_reach_and_box() -> None:
    theory = EmulatorTheory()
    assert isinstance(theory, Theory)
    assert theory.parameters == PARAMETERS
    assert theory.l_max == {"TT": 2508, "TE": 2508, "EE": 2508, "BB": 29, "PP": 2500}
    assert theory.domain() == LCDM_BOX
    assert theory.spectra(CENTRE).l_max == theory.l_max
    assert not np.any(theory.spectra(CENTRE)["BB"])


def test_spectra_equal_the_numpy_twin() -> None:
    theory = EmulatorTheory()
    for point in box_points(5, seed=1):
        wanted, found = twin(theory.weights, point), theory.spectra(point)
        for name, values in wanted.items():
            assert np.allclose(found[name], values, rtol=0, atol=1e-12 * np.max(np.abs(values)))


def test_stored_spectra_within_a_small_part_of_planck_errors(stored_spectra: dict[str, Spectra], reference: dict[str, Any]) -> None:
    """Without data: whitened by cosmic variance and Planck-like noise, the distance is far below one."""
    theory, arcmin = EmulatorTheory(), np.pi / 10800
    ell = np.arange(2, 2001)
    beam = np.exp(ell * (ell + 1) * (7.0 * arcmin) ** 2 / (8 * np.log(2))) * ell * (ell + 1) / (2 * np.pi)
    for name, stored in stored_spectra.items():
        found = theory.spectra(np.array([reference[name]["params"][NAMES[item]] for item in PARAMETERS]))
        for spectrum, noise in (("TT", 33.0), ("EE", 70.0)):  # white noise, muK arcmin
            sigma = (stored[spectrum][2:2001] + (noise * arcmin) ** 2 * beam) * np.sqrt(2.0 / (2.0 * ell + 1.0))
            distance = np.sqrt(np.sum(((found[spectrum][2:2001] - stored[spectrum][2:2001]) / sigma) ** 2))
            # A tenth of a standard deviation over all multipoles together: a choice; measured .02 to .05.
            assert distance < 0.1
            assert distance > 1e-4  # a control: the stored spectra are not the emulator's own


@pytest.mark.planck
def test_delta_chi2_on_the_stored_spectra(planck_files: PlanckFiles, stored_spectra: dict[str, Spectra], reference: dict[str, Any]) -> None:
    # Section 5 of the specification: < 0.15; lowE linear < 0.1.
    theory, one = EmulatorTheory(), {A_PLANCK: 1.0}
    gaussian = (planck_files.plik_lite(), planck_files.low_tt_bins(), planck_files.lensing())
    low = planck_files.low_ee().smooth()
    for name, stored in stored_spectra.items():
        found = theory.spectra(np.array([reference[name]["params"][NAMES[item]] for item in PARAMETERS]))
        assert abs(sum(part.chi2(found, one) - part.chi2(stored, one) for part in gaussian)) < 0.15
        assert abs(low.chi2(found, one) - low.chi2(stored, one)) < 0.1


def test_the_file_reports_errors_within_section_five() -> None:
    header = shipped_weights().header
    inside, outside = header["errors"]["test"]["test_ell"], header["errors"]["test"]["test_box"]
    assert inside["n"] >= 50
    assert inside["max"] < 0.15
    assert inside["median"] < 0.03
    assert inside["low_ee_max"] < 0.1
    assert outside["share_of_allowance"] < 1.0
    assert outside["low_ee_share"] < 1.0
    assert header["degree"] == 2
    assert {"settings", "versions", "seeds", "ellipsoid", "domain", "n_training"} <= set(header)
    assert header["n_training"] == 600
    assert np.shape(header["ellipsoid"]["covariance"]) == (6, 6)
    assert header["versions"]["camb"] == "2.0.5"


def test_file_is_small_and_single_precision() -> None:
    assert WEIGHTS_FILE.stat().st_size < 2_000_000
    arrays = shipped_weights().arrays
    assert all(arrays[f"{part}_{block}"].dtype == np.float32 for part in ("mean", "basis", "coefficients") for block in kernels.BLOCK_ORDER)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    theory, points = EmulatorTheory(), box_points(12, seed=2)
    whole = theory.spectra_many(points)
    order = np.random.default_rng(3).permutation(12)
    shuffled = theory.spectra_many(points[order])
    for name in ("TT", "TE", "EE", "PP"):
        assert np.array_equal(whole[name][order], shuffled[name])
        assert np.array_equal(whole[name], [theory.spectra(point)[name] for point in points])


def test_outside_the_box_is_nan_and_explained() -> None:
    theory = EmulatorTheory()
    points = np.array([CENTRE, CENTRE, CENTRE, CENTRE])
    points[1, 3], points[2, 0], points[3, 5] = 0.2, np.nan, np.inf
    batch = theory.spectra_many(points)
    assert np.all(np.isfinite(batch["TT"][0]))
    for name in ("TT", "TE", "EE", "PP"):
        assert np.all(np.isnan(batch[name][1:, 2:]))
        assert np.all(batch[name][:, :2] == 0.0)
    assert theory.explain(CENTRE) == []
    assert theory.explain(points[1]) == ["theory: tau = 0.2 is outside the emulator's range [0.01, 0.12]"]


def test_edges_of_the_box_are_inside() -> None:
    low, high = np.array(list(LCDM_BOX.values())).T
    assert np.all(np.isfinite(EmulatorTheory().spectra_many(np.array([low, high]))["EE"]))


def test_sampling_h0() -> None:
    theory, by_h0 = EmulatorTheory(), EmulatorTheory("H0")
    derived = theory.derived_many(CENTRE[None, :])
    point = CENTRE.copy()
    point[2] = derived[0, 0]
    assert derived[0, 0] == pytest.approx(67.25500565, abs=2e-3)  # CAMB's H0 at this point, specification section 5
    assert np.allclose(by_h0.spectra(point)["TT"], theory.spectra(CENTRE)["TT"], rtol=1e-11)
    assert by_h0.derived_names == ("theta_mc", "sigma8", "Omega_m", "age")
    assert by_h0.derived_many(point[None, :])[0] == pytest.approx([1.0409, *derived[0, 1:]], rel=1e-11)
    assert "theta_mc" not in by_h0.domain()
    assert "H0" not in by_h0.domain()
    point[2] = 75.0
    assert by_h0.explain(point)[0].startswith("theory: theta_mc = 1.06355 is outside")
    assert np.isnan(by_h0.spectra(point)["TT"][2])
    point[2] = -1.0
    assert by_h0.explain(point) == ["theory: no such universe"]


def test_derived_parameters() -> None:
    h0, sigma8, omega_m, age = EmulatorTheory().derived_many(CENTRE[None, :])[0]
    # Planck 2018 VI, table 2 (TTTEEE + lowE means): sigma8 .8120, age 13.800 Gyr; Omega_m by its definition with omega_nu = .000645.
    assert sigma8 == pytest.approx(0.812, abs=0.002)
    assert age == pytest.approx(13.800, abs=0.01)
    assert omega_m == pytest.approx((0.02236 + 0.1202 + 0.000645) / (h0 / 100) ** 2, rel=1e-5)
    errors = shipped_weights().header["errors"]["test"]["test_ell"]
    assert errors["sigma8"] < 1e-4
    assert errors["age"] < 1e-3
    assert errors["H0"] < 2e-3


def test_derived_rows_do_not_depend_on_their_neighbours() -> None:
    theory, points = EmulatorTheory(), box_points(40, seed=4)
    assert np.array_equal(theory.derived_many(points), np.concatenate([theory.derived_many(point[None, :]) for point in points]))


def test_pickle_and_fingerprint() -> None:
    theory = EmulatorTheory()
    payload = pickle.dumps(theory)
    assert len(payload) < 1_000_000
    again = pickle.loads(payload)
    assert again.fingerprint() == theory.fingerprint()
    assert np.array_equal(again.spectra(CENTRE)["TT"], theory.spectra(CENTRE)["TT"])
    assert EmulatorTheory("H0").fingerprint() != theory.fingerprint()


def test_wrong_shape_and_scale() -> None:
    with pytest.raises(ConfigError, match="omega_b, omega_c, theta_mc"):
        EmulatorTheory().spectra_many(np.zeros((2, 7)))
    with pytest.raises(ConfigError, match="theta_mc"):
        EmulatorTheory("theta")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"what read_weights\(path\) returns, got str"):
        EmulatorTheory(weights="weights.npz")  # type: ignore[arg-type]


def test_writing_gives_the_same_bytes(tmp_path: Path) -> None:
    weights = shipped_weights()
    write_weights(tmp_path / "a.npz", weights)
    write_weights(tmp_path / "b.npz", read_weights(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == WEIGHTS_FILE.read_bytes()


def rewritten(path: Path, **members: np.ndarray) -> Path:
    """The shipped file with some members replaced, and nothing else."""
    with np.load(WEIGHTS_FILE) as archive:
        contents = {name: archive[name] for name in archive.files}
    contents.update(members)
    np.savez(path, **contents)  # type: ignore[arg-type]
    return path


def test_an_altered_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    basis = shipped_weights().arrays["basis_TT"].copy()
    basis[0, 0] = np.nextafter(basis[0, 0], np.float32(np.inf))
    with pytest.raises(DataError, match=rf"expected sha256 {shipped_weights().sha256}, found [0-9a-f]{{64}}"):
        read_weights(rewritten(tmp_path / "w.npz", basis_TT=basis))
    header = {**shipped_weights().header, "degree": 3}
    with pytest.raises(DataError, match="altered"):
        read_weights(rewritten(tmp_path / "w.npz", header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)))


def test_other_versions_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"format version 99, this package reads version 1 \(sha256 in the file {shipped_weights().sha256}"
    ):
        read_weights(rewritten(tmp_path / "w.npz", format_version=np.array(99)))
    with pytest.raises(DataError, match="header is damaged"):
        read_weights(rewritten(tmp_path / "w.npz", header=np.frombuffer(b"{", dtype=np.uint8)))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="missing: header"):
        read_weights(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("not a zip file")
    with pytest.raises(DataError, match="not a readable weights file"):
        read_weights(tmp_path / "text.npz")
    with pytest.raises(DataError, match="not a readable weights file"):
        read_weights(tmp_path / "absent.npz")
    truncated = WEIGHTS_FILE.read_bytes()[:5000]
    (tmp_path / "cut.npz").write_bytes(truncated)
    with pytest.raises(DataError, match="not a readable weights file"):
        read_weights(tmp_path / "cut.npz")


def test_weights_that_do_not_fit() -> None:
    good = shipped_weights()
    with pytest.raises(DataError, match="arrays missing: powers"):
        EmulatorWeights(good.header, {})
    with pytest.raises(DataError, match="header keys missing: domain"):
        EmulatorWeights({key: value for key, value in good.header.items() if key != "domain"}, good.arrays)
    with pytest.raises(DataError, match="block TE"):
        EmulatorWeights(good.header, {**good.arrays, "mean_TE": good.arrays["mean_TE"][1:]})
    with pytest.raises(DataError, match="do not fit"):
        EmulatorWeights(good.header, {**good.arrays, "derived": good.arrays["derived"][1:]})
    powers = good.arrays["powers"].copy()
    powers[-1] = 9
    with pytest.raises(DataError, match="no earlier one"):
        _ = EmulatorWeights(good.header, {**good.arrays, "powers": powers}).parents
    powers = good.arrays["powers"][::-1].copy()
    with pytest.raises(DataError, match="first monomial"):
        _ = EmulatorWeights(good.header, {**good.arrays, "powers": powers}).parents


def test_members_carry_no_time(tmp_path: Path) -> None:
    with zipfile.ZipFile(WEIGHTS_FILE) as archive:
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
