"""plik_lite: binned, foreground-marginalised TT, TE, EE at l >= 30; and the two Gaussian bins of TT below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sciinf.core.arrays import finite_array, finite_column
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb.component import Origin
from sciinf.engines.cmb.gaussian import Bandpowers, GaussianComponent, Window
from sciinf.engines.cmb.kernels import KERNEL_VERSION

__all__ = ["HIGH_L_SPECTRA", "LowEllData", "LowEllTTBins", "PlikLite", "PlikLiteData"]

HIGH_L_SPECTRA = ("TT", "TE", "EE")
"""Order of the spectra in the data vector (clik's input order is another one)."""

_L_MIN = 30
_WEIGHT_SUM = 1e-9

LRange = tuple[int, int]


def _d_weights(weights: NDArray[np.float64], l_low: int) -> NDArray[np.float64]:
    """Weights on C_l from ``l_low`` on, turned into weights on D_l."""
    multipole = np.arange(l_low, l_low + len(weights), dtype=np.float64)
    return weights * (2.0 * np.pi) / (multipole * (multipole + 1.0))


def _check_bins(label: str, l_low: NDArray[np.int64], l_high: NDArray[np.int64], weights: NDArray[np.float64], first: int) -> None:
    """DataError unless the bins are ordered, contiguous from ``first``, and the weights of each sum to one."""
    if l_low[0] != first or np.any(l_high < l_low) or np.any(l_low[1:] != l_high[:-1] + 1) or l_high[-1] != first + len(weights) - 1:
        raise DataError(f"{label}: bins must tile l = {first} to {first + len(weights) - 1} without a gap, got {l_low[0]} to {l_high[-1]}")
    sums = np.add.reduceat(weights, l_low - first)
    worst = int(np.argmax(np.abs(sums - 1.0)))
    if abs(sums[worst] - 1.0) > _WEIGHT_SUM:
        raise DataError(f"{label}: the weights of bin {worst} (l {l_low[worst]}-{l_high[worst]}) sum to {sums[worst]:.12g}, not 1")


@dataclass(frozen=True, eq=False)
class PlikLiteData:
    """The plik_lite data set as its files hold it.

    Parameters
    ----------
    bandpowers : (n,) float64 array
        C_b in muK^2 (C_l, not D_l), n_bins["TT"] of TT, then TE, then EE.
    covariance : (n, n) float64 array
        Their covariance, muK^4, both triangles filled.
    l_eff : (n,) float64 array
        Effective multipole of each.
    l_low, l_high : (n_bins["TT"],) int64 arrays
        First and last l of each bin, both inclusive; TE and EE use the first ones.
    weights : (l_max - 29,) float64 array
        w_l on C_l from l = 30 on; each bin's sum to 1.
    n_bins : dict of str to int
        Number of bins by spectrum.
    origin : Origin
        Where the data come from.

    Raises
    ------
    DataError
        If shapes disagree, bins leave gaps, or weights do not sum to one.
    """

    bandpowers: NDArray[np.float64]
    covariance: NDArray[np.float64]
    l_eff: NDArray[np.float64]
    l_low: NDArray[np.int64]
    l_high: NDArray[np.int64]
    weights: NDArray[np.float64]
    n_bins: dict[str, int]
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        n = sum(self.n_bins.get(name, 0) for name in HIGH_L_SPECTRA)
        if set(self.n_bins) != set(HIGH_L_SPECTRA) or max(self.n_bins.values()) != len(self.l_low) or min(self.n_bins.values()) < 1:
            raise DataError(f"plik_lite: n_bins must give TT, TE and EE, the most of them {len(self.l_low)}, got {self.n_bins}")
        set_ = object.__setattr__
        for name in ("l_low", "l_high"):
            set_(self, name, np.array(getattr(self, name), dtype=np.int64))
        set_(self, "bandpowers", finite_column("plik_lite bandpowers", self.bandpowers, length=n))
        set_(self, "l_eff", finite_column("plik_lite l_eff", self.l_eff, length=n))
        set_(self, "weights", finite_array("plik_lite weights", self.weights, shape=(-1,)))
        set_(self, "covariance", finite_array("plik_lite covariance", self.covariance, shape=(n, n)))
        _check_bins("plik_lite", self.l_low, self.l_high, self.weights, _L_MIN)


def _range_of(l_range: LRange | Mapping[str, LRange] | None, spectrum: str) -> LRange | None:
    """The l range asked for one spectrum."""
    return l_range.get(spectrum) if isinstance(l_range, Mapping) else l_range


def _check_range(l_range: Any, spectra: tuple[str, ...]) -> None:
    """ConfigError unless an l range is a pair low <= high, or a mapping of chosen spectra to such pairs."""
    pairs = dict(l_range) if isinstance(l_range, Mapping) else dict.fromkeys(spectra, l_range)
    for name, pair in pairs.items():
        if name not in spectra:
            raise ConfigError(f"plik_lite: l_range names '{name}', which is not selected: {nearest_names(name, spectra)}")
        if pair is not None and not (isinstance(pair, Sequence) and len(pair) == 2 and pair[0] <= pair[1]):
            raise ConfigError(f"plik_lite: l_range of {name} must be a pair (low, high) with low <= high, got {pair!r}")


@dataclass(frozen=True, eq=False)
class PlikLite(GaussianComponent):
    """Gaussian likelihood of binned TT, TE and EE, foregrounds marginalised into the covariance.

    Parameters
    ----------
    data : PlikLiteData
        From `planck_data`, or your own.
    spectra : subset of ("TT", "TE", "EE")
        Which to use; their order does not matter.
    l_range : (low, high), dict of str to (low, high), or None
        Keep the bins whose middle (l_low + l_high) / 2 lies in the closed range, for all spectra or by spectrum.

    Raises
    ------
    ConfigError
        If a spectrum is unknown or repeated, or the range leaves no bin of a chosen spectrum.
    DataError
        If the covariance is not symmetric positive definite.

    Notes
    -----
    chi2 is the squared norm of P r, with r = C_hat - C_b / A_planck^2, C_b = sum over l in bin b of w_l 2 pi D_l / (l (l + 1)), P = L^-1,
    covariance = L L^T. A selection slices the covariance and then factors it (the marginal likelihood), so TE + EE is not TEEE.
    arXiv:1907.12875, section 3.
    """

    data: PlikLiteData
    spectra: tuple[str, ...] = HIGH_L_SPECTRA
    l_range: LRange | Mapping[str, LRange] | None = None
    core: Bandpowers = field(init=False, repr=False)
    origin: Origin = field(init=False, repr=False)
    rows: NDArray[np.int64] = field(init=False, repr=False)

    name: ClassVar[str] = "plik_lite"

    def __post_init__(self) -> None:
        asked = tuple(self.spectra)
        for item in asked:
            if item not in HIGH_L_SPECTRA:
                raise ConfigError(f"plik_lite has no spectrum {shown(item)}: {nearest_names(item, HIGH_L_SPECTRA)}")
        if not asked or len(set(asked)) != len(asked):
            raise ConfigError(f"plik_lite: spectra must hold each of TT, TE, EE once at most, and one at least; got {shown(list(asked))}")
        spectra = tuple(item for item in HIGH_L_SPECTRA if item in asked)
        _check_range(self.l_range, spectra)
        rows, windows = self._select(spectra)
        set_ = object.__setattr__
        set_(self, "spectra", spectra)
        set_(self, "rows", rows)
        set_(self, "origin", self.data.origin)
        whole = len(rows) == len(self.data.bandpowers)
        covariance = self.data.covariance if whole else np.ascontiguousarray(self.data.covariance[np.ix_(rows, rows)])
        set_(self, "core", Bandpowers("plik_lite", self.data.bandpowers[rows], covariance, windows, np.zeros(len(rows))))

    def _select(self, spectra: tuple[str, ...]) -> tuple[NDArray[np.int64], tuple[tuple[Window, ...], ...]]:
        """Rows of the data vector that are kept, and the window of each."""
        data, rows, windows, start = self.data, [], [], 0
        for name in HIGH_L_SPECTRA:
            n = data.n_bins[name]
            if name in spectra:
                limits = _range_of(self.l_range, name)
                middle = 0.5 * (data.l_low[:n] + data.l_high[:n])
                keep = np.flatnonzero((middle >= limits[0]) & (middle <= limits[1])) if limits else np.arange(n)
                if not len(keep):
                    raise ConfigError(
                        f"plik_lite: l_range {limits} leaves no bin of {name}; its bins reach over l {data.l_low[0]}-{data.l_high[n - 1]}"
                    )
                for b in keep:
                    low, high = int(data.l_low[b]), int(data.l_high[b])
                    windows.append((Window(name, low, _d_weights(data.weights[low - _L_MIN : high + 1 - _L_MIN], low)),))
                rows.append(start + keep)
            start += n
        return np.concatenate(rows), tuple(windows)

    @property
    def l_eff(self) -> NDArray[np.float64]:
        """Effective multipole (m,) of each selected bin."""
        return self.data.l_eff[self.rows]

    @property
    def labels(self) -> tuple[str, ...]:
        """Spectrum of each selected bin (m,)."""
        return tuple(row[0].spectrum for row in self.core.windows)

    def binned(self, spectra: Any, A_planck: float = 1.0) -> NDArray[np.float64]:
        """Model bandpowers C_b / A_planck^2 (m,), muK^2."""
        return self.predict(spectra, {"A_planck": A_planck})[self.name]

    def with_data(self, data: NDArray[np.float64]) -> Self:
        """The same selection with other bandpowers (m,); bins outside the selection keep theirs."""
        other = super().with_data(data)
        bandpowers = self.data.bandpowers.copy()
        bandpowers[self.rows] = other.core.data
        object.__setattr__(other, "data", replace(self.data, bandpowers=bandpowers, origin=other.origin))
        return other

    def citations(self) -> tuple[str, ...]:
        """Planck 2018 results V."""
        return ("arXiv:1907.12875",)

    def fingerprint(self) -> str:
        """sha256 over data, selection and kernel version."""
        limits = {name: list(limit) if (limit := _range_of(self.l_range, name)) else None for name in self.spectra}
        data = self.data
        arrays = (data.bandpowers, data.covariance, data.l_low, data.l_high, data.weights)
        return sha256_of(self.name, KERNEL_VERSION, *arrays, dict(data.n_bins), list(self.spectra), limits)


@dataclass(frozen=True, eq=False)
class LowEllData:
    """Two bins of low-l TT.

    Parameters
    ----------
    bandpowers, sigma : (n,) float64 arrays
        C_b and its one-sigma error, muK^2.
    l_low, l_high : (n,) int64 arrays
        First and last l of each bin, inclusive.
    weights : (l_max - 1,) float64 array
        w_l on C_l from l = 2 on.
    origin : Origin
        Where the data come from.

    Raises
    ------
    DataError
        If shapes disagree, an error is not positive, bins leave gaps, or weights do not sum to one.
    """

    bandpowers: NDArray[np.float64]
    sigma: NDArray[np.float64]
    l_low: NDArray[np.int64]
    l_high: NDArray[np.int64]
    weights: NDArray[np.float64]
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        set_, n = object.__setattr__, len(self.l_low)
        for name in ("l_low", "l_high"):
            set_(self, name, np.array(getattr(self, name), dtype=np.int64))
        for name in ("bandpowers", "sigma"):
            set_(self, name, finite_column(f"low_tt_bins {name}", getattr(self, name), length=n))
        set_(self, "weights", finite_array("low_tt_bins weights", self.weights, shape=(-1,)))
        if np.any(self.sigma <= 0.0):
            raise DataError(f"low_tt_bins: errors must be positive, got {self.sigma.tolist()}")
        _check_bins("low_tt_bins", self.l_low, self.l_high, self.weights, 2)


@dataclass(frozen=True, eq=False)
class LowEllTTBins(GaussianComponent):
    """Two independent Gaussian bins of TT, l 2-15 and 16-29: an approximation to the Commander likelihood, not that likelihood.

    Parameters
    ----------
    data : LowEllData
        From `planck_data`, or your own.

    Notes
    -----
    Binned as `PlikLite`; arXiv:1909.05869.
    """

    data: LowEllData
    core: Bandpowers = field(init=False, repr=False)
    origin: Origin = field(init=False, repr=False)

    name: ClassVar[Literal["low_tt_bins"]] = "low_tt_bins"

    def __post_init__(self) -> None:
        data = self.data
        edges = zip(data.l_low.tolist(), data.l_high.tolist(), strict=True)
        windows = tuple((Window("TT", low, _d_weights(data.weights[low - 2 : high - 1], low)),) for low, high in edges)
        object.__setattr__(self, "origin", data.origin)
        object.__setattr__(
            self, "core", Bandpowers("low_tt_bins", data.bandpowers, np.diag(data.sigma**2), windows, np.zeros(len(windows)))
        )

    def with_data(self, data: NDArray[np.float64]) -> Self:
        """The same bins with other bandpowers (n,)."""
        other = super().with_data(data)
        object.__setattr__(other, "data", replace(self.data, bandpowers=other.core.data, origin=other.origin))
        return other

    def citations(self) -> tuple[str, ...]:
        """Planck 2018 results V, and the paper of the two bins."""
        return ("arXiv:1907.12875", "arXiv:1909.05869")

    def fingerprint(self) -> str:
        """sha256 over data and kernel version."""
        data = self.data
        return sha256_of(self.name, KERNEL_VERSION, data.bandpowers, data.sigma, data.l_low, data.l_high, data.weights)
