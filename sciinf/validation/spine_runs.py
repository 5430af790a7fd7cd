"""Checks of runs: the same content hash for any workers, and run twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from sciinf.calibration.verdict import Verdict
from sciinf.core.problem import Problem
from sciinf.samplers.pools import Workers
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Settings

__all__ = ["dask_workers", "same_hash"]


def same_hash(label: str, problem: Problem, settings: Settings, workers: Mapping[str, Workers], *, seed: int) -> Verdict:
    """One content hash whoever evaluates the likelihood (``workers`` by what to call them), and when run twice."""
    first = sample(problem, settings, seed=seed, workers=1, progress=False).content_hash()
    others = {name: sample(problem, settings, seed=seed, workers=who, progress=False).content_hash() for name, who in workers.items()}
    different = [name for name, found in others.items() if found != first]
    detail = f"workers {', '.join(workers)} (1 twice): {first[:16]}" if not different else f"differs at workers {', '.join(different)}"
    return Verdict(f"{label}: same hash", len({first, *others.values()}), None, 1 + len(workers), not different, detail)


@contextlib.contextmanager
def dask_workers() -> Iterator[dict[str, Workers]]:
    """A Dask client with two worker processes on this machine, by name; empty where Dask is not installed."""
    if find_spec("distributed") is None:
        yield {}
        return
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield {"Dask": client}
