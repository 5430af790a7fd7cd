"""A `PriorSet` packed for kernels: one specialisation of the cube map and of the log-density serves every set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.conditional import ConditionalPrior
from sciinf.core.interpolated import Interpolated
from sciinf.core.joint_priors import Joint
from sciinf.core.parameter import Parameter
from sciinf.core.prior_base import NumberedPrior
from sciinf.numerics import prior_codes as codes
from sciinf.numerics import prior_set_layout as layout

if TYPE_CHECKING:
    from sciinf.core.prior_set import PriorSet

__all__ = ["CompiledPrior", "compile_priors"]


@dataclass(frozen=True, eq=False)
class CompiledPrior:
    """Kernels of a prior, both of the signature `sciinf.numerics.jit.LIKELIHOOD`, and its packed numbers.

    Parameters
    ----------
    floats : (n_floats,) float64 array
        All numbers, C-contiguous.
    ints : (n_ints,) int64 array
        Codes, columns and offsets.
    workspace_size : int
        Length of ``work``.
    own : (numba dispatcher, numba dispatcher), optional
        ``transform`` and ``log_prior`` of a set with functions of its own.

    Notes
    -----
    The two kernels are the same objects for every set without functions of its own, compiled once and cached on disk; a set with
    compiled functions (a conditional prior's, a joint prior's, a region's predicate) has its own, compiled in each process.
    """

    floats: NDArray[np.float64]
    ints: NDArray[np.int64]
    workspace_size: int = 0
    own: tuple[Callable[..., float], Callable[..., float]] | None = None

    @property
    def transform(self) -> Callable[..., float]:
        """``transform(unit, floats, ints, theta)`` writes the parameters of a cube point into ``theta`` and returns 0."""
        if self.own is not None:
            return self.own[0]
        from sciinf.numerics.prior_set_transform import transform

        return transform

    @property
    def log_prior(self) -> Callable[..., float]:
        """``log_prior(theta, floats, ints, work)`` returns the log-density: -inf outside the support or the region, NaN at NaN."""
        if self.own is not None:
            return self.own[1]
        from sciinf.numerics.prior_set_density import log_prior

        return log_prior


class _NoCompiledFormError(Exception):
    """A member or region has no compiled form."""


@dataclass
class _Packer:
    """Blocks, numbers and functions as they are gathered."""

    prior_set: PriorSet
    columns: dict[str, int] = field(default_factory=dict)
    floats: list[float] = field(default_factory=list)
    blocks: list[list[int]] = field(default_factory=list)
    givens: list[list[int]] = field(default_factory=list)
    functions: list[tuple[Any, tuple[int, ...], tuple[float, ...]]] = field(default_factory=list)
    joints: list[tuple[Any, Any]] = field(default_factory=list)

    def numbers(self, values: Sequence[float]) -> int:
        """Append numbers to the table; their offset."""
        offset = len(self.floats)
        self.floats.extend(float(value) for value in values)
        return offset

    def block(self, *head: int, mode: int = layout.PLAIN, extra: int = 0, given: Sequence[int] = ()) -> None:
        """One block: code, first column, columns, numbers, table; then mode, extra and the earlier parameters' columns."""
        self.blocks.append([*head, mode, extra])
        self.givens.append(list(given))

    def sources(self, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Column of each name, or -1 and its fixed value."""
        fixed = self.prior_set.fixed
        return tuple(self.columns.get(name, -1) for name in names), tuple(float(fixed.get(name, 0.0)) for name in names)

    def parameter(self, member: Parameter, column: int) -> None:
        """Pack a one-dimensional member."""
        prior = member.prior
        if isinstance(prior, ConditionalPrior):
            self.conditional(prior, column)
        elif type(prior) is Interpolated:
            table = self.numbers([prior.grid.size, *prior.grid, *prior.density, *prior.cumulative])
            self.block(codes.INTERPOLATED, column, 1, self.numbers([np.nan] * 4), table)
        elif isinstance(prior, NumberedPrior):
            self.block(_code(type(prior)), column, 1, self.numbers(_with_constants(_code(type(prior)), prior.numbers)), 0)
        else:
            raise _NoCompiledFormError

    def conditional(self, prior: ConditionalPrior, column: int) -> None:
        """Pack a member whose numbers follow from earlier ones; what is fixed joins the constants."""
        code = _code(prior.kind)
        if callable(prior.numbers):
            if not hasattr(prior.numbers, "py_func"):
                raise _NoCompiledFormError
            self.functions.append((prior.numbers, *self.sources(prior.given)))
            head = (code, column, 1, self.numbers([np.nan] * 4), 0)
            self.block(*head, mode=layout.FUNCTION, extra=len(self.functions) - 1)
            return
        fixed = self.prior_set.fixed
        constants = [
            number.constant + sum(coefficient * fixed[name] for name, coefficient in number.coefficients.items() if name in fixed)
            for number in prior.affine
        ]
        given = [name for name in prior.given if name not in fixed]
        rows = [value for name in given for value in _four([number.coefficients.get(name, 0.0) for number in prior.affine], 0.0)]
        head = (code, column, 1, self.numbers([*_four(constants), *rows]), 0)
        self.block(*head, mode=layout.AFFINE, extra=len(given), given=[self.columns[name] for name in given])

    def joint(self, member: Joint, column: int) -> None:
        """Pack a joint member: a built-in one by its code, one of the user's by its kernels."""
        prior, size = member.prior, len(member.names)
        table = self.numbers(prior.table().tolist())
        if prior.code is not None and "code" in vars(type(prior)):
            self.block(prior.code, column, size, 0, table)
            return
        pair = prior.kernels()
        if pair is None:
            raise _NoCompiledFormError
        self.joints.append(pair)
        self.block(codes.CUSTOM_JOINT, column, size, len(self.floats), table, extra=len(self.joints) - 1)

    def ints(self) -> NDArray[np.int64]:
        """Number of blocks, the blocks, and the earlier parameters' columns behind them."""
        offset = 1 + layout.WIDTH * len(self.blocks)
        result, tail = [len(self.blocks)], list[int]()
        for block, given in zip(self.blocks, self.givens, strict=True):
            result += [*block, offset + len(tail)]
            tail += given
        return np.array(result + tail, dtype=np.int64)


def _four(values: Sequence[float], rest: float = np.nan) -> list[float]:
    return [*values, *[rest] * (4 - len(values))]


def _with_constants(code: int, numbers: Sequence[float]) -> list[float]:
    """The four numbers of a plain block, with what the kernels would else compute at every point."""
    four = _four(numbers)
    if code == codes.UNIFORM:
        width = four[1] - four[0]
        four[layout.WIDTH_OF_UNIFORM :] = [width, -math.log(width)]
    elif code == codes.NORMAL:
        four[layout.LOG_NORM] = -math.log(four[1]) - 0.5 * math.log(2.0 * math.pi)
    return four


def _code(kind: type[NumberedPrior]) -> int:
    """Code of a built-in kind; a subclass that changes one has none."""
    code = vars(kind).get("code")
    if code is None:
        raise _NoCompiledFormError
    return int(code)


def compile_priors(prior_set: PriorSet) -> CompiledPrior | None:
    """The compiled form of ``prior_set``, or None where a member or region has none.

    A prior of one's own in Python, a conditional prior's or region's function that numba did not compile: each leaves the set without
    one.
    """
    packer = _Packer(prior_set, floats=[0.0])
    column = 0
    try:
        for member in prior_set.members:
            if isinstance(member, Joint):
                packer.joint(member, column)
                packer.columns.update({name: column + i for i, name in enumerate(member.names)})
                column += len(member.names)
            elif not member.is_fixed:
                packer.parameter(member, column)
                packer.columns[member.name] = column
                column += 1
        regions = []
        for region in prior_set.regions:
            if not hasattr(region.predicate, "py_func"):
                raise _NoCompiledFormError
            regions.append((region.predicate, *packer.sources(() if region.takes_vector else region.arguments)))
    except _NoCompiledFormError:
        return None
    packer.floats[0] = prior_set.log_mass
    own = None
    if packer.functions or packer.joints or regions:
        from sciinf.numerics.prior_set_custom import custom_kernels

        own = custom_kernels(packer.functions, packer.joints, regions)
    return CompiledPrior(floats=np.array(packer.floats, dtype=np.float64), ints=packer.ints(), own=own)
