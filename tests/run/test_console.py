from __future__ import annotations

import json
from pathlib import Path

import pytest

from sciinf.run import console
from sciinf.run.compare import compare
from sciinf.run.doctor import Finding
from sciinf.run.reproduce import Moment, Reproduction
from sciinf.run.show import look

Capture = pytest.CaptureFixture[str]


def test_a_run_with_its_table(copied: Path, capsys: Capture) -> None:
    path = copied / "runs" / "nested" / "manifest.json"
    references = {"mu": [0.0, 0.25, "Somebody 2018"]}
    domain = {"scale": [0.0, 0.2], "mu": [0.5, 0.6]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "references": references, "domain": domain}))
    console.show(look(path.parent))
    out = capsys.readouterr().out
    assert "nested: complete, dynesty, seed 5" in out
    assert "ln Z = " in out
    assert "scale [m]" in out  # the unit is not taken for markup
    assert "published: Somebody 2018" in out
    assert " σ" in out
    assert "% of the mass lies within 2 % of the box width from the lower edge 0.5" in out
    assert "(as the manifest says)" in out


def test_a_run_without_a_posterior_says_how_to_go_on(copied: Path, capsys: Capture) -> None:
    path = copied / "runs" / "toy" / "manifest.json"
    manifest = {**json.loads(path.read_text()), "status": "interrupted", "content_hash": None}
    (path.parent / "posterior.h5").unlink()
    for origin, hint in (("toml", "Go on with: sciinf resume"), ("python", "Go on from the program that started it (resume=True)")):
        path.write_text(json.dumps({**manifest, "origin": origin}))
        console.show(look(path.parent))
        assert hint in capsys.readouterr().out


def test_reproductions(capsys: Capture) -> None:
    console.reproduction(Reproduction(True, "aa", "aa", ("version of numpy: was 1, is 2",), (), Path("x")), Path("kept"))
    out = capsys.readouterr().out
    assert "identical: content hash aa" in out
    assert "differs: version of numpy: was 1, is 2" in out
    assert "the second run is in kept" in out
    moments = (Moment("mean of x", 1.0, 2.0, 7.5), Moment("mean of y", 1.0, 1.0, 0.1))
    console.reproduction(Reproduction(False, "aa", "bb", (), moments, Path("x")), None)
    out = capsys.readouterr().out
    assert "not identical; does not agree" in out
    assert "content hash was aa, is bb" in out
    assert out.index("mean of x") < out.index("mean of y")
    assert "+7.50 σ" in out


def test_comparisons(finished: Path, capsys: Capture) -> None:
    console.comparison(compare([finished / "runs" / "nested", finished / "runs" / "toy"]), Path("c.png"))
    out = capsys.readouterr().out
    assert "log Bayes factor, nested over toy: refused: no evidence in toy" in out
    assert "corner plot c.png" in out


def test_findings(capsys: Capture) -> None:
    console.findings([Finding("data", "a thing", "in [brackets]", "absent"), Finding("numba", "cache", "2 of 2", "ok")])
    out = capsys.readouterr().out
    assert "- a thing" in out
    assert "in [brackets]" in out
    assert "+ cache" in out
