from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import sciinf
from sciinf.core.function_engine import FunctionEngine
from sciinf.run.runner import RunOptions, run
from sciinf.run.show import look, report_again

Edit = Callable[[Path, str, str], None]

EXTRAS = """
class Rich(FunctionEngine):
    def breakdown(self, theta):
        return {"first": 12.34, "second": 5.66, "total": 18.0}

    def reference_values(self):
        return {"mu": (0.1, 0.2, "Somebody 2018, table 2"), "total": (2.0, 0.5, "Somebody 2018, table 2")}

    def provenance(self):
        return {"files": {"table.dat": "ab" * 32}, "source": "toyfit 1.0", "notes": ["unverified data"]}

    def figures(self, posterior):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4, 2))
        figure.subplots().plot([0, 1], [0, 1])
        figure.set_label("A straight line.")
        broken = object()
        return {"a_line": figure, "no_figure": broken}


def engine():"""


class Links(HTMLParser):
    """Every address that a page would load, and whether its tags are balanced."""

    void = {"meta", "img", "br", "line", "circle", "path", "link", "hr"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[key]) for key in ("src", "srcset", "data", "action") if key in given]
        self.anchors += [str(given["href"])] if "href" in given else []
        self.ids += [str(given["id"])] if "id" in given else []
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def text_of(html: str) -> str:
    """What a reader sees, roughly."""
    html = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture(scope="module")
def plain(finished: Path) -> str:
    return (finished / "runs" / "nested" / "report.html").read_text()


@pytest.fixture
def rich(project: Path, edit: Edit) -> str:
    edit(project / "toy_model.py", "    return FunctionEngine(", "    return Rich(")
    edit(project / "toy_model.py", "\ndef engine():", EXTRAS)
    run(project / "toy.toml", RunOptions(output=project / "rich", progress=False))
    return (project / "rich" / "report.html").read_text()


def test_the_report_is_one_file_that_loads_nothing(plain: str) -> None:
    links = Links(plain)
    assert links.loads
    assert all(item.startswith("data:image/png;base64,") for item in links.loads)
    assert all(item.startswith("#") and item[1:] in links.ids for item in links.anchors)
    style = re.search(r"<style>(.*?)</style>", plain, re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    assert "@media print" in style.group(1)


def test_it_has_summary_evidence_pictures_settings_and_how_to_reproduce(plain: str, finished: Path) -> None:
    text = text_of(plain)
    posterior = sciinf.load(finished / "runs" / "nested")
    manifest = json.loads((finished / "runs" / "nested" / "manifest.json").read_text())
    for heading in ("Result", "Evidence", "Posterior", "Run", "Diagnostics", "Priors", "Settings", "Data", "How to reproduce", "Config"):
        assert heading in text
    assert f"ln Z = {posterior.log_evidence:.3f}".replace("-", "−") in text
    assert "Insertion ranks" in text
    assert f"{manifest['counts']['calls']:,}" in text
    for key in ("content_hash", "science_hash"):
        assert manifest[key] in text
    assert manifest["inputs"]["target"] in text
    assert "LogUniform(low = 0.1, high = 5)" in text
    assert "config" in text
    assert "Normal(mean = 0, std = 2) engine&#39;s default" in text.replace("'", "&#39;")
    assert "sciinf reproduce nested" in text
    assert "n_live = 40" in text
    assert "converged" in text


def test_chains_have_their_own_diagnostics(finished: Path) -> None:
    text = text_of((finished / "runs" / "toy" / "report.html").read_text())
    assert "Autocorrelation time" in text
    assert "Smallest tail ESS" in text
    assert "R-hat" not in text
    assert "Evidence" not in text


def test_what_the_engine_offers_is_in_it(rich: str) -> None:
    text = text_of(rich)
    Links(rich)
    assert "Somebody 2018, table 2" in text
    assert "0.10 ± 0.20" in text
    assert re.search(r"[+−]\d\.\d\d σ", text)
    assert "first 12.34" in text
    assert "total 18.00" in text  # the engine's own total is not counted again
    assert "A line. A straight line." in text
    assert "The picture 'no_figure' could not be drawn" in text.replace("&#39;", "'")
    assert "table.dat" in text
    assert "Source: toyfit 1.0." in text
    assert "unverified data" in text


def test_the_published_values_are_shown_without_the_engine_too(rich: str, project: Path) -> None:
    (project / "toy_model.py").unlink()
    target, missing = report_again(project / "rich", {}, project / "again.html")
    assert "input 'target'" in missing
    text = text_of(target.read_text())
    assert "Somebody 2018, table 2" in text
    assert "The engine could not be built here" in text
    assert look(project / "rich").references["mu"] == (0.1, 0.2, "Somebody 2018, table 2")


def test_the_report_of_a_changed_engine_leaves_its_pictures_out(copied: Path, edit: Edit) -> None:
    edit(copied / "toy_model.py", 'version="1"', 'version="2"')
    _, missing = report_again(copied / "runs" / "toy", {"target": copied / "toy_model.py"}, copied / "r.html")
    assert missing.startswith("toy: input 'target' was sha256") or "changed since" in missing


def flat(theta: np.ndarray) -> float:
    return -0.5 * float(theta[0]) ** 2


def test_a_run_from_python_has_a_report_too(tmp_path: Path) -> None:
    priors = sciinf.PriorSet([sciinf.Parameter("x", sciinf.core.priors.Normal(0, 1))])
    problem = sciinf.Problem(FunctionEngine(flat, ["x"], version="1"), priors, name="<odd & name>")
    settings = sciinf.Emcee(n_walkers=8, n_steps=400, burn=50, thin=1)
    sciinf.sample(problem, settings, seed=3, directory=tmp_path / "mine", progress=False)
    target, missing = report_again(tmp_path / "mine", {})
    assert target == tmp_path / "mine" / "report.html"
    assert missing == "the run was started from Python"
    html = target.read_text()
    Links(html)
    assert "&lt;odd &amp; name&gt;" in html
    assert "sciinf.load(" in html


def test_text_from_the_run_cannot_become_markup(copied: Path) -> None:
    path = copied / "runs" / "toy" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["name"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(manifest))
    shutil.copy(copied / "runs" / "toy" / "config.toml", copied / "keep.toml")
    target, _ = report_again(copied / "runs" / "toy", {}, copied / "r.html")
    assert "<script>" not in target.read_text()
