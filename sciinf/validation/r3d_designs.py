"""Replicas of fuzzy designs, bandwidths and the contrast with a pooled comparison: each a function of its seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.calibration.verdict import Verdict
from sciinf.core.seeding import generator
from sciinf.engines.r3d import R3D, R3DSettings, RaggedSample
from sciinf.engines.r3d.simulate import closed_form
from sciinf.validation.r3d_checks import covers
from sciinf.validation.r3d_reference import OPTIMUM

__all__ = [
    "CONTRAST_LEVELS",
    "bandwidth_replica",
    "bandwidth_verdict",
    "contrast_replica",
    "contrast_verdict",
    "equivariance",
    "fuzzy_replica",
    "pooled_limit",
]

FloatArray = NDArray[np.float64]

CONTRAST_LEVELS = tuple(k / 20 for k in range(1, 20))
_DRAWS = 999
_NEAR = 0.15
_ALWAYS, _GAIN_ALWAYS = 0.15, 6.0
_GAIN_NEVER = 4.0


def fuzzy_replica(seed: int, n: int, n_i: int, compliance: float) -> dict[str, Any]:
    """Units that comply, that are always treated, and that never are: does the band hold the effect on compliers, and that on all units?

    Notes
    -----
    At x a unit complies with probability ``compliance`` + .1 x, is always treated with .15 - .05 x, else never. Treatment raises a
    complier's mean by 1 and its spread by 30 %, so their effect is 1 + .3 z(q) (spreads have mean 1); it would raise the always treated
    by 6 and the others by 4, so the average over all units differs. The outcome's sides curve apart and the treatment's do not, so their
    bandwidths differ. Derived here.
    """
    rng = generator(seed, "r3d/fuzzy")
    x, kind = rng.uniform(-1.0, 1.0, n), rng.uniform(size=n)
    complies = kind < compliance + 0.1 * x
    always = ~complies & (kind < compliance + _ALWAYS + 0.05 * x)
    treated = always | (complies & (x >= 0.0))
    mean, spread = rng.normal(3.0 + 2.0 * x + 3.0 * x * np.abs(x), 0.7), rng.uniform(0.7, 1.3, n)
    moved = complies & treated
    mean, spread = mean + moved, spread * np.where(moved, 1.3, 1.0)
    values = np.repeat(mean, n_i) + np.repeat(spread, n_i) * rng.standard_normal(n * n_i)
    sample = RaggedSample(values, np.arange(0, n * n_i + 1, n_i))
    fit = R3D(x, sample, treatment=treated.astype(np.float64)).fit()
    band = fit.conf_band(n_draws=_DRAWS, seed=seed)
    compliers = 1.0 + 0.3 * special.ndtri(fit.q_grid)
    everyone = compliance * compliers + _ALWAYS * _GAIN_ALWAYS + (1.0 - compliance - _ALWAYS) * _GAIN_NEVER
    h = float(fit.bandwidth_info.h[0])
    return {"compliers": covers(band, compliers), "all units": covers(band, everyone), "t": fit.first_stage_t, "h": h,
            "h_den": fit.bandwidth_info.h_den, "half-width": band.critical_value}  # fmt: skip


def bandwidth_replica(seed: int, n: int) -> dict[str, float]:
    """The design whose optimum is known: bandwidths of ours, without regularisation, and of the R package."""
    rng = generator(seed, f"r3d/bandwidth/{n}")
    x = rng.uniform(-1.0, 1.0, n)
    above = x >= 0.0
    level = x + np.where(above, 2.0, -2.0) * x**2 + above + rng.normal(0.0, 0.5, n)
    levels = (0.1, 0.5, 0.9)
    table = level[:, None] + special.ndtri(levels)
    model = R3D.from_quantiles(x, table, settings=R3DSettings(q_grid=levels))
    theirs = R3D.from_quantiles(x, table, settings=R3DSettings(q_grid=levels, compat="R3D"))
    return {
        "ours": float(model.select_bandwidth().h[0]),
        "without regularisation": float(model.select_bandwidth(regularise=False).h[0]),
        "R package": float(theirs.select_bandwidth().h[0]),
    }


def bandwidth_verdict(name: str, medians: FloatArray, sizes: tuple[int, ...], n: int) -> Verdict:
    """Whether medians over replicas lie within 25 % of the optimum and shrink at its rate."""
    worst = float(np.max(np.abs(medians / (OPTIMUM * np.array(sizes) ** -0.2) - 1.0)))
    slope = float(np.polyfit(np.log(sizes), np.log(medians), 1)[0])
    detail = f"largest relative distance of a median from the optimum {worst:.3f}, bound .25; slope {slope:.3f}, bounds -.30 and -.12"
    return Verdict(f"bandwidth, {name}", worst, None, n, worst < 0.25 and -0.30 < slope < -0.12, detail)


def equivariance(seed: int, compat: bool) -> Verdict:
    """Whether h follows the unit of the running variable, and where its cutoff is moved along stays."""
    rng = generator(seed, "r3d/equivariance")
    x = rng.uniform(-1.0, 1.0, 400)
    table = (x + x**2 * np.sign(x) + rng.normal(0.0, 0.5, 400))[:, None] + special.ndtri((0.1, 0.5, 0.9))
    settings = R3DSettings(q_grid=(0.1, 0.5, 0.9), compat="R3D" if compat else None)
    h = float(R3D.from_quantiles(x, table, settings=settings).select_bandwidth().h[0])
    worst = 0.0
    for factor in (1e-3, 100.0, 1e3):
        moved = R3D.from_quantiles(factor * (x + 7.0), table, cutoff=7.0 * factor, settings=settings).select_bandwidth()
        worst = max(worst, abs(float(moved.h[0]) / (factor * h) - 1.0))
    return Verdict("bandwidth follows the unit", worst, None, 3, worst < 1e-8, "largest relative deviation; bound 1e-8")


def contrast_replica(seed: int, n: int, n_i: int) -> dict[str, FloatArray]:
    """Spread doubled at the cutoff, unit means far apart: our effect, and a pooled comparison of quantiles near the cutoff."""
    data = closed_form(n, n_i, 1.0, 2.0, 1.0, generator(seed, "r3d/contrast"))
    fit = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=CONTRAST_LEVELS)).fit()
    x = np.repeat(data.x, data.outcomes.sizes)
    values = data.outcomes.values - x  # the line through the cutoff, which is known here
    above, below = (np.quantile(values[(np.sign(x) == side) & (np.abs(x) < _NEAR)], CONTRAST_LEVELS) for side in (1, -1))
    return {"ours": fit.params, "pooled": above - below}


def pooled_limit(levels: tuple[float, ...]) -> FloatArray:
    """What the pooled comparison tends to: (sqrt(4 + 4) - sqrt(4 + 1)) z(q), the pooled normal having variance t^2 + sigma^2."""
    return np.asarray((np.sqrt(8.0) - np.sqrt(5.0)) * special.ndtri(levels))


def contrast_verdict(name: str, values: FloatArray, target: float, bound: float) -> Verdict:
    """Whether the mean over replicas lies within ``bound`` of its target, beyond which its own error is allowed four times."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    distance = abs(mean - target)
    text = f"effect at .9 less that at .1, halved: {mean:.3f} +- {error:.3f}, expected {target:.3f}; bound {bound:.0%} + 4 errors"
    return Verdict(f"contrast, {name}", distance / target, None, len(values), distance < bound * target + 4.0 * error, text)
