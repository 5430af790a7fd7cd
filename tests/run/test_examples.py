"""Every template and every config in docs/examples is read by the strict reader; those that need no data are run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sciinf.run.config import load_config, parse_config
from sciinf.run.engines import ENGINES, template
from sciinf.run.prepare import prepare
from sciinf.run.runner import RunOptions, run

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.toml"))


def test_there_are_examples() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names >= {"planck2018_lcdm", "planck2018_lensing", "planck2018_evidence", "planck2018_tt", "planck2018_h0", "mock_hybrid"}


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
