"""From quantiles and bandwidths to the effect curve, and what is doubtful about it."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.r3d import compat
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.covariance import Contributions, Part
from sciinf.engines.r3d.data import RaggedSample
from sciinf.engines.r3d.estimates import Limits
from sciinf.engines.r3d.local_kernels import count_places
from sciinf.engines.r3d.local_polynomial import SideFit, fit_side
from sciinf.engines.r3d.projection import cell_weights, project
from sciinf.engines.r3d.quantiles import LEVEL_ROUNDING
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.settings import CovType, R3DWarning

if TYPE_CHECKING:
    from sciinf.engines.r3d.model import R3D

__all__ = ["estimate"]

FloatArray = NDArray[np.float64]

_NO_FIRST_STAGE = 1e-12
_WEAK = math.sqrt(10.0)
_FEW_PLACES = 20
_TIED_UNITS = 0.5
_FEWEST_FREE = 20.0
"""Effective degrees of freedom below which normal 95 % intervals by CR1 cover less than about 93 %: one value per unit, clusters of ten,
2,000 data sets each: nu = 2.8: 56, 5.3: 83, 7.7: 86, 12.9: 92, 21: 93.1, 40: 93.8 where a cluster's units are neighbours; 6.4: 87, 10: 91,
19: 92, 37: 93.5 where they are spread over a side. The suite's "few clusters" repeats it."""


def estimate(model: R3D, info: BandwidthInfo, cov: CovType) -> R3DResults:
    """The effect curve of a model at given bandwidths; errors and warnings as `R3D.fit`."""
    settings, values = model.settings, model.quantiles
    plus, minus = (fit_side(side, values, info.h, settings.p, settings.kernel, settings.q_grid) for side in model.sides())
    weights = _projection_weights(model)
    if settings.method == "frechet":
        m_plus, m_minus = project(plus.intercept, weights), project(minus.intercept, weights)
        residuals = (plus.residuals_of(project(plus.fitted, weights)), minus.residuals_of(project(minus.fitted, weights)))
    else:
        m_plus, m_minus = _sorted(model, plus.intercept), _sorted(model, minus.intercept)
        residuals = (plus.residuals, minus.residuals)
    part = Part.of if settings.compat is None else compat.outcome_part
    treatment, denominator = _first_stage(model, info, (plus, minus))
    cluster = None if model.cluster is None else np.unique(model.cluster, return_inverse=True)[1]
    outcome = part((plus, minus), residuals, settings.p)
    contributions = Contributions(outcome, m_plus - m_minus, treatment, denominator, cluster, model.design.names)
    first_stage_t = None if denominator is None else _first_stage_t(contributions, cov)
    notes = _notes(model, info, (plus, minus), first_stage_t) + _few_clusters(contributions)
    found = R3DResults(
        settings=settings, contributions=contributions, limits=Limits(m_plus, m_minus, plus.intercept, minus.intercept), cov_type=cov,
        bandwidth_info=info, running_variable=model.x, cutoff=model.cutoff, sizes=model.outcomes.sizes, first_stage_t=first_stage_t,
        notes=notes,
    )  # fmt: skip
    _ = found.influence  # now: what a covariance cannot be made of is an error of the fit
    for note in notes:
        warnings.warn(note, R3DWarning, stacklevel=3)
    return found


def _projection_weights(model: R3D) -> FloatArray:
    """Weights of the levels in the projection, (n_q,)."""
    settings = model.settings
    if settings.projection_weights == "equal" or settings.compat is not None:
        return np.ones(settings.n_q)
    return cell_weights(settings.levels)


def _sorted(model: R3D, curve: FloatArray) -> FloatArray:
    if model.settings.compat is None:
        return np.sort(curve)
    return compat.rearranged(model.settings.levels, curve)


def _first_stage(model: R3D, info: BandwidthInfo, outcome: tuple[SideFit, SideFit]) -> tuple[Part | None, float | None]:
    """The treatment's part and jump, at its own bandwidth with its own weights."""
    if model.treatment is None:
        return None, None
    assert info.denominator is not None
    settings, column, h = model.settings, model.treatment[:, None], info.denominator.h
    plus, minus = (fit_side(side, column, h, settings.p, settings.kernel) for side in model.sides())
    jump = float(plus.intercept[0] - minus.intercept[0])
    if settings.compat is not None:
        return compat.treatment_part(outcome, (plus, minus), model.treatment, float(h[0]), settings.p), jump
    return Part.of((plus, minus), (plus.residuals, minus.residuals), settings.p), jump


def _first_stage_t(contributions: Contributions, cov: CovType) -> float:
    """The treatment's jump over its standard error; infinite where every unit complies."""
    jump = contributions.denominator
    assert jump is not None
    blocks = contributions.independent(contributions.first_stage(cov)[:, None])
    error = math.sqrt(float((blocks**2).sum()))
    t = jump / error if error > 0.0 else math.copysign(math.inf, jump)
    if abs(jump) < _NO_FIRST_STAGE:
        raise DataError(
            f"the treatment does not jump at the cutoff: by {jump:.3g} (t = {t:.2f}), and a fuzzy effect divides by it. "
            "Is the cutoff the treatment's? For the effect of the cutoff itself leave treatment out"
        )
    return t


def _notes(model: R3D, info: BandwidthInfo, fits: tuple[SideFit, SideFit], first_stage_t: float | None) -> tuple[str, ...]:
    """What is doubtful about this fit."""
    notes = []
    sizes = model.outcomes.sizes
    if sizes is not None and sizes.max() > 1:
        active = np.concatenate([fit.rows for fit in fits])
        enough = math.sqrt(len(active))
        if small := int((sizes[active] < enough).sum()):
            notes.append(
                f"{small} of {len(active)} units within the bandwidth have fewer than {enough:.1f} values (the square root of their "
                "number): the error of their own quantiles may not be negligible"
            )
        ties = _ties(model, active).mean(axis=0) > _TIED_UNITS
        if ties.any():
            notes.append(
                f"atoms: at {int(ties.sum())} of {len(ties)} steps between levels more than half of the units do not change; the theory of "
                "the projection is for smooth quantile functions"
            )
    for fit in fits:
        places = count_places(fit.side.x, fit.active, _FEW_PLACES)
        if places < min(_FEW_PLACES, len(fit.active)):
            notes.append(
                f"the running variable has {places} distinct values among the {len(fit.active)} units of the {fit.side.name} side within "
                "the bandwidth: as many places decide, however many units; clusters of equal values (cluster=x) allow for it"
            )
    if first_stage_t is not None and abs(first_stage_t) < _WEAK:
        notes.append(f"weak first stage: the treatment's jump has t = {first_stage_t:.2f}, below {_WEAK:.2f}; intervals may not cover")
    for name, one in (("outcome", info), ("treatment", info.denominator)):
        if one is not None and one.binding == "cap":
            notes.append(f"the bandwidth of the {name} is cut off at the range of the shorter side, {one.cap:.6g}")
    return tuple(notes)


def _few_clusters(contributions: Contributions) -> tuple[str, ...]:
    """A note where a clustered covariance rests on too few clusters for normal intervals."""
    nu = math.inf if contributions.cluster is None else float(contributions.freedom().min())
    if nu >= _FEWEST_FREE:
        return ()
    above, below = contributions.clusters_of_sides()
    return (
        f"few degrees of freedom: {above} clusters above and {below} below the cutoff are within the bandwidth, and their weights leave "
        f"{nu:.1f}; below {_FEWEST_FREE:g} normal intervals, bands and tests of clusters cover less than they say. Take use_t=True in "
        "conf_int and average_effect",
    )


def _ties(model: R3D, active: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a unit's quantile stays at a value that the unit has several times, (n_active, n_q - 1).

    Not where two levels read one and the same value, as they do in every sample with fewer values than levels.
    """
    outcomes, levels = model.outcomes, model.settings.levels
    flat: NDArray[np.bool_] = np.diff(model.quantiles[active], axis=1) == 0.0
    assert outcomes.sizes is not None
    sizes = outcomes.sizes[active][:, None]
    if isinstance(outcomes, RaggedSample):
        is_weighted = outcomes.weights is not None
    else:
        is_weighted = outcomes.weight_sums is not None and not np.array_equal(outcomes.weight_sums, outcomes.sizes)
    if not is_weighted:
        order = np.ceil(sizes * levels - LEVEL_ROUNDING) if model.settings.quantile_rule == "inverted_cdf" else (sizes - 1) * levels
        return np.asarray(flat & (np.diff(order, axis=1) > 0.0))
    if not isinstance(outcomes, RaggedSample):
        return np.zeros_like(flat)  # a heavy value spans levels as an atom does, and the values are not at hand
    for row in np.flatnonzero(flat.any(axis=1)) if (flat.mean(axis=0) > _TIED_UNITS).any() else ():
        unit = slice(outcomes.offsets[active[row]], outcomes.offsets[active[row] + 1])
        flat[row] &= len(np.unique(outcomes.values[unit])) < unit.stop - unit.start
    return flat
