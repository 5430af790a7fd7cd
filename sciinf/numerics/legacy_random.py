"""numpy's legacy random draws inside kernels: the Mersenne Twister of `numpy.random.RandomState` and what emcee draws from it.

A generator is three arrays: ``key`` (624,) uint32, ``place`` int64 whose first two entries are the position in ``key`` and whether a
Gaussian is held back, and ``held`` (1,) float64 with that Gaussian. Each draw consumes the stream exactly as `RandomState` does
(Matsumoto & Nishimura 1998, ACM Trans. Model. Comput. Simul. 8, 3; numpy's documentation of the legacy generator), so that a kernel
and emcee's own code make the same numbers from the same state.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import inline_kernel, kernel

__all__ = ["N_WORDS", "WORDS", "bounded", "gaussian", "shuffle", "uniform"]

N_WORDS = 624
WORDS = numba.types.Array(numba.uint32, 1, "C")
"""Type of ``key``."""

u64 = np.uint64
_SHIFT = 397
_UPPER, _LOWER, _TWIST = u64(0x80000000), u64(0x7FFFFFFF), u64(0x9908B0DF)
_TEMPER_B, _TEMPER_C = u64(0x9D2C5680), u64(0xEFC60000)
_ONE = u64(1)


@inline_kernel
def _mixed(word, following, other):
    """Next word of the state from this one, the one behind it and the one 397 further."""
    mixed = (u64(word) & _UPPER) | (u64(following) & _LOWER)
    return np.uint32(u64(other) ^ (mixed >> _ONE) ^ ((mixed & _ONE) * _TWIST))


@kernel(numba.void(WORDS))
def _regenerate(key):
    """Replace all words of the state by the next ones."""
    rest = N_WORDS - _SHIFT
    for i in range(rest):
        key[i] = _mixed(key[i], key[i + 1], key[i + _SHIFT])
    for i in range(rest, N_WORDS - 1):
        key[i] = _mixed(key[i], key[i + 1], key[i - rest])
    key[N_WORDS - 1] = _mixed(key[N_WORDS - 1], key[0], key[_SHIFT - 1])


@inline_kernel
def _word(key, place):
    """Next 32 random bits."""
    if place[0] == N_WORDS:
        _regenerate(key)
        place[0] = 0
    word = u64(key[place[0]])
    place[0] += 1
    word ^= word >> u64(11)
    word ^= (word << u64(7)) & _TEMPER_B
    word ^= (word << u64(15)) & _TEMPER_C
    word ^= word >> u64(18)
    return word


@inline_kernel
def uniform(key, place):
    """Uniform number in [0, 1) with 53 bits: ``RandomState.random_sample``."""
    high = np.int64(_word(key, place) >> u64(5))
    low = np.int64(_word(key, place) >> u64(6))
    return (high * 67108864.0 + low) / 9007199254740992.0


@inline_kernel
def bounded(key, place, largest):
    """Integer in [0, largest], below 2**32: ``RandomState.randint`` and ``shuffle`` (masked rejection; none drawn where largest is 0)."""
    if largest == 0:
        return np.int64(0)
    mask = u64(largest)
    mask |= mask >> u64(1)
    mask |= mask >> u64(2)
    mask |= mask >> u64(4)
    mask |= mask >> u64(8)
    mask |= mask >> u64(16)
    while True:
        value = np.int64(_word(key, place) & mask)
        if value <= largest:
            return value


@inline_kernel
def gaussian(key, place, held):
    """Standard normal number: ``RandomState.randn`` (polar method, every other one held back)."""
    if place[1]:
        place[1] = 0
        value = held[0]
        held[0] = 0.0
        return value
    while True:
        x = 2.0 * uniform(key, place) - 1.0
        y = 2.0 * uniform(key, place) - 1.0
        squares = x * x + y * y
        if 0.0 < squares < 1.0:
            break
    factor = math.sqrt(-2.0 * math.log(squares) / squares)
    held[0] = factor * x
    place[1] = 1
    return factor * y


@inline_kernel
def shuffle(key, place, items):
    """Shuffle in place: ``RandomState.shuffle``."""
    for i in range(items.size - 1, 0, -1):
        j = bounded(key, place, i)
        items[i], items[j] = items[j], items[i]
