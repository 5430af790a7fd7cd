"""Every one-dimensional prior: normalised, inverted, cut, equal to scipy's, and the same when compiled."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass, fields
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sciinf.core.errors import PriorError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import (
    PRIORS,
    Beta,
    Cauchy,
    Chi,
    Cosine,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    HalfCauchy,
    HalfNormal,
    Interpolated,
    InverseGamma,
    LogNormal,
    LogUniform,
    Normal,
    PowerLaw,
    Prior,
    Sine,
    StudentT,
    Triangular,
    TruncatedNormal,
    Uniform,
)

INF, EPS = math.inf, 2.0**-52
U = np.array([1e-12, 1e-9, 1e-6, 1e-3, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12])


@dataclass(frozen=True)
class Exact:
    """An oracle in closed form, evaluated with 50 digits: quantile and log-density as functions of an mpmath number."""

    quantile: Any
    log_density: Any

    def ppf(self, u: np.ndarray) -> np.ndarray:
        with mpmath.workdps(50):
            return np.array([float(self.quantile(mpmath.mpf(float(value)))) for value in u])

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        with mpmath.workdps(50):
            return np.array([float(self.log_density(mpmath.mpf(float(value)))) for value in x])


def exact_power_law(alpha: float, low: float, high: float, reflect_at: float) -> Exact:
    """(reflect_at - x)^alpha on [low, high]."""
    k, a, b = alpha + 1, mpmath.mpf(reflect_at) - high, mpmath.mpf(reflect_at) - low
    norm = (b**k - a**k) / k
    return Exact(
        lambda u: reflect_at - (a**k + (1 - u) * (b**k - a**k)) ** (mpmath.mpf(1) / k),
        lambda x: alpha * mpmath.log(reflect_at - x) - mpmath.log(norm),
    )


def exact_triangle(low: float, mode: float, high: float) -> Exact:
    width = mpmath.mpf(high) - low

    def quantile(u: Any) -> Any:
        if u < (mode - low) / width:
            return low + mpmath.sqrt(u * width * (mode - low))
        return high - mpmath.sqrt((1 - u) * width * (high - mode))

    def log_density(x: Any) -> Any:
        height = (x - low) / (mode - low) if x < mode else (high - x) / (high - mode) if high > mode else 1
        return mpmath.log(2 * height / width)

    return Exact(quantile, log_density)


# Where scipy's own error exceeds 1e-12 the oracle is the closed form in mpmath: the upper quantiles of halfnorm (scipy uses (1 + u)/2,
# off by 2e-6 at u = 1 - 1e-12), of halfcauchy (3e-5) and the log-density of triang near its ends (5e-12). scipy has no power law with
# a reflection and no sine.
CASES: dict[str, tuple[Prior, Any]] = {
    "uniform": (Uniform(-2, 5), stats.uniform(-2, 7)),
    "uniform narrow": (Uniform(1e6, 1e6 + 1e-3), stats.uniform(1e6, (1e6 + 1e-3) - 1e6)),
    "log uniform": (LogUniform(0.01, 100), stats.loguniform(0.01, 100)),
    "log uniform wide": (LogUniform(1e-30, 1e10), stats.loguniform(1e-30, 1e10)),
    "normal": (Normal(1, 2), stats.norm(1, 2)),
    "truncated normal": (TruncatedNormal(0, 1, -1, 2), stats.truncnorm(-1, 2)),
    "truncated normal, one side": (TruncatedNormal(0, 1, -INF, 0.5), stats.truncnorm(-INF, 0.5)),
    "truncated normal, no cut": (TruncatedNormal(0, 1, -INF, INF), stats.norm(0, 1)),
    "truncated normal, left tail": (TruncatedNormal(5, 0.1, 0, 1), stats.truncnorm(-50, -40, 5, 0.1)),
    "truncated normal, right tail": (TruncatedNormal(0, 1, 10, INF), stats.truncnorm(10, INF)),
    "truncated normal, SZ": (TruncatedNormal(9.5, 3, 0, 10), stats.truncnorm(-9.5 / 3, 0.5 / 3, 9.5, 3)),
    "truncated normal, narrow": (TruncatedNormal(0, 1, 2, 2.001), stats.truncnorm(2, 2.001)),
    "half normal": (
        HalfNormal(2),
        Exact(lambda u: 2 * mpmath.sqrt(2) * mpmath.erfinv(u), lambda x: mpmath.log(mpmath.sqrt(2 / mpmath.pi) / 2) - x**2 / 8),
    ),
    "log normal": (LogNormal(0.3, 0.7), stats.lognorm(0.7, scale=math.exp(0.3))),
    "exponential": (Exponential(3), stats.expon(scale=3)),
    "gamma, 0.5": (Gamma(0.5, 2), stats.gamma(0.5, scale=2)),
    "gamma, 3": (Gamma(3, 0.2), stats.gamma(3, scale=0.2)),
    "gamma, 120": (Gamma(120, 1), stats.gamma(120)),
    "inverse gamma": (InverseGamma(2.5, 3), stats.invgamma(2.5, scale=3)),
    "beta, bath": (Beta(0.5, 0.5), stats.beta(0.5, 0.5)),
    "beta, skewed": (Beta(2, 5), stats.beta(2, 5)),
    "beta, high": (Beta(40, 3), stats.beta(40, 3)),
    "cauchy": (Cauchy(1, 2), stats.cauchy(1, 2)),
    "half cauchy": (
        HalfCauchy(2),
        Exact(lambda u: 2 * mpmath.tan(mpmath.pi * u / 2), lambda x: -mpmath.log(mpmath.pi) - mpmath.log(1 + x**2 / 4)),
    ),
    "student t, 1.5": (StudentT(1.5), stats.t(1.5)),
    "student t, 3": (StudentT(3, 1, 2), stats.t(3, 1, 2)),
    "student t, 30": (StudentT(30, 1, 2), stats.t(30, 1, 2)),
    "sine": (Sine(), Exact(lambda u: 2 * mpmath.asin(mpmath.sqrt(u)), lambda x: mpmath.log(mpmath.sin(x) / 2))),
    "sine, part": (
        Sine(0.5, 0.7),
        Exact(
            lambda u: mpmath.acos((1 - u) * mpmath.cos(0.5) + u * mpmath.cos(0.7)),
            lambda x: mpmath.log(mpmath.sin(x) / (mpmath.cos(0.5) - mpmath.cos(0.7))),
        ),
    ),
    "cosine": (Cosine(), Exact(lambda u: 2 * mpmath.asin(mpmath.sqrt(u)) - mpmath.pi / 2, lambda x: mpmath.log(mpmath.cos(x) / 2))),
    "cosine, part": (
        Cosine(-0.2, 1.0),
        Exact(
            lambda u: mpmath.asin((1 - u) * mpmath.sin(-0.2) + u * mpmath.sin(1.0)),
            lambda x: mpmath.log(mpmath.cos(x) / (mpmath.sin(1.0) - mpmath.sin(-0.2))),
        ),
    ),
    "power law, from zero": (PowerLaw(2, 0, 10), stats.powerlaw(3, scale=10)),
    "power law, falling": (PowerLaw(-2.35, 1, 100), stats.truncpareto(1.35, 100)),
    "power law, -1": (PowerLaw(-1, 0.01, 100), stats.loguniform(0.01, 100)),
    "power law, divergent": (PowerLaw(-0.5, 0, 1), stats.powerlaw(0.5)),
    "power law, reflected": (PowerLaw(2, 1, 3, reflect_at=4), exact_power_law(2, 1, 3, 4)),
    "power law, reflected to the end": (PowerLaw(1, -2, 3, reflect_at=3), exact_power_law(1, -2, 3, 3)),
    "power law, reflected and divergent": (PowerLaw(-0.5, 0, 1, reflect_at=1), exact_power_law(-0.5, 0, 1, 1)),
    "power law, reflected and falling": (PowerLaw(-3, 0, 1, reflect_at=1.5), exact_power_law(-3, 0, 1, 1.5)),
    "triangular": (Triangular(-1, 0, 4), exact_triangle(-1, 0, 4)),
    "triangular, left": (Triangular(0, 0, 1), exact_triangle(0, 0, 1)),
    "triangular, right": (Triangular(0, 1, 1), exact_triangle(0, 1, 1)),
    "chi": (Chi(3, 2), stats.chi(3, scale=2)),
    "chi, divergent": (Chi(0.7, 2), stats.chi(0.7, scale=2)),
    "interpolated": (Interpolated([-1.0, 0.0, 4.0], [0.0, 5.0, 0.0]), exact_triangle(-1, 0, 4)),
}

# Log-density at the two ends of the support: a number where it is finite, else the documented infinity; None for an infinite end,
# where it is -inf.
ENDS: dict[str, tuple[float | None, float | None]] = {
    "uniform": (-math.log(7), -math.log(7)),
    "log uniform": (-math.log(math.log(1e4)) - math.log(0.01), -math.log(math.log(1e4)) - math.log(100)),
    "normal": (None, None),
    "truncated normal": (-0.5 - 0.7187722, -2.0 - 0.7187722),  # ln(phi(x) / (Phi(2) - Phi(-1))), with Phi(2) - Phi(-1) = 0.8185946
    "half normal": (math.log(math.sqrt(2 / math.pi) / 2), None),
    "log normal": (-INF, None),
    "exponential": (-math.log(3), None),
    "gamma, 0.5": (INF, None),
    "gamma, 3": (-INF, None),
    "inverse gamma": (-INF, None),
    "beta, bath": (INF, INF),
    "beta, skewed": (-INF, -INF),
    "cauchy": (None, None),
    "half cauchy": (-math.log(math.pi), None),
    "student t, 3": (None, None),
    "sine": (-INF, math.log(math.sin(math.pi) / 2)),
    "cosine": (math.log(math.cos(math.pi / 2) / 2), math.log(math.cos(math.pi / 2) / 2)),
    "power law, from zero": (-INF, math.log(0.3)),
    "power law, -1": (-math.log(math.log(1e4)) - math.log(0.01), -math.log(math.log(1e4)) - math.log(100)),
    "power law, divergent": (INF, math.log(0.5)),
    "power law, reflected and divergent": (math.log(0.5), INF),
    "triangular": (-INF, -INF),
    "triangular, left": (math.log(2), -INF),
    "chi": (-INF, None),
    "chi, divergent": (INF, None),
    "interpolated": (-INF, -INF),
}

every_case = pytest.mark.parametrize("name", CASES)


class Compiled:
    """The kernels of a set with this one prior, as a prior."""

    def __init__(self, prior: Prior) -> None:
        form = PriorSet([Parameter("x", prior)]).compiled()
        assert form is not None
        self.form = form

    def ppf(self, u: np.ndarray) -> np.ndarray:
        theta = np.empty((len(u), 1))
        for row, value in zip(theta, u, strict=True):
            self.form.transform(np.array([value]), self.form.floats, self.form.ints, row)
        return theta[:, 0]

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.form.log_prior(np.array([value]), self.form.floats, self.form.ints, np.empty(0)) for value in x])


FORMS = {"stock": lambda prior: prior, "compiled": Compiled}
both_forms = pytest.mark.parametrize("form", FORMS)


def relative(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest difference in units of max(1, |truth|)."""
    different = found != truth  # equal infinities have no difference
    found, truth = found[different], truth[different]
    return float(np.max(np.abs(found - truth) / np.maximum(1.0, np.abs(truth)), initial=0.0))


@both_forms
@every_case
def test_equals_the_oracle(name: str, form: str) -> None:
    prior, oracle = CASES[name]
    chosen = FORMS[form](prior)
    x = np.concatenate([oracle.ppf(U), np.linspace(*oracle.ppf(np.array([0.001, 0.999])), 41)])
    low, high = prior.support
    x = np.clip(x, low, high)  # a scipy quantile may round beyond the end
    assert relative(chosen.ppf(U), oracle.ppf(U)) < 1e-12
    assert relative(chosen.logpdf(x), oracle.logpdf(x)) < 1e-12


@every_case
def test_is_normalised(name: str) -> None:
    """Gauss-Legendre over the stretches between quantiles, four per decade of tail probability; 2e-13 lies beyond the outermost."""
    prior = CASES[name][0]
    decades = 10.0 ** np.arange(-13, -2, 0.25)
    edges = prior.ppf(np.concatenate([decades, np.linspace(0.01, 0.99, 99), 1.0 - decades[::-1]]))
    if isinstance(prior, (Triangular, Interpolated)):
        edges = np.sort(np.append(edges, getattr(prior, "mode", 0.0)))  # the kink
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.unique(edges)
    half = 0.5 * np.diff(edges)
    x = edges[:-1, None] + half[:, None] * (nodes + 1.0)
    density = np.where((x > prior.support[0]) & (x < prior.support[1]), np.exp(prior.logpdf(x)), 0.0)  # a node may round to an end
    total = float(np.sum(half[:, None] * weights * density))
    # floats are sparse at a large offset, and where a density diverges at an end other than 0: their spacing times the density is lost
    rounding = 8 * EPS * float(np.max(np.abs(x) * density))
    assert abs(total - 1.0) < 1e-11 + rounding


@every_case
def test_cdf_inverts_ppf(name: str) -> None:
    """cdf(ppf(u)) = u to rounding.

    x is rounded to a few units in the last place of its own size, of a location or of a width, which moves the probability by the
    density times that; near u = 1 the spacing of u itself, 1e-16, is all that float64 holds.
    """
    prior = CASES[name][0]
    x = prior.ppf(U)
    size = np.abs(x)
    for key in ("mean", "location", "std", "low", "high", "reflect_at"):
        number = getattr(prior, key, None)
        if number is not None and math.isfinite(number):
            size = np.maximum(size, abs(number))
    if isinstance(prior, Interpolated):
        size = size + 4.0
    if isinstance(prior, Cosine):
        size = size + math.pi / 2
    density = np.exp(prior.logpdf(x))
    assert np.all(np.abs(prior.cdf(x) - U) <= 16 * EPS * (U + size * density))


@both_forms
@every_case
def test_is_zero_outside_and_nan_at_nan(name: str, form: str) -> None:
    prior = CASES[name][0]
    chosen = FORMS[form](prior)
    low, high = prior.support
    outside = np.array([np.nextafter(low, -INF), low - 1.0, -1e300, -INF, np.nextafter(high, INF), high + 1.0, 1e300, INF])
    outside = outside[(outside < low) | (outside > high) | np.isinf(outside)]
    assert np.all(chosen.logpdf(outside) == -INF)
    assert np.isnan(chosen.logpdf(np.array([np.nan]))[0])
    assert np.all(np.isnan(chosen.ppf(np.array([-1e-9, 1.0 + 1e-9, np.nan]))))
    assert prior.cdf(low) == 0.0
    assert prior.cdf(high) == 1.0
    assert np.isnan(prior.cdf(np.nan))


@both_forms
@pytest.mark.parametrize("name", ENDS)
def test_ends_are_finite_or_documented(name: str, form: str) -> None:
    prior = CASES[name][0]
    chosen = FORMS[form](prior)
    for end, expected in zip(prior.support, ENDS[name], strict=True):
        value = chosen.logpdf(np.array([end]))[0]
        if expected is None:
            assert math.isinf(end)
            assert value == -INF
        else:
            assert value == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(chosen.ppf(np.array([0.0, 1.0])), prior.support)


def test_every_kind_has_a_case_with_its_ends() -> None:
    """A new prior cannot be added without the properties above."""
    kinds = {kind for kind in PRIORS.values() if kind is not Fixed}
    assert {type(prior) for prior, _ in CASES.values()} == kinds
    assert {type(CASES[name][0]) for name in ENDS} == kinds


@every_case
def test_quantiles_rise_and_stay_inside(name: str) -> None:
    prior = CASES[name][0]
    x = prior.ppf(np.linspace(0.0, 1.0, 2001))
    assert np.all(np.diff(x) >= 0.0)
    assert np.all(prior.logpdf(x[1:-1]) > -INF)  # never rounded out of its own support


@every_case
def test_pickles_and_describes(name: str) -> None:
    prior = CASES[name][0]
    prior.ppf(0.3)
    copy = pickle.loads(pickle.dumps(prior))
    assert copy.ppf(0.3) == prior.ppf(0.3)
    described = prior.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert sha256_of(copy.describe()) == sha256_of(described)
    assert described["kind"] == type(prior).__name__


def test_describe_holds_the_numbers_whatever_their_type() -> None:
    assert Uniform(1, 10).describe() == {"kind": "Uniform", "low": 1.0, "high": 10.0}
    assert sha256_of(Uniform(1, 10).describe()) == sha256_of(Uniform(np.float32(1.0), np.int64(10)).describe())
    assert TruncatedNormal(0, 1, 0, INF).describe()["high"] == "inf"
    assert PowerLaw(1, 0, 1).describe()["reflect_at"] is None
    assert Interpolated([0, 1], [1, 1]).describe() == {"kind": "Interpolated", "x": [0.0, 1.0], "pdf": [1.0, 1.0]}


@pytest.mark.parametrize("name", ["normal", "gamma, 3", "student t, 3", "interpolated", "power law, reflected", "sine"])
def test_samples_have_the_distribution(name: str) -> None:
    """Kolmogorov-Smirnov at 1e-4, and the same test refuses draws stretched by 10 %."""
    prior = CASES[name][0]
    x = prior.sample(np.random.default_rng(5), 4000)
    assert stats.kstest(x, prior.cdf).pvalue > 1e-4
    median = prior.ppf(0.5)
    assert stats.kstest(median + 1.25 * (x - median), prior.cdf).pvalue < 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(2, 1), r"Uniform needs finite low < high, got low=2.0, high=1.0"),
        (lambda: Uniform(1, 1), r"low=1.0, high=1.0"),
        (lambda: Uniform(-1e308, 1e308), r"finite low < high"),
        (lambda: Uniform(math.nan, 1), r"Uniform: low must be a real number, got low=nan"),
        (lambda: Uniform("0", 1), r"Uniform: low must be a real number, got '0'"),
        (lambda: Uniform(True, 2), r"low must be a real number, got True"),
        (lambda: Uniform(0, 1j), r"high must be a real number"),
        (lambda: LogUniform(0, 1), r"0 < low < high, got low=0.0"),
        (lambda: LogUniform(1, 1.0), r"0 < low < high"),
        (lambda: Normal(0, 0), r"Normal needs finite mean and finite std > 0, got mean=0.0, std=0.0"),
        (lambda: Normal(0, -1), r"std=-1.0"),
        (lambda: Normal(INF, 1), r"mean=inf"),
        (lambda: TruncatedNormal(0, 1, 2, 1), r"low=2.0, high=1.0"),
        (lambda: TruncatedNormal(0, 0, 0, 1), r"std=0.0"),
        (lambda: TruncatedNormal(0, 1, 1e200, INF), r"nothing is left"),
        (lambda: HalfNormal(0), r"std=0.0"),
        (lambda: LogNormal(0, -1), r"sigma=-1.0"),
        (lambda: Exponential(0), r"scale=0.0"),
        (lambda: Gamma(-1, 1), r"shape=-1.0"),
        (lambda: InverseGamma(1, 0), r"scale=0.0"),
        (lambda: Beta(0, 1), r"a=0.0"),
        (lambda: Cauchy(0, 0), r"scale=0.0"),
        (lambda: HalfCauchy(-2), r"scale=-2.0"),
        (lambda: StudentT(0), r"df=0.0"),
        (lambda: Sine(0, 4), r"high=4.0"),
        (lambda: Cosine(1, 0), r"low=1.0, high=0.0"),
        (lambda: PowerLaw(-1, 0, 1), r"alpha=-1.0, low=0.0"),
        (lambda: PowerLaw(1, -1, 1), r"low=-1.0"),
        (lambda: PowerLaw(1, 0, 2, reflect_at=1), r"reflect_at=1.0"),
        (lambda: PowerLaw(-2, 0, 1, reflect_at=1), r"alpha > -1 where"),
        (lambda: Triangular(0, 2, 1), r"mode=2.0"),
        (lambda: Chi(0), r"df=0.0"),
        (lambda: Fixed(math.nan), r"Fixed: value must be a real number, got value=nan"),
        (lambda: Fixed(INF), r"Fixed needs a finite value, got inf"),
        (lambda: Interpolated([0, 1], [1, -1]), r"pdf must be >= 0 and not all zero, got minimum -1"),
        (lambda: Interpolated([0, 1], [0, 0]), r"not all zero"),
        (lambda: Interpolated([0, 0, 1], [1, 1, 1]), r"strictly increasing values, got 3 values, the order broken at x\[1\]"),
        (lambda: Interpolated([0], [1]), r"at least 2"),
        (lambda: Interpolated([-1e308, 1e308], [1, 1]), r"the area under pdf over \[-1e\+308, 1e\+308\] must be a number"),
        (lambda: Interpolated([0, 5e-324], [1, 0]), r"the area under pdf .* got 0\. Choose a unit"),
        (lambda: Uniform(0, 10**400), r"Uniform: high must be a real number that float64 can hold, got 10+\.\.\."),
        (lambda: Interpolated([0, 1], [1, 1, 1]), r"pdf must have shape"),
        (lambda: Interpolated([0, math.nan], [1, 1]), r"x\[1\] = nan"),
    ],
)
def test_refuses_with_keys_and_values(make: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()


def test_the_registry_s_keys_are_what_a_config_writes() -> None:
    assert PRIORS["normal"](mean=0.06, std=0.01) == Normal(0.06, 0.01)
    assert PRIORS["power_law"](alpha=1, low=0, high=2, reflect_at=3).support == (0.0, 2.0)
    assert PRIORS["interpolated"](x=[0, 1], pdf=[1, 1]).ppf(0.25) == 0.25
    assert PRIORS["empirical"] is PRIORS["interpolated"] is Empirical
    for name, kind in PRIORS.items():
        assert name == name.lower()
        assert [item.name for item in fields(kind) if item.init]


def test_fixed_is_a_point() -> None:
    prior = Fixed(0.06)
    assert prior.support == (0.06, 0.06)
    assert prior.sample(np.random.default_rng(1), 3).tolist() == [0.06] * 3
    assert prior.logpdf([0.06, 0.05]).tolist() == [0.0, -INF]
    assert prior.cdf([0.05, 0.06]).tolist() == [0.0, 1.0]
    assert np.isnan(prior.logpdf(math.nan))
    assert np.isnan(prior.cdf(math.nan))


def test_interpolated_is_its_grid() -> None:
    """A prior tabulated finely is that prior to the interpolation's h^2 pdf'' / 8; a flat stretch of zero density holds nothing."""
    x = np.linspace(-6, 6, 2001)
    prior, truth = Interpolated(x, 7.0 * np.exp(-0.5 * x**2)), Normal(0, 1)
    inner = np.linspace(-4, 4, 333)
    assert np.max(np.abs(np.exp(prior.logpdf(inner)) - np.exp(truth.logpdf(inner)))) < 0.4 * 0.006**2 / 8
    holes = Interpolated([0, 1, 2, 3, 4], [1, 0, 0, 0, 1])
    assert holes.ppf([0.25, 0.75]).tolist() == pytest.approx([1 - math.sqrt(0.5), 3 + math.sqrt(0.5)])
    assert holes.ppf(np.nextafter(0.5, 1)) >= 3.0
    assert holes.logpdf(2.0) == -INF


@settings(deadline=None, max_examples=60)
@given(st.floats(-50, 50), st.floats(0.01, 50), st.floats(1e-6, 1 - 1e-6), st.floats(-100, 100))
def test_location_and_scale_move_a_prior(location: float, scale: float, u: float, x: float) -> None:
    for unit, moved in (
        (Normal(0, 1), Normal(location, scale)),
        (Cauchy(0, 1), Cauchy(location, scale)),
        (StudentT(4), StudentT(4, location, scale)),
    ):
        assert moved.ppf(u) == pytest.approx(location + scale * unit.ppf(u), rel=1e-12, abs=1e-11)
        assert moved.logpdf(x) == pytest.approx(unit.logpdf((x - location) / scale) - math.log(scale), rel=1e-12, abs=1e-11)


@settings(deadline=None, max_examples=60)
@given(st.floats(-3, 3), st.floats(0.1, 5), st.floats(0.1, 5), st.floats(1e-9, 1 - 1e-9))
def test_a_reflected_power_law_is_the_mirror_image(alpha: float, low: float, width: float, u: float) -> None:
    plain = PowerLaw(alpha, low, low + width)
    mirror = PowerLaw(alpha, 10 - low - width, 10 - low, reflect_at=10)
    assert mirror.ppf(1 - u) == pytest.approx(10 - plain.ppf(u), rel=1e-9, abs=1e-9)
    x = plain.ppf(u)
    assert mirror.logpdf(10 - x) == pytest.approx(plain.logpdf(x), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=100)
@given(st.floats(-8, 8), st.floats(-60, 60), st.floats(1e-6, 60), st.floats(1e-12, 1 - 1e-12))
def test_a_truncated_normal_inverts_wherever_it_is_cut(mean: float, low: float, width: float, u: float) -> None:
    """Far tails and narrow cuts included; the tolerance is the density times a few units in the last place of x, mean and width."""
    prior = TruncatedNormal(mean, 1.0, low, low + width)
    x = float(prior.ppf(u))
    assert low <= x <= low + width
    size = max(abs(x), abs(mean), abs(low), 1.0) * (1.0 + abs(x - mean))
    assert abs(float(prior.cdf(x)) - u) <= 32 * EPS * (u + size * math.exp(float(prior.logpdf(x))))
