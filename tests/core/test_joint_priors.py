"""Joint priors: normalised, drawn by their cube maps, the same when compiled, and honest about what they refuse."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.joint_priors import JOINT_PRIORS, Dirichlet, Joint, JointPrior, MultivariateNormal, OrderedUniform
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal, Uniform
from sciinf.numerics.jit import LIKELIHOOD, kernel

INF = math.inf
COVARIANCE = np.array([[4.0, 1.0, -0.5], [1.0, 1.0, 0.3], [-0.5, 0.3, 0.5]])
MEAN = np.array([1.0, -2.0, 0.5])


def wide(k: int) -> MultivariateNormal:
    """k parameters whose scales differ by ten orders of magnitude."""
    factor = np.tril(np.random.default_rng(k).normal(size=(k, k))) + 3.0 * np.eye(k)
    scale = 10.0 ** np.linspace(-5, 5, k)
    return MultivariateNormal(np.linspace(-1, 1, k) * scale, (factor @ factor.T) * np.outer(scale, scale))


JOINTS: dict[str, JointPrior] = {
    "normal, 3": MultivariateNormal(MEAN, COVARIANCE),
    "normal, 1": MultivariateNormal([2.0], [[9.0]]),
    "normal, 12": wide(12),
    "dirichlet, flat": Dirichlet([1.0, 1.0, 1.0]),
    "dirichlet, mixed": Dirichlet([0.7, 2.0, 5.0, 1.3]),
    "dirichlet, two": Dirichlet([2.0, 3.0]),
    "ordered, 3": OrderedUniform(-1.0, 4.0, 3),
    "ordered, 1": OrderedUniform(0.0, 2.0, 1),
    "ordered, 8": OrderedUniform(10.0, 20.0, 8),
}
every_joint = pytest.mark.parametrize("name", JOINTS)


def in_a_set(prior: JointPrior) -> PriorSet:
    return PriorSet(
        [Parameter("first", Normal(0, 1)), Joint([f"x{i}" for i in range(prior.n_dim)], prior), Parameter("last", Uniform(0, 1))]
    )


def oracle(prior: JointPrior, x: np.ndarray) -> np.ndarray:
    """scipy's density of the rows of x."""
    if isinstance(prior, MultivariateNormal):
        return np.atleast_1d(stats.multivariate_normal(prior.centre, prior.covariance).logpdf(x))
    if isinstance(prior, Dirichlet):
        return np.array([stats.dirichlet(prior.weights).logpdf(row) for row in x])
    assert isinstance(prior, OrderedUniform)
    return np.full(len(x), math.log(math.factorial(prior.size)) - prior.size * math.log(prior.high - prior.low))


@every_joint
def test_density_equals_scipy(name: str) -> None:
    prior = JOINTS[name]
    x = prior.sample(np.random.default_rng(1), 50)
    if name == "normal, 12":  # scipy's eigendecomposition refuses scales that differ by 1e10: it is asked in units of the scales
        assert isinstance(prior, MultivariateNormal)
        scale = np.sqrt(np.diag(prior.covariance))
        unit = MultivariateNormal(prior.centre / scale, prior.covariance / np.outer(scale, scale))
        truth = oracle(unit, x / scale) - np.sum(np.log(scale))
    else:
        truth = oracle(prior, x)
    assert np.all(np.abs(prior.logpdf(x) - truth) < 1e-12 * np.maximum(1.0, np.abs(truth)))


@every_joint
def test_compiled_equals_stock(name: str) -> None:
    prior = JOINTS[name]
    priors = in_a_set(prior)
    form = priors.compiled()
    assert form is not None
    unit = np.random.default_rng(2).random((40, priors.n_dim))
    unit[0], unit[1] = 1e-12, 1 - 1e-12
    thetas = priors.transform(unit)
    for u, theta in zip(unit, thetas, strict=True):
        found = np.empty(priors.n_dim)
        assert form.transform(u, form.floats, form.ints, found) == 0.0
        assert np.all(np.abs(found - theta) <= 1e-12 * np.maximum(1.0, np.abs(theta)))
        expected = float(priors.log_prior(theta))
        assert form.log_prior(theta, form.floats, form.ints, np.empty(0)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@every_joint
def test_cube_map_s_jacobian_is_the_density(name: str) -> None:
    """ln |d theta / d u| = -ln density, by central differences: the map and the density are of one prior, normalisation included."""
    prior = JOINTS[name]
    rng, step = np.random.default_rng(3), 1e-5
    for unit in 0.1 + 0.8 * rng.random((10, prior.n_dim)):
        shifts = step * np.eye(prior.n_dim)
        jacobian = (prior.transform(unit + shifts) - prior.transform(unit - shifts)) / (2 * step)
        scale = np.abs(np.diag(jacobian))
        _, log_volume = np.linalg.slogdet(jacobian / scale)
        log_volume += np.sum(np.log(scale))
        assert log_volume == pytest.approx(-float(prior.logpdf(prior.transform(unit))), abs=1e-6)


@pytest.mark.parametrize("name", [name for name, prior in JOINTS.items() if prior.n_dim <= 3])
def test_is_normalised(name: str) -> None:
    """Importance sampling from a broader normal or from the unit cube: the mean weight is 1 within 5 standard errors.

    In more dimensions the weights are too uneven; there the Jacobian above holds the normalisation.
    """
    prior = JOINTS[name]
    rng, n = np.random.default_rng(4), 200_000
    if isinstance(prior, MultivariateNormal):
        spread = 1.3 * prior.covariance
        x = rng.multivariate_normal(prior.centre, spread, size=n)
        log_weights = prior.logpdf(x) - stats.multivariate_normal(prior.centre, spread).logpdf(x)
    else:
        low, high = prior.supports[0]
        x = low + (high - low) * rng.random((n, prior.n_dim))
        log_weights = prior.logpdf(x) + prior.n_dim * math.log(high - low)
    weights = np.exp(log_weights)
    error = weights.std() / math.sqrt(n)
    assert abs(weights.mean() - 1.0) < 5 * error + 1e-12
    assert error < 0.02


def moments(prior: JointPrior) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and covariance."""
    if isinstance(prior, MultivariateNormal):
        return prior.centre, np.asarray(prior.covariance)
    if isinstance(prior, Dirichlet):
        law = stats.dirichlet(prior.weights)
        return law.mean()[:-1], law.cov()[:-1, :-1]
    assert isinstance(prior, OrderedUniform)
    k, width = prior.size, prior.high - prior.low
    i = np.arange(1, k + 1)  # uniform order statistics: i / (k + 1), min(i, j) (k + 1 - max(i, j)) / ((k + 1)^2 (k + 2))
    low, high = np.minimum.outer(i, i), np.maximum.outer(i, i)
    return prior.low + width * i / (k + 1), width**2 * low * (k + 1 - high) / ((k + 1) ** 2 * (k + 2))


@every_joint
def test_draws_have_the_moments(name: str) -> None:
    """Means and covariances of 40,000 draws within 5 standard errors from the run."""
    prior = JOINTS[name]
    x = prior.sample(np.random.default_rng(6), 40_000)
    mean, covariance = moments(prior)
    assert np.all(np.abs(x.mean(axis=0) - mean) < 5 * x.std(axis=0) / math.sqrt(len(x)))
    centred = x - mean
    products = centred[:, :, None] * centred[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 5 * products.std(axis=0) / math.sqrt(len(x)))


def test_dirichlet_marginals_are_beta_in_any_order() -> None:
    """Stick-breaking treats the fractions one after the other; each marginal, the last included, is beta(a_j, a - a_j)."""
    prior = Dirichlet([0.7, 2.0, 5.0, 1.3])
    x = prior.sample(np.random.default_rng(7), 5000)
    fractions = np.column_stack([x, 1.0 - x.sum(axis=1)])
    for column, a in zip(fractions.T, prior.weights, strict=True):
        assert stats.kstest(column, stats.beta(a, prior.weights.sum() - a).cdf).pvalue > 1e-4
    assert stats.kstest(fractions[:, 0], stats.beta(1.0, 8.0).cdf).pvalue < 1e-4  # the wrong marginal is seen


@every_joint
def test_one_point_and_a_batch_agree_to_the_bit(name: str) -> None:
    prior = JOINTS[name]
    unit = np.random.default_rng(8).random((37, prior.n_dim))
    x = prior.transform(unit)
    assert x.shape == unit.shape
    assert np.array_equal(x, [prior.transform(row) for row in unit])
    assert np.array_equal(prior.logpdf(x), [prior.logpdf(row) for row in x])
    assert np.array_equal(prior.logpdf(x[5:9]), prior.logpdf(x)[5:9])
    assert np.shape(prior.logpdf(x[0])) == ()


OUTSIDE: list[tuple[JointPrior, list[float], float]] = [
    (JOINTS["dirichlet, flat"], [-0.1, 0.5], -INF),
    (JOINTS["dirichlet, flat"], [0.6, 0.5], -INF),
    (JOINTS["dirichlet, mixed"], [0.6, 0.5, 0.1], -INF),
    (JOINTS["dirichlet, mixed"], [0.1, 0.0, 0.1], -INF),
    (JOINTS["dirichlet, mixed"], [0.0, 0.2, 0.1], INF),  # concentration 0.7 < 1: the density diverges there
    (JOINTS["dirichlet, mixed"], [0.1, math.nan, 0.1], math.nan),
    (JOINTS["dirichlet, flat"], [math.nan, 0.1], math.nan),
    (JOINTS["ordered, 3"], [0.0, 2.0, 1.0], -INF),
    (JOINTS["ordered, 3"], [-1.1, 2.0, 3.0], -INF),
    (JOINTS["ordered, 3"], [0.0, 2.0, 4.1], -INF),
    (JOINTS["ordered, 3"], [-1.0, -1.0, 4.0], math.log(6 / 125)),
    (JOINTS["ordered, 3"], [0.0, math.nan, 1.0], math.nan),
    (JOINTS["normal, 3"], [0.0, math.nan, 1.0], math.nan),
    (JOINTS["normal, 3"], [INF, 0.0, 1.0], -INF),
]


@pytest.mark.parametrize(("prior", "x", "expected"), OUTSIDE)
def test_outside_and_nan(prior: JointPrior, x: list[float], expected: float) -> None:
    values = [float(prior.logpdf(np.array(x)))]
    form = PriorSet([Joint([f"x{i}" for i in range(len(x))], prior)]).compiled()
    assert form is not None
    values.append(form.log_prior(np.array(x), form.floats, form.ints, np.empty(0)))
    for value in values:
        assert value == pytest.approx(expected, nan_ok=True)


def test_dirichlet_is_finite_where_rounding_leaves_nothing() -> None:
    """With small concentrations draws sit on the faces; every one has a density above -inf and the last fraction is never negative by
    more than rounding."""
    prior = Dirichlet([0.1, 0.1, 0.1])
    x = prior.sample(np.random.default_rng(9), 2000)
    assert np.all(prior.logpdf(x) > -INF)
    assert np.all(x.sum(axis=1) <= 1 + 4 * 2.0**-54)


@every_joint
def test_pickles_and_describes(name: str) -> None:
    prior = JOINTS[name]
    copy = pickle.loads(pickle.dumps(prior))
    unit = np.full(prior.n_dim, 0.3)
    assert np.array_equal(copy.transform(unit), prior.transform(unit))
    described = prior.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert sha256_of(copy.describe()) == sha256_of(described)
    again = JOINT_PRIORS[
        {"MultivariateNormal": "multivariate_normal", "Dirichlet": "dirichlet", "OrderedUniform": "ordered_uniform"}[type(prior).__name__]
    ]
    assert sha256_of(again(**{key: value for key, value in described.items() if key != "kind"}).describe()) == sha256_of(described)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultivariateNormal([0, 0], [[1, 0]]), r"covariance must have shape \(2, 2\), got \(1, 2\)"),
        (lambda: MultivariateNormal([0, math.nan], np.eye(2)), r"mean\[1\] = nan"),
        (
            lambda: MultivariateNormal([0, 0], [[1, 0.5], [0.4, 1]]),
            r"symmetric, got covariance\[0, 1\] = .*0.5.* and covariance\[1, 0\] = .*0.4",
        ),
        (lambda: MultivariateNormal([0, 0], [[1, 2], [2, 1]]), r"positive definite; its correlation has eigenvalue -1"),
        (lambda: MultivariateNormal([0, 0], [[1, 0], [0, 0]]), r"covariance\[1, 1\] = 0 must be a positive variance"),
        (lambda: MultivariateNormal([], np.empty((0, 0))), r"at least one value"),
        (lambda: MultivariateNormal([0, 0], [[5e-324, 0], [0, 1]]), r"positive definite; its correlation has eigenvalue 0"),
        (lambda: MultivariateNormal([0, 0], [[1, 1e308], [1e308, 1e-300]]), r"positive definite; its largest correlation is inf"),
        (lambda: MultivariateNormal([0, 0], [[1, 1], [1, 1]]), r"positive definite; its correlation has eigenvalue"),
        (lambda: Dirichlet([1e308, 1e308]), r"whose density float64 can normalise"),
        (lambda: OrderedUniform(0, 10**400, 2), r"high must be a real number that float64 can hold"),
        (lambda: Dirichlet([1.0]), r"at least 2 values, all > 0"),
        (lambda: Dirichlet([1.0, 0.0]), r"all > 0, got \[1.0, 0.0\]"),
        (lambda: OrderedUniform(1, 0, 2), r"low < high, got low=1.0, high=0.0"),
        (lambda: OrderedUniform(0, math.nan, 2), r"high=nan"),
        (lambda: OrderedUniform(0, 1, 0), r"size must be an integer of at least 1, got 0"),
        (lambda: OrderedUniform(0, 1, 2.5), r"got 2.5"),
        (lambda: Joint(["a"], OrderedUniform(0, 1, 2)), r"OrderedUniform has 2 parameters, got 1 names: a"),
        (lambda: Joint(["a"], Uniform(0, 1)), r"parameters a: prior must be a JointPrior such as MultivariateNormal, got Uniform"),
    ],
)
def test_refuses_with_keys_and_values(make: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joint("ab", OrderedUniform(0, 1, 2)), "sequence of names"),
        (lambda: Joint(["a", "a"], OrderedUniform(0, 1, 2)), "must differ"),
        (lambda: Joint(["a", "b c"], OrderedUniform(0, 1, 2)), "must match"),
        (lambda: Joint(["a", "b"], OrderedUniform(0, 1, 2), units=["Hz"]), "units must hold one text per name"),
        (lambda: Joint(["a", "b"], OrderedUniform(0, 1, 2), latex="ab"), "latex must hold one text per name"),
    ],
)
def test_a_member_s_names_and_labels(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@kernel(LIKELIHOOD)
def disc_transform(unit, floats, ints, x):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """A uniform disc of radius floats[0]."""
    radius = floats[0] * math.sqrt(unit[0])
    x[0], x[1] = radius * math.cos(2 * math.pi * unit[1]), radius * math.sin(2 * math.pi * unit[1])
    return 0.0


@kernel(LIKELIHOOD)
def disc_log_density(x, floats, ints, work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """1 / area inside."""
    return -math.log(math.pi * floats[0] ** 2) if x[0] ** 2 + x[1] ** 2 <= floats[0] ** 2 else -math.inf


@dataclass(frozen=True)
class Disc(JointPrior):
    """A joint prior of one's own, with kernels."""

    radius: float

    n_dim = 2

    @property
    def supports(self) -> tuple[tuple[float, float], ...]:
        return ((-self.radius, self.radius),) * 2

    def transform(self, unit: np.ndarray) -> np.ndarray:
        radius, angle = self.radius * np.sqrt(unit[..., 0]), 2 * np.pi * unit[..., 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.sum(x * x, axis=-1) <= self.radius**2, -math.log(math.pi * self.radius**2), -INF)

    def table(self) -> np.ndarray:
        return np.array([self.radius])

    def kernels(self) -> Any:
        return disc_transform, disc_log_density


@dataclass(frozen=True)
class PlainDisc(Disc):
    """The same without kernels."""

    def kernels(self) -> None:
        return None


def test_a_joint_prior_of_one_s_own_may_bring_kernels() -> None:
    """Two of them with different tables, beside built-in members."""
    priors = PriorSet(
        [Parameter("a", Normal(0, 1)), Joint(("x", "y"), Disc(2.0)), Joint(("p", "q"), Disc(0.5)), Parameter("b", Uniform(0, 1))]
    )
    form = priors.compiled()
    assert form is not None
    for unit in np.random.default_rng(10).random((20, 6)):
        theta = np.empty(6)
        form.transform(unit, form.floats, form.ints, theta)
        assert theta == pytest.approx(priors.transform(unit), rel=1e-12)
        theta[3] += 0.2
        assert form.log_prior(theta, form.floats, form.ints, np.empty(0)) == pytest.approx(float(priors.log_prior(theta)), rel=1e-12)
    assert PriorSet([Joint(("x", "y"), PlainDisc(2.0))]).compiled() is None
