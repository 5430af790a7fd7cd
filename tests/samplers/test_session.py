"""Resources: checked when made, and plain enough for the manifest."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.samplers.session import Resources


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ({"threads": None}, "threads must be an integer of at least 1, got None"),
        ({"threads": 2**40}, "threads must be an integer of at most 1024"),
        ({"max_calls": 10**5000}, "max_calls must be an integer of at most 9223372036854775807, got an integer of 16610 bits"),
        ({"max_calls": 1.5}, "max_calls must be an integer"),
        ({"max_iterations": True}, "max_iterations must be an integer"),
        ({"max_seconds": float("inf")}, "max_seconds must be a positive finite number, got inf"),
        ({"max_seconds": 10**400}, "max_seconds must be a positive finite number"),
        ({"checkpoint_every": None}, "checkpoint_every must be a positive finite number, got None"),
        ({"workers": 0}, "workers must be an integer from 1 to 1024, an executor with submit, or a Dask client, got 0"),
        ({"workers": "4"}, "workers must be an integer from 1 to 1024, an executor with submit, or a Dask client, got '4'"),
    ],
)
def test_a_wrong_number_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Resources(**options)


def test_a_description_is_json() -> None:
    made = Resources(np.int64(2), np.int8(1), np.uint64(1000), np.float32(0.5), np.longdouble(5.0))
    assert json.loads(json.dumps(made.describe(), allow_nan=False)) == {
        "workers": 2,
        "threads": 1,
        "max_calls": 1000,
        "max_seconds": 0.5,
        "checkpoint_every": 5.0,
        "max_iterations": None,
    }
