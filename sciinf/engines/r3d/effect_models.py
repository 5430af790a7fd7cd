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
        compiled samplers; it must not raise there.
    priors : sequence of priors
        One for each parameter.
    version : str
        Part of the fingerprint beside the function's name: change it when the function changes.

    Raises
    ------
    ConfigError
        If names are missing or repeated, or priors are not as many.
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
        object.__setattr__(self, "names", names)

    @property
    def is_compiled(self) -> bool:
        """Whether the function is one of numba's."""
        return hasattr(self.function, "py_func")

    def describe(self) -> tuple[str, str, str]:
        """What identifies it."""
        function = getattr(self.function, "py_func", self.function)
        return str(function.__module__), str(function.__qualname__), self.version


@dataclass(frozen=True)
class Shape:
    """A shape that is linear in its coefficients.

    Attributes
    ----------
    names, latex : tuple of str
        Parameters.
    basis : callable
        (q, m_minus, weights of an average) to the columns (k, n_q).
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
