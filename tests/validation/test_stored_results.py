"""The stored results of the suites are what `sciinf validate --json` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "validation" / "results"
KEYS = ["command", "suite", "tier", "passed", "seconds", "versions", "verdicts", "skipped", "tables", "exit_code"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*-full.json")), ids=lambda path: path.stem)
def test_a_stored_result_is_one_of_the_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    seed = content.get("seed", 0)  # results stored before the command said it have none
    assert isinstance(seed, int)
    assert list(content) in (KEYS, [*KEYS[:6], "seed", *KEYS[6:]])
    assert (content["command"], f"{content['suite']}-{content['tier']}") == ("validate", path.stem)
    assert content["passed"] == all(verdict["passed"] for verdict in content["verdicts"])
    assert content["exit_code"] == (0 if content["passed"] else 4)
    assert text == json.dumps(content, indent=1) + "\n"
