"""SBC tests: exact null distribution, the stated power, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sciinf.calibration import sbc
from sciinf.core.errors import ConfigError, DataError

L = sbc.N_DRAWS


def gaussian_ranks(rng: np.random.Generator, n: int, width: float = 1.0, shift: float = 0.0, campaigns: int = 1) -> np.ndarray:
    """(n, campaigns) ranks of N(0, 1) truths among L draws of a posterior that is wrong by ``width`` and ``shift``.

    The number of draws below the truth is binomial with probability Phi((z - shift) / width).
    """
    truth = rng.standard_normal((n, campaigns))
    return rng.binomial(L, stats.norm.cdf((truth - shift) / width))


def fires(ranks: np.ndarray) -> dict[str, float]:
    """Fraction of campaigns (columns) with p < 1e-3, by test, each campaign having one parameter."""
    mean_z, variance_z = sbc._rank_moments(ranks, L)
    ks = np.array([sbc._ks_p(column, L)[1] for column in ranks.T])
    return {
        "mean": float(np.mean(2 * stats.norm.sf(np.abs(mean_z)) < 1e-3)),
        "variance": float(np.mean(2 * stats.norm.sf(np.abs(variance_z)) < 1e-3)),
        "ks": float(np.mean(ks < 1e-3)),
        "z": float(np.mean(variance_z)),
    }


def within(found: float, expected: float, n: int, k: float = 4.5, slack: float = 0.0) -> bool:
    """Whether a fraction of n campaigns agrees with the expected one, to k binomial sigma and the last digit stated."""
    return abs(found - expected) < k * np.sqrt(max(expected * (1 - expected), 1e-3) / n) + slack


@pytest.mark.parametrize(
    ("n", "width", "variance", "ks"),
    # Spec section 5: 98 % and 7 % at N = 300, 36 % and 0 % at N = 100, for a width wrong by 1.3 (given to about a per cent).
    [(300, 1.3, 0.98, 0.07), (100, 1.3, 0.36, 0.0)],
)
def test_power_against_a_width_wrong_by_1_3(n: int, width: float, variance: float, ks: float) -> None:
    campaigns = 1000
    found = fires(gaussian_ranks(np.random.default_rng(1), n, width, campaigns=campaigns))
    assert within(found["variance"], variance, campaigns, slack=0.02)
    assert within(found["ks"], ks, campaigns, slack=0.02)


@pytest.mark.parametrize(("width", "z"), [(1.10, 2.0), (1.14, 2.7)])
def test_rank_variance_z_at_300(width: float, z: float) -> None:
    """Spec section 5: z is 2.0 for a width wrong by 10 %, 2.7 for 14 % (means over too wide and too narrow)."""
    rng = np.random.default_rng(2)
    wide, narrow = (fires(gaussian_ranks(rng, 300, w, campaigns=2000))["z"] for w in (width, 1.0 / width))
    assert wide < 0 < narrow
    assert 0.5 * (narrow - wide) == pytest.approx(z, abs=0.1)


def test_catching_ten_per_cent_needs_about_2100_replicas() -> None:
    """At 2,100 the mean z passes 5: the alarm fires in nearly all campaigns; at 300 in few."""
    rng = np.random.default_rng(3)
    assert fires(gaussian_ranks(rng, 2100, 1.1, campaigns=300))["variance"] > 0.9
    assert fires(gaussian_ranks(rng, 300, 1.1, campaigns=300))["variance"] < 0.2


def test_false_alarms_are_as_rare_as_stated() -> None:
    """p of each test over 1,500 campaigns of uniform ranks: the fraction below 5 % and 1 % is binomial, or less for KS."""
    campaigns, rng = 1500, np.random.default_rng(4)
    ranks = rng.integers(0, L + 1, size=(60, campaigns))
    mean_z, variance_z = sbc._rank_moments(ranks, L)
    for level in (0.05, 0.01):
        for z in (mean_z, variance_z):
            assert within(float(np.mean(2 * stats.norm.sf(np.abs(z)) < level)), level, campaigns)
        assert np.mean([sbc._ks_p(column, L)[1] < level for column in ranks.T]) < level + 4.5 * np.sqrt(level / campaigns)


def test_moments_are_the_exact_discrete_ones() -> None:
    """All 200 ranks once: mean exactly central, and squared deviation exactly the variance."""
    mean_z, variance_z = sbc._rank_moments(np.arange(L + 1)[:, None], L)
    assert mean_z[0] == pytest.approx(0.0, abs=1e-12)
    assert variance_z[0] == pytest.approx(0.0, abs=1e-12)
    q = np.arange(L + 1) - L / 2
    assert np.mean(q**4) == pytest.approx(((L + 1) ** 2 - 1) * (3 * (L + 1) ** 2 - 7) / 240)


def test_ecdf_p_is_exact() -> None:
    """Its own null distribution, simulated: fractions below four levels are binomial (discreteness can only lower them)."""
    rng = np.random.default_rng(5)
    p = np.array([sbc.ecdf_p_value(rng.integers(0, 20, size=50), 19) for _ in range(1500)])
    for level in (0.01, 0.05, 0.2, 0.5):
        found = float(np.mean(p <= level))
        assert within(found, level, len(p), slack=0.02 * level)


def test_ecdf_band_holds_what_it_says_and_agrees_with_p() -> None:
    band, rng = sbc.ecdf_band(80, 49, coverage=0.9), np.random.default_rng(6)
    inside = []
    for _ in range(800):
        ranks = rng.integers(0, 50, size=80)
        ecdf = sbc._ecdf_counts(ranks, 49) / 80
        held = bool(np.all((ecdf >= band.lower - 1e-12) & (ecdf <= band.upper + 1e-12)))
        assert held == (sbc.ecdf_p_value(ranks, 49) > 1.0 - band.coverage + 1e-12)
        inside.append(held)
    assert 0.9 <= band.coverage < 0.92
    assert within(float(np.mean(inside)), band.coverage, len(inside))


def test_inside_probability_against_brute_force() -> None:
    """Three ranks among four values, all 64 outcomes counted."""
    low, high = np.array([0, 1, 1]), np.array([1, 2, 3])
    outcomes = np.array(np.meshgrid(*[range(4)] * 3)).reshape(3, -1).T
    counts = np.array([sbc._ecdf_counts(row, 3) for row in outcomes])
    assert sbc._inside_probability(3, 3, low, high) == pytest.approx(np.mean(np.all((counts >= low) & (counts <= high), axis=1)))


@pytest.mark.parametrize(
    ("width", "shift", "failing"),
    [(1.3, 0.0, "SBC rank variance"), (1.0, 0.5, "SBC rank mean"), (1.0 / 1.3, 0.0, "SBC rank variance")],
)
def test_broken_posteriors_fail_and_the_healthy_one_passes(width: float, shift: float, failing: str) -> None:
    rng = np.random.default_rng(7)
    healthy = gaussian_ranks(rng, 300, campaigns=3)
    broken = healthy.copy()
    broken[:, 1] = gaussian_ranks(rng, 300, width, shift)[:, 0]
    assert sbc.test(healthy, ["a", "b", "c"]).passed
    result = sbc.test(broken, ["a", "b", "c"])
    verdict = next(v for v in result.verdicts if v.name == failing)
    assert not verdict.passed
    assert "worst: b" in verdict.detail
    assert not result.passed


def test_bonferroni_counts_parameters() -> None:
    ranks = gaussian_ranks(np.random.default_rng(8), 100, campaigns=4)
    alone, together = sbc.test(ranks[:, :1]), sbc.test(ranks)
    assert together.p_mean[0] == alone.p_mean[0]
    assert together.verdicts[0].p == pytest.approx(min(1.0, 4 * together.p_mean.min()))


def test_rank_counts_draws_below_and_breaks_ties_at_random() -> None:
    rng = np.random.default_rng(9)
    draws = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]])
    ranks = np.array([sbc.rank_of(np.array([1.5, 5.0]), draws, rng) for _ in range(4000)])
    assert np.all(ranks[:, 0] == 2)
    assert stats.chisquare(np.bincount(ranks[:, 1], minlength=4)).pvalue > 1e-4


def test_plot_is_a_figure_with_a_line_per_parameter() -> None:
    figure = sbc.plot(gaussian_ranks(np.random.default_rng(10), 50, campaigns=2), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["95% simultaneous", "a", "b"]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (np.array([0, 200]), "0..199; 1 do not"),
        (np.array([0.0, 1.0]), "integer"),
        (np.array([3]), "n >= 2"),
        (np.zeros((2, 2, 2), dtype=int), r"\(2, 2, 2\)"),
    ],
)
def test_refuses_what_are_no_ranks(ranks: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sbc.test(ranks)


def test_refuses_wrong_names_and_levels() -> None:
    with pytest.raises(DataError, match="2 columns, but 1 names"):
        sbc.test(np.zeros((5, 2), dtype=int), ["a"])
    with pytest.raises(ConfigError, match=r"coverage=1\.0"):
        sbc.ecdf_band(10, coverage=1.0)
