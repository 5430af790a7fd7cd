"""A prior whose numbers depend on earlier parameters: correlated and triangular regions with an exact cube map."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import PriorError, nearest_names
from sciinf.core.prior_base import NumberedPrior, json_value, real_number
from sciinf.numerics.prior_codes import EMPTY

__all__ = ["Affine", "ConditionalPrior", "module_level_name"]

Array = NDArray[np.float64]
Bounds = tuple[float, float]


def module_level_name(role: str, function: Any) -> str:
    """Name of a function of a module (a numba dispatcher counts), which a worker process can import again.

    Raises
    ------
    PriorError
        For a lambda, a closure, a function defined inside another, or an object that is no function.
    """
    target = getattr(function, "py_func", function)
    name = str(getattr(target, "__qualname__", ""))
    if not callable(function) or not name or not hasattr(target, "__code__") or "<" in name or target.__closure__:
        shown = name or repr(function)
        raise PriorError(f"{role} must be a function defined at the top level of a module, not a lambda, closure or object, got {shown}")
    return name


@dataclass(frozen=True)
class Affine:
    """A number that is a constant plus coefficients times earlier parameters.

    Parameters
    ----------
    constant : float
        Finite.
    coefficients : dict of str to float
        Coefficient of each earlier parameter; finite.

    Examples
    --------
    >>> float(Affine(9.5, {"A_sz": -1.6}).at({"A_sz": 2.0}))
    6.3
    """

    constant: float
    coefficients: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = {"constant": self.constant, **{f"coefficients[{name!r}]": value for name, value in self.coefficients.items()}}
        for key, value in values.items():
            if not math.isfinite(real_number("Affine", key, value)):
                raise PriorError(f"Affine: {key} must be finite, got {value}")
        object.__setattr__(self, "constant", float(self.constant))
        object.__setattr__(self, "coefficients", {name: float(value) for name, value in self.coefficients.items()})

    def at(self, given: Mapping[str, Any]) -> Any:
        """The number at values (numbers or arrays) of the earlier parameters."""
        total: Any = self.constant
        for name, coefficient in self.coefficients.items():
            total = total + coefficient * given[name]
        return total

    def bounds(self, supports: Mapping[str, Bounds]) -> Bounds:
        """Least and largest value over a box of the earlier parameters."""
        low = high = self.constant
        for name, coefficient in self.coefficients.items():
            if coefficient != 0.0:
                ends = sorted(coefficient * end for end in supports[name])
                low, high = low + ends[0], high + ends[1]
        return low, high


Number = float | Affine
NumbersFunction = Callable[[Array, Array], None]


@dataclass(frozen=True, eq=False)
class ConditionalPrior:
    """A one-dimensional prior whose numbers follow from earlier parameters of the same `PriorSet`.

    Parameters
    ----------
    kind : type of prior
        A class of `sciinf.core.priors` given by numbers: Uniform, TruncatedNormal, PowerLaw, ...
    numbers : dict of str to (float or Affine), or function
        The class's numbers by name, each a constant or `Affine` in earlier parameters. Or a function ``f(given, numbers)`` of a
        module that reads the earlier parameters ``given`` (n_given,) and writes the ``numbers`` (n_numbers,) in the order of the
        class's arguments; compiled with numba it leaves the set a compiled form.
    given : sequence of str
        With a function: the earlier parameters it reads, in order.
    version : str
        With a function: changes when its values do, since a fingerprint holds its name and version.
    support : (low, high), optional
        Outer bounds of the parameter. With affine numbers they follow from the earlier parameters' supports; with a function the
        whole line is assumed where they are left out.

    Raises
    ------
    PriorError
        If ``kind`` is not a class given by numbers, a number is unknown or missing, or the function is a lambda or closure.

    Notes
    -----
    Where an earlier parameter gives numbers that define no density (low > high), ``logpdf`` is -inf and ``ppf`` NaN; the set turns
    the latter into an error. An interval of width zero, as on the edge of a triangle (or there reversed by the rounding of its two ends,
    4 parts in 2^52), has its upper end as quantile.

    Examples
    --------
    A point below a diagonal: x on [0, 1] with density 2 (1 - x), then y uniform on [x, 1].

    >>> from sciinf.core.priors import Uniform
    >>> y = ConditionalPrior(Uniform, {"low": Affine(0.0, {"x": 1.0}), "high": 1.0})
    >>> float(y.ppf(0.5, {"x": 0.5}))
    0.75
    """

    kind: type[NumberedPrior]
    numbers: Mapping[str, Number] | NumbersFunction
    given: Sequence[str] = ()
    version: str = ""
    support: Bounds | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.kind, type) and issubclass(self.kind, NumberedPrior)):
            raise PriorError(f"ConditionalPrior: kind must be a class of prior given by numbers, such as Uniform, got {self.kind!r}")
        if callable(self.numbers):
            module_level_name("ConditionalPrior: numbers", self.numbers)
            if not self.given or isinstance(self.given, str) or not self.version:
                raise PriorError("ConditionalPrior: a function needs given=(names of earlier parameters,) and a non-empty version")
            object.__setattr__(self, "given", tuple(self.given))
        else:
            if self.given or self.version:
                raise PriorError(
                    "ConditionalPrior: given and version belong to a function; Affine numbers name their parameters themselves"
                )
            object.__setattr__(self, "numbers", self._checked(self.numbers))
            names = [name for number in self.affine for name in number.coefficients]
            object.__setattr__(self, "given", tuple(dict.fromkeys(names)))
        if self.support is not None:
            low, high = (real_number("ConditionalPrior", "support", end) for end in self.support)
            if not low < high:
                raise PriorError(f"ConditionalPrior: support needs low < high, got ({low}, {high})")
            object.__setattr__(self, "support", (low, high))

    def _checked(self, numbers: Mapping[str, Number]) -> dict[str, Number]:
        """The numbers in the order of the class's arguments, defaults filled in."""
        kind, known = f"ConditionalPrior of {self.kind.__name__}", self.kind.number_names()
        for name in numbers:
            if name not in known:
                raise PriorError(f"{kind} has no number '{name}': {nearest_names(name, known)}")
        result: dict[str, Number] = {}
        for item in fields(self.kind):  # type: ignore[arg-type]
            value = numbers.get(item.name, item.default)
            if value is MISSING:
                raise PriorError(f"{kind} needs the number '{item.name}'; it was given {', '.join(numbers) or 'none'}")
            if value is None:
                result[item.name] = math.nan
            else:
                result[item.name] = value if isinstance(value, Affine) else real_number(kind, item.name, value)
        return result

    @property
    def affine(self) -> tuple[Affine, ...]:
        """Every number as `Affine`, in the order of the class's arguments.

        Raises
        ------
        PriorError
            If the numbers come from a function.
        """
        if callable(self.numbers):
            raise PriorError("ConditionalPrior: numbers that come from a function have no affine form")
        return tuple(number if isinstance(number, Affine) else _constant(number) for number in self.numbers.values())

    def numbers_at(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The class's numbers at values (numbers or arrays of one shape) of the earlier parameters."""
        if not callable(self.numbers):
            return tuple(number.at(given) if isinstance(number, Affine) else number for number in self.numbers.values())
        columns = np.broadcast_arrays(*(np.asarray(given[name], dtype=np.float64) for name in self.given))
        shape = columns[0].shape
        points = np.stack([column.reshape(-1) for column in columns], axis=-1)
        rows = np.full((len(points), len(self.kind.number_names())), np.nan)
        for point, row in zip(points, rows, strict=True):
            self.numbers(point, row)
        return tuple(rows[:, i].reshape(shape) for i in range(rows.shape[1]))

    def ppf(self, u: Any, given: Mapping[str, Any]) -> Array:
        """Quantile of each probability in [0, 1] at the earlier parameters' values."""
        u = np.asarray(u, dtype=np.float64)
        with np.errstate(all="ignore"):
            numbers = tuple(np.asarray(number, dtype=np.float64) for number in self.numbers_at(given))
            x = self.kind.quantiles(u, *self.kind.constants(*numbers))
            low, high = self.kind.ends(*numbers)
            empty = np.equal(low, high) | (low - high <= EMPTY * np.maximum(np.abs(low), np.abs(high)))
            x = np.where(self.kind.valid(*numbers), x, np.where(empty, high, np.nan))
            return np.where((u >= 0.0) & (u <= 1.0), x, np.nan)

    def logpdf(self, x: Any, given: Mapping[str, Any]) -> Array:
        """Log-density at the earlier parameters' values; -inf where they leave none, NaN at NaN."""
        x = np.asarray(x, dtype=np.float64)
        with np.errstate(all="ignore"):
            numbers = tuple(np.asarray(number, dtype=np.float64) for number in self.numbers_at(given))
            value = self.kind.log_densities(x, *self.kind.constants(*numbers))
            return np.where(np.isnan(x), np.nan, np.where(self.kind.valid(*numbers), value, -np.inf))

    def support_within(self, supports: Mapping[str, Bounds]) -> Bounds:
        """Bounds of the parameter over the earlier parameters' supports."""
        if self.support is not None:
            return self.support
        if callable(self.numbers):
            return -math.inf, math.inf
        ranges = [number.bounds(supports) for number in self.affine]
        low, _ = self.kind.ends(*(least for least, _ in ranges))
        _, high = self.kind.ends(*(most for _, most in ranges))
        return float(low), float(high)

    def describe(self) -> dict[str, object]:
        """JSON-able kind and numbers, or the function's name and version."""
        result: dict[str, object] = {"kind": "ConditionalPrior", "of": self.kind.__name__}
        if callable(self.numbers):
            result |= {"function": module_level_name("numbers", self.numbers), "version": self.version, "given": list(self.given)}
        else:
            result["numbers"] = {
                name: {"constant": number.constant, "coefficients": dict(number.coefficients)}
                if isinstance(number, Affine)
                else json_value(number)
                for name, number in self.numbers.items()
            }
        if self.support is not None:
            result["support"] = json_value(self.support)
        return result


def _constant(value: float) -> Affine:
    """A constant number (infinite or NaN allowed) in affine form."""
    number = Affine(0.0)
    object.__setattr__(number, "constant", value)
    return number
