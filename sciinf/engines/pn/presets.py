"""From an ``[engine]`` table with ``kind = "pn"`` to the likelihood of an exponential family's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.text_columns import read_columns
from sciinf.core.user_paths import user_path
from sciinf.engines.pn import families
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.likelihood import ExponentialFamilyLikelihood
from sciinf.engines.pn.likelihood_settings import LikelihoodSettings
from sciinf.engines.pn.model import ExponentialFamilyModel, ExponentialFamilyResults
from sciinf.engines.pn.settings import one_of, positive_integer
from sciinf.engines.pn.support import HalfLine, Interval, RealLine, Support

__all__ = ["TEMPLATE", "fit_from_config", "from_config", "input_files"]

_DATA = ("file", "columns", "weights")
_SETTINGS = tuple(item.name for item in fields(LikelihoodSettings))
_MOST_CELLS = 2**20
_HIGHEST_DEGREE = 20
_SUPPORTS = ("real_line", "half_line", "interval")

TEMPLATE = """\
# Parameters of an exponential family. Run it with: sciinf run my_run.toml

[run]
name = "pn"                         # names the run directory: runs/pn
seed = 1                            # same seed, same bytes
# output = "somewhere/else"         # run directory, relative to this file

[engine]
kind = "pn"

[engine.data]
file = "x.csv"                      # one row per observation, with a header; gzip is read too
columns = ["x"]                     # the coordinates of an observation
# weights = "count"                 # column of integers: how often it occurred

[engine.fit]
family = "polynomial_exponential"   # "normal", "gamma", "poisson", "ising", ...: every one of sciinf.engines.pn.families
degree = 4                          # of polynomial_exponential
support = "real_line"               # or "half_line" (low), "interval" (low, high)
# low = 0.0
# high = 1.0
# d = 2                             # of multivariate_normal and ising: coordinates
# edges = [[0, 1]]                  # of ising
# m = 10                            # of binomial: trials
# k = 4                             # of multinomial: cells
# size = 2.5                        # of negative_binomial
# shape = [2, 3]                    # of log_linear: levels of each factor
# terms = [[0], [1]]
partition = "auto"                  # log-partition function: "exact", or "importance" from draws of x
# n_draws = 100000                  # of importance; default: 400 for each observation
# n_references = 64                 # at most
# ess_min = 200.0                   # effective draws, below which ln L is NaN
# parametrise = "natural"           # "whitened" samples phi_1, phi_2, ...
# seed = 0                          # of the draws

# Without priors the box of the estimate +- 8 robust standard errors is taken; for evidences give your own:
# [parameters.theta_1]
# prior = "normal"
# mean = 0.0
# std = 1.0

[sampler]
kind = "emcee"
n_walkers = 32

[resources]
workers = 1                         # processes; the result does not depend on it
threads = 1
checkpoint_every = 60.0             # seconds
"""


class _Recipe(NamedTuple):
    """Keys of a family's constructor, and the constructor; all keys are needed but the ones in ``optional``."""

    keys: tuple[str, ...]
    make: Callable[..., ExponentialFamily]
    optional: tuple[str, ...] = ()


def _known(where: str, table: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A table as a dictionary; ConfigError for another type or an unknown key."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(table)}")
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where} has an unknown key {shown(key)}: {nearest_names(key, keys)}")
    return dict(table)


def _count(key: str, value: Any, least: int, most: int) -> int:
    positive_integer(key, value, least)
    if value > most:
        raise ConfigError(f"[engine.fit] {key} may be at most {most}, got {shown(value)}")
    return int(value)


def _lists(key: str, value: Any, *, length: int | None = None) -> tuple[tuple[int, ...], ...]:
    """A list of lists of integers."""
    good = isinstance(value, list) and all(
        isinstance(row, list) and (length is None or len(row) == length) and all(type(item) is int for item in row) for row in value
    )
    if not good:
        what = "lists" if length is None else "pairs"
        raise ConfigError(f"[engine.fit] {key} must be a list of {what} of integers, got {shown(value)}")
    return tuple(tuple(row) for row in value)


def _log_linear(shape: Any, terms: Any) -> ExponentialFamily:
    if not isinstance(shape, list) or not all(type(item) is int and item > 1 for item in shape) or not shape:
        raise ConfigError(f"[engine.fit] shape must be a list of integers of at least 2, got {shown(shape)}")
    if math.prod(shape) > _MOST_CELLS:
        raise ConfigError(f"[engine.fit] shape may have at most {_MOST_CELLS} cells, got {shown(shape)}")
    return families.LogLinear(tuple(shape), _lists("terms", terms))


def _polynomial(degree: Any, support: Any, low: Any = None, high: Any = None) -> ExponentialFamily:
    one_of("support", support, _SUPPORTS)
    given = {"low": low, "high": high}
    used = {"real_line": (), "half_line": ("low",), "interval": ("low", "high")}[support]
    for key, value in given.items():
        if value is not None and key not in used:
            raise ConfigError(f"[engine.fit] {key} has nothing to do with support '{support}': leave it out")
        if value is None and key in used and support == "interval":
            raise ConfigError(f"[engine.fit] support 'interval' needs {key}")
    chosen: Support = RealLine()
    if support != "real_line":
        chosen = HalfLine(0.0 if low is None else low) if support == "half_line" else Interval(low, high)
    return families.PolynomialExponential(_count("degree", degree, 1, _HIGHEST_DEGREE), chosen)


_FAMILIES: dict[str, _Recipe] = {
    "normal": _Recipe((), families.Normal),
    "multivariate_normal": _Recipe(("d",), lambda d: families.MultivariateNormal(_count("d", d, 1, 100))),
    "exponential": _Recipe((), families.Exponential),
    "gamma": _Recipe((), families.Gamma),
    "inverse_gaussian": _Recipe((), families.InverseGaussian),
    "beta": _Recipe((), families.Beta),
    "von_mises": _Recipe((), families.VonMises),
    "poisson": _Recipe((), families.Poisson),
    "bernoulli": _Recipe((), families.Bernoulli),
    "binomial": _Recipe(("m",), lambda m: families.Binomial(_count("m", m, 1, _MOST_CELLS - 1))),
    "geometric": _Recipe((), families.Geometric),
    "negative_binomial": _Recipe(("size",), families.NegativeBinomial),
    "multinomial": _Recipe(("k",), lambda k: families.Multinomial(_count("k", k, 2, 1000))),
    "log_linear": _Recipe(("shape", "terms"), _log_linear),
    "ising": _Recipe(("d", "edges"), lambda d, edges: families.Ising(_count("d", d, 1, 1000), _lists("edges", edges, length=2))),  # type: ignore[arg-type]
    "polynomial_exponential": _Recipe(("degree", "support"), _polynomial, ("low", "high")),
}


def _family(options: Mapping[str, Any]) -> ExponentialFamily:
    """The family of an ``[engine.fit]`` table without the settings' keys."""
    if "family" not in options:
        raise ConfigError(f"[engine.fit] needs family: {nearest_names('', _FAMILIES)}")
    name = options["family"]
    if not isinstance(name, str) or name not in _FAMILIES:
        raise ConfigError(f"[engine.fit] family = {shown(name)} is no family: {nearest_names(str(name), _FAMILIES)}")
    recipe = _FAMILIES[name]
    own = _known(f"[engine.fit] of family '{name}'", options, ("family", *recipe.keys, *recipe.optional, *_SETTINGS))
    given = {key: value for key, value in own.items() if key in (*recipe.keys, *recipe.optional)}
    missing = [key for key in recipe.keys if key not in given]
    if missing:
        raise ConfigError(f"[engine.fit] family '{name}' needs {', '.join(missing)}")
    return recipe.make(**given)


def _paths(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The input file: what the table names, and ``--data file=PATH`` before it."""
    for key in data:
        if key != "file":
            raise ConfigError(f"--data {key}: {nearest_names(key, ['file'])}")
    if "file" in data:
        return {"file": data["file"]}
    entry = table.get("data", {})
    value = entry.get("file") if isinstance(entry, Mapping) else None
    if value is None:
        return {}
    if not isinstance(value, str) or not value:
        raise ConfigError(f"[engine.data] file must be a path, got {shown(value)}")
    return {"file": base / user_path("[engine.data] file", value)}


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The file that an ``[engine]`` table of this kind reads, by key."""
    return _paths(table, base, data)


def fit_from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> ExponentialFamilyResults:
    """The fit that an ``[engine]`` table describes; errors as `from_config`."""
    return _fitted(table, base, data)[0]


def _fitted(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> tuple[ExponentialFamilyResults, LikelihoodSettings]:
    """The fit, and the settings of its likelihood."""
    entry = _known("[engine]", table, ("data", "fit"))
    for key in ("data", "fit"):
        if key not in entry:
            raise ConfigError(f"[engine] needs a table [engine.{key}]")
    source = _known("[engine.data]", entry["data"], _DATA)
    every = ("family", *_SETTINGS, *dict.fromkeys(key for recipe in _FAMILIES.values() for key in (*recipe.keys, *recipe.optional)))
    options = _known("[engine.fit]", entry["fit"], every)
    settings = LikelihoodSettings(**{key: options[key] for key in _SETTINGS if key in options})
    paths = _paths(entry, base, data)
    if "file" not in paths:
        raise ConfigError("[engine.data] needs file")
    columns, weights = source.get("columns"), source.get("weights")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise ConfigError(f"[engine.data] columns must be a list of names, got {shown(columns)}")
    if weights is not None and not isinstance(weights, str):
        raise ConfigError(f"[engine.data] weights must be the name of a column, got {shown(weights)}")
    if len({*columns, weights}) != len(columns) + 1:
        raise ConfigError(f"[engine.data] each column has one role: got columns {columns} and weights {shown(weights)}")
    read = read_columns(paths["file"], {**{f"coordinate {i}": name for i, name in enumerate(columns)}, "weights": weights})
    family = _family(options)
    if family.support.dim != len(columns):
        dim = family.support.dim
        raise ConfigError(f"[engine.data] columns: an observation of '{options['family']}' has {dim} coordinates, got {columns}")
    x = np.column_stack([read[name] for name in columns])
    counts = None if weights is None else read[weights]
    return ExponentialFamilyModel(family, x, counts).fit(settings.seed), settings


def from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> ExponentialFamilyLikelihood:
    """The engine that an ``[engine]`` table with ``kind = "pn"`` describes (``kind`` left out).

    Parameters
    ----------
    table : dict
        Tables data and fit; see `TEMPLATE`.
    base : Path
        Folder of the configuration file.
    data : dict of str to Path
        ``file``, before the table's own.

    Raises
    ------
    ConfigError
        If a key or value is wrong; names the nearest.
    DataError
        If the file or the data in it cannot be used.
    ConvergenceError
        If importance draws do not cover the box.
    """
    fit, settings = _fitted(table, base, data)
    return fit.to_engine(settings)
