from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.fingerprint import sha256_of_file
from sciinf.run.config import load_config
from sciinf.run.prepare import data_by_key, prepare
from sciinf.run.runner import RunOptions, run

Edit = Callable[[Path, str, str], None]


def test_a_config_becomes_a_problem(project: Path) -> None:
    prepared = prepare(load_config(project / "toy.toml"))
    assert prepared.problem.name == "toy"
    assert prepared.problem.names == ("mu", "scale")
    assert prepared.problem.on_nan == "raise"
    assert prepared.defaults == ("mu",)
    assert prepared.inputs == {"target": sha256_of_file(project / "toy_model.py")}
    assert prepared.copy == (project / "toy.toml").read_text()


def test_what_the_manifest_says_is_json_without_paths(project: Path, edit: Edit) -> None:
    edit(project / "toy.toml", "toy_model.py:engine", f"{project / 'toy_model.py'}:engine")
    prepared = prepare(load_config(project / "toy.toml"))
    origin = prepared.origin(project / "runs" / "toy")
    assert str(project) not in json.dumps(origin, allow_nan=False)
    assert origin["origin"] == "toml"
    assert origin["config"]["engine"]["target"] == f"<engine.target sha256:{prepared.inputs['target']}>:engine"
    assert origin["config"]["sha256"] == hashlib.sha256(prepared.copy.encode()).hexdigest()
    assert origin["config"]["given_priors"] == ["scale"]
    assert (origin["domain"], origin["references"], origin["citations"]) == ({}, {}, [])


def test_a_domain_without_an_end_is_left_out_of_the_manifest(project: Path, edit: Edit) -> None:
    edit(project / "toy_model.py", "    return FunctionEngine(", "    return Boxed(")
    boxed = (
        "class Boxed(FunctionEngine):\n    def domain(self):\n"
        '        return {"mu": (-np.inf, np.inf), "scale": (0.1, 5.0)}\n\n'
        '    def citations(self):\n        return ("arXiv:0000.00000",)\n\n\ndef engine():'
    )
    edit(project / "toy_model.py", "def engine():", boxed)
    origin = prepare(load_config(project / "toy.toml")).origin(project)
    assert origin["domain"] == {"scale": [0.1, 5.0]}
    assert origin["citations"] == ["arXiv:0000.00000"]


def test_zero_sampled_parameters_are_refused_with_the_files_name(project: Path, edit: Edit) -> None:
    edit(project / "toy.toml", 'prior = "log_uniform"\nlow = 0.1\nhigh = 5.0', "fixed = 1.0\n[parameters.mu]\nfixed = 0.0")
    with pytest.raises(ConfigError, match=r"^toy.toml: toy: every parameter is fixed, so there is nothing to sample"):
        prepare(load_config(project / "toy.toml"))


def test_inputs_by_key_take_the_last_part_of_it(project: Path) -> None:
    model = project / "toy_model.py"
    assert data_by_key({"engine.target": model}) == data_by_key({"target": str(model)}) == {"target": model.resolve()}
    with pytest.raises(ConfigError, match=r"--data folder=.*: there is no such file or folder"):
        data_by_key({"folder": project / "absent"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_walkers = 48", "n_walkers = 4", r"^toy.toml: \[sampler\]: Emcee: n_walkers must be at least 2 n_dim = 6 for toy, got 4"),
        ("thin = 4", 'thin = 4\nengine = "compiled"', r"^toy.toml: \[sampler\]: toy cannot run compiled: toy has no compiled likelihood"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(
    project: Path, edit: Edit, old: str, new: str, message: str
) -> None:
    (project / "toy_model.py").write_text((project / "toy_model.py").read_text().replace('["mu", "scale"]', '["mu", "scale", "z"]'))
    edit(
        project / "toy.toml",
        "[sampler]",
        '[parameters.z]\nprior = "uniform"\nlow = 0\nhigh = 1\n[parameters.mu]\nprior = "uniform"\nlow = 0\nhigh = 1\n[sampler]',
    )
    edit(project / "toy_model.py", "default_priors=priors, ", "")
    edit(project / "toy.toml", old, new)
    with pytest.raises(ConfigError, match=message):
        run(project / "toy.toml", RunOptions(output=project / "out", progress=False))
    assert not (project / "out").exists()


def test_an_input_given_by_a_path_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"--data target must be a path, .*NUL"):
        data_by_key({"target": "a\0b"})
