"""Adapters: the problem's own values in other packages' hands, and the same prior; each package run where it is installed."""

from __future__ import annotations

import copy
import math
import multiprocessing
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciinf.adapters import as_bilby, as_callables, as_cobaya
from sciinf.calibration.analytic import gauss3, hole
from sciinf.core import priors as kinds
from sciinf.core.conditional import Affine, ConditionalPrior
from sciinf.core.errors import ConfigError, LikelihoodError, MissingDependencyError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.joint_priors import Joint, MultivariateNormal, OrderedUniform
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import Prior
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.problem import Problem

PAGE = Path(__file__).parents[1] / "docs" / "adapters.md"

ONE_DIMENSIONAL: dict[str, Prior] = {
    "uniform": kinds.Uniform(1.0, 3.0),
    "log_uniform": kinds.LogUniform(0.1, 10.0),
    "normal": kinds.Normal(1.0, 2.0),
    "truncated": kinds.TruncatedNormal(0.0, 1.0, -1.0, 2.0),
    "half_line": kinds.TruncatedNormal(0.0, 1.0, -math.inf, 1.0),
    "far_tail": kinds.TruncatedNormal(0.0, 1.0, 20.0, 30.0),
    "half_normal": kinds.HalfNormal(2.0),
    "log_normal": kinds.LogNormal(0.3, 0.5),
    "exponential": kinds.Exponential(2.0),
    "gamma": kinds.Gamma(2.5, 3.0),
    "inverse_gamma": kinds.InverseGamma(3.0, 2.0),
    "beta": kinds.Beta(0.5, 3.0),
    "cauchy": kinds.Cauchy(1.0, 2.0),
    "half_cauchy": kinds.HalfCauchy(1.0),
    "student_t": kinds.StudentT(3.0, 1.0, 2.0),
    "sine": kinds.Sine(),
    "cosine": kinds.Cosine(),
    "part_of_sine": kinds.Sine(0.1, 1.0),
    "part_of_cosine": kinds.Cosine(0.0, 1.0),
    "power_law": kinds.PowerLaw(2.0, 0.0, 10.0),
    "nearly_log": kinds.PowerLaw(-1.0 + 1e-12, 1.0, 10.0),
    "reflected": kinds.PowerLaw(1.0, 0.0, 10.0, reflect_at=10.0),
    "triangular": kinds.Triangular(0.0, 1.0, 3.0),
    "chi": kinds.Chi(3.0, 2.0),
    "interpolated": kinds.Interpolated([0.0, 1.0, 2.0, 4.0], [0.0, 2.0, 1.0, 0.5]),
}
WRAPPED_FOR_BILBY = {
    *("far_tail", "inverse_gamma", "half_cauchy", "part_of_sine", "part_of_cosine", "nearly_log", "reflected", "chi", "interpolated")
}


def log_likelihood(theta: np.ndarray) -> float:
    return -0.5 * float(np.sum(np.cos(theta) ** 2)) + 1.0 / 3.0


def spoiling(theta: np.ndarray) -> float:
    value = float(theta.sum())
    theta[:] = 0.0
    return value


def nan_above_one(theta: np.ndarray) -> float:
    return math.nan if theta[0] > 1.0 else -math.inf if theta[0] > 0.5 else 0.0


def left_of_right(left: float, right: float) -> bool:
    return left < right


def problem_of(priors: PriorSet) -> Problem:
    engine = FunctionEngine(log_likelihood, (*priors.names, *priors.fixed), version="1")
    return Problem(engine, priors, name="of cosines")


def independent() -> Problem:
    members = [Parameter(name, prior, unit="Hz" if name == "gamma" else "") for name, prior in ONE_DIMENSIONAL.items()]
    angle = Parameter("angle", kinds.Uniform(0.0, 2.0), periodic=True, latex=r"\phi")
    return problem_of(PriorSet([*members[:3], Parameter("held", kinds.Fixed(0.1), latex="h"), *members[3:], angle]))


def mixed() -> Problem:
    """Joint, conditional and constrained members, an infinite support among each of the first two, a fixed and a periodic one."""
    members = [
        Parameter("phase", kinds.Sine(), periodic=True),
        Joint(("a", "b"), MultivariateNormal([1.0, -2.0], [[4.0, 1.0], [1.0, 1.0]]), units=("s", "")),
        Parameter("held", kinds.Fixed(0.25)),
        Joint(("f_1", "f_2"), OrderedUniform(1.0, 10.0, 2), latex=("f_1", "f_2")),
        Parameter("left", kinds.Uniform(0.0, 1.0)),
        Parameter("right", ConditionalPrior(kinds.Uniform, {"low": Affine(0.0, {"held": 1.0}), "high": Affine(1.0, {"left": 1.0})})),
        Parameter("near", ConditionalPrior(kinds.Normal, {"mean": Affine(0.0, {"a": 2.0}), "std": 0.5}), latex="n"),
    ]
    return problem_of(constrained(PriorSet(members), "left_of_right", left_of_right, version=1))


PROBLEMS = {"gauss3": lambda: gauss3().problem, "hole": lambda: hole().problem, "independent": independent, "mixed": mixed}
every_problem = pytest.mark.parametrize("name", PROBLEMS)


def points(problem: Problem) -> np.ndarray:
    """Prior draws, and where the cube's corners lie at finite values."""
    rng = np.random.default_rng(3)
    corners = problem.prior_transform(rng.integers(0, 2, (20, problem.n_dim)).astype(float))
    return np.concatenate([problem.priors.sample(rng, 20), corners[np.all(np.isfinite(corners), axis=1)]])


def named(problem: Problem, theta: np.ndarray) -> dict[str, float]:
    return {**dict(zip(problem.names, theta.tolist(), strict=True)), **problem.priors.fixed}


# plain functions


@every_problem
def test_callables_give_the_problem_s_own_values(name: str) -> None:
    problem = PROBLEMS[name]()
    functions = as_callables(problem)
    thetas = points(problem)
    units = np.random.default_rng(1).random(thetas.shape)
    assert [functions.log_likelihood(theta) for theta in thetas] == [problem.log_likelihood(theta) for theta in thetas]
    assert [functions.log_prior(theta) for theta in thetas] == [problem.log_prior(theta) for theta in thetas]
    assert [functions.log_posterior(theta) for theta in thetas] == [problem.log_posterior(theta) for theta in thetas]
    assert np.array_equal(functions.log_likelihood_many(thetas), problem.log_likelihood_many(thetas))
    assert np.array_equal(functions.log_posterior_many(thetas), problem.log_posterior_many(thetas))
    assert np.array_equal(functions.prior_transform_many(units), problem.prior_transform(units))
    assert np.array_equal([functions.prior_transform(unit) for unit in units], problem.prior_transform(units))
    assert (functions.names, functions.n_dim, functions.periodic) == (problem.names, problem.n_dim, problem.priors.periodic)


def test_callables_do_not_change_their_input() -> None:
    functions = as_callables(
        Problem(FunctionEngine(spoiling, ["x", "y"], version="1"), PriorSet([Parameter(n, kinds.Uniform(0, 1)) for n in "xy"]))
    )
    theta = np.array([[0.25, 0.5], [0.75, 0.125]])
    kept = theta.copy()
    for writeable in (True, False):
        theta.flags.writeable = writeable
        assert functions.log_likelihood(theta[0]) == functions.log_posterior(theta[0]) == 0.75
        assert functions.log_likelihood_many(theta).tolist() == functions.log_posterior_many(theta).tolist() == [0.75, 0.875]
        functions.prior_transform(theta[0])
        functions.prior_transform_many(theta)
        assert np.array_equal(theta, kept)


def test_callables_take_lists_and_strided_arrays() -> None:
    functions = as_callables(gauss3().problem)
    wide = np.arange(12.0).reshape(3, 4) / 7.0
    assert functions.log_likelihood(wide[:, 1]) == functions.log_likelihood(wide[:, 1].tolist())
    assert np.array_equal(functions.log_likelihood_many(wide.T), [functions.log_likelihood(row) for row in wide.T])


def test_callables_travel_to_a_spawned_process() -> None:
    functions = as_callables(gauss3().problem)
    thetas = points(functions.problem)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        values = pool.map(functions.log_likelihood, thetas)
    assert values == [functions.log_likelihood(theta) for theta in thetas]


def test_the_guard_stays_in_force() -> None:
    priors = PriorSet([Parameter("x", kinds.Uniform(0, 2))])
    engine = FunctionEngine(nan_above_one, ["x"], version="1")
    functions = as_callables(Problem(engine, priors))
    assert functions.log_likelihood([0.7]) == -math.inf
    with pytest.raises(LikelihoodError, match=r"x=1\.5"):
        functions.log_likelihood([1.5])
    assert as_callables(Problem(engine, priors, on_nan="reject")).log_likelihood([1.5]) == -math.inf


# cobaya, without cobaya: its blocks hold plain functions and names of scipy's distributions


def density_of_blocks(blocks: dict[str, Any], theta: dict[str, float]) -> float:
    """What cobaya adds up: one-dimensional priors, then the functions of the prior block."""
    total = 0.0
    for name, entry in blocks["params"].items():
        if isinstance(entry, dict):
            form = dict(entry["prior"])
            if "min" in form:
                form = {"loc": form["min"], "scale": form["max"] - form["min"]}
            total += float(getattr(stats, form.pop("dist", "uniform"))(**form).logpdf(theta[name]))
    sampled = {name: theta[name] for name, entry in blocks["params"].items() if isinstance(entry, dict)}
    return total + sum(factor(**sampled) for factor in blocks.get("prior", {}).values()) if total > -math.inf else total


@every_problem
def test_cobaya_blocks_hold_the_joint_density_and_the_likelihood(name: str) -> None:
    problem = PROBLEMS[name]()
    blocks = as_cobaya(problem)
    (likelihood,) = (block["external"] for block in blocks["likelihood"].values())
    thetas = points(problem)
    for theta in thetas:
        assert likelihood(**named(problem, theta)) == problem.log_likelihood(theta)
        if math.isfinite(problem.log_prior(theta)):
            assert density_of_blocks(blocks, named(problem, theta)) == pytest.approx(problem.log_prior(theta), rel=1e-10, abs=1e-10)
    shifted = thetas[:20] + np.random.default_rng(5).normal(scale=3.0, size=thetas[:20].shape)
    outside = shifted[~np.isfinite(problem.log_prior_many(shifted))]
    assert len(outside)
    assert all(density_of_blocks(blocks, named(problem, theta)) == -math.inf for theta in outside)
    assert ("prior" in blocks) == (name not in ("gauss3",))


@pytest.mark.parametrize("name", [key for key in ONE_DIMENSIONAL if key not in ("interpolated", "part_of_sine", "part_of_cosine")])
def test_cobaya_reads_the_one_dimensional_prior_itself(name: str) -> None:
    blocks = as_cobaya(problem_of(PriorSet([Parameter("x", ONE_DIMENSIONAL[name])])))
    assert ("prior" in blocks) == (name in ("sine", "cosine", "nearly_log", "reflected"))


def test_cobaya_blocks_carry_labels_bounds_and_fixed_values() -> None:
    blocks = as_cobaya(mixed())
    params = blocks["params"]
    assert list(blocks["likelihood"]) == ["of_cosines"]
    assert params["held"] == 0.25
    assert params["phase"]["periodic"] is True
    assert (params["a"]["latex"], params["near"]["latex"]) == (r"a\ [\mathrm{s}]", "n")
    assert params["f_1"]["prior"] == {"min": 1.0, "max": 10.0}
    assert params["right"]["prior"] == {"min": 0.25, "max": 2.0}
    assert params["a"]["prior"]["dist"] == "t"
    assert as_cobaya(mixed())["params"] == params  # reference points from a fixed stream


def test_cobaya_refuses_names_that_it_cannot_pass() -> None:
    with pytest.raises(ConfigError, match="lambda"):
        as_cobaya(problem_of(PriorSet([Parameter("lambda", kinds.Uniform(0, 1))])))


def test_a_fixed_value_that_the_problem_does_not_hold_is_refused() -> None:
    problem = independent()
    (likelihood,) = (block["external"] for block in as_cobaya(problem)["likelihood"].values())
    values = named(problem, points(problem)[0])
    with pytest.raises(ConfigError, match=r"'held' is fixed at 0\.1 .* got 0\.2"):
        likelihood(**{**values, "held": 0.2})
    with pytest.raises(ConfigError, match="no value for angle"):
        likelihood(**{key: value for key, value in values.items() if key != "angle"})


def test_cobaya_s_copies_share_the_problem() -> None:
    problem = mixed()
    blocks = copy.deepcopy(as_cobaya(problem))
    (likelihood,) = (block["external"] for block in blocks["likelihood"].values())
    assert likelihood.problem is problem
    theta = points(problem)[0]
    assert pickle.loads(pickle.dumps(likelihood))(**named(problem, theta)) == problem.log_likelihood(theta)


# cobaya itself


@every_problem
@pytest.mark.filterwarnings("ignore")
def test_cobaya_s_model_agrees(name: str) -> None:
    get_model = pytest.importorskip("cobaya.model").get_model
    problem = PROBLEMS[name]()
    model = get_model(as_cobaya(problem))
    assert tuple(model.parameterization.sampled_params()) == problem.names
    for theta in points(problem)[:20]:
        assert model.loglikes(theta)[0][0] == problem.log_likelihood(theta)
        assert model.logprior(theta) == pytest.approx(problem.log_prior(theta), rel=1e-10, abs=1e-10)
        assert model.logpost(theta) == pytest.approx(problem.log_posterior(theta), rel=1e-10, abs=1e-10)
    assert np.isfinite(model.logprior(model.prior.reference(random_state=np.random.default_rng(1))))


@pytest.mark.filterwarnings("ignore")
def test_cobaya_stops_at_a_likelihood_error() -> None:
    get_model = pytest.importorskip("cobaya.model").get_model
    problem = Problem(FunctionEngine(nan_above_one, ["x"], version="1"), PriorSet([Parameter("x", kinds.Uniform(0, 2))]))
    model = get_model(as_cobaya(problem))
    assert model.loglikes([0.7])[0][0] == -math.inf
    with pytest.raises(LikelihoodError, match=r"x=1\.5"):
        model.loglikes([1.5])


# bilby


def test_bilby_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sciinf.adapters._bilby", raising=False)
    monkeypatch.setitem(sys.modules, "bilby", None)
    with pytest.raises(MissingDependencyError, match="pip install bilby"):
        as_bilby(gauss3().problem)


@pytest.fixture
def bilby() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("bilby")


@every_problem
def test_bilby_has_the_likelihood_to_the_bit_and_the_joint_prior(name: str, bilby: Any) -> None:
    problem = PROBLEMS[name]()
    likelihood, priors = as_bilby(problem)
    thetas = points(problem)
    keys = priors.non_fixed_keys
    assert tuple(keys) == problem.names
    for theta in thetas:
        assert likelihood.log_likelihood(named(problem, theta)) == problem.log_likelihood(theta)
    sampled = [dict(zip(problem.names, theta.tolist(), strict=True)) for theta in thetas]
    expected = problem.log_prior_many(thetas)
    inside = np.isfinite(expected)
    given = np.array([priors.ln_prob(sample) for sample in sampled])
    np.testing.assert_allclose(given[inside], expected[inside], rtol=1e-9, atol=1e-9)
    assert not np.isfinite(given[~inside]).any()
    columns = dict(zip(problem.names, thetas[inside].T, strict=True))
    np.testing.assert_allclose(priors.ln_prob(columns, axis=0), expected[inside], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.log(priors.prob(columns, axis=0)), expected[inside], rtol=1e-9, atol=1e-9)
    for unit in np.random.default_rng(2).random((20, problem.n_dim)):
        np.testing.assert_allclose(priors.rescale(keys, unit), problem.prior_transform(unit), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(priors.rescale(keys[::-1], unit[::-1])[::-1], problem.prior_transform(unit), rtol=1e-8, atol=1e-8)


@every_problem
def test_bilby_draws_the_prior(name: str, bilby: Any) -> None:
    """KS of every parameter, against the problem's own draws, at 4 sigma of the worst of n_dim."""
    problem = PROBLEMS[name]()
    _, priors = as_bilby(problem)
    bilby.core.utils.random.seed(4)
    draws = priors.sample(3000)
    ours = problem.priors.sample(np.random.default_rng(5), 3000)
    assert min(stats.ks_2samp(draws[key], ours[:, i]).pvalue for i, key in enumerate(problem.names)) > 6e-5 / problem.n_dim
    assert all(np.all(draws[key] == value) for key, value in problem.priors.fixed.items())
    one = priors.sample()
    assert np.isfinite(priors.ln_prob({key: one[key] for key in problem.names}))
    assert priors.sample_subset(["x0"] if "x0" in one else [problem.names[-1]], size=7).popitem()[1].shape == (7,)


def test_bilby_s_own_classes_where_they_are_the_same_density(bilby: Any) -> None:
    _, priors = as_bilby(independent())
    assert type(priors) is bilby.core.prior.PriorDict
    wrapped = {name for name, prior in priors.items() if type(prior).__name__ == "WrappedPrior"}
    assert wrapped == WRAPPED_FOR_BILBY
    assert isinstance(priors["held"], bilby.core.prior.DeltaFunction)
    for name, prior in ONE_DIMENSIONAL.items():
        assert (priors[name].minimum, priors[name].maximum) == prior.support
    x = np.linspace(0.2, 0.8, 5)
    np.testing.assert_allclose(priors["part_of_sine"].cdf(x), ONE_DIMENSIONAL["part_of_sine"].cdf(x))
    np.testing.assert_allclose(priors["part_of_sine"].prob(x), np.exp(ONE_DIMENSIONAL["part_of_sine"].logpdf(x)))


def test_bilby_members_carry_labels_units_and_boundaries(bilby: Any) -> None:
    _, priors = as_bilby(independent())
    assert (priors["angle"].boundary, priors["angle"].latex_label) == ("periodic", r"$\phi$")
    assert priors["gamma"].latex_label_with_unit == "$gamma$ [Hz]"
    assert (priors["held"].peak, priors["held"].latex_label) == (0.1, "$h$")
    _, priors = as_bilby(mixed())
    assert (priors["phase"].boundary, priors["f_1"].minimum, priors["f_1"].maximum) == ("periodic", 1.0, 10.0)
    assert (priors["a"].unit, priors["near"].latex_label, priors["right"].minimum) == ("s", "$n$", 0.25)
    assert np.isnan(priors["a"].prob(np.zeros(3))).all()  # no density of its own
    with pytest.raises(ConfigError, match="joint or conditional"):
        priors["a"].rescale(0.5)
    with pytest.raises(ConfigError, match="no distribution function"):
        priors.cdf({"a": 0.5})


def test_bilby_s_constraints_are_the_regions(bilby: Any) -> None:
    problem = hole().problem
    _, priors = as_bilby(problem)
    inside, outside = {"x0": -3.9, "x1": 0.0, "x2": 0.0}, {"x0": -4.1, "x1": 0.0, "x2": 0.0}
    assert (bool(priors.evaluate_constraints(inside)), bool(priors.evaluate_constraints(outside))) == (True, False)
    assert priors.ln_prob(inside) - priors.ln_prob(inside, normalized=False) == pytest.approx(-math.log(0.7))
    assert priors.ln_prob(outside) == -math.inf


def test_a_member_of_a_joint_prior_cannot_be_exchanged_unseen(bilby: Any) -> None:
    problem = mixed()
    _, priors = as_bilby(problem)
    sample = dict(zip(problem.names, points(problem)[0], strict=True))
    with pytest.raises(ConfigError, match="missing: left"):
        priors.ln_prob({key: value for key, value in sample.items() if key != "left"})
    for twin in (priors.copy(), copy.deepcopy(priors), pickle.loads(pickle.dumps(priors))):
        assert twin.ln_prob(sample) == priors.ln_prob(sample) == problem.log_prior(np.array(list(sample.values())))
        twin["left"] = bilby.core.prior.Uniform(0, 2)
        with pytest.raises(ConfigError, match=r"priors\.replace\(left="):
            twin.ln_prob(sample)
    assert np.isfinite(priors.ln_prob(sample))


@pytest.mark.parametrize("name", ["independent", "mixed"])
def test_bilby_s_prior_files(name: str, bilby: Any, tmp_path: Path) -> None:
    """What can be read back is the same density; a joint one is not in the file, and says so."""
    problem = PROBLEMS[name]()
    _, priors = as_bilby(problem)
    priors.to_json(tmp_path, "test")
    back = bilby.core.prior.PriorDict.from_json(tmp_path / "test_prior.json")
    sample = dict(zip(problem.names, points(problem)[0], strict=True))
    assert {key: type(prior) for key, prior in back.items()} == {key: type(prior) for key, prior in priors.items()}
    if name == "independent":
        assert back.ln_prob(sample) == priors.ln_prob(sample)
        assert back["far_tail"].prior == ONE_DIMENSIONAL["far_tail"]
    else:
        with pytest.raises(ConfigError, match="read from a file"):
            back.ln_prob(sample)


def test_bilby_s_likelihood_keeps_no_state_and_travels(bilby: Any) -> None:
    problem = gauss3().problem
    likelihood, _ = as_bilby(problem)
    values = {"x0": 0.1, "x1": 0.2, "x2": 0.3}
    again = pickle.loads(pickle.dumps(likelihood))
    assert again.log_likelihood(values) == likelihood.log_likelihood(parameters=values) == problem.log_likelihood(np.array([0.1, 0.2, 0.3]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        likelihood.parameters = values  # the older style
        assert likelihood.log_likelihood() == again.log_likelihood(values)
    with pytest.raises(ConfigError, match="no value for x2"):
        likelihood.log_likelihood({"x0": 0.1, "x1": 0.2})


# the snippets of docs/adapters.md, run as they stand


def run_snippet(package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Names after the page's first block and the one that imports ``package``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(package)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (own,) = (block for block in blocks[1:] if re.match(rf"(import|from) {package}\b", block))
    monkeypatch.chdir(tmp_path)
    np.random.seed(1)  # noqa: NPY002 - UltraNest draws from the global state
    names: dict[str, Any] = {}
    exec(blocks[0] + own, names)
    return names


def is_near(log_evidence: float, error: float) -> bool:
    return abs(log_evidence - gauss3().log_evidence) < 4.0 * error and error < 1.0


@pytest.mark.filterwarnings("ignore")
class TestSnippets:
    def test_dynesty(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        results = run_snippet("dynesty", monkeypatch, tmp_path)["sampler"].results
        assert is_near(results.logz[-1], results.logzerr[-1])

    def test_emcee(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        names = run_snippet("emcee", monkeypatch, tmp_path)
        effective = len(names["chain"]) / names["sampler"].get_autocorr_time(quiet=True).max()
        assert np.all(np.abs(names["chain"].mean(axis=0)) < 4.0 / math.sqrt(effective))
        assert np.all(np.abs(names["chain"].var(axis=0) - 1.0) < 4.0 * math.sqrt(2.0 / effective))

    def test_scipy(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert np.abs(run_snippet("scipy", monkeypatch, tmp_path)["best"].x).max() < 0.02

    def test_nautilus(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        sampler = run_snippet("nautilus", monkeypatch, tmp_path)["sampler"]
        assert is_near(sampler.log_z, sampler.n_eff**-0.5)

    def test_ultranest(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        result = run_snippet("ultranest", monkeypatch, tmp_path)["result"]
        assert is_near(result["logz"], result["logzerr"])

    def test_bilby(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        result = run_snippet("bilby", monkeypatch, tmp_path)["result"]
        assert is_near(result.log_evidence, result.log_evidence_err)
        assert sorted(result.search_parameter_keys) == ["x0", "x1", "x2"]

    def test_cobaya(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        names = run_snippet("cobaya", monkeypatch, tmp_path)
        samples = names["samples"]
        x0, weights = samples["x0"].to_numpy(), samples["weight"].to_numpy()
        blocks = np.array(
            [np.average(part, weights=w) for part, w in zip(np.array_split(x0, 20), np.array_split(weights, 20), strict=True)]
        )
        assert abs(np.average(x0, weights=weights)) < 4.0 * blocks.std(ddof=1) / math.sqrt(20)


def test_bilby_s_evidence_refers_to_the_normalised_prior(bilby: Any, tmp_path: Path) -> None:
    analytic = hole()
    likelihood, priors = as_bilby(analytic.problem)
    bilby.core.utils.random.seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = bilby.run_sampler(likelihood, priors, sampler="dynesty", nlive=100, naccept=10, outdir=tmp_path, label="hole")
    assert abs(result.log_evidence - analytic.log_evidence) < 4.0 * result.log_evidence_err < 4.0
    assert result.posterior["x0"].min() > -4.0
