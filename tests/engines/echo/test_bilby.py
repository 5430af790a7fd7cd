"""The search in bilby: ln L to the bit, and a PriorDict with the same joint density, support and constraints."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.adapters import as_bilby
from sciinf.engines.echo import EchoSearch, Psd, Remnant
from sciinf.engines.echo.simulate import comb, gaussian_noise, inject, project

DT = 1.0 / 1024.0
REMNANT = Remnant(0.67, 67.65)
BAND = (50.0, 250.0)
N_DRAWS, N_PRIOR = 500, 10_000

SEARCHES: dict[str, dict[str, Any]] = {
    "four": {"band": BAND, "offset_unit": "Hz"},
    "four, offset in spacings": {"band": BAND},
    "four, amplitude marginalised": {"band": BAND, "offset_unit": "Hz", "amplitude": "marginalised"},
    "six": {"remnant": REMNANT},
    "six, offset in Hz": {"remnant": REMNANT, "offset_unit": "Hz", "amplitude": "marginalised"},
}


@pytest.fixture(scope="module")
def bilby() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what bilby's own imports warn of
        return pytest.importorskip("bilby")


def problem_of(name: str, phase: str = "mode", *, network: bool = False) -> sciinf.Problem:
    one, two = (gaussian_noise(Psd.white(2.0 * DT), 4.0, DT, np.random.default_rng(seed), f"D{seed}") for seed in (1, 2))
    two = replace(two, response=0.8, delay=0.0069)
    signal = comb(one, spacing=5.83, offset_hz=1.26, width=0.5, amplitude=0.15, band=BAND, rng=np.random.default_rng(3))
    data = (inject(one, signal), inject(two, project(signal, two, 1.0))) if network else inject(one, signal)
    engine = EchoSearch(data, phase=phase, **SEARCHES[name])  # type: ignore[arg-type]
    return sciinf.Problem(engine, engine.default_priors())


@pytest.mark.parametrize("network", [False, True], ids=["one detector", "network"])
@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
@pytest.mark.parametrize("name", ["four", "four, amplitude marginalised", "six"])
def test_the_likelihood_to_the_bit(bilby: Any, name: str, phase: str, network: bool) -> None:
    problem = problem_of(name, phase, network=network)
    likelihood, _ = as_bilby(problem)
    thetas = problem.priors.sample(np.random.default_rng(4), N_DRAWS)
    ours = [problem.engine.log_likelihood(theta) for theta in thetas]
    theirs = [likelihood.log_likelihood(dict(zip(problem.names, theta.tolist(), strict=True))) for theta in thetas]
    assert np.array_equal(ours, theirs)
    assert len(set(ours)) > 0.9 * N_DRAWS


@pytest.mark.parametrize("network", [False, True], ids=["one detector", "network"])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_prior_is_the_same(bilby: Any, name: str, network: bool) -> None:
    """Density on draws of ours, zero where ours is zero; draws of theirs have the constraints and our moments."""
    problem = problem_of(name, network=network)
    _, priors = as_bilby(problem)
    rng = np.random.default_rng(5)
    assert tuple(priors) == problem.names
    inside = problem.priors.sample(rng, N_PRIOR)
    low, high = np.array([problem.priors.supports[key] for key in problem.names]).T
    anywhere = rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), size=inside.shape)
    for points, least, most in ((inside, 1.0, 1.0), (anywhere, 0.0, 0.9)):
        ours = np.asarray(problem.priors.log_prior(points))
        with np.errstate(divide="ignore"):
            theirs = np.asarray(priors.ln_prob(dict(zip(problem.names, points.T, strict=True)), axis=0))
        assert least <= np.mean(np.isfinite(ours)) <= most
        assert np.array_equal(np.isfinite(ours), np.isfinite(theirs))
        np.testing.assert_allclose(theirs[np.isfinite(ours)], ours[np.isfinite(ours)], rtol=1e-12)
    bilby.core.utils.random.seed(6)
    drawn = priors.sample(N_PRIOR)
    points = np.column_stack([drawn[key] for key in problem.names])
    assert np.all(np.isfinite(problem.priors.log_prior(points)))
    f0 = drawn["offset"] if problem.engine.offset_unit == "Hz" else drawn["offset"] * drawn["spacing"]  # type: ignore[attr-defined]
    assert np.all((f0 > 0.0) & (f0 < drawn["spacing"]))
    if "f_min" in drawn:
        room = drawn["f_max"] - drawn["f_min"] - 10.0 * drawn["spacing"]
        assert np.all((room > 0.0) & (room < REMNANT.ringdown_frequency))
    error = np.hypot(inside.std(axis=0), points.std(axis=0)) / math.sqrt(N_PRIOR)
    assert np.all(np.abs(inside.mean(axis=0) - points.mean(axis=0)) < 5.0 * error)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_cube_is_the_same(bilby: Any, name: str) -> None:
    """What bilby's nested samplers take."""
    problem = problem_of(name, network=True)
    _, priors = as_bilby(problem)
    for unit in np.random.default_rng(7).random((200, problem.n_dim)):
        theirs = np.array(priors.rescale(list(problem.names), unit), dtype=np.float64)
        np.testing.assert_allclose(theirs, problem.priors.transform(unit), rtol=1e-12)
