"""Streams depend on the master seed and their own name, on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.seeding import check_seed, generator, legacy_state


def test_streams_are_reproducible_and_differ_by_name_and_seed() -> None:
    draws = {(seed, name): generator(seed, name).random(4).tobytes() for seed in (1, 2) for name in ("start", "sampler", "simulate/17")}
    assert len(set(draws.values())) == 6
    assert draws[1, "start"] == generator(1, "start").random(4).tobytes()


def test_order_of_making_does_not_matter() -> None:
    first = generator(5, "simulate/3").random()
    for i in (0, 1, 2):
        generator(5, f"simulate/{i}")
    assert generator(5, "simulate/3").random() == first


def test_legacy_state_seeds_a_legacy_generator_without_touching_the_global_one() -> None:
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002 - the point is that it stays untouched
    one, two = np.random.RandomState(), np.random.RandomState()
    one.set_state(legacy_state(3, "sampler"))
    two.set_state(legacy_state(3, "sampler"))
    assert np.array_equal(one.rand(5), two.rand(5))
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_streams_look_uniform_and_uncorrelated() -> None:
    """4,000 first draws of sibling streams: mean within 5 standard errors, lag correlation too."""
    draws = np.array([generator(11, f"simulate/{i}").random() for i in range(4000)])
    assert abs(draws.mean() - 0.5) < 5 * np.sqrt(1 / 12 / draws.size)
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 5 / np.sqrt(draws.size)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_refuses_a_seed_that_is_not_one(seed: object) -> None:
    with pytest.raises(ConfigError, match=r"seed must be an integer in \[0, 2\*\*64\)"):
        check_seed(seed)
