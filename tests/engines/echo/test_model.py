"""The engine as a whole: options, bad input, what is frozen, what is hashed, simulation, derived quantities."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.core.errors import ConfigError, DataError, DataTypeError, LikelihoodError, PriorError
from sciinf.core.priors import LogUniform, Normal, Uniform
from sciinf.engines.echo import (
    CombTemplate,
    EchoSearch,
    EchoWarning,
    Psd,
    Remnant,
    Spectrum,
    Strain,
    fixed_band_priors,
    kernels,
    search_priors,
)
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject
from sciinf.validation.echo_oracle import of_engine

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "echo"
COMB_SNR = json.loads((FIXTURES / "comb_snr.json").read_text())["rows"]
ACCURACY = json.loads((FIXTURES / "accuracy.json").read_text())
DT = 1.0 / 4096.0
WHITE = Psd.white(2.0 * DT)
TRUTH = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.077, "band": (50.0, 339.0)}
THETA = np.array([5.83, 1.26, 0.25, 0.077])
REMNANT = Remnant(0.67, 67.65)
BAND = (50.0, 339.0)


def noise(duration: float = 4.0, seed: int = 1, detector: str = "H1") -> Spectrum:
    return gaussian_noise(WHITE, duration, DT, np.random.default_rng(seed), detector)


def injected(duration: float = 4.0, seed: int = 1) -> Spectrum:
    rng = np.random.default_rng(seed)
    data = gaussian_noise(WHITE, duration, DT, rng)
    return inject(data, comb(data, **TRUTH, rng=rng))


@pytest.fixture(scope="module")
def engine() -> EchoSearch:
    return EchoSearch(injected(), band=BAND, offset_unit="Hz")


# ---- what may be asked for ----


def test_parameters() -> None:
    data = noise()
    two = (data, noise(seed=2, detector="L1"))
    assert EchoSearch(data).parameters == ("spacing", "offset", "width", "amplitude", "f_min", "f_max")
    assert EchoSearch(data, band=BAND).parameters == ("spacing", "offset", "width", "amplitude")
    assert EchoSearch(data, band=BAND, amplitude="marginalised").parameters == ("spacing", "offset", "width")
    names = EchoSearch(two, remnant=REMNANT, amplitude="marginalised").parameters
    assert names == ("spacing", "offset", "width", "f_min", "f_max", "phase_shift_L1")


def test_a_strain_and_its_spectrum_are_one() -> None:
    values = np.random.default_rng(3).standard_normal(4 * 4096)
    strain = Strain(values, DT, 0.0, "H1")
    one, other = EchoSearch(strain, WHITE, band=BAND), EchoSearch(strain.spectrum(WHITE), band=BAND)
    assert one.fingerprint() == other.fingerprint()
    assert one.log_likelihood(THETA) == other.log_likelihood(THETA)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": "modes"}, "no phase 'modes'.*'mode'"),
        ({"template": "combs"}, "no template 'combs'.*'comb'"),
        ({"template": 3}, "template must be 'comb' or a CombTemplate"),
        ({"amplitude": "marginalized"}, "no amplitude 'marginalized'.*'marginalised'"),
        ({"amplitude": Normal(0.0, 1.0)}, r"Uniform\(low, high\) or LogUniform\(low, high\)"),
        ({"band": "sample"}, "no band 'sample'.*'sampled'"),
        ({"band": (50.0, 339.0, 400.0)}, r"\(f_min, f_max\) in Hz"),
        ({"offset_unit": "hz"}, "no offset_unit 'hz'"),
        ({"remnant": 0.67}, r"remnant must be Remnant\(spin, mass_detector_frame\)"),
        ({"band": (339.0, 50.0)}, r"f_min=339, f_max=50 Hz"),
        ({"band": (0.0, 50.0)}, r"0 < f_min < f_max < Nyquist \(2048 Hz\)"),
        ({"band": (50.0, 2048.0)}, r"Nyquist \(2048 Hz\), got f_min=50, f_max=2048 Hz"),
        ({"amplitude": "marginalised", "band": "sampled"}, r'EchoSearch\(\.\.\., amplitude="marginalised", remnant=Remnant\('),
    ],
)
def test_unknown_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EchoSearch(noise(), **({"band": BAND} | options))


def test_a_prior_below_zero_is_refused() -> None:
    with pytest.raises(PriorError, match="must not reach below 0"):
        EchoSearch(noise(), band=BAND, amplitude=Uniform(-1.0, 1.0))


@pytest.mark.parametrize(
    ("data", "psd", "message"),
    [
        (Strain(np.ones(4096), DT, 0.0, "H1"), None, r"a Strain needs psd=Psd\(...\)"),
        (noise(), WHITE, "a Spectrum holds its PSD"),
        ((), None, "a Strain, a Spectrum or a tuple of Spectrum"),
        (np.ones(100), None, "a Strain, a Spectrum or a tuple of Spectrum"),
        ((noise(), noise(seed=2)), None, "detector names must differ; 'H1' is there 2 times"),
    ],
)
def test_data_of_another_kind(data: Any, psd: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EchoSearch(data, psd, band=BAND)


def test_data_that_cannot_be_used() -> None:
    data = noise()
    for name, change, message in (
        ("values", np.nan, r"H1: Fourier data must be finite; bin 400 \(100 Hz\)"),
        ("psd", 0.0, r"H1: PSD must be finite and positive \(one-sided, 1/Hz\); bin 400 \(100 Hz\)"),
        ("psd", -1.0, r"bin 400 \(100 Hz\)"),
        ("psd", np.inf, r"bin 400 \(100 Hz\)"),
    ):
        array = getattr(data, name).copy()
        array[400] = change
        wrong = replace(data, **{name: array})
        with pytest.raises(DataError, match=message):
            EchoSearch(wrong, band=BAND)
        mask = np.ones(data.n_bin, dtype=bool)
        mask[400] = False
        EchoSearch(replace(wrong, mask=mask), band=BAND)  # masked: never read
        EchoSearch(wrong, band=(120.0, 339.0))  # out of band: never read
    with pytest.raises(DataError, match=r"PSD does not cover the band: it holds 60 to 300 Hz, wanted are 50 to 339.25 Hz"):
        EchoSearch(gaussian_noise(Psd([60.0, 300.0], [1.0, 1.0]), 4.0, DT, np.random.default_rng(1)), band=BAND)
    mask = np.ones(data.n_bin, dtype=bool)
    mask[150:1400] = False
    with pytest.raises(DataError, match=r"the masks of H1 leave no bin in 50 to 339.25 Hz: 1158 masked"):
        EchoSearch(replace(data, mask=mask), band=BAND)
    with pytest.raises(DataTypeError, match="Fourier data of H1 must hold complex numbers"):
        data.with_values(np.array(["a"] * data.n_bin))


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_data_beyond_all_measure(phase: Any) -> None:
    """Finite at 4 df d/S up to 1e140, whatever theta; refused above, by the bin, and never read where masked."""
    one = injected()
    bin_ = 800
    for size, density in ((1e139, 4.0), (1e100, 4e-100), (1e60, 4e-120)):
        values, psd = one.values.copy(), one.psd.copy()
        values[bin_ - 3 : bin_ + 3] = size * density * np.exp(1j * np.arange(6))
        psd[bin_ - 3 : bin_ + 3] = density
        loud = replace(one, values=values, psd=psd)
        for amplitude in (Uniform(0.0, 10.0), LogUniform(1e-5, 10.0), "sampled"):
            engine = EchoSearch(loud, phase=phase, amplitude=amplitude, band=(50.0, 339.0), offset_unit="Hz")
            for width in (1e-8, 0.25, 1e3):
                for spacing in (1.0, 5.83, 1e-3):
                    theta = [spacing, 1.26, width, *([0.08] if amplitude == "sampled" else [])]
                    assert not math.isnan(engine.log_likelihood(np.array(theta)))
    values[bin_], psd[bin_] = 1e-20, 1e-200
    with pytest.raises(DataError, match=rf"H1: 4 df \|d\| / S must be at most 1e\+140, bin {bin_} \(200 Hz\) has .* one unit of strain"):
        EchoSearch(replace(one, values=values, psd=psd), phase=phase, band=(50.0, 339.0))
    mask = np.ones(one.n_bin, dtype=bool)
    mask[bin_ - 3 : bin_ + 3] = False
    assert math.isfinite(EchoSearch(replace(one, values=values, psd=psd, mask=mask), band=(50.0, 339.0)).bins[0])


def test_networks_that_do_not_fit() -> None:
    one = noise()
    with pytest.raises(DataError, match="one duration: H1 has 4 s, L1 2 s"):
        EchoSearch((one, noise(2.0, 2, "L1")), band=BAND)
    short = gaussian_noise(Psd.white(1.0), 4.0, 1.0 / 2048.0, np.random.default_rng(1), "L1")
    with pytest.raises(DataError, match="same bins: H1 has 8193, L1 4097"):
        EchoSearch((one, short), band=BAND)
    at, other = (replace(noise(4.0, 3, name), start_time=start) for name, start in (("H1", 100.0), ("L1", 101.0)))
    with pytest.raises(DataError, match=r"one start time: H1 has GPS 100.000000, L1 101.000000"):
        EchoSearch((at, other), band=BAND)


def test_a_suspect_level_warns_and_is_kept() -> None:
    data = noise()
    with pytest.warns(EchoWarning, match=r"q = .* = 2.0.*one-sided 1/Hz expected"):
        engine = EchoSearch(replace(data, psd=0.5 * data.psd), band=BAND)
    assert abs(engine.psd_levels[0] - 2.0) < 0.25  # 1158 bins: 4 standard errors of 2 / (ln 2 sqrt(1158))
    assert "PSD level q" in engine.provenance()["notes"][0]


def test_priors_of_the_engine() -> None:
    data = noise()
    with pytest.raises(ConfigError, match=r"EchoSearch\(..., remnant=Remnant\(spin, mass_detector_frame\)\)"):
        EchoSearch(data).default_priors()
    sampled = EchoSearch(data, remnant=REMNANT)
    assert sampled.default_priors().describe() == search_priors(REMNANT, sampled).describe()
    fixed = EchoSearch(data, band=BAND)
    assert fixed.default_priors().describe() == fixed_band_priors(fixed).describe()
    with pytest.raises(ConfigError, match="room for 8 Hz, less than ten of the least spacing, 10 Hz"):
        EchoSearch(data, band=(50.0, 58.0)).default_priors()
    with pytest.raises(PriorError, match=r"below 1/T = 2 rad/s"):
        EchoSearch(gaussian_noise(WHITE, 0.5, DT, np.random.default_rng(1)), band=BAND).default_priors()


@pytest.mark.parametrize("amplitude", ["sampled", "marginalised"])
def test_a_remnant_without_a_band_says_so_in_hz(amplitude: Any) -> None:
    """At 400 solar masses f_RD is 42 Hz, and the search begins at 50."""
    with pytest.raises(PriorError, match=r"50 to 46\.\d+ Hz \(f_RD = 42\.\d+ Hz\), is empty .* lighter remnant .* band=\(f_min, f_max\)"):
        EchoSearch(noise(), amplitude=amplitude, remnant=Remnant(0.67, 400.0))


# ---- theta ----


def test_wrong_theta(engine: EchoSearch) -> None:
    for call in (engine.log_likelihood, engine.log_likelihood_many, engine.derived_many, engine.modes, engine.named):
        with pytest.raises(ConfigError, match=r"theta must be \(spacing, offset, width, amplitude\) of shape \((4,|n, 4)\), got \(3,\)"):
            call(THETA[:3])
        with pytest.raises(DataTypeError, match="theta must hold real numbers in rows of one length"):
            call([[1.0, 2.0], [3.0]])
        with pytest.raises(DataTypeError, match="theta must hold real numbers, got dtype"):
            call(np.array(["5.83", "1", "1", "1"]))
        with pytest.raises(DataTypeError, match="complex128"):
            call(THETA.astype(complex))
    for single in (engine.log_likelihood, engine.modes, engine.named):
        with pytest.raises(ConfigError, match=r"of shape \(4,\), got \(2, 4\)"):
            single(np.array([THETA, THETA]))
    assert engine.log_likelihood(np.array([6, 1, 1, 1])) == engine.log_likelihood(np.array([6.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("at", "value", "name"),
    [(0, 0.0, "spacing"), (0, -1.0, "spacing"), (2, 0.0, "width"), (3, -0.1, "amplitude"), (1, np.nan, "offset"), (3, np.inf, "amplitude")],
)
def test_theta_outside_the_domain(engine: EchoSearch, at: int, value: float, name: str) -> None:
    wrong = THETA.copy()
    wrong[at] = value
    for call in (
        engine.modes,
        engine.reconstruct,
        engine.predict,
        engine.breakdown,
        lambda t: engine.simulate(t, np.random.default_rng(1)),
    ):
        with pytest.raises(LikelihoodError, match=f"{name}={value:g}.*{name} out of range"):
            call(wrong)
    value_there = engine.log_likelihood(wrong)
    assert math.isnan(value_there) if not np.isfinite(value) else value_there == -math.inf
    assert np.isnan(engine.derived_many(wrong[None, :])[0, 3])


def test_a_reversed_band_is_named() -> None:
    engine = EchoSearch(noise())
    with pytest.raises(LikelihoodError, match="f_max < f_min"):
        engine.modes(np.array([5.0, 0.5, 0.25, 0.1, 200.0, 100.0]))


def test_the_problem_s_policy_for_no_number(engine: EchoSearch) -> None:
    problem = sciinf.Problem(engine, fixed_band_priors(engine))
    with pytest.raises(LikelihoodError, match="spacing"):
        problem.log_likelihood(np.array([np.nan, 1.0, 0.25, 0.1]))


def test_minus_infinity_outside_the_domain_is_counted(engine: EchoSearch) -> None:
    problem = sciinf.Problem(engine, fixed_band_priors(engine))
    assert problem.log_likelihood(np.array([5.0, 1.0, -0.25, 0.1])) == -math.inf
    assert (problem.counts.calls, problem.counts.minus_inf) == (1, 1)


def test_domain() -> None:
    engine = EchoSearch(noise(), remnant=REMNANT)
    low, high = REMNANT.search_band
    assert engine.domain() == {
        "spacing": (0.0, math.inf), "width": (0.0, math.inf), "amplitude": (0.0, math.inf), "f_min": (low, high), "f_max": (low, high),
    }  # fmt: skip
    assert EchoSearch(noise()).domain()["f_max"] == (0.0, 2048.0)
    with pytest.raises(PriorError, match="f_max"):
        sciinf.Problem(engine, engine.default_priors().replace(f_max=Uniform(100.0, 900.0)))


# ---- what is frozen, hashed, sent ----


def test_frozen(engine: EchoSearch) -> None:
    with pytest.raises(FrozenInstanceError):
        engine.phase = "bin"  # type: ignore[misc]


def test_fingerprint_changes_with_each_ingredient() -> None:
    data = noise()
    base: dict[str, Any] = {"band": BAND}
    mask = np.ones(data.n_bin, dtype=bool)
    mask[300] = False
    prints = [EchoSearch(data, **base).fingerprint()]
    prints += [
        EchoSearch(changed, **base).fingerprint()
        for changed in (
            noise(seed=2),
            replace(data, psd=1.01 * data.psd),
            replace(data, mask=mask),
            noise(8.0),
            (data, noise(seed=2, detector="L1")),
        )
    ]
    prints += [
        EchoSearch((data, replace(noise(seed=2, detector="L1"), **change)), **base).fingerprint()
        for change in ({"response": 1.1}, {"delay": 1e-3})
    ]
    prints += [
        EchoSearch(data, **(base | change)).fingerprint()
        for change in (
            {"phase": "bin"}, {"phase": "whittle"}, {"band": (50.0, 338.0)}, {"offset_unit": "Hz"}, {"template": CombTemplate(0.3)},
            {"template": CombTemplate(0.2, 4)}, {"amplitude": "marginalised"}, {"amplitude": Uniform(0.1, 1.0)},
            {"amplitude": LogUniform(0.1, 1.0)}, {"amplitude": LogUniform(0.1, 2.0)},
        )
    ]  # fmt: skip
    assert len(set(prints)) == len(prints)
    assert EchoSearch(noise(), **base).fingerprint() == prints[0]


def test_fingerprint_holds_the_kernel_s_version(monkeypatch: pytest.MonkeyPatch, engine: EchoSearch) -> None:
    before = engine.fingerprint()
    monkeypatch.setattr(kernels, "KERNEL_VERSION", "other")
    assert engine.fingerprint() != before


def test_evidences_are_compared_over_the_same_data_only() -> None:
    data = noise()
    one, other = EchoSearch(data, band=BAND), EchoSearch(data, phase="bin", amplitude="marginalised", band=(60.0, 300.0))
    assert one.comparison_key() == other.comparison_key() != EchoSearch(noise(seed=2), band=BAND).comparison_key()


@pytest.mark.parametrize("amplitude", ["sampled", "marginalised"])
def test_pickling(amplitude: Any) -> None:
    engine = EchoSearch((noise(), noise(seed=2, detector="L1")), amplitude=amplitude, remnant=REMNANT)
    copy = pickle.loads(pickle.dumps(engine))
    theta = engine.default_priors().sample(np.random.default_rng(1), 20)
    assert np.array_equal(copy.log_likelihood_many(theta), engine.log_likelihood_many(theta))
    assert copy.fingerprint() == engine.fingerprint()
    assert copy.amplitude_prior == engine.amplitude_prior
    assert copy.log_likelihood(theta[0]) == engine.log_likelihood(theta[0])


def test_with_data_keeps_the_frozen_prior() -> None:
    engine = EchoSearch(noise(), amplitude="marginalised", band=BAND)
    loud = noise(seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)
        moved, own = (
            engine.with_data(loud.with_values(3.0 * loud.values)),
            EchoSearch(loud.with_values(3.0 * loud.values), amplitude="marginalised", band=BAND),
        )
    assert moved.amplitude_prior == engine.amplitude_prior == Uniform(engine.amplitude_scale / 100.0, 10.0 * engine.amplitude_scale)
    assert own.amplitude_prior != engine.amplitude_prior
    assert moved.fingerprint() != engine.fingerprint()
    assert moved.default_priors().describe() == engine.default_priors().describe()


def test_the_amplitude_s_scale_is_the_mean_of_the_band() -> None:
    data, other = noise(), noise(seed=2, detector="L1")
    first, last = EchoSearch(data, band=BAND).bins
    assert (first, last) == (200, 1357)
    means = [float(np.mean(np.abs(item.values[first : last + 1]))) for item in (data, other)]
    assert EchoSearch(data, band=BAND).amplitude_scale == pytest.approx(means[0], rel=1e-14)
    assert EchoSearch((data, other), band=BAND).amplitude_scale == pytest.approx(sum(means) / 2.0, rel=1e-14)
    mask = np.ones(data.n_bin, dtype=bool)
    mask[300:1000] = False
    masked = replace(data, mask=mask, values=np.where(mask, data.values, 1e9))
    used = np.abs(data.values[first : last + 1][mask[first : last + 1]])
    assert EchoSearch(masked, band=BAND).amplitude_scale == pytest.approx(float(np.mean(used)), rel=1e-14)


def test_memory() -> None:
    """At most 64 B per bin in the band and detector, and 1 MB."""
    engine = EchoSearch((noise(52.0), noise(52.0, 2, "L1")), band=BAND)
    packed = engine.compiled()
    n_bins = engine.bins[1] - engine.bins[0] + 1
    assert packed.floats.nbytes + packed.ints.nbytes + 8 * packed.workspace_size <= 64 * n_bins * 2 + 2**20


# ---- values with a source ----


@pytest.mark.parametrize("row", COMB_SNR, ids=lambda row: f"T = {row['duration']}, {row['comb']['band'][1]} Hz")
def test_snr_of_the_published_combs(row: dict[str, Any]) -> None:
    """The derived SNR is that of the template in the search: the column of the published table, T = 8 with our edge rule."""
    made = row["comb"]
    engine = EchoSearch(noise(float(row["duration"])), band=tuple(made["band"]), offset_unit="Hz")
    theta = np.array([made["spacing"], made["offset_hz"], made["width"], made["amplitude"]])
    snr = engine.derived_many(theta)[0, 0]
    assert abs(snr - row["snr"]) < row["tolerance"]
    values = dict(zip(engine.parameters, theta.tolist(), strict=True))
    assert abs(of_engine(engine, values).snr(made["amplitude"]) / snr - 1.0) < 1e-12


@pytest.mark.parametrize(("amplitude", "duration", "expected"), ACCURACY["amplitude_scan"]["snr"])
def test_snr_of_the_amplitude_scan(amplitude: float, duration: float, expected: float) -> None:
    engine = EchoSearch(noise(float(duration)), band=(110.0, 140.0), offset_unit="Hz")
    snr = engine.derived_many(np.array([5.0, 1.26, 0.25, amplitude]))[0, 0]
    assert abs(snr / expected - 1.0) < ACCURACY["amplitude_scan"]["tolerance"]


def test_derived_quantities(engine: EchoSearch) -> None:
    assert engine.derived_names == ("snr", "quality", "amplitude_times_width", "n_teeth", "n_bins")
    snr, quality, product, teeth, bins = engine.derived_many(THETA)[0]
    table = engine.modes(THETA)
    assert abs(snr - math.sqrt(np.sum(table.rho**2))) < 1e-10
    assert quality == pytest.approx(5.83 / 0.25, rel=1e-15)
    assert product == pytest.approx(0.077 * 0.25, rel=1e-15)
    assert (teeth, bins) == (len(table), table.n_bins.sum())
    marginal = replace(engine, amplitude="marginalised")
    best = engine.maximise_amplitude(THETA)[0]
    assert marginal.derived_many(THETA[:3])[0, 2] == pytest.approx(best * 0.25, rel=1e-9)


# ---- simulation ----


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_simulated_data_have_the_expected_likelihood(phase: Any) -> None:
    """Mean ln L of the truth over 200 data sets of the engine's simulator against 200 made by hand; rho^2 / 2 for "whittle"."""
    engine = EchoSearch(noise(), phase=phase, band=BAND, offset_unit="Hz")
    rng = np.random.default_rng(5)
    ours, others = [], []
    for _ in range(200):
        ours.append(engine.with_data(engine.simulate(THETA, rng)).log_likelihood(THETA))
        made = comb(engine.spectra[0], **TRUTH, phase=phase, rng=None if phase == "whittle" else rng)
        others.append(engine.with_data(inject(gaussian_noise(WHITE, 4.0, DT, rng), made)).log_likelihood(THETA))
    a, b = np.array(ours), np.array(others)
    assert abs(a.mean() - b.mean()) < 4.0 * math.hypot(a.std(), b.std()) / math.sqrt(200)
    if phase == "whittle":
        rho = engine.derived_many(THETA)[0, 0]
        assert abs(a.mean() - 0.5 * rho**2) < 4.0 * a.std() / math.sqrt(200)
        assert abs(a.std() / rho - 1.0) < 4.0 / math.sqrt(400)


def test_simulated_noise_has_the_psd_s_variance() -> None:
    engine = EchoSearch((noise(), replace(noise(seed=2, detector="L1"), response=2.0)), phase="bin", band=BAND)
    made = engine.simulate(np.array([5.0, 0.5, 0.25, 0.0, 0.3]), np.random.default_rng(6))
    first, last = engine.bins
    for item in made:
        z = item.values[first : last + 1] / np.sqrt(item.psd[first : last + 1] * item.duration / 4.0)
        parts = np.concatenate([z.real, z.imag])
        assert abs(parts.var() - 1.0) < 4.0 * math.sqrt(2.0 / len(parts))


def test_a_network_s_signal_arrives_as_the_template_expects() -> None:
    """Without noise, "whittle" at the truth has ln L = rho^2 / 2 exactly: phase shifts, delays and responses have their signs right."""
    data = (noise(), Spectrum(noise(seed=2).values, noise().psd, 4.0, None, "L1", 1.4, 6.9e-3))
    engine = EchoSearch(data, phase="whittle", band=BAND, offset_unit="Hz")
    theta = np.array([5.83, 1.26, 0.25, 0.5, 0.9])
    quiet = tuple(replace(item, psd=item.psd * 1e-30) for item in data)
    made = EchoSearch.simulate(_without_check(quiet, engine), theta, np.random.default_rng(7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)
        seen = engine.with_data(tuple(replace(item, psd=one.psd) for item, one in zip(made, data, strict=True)))
    rho = seen.derived_many(theta)[0, 0]
    assert abs(seen.log_likelihood(theta) / (0.5 * rho**2) - 1.0) < 1e-9


def _without_check(data: tuple[Spectrum, ...], engine: EchoSearch) -> EchoSearch:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)
        return engine.with_data(data)


def test_a_marginalised_amplitude_is_drawn_from_its_prior() -> None:
    engine = EchoSearch(noise(), amplitude=Uniform(50.0, 100.0), phase="whittle", band=BAND, offset_unit="Hz")
    sampled = replace(engine, amplitude="sampled")
    rng = np.random.default_rng(8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)
        drawn = [sampled.with_data(engine.simulate(THETA[:3], rng)).maximise_amplitude(THETA)[0] for _ in range(100)]
    error = 4.0 * 50.0 / math.sqrt(12.0 * 100.0)
    assert abs(np.mean(drawn) - 75.0) < error
    assert min(drawn) > 49.9
    assert max(drawn) < 100.1
