"""planck2018 from Python and from a TOML table: what it builds, what it refuses, mock data, processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.engine import compiled_of, domain_of, provenance_of
from sciinf.core.errors import ConfigError, DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.problem import Problem
from sciinf.engines import cmb
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.presets import TEMPLATE, from_config, input_files, planck2018

POINT = {"omega_b": 0.02237, "omega_c": 0.12, "theta_mc": 1.04092, "tau": 0.0544, "logA": 3.044, "n_s": 0.9649}
THETA = np.array([*POINT.values(), 1.0005])
FOUR = ("plik_lite", "low_tt_bins", "low_ee", "lensing")


@pytest.fixture(scope="module")
def engine(lookalike: PlanckFiles) -> cmb.Hybrid:
    return planck2018(FOUR, data=lookalike)


def fingerprint_and_value(engine: cmb.Hybrid) -> tuple[str, float]:
    return engine.fingerprint(), engine.log_likelihood(THETA)


BUILD = """
import sys
from pathlib import Path
import numpy as np
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb import planck2018, planck_data
engine = planck2018(("plik_lite", "low_tt_bins", "low_ee", "lensing"), data=planck_data(sys.argv[1], allow_unknown_data=True))
compiled = engine.compiled()
print(engine.fingerprint(), sha256_of(compiled.floats, compiled.ints))
"""


def test_what_it_builds(engine: cmb.Hybrid) -> None:
    assert engine.names == FOUR
    assert engine.parameters == (*POINT, "A_planck")
    assert engine.default_priors().names == engine.parameters
    assert domain_of(engine) is not None
    compiled = compiled_of(engine)
    assert compiled is not None
    assert compiled(THETA) == engine.log_likelihood(THETA)
    assert sum(engine.breakdown(THETA).values()) == pytest.approx(-2.0 * engine.log_likelihood(THETA), abs=1e-7)
    assert Problem(engine, engine.default_priors()).n_dim == 7


def test_full_compressed_and_spectra_agree(engine: cmb.Hybrid, lookalike: PlanckFiles) -> None:
    """The fused compressed form, the fused full form, and component by component from spectra, at points of the whole box."""
    full = planck2018(FOUR, data=lookalike, evaluation="full")
    thetas = engine.default_priors().sample(np.random.default_rng(3), 40)
    compressed, fused = engine.log_likelihood_many(thetas), full.log_likelihood_many(thetas)
    for theta, one, other in zip(thetas, compressed, fused, strict=True):
        spectra = engine.spectra(theta)
        parts = sum(part.log_likelihood(spectra, {"A_planck": theta[6]}) for part in engine.components)
        assert one == pytest.approx(parts, rel=1e-9)
        assert other == pytest.approx(parts, rel=1e-10)
    assert full.fingerprint() != engine.fingerprint()
    assert full.comparison_key() == engine.comparison_key()


@pytest.mark.parametrize("evaluation", ["compressed", "full"])
def test_row_bytes_do_not_depend_on_the_batch(lookalike: PlanckFiles, evaluation: Any) -> None:
    """256 thetas under 1,000 permutations (compressed; 20 in full), split at random, and one by one: array_equal."""
    engine = planck2018(FOUR, data=lookalike, evaluation=evaluation)
    rng = np.random.default_rng(4)
    thetas = engine.default_priors().sample(rng, 256)
    values = engine.log_likelihood_many(thetas)
    assert np.array_equal(values, [engine.log_likelihood(theta) for theta in thetas])
    for _ in range(1000 if evaluation == "compressed" else 20):
        order = rng.permutation(256)
        assert np.array_equal(engine.log_likelihood_many(thetas[order]), values[order])
        cut = int(rng.integers(1, 256))
        halves = [engine.log_likelihood_many(thetas[:cut]), engine.log_likelihood_many(thetas[cut:])] if cut % 8 == 0 else [values]
        assert np.array_equal(np.concatenate(halves), values)


def test_two_processes_build_the_same_engine(engine: cmb.Hybrid) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(fingerprint_and_value, [engine, engine])
    assert found == [fingerprint_and_value(engine)] * 2
    assert len(pickle.dumps(engine)) < 12e6


def test_an_engine_built_with_one_thread_or_two_is_the_same_to_the_byte(engine: cmb.Hybrid, lookalike: PlanckFiles) -> None:
    """Each built from the files in a process of its own: factorisations must not round by the number of BLAS threads."""
    compiled = compiled_of(engine)
    assert compiled is not None
    expected = f"{engine.fingerprint()} {sha256_of(compiled.floats, compiled.ints)}"
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        command = [sys.executable, "-c", BUILD, str(lookalike.folder)]
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == expected


@pytest.mark.planck
def test_the_real_preset(planck_files: PlanckFiles) -> None:
    engine = planck2018()
    assert engine.names == ("plik_lite", "low_tt_bins", "low_ee")
    origin = provenance_of(engine)
    assert origin["source"] == "cosmofit 2.2.0"
    assert origin["notes"] == []
    assert len(origin["files"]) == 10
    assert not any(name.startswith("/") for name in origin["files"])
    assert 580 < engine.breakdown(THETA)["plik_lite"] < 600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": ("plik_lite", "low_e")}, "no component 'low_e': did you mean 'low_ee'"),
        ({"components": "plik_lite"}, "lists of names"),
        ({"components": ("plik_lite", "plik_lite")}, "two components are called 'plik_lite'"),
        ({"components": ()}, "at least one component"),
        ({"components": ("low_ee",), "spectra": ("TT",)}, "selects the spectra of plik_lite, which is not among"),
        ({"spectra": ("TT", "BB")}, "no spectrum 'BB'"),
        ({"theory": "emulatr"}, "did you mean 'emulator'"),
        ({"sample": "theta"}, "did you mean 'theta_mc'"),
        ({"evaluation": "fast"}, "evaluation = 'fast'"),
    ],
)
def test_wrong_options(lookalike: PlanckFiles, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planck2018(**options, data=lookalike)


def test_a_theory_of_one_s_own(lookalike: PlanckFiles, toy_theory: type[Any]) -> None:
    engine = planck2018(("low_ee",), theory=toy_theory(), data=lookalike)
    assert engine.parameters == ("amplitude", "tilt", "A_planck")
    with pytest.raises(ConfigError, match="sample = 'H0', but the theory given samples amplitude, tilt"):
        planck2018(("low_ee",), theory=toy_theory(), sample="H0", data=lookalike)
    with pytest.raises(ConfigError, match="needs theory='emulator'"):
        planck2018(("low_ee",), theory=toy_theory(), evaluation="compressed", data=lookalike)


def test_h0_is_sampled_within_the_box(lookalike: PlanckFiles, engine: cmb.Hybrid) -> None:
    other = planck2018(FOUR, sample="H0", data=lookalike)
    assert other.parameters[2] == "H0"
    priors = other.default_priors()
    assert priors.is_constrained
    assert set(domain_of(other) or {}) == {"omega_b", "omega_c", "tau", "logA", "n_s"}
    h0 = engine.derived_many(THETA[None, :])[0, engine.derived_names.index("H0")]
    same = THETA.copy()
    same[2] = h0
    assert other.log_likelihood(same) == pytest.approx(engine.log_likelihood(THETA), abs=1e-6)
    assert other.derived_names[0] == "theta_mc"
    assert other.derived_many(same[None, :])[0, 0] == pytest.approx(THETA[2], abs=1e-9)
    same[2] = 79.0
    assert other.log_likelihood(same) == -np.inf
    assert "theta_mc" in other.explain(same)[0]
    Problem(other, priors)


def _table(**changes: Any) -> dict[str, Any]:
    return {"preset": "planck2018", "components": ["low_tt_bins", "low_ee"], "data": {"lookalike": 1}, **changes}


def build(table: dict[str, Any], base: Path = Path(), **data: Path) -> cmb.Hybrid:
    return from_config(table, base=base, data=data)


def test_from_a_table(lookalike: PlanckFiles, components: dict[str, Any]) -> None:
    engine = build(_table(sample="H0", outside="reject", theory="emulator"))
    assert engine.parameters[2] == "H0"
    assert engine.outside == "reject"
    assert engine.components[0].fingerprint() == components["low_tt_bins"].fingerprint()
    whole = build({"data": {"folder": lookalike.folder.name, "allow_unknown_data": True}}, base=lookalike.folder.parent)
    assert whole.names == ("plik_lite", "low_tt_bins", "low_ee")
    given = build({"data": {"folder": "elsewhere", "allow_unknown_data": True}}, folder=lookalike.folder)
    assert given.fingerprint() == whole.fingerprint()
    with pytest.raises(DataError, match="expected sha256"):
        build({}, folder=lookalike.folder)


def test_mock_data_are_drawn_at_the_point_named(lookalike: PlanckFiles, components: dict[str, Any]) -> None:
    known = {"data": {"allow_unknown_data": True}}

    def mock(seed: int, **theta: float) -> str:
        return build(_table(mock={"theta": {**POINT, **theta}, "seed": seed}, **known), folder=lookalike.folder).fingerprint()

    engine = build(_table(mock={"theta": POINT, "seed": 5}, **known), folder=lookalike.folder)
    assert engine.components[1].fingerprint() != components["low_ee"].fingerprint()
    assert mock(5) == mock(5, A_planck=1.0) == engine.fingerprint()  # a nuisance parameter left out stands at its prior's median
    assert len({mock(5), mock(6), mock(5, A_planck=1.001)}) == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"component": ["low_ee"]}, "unknown key 'component': did you mean 'components'"),
        ({"preset": "planck2015"}, "preset = 'planck2015': did you mean 'planck2018'"),
        ({"preset": 2018}, "preset must be a name, got 2018"),
        ({"components": "low_ee"}, "components must be a list of names"),
        ({"components": ["low_ee", 3]}, "components must be a list of names"),
        ({"data": {"foldr": "x"}}, r"\[engine.data\] has an unknown key 'foldr': did you mean 'folder'"),
        ({"data": {"lookalike": 1, "folder": "x"}}, "both folder and lookalike"),
        ({"data": {"lookalike": -1}}, "seed must be an integer"),
        ({"data": {"allow_unknown_data": "yes"}}, "must be true or false, got 'yes'"),
        ({"data": "planck"}, r"\[engine.data\] must be a table, got 'planck'"),
        ({"mock": {"seed": 1}}, r"\[engine.mock\] needs theta"),
        ({"mock": {"theta": POINT}}, r"\[engine.mock\] needs seed"),
        ({"mock": {"theta": {**POINT, "H0": 67.0}, "seed": 1}}, "theta has an unknown key 'H0'"),
        ({"mock": {"theta": {**POINT, "tau": "x"}, "seed": 1}}, r"theta.tau must be a finite number, got 'x'"),
        ({"mock": {"theta": {k: v for k, v in POINT.items() if k != "tau"}, "seed": 1}}, r"theta.tau must be a finite number, got None"),
        ({"mock": {"theta": {**POINT, "tau": 0.5}, "seed": 1}}, r"theta has no likelihood: theory: tau = 0\.5 is outside"),
    ],
)
def test_wrong_tables(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(_table(**table) if "component" not in table else {**_table(), **table})


def test_unknown_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="no input 'foldr': did you mean 'folder'"):
        build(_table(), foldr=Path())
    with pytest.raises(DataError, match="none' is not a folder"):
        build(_table(data={"folder": "none"}))


def test_input_files() -> None:
    assert input_files({}, base=Path("b"), data={}) == {}
    assert input_files({"data": {"folder": "x"}}, base=Path("b"), data={}) == {"folder": Path("b/x")}
    assert input_files({"data": {"folder": "x"}}, base=Path("b"), data={"folder": Path("y")}) == {"folder": Path("y")}


def test_the_template_is_valid_and_complete(components: dict[str, Any]) -> None:
    content = tomllib.loads(TEMPLATE)
    engine_table = {**content["engine"], "data": {"lookalike": 1}}
    assert engine_table.pop("kind") == "cmb"
    assert build(engine_table).names == ("plik_lite", "low_tt_bins", "low_ee")
    for key in ("evaluation", "outside", "folder", "allow_unknown_data", "lookalike", "[engine.mock]"):
        assert f"# {key}" in TEMPLATE
