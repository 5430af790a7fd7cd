"""The pn suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats

from sciinf.calibration.injections import Campaign, reranked
from sciinf.core.errors import ConfigError
from sciinf.engines.pn import families, verdict
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import Contractions
from sciinf.validation import pn, suites
from sciinf.validation import pn_controls as controls
from sciinf.validation import pn_engine as engine
from sciinf.validation import pn_risks as risks
from sciinf.validation import pn_verdicts as verdicts
from sciinf.validation.pn_losses import LOSSES, Design, gamma_shapes
from sciinf.validation.suite import Recorder, SuiteResult

# ---- losses of many data sets ----


def divergence(law: Any, own: Any, low: float, high: float) -> float:
    """KL by adaptive quadrature."""
    return float(integrate.quad(lambda x: law.pdf(x) * (law.logpdf(x) - own.logpdf(x)), low, high, epsabs=1e-13, limit=200)[0])


def test_losses_of_continuous_families_are_integrals() -> None:
    exponential, normal, gamma, inverse = families.Exponential(), families.Normal(), families.Gamma(), families.InverseGaussian()
    rows = [
        (exponential, exponential.natural(2.0), [0.6], stats.expon(scale=0.5), stats.expon(scale=0.6)),
        (normal, normal.natural(1.0, 2.0), [1.3, 1.3**2 + 1.5**2], stats.norm(1.0, 2.0), stats.norm(1.3, 1.5)),
        (gamma, gamma.natural(2.0, 1.5), gamma.mean(gamma.natural(2.5, 1.1)), stats.gamma(2.0, scale=1.5), stats.gamma(2.5, scale=1.1)),
        (inverse, inverse.natural(1.0, 2.0), inverse.mean(inverse.natural(1.2, 1.7)), stats.invgauss(0.5, scale=2.0),
         stats.invgauss(1.2 / 1.7, scale=1.7)),
    ]  # fmt: skip
    for family, theta, means, law, own in rows:
        loss = float(LOSSES[type(family).__name__](family, theta, np.array([means]))[0])
        low, high = (-np.inf, np.inf) if type(family).__name__ == "Normal" else (0.0, np.inf)
        assert loss == pytest.approx(divergence(law, own, low, high), rel=1e-8), type(family).__name__


def test_losses_without_an_estimate_are_told() -> None:
    poisson, cells = families.Poisson(), families.Multinomial(3)
    assert np.isnan(LOSSES["Poisson"](poisson, poisson.natural(1.0), np.array([[0.0], [1.5]]))).tolist() == [True, False]
    found = LOSSES["Multinomial"](cells, cells.natural([0.2, 0.3, 0.5]), np.array([[0.5, 0.5], [0.2, 0.4], [0.2, 0.3]]))
    assert np.isnan(found).tolist() == [True, False, False]
    assert abs(found[2]) < 1e-15


def test_gamma_shapes() -> None:
    family = families.Gamma()
    true = np.array([[0.3, 2.0], [1.0, 1.0], [40.0, 0.1]])
    assert_allclose(gamma_shapes(np.array([family.mean(family.natural(*row)) for row in true])), true, rtol=1e-10)


def test_losses_of_a_design_are_those_of_statsmodels_fits() -> None:
    sm = pytest.importorskip("statsmodels.api")
    x = np.column_stack([np.ones(40), np.linspace(-1.0, 1.0, 40)])
    beta = np.array([0.3, 0.8])
    design = Design("Poisson", x, beta)
    loss, quadratic = design.losses(np.random.default_rng(5), 1, 3)
    y = np.random.default_rng(5).poisson(np.exp(x @ beta), (3, 40))
    mu = np.exp(x @ beta)
    for i in range(3):
        own = np.asarray(sm.GLM(y[i], x, family=sm.families.Poisson()).fit(tol=1e-14).mu)
        assert loss[i] == pytest.approx(float(np.sum(mu * np.log(mu / own) - mu + own)), rel=1e-6)
    score = (y - mu) @ x
    assert_allclose(quadratic, 0.5 * np.sum(score * np.linalg.solve((x * mu[:, None]).T @ x, score.T).T, axis=1), rtol=1e-12)


# ---- risks ----


def test_a_wrong_expansion_is_found_and_a_right_one_is_not() -> None:
    (case,) = risks.cases(("negative binomial truth",))
    right, rows = risks.injected(case, 100_000, 3)
    assert [one.name for one in right if not one.passed] == []
    assert len(rows) == 2
    wrong = {
        "second order": replace(case, b=case.b + 0.6),
        "first order": replace(case, a=1.05 * case.a),
        "reference": replace(case, b=case.b * (1.0 + 3e-6)),
        "loss": replace(case, bound=lambda rng: 1e-8),
    }
    for name, one in wrong.items():
        failed = [each.name for each in risks.injected(one, 100_000, 3)[0] if not each.passed]
        assert any(each.endswith(name) for each in failed), (name, failed)


def test_a_wrong_exact_risk_is_found() -> None:
    (case,) = risks.cases(("exponential",))
    assert all(one.passed for one in risks.injected(case, 200_000, 4)[0])
    known = case.exact
    assert known is not None
    shifted = replace(case, exact=lambda n: known(n) + 0.3 / n**2)
    failed = {one.name for one in risks.injected(shifted, 200_000, 4)[0] if not one.passed}
    assert failed == {"exponential: exact risk", "exponential: expansion"}


def test_the_error_of_a_simulated_risk_is_right() -> None:
    """Distances from the exact risk, in their errors, over 40 seeds: a variance of one within 4 of its errors."""
    (case,) = risks.cases(("exponential",))
    assert case.exact is not None
    z = []
    for seed in range(40):
        found = risks.simulated(case, 20, 4000, np.random.default_rng(seed))
        z.append((found.risk - case.exact(20)) / found.error)
    assert abs(float(np.var(z, ddof=1)) - 1.0) < 4.0 * math.sqrt(2.0 / 39.0)
    assert abs(float(np.mean(z))) < 4.0 / math.sqrt(40.0)


# ---- thresholds and decisions ----


def test_the_bayes_error_is_that_of_the_best_rule() -> None:
    """Two normal laws of one width: Phi(-distance / 2); two exponential ones by quadrature over the line where they cross."""
    normal, exponential, gamma = verdicts.telling()
    means = np.array([[0.3, 0.3**2 + 1.0]])

    def error(case: verdicts.Telling, theta: np.ndarray, means: np.ndarray) -> float:
        true = np.exp(case.log_density(case.family.mean(theta)[None, :], case.grid))
        return float(0.5 - 0.25 * np.abs(np.exp(case.log_density(means, case.grid)) - true)[0] @ case.measure)

    assert error(normal, normal.theta, means) == pytest.approx(float(stats.norm.cdf(-0.15)), abs=1e-6)
    cross = float(optimize.brentq(lambda x: -x + math.log(1.4) + x / 1.4, 0.1, 10.0))
    expected = 0.5 * (stats.expon.sf(cross) + stats.expon(scale=1.4).cdf(cross))
    assert error(exponential, exponential.theta, np.array([[1.4]])) == pytest.approx(float(expected), abs=1e-5)
    own = gamma.family.mean(gamma.theta)[None, :]
    assert error(gamma, gamma.theta, own) == pytest.approx(0.5, abs=1e-9)


def test_too_few_observations_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at a third of what is required the Bayes error falls short, and a control at n / 4 that holds is a failure."""
    (normal, *_) = verdicts.telling()
    right, row, slack = verdicts.told_apart(normal, 0.05, "pinsker", 1500, 1)
    assert all(one.passed for one in right)
    assert (row[1], slack > 0.0) == ("55", True)
    monkeypatch.setattr(verdicts, "required_n", lambda a, b, level: 14)
    assert not verdicts.told_apart(normal, 0.05, "pinsker", 1500, 1)[0][0].passed
    monkeypatch.setattr(verdicts, "required_n", lambda a, b, level: 400)
    assert not verdicts.told_apart(normal, 0.05, "pinsker", 1500, 1)[0][1].passed


def test_required_observations_of_the_two_truths() -> None:
    """a = 1, b = 61/12 and a = 1.75, b = 197/24 at C = .02, by the quadratic formula."""
    assert (verdicts.required("normal", 0.05), verdicts.required("Laplace", 0.05)) == (55, 92)


def test_decisions_that_are_wrong_are_found() -> None:
    def made(low: float, high: float, model: bool) -> dict[int, list[verdicts.Decision]]:
        rng = np.random.default_rng(1)
        return {n: [verdicts.Decision(bool(rng.uniform() < share), model, 2.0) for _ in range(200)]
                for n, share in ((74, low), (92, 0.5 * (low + high)), (115, high))}  # fmt: skip

    def passed(truth: dict[int, list[verdicts.Decision]]) -> list[bool]:
        return [one.passed for one in verdicts.decisions({"normal": made(0.1, 0.9, True), "Laplace": truth}, 0.05)[0]]

    assert passed(made(0.4, 0.9, True)) == [True, True, True, True]
    assert passed(made(0.5, 0.5, True)) == [True, False, True, True]
    assert passed(made(0.4, 0.9, False)) == [True, True, False, False]


def test_errors_that_are_too_small_are_found() -> None:
    assert verdicts.draws_cover([True] * 170 + [False] * 30).passed
    assert not verdicts.draws_cover([True] * 140 + [False] * 60).passed
    assert verdicts.data_replica(1, 1000) == verdicts.data_replica(1, 1000)


# ---- the likelihood ----


def test_an_expanded_psi_is_right_where_it_was_expanded() -> None:
    """To second order there, and wrong by a third cumulant's term away from it."""
    right, wrong = (engine.frozen_problem(1, wrong=which).engine for which in (False, True))
    centre = math.log(1.0)  # of ten counts with sum ten
    for off in (0.0, 1e-3):
        assert wrong.log_likelihood(np.array([centre + off])) == pytest.approx(right.log_likelihood(np.array([centre + off])), abs=1e-7)
    gap = wrong.log_likelihood(np.array([centre + 0.1])) - right.log_likelihood(np.array([centre + 0.1]))
    assert gap == pytest.approx(10.0 * (math.exp(0.1) - 1.0 - 0.1 - 0.005), rel=1e-6)


def test_ranks_of_broken_posteriors() -> None:
    """Draws of a normal law about their own centres: narrower ones raise the rank variance, displaced ones move the mean."""
    rng = np.random.default_rng(3)
    n, k = 300, 199
    centre = rng.normal(size=(n, 2))
    draws, theta = centre[:, None, :] + rng.normal(size=(n, k, 2)), centre + rng.normal(size=(n, 2))
    none = np.zeros(n)
    done = Campaign(("a", "b"), theta, np.zeros((n, 2), dtype=np.int64), centre, np.ones((n, 2)), draws, none, none, none,
                    np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64), "key")  # fmt: skip
    found = {
        name: engine.rank_verdicts("x", one.ranks, ("a", "b"))
        for name, one in (
            ("right", reranked(done, draws, centre, done.std)),
            ("narrow", engine.sharpened(done, 1.3)),
            ("moved", engine.moved(done, 1.0)),
        )
    }
    assert [found["right"][what].passed for what in ("mean", "variance")] == [True, True]
    assert found["narrow"]["variance"].statistic > 4.0
    assert found["narrow"]["mean"].passed
    assert found["moved"]["mean"].statistic < -4.0


def test_a_far_reference_has_no_effective_draws_at_the_estimate() -> None:
    far, near = engine.far_reference(1).engine, engine.made("Ising, importance", 1, "whitened")
    home = np.zeros((1, 8))
    assert far.derived_many(home)[0, 0] < 0.2 * near.derived_many(home)[0, 0]
    exact = engine.made("Ising", 1, "whitened")
    off, best = (abs(one.log_likelihood(home[0]) - exact.log_likelihood(home[0])) for one in (far, near))
    assert off > 10.0 * best


# ---- faults ----


@pytest.mark.parametrize("fault", controls.breaks(), ids=lambda fault: fault.name)
def test_every_fault_is_found_and_taken_out_again(fault: controls.Break) -> None:
    with controls.broken(fault.owner, fault.attribute, fault.fault):
        assert [one.name for one in fault.check(40_000, 1) if not one.passed]
    assert [one.name for one in fault.check(40_000, 1) if not one.passed] == []


def test_what_was_broken_is_whole_again() -> None:
    right = ExponentialFamily.kl
    with pytest.raises(RuntimeError, match="inside"), controls.broken(ExponentialFamily, "kl", None):
        raise RuntimeError("inside")
    assert ExponentialFamily.kl is right
    assert "max" not in vars(verdict)
    with controls.broken(verdict, "max", min):
        assert vars(verdict)["max"] is min
    assert "max" not in vars(verdict)
    with controls.broken(Contractions, "b", property(lambda self: 0.0)):
        assert Contractions(1.0, 1.0, 1.0, 1.0, 1.0).b == 0.0
    assert Contractions(1.0, 1.0, 1.0, 1.0, 1.0).b == pytest.approx(-1.0 / 3.0 + 0.75)


# ---- the suite ----

TINY = pn.Scale(
    cases=("exponential", "negative binomial truth"), data_sets=20_000, deltas=(0.1,), told=400, decisions=60, errors=40,
    ranks={"Ising": 40, "gamma": 40}, frozen=100, narrow=2.5, ways=("Ising",), n_live=200,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[SuiteResult, Path]:
    """Every part in its smallest form."""
    folder = tmp_path_factory.mktemp("pn")
    with Recorder("pn", "quick", progress=False, directory=folder) as record:
        suite = pn._Suite(TINY, record, 1)
        for part in pn._PARTS:
            getattr(suite, part)()
    return record.result(), folder


def test_every_check_of_every_part_holds(tiny: tuple[SuiteResult, Path]) -> None:
    found = {one.name: one for one in tiny[0].verdicts}
    assert len(found) == len(tiny[0].verdicts)  # one verdict a claim
    assert [one.name for one in found.values() if not one.passed] == []
    assert not tiny[0].skipped
    assert {f"{fault.name} (control)" for fault in controls.breaks()} <= set(found)
    assert {
        "Laplace truth, too few: the model accepts always (control)",
        "posteriors too narrow by 2.5 (control)",
        "posteriors displaced by one deviation (control)",
        "psi expanded at the estimate (control)",
        "one far reference (control)",
    } <= set(found)


def test_its_figures_and_tables(tiny: tuple[SuiteResult, Path]) -> None:
    result, folder = tiny
    assert {path.stem for path in (folder / "figures").iterdir()} == {"affordable", "path", "ranks", "risks", "slack", "verdicts"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    titles = [table.title for table in result.tables]
    assert len(set(titles)) == len(titles) == 7
    json.dumps(result.to_dict())


def test_two_runs_are_identical(tiny: tuple[SuiteResult, Path]) -> None:
    with Recorder("pn", "quick", progress=False) as record:
        suite = pn._Suite(TINY, record, 1)
        suite.risks()
        suite.decisions()
    again = {one.name: one for one in record.result().verdicts}
    first = {one.name: one for one in tiny[0].verdicts}
    assert again == {name: first[name] for name in again}


def test_its_place() -> None:
    assert suites()["pn"].module == "sciinf.validation.pn"
    with pytest.raises(ConfigError, match="no tier 'quik'"):
        pn.run("quik", progress=False)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_quick_tier() -> None:
    result = pn.run("quick", workers=2, progress=False)
    assert [one.name for one in result.verdicts if not one.passed] == []
