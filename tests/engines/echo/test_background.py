"""Off-source segments, slides, p-values and limits: counts, coverage of the intervals, and refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.engines.echo import background as bg
from sciinf.results.posterior import Posterior

GPS, MERGER = 1126259446.0, 1126259462.44
RATE = 4096


@dataclass(frozen=True)
class Strain:
    """The attributes that segments are cut by; values of no matter."""

    values: np.ndarray = field(default_factory=lambda: np.zeros(32 * RATE))
    sample_interval: float = 1.0 / RATE
    start_time: float = GPS
    detector: str = "H1"


def seconds(length: float, rate: int = RATE) -> Strain:
    return Strain(np.zeros(round(length * rate)), 1.0 / rate)


@pytest.mark.parametrize(("duration", "count", "pairs"), [(2.0, 11, 110), (4.0, 3, 6), (1.0, 27, 702), (5.15625, 2, 2)])
def test_counts_for_gw150914(duration: float, count: int, pairs: int) -> None:
    segments = bg.off_source_segments(Strain(), MERGER, duration)
    assert (len(segments), len(segments.pairs()), len(bg.slide_pairs(segments))) == (count, pairs, pairs)
    assert segments.disjoint
    assert segments.detector == "H1"


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1000, 4096),
    st.floats(-5.0, 37.0),
    st.floats(0.0, 5.0),
    st.one_of(st.just(0.0), st.floats(0.0, 0.9)),
    st.sampled_from([256, 1000, 4096]),
)
def test_every_segment_has_its_window_and_keeps_clear(length: int, event: float, guard: float, overlap: float, rate: int) -> None:
    strain, duration = seconds(32, rate), length / rate
    try:
        segments = bg.off_source_segments(strain, GPS + event, duration, guard, overlap)
    except DataError:
        return
    starts, tick = segments.starts - GPS, 1.1e-3 / rate
    assert np.all(starts - duration >= -tick)
    assert np.all(starts + 2 * duration <= 32 + tick)
    assert np.all((starts + duration <= event - guard + tick) | (starts >= event + max(guard, duration) - tick))
    assert starts * rate == pytest.approx(np.round(starts * rate), abs=1e-3)
    if overlap == 0.0:
        assert np.all(np.diff(starts) >= duration - tick)
        assert len(segments.pairs()) == len(starts) * (len(starts) - 1)
    for i, k in segments.pairs()[:50]:
        assert abs(starts[i] - starts[k]) >= duration - tick


def test_overlapping_segments_are_flagged_and_never_paired_with_shared_time() -> None:
    plain, half = (bg.off_source_segments(Strain(), MERGER, 2.0, overlap=overlap) for overlap in (0.0, 0.5))
    assert (plain.block, half.block, half.disjoint) == (1, 2, False)
    assert len(half) == 12 + 10
    pairs = half.pairs()
    assert np.abs(half.starts[pairs[:, 0]] - half.starts[pairs[:, 1]]).min() == pytest.approx(2.0)
    assert len(pairs) < len(half) * (len(half) - 1)
    assert not np.any(half.starts.flags.writeable)


def test_a_file_without_the_event_is_cut_whole() -> None:
    assert len(bg.off_source_segments(Strain(), GPS - 100.0, 10.5, guard=0.0, overlap=0.99)) >= 2
    assert bg.off_source_segments(Strain(), GPS + 500.0, 4.0).starts[-1] == GPS + 24.0


def test_too_few_segments_say_how_long_two_may_be() -> None:
    with pytest.raises(
        DataError, match=r"H1: 1 off-source segment\(s\) of 6 s.*two of up to 5.18\d* s do.*smallest p reachable 1/\(N\+1\) = 1"
    ):
        bg.off_source_segments(Strain(), MERGER, 6.0)
    assert len(bg.off_source_segments(Strain(), MERGER, math.floor(5.186 * RATE) / RATE)) == 2
    with pytest.raises(DataError, match="none does at any duration"):
        bg.off_source_segments(seconds(0.001), GPS, 1.0 / RATE, guard=20.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((MERGER, 2.0, -1.0), ConfigError, "guard must be at least 0 s and finite, got -1"),
        ((MERGER, 2.0, 1.0, 1.0), ConfigError, r"overlap must lie in \[0, 1\)"),
        ((MERGER, 2.0001), DataError, "got 2.0001 s, the nearest is 2 s"),
        ((MERGER, math.nan), DataError, "got nan s"),
        ((MERGER, 0.0), DataError, "got 0.0 s"),
        ((math.inf, 2.0), DataError, "on_start must be a GPS time in s, got inf"),
    ],
)
def test_refused_arguments_of_segments(arguments: tuple[float, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bg.off_source_segments(Strain(), *arguments)


# slides


@dataclass(frozen=True)
class Spectrum:
    """A segment's data, as far as slides look at it."""

    detector: str
    index: int


@dataclass(frozen=True)
class Engine:
    """A network of two with a frozen prior, and data that say where they come from."""

    detectors: tuple[str, ...] = ("H1", "L1")
    data: tuple[Spectrum, ...] = ()
    frozen: float = 0.03
    parameters = ("spacing",)

    def log_likelihood(self, theta: np.ndarray) -> float:
        return -float(theta[0]) * self.data[0].index + self.data[1].index

    def log_likelihood_many(self, thetas: np.ndarray) -> np.ndarray:
        return np.array([self.log_likelihood(theta) for theta in thetas])

    def fingerprint(self) -> str:
        return f"{self.data}{self.frozen}"

    def default_priors(self) -> PriorSet:
        return PriorSet([Parameter("spacing", Uniform(1.0, 10.0))])

    def with_data(self, data: tuple[Spectrum, ...]) -> Engine:
        return Engine(self.detectors, data, self.frozen)


def group(detector: str, n: int) -> list[Spectrum]:
    return [Spectrum(detector, i) for i in range(n)]


def test_slides_are_every_ordered_pair_of_different_times() -> None:
    engine = Engine()
    problems = bg.time_slides(engine, engine.default_priors(), group("H1", 11), group("L1", 11))
    found = [(p.engine.data[0].index, p.engine.data[1].index) for p in problems]  # type: ignore[attr-defined]
    assert found == [(i, k) for i in range(11) for k in range(11) if i != k]
    assert len({p.fingerprint() for p in problems}) == 110
    assert {p.engine.frozen for p in problems} == {0.03}  # type: ignore[attr-defined]
    assert problems[0].name == "slide 0-1"
    assert problems[0].log_likelihood(np.array([2.0])) == 1.0


def test_a_subset_is_seeded_and_grows() -> None:
    pairs = bg.slide_pairs(11, n=20, seed=4)
    assert np.array_equal(bg.slide_pairs(11, n=50, seed=4)[:20], pairs)
    assert not np.array_equal(bg.slide_pairs(11, n=20, seed=5), pairs)
    assert len(np.unique(pairs, axis=0)) == 20
    engine = Engine()
    problems = bg.time_slides(engine, engine.default_priors(), group("H1", 11), group("L1", 11), n=20, seed=4)
    assert [p.name for p in problems] == [f"slide {i}-{k}" for i, k in pairs]
    given = bg.time_slides(engine, engine.default_priors(), group("H1", 11), group("L1", 11), pairs=pairs)
    assert [p.fingerprint() for p in given] == [p.fingerprint() for p in problems]
    assert sorted(map(tuple, bg.slide_pairs(3, n=6, seed=1).tolist())) == sorted(map(tuple, bg.slide_pairs(3).tolist()))


SLIDE_ERRORS = [
    ({"engine": Engine(("H1",))}, ConfigError, r"2 detectors, got 1 \(H1\)"),
    ({"segments_2": group("L1", 3)}, DataError, "got 4 of H1 and 3 of L1"),
    ({"segments_1": group("V1", 4)}, DataError, "segment 0 is of detector 'V1', expected 'H1'"),
    ({"segments_1": group("H1", 1), "segments_2": group("L1", 1)}, DataError, r"at least 2 .* got 1: N = 0, smallest p reachable"),
    ({"n": 3}, ConfigError, "n and seed belong together"),
    ({"seed": 3}, ConfigError, "n and seed belong together"),
    ({"n": 13, "seed": 3}, ConfigError, "from 1 to 12, the pairs of 4 segments, got 13"),
    ({"n": 1, "seed": 1, "pairs": [[0, 1]]}, ConfigError, "either pairs, or n and seed"),
    ({"pairs": [[0, 4]]}, DataError, "pairs of the 4 segments, got 1 up to 4"),
    ({"pairs": [[2, 2]]}, DataError, r"i != k of segments, got \(2, 2\)"),
    ({"pairs": [[0.5, 2]]}, DataError, "whole numbers"),
]


@pytest.mark.parametrize(("changes", "error", "message"), SLIDE_ERRORS)
def test_refused_slides(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    engine = changes.get("engine", Engine())
    arguments = {"engine": engine, "priors": engine.default_priors(), "segments_1": group("H1", 4), "segments_2": group("L1", 4)}
    with pytest.raises(error, match=message):
        bg.time_slides(**(arguments | changes))


# p-values


def test_a_p_value_with_its_interval() -> None:
    background = np.arange(110.0)
    result = bg.p_value(100.0, background)
    assert (result.k, result.n, result.p, result.p_plus_one, result.smallest) == (10, 110, 10 / 110, 11 / 111, 1 / 111)
    expected = stats.binomtest(10, 110).proportion_ci(0.95, method="exact")
    assert result.interval == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert bg.p_value(0.0, background).interval == pytest.approx((0.025 ** (1 / 110), 1.0))
    assert bg.p_value(1e9, background).interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 110)))
    assert bg.p_value(1.0, background, overlapping=True).interval is None
    text = result.sentence(segments=11, block=(0.01, 0.3))
    assert "smallest reachable 1/111 = 0.00901" in text
    assert "smallest reachable 1/7 = 0.143" in bg.p_value(0.0, [-1.0] * 6).sentence()
    for part in ("p = 10/110", "0.0991", "if the N = 110 values were independent", "pairs of 11 segments", "0.01 to 0.3"):
        assert part in text


@pytest.mark.parametrize("k", [0, 1, 5, 20])
def test_clopper_pearson_has_its_tails(k: int) -> None:
    low, high = bg.clopper_pearson(k, 20, 0.9)
    assert stats.binom.sf(k - 1, 20, low) == pytest.approx(0.05 if k else 1.0)
    assert stats.binom.cdf(k, 20, high) == pytest.approx(0.05 if k < 20 else 1.0)


def shared(rng: np.random.Generator, n: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of all slides, of unit variance, a share ``strength`` of it from the two segments."""
    pairs = bg.slide_pairs(n)
    first, second, own = rng.normal(size=n), rng.normal(size=n), rng.normal(size=len(pairs))
    values = math.sqrt(strength / 2) * (first[pairs[:, 0]] + second[pairs[:, 1]]) + math.sqrt(1 - strength) * own
    return values, pairs


@pytest.mark.parametrize("threshold", [0.0, 1.2816, 2.3263])
def test_the_block_interval_covers_where_slides_share_data(threshold: float) -> None:
    """95 % intervals over 150 backgrounds of 11 segments: at least 88 % cover the true p; Clopper and Pearson's do not."""
    rng, truth = np.random.default_rng(11), float(stats.norm.sf(threshold))
    covered, naive = 0, 0
    for seed in range(150):
        values, pairs = shared(rng, 11, 0.8)
        low, high = bg.block_interval(threshold, values, pairs, seed=seed)
        covered += low <= truth <= high
        interval = bg.p_value(threshold, values).interval
        assert interval is not None
        naive += interval[0] <= truth <= interval[1]
    assert covered >= 0.88 * 150
    if threshold < 2.0:
        assert naive < 0.8 * 150


def test_the_block_interval_of_independent_slides_is_not_much_wider() -> None:
    rng = np.random.default_rng(12)
    ratios = []
    for seed in range(20):
        values, pairs = shared(rng, 25, 0.0)
        low, high = bg.block_interval(0.0, values, pairs, seed=seed)
        interval = bg.p_value(0.0, values).interval
        assert interval is not None
        ratios.append((high - low) / (interval[1] - interval[0]))
    assert 1.0 <= np.median(ratios) < 2.0


def test_the_block_interval_at_the_ends_counts_segments() -> None:
    values, pairs = shared(np.random.default_rng(13), 11, 0.5)
    assert bg.block_interval(1e9, values, pairs) == pytest.approx((0.0, 1 - 0.025 ** (1 / 11)))
    assert bg.block_interval(-1e9, values, pairs) == pytest.approx((0.025 ** (1 / 11), 1.0))
    assert bg.block_interval(1e9, values, pairs, block=2)[1] == pytest.approx(1 - 0.025 ** (2 / 11))
    assert bg.block_interval(0.5, values, pairs, seed=3) == bg.block_interval(0.5, values, pairs, seed=3)
    narrow, wide = (bg.block_interval(0.5, values, pairs, level) for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_longer_blocks_see_neighbours_that_share_strain() -> None:
    """Segments that are the same three by three: drawn alone they look like three times as many as they are."""
    rng = np.random.default_rng(14)
    widths = []
    for seed in range(10):
        first, second = np.repeat(rng.normal(size=8), 3), np.repeat(rng.normal(size=8), 3)
        pairs = bg.slide_pairs(24)
        values = first[pairs[:, 0]] + second[pairs[:, 1]]
        for block in (1, 3):
            low, high = bg.block_interval(0.0, values, pairs, seed=seed, block=block)
            widths.append(high - low)
    assert np.mean(widths[1::2]) > 1.25 * np.mean(widths[::2])


P_ERRORS = [
    (lambda: bg.p_value(0.0, []), DataError, r"N = 0 values, smallest p reachable 1/\(N\+1\) = 1"),
    (lambda: bg.p_value(math.nan, [1.0]), DataError, "on-source ln B"),
    (lambda: bg.p_value(0.0, [1.0, math.nan]), DataError, r"background\[1\] = nan"),
    (lambda: bg.p_value(0.0, [1.0], level=1.0), ConfigError, "level must lie between 0 and 1, got 1.0"),
    (lambda: bg.block_interval(0.0, [1.0], [[0, 1], [1, 0]]), DataError, "got 2 pairs and 1 values"),
    (lambda: bg.block_interval(0.0, [1.0], [[0, 0]]), DataError, "data of one time are no background"),
    (lambda: bg.block_interval(0.0, [1.0, 2.0], [[0, 1], [1, 0]], block=3), ConfigError, "block must be a whole number from 1 to 2"),
    (lambda: bg.sensitivity_limit([], [], 0.0), DataError, "got 0 SNRs: inject first"),
    (lambda: bg.sensitivity_limit([1.0, 2.0], [1.0], 0.0), DataError, "got 2 SNRs from 1 and 1 ln B"),
    (lambda: bg.sensitivity_limit([-1.0], [1.0], 0.0), DataError, "got 1 SNRs from -1"),
    (lambda: bg.sensitivity_limit([1.0], [1.0], 0.0, level=0.0), ConfigError, "level must lie between 0 and 1"),
]


@pytest.mark.parametrize(("make", "error", "message"), P_ERRORS)
def test_refused_p_values_and_limits(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# limits


def run_of(rng: np.random.Generator, n: int, weighted: bool) -> Posterior:
    """Rayleigh amplitudes, drawn directly or from a wider Rayleigh with weights."""
    scale = 1.5 if weighted else 1.0
    amplitude, width = rng.rayleigh(scale, n), rng.uniform(0.2, 0.4, n)
    log_weights = -0.5 * amplitude**2 * (1 - 1 / scale**2)
    samples, zeros = np.column_stack([amplitude, width]), np.zeros(n)
    return Posterior(samples, log_weights, zeros, zeros, ("amplitude", "width"), derived=8.0 * amplitude[:, None], derived_names=("snr",))


@pytest.mark.parametrize("weighted", [False, True])
def test_upper_limit_and_its_error(weighted: bool) -> None:
    """Over 200 runs: the mean is the exact quantile, and the stated error is the scatter."""
    rng = np.random.default_rng(15)
    limits = [bg.upper_limit(run_of(rng, 2000, weighted), "amplitude") for _ in range(200)]
    values, errors = (np.array([getattr(limit, name) for limit in limits]) for name in ("value", "error"))
    truth = math.sqrt(-2.0 * math.log(0.1))
    assert abs(values.mean() - truth) < 5 * values.std() / math.sqrt(200) + 2e-3
    ratio = values.std(ddof=1) / errors.mean()
    assert abs(ratio - 1.0) < 5 / math.sqrt(2 * 200)


def test_the_error_of_chains_holds_their_autocorrelation() -> None:
    """Independent draws, each repeated 20 times in its chain: the error of the draws without their repetitions."""
    rng = np.random.default_rng(18)
    amplitude = np.repeat(rng.rayleigh(1.0, (500, 8)), 20, axis=0)
    draw, chain = (index.reshape(-1) for index in np.indices(amplitude.shape))
    zeros = np.zeros(amplitude.size)
    walks = Posterior(amplitude.reshape(-1, 1), zeros, zeros, zeros, ("amplitude",), chain=chain, draw=draw)
    few = zeros[::20]
    plain = Posterior(amplitude[::20].reshape(-1, 1), few, few, few, ("amplitude",))
    ratio = bg.upper_limit(walks, "amplitude").error / bg.upper_limit(plain, "amplitude").error
    assert ratio == pytest.approx(1.0, rel=0.2)


def test_the_three_quantities() -> None:
    posterior = run_of(np.random.default_rng(16), 4000, False)
    amplitude, snr = (bg.upper_limit(posterior, what) for what in ("amplitude", "snr"))  # type: ignore[arg-type]
    assert snr.value == pytest.approx(8.0 * amplitude.value)
    assert snr.error == pytest.approx(8.0 * amplitude.error)
    product = bg.upper_limit(posterior, "amplitude_times_width", 0.5)
    assert product.value == pytest.approx(np.quantile(posterior.samples.prod(axis=1), 0.5))
    assert (product.what, product.level) == ("amplitude_times_width", 0.5)


def test_limits_need_amplitudes() -> None:
    zeros = np.zeros(3)
    marginalised = Posterior(np.ones((3, 1)), zeros, zeros, zeros, ("width",), derived=np.ones((3, 1)), derived_names=("snr",))
    with pytest.raises(ConfigError, match="draw_amplitude"):
        bg.upper_limit(marginalised, "snr")
    with pytest.raises(ConfigError, match="did you mean 'snr'"):
        bg.upper_limit(marginalised, "snrr")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="level must lie between 0 and 1, got 90"):
        bg.upper_limit(run_of(np.random.default_rng(1), 10, False), "snr", 90)


def efficiency(snr: np.ndarray) -> np.ndarray:
    return np.asarray(stats.norm.cdf(snr - 8.0))


def test_bisecting_the_bracket_finds_the_sensitivity() -> None:
    """Injections at both ends, then in the middle of the bracket, 400 at a time: the 90 % SNR of a known efficiency curve."""
    rng, snr, found = np.random.default_rng(17), list[float](), list[float]()
    wanted = [2.0, 20.0]
    for _ in range(8):
        for value in wanted:
            snr += [value] * 400
            found += np.where(rng.random(400) < efficiency(np.array(value)), 3.0, -3.0).tolist()
        result = bg.sensitivity_limit(snr, found, on=0.0)
        wanted = [0.5 * sum(result.bracket)]
    truth = 8.0 + float(stats.norm.ppf(0.9))
    assert result.bracket[0] < result.value < result.bracket[1]
    assert result.interval[0] <= truth <= result.interval[1]
    assert abs(result.value - truth) < 0.5
    assert np.all(np.diff(result.fraction) >= 0.0)
    assert result.binomial.shape == (len(result.snr), 2)
    assert result.n.sum() == len(snr)


def test_a_bracket_that_is_open_says_on_which_side() -> None:
    loud, quiet = np.full(20, 5.0), np.full(20, -5.0)
    snr = np.repeat([6.0, 9.0], 10)
    assert bg.sensitivity_limit(snr, quiet, 0.0).bracket == (9.0, math.inf)
    assert bg.sensitivity_limit(snr, loud, 0.0).bracket == (0.0, 6.0)
    assert math.isnan(bg.sensitivity_limit(snr, loud, 0.0).value)
    assert bg.sensitivity_limit(snr, quiet, 0.0).interval == (9.0, math.inf)
    assert bg.sensitivity_limit(snr, np.full(20, 0.0), 0.0).exceeding.sum() == 0  # exceeds, not reaches


def test_shares_that_fall_are_pooled() -> None:
    snr = np.repeat([4.0, 6.0, 8.0, 10.0], 10)
    share = np.repeat([2, 6, 4, 10], 10)
    log_evidence = np.where(np.tile(np.arange(10), 4) < share, 1.0, -1.0)
    result = bg.sensitivity_limit(snr, log_evidence, 0.0)
    assert result.fraction == pytest.approx([0.2, 0.5, 0.5, 1.0])
    assert result.exceeding.tolist() == [2, 6, 4, 10]
    assert result.bracket == (8.0, 10.0)
    assert result.value == pytest.approx(9.6)
