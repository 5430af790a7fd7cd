"""A ready engine for a user's own likelihood function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, DataError, LikelihoodError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import check_name
from sciinf.core.prior_set import PriorSet

__all__ = ["FunctionEngine"]


_HIDDEN_KINDS = (bool, int, float, str, bytes, type(None), np.bool_, np.integer, np.floating)


def _identity_of(name: str, function: Callable[..., Any] | None) -> list[Any]:
    """What the fingerprint holds of a user's function: its source text, and the numbers and strings it closes over.

    Raises
    ------
    DataError
        If it closes over, or has as a default or a `functools.partial` argument, anything else: the fingerprint could not see a
        change of it.
    """
    if function is None:
        return []
    if isinstance(function, functools.partial):
        hidden = {str(i): value for i, value in enumerate(function.args)} | dict(function.keywords)
        return [*_identity_of(name, function.func), _visible(name, hidden)]
    target = getattr(function, "py_func", function)  # the Python function behind a numba dispatcher
    try:
        source = inspect.getsource(target if hasattr(target, "__code__") else type(target))
    except (OSError, TypeError):
        source = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', type(target).__qualname__)}"
    names = getattr(getattr(target, "__code__", None), "co_freevars", ())
    cells = zip(names, getattr(target, "__closure__", None) or (), strict=False)
    hidden = {variable: cell.cell_contents for variable, cell in cells}
    hidden |= {f"default {i}": value for i, value in enumerate(getattr(target, "__defaults__", None) or ())}
    hidden |= dict(getattr(target, "__kwdefaults__", None) or {})
    return [source, _visible(name, hidden)]


def _visible(name: str, hidden: Mapping[str, Any]) -> dict[str, Any]:
    """Hidden inputs of a function in a form that can be fingerprinted; functions by their own identity."""
    seen: dict[str, Any] = {}
    for variable, content in hidden.items():
        if isinstance(content, _HIDDEN_KINDS):
            seen[variable] = content
        elif inspect.isfunction(content) or hasattr(content, "py_func"):
            seen[variable] = _identity_of(f"{name} (through {variable})", content)
        elif inspect.ismodule(content) or inspect.isbuiltin(content) or inspect.isclass(content) or isinstance(content, np.ufunc):
            seen[variable] = getattr(content, "__name__", "")
        else:
            raise DataError(
                f"{name} holds '{variable}' ({type(content).__name__}) in its closure or defaults, where the fingerprint cannot see it. "
                "Pass it as data: FunctionEngine(f, parameters, data=..., version=...) calls f(theta, data)"
            )
    return seen


def _frozen_copy(data: Any) -> Any:
    """The user's data with every array copied, so that a later change outside is not seen here."""
    if isinstance(data, np.ndarray):
        return data.copy()
    if isinstance(data, Mapping):
        return {key: _frozen_copy(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(_frozen_copy(item) for item in data)
    return data


class FunctionEngine:
    """Engine around a user's log-likelihood.

    Parameters
    ----------
    log_likelihood : callable
        ``f(theta)`` when ``data`` is None, else ``f(theta, data)``; ``theta`` is (n_parameters,) float64, or (n, n_parameters) with
        ``vectorized=True`` (then it returns (n,)).
    parameters : sequence of str
        Names, in the order of ``theta``.
    data : arrays, numbers, strings, None, and lists or dictionaries of these; optional
        Handed to the function and part of the fingerprint.
    simulate : callable, optional
        ``simulate(theta, rng) -> data`` in the form of ``data``; with it the engine can be calibrated.
    derived : dict of str to callable, optional
        Derived quantities, ``g(theta) -> float``, evaluated on the kept samples.
    default_priors : PriorSet, optional
        What the method of that name returns.
    compiled : CompiledLikelihood, or callable ``compiled(data) -> CompiledLikelihood``; optional
        The same likelihood as a kernel of the fixed signature, which the compiled samplers run instead of ``log_likelihood``. Give the
        callable where the engine may get other data (calibration): a form that is given as it is serves the first data only.
    vectorized : bool
        Whether ``log_likelihood`` takes all rows at once. A row's value must not depend on its neighbours.
    version : str
        Part of the fingerprint: raise it when something changes that the source text does not show.

    Raises
    ------
    ConfigError
        If a name is not allowed or stands twice, no parameter is given, or ``version`` is empty.
    DataError
        If the data cannot be fingerprinted, or a function closes over arrays or other objects (pass them as ``data``).

    Notes
    -----
    The fingerprint covers parameters, version, data, the source text of the functions where it can be had, and the numbers and
    strings they close over; globals that a function reads are not seen: raise ``version`` when one changes. To use several
    processes, define the functions in a module: a lambda or a function of ``__main__`` cannot be sent to a worker.

    Examples
    --------
    >>> def log_likelihood(theta, data):
    ...     return -0.5 * float(np.sum((data - theta[0]) ** 2))
    >>> engine = FunctionEngine(log_likelihood, ["mu"], data=np.array([0.0, 1.0]), version="1")
    >>> engine.log_likelihood(np.array([0.5]))
    -0.25
    """

    def __init__(
        self,
        log_likelihood: Callable[..., Any],
        parameters: Sequence[str],
        *,
        data: Any = None,
        simulate: Callable[..., Any] | None = None,
        derived: Mapping[str, Callable[..., float]] | None = None,
        default_priors: PriorSet | None = None,
        compiled: CompiledLikelihood | Callable[[Any], CompiledLikelihood] | None = None,
        vectorized: bool = False,
        version: str,
    ) -> None:
        if isinstance(parameters, str) or not len(parameters):
            raise ConfigError(f"parameters must be a sequence of at least one name, got {parameters!r}")
        self.parameters = tuple(check_name(name) for name in parameters)
        if len(set(self.parameters)) != len(self.parameters):
            raise ConfigError(f"parameter names must differ, got {list(self.parameters)}")
        if not isinstance(version, str) or not version:
            raise ConfigError(f"version must be a non-empty string such as '1', got {version!r}")
        self._function, self._simulate = log_likelihood, simulate
        self._derived = dict(derived or {})
        for name, function in {"log_likelihood": log_likelihood, "simulate": simulate, **self._derived}.items():
            _identity_of(name, function)
        if compiled is not None and not isinstance(compiled, CompiledLikelihood) and not callable(compiled):
            raise ConfigError(f"compiled must be a CompiledLikelihood or a function of the data that gives one, got {compiled!r}")
        self._priors, self._vectorized, self._version = default_priors, bool(vectorized), version
        self._compile = compiled
        self.data = _frozen_copy(data)
        sha256_of(self.data)  # refuses what cannot be fingerprinted
        self.derived_names = tuple(self._derived)
        self.can_simulate = simulate is not None

    def log_likelihood(self, theta: NDArray[np.float64]) -> Any:
        """What the user's function gives at ``theta`` (n_parameters,); `Problem` checks it."""
        theta = np.asarray(theta, dtype=np.float64)
        if self._vectorized:
            return self.log_likelihood_many(theta[None, :])[0].item()
        return self._call(theta)

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L of each row of ``thetas`` (n, n_parameters), as an (n,) array."""
        thetas = np.asarray(thetas, dtype=np.float64)
        if self._vectorized:
            return np.asarray(self._call(thetas))
        values = [self._call(theta) for theta in thetas]
        for theta, value in zip(thetas, values, strict=True):
            if np.iscomplexobj(value) or np.ndim(value) > 0:
                raise LikelihoodError(f"the likelihood gave {value!r} instead of one real number at theta = {theta.tolist()}")
        return np.array(values, dtype=np.float64)

    def _call(self, theta: NDArray[np.float64]) -> Any:
        return self._function(theta) if self.data is None else self._function(theta, self.data)

    def default_priors(self) -> PriorSet:
        """The priors given when made.

        Raises
        ------
        ConfigError
            If none were given.
        """
        if self._priors is None:
            raise ConfigError("this FunctionEngine was made without default_priors: pass a PriorSet to Problem")
        return self._priors

    def compiled(self) -> CompiledLikelihood | None:
        """The compiled form for this engine's data, or None."""
        if self._compile is None or isinstance(self._compile, CompiledLikelihood):
            return self._compile
        return self._compile(self.data)

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derived quantities (n, n_derived) of each row of ``thetas`` (n, n_parameters)."""
        rows = [[float(function(theta)) for function in self._derived.values()] for theta in np.asarray(thetas, dtype=np.float64)]
        return np.array(rows, dtype=np.float64).reshape(len(thetas), len(self._derived))

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> Any:
        """Data drawn at ``theta``.

        Raises
        ------
        ConfigError
            If no simulator was given.
        """
        if self._simulate is None:
            raise ConfigError("this FunctionEngine was made without `simulate`, so it cannot draw data")
        return self._simulate(np.asarray(theta, dtype=np.float64), rng)

    def with_data(self, data: Any) -> FunctionEngine:
        """The same engine with other data."""
        other: FunctionEngine = object.__new__(FunctionEngine)
        other.__dict__.update(self.__dict__)
        other.data = _frozen_copy(data)
        sha256_of(other.data)
        if isinstance(self._compile, CompiledLikelihood):
            other._compile = None  # its numbers are the first data's
        return other

    def fingerprint(self) -> str:
        """sha256 over parameters, version, data and source text."""
        functions = {"log_likelihood": self._function, "simulate": self._simulate, **self._derived}
        identities = {name: _identity_of(name, function) for name, function in functions.items()}
        compiled = self.compiled()
        form = [] if compiled is None else [_identity_of("compiled", compiled.function), compiled.floats, compiled.ints]
        return sha256_of("function", list(self.parameters), self._version, self.data, identities, self._vectorized, *form)
