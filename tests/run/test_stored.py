from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError, DataError, ResumeError
from sciinf.run.stored import StoredRun, open_run

Edit = Callable[[Path, str, str], None]


def change(folder: Path, **entries: object) -> StoredRun:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return open_run(folder)


def test_the_config_comes_back_with_its_base_and_seed(copied: Path) -> None:
    stored = change(copied / "runs" / "toy", seed=77)
    config, data = stored.config({})
    assert config.seed == 77  # the manifest's, which the command line may have set
    assert config.base == copied.resolve()
    assert data == {}
    assert config.settings.describe()["n_walkers"] == 48


def test_the_current_folder_and_the_runs_parent_are_searched(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied / "runs" / "toy"
    stored = change(folder, config={**json.loads((folder / "manifest.json").read_text())["config"], "folder": None})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ResumeError, match=r"input 'target' was sha256 [0-9a-f]{64}, is not found"):
        stored.config({})
    (copied / "toy_model.py").rename(elsewhere / "toy_model.py")
    assert stored.config({})[0].base == elsewhere.resolve()
    (elsewhere / "toy_model.py").rename(copied / "runs" / "toy_model.py")
    assert stored.config({})[0].base == (copied / "runs").resolve()


def test_a_changed_input_is_taken_by_force_only(copied: Path, edit: Edit) -> None:
    edit(copied / "toy_model.py", 'version="1"', 'version="2"')
    stored = open_run(copied / "runs" / "toy")
    with pytest.raises(ResumeError, match=r"is [0-9a-f]{64}\. Put it back, or give the right one with --data target=PATH"):
        stored.config({})
    assert stored.config({}, force=True)[0].base == copied.resolve()
    assert stored.config({"target": copied / "toy_model.py"}, force=True)


def test_an_absolute_folder_is_left_to_the_engine_unless_given(copied: Path) -> None:
    """A folder cannot be found by hash; the engine looks where it always looks, and its fingerprint decides."""
    stored = open_run(copied / "runs" / "toy")
    table = {"kind": "cmb", "data": {"folder": "<engine.data.folder sha256:" + "0" * 64 + ">", "other": "kept"}, "list": ["a", "b"]}
    assert stored._without_stand_ins(table, {}) == {"kind": "cmb", "data": {"other": "kept"}, "list": ["a", "b"]}
    found = {"folder": copied}
    assert stored._without_stand_ins(table, found)["data"]["folder"] == str(copied)


def test_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist"):
        open_run(tmp_path / "absent")
    with pytest.raises(DataError, match=r"is not a run directory: it has no manifest.json"):
        open_run(tmp_path)


def test_a_missing_copy_and_a_python_origin(copied: Path) -> None:
    stored = open_run(copied / "runs" / "toy")
    (copied / "runs" / "toy" / "config.toml").unlink()
    with pytest.raises(DataError, match=r"toy/config.toml: cannot be read"):
        stored.config({})
    with pytest.raises(ConfigError, match=r"was started from Python"):
        change(copied / "runs" / "toy", origin="python").config({})
