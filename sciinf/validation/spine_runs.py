"""Checks of runs: the same content hash for any workers, run twice, and killed and resumed."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from sciinf.calibration.verdict import Verdict
from sciinf.core.errors import SciinfError
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.samplers.pools import Workers
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Settings

__all__ = ["dask_workers", "killed_and_resumed", "same_hash"]

_CHECKPOINT_EVERY = 0.05  # seconds: often enough that some kills fall into the writing of one
_LONGEST_LIFE = 0.7  # seconds of sampling before a kill
_MOST_LIVES = 400


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


def _sample_into(problem: Problem, settings: Settings, seed: int, folder: str, ready: Event) -> None:
    """A life of a run: go on from what is on disk, or start."""
    ready.set()
    sample(problem, settings, seed=seed, directory=folder, resume=True, checkpoint_every=_CHECKPOINT_EVERY, progress=False)


def killed_and_resumed(label: str, problem: Problem, settings: Settings, *, kills: int, seed: int) -> Verdict:
    """Runs killed (SIGKILL) at random moments and resumed until ``kills`` were survived: each ends with the undisturbed run's hash."""
    expected = sample(problem, settings, seed=seed, progress=False).content_hash()
    rng, context = generator(seed, "kills"), multiprocessing.get_context("spawn")
    done, runs, hashes = 0, 0, set[str]()
    folder = Path(tempfile.mkdtemp(prefix="sciinf-kills-"))
    try:
        for _ in range(_MOST_LIVES):
            ready = context.Event()
            target = folder / f"run-{runs}"
            life = context.Process(target=_sample_into, args=(problem, settings, seed, str(target), ready))
            life.start()
            ready.wait(60.0)
            life.join(float(rng.uniform(0.0, _LONGEST_LIFE)) if done < kills else None)
            if life.is_alive():
                life.kill()
                life.join()
                done += 1
                continue
            if life.exitcode != 0:
                raise SciinfError(f"{label}: a resumed run ended with exit code {life.exitcode} after {done} kills")
            hashes.add(sample(problem, settings, seed=seed, directory=target, resume=True, progress=False).content_hash())
            runs += 1
            if done >= kills:
                break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    same = hashes == {expected} and done >= kills
    detail = (
        f"{done} kills over {runs} runs: {expected[:16]}" if same else f"{done} kills, {runs} runs, hashes {sorted(h[:16] for h in hashes)}"
    )
    return Verdict(f"{label}: killed and resumed", float(np.size(list(hashes))), None, done, same, detail)
