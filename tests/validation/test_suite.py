"""What a suite returns: JSON, text, controls that must fail, tiers, figures."""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from sciinf.calibration.verdict import Verdict
from sciinf.core.errors import ConfigError
from sciinf.validation import suites
from sciinf.validation.suite import Recorder, SuiteResult, check_tier

GOOD, BAD = Verdict("good", 0.1, 0.5, 10, True), Verdict("bad", 9.0, 1e-9, 10, False, "too far")


def recorded() -> SuiteResult:
    with Recorder("example", "quick", progress=False, seed=7) as record:
        record.add(GOOD)
        record.skip("slow part", "runs in --full")
        record.table("Figures", ["a", "b"], [["1", "2"]])
    return record.result()


def test_to_dict_is_json_and_text_says_it_all() -> None:
    result = recorded()
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert stored["passed"] is True
    assert {"sciinf", "python", "numpy", "scipy", "numba", "dynesty", "emcee", "h5py"} == set(stored["versions"])
    assert all(value[0].isdigit() for value in stored["versions"].values())
    assert stored["seed"] == 7
    assert stored["verdicts"][0]["name"] == "good"
    assert stored["skipped"] == [{"name": "slow part", "reason": "runs in --full"}]
    assert stored["tables"] == [{"title": "Figures", "header": ["a", "b"], "rows": [["1", "2"]]}]
    text = str(result)
    for piece in ("Figures", "good", "skipped: slow part: runs in --full", "example --quick: 1 checks, passed"):
        assert piece in text


def test_one_failure_fails_the_suite_and_nothing_checked_is_no_pass() -> None:
    assert not SuiteResult("s", "quick", (GOOD, BAD)).passed
    assert "1 FAILED" in str(SuiteResult("s", "quick", (GOOD, BAD)))
    assert not SuiteResult("s", "quick", ()).passed
    assert "nothing was checked" in str(SuiteResult("s", "quick", ()))


def test_a_control_passes_when_it_was_caught_and_fails_when_not() -> None:
    with Recorder("s", "full", progress=False) as record:
        record.add_renamed("fault", [GOOD, BAD], expect_failure=True)
        record.add_renamed("no fault", [GOOD], expect_failure=True)
        record.add_renamed("plain", [BAD])
    caught, missed, plain = record.result().verdicts
    assert (caught.passed, caught.name, caught.detail) == (True, "fault (control)", "must fail; caught by bad")
    assert (missed.passed, missed.detail) == (False, "must fail, and was not caught")
    assert (plain.passed, plain.name) == (False, "plain: bad")


@pytest.mark.parametrize("name", sorted(suites()))
def test_every_suite_records_its_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(suites()[name].module)
    made: list[Recorder] = []

    class StoppedError(Exception):
        """Nothing of the suite need run."""

    def recorder(*given: Any, **named: Any) -> Recorder:
        made.append(Recorder(*given, **named))
        raise StoppedError

    monkeypatch.setattr(module, "Recorder", recorder)
    with pytest.raises(StoppedError):
        suites()[name].run("quick", progress=False)
    seed = vars(module).get("SEED", vars(module).get("_SEED"))
    assert isinstance(seed, int)
    assert made[0].seed == seed
    assert made[0].result().to_dict()["seed"] == made[0].seed


def test_unknown_tier() -> None:
    assert check_tier("full") == "full"
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        check_tier("quik")
    with pytest.raises(ConfigError, match="no tier"), Recorder("s", "all", progress=False):
        pass


def test_figures_and_folders_only_where_there_is_a_directory(tmp_path: Path) -> None:
    assert Recorder("s", "quick").figure("a", Figure()) == ""
    record = Recorder("s", "quick", directory=tmp_path / "out")
    assert record.figure("a", Figure()) == "figures/a.png"
    assert (tmp_path / "out" / "figures" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_samplers_are_quiet_inside_and_as_before_outside() -> None:
    logger = logging.getLogger("sciinf.samplers")
    before = logger.level
    with Recorder("s", "quick", progress=False):
        assert logger.level == logging.ERROR
    assert logger.level == before


def test_suites_by_name_load_late() -> None:
    assert sorted(suites()) == ["cmb", "echo", "pn", "r3d", "spine"]
    assert suites()["spine"].module == "sciinf.validation.spine"
