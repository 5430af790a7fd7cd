"""Checks of the cmb suite that need no sampler: reference values, identities, the low-l EE table, the emulator on stored spectra."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration.verdict import ALARM, Verdict
from sciinf.core.seeding import generator
from sciinf.engines.cmb.component import A_PLANCK, Component
from sciinf.engines.cmb.data import LOOKALIKE, PlanckFiles
from sciinf.engines.cmb.emulator import EmulatorTheory
from sciinf.engines.cmb.gaussian import GaussianComponent
from sciinf.engines.cmb.identity import CALIBRATION, POINTS, TOLERANCE, IdentityTable, reference_spectra
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.simall import SimAllEE
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch
from sciinf.engines.cmb.theory import PARAMETERS

__all__ = ["StepStudy", "amplitude_ranks", "dense_twin", "emulator", "identities", "reference_table", "step_study", "stored_errors"]

_EXACT = 1e-9
_SPECTRA_LIMIT, _LOW_EE_LIMIT = 0.15, 0.1  # |delta chi2| of the emulator on stored spectra: Gaussian components together; low-l EE
_AMPLITUDES = (0.2, 3.0)
_GRID = 600


def reference_table(table: IdentityTable) -> list[Verdict]:
    """One verdict over every cell of the reference table on the real files."""
    worst = max(table.cells, key=lambda cell: abs(cell.difference))
    detail = f"largest |difference| of chi2, at {worst.spectrum}, {worst.selection}; bound {TOLERANCE:g}"
    return [Verdict("identity: reference table", table.worst, None, len(table.cells), table.passed, detail)]


def dense_twin(component: GaussianComponent, spectra: Spectra, y: float) -> float:
    """chi2 by dense matrices and an inverse: a second way to the same number."""
    linear = component.linear()
    model = linear.offset.copy()
    for name, response in linear.response.items():
        model += response @ spectra[name][: response.shape[1]] / (1.0 if name == "PP" else y * y)
    residual = linear.data - model
    return float(residual @ np.linalg.inv(linear.cholesky @ linear.cholesky.T) @ residual)


def identities(components: Sequence[Component]) -> list[Verdict]:
    """Identities that hold exactly, on any data: each component against its dense twin, A_planck as a division, batch as scalar."""
    verdicts = []
    model = reference_spectra("bf_pol")
    for component in components:
        if isinstance(component, GaussianComponent):
            ours, twin = component.chi2(model, {A_PLANCK: 1.00044}), dense_twin(component, model, 1.00044)
            gap = abs(ours - twin)
            verdicts.append(Verdict(f"identity: {component.name} = dense twin", gap, None, 1, gap < TOLERANCE, "|difference| of chi2"))
        for y in (0.99, 1.0025):
            divided = Spectra(**{name.lower(): model[name] / (1.0 if name == "PP" else y * y) for name in model.l_max})
            gap = abs(component.chi2(model, {A_PLANCK: y}) - component.chi2(divided, {A_PLANCK: 1.0}))
            verdicts.append(Verdict(f"identity: {component.name}, D/A^2 at A = {y}", gap, None, 1, gap < _EXACT, "|difference| of chi2"))
        verdicts.append(_rows(component, model))
    return verdicts


def _rows(component: Component, model: Spectra) -> Verdict:
    """A row's bytes do not depend on the batch."""
    rng = generator(1, f"rows/{component.name}")
    scale, y = rng.uniform(0.95, 1.05, 64), rng.normal(1.0, 0.0025, 64)
    batch = SpectraBatch(**{name.lower(): scale[:, None] * model[name] for name in component.requires})
    whole = component.log_likelihood_many(batch, {A_PLANCK: y})
    different = 0
    for _ in range(20):
        rows = rng.permutation(64)[: rng.integers(1, 65)]
        different += int(np.sum(component.log_likelihood_many(batch.take(rows), {A_PLANCK: y[rows]}) != whole[rows]))
    return Verdict(f"identity: {component.name}, rows", different, None, 20, different == 0, "rows that changed with their neighbours")


def _mock_amplitudes(component: SimAllEE, n: int, seed: int) -> list[tuple[float, NDArray[np.float64]]]:
    """True amplitudes of the fiducial low-l EE, and the mock data drawn at each."""
    fiducial, pairs = reference_spectra("bf_pol")["EE"][2:30], []
    for i in range(n):
        rng = generator(seed, f"simall/{i}")
        truth = float(rng.uniform(*_AMPLITUDES))
        pairs.append((truth, component.mock.draw(truth * fiducial, rng)))
    return pairs


def _posterior(log_likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised weights on the grid of amplitudes, flat prior."""
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    return np.asarray(weights / np.sum(weights))


def _grid() -> NDArray[np.float64]:
    low, high = _AMPLITUDES
    return low + (high - low) * (np.arange(_GRID) + 0.5) / _GRID


def amplitude_ranks(component: SimAllEE, n: int, seed: int, *, width: float = 1.0) -> Verdict:
    """P-P of an amplitude of low-l EE over ``n`` simulated tables: the truth's posterior probability is uniform (KS test).

    ``width`` other than one flattens each posterior to that many times its width: the negative control.
    """
    grid, fiducial = _grid(), reference_spectra("bf_pol")["EE"][2:30]
    spectra = np.zeros((_GRID, 30))
    spectra[:, 2:] = grid[:, None] * fiducial
    batch, places = SpectraBatch(ee=spectra), []
    half = 0.5 * (grid[1] - grid[0])
    for truth, observed in _mock_amplitudes(component, n, seed):
        weights = _posterior(component.with_data(observed).log_likelihood_many(batch, {A_PLANCK: np.ones(_GRID)}) / width**2)
        places.append(np.interp(truth, np.append(grid - half, grid[-1] + half), np.append(0.0, np.cumsum(weights))))
    test = stats.kstest(places, "uniform")
    p = float(test.pvalue)
    return Verdict("simall: P-P of an amplitude", float(test.statistic), p, n, p > ALARM, "KS distance of the truth's probability")


@dataclasses.dataclass(frozen=True)
class StepStudy:
    """Effect of the table's step on the posterior of an amplitude, against the exact density, in units of its standard deviation."""

    step: float
    mean_shift: float
    width_ratio: float


def step_study(component: SimAllEE, n: int, seed: int, factors: Sequence[int] = (1, 2, 4)) -> list[StepStudy]:
    """Root mean square shift of the posterior mean, and mean ratio of widths, at steps of 1e-4, 2e-4 and 4e-4 muK^2, over ``n`` tables."""
    grid, fiducial = _grid(), reference_spectra("bf_pol")["EE"][2:30]
    found: dict[int, list[tuple[float, float]]] = {factor: [] for factor in factors}
    ee = grid[:, None] * fiducial
    for _, observed in _mock_amplitudes(component, n, seed):
        exact = _posterior(component.mock.log_density(observed, ee).sum(axis=1))
        mean = float(exact @ grid)
        std = float(np.sqrt(exact @ (grid - mean) ** 2))
        for factor in factors:
            step = 1e-4 * factor
            weights = _posterior(component.mock.log_density(observed, (np.floor(ee / step) + 0.5) * step).sum(axis=1))
            coarse = float(weights @ grid)
            found[factor].append(((coarse - mean) / std, float(np.sqrt(weights @ (grid - coarse) ** 2)) / std))
    rows = {factor: np.array(values) for factor, values in found.items()}
    return [StepStudy(1e-4 * f, float(np.sqrt(np.mean(v[:, 0] ** 2))), float(np.mean(v[:, 1]))) for f, v in rows.items()]


def emulator(files: PlanckFiles) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """Emulator against the stored CAMB spectra, on the components' chi2: verdicts, and a table of differences.

    Each bound is widened by 0.01 (chi2 - chi2 of bf_pol) where the data are not the real ones: the stored spectra are fits to those.
    """
    theory = EmulatorTheory()
    gaussian: tuple[Component, ...] = (files.plik_lite(), files.low_tt_bins(), files.lensing())
    low_ee = files.low_ee("linear")
    groups = {"": (gaussian, _SPECTRA_LIMIT), ", low EE": ((low_ee,), _LOW_EE_LIMIT)}
    verdicts, rows = [], []
    best = {label: _sum_chi2(parts, reference_spectra("bf_pol"), "bf_pol") for label, (parts, _) in groups.items()}
    for name, point in POINTS.items():
        ours, stored = theory.spectra(np.array([point[item] for item in PARAMETERS])), reference_spectra(name)
        gaps = [_sum_chi2((part,), ours, name) - _sum_chi2((part,), stored, name) for part in (*gaussian, low_ee)]
        rows.append((name, *(f"{gap:+.4f}" for gap in gaps)))
        for label, (parts, limit) in groups.items():
            worse = _sum_chi2(parts, stored, name) - best[label]
            bound = limit + (0.01 * max(worse, 0.0) if files.source == LOOKALIKE else 0.0)
            gap = abs(_sum_chi2(parts, ours, name) - _sum_chi2(parts, stored, name))
            detail = f"|delta chi2| of {', '.join(part.name for part in parts)}; bound {bound:.3g}"
            verdicts.append(Verdict(f"emulator: {name}{label}", gap, None, 1, gap < bound, detail))
    return verdicts, rows


def _sum_chi2(parts: Sequence[Component], spectra: Spectra, name: str) -> float:
    """Total chi2 at a stored spectrum's A_planck."""
    return sum(part.chi2(spectra, {A_PLANCK: CALIBRATION[name]}) for part in parts)


def stored_errors() -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """Errors on test points not used in training, as the weights file records them."""
    test = EmulatorTheory().weights.header["errors"]["test"]
    inside, box = test["test_ell"], test["test_box"]
    n = int(inside["n"])
    bound = f"|delta chi2|; bound {_SPECTRA_LIMIT}"
    verdicts = [
        Verdict("emulator: ellipsoid, largest", inside["max"], None, n, inside["max"] < _SPECTRA_LIMIT, bound),
        Verdict("emulator: ellipsoid, median", inside["median"], None, n, inside["median"] < 0.03, "|delta chi2|; bound 0.03"),
        Verdict("emulator: ellipsoid, low EE", inside["low_ee_max"], None, n, inside["low_ee_max"] < _LOW_EE_LIMIT, "largest |delta chi2|"),
        Verdict("emulator: box", box["share_of_allowance"], None, int(box["n"]), box["share_of_allowance"] < 1.0,
                "largest |delta chi2| / (1 + 0.01 (chi2 - best))"),
    ]  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (label, f"{int(v['n'])}", f"{v['median']:.4f}", f"{v['max']:.4f}", f"{v['low_ee_max']:.4f}") for label, v in test.items()
    ]
    return verdicts, rows


def lookalike_selections(files: PlanckFiles) -> list[Verdict]:
    """Selections on any data: a slice of the covariance, then the factor; TE + EE is not TEEE."""
    model, data = reference_spectra("bf_pol"), files.plik_lite().data
    verdicts = []
    for spectra, l_range in ((("TT",), None), (("TE", "EE"), None), (("TT", "TE", "EE"), (30, 1000))):
        part = PlikLite(data, spectra, l_range)
        gap = abs(part.chi2(model, {A_PLANCK: 1.0}) - dense_twin(part, model, 1.0))
        label = f"identity: {''.join(spectra)}{'' if l_range is None else f' l {l_range[0]}-{l_range[1]}'} = dense twin"
        verdicts.append(Verdict(label, gap, None, part.core.size, gap < TOLERANCE, "|difference| of chi2"))
    return verdicts
