"""How a set of priors is packed into two arrays for kernels.

``ints`` holds the number of blocks, then ``WIDTH`` integers per block: code, first column, columns, offset of the numbers in
``floats``, offset of a table in ``floats``, mode (``PLAIN``, ``AFFINE`` or ``FUNCTION``), number of earlier parameters (or, in mode
``FUNCTION`` and for a joint prior of one's own, which function), offset in ``ints`` of the earlier parameters' columns. ``floats``
begins with ln of a region's mass; a block's numbers are 4 constants and, in mode ``AFFINE``, 4 coefficients per earlier parameter. In
mode ``PLAIN`` a uniform's third number is its width, and a uniform's and a normal's fourth the logarithm of the density's constant.

The kernels that read it are `sciinf.numerics.prior_set_transform.transform` and `sciinf.numerics.prior_set_density.log_prior`, apart so
that a run which needs one does not wait for the other to compile; both have the signature `sciinf.numerics.jit.LIKELIHOOD`.
"""

from __future__ import annotations

from numba import int64, types

from sciinf.numerics.jit import INTS, VECTOR, kernel

__all__ = ["AFFINE", "CONDITIONAL", "FUNCTION", "LOG_NORM", "PLAIN", "WIDTH", "WIDTH_OF_UNIFORM", "numbers_of"]

PLAIN, AFFINE, FUNCTION = 0, 1, 2
WIDTH = 8
WIDTH_OF_UNIFORM, LOG_NORM = 2, 3

CONDITIONAL = types.void(VECTOR, VECTOR)
"""``f(given, numbers)``: signature of a conditional prior's function."""


@kernel(types.void(int64, VECTOR, VECTOR, INTS, VECTOR))
def numbers_of(at, theta, floats, ints, numbers):
    """The block's four numbers: constants, plus coefficients times earlier parameters."""
    offset, n_given, given = ints[at + 3], ints[at + 6], ints[at + 7]
    for i in range(4):
        numbers[i] = floats[offset + i]
        if ints[at + 5] == AFFINE:
            for j in range(n_given):
                coefficient = floats[offset + 4 * (1 + j) + i]
                if coefficient != 0.0:
                    numbers[i] += coefficient * theta[ints[given + j]]
