from __future__ import annotations

import getpass
import tomllib
from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.fingerprint import sha256_of_file
from sciinf.run import paths
from sciinf.run.paths import HashedPath, find_by_hash, is_absolute, portable_text, relative_folder, sha256_of_path, strings_of

PLAIN = (
    "# all relative\n[engine]\ntarget = \"../models/my_model.py:engine\"   # km/s, and https://example.org/a/b\nlatex = '\\Omega_m / h'\n"
)


@pytest.mark.parametrize("text", ["/", "km/s/Mpc", "../a/b", "a.toml", r"\Omega", "", "https://example.org", "a:b", "two\n/lines"])
def test_what_is_no_absolute_path(text: str) -> None:
    assert not is_absolute(text)


@pytest.mark.parametrize("text", ["/a", "/a/b c", "~/x", "~bob/x", r"C:\x", "D:/x", "//server/share", "file:///a"])
def test_what_is_an_absolute_path(text: str) -> None:
    assert is_absolute(text)


def test_a_config_without_absolute_paths_is_kept_byte_for_byte() -> None:
    assert portable_text(PLAIN, "a.toml") == (PLAIN, ())


def test_absolute_paths_become_key_and_sha256(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text("1 2 3\n")
    text = f'[engine]\nkind = "x"\n[engine.data]\nfile = "{table}"  # from {tmp_path}/old\nfolder = \'{tmp_path}\'\nother = "a/b"\n'
    copied, stand_ins = portable_text(text, "a.toml")
    assert str(tmp_path) not in copied
    content = tomllib.loads(copied)["engine"]["data"]
    assert content["file"] == f"<engine.data.file sha256:{sha256_of_file(table)}>"
    assert content["folder"].startswith("<engine.data.folder sha256:")
    assert content["other"] == "a/b"
    assert [item.key for item in stand_ins] == ["engine.data.file", "engine.data.folder"]
    again = HashedPath.parse(content["file"])
    assert again is not None
    assert (again.key, again.sha256) == ("engine.data.file", sha256_of_file(table))


def test_a_comment_alone_is_cut_too() -> None:
    copied, stand_ins = portable_text('a = "x" # see /some/where/notes.txt\n', "a.toml")
    assert copied == 'a = "x" # see <.../notes.txt>\n'
    assert stand_ins == ()


def test_a_path_that_cannot_be_replaced_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"without its absolute paths"):
        portable_text('a = "/some/\\u0077here"\n', "a.toml")


def test_a_path_inside_another_is_replaced_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    text = f'a = "{tmp_path}"\nb = "{tmp_path / "inner"}"\nc = ["{tmp_path}"]\n'
    content = tomllib.loads(portable_text(text, "a.toml")[0])
    assert content["b"].startswith("<b sha256:")
    assert content["a"].startswith("<a sha256:")


def test_a_folder_is_hashed_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    before = sha256_of_path(tmp_path)
    (tmp_path / "a.txt").write_text("b")
    assert sha256_of_path(tmp_path) != before
    assert sha256_of_path(tmp_path / "missing") == "unknown"


def test_a_target_keeps_the_name_behind_its_file(tmp_path: Path) -> None:
    model = tmp_path / "my_model.py"
    model.write_text("x = 1\n")
    copied, (stand_in,) = portable_text(f'[engine]\ntarget = "{model}:engine"\n', "a.toml")
    assert tomllib.loads(copied)["engine"]["target"] == f"<engine.target sha256:{sha256_of_file(model)}>:engine"
    assert HashedPath.parse(str(stand_in)) == stand_in
    assert stand_in.suffix == ":engine"


def test_parse_refuses_what_is_no_stand_in() -> None:
    assert HashedPath.parse("a/b.txt") is None
    assert HashedPath.parse("<a sha256:xyz>") is None


def test_find_by_hash_looks_in_each_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    wanted = tmp_path / "two" / "renamed.dat"
    wanted.write_text("content")
    (tmp_path / "one" / "other.dat").write_text("other")
    folders = [tmp_path / "absent", tmp_path / "one", tmp_path / "two"]
    assert find_by_hash(sha256_of_file(wanted), folders) == wanted
    assert find_by_hash("0" * 64, folders) is None


def test_relative_folder_never_spells_out_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "runs" / "a").mkdir(parents=True)
    assert relative_folder(tmp_path / "docs", tmp_path / "runs" / "a") == "../../docs"
    secret = tmp_path / getpass.getuser()
    secret.mkdir()
    assert relative_folder(secret, tmp_path / "docs") is None
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: Path("/houses/alice")))
    assert relative_folder(tmp_path / "houses", tmp_path) is None


def test_strings_of_walks_tables_and_arrays() -> None:
    assert dict(strings_of({"a": {"b": ["x", 1, {"c": "y"}]}})) == {"a.b.0": "x", "a.b.2.c": "y"}


@pytest.mark.parametrize("text", ["~x", "~nobody_lives_here/x", "/s", "/" + "x" * 5000, "/a\0b"])
def test_a_label_that_looks_like_a_path_is_not_looked_up(text: str) -> None:
    assert str(HashedPath.of("parameters.x.unit", text)) == "<parameters.x.unit sha256:unknown>"


def test_a_path_that_cannot_be_looked_at_has_no_hash(tmp_path: Path) -> None:
    assert sha256_of_path(tmp_path / ("x" * 300)) == "unknown"
    assert str(HashedPath.of("engine.data.folder", "/" + "x" * 300)) == "<engine.data.folder sha256:unknown>"


def test_a_folder_of_very_many_files_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    (tmp_path / "inside").mkdir()
    monkeypatch.setattr(paths, "_MAX_FILES", 3)
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: (seen.append(i) or self / str(i) for i in range(1000)))
    assert sha256_of_path(tmp_path) == "unknown"
    assert len(seen) == 4


def test_a_copy_that_would_be_no_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a.toml: cannot copy this config without its absolute paths"):
        portable_text('"/a/b" = 1\n"/c/b" = 2\n', "a.toml")
