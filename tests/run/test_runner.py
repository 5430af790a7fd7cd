from __future__ import annotations

import getpass
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sciinf
from sciinf.core.errors import ConfigError, LikelihoodError, ResumeError, SciinfWarning
from sciinf.core.fingerprint import sha256_of_file
from sciinf.run.runner import RunOptions, output_of, resume, run
from sciinf.run.stored import open_run

Edit = Callable[[Path, str, str], None]
FILES = {"config.toml", "manifest.json", "posterior.h5", "summary.txt", "report.html", "run.log"}


def options(project: Path, name: str = "toy", **changes: object) -> RunOptions:
    return RunOptions(output=project / "runs" / name, progress=False, **{"report": False, **changes})  # type: ignore[arg-type]


def manifest_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


def test_a_run_writes_what_it_promises(finished: Path) -> None:
    folder = finished / "runs" / "toy"
    assert {item.name for item in folder.iterdir()} == FILES
    manifest = manifest_of(folder)
    assert manifest["status"] == "complete"
    assert manifest["origin"] == "toml"
    assert manifest["inputs"] == {"target": sha256_of_file(finished / "toy_model.py")}
    assert manifest["config"]["given_priors"] == ["scale"]
    posterior = sciinf.load(folder)
    assert posterior.content_hash() == manifest["content_hash"]
    assert posterior.derived_names == ("total",)
    assert len(posterior) == 48 * 700 // 4
    assert (folder / "config.toml").read_bytes() == (finished / "toy.toml").read_bytes()
    log = (folder / "run.log").read_text()
    assert "default prior of the engine: mu ~ Normal(mean = 0, std = 2)" in log
    assert "scale ~" not in log


def test_the_posterior_is_that_of_the_python_way(finished: Path) -> None:
    sys.path.insert(0, str(finished))
    try:
        import toy_model
    finally:
        sys.path.remove(str(finished))
    from sciinf.core.priors import LogUniform

    engine = toy_model.engine()
    problem = sciinf.Problem(engine, engine.default_priors().replace(scale=LogUniform(0.1, 5.0)))
    settings = sciinf.Emcee(n_walkers=48, n_steps=800, burn=100, thin=4, tau_multiple=15)
    posterior = sciinf.sample(problem, settings, seed=5, progress=False)
    assert posterior.content_hash() == manifest_of(finished / "runs" / "toy")["content_hash"]


def test_output_is_the_options_the_configs_or_a_default(project: Path, edit: Edit) -> None:
    from sciinf.run.config import load_config

    config = load_config(project / "toy.toml")
    assert output_of(config, RunOptions()) == Path("runs/toy")
    assert output_of(config, RunOptions(output=Path("x"))) == Path("x")
    edit(project / "toy.toml", "seed = 5", 'seed = 5\noutput = "here/it/is"')
    assert output_of(load_config(project / "toy.toml"), RunOptions()) == project / "here/it/is"


def no_machine_in(folder: Path, *also: str) -> None:
    """No file of a run directory tells where, on which host or by whom it was written."""
    words = [str(Path.home()), str(Path.cwd()), sys.prefix, *also]
    for item in folder.rglob("*"):
        if not item.is_file():
            continue
        content = item.read_bytes().decode("utf-8", errors="replace")
        content = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", content)
        for word in words:
            assert word not in content, f"{item.name} holds {word}"
        if item.suffix != ".h5":
            assert re.search(rf"\b{re.escape(os.uname().nodename)}\b", content) is None, f"{item.name} holds the host's name"
        found = re.search(r"(?<![\w.])/(home|root|tmp|usr|var|work|Users|mnt|opt)/", content)
        assert found is None, f"{item.name}: {content[max(0, found.start() - 60) : found.end() + 60]}"


def test_no_file_holds_a_path_a_host_or_a_user(project: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "someuser4711")
    monkeypatch.setenv("LOGNAME", "someuser4711")
    monkeypatch.setattr(platform, "node", lambda: "somehost0815")
    monkeypatch.setattr(socket, "gethostname", lambda: "somehost0815")
    assert getpass.getuser() == "someuser4711"
    model = project / "toy_model.py"
    edit(project / "toy.toml", "toy_model.py:engine", f"{model}:engine")
    edit(project / "toy.toml", "# a toy run", f"# a toy run, see {project}/notes.txt")
    run(project / "toy.toml", options(project, report=True))
    folder = project / "runs" / "toy"
    no_machine_in(folder, "someuser4711", "somehost0815", str(project))
    copy = (folder / "config.toml").read_text()
    assert f"<engine.target sha256:{sha256_of_file(model)}>:engine" in copy
    assert "<.../notes.txt>" in copy


def test_a_failure_is_logged_without_paths_and_keeps_the_directory(project: Path, edit: Edit) -> None:
    edit(project / "toy_model.py", "    mu, scale =", f"    open({str(project / 'gone.txt')!r})\n    mu, scale =")
    with pytest.raises(LikelihoodError, match=r"raised FileNotFoundError"):
        run(project / "toy.toml", options(project))
    edit(project / "toy_model.py", "open(", "len(thetas) > 8 and open(")  # passes the start-up probe, fails in the sampler
    with pytest.raises(LikelihoodError, match=r"raised FileNotFoundError"):
        run(project / "toy.toml", options(project, "later"))
    folder = project / "runs" / "later"
    assert manifest_of(folder)["status"] == "failed"
    log = (folder / "run.log").read_text()
    assert re.search(r"toy_model:\d+ in log_likelihood", log)
    assert "<.../gone.txt>" in log
    no_machine_in(folder, str(project))


def test_an_existing_directory_is_kept_unless_asked(copied: Path) -> None:
    folder = copied / "runs" / "toy"
    before = {item.name: item.read_bytes() for item in folder.iterdir()}
    with pytest.raises(ConfigError, match=r"the run directory 'toy' exists.*--resume.*--overwrite"):
        run(copied / "toy.toml", options(copied))
    assert {item.name: item.read_bytes() for item in folder.iterdir()} == before
    run(copied / "toy.toml", options(copied, overwrite=True))
    assert {item.name for item in (folder / "replaced-1").iterdir()} == FILES
    assert (folder / "replaced-1" / "manifest.json").read_bytes() == before["manifest.json"]
    assert manifest_of(folder)["content_hash"] == json.loads(before["manifest.json"])["content_hash"]


def cut(project: Path, edit: Edit, name: str = "toy") -> Path:
    """A run that its budget stopped early."""
    edit(project / f"{name}.toml", "[sampler]", "[resources]\nmax_calls = 2000\n[sampler]" if name == "nested" else "[sampler]")
    if name == "toy":
        edit(project / "toy.toml", "checkpoint_every", "max_calls = 2000\ncheckpoint_every")
    posterior = run(project / f"{name}.toml", options(project, name))
    assert posterior.status == "not_converged"
    folder = project / "runs" / name
    assert manifest_of(folder)["status"] == "not_converged"
    return folder


@pytest.mark.parametrize("name", ["toy", "nested"])
def test_a_spent_budget_keeps_results_and_a_raised_one_goes_on(project: Path, finished: Path, edit: Edit, name: str) -> None:
    folder = cut(project, edit, name)
    assert (folder / "posterior.h5").exists()
    edit(project / f"{name}.toml", "max_calls = 2000", "max_calls = 1000000")
    posterior = run(project / f"{name}.toml", options(project, name, resume=True))
    assert posterior.status == "ok"
    assert posterior.content_hash() == manifest_of(finished / "runs" / name)["content_hash"]
    assert "max_calls = 1000000" in (folder / "config.toml").read_text()  # the copy follows the budgets that were accepted


def test_resume_of_a_directory_that_is_not_there_starts(project: Path) -> None:
    run(project / "toy.toml", options(project, resume=True))
    assert manifest_of(project / "runs" / "toy")["resumed"] == []


def test_resume_of_a_complete_run_reads_it_back(copied: Path) -> None:
    posterior = resume(copied / "runs" / "toy", RunOptions(progress=False, report=False))
    assert posterior.content_hash() == manifest_of(copied / "runs" / "toy")["content_hash"]


def test_resume_works_from_elsewhere_and_from_the_copy_alone(
    project: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = cut(project, edit)
    (project / "toy.toml").unlink()
    monkeypatch.chdir(tmp_path)
    assert resume(folder, RunOptions(progress=False, report=False)).status == "not_converged"
    assert manifest_of(folder)["resumed"][0]["status"] == "not_converged"


def test_resume_refuses_what_has_changed_and_says_which(project: Path, edit: Edit) -> None:
    folder = cut(project, edit)
    old = sha256_of_file(project / "toy_model.py")
    edit(project / "toy_model.py", "-0.5 *", "-0.51 *")
    new = sha256_of_file(project / "toy_model.py")
    with pytest.raises(ResumeError, match=rf"input 'target' was sha256 {old}, is {new}.*--data target=PATH"):
        resume(folder, RunOptions(progress=False, report=False))
    with pytest.raises(ResumeError, match=r"engine: was [0-9a-f]{64}, is [0-9a-f]{64}.*--force"):
        run(project / "toy.toml", options(project, resume=True))
    resume(folder, RunOptions(progress=False, force=True))
    assert manifest_of(folder)["resumed"][0]["forced"] is True
    report = (folder / "report.html").read_text()
    assert "resumed by force" in report
    assert "stopped before it converged (max_calls)" in report


def test_resume_refuses_an_edited_copy(project: Path, edit: Edit) -> None:
    folder = cut(project, edit)
    edit(folder / "config.toml", "n_steps = 800", "n_steps = 801")
    with pytest.raises(ResumeError, match=r"toy/config.toml was changed: its sha256 was [0-9a-f]{64}, is [0-9a-f]{64}"):
        resume(folder, RunOptions(progress=False, report=False))


def test_a_changed_sampler_or_prior_is_refused(project: Path, edit: Edit) -> None:
    cut(project, edit)
    edit(project / "toy.toml", "n_walkers = 48", "n_walkers = 50")
    with pytest.raises(ResumeError, match=r"sampler: was"):
        run(project / "toy.toml", options(project, resume=True))
    edit(project / "toy.toml", "n_walkers = 50", "n_walkers = 48")
    edit(project / "toy.toml", "high = 5.0", "high = 6.0")
    with pytest.raises(ResumeError, match=r"parameters: was"):
        run(project / "toy.toml", options(project, resume=True))


def test_a_moved_input_is_found_by_hash_or_given_by_key(project: Path, edit: Edit, tmp_path: Path) -> None:
    model = project / "toy_model.py"
    edit(project / "toy.toml", "toy_model.py:engine", f"{model}:engine")
    folder = cut(project, edit)
    moved = tmp_path / "elsewhere" / "moved_model.py"
    moved.parent.mkdir()
    model.rename(moved)
    with pytest.raises(ResumeError, match=r"engine.target was given by an absolute path.*--data target=PATH"):
        resume(folder, RunOptions(progress=False, report=False))
    for key in ("target", "engine.target"):
        resume(folder, RunOptions(progress=False, report=False, data={key: moved}))
    beside = folder.parent / "found_model.py"
    moved.rename(beside)
    assert resume(folder, RunOptions(progress=False, report=False)).status == "not_converged"
    assert manifest_of(folder)["resumed"][-1]["differs"] == []


def test_data_that_is_not_there_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"--data target=.*: there is no such file or folder"):
        run(project / "toy.toml", options(project, data={"target": project / "absent.py"}))


def test_a_run_from_python_is_sent_back_to_python(finished: Path, tmp_path: Path) -> None:
    from sciinf.core.function_engine import FunctionEngine

    engine = FunctionEngine(flat, ["x"], version="1")
    priors = sciinf.PriorSet([sciinf.Parameter("x", sciinf.core.priors.Uniform(0, 1))])
    settings = sciinf.Emcee(n_walkers=8, n_steps=20, burn=0, thin=1)
    sciinf.sample(sciinf.Problem(engine, priors), settings, seed=3, directory=tmp_path / "mine", progress=False)
    with pytest.raises(ConfigError, match=r"was started from Python.*sample\(problem, settings, seed=3, directory='mine', resume=True\)"):
        resume(tmp_path / "mine")
    assert open_run(tmp_path / "mine").from_python


def flat(theta: np.ndarray) -> float:
    return -0.5 * float(theta[0])


def test_the_same_bytes_for_any_number_of_workers(project: Path, finished: Path) -> None:
    posterior = run(project / "nested.toml", options(project, "nested", workers=2))
    assert manifest_of(project / "runs" / "nested")["resources"]["workers"] == 2
    assert posterior.content_hash() == manifest_of(finished / "runs" / "nested")["content_hash"]


def test_an_idle_parameter_and_an_edge_are_warned_of(project: Path, edit: Edit) -> None:
    edit(project / "toy_model.py", "    return FunctionEngine(", "    return Boxed(")
    edit(
        project / "toy_model.py",
        "def engine():",
        "class Boxed(FunctionEngine):\n    def domain(self):\n"
        '        return {"mu": (-1000.0, 1000.0), "scale": (0.1, 5.0), "idle": (0.0, 1.0)}\n\n\ndef engine():',
    )
    edit(project / "toy_model.py", '["mu", "scale"]', '["mu", "scale", "idle"]')
    edit(
        project / "toy.toml",
        "[sampler]",
        '[parameters.idle]\nprior = "uniform"\nlow = 0\nhigh = 1\n[parameters.mu]\nfixed = 0.5\n[sampler]',
    )
    with pytest.warns(SciinfWarning) as caught:
        run(project / "toy.toml", options(project, report=True))
    texts = [str(item.message) for item in caught]
    assert any("idle never changed the likelihood" in text for text in texts)
    assert any(re.match(r"idle: [\d.]+ % of the mass lies within 2 % of the box width from the lower edge 0", text) for text in texts)
    folder = project / "runs" / "toy"
    assert "from the upper edge 1" in (folder / "summary.txt").read_text()
    assert "leans on the edge" in (folder / "report.html").read_text()
    assert "WARNING SciinfWarning: toy: idle never changed" in (folder / "run.log").read_text()


def test_a_domain_that_the_prior_leaves_is_refused_before_anything_is_written(project: Path, edit: Edit) -> None:
    edit(project / "toy_model.py", "    return FunctionEngine(", "    return Boxed(")
    edit(
        project / "toy_model.py",
        "def engine():",
        'class Boxed(FunctionEngine):\n    def domain(self):\n        return {"scale": (0.2, 5.0)}\n\n\ndef engine():',
    )
    with pytest.raises(ValueError, match=r"^toy.toml: toy: the prior of 'scale' reaches over \[0.1, 5\]"):
        run(project / "toy.toml", options(project))
    assert not (project / "runs").exists()
