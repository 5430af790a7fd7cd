"""From the ``[engine]`` table to an engine: the dictionary of engine kinds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sciinf.core.engine import Engine
from sciinf.core.errors import ConfigError, DataError, PriorError, nearest_names, shown

__all__ = ["ENGINES", "build_engine", "engine_module", "template"]

ENGINES = {
    "cmb": "sciinf.engines.cmb",
    "echo": "sciinf.engines.echo.presets",
    "pn": "sciinf.engines.pn.presets",
    "r3d": "sciinf.engines.r3d.presets",
    "function": "sciinf.run.function_kind",
}
"""``[engine] kind`` to the module that offers ``from_config(table, *, base, data) -> Engine`` and ``TEMPLATE``."""


def engine_module(kind: str, where: str = "") -> ModuleType:
    """The module of an engine kind.

    Raises
    ------
    ConfigError
        If there is no such kind; names the nearest.
    """
    if kind not in ENGINES:
        raise ConfigError(f"{where}{shown(kind)} is not an engine kind: {nearest_names(kind, ENGINES)}")
    return importlib.import_module(ENGINES[kind])


def build_engine(table: Mapping[str, Any], *, source: str, base: Path, data: Mapping[str, Path]) -> Engine:
    """The engine that an ``[engine]`` table describes.

    Parameters
    ----------
    table : dict
        The table, ``kind`` included.
    source : str
        The file's name, for messages.
    base : Path
        Where the table's relative paths start.
    data : dict of str to Path
        Inputs given by key (``--data KEY=PATH``), which go before the table's own.

    Raises
    ------
    ConfigError, DataError, PriorError
        From the engine, with the file and the table in front.
    """
    kind = table["kind"]
    module = engine_module(kind, f"{source}: engine.kind = ")
    rest = {key: value for key, value in table.items() if key != "kind"}
    try:
        engine: Engine = module.from_config(rest, base=base, data=dict(data))
    except (ConfigError, DataError, PriorError) as error:
        raise type(error)(f"{source}: [engine] kind = '{kind}': {error}") from error
    return engine


def template(kind: str) -> str:
    """A complete, commented TOML for an engine kind.

    Examples
    --------
    >>> "[sampler]" in template("function")
    True
    """
    text: str = engine_module(kind).TEMPLATE
    return text
