"""Coverage of credible regions: P-P at stated levels, per parameter, and TARP in all parameters at once."""

# ruff: noqa: PT028 -- `test` is the public name, no test of pytest's

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sciinf.calibration import sbc
from sciinf.calibration.verdict import ALARM, Verdict, bonferroni, text_table
from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LEVELS", "CoverageResult", "TarpResult", "plot", "tarp", "test"]

LEVELS = (0.68, 0.90, 0.95)
"""Credible levels of the P-P test."""


@dataclass(frozen=True, eq=False)
class CoverageResult:
    """Observed coverage of central credible intervals.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    n : int
        Replicas.
    levels : (n_levels,) float64 array
        Probability of each interval: the asked level on the grid of ranks.
    observed : (n_levels, n_dim) float64 array
        Fraction of truths inside.
    error : (n_levels,) float64 array
        Binomial standard error of a calibrated posterior's fraction.
    p : (n_levels, n_dim) float64 array
        Exact two-sided binomial p, before Bonferroni.
    verdict : Verdict
        Over all levels and parameters.
    """

    names: tuple[str, ...]
    n: int
    levels: NDArray[np.float64]
    observed: NDArray[np.float64]
    error: NDArray[np.float64]
    p: NDArray[np.float64]
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the verdict passed."""
        return self.verdict.passed

    def table(self) -> str:
        """Text table, a line per parameter."""
        header = ["parameter", *(f"{level:.0%} (+- {error:.1%})" for level, error in zip(self.levels, self.error, strict=True))]
        return text_table(header, [[name, *(f"{value:.1%}" for value in self.observed[:, i])] for i, name in enumerate(self.names)])


@dataclass(frozen=True, eq=False)
class TarpResult:
    """Outcome of `tarp`.

    Attributes
    ----------
    levels : (n_draws + 1,) float64 array
        Credibility of the ball around the reference point.
    expected_coverage : (n_draws + 1,) float64 array
        Fraction of replicas whose truth lies within it; the diagonal for a calibrated posterior.
    ranks : (n,) int64 array
        Draws nearer to the reference than the truth is: uniform for a calibrated posterior.
    verdicts : tuple of Verdict
        Rank mean, rank variance, KS and ECDF band of ``ranks``.
    """

    levels: NDArray[np.float64]
    expected_coverage: NDArray[np.float64]
    ranks: NDArray[np.int64]
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether all verdicts passed."""
        return all(verdict.passed for verdict in self.verdicts)


def test(
    ranks: ArrayLike,
    names: Sequence[str] = (),
    *,
    n_draws: int = sbc.N_DRAWS,
    levels: Sequence[float] = LEVELS,
    alarm: float = ALARM,
) -> CoverageResult:
    """How often the central credible intervals hold the truth, against the binomial.

    Parameters
    ----------
    ranks : (n,) or (n, n_dim) integer array
        As `sbc.test` takes them.
    names : sequence of str
        Parameter names; numbered where empty.
    n_draws : int
        Draws per replica.
    levels : sequence of float
        Credible levels in (0, 1).
    alarm : float
        p below which the verdict fails, after Bonferroni over parameters and levels.

    Raises
    ------
    ConfigError
        If a level is outside (0, 1) or too small for ``n_draws``.
    DataError
        If the ranks are not integers in 0..n_draws.

    Examples
    --------
    >>> result = test(np.random.default_rng(1).integers(0, 200, size=(300, 1)))
    >>> result.levels, result.passed
    (array([0.68, 0.9 , 0.95]), True)
    """
    array = sbc._check_ranks(ranks, n_draws)
    n, n_dim = array.shape
    names = tuple(names) or tuple(f"parameter {i}" for i in range(n_dim))
    if len(names) != n_dim:
        raise DataError(f"ranks have {n_dim} columns, but {len(names)} names were given")
    for level in levels:
        if not 1.0 / (n_draws + 1) < level < 1.0:
            raise ConfigError(f"a credible level must lie between 1/{n_draws + 1} and 1, got {level}")
    distance = np.abs(2 * np.arange(n_draws + 1) - n_draws)  # of each rank from the middle, in half ranks
    inside = distance[None, :] <= np.asarray(levels)[:, None] * (n_draws + 1) + 1e-9
    probability = inside.mean(axis=1)
    hits = np.array([[int(np.sum(row[column])) for column in array.T] for row in inside])
    p = np.array([[stats.binomtest(hit, n, q).pvalue for hit in row] for row, q in zip(hits, probability, strict=True)])
    worst, corrected = bonferroni(p)
    i, j = divmod(worst, n_dim)
    error = np.sqrt(probability * (1.0 - probability) / n)
    detail = f"worst: {names[j]} at {probability[i]:.0%}: {hits[i, j] / n:.1%} +- {error[i]:.1%}"
    verdict = Verdict("coverage", hits[i, j] / n, corrected, n, corrected >= alarm, detail)
    return CoverageResult(names, n, probability, hits / n, error, p, verdict)


test.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def tarp(
    draws: ArrayLike, thetas: ArrayLike, rng: np.random.Generator, *, references: ArrayLike | None = None, alarm: float = ALARM
) -> TarpResult:
    """Tests of Accuracy with Random Points: coverage of balls around random reference points.

    Parameters
    ----------
    draws : (n, n_draws, n_dim) float64 array
        Posterior draws of each replica.
    thetas : (n, n_dim) float64 array
        The truths.
    rng : numpy.random.Generator
        For the reference points and for ties.
    references : (n, n_dim) float64 array, optional
        Reference points; uniform over the truths' range by default. They may depend on the data, never on the truth of their replica.
    alarm : float
        p below which a verdict fails.

    Raises
    ------
    DataError
        If shapes disagree or a value is not finite.

    Notes
    -----
    Distances are Euclidean after each axis is divided by the truths' standard deviation. With references that do not depend on the
    data, a posterior equal to the prior passes: TARP tests calibration, not sharpness.

    References
    ----------
    Lemos et al., arXiv:2302.03026.
    """
    truths = finite_array("thetas", thetas, shape=(-1, -1))
    n, n_dim = truths.shape
    points = finite_array("draws", draws, shape=(n, -1, n_dim))
    scale = truths.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    if references is None:
        low, high = truths.min(axis=0), truths.max(axis=0)
        anchors = low + (high - low) * rng.random((n, n_dim))
    else:
        anchors = finite_array("references", references, shape=(n, n_dim))
    to_truth = np.sum(((truths - anchors) / scale) ** 2, axis=1)
    to_draws = np.sum(((points - anchors[:, None, :]) / scale) ** 2, axis=2)
    below, ties = np.sum(to_draws < to_truth[:, None], axis=1), np.sum(to_draws == to_truth[:, None], axis=1)
    ranks = (below + rng.integers(0, ties + 1)).astype(np.int64)
    n_draws = points.shape[1]
    levels = np.arange(1, n_draws + 2) / (n_draws + 1)
    expected_coverage = np.cumsum(np.bincount(ranks, minlength=n_draws + 1)) / n
    found = sbc.test(ranks, ("distance",), n_draws=n_draws, alarm=alarm)
    verdicts = tuple(
        Verdict(v.name.replace("SBC", "TARP"), v.statistic, v.p, v.n, v.passed, v.detail.replace("worst: distance ", ""))
        for v in found.verdicts
    )
    return TarpResult(levels, expected_coverage, ranks, verdicts)


def plot(ranks: ArrayLike, names: Sequence[str] = (), *, n_draws: int = sbc.N_DRAWS) -> Figure:
    """P-P figure: observed coverage of central intervals against their level, with 1, 2 and 3 sigma binomial bands."""
    from matplotlib.figure import Figure

    array = sbc._check_ranks(ranks, n_draws)
    names = tuple(names) or tuple(f"parameter {i}" for i in range(array.shape[1]))
    levels = np.linspace(0.0, 1.0, 101)
    distance = np.abs(2 * array - n_draws) / (n_draws + 1)
    error = np.sqrt(levels * (1.0 - levels) / len(array))
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for sigma in (3, 2, 1):
        axes.fill_between(levels, levels - sigma * error, levels + sigma * error, color="0.5", alpha=0.2, linewidth=0.0)
    for column, name in zip(distance.T, names, strict=True):
        axes.plot(levels, [float(np.mean(column <= level)) for level in levels], linewidth=1.2, label=name)
    axes.set(xlabel="credible level", ylabel="fraction of truths inside", xlim=(0.0, 1.0), ylim=(0.0, 1.0), title=f"{len(array)} replicas")
    axes.legend(frameon=False, fontsize="small")
    return figure
