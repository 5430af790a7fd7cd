from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import sciinf
from sciinf.calibration import analytic
from sciinf.cli import app

MODEL = """
import time
import numpy as np
from sciinf import FunctionEngine, Parameter, PriorSet
from sciinf.core.priors import Normal

SLEEP = 0.0

def log_likelihood(thetas):
    time.sleep(SLEEP)
    return -0.5 * np.sum(thetas**2, axis=1)

def derived(theta):
    return float(theta[0])

def engine():
    priors = PriorSet([Parameter("x", Normal(0, 3)), Parameter("y", Normal(0, 3))])
    return FunctionEngine(log_likelihood, ["x", "y"], default_priors=priors, derived={"twin": derived}, vectorized=True, version="1")
"""

CONFIG = """
[run]
name = "cheap"
seed = 2

[engine]
kind = "function"
target = "cheap_model.py:engine"

[sampler]
kind = "emcee"
n_walkers = 48
n_steps = 800
burn = 100
tau_multiple = 15
thin = 5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a config and its model."""
    (tmp_path / "cheap_model.py").write_text(MODEL)
    (tmp_path / "cheap.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("cheap_model", None)


@pytest.fixture(scope="session")
def done_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with everything around it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cheap_model.py").write_text(MODEL)
    (folder / "cheap.toml").write_text(CONFIG)
    nested = CONFIG.split("[sampler]")[0] + '[sampler]\nkind = "dynesty"\nn_live = 40\nwalks = 5\n'
    for name, text in (("cheap", CONFIG), ("first", nested), ("second", nested.replace("seed = 2", "seed = 3"))):
        (folder / f"{name}.toml").write_text(text)
        result = CliRunner().invoke(
            app, ["run", str(folder / f"{name}.toml"), "--out", str(folder / "runs" / name), "--json", "--no-report"]
        )
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def done(done_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished runs, as the current folder."""
    folder = Path(shutil.copytree(done_once, tmp_path / "done"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sciinf_command() -> Callable[..., Result]:
    """The command line in this process."""

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return invoke


Command = Callable[..., Result]


def only_json(result: Result) -> dict[str, Any]:
    """The one JSON object that is all of standard output."""
    content: dict[str, Any] = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert content["exit_code"] == result.exit_code
    return content


def test_run_prints_a_table_and_writes_the_default_directory(here: Path, sciinf_command: Command) -> None:
    result = sciinf_command("run", "cheap.toml")
    assert result.exit_code == 0, result.output
    assert "mean ± std" in result.stdout
    assert "report runs/cheap/report.html" in result.stdout
    assert (here / "runs" / "cheap" / "report.html").exists()
    assert result.stderr == ""


def test_run_as_json_prints_one_object(here: Path, sciinf_command: Command) -> None:
    content = only_json(sciinf_command("run", "cheap.toml", "--json", "--no-report", "--out", "x", "--seed", "9"))
    assert (content["command"], content["directory"], content["status"], content["seed"]) == ("run", "x", "complete", 9)
    assert {row["name"] for row in content["summary"]["rows"]} == {"x", "y", "twin"}
    assert content["content_hash"] == sciinf.load("x").content_hash()


def test_quiet_prints_nothing(here: Path, sciinf_command: Command) -> None:
    result = sciinf_command("run", "cheap.toml", "-q", "--no-report")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_walkers = 48", "n_walker = 48", "cheap.toml: [sampler]"),
        ("[engine]", "[engin]", "cheap.toml needs the key 'engine'"),
        ('kind = "function"', 'kind = "functon"', "did you mean 'function'"),
        ("cheap_model.py:engine", "cheap_model.py:engin", "did you mean 'engine'"),
        ("cheap_model.py:engine", "absent.py:engine", "target file 'absent.py' was not found beside the config"),
        ("[sampler]", '[parameters.z]\nprior = "normal"\nmean = 0\nstd = 1\n[sampler]', "the engine has no parameter 'z'"),
        ("[sampler]", '[parameters.x]\nprior = "normal"\nmean = 0\nstd = 0\n[sampler]', "[parameters.x]: Normal"),
        ("[sampler]", "[parameters.x]\nfixed = 0\n[parameters.y]\nfixed = 0\n[sampler]", "nothing to sample"),
    ],
)
def test_a_bad_config_exits_2_with_one_message_and_writes_nothing(
    here: Path, sciinf_command: Command, old: str, new: str, message: str
) -> None:
    (here / "cheap.toml").write_text(CONFIG.replace(old, new))
    result = sciinf_command("run", "cheap.toml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: cheap.toml")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (here / "runs").exists()
    content = only_json(sciinf_command("run", "cheap.toml", "--json"))
    assert message in content["message"]
    assert content["error"] in ("ConfigError", "PriorError")


def test_a_directory_that_cannot_be_written_exits_2_before_the_run(here: Path, sciinf_command: Command) -> None:
    result = sciinf_command("run", "cheap.toml", "--out", "cheap_model.py/inside")
    assert result.exit_code == 2
    assert "the run directory 'inside' cannot be written (Not a directory)" in result.stderr


def test_an_existing_run_exits_2_and_overwrite_and_resume_go_on(done: Path, sciinf_command: Command) -> None:
    words = ["run", "cheap.toml", "--out", "runs/cheap", "--no-report"]
    result = sciinf_command(*words)
    assert result.exit_code == 2
    assert "--resume" in result.stderr
    assert sciinf_command(*words, "--resume", "-q").exit_code == 0
    assert sciinf_command(*words, "--overwrite", "-q").exit_code == 0
    assert (done / "runs" / "cheap" / "replaced-1").is_dir()


def test_a_spent_budget_exits_3_with_results_and_goes_on(done: Path, sciinf_command: Command) -> None:
    expected = sciinf.load(done / "runs" / "first").content_hash()
    text = (done / "first.toml").read_text()
    (done / "first.toml").write_text(text + "[resources]\nmax_calls = 400\n")
    result = sciinf_command("run", "first.toml", "--out", "cut", "--no-report")
    assert result.exit_code == 3
    assert "not converged (max_calls): results kept in cut. Raise max_calls" in result.stderr
    assert "sciinf run CONFIG --out cut --resume" in result.stderr
    assert sciinf.load("cut").status == "not_converged"
    assert only_json(sciinf_command("show", "cut", "--json"))["status"] == "not_converged"
    (done / "first.toml").write_text(text)
    content = only_json(sciinf_command("run", "first.toml", "--out", "cut", "--resume", "--json", "--no-report"))
    assert content["content_hash"] == expected


@pytest.mark.parametrize("kind", ["dynesty", "emcee"])
def test_a_spent_budget_of_a_compiled_engine_exits_3_and_goes_on(here: Path, sciinf_command: Command, kind: str) -> None:
    (here / "cheap_model.py").write_text(
        "from sciinf.calibration import analytic\n\ndef engine():\n    return analytic.gauss3().problem.engine\n"
    )
    options = {"dynesty": "n_live = 40\nwalks = 10\n", "emcee": "n_walkers = 12\nn_steps = 300\ntau_multiple = 3.0\n"}[kind]
    priors = "".join(f'[parameters.{name}]\nprior = "uniform"\nlow = -10.0\nhigh = 10.0\n' for name in analytic.gauss3().problem.names)
    head = CONFIG.split("[sampler]")[0].replace("seed = 2", "seed = 2\nrepeats = 2")
    text = head + priors + f'[sampler]\nkind = "{kind}"\nengine = "compiled"\n{options}'
    (here / "cheap.toml").write_text(text)
    whole = only_json(sciinf_command("run", "cheap.toml", "--out", "whole", "--json", "--no-report"))
    calls = sciinf.load("whole").meta["counts"]["calls"]
    (here / "cheap.toml").write_text(text + f"[resources]\nmax_calls = {calls * 3 // 4}\n")  # in the second repeat
    assert sciinf_command("run", "cheap.toml", "--out", "cut", "--no-report").exit_code == 3
    cut = sciinf.load("cut")
    assert (cut.status, cut.meta["sampler"]["engine"], len(cut.meta["repeats"])) == ("not_converged", "compiled", 2)
    (here / "cheap.toml").write_text(text + f"[resources]\nmax_calls = {2 * calls}\n")
    content = only_json(sciinf_command("run", "cheap.toml", "--out", "cut", "--resume", "--json", "--no-report"))
    assert content["content_hash"] == whole["content_hash"]


def test_a_likelihood_that_fails_exits_1_with_theta(here: Path, sciinf_command: Command) -> None:
    (here / "cheap_model.py").write_text(MODEL.replace("return -0.5 * np.sum(thetas**2, axis=1)", "return np.full(len(thetas), np.nan)"))
    result = sciinf_command("run", "cheap.toml")
    assert result.exit_code == 1
    assert "gave NaN" in result.stderr
    assert "x=" in result.stderr
    assert "Traceback" not in result.stderr


def test_all_start_points_at_minus_infinity(here: Path, sciinf_command: Command) -> None:
    (here / "cheap_model.py").write_text(MODEL.replace("return -0.5 * np.sum(thetas**2, axis=1)", "return np.full(len(thetas), -np.inf)"))
    result = sciinf_command("run", "cheap.toml")
    assert result.exit_code == 1
    assert "points of the prior were tried" in result.stderr


def test_nan_may_be_rejected_and_counted(here: Path, sciinf_command: Command) -> None:
    model = MODEL.replace(
        "return -0.5 * np.sum(thetas**2, axis=1)", "return np.where(thetas[:, 0] > 1, np.nan, -0.5 * np.sum(thetas**2, axis=1))"
    )
    (here / "cheap_model.py").write_text(model)
    (here / "cheap.toml").write_text(CONFIG.replace("seed = 2", 'seed = 2\non_nan = "reject"'))
    content = only_json(sciinf_command("run", "cheap.toml", "--json", "--no-report"))
    assert content["counts"]["rejected"] > 0


def test_show_checks_the_manifest(done: Path, sciinf_command: Command) -> None:
    result = sciinf_command("show", "runs/cheap")
    assert result.exit_code == 0
    assert "(as the manifest says)" in result.stdout
    shutil.copy("runs/first/posterior.h5", "runs/cheap/posterior.h5")
    result = sciinf_command("show", "runs/cheap")
    assert result.exit_code == 1
    assert "the manifest says" in result.stderr
    assert only_json(sciinf_command("show", "runs/cheap", "--json"))["intact"] is False


def test_report_writes_and_names_the_file(done: Path, sciinf_command: Command) -> None:
    result = sciinf_command("report", "runs/cheap", "--out", "r.html")
    assert (result.exit_code, result.stdout) == (0, "r.html\n")
    assert "Data and settings" in (done / "r.html").read_text()
    (done / "cheap_model.py").unlink()
    result = sciinf_command("report", "runs/cheap", "--out", "r.html")
    assert result.exit_code == 0
    assert "the engine's own pictures are left out" in result.stderr


def test_reproduce_says_identical(done: Path, sciinf_command: Command) -> None:
    result = sciinf_command("reproduce", "runs/first", "-q")
    assert (result.exit_code, result.output) == (0, "")
    result = sciinf_command("reproduce", "runs/first", "--here")
    assert result.exit_code == 0
    assert result.stdout.startswith("identical: content hash ")
    assert (done / "runs" / "first-reproduced" / "manifest.json").exists()
    assert sciinf_command("reproduce", "runs/first", "--here", "--out", "x").exit_code == 2


def test_reproduce_of_a_changed_model(done: Path, sciinf_command: Command) -> None:
    (done / "cheap_model.py").write_text(MODEL.replace("thetas**2", "(thetas - 1)**2"))
    assert sciinf_command("reproduce", "runs/first").exit_code == 2
    result = sciinf_command("reproduce", "runs/first", "--force", "--out", "again")
    assert result.exit_code == 4
    assert "does not agree" in result.stdout
    assert "mean of x" in result.stdout
    content = only_json(sciinf_command("reproduce", "runs/first", "--force", "--json"))
    assert content["identical"] is False


def test_compare_prints_factor_and_shifts(done: Path, sciinf_command: Command) -> None:
    result = sciinf_command("compare", "runs/first", "runs/second")
    assert result.exit_code == 0
    assert "log Bayes factor, cheap (first) over cheap (second): " in result.stdout
    assert " σ" in result.stdout
    assert (done / "comparison.png").exists()
    content = only_json(sciinf_command("compare", "runs/first", "runs/cheap", "--json", "--figure", "c.pdf"))
    assert "no evidence in cheap" in content["bayes_factors"][0]["refused"]
    assert (done / "c.pdf").read_bytes().startswith(b"%PDF")
    assert sciinf_command("compare", "runs/first").exit_code == 2


def test_runs_from_python_are_shown_and_sent_back(tmp_path: Path, sciinf_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.calibration import analytic

    problem = analytic.gauss3().problem
    monkeypatch.chdir(tmp_path)
    settings = sciinf.Emcee(n_walkers=16, n_steps=30, burn=0, thin=1)
    sciinf.sample(problem, settings, seed=4, directory=tmp_path / "mine", progress=False)
    assert sciinf_command("show", "mine").exit_code == 0
    assert sciinf_command("report", "mine").exit_code == 0
    for command in ("resume", "reproduce"):
        result = sciinf_command(command, "mine")
        assert result.exit_code == 2
        assert "sample(problem, settings, seed=4, directory='mine', resume=True)" in result.stderr


@pytest.mark.parametrize("command", ["show", "resume", "report", "reproduce"])
def test_what_is_no_run_directory_exits_2(tmp_path: Path, sciinf_command: Command, command: str) -> None:
    result = sciinf_command(command, str(tmp_path))
    assert result.exit_code == 2
    assert "is not a run directory" in result.stderr


def test_validate_passes_on_the_verdict(sciinf_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.calibration.verdict import Verdict
    from sciinf.validation import Suite
    from sciinf.validation.suite import SuiteResult

    asked: list[tuple[str, int]] = []

    def outcome(passed: bool) -> Callable[..., SuiteResult]:
        def run(self: Suite, tier: str, *, workers: int, progress: bool, directory: Path | None) -> SuiteResult:
            asked.append((tier, workers))
            return SuiteResult(self.name, tier, (Verdict("a check", 1.0, 0.5, 10, passed),), seed=3)

        return run

    monkeypatch.setattr(Suite, "run", outcome(True))
    result = sciinf_command("validate", "spine", "--quick")
    assert result.exit_code == 0
    assert "a check" in result.stdout
    monkeypatch.setattr(Suite, "run", outcome(False))
    content = only_json(sciinf_command("validate", "cmb", "--full", "--workers", "2", "--json"))
    assert (content["exit_code"], content["passed"], content["suite"]) == (4, False, "cmb")
    assert (content["seed"], content["versions"]["python"]) == (3, platform.python_version())
    assert asked == [("quick", 1), ("full", 2)]
    assert sciinf_command("validate", "spine", "--quick", "--full").exit_code == 2
    result = sciinf_command("validate", "spin")
    assert result.exit_code == 2
    assert "did you mean 'spine'" in result.stderr


def test_template_prints_a_config_or_writes_a_new_file(tmp_path: Path, sciinf_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.run.config import load_config

    monkeypatch.chdir(tmp_path)
    result = sciinf_command("template", "function")
    assert result.exit_code == 0
    assert sciinf_command("template", "function", "--out", "mine.toml").exit_code == 0
    assert (tmp_path / "mine.toml").read_text() == result.stdout
    assert load_config(tmp_path / "mine.toml").name == "my_run"
    result = sciinf_command("template", "function", "--out", "mine.toml")
    assert result.exit_code == 2
    assert "exists; nothing was written" in result.stderr
    result = sciinf_command("template", "cbm")
    assert result.exit_code == 2
    assert "did you mean 'cmb'" in result.stderr


def test_doctor_as_table_and_json(sciinf_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.run import doctor

    monkeypatch.setattr(doctor, "planck", lambda: [doctor.Finding("data", "Planck 2018", "not found", "absent")])
    result = sciinf_command("doctor")
    assert result.exit_code == 0
    assert "numba" in result.stdout
    assert {item["topic"] for item in only_json(sciinf_command("doctor", "--json"))["findings"]} == {"versions", "threads", "data", "numba"}
    monkeypatch.setattr(doctor, "planck", lambda: [doctor.Finding("data", "Planck 2018", "damaged", "wrong")])
    assert sciinf_command("doctor").exit_code == 1


def test_version_and_help(sciinf_command: Command) -> None:
    assert sciinf_command("--version").stdout == f"sciinf {sciinf.__version__}\n"
    for command in ("run", "resume", "show", "report", "reproduce", "compare", "validate", "template", "doctor"):
        assert command in sciinf_command("--help").stdout
        assert sciinf_command(command, "--help").exit_code == 0


def test_data_must_be_key_and_path(here: Path, sciinf_command: Command) -> None:
    result = sciinf_command("run", "cheap.toml", "--data", "target")
    assert result.exit_code == 2
    assert "--data must be KEY=PATH, got 'target'" in result.stderr


# Real processes


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sciinf.cli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")])
def test_an_interrupted_process_exits_130_and_resumes_to_the_same_bytes(
    done: Path, sciinf_command: Command, number: int, name: str
) -> None:
    """Kept long by a sleep of which the engine's fingerprint knows nothing, so that the resumed run can go on without it."""
    expected = sciinf.load(done / "runs" / "cheap").content_hash()
    (done / "cheap_model.py").write_text(MODEL.replace("SLEEP = 0.0", 'SLEEP = 0.0 if __import__("os").environ.get("FAST") else 0.01'))
    (done / "cheap.toml").write_text(CONFIG + "[resources]\ncheckpoint_every = 0.1\n")
    process = start(done, "run", "cheap.toml", "--out", "slow", "--no-report", "--json")
    wait_for(lambda: (done / "slow" / "checkpoint.bin").exists())
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"stopped by {name}" in err
    assert "resume with: sciinf resume slow" in err
    assert "Traceback" not in err
    assert json.loads(out)["exit_code"] == 130
    assert json.loads((done / "slow" / "manifest.json").read_text())["status"] == "interrupted"
    shown = sciinf_command("show", "slow")
    assert shown.exit_code == 0
    assert "interrupted" in shown.stdout
    assert "sciinf resume slow" in shown.stdout
    os.environ["FAST"] = "1"
    try:
        content = only_json(sciinf_command("resume", "slow", "--json"))
    finally:
        del os.environ["FAST"]
    assert content["content_hash"] == expected
    assert content["status"] == "complete"


def test_a_process_with_a_bad_config_exits_2_without_a_traceback(here: Path) -> None:
    (here / "cheap.toml").write_text(CONFIG.replace("seed = 2", 'seed = "two"'))
    process = start(here, "run", "cheap.toml")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == "error: cheap.toml: run.seed must be an integer of at least 0, got the string 'two'\n"


def test_a_second_writer_is_refused(done: Path, sciinf_command: Command) -> None:
    (done / "cheap_model.py").write_text(MODEL.replace("SLEEP = 0.0", "SLEEP = 0.01"))
    process = start(done, "run", "cheap.toml", "--out", "slow", "--no-report", "-q")
    try:
        wait_for(lambda: (done / "slow" / "manifest.json").exists())
        result = sciinf_command("resume", "slow")
        assert result.exit_code == 2
        assert "another process is writing the run directory 'slow'" in result.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_help_loads_no_heavy_module() -> None:
    heavy = ("numpy", "scipy", "numba", "matplotlib", "dynesty", "emcee", "h5py", "rich")
    code = f"import sys, sciinf.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
