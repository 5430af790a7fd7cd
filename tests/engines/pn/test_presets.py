"""From TOML tables to the engine: what is read, what is refused, a run and its reproduction."""

from __future__ import annotations

import gzip
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.pn import ExponentialFamilyModel, HalfLine, Interval, LikelihoodSettings, RealLine, families
from sciinf.engines.pn.presets import _DATA, _FAMILIES, _SETTINGS, TEMPLATE, fit_from_config, from_config, input_files
from sciinf.run.config import parse_config
from sciinf.run.reproduce import reproduce
from sciinf.run.runner import RunOptions, run

X = families.PolynomialExponential(4, RealLine()).simulate([0.0, 1.0, 0.0, -0.25], 120, np.random.default_rng(1))
FOLDER = Path(__file__).parents[3]


def written(folder: Path, **columns: Any) -> None:
    rows = zip(*[np.asarray(column).tolist() for column in columns.values()], strict=True)
    text = ",".join(columns) + "\n" + "".join(",".join(repr(value) for value in row) + "\n" for row in rows)
    (folder / "x.csv").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path, x=X, count=1 + np.arange(120) % 3)
    return tmp_path


def table(**change: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "data": {"file": "x.csv", "columns": ["x"]},
        "fit": {"family": "polynomial_exponential", "degree": 4, "support": "real_line"},
    }
    return {name: base[name] | change.get(name, {}) for name in base}


def test_tables_are_the_model(folder: Path) -> None:
    engine = from_config(table(fit={"parametrise": "whitened"}), base=folder, data={})
    direct = (
        ExponentialFamilyModel(families.PolynomialExponential(4, RealLine()), X).fit().to_engine(LikelihoodSettings(parametrise="whitened"))
    )
    assert engine.fingerprint() == direct.fingerprint()
    assert engine.posterior_meta() == direct.posterior_meta()
    assert engine.posterior_meta()["pn"]["criterion"]["n"] == 120


def test_counts_and_gzip(folder: Path) -> None:
    (folder / "y.csv.gz").write_bytes(gzip.compress((folder / "x.csv").read_bytes()))
    fit = fit_from_config(table(data={"file": "y.csv.gz", "weights": "count"}), base=folder, data={})
    assert fit.nobs == np.sum(1 + np.arange(120) % 3)
    given = fit_from_config(table(data={"file": "none.csv"}), base=folder, data={"file": folder / "x.csv"})
    assert given.nobs == 120


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ({"support": "half_line", "low": -30.0}, HalfLine(-30.0)),
        ({"support": "interval", "low": -30.0, "high": 30.0}, Interval(-30.0, 30.0)),
    ],
)
def test_supports(folder: Path, fit: dict[str, Any], expected: Any) -> None:
    assert fit_from_config(table(fit=fit | {"degree": 2}), base=folder, data={}).model.family.support == expected


SMALL = np.random.default_rng(2)
EACH: dict[str, tuple[dict[str, Any], Any]] = {
    "normal": ({}, SMALL.normal(size=30)),
    "multivariate_normal": ({"d": 2}, SMALL.normal(size=(30, 2))),
    "exponential": ({}, SMALL.exponential(size=30)),
    "gamma": ({}, SMALL.gamma(2.0, size=30)),
    "inverse_gaussian": ({}, SMALL.wald(1.0, 2.0, 30)),
    "beta": ({}, SMALL.beta(2.0, 2.0, 30)),
    "von_mises": ({}, SMALL.vonmises(0.0, 1.0, 30)),
    "poisson": ({}, SMALL.poisson(2.0, 30)),
    "bernoulli": ({}, SMALL.integers(0, 2, 30)),
    "binomial": ({"m": 4}, SMALL.binomial(4, 0.5, 30)),
    "geometric": ({}, SMALL.geometric(0.4, 30) - 1),
    "negative_binomial": ({"size": 2.5}, SMALL.poisson(2.0, 30)),
    "multinomial": ({"k": 3}, SMALL.integers(0, 3, 30)),
    "log_linear": ({"shape": [2, 3], "terms": [[0], [1]]}, np.column_stack([SMALL.integers(0, 2, 30), SMALL.integers(0, 3, 30)])),
    "ising": ({"d": 3, "edges": [[0, 1], [1, 2]]}, 2.0 * SMALL.integers(0, 2, (30, 3)) - 1.0),
    "polynomial_exponential": ({"degree": 2, "support": "real_line"}, SMALL.normal(size=30)),
}


@pytest.mark.parametrize("name", _FAMILIES)
def test_every_family(tmp_path: Path, name: str) -> None:
    keys, data = EACH[name]
    columns = {f"c{i}": column for i, column in enumerate(np.asarray(data, dtype=float).reshape(30, -1).T)}
    written(tmp_path, **columns)
    fit = fit_from_config({"data": {"file": "x.csv", "columns": list(columns)}, "fit": {"family": name} | keys}, base=tmp_path, data={})
    assert_array_equal(fit.model.data, np.asarray(data, dtype=float).reshape(30, -1))
    title = {"von_mises": "VonMises", "log_linear": "LogLinear"}.get(name, name.title().replace("_", ""))
    assert type(fit.model.family).__name__ == title
    assert {item.lower() for item in families.__all__} == {item.replace("_", "") for item in _FAMILIES}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": {"files": "x"}}, ConfigError, r"\[engine.data\] has an unknown key 'files': did you mean 'file'"),
        ({"fit": {"degre": 3}}, ConfigError, "unknown key 'degre': did you mean 'degree'"),
        ({"fit": {"n_draw": 3}}, ConfigError, "unknown key 'n_draw': did you mean 'n_draws'"),
        (
            {"fit": {"family": "polynomial_exponentail"}},
            ConfigError,
            "'polynomial_exponentail' is no family: did you mean 'polynomial_exponential'",
        ),
        ({"fit": {"family": "gamma"}}, ConfigError, "of family 'gamma' has an unknown key 'degree'"),
        ({"fit": {"support": "realline"}}, ConfigError, "no support 'realline': did you mean 'real_line'"),
        ({"fit": {"support": "interval"}}, ConfigError, "support 'interval' needs low"),
        ({"fit": {"low": 0.0}}, ConfigError, "low has nothing to do with support 'real_line'"),
        ({"fit": {"degree": 3}}, ConfigError, "on the real line the degree must be even"),
        ({"fit": {"degree": 400}}, ConfigError, "degree may be at most 20"),
        ({"fit": {"partition": "exakt"}}, ConfigError, "no partition 'exakt'"),
        ({"data": {"file": 3}}, ConfigError, "file must be a path, got 3"),
        ({"data": {"file": "none.csv"}}, DataError, "none.csv: no such file"),
        ({"data": {"columns": ["y"]}}, ConfigError, "x.csv has no column 'y'"),
        ({"data": {"columns": "x"}}, ConfigError, "columns must be a list of names, got 'x'"),
        ({"data": {"columns": ["x", "x"]}}, ConfigError, "each column has one role"),
        ({"data": {"columns": ["x", "count"]}}, ConfigError, "has 1 coordinates, got"),
        ({"data": {"weights": 1}}, ConfigError, "weights must be the name of a column"),
        ({"data": {"weights": "x", "columns": ["count"]}}, DataError, "weights"),
    ],
)
def test_refused(folder: Path, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_config(table(**change), base=folder, data={})


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"family": "ising", "d": 2}, "family 'ising' needs edges"),
        ({"family": "ising", "d": 2, "edges": [[0, 1, 1]]}, "edges must be a list of pairs of integers"),
        ({"family": "log_linear", "shape": [2, 1], "terms": [[0]]}, "shape must be a list of integers of at least 2"),
        ({"family": "log_linear", "shape": [2000, 2000], "terms": [[0]]}, "at most 1048576 cells"),
        ({"family": "multinomial", "k": 10**12}, "k may be at most 1000"),
        ({"family": "binomial", "m": "4"}, "m must be an integer"),
        ({}, "needs family"),
    ],
)
def test_refused_families(folder: Path, fit: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_config({"data": {"file": "x.csv", "columns": ["x", "count"]}, "fit": fit}, base=folder, data={})


@pytest.mark.parametrize("missing", ["data", "fit"])
def test_both_tables_are_needed(folder: Path, missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"needs a table \[engine.{missing}\]"):
        from_config({name: part for name, part in table().items() if name != missing}, base=folder, data={})


def test_input_files(folder: Path) -> None:
    assert input_files(table(), base=folder, data={}) == {"file": folder / "x.csv"}
    assert input_files(table(), base=folder, data={"file": folder / "y.csv"}) == {"file": folder / "y.csv"}
    with pytest.raises(ConfigError, match="--data fil: did you mean 'file'"):
        input_files(table(), base=folder, data={"fil": folder})


def test_the_template_is_every_key_and_its_default() -> None:
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines() if line.startswith(("[", "# ")) or " = " in line]
    read = tomllib.loads("\n".join(line for line in lines if line.startswith("[") or re.match(r"[a-z_]+ = ", line)))
    fit = read["engine"]["fit"]
    assert set(read["engine"]["data"]) == set(_DATA)
    assert set(fit) == {"family", *_SETTINGS, *(key for recipe in _FAMILIES.values() for key in (*recipe.keys, *recipe.optional))}
    defaults = {item.name: item.default for item in fields(LikelihoodSettings)}
    for key in ("partition", "ess_min", "parametrise", "seed"):
        assert fit[key] == defaults[key]
    assert parse_config(TEMPLATE, source="template.toml", base=Path()).engine["kind"] == "pn"


def test_the_example_runs_and_is_reproduced(tmp_path: Path) -> None:
    """The same bytes twice; the true theta within four posterior standard deviations; the verdict in the posterior and on disk."""
    text = (FOLDER / "docs" / "examples" / "pn_quartic.toml").read_text()
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    (tmp_path / "data" / "pn").mkdir(parents=True)
    (tmp_path / "data" / "pn" / "quartic.csv").write_bytes((FOLDER / "data" / "pn" / "quartic.csv").read_bytes())
    path = tmp_path / "docs" / "examples" / "pn_quartic.toml"
    path.write_text(text.replace("n_live = 500", "n_live = 100"))
    posterior = run(path, RunOptions(output=tmp_path / "out", progress=False, report=False))
    assert np.abs((posterior.mean() - [0.0, 1.0, 0.0, -0.25]) / posterior.std()).max() < 4.0
    assert posterior.meta["engine"]["pn"]["criterion"]["accept"] is True
    again = reproduce(tmp_path / "out", tmp_path / "again")
    assert again.identical
