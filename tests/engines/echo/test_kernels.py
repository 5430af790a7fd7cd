"""The compiled likelihoods against the oracle that goes bin by bin, their invariances, and equality of every way to a value."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sciinf
from sciinf.core.errors import DataError
from sciinf.engines.echo import CombTemplate, EchoSearch, Psd, Remnant, Spectrum
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject
from sciinf.validation.echo_oracle import of_engine

SHARED = Path(__file__).parents[4] / "shared" / "data" / "echo"
DT = 1.0 / 4096.0
PHASES = ("mode", "bin", "whittle")
TRUTH = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.077, "band": (50.0, 339.0)}
THETA = np.array([5.83, 1.26, 0.25, 0.077])
TOLERANCE = 1e-9


def curved_psd() -> Psd:
    """A spectrum as steep as a detector's, in units of white noise: 60 dB from 50 Hz down, slowly up again."""
    frequency = np.geomspace(1.0, 3000.0, 400)
    return Psd(frequency, 2.0 * DT * ((60.0 / frequency) ** 8 + 1.0 + (frequency / 300.0) ** 2))


def design_psd() -> Psd:
    path = SHARED / "psd" / "aLIGO_ZERO_DET_high_P_psd.txt"
    return Psd.from_psd_file(path) if path.exists() else curved_psd()


def injected(duration: float, seed: int = 1, psd: Psd | None = None, detector: str = "H1") -> Spectrum:
    rng = np.random.default_rng(seed)
    noise = gaussian_noise(Psd.white(2.0 * DT) if psd is None else psd, duration, DT, rng, detector)
    return inject(noise, comb(noise, **TRUTH, rng=rng))


def random_thetas(engine: EchoSearch, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draws wider than any prior: single teeth to teeth closer than the grid, lines narrower than a bin to wider than the spacing."""
    columns: dict[str, Any] = {
        "spacing": np.exp(rng.uniform(np.log(0.05), np.log(60.0), n)),
        "offset": rng.uniform(-2.0, 3.0, n),
        "width": np.exp(rng.uniform(np.log(1e-3), np.log(30.0), n)),
        "amplitude": engine.amplitude_scale * np.exp(rng.uniform(np.log(1e-2), np.log(10.0), n)),
        "f_min": rng.uniform(1.0, 400.0, n),
    }
    columns["f_max"] = columns["f_min"] + rng.uniform(0.0, 400.0, n)
    return np.stack([columns.get(name, rng.uniform(-2.0, 5.0, n)) for name in engine.parameters], axis=1)


def worst_error(engine: EchoSearch, thetas: np.ndarray) -> float:
    """Largest |delta ln L| / max(1, |ln L|) against the oracle."""
    errors = []
    for theta in thetas:
        values = dict(zip(engine.parameters, theta.tolist(), strict=True))
        expected = of_engine(engine, values).log_likelihood(engine.phase, values["amplitude"])
        errors.append(abs(engine.log_likelihood(theta) - expected) / max(1.0, abs(expected)))
    return max(errors)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("colour", ["white", "design"])
@pytest.mark.parametrize("duration", [1.0, 4.0, 12.0])
def test_oracle(duration: float, colour: str, phase: Any) -> None:
    psd = Psd.white(2.0 * DT) if colour == "white" else design_psd()
    engine = EchoSearch(gaussian_noise(psd, duration, DT, np.random.default_rng(2)), phase=phase, band=(50.0, 339.0))
    assert worst_error(engine, random_thetas(engine, 100, np.random.default_rng(3))) < TOLERANCE


@pytest.mark.parametrize("phase", PHASES)
def test_oracle_with_a_sampled_band(phase: Any) -> None:
    engine = EchoSearch(injected(4.0), phase=phase, offset_unit="Hz")
    assert worst_error(engine, random_thetas(engine, 200, np.random.default_rng(4))) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("colour", ["white", "design"])
@pytest.mark.parametrize("duration", [1.0, 4.0, 12.0, 52.0])
def test_oracle_at_500_draws(duration: float, colour: str, phase: Any) -> None:
    psd = Psd.white(2.0 * DT) if colour == "white" else design_psd()
    engine = EchoSearch(gaussian_noise(psd, duration, DT, np.random.default_rng(5)), phase=phase, band=(50.0, 339.0))
    assert worst_error(engine, random_thetas(engine, 500, np.random.default_rng(6))) < TOLERANCE


def network(n: int, duration: float = 2.0, *, fill: complex = np.nan) -> tuple[Spectrum, ...]:
    """``n`` detectors with masks, delays, responses; what is masked holds ``fill`` in data and PSD."""
    made = []
    for k, (name, response, delay) in enumerate((("H1", 1.0, 0.0), ("L1", 1.3, 6.9e-3), ("V1", 0.4, -0.021))[:n]):
        one = injected(duration, 10 + k, curved_psd() if k == 1 else None, name)
        mask = np.random.default_rng(20 + k).uniform(size=one.n_bin) > 0.1
        values, psd = one.values.copy(), one.psd.copy()
        values[~mask], psd[~mask] = fill, np.real(fill)
        made.append(Spectrum(values, psd, duration, mask, name, response, delay))
    return tuple(made)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_oracle_for_networks_with_masks(n: int, phase: Any) -> None:
    engine = EchoSearch(network(n), phase=phase, band=(50.0, 339.0))
    assert engine.parameters[4:] == ("phase_shift_L1", "phase_shift_V1")[: n - 1]
    assert worst_error(engine, random_thetas(engine, 100, np.random.default_rng(7))) < TOLERANCE


@pytest.mark.parametrize("phase", PHASES)
def test_masked_and_out_of_band_bins_are_never_read(phase: Any) -> None:
    one, other = (EchoSearch(network(2, fill=fill), phase=phase, band=(50.0, 339.0)) for fill in (np.nan, 1e300 - 7j))
    clean = EchoSearch(network(2, fill=1.0), phase=phase, band=(50.0, 339.0))
    thetas = random_thetas(one, 50, np.random.default_rng(8))
    values = clean.log_likelihood_many(thetas)
    assert np.isfinite(values).all()
    assert np.array_equal(one.log_likelihood_many(thetas), values)
    assert np.array_equal(other.log_likelihood_many(thetas), values)
    single = injected(4.0)
    filled = single.values.copy()
    filled[:190], filled[1400:] = np.nan, np.inf
    fixed = {"phase": phase, "band": (50.0, 339.0), "offset_unit": "Hz"}
    assert EchoSearch(single.with_values(filled), **fixed).log_likelihood(THETA) == EchoSearch(single, **fixed).log_likelihood(THETA)


def test_knife_edges_follow_the_rule() -> None:
    """At T = 4 s the edges of teeth 28 and 53 fall on grid points, which are outside: 5 bins there, 6 in every other tooth.

    Which side rounding takes decides between ln L of 82.007 and 82.183 for one data set; here offsets that differ in the last bits agree.
    """
    engine = EchoSearch(injected(4.0), band=(50.0, 339.0), offset_unit="Hz")
    table = engine.modes(THETA)
    inner = slice(1, -1)  # the first and last tooth may be cut by the slice
    assert dict(zip(table.tooth[inner].tolist(), table.n_bins[inner].tolist(), strict=True)) == {
        n: 5 if n in (28, 53) else 6 for n in table.tooth[inner].tolist()
    }
    for phase in PHASES:
        search = replace(engine, phase=phase)
        assert worst_error(search, THETA[None, :]) < TOLERANCE
        here = search.log_likelihood(THETA)
        for move in (-4e-14, 4e-14):
            moved = THETA + np.array([move, move, 0.0, 0.0])
            assert abs(search.log_likelihood(moved) - here) < 1e-9 * max(1.0, abs(here))


@given(st.integers(1, 40), st.integers(0, 11), st.sampled_from([4.0, 12.0]))
@settings(max_examples=60, deadline=None)
def test_combs_on_the_grid(spacing_bins: int, offset_bins: int, duration: float) -> None:
    """Spacing and offset of whole and half bins: every edge and every half spacing meets a grid point."""
    engine = _ON_GRID[duration]
    theta = np.array([0.5 * spacing_bins / duration, 0.25 * offset_bins / duration, 1e-3, 0.05])
    assert worst_error(engine, theta[None, :]) < TOLERANCE
    assert worst_error(replace(engine, phase="bin"), theta[None, :]) < TOLERANCE


_ON_GRID = {duration: EchoSearch(injected(duration), band=(50.0, 120.0), offset_unit="Hz") for duration in (4.0, 12.0)}


def test_combs_narrower_than_the_grid() -> None:
    """Fewer than one bin per tooth: a bin counts for the tooth next to it, if it is near enough."""
    for phase in PHASES:
        engine = EchoSearch(injected(1.0), phase=phase, band=(50.0, 339.0))
        thetas = random_thetas(engine, 200, np.random.default_rng(9))
        thetas[:, 0] = np.exp(np.random.default_rng(10).uniform(np.log(1e-3), np.log(1.0), 200))
        assert worst_error(engine, thetas) < TOLERANCE


def test_modes_cut_by_the_band_keep_the_bins_that_remain() -> None:
    engine = EchoSearch(injected(12.0), offset_unit="Hz", remnant=Remnant(0.67, 67.65))
    centre = 1.26 + 20 * 5.83
    theta = np.array([5.83, 1.26, 0.25, 0.077, centre - 0.01, centre + 0.3])
    table = engine.modes(theta)
    assert len(table) == 1
    assert 1 <= table.n_bins[0] < 18  # a whole one has 17 or 18
    assert worst_error(engine, theta[None, :]) < TOLERANCE
    beside = theta.copy()
    beside[4:] = centre + 1.0, centre + 4.5
    assert engine.log_likelihood(beside) == 0.0  # no bin of any tooth
    assert len(engine.modes(beside)) == 0


@pytest.mark.parametrize("phase", PHASES)
def test_piecewise_constant_in_the_band(phase: Any) -> None:
    engine = EchoSearch(injected(4.0), phase=phase, offset_unit="Hz", remnant=Remnant(0.67, 67.65))
    ends = np.array([[100.26, 200.01], [100.49, 200.24], [100.5, 200.24]])
    first, same, next_bin = (engine.log_likelihood(np.concatenate([THETA, row])) for row in ends)
    assert first == same
    assert engine.bins[0] < 400
    assert engine.log_likelihood(np.concatenate([THETA, [100.3, 100.2]])) == -math.inf
    assert np.isfinite(next_bin)


def test_nothing_and_no_number() -> None:
    for phase in PHASES:
        for amplitude in ("sampled", "marginalised"):
            engine = EchoSearch(injected(4.0), phase=phase, amplitude=amplitude, band=(50.0, 339.0), offset_unit="Hz")
            theta = THETA[: len(engine.parameters)]
            for at in range(len(theta)):
                for value in (np.nan, np.inf, -np.inf):
                    wrong = theta.copy()
                    wrong[at] = value
                    assert math.isnan(engine.log_likelihood(wrong))
            for at in (0, 2):
                for value in (0.0, -1.0):
                    wrong = theta.copy()
                    wrong[at] = value
                    assert engine.log_likelihood(wrong) == -math.inf
        sampled = EchoSearch(injected(4.0), phase=phase, band=(50.0, 339.0), offset_unit="Hz")
        assert sampled.log_likelihood(THETA * [1, 1, 1, -1]) == -math.inf
        assert sampled.log_likelihood(THETA * [1, 1, 1, 0]) == 0.0


def test_huge_data_stay_finite_or_are_refused() -> None:
    """Beyond 4 df d/S = 1e140 narrow lines would overflow in the square, so such data are refused, not searched at some widths only."""
    for phase in PHASES:
        loud = injected(4.0)
        with pytest.warns(UserWarning, match="times the PSD"):
            engine = EchoSearch(loud.with_values(1e130 * loud.values), phase=phase, band=(50.0, 339.0), offset_unit="Hz")
        for amplitude in (1e-160, 1.0, 1e100):
            assert np.isfinite(engine.log_likelihood(np.array([5.83, 1.26, 0.25, amplitude])))
        with pytest.warns(UserWarning, match="times the PSD"), pytest.raises(DataError, match=r"\|d\| / S must be at most 1e\+140"):
            EchoSearch(loud.with_values(1e150 * loud.values), phase=phase, band=(50.0, 339.0), offset_unit="Hz")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("amplitude", ["sampled", "marginalised"])
@pytest.mark.parametrize("n", [1, 2])
def test_every_way_to_a_value_gives_the_same_bytes(phase: Any, amplitude: Any, n: int) -> None:
    engine = EchoSearch(network(n), phase=phase, amplitude=amplitude, band=(50.0, 339.0))
    thetas = random_thetas(engine, 40, np.random.default_rng(11))
    single = np.array([engine.log_likelihood(theta) for theta in thetas])
    packed = engine.compiled()
    assert packed is not None
    assert np.array_equal(engine.log_likelihood_many(thetas), single)
    assert np.array_equal(engine.log_likelihood_many(thetas[::-1])[::-1], single)
    dirty = np.full(packed.workspace_size, 7.0)
    assert np.array_equal([packed.function(theta, packed.floats, packed.ints, dirty) for theta in thetas], single)


@pytest.mark.skipif(importlib.util.find_spec("bilby") is None, reason="needs bilby")
def test_bilby_s_likelihood_is_the_same_number() -> None:
    for phase in PHASES:
        engine = EchoSearch(injected(4.0), phase=phase, band=(50.0, 339.0))
        problem = sciinf.Problem(engine, engine.default_priors())
        likelihood, priors = sciinf.adapters.as_bilby(problem)
        thetas = problem.priors.sample(np.random.default_rng(12), 10_000)
        columns = dict(zip(problem.names, thetas.T, strict=True))
        assert np.array_equal(priors.ln_prob(columns, axis=0), problem.priors.log_prior(thetas))
        assert np.isfinite(priors.ln_prob(columns, axis=0)).all()
        for theta in thetas[:50]:
            assert likelihood.log_likelihood(dict(zip(problem.names, theta, strict=True))) == engine.log_likelihood(theta)


COMBS = st.tuples(st.floats(1.0, 10.0), st.floats(0.0, 1.0), st.floats(0.02, 2.0), st.floats(0.01, 0.3))


@given(COMBS, st.floats(0.1, 6.2))
@settings(max_examples=40, deadline=None)
def test_one_phase_on_all_data(theta: tuple[float, ...], angle: float) -> None:
    turned = _DATA.with_values(_DATA.values * np.exp(1j * angle))
    for phase in PHASES:
        here, there = (EchoSearch(data, phase=phase, band=(50.0, 200.0)).log_likelihood(np.array(theta)) for data in (_DATA, turned))
        close = abs(here - there) < 1e-10 * max(1.0, abs(here))
        assert close == (phase != "whittle")


_DATA = injected(4.0)


@given(COMBS, st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_the_unit_of_time(theta: tuple[float, ...], unit: float) -> None:
    """dt, 1/f, 1/w, S and A in another unit: no number changes. Hypothesis may choose edges on the grid, which the rule decides alike."""
    other = Spectrum(unit * _DATA.values, unit * _DATA.psd, unit * _DATA.duration)
    scaled = np.array([theta[0] / unit, theta[1], theta[2] / unit, theta[3] * unit])
    for phase in PHASES:
        here = EchoSearch(_DATA, phase=phase, band=(50.1, 200.1)).log_likelihood(np.array(theta))
        there = EchoSearch(other, phase=phase, band=(50.1 / unit, 200.1 / unit)).log_likelihood(scaled)
        assert abs(here - there) < 1e-10 * max(1.0, abs(here)) * 10.0  # ten: frequencies of 1e3 bins lose three digits in the phase


@given(COMBS, st.integers(-150, 4000))
@settings(max_examples=40, deadline=None)
def test_whole_bins_in_white_noise(theta: tuple[float, ...], bins: int) -> None:
    """Data, offset and band moved together."""
    values = np.roll(_DATA.values, bins)
    moved, hz = _DATA.with_values(values), bins / _DATA.duration
    point = np.array([theta[0], theta[1] * theta[0], theta[2], theta[3]])
    for phase in PHASES:
        here = EchoSearch(_DATA, phase=phase, band=(50.1, 200.1), offset_unit="Hz").log_likelihood(point)
        there = EchoSearch(moved, phase=phase, band=(50.1 + hz, 200.1 + hz), offset_unit="Hz")
        value = there.log_likelihood(point + np.array([0.0, hz, 0.0, 0.0]))
        assert abs(here - value) < 1e-10 * max(1.0, abs(here)) * 10.0  # as above


@given(COMBS)
@settings(max_examples=40, deadline=None)
def test_time_reversed_data_with_the_conjugate_template(theta: tuple[float, ...]) -> None:
    """conj(u) is u mirrored in frequency: conjugated data mirrored about bin 1000, with the comb mirrored about its frequency."""
    values = np.zeros_like(_DATA.values)
    values[1:2000] = np.conj(_DATA.values[1:2000][::-1])  # bin j goes to 2000 - j
    mirrored, df = _DATA.with_values(values), 1.0 / _DATA.duration
    point = np.array([theta[0], theta[1] * theta[0], theta[2], theta[3]])
    other = point.copy()
    other[1] = 2000 * df - point[1]
    low, high = 201, 800
    for phase in PHASES:
        here = EchoSearch(_DATA, phase=phase, band=(low * df, (high - 1) * df), offset_unit="Hz").log_likelihood(point)
        band = ((2000 - high) * df, (2000 - low - 1) * df)
        there = EchoSearch(mirrored, phase=phase, band=band, offset_unit="Hz").log_likelihood(other)
        assert abs(here - there) < 1e-10 * max(1.0, abs(here)) * 10.0  # as above


def test_time_reversed_data_lower_mode_and_leave_bin() -> None:
    """A clean comb at T = 52 s: the phase inside a mode then runs the wrong way."""
    clean = comb(gaussian_noise(Psd.white(2.0 * DT), 52.0, DT, np.random.default_rng(13)), **TRUTH, rng=np.random.default_rng(14))
    backward = clean.with_values(np.conj(clean.values))
    values: dict[str, list[float]] = {}
    for phase in PHASES[:2]:
        for data in (clean, backward):
            with pytest.warns(UserWarning, match="times the PSD"):  # no noise in it
                engine = EchoSearch(data, phase=phase, band=(50.0, 339.0), offset_unit="Hz")
            values.setdefault(phase, []).append(engine.log_likelihood(THETA))
    assert abs(values["bin"][0] - values["bin"][1]) < 1e-10 * abs(values["bin"][0])
    assert values["mode"][1] < 0.5 * values["mode"][0]


def test_one_label_for_all_bins_is_one_phase() -> None:
    """A comb whose spacing is wider than the band is one mode: "mode" is then the usual likelihood with one phase marginalised."""
    engine = EchoSearch(_DATA, band=(90.0, 110.0), offset_unit="Hz")
    theta = np.array([500.0, 100.0, 5.0, 0.05])
    table = engine.modes(theta)
    assert len(table) == 1
    angles = np.linspace(0.0, 2.0 * np.pi, 2000, endpoint=False)
    whittle = replace(engine, phase="whittle")
    turned = [whittle.with_data(_DATA.with_values(_DATA.values * np.exp(1j * a))).log_likelihood(theta) for a in angles]
    assert abs(np.logaddexp.reduce(turned) - math.log(2000) - engine.log_likelihood(theta)) < 1e-10


def test_other_templates() -> None:
    for template in (CombTemplate(0.05, 1), CombTemplate(0.9, 6)):
        engine = EchoSearch(_DATA, template=template, band=(50.0, 339.0))
        assert worst_error(engine, random_thetas(engine, 100, np.random.default_rng(15))) < TOLERANCE
