"""How long an ensemble's chain is, in autocorrelation times: burn-in, effective samples, and when to look again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.results.diagnostics import autocorrelation_time
from sciinf.samplers.settings import Emcee

__all__ = ["ChainLength", "judge", "next_check"]

_BURN_TAUS = 5
_MIN_ESS = 1000
_CLEARLY_SHORT = 0.7


@dataclass(frozen=True)
class ChainLength:
    """What a chain's autocorrelation says about its length.

    Attributes
    ----------
    tau : (n_dim,) float64 array
        Integrated autocorrelation times behind the burn-in, in steps.
    burn : int
        Steps of burn-in.
    multiple : float
        Steps behind the burn-in over the longest tau.
    ess : float
        Effective samples of the worst parameter: walkers times ``multiple``.
    stable : bool
        Whether the last tau steps left the estimate where it was.
    """

    tau: NDArray[np.float64]
    burn: int
    multiple: float
    ess: float
    stable: bool

    def enough(self, settings: Emcee) -> bool:
        """Whether the chain is long enough for ``settings``."""
        return self.stable and self.multiple >= settings.tau_multiple and self.ess >= _MIN_ESS


def _taus(chain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocorrelation times (n_dim,) of a chain (n_steps, n_walkers, n_dim), in steps."""
    return np.array([autocorrelation_time(chain[:, :, i].T) for i in range(chain.shape[2])])


def _arrival(chain: NDArray[np.float64]) -> int:
    """First step from which every walker stays near the second half of the chain: within its range, widened by half on each side.

    Walkers that start in a wide prior may need far more steps to arrive than the autocorrelation time of the chain that follows.
    """
    half = len(chain) // 2
    low, high = chain[half:].min(axis=(0, 1)), chain[half:].max(axis=(0, 1))
    margin = 0.5 * (high - low)
    far = np.flatnonzero(np.any((chain[:half] < low - margin) | (chain[:half] > high + margin), axis=(1, 2)))
    return int(far[-1]) + 1 if len(far) else 0


def judge(chain: NDArray[np.float64], settings: Emcee, *, early: bool = False) -> ChainLength:
    """Length of a chain (n_steps, n_walkers, n_dim) in autocorrelation times; a pure function of the chain.

    Parameters
    ----------
    chain : (n_steps, n_walkers, n_dim) float64 array
        All steps so far.
    settings : Emcee
        Burn-in, ``tau_multiple`` and ``rtol_tau``.
    early : bool
        Be content with a rough estimate where the chain is clearly too short.

    Notes
    -----
    Burn-in and tau depend on each other: tau is first estimated on the second half (of every other walker), the burn-in is 5 tau after
    the last walker's arrival (or as set), and tau is estimated again behind it. The estimate is stable where leaving out the last tau
    steps changes the longest one by less than ``rtol_tau``.
    """
    n_steps, n_walkers, _ = chain.shape
    tau = _taus(chain[n_steps // 2 :, ::2])
    burn = _arrival(chain) + math.ceil(_BURN_TAUS * float(np.max(tau))) if isinstance(settings.burn, str) else settings.burn
    burn = min(burn, n_steps // 2 if isinstance(settings.burn, str) else n_steps - 1)
    clearly_short = (n_steps - burn) / max(float(np.max(tau)), 1.0) < _CLEARLY_SHORT * settings.tau_multiple
    if not (early and clearly_short):
        tau = _taus(chain[burn:])
    worst = int(np.argmax(tau))
    longest = max(float(tau[worst]), 1.0)
    multiple = (n_steps - burn) / longest
    ess = n_walkers * multiple
    stable = False
    if multiple >= settings.tau_multiple and ess >= _MIN_ESS:
        before = autocorrelation_time(chain[burn : n_steps - math.ceil(longest), :, worst].T)
        stable = abs(max(before, 1.0) - longest) < settings.rtol_tau * longest
    return ChainLength(tau, burn, multiple, ess, stable)


def next_check(n_steps: int, length: ChainLength, settings: Emcee) -> int:
    """Step at which to look again: where the chain should be long enough, but at most twice and at least 4 % further."""
    longest = max(float(np.max(length.tau)), 1.0)
    needed = length.burn + longest * max(settings.tau_multiple, _MIN_ESS / settings.n_walkers)
    return int(np.clip(math.ceil(1.02 * needed), n_steps + max(20, n_steps // 25), 2 * n_steps))
