"""The comb template: evenly spaced damped modes, which bins belong to which, and where each one ends.

Everything here is plain NumPy over bins: the definition that the compiled kernels are held against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, shown

__all__ = ["EDGE", "CombTemplate", "band_slice"]

EDGE = 1.0 - 1e-9
"""A bin is outside its mode from this fraction of the cut on, so that no rounding decides where an edge meets the grid."""

_ROOM = 1e-9


def band_slice(f_min: float, f_max: float, duration: float, last_bin: int) -> tuple[int, int]:
    """First and last bin of a band, inclusive: from floor(f_min T) to floor(f_max T) + 1, safe against rounding, clipped to 1 ... last_bin.

    Parameters
    ----------
    f_min, f_max : float
        Band in Hz.
    duration : float
        T in s.
    last_bin : int
        Last bin below Nyquist.

    Examples
    --------
    >>> band_slice(50.0, 339.0, 4.0, 8191)
    (200, 1357)
    """
    return max(math.floor(f_min * duration + _ROOM), 1), min(math.floor(f_max * duration + _ROOM) + 1, last_bin)


@dataclass(frozen=True)
class CombTemplate:
    """One Lorentzian line per mode, each cut where its height has fallen to ``cut_height``.

    Parameters
    ----------
    cut_height : float
        Fraction of the peak at which a line ends, in (0, 1).
    minimum_bins : int
        Bins that a line keeps at least on either side of its centre, at most half the spacing.

    Raises
    ------
    ConfigError
        If a value is not allowed.

    Notes
    -----
    With offset f0, spacing Df, width w and duration T, bin j at f_j = j / T belongs to tooth n = floor((f_j - f0)/Df + 1/2), lies
    Omega_j = 2 pi (f_j - f0 - n Df) from its centre, and has u_j = w/(w + i Omega_j) (1 - exp(-(w + i Omega_j) T)) inside the cut
    min(max(w sqrt(1 - c^2)/c, 2 pi minimum_bins/T), pi Df), zero outside (arXiv:2308.01017; numpy's sign of the Fourier transform). A bin
    within 1e-9 of the cut is outside.
    """

    cut_height: float = 0.2
    minimum_bins: int = 3

    def __post_init__(self) -> None:
        if not (isinstance(self.cut_height, int | float) and 0.0 < self.cut_height < 1.0):
            raise ConfigError(f"CombTemplate: cut_height must lie in (0, 1), got {shown(self.cut_height)}")
        if not isinstance(self.minimum_bins, int) or self.minimum_bins < 1:
            raise ConfigError(f"CombTemplate: minimum_bins must be an integer of at least 1, got {shown(self.minimum_bins)}")

    @property
    def reach(self) -> float:
        """Where a line has fallen to ``cut_height``, in widths."""
        return math.sqrt(1.0 - self.cut_height**2) / self.cut_height

    def cut(self, width: float, spacing: float, duration: float) -> float:
        """Half-width of a line's support in rad/s, for a width in rad/s, a spacing in Hz and T in s."""
        return min(max(width * self.reach, 2.0 * math.pi * self.minimum_bins / duration), math.pi * spacing)

    def evaluate(
        self, spacing: float, offset_hz: float, width: float, first: int, last: int, duration: float
    ) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
        """The template at unit amplitude and each bin's tooth.

        Parameters
        ----------
        spacing, offset_hz : float
            Hz.
        width : float
            rad/s.
        first, last : int
            Bins, inclusive.
        duration : float
            T in s.

        Returns
        -------
        u : (last - first + 1,) complex128 array
            Zero outside the support.
        tooth : (last - first + 1,) int64 array
            Label n of the nearest tooth.
        """
        bins = np.arange(first, last + 1)
        df = 1.0 / duration
        tooth = np.floor((bins * df - offset_hz) / spacing + 0.5)
        omega = 2.0 * np.pi * (bins * df - offset_hz - tooth * spacing)
        rate = width + 1j * omega
        u = width / rate * -np.expm1(-rate * duration)
        u[np.abs(omega) >= self.cut(width, spacing, duration) * EDGE] = 0.0
        return u, tooth.astype(np.int64)
