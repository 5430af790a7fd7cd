"""Speed of the CMB likelihood beside its peers: one process, one thread, median and minimum of several rounds.

Run in an environment of its own (peers are pinned in constraints-bench.txt); a peer that is absent is reported as skipped:

    make bench
    .venv-bench/bin/python validation/benchmarks/cmb.py [--json FILE] [--no-prototype]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pickle
import platform
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.engines import cmb
from sciinf.engines.cmb.data import N_BINS
from sciinf.engines.cmb.identity import reference_spectra
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch

THETA = np.array([0.02237, 0.12, 1.04092, 0.0544, 3.044, 0.9649, 1.0])
FOUR = ("plik_lite", "low_tt_bins", "low_ee", "lensing")
ROUNDS = 9


@dataclass(frozen=True)
class Timing:
    """Seconds per call: median and minimum over rounds, and the first call."""

    name: str
    median: float
    minimum: float
    first: float


@dataclass(frozen=True)
class Ratio:
    """One row of the table of goals."""

    what: str
    against: str
    ratio: float | None
    floor: float
    target: float
    note: str = ""


def clock(name: str, call: Callable[[], Any], seconds: float = 0.15, per: int = 1) -> Timing:
    """Time ``call``: each of ROUNDS rounds repeats it for about ``seconds``; ``per`` units of work in a call."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    start = time.perf_counter()
    call()
    repeats = max(1, int(seconds / max(time.perf_counter() - start, 1e-9)))
    values = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        values.append((time.perf_counter() - start) / repeats / per)
    return Timing(name, statistics.median(values), min(values), first)


class Twin:
    """NumPy twin of planck-lite-py (which is not on PyPI): a Python loop over bins, and the dense inverse covariance."""

    def __init__(self, part: PlikLite) -> None:
        data = part.data
        self.data, self.inverse = data, np.linalg.inv(data.covariance)

    def chi2(self, tt: np.ndarray, te: np.ndarray, ee: np.ndarray, y: float) -> float:
        """As planck-lite-py: D_l to C_l, bins one by one, and the quadratic form."""
        data, parts = self.data, []
        multipole = np.arange(2, 2509)
        for name, spectrum in (("TT", tt), ("TE", te), ("EE", ee)):
            c_l = spectrum[2:2509] * 2.0 * np.pi / (multipole * (multipole + 1.0))
            binned = np.zeros(N_BINS[name])
            for b in range(N_BINS[name]):
                low, high = data.l_low[b], data.l_high[b]
                binned[b] = np.sum(c_l[low - 2 : high - 1] * data.weights[low - 30 : high - 29])
            parts.append(binned)
        residual = data.bandpowers - np.concatenate(parts) / y**2
        return float(residual.dot(self.inverse).dot(residual))


def cobaya_native(part: PlikLite, folder: Path) -> Any:
    """cobaya's plik_lite class on a dataset file written from the same data, or None where cobaya is absent."""
    if importlib.util.find_spec("cobaya") is None:
        return None
    from cobaya.likelihoods.base_classes import PlanckPlikLite

    class Native(PlanckPlikLite):  # type: ignore[misc]
        """The class without its download: the data are those written here."""

        install_options: dict[str, str] = {}

    data = part.data
    np.savetxt(folder / "data.dat", np.column_stack([data.l_eff, data.bandpowers, np.sqrt(np.diag(data.covariance))]))
    np.savetxt(folder / "blmin.dat", data.l_low - 30)
    np.savetxt(folder / "blmax.dat", data.l_high - 30)
    np.savetxt(folder / "weights.dat", data.weights)
    marker = np.array([data.covariance.size * 8], dtype="<i4").tobytes()
    (folder / "cov.bin").write_bytes(marker + np.tril(data.covariance).astype("<f8").tobytes() + marker)
    lines = {
        "use_cl": "tt te ee", "nbintt": 215, "nbinte": 199, "nbinee": 199, "lmax": 2508, "calibration_param": "A_planck",
        "data": "data.dat", "blmin": "blmin.dat", "blmax": "blmax.dat",
        "weights": "weights.dat", "bin_lmin_offset": 30, "cov_file_binary": "cov.bin",
    }  # fmt: skip
    (folder / "plik_lite.dataset").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    return Native({"dataset_file": str(folder / "plik_lite.dataset"), "path": str(folder)}, standalone=True)


def from_spectra(part: PlikLite, model: Spectra, cobaya: Any, timings: list[Timing], rows: list[Ratio]) -> None:
    """plik_lite TTTEEE from given spectra, scalar and in a batch of 64."""
    nuisance, twin = {"A_planck": 1.00044}, Twin(part)
    arrays = [model[name] for name in ("TT", "TE", "EE")]
    ours = clock("plik_lite, scalar", lambda: part.log_likelihood(model, nuisance))
    numpy_twin = clock("NumPy twin of planck-lite-py", lambda: twin.chi2(*arrays, 1.00044))
    batch = SpectraBatch(**{name.lower(): np.repeat(model[name][None, :], 64, axis=0) for name in ("TT", "TE", "EE")})
    y = {"A_planck": np.full(64, 1.00044)}
    many = clock("plik_lite, batch of 64, per spectrum", lambda: part.log_likelihood_many(batch, y), per=64)
    timings += [ours, numpy_twin, many]
    assert abs(part.chi2(model, nuisance) - twin.chi2(*arrays, 1.00044)) < 1e-6
    if cobaya is None:
        rows.append(Ratio("plik_lite from spectra, scalar", "cobaya native", None, 7, 20, "skipped: cobaya is not installed"))
    else:
        assert abs(part.chi2(model, nuisance) - cobaya.get_chi_squared(0, *arrays, 1.00044)) < 1e-6
        peer = clock("cobaya native plik_lite", lambda: cobaya.get_chi_squared(0, *arrays, 1.00044))
        timings.append(peer)
        rows.append(Ratio("plik_lite from spectra, scalar", "cobaya native", peer.median / ours.median, 7, 20))
    rows.append(Ratio("plik_lite from spectra, scalar", "NumPy twin", numpy_twin.median / ours.median, 10, 30))
    rows.append(Ratio("plik_lite from spectra, batch of 64", "NumPy twin", numpy_twin.median / many.median, 40, 80))


def cosmopower(cobaya: Any) -> Callable[[], Any] | None:
    """theta to ln L by cosmopower-jax's shipped nets and cobaya's native likelihood, or None where one is absent."""
    if importlib.util.find_spec("cosmopower_jax") is None or cobaya is None:
        return None
    try:
        from cosmopower_jax.cosmopower_jax import CosmoPowerJAX

        nets = {probe: CosmoPowerJAX(f"cmb_{probe}", verbose=False) for probe in ("tt", "te", "ee")}
    except Exception as error:  # a peer that does not load is a skipped row
        print(f"cosmopower-jax cannot be used: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    point = np.array([0.02237, 0.12, 0.6736, 0.0544, 0.9649, 3.044])
    multipole = np.arange(2, 2509)
    factor = multipole * (multipole + 1.0) / (2.0 * np.pi) * 2.7255e6**2

    def call() -> float:
        predicted = [np.asarray(net.predict(point)).ravel()[:2507] for net in nets.values()]
        arrays = [np.concatenate([np.zeros(2), values * factor]) for values in predicted]
        return float(cobaya.get_chi_squared(0, *arrays, 1.0))

    return call


def from_parameters(cobaya: Any, timings: list[Timing], rows: list[Ratio]) -> None:
    """theta to ln L: the fused full form, the compressed form, and what a chain would pay with others."""
    full = cmb.planck2018(("plik_lite",), evaluation="full")
    whole_full, whole = (cmb.planck2018(FOUR, evaluation=evaluation) for evaluation in ("full", "compressed"))
    scalar = {name: engine.compiled() for name, engine in (("one", full), ("full", whole_full), ("compressed", whole))}
    work = {name: np.empty(form.workspace_size) for name, form in scalar.items()}

    def bare(name: str) -> Callable[[], Any]:
        form, scratch = scalar[name], work[name]
        return lambda: form.function(THETA, form.floats, form.ints, scratch)

    fused = clock("theta to ln L, plik_lite, fused full", bare("one"))
    fused_whole = clock("theta to ln L, whole hybrid, fused full", bare("full"))
    compressed = clock("theta to ln L, whole hybrid, compressed", bare("compressed"))
    thetas = np.repeat(THETA[None, :], 64, axis=0)
    engine = clock("the same through engine.log_likelihood", lambda: whole.log_likelihood(THETA))
    many = clock("the same through log_likelihood_many, 64, per point", lambda: whole.log_likelihood_many(thetas), per=64)
    timings += [fused, fused_whole, compressed, engine, many]
    peer = cosmopower(cobaya)
    if peer is None:
        note = "skipped: cosmopower-jax or cobaya is not installed, or does not load"
        rows.append(Ratio("theta to ln L, fused full", "cosmopower-jax + cobaya native", None, 20, 50, note))
    else:
        timing = clock("cosmopower-jax + cobaya native", peer)
        timings.append(timing)
        rows.append(Ratio("theta to ln L, fused full", "cosmopower-jax + cobaya native", timing.median / fused.median, 20, 50))
    rows.append(Ratio("theta to ln L, whole hybrid, compressed", "fused full", fused_whole.median / compressed.median, 15, 40))
    if importlib.util.find_spec("camb") is None or cobaya is None:
        note = "skipped: camb or cobaya is not installed"
        rows.append(Ratio("theta to ln L, whole hybrid, compressed", "CAMB + cobaya", None, 1e4, 1e5, note))
        return
    theory, start = cmb.CAMBTheory(), time.perf_counter()
    spectra = theory.spectra(THETA[:6])
    cobaya.get_chi_squared(0, *(spectra[name] for name in ("TT", "TE", "EE")), 1.0)
    seconds = time.perf_counter() - start
    timings.append(Timing("CAMB + cobaya (one call)", seconds, seconds, seconds))
    rows.append(Ratio("theta to ln L, whole hybrid, compressed", "CAMB + cobaya", seconds / compressed.median, 1e4, 1e5))


def headline(rows: list[Ratio], timings: list[Timing]) -> None:
    """The whole run through ``sample`` against the NumPy prototype of this method, both to the end of their sampling."""
    import sciinf
    from sciinf.samplers.settings import Emcee

    sys.path.insert(0, str(Path(__file__).parent))
    from cmb_prototype import prototype

    engine = cmb.planck2018()
    problem = sciinf.Problem(engine, engine.default_priors())
    seconds = []
    for seed in (1, 2, 3):
        start = time.perf_counter()
        posterior = sciinf.sample(problem, Emcee(n_walkers=64), seed=seed, progress=False)
        seconds.append(time.perf_counter() - start)
        assert posterior.status == "ok"
    taken = prototype(engine)
    timings += [
        Timing("headline run: sample(), N/tau >= 50 and ESS > 2,000", statistics.median(seconds), min(seconds), seconds[0]),
        Timing("NumPy prototype, emcee 64 x 3,000, vectorised", taken, taken, taken),
    ]
    rows.append(Ratio("headline run, sampling", "NumPy prototype", taken / statistics.median(seconds), 1, 5))


def scaling(part: PlikLite, model: Spectra) -> list[tuple[str, str]]:
    """Time against number of bins and batch size."""
    lines = []
    for high in (300, 600, 1000, 1500, 2508):
        cut = PlikLite(part.data, l_range=(30, high))
        timing = clock("", lambda cut=cut: cut.log_likelihood(model, {"A_planck": 1.0}), seconds=0.05)  # type: ignore[misc]
        lines.append((f"{cut.core.size} bins, scalar", f"{1e6 * timing.median:.1f} us"))
    engine = cmb.planck2018(FOUR)
    for n in (1, 4, 16, 64, 256, 1024):
        thetas = np.repeat(THETA[None, :], n, axis=0)
        timing = clock("", lambda thetas=thetas: engine.log_likelihood_many(thetas), seconds=0.05, per=n)  # type: ignore[misc]
        lines.append((f"compressed, batch of {n}, per point", f"{1e6 * timing.median:.2f} us"))
    return lines


def memory(part: PlikLite, model: Spectra) -> list[tuple[str, str]]:
    """Largest allocation of a call in steady state, resident growth of the preset, size of the pickle."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = cmb.planck2018(FOUR)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    thetas = np.repeat(THETA[None, :], 64, axis=0)
    batch = SpectraBatch(**{name.lower(): np.repeat(model[name][None, :], 64, axis=0) for name in ("TT", "TE", "EE")})
    calls: dict[str, Callable[[], Any]] = {
        "plik_lite, scalar": lambda: part.log_likelihood(model, {"A_planck": 1.0}),
        "plik_lite, batch of 64": lambda: part.log_likelihood_many(batch, {"A_planck": np.ones(64)}),
        "hybrid, scalar": lambda: engine.log_likelihood(THETA),
        "hybrid, batch of 64": lambda: engine.log_likelihood_many(thetas),
    }
    lines = []
    for name, call in calls.items():
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines.append((f"allocated at once, {name}", f"{peak / 1e3:.1f} kB"))
    lines.append(("resident growth of planck2018() with lensing (peak)", f"{(after - before) / 1024:.0f} MB"))
    lines.append(("engine pickled", f"{len(pickle.dumps(engine)) / 1e6:.2f} MB"))
    return lines


def single_thread() -> None:
    """Start again with one thread everywhere, where the environment does not say so: libraries read it when they load."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    wanted = {**dict.fromkeys(names, "1"), "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def version(name: str) -> str:
    """Installed version of a package, or "absent"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-prototype", action="store_true")
    options = parser.parse_args()
    single_thread()
    part, model = cmb.planck_data().plik_lite(), reference_spectra("bf_pol")
    grown = memory(part, model)
    timings: list[Timing] = []
    rows: list[Ratio] = []
    with tempfile.TemporaryDirectory() as folder:
        cobaya = cobaya_native(part, Path(folder))
    from_spectra(part, model, cobaya, timings, rows)
    from_parameters(cobaya, timings, rows)
    if not options.no_prototype:
        headline(rows, timings)
    scales = scaling(part, model)
    packages = ("sciinf", "numpy", "numba", "scipy", "cobaya", "cosmopower_jax", "jax", "camb", "emcee", "torchplite")
    versions = {name: version(name) for name in packages}
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {value}" for name, value in versions.items()))
    print(f"\n{'per call':<58}{'median':>12}{'minimum':>12}{'first':>12}")
    for item in timings:
        print(f"{item.name:<58}" + "".join(f"{1e6 * value:>9.1f} us" for value in (item.median, item.minimum, item.first)))
    print(f"\n{'what':<42}{'against':<32}{'ratio':>10}{'floor':>9}{'target':>9}")
    for row in rows:
        shown = row.note if row.ratio is None else f"{row.ratio:>10.1f}{row.floor:>9g}{row.target:>9g}"
        print(f"{row.what:<42}{row.against:<32}{shown}")
    print()
    for name, value in [*scales, *grown]:
        print(f"{name:<58}{value:>14}")
    print("torchplite 0.1.1: skipped, not installed" if versions["torchplite"] == "absent" else "")
    if options.json:
        parts = {"timings": [asdict(item) for item in timings], "ratios": [asdict(row) for row in rows]}
        content = {"versions": versions, **parts, "other": [*scales, *grown]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
