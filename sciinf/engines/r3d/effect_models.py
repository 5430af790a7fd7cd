"""Shapes that an effect curve may have, tau_theta(q)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.errors import ConfigError, nearest_names, shown
from sciinf.core.prior_base import Prior
from sciinf.engines.r3d.projection import cell_weights

__all__ = ["SHAPES", "EffectModel", "Shape", "shape_of"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EffectModel:
    """A shape of your own.

    Parameters
    ----------
    names : tuple of str
        Parameters, in the order of ``theta``.
    function : callable
        (theta (k,), q (n_q,), m_minus (n_q,)) to tau_theta (n_q,), all float64, in the outcome's unit. Compiled with numba it unlocks the
        compiled samplers; it must not raise there. It is tried at the priors' medians when an engine is made.
    priors : sequence of priors
        One for each parameter.
    version : str
        Part of the fingerprint beside the function's name: change it when the function changes.

    Raises
    ------
    ConfigError
        If names are missing or repeated, or priors are not as many; when an engine is made, if the function does not give one finite
        number for each level.

    Examples
    --------
    >>> from sciinf.core.priors import Normal
    >>> def bend(theta, q, m_minus):
    ...     return theta[0] + theta[1] * (q - 0.5) ** 2
    >>> model = EffectModel(("level", "bend"), bend, (Normal(0.0, 5.0), Normal(0.0, 20.0)))
    >>> model.curve(np.array([1.0, 4.0]), np.array([0.25, 0.5]), np.zeros(2))
    array([1.25, 1.  ])
    """

    names: tuple[str, ...]
    function: Callable[..., Any]
    priors: Sequence[Prior]
    version: str = "1"

    def __post_init__(self) -> None:
        names = tuple(self.names)
        if not names or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(f"EffectModel: names must be different words, at least one; got {shown(self.names)}")
        if not callable(self.function):
            raise ConfigError(f"EffectModel: function must be callable, got {shown(self.function)}")
        if len(self.priors) != len(names):
            raise ConfigError(f"EffectModel: {len(names)} names need {len(names)} priors, got {len(self.priors)}")
        if strange := [prior for prior in self.priors if not isinstance(prior, Prior)]:
            raise ConfigError(f"EffectModel: priors must be priors such as Normal(0, 5), got {shown(strange[0])}")
        object.__setattr__(self, "names", names)

    @property
    def is_compiled(self) -> bool:
        """Whether the function is one of numba's."""
        return hasattr(self.function, "py_func")

    @property
    def _name(self) -> str:
        function = getattr(self.function, "py_func", self.function)
        return str(getattr(function, "__name__", type(function).__name__))

    def describe(self) -> tuple[str, ...]:
        """What identifies it: where the function is defined, its version, the names of the parameters."""
        function = getattr(self.function, "py_func", self.function)
        return str(function.__module__), str(getattr(function, "__qualname__", self._name)), self.version, *self.names

    def curve(self, theta: FloatArray, q: FloatArray, m_minus: FloatArray) -> FloatArray:
        """tau_theta (n_q,) at ``theta`` (k,).

        Raises
        ------
        ConfigError
            If the function gives anything else than one real number for each level.
        """
        found = np.asarray(self.function(theta, q, m_minus))
        if found.dtype.kind not in "fiu":
            raise ConfigError(f"EffectModel: the function '{self._name}' must return numbers, got dtype {found.dtype}")
        if found.shape != q.shape:
            raise ConfigError(
                f"EffectModel: the function '{self._name}' must return {q.shape}, one value for each level, got {found.shape} at theta = "
                f"{theta.tolist()}"
            )
        return found.astype(np.float64)

    def check(self, q: FloatArray, m_minus: FloatArray) -> None:
        """Evaluate the function once, at the medians of the priors.

        Raises
        ------
        ConfigError
            If it cannot be evaluated there, or as `curve`, or a value is not finite.
        """
        theta = np.array([float(prior.ppf(0.5)) for prior in self.priors])
        where = f"theta = {theta.tolist()}, {len(q)} levels"
        try:
            found = self.curve(theta, q, m_minus)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"EffectModel: the function '{self._name}' cannot be evaluated at {where}: {type(error).__name__}: {error}. It is called "
                "as function(theta, q, m_minus)"
            ) from error
        if not np.isfinite(found).all():
            raise ConfigError(f"EffectModel: the function '{self._name}' is not finite at the priors' medians, {where}: {found.tolist()}")


@dataclass(frozen=True)
class Shape:
    """A shape that is linear in its coefficients.

    Attributes
    ----------
    names, latex : tuple of str
        Parameters.
    basis : callable
        (q, m_minus) to the columns (k, n_q), k 1 or 2.
    reads_m_minus : bool
        Whether the limit from below enters, as if it were known.
    exponential : bool
        Whether the one coefficient is exp(kappa) - 1.
    dimensionless : tuple of bool
        Which parameters have no unit.
    """

    names: tuple[str, ...]
    latex: tuple[str, ...]
    basis: Callable[[FloatArray, FloatArray], FloatArray]
    reads_m_minus: bool
    exponential: bool
    dimensionless: tuple[bool, ...]


def _ones(q: FloatArray, m_minus: FloatArray) -> FloatArray:
    return np.ones((1, len(q)))


def _ones_and_normal(q: FloatArray, m_minus: FloatArray) -> FloatArray:
    return np.array([np.ones(len(q)), special.ndtri(q)])


def _ones_and_slope(q: FloatArray, m_minus: FloatArray) -> FloatArray:
    return np.array([np.ones(len(q)), q - 0.5])


def _ones_and_spread(q: FloatArray, m_minus: FloatArray) -> FloatArray:
    return np.array([np.ones(len(q)), m_minus - cell_weights(q) @ m_minus])


def _limit(q: FloatArray, m_minus: FloatArray) -> FloatArray:
    return m_minus[None, :].copy()


SHAPES = {
    "shift": Shape(("delta",), (r"\delta",), _ones, False, False, (False,)),
    "location_scale": Shape(("delta", "gamma"), (r"\delta", r"\gamma"), _ones_and_normal, False, False, (False, False)),
    "tilt": Shape(("delta", "kappa"), (r"\delta", r"\kappa"), _ones_and_slope, False, False, (False, False)),
    "minus_scale": Shape(("delta", "gamma"), (r"\delta", r"\gamma"), _ones_and_spread, True, False, (False, True)),
    "log_scale": Shape(("kappa",), (r"\kappa",), _limit, True, True, (True,)),
}
"""By name: delta; delta + gamma Phi^-1(q); delta + kappa (q - 1/2); delta + gamma (m_- - its average); (exp(kappa) - 1) m_-."""


def shape_of(model: Any) -> Shape | EffectModel:
    """The shape of that name, or the model itself.

    Raises
    ------
    ConfigError
        If there is none; names the nearest. "null" has no parameters to sample: its likelihood is ``log_likelihood_null()``.
    """
    if isinstance(model, EffectModel):
        return model
    if model == "null":
        raise ConfigError("r3d: the model 'null' has no parameters; take another one, and its engine.log_likelihood_null()")
    if not isinstance(model, str) or model not in SHAPES:
        raise ConfigError(f"r3d: no model {shown(model)}: {nearest_names(str(model), SHAPES)}; or an EffectModel of your own")
    return SHAPES[model]
