"""Train the emulator from CAMB: ``python -m sciinf.engines.cmb.training [--cache FOLDER] [--output FILE] [--workers N]``.

Every CAMB run is a file in the cache folder, named by the hash of its inputs, so that the job resumes where it was stopped. Nothing
else in the package imports this module.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.metadata
import json
import logging
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from scipy.stats import norm, qmc
from threadpoolctl import threadpool_limits

from sciinf.core.atomic import atomic_path
from sciinf.core.errors import ConvergenceError, DataError
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import planck_data
from sciinf.engines.cmb.emulator import EmulatorWeights, write_weights
from sciinf.engines.cmb.fitting import Limits, PointSet, assess, chi2_by_kind, distances, fit, passes
from sciinf.engines.cmb.lcdm import LCDM_BOX
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.theory import PARAMETERS, CAMBSettings, CAMBTheory, camb_point

__all__ = ["cache_key", "compute", "default_cache", "design", "ellipsoid", "fisher_points", "load", "main", "train"]

logger = logging.getLogger(__name__)

MEAN = np.array([0.02236, 0.1202, 1.0409, 0.0544, 3.045, 0.9649])
"""Centre of the ellipsoid and of the Fisher pass (Planck 2018 VI, table 2, TTTEEE + lowE)."""

STEP = np.array([0.0001, 0.001, 0.0005, 0.005, 0.01, 0.004])
TAU_STD = 0.0073  # of the prior on tau in the Fisher pass: lowE's width
SEEDS = {"box": 1807, "ellipsoid": 6209, "test": 1907}
TRAINING_RADIUS, TEST_RADIUS = 5.0, 4.0  # sigma
N_TRAINING, N_VALIDATION, N_TEST_BOX, N_TEST_ELLIPSOID = 300, 50, 50, 60  # per half; a choice
DEGREES = (2, 3, 4)
_SPECTRA = ("TT", "TE", "EE", "PP")
_L_KEPT = 2509
_DECIMALS = 9  # of a point's coordinates: what makes the cache's keys the same on every machine
_SIGNIFICANT = 6  # decimals of the covariance in scientific notation, for the same reason


def default_cache() -> Path:
    """Folder for CAMB's results: the user's cache folder, outside any repository."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sciinf" / "cmb-training"


def cache_key(point: NDArray[np.float64], settings: CAMBSettings, version: str) -> str:
    """Name of a CAMB run: sha256 over code, version, settings and parameters."""
    inputs = {
        "code": "camb",
        "version": version,
        "settings": settings.describe(),
        "parameters": {name: float(value) for name, value in zip(PARAMETERS, point, strict=True)},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def compute(cache: Path, point: NDArray[np.float64], settings: CAMBSettings) -> None:
    """One CAMB run into the cache, unless it is there."""
    path = cache / f"{cache_key(point, settings, importlib.metadata.version('camb'))}.npz"
    if path.exists():
        return
    spectra, derived = camb_point(dict(zip(PARAMETERS, map(float, point), strict=True)), settings)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, point=np.asarray(point, dtype=np.float64), derived=derived, **spectra)


def compute_all(cache: Path, points: Sequence[NDArray[np.float64]], settings: CAMBSettings, workers: int, console: Console) -> None:
    """Every run that the cache lacks, in worker processes of one thread each; stopping loses only the runs under way."""
    cache.mkdir(parents=True, exist_ok=True)
    version = importlib.metadata.version("camb")
    missing = [point for point in points if not (cache / f"{cache_key(point, settings, version)}.npz").exists()]
    if not missing:
        return
    columns = ("CAMB", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=spawn, initializer=_one_thread) as pool,
        Progress(*columns, console=console) as progress,
    ):
        task = progress.add_task("CAMB", total=len(points), completed=len(points) - len(missing))
        for future in as_completed([pool.submit(compute, cache, point, settings) for point in missing]):
            future.result()
            progress.advance(task)


def _one_thread() -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def load(cache: Path, points: Iterable[NDArray[np.float64]], settings: CAMBSettings) -> PointSet:
    """Cached runs as a `PointSet`.

    Raises
    ------
    DataError
        If a run is missing or its file does not hold the point asked for.
    """
    version = importlib.metadata.version("camb")
    listed, derived = [], []
    spectra: dict[str, list[NDArray[np.float64]]] = {name: [] for name in _SPECTRA}
    for point in points:
        path = cache / f"{cache_key(point, settings, version)}.npz"
        if not path.exists():
            raise DataError(f"CAMB run {path.name} is missing from the cache: compute it first")
        with np.load(path, allow_pickle=False) as run:
            if not np.array_equal(run["point"], point):
                raise DataError(f"CAMB run {path.name} holds the point {run['point'].tolist()}, expected {list(map(float, point))}")
            listed.append(run["point"])
            derived.append(run["derived"])
            for name in _SPECTRA:
                spectra[name].append(run[name.lower()][:_L_KEPT])
    return PointSet(np.array(listed), {name: np.array(values) for name, values in spectra.items()}, np.array(derived))


def fisher_points() -> list[NDArray[np.float64]]:
    """The centre, and two points on either side of it for each parameter."""
    points = [MEAN]
    for i, step in enumerate(STEP):
        for sign in (1.0, -1.0):
            point = MEAN.copy()
            point[i] += sign * step
            points.append(np.round(point, _DECIMALS))
    return points


def ellipsoid(cache: Path, high_l: PlikLite, settings: CAMBSettings) -> NDArray[np.float64]:
    """Covariance (6, 6) of the TTTEEE posterior with a prior on tau, from central differences; rounded so that it is reproducible."""
    runs = load(cache, fisher_points(), settings)
    part = high_l.linear()
    binned = sum(runs.spectra[name][:, : w.shape[1]] @ w.T for name, w in part.response.items())
    assert isinstance(binned, np.ndarray)
    slopes = [(binned[1 + 2 * i] - binned[2 + 2 * i]) / (runs.points[1 + 2 * i, i] - runs.points[2 + 2 * i, i]) for i in range(len(MEAN))]
    whitened = np.linalg.solve(part.cholesky, np.array(slopes).T)
    fisher = whitened.T @ whitened
    tau = PARAMETERS.index("tau")
    fisher[tau, tau] += 1.0 / TAU_STD**2
    return np.array([[float(f"{value:.{_SIGNIFICANT}e}") for value in row] for row in np.linalg.inv(fisher)])


def _sobol(n_dim: int, seed: int, n: int) -> NDArray[np.float64]:
    """Scrambled Sobol points, kept off the faces of the cube."""
    points = qmc.Sobol(n_dim, scramble=True, rng=np.random.default_rng(seed)).random(n)
    return np.asarray(np.clip(points, 1e-9, 1 - 1e-9))


def _ball(units: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Points spread evenly in a six-dimensional ball, from seven cube coordinates."""
    directions = norm.ppf(units[:, :6])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(radius * directions * units[:, 6:7] ** (1 / 6))


def design(covariance: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """All points by set: training, validation and test, each in the box and in the ellipsoid."""
    low, high = np.array([LCDM_BOX[name] for name in PARAMETERS]).T
    n, v, t = N_TRAINING, N_VALIDATION, N_TEST_BOX
    box = low + (high - low) * _sobol(6, SEEDS["box"], 512)
    root = np.linalg.cholesky(covariance)
    inside = MEAN + _ball(_sobol(7, SEEDS["ellipsoid"], 512), TRAINING_RADIUS) @ root.T
    test = MEAN + _ball(_sobol(7, SEEDS["test"], 64), TEST_RADIUS) @ root.T
    sets = {
        "train_box": box[:n],
        "train_ell": inside[:n],
        "val_box": box[n : n + v],
        "val_ell": inside[n : n + v],
        "test_box": box[n + v : n + v + t],
        "test_ell": test[:N_TEST_ELLIPSOID],
    }
    return {name: np.round(points, _DECIMALS) for name, points in sets.items()}


def _interleaved(sets: Mapping[str, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Every point, in an order in which each set grows evenly: a cache half filled serves a first fit."""
    order = sorted(((i + 0.5) / len(points), name, i) for name, points in sets.items() for i in range(len(points)))
    return [sets[name][i] for _, name, i in order]


def train(
    sets: Mapping[str, PointSet],
    centre: PointSet,
    components: Sequence[Component],
    covariance: NDArray[np.float64],
    settings: CAMBSettings,
    limits: Limits | None = None,
) -> tuple[EmulatorWeights, dict[int, dict[str, dict[str, float]]]]:
    """Fit the lowest degree that the validation sets accept; the test sets report.

    Returns
    -------
    weights : EmulatorWeights
        Its header carries the validation and test errors.
    errors : dict
        The validation errors by degree tried.

    Raises
    ------
    ConvergenceError
        If no degree meets ``limits``.
    """
    limits = limits or Limits()
    high_l = next(component for component in components if isinstance(component, PlikLite))
    data = PointSet.join([sets["train_box"], sets["train_ell"]])
    delta = distances(high_l, data, centre)
    best = min(float(np.min(chi2_by_kind(components, points.batch())[0])) for points in sets.values())
    header = _header(covariance, settings)
    tried: dict[int, dict[str, dict[str, float]]] = {}
    for degree in DEGREES:
        weights = fit(degree, data, delta, centre, LCDM_BOX, header)
        validation = {name: sets[name] for name in ("val_ell", "val_box")}
        tried[degree] = assess(weights, validation, components, best, limits)
        if passes(tried[degree]["val_ell"], tried[degree]["val_box"], limits):
            test = assess(weights, {name: sets[name] for name in ("test_ell", "test_box")}, components, best, limits)
            errors = {"chi2_best": float(f"{best:.6g}"), "validation": tried[degree], "test": test}
            return EmulatorWeights({**weights.header, "errors": errors}, weights.arrays), tried
    raise ConvergenceError(f"no degree of {DEGREES} meets {limits}; validation errors by degree: {tried}")


def _header(covariance: NDArray[np.float64], settings: CAMBSettings) -> dict[str, Any]:
    """What the weights file says about its origin."""
    return {
        "settings": settings.describe(),
        "versions": {name: importlib.metadata.version(name) for name in ("camb", "numpy", "scipy")},
        "seeds": SEEDS,
        "ellipsoid": {"mean": MEAN.tolist(), "covariance": covariance.tolist()},
    }


def planck_components(folder: Path | None = None) -> tuple[Component, ...]:
    """The components that errors are measured with."""
    files = planck_data(folder)
    return (files.plik_lite(), files.low_tt_bins(), files.lensing(), files.low_ee())


def _report(console: Console, weights: EmulatorWeights, tried: Mapping[int, Mapping[str, Mapping[str, float]]], output: Path) -> None:
    """Errors as a table."""
    rows = [(f"degree {degree}, {name}", numbers) for degree, found in tried.items() for name, numbers in found.items()]
    rows += [(f"degree {weights.header['degree']}, {name}", numbers) for name, numbers in weights.header["errors"]["test"].items()]
    keys = list(rows[0][1])
    table = Table("set", *keys)
    for label, numbers in rows:
        table.add_row(label, *(f"{numbers[key]:.3g}" for key in keys))
    console.print(table)
    console.print(f"{output.name}: {output.stat().st_size} bytes, sha256 of the contents {weights.sha256}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute what the cache lacks, fit, report, write the weights."""
    parser = argparse.ArgumentParser(prog="python -m sciinf.engines.cmb.training", description="Train the CMB emulator from CAMB.")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of CAMB runs (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "weights" / "lcdm.npz", help="weights file to write")
    parser.add_argument("--planck", type=Path, default=None, help="folder of the Planck files (default: found as planck_data does)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="CAMB processes (default: %(default)s)")
    given = parser.parse_args(arguments)
    console, settings = Console(), CAMBTheory().settings  # MissingDependencyError without CAMB
    components = planck_components(given.planck)
    high_l = next(component for component in components if isinstance(component, PlikLite))
    run = functools.partial(compute_all, given.cache, settings=settings, workers=given.workers, console=console)
    run(fisher_points())
    with threadpool_limits(1):
        covariance = ellipsoid(given.cache, high_l, settings)
    points = design(covariance)
    run(_interleaved(points))
    with threadpool_limits(1):
        sets = {name: load(given.cache, values, settings) for name, values in points.items()}
        weights, tried = train(sets, load(given.cache, [MEAN], settings), components, covariance, settings)
    write_weights(given.output, weights)
    _report(console, weights, tried, given.output)


if __name__ == "__main__":
    main()
