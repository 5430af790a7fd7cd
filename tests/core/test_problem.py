"""Problem: names both ways, the guard, the domain, fixed values, counts, the probe, pickling."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, LikelihoodError, PriorError, SciinfWarning
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Beta, Fixed, Gamma, Normal, Uniform
from sciinf.core.problem import Problem


def weighted_sum(theta: np.ndarray) -> float:
    return float(theta @ np.arange(1.0, theta.size + 1.0))


def gaussian(theta: np.ndarray, data: np.ndarray) -> float:
    return -0.5 * float(np.sum((data - theta) ** 2))


def draw(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return theta + rng.normal(size=theta.size)


def box(*names: str) -> PriorSet:
    return PriorSet([Parameter(name, Uniform(-1.0, 1.0)) for name in names])


class Giving:
    """An engine that gives one value, whatever it is."""

    parameters = ("a", "b")

    def __init__(self, value: object) -> None:
        self.value = value

    def log_likelihood(self, theta: np.ndarray) -> object:
        return self.value

    def log_likelihood_many(self, thetas: np.ndarray) -> object:
        return self.value

    def default_priors(self) -> PriorSet:
        return box("a", "b")

    def fingerprint(self) -> str:
        return "0"


def giving(value: object) -> Problem:
    return Problem(Giving(value), box("a", "b"), name="toy")


def test_engine_sees_its_own_order_with_fixed_values_filled_in() -> None:
    engine = FunctionEngine(weighted_sum, ["a", "b", "c"], version="1")
    priors = PriorSet([Parameter("c", Uniform(0, 1)), Parameter("b", Fixed(10.0)), Parameter("a", Uniform(0, 1))])
    problem = Problem(engine, priors)
    assert problem.names == ("c", "a")
    assert problem.log_likelihood([0.5, 0.25]) == 0.25 + 20.0 + 1.5
    assert np.array_equal(problem.log_likelihood_many([[0.5, 0.25], [0.0, 0.0]]), [21.75, 20.0])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "bb"), "no parameter 'bb': did you mean 'b'"),
        (("a",), "needs a prior for b"),
    ],
)
def test_names_are_checked_both_ways(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Problem(FunctionEngine(weighted_sum, ["a", "b"], version="1"), box(*names))


def test_nothing_to_sample_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nothing to sample"):
        Problem(FunctionEngine(weighted_sum, ["a"], version="1"), PriorSet([Parameter("a", Fixed(1.0))]))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (math.nan, "gave NaN"),
        (math.inf, r"gave \+inf"),
        (1.0 + 2.0j, r"complex number \(1\+2j\)"),
        (np.zeros(2), r"array of shape \(2,\)"),
        ("x", "'x' \\(str\\)"),
        (None, "None \\(NoneType\\)"),
    ],
)
def test_what_is_not_a_log_likelihood_raises_with_theta_by_name(value: object, what: str) -> None:
    with pytest.raises(LikelihoodError, match=what) as caught:
        giving(value).log_likelihood([0.25, -0.5])
    message = str(caught.value)
    assert "a=0.25, b=-0.5" in message
    assert "call 1" in message
    assert "problem.log_likelihood([0.25, -0.5])" in message


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_batch_is_guarded_too(value: float) -> None:
    def last_bad(theta: np.ndarray) -> float:
        return value if theta[0] > 0.5 else -1.0

    problem = Problem(FunctionEngine(last_bad, ["a"], version="1"), box("a"))
    assert np.array_equal(problem.log_likelihood_many([[0.0], [0.1]]), [-1.0, -1.0])
    with pytest.raises(LikelihoodError, match=r"a=0\.75"):
        problem.log_likelihood_many([[0.0], [0.75]])


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros((2, 1)), np.zeros(2) * 1j, np.array(["a", "b"])])
def test_a_batch_of_the_wrong_shape_or_kind_raises(value: np.ndarray) -> None:
    with pytest.raises(LikelihoodError, match="must return 2 real numbers"):
        giving(value).log_likelihood_many(np.zeros((2, 2)))


def test_an_exception_in_the_engine_carries_theta() -> None:
    def fails(theta: np.ndarray) -> float:
        raise ZeroDivisionError("no")

    problem = Problem(FunctionEngine(fails, ["a"], version="1"), box("a"))
    for call in (lambda: problem.log_likelihood([0.5]), lambda: problem.log_likelihood_many([[0.5], [0.6]])):
        with pytest.raises(LikelihoodError, match=r"ZeroDivisionError.*a=0\.5"):
            call()


def test_nan_can_be_rejected_and_counted_infinity_never() -> None:
    engine = FunctionEngine(lambda theta: math.nan if theta[0] > 0 else -math.inf, ["a"], version="1")
    problem = Problem(engine, box("a"), on_nan="reject")
    assert problem.log_likelihood([0.5]) == -math.inf
    assert np.array_equal(problem.log_likelihood_many([[0.5], [-0.5]]), [-math.inf] * 2)
    assert problem.counts == (3, 1, 2)
    up = Problem(FunctionEngine(lambda theta: math.inf, ["a"], version="1"), box("a"), on_nan="reject")
    with pytest.raises(LikelihoodError, match=r"\+inf"):
        up.log_likelihood([0.0])


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="on_nan must be 'raise' or 'reject', got 'ignore'"):
        Problem(FunctionEngine(weighted_sum, ["a"], version="1"), box("a"), on_nan="ignore")


def test_wrong_length_of_theta() -> None:
    with pytest.raises(ConfigError, match=r"2 entries \(a, b\), got shape \(3,\)"):
        giving(0.0).log_likelihood([1.0, 2.0, 3.0])


class Boxed(FunctionEngine):
    domain_hint = ", or another theory"

    def domain(self) -> dict[str, tuple[float, float]]:
        return {"a": (-1.0, 1.0)}


def test_a_prior_may_not_reach_outside_the_engine_s_domain() -> None:
    engine = Boxed(weighted_sum, ["a", "b"], version="1")
    Problem(engine, box("a", "b"))
    Problem(engine, box("a", "b").replace(a=Fixed(1.0)))
    for prior in (Uniform(-1.5, 0.5), Normal(0.0, 0.1), Fixed(1.25)):
        with pytest.raises(PriorError, match=r"'a' reaches over .*valid on \[-1, 1\] only.*or another theory"):
            Problem(engine, box("a", "b").replace(a=prior))


def test_posterior_is_prior_plus_likelihood_and_zero_prior_calls_nothing() -> None:
    problem = Problem(FunctionEngine(gaussian, ["a", "b"], data=np.zeros(2), version="1"), box("a", "b"))
    thetas = np.array([[0.5, 0.5], [2.0, 0.0], [-1.0, 1.0]])
    values = problem.log_posterior_many(thetas)
    assert np.array_equal(values, [problem.log_posterior(theta) for theta in thetas])
    assert values[1] == -math.inf
    assert values[0] == pytest.approx(-0.25 - 2 * math.log(2.0), rel=1e-15)
    assert problem.counts.calls == 4


def test_a_pole_of_the_prior_is_never_a_point_of_a_chain() -> None:
    engine = FunctionEngine(gaussian, ["a", "b"], data=np.zeros(2), version="1")
    problem = Problem(engine, PriorSet([Parameter("a", Beta(0.5, 0.5)), Parameter("b", Gamma(0.5, 1.0))]))
    poles = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.0]])
    assert np.all(problem.log_prior_many(poles) == math.inf)
    assert np.all(problem.log_posterior_many(poles) == -math.inf)
    assert all(problem.log_posterior(theta) == -math.inf for theta in poles)
    assert problem.counts.calls == 0
    assert math.isfinite(problem.log_posterior(np.array([0.5, 1.0])))


def test_probe_names_what_never_matters_and_counts_nothing() -> None:
    engine = FunctionEngine(lambda theta: -(theta[0] ** 2), ["a", "b"], version="1")
    problem = Problem(engine, box("a", "b"))
    with pytest.warns(SciinfWarning, match="b never changed the likelihood at 3 prior points"):
        assert problem.probe(seed=1) == ("b",)
    assert problem.counts.calls == 0


def test_probe_is_silent_when_all_matters() -> None:
    assert giving_line().probe(seed=1) == ()


def giving_line() -> Problem:
    return Problem(FunctionEngine(gaussian, ["a", "b"], data=np.ones(2), simulate=draw, version="1"), box("a", "b"))


def test_simulate_gives_a_problem_with_other_data() -> None:
    problem = giving_line()
    other = problem.simulate(np.array([0.5, -0.5]), np.random.default_rng(1))
    assert problem.can_simulate
    assert other.fingerprint() != problem.fingerprint()
    assert other.names == problem.names
    assert not np.array_equal(other.engine.data, problem.engine.data)


def test_without_a_simulator_it_says_so() -> None:
    problem = giving(0.0)
    assert not problem.can_simulate
    with pytest.raises(ConfigError, match="cannot simulate"):
        problem.simulate(np.zeros(2), np.random.default_rng(1))


def test_pickled_problem_is_the_same_with_fresh_counts() -> None:
    problem = giving_line()
    problem.log_likelihood([0.1, 0.2])
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.counts.calls == 0
    assert copy.fingerprint() == problem.fingerprint()
    assert copy.log_likelihood([0.1, 0.2]) == problem.log_likelihood([0.1, 0.2])


def test_counting_into_a_shared_row() -> None:
    problem, rows = giving_line(), np.zeros((2, 3), dtype=np.int64)
    problem.count_into(rows[1])
    problem.log_likelihood([0.0, 0.0])
    assert rows.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_fingerprint_covers_engine_priors_and_policy() -> None:
    problem = giving_line()
    assert Problem(problem.engine, problem.priors, on_nan="reject").fingerprint() != problem.fingerprint()
    assert Problem(problem.engine, problem.priors.replace(a=Uniform(-1, 2))).fingerprint() != problem.fingerprint()
    assert Problem(problem.engine.with_data(np.zeros(2)), problem.priors).fingerprint() != problem.fingerprint()
    assert Problem(problem.engine, problem.priors, name="other").fingerprint() == problem.fingerprint()
