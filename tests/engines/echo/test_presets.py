"""From an ``[engine]`` table to a search: what it builds, and what it refuses, by key and with the nearest name."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciinf.core.engine import background_of
from sciinf.core.errors import ConfigError, DataError, PriorError
from sciinf.core.priors import LogUniform, Uniform
from sciinf.core.problem import Problem
from sciinf.engines.echo import preset_data, presets
from sciinf.engines.echo.conditioning import welch_psd
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.network import EchoWarning
from sciinf.engines.echo.presets import TEMPLATE, from_config, input_files
from sciinf.engines.echo.recipe import Conditioning
from sciinf.engines.echo.simulate import gaussian_noise, to_strain
from sciinf.engines.echo.strain import Strain

RATE, GPS, LENGTH = 1024.0, 1000.0, 24.0
DENSITY = 2.0 / RATE
NOISE = {"noise": "white", "density": DENSITY, "duration": 4.0, "sample_rate": RATE, "seed": 7}
INJECT = {"spacing": 5.83, "offset": 0.216, "width": 0.5, "snr": 12.0, "seed": 11}
SIMULATED: dict[str, Any] = {"phase": "mode", "amplitude": "marginalised", "band": [50.0, 250.0], "data": NOISE}
REAL: dict[str, Any] = {
    "phase": "mode",
    "amplitude": "marginalised",
    "band": [50.0, 250.0],
    "data": {"detectors": ["H1", "L1"], "files": {"H1": "H1.hdf5", "L1": "L1.hdf5"}, "delay": {"L1": 0.0069}, "response": {"L1": 0.9}},
    "condition": {"start": 1007.0, "duration": 1.0, "psd": "off_source"},
}


def write_gwosc(path: Path, values: np.ndarray, detector: str, interval: float = 1.0 / RATE) -> None:
    with h5py.File(path, "w") as stream:
        series = stream.create_dataset("strain/Strain", data=values)
        series.attrs.update({"Xstart": GPS, "Xspacing": interval})
        stream["meta/GPSstart"] = GPS
        stream["meta/Detector"] = detector
        quality = stream.create_dataset("quality/simple/DQmask", data=np.full(int(LENGTH), 127, dtype=np.uint32))
        quality.attrs.update({"Xstart": GPS, "Xspacing": 1.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strain of two detectors, L1 with a strong line, and a PSD."""
    place = tmp_path_factory.mktemp("strain")
    time = np.arange(int(LENGTH * RATE)) / RATE
    for seed, name in enumerate(("H1", "L1")):
        noise = gaussian_noise(Psd.white(DENSITY), LENGTH, 1.0 / RATE, np.random.default_rng(seed), name)
        line = 3.0 * np.cos(2.0 * np.pi * 60.0 * time) if name == "L1" else 0.0
        write_gwosc(place / f"{name}.hdf5", to_strain(noise, 1.0 / RATE).values + line, name)
    np.savetxt(place / "flat.txt", [[0.0, DENSITY], [RATE, DENSITY]])
    return place


def changed(table: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one value set; None takes the key out."""
    result = copy.deepcopy(table)
    *outer, last = path.split(".")
    at = result
    for key in outer:
        at = at.setdefault(key, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return result


def build(table: dict[str, Any], base: Path = Path(), data: dict[str, Path] | None = None) -> Any:
    return from_config(table, base=base, data=data or {})


def test_the_template_builds_its_problem() -> None:
    engine = build({key: value for key, value in tomllib.loads(TEMPLATE)["engine"].items() if key != "kind"})
    assert engine.parameters == ("spacing", "offset", "width")
    assert engine.duration == 4.0
    assert Problem(engine, engine.default_priors()).n_dim == 3


def test_every_key_that_is_read_stands_in_the_template() -> None:
    keys = {*presets._KEYS, *presets._REMNANT, *presets._TEMPLATE, *presets._INJECT}
    keys |= {*preset_data._REAL, *preset_data._NOISE, *preset_data._BENCHMARK, *preset_data._CONDITION, *preset_data._BACKGROUND}
    assert [key for key in sorted(keys) if key not in TEMPLATE] == []


def test_simulated_noise_follows_from_its_seed() -> None:
    one, same, other = (build(changed(SIMULATED, "data.seed", seed)) for seed in (7, 7, 8))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert 0.8 < one.psd_levels[0] < 1.2


def test_the_noise_of_a_psd_file_is_that_of_the_same_white_noise(folder: Path) -> None:
    table = changed(changed(SIMULATED, "data.noise", "psd"), "data.density", None)
    table = changed(table, "data.files", {"psd_H1": "flat.txt"})
    assert build(table, folder).fingerprint() == build(SIMULATED).fingerprint()
    assert input_files(table, base=folder, data={}) == {"psd_H1": folder / "flat.txt"}


def test_an_injection_has_the_network_snr_that_was_asked_for() -> None:
    table = changed(SIMULATED, "data.detectors", ["H1", "L1"]) | {"inject": {**INJECT, "phase_shift": {"L1": 1.0}}}
    table["data"] |= {"response": {"L1": 0.5}, "delay": {"L1": 0.005}}
    with_comb, without = build(table), build(changed(table, "inject", None))
    signal = [one.values - other.values for one, other in zip(with_comb.spectra, without.spectra, strict=True)]
    power = [4.0 / 4.0 * np.sum(np.abs(values) ** 2) / DENSITY for values in signal]
    assert np.sqrt(sum(power)) == pytest.approx(12.0)
    assert power[1] / power[0] == pytest.approx(0.25)
    assert with_comb.amplitude_scale == without.amplitude_scale  # that of the noise
    assert with_comb.amplitude_prior == without.amplitude_prior
    truth = np.array([5.83, 0.216, 0.5, 1.0])
    assert with_comb.log_likelihood(truth) > without.log_likelihood(truth) + 30.0


def test_an_amplitude_is_injected_as_it_is() -> None:
    table = SIMULATED | {"inject": {**changed(INJECT, "snr", None), "amplitude": 0.05}, "phase": "whittle", "offset_unit": "Hz"}
    table["inject"]["offset"] = 0.216 * 5.83
    signal = build(table).spectra[0].values - build(SIMULATED).spectra[0].values
    assert np.abs(signal).max() == pytest.approx(0.05 * (1.0 - np.exp(-2.0)), rel=0.05)


def test_a_benchmark_is_searched_in_units_of_the_mass() -> None:
    table = {
        "amplitude": "marginalised",
        "remnant": {"spin": 0.69},
        "data": {"benchmark": "constant_wall", "n_echoes": 20, "snr": 12.0, "seed": 1},
    }
    engine = build(table)
    assert engine.parameters == ("spacing", "offset", "width", "f_min", "f_max")
    assert engine.default_priors().describe()
    with pytest.warns(EchoWarning, match="one-sided 1/Hz expected"):
        silent = build(changed(table, "data.seed", None))
    assert silent.fingerprint() != engine.fingerprint()


def test_real_strain_is_conditioned_in_the_detectors_frames(folder: Path) -> None:
    engine = build(REAL, folder)
    assert engine.detectors == ("H1", "L1")
    assert [one.delay for one in engine.spectra] == [0.0, 0.0069]
    assert [one.response for one in engine.spectra] == [1.0, 0.9]
    assert all(0.7 < level < 1.4 for level in engine.psd_levels)
    assert engine.spectra[0].used.all()
    assert input_files(REAL, base=folder, data={}) == {"H1": folder / "H1.hdf5", "L1": folder / "L1.hdf5"}


def test_a_lower_threshold_finds_the_lines_of_a_short_segment(folder: Path) -> None:
    table = changed(changed(REAL, "condition.lines", "mains"), "condition.duration", 2.0)
    assert build(table, folder).spectra[1].used.all()
    h1, l1 = build(changed(table, "condition.threshold", 3.0), folder).spectra
    assert 60.0 in np.flatnonzero(~l1.used) / l1.duration
    assert 60.0 not in np.flatnonzero(~h1.used) / h1.duration
    assert np.abs(l1.whitened()).max() < 5.5  # nothing is left beside the notch


@pytest.mark.parametrize("psd", ["off_source", "segment"])
def test_lines_that_stand_out_are_masked_and_the_others_left(folder: Path, psd: str) -> None:
    # in the PSD of its own strain a line stands out by the square root of the duration: 6.4 after 6 s
    table = REAL | {"condition": {"start": 1009.0, "duration": 6.0, "psd": psd, "lines": "mains"}}
    h1, l1 = build(table, folder).spectra
    assert h1.used.all()
    masked = np.flatnonzero(~l1.used) / l1.duration
    assert len(masked)
    assert np.all(np.abs(masked - 60.0) <= 0.3 + 1e-9)
    own = changed(table, "condition.lines", [[60.0, 0.06]])
    assert np.array_equal(build(own, folder).spectra[1].used, l1.used)
    assert build(changed(table, "condition.lines", [[90, 0.1]]), folder).spectra[1].used.all()


def test_a_psd_comes_from_a_file_too(folder: Path) -> None:
    table = changed(REAL, "condition.psd", "file")
    table["data"]["files"] |= {"psd_H1": "flat.txt", "psd_L1": "flat.txt"}
    engine = build(table, folder)
    assert engine.spectra[0].psd[100] == DENSITY
    with pytest.raises(ConfigError, match=r"give \[engine.data\] files.psd_L1, or --data psd_L1=PATH"):
        build(changed(table, "data.files.psd_L1", None), folder)
    given = build(changed(table, "data.files.psd_L1", None), folder, {"psd_L1": folder / "flat.txt"})
    assert given.fingerprint() == engine.fingerprint()


def test_files_given_by_key_go_before_the_tables(folder: Path) -> None:
    table = changed(REAL, "data.files", {"H1": "not_here.hdf5"})
    given = {name: folder / f"{name}.hdf5" for name in ("H1", "L1")}
    assert build(table, Path(), given).fingerprint() == build(REAL, folder).fingerprint()
    assert input_files(table, base=Path(), data=given) == given
    with pytest.raises(ConfigError, match="the echo engine has no input 'H2': allowed: H1, L1, psd_H1, psd_L1"):
        build(table, folder, {"H2": folder / "H1.hdf5"})


def test_a_background_is_the_same_steps_on_every_pair(folder: Path) -> None:
    table = REAL | {"background": {"n": 5, "seed": 3}, "inject": INJECT}
    engine = build(table, folder)
    problem = Problem(engine, engine.default_priors())
    background = background_of(problem)
    assert background is not None
    slides = background.problems()
    assert len(slides) == 5
    assert {slide.names for slide in slides} == {problem.names}
    assert {slide.engine.amplitude_scale for slide in slides} == {engine.amplitude_scale}
    i, k = engine.off_source.pairs[0].tolist()
    starts = engine.off_source.segments.starts
    strain = engine.off_source.strains[1]
    alone = Conditioning(1007.0, 1.0).spectrum(strain, start=float(starts[k]))
    assert slides[0].name == f"slide {i}-{k}"
    assert np.array_equal(slides[0].engine.spectra[1].values, alone.values)
    assert slides[0].engine.spectra[1].delay == 0.0069
    assert background_of(slides[0]) is None
    judged = background.judge(1.0, np.array([0.0, 2.0, -1.0, 0.5, 0.1]))
    assert (judged["k"], judged["n"], judged["p"]) == (1, 5, 0.2)
    assert "p = 1/5 = 0.2" in judged["sentence"]
    assert len(judged["pairs"]) == 5
    assert background.figure({**judged, "on": 1.0, "log_evidence": [0.0, 2.0, -1.0, 0.5, 0.1]}).get_label()


def test_segments_that_overlap_have_the_bootstraps_interval_only(folder: Path) -> None:
    engine = build(REAL | {"background": {"overlap": 0.5}}, folder)
    background = background_of(Problem(engine, engine.default_priors()))
    assert background is not None
    n = len(engine.off_source.pairs)
    judged = background.judge(0.0, np.linspace(-3.0, -1.0, n))
    assert judged["interval"] is None
    assert judged["block_interval"][0] == 0.0
    assert "overlap by 50 %" in judged["sentence"]


def test_workers_get_no_off_source_strain(folder: Path) -> None:
    import pickle

    engine = build(REAL | {"background": {"n": 5, "seed": 3}}, folder)
    again = pickle.loads(pickle.dumps(engine))
    assert again.off_source is None
    assert again.fingerprint() == engine.fingerprint()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"prior": "uniform", "low": 0.0, "high": 2}, Uniform(0.0, 2.0)),
        ({"prior": "log_uniform", "low": 1e-3, "high": 2.0}, LogUniform(1e-3, 2.0)),
    ],
)
def test_an_amplitude_prior_is_marginalised_over(value: dict[str, Any], expected: object) -> None:
    engine = build(SIMULATED | {"amplitude": value})
    assert engine.amplitude_prior == expected
    assert "amplitude" not in engine.parameters


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("phases", "mode", r"\[engine\] has an unknown key 'phases': did you mean 'phase'"),
        ("phase", "modes", "phase = 'modes': did you mean 'mode'"),
        ("phase", 3, "phase = 3"),
        ("amplitude", "marginalized", "amplitude = 'marginalized': did you mean 'marginalised'"),
        ("amplitude", 0.1, "amplitude must be 'sampled', 'marginalised' or"),
        ("amplitude", {"prior": "normal", "low": 0, "high": 1}, "amplitude.prior = 'normal': .*uniform"),
        ("amplitude", {"prior": "uniform", "low": 0}, "amplitude needs high"),
        ("band", "sample", "band = 'sample': did you mean 'sampled'"),
        ("band", [50.0], r"band must be \[f_min, f_max\] in Hz, got \[50.0\]"),
        ("band", [250.0, 50.0], "f_min=250, f_max=50 Hz"),
        ("band", [50.0, 600.0], r"Nyquist \(512 Hz\)"),
        ("band", "sampled", r"needs the remnant for it: EchoSearch\(..., amplitude="),
        ("offset_unit", "spacings", "offset_unit = 'spacings': did you mean 'spacing'"),
        ("remnant", {"spin": 1.0}, r"spin must lie in \[0, 1\), got 1"),
        ("remnant", {"spin": 0.7, "mass_detector_frame": -1.0}, "mass_detector_frame must be positive and finite .* got -1"),
        ("remnant", {"mass_detector_frame": 60.0}, "remnant needs spin"),
        ("remnant", {"spin": 0.7, "mass": 60.0}, "remnant has an unknown key 'mass': allowed: spin, mass_detector_frame"),
        ("template", {"cut": 0.2}, r"\[engine.template\] has an unknown key 'cut'"),
        ("template", {"cut_height": 1.5}, r"cut_height must lie in \(0, 1\), got 1.5"),
        ("template", {"minimum_bins": 0}, "minimum_bins must be an integer of at least 1, got 0"),
        ("data.nois", "white", r"\[engine.data\] has an unknown key 'nois': did you mean 'noise'"),
        ("data.noise", "pink", "noise = 'pink'"),
        ("data.density", None, "needs density"),
        ("data.density", -1.0, "density must be a positive number, got -1"),
        ("data.duration", None, r"\[engine.data\] needs duration"),
        ("data.duration", 1e9, "more than 4194304. Shorten the duration"),
        ("data.detectors", ["H1", "H1"], "'H1' is there 2 times"),
        ("data.detectors", [""], "detectors must be a list of names"),
        ("data.detectors", "H1", "detectors must be a list of names"),
        ("data.delay", {"L1": 0.1}, r"\[engine.data\] delay has an unknown key 'L1'"),
        ("data.delay", {"H1": 0.1}, "delay.H1 must be 0 or left out: it is the reference"),
        ("data.benchmark", "wide_band", "has both noise and benchmark"),
        ("condition", {"start": 1.0}, r"\[engine.condition\] belongs to real strain"),
        ("background", {}, r"\[engine.background\] belongs to real strain"),
        ("inject", {**INJECT, "amplitude": 1.0}, r"\[engine.inject\] needs snr .* one of them"),
        ("inject", {**INJECT, "space": 1.0}, r"\[engine.inject\] has an unknown key 'space': did you mean 'spacing'"),
        ("inject", {**INJECT, "spacing": -1.0}, "spacing must be a positive number, got -1"),
        ("inject", {**INJECT, "band": [9.0, 10.0], "spacing": 200.0, "offset": 0.9}, "has no bin in its band"),
        ("inject", {**INJECT, "phase_shift": {"L1": 1.0}}, "phase_shift has an unknown key 'L1'"),
        ("inject", 3, r"\[engine.inject\] must be a table, got 3"),
        ("data", 3, r"\[engine.data\] must be a table, got 3"),
        ("data", None, r"\[engine\] needs data"),
    ],
)
def test_what_a_simulated_search_refuses(path: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(changed(SIMULATED, path, value))


@pytest.mark.parametrize(
    ("path", "value", "error", "words"),
    [
        ("data.files.H1", None, ConfigError, r"names no file for H1: give files.H1, or --data H1=PATH"),
        ("data.files.V1", "x", ConfigError, r"\[engine.data\] files has an unknown key 'V1'"),
        ("data.files.H1", 3, ConfigError, "files.H1 must be a path, got 3"),
        ("data.files.H1", "L1.hdf5", ConfigError, "L1.hdf5 is of detector 'L1', expected 'H1'"),
        ("data.files.H1", "flat.txt", DataError, "flat.txt: cannot be read"),
        ("data.files.H1", "gone.hdf5", DataError, "gone.hdf5: cannot be read .no such file"),
        ("data.detectors", ["H1", "psd_x"], ConfigError, "must not begin with 'psd_'"),
        ("condition.start", None, ConfigError, r"\[engine.condition\] needs start"),
        ("condition.strat", 1.0, ConfigError, r"\[engine.condition\] has an unknown key 'strat': did you mean 'start'"),
        ("condition.start", 1022.5, DataError, "needs strain three times as long, GPS .* available is 1000.0.* largest duration that fits"),
        ("condition.duration", 1.00001, DataError, "whole number of samples"),
        ("condition.psd", "of_source", ConfigError, "psd = 'of_source': did you mean 'off_source'"),
        ("condition.lines", "O2", ConfigError, "lines = 'O2'"),
        ("condition.lines", [60.0], ConfigError, r"lines holds \[Hz, tolerance in Hz\], got 60"),
        ("condition.threshold", 0.0, ConfigError, "threshold must be a positive number, got 0"),
        ("background", {"gard": 1.0}, ConfigError, r"\[engine.background\] has an unknown key 'gard': did you mean 'guard'"),
        ("background", {"guard": -1.0}, ConfigError, "guard must be a finite number from 0"),
        ("background", {"guard": 30.0}, DataError, r"0 off-source segment.* smallest p reachable 1/\(N\+1\) = 1"),
        ("background", {"overlap": 1.0}, ConfigError, "overlap must be a finite number from 0 to 0.99"),
        ("background", {"n": 5}, ConfigError, "n and seed belong together"),
        ("background", {"n": 5000, "seed": 1}, ConfigError, "n must be a whole number from 1 to"),
        ("background", {"level": 1.5}, ConfigError, "level must lie between 0 and 1"),
    ],
)
def test_what_a_search_in_real_strain_refuses(folder: Path, path: str, value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build(changed(REAL, path, value), folder)


def test_slides_need_two_detectors(folder: Path) -> None:
    table = changed(REAL, "data", {"detectors": ["H1"], "files": {"H1": "H1.hdf5"}}) | {"background": {}}
    with pytest.raises(ConfigError, match=r"time slides need 2 detectors, got 1 \(H1\)"):
        build(table, folder)


def test_strain_that_is_not_finite_is_refused_by_sample(folder: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(1).standard_normal(int(LENGTH * RATE))
    values[2048] = np.nan
    write_gwosc(tmp_path / "H1.hdf5", values, "H1")
    with pytest.raises(DataError, match=r"H1.hdf5: strain of H1 must be finite: 1 of .* GPS 1002.000000 .*cut or fill before"):
        build(REAL, folder, {"H1": tmp_path / "H1.hdf5"})


def test_a_psd_that_does_not_cover_the_band_names_both_ranges(folder: Path) -> None:
    np.savetxt(folder / "short.txt", [[60.0, DENSITY], [200.0, DENSITY]])
    table = changed(changed(SIMULATED, "data.noise", "psd"), "data.density", None)
    with pytest.raises(DataError, match=r"PSD does not cover the band: it holds 60 to 200 Hz, wanted are 50 to"):
        build(changed(table, "data.files", {"psd_H1": "short.txt"}), folder)


def test_a_psd_of_the_wrong_level_warns_and_says_so_in_the_manifest(folder: Path) -> None:
    np.savetxt(folder / "half.txt", [[0.0, DENSITY / 2.0], [RATE, DENSITY / 2.0]])
    table = changed(REAL, "condition.psd", "file")
    table["data"] = {"detectors": ["H1"], "files": {"H1": "H1.hdf5", "psd_H1": "half.txt"}}
    with pytest.warns(EchoWarning, match="one-sided 1/Hz expected"):
        engine = build(table, folder)
    assert "PSD level q" in engine.provenance()["notes"][0]


def test_a_segment_too_short_for_its_widths_is_a_prior_error() -> None:
    engine = build(changed(SIMULATED, "data.duration", 0.25))
    with pytest.raises(PriorError, match="ends at 2 rad/s, below 1/T = 4 rad/s"):
        engine.default_priors()


def test_an_off_source_psd_leaves_the_segment_out(folder: Path) -> None:
    from sciinf.engines.echo.gwosc import read_gwosc

    strain = read_gwosc(folder / "H1.hdf5")
    loud = strain.values.copy()
    loud[7 * int(RATE) : 8 * int(RATE)] *= 100.0
    loud = Strain(loud, strain.sample_interval, strain.start_time, "H1")
    with_event, without = (Conditioning(1007.0, 1.0).spectrum(one) for one in (loud, strain))
    assert np.array_equal(with_event.psd, without.psd)
    assert np.array_equal(without.psd, welch_psd(strain, exclude=(1007.0, 1008.0)).on_bins(without.n_bin, 1.0))
