"""From an ``[engine]`` table with ``kind = "r3d"`` to the likelihood of an effect's shape: from two tables, or from a stored fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.text_columns import read_columns
from sciinf.core.user_paths import user_path
from sciinf.engines.r3d.columns import FrameColumns
from sciinf.engines.r3d.effect import R3DEffectEngine
from sciinf.engines.r3d.model import R3D
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.settings import R3DSettings

__all__ = ["TEMPLATE", "fit_from_config", "from_config", "input_files"]

_KEYS = ("data", "fit", "effect")
_FILES = ("observations", "units", "results")
_LABELS = ("unit", "cluster")
_COLUMNS = ("unit", "value", "running_variable", "treatment", "weight", "cluster")
_SETTINGS = ("q_grid", "method", "p", "s", "kernel", "quantile_rule", "projection_weights")
_FIT = ("bandwidth", "bandwidth_den", "cov_type", "regularise", "coverage_rule")
_EFFECT = ("model", "q", "n_components", "likelihood", "nu", "cov_type")

TEMPLATE = """\
# The shape of a distributional effect at a cutoff. Run it with: sciinf run my_run.toml

[run]
name = "r3d"                        # names the run directory: runs/r3d
seed = 1                            # same seed, same bytes
# output = "somewhere/else"         # run directory, relative to this file

[engine]
kind = "r3d"

[engine.data]
observations = "observations.csv"   # one row per value: columns unit, z; gzip is read too
units = "units.csv"                 # one row per unit: columns unit, x
cutoff = 0.0                        # in the unit of the running variable
# unit = "unit"                     # names of the columns
# value = "z"
# running_variable = "x"
# treatment = "t"                   # share treated, in units.csv: a fuzzy design
# weight = "w"                      # of an observation, in observations.csv
# cluster = "region"                # in units.csv
# results = "fit.h5"                # or a stored fit (a run keeps its own: products/fit.h5) instead of all of these and [engine.fit]

[engine.fit]
bandwidth = "imse"                  # or "rot", or a number; with method = "simple" also "mse" or one per level
# bandwidth_den = 0.5               # of the treatment
# cov_type = "HC3"
# regularise = true
# coverage_rule = false
# q_grid = [0.1, 0.3, 0.5, 0.7, 0.9]  # default: .01, .02, ..., .99
# method = "frechet"                # or "simple"
# p = 2                             # order of the fit
# s = 1                             # order that the bandwidth is for
# kernel = "triangular"             # "epanechnikov", "uniform"
# quantile_rule = "type7"           # "inverted_cdf"
# projection_weights = "cell"       # "equal"

[engine.effect]
model = "shift"                     # "location_scale", "tilt", "minus_scale", "log_scale"
q = [0.1, 0.3, 0.5, 0.7, 0.9]       # levels of the fit
# n_components = 2                  # in the place of q: 1 to 3 leading components of the whole curve
# likelihood = "t"                  # "gaussian" takes the covariance as known
# nu = 20.0                         # default: estimated
# cov_type = "HC2"

# Evidences compare shapes only for the same data, bandwidth and levels, and for priors that you mean:
# [parameters.delta]
# prior = "normal"
# mean = 0.0
# std = 5.0

[sampler]
kind = "dynesty"
n_live = 500

[resources]
workers = 1                         # processes; the result does not depend on it
threads = 1
checkpoint_every = 60.0             # seconds
"""


def _known(where: str, table: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A table as a dictionary; ConfigError for another type or an unknown key."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(table)}")
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where} has an unknown key {shown(key)}: {nearest_names(key, keys)}")
    return dict(table)


def _paths(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """Input files by key: what the table names, and ``--data KEY=PATH`` before it."""
    entry = table.get("data", {})
    found: dict[str, Path] = {}
    for key in _FILES:
        value = entry.get(key) if isinstance(entry, Mapping) else None
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise ConfigError(f"[engine.data] {key} must be a path, got {shown(value)}")
        found[key] = base / user_path(f"[engine.data] {key}", value)
    for key, path in data.items():
        if key not in _FILES:
            raise ConfigError(f"--data {key}: {nearest_names(key, _FILES)}")
        found[key] = path
    return found


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The files that an ``[engine]`` table of this kind reads, by key."""
    return _paths(table, base, data)


def _of_one_kind(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]], name: str) -> None:
    """Labels of both files as text where one file has text: that of an integer is as it was written."""
    if one[name].dtype.kind != other[name].dtype.kind:
        one[name], other[name] = one[name].astype(np.str_), other[name].astype(np.str_)


def fit_from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> R3DResults:
    """The fit that an ``[engine]`` table describes; errors as `from_config`."""
    entry = _known("[engine]", table, _KEYS)
    if "data" not in entry:
        raise ConfigError("[engine] needs a table [engine.data]")
    source = _known("[engine.data]", entry["data"], (*_FILES, *_COLUMNS, "cutoff"))
    paths = _paths(entry, base, data)
    if "results" in paths:
        beside = [key for key in dict.fromkeys([*source, *paths]) if key != "results"] + (["[engine.fit]"] if "fit" in entry else [])
        if beside:
            raise ConfigError(f"[engine.data] results is a fit that is made: leave out {', '.join(beside)}")
        return R3DResults.load(paths["results"])
    for key in ("observations", "units"):
        if key not in paths:
            raise ConfigError(f"[engine.data] needs {key} (or results, a stored fit)")
    columns = FrameColumns(**{key: source[key] for key in _COLUMNS if key in source})
    options = _known("[engine.fit]", entry.get("fit", {}), (*_SETTINGS, *_FIT))
    settings = R3DSettings(**{key: options[key] for key in _SETTINGS if key in options})
    for key in ("regularise", "coverage_rule"):
        if not isinstance(options.get(key, True), bool):
            raise ConfigError(f"[engine.fit] {key} must be true or false, got {shown(options[key])}")
    observations = read_columns(paths["observations"], {"unit": columns.unit, "value": columns.value, "weight": columns.weight}, _LABELS)
    roles = {"unit": columns.unit, "running_variable": columns.running_variable, "treatment": columns.treatment, "cluster": columns.cluster}
    units = read_columns(paths["units"], roles, _LABELS)
    _of_one_kind(observations, units, columns.unit)
    model = R3D.from_frame(observations, units, source.get("cutoff", 0.0), columns=columns, settings=settings)
    return model.fit(**{key: options[key] for key in _FIT if key in options})


def from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> R3DEffectEngine:
    """The engine that an ``[engine]`` table with ``kind = "r3d"`` describes (``kind`` left out).

    Parameters
    ----------
    table : dict
        Tables data, fit, effect; see `TEMPLATE`.
    base : Path
        Folder of the configuration file.
    data : dict of str to Path
        ``observations``, ``units`` or ``results``, before the table's own.

    Raises
    ------
    ConfigError
        If a key or value is wrong; names the nearest.
    DataError
        If a file or the data in it cannot be used.
    """
    fit = fit_from_config(table, base=base, data=data)
    options = _known("[engine.effect]", table.get("effect", {}), _EFFECT)
    return fit.to_engine(**options)
