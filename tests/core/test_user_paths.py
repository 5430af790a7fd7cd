from __future__ import annotations

from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.user_paths import user_path, what_is_at


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/houses/alice")
    assert user_path("run.output", "~/runs") == Path("/houses/alice/runs")
    assert user_path("run.output", "../a b") == Path("../a b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\0b", r"^run.output must be a path, got 'a\\x00b': no path can hold the character NUL"),
        ("~nobody_lives_here/x", r"^run.output must be a path, got '~nobody_lives_here/x': there is no such home folder"),
    ],
)
def test_what_is_no_path_is_a_config_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        user_path("run.output", text)


def test_what_is_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert what_is_at(tmp_path) == "folder"
    assert what_is_at(tmp_path / "file") == "file"
    assert what_is_at(Path("/dev/null")) in ("other", "")


@pytest.mark.parametrize("name", ["absent", "x" * 300, "x/" * 3000, "a\0b", "file/inside"])
def test_nothing_is_at_a_path_that_cannot_be_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    assert what_is_at(tmp_path / name) == ""
