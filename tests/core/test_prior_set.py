"""A whole prior: order, fixed members, regions, replacement, samples, and its compiled form."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sciinf.core.compiled_priors import CompiledPrior
from sciinf.core.conditional import Affine, ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.joint_priors import Dirichlet, Joint, MultivariateNormal, OrderedUniform
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import PRIORS, Fixed, Gamma, Interpolated, LogUniform, Normal, NumberedPrior, Prior, StudentT, Triangular, Uniform
from sciinf.core.problem import Problem
from sciinf.core.region import of_arrays
from sciinf.numerics import prior_set_density, prior_set_transform

INF = math.inf


def everything() -> PriorSet:
    """Members of every sort, out of order by kind."""
    return PriorSet(
        [
            Parameter("a", Uniform(0, 2), unit="Hz", latex=r"\alpha"),
            Parameter("fixed_1", Fixed(7.0)),
            Parameter("b", Normal(1, 2)),
            Joint(("c_1", "c_2"), MultivariateNormal([0, 1], [[1, 0.5], [0.5, 2]]), units=("m", "s"), latex=("c_1", "")),
            Parameter("d", Uniform(-1, 1), periodic=True),
            Parameter("e", Interpolated([0, 1, 3], [1, 2, 0])),
            Parameter("f", ConditionalPrior(Normal, {"mean": Affine(0, {"b": 1, "fixed_1": 2}), "std": 1.0})),
            Joint(("g_1", "g_2", "g_3"), Dirichlet([1, 2, 3, 4])),
            Parameter("h", Uniform(0, 5)),
            Joint(("o_1", "o_2"), OrderedUniform(0, 1, 2)),
        ]
    )


def every_numbered_kind() -> PriorSet:
    arguments: dict[str, Any] = {
        "low": 0.2, "high": 0.9, "mean": 0.3, "std": 0.7, "mu": 0.1, "sigma": 0.4, "scale": 1.5, "shape": 2.5, "a": 1.5, "b": 2.5,
        "location": 0.1, "df": 3.0, "alpha": 1.5, "mode": 0.5, "reflect_at": 1.6,
    }  # fmt: skip
    kinds = {name: kind for name, kind in PRIORS.items() if issubclass(kind, NumberedPrior)}
    return PriorSet([Parameter(name, kind(**{key: arguments[key] for key in kind.number_names()})) for name, kind in kinds.items()])


SETS = {"everything": everything, "every kind": every_numbered_kind}
every_set = pytest.mark.parametrize("name", SETS)


def test_names_labels_and_fixed() -> None:
    priors = everything()
    assert priors.names == ("a", "b", "c_1", "c_2", "d", "e", "f", "g_1", "g_2", "g_3", "h", "o_1", "o_2")
    assert priors.n_dim == 13
    assert priors.fixed == {"fixed_1": 7.0}
    assert priors.latex[:4] == (r"\alpha", "b", "c_1", r"c\_2")
    assert priors.units[:5] == ("Hz", "", "m", "s", "")
    assert priors.periodic == (4,)
    assert priors.supports["a"] == (0.0, 2.0)
    assert priors.supports["c_2"] == (-INF, INF)
    assert priors.supports["g_3"] == (0.0, 1.0)
    assert tuple(priors.supports) == priors.names
    assert "fixed_1" not in priors.supports
    assert not priors.is_constrained
    assert (priors.log_mass, priors.log_mass_error) == (0.0, 0.0)
    assert repr(priors).startswith("PriorSet(a, b, c_1")


@every_set
def test_is_the_sum_of_its_members(name: str) -> None:
    priors = SETS[name]()
    unit = np.random.default_rng(1).random((20, priors.n_dim))
    thetas = priors.transform(unit)
    total, column = np.zeros(20), 0
    for member in priors.members:
        if isinstance(member, Joint):
            columns = slice(column, column + len(member.names))
            assert np.array_equal(thetas[:, columns], member.prior.transform(unit[:, columns]))
            total += member.prior.logpdf(thetas[:, columns])
            column += len(member.names)
        elif isinstance(member.prior, ConditionalPrior):
            given = {"b": thetas[:, 1], "fixed_1": 7.0}
            assert np.array_equal(thetas[:, column], member.prior.ppf(unit[:, column], given))
            total += member.prior.logpdf(thetas[:, column], given)
            column += 1
        elif not member.is_fixed:
            assert np.array_equal(thetas[:, column], member.prior.ppf(unit[:, column]))
            total += member.prior.logpdf(thetas[:, column])
            column += 1
    assert np.allclose(priors.log_prior(thetas), total, rtol=1e-13, atol=1e-13)


@every_set
def test_one_point_and_a_batch_agree_to_the_bit(name: str) -> None:
    """A row's bytes depend neither on its neighbours nor on its place."""
    priors = SETS[name]()
    unit = np.random.default_rng(2).random((67, priors.n_dim))
    thetas = priors.transform(unit)
    values = priors.log_prior(thetas)
    assert thetas.shape == unit.shape
    assert values.shape == (67,)
    assert np.array_equal(thetas, [priors.transform(row) for row in unit])
    assert np.array_equal(values, [priors.log_prior(row) for row in thetas])
    order = np.random.default_rng(3).permutation(67)
    assert np.array_equal(priors.transform(unit[order]), thetas[order])
    assert np.array_equal(priors.log_prior(thetas[order]), values[order])
    assert np.array_equal(priors.log_prior(thetas[:3]), values[:3])
    assert priors.log_prior(thetas[0]).shape == ()
    assert priors.transform(unit[0].tolist()).shape == (priors.n_dim,)


@every_set
def test_compiled_equals_stock(name: str) -> None:
    priors = SETS[name]()
    form = priors.compiled()
    assert isinstance(form, CompiledPrior)
    assert form is priors.compiled()
    assert form.floats.dtype == np.float64
    assert form.ints.dtype == np.int64
    unit = np.random.default_rng(4).random((60, priors.n_dim))
    for u, theta in zip(unit, priors.transform(unit), strict=True):
        found = np.empty(priors.n_dim)
        assert form.transform(u, form.floats, form.ints, found) == 0.0
        assert np.all(np.abs(found - theta) <= 1e-12 * np.maximum(1.0, np.abs(theta)))
        for point in (theta, theta + 0.7, theta - 3.0):
            value, expected = form.log_prior(point, form.floats, form.ints, np.empty(form.workspace_size)), float(priors.log_prior(point))
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert np.isnan(form.log_prior(np.full(priors.n_dim, np.nan), form.floats, form.ints, np.empty(0)))


def test_one_specialisation_serves_every_set() -> None:
    forms = [make().compiled() for make in SETS.values()]
    for form in forms:
        assert form is not None
        assert form.transform is prior_set_transform.transform
        assert form.log_prior is prior_set_density.log_prior
    assert len(prior_set_transform.transform.signatures) == len(prior_set_density.log_prior.signatures) == 1


def test_importing_a_prior_set_does_not_import_numba() -> None:
    code = "import sys, sciinf.core.prior_set, sciinf.core.priors; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@dataclass(frozen=True)
class Own(Prior):
    """A user's prior: uniform on [0, width]."""

    width: float

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, self.width

    def ppf(self, u: Any) -> np.ndarray:
        return np.asarray(u) * self.width

    def logpdf(self, x: Any) -> np.ndarray:
        return Uniform(0.0, self.width).logpdf(x)

    def cdf(self, x: Any) -> np.ndarray:
        return Uniform(0.0, self.width).cdf(x)


class Changed(Normal):
    """A built-in kind with a method changed: its parent's code would be wrong."""

    @staticmethod
    def quantiles(u: Any, mean: Any, std: Any, log_norm: Any) -> Any:
        return mean + std * u


def test_a_prior_of_one_s_own_serves_and_leaves_no_compiled_form() -> None:
    priors = PriorSet([Parameter("x", Own(4.0)), Parameter("y", Uniform(0, 1))])
    assert priors.transform(np.array([0.25, 0.5])).tolist() == [1.0, 0.5]
    assert float(priors.log_prior(np.array([1.0, 0.5]))) == pytest.approx(-math.log(4))
    assert priors.describe()["members"][0]["prior"] == {"kind": "Own", "width": 4.0}  # type: ignore[index]
    assert priors.compiled() is None
    changed = PriorSet([Parameter("x", Changed(0.0, 1.0))])
    assert changed.transform(np.array([0.25])).tolist() == [0.25]
    assert changed.compiled() is None


def test_outside_the_cube_is_nan_and_outside_the_support_minus_infinity() -> None:
    priors = PriorSet([Parameter("x", Uniform(0, 2)), Parameter("y", Normal(0, 1))])
    theta = priors.transform(np.array([[0.5, 1.5], [-0.1, 0.5], [0.5, np.nan]]))
    assert np.array_equal(theta, [[1.0, np.nan], [np.nan, 0.0], [1.0, np.nan]], equal_nan=True)
    values = priors.log_prior(np.array([[2.1, 0.0], [1.0, np.nan], [np.nan, 0.0], [1.0, INF]]))
    assert np.array_equal(values, [-INF, np.nan, np.nan, -INF], equal_nan=True)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 1)])
def test_points_of_the_wrong_length_are_refused(shape: tuple[int, ...]) -> None:
    priors = PriorSet([Parameter("x", Uniform(0, 2)), Parameter("y", Normal(0, 1))])
    for method in (priors.transform, priors.log_prior, priors.inside):
        with pytest.raises(ConfigError, match=r"2 entries \(x, y\), got shape"):
            method(np.zeros(shape))


def test_samples_are_draws_of_the_prior() -> None:
    priors = everything()
    draws = priors.sample(np.random.default_rng(5), 3000)
    assert np.array_equal(draws, priors.sample(np.random.default_rng(5), 3000))
    assert stats.kstest(draws[:, 1], stats.norm(1, 2).cdf).pvalue > 1e-4
    assert stats.kstest(draws[:, 6] - draws[:, 1] - 14.0, stats.norm.cdf).pvalue > 1e-4
    assert np.all(priors.log_prior(draws) > -INF)
    assert priors.sample(np.random.default_rng(5), 0).shape == (0, 13)


# replace


def test_replace_keeps_order_and_labels() -> None:
    priors = everything().replace(a=Normal(5, 1), fixed_1=Uniform(0, 1), h=Fixed(2.0))
    assert priors.names == ("a", "fixed_1", "b", "c_1", "c_2", "d", "e", "f", "g_1", "g_2", "g_3", "o_1", "o_2")
    assert priors.fixed == {"h": 2.0}
    assert priors.latex[0] == r"\alpha"
    assert priors.units[0] == "Hz"
    assert priors.periodic == (5,)
    assert priors.transform(np.full(13, 0.5))[0] == 5.0
    assert everything().names[0] == "a"  # the original is as it was


def test_replace_refuses_unknown_names_and_parts_of_a_joint_prior() -> None:
    priors = everything()
    with pytest.raises(PriorError, match=r"no parameter 'c_3' to replace: did you mean .*'c_2'\?"):
        priors.replace(c_3=Uniform(0, 1))
    with pytest.raises(PriorError, match=r"c_1: one member of a joint prior cannot be replaced alone. MultivariateNormal holds c_1, c_2"):
        priors.replace(c_1=Uniform(0, 1))
    free = priors.replace(c_1=Uniform(0, 1), c_2=Fixed(3.0))
    assert free.fixed == {"fixed_1": 7.0, "c_2": 3.0}
    assert free.supports["c_1"] == (0.0, 1.0)
    assert free.units[2] == "m"
    with pytest.raises(PriorError, match="finite support"):
        priors.replace(d=Normal(0, 1))  # d is periodic


# what is refused


def test_equal_names_and_other_objects_are_refused() -> None:
    with pytest.raises(ConfigError, match="names must differ, got x more than once"):
        PriorSet([Parameter("x", Uniform(0, 1)), Parameter("x", Normal(0, 1))])
    with pytest.raises(ConfigError, match="got y more than once"):
        PriorSet([Parameter("y", Uniform(0, 1)), Joint(("x", "y"), OrderedUniform(0, 1, 2))])
    with pytest.raises(ConfigError, match="holds Parameter and Joint members, got Uniform"):
        PriorSet([Uniform(0, 1)])  # type: ignore[list-item]


def test_zero_sampled_parameters() -> None:
    """The set exists, since a default may be all fixed; a problem with nothing to sample does not."""
    priors = PriorSet([Parameter("x", Fixed(1.0))])
    assert priors.n_dim == 0
    assert priors.transform(np.empty((4, 0))).shape == (4, 0)
    assert priors.log_prior(np.empty(0)) == 0.0
    engine = FunctionEngine(_flat, ["x"], version="1")
    with pytest.raises(ConfigError, match="every parameter is fixed"):
        Problem(engine, priors)


def _flat(theta: np.ndarray) -> float:
    return 0.0


# description


@every_set
def test_pickles_and_describes(name: str) -> None:
    priors = SETS[name]()
    priors.compiled()
    copy = pickle.loads(pickle.dumps(priors))
    unit = np.random.default_rng(6).random((5, priors.n_dim))
    assert np.array_equal(copy.transform(unit), priors.transform(unit))
    described = priors.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert sha256_of(copy.describe()) == sha256_of(described) == sha256_of(SETS[name]().describe())


def test_the_description_changes_with_anything_that_changes_the_prior() -> None:
    base = PriorSet([Parameter("x", Uniform(0, 1)), Parameter("y", Uniform(0, 1))])
    others = [
        base,
        base.replace(x=Uniform(0, 2)),
        base.replace(x=Fixed(0.5)),
        PriorSet(base.members[::-1]),
        PriorSet([Parameter("x", Uniform(0, 1), periodic=True), base.members[1]]),
        PriorSet([Joint(("x", "y"), OrderedUniform(0, 1, 2))]),
        constrained(base, "r", below, 1, mass=0.5),
        constrained(base, "r", below, 2, mass=0.5),
        constrained(base, "s", below, 1, mass=0.5),
        constrained(base, "r", below, 1),
        constrained(base, "r", below_vector, 1, mass=0.5),
    ]
    assert len({sha256_of(priors.describe()) for priors in others}) == len(others)
    labelled = PriorSet([Parameter("x", Uniform(0, 1), unit="m", latex="x"), base.members[1]])
    assert sha256_of(labelled.describe()) == sha256_of(base.describe())


# regions


def below(x: float, y: float) -> bool:
    return x < y


def below_vector(theta: np.ndarray) -> np.ndarray:
    return np.asarray(theta[..., 0] < theta[..., 1])


@numba.njit
def below_compiled(x, y):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return x < y


@numba.njit
def below_vector_compiled(theta):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return theta[0] < theta[1]


@numba.njit
def within_fixed(y, radius):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return y * y < radius


def nowhere(x: float) -> bool:
    return x < -1.0


def rare(x: float) -> bool:
    return x < 1e-9


def broken(x: float) -> bool:
    raise ZeroDivisionError("division")


def one_value(theta: np.ndarray) -> bool:
    return bool(theta[0][0] < 1)


def square(**other: Prior) -> PriorSet:
    return PriorSet(
        [Parameter("x", other.get("x", Uniform(0, 1))), Parameter("radius", Fixed(0.25)), Parameter("y", other.get("y", Uniform(0, 1)))]
    )


PREDICATES = {"names": below, "vector": below_vector, "compiled names": below_compiled, "compiled vector": below_vector_compiled}


@pytest.mark.parametrize("name", PREDICATES)
def test_a_region_cuts_and_normalises(name: str) -> None:
    priors = constrained(square(), "below", PREDICATES[name], version=1, mass=0.5)
    assert priors.is_constrained
    assert priors.log_mass == math.log(0.5)
    assert priors.log_mass_error == 0.0
    thetas = np.array([[0.2, 0.4], [0.4, 0.2], [0.2, 1.4], [np.nan, 0.4]])
    assert np.array_equal(priors.inside(thetas[:3]), [True, False, True])
    assert priors.inside(thetas[0]).shape == ()
    assert np.array_equal(priors.log_prior(thetas), [math.log(2), -INF, -INF, np.nan], equal_nan=True)
    assert np.array_equal([priors.log_prior(row) for row in thetas], priors.log_prior(thetas), equal_nan=True)
    assert np.array_equal(priors.transform(thetas[:2]), square().transform(thetas[:2]))  # the map knows no region
    draws = priors.sample(np.random.default_rng(7), 2000)
    assert draws.shape == (2000, 2)
    assert np.all(draws[:, 0] < draws[:, 1])
    assert stats.kstest(draws[:, 1], lambda y: y**2).pvalue > 1e-4  # the marginal of the upper triangle
    assert priors.names == ("x", "y")
    assert repr(priors) == "PriorSet(x, y, inside 'below')"
    copy = pickle.loads(pickle.dumps(priors))
    assert np.array_equal(copy.log_prior(thetas), priors.log_prior(thetas), equal_nan=True)


@pytest.mark.parametrize("predicate", [below, below_vector])
def test_a_plain_predicate_leaves_no_compiled_form(predicate: Any) -> None:
    assert constrained(square(), "below", predicate, version=1, mass=0.5).compiled() is None
    mixed = constrained(constrained(square(), "below", predicate, 1, mass=0.5), "quarter", within_fixed, 1, mass=0.25)
    assert mixed.compiled() is None


CALLS: list[tuple[int, ...]] = []


@of_arrays
def below_arrays(x: Any, y: Any) -> Any:
    CALLS.append(np.shape(x))
    return x < y


def test_the_mass_is_estimated_once_with_its_error() -> None:
    """Within 5 of its standard errors, the same each time, and the error is the spread over other streams."""
    priors = constrained(square(), "quarter", within_fixed, version=1)  # y < 1/2
    error = priors.log_mass_error
    assert 0.0 < error < 0.005
    assert abs(priors.log_mass - math.log(0.5)) < 5 * error
    assert constrained(square(), "quarter", within_fixed, version=1).log_mass == priors.log_mass
    estimates = [constrained(square(), f"quarter {i}", within_fixed, version=1).log_mass for i in range(24)]
    spread = float(np.std(np.array(estimates) - math.log(0.5)))
    assert 0.5 < spread / error < 1.6  # 24 draws: 14 % error of the spread, 4 sigma


def test_the_mass_is_drawn_when_it_is_needed_and_travels_along() -> None:
    CALLS.clear()
    priors = constrained(square(), "below", below_arrays, version=1)
    assert CALLS == [(4096,)] * 4  # that some draws lie inside
    described, moved = priors.describe(), pickle.loads(pickle.dumps(priors))
    CALLS.clear()
    assert moved.log_mass == priors.log_mass == constrained(square(), "below", below, version=1).log_mass
    assert not CALLS
    assert priors.describe() == described
    again = constrained(priors, "quarter", within_fixed, version=1)
    assert again.log_mass - priors.log_mass == pytest.approx(math.log(0.25), abs=5 * again.log_mass_error)  # P(y < 1/2 given x < y)
    assert again.log_mass_error > priors.log_mass_error


def test_regions_stack_and_compile() -> None:
    """One predicate that takes theta, one that takes names (one of them fixed): of the triangle x < y the part y < 1/2 is a quarter."""
    first = constrained(square(), "below", below_vector_compiled, version=1, mass=0.5)
    both = constrained(first, "quarter", within_fixed, version=1)
    assert abs(both.log_mass - math.log(0.125)) < 5 * both.log_mass_error
    assert [region.name for region in both.regions] == ["below", "quarter"]
    assert constrained(first, "quarter", within_fixed, version=1, mass=0.25).log_mass == pytest.approx(math.log(0.125))
    draws = both.sample(np.random.default_rng(9), 500)
    assert np.all((draws[:, 0] < draws[:, 1]) & (draws[:, 1] < 0.5))
    form = both.compiled()
    assert form is not None
    corners = np.array([[0.1, 0.2], [0.2, 0.1], [0.1, 0.6], [1.1, 1.2], [np.nan, 0.2]])
    for theta in np.concatenate([draws[:20], corners]):
        expected = float(both.log_prior(theta))
        assert form.log_prior(theta, form.floats, form.ints, np.empty(0)) == pytest.approx(expected, rel=1e-13, nan_ok=True)
    for u in np.random.default_rng(8).random((20, 2)):
        theta = np.empty(2)
        form.transform(u, form.floats, form.ints, theta)
        assert np.array_equal(theta, both.transform(u))


def test_replace_estimates_the_mass_anew() -> None:
    priors = constrained(square(), "below", below, version=1, mass=0.5).replace(x=Uniform(0, 0.5))  # P(x < y) = 3/4
    assert priors.is_constrained
    assert abs(priors.log_mass - math.log(0.75)) < 5 * priors.log_mass_error
    fixed = constrained(square(), "below", below, version=1, mass=0.5).replace(x=Fixed(0.25))
    assert fixed.names == ("y",)
    assert np.array_equal(fixed.inside(np.array([[0.2], [0.3]])), [False, True])
    with pytest.raises(PriorError, match="reads theta by position, and the sampled parameters would change from x, y to y"):
        constrained(square(), "below", below_vector, version=1).replace(x=Fixed(0.25))


def test_a_constrained_problem_calls_its_engine_inside_only() -> None:
    problem = Problem(FunctionEngine(_refuses_above, ["x", "radius", "y"], version="1"), constrained(square(), "below", below, 1, mass=0.5))
    assert problem.log_likelihood(np.array([0.4, 0.2])) == -INF
    assert problem.log_likelihood_many(np.array([[0.4, 0.2], [0.2, 0.4]])).tolist() == [-INF, 1.0]


def _refuses_above(theta: np.ndarray) -> float:
    if theta[0] >= theta[2]:
        raise AssertionError("called outside the region")
    return 1.0


def test_a_shifted_region_is_refused_by_its_given_mass() -> None:
    """The 4,096 draws see a mass that is wrong by a tenth, and let the right one pass."""
    assert constrained(square(), "quarter", within_fixed, version=1, mass=0.5).log_mass == math.log(0.5)
    with pytest.raises(PriorError, match=r"mass=0.6 was given, but \d+ of 4096 prior draws lie inside"):
        constrained(square(), "quarter", within_fixed, version=1, mass=0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r", lambda x: True, 1), "region 'r': the predicate must be a function defined at the top level of a module, not a lambda"),
        (("r", "below", 1), "must be a function"),
        (("", below, 1), "name must be a non-empty string"),
        (("r", below, ""), "version must be a non-empty string or an integer"),
        (("r", below, 1.5), "version must be"),
        (("r", below, 1, 0.0), r"mass must lie in \(0, 1\], got 0.0"),
        (("r", below, 1, 1.5), "got 1.5"),
        (("r", nowhere, 1), r"none of 1003520 prior draws lies inside"),
        (("r", broken, 1), "the predicate raised ZeroDivisionError: division"),
        (("r", one_value, 1), r"booleans of shape \(4096,\) for theta of shape \(4096, 2\), got shape \(\); write theta\[..., i\]"),
    ],
)
def test_refuses(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(PriorError, match=message):
        constrained(square(), *arguments)


def test_a_predicate_s_arguments_are_parameters() -> None:
    priors = PriorSet([Parameter("xx", Uniform(0, 1)), Parameter("y", Uniform(0, 1))])
    with pytest.raises(PriorError, match=r"the predicate's argument 'x' is no parameter: (allowed|did you mean)"):
        constrained(priors, "below", below, 1)

    def local(x: float) -> bool:
        return x > 0

    with pytest.raises(PriorError, match="not a lambda, closure"):
        constrained(square(), "local", local, 1)


def test_a_region_too_small_to_draw_from_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    priors = constrained(square(), "rare", rare, 1, mass=1e-9)
    monkeypatch.setattr("sciinf.core.prior_set._MASS_DRAWS", 2000)
    monkeypatch.setattr("sciinf.core.prior_set._LEAST_ACCEPTANCE", 1e-2)
    with pytest.raises(PriorError, match=r"region 'rare': 0 of \d+ prior draws lie inside"):
        priors.sample(np.random.default_rng(10), 1)


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(5)), st.integers(0, 1000))
def test_members_may_be_permuted(order: list[int], seed: int) -> None:
    """The density does not depend on the order in which members are given; groups of one kind are put together inside."""
    members = [
        Parameter("a", Uniform(0, 2)),
        Parameter("b", Normal(0, 1)),
        Parameter("c", Uniform(-3, 1)),
        Parameter("d", Gamma(2, 1)),
        Parameter("e", StudentT(4)),
    ]
    base, other = PriorSet(members), PriorSet([members[i] for i in order])
    unit = np.random.default_rng(seed).random(5)
    assert np.array_equal(other.transform(unit[order]), base.transform(unit)[order])
    assert float(other.log_prior(other.transform(unit[order]))) == pytest.approx(float(base.log_prior(base.transform(unit))), rel=1e-13)


def test_groups_of_scattered_columns() -> None:
    priors = PriorSet(
        [Parameter(f"p{i}", [Uniform(0, i + 1.0), LogUniform(1, i + 2.0), Triangular(0, 1, i + 2.0)][i % 3]) for i in range(9)]
    )
    unit = np.random.default_rng(11).random((4, 9))
    expected = np.stack([member.prior.ppf(unit[:, i]) for i, member in enumerate(priors.members)], axis=-1)  # type: ignore[union-attr,call-arg,arg-type]
    assert np.array_equal(priors.transform(unit), expected)


def test_a_predicate_of_arrays_is_called_once_for_a_batch() -> None:
    plain = constrained(square(), "below", below, version=1)
    many = constrained(square(), "below", below_arrays, version=1)
    assert many.log_mass == plain.log_mass
    points = np.random.default_rng(3).random((50, 2))
    CALLS.clear()
    assert np.array_equal(many.inside(points), plain.inside(points))
    assert CALLS == [(50,)]
    assert many.inside(points[0]) == plain.inside(points[0])
    assert many.inside(points[:0]).shape == (0,)
