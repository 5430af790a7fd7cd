"""Speed of the r3d engine beside what its parts replace: one process, one thread, CPU time, median and minimum of seven rounds.

    python validation/benchmarks/r3d.py [--json FILE]

Peers: a loop of ``np.sort`` or ``np.quantile`` over units, n x B multipliers drawn and multiplied, scipy's multivariate t, and rdrobust
where it is installed. Ratios of medians; what must hold and the goal beside them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import sciinf
from sciinf.engines.r3d import R3D, R3DSettings
from sciinf.engines.r3d.simulate import dgp1, scalar

ROUNDS = 7
LEVELS = np.arange(1, 100) / 100


def clock(call: Callable[[], Any]) -> tuple[float, float]:
    """Median and minimum CPU seconds of a call, warm."""
    call()
    values = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        values.append(time.process_time() - start)
    return statistics.median(values), min(values)


def parts(outcomes: Any) -> list[np.ndarray]:
    return np.split(outcomes.values, outcomes.offsets[1:-1])


def extraction(rows: list[tuple[str, Callable[[], Any], Callable[[], Any], float, float]]) -> None:
    data = dgp1(2000, 200, 1.0, np.random.default_rng(1))
    units = parts(data.outcomes)
    rows.append(("fit at a given h, n = 2000 x 200, 99 levels : np.sort loop", lambda: R3D(data.x, data.outcomes).fit(0.5),
                 lambda: [np.sort(unit) for unit in units], 2.0, 1.0))  # fmt: skip
    rng = np.random.default_rng(2)
    ragged = dgp1(16_000, rng.integers(100, 401, 16_000), 1.0, rng)
    loose = parts(ragged.outcomes)
    quantiles = lambda: ragged.outcomes.quantiles(LEVELS)  # noqa: E731
    rows.append(("quantiles, ragged 100-400, 4e6 values : np.sort loop", quantiles, lambda: [np.sort(unit) for unit in loose], 1.2, 0.4))
    rows.append(("the same : np.quantile per unit", quantiles, lambda: [np.quantile(unit, LEVELS) for unit in loose], 1 / 8, 1 / 20))


def bands(rows: list[tuple[str, Callable[[], Any], Callable[[], Any], float, float]]) -> None:
    for n, n_draws, bound, goal in ((2000, 1000, 0.25, 0.10), (5000, 5000, 0.10, 0.05)):
        data = dgp1(n, 100, 1.0, np.random.default_rng(n))
        fit = R3D(data.x, data.outcomes).fit(0.5)

        def direct(fit: Any = fit, n: int = n, n_draws: int = n_draws) -> float:
            full = np.zeros((n, 99))
            full[fit.active] = fit.influence
            xi = np.random.default_rng(1).standard_normal((n_draws, n))
            return float(np.sort(np.abs(xi @ full).max(axis=1))[int(0.95 * n_draws)])

        def ours(fit: Any = fit, n_draws: int = n_draws) -> Any:
            return fit.conf_band(n_draws=n_draws)

        rows.append((f"band, B = {n_draws}, n = {n} : direct multipliers", ours, direct, bound, goal))


def likelihood(rows: list[tuple[str, Callable[[], Any], Callable[[], Any], float, float]]) -> None:
    data = dgp1(500, 100, 1.0, np.random.default_rng(5))
    engine = R3D(data.x, data.outcomes).fit(0.6).to_engine("location_scale")
    thetas = np.random.default_rng(6).normal(size=(10_000, 2))
    freedom = engine.nu + 1.0 - len(engine.statistic)
    frozen = stats.multivariate_t(np.zeros(len(engine.statistic)), engine.covariance * engine.nu / freedom, freedom)
    basis = np.array([engine.tau(row) for row in np.eye(2)])
    rows.append(("t likelihood, d = 5, batch of 1e4 : scipy", lambda: engine.log_likelihood_many(thetas),
                 lambda: frozen.logpdf(engine.statistic - thetas @ basis), 1 / 3, 1 / 10))  # fmt: skip


def classical(rows: list[tuple[str, Callable[[], Any], Callable[[], Any], float, float]]) -> None:
    if util.find_spec("rdrobust") is None:
        return
    from rdrobust import rdrobust

    data = scalar(2000, 1.0, np.random.default_rng(7))
    settings, y = R3DSettings(q_grid=(0.5,)), data.outcomes.values
    fixed, chosen = (
        (lambda: R3D(data.x, data.outcomes, settings=settings).fit(0.4)),
        (lambda: R3D(data.x, data.outcomes, settings=settings).fit()),
    )
    rows.append(("one value per unit, n = 2000, h given : rdrobust", fixed, lambda: rdrobust(y, data.x, h=0.4, b=0.4), 1 / 20, 1 / 100))
    rows.append(("bandwidth and fit : rdrobust", chosen, lambda: rdrobust(y, data.x), 1 / 20, 1 / 50))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[tuple[str, Callable[[], Any], Callable[[], Any], float, float]] = []
    for collect in (extraction, bands, likelihood, classical):
        collect(rows)
    found = []
    for what, ours, peer, bound, goal in rows:
        mine, theirs = clock(ours), clock(peer)
        ratio = mine[0] / theirs[0]
        verdict = "goal" if ratio <= goal else "holds" if ratio <= bound else "MISSED"
        found.append({"what": what, "seconds": mine, "peer": theirs, "ratio": ratio, "bound": bound, "goal": goal, "verdict": verdict})
        print(f"{what}: {ratio:.3f} (bound {bound:.3f}, goal {goal:.3f}) {verdict}")
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba")} | {"sciinf": sciinf.__version__}
    versions |= {"python": platform.python_version(), "machine": platform.machine()}
    if util.find_spec("rdrobust") is not None:
        versions["rdrobust"] = metadata.version("rdrobust")
    print(versions)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"versions": versions, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
