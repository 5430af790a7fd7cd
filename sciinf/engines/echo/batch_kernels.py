"""The likelihood of many points in one call; apart from the scalar kernel, with which a compiled sampler does."""

from __future__ import annotations

import numpy as np

from sciinf.engines.echo.kernels import echo
from sciinf.numerics.jit import LIKELIHOOD_MANY, kernel

__all__ = ["echo_many"]


@kernel(LIKELIHOOD_MANY)
def echo_many(thetas, floats, ints, work):
    """`echo` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = echo(thetas[j], floats, ints, work)
    return out
