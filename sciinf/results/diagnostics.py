"""How far a posterior can be trusted: effective sizes, R-hat, autocorrelation, Monte Carlo errors; tests of nested runs.

Functions on draws take an array (n_chains, n_draws) of one quantity and use ArviZ's formulas. Walkers of one ensemble are not
independent chains: for them trust `autocorrelation_time`, not `split_rhat`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.special import betaincinv, ndtri

from sciinf.core.errors import ConfigError, DataError
from sciinf.results.nested import InsertionTest, evidence_error_bootstrap, insertion_rank_test
from sciinf.results.weights import effective_size as ess

if TYPE_CHECKING:
    from sciinf.results.posterior import Posterior

__all__ = [
    "InsertionTest",
    "autocorrelation_time",
    "chains_of",
    "ess",
    "ess_bulk",
    "ess_mean",
    "ess_tail",
    "evidence_error_bootstrap",
    "insertion_rank_test",
    "mcse",
    "slowest_autocorrelation_time",
    "split_rhat",
]

_MIN_DRAWS = 4
_ONE_SIGMA = (0.1586553, 0.8413447)  # ArviZ's rounding of the normal distribution at -1 and +1 sigma


def chains_of(posterior: Posterior, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (n,) or (n, k) of an MCMC posterior as (n_chains, n_draws) or (n_chains, n_draws, k), steps in order.

    Chains of unequal length are cut to the last draws that all have.

    Raises
    ------
    DataError
        If the posterior has no chain and draw indices.
    """
    if posterior.chain is None or posterior.draw is None:
        raise DataError("this posterior has no chains (it has no chain and draw indices): chain diagnostics do not apply to it")
    order = np.lexsort((posterior.draw, posterior.chain))
    ends = np.cumsum(np.unique(posterior.chain, return_counts=True)[1])
    shortest = int(np.min(np.diff(ends, prepend=0)))
    index = ends[:, None] - shortest + np.arange(shortest)
    return np.asarray(values[order][index])


def _as_draws(draws: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_2d(np.asarray(draws, dtype=np.float64))
    if array.ndim != 2:
        raise DataError(f"draws must have shape (n_chains, n_draws), got {array.shape}")
    return array


def _usable(draws: NDArray[np.float64], chains: int = 1) -> bool:
    """Whether there are enough draws and no NaN."""
    return draws.shape[0] >= chains and draws.shape[1] >= _MIN_DRAWS and not bool(np.isnan(draws).any())


def _split(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """First and second half of each chain as chains of their own; a middle draw is left out."""
    half = draws.shape[1] // 2
    return np.vstack([draws[:, :half], draws[:, -half:]])


def _rank_normalised(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of the pooled ranks (ties get their mean rank), with Blom's offset 3/8."""
    _, inverse, counts = np.unique(draws, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse].reshape(draws.shape)
    return np.asarray(ndtri((rank - 0.375) / (draws.size + 0.25)))


def _autocovariance(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocovariance of each row at every lag, divided by the number of draws."""
    n = draws.shape[1]
    padded = next_fast_len(2 * n - 1, real=True)
    spectrum = np.fft.rfft(draws - draws.mean(axis=1, keepdims=True), n=padded, axis=1)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, n=padded, axis=1)[:, :n] / n)


def _geyer_sum(rho: NDArray[np.float64]) -> float:
    """Autocorrelation time 1 + 2 sum rho_t over Geyer's initial monotone sequence, with ArviZ's last term.

    Notes
    -----
    Vehtari et al. 2021 (arXiv:1903.08008), section 3.2. The pairs (rho_2k + rho_2k+1) are summed while positive and made
    non-increasing; then half of the first even term beyond them is added where it is positive.
    """
    n_pairs = 1
    while 2 * n_pairs - 1 < len(rho) - 3 and rho[2 * n_pairs - 2] + rho[2 * n_pairs - 1] > 0.0:
        n_pairs += 1
    last_even = rho[2 * n_pairs - 2]
    pairs = rho[0 : 2 * n_pairs - 2 : 2] + rho[1 : 2 * n_pairs - 1 : 2]
    total = -1.0 + 2.0 * float(np.sum(np.minimum.accumulate(pairs)))
    return total + (float(last_even) if last_even > 0.0 else 0.0)


def _effective_draws(draws: NDArray[np.float64]) -> float:
    """ESS of draws (n_chains, n_draws), chains pooled."""
    n_chains, n_draws = draws.shape
    if np.ptp(draws) < 1e-15:
        return float(draws.size)
    covariance = _autocovariance(draws).mean(axis=0)
    within = covariance[0] * n_draws / (n_draws - 1.0)
    pooled = covariance[0] + (float(np.var(draws.mean(axis=1), ddof=1)) if n_chains > 1 else 0.0)
    rho = 1.0 - (within - covariance) / pooled
    rho[0] = 1.0
    return float(draws.size / max(_geyer_sum(rho), 1.0 / np.log10(draws.size)))


def ess_mean(draws: ArrayLike) -> float:
    """Effective sample size for the mean; NaN for fewer than 4 draws or a NaN."""
    array = _as_draws(draws)
    return _effective_draws(_split(array)) if _usable(array) else float("nan")


def ess_bulk(draws: ArrayLike) -> float:
    """Effective sample size of the rank-normalised draws (n_chains, n_draws): the bulk; NaN for fewer than 4 draws or a NaN.

    References
    ----------
    Vehtari et al. 2021, arXiv:1903.08008.
    """
    array = _as_draws(draws)
    return _effective_draws(_rank_normalised(_split(array))) if _usable(array) else float("nan")


def _ess_quantile(array: NDArray[np.float64], probability: float) -> float:
    below = array <= np.quantile(array, probability)
    return _effective_draws(_split(below.astype(np.float64)))


def ess_tail(draws: ArrayLike) -> float:
    """Smaller of the effective sample sizes of the 5 % and 95 % quantiles; NaN for fewer than 4 draws or a NaN."""
    array = _as_draws(draws)
    return min(_ess_quantile(array, 0.05), _ess_quantile(array, 0.95)) if _usable(array) else float("nan")


def _rhat(draws: NDArray[np.float64]) -> float:
    n_draws = draws.shape[1]
    between = n_draws * np.var(draws.mean(axis=1), ddof=1)
    within = np.mean(np.var(draws, axis=1, ddof=1))
    if within == 0.0:
        return float("nan") if between == 0.0 else float("inf")
    return float(np.sqrt((between / within + n_draws - 1.0) / n_draws))


def split_rhat(draws: ArrayLike) -> float:
    """Rank-normalised split R-hat, the larger of bulk and folded; NaN for fewer than 2 chains or 4 draws, or a NaN.

    References
    ----------
    Vehtari et al. 2021, arXiv:1903.08008.
    """
    array = _as_draws(draws)
    if not _usable(array, chains=2):
        return float("nan")
    halves = _split(array)
    return max(_rhat(_rank_normalised(halves)), _rhat(_rank_normalised(np.abs(halves - np.median(halves)))))


def mcse(draws: ArrayLike, method: Literal["mean", "sd", "median", "quantile"] = "mean", probability: float | None = None) -> float:
    """Monte Carlo standard error of the mean, standard deviation, median or a quantile; NaN for fewer than 4 draws or a NaN.

    Parameters
    ----------
    draws : (n_chains, n_draws) float array
        One quantity.
    method : {"mean", "sd", "median", "quantile"}
        Of what.
    probability : float, optional
        Which quantile; with ``method="quantile"`` only.

    Raises
    ------
    ConfigError
        If ``method`` is unknown, or ``probability`` is missing, outside (0, 1) or given without need.
    """
    if method not in ("mean", "sd", "median", "quantile"):
        raise ConfigError(f"method must be 'mean', 'sd', 'median' or 'quantile', got {method!r}")
    if (method == "quantile") != (probability is not None):
        raise ConfigError(f"probability goes with method='quantile' and only there, got method={method!r}, probability={probability!r}")
    array = _as_draws(draws)
    if not _usable(array):
        return float("nan")
    if method == "mean":
        return float(np.std(array, ddof=1) / np.sqrt(ess_mean(array)))
    if method == "sd":
        square = (array - array.mean()) ** 2
        variance = square.mean()
        if variance == 0.0:
            return 0.0
        return float(np.sqrt(((square**2).mean() - variance**2) / ess_mean(square) / variance / 4.0))
    return _mcse_quantile(array, 0.5 if probability is None else probability)


def _mcse_quantile(array: NDArray[np.float64], probability: float) -> float:
    """Half the distance between the order statistics one sigma around the quantile, by the Beta distribution."""
    if not 0.0 < probability < 1.0:
        raise ConfigError(f"probability must lie in (0, 1), got {probability!r}")
    size = _ess_quantile(array, probability)
    low, high = betaincinv(size * probability + 1.0, size * (1.0 - probability) + 1.0, _ONE_SIGMA) * array.size - 1.0
    ordered = np.sort(array, axis=None)
    return float(ordered[int(np.ceil(min(high, array.size - 1)))] - ordered[int(np.floor(max(low, 0)))]) / 2.0


def autocorrelation_time(draws: ArrayLike, *, window: float = 5.0) -> float:
    """Integrated autocorrelation time, in draws, of draws (n_chains, n_draws), by Sokal's window and the mean over chains.

    Parameters
    ----------
    draws : (n_chains, n_draws) float array
        One quantity; each row is a chain or an ensemble's walker.
    window : float
        The sum stops at the first lag M >= ``window`` tau(M).

    Notes
    -----
    tau(M) = 1 + 2 sum_{t=1}^M rho(t), as emcee computes it. A chain that never moves counts as fully correlated (rho = 1).
    The estimate is low when the chain is shorter than about 50 tau.

    References
    ----------
    Sokal 1996, "Monte Carlo methods in statistical mechanics"; Foreman-Mackey et al. 2013 (arXiv:1202.3665).

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=(8, 4000))
    >>> abs(autocorrelation_time(noise) - 1.0) < 0.05
    True
    """
    array = _as_draws(draws)
    if not np.isfinite(array).all():
        return float("nan")
    covariance = _autocovariance(array)
    moves = np.ptp(array, axis=1) > 0.0
    rho = np.ones_like(covariance)
    rho[moves] = covariance[moves] / covariance[moves, :1]
    taus = 2.0 * np.cumsum(rho.mean(axis=0)) - 1.0
    outside = np.arange(len(taus)) >= window * taus
    return float(taus[np.argmax(outside)] if outside.any() else taus[-1])


def slowest_autocorrelation_time(posterior: Posterior) -> float:
    """Longest integrated autocorrelation time of the sampled parameters, in kept draws.

    Raises
    ------
    DataError
        If the posterior has no chains.
    """
    draws = chains_of(posterior, posterior.samples)
    return max(autocorrelation_time(draws[:, :, i]) for i in range(posterior.n_dim))
