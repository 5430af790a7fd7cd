"""What a likelihood engine is, and how its optional capabilities are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sciinf.core.prior_set import PriorSet
    from sciinf.core.problem import Problem

__all__ = [
    "Background",
    "CompiledLikelihood",
    "Derived",
    "Engine",
    "Simulator",
    "background_of",
    "breakdown_of",
    "breakdown_unit_of",
    "check_of",
    "citations_of",
    "comparison_key_of",
    "comparison_parts_of",
    "compiled_of",
    "derived_of",
    "domain_of",
    "edges_of",
    "figures_of",
    "posterior_meta_of",
    "predict_of",
    "products_of",
    "provenance_of",
    "references_of",
    "simulator_of",
    "smooth_of",
]


@runtime_checkable
class Engine(Protocol):
    """A likelihood with its data inside: frozen, picklable, pure.

    ``theta`` is a float64 vector in the order of ``parameters``. ``log_likelihood_many`` takes (n, n_parameters) and returns (n,); a
    row's bytes never depend on its neighbours, its position or the thread count. ``fingerprint`` is a sha256 over data, constants
    and kernel version.
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of ``theta``."""
        ...

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L at ``theta`` (n_parameters,)."""
        ...

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L of each row of ``thetas`` (n, n_parameters), as an (n,) array."""
        ...

    def default_priors(self) -> PriorSet:
        """Priors for every parameter that has a sensible one."""
        ...

    def fingerprint(self) -> str:
        """sha256 over data, constants and kernel version."""
        ...


@dataclass(frozen=True, eq=False)
class CompiledLikelihood:
    """A kernel of the one fixed signature ``f(theta, floats, ints, work) -> float64`` and its packed data.

    Parameters
    ----------
    function : numba dispatcher
        Compiled with `sciinf.numerics.jit.LIKELIHOOD`; pure.
    floats : (n_floats,) float64 array
        All numbers the kernel needs, C-contiguous.
    ints : (n_ints,) int64 array
        Offsets into ``floats`` and options.
    workspace_size : int
        Length of the float64 ``work`` array that the caller owns, one per thread.
    """

    function: Callable[..., float]
    floats: NDArray[np.float64]
    ints: NDArray[np.int64]
    workspace_size: int

    def __setstate__(self, state: dict[str, Any]) -> None:
        # numpy hands read-only arrays back writable after unpickling: a second numba type. Keep one: writable.
        self.__dict__.update(state)

    def __call__(self, theta: NDArray[np.float64]) -> float:
        """Ln L at ``theta`` with a fresh workspace."""
        return float(self.function(np.ascontiguousarray(theta, dtype=np.float64), self.floats, self.ints, np.empty(self.workspace_size)))


class Simulator(NamedTuple):
    """The pair that lets an engine be calibrated: draw data at theta, and the same experiment with those data."""

    simulate: Callable[[NDArray[np.float64], np.random.Generator], Any]
    with_data: Callable[[Any], Engine]


class Derived(NamedTuple):
    """Names of derived quantities and the function that gives them, (n, n_parameters) -> (n, n_derived)."""

    names: tuple[str, ...]
    many: Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Background(NamedTuple):
    """The same search where no signal can be, and what it says of a run: for a p-value beside the evidence.

    ``problems()`` makes the problems to sample. ``judge(log_evidence, (n,) log evidences of the problems)`` is JSON-able and has a
    "sentence" for people. ``figure`` draws that record, to which the runner has added "on", "log_evidence" and "log_evidence_error".
    """

    problems: Callable[[], Sequence[Problem]]
    judge: Callable[[float, NDArray[np.float64]], dict[str, Any]]
    figure: Callable[[Mapping[str, Any]], Any]


def _capability(engine: Any, name: str) -> Callable[..., Any] | None:
    """The bound method ``name`` of the engine, or None."""
    method = getattr(engine, name, None)
    return method if callable(method) else None


def compiled_of(engine: Engine) -> CompiledLikelihood | None:
    """The engine's compiled form, or None."""
    method = _capability(engine, "compiled")
    return None if method is None else method()


def simulator_of(engine: Engine) -> Simulator | None:
    """The engine's simulator, or None. An engine whose ``can_simulate`` attribute is False has the methods but cannot use them."""
    simulate, with_data = _capability(engine, "simulate"), _capability(engine, "with_data")
    if simulate is None or with_data is None or not getattr(engine, "can_simulate", True):
        return None
    return Simulator(simulate, with_data)


def derived_of(engine: Engine) -> Derived | None:
    """Derived quantities, evaluated once after sampling on the kept samples, or None."""
    names, many = getattr(engine, "derived_names", ()), _capability(engine, "derived_many")
    return Derived(tuple(names), many) if many is not None and names else None


def domain_of(engine: Engine) -> dict[str, tuple[float, float]] | None:
    """The box, by sampled name, in which the engine is valid, or None where it is valid everywhere."""
    method = _capability(engine, "domain")
    return None if method is None else method()


def edges_of(engine: Engine) -> dict[str, tuple[float, float]] | None:
    """The box whose edges a posterior should not lean on: the engine's ``edges()``, else its domain.

    They differ where an engine accepts wider priors and is -inf outside its box.
    """
    method = _capability(engine, "edges")
    return domain_of(engine) if method is None else method()


def comparison_key_of(engine: Engine) -> str:
    """Evidences may be compared only where this is equal (same data, noise, grid, compression); the fingerprint by default."""
    method = _capability(engine, "comparison_key")
    return engine.fingerprint() if method is None else str(method())


def comparison_parts_of(engine: Engine) -> Mapping[str, str]:
    """sha256 of each part that the comparison key is made of, by a name for people; empty where the engine does not take it apart.

    Where the keys of two runs differ, the parts say in what.
    """
    method = _capability(engine, "comparison_parts")
    return {} if method is None else {str(name): str(digest) for name, digest in method().items()}


def background_of(problem: Problem) -> Background | None:
    """What a run is to be compared with after it, or None."""
    method = _capability(problem.engine, "background")
    return None if method is None else method(problem)


def check_of(engine: Engine) -> Callable[[Any], Any] | None:
    """The engine's own check of a Posterior, or None. It returns the posterior with its status set.

    Where it has something to say, ``meta["check"]`` holds, by topic, {"text": a sentence, "good": whether all is well}; the summary, the
    log and the report repeat it.
    """
    return _capability(engine, "check")


def predict_of(engine: Engine) -> Callable[[NDArray[np.float64]], dict[str, NDArray[np.float64]]] | None:
    """Model prediction at theta, arrays by name, or None."""
    return _capability(engine, "predict")


def breakdown_of(engine: Engine) -> Callable[[NDArray[np.float64]], dict[str, float]] | None:
    """Parts of the likelihood at theta (chi2 per component, say), or None."""
    return _capability(engine, "breakdown")


def breakdown_unit_of(engine: Engine) -> str:
    """What the numbers of the breakdown are: the engine's ``breakdown_unit``, chi2 where it says nothing."""
    return str(getattr(engine, "breakdown_unit", "χ²"))


def figures_of(engine: Engine) -> Callable[[Any], dict[str, Any]] | None:
    """The engine's own matplotlib figures of a Posterior, by name, or None."""
    return _capability(engine, "figures")


def posterior_meta_of(engine: Engine) -> Mapping[str, Any]:
    """JSON-able notes of the engine that travel with every posterior of it, as ``meta["engine"]``; empty where it says nothing."""
    method = _capability(engine, "posterior_meta")
    return {} if method is None else method()


def products_of(engine: Engine) -> Mapping[str, Callable[[Path], None]]:
    """What the engine was made from and a run directory should keep: file name to a function that writes it; empty where there is nothing.

    The files are for people and for later runs. They do not decide the result, so the manifest has no hash of them.
    """
    method = _capability(engine, "products")
    return {} if method is None else method()


def provenance_of(engine: Engine) -> Mapping[str, Any]:
    """JSON-able origin of the engine's data for the manifest.

    Keys: ``files`` ({relative name: sha256}), ``source`` (package and version, say), ``notes`` (list of strings such as
    "unverified data"); empty where the engine says nothing.
    """
    method = _capability(engine, "provenance")
    return {} if method is None else method()


def references_of(engine: Engine) -> Mapping[str, tuple[float, float, str]]:
    """Published values that a report sets beside the posterior: name to (mean, standard deviation, source); empty where there are none."""
    method = _capability(engine, "reference_values")
    return {} if method is None else method()


def citations_of(engine: Engine) -> tuple[str, ...]:
    """What to cite when the engine is used; empty where it says nothing."""
    method = _capability(engine, "citations")
    return () if method is None else tuple(str(item) for item in method())


def smooth_of(engine: Engine) -> Engine:
    """A differentiable stand-in for searches, where the engine has a staircase; else the engine itself."""
    method = _capability(engine, "smooth")
    return engine if method is None else method()
