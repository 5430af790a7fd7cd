from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.cmb.background import Background

# Parameters and H0 of the three reference spectra: CAMB 2.0.5, `cosmomc_theta` as input (specification, section 5).
REFERENCE = [
    (0.022383, 0.12011, 1.040909, 67.30842784),
    (0.0224, 0.1172, 1.04117, 68.44265277),
    (0.02236, 0.1202, 1.0409, 67.25500565),
]
H0_TOLERANCE = 2e-3  # km/s/Mpc; the specification's test figure (8e-4 is what the difference in method leaves)


def theta_mc_by_quad(omega_b: float, omega_c: float, h0: float, m_nu: float = 0.06, n_eff: float = 3.044) -> float:
    """The defining integrals by adaptive quadrature, nothing shared with the kernels."""
    gravity, k_b, h_planck, c, mpc, t_cmb = 6.67430e-11, 1.380649e-23, 6.62607015e-34, 2.99792458e8, 3.085677581e22, 2.7255
    photons = 8 * math.pi * gravity / 3 / (1e5 / mpc) ** 2 / c**2 * 8 * math.pi**5 * (k_b * t_cmb) ** 4 / (15 * (h_planck * c) ** 3)
    state = photons * 7 / 8 * (4 / 11) ** (4 / 3) * n_eff / 3
    omega_nu = m_nu / 94.07 * (n_eff / 3) ** 0.75
    norm = 7 * math.pi**4 / 120
    mass = omega_nu / state * norm / (1.5 * 1.2020569031595942)

    def massive(a: float) -> float:
        value = quad(lambda q: q * q * math.sqrt(q * q + (mass * a) ** 2) / (math.exp(q) + 1), 0, 60, epsabs=0, epsrel=1e-10)[0]
        return state * value / norm

    vacuum = (h0 / 100) ** 2 - omega_b - omega_c - photons - 2 * state - massive(1.0)

    def density(a: float) -> float:
        return photons + 2 * state + (omega_b + omega_c) * a + massive(a) + vacuum * a**4

    g1 = 0.0783 * omega_b**-0.238 / (1 + 39.5 * omega_b**0.763)
    g2 = 0.560 / (1 + 21.1 * omega_b**1.81)
    a_star = 1 / (1 + 1048 * (1 + 0.00124 * omega_b**-0.738) * (1 + g1 * (omega_b + omega_c + omega_nu) ** g2))
    sound = quad(lambda a: 1 / math.sqrt(3 * (1 + 3e4 * a * omega_b) * density(a)), 1e-8, a_star, epsrel=1e-9)[0]
    distance = quad(lambda x: math.exp(x) / math.sqrt(density(math.exp(x))), math.log(a_star), 0, epsrel=1e-9)[0]
    return 100 * sound / distance


@pytest.mark.parametrize(("omega_b", "omega_c", "theta_mc", "h0"), REFERENCE)
def test_hubble_of_the_reference_points(omega_b: float, omega_c: float, theta_mc: float, h0: float) -> None:
    assert abs(float(Background().hubble(omega_b, omega_c, theta_mc)) - h0) < H0_TOLERANCE


@pytest.mark.parametrize("point", [(0.022383, 0.12011, 67.3), (0.020, 0.105, 80.0), (0.025, 0.135, 55.0)])
def test_theta_mc_equals_adaptive_quadrature(point: tuple[float, float, float]) -> None:
    # 1e-9 is the tolerance of quad here; the fixed rules measured 2e-10.
    assert float(Background().theta_mc(*point)) == pytest.approx(theta_mc_by_quad(*point), rel=2e-9)


def test_heavier_neutrinos_equal_adaptive_quadrature() -> None:
    wanted = theta_mc_by_quad(0.0224, 0.12, 66.0, m_nu=0.4, n_eff=3.3)
    assert float(Background(m_nu=0.4, n_eff=3.3).theta_mc(0.0224, 0.12, 66.0)) == pytest.approx(wanted, rel=5e-9)


@given(omega_b=st.floats(0.015, 0.03), omega_c=st.floats(0.08, 0.2), h0=st.floats(40.0, 110.0))
def test_hubble_inverts_theta_mc(omega_b: float, omega_c: float, h0: float) -> None:
    background = Background()
    theta_mc = background.theta_mc(omega_b, omega_c, h0)
    # The rounding of theta_mc (2e-16 relative) is amplified by d ln H0 / d ln theta, below 20 in this range.
    assert float(background.hubble(omega_b, omega_c, theta_mc)) == pytest.approx(h0, rel=1e-12)


def test_vectorised_and_broadcast() -> None:
    background = Background()
    theta_mc = np.linspace(1.036, 1.046, 7)
    many = background.hubble(0.0224, 0.12, theta_mc[:, None] + np.zeros(2))
    assert many.shape == (7, 2)
    assert np.array_equal(many[:, 0], [float(background.hubble(0.0224, 0.12, x)) for x in theta_mc])
    assert np.all(np.diff(many[:, 0]) > 0)


def test_no_such_universe_is_nan() -> None:
    background = Background()
    for point in [(np.nan, 0.12, 1.04), (-0.02, 0.12, 1.04), (0.0, 0.12, 1.04), (0.0224, 0.12, 20.0), (0.0224, 0.12, np.nan)]:
        assert math.isnan(float(background.hubble(*point)))
    assert math.isnan(float(background.theta_mc(0.0224, 0.12, -67.0)))
    assert math.isnan(float(background.theta_mc(0.0224, np.nan, 67.0)))


def test_neutrinos_matter() -> None:
    """A control: the massive state's energy and N_eff each move H0 far beyond the tolerance of the reference test."""
    h0 = [float(Background(m_nu=m, n_eff=n).hubble(0.0224, 0.12, 1.041)) for m, n in ((0.06, 3.044), (0.0, 3.044), (0.06, 2.9))]
    assert min(abs(h0[0] - h0[1]), abs(h0[0] - h0[2])) > 50 * H0_TOLERANCE


@pytest.mark.parametrize("settings", [{"m_nu": -0.1}, {"m_nu": math.nan}, {"n_eff": 0.0}, {"t_cmb": -2.7}])
def test_bad_settings(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Background(**settings)


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(DataError, match="broadcast"):
        Background().hubble(np.zeros(2), np.zeros(3), 1.04)
