"""A run and its background, and an engine's own check: for any engine that offers them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.calibration import injections
from sciinf.core.errors import ConfigError, DataError, SciinfError, SciinfWarning
from sciinf.results.posterior import Posterior
from sciinf.run import background
from sciinf.run.reproduce import reproduce
from sciinf.run.runner import RunOptions, resume, run
from sciinf.run.show import look, report_again
from sciinf.samplers.checkpoint import Interrupted

Edit = Callable[[Path, str, str], None]

MODEL = """
import dataclasses
import numpy as np
from sciinf import FunctionEngine, Parameter, PriorSet
from sciinf.core.engine import Background
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem


def log_likelihood(thetas, data):
    return -0.5 * (thetas[:, 0] - data[0]) ** 2 + 0.5 * data[0] ** 2


class Search(FunctionEngine):
    def background(self, problem):
        return Background(lambda: [Problem(searched(float(x)), problem.priors, name=f"off {x}") for x in range(3)], judge, figure)

    def check(self, posterior):
        return posterior


def judge(on, log_evidence):
    k = int(np.sum(log_evidence >= on))
    return {"k": k, "sentence": f"{k} of {len(log_evidence)} are as loud."}


def figure(record):
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4, 2))
    drawn.subplots().hist(record["log_evidence"])
    drawn.set_label("Three runs.")
    return drawn


def searched(x):
    priors = PriorSet([Parameter("mu", Uniform(-5, 5))])
    return Search(log_likelihood, ["mu"], data=np.array([x]), default_priors=priors, vectorized=True, version="1")


def engine():
    return searched(1.5)
"""
CONFIG = """[run]
name = "searched"
seed = 5

[engine]
kind = "function"
target = "searched_model.py:engine"

[sampler]
kind = "dynesty"
n_live = 40
walks = 5
"""
FILES = {"config.toml", "manifest.json", "posterior.h5", "background.json", "summary.txt", "report.html", "run.log"}


def folder_with(place: Path, model: str = MODEL, config: str = CONFIG) -> Path:
    place.mkdir()
    (place / "searched_model.py").write_text(model)
    (place / "searched.toml").write_text(config)
    return place


def options(folder: Path, **changes: Any) -> RunOptions:
    return RunOptions(output=folder / "run", progress=False, **changes)


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "run" / "manifest.json").read_text())
    return manifest


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = folder_with(tmp_path_factory.mktemp("background") / "project")
    run(folder / "searched.toml", options(folder))
    return folder


@pytest.fixture
def project(done: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(done, tmp_path / "project"))


def test_a_background_stands_beside_the_posterior_and_in_the_manifest(done: Path) -> None:
    assert {item.name for item in (done / "run").iterdir()} == FILES
    record = json.loads((done / "run" / "background.json").read_text())
    posterior = sciinf.load(done / "run")
    assert record["on"] == posterior.log_evidence
    assert record["names"] == ["off 0", "off 1", "off 2"]
    assert record["k"] == int(np.sum(np.array(record["log_evidence"]) >= posterior.log_evidence))
    note = manifest_of(done)["background"]
    assert note["status"] == "complete"
    assert note["sentence"] == record["sentence"] == "1 of 3 are as loud."
    assert manifest_of(done)["check"] == {"status": "ok"}


def test_its_runs_have_the_runs_own_settings_and_are_right(done: Path) -> None:
    record = json.loads((done / "run" / "background.json").read_text())
    # integral of exp(-(mu - x)^2/2 + x^2/2) over a prior of width 10
    truth = 0.5 * np.log(2.0 * np.pi) - np.log(10.0) + 0.5 * np.arange(3.0) ** 2
    errors = np.array(record["log_evidence_error"])
    assert np.all(np.abs(np.array(record["log_evidence"]) - truth) < 5.0 * errors + 0.01)


def test_show_and_report_tell_it(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sciinf.run import console

    view = look(done / "run")
    assert view.intact
    assert view.to_dict()["background"]["k"] == 1
    console.show(view)
    assert "background: 1 of 3 are as loud." in capsys.readouterr().out
    text = (done / "run" / "report.html").read_text()
    assert "3 runs of the same search where no signal can be: 1 of 3 are as loud." in text
    assert "Three runs." in text
    assert '<a href="#background">' in text


def test_a_report_without_the_engine_keeps_the_sentence(project: Path) -> None:
    (project / "searched_model.py").unlink()
    target, missing = report_again(project / "run", {})
    assert missing
    assert "1 of 3 are as loud." in target.read_text()
    assert "Three runs." not in target.read_text()


def test_a_picture_that_cannot_be_drawn_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = MODEL.replace("    drawn = Figure", "    raise ValueError('no ink')\n    drawn = Figure")
    (project / "searched_model.py").write_text(edited)
    run(project / "searched.toml", options(project, overwrite=True))
    assert "The picture of the background could not be drawn: no ink" in (project / "run" / "report.html").read_text()


def test_an_edited_or_lost_file_is_seen_and_a_resume_makes_it_again(project: Path) -> None:
    before = (project / "run" / "background.json").read_bytes()
    (project / "run" / "background.json").write_bytes(before.replace(b'"k": 1', b'"k": 0'))
    view = look(project / "run")
    assert not view.intact
    assert "background.json has sha256" in view.problem
    (project / "run" / "background.json").unlink()
    assert "background.json is missing" in look(project / "run").problem
    resume(project / "run", options(project, report=False))
    assert (project / "run" / "background.json").read_bytes() == before
    assert look(project / "run").intact


def test_a_record_that_is_none_is_refused(project: Path) -> None:
    import hashlib

    for text in ("{", "[]", "{}"):
        (project / "run" / "background.json").write_text(text)
        manifest = manifest_of(project)
        manifest["background"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        with pytest.raises(DataError, match=r"background\.json: not"):
            background.read_background(project / "run", manifest)


def test_an_interrupted_background_goes_on_with_the_next_unit(project: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "run")
    made: list[int] = []
    real = injections._run_unit

    def second_fails(problem: Any, unit: Any) -> bytes:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(unit.index)
        return real(problem, unit)

    monkeypatch.setattr(injections, "_run_unit", second_fails)
    with pytest.raises(Interrupted, match="the posterior is complete; its background was stopped after 1 of 3 runs, which are kept"):
        run(project / "searched.toml", options(project))
    assert manifest_of(project)["background"] == {"status": "running"}
    assert look(project / "run").summary is not None
    again: list[int] = []

    def counted(problem: Any, unit: Any) -> bytes:
        if not unit.path.exists():
            again.append(unit.index)
        return real(problem, unit)

    monkeypatch.setattr(injections, "_run_unit", counted)
    resume(project / "run", options(project))
    assert again == [1, 2]
    assert (project / "run" / "background.json").read_bytes() == (done / "run" / "background.json").read_bytes()
    assert not (project / "run" / "background").exists()


def test_an_unfinished_background_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sciinf.run import console

    manifest = manifest_of(project) | {"background": {"status": "running"}}
    (project / "run" / "manifest.json").write_text(json.dumps(manifest))
    console.show(look(project / "run"))
    assert "the background is not finished; go on with: sciinf resume" in capsys.readouterr().out


def test_workers_do_not_change_it(project: Path, done: Path) -> None:
    shutil.rmtree(project / "run")
    run(project / "searched.toml", options(project, workers=2, report=False))
    assert (project / "run" / "background.json").read_bytes() == (done / "run" / "background.json").read_bytes()


def test_reproduce_repeats_it_and_compares(project: Path) -> None:
    result = reproduce(project / "run", project / "again", RunOptions(progress=False))
    assert result.identical
    manifest = manifest_of(project)
    manifest["background"]["sha256"] = "0" * 64
    (project / "run" / "manifest.json").write_text(json.dumps(manifest))
    result = reproduce(project / "run", project / "again2", RunOptions(progress=False))
    assert not result.identical
    assert any("background: sha256 was 000" in difference for difference in result.differences)


def test_overwriting_moves_it_aside(project: Path) -> None:
    run(project / "searched.toml", options(project, overwrite=True, report=False))
    assert (project / "run" / "replaced-1" / "background.json").exists()


def test_a_sampler_without_evidence_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "project", config=CONFIG.replace('"dynesty"\nn_live = 40\nwalks = 5', '"emcee"\nn_walkers = 20'))
    with pytest.raises(ConfigError, match=r"searched.toml: a background compares evidences, which emcee does not give: .*kind = 'dynesty'"):
        run(folder / "searched.toml", options(folder))
    assert not (folder / "run").exists()


def test_a_run_that_did_not_converge_has_none(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "project", config=CONFIG + "\n[resources]\nmax_calls = 60\n")
    posterior = run(folder / "searched.toml", options(folder, report=False))
    assert posterior.status == "not_converged"
    assert "background" not in manifest_of(folder)
    assert "check" not in manifest_of(folder)


def test_what_the_check_says_is_in_summary_log_show_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sciinf.run import console

    said = "{'scan': {'text': 'the best lies at 3 [Hz]', 'good': True}, 'width': {'text': 'too wide', 'good': False}}"
    says = MODEL.replace(
        "        return posterior\n", f"        return dataclasses.replace(posterior, meta={{**posterior.meta, 'check': {said}}})\n"
    )
    folder = folder_with(tmp_path / "project", says)
    run(folder / "searched.toml", options(folder))
    summary, log = ((folder / "run" / name).read_text() for name in ("summary.txt", "run.log"))
    assert summary.splitlines()[-2:] == ["the best lies at 3 [Hz]", "warning: too wide"]
    assert "INFO" in next(line for line in log.splitlines() if "the best lies at 3 [Hz]" in line)
    assert "WARNING" in next(line for line in log.splitlines() if "too wide" in line)
    console.show(look(folder / "run"))
    shown = capsys.readouterr().out
    assert "the best lies at 3 [Hz]\nwarning: too wide\n" in shown
    assert look(folder / "run").to_dict()["summary"]["notes"][1] == {"text": "too wide", "good": False}
    html = (folder / "run" / "report.html").read_text()
    assert '<p class="soft">the best lies at 3 [Hz].</p>' in html
    assert '<p class="notice">too wide.</p>' in html


MISSED = MODEL.replace("        return posterior\n", '        return dataclasses.replace(posterior, status="missed_mode")\n')


def test_a_missed_mode_is_kept_and_said_and_exits_with_3(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from sciinf.cli import app

    folder = folder_with(tmp_path / "project", MISSED)
    result = CliRunner().invoke(app, ["run", str(folder / "searched.toml"), "--out", str(folder / "run")])
    assert result.exit_code == 3, result.output
    assert "missed mode: results kept in" in result.stderr
    assert "missed mode" in result.stdout
    assert sciinf.load(folder / "run").status == "missed_mode"
    assert "status missed mode" in (folder / "run" / "summary.txt").read_text()
    manifest = manifest_of(folder)
    assert manifest["check"] == {"status": "missed_mode"}
    assert manifest["content_hash"] == sciinf.load(folder / "run").content_hash()
    assert "a mode of the posterior was missed" in (folder / "run" / "report.html").read_text()
    assert resume(folder / "run", options(folder, report=False)).status == "missed_mode"


def test_a_check_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    broken = MODEL.replace("        return posterior\n", "        raise LikelihoodError('no scan')\n")
    folder = folder_with(tmp_path / "project", "from sciinf.core.errors import LikelihoodError\n" + broken)
    with pytest.warns(SciinfWarning, match="the engine's own check could not be made: no scan"):
        posterior = run(folder / "searched.toml", options(folder, report=False))
    assert posterior.status == "ok"


def test_the_echo_engines_check_is_that_of_its_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    from sciinf.core.engine import check_of
    from sciinf.engines.echo.data import Psd
    from sciinf.engines.echo.model import EchoSearch
    from sciinf.engines.echo.strain import Strain

    strain = Strain(np.random.default_rng(1).standard_normal(4096), 1.0 / 1024.0, 0.0, "H1")
    engine = EchoSearch(strain, Psd.white(2.0 / 1024.0), band=(50.0, 200.0))
    missed = ModuleType("sciinf.engines.echo.missed")

    def check_against_scan(posterior: Posterior, engine: EchoSearch, scan: object = None) -> Posterior:
        assert isinstance(engine, EchoSearch)
        return dataclasses.replace(posterior, status="missed_mode")

    missed.check_against_scan = check_against_scan  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, missed.__name__, missed)
    posterior = Posterior(
        samples=np.ones((2, 4)), log_weights=np.zeros(2), log_likelihood=np.zeros(2), log_prior=np.zeros(2), names=engine.parameters
    )
    check = check_of(engine)
    assert check is not None
    assert check(posterior).status == "missed_mode"


def test_the_errors_are_the_packages(tmp_path: Path) -> None:
    assert issubclass(Interrupted, SciinfError)
    assert background.read_background(tmp_path, {}) == (None, "")
