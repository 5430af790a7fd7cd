from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sciinf.run.runner import RunOptions, run

MODEL = '''
import numpy as np
from sciinf import FunctionEngine, Parameter, PriorSet
from sciinf.core.priors import Normal, Uniform

DATA = np.array([0.3, 1.1, 0.7, 0.2])


def log_likelihood(thetas, data):
    """Four Gaussian measurements of mu, with unknown scale."""
    mu, scale = thetas[:, 0], thetas[:, 1]
    return np.sum(-0.5 * ((data - mu[:, None]) / scale[:, None]) ** 2 - np.log(scale[:, None]), axis=1)


def total(theta):
    return float(theta[0] + theta[1])


def engine():
    priors = PriorSet([Parameter("mu", Normal(0, 2), latex=r"\\\\mu"), Parameter("scale", Uniform(0.1, 5), unit="m")])
    return FunctionEngine(
        log_likelihood, ["mu", "scale"], data=DATA, derived={"total": total}, default_priors=priors, vectorized=True, version="1"
    )
'''

CONFIG = """# a toy run
[run]
name = "toy"
seed = 5

[engine]
kind = "function"
target = "toy_model.py:engine"

[parameters.scale]
prior = "log_uniform"
low = 0.1
high = 5.0

[sampler]
kind = "emcee"
n_walkers = 48
n_steps = 800
burn = 100
tau_multiple = 15
thin = 4

[resources]
checkpoint_every = 5.0
"""

NESTED = CONFIG.split("[sampler]")[0].replace('"toy"', '"nested"') + '[sampler]\nkind = "dynesty"\nn_live = 40\nwalks = 5\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a config and the model beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "toy_model.py").write_text(MODEL)
    (folder / "toy.toml").write_text(CONFIG)
    (folder / "nested.toml").write_text(NESTED)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished runs: runs/toy, runs/nested. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    folder.mkdir()
    (folder / "toy_model.py").write_text(MODEL)
    for name, text in (("toy", CONFIG), ("nested", NESTED)):
        (folder / f"{name}.toml").write_text(text)
        run(folder / f"{name}.toml", RunOptions(output=folder / "runs" / name, progress=False))
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the folder with finished runs."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


@pytest.fixture
def edit() -> Callable[[Path, str, str], None]:
    """Replace text in a file; it must be there."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace
