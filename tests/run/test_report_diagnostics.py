from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.results.posterior import Posterior
from sciinf.results.run_directory import RunDirectory
from sciinf.run.report_diagnostics import diagnostic_rows


def rows_of(folder: Path, **changes: Any) -> dict[str, dict[str, str]]:
    posterior = sciinf.load(folder)
    manifest = {**RunDirectory(folder).read_manifest(), **changes}
    return {row["name"]: row for row in diagnostic_rows(posterior, posterior.summary(), manifest)}


def test_chains(finished: Path) -> None:
    rows = rows_of(finished / "runs" / "toy")
    assert list(rows)[:4] == ["Effective samples", "Autocorrelation time", "Chain length", "Acceptance"]
    assert rows["Chain length"]["tone"] == "good"
    assert "Insertion ranks" not in rows
    assert rows["Likelihood calls"]["value"] == f"{RunDirectory(finished / 'runs' / 'toy').read_manifest()['counts']['calls']:,}"


def test_a_short_chain_is_marked(finished: Path) -> None:
    rows = rows_of(finished / "runs" / "toy", report={"n_over_tau": 12.0, "tau": {"mu": 30.0, "scale": 40.0}, "burn": 5})
    assert (rows["Chain length"]["value"], rows["Chain length"]["tone"]) == ("12 τ", "bad")
    assert rows["Autocorrelation time"]["value"] == "40.0 steps"
    assert "scale" in rows["Autocorrelation time"]["note"]


def test_nested_runs(finished: Path) -> None:
    rows = rows_of(finished / "runs" / "nested", counts={"calls": 1000, "minus_inf": 10, "rejected": 3})
    p_value = float(rows["Insertion ranks"]["value"].removeprefix("p = "))
    assert 0 <= p_value <= 1
    assert rows["Insertion ranks"]["tone"] == ("good" if p_value > 1e-3 else "bad")
    stated = sciinf.load(finished / "runs" / "nested").log_evidence_error
    assert 0.3 < float(rows["Evidence error, bootstrap"]["value"]) / stated < 3.0  # two estimates of one error, 50 resamplings
    assert (rows["NaN, taken as −∞"]["value"], rows["NaN, taken as −∞"]["tone"]) == ("3", "bad")
    assert rows["Calls at ln L = −∞"]["value"] == "10"


def test_few_samples_are_marked() -> None:
    n = 30
    posterior = Posterior(np.random.default_rng(1).standard_normal((n, 1)), *[np.zeros(n)] * 3, ("x",))
    rows = {row["name"]: row for row in diagnostic_rows(posterior, posterior.summary(), {})}
    assert (rows["Effective samples"]["value"], rows["Effective samples"]["tone"]) == ("30", "bad")
    assert rows["Largest Monte Carlo error"]["tone"] == "bad"  # 1 / sqrt(30) = 0.18 sigma
    assert float(rows["Largest Monte Carlo error"]["value"].split()[0]) == pytest.approx(1 / np.sqrt(n), rel=0.05)
