"""Posteriors made from posteriors: merged nested runs, reweighted, thinned and burnt chains."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.results.importance import Reweighted, reweight
from sciinf.results.nested import insertion_ranks, integrate
from sciinf.results.posterior import STATUSES, Posterior

__all__ = ["Reweighted", "burn", "merge_nested", "reweight", "thin"]

_SHARED = ("names", "derived_names")


def _check_mergeable(posteriors: Sequence[Posterior]) -> None:
    if not posteriors:
        raise ConfigError("merge_nested needs at least one posterior")
    first = posteriors[0]
    for i, item in enumerate(posteriors):
        for name in _SHARED:
            if getattr(item, name) != getattr(first, name):
                raise DataError(f"posterior {i} has {name} {list(getattr(item, name))}, the first has {list(getattr(first, name))}")
        if item.n_live is None or item.birth_log_likelihood is None:
            raise DataError(f"posterior {i} has no n_live or birth_log_likelihood: only nested runs that kept them can be merged")
        if not np.isneginf(item.birth_log_likelihood).any():
            raise DataError(f"posterior {i} has no point drawn from the whole prior: it cannot stand as a run of its own")
        if np.any(item.log_likelihood[1:] < item.log_likelihood[:-1]):
            raise DataError(f"posterior {i} is not in order of increasing log_likelihood, the order in which its points died")


def _merged_live_points(posteriors: Sequence[Posterior], origin: NDArray[np.int64]) -> NDArray[np.int64]:
    """Live points of all runs together when each point of the merged order dies; ``origin`` says from which run it comes."""
    total = np.zeros(len(origin), dtype=np.int64)
    for i, item in enumerate(posteriors):
        died = np.cumsum(origin == i) - (origin == i)
        own = np.append(np.asarray(item.n_live), 0)
        total += own[died]
    return total


def _log_volumes(log_likelihood: NDArray[np.float64], n_live: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected ln X of dead points in order; points of equal likelihood share the shells of the first, as dynesty's plateaus do.

    A plateau that holds more points than were alive (no run does that) shrinks by n / (n + 1) a point once its shells are used up.
    """
    start = np.searchsorted(log_likelihood, log_likelihood, side="left")
    rank = np.arange(len(start)) - start
    top = n_live[start] + 1.0
    left = top - rank - 1.0
    shared = np.log(np.maximum(left, 1.0) / np.maximum(left + 1.0, 1.0))
    alive = np.maximum(n_live, 1)
    return np.asarray(np.cumsum(np.where(left > 0.0, shared, np.log(alive / (alive + 1.0)))))


def merge_nested(posteriors: Sequence[Posterior]) -> Posterior:
    """One nested run from several of the same problem, each from the whole prior.

    Parameters
    ----------
    posteriors : sequence of Posterior
        Nested runs with ``n_live`` and ``birth_log_likelihood``, points in order of death.

    Returns
    -------
    Posterior
        All points in order of likelihood, with the live points of all runs added, and evidence, weights and information computed anew.
        ``run`` tells where a point comes from; ``status`` is the worst; ``meta`` holds what all agree on.

    Raises
    ------
    ConfigError
        If there is no posterior.
    DataError
        If names differ, or a posterior is not a complete nested run.

    Notes
    -----
    As ``dynesty.utils.merge_runs``: at each likelihood the number of live points is the sum over runs, and ln X the sum of
    ln(n / (n + 1)). See Speagle 2020 (arXiv:1904.02180), section 3.
    """
    posteriors = list(posteriors)
    _check_mergeable(posteriors)
    first = posteriors[0]
    origin = np.repeat(np.arange(len(posteriors)), [len(item) for item in posteriors])
    every = np.concatenate([item.log_likelihood for item in posteriors])
    order = np.argsort(every, kind="stable")
    n_live = _merged_live_points(posteriors, origin[order])
    log_volume = _log_volumes(every[order], n_live)
    integral = integrate(every[order], log_volume)
    birth = np.concatenate([np.asarray(item.birth_log_likelihood) for item in posteriors])[order]
    runs, offset = [], 0
    for item in posteriors:
        label = np.zeros(len(item), dtype=np.int64) if item.run is None else item.run
        runs.append(label + offset)
        offset += int(label.max()) + 1
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(item, name) for item in posteriors])[order] for name in ("samples", "log_prior", "derived")
    }
    return dataclasses.replace(
        first,
        **columns,
        log_weights=integral.log_weights,
        log_likelihood=every[order],
        log_evidence=integral.log_evidence,
        log_evidence_error=integral.log_evidence_error,
        information=integral.information,
        birth_log_likelihood=birth,
        n_live=n_live,
        log_volume=log_volume,
        insertion_rank=insertion_ranks(every[order], birth)[0],
        run=np.concatenate(runs)[order],
        status=max((item.status for item in posteriors), key=STATUSES.index),
        meta={key: value for key, value in first.meta.items() if all(item.meta.get(key) == value for item in posteriors)},
    )


_PER_POINT = ("samples", "log_weights", "log_likelihood", "log_prior", "derived", "chain", "draw", "run")


def _step_of(posterior: Posterior, what: str) -> NDArray[np.int64]:
    """Position of each point within its own chain, from 0."""
    if posterior.chain is None or posterior.draw is None:
        raise DataError(f"{what} works on chains, and this posterior has none. Use equal_weight(rng, size) for weighted samples")
    order = np.lexsort((posterior.draw, posterior.chain))
    starts = np.searchsorted(posterior.chain[order], posterior.chain[order], side="left")
    step = np.empty(len(order), dtype=np.int64)
    step[order] = np.arange(len(order)) - starts
    return step


def _kept(posterior: Posterior, kept: NDArray[np.bool_]) -> Posterior:
    changes: dict[str, Any] = {name: getattr(posterior, name)[kept] for name in _PER_POINT if getattr(posterior, name) is not None}
    return dataclasses.replace(posterior, **changes)


def thin(posterior: Posterior, step: int) -> Posterior:
    """Every ``step``-th draw of each chain, the first one included.

    Raises
    ------
    ConfigError
        If ``step`` is not a positive integer.
    DataError
        If the posterior has no chains.
    """
    if not isinstance(step, (int, np.integer)) or step < 1:
        raise ConfigError(f"step must be a positive integer, got {step!r}")
    return _kept(posterior, _step_of(posterior, "thin") % step == 0)


def burn(posterior: Posterior, n_draws: int) -> Posterior:
    """The posterior without the first ``n_draws`` draws of each chain.

    Raises
    ------
    ConfigError
        If ``n_draws`` is negative, not an integer, or leaves no draw.
    DataError
        If the posterior has no chains.
    """
    if not isinstance(n_draws, (int, np.integer)) or n_draws < 0:
        raise ConfigError(f"n_draws must be an integer of at least 0, got {n_draws!r}")
    step = _step_of(posterior, "burn")
    if not np.any(kept := step >= n_draws):
        raise ConfigError(f"n_draws = {n_draws} leaves nothing of chains of {int(step.max()) + 1} draws")
    return _kept(posterior, kept)
