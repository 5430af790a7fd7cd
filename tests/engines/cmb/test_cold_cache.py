"""The first process, which compiles, and the next, which reads what the first left on disk, give the same bytes.

They need not: the linker resolves a helper that two kernels share to whichever copy it meets first, and sums that may be reordered
come out differently from one copy to the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sciinf.engines.cmb.data import PlanckFiles

DIGESTS = """
import json
import sys

import numpy as np

from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb import planck2018

names = ("plik_lite", "low_tt_bins", "low_ee", "lensing")
found = {}
for sample in ("theta_mc", "H0"):
    for evaluation in ("full", "compressed"):
        engine = planck2018(names, sample=sample, evaluation=evaluation)
        centre = np.array([0.02237, 0.12, 1.0409 if sample == "theta_mc" else 67.3, 0.0544, 3.045, 0.965, 1.0])
        rng = np.random.default_rng(1)
        thetas = centre * (1.0 + np.array([7e-3, 1e-2, 3e-4, 0.1, 5e-3, 5e-3, 2.5e-3]) * rng.standard_normal((21, 7)))
        values = {
            "scalar": np.array([engine.log_likelihood(theta) for theta in thetas]),
            "batch": engine.log_likelihood_many(thetas),
            "components": engine.components_many(thetas),
            "derived": engine.derived_many(thetas),
            "spectra": engine.spectra(thetas[0])["TT"],
        }
        assert all(np.isfinite(array).all() for array in values.values())
        found |= {f"{sample} {evaluation} {key}": sha256_of(array) for key, array in values.items()}
sys.stdout.write(json.dumps(found))
"""


@pytest.mark.planck
def test_compiling_and_reading_the_cache_give_the_same_bytes(planck_files: PlanckFiles, tmp_path: Path) -> None:
    assert planck_files.source.startswith("cosmofit")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def digests() -> dict[str, str]:
        run = subprocess.run([sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True, env=environment)
        found: dict[str, str] = json.loads(run.stdout)
        return found

    cold = digests()
    assert any(tmp_path.rglob("*.nbc"))
    warm = digests()
    assert len(cold) == 20
    assert {name for name in cold if cold[name] != warm[name]} == set()
