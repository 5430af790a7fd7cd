"""The kills of the spine's suite: what they report, and two broken checkpoints that they must catch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sciinf.calibration.analytic import analytic_problem
from sciinf.results.run_directory import RunDirectory
from sciinf.samplers.segments import Segments
from sciinf.samplers.settings import Dynesty, Emcee
from sciinf.validation import spine_kills
from sciinf.validation.spine_kills import HEADER, KillReport, can_fork, killed_and_resumed

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")
CHAIN = Emcee(n_walkers=16, n_steps=300, tau_multiple=1.0, engine="emcee")
GOOD = KillReport(3, 1, {"fsync checkpoint.bin, temporary": 2}, 4, "a" * 64, ("a" * 64,), (), True)


def test_a_report_counts_kills_and_compares_hashes() -> None:
    assert GOOD.equal
    verdict = GOOD.verdict("x")
    assert (verdict.passed, verdict.n) == (True, 5)
    assert dict(zip(HEADER, GOOD.row("x"), strict=True))["inside a write"] == "1"
    for fault in ({"found": ("a" * 64, "b" * 64)}, {"found": ()}, {"left": ("checkpoint.bin",)}, {"same_counts": False}):
        assert not dataclasses.replace(GOOD, **fault).verdict("x").passed
    assert json.loads(json.dumps(dataclasses.asdict(GOOD)))["steps"] == GOOD.steps


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [CHAIN, Dynesty(n_live=40, walks=10, engine="dynesty"), Dynesty(n_live=100, engine="compiled")], ids=lambda item: item.kind
)
def test_kills_fall_at_every_kind_of_step_and_change_nothing(settings: Any) -> None:
    report = killed_and_resumed(analytic_problem("gauss3").problem, settings, kills=5, seed=1)
    assert report.equal, report
    assert report.random == 5
    for kind in ("manifest.json", "checkpoint.bin", "posterior.h5", "summary.txt"):
        for step in ("open", "fsync", "chmod", "replace"):
            assert report.steps[f"{step} {kind}, temporary"] >= 1
    wanted = ["write second half checkpoint.bin, temporary", "link checkpoint.bin", "replace checkpoint.previous.aside", "unlink run.lock"]
    wanted += ["unlink checkpoint.bin", "fsync the folder"]
    if settings is CHAIN:
        wanted += [f"{step} checkpoint.segment.npz, temporary" for step in ("open", "write", "write second half", "fsync", "replace")]
    for step in wanted:
        assert report.steps[step] >= 1, step


def test_a_resumed_chain_that_forgets_its_generator_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = Segments.read

    def forget(self: Segments, body: bytes, backend: Any) -> Any:
        state = read(self, body, backend)
        kind, keys, *_ = backend.random_state
        backend.random_state = (kind, keys, 0, 0, 0.0)
        return state

    monkeypatch.setattr(Segments, "read", forget)
    assert not in_this_process(tmp_path).equal


def test_left_over_files_are_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(RunDirectory, "remove_checkpoints", lambda self: None)
    report = in_this_process(tmp_path)
    assert report.found == (report.expected,)
    assert "checkpoint.bin" in report.left
    assert not report.equal


def in_this_process(folder: Path) -> KillReport:
    """Steps of the end alone, forked from here, where the fault is."""
    problem = analytic_problem("gauss3").problem
    alone = spine_kills.sample(problem, CHAIN, seed=1, progress=False)
    lives = spine_kills._Lives(problem, CHAIN, 1, folder, alone.meta["counts"])
    lives.life(spine_kills._wait, max_calls=alone.meta["counts"]["calls"] // 2)
    lives.finish()
    return KillReport(0, 0, {}, lives.runs, alone.content_hash(), tuple(lives.found), tuple(sorted(lives.left)), lives.same_counts)
