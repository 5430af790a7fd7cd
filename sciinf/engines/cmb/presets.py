"""Ready hybrids: the Planck 2018 combination, from Python or from a TOML table."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sciinf.core.errors import ConfigError, PriorError, nearest_names, shown
from sciinf.core.prior_base import Prior, real_number
from sciinf.core.seeding import check_seed, generator
from sciinf.core.user_paths import user_path
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import FILES, PlanckFiles, planck_data
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.plik_lite import HIGH_L_SPECTRA
from sciinf.engines.cmb.simulate import write_lookalike
from sciinf.engines.cmb.theory import CAMBTheory, Theory, parameters_of

__all__ = ["TEMPLATE", "from_config", "input_files", "planck2018"]

THEORIES = ("emulator", "camb")


def _theory(theory: str | Theory, sample: str | None) -> Theory:
    """The theory asked for by name, or the object given."""
    if isinstance(theory, str):
        parameters_of(sample or "theta_mc")  # type: ignore[arg-type]  # refuses an unknown name
        if theory == "camb":
            return CAMBTheory(sample or "theta_mc")  # type: ignore[arg-type]
        if theory == "emulator":
            from sciinf.engines.cmb.emulator import EmulatorTheory

            return EmulatorTheory(sample=sample or "theta_mc")  # type: ignore[arg-type]
        raise ConfigError(f"theory = {shown(theory)}: {nearest_names(theory, THEORIES)}, or a Theory object")
    if sample is not None and sample not in theory.parameters:
        raise ConfigError(f"sample = {shown(sample)}, but the theory given samples {', '.join(theory.parameters)}: leave sample out")
    return theory


def planck2018(
    components: Sequence[str] = ("plik_lite", "low_tt_bins", "low_ee"),
    spectra: Sequence[str] = HIGH_L_SPECTRA,
    theory: str | Theory = "emulator",
    sample: Literal["theta_mc", "H0"] | None = None,
    *,
    evaluation: Literal["auto", "full", "compressed"] = "auto",
    outside: Literal["error", "reject"] = "error",
    data: PlanckFiles | None = None,
) -> Hybrid:
    """The Planck 2018 likelihood of LambdaCDM.

    Parameters
    ----------
    components : sequence of str
        Of "plik_lite", "low_tt_bins", "low_ee", "lensing".
    spectra : sequence of str
        Of "TT", "TE", "EE": what plik_lite uses.
    theory : "emulator", "camb", or a Theory
        The shipped emulator; CAMB (seconds a call); or your own object.
    sample : {"theta_mc", "H0"}, optional
        The scale parameter, theta_mc by default. A prior flat in H0 is not flat in theta_MC.
    evaluation, outside
        See `Hybrid`.
    data : PlanckFiles, optional
        From `planck_data`; found there by default.

    Returns
    -------
    Hybrid
        An engine with parameters omega_b, omega_c, theta_mc (or H0), tau, logA, n_s, A_planck.

    Raises
    ------
    ConfigError
        If a name is unknown, or two components use the same data.
    DataError
        If the files are missing or are not the expected ones.

    Notes
    -----
    Low-l TT is two Gaussian bins here, an approximation to the Commander likelihood.
    """
    if isinstance(components, str) or isinstance(spectra, str):
        raise ConfigError("components and spectra are lists of names, such as components=['plik_lite', 'low_ee']")
    names = tuple(components)
    for name in names:
        if name not in FILES:
            raise ConfigError(f"planck2018 has no component {shown(name)}: {nearest_names(name, FILES)}")
    if "plik_lite" not in names and tuple(spectra) != HIGH_L_SPECTRA:
        raise ConfigError(
            f"spectra = {shown(list(spectra))} selects the spectra of plik_lite, which is not among the components {list(names)}"
        )
    chosen = _theory(theory, sample)
    files = data if data is not None else planck_data()
    made = tuple(_component(files, name, tuple(spectra)) for name in names)
    return Hybrid(chosen, made, evaluation=evaluation, outside=outside)


def _component(files: PlanckFiles, name: str, spectra: tuple[str, ...]) -> Component:
    """One component by name, from the files."""
    if name == "plik_lite":
        return files.plik_lite(spectra)
    if name == "low_tt_bins":
        return files.low_tt_bins()
    return files.low_ee() if name == "low_ee" else files.lensing()


TEMPLATE = """\
# The Planck 2018 posterior of LambdaCDM. Run it with: sciinf run my_run.toml
# Data: pip install "sciinf[planck]", or [engine.data] folder below, or the environment variable SCIINF_PLANCK_DATA.

[run]
name = "planck2018"                 # names the run directory: runs/planck2018
seed = 1                            # same seed, same bytes
# output = "somewhere/else"         # run directory, relative to this file

[engine]
kind = "cmb"
preset = "planck2018"
components = ["plik_lite", "low_tt_bins", "low_ee"]   # and "lensing"
spectra = ["TT", "TE", "EE"]        # of plik_lite; any subset
theory = "emulator"                 # or "camb" (extra `cmb`, seconds a call)
sample = "theta_mc"                 # 100 theta_MC; or "H0"
# evaluation = "auto"               # "compressed" or "full": same values, other speed
# outside = "error"                 # "reject": points outside the emulator's box are -inf instead of a wider prior being refused

# [engine.data]
# folder = "planck"                 # holds plik_lite/, lowE2018/, lensing2018/; relative to this file
# allow_unknown_data = false        # true: files whose sha256 differs load, and the manifest says "unverified data"
# lookalike = 1                     # instead of real files: a synthetic data set in their formats, drawn with this seed

# [engine.mock]                     # replace the data of every component by a draw at a known point
# seed = 2018
# theta = { omega_b = 0.02237, omega_c = 0.1200, theta_mc = 1.04092, tau = 0.0544, logA = 3.044, n_s = 0.9649, A_planck = 1.0 }

# Parameters left out take the engine's default prior: uniform over the emulator's box, A_planck ~ N(1, 0.0025).
# [parameters.tau]
# prior = "truncated_normal"
# mean = 0.06
# std = 0.01
# low = 0.01
# high = 0.12

[sampler]
kind = "emcee"                      # or "dynesty", which gives the evidence
n_walkers = 64
# kind = "dynesty"
# n_live = 500

[resources]
workers = 1                         # processes; the result does not depend on it
threads = 1
checkpoint_every = 60.0             # seconds
"""

_KEYS = ("preset", "components", "spectra", "theory", "sample", "evaluation", "outside", "data", "mock")
_DATA_KEYS = ("folder", "allow_unknown_data", "lookalike")
_MOCK_KEYS = ("seed", "theta")


def _known(where: str, table: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A table as a dictionary; ConfigError for another type or an unknown key."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(table)}")
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where} has an unknown key {shown(key)}: {nearest_names(key, keys)}")
    return dict(table)


def _strings(table: Mapping[str, Any], key: str, default: Sequence[str]) -> tuple[str, ...]:
    """A list of strings; ConfigError for anything else."""
    value = table.get(key, default)
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{key} must be a list of names, got {shown(value)}")
    return tuple(value)


def _string(table: Mapping[str, Any], key: str, default: Any) -> Any:
    """A string; ConfigError for anything else."""
    value = table.get(key, default)
    if value is not default and not isinstance(value, str):
        raise ConfigError(f"{key} must be a name, got {shown(value)}")
    return value


def _files(table: Mapping[str, Any], base: Path, data: Mapping[str, Path], scratch: Path) -> PlanckFiles:
    """The data folder that an ``[engine.data]`` table, or ``--data folder=PATH``, names; look-alike data are written to ``scratch``."""
    entry = _known("[engine.data]", table.get("data", {}), _DATA_KEYS)
    unknown = entry.get("allow_unknown_data", False)
    if not isinstance(unknown, bool):
        raise ConfigError(f"[engine.data] allow_unknown_data must be true or false, got {shown(unknown)}")
    if "lookalike" in entry:
        if "folder" in entry:
            raise ConfigError("[engine.data] has both folder and lookalike: keep one")
        return write_lookalike(scratch, check_seed(entry["lookalike"]))
    given = data.get("folder")
    if given is None and "folder" in entry:
        given = base / user_path("[engine.data] folder", _string(entry, "folder", None))
    return planck_data(given, allow_unknown_data=unknown)


def _mock(engine: Hybrid, table: Any) -> Hybrid:
    """The engine with the data of every component drawn at the point that ``[engine.mock]`` names."""
    entry = _known("[engine.mock]", table, _MOCK_KEYS)
    for key in _MOCK_KEYS:
        if key not in entry:
            raise ConfigError(f"[engine.mock] needs {key}")
    point = _known("[engine.mock] theta", entry["theta"], engine.parameters)
    medians = {m.name: float(m.prior.ppf(0.5)) for m in engine.nuisance_parameters if isinstance(m.prior, Prior)}
    theta = np.empty(len(engine.parameters))
    for i, name in enumerate(engine.parameters):
        value = point.get(name, medians.get(name))
        try:
            theta[i] = real_number("theta", name, value)
        except PriorError:
            theta[i] = math.nan
        if not math.isfinite(theta[i]):
            raise ConfigError(f"[engine.mock] theta.{name} must be a finite number, got {shown(value)}")
    reasons = engine.explain(theta)
    if reasons:
        raise ConfigError(f"[engine.mock] theta has no likelihood: {'; '.join(reasons)}")
    return engine.with_data(engine.simulate(theta, generator(check_seed(entry["seed"]), "mock")))


def from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> Hybrid:
    """The engine that an ``[engine]`` table with ``kind = "cmb"`` describes (``kind`` left out).

    Parameters
    ----------
    table : dict
        Keys preset ("planck2018"), components, spectra, theory, sample, evaluation, outside; tables data (folder, allow_unknown_data,
        lookalike) and mock (theta, seed). See `TEMPLATE`.
    base : Path
        Folder of the configuration file.
    data : dict of str to Path
        ``{"folder": path}`` goes before the table's own.

    Raises
    ------
    ConfigError
        If a key or value is wrong; names the nearest.
    DataError
        If the files are missing or are not the expected ones.
    """
    entry = _known("[engine]", table, _KEYS)
    preset = _string(entry, "preset", "planck2018")
    if preset != "planck2018":
        raise ConfigError(f"preset = {shown(preset)}: {nearest_names(preset, ['planck2018'])}")
    for key in data:
        if key != "folder":
            raise ConfigError(f"the cmb engine has no input '{key}': {nearest_names(key, ['folder'])}")
    with tempfile.TemporaryDirectory() as scratch:
        engine = planck2018(
            _strings(entry, "components", ("plik_lite", "low_tt_bins", "low_ee")),
            _strings(entry, "spectra", HIGH_L_SPECTRA),
            _string(entry, "theory", "emulator"),
            _string(entry, "sample", None),
            evaluation=_string(entry, "evaluation", "auto"),
            outside=_string(entry, "outside", "error"),
            data=_files(entry, base, data, Path(scratch)),
        )
    return _mock(engine, entry["mock"]) if "mock" in entry else engine


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The data folder that an ``[engine]`` table of this kind reads, by key; empty where the files come from a package or variable."""
    if "folder" in data:
        return {"folder": data["folder"]}
    folder = table.get("data", {}).get("folder")
    return {} if folder is None else {"folder": base / user_path("[engine.data] folder", folder)}
