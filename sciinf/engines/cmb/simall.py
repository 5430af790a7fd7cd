"""SimAll: the low-l EE likelihood, a table of log-probabilities per multipole."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from sciinf.core.arrays import as_float_array, finite_column
from sciinf.core.errors import ConfigError, DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.engines.cmb import kernels
from sciinf.engines.cmb.component import (
    A_PLANCK,
    Origin,
    calibration,
    calibration_prior,
    calibration_reason,
    calibrations,
    check_spectra,
    non_finite,
)
from sciinf.engines.cmb.kernels import KERNEL_VERSION, SIMALL_CELLS, SIMALL_D_MAX, SIMALL_L_MAX, SIMALL_L_MIN, SIMALL_STEP
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

__all__ = ["SimAllEE", "SimAllMock"]

_WIDTH = SIMALL_L_MAX - SIMALL_L_MIN + 1
_SHAPE = (SIMALL_CELLS, _WIDTH)


@dataclass(frozen=True)
class SimAllMock:
    """Stated surrogate for the official simulations of low-l EE: what `SimAllEE` draws from and builds its mock table with.

    Parameters
    ----------
    f_sky : float
        Sky fraction; nu = f_sky (2l + 1) degrees of freedom at each l.
    noise : float
        Noise power N_l, D_l convention, muK^2, the same at each l.

    Raises
    ------
    ConfigError
        If ``f_sky`` is not in (0, 1] or ``noise`` is not positive.

    Notes
    -----
    D_hat + N = (D / A_planck^2 + N) g with g ~ Gamma(shape nu / 2, scale 2 / nu); the table's column is ln p(D_hat | D) at the cell
    centres. Simulation and inference share the density, so calibration is exact up to the grid step.
    """

    f_sky: float = 0.5
    noise: float = 5e-3

    def __post_init__(self) -> None:
        if not 0.0 < self.f_sky <= 1.0 or not 0.0 < self.noise < math.inf:
            raise ConfigError(f"SimAllMock needs 0 < f_sky <= 1 and noise > 0 (muK^2), got f_sky={self.f_sky}, noise={self.noise}")

    def _half_nu(self) -> NDArray[np.float64]:
        return np.asarray(0.5 * self.f_sky * (2.0 * np.arange(SIMALL_L_MIN, SIMALL_L_MAX + 1) + 1.0), dtype=np.float64)

    def draw(self, ee: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Observed D_hat (28,) at D_l^EE / A_planck^2 = ``ee`` (28,), l = 2..29, muK^2; may be negative, above -noise."""
        half = self._half_nu()
        return np.asarray((ee + self.noise) * rng.gamma(half) / half - self.noise, dtype=np.float64)

    def table(self, observed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-density ln p(observed | D) (3000, 28) at the cell centres."""
        centres: NDArray[np.float64] = (np.arange(SIMALL_CELLS, dtype=np.float64)[:, None] + 0.5) * SIMALL_STEP
        return self.log_density(observed, centres)

    def log_density(self, observed: NDArray[np.float64], ee: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-density ln p(observed | D) of ``observed`` (28,) at D_l^EE / A_planck^2 = ``ee`` (n, 28) or (n, 1), muK^2: (n, 28).

        Raises
        ------
        DataError
            If an observed value does not exceed -noise.
        """
        half = self._half_nu()
        model = ee + self.noise
        total = finite_column("SimAll mock data", observed, length=_WIDTH) + self.noise
        if np.any(total <= 0.0):
            raise DataError(f"SimAll mock data must exceed -noise = {-self.noise:g} muK^2, got {observed[int(np.argmin(total))]:g}")
        density = half * np.log(half / model) - gammaln(half) + (half - 1.0) * np.log(total) - half * total / model
        return np.ascontiguousarray(density)


def _scaled(spectra: Spectra, y: float) -> NDArray[np.float64]:
    """D_l^EE / A_planck^2 (28,), l = 2..29, muK^2; as in the kernel, an A_planck whose square is no float64 gives 0 or infinity."""
    with np.errstate(all="ignore"):
        return np.asarray(spectra["EE"][SIMALL_L_MIN : SIMALL_L_MAX + 1] / np.square(np.float64(y)))


@dataclass(frozen=True, eq=False)
class SimAllEE:
    """Low-l EE likelihood, l = 2-29: the sum of a table's entries.

    Parameters
    ----------
    table : (3000, 28) float64 array
        Natural-log probability; row i is D_l^EE in [i, i + 1) 1e-4 muK^2, column j is l = j + 2.
    interp : {"nearest", "linear"}
        The cell's value (the official rule: piecewise constant), or linear between cell centres, clamped beyond the first and last
        centre (for gradient methods).
    mock : SimAllMock
        What `simulate` draws from.
    origin : Origin
        Where the table comes from.

    Raises
    ------
    DataError
        If the table has another shape or holds a value that is not finite (the first such cell is named).
    ConfigError
        If ``interp`` is neither of the two.

    Notes
    -----
    ln L = sum_l T[floor(D_l / (A_planck^2 1e-4)), l - 2], with D_l / (A A step) computed in this order; -inf where D_l < 0,
    D_l / A_planck^2 >= 0.3 muK^2 or D_l is NaN. The offset of chi2 (about 396) is arbitrary. arXiv:1907.12875, section 2.2.
    """

    table: NDArray[np.float64]
    interp: Literal["nearest", "linear"] = "nearest"
    mock: SimAllMock = SimAllMock()
    origin: Origin = field(default_factory=Origin)
    _flat: NDArray[np.float64] = field(init=False, repr=False)

    name: ClassVar[str] = "low_ee"
    nuisance: ClassVar[tuple[str, ...]] = (A_PLANCK,)
    requires: ClassVar[dict[str, tuple[int, int]]] = {"EE": (SIMALL_L_MIN, SIMALL_L_MAX)}

    def __post_init__(self) -> None:
        if self.interp not in ("nearest", "linear"):
            raise ConfigError(f"low_ee: interp must be 'nearest' or 'linear', got {self.interp!r}")
        table = as_float_array("low_ee table", self.table)
        if table.shape != _SHAPE:
            raise DataError(f"low_ee: the table must have shape {_SHAPE} (cells of 1e-4 muK^2 by l = 2-29), got {table.shape}")
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            cell, column = (int(i) for i in bad[0])
            raise DataError(
                f"low_ee: the table must be finite; row {cell}, column {column} (l = {column + SIMALL_L_MIN}) is {table[cell, column]}"
            )
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "_flat", table.reshape(-1))

    @property
    def flat_table(self) -> NDArray[np.float64]:
        """The table (84000,), cells by multipoles, as `kernels.simall` takes it."""
        return self._flat

    @property
    def is_linear(self) -> int:
        """1 for linear interpolation, 0 for the nearest cell, as `kernels.simall` takes it."""
        return int(self.interp == "linear")

    def default_priors(self) -> PriorSet:
        """A_planck ~ Normal(1, 0.0025)."""
        return calibration_prior()

    def citations(self) -> tuple[str, ...]:
        """Planck 2018 results V."""
        return ("arXiv:1907.12875",)

    def log_likelihood(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float:
        """Log-likelihood; -inf outside the table, where A_planck <= 0 or EE is NaN; NaN where A_planck is not finite.

        Raises
        ------
        ConfigError
            If EE is absent or too short, or ``nuisance`` lacks A_planck.
        """
        check_spectra(self.name, self.requires, spectra.l_max)
        y = calibration(self.name, nuisance)
        if not math.isfinite(y):
            return math.nan
        return float(kernels.simall(spectra["EE"], SIMALL_L_MIN, y, self._flat, 0, self.is_linear)) if y > 0.0 else -math.inf

    def log_likelihood_many(self, batch: SpectraBatch, nuisances: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """`log_likelihood` of each row of ``batch``, as an (n,) array; the same bytes as one by one."""
        check_spectra(self.name, self.requires, batch.l_max)
        y, out = calibrations(self.name, nuisances, len(batch)), np.empty(len(batch))
        kernels.simall_many(batch["EE"], SIMALL_L_MIN, np.where(y > 0.0, y, 1.0), self._flat, 0, self.is_linear, out)
        return np.where(np.isfinite(y), np.where(y > 0.0, out, -np.inf), np.nan)

    def chi2(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float:
        """-2 ln L, with the table's arbitrary offset."""
        return -2.0 * self.log_likelihood(spectra, nuisance)

    def explain(self, spectra: Spectra, nuisance: Mapping[str, float]) -> list[str]:
        """Why `log_likelihood` is not finite; empty where it is."""
        y = calibration(self.name, nuisance)
        lines = calibration_reason(self.name, y) + non_finite(self.name, self.requires, spectra)
        if not lines:
            scaled = _scaled(spectra, y)
            for i in np.flatnonzero((scaled < 0.0) | (scaled >= SIMALL_D_MAX)):
                lines.append(
                    f"{self.name}: EE at l = {i + SIMALL_L_MIN} is {scaled[i]:g} muK^2 (divided by A_planck^2), outside [0, {SIMALL_D_MAX})"
                )
        return lines

    def predict(self, spectra: Spectra, nuisance: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
        """D_l^EE / A_planck^2 (28,), l = 2..29, muK^2, under the component's name."""
        check_spectra(self.name, self.requires, spectra.l_max)
        return {self.name: _scaled(spectra, calibration(self.name, nuisance))}

    def linear(self) -> None:
        """None: the table is not Gaussian in the spectra."""
        return

    def smooth(self) -> SimAllEE:
        """The same table, linear between cell centres."""
        return self if self.interp == "linear" else SimAllEE(self.table, "linear", self.mock, self.origin)

    def simulate(self, spectra: Spectra, nuisance: Mapping[str, float], rng: np.random.Generator) -> NDArray[np.float64]:
        """Observed D_hat (28,), muK^2, drawn by ``mock`` (see `SimAllMock`)."""
        return self.mock.draw(self.predict(spectra, nuisance)[self.name], rng)

    def with_data(self, data: NDArray[np.float64]) -> Self:
        """The same component with the table of observed D_hat (28,), muK^2."""
        other = copy.copy(self)
        table = self.mock.table(data)
        object.__setattr__(other, "table", table)
        object.__setattr__(other, "_flat", table.reshape(-1))
        object.__setattr__(other, "origin", Origin("simulated", dict(self.origin.files), self.origin.notes))
        return other

    def fingerprint(self) -> str:
        """sha256 over the table, the options, the mock model and kernel version."""
        return sha256_of(self.name, KERNEL_VERSION, self.table, self.interp, self.mock.f_sky, self.mock.noise)
