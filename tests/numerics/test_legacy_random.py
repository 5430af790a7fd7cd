# ruff: noqa: ANN001, ANN201
"""Draws inside kernels against numpy's own legacy generator, number for number."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from sciinf.numerics import legacy_random as legacy


@numba.njit
def draws(key, place, held, bounds):  # type: ignore[no-untyped-def]
    n = bounds.size
    uniforms, integers, normals, items = np.empty(n), np.empty(n, np.int64), np.empty(n), np.arange(n)
    for i in range(n):
        uniforms[i] = legacy.uniform(key, place)
        integers[i] = legacy.bounded(key, place, bounds[i])
        normals[i] = legacy.gaussian(key, place, held)
    legacy.shuffle(key, place, items)
    return uniforms, integers, normals, items


@pytest.mark.parametrize("seed", [0, 1, 20_001])
def test_every_draw_is_numpy_s(seed: int) -> None:
    peer = np.random.RandomState(seed)
    peer.randn(1)  # one Gaussian held back
    _, key, position, has_gauss, held = peer.get_state()
    state = key.copy(), np.array([position, has_gauss]), np.array([held])
    bounds = np.tile([0, 1, 2, 6, 7, 8, 1000, 2**31, 2**32 - 2], 300)
    uniforms, integers, normals, items = draws(*state, bounds)
    for i, largest in enumerate(bounds):
        assert uniforms[i] == peer.random_sample()
        assert integers[i] == peer.randint(0, largest + 1, dtype=np.int64)
        assert normals[i] == peer.randn()
    expected = np.arange(len(bounds))
    peer.shuffle(expected)
    assert np.array_equal(items, expected)
    _, key, position, has_gauss, held = peer.get_state()
    assert np.array_equal(state[0], key)
    assert (state[1].tolist(), state[2][0]) == ([position, has_gauss], held)
