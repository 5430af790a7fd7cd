"""Risks of true and wrong models, exact risks, and the simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.pn import (
    HalfLine,
    Integers,
    RealLine,
    TruthDensity,
    TruthNodes,
    TruthSample,
    exact_risk,
    families,
    kl_threshold,
    required_n,
    risk_expansion,
)
from tests.engines.pn.conftest import TABLES, made

TRUTHS: dict[str, TruthDensity] = {
    "exponential": TruthDensity(lambda x: -x, HalfLine(0.0)), "Laplace": TruthDensity(lambda x: -np.abs(x), RealLine()),
    "logistic": TruthDensity(stats.logistic.logpdf, RealLine()),
    "negative binomial": TruthDensity(lambda x: stats.nbinom.logpmf(x, 4, 4 / 6), Integers(0)),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLES["misspecified"]["rows"], ids=lambda row: f"{row['model']}-{row['truth']}")
def test_wrong_models(row: dict[str, Any]) -> None:
    found = risk_expansion(getattr(families, row["model"])(), TRUTHS[row["truth"]])
    for name in ("trace", "A1", "A2", "K4", "B", "b"):
        assert getattr(found, name) == pytest.approx(row[name], rel=TABLES["misspecified"]["tolerance"]), name
    assert found.optimism == pytest.approx(row["o"], abs=1e-6)
    assert not found.well_specified
    assert found.a == 0.5 * found.trace


@pytest.mark.parametrize("row", TABLES["exact"]["rows"], ids=lambda row: row["family"])
def test_exact_risks(row: dict[str, Any]) -> None:
    family, theta = made(row)
    for n, value in row["risks"].items():
        assert exact_risk(family, theta, int(n)) == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize(
    "row", [row for row in TABLES["exact"]["rows"] if "make" not in row], ids=lambda row: f"{row['family']}-{row['usual']}"
)
def test_the_expansion_is_the_limit_of_the_exact_risk(row: dict[str, Any]) -> None:
    family, theta = made(row)
    risk = risk_expansion(family, None, theta)
    gaps = [abs(n**2 * (exact_risk(family, theta, n) - risk.a / n) - risk.b) for n in (1000, 2000, 4000)]
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.05)  # what is left falls as 1 / n
    assert gaps[1] / gaps[2] == pytest.approx(2.0, rel=0.05)


def test_the_expansion_of_the_inverse_gaussian_and_the_normal_in_more_dimensions() -> None:
    inverse = families.InverseGaussian()
    for family, theta in (
        (inverse, inverse.natural(1.0, 2.0)),
        (families.MultivariateNormal(3), families.MultivariateNormal(3).natural(np.zeros(3), np.eye(3))),
    ):
        risk = risk_expansion(family, None, theta)
        gaps = [abs(n**2 * (exact_risk(family, theta, n) - risk.a / n) - risk.b) for n in (2000, 4000)]
        assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.05)


def test_smallest_n_by_search() -> None:
    for row in TABLES["normal"]["rows"]:
        family = families.MultivariateNormal(row["d"])
        theta = family.natural(np.zeros(row["d"]), np.eye(row["d"]))
        for level, (_, second, exact) in row["n"].items():
            assert exact_risk(family, theta, exact) <= float(level) < exact_risk(family, theta, exact - 1)
            assert abs(second - exact) <= 1


def test_the_other_direction_of_the_divergence_has_another_second_order() -> None:
    """KL[plug-in | best] of a multinomial has b = (sum 1/p - 1) / 12; ours is not that."""
    probs = np.array([0.5, 0.3, 0.15, 0.05])
    family = families.Multinomial(4)
    found = risk_expansion(family, None, family.natural(probs)).b
    assert found == pytest.approx((5.0 * np.sum(1.0 / probs) - 23.0) / 12.0, rel=1e-10)
    assert abs(found - (np.sum(1.0 / probs) - 1.0) / 12.0) > 5.0


def test_stackloss() -> None:
    sm = pytest.importorskip("statsmodels.api")
    x = sm.datasets.stackloss.load_pandas().data.to_numpy(dtype=float)
    found = risk_expansion(families.MultivariateNormal(4), TruthSample(x))
    for name, value in TABLES["stackloss"]["row"].items():
        assert getattr(found, {"o": "optimism"}.get(name, name)) == pytest.approx(value, rel=TABLES["stackloss"]["tolerance"]), name
    assert found.shares is not None
    assert found.shares.sum() == pytest.approx(found.trace, rel=1e-12)


def test_truths_agree() -> None:
    """The same law as a density, as nodes and as weighted data."""
    family = families.Normal()
    x = np.linspace(-8.0, 9.0, 4001)
    weights = np.exp(stats.logistic.logpdf(x, loc=0.2, scale=0.3))
    nodes = risk_expansion(family, TruthNodes(family.evaluate(x[:, None]), weights))
    sample = risk_expansion(family, TruthSample(x, weights))
    density = risk_expansion(family, TruthDensity(lambda y: stats.logistic.logpdf(y, loc=0.2, scale=0.3), RealLine()))
    for name in ("trace", "A1", "A2", "K4", "B"):
        assert getattr(nodes, name) == pytest.approx(getattr(sample, name), rel=1e-10)
        assert getattr(nodes, name) == pytest.approx(getattr(density, name), rel=1e-5)  # the grid's ends are at 30 scales: e^-29
    assert sample.se_a > 0.0
    assert nodes.se_a == density.se_a == 0.0


@pytest.mark.parametrize("n", [100, 200])
def test_simulated_risk_of_a_normal_model_under_exponential_truth(n: int) -> None:
    """The mean divergence over simulated data sets within 4 of its errors of ED, the next order bounded by its own size at both n."""
    rng = np.random.default_rng(n)
    x = rng.exponential(size=(40_000, n))
    mean, variance = x.mean(axis=1), x.var(axis=1)
    loss = 0.5 * (np.log(variance) + (1.0 + (mean - 1.0) ** 2) / variance - 1.0)
    risk = risk_expansion(families.Normal(), TRUTHS["exponential"])
    published = {100: 0.026422, 200: 0.012704}[n]  # independent simulation, errors 8.6e-5 and 5.5e-5
    error = loss.std() / 200.0
    assert abs(loss.mean() - published) < 4.0 * np.hypot(error, {100: 8.6e-5, 200: 5.5e-5}[n])
    assert abs(loss.mean() - risk.risk(n)) < abs(loss.mean() - risk.risk(n, 1))


@pytest.mark.slow
def test_jackknife_error_of_the_trace() -> None:
    """Over 200 samples of a t law with 9 degrees of freedom the stated error of a covers at 2 errors in most, not in all."""
    rng = np.random.default_rng(4)
    family = families.Normal()
    truth = risk_expansion(family, TruthDensity(lambda y: stats.t.logpdf(y, 9), RealLine())).a
    found = [risk_expansion(family, TruthSample(rng.standard_t(9, 400))) for _ in range(200)]
    inside = np.mean([abs(one.a - truth) < 2.0 * one.se_a for one in found])
    assert 0.6 < inside < 0.98  # a heavy tail's sample kurtosis is low, and its error with it: optimistic, as the documentation says


def test_affine_statistics_have_the_same_risk() -> None:
    normal = families.Normal()
    x = np.random.default_rng(2).gamma(2.0, size=60)
    one = risk_expansion(normal, TruthSample(x))
    other = risk_expansion(normal, TruthSample(100.0 * x - 7.0))
    for name in ("a", "A1", "A2", "K4", "B", "b", "optimism"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)


def test_required_n_from_a_truth_before_there_are_data() -> None:
    risk = risk_expansion(families.Normal(), TRUTHS["Laplace"])
    assert required_n(risk.a, risk.b, kl_threshold(0.05)) == 92  # derived for the decision study: 1.75, 197/24, .02


def test_refused() -> None:
    normal = families.Normal()
    with pytest.raises(ConfigError, match="needs theta"):
        risk_expansion(normal, None)
    with pytest.raises(ConfigError, match="leave it out"):
        risk_expansion(normal, TruthSample([1.0, 2.0, 4.0]), [0.0, -1.0])
    with pytest.raises(ConfigError, match="must be a TruthSample"):
        risk_expansion(normal, [1.0, 2.0])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a function and a support"):
        TruthDensity(3, RealLine())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="outside the family's support"):
        risk_expansion(families.Gamma(), TruthDensity(stats.norm.logpdf, RealLine()))
    with pytest.raises(ConfigError, match="no exact risk is known for Gamma"):
        exact_risk(families.Gamma(), families.Gamma().natural(1.0, 1.0), 10)
    with pytest.raises(DataError, match="infinite at n = 3: at least 4"):
        exact_risk(normal, normal.natural(0.0, 1.0), 3)
    risk = risk_expansion(normal, None, normal.natural(0.0, 1.0))
    with pytest.raises(ConfigError, match="n must be a positive number"):
        risk.risk(0)
    with pytest.raises(ConfigError, match="order must be"):
        risk.risk(10, 3)
