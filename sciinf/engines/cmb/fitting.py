"""Fit of the emulator's polynomials to computed spectra, and the errors it leaves (used by training alone)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.cmb.component import A_PLANCK, Component
from sciinf.engines.cmb.emulator import EmulatorTheory, EmulatorWeights
from sciinf.engines.cmb.emulator_kernels import BLOCK_ORDER, N_LOW_EE
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.simall import SimAllEE
from sciinf.engines.cmb.spectra import SpectraBatch
from sciinf.engines.cmb.theory import PARAMETERS

__all__ = ["COORDINATES", "FIRST_L", "N_BASIS", "Limits", "PointSet", "assess", "distances", "fit", "monomial_powers", "passes"]

COORDINATES = {name: "log" if name in ("omega_b", "omega_c") else "linear" for name in PARAMETERS}
"""Coordinates of the polynomials: logarithms of the densities leave a third less error at degree 2 than the densities themselves."""

FIRST_L = {"TT": 2, "TE": 2, "EE": 30, "PP": 2, "EE_low": 2}
_LAST_L = {"TT": 2508, "TE": 2508, "EE": 2508, "PP": 2500, "EE_low": FIRST_L["EE_low"] + N_LOW_EE - 1}
N_BASIS = {"TT": 24, "TE": 24, "EE": 24, "PP": 12, "EE_low": 8}
"""Basis functions of each block."""

_SCALE_OF_WEIGHT = 100.0
_TAU, _LOG_A = PARAMETERS.index("tau"), PARAMETERS.index("logA")
_TAU_POWER, _OTHER_DEGREE = 5, 2

# A Planck-like experiment, for the relative weight of multipoles in the principal components: sky fraction, white noise of T and P
# (muK arcmin), beam (arcmin), and the L at which the lensing reconstruction's noise equals the signal.
_F_SKY, _NOISE_T, _NOISE_P, _BEAM, _PP_NOISE_L = 0.57, 33.0, 70.0, 7.0, 40


@dataclass(frozen=True, eq=False)
class PointSet:
    """Computed spectra at a set of points.

    Parameters
    ----------
    points : (n, 6) float64 array
        In the order of `theory.PARAMETERS`.
    spectra : dict of str to (n, l_max + 1) float64 array
        TT, TE, EE (D_l, muK^2) and PP.
    derived : (n, 4) float64 array
        H0, sigma8, Omega_m, age.
    """

    points: NDArray[np.float64]
    spectra: dict[str, NDArray[np.float64]]
    derived: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def batch(self) -> SpectraBatch:
        """The spectra as components take them."""
        return SpectraBatch(**{name.lower(): values for name, values in self.spectra.items()})

    @classmethod
    def join(cls, sets: Sequence[PointSet]) -> PointSet:
        """All points of ``sets``, in order."""
        return cls(
            np.concatenate([s.points for s in sets]),
            {name: np.concatenate([s.spectra[name] for s in sets]) for name in sets[0].spectra},
            np.concatenate([s.derived for s in sets]),
        )


@dataclass(frozen=True)
class Limits:
    """Errors of chi2 that a fit may leave: section 5 of the specification.

    Parameters
    ----------
    ellipsoid_max, ellipsoid_median : float
        Of |delta chi2| of the Gaussian components on points inside the ellipsoid.
    low_ee_max : float
        Of |delta chi2| of low_ee (linear between cells) there.
    box_floor, box_slope : float
        In the rest of the box |delta chi2| < box_floor + box_slope (chi2 - chi2_best).
    """

    ellipsoid_max: float = 0.15
    ellipsoid_median: float = 0.03
    low_ee_max: float = 0.1
    box_floor: float = 1.0
    box_slope: float = 0.01


def monomial_powers(degree: int) -> tuple[NDArray[np.int8], int]:
    """Powers (n, 6) of all monomials, and how many come first as the full polynomial of ``degree``.

    After those come what the reionisation bump needs besides: powers of tau to 5 times at most quadratic terms of the others, logA left
    out (ln D^EE / A hardly depends on it).
    """
    n = len(PARAMETERS)
    full = [_powers(chosen) for k in range(degree + 1) for chosen in itertools.combinations_with_replacement(range(n), k)]
    others = [i for i in range(n) if i not in (_TAU, _LOG_A)]
    extra = []
    for k in range(_OTHER_DEGREE + 1):
        for chosen in itertools.combinations_with_replacement(others, k):
            extra += [_powers((*chosen, *(_TAU,) * p)) for p in range(_TAU_POWER - 2 * k + 1)]
    extra = sorted((row for row in extra if row not in full), key=lambda row: (sum(row), row))
    return np.array([*full, *extra], dtype=np.int8), len(full)


def _powers(chosen: Sequence[int]) -> tuple[int, ...]:
    return tuple(list(chosen).count(i) for i in range(len(PARAMETERS)))


def scaled(points: NDArray[np.float64], domain: Mapping[str, tuple[float, float]]) -> NDArray[np.float64]:
    """Coordinates (n, 6) in [-1, 1] of points in the box."""
    columns = []
    for i, name in enumerate(PARAMETERS):
        change = np.log if COORDINATES[name] == "log" else np.asarray
        low, high = change(domain[name][0]), change(domain[name][1])
        columns.append((change(points[:, i]) - 0.5 * (low + high)) * (2.0 / (high - low)))
    return np.column_stack(columns)


def targets(data: PointSet) -> dict[str, NDArray[np.float64]]:
    """What the polynomials are fitted to, by block: spectra with the amplitude taken out; logarithms for EE at l = 2-29."""
    amplitude = 1e-10 * np.exp(data.points[:, _LOG_A])[:, None]
    damped = amplitude * np.exp(-2.0 * data.points[:, _TAU])[:, None]

    def cut(block: str) -> NDArray[np.float64]:
        return data.spectra[block[:2]][:, FIRST_L[block] : _LAST_L[block] + 1]

    return {
        **{block: cut(block) / damped for block in ("TT", "TE", "EE")},
        "PP": cut("PP") / amplitude,
        "EE_low": np.log(cut("EE_low") / amplitude),
    }


def distances(high_l: PlikLite, data: PointSet, centre: PointSet) -> NDArray[np.float64]:
    """Delta chi2 of each point's binned spectra from those of ``centre``."""
    part = high_l.linear()
    shift = sum((data.spectra[name][:, : w.shape[1]] - centre.spectra[name][:, : w.shape[1]]) @ w.T for name, w in part.response.items())
    whitened = np.linalg.solve(part.cholesky, np.asarray(shift).T)
    return np.asarray(np.sum(whitened**2, axis=0))


def _errors_per_l(centre: PointSet) -> dict[str, NDArray[np.float64]]:
    """Planck-like error of each multipole of each block, in the unit of its target (logarithms: 1)."""
    n_l = _LAST_L["TT"] + 1
    ell = np.arange(n_l, dtype=np.float64)
    tt, te, ee = (centre.spectra[name][0, :n_l] for name in ("TT", "TE", "EE"))
    pp = centre.spectra["PP"][0, :n_l]
    arcmin = math.pi / 10800.0
    beam = np.exp(ell * (ell + 1.0) * (_BEAM * arcmin) ** 2 / (8.0 * math.log(2.0))) * ell * (ell + 1.0) / (2.0 * math.pi)
    noise_t, noise_p = (_NOISE_T * arcmin) ** 2 * beam, (_NOISE_P * arcmin) ** 2 * beam
    modes = (2.0 * ell + 1.0) * _F_SKY
    sigma = {
        "TT": np.sqrt(2.0 / modes) * (tt + noise_t),
        "TE": np.sqrt((te**2 + (tt + noise_t) * (ee + noise_p)) / modes),
        "EE": np.sqrt(2.0 / modes) * (ee + noise_p),
        "PP": np.sqrt(2.0 / modes[: len(pp)]) * (pp + pp[_PP_NOISE_L]),
    }
    amplitude = 1e-10 * math.exp(centre.points[0, _LOG_A])
    damped = amplitude * math.exp(-2.0 * centre.points[0, _TAU])
    cut = {name: values[FIRST_L[name] : _LAST_L[name] + 1] / (amplitude if name == "PP" else damped) for name, values in sigma.items()}
    return {**cut, "EE_low": np.ones(N_LOW_EE)}


def _principal(weighted: NDArray[np.float64], n_basis: int) -> NDArray[np.float64]:
    """First principal directions (n_basis, n_l) of the rows, each with its largest entry positive."""
    _, _, directions = np.linalg.svd(weighted, full_matrices=False)
    directions = directions[:n_basis]
    largest = directions[np.arange(len(directions)), np.argmax(np.abs(directions), axis=1)]
    return np.asarray(directions * np.sign(largest)[:, None])


def fit(
    degree: int,
    data: PointSet,
    delta_chi2: NDArray[np.float64],
    centre: PointSet,
    domain: Mapping[str, tuple[float, float]],
    header: Mapping[str, Any],
) -> EmulatorWeights:
    """Principal components of each block and the polynomials of their coefficients.

    Parameters
    ----------
    degree : int
        Total degree of the polynomials.
    data : PointSet
        Training points.
    delta_chi2 : (n,) float64 array
        Their distances from the centre: residuals are weighted by 1 / (1 + delta_chi2 / 100), the shape of what `Limits` allows.
    centre : PointSet
        The one point at the ellipsoid's centre: sets the errors per multipole.
    domain : dict of str to (float, float)
        The box.
    header : dict
        Further entries of the file's header, JSON-able.
    """
    powers, n_full = monomial_powers(degree)
    phi = np.prod(scaled(data.points, domain)[:, None, :] ** powers, axis=2)
    weight = 1.0 / (1.0 + delta_chi2 / _SCALE_OF_WEIGHT)
    share = weight**2 / np.sum(weight**2)
    arrays: dict[str, NDArray[Any]] = {"powers": powers}
    errors = _errors_per_l(centre)
    for block, values in targets(data).items():
        mean = share @ values
        whitened = (values - mean) / errors[block]
        directions = _principal(whitened * weight[:, None], N_BASIS[block])
        design = phi if block == "EE_low" else phi[:, :n_full]
        found = np.linalg.lstsq(design * weight[:, None], (whitened @ directions.T) * weight[:, None], rcond=None)[0]
        arrays[f"mean_{block}"] = mean.astype(np.float32)
        arrays[f"basis_{block}"] = (directions * errors[block]).astype(np.float32)
        arrays[f"coefficients_{block}"] = found.astype(np.float32)
    derived = np.column_stack([np.log(data.derived[:, 1]) - 0.5 * data.points[:, _LOG_A], data.derived[:, 3]])
    arrays["derived"] = np.linalg.lstsq(phi, derived, rcond=None)[0]
    about = {
        "kind": "polynomial",
        "degree": degree,
        "coordinates": COORDINATES,
        "first_l": FIRST_L,
        "n_basis": N_BASIS,
        "domain": {name: list(domain[name]) for name in PARAMETERS},
        "n_training": len(data),
    }
    return EmulatorWeights({**header, **about}, arrays)


def chi2_by_kind(components: Sequence[Component], batch: SpectraBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """chi2 (n,) of the Gaussian components together, and of low_ee (linear between cells), at A_planck = 1."""
    one = {A_PLANCK: np.ones(len(batch))}
    gaussian, low = np.zeros(len(batch)), np.zeros(len(batch))
    for component in components:
        if isinstance(component, SimAllEE):
            low += -2.0 * component.smooth().log_likelihood_many(batch, one)
        else:
            gaussian += -2.0 * component.log_likelihood_many(batch, one)
    return gaussian, low


def assess(
    weights: EmulatorWeights, sets: Mapping[str, PointSet], components: Sequence[Component], best: float, limits: Limits
) -> dict[str, dict[str, float]]:
    """Errors of chi2 on each set of points.

    Returns
    -------
    dict
        By set: ``n``; ``median`` and ``max`` of |delta chi2| of the Gaussian components, ``share_of_allowance`` = largest |delta chi2| /
        (box_floor + box_slope (chi2 - best)); ``low_ee_median``, ``low_ee_max``, ``low_ee_share``; largest errors of ``sigma8``, ``age``,
        ``H0`` and ``Omega_m``.
    """
    theory = EmulatorTheory(weights=weights)
    found = {}
    for name, data in sets.items():
        exact, low_exact = chi2_by_kind(components, data.batch())
        ours, low_ours = chi2_by_kind(components, theory.spectra_many(data.points))
        error, low_error = np.abs(ours - exact), np.abs(low_ours - low_exact)
        allowed = limits.box_floor + limits.box_slope * np.maximum(exact - best, 0.0)
        numbers = {
            "median": np.median(error),
            "max": np.max(error),
            "share_of_allowance": np.max(error / allowed),
            "low_ee_median": np.median(low_error),
            "low_ee_max": np.max(low_error),
            "low_ee_share": np.max(low_error / allowed),
        }
        moved = np.max(np.abs(theory.derived_many(data.points) - data.derived), axis=0)
        numbers.update(zip(theory.derived_names, moved, strict=True))
        found[name] = {"n": float(len(data)), **{key: float(f"{value:.4g}") for key, value in numbers.items()}}
    return found


def passes(inside: Mapping[str, float], outside: Mapping[str, float], limits: Limits) -> bool:
    """Whether the errors on a set inside the ellipsoid and on one in the rest of the box meet ``limits``."""
    return (
        inside["max"] < limits.ellipsoid_max
        and inside["median"] < limits.ellipsoid_median
        and inside["low_ee_max"] < limits.low_ee_max
        and outside["share_of_allowance"] < 1.0
        and outside["low_ee_share"] < 1.0
    )


assert tuple(N_BASIS) == BLOCK_ORDER
