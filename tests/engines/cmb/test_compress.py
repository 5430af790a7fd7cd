from __future__ import annotations

import itertools
import math
import pickle
import threading
import tracemalloc
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError
from sciinf.engines.cmb.component import A_PLANCK, Component
from sciinf.engines.cmb.compress import CompiledForm, build
from sciinf.engines.cmb.compress_kernels import TABLE
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.emulator import EmulatorTheory, EmulatorWeights, shipped_weights
from sciinf.engines.cmb.emulator_kernels import BLOCK_ORDER
from sciinf.engines.cmb.lcdm import LCDM_BOX
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.simall import SimAllEE
from sciinf.engines.cmb.spectra import LinearPart
from sciinf.numerics.blas import one_blas_thread

CENTRE = np.array([0.02236, 0.1202, 1.0409, 0.0544, 3.045, 0.9649, 1.0])
EVALUATIONS: tuple[Literal["compressed", "full"], ...] = ("compressed", "full")


def points(n: int, seed: int) -> np.ndarray:
    """Uniform in the box, A_planck from its prior."""
    low, high = np.array(list(LCDM_BOX.values())).T
    rng = np.random.default_rng(seed)
    return np.column_stack([low + (high - low) * rng.random((n, 6)), 1.0 + 0.0025 * rng.standard_normal(n)])


def by_components(theory: EmulatorTheory, parts: tuple[Component, ...], thetas: np.ndarray) -> np.ndarray:
    """The independent way: spectra, then each component's own log-likelihood."""
    batch = theory.spectra_many(np.ascontiguousarray(thetas[:, :6]))
    nuisance = {A_PLANCK: np.ascontiguousarray(thetas[:, 6])}
    return np.column_stack([part.log_likelihood_many(batch, nuisance) for part in parts])


@pytest.fixture(scope="module")
def theory() -> EmulatorTheory:
    return EmulatorTheory()


@pytest.fixture(scope="module")
def parts(components: dict[str, Component]) -> tuple[Component, ...]:
    return tuple(components.values())


@pytest.fixture(scope="module")
def forms(theory: EmulatorTheory, parts: tuple[Component, ...]) -> dict[str, CompiledForm]:
    with one_blas_thread():  # as Hybrid builds it
        made = {name: build(theory, parts, (A_PLANCK,), name) for name in EVALUATIONS}
    assert all(form is not None for form in made.values())
    return made  # type: ignore[return-value]


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_equals_the_sum_of_components(
    theory: EmulatorTheory, parts: tuple[Component, ...], forms: dict[str, CompiledForm], evaluation: str
) -> None:
    thetas = points(60, seed=1)
    wanted, found = by_components(theory, parts, thetas), forms[evaluation].components_many(thetas)
    # Section 5: 1e-10 relative; measured 4e-14.
    assert np.all(np.abs(found - wanted) <= 1e-11 * np.abs(wanted))
    assert np.allclose(forms[evaluation].log_likelihood_many(thetas), wanted.sum(axis=1), rtol=1e-11, atol=0)


@pytest.mark.planck
def test_equals_the_sum_of_components_on_real_data(theory: EmulatorTheory, planck_files: PlanckFiles) -> None:
    real = (planck_files.plik_lite(), planck_files.low_tt_bins(), planck_files.low_ee(), planck_files.lensing())
    thetas = points(60, seed=2)
    wanted = by_components(theory, real, thetas)
    for evaluation in EVALUATIONS:
        form = build(theory, real, (A_PLANCK,), evaluation)
        assert form is not None
        found = form.components_many(thetas)
        # 2.11: with 72 columns chi2 equals the full one to 2e-11; absolute, on plik_lite's chi2 at these points (600 to 30,000).
        assert np.all(np.abs(found - wanted) <= 1e-12 * np.abs(wanted))


def test_every_choice_of_components(theory: EmulatorTheory, parts: tuple[Component, ...], lookalike: PlanckFiles) -> None:
    thetas = points(5, seed=3)
    parts = (lookalike.plik_lite(("TT", "EE"), (30, 600)), *parts[1:])
    for size in (1, 2, 3):
        for chosen in itertools.permutations(parts, size):
            wanted = by_components(theory, chosen, thetas)
            for evaluation in EVALUATIONS if size == 1 else ("compressed",):
                form = build(theory, chosen, (A_PLANCK,), evaluation)
                assert form is not None
                assert np.allclose(form.components_many(thetas), wanted, rtol=1e-11, atol=0)


def test_selections_and_interpolation(theory: EmulatorTheory, components: dict[str, Component], lookalike: PlanckFiles) -> None:
    thetas = points(8, seed=4)
    table = components["low_ee"]
    assert isinstance(table, SimAllEE)
    for chosen in (
        (lookalike.plik_lite(("TT",)), table.smooth()),
        (lookalike.plik_lite(("EE", "TE")),),
        (lookalike.plik_lite(("TT",), (800, 830)),),  # fewer bins than monomials: nothing to project
    ):
        wanted = by_components(theory, chosen, thetas)
        for evaluation in EVALUATIONS:
            form = build(theory, chosen, (A_PLANCK,), evaluation)
            assert form is not None
            assert np.allclose(form.components_many(thetas), wanted, rtol=1e-11, atol=0)


def truncated(sizes: dict[str, int]) -> EmulatorWeights:
    """The shipped weights with fewer basis functions: coefficients become cheaper than monomials."""
    arrays = dict(shipped_weights().arrays)
    for block, size in sizes.items():
        arrays[f"basis_{block}"] = arrays[f"basis_{block}"][:size]
        arrays[f"coefficients_{block}"] = arrays[f"coefficients_{block}"][:, :size]
    return EmulatorWeights(shipped_weights().header, arrays)


def test_compression_in_coefficients(parts: tuple[Component, ...]) -> None:
    small = EmulatorTheory(weights=truncated({"TT": 2, "TE": 2, "EE": 2, "PP": 1, "EE_low": 3}))
    form, whole = (build(small, parts, (A_PLANCK,), evaluation) for evaluation in EVALUATIONS)
    assert form is not None
    assert whole is not None
    thetas = points(30, seed=5)
    wanted = by_components(small, parts, thetas)
    assert np.allclose(form.components_many(thetas), wanted, rtol=1e-11, atol=0)
    assert np.allclose(whole.components_many(thetas), wanted, rtol=1e-11, atol=0)
    other = build(EmulatorTheory(), parts, (A_PLANCK,))
    assert other is not None
    assert not np.allclose(other.log_likelihood_many(thetas), wanted.sum(axis=1), rtol=1e-6, atol=0)  # a control: truncation moves it


def test_blocks_of_different_degree(parts: tuple[Component, ...]) -> None:
    """PP with the linear monomials alone: shorter blocks are padded."""
    arrays = dict(shipped_weights().arrays)
    arrays["coefficients_PP"] = arrays["coefficients_PP"][:7]
    mixed = EmulatorTheory(weights=EmulatorWeights(shipped_weights().header, arrays))
    form, thetas = build(mixed, parts, (A_PLANCK,)), points(10, seed=6)
    assert form is not None
    assert np.allclose(form.components_many(thetas), by_components(mixed, parts, thetas), rtol=1e-11, atol=0)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_sampling_h0(theory: EmulatorTheory, parts: tuple[Component, ...], forms: dict[str, CompiledForm], evaluation: Any) -> None:
    thetas = points(20, seed=7)
    by_h0 = thetas.copy()
    by_h0[:, 2] = theory.background.hubble(thetas[:, 0], thetas[:, 1], thetas[:, 2])
    form = EmulatorTheory("H0").form(parts, (A_PLANCK,), evaluation)
    assert form is not None
    # theta_mc comes back to 1e-13; chi2 here reaches 5e4, and moves by 1e6 of its size times that.
    assert np.allclose(form.log_likelihood_many(by_h0), forms[evaluation].log_likelihood_many(thetas), rtol=1e-9, atol=0)
    outside = CENTRE.copy()
    outside[2] = 75.0
    assert form.log_likelihood(outside) == -math.inf
    outside[2] = -3.0
    assert form.log_likelihood(outside) == -math.inf


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_what_is_not_a_number_and_what_is_impossible(forms: dict[str, CompiledForm], evaluation: str) -> None:
    form = forms[evaluation]
    assert math.isfinite(form.log_likelihood(CENTRE))
    for i in range(7):
        for value in (math.nan, math.inf, -math.inf):
            theta = CENTRE.copy()
            theta[i] = value
            theta[6] = -1.0 if i != 6 else value
            assert math.isnan(form.log_likelihood(theta))  # before anything else: A_planck < 0 does not hide it
            assert np.all(np.isnan(form.components_many(theta[None, :])))
    for value in (0.0, -1.0):
        theta = CENTRE.copy()
        theta[6] = value
        assert form.log_likelihood(theta) == -math.inf
    for i, (low, high) in enumerate(LCDM_BOX.values()):
        for edge, beyond in ((low, -math.inf), (high, math.inf)):
            theta = CENTRE.copy()
            theta[i] = edge
            assert math.isfinite(form.log_likelihood(theta))
            theta[i] = np.nextafter(edge, beyond)
            assert form.log_likelihood(theta) == -math.inf
            assert np.all(form.components_many(theta[None, :]) == -math.inf)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_ee_beyond_the_table_is_minus_infinity(forms: dict[str, CompiledForm], parts: tuple[Component, ...], evaluation: str) -> None:
    theta = CENTRE.copy()
    theta[6] = 0.2  # D / y^2 = 25 D > 0.3 muK^2
    assert forms[evaluation].log_likelihood(theta) == -math.inf
    each = dict(zip([part.name for part in parts], forms[evaluation].components_many(theta[None, :])[0], strict=True))
    assert each["low_ee"] == -math.inf
    assert math.isfinite(each["plik_lite"])
    assert math.isfinite(each["lensing"])  # the components after the first reason are not left out here


def test_table_cells_follow_the_float_rule(theory: EmulatorTheory, components: dict[str, Component]) -> None:
    """Near cell edges, where D / (y y step) is an integer within rounding, both forms take the component's own cell."""
    table = components["low_ee"]
    assert isinstance(table, SimAllEE)
    steep = replace(table, table=np.arange(table.table.size, dtype=np.float64).reshape(table.table.shape))
    compressed, full = (build(theory, (steep,), (A_PLANCK,), evaluation) for evaluation in EVALUATIONS)
    assert compressed is not None
    assert full is not None
    low = theory.spectra(CENTRE[:6])["EE"][2:30]
    thetas = []
    for value in low:
        cells = np.floor(value / 1e-4) + np.array([0.0, 1.0])
        for y in np.sqrt(value / (cells[cells > 0] * 1e-4)):
            thetas += [[*CENTRE[:6], candidate] for candidate in (np.nextafter(y, 0.0), y, np.nextafter(y, 9.0))]
    array = np.array(thetas)
    wanted = by_components(theory, (steep,), array)
    assert np.array_equal(full.components_many(array), wanted)
    assert np.array_equal(compressed.components_many(array), wanted)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_a_row_does_not_depend_on_its_neighbours(forms: dict[str, CompiledForm], evaluation: str) -> None:
    form, n = forms[evaluation], {"compressed": 256, "full": 24}[evaluation]
    thetas = points(n, seed=8)
    thetas[3, 0], thetas[5, 6], thetas[7, 2] = np.nan, -1.0, 2.0
    whole = form.log_likelihood_many(thetas)
    rng = np.random.default_rng(9)
    for _ in range({"compressed": 1000, "full": 5}[evaluation]):
        order = rng.permutation(n)
        assert np.array_equal(form.log_likelihood_many(thetas[order]), whole[order], equal_nan=True)
    cuts = np.sort(rng.integers(1, n, 5))
    assert np.array_equal(np.concatenate([form.log_likelihood_many(part) for part in np.split(thetas, cuts)]), whole, equal_nan=True)
    assert np.array_equal([form.log_likelihood(theta) for theta in thetas], whole, equal_nan=True)
    compiled = form.compiled()
    assert isinstance(compiled, CompiledLikelihood)
    assert np.array_equal([compiled(theta) for theta in thetas], whole, equal_nan=True)


def test_threads_do_not_disturb_one_another(forms: dict[str, CompiledForm]) -> None:
    form, thetas = forms["compressed"], points(2000, seed=10)
    whole = form.log_likelihood_many(thetas)
    found: list[np.ndarray] = [np.empty(0)] * 2

    def work(i: int) -> None:
        found[i] = form.log_likelihood_many(thetas)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found[0], whole)
    assert np.array_equal(found[1], whole)


@settings(max_examples=30)
@given(a=st.floats(0.9, 1.1), shift=st.floats(-1.0, 1.0))
def test_forms_agree_away_from_the_prior_of_a_planck(forms: dict[str, CompiledForm], a: float, shift: float) -> None:
    theta = CENTRE.copy()
    theta[:6] += shift * np.array([2e-4, 2e-3, 6e-4, 0.01, 0.02, 0.01])
    theta[6] = a
    assert forms["compressed"].log_likelihood(theta) == pytest.approx(forms["full"].log_likelihood(theta), rel=1e-11)


def test_memory_per_call_is_bounded(forms: dict[str, CompiledForm]) -> None:
    thetas = points(64, seed=11)
    for evaluation in EVALUATIONS:
        forms[evaluation].log_likelihood_many(thetas)
        tracemalloc.start()
        for _ in range(3):
            forms[evaluation].log_likelihood_many(thetas)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000  # section 6: no allocation above 1 MB per call in steady state
    assert forms["compressed"].workspace_size < 1000


def test_the_hybrid_uses_the_form(parts: tuple[Component, ...], forms: dict[str, CompiledForm]) -> None:
    theta = CENTRE
    for evaluation in EVALUATIONS:
        engine = Hybrid(EmulatorTheory(), parts, evaluation=evaluation)
        assert engine.log_likelihood(theta) == forms[evaluation].log_likelihood(theta)
        assert engine.compiled() is not None
        again = pickle.loads(pickle.dumps(engine))
        assert again.log_likelihood(theta) == engine.log_likelihood(theta)
        assert again.fingerprint() == engine.fingerprint()
        assert sum(engine.breakdown(theta).values()) == pytest.approx(-2.0 * engine.log_likelihood(theta), rel=1e-11)
    smooth = Hybrid(EmulatorTheory(), parts).smooth()
    assert smooth.log_likelihood(theta) != forms["compressed"].log_likelihood(theta)


@dataclass(frozen=True, eq=False)
class Odd:
    """A component made of another's linear form, with a name and nuisance of its own."""

    base: PlikLite
    part: LinearPart | None
    nuisance: tuple[str, ...] = (A_PLANCK,)
    name: str = "odd"

    def linear(self) -> LinearPart | None:
        return self.part


def test_kinds_that_the_kernels_do_not_know(theory: EmulatorTheory, components: dict[str, Component]) -> None:
    base = components["plik_lite"]
    assert isinstance(base, PlikLite)
    not_linear: Any = Odd(base, None)
    uncalibrated: Any = Odd(base, base.linear(), nuisance=())
    for odd, nuisance, message in (
        (not_linear, (A_PLANCK,), "component odd is neither Gaussian"),
        (uncalibrated, (), "component odd uses TT, TE, EE without A_planck"),
        (base, (A_PLANCK, "A_sz"), "the only nuisance parameter .* A_planck, A_sz"),
    ):
        assert build(theory, (odd,), nuisance) is None
        with pytest.raises(ConfigError, match=message):
            build(theory, (odd,), nuisance, "compressed")


def test_multipoles_beyond_the_emulator_are_an_error(theory: EmulatorTheory, components: dict[str, Component]) -> None:
    base = components["plik_lite"]
    assert isinstance(base, PlikLite)
    part = base.linear()
    beyond = {**part.response, "TT": np.hstack([part.response["TT"], np.ones((len(part.data), 10))])}
    for response, message in ((beyond, "TT at l 30-2518; the emulator gives l 2-2508"), ({"BB": part.response["TT"]}, "does not give it")):
        odd: Any = Odd(base, LinearPart(part.data, part.cholesky, response, part.offset))
        with pytest.raises(ConfigError, match=message):
            build(theory, (odd,), (A_PLANCK,))


def test_weights_without_effect_beyond_are_allowed(theory: EmulatorTheory, components: dict[str, Component]) -> None:
    base = components["plik_lite"]
    assert isinstance(base, PlikLite)
    part = base.linear()
    padded = {name: np.hstack([values, np.zeros((len(part.data), 200))]) for name, values in part.response.items()}
    odd: Any = Odd(base, LinearPart(part.data, part.cholesky, padded, part.offset))
    form, plain = build(theory, (odd,), (A_PLANCK,)), build(theory, (base,), (A_PLANCK,))
    assert form is not None
    assert plain is not None
    assert form.log_likelihood(CENTRE) == pytest.approx(plain.log_likelihood(CENTRE), rel=1e-13)


def test_compressed_is_small(forms: dict[str, CompiledForm]) -> None:
    """What the compressed form reads in a call, SimAll's table apart, fits the first-level cache."""
    form = forms["compressed"]
    assert TABLE == 1
    assert 8 * (form.floats.size - 84_000) < 32_768
    assert len(pickle.dumps(form)) < 1_000_000
    assert set(BLOCK_ORDER) == {"TT", "TE", "EE", "PP", "EE_low"}
