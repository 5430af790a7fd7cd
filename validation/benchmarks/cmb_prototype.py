"""A plain NumPy chain of the headline run, to time against: a quadratic emulator of whitened bandpowers, emcee with vectorised calls.

The method is that of a feasibility study: 240 points, quadratic in six parameters, plik_lite TTTEEE + two low-l bins + SimAll + the
A_planck prior. Its spectra come from the emulator that ships, so that CAMB need not run; only the sampling is timed.
"""

from __future__ import annotations

import time
from itertools import combinations_with_replacement

import numpy as np
from scipy.linalg import solve_triangular
from scipy.stats import qmc

from sciinf.engines.cmb.lcdm import LCDM_BOX
from sciinf.engines.cmb.model import Hybrid

__all__ = ["prototype"]

_CENTRE = np.array([0.02236, 0.1201, 1.0409, 0.0544, 3.045, 0.9652])
_WIDTH = np.array([0.00015, 0.0014, 0.00031, 0.0077, 0.016, 0.0043])


def _features(theta: np.ndarray) -> np.ndarray:
    """Full quadratic in the six scaled parameters (n, 28)."""
    u = (theta - _CENTRE) / (5.0 * _WIDTH)
    columns = [np.ones(len(u))]
    columns += [np.prod(u[:, list(pair)], axis=1) for k in (1, 2) for pair in combinations_with_replacement(range(6), k)]
    return np.column_stack(columns)


def prototype(engine: Hybrid, steps: int = 3000, walkers: int = 64, seed: int = 1) -> float:
    """Seconds that emcee takes for ``steps`` steps of ``walkers`` walkers on the NumPy likelihood."""
    import emcee

    parts = [engine.component("plik_lite").linear(), engine.component("low_tt_bins").linear()]
    table = engine.component("low_ee").table  # type: ignore[attr-defined]
    low, high = np.array([LCDM_BOX[name] for name in engine.theory.parameters]).T
    unit = qmc.Sobol(6, rng=np.random.default_rng(seed)).random(256)[:240]
    points = np.clip(_CENTRE + 4.5 * _WIDTH * (2.0 * unit - 1.0), low, high)
    batch = engine.theory.spectra_many(points)
    scale = np.exp(points[:, 4] - 2.0 * points[:, 3])
    targets, models = [], []
    for part in parts:
        assert part is not None
        binned = sum(batch[name][:, : response.shape[1]] @ response.T for name, response in part.response.items())
        models.append(solve_triangular(part.cholesky, (binned / scale[:, None]).T, lower=True).T)
        targets.append(solve_triangular(part.cholesky, part.data, lower=True))
    target, model = np.concatenate(targets), np.concatenate(models, axis=1)
    features = _features(points)
    weights = np.linalg.lstsq(features, model, rcond=None)[0]
    low_ee = np.linalg.lstsq(features, np.log(batch["EE"][:, 2:30] * np.exp(-points[:, 4])[:, None]), rcond=None)[0]

    def log_posterior(theta: np.ndarray) -> np.ndarray:
        six, y = theta[:, :6], theta[:, 6]
        inside = np.all((six >= low) & (six <= high), axis=1)
        phi = _features(six)
        amplitude = np.exp(six[:, 4] - 2.0 * six[:, 3]) / y**2
        residual = target - (phi @ weights) * amplitude[:, None]
        ee = np.exp(phi @ low_ee + six[:, 4:5]) / (y * y)[:, None]
        cells = np.clip((ee / 1e-4).astype(int), 0, 2999)
        total = -0.5 * np.sum(residual**2, axis=1) + np.sum(table[cells, np.arange(28)], axis=1) - 0.5 * ((y - 1.0) / 0.0025) ** 2
        return np.where(inside & np.all((ee >= 0.0) & (ee < 0.3), axis=1), total, -np.inf)

    rng = np.random.default_rng(seed)
    start = np.column_stack([_CENTRE + 0.5 * _WIDTH * rng.normal(size=(walkers, 6)), 1.0 + 0.001 * rng.normal(size=walkers)])
    sampler = emcee.EnsembleSampler(walkers, 7, log_posterior, vectorize=True)
    began = time.perf_counter()
    sampler.run_mcmc(start, steps)
    return time.perf_counter() - began
