"""Flat LambdaCDM background: the acoustic scale theta_MC from H0, and H0 from theta_MC."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, DataError
from sciinf.numerics.jit import inline_kernel, kernel

__all__ = ["Background", "hubble_kernel", "theta_mc_kernel"]

# SI: G and k_B, h, c, eV of CODATA 2018; Mpc of IAU 2015.
_G, _K_B, _H_PLANCK, _C, _EV, _MPC = 6.67430e-11, 1.380649e-23, 6.62607015e-34, 2.99792458e8, 1.602176634e-19, 3.085677581e22
_ZETA3 = 1.2020569031595942
_NEUTRINO_MASS_EV = 94.07  # eV: sum of masses over omega_nu for thermal neutrinos, before (N_eff/3)^0.75

_N_SOUND, _N_DISTANCE, _N_BRIDGE, _N_SERIES = 16, 40, 4, 7
_HEADER = 8
_FIRST = 1.0e-8  # scale factor at which the sound horizon's integral starts: part of CosmoMC's definition, worth 2e-5 of theta_MC
_SPLIT, _WINDOW = 1.0 / 1100.0, (1.0 / 1250.0, 1.0 / 950.0)  # scale factors: where the two integrals meet, and where a* may lie
_H_LOW, _H_HIGH = 0.1, 3.0  # h: bracket of the inverse
_TOLERANCE = 1e-13  # of h

_TABLE = "float64[::1], int64"


@inline_kernel
def _bridge_density(a: float, floats: NDArray[np.float64], at: int) -> float:
    """a^4 times the massive neutrinos' density near recombination: a short series in the scaled a."""
    scaled = (a - floats[at + 4]) * floats[at + 5]
    base = at + _HEADER
    total = floats[base + _N_SERIES - 1]
    for i in range(_N_SERIES - 2, -1, -1):
        total = total * scaled + floats[base + i]
    return total


@inline_kernel
def _recombination(omega_b: float, omega_m: float) -> float:
    """Scale factor a* of Hu & Sugiyama's fit (astro-ph/9510117, eq. E-1)."""
    g1 = 0.0783 * omega_b**-0.238 / (1.0 + 39.5 * omega_b**0.763)
    g2 = 0.560 / (1.0 + 21.1 * omega_b**1.81)
    return 1.0 / (1.0 + 1048.0 * (1.0 + 0.00124 * omega_b**-0.738) * (1.0 + g1 * omega_m**g2))


@kernel(reassociate=True)
def _sound_horizon(omega_b: float, omega_cb: float, a_star: float, floats: NDArray[np.float64], at: int) -> float:
    """r_s(a*) in units of c / (100 km/s/Mpc); dark energy, 1e-12 of the density there, is left out."""
    radiation, loading = floats[at], 3.0e4 * omega_b
    nodes = at + _HEADER + _N_SERIES
    total = 0.0
    for i in range(_N_SOUND):
        a = floats[nodes + i]
        density = radiation + omega_cb * a + floats[nodes + 2 * _N_SOUND + i]
        total += floats[nodes + _N_SOUND + i] / math.sqrt(3.0 * (1.0 + loading * a) * density)
    bridge = nodes + 3 * _N_SOUND + 3 * _N_DISTANCE
    span = a_star - floats[at + 6]
    extra = 0.0
    for i in range(_N_BRIDGE):
        a = floats[at + 6] + span * floats[bridge + i]
        density = radiation + omega_cb * a + _bridge_density(a, floats, at)
        extra += floats[bridge + _N_BRIDGE + i] / math.sqrt(3.0 * (1.0 + loading * a) * density)
    return total + span * extra


@kernel(reassociate=True)
def _bridge_distance(omega_cb: float, a_star: float, floats: NDArray[np.float64], at: int) -> float:
    """Comoving distance between a* and the split, units of c / (100 km/s/Mpc)."""
    bridge = at + _HEADER + _N_SERIES + 3 * _N_SOUND + 3 * _N_DISTANCE
    span = a_star - floats[at + 6]
    total = 0.0
    for i in range(_N_BRIDGE):
        a = floats[at + 6] + span * floats[bridge + i]
        total += floats[bridge + _N_BRIDGE + i] / math.sqrt(floats[at] + omega_cb * a + _bridge_density(a, floats, at))
    return span * total


@kernel(reassociate=True)
def _distance(omega_cb: float, h: float, floats: NDArray[np.float64], at: int) -> tuple[float, float]:
    """Comoving distance from today to the split, units of c / (100 km/s/Mpc), and its derivative in h."""
    vacuum = h * h - omega_cb - floats[at] - floats[at + 3]
    nodes = at + _HEADER + _N_SERIES + 3 * _N_SOUND
    total, slope = 0.0, 0.0
    for i in range(_N_DISTANCE):
        a = floats[nodes + i]
        a4 = a * a * a * a
        density = floats[at] + omega_cb * a + floats[nodes + 2 * _N_DISTANCE + i] + vacuum * a4
        term = floats[nodes + _N_DISTANCE + i] / math.sqrt(density)
        total += term
        slope -= term * a4 / density
    return total, slope * h


@kernel(f"float64(float64, float64, float64, {_TABLE})")
def theta_mc_kernel(omega_b: float, omega_c: float, h0: float, floats: NDArray[np.float64], at: int) -> float:
    """100 theta_MC; ``floats[at:]`` is `Background.table`. NaN outside the physical range."""
    if not (omega_b > 0.0 and omega_c >= 0.0 and h0 > 0.0):
        return math.nan
    omega_cb = omega_b + omega_c
    a_star = _recombination(omega_b, omega_cb + floats[at + 2])
    if not (_WINDOW[0] <= a_star <= _WINDOW[1]):
        return math.nan
    distance, _ = _distance(omega_cb, 0.01 * h0, floats, at)
    distance -= _bridge_distance(omega_cb, a_star, floats, at)
    return 100.0 * _sound_horizon(omega_b, omega_cb, a_star, floats, at) / distance


@kernel(f"float64(float64, float64, float64, {_TABLE})")
def hubble_kernel(omega_b: float, omega_c: float, theta_mc: float, floats: NDArray[np.float64], at: int) -> float:
    """H0 (km/s/Mpc) at which 100 theta_MC is ``theta_mc``: Newton's method kept in a bracket. NaN where there is none in 10-300."""
    if not (omega_b > 0.0 and omega_c >= 0.0 and theta_mc > 0.0):
        return math.nan
    omega_cb = omega_b + omega_c
    a_star = _recombination(omega_b, omega_cb + floats[at + 2])
    if not (_WINDOW[0] <= a_star <= _WINDOW[1]):
        return math.nan
    wanted = 100.0 * _sound_horizon(omega_b, omega_cb, a_star, floats, at) / theta_mc + _bridge_distance(omega_cb, a_star, floats, at)
    low, high = _H_LOW, _H_HIGH
    if not (_distance(omega_cb, high, floats, at)[0] <= wanted <= _distance(omega_cb, low, floats, at)[0]):
        return math.nan
    h = 0.67
    for _ in range(100):
        distance, slope = _distance(omega_cb, h, floats, at)
        if distance > wanted:
            low = h
        else:
            high = h
        following = h - (distance - wanted) / slope
        if not (low < following < high):
            following = 0.5 * (low + high)
        step = abs(following - h)
        h = following
        if step <= _TOLERANCE * h:
            break
    return 100.0 * h


@kernel("void(float64[::1], float64[::1], float64[::1], float64[::1], boolean, float64[::1])")
def _each(
    omega_b: NDArray[np.float64],
    omega_c: NDArray[np.float64],
    scale: NDArray[np.float64],
    floats: NDArray[np.float64],
    inverse: bool,
    out: NDArray[np.float64],
) -> None:
    """One of the two kernels at every point."""
    for i in range(out.size):
        if inverse:
            out[i] = hubble_kernel(omega_b[i], omega_c[i], scale[i], floats, 0)
        else:
            out[i] = theta_mc_kernel(omega_b[i], omega_c[i], scale[i], floats, 0)


def _fermi_dirac_energy(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy density of a neutrino of mass m over that of a massless one; ``mass`` is a m / (k T_nu)."""
    nodes, weights = np.polynomial.legendre.leggauss(96)
    q = 25.0 * (nodes + 1.0)
    weight = 25.0 * weights * q**2 / (np.exp(q) + 1.0)
    return np.sqrt(q**2 + np.asarray(mass)[..., None] ** 2) @ weight / (7.0 * math.pi**4 / 120.0)


@dataclass(frozen=True)
class Background:
    r"""Relation between H0 and theta_MC in flat LambdaCDM with one massive neutrino state.

    Parameters
    ----------
    m_nu : float
        Mass of the one massive neutrino state, eV.
    n_eff : float
        Effective number of neutrino species, shared equally by three states.
    t_cmb : float
        Temperature of the CMB today, K.

    Raises
    ------
    ConfigError
        If a number is not finite, or ``n_eff``, ``t_cmb`` is not positive, or ``m_nu`` is negative.

    Notes
    -----
    theta_MC is the ratio of sound horizon and angular diameter distance, both comoving, at the redshift of Hu & Sugiyama's fitting
    formula (astro-ph/9510117):

    .. math:: \theta_{MC} = \int_{10^{-8}}^{a_*} \frac{c_s\,da}{a^2 H} \Big/ \int_{a_*}^1 \frac{da}{a^2 H}, \qquad
              c_s^2 = \frac{1}{3 (1 + 3 \cdot 10^4\, a\, \omega_b)}.

    Radiation is included and the massive state carries its Fermi-Dirac energy at every a; its mass is the one at which its density
    today is omega_nu = m_nu / 94.07 eV (N_eff / 3)^0.75. Gauss-Legendre quadrature on fixed nodes meets a short integral between
    1/1100 and a*. The lower limit 1e-8, not 0, is CosmoMC's. A prior flat in H0 is not flat in theta_MC.

    Examples
    --------
    >>> background = Background()
    >>> float(background.hubble(0.022383, 0.12011, 1.040909))
    67.308...
    >>> float(background.theta_mc(0.022383, 0.12011, 67.30842784))
    1.0409...
    """

    m_nu: float = 0.06
    n_eff: float = 3.044
    t_cmb: float = 2.7255
    table: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("m_nu", "n_eff", "t_cmb"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0) or (value == 0.0 and name != "m_nu"):
                raise ConfigError(f"{name} must be finite and {'not negative' if name == 'm_nu' else 'positive'}, got {value}")
        object.__setattr__(self, "table", _table(float(self.m_nu), float(self.n_eff), float(self.t_cmb)))

    @property
    def omega_nu(self) -> float:
        """Density of the massive neutrinos today, times h^2."""
        return float(self.table[2])

    def theta_mc(self, omega_b: ArrayLike, omega_c: ArrayLike, h0: ArrayLike) -> NDArray[np.float64]:
        """100 theta_MC of each point; arguments broadcast, H0 in km/s/Mpc. NaN where there is no such universe."""
        return self._map(omega_b, omega_c, h0, "h0", inverse=False)

    def hubble(self, omega_b: ArrayLike, omega_c: ArrayLike, theta_mc: ArrayLike) -> NDArray[np.float64]:
        """H0 (km/s/Mpc) of each point; arguments broadcast, ``theta_mc`` is 100 theta_MC. NaN where no H0 in 10-300 gives it."""
        return self._map(omega_b, omega_c, theta_mc, "theta_mc", inverse=True)

    def _map(self, omega_b: ArrayLike, omega_c: ArrayLike, scale: ArrayLike, name: str, *, inverse: bool) -> NDArray[np.float64]:
        given = [as_float_array(item, value) for item, value in (("omega_b", omega_b), ("omega_c", omega_c), (name, scale))]
        try:
            arrays = np.broadcast_arrays(*given)
        except ValueError as error:
            raise DataError(f"omega_b, omega_c and {name} must broadcast, got shapes {', '.join(str(x.shape) for x in given)}") from error
        out = np.empty(arrays[0].size)
        _each(*(np.array(item, dtype=np.float64).ravel() for item in arrays), self.table, inverse, out)
        return out.reshape(arrays[0].shape)


@functools.lru_cache(maxsize=16)
def _table(m_nu: float, n_eff: float, t_cmb: float) -> NDArray[np.float64]:
    """Everything the kernels need: densities, a series, and the nodes, weights and neutrino densities of the quadratures."""
    to_omega = 8.0 * math.pi * _G / 3.0 / (1.0e5 / _MPC) ** 2 / _C**2
    photons = to_omega * 8.0 * math.pi**5 * (_K_B * t_cmb) ** 4 / (15.0 * (_H_PLANCK * _C) ** 3)
    state = photons * 7.0 / 8.0 * (4.0 / 11.0) ** (4.0 / 3.0) * n_eff / 3.0
    omega_nu = m_nu / _NEUTRINO_MASS_EV * (n_eff / 3.0) ** 0.75 * (t_cmb / 2.7255) ** 3
    mass = omega_nu / state * (7.0 * math.pi**4 / 120.0) / (1.5 * _ZETA3)  # m / (k T_nu) that gives omega_nu when non-relativistic

    def massive(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return state * _fermi_dirac_energy(mass * a)

    def rule(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        nodes, weights = np.polynomial.legendre.leggauss(n)
        return 0.5 * (nodes + 1.0), 0.5 * weights

    x, w = rule(_N_SOUND)
    sound, sound_weight = _FIRST + (_SPLIT - _FIRST) * x, (_SPLIT - _FIRST) * w
    x, w = rule(_N_DISTANCE)
    low = math.log(_SPLIT)
    distance, distance_weight = np.exp(low * (1.0 - x)), -low * w * np.exp(low * (1.0 - x))
    centre, half = 0.5 * (_WINDOW[0] + _WINDOW[1]), 0.5 * (_WINDOW[1] - _WINDOW[0])
    scaled = np.cos(math.pi * (np.arange(4 * _N_SERIES) + 0.5) / (4 * _N_SERIES))
    series = np.polynomial.polynomial.polyfit(scaled, massive(centre + half * scaled), _N_SERIES - 1)
    today = float(massive(np.array([1.0]))[0])
    header = [photons + 2.0 * state, state, omega_nu, today, centre, 1.0 / half, _SPLIT, 0.0]
    x, w = rule(_N_BRIDGE)
    parts = (header, series, sound, sound_weight, massive(sound), distance, distance_weight, massive(distance), x, w)
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
