"""Kernels of the components against plain NumPy, and what NaN and infinity do in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciinf.engines.cmb import kernels
from sciinf.engines.cmb.gaussian import Bandpowers, Window
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

NAMES = ("TT", "TE", "EE", "PP")


def made(m: int, seed: int) -> tuple[Bandpowers, dict[str, np.ndarray], np.ndarray]:
    """Bandpowers with random windows over random spectra, and their dense response, (m, 4, 60)."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((m, 4, 60))
    windows = []
    for b in range(m):
        row = []
        for k in rng.permutation(4)[: rng.integers(1, 5)]:
            low, count = int(rng.integers(2, 40)), int(rng.integers(1, 20))
            weights = rng.normal(size=count)
            dense[b, k, low : low + count] = weights
            row.append(Window(NAMES[k], low, weights))
        windows.append(tuple(row))
    root = rng.normal(size=(m, m))
    spectra = {name: np.concatenate([np.zeros(2), rng.normal(size=58)]) for name in NAMES}
    return Bandpowers("random", rng.normal(size=m), root @ root.T + m * np.eye(m), tuple(windows), rng.normal(size=m)), spectra, dense


@settings(deadline=None, max_examples=30)
@given(m=st.integers(1, 17), seed=st.integers(0, 10_000), y=st.floats(0.5, 2.0))
def test_bandpowers_and_chi2_equal_the_dense_formula(m: int, seed: int, y: float) -> None:
    core, spectra, dense = made(m, seed)
    scale = np.array([1 / y**2, 1 / y**2, 1 / y**2, 1.0])
    model = core.offset + np.einsum("bkl,k,kl->b", dense, scale, np.array([spectra[name] for name in NAMES]))
    given_spectra = Spectra.unchecked(spectra)
    assert np.allclose(core.model(given_spectra, y), model, rtol=1e-12, atol=1e-12)
    residual = core.data - model
    expected = residual @ np.linalg.solve(core.covariance, residual)
    assert core.chi2(given_spectra, y) == pytest.approx(expected, rel=1e-10)
    batch = SpectraBatch.stack([given_spectra] * 6)
    assert np.allclose(core.chi2_many(batch, np.full(6, y)), expected, rtol=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", range(9))
def test_a_bad_row_spoils_no_other(bad: float, row: int) -> None:
    """Sums may be reordered, but NaN and infinity survive, and stay in their row of the tile."""
    core, spectra, _ = made(12, 3)
    arrays = {name: np.repeat(values[None, :], 9, axis=0) for name, values in spectra.items()}
    good = core.chi2_many(SpectraBatch(**{name.lower(): values.copy() for name, values in arrays.items()}), np.ones(9))
    window = core.windows[5][0]
    arrays[window.spectrum][row, window.l_low] = bad
    found = core.chi2_many(SpectraBatch(**{name.lower(): values for name, values in arrays.items()}), np.ones(9))
    assert not found[row] < np.inf
    others = np.arange(9) != row
    assert np.array_equal(found[others], good[others])


def test_pack_and_unwhiten_invert_each_other() -> None:
    rng = np.random.default_rng(4)
    lower = np.tril(rng.normal(size=(30, 30))) + 6.0 * np.eye(30)
    packed = np.concatenate([[7.0], kernels.pack_lower(lower)])
    z = rng.normal(size=30)
    x = z.copy()
    kernels.unwhiten(packed, 1, x, 30)
    assert np.allclose(lower @ x, z, rtol=1e-12)
    assert kernels.whitened_chi2(packed, 1, x, 30) == pytest.approx(z @ z, rel=1e-12)


def test_every_kernel_is_compiled_once() -> None:
    for kernel in (
        kernels.bandpowers,
        kernels.gaussian_chi2,
        kernels.gaussian_chi2_many,
        kernels.simall,
        kernels.simall_many,
        kernels.unwhiten,
    ):
        assert len(kernel.signatures) == 1
