"""``[engine.data]`` with what belongs to it: real strain, conditioned, and its time slides; simulated noise; a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.seeding import check_seed, generator
from sciinf.core.user_paths import user_path
from sciinf.engines.echo.background import block_interval, off_source_segments, slide_pairs
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.gwosc import read_gwosc
from sciinf.engines.echo.preset_values import known, number, one_of, positive, required
from sciinf.engines.echo.recipe import Conditioning, OffSource, PsdSource
from sciinf.engines.echo.strain import Strain

__all__ = ["input_paths", "read_data"]

_DATA = ("detectors", "response", "delay")
_REAL, _NOISE = (*_DATA, "files"), (*_DATA, "noise", "density", "duration", "sample_rate", "seed", "files")
_BENCHMARK = ("benchmark", "n_echoes", "snr", "seed")
_CONDITION = ("start", "duration", "psd", "lines", "threshold")
_BACKGROUND = ("guard", "overlap", "n", "seed", "level")
_PSD_KEY = "psd_"
_MOST_SAMPLES = 2**22
_MOST_ECHOES = 10_000


def _detectors(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in order, each once."""
    names = entry.get("detectors", ["H1"])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(f"[engine.data] detectors must be a list of names such as ['H1', 'L1'], got {shown(names)}")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"[engine.data] detectors: '{name}' is there {names.count(name)} times; names must differ")
        if name.startswith(_PSD_KEY):
            raise ConfigError(f"[engine.data] detectors: a name must not begin with '{_PSD_KEY}', got {shown(name)}")
    return tuple(names)


def _by_detector(entry: Mapping[str, Any], key: str, detectors: Sequence[str], default: float) -> dict[str, float]:
    """One number for each detector."""
    table = known(f"[engine.data] {key}", entry.get(key, {}), detectors)
    if detectors[0] in table and table[detectors[0]] != default:
        raise ConfigError(
            f"[engine.data] {key}.{detectors[0]} must be {default:g} or left out: it is the reference, got {shown(table[detectors[0]])}"
        )
    return {name: number(f"[engine.data] {key}.{name}", table.get(name, default)) for name in detectors}


def input_paths(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """Input files by key: what ``[engine.data] files`` names, and ``--data KEY=PATH`` before it."""
    entry = table.get("data", {})
    entry = entry if isinstance(entry, Mapping) else {}
    detectors = _detectors(entry)
    allowed = [*detectors, *(f"{_PSD_KEY}{name}" for name in detectors)]
    files = known("[engine.data] files", entry.get("files", {}), allowed)
    found = {}
    for key, value in files.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"[engine.data] files.{key} must be a path, got {shown(value)}")
        found[key] = base / user_path(f"[engine.data] files.{key}", value)
    for key in data:
        if key not in allowed:
            raise ConfigError(f"the echo engine has no input '{key}': {nearest_names(key, allowed)}")
    return {**found, **data}


def _psd_file(paths: Mapping[str, Path], detector: str) -> Psd:
    key = f"{_PSD_KEY}{detector}"
    if key not in paths:
        raise ConfigError(f"the PSD of {detector} is to be read from a file: give [engine.data] files.{key}, or --data {key}=PATH")
    return Psd.from_psd_file(paths[key])


def _frame(entry: Mapping[str, Any], detectors: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(response, delay) of each detector."""
    response, delay = _by_detector(entry, "response", detectors, 1.0), _by_detector(entry, "delay", detectors, 0.0)
    return {name: (response[name], delay[name]) for name in detectors}


def _lines(value: Any, detectors: Sequence[str]) -> dict[str, dict[float, float]]:
    """Candidate lines by detector."""
    from sciinf.engines.echo.conditioning import line_candidates

    if isinstance(value, list):
        rows = {}
        for row in value:
            if not isinstance(row, list) or len(row) != 2:
                raise ConfigError(f"[engine.condition] lines holds [Hz, tolerance in Hz], got {shown(row)}")
            rows[positive("[engine.condition] lines: Hz", row[0])] = number("[engine.condition] lines: tolerance", row[1], low=0.0)
        return dict.fromkeys(detectors, rows)
    chosen = one_of("[engine.condition] lines", value, ("none", "mains", "O1"))
    return {name: {} if chosen == "none" else line_candidates(name, None if chosen == "mains" else chosen) for name in detectors}


def _conditioning(table: Mapping[str, Any], detectors: Sequence[str]) -> Conditioning:
    """What ``[engine.condition]`` says."""
    entry = known("[engine.condition]", table.get("condition", {}), _CONDITION)
    required("[engine.condition]", entry, "start", "duration")
    source: PsdSource = one_of("[engine.condition] psd", entry.get("psd", "off_source"), get_args(PsdSource))  # type: ignore[assignment]
    return Conditioning(
        number("[engine.condition] start", entry["start"]),
        positive("[engine.condition] duration", entry["duration"]),
        source,
        _lines(entry.get("lines", "none"), detectors),
        positive("[engine.condition] threshold", entry["threshold"]) if "threshold" in entry else None,
    )


def _real(table: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[tuple[Spectrum, ...], OffSource | None]:
    """Conditioned segments of real strain, and what its time slides are made of."""
    entry = known("[engine.data]", table["data"], _REAL)
    detectors = _detectors(entry)
    frame, conditioning = _frame(entry, detectors), _conditioning(table, detectors)
    if "background" in table and len(detectors) != 2:
        raise ConfigError(f"[engine.background]: time slides need 2 detectors, got {len(detectors)} ({', '.join(detectors)})")
    strains = []
    for name in detectors:
        if name not in paths:
            raise ConfigError(f"[engine.data] names no file for {name}: give files.{name}, or --data {name}=PATH")
        strain = read_gwosc(paths[name])
        if strain.detector != name:
            raise ConfigError(f"[engine.data] files.{name}: {paths[name].name} is of detector {shown(strain.detector)}, expected '{name}'")
        strains.append(strain)
    psds = tuple(_psd_file(paths, name) if conditioning.psd == "file" else None for name in detectors)
    made = []
    for strain, psd in zip(strains, psds, strict=True):
        response, delay = frame[strain.detector]
        made.append(replace(conditioning.spectrum(strain, psd), response=response, delay=delay))
    off = None
    if "background" in table:
        off = _off_source(table["background"], strains, psds, tuple(frame.values()), conditioning)
    return tuple(made), off


def _off_source(
    table: Any, strains: Sequence[Strain], psds: tuple[Psd | None, ...], frames: tuple[tuple[float, float], ...], how: Conditioning
) -> OffSource:
    """What ``[engine.background]`` says; nothing is conditioned yet."""
    entry = known("[engine.background]", table, _BACKGROUND)
    guard = number("[engine.background] guard", entry.get("guard", 1.0), low=0.0)
    overlap = number("[engine.background] overlap", entry.get("overlap", 0.0), low=0.0, high=0.99)
    level = number("[engine.background] level", entry.get("level", 0.95))
    seed = entry.get("seed")
    one, other = (off_source_segments(strain, how.start, how.duration, guard, overlap) for strain in strains)
    if one.starts.tolist() != other.starts.tolist():
        raise ConfigError(
            f"[engine.background]: the strain of {strains[0].detector} gives {len(one)} segments and that of {strains[1].detector} "
            f"{len(other)}, or at other times. Give files of the same GPS range"
        )
    pairs = slide_pairs(one, entry.get("n"), None if seed is None else check_seed(seed))
    block_interval(0.0, np.zeros(len(pairs)), pairs, level, block=one.block)  # refuses what it could not judge later
    return OffSource(tuple(strains), psds, frames, how, one, pairs, level)


def _samples(duration: float, rate: float) -> None:
    if duration * rate > _MOST_SAMPLES:
        raise ConfigError(
            f"[engine.data]: {duration:g} s at {rate:g} Hz are {duration * rate:.3g} samples, more than {_MOST_SAMPLES}. "
            "Shorten the duration"
        )


def _noise(table: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[Spectrum, ...]:
    """Simulated stationary noise."""
    from sciinf.engines.echo.simulate import gaussian_noise

    entry = known("[engine.data]", table["data"], _NOISE)
    required("[engine.data]", entry, "duration", "sample_rate", "seed")
    kind = one_of("[engine.data] noise", entry["noise"], ("white", "psd"))
    if (kind == "white") != ("density" in entry):
        raise ConfigError(
            "[engine.data] noise = 'white' needs density (one-sided, 1/Hz)"
            if kind == "white"
            else "[engine.data] density belongs to noise = 'white'; noise = 'psd' takes files psd_H1 = ..."
        )
    detectors = _detectors(entry)
    frame, seed = _frame(entry, detectors), check_seed(entry["seed"])
    duration = positive("[engine.data] duration", entry["duration"])
    rate = positive("[engine.data] sample_rate", entry["sample_rate"])
    _samples(duration, rate)
    made = []
    for name in detectors:
        psd = Psd.white(positive("[engine.data] density", entry["density"])) if kind == "white" else _psd_file(paths, name)
        spectrum = gaussian_noise(psd, duration, 1.0 / rate, generator(seed, f"noise/{name}"), name)
        response, delay = frame[name]
        made.append(replace(spectrum, response=response, delay=delay))
    return tuple(made)


def _benchmark(table: Mapping[str, Any]) -> tuple[Spectrum, ...]:
    """One of the benchmark families in unit noise."""
    from sciinf.engines.echo.benchmarks import FAMILIES
    from sciinf.engines.echo.simulate import benchmark

    entry = known("[engine.data]", table["data"], _BENCHMARK)
    required("[engine.data]", entry, "n_echoes", "snr")
    family, n_echoes = one_of("[engine.data] benchmark", entry["benchmark"], tuple(FAMILIES)), entry["n_echoes"]
    if isinstance(n_echoes, bool) or not isinstance(n_echoes, int) or not 1 <= n_echoes <= _MOST_ECHOES:
        raise ConfigError(f"[engine.data] n_echoes must be an integer from 1 to {_MOST_ECHOES}, got {shown(n_echoes)}")
    rng = generator(check_seed(entry["seed"]), "noise/benchmark") if "seed" in entry else None
    return (benchmark(family, n_echoes, positive("[engine.data] snr", entry["snr"]), rng),)


def read_data(table: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[tuple[Spectrum, ...], OffSource | None]:
    """The data of whichever kind the table describes."""
    entry = table["data"]
    if not isinstance(entry, Mapping):
        raise ConfigError(f"[engine.data] must be a table, got {shown(entry)}")
    kinds = [key for key in ("noise", "benchmark") if key in entry]
    if len(kinds) == 2:
        raise ConfigError("[engine.data] has both noise and benchmark: keep one")
    if not kinds:
        return _real(table, paths)
    for key in ("condition", "background"):
        if key in table:
            raise ConfigError(f"[engine.{key}] belongs to real strain, and [engine.data] has {kinds[0]}: leave it out")
    return (_noise(table, paths) if kinds[0] == "noise" else _benchmark(table)), None
