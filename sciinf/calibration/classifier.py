"""Two-sample tests: do two sets of draws come from one distribution?"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sciinf.calibration.verdict import ALARM, Verdict
from sciinf.core.arrays import finite_array
from sciinf.core.errors import DataError, MissingDependencyError
from sciinf.core.seeding import check_seed, generator

__all__ = ["c2st", "energy_test"]


def _pair(a: ArrayLike, b: ArrayLike, least: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both samples whitened by their pooled mean and covariance, so that correlation and units do not matter."""
    first = finite_array("a", a, shape=(-1, -1))
    second = finite_array("b", b, shape=(-1, first.shape[1]))
    if min(len(first), len(second)) < least:
        raise DataError(f"a two-sample test needs at least {least} draws each, got {len(first)} and {len(second)}")
    pooled = np.concatenate([first, second])
    centred = pooled - pooled.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred / np.where(spread > 0.0, spread, 1.0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = values > 1e-10 * values.max()
    whitened = centred @ (vectors[:, kept] / np.sqrt(values[kept]))
    return whitened[: len(first)], whitened[len(first) :]


def c2st(a: ArrayLike, b: ArrayLike, *, seed: int, folds: int = 5, alarm: float = ALARM) -> Verdict:
    """Classifier two-sample test: the accuracy of a neural network that tells ``a`` from ``b``, 0.5 where it cannot.

    Parameters
    ----------
    a, b : (n, n_dim) and (m, n_dim) float64 arrays
        Independent draws; the longer set is cut to the shorter one's length.
    seed : int
        Of the folds and of the network's start.
    folds : int
        Of the cross-validation.
    alarm : float
        p below which the verdict fails.

    Returns
    -------
    Verdict
        ``statistic`` is the accuracy over the held-out folds, ``p`` its one-sided normal tail under equality.

    Raises
    ------
    MissingDependencyError
        If scikit-learn is not installed.
    DataError
        If the samples' dimensions differ, or one holds fewer than 20 ``folds`` draws.

    Notes
    -----
    A scikit-learn MLP with two hidden layers of 10 n_dim units, on draws whitened by the pooled covariance. Under equality the
    accuracy is N(0.5, 1/(4 n)) with n = 2 min(n, m) (Lopez-Paz & Oquab, arXiv:1610.06545).
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import StratifiedKFold
        from sklearn.neural_network import MLPClassifier
    except ImportError as error:
        raise MissingDependencyError.for_extra("scikit-learn", "test", "c2st") from error
    first, second = _pair(a, b, least=20 * folds)
    rng = generator(seed, "c2st")
    size = min(len(first), len(second))
    first, second = (rows[rng.permutation(len(rows))[:size]] for rows in (first, second))
    points, labels = np.concatenate([first, second]), np.repeat([0, 1], size)
    width = 10 * points.shape[1]
    state = int(rng.integers(2**31))
    correct = 0
    for train, held_out in StratifiedKFold(folds, shuffle=True, random_state=state).split(points, labels):
        network = MLPClassifier((width, width), max_iter=200, early_stopping=True, n_iter_no_change=15, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(points[train], labels[train])
        correct += int(np.sum(network.predict(points[held_out]) == labels[held_out]))
    accuracy = correct / len(points)
    p = float(stats.norm.sf((accuracy - 0.5) * 2.0 * np.sqrt(len(points))))
    return Verdict("C2ST", accuracy, p, len(points), p >= alarm, f"accuracy of {folds} held-out folds; 0.5 where equal")


def _distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n) Euclidean distances."""
    squares = np.sum(points**2, axis=1)
    squared = squares[:, None] + squares[None, :] - 2.0 * points @ points.T
    np.fill_diagonal(squared, 0.0)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared))


def energy_test(a: ArrayLike, b: ArrayLike, *, seed: int, block: int = 1, permutations: int = 1999, alarm: float = ALARM) -> Verdict:
    """Energy-distance two-sample test with a permutation p-value.

    Parameters
    ----------
    a, b : (n, n_dim) and (m, n_dim) float64 arrays
        Independent draws (weights resampled, chains thinned), or blocks of them.
    seed : int
        Of the permutations.
    block : int
        Each ``block`` rows in order come from one run. Draws of one nested run share its errors in the volumes, above all in how much
        each mode weighs, so that runs are what can be exchanged, not draws: labels are permuted by block.
    permutations : int
        Random relabellings; the smallest possible p is 1 / (permutations + 1).
    alarm : float
        p below which the verdict fails.

    Returns
    -------
    Verdict
        ``statistic`` is the energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| of the whitened draws.

    Raises
    ------
    DataError
        If the samples' dimensions differ, one holds fewer than 10 blocks, or its length is no multiple of ``block``.

    References
    ----------
    Szekely & Rizzo, J. Stat. Plan. Inference 143 (2013) 1249.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    >>> energy_test(x, y, seed=1).passed, energy_test(x, 1.5 * y, seed=1).passed
    (True, False)
    """
    first, second = _pair(a, b, least=10 * block)
    n, m = len(first), len(second)
    if n % block or m % block:
        raise DataError(f"energy test: {n} and {m} draws are not whole blocks of {block}")
    distances = _distances(np.concatenate([first, second]))
    rows, total = distances.sum(axis=1), float(distances.sum())
    rng = generator(check_seed(seed), "energy")

    def statistic(members: NDArray[np.float64]) -> NDArray[np.float64]:
        within_a = np.einsum("ij,ij->j", members, distances @ members)
        across = rows @ members - within_a
        within_b = total - within_a - 2.0 * across
        return np.asarray(2.0 * across / (n * m) - within_a / (n * n) - within_b / (m * m))

    original = np.zeros((n + m, 1))
    original[:n] = 1.0
    observed = float(statistic(original)[0])
    exceeding = 0
    for start in range(0, permutations, 200):
        count = min(200, permutations - start)
        members = np.zeros((n + m, count))
        for column in range(count):
            chosen = rng.permutation((n + m) // block)[: n // block]
            members.reshape(-1, block, count)[chosen, :, column] = 1.0
        exceeding += int(np.sum(statistic(members) >= observed * (1.0 - 1e-12)))
    p = (exceeding + 1) / (permutations + 1)
    what = "whitened draws" if block == 1 else f"whitened draws, {block} together"
    return Verdict("energy distance", observed, p, n + m, p >= alarm, f"{permutations} permutations of {what}")
