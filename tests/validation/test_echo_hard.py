"""The hard sets: units resume, nested runs stand beside the first, and every verdict can fail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sciinf.calibration.verdict import Verdict
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.engines.echo import EchoSearch, fixed_band_priors
from sciinf.engines.echo.simulate import comb, inject
from sciinf.samplers.settings import Dynesty
from sciinf.validation import echo_hard as hard
from sciinf.validation.echo_checks import noise

NAME = hard.SETS[0]
BEST = 50.0


def small(name: str, index: int, seed: int, data_folder: Path | None) -> Problem:
    """Ten teeth in four seconds of noise."""
    rng = np.random.default_rng([seed, index])
    data = noise(4.0, rng)
    signal = comb(data, spacing=5.83, offset_hz=1.26, width=0.4, amplitude=0.1, band=(50.0, 110.0), rng=rng)
    engine = EchoSearch(inject(data, signal), amplitude=Uniform(0.0, 10.0), band=(50.0, 110.0), offset_unit="Hz")
    return Problem(engine, fixed_band_priors(engine), name=f"{name}, {index}")


@dataclass
class Searches:
    """Stands in for scan and samplers: what each search reaches is given, and what ran is counted."""

    searched: dict[int, float] = field(default_factory=dict)
    nested: dict[int, float] = field(default_factory=dict)
    flagged: frozenset[int] = frozenset()
    evidence: dict[int, float] = field(default_factory=dict)
    statuses: dict[int, str] = field(default_factory=dict)
    scans: int = 0
    runs: list[str] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> Searches:
        patch.setattr(hard, "_problem", small)
        patch.setattr(hard, "scan", self.scan)
        patch.setattr(hard, "sample", self.sample)
        patch.setattr(hard, "_reached", lambda _, posterior: posterior.reached)
        patch.setattr(hard, "check_against_scan", lambda run, *_: SimpleNamespace(status="missed_mode" if run.flagged else "ok"))
        patch.setattr(hard, "importance_sample", lambda _, seed: SimpleNamespace(status=self.statuses.get(seed, "ok"), index=seed))
        patch.setattr(hard, "_within", lambda drawn, *_: (self.evidence.get(drawn.index, 10.0), 0.01))
        patch.setattr(hard, "_by_plain_points", lambda *_: (10.0, 0.01))
        return self

    def scan(self, engine: EchoSearch, **_: object) -> SimpleNamespace:
        self.scans += 1
        return SimpleNamespace(log_likelihood=BEST, starts=lambda n, rng: np.zeros((n, 3)))

    def sample(self, problem: Problem, settings: object, *, seed: int, progress: bool) -> SimpleNamespace:
        kind = "nested" if isinstance(settings, Dynesty) else "walkers"
        self.runs.append(f"{kind} {seed}")
        reached = (self.nested if kind == "nested" else self.searched).get(seed, BEST)
        return SimpleNamespace(reached=reached, flagged=seed in self.flagged, log_evidence=9.0, samples=np.zeros((4, 3)))

    def go(self, runs: int, folder: Path | None, n_live: int = 100) -> tuple[list[Verdict], list[str]]:
        """Seed 0, so that a unit's seed is its index."""
        verdicts, row = hard.hard_set(NAME, runs, n_live, 0, 1, folder, None)
        return verdicts, list(row)


def test_units_resume_and_a_broken_key_is_run_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = Searches({1: BEST - 0.3}).install(monkeypatch)
    first = fake.go(3, tmp_path)
    assert fake.scans == 6  # an exhaustive and a usual one each
    files = sorted((tmp_path / "hard-0").glob("unit-*.json"))
    assert [path.name for path in files] == [f"unit-{i:06d}.json" for i in range(3)]
    assert fake.go(3, tmp_path) == first
    assert fake.scans == 6
    content = json.loads(files[1].read_text(encoding="utf-8"))
    assert content["searched"] == BEST - 0.3
    files[1].write_text(json.dumps(content | {"problem": "another", "searched": 0.0}), encoding="utf-8")
    fake.runs.clear()
    assert fake.go(3, tmp_path) == first
    assert fake.runs == ["walkers 1", "nested 1"]
    fake.runs.clear()
    assert fake.go(4, tmp_path)[1][1] == "4 of 4"
    assert fake.runs == ["walkers 3", "nested 3"]
    fake.runs.clear()
    fake.go(3, tmp_path, n_live=200)
    assert len(fake.runs) == 6  # live points are part of the key


def test_nested_runs_stand_beside_the_first_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hard, "_NESTED", 2)
    fake = Searches().install(monkeypatch)
    verdicts, row = fake.go(5, tmp_path)
    assert fake.runs == ["walkers 0", "nested 0", "walkers 1", "nested 1", "walkers 2", "walkers 3", "walkers 4"]
    assert [v.n for v in verdicts] == [5, 2, 5]
    assert row[3] == "2 of 2"
    assert json.loads((tmp_path / "hard-0" / "unit-000004.json").read_text(encoding="utf-8"))["nested"] is None
    fake.runs.clear()
    assert fake.go(5, tmp_path) == (verdicts, row)
    assert fake.runs == []


@pytest.mark.parametrize(
    ("fake", "failed"),
    [
        (Searches(), ()),
        (Searches(searched={0: BEST - 0.51}), ()),  # 98 of 100 may be 49 of 50
        (Searches(searched={0: BEST - 0.51, 7: BEST - 3.0}), ("",)),
        (Searches(nested={3: BEST - 2.1}), (": misses named",)),
        (Searches(nested={3: BEST - 2.1}, flagged=frozenset({3})), ()),
        (Searches(nested={3: BEST - 1.9}), ()),
        (Searches(evidence={5: 10.06}), (": evidence",)),  # 4.2 of sqrt(2) 0.01
        (Searches(evidence=dict.fromkeys(range(50), 10.01)), (": evidence",)),  # 0.7 each, a mean that is 5 errors off
        (Searches(evidence={5: 10.05}), ()),
        (Searches(statuses={5: "not_converged"}), (": evidence",)),
    ],
    ids=["all reach", "one short", "two short", "silent miss", "named miss", "small miss", "far", "all a little", "not so far", "unsound"],
)
def test_verdicts_fail_where_a_search_falls_short(monkeypatch: pytest.MonkeyPatch, fake: Searches, failed: tuple[str, ...]) -> None:
    made = small(NAME, 0, 0, None)
    fake.install(monkeypatch)
    monkeypatch.setattr(hard, "_problem", lambda *_: made)
    verdicts, _ = fake.go(50, None)
    assert [v.name for v in verdicts if not v.passed] == [f"hard set: {NAME}{ending}" for ending in failed]


@pytest.mark.slow
def test_a_set_of_one_with_nothing_in_its_stead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hard, "_problem", small)
    verdicts, row = hard.hard_set(NAME, 1, 100, 1, 1, tmp_path, None)
    assert all(v.passed for v in verdicts), [str(v) for v in verdicts]
    assert row[1] == "1 of 1"
