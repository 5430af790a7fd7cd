"""Dask: the same bytes and counts as here, one copy of the problem per worker process, and workers that come, go and die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pool_likelihoods as likelihoods
import pytest

from sciinf.calibration import analytic
from sciinf.calibration.injections import campaign, campaign_over
from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.samplers import dask_pool, pools
from sciinf.samplers.sample import sample
from sciinf.samplers.session import likelihood_of
from sciinf.samplers.settings import Dynesty, Emcee

distributed = pytest.importorskip("distributed")

NESTED = Dynesty(n_live=40, walks=10, dlogz=0.5)
CHAIN = Emcee(n_walkers=12, n_steps=60)
UNIT = Emcee(n_walkers=32, moves="de")
N = 4
SCRIPT = Path(__file__).with_name("dask_campaign.py")


def cluster_of(n_workers: int, threads: int, *, processes: bool) -> Any:
    return distributed.LocalCluster(n_workers=n_workers, threads_per_worker=threads, processes=processes, dashboard_address=":0")


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    """One worker with two threads, in this process."""
    with cluster_of(1, 2, processes=False) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Two worker processes with one thread each."""
    with cluster_of(2, 1, processes=True) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize("settings", [NESTED, CHAIN], ids=["dynesty", "emcee"])
def test_a_posterior_has_the_same_bytes_and_counts_as_here(settings: Any, threads: Any, processes: Any) -> None:
    problem = likelihoods.of(likelihoods.gauss)
    here = sample(problem, settings, seed=4, progress=False)
    for client in (threads, processes):
        there = sample(problem, settings, seed=4, workers=client, progress=False)
        assert there.content_hash() == here.content_hash()
        assert there.meta["counts"] == here.meta["counts"]


def test_a_campaign_has_the_same_bytes_as_here_and_in_any_executor(threads: Any, processes: Any, tmp_path: Path) -> None:
    here = campaign(analytic.line(), N, 1, UNIT, directory=tmp_path / "here")
    hashes = {campaign(analytic.line(), N, 1, UNIT, workers=client).content_hash() for client in (threads, processes)}
    with ThreadPoolExecutor(2) as executor:
        hashes.add(campaign(analytic.line(), N, 1, UNIT, workers=executor).content_hash())
    there = campaign(analytic.line(), N, 1, UNIT, workers=processes, directory=tmp_path / "there")
    assert hashes == {here.content_hash()} == {there.content_hash()}
    for path in (tmp_path / "here" / "units").iterdir():
        assert path.read_bytes() == (tmp_path / "there" / "units" / path.name).read_bytes()


def test_seeds_of_one_problem_and_problems_of_their_own(processes: Any) -> None:
    problem = analytic.line()
    problems = [problem, problem, problem.simulate(np.array([0.5, -0.5]), np.random.default_rng(1))]
    here = campaign_over(problems, UNIT, 5)
    assert campaign_over(problems, UNIT, 5, workers=processes).content_hash() == here.content_hash()
    assert campaign_over(problems, UNIT, 5, workers=2).content_hash() == here.content_hash()


def _heavy() -> Problem:
    """A problem that is a megabyte when pickled."""
    engine = FunctionEngine(_with_data, ["x", "y"], data=np.random.default_rng(1).normal(size=125_000), version="1")
    return Problem(engine, PriorSet([Parameter(name, Uniform(-5, 5)) for name in engine.parameters]))


def _with_data(theta: np.ndarray, data: np.ndarray) -> float:
    return -0.5 * float(theta @ theta) + 0.0 * float(data[0])


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_the_problem_is_sent_once_per_process_and_a_task_is_small(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = request.getfixturevalue(kind)
    problem, sizes = _heavy(), []
    original = client.submit

    def weighed(function: Any, *arguments: Any, **options: Any) -> Any:
        sizes.append(len(pickle.dumps((function, arguments))))
        return original(function, *arguments, **options)

    monkeypatch.setattr(client, "submit", weighed)
    pool = pools.open_pool(problem, client)
    thetas = [np.array([x, 0.0]) for x in np.linspace(-1.0, 1.0, 16)]
    for _ in range(5):
        pool.map(likelihood_of, thetas)
    assert set(map(tuple, client.run(likelihoods.placed).values())) == {(1,)}
    assert len(pickle.dumps(problem)) > 1_000_000
    assert len(sizes) == 10  # two threads in all: two batches of eight per map
    assert max(sizes) < 8 * 1000
    pool.close()
    assert set(map(tuple, client.run(likelihoods.placed).values())) == {()}


def test_counts_add_up_with_two_threads_in_one_process_and_nothing_is_called_once_for_two(threads: Any) -> None:
    pool = pools.open_pool(likelihoods.of(likelihoods.slow_gauss), threads)
    same = [np.array([0.5, 0.5])] * 400
    for calls in (400, 800):
        assert pool.map(likelihood_of, same) == [-0.25] * 400
        assert pool.counts().calls == calls
    pool.close()


def test_an_exception_in_a_worker_comes_back_as_itself(threads: Any, processes: Any) -> None:
    for client in (threads, processes):
        pool = pools.open_pool(likelihoods.of(likelihoods.raises_beyond_two), client)
        with pytest.raises(LikelihoodError, match=r"no model beyond two at x=3.0, y=0.0.*Repeat with: problem.log_likelihood"):
            pool.map(likelihood_of, [np.array([0.0, 0.0]), np.array([3.0, 0.0])])
        pool.close(now=True)


def test_workers_that_join_get_the_problem_and_those_that_leave_are_not_missed() -> None:
    thetas = [np.array([x, 1.0]) for x in np.linspace(-1.0, 1.0, 40)]
    with cluster_of(1, 1, processes=False) as cluster, distributed.Client(cluster) as client:
        problem = likelihoods.of(likelihoods.gauss)
        pool = pools.open_pool(problem, client)
        expected = [problem.log_likelihood(theta) for theta in thetas]
        for size in (1, 3, 1):
            cluster.scale(size)
            client.sync(cluster._correct_state)
            waited = time.monotonic()
            while pool.size != size and time.monotonic() - waited < 30.0:
                time.sleep(0.1)
            assert pool.size == size
            assert pool.map(likelihood_of, thetas) == expected
        assert pool.counts().calls == 3 * 40 + 40  # the last are this process's own
        pool.close()


def test_a_worker_that_dies_is_replaced_and_the_result_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIINF_TEST_PARENT", str(os.getpid()))
    monkeypatch.setenv("SCIINF_TEST_MARK", str(tmp_path / "mark"))
    problem = likelihoods.of(likelihoods.kills_its_worker_once)
    here = sample(problem, CHAIN, seed=4, progress=False)
    with cluster_of(2, 1, processes=True) as cluster, distributed.Client(cluster) as client:
        there = sample(problem, CHAIN, seed=4, workers=client, progress=False)
    assert (tmp_path / "mark").exists()
    assert there.content_hash() == here.content_hash()
    assert there.meta["counts"] == here.meta["counts"]


def test_a_task_that_kills_every_worker_is_an_error_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    monkeypatch.setenv("SCIINF_TEST_PARENT", str(os.getpid()))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        cluster_of(1, 1, processes=True) as cluster,
        distributed.Client(cluster) as client,
    ):
        pool = pools.open_pool(likelihoods.of(likelihoods.kills_its_process), client)
        with pytest.raises(LikelihoodError, match=r"took 2 Dask workers down.*held 1 items, the first of them array\(\[3\., 0\.\]\)"):
            pool.map(likelihood_of, [np.array([3.0, 0.0])])
        pool.close(now=True)


def test_a_cluster_without_workers_and_a_closed_one_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "_PATIENCE", 0.5)
    monkeypatch.setattr(dask_pool, "_PATROL", 0.5)
    monkeypatch.setattr(dask_pool, "_ASK_EVERY", 0.0)
    thetas = [np.array([0.0, 0.0])]
    with cluster_of(1, 1, processes=False) as cluster, distributed.Client(cluster) as client:
        pool = pools.open_pool(likelihoods.of(likelihoods.gauss), client)
        assert pool.map(likelihood_of, thetas) == [0.0]
        cluster.scale(0)
        client.sync(cluster._correct_state)
        with pytest.raises(LikelihoodError, match=r"every Dask worker was lost after 1 likelihood calls, and none has come back"):
            pool.map(likelihood_of, thetas)
    with pytest.raises(LikelihoodError, match="the Dask cluster was closed"):
        pool.map(likelihood_of, thetas)
    pool.close()
    with pytest.raises(ConfigError, match="the Dask client is closed"):
        pools.open_pool(likelihoods.of(likelihoods.gauss), client)


def test_what_is_no_synchronous_client_is_refused(threads: Any) -> None:
    problem = likelihoods.of(likelihoods.gauss)
    with pytest.raises(ConfigError, match="give the Dask client itself"):
        pools.open_pool(problem, threads.get_executor())
    waiting: Any = type("Waiting", (), {"asynchronous": True, "register_plugin": print, "get_executor": print})()
    with pytest.raises(ConfigError, match="asynchronous"):
        pools.open_pool(problem, waiting)
    with pytest.raises(ConfigError, match="move it to a module"):
        pools.open_pool(likelihoods.of(lambda theta: 0.0), threads)


def test_a_campaign_whose_cluster_is_killed_goes_on_from_its_units(tmp_path: Path, processes: Any) -> None:
    """Scheduler, workers and parent are killed together half way; another cluster does what is missing and touches nothing else."""
    expected = campaign(analytic.line(), 12, 1, UNIT)
    folder, log = tmp_path / "campaign", (tmp_path / "log").open("w")
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder), "12"], stderr=log, start_new_session=True)
    waited = time.monotonic()
    while len(list(folder.glob("units/unit-*.bin"))) < 3 and time.monotonic() - waited < 120.0 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.close()
    left = {path: path.stat().st_mtime_ns for path in folder.glob("units/unit-*.bin")}
    assert 2 <= len(left) < 12, (tmp_path / "log").read_text()
    assert campaign(analytic.line(), 12, 1, UNIT, directory=folder, workers=processes).content_hash() == expected.content_hash()
    assert {path: path.stat().st_mtime_ns for path in left} == left
