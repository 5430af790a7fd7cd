"""The quasi-likelihood of an effect's shape: its density, its law, its models, its refusals, and the stored figures."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

import sciinf
from sciinf.core.engine import comparison_key_of, compiled_of, derived_of, predict_of, simulator_of
from sciinf.core.errors import ConfigError, DataError, SciinfWarning
from sciinf.core.priors import Normal
from sciinf.engines.r3d import R3D, R3DEffectEngine, R3DResults, R3DSettings, effect_kernels
from sciinf.engines.r3d.effect_models import EffectModel
from sciinf.engines.r3d.simulate import dgp1
from sciinf.numerics.jit import kernel

Q5 = (0.1, 0.3, 0.5, 0.7, 0.9)
DECILES = tuple(k / 10 for k in range(1, 10))
Sets = Callable[[str], Any]

pytestmark = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")


@pytest.fixture(scope="module")
def fit() -> R3DResults:
    data = dgp1(300, 40, 2.0, np.random.default_rng(5))
    return R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES)).fit(bandwidth=0.6)


def grid_evidence(engine: R3DEffectEngine, width: float = 12.0, n: int = 20001) -> tuple[float, float, float]:
    """ln Z, mean and standard deviation of one parameter under N(0, 5^2), by the trapezoidal rule."""
    theta = np.linspace(-width, width, n)
    log_density = engine.log_likelihood_many(theta[:, None]) + stats.norm.logpdf(theta, 0.0, 5.0)
    top = log_density.max()
    density = np.exp(log_density - top)
    total = np.trapezoid(density, theta)
    mean = np.trapezoid(theta * density, theta) / total
    return top + math.log(total), mean, math.sqrt(np.trapezoid((theta - mean) ** 2 * density, theta) / total)


@pytest.mark.parametrize("cov_type", ["HC0", "HC2"])
def test_stored_figures_of_the_t_form(reference_set: Sets, anchors: dict[str, Any], cov_type: str) -> None:
    figures = anchors["quasi_likelihood"]["t_shift"]
    fitted = reference_set("sharpA").model(R3DSettings(q_grid=Q5)).fit(bandwidth=0.5)
    engine = fitted.to_engine("shift", q=Q5, nu=figures["nu"], cov_type=cov_type)
    stored = figures[cov_type]
    assert_allclose(
        engine.log_likelihood_many(np.array(figures["at"])[:, None]), stored["log_likelihood"], rtol=0, atol=figures["tolerance"]
    )
    log_evidence, mean, std = grid_evidence(engine)
    assert_allclose(
        [log_evidence, mean, std], [stored[k] for k in ("log_evidence", "mean", "std")], rtol=0, atol=figures["evidence_tolerance"]
    )
    if "null" in stored:
        assert_allclose(engine.log_likelihood_null(), stored["null"], rtol=0, atol=figures["printed_tolerance"])


def test_stored_figures_of_the_gaussian_form(reference_set: Sets, anchors: dict[str, Any]) -> None:
    """Linear in theta with normal priors: evidence and posterior in closed form, from the engine's own pieces."""
    figures = anchors["quasi_likelihood"]["gaussian_deciles_HC0"]
    fitted = reference_set("sharpA").model(R3DSettings(q_grid=DECILES)).fit(bandwidth=0.5)
    for name in ("shift", "location_scale"):
        engine = fitted.to_engine(name, q=DECILES, likelihood="gaussian", cov_type="HC0")
        k = len(engine.parameters)
        design = np.column_stack([engine.predict(row)["tau_model"] for row in np.eye(k)])
        wide = engine.covariance + 25.0 * design @ design.T
        evidence = stats.multivariate_normal.logpdf(engine.statistic, np.zeros(9), wide, allow_singular=False)
        precision = design.T @ np.linalg.solve(engine.covariance, design) + np.eye(k) / 25.0
        mean = np.linalg.solve(precision, design.T @ np.linalg.solve(engine.covariance, engine.statistic))
        stored = figures[name]
        assert_allclose(evidence, stored["log_evidence"], rtol=0, atol=figures["tolerance"])
        assert_allclose(mean, stored["mean"], rtol=0, atol=figures["tolerance"])
        assert_allclose(np.sqrt(np.diag(np.linalg.inv(precision))), stored["std"], rtol=0, atol=figures["tolerance"])
        assert_allclose(engine.log_likelihood_null(), figures["null"], rtol=0, atol=figures["tolerance"])
        direct = stats.multivariate_normal.logpdf(engine.statistic, design @ np.ones(k), engine.covariance)
        assert_allclose(engine.log_likelihood(np.ones(k)), direct, rtol=1e-11)


def test_equals_scipy_s_multivariate_t(fit: R3DResults) -> None:
    for q in (Q5, (0.1, 0.5, 0.9)):
        engine = fit.to_engine("location_scale", q=q, nu=14.5)
        freedom = 14.5 + 1 - len(q)
        scale = engine.covariance * 14.5 / freedom
        for theta in np.random.default_rng(1).normal(0.0, 3.0, (20, 2)):
            mean = engine.predict(theta)["tau_model"]
            direct = stats.multivariate_t.logpdf(engine.statistic, mean, scale, freedom)
            assert_allclose(engine.log_likelihood(theta), direct, rtol=1e-12)


def test_the_density_integrates_to_one(fit: R3DResults) -> None:
    """Over the data, d = 2, nu = 8: in whitened polar coordinates, where the density depends on the radius alone."""
    engine = fit.to_engine("shift", q=(0.3, 0.7), nu=8.0)
    factor = np.linalg.cholesky(engine.covariance)

    def density(radius: float) -> float:
        here = engine.with_data(factor @ np.array([radius, 0.0]))
        return 2.0 * math.pi * radius * math.exp(here.log_likelihood_null()) * np.prod(np.diag(factor))

    near, far = integrate.quad(density, 0.0, 5.0, epsabs=1e-12)[0], integrate.quad(density, 5.0, np.inf, epsabs=1e-12)[0]
    assert abs(near + far - 1.0) < 1e-8


@pytest.mark.parametrize("name", ["shift", "location_scale", "tilt", "minus_scale", "log_scale"])
def test_models(fit: R3DResults, name: str) -> None:
    engine = fit.to_engine(name, q=Q5)
    z, q, m = stats.norm.ppf(Q5), np.array(Q5), fit.m_minus[[0, 2, 4, 6, 8]]
    theta = np.array([0.7, -0.4])[: len(engine.parameters)]
    expected = {
        "shift": 0.7 * np.ones(5), "location_scale": 0.7 - 0.4 * z, "tilt": 0.7 - 0.4 * (q - 0.5),
        "minus_scale": 0.7 - 0.4 * (m - m.mean()), "log_scale": math.expm1(0.7) * m,
    }[name]  # fmt: skip
    assert_allclose(engine.predict(theta)["tau_model"], expected, rtol=1e-12)
    residual = engine.statistic - expected
    chi2, nu, d = residual @ np.linalg.solve(engine.covariance, residual), engine.nu, 5
    direct = math.lgamma((nu + 1) / 2) - math.lgamma((nu + 1 - d) / 2) - d / 2 * math.log(math.pi * nu)
    direct -= 0.5 * np.linalg.slogdet(engine.covariance)[1] + (nu + 1) / 2 * math.log1p(chi2 / nu)
    assert_allclose(engine.log_likelihood(theta), direct, rtol=1e-12)
    assert_allclose(derived_of(engine).many(theta[None, :])[0], expected[[0, 2, 4]], rtol=1e-12)
    names = engine.default_priors().names
    assert names == engine.parameters


@pytest.mark.parametrize("name", ["shift", "location_scale", "tilt", "minus_scale", "log_scale"])
@pytest.mark.parametrize("likelihood", ["t", "gaussian"])
@pytest.mark.parametrize("data", [{"q": (0.5,)}, {"q": (0.2, 0.6)}, {"q": Q5}, {"n_components": 1}, {"n_components": 3}])
def test_the_quadratic_form_is_the_plain_likelihood(fit: R3DResults, name: str, likelihood: str, data: dict[str, Any]) -> None:
    """One or two squares in the place of d: against the residual, curve by curve, also where there are fewer data than parameters."""
    engine = fit.to_engine(name, likelihood=likelihood, **data)
    widths = np.random.default_rng(3).choice([0.01, 1.0, 30.0], (200, 1))
    thetas = np.random.default_rng(4).normal(size=(200, len(engine.parameters))) * (widths if name != "log_scale" else 1.0)
    expected = [engine._plain(theta) for theta in thetas]
    assert_allclose(engine.log_likelihood_many(thetas), expected, rtol=1e-12, atol=1e-12)
    assert engine.log_likelihood_null() == pytest.approx(engine.log_likelihood(np.zeros(len(engine.parameters))), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["shift", "location_scale", "log_scale"])
@pytest.mark.parametrize("likelihood", ["t", "gaussian"])
def test_batches_with_impossible_rows(fit: R3DResults, name: str, likelihood: str) -> None:
    engine = fit.to_engine(name, likelihood=likelihood)
    k = len(engine.parameters)
    values = np.array([0.5, np.nan, 800.0, np.inf, 1e200, -np.inf, -0.3, 1.7e308])
    thetas = np.column_stack([values, values[::-1]])[:, :k].copy()
    many = engine.log_likelihood_many(thetas)
    assert np.array_equal(many, [engine.log_likelihood(theta) for theta in thetas], equal_nan=True)
    assert np.array_equal(np.isnan(many), ~np.isfinite(thetas).all(axis=1))
    assert not np.isposinf(many).any()
    assert np.isneginf(many).any()


def test_batches_and_pickles_are_the_same_to_the_bit(fit: R3DResults) -> None:
    engine = fit.to_engine("location_scale")
    thetas = np.random.default_rng(2).normal(size=(101, 2))
    many = engine.log_likelihood_many(thetas)
    assert np.array_equal(many, [engine.log_likelihood(theta) for theta in thetas])
    assert np.array_equal(engine.log_likelihood_many(thetas[::-1])[::-1], many)
    copy = pickle.loads(pickle.dumps(engine))
    assert np.array_equal(copy.log_likelihood_many(thetas), many)
    assert copy.fingerprint() == engine.fingerprint()
    packed = compiled_of(engine)
    assert packed is not None
    assert np.array_equal([packed(theta) for theta in thetas], many)
    assert engine.fit is fit
    assert copy.fit is None  # a worker has no use for it
    assert engine.with_data(engine.statistic).fit is None


def test_not_finite_and_too_large(fit: R3DResults) -> None:
    engine = fit.to_engine("log_scale")
    assert math.isnan(engine.log_likelihood(np.array([np.nan])))
    assert math.isnan(engine.log_likelihood(np.array([np.inf])))
    assert engine.log_likelihood(np.array([1000.0])) == -math.inf
    with pytest.raises(ConfigError, match="kappa"):
        engine.log_likelihood(np.array([1.0, 2.0]))


def test_what_identifies_it(fit: R3DResults) -> None:
    shift, wide = fit.to_engine("shift"), fit.to_engine("location_scale")
    assert comparison_key_of(shift) == comparison_key_of(wide)
    assert shift.fingerprint() != wide.fingerprint()
    for other in (fit.to_engine("shift", q=(0.1, 0.5, 0.9)), fit.to_engine("shift", nu=30.0), fit.to_engine("shift", cov_type="HC0")):
        assert comparison_key_of(other) != comparison_key_of(shift)
    other = shift.with_data(shift.statistic + 1.0)
    assert other.fingerprint() != shift.fingerprint()
    assert_allclose(other.log_likelihood(np.array([1.5])), shift.log_likelihood(np.array([0.5])), rtol=1e-12)


def test_simulation_has_the_likelihood_s_law(fit: R3DResults) -> None:
    """chi2 (nu + 1 - d) / (d nu) is F(d, nu + 1 - d); a covariance 1.69 times too small must fail."""
    engine = fit.to_engine("shift", q=(0.3, 0.5, 0.7), nu=12.0)
    simulate, with_data = simulator_of(engine)
    rng, truth = np.random.default_rng(4), np.array([1.3])
    draws = np.array([simulate(truth, rng) for _ in range(4000)])
    residuals = draws - engine.predict(truth)["tau_model"]
    chi2 = np.einsum("ij,jk,ik->i", residuals, np.linalg.inv(engine.covariance), residuals)
    for width, agrees in ((1.0, True), (1.69, False)):
        assert (stats.kstest(chi2 / width * 10.0 / (3 * 12.0), stats.f(3, 10).cdf).pvalue > 1e-3) == agrees
    assert np.array_equal(with_data(draws[0]).statistic, draws[0])


def test_principal_components(fit: R3DResults) -> None:
    engine = fit.to_engine("location_scale", n_components=2)
    assert engine.fingerprint() == fit.to_engine("location_scale", q=None, n_components=2).fingerprint()
    assert np.array_equal(fit.to_engine().q, Q5)
    values, vectors = np.linalg.eigh(fit.contributions.covariance("HC2"))
    top = vectors[:, ::-1][:, :2]
    assert_allclose(np.abs(engine.statistic), np.abs(top.T @ fit.params), rtol=1e-10)
    assert_allclose(engine.covariance, np.diag(values[::-1][:2]), rtol=1e-10, atol=1e-14)
    theta = np.array([0.5, 0.2])
    model = 0.5 + 0.2 * stats.norm.ppf(DECILES)
    freedom = engine.nu - 1.0
    direct = stats.multivariate_t.logpdf(top.T @ fit.params, top.T @ model, engine.covariance * engine.nu / freedom, freedom)
    assert_allclose(engine.log_likelihood(theta), direct, rtol=1e-10)


@kernel()
def bend(theta: Any, q: Any, m_minus: Any) -> Any:
    return theta[0] + theta[1] * (q - 0.5) ** 2


def plain_bend(theta: np.ndarray, q: np.ndarray, m_minus: np.ndarray) -> np.ndarray:
    return theta[0] + theta[1] * (q - 0.5) ** 2


def test_own_model(fit: R3DResults) -> None:
    quick, slow = (fit.to_engine(own(function)) for function in (bend, plain_bend))
    theta = np.array([1.0, 4.0])
    assert_allclose(quick.log_likelihood(theta), slow.log_likelihood(theta), rtol=1e-13)
    expected = 1.0 + 4.0 * (np.array(Q5) - 0.5) ** 2
    assert_allclose(slow.predict(theta)["tau_model"], expected, rtol=1e-14)
    assert compiled_of(slow) is None
    assert math.isnan(slow.log_likelihood(np.array([np.nan, 1.0])))
    assert slow.default_priors().names == ("level", "bend")
    assert predict_of(slow) is not None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "shfit"}, ConfigError, "no model 'shfit'.*'shift'"),
        ({"model": "null"}, ConfigError, "log_likelihood_null"),
        ({"q": (0.1, 0.55)}, ConfigError, "0.55"),
        ({"q": (0.1, 0.1)}, ConfigError, "strictly"),
        ({"n_components": 2}, ConfigError, "give one of the two"),
        ({"q": None, "n_components": 4}, ConfigError, "1 to 3"),
        ({"likelihood": "student"}, ConfigError, "no likelihood 'student'"),
        ({"nu": -1.0}, ConfigError, "nu must be"),
        ({"nu": 4.0}, DataError, r"nu \+ 1 = 5.*d = 5"),
        ({"likelihood": "gaussian", "nu": 4.0}, ConfigError, "no degrees of freedom"),
        ({"cov_type": "CR1"}, ConfigError, "no clusters"),
    ],
)
def test_refused(fit: R3DResults, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit.to_engine(**{"model": "shift", "q": Q5} | options)


def test_a_compatible_fit_has_no_likelihood(fit: R3DResults) -> None:
    data = dgp1(200, 30, 1.0, np.random.default_rng(6))
    other = R3D(data.x, data.outcomes, settings=R3DSettings(q_grid=DECILES, compat="R3D")).fit(bandwidth=0.6)
    with pytest.raises(ConfigError, match="compat='R3D'"):
        other.to_engine("shift")


def test_singular_covariance_is_refused() -> None:
    data = dgp1(200, 30, 1.0, np.random.default_rng(6))
    fine = R3D(data.x, data.outcomes).fit(bandwidth=0.6)
    with pytest.raises(DataError, match=r"d = 99.*n_components"):
        fine.to_engine("shift", q=fine.settings.q_grid, likelihood="gaussian")


@pytest.mark.filterwarnings("default::sciinf.core.errors.SciinfWarning")
def test_warnings(fit: R3DResults) -> None:
    with pytest.warns(SciinfWarning, match="d = 9.*nu = 12"):
        fit.to_engine("shift", q=DECILES, nu=12.0)
    with pytest.warns(SciinfWarning, match="too narrow"):
        fit.to_engine("shift", q=(0.5,), likelihood="gaussian")
    with pytest.warns(SciinfWarning, match="m_-.*known"):
        fit.to_engine("log_scale", q=(0.3, 0.5, 0.7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.to_engine("shift", q=(0.3, 0.5, 0.7))


@pytest.mark.slow
def test_sampled_evidence(reference_set: Sets, anchors: dict[str, Any]) -> None:
    from sciinf.core.parameter import Parameter
    from sciinf.core.prior_set import PriorSet

    figures = anchors["quasi_likelihood"]["t_shift"]
    engine = reference_set("sharpA").model(R3DSettings(q_grid=Q5)).fit(bandwidth=0.5).to_engine("shift", q=Q5, nu=20, cov_type="HC0")
    problem = sciinf.Problem(engine, PriorSet([Parameter("delta", Normal(0.0, 5.0))]))
    stored = figures["HC0"]
    nested = sciinf.sample(problem, sciinf.Dynesty(n_live=400), seed=1)
    assert abs(nested.log_evidence - stored["log_evidence"]) <= min(3.0 * nested.log_evidence_error, 0.15)
    chain = sciinf.sample(problem, sciinf.Emcee(), seed=1)
    for posterior in (nested, chain):
        weights = np.exp(posterior.log_weights - posterior.log_weights.max())
        mean = np.average(posterior.samples[:, 0], weights=weights)
        std = math.sqrt(np.average((posterior.samples[:, 0] - mean) ** 2, weights=weights))
        assert abs(mean - stored["mean"]) <= 0.05 * stored["mean"]
        assert abs(std / stored["std"] - 1.0) <= 0.05


# ---- a model of one's own ----


def own(function: Any, **change: Any) -> EffectModel:
    return EffectModel(**{"names": ("level", "bend"), "function": function, "priors": PRIORS} | change)


PRIORS = (Normal(0.0, 5.0), Normal(0.0, 20.0))


def test_a_campaign_compiles_once(fit: R3DResults, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    right = effect_kernels.kernel

    def counting(signature: Any = None) -> Any:
        compiled.append(signature)
        return right(signature)

    monkeypatch.setattr(effect_kernels, "kernel", counting)
    effect_kernels.of_function.cache_clear()
    engine = fit.to_engine(own(bend))
    first = len(compiled)
    assert first >= 1
    others = [engine.with_data(engine.simulate(np.array([1.0, 4.0]), np.random.default_rng(i))) for i in range(5)]
    assert len(compiled) == first
    assert len({other.log_likelihood(np.array([1.0, 4.0])) for other in others}) == 5


def test_a_compiled_model_in_batches_and_after_a_pickle(fit: R3DResults) -> None:
    engine, plain = fit.to_engine(own(bend)), fit.to_engine(own(plain_bend))
    thetas = np.random.default_rng(2).normal(size=(51, 2)) * [2.0, 10.0]
    many = engine.log_likelihood_many(thetas)
    assert np.array_equal(many, [engine.log_likelihood(theta) for theta in thetas])
    assert np.array_equal(engine.log_likelihood_many(thetas[::-1])[::-1], many)
    assert_allclose(many, plain.log_likelihood_many(thetas), rtol=1e-13)
    copy = pickle.loads(pickle.dumps(engine))
    assert np.array_equal(copy.log_likelihood_many(thetas), many)
    assert copy.fingerprint() == engine.fingerprint()
    assert compiled_of(copy)(thetas[0]) == many[0]
    assert engine.log_likelihood_many(np.empty((0, 2))).shape == (0,)
    assert np.isnan(engine.log_likelihood_many(np.array([[np.nan, 0.0], [0.0, np.inf]]))).all()


def test_names_identify_a_model(fit: R3DResults) -> None:
    engines = [fit.to_engine(own(bend, names=names)) for names in (("level", "bend"), ("bend", "level"), ("a", "b"))]
    assert len({engine.fingerprint() for engine in engines}) == 3
    assert len({comparison_key_of(engine) for engine in engines}) == 1


@kernel()
def too_short(theta: Any, q: Any, m_minus: Any) -> Any:
    return theta[0] + 0.0 * q[1:]


@kernel()
def scalar_value(theta: Any, q: Any, m_minus: Any) -> Any:
    return theta[0]


@kernel()
def grows(theta: Any, q: Any, m_minus: Any) -> Any:
    return theta[0] + 0.0 * (q if theta[0] < 1.0 else q[1:])


def not_callable_so(theta: np.ndarray) -> np.ndarray:
    return theta


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (too_short, r"'too_short' must return \(5,\), one value for each level, got \(4,\)"),
        (too_short.py_func, r"'too_short' must return \(5,\).*got \(4,\)"),
        (scalar_value, r"'scalar_value' must return \(5,\).*got \(\)"),
        (lambda theta, q, m: [1.0, 2.0], r"must return \(5,\).*got \(2,\)"),
        (lambda theta, q, m: np.array(["a"] * 5), "must return numbers"),
        (lambda theta, q, m: q + 1j, "must return numbers"),
        (not_callable_so, "'not_callable_so' cannot be evaluated at theta = .*TypeError"),
        (lambda theta, q, m: q * math.nan, "not finite at the priors' medians"),
    ],
)
def test_a_shape_that_does_not_fit(fit: R3DResults, function: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit.to_engine(own(function))


def test_a_shape_that_changes_is_never_read_beyond_its_end(fit: R3DResults) -> None:
    """Right at the priors' medians, one value short elsewhere: NaN, which every sampler refuses by name."""
    engine = fit.to_engine(own(grows))
    thetas = np.array([[0.5, 0.0], [2.0, 0.0]])
    assert math.isfinite(engine.log_likelihood(thetas[0]))
    assert math.isnan(engine.log_likelihood(thetas[1]))
    assert np.isnan(engine.log_likelihood_many(thetas)).tolist() == [False, True]
    plain = fit.to_engine(own(grows.py_func))
    with pytest.raises(ConfigError, match=r"must return \(5,\)"):
        plain.log_likelihood(thetas[1])
