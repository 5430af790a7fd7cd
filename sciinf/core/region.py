"""A declared region that cuts a prior: its predicate, its version and its share of the prior's mass."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciinf.core.conditional import module_level_name
from sciinf.core.errors import PriorError, nearest_names

__all__ = ["Region", "estimated_fraction", "of_arrays"]

Array = NDArray[np.float64]
Predicate = TypeVar("Predicate", bound=Callable[..., Any])


def of_arrays(predicate: Predicate) -> Predicate:
    """Mark a predicate that takes parameters by name as one that takes arrays of them too, and then gives an array of booleans.

    It is called once for a batch then, not once for each point.

    Examples
    --------
    >>> @of_arrays
    ... def above_the_diagonal(x, y):
    ...     return y > x
    """
    predicate.takes_arrays = True  # type: ignore[attr-defined]
    return predicate


@dataclass(frozen=True, eq=False)
class Region:
    """Where a named predicate is true.

    Parameters
    ----------
    name : str
        For messages and the fingerprint.
    predicate : function
        See `sciinf.core.prior_set.constrained`.
    version : str or int
        Part of the fingerprint.
    mass : float, optional
        The region's share of the prior it cuts, as given by the user; None where it is estimated.
    """

    name: str
    predicate: Callable[..., Any]
    version: str | int
    mass: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise PriorError(f"constrained: name must be a non-empty string, got {self.name!r}")
        module_level_name(f"region '{self.name}': the predicate", self.predicate)
        if isinstance(self.version, bool) or not isinstance(self.version, (str, int)) or self.version == "":
            raise PriorError(f"region '{self.name}': version must be a non-empty string or an integer, got {self.version!r}")
        if self.mass is not None and not (isinstance(self.mass, (int, float)) and 0.0 < self.mass <= 1.0):
            raise PriorError(f"region '{self.name}': mass must lie in (0, 1], got {self.mass!r}")

    @functools.cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the predicate's arguments."""
        return tuple(inspect.signature(getattr(self.predicate, "py_func", self.predicate)).parameters)

    @property
    def takes_vector(self) -> bool:
        """Whether the predicate reads ``theta`` by position rather than parameters by name."""
        return self.arguments == ("theta",)

    def check_arguments(self, names: Sequence[str]) -> None:
        """Refuse a predicate whose arguments are not parameters.

        Raises
        ------
        PriorError
            With the nearest names.
        """
        if not self.arguments:
            raise PriorError(f"region '{self.name}': the predicate must take parameters by name, or the one argument theta")
        for argument in () if self.takes_vector else self.arguments:
            if argument not in names:
                raise PriorError(
                    f"region '{self.name}': the predicate's argument '{argument}' is no parameter: {nearest_names(argument, names)}. "
                    "Name its arguments after parameters, or let it take the one argument theta"
                )

    def inside(self, theta: Array, names: Sequence[str], fixed: Mapping[str, float]) -> NDArray[np.bool_]:
        """Whether each point (..., n_dim) lies in the region.

        Raises
        ------
        PriorError
            If the predicate raises, or a vectorised one gives another shape.
        """
        batch = theta.shape[:-1]
        try:
            if self.takes_vector and not hasattr(self.predicate, "py_func"):
                result = np.asarray(self.predicate(theta), dtype=bool)
            elif batch and getattr(self.predicate, "takes_arrays", False):
                index = {name: i for i, name in enumerate(names)}
                columns = [theta[..., index[name]] if name in index else np.full(batch, fixed[name]) for name in self.arguments]
                result = np.asarray(self.predicate(*columns), dtype=bool)
            else:
                result = np.array([bool(self.predicate(*row)) for row in self._rows(theta, names, fixed)], dtype=bool).reshape(batch)
        except Exception as error:
            raise PriorError(f"region '{self.name}': the predicate raised {type(error).__name__}: {error}") from error
        if result.shape != batch:
            raise PriorError(
                f"region '{self.name}': the predicate must give booleans of shape {batch} for theta of shape {theta.shape}, "
                f"got shape {result.shape}" + ("; write theta[..., i], not theta[i]" if self.takes_vector else "")
            )
        return result

    def _rows(self, theta: Array, names: Sequence[str], fixed: Mapping[str, float]) -> list[Sequence[Any]]:
        """The predicate's arguments at each point."""
        flat = np.ascontiguousarray(theta).reshape(-1, theta.shape[-1])
        if self.takes_vector:
            return [(row,) for row in flat]
        index = {name: i for i, name in enumerate(names)}
        picks = [flat[:, index[name]].tolist() if name in index else [fixed[name]] * len(flat) for name in self.arguments]
        return list(zip(*picks, strict=True))

    def describe(self) -> dict[str, object]:
        """JSON-able name, predicate, version and the mass where it was given (an estimate follows from the rest)."""
        predicate = module_level_name("predicate", self.predicate)
        return {"name": self.name, "predicate": predicate, "version": self.version, "mass": self.mass}


def estimated_fraction(inside: Callable[[int], tuple[int, int]], tolerance: float, most: int) -> tuple[float, float, int]:
    """Logarithm of a binomial fraction and its error, drawn in batches until the error of the logarithm is below ``tolerance``.

    Parameters
    ----------
    inside : callable
        ``inside(i)`` draws batch i and gives (points drawn, points inside).
    tolerance : float
        Standard error of ln fraction at which to stop.
    most : int
        Points drawn at most.

    Returns
    -------
    tuple
        ln fraction (-inf if none was inside), its standard error, points drawn.
    """
    drawn = found = batch = 0
    while drawn < most:
        new = inside(batch)
        drawn, found, batch = drawn + new[0], found + new[1], batch + 1
        if found and drawn >= 4 * new[0] and math.sqrt(max(drawn - found, 1) / (drawn * found)) < tolerance:
            break
    if not found:
        return -math.inf, math.inf, drawn
    return math.log(found / drawn), math.sqrt(max(drawn - found, 1) / (drawn * found)), drawn
