from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sciinf.core.errors import DataError
from sciinf.run.show import look, report_again

Edit = Callable[[Path, str, str], None]


def test_look_checks_the_posterior_and_the_copy_against_the_manifest(copied: Path, edit: Edit) -> None:
    folder = copied / "runs" / "toy"
    assert look(folder).intact
    edit(folder / "config.toml", "# a toy run", "# a toy")
    assert "config.toml was changed" in look(folder).problem
    edit(folder / "config.toml", "# a toy", "# a toy run")
    (folder / "posterior.h5").write_bytes((copied / "runs" / "nested" / "posterior.h5").read_bytes())
    assert re.match(r"posterior.h5 has content hash [0-9a-f]{64}, the manifest says [0-9a-f]{64}", look(folder).problem)
    (folder / "posterior.h5").unlink()
    assert look(folder).problem == "posterior.h5 is missing, although the manifest has its hash"


def test_a_run_without_a_posterior_is_shown_by_its_manifest(copied: Path) -> None:
    path = copied / "runs" / "toy" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "content_hash": None, "status": "interrupted"}))
    (path.parent / "posterior.h5").unlink()
    view = look(path.parent)
    assert view.summary is None
    assert view.intact
    assert view.to_dict()["status"] == "interrupted"
    with pytest.raises(DataError, match=r"'toy' holds no posterior.h5; its status is 'interrupted'"):
        report_again(path.parent, {})


def test_a_view_is_json(finished: Path) -> None:
    content = json.loads(json.dumps(look(finished / "runs" / "nested").to_dict(), allow_nan=False))
    assert content["summary"]["log_evidence"] < 0
    assert content["counts"]["calls"] > 0
    assert content["comparison_key"]


def test_a_damaged_manifest_or_posterior_is_a_data_error(copied: Path) -> None:
    folder = copied / "runs" / "toy"
    (folder / "posterior.h5").write_bytes((folder / "posterior.h5").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"posterior.h5"):
        look(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest.json: not a manifest"):
        look(folder)
