"""From an ``[engine]`` table with ``kind = "echo"`` to a search: on real strain, on simulated noise, or on one of the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciinf.core.errors import ConfigError, shown
from sciinf.core.prior_base import real_number
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.seeding import check_seed, generator
from sciinf.engines.echo.model import EchoSearch
from sciinf.engines.echo.preset_data import input_paths, read_data
from sciinf.engines.echo.preset_values import known, number, one_of, pair, positive, required
from sciinf.engines.echo.priors import Remnant
from sciinf.engines.echo.template import CombTemplate

__all__ = ["TEMPLATE", "from_config", "input_files"]

_KEYS = ("phase", "amplitude", "band", "offset_unit", "remnant", "data", "condition", "template", "background", "inject")
_REMNANT = ("spin", "mass_detector_frame")
_TEMPLATE = ("cut_height", "minimum_bins")
_INJECT = ("spacing", "offset", "width", "amplitude", "snr", "band", "phase_shift", "seed")

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


def _injected(engine: EchoSearch, table: Any) -> EchoSearch:
    """The engine with a comb added to its data; the amplitude's scale stays that of the noise."""
    from sciinf.engines.echo.simulate import comb, inject, optimal_snr, project

    where = "[engine.inject]"
    entry = known(where, table, _INJECT)
    required(where, entry, "spacing", "offset", "width", "seed")
    if ("snr" in entry) == ("amplitude" in entry):
        raise ConfigError(f"{where} needs snr (of the network) or amplitude (in s): one of them")
    if "band" not in entry and isinstance(engine.band, str):
        raise ConfigError(f"{where} needs band = [f_min, f_max] in Hz, since the engine's is sampled")
    shifts = known(f"{where} phase_shift", entry.get("phase_shift", {}), engine.detectors[1:])
    values = {key: number(f"{where} {key}", entry[key]) for key in ("spacing", "offset", "width")}
    for key in ("spacing", "width"):
        positive(f"{where} {key}", entry[key])
    target = number(f"{where} snr", entry["snr"], low=0.0) if "snr" in entry else None
    assert isinstance(engine.template, CombTemplate)
    signal = comb(
        engine.spectra[0],
        spacing=values["spacing"],
        offset_hz=engine.offset_hz(values),
        width=values["width"],
        amplitude=1.0 if target is not None else number(f"{where} amplitude", entry["amplitude"], low=0.0),
        band=pair(f"{where} band", entry["band"]) if "band" in entry else engine.band_of({}),
        phase=engine.phase,
        rng=generator(check_seed(entry["seed"]), "inject"),
        template=engine.template,
    )
    seen = [project(signal, one, number(f"{where} phase_shift", shifts.get(one.detector, 0.0))) for one in engine.spectra]
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
        return one_of("amplitude", value, ("sampled", "marginalised")) if isinstance(value, str) else _refused_amplitude(value)
    entry = known("amplitude", value, ("prior", "low", "high"))
    required("amplitude", entry, "prior", "low", "high")
    kind = one_of("amplitude.prior", entry["prior"], ("uniform", "log_uniform"))
    low, high = (real_number("amplitude", key, entry[key]) for key in ("low", "high"))
    return (Uniform if kind == "uniform" else LogUniform)(low, high)


def _refused_amplitude(value: Any) -> Any:
    raise ConfigError(
        "amplitude must be 'sampled', 'marginalised' or { prior = 'uniform' or 'log_uniform', low = ..., high = ... }, "
        f"got {shown(value)}"
    )


def _remnant(value: Any) -> Remnant:
    entry = known("remnant", value, _REMNANT)
    required("remnant", entry, "spin")
    return Remnant(entry["spin"], entry.get("mass_detector_frame"))


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
    entry = known("[engine]", table, _KEYS)
    required("[engine]", entry, "data")
    shape = known("[engine.template]", entry.get("template", {}), _TEMPLATE)
    band = entry.get("band", "sampled")
    options = {
        "phase": one_of("phase", entry.get("phase", "mode"), ("mode", "bin", "whittle")),
        "amplitude": _amplitude(entry.get("amplitude", "sampled")),
        "band": one_of("band", band, ("sampled",)) if isinstance(band, str) else pair("band", band),
        "offset_unit": one_of("offset_unit", entry.get("offset_unit", "spacing"), ("spacing", "Hz")),
        "remnant": _remnant(entry["remnant"]) if "remnant" in entry else None,
        "template": CombTemplate(**shape),
    }
    spectra, off = read_data(entry, input_paths(entry, base, data))
    engine = EchoSearch(spectra, off_source=off, **options)
    return _injected(engine, entry["inject"]) if "inject" in entry else engine


def input_files(table: Mapping[str, Any], *, base: Path, data: Mapping[str, Path]) -> dict[str, Path]:
    """The files that an ``[engine]`` table of this kind reads, by key."""
    return input_paths(table, base, data)
