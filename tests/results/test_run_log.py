from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Never

import pytest

from sciinf.core.errors import SciinfWarning
from sciinf.results.run_log import run_log, scrub


def fail(path: Path) -> Never:
    raise ValueError(f"cannot read {path}")


def stop(path: Path) -> None:
    try:
        fail(path)
    except ValueError as error:
        raise RuntimeError("stopped") from error


def test_records_warnings_and_tracebacks_reach_the_file(tmp_path: Path) -> None:
    path, shown = tmp_path / "run.log", []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *place: shown.append(str(message))
        with run_log(path):
            logging.getLogger("sciinf.samplers").info("drawing from %s", tmp_path / "data.txt")
            warnings.warn("many points at -inf", SciinfWarning, stacklevel=1)
            try:
                stop(tmp_path)
            except RuntimeError:
                logging.getLogger("sciinf").exception("the run failed")
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


def test_inside_another_block_of_the_same_file_nothing_is_written_twice(tmp_path: Path) -> None:
    with run_log(tmp_path / "run.log"), run_log(tmp_path / "run.log"):
        logging.getLogger("sciinf").info("once")
    assert (tmp_path / "run.log").read_text().count("once") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("File '/a/b/c.py', line 3", "File '<.../c.py>', line 3"),
        ('File "/a b/c d.py", line 3', 'File "<.../c d.py>", line 3'),
        ("at /a/b/", "at <.../b>"),
        ("folder=/x/y; more", "folder=<.../y;> more"),
        ("(~/data/planck)", "(<.../planck>)"),
        (r"C:\Users\bob\x.txt is gone", "<.../x.txt> is gone"),
        ("km/s/Mpc, 1/2, a / b, https://example.org/a", "km/s/Mpc, 1/2, a / b, https://example.org/a"),
        ("docs/examples/a.toml", "docs/examples/a.toml"),
    ],
)
def test_scrub_cuts_absolute_paths_and_nothing_else(text: str, expected: str) -> None:
    assert scrub(text) == expected


def test_a_full_disk_does_not_take_the_place_of_the_run_s_own_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        flush = close = lambda self: self.write("")

    log = logging.getLogger("sciinf")
    with pytest.raises(RuntimeError, match="of its own"), run_log(tmp_path / "run.log"):
        log.handlers[-1].setStream(Full()).close()  # type: ignore[attr-defined]
        log.info("lost")
        raise RuntimeError("of its own")
    assert capsys.readouterr().err == ""
