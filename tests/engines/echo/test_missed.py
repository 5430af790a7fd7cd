"""A run against a scan: a missed mode, a peak that a sound run need not have met, a run that saw the best, and the sentence on each."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sciinf
from sciinf.core.errors import ConfigError
from sciinf.engines.echo import EchoSearch, Psd, Remnant, ScanResult, check_against_scan, scan
from sciinf.engines.echo.simulate import benchmark, comb, gaussian_noise, inject, scale_to_snr

DT = 1.0 / 1024.0
BAND = (50.0, 150.0)
SPACING, F0, WIDTH = 5.83, 1.26, 0.5  # spacing and offset of the published injections
ALIAS = np.array([0.5 * SPACING, F0 / (0.5 * SPACING), WIDTH])  # half the spacing: half the teeth are noise


def search_of(seed: int, **options: Any) -> EchoSearch:
    noise = gaussian_noise(Psd.white(2.0 * DT), 4.0, DT, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1000)
    signal = comb(noise, spacing=SPACING, offset_hz=F0, width=WIDTH, amplitude=1.0, band=BAND, rng=rng)
    return EchoSearch(inject(noise, scale_to_snr(signal, 16.0)), **{"band": BAND, "amplitude": "marginalised", **options})


@pytest.fixture(scope="module")
def engine() -> EchoSearch:
    return search_of(1)


@pytest.fixture(scope="module")
def found(engine: EchoSearch) -> ScanResult:
    return scan(engine)


def posterior_at(engine: EchoSearch, centre: NDArray[np.float64], **options: Any) -> sciinf.Posterior:
    """Points around ``centre``, with the engine's ln L."""
    samples = centre + np.random.default_rng(5).normal(size=(200, len(centre))) * np.array([1e-4, 1e-3, 1e-2, 1e-4])[: len(centre)]
    priors = engine.default_priors()
    zeros = np.zeros(len(samples))
    return sciinf.Posterior(samples, zeros, engine.log_likelihood_many(samples), priors.log_prior(samples), engine.parameters, **options)


def said(posterior: sciinf.Posterior) -> str:
    (note,) = (note for note in posterior.summary().notes if note.text.startswith("scan"))
    return str(note)


def test_a_run_on_an_alias_is_flagged(engine: EchoSearch, found: ScanResult) -> None:
    alias = check_against_scan(posterior_at(engine, ALIAS), engine, found)
    assert alias.status == "missed_mode"
    note = alias.meta["scan"]
    assert note["short"] > 2.0
    assert note["log_likelihood_of_scan"] == pytest.approx(found.log_likelihood)
    assert note["theta"]["spacing"] == pytest.approx(found.theta[0])
    assert note["theta_of_run"]["spacing"] == pytest.approx(ALIAS[0], abs=1e-3)
    assert "missed mode" in str(alias.summary())
    text = said(alias)
    assert text.startswith("warning: scan: best comb at spacing 5.8")
    assert f"ln L = {found.log_likelihood:.2f}; the run's at spacing 2.91" in text
    assert f"ln L = {note['log_likelihood_of_run']:.2f}. A mode of the posterior was missed" in text


def test_a_run_on_the_comb_is_sound_and_told_where_the_scan_s_best_lies(engine: EchoSearch, found: ScanResult) -> None:
    good = check_against_scan(posterior_at(engine, found.theta), engine, found)
    assert good.status == "ok"
    assert good.meta["scan"]["short"] < 2.0
    theta = found.theta
    assert said(good).startswith(
        f"scan: best comb at spacing {theta[0]:.6g} Hz, offset {theta[1]:.5g}, width {theta[2]:.3g} rad/s, "
        f"ln L = {found.log_likelihood:.2f}; the run's at spacing 5.8"
    )
    assert "missed" not in said(good)
    kept = check_against_scan(posterior_at(engine, theta, status="not_converged"), engine, found)
    assert kept.status == "not_converged"


def test_a_narrow_peak_is_not_missed(engine: EchoSearch, found: ScanResult) -> None:
    """Against an evidence far above the peak's own the peak weighs nothing."""
    narrow = check_against_scan(posterior_at(engine, ALIAS, log_evidence=200.0), engine, found)
    assert narrow.status == "ok"
    share = math.exp(narrow.meta["scan"]["log_mass"] - 200.0)
    assert f"worth {share:.1g} of the evidence: a sound run need not have met it" in said(narrow)
    assert narrow.summary().notes[0].good
    broad = check_against_scan(posterior_at(engine, ALIAS, log_evidence=narrow.meta["scan"]["log_mass"]), engine, found)
    assert broad.status == "missed_mode"


def test_without_a_scan_the_engine_s_own_is_made_once(engine: EchoSearch, found: ScanResult, caplog: pytest.LogCaptureFixture) -> None:
    fresh = replace(engine)
    with caplog.at_level(logging.INFO, logger="sciinf"):
        first = check_against_scan(posterior_at(fresh, found.theta), fresh)
        again = fresh.check(posterior_at(fresh, found.theta))
    assert fresh.default_scan is fresh.default_scan
    assert [record.getMessage() for record in caplog.records if record.name.endswith("echo.scan")] == [f"scan: {fresh.default_scan}"]
    assert str(found) == str(fresh.default_scan)
    assert first.meta["scan"] == again.meta["scan"]
    assert first.meta["scan"]["log_likelihood_of_scan"] == found.log_likelihood
    assert "default_scan" not in fresh.__getstate__()  # workers do not get it
    assert "default_scan" not in replace(fresh).__dict__


def test_the_check_speaks_of_the_modes_too(engine: EchoSearch, found: ScanResult) -> None:
    engine.__dict__["default_scan"] = found
    checked = engine.check(posterior_at(engine, found.theta))
    assert [note.text.partition(" =")[0].partition(":")[0] for note in checked.summary().notes] == ["scan", "T width"]
    assert engine.check(checked).meta == checked.meta  # said once, however often it is checked
    other = search_of(1, phase="bin")
    other.__dict__["default_scan"] = scan(other, steps=4.0)
    assert len(other.check(posterior_at(other, found.theta)).summary().notes) == 1


def test_peaks_outside_the_runs_prior_do_not_count(engine: EchoSearch, found: ScanResult) -> None:
    within = posterior_at(engine, ALIAS, meta={"supports": {"spacing": [2.9, 2.93]}})
    assert check_against_scan(within, engine, found).status == "ok"
    nowhere = posterior_at(engine, ALIAS, meta={"supports": {"spacing": [2.9, 2.9001]}})
    checked = check_against_scan(nowhere, engine, found)
    assert checked.status == "ok"
    assert said(checked) == "scan: no peak inside the run's prior"


def test_units_of_a_run_without_a_mass() -> None:
    engine = EchoSearch(
        benchmark("constant_wall", 20, 30.0, np.random.default_rng(1)), amplitude="marginalised", remnant=Remnant(0.69), offset_unit="Hz"
    )
    text = str(scan(engine, 200, widths=1, n_refine=20, n_peaks=2))
    assert " 1/M, offset 0.0" in text
    assert " rad/M, ln L = " in text


def test_a_sampled_amplitude_is_taken_as_it_is(found: ScanResult) -> None:
    sampled = search_of(1, amplitude="sampled")
    centre = np.append(found.theta, found.amplitude)
    posterior = posterior_at(sampled, centre)
    checked = check_against_scan(posterior, sampled, scan(sampled))
    assert checked.status == "ok"
    assert checked.meta["scan"]["log_likelihood_of_run"] == posterior.log_likelihood.max()


def test_a_check_needs_the_scan_of_its_engine(engine: EchoSearch, found: ScanResult) -> None:
    posterior = posterior_at(engine, found.theta)
    with pytest.raises(ConfigError, match="of another engine"):
        check_against_scan(posterior, search_of(2), found)
    with pytest.raises(ConfigError, match="must be a ScanResult"):
        check_against_scan(posterior, engine, 3.0)  # type: ignore[arg-type]
    wrong = sciinf.Posterior(np.ones((3, 1)), np.zeros(3), np.zeros(3), np.zeros(3), ("spacin",))
    with pytest.raises(ConfigError, match="did you mean 'spacing'"):
        check_against_scan(wrong, engine, found)
    part = sciinf.Posterior(np.ones((3, 1)), np.zeros(3), np.zeros(3), np.zeros(3), ("spacing",))
    with pytest.raises(ConfigError, match="has no quantity 'offset'"):
        check_against_scan(part, engine, found)
