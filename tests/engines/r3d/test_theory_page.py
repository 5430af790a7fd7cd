"""The examples of the theory page run as they are printed, and would not if what is printed were another."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "r3d" / "theory.md"
LEAST_SHOWN = 9  # demonstrations, each with what it prints: one for each of the nine defects


def outcome(text: str) -> doctest.TestResults:
    test = doctest.DocTestParser().get_doctest(text, {}, "theory", str(PAGE), 0)
    return doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None)


def test_examples() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(re.findall(r"^\| [1-9] \|", text, re.MULTILINE)) == 9
    shown = [example for example in doctest.DocTestParser().get_examples(text) if example.want]
    assert len(shown) >= LEAST_SHOWN
    assert outcome(text).failed == 0
    for example in shown:
        changed = text.replace(f"\n{example.want}", "\nsomething else\n", 1)
        assert outcome(changed).failed >= 1
