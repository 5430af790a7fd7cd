from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sciinf.core.errors import ConvergenceError, DataError, MissingDependencyError
from sciinf.engines.cmb import fitting, theory, training
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.emulator import EmulatorTheory, EmulatorWeights, read_weights, shipped_weights, write_weights
from sciinf.engines.cmb.fitting import Limits, PointSet, assess, distances, fit, monomial_powers, passes
from sciinf.engines.cmb.lcdm import LCDM_BOX
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.theory import PARAMETERS, CAMBSettings

needs_camb = pytest.mark.skipif(importlib.util.find_spec("camb") is None, reason='needs CAMB: pip install "sciinf[cmb]"')
SETTINGS = CAMBSettings()
QUIET = Console(quiet=True)

GOLDEN_KEY = "e976d2c10080e39b01e67c14f9eb42d8b13423b07840e9c57152110ef9b5f7ab"
GOLDEN_FIRST = {
    "train_box": 0.021312307,
    "train_ell": 0.022403092,
    "val_box": 0.021117245,
    "val_ell": 0.022953684,
    "test_box": 0.024601466,
    "test_ell": 0.022450542,
}


def covariance() -> np.ndarray:
    return np.array(shipped_weights().header["ellipsoid"]["covariance"])


def emulated(points: np.ndarray) -> PointSet:
    """Spectra of the shipped emulator, standing in for CAMB: an exact answer exists and costs nothing."""
    emulator = EmulatorTheory()
    batch = emulator.spectra_many(points)
    return PointSet(points, {name: batch[name] for name in ("TT", "TE", "EE", "PP")}, emulator.derived_many(points))


@pytest.fixture(scope="module")
def small_sets() -> dict[str, PointSet]:
    return {name: emulated(values[: 100 if name.startswith("train") else 12]) for name, values in training.design(covariance()).items()}


@pytest.fixture(scope="module")
def centre() -> PointSet:
    return emulated(training.MEAN[None, :])


def write_run(cache: Path, points: np.ndarray) -> None:
    """Cache files as a CAMB run would leave them."""
    cache.mkdir(exist_ok=True)
    data, version = emulated(points), importlib.metadata.version("camb")
    for i, point in enumerate(points):
        name = training.cache_key(point, SETTINGS, version)
        arrays = {key.lower(): values[i] for key, values in data.spectra.items()}
        np.savez(cache / f"{name}.npz", point=point, derived=data.derived[i], **arrays)


def test_cache_key_is_stable() -> None:
    # Key of the ellipsoid's centre in the cache that the shipped weights were trained from.
    assert training.cache_key(training.MEAN, SETTINGS, "2.0.5") == GOLDEN_KEY
    assert training.cache_key(training.MEAN, replace(SETTINGS, lens_potential_accuracy=2.0), "2.0.5") != GOLDEN_KEY
    assert training.cache_key(training.MEAN, SETTINGS, "2.0.6") != GOLDEN_KEY
    moved = training.MEAN.copy()
    moved[0] += 1e-9
    assert training.cache_key(moved, SETTINGS, "2.0.5") != GOLDEN_KEY


def test_design_is_the_one_that_the_shipped_weights_used() -> None:
    sets = training.design(covariance())
    assert {name: len(points) for name, points in sets.items()} == {
        "train_box": 300, "train_ell": 300, "val_box": 50, "val_ell": 50, "test_box": 50, "test_ell": 60,
    }  # fmt: skip
    low, high = np.array(list(LCDM_BOX.values())).T
    whole = np.concatenate(list(sets.values()))
    assert np.all((whole >= low) & (whole <= high))
    assert len(np.unique(whole, axis=0)) == len(whole) == 810
    assert np.array_equal(np.round(whole, 9), whole)
    inverse = np.linalg.inv(covariance())
    radius = {name: np.sqrt(np.einsum("ij,jk,ik->i", p - training.MEAN, inverse, p - training.MEAN)) for name, p in sets.items()}
    assert 4.5 < np.max(radius["train_ell"]) < 5.001
    assert 3.5 < np.max(radius["test_ell"]) < 4.001
    # First coordinates of the first points, as cached: scrambled Sobol of SciPy 1.17 with the seeds in the file.
    assert {name: float(points[0, 0]) for name, points in sets.items()} == GOLDEN_FIRST


def test_interleaved_order_grows_every_set_evenly() -> None:
    sets = {"a": np.arange(8.0)[:, None], "b": 100 + np.arange(4.0)[:, None]}
    order = [float(point[0]) for point in training._interleaved(sets)]
    assert sorted(order) == [*range(8), *range(100, 104)]
    assert sum(value >= 100 for value in order[:6]) == 2


def test_fisher_points_surround_the_centre() -> None:
    points = np.array(training.fisher_points())
    assert points.shape == (13, 6)
    assert np.allclose(points[1:].reshape(6, 2, 6).mean(axis=1), training.MEAN, rtol=1e-12)


@needs_camb
def test_ellipsoid_from_the_emulator_is_close_to_the_one_from_camb(tmp_path: Path, planck_files: PlanckFiles) -> None:
    write_run(tmp_path, np.array(training.fisher_points()))
    found = training.ellipsoid(tmp_path, planck_files.plik_lite(), SETTINGS)
    wanted = covariance()
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    assert np.max(np.abs(found - wanted) / scale) < 0.02
    # Specification, section 5: Fisher errors of TTTEEE with a prior of .0073 on tau; omega_b, omega_c, n_s, logA within 10 %.
    sigma = np.sqrt(np.diag(found))[[0, 1, 5, 4]]
    assert np.all(np.abs(sigma / [0.0001467, 0.001365, 0.00438, 0.01487] - 1.0) < 0.1)


@needs_camb
def test_load_checks_what_it_finds(tmp_path: Path) -> None:
    points = training.design(covariance())["test_ell"][:2]
    write_run(tmp_path, points)
    assert np.array_equal(training.load(tmp_path, points, SETTINGS).points, points)
    other = points[0] + 1e-3
    with pytest.raises(DataError, match="missing from the cache"):
        training.load(tmp_path, [other], SETTINGS)
    version = importlib.metadata.version("camb")
    first, wrong = (tmp_path / f"{training.cache_key(point, SETTINGS, version)}.npz" for point in (points[0], other))
    wrong.write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="holds the point"):
        training.load(tmp_path, [other], SETTINGS)


@needs_camb
def test_compute_resumes_and_leaves_no_part_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, float]] = []

    def fake(point: dict[str, float], settings: CAMBSettings) -> tuple[dict[str, np.ndarray], np.ndarray]:
        calls.append(point)
        if len(calls) == 2:
            raise RuntimeError("stopped")
        data = emulated(np.array([[point[name] for name in PARAMETERS]]))
        return {name.lower(): values[0] for name, values in data.spectra.items()}, data.derived[0]

    monkeypatch.setattr(training, "camb_point", fake)
    monkeypatch.setattr(training, "ProcessPoolExecutor", lambda n, **_: ThreadPoolExecutor(1))
    points = list(training.design(covariance())["val_ell"][:3])
    with pytest.raises(RuntimeError, match="stopped"):
        training.compute_all(tmp_path, points, SETTINGS, 1, QUIET)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert 1 <= len(kept) <= 2
    assert all(name.endswith(".npz") and not name.startswith(".") for name in kept)
    n_calls = len(calls)
    training.compute_all(tmp_path, points, SETTINGS, 1, QUIET)
    assert len(calls) == n_calls + 3 - len(kept)
    training.compute_all(tmp_path, points, SETTINGS, 1, QUIET)
    assert len(calls) == n_calls + 3 - len(kept)
    loaded = training.load(tmp_path, points, SETTINGS)
    assert np.array_equal(loaded.spectra["EE"], emulated(np.array(points)).spectra["EE"])


@pytest.mark.parametrize(("degree", "n_full"), [(2, 28), (3, 84), (4, 210)])
def test_monomials(degree: int, n_full: int) -> None:
    powers, n = monomial_powers(degree)
    assert n == n_full
    assert np.all(powers[:n].sum(axis=1) <= degree)
    assert len({tuple(row) for row in powers.tolist()}) == len(powers)
    extra = powers[n:]
    assert not np.any(extra[:, PARAMETERS.index("logA")])
    assert np.max(powers[:, PARAMETERS.index("tau")]) == 5
    weights = EmulatorWeights(
        shipped_weights().header, {**shipped_weights().arrays, "powers": powers, "derived": np.zeros((len(powers), 2))}
    )
    parents = weights.parents
    for t in range(1, len(powers)):
        assert parents[0, t] < t
        assert np.array_equal(powers[t] - powers[parents[0, t]], np.eye(6)[parents[1, t]])


def test_fit_recovers_an_emulator(small_sets: dict[str, PointSet], centre: PointSet, components: dict[str, Component]) -> None:
    """Spectra that are quadratic are fitted to single precision: a missed factor or an exchanged axis could not hide."""
    high_l = components["plik_lite"]
    assert isinstance(high_l, PlikLite)
    data = PointSet.join([small_sets["train_box"], small_sets["train_ell"]])
    weights = fit(2, data, distances(high_l, data, centre), centre, LCDM_BOX, {"settings": SETTINGS.describe()})
    errors = assess(weights, small_sets, list(components.values()), 600.0, Limits())
    for name, numbers in errors.items():
        # Single-precision storage and 24 of 27 principal components: 1e-3 of chi2, of 600 to 60,000.
        assert numbers["median"] < 2e-3, name
        assert numbers["low_ee_max"] < 2e-3, name
        assert numbers["sigma8"] < 1e-6
        assert numbers["H0"] < 1e-9
    again = EmulatorTheory(weights=weights).spectra(training.MEAN)
    assert np.allclose(again["TT"], centre.spectra["TT"][0], rtol=1e-5)
    assert np.allclose(again["EE"], centre.spectra["EE"][0], rtol=1e-5)


def test_distances_are_those_of_the_binned_spectra(
    small_sets: dict[str, PointSet], centre: PointSet, components: dict[str, Component]
) -> None:
    high_l = components["plik_lite"]
    assert isinstance(high_l, PlikLite)
    found = distances(high_l, small_sets["val_ell"], centre)
    middle = high_l.core.model(centre.batch().row(0), 1.0)
    for i in range(3):
        shift = high_l.core.model(small_sets["val_ell"].batch().row(i), 1.0) - middle
        assert found[i] == pytest.approx(shift @ np.linalg.solve(high_l.covariance, shift), rel=1e-6)
    assert distances(high_l, centre, centre)[0] == 0.0
    assert np.median(found) < 60 < np.median(distances(high_l, small_sets["val_box"], centre))


def test_same_input_same_bytes(small_sets: dict[str, PointSet], centre: PointSet, components: dict[str, Component], tmp_path: Path) -> None:
    files = []
    for name in ("a.npz", "b.npz"):
        weights, _ = training.train(small_sets, centre, list(components.values()), covariance(), SETTINGS)
        write_weights(tmp_path / name, weights)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    header = read_weights(tmp_path / "a.npz").header
    assert header["degree"] == 2
    assert set(header["errors"]) == {"chi2_best", "validation", "test"}
    assert header["seeds"] == training.SEEDS
    assert header["settings"] == SETTINGS.describe()


def test_no_degree_is_good_enough(
    small_sets: dict[str, PointSet], centre: PointSet, components: dict[str, Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "DEGREES", (1, 2))
    with pytest.raises(ConvergenceError, match="no degree of"):
        training.train(small_sets, centre, list(components.values()), covariance(), SETTINGS, Limits(ellipsoid_max=1e-9))


def test_a_lower_degree_is_refused_and_the_next_taken(
    small_sets: dict[str, PointSet], centre: PointSet, components: dict[str, Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "DEGREES", (1, 2))
    weights, tried = training.train(small_sets, centre, list(components.values()), covariance(), SETTINGS)
    assert weights.header["degree"] == 2
    assert list(tried) == [1, 2]
    assert tried[1]["val_box"]["share_of_allowance"] > 1.0


def test_passes_needs_every_limit() -> None:
    inside = {"max": 0.1, "median": 0.02, "low_ee_max": 0.05}
    outside = {"share_of_allowance": 0.5, "low_ee_share": 0.5}
    assert passes(inside, outside, Limits())
    for key, value in (("max", 0.16), ("median", 0.031), ("low_ee_max", 0.11)):
        assert not passes({**inside, key: value}, outside, Limits())
    for key in outside:
        assert not passes(inside, {**outside, key: 1.01}, Limits())
        assert not passes(inside, {**outside, key: float("nan")}, Limits())


@needs_camb
def test_the_command_from_a_full_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lookalike: PlanckFiles) -> None:
    sizes = {"N_TRAINING": 40, "N_VALIDATION": 5, "N_TEST_BOX": 5, "N_TEST_ELLIPSOID": 6}
    for name, size in sizes.items():
        monkeypatch.setattr(training, name, size)
    components = (lookalike.plik_lite(), lookalike.low_tt_bins(), lookalike.lensing(), lookalike.low_ee())
    monkeypatch.setattr(training, "planck_components", lambda folder: components)
    cache = tmp_path / "cache"
    write_run(cache, np.array(training.fisher_points()))
    ellipsoid = training.ellipsoid(cache, components[0], SETTINGS)
    write_run(cache, np.concatenate(list(training.design(ellipsoid).values())))
    training.main(["--cache", str(cache), "--output", str(tmp_path / "w.npz"), "--workers", "1"])
    weights = read_weights(tmp_path / "w.npz")
    assert weights.header["n_training"] == 80
    assert weights.header["errors"]["test"]["test_ell"]["n"] == 6
    assert EmulatorTheory(weights=weights).domain() == LCDM_BOX


def test_the_command_without_camb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(theory.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"sciinf\[cmb\]"):
        training.main(["--cache", str(tmp_path)])


def test_default_cache_lies_outside_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert training.default_cache() == tmp_path / "sciinf" / "cmb-training"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Path(fitting.__file__).parent not in training.default_cache().parents


def test_nothing_imports_the_training() -> None:
    code = (
        "import sys, sciinf.engines.cmb as cmb; cmb.EmulatorTheory();"
        "assert not [m for m in sys.modules if m.endswith(('cmb.training', 'cmb.fitting')) or m == 'camb' or m.startswith('rich')]"
    )
    result: Any = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
