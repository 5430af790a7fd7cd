from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import sciinf
from sciinf.core.errors import ConfigError, DataError
from sciinf.run.compare import compare
from sciinf.run.runner import RunOptions, run

Edit = Callable[[Path, str, str], None]


@pytest.fixture
def narrow(copied: Path, edit: Edit) -> Path:
    """The nested run again, with a prior three times as wide in mu: the same data, another evidence."""
    (copied / "wide.toml").write_text((copied / "nested.toml").read_text().replace('"nested"', '"wide"').replace("seed = 5", "seed = 8"))
    edit(copied / "wide.toml", "[sampler]", '[parameters.mu]\nprior = "normal"\nmean = 0.0\nstd = 20.0\n[sampler]')
    run(copied / "wide.toml", RunOptions(output=copied / "runs" / "wide", progress=False, report=False))
    return copied


def test_the_bayes_factor_is_the_difference_with_errors_in_quadrature(narrow: Path) -> None:
    nested, wide = (sciinf.load(narrow / "runs" / name) for name in ("nested", "wide"))
    (factor,) = compare([narrow / "runs" / "nested", narrow / "runs" / "wide"]).bayes_factors
    assert (factor.first, factor.second, factor.refused) == ("nested", "wide", "")
    assert factor.log_ratio == nested.log_evidence - wide.log_evidence
    assert factor.error == math.hypot(nested.log_evidence_error, wide.log_evidence_error)
    # a normal prior ten times wider around a posterior well inside costs ln 10 (here to 0.05: the posterior is 0.6 +- 0.3 in both)
    assert abs(factor.log_ratio - math.log(10.0)) < 5 * factor.error


def test_evidences_of_other_data_are_refused(narrow: Path) -> None:
    path = narrow / "runs" / "wide" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["engine"]["comparison_key"] = "0" * 64
    path.write_text(json.dumps(manifest))
    result = compare([narrow / "runs" / "nested", narrow / "runs" / "wide"])
    assert result.bayes_factors[0].log_ratio is None
    assert "the data differ (comparison keys" in result.bayes_factors[0].refused
    assert result.to_dict()["bayes_factors"][0]["log_ratio"] is None
    assert result.shifts  # the rest is compared


def test_a_run_without_evidence_and_one_not_converged_are_refused(finished: Path, narrow: Path, edit: Edit) -> None:
    result = compare([finished / "runs" / "nested", finished / "runs" / "toy"])
    assert result.bayes_factors[0].refused == "no evidence in toy (not sampled by a nested sampler)"
    (narrow / "cut.toml").write_text((narrow / "nested.toml").read_text() + "[resources]\nmax_calls = 500\n")
    run(narrow / "cut.toml", RunOptions(output=narrow / "runs" / "cut", progress=False, report=False))
    result = compare([narrow / "runs" / "nested", narrow / "runs" / "cut"])
    assert result.bayes_factors[0].refused == "nested (cut) did not converge"


def test_shifts_are_in_sigma_of_both(finished: Path) -> None:
    toy, nested = (sciinf.load(finished / "runs" / name) for name in ("toy", "nested"))
    result = compare([finished / "runs" / "toy", finished / "runs" / "nested"])
    shift = {item.name: item for item in result.shifts}["mu"]
    assert shift.sigma == pytest.approx((nested.mean()[0] - toy.mean()[0]) / math.hypot(nested.std()[0], toy.std()[0]))
    assert {item.name for item in result.shifts} == {"mu", "scale", "total"}


def test_the_overlaid_corner_is_written(finished: Path, tmp_path: Path) -> None:
    result = compare([finished / "runs" / "toy", finished / "runs" / "nested"])
    result.save_figure(tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"cannot write a picture as 'both.pgn': did you mean 'png'"):
        result.save_figure(tmp_path / "both.pgn")
    with pytest.raises(ConfigError, match=r"cannot be written \(No such file or directory\)"):
        result.save_figure(tmp_path / "absent" / "both.png")


def test_equal_names_are_told_apart(copied: Path) -> None:
    import shutil

    shutil.copytree(copied / "runs" / "toy", copied / "runs" / "other")
    shutil.copytree(copied / "runs" / "toy", copied / "deeper" / "toy")
    labels = compare([copied / "runs" / "toy", copied / "runs" / "other", copied / "deeper" / "toy"]).labels
    assert labels == ("toy (toy) 1", "toy (other)", "toy (toy) 3")


def test_what_cannot_be_compared(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"at least two run directories, got 1"):
        compare([finished / "runs" / "toy"])
    with pytest.raises(DataError, match=r"does not exist"):
        compare([finished / "runs" / "toy", tmp_path / "absent"])
    with pytest.raises(DataError, match=r"is not a run directory"):
        compare([finished / "runs" / "toy", tmp_path])
