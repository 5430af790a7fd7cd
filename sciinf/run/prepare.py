"""From a config to what runs: the engine with its inputs found, the prior, the problem, and what the manifest says about them."""

from __future__ import annotations

import hashlib
import logging
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciinf.core.engine import citations_of, edges_of, references_of
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.problem import Problem
from sciinf.core.user_paths import user_path, what_is_at
from sciinf.run.config import Config
from sciinf.run.engines import build_engine, engine_module
from sciinf.run.paths import portable_text, relative_folder, sha256_of_path
from sciinf.run.priors import build_priors

__all__ = ["Prepared", "check_sampler", "data_by_key", "prepare"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A config made ready to run.

    Parameters
    ----------
    config : Config
        As read, with what the command line changed.
    problem : Problem
        Engine and prior.
    defaults : tuple of str
        Parameters that keep the engine's default prior.
    inputs : dict of str to str
        sha256 of each file or folder that the ``[engine]`` table names, by key.
    copy : str
        The config's text as it may stand in a run directory.
    """

    config: Config
    problem: Problem
    defaults: tuple[str, ...]
    inputs: Mapping[str, str]
    copy: str

    @property
    def copy_sha256(self) -> str:
        """sha256 of the text that the run directory keeps."""
        return hashlib.sha256(self.copy.encode()).hexdigest()

    def origin(self, directory: Path) -> dict[str, Any]:
        """What the manifest says about where the run came from; no absolute path."""
        config = self.config
        described = {
            "name": config.name,
            "engine": tomllib.loads(self.copy)["engine"],
            "given_priors": [name for name in self.problem.engine.parameters if name not in self.defaults],
            "sampler": config.settings.describe(),
            "folder": relative_folder(config.base, directory),
            "sha256": self.copy_sha256,
        }
        engine = self.problem.engine
        domain = {name: list(ends) for name, ends in (edges_of(engine) or {}).items() if all(map(math.isfinite, ends))}
        references = {name: list(reference) for name, reference in references_of(engine).items()}
        return {
            "origin": "toml",
            "config": described,
            "inputs": dict(self.inputs),
            "domain": domain,
            "references": references,
            "citations": list(citations_of(engine)),
        }

    def log_defaults(self) -> None:
        """Say in the log which parameters keep the engine's default prior."""
        from sciinf.run.report_tables import describe_prior

        for member in self.problem.priors.describe().get("members", []):  # type: ignore[attr-defined]
            names = member.get("names") or [member["name"]]
            if set(names) & set(self.defaults):
                _log.info("default prior of the engine: %s ~ %s", ", ".join(names), describe_prior(member["prior"]))


def data_by_key(given: Mapping[str, Path | str]) -> dict[str, Path]:
    """Inputs from ``--data KEY=PATH`` by the last part of KEY, which may be a full key path such as ``engine.data.folder``.

    Raises
    ------
    ConfigError
        If a path does not exist.
    """
    result = {}
    for key, value in given.items():
        path = user_path(f"--data {key}", str(value))
        if not what_is_at(path):
            raise ConfigError(f"--data {key}={value}: there is no such file or folder")
        result[key.rpartition(".")[2]] = path.resolve()
    return result


def prepare(config: Config, data: Mapping[str, Path] | None = None) -> Prepared:
    """Build engine, prior and problem.

    Parameters
    ----------
    config : Config
        What to build.
    data : dict of str to Path, optional
        Inputs that go before those of the ``[engine]`` table, by key.

    Raises
    ------
    ConfigError, DataError, PriorError
        With the file's name in front.
    """
    data = dict(data or {})
    engine = build_engine(config.engine, source=config.source, base=config.base, data=data)
    priors, defaults = build_priors(config, engine)
    try:
        problem = Problem(engine, priors, on_nan=config.on_nan, name=config.name)
    except (ConfigError, PriorError) as error:
        raise type(error)(f"{config.source}: {error}") from error
    copy, _ = portable_text(config.text, config.source)
    return Prepared(config, problem, defaults, hash_inputs(config.engine, config.base, data), copy)


def check_sampler(prepared: Prepared) -> None:
    """Refuse settings that do not fit the problem, before anything is written.

    Raises
    ------
    ConfigError
        With the file's name in front.
    """
    from sciinf.samplers.sample import resolved_settings

    try:
        resolved_settings(prepared.problem, prepared.config.settings)
    except ConfigError as error:
        raise ConfigError(f"{prepared.config.source}: [sampler]: {error}") from error


def hash_inputs(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> dict[str, str]:
    """sha256 of each input that the engine kind says it reads from this table."""
    module = engine_module(table["kind"])
    files: dict[str, Path] = module.input_files(table, base=base, data=data) if hasattr(module, "input_files") else {}
    return {key: sha256_of_path(path) for key, path in files.items()}
