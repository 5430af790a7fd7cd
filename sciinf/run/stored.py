"""A run on disk read back: its config, with the inputs found again by hash or as given."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sciinf.core.errors import ConfigError, DataError, ResumeError
from sciinf.core.user_paths import what_is_at
from sciinf.results import manifest as manifests
from sciinf.run.config import Config, parse_config
from sciinf.run.engines import engine_module
from sciinf.run.paths import HashedPath, find_by_hash, sha256_of_path

__all__ = ["StoredRun", "open_run"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredRun:
    """A run directory's manifest, and its config where it was started from one."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def from_python(self) -> bool:
        """Whether the run was started from Python, so that only that program can build its problem."""
        return self.manifest.get("origin") != "toml"

    def config(self, data: Mapping[str, Path], *, force: bool = False) -> tuple[Config, dict[str, Path]]:
        """The run's config, and its inputs by key.

        Parameters
        ----------
        data : dict of str to Path
            Inputs given by key.
        force : bool
            Take inputs whose content has changed.

        Raises
        ------
        ConfigError
            If the run was started from Python, or the config is damaged.
        ResumeError
            If an input is not found, or its content has changed; with both hashes and how to give it.
        """
        if self.from_python:
            raise ConfigError(
                f"'{self.path.name}' was started from Python, so only the program that built its problem can go on with it or repeat it: "
                f"sample(problem, settings, seed={self.manifest.get('seed')}, directory={self.path.name!r}, resume=True)"
            )
        text = self.text(force=force)
        config = parse_config(text, source=f"{self.path.name}/config.toml", base=self.path, seed=int(self.manifest["seed"]))
        found = dict(data)
        table = self._without_stand_ins(config.engine, found)
        config = replace(config, engine=table)
        return replace(config, base=self._base(config, found, force=force)), found

    def text(self, *, force: bool = False) -> str:
        """The copy of the config, held against the manifest."""
        path = self.path / "config.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path.name}/config.toml: cannot be read ({error})") from error
        digest, expected = hashlib.sha256(text.encode()).hexdigest(), self.manifest.get("config", {}).get("sha256")
        if digest != expected and not force:
            raise ResumeError(
                f"{self.path.name}/config.toml was changed: its sha256 was {expected}, is {digest}. Put it back, start a new run from it, "
                "or use --force"
            )
        return text

    def _without_stand_ins(self, table: Mapping[str, Any], found: dict[str, Path]) -> dict[str, Any]:
        """The engine's table with stand-ins taken out; what can be found by hash goes into ``found``."""
        result = copy.deepcopy(dict(table))

        def visit(node: Any) -> Any:
            if isinstance(node, dict):
                items = {key: visit(value) for key, value in node.items()}
                return {key: value for key, value in items.items() if value is not None}
            if isinstance(node, list):
                return [item for item in map(visit, node) if item is not None]
            return self._replacement(node, found) if isinstance(node, str) else node

        cleaned: dict[str, Any] = visit(result)
        return cleaned

    def _replacement(self, text: str, found: dict[str, Path]) -> str | None:
        """What stands for one string: itself, or the path of the input that a stand-in speaks of; None leaves the key out."""
        stand_in = HashedPath.parse(text)
        if stand_in is None:
            return text
        key = stand_in.key.rpartition(".")[2]
        if key not in found and (path := find_by_hash(stand_in.sha256, self._places())) is not None:
            found[key] = path
        if key in found:
            return f"{found[key]}{stand_in.suffix}"
        if stand_in.suffix:
            raise ResumeError(
                f"{stand_in.key} was given by an absolute path, which a run directory does not keep, and no file with sha256 "
                f"{stand_in.sha256} is here. Give it with --data {key}=PATH"
            )
        _log.info("%s is not here under its old path; the engine looks where it always looks (or give --data %s=PATH)", stand_in.key, key)
        return None

    def _places(self) -> list[Path]:
        """Folders where inputs may lie: the config's, the current one, the run's own and its parent."""
        places = [Path.cwd(), self.path, self.path.parent]
        folder = self.manifest.get("config", {}).get("folder")
        return [self.path / folder, *places] if folder else places

    def _base(self, config: Config, data: Mapping[str, Path], *, force: bool) -> Path:
        """The folder from which the config's relative paths lead to inputs of the recorded content."""
        expected: Mapping[str, str] = self.manifest.get("inputs", {})
        module = engine_module(config.engine["kind"])
        if not hasattr(module, "input_files"):
            return self._places()[0].resolve()
        problems: dict[str, str] = {}
        for place in self._places():
            base = place.resolve()
            wrong = {}
            for key, path in module.input_files(config.engine, base=base, data=data).items():
                digest = sha256_of_path(path)
                if expected.get(key) not in (None, digest):
                    wrong[key] = digest
            if not wrong:
                return base
            for key, digest in wrong.items():
                if digest != "unknown" or key not in problems:
                    problems[key] = digest
            if force and "unknown" not in wrong.values():
                return base
        listing = "; ".join(
            f"input '{key}' was sha256 {expected[key]}, " + ("is not found" if digest == "unknown" else f"is {digest}")
            for key, digest in problems.items()
        )
        first = next(iter(problems))
        raise ResumeError(f"{self.path.name}: {listing}. Put it back, or give the right one with --data {first}=PATH")


def open_run(path: Path | str) -> StoredRun:
    """The run in a directory.

    Raises
    ------
    DataError
        If it is not a run directory, or its manifest is damaged.
    """
    path = Path(path)
    if not what_is_at(path / "manifest.json"):
        what = "does not exist" if not what_is_at(path) else "is not a run directory: it has no manifest.json"
        raise DataError(f"'{path}' {what}")
    return StoredRun(path, manifests.read(path / "manifest.json"))
