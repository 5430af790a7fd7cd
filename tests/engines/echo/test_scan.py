"""The scan: its tables and sums against plain sums over teeth, what it finds, the walkers it places, and the check of a run against it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sciinf
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Fixed
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.engines import echo
from sciinf.engines.echo import EchoSearch, Psd, Remnant, Spectrum, check_against_scan, importance_sample
from sciinf.engines.echo.profile_kernels import shapes_many, sums_many
from sciinf.engines.echo.scan import ScanResult, scan
from sciinf.engines.echo.scan_kernels import LEAST_TEETH, sweep, tooth_scores, tooth_sums
from sciinf.engines.echo.scan_peaks import _valleys
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject, optimal_snr, project, scale_to_snr

DT = 1.0 / 1024.0
WHITE = Psd.white(2.0 * DT)
BAND = (50.0, 150.0)
SNR = 16.0  # of the published injections (16.1 at T = 52 s)
TRUE = {"spacing": 5.83, "offset": 1.26 / 5.83}  # spacing and offset of the published injections


def noise_of(duration: float, seed: int, detector: str = "H1") -> Spectrum:
    return gaussian_noise(WHITE, duration, DT, np.random.default_rng(seed), detector)


def injected(duration: float, width: float, seed: int = 1, snr: float = SNR, **options: Any) -> tuple[EchoSearch, NDArray[np.float64]]:
    """An engine with a comb in it, and the comb's point."""
    noise = noise_of(duration, seed)
    rng = np.random.default_rng(seed + 1000)
    signal = comb(noise, spacing=TRUE["spacing"], offset_hz=1.26, width=width, amplitude=1.0, band=BAND, rng=rng)
    amplitude = snr / optimal_snr(signal)
    options = {"band": BAND, "amplitude": "marginalised", **options}
    engine = EchoSearch(inject(noise, signal.with_values(amplitude * signal.values)), **options)
    values = {**TRUE, "width": width, "amplitude": amplitude}
    if engine.offset_unit == "Hz":
        values["offset"] = 1.26
    return engine, np.array([values[name] for name in engine.parameters])


# Tables and sums


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_teeth_are_those_of_the_engine(phase: str) -> None:
    """K, E and the score of every tooth against the engine's table of modes."""
    engine, theta = injected(4.0, 0.5, phase=phase, amplitude="sampled")
    table = engine.modes(theta)
    packed, cut = engine.compiled(), engine.template.cut(0.5, TRUE["spacing"], 4.0)  # type: ignore[union-attr]
    most = math.ceil(cut / math.pi * 4.0) + 2
    each = np.zeros((len(table), most if phase == "bin" else 0))
    sums = tooth_sums(np.ascontiguousarray(table.frequency), 0.5, cut, np.empty(0), packed.floats, packed.ints, each)
    np.testing.assert_allclose(theta[3] * sums[0], table.kappa, rtol=1e-10)
    np.testing.assert_allclose(theta[3] * np.sqrt(sums[1]), table.rho, rtol=1e-10)
    scores = tooth_scores(theta[3:4], sums, each, packed.ints)
    np.testing.assert_allclose(scores[0], table.log_likelihood, rtol=1e-5, atol=1e-5)  # float32


def plain_sums(table: NDArray[np.float32], step: float, start: float, spacing: float, m: int, teeth: range, runs: bool) -> list[float]:
    """Sums over teeth for every offset, one after the other; with ``runs`` those of the best run of ten or more."""
    found = []
    for i in range(m):
        at = [math.floor((start + n * spacing) / step + 0.5) + 2 * i for n in teeth]
        scores = [float(table[j % 2, 0, j // 2]) for j in at]
        n = len(scores)
        pairs = [(a, b) for a in range(n) for b in range(a + LEAST_TEETH, n + 1)] if runs else [(0, n)]
        found.append(max(sum(scores[a:b]) for a, b in pairs))
    return found


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("n_teeth", [10, 11, 13, 24, 31])
def test_sweep_against_plain_sums(runs: bool, n_teeth: int) -> None:
    table = np.random.default_rng(3).normal(size=(2, 1, 400)).astype(np.float32)
    step, spacing, start, m = 0.1, 2.37, 1.03, 11
    combs, ranges = np.array([[spacing, start]]), np.array([[m, 0, n_teeth - 1, 0, 1]])
    grid, top, found = np.full((1, 4), -np.inf), np.empty(1), np.zeros((1, 2))
    sweep(table, step, 2, combs, ranges, int(runs), grid, np.zeros(1, dtype=np.int64), top, found)
    expected = plain_sums(table, step, start, spacing, m, range(n_teeth), runs)
    assert top[0] == pytest.approx(max(expected), abs=1e-4)  # float32
    assert found[0, 0] == int(np.argmax(expected))
    columns = [math.floor(i * 0.2 / spacing % 1.0 * 4) for i in range(m)]
    for column in range(4):
        assert grid[0, column] == pytest.approx(max(v for v, c in zip(expected, columns, strict=True) if c == column), abs=1e-4)


# What it finds


@pytest.mark.parametrize("phase", ["mode", "bin"])
@pytest.mark.parametrize("duration", [4.0, 12.0])
def test_finds_the_comb(duration: float, phase: str) -> None:
    """A needle (w = 1/T) found, and never less than ln L at the injection."""
    engine, true = injected(duration, 1.0 / duration, phase=phase)
    result = scan(engine)
    assert isinstance(result, ScanResult)
    assert result.names == engine.parameters
    assert result.log_likelihood >= engine.maximise_amplitude(true)[1]
    # Less than one bin over the whole band.
    assert abs(result.theta[0] - TRUE["spacing"]) < 1.0 / duration / (BAND[1] - BAND[0]) * TRUE["spacing"]
    amplitude, value = engine.maximise_amplitude(result.theta)
    assert value == pytest.approx(result.log_likelihood, abs=1e-6)
    assert amplitude == pytest.approx(result.amplitude, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_is_never_below_the_injection(seed: int) -> None:
    """Weak ones too, of an SNR near the noise's own best (6)."""
    engine, true = injected(4.0, 0.25, seed=seed, snr=6.0)
    assert scan(engine).log_likelihood >= engine.maximise_amplitude(true)[1]


@pytest.mark.parametrize(
    "options", [{"offset_unit": "Hz"}, {"amplitude": "sampled"}, {"amplitude": LogUniform(1e-4, 10.0)}, {"phase": "whittle"}]
)
def test_options_of_the_engine(options: dict[str, Any]) -> None:
    noise = noise_of(4.0, 5)
    signal = comb(noise, spacing=5.83, offset_hz=1.26, width=0.5, amplitude=1.0, band=BAND)  # one phase: of use to whittle as well
    signal = scale_to_snr(signal, SNR)
    engine = EchoSearch(inject(noise, signal), **{"band": BAND, "amplitude": "marginalised", **options})
    result = scan(engine)
    values = dict(zip(engine.parameters, result.theta.tolist(), strict=True))
    assert abs(values["spacing"] - 5.83) < 0.02
    true = {"spacing": 5.83, "offset": 1.26 if engine.offset_unit == "Hz" else 1.26 / 5.83, "width": 0.5, "amplitude": 1.0}
    assert result.log_likelihood >= engine.maximise_amplitude([true[name] for name in engine.parameters])[1]
    assert math.isfinite(float(engine.default_priors().log_prior(result.theta)))
    if engine.amplitude_prior is None:
        assert engine.log_likelihood(result.theta) == pytest.approx(result.log_likelihood, abs=1e-6)


def test_sampled_band() -> None:
    """A comb that fills a part of the band: the teeth with signal are found, within the prior's constraint."""
    n, dt = 17402 // 3, math.pi  # twenty round trips
    noise = gaussian_noise(Psd.white(2.0 * dt), n * dt, dt, np.random.default_rng(2))
    spacing, q0 = 1.0 / 870.117, 0.4  # of the published benchmarks: 1 / t_d
    rng = np.random.default_rng(3)
    width = 1.0 / noise.duration
    signal = comb(noise, spacing=spacing, offset_hz=q0 * spacing, width=width, amplitude=1.0, band=(0.03, 0.06), rng=rng)
    amplitude = SNR / optimal_snr(signal)
    engine = EchoSearch(
        inject(noise, signal.with_values(amplitude * signal.values)), amplitude="marginalised", remnant=Remnant(0.69), phase="mode"
    )
    result = scan(engine)
    values = dict(zip(result.names, result.theta.tolist(), strict=True))
    assert result.log_likelihood >= engine.maximise_amplitude([spacing, q0, width, 0.03, 0.06])[1]
    assert abs(values["spacing"] / spacing - 1.0) < 0.01
    assert abs(values["f_min"] - 0.03) < 6.0 * spacing
    assert abs(values["f_max"] - 0.06) < 6.0 * spacing
    assert np.all(np.isfinite(engine.default_priors().log_prior(result.peaks)))
    starts = result.starts(32, np.random.default_rng(4))
    assert np.all(np.isfinite(engine.log_likelihood_many(starts)))
    assert np.all(np.isfinite(engine.default_priors().log_prior(starts)))


def test_two_runs_of_one_comb_are_two_peaks() -> None:
    """Teeth sound below and above a silent stretch: a band over both, and one over either, are modes of one comb.

    The evidence of importance sampling must be that of plain points in the box that its posterior fills.
    """
    n, dt = 17402 // 3, math.pi
    noise = gaussian_noise(Psd.white(2.0 * dt), n * dt, dt, np.random.default_rng(5))
    spacing, width = 1.0 / 870.117, 1.0 / noise.duration
    parts = [
        comb(noise, spacing=spacing, offset_hz=0.4 * spacing, width=width, amplitude=1.0, band=band, rng=np.random.default_rng(6))
        for band in ((0.012, 0.026), (0.050, 0.064))
    ]
    values = parts[0].values + parts[1].values
    signal = parts[0].with_values(values)
    engine = EchoSearch(
        inject(noise, signal.with_values(13.0 / optimal_snr(signal) * values)), amplitude="marginalised", remnant=Remnant(0.69)
    )
    priors = engine.default_priors()
    result = scan(engine, priors=priors)
    at = [result.names.index(name) for name in ("spacing", "f_min", "f_max")]
    same = [row[at] for row in result.peaks if abs(row[at[0]] / result.theta[at[0]] - 1.0) < 1e-3]
    assert len(same) >= 2
    for k, one in enumerate(same):
        assert all(np.max(np.abs(one[1:] - other[1:])) >= 2.0 * spacing for other in same[:k])
    found = importance_sample(result, 1)
    drawn = found.samples[np.random.default_rng(8).choice(len(found.samples), size=20_000, p=found.weights)]
    low, high = np.quantile(drawn, [0.01, 0.99], axis=0)
    inside = float(found.weights[np.all((found.samples >= low) & (found.samples <= high), axis=1)].sum())
    points = np.random.default_rng(7).uniform(low, high, size=(800_000, len(low)))
    density = np.asarray(priors.log_prior(points))
    shares, good = np.zeros(len(points)), np.isfinite(density)
    assert found.log_evidence is not None
    shares[good] = np.exp(engine.log_likelihood_many(points[good]) + density[good] - found.log_evidence) * np.prod(high - low)
    error = shares.std() / math.sqrt(len(points))
    assert error < 0.1
    assert abs(shares.mean() - inside) < 4.0 * math.hypot(error, 0.03)  # .03: more than the sampled evidence's own error


@pytest.mark.parametrize("seed", range(20))
def test_valleys_against_their_definition(seed: int) -> None:
    """Any two neighbours have a barrier between them, and every other place reaches one of them without crossing a barrier."""
    walk = np.cumsum(np.random.default_rng(seed).normal(0.0, 1.5, 60))
    found = _valleys(walk)

    def rise(one: int, other: int) -> float:
        return float(walk[min(one, other) : max(one, other) + 1].max() - max(walk[one], walk[other]))

    assert int(np.argmin(walk)) in found
    assert all(rise(one, other) > 2.0 for one, other in itertools.pairwise(found))
    assert all(min(rise(k, place) for place in found) <= 2.0 for k in range(len(walk)))


def network() -> tuple[EchoSearch, NDArray[np.float64]]:
    """Two detectors, the second turned by 1.0 rad and late by 6.9 ms (GW150914's delay), response 0.8."""
    one = noise_of(4.0, 11)
    two = Spectrum(noise_of(4.0, 12).values, one.psd, 4.0, detector="L1", response=0.8, delay=0.0069)
    signal = comb(one, spacing=5.83, offset_hz=1.26, width=0.5, amplitude=1.0, band=BAND, rng=np.random.default_rng(13))
    amplitude = SNR / math.hypot(optimal_snr(signal), optimal_snr(project(signal, two)))
    signal = signal.with_values(amplitude * signal.values)
    engine = EchoSearch((inject(one, signal), inject(two, project(signal, two, 1.0))), band=BAND, amplitude="marginalised")
    return engine, np.array([5.83, 1.26 / 5.83, 0.5, 1.0])


def test_network() -> None:
    engine, true = network()
    result = scan(engine)
    assert result.log_likelihood >= engine.maximise_amplitude(true)[1]
    assert abs(result.theta[0] - 5.83) < 0.02
    # The phase between detectors is known to about 1/SNR over the square root of two detectors; five of them.
    assert abs(result.theta[3] - 1.0) < 5.0 / SNR * math.sqrt(2.0)
    starts = result.starts(32, np.random.default_rng(4))
    assert starts.shape == (32, 4)
    assert np.all(np.isfinite(engine.default_priors().log_prior(starts)))


@pytest.mark.parametrize("phase", ["mode", "bin"])
def test_exhaustive_scan_against_a_dense_grid(phase: str) -> None:
    """No point of a grid four times as fine as the rule is better, in noise without a comb, where many peaks are nearly alike."""
    engine = EchoSearch(noise_of(2.0, 21), band=(50.0, 110.0), amplitude="marginalised", phase=phase)
    priors = engine.default_priors().replace(spacing=Uniform(4.0, 6.0))
    result = scan(engine, steps=0.5, priors=priors)
    spacing, offset = np.arange(4.0, 6.0, 4.0 / 60.0 / 16.0), np.arange(0.0, 1.0, 1.0 / 96.0)
    width = np.geomspace(0.5, 2.0, 5)
    grid = np.stack(np.meshgrid(spacing, offset, width, indexing="ij"), axis=-1).reshape(-1, 3)
    sampled = EchoSearch(engine.spectra[0], band=engine.band, phase=phase)
    packed = sampled.compiled()
    rows = np.insert(grid, 3, 1.0, axis=1)
    work = np.empty(packed.workspace_size)
    best = np.ascontiguousarray(sums_many(rows, packed.floats, packed.ints, work)[:, 1:2])
    dense = shapes_many(rows, packed.floats, packed.ints, work, best)[:, 0]
    assert result.log_likelihood >= dense.max()
    assert 4.0 <= result.theta[0] <= 6.0


def test_map_and_peaks() -> None:
    engine, _ = injected(4.0, 0.25)
    result = scan(engine)
    assert result.grid.shape == (len(result.spacing), len(result.offset))
    assert np.all(np.isfinite(result.grid))
    assert result.spacing[0] > 1.0
    assert result.spacing[-1] < 10.0
    row, column = np.unravel_index(int(np.argmax(result.grid)), result.grid.shape)
    assert abs(result.spacing[row] / result.theta[0] - 1.0) < 0.02
    assert abs((result.offset[column] - result.theta[1] + 0.5) % 1.0 - 0.5) < 2.0 / len(result.offset)
    assert 0.7 * result.log_likelihood < result.grid.max() <= result.log_likelihood + 0.01
    assert np.all(np.diff(result.log_likelihoods) <= 0.0)
    assert len(np.unique(result.peaks, axis=0)) == len(result.peaks)
    assert result.n_points > 1e5


def test_given_steps_are_kept() -> None:
    engine, _ = injected(4.0, 0.25)
    result = scan(engine, 50, 40, [0.25, 1.0], n_refine=20, n_peaks=3)
    assert result.n_spacing == (50, 50)
    assert result.widths.tolist() == [0.25, 1.0]
    assert len(result.peaks) <= 3
    # Offsets at a spacing are its share of the forty at the largest, 10 Hz.
    spacing = np.geomspace(1.0, 10.0, 50)
    assert result.n_points == 2 * int(np.sum(np.ceil(spacing / 0.25 - 1e-9)))
    assert scan(engine, 50, 40, 3, n_refine=20, n_peaks=3).widths == pytest.approx(np.geomspace(0.25, 2.0, 3))


def test_scans_are_repeatable() -> None:
    engine, _ = injected(4.0, 0.25)
    one, two = scan(engine, steps=2.0), scan(engine, steps=2.0)
    assert np.array_equal(one.peaks, two.peaks)
    assert np.array_equal(one.starts(16, np.random.default_rng(1)), two.starts(16, np.random.default_rng(1)))


def test_is_named_by_the_package() -> None:
    """The function, not the module of its name."""
    assert echo.scan is scan
    assert echo.ScanResult is ScanResult


def test_bad_options() -> None:
    engine, _ = injected(4.0, 0.25)
    with pytest.raises(ConfigError, match="n_spacing must be a positive integer, got 0"):
        scan(engine, n_spacing=0)
    with pytest.raises(ConfigError, match=r"n_offset must be a positive integer, got 2\.5"):
        scan(engine, n_offset=2.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="steps must be a positive finite number"):
        scan(engine, steps=0.0)
    with pytest.raises(ConfigError, match=r"widths must lie in the prior's range, 0\.25 to 2 rad/s, got 0\.5 to 3"):
        scan(engine, widths=[0.5, 3.0])
    with pytest.raises(ConfigError, match="widths must be positive"):
        scan(engine, widths=[-1.0])
    with pytest.raises(ConfigError, match="widths must be a positive number"):
        scan(engine, widths=0)
    with pytest.raises(ConfigError, match="remnant"):
        scan(EchoSearch(engine.spectra[0]))
    with pytest.raises(ConfigError, match="needs a prior for offset"):
        scan(engine, priors=PriorSet([Parameter("spacing", Uniform(1, 10)), Parameter("width", Uniform(1, 2))]))
    with pytest.raises(ConfigError, match="did you mean 'spacing'"):
        scan(engine, priors=PriorSet([Parameter("spacin", Uniform(1, 10))]))
    with pytest.raises(PriorError, match="width must have a positive, finite range, got 0 to 1"):
        scan(engine, priors=engine.default_priors().replace(width=Uniform(0, 1)))
    with pytest.raises(ConfigError, match="n must be an integer above the number of sampled parameters, 3; got 3"):
        scan(engine, steps=2.0).starts(3, np.random.default_rng(1))


def test_fixed_parameters() -> None:
    """A width held fixed: starts have the columns of the priors."""
    engine, true = injected(4.0, 0.25)
    free = engine.default_priors()
    priors = free.replace(width=Fixed(0.25))
    result = scan(engine, priors=priors)
    assert result.theta[2] == 0.25
    assert result.log_likelihood >= engine.maximise_amplitude(true)[1]
    starts = result.starts(16, np.random.default_rng(1))
    assert starts.shape == (16, 2)
    assert np.all(np.isfinite(sciinf.Problem(engine, priors).log_posterior_many(starts)))


# Walkers


def test_starts_are_walkers() -> None:
    """All inside the prior, all different, spanning the space, none far down the peak; Emcee takes them."""
    engine, _ = injected(4.0, 0.25)
    problem = sciinf.Problem(engine, engine.default_priors())
    starts = scan(engine).starts(64, np.random.default_rng(1))
    values = problem.log_posterior_many(starts)
    assert starts.shape == (64, 3)
    assert np.all(np.isfinite(values))
    assert len(np.unique(starts, axis=0)) == 64
    assert np.linalg.matrix_rank(starts - starts.mean(axis=0)) == 3
    assert values.min() > values.max() - 2.0 * 3.0 - 4.0 - 1.0
    settings = sciinf.Emcee(n_walkers=64, n_steps=20, burn=0, thin=1, start=starts)
    posterior = sciinf.sample(problem, settings, seed=1, progress=False)
    assert np.all(np.isfinite(posterior.log_likelihood))


def test_two_peaks_share_the_walkers() -> None:
    """Two equal combs in one set of data, far apart: both get walkers."""
    noise = noise_of(4.0, 31)
    both = noise
    for spacing, offset, seed in ((5.83, 1.26, 1), (7.31, 3.0, 2)):
        signal = comb(noise, spacing=spacing, offset_hz=offset, width=0.5, amplitude=1.0, band=BAND, rng=np.random.default_rng(seed))
        both = inject(both, scale_to_snr(signal, 12.0))
    engine = EchoSearch(both, band=BAND, amplitude="marginalised")
    result = scan(engine)
    found = [spacing for spacing in (5.83, 7.31) if np.any(np.abs(result.peaks[:4, 0] - spacing) < 0.02)]
    assert found == [5.83, 7.31]
    # Walkers go where the posterior is: the better comb by at least what its ln L is ahead, less the widths' share (e^3).
    starts = result.starts(64, np.random.default_rng(1))
    ahead = result.peaks[0, 0]
    assert np.mean(np.abs(starts[:, 0] - ahead) < 0.05) > 0.5


@pytest.mark.slow
def test_emcee_from_the_scan_agrees_with_a_nested_run() -> None:
    """Quantiles within five standard errors. Of the Gaussian's quantiles those at 0.16 and 0.84 have the largest, sqrt(p (1 - p)) over the
    density: 1.52 sigma / sqrt(n). Aliases of tiny weight, far off, rule the standard deviation, so it is not compared."""
    engine, _ = injected(4.0, 0.5, snr=12.0)
    problem = sciinf.Problem(engine, engine.default_priors())
    result = scan(engine)
    chain = sciinf.sample(problem, sciinf.Emcee(n_walkers=64, start=result.starts(64, np.random.default_rng(1))), seed=1, progress=False)
    nested = sciinf.sample(problem, sciinf.Dynesty(n_live=1000), seed=1, progress=False)
    assert chain.status == "ok"
    n = min(chain.ess, nested.ess)
    levels = np.array([0.16, 0.5, 0.84])
    one, other = chain.quantile(levels), nested.quantile(levels)
    sigma = 0.5 * (other[2] - other[0])
    assert np.all(np.abs(one - other) < 5.0 * 1.52 * sigma * math.sqrt(2.0 / n))
    for posterior in (chain, nested):
        assert check_against_scan(posterior, engine, result).status == "ok"


@pytest.mark.slow
def test_whole_band_and_long_segment() -> None:
    """The published band (50 to 339 Hz) at T = 12 s, width 1/T, exhaustive: what the rule's steps find is not bettered by half of them."""
    noise = gaussian_noise(Psd.white(2.0 / 4096.0), 12.0, 1.0 / 4096.0, np.random.default_rng(1))
    signal = comb(noise, spacing=5.83, offset_hz=1.26, width=1 / 12, amplitude=1.0, band=(50, 339), rng=np.random.default_rng(2))
    engine = EchoSearch(inject(noise, scale_to_snr(signal, SNR)), band=(50.0, 339.0), amplitude="marginalised")
    coarse, full = scan(engine), scan(engine, steps=0.5)
    assert coarse.log_likelihood == pytest.approx(full.log_likelihood, abs=0.1)
    assert full.log_likelihood >= engine.maximise_amplitude([5.83, 1.26 / 5.83, 1 / 12])[1]
