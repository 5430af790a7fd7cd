"""A user's function as an engine: data in the fingerprint, closures refused, simulators offered."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from sciinf.core.engine import (
    CompiledLikelihood,
    comparison_key_of,
    compiled_of,
    derived_of,
    domain_of,
    posterior_meta_of,
    simulator_of,
    smooth_of,
)
from sciinf.core.errors import ConfigError, DataError, LikelihoodError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.numerics.jit import LIKELIHOOD, kernel


def gaussian(theta: np.ndarray, data: dict) -> float:
    return -0.5 * float(np.sum((data["y"] - theta[0]) ** 2)) / data["sigma"] ** 2


def gaussian_rows(thetas: np.ndarray, data: dict) -> np.ndarray:
    return -0.5 * np.sum((data["y"] - thetas[:, :1]) ** 2, axis=1) / data["sigma"] ** 2


def draw(theta: np.ndarray, rng: np.random.Generator) -> dict:
    return {"y": theta[0] + rng.normal(size=3), "sigma": 1.0}


def double(theta: np.ndarray) -> float:
    return 2.0 * theta[0]


DATA = {"y": np.array([0.0, 1.0, 2.0]), "sigma": 1.0}


def engine(**changes: object) -> FunctionEngine:
    settings: dict = {"data": DATA, "simulate": draw, "derived": {"twice": double}, "version": "1"} | changes
    return FunctionEngine(gaussian, ["mu"], **settings)


def test_scalar_batch_and_vectorised_agree() -> None:
    thetas = np.linspace(-1, 1, 7)[:, None]
    fast = FunctionEngine(gaussian_rows, ["mu"], data=DATA, vectorized=True, version="1")
    assert np.allclose(engine().log_likelihood_many(thetas), fast.log_likelihood_many(thetas), rtol=1e-14)
    assert fast.log_likelihood(thetas[0]) == fast.log_likelihood_many(thetas)[0]


def test_fingerprint_sees_data_version_names_and_source() -> None:
    base = engine().fingerprint()
    assert engine().fingerprint() == base
    assert engine(version="2").fingerprint() != base
    assert engine(data=DATA | {"sigma": 2.0}).fingerprint() != base
    assert FunctionEngine(gaussian, ["nu"], data=DATA, simulate=draw, derived={"twice": double}, version="1").fingerprint() != base
    assert FunctionEngine(gaussian_rows, ["mu"], data=DATA, simulate=draw, derived={"twice": double}, version="1").fingerprint() != base


def test_a_later_change_of_the_user_s_array_is_not_seen() -> None:
    data = {"y": np.zeros(3), "sigma": 1.0}
    made = engine(data=data)
    before = made.fingerprint()
    data["y"][0] = 9.0
    assert made.fingerprint() == before
    assert made.log_likelihood(np.zeros(1)) == 0.0


def test_a_closure_over_arrays_is_refused() -> None:
    y = np.zeros(3)

    def closed(theta: np.ndarray) -> float:
        return -float(np.sum((y - theta[0]) ** 2))

    with pytest.raises(DataError, match=r"holds 'y' \(ndarray\).*Pass it as data"):
        FunctionEngine(closed, ["mu"], version="1")


def test_arrays_hidden_in_defaults_or_partials_are_refused_too() -> None:
    with pytest.raises(DataError, match="default 0"):
        FunctionEngine(lambda theta, y=DATA["y"]: float(theta[0] - y[0]), ["mu"], version="1")
    with pytest.raises(DataError, match="'data'"):
        FunctionEngine(functools.partial(gaussian, data=DATA), ["mu"], version="1")


def test_a_number_closed_over_is_part_of_the_fingerprint() -> None:
    def made(width: float) -> FunctionEngine:
        return FunctionEngine(lambda theta: -0.5 * (theta[0] / width) ** 2, ["mu"], version="1")

    assert made(1.0).fingerprint() == made(1.0).fingerprint()
    assert made(1.0).fingerprint() != made(2.0).fingerprint()


@pytest.mark.parametrize(
    ("names", "version", "message"),
    [
        (["a b"], "1", "no spaces"),
        (["a", "a"], "1", "must differ"),
        ([], "1", "at least one name"),
        ("mu", "1", "sequence"),
        (["a"], "", "version"),
    ],
)
def test_refuses_bad_names_and_versions(names: list[str], version: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FunctionEngine(gaussian, names, version=version)


def test_data_without_stable_bytes_are_refused() -> None:
    with pytest.raises(DataError, match="fingerprint"):
        engine(data={"f": object()})


def test_capabilities_are_offered_only_where_given() -> None:
    full, bare = engine(), FunctionEngine(gaussian, ["mu"], data=DATA, version="1")
    assert simulator_of(full) is not None
    assert simulator_of(bare) is None
    assert derived_of(bare) is None
    derived = derived_of(full)
    assert derived is not None
    assert np.array_equal(derived.many(np.array([[1.0], [3.0]])), [[2.0], [6.0]])
    assert compiled_of(full) is None
    assert domain_of(full) is None
    assert smooth_of(full) is full
    assert posterior_meta_of(full) == {}
    assert comparison_key_of(full) == full.fingerprint()
    with pytest.raises(ConfigError, match="without `simulate`"):
        bare.simulate(np.zeros(1), np.random.default_rng(1))


def test_with_data_keeps_the_rest() -> None:
    other = engine().with_data({"y": np.ones(3), "sigma": 1.0})
    assert other.log_likelihood(np.ones(1)) == 0.0
    assert other.parameters == ("mu",)


def test_default_priors() -> None:
    priors = PriorSet([Parameter("mu", Uniform(0, 1))])
    assert engine(default_priors=priors).default_priors() is priors
    with pytest.raises(ConfigError, match="without default_priors"):
        engine().default_priors()


def test_an_array_in_a_batch_row_is_refused() -> None:
    bad = FunctionEngine(lambda theta: np.zeros(2), ["mu"], version="1")
    with pytest.raises(LikelihoodError, match="instead of one real number"):
        bad.log_likelihood_many(np.zeros((2, 1)))


@kernel(LIKELIHOOD)
def minus_square_distance(theta, floats, ints, work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return -((theta[0] - floats[0]) ** 2)


def distance(theta: np.ndarray, data: float) -> float:
    return -((float(theta[0]) - data) ** 2)


def compiled_distance(data: float) -> CompiledLikelihood:
    return CompiledLikelihood(minus_square_distance, np.array([data]), np.empty(0, dtype=np.int64), workspace_size=0)


def test_a_compiled_form_follows_the_data_or_is_dropped_with_them() -> None:
    theta = np.array([1.0])
    follows = FunctionEngine(distance, ["x"], data=3.0, compiled=compiled_distance, version="1")
    assert compiled_of(follows)(theta) == -4.0  # type: ignore[misc]
    assert compiled_of(follows.with_data(5.0))(theta) == -16.0  # type: ignore[misc]
    fixed = FunctionEngine(distance, ["x"], data=3.0, compiled=compiled_distance(3.0), version="1")
    assert compiled_of(fixed)(theta) == -4.0  # type: ignore[misc]
    assert compiled_of(fixed.with_data(5.0)) is None
    assert fixed.fingerprint() != FunctionEngine(distance, ["x"], data=3.0, compiled=compiled_distance(4.0), version="1").fingerprint()
    with pytest.raises(ConfigError, match="compiled must be a CompiledLikelihood or a function of the data"):
        FunctionEngine(distance, ["x"], compiled="yes", version="1")  # type: ignore[arg-type]
