"""The engine: a quasi-likelihood for the shape of an effect, from a fitted curve and its covariance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_column
from sciinf.core.atomic import write_text
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal
from sciinf.engines.r3d import effect_kernels as kernels
from sciinf.engines.r3d.effect_models import EffectModel, Shape, shape_of

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from sciinf.engines.r3d.results import R3DResults
    from sciinf.results.posterior import Posterior

__all__ = ["R3DEffectEngine"]

FloatArray = NDArray[np.float64]

_DERIVED = (0.1, 0.5, 0.9)
_SAME_LEVEL = 1e-12
_WORST_CONDITION = 1e10
_PRIOR_WIDTH = 5.0  # median standard errors


@dataclass(frozen=True, eq=False)
class R3DEffectEngine:
    """ln L of tau_theta(q) given an estimated curve: a multivariate t, whose covariance is itself estimated, or a normal.

    Made by `R3DResults.to_engine`.

    Attributes
    ----------
    statistic : (d,) float64 array
        t: the curve at the levels, or its leading principal components; outcome's unit.
    covariance : (d, d) float64 array
        S, outcome's unit squared.
    nu : float
        Degrees of freedom of S; infinite in the normal form.
    q : (n_q,) float64 array
        Levels at which a shape is evaluated.
    m_minus : (n_q,) float64 array
        Limit from below at these levels.
    curve, curve_se : (n_q,) float64 array
        Estimated effect and its standard error there.
    projection : (d, n_q) float64 array, optional
        From a curve to the statistic, where that is not the curve itself.
    model : str or EffectModel
        The shape.
    bandwidth : (k,) float64 array
        Of the fit.
    fit : R3DResults, optional
        What the statistic was taken from, which a run directory keeps. It is not sent to other processes.

    Raises
    ------
    DataError
        If the covariance is singular to working precision or nu + 1 <= d.
    ConfigError
        If the model is not known, or a function of one's own does not fit; see `EffectModel`.

    Notes
    -----
    With chi2 = (t - tau_theta)' S^-1 (t - tau_theta) and d = len(t), ln L = ln Gamma((nu+1)/2) - ln Gamma((nu+1-d)/2) - (d/2) ln(pi nu)
    - (1/2) ln det S - ((nu+1)/2) ln(1 + chi2/nu), normalised in t: the form of Sellentin & Heavens (arXiv:1511.05969) with nu + 1 for the
    number of simulations, so a multivariate t with nu + 1 - d degrees of freedom and scale S nu / (nu + 1 - d). It is a quasi-likelihood:
    conditional on the bandwidth, with smoothing bias handled by the order of the fit only. Evidences compare shapes for one and the same
    t, S, nu, bandwidth and levels (`comparison_key`).
    """

    statistic: FloatArray
    covariance: FloatArray
    nu: float
    q: FloatArray
    m_minus: FloatArray
    curve: FloatArray
    curve_se: FloatArray
    projection: FloatArray | None
    model: str | EffectModel
    bandwidth: FloatArray
    fit: R3DResults | None = field(default=None, repr=False)
    _shape: Shape | EffectModel = field(init=False, repr=False)
    _factor: FloatArray = field(init=False, repr=False)
    _whitening: FloatArray = field(init=False, repr=False)
    _whitened: FloatArray = field(init=False, repr=False)
    _constant: float = field(init=False, repr=False)
    _packed: CompiledLikelihood | None = field(init=False, repr=False)
    _many: Callable[..., FloatArray] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        d, factor = len(self.statistic), self._checked_factor()
        plane = np.eye(len(self.q)) if self.projection is None else self.projection
        if math.isinf(self.nu):
            constant = -0.5 * d * math.log(2.0 * math.pi)
        else:
            constant = math.lgamma(0.5 * (self.nu + 1.0)) - math.lgamma(0.5 * (self.nu + 1.0 - d)) - 0.5 * d * math.log(math.pi * self.nu)
        made = {
            "_shape": shape_of(self.model),
            "_factor": factor,
            "_whitening": np.linalg.solve(factor, plane),
            "_whitened": np.linalg.solve(factor, self.statistic),
            "_constant": constant - float(np.log(np.diag(factor)).sum()),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        packed, many = self._pack()
        object.__setattr__(self, "_packed", packed)
        object.__setattr__(self, "_many", many)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"fit": None}

    def _checked_factor(self) -> FloatArray:
        """Cholesky factor of S; DataError where there is none."""
        d = len(self.statistic)
        if not self.nu + 1.0 > d:
            raise DataError(
                f"too few degrees of freedom for the statistic: nu + 1 = {self.nu + 1.0:g} must exceed its length d = {d}. "
                "Take fewer levels, n_components, or a wider bandwidth"
            )
        condition = float(np.linalg.cond(self.covariance))
        try:
            if not condition <= _WORST_CONDITION:
                raise np.linalg.LinAlgError
            return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)
        except np.linalg.LinAlgError:
            raise DataError(
                f"the covariance of the statistic (d = {d}) is singular to working precision (condition {condition:.1e}). "
                "Take fewer levels q, or n_components=3"
            ) from None

    def _pack(self) -> tuple[CompiledLikelihood | None, Callable[..., FloatArray] | None]:
        """The kernel with its numbers, and the one for many rows; None for a shape in plain Python."""
        head = [-1.0 if math.isinf(self.nu) else self.nu, self._constant]
        if isinstance(self._shape, Shape):
            columns = self._whitening @ self._shape.basis(self.q, self.m_minus).T
            ints = np.array([columns.shape[1], int(self._shape.exponential)], dtype=np.int64)
            return CompiledLikelihood(
                kernels.linear, np.array([*head, *kernels.quadratic(self._whitened, columns)]), ints, 0
            ), kernels.linear_many
        self._shape.check(self.q, self.m_minus)
        if not self._shape.is_compiled:
            return None, None
        one, many = kernels.of_function(self._shape.function)
        floats = np.concatenate([head, self.q, self.m_minus, self._whitened, self._whitening.ravel()])
        return CompiledLikelihood(one, floats, np.array([len(self.statistic), len(self.q)], dtype=np.int64), 0), many

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the shape's parameters."""
        return self._shape.names

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The effect at .1, .5 and .9, where these are levels."""
        return tuple(f"tau_{round(100 * level)}" for level in _DERIVED if self._places(level).any())

    def _places(self, level: float) -> NDArray[np.bool_]:
        return np.asarray(np.abs(self.q - level) <= _SAME_LEVEL)

    def _theta(self, theta: ArrayLike) -> FloatArray:
        values = np.array(theta, dtype=np.float64, order="C")
        if values.ndim not in (1, 2) or values.shape[-1] != len(self.parameters):
            raise ConfigError(
                f"R3DEffectEngine: theta must be ({', '.join(self.parameters)}) of shape ({len(self.parameters)},), got {values.shape}"
            )
        return values

    def tau(self, theta: ArrayLike) -> FloatArray:
        """The shape at ``theta`` (n_parameters,), (n_q,), outcome's unit."""
        values = self._theta(theta)
        if isinstance(self._shape, EffectModel):
            return self._shape.curve(values, self.q, self.m_minus)
        coefficients = np.expm1(values) if self._shape.exponential else values
        return np.asarray(coefficients @ self._shape.basis(self.q, self.m_minus))

    def _of_chi2(self, chi2: float) -> float:
        if not math.isfinite(chi2):
            return -math.inf
        return self._constant - (0.5 * chi2 if math.isinf(self.nu) else 0.5 * (self.nu + 1.0) * math.log1p(chi2 / self.nu))

    def _plain(self, theta: FloatArray) -> float:
        """Ln L of a shape in plain Python."""
        if not np.isfinite(theta).all():
            return math.nan
        residual = self._whitened - self._whitening @ self.tau(theta)
        return self._of_chi2(float(residual @ residual))

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L at ``theta`` (n_parameters,); NaN where theta is not finite, -inf where the shape overflows."""
        values = self._theta(theta)
        return self._plain(values) if self._packed is None else self._packed(values)

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L (n,) of each row of ``thetas`` (n, n_parameters), equal to the single value to the bit."""
        rows = np.atleast_2d(self._theta(thetas))
        if self._packed is None or self._many is None:
            return np.array([self._plain(row) for row in rows])
        return np.asarray(self._many(rows, self._packed.floats, self._packed.ints, np.empty(0)))

    def log_likelihood_null(self) -> float:
        """Ln L of no effect at all: the evidence of the model without parameters."""
        return self._of_chi2(float(self._whitened @ self._whitened))

    def compiled(self) -> CompiledLikelihood | None:
        """The kernel and its packed data; None for a shape in plain Python."""
        return self._packed

    def default_priors(self) -> PriorSet:
        """Normal(0, 5 median standard errors) for what has the outcome's unit, Normal(0, 1) for what has none; your own for evidences."""
        if isinstance(self._shape, EffectModel):
            return PriorSet([Parameter(name, prior) for name, prior in zip(self._shape.names, self._shape.priors, strict=True)])
        width = _PRIOR_WIDTH * float(np.median(self.curve_se))
        rows = zip(self._shape.names, self._shape.latex, self._shape.dimensionless, strict=True)
        return PriorSet([Parameter(name, Normal(0.0, 1.0 if bare else width), latex=latex) for name, latex, bare in rows])

    def comparison_parts(self) -> dict[str, str]:
        """sha256 of each thing that the shapes must have in common for their evidences to be compared, by name."""
        return {
            "statistic": sha256_of(self.statistic),
            "covariance": sha256_of(self.covariance),
            "degrees of freedom": sha256_of(self.nu),
            "levels": sha256_of(self.q),
            "projection": sha256_of(self.projection),
            "bandwidth": sha256_of(self.bandwidth),
        }

    def comparison_key(self) -> str:
        """sha256 of `comparison_parts`: evidences may be compared only where it is equal."""
        return sha256_of("r3d effect data", self.comparison_parts())

    def fingerprint(self) -> str:
        """sha256 over the statistic, its covariance, nu, levels, limit from below, shape and kernel version."""
        shape = list(self._shape.describe()) if isinstance(self._shape, EffectModel) else [self.model]
        return sha256_of("r3d effect", kernels.KERNEL_VERSION, self.comparison_parts(), self.m_minus, *shape)

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
        """A statistic (d,) drawn from the likelihood's own law at ``theta``."""
        mean = self.tau(theta) if self.projection is None else self.projection @ self.tau(theta)
        step = self._factor @ rng.standard_normal(len(self.statistic))
        if math.isinf(self.nu):
            return np.asarray(mean + step)
        return np.asarray(mean + step * math.sqrt(self.nu / rng.chisquare(self.nu + 1.0 - len(self.statistic))))

    def with_data(self, data: ArrayLike) -> R3DEffectEngine:
        """The same likelihood with another statistic (d,).

        Raises
        ------
        DataError
            If it is not finite or of another length.
        """
        return replace(self, statistic=finite_column("statistic", data, length=len(self.statistic)), fit=None)

    def derived_many(self, thetas: NDArray[np.float64]) -> FloatArray:
        """`derived_names` at each row of ``thetas`` (n, n_parameters)."""
        rows = np.atleast_2d(self._theta(thetas))
        places = [int(np.argmax(self._places(level))) for level in _DERIVED if self._places(level).any()]
        return np.array([self.tau(row)[places] for row in rows]).reshape(len(rows), len(places))

    def predict(self, theta: NDArray[np.float64]) -> dict[str, FloatArray]:
        """The shape at ``theta`` beside the estimated curve and its standard error: ``q``, ``tau_model``, ``tau``, ``se``, (n_q,) each."""
        return {"q": self.q.copy(), "tau_model": self.tau(theta), "tau": self.curve.copy(), "se": self.curve_se.copy()}

    def products(self) -> dict[str, Callable[[Path], None]]:
        """The fit as a file and its summary, where the engine has its fit: ``fit.h5``, ``fit.txt``."""
        if self.fit is None:
            return {}
        fit = self.fit
        return {"fit.h5": fit.save, "fit.txt": lambda path: write_text(path, f"{fit.summary()}\n")}

    def figures(self, posterior: Posterior) -> dict[str, Figure]:
        """The shape with its posterior band over the estimated curve."""
        from sciinf.engines.r3d.plots import shape_over_curve

        return {"effect_shape": shape_over_curve(self, posterior)}
