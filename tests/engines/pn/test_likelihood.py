"""The likelihood with an exact log-partition function: values, kernels, box, whitening, capabilities, both samplers."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special, stats
from scipy.stats import qmc

import sciinf
from sciinf.core.engine import Engine, compiled_of, derived_of, domain_of, posterior_meta_of, simulator_of
from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.engines.pn import (
    Circle,
    ExponentialFamily,
    ExponentialFamilyLikelihood,
    ExponentialFamilyModel,
    FiniteSet,
    HalfLine,
    Interval,
    LikelihoodSettings,
    RealLine,
    families,
)
from sciinf.engines.pn.data import SufficientStatistics
from sciinf.engines.pn.partition import unique_rows
from sciinf.engines.pn.polynomial_kernels import log_partition_polynomial, polynomial_work

CYCLE = ((0, 1), (1, 2), (2, 3), (3, 0))
ISING = families.Ising(4, CYCLE)
ISING_THETA = np.array([0.1, -0.2, 0.3, 0.0, 0.4, 0.4, -0.3, 0.2])
QUARTIC = families.PolynomialExponential(4, RealLine())
QUARTIC_THETA = np.array([0.0, 1.0, 0.0, -0.25])
WHITENED = LikelihoodSettings(parametrise="whitened")


def engine_of(
    family: Any, theta: Any, n: int = 200, seed: int = 1, settings: LikelihoodSettings | None = None
) -> ExponentialFamilyLikelihood:
    x = family.simulate(np.asarray(theta), n, np.random.default_rng(seed))
    return ExponentialFamilyLikelihood(family, x, settings or LikelihoodSettings())


CLOSED: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "Normal": (families.Normal(), {"mean": 1.0, "sd": 2.0}, stats.norm(1.0, 2.0).logpdf),
    "Exponential": (families.Exponential(), {"rate": 1.7}, stats.expon(scale=1 / 1.7).logpdf),
    "Gamma": (families.Gamma(), {"shape": 2.3, "scale": 0.7}, stats.gamma(2.3, scale=0.7).logpdf),
    "InverseGaussian": (families.InverseGaussian(), {"mean": 1.5, "shape": 2.0}, stats.invgauss(0.75, scale=2.0).logpdf),
    "Beta": (families.Beta(), {"alpha": 2.0, "beta": 0.8}, stats.beta(2.0, 0.8).logpdf),
    "VonMises": (families.VonMises(), {"kappa": 2.5, "mu": 0.4}, stats.vonmises(2.5, 0.4).logpdf),
    "Poisson": (families.Poisson(), {"rate": 3.0}, stats.poisson(3.0).logpmf),
    "Bernoulli": (families.Bernoulli(), {"prob": 0.3}, stats.bernoulli(0.3).logpmf),
    "Binomial": (families.Binomial(9), {"prob": 0.3}, stats.binom(9, 0.3).logpmf),
    "Geometric": (families.Geometric(), {"prob": 0.35}, stats.geom(0.35, loc=-1).logpmf),
    "NegativeBinomial": (families.NegativeBinomial(2.5), {"prob": 0.4}, stats.nbinom(2.5, 0.4).logpmf),
    "Multinomial": (families.Multinomial(4), {"probs": [0.1, 0.2, 0.3, 0.4]}, lambda x: np.log(0.1 * (x + 1.0))),
    "MultivariateNormal": (
        families.MultivariateNormal(3), {"mean": [0.0, 1.0, -1.0], "cov": [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]},
        stats.multivariate_normal([0.0, 1.0, -1.0], [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]).logpdf,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_the_sum_of_scipys_log_densities(name: str) -> None:
    family, usual, log_density = CLOSED[name]
    theta = family.natural(**usual)
    x = np.asarray(family.simulate(theta, 50, np.random.default_rng(2)))
    engine = ExponentialFamilyLikelihood(family, x)
    assert engine.is_exact
    assert engine.log_likelihood(theta) == pytest.approx(float(np.sum(log_density(x))), rel=1e-12)


@pytest.mark.parametrize("name", CLOSED)
def test_the_compiled_form_is_the_families_own(name: str) -> None:
    """At 64 points of the box; the two differ in their arithmetic alone."""
    family, usual, _ = CLOSED[name]
    engine = engine_of(family, family.natural(**usual), 100)
    compiled = compiled_of(engine)
    assert compiled is not None
    place = engine.anchor
    assert place is not None
    points = place.low + (place.high - place.low) * qmc.Sobol(family.p, scramble=False).random(64)[1:]
    for theta in points:
        found = compiled(theta)
        if family.boundary(theta) is not None:
            assert found == -math.inf
            continue
        plain = engine.data.n * (theta @ engine.data.mean - family.log_partition(theta)) + engine.data.log_base
        assert found == pytest.approx(plain, rel=1e-12)
    assert not np.isnan(engine.log_likelihood_many(points)).any()


@pytest.mark.parametrize(
    ("theta", "support", "low", "high"),
    [
        ([0.0, 1.0, 0.0, -0.25], RealLine(), "-inf", "inf"),
        ([0.3, -0.5, 0.1, -0.1], RealLine(), "-inf", "inf"),
        ([1.0, 4.0, 0.3, -0.5, 0.02, -0.01], RealLine(), "-inf", "inf"),
        ([2.0, -5.0, 3.0], Interval(0.0, 1.0), "0", "1"),
        ([2.0, 1.0, -0.7], HalfLine(-1.0), "-1", "inf"),
        ([40.0, 300.0, -20.0], Interval(-1.0, 2.0), "-1", "2"),
    ],
)
def test_a_polynomials_partition_to_thirty_digits(theta: list[float], support: Any, low: str, high: str) -> None:
    """mpmath with 30 digits."""
    with mpmath.workdps(30):

        def density(x: Any) -> Any:
            return mpmath.exp(sum(mpmath.mpf(value) * x ** (k + 1) for k, value in enumerate(theta)))

        ends = [mpmath.mpf(low), *[mpmath.mpf(k) / 4 for k in range(-24, 25) if float(low) < k / 4 < float(high)], mpmath.mpf(high)]
        expected = float(mpmath.log(mpmath.quad(density, ends)))
    found = log_partition_polynomial(np.array(theta), float(low), float(high), np.empty(polynomial_work(len(theta))))
    assert found == pytest.approx(expected, rel=1e-14, abs=1e-14)
    assert families.PolynomialExponential(len(theta), support).log_partition(theta) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    "family",
    [
        QUARTIC,
        families.PolynomialExponential(2, RealLine()),
        families.PolynomialExponential(3, HalfLine(0.5)),
        families.PolynomialExponential(2, Interval(-1.0, 2.0)),
    ],
    ids=lambda family: f"{family.p} on {family.support}",
)
def test_a_polynomials_kernel_over_its_box(family: Any) -> None:
    """Against the adaptive quadrature at 60 points of the box: the accuracy is held where the prior goes, and not at the estimate alone."""
    theta = np.array([0.2, 0.8, 0.1, -0.5, 0.05, -0.03])[: family.p]
    theta[-1] = -abs(theta[-1])
    engine = engine_of(family, theta, 150)
    place = engine.anchor
    assert place is not None
    worst, compared = 0.0, 0
    for point in place.low + (place.high - place.low) * qmc.Sobol(family.p, scramble=False).random(64)[1:]:
        if family.boundary(point) is None:
            plain = 150 * (point @ engine.data.mean - family.log_partition(point))
            worst, compared = max(worst, abs(engine.log_likelihood(point) / plain - 1.0)), compared + 1
    assert compared > 40
    assert worst < 1e-12


def test_an_ising_model_is_the_sum_over_states() -> None:
    engine = engine_of(ISING, ISING_THETA)
    theta = ISING_THETA + 0.1
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=4)))
    energy = states @ theta[:4] + sum(theta[4 + k] * states[:, i] * states[:, j] for k, (i, j) in enumerate(CYCLE))
    expected = 200 * (theta @ engine.data.mean - math.log(np.exp(energy).sum()))
    assert engine.log_likelihood(theta) == pytest.approx(expected, rel=1e-13)


def test_equal_states_are_listed_once() -> None:
    """A table of 2 x 30 cells under independence has 60 rows; a sum of ten spins 11, weighted by binomial coefficients."""
    spins = np.array(list(itertools.product((-1.0, 1.0), repeat=10)))
    rows, log_weights = unique_rows(spins.sum(axis=1, keepdims=True), np.zeros(1024))
    assert_array_equal(rows[:, 0], np.arange(-10.0, 11.0, 2.0))
    assert_allclose(np.exp(log_weights), [math.comb(10, k) for k in range(11)], rtol=1e-13)


@pytest.mark.parametrize("name", ["Ising", "Quartic", "Gamma", "MultivariateNormal"])
@pytest.mark.parametrize("settings", [LikelihoodSettings(), WHITENED], ids=["natural", "whitened"])
def test_a_rows_bytes_do_not_depend_on_its_neighbours(name: str, settings: LikelihoodSettings) -> None:
    made = {"Ising": (ISING, ISING_THETA), "Quartic": (QUARTIC, QUARTIC_THETA)}
    family, theta = made[name] if name in made else (CLOSED[name][0], CLOSED[name][0].natural(**CLOSED[name][1]))
    engine = engine_of(family, theta, settings=settings)
    thetas = engine.default_priors().sample(np.random.default_rng(3), 40)
    thetas[5] = math.nan
    whole = engine.log_likelihood_many(thetas)
    assert_array_equal(whole, [engine.log_likelihood(row) for row in thetas])
    order = np.random.default_rng(4).permutation(40)
    assert_array_equal(engine.log_likelihood_many(thetas[order])[np.argsort(order)], whole)
    assert_array_equal(engine.log_likelihood_many(thetas[7:9]), whole[7:9])
    assert math.isnan(whole[5])
    assert np.isfinite(whole).sum() > 10


def test_outside_the_domain_and_what_is_no_number() -> None:
    gamma = engine_of(families.Gamma(), [1.0, -1.0])
    for theta in ([-1.0, -1.0], [-1.5, -1.0], [1.0, 0.0], [1.0, 2.0]):
        assert gamma.log_likelihood(np.array(theta)) == -math.inf
    for theta in ([math.nan, -1.0], [1.0, -math.inf], [math.inf, -1.0]):
        assert math.isnan(gamma.log_likelihood(np.array(theta)))
    normal = engine_of(families.MultivariateNormal(2), families.MultivariateNormal(2).natural([0.0, 0.0], np.eye(2)))
    assert normal.log_likelihood(np.array([0.0, 0.0, -0.5, 1.5, -0.5])) == -math.inf  # correlation beyond one
    problem = sciinf.Problem(gamma, gamma.default_priors())
    assert problem.log_likelihood(np.array([1.0, 2.0])) == -math.inf
    assert problem.counts.minus_inf == 1
    with pytest.raises(DataError, match=r"theta must be \(theta_1, theta_2\) of shape \(2,\), got shape \(3,\)"):
        gamma.log_likelihood(np.zeros(3))


def test_a_call_costs_the_same_at_any_n() -> None:
    """What the kernel reads and where it works is as long for a million observations as for a hundred."""
    for family, theta in ((ISING, ISING_THETA), (QUARTIC, QUARTIC_THETA), (families.Gamma(), np.array([1.0, -1.0]))):
        sizes = set()
        for n in (100, 1_000_000 if family is not QUARTIC else 10_000):
            engine = engine_of(family, theta, n)
            compiled = compiled_of(engine)
            assert compiled is not None
            assert compiled.ints[0] == n
            sizes.add((compiled.floats.size, compiled.ints.size, compiled.workspace_size))
        assert len(sizes) == 1


# ---------------------------------------------------------------- own statistics


@numba.njit
def sine_and_square(x: np.ndarray, out: np.ndarray) -> None:
    out[0] = np.sin(x[0])
    out[1] = x[0] * x[0]


def test_own_statistics_by_quadrature() -> None:
    """On a line without a compiled form; -inf where the density has no integral; scipy's quadrature beside it."""
    family = ExponentialFamily(sine_and_square, 2, RealLine(), names=("wave", "width"))
    engine = ExponentialFamilyLikelihood(family, np.random.default_rng(1).normal(0.3, 1.0, 80))
    assert engine.parameters == ("wave", "width")
    assert compiled_of(engine) is None
    theta = np.array([0.4, -0.6])
    psi = math.log(integrate.quad(lambda x: math.exp(0.4 * math.sin(x) - 0.6 * x * x), -20.0, 20.0, epsabs=0.0, epsrel=1e-13)[0])
    assert engine.log_likelihood(theta) == pytest.approx(80 * (theta @ engine.data.mean - psi), rel=1e-12)
    assert_array_equal(
        engine.log_likelihood_many(np.array([theta, [0.4, 0.1], [math.nan, -1.0]])), [engine.log_likelihood(theta), -math.inf, math.nan]
    )
    place = engine.anchor
    assert place is not None
    assert place.high[1] <= 0.0  # cut where the integral ends


def test_own_statistics_of_a_finite_support_are_compiled() -> None:
    @numba.njit
    def square(x: np.ndarray, out: np.ndarray) -> None:
        out[0] = x[0] * x[0]

    family = ExponentialFamily(square, 1, FiniteSet([-2.0, -1.0, 0.0, 1.0, 2.0]), names=("curve",))
    engine = ExponentialFamilyLikelihood(family, [-1.0, 0.0, 2.0, 1.0])
    compiled = compiled_of(engine)
    assert compiled is not None
    assert compiled(np.array([-0.3])) == pytest.approx(
        4 * (-0.3 * 1.5) - 4 * math.log(1.0 + 2.0 * math.exp(-0.3) + 2.0 * math.exp(-1.2)), rel=1e-13
    )


def test_own_statistics_on_the_circle() -> None:
    @numba.njit
    def doubled(x: np.ndarray, out: np.ndarray) -> None:
        out[0] = np.cos(2.0 * x[0])

    engine = ExponentialFamilyLikelihood(ExponentialFamily(doubled, 1, Circle()), np.linspace(-0.5, 0.4, 30))
    psi = math.log(2.0 * math.pi * special.i0(1.3))
    assert engine.log_likelihood(np.array([1.3])) == pytest.approx(30 * (1.3 * engine.data.mean[0] - psi), rel=1e-12)


# ---------------------------------------------------------------- box and parameters


def test_the_box() -> None:
    x = np.random.default_rng(8).standard_t(5, 400)
    fit = ExponentialFamilyModel(families.Normal(), x).fit()
    engine = fit.to_engine()
    supports = engine.default_priors().supports
    low, high = np.array(list(supports.values())).T
    assert_allclose([low[0], high[0]], fit.params[0] + np.array([-8.0, 8.0]) * fit.bse_robust[0], rtol=1e-12)
    assert_allclose(low[1], fit.params[1] - 8.0 * fit.bse_robust[1], rtol=1e-12)
    assert engine.default_priors().latex == (r"\theta_{1}", r"\theta_{2}")
    assert domain_of(engine) is None


@pytest.mark.parametrize(
    ("family", "theta", "low", "high"),
    [
        (families.Normal(), [0.0, -0.5], [None, None], [None, 0.0]),
        (families.Exponential(), [-1.0], [None], [0.0]),
        (families.Gamma(), [0.2, -1.0], [-1.0, None], [None, 0.0]),
        (families.InverseGaussian(), [-1.0, -1.0], [None, None], [0.0, 0.0]),
        (families.Beta(), [0.2, 0.1], [-1.0, -1.0], [None, None]),
        (families.Geometric(), [-0.5], [None], [0.0]),
        (QUARTIC, [0.0, 0.3, 0.0, -0.1], [None] * 4, [None, None, None, 0.0]),
    ],
)
def test_the_box_ends_with_the_domain(family: Any, theta: list[float], low: list[float | None], high: list[float | None]) -> None:
    engine = engine_of(family, theta, 12, seed=3)
    place = engine.anchor
    assert place is not None
    for ends, found in ((low, place.low), (high, place.high)):
        for end, value in zip(ends, found, strict=True):
            if end is not None:
                assert value == pytest.approx(end, abs=1e-12)
    for corner in (place.low, place.high):
        assert not math.isnan(engine.log_likelihood(corner))


def test_whitened_parameters() -> None:
    natural, whitened = (engine_of(QUARTIC, QUARTIC_THETA, 300, settings=settings) for settings in (LikelihoodSettings(), WHITENED))
    assert whitened.parameters == ("phi_1", "phi_2", "phi_3", "phi_4")
    phi = np.random.default_rng(1).normal(size=(20, 4))
    assert_allclose(whitened.log_likelihood_many(phi), natural.log_likelihood_many(whitened.natural(phi)), rtol=1e-13)
    step = 1e-3  # curvature -1 in each direction, none across: phi is standard normal to first order
    value = whitened.log_likelihood
    axes = np.eye(4) * step
    zero = np.zeros(4)
    for i in range(4):
        assert (value(axes[i]) - 2.0 * value(zero) + value(-axes[i])) / step**2 == pytest.approx(-1.0, abs=1e-2)
    cross = value(axes[0] + axes[1]) - value(axes[0] - axes[1]) - value(axes[1] - axes[0]) + value(-axes[0] - axes[1])
    assert cross / (4 * step**2) == pytest.approx(0.0, abs=1e-2)
    assert natural.fingerprint() != whitened.fingerprint()
    assert natural.comparison_key() == whitened.comparison_key()


def test_the_prior_of_whitened_parameters_is_the_box_of_theta() -> None:
    natural, whitened = (engine_of(QUARTIC, QUARTIC_THETA, 300, settings=settings) for settings in (LikelihoodSettings(), WHITENED))
    cube = np.random.default_rng(2).random((50, 4))
    phi = whitened.default_priors().transform(cube)
    assert_allclose(whitened.natural(phi), natural.default_priors().transform(cube), rtol=1e-10)
    place = whitened.anchor
    assert place is not None
    change = float(np.log(np.diag(place.root)).sum())
    assert_allclose(
        whitened.default_priors().log_prior(phi), natural.default_priors().log_prior(whitened.natural(phi)) + change, rtol=1e-12
    )
    supports = np.array(list(whitened.default_priors().supports.values()))
    assert np.all((phi > supports[:, 0]) & (phi < supports[:, 1]))
    assert whitened.default_priors().log_prior(supports[:, 1] + 1.0) == -math.inf
    assert math.isnan(whitened.default_priors().log_prior(np.array([math.nan, 0.0, 0.0, 0.0])))
    compiled = whitened.default_priors().compiled()
    assert compiled is not None
    box = whitened.default_priors().members[0].prior  # type: ignore[union-attr]
    transform, log_density = box.kernels()  # type: ignore[union-attr]
    out, none = np.empty(4), np.empty(0, dtype=np.int64)
    for row, expected in zip(cube, phi, strict=True):
        transform(row, box.table(), none, out)
        assert_allclose(out, expected, rtol=1e-13)
        assert log_density(out, box.table(), none, np.empty(0)) == box.log_density  # type: ignore[union-attr]
    assert log_density(supports[:, 1] + 1.0, box.table(), none, np.empty(0)) == -math.inf


# ---------------------------------------------------------------- capabilities


def test_capabilities() -> None:
    engine = engine_of(ISING, ISING_THETA)
    assert isinstance(engine, Engine)
    simulator = simulator_of(engine)
    assert simulator is not None
    x = simulator.simulate(ISING_THETA, np.random.default_rng(7))
    assert x.shape == (200, 4)
    assert_array_equal(x, simulator.simulate(ISING_THETA, np.random.default_rng(7)))
    other = simulator.with_data(x)
    assert isinstance(other, ExponentialFamilyLikelihood)
    assert other.fingerprint() != engine.fingerprint()
    assert other.default_priors().describe() == engine.default_priors().describe()
    assert_allclose(other.data.mean, ISING.evaluate(x).mean(axis=0), rtol=1e-13)


def test_replicas_of_whitened_parameters_share_their_map() -> None:
    engine = engine_of(QUARTIC, QUARTIC_THETA, settings=WHITENED)
    x = engine.simulate(np.full(4, 0.5), np.random.default_rng(1))
    other = engine.with_data(x)
    assert_array_equal(other.natural(np.ones(4)), engine.natural(np.ones(4)))
    assert x.mean() != pytest.approx(engine.data.mean[0])


def test_derived_quantities() -> None:
    """No Monte Carlo error; the divergence is the family's own, and n times its posterior mean is about p / 2."""
    engine = engine_of(QUARTIC, QUARTIC_THETA, 400)
    derived = derived_of(engine)
    assert derived is not None
    assert derived.names == ("ess", "mc_shift", "kl_to_mle")
    place = engine.anchor
    assert place is not None
    rng = np.random.default_rng(1)
    thetas = place.centre + rng.normal(size=(30, 4)) @ place.root.T
    found = derived.many(thetas)
    assert np.all(np.isinf(found[:, 0]))
    assert np.all(found[:, 1] == 0.0)
    assert_allclose(found[:, 2], [QUARTIC.kl(place.centre, theta) for theta in thetas], rtol=1e-6, atol=1e-12)
    assert abs(400 * found[:, 2].mean() - 2.0) < 4.0 * math.sqrt(2.0 / 30)  # half a chi-square of four, 30 draws: var 2 each
    replica = engine.with_data(engine.simulate(place.centre, rng))
    best = QUARTIC.fit_mean(replica.data.mean)
    assert replica.derived_many(best[None, :])[0, 2] == pytest.approx(0.0, abs=1e-10)


def test_the_divergence_where_the_data_have_no_estimate() -> None:
    engine = engine_of(families.Poisson(), [0.0], 5)
    assert math.isnan(engine.with_data(np.zeros(5)).derived_many(np.array([[0.1]]))[0, 2])


def test_fingerprints() -> None:
    x = np.random.default_rng(1).negative_binomial(2, 0.4, 40).astype(float)
    engine = ExponentialFamilyLikelihood(families.NegativeBinomial(2.0), x)
    assert engine.fingerprint() == ExponentialFamilyLikelihood(families.NegativeBinomial(2.0), x).fingerprint()
    others = [
        ExponentialFamilyLikelihood(families.NegativeBinomial(2.5), x),
        ExponentialFamilyLikelihood(families.Poisson(), x),
        ExponentialFamilyLikelihood(families.NegativeBinomial(2.0), x[::-1]),
        ExponentialFamilyLikelihood(families.NegativeBinomial(2.0), x, WHITENED),
    ]
    assert len({engine.fingerprint(), *[other.fingerprint() for other in others]}) == 5
    fitted = ExponentialFamilyModel(families.NegativeBinomial(2.0), x).fit().to_engine()
    assert fitted.fingerprint() == engine.fingerprint()  # the criterion's record decides nothing
    again = pickle.loads(pickle.dumps(fitted))
    assert again.fingerprint() == fitted.fingerprint()
    assert again.log_likelihood(np.array([-0.6])) == fitted.log_likelihood(np.array([-0.6]))


def test_evidences_of_two_families_may_be_compared_for_the_same_observations() -> None:
    x = np.random.default_rng(1).gamma(2.0, 1.0, 40)
    gamma, exponential = ExponentialFamilyLikelihood(families.Gamma(), x), ExponentialFamilyLikelihood(families.Exponential(), x)
    assert gamma.comparison_key() == exponential.comparison_key()
    assert gamma.comparison_key() != ExponentialFamilyLikelihood(families.Gamma(), x + 1.0).comparison_key()


def test_refusals() -> None:
    with pytest.raises(DataTypeError, match="family must be an ExponentialFamily, got 'gamma'"):
        ExponentialFamilyLikelihood("gamma", [1.0, 2.0])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="settings must be LikelihoodSettings"):
        ExponentialFamilyLikelihood(families.Gamma(), [1.0, 2.0], {"n_draws": 3})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sufficient statistics need an anchor"):
        ExponentialFamilyLikelihood(families.Gamma(), SufficientStatistics.of(families.Gamma(), [1.0, 2.0]))
    with pytest.raises(DataError, match="does not exist"):
        ExponentialFamilyLikelihood(families.Gamma(), [2.0, 2.0])
    with pytest.raises(ConfigError, match="exact, there are no references"):
        engine_of(families.Gamma(), [1.0, -1.0]).extend([[1.0, -1.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partition": "exakt"}, "no partition 'exakt': did you mean 'exact'"),
        ({"parametrise": True}, "no parametrise True"),
        ({"n_draws": 0}, "n_draws must be an integer of at least 1, got 0"),
        ({"n_references": 2.5}, "n_references must be an integer"),
        ({"ess_min": -1.0}, "ess_min must be a finite number of at least 0, got -1.0"),
        ({"ess_min": math.nan}, "ess_min must be a finite number"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_refused_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LikelihoodSettings(**change)


# ---------------------------------------------------------------- samplers


def test_the_criterion_travels_with_the_posterior() -> None:
    fit = ExponentialFamilyModel(families.Exponential(), np.random.default_rng(1).exponential(1.0, 100)).fit()
    engine = fit.to_engine()
    posterior = sciinf.sample(
        sciinf.Problem(engine, engine.default_priors()), sciinf.Emcee(n_walkers=8, n_steps=50, burn=10, thin=1), seed=1, progress=False
    )
    assert posterior.meta["engine"]["pn"]["criterion"] == fit.pn().to_dict()
    assert posterior.meta["engine"]["pn"]["partition"] == "exact"
    plain = ExponentialFamilyLikelihood(families.Exponential(), [1.0, 2.0])
    assert posterior_meta_of(plain)["pn"]["criterion"] is None


def test_the_evidence_of_one_parameter() -> None:
    """dynesty against quadrature over the prior, both parametrisations: the same number, as the prior is the same in theta."""
    x = np.random.default_rng(6).exponential(0.7, 40)
    found = []
    for settings in (LikelihoodSettings(), WHITENED):
        engine = ExponentialFamilyLikelihood(families.Exponential(), x, settings)
        posterior = sciinf.sample(sciinf.Problem(engine, engine.default_priors()), sciinf.Dynesty(n_live=300), seed=2, progress=False)
        found.append(posterior)
    place = ExponentialFamilyLikelihood(families.Exponential(), x).anchor
    assert place is not None
    top = 40 * (math.log(1.0 / x.mean()) - 1.0)
    value, _ = integrate.quad(lambda t: math.exp(40 * math.log(-t) + t * x.sum() - top), place.low[0], place.high[0], epsrel=1e-12)
    expected = top + math.log(value / (place.high[0] - place.low[0]))
    for posterior in found:
        assert posterior.log_evidence is not None
        assert posterior.log_evidence_error is not None
        assert abs(posterior.log_evidence - expected) < 3.0 * posterior.log_evidence_error
    assert found[0].log_evidence == pytest.approx(found[1].log_evidence, rel=1e-9)


def agree(one: Any, other: Any, scale: float = 4.0) -> None:
    """Means within ``scale`` combined standard errors, spreads within a tenth."""
    error = np.hypot(one.std() / np.sqrt(one.ess), other.std() / np.sqrt(other.ess))
    assert np.abs((one.mean() - other.mean()) / error).max() < scale
    assert_allclose(one.std(), other.std(), rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "theta"), [(QUARTIC, QUARTIC_THETA), (ISING, ISING_THETA)], ids=["quartic", "ising"])
def test_emcee_and_dynesty_agree(family: Any, theta: Any) -> None:
    engine = engine_of(family, theta, 400, settings=WHITENED)
    problem = sciinf.Problem(engine, engine.default_priors())
    chain = sciinf.sample(problem, sciinf.Emcee(n_walkers=48, start="optimum"), seed=1, progress=False)
    nested = sciinf.sample(problem, sciinf.Dynesty(n_live=500), seed=1, progress=False)
    agree(chain, nested)
