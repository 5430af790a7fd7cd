"""P-P coverage and TARP: calibrated posteriors pass, broken ones fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sciinf.calibration import coverage
from sciinf.core.errors import ConfigError, DataError

L = 199


def replicas(seed: int, n: int, width: float = 1.0, shift: float = 0.0, n_dim: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Truths N(0, 1), data = truth + N(0, 0.5), and draws of the exact posterior, made wrong."""
    rng = np.random.default_rng(seed)
    thetas = rng.standard_normal((n, n_dim))
    data = thetas + 0.5 * rng.standard_normal((n, n_dim))
    mean, std = data / 1.25, np.sqrt(0.2)
    return thetas, mean[:, None, :] + std * (shift + width * rng.standard_normal((n, L, n_dim)))


def ranks(thetas: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.sum(draws < thetas[:, None, :], axis=1)


def test_levels_are_exact_on_the_grid_of_ranks() -> None:
    """200 ranks: 136, 180 and 190 of them lie inside the central 68, 90 and 95 %."""
    result = coverage.test(np.arange(200)[:, None])
    assert result.levels == pytest.approx([0.68, 0.90, 0.95], abs=1e-15)
    assert result.observed[:, 0] == pytest.approx([0.68, 0.90, 0.95], abs=1e-15)
    assert result.error == pytest.approx(np.sqrt(result.levels * (1 - result.levels) / 200))


def test_healthy_passes_and_wrong_widths_fail() -> None:
    assert coverage.test(ranks(*replicas(1, 300)), ["a", "b"]).passed
    for width in (1.5, 1 / 1.5):
        result = coverage.test(ranks(*replicas(2, 300, width)), ["a", "b"])
        assert not result.passed
        assert "worst: " in result.verdict.detail


def test_p_is_the_exact_binomial_over_parameters_and_levels() -> None:
    result = coverage.test(ranks(*replicas(3, 80)))
    hits = round(float(result.observed[1, 0]) * 80)
    assert result.p[1, 0] == pytest.approx(stats.binomtest(hits, 80, 0.9).pvalue)
    assert result.verdict.p == pytest.approx(min(1.0, 6 * result.p.min()))


def test_false_alarms_are_rare() -> None:
    """400 calibrated campaigns at alarm 5 %: Bonferroni keeps the rate at or below it (4.5 sigma)."""
    rng = np.random.default_rng(4)
    alarms = [not coverage.test(rng.integers(0, 200, size=(100, 2)), alarm=0.05).passed for _ in range(400)]
    assert np.mean(alarms) < 0.05 + 4.5 * np.sqrt(0.05 * 0.95 / 400)


def test_tarp_healthy_passes() -> None:
    thetas, draws = replicas(5, 300)
    result = coverage.tarp(draws, thetas, np.random.default_rng(1))
    assert result.passed
    assert np.max(np.abs(result.expected_coverage - result.levels)) < 4.5 * 0.5 / np.sqrt(300)
    assert [verdict.name for verdict in result.verdicts] == ["TARP rank mean", "TARP rank variance", "TARP KS", "TARP ECDF band"]


@pytest.mark.parametrize(("width", "shift"), [(1.6, 0.0), (1 / 1.6, 0.0), (1.0, 1.0)])
def test_tarp_broken_fails(width: float, shift: float) -> None:
    thetas, draws = replicas(6, 300, width, shift)
    assert not coverage.tarp(draws, thetas, np.random.default_rng(2)).passed


def test_tarp_sees_a_dropped_correlation_that_ranks_of_single_parameters_cannot() -> None:
    """Truths of correlation 0.9 whose posterior has the right marginals and no correlation, seen from the centre."""
    rng = np.random.default_rng(7)
    root = np.linalg.cholesky(np.array([[1.0, 0.9], [0.9, 1.0]]))
    thetas, draws = rng.standard_normal((300, 2)) @ root.T, rng.standard_normal((300, L, 2))
    assert coverage.test(ranks(thetas, draws)).passed
    assert not coverage.tarp(draws, thetas, rng, references=np.zeros((300, 2))).passed


def test_tarp_with_references_that_follow_the_data() -> None:
    """A posterior equal to the prior passes with blind references and fails with references near the truth's data."""
    rng = np.random.default_rng(8)
    thetas = rng.standard_normal((300, 1))
    data, draws = thetas + 0.3 * rng.standard_normal((300, 1)), rng.standard_normal((300, L, 1))
    assert coverage.tarp(draws, thetas, rng).passed
    assert not coverage.tarp(draws, thetas, rng, references=data).passed


def test_plot_has_a_line_per_parameter() -> None:
    figure = coverage.plot(ranks(*replicas(9, 40)), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]


def test_refusals() -> None:
    good = np.zeros((5, 1), dtype=int)
    with pytest.raises(ConfigError, match=r"1\.2"):
        coverage.test(good, levels=(1.2,))
    with pytest.raises(DataError, match="1 columns, but 2 names"):
        coverage.test(good, ["a", "b"])
    with pytest.raises(DataError, match="draws must have shape"):
        coverage.tarp(np.zeros((4, 10, 1)), np.zeros((5, 1)), np.random.default_rng(1))
