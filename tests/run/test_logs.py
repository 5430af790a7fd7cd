from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Never

import pytest

from sciinf.core.errors import SciinfWarning
from sciinf.run.logs import run_log


def fail(path: Path) -> Never:
    raise ValueError(f"cannot read {path}")


def test_records_warnings_and_tracebacks_reach_the_file(tmp_path: Path) -> None:
    path, shown = tmp_path / "run.log", []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *place: shown.append(str(message))
        with pytest.raises(RuntimeError), run_log(path):
            logging.getLogger("sciinf.samplers").info("drawing from %s", tmp_path / "data.txt")
            warnings.warn("many points at -inf", SciinfWarning, stacklevel=1)
            try:
                fail(tmp_path)
            except ValueError as error:
                raise RuntimeError("stopped") from error
    text = path.read_text()
    assert "INFO drawing from <.../data.txt>" in text
    assert "WARNING SciinfWarning: many points at -inf" in text
    assert shown == ["many points at -inf"]
    assert "caused:" in text
    assert f"{__name__}:" in text
    assert " in fail\n" in text
    assert text.index("ValueError: cannot read") < text.index("RuntimeError: stopped")
    assert str(tmp_path) not in text


def test_it_leaves_logging_as_it_was(tmp_path: Path) -> None:
    logger, show = logging.getLogger("sciinf"), warnings.showwarning
    before = (list(logger.handlers), logger.level)
    with run_log(tmp_path / "run.log"):
        assert logger.isEnabledFor(logging.INFO)
    assert (list(logger.handlers), logger.level) == before
    assert warnings.showwarning is show


def test_it_appends(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with run_log(tmp_path / "run.log"):
            logging.getLogger("sciinf").info(word)
    assert [line.split()[-1] for line in (tmp_path / "run.log").read_text().splitlines()] == ["first", "second"]
