"""Look-alike data: a synthetic experiment written in the real files' formats, for tests and examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.core.seeding import generator
from sciinf.engines.cmb.data import FILES, LOOKALIKE, N_BINS, PlanckFiles
from sciinf.engines.cmb.lensing import CORRECTION_ORDER
from sciinf.engines.cmb.plik_lite import HIGH_L_SPECTRA
from sciinf.engines.cmb.simall import SimAllMock
from sciinf.engines.cmb.spectra import Spectra

__all__ = ["FIDUCIAL", "fiducial_spectra", "write_lookalike"]

FIDUCIAL = {"omega_b": 0.022383, "omega_c": 0.12011, "theta_mc": 1.040909, "tau": 0.0543, "logA": 3.0448, "n_s": 0.96605}
"""Parameters of the model that the look-alike data are drawn at (A_planck = 1)."""

_L_MIN, _L_MAX = 30, 2508
_WIDTHS = ((5, 14), (9, 156), (17, 30), (33, 15))  # plik_lite's bin widths and how many of each [public file format]
_F_SKY = 0.5
_NOISE_T, _NOISE_P, _BEAM = 33.0, 70.0, 7.0  # muK arcmin, muK arcmin, arcmin: Planck-like
_COMMON_MODE = 0.05  # amplitude of the smooth mode common to all bins, in units of each bin's error
_LENSING_EDGES = (8, 41, 85, 130, 175, 220, 265, 310, 355, 401)
_LENSING_ERROR = (0.09, 0.05, 0.05, 0.065, 0.086, 0.116, 0.103, 0.119, 0.176)
_CORRECTION = {"TT": 0.03, "EE": 0.02, "TE": 0.01, "PP": 0.02}  # size of each correction relative to the bandpower
_PP_STEP = 10


def fiducial_spectra() -> Spectra:
    """Spectra at `FIDUCIAL`, from the file in the package (CAMB 2.0.5)."""
    return Spectra.from_file(Path(__file__).parent / "weights" / "bf_pol.npz")


def _c_l(d_l: NDArray[np.float64]) -> NDArray[np.float64]:
    """C_l (muK^2) of D_l indexed by l from 0."""
    multipole = np.arange(len(d_l), dtype=np.float64)
    multipole[0] = 1.0
    return np.asarray(d_l * 2.0 * np.pi / (multipole * (multipole + 1.0)))


def _weights(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.float64]:
    """w_l = l(l+1) / sum over the bin of l(l+1), for bins that tile a range."""
    multipole = np.arange(low[0], high[-1] + 1, dtype=np.float64)
    raw = multipole * (multipole + 1.0)
    return np.asarray(raw / np.repeat(np.add.reduceat(raw, low - low[0]), high - low + 1))


def _bin_edges() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last l of the 215 bins."""
    widths = np.repeat([width for width, _ in _WIDTHS], [count for _, count in _WIDTHS])
    high = _L_MIN - 1 + np.cumsum(widths)
    return high - widths + 1, high


def _noise(arcmin: float, l_max: int) -> NDArray[np.float64]:
    """White noise C_l (muK^2), beam divided out."""
    multipole = np.arange(l_max + 1, dtype=np.float64)
    radian = np.pi / 10800.0
    return np.asarray((arcmin * radian) ** 2 * np.exp(multipole * (multipole + 1.0) * (_BEAM * radian) ** 2 / (8.0 * np.log(2.0))))


def _high_l_covariance(spectra: Spectra, low: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian (Knox) covariance of the binned C_l of TT, TE, EE, plus one smooth mode common to all bins."""
    cut = slice(_L_MIN, _L_MAX + 1)
    te = _c_l(spectra["TE"][: _L_MAX + 1])[cut]
    tt = (_c_l(spectra["TT"][: _L_MAX + 1]) + _noise(_NOISE_T, _L_MAX))[cut]
    ee = (_c_l(spectra["EE"][: _L_MAX + 1]) + _noise(_NOISE_P, _L_MAX))[cut]
    modes = (2.0 * np.arange(_L_MIN, _L_MAX + 1) + 1.0) * _F_SKY
    per_l = {
        ("TT", "TT"): 2 * tt * tt, ("TT", "TE"): 2 * tt * te, ("TT", "EE"): 2 * te * te,
        ("TE", "TE"): tt * ee + te * te, ("TE", "EE"): 2 * ee * te, ("EE", "EE"): 2 * ee * ee,
    }  # fmt: skip
    starts = dict(zip(HIGH_L_SPECTRA, np.cumsum([0, N_BINS["TT"], N_BINS["TE"]]), strict=True))
    n = sum(N_BINS.values())
    covariance = np.zeros((n, n))
    for (one, other), values in per_l.items():
        binned = np.add.reduceat(weights**2 * values / modes, low - _L_MIN)
        count = min(N_BINS[one], N_BINS[other])
        rows, columns = starts[one] + np.arange(count), starts[other] + np.arange(count)
        covariance[rows, columns] = covariance[columns, rows] = binned[:count]
    mode = _COMMON_MODE * np.sqrt(np.diag(covariance)) * np.sin(np.linspace(0.3, 3.0, n))
    return covariance + np.outer(mode, mode)


def _write_plik_lite(folder: Path, spectra: Spectra, rng: np.random.Generator) -> None:
    """The five files of plik_lite, 645 rows of bins and one filled triangle included."""
    low, high = _bin_edges()
    weights = _weights(low, high)
    covariance = _high_l_covariance(spectra, low, weights)
    means = [np.add.reduceat(weights * _c_l(spectra[name])[_L_MIN : _L_MAX + 1], low - _L_MIN)[: N_BINS[name]] for name in HIGH_L_SPECTRA]
    data = np.concatenate(means) + np.linalg.cholesky(covariance) @ rng.standard_normal(len(covariance))
    middle = np.concatenate([(low + high)[: N_BINS[name]] // 2 for name in HIGH_L_SPECTRA])
    names = [folder / name for name in FILES["plik_lite"]]
    np.savetxt(names[0], np.column_stack([middle, data, np.sqrt(np.diag(covariance))]), fmt=["%12d", "%.15g", "%.15g"])
    marker = np.array([covariance.size * 8], dtype="<i4").tobytes()
    names[1].write_bytes(marker + np.tril(covariance).astype("<f8").tobytes() + marker)
    shift = np.repeat(np.arange(3) * len(weights), len(low))
    np.savetxt(names[2], np.tile(low - _L_MIN, 3) + shift)
    np.savetxt(names[3], np.tile(high - _L_MIN, 3) + shift)
    np.savetxt(names[4], np.tile(weights, 3))


def _write_low_ell(folder: Path, spectra: Spectra, rng: np.random.Generator) -> None:
    """The four files of the two low-l bins."""
    low, high = np.array([2, 16]), np.array([15, 29])
    weights, c_l = _weights(low, high), _c_l(spectra["TT"])[2:30]
    mean = np.add.reduceat(weights * c_l, low - 2)
    variance = np.add.reduceat(weights**2 * 2.0 * c_l**2 / ((2.0 * np.arange(2, 30) + 1.0) * _F_SKY), low - 2)
    sigma = np.sqrt(variance)
    names = [folder / name for name in FILES["low_tt_bins"]]
    np.savetxt(names[0], np.column_stack([0.5 * (low + high), mean + sigma * rng.standard_normal(2), sigma]))
    np.savetxt(names[1], low - 2)
    np.savetxt(names[2], high - 2)
    np.savetxt(names[3], weights)


def _write_lensing(folder: Path, spectra: Spectra, rng: np.random.Generator) -> None:
    """Bandpowers, covariance, windows and correction windows (which vanish at the fiducial model, as the real ones do)."""
    low, high = np.array(_LENSING_EDGES[:-1]), np.array(_LENSING_EDGES[1:]) - 1
    weights, pp = _weights(low, high), spectra["PP"]
    mean = np.add.reduceat(weights * pp[low[0] : high[-1] + 1], low - low[0])
    sigma = np.array(_LENSING_ERROR) * mean
    correlation = 0.05 ** np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    covariance = correlation * np.outer(sigma, sigma)
    data = mean + np.linalg.cholesky(covariance) @ rng.standard_normal(9)
    names = [folder / name for name in FILES["lensing"]]
    table = np.column_stack([np.arange(1, 10), low, high, 0.5 * (low + high), data, sigma, data / mean])
    np.savetxt(names[0], table, fmt=["%5d", "%5d", "%5d", "%.2f", "%.15e", "%.3e", "%.3f"], header="bin L_min L_max L_av PP Error Ahat")
    np.savetxt(names[1], covariance, fmt="%.18e")
    multipole = np.arange(2501)
    correction = np.zeros(9)
    for b in range(9):
        inside = slice(int(low[b] - low[0]), int(high[b] - low[0]) + 1)
        np.savetxt(names[3 + b], np.column_stack([np.arange(low[b], high[b] + 1), weights[inside]]), fmt=["%5d", "%.15e"])
        columns = np.zeros((len(multipole), 4))
        for k, name in enumerate(CORRECTION_ORDER):
            used = multipole[2::_PP_STEP] if name == "PP" else multipole[2:]
            scale = np.sqrt(np.mean(spectra[name][used] ** 2))
            columns[used, k] = _CORRECTION[name] * mean[b] / (scale * len(used)) * np.cos(used / (300.0 + 40.0 * b))
        columns = np.array([[float(f"{value:.9e}") for value in row] for row in columns])
        correction[b] = sum(columns[:, k] @ spectra[name][:2501] for k, name in enumerate(CORRECTION_ORDER))
        np.savetxt(names[12 + b], np.column_stack([multipole, columns]), fmt=["%5d", *["%.9e"] * 4])
    np.savetxt(names[2], np.column_stack([np.arange(1, 10), correction]), fmt=["%5d", "%.15e"], header="bin PP")


def write_lookalike(folder: str | Path, seed: int) -> PlanckFiles:
    """Write a synthetic data set in the formats and layout of the real files, drawn at `FIDUCIAL` with A_planck = 1.

    Parameters
    ----------
    folder : path
        Made if need be; must be empty.
    seed : int
        Master seed of the draw.

    Returns
    -------
    PlanckFiles
        Ready to load (unverified data, since the hashes are not those of the real files).

    Raises
    ------
    DataError
        If the folder is not empty.

    Notes
    -----
    plik_lite: 613 bins with a Gaussian covariance (f_sky 0.5, white noise 33 and 70 muK arcmin, beam 7 arcmin) and one common smooth
    mode; low-l bins: cosmic variance; low-l EE: the table of `SimAllMock`; lensing: nine bins with synthetic correction windows.

    Examples
    --------
    >>> import tempfile
    >>> files = write_lookalike(tempfile.mkdtemp(), seed=1)
    >>> files.plik_lite().core.size, files.lensing().core.size
    (613, 9)
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"look-alike data go into an empty folder; '{folder.name}' is not empty")
    for names in FILES.values():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
    spectra = fiducial_spectra()
    _write_plik_lite(folder, spectra, generator(seed, "lookalike/plik_lite"))
    _write_low_ell(folder, spectra, generator(seed, "lookalike/low_tt_bins"))
    mock = SimAllMock()
    observed = mock.draw(spectra["EE"][2:30], generator(seed, "lookalike/low_ee"))
    np.savetxt(folder / FILES["low_ee"][0], mock.table(observed), fmt="%.15e")
    _write_lensing(folder, spectra, generator(seed, "lookalike/lensing"))
    return PlanckFiles(folder, LOOKALIKE, allow_unknown_data=True)
