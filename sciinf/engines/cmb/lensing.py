"""CMB lensing bandpowers with the linear correction for the dependence of the reconstruction on the CMB spectra."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sciinf.core.arrays import finite_array, finite_column
from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb.component import Origin
from sciinf.engines.cmb.gaussian import Bandpowers, GaussianComponent, Window
from sciinf.engines.cmb.kernels import KERNEL_VERSION

__all__ = ["CORRECTION_ORDER", "Lensing", "LensingData"]

CORRECTION_ORDER = ("TT", "EE", "TE", "PP")
"""Column order of the correction windows in the files."""


@dataclass(frozen=True, eq=False)
class LensingData:
    """Lensing bandpowers and their windows.

    Parameters
    ----------
    bandpowers : (m,) float64 array
        B_hat, of [L(L+1)]^2 C_L / 2pi.
    covariance : (m, m) float64 array
        Their covariance.
    windows : (m, l_max + 1) float64 array
        W_bL on PP, indexed by L from 0.
    corrections : dict of str to (m, l_max + 1) float64 array
        M^X_bL on TT, EE, TE (D_l, muK^2) and PP, indexed by L from 0.
    fiducial : (m,) float64 array
        The correction at the fiducial model, subtracted.
    l_range : (m, 2) int64 array
        Nominal first and last L of each bandpower, for pictures.
    l_mean : (m,) float64 array
        Nominal mean L, for pictures.
    origin : Origin
        Where the data come from.

    Raises
    ------
    DataError
        If shapes disagree or a value is not finite.
    """

    bandpowers: NDArray[np.float64]
    covariance: NDArray[np.float64]
    windows: NDArray[np.float64]
    corrections: dict[str, NDArray[np.float64]]
    fiducial: NDArray[np.float64]
    l_range: NDArray[np.int64]
    l_mean: NDArray[np.float64]
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        set_, m = object.__setattr__, len(np.atleast_1d(self.bandpowers))
        for name in ("bandpowers", "fiducial", "l_mean"):
            set_(self, name, finite_column(f"lensing {name}", getattr(self, name), length=m))
        set_(self, "l_range", np.array(self.l_range, dtype=np.int64).reshape(m, 2))
        set_(self, "windows", finite_array("lensing windows", self.windows, shape=(m, -1)))
        if set(self.corrections) != set(CORRECTION_ORDER):
            raise DataError(f"lensing corrections must hold {', '.join(CORRECTION_ORDER)}, got {', '.join(self.corrections) or 'none'}")
        set_(self, "corrections", {k: finite_array(f"lensing correction {k}", v, shape=(m, -1)) for k, v in self.corrections.items()})


def _window(spectrum: str, weights: NDArray[np.float64]) -> tuple[Window, ...]:
    """The non-zero stretch of a row of weights indexed by l from 0, or nothing."""
    used = np.flatnonzero(weights)
    return (Window(spectrum, int(used[0]), np.ascontiguousarray(weights[used[0] : used[-1] + 1])),) if len(used) else ()


@dataclass(frozen=True, eq=False)
class Lensing(GaussianComponent):
    """Gaussian likelihood of lensing bandpowers, conservative range, with the correction windows on TT, EE, TE and PP.

    Parameters
    ----------
    data : LensingData
        From `planck_data`, or your own.

    Raises
    ------
    DataError
        If the covariance is not symmetric positive definite.

    Notes
    -----
    chi2 = (B - B_hat)^T C^-1 (B - B_hat) with B_b = sum_L (W_bL + M^PP_bL) PP_L + sum_X sum_L M^X_bL X_L / A_planck^2 - fiducial_b,
    X in TT, EE, TE. PP is not divided. The real PP correction is non-zero only at L = 2, 12, 22, ..., ever wider apart: the weights already
    contain the step, and nothing is interpolated.
    No Hartlap factor. arXiv:1807.06210.
    """

    data: LensingData
    core: Bandpowers = field(init=False, repr=False)
    origin: Origin = field(init=False, repr=False)

    name: ClassVar[str] = "lensing"

    def __post_init__(self) -> None:
        data = self.data
        l_count = max(data.windows.shape[1], data.corrections["PP"].shape[1])
        total = np.zeros((len(data.bandpowers), l_count))
        total[:, : data.windows.shape[1]] += data.windows
        total[:, : data.corrections["PP"].shape[1]] += data.corrections["PP"]
        rows = []
        for b in range(len(total)):
            row = _window("PP", total[b])
            for name in ("TT", "TE", "EE"):
                row += _window(name, data.corrections[name][b])
            rows.append(row)
        object.__setattr__(self, "origin", data.origin)
        object.__setattr__(self, "core", Bandpowers("lensing", data.bandpowers, data.covariance, tuple(rows), -data.fiducial))

    def with_data(self, data: NDArray[np.float64]) -> Self:
        """The same windows with other bandpowers (m,)."""
        other = super().with_data(data)
        object.__setattr__(other, "data", replace(self.data, bandpowers=other.core.data, origin=other.origin))
        return other

    def citations(self) -> tuple[str, ...]:
        """Planck 2018 results VIII and V."""
        return ("arXiv:1807.06210", "arXiv:1907.12875")

    def fingerprint(self) -> str:
        """sha256 over data and kernel version."""
        data = self.data
        return sha256_of(self.name, KERNEL_VERSION, data.bandpowers, data.covariance, data.windows, data.corrections, data.fiducial)
