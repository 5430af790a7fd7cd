"""Files of fits and of extracted quantiles: read back to the bit, and damage is found."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sciinf.core.errors import DataError
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings, RaggedSample, UnitQuantiles, extract_quantiles
from sciinf.engines.r3d.simulate import dgp1

DECILES = tuple(k / 10 for k in range(1, 10))
DATA = dgp1(120, np.random.default_rng(1).integers(5, 60, 120), 1.0, np.random.default_rng(2))
LABELS = np.random.default_rng(3).permutation(1000)[:120]
SAMPLE = RaggedSample(DATA.outcomes.values, DATA.outcomes.offsets, np.random.default_rng(4).uniform(size=len(DATA.outcomes.values)), LABELS)


@pytest.mark.parametrize("text", [False, True])
def test_quantiles_file(tmp_path: Path, text: bool) -> None:
    labels = np.array([f"unité {label}" for label in LABELS]) if text else LABELS
    table = extract_quantiles([RaggedSample(SAMPLE.values, SAMPLE.offsets, SAMPLE.weights, labels)], DECILES)
    table.save(tmp_path / "table.h5")
    read = UnitQuantiles.load(tmp_path / "table.h5")
    for name in ("labels", "q_grid", "quantiles", "counts", "means", "weight_sums"):
        assert_array_equal(getattr(read, name), getattr(table, name))
    assert (read.rule, read.input_hash) == (table.rule, table.input_hash)
    assert len(read.input_hash or "") == 64
    assert [path.name for path in tmp_path.iterdir()] == ["table.h5"]


def fits() -> dict[str, R3DResults]:
    chosen = R3DSettings(q_grid=DECILES)
    simple = R3DSettings(q_grid=DECILES, method="simple", p=1)
    share = np.where(np.random.default_rng(5).uniform(size=120) < 0.15, 1.0 - (DATA.x >= 0), 1.0 * (DATA.x >= 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "sharp": R3D(DATA.x, SAMPLE, labels=LABELS, settings=chosen).fit(),
            "fuzzy": R3D(DATA.x, SAMPLE, labels=LABELS, treatment=share, settings=chosen).fit(),
            "comply": R3D(DATA.x, SAMPLE, labels=LABELS, treatment=1.0 * (DATA.x >= 0), settings=chosen).fit(0.7),
            "levels": R3D(DATA.x, SAMPLE, labels=LABELS, cluster=np.arange(120) // 4, settings=simple).fit("mse"),
        }


@pytest.mark.parametrize("name", ["sharp", "fuzzy", "comply", "levels"])
def test_results_file(tmp_path: Path, name: str) -> None:
    fit = fits()[name]
    fit.save(tmp_path / "fit.h5")
    read = R3DResults.load(tmp_path / "fit.h5")
    assert read.summary() == fit.summary()
    assert_array_equal(read.cov_params(), fit.cov_params())
    assert_array_equal(read.conf_band(n_draws=99).lower, fit.conf_band(n_draws=99).lower)
    assert_array_equal(read.running_variable, DATA.x)
    assert_array_equal(read.sizes, SAMPLE.sizes)
    assert read.gini_test(n_draws=99).ci == fit.gini_test(n_draws=99).ci
    assert read.settings == fit.settings
    for item in ("h", "pilot", "bias_plus", "regularisation"):
        assert_array_equal(getattr(read.bandwidth_info, item), getattr(fit.bandwidth_info, item))
    assert (read.first_stage_t, read.denominator, read.n_eff, read.notes) == (fit.first_stage_t, fit.denominator, fit.n_eff, fit.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read.to_engine(q=(0.3, 0.6)).fingerprint() == fit.to_engine(q=(0.3, 0.6)).fingerprint()


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "fit.h5"
    with pytest.raises(DataError, match=r"fit.h5: cannot be read"):
        R3DResults.load(path)
    fit = fits()["sharp"]
    fit.save(path)
    with pytest.raises(DataError, match="expected 'sciinf-r3d-quantiles'"):
        UnitQuantiles.load(path)
    with h5py.File(path, "r+") as file:
        file["arrays/plus"][3] += 1e-9
    with pytest.raises(DataError, match="does not match its hash"):
        R3DResults.load(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="cannot be read"):
        R3DResults.load(path)
    with pytest.raises(DataError, match="folder does not exist"):
        fit.save(tmp_path / "nowhere" / "fit.h5")
