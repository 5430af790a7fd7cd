"""P-values with their intervals, and upper limits, from the ln B that campaigns return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.core.seeding import generator
from sciinf.results.posterior import Posterior
from sciinf.results.weights import effective_size, weighted_quantile

__all__ = [
    "LIMITS",
    "PValue",
    "SensitivityLimit",
    "UpperLimit",
    "block_interval",
    "checked_pairs",
    "clopper_pearson",
    "p_value",
    "sensitivity_limit",
    "upper_limit",
]

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]
Limit = Literal["snr", "amplitude", "amplitude_times_width"]

LIMITS: tuple[Limit, ...] = ("snr", "amplitude", "amplitude_times_width")
_RESAMPLES = 2000


def checked_pairs(pairs: ArrayLike) -> Pairs:
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
        text = f"p = {self.k}/{self.n} = {self.p:.3g}, (k+1)/(N+1) = {self.p_plus_one:.3g}"
        text += f", smallest reachable 1/{self.n + 1} = {self.smallest:.3g}"
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
    chosen = checked_pairs(pairs)
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
    The error is that of the probability below the limit, sum w_i^2 (1[x_i < q] - level)^2, times the autocorrelation time for chains,
    carried over to the quantity by the quantiles one such error below and above. The scatter of a nested run's prior volumes is not in
    it: compare repeats.
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
    correlation = effective_size(posterior.log_weights) / posterior.ess
    error = math.sqrt(float(np.sum(weights**2 * ((values < value) - level) ** 2)) * correlation)
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
        Largest SNR whose fraction is below ``level``, smallest beyond it whose fraction is above, by their binomial intervals; 0 and
        inf where none.
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
