"""Runs from TOML: what they keep of the fit, and when their evidences may be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciinf.core.errors import SciinfError
from sciinf.engines.r3d import R3DResults
from sciinf.engines.r3d.presets import fit_from_config
from sciinf.engines.r3d.simulate import dgp1
from sciinf.results.run_directory import RunDirectory
from sciinf.run.compare import compare
from sciinf.run.config import load_config
from sciinf.run.runner import RunOptions, resume, run

CONFIG = """\
[run]
name = "NAME"
seed = 3
[engine]
kind = "r3d"
[engine.data]
observations = "obs.csv"
units = "units.csv"
[engine.fit]
bandwidth = 0.6
q_grid = [0.1, 0.3, 0.5, 0.7, 0.9]
[engine.effect]
model = "shift"
q = [0.3, 0.5, 0.7]
[parameters.delta]
prior = "normal"
mean = 0.0
std = 5.0
[sampler]
kind = "dynesty"
n_live = 60
"""

pytestmark = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of 150 units."""
    folder = tmp_path_factory.mktemp("project")
    data = dgp1(150, 30, 1.0, np.random.default_rng(3))
    rows = zip(np.repeat(np.arange(150), 30).tolist(), data.outcomes.values.tolist(), strict=True)
    (folder / "obs.csv").write_text("unit,z\n" + "".join(f"u{i},{z!r}\n" for i, z in rows))
    (folder / "units.csv").write_text("unit,x\n" + "".join(f"u{i},{x!r}\n" for i, x in enumerate(data.x.tolist())))
    return folder


def sampled(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """The run directory of the config with some lines changed; a run that is there is not repeated."""
    output = folder / "runs" / name
    if not output.exists():
        text = CONFIG.replace("NAME", name)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.toml").write_text(text)
        run(folder / f"{name}.toml", RunOptions(output=output, progress=False, report=False))
    return output


SPREAD = (
    ('model = "shift"', 'model = "location_scale"'),
    ("[sampler]", '[parameters.gamma]\nprior = "normal"\nmean = 0\nstd = 5\n[sampler]'),
)
KAPPA = ('model = "shift"', 'model = "log_scale"'), ("[parameters.delta]", "[parameters.kappa]")


def test_shapes_of_one_statistic_are_compared(folder: Path) -> None:
    first, second = sampled(folder, "shift"), sampled(folder, "spread", *SPREAD)
    (factor,) = compare([first, second]).bayes_factors
    assert factor.refused == ""
    assert factor.log_ratio is not None


def test_shapes_without_a_common_parameter_are_compared(folder: Path) -> None:
    result = compare([sampled(folder, "shift"), sampled(folder, "scale", *KAPPA)])
    assert result.bayes_factors[0].log_ratio is not None
    assert {shift.name for shift in result.shifts} == {"tau_50"}


@pytest.mark.parametrize(
    ("name", "change", "differing"),
    [
        ("wider", ("bandwidth = 0.6", "bandwidth = 0.7"), "bandwidth, covariance, degrees of freedom, statistic"),
        ("nu", ('model = "shift"', 'model = "shift"\nnu = 25.0'), "degrees of freedom"),
        ("cov", ('model = "shift"', 'model = "shift"\ncov_type = "HC0"'), "covariance"),
        ("levels", ("q = [0.3, 0.5, 0.7]", "q = [0.1, 0.5, 0.9]"), "covariance, levels, statistic"),
        ("components", ("q = [0.3, 0.5, 0.7]", "n_components = 3"), "covariance, levels, projection, statistic"),
    ],
)
def test_other_statistics_are_refused_by_name(folder: Path, name: str, change: tuple[str, str], differing: str) -> None:
    result = compare([sampled(folder, "shift"), sampled(folder, name, change)])
    assert result.bayes_factors[0].log_ratio is None
    assert result.bayes_factors[0].refused.startswith(f"the data differ in {differing} (comparison keys ")
    assert result.shifts  # the rest is compared


def test_a_run_keeps_its_fit(folder: Path, tmp_path: Path) -> None:
    output = sampled(folder, "shift")
    made = fit_from_config({k: v for k, v in load_config(folder / "shift.toml").engine.items() if k != "kind"}, base=folder, data={})
    kept = R3DResults.load(output / "products" / "fit.h5")
    assert kept.summary() == made.summary()
    assert np.array_equal(kept.cov_params(), made.cov_params())
    assert (output / "products" / "fit.txt").read_text() == f"{made.summary()}\n"
    (tmp_path / "again.toml").write_text(
        CONFIG.replace("NAME", "again")
        .replace('observations = "obs.csv"\nunits = "units.csv"', 'results = "fit.h5"')
        .replace("[engine.fit]\nbandwidth = 0.6\nq_grid = [0.1, 0.3, 0.5, 0.7, 0.9]\n", "")
    )
    (tmp_path / "fit.h5").write_bytes((output / "products" / "fit.h5").read_bytes())
    run(tmp_path / "again.toml", RunOptions(output=tmp_path / "again", progress=False, report=False))
    (factor,) = compare([output, tmp_path / "again"]).bayes_factors
    assert factor.log_ratio == 0.0  # same seed, same data: the same run
    assert (tmp_path / "again" / "products" / "fit.txt").read_text() == f"{made.summary()}\n"


def test_an_interrupted_run_has_its_fit_and_a_new_one_moves_it_aside(folder: Path) -> None:
    (folder / "cut.toml").write_text(CONFIG.replace("NAME", "cut") + "[resources]\nmax_calls = 200\n")
    output = folder / "runs" / "cut"
    options = RunOptions(output=output, progress=False, report=False)
    assert run(folder / "cut.toml", options).status == "not_converged"
    assert (output / "products" / "fit.h5").exists()
    (output / "products" / "fit.txt").unlink()
    resume(output, RunOptions(progress=False, report=False))
    assert (output / "products" / "fit.txt").exists()
    with RunDirectory.create(output, overwrite=True):
        assert not (output / "products").exists()
        assert (output / "replaced-1" / "products" / "fit.h5").exists()


def test_a_product_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run") as directory:
        (tmp_path / "run" / "products").write_text("in the way")
        with pytest.raises(SciinfError, match=r"fit.txt could not be written"):
            directory.write_products({"fit.txt": lambda path: path.write_text("")})
