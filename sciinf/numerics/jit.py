"""All numba options in one place.

Kernels are pure functions on float64 and int64 arrays with explicit signatures: compiled once, cached on disk, never specialised
again. ``LIKELIHOOD`` is the one fixed signature of every engine's scalar kernel.

numba's cache asks whether the file of a kernel has changed. What is compiled into a kernel from other files, helpers and constants, it
does not see: a posterior would come from code that is no longer there. So all that is frozen into a kernel is part of its stamp here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import numba
import numpy as np

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
    signatures = signature if isinstance(signature, list) else [] if signature is None else [signature]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        dispatcher: Any = numba.jit(**options)(function)
        if hasattr(dispatcher, "py_func"):  # not where numba is switched off
            index = dispatcher._cache._cache_file
            index._source_stamp = (*index._source_stamp, _frozen(dispatcher.py_func))
            with numba.core.typeinfer.register_dispatcher(dispatcher):
                for one in signatures:
                    dispatcher.compile(one)
            if signatures:
                dispatcher.disable_compile()
        return cast(Callable[..., Any], dispatcher)

    return decorate


def inline_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a small helper that is only called from other kernels: its code is written into theirs before they are compiled.

    So it takes their types and their freedom to reorder sums, and a call costs nothing; a call of a compiled function counts the references
    of each array argument, about 5 ns for every one.
    """
    return cast(Callable[..., Any], numba.jit(nopython=True, nogil=True, error_model="numpy", inline="always")(function))


def _frozen(function: FunctionType) -> str:
    """Digest of what numba compiles into a kernel: the code of the kernels that it calls, and the values of its constants."""
    seen: dict[str, bytes] = {}
    _collect(function, seen)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name] + b"\0")
    return digest.hexdigest()


def _collect(function: FunctionType, seen: dict[str, bytes]) -> None:
    key = f"{function.__module__}.{function.__qualname__}"
    if key in seen:
        return
    codes = list(_codes(function.__code__))
    written = [repr((code.co_names, [value for value in code.co_consts if not isinstance(value, CodeType)])) for code in codes]
    seen[key] = b"".join(code.co_code for code in codes) + "\0".join(written).encode()
    names = {name for code in codes for name in code.co_names}
    values = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        values[name] = cell.cell_contents
    for name, module in list(values.items()):
        if isinstance(module, ModuleType):
            values |= {f"{name}.{member}": getattr(module, member) for member in names if hasattr(module, member)}
    for name, value in values.items():
        if hasattr(value, "py_func"):
            _collect(value.py_func, seen)
        elif isinstance(value, np.ndarray | np.generic):
            seen[f"{key}:{name}"] = f"{value.dtype}{value.shape}".encode() + value.tobytes()
        elif isinstance(value, bool | int | float | complex | str | bytes | tuple):
            seen[f"{key}:{name}"] = repr(value).encode()


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those written inside it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)
