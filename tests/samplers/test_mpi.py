"""The documented campaign script through MPI ranks, and the same campaign here: one hash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sciinf.calibration.injections import campaign
from sciinf.core.problem import Problem
from sciinf.samplers.settings import Emcee

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "campaign.py"
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

pytestmark = pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None, reason="needs mpi4py and mpiexec")


def _hash_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300.0)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_ranks_give_the_hash_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from own_likelihood import engine

    problem = Problem(engine(), engine().default_priors())
    here = campaign(problem, 6, 1, Emcee(n_walkers=32, moves="de"), directory=tmp_path / "here").content_hash()
    ranks = (str(MPIEXEC), "-n", "2", sys.executable, "-m", "mpi4py.futures", str(SCRIPT), "mpi")
    assert _hash_of(*ranks, str(tmp_path / "mpi"), "6") == here
    for path in (tmp_path / "here" / "units").iterdir():
        assert path.read_bytes() == (tmp_path / "mpi" / "units" / path.name).read_bytes()
    for i in (1, 4):
        (tmp_path / "mpi" / "units" / f"unit-{i:06d}.bin").unlink()
    assert _hash_of(*ranks, str(tmp_path / "mpi"), "6") == here  # resumed
