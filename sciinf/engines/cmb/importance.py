"""Importance correction: how far the emulator's posterior moves when a subset of it is evaluated with the exact theory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.seeding import generator
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.theory import Theory
from sciinf.results.combine import reweight
from sciinf.results.posterior import Posterior

__all__ = ["Correction", "correct"]


@dataclass(frozen=True, eq=False)
class Correction:
    """A subset of a posterior, reweighted from one theory to another.

    Attributes
    ----------
    posterior : Posterior
        The subset with its new weights and likelihoods.
    log_ratio : (n,) float64 array
        ln L of the new theory minus ln L of the old one.
    effective_fraction : float
        Effective number of new weights over n: 1 where the theories agree.
    k_hat : float
        Pareto shape of the weights; trust the correction below 0.7.
    shifts : dict of str to float
        Change of each mean, in units of the posterior's standard deviation.
    """

    posterior: Posterior
    log_ratio: NDArray[np.float64]
    effective_fraction: float
    k_hat: float
    shifts: dict[str, float]

    def __str__(self) -> str:
        rows = [f"{name:<12}{shift:+8.3f} sigma" for name, shift in self.shifts.items()]
        head = f"{len(self.log_ratio)} points: effective fraction {self.effective_fraction:.3f}, k-hat {self.k_hat:.2f}"
        return "\n".join([head, *rows])


def engine_points(posterior: Posterior, engine: Hybrid, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """``samples`` (n, n_dim) of a posterior in the engine's order, fixed values filled in (from the posterior's ``meta``).

    Raises
    ------
    ConfigError
        If the posterior lacks a parameter of the engine, or has one that the engine does not know.
    """
    fixed: Mapping[str, float] = posterior.meta.get("fixed") or {}
    if unknown := [name for name in posterior.names if name not in engine.parameters]:
        raise ConfigError(f"the posterior samples {', '.join(unknown)}, which the engine does not know ({', '.join(engine.parameters)})")
    columns = []
    for name in engine.parameters:
        if name in posterior.names:
            columns.append(samples[:, posterior.names.index(name)])
        elif name in fixed:
            columns.append(np.full(len(samples), float(fixed[name])))
        else:
            raise ConfigError(f"the posterior has no parameter '{name}', which the engine needs, and its meta names no fixed value")
    return np.column_stack(columns)


def correct(posterior: Posterior, engine: Hybrid, theory: Theory, n: int = 200, *, seed: int) -> Correction:
    """Evaluate ``n`` points of a posterior with another theory, and reweight them.

    Parameters
    ----------
    posterior : Posterior
        From a run with ``engine``.
    engine : Hybrid
        The likelihood that was sampled.
    theory : Theory
        The exact one, such as ``CAMBTheory()``; it must sample the same parameters.
    n : int
        Points to evaluate (seconds each with CAMB).
    seed : int
        Of the choice of points.

    Raises
    ------
    ConfigError
        If the theories' parameters differ, or ``n`` is less than 2.
    DataError
        If the new theory has no likelihood at any of the points.
    """
    if theory.parameters != engine.theory.parameters:
        raise ConfigError(f"the theory samples {', '.join(theory.parameters)}, the engine {', '.join(engine.theory.parameters)}")
    if n < 2:
        raise ConfigError(f"n must be at least 2, got {n}")
    rng = generator(seed, "importance")
    index = posterior.equal_weight_indices(rng, n)
    points = engine_points(posterior, engine, posterior.samples[index])
    exact = Hybrid(theory, engine.components, evaluation="full", outside=engine.outside)
    old, new = engine.log_likelihood_many(points), exact.log_likelihood_many(points)
    log_ratio = new - old
    if not np.any(np.isfinite(log_ratio)):
        raise DataError(f"the theory has no likelihood at any of the {n} points: {'; '.join(exact.explain(points[0]))}")
    subset = dataclasses.replace(
        posterior,
        samples=posterior.samples[index],
        log_weights=np.zeros(n),
        log_likelihood=old,
        log_prior=posterior.log_prior[index],
        derived=np.empty((0, 0)),
        derived_names=(),
        derived_latex=(),
        log_evidence=None,
        log_evidence_error=None,
        information=None,
        **dict.fromkeys(("chain", "draw", "birth_log_likelihood", "n_live", "log_volume", "insertion_rank", "run")),  # type: ignore[arg-type]
    )
    result = reweight(subset, log_ratio)
    shifts = (result.posterior.mean() - subset.mean()) / posterior.std()
    by_name = dict(zip(posterior.names, (float(shift) for shift in shifts), strict=True))
    return Correction(result.posterior, log_ratio, result.efficiency, result.k_hat, by_name)
