from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.run import function_kind
from sciinf.run.engines import build_engine
from sciinf.run.function_kind import input_files

MODELS = ("toy_model", "lone_model", "toy_failing", "toy_leaving", "gone")
MODEL = """
from sciinf import FunctionEngine

def log_likelihood(theta):
    return -0.5 * float(theta @ theta)

engine = FunctionEngine(log_likelihood, ["x", "y"], version="1")

def build():
    return FunctionEngine(log_likelihood, ["x"], version="1")

def needs(n):
    return engine

number = 3

def gives_a_number():
    return 3

def fails():
    raise KeyError("inside")

def leaves():
    raise SystemExit(3)
"""


@pytest.fixture(autouse=True)
def forget_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test finds no model loaded, and leaves none, whichever test ran before it in this process."""
    elsewhere = [folder for folder in sys.path if not any((Path(folder) / f"{name}.py").exists() for name in MODELS)]
    monkeypatch.setattr(sys, "path", elsewhere)
    monkeypatch.setattr(function_kind, "_LOADED", {})
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name in MODELS}
    yield
    for name in MODELS:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def build(tmp_path: Path, target: str, data: dict[str, Path] | None = None) -> Any:
    return build_engine({"kind": "function", "target": target}, source="my.toml", base=tmp_path, data=data or {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("toy_model.py", "lone_model.py"):
        (tmp_path / name).write_text(MODEL)
    return tmp_path


def test_an_engine_beside_the_config(folder: Path) -> None:
    engine = build(folder, "toy_model.py:engine")
    assert engine.parameters == ("x", "y")
    assert engine.log_likelihood(np.array([1.0, 1.0])) == -1.0


def test_a_builder_beside_the_config(folder: Path) -> None:
    assert build(folder, "toy_model.py:build").parameters == ("x",)


def test_the_engine_pickles_by_its_modules_name(folder: Path) -> None:
    engine = build(folder, "toy_model.py:engine")
    again = pickle.loads(pickle.dumps(engine))
    assert again.log_likelihood(np.array([1.0, 1.0])) == -1.0
    assert str(folder) in sys.path  # worker processes get this path and import the file by name


def test_an_installed_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    assert build(folder, "toy_model:engine").parameters == ("x", "y")


def test_an_edited_file_is_read_again_with_another_fingerprint(folder: Path) -> None:
    before = build(folder, "toy_model.py:engine").fingerprint()
    assert build(folder, "toy_model.py:engine").fingerprint() == before
    (folder / "toy_model.py").write_text(MODEL.replace("-0.5", "-0.25 - 0.25"))
    assert build(folder, "toy_model.py:engine").fingerprint() != before


def test_the_file_may_be_given_by_key(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    engine = build(elsewhere, "gone.py:engine", {"target": folder / "toy_model.py"})
    assert engine.parameters == ("x", "y")


def test_input_files_names_what_the_table_reads(folder: Path) -> None:
    table = {"kind": "function", "target": "toy_model.py:engine"}
    assert input_files(table, base=folder, data={}) == {"target": folder / "toy_model.py"}
    assert input_files({"target": "json:loads"}, base=folder, data={})["target"].name == "__init__.py"


WRONG = [
    ("toy_model.py", "target must be 'FILE.py:NAME' or 'module:NAME', got 'toy_model.py'"),
    ("toy_model.py:engin", "toy_model has no 'engin': did you mean 'engine'"),
    ("absent.py:engine", "target file 'absent.py' was not found beside the config"),
    ("toy_model.py:needs", "must be callable without arguments, but it needs n"),
    ("toy_model.py:number", "must be an engine or a function without arguments that builds one, got int"),
    ("toy_model.py:gives_a_number", "returned a int, which is not an engine"),
    ("toy_model.py:fails", r"failed when it was called: KeyError: 'inside' \(line 21\)"),
    ("toy_model.py:leaves", r"failed when it was called: SystemExit: 3 \(line 24\)"),
    ("builtins:dict", "must be a function without arguments written in Python"),
    ("a\0b.py:engine", "target must be a path, got .*no path can hold the character NUL"),
    ("~nobody_lives_here/x.py:engine", "target must be a path, got .*there is no such home folder"),
    ("x" * 300 + ".py:engine", "target file 'x+... .* was not found beside the config"),
    ("x" * 300 + ":engine", "target module 'x+... .* cannot be imported"),
    (".json:loads", "target module '.json' failed when it was imported"),
    ("lone_model:engine", "cannot be imported.*write 'lone_model.py:NAME'"),
    ("no_such_module_at_all:engine", "target module 'no_such_module_at_all' cannot be imported"),
]


@pytest.mark.parametrize(("target", "message"), WRONG, ids=[target[:40] for target, _ in WRONG])
def test_a_wrong_target_is_a_config_error(folder: Path, target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^my.toml: \[engine\] kind = 'function': .*{message}"):
        build(folder, target)


def test_a_file_that_fails_says_where(tmp_path: Path) -> None:
    (tmp_path / "toy_failing.py").write_text("a = 1\nb = a / 0\n")
    with pytest.raises(ConfigError, match=r"'toy_failing.py' failed when it was run: ZeroDivisionError: division by zero \(line 2\)"):
        build(tmp_path, "toy_failing.py:engine")
    (tmp_path / "toy_failing.py").write_text("a = 1\nb = (\n")
    with pytest.raises(ConfigError, match=r"SyntaxError: .* \(line 2\)"):
        build(tmp_path, "toy_failing.py:engine")


def test_a_file_may_not_take_another_modules_name(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(MODEL)
    with pytest.raises(ConfigError, match=r"'json.py' has the name of another module"):
        build(tmp_path, "json.py:engine")
    (tmp_path / "my-model.py").write_text(MODEL)
    with pytest.raises(ConfigError, match=r"must have a name that Python can import"):
        build(tmp_path, "my-model.py:engine")


def test_an_unknown_key_and_a_missing_target(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"my.toml: \[engine\] kind = 'function': .*needs the key 'target'"):
        build_engine({"kind": "function"}, source="my.toml", base=tmp_path, data={})
    with pytest.raises(ConfigError, match=r"unknown key 'targets': did you mean 'target'"):
        build_engine({"kind": "function", "target": "a.py:b", "targets": 1}, source="my.toml", base=tmp_path, data={})


def test_a_module_that_was_never_found_names_no_file(tmp_path: Path) -> None:
    own = getattr(sys.modules["__main__"], "__file__", None)  # none in a worker of the test runner
    expected = ({},) if own is None else ({}, {"target": Path(own)})
    assert input_files({"target": "__main__:engine"}, base=tmp_path, data={}) in expected
    (tmp_path / "__main__.py").write_text(MODEL)
    with pytest.raises(ConfigError, match=r"'__main__.py' has the name of another module"):
        build(tmp_path, "__main__.py:engine")
    (tmp_path / "toy_leaving.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(ConfigError, match=r"'toy_leaving.py' failed when it was run: SystemExit: 3 \(line 2\)"):
        build(tmp_path, "toy_leaving.py:engine")
