"""Risks by refits against exact and published-order figures; existence; refits against direct ones; any parametric model."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sciinf.core.errors import ConfigError, ConvergenceError, DataError, DataTypeError, LikelihoodError
from sciinf.engines.pn import (
    HalfLine,
    ParametricModel,
    PNSettings,
    RealLine,
    estimation_risk_bootstrap,
    exact_risk,
    families,
    pn_criterion,
)
from sciinf.engines.pn.adapters import from_statsmodels
from sciinf.engines.pn.bootstrap import Replicates, summarised
from sciinf.engines.pn.design_refits import CanonicalRefits, NormalRefits
from sciinf.engines.pn.glm import NormalDesign
from sciinf.engines.pn.hull import check_inside
from sciinf.engines.pn.refits import refitted
from tests.engines.pn.test_simulate import AFFINE

sm = pytest.importorskip("statsmodels.api")

FEW = PNSettings(n_bootstrap=4000)


def within(found: float, expected: float, error: float, sigmas: float = 4.0) -> None:
    assert abs(found - expected) < sigmas * error, (found, expected, error)


def test_the_normal_law_at_fifty() -> None:
    """Exact risk .0221783522; error at most 1.4e-4 with 20,000 refits."""
    normal = families.Normal()
    found = estimation_risk_bootstrap(normal, normal.natural(0.0, 1.0), 50, PNSettings(n_bootstrap=20_000))
    within(found.ed, 0.0221783522, found.se)
    assert found.se <= 1.4e-4
    assert found.variance_ratio > 1.5
    assert found.n_failed == 0
    within(found.ed_plain, 0.0221783522, found.se_plain)
    assert found.se < found.se_plain
    plain = estimation_risk_bootstrap(normal, normal.natural(0.0, 1.0), 50, PNSettings(n_bootstrap=20_000), control=False)
    assert (plain.ed, plain.se) == (found.ed_plain, found.se_plain)


def test_the_error_is_right() -> None:
    """40 seeds: 38.2 within two standard errors expected (31 is five standard deviations below), 15.3 within half of one."""
    normal = families.Normal()
    theta, kept = normal.natural(0.0, 1.0), []
    for seed in range(40):
        found = estimation_risk_bootstrap(normal, theta, 50, PNSettings(n_bootstrap=500, seed=seed))
        kept.append(abs(found.ed - 0.0221783522) / found.se)
    assert 31 <= np.sum(np.array(kept) < 2.0) <= 40
    assert np.sum(np.array(kept) < 0.5) <= 28  # an error too large by 2.5 would have 31 there


EXACT = [
    ("Exponential", [], {"rate": 2.0}, 20), ("Normal", [], {"mean": 1.0, "sd": 0.3}, 20),
    ("MultivariateNormal", [2], {"mean": [0.0, 1.0], "cov": [[1.0, 0.5], [0.5, 2.0]]}, 50),
    ("InverseGaussian", [], {"mean": 1.0, "shape": 2.0}, 30),
    ("Bernoulli", [], {"prob": 0.2}, 100), ("Poisson", [], {"rate": 0.5}, 100),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "usual", "n"), EXACT, ids=[row[0] for row in EXACT])
def test_families_of_known_risk(name: str, make: list[Any], usual: dict[str, Any], n: int) -> None:
    family = getattr(families, name)(*make)
    theta = family.natural(**usual)
    found = estimation_risk_bootstrap(family, theta, n, FEW)
    exact = exact_risk(family, theta, n)
    within(found.ed, exact, found.se)
    assert found.se < 0.05 * exact
    within(estimation_risk_bootstrap(family, theta, 2 * n, FEW).ed, exact_risk(family, theta, 2 * n), found.se)


OTHERS = [
    ("Gamma", [], {"shape": 0.7, "scale": 2.0}), ("Beta", [], {"alpha": 0.6, "beta": 3.0}), ("VonMises", [], {"kappa": 1.5, "mu": 0.4}),
    ("Binomial", [5], {"prob": 0.3}), ("NegativeBinomial", [2.5], {"prob": 0.3}), ("Geometric", [], {"prob": 0.3}),
    ("Multinomial", [3], {"probs": [0.5, 0.3, 0.2]}),
    ("LogLinear", [(2, 3), ((0,), (1,))], {"probs": np.outer([0.4, 0.6], [0.2, 0.3, 0.5])}),
    ("Ising", [4, ((0, 1), (1, 2), (2, 3), (3, 0))], {"fields": [0.1, -0.2, 0.3, 0.0], "couplings": [0.4, 0.4, -0.3, 0.2]}),
    ("PolynomialExponential", [4, RealLine()], {"theta": [0.0, 1.0, 0.0, -0.25]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "usual"), OTHERS, ids=[row[0] for row in OTHERS])
def test_families_by_their_expansion(name: str, make: list[Any], usual: dict[str, Any]) -> None:
    """a / n + b / n^2 at n = 400, with room for the next order, (b / a)^2 / n^2 of the first as a geometric series would have it."""
    family = getattr(families, name)(*make)
    theta = family.natural(**usual)
    n, b = 400, family.cumulants(theta).b
    a = 0.5 * family.p
    found = estimation_risk_bootstrap(family, theta, n, PNSettings(n_bootstrap=1000))
    assert abs(found.ed - (a / n + b / n**2)) < 4.0 * found.se + 3.0 * a / n * (b / a / n) ** 2
    assert found.variance_ratio > 5.0


@pytest.mark.parametrize(
    ("name", "make", "usual"), [*OTHERS, *[row[:3] for row in EXACT]], ids=[row[0] for row in OTHERS] + [row[0] for row in EXACT]
)
def test_refits_are_fits(name: str, make: list[Any], usual: dict[str, Any]) -> None:
    family = getattr(families, name)(*make)
    theta = family.natural(**usual)
    x = np.asarray(family.simulate(theta, 80 * 12, np.random.default_rng(3))).reshape(12 * 80, -1)
    means = family.evaluate(x).reshape(12, 80, -1).mean(axis=1)
    thetas, psis, reasons = refitted(family, theta, means)
    assert not reasons
    for mean, found, psi in zip(means, thetas, psis, strict=True):
        best = family.fit_mean(mean)
        assert_allclose(found, best, rtol=1e-7, atol=1e-8)
        assert psi == pytest.approx(family.log_partition(best), rel=1e-9, abs=1e-9)


def test_refits_in_other_statistics() -> None:
    for family, usual in AFFINE:
        theta = family.natural(**usual)
        turn = np.eye(family.p) + 0.3 * np.tri(family.p, k=-1)
        moved = family.affine(turn, np.ones(family.p))
        one = estimation_risk_bootstrap(family, theta, 100, PNSettings(n_bootstrap=200))
        other = estimation_risk_bootstrap(moved, np.linalg.solve(turn.T, theta), 100, PNSettings(n_bootstrap=200))
        assert other.ed == pytest.approx(one.ed, rel=1e-6)


def test_resampled_data_have_their_own_risk() -> None:
    """A normal model of Laplace data: the second-order sandwich at the data's own moments, n = 1000."""
    x = np.random.default_rng(4).laplace(size=1000)
    result = pn_criterion(families.Normal(), x)
    found = estimation_risk_bootstrap(families.Normal(), settings=FEW, data=x)
    sandwich = result.risk_sandwich
    assert abs(found.ed - sandwich.risk(1000)) < 4.0 * found.se + 0.02 * sandwich.risk(1000)
    assert abs(found.ed - result.risk_model.risk(1000)) > 10.0 * found.se


def test_failures_are_counted_and_the_risk_is_conditional() -> None:
    """Poisson of rate 1 at n = 3: no estimate with probability e^-3; the exact risk conditional on existence is known."""
    poisson = families.Poisson()
    theta = poisson.natural(1.0)
    found = estimation_risk_bootstrap(poisson, theta, 3, PNSettings(n_bootstrap=40_000))
    assert found.reasons == {"the maximum likelihood estimate does not exist": found.n_failed}
    within(found.n_failed / 40_000, math.exp(-3.0), math.sqrt(math.exp(-3.0) / 40_000))
    within(found.ed, exact_risk(poisson, theta, 3), found.se)
    within(found.ed_plain, exact_risk(poisson, theta, 3), found.se_plain)


def test_the_control_variate_of_failures() -> None:
    """Without their share of Q the risk of the Poisson law above would be off: the mutation must show."""
    rng = np.random.default_rng(0)
    k = rng.poisson(3.0, 40_000)
    d = np.where(k > 0, -np.log(np.maximum(k, 1) / 3.0) + k / 3.0 - 1.0, 0.0)
    q = 0.5 * (k / 3.0 - 1.0) ** 2
    failed = dict.fromkeys(np.flatnonzero(k == 0).tolist(), "none")
    exact = exact_risk(families.Poisson(), families.Poisson().natural(1.0), 3)
    found = summarised(Replicates(d, q, 1.0 / 6.0, failed))
    within(found.ed, exact, found.se)
    naive = 1.0 / 6.0 + float(np.mean((d - q)[k > 0]))
    assert abs(naive - exact) > 10.0 * found.se


def test_tables_without_an_estimate() -> None:
    """Every refit of a sparse Ising model is failed exactly where a linear program finds its mean on the edge."""
    ising = families.Ising(3, ((0, 1), (1, 2)))
    theta = ising.natural([0.5, -0.2, 0.3], [0.8, -0.3])
    x = ising.simulate(theta, 20 * 150, np.random.default_rng(5))
    means = ising.evaluate(x).reshape(150, 20, -1).mean(axis=1)
    _, _, reasons = refitted(ising, theta, means)
    points, on_edge = ising.evaluate(ising.support.points()), set()
    for k, mean in enumerate(means):
        try:
            check_inside(points, mean, ising.names or ())
        except DataError:
            on_edge.add(k)
    assert set(reasons) == on_edge
    assert 10 < len(on_edge) < 140


def test_a_bootstrap_of_failures_alone() -> None:
    with pytest.raises(ConvergenceError, match=r"5 of 5 refits of the bootstrap failed: {'none': 5}"):
        summarised(Replicates(np.zeros(5), np.zeros(5), 0.1, dict.fromkeys(range(5), "none")))


# Regressions


def logit_design() -> tuple[np.ndarray, np.ndarray]:
    """n = 150 of the tables."""
    z = (np.arange(150) + 0.5) / 150
    return np.column_stack([np.ones(150), 2.0 * z - 1.0, np.cos(3.0 * np.pi * z)]), np.array([-0.4, 1.0, 0.5])


def canonical(design: np.ndarray, params: np.ndarray, logit: bool, response: np.ndarray | None = None) -> CanonicalRefits:
    ones = np.ones(len(design))
    return CanonicalRefits(design, 0.0 * ones, ones, ones, ones if response is None else response, params, logit)


def test_the_logit_design() -> None:
    """Total less p/2: .06539 +- .0014 by an independent Monte Carlo with control variate; sd of D - Q .28 against 1.34 of D there."""
    design, params = logit_design()
    replicates = canonical(design, params, True).simulated(20_000, np.random.default_rng(2))
    found = summarised(replicates)
    within(found.ed - 1.5, 0.06539, math.hypot(found.se, 0.0014))
    assert np.std(replicates.divergence - replicates.quadratic) == pytest.approx(0.28, rel=0.15)  # of fourth powers: it moves by a tenth
    assert np.std(replicates.divergence) == pytest.approx(1.34, rel=0.05)
    assert found.variance_ratio == pytest.approx(23.0, rel=0.35)
    four = summarised(canonical(np.tile(design, (4, 1)), params, True).simulated(20_000, np.random.default_rng(3)))
    within(four.ed - 1.5, 0.01544, math.hypot(four.se, 0.00097))


def test_the_poisson_design() -> None:
    """b = .0512359 in the tables, with the next order of the same design four times taken out of sight."""
    t = np.linspace(-1.0, 1.0, 60)
    design, params = np.column_stack([np.ones(60), t, t**2 - 1.0 / 3.0]), np.array([0.3, 0.8, -0.5])
    found = summarised(canonical(np.tile(design, (8, 1)), params, False).simulated(20_000, np.random.default_rng(2)))
    within(found.ed - 1.5, 0.0512359 / 8.0, found.se)
    assert found.se < 0.003


@pytest.mark.parametrize("kind", ["logit", "poisson"])
def test_refits_are_statsmodels_fits(kind: str) -> None:
    design, params = logit_design()
    rng, logit = np.random.default_rng(6), kind == "logit"
    eta = design @ params
    y = (rng.random((5, 150)) < 1.0 / (1.0 + np.exp(-eta))).astype(float) if logit else rng.poisson(np.exp(eta), (5, 150)).astype(float)
    family = sm.families.Binomial() if logit else sm.families.Poisson()
    found = canonical(design, params, logit)._of(y @ design, 3.0)
    for k in range(5):
        fit = sm.GLM(y[k], design, family=family).fit(tol=1e-14)
        here, there = (family.link.inverse(design @ values) for values in (params, fit.params))
        if logit:
            divergence = np.sum(here * np.log(here / there) + (1.0 - here) * np.log((1.0 - here) / (1.0 - there)))
        else:
            divergence = np.sum(here * np.log(here / there) - here + there)
        assert found.divergence[k] == pytest.approx(divergence, rel=1e-8)


def test_separated_refits_are_named() -> None:
    """Twelve rows: many simulated responses are separated, which a linear program tells."""
    design = np.column_stack([np.ones(12), np.linspace(-1.0, 1.0, 12)])
    found = summarised(canonical(design, np.array([0.0, 2.5]), True).simulated(2000, np.random.default_rng(1)))
    assert 100 < found.n_failed < 1000
    assert found.reasons == {"the maximum likelihood estimate does not exist": found.n_failed}
    direct = np.random.default_rng(1).random((2000, 12)) < 1.0 / (1.0 + np.exp(-2.5 * np.linspace(-1.0, 1.0, 12)))
    low = np.array([np.where(row, np.inf, design[:, 1]).min() for row in direct])  # least x of a failure, and so on
    high = np.array([np.where(row, -np.inf, design[:, 1]).max() for row in direct])
    first = np.array([np.where(row, design[:, 1], np.inf).min() for row in direct])
    last = np.array([np.where(row, design[:, 1], -np.inf).max() for row in direct])
    assert found.n_failed == np.sum((high < first) | (last < low))


def test_wild_residuals_have_the_sandwich() -> None:
    """Second order of the sandwich of a logit and a Poisson design against refits, on data from a wrong model."""
    design, params = logit_design()
    design = np.tile(design, (4, 1))
    rng = np.random.default_rng(8)
    y = rng.negative_binomial(1.5, 1.5 / (1.5 + np.exp(design @ params + 0.5))).astype(float)
    fitted = sm.GLM(y, design, family=sm.families.Poisson()).fit()
    result = pn_criterion(fitted, settings=PNSettings(method="bootstrap", n_bootstrap=20_000))
    one, other = result.bootstrap or ()
    n = len(y)
    assert result.risk_sandwich.a > 1.5 * result.risk_model.a
    within(one.ed, result.verdict_model.ED2 or 0.0, one.se)
    within(other.ed, result.verdict_sandwich.ED2 or 0.0, other.se + 0.1 * abs(result.risk_sandwich.b) / n**2)
    assert abs(other.ed - result.risk_model.risk(n)) > 10.0 * other.se


def test_normal_regression() -> None:
    """Simulated: the exact total. Wild: the second order of its sandwich."""
    rng = np.random.default_rng(9)
    design = np.column_stack([np.ones(400), rng.standard_normal((400, 2))])
    y = design @ [1.0, 2.0, 3.0] + rng.laplace(size=400)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    exact, refits = NormalDesign(design, residual, ("a", "b", "c")), NormalRefits(design, residual)
    found = summarised(refits.simulated(20_000, rng))
    within(found.ed, exact.exact(), found.se)
    assert found.se < 0.01
    wild, terms = summarised(refits.resampled(20_000, rng)), exact.sandwich()
    assert abs(wild.ed - (0.5 * terms.trace + terms.b)) < 4.0 * wild.se + 0.2 * abs(terms.b)
    assert abs(wild.ed - exact.exact()) > 10.0 * wild.se


def test_a_link_that_is_not_canonical_has_a_second_order_by_bootstrap() -> None:
    """The probit: the expansion knows the first order only; refits by scoring equal statsmodels'; the risk tends to p / 2 with n."""
    design, params = logit_design()
    rng = np.random.default_rng(11)
    y = (rng.random(150) < 1.0 / (1.0 + np.exp(-design @ params))).astype(float)
    family = sm.families.Binomial(link=sm.families.links.Probit())
    fitted = sm.GLM(y, design, family=family).fit(tol=1e-13)
    result = pn_criterion(fitted, settings=PNSettings(method="bootstrap"))
    assert result.risk_model.b != result.risk_model.b  # NaN
    one, other = result.bootstrap or ()
    assert result.verdict_model.ED_used == one.ed
    assert 1.5 < 150.0 * one.ed < 1.7
    assert abs(150.0 * other.ed - result.risk_sandwich.a) < 0.3
    refits = from_statsmodels(fitted).refits
    drawn = (rng.random((4, 150)) < refits._mean(refits.params)).astype(float)  # type: ignore[union-attr,call-arg,operator]
    found, done = refits._scored(drawn, np.ones((4, 150)))  # type: ignore[union-attr]
    assert done.all()
    for row, values in zip(drawn, found, strict=True):
        assert_allclose(values, sm.GLM(row, design, family=family).fit(tol=1e-14, maxiter=200).params, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["Gamma", "InverseGaussian", "Gaussian", "Poisson"])
def test_other_links_and_families_tend_to_half_p(name: str) -> None:
    """Total risk of a true model with a known dispersion: p / 2, to within what 300 rows leave of the second order."""
    rng = np.random.default_rng(12)
    design = np.column_stack([np.ones(300), np.linspace(-1.0, 1.0, 300)])
    mean = np.exp(design @ [0.5, 0.4])
    y = {
        "Gamma": lambda: rng.gamma(4.0, mean / 4.0), "InverseGaussian": lambda: rng.wald(mean, 5.0),
        "Gaussian": lambda: rng.normal(mean, 0.2), "Poisson": lambda: rng.poisson((design @ [2.0, 0.4]) ** 2).astype(float),
    }[name]()  # fmt: skip
    links = sm.families.links
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*does not respect the domain"
        )  # of the square root, whose inverse is positive but for its sign
        family = getattr(sm.families, name)(link=links.Sqrt() if name == "Poisson" else links.Log())
        fitted = sm.GLM(y, design, family=family).fit()
    found = estimation_risk_bootstrap(fitted, settings=FEW)
    within(300.0 * found.ed, 1.0, 300.0 * found.se + 0.01)
    assert found.n_failed == 0
    assert found.variance_ratio > 10.0


def test_weights_that_no_data_belong_to() -> None:
    design, _ = logit_design()
    y = (np.random.default_rng(1).random(150) < 0.5).astype(float)
    fitted = sm.GLM(y, design, family=sm.families.Binomial(), var_weights=np.full(150, 2.0)).fit()
    with pytest.raises(DataError, match=r"var_weights\[0\] = 2"):
        estimation_risk_bootstrap(fitted)


# Any other model


def curved(**changes: Any) -> ParametricModel:
    """N(t, t^2), t > 0."""
    model = ParametricModel(
        logpdf=lambda x, t: -0.5 * ((x - t[0]) / t[0]) ** 2 - math.log(t[0]) - 0.5 * math.log(2.0 * math.pi),
        score=lambda x, t: ((x - t[0]) / t[0] ** 2 + (x - t[0]) ** 2 / t[0] ** 3 - 1.0 / t[0])[:, None],
        hessian=lambda x, t: (-4.0 * (x - t[0]) / t[0] ** 3 - 3.0 * (x - t[0]) ** 2 / t[0] ** 4)[:, None, None],
        simulate=lambda t, n, rng: rng.normal(t[0], t[0], n),
        fit=lambda x: np.array([0.5 * (math.sqrt(np.mean(x) ** 2 + 4.0 * np.mean(x**2)) - np.mean(x))]),
        kl=lambda a, b: 0.5 * (a[0] ** 2 / b[0] ** 2 + (a[0] - b[0]) ** 2 / b[0] ** 2 - 1.0) + math.log(b[0] / a[0]),
        support=RealLine(),
        names=("t",),
    )
    return dataclasses.replace(model, **changes)


def test_a_curved_model() -> None:
    """At t = 1: a = 1/2, b = 545/324; at n = 50 .010711 +- .000038 by an independent Monte Carlo."""
    found = estimation_risk_bootstrap(curved(), [1.0], 50, PNSettings(n_bootstrap=20_000))
    within(found.ed, 0.010711, math.hypot(found.se, 0.000038))
    large = estimation_risk_bootstrap(curved(), [1.0], 400, PNSettings(n_bootstrap=20_000))
    within(400.0**2 * (large.ed - 0.5 / 400), 545.0 / 324.0, 400.0**2 * large.se + 0.2)  # the next order is about b^2 / (a n)
    by_nodes = estimation_risk_bootstrap(curved(kl=None), [1.0], 50, FEW)
    assert by_nodes.ed == pytest.approx(estimation_risk_bootstrap(curved(), [1.0], 50, FEW).ed, rel=1e-9)
    by_draws = estimation_risk_bootstrap(curved(kl=None, support=None), [1.0], 50, FEW)
    within(by_draws.ed, 0.010711, by_draws.se)
    assert by_draws.se > 1.3 * by_nodes.se  # with what the common draws have of their own


def test_a_curved_model_on_data() -> None:
    x = np.random.default_rng(5).normal(1.0, 1.0, 80)
    result = pn_criterion(curved(), x, settings=PNSettings(method="bootstrap"))
    assert result.risk_model.a == 0.5
    assert "first_order_only" in result.flags
    assert "information_observed" not in result.flags
    one, other = result.bootstrap or ()
    within(one.ed, 0.5 / 80 + 545.0 / 324.0 / 80**2, one.se + 0.0001)  # the law of D does not depend on t
    assert other.ed == estimation_risk_bootstrap(curved(), settings=PNSettings(), data=x).ed
    assert result.verdict.ED_used == other.ed
    assert result.influence.shares == tuple(sorted(result.influence.shares, reverse=True))
    observed = pn_criterion(curved(support=None), x)
    assert {"information_observed", "first_order_only"} <= set(observed.flags)
    assert "minus the mean Hessian of the data stands for it" in observed.summary()
    assert observed.verdict.n_required_2 is None


def test_first_order_of_a_family_written_as_a_model() -> None:
    """tr(I K J K) of an exponential law on gamma data is its sandwich's trace."""
    model = ParametricModel(
        logpdf=lambda x, t: np.log(t[0]) - t[0] * x, score=lambda x, t: (1.0 / t[0] - x)[:, None],
        hessian=lambda x, t: np.full((len(x), 1, 1), -(t[0] ** -2.0)), simulate=lambda t, n, rng: rng.exponential(1.0 / t[0], n),
        fit=lambda x: np.array([1.0 / np.mean(x)]), support=HalfLine(0.0),
    )  # fmt: skip
    x = np.random.default_rng(2).gamma(2.0, size=300)
    one, other = pn_criterion(model, x), pn_criterion(families.Exponential(), x)
    assert one.risk_sandwich.trace == pytest.approx(other.risk_sandwich.trace, rel=1e-9)
    assert one.influence.rows == other.influence.rows


def test_models_that_are_wrong() -> None:
    x = np.random.default_rng(5).normal(1.0, 1.0, 80)
    with pytest.raises(LikelihoodError, match=r"score of t is .* central differences give"):
        pn_criterion(curved(score=lambda x, t: (1.01 * (x - t[0]) / t[0] ** 2 + (x - t[0]) ** 2 / t[0] ** 3 - 1.0 / t[0])[:, None]), x)
    with pytest.raises(LikelihoodError, match=r"Hessian of t and t is"):
        pn_criterion(curved(hessian=lambda x, t: (-3.9 * (x - t[0]) - 3.0 * (x - t[0]) ** 2)[:, None, None]), x)
    with pytest.raises(LikelihoodError, match=r"score must have shape \(20, 1\), got \(20,\)"):
        pn_criterion(curved(score=lambda x, t: x), x)
    with pytest.raises(LikelihoodError, match=r"has the integral 2"):
        curved(logpdf=lambda x, t: -0.5 * ((x - t[0]) / t[0]) ** 2 - math.log(t[0]) + math.log(2.0 / math.sqrt(2.0 * math.pi))).information(
            np.array([1.0])
        )
    with pytest.raises(ConfigError, match="ParametricModel: fit must be a function, got 3"):
        curved(fit=3)
    with pytest.raises(ConfigError, match="support must be a support such as"):
        curved(support="line")
    with pytest.raises(DataError, match="observation 2"):
        pn_criterion(curved(support=HalfLine(0.0)), np.array([1.0, 2.0, -1.0]))
    with pytest.raises(ConfigError, match="takes no weights"):
        pn_criterion(curved(), x, weights=np.ones(80))
    failing = curved(fit=lambda x: (_ for _ in ()).throw(DataError("no estimate today")))
    with pytest.raises(ConvergenceError, match=r"no estimate today': 100"):
        estimation_risk_bootstrap(failing, [1.0], 50, PNSettings(n_bootstrap=100))


# The criterion


def test_the_bootstrap_alone_decides() -> None:
    """N(mu, s^2), n = 50: ED1 = C would be accepted at first order, n_required_2 = 55 rejects; so does the exact risk by refits."""
    x = np.random.default_rng(3).normal(size=60)
    result = pn_criterion(families.Normal(), x, robust=False, settings=PNSettings(method="bootstrap", n_bootstrap=20_000, seed=4))
    assert result.method == "bootstrap"
    assert result.seed == 4
    one, _ = result.bootstrap or ()
    within(one.ed, exact_risk(families.Normal(), families.Normal().natural(0.0, 1.0), 60), one.se)
    assert result.verdict.ED_used == one.ed
    assert result.verdict.accept
    small = pn_criterion(families.Normal(), x[:50], robust=False, settings=PNSettings(method="bootstrap", n_bootstrap=20_000))
    assert not small.verdict.accept
    assert "bootstrap risk of the model" in result.summary()
    assert "bootstrap risk of the sandwich" in result.summary()
    assert json.loads(json.dumps(result.to_dict()))["bootstrap"][0]["ed"] == one.ed
    assert pn_criterion(families.Normal(), x).to_dict()["bootstrap"] is None


def test_the_same_seed_gives_the_same_risk() -> None:
    x = np.random.default_rng(3).normal(size=60)
    one, two, other = (
        pn_criterion(families.Normal(), x, settings=PNSettings(method="bootstrap", n_bootstrap=200, seed=seed)).verdict.ED_used
        for seed in (1, 1, 2)
    )
    assert one == two != other


def test_existence_is_flagged() -> None:
    x = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    result = pn_criterion(families.Poisson(), x, settings=PNSettings(method="bootstrap"))
    assert "conditional_on_existence" in result.flags
    assert "its risk is conditional on existence" in result.summary()
    assert "refits failed: the maximum likelihood estimate does not exist" in result.summary()


def test_wrong_calls() -> None:
    normal = families.Normal()
    theta = normal.natural(0.0, 1.0)
    with pytest.raises(ConfigError, match="needs theta and n, or data to resample"):
        estimation_risk_bootstrap(normal, theta)
    with pytest.raises(ConfigError, match="leave both out"):
        estimation_risk_bootstrap(normal, theta, 50, data=[1.0, 2.0, 3.0])
    with pytest.raises(ConfigError, match="n must be an integer of at least 2"):
        estimation_risk_bootstrap(normal, theta, 1)
    with pytest.raises(DataTypeError, match="must be an ExponentialFamily, a ParametricModel or a fitted result, got 3"):
        estimation_risk_bootstrap(3, theta, 50)
    with pytest.raises(ConfigError, match="n_bootstrap must be an integer of at least 100, got 5"):
        PNSettings(n_bootstrap=5)
    fitted = sm.OLS(np.arange(9.0) ** 2, np.column_stack([np.ones(9), np.arange(9.0)])).fit()
    with pytest.raises(ConfigError, match="leave theta, n and data out"):
        estimation_risk_bootstrap(fitted, theta)
