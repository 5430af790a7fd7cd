"""An independent, slow evaluation of the comb likelihoods: plain arrays in, bin by bin in complex128, written from the formulas.

It shares no code with the engine, knows no loop over teeth, keeps every bin of the band, and takes ln I0 from scipy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch

__all__ = ["Detector", "Oracle", "detectors_of", "log_i0", "of_engine"]

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Detector:
    """d_j and S_j from j = 0 on, which bins count, and how the detector sees the signal."""

    values: Complex
    psd: NDArray[np.float64]
    used: NDArray[np.bool_]
    response: float = 1.0
    delay: float = 0.0


def log_i0(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln I0(x) of x >= 0: by a dozen terms of I0 - 1 below 1, by scipy's scaled function above."""
    low = x < 1.0
    t = 0.25 * x[low] ** 2
    term, total = np.ones_like(t), np.zeros_like(t)
    for k in range(1, 13):
        term = term * t / (k * k)
        total = total + term
    out = np.empty_like(x)
    out[low], out[~low] = np.log1p(total), np.log(special.ive(0, x[~low])) + x[~low]
    return out


@dataclass(frozen=True, eq=False)
class Oracle:
    """One comb on one network.

    Parameters
    ----------
    detectors : sequence of Detector
        The reference first.
    duration : float
        T in s.
    comb : mapping
        ``spacing``, ``offset_hz`` (Hz), ``width`` (rad/s), ``f_min``, ``f_max`` (Hz); ``phase_shifts``, one per detector after the first.
    cut_height, minimum_bins
        c and the least reach of a mode in bins.
    """

    detectors: Sequence[Detector]
    duration: float
    comb: Mapping[str, Any]
    cut_height: float = 0.2
    minimum_bins: int = 3

    def bins(self) -> NDArray[np.int64]:
        """The band slice: floor(f_min T) up to and including floor(f_max T) + 1, clipped to 1 ... last below Nyquist."""
        low = math.floor(self.comb["f_min"] * self.duration + 1e-9)
        high = math.floor(self.comb["f_max"] * self.duration + 1e-9) + 1
        return np.arange(max(low, 1), min(high, len(self.detectors[0].values) - 2) + 1)

    def template(self) -> tuple[Complex, NDArray[np.float64], NDArray[np.int64]]:
        """u_j, the labels n(j), and the bins j that carry them: only those inside the support."""
        spacing, f0, w = (float(self.comb[name]) for name in ("spacing", "offset_hz", "width"))
        j, df = self.bins(), 1.0 / self.duration
        label = np.floor((j * df - f0) / spacing + 0.5)
        omega = 2.0 * np.pi * (j * df - f0 - label * spacing)
        c = self.cut_height
        cut = min(max(w * math.sqrt(1.0 - c * c) / c, 2.0 * math.pi * self.minimum_bins / self.duration), math.pi * spacing)
        inside = ~(np.abs(omega) >= cut * (1.0 - 1e-9))
        rate = w + 1j * omega[inside]
        return w / rate * (1.0 - np.exp(-rate * self.duration)), label[inside], j[inside]

    def sums(self) -> tuple[Complex, NDArray[np.float64], NDArray[np.float64]]:
        """4 df conj(u_j) y_j, 4 df abs(u_j)^2 v_j and the labels, over the bins inside the support that some detector uses."""
        u, label, j = self.template()
        df = 1.0 / self.duration
        y, v = np.zeros(len(j), dtype=np.complex128), np.zeros(len(j))
        for detector, shift in zip(self.detectors, (0.0, *self.comb.get("phase_shifts", ())), strict=True):
            on = detector.used[j]
            d, s = detector.values[j[on]], detector.psd[j[on]]
            turn = np.exp(1j * shift) * np.exp(-2j * np.pi * detector.delay * j[on] * df)
            y[on] += detector.response * d / s * turn
            v[on] += detector.response**2 / s
        return 4.0 * df * np.conj(u) * y, 4.0 * df * np.abs(u) ** 2 * v, label

    def coefficients(self, phase: str) -> tuple[NDArray[np.float64], float]:
        """K_i (one per mode or bin; for "whittle" the one signed X) and E, with ln L(A) = sum ln I0(A K_i) - A^2 E / 2."""
        matched, norm, label = self.sums()
        if phase == "bin":
            strength = np.abs(matched)
        elif phase == "mode":
            labels, at = np.unique(label, return_inverse=True)
            each = np.zeros(len(labels), dtype=np.complex128)
            np.add.at(each, at, matched)
            strength = np.abs(each)
        else:
            strength = np.array([np.sum(matched.real)])
        return strength, float(np.sum(norm))

    def log_likelihood(self, phase: str, amplitude: float) -> float:
        """Ln L over noise only."""
        strength, e = self.coefficients(phase)
        gain = amplitude * float(strength[0]) if phase == "whittle" else float(np.sum(log_i0(amplitude * strength)))
        return gain - 0.5 * amplitude**2 * e

    def snr(self, amplitude: float) -> float:
        """Optimal SNR of the comb in these bins."""
        return amplitude * math.sqrt(float(np.sum(self.sums()[1])))


def detectors_of(engine: EchoSearch) -> list[Detector]:
    """An engine's data, as the oracle takes them."""
    return [Detector(item.values, item.psd, item.used, item.response, item.delay) for item in engine.spectra]


def of_engine(engine: EchoSearch, values: Mapping[str, float]) -> Oracle:
    """The oracle of an engine at parameters by name."""
    offset = values["offset"] if engine.offset_unit == "Hz" else values["offset"] * values["spacing"]
    low, high = (values["f_min"], values["f_max"]) if isinstance(engine.band, str) else engine.band
    shifts = tuple(values[f"phase_shift_{name}"] for name in engine.detectors[1:])
    comb = {
        "spacing": values["spacing"],
        "offset_hz": offset,
        "width": values["width"],
        "f_min": low,
        "f_max": high,
        "phase_shifts": shifts,
    }
    template: Any = engine.template
    return Oracle(detectors_of(engine), engine.duration, comb, template.cut_height, template.minimum_bins)
