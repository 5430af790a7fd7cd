"""The spine's suite end to end on a small scale, its tiers, and the broken suite that must fail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sciinf.calibration import analytic
from sciinf.calibration.controls import broken
from sciinf.core.errors import ConfigError
from sciinf.validation import spine

SMALL = spine.Scale(
    ("prior",), (), (), (), seeds=2, n_live=50, n_effective=None, workers=(1,), kills=0, replicas=8, controls=False, dask=False
)


def test_a_small_tier_runs_resumes_and_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spine, "QUICK", SMALL)
    first = spine.run("quick", progress=False, directory=tmp_path)
    assert first.passed, str(first)
    names = [verdict.name for verdict in first.verdicts]
    assert "prior, dynesty static: prior returned" in names
    assert "hole, emcee: same hash" in names
    assert "line, emcee: SBC rank variance" in names
    assert [item.name for item in first.skipped] == ["killed and resumed", "negative controls"]
    figures = [verdict.figure for verdict in first.verdicts if verdict.figure]
    assert figures == ["figures/sbc-line.png", "figures/coverage-line.png"]
    assert all((tmp_path / figure).exists() for figure in figures)
    units = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("unit-*.bin")}
    assert len(units) == 2 + 8
    second = spine.run("quick", progress=False, directory=tmp_path)
    assert [v.to_dict() for v in second.verdicts] == [v.to_dict() for v in first.verdicts]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("unit-*.bin")} == units


def test_a_broken_likelihood_fails_the_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A problem whose likelihood is not what its known answer says: evidence and moments both object."""
    wide = dataclasses.replace(analytic.gauss3(), problem=broken(analytic.gauss3().problem, width=1.5))
    monkeypatch.setattr(spine, "QUICK", dataclasses.replace(SMALL, static=("gauss3",), seeds=3, replicas=2))
    monkeypatch.setattr(spine, "analytic_problem", lambda name: wide if name == "gauss3" else analytic.analytic_problem(name))
    monkeypatch.setattr(spine, "static_settings", lambda name, n_live: spine.Dynesty(n_live=60, proposal="unif", bound="single"))
    result = spine.run("quick", progress=False, directory=tmp_path)
    assert not result.passed
    failed = {verdict.name for verdict in result.verdicts if not verdict.passed}
    assert "gauss3, width x 1.5, dynesty static: log Z" in failed


def test_tiers_hold_what_they_promise() -> None:
    assert set(spine.QUICK.static) == {"gauss3", "hole", "prior"}
    assert spine.QUICK.seeds == 1
    assert spine.QUICK.workers == (1, 2)
    for scale in (spine.FULL, spine.LONG):
        assert set(scale.static) == set(scale.dynamic) == set(analytic.PROBLEMS)
        assert set(scale.mcmc) == {"gauss3", "gauss10", "hole", "prior"}
        assert scale.seeds >= 12
        assert scale.workers == (1, 2, 4)
        assert scale.kills >= 100
        assert scale.replicas >= 300
        assert scale.controls
    with pytest.raises(ConfigError, match="no tier"):
        spine.run("everything")  # type: ignore[arg-type]


@pytest.mark.slow
def test_quick_passes() -> None:
    result = spine.run("quick", workers=2, progress=False)
    assert result.passed, str(result)
