"""Sums of ln I0(A K_i) by nodes and weights, and at tabulated multiples, beside the sums themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from sciinf.engines.echo import condensed_kernels as ck
from sciinf.validation.echo_oracle import log_i0

RNG = np.random.default_rng(41)
LIMITS = [1e-3, 0.3, 2.0, 5.0, 20.0, 60.0, 900.0, 2e4]
SETS = {
    "Rayleigh": RNG.rayleigh(size=292),
    "alike": np.full(200, 0.7),
    "one apart": np.append(RNG.uniform(0.9, 1.1, 99), 1e-9),
    "with none": np.append(RNG.rayleigh(size=80), np.zeros(20)),
    "over six decades": 10.0 ** RNG.uniform(-6.0, 0.0, 300),
    "a block and one": RNG.rayleigh(size=65),
    "few": RNG.rayleigh(size=5),
    "one": np.array([1.3]),
    "many": RNG.rayleigh(size=3000),
}


def workspace(k: np.ndarray) -> np.ndarray:
    """Measured, NaN wherever nothing may be read."""
    work = np.full(ck.N_KEPT + len(k) + ck.PADDING, math.nan)
    work[ck.N_KEPT : ck.N_KEPT + len(k)] = k
    ck.measure(work, ck.N_KEPT, len(k))
    return work


def direct(k: np.ndarray, amplitude: float) -> float:
    return math.fsum(log_i0(amplitude * k).tolist())


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("scale", [1.0, 1e23])
def test_condensed_sum(name: str, limit: float, scale: float) -> None:
    k, n = SETS[name] / SETS[name].max() * scale, len(SETS[name])
    work = workspace(k)
    ck.condense(work, ck.N_KEPT, n, limit / scale, ck.NOWHERE)
    assert np.array_equal(work[ck.N_KEPT : ck.N_KEPT + n], k)
    assert work[ck.LIMIT] >= limit / scale * (1.0 - 1e-15)
    for share in (0.0, 1e-3, 0.1, 0.35, 0.7, 0.95, 1.0):
        expected = direct(k, share * limit / scale)
        assert abs(ck.sum_log_i0(work, ck.N_KEPT, n, share * limit / scale) - expected) < 1e-10 + 1e-14 * expected
    beyond = ck.sum_log_i0(work, ck.N_KEPT, n, 1.5 * limit / scale)  # by the terms themselves
    assert abs(beyond - direct(k, 1.5 * limit / scale)) < 1e-13 * n * max(1.0, limit)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("where", [ck.AT_MULTIPLES, ck.AT_NODES, *range(ck.AT_NODES + 1, ck.AT_NODES + 1 + len(ck.BEYOND))])
def test_tabulated_sums(name: str, limit: float, where: int) -> None:
    """At all places, or none: where no interval of the table holds the K_i, or where they are more than its nodes are meant for."""
    k, n = SETS[name] / SETS[name].max(), len(SETS[name])
    work = workspace(k)
    ck.condense(work, ck.N_KEPT, n, limit, where)
    assert np.array_equal(work[ck.N_KEPT : ck.N_KEPT + n], k)
    if limit > ck.MOST_IN_TABLE or name == "many":
        assert work[ck.LAST] == work[ck.LIMIT] == -1.0
        return
    assert work[ck.LAST] == ck.N_MULTIPLES
    for i in range(ck.N_MULTIPLES + 1):
        fractions = (np.arange(ck.N_MULTIPLES + 1) / ck.N_MULTIPLES, ck.RULE_NODES, *ck.BEYOND_NODES)
        amplitude = limit * fractions[where - 1][i]
        assert abs(work[ck.MULTIPLES + i] - direct(k, amplitude)) < 1e-10
        assert abs(work[ck.MULTIPLES + i] - ck.sum_log_i0(work, ck.N_KEPT, n, amplitude)) < 1e-11


@pytest.mark.parametrize("name", SETS)
def test_derivatives(name: str) -> None:
    k, n = SETS[name], len(SETS[name])
    work = workspace(k)
    for _ in range(2):
        for amplitude in (0.1, 1.0, 7.0):
            x = amplitude * k
            ratio = special.ive(1, x) / special.ive(0, x)
            slope, curvature = ck.sum_ratios(work, ck.N_KEPT, n, amplitude)
            assert abs(slope - (k * ratio).sum()) < 1e-9 * k.sum()
            assert abs(curvature - (k * (k * (1.0 - ratio**2) - ratio / amplitude)).sum()) < 1e-8 * (k**2).sum()
        ck.condense(work, ck.N_KEPT, n, 8.0, ck.NOWHERE)


@pytest.mark.parametrize("tabulated", [ck.NOWHERE, ck.AT_MULTIPLES, ck.AT_NODES])
def test_terms_too_large_stay_as_they_are(tabulated: int) -> None:
    work = workspace(np.array([1e300, 1.0, 0.0] * 40))
    ck.condense(work, ck.N_KEPT, 120, 1e10, tabulated)
    assert work[ck.LIMIT] == work[ck.LAST] == -1.0
    assert math.isfinite(ck.sum_log_i0(work, ck.N_KEPT, 120, 1.0))


def test_measure() -> None:
    k = SETS["Rayleigh"]
    work = workspace(k)
    assert work[ck.LIMIT] == -1.0
    assert np.allclose(work[[ck.TOTAL, ck.SQUARES]], [k.sum(), (k**2).sum()], rtol=1e-13)
