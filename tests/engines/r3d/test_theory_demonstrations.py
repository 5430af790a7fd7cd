"""Each of the nine defects of the compatible mode has a row in the theory page's table, and an example that prints something below it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "r3d" / "theory.md"


def test_every_defect_is_shown() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([1-9]) \|", text, re.MULTILINE)
    parts = re.split(r"^\*\*([1-9])\.\*\*", text, flags=re.MULTILINE)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert rows == list(shown) == list("123456789")
    for number, part in shown.items():
        examples = doctest.DocTestParser().get_examples(part)
        assert any(example.want for example in examples), number
