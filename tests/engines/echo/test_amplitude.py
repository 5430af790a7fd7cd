"""The amplitude: its one maximum, its integral against quadrature in extended precision, and draws from its conditional density."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, special, stats

import sciinf
from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.engines.echo import EchoSearch, Psd, Spectrum, amplitude_kernels, condensed_kernels
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject
from sciinf.validation.echo_oracle import log_i0, of_engine

DT = 1.0 / 4096.0
TOLERANCE = 1e-9
TRUTH = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.25, "amplitude": 0.077, "band": (50.0, 339.0)}


@dataclass(frozen=True)
class Shape:
    """ln L(A) = sum ln I0(A K) - A^2 E / 2, or A X - A^2 E / 2."""

    k: np.ndarray
    e: float
    x: float | None = None

    def log(self, a: np.ndarray) -> np.ndarray:
        a = np.atleast_1d(a)
        gain = a * self.x if self.x is not None else log_i0(np.outer(a, self.k).ravel()).reshape(len(a), -1).sum(axis=1)
        return np.asarray(gain - 0.5 * a**2 * self.e)

    def exact(self, a: Any) -> Any:
        """With mpmath."""
        gain = a * mp.mpf(self.x) if self.x is not None else mp.fsum(mp.log(mp.besseli(0, a * mp.mpf(float(k)))) for k in self.k)
        return gain - a**2 * mp.mpf(self.e) / 2

    def work(self) -> np.ndarray:
        out = np.full(condensed_kernels.N_KEPT + len(self.k) + condensed_kernels.PADDING, math.nan)
        out[condensed_kernels.E_SUM], out[condensed_kernels.X_SUM] = self.e, 0.0 if self.x is None else self.x
        out[condensed_kernels.N_KEPT : condensed_kernels.N_KEPT + len(self.k)] = self.k
        return out

    def marginal(self, low: float, high: float, log_uniform: bool) -> float:
        kind = 0 if self.x is None else 1
        return float(amplitude_kernels.log_marginal(self.work(), condensed_kernels.N_KEPT, len(self.k), kind, low, high, int(log_uniform)))

    def maximum(self) -> float:
        kind = 0 if self.x is None else 1
        return float(amplitude_kernels.maximum(self.work(), condensed_kernels.N_KEPT, len(self.k), kind, 1e-13))

    def breaks(self, low: float, high: float) -> np.ndarray:
        """Ends of panels: fine about every place where the integrand can live, geometric towards 0."""
        sigma = 1.0 / math.sqrt(self.e)
        peak = min(max(self.maximum(), low), high)
        near, ends = peak + sigma * np.linspace(-20.0, 20.0, 41), sigma * np.geomspace(1e-4, 40.0, 25)
        even = [np.linspace(low, high, 11), np.geomspace(max(low, 1e-9 * high), high, 60)]
        points = np.concatenate([[low, high], *even, near, low + ends, high - ends])
        return np.unique(points[(points >= low) & (points <= high)])

    def reference(self, low: float, high: float, log_uniform: bool) -> float:
        """About 150 Gauss-Legendre panels in float64."""
        nodes, weights = np.polynomial.legendre.leggauss(12)
        ends = self.breaks(low, high)
        half, middle = 0.5 * np.diff(ends), 0.5 * (ends[1:] + ends[:-1])
        a = (middle[:, None] + half[:, None] * nodes).ravel()
        log_weight = np.log((half[:, None] * weights).ravel()) - (np.log(a) if log_uniform else 0.0)
        norm = math.log(math.log(high / low)) if log_uniform else math.log(high - low)
        return float(special.logsumexp(self.log(a) + log_weight) - norm)

    def by_mpmath(self, low: float, high: float, log_uniform: bool) -> float:
        """tanh-sinh panels with 30 digits."""
        with mp.workdps(30):
            top = mp.mpf(float(self.log(self.breaks(low, high)).max()))
            peak = min(max(self.maximum(), low), high)
            sigma = 1.0 / math.sqrt(self.e)
            inner = [low, high, *(peak + sigma * s for s in (-12, -4, -1, 0, 1, 4, 12)), *(low + sigma * s for s in (1e-3, 0.1, 1.0))]
            points = sorted({mp.mpf(float(p)) for p in inner if low <= p <= high})
            weigh = (lambda a: 1 / a) if log_uniform else (lambda _: 1)
            total = mp.quad(lambda a: mp.exp(self.exact(a) - top) * weigh(a), points)
            norm = mp.log(mp.mpf(high) / low) if log_uniform else mp.mpf(high) - low
            return float(top + mp.log(total / norm))


def made(n: int, snr: float, seed: int, *, scale: float = 1.0, whittle: bool = False, equal: bool = False) -> Shape:
    """K_i and E of ``n`` terms with a signal of that SNR at amplitude ``scale``, and Gaussian noise."""
    rng = np.random.default_rng(seed)
    share = np.full(n, 1.0 / n) if equal else rng.dirichlet(np.ones(n))
    rho = snr * np.sqrt(share)
    z = rho**2 + rho * (rng.standard_normal(n) + 1j * rng.standard_normal(n))
    return Shape(np.abs(z) / scale, snr**2 / scale**2, float(z.real.sum()) / scale if whittle else None)


CASES = [
    pytest.param(n, snr, whittle, id=f"{n} terms, SNR {snr:g}{', whittle' if whittle else ''}")
    for n in (1, 49, 300)
    for snr in (0.01, 0.3, 3.0, 16.0, 60.0, 200.0)
    for whittle in ((False, True) if n == 49 else (False,))
    if n < 300 or snr in (0.3, 16.0)
]


def prior_ranges(shape: Shape) -> list[tuple[float, float]]:
    """In units of the true amplitude, 1: wide, published, edges 1e6 apart, the peak below, above and on an edge, a sliver."""
    sigma = 1.0 / math.sqrt(shape.e)
    return [
        (0.01, 10.0),
        (1e-5, 10.0),
        (1e-3, 1e3),
        (1.0 + 3.0 * sigma, 5.0 + 9.0 * sigma),
        (1e-4, 0.5),
        (0.2, 1.0),
        (1.0, 1.0 + 1e-3 * sigma),
        (20.0 + 30.0 * sigma, 60.0 + 90.0 * sigma),
        (1e-6, 1e-3),
    ]


@pytest.mark.parametrize(("n", "snr", "whittle"), CASES)
def test_marginalised_amplitude(n: int, snr: float, whittle: bool) -> None:
    for seed in range(2):
        shape = made(n, snr, seed, whittle=whittle)
        for low, high in prior_ranges(shape):
            for log_uniform in (False, True):
                expected = shape.reference(low, high, log_uniform)
                assert abs(shape.marginal(low, high, log_uniform) - expected) < TOLERANCE * max(1.0, abs(expected) * 1e-3), (
                    low,
                    high,
                    seed,
                )
        expected = shape.reference(0.0, 10.0, False)
        assert abs(shape.marginal(0.0, 10.0, False) - expected) < TOLERANCE


@pytest.mark.parametrize("n", [1, 10, 100])
@pytest.mark.parametrize("snr", [0.0, 2.0])
def test_a_prior_far_above_the_peak(n: int, snr: float) -> None:
    """Noise alone, and a weak comb: L falls over the whole prior, from 0.6 to 500 widths above 0, narrow and wide."""
    rng = np.random.default_rng(n)
    z = snr / math.sqrt(n) + rng.standard_normal(n) + 1j * rng.standard_normal(n)
    shape = Shape(np.abs(z) / math.sqrt(n), 1.0)
    for low in (0.6, 4.0, 8.0, 12.0, 500.0):
        for ratio in (1.02, 13.0 / 7.0, 5.0, 150.0):
            found, expected = shape.marginal(low, ratio * low, False), shape.reference(low, ratio * low, False)
            assert abs(found - expected) < 1e-10 + 1e-14 * abs(expected), (low, ratio)


def test_where_l_falls_no_panels_are_needed() -> None:
    """The prior of the calibration's control, U(0.07, 0.13) s at T = 4 s, is 8 to 15 in units of 1/sqrt(E) (SNR 8 to 15)."""
    done = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shape = Shape(np.abs(rng.standard_normal(10) + 1j * rng.standard_normal(10)) / math.sqrt(10.0), 1.0)
        work = shape.work()
        condensed_kernels.measure(work, condensed_kernels.N_KEPT, 10)
        value = amplitude_kernels._by_fall(work, condensed_kernels.N_KEPT, 10, 8.0, 15.0)
        done += math.isfinite(value)
        assert math.isnan(value) or seed >= 5 or abs(value - shape.reference(8.0, 15.0, False)) < 1e-10
        loud = Shape(shape.k + 12.0 / math.sqrt(10.0), 1.0).work()
        condensed_kernels.measure(loud, condensed_kernels.N_KEPT, 10)
        assert math.isnan(amplitude_kernels._by_fall(loud, condensed_kernels.N_KEPT, 10, 8.0, 15.0))  # it rises there
    assert done >= 98


EXTENDED = [(1, 0.01), (1, 3.0), (1, 200.0), (3, 0.5), (3, 16.0), (3, 200.0)]


@pytest.mark.parametrize(("n", "snr"), EXTENDED)
@pytest.mark.parametrize("log_uniform", [False, True])
def test_marginalised_amplitude_in_extended_precision(n: int, snr: float, log_uniform: bool) -> None:
    """The quadrature of the other tests, and the kernel, against 30 digits."""
    shape = made(n, snr, 5)
    ranges = prior_ranges(shape)
    for low, high in (ranges[0], ranges[2], ranges[4]):
        expected = shape.by_mpmath(low, high, log_uniform)
        assert abs(shape.reference(low, high, log_uniform) - expected) < 1e-10
        assert abs(shape.marginal(low, high, log_uniform) - expected) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(("n", "snr"), [(49, 0.01), (49, 3.0), (49, 16.0), (49, 200.0)])
def test_marginalised_amplitude_of_a_whole_comb_in_extended_precision(n: int, snr: float) -> None:
    shape = made(n, snr, 6, equal=True)
    for log_uniform in (False, True):
        expected = shape.by_mpmath(0.01, 10.0, log_uniform)
        assert abs(shape.marginal(0.01, 10.0, log_uniform) - expected) < TOLERANCE


def test_the_truncated_gaussian_of_whittle() -> None:
    """ln of the mean over U(low, high) of exp(A X - A^2 E / 2), by the error function."""
    for x, e, low, high in ((30.0, 9.0, 0.1, 20.0), (-30.0, 9.0, 0.1, 20.0), (4.0, 100.0, 0.0, 3.0), (900.0, 9.0, 0.0, 10.0)):
        mean, sigma = x / e, 1.0 / math.sqrt(e)
        mass = special.log_ndtr((high - mean) / sigma), special.log_ndtr((low - mean) / sigma)
        if mean < low:
            mass = special.log_ndtr((mean - low) / sigma), special.log_ndtr((mean - high) / sigma)
        log_mass = mass[0] + math.log1p(-math.exp(mass[1] - mass[0]))
        expected = 0.5 * x * x / e + math.log(sigma * math.sqrt(2.0 * math.pi)) + log_mass - math.log(high - low)
        assert abs(Shape(np.empty(0), e, x).marginal(low, high, False) - expected) < TOLERANCE


def test_the_unit_of_the_amplitude() -> None:
    """Strain of 1e-23: nothing depends on the scale."""
    for snr in (0.3, 12.0):
        here, tiny = made(49, snr, 7), made(49, snr, 7, scale=1e-23)
        for log_uniform in (False, True):
            values = here.marginal(0.01, 10.0, log_uniform), tiny.marginal(1e-25, 1e-22, log_uniform)
            assert abs(values[0] - values[1]) < 1e-10


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
@pytest.mark.parametrize("amplitude", [Uniform(7e-4, 0.7), LogUniform(1e-5, 10.0), Uniform(0.2, 0.3)])
def test_the_unit_of_the_strain(phase: Any, amplitude: Any) -> None:
    """Data x 1e-21, PSD x 1e-42, the prior of the amplitude x 1e-21: the same ln L as in unit noise."""
    unit = 1e-21
    spectrum = data()
    strain = replace(spectrum, values=spectrum.values * unit, psd=spectrum.psd * unit**2)
    scaled = type(amplitude)(amplitude.low * unit, amplitude.high * unit)
    options: dict[str, Any] = {"phase": phase, "band": (50.0, 339.0), "offset_unit": "Hz"}
    here, there = EchoSearch(spectrum, amplitude=amplitude, **options), EchoSearch(strain, amplitude=scaled, **options)
    rng = np.random.default_rng(10)
    off = np.column_stack([rng.uniform(1.0, 10.0, 30), rng.uniform(0.0, 5.0, 30), np.exp(rng.uniform(-4.0, 0.7, 30))])
    thetas = np.vstack([[5.83, 1.26, 0.25], [5.831, 1.26, 0.3], off])
    values = here.log_likelihood_many(thetas)
    assert phase == "whittle" or amplitude.low == 0.2 or values[0] > 5.0
    assert np.allclose(there.log_likelihood_many(thetas), values, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [1, 49])
def test_signals_beyond_all_measure(n: int) -> None:
    """A peak many prior widths, or steps, away: finite, and in no time; ln L there is good to its own last bits only."""
    for loud in (1e3, 1e5, 1e20, 1e80):
        shape = Shape(loud * made(n, 3.0, 4).k, 9.0)
        for low, high in ((0.0, 10.0), (3.0, 4.0), (1e-5, 1e12)):
            for log_uniform in (False, True) if low > 0.0 else (False,):
                value, best = shape.marginal(low, high, log_uniform), min(shape.maximum(), high)
                work = shape.work()
                work[condensed_kernels.LIMIT] = -1.0
                top = amplitude_kernels.log_shape(work, condensed_kernels.N_KEPT, n, 0, best)
                assert top - 100.0 - 1e-9 * abs(top) < value < top + 1e-9 * abs(top)


@pytest.mark.parametrize("n", [1, 49, 300])
@pytest.mark.parametrize("low", [0.0, 1e-3, 0.45, 0.55, 3.0])
@pytest.mark.parametrize("log_uniform", [False, True])
def test_wherever_the_top_is(n: int, low: float, log_uniform: bool) -> None:
    """From the top at 0 to beyond the tabulated multiples, with the prior's lower end at ``low`` / sqrt(E)."""
    if log_uniform and low == 0.0:
        return
    for snr in (0.1, 2.0, 5.0, 8.0, 12.0, 25.0, 36.0, 45.0, 110.0):
        shape = made(n, snr, 12, equal=n < 300)
        sigma = 1.0 / math.sqrt(shape.e)
        expected = shape.reference(low * sigma, 3.0 + 30.0 * sigma, log_uniform)
        assert abs(shape.marginal(low * sigma, 3.0 + 30.0 * sigma, log_uniform) - expected) < 2e-10


@pytest.mark.parametrize("n", [1, 10, 49, 300])
@pytest.mark.parametrize("low", [0.0, 1e-3, 0.45, 0.55, 5.0, 11.0])
def test_wherever_the_prior_ends(n: int, low: float) -> None:
    """Both ends from far below the top to far above it, and about where one rule no longer does: 26.5 / sqrt(E), or ln L of 350."""
    for snr in (0.1, 1.0, 3.0, 8.0, 15.0, 24.0, 40.0):
        shape = made(n, snr, 13, equal=n < 300)
        sigma = 1.0 / math.sqrt(shape.e)
        for high in (0.6, 1.2, 3.0, 7.0, 12.0, 18.0, 22.0, 26.0, 26.4, 26.6, 35.0):
            if high <= low:
                continue
            expected = shape.reference(low * sigma, high * sigma, False)
            assert abs(shape.marginal(low * sigma, high * sigma, False) - expected) < 2e-10 * max(1.0, abs(expected) * 1e-2), (snr, high)


def test_one_rule_up_to_its_limits() -> None:
    """Every K alike, so that ln L grows as steeply as it can: up to, and past, ln L and b^2 E / 2 of 350 at the prior's end b."""
    k = np.full(12, 2.0)
    for e in (0.5, 20.0, 60.0):
        shape = Shape(k, e)
        for high in np.linspace(0.5, 31.0, 60):
            expected = shape.reference(0.0, float(high), False)
            assert abs(shape.marginal(0.0, float(high), False) - expected) < 2e-10 * max(1.0, abs(expected) * 1e-2), (e, high)


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
@pytest.mark.parametrize("amplitude", [Uniform(7e-4, 0.7), LogUniform(1e-5, 10.0), Uniform(0.0, 10.0), Uniform(0.2, 0.3)])
def test_the_engine_s_marginal_is_that_of_its_plain_likelihood(phase: Any, amplitude: Any) -> None:
    """Against the oracle's sums, so that the whole way from data to integral is covered."""
    engine = EchoSearch(data(4.0), phase=phase, amplitude=amplitude, band=(50.0, 339.0), offset_unit="Hz")
    rng = np.random.default_rng(8)
    thetas = [np.array([5.83, 1.26, 0.25])]
    thetas += [np.array([rng.uniform(1, 10), rng.uniform(0, 5), np.exp(rng.uniform(np.log(0.02), np.log(2.0)))]) for _ in range(6)]
    for theta in thetas:
        k, e = of_engine(engine, dict(zip(engine.parameters, theta.tolist(), strict=True))).coefficients(phase)
        shape = Shape(k, e, float(k[0]) if phase == "whittle" else None)
        expected = shape.reference(amplitude.low, amplitude.high, isinstance(amplitude, LogUniform))
        assert abs(engine.log_likelihood(theta) - expected) < TOLERANCE * max(1.0, abs(expected))


def data(duration: float = 4.0, seed: int = 1, amplitude: float = 0.077) -> Spectrum:
    rng = np.random.default_rng(seed)
    noise = gaussian_noise(Psd.white(2.0 * DT), duration, DT, rng)
    return inject(noise, comb(noise, **(TRUTH | {"amplitude": amplitude}), rng=rng))


@pytest.mark.parametrize("snr", [0.1, 0.7, 1.5, 3.0, 10.0, 100.0])
def test_one_interior_maximum_at_most(snr: float) -> None:
    """There is one iff sum K^2 > 2 E; it is where Newton ends, and the slope changes sign nowhere else."""
    kinds = set()
    for seed in range(20):
        shape = made(12, snr, seed)
        a = np.linspace(0.0, 8.0 + 8.0 / snr, 20_001)
        x = np.outer(a, shape.k)
        slope = (shape.k * special.ive(1, x) / special.ive(0, x)).sum(axis=1) - a * shape.e
        changes = np.flatnonzero(np.diff(np.sign(slope[1:])) != 0.0)
        interior = bool((shape.k**2).sum() > 2.0 * shape.e)
        kinds.add(interior)
        assert len(changes) == int(interior)
        best = shape.maximum()
        if interior:
            assert abs(best - a[1:][changes[0]]) <= 1.01 * a[1]
            x = best * shape.k
            residual = (shape.k * special.ive(1, x) / special.ive(0, x)).sum() - best * shape.e
            assert abs(residual) < 1e-11 * best * shape.e + 1e-13 * shape.k.sum()
        else:
            assert best == 0.0
    if snr < 1.0:
        assert kinds == {True, False}


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_maximise_amplitude(phase: Any) -> None:
    engine = EchoSearch(data(), phase=phase, band=(50.0, 339.0), offset_unit="Hz")
    theta = np.array([5.83, 1.26, 0.25, 123.0])  # its own amplitude is not read
    best, value = engine.maximise_amplitude(theta)
    assert abs(value - engine.log_likelihood(np.array([5.83, 1.26, 0.25, best]))) < 1e-11 * max(1.0, value)
    for factor in (0.99, 1.01):
        assert engine.log_likelihood(np.array([5.83, 1.26, 0.25, best * factor])) < value or best == 0.0
    marginal = replace(engine, amplitude="marginalised")
    again, same = marginal.maximise_amplitude(theta[:3])
    assert abs(again / best - 1.0 if best else again) < 1e-11
    assert abs(same - value) < 1e-11 * max(1.0, value)
    empty = EchoSearch(data(), phase=phase, offset_unit="Hz")
    assert empty.maximise_amplitude(np.array([90.0, 45.0, 0.25, 1.0, 60.0, 70.0])) == (0.0, 0.0)
    with pytest.raises(LikelihoodError, match="width=-1"):
        engine.maximise_amplitude(np.array([5.83, 1.26, -1.0, 0.1]))


def conditional_cdf(shape: Shape, low: float, high: float, log_uniform: bool) -> Any:
    """The conditional cumulative density of A, interpolated on many panels."""
    points = shape.breaks(low, high)
    points = np.unique(np.concatenate([points[:-1] + f * np.diff(points) for f in np.arange(0.0, 1.0, 0.05)] + [points[-1:]]))
    log_density = shape.log(points) - (np.log(points) if log_uniform else 0.0)
    mass = integrate.cumulative_simpson(np.exp(log_density - log_density.max()), x=points, initial=0.0)
    return lambda a: np.interp(a, points, mass / mass[-1])


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
@pytest.mark.parametrize("amplitude", [Uniform(7e-4, 0.7), LogUniform(1e-6, 1.0), Uniform(0.2, 0.3)])
@pytest.mark.parametrize("injected", [0.077, 0.0])
def test_draws_follow_the_conditional_density(phase: Any, amplitude: Any, injected: float) -> None:
    engine = EchoSearch(data(amplitude=injected), phase=phase, amplitude=amplitude, band=(50.0, 339.0), offset_unit="Hz")
    theta = np.array([5.83, 1.26, 0.25])
    posterior = repeated(engine, theta, 1000)
    full = engine.draw_amplitude(posterior, np.random.default_rng(9))
    drawn = full.column("amplitude")
    assert (drawn >= amplitude.low).all()
    assert (drawn <= amplitude.high).all()
    k, e = of_engine(engine, {"spacing": 5.83, "offset": 1.26, "width": 0.25}).coefficients(phase)
    shape = Shape(k, e, float(k[0]) if phase == "whittle" else None)
    cdf = conditional_cdf(shape, amplitude.low, amplitude.high, isinstance(amplitude, LogUniform))
    assert stats.kstest(drawn, cdf).pvalue > 1e-4  # one in ten thousand, at 18 seeds that are fixed
    sampled = replace(engine, amplitude="sampled")
    assert full.names == sampled.parameters == ("spacing", "offset", "width", "amplitude")
    assert np.allclose(full.log_likelihood, sampled.log_likelihood_many(full.samples), rtol=0.0, atol=1e-10)
    assert np.array_equal(full.log_prior, posterior.log_prior + amplitude.logpdf(drawn))
    assert np.array_equal(full.weights, posterior.weights)
    snr = full.derived[:, full.derived_names.index("snr")]
    assert np.allclose(snr, drawn * math.sqrt(e), rtol=1e-10)


def repeated(engine: EchoSearch, theta: np.ndarray, n: int) -> Any:
    """A posterior that is one point many times over."""
    zeros = np.zeros(n)
    return sciinf.Posterior(np.repeat(theta[None, :], n, axis=0), zeros, zeros, zeros, engine.parameters)


def test_draws_are_refused_where_there_is_nothing_to_draw() -> None:
    engine = EchoSearch(data(), amplitude="marginalised", band=(50.0, 339.0))
    sampled = replace(engine, amplitude="sampled")
    with pytest.raises(ConfigError, match="this engine samples it"):
        sampled.draw_amplitude(repeated(engine, np.array([5.0, 0.5, 1.0]), 2), np.random.default_rng(1))
    with pytest.raises(ConfigError, match=r"the posterior's parameters are \('spacing', 'offset', 'width', 'amplitude'\)"):
        engine.draw_amplitude(repeated(sampled, np.array([5.0, 0.5, 1.0, 0.1]), 2), np.random.default_rng(1))
    with pytest.raises(LikelihoodError, match="sample 0 of the posterior is outside the domain"):
        engine.draw_amplitude(repeated(engine, np.array([5.0, 0.5, -1.0]), 2), np.random.default_rng(1))


def narrow_priors(*extra: Parameter) -> PriorSet:
    return PriorSet([
        Parameter("spacing", Uniform(5.81, 5.85)), Parameter("offset", Uniform(0.5, 2.0)), Parameter("width", LogUniform(0.25, 2.0)),
        *extra,
    ])  # fmt: skip


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_marginalised_and_drawn_equals_sampled(phase: Any) -> None:
    """Evidence within the errors, mean and spread of every parameter within 4 of theirs."""
    rng = np.random.default_rng(30)
    noise = gaussian_noise(Psd.white(2.0 * DT), 4.0, DT, rng)
    truth = TRUTH | {"amplitude": 0.15, "band": (50.0, 110.0)}
    spectrum = inject(noise, comb(noise, **truth, phase=phase, rng=None if phase == "whittle" else rng))
    prior = Uniform(0.003, 0.5)
    marginal = EchoSearch(spectrum, phase=phase, amplitude=prior, band=(50.0, 110.0), offset_unit="Hz")
    sampled = replace(marginal, amplitude="sampled")
    settings = sciinf.Dynesty(n_live=400)
    one = sciinf.sample(sciinf.Problem(marginal, narrow_priors()), settings, seed=1, progress=False)
    other = sciinf.sample(sciinf.Problem(sampled, narrow_priors(Parameter("amplitude", prior))), settings, seed=2, progress=False)
    full = marginal.draw_amplitude(one, np.random.default_rng(3))
    assert full.names == other.names
    assert abs(one.log_evidence - other.log_evidence) < 4.0 * math.hypot(one.log_evidence_error, other.log_evidence_error)
    error = np.hypot(full.std() / math.sqrt(full.ess), other.std() / math.sqrt(other.ess))
    assert (np.abs(full.mean() - other.mean()) < 4.0 * error).all()
    assert (np.abs(np.log(full.std() / other.std())) < 4.0 * np.sqrt(1.0 / full.ess + 1.0 / other.ess)).all()
