"""The mode table, the reconstruction and the residual, against the likelihood and the oracle."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.engines.echo import EchoSearch, Psd, Spectrum, resolution
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject, project
from sciinf.results.posterior import Posterior
from sciinf.validation.echo_oracle import log_i0, of_engine

DT = 1.0 / 4096.0
TRUTH = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.15, "band": (50.0, 339.0)}
THETA = np.array([5.83, 1.26, 0.25, 0.15])
NETWORK = np.append(THETA, 0.7)


def network(seed: int = 1) -> tuple[Spectrum, Spectrum]:
    """A comb at both detectors, lines masked in the second."""
    rng = np.random.default_rng(seed)
    noise = [gaussian_noise(Psd.white(2.0 * DT), 4.0, DT, rng, name) for name in ("H1", "L1")]
    mask = np.ones(noise[1].n_bin, dtype=bool)
    mask[400:420] = False
    second = Spectrum(noise[1].values, noise[1].psd, 4.0, mask, "L1", 0.8, 6.9e-3)
    signal = comb(noise[0], **TRUTH, rng=rng)
    return inject(noise[0], signal), inject(second, project(signal, second, 0.7))


@pytest.fixture(scope="module", params=["mode", "bin", "whittle"])
def engine(request: pytest.FixtureRequest) -> EchoSearch:
    return EchoSearch(network(), phase=request.param, band=(50.0, 339.0), offset_unit="Hz")


def test_shares_add_up(engine: EchoSearch) -> None:
    value = engine.log_likelihood(NETWORK)
    table = engine.modes(NETWORK)
    assert abs(table.log_likelihood.sum() - value) < 1e-9 * abs(value)
    parts = engine.breakdown(NETWORK)
    assert list(parts) == [f"tooth {n}" for n in table.tooth]
    assert math.fsum(parts.values()) == pytest.approx(value, rel=1e-9)


def test_the_table_against_the_oracle(engine: EchoSearch) -> None:
    table = engine.modes(NETWORK)
    values = dict(zip(engine.parameters, NETWORK.tolist(), strict=True))
    matched, norm, label = of_engine(engine, values).sums()
    for i, n in enumerate(table.tooth):
        here = label == n
        kappa, rho2 = 0.15 * matched[here].sum(), 0.15**2 * norm[here].sum()
        assert table.n_bins[i] == here.sum()
        assert table.rho[i] == pytest.approx(math.sqrt(rho2), rel=1e-10)
        assert table.phase[i] == pytest.approx(np.angle(kappa), abs=1e-8)
        if engine.phase == "mode":
            assert table.kappa[i] == pytest.approx(abs(kappa), rel=1e-10)
            assert table.log_likelihood[i] == pytest.approx(float(log_i0(np.array([abs(kappa)]))[0]) - 0.5 * rho2, rel=1e-9, abs=1e-9)
        elif engine.phase == "bin":
            assert table.kappa[i] == pytest.approx(0.15 * np.abs(matched[here]).sum(), rel=1e-10)
        else:
            assert table.kappa[i] == pytest.approx(kappa.real, rel=1e-8, abs=1e-8)
    assert np.allclose(table.frequency, 1.26 + table.tooth * 5.83, rtol=1e-14)
    frame = table.to_frame()
    assert list(frame.columns) == ["tooth", "frequency", "n_bins", "kappa", "rho", "phase", "log_likelihood"]
    assert len(frame) == len(table)


def test_the_reconstruction_is_the_comb_at_its_best_phases(engine: EchoSearch) -> None:
    """ "whittle" of the reconstruction is sum |kappa| - rho^2 / 2: no other phases of the modes (or bins) do better."""
    made = engine.reconstruct(NETWORK)
    assert made.shape == (engine.spectra[0].n_bin,)
    values = dict(zip(engine.parameters, NETWORK.tolist(), strict=True))
    strength, e = of_engine(engine, values).coefficients(engine.phase)
    gain = 0.0
    for spectrum, shift in zip(engine.spectra, (0.0, 0.7), strict=True):
        seen = project(spectrum.with_values(made), spectrum, shift).values
        used = spectrum.used
        gain += float(np.sum((np.conj(seen) * spectrum.values / spectrum.psd).real[used]) * 4.0 / 4.0)  # 4 df
    assert gain == pytest.approx(0.15 * strength.sum(), rel=1e-9)
    assert e > 0.0


def test_the_residual_is_noise(engine: EchoSearch) -> None:
    """With the true phases (one per mode) the residual is smaller than the data and as large as noise; masked bins hold 0."""
    found = engine.predict(NETWORK)
    first, last = engine.bins
    assert np.array_equal(found["frequency"], np.arange(first, last + 1) / 4.0)
    assert np.array_equal(found["reconstruction"], engine.reconstruct(NETWORK)[first : last + 1])
    residual = found["whitened_residual_L1"]
    assert (residual[400 - first : 420 - first] == 0.0).all()
    if engine.phase == "mode":
        rest = found["whitened_residual_H1"]
        power = np.mean(np.abs(rest) ** 2) / 2.0
        # 49 best phases take away about one of 2 n degrees of freedom each
        assert abs(power - 1.0) < 5.0 / math.sqrt(len(rest)) + 49.0 / len(rest)
        assert np.mean(np.abs(engine.spectra[0].whitened()[first : last + 1]) ** 2) / 2.0 > power


def test_recovered_phases() -> None:
    """A loud comb: the best phase of every mode is the one that was injected."""
    rng = np.random.default_rng(2)
    noise = gaussian_noise(Psd.white(2.0 * DT), 12.0, DT, rng)
    signal = comb(noise, **(TRUTH | {"amplitude": 100.0}), rng=rng)
    engine = EchoSearch(inject(noise, signal), band=(50.0, 339.0), offset_unit="Hz")
    made = engine.reconstruct(np.array([5.83, 1.26, 0.25, 100.0]))
    inside = made != 0.0
    assert np.array_equal(inside, signal.values != 0.0)
    angle = np.angle(made[inside] / signal.values[inside])
    rho = engine.modes(np.array([5.83, 1.26, 0.25, 100.0])).rho.min()
    assert np.abs(angle).max() < 5.0 / rho


def test_a_marginalised_amplitude_stands_at_its_maximum() -> None:
    for phase in ("mode", "bin", "whittle"):
        sampled = EchoSearch(network()[0], phase=phase, band=(50.0, 339.0), offset_unit="Hz")  # type: ignore[arg-type]
        marginal = replace(sampled, amplitude="marginalised")
        best, value = sampled.maximise_amplitude(THETA)
        table = marginal.modes(THETA[:3])
        assert table.amplitude == pytest.approx(min(max(best, marginal.amplitude_prior.low), marginal.amplitude_prior.high), rel=1e-10)
        if best > marginal.amplitude_prior.low:
            assert table.log_likelihood.sum() == pytest.approx(value, rel=1e-8)


def narrow_posterior(engine: EchoSearch, widths: list[float], **options: Any) -> Posterior:
    samples = np.array([[5.83, 1.26, width, 0.1, 0.0] for width in widths])
    zeros = np.zeros(len(widths))
    return Posterior(samples, zeros, zeros, zeros, engine.parameters, **options)


def test_resolution() -> None:
    """Medians of T width and spacing/width; weights and fixed parameters count."""
    engine = EchoSearch(network(), band=(50.0, 339.0), offset_unit="Hz")
    found = resolution(narrow_posterior(engine, [0.5, 0.6, 1.0]), engine)
    assert found.time_times_width == pytest.approx(4.0 * 0.6)
    assert found.spacing_over_width == pytest.approx(5.83 / 0.6)
    assert found.is_resolved
    assert str(found) == "T width = 2.4, spacing/width = 9.72 at the posterior's medians: modes are resolved where both are well above 1"
    short = resolution(narrow_posterior(engine, [0.1, 0.2, 0.3]), engine)
    assert not short.is_resolved
    assert "shorter than one damping time" in str(short)
    weighted = replace(narrow_posterior(engine, [0.1, 0.2, 0.3]), log_weights=np.array([-99.0, -99.0, 0.0]))
    assert resolution(weighted, engine).is_resolved
    names = ("spacing", "offset", "amplitude", "phase_shift_L1")
    fixed = Posterior(np.array([[5.83, 1.26, 0.1, 0.0]]), *np.zeros((3, 1)), names, meta={"fixed": {"width": 0.1}})
    assert resolution(fixed, engine).time_times_width == pytest.approx(0.4)
    with pytest.raises(ConfigError, match="no quantity 'width'"):
        resolution(replace(fixed, meta={}), engine)


def test_a_run_with_unresolved_modes_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """One phase per mode only: the others do not need resolved modes."""
    from sciinf.engines.echo import missed

    monkeypatch.setattr(missed, "check_against_scan", lambda posterior, engine: posterior)
    for phase, warned in (("mode", True), ("bin", False), ("whittle", False)):
        engine = EchoSearch(network(), band=(50.0, 339.0), offset_unit="Hz", phase=phase)  # type: ignore[arg-type]
        summary = engine.check(narrow_posterior(engine, [0.1, 0.2])).summary()
        assert ("warning: T width = 0.6" in str(summary)) == warned
        assert [note.good for note in summary.notes] == [False] * warned


def test_no_signal_no_table(engine: EchoSearch) -> None:
    silent: Any = NETWORK.copy()
    silent[3] = 0.0
    assert len(engine.modes(silent)) == 0
    assert engine.breakdown(silent) == {}
    assert not engine.reconstruct(silent).any()
