"""The hybrid: sums, shared calibration, refusals, reasons for -inf, row invariance, simulation, what it tells the manifest."""

from __future__ import annotations

import dataclasses
import pickle
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from sciinf.core.engine import (
    Engine,
    breakdown_of,
    comparison_key_of,
    compiled_of,
    derived_of,
    domain_of,
    edges_of,
    predict_of,
    provenance_of,
    simulator_of,
    smooth_of,
)
from sciinf.core.errors import ConfigError, DataError, LikelihoodError, PriorError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.engines.cmb.combination import OVERLAPS
from sciinf.engines.cmb.component import A_PLANCK, Component, calibration_prior
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

NAMES = ("plik_lite", "low_tt_bins", "low_ee", "lensing")
THETA = np.array([1.01, 0.002, 1.0005])


@pytest.fixture(scope="module")
def hybrid(components: dict[str, Component], toy_theory: type[Any]) -> Hybrid:
    return Hybrid(toy_theory(), tuple(components.values()))


def test_is_an_engine_with_every_capability(hybrid: Hybrid) -> None:
    assert isinstance(hybrid, Engine)
    assert hybrid.parameters == ("amplitude", "tilt", A_PLANCK)
    assert simulator_of(hybrid) is not None
    assert breakdown_of(hybrid) is not None
    assert predict_of(hybrid) is not None
    assert compiled_of(hybrid) is None
    derived = derived_of(hybrid)
    assert derived is not None
    assert derived.names == ("power", *(f"chi2__{name}" for name in NAMES), "chi2__total")
    assert domain_of(hybrid) == {"amplitude": (0.5, 1.5), "tilt": (-0.5, 0.5)}
    assert hybrid.names == NAMES
    for component in hybrid.components:
        assert isinstance(component, Component)


def test_the_value_is_the_sum_of_the_components(hybrid: Hybrid) -> None:
    spectra = hybrid.spectra(THETA)
    parts = {component.name: component.log_likelihood(spectra, {A_PLANCK: THETA[2]}) for component in hybrid.components}
    assert hybrid.log_likelihood(THETA) == pytest.approx(sum(parts.values()), abs=1e-9)
    chi2 = {name: -2.0 * value for name, value in parts.items()}
    assert hybrid.breakdown(THETA) == pytest.approx(chi2, rel=1e-14)
    derived = dict(zip(hybrid.derived_names, hybrid.derived_many(THETA[None, :])[0], strict=True))
    assert derived["power"] == THETA[0] ** 2
    assert derived["chi2__total"] == pytest.approx(sum(chi2.values()), rel=1e-14)
    assert {name: derived[f"chi2__{name}"] for name in NAMES} == pytest.approx(chi2, rel=1e-12)


def test_predictions_are_the_components(hybrid: Hybrid) -> None:
    found = hybrid.predict(THETA)
    assert {name: len(values) for name, values in found.items()} == {"plik_lite": 613, "low_tt_bins": 2, "low_ee": 28, "lensing": 9}
    residual = hybrid.component("plik_lite").core.data - found["plik_lite"]  # type: ignore[attr-defined]
    whitened = np.linalg.solve(np.linalg.cholesky(hybrid.component("plik_lite").covariance), residual)  # type: ignore[attr-defined]
    assert whitened @ whitened == pytest.approx(hybrid.breakdown(THETA)["plik_lite"], rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_calibration_one_prior(components: dict[str, Component], toy_theory: type[Any], count: int) -> None:
    """ln prior of A_planck between 1.0025 and 1 differs by -1/2, however many components share it."""
    engine = Hybrid(toy_theory(), tuple(components.values())[:count])
    assert engine.parameters.count(A_PLANCK) == 1
    priors = engine.default_priors()
    one, moved = priors.log_prior([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0025]])
    assert moved - one == pytest.approx(-0.5, abs=1e-9)


def test_default_priors_are_uniform_on_the_box(hybrid: Hybrid) -> None:
    priors = hybrid.default_priors()
    assert priors.names == hybrid.parameters
    assert priors.supports["amplitude"] == (0.5, 1.5)
    assert Problem(hybrid, priors).names == hybrid.parameters


def test_a_theory_may_bring_its_own_priors_or_none(components: dict[str, Component], toy_theory: type[Any]) -> None:
    class Own(toy_theory):  # type: ignore[misc]
        def default_priors(self) -> PriorSet:
            return PriorSet([Parameter("amplitude", Normal(1.0, 0.1)), Parameter("tilt", Uniform(-0.1, 0.1))])

    part = (components["low_tt_bins"],)
    assert Hybrid(Own(), part).default_priors().supports["tilt"] == (-0.1, 0.1)
    with pytest.raises(ConfigError, match="ToyTheory has no default prior for amplitude, tilt"):
        Hybrid(toy_theory(box=None), part).default_priors()


def test_row_bytes_do_not_depend_on_the_batch(hybrid: Hybrid) -> None:
    """256 thetas under permutations, random splits and one by one."""
    rng = np.random.default_rng(8)
    thetas = hybrid.default_priors().sample(rng, 256)
    thetas[::7, 0] = rng.uniform(0.3, 2.0, len(thetas[::7]))  # some outside the box
    values = hybrid.log_likelihood_many(thetas)
    assert np.array_equal(values, [hybrid.log_likelihood(theta) for theta in thetas])
    assert 0 < np.sum(values == -np.inf) < 256
    for _ in range(20):
        rows = rng.permutation(256)[: rng.integers(1, 257)]
        assert np.array_equal(hybrid.log_likelihood_many(thetas[rows]), values[rows])


@pytest.mark.parametrize(
    ("theta", "value", "reasons"),
    [
        ([1.6, 0.0, 1.0], -np.inf, ["theory: amplitude = 1.6 is outside [0.5, 1.5]"]),
        ([0.1, -0.9, 1.0], -np.inf, ["theory: amplitude = 0.1 is", "theory: tilt = -0.9 is"]),
        ([1.0, 0.0, 0.0], -np.inf, [f"{name}: A_planck = 0 must be positive" for name in NAMES]),
        ([1.0, 0.0, -1.0], -np.inf, [f"{name}: A_planck = -1 must be positive" for name in NAMES]),
        ([np.nan, 0.0, 1.0], np.nan, ["amplitude = nan is not finite"]),
        ([1.0, 0.0, np.inf], np.nan, ["A_planck = inf is not finite"]),
        ([1.0, 0.0, 0.1], -np.inf, ["low_ee: EE at l = "]),
    ],
)
def test_reasons(hybrid: Hybrid, theta: list[float], value: float, reasons: list[str]) -> None:
    found = hybrid.log_likelihood(np.array(theta))
    assert np.array_equal([found], [value], equal_nan=True)
    lines = hybrid.explain(np.array(theta))
    assert len(lines) >= len(reasons)
    for line, reason in zip(lines, reasons, strict=False):
        assert reason in line


def test_a_finite_point_needs_no_reason(hybrid: Hybrid) -> None:
    assert hybrid.explain(THETA) == []


@pytest.mark.parametrize("raises", [False, True])
def test_a_theory_that_fails_is_minus_infinity_with_a_reason(components: dict[str, Component], toy_theory: type[Any], raises: bool) -> None:
    """NaN in the theory's arrays: as they are in a batch, or refused by ``Spectra(...)``. Rows that are fine stay fine."""

    class Failing(toy_theory):  # type: ignore[misc]
        def spectra_many(self, thetas: np.ndarray) -> SpectraBatch:
            batch = super().spectra_many(thetas)
            batch["EE"][thetas[:, 0] > 1.2, 77] = np.nan
            if raises and np.isnan(batch["EE"]).any():
                Spectra(ee=batch["EE"][np.isnan(batch["EE"]).any(axis=1)][0])
            return batch

    engine = Hybrid(Failing(), (components["plik_lite"], components["low_ee"]))
    thetas = np.array([[1.0, 0.0, 1.0], [1.3, 0.0, 1.0], [1.1, 0.0, 1.0]])
    values = engine.log_likelihood_many(thetas)
    assert np.array_equal(values == -np.inf, [False, True, False])
    whole = Hybrid(toy_theory(), engine.components)
    assert np.array_equal(values[[0, 2]], whole.log_likelihood_many(thetas[[0, 2]]))
    lines = engine.explain(thetas[1])
    assert "EE" in lines[0]
    assert "l = 77 it is nan" in lines[0] or "at l = 77 is nan" in lines[0]
    problem = Problem(engine, engine.default_priors())
    assert problem.log_likelihood(thetas[1]) == -np.inf
    assert problem.counts.minus_inf == 1


def test_nan_follows_the_problem_s_policy(hybrid: Hybrid) -> None:
    with pytest.raises(LikelihoodError, match="gave NaN at amplitude=nan"):
        Problem(hybrid, hybrid.default_priors()).log_likelihood(np.array([np.nan, 0.0, 1.0]))


def test_the_first_reason_wins_and_the_rest_is_not_evaluated(components: dict[str, Component], toy_theory: type[Any]) -> None:
    rows = []

    class Counting:
        name, nuisance, requires = "counting", (), {"TT": (2, 10)}

        def log_likelihood_many(self, batch: SpectraBatch, nuisances: Mapping[str, np.ndarray]) -> np.ndarray:
            rows.append(len(batch))
            return np.zeros(len(batch))

        def default_priors(self) -> PriorSet:
            return PriorSet([])

    engine = Hybrid(toy_theory(), (components["low_ee"], Counting()))  # type: ignore[arg-type]
    values = engine.log_likelihood_many(np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.01], [1.0, 0.0, 0.02]]))
    assert np.array_equal(values > -np.inf, [True, False, False])
    assert rows == [1]


def test_overlapping_components_are_refused(components: dict[str, Component], toy_theory: type[Any]) -> None:
    bins = components["low_tt_bins"]
    with pytest.raises(ConfigError, match="two components are called 'low_tt_bins'"):
        Hybrid(toy_theory(), (bins, bins))
    with pytest.raises(ConfigError, match="at least one component"):
        Hybrid(toy_theory(), ())

    class Named:
        nuisance, requires = (), {"TT": (2, 29)}

        def __init__(self, name: str) -> None:
            self.name = name

        def default_priors(self) -> PriorSet:
            return PriorSet([])

    for one, other, rule in OVERLAPS:
        for pair in ((one, other), (other, one)):
            with pytest.raises(ConfigError, match=f"components {one} and {other} cannot be combined: {rule}"):
                Hybrid(toy_theory(), tuple(Named(name) for name in pair))  # type: ignore[arg-type]


def test_two_default_priors_of_one_name_are_refused(components: dict[str, Component], toy_theory: type[Any]) -> None:
    class Other:
        name, nuisance, requires = "other", (A_PLANCK,), {"TT": (2, 29)}

        def __init__(self, std: float) -> None:
            self.std = std

        def default_priors(self) -> PriorSet:
            return PriorSet([Parameter(A_PLANCK, Normal(1.0, self.std))])

    with pytest.raises(ConfigError, match=r"'A_planck' has two default priors: .*0\.0025.* in low_ee, .*0\.05.* in other"):
        Hybrid(toy_theory(), (components["low_ee"], Other(0.05)))  # type: ignore[arg-type]
    assert Hybrid(toy_theory(), (components["low_ee"], Other(0.0025))).parameters.count(A_PLANCK) == 1  # type: ignore[arg-type]
    assert calibration_prior().names == (A_PLANCK,)


def test_a_nuisance_with_a_theory_s_name_is_refused(toy_theory: type[Any]) -> None:
    class Clash:
        name, nuisance, requires = "clash", ("tilt",), {"TT": (2, 29)}

        def default_priors(self) -> PriorSet:
            return PriorSet([Parameter("tilt", Uniform(0.0, 1.0))])

    with pytest.raises(ConfigError, match="'tilt' has the name of a theory parameter"):
        Hybrid(toy_theory(), (Clash(),))  # type: ignore[arg-type]


def test_spectra_that_are_too_short_are_refused_when_built(
    components: dict[str, Component], toy_theory: type[Any], fiducial: Spectra
) -> None:
    short = Spectra(tt=fiducial["TT"][:2001], te=fiducial["TE"], ee=fiducial["EE"])
    with pytest.raises(ConfigError, match="component plik_lite needs TT at l 30-2508, gets l up to 2000"):
        Hybrid(toy_theory(fiducial=short), (components["plik_lite"],))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluation": "compresed"}, "did you mean 'compressed'"),
        ({"outside": "rejct"}, "did you mean 'reject'"),
        ({"evaluation": "compressed"}, "needs theory='emulator'"),
    ],
)
def test_wrong_options(components: dict[str, Component], toy_theory: type[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hybrid(toy_theory(), (components["low_ee"],), **options)


def test_a_prior_beyond_the_box_is_refused_or_rejected(hybrid: Hybrid) -> None:
    wide = hybrid.default_priors().replace(amplitude=Uniform(0.4, 1.5))
    with pytest.raises(
        PriorError, match=r"'amplitude' reaches over \[0\.4, 1\.5\], but the engine is valid on \[0\.5, 1\.5\].*theory='camb'"
    ):
        Problem(hybrid, wide)
    rejecting = dataclasses.replace(hybrid, outside="reject")
    assert domain_of(rejecting) is None
    assert edges_of(rejecting) == edges_of(hybrid) == domain_of(hybrid)
    problem = Problem(rejecting, wide)
    assert problem.log_likelihood(np.array([0.45, 0.0, 1.0])) == -np.inf
    assert problem.counts.minus_inf == 1


def test_wrong_number_of_parameters(hybrid: Hybrid) -> None:
    with pytest.raises(ConfigError, match=r"3 entries \(amplitude, tilt, A_planck\), got shape \(1, 2\)"):
        hybrid.log_likelihood(np.array([1.0, 0.0]))
    with pytest.raises(ConfigError, match="no component 'plik_lit': did you mean 'plik_lite'"):
        hybrid.component("plik_lit")


def test_simulated_data_replace_those_named(hybrid: Hybrid) -> None:
    data = hybrid.simulate(THETA, np.random.default_rng(9))
    assert set(data) == set(NAMES)
    mock = hybrid.with_data(data)
    assert mock.fingerprint() != hybrid.fingerprint()
    assert mock.comparison_key() != hybrid.comparison_key()
    assert {component.origin.source for component in mock.components} == {"simulated"}
    partial = hybrid.with_data({"lensing": data["lensing"]})
    changed = [one is not other for one, other in zip(hybrid.components, partial.components, strict=True)]
    assert changed == [False, False, False, True]
    with pytest.raises(ConfigError, match="no component 'lensin': did you mean 'lensing'"):
        hybrid.with_data({"lensin": data["lensing"]})
    again = hybrid.simulate(THETA, np.random.default_rng(9))
    assert all(np.array_equal(data[name], again[name]) for name in NAMES)
    assert Problem(hybrid, hybrid.default_priors()).simulate(THETA, np.random.default_rng(9)).engine.fingerprint() == mock.fingerprint()


def test_gaussian_chi2_of_simulated_data_has_the_right_mean(hybrid: Hybrid) -> None:
    """60 draws: mean chi2 of each Gaussian component within 4 sqrt(2 m / 60) of m; a doubled covariance would not be."""
    rng, n = np.random.default_rng(10), 60
    chi2 = np.array([[hybrid.with_data(hybrid.simulate(THETA, rng)).breakdown(THETA)[name] for name in NAMES] for _ in range(n)])
    for k, (name, m) in enumerate({"plik_lite": 613, "low_tt_bins": 2, "low_ee": None, "lensing": 9}.items()):
        if m is not None:
            assert abs(chi2[:, k].mean() - m) < 4 * np.sqrt(2 * m / n), name
    assert abs(chi2[:, 0].mean() / 2.0 - 613) > 4 * np.sqrt(2 * 613 / n)


def test_smooth_is_the_linear_table(hybrid: Hybrid) -> None:
    smooth = smooth_of(hybrid)
    assert smooth.component("low_ee").interp == "linear"  # type: ignore[attr-defined]
    assert smooth.smooth() is smooth  # type: ignore[attr-defined]
    table = hybrid.component("low_ee").table  # type: ignore[attr-defined]
    cells = (hybrid.predict(THETA)["low_ee"] / 1e-4).astype(int)
    most = sum(np.max(np.abs(np.diff(table[max(cell - 1, 0) : cell + 2, j]))) for j, cell in enumerate(cells)) / 2.0
    assert smooth.log_likelihood(THETA) == pytest.approx(hybrid.log_likelihood(THETA), abs=most)
    steps = THETA[0] + np.linspace(0.0, 0.02, 200)
    values = [smooth.log_likelihood(np.array([step, 0.0, 1.0])) for step in steps]
    assert np.max(np.abs(np.diff(values, 2))) < 1e-2 * np.ptp(values)


def test_provenance_and_citations(hybrid: Hybrid) -> None:
    found = provenance_of(hybrid)
    assert found["source"] == "look-alike"
    assert found["notes"] == ["unverified data"]
    assert len(found["files"]) == 5 + 4 + 1 + 21
    assert all(not name.startswith("/") and len(value) == 64 for name, value in found["files"].items())
    assert hybrid.citations() == ("arXiv:1907.12875", "arXiv:1909.05869", "arXiv:1807.06210")


def test_fingerprint_covers_theory_data_and_options(hybrid: Hybrid, components: dict[str, Component], toy_theory: type[Any]) -> None:
    parts = tuple(components.values())
    others = [
        Hybrid(toy_theory(), parts[:3]),
        Hybrid(toy_theory(), parts[::-1]),
        dataclasses.replace(hybrid, outside="reject"),
        hybrid.smooth(),
    ]
    assert len({engine.fingerprint() for engine in (hybrid, *others)}) == 5
    assert Hybrid(toy_theory(), parts).fingerprint() == hybrid.fingerprint()
    assert comparison_key_of(Hybrid(toy_theory(), parts[::-1])) == comparison_key_of(hybrid)
    assert comparison_key_of(others[0]) != comparison_key_of(hybrid)


def test_pickle(hybrid: Hybrid) -> None:
    payload = pickle.dumps(hybrid)
    copy = pickle.loads(payload)
    assert copy.fingerprint() == hybrid.fingerprint()
    assert copy.log_likelihood(THETA) == hybrid.log_likelihood(THETA)
    assert len(payload) < 12e6


def test_no_large_allocation_in_a_call(hybrid: Hybrid) -> None:
    """Largest block asked for in steady state, scalar and batch of 64: below 1 MB."""
    thetas = np.repeat(THETA[None, :], 64, axis=0)
    call: Callable[[], Any]
    for call in (lambda: hybrid.log_likelihood(THETA), lambda: hybrid.log_likelihood_many(thetas)):
        call()
        tracemalloc.start()
        call()
        snapshot = tracemalloc.take_snapshot()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert all(trace.size < 1e6 for trace in snapshot.traces)
        assert peak < 8e6


def test_data_errors_of_the_theory_outside_a_run_are_not_hidden(fiducial: Spectra) -> None:
    with pytest.raises(DataError, match="TT must be finite"):
        Spectra(tt=np.where(np.arange(2701) == 5, np.nan, fiducial["TT"]))
