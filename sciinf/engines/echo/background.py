"""Off-source segments, time slides, and what they give: p-values with their intervals, and upper limits.

Nothing is run here: slides are Problems for a campaign, and p-values and limits come from the ln B it returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.results.posterior import Posterior
from sciinf.results.weights import weighted_quantile

__all__ = [
    "LIMITS",
    "PValue",
    "Segments",
    "SensitivityLimit",
    "UpperLimit",
    "block_interval",
    "clopper_pearson",
    "off_source_segments",
    "p_value",
    "sensitivity_limit",
    "slide_pairs",
    "time_slides",
    "upper_limit",
]

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]
Limit = Literal["snr", "amplitude", "amplitude_times_width"]

LIMITS: tuple[Limit, ...] = ("snr", "amplitude", "amplitude_times_width")
_WINDOW = 3  # segments of strain that conditioning needs around one
_GRID = 1e-3  # samples: a GPS time in float64 is good to 1e-7 s
_RESAMPLES = 2000


class _Strain(Protocol):
    """What segments are cut from."""

    @property
    def values(self) -> Array: ...
    @property
    def sample_interval(self) -> float: ...
    @property
    def start_time(self) -> float: ...
    @property
    def detector(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Segments:
    """Stretches of off-source strain.

    Parameters
    ----------
    starts : (n,) float64 array
        GPS start of each, s, increasing.
    duration : float
        T of each, s.
    detector : str
        Whose strain they were placed in.
    guard, overlap : float
        As they were asked for: s, and fraction of a segment shared with the next.
    block : int
        Consecutive segments that share strain: 1 for disjoint ones.
    """

    starts: Array
    duration: float
    detector: str = ""
    guard: float = 1.0
    overlap: float = 0.0
    block: int = 1

    def __post_init__(self) -> None:
        starts = finite_array("starts", self.starts, shape=(-1,))
        starts.flags.writeable = False
        object.__setattr__(self, "starts", starts)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def disjoint(self) -> bool:
        """Whether no two share strain; if they do, only `block_interval` is an honest interval of a p-value."""
        return self.block == 1

    def pairs(self) -> Pairs:
        """Every ordered pair (i, k) of segments that share no time, (N, 2): n (n - 1) of them for disjoint segments."""
        apart = np.abs(self.starts[:, None] - self.starts[None, :]) >= self.duration * (1.0 - 1e-9) - 1e-6
        return np.argwhere(apart).astype(np.int64)


def off_source_segments(strain: _Strain, on_start: float, duration: float, guard: float = 1.0, overlap: float = 0.0) -> Segments:
    """Place off-source segments before and after an event, each with the 3 T of strain that its conditioning reads.

    Parameters
    ----------
    strain : Strain
        Of one detector; only its length and times are used.
    on_start : float
        GPS start of the on-source segment, s: the end of the merger.
    duration : float
        T, s; a whole number of samples.
    guard : float
        Time kept clear on both sides of ``on_start``, s.
    overlap : float
        Fraction of a segment shared with the next, in [0, 1).

    Returns
    -------
    Segments
        Packed from the event outwards, on the sample grid, in order of time.

    Raises
    ------
    ConfigError
        If ``guard`` or ``overlap`` is out of range.
    DataError
        If the duration is no positive, whole number of samples, or fewer than two segments fit; gives the count, what the strain spans and
        the longest duration of which two fit.

    Notes
    -----
    A segment [s, s + T] keeps clear of [on_start - guard, on_start + max(guard, T)], and its window [s - T, s + 2 T] lies within the
    strain. The window, unlike the segment, may reach over the event: only its central third is analysed.
    """
    if not 0.0 <= guard < math.inf:
        raise ConfigError(f"guard must be at least 0 s and finite, got {guard!r}")
    if not 0.0 <= overlap < 1.0:
        raise ConfigError(f"overlap must lie in [0, 1), as a fraction of a segment, got {overlap!r}")
    interval, size = float(strain.sample_interval), len(strain.values)
    length = round(duration / interval) if math.isfinite(duration) else 0
    if length < 1 or abs(length * interval - duration) > 1e-9 * duration:
        raise DataError(
            f"{strain.detector}: a segment's duration must be a positive whole number of samples of {interval:.9g} s; got {duration!r} s, "
            f"the nearest is {max(length, 1) * interval:.9g} s"
        )
    if not math.isfinite(on_start):
        raise DataError(f"{strain.detector}: on_start must be a GPS time in s, got {on_start!r}")
    step = max(round(length * (1.0 - overlap)), 1)
    starts = _starts(strain, on_start, length, guard, step)
    if len(starts) < 2:
        fits = _longest(strain, on_start, guard)
        advice = f"two of up to {fits:.6g} s do" if fits > 0.0 else "none does at any duration"
        raise DataError(
            f"{strain.detector}: {len(starts)} off-source segment(s) of {duration:g} s, each in its own {_WINDOW * duration:g} s, fit into "
            f"GPS {strain.start_time:.3f} to {strain.start_time + size * interval:.3f} clear of {on_start:.3f} with a guard of {guard:g} s; "
            f"{advice}. At least 2 are needed: N = 0 slides, smallest p reachable 1/(N+1) = 1"
        )
    # start_time is added to whole samples, so that times on the grid stay on it
    return Segments(
        starts=np.asarray(strain.start_time + interval * starts, dtype=np.float64),
        duration=float(duration),
        detector=strain.detector,
        guard=float(guard),
        overlap=float(overlap),
        block=-(-length // step),
    )


def _starts(strain: _Strain, on_start: float, length: int, guard: float, step: int) -> Pairs:
    """First samples of the segments, each ``length`` long: backwards before the event, forwards after it."""
    interval = float(strain.sample_interval)
    event = (on_start - strain.start_time) / interval
    first, last = length, len(strain.values) - 2 * length
    before = min(math.floor(event - guard / interval + _GRID) - length, last)
    after = max(math.ceil(event + max(guard / interval, length) - _GRID), first)
    earlier = np.arange(before, first - 1, -step)[::-1]
    return np.concatenate([earlier, np.arange(after, last + 1, step)]).astype(np.int64)


def _longest(strain: _Strain, on_start: float, guard: float) -> float:
    """Longest duration, s, of which two disjoint segments fit; 0 if none does."""
    low, high = 0, len(strain.values) // _WINDOW + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(_starts(strain, on_start, middle, guard, middle)) >= 2 else (low, middle)
    return low * float(strain.sample_interval)


def slide_pairs(segments: Segments | int, n: int | None = None, seed: int | None = None) -> Pairs:
    """Ordered pairs (i, k), i != k, of detector 1's and detector 2's segments, (N, 2).

    Parameters
    ----------
    segments : Segments or int
        Where segments overlap, pairs that share time are left out; a number stands for that many disjoint ones.
    n : int, optional
        How many pairs to keep, chosen by ``seed``; a larger ``n`` keeps the pairs of a smaller one, in the same places.
    seed : int, optional
        Given with ``n`` and only then.

    Raises
    ------
    ConfigError
        If ``n`` and ``seed`` are not given together, or ``n`` is not within 1 ... N.
    DataError
        With fewer than two segments; gives the count and the smallest p reachable.

    Examples
    --------
    >>> len(slide_pairs(11)), len(slide_pairs(3))
    (110, 6)
    """
    if isinstance(segments, Segments):
        count, pairs = len(segments), segments.pairs()
    else:
        count = int(segments)
        pairs = np.argwhere(~np.eye(max(count, 0), dtype=bool)).astype(np.int64)
    if len(pairs) < 1:
        raise DataError(f"time slides need at least 2 disjoint off-source segments, got {count}: N = 0, smallest p reachable 1/(N+1) = 1")
    if (n is None) != (seed is None):
        raise ConfigError(
            f"n and seed belong together: a subset of the {len(pairs)} slides is chosen by a seed, got n={n!r}, seed={seed!r}"
        )
    if n is None or seed is None:
        return pairs
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= len(pairs):
        raise ConfigError(f"n must be a whole number from 1 to {len(pairs)}, the pairs of {count} segments, got {n!r}")
    return pairs[generator(seed, "slides").permutation(len(pairs))[:n]]


def time_slides(
    engine: Any,
    priors: PriorSet,
    segments_1: Sequence[Any],
    segments_2: Sequence[Any],
    n: int | None = None,
    seed: int | None = None,
    *,
    pairs: ArrayLike | None = None,
) -> tuple[Problem, ...]:
    """The engine's problem on pairs of segments at different times, in which no signal is coherent between the detectors.

    Parameters
    ----------
    engine : EchoSearch
        Of two detectors. Its ``with_data`` keeps the amplitude's prior as it was frozen for the on-source data.
    priors : PriorSet
        Those of the on-source run.
    segments_1, segments_2 : sequences of Spectrum
        Conditioned segments of detector 1 and 2; those at one place are of the same time.
    n, seed : int, optional
        A seeded subset of the pairs, as `slide_pairs` chooses it.
    pairs : (N, 2) int64 array, optional
        The pairs themselves, as `slide_pairs` gives them, instead of ``n`` and ``seed``: for segments that overlap.

    Returns
    -------
    tuple of Problem
        One for each pair, in the order of `slide_pairs`, named ``slide i-k``; nothing is sampled.

    Raises
    ------
    ConfigError
        If the engine has not two detectors, or as `slide_pairs`.
    DataError
        If the two sequences differ in length or order of detectors, hold fewer than two segments, or a pair is no pair of these.
    """
    detectors = tuple(engine.detectors)
    if len(detectors) != 2:
        raise ConfigError(f"time slides need an engine of 2 detectors, got {len(detectors)} ({', '.join(detectors)})")
    if len(segments_1) != len(segments_2):
        raise DataError(
            f"the segments of both detectors must be of the same times, got {len(segments_1)} of {detectors[0]} and {len(segments_2)} of "
            f"{detectors[1]}. Keep the times that both have"
        )
    for expected, group in zip(detectors, (segments_1, segments_2), strict=True):
        for i, segment in enumerate(group):
            if segment.detector != expected:
                raise DataError(
                    f"segment {i} is of detector {segment.detector!r}, expected {expected!r}: the engine's order is {detectors}"
                )
    if pairs is None:
        chosen = slide_pairs(len(segments_1), n, seed)
    elif n is not None or seed is not None:
        raise ConfigError("give either pairs, or n and seed")
    else:
        chosen = _pairs(pairs)
        if not len(chosen) or chosen.max() >= len(segments_1):
            raise DataError(f"pairs must be pairs of the {len(segments_1)} segments, got {len(chosen)} up to {chosen.max(initial=-1)}")
    return tuple(Problem(engine.with_data((segments_1[i], segments_2[k])), priors, name=f"slide {i}-{k}") for i, k in chosen.tolist())


def _pairs(pairs: ArrayLike) -> Pairs:
    """``pairs`` as an (N, 2) int64 array of places i != k >= 0."""
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise DataError(f"pairs must be an (N, 2) array of whole numbers, got shape {array.shape}, dtype {array.dtype}")
    if np.any(array < 0) or np.any(array[:, 0] == array[:, 1]):
        bad = array[(array < 0).any(axis=1) | (array[:, 0] == array[:, 1])][0]
        raise DataError(f"pairs must hold places i != k of segments, got {tuple(bad.tolist())}: data of one time are no background")
    return array.astype(np.int64)


def clopper_pearson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Central Clopper-Pearson interval of a proportion from ``k`` of ``n``; neither need be whole (see `block_interval`).

    Examples
    --------
    >>> clopper_pearson(0, 10)
    (0.0, 0.3084971078187608)
    """
    tail = 0.5 * (1.0 - level)
    low = 0.0 if k <= 0.0 else float(special.betaincinv(k, n - k + 1.0, tail))
    high = 1.0 if k >= n else float(special.betainccinv(k + 1.0, n - k, tail))
    return low, high


@dataclass(frozen=True)
class PValue:
    """Share of the background that is at least as loud as the event.

    Parameters
    ----------
    k, n : int
        Background values >= the event's, and all of them.
    p : float
        k / n.
    interval : (low, high) or None
        Clopper-Pearson interval of ``p``, which takes the background values as independent; None for segments that overlap.
    level : float
        Its probability.
    p_plus_one : float
        (k + 1) / (n + 1): never zero, valid as a test.
    smallest : float
        1 / (n + 1), the smallest ``p_plus_one`` that ``n`` values can give.
    """

    k: int
    n: int
    p: float
    interval: tuple[float, float] | None
    level: float
    p_plus_one: float
    smallest: float

    def sentence(self, segments: int | None = None, block: tuple[float, float] | None = None) -> str:
        """What a report says of it; ``segments`` is the number of segments that the pairs were made of, ``block`` `block_interval`'s."""
        text = f"p = {self.k}/{self.n} = {self.p:.3g}, (k+1)/(N+1) = {self.p_plus_one:.3g}, smallest reachable {self.smallest:.3g}"
        if self.interval is not None:
            low, high = self.interval
            text += f"; {100 * self.level:g} % interval {low:.3g} to {high:.3g} if the N = {self.n} values were independent"
        if segments is not None:
            text += f"; they are pairs of {segments} segments and share data"
        return text + (f"; bootstrap over segments {block[0]:.3g} to {block[1]:.3g}" if block is not None else "")


def p_value(on: float, background: ArrayLike, level: float = 0.95, *, overlapping: bool = False) -> PValue:
    """p = #(background >= on) / N with its interval.

    Parameters
    ----------
    on : float
        ln B of the event.
    background : (N,) array
        ln B of the slides or off-source segments.
    level : float
        Probability of the interval.
    overlapping : bool
        The segments behind the background share strain: then there is no Clopper-Pearson interval, only `block_interval`.

    Raises
    ------
    DataError
        If N = 0 (gives the smallest p reachable) or a value is not finite.
    ConfigError
        If ``level`` lies outside (0, 1).

    Examples
    --------
    >>> result = p_value(1.0, [0.0, 2.0, -1.0, 0.5])
    >>> result.p, result.p_plus_one, result.smallest
    (0.25, 0.4, 0.2)
    """
    on, values = _values(on, background)
    _check_level("level", level)
    k, n = int(np.count_nonzero(values >= on)), len(values)
    interval = None if overlapping else clopper_pearson(k, n, level)
    return PValue(k, n, k / n, interval, float(level), (k + 1) / (n + 1), 1 / (n + 1))


def _values(on: float, background: ArrayLike) -> tuple[float, Array]:
    values = finite_array("background", background, shape=(-1,))
    if not len(values):
        raise DataError("the background has N = 0 values, smallest p reachable 1/(N+1) = 1: at least 1 is needed (2 off-source segments)")
    number = finite_array("on-source ln B", on, shape=())
    return float(number), values


def _check_level(name: str, level: float) -> None:
    if isinstance(level, bool) or not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        raise ConfigError(f"{name} must lie between 0 and 1, got {shown(level)}")


def block_interval(
    on: float, background: ArrayLike, pairs: ArrayLike, level: float = 0.95, seed: int = 0, *, block: int = 1
) -> tuple[float, float]:
    """Interval of the p-value of slides that share segments.

    Parameters
    ----------
    on : float
        ln B of the event.
    background : (N,) array
        ln B of each slide.
    pairs : (N, 2) int64 array
        Segments (i, k) of each slide.
    level : float
        Probability of the interval.
    seed : int
        Of the bootstrap.
    block : int
        Consecutive segments that are drawn together: `Segments.block` where they overlap.

    Returns
    -------
    (low, high) : tuple of float

    Raises
    ------
    DataError
        As `p_value`, or if ``pairs`` and ``background`` do not fit.
    ConfigError
        If ``level`` or ``block`` is out of range.

    Notes
    -----
    The segments of both detectors are drawn anew, independently (the pigeonhole bootstrap of Owen, arXiv:0712.1111): a slide weighs as
    often as its two segments were drawn. The variance V of p says how many independent values the slides are worth, p (1 - p) / V, kept
    between the number of independent segments and N; the interval is Clopper and Pearson's for that number (Korn and Graubard, Survey
    Methodology 24, 193, 1998). A percentile interval would have no width at p = 0, where the bootstrap sees no variance: there the
    slides count as no more than the segments, since n disjoint pairs are independent.
    """
    on, values = _values(on, background)
    _check_level("level", level)
    chosen = _pairs(pairs)
    if len(chosen) != len(values):
        raise DataError(f"pairs and background must have one length, got {len(chosen)} pairs and {len(values)} values")
    columns = [np.unique(column, return_inverse=True) for column in chosen.T]
    fewest = min(len(names) for names, _ in columns)
    if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or not 1 <= block <= fewest:
        raise ConfigError(f"block must be a whole number from 1 to {fewest}, the number of segments, got {block!r}")
    loud = values >= on
    p = float(np.mean(loud))
    rng = generator(seed, "block_interval")
    draws = np.ones((_RESAMPLES, len(values)))
    for names, place in columns:
        draws *= _draws(len(names), int(block), rng)[:, place]
    total = draws.sum(axis=1)
    found = total > 0.0
    shares = (draws @ loud)[found] / total[found]
    variance = float(np.mean((shares - p) ** 2))
    worth = p * (1.0 - p) / variance if variance > 0.0 else 0.0
    worth = min(max(worth, fewest / block), len(values))
    return clopper_pearson(p * worth, worth, level)


def _draws(n: int, block: int, rng: np.random.Generator) -> Array:
    """How often each of ``n`` segments is drawn, (resamples, n): about n / block circular runs of ``block``."""
    runs = -(-n // block)
    first = rng.integers(n, size=(_RESAMPLES, runs))
    counts = np.zeros((_RESAMPLES, n))
    rows = np.arange(_RESAMPLES)[:, None]
    for shift in range(block):
        np.add.at(counts, (rows, (first + shift) % n), 1.0)
    return counts


@dataclass(frozen=True)
class UpperLimit:
    """A quantile of the posterior, with its Monte Carlo error.

    Parameters
    ----------
    what : str
        The quantity.
    level : float
        Posterior probability below ``value``.
    value, error : float
        The limit and its one-sigma error, in the quantity's unit.
    """

    what: str
    level: float
    value: float
    error: float


def upper_limit(posterior: Posterior, what: Limit, level: float = 0.9) -> UpperLimit:
    """Upper limit on what an echo comb may hold, from a posterior with its amplitudes.

    Parameters
    ----------
    posterior : Posterior
        With the amplitude sampled, or restored by ``engine.draw_amplitude``.
    what : {"snr", "amplitude", "amplitude_times_width"}
        The SNR of the comb (the network's for a network), A (s), or A w (initial amplitude, rad).
    level : float
        Posterior probability below the limit.

    Raises
    ------
    ConfigError
        If ``what`` is none of these, ``level`` lies outside (0, 1), or the posterior has no amplitudes.

    Notes
    -----
    The error is that of the probability below the limit, sum w_i^2 (1[x_i < q] - level)^2, never below level (1 - level) / ESS (which for
    chains holds their autocorrelation), carried over to the quantity by the quantiles one such error below and above.
    """
    if what not in LIMITS:
        raise ConfigError(f"there is no upper limit on {shown(what)}: {nearest_names(str(what), LIMITS)}")
    _check_level("level", level)
    if "amplitude" not in (*posterior.names, *posterior.derived_names):
        raise ConfigError(
            "the posterior has no amplitudes (marginalised or fixed), and its SNR is that of the best amplitude at each point. Restore "
            "them: upper_limit(engine.draw_amplitude(posterior, rng), ...)"
        )
    if what == "amplitude_times_width" and what not in posterior.derived_names:
        values = posterior.column("amplitude") * posterior.column("width")
    else:
        values = posterior.column(what)
    weights = posterior.weights
    value = float(weighted_quantile(values, level, weights))
    below = np.sum(weights**2 * ((values < value) - level) ** 2)
    error = math.sqrt(max(float(below), level * (1.0 - level) / posterior.ess))
    ends = weighted_quantile(values, np.clip([level - error, level + error], 0.0, 1.0), weights)
    return UpperLimit(what, float(level), value, 0.5 * float(ends[1] - ends[0]))


@dataclass(frozen=True, eq=False)
class SensitivityLimit:
    """The injected SNR from which on a given fraction of injections is louder than the event.

    Parameters
    ----------
    level : float
        That fraction.
    value : float
        The SNR, linear between the levels of SNR around it; NaN where the injections do not bracket it.
    bracket : (low, high)
        Injected SNRs around it: (0, lowest) where the lowest is enough already, (highest, inf) where none is. Inject between them next.
    interval : (low, high)
        Largest SNR whose fraction is below ``level``, smallest beyond it whose fraction is above, by their binomial intervals; 0 and inf where none.
    snr, n, exceeding, fraction : (m,) arrays
        The SNRs, injections at each, how many are louder, and their share made non-decreasing in SNR.
    binomial : (m, 2) float64 array
        Clopper-Pearson interval of the share at each SNR.
    """

    level: float
    value: float
    bracket: tuple[float, float]
    interval: tuple[float, float]
    snr: Array
    n: NDArray[np.int64]
    exceeding: NDArray[np.int64]
    fraction: Array
    binomial: Array


def sensitivity_limit(
    injected_snr: ArrayLike, log_evidence: ArrayLike, on: float, level: float = 0.9, *, confidence: float = 0.95
) -> SensitivityLimit:
    """Where a fraction ``level`` of injections exceeds the event's ln B.

    Parameters
    ----------
    injected_snr : (n,) array
        SNR of each injection; give several injections at each of a few values.
    log_evidence : (n,) array
        ln B recovered for each.
    on : float
        ln B of the event.
    level : float
        Fraction to reach.
    confidence : float
        Of the binomial intervals.

    Raises
    ------
    DataError
        If lengths differ, there are none, a value is not finite or an SNR is negative.
    ConfigError
        If ``level`` or ``confidence`` lies outside (0, 1).

    Notes
    -----
    Shares that fall with SNR are pooled with their neighbours (isotonic regression, weighted by the number of injections).

    Examples
    --------
    >>> snr = np.repeat([4.0, 8.0, 12.0], 10)
    >>> log_evidence = np.where(np.tile(np.arange(10), 3) < np.repeat([1, 8, 10], 10), 5.0, -5.0)
    >>> result = sensitivity_limit(snr, log_evidence, on=0.0)
    >>> result.bracket, result.value
    ((8.0, 12.0), 10.0)
    """
    _check_level("level", level)
    _check_level("confidence", confidence)
    given = finite_array("injected_snr", injected_snr, shape=(-1,))
    on, found = _values(on, log_evidence) if len(given) else (0.0, np.empty(0))
    if not len(given) or len(given) != len(found) or np.any(given < 0.0):
        raise DataError(
            f"a sensitivity limit needs one ln B for each injected SNR >= 0, got {len(given)} SNRs"
            + (f" from {given.min():g} and {len(found)} ln B" if len(given) else ": inject first")
        )
    snr, place = np.unique(given, return_inverse=True)
    n = np.bincount(place).astype(np.int64)
    exceeding = np.bincount(place, weights=(found > on).astype(np.float64)).astype(np.int64)
    fraction = _non_decreasing(exceeding / n, n)
    binomial = np.array([clopper_pearson(k, size, confidence) for k, size in zip(exceeding.tolist(), n.tolist(), strict=True)])
    reached = np.flatnonzero(fraction >= level)
    at = int(reached[0]) if len(reached) else len(snr)
    low, high = (float(snr[at - 1]) if at else 0.0), (float(snr[at]) if at < len(snr) else math.inf)
    value = math.nan
    if 0 < at < len(snr):
        value = low + (high - low) * float((level - fraction[at - 1]) / (fraction[at] - fraction[at - 1]))
    short = float(snr[binomial[:, 1] < level].max(initial=0.0))
    enough = snr[(binomial[:, 0] > level) & (snr > short)]
    interval = (short, float(enough.min(initial=math.inf)))
    return SensitivityLimit(float(level), value, (low, high), interval, snr, n, exceeding, fraction, binomial)


def _non_decreasing(values: Array, weights: NDArray[np.int64]) -> Array:
    """The non-decreasing sequence nearest to ``values`` in weighted least squares: pool adjacent violators."""
    pools: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, total, length = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += length
    return np.repeat([pool[0] for pool in pools], [int(pool[2]) for pool in pools])
