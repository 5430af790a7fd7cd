"""Where a dynamic run puts its next batch inside a constrained prior: never for good at the first dead point."""

from __future__ import annotations

import numpy as np
from dynesty.dynamicsampler import weight_function
from dynesty.utils import Results, compute_integrals

from sciinf.calibration import analytic
from sciinf.samplers.dynesty import _batch_bounds


def record(later: int) -> Results:
    """A 3-D Gaussian's climb whose first point has 100 live points and all others, after some batches, ``later``."""
    n = np.full(45_000, later)
    n[0] = 100
    log_volume = -np.cumsum(1.0 / n)
    log_likelihood = -0.5 * (30.0 * np.exp(log_volume / 3.0)) ** 2
    log_weight, log_z, _, _ = compute_integrals(logl=log_likelihood, logvol=log_volume)
    blank = np.zeros((45_000, 3))
    fields = {"logl": log_likelihood, "logvol": log_volume, "logz": log_z, "logwt": log_weight, "samples_n": n}
    return Results({**fields, "samples_u": blank, "samples": blank, "samples_id": np.zeros(45_000, dtype=int)})


def test_the_first_point_does_not_draw_every_batch_to_itself() -> None:
    """dynesty's own weights peak there, as no batch that starts inside it can raise its number of live points."""
    results = record(later=2500)
    assert weight_function(results)[1] < results.logl[10]
    low, high = _batch_bounds(analytic.hole().problem, results)
    assert low >= results.logl[0]
    assert high > -10.0


def test_without_a_constraint_the_bounds_are_dynesty_s() -> None:
    results = record(later=2500)
    assert _batch_bounds(analytic.gauss3().problem, results) == weight_function(results)


def test_a_batch_inside_a_constraint_never_starts_from_the_cube() -> None:
    results = record(later=100)
    flat = Results({**results.asdict(), "logwt": np.zeros(45_000)})
    assert weight_function(flat)[0] == -np.inf
    assert _batch_bounds(analytic.hole().problem, flat)[0] == results.logl[0]
