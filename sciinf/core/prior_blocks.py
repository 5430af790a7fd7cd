"""How a set of priors is evaluated: members of one kind together, joint and conditional ones each by itself.

A block owns some columns of ``theta``: ``fill`` writes them from cube points, ``terms`` writes their share of the log-density. All
arrays are (..., n_dim), one point or a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sciinf.core.conditional import ConditionalPrior
from sciinf.core.errors import PriorError
from sciinf.core.joint_priors import Joint, JointPrior
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import NumberedPrior, Prior

__all__ = ["Block", "blocks_of"]

Array = NDArray[np.float64]
Columns = Any  # slice or integer array


class Block(Protocol):
    """Some columns of ``theta`` and their prior."""

    def fill(self, unit: Array, theta: Array) -> None:
        """Write this block's columns of ``theta`` from cube points."""
        ...

    def terms(self, theta: Array, out: Array) -> None:
        """Write this block's terms of the log-density into its columns of ``out``."""
        ...


def _columns(indices: Sequence[int]) -> Columns:
    """A slice where the indices are consecutive (a view, no copy), else an array of them."""
    if list(indices) == list(range(indices[0], indices[0] + len(indices))):
        return slice(indices[0], indices[0] + len(indices))
    return np.array(indices, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Group:
    """All independent members of one kind, evaluated in one call."""

    kind: type[NumberedPrior]
    columns: Columns
    constants: tuple[Any, ...]

    @classmethod
    def of(cls, kind: type[NumberedPrior], indices: list[int], priors: list[NumberedPrior]) -> _Group:
        with np.errstate(all="ignore"):
            constants = kind.constants(*(np.array(column) for column in zip(*(prior.numbers for prior in priors), strict=True)))
        return cls(kind, _columns(indices), constants)

    def fill(self, unit: Array, theta: Array) -> None:
        theta[..., self.columns] = self.kind.quantiles(unit[..., self.columns], *self.constants)

    def terms(self, theta: Array, out: Array) -> None:
        out[..., self.columns] = self.kind.log_densities(theta[..., self.columns], *self.constants)


@dataclass(frozen=True, eq=False)
class _Single:
    """One independent member that is not given by numbers alone."""

    prior: Prior
    column: int

    def fill(self, unit: Array, theta: Array) -> None:
        theta[..., self.column] = self.prior.ppf(unit[..., self.column])

    def terms(self, theta: Array, out: Array) -> None:
        out[..., self.column] = self.prior.logpdf(theta[..., self.column])


@dataclass(frozen=True, eq=False)
class _Joint:
    """One joint member; its log-density stands in its first column."""

    prior: JointPrior
    columns: slice

    def fill(self, unit: Array, theta: Array) -> None:
        theta[..., self.columns] = self.prior.transform(unit[..., self.columns])

    def terms(self, theta: Array, out: Array) -> None:
        out[..., self.columns] = 0.0
        out[..., self.columns.start] = self.prior.logpdf(theta[..., self.columns])


@dataclass(frozen=True, eq=False)
class _Conditional:
    """One member whose numbers follow from earlier columns or fixed values."""

    name: str
    prior: ConditionalPrior
    column: int
    sources: Mapping[str, int | float]  # a column, or a fixed value

    def _given(self, theta: Array) -> dict[str, Any]:
        return {name: theta[..., source] if isinstance(source, int) else source for name, source in self.sources.items()}

    def fill(self, unit: Array, theta: Array) -> None:
        u, given = unit[..., self.column], self._given(theta)
        x = self.prior.ppf(u, given)
        wrong = np.isnan(x) & (u >= 0.0) & (u <= 1.0)
        if np.any(wrong):
            at = {name: float(np.broadcast_to(value, np.shape(x))[wrong].flat[0]) for name, value in given.items()}
            if not any(np.isnan(value) for value in at.values()):
                names = zip(self.prior.kind.number_names(), self.prior.numbers_at(at), strict=True)
                numbers = ", ".join(f"{name}={float(number):g}" for name, number in names)
                where = ", ".join(f"{name}={value!r}" for name, value in at.items())
                raise PriorError(
                    f"the conditional prior of '{self.name}' is no density at {where}: {self.prior.kind.__name__} needs "
                    f"{self.prior.kind.needs}, got {numbers}. Restrict the earlier parameters' priors"
                )
        theta[..., self.column] = x

    def terms(self, theta: Array, out: Array) -> None:
        out[..., self.column] = self.prior.logpdf(theta[..., self.column], self._given(theta))


def blocks_of(members: Sequence[Parameter | Joint], fixed: Mapping[str, float]) -> tuple[Block, ...]:
    """Blocks of the sampled members, conditional ones last and in their order.

    Raises
    ------
    PriorError
        If a conditional prior reads a parameter that does not come before it.
    """
    groups: dict[type[NumberedPrior], tuple[list[int], list[NumberedPrior]]] = {}
    others: list[Block] = []
    conditionals: list[Block] = []
    column, columns = 0, dict[str, int]()
    for member in members:
        if isinstance(member, Joint):
            others.append(_Joint(member.prior, slice(column, column + len(member.names))))
            columns.update({name: column + i for i, name in enumerate(member.names)})
            column += len(member.names)
            continue
        if member.is_fixed:
            continue
        if isinstance(member.prior, ConditionalPrior):
            sources = {name: _source(member.name, name, columns, fixed) for name in member.prior.given}
            conditionals.append(_Conditional(member.name, member.prior, column, sources))
        elif isinstance(member.prior, NumberedPrior):
            indices, priors = groups.setdefault(type(member.prior), ([], []))
            indices.append(column)
            priors.append(member.prior)
        else:
            others.append(_Single(member.prior, column))
        columns[member.name] = column
        column += 1
    return (*(_Group.of(kind, *group) for kind, group in groups.items()), *others, *conditionals)


def _source(owner: str, name: str, columns: Mapping[str, int], fixed: Mapping[str, float]) -> int | float:
    """Where a conditional prior reads an earlier parameter."""
    if name in columns:
        return columns[name]
    if name in fixed:
        return float(fixed[name])
    earlier = ", ".join((*columns, *fixed)) or "none"
    raise PriorError(f"the conditional prior of '{owner}' reads '{name}', which does not come before it; before it come: {earlier}")
