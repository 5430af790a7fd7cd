"""Repeats: merged when they agree, a warning when they do not, resumed like everything else."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pool_likelihoods as likelihoods
import pytest
from test_resume import signalled

from sciinf.calibration import analytic
from sciinf.core.errors import ConfigError, ResumeError, SciinfWarning
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.results.run_directory import RunDirectory, load
from sciinf.samplers.checkpoint import Interrupted
from sciinf.samplers.repeats import disagreements, merged, repeat_seed
from sciinf.samplers.sample import sample
from sciinf.samplers.session import Session
from sciinf.samplers.settings import Dynesty, Emcee

NESTED = Dynesty(n_live=30, walks=12, dlogz=0.3)
CHAIN = Emcee(n_walkers=12, n_steps=300, tau_multiple=3.0)
BOTH = pytest.mark.parametrize("settings", [NESTED, CHAIN], ids=["dynesty", "emcee"])
ENGINES = {
    "dynesty": dataclasses.replace(NESTED, engine="dynesty"),
    "compiled nested": dataclasses.replace(NESTED, engine="compiled"),
    "emcee": dataclasses.replace(CHAIN, engine="emcee"),
    "compiled ensemble": dataclasses.replace(CHAIN, engine="compiled"),
}
EVERY_ENGINE = pytest.mark.parametrize("settings", ENGINES.values(), ids=ENGINES)


def two_far_modes(theta: np.ndarray) -> float:
    return float(np.logaddexp(-0.5 * np.sum((theta - 30.0) ** 2), -0.5 * np.sum((theta + 30.0) ** 2)))


def far_apart() -> Problem:
    names = ["x", "y", "z"]
    return Problem(FunctionEngine(two_far_modes, names, version="1"), PriorSet([Parameter(name, Uniform(-50.0, 50.0)) for name in names]))


@pytest.mark.parametrize("engine", ["dynesty", "compiled"])
def test_nested_repeats_become_one_run_with_all_live_points(engine: Any) -> None:
    known, settings = analytic.gauss3(), dataclasses.replace(NESTED, engine=engine)
    posterior = sample(known.problem, settings, seed=1, repeats=3, progress=False)
    parts = [sample(known.problem, settings, seed=repeat_seed(1, i), progress=False) for i in range(3)]
    assert len(posterior) == sum(map(len, parts))
    assert posterior.n_live is not None
    assert posterior.n_live[0] == 3 * 30
    assert posterior.run is not None
    assert np.array_equal(np.bincount(posterior.run), [len(part) for part in parts])
    assert posterior.log_evidence is not None
    assert abs(posterior.log_evidence - known.log_evidence) < 4.5 * posterior.log_evidence_error  # type: ignore[operator]
    alone = np.mean([part.log_evidence_error for part in parts])  # type: ignore[arg-type]
    assert posterior.log_evidence_error == pytest.approx(alone / np.sqrt(3.0), rel=0.2)
    assert [item["log_evidence"] for item in posterior.meta["repeats"]] == [part.log_evidence for part in parts]
    assert posterior.status == "ok"


@pytest.mark.parametrize("engine", ["emcee", "compiled"])
def test_chains_of_repeats_stand_side_by_side(engine: Any) -> None:
    problem, settings = analytic.gauss3().problem, dataclasses.replace(CHAIN, engine=engine)
    posterior = sample(problem, settings, seed=1, repeats=2, progress=False)
    parts = [sample(problem, settings, seed=repeat_seed(1, i), progress=False) for i in range(2)]
    assert np.array_equal(posterior.samples, np.vstack([part.samples for part in parts]))
    assert np.array_equal(np.unique(posterior.chain), range(24))  # type: ignore[arg-type]
    assert np.array_equal(np.bincount(posterior.run), [len(part) for part in parts])  # type: ignore[arg-type]


def test_one_repeat_is_the_run_itself() -> None:
    problem = likelihoods.of(likelihoods.gauss)
    one = sample(problem, NESTED, seed=1, repeats=1, progress=False)
    assert one.content_hash() == sample(problem, NESTED, seed=1, progress=False).content_hash()


def test_chains_that_found_the_modes_in_other_shares_warn() -> None:
    with pytest.warns(SciinfWarning, match=r"3 repeats do not agree: means of repeats . and . \(x by \d+.\d sigma, y by"):
        posterior = sample(far_apart(), Emcee(n_walkers=10, n_steps=400, tau_multiple=1.0), seed=7, repeats=3, progress=False)
    assert posterior.status == "not_converged"


@pytest.mark.parametrize(
    "settings", [Dynesty(n_live=20, walks=5), Emcee(n_walkers=32, n_steps=2000, tau_multiple=1.0)], ids=["nested", "ensemble"]
)
def test_seeds_of_a_compiled_engine_that_found_other_modes_warn(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    """Of eggbox's 18 modes twenty live points keep a few, others from seed to seed (8 of 8 master seeds warn); walkers seldom hop."""
    problem, folder = analytic.eggbox().problem, tmp_path / "run"
    with pytest.warns(SciinfWarning, match=r"4 repeats do not agree: .*means of repeats . and . \([xy] by"):
        posterior = sample(problem, settings, seed=6, repeats=4, directory=folder, progress=False)
    assert posterior.meta["sampler"]["engine"] == "compiled"
    assert posterior.status == load(folder).status == RunDirectory(folder).read_manifest()["status"] == "not_converged"
    assert len(posterior.meta["repeats"]) == 4


def test_a_repeat_that_its_budget_cut_off_disagrees_with_nobody() -> None:
    problem = analytic.gauss3().problem
    whole = [sample(problem, ENGINES["compiled nested"], seed=seed, progress=False) for seed in (1, 2)]
    cut = sample(problem, ENGINES["compiled nested"], seed=3, max_calls=500, progress=False)
    assert disagreements([*whole, cut])
    assert merged("test", [*whole, cut]).status == "not_converged"  # without a warning


def test_evidences_that_differ_by_more_than_their_errors_warn_and_those_that_do_not_do_not() -> None:
    problem = likelihoods.of(likelihoods.gauss)
    parts = [sample(problem, NESTED, seed=seed, progress=False) for seed in (1, 2)]
    assert disagreements(parts) == []
    assert parts[1].log_evidence is not None
    assert parts[1].log_evidence_error is not None
    off = dataclasses.replace(parts[1], log_evidence=parts[1].log_evidence + 8.0 * parts[1].log_evidence_error)
    assert any(text.startswith("log evidences") for text in disagreements([parts[0], off]))
    with pytest.warns(SciinfWarning, match=r"log evidences -?\d+.\d\d \+- \d.\d\d"):
        assert merged("test", [parts[0], off]).status == "not_converged"


@contextlib.contextmanager
def inside_the_second(folder: Path, *numbers: signal.Signals) -> Iterator[None]:
    """Within the block signals are sent 50 iterations into the second repeat."""
    original, done = Session.why_stop, [False]

    def why_stop(self: Session, made: int) -> Any:
        if not done[0] and made >= 50 and (folder / "repeat-000.h5").exists():
            done[0] = True
            signalled(*numbers)()
        return original(self, made)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Session, "why_stop", why_stop)
        yield


@EVERY_ENGINE
def test_an_interrupted_repeat_is_resumed_and_finished_ones_are_read_back(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    problem, folder = analytic.gauss3().problem, tmp_path / "run"
    whole = sample(problem, settings, seed=2, repeats=2, progress=False)
    with inside_the_second(folder, signal.SIGINT):
        sample(problem, settings, seed=2, repeats=2, directory=folder, progress=False)
    assert (folder / "repeat-000.h5").exists()
    assert (folder / "checkpoint-001.bin").exists()
    again = sample(problem, settings, seed=2, repeats=2, directory=folder, resume=True, progress=False)
    assert again.content_hash() == whole.content_hash()
    assert again.meta["counts"] == whole.meta["counts"]
    assert not list(folder.glob("repeat-*"))
    assert not list(folder.glob("checkpoint*"))
    assert RunDirectory(folder).read_manifest()["streams"] == ["start", "sampler", "repeat/1"]


def test_a_damaged_repeat_is_an_error(tmp_path: Path) -> None:
    problem, folder = likelihoods.of(likelihoods.gauss), tmp_path / "run"
    with inside_the_second(folder, signal.SIGTERM):
        sample(problem, CHAIN, seed=2, repeats=2, directory=folder, progress=False)
    content = bytearray((folder / "repeat-000.h5").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "repeat-000.h5").write_bytes(content)
    with pytest.raises(ResumeError, match=r"Delete repeat-000.h5 to run that repeat again"):
        sample(problem, CHAIN, seed=2, repeats=2, directory=folder, resume=True, progress=False)


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True])
def test_repeats_must_be_a_positive_integer(repeats: object) -> None:
    with pytest.raises(ConfigError, match="repeats must be"):
        sample(likelihoods.of(likelihoods.gauss), CHAIN, seed=1, repeats=repeats, progress=False)  # type: ignore[arg-type]


@EVERY_ENGINE
@pytest.mark.parametrize("share", [0.0, 0.3, 0.75])  # of the calls: spent by the first points, in the first repeat, in the second
def test_a_spent_budget_keeps_what_there_is_and_a_larger_one_goes_on(settings: Dynesty | Emcee, share: float, tmp_path: Path) -> None:
    problem, folder = analytic.gauss3().problem, tmp_path / "run"
    whole = sample(problem, settings, seed=2, repeats=2, progress=False)
    calls = whole.meta["counts"]["calls"]
    part = sample(problem, settings, seed=2, repeats=2, max_calls=max(1, int(share * calls)), directory=folder, progress=False)
    assert part.status == RunDirectory(folder).read_manifest()["status"] == "not_converged"
    assert part.meta["stopped"] == "max_calls"
    assert len(part.meta["repeats"]) == (2 if share > 0.5 else 1)
    assert load(folder).content_hash() == part.content_hash() != whole.content_hash()
    again = sample(problem, settings, seed=2, repeats=2, max_calls=2 * calls, directory=folder, resume=True, progress=False)
    assert again.status == "ok"
    assert again.content_hash() == whole.content_hash()
    assert again.meta["counts"] == whole.meta["counts"]


@EVERY_ENGINE
def test_a_spent_time_keeps_what_there_is_and_more_of_it_goes_on(settings: Dynesty | Emcee, tmp_path: Path) -> None:
    problem, folder = analytic.gauss3().problem, tmp_path / "run"
    part = sample(problem, settings, seed=2, repeats=2, max_seconds=1e-9, directory=folder, progress=False)
    assert (part.status, part.meta["stopped"], len(part.meta["repeats"])) == ("not_converged", "max_seconds", 1)
    again = sample(problem, settings, seed=2, repeats=2, max_seconds=1e6, directory=folder, resume=True, progress=False)
    assert again.content_hash() == sample(problem, settings, seed=2, repeats=2, progress=False).content_hash()


def test_a_spent_budget_leaves_further_repeats_out() -> None:
    posterior = sample(likelihoods.of(likelihoods.gauss), CHAIN, seed=1, repeats=3, max_calls=5000, progress=False)
    assert posterior.status == "not_converged"
    assert len(posterior.meta["repeats"]) == 2
    assert posterior.meta["stopped"] == "max_calls"
