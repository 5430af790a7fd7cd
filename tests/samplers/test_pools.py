"""Pools: the same values wherever they run, counts that add up, small tasks, and failures that reach the user."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pool_likelihoods as likelihoods
import pytest

from sciinf.calibration import analytic
from sciinf.core.errors import ConfigError, LikelihoodError, SciinfError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.samplers import pools, streams, worker
from sciinf.samplers.dynesty import _DynestyPool, _new_sampler
from sciinf.samplers.sample import sample
from sciinf.samplers.session import likelihood_of
from sciinf.samplers.settings import Dynesty, Emcee

NESTED = Dynesty(n_live=40, walks=10, dlogz=0.5)
CHAIN = Emcee(n_walkers=12, n_steps=60)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[pools.ProcessPool]:
    pool = pools.ProcessPool(analytic.gauss3().problem, 2)
    yield pool
    pool.close()


def points(n: int, n_dim: int = 3) -> np.ndarray:
    return np.random.default_rng(1).uniform(-3.0, 3.0, size=(n, n_dim))


def test_two_processes_give_the_same_values_in_order_and_count_their_calls(two_workers: pools.ProcessPool) -> None:
    problem = analytic.gauss3().problem
    serial = pools.SerialPool(problem)
    before, thetas = two_workers.counts().calls, list(points(37))
    assert two_workers.map(likelihood_of, thetas) == serial.map(likelihood_of, thetas)
    assert serial.counts().calls == 37
    assert two_workers.counts().calls - before == 37


def test_an_empty_map_is_empty(two_workers: pools.ProcessPool) -> None:
    assert two_workers.map(likelihood_of, []) == []


def test_workers_use_one_thread_each(two_workers: pools.ProcessPool) -> None:
    threads = two_workers.map(_threads_here, [0, 1])
    assert threads == [(1, "1")] * 2


def _threads_here(problem: Problem, item: int) -> tuple[int, str]:
    from threadpoolctl import threadpool_info

    return max(info["num_threads"] for info in threadpool_info()), os.environ["NUMBA_NUM_THREADS"]


@pytest.mark.parametrize(("proposal", "n_dim"), [("rwalk", 3), ("rslice", 3), ("slice", 3), ("rwalk", 7)])
def test_a_task_is_less_than_a_kilobyte(proposal: Any, n_dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes pickled per proposal as two workers get them, the problem being 1 MB."""
    rng = np.random.default_rng(1)
    engine = FunctionEngine(_with_data, [f"x{i}" for i in range(n_dim)], data=rng.normal(size=125_000), version="1")
    problem = Problem(engine, PriorSet([Parameter(f"x{i}", Uniform(-5, 5)) for i in range(n_dim)]))
    sizes: list[float] = []
    serial = pools.SerialPool(problem)

    class Weighing:
        size = 2

        def map(self, function: Any, items: Any) -> Any:
            shares = pools.shares_of(items, self.size)
            sizes.extend(len(pickle.dumps((function, share), protocol=pickle.HIGHEST_PROTOCOL)) / len(share) for share in shares)
            return serial.map(function, items)

    settings = Dynesty(n_live=40, proposal=proposal, dlogz=1.0)
    session: Any = type("Session", (), {"problem": problem, "pool": Weighing(), "seed": 1})
    assert _DynestyPool(problem, Weighing(), 8).size == 8  # type: ignore[arg-type]
    sampler = _new_sampler(session, settings, None)
    for _, result in zip(range(300), sampler.sample(dlogz=1.0), strict=False):
        assert np.isfinite(result.loglstar)
    assert len(pickle.dumps(problem)) > 1_000_000
    assert max(sizes[2:]) < 1000.0


def _with_data(theta: np.ndarray, data: np.ndarray) -> float:
    return -0.5 * float(theta @ theta) + 0.0 * float(data[0])


@pytest.mark.parametrize("settings", [NESTED, CHAIN], ids=["dynesty", "emcee"])
def test_serial_two_workers_and_threads_of_an_executor_give_the_same_bytes_and_counts(settings: Dynesty | Emcee) -> None:
    problem = likelihoods.of(likelihoods.gauss)
    one = sample(problem, settings, seed=4, progress=False)
    two = sample(problem, settings, seed=4, workers=2, progress=False)
    with ThreadPoolExecutor(3) as executor:
        three = sample(problem, settings, seed=4, workers=executor, progress=False)
    assert one.content_hash() == two.content_hash() == three.content_hash()
    assert one.meta["counts"] == two.meta["counts"] == three.meta["counts"]
    assert one.meta["counts"]["calls"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("settings", [Dynesty(n_live=100, walks=25), Dynesty(n_live=60, walks=20, dynamic=True), Emcee(n_walkers=32)])
def test_one_two_and_four_workers_give_the_same_bytes(settings: Dynesty | Emcee) -> None:
    problem = analytic.gauss3().problem
    hashes = {sample(problem, settings, seed=4, workers=workers, progress=False).content_hash() for workers in (1, 2, 4)}
    assert len(hashes) == 1


@pytest.mark.parametrize("settings", [NESTED, CHAIN], ids=["dynesty", "emcee"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (likelihoods.raises_beyond_two, "raised ArithmeticError.*no model beyond two"),
        (likelihoods.nan_beyond_two, "gave NaN at x=.*, y=.*on_nan"),
        (likelihoods.infinite_beyond_two, r"gave \+inf at x="),
    ],
)
def test_what_a_likelihood_does_wrong_reaches_the_user_with_theta(
    settings: Dynesty | Emcee, function: Any, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LikelihoodError, match=message) as caught:
        sample(likelihoods.of(function), settings, seed=1, progress=False)
    assert re.search(r"at x=[234]\.", str(caught.value))
    assert capfd.readouterr().out == ""


def test_an_exception_inside_a_worker_reaches_the_user_with_theta() -> None:
    pool = pools.ProcessPool(likelihoods.of(likelihoods.raises_beyond_two), 2)
    try:
        with pytest.raises(LikelihoodError, match=r"no model beyond two at x=3.0, y=0.0.*Repeat with: problem.log_likelihood"):
            pool.map(likelihood_of, [np.array([0.0, 0.0]), np.array([3.0, 0.0])])
    finally:
        pool.close(now=True)


def test_a_dying_worker_is_an_error_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIINF_TEST_PARENT", str(os.getpid()))
    started = time.monotonic()
    with pytest.raises(LikelihoodError, match=r"a worker process died after \d+ likelihood calls.*It was evaluating.*x=[234]\..*, y="):
        sample(likelihoods.of(likelihoods.kills_its_process), NESTED, seed=1, workers=2, progress=False)
    with pytest.raises(LikelihoodError, match=r"It was evaluating.*\(first of \d points\)"):
        sample(likelihoods.of(likelihoods.kills_its_process), CHAIN, seed=1, workers=2, progress=False)
    assert time.monotonic() - started < 60.0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = Path(likelihoods.__file__).with_name("killable.py")
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "run"), "static", "2", "5"], stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    waited = time.monotonic()
    while len(pids := children.read_text().split()) < 3 and time.monotonic() - waited < 60.0:  # two workers and the resource tracker
        time.sleep(0.02)
    process.kill()
    process.wait()
    waited = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() and _alive(pid) for pid in pids) and time.monotonic() - waited < 60.0:
        time.sleep(0.05)
    assert len(pids) == 3
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_what_a_worker_cannot_import_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="move it to a module"):
        sample(likelihoods.of(lambda theta: 0.0), CHAIN, seed=1, workers=2, progress=False)

    def main(theta: np.ndarray) -> float:
        return 0.0

    main.__module__, main.__qualname__ = "__main__", "main"
    import __main__

    __main__.main = main  # type: ignore[attr-defined]
    try:
        with pytest.raises(ConfigError, match=r"'main' is defined in __main__.*Move it to a module"):
            sample(likelihoods.of(main), CHAIN, seed=1, workers=2, progress=False)
    finally:
        del __main__.main  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2", None])
def test_workers_must_be_a_number_or_an_executor(workers: Any) -> None:
    with pytest.raises(ConfigError, match="workers must be"):
        sample(likelihoods.of(likelihoods.gauss), CHAIN, seed=1, workers=workers, progress=False)


_MEETING = threading.Barrier(2)


def _meets(problem: Problem, item: int) -> int:
    _MEETING.wait(60.0)
    return item


def test_shares_of_an_executor_run_side_by_side_from_the_first_map_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two threads waits for the other; the problem goes to each of them at most once."""
    received: list[str] = []
    original = worker._receive
    monkeypatch.setattr(worker, "_receive", lambda key, payload: received.append(key) or original(key, payload))
    with ThreadPoolExecutor(2) as executor:
        pool = pools.open_pool(likelihoods.of(likelihoods.gauss), executor)
        for _ in range(3):
            assert pool.map(_meets, [1, 2]) == [1, 2]
    assert len(received) == 2


def test_a_worker_that_cannot_import_the_problem_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_here")
    module.flat = flat = lambda theta: 0.0  # type: ignore[attr-defined]
    flat.__module__, flat.__qualname__ = "only_here", "flat"
    monkeypatch.setitem(sys.modules, "only_here", module)
    payload = worker.pickled(likelihoods.of(flat))
    monkeypatch.delitem(sys.modules, "only_here")
    with pytest.raises(ConfigError, match=r"a worker cannot import .*No module named 'only_here'.*PYTHONPATH"):
        worker.run_anywhere("key", payload, 1, likelihood_of, [])


def test_limits_of_threads_that_overlap_last_until_the_last_has_left() -> None:
    from threadpoolctl import threadpool_info

    def most() -> int:
        return max(info["num_threads"] for info in threadpool_info())

    before = most()
    first, second = worker.limit_threads(1), worker.limit_threads(1)
    with first:
        second.__enter__()
    assert most() == 1  # the first has left, the second is inside
    second.__exit__(None, None, None)
    assert most() == before


def test_limit_threads_holds_inside_the_block_only() -> None:
    from threadpoolctl import threadpool_info

    def most() -> int:
        return max(info["num_threads"] for info in threadpool_info())

    before = most()
    with worker.limit_threads(1):
        assert most() == 1
    assert most() == before


# ---- work that is data ----


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stream_is_in_order_and_takes_what_it_needs(workers: int) -> None:
    """The first item is the slowest: results stay in order, and no more than workers + 1 are taken meanwhile."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    def doubled(i: int) -> int:
        time.sleep(0.1 if i == 0 else 0.0)
        return 2 * i

    found = streams.stream(doubled, items(), workers)
    assert next(found) == 0
    assert len(taken) <= workers + 1
    assert list(found) == [2 * i for i in range(1, 20)]


def test_a_stream_that_fails_gives_up_what_waits() -> None:
    class Busy(Executor):
        """Four workers that fail at the first task and never begin another."""

        num_workers = 4

        def __init__(self) -> None:
            self.futures: list[Future[Any]] = []

        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            self.futures.append(Future())
            if len(self.futures) == 1:
                self.futures[0].set_exception(ValueError("the first"))
            return self.futures[-1]

    busy = Busy()
    with pytest.raises(ValueError, match="the first"):
        list(streams.stream(abs, iter(range(20)), busy))
    assert [future.cancelled() for future in busy.futures] == [False, True, True, True, True]


def test_a_stream_whose_worker_dies() -> None:
    context = pools.multiprocessing.get_context("spawn")
    with pools.ProcessPoolExecutor(1, mp_context=context) as executor, pytest.raises(SciinfError, match="a worker died"):
        list(streams.stream(os._exit, [3], executor))


@pytest.mark.parametrize("workers", [0, 1.5, "2", None])
def test_a_stream_s_workers_are_checked(workers: Any) -> None:
    with pytest.raises(ConfigError, match="workers must be an integer from 1"):
        streams.stream(abs, [1], workers)
