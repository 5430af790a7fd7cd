"""Models and fits: estimates, errors, intervals and words against closed forms, scipy and each other."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.engines.pn import (
    ExponentialFamily,
    ExponentialFamilyModel,
    FiniteSet,
    PNSettings,
    RealLine,
    Spins,
    families,
    pn_criterion,
)
from sciinf.engines.pn.data import SufficientStatistics, counted
from sciinf.engines.pn.model import parameter_names

X = np.random.default_rng(20210518).normal(1.0, 2.0, 60)


@numba.njit
def spin_alone(x: np.ndarray, out: np.ndarray) -> None:
    for k in range(out.shape[0]):
        out[k] = x[k]


def test_a_normal_fit() -> None:
    """Mean and variance with divisor n; information n / s^2 and n / (2 s^4) turned into theta by the delta method."""
    fit = ExponentialFamilyModel(families.Normal(), X).fit()
    m, v, n = X.mean(), X.var(), len(X)
    assert_allclose(fit.params, [m / v, -0.5 / v], rtol=1e-12)
    turn = np.array([[1.0 / v, -m / v**2], [0.0, 0.5 / v**2]])  # of (m, v) into theta
    assert_allclose(fit.cov, turn @ np.diag([v / n, 2.0 * v**2 / n]) @ turn.T, rtol=1e-9)
    assert fit.log_likelihood == pytest.approx(stats.norm(m, math.sqrt(v)).logpdf(X).sum(), rel=1e-12)
    assert fit.nobs == n
    half = stats.norm.ppf(0.95) * fit.bse
    assert_allclose(fit.conf_int(0.1), np.column_stack([fit.params - half, fit.params + half]), rtol=1e-12)


def test_the_robust_error_of_a_poisson_fit() -> None:
    """theta = ln mean: model error 1 / sqrt(n mean), sandwich sd / (mean sqrt n)."""
    x = np.random.default_rng(1).negative_binomial(2.0, 0.4, 300)
    fit = ExponentialFamilyModel(families.Poisson(), x).fit()
    assert fit.params[0] == pytest.approx(math.log(x.mean()), rel=1e-12)
    assert fit.bse[0] == pytest.approx(1.0 / math.sqrt(300 * x.mean()), rel=1e-12)
    assert fit.bse_robust[0] == pytest.approx(x.std() / (x.mean() * math.sqrt(300)), rel=1e-12)


def test_counts_are_repeated_rows() -> None:
    counts = np.arange(60) % 4
    weighted, repeated = (
        ExponentialFamilyModel(families.Normal(), X, counts).fit(),
        ExponentialFamilyModel(families.Normal(), np.repeat(X, counts)).fit(),
    )
    assert weighted.nobs == repeated.nobs == counts.sum()
    for name in ("params", "bse", "bse_robust", "log_likelihood"):
        assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-11)
    one, other = weighted.model.sufficient(), repeated.model.sufficient()
    assert one.n == other.n
    assert_allclose(one.mean, other.mean, rtol=1e-12)


def test_the_criterion_from_a_fit() -> None:
    fit = ExponentialFamilyModel(families.Normal(), X).fit()
    found = fit.pn(delta=0.1, bound="tight", robust=False, settings=PNSettings(order=1))
    direct = pn_criterion(families.Normal(), X, delta=0.1, bound="tight", robust=False, settings=PNSettings(order=1))
    assert found.to_dict() == direct.to_dict()
    assert fit.pn().to_dict() != found.to_dict()


def test_in_words_and_as_a_frame() -> None:
    fit = ExponentialFamilyModel(families.Normal(), X).fit()
    text = str(fit)
    assert "Normal: n = 60, p = 2, ln L = " in text
    for part in ("theta_1", "x^2", "robust se", f"{fit.params[1]:.5g}", f"{fit.bse[0]:.4g}", "holds for a wrong one"):
        assert part in text
    frame = fit.to_frame()
    assert list(frame.index) == ["theta_1", "theta_2"]
    assert list(frame.columns) == ["statistic", "estimate", "se", "se_robust", "lower", "upper"]
    assert_allclose(frame["se_robust"], fit.bse_robust)
    assert_allclose(frame[["lower", "upper"]], fit.conf_int())


def test_names_of_parameters() -> None:
    """Those of statistics are none; those that a user gives are, where they may be."""
    assert parameter_names(families.Ising(2, ((0, 1),))) == ("theta_1", "theta_2", "theta_3")
    assert parameter_names(ExponentialFamily(spin_alone, 2, Spins(2), names=("field", "other"))) == ("field", "other")
    assert parameter_names(ExponentialFamily(spin_alone, 2, Spins(2), names=("a b", "other"))) == ("theta_1", "theta_2")
    assert parameter_names(families.Normal().affine(np.eye(2), np.zeros(2))) == ("theta_1", "theta_2")


def test_results_do_not_change() -> None:
    fit = ExponentialFamilyModel(families.Normal(), X).fit()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.params = np.zeros(2)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        fit.model.data[0] = 3.0


@pytest.mark.parametrize(
    ("family", "data", "weights", "error", "message"),
    [
        ("normal", X, None, DataTypeError, "must be an ExponentialFamily, got 'normal'"),
        (families.Normal(), [1.0, math.nan, math.inf], None, DataError, r"data\[1, 0\] = nan \(2 such values\)"),
        (families.Gamma(), [1.0, -2.0], None, DataError, "observation 1 is -2.0, outside numbers above 0"),
        (families.Normal(), [], None, DataError, "at least two observations are needed, got 0"),
        (families.Normal(), [1.0], None, DataError, "at least two observations are needed, got 1"),
        (families.Normal(), [1.0, 2.0], [1.0, 0.5], DataError, r"weights\[1\] = 0.5 is no integer"),
        (families.Normal(), [1.0, 2.0], [1.0, -1.0], DataError, r"weights\[1\] = -1"),
        (families.Normal(), [1.0, 2.0], [0.0, 0.0], DataError, "all weights are zero"),
        (families.Normal(), [1.0, 2.0], [1.0], DataError, "one entry per observation, 2, got 1"),
    ],
)
def test_refused_data(family: Any, data: Any, weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ExponentialFamilyModel(family, data, weights)


@pytest.mark.parametrize(
    ("family", "data", "message"),
    [
        (families.Normal(), [2.0, 2.0], "does not exist: all observations are 2"),
        (families.Bernoulli(), [1.0, 1.0], "does not exist"),
        (families.Multinomial(3), [0.0, 1.0, 1.0], "cell 2 is empty"),
        (families.Ising(2, ((0, 1),)), [[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], "edge of what they can be"),
        (
            ExponentialFamily(spin_alone, 2, FiniteSet([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])),
            [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]],
            "theta_1",
        ),
    ],
)
def test_refused_fits(family: Any, data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ExponentialFamilyModel(family, data).fit()


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, True, "0.05", math.nan])
def test_refused_intervals(alpha: Any) -> None:
    with pytest.raises(ConfigError, match=r"alpha must lie in \(0, 1\)"):
        ExponentialFamilyModel(families.Normal(), X).fit().conf_int(alpha)


def test_sufficient_statistics() -> None:
    """Sum of log h of a Poisson law: -sum ln x!."""
    found = SufficientStatistics.of(families.Poisson(), [0.0, 1.0, 4.0], [2, 1, 3])
    assert (found.n, found.mean[0]) == (6, pytest.approx(13.0 / 6.0))
    assert found.log_base == pytest.approx(-3.0 * math.log(24.0), rel=1e-13)
    other = SufficientStatistics.of(families.Geometric(), [0.0, 1.0, 4.0], [2, 1, 3])
    assert found.data == other.data != SufficientStatistics.of(families.Poisson(), [0.0, 1.0, 4.0], [2, 2, 3]).data
    assert counted(3, None)[0] == 3


@numba.njit
def never(x: np.ndarray) -> float:
    return -np.inf if x[0] > 0.5 else 0.0


def test_an_observation_that_cannot_occur() -> None:
    family = ExponentialFamily(spin_alone, 1, FiniteSet([0.0, 0.4, 1.0]), log_base=never)
    with pytest.raises(DataError, match="log h of observation 1 is -inf"):
        SufficientStatistics.of(family, [0.0, 1.0])


def test_a_fit_by_draws_alone() -> None:
    """22 spins without couplings, too many to list: theta = artanh of the mean, to the error of the draws."""
    theta = np.linspace(-0.6, 0.6, 22)
    rng = np.random.default_rng(4)
    x = np.where(rng.random((500, 22)) < 0.5 * (1.0 + np.tanh(theta)), 1.0, -1.0)
    family = ExponentialFamily(spin_alone, 22, Spins(22))
    fit = ExponentialFamilyModel(family, x).fit()
    exact = np.arctanh(x.mean(axis=0))
    error = 1.0 / np.sqrt((1.0 - x.mean(axis=0) ** 2) * 0.5 * 20_000)  # information of a spin; half of 20,000 draws count
    z = (fit.params - exact) / error
    assert np.abs(z).max() < 4.5
    assert z.std() > 0.2  # an error that is really there
    assert_allclose(fit.bse, 1.0 / np.sqrt(500 * (1.0 - x.mean(axis=0) ** 2)), rtol=0.05)
    assert "ln L" not in str(fit)
    with pytest.raises(DataError, match="no quadrature over 22 spins"):
        _ = fit.log_likelihood


def test_a_polynomial_fit_is_where_the_means_agree() -> None:
    quartic = families.PolynomialExponential(4, RealLine())
    x = quartic.simulate([0.0, 1.0, 0.0, -0.25], 300, np.random.default_rng(5))
    fit = ExponentialFamilyModel(quartic, x).fit()
    assert_allclose(quartic.mean(fit.params), [np.mean(x**k) for k in range(1, 5)], rtol=1e-8, atol=1e-8)
