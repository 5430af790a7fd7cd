"""Copies between arrays inside kernels, as loops: numba's slice assignment compiles seconds of error messages into every kernel."""

from __future__ import annotations

from sciinf.numerics.jit import inline_kernel

__all__ = ["copy_matrix", "copy_vector"]


@inline_kernel
def copy_vector(source, target):
    """Write ``source`` (n,) into ``target`` (n,)."""
    for i in range(source.size):
        target[i] = source[i]


@inline_kernel
def copy_matrix(source, target):
    """Write ``source`` (n, m) into ``target`` (n, m)."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]
