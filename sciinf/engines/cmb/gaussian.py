"""Gaussian bandpowers that are linear in the spectra: the one implementation behind plik_lite, the low-l bins and lensing."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sciinf.core.arrays import finite_array, finite_column
from sciinf.core.errors import DataError
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
from sciinf.engines.cmb.spectra import LinearPart, Spectra, SpectraBatch
from sciinf.numerics.blas import one_blas_thread

__all__ = ["Bandpowers", "GaussianComponent", "Window", "check_covariance"]

_ABSENT = np.zeros(0)
_SYMMETRY = 1e-10


def _cholesky(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower Cholesky factor, the same bytes whatever the number of threads."""
    with one_blas_thread():
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def check_covariance(name: str, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower Cholesky factor of a symmetric positive-definite matrix.

    Raises
    ------
    DataError
        If it is not square, holds NaN, is not symmetric (the worst element is named) or not positive definite (its smallest
        eigenvalue is given).
    """
    covariance = finite_array(name, covariance, shape=(-1, -1))
    if covariance.shape[0] != covariance.shape[1] or not len(covariance):
        raise DataError(f"{name} must be square, got shape {covariance.shape}")
    asymmetry = np.abs(covariance - covariance.T)
    row, column = np.unravel_index(int(np.argmax(asymmetry)), asymmetry.shape)
    if asymmetry[row, column] > _SYMMETRY * float(np.max(np.abs(covariance))):
        raise DataError(
            f"{name} must be symmetric; [{row}, {column}] = {covariance[row, column]:g} but [{column}, {row}] = {covariance[column, row]:g}"
        )
    try:
        factor = _cholesky(covariance)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(covariance)[0])
        raise DataError(f"{name} must be positive definite; its smallest eigenvalue is {smallest:g}") from None
    return factor


@dataclass(frozen=True, eq=False)
class Window:
    """Weights on consecutive D_l of one spectrum (or on PP).

    Parameters
    ----------
    spectrum : {"TT", "TE", "EE", "PP"}
        Which one.
    l_low : int
        l of the first weight.
    weights : (k,) float64 array
        Weights on D_l, l = l_low .. l_low + k - 1.
    """

    spectrum: str
    l_low: int
    weights: NDArray[np.float64]

    @property
    def l_high(self) -> int:
        """Multipole of the last weight."""
        return self.l_low + len(self.weights) - 1


def _reach(windows: Sequence[Sequence[Window]]) -> dict[str, tuple[int, int]]:
    """First and last l used, by spectrum."""
    found: dict[str, tuple[int, int]] = {}
    for row in windows:
        for window in row:
            low, high = found.get(window.spectrum, (window.l_low, window.l_high))
            found[window.spectrum] = (min(low, window.l_low), max(high, window.l_high))
    return {name: found[name] for name in kernels.CODES if name in found}


@dataclass(frozen=True, eq=False)
class Bandpowers:
    """Gaussian bandpowers B_b = offset_b + sum of windows over D_l / a_X, with a_X = A_planck^2 for TT, TE, EE and 1 for PP.

    Parameters
    ----------
    label : str
        For messages.
    data : (m,) float64 array
        Measured bandpowers.
    covariance : (m, m) float64 array
        Their covariance; factored once, never inverted.
    windows : sequence of m sequences of Window
        What each bandpower sums.
    offset : (m,) float64 array
        Added to the model.

    Raises
    ------
    DataError
        If shapes disagree, a value is not finite, or the covariance is not symmetric positive definite.

    Notes
    -----
    ln L = -|P r|^2 / 2 with r = data - model and P = L^-1, covariance = L L^T.
    """

    label: str
    data: NDArray[np.float64]
    covariance: NDArray[np.float64]
    windows: tuple[tuple[Window, ...], ...]
    offset: NDArray[np.float64]
    requires: dict[str, tuple[int, int]] = field(init=False)
    _floats: NDArray[np.float64] = field(init=False, repr=False)
    _ints: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "windows", tuple(tuple(row) for row in self.windows))
        m = len(self.windows)
        factor = check_covariance(f"{self.label} covariance", self.covariance)
        if len(factor) != m:
            raise DataError(f"{self.label}: {m} bandpowers, but a covariance of {len(factor)}")
        set_(self, "data", finite_column(f"{self.label} data", self.data, length=m))
        set_(self, "offset", finite_column(f"{self.label} offset", self.offset, length=m))
        with one_blas_thread():
            whitener = kernels.pack_lower(solve_triangular(factor, np.eye(m), lower=True))
        set_(self, "requires", _reach(self.windows))
        weights, starts, segments = [], [0], []
        used = 0
        for row in self.windows:
            for window in row:
                segments.append((kernels.CODES[window.spectrum], window.l_low, len(window.weights), used))
                weights.append(window.weights)
                used += len(window.weights)
            starts.append(len(segments))
        head = [m, m, m + len(whitener), *starts]
        set_(self, "_ints", np.array([*head, *np.ravel(segments)], dtype=np.int64))
        set_(self, "_floats", np.concatenate([self.data - self.offset, whitener, *weights]))

    @property
    def size(self) -> int:
        """Number of bandpowers."""
        return len(self.data)

    def model(self, spectra: Spectra, y: float) -> NDArray[np.float64]:
        """Model bandpowers (m,) at map-level calibration ``y``."""
        out = np.empty(self.size)
        kernels.bandpowers(*self._arrays(spectra), float(y), self._floats, self._ints, out)
        return out + self.offset

    def chi2(self, spectra: Spectra, y: float) -> float:
        """|P (data - model)|^2."""
        return float(kernels.gaussian_chi2(*self._arrays(spectra), float(y), self._floats, self._ints, np.empty(self.size)))

    def chi2_many(self, batch: SpectraBatch, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """`chi2` of each row, as an (n,) array; a row's bytes depend on that row alone."""
        out, n = np.empty(len(batch)), len(batch)
        arrays = [batch[name] if name in self.requires else np.empty((n, 0)) for name in kernels.CODES]
        kernels.gaussian_chi2_many(*arrays, y, self._floats, self._ints, np.empty((kernels.TILE, self.size)), out)
        return out

    def _arrays(self, spectra: Spectra) -> list[NDArray[np.float64]]:
        return [spectra[name] if name in self.requires else _ABSENT for name in kernels.CODES]

    def noise(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A draw (m,) of the covariance: L z, z standard normal."""
        values = rng.standard_normal(self.size)
        kernels.unwhiten(self._floats, self.size, values, self.size)
        return values

    def cholesky(self) -> NDArray[np.float64]:
        """Lower factor (m, m) of the covariance, computed anew."""
        return _cholesky(self.covariance)

    def linear(self) -> LinearPart:
        """Dense linear form; see `LinearPart`."""
        response = {name: np.zeros((self.size, high + 1)) for name, (_, high) in self.requires.items()}
        for b, row in enumerate(self.windows):
            for window in row:
                response[window.spectrum][b, window.l_low : window.l_high + 1] += window.weights
        return LinearPart(self.data.copy(), self.cholesky(), response, self.offset.copy())

    def with_data(self, data: NDArray[np.float64]) -> Bandpowers:
        """The same windows and covariance with other measured bandpowers; nothing is factored again."""
        other = copy.copy(self)
        values = finite_column(f"{self.label} data", data, length=self.size)
        floats = self._floats.copy()
        floats[: self.size] = values - self.offset
        object.__setattr__(other, "data", values)
        object.__setattr__(other, "_floats", floats)
        return other


class GaussianComponent:
    """Shared behaviour of the components whose data are `Bandpowers`; each sets ``core`` and ``origin``."""

    name: ClassVar[str]
    nuisance: ClassVar[tuple[str, ...]] = (A_PLANCK,)
    core: Bandpowers
    origin: Origin

    @property
    def requires(self) -> dict[str, tuple[int, int]]:
        """First and last l used, by spectrum."""
        return self.core.requires

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (m, m) of the selected bandpowers."""
        return self.core.covariance

    def default_priors(self) -> PriorSet:
        """A_planck ~ Normal(1, 0.0025)."""
        return calibration_prior()

    def log_likelihood(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float:
        """Log-likelihood -chi2 / 2; -inf where A_planck <= 0 or a used D_l is not finite, NaN where A_planck is not finite.

        Raises
        ------
        ConfigError
            If the spectra are too short or absent, or ``nuisance`` lacks A_planck.
        """
        check_spectra(self.name, self.core.requires, spectra.l_max)
        y = calibration(self.name, nuisance)
        if not math.isfinite(y):
            return math.nan
        if y <= 0.0:
            return -math.inf
        chi2 = self.core.chi2(spectra, y)
        return -0.5 * chi2 if chi2 < math.inf else -math.inf

    def log_likelihood_many(self, batch: SpectraBatch, nuisances: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """`log_likelihood` of each row of ``batch``, as an (n,) array; a row's bytes depend on that row alone."""
        check_spectra(self.name, self.core.requires, batch.l_max)
        y = calibrations(self.name, nuisances, len(batch))
        chi2 = self.core.chi2_many(batch, np.where(y > 0.0, y, 1.0))
        usable = (chi2 < np.inf) & (y > 0.0)
        return np.where(np.isfinite(y), np.where(usable, -0.5 * np.where(usable, chi2, 0.0), -np.inf), np.nan)

    def chi2(self, spectra: Spectra, nuisance: Mapping[str, float]) -> float:
        """-2 ln L."""
        return -2.0 * self.log_likelihood(spectra, nuisance)

    def explain(self, spectra: Spectra, nuisance: Mapping[str, float]) -> list[str]:
        """Why `log_likelihood` is not finite; empty where it is."""
        lines = calibration_reason(self.name, calibration(self.name, nuisance)) + non_finite(self.name, self.core.requires, spectra)
        if not lines and not math.isfinite(self.log_likelihood(spectra, nuisance)):
            lines.append(f"{self.name}: chi2 overflows")
        return lines

    def predict(self, spectra: Spectra, nuisance: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
        """Model bandpowers, under the component's name."""
        check_spectra(self.name, self.core.requires, spectra.l_max)
        return {self.name: self.core.model(spectra, calibration(self.name, nuisance))}

    def residuals(self, spectra: Spectra, A_planck: float = 1.0) -> NDArray[np.float64]:
        """Data minus model (m,), in the bandpowers' unit."""
        check_spectra(self.name, self.core.requires, spectra.l_max)
        return self.core.data - self.core.model(spectra, A_planck)

    def linear(self) -> LinearPart:
        """The linear form that a compressed likelihood is built from."""
        return self.core.linear()

    def simulate(self, spectra: Spectra, nuisance: Mapping[str, float], rng: np.random.Generator) -> NDArray[np.float64]:
        """Bandpowers (m,) drawn at ``spectra``: model + L z, z standard normal."""
        return self.predict(spectra, nuisance)[self.name] + self.core.noise(rng)

    def with_data(self, data: NDArray[np.float64]) -> Self:
        """The same component with other measured bandpowers (m,)."""
        other: Any = copy.copy(self)
        object.__setattr__(other, "core", self.core.with_data(data))
        object.__setattr__(other, "origin", Origin("simulated", dict(self.origin.files), self.origin.notes))
        return other  # type: ignore[no-any-return]
