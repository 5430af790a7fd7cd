"""Published figures of comb searches, for the tables that stand beside ours (arXiv:2308.01017 and the data files of its repository)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.validation.echo_checks import Phase

__all__ = ["BENCHMARKS", "COMBS", "PublishedCombs"]

_RUNS = 100  # of each published figure


@dataclass(frozen=True)
class PublishedCombs:
    """ln B over 100 seeds of the published comb, and of noise; the median of the largest ln L.

    Parameters
    ----------
    noise, noise_sd, noise_max : float
        Mean, standard deviation and largest ln B of noise.
    median, low, high : float
        ln B with the comb: median, 16th and 84th percentile.
    best : float
        Largest ln L.
    """

    noise: float
    noise_sd: float
    noise_max: float
    median: float
    low: float
    high: float
    best: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.1f}, {self.high:.1f}]"

    def z_of_median(self, log_evidence: NDArray[np.float64]) -> float:
        """Distance of the median of our ln B from the published one, in their joint error as of Gaussians."""
        spread = 0.5 * (self.high - self.low)
        return float(np.median(log_evidence) - self.median) / (1.2533 * spread * math.sqrt(1.0 / len(log_evidence) + 1.0 / _RUNS))

    def z_of_noise(self, log_evidence: NDArray[np.float64]) -> float:
        """Distance of the mean of our ln B of noise from the published one, in their joint error."""
        return float(np.mean(log_evidence) - self.noise) / (self.noise_sd * math.sqrt(1.0 / len(log_evidence) + 1.0 / _RUNS))


def _combs(phase: Phase, rows: dict[int, tuple[float, ...]]) -> dict[tuple[int, Phase], PublishedCombs]:
    return {(duration, phase): PublishedCombs(*row) for duration, row in rows.items()}


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

_N = (10, 20, 50, 100, 150, 200)


def _medians(values: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]) -> dict[tuple[str, int, Phase], float]:
    phases: tuple[Phase, ...] = ("mode", "bin")
    return {
        (family, n, phase): value
        for family, both in values.items()
        for phase, row in zip(phases, both, strict=True)
        for n, value in zip(_N, row, strict=True)
    }


BENCHMARKS: dict[tuple[str, int, Phase], float] = _medians({
    "constant_wall": ((-1.59, 0.82, 20.8, 38.1, 40.4, 35.3), (-1.12, 0.46, 10.0, 31.3, 26.1, 14.2)),
    "damped_wall": ((-2.08, -1.73, 4.14, 34.2, 47.8, 55.2), (-1.75, -1.21, 3.58, 33.1, 42.6, 47.0)),
    "boltzmann_wall": ((7.15, 12.8, 12.9, 10.6, 11.0, 14.8), (7.06, 10.8, 13.9, 10.4, 12.6, 7.3)),
    "wide_band": ((32.0, 27.4, 24.8, 24.6, 24.0, 24.2), (13.1, 5.25, 0.52, -1.31, -1.85, -2.02)),
})  # fmt: skip
"""Median ln B of the four benchmark waveforms, by family, number of echoes and phase."""
