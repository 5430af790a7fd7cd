"""Replicas of simulated discontinuities, each a function of its seed alone, and what is counted over them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration.verdict import Verdict
from sciinf.core.seeding import generator
from sciinf.engines.r3d import R3D, R3DResults, R3DSettings, R3DWarning, RaggedSample, extract_quantiles
from sciinf.engines.r3d.settings import CovType
from sciinf.engines.r3d.simulate import Simulated, closed_form, dgp1

__all__ = [
    "average_names",
    "bandwidth_replica",
    "clustered_replica",
    "contrast_replica",
    "coverage_replica",
    "extraction",
    "fuzzy_replica",
    "gini_replica",
    "mapped",
    "pipeline_replica",
    "quiet",
    "rate",
    "truncated",
    "wilson",
    "window",
]

FloatArray = NDArray[np.float64]

_DRAWS = 999
_BLOCK = 50  # units
_RANGES = [(0.1, 0.5), (0.5, 0.9)]
_COVS: tuple[CovType, ...] = ("HC0", "HC2", "HC3")
_FORMS = [(cov, student) for cov in _COVS for student in (False, True)]


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate.

    Examples
    --------
    >>> low, high = wilson(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    z = float(stats.norm.ppf(0.5 * (1.0 + level)))
    centre, spread = hits + 0.5 * z * z, z * math.sqrt(hits * (n - hits) / n + 0.25 * z * z)
    return (centre - spread) / (n + z * z), (centre + spread) / (n + z * z)


def rate(flags: Sequence[bool]) -> str:
    """A rate in per cent with its interval."""
    low, high = wilson(sum(flags), len(flags))
    return f"{100 * np.mean(flags):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def window(name: str, flags: Sequence[bool], low: float, high: float = 1.0, *, floor: float | None = None) -> Verdict:
    """Whether the rate's Wilson interval meets [low, high], and where asked lies above ``floor``."""
    bottom, top = wilson(sum(flags), len(flags))
    passed = top >= low and bottom <= high and (floor is None or bottom >= floor)
    bound = f"interval meets [{100 * low:g}, {100 * high:g}]" + ("" if floor is None else f", its lower end >= {100 * floor:g}")
    return Verdict(name, float(np.mean(flags)), None, len(flags), passed, f"{rate(flags)} %; {bound}")


def mapped(function: Callable[..., Any], seeds: Sequence[int], executor: Executor | None, *arguments: Any) -> list[Any]:
    """``function(seed, *arguments)`` for each seed, in order."""
    if executor is None:
        return [function(seed, *arguments) for seed in seeds]
    return [future.result() for future in [executor.submit(function, seed, *arguments) for seed in seeds]]


def quiet() -> None:
    """Say nothing of doubtful fits: thousands of them are made on purpose."""
    warnings.filterwarnings("ignore", category=R3DWarning)


def _fit(data: Simulated, **options: Any) -> R3DResults:
    quiet()
    return R3D(data.x, data.outcomes, **options).fit()


def truncated(fit: R3DResults) -> R3DResults:
    """The fault of the R package: only units of positive weight count for the variance; and a fifth of the variance taken off."""
    part = fit.contributions.outcome
    scores = math.sqrt(0.8) * np.where(part.weights > 0.0, part.scores, 0.0)
    return replace(fit, contributions=replace(fit.contributions, outcome=replace(part, scores=scores)), cov_type="HC0")


def average_names() -> tuple[str, ...]:
    """Ranges of the averages."""
    return tuple(f"{low:g}-{high:g}" for low, high in _RANGES)


def coverage_replica(seed: int, n: int, n_i: Any, effect: float) -> dict[str, Any]:
    """One data set of the first design: does the band hold the truth, and what do the tests say?"""
    rng = generator(seed, "r3d/coverage")
    sizes = rng.integers(n_i[0], n_i[1] + 1, n) if isinstance(n_i, tuple) else n_i
    fit = _fit(dgp1(n, sizes, effect, rng))
    out: dict[str, Any] = {"h": float(fit.bandwidth_info.h[0])}
    for cov, student in _FORMS:
        one = replace(fit, cov_type=cov)
        band = one.conf_band(0.05, student, n_draws=_DRAWS, seed=seed)
        out[f"{cov} {'studentised' if student else 'constant'}"] = bool((band.lower <= effect).all() and (band.upper >= effect).all())
    band = truncated(fit).conf_band(0.05, n_draws=_DRAWS, seed=seed)
    out["truncated"] = bool((band.lower <= effect).all() and (band.upper >= effect).all())
    out["homogeneity"] = fit.test_homogeneity(n_draws=_DRAWS, seed=seed)[0].p_value > 0.05
    out["nullity"] = fit.test_nullity(n_draws=_DRAWS, seed=seed)[0].p_value > 0.05
    for name, together in (("pointwise", False), ("simultaneous", True)):
        found = fit.average_effect(_RANGES, simultaneous=together, n_draws=_DRAWS, seed=seed)
        inside = (found.lower <= effect) & (found.upper >= effect)
        out[name] = inside.tolist() if not together else bool(inside.all())
    return out


def fuzzy_replica(seed: int, n: int, n_i: int, effect: float, jump: float) -> dict[str, Any]:
    """Treatment whose probability jumps by ``jump`` and varies with x; its effect is the same at all levels."""
    quiet()
    rng = generator(seed, "r3d/fuzzy")
    x = rng.uniform(-1.0, 1.0, n)
    probability = np.clip(0.5 - 0.5 * jump + 0.1 * x + jump * (x >= 0.0), 0.0, 1.0)
    treated = (rng.uniform(size=n) < probability).astype(np.float64)
    mean, spread = rng.normal(3.0 + 2.0 * x + effect * treated, 0.7), np.abs(rng.normal(1.0 + 0.5 * x, 0.3))
    values = np.repeat(mean, n_i) + np.repeat(spread, n_i) * rng.standard_normal(n * n_i)
    fit = R3D(x, RaggedSample(values, np.arange(0, n * n_i + 1, n_i)), treatment=treated).fit()
    band = fit.conf_band(n_draws=_DRAWS, seed=seed)
    return {"covers": bool((band.lower <= effect).all() and (band.upper >= effect).all()), "t": fit.first_stage_t}


def clustered_replica(seed: int, n: int, n_i: int, shock: float) -> dict[str, bool]:
    """Neighbours in fives share a shock: does the band of clusters hold the truth, and that of independent units?"""
    quiet()
    rng = generator(seed, "r3d/clusters")
    data = dgp1(n, n_i, 1.0, rng)
    cluster = np.empty(n, dtype=np.int64)
    for side in (data.x >= 0.0, data.x < 0.0):
        rows = np.flatnonzero(side)
        cluster[rows[np.argsort(data.x[rows])]] = np.arange(len(rows)) // 5 + 1000 * bool(side[0])
    moved = data.outcomes.values + np.repeat(shock * rng.standard_normal(2000)[cluster % 2000], data.outcomes.sizes)
    sample = RaggedSample(moved, data.outcomes.offsets)
    out = {}
    for name, labels in (("CR1", cluster), ("HC3", None)):
        band = R3D(data.x, sample, cluster=labels).fit().conf_band(n_draws=_DRAWS, seed=seed)
        out[name] = bool((band.lower <= 1.0).all() and (band.upper >= 1.0).all())
    return out


def gini_replica(seed: int, n: int, n_i: int, spread: float) -> dict[str, float]:
    """Log-normal units of log-sd .3, above the cutoff ``spread``: p of our test, and of the uncentred one."""
    quiet()
    rng = generator(seed, "r3d/gini")
    x = rng.uniform(-1.0, 1.0, n)
    width = np.where(x >= 0.0, spread, 0.3)
    values = np.exp(np.repeat(rng.normal(0.0, 0.2, n), n_i) + np.repeat(width, n_i) * rng.standard_normal(n * n_i))
    sample = RaggedSample(values, np.arange(0, n * n_i + 1, n_i))
    ours = R3D(x, sample).fit()
    h = float(ours.bandwidth_info.h[0])
    theirs = R3D(x, sample, settings=R3DSettings(compat="R3D")).fit(h)
    return {"ours": ours.gini_test(n_draws=_DRAWS, seed=seed).p_value, "uncentred": theirs.gini_test(n_draws=_DRAWS, seed=seed).p_value}


def bandwidth_replica(seed: int, n: int) -> dict[str, float]:
    """The design whose optimum is 1.4963 n^(-1/5): bandwidths of ours, without regularisation, and of the R package."""
    quiet()
    rng = generator(seed, f"r3d/bandwidth/{n}")
    x = rng.uniform(-1.0, 1.0, n)
    above = x >= 0.0
    level = x + np.where(above, 2.0, -2.0) * x**2 + above + rng.normal(0.0, 0.5, n)
    table = level[:, None] + stats.norm.ppf([0.1, 0.5, 0.9])
    model = R3D.from_quantiles(x, table, settings=R3DSettings(q_grid=(0.1, 0.5, 0.9)))
    theirs = R3D.from_quantiles(x, table, settings=R3DSettings(q_grid=(0.1, 0.5, 0.9), compat="R3D"))
    return {
        "ours": float(model.select_bandwidth().h[0]),
        "without regularisation": float(model.select_bandwidth(regularise=False).h[0]),
        "R package": float(theirs.select_bandwidth().h[0]),
    }


def contrast_replica(seed: int, n: int, n_i: int) -> dict[str, FloatArray]:
    """Spread doubled at the cutoff, unit means far apart: our effect at .1 and .9, and a pooled comparison of quantiles."""
    data = closed_form(n, n_i, 1.0, 2.0, 1.0, generator(seed, "r3d/contrast"))
    fit = _fit(data, settings=R3DSettings(q_grid=(0.1, 0.5, 0.9)))
    x, near = np.repeat(data.x, data.outcomes.sizes), 0.15
    values = data.outcomes.values - x  # the line through the cutoff, which is known here
    pooled = [np.quantile(values[(np.sign(x) == side) & (np.abs(x) < near)], [0.1, 0.9]) for side in (1, -1)]
    return {"ours": fit.params[[0, 2]], "pooled": pooled[0] - pooled[1]}


def pipeline_replica(seed: int, n: int, n_i: int) -> float:
    """From raw data to the posterior of a shift: probability that the posterior gives to values below the truth, 1."""
    fit = _fit(dgp1(n, n_i, 1.0, generator(seed, "r3d/pipeline")))
    engine = fit.to_engine("shift")
    theta = np.linspace(-15.0, 17.0, 12001)
    log_density = engine.log_likelihood_many(theta[:, None]) + stats.norm.logpdf(theta, 0.0, 5.0)
    density = np.exp(log_density - log_density.max())
    return float(np.trapezoid(density[theta <= 1.0], theta[theta <= 1.0]) / np.trapezoid(density, theta))


def extraction(n_values: int, n_i: int, seed: int) -> list[Verdict]:
    """The same bytes for three ways of cutting and two numbers of workers."""
    levels, n_blocks = np.arange(1, 20) / 20, n_values // (_BLOCK * n_i)

    def chunks(blocks_each: int) -> Iterator[RaggedSample]:
        for start in range(0, n_blocks, blocks_each):
            stop = min(start + blocks_each, n_blocks)
            values = [generator(seed, f"r3d/block/{i}").standard_normal(_BLOCK * n_i) for i in range(start, stop)]
            labels = np.arange(_BLOCK * start, _BLOCK * stop)
            yield RaggedSample(np.concatenate(values), n_i * np.arange(len(labels) + 1), labels=labels)

    tables = [extract_quantiles(chunks(each), levels, workers=workers) for each, workers in ((1, 1), (3, 2), (20, 2))]
    same = all(table.quantiles.tobytes() == tables[0].quantiles.tobytes() for table in tables)
    detail = f"three ways of cutting {n_values:g} values, 1 and 2 workers"
    return [Verdict("extraction: same bytes", float(same), None, n_values, same, detail)]
