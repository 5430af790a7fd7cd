"""Data and small theories that the cmb tests share."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.data import PlanckFiles, planck_data
from sciinf.engines.cmb.simulate import fiducial_spectra, write_lookalike
from sciinf.engines.cmb.spectra import SPECTRA, Spectra, SpectraBatch

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "cmb"
SHARED = ROOT.parent / "shared" / "data" / "cmb"


@dataclass(frozen=True, eq=False)
class ToyTheory:
    """D_l = amplitude (l / 1000)^tilt times the fiducial spectra: enough to exercise a Hybrid without an emulator."""

    fiducial: Spectra = field(default_factory=fiducial_spectra)
    box: dict[str, tuple[float, float]] | None = field(default_factory=lambda: {"amplitude": (0.5, 1.5), "tilt": (-0.5, 0.5)})

    parameters = ("amplitude", "tilt")
    derived_names = ("power",)

    @property
    def l_max(self) -> dict[str, int]:
        return self.fiducial.l_max

    def domain(self) -> dict[str, tuple[float, float]] | None:
        return self.box

    def spectra_many(self, thetas: np.ndarray) -> SpectraBatch:
        arrays = {}
        for name in SPECTRA:
            multipole = np.arange(len(self.fiducial[name]), dtype=np.float64)
            multipole[0] = 1.0
            arrays[name.lower()] = thetas[:, :1] * (multipole / 1000.0) ** thetas[:, 1:2] * self.fiducial[name]
        return SpectraBatch(**arrays)

    def spectra(self, theta: np.ndarray) -> Spectra:
        return self.spectra_many(np.asarray(theta)[None, :]).row(0)

    def derived_many(self, thetas: np.ndarray) -> np.ndarray:
        return thetas[:, :1] ** 2

    def explain(self, theta: np.ndarray) -> list[str]:
        return []

    def fingerprint(self) -> str:
        return sha256_of("toy", self.fiducial["TT"])


@pytest.fixture(scope="session")
def fiducial() -> Spectra:
    return fiducial_spectra()


@pytest.fixture(scope="session")
def lookalike(tmp_path_factory: pytest.TempPathFactory) -> PlanckFiles:
    """Synthetic data in the real formats, seed 1."""
    return write_lookalike(tmp_path_factory.mktemp("lookalike") / "data", seed=1)


@pytest.fixture(scope="session")
def components(lookalike: PlanckFiles) -> dict[str, Component]:
    """The four components on look-alike data, by name."""
    made = (lookalike.plik_lite(), lookalike.low_tt_bins(), lookalike.low_ee(), lookalike.lensing())
    return {component.name: component for component in made}


@pytest.fixture(scope="session")
def planck_files() -> PlanckFiles:
    """The real files, or a skip that names the extra."""
    if importlib.util.find_spec("cosmofit") is None:
        pytest.skip('needs the real Planck files: pip install "sciinf[planck]"')
    return planck_data()


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    return json.loads((FIXTURES / "reference_chi2.json").read_text())


@pytest.fixture(scope="session")
def stored_spectra() -> dict[str, Spectra]:
    return {name: Spectra.from_file(FIXTURES / f"{name}.npz") for name in ("bf_pol", "bf_TT", "mean_TTTEEE_lowE")}


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """Path of a file beside the repository, or a skip: files without a stated licence are read in place."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/cmb/{name}, which is not distributed with the project")
        return path

    return find


@pytest.fixture(scope="session")
def toy_theory() -> type[ToyTheory]:
    return ToyTheory
