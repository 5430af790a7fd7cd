from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, ResumeError
from sciinf.results.posterior import Posterior
from sciinf.run.reproduce import compare_posteriors, reproduce
from sciinf.run.runner import RunOptions, run

Edit = Callable[[Path, str, str], None]
QUIET = RunOptions(progress=False, report=False)


@pytest.mark.parametrize("name", ["toy", "nested"])
def test_the_same_run_again_is_identical(finished: Path, tmp_path: Path, name: str) -> None:
    result = reproduce(finished / "runs" / name, tmp_path / "again", QUIET)
    assert result.identical
    assert result.agrees
    assert result.differences == ()
    assert result.moments == ()
    assert result.first_hash == json.loads((tmp_path / "again" / "manifest.json").read_text())["content_hash"]


@pytest.mark.parametrize("name", ["toy", "nested"])
def test_a_run_that_a_budget_cut_is_repeated_to_its_iterations(project: Path, edit: Edit, tmp_path: Path, name: str) -> None:
    text = (project / f"{name}.toml").read_text().replace("[resources]", "")
    budget = "[resources]\nmax_calls = 2000\n"
    (project / f"{name}.toml").write_text(text.replace("checkpoint_every = 5.0", "") + budget)
    first = run(project / f"{name}.toml", RunOptions(output=project / name, progress=False, report=False))
    assert first.status == "not_converged"
    result = reproduce(project / name, tmp_path / "again", QUIET)
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert manifest["resources"]["max_calls"] is None
    assert manifest["iterations"] == json.loads((project / name / "manifest.json").read_text())["iterations"]
    assert result.identical


def test_a_changed_model_is_refused_and_by_force_said_with_sigmas(copied: Path, edit: Edit, tmp_path: Path) -> None:
    edit(copied / "toy_model.py", "data - mu[:, None]", "data - 0.4 - mu[:, None]")
    folder = copied / "runs" / "toy"
    with pytest.raises(ResumeError, match=r"input 'target' was sha256"):
        reproduce(folder, tmp_path / "again", QUIET)
    result = reproduce(folder, tmp_path / "again", RunOptions(progress=False, force=True))
    assert not result.identical
    assert not result.agrees
    assert any(text.startswith("engine and its data: hash was") for text in result.differences)
    assert any(text.startswith("target: sha256 was") for text in result.differences)
    assert result.worst is not None
    assert result.worst.name == "mean of mu"
    assert result.worst.sigma < -5  # data moved by -0.4, the mean of mu with them
    assert json.dumps(result.to_dict())


def test_another_seed_agrees_within_its_errors(copied: Path, edit: Edit, tmp_path: Path) -> None:
    """The stated Monte Carlo errors are right: another seed stays within 5 of them, in every moment."""
    manifest = json.loads((copied / "runs" / "toy" / "manifest.json").read_text())
    manifest["seed"] = 6
    (copied / "runs" / "toy" / "manifest.json").write_text(json.dumps(manifest))
    result = reproduce(copied / "runs" / "toy", tmp_path / "again", QUIET)
    assert not result.identical
    assert result.agrees
    assert any(text.startswith("seed: hash was") for text in result.differences)
    assert {moment.name for moment in result.moments} >= {"mean of mu", "standard deviation of scale", "mean of total"}


def test_a_changed_posterior_is_not_taken_as_the_first(copied: Path, tmp_path: Path) -> None:
    folder = copied / "runs" / "toy"
    (folder / "posterior.h5").write_bytes((copied / "runs" / "nested" / "posterior.h5").read_bytes())
    with pytest.raises(DataError, match=r"toy/posterior.h5 has content hash [0-9a-f]{64}, its manifest says [0-9a-f]{64}"):
        reproduce(folder, tmp_path / "again", QUIET)


def test_a_run_without_a_posterior_cannot_be_reproduced(copied: Path, tmp_path: Path) -> None:
    path = copied / "runs" / "toy" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "content_hash": None, "status": "interrupted"}))
    with pytest.raises(ConfigError, match=r"'toy' has no posterior to reproduce: its status is 'interrupted'"):
        reproduce(path.parent, tmp_path / "again", QUIET)


def test_versions_and_processor_are_compared(copied: Path, edit: Edit, tmp_path: Path) -> None:
    path = copied / "runs" / "toy" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(manifest))
    result = reproduce(path.parent, tmp_path / "again", QUIET)
    assert result.identical
    assert len(result.differences) == 1
    assert result.differences[0].startswith("version of numpy: was 1.0, is ")


def test_moments_of_weighted_samples_are_compared_with_their_own_errors() -> None:
    """For equal weights of n independent draws the error of a mean is std / sqrt(n)."""
    rng = np.random.default_rng(11)

    def normal(n: int) -> Posterior:
        return Posterior(
            rng.standard_normal((n, 1)), np.zeros(n), np.zeros(n), np.zeros(n), ("x",), log_evidence=1.0, log_evidence_error=0.0
        )

    first, second = normal(4000), normal(1000)
    moments = {moment.name: moment for moment in compare_posteriors(first, second)}
    expected = (second.mean()[0] - first.mean()[0]) / np.hypot(first.std()[0] / np.sqrt(4000), second.std()[0] / np.sqrt(1000))
    assert moments["mean of x"].sigma == pytest.approx(expected, rel=1e-3)
    assert moments["log evidence"].sigma == 0.0
    # of a standard deviation of normal draws: s / sqrt(2 n), to the relative scatter sqrt(11 / 2 n) of the fourth moment's estimate
    spread = moments["standard deviation of x"]
    error = (spread.second - spread.first) / spread.sigma
    assert error == pytest.approx(np.hypot(1 / np.sqrt(8000), 1 / np.sqrt(2000)), rel=5 * np.sqrt(11 / 2000))
