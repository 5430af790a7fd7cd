"""Factorisations whose bytes do not depend on how many threads the BLAS may use."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import scipy.linalg  # noqa: F401 - its BLAS is another library than NumPy's, and must be loaded to be limited

__all__ = ["one_blas_thread"]


@functools.cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS at one thread: a product or factorisation rounds differently with another number.

    What an engine computes once, when it is built, decides the last bits of every likelihood after it.

    Examples
    --------
    >>> import numpy as np
    >>> with one_blas_thread():
    ...     factor = np.linalg.cholesky(np.eye(3))
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
