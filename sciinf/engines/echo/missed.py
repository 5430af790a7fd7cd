"""Whether a run has seen the best peak that a scan finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.engines.echo.diagnostics import thetas_of
from sciinf.engines.echo.importance import importance_sample
from sciinf.engines.echo.scan import ScanResult, comb_in_words
from sciinf.engines.echo.scan_starts import FittedPeak

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["check_against_scan"]

_SHORT = 2.0  # in ln L: what a run may fall short of the scan's best
_APART, _NATS = 4.0, 0.5  # combined errors, and ln Z: two evidences that differ by more than both do not agree
_COMPARED = 100  # samples at which two priors are compared
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
        None: the engine's `default_scan`.

    Returns
    -------
    Posterior
        The status is "missed_mode" if the run's best ln L is lower than the scan's by more than 2 and, where the run has an evidence, the
        scan's peak would hold a fifth of it: in noise alone there is always some narrow peak of larger ln L and next to no prior mass,
        which a sound run need not have met. Peaks outside ``meta["supports"]`` do not count. ``meta["scan"]`` has both points and their
        ln L, ``meta["check"]["scan"]`` says it in a sentence, which the summary repeats. Where run and scan have the same prior, the
        evidence by `importance_sample`, if that is sound, stands beside the run's.

    Raises
    ------
    ConfigError
        If the posterior, or the scan, is of other parameters or another engine.

    Notes
    -----
    ln L is maximised over the amplitude where it is marginalised, at the 100 best samples.
    """
    result = engine.default_scan if scan is None else scan
    if not isinstance(result, ScanResult):
        raise ConfigError(f"check_against_scan: scan must be a ScanResult or None, got {shown(scan)}")
    if result.engine.fingerprint() != engine.fingerprint():
        raise ConfigError("check_against_scan: the scan is of another engine (data, phase, amplitude or band differ); scan this one")
    unknown = [name for name in posterior.names if name not in (*engine.parameters, "amplitude")]
    if unknown or not set(posterior.names):
        raise ConfigError(
            f"check_against_scan: the posterior has '{unknown[0]}', the engine has not: {nearest_names(unknown[0], engine.parameters)}"
        )
    theta, best = _best_of_run(posterior, engine)
    note: dict[str, Any] = {"log_likelihood_of_run": best, "theta_of_run": dict(zip(engine.parameters, theta.tolist(), strict=True))}
    k = _best_inside(result, posterior.meta.get("supports") or {})
    if k is None:
        note["short"] = 0.0
        return _with(posterior, note, "scan: no peak inside the run's prior", missed=False, good=True)
    reached = float(result.log_likelihoods[k])
    note |= {"short": max(reached - best, 0.0), "log_likelihood_of_scan": reached, "amplitude": float(result.amplitudes[k])}
    note["theta"] = dict(zip(result.names, result.peaks[k].tolist(), strict=True))
    words = comb_in_words(engine, note["theta"], reached), comb_in_words(engine, note["theta_of_run"], best)
    text = f"scan: best comb at {words[0]}; the run's at {words[1]}"
    missed = note["short"] > _SHORT
    if missed and posterior.log_evidence is not None:
        note["log_mass"] = FittedPeak.fitted(result, k, np.random.default_rng(0)).log_mass
        missed = note["log_mass"] > posterior.log_evidence + math.log(_SHARE)
        if not missed:
            share = math.exp(note["log_mass"] - posterior.log_evidence)
            text += f". The scan's peak is narrow, worth {share:.1g} of the evidence: a sound run need not have met it"
    if missed:
        text += ". A mode of the posterior was missed"
    good = not missed
    if posterior.log_evidence is not None and posterior.log_evidence_error is not None and _same_prior(result, posterior):
        found = importance_sample(result, 0)
        if found.status == "ok" and found.log_evidence is not None and found.log_evidence_error is not None:
            error = math.hypot(found.log_evidence_error, posterior.log_evidence_error)
            note["importance"] = {"log_evidence": found.log_evidence, "log_evidence_error": found.log_evidence_error}
            apart = abs(found.log_evidence - posterior.log_evidence)
            text += f". ln Z by importance sampling about the scan's peaks: {found.log_evidence:.2f} +- {found.log_evidence_error:.2f}"
            if apart > max(_APART * error, _NATS):
                good = False
                text += f"; the run's, {posterior.log_evidence:.2f} +- {posterior.log_evidence_error:.2f}, is not to be trusted"
    return _with(posterior, note, text, missed=missed, good=good)


def _same_prior(result: ScanResult, posterior: Posterior) -> bool:
    """Whether run and scan have the same prior: the same parameters, and at the run's first samples the same density."""
    names = result.priors.names
    if set(posterior.names) != set(names):
        return False
    points = posterior.samples[:_COMPARED, [posterior.names.index(name) for name in names]]
    return bool(np.allclose(result.priors.log_prior(points), posterior.log_prior[:_COMPARED], rtol=1e-9, atol=1e-9))


def _with(posterior: Posterior, note: dict[str, Any], text: str, *, missed: bool, good: bool) -> Posterior:
    """The posterior with its status, the note, and what the summary repeats of it."""
    said = {**(posterior.meta.get("check") or {}), "scan": {"text": text, "good": good}}
    return replace(posterior, status="missed_mode" if missed else posterior.status, meta={**posterior.meta, "scan": note, "check": said})


def _best_inside(result: ScanResult, supports: Mapping[str, Sequence[float | None]]) -> int | None:
    """Number of the best peak inside a run's prior, or None."""
    inside = np.ones(len(result.peaks), dtype=np.bool_)
    for name, (low, high) in supports.items():
        if name in result.names:
            column = result.peaks[:, result.names.index(name)]
            inside &= (column >= (-math.inf if low is None else low)) & (column <= (math.inf if high is None else high))
    return int(np.flatnonzero(inside)[np.argmax(result.log_likelihoods[inside])]) if np.any(inside) else None


def _best_of_run(posterior: Posterior, engine: EchoSearch) -> tuple[NDArray[np.float64], float]:
    """A run's best point in the engine's order and its ln L, over the amplitude too where the engine marginalises it."""
    top = np.argsort(-posterior.log_likelihood)[: 1 if engine.amplitude_prior is None else 100]
    thetas = thetas_of(posterior, engine)[top]
    if engine.amplitude_prior is None:
        return thetas[0], float(posterior.log_likelihood[top[0]])
    values = [engine.maximise_amplitude(theta)[1] for theta in thetas]
    return thetas[int(np.argmax(values))], max(values)
