"""From TOML tables to the engine: what is read, and what is refused."""

from __future__ import annotations

import gzip
import inspect
import re
import tomllib
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.text_columns import read_columns
from sciinf.engines.r3d import R3D, FrameColumns, R3DSettings
from sciinf.engines.r3d.effect_statistic import COARSE
from sciinf.engines.r3d.presets import (
    _COLUMNS,
    _EFFECT,
    _FILES,
    _FIT,
    _SETTINGS,
    TEMPLATE,
    fit_from_config,
    from_config,
    input_files,
)
from sciinf.engines.r3d.simulate import dgp1

DECILES = [k / 10 for k in range(1, 10)]
DATA = dgp1(150, 30, 1.0, np.random.default_rng(3))
pytestmark = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unit = np.repeat(np.arange(150), 30)
    lines = [f"u{i},{z!r},{1 + i % 3}" for i, z in zip(unit, DATA.outcomes.values.tolist(), strict=True)]
    (tmp_path / "obs.csv.gz").write_bytes(gzip.compress(("unit,z,w\n" + "\n".join(lines) + "\n").encode()))
    rows = [f"u{i},{x!r},{1.0 * (x >= 0)},{i // 2}" for i, x in enumerate(DATA.x.tolist())]
    (tmp_path / "units.csv").write_text("unit,x,t,g\n" + "\n".join(rows) + "\n")
    return tmp_path


def table(**change: Any) -> dict[str, Any]:
    base = {
        "data": {"observations": "obs.csv.gz", "units": "units.csv"},
        "fit": {"bandwidth": 0.6, "q_grid": DECILES},
        "effect": {"model": "shift", "q": [0.3, 0.5, 0.7]},
    }
    return {name: base[name] | change.get(name, {}) for name in base}


def test_tables_are_the_model(folder: Path) -> None:
    engine = from_config(table(), base=folder, data={})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = R3D(DATA.x, DATA.outcomes, settings=R3DSettings(q_grid=tuple(DECILES))).fit(0.6).to_engine("shift", q=(0.3, 0.5, 0.7))
    # not the same bytes: labels as text sort u0, u1, u10, and sums over units run in that order
    assert np.allclose(engine.statistic, direct.statistic, rtol=1e-12)
    assert engine.fit is not None
    assert np.allclose(engine.covariance, direct.covariance, rtol=1e-10)


def test_every_key(folder: Path) -> None:
    full = table(
        data={"cutoff": 0.01, "unit": "unit", "value": "z", "running_variable": "x", "treatment": "t", "weight": "w", "cluster": "g"},
        fit={"bandwidth": "rot", "bandwidth_den": 0.5, "cov_type": "CR1", "method": "simple", "p": 1, "s": 0, "kernel": "uniform",
             "quantile_rule": "inverted_cdf", "projection_weights": "equal"},
    )  # fmt: skip
    fit = fit_from_config(full, base=folder, data={})
    assert (fit.cov_type, fit.cutoff, fit.bandwidth_info.rule, fit.bandwidth_info.h_den) == ("CR1", 0.01, "rot", 0.5)
    engine = from_config(table(effect={"model": "tilt", "q": None, "n_components": 2, "nu": 12.0, "cov_type": "HC0"}), base=folder, data={})
    assert (engine.nu, len(engine.statistic), engine.parameters) == (12.0, 2, ("delta", "kappa"))
    bare = table()
    bare["effect"] = {"model": "shift", "n_components": 1}
    assert len(from_config(bare, base=folder, data={}).statistic) == 1


def test_a_stored_fit(folder: Path) -> None:
    made = fit_from_config(table(), base=folder, data={})
    made.save(folder / "fit.h5")
    stored = {"data": {"results": "fit.h5"}, "effect": table()["effect"]}
    assert from_config(stored, base=folder, data={}).fingerprint() == from_config(table(), base=folder, data={}).fingerprint()
    with pytest.raises(ConfigError, match=r"leave out cutoff, \[engine.fit\]"):
        from_config({"data": {"results": "fit.h5", "cutoff": 0.0}, "fit": {}}, base=folder, data={})
    with pytest.raises(ConfigError, match=r"leave out units"):  # also where it is given on the command line
        from_config({"data": {"results": "fit.h5"}}, base=folder, data={"units": folder / "units.csv"})
    with pytest.raises(ConfigError, match=r"leave out observations, units"):
        from_config({"data": table()["data"]}, base=folder, data={"results": folder / "fit.h5"})


def test_input_files(folder: Path) -> None:
    found = input_files(table(), base=folder, data={"units": folder / "other.csv"})
    assert found == {"observations": folder / "obs.csv.gz", "units": folder / "other.csv"}
    with pytest.raises(ConfigError, match=r"--data unit: did you mean 'units'"):
        input_files(table(), base=folder, data={"unit": folder})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": {"unitz": "x"}}, ConfigError, r"\[engine.data\] has an unknown key 'unitz'"),
        ({"fit": {"bandwith": 0.5}}, ConfigError, "'bandwith': did you mean 'bandwidth'"),
        ({"effect": {"modle": "shift"}}, ConfigError, "did you mean 'model'"),
        ({"data": {"units": 3}}, ConfigError, "units must be a path"),
        ({"data": {"units": "none.csv"}}, DataError, "none.csv: no such file"),
        ({"data": {"value": "y"}}, ConfigError, r"obs.csv.gz has no column 'y' \(value\)"),
        ({"data": {"running_variable": "unit"}}, DataError, "units.csv, line 2: unit must be a number, got 'u0'"),
        ({"data": {"cutoff": "0"}}, ConfigError, "cutoff must be a finite number"),
        ({"fit": {"regularise": 1}}, ConfigError, "regularise must be true or false"),
        ({"fit": {"q_grid": 0.5}}, ConfigError, "q_grid must be numbers"),
        ({"effect": {"q": [0.33]}}, ConfigError, "not among them: 0.33"),
        ({"effect": {"q": "all"}}, ConfigError, "q must be levels"),
    ],
)
def test_refused(folder: Path, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_config(table(**change), base=folder, data={})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"unit,x\nu0,1\nu1\n", "line 3: 1 fields, the header has 2"),
        (b"unit,x\nu0,nan\n", "line 2: x must be finite"),
        (b"unit,x\nu0,\n", "line 2: x must be a number"),
        (b"\x1f\x8bgarbage", "cannot be read"),
        (b"unit,x\n\xff\xfe\n", "cannot be read"),
        (b"", "no column 'unit'"),
    ],
)
def test_bad_files(folder: Path, content: bytes, message: str) -> None:
    (folder / "units.csv").write_bytes(content)
    with pytest.raises((DataError, ConfigError), match=message):
        from_config(table(), base=folder, data={})


def test_the_template_is_every_key_and_its_default() -> None:
    """Uncommented, line by line, it holds all keys that are read and no other, and what it shows as a default is the default."""
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines() if line.startswith(("[", "# ")) or " = " in line]
    text = "\n".join(line for line in lines if line.startswith("[") or re.match(r"[a-z_]+ = ", line))
    read = tomllib.loads(text)
    engine = read["engine"]
    assert set(engine["data"]) == {*_FILES, *_COLUMNS, "cutoff"}
    assert set(engine["fit"]) == {*_SETTINGS, *_FIT}
    assert set(engine["effect"]) == set(_EFFECT)
    defaults = {item.name: item.default for item in fields(R3DSettings)}
    for key in ("method", "p", "s", "kernel", "quantile_rule", "projection_weights"):
        assert engine["fit"][key] == defaults[key]
    columns = {item.name: item.default for item in fields(FrameColumns)}
    for key in ("unit", "value", "running_variable"):
        assert engine["data"][key] == columns[key]
    signature = inspect.signature(R3D.fit).parameters
    for key in ("bandwidth", "regularise", "coverage_rule"):
        assert engine["fit"][key] == signature[key].default
    assert tuple(engine["effect"]["q"]) == COARSE


def test_a_stored_fit_beside_data_from_the_command_line(folder: Path) -> None:
    fit_from_config(table(), base=folder, data={}).save(folder / "fit.h5")
    with pytest.raises(ConfigError, match="results is a fit that is made: leave out observations"):
        from_config({"data": {"results": "fit.h5"}}, base=folder, data={"observations": folder / "obs.csv.gz"})


@pytest.mark.parametrize(
    ("written", "kind", "read"),
    [
        (["1", "20", "-3"], "i", [1, 20, -3]),
        (["01", "1"], "U", ["01", "1"]),  # as of counties: two of them
        (["1_000", "1000"], "U", ["1_000", "1000"]),
        (["+1", "1"], "U", ["+1", "1"]),
        (["1", "99999999999999999999"], "U", ["1", "99999999999999999999"]),
    ],
)
def test_labels_are_what_is_written(tmp_path: Path, written: list[str], kind: str, read: list[Any]) -> None:
    (tmp_path / "units.csv").write_text("unit\n" + "".join(f"{field}\n" for field in written))
    found = read_columns(tmp_path / "units.csv", {"unit": "unit"}, ("unit",))["unit"]
    assert (found.dtype.kind, found.tolist()) == (kind, read)


def test_a_label_with_a_zero_in_one_file_only(folder: Path) -> None:
    """Units 10, 11, ... in the observations, and one more, "09", in the table of units: it has no observation, the others match."""
    for name, columns in (("obs.csv.gz", "unit,z"), ("units.csv", "unit,x")):
        labels = [*range(10, 22)] * (5 if "z" in columns else 1)
        rows = "".join(f"{label},{(label * 7 % 12) / 6 - 0.9}\n" for label in labels)
        (folder / name).write_text(f"{columns}\n{rows}" + ("09,0.5\n" if "x" in columns else ""))
    with pytest.raises(DataError, match="units of the table of units without any observation: 09"):
        fit_from_config(table(), base=folder, data={})
