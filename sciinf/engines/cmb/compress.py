"""Hybrids compiled over the emulator: Gaussian components projected once on what the emulator's spectra are linear in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError
from sciinf.engines.cmb import compress_kernels as kernels
from sciinf.engines.cmb.component import A_PLANCK, Component
from sciinf.engines.cmb.emulator_kernels import BLOCK_ORDER, N_LOW_EE
from sciinf.engines.cmb.kernels import CODES, pack_lower
from sciinf.engines.cmb.simall import SimAllEE
from sciinf.engines.cmb.spectra import LinearPart

if TYPE_CHECKING:
    from sciinf.engines.cmb.emulator import EmulatorTheory

__all__ = ["CompiledForm", "build"]

Array = NDArray[np.float64]

_LANES = 8
_NAMES = tuple(CODES)
_LOW = slice(2, 2 + N_LOW_EE)
_KERNELS = {
    "compressed": (kernels.compressed, kernels.compressed_many, kernels.compressed_parts),
    "full": (kernels.full, kernels.full_many, kernels.full_parts),
}


@dataclass(frozen=True, eq=False)
class CompiledForm:
    """A hybrid as one compiled function of theta = the theory's parameters, then A_planck where a component needs it.

    Parameters
    ----------
    evaluation : {"compressed", "full"}
        Which kernel.
    n_components : int
        Number of components.
    floats, ints : float64 and int64 arrays
        Packed emulator and components; see `compress_kernels`.
    workspace_size : int
        Length of the kernels' ``work``.
    recipe : tuple, optional
        What `build` was given: a form that has it is built again where it is unpickled, in place of sending megabytes.

    Notes
    -----
    A theta that is not finite gives NaN; A_planck <= 0, a point outside the emulator's box, and EE outside SimAll's table give -inf, and
    the first reason ends the evaluation. Scalar and batch run the same compiled operations: the same bytes, whatever the batch.
    """

    evaluation: Literal["compressed", "full"]
    n_components: int
    floats: Array
    ints: NDArray[np.int64]
    workspace_size: int
    recipe: tuple[Any, ...] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.recipe is not None:
            return build, self.recipe
        return CompiledForm, (self.evaluation, self.n_components, self.floats, self.ints, self.workspace_size)

    def log_likelihood(self, theta: Array) -> float:
        """Log-likelihood at ``theta`` (n_parameters,)."""
        function = _KERNELS[self.evaluation][0]
        return float(function(np.ascontiguousarray(theta, dtype=np.float64), self.floats, self.ints, np.empty(self.workspace_size)))

    def log_likelihood_many(self, thetas: Array) -> Array:
        """Log-likelihood of each row of ``thetas`` (n, n_parameters), as an (n,) array."""
        function: Any = _KERNELS[self.evaluation][1]
        found: Array = function(np.ascontiguousarray(thetas, dtype=np.float64), self.floats, self.ints, np.empty(self.workspace_size))
        return found

    def components_many(self, thetas: Array) -> Array:
        """Log-likelihood of every component (n, n_components) at each row of ``thetas``."""
        out = np.empty((len(thetas), self.n_components))
        function: Any = _KERNELS[self.evaluation][2]
        function(np.ascontiguousarray(thetas, dtype=np.float64), self.floats, self.ints, np.empty(self.workspace_size), out)
        return out

    def compiled(self) -> CompiledLikelihood:
        """The scalar kernel and its packed data."""
        return CompiledLikelihood(_KERNELS[self.evaluation][0], self.floats, self.ints, self.workspace_size)


def build(
    theory: EmulatorTheory,
    components: Sequence[Component],
    nuisance: Sequence[str],
    evaluation: Literal["auto", "full", "compressed"] = "auto",
) -> CompiledForm | None:
    """Compile ``components`` over an emulator.

    Parameters
    ----------
    theory : EmulatorTheory
        Gives the spectra; ``theory.sample`` decides whether theta holds theta_mc or H0.
    components : sequence of Component
        Gaussian ones (``linear()`` is not None) and SimAllEE.
    nuisance : sequence of str
        Names that follow the theory's parameters in theta: A_planck or none.
    evaluation : {"auto", "full", "compressed"}
        "auto" is "compressed".

    Returns
    -------
    CompiledForm or None
        None where a component, or a nuisance parameter, is of a kind that the kernels do not know.

    Raises
    ------
    ConfigError
        If "compressed" is asked for and would be None (names the component), or a component has weight where the emulator has no
        multipoles.

    Notes
    -----
    Compressed: the whitened residual of a Gaussian component is w - M q, with q linear in the emulator's monomials (or coefficients,
    where that is cheaper). With M = Q R and more rows than columns, chi2 = rho^2 + |Q^T w - R q|^2; rho^2 = |w - Q Q^T w|^2 comes from
    the residual vector, since w^T w - |Q^T w|^2 would lose nine digits.
    """
    parts = [component.linear() for component in components]
    if reason := _unsupported(components, parts, nuisance):
        if evaluation == "compressed":
            raise ConfigError(f"evaluation = 'compressed' is not possible: {reason}")
        return None
    calibration = len(theory.parameters) if A_PLANCK in nuisance else -1
    common = [len(theory.parameters) + len(nuisance), calibration, len(components)]
    for component, part in zip(components, parts, strict=True):
        if part is not None:
            _check_reach(component.name, part, theory)
    if evaluation == "full":
        recipe = (theory, tuple(components), tuple(nuisance), "full")
        return replace(_full(theory, components, parts, common), recipe=recipe)
    return _Compression(theory, components, parts).form(common)


def _unsupported(components: Sequence[Component], parts: Sequence[LinearPart | None], nuisance: Sequence[str]) -> str:
    """Why the kernels cannot hold these components; empty where they can."""
    if any(name != A_PLANCK for name in nuisance):
        return f"the only nuisance parameter the compiled forms know is {A_PLANCK}, got {', '.join(nuisance)}"
    for component, part in zip(components, parts, strict=True):
        if isinstance(component, SimAllEE):
            continue
        if part is None:
            return f"component {component.name} is neither Gaussian and linear in the spectra nor a SimAll table"
        if A_PLANCK not in component.nuisance and set(part.response) - {"PP"}:
            return f"component {component.name} uses {', '.join(part.response)} without {A_PLANCK}"
    return ""


def _check_reach(name: str, part: LinearPart, theory: EmulatorTheory) -> None:
    """ConfigError where a component has weight at an l that the emulator does not give."""
    for spectrum, weights in part.response.items():
        reach = theory.l_max.get(spectrum, -1) if spectrum in CODES else -1
        used = np.flatnonzero(np.any(weights != 0.0, axis=0))
        if len(used) and (used[-1] > reach or used[0] < 2):
            what = f"gives l 2-{reach}" if reach >= 0 else "does not give it"
            raise ConfigError(f"component {name} has weight on {spectrum} at l {used[0]}-{used[-1]}; the emulator {what}")


def _full(
    theory: EmulatorTheory, components: Sequence[Component], parts: Sequence[LinearPart | None], common: Sequence[int]
) -> CompiledForm:
    """The emulator whole, and each component as `sciinf.engines.cmb.kernels` takes it."""
    floats, ints = [theory.floats], [theory.ints]
    used, n_ints = len(theory.floats), len(theory.ints) + kernels.FULL_HEADER + 4 * len(components)
    reach = [theory.l_max[name] + 1 for name in _NAMES]
    header, packed, rows = [*common, theory.workspace_size, *reach], [], 0
    for component, part in zip(components, parts, strict=True):
        if part is None:
            assert isinstance(component, SimAllEE)
            header += [kernels.TABLE, used, component.is_linear, 0]
            floats.append(component.flat_table)
        else:
            numbers, layout = _pack_bandpowers(part)
            header += [kernels.GAUSSIAN, used, n_ints, 0]
            floats.append(numbers)
            packed.append(layout)
            n_ints += len(layout)
            rows = max(rows, len(part.data))
        used += len(floats[-1])
    work = len(components) + theory.workspace_size + sum(reach) + rows
    ints += [np.array(header, dtype=np.int64), *packed]
    return CompiledForm("full", len(components), np.concatenate(floats), np.concatenate(ints), work)


def _pack_bandpowers(part: LinearPart) -> tuple[Array, NDArray[np.int64]]:
    """A linear part in the layout of `kernels.gaussian_chi2`: target, whitener, weights; rows and segments."""
    m = len(part.data)
    whitener = pack_lower(solve_triangular(part.cholesky, np.eye(m), lower=True))
    weights: list[Array] = []
    segments: list[tuple[int, int, int, int]] = []
    starts, used = [0], 0
    for b in range(m):
        for name, response in part.response.items():
            stretch = np.flatnonzero(response[b])
            if len(stretch):
                weights.append(response[b, stretch[0] : stretch[-1] + 1])
                segments.append((CODES[name], int(stretch[0]), len(weights[-1]), used))
                used += len(weights[-1])
        starts.append(len(segments))
    layout = np.array([m, m, m + len(whitener), *starts, *np.ravel(segments)], dtype=np.int64)
    return np.concatenate([part.data - part.offset, whitener, *weights]), layout


@dataclass(frozen=True, eq=False)
class _Basis:
    """What spectra of one amplitude are linear in: the monomials, or 1 and the coefficients of ``names``, as ``transform`` gives them."""

    names: tuple[str, ...]
    curves: dict[str, Array]
    n_columns: int
    transform: Array | None


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A Gaussian component as target + cmb x + mixed z, whitened; ``rho2`` is what no parameter changes."""

    target: Array
    cmb: Array
    mixed: Array
    rho2: float


def _uses_low(part: LinearPart | None) -> bool:
    """Whether a component has weight on EE at l = 2-29."""
    return part is not None and "EE" in part.response and bool(np.any(part.response["EE"][:, _LOW]))


class _Compression:
    """The pieces of a compressed form."""

    def __init__(self, theory: EmulatorTheory, components: Sequence[Component], parts: Sequence[LinearPart | None]) -> None:
        self.theory = theory
        self.components = components
        self.parts = parts
        used = {name for part in parts if part is not None for name, weights in part.response.items() if np.any(weights)}
        heights = [len(part.data) for part in parts if part is not None]
        self.n_terms = max(len(theory.weights.arrays[f"coefficients_{name}"]) for name in _NAMES)
        self.low_columns = N_LOW_EE if any(_uses_low(part) for part in parts) else 0
        self.cmb = self._basis(tuple(name for name in ("TT", "TE", "EE") if name in used), max(heights, default=0))
        self.potential = self._basis(tuple(name for name in ("PP",) if name in used), max(heights, default=0))

    def _basis(self, names: tuple[str, ...], n_rows: int) -> _Basis:
        """The cheaper of monomials and coefficients, counting the products with the matrices and the transform."""
        arrays = self.theory.weights.arrays
        sizes = [arrays[f"basis_{name}"].shape[0] for name in names]
        n_columns = 1 + sum(sizes)
        cost = self.n_terms * n_columns + n_columns * min(n_rows, n_columns)
        if not names or self.n_terms * min(n_rows, self.n_terms) <= cost:
            curves = {name: self._padded(self.theory.weights.curves(name)) for name in names}
            return _Basis(names, curves, self.n_terms if names else 0, None)
        transform, curves = np.zeros((self.n_terms, n_columns)), {}
        transform[0, 0] = 1.0
        first = 1
        for name, size in zip(names, sizes, strict=True):
            coefficients = arrays[f"coefficients_{name}"].astype(np.float64)
            transform[: len(coefficients), first : first + size] = coefficients
            curves[name] = np.zeros((n_columns, len(arrays[f"mean_{name}"])))
            curves[name][0] = arrays[f"mean_{name}"]
            curves[name][first : first + size] = arrays[f"basis_{name}"]
            first += size
        return _Basis(names, curves, n_columns, transform)

    def _padded(self, curves: Array) -> Array:
        return np.vstack([curves, np.zeros((self.n_terms - len(curves), curves.shape[1]))])

    def _matrix(self, part: LinearPart) -> tuple[Array, int]:
        """Response of the bandpowers to x and, where they have any, z, side by side; and the columns that belong to x."""
        first_l, height = self.theory.weights.header["first_l"], len(part.data)
        pieces = []
        for basis in (self.cmb, self.potential):
            total = np.zeros((height, basis.n_columns))
            for name in basis.names:
                curves = basis.curves[name].T
                weights = part.response.get(name, np.zeros((height, 0)))[:, first_l[name] : first_l[name] + len(curves)]
                total += weights @ curves[: weights.shape[1]]
            pieces.append(total)
        low = np.zeros((height, N_LOW_EE if self.low_columns else 0))
        if self.low_columns and "EE" in part.response:
            found = part.response["EE"][:, _LOW]
            low[:, : found.shape[1]] = found
        mixed = np.hstack([pieces[1], low])
        if not np.any(mixed):
            return pieces[0], pieces[0].shape[1]
        return np.hstack([pieces[0], mixed]), pieces[0].shape[1]

    def _reduce(self, part: LinearPart) -> _Reduced:
        """A Gaussian component whitened and, where that is shorter, projected."""
        matrix, n_cmb = self._matrix(part)
        target = solve_triangular(part.cholesky, part.data - part.offset, lower=True)
        matrix = solve_triangular(part.cholesky, matrix, lower=True)
        rho2 = 0.0
        if matrix.shape[0] > matrix.shape[1]:
            q, r = np.linalg.qr(matrix)
            projected = q.T @ target
            rest = target - q @ projected
            rho2 = float(rest @ rest)
            target, matrix = projected, r
        return _Reduced(target, -matrix[:, :n_cmb], -matrix[:, n_cmb:], rho2)

    def form(self, common: Sequence[int]) -> CompiledForm:
        """Everything packed: components with mixed columns first, so that these act on the first rows alone."""
        emulator, ints = self.theory.pack(("EE_low",))
        floats, used = [emulator], len(emulator)

        def add(values: Array) -> int:
            nonlocal used
            floats.append(np.ravel(values))
            used += values.size
            return used - values.size

        reduced = {i: self._reduce(part) for i, part in enumerate(self.parts) if part is not None}
        order = sorted(reduced, key=lambda i: not reduced[i].mixed.size)
        starts, n_rows, n_mixed = {}, 0, 0
        for i in order:
            starts[i] = n_rows
            n_rows += len(reduced[i].target)
            n_mixed = n_rows if reduced[i].mixed.size else n_mixed
        height, mixed_height = _up(n_rows), _up(n_mixed)
        target, cmb = np.zeros(height), np.zeros((height, self.cmb.n_columns))
        mixed = np.zeros((mixed_height, self.potential.n_columns + self.low_columns if mixed_height else 0))
        for i, start in starts.items():
            stop = start + len(reduced[i].target)
            target[start:stop], cmb[start:stop] = reduced[i].target, reduced[i].cmb
            if reduced[i].mixed.size:
                mixed[start:stop] = reduced[i].mixed
        table: list[int] = []
        for i, component in enumerate(self.components):
            if i in reduced:
                table += [kernels.GAUSSIAN, starts[i], starts[i] + len(reduced[i].target), add(np.array([reduced[i].rho2]))]
            else:
                assert isinstance(component, SimAllEE)
                table += [kernels.TABLE, add(component.flat_table), component.is_linear, 0]
        has_low = int(self.low_columns > 0 or len(reduced) < len(self.components))
        transforms = [-1 if basis.transform is None else add(basis.transform) for basis in (self.cmb, self.potential)]
        header = [*common, has_low, self.n_terms, transforms[0], self.potential.n_columns, transforms[1], add(target)]
        header += [add(cmb.T), self.cmb.n_columns, height, add(mixed.T), mixed.shape[1], mixed_height, *table]
        n_low_basis = self.theory.weights.arrays[f"basis_{BLOCK_ORDER[-1]}"].shape[0]
        work = len(self.components) + len(self.theory.parameters) + len(self.theory.weights.parents[0])
        work += self.cmb.n_columns + self.potential.n_columns + 3 * N_LOW_EE + max(height, n_low_basis)
        packed = np.concatenate([ints, np.array(header, dtype=np.int64)])
        return CompiledForm("compressed", len(self.components), np.concatenate(floats), packed, work)


def _up(n: int) -> int:
    """The next multiple of the width that the compiled loops like."""
    return -(-n // _LANES) * _LANES
