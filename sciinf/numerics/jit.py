"""All numba options in one place.

Kernels are pure functions on float64 and int64 arrays with explicit signatures: compiled once, cached on disk, never specialised
again. ``LIKELIHOOD`` is the one fixed signature of every engine's scalar kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba

__all__ = ["FUNCTION", "INTS", "LIKELIHOOD", "LIKELIHOOD_MANY", "MATRIX", "SUM_FLAGS", "VECTOR", "inline_kernel", "kernel"]

VECTOR = numba.types.Array(numba.float64, 1, "C")
MATRIX = numba.types.Array(numba.float64, 2, "C")
INTS = numba.types.Array(numba.int64, 1, "C")

LIKELIHOOD = numba.float64(VECTOR, VECTOR, INTS, VECTOR)
"""``f(theta, floats, ints, work) -> float64``: the scalar kernel of every engine."""

LIKELIHOOD_MANY = VECTOR(MATRIX, VECTOR, INTS, VECTOR)
"""``f(thetas, floats, ints, work) -> (n,)``: the batched kernel."""

FUNCTION = numba.types.FunctionType(LIKELIHOOD)
"""A kernel of that signature as an argument: a sampler's loop is compiled once, cached on disk, and takes every engine."""

SUM_FLAGS = frozenset({"contract", "reassoc", "arcp", "nsz", "afn"})
"""Floating-point freedoms that let sums use SIMD and still keep NaN and inf: everything of fastmath except ``nnan`` and ``ninf``."""


_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def kernel(signature: Any = None, *, reassociate: bool = False) -> _Decorator:
    """Decorator: compile a pure kernel without Python objects, cached on disk.

    Parameters
    ----------
    signature : numba signature or list of them, optional
        Compiled at import of the cache (no lazy specialisation). None leaves the types to the first call: for helpers of other kernels
        only, into which they are always inlined. Left to itself the linker takes the copy of a shared helper that it meets first, and
        where sums may be reordered a process that compiles would differ in the last bits from one that reads the cache.
    reassociate : bool
        Allow `SUM_FLAGS`: sums may be reordered inside the kernel (the order stays the same from call to call).
    """
    options: dict[str, Any] = {"nopython": True, "cache": True, "nogil": True, "error_model": "numpy"}
    if reassociate:
        options["fastmath"] = set(SUM_FLAGS)
    if signature is None:
        options["forceinline"] = True
    return cast(_Decorator, numba.jit(signature, **options) if signature is not None else numba.jit(**options))


def inline_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a small helper that is only called from other kernels: its code is written into theirs before they are compiled.

    So it takes their types and their freedom to reorder sums, and a call costs nothing; a call of a compiled function counts the references
    of each array argument, about 5 ns for every one.
    """
    return cast(Callable[..., Any], numba.jit(nopython=True, nogil=True, error_model="numpy", inline="always")(function))
