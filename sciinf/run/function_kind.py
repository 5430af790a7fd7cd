"""``[engine] kind = "function"``: a user's own engine, from a file beside the config or from an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from sciinf.core.engine import Engine
from sciinf.core.errors import ConfigError, SciinfError, nearest_names, shown
from sciinf.core.user_paths import user_path, what_is_at
from sciinf.run.tables import Table

__all__ = ["TEMPLATE", "from_config", "input_files"]

TEMPLATE = """\
# Your own likelihood. Run it with: sciinf run my_run.toml

[run]
name = "my_run"                     # names the run directory: runs/my_run
seed = 1                            # same seed, same bytes
# output = "somewhere/else"         # run directory, relative to this file
# on_nan = "raise"                  # or "reject": count a NaN likelihood as -inf and report it
# repeats = 1                       # independent runs that are merged when they agree

[engine]
kind = "function"
target = "my_model.py:engine"       # FILE.py:NAME beside this file, or installed.module:NAME
                                    # NAME is an engine, or a function without arguments that builds one:
                                    #
                                    #   import numpy as np
                                    #   from sciinf import FunctionEngine
                                    #
                                    #   def log_likelihood(theta, data):
                                    #       return -0.5 * float(np.sum((data["y"] - theta[0] * data["x"] - theta[1]) ** 2))
                                    #
                                    #   def engine():
                                    #       data = {"x": np.array([0.0, 1.0, 2.0]), "y": np.array([1.1, 2.9, 5.2])}
                                    #       return FunctionEngine(log_likelihood, ["slope", "intercept"], data=data, version="1")

[parameters.slope]                  # one table for each parameter of the engine
prior = "uniform"
low = -10.0
high = 10.0
latex = "a"
# unit = "m/s"
# periodic = false

[parameters.intercept]
prior = "normal"
mean = 0.0
std = 5.0
# fixed = 1.0                       # instead of a prior: passed to the engine and not sampled

# [priors.pair]                     # a joint prior instead of two tables above
# kind = "multivariate_normal"
# names = ["slope", "intercept"]
# mean = [0.0, 0.0]
# covariance = [[1.0, 0.5], [0.5, 1.0]]

[sampler]
kind = "dynesty"                    # or "emcee"
n_live = 500
dlogz = 0.01
# kind = "emcee"
# n_walkers = 64

[resources]
workers = 1                         # processes; the result does not depend on it
threads = 1
checkpoint_every = 60.0             # seconds
# max_calls = 1000000               # budgets: the run stops there, keeps what it has and says "not_converged"
# max_seconds = 3600.0
"""

_LOADED: dict[str, Path] = {}


def from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> Engine:
    """The engine that ``target`` names.

    Parameters
    ----------
    table : dict
        ``target``: "FILE.py:NAME" with FILE relative to ``base``, or "module:NAME" of something that can be imported. NAME is an
        engine, or a callable without arguments that returns one.
    base : Path
        The config's folder.
    data : dict
        ``{"target": path}`` stands in for FILE.

    Raises
    ------
    ConfigError
        If the target is malformed, cannot be loaded, or is not an engine.
    """
    reader = Table("engine", (), table)
    target = reader.string("target")
    reader.finish()
    place, separator, attribute = target.rpartition(":")
    if not separator or not place or not attribute:
        raise ConfigError(f"target must be 'FILE.py:NAME' or 'module:NAME', got {shown(target)}")
    path = data.get("target")
    if path is None and place.endswith(".py"):
        path = base / user_path("target", place)
    module = _load_file(path) if path is not None else _import(place, base)
    names = [name for name in vars(module) if not name.startswith("_")]
    if not hasattr(module, attribute):
        raise ConfigError(f"target {shown(target)}: {module.__name__} has no '{attribute}': {nearest_names(attribute, names)}")
    return _engine_of(getattr(module, attribute), target)


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The files that an ``[engine]`` table of this kind reads, by key."""
    place = str(table["target"]).rpartition(":")[0]
    if "target" in data:
        return {"target": data["target"]}
    if place.endswith(".py"):
        return {"target": base / user_path("target", place)}
    spec = _spec_of(place)
    return {"target": Path(spec.origin)} if spec is not None and spec.has_location and spec.origin else {}


def _engine_of(found: Any, target: str) -> Engine:
    """``found`` if it is an engine, else what it builds."""
    if isinstance(found, Engine) and not inspect.isclass(found):
        return found
    if not callable(found):
        raise ConfigError(
            f"target {shown(target)} must be an engine or a function without arguments that builds one, got {type(found).__name__}"
        )
    try:
        arguments = inspect.signature(found).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"target {shown(target)} must be a function without arguments written in Python ({error})") from error
    required = [item.name for item in arguments if item.default is item.empty and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    if required:
        raise ConfigError(f"target {shown(target)} must be callable without arguments, but it needs {', '.join(required)}")
    try:
        engine = found()
    except SciinfError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"target {shown(target)} failed when it was called: {_last_line(error, _file_of(found))}") from error
    if not isinstance(engine, Engine):
        raise ConfigError(
            f"target {shown(target)} returned a {type(engine).__name__}, which is not an engine (parameters, log_likelihood, "
            "log_likelihood_many, default_priors, fingerprint). Return FunctionEngine(log_likelihood, names, version='1')"
        )
    return engine


def _load_file(path: Path) -> ModuleType:
    """Run a Python file as the module of its own name, which worker processes can import again."""
    if what_is_at(path) != "file":
        raise ConfigError(f"target file {shown(path.name)} was not found beside the config. Its path is relative to the config's folder")
    path, name = path.resolve(), path.stem
    if not name.isidentifier():
        raise ConfigError(f"target file '{path.name}' must have a name that Python can import (letters, digits, underscore)")
    if name not in _LOADED and (name in sys.modules or _spec_of(name) is not None):
        origin = getattr(_spec_of(name), "origin", None)
        if origin is None or Path(origin).resolve() != path:
            raise ConfigError(f"target file '{path.name}' has the name of another module ('{name}'). Rename it, to my_{path.name} say")
    linecache.checkcache(str(path))
    if previous := _LOADED.get(name):
        sys.path[:] = [item for item in sys.path if item != str(previous.parent)]
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"target file '{path.name}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _LOADED[name] = path
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"target file '{path.name}' failed when it was run: {_last_line(error, path)}") from error
    return module


def _import(name: str, base: Path) -> ModuleType:
    """Import an installed module."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_beside = what_is_at(base / f"{name}.py") == "file"
        beside = f" There is a file {name}.py beside the config: write '{name}.py:NAME'." if is_beside else ""
        raise ConfigError(f"target module {shown(name)} cannot be imported ({error}).{beside}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"target module {shown(name)} failed when it was imported: {type(error).__name__}: {error}") from error


def _spec_of(name: str) -> ModuleSpec | None:
    """Where a module is found by its name; None where it is not, or is one that was never found (``__main__``)."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _file_of(function: Any) -> Path:
    """The file that a function was written in, for a line number."""
    return Path(getattr(getattr(function, "__code__", None), "co_filename", ""))


def _last_line(error: BaseException, path: Path) -> str:
    """What went wrong in a user's file, and in which line of it."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}{place}"
