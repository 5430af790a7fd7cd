"""The three reference sets, read in place, and the smaller figures beside the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.engines.r3d import R3D, R3DSettings, RaggedSample

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "r3d"
CUTOFFS = {"sharpA": 0.0, "fuzzyB": 0.1, "scalarC": 0.0}


@dataclass(frozen=True)
class ReferenceSet:
    """Units, samples, treatment, multipliers and stored outputs of one set."""

    x: np.ndarray
    outcomes: RaggedSample
    treatment: np.ndarray | None
    multipliers: np.ndarray | None
    cutoff: float
    folder: Path
    name: str

    def reference(self, kind: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / f"{self.name}_{kind}_reference.json").read_text())
        return content

    def model(self, settings: R3DSettings, *, fuzzy: bool | None = None, cluster: np.ndarray | None = None) -> R3D:
        treatment = self.treatment if (fuzzy if fuzzy is not None else self.name == "fuzzyB") else None
        return R3D(self.x, self.outcomes, cutoff=self.cutoff, treatment=treatment, cluster=cluster, settings=settings)


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """Path of a file beside the repository, or a skip."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/r3d/{name}, which is not distributed with the project")
        return path

    return find


@pytest.fixture(scope="session")
def reference_set(shared_file: Callable[[str], Path]) -> Callable[[str], ReferenceSet]:
    """Reader of a set by its name; each is read once."""
    read: dict[str, ReferenceSet] = {}

    def find(name: str) -> ReferenceSet:
        if name not in read:
            units = np.genfromtxt(shared_file(f"{name}_units.csv"), delimiter=",", names=True)
            observed = np.genfromtxt(shared_file(f"{name}_obs.csv"), delimiter=",", names=True)
            treatment = units["t"].copy() if "t" in (units.dtype.names or ()) else None
            xi = None if name == "scalarC" else np.loadtxt(shared_file(f"{name}_xi.csv"), delimiter=",")
            sample = RaggedSample.from_long(observed["unit"].astype(np.int64), observed["z"])
            assert np.array_equal(sample.labels, units["unit"])
            read[name] = ReferenceSet(units["x"].copy(), sample, treatment, xi, CUTOFFS[name], SHARED, name)
        return read[name]

    return find


@pytest.fixture(scope="session")
def anchors() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "tests" / "fixtures" / "r3d" / "anchors.json").read_text())
    return content
