"""Theory protocol: parameters to spectra; and the Boltzmann code CAMB behind it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, cast, get_args, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import as_float_array
from sciinf.core.errors import ConfigError, MissingDependencyError, nearest_names, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb.background import Background
from sciinf.engines.cmb.spectra import SPECTRA, Spectra, SpectraBatch

__all__ = [
    "LATEX",
    "PARAMETERS",
    "UNITS",
    "CAMBSettings",
    "CAMBTheory",
    "Scale",
    "Theory",
    "as_thetas",
    "camb_point",
    "parameters_of",
    "theta_mc_form",
]

logger = logging.getLogger(__name__)

Scale = Literal["theta_mc", "H0"]
"""Which parameter carries the distance scale: 100 theta_MC, or H0 in km/s/Mpc."""

PARAMETERS = ("omega_b", "omega_c", "theta_mc", "tau", "logA", "n_s")
"""Flat LambdaCDM: physical densities, 100 theta_MC, optical depth, ln(1e10 A_s), spectral index."""

LATEX = {
    "omega_b": r"\Omega_b h^2",
    "omega_c": r"\Omega_c h^2",
    "theta_mc": r"100\theta_{MC}",
    "tau": r"\tau",
    "logA": r"\ln(10^{10} A_s)",
    "n_s": r"n_s",
    "H0": r"H_0",
    "sigma8": r"\sigma_8",
    "Omega_m": r"\Omega_m",
    "age": r"t_0",
}
UNITS = {"H0": "km/s/Mpc", "age": "Gyr"}

_SCALE_AT = PARAMETERS.index("theta_mc")


@runtime_checkable
class Theory(Protocol):
    """What gives spectra from parameters: frozen, picklable, pure.

    ``theta`` is float64, in the order of ``parameters``. Where a point has no spectra (outside the domain, or the code failed), every
    entry from l = 2 is NaN and `explain` says why: nothing raises.
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of ``theta``."""
        ...

    @property
    def l_max(self) -> dict[str, int]:
        """Largest l of each spectrum that the theory gives, by name ("TT", ...)."""
        ...

    def domain(self) -> dict[str, tuple[float, float]] | None:
        """Box, by sampled name, in which the theory is valid; None where it has no box."""
        ...

    def spectra(self, theta: NDArray[np.float64]) -> Spectra:
        """Spectra at ``theta`` (n_parameters,)."""
        ...

    def spectra_many(self, thetas: NDArray[np.float64]) -> SpectraBatch:
        """Spectra of each row of ``thetas`` (n, n_parameters)."""
        ...

    @property
    def derived_names(self) -> tuple[str, ...]:
        """Names of the derived parameters."""
        ...

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derived parameters (n, n_derived) of each row of ``thetas``."""
        ...

    def explain(self, theta: NDArray[np.float64]) -> list[str]:
        """Why ``theta`` has no spectra; empty where it has."""
        ...

    def fingerprint(self) -> str:
        """sha256 over everything that moves a spectrum."""
        ...


def parameters_of(sample: Scale) -> tuple[str, ...]:
    """Names of the six parameters with the scale parameter ``sample`` in its place.

    Raises
    ------
    ConfigError
        If ``sample`` is neither "theta_mc" nor "H0".

    Examples
    --------
    >>> parameters_of("H0")
    ('omega_b', 'omega_c', 'H0', 'tau', 'logA', 'n_s')
    """
    if sample not in get_args(Scale):
        raise ConfigError(f"sample = {shown(sample)}: {nearest_names(str(sample), get_args(Scale))}")
    return tuple(sample if name == "theta_mc" else name for name in PARAMETERS)


def as_thetas(thetas: ArrayLike, names: tuple[str, ...]) -> NDArray[np.float64]:
    """``thetas`` as a C-contiguous (n, n_parameters) array; ConfigError names the parameters where the shape is another."""
    array = as_float_array("thetas", thetas)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise ConfigError(f"thetas must have shape (n, {len(names)}), one column each for {', '.join(names)}; got {array.shape}")
    return array


def theta_mc_form(thetas: NDArray[np.float64], sample: Scale, background: Background) -> NDArray[np.float64]:
    """The same points (n, 6) with 100 theta_MC as the scale parameter, whatever was sampled."""
    if sample == "theta_mc":
        return thetas
    converted = thetas.copy()
    converted[:, _SCALE_AT] = background.theta_mc(thetas[:, 0], thetas[:, 1], thetas[:, _SCALE_AT])
    return converted


@dataclass(frozen=True)
class CAMBSettings:
    """Physics and accuracy settings of a CAMB run: part of every fingerprint and of the training cache's keys.

    Parameters
    ----------
    m_nu, n_eff : float
        Mass of the massive neutrino state (eV) and effective number of species.
    num_massive_neutrinos : int
        Number of massive states.
    neutrino_hierarchy : str
        CAMB's name of the mass pattern.
    bbn : str
        Table that gives the helium fraction.
    recfast_approx_model : str
        CAMB's variant of recfast.
    lmax : int
        Largest l computed.
    lens_potential_accuracy : float
        CAMB's accuracy of the lensing potential; 1 to 2 moves the TTTEEE chi2 by 0.14.
    halofit : str
        Non-linear model, applied to lensing and spectra.
    sigma8_kmax, sigma8_k_per_logint : float, int
        Largest k and density in ln k of the separate linear run that gives sigma8.
    """

    m_nu: float = 0.06
    n_eff: float = 3.044
    num_massive_neutrinos: int = 1
    neutrino_hierarchy: str = "degenerate"
    bbn: str = "PArthENoPE_880.2_standard.dat"
    recfast_approx_model: str = "planck"
    lmax: int = 2700
    lens_potential_accuracy: float = 1.0
    halofit: str = "mead2016"
    sigma8_kmax: float = 2.0
    sigma8_k_per_logint: int = 20

    def __post_init__(self) -> None:
        for name in ("m_nu", "n_eff", "lens_potential_accuracy", "sigma8_kmax"):
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("num_massive_neutrinos", "lmax", "sigma8_k_per_logint"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.lmax < 2:
            raise ConfigError(f"lmax must be at least 2, got {self.lmax}")

    def describe(self) -> dict[str, float | int | str]:
        """All settings by name, JSON-able."""
        return asdict(self)


def _require_camb() -> None:
    if importlib.util.find_spec("camb") is None:
        raise MissingDependencyError.for_extra("camb", "cmb", "CAMBTheory")


def camb_point(point: dict[str, float], settings: CAMBSettings) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """One CAMB run.

    Parameters
    ----------
    point : dict of str to float
        The six parameters by name, with either theta_mc (100 theta_MC) or H0 (km/s/Mpc).
    settings : CAMBSettings
        Physics and accuracy.

    Returns
    -------
    spectra : dict of str to (lmax + 1,) float64 array
        tt, te, ee, bb lensed, D_l in muK^2; pp = [L(L+1)]^2 C_L / 2pi; entries 0 and 1 are zero.
    derived : (4,) float64 array
        The other scale parameter (H0, or 100 theta_MC where H0 was given), sigma8, Omega_m, age in Gyr.

    Notes
    -----
    sigma8 comes from a second, linear run without CMB spectra, so that asking for it does not move the spectra.
    """
    import camb
    from camb.bbn import BBN_table_interpolator

    by_theta = "theta_mc" in point
    scale = {"cosmomc_theta": point["theta_mc"] / 100} if by_theta else {"H0": point["H0"]}
    pars = camb.CAMBparams()
    pars.set_cosmology(
        **scale,
        ombh2=point["omega_b"],
        omch2=point["omega_c"],
        mnu=settings.m_nu,
        omk=0,
        tau=point["tau"],
        nnu=settings.n_eff,
        num_massive_neutrinos=settings.num_massive_neutrinos,
        neutrino_hierarchy=settings.neutrino_hierarchy,
        bbn_predictor=BBN_table_interpolator(settings.bbn),
    )
    pars.Recomb.set_params(recfast_approx_model=settings.recfast_approx_model)
    pars.InitPower.set_params(As=np.exp(point["logA"]) * 1e-10, ns=point["n_s"])
    pars.set_for_lmax(settings.lmax, lens_potential_accuracy=settings.lens_potential_accuracy)
    pars.NonLinear = camb.model.NonLinear_both
    pars.NonLinearModel.set_params(halofit_version=settings.halofit)
    results = camb.get_results(pars)
    both = results.get_cmb_power_spectra(pars, spectra=("lensed_scalar", "lens_potential"), CMB_unit="muK", lmax=settings.lmax)
    lensed, potential = both["lensed_scalar"], both["lens_potential"]
    linear = pars.copy()
    linear.WantCls = False
    linear.NonLinear = camb.model.NonLinear_none
    linear.DoLensing = False
    linear.set_matter_power(redshifts=[0.0], kmax=settings.sigma8_kmax, k_per_logint=settings.sigma8_k_per_logint, silent=True)
    sigma8 = float(camb.get_results(linear).get_sigma8()[0])
    age = float(results.get_derived_params()["age"])
    omega_m = float((point["omega_b"] + point["omega_c"]) / (pars.H0 / 100) ** 2 + results.get_Omega("nu"))
    spectra = {"tt": lensed[:, 0], "ee": lensed[:, 1], "bb": lensed[:, 2], "te": lensed[:, 3], "pp": potential[:, 0]}
    spectra = {name: np.array(values, dtype=np.float64) for name, values in spectra.items()}
    for values in spectra.values():
        values[:2] = 0.0
    other = float(pars.H0) if by_theta else 100.0 * float(results.cosmomc_theta())
    return spectra, np.array([other, sigma8, omega_m, age])


@dataclass(frozen=True, eq=False)
class CAMBTheory:
    """Spectra of flat LambdaCDM from CAMB: seconds a call, no box.

    Parameters
    ----------
    sample : {"theta_mc", "H0"}
        Which scale parameter ``theta`` holds.
    settings : CAMBSettings
        Physics and accuracy; part of the fingerprint, with CAMB's version.

    Raises
    ------
    ConfigError
        If ``sample`` is neither of the two.
    MissingDependencyError
        If CAMB is not installed.

    Notes
    -----
    A point at which CAMB fails, or gives a value that is not finite, has NaN spectra: the likelihood there is -inf. CAMB's message is
    logged once per distinct text and counted in ``failures`` (by text, in this process).
    """

    sample: Scale = "theta_mc"
    settings: CAMBSettings = field(default_factory=CAMBSettings)
    failures: dict[str, int] = field(init=False, repr=False, default_factory=dict)
    _derived: dict[bytes, NDArray[np.float64]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        parameters_of(self.sample)
        _require_camb()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the six parameters, in the order of ``theta``."""
        return parameters_of(self.sample)

    @property
    def l_max(self) -> dict[str, int]:
        """Largest l of each spectrum: the settings' lmax."""
        return dict.fromkeys(SPECTRA, self.settings.lmax)

    def domain(self) -> None:
        """None: CAMB has no box."""
        return

    def spectra(self, theta: NDArray[np.float64]) -> Spectra:
        """Spectra at ``theta`` (6,); NaN from l = 2 where CAMB fails."""
        point = as_thetas(np.atleast_2d(theta), self.parameters)[0]
        found, _ = self._run(point)
        return Spectra.unchecked({name: found[name.lower()] for name in SPECTRA})

    def spectra_many(self, thetas: NDArray[np.float64]) -> SpectraBatch:
        """Spectra of each row of ``thetas`` (n, 6), one CAMB run each."""
        points = as_thetas(thetas, self.parameters)
        runs = [self._run(point)[0] for point in points]
        n_l = self.settings.lmax + 1
        return SpectraBatch(**{name.lower(): np.array([run[name.lower()] for run in runs]).reshape(len(runs), n_l) for name in SPECTRA})

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The other scale parameter, sigma8, Omega_m, age (Gyr)."""
        return ("H0" if self.sample == "theta_mc" else "theta_mc", "sigma8", "Omega_m", "age")

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derived parameters (n, 4): a CAMB run for each row that this object has not computed before."""
        derived = np.empty((len(thetas), len(self.derived_names)))
        for i, point in enumerate(as_thetas(thetas, self.parameters)):
            known = self._derived.get(point.tobytes())
            derived[i] = self._run(point)[1] if known is None else known
        return derived

    def explain(self, theta: NDArray[np.float64]) -> list[str]:
        """CAMB's message at ``theta``, where it fails."""
        message = self._try(as_thetas(np.atleast_2d(theta), self.parameters)[0])[2]
        return [] if message is None else [f"CAMB: {message}"]

    def fingerprint(self) -> str:
        """sha256 over CAMB's version, the settings and the scale parameter."""
        return sha256_of("camb", importlib.metadata.version("camb"), cast("dict[str, Any]", self.settings.describe()), self.sample)

    def _run(self, point: NDArray[np.float64]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Spectra and derived parameters of one point; a failure is logged once per text and counted."""
        spectra, derived, message = self._try(point)
        if message is not None:
            if message not in self.failures:
                logger.warning("CAMB failed at %s: %s", dict(zip(self.parameters, point.tolist(), strict=True)), message)
            self.failures[message] = self.failures.get(message, 0) + 1
        self._derived[point.tobytes()] = derived
        return spectra, derived

    def _try(self, point: NDArray[np.float64]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], str | None]:
        """Spectra, derived parameters, and CAMB's message where it failed (the arrays are NaN then)."""
        from camb.baseconfig import CAMBError, CAMBFortranError, CAMBValueError

        try:
            spectra, derived = camb_point(dict(zip(self.parameters, point.tolist(), strict=True)), self.settings)
        except (CAMBError, CAMBFortranError, CAMBValueError, ArithmeticError) as error:
            message = " ".join(str(error).split()) or type(error).__name__
        else:
            bad = [name for name in SPECTRA if not np.all(np.isfinite(spectra[name.lower()]))]
            if not bad:
                return spectra, derived, None
            message = f"the spectrum {bad[0]} is not finite"
        empty = np.full(self.settings.lmax + 1, math.nan)
        empty[:2] = 0.0
        return {name.lower(): empty.copy() for name in SPECTRA}, np.full(4, math.nan), message

    def __getstate__(self) -> dict[str, Any]:
        return {"sample": self.sample, "settings": self.settings, "failures": {}, "_derived": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
