"""Replicas of bands, averages and tests: each is one simulated data set, a function of its seed alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sciinf.core.seeding import generator
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings, RaggedSample
from sciinf.engines.r3d.settings import CovType
from sciinf.engines.r3d.simulate import Simulated, dgp1, dgp2
from sciinf.validation.r3d_checks import covers

__all__ = [
    "BANDS",
    "RANGES",
    "Sizes",
    "clustered_replica",
    "coverage_replica",
    "few_clusters_replica",
    "gini_replica",
    "homogeneity_replica",
    "nullity_replica",
    "truncated",
]

Sizes = int | tuple[int, int]
"""Values of each unit, or their range."""

RANGES = ((0.1, 0.5), (0.5, 0.9))
"""Of the averages."""

_DRAWS = 999
_LEVEL = 0.05
_COVS: tuple[CovType, ...] = ("HC0", "HC2", "HC3")

BANDS = tuple(f"{cov} {form}" for cov in _COVS for form in ("constant", "studentised"))
"""Bands of `coverage_replica`."""


def truncated(fit: R3DResults) -> R3DResults:
    """The fault of the R package: only units of positive weight count for the variance; and a fifth of the variance taken off."""
    part = fit.contributions.outcome
    scores = math.sqrt(0.8) * np.where(part.weights > 0.0, part.scores, 0.0)
    return replace(fit, contributions=replace(fit.contributions, outcome=replace(part, scores=scores)), cov_type="HC0")


def _sizes(n: int, n_i: Sizes, rng: np.random.Generator) -> Any:
    return rng.integers(n_i[0], n_i[1] + 1, n) if isinstance(n_i, tuple) else n_i


def coverage_replica(seed: int, n: int, n_i: Sizes, effect: float) -> dict[str, Any]:
    """One data set of the first design: what holds the truth, each band and each average's interval, and is a constant effect accepted?

    Notes
    -----
    "local polynomial" is the method without projection, "R package's h" the same as "HC0 constant" at the bandwidth of the R package.
    """
    rng = generator(seed, "r3d/coverage")
    data = dgp1(n, _sizes(n, n_i, rng), effect, rng)
    model = R3D(data.x, data.outcomes)
    fit = model.fit()
    out: dict[str, Any] = {"h": float(fit.bandwidth_info.h[0])}
    for cov in _COVS:
        one = replace(fit, cov_type=cov)
        for student, form in ((False, "constant"), (True, "studentised")):
            band = one.conf_band(_LEVEL, student, n_draws=_DRAWS, seed=seed)
            out[f"{cov} {form}"] = covers(band, effect)
            out[f"{cov} {form} half-width"] = float(np.mean(band.upper - band.lower)) / 2.0
    out["truncated"] = covers(truncated(fit).conf_band(_LEVEL, n_draws=_DRAWS, seed=seed), effect)
    out |= {"local polynomial": _local_polynomial(data, seed, effect), "R package's h": _at_the_package_s(model, seed, effect)}
    out["homogeneity"] = fit.test_homogeneity(n_draws=_DRAWS, seed=seed)[0].p_value > _LEVEL
    alone, joint = (fit.average_effect(RANGES, simultaneous=both, n_draws=_DRAWS, seed=seed) for both in (False, True))
    out["averages"] = ((alone.lower <= effect) & (alone.upper >= effect)).tolist()
    out["averages together"] = bool(((joint.lower <= effect) & (joint.upper >= effect)).all())
    return out


def _local_polynomial(data: Simulated, seed: int, effect: float) -> bool:
    fit = R3D(data.x, data.outcomes, settings=R3DSettings(method="simple")).fit(cov_type="HC0")
    return covers(fit.conf_band(_LEVEL, n_draws=_DRAWS, seed=seed), effect)


def _at_the_package_s(model: R3D, seed: int, effect: float) -> bool:
    theirs = R3D(model.x, model.outcomes, settings=R3DSettings(compat="R3D")).select_bandwidth()
    return covers(model.fit(float(theirs.h[0]), cov_type="HC0").conf_band(_LEVEL, n_draws=_DRAWS, seed=seed), effect)


def nullity_replica(seed: int, n: int, n_i: int, effect: float) -> bool:
    """Whether no effect is accepted, on the first design."""
    data = dgp1(n, n_i, effect, generator(seed, "r3d/nullity"))
    return R3D(data.x, data.outcomes).fit().test_nullity(n_draws=_DRAWS, seed=seed)[0].p_value > _LEVEL


def homogeneity_replica(seed: int, n: int, n_i: int, effect: float, rate_effect: float) -> dict[str, bool]:
    """On the skewed design: is a constant effect rejected, and does the band hold the true curve?"""
    data = dgp2(n, n_i, effect, rate_effect, generator(seed, "r3d/homogeneity"))
    fit = R3D(data.x, data.outcomes).fit()
    rejected = fit.test_homogeneity(n_draws=_DRAWS, seed=seed)[0].p_value <= _LEVEL
    return {"rejected": rejected, "covers": covers(fit.conf_band(_LEVEL, n_draws=_DRAWS, seed=seed), data.effect)}


def clustered_replica(seed: int, n: int, n_i: int, shock: float) -> dict[str, bool]:
    """Neighbours in fives share a shock: does the band of clusters hold the truth, and that of independent units?"""
    rng = generator(seed, "r3d/clusters")
    data = dgp1(n, n_i, 1.0, rng)
    cluster = np.empty(n, dtype=np.int64)
    for first, above in ((0, False), (n, True)):
        rows = np.flatnonzero((data.x >= 0.0) == above)
        cluster[rows[np.argsort(data.x[rows])]] = first + np.arange(len(rows)) // 5
    moved = data.outcomes.values + np.repeat(shock * rng.standard_normal(2 * n)[cluster], data.outcomes.sizes)
    sample = RaggedSample(moved, data.outcomes.offsets)
    fits = {"CR1": R3D(data.x, sample, cluster=cluster).fit(), "HC3": R3D(data.x, sample).fit()}
    return {name: covers(fit.conf_band(_LEVEL, n_draws=_DRAWS, seed=seed), 1.0) for name, fit in fits.items()}


def few_clusters_replica(seed: int, g: int) -> dict[str, Any]:
    """One value per unit, ``g`` clusters of ten neighbours on each side, no effect: do CR1's normal and t intervals hold it?

    Notes
    -----
    Y = x + sqrt(.3) a cluster's shock + sqrt(.7) noise, all units within the bandwidth 1; a cluster's places are within .02 of its centre.
    """
    rng = generator(seed, f"r3d/few clusters/{g}")
    cluster = np.repeat(np.arange(2 * g), 10)
    places = rng.uniform(0.0, 1.0, 2 * g)[cluster] + rng.uniform(-0.02, 0.02, len(cluster))
    x = np.where(cluster < g, -1.0, 1.0) * np.clip(places, 1e-3, 1.0)
    y = x + math.sqrt(0.3) * rng.standard_normal(2 * g)[cluster] + math.sqrt(0.7) * rng.standard_normal(len(x))
    sample = RaggedSample(y, np.arange(len(y) + 1))
    fit = R3D(x, sample, cluster=cluster, settings=R3DSettings(q_grid=(0.5,))).fit(1.0)
    inside = {name: fit.conf_int(_LEVEL, use_t=use_t)[0] for name, use_t in (("normal", False), ("t", True))}
    return {"nu": fit.nu_eff} | {name: bool(low <= 0.0 <= high) for name, (low, high) in inside.items()}


def gini_replica(seed: int, n: int, n_i: int, spread: float) -> dict[str, float]:
    """Log-normal units of log-sd .3, above the cutoff ``spread``: p of our test, and of the uncentred one of the R package."""
    rng = generator(seed, "r3d/gini")
    x = rng.uniform(-1.0, 1.0, n)
    width = np.where(x >= 0.0, spread, 0.3)
    values = np.exp(np.repeat(rng.normal(0.0, 0.2, n), n_i) + np.repeat(width, n_i) * rng.standard_normal(n * n_i))
    sample = RaggedSample(values, np.arange(0, n * n_i + 1, n_i))
    ours = R3D(x, sample).fit()
    theirs = R3D(x, sample, settings=R3DSettings(compat="R3D")).fit(float(ours.bandwidth_info.h[0]))
    return {"ours": ours.gini_test(n_draws=_DRAWS, seed=seed).p_value, "uncentred": theirs.gini_test(n_draws=_DRAWS, seed=seed).p_value}
