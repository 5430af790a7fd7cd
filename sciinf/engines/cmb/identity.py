"""Reference values of the likelihood on stored spectra, and the self test that recomputes one row of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sciinf.engines.cmb.component import A_PLANCK, Component
from sciinf.engines.cmb.data import PlanckFiles, planck_data
from sciinf.engines.cmb.spectra import Spectra

__all__ = ["CALIBRATION", "POINTS", "REFERENCE", "TOLERANCE", "Cell", "IdentityTable", "compare", "reference_spectra", "self_test"]

TOLERANCE = 1e-6
"""Absolute tolerance on chi2; two independent codes agree to 3e-13 on these cells."""

CALIBRATION = {"bf_pol": 1.00044, "bf_TT": 1.00008, "mean_TTTEEE_lowE": 1.0}
"""A_planck of each stored spectrum; "at A = 1" cells use 1."""

POINTS: dict[str, dict[str, float]] = {
    "bf_pol": {"omega_b": 0.022383, "omega_c": 0.12011, "theta_mc": 1.040909, "tau": 0.0543, "logA": 3.0448, "n_s": 0.96605},
    "bf_TT": {"omega_b": 0.0224, "omega_c": 0.1172, "theta_mc": 1.04117, "tau": 0.0862, "logA": 3.1, "n_s": 0.9733},
    "mean_TTTEEE_lowE": {"omega_b": 0.02236, "omega_c": 0.1202, "theta_mc": 1.0409, "tau": 0.0544, "logA": 3.045, "n_s": 0.9649},
}
"""Parameters of each stored spectrum."""

# chi2 on the real files, by selection: cobaya 3.6.2's native classes, and planck-lite-py for "+ 2 bins", on the same spectra
# (tests/fixtures/cmb/reference_chi2.json).
REFERENCE: dict[str, dict[str, float]] = {
    "bf_pol": {
        "TTTEEE": 584.227953267, "TT": 206.847439052, "TE": 186.292755554, "EE": 196.828625496, "TEEE": 379.639598801,
        "TTTE": 387.740170195, "TTTEEE + 2 bins": 588.231846659, "TTTEEE L30-1000": 288.795988908,
        "TT 800-2508": 129.859668255, "lensing": 8.866449621,
        "lowE": 396.057055264, "TTTEEE at A=1": 585.012070263, "lowE at A=1": 396.053459727,
    },
    "bf_TT": {
        "TTTEEE": 585.661675411, "TT": 204.351719465, "TE": 185.814887214, "EE": 199.391089160, "TEEE": 380.943952621,
        "TTTE": 387.662700290, "TTTEEE + 2 bins": 589.365432230, "TTTEEE L30-1000": 290.932583200,
        "TT 800-2508": 130.070258336, "lensing": 9.050788826,
        "lowE": 412.512737652, "TTTEEE at A=1": 585.760674021, "lowE at A=1": 412.512737652,
    },
    "mean_TTTEEE_lowE": {
        "TTTEEE": 584.255661883, "TT": 206.512833881, "TE": 186.810790308, "EE": 197.033536719, "TEEE": 380.225693082,
        "TTTE": 387.727518882, "TTTEEE + 2 bins": 588.593388060, "TTTEEE L30-1000": 289.123303573,
        "TT 800-2508": 129.421939931, "lensing": 8.893265206,
        "lowE": 396.148944161, "TTTEEE at A=1": 584.255661883, "lowE at A=1": 396.148944161,
    },
}  # fmt: skip

_SELECTIONS = {"TTTEEE": ("TT", "TE", "EE"), "TT": ("TT",), "TE": ("TE",), "EE": ("EE",), "TEEE": ("TE", "EE"), "TTTE": ("TT", "TE")}


def reference_spectra(name: str) -> Spectra:
    """One of the stored spectra ("bf_pol", "bf_TT", "mean_TTTEEE_lowE"), computed with CAMB 2.0.5."""
    return Spectra.from_file(Path(__file__).parent / "weights" / f"{name}.npz")


@dataclass(frozen=True)
class Cell:
    """One reference value and what was found for it."""

    spectrum: str
    selection: str
    found: float
    expected: float

    @property
    def difference(self) -> float:
        """Found minus expected."""
        return self.found - self.expected

    @property
    def passed(self) -> bool:
        """Whether the difference is within `TOLERANCE`."""
        return abs(self.difference) <= TOLERANCE


@dataclass(frozen=True)
class IdentityTable:
    """Found and expected chi2, cell by cell."""

    cells: tuple[Cell, ...]
    source: str

    @property
    def passed(self) -> bool:
        """Whether every cell is within `TOLERANCE`."""
        return all(cell.passed for cell in self.cells)

    @property
    def worst(self) -> float:
        """Largest absolute difference."""
        return max(abs(cell.difference) for cell in self.cells)

    def __str__(self) -> str:
        width = max(len(cell.selection) for cell in self.cells)
        verdict = "passed" if self.passed else "FAILED"
        head = f"chi2 on {self.source}: {len(self.cells)} cells, largest difference {self.worst:.1e}, tolerance {TOLERANCE:g}: {verdict}"
        lines = [f"{c.spectrum:<17}{c.selection:<{width}}{c.found:14.6f}{c.expected:14.6f}{c.difference:11.1e}" for c in self.cells]
        return "\n".join([head, *lines])


def _sources(files: PlanckFiles) -> dict[str, tuple[tuple[Component, ...], bool]]:
    """Components of each selection, and whether A_planck is set to one."""
    high = {name: files.plik_lite(spectra) for name, spectra in _SELECTIONS.items()}
    bins, low_ee = files.low_tt_bins(), files.low_ee()
    return {
        **{name: ((component,), False) for name, component in high.items()},
        "TTTEEE + 2 bins": ((high["TTTEEE"], bins), False),
        "TTTEEE L30-1000": ((files.plik_lite(l_range=(30, 1000)),), False),
        "TT 800-2508": ((files.plik_lite(("TT",), (800, 2508)),), False),
        "lensing": ((files.lensing(),), False),
        "lowE": ((low_ee,), False),
        "TTTEEE at A=1": ((high["TTTEEE"],), True),
        "lowE at A=1": ((low_ee,), True),
    }


def compare(files: PlanckFiles, spectra: Mapping[str, Spectra]) -> IdentityTable:
    """Recompute every reference cell of the given spectra (by name) on the real files."""
    cells = []
    for selection, (components, unit) in _sources(files).items():
        for name, model in spectra.items():
            nuisance = {A_PLANCK: 1.0 if unit else CALIBRATION[name]}
            found = sum(component.chi2(model, nuisance) for component in components)
            cells.append(Cell(name, selection, found, REFERENCE[name][selection]))
    return IdentityTable(tuple(cells), files.source)


def self_test(files: PlanckFiles | None = None) -> IdentityTable:
    """Recompute the row of `REFERENCE` of the best fit that ships with the package.

    Parameters
    ----------
    files : PlanckFiles, optional
        The real files, found by `planck_data` by default.

    Returns
    -------
    IdentityTable
        ``passed`` and ``str()`` of it tell.

    Raises
    ------
    DataError
        If the files are missing or are not the expected ones.
    """
    return compare(files if files is not None else planck_data(), {"bf_pol": reference_spectra("bf_pol")})
