"""From an ``[engine]`` table with ``kind = "echo"`` to a search: on real strain, on simulated noise, or on one of the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.prior_base import real_number
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.seeding import check_seed, generator
from sciinf.core.user_paths import user_path
from sciinf.engines.echo.background import block_interval, off_source_segments, slide_pairs
from sciinf.engines.echo.data import Psd, Spectrum, Strain, read_gwosc
from sciinf.engines.echo.model import EchoSearch
from sciinf.engines.echo.priors import Remnant
from sciinf.engines.echo.recipe import Conditioning, OffSource, PsdSource
from sciinf.engines.echo.template import CombTemplate

__all__ = ["TEMPLATE", "from_config", "input_files"]

_KEYS = ("phase", "amplitude", "band", "offset_unit", "remnant", "data", "condition", "template", "background", "inject")
_REMNANT = ("spin", "mass_detector_frame")
_DATA = ("detectors", "response", "delay")
_REAL, _NOISE = (*_DATA, "files"), (*_DATA, "noise", "density", "duration", "sample_rate", "seed", "files")
_BENCHMARK = ("benchmark", "n_echoes", "snr", "seed")
_CONDITION = ("start", "duration", "psd", "lines", "threshold")
_TEMPLATE = ("cut_height", "minimum_bins")
_BACKGROUND = ("guard", "overlap", "n", "seed", "level")
_INJECT = ("spacing", "offset", "width", "amplitude", "snr", "band", "phase_shift", "seed")
_PSD_KEY = "psd_"
_MOST_SAMPLES = 2**22
_MOST_ECHOES = 10_000

TEMPLATE = """\
# A search for a comb of quasinormal modes. Run it with: sciinf run my_run.toml

[run]
name = "echo"                       # names the run directory: runs/echo
seed = 1                            # same seed, same bytes
# output = "somewhere/else"         # run directory, relative to this file

[engine]
kind = "echo"
phase = "mode"                      # one phase per mode; "bin": one per bin; "whittle": the template's own
amplitude = "marginalised"          # over U(m/100, 10 m), m the data's mean abs(d) in the band; "sampled"; or a prior:
                                    # { prior = "uniform", low = 0.0, high = 1e-22 } or { prior = "log_uniform", ... }
band = [50.0, 250.0]                # Hz; or "sampled", which needs the remnant
offset_unit = "spacing"             # or "Hz"
# remnant = { spin = 0.67, mass_detector_frame = 67.65 }   # solar masses; without the mass everything is in units of M

[engine.data]                       # simulated noise ...
noise = "white"                     # or "psd": files psd_H1 = "...", two columns, Hz and one-sided 1/Hz
density = 0.001953125               # one-sided, 1/Hz; 2 dt is noise of unit variance
duration = 4.0                      # s, a whole number of samples
sample_rate = 1024.0                # Hz
seed = 7                            # of the noise
detectors = ["H1"]                  # the first one is the reference
# response = { L1 = 1.0 }           # relative to the reference's
# delay = { L1 = 0.0069 }           # arrival time at the reference less that at this one, s

# [engine.data]                     # ... or real strain
# detectors = ["H1", "L1"]
# files = { H1 = "H-H1_LOSC_4_V2-1126259446-32.hdf5", L1 = "L-L1_LOSC_4_V2-1126259446-32.hdf5" }  # GWOSC; or --data H1=PATH
# delay = { L1 = 0.0069 }
#
# [engine.condition]
# start = 1126259462.44             # GPS s
# duration = 2.0                    # s; conditioning reads three times as much, centred on it
# psd = "off_source"                # Welch without the segment; "segment": of the segment; "file": files psd_H1, psd_L1
# lines = "O1"                      # what to notch where it stands out: "none", "mains", "O1", or [[60.0, 0.06], ...] (Hz, tolerance)
# threshold = 3.0                   # on the whitened data; 5 (6 above 24 s) is what was published, but finds no line below 3.6 s
#
# [engine.background]               # time slides after the run, and a p-value; two detectors
# guard = 1.0                       # s kept clear on both sides of start
# overlap = 0.0                     # fraction of a segment shared with the next
# n = 20                            # a seeded subset of the pairs; all of them without n and seed
# seed = 3
# level = 0.95                      # of the intervals

# [engine.data]                     # ... or a benchmark in unit noise, in units of M: remnant = { spin = 0.69 }, band = "sampled"
# benchmark = "constant_wall"       # "damped_wall", "boltzmann_wall", "wide_band"
# n_echoes = 100
# snr = 30.0                        # below the ringdown frequency
# seed = 7                          # of the noise; without it there is none

# [engine.template]
# cut_height = 0.2                  # a line ends at this fraction of its height ...
# minimum_bins = 3                  # ... and keeps at least these bins on either side

[engine.inject]                     # a comb added to the data; leave it out for a search
spacing = 5.83                      # Hz
offset = 0.216                      # in the engine's offset_unit
width = 0.5                         # 1/tau, rad/s
snr = 15.0                          # of the network; or amplitude = ..., in s
seed = 11                           # of the phases, drawn as `phase` says
# band = [50.0, 250.0]              # Hz; the engine's, where that is fixed
# phase_shift = { L1 = 1.0 }        # rad

# Parameters left out take the engine's default prior. An amplitude that is marginalised is no parameter.
# [parameters.width]
# prior = "log_uniform"
# low = 0.25
# high = 2.0

[sampler]
kind = "dynesty"                    # gives ln Z, which is ln B over noise only
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


def _required(where: str, table: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in table:
            raise ConfigError(f"{where} needs {key}")


def _number(where: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
        limits = "" if math.isinf(low) and math.isinf(high) else f" from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        raise ConfigError(f"{where} must be a finite number{limits}, got {shown(value)}")
    return float(value)


def _positive(where: str, value: Any) -> float:
    number = _number(where, value)
    if number <= 0.0:
        raise ConfigError(f"{where} must be a positive number, got {shown(value)}")
    return number


def _name(where: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the allowed names."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"{where} = {shown(value)}: {nearest_names(str(value), allowed)}")
    return value


def _pair(where: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ConfigError(f"{where} must be [f_min, f_max] in Hz, got {shown(value)}")
    return _number(where, value[0]), _number(where, value[1])


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
    table = _known(f"[engine.data] {key}", entry.get(key, {}), detectors)
    if detectors[0] in table and table[detectors[0]] != default:
        raise ConfigError(
            f"[engine.data] {key}.{detectors[0]} must be {default:g} or left out: it is the reference, got {shown(table[detectors[0]])}"
        )
    return {name: _number(f"[engine.data] {key}.{name}", table.get(name, default)) for name in detectors}


def _paths(table: Mapping[str, Any], base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """Input files by key: what ``[engine.data] files`` names, and ``--data KEY=PATH`` before it."""
    entry = table.get("data", {})
    entry = entry if isinstance(entry, Mapping) else {}
    detectors = _detectors(entry)
    allowed = [*detectors, *(f"{_PSD_KEY}{name}" for name in detectors)]
    files = _known("[engine.data] files", entry.get("files", {}), allowed)
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
            rows[_positive("[engine.condition] lines: Hz", row[0])] = _number("[engine.condition] lines: tolerance", row[1], low=0.0)
        return dict.fromkeys(detectors, rows)
    chosen = _name("[engine.condition] lines", value, ("none", "mains", "O1"))
    return {name: {} if chosen == "none" else line_candidates(name, None if chosen == "mains" else chosen) for name in detectors}


def _conditioning(table: Mapping[str, Any], detectors: Sequence[str]) -> Conditioning:
    """What ``[engine.condition]`` says."""
    entry = _known("[engine.condition]", table.get("condition", {}), _CONDITION)
    _required("[engine.condition]", entry, "start", "duration")
    source: PsdSource = _name("[engine.condition] psd", entry.get("psd", "off_source"), get_args(PsdSource))  # type: ignore[assignment]
    return Conditioning(
        _number("[engine.condition] start", entry["start"]),
        _positive("[engine.condition] duration", entry["duration"]),
        source,
        _lines(entry.get("lines", "none"), detectors),
        _positive("[engine.condition] threshold", entry["threshold"]) if "threshold" in entry else None,
    )


def _real(table: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[tuple[Spectrum, ...], OffSource | None]:
    """Conditioned segments of real strain, and what its time slides are made of."""
    entry = _known("[engine.data]", table["data"], _REAL)
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
    entry = _known("[engine.background]", table, _BACKGROUND)
    guard = _number("[engine.background] guard", entry.get("guard", 1.0), low=0.0)
    overlap = _number("[engine.background] overlap", entry.get("overlap", 0.0), low=0.0, high=0.99)
    level = _number("[engine.background] level", entry.get("level", 0.95))
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

    entry = _known("[engine.data]", table["data"], _NOISE)
    _required("[engine.data]", entry, "duration", "sample_rate", "seed")
    kind = _name("[engine.data] noise", entry["noise"], ("white", "psd"))
    if (kind == "white") != ("density" in entry):
        raise ConfigError(
            "[engine.data] noise = 'white' needs density (one-sided, 1/Hz)"
            if kind == "white"
            else "[engine.data] density belongs to noise = 'white'; noise = 'psd' takes files psd_H1 = ..."
        )
    detectors = _detectors(entry)
    frame, seed = _frame(entry, detectors), check_seed(entry["seed"])
    duration = _positive("[engine.data] duration", entry["duration"])
    rate = _positive("[engine.data] sample_rate", entry["sample_rate"])
    _samples(duration, rate)
    made = []
    for name in detectors:
        psd = Psd.white(_positive("[engine.data] density", entry["density"])) if kind == "white" else _psd_file(paths, name)
        spectrum = gaussian_noise(psd, duration, 1.0 / rate, generator(seed, f"noise/{name}"), name)
        response, delay = frame[name]
        made.append(replace(spectrum, response=response, delay=delay))
    return tuple(made)


def _benchmark(table: Mapping[str, Any]) -> tuple[Spectrum, ...]:
    """One of the benchmark families in unit noise."""
    from sciinf.engines.echo.benchmarks import FAMILIES
    from sciinf.engines.echo.simulate import benchmark

    entry = _known("[engine.data]", table["data"], _BENCHMARK)
    _required("[engine.data]", entry, "n_echoes", "snr")
    family, n_echoes = _name("[engine.data] benchmark", entry["benchmark"], tuple(FAMILIES)), entry["n_echoes"]
    if isinstance(n_echoes, bool) or not isinstance(n_echoes, int) or not 1 <= n_echoes <= _MOST_ECHOES:
        raise ConfigError(f"[engine.data] n_echoes must be an integer from 1 to {_MOST_ECHOES}, got {shown(n_echoes)}")
    rng = generator(check_seed(entry["seed"]), "noise/benchmark") if "seed" in entry else None
    return (benchmark(family, n_echoes, _positive("[engine.data] snr", entry["snr"]), rng),)


def _injected(engine: EchoSearch, table: Any) -> EchoSearch:
    """The engine with a comb added to its data; the amplitude's scale stays that of the noise."""
    from sciinf.engines.echo.simulate import comb, inject, optimal_snr, project

    where = "[engine.inject]"
    entry = _known(where, table, _INJECT)
    _required(where, entry, "spacing", "offset", "width", "seed")
    if ("snr" in entry) == ("amplitude" in entry):
        raise ConfigError(f"{where} needs snr (of the network) or amplitude (in s): one of them")
    if "band" not in entry and isinstance(engine.band, str):
        raise ConfigError(f"{where} needs band = [f_min, f_max] in Hz, since the engine's is sampled")
    shifts = _known(f"{where} phase_shift", entry.get("phase_shift", {}), engine.detectors[1:])
    values = {key: _number(f"{where} {key}", entry[key]) for key in ("spacing", "offset", "width")}
    for key in ("spacing", "width"):
        _positive(f"{where} {key}", entry[key])
    target = _number(f"{where} snr", entry["snr"], low=0.0) if "snr" in entry else None
    assert isinstance(engine.template, CombTemplate)
    signal = comb(
        engine.spectra[0],
        spacing=values["spacing"],
        offset_hz=engine.offset_hz(values),
        width=values["width"],
        amplitude=1.0 if target is not None else _number(f"{where} amplitude", entry["amplitude"], low=0.0),
        band=_pair(f"{where} band", entry["band"]) if "band" in entry else engine.band_of({}),
        phase=engine.phase,
        rng=generator(check_seed(entry["seed"]), "inject"),
        template=engine.template,
    )
    seen = [project(signal, one, _number(f"{where} phase_shift", shifts.get(one.detector, 0.0))) for one in engine.spectra]
    if target is not None:
        snr = math.sqrt(sum(optimal_snr(one) ** 2 for one in seen))
        if snr == 0.0:
            raise ConfigError(f"{where}: the comb has no bin in its band, so it cannot be scaled to SNR {target:g}")
        seen = [one.with_values(one.values * (target / snr)) for one in seen]
    made = tuple(inject(one, add) for one, add in zip(engine.spectra, seen, strict=True))
    return replace(engine, strain=made, psd=None)


def _amplitude(value: Any) -> Any:
    """A name, which the engine checks, or a prior to marginalise over."""
    if not isinstance(value, Mapping):
        return _name("amplitude", value, ("sampled", "marginalised")) if isinstance(value, str) else _refused_amplitude(value)
    entry = _known("amplitude", value, ("prior", "low", "high"))
    _required("amplitude", entry, "prior", "low", "high")
    kind = _name("amplitude.prior", entry["prior"], ("uniform", "log_uniform"))
    low, high = (real_number("amplitude", key, entry[key]) for key in ("low", "high"))
    return (Uniform if kind == "uniform" else LogUniform)(low, high)


def _refused_amplitude(value: Any) -> Any:
    raise ConfigError(
        "amplitude must be 'sampled', 'marginalised' or { prior = 'uniform' or 'log_uniform', low = ..., high = ... }, "
        f"got {shown(value)}"
    )


def _remnant(value: Any) -> Remnant:
    entry = _known("remnant", value, _REMNANT)
    _required("remnant", entry, "spin")
    return Remnant(entry["spin"], entry.get("mass_detector_frame"))


def _data(table: Mapping[str, Any], paths: Mapping[str, Path]) -> tuple[tuple[Spectrum, ...], OffSource | None]:
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


def from_config(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> EchoSearch:
    """The engine that an ``[engine]`` table with ``kind = "echo"`` describes (``kind`` left out).

    Parameters
    ----------
    table : dict
        Keys phase, amplitude, band, offset_unit, remnant; tables data, condition, template, background, inject. See `TEMPLATE`.
    base : Path
        Folder of the configuration file.
    data : dict of str to Path
        Strain by detector, and PSDs as ``psd_`` and the detector, before the table's own.

    Raises
    ------
    ConfigError
        If a key or value is wrong; names the nearest.
    DataError
        If a file cannot be used, or the strain does not hold what a segment needs.
    PriorError
        If the amplitude's prior is none.
    """
    entry = _known("[engine]", table, _KEYS)
    _required("[engine]", entry, "data")
    shape = _known("[engine.template]", entry.get("template", {}), _TEMPLATE)
    band = entry.get("band", "sampled")
    options = {
        "phase": _name("phase", entry.get("phase", "mode"), ("mode", "bin", "whittle")),
        "amplitude": _amplitude(entry.get("amplitude", "sampled")),
        "band": _name("band", band, ("sampled",)) if isinstance(band, str) else _pair("band", band),
        "offset_unit": _name("offset_unit", entry.get("offset_unit", "spacing"), ("spacing", "Hz")),
        "remnant": _remnant(entry["remnant"]) if "remnant" in entry else None,
        "template": CombTemplate(**shape),
    }
    spectra, off = _data(entry, _paths(entry, base, data))
    engine = EchoSearch(spectra, off_source=off, **options)
    return _injected(engine, entry["inject"]) if "inject" in entry else engine


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The files that an ``[engine]`` table of this kind reads, by key."""
    return _paths(table, base, data)
