"""A run's TOML file, read strictly into frozen dataclasses."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciinf.core.errors import ConfigError, shown
from sciinf.core.parameter import check_name
from sciinf.core.seeding import check_seed
from sciinf.core.user_paths import user_path
from sciinf.run.tables import Table

if TYPE_CHECKING:
    from sciinf.samplers.session import Resources
    from sciinf.samplers.settings import Settings

__all__ = ["Config", "JointTable", "ParameterTable", "load_config", "parse_config"]

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_LONGEST_NAME = 200  # characters of a key or a run; file systems take 255, and what stands beside the folder is named after it
_DEEPEST = 32  # tables and arrays in one another; the deepest that any key needs is five
_MANY_DIGITS = re.compile(r"[0-9][0-9_]{639,}")  # as many as Python is sure to read


@dataclass(frozen=True)
class ParameterTable:
    """One ``[parameters.NAME]`` table: what it says, and None for what it leaves to the engine's default."""

    name: str
    prior: str | None = None
    numbers: Mapping[str, Any] | None = None
    fixed: float | None = None
    latex: str | None = None
    unit: str | None = None
    periodic: bool | None = None


@dataclass(frozen=True)
class JointTable:
    """One ``[priors.LABEL]`` table: a joint prior over several parameters."""

    label: str
    kind: str
    names: tuple[str, ...]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Config:
    """Everything a TOML file says about a run.

    Parameters
    ----------
    source : str
        The file's name, for messages.
    text : str
        The file's text.
    base : Path
        Folder against which relative paths in the file resolve.
    name : str
        The run's name.
    seed : int
        Master seed.
    output : Path or None
        Run directory that the file asks for; None leaves it to the caller.
    on_nan : {"raise", "reject"}
        What a NaN likelihood does.
    repeats : int
        Independent runs that are merged.
    engine : dict
        The ``[engine]`` table; its engine reads it.
    parameters, joints : tuple
        Priors that replace the engine's.
    settings : Dynesty or Emcee
        The sampler's settings.
    resources : Resources
        Workers, threads and budgets.
    """

    source: str
    text: str
    base: Path
    name: str
    seed: int
    output: Path | None
    on_nan: Any
    repeats: int
    engine: Mapping[str, Any]
    parameters: tuple[ParameterTable, ...]
    joints: tuple[JointTable, ...]
    settings: Settings
    resources: Resources

    def override(self, *, seed: int | None = None, workers: int | None = None) -> Config:
        """The same config with what the command line said instead."""
        changed = self if seed is None else replace(self, seed=check_seed(seed))
        return changed if workers is None else replace(changed, resources=replace(changed.resources, workers=workers))


def load_config(path: Path | str, *, seed: int | None = None) -> Config:
    """Read a TOML file; ``seed`` stands in for the file's.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML, or a table, key, name or value is not one that is allowed: with the file, the key
        path, what is allowed and the nearest valid name.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a TOML file; `sciinf template ENGINE` prints one"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error})") from error
    except ValueError as error:
        raise ConfigError(f"{shown(str(path))}: cannot be read ({error}). Give the path of a TOML file") from error
    return parse_config(text, source=path.name, base=path.resolve().parent, seed=seed)


def parse_config(text: str, *, source: str, base: Path, seed: int | None = None) -> Config:
    """Read the text of a config; ``source`` names it in messages and ``base`` is where its relative paths start."""
    top = Table(source, (), _content(text, source))
    run = top.table("run")
    engine = top.table("engine", required=True)
    engine.string("kind")
    parameters = tuple(_parameter(name, table) for name, table in top.tables("parameters").items())
    joints = tuple(_joint(label, table) for label, table in top.tables("priors").items())
    _check_disjoint(source, parameters, joints)
    settings = _settings(top.table("sampler", required=True))
    resources = _resources(top.table("resources"))
    top.finish()
    output = run.string("output", None)
    config = Config(
        source=source,
        text=text,
        base=base,
        name=_run_name(run, default=Path(source).stem),
        seed=run.integer("seed", seed, low=0) if seed is not None else run.integer("seed", low=0),
        output=None if output is None else base / user_path(run.key_path("output"), output),
        on_nan=run.choice("on_nan", ("raise", "reject"), "raise"),
        repeats=run.integer("repeats", 1, low=1),
        engine=engine.content,
        parameters=parameters,
        joints=joints,
        settings=settings,
        resources=resources,
    )
    run.finish()
    check_seed(config.seed)
    return config.override(seed=seed)


def _content(text: str, source: str) -> dict[str, Any]:
    """What a TOML text holds.

    Raises
    ------
    ConfigError
        If it is not TOML, or holds what no setting can be: tables or arrays nested beyond use, an integer beyond 64 bits.
    """
    if text.startswith("\ufeff"):
        raise ConfigError(f"{source}: begins with a byte order mark, which TOML does not allow. Save it as UTF-8 without one")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(
            f"{source}: tables or arrays are nested too deeply to be read; at most {_DEEPEST} may stand in one another"
        ) from None
    except ValueError as error:
        digits = _MANY_DIGITS.search(text)
        line = f" in line {text.count(chr(10), 0, digits.start()) + 1}" if digits else ""
        raise ConfigError(f"{source}: a number{line} has more digits than can be read ({error}). Shorten it") from error
    _check_content(content, source)
    return content


def _check_content(content: dict[str, Any], source: str) -> None:
    """Refuse what no setting can be, wherever it stands, so that nothing behind needs to think of it."""
    left: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while left:
        path, value = left.pop()
        if path and len(path[-1]) > _LONGEST_NAME:
            raise ConfigError(f"{source}: the key {shown(path[-1])} is too long; no key has more than {_LONGEST_NAME} characters")
        if len(path) > _DEEPEST:
            start = ".".join(path[:4])
            raise ConfigError(f"{source}: {start}... is nested too deeply; at most {_DEEPEST} tables or arrays may stand in one another")
        if isinstance(value, dict):
            left.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            left.extend(((*path, str(i)), item) for i, item in enumerate(value))
        elif isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise ConfigError(
                f"{source}: {'.'.join(path)} must be an integer within 64 bits, got {shown(value)}. Write a large number as 1e30"
            )


def _run_name(run: Table, default: str) -> str:
    """The run's name, fit for a folder's."""
    name = str(run.string("name", default))
    if not _RUN_NAME.fullmatch(name):
        raise ConfigError(f"{run.key_path('name')} must be made of letters, digits and _ . + - (it names a folder), got {shown(name)}")
    if len(name) > _LONGEST_NAME:
        raise ConfigError(f"{run.key_path('name')} must have at most {_LONGEST_NAME} characters (it names a folder), got {len(name)}")
    return name


def _parameter(name: str, table: Table) -> ParameterTable:
    """One ``[parameters.NAME]`` table; the numbers are checked when the prior is built."""
    try:
        check_name(name)
    except ConfigError as error:
        raise ConfigError(f"{table.where}: {error}") from error
    result = ParameterTable(
        name=name,
        prior=table.string("prior", None),
        fixed=table.number("fixed", None),
        latex=table.string("latex", None),
        unit=table.string("unit", None),
        periodic=table.boolean("periodic", None),
    )
    if result.fixed is not None and (result.prior is not None or result.periodic is not None):
        raise ConfigError(f"{table.where}: a fixed parameter has no prior and is not periodic; keep either 'fixed' or the others")
    if result.prior is None:
        table.finish()
        return result
    return replace(result, numbers=table.rest())


def _joint(label: str, table: Table) -> JointTable:
    """One ``[priors.LABEL]`` table."""
    kind, names = table.string("kind"), table.strings("names")
    for name in names:
        try:
            check_name(name)
        except ConfigError as error:
            raise ConfigError(f"{table.key_path('names')}: {error}") from error
    return JointTable(label, kind, tuple(names), table.rest())


def _check_disjoint(source: str, parameters: tuple[ParameterTable, ...], joints: tuple[JointTable, ...]) -> None:
    """No parameter may have two priors."""
    owner: dict[str, str] = {item.name: f"[parameters.{item.name}]" for item in parameters if item.prior or item.fixed is not None}
    for joint in joints:
        for name in joint.names:
            if name in owner:
                raise ConfigError(f"{source}: '{name}' has two priors, in {owner[name]} and in [priors.{joint.label}]. Keep one")
            owner[name] = f"[priors.{joint.label}]"


def _settings(table: Table) -> Settings:
    """The ``[sampler]`` table as a settings object."""
    from sciinf.samplers.settings import SETTINGS, settings_from

    table.choice("kind", SETTINGS)
    try:
        return settings_from(table.content)
    except ConfigError as error:
        raise ConfigError(f"{table.where}: {error}") from error


def _resources(table: Table) -> Resources:
    """The ``[resources]`` table."""
    from sciinf.samplers.session import Resources

    defaults = Resources()
    result = {
        "workers": table.integer("workers", defaults.workers, low=1),
        "threads": table.integer("threads", defaults.threads, low=1),
        "max_calls": table.integer("max_calls", defaults.max_calls, low=1),
        "max_seconds": table.number("max_seconds", defaults.max_seconds, positive=True),
        "checkpoint_every": table.number("checkpoint_every", defaults.checkpoint_every, positive=True),
    }
    table.finish()
    try:
        return Resources(**result)
    except ConfigError as error:
        raise ConfigError(f"{table.where}: {error}") from error
