"""Every template and every config in docs/examples is read by the strict reader; those that need no data are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from sciinf.engines.r3d import R3DResults, UnitQuantiles
from sciinf.run.config import load_config, parse_config
from sciinf.run.engines import ENGINES, template
from sciinf.run.prepare import prepare
from sciinf.run.reproduce import reproduce
from sciinf.run.runner import RunOptions, run

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.toml"))


def test_there_are_examples() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names >= {"planck2018_lcdm", "planck2018_lensing", "planck2018_evidence", "planck2018_tt", "planck2018_h0", "mock_hybrid"}
    assert names >= {"echo_comb_injection", "echo_benchmark", "echo_gw150914", "echo_gw150914_excerpt", "pn_quartic", "r3d_shape"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_valid_config(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert config.engine["kind"] in ENGINES
    assert f"docs/examples/{path.name}" in config.text  # says how to run it


@pytest.mark.parametrize("kind", ENGINES)
def test_a_template_is_a_valid_config(kind: str) -> None:
    config = parse_config(template(kind), source="template.toml", base=Path())
    assert config.engine["kind"] == kind


def short(name: str, place: Path, n_live: str, fewer: str = "n_live = 60\nwalks = 10") -> Path:
    """A copy of an example beside its data, with few live points."""
    text = (EXAMPLES[0].parent / name).read_text()
    assert n_live in text
    (place / name).write_text(text.replace(n_live, fewer))
    return place / name


@pytest.mark.parametrize("name", ["echo_comb_injection", "echo_benchmark"])
def test_an_echo_example_finds_its_spacing(tmp_path: Path, name: str, without_a_scan: None) -> None:
    path = short(f"{name}.toml", tmp_path, "n_live = 500", "n_live = 250")
    posterior = run(path, RunOptions(output=tmp_path / "out", progress=False))
    assert posterior.log_evidence is not None
    assert posterior.log_evidence > 10.0
    truth = {"echo_comb_injection": 5.83, "echo_benchmark": 1.0 / 870.117}[name]
    assert abs(posterior.samples[posterior.best][0] / truth - 1.0) < 1e-3
    assert "Whitened spectrum." in (tmp_path / "out" / "report.html").read_text()


def test_the_excerpt_of_gw150914_conditions_runs_and_reproduces(tmp_path: Path, without_a_scan: None) -> None:
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    shutil.copytree(Path(__file__).parents[2] / "data" / "echo", tmp_path / "data" / "echo")
    path = short("echo_gw150914_excerpt.toml", tmp_path / "docs" / "examples", "n_live = 300")
    posterior = run(path, RunOptions(output=tmp_path / "out", progress=False, report=False))
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert posterior.names[-1] == "phase_shift_L1"
    assert all(key in manifest for key in ('"psd_H1"', '"psd_L1"', "PSD level q"))
    assert reproduce(tmp_path / "out", tmp_path / "again", RunOptions(progress=False)).identical


def test_the_example_of_time_slides_runs_where_its_strain_is(tmp_path: Path, without_a_scan: None) -> None:
    strain = Path(__file__).parents[3] / "shared" / "data" / "echo" / "strain"
    files = {name: strain / f"{name[0]}-{name}_LOSC_4_V2-1126259446-32.hdf5" for name in ("H1", "L1")}
    if not all(path.exists() for path in files.values()):
        pytest.skip("needs ../shared/data/echo/strain, which is not distributed with the project")
    path = short("echo_gw150914.toml", tmp_path, "n_live = 200")
    path.write_text(path.read_text().replace("n = 20", "n = 2"))
    run(path, RunOptions(output=tmp_path / "out", progress=False, data=files))
    assert "/2 = " in (tmp_path / "out" / "report.html").read_text()


def echo_slides(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "SCIINF_ECHO_DATA"}
    command = [sys.executable, str(EXAMPLES[0].parent / "echo_slides.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_slides_in_python_say_what_data_they_need(tmp_path: Path) -> None:
    done = echo_slides("--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.startswith("no data: give --data FOLDER, or set SCIINF_ECHO_DATA, with H-H1_LOSC_4_V2-1126259446-32.hdf5 and L-L1")
    done = echo_slides("--out", str(tmp_path / "out"), "--data", str(tmp_path))
    assert done.returncode == 1
    assert "does not hold H-H1_LOSC_4_V2-1126259446-32.hdf5" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_slides_in_python_run_and_go_on(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "echo"
    if not (folder / "strain").exists():
        pytest.skip("needs ../shared/data/echo/strain, which is not distributed with the project")
    given = ("--out", str(tmp_path / "out"), "--data", str(folder), "--n-live", "60", "--slides")
    done = echo_slides(*given, "1")
    assert done.returncode == 0, done.stderr
    assert "background: p = " in done.stdout
    html = (tmp_path / "out" / "report.html").read_text()
    assert all(title in html for title in ("Background.", "Whitened spectrum.", "Modes.", "Scan."))
    units = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "slides" / "units").iterdir()}
    assert echo_slides(*given, "1").returncode == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "slides" / "units").iterdir()} == units


@pytest.fixture
def without_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan costs more than these short runs, and has tests of its own."""
    monkeypatch.setattr("sciinf.engines.echo.model.EchoSearch.check", lambda self, posterior: posterior)


@pytest.mark.planck
@pytest.mark.parametrize("path", [path for path in EXAMPLES if 'kind = "cmb"' in path.read_text()], ids=lambda path: path.stem)
def test_a_planck_example_builds_its_problem(path: Path) -> None:
    pytest.importorskip("cosmofit", reason="the real Planck files: pip install 'sciinf[planck]'")
    problem = prepare(load_config(path)).problem
    assert "A_planck" in problem.names
    assert problem.log_likelihood(problem.priors.transform([0.5] * problem.n_dim)) < 0


def test_the_example_of_ones_own_likelihood_runs(tmp_path: Path) -> None:
    for path in EXAMPLES[0].parent.glob("own_likelihood.*"):
        shutil.copy(path, tmp_path)
    text = (tmp_path / "own_likelihood.toml").read_text().replace("n_live = 200", "n_live = 60")
    (tmp_path / "own_likelihood.toml").write_text(text)
    posterior = run(tmp_path / "own_likelihood.toml", RunOptions(output=tmp_path / "out", progress=False, report=False))
    # least squares of the example's eight points with error 0.2: slope 2.0036 +- 0.0309, intercept 1.0250 +- 0.1291
    errors = posterior.std() / posterior.ess**0.5
    assert abs(posterior.mean()[0] - 2.0036) < 5 * errors[0] + 1e-3
    assert abs(posterior.mean()[1] - 1.0250) < 5 * errors[1] + 1e-3
    assert abs(posterior.std()[0] - 0.0309) < 5 * 0.0309 / (2 * posterior.ess) ** 0.5


def test_the_r3d_example_agrees_with_quadrature(tmp_path: Path) -> None:
    """Posterior and evidence of the two parameters on a fine grid of the same engine."""
    shutil.copytree(Path(__file__).parents[2] / "data" / "r3d", tmp_path / "data" / "r3d")
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    path = short("r3d_shape.toml", tmp_path / "docs" / "examples", "n_live = 500", "n_live = 200")
    posterior = run(path, RunOptions(output=tmp_path / "out", progress=False))
    problem = prepare(load_config(path)).problem
    delta, gamma = np.linspace(-16.0, 16.0, 801), np.linspace(-6.0, 6.0, 801)
    points = np.stack(np.meshgrid(delta, gamma, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(problem.engine.log_likelihood_many(points) + problem.priors.log_prior(points)).reshape(801, 801)
    evidence = density.sum() * (delta[1] - delta[0]) * (gamma[1] - gamma[0])
    assert abs(posterior.log_evidence - np.log(evidence)) < 4.0 * posterior.log_evidence_error
    weights = np.exp(posterior.log_weights - posterior.log_weights.max())
    effective = weights.sum() ** 2 / (weights**2).sum()
    for name, axis, other in (("delta", delta, 1), ("gamma", gamma, 0)):
        marginal = density.sum(axis=other) / density.sum()
        mean = marginal @ axis
        std = np.sqrt(marginal @ (axis - mean) ** 2)
        found = np.average(posterior.samples[:, posterior.names.index(name)], weights=weights)
        assert abs(found - mean) < 5.0 * std / np.sqrt(effective)


def test_the_close_elections_have_their_effect(tmp_path: Path) -> None:
    """The band over the truth, and the spread's growth within 12 % (type7 shortens the tails of samples of 40 to 120)."""
    command = [sys.executable, str(EXAMPLES[0].parent / "r3d_close_elections.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the band holds the truth at 99 of 99 levels" in done.stdout
    assert (tmp_path / "effect.png").stat().st_size > 10_000
    fit = R3DResults.load(tmp_path / "fit.h5")
    truth = 0.5 * 0.8 * special.ndtri(fit.q_grid)
    assert abs((fit.params[89] - fit.params[9]) / (truth[89] - truth[9]) - 1.0) < 0.12
    average = fit.average_effect([(0.01, 0.99)])
    assert abs(average.estimate[0]) < 4.0 * average.se[0]
    (test,) = fit.test_homogeneity(seed=1)
    assert test.p_value < 0.01
    assert UnitQuantiles.load(tmp_path / "quantiles.h5").labels[:2].tolist() == ["district 0", "district 1"]
