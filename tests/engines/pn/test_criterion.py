"""The criterion on fitted models, its verdicts, summaries, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from sciinf.core.errors import ConfigError, ConvergenceError, DataError, DataTypeError
from sciinf.engines.pn import (
    ExponentialFamily,
    PNSettings,
    TruthSample,
    adapters,
    families,
    from_scipy,
    pn_criterion,
    risk_expansion,
    verdict,
)
from sciinf.engines.pn.glm import GeneralisedDesign, NormalDesign
from sciinf.engines.pn.moments import Contractions
from sciinf.engines.pn.risk import RiskExpansion, expansion_of
from sciinf.engines.pn.summary import FLAGS
from sciinf.engines.pn.verdict import Threshold, judged
from tests.engines.pn.conftest import TABLES

sm = pytest.importorskip("statsmodels.api")

ROWS = {row["data"]: row for row in TABLES["regressions"]["rows"]}


def fitted(name: str) -> Any:
    """The fit of a set that comes with statsmodels."""
    loaded = getattr(sm.datasets, name).load_pandas()
    if name == "fair":
        x = sm.add_constant(loaded.data[["rate_marriage", "age", "yrs_married", "children", "religious", "educ"]])
        return sm.Logit((loaded.data["affairs"] > 0).astype(float), x).fit(disp=0)
    y, x = loaded.endog, sm.add_constant(loaded.exog)
    if name == "spector":
        return sm.Logit(y, x).fit(disp=0)
    if name == "cpunish":
        return sm.GLM(y, x, family=sm.families.Poisson()).fit()
    if name == "star98":
        return sm.GLM(y, x, family=sm.families.Binomial()).fit()
    if name == "randhie":
        return sm.Poisson(y[:2000], x[:2000]).fit(disp=0)
    return sm.OLS(y, x).fit()


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_regressions(name: str) -> None:
    row, result = ROWS[name], pn_criterion(fitted(name))
    assert (result.n, result.p) == (row["n"], row["p"])
    assert result.risk_sandwich.trace == pytest.approx(row["trace"], abs=5.1e-7)
    digits = {"A1": (result.risk_model.A1, 5.1e-6), "A2": (result.risk_model.A2, 5.1e-6), "K4": (result.risk_model.K4, 5.1e-6)}
    digits |= {"b": (result.risk_model.b / result.n, 5.1e-6), "b_sandwich": (result.risk_sandwich.b / result.n, 5.1e-7)}
    digits |= {"ED1": (result.verdict_model.ED1, 5.1e-8), "ED2": (result.verdict_model.ED2 or math.nan, 5.1e-8)}
    digits["ED2_sandwich"] = (result.verdict_sandwich.ED2 or math.nan, 5.1e-8)
    for key, (value, tolerance) in digits.items():
        if key in row:
            assert value == pytest.approx(row[key], abs=tolerance), key
    if "exact" in row:
        exact = pn_criterion(fitted(name), settings=PNSettings(method="exact"))
        assert exact.verdict_model.ED_total == pytest.approx(row["exact"], abs=5.1e-8)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_verdicts_at_the_default_threshold() -> None:
    """Only `fair` passes both ways; `randhie` as a true model, and not with its overdispersion."""
    found = {name: pn_criterion(fitted(name)) for name in ROWS}
    assert {name for name, one in found.items() if one.verdict_sandwich.accept} == {"fair"}
    assert {name for name, one in found.items() if one.verdict_model.accept} == {"fair", "randhie"}


def test_designs_by_formula() -> None:
    rows = {row["name"]: row for row in TABLES["designs"]["rows"]}
    t = np.linspace(-1.0, 1.0, 60)
    x = np.column_stack([np.ones(60), t, t**2 - 1.0 / 3.0])
    mu = np.exp(x @ [0.3, 0.8, -0.5])
    z = (np.arange(150) + 0.5) / 150.0
    w = np.column_stack([np.ones(150), 2.0 * z - 1.0, np.cos(3.0 * math.pi * z)])
    pi = special.expit(w @ [-0.4, 1.0, 0.5])
    v = pi * (1.0 - pi)
    designs = {
        "Poisson": GeneralisedDesign(x, mu, mu, mu, np.zeros(60), ("a", "b", "c")),
        "logit": GeneralisedDesign(w, v, v * (1.0 - 2.0 * pi), v * (1.0 - 6.0 * v), np.zeros(150), ("a", "b", "c")),
    }
    for name, design in designs.items():
        found = design.model()
        for key in ("A1", "A2", "K4", "b"):
            assert getattr(found, key) == pytest.approx(rows[name][key], abs=5.1e-8), (name, key)


def test_a_design_is_a_family_of_totals() -> None:
    """A Poisson regression on a constant alone is the Poisson family: n times its per-observation risk."""
    y = np.random.default_rng(1).poisson(2.5, 80).astype(float)
    regression = pn_criterion(sm.GLM(y, np.ones((80, 1)), family=sm.families.Poisson()).fit())
    family = pn_criterion(families.Poisson(), y)
    for one, other in ((regression.risk_model, family.risk_model), (regression.risk_sandwich, family.risk_sandwich)):
        assert_allclose([one.a, one.b, one.optimism], [other.a, other.b, other.optimism], rtol=1e-8)
    assert regression.information_criteria.tic2 == pytest.approx(family.information_criteria.tic2, rel=1e-10)


def test_normal_regression_on_a_constant_is_the_normal_family() -> None:
    y = np.random.default_rng(2).gamma(2.0, size=50)
    regression, family = pn_criterion(sm.OLS(y, np.ones((50, 1))).fit()), pn_criterion(families.Normal(), y)
    for one, other in ((regression.risk_model, family.risk_model), (regression.risk_sandwich, family.risk_sandwich)):
        for name in ("trace", "b", "optimism"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9), name
    exact = PNSettings(method="exact")
    both = [
        pn_criterion(model, *data, settings=exact).verdict_model.ED_used
        for model, data in ((sm.OLS(y, np.ones((50, 1))).fit(), ()), (families.Normal(), (y,)))
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-12)


@pytest.mark.parametrize("row", TABLES["totals"]["rows"], ids=lambda row: f"q={row['q']}")
def test_exact_totals(row: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    design = NormalDesign(rng.standard_normal((200, row["q"])), rng.standard_normal(200), tuple(map(str, range(row["q"]))))
    assert design.exact() == pytest.approx(row["total"], abs=1e-9)
    q, terms = row["q"], design.model()
    assert terms.b * 200 == pytest.approx((9.0 * q * q + 30.0 * q + 22.0) / 12.0, rel=1e-12)


def test_grouped_binomial_has_the_total_of_its_trials() -> None:
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(40), rng.standard_normal(40)])
    trials = rng.integers(2, 9, 40)
    successes = rng.binomial(trials, special.expit(x @ [0.2, 0.6]))
    grouped = sm.GLM(np.column_stack([successes, trials - successes]), x, family=sm.families.Binomial()).fit()
    ones = np.concatenate([[1.0] * s + [0.0] * (t - s) for s, t in zip(successes, trials, strict=True)])
    single = sm.GLM(ones, np.repeat(x, trials, axis=0), family=sm.families.Binomial()).fit()
    by_row, by_trial, apart = pn_criterion(grouped), pn_criterion(grouped, settings=PNSettings(unit="trial")), pn_criterion(single)
    assert (by_row.n, by_trial.n, apart.n) == (40, int(trials.sum()), int(trials.sum()))
    assert by_row.verdict_model.ED_total == pytest.approx(apart.verdict_model.ED_total, rel=1e-9)
    assert pytest.approx(apart.verdict_model.ED2, rel=1e-9) == by_trial.verdict_model.ED2


def test_frequency_weights_are_repetitions() -> None:
    rng = np.random.default_rng(4)
    x, counts = np.column_stack([np.ones(30), rng.standard_normal(30)]), rng.integers(1, 4, 30)
    y = rng.poisson(np.exp(x @ [0.5, 0.3])).astype(float)
    weighted = pn_criterion(sm.GLM(y, x, family=sm.families.Poisson(), freq_weights=counts).fit())
    repeated = pn_criterion(sm.GLM(np.repeat(y, counts), np.repeat(x, counts, axis=0), family=sm.families.Poisson()).fit())
    assert weighted.n == repeated.n == counts.sum()
    assert weighted.risk_sandwich.b == pytest.approx(repeated.risk_sandwich.b, rel=1e-8)


@pytest.mark.filterwarnings("ignore:.*does not respect the domain")
@pytest.mark.parametrize("family", ["Gamma", "InverseGaussian"])
def test_the_scale_of_the_linear_predictor_does_not_matter(family: str) -> None:
    """A true model's sandwich has a trace near p, whatever statsmodels calls the canonical link."""
    rng = np.random.default_rng(5)
    x = np.column_stack([np.ones(4000), rng.random((4000, 2))])
    eta = x @ [1.0, 0.5, 0.3]
    y = rng.gamma(3.0, 1.0 / (3.0 * eta)) if family == "Gamma" else rng.wald(1.0 / np.sqrt(eta), 3.0)
    result = pn_criterion(sm.GLM(y, x, family=getattr(sm.families, family)()).fit())
    assert abs(result.risk_sandwich.trace - 3.0) < 4.0 * 2.0 * result.risk_sandwich.se_a
    assert "dispersion_fixed" in result.flags


@pytest.mark.filterwarnings("ignore:.*does not respect the domain")
def test_other_links_are_first_order_only() -> None:
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(3000), rng.random(3000)])
    y = rng.poisson((1.0 + x @ [0.5, 1.0]) ** 2).astype(float)
    result = pn_criterion(sm.GLM(y, x, family=sm.families.Poisson(sm.families.links.Sqrt())).fit())
    assert result.flags[0] == "first_order_only"
    assert result.verdict.n_required_2 is None
    assert result.verdict.ED2 is None
    assert result.risk_sandwich.trace == pytest.approx(2.0, abs=0.25)  # the model is true: 2, with the scatter of 3,000 rows
    assert "Only the first order" in result.summary()


def risk(a: float, b: float, se_a: float = 0.0) -> RiskExpansion:
    return RiskExpansion(1, np.zeros(1), 2.0 * a, a, 0.0, 0.0, 0.0, 0.0, b, 0.0, se_a, 0.0, "closed", False)


def test_the_verdicts_rules() -> None:
    level = Threshold(0.15, "pinsker", 0.18)
    early, flags = judged(risk(304.8, 544145.0), 2000, level)
    assert (pytest.approx(0.1524), pytest.approx(0.28843625)) == (early.ED1, early.ED2)
    assert early.ED_used == early.ED2
    assert (early.accept, early.reliable, early.n_required_2) == (False, False, 2781)
    assert "expansion_unreliable" in flags
    before, _ = judged(risk(304.8, 544145.0), 2780, level)
    assert not before.accept
    assert pytest.approx(0.18004878, abs=5e-9) == before.ED2
    after, flags = judged(risk(304.8, 544145.0), 2781, level)
    assert after.accept
    assert "expansion_unreliable" in flags


def test_a_negative_second_order_does_not_accept_early() -> None:
    verdict, flags = judged(risk(1.0, -20.0), 45, Threshold(0.05, "pinsker", 0.02))
    assert verdict.reliable
    assert pytest.approx(0.01234568, abs=5e-9) == verdict.ED2
    assert (verdict.n_required_1, verdict.n_required_2, verdict.accept) == (50, 50, False)
    assert "no_second_order_root" in flags


def test_a_known_risk_alone_decides() -> None:
    level = Threshold(0.05, "pinsker", 0.02)
    assert judged(risk(304.8, 544145.0), 2000, level, known=(0.01, 0.0))[0].accept
    assert not judged(risk(0.01, 0.0), 2000, level, known=(0.03, 0.0))[0].accept
    assert "near_threshold" in judged(risk(1.0, 0.0), 2000, level, known=(0.019, 0.001))[1]


def test_near_the_threshold_and_influential_rows() -> None:
    x = np.random.default_rng(1).normal(size=120)
    x[7] = 9.0
    result = pn_criterion(families.Normal(), x)
    assert "influential_rows" in result.flags
    assert result.influence.rows[0] == 7
    assert result.influence.shares[0] > 0.25
    assert "near_threshold" in judged(risk(1.0, 0.0, se_a=0.1), 52, Threshold(0.05, "pinsker", 0.02))[1]


def test_summary_says_everything() -> None:
    result = pn_criterion(fitted("spector"))
    text = result.summary()
    for part in (
        "n = 32 (rows), p = 4",
        "delta = 0.05, bound 'pinsker', C = 0.02",
        "model ",
        "sandwich ",
        "AIC 33.779",
        "TIC2",
        "reject",
        "says nothing of how far",
    ):
        assert part in text, part
    for flag in result.flags:
        assert FLAGS[flag] in text
    content = json.loads(json.dumps(result.to_dict()))
    assert content["accept"] is False
    assert content["sandwich"]["ED2"] == result.verdict_sandwich.ED2
    frame = result.to_frame()
    assert list(frame.index) == ["model", "sandwich"]
    assert frame.loc["model", "n_required_1"] == 100


def test_information_criteria() -> None:
    """AICc of the normal law is TIC2 with the model's optimism, 6; of the exponential law it is not: 1 in place of 2."""
    x = np.random.default_rng(7).normal(size=5000)
    found = pn_criterion(families.Normal(), x)
    criteria = found.information_criteria
    fit = pn_criterion(sm.OLS(x, np.ones((5000, 1))).fit()).information_criteria
    assert criteria.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert criteria.aic == pytest.approx(-2.0 * criteria.log_likelihood + 4.0, rel=1e-15)
    assert criteria.aicc is not None
    assert criteria.aicc - criteria.aic == pytest.approx(2.0 * found.risk_model.optimism / 5000, rel=2e-3)
    assert pn_criterion(families.Exponential(), np.abs(x)).risk_model.optimism == pytest.approx(1.0, rel=1e-9)
    assert pn_criterion(families.Normal(), x[:3]).information_criteria.aicc is None


def test_robust_or_not() -> None:
    x = stats.expon.ppf((np.arange(60) + 0.5) / 60.0)  # a true normal model needs 55; this one more
    robust, plain = pn_criterion(families.Normal(), x), pn_criterion(families.Normal(), x, robust=False)
    assert robust.verdict == robust.verdict_sandwich == plain.verdict_sandwich
    assert plain.verdict == plain.verdict_model == robust.verdict_model
    assert not robust.verdict.accept
    assert plain.verdict.accept
    assert robust.verdict.n_required_2 > plain.verdict.n_required_2  # type: ignore[operator]


def scipy_cases() -> list[tuple[str, dict[str, Any], np.ndarray]]:
    rng = np.random.default_rng(9)
    x, counts = rng.gamma(2.0, size=300), rng.poisson(2.0, 300).astype(float)
    a, _, scale = stats.gamma.fit(x, floc=0)
    mu, _, shape = stats.invgauss.fit(x, floc=0)
    y = x[:200].reshape(100, 2)
    beta, capped = rng.beta(2.0, 3.0, 300), np.minimum(counts, 3.0).astype(int)
    one, two, _, _ = stats.beta.fit(beta, floc=0, fscale=1)
    return [
        ("norm", dict(zip(("loc", "scale"), stats.norm.fit(x), strict=True)), x),
        ("expon", {"scale": x.mean()}, x), ("gamma", {"a": a, "scale": scale}, x), ("invgauss", {"mu": mu, "scale": shape}, x),
        ("multivariate_normal", {"mean": y.mean(axis=0), "cov": np.cov(y.T, bias=True)}, y), ("beta", {"a": one, "b": two}, beta),
        ("poisson", {"mu": counts.mean()}, counts), ("geom", {"p": 1.0 / (1.0 + counts.mean())}, counts + 1.0),
        ("nbinom", {"n": 3.0, "p": 3.0 / (3.0 + counts.mean())}, counts), ("binom", {"n": 20, "p": counts.mean() / 20.0}, counts),
        ("bernoulli", {"p": float(np.mean(counts > 2))}, (counts > 2).astype(float)),
        ("multinomial", {"n": 1, "p": np.bincount(capped) / 300.0}, np.eye(4)[capped]),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "data"), scipy_cases(), ids=lambda value: value if isinstance(value, str) else "")
def test_scipys_laws(name: str, params: dict[str, Any], data: np.ndarray) -> None:
    family, theta, points = from_scipy(name, params, data)
    law = getattr(stats, name)
    expected = law.logpmf(data, **params) if hasattr(law, "logpmf") else law.logpdf(data, **params)
    assert_allclose(family.log_density(points, theta), expected, rtol=1e-4, atol=1e-4)  # scipy's own estimates are good to about 1e-5
    assert pn_criterion(family, points).p == family.p


def test_scipys_laws_refused() -> None:
    x = np.random.default_rng(9).gamma(2.0, size=300) + 1.0
    for name, params, data, message in (
        ("gamma", {"a": 2.0, "loc": 1.0}, x, "no loc in its family"), ("gamma", {"scale": 1.0}, x, "needs the parameter 'a'"),
        ("beta", {"a": 1.0, "b": 2.0, "scale": 2.0}, x, "no scale in its family"), ("gama", {}, x, "did you mean 'gamma'"),
        ("gamma", {"a": 2.0, "shape": 1.0}, x, "no parameter 'shape'"),
        ("multinomial", {"n": 2, "p": [0.5, 0.5]}, np.eye(2), "single draws"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            from_scipy(name, params, data)
    with pytest.raises(DataError, match="not the maximum-likelihood estimate"):
        from_scipy("norm", {"loc": 0.0, "scale": 1.0}, x)


def test_unsupported_results() -> None:
    rng = np.random.default_rng(10)
    x = np.column_stack([np.ones(100), rng.random(100)])
    y = x @ [1.0, 2.0] + rng.standard_normal(100)
    z = (y > np.median(y)).astype(float)
    for result, message in (
        (sm.Probit(z, x).fit(disp=0), r"Probit \(ProbitResults\)"),
        (sm.WLS(y, x).fit(), "WLS"),
        (sm.RLM(y, x).fit(), "RLM"),
    ):
        with pytest.raises(DataTypeError, match=f"{message}.*GLM, the discrete Logit and Poisson, and OLS"):
            pn_criterion(result)
    with pytest.raises(DataError, match="fitted with a penalty"):
        pn_criterion(sm.Logit(z, x).fit_regularized(disp=0, alpha=1.0))
    with pytest.raises(DataError, match="quasi-likelihood"):
        pn_criterion(sm.GLM(z, x, family=sm.families.Poisson()).fit(scale="X2"))
    with pytest.raises(DataError, match=r"freq_weights count rows and must be integers; freq_weights\[0\] = 0\.5"):
        pn_criterion(sm.GLM(z, x, family=sm.families.Binomial(), freq_weights=np.full(100, 0.5)).fit())
    with pytest.raises(DataTypeError, match="a GLM of family Tweedie"):
        pn_criterion(sm.GLM(np.abs(y), x, family=sm.families.Tweedie(var_power=1.5)).fit())


@pytest.mark.filterwarnings("ignore::Warning")
def test_fits_that_are_no_maximum() -> None:
    x = np.column_stack([np.ones(20), np.linspace(-1.0, 1.0, 20)])
    separated = sm.GLM((x[:, 1] > 0.0).astype(float), x, family=sm.families.Binomial()).fit()
    with pytest.raises(DataError, match=r"does not exist: .*x1 separates the classes"):
        pn_criterion(separated)
    y = np.random.default_rng(0).poisson(np.exp(x[:, 1])).astype(float)
    with pytest.raises(ConvergenceError, match="has not converged"):
        pn_criterion(sm.Poisson(y, x).fit(disp=0, maxiter=1))
    with pytest.raises(ConvergenceError, match="has not converged"):
        pn_criterion(sm.GLM(y, x, family=sm.families.Poisson()).fit(maxiter=1))
    constrained = sm.GLM(y, x, family=sm.families.Poisson()).fit_constrained(([[0.0, 1.0]], [0.5]))
    with pytest.raises(DataError, match="fitted under constraints, which this risk does not know: fit without them"):
        pn_criterion(constrained)
    with pytest.raises(DataError, match="n = 4 rows, q = 2 columns"):
        pn_criterion(sm.OLS(y[:4], x[:4]).fit())
    twice = np.column_stack([x, x[:, 1]])
    with pytest.raises(DataError, match=r"singular.*x1.*x2 does not vary"):
        pn_criterion(sm.GLM(y, twice, family=sm.families.Poisson()).fit())


def test_wrong_calls() -> None:
    x = np.random.default_rng(0).normal(size=30)
    with pytest.raises(ConfigError, match="needs data"):
        pn_criterion(families.Normal())
    with pytest.raises(ConfigError, match="leave data and weights out"):
        pn_criterion(sm.OLS(x, np.ones((30, 1))).fit(), x)
    with pytest.raises(DataTypeError, match="must be an ExponentialFamily, a ParametricModel or a fitted"):
        pn_criterion("normal", x)
    with pytest.raises(ConfigError, match="robust must be True or False"):
        pn_criterion(families.Normal(), x, robust=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no exact risk is known for Gamma"):
        pn_criterion(families.Gamma(), np.abs(x), settings=PNSettings(method="exact"))
    with pytest.raises(ConfigError, match="leave unit out"):
        pn_criterion(families.Normal(), x, settings=PNSettings(unit="trial"))
    with pytest.raises(DataError, match=r"weights\[0\] = 0\.51 is no integer"):
        pn_criterion(families.Normal(), x, weights=np.full(30, 0.51))
    for wrong in ({"method": "exat"}, {"unit": "rows"}, {"order": 3}, {"cumulants": 1}):
        with pytest.raises(ConfigError, match="pn:"):
            PNSettings(**wrong)  # type: ignore[arg-type]


def spector_b() -> bool:
    return pn_criterion(fitted("spector")).risk_model.b / 32.0 == pytest.approx(ROWS["spector"]["b"], abs=5.1e-6)


def spector_b_sandwich() -> bool:
    return pn_criterion(fitted("spector")).risk_sandwich.b / 32.0 == pytest.approx(ROWS["spector"]["b_sandwich"], abs=5.1e-7)


def spector_trace() -> bool:
    return pn_criterion(fitted("spector")).risk_sandwich.trace == pytest.approx(ROWS["spector"]["trace"], abs=5.1e-7)


def stackloss_trace() -> bool:
    x = sm.datasets.stackloss.load_pandas().data.to_numpy(dtype=float)
    found = risk_expansion(families.MultivariateNormal(4), TruthSample(x))
    return found.trace == pytest.approx(TABLES["stackloss"]["row"]["trace"], rel=1e-8)


def normal_divergence() -> bool:
    normal = families.Normal()
    found = normal.kl(normal.natural(0.0, 1.0), normal.natural(0.3, 2.0))
    return found == pytest.approx(np.log(2.0) + (1.0 + 0.09) / 8.0 - 0.5, rel=1e-12)


def unreliable_uses_the_larger() -> bool:
    terms = Contractions(2.0 * 304.8, 0.0, 544145.0 / 0.75, 0.0, 0.0)
    found, _ = judged(expansion_of(np.zeros(1), terms, "closed", well_specified=True), 2000, Threshold(0.15, "pinsker", 0.18))
    return found.ED_used == pytest.approx(0.28843625, abs=1e-8)


def nine_in_place_of_ten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Contractions, "b", property(lambda c: -c.B / 3.0 + 3.0 * (c.A1 - c.K4) / 8.0 + (0.75 - 1.0 / 24.0) * c.A2))


def divisor_less_one(patch: pytest.MonkeyPatch) -> None:
    right = families.MultivariateNormal.fit_statistics

    def wrong(self: Any, statistics: Any, share: Any, near: Any = None) -> Any:
        usual = self.usual(right(self, statistics, share, near))
        return self.natural(usual["mean"], usual["cov"] * len(share) / (len(share) - 1.0))

    patch.setattr(families.MultivariateNormal, "fit_statistics", wrong)


def no_sandwich(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GeneralisedDesign, "sandwich", lambda self, kept=None: self.model())


def third_cumulant_flipped(patch: pytest.MonkeyPatch) -> None:
    right = adapters._bernoulli
    patch.setattr(adapters, "_bernoulli", lambda mu: (right(mu)[0], -right(mu)[1], right(mu)[2]))


def divergence_reversed(patch: pytest.MonkeyPatch) -> None:
    right = ExponentialFamily.kl
    patch.setattr(ExponentialFamily, "kl", lambda self, a, b: right(self, b, a))


def first_order_where_unreliable(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verdict, "max", lambda first, second: first, raising=False)


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (spector_b, nine_in_place_of_ten), (stackloss_trace, divisor_less_one), (spector_trace, no_sandwich),
        (spector_b_sandwich, third_cumulant_flipped), (normal_divergence, divergence_reversed),
        (unreliable_uses_the_larger, first_order_where_unreliable),
    ],
)  # fmt: skip
def test_controls_that_must_fail(check: Any, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault, put into the code, is seen by a check that the code as it is passes."""
    assert check()
    fault(monkeypatch)
    assert not check()
