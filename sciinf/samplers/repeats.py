"""Several seeds of one problem: do they agree, and the one posterior they make together."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import chdtrc

from sciinf.core.errors import SciinfWarning
from sciinf.core.seeding import child_sequence
from sciinf.results.combine import merge_nested
from sciinf.results.posterior import Posterior

__all__ = ["disagreements", "merged", "repeat_seed"]

_P_LEAST = 1e-3
_SIGMAS = 5.0


def repeat_seed(seed: int, index: int) -> int:
    """Master seed of repeat ``index``: the given one for the first, a child of it for each further one.

    Examples
    --------
    >>> repeat_seed(7, 0), repeat_seed(7, 1) != repeat_seed(7, 2)
    (7, True)
    """
    return seed if index == 0 else int(child_sequence(seed, f"repeat/{index}").generate_state(1, np.uint64)[0])


def disagreements(parts: Sequence[Posterior]) -> list[str]:
    """What differs between repeats by more than their own errors allow; empty where they agree.

    Notes
    -----
    Evidences by chi-square about their weighted mean (p < 1e-3); each parameter's means pair by pair, at 5 sigma of the Monte Carlo
    errors std / sqrt(ESS).
    """
    found = []
    if all(part.log_evidence is not None and part.log_evidence_error for part in parts):
        values = np.array([part.log_evidence for part in parts], dtype=np.float64)
        errors = np.array([part.log_evidence_error for part in parts], dtype=np.float64)
        centre = np.average(values, weights=errors**-2)
        if chdtrc(len(parts) - 1, np.sum(((values - centre) / errors) ** 2)) < _P_LEAST:
            listing = ", ".join(f"{value:.2f} +- {error:.2f}" for value, error in zip(values, errors, strict=True))
            found.append(f"log evidences {listing}")
    means = [part.mean() for part in parts]
    variances = [part.std() ** 2 / part.ess for part in parts]
    for a, b in combinations(range(len(parts)), 2):
        pull = np.abs(means[a] - means[b]) / np.sqrt(variances[a] + variances[b])
        if np.any(bad := pull > _SIGMAS):
            names = ", ".join(f"{name} by {x:.1f} sigma" for name, x, is_bad in zip(parts[a].names, pull, bad, strict=True) if is_bad)
            found.append(f"means of repeats {a} and {b} ({names})")
    return found


def merged(name: str, parts: Sequence[Posterior]) -> Posterior:
    """One posterior from repeats: nested runs merged as one run, chains side by side.

    Warns, and gives status "not_converged", where the repeats that came to their end disagree.
    """
    if len(parts) == 1:
        return parts[0]
    posterior = merge_nested(parts) if parts[0].chain is None else _side_by_side(parts)
    whole = [part for part in parts if part.status == "ok"]  # the last one may be cut off by a budget
    found = disagreements(whole)
    if found:
        warnings.warn(
            f"{name}: {len(whole)} repeats do not agree: {'; '.join(found)}. One run is not to be trusted: raise n_live or the number of "
            "steps, or look for separate modes",
            SciinfWarning,
            stacklevel=2,
        )
        posterior = dataclasses.replace(posterior, status="not_converged")
    return posterior


def _side_by_side(parts: Sequence[Posterior]) -> Posterior:
    """Chains of all repeats, each with numbers of its own; ``run`` tells the repeat."""
    chains, offset = [], 0
    for part in parts:
        chain = np.asarray(part.chain)
        chains.append(chain + offset)
        offset += int(chain.max()) + 1
    columns = ("samples", "log_likelihood", "log_prior", "derived", "draw")
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return dataclasses.replace(
        parts[0],
        **joined,
        log_weights=np.zeros(len(joined["samples"])),
        chain=np.concatenate(chains),
        run=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        status="ok" if all(part.status == "ok" for part in parts) else "not_converged",
    )
