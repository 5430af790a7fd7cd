"""The manifest: complete, JSON, without host, user or path; and what it lets a resumed run change."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.counters import Counts
from sciinf.core.errors import DataError, ResumeError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.results import manifest as manifests
from sciinf.results.run_directory import RunDirectory
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee


def gauss(theta: np.ndarray, width: float) -> float:
    return -0.5 * float(theta @ theta) / width**2


class WithFiles(FunctionEngine):
    """A user's function whose data came from files."""

    sha256 = "ab" * 32

    def provenance(self) -> Mapping[str, Any]:
        return {"files": {"noise.dat": self.sha256}, "source": "somewhere 1.2"}


def problem(width: float = 1.0, high: float = 5.0, kind: type[FunctionEngine] = FunctionEngine) -> Problem:
    return Problem(kind(gauss, ["x"], data=width, version="1"), PriorSet([Parameter("x", Uniform(-5.0, high))]))


def built(of: Problem | None = None, sampler: Mapping[str, Any] | None = None, seed: int = 1, **resources: Any) -> dict[str, Any]:
    return manifests.build(
        of or problem(),
        sampler or Dynesty().describe(),
        seed=seed,
        repeats=1,
        resources=resources,
        streams=["start", "sampler"],
        origin={"origin": "python"},
    )


def test_it_holds_what_is_needed_to_run_again() -> None:
    manifest = built(workers=2)
    assert manifest == json.loads(json.dumps(manifest))
    assert manifest["status"] == "running"
    assert manifest["origin"] == "python"
    assert manifest["engine"]["fingerprint"] == problem().engine.fingerprint()
    assert manifest["sampler"]["queue_size"] == 8
    assert manifest["seed"] == 1
    assert manifest["streams"] == ["start", "sampler"]
    assert {"python", "numpy", "dynesty", "emcee", "h5py"} <= set(manifest["versions"])
    assert manifest["versions"]["python"] == platform.python_version()
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", manifest["sciinf"]["commit"] or "0" * 40)
    assert manifest["machine"]["cpu"]
    assert manifest["priors"]["members"][0]["prior"] == {"kind": "Uniform", "low": -5.0, "high": 5.0}


@pytest.mark.parametrize("settings", [Dynesty(n_live=20, walks=5, dlogz=1.0), Emcee(n_walkers=8, n_steps=30)], ids=["dynesty", "emcee"])
def test_no_file_of_a_run_holds_host_user_or_path(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    sample(problem(), settings, seed=1, directory=tmp_path / "run", progress=False, max_calls=10_000)
    forbidden = {socket.gethostname(), str(tmp_path), str(Path.home()), str(Path.cwd()), os.environ.get("VIRTUAL_ENV", "/nowhere")}
    if (user := getpass.getuser()) not in ("root", "test"):
        forbidden.add(user)
    for path in (tmp_path / "run").iterdir():
        content = path.read_bytes()
        for word in forbidden - {"/", "", "localhost"}:
            assert word.encode() not in content, (path.name, word)


@pytest.mark.parametrize("settings", [Dynesty(n_live=20, walks=5, dlogz=1.0), Emcee(n_walkers=8, n_steps=30)], ids=["dynesty", "emcee"])
def test_a_run_writes_its_end_its_counts_and_its_hash(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    posterior = sample(problem(), settings, seed=1, directory=tmp_path / "run", progress=False)
    manifest = RunDirectory(tmp_path / "run").read_manifest()
    assert manifest["content_hash"] == posterior.content_hash()
    assert manifest["counts"]["calls"] > 20
    assert manifest["iterations"] > 0
    assert manifest["ended"] >= manifest["started"]
    assert manifest["sampler"]["engine"] == settings.kind
    assert manifest["sampler"]["form"] == ("scalar" if settings.kind == "dynesty" else "batched")
    assert posterior.meta["science_hash"] == manifest["science_hash"]


def test_the_science_hash_covers_engine_parameters_sampler_and_seed_and_nothing_else() -> None:
    reference = built(workers=1)["science_hash"]
    assert built(workers=8, threads=3, max_calls=7, max_seconds=1.0)["science_hash"] == reference
    assert built(Problem(problem().engine, problem().priors, name="another name"))["science_hash"] == reference
    others = [
        built(problem(width=2.0)),
        built(problem(high=6.0)),
        built(Problem(problem().engine, problem().priors, on_nan="reject")),
        built(sampler=Dynesty(n_live=501).describe()),
        built(sampler=Emcee().describe()),
        built(seed=2),
    ]
    hashes = [reference, *(item["science_hash"] for item in others)]
    assert len(set(hashes)) == len(hashes)


def test_a_limit_on_steps_is_a_budget() -> None:
    assert built(sampler=Emcee(max_steps=10).describe())["science_hash"] == built(sampler=Emcee().describe())["science_hash"]
    assert built(sampler=Emcee(n_steps=10).describe())["science_hash"] != built(sampler=Emcee().describe())["science_hash"]


def test_each_difference_is_named_with_both_hashes() -> None:
    old, new = built(), built(problem(width=2.0), seed=2)
    with pytest.raises(ResumeError) as caught:
        manifests.check_same_science(old, new)
    for part in ("engine", "seed"):
        assert f"{part}: was {old['science'][part]}, is {new['science'][part]}" in str(caught.value)
    assert "parameters" not in str(caught.value).split("engine, parameters")[0]
    assert len(manifests.check_same_science(old, new, force=True)) == 2
    assert manifests.check_same_science(old, built()) == []


def test_changed_data_files_and_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old = built(problem(kind=WithFiles))
    assert old["data"]["files"] == {"noise.dat": "ab" * 32}
    monkeypatch.setattr(WithFiles, "sha256", "cd" * 32)
    new = built(problem(kind=WithFiles))
    with pytest.raises(ResumeError, match=f"data file noise.dat: was sha256 {'ab' * 32}, is {'cd' * 32}"):
        manifests.check_same_science(old, new)
    other = {**built(), "versions": {**built()["versions"], "dynesty": "0.0.1"}}
    with pytest.raises(ResumeError, match=r"version of dynesty: was 0.0.1, is \d"):
        manifests.check_same_science(other, built())


def test_an_end_keeps_what_the_start_said() -> None:
    manifest = built()
    ended = manifests.finished(manifest, "complete", counts=Counts(3, 1, 0), iterations=2, content_hash="0", report={"tau": 3.0})
    assert ended["counts"] == {"calls": 3, "minus_inf": 1, "rejected": 0}
    assert {key: value for key, value in ended.items() if manifest[key] == value}.keys() >= {"seed", "science_hash", "started"}
    assert ended["status"] == "complete"


def test_what_is_not_a_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with pytest.raises(DataError, match="is this a run directory"):
        manifests.read(path)
    for content in ("{", "[]", json.dumps({"manifest_version": 99})):
        path.write_text(content)
        with pytest.raises(DataError, match=r"manifest.json"):
            manifests.read(path)
    manifests.write(path, built())
    assert manifests.read(path) == built() | {"started": manifests.read(path)["started"]}
