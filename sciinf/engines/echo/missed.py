"""Whether a run has seen the best peak that a scan finds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.engines.echo.scan import ScanResult
from sciinf.engines.echo.scan import scan as make_scan
from sciinf.engines.echo.scan_starts import FittedPeak

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["check_against_scan"]

_SHORT = 2.0  # in ln L: what a run may fall short of the scan's best
_SHARE = 0.2  # of the evidence: of a broad peak of less, a sound run may hold no sample within 2 of its top


def check_against_scan(posterior: Posterior, engine: EchoSearch, scan: ScanResult | None = None) -> Posterior:
    """Say whether a run has seen the best peak that a scan finds.

    Parameters
    ----------
    posterior : Posterior
        A run of ``engine``, with the amplitude marginalised, sampled, or restored.
    engine : EchoSearch
        That engine.
    scan : ScanResult, optional
        None: a `scan` with the default steps and the engine's default priors.

    Returns
    -------
    Posterior
        With ``meta["scan"]``: the best ln L of both and the scan's best point. The status is "missed_mode" if the run's is lower by more
        than 2 and, where the run has an evidence, the scan's peak would hold a fifth of it: in noise alone there is always some narrow
        peak of larger ln L and next to no prior mass, which a sound run need not have met. Peaks outside ``meta["supports"]`` do not count.

    Raises
    ------
    ConfigError
        If the posterior, or the scan, is of other parameters or another engine.

    Notes
    -----
    ln L is maximised over the amplitude where it is marginalised, at the 100 best samples.
    """
    result = make_scan(engine) if scan is None else scan
    if not isinstance(result, ScanResult):
        raise ConfigError(f"check_against_scan: scan must be a ScanResult or None, got {shown(scan)}")
    if result.engine.fingerprint() != engine.fingerprint():
        raise ConfigError("check_against_scan: the scan is of another engine (data, phase, amplitude or band differ); scan this one")
    unknown = [name for name in posterior.names if name not in (*engine.parameters, "amplitude")]
    if unknown or not set(posterior.names):
        raise ConfigError(
            f"check_against_scan: the posterior has '{unknown[0]}', the engine has not: {nearest_names(unknown[0], engine.parameters)}"
        )
    best = _best_of_run(posterior, engine)
    supports = dict(posterior.meta.get("supports") or {})
    counts = np.ones(len(result.peaks), dtype=np.bool_)
    for name, (low, high) in supports.items():
        if name in result.names:
            column = result.peaks[:, result.names.index(name)]
            counts &= (column >= (-math.inf if low is None else low)) & (column <= (math.inf if high is None else high))
    reached = float(np.max(result.log_likelihoods[counts])) if np.any(counts) else -math.inf
    k, note = 0, dict[str, Any]()
    note |= {"log_likelihood_of_run": best, "short": max(reached - best, 0.0) if math.isfinite(reached) else 0.0}
    if np.any(counts):
        k = int(np.flatnonzero(counts)[np.argmax(result.log_likelihoods[counts])])
        note |= {"log_likelihood_of_scan": reached, "theta": dict(zip(result.names, result.peaks[k].tolist(), strict=True))}
        note["amplitude"] = float(result.amplitudes[k])
    missed = note["short"] > _SHORT
    if missed and posterior.log_evidence is not None:
        note["log_mass"] = FittedPeak.fitted(result, k, np.random.default_rng(0)).log_mass
        missed = note["log_mass"] > posterior.log_evidence + math.log(_SHARE)
    if missed:
        note["note"] = f"the run's best ln L is {best:.2f}, a scan's {reached:.2f}: a mode of the posterior was missed"
    return replace(posterior, status="missed_mode" if missed else posterior.status, meta={**posterior.meta, "scan": note})


def _best_of_run(posterior: Posterior, engine: EchoSearch) -> float:
    """Best ln L of a run, over the amplitude too where the engine marginalises it."""
    if engine.amplitude_prior is None:
        return float(np.max(posterior.log_likelihood))
    top = np.argsort(-posterior.log_likelihood)[:100]
    fixed = posterior.meta.get("fixed") or {}
    columns = [posterior.column(name)[top] if name in posterior.names else np.full(len(top), fixed[name]) for name in engine.parameters]
    return max(engine.maximise_amplitude(theta)[1] for theta in np.column_stack(columns))
