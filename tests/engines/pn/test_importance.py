"""The log-partition function from draws: its equations, where references are placed, what is refused, what it does to a posterior."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

import sciinf
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, LikelihoodError, SciinfWarning
from sciinf.engines.pn import (
    Box,
    ExponentialFamily,
    ExponentialFamilyLikelihood,
    ExponentialFamilyModel,
    LikelihoodSettings,
    RealLine,
    Spins,
    families,
)
from sciinf.engines.pn.mixture import Mixture, self_consistent
from sciinf.engines.pn.references import Placement, budget, check_hull, placed

CYCLE = ((0, 1), (1, 2), (2, 3), (3, 0))
ISING = families.Ising(4, CYCLE)
ISING_THETA = np.array([0.1, -0.2, 0.3, 0.0, 0.4, 0.4, -0.3, 0.2])
POISSON = families.Poisson()
quiet = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")


def settings(**change: Any) -> LikelihoodSettings:
    return LikelihoodSettings(partition="importance", **change)


def data_of(family: Any, theta: Any, n: int, seed: int = 1) -> Any:
    return family.simulate(np.asarray(theta), n, np.random.default_rng(seed))


def poisson_mixture(rates: list[float], size: int, seed: int) -> Mixture:
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.poisson(rate, size) for rate in rates]).astype(float)[:, None]
    return Mixture.of(np.log(rates)[:, None], np.full(len(rates), float(size)), rows, np.ones(len(rows)), rates[0], 1.0)


# ---------------------------------------------------------------- the equations


def test_psi_of_the_references_over_seeds() -> None:
    """Poisson, whose psi is the rate: unbiased to first order, and a spread that more references do not hide."""
    rates = [3.0, 4.0, 5.5]
    found = np.array([poisson_mixture(rates, 2000, seed).psis for seed in range(60)])
    error = found.std(axis=0, ddof=1) / math.sqrt(60)
    assert np.all(np.abs(found.mean(axis=0) - rates)[1:] < 4.0 * error[1:])
    assert np.all(found[:, 0] == 3.0)
    assert np.all(found.std(axis=0)[1:] > 1e-3)


def test_the_equations_hold() -> None:
    """Each psi is the pooled estimate at its own reference; the plain sums, written out."""
    mixture = poisson_mixture([3.0, 4.0, 5.5], 500, 1)
    logs = special.logsumexp(mixture.rows @ mixture.thetas.T - mixture.psis + np.log(mixture.sizes), axis=1)
    for theta, psi in zip(mixture.thetas, mixture.psis, strict=True):
        assert special.logsumexp(mixture.rows @ theta - logs) == pytest.approx(psi, abs=1e-9)
    assert_allclose(mixture.log_weights, -logs, rtol=1e-12, atol=1e-12)


def test_one_reference_is_the_monte_carlo_likelihood() -> None:
    """psi(theta) = psi_1 + ln mean exp((theta - theta_1).T), and its moments by weights."""
    mixture = poisson_mixture([3.0], 4000, 2)
    theta = np.log([3.3])
    ratio = np.exp((theta[0] - math.log(3.0)) * mixture.rows[:, 0])
    psi, mean, covariance = mixture.moments(theta)
    assert psi == pytest.approx(3.0 + math.log(ratio.mean()), rel=1e-13)
    assert mean[0] == pytest.approx(np.average(mixture.rows[:, 0], weights=ratio), rel=1e-12)
    assert covariance[0, 0] == pytest.approx(np.cov(mixture.rows[:, 0], aweights=ratio, ddof=0), rel=1e-12)
    assert mixture.effective(theta[None, :])[0] == pytest.approx(ratio.sum() ** 2 / (ratio**2).sum(), rel=1e-12)


def test_references_that_do_not_meet() -> None:
    """Draws of rates 1 and 1000 share no mass: nothing ties the two constants."""
    with pytest.raises(ConvergenceError, match="references overlap too little"):
        poisson_mixture([1.0, 1000.0], 50, 1)


def test_counts_stand_for_equal_rows() -> None:
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.poisson(rate, 800) for rate in (3.0, 4.0)]).astype(float)[:, None]
    thetas, sizes = np.log([[3.0], [4.0]]), np.array([800.0, 800.0])
    every = Mixture.of(thetas, sizes, rows, np.ones(1600), 3.0, 1.0)
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    once = Mixture.of(thetas, sizes, unique, counts.astype(float), 3.0, 1.0)
    assert len(once.rows) < 20
    assert_allclose(once.psis, every.psis, rtol=1e-10)
    trial = np.log([[2.0], [3.5], [6.0]])
    assert_allclose(once.effective(trial), every.effective(trial), rtol=1e-9)
    assert_allclose([once.moments(row)[0] for row in trial], [every.moments(row)[0] for row in trial], rtol=1e-11)
    assert_allclose(self_consistent(thetas, sizes, rows, np.ones(1600), 3.0), every.psis, rtol=1e-12)


# ---------------------------------------------------------------- trap (i): the error is n times psi's


@quiet
def test_the_displacement_is_what_is_said() -> None:
    """Poisson, n = 500 and 20,000 draws at the estimate: the maximum moves by sqrt(n / S) = .158 posterior sd, over 200 sets of draws."""
    n, size, rate = 500, 20_000, 3.0
    moved = []
    for seed in range(200):
        rows = np.random.default_rng(seed).poisson(rate, size).astype(float)
        theta = math.log(rate)
        for _ in range(6):  # Newton's method on theta rate - psi(theta), by the draws
            weights = np.exp((theta - math.log(rate)) * rows)
            mean = np.average(rows, weights=weights)
            theta += (rate - mean) / np.average((rows - mean) ** 2, weights=weights)
        moved.append((theta - math.log(rate)) * math.sqrt(n * rate))
    assert np.std(moved) == pytest.approx(math.sqrt(n / size), rel=4.0 / math.sqrt(400))
    engine = ExponentialFamilyLikelihood(
        POISSON, data_of(POISSON, [math.log(3.0)], n), settings(n_draws=size, n_references=1, ess_min=10.0)
    )
    place = engine.anchor
    assert place is not None
    assert engine.derived_many(place.centre[None, :])[0, 1] == pytest.approx(math.sqrt(n / size), rel=1e-6)


def test_the_displacement_is_told() -> None:
    x = data_of(POISSON, [1.0], 500)
    with pytest.warns(SciinfWarning, match=r"20,000 draws of x, S_eff = 20,000 .* n = 500 .* mc_shift = 0.158 .* n_draws = 200,000"):
        engine = ExponentialFamilyLikelihood(POISSON, x, settings(n_draws=20_000, n_references=1))
    assert engine.posterior_meta()["pn"]["mc_shift"] == pytest.approx(math.sqrt(500 / 20_000), rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ExponentialFamilyLikelihood(POISSON, x, settings(n_draws=200_000, n_references=1))


def test_the_number_of_draws() -> None:
    assert budget(1000, settings()) == 400_000
    assert budget(5000, settings()) == 2_000_000
    assert budget(5001, settings(n_draws=7)) == 7
    with pytest.raises(
        ConvergenceError, match=r"n = 5,001 .* need 2,000,400 importance draws \(S_eff >= 400 n\).* mc_shift 0.050. Give n_draws"
    ):
        budget(5001, settings())
    x = data_of(POISSON, [1.0], 6000)
    with pytest.raises(ConvergenceError, match="Give n_draws"):
        ExponentialFamilyLikelihood(POISSON, x, settings())


# ---------------------------------------------------------------- trap (ii): too few draws count


@quiet
def test_too_few_effective_draws_are_no_number() -> None:
    engine = ExponentialFamilyLikelihood(POISSON, data_of(POISSON, [1.0], 200), settings(n_draws=4000))
    place = engine.anchor
    assert place is not None
    near, far = place.centre, place.centre + 3.0
    assert math.isfinite(engine.log_likelihood(near))
    assert math.isnan(engine.log_likelihood(far))
    assert_array_equal(np.isnan(engine.log_likelihood_many(np.array([near, far, near]))), [False, True, False])
    assert engine.derived_many(far[None, :])[0, 0] < 200.0
    problem = sciinf.Problem(engine, engine.default_priors())
    with pytest.raises(LikelihoodError, match="NaN"):
        problem.log_likelihood(far)


@quiet
def test_without_the_guard_a_far_likelihood_is_too_high() -> None:
    """The control: one reference, no least number of draws, and ln L is above the exact one far away: by two nats an observation."""
    x = data_of(POISSON, [1.0], 200)
    exact = ExponentialFamilyLikelihood(POISSON, x)
    open_ = ExponentialFamilyLikelihood(POISSON, x, settings(n_draws=4000, n_references=1, ess_min=0.0))
    place = exact.anchor
    assert place is not None
    far = place.centre + np.array([2.0])
    assert open_.log_likelihood(far) - exact.log_likelihood(far) > 2.0 * 200
    assert abs(open_.log_likelihood(place.centre) - exact.log_likelihood(place.centre)) < 1e-8  # where psi is fixed


# ---------------------------------------------------------------- trap (iii): the hull


@quiet
def test_data_outside_the_hull_of_the_draws() -> None:
    engine = ExponentialFamilyLikelihood(POISSON, data_of(POISSON, [0.0], 100), settings(n_draws=2000))
    assert engine.mixture is not None
    most = engine.mixture.rows.max()
    with pytest.raises(ConvergenceError, match=r"outside the convex hull of the \d+ different draws.*Raise n_draws, or extend"):
        engine.with_data(np.full(100, most + 1.0))
    assert engine.with_data(np.arange(100.0) % 3).data.mean[0] == pytest.approx(0.99)


def test_the_hull_of_many_draws() -> None:
    """A mean that only the rows outside the first sample enclose."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50_000, 2))
    mixture = Mixture(np.zeros((1, 2)), np.array([50_000.0]), np.zeros(1), rows, np.ones(50_000), np.zeros(50_000), 1.0)
    edge = 0.995 * rows[np.argmax(rows[:, 0])]
    check_hull(mixture, edge, ("a", "b"))
    with pytest.raises(ConvergenceError, match="convex hull"):
        check_hull(mixture, 1.2 * rows[np.argmax(rows[:, 0])], ("a", "b"))


# ---------------------------------------------------------------- trap (iv): equal draws once


@quiet
def test_equal_draws_are_kept_once() -> None:
    engine = ExponentialFamilyLikelihood(ISING, data_of(ISING, ISING_THETA, 300), settings(n_draws=50_000))
    assert engine.mixture is not None
    assert len(engine.mixture.rows) == 16
    assert engine.mixture.counts.sum() == engine.mixture.sizes.sum() == pytest.approx(50_000, abs=64)
    compiled = engine.compiled()
    assert compiled is not None
    assert compiled.ints[5] == 16


# ---------------------------------------------------------------- references


@quiet
@pytest.mark.parametrize("n", [60, 1000])
def test_the_box_is_covered(n: int) -> None:
    """All corners and a hundred more points than were tried: the least effective number is held there too, to a tenth."""
    engine = ExponentialFamilyLikelihood(ISING, data_of(ISING, ISING_THETA, n), settings(n_draws=400_000))
    place, mixture = engine.anchor, engine.mixture
    assert place is not None
    assert mixture is not None
    corners = np.array(list(itertools.product(*zip(place.low, place.high, strict=True))))
    assert mixture.effective(corners).min() >= 200.0
    others = place.low + (place.high - place.low) * np.random.default_rng(1).random((100, 8))
    assert mixture.effective(others).min() >= 180.0
    assert (len(mixture.thetas) > 1) == (n == 60)
    assert np.isfinite(engine.log_likelihood_many(corners)).all()


@quiet
def test_psi_over_the_box_is_the_exact_one() -> None:
    """|psi - exact| against an error from the effective draws: sqrt((1 / S_eff) + path) is not known, so 20 seeds give it."""
    x = data_of(ISING, ISING_THETA, 60)
    exact = ExponentialFamilyLikelihood(ISING, x)
    place = exact.anchor
    assert place is not None
    points = place.low + (place.high - place.low) * np.random.default_rng(2).random((25, 8))
    truth = np.array([ISING.log_partition(point) for point in points])
    found = []
    for seed in range(12):
        engine = ExponentialFamilyLikelihood(ISING, x, settings(n_draws=100_000, seed=seed, ess_min=100.0))
        assert engine.mixture is not None
        found.append([engine.mixture.moments(point)[0] for point in points])
    spread = np.std(found, axis=0, ddof=1)
    z = (np.mean(found, axis=0) - truth) / (spread / math.sqrt(12))
    assert np.abs(z).max() < 6.0  # Student's t of 11 degrees of freedom: 25 of them below 6 but for 2 in 1000
    assert spread.max() < 0.1


@quiet
def test_a_box_that_is_not_covered() -> None:
    x = data_of(families.Normal(), [0.0, -0.5], 20)
    message = r"of \d+ trial points theta = \[.*\] has the fewest effective draws, .* ess_min = 200; there are 1 references and 8,000 draws"
    with pytest.raises(ConvergenceError, match=message + ". Raise n_draws or n_references"):
        ExponentialFamilyLikelihood(families.Normal(), x, settings(n_references=1))


@quiet
def test_the_default_prior_adds_no_reference() -> None:
    engine = ExponentialFamilyLikelihood(POISSON, data_of(POISSON, [1.0], 100), settings(n_draws=20_000))
    before = engine.fingerprint()
    engine.default_priors()
    assert engine.fingerprint() == before


@quiet
def test_more_references() -> None:
    engine = ExponentialFamilyLikelihood(POISSON, data_of(POISSON, [1.0], 200), settings(n_draws=20_000))
    place = engine.anchor
    assert place is not None
    far = place.centre + 1.5
    assert math.isnan(engine.log_likelihood(far))
    steps = np.linspace(place.high, far, 4)
    wider = engine.extend(steps)
    assert wider.mixture is not None
    assert engine.mixture is not None
    assert len(wider.mixture.thetas) == len(engine.mixture.thetas) + 4
    exact = POISSON.log_partition(far)
    assert wider.mixture.moments(far)[0] == pytest.approx(exact, rel=0.05)
    assert math.isfinite(wider.log_likelihood(far))
    assert wider.fingerprint() != engine.fingerprint()
    assert math.isnan(engine.log_likelihood(far))  # the first is as it was
    with pytest.raises(DataError, match="theta"):
        engine.extend([[math.nan]])
    gamma = ExponentialFamilyLikelihood(families.Gamma(), data_of(families.Gamma(), [3.0, -2.0], 500), settings(n_draws=100_000))
    with pytest.raises(DataError, match="outside the natural domain"):
        gamma.extend([[1.0, 1.0]])


@quiet
def test_the_same_seed_gives_the_same_draws() -> None:
    x = data_of(POISSON, [1.0], 100)
    one, two, other = (ExponentialFamilyLikelihood(POISSON, x, settings(n_draws=5000, seed=seed)) for seed in (0, 0, 1))
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()
    replica = one.with_data(data_of(POISSON, [1.1], 100, 5))
    assert replica.mixture is one.mixture


@quiet
def test_bytes_do_not_depend_on_the_batch() -> None:
    """Of draws that are all different, more than one block of rows."""
    gamma = families.Gamma()
    engine = ExponentialFamilyLikelihood(gamma, data_of(gamma, [3.0, -2.0], 500), settings(n_draws=30_001, ess_min=10.0))
    place = engine.anchor
    assert place is not None
    thetas = place.low + (place.high - place.low) * np.random.default_rng(1).random((33, 2))
    whole = engine.log_likelihood_many(thetas)
    compiled = engine.compiled()
    assert compiled is not None
    assert_array_equal(whole, [engine.log_likelihood(row) for row in thetas])
    assert_array_equal(whole, [compiled(row) for row in thetas])
    assert_array_equal(whole[::-1], engine.log_likelihood_many(thetas[::-1]))
    mixture = engine.mixture
    assert mixture is not None
    plain = [special.logsumexp(mixture.rows @ row + mixture.log_weights + np.log(mixture.counts)) for row in thetas]
    assert_allclose(whole, 500 * (thetas @ engine.data.mean - plain) + engine.data.log_base, rtol=1e-12)


# ---------------------------------------------------------------- families without an exact psi


@numba.njit
def spins_and_sum(x: np.ndarray, out: np.ndarray) -> None:
    total = 0.0
    for k in range(x.shape[0] - 1):
        total += x[k] * x[k + 1]
    out[0] = 0.0
    for k in range(x.shape[0]):
        out[0] += x[k]
    out[1] = total


@quiet
def test_a_chain_of_spins_too_long_to_list() -> None:
    """24 spins in an open chain, a common field and coupling; psi by the transfer matrix, up to the constant that draws do not know."""
    family = ExponentialFamily(spins_and_sum, 2, Spins(24), names=("field", "coupling"))

    def log_partition(field: float, coupling: float) -> float:
        matrix = np.array([[math.exp(s * t * coupling + 0.5 * field * (s + t)) for t in (-1, 1)] for s in (-1, 1)])
        ends = np.array([math.exp(-0.5 * field), math.exp(0.5 * field)])
        return math.log(float(ends @ np.linalg.matrix_power(matrix, 23) @ ends))

    x = family.simulate([0.1, 0.2], 200, np.random.default_rng(1))
    with pytest.raises(ConfigError, match="known in no exact way"):
        ExponentialFamilyLikelihood(family, x, LikelihoodSettings(partition="exact"))
    engine = ExponentialFamilyLikelihood(family, x)
    assert not engine.is_exact
    assert engine.parameters == ("field", "coupling")
    assert engine.mixture is not None
    assert 0.3 < engine.mixture.kept <= 1.0  # draws of thinned chains
    place = engine.anchor
    assert place is not None
    rng = np.random.default_rng(2)
    points = place.centre + 2.0 * rng.normal(size=(20, 2)) @ place.root.T
    here = log_partition(*place.centre)
    exact = np.array([log_partition(*row) - here for row in points])
    found = np.array([engine.mixture.moments(row)[0] - engine.mixture.moments(place.centre)[0] for row in points])
    size = float(engine.mixture.effective(place.centre[None, :])[0])
    away = np.sqrt(np.einsum("ki,ij,kj->k", points - place.centre, engine.mixture.moments(place.centre)[2], points - place.centre))
    assert np.all(np.abs(found - exact) < 5.0 * away / math.sqrt(size))  # psi's slope has an error of the statistics' sd over sqrt S
    assert engine.comparison_key() != ExponentialFamilyLikelihood(family, x, LikelihoodSettings(seed=1)).comparison_key()


# ---------------------------------------------------------------- posteriors


@pytest.mark.parametrize(
    ("family", "theta", "n", "change"),
    [
        (ISING, ISING_THETA, 500, {}),
        (families.PolynomialExponential(4, RealLine()), np.array([0.0, 1.0, 0.0, -0.25]), 1000, {"n_draws": 100_000}),
    ],
    ids=["ising", "quartic"],
)
@quiet
def test_the_posterior_is_the_exact_one(family: Any, theta: Any, n: int, change: dict[str, Any]) -> None:
    """The exact posterior by emcee, carried to the other by weights: no second chain's noise is between the two.

    Whitened, a posterior standard deviation is about one, so the draws displace each mean by about ``mc_shift``; spreads stay to a tenth.
    """
    fit = ExponentialFamilyModel(family, data_of(family, theta, n)).fit()
    exact = fit.to_engine(LikelihoodSettings(parametrise="whitened"))
    drawn = fit.to_engine(settings(parametrise="whitened", **change))
    problem = sciinf.Problem(exact, exact.default_priors())
    chain = sciinf.sample(problem, sciinf.Emcee(n_walkers=32, n_steps=2000, burn=400, thin=20, start="optimum"), seed=3, progress=False)
    gap = drawn.log_likelihood_many(chain.samples) - chain.log_likelihood
    weights = np.exp(gap - gap.max())
    weights /= weights.sum()
    means = weights @ chain.samples
    shift = float(drawn.derived_many(np.zeros((1, family.p)))[0, 1])
    assert 0.0 < shift < 0.2
    spread = chain.std()
    moved = (means - chain.mean()) / spread
    noise = np.sqrt((weights**2) @ (chain.samples - means) ** 2) / spread  # of the weights themselves
    assert np.abs(moved / np.hypot(shift, noise)).max() < 4.0
    assert np.abs(moved).max() > 0.1 * shift  # they do displace it
    assert_allclose(np.sqrt(weights @ (chain.samples - means) ** 2), spread, rtol=0.1)


def test_placed_is_where_it_is_asked_for() -> None:
    """The first reference is the centre, psi there as given, and half of the draws."""
    where = Placement(np.array([1.0]), np.array([-0.5]), np.array([2.5]))
    mixture = placed(POISSON, where, 10, settings(n_draws=20_000), math.e)
    assert mixture.thetas[0, 0] == 1.0
    assert mixture.psis[0] == math.e
    assert len(mixture.thetas) > 1
    assert mixture.sizes[0] == pytest.approx(10_000, abs=64)


@quiet
def test_a_box_of_more_than_three_dimensions() -> None:
    """Four uniform coordinates and their sum: no quadrature, independent exact psi = 4 ln((e^t - 1) / t)."""

    @numba.njit
    def total(x: np.ndarray, out: np.ndarray) -> None:
        out[0] = x[0] + x[1] + x[2] + x[3]

    family = ExponentialFamily(total, 1, Box((0.0,) * 4, (1.0,) * 4), names=("slope",))
    x = np.random.default_rng(1).random((150, 4))
    engine = ExponentialFamilyLikelihood(family, x, LikelihoodSettings(n_draws=40_000))
    place = engine.anchor
    assert place is not None

    def psi(t: float) -> float:
        return 4.0 * math.log(math.expm1(t) / t)

    centre = float(place.centre[0])
    slope = x.sum(axis=1).mean()
    t = centre
    for _ in range(50):  # the estimate: 4 (1 / (1 - e^-t) - 1 / t) is the mean
        value = 4.0 * (1.0 / -math.expm1(-t) - 1.0 / t) - slope
        t -= value / (4.0 * (1.0 / t**2 - math.exp(t) / math.expm1(t) ** 2))
    assert abs(centre - t) < 4.5 * math.sqrt(12.0 / 4.0 / 15_000)
    at = centre + 0.2
    assert engine.mixture is not None
    found = engine.mixture.moments(np.array([at]))[0] - engine.mixture.moments(place.centre)[0]
    size = float(engine.mixture.effective(place.centre[None, :])[0])
    assert abs(found - (psi(at) - psi(centre))) < 5.0 * 0.2 * math.sqrt(4.0 / 12.0 / size)
