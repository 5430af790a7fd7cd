"""Published figures of comb searches, for the tables that stand beside ours (arXiv:2308.01017 and the data files of its repository)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.validation.echo_checks import Phase

__all__ = ["COMBS", "NOISE_OF_WAVEFORMS", "WAVEFORMS", "PublishedCombs", "PublishedRuns", "PublishedWaveforms"]

_RUNS = 100  # of each published figure


@dataclass(frozen=True)
class PublishedRuns:
    """ln B of 100 noise seeds with a signal: median, 16th and 84th percentile."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.1f}, {self.high:.1f}]"

    def z_of_median(self, log_evidence: NDArray[np.float64]) -> float:
        """Distance of the median of our ln B from the published one, in their joint error as of Gaussians."""
        spread = 0.5 * (self.high - self.low)
        return float(np.median(log_evidence) - self.median) / (1.2533 * spread * math.sqrt(1.0 / len(log_evidence) + 1.0 / _RUNS))


@dataclass(frozen=True)
class PublishedCombs(PublishedRuns):
    """Also ln B of noise, and the median of the largest ln L.

    Parameters
    ----------
    best : float
        Largest ln L.
    noise, noise_sd, noise_max : float
        Mean, standard deviation and largest ln B of noise.
    """

    best: float
    noise: float
    noise_sd: float
    noise_max: float

    def z_of_noise(self, log_evidence: NDArray[np.float64]) -> float:
        """Distance of the mean of our ln B of noise from the published one, in their joint error."""
        return float(np.mean(log_evidence) - self.noise) / (self.noise_sd * math.sqrt(1.0 / len(log_evidence) + 1.0 / _RUNS))


@dataclass(frozen=True)
class PublishedWaveforms(PublishedRuns):
    """Also the largest ln L of the same runs, and the share of them with ln B above that of every noise run.

    Parameters
    ----------
    best, best_low, best_high : float
        Largest ln L: median, 16th and 84th percentile.
    above : float
        Share above the largest ln B of 100 noise runs.
    """

    best: float
    best_low: float
    best_high: float
    above: float


def _combs(phase: Phase, rows: dict[int, tuple[float, ...]]) -> dict[tuple[int, Phase], PublishedCombs]:
    return {(duration, phase): PublishedCombs(*row[3:], *row[:3]) for duration, row in rows.items()}


COMBS: dict[tuple[int, Phase], PublishedCombs] = {
    **_combs("mode", {
        1: (-6.56, 0.57, -4.49, 2.39, -2.99, 7.82, 20.3), 2: (-6.25, 0.60, -3.41, 18.67, 10.6, 32.7, 40.0),
        3: (-6.09, 0.51, -3.94, 37.11, 26.2, 53.0, 58.8), 4: (-5.61, 0.47, -3.17, 44.21, 35.5, 61.2, 65.1),
        8: (-5.40, 0.46, -3.66, 55.01, 39.8, 68.3, 77.8), 12: (-5.33, 0.33, -4.14, 52.21, 40.6, 68.0, 75.8),
        24: (-5.06, 0.36, -3.79, 47.20, 27.8, 62.7, 73.0), 52: (-4.85, 0.23, -4.12, 44.25, 21.9, 61.6, 70.6),
    }),
    **_combs("bin", {
        1: (-6.46, 0.60, -3.70, 0.47, -3.19, 6.06, 16.5), 2: (-6.12, 0.57, -4.31, 14.79, 5.9, 24.3, 33.8),
        3: (-5.97, 0.48, -3.89, 26.53, 15.7, 39.6, 46.6), 4: (-5.86, 0.52, -3.16, 26.73, 18.5, 41.9, 47.7),
        8: (-5.53, 0.42, -4.23, 28.11, 17.0, 40.4, 49.9), 12: (-5.40, 0.39, -3.32, 21.77, 11.8, 30.5, 43.5),
        24: (-4.94, 0.48, -1.86, 2.81, -4.0, 13.9, 25.7), 52: (-4.47, 0.49, -1.42, -4.17, -4.5, -0.1, 14.2),
    }),
}  # fmt: skip
"""The comb of 49 teeth, SNR 16.3 at T = 12 s, by T in s and phase."""


def _waveforms(family: str, phase: Phase, rows: dict[int, tuple[float, ...]]) -> dict[tuple[str, int, Phase], PublishedWaveforms]:
    return {(family, n, phase): PublishedWaveforms(*row) for n, row in rows.items()}


WAVEFORMS: dict[tuple[str, int, Phase], PublishedWaveforms] = {
    **_waveforms("constant_wall", "mode", {
        10: (-1.59, -2.37, 1.22, 15.7, 11.5, 22.4, 0.31), 20: (0.82, -2.03, 8.96, 23.3, 15.6, 34.5, 0.62),
        50: (20.80, -0.80, 31.56, 47.6, 22.3, 59.1, 0.83), 100: (38.05, 23.11, 50.98, 65.6, 51.2, 80.2, 1.00),
        150: (40.45, 20.33, 54.91, 71.1, 51.9, 83.7, 0.97), 200: (35.27, 22.19, 49.85, 65.5, 50.7, 79.4, 0.96),
    }),
    **_waveforms("constant_wall", "bin", {
        10: (-1.12, -1.98, 2.49, 14.3, 11.5, 19.7, 0.40), 20: (0.46, -1.57, 5.72, 19.6, 15.0, 26.8, 0.58),
        50: (10.00, 3.38, 17.54, 33.2, 26.0, 42.2, 0.91), 100: (31.30, 18.66, 42.49, 57.6, 43.9, 68.0, 1.00),
        150: (26.10, 14.45, 36.39, 52.4, 41.2, 64.4, 0.95), 200: (14.20, -0.52, 29.03, 41.5, 21.3, 56.2, 0.79),
    }),
    **_waveforms("damped_wall", "mode", {
        10: (-2.08, -2.60, -0.95, 12.9, 10.5, 17.8, 0.13), 20: (-1.73, -2.42, 2.92, 17.4, 13.2, 26.4, 0.36),
        50: (4.14, -2.24, 18.11, 29.1, 14.4, 45.0, 0.66), 100: (34.24, 7.33, 48.71, 63.5, 38.1, 77.0, 0.94),
        150: (47.81, -0.36, 65.98, 80.5, 22.5, 96.7, 0.83), 200: (55.24, 5.85, 72.36, 87.6, 29.4, 103.4, 0.90),
    }),
    **_waveforms("damped_wall", "bin", {
        10: (-1.75, -2.26, 0.06, 12.4, 9.6, 16.3, 0.24), 20: (-1.21, -2.13, 0.94, 15.1, 11.7, 21.0, 0.33),
        50: (3.58, -1.06, 10.74, 25.4, 17.2, 34.1, 0.77), 100: (33.15, 22.06, 45.62, 59.4, 49.0, 73.0, 0.96),
        150: (42.58, 31.31, 53.29, 70.5, 58.5, 80.5, 0.99), 200: (46.97, 31.71, 58.75, 75.0, 59.5, 88.4, 0.99),
    }),
    **_waveforms("boltzmann_wall", "mode", {
        10: (7.15, 0.35, 14.79, 28.2, 20.4, 37.2, 0.95), 20: (12.83, 5.22, 19.25, 36.0, 28.0, 43.6, 0.98),
        50: (12.86, 6.85, 21.69, 38.4, 31.6, 48.5, 0.97), 100: (10.56, 5.86, 16.57, 37.4, 31.3, 43.6, 1.00),
        150: (11.02, 5.68, 17.32, 38.7, 32.9, 44.7, 0.97), 200: (14.76, 7.59, 20.54, 42.2, 34.9, 50.3, 1.00),
    }),
    **_waveforms("boltzmann_wall", "bin", {
        10: (7.06, 0.77, 13.73, 25.8, 18.1, 33.4, 0.92), 20: (10.77, 4.89, 19.05, 32.8, 25.2, 41.6, 0.99),
        50: (13.87, 6.94, 20.63, 37.1, 30.2, 44.9, 1.00), 100: (10.38, 6.23, 17.77, 36.2, 30.1, 43.4, 0.98),
        150: (12.56, 6.17, 18.71, 38.1, 30.9, 43.7, 0.98), 200: (7.26, 2.16, 13.79, 33.0, 26.8, 40.6, 0.94),
    }),
    **_waveforms("wide_band", "mode", {
        10: (31.96, 24.30, 40.27, 55.7, 46.3, 64.0, 1.00), 20: (27.37, 20.11, 36.62, 51.4, 42.4, 60.4, 1.00),
        50: (24.83, 18.23, 32.63, 49.0, 41.2, 57.5, 1.00), 100: (24.60, 18.04, 30.49, 48.9, 41.5, 55.0, 1.00),
        150: (23.99, 14.87, 32.07, 48.5, 38.9, 58.6, 1.00), 200: (24.17, 17.17, 33.41, 49.6, 41.3, 59.7, 1.00),
    }),
    **_waveforms("wide_band", "bin", {
        10: (13.10, 6.82, 18.73, 32.2, 23.6, 38.8, 1.00), 20: (5.25, 1.10, 9.87, 23.1, 18.3, 29.8, 0.97),
        50: (0.52, -1.17, 3.08, 18.7, 15.2, 23.3, 0.58), 100: (-1.31, -2.14, 0.57, 16.7, 14.4, 20.5, 0.39),
        150: (-1.85, -2.37, -0.95, 15.9, 13.5, 19.1, 0.05), 200: (-2.02, -2.44, -1.36, 15.4, 13.5, 18.0, 0.01),
    }),
}  # fmt: skip
"""The four benchmark waveforms, by family, number of echoes and phase: percentiles of the columns logB and maxloglikelihood of the files
``FAMILY_Nxxx_{mode,bin}``, and the share of logB above the largest of ``noise_Nxxx_{mode,bin}`` (100 runs each)."""

NOISE_OF_WAVEFORMS: dict[Phase, dict[int, tuple[float, float]]] = {
    "mode": {10: (-2.58, -0.71), 20: (-2.53, -0.80), 50: (-2.64, -0.71), 100: (-2.72, -1.07), 150: (-2.83, -0.21), 200: (-2.82, -1.67)},
    "bin": {10: (-2.42, -0.47), 20: (-2.36, -0.23), 50: (-2.43, -0.56), 100: (-2.37, -0.82), 150: (-2.44, 0.28), 200: (-2.48, 0.03)},
}
"""Median and largest logB of the 100 runs of ``noise_Nxxx_{mode,bin}``, by phase and number of echoes."""
