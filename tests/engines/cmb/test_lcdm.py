"""Default priors of LambdaCDM: the box, H0 with its normalised cut, theories without a box."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from sciinf.engines.cmb.background import Background
from sciinf.engines.cmb.component import calibration_prior
from sciinf.engines.cmb.emulator import EmulatorTheory
from sciinf.engines.cmb.lcdm import H0_RANGE, LCDM_BOX, theory_priors, theta_mc_in_box
from sciinf.engines.cmb.theory import PARAMETERS


def test_the_box_is_the_shipped_emulator_s() -> None:
    theory = EmulatorTheory()
    assert theory.domain() == LCDM_BOX
    priors = theory_priors(theory, calibration_prior().members)
    assert priors.names == (*PARAMETERS, "A_planck")
    assert {name: priors.supports[name] for name in PARAMETERS} == LCDM_BOX
    assert not priors.is_constrained


def test_h0_is_cut_to_the_box_and_stays_normalised() -> None:
    """Mass of the region against an independent count, density against the uniform one, and draws that all have a likelihood."""
    theory = EmulatorTheory("H0")
    assert "theta_mc" not in theory.domain()
    assert "H0" not in theory.domain()
    priors = theory_priors(theory)
    assert priors.is_constrained
    assert priors.supports["H0"] == H0_RANGE
    rng, n = np.random.default_rng(1), 40_000
    omega_b, omega_c = (rng.uniform(*LCDM_BOX[name], n) for name in ("omega_b", "omega_c"))
    theta = Background().theta_mc(omega_b, omega_c, rng.uniform(*H0_RANGE, n))
    share = np.mean((theta >= LCDM_BOX["theta_mc"][0]) & (theta <= LCDM_BOX["theta_mc"][1]))
    error = math.hypot(math.sqrt((1 - share) / share / n), 0.005)
    assert abs(priors.log_mass - math.log(share)) < 4 * error
    draws = priors.sample(np.random.default_rng(2), 500)
    assert np.all(np.isfinite(theory.spectra_many(draws)["TT"]))
    volume = math.prod(LCDM_BOX[name][1] - LCDM_BOX[name][0] for name in PARAMETERS if name != "theta_mc") * (H0_RANGE[1] - H0_RANGE[0])
    assert priors.log_prior(draws[0]) == pytest.approx(-math.log(volume) - priors.log_mass, rel=1e-12)
    outside = draws[0].copy()
    outside[2] = 79.0
    assert not theta_mc_in_box(outside[0], outside[1], outside[2])
    points = np.column_stack([omega_b, omega_c, rng.uniform(64.0, 71.0, n)])[:5000]
    by_point = [theta_mc_in_box(*map(float, point)) for point in points]
    assert 0.2 < np.mean(by_point) < 0.9
    assert np.array_equal(theta_mc_in_box(*points.T), by_point)
    assert priors.log_prior(outside) == -math.inf
    copy = pickle.loads(pickle.dumps(priors))
    assert copy.log_prior(draws[0]) == priors.log_prior(draws[0])


@pytest.mark.parametrize("sample", ["theta_mc", "H0"])
def test_a_theory_without_a_box_has_the_same_box_and_no_cut(sample: str) -> None:
    class Exact:
        parameters = tuple(sample if name == "theta_mc" else name for name in PARAMETERS)

        def domain(self) -> None:
            return None

    priors = theory_priors(Exact())  # type: ignore[arg-type]
    assert priors.supports["omega_b"] == LCDM_BOX["omega_b"]
    assert priors.supports[sample] == (H0_RANGE if sample == "H0" else LCDM_BOX["theta_mc"])
    assert not priors.is_constrained
