"""Two-sample tests: null distribution, power, affine invariance, refusals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import stats

from sciinf.calibration import classifier
from sciinf.core.errors import DataError, MissingDependencyError

MIX = np.array([[1.0, 0.95], [0.95, 1.0]])


def pair(seed: int, n: int, width: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of a strongly correlated Gaussian; the second one wrong by ``width`` and ``shift`` (in sigma)."""
    rng, root = np.random.default_rng(seed), np.linalg.cholesky(MIX)
    return rng.normal(size=(n, 2)) @ root.T, shift + width * rng.normal(size=(n, 2)) @ root.T


def test_energy_p_is_uniform_under_equality() -> None:
    p = [classifier.energy_test(*pair(seed, 60), seed=seed, permutations=199).p for seed in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


@pytest.mark.parametrize(("width", "shift"), [(1.3, 0.0), (1.0, 0.3)])
def test_both_tests_see_a_broken_sample(width: float, shift: float) -> None:
    a, b = pair(1, 600, width, shift)
    assert not classifier.energy_test(a, b, seed=1).passed
    assert not classifier.c2st(a, b, seed=1).passed


def test_both_tests_pass_equal_samples() -> None:
    a, b = pair(2, 600)
    assert classifier.energy_test(a, b, seed=1).passed
    assert classifier.c2st(a, b, seed=1).passed


def runs(seed: int, n: int, own: float, shift: float = 0.0) -> np.ndarray:
    """``n`` runs of 20 draws of N(shift, 1); the draws of one run share an error of ``own``."""
    rng = np.random.default_rng(seed)
    return (shift + own * rng.normal(size=(n, 1, 2)) + rng.normal(size=(n, 20, 2))).reshape(-1, 2)


def test_energy_p_of_runs_is_uniform_where_they_are_exchanged_whole() -> None:
    """Draws of one run share an error of 0.4: exchanged one by one they alarm for nothing, exchanged by run they do not."""
    pairs = [(runs(seed, 12, 0.4), runs(1000 + seed, 12, 0.4)) for seed in range(100)]
    one_by_one = [classifier.energy_test(a, b, seed=1, permutations=199).p for a, b in pairs]
    whole = [classifier.energy_test(a, b, seed=1, permutations=199, block=20).p for a, b in pairs]
    assert np.mean(np.array(one_by_one) < 0.05) > 0.3
    assert stats.kstest(whole, "uniform").pvalue > 1e-3
    assert not classifier.energy_test(runs(1, 12, 0.2), runs(2, 12, 0.2, shift=0.5), seed=1, block=20).passed


def test_energy_wants_whole_blocks_and_enough_of_them() -> None:
    a = runs(1, 12, 0.0)
    with pytest.raises(DataError, match="240 and 239 draws are not whole blocks of 20"):
        classifier.energy_test(a, a[1:], seed=1, block=20)
    with pytest.raises(DataError):
        classifier.energy_test(a[:180], a, seed=1, block=20)


def test_energy_sees_a_lost_correlation() -> None:
    rng = np.random.default_rng(3)
    assert not classifier.energy_test(pair(3, 500)[0], rng.normal(size=(500, 2)), seed=1).passed


def test_energy_does_not_change_under_affine_maps() -> None:
    """Whitening removes units and correlation; the sum's rounding is what is left."""
    a, b = pair(4, 200, width=1.1)
    stretch, move = np.array([[1e6, 2.0], [0.0, 1e-3]]), np.array([5.0, -1e4])
    first = classifier.energy_test(a, b, seed=1, permutations=99)
    second = classifier.energy_test(a @ stretch + move, b @ stretch + move, seed=1, permutations=99)
    assert second.statistic == pytest.approx(first.statistic, rel=1e-5)


def test_energy_statistic_is_the_definition() -> None:
    """Against the plain double sums on draws that are white already."""
    rng = np.random.default_rng(5)
    pooled = rng.normal(size=(40, 2))
    pooled -= pooled.mean(axis=0)
    values, vectors = np.linalg.eigh(pooled.T @ pooled / 40)
    pooled = pooled @ vectors / np.sqrt(values)
    a, b = pooled[:15], pooled[15:]

    def mean_distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(np.linalg.norm(x[:, None] - y[None, :], axis=2)))

    expected = 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)
    assert classifier.energy_test(a, b, seed=1, permutations=9).statistic == pytest.approx(expected, rel=1e-6)


def test_c2st_accuracy_under_equality_has_the_stated_error() -> None:
    z = [(v.statistic - 0.5) * 2.0 * np.sqrt(v.n) for v in (classifier.c2st(*pair(seed, 120), seed=seed) for seed in range(12))]
    assert abs(np.mean(z)) < 4.5 / np.sqrt(len(z))
    assert stats.chi2.sf(float(np.sum(np.square(z))), len(z)) > 1e-4


def test_same_seed_same_verdict() -> None:
    a, b = pair(6, 120)
    assert classifier.c2st(a, b, seed=3) == classifier.c2st(a, b, seed=3)
    assert classifier.energy_test(a, b, seed=3, permutations=99) == classifier.energy_test(a, b, seed=3, permutations=99)


def test_a_constant_column_does_not_matter() -> None:
    a, b = pair(7, 200)
    flat = np.full((200, 1), 3.0)
    assert classifier.energy_test(np.hstack([a, flat]), np.hstack([b, flat]), seed=1).passed


def test_refusals() -> None:
    a, b = pair(8, 50)
    with pytest.raises(DataError, match="at least 100 draws each, got 50 and 50"):
        classifier.c2st(a, b, seed=1)
    with pytest.raises(DataError, match=r"b must have shape \(n, 2\)"):
        classifier.energy_test(a, b[:, :1], seed=1)


def test_scikit_learn_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sklearn.exceptions", "sklearn.model_selection", "sklearn.neural_network"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"sciinf\[test\]"):
        classifier.c2st(*pair(9, 120), seed=1)
