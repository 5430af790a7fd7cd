"""Importance sampling about a scan's peaks: its densities are normalised, its evidence is right, and so is the error that it states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Fixed, LogUniform, Uniform
from sciinf.core.problem import Problem
from sciinf.engines import echo
from sciinf.engines.echo.mixture import Component, Mixture
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_evidence import cases, quadrature

BAND = (50.0, 110.0)
COMB: dict[str, Any] = {"spacing": 5.83, "offset_hz": 1.26, "width": 0.4, "amplitude": 0.3, "band": BAND}


def _noise(seed: int, duration: float = 4.0, detector: str = "H1") -> echo.Spectrum:
    return echo.simulate.gaussian_noise(echo.Psd.white(2.0 / 512), duration, 1.0 / 512, np.random.default_rng(seed), detector)


def _with_comb(noise: echo.Spectrum, seed: int) -> echo.Spectrum:
    return echo.simulate.inject(noise, echo.simulate.comb(noise, **COMB, rng=np.random.default_rng(seed)))


def _problem(kind: str) -> Problem:
    data: Any = _with_comb(_noise(1), 2)
    members = [Parameter("spacing", Uniform(5.0, 7.0)), Parameter("width", LogUniform(0.25, 1.0))]
    offset = Parameter("offset", Uniform(0.0, 1.0), periodic=True)
    if kind == "network":
        engine = echo.EchoSearch((data, _with_comb(_noise(3, detector="L1"), 4)), amplitude=Uniform(0.0, 1.0), band=BAND)
        return Problem(engine, PriorSet([*members, offset, Parameter("phase_shift_L1", Uniform(0.0, 2.0 * np.pi), periodic=True)]))
    if kind == "Hz":
        engine = echo.EchoSearch(data, amplitude=Uniform(0.0, 1.0), band=BAND, offset_unit="Hz")
        return Problem(engine, echo.fixed_band_priors(engine))
    if kind == "amplitude sampled, spacing fixed":
        engine = echo.EchoSearch(data, band=BAND)
        return Problem(
            engine, PriorSet([Parameter("spacing", Fixed(5.83)), offset, *members[1:], Parameter("amplitude", Uniform(0.0, 1.0))])
        )
    engine = echo.EchoSearch(data, amplitude=Uniform(0.0, 1.0), band=BAND)
    return Problem(engine, PriorSet([*members, offset]))


KINDS = ("spacing", "Hz", "network", "amplitude sampled, spacing fixed")


@pytest.mark.parametrize("kind", KINDS)
def test_densities_are_those_of_the_draws(kind: str) -> None:
    """The integral of a component over the prior's box, from the prior's draws, is the share of its own draws that lie there."""
    problem = _problem(kind)
    rng = np.random.default_rng(5)
    space = SearchSpace.of(problem.engine, problem.priors)
    fitted = Mixture.about(echo.scan(problem.engine, priors=problem.priors), space, rng).components[0]
    names = problem.names
    wide = Component(space, fitted.tooth, fitted.mean, np.diag([0.7 if name.startswith("phase") else 0.25 for name in names]))
    drawn, prior = wide.draw(50_000, rng), problem.priors.sample(rng, 50_000)
    inside = problem.priors.log_prior(drawn) > -np.inf
    shares = np.exp(wide.log_density(prior) - problem.priors.log_prior(prior))
    error = np.hypot(shares.std(), inside.std()) / np.sqrt(50_000)
    assert shares.mean() == pytest.approx(inside.mean(), abs=4.0 * error + 1e-4)  # turns beyond the first are left out
    assert 0.2 < inside.mean() < 1.0
    where = names.index("offset")  # and not only their total: two halves of the offset's range
    low = drawn[inside][:, where] < np.median(prior[:, where])
    half = shares * (prior[:, where] < np.median(prior[:, where]))
    assert half.mean() == pytest.approx(inside.mean() * low.mean(), abs=4.0 * np.hypot(half.std(), 0.5) / np.sqrt(50_000) + 1e-4)


@pytest.mark.parametrize("kind", ["marginalised", "amplitude sampled, spacing fixed"])
def test_the_evidence_and_its_error(kind: str) -> None:
    problem = cases(("mode",), 1, 20230802)[0].marginalised if kind == "marginalised" else _problem(kind)
    found = echo.scan(problem.engine, priors=problem.priors)
    runs = [echo.importance_sample(found, seed) for seed in range(12)]
    assert all(run.status == "ok" for run in runs)
    values = np.array([run.log_evidence for run in runs])
    errors = np.array([run.log_evidence_error for run in runs])
    truth, own = quadrature(problem, 2**16, 1)
    assert own < 0.005
    assert abs(values.mean() - truth) < 4.0 * np.hypot(values.std(ddof=1) / np.sqrt(12), own)
    assert 3.0 < np.sum(((values - values.mean()) / errors) ** 2) < 31.3  # chi-square of 11 degrees, one in a hundred and one in a thousand


def test_the_posterior_is_that_of_a_nested_run() -> None:
    problem = _problem("network")
    ours = echo.importance_sample(echo.scan(problem.engine, priors=problem.priors), 1)
    nested = sample(problem, Dynesty(n_live=400), seed=1, progress=False)
    assert ours.status == "ok"
    assert ours.names == nested.names
    z = (ours.mean() - nested.mean()) / np.hypot(ours.std() / np.sqrt(ours.ess), nested.std() / np.sqrt(nested.ess))
    assert np.all(np.abs(z) < 4.0)
    assert nested.log_evidence is not None
    assert ours.log_evidence == pytest.approx(nested.log_evidence, abs=4.0 * np.hypot(ours.log_evidence_error, nested.log_evidence_error))
    again = echo.importance_sample(echo.scan(problem.engine, priors=problem.priors), 1)
    assert again.content_hash() == ours.content_hash()


def test_too_few_draws_are_said() -> None:
    engine = echo.EchoSearch(_noise(7), amplitude=Uniform(0.0, 1.0), band=BAND)
    found = echo.scan(engine, priors=_problem("spacing").priors)
    assert echo.importance_sample(found, 1, n_effective=2000, max_calls=300).status == "not_converged"
    with pytest.raises(ConfigError, match="n_effective"):
        echo.importance_sample(found, 1, n_effective=0)


def test_a_wrong_evidence_is_named_by_the_check() -> None:
    problem = _problem("spacing")
    found = echo.scan(problem.engine, priors=problem.priors)
    nested = sample(problem, Dynesty(n_live=200), seed=1, progress=False)
    engine: Any = problem.engine

    def said(run: Posterior) -> tuple[str, bool]:
        check = echo.check_against_scan(run, engine, found).meta["check"]["scan"]
        return check["text"], check["good"]

    text, good = said(nested)
    assert "importance sampling" in text
    assert good
    assert nested.log_evidence is not None
    text, good = said(Posterior(**{**nested.__dict__, "log_evidence": nested.log_evidence + 1.5}))
    assert "is not to be trusted" in text
    assert not good


def test_evidences_under_other_priors_are_not_compared() -> None:
    """The same ranges, another density: the run is right by its own prior."""
    problem = _problem("spacing")
    members = [Parameter("spacing", LogUniform(5.0, 7.0)), Parameter("width", Uniform(0.25, 1.0)), problem.priors.members[2]]
    other = Problem(problem.engine, PriorSet(members))
    engine: Any = problem.engine
    run = sample(other, Dynesty(n_live=100), seed=1, progress=False)
    assert "importance" not in echo.check_against_scan(run, engine, echo.scan(engine, priors=problem.priors)).meta["scan"]
    assert "importance" in echo.check_against_scan(run, engine, echo.scan(engine, priors=other.priors)).meta["scan"]
