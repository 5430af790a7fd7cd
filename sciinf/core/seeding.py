"""One master seed, named child streams, and the bridge to the legacy generator that emcee needs."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from sciinf.core.errors import ConfigError, shown

__all__ = ["check_seed", "child_sequence", "generator", "legacy_state"]


def check_seed(seed: Any) -> int:
    """Return ``seed`` as a Python int.

    Raises
    ------
    ConfigError
        Unless it is an integer in [0, 2**64).
    """
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**64:
        raise ConfigError(f"seed must be an integer in [0, 2**64), got {shown(seed)}")
    return int(seed)


def child_sequence(seed: int, name: str) -> np.random.SeedSequence:
    """Seed sequence of the stream ``name`` ("start", "sampler", "simulate/17", ...) under the master ``seed``.

    The name enters through its sha256 as a spawn key, so a stream depends on the master seed and its own name only: never on how
    many streams were made before it, nor on which worker makes it.

    Examples
    --------
    >>> child_sequence(1, "start").generate_state(1) == child_sequence(1, "start").generate_state(1)
    array([ True])
    """
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.SeedSequence(check_seed(seed), spawn_key=tuple(int(word) for word in words))


def generator(seed: int, name: str) -> np.random.Generator:
    """PCG64 generator of the stream ``name`` under the master ``seed``."""
    return np.random.Generator(np.random.PCG64(child_sequence(seed, name)))


def legacy_state(seed: int, name: str) -> tuple[Any, ...]:
    """State tuple of a legacy MT19937 generator for the stream ``name``, as `emcee.State` takes in ``random_state``."""
    mersenne = np.random.MT19937(child_sequence(seed, name))
    state: tuple[Any, ...] = np.random.RandomState(mersenne).get_state(legacy=True)  # type: ignore[assignment]
    return state
