"""Compiled bounds against dynesty's own: one ellipsoid, several, enlarged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dynesty.bounding import MultiEllipsoid, bounding_ellipsoid

from sciinf.numerics import ellipsoids


def compiled(points: np.ndarray, several: bool) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n, n_dim = points.shape
    most = n // (2 * n_dim) + 2
    arrays = (
        np.zeros((most, n_dim)),
        np.zeros((most, n_dim, n_dim)),
        np.zeros((most, n_dim, n_dim)),
        np.zeros((most, n_dim)),
        np.zeros(most),
    )
    count = ellipsoids.enclose(np.ascontiguousarray(points), np.arange(n), several, *arrays)
    return (count, *arrays)


def cloud(seed: int, n: int, n_dim: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.5 + 0.05 * rng.standard_normal((n, n_dim)) @ rng.standard_normal((n_dim, n_dim))


@pytest.mark.parametrize(("n", "n_dim"), [(50, 1), (100, 2), (200, 5), (200, 10)])
def test_one_ellipsoid_is_dynesty_s(n: int, n_dim: int) -> None:
    points = cloud(1, n, n_dim)
    theirs = bounding_ellipsoid(points)
    count, centres, axes, precisions, lengths, log_volumes = compiled(points, several=False)
    assert count == 1
    assert np.allclose(centres[0], theirs.ctr, rtol=1e-12)
    assert np.allclose(lengths[0], theirs.axlens, rtol=1e-8)
    assert np.allclose(precisions[0], theirs.am, rtol=1e-7, atol=1e-9 * np.abs(theirs.am).max())
    assert np.allclose(axes[0] @ axes[0].T, theirs.axes @ theirs.axes.T, rtol=1e-8, atol=1e-12)
    assert log_volumes[0] == pytest.approx(theirs.logvol, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_several_ellipsoids_are_dynesty_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    modes = rng.uniform(0.1, 0.9, size=(4, 3))
    points = np.vstack([mode + 0.01 * rng.standard_normal((60, 3)) for mode in modes])
    theirs = MultiEllipsoid(3)
    theirs.update(points)
    count, centres, _, precisions, _, log_volumes = compiled(points, several=True)
    assert count == theirs.nells > 1
    mine, other = np.argsort(centres[:count, 0]), np.argsort(theirs.ctrs[:, 0])  # their order follows the sign of eigenvectors
    assert np.allclose(centres[mine], theirs.ctrs[other], rtol=1e-10)
    assert np.allclose(log_volumes[mine], theirs.logvol_ells[other], rtol=0, atol=1e-8)
    tried = np.vstack([points, rng.random((500, 3))])
    inside = [bool(ellipsoids.contains(count, centres, precisions, x)) for x in tried]
    assert inside == [bool(theirs.contains(x)) for x in tried]
    assert all(inside[: len(points)])
    assert not all(inside)


@pytest.mark.parametrize("width", [0.02, 0.6])
def test_enlarged_as_dynesty_does(width: float) -> None:
    # the wide one meets the limit of half the cube's diagonal on its long axes
    points = 0.5 + np.random.default_rng(4).standard_normal((120, 3)) * [width, 0.05, 0.02]
    theirs = MultiEllipsoid(3)
    theirs.update(points)
    count, _, axes, precisions, lengths, log_volumes = compiled(points, several=True)
    assert count == theirs.nells
    theirs.scale_to_logvol(theirs.logvol + math.log(1.25))
    ellipsoids.enlarge(count, math.log(1.25), axes, precisions, lengths, log_volumes)
    assert np.allclose(log_volumes[:count], theirs.logvol_ells, rtol=0, atol=1e-8)
    assert np.allclose(precisions[:count], theirs.ams, rtol=1e-6, atol=1e-8 * np.abs(theirs.ams).max())


def test_picked_in_proportion_to_volume() -> None:
    log_volumes = np.log([1.0, 3.0, 4.0])
    picked = [ellipsoids.pick(3, log_volumes, u) for u in (0.0, 0.12, 0.13, 0.49, 0.51, 0.999)]
    assert picked == [0, 0, 1, 1, 2, 2]
