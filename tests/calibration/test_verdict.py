"""The verdict object and its table."""

from __future__ import annotations

import json
import math

import pytest

from sciinf.calibration.verdict import Verdict, all_passed, bonferroni, verdict_table
from sciinf.core.errors import ConfigError


def test_to_dict_is_json_even_when_the_statistic_is_not_finite() -> None:
    text = json.dumps(Verdict("t", math.inf, None, 3, False, "d", "f.png").to_dict(), allow_nan=False)
    assert json.loads(text) == {"name": "t", "statistic": "inf", "p": None, "n": 3, "passed": False, "detail": "d", "figure": "f.png"}


def test_table_marks_failures() -> None:
    lines = verdict_table([Verdict("good", 0.1, 0.5, 10, True), Verdict("bad", 9.0, 1e-9, 10, False)]).splitlines()
    assert lines[2].startswith("pass  good")
    assert lines[3].startswith("FAIL  bad")


def test_nothing_tested_is_not_a_pass() -> None:
    assert not all_passed([])
    assert all_passed([Verdict("a", 0, 1.0, 1, True)])
    assert not all_passed([Verdict("a", 0, 1.0, 1, True), Verdict("b", 0, 0.0, 1, False)])


def test_bonferroni_never_exceeds_one() -> None:
    assert bonferroni([0.9, 0.8, 0.95]) == (1, 1.0)


def test_a_probability_outside_0_1_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.5"):
        Verdict("t", 0.0, 1.5, 1, True)
