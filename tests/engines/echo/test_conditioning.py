"""Welch's PSD, whitening without leakage, and the lines: found, notched, bridged, masked."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.echo.conditioning import (
    MAINS,
    LineReport,
    apply_lines,
    bridge,
    condition,
    find_lines,
    line_candidates,
    line_mask,
    notch,
    welch_psd,
)
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.gwosc import read_gwosc
from sciinf.engines.echo.strain import Strain, fourier_bins

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "echo"
RATE = 1024
WHITE = Psd.white(2.0 / RATE)


@pytest.fixture
def gw150914() -> Callable[[str], Strain]:
    """The published strain of a detector, or a skip."""

    def read(name: str) -> Strain:
        path = SHARED / "strain" / f"{name}_LOSC_4_V2-1126259446-32.hdf5"
        if not path.exists():
            pytest.skip(f"needs ../shared/data/echo/strain/{path.name}, which is not distributed with the project")
        return read_gwosc(path)

    return read


def series(duration: float, seed: int = 1, lines: dict[float, float] | None = None) -> Strain:
    """Unit white noise at 1024 Hz from GPS 1000 on, with lines of a given amplitude (Hz -> amplitude)."""
    n = int(duration * RATE)
    values = np.random.default_rng(seed).standard_normal(n)
    time = np.arange(n) / RATE
    for k, (line, amplitude) in enumerate(sorted((lines or {}).items())):
        values += amplitude * np.cos(2.0 * np.pi * line * time + k)
    return Strain(values, 1.0 / RATE, 1000.0, "L1")


def test_welch_is_the_mean_of_windowed_periodograms() -> None:
    """Written out: Blackman window, half overlap, no detrending, one-sided."""
    strain = Strain(series(4.0).values + 5.0, 1.0 / RATE, 1000.0, "L1")
    psd = welch_psd(strain)
    n = RATE // 2
    window = signal.get_window("blackman", n)
    parts = [strain.values[k : k + n] * window for k in range(0, strain.n - n + 1, n // 2)]
    power = np.mean([np.abs(np.fft.rfft(part)) ** 2 for part in parts], axis=0) / (RATE * np.sum(window**2))
    power[1:-1] *= 2.0
    assert len(parts) == 15
    assert np.allclose(psd.density, power, rtol=1e-12)
    assert np.array_equal(psd.frequency, np.arange(n // 2 + 1) * 2.0)
    assert psd.density[0] > 10.0 * psd.density[10]  # the mean stays
    assert psd.source == "Welch, 15 blackman segments of 0.5 s, GPS 1000.000000 to 1004.000000"


def test_welch_measures_one_sided_noise() -> None:
    """Unit white noise has S = 2 dt; a two-sided estimate would be half of it."""
    strain = series(64.0)
    density = welch_psd(strain).density[2:-2]
    assert abs(density.mean() * RATE / 2.0 - 1.0) < 5.0 * math.sqrt(2.0 / strain.n)


def test_welch_leaves_out_the_on_source_segment() -> None:
    strain = series(16.0)
    loud = strain.values.copy()
    loud[6 * RATE : 8 * RATE] *= 100.0
    psd = welch_psd(Strain(loud, 1.0 / RATE, 1000.0, "L1"), exclude=(1006.0, 1008.0))
    before, after = welch_psd(strain.cut(1000.0, 6.0)), welch_psd(strain.cut(1008.0, 8.0))
    assert np.allclose(psd.density, (23 * before.density + 31 * after.density) / 54, rtol=1e-12)
    assert "without 1006.000000 to 1008.000000" in psd.source
    assert np.array_equal(welch_psd(strain, exclude=(900.0, 950.0)).density, welch_psd(strain).density)
    with pytest.raises(DataError, match=r"L1: no PSD segment of 0\.5 s fits into GPS 1000\.0+ to 1016\.0+ outside 990\.0+ to 1020"):
        welch_psd(strain, exclude=(990.0, 1020.0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"overlap": 1.0}, ConfigError, "overlap must lie in"),
        ({"window": "blackmann"}, ConfigError, "window must be one that scipy.signal knows"),
        ({"segment": 0.3333}, DataError, "whole number of samples"),
        ({"segment": 8.0}, DataError, "no PSD segment of 8 s fits"),
    ],
)
def test_wrong_welch_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        welch_psd(series(4.0), **options)


def test_white_noise_is_conditioned_to_its_own_fft() -> None:
    """With a flat PSD, whitening is a number: the bins are those of the bare segment."""
    strain = series(12.0)
    made = condition(strain, WHITE, 1004.0, 4.0)
    bare = fourier_bins(strain.cut(1004.0, 4.0).values, strain.sample_interval)
    assert np.abs(made.values - bare).max() < 1e-13
    assert (made.duration, made.start_time, made.detector) == (4.0, 1004.0, "L1")
    assert made.n_bin == 2 * RATE + 1
    assert np.array_equal(made.psd, np.full(made.n_bin, 2.0 / RATE))


def test_conditioning_stops_the_leakage_of_steep_noise() -> None:
    """Noise with S ~ f^-14 below 20 Hz: a bare FFT is swamped in the band, the conditioned bins have the level 1."""
    rng = np.random.default_rng(3)
    n = 24 * RATE
    frequency = np.fft.rfftfreq(n, 1.0 / RATE)
    steep = np.where(frequency < 20.0, (20.0 / np.maximum(frequency, 1.0)) ** 14, 1.0) * 2.0 / RATE
    bins = 0.5 * np.sqrt(steep * n / RATE) * (rng.standard_normal(len(steep)) + 1j * rng.standard_normal(len(steep)))
    bins[0] = bins[-1] = 0.0
    strain = Strain(np.fft.irfft(bins, n=n) * RATE, 1.0 / RATE, 1000.0, "L1")
    psd = Psd(frequency, steep)
    made = condition(strain, psd, 1010.0, 4.0)
    first, last = 50 * 4, 400 * 4
    sigma = 1.0 / (math.log(2.0) * math.sqrt(last - first + 1))
    assert abs(made.psd_level(first, last) - 1.0) < 5.0 * sigma
    bare = made.with_values(fourier_bins(strain.cut(1010.0, 4.0).values, strain.sample_interval))
    assert bare.psd_level(first, last) > 100.0


def test_a_signal_survives_conditioning() -> None:
    """A damped sine inside the segment keeps its bins; the PSD used has structure."""
    time = np.arange(12 * RATE) / RATE - 4.5
    sine = np.where(time >= 0.0, np.exp(-4.0 * np.maximum(time, 0.0)) * np.cos(2.0 * np.pi * 131.0 * time), 0.0)
    quiet = series(12.0)
    loud = Strain(quiet.values + sine, 1.0 / RATE, 1000.0, "L1")
    frequency = np.linspace(0.0, 512.0, 257)
    psd = Psd(frequency, (1.0 + 0.5 * np.cos(frequency / 40.0)) * 2.0 / RATE)
    difference = condition(loud, psd, 1004.0, 4.0).values - condition(quiet, psd, 1004.0, 4.0).values
    wanted = fourier_bins(sine[4 * RATE : 8 * RATE], 1.0 / RATE)
    band = slice(120 * 4, 140 * 4)
    assert np.abs(difference - wanted)[band].max() < 1e-3 * np.abs(wanted).max()


def test_start_is_the_nearest_sample() -> None:
    made = condition(series(12.0), WHITE, 1004.0004, 4.0)
    assert made.start_time == 1004.0
    assert condition(series(12.1), WHITE, 1004.0006, 4.0).start_time == 1004.0 + 1.0 / RATE


def test_frequencies_without_psd_are_dropped_and_marked() -> None:
    made = condition(series(12.0), Psd([20.0, 400.0], [2.0 / RATE, 2.0 / RATE]), 1004.0, 4.0)
    outside = (made.frequency < 20.0) | (made.frequency > 400.0)
    assert np.isnan(made.psd[outside]).all()
    assert np.isfinite(made.psd[~outside]).all()
    assert not made.values[outside].any()
    with pytest.raises(DataError, match="it holds 600 to 800 Hz, wanted are 0 to 512 Hz"):
        condition(series(12.0), Psd([600.0, 800.0], [1.0, 1.0]), 1004.0, 4.0)


@pytest.mark.parametrize(
    ("start", "duration", "longest"),
    [(1004.0, 5.0, "4"), (1002.0, 4.0, "2"), (1010.0, 4.0, "1"), (990.0, 4.0, "0"), (1020.0, 4.0, "0")],
)
def test_a_segment_needs_three_times_its_length(start: float, duration: float, longest: str) -> None:
    strain = series(12.0)
    message = rf"L1: .* GPS {start - duration:.6f} to {start + 2 * duration:.6f}; available is 1000\.0+ to 1012\.0+\. .* is {longest} s"
    with pytest.raises(DataError, match=message):
        condition(strain, WHITE, start, duration)
    if float(longest):
        assert condition(strain, WHITE, start, float(longest)).duration == float(longest)


def test_the_longest_segment_on_source(gw150914: Callable[[str], Strain]) -> None:
    """The merger's segment starts 16.44 s into the 32 s file: 7.78 s fit."""
    strain = gw150914("H-H1")
    with pytest.raises(DataError, match=r"largest duration that fits at this start is 7\.7[78]\d* s"):
        condition(strain, welch_psd(strain), 1126259462.44, 8.0)


def test_a_notch_has_no_phase_and_the_stated_response() -> None:
    n, dt = 40 * RATE, 1.0 / RATE
    time = np.arange(n) * dt
    for away, kept in ((0.0, 0.0), (0.3, 1.0 / (1.0 + (0.25 / 0.3) ** 2)), (2.0, 1.0 / (1.0 + 0.125**2)), (20.0, 1.0)):
        strain = Strain(np.cos(2.0 * np.pi * (60.0 + away) * time + 0.3), dt, 1000.0, "L1")
        made = notch(strain, [60.0], crop=8.0)
        assert made.start_time == 1008.0
        assert made.n == 24 * RATE
        quarter = slice(8 * RATE, n - 8 * RATE)
        assert np.abs(made.values - kept * strain.values[quarter]).max() < 2e-3


def test_notch_options() -> None:
    strain = series(4.0)
    assert notch(strain, []) is strain
    made = notch(strain, [60.0, 120.0])
    assert (made.start_time, made.duration, made.detector) == (1001.0, 2.0, "L1")
    with pytest.raises(ConfigError, match="Nyquist frequency 512 Hz, got 600 Hz"):
        notch(strain, [600.0])
    with pytest.raises(ConfigError, match="width of a notch must be positive"):
        notch(strain, [60.0], width=0.0)
    with pytest.raises(DataError, match="L1: nothing is left of 2 s after cropping 1 s at either side"):
        notch(strain.cut(1000.0, 2.0), [60.0])


def test_bridge() -> None:
    frequency = np.arange(0.0, 201.0, 2.0)
    density = 1.0 + frequency / 100.0
    spiked = density.copy()
    spiked[[30, 60, 61]] = 50.0
    psd = bridge(Psd(frequency, spiked, "x"), [60.0, 120.0, 122.2])
    wanted = np.linspace(0.0, 200.0, 1001)
    assert (
        np.abs(
            psd.at(wanted[(wanted < 117.0) | (wanted > 125.0)]) - np.interp(wanted, frequency, density)[(wanted < 117.0) | (wanted > 125.0)]
        ).max()
        < 1e-12
    )
    assert psd.source == "x, bridged"
    assert bridge(psd, []) is psd
    inside = psd.at(np.linspace(118.0, 124.2, 50))
    assert np.abs(np.diff(inside, 2)).max() < 1e-12  # the two lines 2.2 Hz apart share one stretch
    assert np.array_equal(bridge(Psd(frequency, density), [1.0, 199.5]).frequency[[0, -1]], [0.0, 200.0])
    assert np.array_equal(bridge(WHITE, [60.0]).at([59.0, 60.0, 300.0]), [2.0 / RATE] * 3)


def test_line_mask() -> None:
    mask = line_mask(1001, 10.0, [60.0])
    assert np.array_equal(np.flatnonzero(~mask), np.arange(597, 604))
    assert line_mask(11, 10.0, []).all()


def test_candidates() -> None:
    assert line_candidates("V1") == {60.0: 0.06, 120.0: 0.12, 180.0: 0.18, 240.0: 0.24}
    assert line_candidates("L1", "O1")[73.9] == 0.03
    assert len(line_candidates("L1", "O1")) == 11
    assert len(line_candidates("H1", "O1")) == 10
    with pytest.raises(ConfigError, match="run 'O1' or None"):
        line_candidates("H1", "O9")


@pytest.mark.parametrize("given", [True, False])
def test_candidate_lines_are_found_and_taken_out(given: bool) -> None:
    """Lines at 60 and 180 Hz go; 100 Hz is as loud but no candidate, so it stays; 120 Hz is a candidate but quiet."""
    strain = series(16.0, lines={60.03: 2.0, 100.0: 2.0, 180.0: 3.0})
    psd = WHITE if given else None
    report = find_lines(strain, psd, MAINS, 1006.0, 4.0)
    assert sorted(report.lines) == [60.0, 180.0]
    assert min(report.heights) > report.threshold == 5.0
    assert 1 <= report.rounds <= 3
    assert report.masked == (239, 240, 241, 719, 720, 721)
    assert "L1: 2 lines above 5" in str(report)
    assert report.psd_source == ("white" if given else "segment")
    made = apply_lines(strain, psd, report)
    assert np.array_equal(np.flatnonzero(~made.used), report.masked)
    height = np.abs(made.whitened())
    assert height[np.abs(made.frequency - 60.0) < 5.0].max() < 5.0
    assert height[np.abs(made.frequency - 180.0) < 5.0].max() < 5.0
    assert height[400] > 20.0 if given else height[400] > 5.0
    before = np.abs(condition(strain, WHITE, 1006.0, 4.0).whitened())
    assert before[240] > 20.0


def test_noise_far_from_the_lines_is_left_alone() -> None:
    quiet, loud = series(16.0), series(16.0, lines={60.0: 2.0})
    made = apply_lines(loud, WHITE, find_lines(loud, WHITE, MAINS, 1006.0, 4.0))
    bare = condition(quiet, WHITE, 1006.0, 4.0)
    far = np.abs(made.frequency - 60.0) > 10.0
    far[[0, -1]] = False
    assert np.abs(made.whitened() - bare.whitened())[far].max() < 0.05
    first, last = 4 * 20, 4 * 400
    assert abs(made.psd_level(first, last) / bare.psd_level(first, last) - 1.0) < 0.02


def test_noise_without_lines_is_not_notched() -> None:
    strain = series(12.0)
    report = find_lines(strain, WHITE, MAINS, 1004.0, 4.0)
    assert report.lines == report.masked == ()
    assert report.rounds == 0
    made = apply_lines(strain, WHITE, report)
    assert made.used.all()
    assert np.array_equal(made.values, condition(strain, WHITE, 1004.0, 4.0).values)


def test_a_line_between_coarse_bins_counts() -> None:
    """73.9 Hz +- 0.03 holds no bin of a 2 s segment: the bin that holds the line is taken."""
    report = find_lines(series(12.0, lines={73.9: 2.0}), WHITE, {73.9: 0.03}, 1004.0, 2.0)
    assert report.lines == (73.9,)
    assert report.masked == (148,)


def test_the_threshold_depends_on_the_duration() -> None:
    assert find_lines(series(75.0), WHITE, MAINS, 1025.0, 25.0).threshold == 6.0
    assert find_lines(series(72.0), WHITE, MAINS, 1024.0, 24.0).threshold == 5.0
    assert find_lines(series(12.0), WHITE, MAINS, 1004.0, 4.0, threshold=9.0).threshold == 9.0


def test_rounds_end() -> None:
    strain = series(16.0, lines={60.0: 300.0, 120.0: 1.0, 180.0: 0.6})
    report = find_lines(strain, None, MAINS, 1006.0, 4.0, max_rounds=1)
    assert report.rounds == 1
    assert set(report.found_in) == {1}
    assert set(find_lines(strain, None, MAINS, 1006.0, 4.0).lines) >= set(report.lines)


def test_notching_needs_a_second_more() -> None:
    strain = series(12.0, lines={60.0: 2.0})
    for psd in (WHITE, None):
        with pytest.raises(DataError, match=r"GPS 1000\.0+ to 1012\.0+; available is 1001\.0+ to 1011\.0+\. .* fits at this start is 3 s"):
            find_lines(strain, psd, MAINS, 1004.0, 4.0)


@pytest.mark.parametrize(
    ("candidates", "options", "message"),
    [
        ({600.0: 0.1}, {}, "in 0 to 512 Hz .* got 600"),
        ({60.0: -0.1}, {}, "tolerance >= 0, got 60 and -0.1 Hz"),
        ([60.0], {}, "candidate line is"),
        ([(60.0, 0.1, 3.0)], {}, "candidate line is"),
        (MAINS, {"threshold": 0.0}, "threshold must be positive"),
        (MAINS, {"max_rounds": 0}, "max_rounds an integer >= 1"),
    ],
)
def test_wrong_line_options(candidates: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_lines(series(12.0), WHITE, candidates, 1004.0, 4.0, **options)


def test_a_report_belongs_to_its_detector() -> None:
    report = LineReport("H1", 1004.0, 4.0, (), (), (), 5.0, 0, ())
    with pytest.raises(ConfigError, match="lines are of detector 'H1', the strain of 'L1'"):
        apply_lines(series(12.0), WHITE, report)


@pytest.mark.parametrize("name", ["H-H1", "L-L1"])
def test_real_strain(gw150914: Callable[[str], Strain], name: str) -> None:
    """GW150914, 4 s after the merger: no candidate is left above the threshold, and the level is that of Gaussian noise."""
    strain = gw150914(name)
    report = find_lines(strain, None, line_candidates(strain.detector, "O1"), 1126259462.44, 4.0)
    assert set(report.lines) <= {60.0, 120.0, 180.0, 240.0}
    assert report.lines
    made = apply_lines(strain, None, report)
    count = int(made.used[200:1200].sum())
    assert abs(made.psd_level(200, 1200) - 1.0) < 4.0 / (math.log(2.0) * math.sqrt(count)) + 0.05  # + the PSD's own error
    height = np.abs(made.whitened())
    for line in report.lines:
        assert height[np.abs(made.frequency - line) < 0.3].max() < report.threshold
