"""Conditional priors: triangles, correlated regions and functions, exact in the cube, normalised, and the same when compiled."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from sciinf.core.conditional import Affine, ConditionalPrior, module_level_name
from sciinf.core.errors import PriorError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.joint_priors import Joint, OrderedUniform
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import PRIORS, Fixed, Interpolated, LogUniform, Normal, NumberedPrior, PowerLaw, TruncatedNormal, Uniform
from sciinf.numerics.prior_set_layout import CONDITIONAL

INF = math.inf


def band_plain(given: np.ndarray, numbers: np.ndarray) -> None:
    """Uniform on [x^2, 1]."""
    numbers[0], numbers[1] = given[0] ** 2, 1.0


@numba.njit(CONDITIONAL)
def band_compiled(given, numbers):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Uniform on [x^2, 1]."""
    numbers[0], numbers[1] = given[0] ** 2, 1.0


@numba.njit
def width_compiled(given, numbers):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Normal with mean x + c and standard deviation exp(y)."""
    numbers[0], numbers[1] = given[0] + given[2], math.exp(given[1])


def triangle() -> PriorSet:
    """x with density 2 (1 - x), y uniform above it: flat on the triangle x < y."""
    y = ConditionalPrior(Uniform, {"low": Affine(0.0, {"x": 1.0}), "high": 1.0})
    return PriorSet([Parameter("x", PowerLaw(1.0, 0.0, 1.0, reflect_at=1.0)), Parameter("y", y)])


def search_band() -> PriorSet:
    """Spacing d, start a and end b of a band of at least ten spacings within [20, 120] Hz, uniform over what is allowed (R = 6 Hz).

    The marginal of d is proportional to (100 - 10 d)^2, that of a given d to 120 - 10 d - a, and b is uniform.
    """
    a = ConditionalPrior(
        PowerLaw, {"alpha": 1.0, "low": 20.0, "high": Affine(120.0, {"d": -10.0}), "reflect_at": Affine(120.0, {"d": -10.0})}
    )
    b = ConditionalPrior(Uniform, {"low": Affine(0.0, {"a": 1.0, "d": 10.0}), "high": 120.0})
    return PriorSet([Parameter("d", PowerLaw(2.0, 1.5, 6.0, reflect_at=10.0)), Parameter("a", a), Parameter("b", b)])


def sunyaev_zeldovich() -> PriorSet:
    """N(ksz + 1.6 A; 9.5, 3) on the box [0, 10]^2: A from its tabulated marginal, then ksz as a truncated normal."""
    amplitude = np.linspace(0.0, 10.0, 2001)
    centre = 9.5 - 1.6 * amplitude
    marginal = stats.norm.cdf((10.0 - centre) / 3.0) - stats.norm.cdf(-centre / 3.0)
    ksz = ConditionalPrior(TruncatedNormal, {"mean": Affine(9.5, {"A_sz": -1.6}), "std": 3.0, "low": 0.0, "high": 10.0})
    return PriorSet([Parameter("A_sz", Interpolated(amplitude, marginal)), Parameter("ksz_norm", ksz)])


def by_function(function: Any = band_compiled) -> PriorSet:
    y = ConditionalPrior(Uniform, function, given=("x",), version="1", support=(0.0, 1.0))
    return PriorSet([Parameter("x", Uniform(0.0, 1.0)), Parameter("y", y)])


def chained() -> PriorSet:
    """Two functions, a fixed number among what they read, and an affine member behind them."""
    z = ConditionalPrior(Normal, width_compiled, given=("y", "x", "c"), version="1")
    y = ConditionalPrior(Uniform, band_compiled, given=("x",), version="1")
    w = ConditionalPrior(Normal, {"mean": Affine(1.0, {"z": 2.0, "c": 3.0}), "std": 0.5})
    members = [Parameter("c", Fixed(4.0)), Parameter("x", Uniform(0, 1)), Parameter("y", y), Parameter("z", z), Parameter("w", w)]
    return PriorSet(members)


SETS = {"triangle": triangle, "band": search_band, "sz": sunyaev_zeldovich, "function": by_function, "chained": chained}
every_set = pytest.mark.parametrize("name", SETS)


def test_a_flat_triangle_is_flat() -> None:
    priors = triangle()
    thetas = priors.sample(np.random.default_rng(1), 500)
    assert np.allclose(priors.log_prior(thetas), math.log(2.0), atol=1e-12)
    assert np.all(thetas[:, 0] <= thetas[:, 1])
    assert priors.log_prior(np.array([0.5, 0.4])) == -INF
    assert priors.supports == {"x": (0.0, 1.0), "y": (0.0, 1.0)}


def test_the_search_band_is_flat_and_inside() -> None:
    """Its volume is int_{1.5}^{6} (100 - 10 d)^2 / 2 dd = (85^3 - 40^3) / 60."""
    priors = search_band()
    d, a, b = priors.sample(np.random.default_rng(2), 2000).T
    assert np.all((a >= 20) & (b <= 120) & (b - a >= 10 * d * (1 - 1e-12)))
    assert np.allclose(priors.log_prior(np.column_stack([d, a, b])), -math.log((85**3 - 40**3) / 60), atol=1e-10)
    assert priors.supports == {"d": (1.5, 6.0), "a": (20.0, 105.0), "b": (35.0, 120.0)}


def test_the_sz_prior_is_the_normal_on_its_box() -> None:
    """Against the joint density normalised by quadrature; the table's linear interpolation costs 1e-6."""

    def density(ksz: float, amplitude: float) -> float:
        return float(stats.norm.pdf(ksz + 1.6 * amplitude, 9.5, 3.0))

    norm = integrate.dblquad(density, 0, 10, 0, 10, epsabs=1e-10)[0]
    priors = sunyaev_zeldovich()
    for amplitude, ksz in ((0.0, 0.0), (4.0, 5.0), (7.08, 0.5), (9.9, 9.9)):
        expected = math.log(density(ksz, amplitude) / norm)
        assert float(priors.log_prior(np.array([amplitude, ksz]))) == pytest.approx(expected, abs=2e-6)
    assert priors.log_prior(np.array([4.0, 10.1])) == -INF
    amplitude, ksz = priors.sample(np.random.default_rng(3), 20_000).T
    combination = ksz + 1.6 * amplitude
    mean = integrate.dblquad(lambda k, a: (k + 1.6 * a) * density(k, a), 0, 10, 0, 10, epsabs=1e-10)[0] / norm
    assert abs(combination.mean() - mean) < 5 * combination.std() / math.sqrt(20_000)


@every_set
def test_cube_map_s_jacobian_is_the_density(name: str) -> None:
    """The map is triangular, so the product of d theta_i / d u_i is its Jacobian: minus its logarithm is the density."""
    priors, step = SETS[name](), 1e-5
    for unit in 0.1 + 0.8 * np.random.default_rng(4).random((10, priors.n_dim)):
        shifts = step * np.eye(priors.n_dim)
        slopes = np.diag(priors.transform(unit + shifts) - priors.transform(unit - shifts)) / (2 * step)
        assert -np.sum(np.log(slopes)) == pytest.approx(float(priors.log_prior(priors.transform(unit))), abs=2e-5)


@every_set
def test_compiled_equals_stock(name: str) -> None:
    priors = SETS[name]()
    form = priors.compiled()
    assert form is not None
    unit = np.random.default_rng(5).random((40, priors.n_dim))
    for u, theta in zip(unit, priors.transform(unit), strict=True):
        found = np.empty(priors.n_dim)
        form.transform(u, form.floats, form.ints, found)
        assert found == pytest.approx(theta, rel=1e-12, abs=1e-12)
        for point in (theta, theta + 0.3, theta - 5.0, np.where(np.arange(priors.n_dim) == 0, np.nan, theta)):
            expected = float(priors.log_prior(point))
            value = form.log_prior(point, form.floats, form.ints, np.empty(0))
            assert value == pytest.approx(expected, rel=1e-11, abs=1e-11, nan_ok=True)


@every_set
def test_one_point_and_a_batch_agree_to_the_bit(name: str) -> None:
    priors = SETS[name]()
    unit = np.random.default_rng(6).random((33, priors.n_dim))
    thetas = priors.transform(unit)
    assert np.array_equal(thetas, [priors.transform(row) for row in unit])
    assert np.array_equal(priors.log_prior(thetas), [priors.log_prior(row) for row in thetas])


@every_set
def test_pickles_and_describes(name: str) -> None:
    priors = SETS[name]()
    copy = pickle.loads(pickle.dumps(priors))
    assert np.array_equal(copy.transform(np.full(priors.n_dim, 0.3)), priors.transform(np.full(priors.n_dim, 0.3)))
    described = priors.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert sha256_of(copy.describe()) == sha256_of(described)


def test_a_changed_coefficient_or_version_changes_the_fingerprint() -> None:
    def described(coefficient: float, version: str) -> str:
        x = ConditionalPrior(Uniform, {"low": Affine(0.0, {"x": coefficient}), "high": 9.0})
        y = ConditionalPrior(Uniform, band_plain, given=("x",), version=version)
        return sha256_of(x.describe(), y.describe())

    assert len({described(1.0, "1"), described(1.1, "1"), described(1.0, "2")}) == 3


@pytest.mark.parametrize("kind", [kind for kind in dict.fromkeys(PRIORS.values()) if issubclass(kind, NumberedPrior)])
def test_every_kind_given_by_numbers_may_be_conditional(kind: type[NumberedPrior]) -> None:
    """A number that a parameter shifts gives the density and quantile of the shifted prior, stock and compiled."""
    base = {
        "low": 0.2, "high": 0.9, "mean": 0.3, "std": 0.7, "mu": 0.1, "sigma": 0.4, "scale": 1.5, "shape": 2.5, "a": 1.5, "b": 2.5,
        "location": 0.1, "df": 3.0, "alpha": 1.5, "mode": 0.5, "reflect_at": 1.6,
    }  # fmt: skip
    names = kind.number_names()
    moved = names[-1]
    prior = ConditionalPrior(kind, {name: Affine(base[name], {"x": 0.1}) if name == moved else base[name] for name in names})
    priors = PriorSet([Parameter("x", Uniform(0.0, 1.0)), Parameter("y", prior)])
    form = priors.compiled()
    assert form is not None
    for x in (0.0, 0.4, 1.0):
        plain = kind(**{name: base[name] + 0.1 * x if name == moved else base[name] for name in names})
        for u in (0.05, 0.5, 0.95):
            theta = priors.transform(np.array([x, u]))
            assert theta[1] == pytest.approx(float(plain.ppf(u)), rel=1e-13)
            assert float(priors.log_prior(theta)) == pytest.approx(float(plain.logpdf(theta[1])), rel=1e-13, abs=1e-14)
            found = np.empty(2)
            form.transform(np.array([x, u]), form.floats, form.ints, found)
            assert found == pytest.approx(theta, rel=1e-12)
            value = form.log_prior(theta, form.floats, form.ints, np.empty(0))
            assert value == pytest.approx(float(plain.logpdf(theta[1])), rel=1e-12, abs=1e-12)
        if x == 0.4:  # numbers that define no density: zero, in both forms
            bad = PriorSet([Parameter("x", Uniform(0.0, 1.0)), Parameter("y", ConditionalPrior(kind, _spoiled(names, base)))])
            bad_form = bad.compiled()
            assert bad_form is not None
            assert bad.log_prior(np.array([1.0, 0.5])) == -INF
            assert bad_form.log_prior(np.array([1.0, 0.5]), bad_form.floats, bad_form.ints, np.empty(0)) == -INF


def _spoiled(names: tuple[str, ...], base: dict[str, float]) -> dict[str, Any]:
    """Numbers that are fine at x = 0 and define no density at x = 1."""
    wrong = {"high": -90.0, "std": -9.0, "sigma": -9.0, "scale": -9.0, "b": -9.0}
    key = next(name for name in ("high", "std", "sigma", "scale", "b") if name in names)
    return {name: Affine(base[name], {"x": wrong[key]}) if name == key else base[name] for name in names}


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 0.99), st.floats(0.0, 1.0), st.floats(-2, 2))
def test_edges_of_a_triangle_have_a_quantile(u: float, x: float, slope: float) -> None:
    """Where the interval shrinks to a point, the point; where it would be reversed, an error that says so."""
    prior = ConditionalPrior(Uniform, {"low": Affine(0.0, {"x": 1.0}), "high": Affine(0.0, {"x": slope})})
    value = float(prior.ppf(u, {"x": x}))
    if slope * x > x:
        assert x <= value <= slope * x
        assert math.isfinite(float(prior.logpdf(value, {"x": x})))
    elif slope * x >= x * (1.0 - 3.0 * 2.0**-52):
        assert value == slope * x
        assert float(prior.logpdf(value, {"x": x})) == -INF
    elif slope * x < x * (1.0 - 5.0 * 2.0**-52):
        assert math.isnan(value)


def test_an_edge_reversed_by_rounding_is_an_edge() -> None:
    """The corner u = 1 of a search band: b's interval shrinks to a point, and a + 10 d may round to a number above its end."""
    end, coefficients = 0.08443334349422939, {"a": 1.0, "d": 10.0}
    top = Affine(end, {"d": -10.0})
    a = ConditionalPrior(PowerLaw, {"alpha": 1.0, "low": 0.0, "high": top, "reflect_at": top})
    b = ConditionalPrior(Uniform, {"low": Affine(0.0, coefficients), "high": end})
    priors = PriorSet([Parameter("d", Uniform(0.0006, 0.0023)), Parameter("a", a), Parameter("b", b)])
    form = priors.compiled()
    assert form is not None
    unit = np.random.default_rng(8).random((500, 3))
    unit[:, 1] = 1.0
    thetas = priors.transform(unit)
    over = thetas[:, 1] + 10.0 * thetas[:, 0] > end
    assert 10 < over.sum() < 490
    assert np.all(thetas[over, 2] == end)
    for u, theta in zip(unit[over], thetas[over], strict=True):
        found = np.empty(3)
        form.transform(u, form.floats, form.ints, found)
        assert found == pytest.approx(theta, rel=1e-13)


def test_a_reversed_interval_stops_with_its_numbers() -> None:
    y = ConditionalPrior(Uniform, {"low": Affine(0.0, {"x": 1.0}), "high": 0.5})
    priors = PriorSet([Parameter("x", Uniform(0.0, 1.0)), Parameter("y", y)])
    assert priors.transform(np.array([0.25, 0.5])).tolist() == [0.25, 0.375]
    with pytest.raises(PriorError, match=r"'y' is no density at x=0.75: Uniform needs finite low < high, got low=0.75, high=0.5"):
        priors.transform(np.array([[0.25, 0.5], [0.75, 0.5]]))
    assert priors.log_prior(np.array([0.75, 0.6])) == -INF
    form = priors.compiled()
    assert form is not None
    theta = np.empty(2)
    form.transform(np.array([0.75, 0.5]), form.floats, form.ints, theta)  # kernels never raise
    assert np.isnan(theta[1])
    assert np.isnan(priors.transform(np.array([math.nan, 0.5]))).all()
    assert np.isnan(priors.transform(np.array([0.2, 1.5]))[1])


def test_earlier_parameters_may_be_fixed_or_joint() -> None:
    y = ConditionalPrior(Normal, {"mean": Affine(1.0, {"b": 2.0, "c": 10.0}), "std": 1.0})
    priors = PriorSet([Joint(("a", "b"), OrderedUniform(0, 1, 2)), Parameter("c", Fixed(3.0)), Parameter("y", y)])
    theta = priors.transform(np.array([0.5, 0.25, 0.5]))
    assert theta[2] == pytest.approx(1.0 + 2.0 * theta[1] + 30.0)
    form = priors.compiled()
    assert form is not None
    assert form.log_prior(theta, form.floats, form.ints, np.empty(0)) == pytest.approx(float(priors.log_prior(theta)), rel=1e-13)
    freed = priors.replace(c=Uniform(2.0, 4.0))
    assert freed.names == ("a", "b", "c", "y")
    assert freed.transform(np.array([0.5, 0.25, 0.5, 0.5]))[3] == pytest.approx(theta[2])


@pytest.mark.parametrize("order", [["y", "x"], ["y"]])
def test_reads_only_what_comes_before(order: list[str]) -> None:
    members = {"x": Parameter("x", Uniform(0, 1)), "y": Parameter("y", ConditionalPrior(Uniform, {"low": Affine(0, {"x": 1}), "high": 2}))}
    with pytest.raises(PriorError, match="'y' reads 'x', which does not come before it; before it come: none"):
        PriorSet([members[name] for name in order])


def test_bounds_follow_from_the_supports() -> None:
    number = Affine(1.0, {"x": 2.0, "y": -3.0, "z": 0.0})
    supports = {"x": (0.0, 1.0), "y": (-1.0, 2.0), "z": (-INF, INF)}
    assert number.bounds(supports) == (-5.0, 6.0)
    assert Affine(0.0, {"z": 1.0}).bounds(supports) == (-INF, INF)
    prior = ConditionalPrior(LogUniform, {"low": Affine(1.0, {"x": 1.0}), "high": Affine(5.0, {"x": 1.0})})
    assert prior.support_within(supports) == (1.0, 6.0)
    assert ConditionalPrior(Normal, {"mean": number, "std": 1.0}).support_within(supports) == (-INF, INF)
    assert ConditionalPrior(Uniform, band_plain, given=("x",), version="1").support_within(supports) == (-INF, INF)
    assert by_function().supports["y"] == (0.0, 1.0)


def test_a_plain_function_leaves_no_compiled_form() -> None:
    plain, compiled = by_function(band_plain), by_function(band_compiled)
    assert plain.compiled() is None
    unit = np.random.default_rng(7).random((20, 2))
    assert np.array_equal(plain.transform(unit), compiled.transform(unit))
    assert np.array_equal(plain.log_prior(unit), compiled.log_prior(unit))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConditionalPrior(Interpolated, {}), r"kind must be a class of prior given by numbers, such as Uniform, got"),  # type: ignore[arg-type]
        (lambda: ConditionalPrior(Uniform(0, 1), {}), r"kind must be a class"),  # type: ignore[arg-type]
        (lambda: ConditionalPrior(Uniform, {"lo": 0.0, "high": 1.0}), r"Uniform has no number 'lo': did you mean 'low'\?"),
        (lambda: ConditionalPrior(Uniform, {"low": 0.0}), r"Uniform needs the number 'high'; it was given low"),
        (lambda: ConditionalPrior(Uniform, {"low": 0.0, "high": math.nan}), r"high=nan"),
        (lambda: ConditionalPrior(Uniform, {"low": 0.0, "high": "x"}), r"high must be a real number, got 'x'"),  # type: ignore[dict-item]
        (lambda: ConditionalPrior(Uniform, {"low": 0.0, "high": 1.0}, given=("x",)), r"Affine numbers name their parameters themselves"),
        (lambda: ConditionalPrior(Uniform, band_plain), r"needs given=\(names of earlier parameters,\) and a non-empty version"),
        (lambda: ConditionalPrior(Uniform, band_plain, given="x", version="1"), r"needs given="),
        (lambda: ConditionalPrior(Uniform, lambda g, n: None, given=("x",), version="1"), r"top level of a module, not a lambda"),
        (lambda: ConditionalPrior(Uniform, {"low": 0.0, "high": 1.0}, support=(1.0, 0.0)), r"support needs low < high, got \(1.0, 0.0\)"),
        (lambda: Affine(math.inf), r"Affine: constant must be finite, got inf"),
        (lambda: Affine(0.0, {"x": math.nan}), r"coefficients\['x'\] must be a real number"),
        (lambda: ConditionalPrior(Uniform, band_plain, given=("x",), version="1").affine, r"no affine form"),
    ],
)
def test_refuses(make: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()


def test_only_functions_of_a_module_have_a_name() -> None:
    def local() -> None:
        return None

    assert module_level_name("it", band_plain) == "band_plain"
    assert module_level_name("it", band_compiled) == "band_compiled"
    for other in (local, lambda: None, 3, math.sin, print, [].append):
        with pytest.raises(PriorError, match="it must be a function defined at the top level of a module"):
            module_level_name("it", other)
