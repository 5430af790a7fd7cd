"""Nested runs taken apart: evidence from dead points, threads, bootstrap error, insertion ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from sciinf.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior

__all__ = [
    "BootstrapError",
    "InsertionTest",
    "NestedIntegral",
    "evidence_error_bootstrap",
    "insertion_rank_test",
    "insertion_ranks",
    "integrate",
    "live_points",
    "threads",
]

_GOLDEN = 0.6180339887498949  # (sqrt 5 - 1) / 2
_LOWEST = -1e300  # ln L before the first dead point, as in dynesty


class NestedIntegral(NamedTuple):
    """Result of the evidence integral: unnormalised log-weights (n,), ln Z, its error, and the information H (nats)."""

    log_weights: NDArray[np.float64]
    log_evidence: float
    log_evidence_error: float
    information: float


class BootstrapError(NamedTuple):
    """Standard deviation of ln Z over the resampled runs, and the (n_bootstrap,) values themselves."""

    error: float
    log_evidences: NDArray[np.float64]


class InsertionTest(NamedTuple):
    """Insertion ranks against uniform: KS distance, its p-value, the p-value of the worst stretch, and the number of ranks."""

    statistic: float
    p_value: float
    p_value_worst_stretch: float
    n: int


def integrate(log_likelihood: NDArray[np.float64], log_volume: NDArray[np.float64]) -> NestedIntegral:
    """Evidence of dead points in order of death, by the trapezium rule in volume.

    Parameters
    ----------
    log_likelihood, log_volume : (n,) float64 array
        ln L (not decreasing) and ln X (not increasing) of each dead point.

    Notes
    -----
    w_i = (L_i + L_{i-1}) (X_{i-1} - X_i) / 2 with X_0 = 1 and L_0 = 0; the variance of ln Z is the sum of
    dH_i d ln X_i, eq. 16 of Speagle 2020 (arXiv:1904.02180), as dynesty computes both.
    """
    padded = np.concatenate([[_LOWEST], np.maximum(log_likelihood, _LOWEST)])
    shrink = np.diff(log_volume, prepend=0.0)
    with np.errstate(divide="ignore"):  # a volume that does not shrink has weight zero
        half_shell = log_volume - shrink + np.log(-np.expm1(shrink)) + np.log(0.5)
    log_weights = np.logaddexp(padded[1:], padded[:-1]) + half_shell
    running = np.logaddexp.accumulate(log_weights)
    total = float(running[-1])
    upper, lower = np.exp(padded[1:] - total + half_shell) * padded[1:], np.exp(padded[:-1] - total + half_shell) * padded[:-1]
    information = np.cumsum(upper + lower) - total * np.exp(running - total)
    variance = float(np.sum(np.diff(information, prepend=0.0) * -shrink))
    return NestedIntegral(log_weights, total, abs(variance) ** 0.5, float(information[-1]))


def live_points(
    log_likelihood: NDArray[np.float64], birth: NDArray[np.float64], ends: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Number of live points (n,), at least 1, when each dead point dies, from the contours at which the points were born.

    Parameters
    ----------
    log_likelihood : (n,) float64 array
        ln L of the dead points, not decreasing.
    birth : (n,) float64 array
        ln L of the contour inside which each was drawn, -inf for the prior.
    ends : (n,) bool array, optional
        Points that nothing replaced: equal ones among them die one after the other. None: all equal points do.
    """
    born = np.searchsorted(np.sort(birth), log_likelihood, side="left")
    if np.any(first := np.isneginf(log_likelihood)):
        born[first] = np.count_nonzero(np.isneginf(birth))
    dead = np.searchsorted(log_likelihood, log_likelihood, side="left")
    counted = np.ones(len(birth), dtype=bool) if ends is None else ends
    before = np.cumsum(counted) - counted
    among_equals = np.where(counted, before - before[dead], 0)
    return np.asarray(np.maximum(born - dead - among_equals, 1), dtype=np.int64)


def _parents(log_likelihood: NDArray[np.float64], birth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the dead point that each point replaced, -1 where it starts a thread."""
    order = np.argsort(birth, kind="stable")
    ordered = birth[order]
    rank = np.arange(len(birth)) - np.searchsorted(ordered, ordered, side="left")
    candidate = np.searchsorted(log_likelihood, ordered, side="left") + rank
    exists = (candidate < np.searchsorted(log_likelihood, ordered, side="right")) & (candidate < order) & np.isfinite(ordered)
    parent = np.full(len(birth), -1, dtype=np.int64)
    parent[order[exists]] = candidate[exists]
    return parent


def threads(log_likelihood: NDArray[np.float64], birth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Label (n,) of the thread (a run with one live point) to which each dead point belongs.

    A point born at the contour of a dead point continues its thread; further points born there start threads of their own.
    ``log_likelihood`` must not decrease.

    Examples
    --------
    >>> threads(np.array([1.0, 2.0, 3.0, 4.0]), np.array([-np.inf, -np.inf, 1.0, 2.0]))
    array([0, 1, 0, 1])
    """
    parent = _parents(log_likelihood, birth)
    label = np.empty(len(birth), dtype=np.int64)
    count = 0
    for i, origin in enumerate(parent.tolist()):
        if origin < 0:
            label[i] = count
            count += 1
        else:
            label[i] = label[origin]
    return label


def sorted_deaths(posterior: Posterior) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Order of death, and ln L and birth contours in that order, of a nested posterior.

    Points of likelihood zero get ln L = -1e300, the contour inside which their successors are born.

    Raises
    ------
    DataError
        If the posterior does not say where its points were born, or a point lies outside the contour of its birth.
    """
    birth = posterior.birth_log_likelihood
    if birth is None:
        raise DataError("this posterior has no birth_log_likelihood: it is not a nested run, or not one that kept its contours")
    death = np.maximum(posterior.log_likelihood, _LOWEST)
    if (bad := np.flatnonzero(death < birth)).size:
        raise DataError(
            f"point {bad[0]} has ln L = {posterior.log_likelihood[bad[0]]:g}, below the contour of its birth, {birth[bad[0]]:g}"
        )
    order = np.argsort(death, kind="stable")
    return order, death[order], birth[order]


def _one_bootstrap(
    death: NDArray[np.float64], birth: NDArray[np.float64], end: NDArray[np.bool_], chosen: list[NDArray[np.int64]]
) -> float:
    """Evidence, as ln Z, of the run made of the chosen threads, each given by the indices of its points."""
    index = np.concatenate(chosen)
    index = index[np.argsort(death[index], kind="stable")]
    count = live_points(death[index], birth[index], end[index])
    return integrate(death[index], np.cumsum(np.log(count / (count + 1.0)))).log_evidence


def evidence_error_bootstrap(posterior: Posterior, rng: np.random.Generator, *, n_bootstrap: int = 100) -> BootstrapError:
    """Standard deviation of ln Z when the threads of a nested run are drawn again with replacement.

    Parameters
    ----------
    posterior : Posterior
        A nested run with ``birth_log_likelihood``.
    rng : Generator
        Draws the threads.
    n_bootstrap : int
        Number of resampled runs; the error of the error is about 1 / sqrt(2 n_bootstrap) of it.

    Raises
    ------
    ConfigError
        If ``n_bootstrap`` is less than 2.
    DataError
        If the posterior is not a nested run that kept its contours, or has fewer than two threads from the prior.

    Notes
    -----
    Threads that start from the prior and threads added later are resampled apart, as dynesty's ``resample_run`` does; with expected
    volumes the scatter includes that of the volumes, since the number of points per thread varies.

    References
    ----------
    Higson et al. 2018, "Sampling errors in nested sampling parameter estimation", arXiv:1704.03459.
    """
    if n_bootstrap < 2:
        raise ConfigError(f"n_bootstrap must be at least 2, got {n_bootstrap}")
    _, death, birth = sorted_deaths(posterior)
    label = threads(death, birth)
    members = np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label))[:-1])
    base = [thread for thread in members if np.isneginf(birth[thread[0]])]
    added = [thread for thread in members if not np.isneginf(birth[thread[0]])]
    if len(base) < 2:
        raise DataError(f"the run has {len(base)} thread(s) that start from the prior; a bootstrap needs at least 2")
    end = np.zeros(len(death), dtype=bool)
    end[[thread[-1] for thread in members]] = True
    values = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        chosen = [base[j] for j in rng.integers(len(base), size=len(base))]
        if added:
            chosen += [added[j] for j in rng.integers(len(added), size=len(added))]
        values[i] = _one_bootstrap(death, birth, end, chosen)
    return BootstrapError(float(np.std(values, ddof=1)), values)


def insertion_ranks(log_likelihood: NDArray[np.float64], birth: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rank of each point among the live points when it was born, and how many live points there were, itself included.

    Parameters
    ----------
    log_likelihood : (n,) float64 array
        ln L of the dead points, not decreasing.
    birth : (n,) float64 array
        Contour of birth.

    Returns
    -------
    rank, n_live : (n,) int64 arrays
        ``rank`` in [0, n_live), uniform there for a sampler that draws from the prior inside the contour; -1 and the number of
        first points for those drawn from the whole prior.

    Examples
    --------
    >>> insertion_ranks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([-np.inf, -np.inf, 1.0, 2.0]))
    (array([-1, -1,  1,  1]), array([2, 2, 2, 2]))
    """
    n = len(birth)
    rank = np.full(n, -1, dtype=np.int64)
    first_alive = np.searchsorted(log_likelihood, birth, side="right")
    alive = 1 + np.searchsorted(np.sort(birth), birth, side="left") - first_alive
    from_prior = np.isneginf(birth)
    alive[from_prior] = np.count_nonzero(from_prior)
    lower = np.searchsorted(log_likelihood, log_likelihood, side="left")
    for i in np.flatnonzero(~from_prior):
        rank[i] = np.count_nonzero(birth[first_alive[i] : lower[i]] < birth[i])
    return rank, np.asarray(alive, dtype=np.int64)


def _ks_uniform(places: NDArray[np.float64]) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of ``places`` from uniform on (0, 1) and its p-value (Stephens' finite-size correction)."""
    n = len(places)
    ordered = np.sort(places)
    distance = float(max(np.max(np.arange(1, n + 1) / n - ordered), np.max(ordered - np.arange(n) / n)))
    root = np.sqrt(n)
    return distance, float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def insertion_rank_test(posterior: Posterior) -> InsertionTest:
    """Whether new points of a nested run landed among the live points as draws from the constrained prior would.

    Parameters
    ----------
    posterior : Posterior
        A nested run with ``birth_log_likelihood``; its ``insertion_rank`` is used where present, else computed.

    Raises
    ------
    DataError
        If the posterior is not a nested run that kept its contours, no point was born after the start, or a rank is not below the
        number of live points.

    Notes
    -----
    Ranks r among n live points become (r + u) / n with u from a fixed low-discrepancy sequence, and are compared with uniform: over
    the whole run, and over stretches of n_live births, of which the smallest p-value counts, corrected for their number. A likelihood
    with plateaus fails by nature.

    References
    ----------
    Fowlie, Handley & Su 2020, "Nested sampling cross-checks using order statistics", arXiv:2006.03371; Stephens 1970 for the p-value.
    """
    order, death, birth = sorted_deaths(posterior)
    rank, alive = insertion_ranks(death, birth)
    if posterior.insertion_rank is not None:
        rank = posterior.insertion_rank[order]
    used = np.flatnonzero((rank >= 0) & ~np.isneginf(birth))
    used = used[np.argsort(birth[used], kind="stable")]
    if not used.size:
        raise DataError("no point of this run was born after the start: there are no insertion ranks to test")
    if (bad := used[rank[used] >= alive[used]]).size:
        raise DataError(
            f"insertion_rank {rank[bad[0]]} is not below the {alive[bad[0]]} live points at the contour ln L = {birth[bad[0]]:g}"
        )
    places = (rank[used] + (np.arange(1, used.size + 1) * _GOLDEN) % 1.0) / alive[used]
    distance, p_value = _ks_uniform(places)
    stretches = np.array_split(places, max(1, used.size // max(1, int(np.median(alive[used])))))
    smallest = min(_ks_uniform(stretch)[1] for stretch in stretches)
    return InsertionTest(distance, p_value, float(-np.expm1(len(stretches) * np.log1p(-min(smallest, 1.0 - 1e-16)))), int(used.size))
