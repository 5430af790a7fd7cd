"""The real Planck 2018 files: finding them, checking their sha256, reading them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError, shown
from sciinf.core.fingerprint import sha256_of_file
from sciinf.core.user_paths import what_is_at
from sciinf.engines.cmb.component import Origin
from sciinf.engines.cmb.kernels import SIMALL_CELLS, SIMALL_L_MAX, SIMALL_L_MIN
from sciinf.engines.cmb.lensing import CORRECTION_ORDER, Lensing, LensingData
from sciinf.engines.cmb.plik_lite import HIGH_L_SPECTRA, LowEllData, LowEllTTBins, LRange, PlikLite, PlikLiteData
from sciinf.engines.cmb.simall import SimAllEE, SimAllMock

__all__ = ["ENVIRONMENT_VARIABLE", "FILES", "LOOKALIKE", "N_BINS", "SHA256", "PlanckFiles", "find_cosmofit", "planck_data"]

_LOGGER = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "SCIINF_PLANCK_DATA"
_PACKAGE = "cosmofit"
_PACKAGE_VERSION = "2.2.0"
LOOKALIKE = "look-alike"
"""Source of synthetic data written by this package."""

_WAYS = (
    'install the extra: pip install "sciinf[planck]" (package cosmofit 2.2.0), '
    f"set {ENVIRONMENT_VARIABLE} to a folder that holds plik_lite/, lowE2018/ and lensing2018/, or pass folder=..."
)

N_BINS = {"TT": 215, "TE": 199, "EE": 199}
"""Bins of plik_lite v22 by spectrum."""

# sha256 of each file of cosmofit/data/cmb in the wheel of cosmofit 2.2.0
SHA256 = {
    "lensing2018/bandpowers.dat": "0113871c95b026dbf544c21f3c0cd667bea25ad146dddb93db4189cff660a6f0",
    "lensing2018/cov.dat": "fdd19b43dacd3c65a3d092442c291401a3497cc4fddf9ce08bb098d5a428efc0",
    "lensing2018/lens_delta_window/window1.dat": "96420a282e53a730f586234b93de651a73aea2dcdececbcb06a4f62c2f867d07",
    "lensing2018/lens_delta_window/window2.dat": "d6cf6e596965af6caecbe52dd01f465ad3384f1dd098126288cbe6ebed29e8ec",
    "lensing2018/lens_delta_window/window3.dat": "487e1e1a9e4e8740dcc34a7c31e4168655db074a8739e067a4e59a8f7fc750e1",
    "lensing2018/lens_delta_window/window4.dat": "670a647e10ca0f7cd5ca9c5465f5f19e9b27978f836262e49c9420b8defb58dd",
    "lensing2018/lens_delta_window/window5.dat": "0be8a018e39addf52cf6bae689e7d483fa441582a5966c7592d4cac577657608",
    "lensing2018/lens_delta_window/window6.dat": "f95bb176d365bc78cd3fedcf98e220cadf25f09711960124197ea74104a308c6",
    "lensing2018/lens_delta_window/window7.dat": "63e595b7dc6585ad280497f3b2c3e438db2c09cc482a781a89b8667349d48598",
    "lensing2018/lens_delta_window/window8.dat": "59eadaa2c60c487574b1cee5b0ee9dc84140bb4063bb93f48f8dcdcf768851c4",
    "lensing2018/lens_delta_window/window9.dat": "a7d5bbb519e100ec87d8e8b5ce4e1bef017ef66e9c2a37a39f458b230e86cb8f",
    "lensing2018/lensing_fiducial_correction.dat": "d186f5cc43556f8a4178a275fc73142b69b7ba1976fea383bfb5763f4e133cd6",
    "lensing2018/window/window1.dat": "da21c0c323f3d43b896c0b08832801d553812000e82aa4d30581574f1483c5f6",
    "lensing2018/window/window2.dat": "5a610ba5e9a158cdb4bf1b787c241d980d53f4937141fe7602a107fa6b04996f",
    "lensing2018/window/window3.dat": "29cee1f5ec34a643a6c7091489e58995ee0680f2d2a79df5a99275116fcd07cc",
    "lensing2018/window/window4.dat": "deda1ebff7dcf07c7da63e54ceb90b1fb6cc20d52b22b06b37f705583e805f56",
    "lensing2018/window/window5.dat": "15f649bec0438cdab5c9efab0bed6a92ae139bff00c74e0cf99e89217f72a183",
    "lensing2018/window/window6.dat": "c110f460478ad285899b50ed495f11de2c0f8c7e67f11f4eaabd0d1506e523ca",
    "lensing2018/window/window7.dat": "7225217ea62d9909cbca9adb4b7351072040f925f462a7f47f2b6c262c12fd76",
    "lensing2018/window/window8.dat": "9952b5112111eb998078f7387e01abf139d4b720e17b54097167312f8e2d8d0e",
    "lensing2018/window/window9.dat": "6389ed1301c686cfe4d4d9b237ff63363423918657163fc59bd806909e191db6",
    "lowE2018/prob_table.txt": "7efa150e762313f7920b7ae2b4f3cf3c7d3fdaaa6b1ae257b60b2c75279fe7b3",
    "plik_lite/blmax.dat": "c28ade0fa5270c7e87ba07bdcb68aef8783b132b352bfaa36c04d17694ab4014",
    "plik_lite/blmin.dat": "325b351cbf8f694556bb13e98f285344e8d66811bb8eef18bcdcf1626518719d",
    "plik_lite/bweight.dat": "8afcbd8bad769e2de96bacd80177e6543f96b2b406e6c2da1fd0d26718c9e415",
    "plik_lite/c_matrix_plik_v22.dat": "ad90378c50bd67841764179c90ae6711fa4317c649966ab2b0712143b31e0a32",
    "plik_lite/cl_cmb_plik_v22.dat": "dac0d9d493213e77c940a10a968cf0da3c5730bae60e1356c4cd8bcff96377ff",
    "plik_lite/low_ell/CTT_bin_low_ell_2018.dat": "5d8220fc16b9f9faa330b20b85751988843ae30386a9a5faf2b2f560d7ee65b7",
    "plik_lite/low_ell/blmax_low_ell.dat": "e4449d2230545c8da4cd2b6ab228de2a953b9b113bee16d06bde50b152ddb400",
    "plik_lite/low_ell/blmin_low_ell.dat": "526718b75ee8689e97e6e4162c5319f0a937c19fe31d5c37f1927813184badf8",
    "plik_lite/low_ell/bweight_low_ell.dat": "5973300301bfedad94ec1c7d298afa4f3745207eb33094a173d581444a995b1a",
    "plik_lite/low_ell/plmin_low_ell.dat": "3c8ec006511f3a5e5ebe8a3585d58df7f075dd4bac6eed0aa95d695af3039bc0",
}

_LENSING_WINDOWS = tuple(f"lensing2018/{folder}/window{b}.dat" for folder in ("window", "lens_delta_window") for b in range(1, 10))
FILES: dict[str, tuple[str, ...]] = {
    "plik_lite": tuple(f"plik_lite/{name}.dat" for name in ("cl_cmb_plik_v22", "c_matrix_plik_v22", "blmin", "blmax", "bweight")),
    "low_tt_bins": tuple(
        f"plik_lite/low_ell/{name}_low_ell{year}.dat"
        for name, year in (("CTT_bin", "_2018"), ("blmin", ""), ("blmax", ""), ("bweight", ""))
    ),
    "low_ee": ("lowE2018/prob_table.txt",),
    "lensing": ("lensing2018/bandpowers.dat", "lensing2018/cov.dat", "lensing2018/lensing_fiducial_correction.dat", *_LENSING_WINDOWS),
}
"""Files, relative to the folder, that each component needs."""


def _table(path: Path, relative: str, columns: int) -> NDArray[np.float64]:
    """A text table of ``columns`` columns of finite numbers."""
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{relative}: not a readable table of numbers ({error})") from error
    if rows.shape[1] != columns:
        raise DataError(f"{relative}: expected {columns} columns, found {rows.shape[1]}")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        raise DataError(f"{relative}: row {bad[0][0]}, column {bad[0][1]} is {rows[tuple(bad[0])]}")
    return rows


def read_fortran_covariance(path: Path, relative: str, n: int) -> NDArray[np.float64]:
    """Read an (n, n) covariance from one Fortran record of which one triangle, or both equal ones, are filled.

    Raises
    ------
    DataError
        If the size or a record marker is wrong, a value is NaN, or both triangles are filled and differ (the worst element is named).
    """
    raw = path.read_bytes()
    expected = 8 * n * n
    if len(raw) != expected + 8:
        raise DataError(f"{relative}: expected {expected + 8} bytes (record of {n} x {n} float64), found {len(raw)}")
    markers = np.frombuffer(raw[:4] + raw[-4:], dtype="<i4")
    if np.any(markers != expected):
        raise DataError(f"{relative}: expected record markers {expected}, found {markers[0]} and {markers[1]}")
    matrix = np.frombuffer(raw[4:-4], dtype="<f8").reshape(n, n).astype(np.float64)
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        raise DataError(f"{relative}: row {bad[0][0]}, column {bad[0][1]} is {matrix[tuple(bad[0])]} ({len(bad)} such values)")
    lower, upper = np.tril(matrix, -1), np.triu(matrix, 1)
    diagonal = np.diag(np.diag(matrix))
    if not upper.any():
        return np.ascontiguousarray(lower + lower.T + diagonal)
    if not lower.any():
        return np.ascontiguousarray(upper + upper.T + diagonal)
    difference = np.abs(lower - upper.T)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(difference)), difference.shape))
    if difference[row, column] > 0.0:
        raise DataError(
            f"{relative}: both triangles are filled and differ; row {row}, column {column} is {matrix[row, column]:g}, "
            f"its mirror {matrix[column, row]:g}"
        )
    return matrix


@dataclass(frozen=True)
class PlanckFiles:
    """A folder of Planck files, each checked before it is parsed.

    Parameters
    ----------
    folder : Path
        Holds ``plik_lite/`` with ``low_ell/``, ``lowE2018/``, ``lensing2018/``.
    source : str
        For the log and the manifest: package and version, or "folder".
    allow_unknown_data : bool
        Load files whose sha256 is not the expected one, and say "unverified data" in the manifest.
    """

    folder: Path
    source: str = "folder"
    allow_unknown_data: bool = False

    def check(self, component: str) -> Origin:
        """Check that the files of one component are there and are the expected ones.

        Raises
        ------
        DataError
            If a file is missing (all missing names, and which components need them), or its sha256 is not the expected one (expected
            and found hash, size; with ``allow_unknown_data=True`` it loads and is marked).
        """
        missing = [name for name in FILES[component] if what_is_at(self.folder / name) != "file"]
        if missing:
            lacking = [other for other, names in FILES.items() if any(what_is_at(self.folder / name) != "file" for name in names)]
            raise DataError(
                f"component {component} needs {', '.join(missing)}: missing in the data folder (source: {self.source}). "
                f"Components that cannot load: {', '.join(lacking)}. To supply them: {_WAYS}"
            )
        try:
            found = {name: sha256_of_file(self.folder / name) for name in FILES[component]}
        except OSError as error:
            raise DataError(f"component {component}: its files cannot be read ({error.strerror}; source: {self.source})") from error
        wrong = [name for name, value in found.items() if value != SHA256[name]]
        if wrong and not self.allow_unknown_data:
            name = wrong[0]
            raise DataError(
                f"{name}: expected sha256 {SHA256[name]}, found {found[name]} ({(self.folder / name).stat().st_size} bytes; source: "
                f"{self.source}; {len(wrong)} such files). Restore the file, or use your own with allow_unknown_data=True"
            )
        if wrong:
            level = logging.INFO if self.source == LOOKALIKE else logging.WARNING
            _LOGGER.log(
                level, "component %s: unverified data (%d of %d files differ from the real ones)", component, len(wrong), len(found)
            )
        _LOGGER.info("component %s: data from %s", component, self.source)
        return Origin(self.source, found, ("unverified data",) if wrong else ())

    def plik_lite(self, spectra: tuple[str, ...] = HIGH_L_SPECTRA, l_range: LRange | Mapping[str, LRange] | None = None) -> PlikLite:
        """The high-l component; see `PlikLite` for the selection."""
        origin = self.check("plik_lite")
        names, n = FILES["plik_lite"], sum(N_BINS.values())
        bandpowers = _table(self.folder / names[0], names[0], 3)
        if len(bandpowers) != n:
            raise DataError(f"{names[0]}: expected {n} rows (215 TT, 199 TE, 199 EE), found {len(bandpowers)}")
        low, high = (_table(self.folder / name, name, 1)[: N_BINS["TT"], 0].astype(np.int64) + 30 for name in names[2:4])
        data = PlikLiteData(
            bandpowers=bandpowers[:, 1],
            covariance=read_fortran_covariance(self.folder / names[1], names[1], n),
            l_eff=bandpowers[:, 0],
            l_low=low,
            l_high=high,
            weights=_table(self.folder / names[4], names[4], 1)[: int(high[-1]) - 29, 0],
            n_bins=dict(N_BINS),
            origin=origin,
        )
        try:
            return PlikLite(data, spectra, l_range)
        except DataError as error:
            raise DataError(f"{names[1]}: {error}") from error

    def low_tt_bins(self) -> LowEllTTBins:
        """The two Gaussian bins of TT below l = 30."""
        origin = self.check("low_tt_bins")
        rows, low, high, weights = (
            _table(self.folder / name, name, columns) for name, columns in zip(FILES["low_tt_bins"], (3, 1, 1, 1), strict=True)
        )
        edges = (low[:, 0].astype(np.int64) + 2, high[:, 0].astype(np.int64) + 2)
        return LowEllTTBins(LowEllData(rows[:, 1], rows[:, 2], *edges, weights[:, 0], origin))

    def low_ee(self, interp: str = "nearest", mock: SimAllMock | None = None) -> SimAllEE:
        """The SimAll table of low-l EE; see `SimAllEE`."""
        origin, name = self.check("low_ee"), FILES["low_ee"][0]
        table = _table(self.folder / name, name, SIMALL_L_MAX - SIMALL_L_MIN + 1)
        if len(table) != SIMALL_CELLS:
            raise DataError(f"{name}: expected {SIMALL_CELLS} rows (cells of 1e-4 muK^2), found {len(table)}")
        return SimAllEE(table, interp, mock or SimAllMock(), origin)  # type: ignore[arg-type]

    def lensing(self) -> Lensing:
        """The conservative lensing bandpowers with their correction windows."""
        origin, names = self.check("lensing"), FILES["lensing"]
        bandpowers = _table(self.folder / names[0], names[0], 7)
        m = len(bandpowers)
        plain = [_indexed(self.folder / name, name, 2) for name in names[3 : 3 + m]]
        delta = [_indexed(self.folder / name, name, 5) for name in names[3 + m :]]
        data = LensingData(
            bandpowers=bandpowers[:, 4],
            covariance=_table(self.folder / names[1], names[1], m),
            windows=_stacked([rows[:, 0] for rows in plain]),
            corrections={name: _stacked([rows[:, k] for rows in delta]) for k, name in enumerate(CORRECTION_ORDER)},
            fiducial=_table(self.folder / names[2], names[2], 2)[:, 1],
            l_range=bandpowers[:, 1:3].astype(np.int64),
            l_mean=bandpowers[:, 3],
            origin=origin,
        )
        return Lensing(data)


def _indexed(path: Path, relative: str, columns: int) -> NDArray[np.float64]:
    """A table with L in its first column, as rows indexed by L from 0 (L column dropped)."""
    rows = _table(path, relative, columns)
    multipole = rows[:, 0].astype(np.int64)
    if not np.array_equal(multipole, rows[:, 0]) or multipole[0] < 0 or np.any(np.diff(multipole) <= 0):
        raise DataError(f"{relative}: column 1 must hold increasing integers L")
    out = np.zeros((int(multipole[-1]) + 1, columns - 1))
    out[multipole] = rows[:, 1:]
    return out


def _stacked(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows of different lengths as one array, zeros behind."""
    out = np.zeros((len(rows), max(len(row) for row in rows)))
    for b, row in enumerate(rows):
        out[b, : len(row)] = row
    return out


def find_cosmofit() -> PlanckFiles | None:
    """The data folder inside the installed package cosmofit, which is not imported; None where it is absent."""
    specification = importlib.util.find_spec(_PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        return None
    folder = Path(next(iter(specification.submodule_search_locations))) / "data" / "cmb"
    if not folder.is_dir():
        return None
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    if version != _PACKAGE_VERSION:
        _LOGGER.info("cosmofit %s found, %s is the version the hashes were taken from", version, _PACKAGE_VERSION)
    return PlanckFiles(folder, f"{_PACKAGE} {version}")


def planck_data(folder: str | Path | None = None, *, allow_unknown_data: bool = False) -> PlanckFiles:
    """Find the Planck files: argument, environment variable ``SCIINF_PLANCK_DATA``, or the package cosmofit.

    Parameters
    ----------
    folder : path, optional
        Holds ``plik_lite/``, ``lowE2018/``, ``lensing2018/``; only the files of the components you load need to be there.
    allow_unknown_data : bool
        Accept files whose sha256 differs (your own data in the same formats); the manifest then says "unverified data".

    Raises
    ------
    DataError
        If no folder is found; says what was looked for and the three ways to supply it.
    """
    variable = os.environ.get(ENVIRONMENT_VARIABLE)
    if folder is not None or variable:
        chosen, told = (Path(folder), "argument folder") if folder is not None else (Path(str(variable)), ENVIRONMENT_VARIABLE)
        if what_is_at(chosen) != "folder":
            raise DataError(f"{told}: {shown(str(chosen))} is not a folder. To supply the Planck files: {_WAYS}")
        return PlanckFiles(chosen, "folder", allow_unknown_data)
    found = find_cosmofit()
    if found is None:
        raise DataError(f"no Planck files: no folder given, {ENVIRONMENT_VARIABLE} is not set, package cosmofit is not installed. {_WAYS}")
    return PlanckFiles(found.folder, found.source, allow_unknown_data)
