"""Priors of the echo search: exact normalisation and cube maps of the constrained boxes, against quadrature and rejection sampling."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from sciinf.core.conditional import ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.engines.echo.priors import Remnant, amplitude_prior, fixed_band_priors, search_priors

DIMENSIONLESS, HEAVY = Remnant(0.69), Remnant(0.67, 61.5 * 1.1)
EVERY = ("spacing", "offset", "width", "amplitude", "f_min", "f_max")


@dataclass(frozen=True)
class Engine:
    """What the priors read from an engine."""

    duration: float = 4.0
    band: Any = "sampled"
    offset_unit: str = "spacing"
    detectors: tuple[str, ...] = ("H1",)
    amplitude_scale: float = 0.03
    marginalised: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        band = ("f_min", "f_max") if self.band == "sampled" else ()
        shifts = tuple(f"phase_shift_{name}" for name in self.detectors[1:])
        return tuple(name for name in EVERY[:4] if not (self.marginalised and name == "amplitude")) + band + shifts


def dimensionless(**changes: Any) -> PriorSet:
    return search_priors(DIMENSIONLESS, Engine(**({"duration": 46e3} | changes)))


def strain(**changes: Any) -> PriorSet:
    return search_priors(HEAVY, Engine(**changes))


def fixed(**changes: Any) -> PriorSet:
    return fixed_band_priors(Engine(band=(50.0, 339.0), **changes))


SETS = {
    "dimensionless": dimensionless,
    "dimensionless, Hz": lambda: dimensionless(offset_unit="Hz"),
    "strain": strain,
    "strain, network": lambda: strain(detectors=("H1", "L1", "V1")),
    "strain, marginalised, Hz": lambda: strain(marginalised=True, offset_unit="Hz"),
    "fixed": fixed,
    "fixed, Hz": lambda: fixed(offset_unit="Hz"),
    "fixed, network, marginalised": lambda: fixed(detectors=("H1", "L1"), marginalised=True),
    "strain, spacing cut by the band": lambda: search_priors(Remnant(0.67, 300.0), Engine()),
}
every_set = pytest.mark.parametrize("name", SETS)


def box_six(remnant: Remnant, duration: float, scale: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the six-parameter box with the offset in units of the spacing."""
    low, high = (0.0, remnant.ringdown_frequency) if remnant.is_dimensionless else (50.0, 1.1 * remnant.ringdown_frequency)
    ends = [(0.25 * remnant.largest_spacing, remnant.largest_spacing), (0, 1), (1 / duration, remnant.largest_spacing)]
    return np.array([*ends, (scale / 100, 10 * scale), (low, high), (low, high)]).T


def inside_six(theta: np.ndarray, f_rd: float) -> np.ndarray:
    room = theta[:, 5] - theta[:, 4] - 10.0 * theta[:, 0]
    return (room > 0.0) & (room < f_rd)


def drawn(low: np.ndarray, high: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform draws in a box; the third column log-uniform."""
    theta = low + (high - low) * rng.random((n, len(low)))
    theta[:, 2] = low[2] * (high[2] / low[2]) ** rng.random(n)
    return theta


def test_scales_of_a_remnant() -> None:
    """Against independently computed values; the mass in s is 4.925490948e-6 per solar mass (CODATA 2018 and IAU 2015 B3)."""
    assert DIMENSIONLESS.ringdown_frequency == pytest.approx(0.0844333, abs=5e-8)
    assert DIMENSIONLESS.largest_spacing == pytest.approx(0.00229680, abs=5e-9)
    assert DIMENSIONLESS.search_band == (0.0, DIMENSIONLESS.ringdown_frequency)
    heavy, light = Remnant(0.69, 70.0), Remnant(0.69)
    assert heavy.ringdown_frequency == pytest.approx(light.ringdown_frequency / (70.0 * 4.925490948e-6), rel=1e-9)
    assert heavy.largest_spacing == pytest.approx(light.largest_spacing / (70.0 * 4.925490948e-6), rel=1e-9)
    assert heavy.search_band == (50.0, 1.1 * heavy.ringdown_frequency)
    assert Remnant(0.0).largest_spacing == pytest.approx(0.00547 / 2.0)
    assert pickle.loads(pickle.dumps(HEAVY)) == HEAVY


@every_set
def test_names_units_and_compiled_form(name: str) -> None:
    priors = SETS[name]()
    form = priors.compiled()
    assert form is not None
    rng = np.random.default_rng(1)
    unit = rng.random((60, priors.n_dim))
    for u, theta in zip(unit, priors.transform(unit), strict=True):
        found = np.empty(priors.n_dim)
        form.transform(u, form.floats, form.ints, found)
        assert found == pytest.approx(theta, rel=1e-12)
        for point in (theta, theta * 1.4, theta * rng.uniform(0.5, 1.5, priors.n_dim)):
            expected = float(priors.log_prior(point))
            assert form.log_prior(point, form.floats, form.ints, np.empty(0)) == pytest.approx(expected, rel=1e-11)


def test_order_omission_and_periodicity() -> None:
    network = Engine(detectors=("H1", "L1", "V1"))
    priors = search_priors(HEAVY, network)
    assert priors.names == network.parameters
    assert [priors.names[i] for i in priors.periodic] == ["offset", "phase_shift_L1", "phase_shift_V1"]
    assert priors.supports["phase_shift_L1"] == (-0.5 * math.pi, 1.5 * math.pi)
    assert priors.units == ("Hz", "", "rad/s", "s", "Hz", "Hz", "rad", "rad")
    marginalised = Engine(band=(50.0, 339.0), offset_unit="Hz", marginalised=True)
    priors = fixed_band_priors(marginalised)
    assert priors.names == marginalised.parameters == ("spacing", "offset", "width")
    assert priors.units == ("Hz", "Hz", "rad/s")
    assert not priors.periodic
    assert dimensionless().units == ("1/M", "", "rad/M", "M", "1/M", "1/M")


def test_scales_of_amplitude_and_width() -> None:
    assert amplitude_prior(0.03) == Uniform(0.0003, 0.3)
    assert fixed().supports["amplitude"] == strain().supports["amplitude"] == (0.0003, 0.3)
    unit_noise = fixed_band_priors(Engine(band=(50.0, 339.0)), unit_noise=True)
    assert unit_noise.supports["amplitude"] == (0.0, 10.0)
    assert fixed(duration=4.0).supports["width"] == (0.25, 2.0)
    assert fixed(duration=12.0).supports["width"] == (1.0 / 12.0, 0.5)
    assert strain().supports["width"] == (0.25, HEAVY.largest_spacing)


@every_set
def test_density_integrates_to_one_and_is_the_map_s_jacobian(name: str) -> None:
    """The map is triangular: the product of d theta_i / d u_i is its Jacobian, whose inverse is a normalised density."""
    priors, step = SETS[name](), 1e-5
    for unit in 0.1 + 0.8 * np.random.default_rng(4).random((10, priors.n_dim)):
        shifts = step * np.eye(priors.n_dim)
        slopes = np.diag(priors.transform(unit + shifts) - priors.transform(unit - shifts)) / (2 * step)
        assert -np.sum(np.log(slopes)) == pytest.approx(float(priors.log_prior(priors.transform(unit))), abs=2e-5)


@pytest.mark.parametrize(("remnant", "duration"), [(DIMENSIONLESS, 46e3), (HEAVY, 4.0), (Remnant(0.67, 300.0), 4.0)])
def test_six_parameter_density_is_the_box_s_over_its_mass(remnant: Remnant, duration: float) -> None:
    """Box density over the mass inside the constraint, which is a one-dimensional integral; outside -inf, in the box too."""
    priors = search_priors(remnant, Engine(duration=duration))
    low, high = box_six(remnant, duration)
    band = high[4] - low[4]
    room = integrate.quad(lambda d: max(band - 10.0 * d, 0.0) ** 2 / 2.0, low[0], min(high[0], band / 10.0), epsabs=0.0, epsrel=1e-12)[0]
    mass = room / ((high[0] - low[0]) * band**2)
    theta = drawn(low, high, 4000, np.random.default_rng(5))
    volume = np.prod(np.delete(high - low, 2)) * math.log(high[2] / low[2])
    expected = np.where(inside_six(theta, remnant.ringdown_frequency), -np.log(volume * theta[:, 2]) - math.log(mass), -np.inf)
    assert priors.log_prior(theta) == pytest.approx(expected, rel=1e-11)
    assert np.count_nonzero(np.isfinite(expected)) > 100
    if remnant is DIMENSIONLESS:
        assert mass == pytest.approx(0.346, abs=5e-4)
        assert -math.log(mass) == pytest.approx(1.06, abs=5e-3)


def test_four_parameter_density_is_the_box_s_over_its_mass() -> None:
    theta = drawn(np.array([1.0, 0.0, 0.25, 0.0003]), np.array([10.0, 10.0, 2.0, 0.3]), 4000, np.random.default_rng(6))
    volume = 9.0 * 10.0 * math.log(8.0) * 0.2997
    inside = (theta[:, 0] - theta[:, 1] > 0.0) & (theta[:, 0] - theta[:, 1] < 10.0)
    expected = np.where(inside, -np.log(volume * theta[:, 2]) - math.log(0.55), -np.inf)
    assert fixed(offset_unit="Hz").log_prior(theta) == pytest.approx(expected, rel=1e-11)
    assert -math.log(0.55) == pytest.approx(0.598, abs=5e-4)
    error = math.sqrt(0.55 * 0.45 / len(theta))
    assert abs(np.mean(inside) - 0.55) < 4 * error
    in_spacings = theta.copy()
    in_spacings[:, 1] /= theta[:, 0]  # density of q0 = f0 / spacing: times the spacing
    assert fixed().log_prior(in_spacings) == pytest.approx(expected + np.log(theta[:, 0]), rel=1e-11)


@pytest.mark.parametrize("case", ["dimensionless", "strain", "dimensionless, Hz", "fixed, Hz"])
def test_cube_map_against_rejection(case: str) -> None:
    """Kolmogorov-Smirnov on 1e5 draws of every parameter and of the sums that the constraint ties together."""
    rng, n = np.random.default_rng(7), 100_000
    if case == "fixed, Hz":
        low, high = np.array([1.0, 0.0, 0.25, 0.0003]), np.array([10.0, 10.0, 2.0, 0.3])
        theta = drawn(low, high, int(n / 0.55 * 1.02), rng)
        theta = theta[theta[:, 0] > theta[:, 1]][:n]
    else:
        remnant, duration = (HEAVY, 4.0) if case == "strain" else (DIMENSIONLESS, 46e3)
        low, high = box_six(remnant, duration)
        theta = drawn(low, high, int(n / 0.15), rng)
        theta = theta[inside_six(theta, remnant.ringdown_frequency)][:n]
        if case.endswith("Hz"):
            theta[:, 1] *= theta[:, 0]
    assert len(theta) == n
    mapped = SETS[case]().transform(rng.random((n, theta.shape[1])))
    columns = {str(i): (theta[:, i], mapped[:, i]) for i in range(theta.shape[1])}
    columns["offset/spacing"] = (theta[:, 1] / theta[:, 0], mapped[:, 1] / mapped[:, 0])
    if theta.shape[1] == 6:
        columns["f_max - f_min"] = (theta[:, 5] - theta[:, 4], mapped[:, 5] - mapped[:, 4])
        columns["room"] = (columns["f_max - f_min"][0] - 10 * theta[:, 0], columns["f_max - f_min"][1] - 10 * mapped[:, 0])
    for name, (expected, found) in columns.items():
        assert stats.ks_2samp(expected, found).pvalue > 1e-4, name


def test_the_unconstrained_box_fails_the_same_test() -> None:
    """Negative control: a map that forgot the constraint's marginal of the spacing is seen at once."""
    rng = np.random.default_rng(8)
    spacing = fixed().transform(rng.random((20_000, 4)))[:, 0]
    assert stats.ks_2samp(spacing, rng.uniform(1.0, 10.0, 20_000)).pvalue < 1e-12


@every_set
def test_the_whole_cube_has_finite_density(name: str) -> None:
    """No rejection: every draw, the cube's corners too, lies in the support and fulfils the constraint."""
    priors = SETS[name]()
    rng = np.random.default_rng(9)
    unit = rng.random((20_000, priors.n_dim))
    theta = priors.transform(unit)
    assert np.all(np.isfinite(priors.log_prior(theta)))
    corners = priors.transform(np.where(unit[:2000] < 0.3, 0.0, np.where(unit[:2000] > 0.7, 1.0, unit[:2000])))
    assert np.all(np.isfinite(corners))
    for points in (theta, corners):
        for i, item in enumerate(priors.names):
            low, high = priors.supports[item]
            assert np.all((points[:, i] >= low) & (points[:, i] <= high)), item
        if "f_max" in priors.names:
            spacing, f_min, f_max = (points[:, priors.names.index(item)] for item in ("spacing", "f_min", "f_max"))
            assert np.all(f_max - f_min - 10 * spacing >= -1e-13 * f_max)


@every_set
def test_round_trip_through_the_distribution_functions(name: str) -> None:
    """U = cdf(ppf(u)) for each parameter at the earlier parameters' values."""
    priors = SETS[name]()
    unit = np.random.default_rng(10).random((200, priors.n_dim))
    unit[:2] = [[1e-9] * priors.n_dim, [1 - 1e-9] * priors.n_dim]
    thetas = priors.transform(unit)
    for u, theta in zip(unit, thetas, strict=True):
        given = dict(zip(priors.names, theta.tolist(), strict=True))
        for i, member in enumerate(priors.members):
            assert isinstance(member, Parameter)
            prior = member.prior
            if isinstance(prior, ConditionalPrior):
                prior = prior.kind(*prior.numbers_at(given))
            assert float(prior.cdf(theta[i])) == pytest.approx(u[i], rel=1e-6, abs=1e-9)


ERRORS = [
    (lambda: Remnant(1.0), ConfigError, r"spin must lie in \[0, 1\), got 1"),
    (lambda: Remnant(-0.1), ConfigError, r"spin must lie in \[0, 1\), got -0.1"),
    (lambda: Remnant(math.nan), ConfigError, "got nan"),
    (lambda: Remnant("0.7"), ConfigError, "spin must be a real number, got '0.7'"),  # type: ignore[arg-type]
    (lambda: Remnant(0.7, 0.0), ConfigError, "mass_detector_frame must be positive and finite .*, got 0"),
    (lambda: Remnant(0.7, math.inf), ConfigError, "got inf"),
    (lambda: search_priors(None, Engine()), ConfigError, r"remnant=Remnant\(spin, mass_detector_frame\)"),  # type: ignore[arg-type]
    (lambda: search_priors(HEAVY, Engine(band=(50.0, 300.0))), ConfigError, r"\(50.0, 300.0\): use fixed_band_priors"),
    (lambda: fixed_band_priors(Engine()), ConfigError, "'sampled': use search_priors"),
    (lambda: fixed_band_priors(Engine(band=(50.0, 59.0))), ConfigError, "from 50 to 59 Hz has room for 9 Hz, less than .* 10 Hz"),
    (lambda: fixed_band_priors(Engine(band=(50.0, 90.0), marginalised=True), unit_noise=True), ConfigError, r"amplitude=Uniform\(0, 10\)"),
    (lambda: search_priors(Remnant(0.67, 400.0), Engine()), PriorError, r"from 50 to 46.4\d* Hz .* room for 0 Hz, less than .* 2.9\d* Hz"),
    (lambda: search_priors(Remnant(0.67, 10.0), Engine()), PriorError, r"from 50 to 1857.01 Hz is wider than f_RD .* = 1806.48 Hz"),
    (lambda: search_priors(DIMENSIONLESS, Engine()), PriorError, r"ends at 0.0022968 rad/s, below 1/T = 0.25 rad/s for T = 4 s.* in 1/M"),
    (lambda: fixed(duration=0.5), PriorError, "ends at 2 rad/s, below 1/T = 2 rad/s for T = 0.5 s"),
    (lambda: amplitude_prior(0.0), PriorError, "positive, finite scale .*, got 0.0"),
    (lambda: strain(amplitude_scale=math.nan), PriorError, "got nan"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), ERRORS)
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
