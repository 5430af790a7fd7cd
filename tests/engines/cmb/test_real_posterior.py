"""What the real data must give: Fisher errors, and an edge report where the emulator's box is too narrow."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.core.engine import edges_of
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal, Uniform
from sciinf.core.problem import Problem
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.presets import planck2018
from sciinf.samplers.optimum import fisher
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Emcee

# Errors at the mean point (H0 67.255), tau ~ N(., .0073), A_planck's prior: computed for this project from CAMB derivatives; 10 %.
FISHER = {
    ("TT", "TE", "EE"): {"omega_b": 0.0001467, "omega_c": 0.001365, "H0": 0.606, "n_s": 0.00438, "logA": 0.01487},
    ("TT",): {"omega_b": 0.0002149, "omega_c": 0.002094, "H0": 0.922, "n_s": 0.00579, "logA": 0.01539},
}
MEAN = {"omega_b": 0.02236, "omega_c": 0.1202, "H0": 67.25500565, "tau": 0.0544, "logA": 3.045, "n_s": 0.9649, "A_planck": 1.0}


@pytest.mark.planck
@pytest.mark.parametrize("spectra", list(FISHER))
def test_fisher_errors(planck_files: PlanckFiles, spectra: tuple[str, ...]) -> None:
    engine = planck2018(("plik_lite",), spectra, sample="H0", outside="reject", data=planck_files)
    priors = engine.default_priors().replace(tau=Normal(MEAN["tau"], 0.0073))
    problem = Problem(engine, priors)
    errors = np.sqrt(np.diag(np.linalg.inv(fisher(problem, [MEAN[name] for name in problem.names]))))
    found = dict(zip(problem.names, errors, strict=True))
    for name, expected in FISHER[spectra].items():
        assert found[name] == pytest.approx(expected, rel=0.1), name
    assert found["A_planck"] == pytest.approx(0.0025, rel=0.1)


@pytest.mark.planck
def test_ee_alone_leans_on_the_box_and_the_report_says_so(planck_files: PlanckFiles) -> None:
    """The box is not wide enough for EE alone (omega_b .0240 +- .0012): the edge report must fire; with TT and TE it must not."""
    leaning = {}
    for spectra in (("EE",), ("TT", "TE", "EE")):
        engine = planck2018(("plik_lite", "low_ee"), spectra, data=planck_files)
        problem = Problem(engine, engine.default_priors())
        posterior = sample(problem, Emcee(n_walkers=64, moves="de", n_steps=1200), seed=1, progress=False)
        leaning[spectra] = {edge.name for edge in posterior.summary(domain=edges_of(engine)).edges}
    assert "omega_b" in leaning["EE",]
    assert leaning["TT", "TE", "EE"] == set()


def test_priors_that_do_not_fit_the_emulator(lookalike: PlanckFiles) -> None:
    engine = planck2018(("low_tt_bins",), data=lookalike)
    priors = engine.default_priors()
    with pytest.raises(PriorError, match=r"'n_s' reaches over \[-inf, inf\], but the engine is valid on \[0\.91, 1\.02\].*theory='camb'"):
        Problem(engine, priors.replace(n_s=Normal(0.96, 0.02)))
    both = PriorSet([*priors.members, Parameter("H0", Uniform(60.0, 70.0))])
    with pytest.raises(ConfigError, match="has no parameter 'H0'"):
        Problem(engine, both)
    renamed = PriorSet([Parameter("omega_bb" if m.name == "omega_b" else m.name, m.prior) for m in priors.members])  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="no parameter 'omega_bb': did you mean 'omega_b'"):
        Problem(engine, renamed)
