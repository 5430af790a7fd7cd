"""Off-source segments, time slides, and what they give: p-values with their intervals, and upper limits.

Nothing is run here: slides are Problems for a campaign, and p-values and limits come from the ln B it returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo.limits import (
    LIMITS,
    PValue,
    SensitivityLimit,
    UpperLimit,
    block_interval,
    checked_pairs,
    clopper_pearson,
    p_value,
    sensitivity_limit,
    upper_limit,
)

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

_WINDOW = 3  # segments of strain that conditioning needs around one
_GRID = 1e-3  # samples: a GPS time in float64 is good to 1e-7 s


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
            f"GPS {strain.start_time:.3f} to {strain.start_time + size * interval:.3f} clear of {on_start:.3f}, guard {guard:g} s; "
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
        chosen = checked_pairs(pairs)
        if not len(chosen) or chosen.max() >= len(segments_1):
            raise DataError(f"pairs must be pairs of the {len(segments_1)} segments, got {len(chosen)} up to {chosen.max(initial=-1)}")
    return tuple(Problem(engine.with_data((segments_1[i], segments_2[k])), priors, name=f"slide {i}-{k}") for i, k in chosen.tolist())
