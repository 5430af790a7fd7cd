"""Theory spectra as the components take them, one point or a batch, and the linear form of a Gaussian component."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError, SciinfWarning, nearest_names

__all__ = ["SPECTRA", "LinearPart", "Spectra", "SpectraBatch"]

SPECTRA = ("TT", "TE", "EE", "BB", "PP")
"""The spectra, in this package's one order. TT, TE, EE, BB: D_l in muK^2; PP: [L(L+1)]^2 C_L / 2pi."""

_PIVOT_L = 200
_PIVOT_LIMITS = (1e2, 1e5)
_PIVOT_EXPECTED = 5.6e3
_T_CMB_MICROKELVIN = 2.7255e6
_USUAL_CAUSES = {
    "C_l instead of D_l (multiply by l(l+1)/2pi)": 2.0 * math.pi / (_PIVOT_L * (_PIVOT_L + 1)),
    "temperature in K instead of muK (multiply by 1e12)": 1e-12,
    "units of T_cmb^2 (multiply by 7.43e12 muK^2)": _T_CMB_MICROKELVIN**-2,
    "C_l in K^2 (multiply by 1e12 l(l+1)/2pi)": 1e-12 * 2.0 * math.pi / (_PIVOT_L * (_PIVOT_L + 1)),
    "C_l in units of T_cmb^2 (multiply by 7.43e12 l(l+1)/2pi)": _T_CMB_MICROKELVIN**-2 * 2.0 * math.pi / (_PIVOT_L * (_PIVOT_L + 1)),
}


def _warn_about_units(tt: NDArray[np.float64]) -> None:
    """Warn where TT at l = 200 cannot be a CMB D_l in muK^2, with the likeliest cause."""
    value = float(tt[_PIVOT_L])
    if _PIVOT_LIMITS[0] <= value <= _PIVOT_LIMITS[1]:
        return
    factor = value / _PIVOT_EXPECTED
    hint = ""
    if factor > 0.0:
        cause = min(_USUAL_CAUSES, key=lambda name: abs(math.log(factor / _USUAL_CAUSES[name])))
        if abs(math.log(factor / _USUAL_CAUSES[cause])) < math.log(10.0):
            hint = f"; this looks like {cause}"
    warnings.warn(
        f"TT at l = {_PIVOT_L} is {value:.4g}, a factor {factor:.2g} of the usual {_PIVOT_EXPECTED:g} muK^2: spectra must be "
        f"D_l = l(l+1) C_l / 2pi in muK^2{hint}",
        SciinfWarning,
        stacklevel=4,
    )


@dataclass(frozen=True, eq=False)
class Spectra:
    """Theory spectra of one model, each indexed by l from 0; None where absent.

    Parameters
    ----------
    tt, te, ee, bb : (l_max + 1,) float64 array or None
        D_l = l(l+1) C_l / 2pi, muK^2; entries 0 and 1 are zero. Lengths may differ.
    pp : (l_max + 1,) float64 array or None
        [L(L+1)]^2 C_L^{phi phi} / 2pi, dimensionless; entries 0 and 1 are zero.

    Raises
    ------
    DataError
        If an array is not one-dimensional, is shorter than 3, holds NaN or infinity (the spectrum and the first such l are named),
        or entry 0 or 1 is not zero; or if every spectrum is absent.

    Warns
    -----
    SciinfWarning
        If TT at l = 200 lies outside 1e2 to 1e5 muK^2: C_l, or another unit, was given.

    Examples
    --------
    >>> l = np.arange(2001)
    >>> model = Spectra(tt=np.where(l < 2, 0.0, 5000.0))
    >>> model.l_max
    {'TT': 2000}
    """

    tt: NDArray[np.float64] | None = None
    te: NDArray[np.float64] | None = None
    ee: NDArray[np.float64] | None = None
    bb: NDArray[np.float64] | None = None
    pp: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in SPECTRA:
            given = getattr(self, name.lower())
            if given is None:
                continue
            values = as_float_array(name, given)
            if values.ndim != 1 or len(values) < 3:
                raise DataError(f"spectrum {name} must be one-dimensional and indexed by l from 0, l_max >= 2; got shape {values.shape}")
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise DataError(f"spectrum {name} must be finite; at l = {bad[0]} it is {values[bad[0]]} ({len(bad)} such values)")
            if values[0] != 0.0 or values[1] != 0.0:
                raise DataError(
                    f"spectrum {name} is indexed by l from 0, and entries 0 and 1 must be zero; got {values[0]:g} and {values[1]:g}. "
                    "An array that starts at l = 2 needs two zeros in front"
                )
            object.__setattr__(self, name.lower(), values)
        if not self.l_max:
            raise DataError(f"Spectra needs at least one of {', '.join(SPECTRA)}")
        if self.tt is not None and len(self.tt) > _PIVOT_L:
            _warn_about_units(self.tt)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Spectrum by name ("TT", ...); DataError where it is absent."""
        if name not in SPECTRA:
            raise ConfigError(f"no spectrum '{name}': {nearest_names(name, SPECTRA)}")
        values = getattr(self, name.lower())
        if values is None:
            raise DataError(f"spectrum {name} is absent; present: {', '.join(self.l_max)}")
        return values  # type: ignore[no-any-return]

    @property
    def l_max(self) -> dict[str, int]:
        """Largest l of each spectrum that is present."""
        return {name: len(values) - 1 for name in SPECTRA if (values := getattr(self, name.lower())) is not None}

    @classmethod
    def unchecked(cls, arrays: dict[str, NDArray[np.float64]]) -> Spectra:
        """Spectra from contiguous float64 arrays by name, taken as they are: a theory inside a run may hold NaN."""
        made: Spectra = object.__new__(cls)
        for name in SPECTRA:
            object.__setattr__(made, name.lower(), arrays.get(name))
        return made

    @classmethod
    def from_file(cls, path: str | Path, columns: Sequence[str] | None = None) -> Spectra:
        """Read spectra from a file of D_l (muK^2) and PP.

        Parameters
        ----------
        path : path
            ``.npz`` with keys l, tt, te, ee, bb, pp (each optional but l and one spectrum), or a text table.
        columns : sequence of str
            What each column of a text table holds, such as ``("l", "tt", "te", "ee")``; ``"_"`` skips one. Required for text, since
            programs differ in their order; refused for npz.

        Returns
        -------
        Spectra
            Entries below the file's first l (at most 2) are zero; a spectrum that the file lacks is None.

        Raises
        ------
        ConfigError
            If ``columns`` is missing for text or given for npz, or holds an unknown or repeated name.
        DataError
            If the file cannot be read, l is not 0, 1 or 2 onwards in steps of 1, or a value is not finite.
        """
        path = Path(path)
        table = _read_npz(path, columns) if path.suffix == ".npz" else _read_text(path, columns)
        l_column = table.pop("l")
        first = int(l_column[0]) if len(l_column) and float(l_column[0]).is_integer() else -1
        if first not in (0, 1, 2) or not np.array_equal(l_column, first + np.arange(len(l_column))):
            raise DataError(f"{path.name}: column l must run 0, 1 or 2 onwards in steps of 1, got {l_column[:4].tolist()} ...")
        padded = {}
        for name, values in table.items():
            if values.shape != l_column.shape:
                raise DataError(f"{path.name}: {name} has shape {values.shape}, l has {l_column.shape}")
            padded[name] = np.concatenate([np.zeros(first), values])
        return cls(**padded)


def _read_npz(path: Path, columns: Sequence[str] | None) -> dict[str, NDArray[np.float64]]:
    """Columns by lower-case name from an npz file."""
    if columns is not None:
        raise ConfigError(f"{path.name}: columns are for text tables; an npz file names its arrays itself")
    try:
        with np.load(path, allow_pickle=False) as archive:
            table = {name: as_float_array(name, archive[name]) for name in archive.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: not a readable npz file ({error})") from error
    known = ("l", *(name.lower() for name in SPECTRA))
    if unknown := [name for name in table if name not in known]:
        raise DataError(f"{path.name}: unknown key '{unknown[0]}': {nearest_names(unknown[0], known)}")
    if "l" not in table:
        raise DataError(f"{path.name}: key 'l' is missing; found {', '.join(table) or 'nothing'}")
    return table


def _read_text(path: Path, columns: Sequence[str] | None) -> dict[str, NDArray[np.float64]]:
    """Columns by lower-case name from a text table."""
    known = ("l", *(name.lower() for name in SPECTRA))
    if columns is None:
        raise ConfigError(
            f"{path.name}: give the columns of a text table, such as columns=('l', 'tt', 'te', 'ee'): programs differ in their order "
            "(planck-lite-py writes TT TE EE, CAMB writes TT EE BB TE), so it is never guessed"
        )
    for name in columns:
        if name != "_" and name not in known:
            raise ConfigError(f"{path.name}: unknown column '{name}': {nearest_names(name, (*known, '_'))}")
    named = [name for name in columns if name != "_"]
    if len(set(named)) != len(named) or "l" not in named:
        raise ConfigError(f"{path.name}: columns must hold 'l' and each name once, got {list(columns)}")
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: not a readable table of numbers ({error})") from error
    if rows.shape[1] != len(columns):
        raise DataError(f"{path.name}: {rows.shape[1]} columns found, {len(columns)} named ({', '.join(columns)})")
    return {name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(columns) if name != "_"}


@dataclass(frozen=True, eq=False)
class SpectraBatch:
    """Spectra of ``n`` models, (n, l_max + 1) float64 each, None where absent; values may be NaN where a theory failed.

    Parameters
    ----------
    tt, te, ee, bb, pp : (n, l_max + 1) float64 array or None
        As in `Spectra`, one row per model.

    Raises
    ------
    DataError
        If an array is not two-dimensional or the numbers of rows differ.
    """

    tt: NDArray[np.float64] | None = None
    te: NDArray[np.float64] | None = None
    ee: NDArray[np.float64] | None = None
    bb: NDArray[np.float64] | None = None
    pp: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        rows = set()
        for name in SPECTRA:
            given = getattr(self, name.lower())
            if given is None:
                continue
            values = np.ascontiguousarray(given, dtype=np.float64)
            if values.ndim != 2:
                raise DataError(f"spectrum {name} of a batch must have shape (n, l_max + 1), got {values.shape}")
            rows.add(len(values))
            object.__setattr__(self, name.lower(), values)
        if len(rows) != 1:
            raise DataError(f"the spectra of a batch must have the same number of rows, got {sorted(rows)}")

    def __len__(self) -> int:
        return next(len(values) for name in SPECTRA if (values := getattr(self, name.lower())) is not None)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Spectra (n, l_max + 1) by name ("TT", ...); DataError where absent."""
        if name not in SPECTRA:
            raise ConfigError(f"no spectrum '{name}': {nearest_names(name, SPECTRA)}")
        values = getattr(self, name.lower())
        if values is None:
            raise DataError(f"spectrum {name} is absent; present: {', '.join(self.l_max)}")
        return values  # type: ignore[no-any-return]

    @property
    def l_max(self) -> dict[str, int]:
        """Largest l of each spectrum that is present."""
        return {name: values.shape[1] - 1 for name in SPECTRA if (values := getattr(self, name.lower())) is not None}

    def row(self, i: int) -> Spectra:
        """Model ``i``, as views and unchecked (it may hold NaN)."""
        return Spectra.unchecked({name: values[i] for name in SPECTRA if (values := getattr(self, name.lower())) is not None})

    def take(self, rows: NDArray[np.int64]) -> SpectraBatch:
        """The given rows, copied, as another batch."""
        return SpectraBatch(**{name.lower(): self[name][rows] for name in self.l_max})

    @classmethod
    def stack(cls, models: Iterable[Spectra]) -> SpectraBatch:
        """A batch of ``models``, which must have the same spectra and lengths."""
        listed = list(models)
        if not listed or any(model.l_max != listed[0].l_max for model in listed):
            raise DataError("a batch needs at least one model, and the same spectra and l_max in each")
        return cls(**{name.lower(): np.stack([model[name] for model in listed]) for name in listed[0].l_max})


@dataclass(frozen=True, eq=False)
class LinearPart:
    """A Gaussian component as a linear map of the spectra: what a compressed form is built from.

    The component's model is ``offset + sum_X response[X] @ D_X / a_X`` with a_X = A_planck^2 for TT, TE, EE, BB and 1 for PP, and
    ln L = -|cholesky^-1 (data - model)|^2 / 2.

    Parameters
    ----------
    data : (m,) float64 array
        Measured bandpowers.
    cholesky : (m, m) float64 array
        Lower factor of their covariance.
    response : dict of str to (m, l_max + 1) float64 array
        Weights on D_l, by spectrum, indexed by l from 0; l_max is the component's own.
    offset : (m,) float64 array
        What the model adds whatever the spectra.
    """

    data: NDArray[np.float64]
    cholesky: NDArray[np.float64]
    response: dict[str, NDArray[np.float64]]
    offset: NDArray[np.float64]
