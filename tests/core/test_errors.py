"""One tree of errors, each catchable as the built-in that users expect."""

from __future__ import annotations

import pytest

from sciinf.core import errors


@pytest.mark.parametrize("name", [item for item in errors.__all__ if item.endswith("Error")])
def test_every_error_is_in_the_tree(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.SciinfError)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("PriorError", ValueError),
        ("DataError", ValueError),
        ("DataTypeError", TypeError),
        ("MissingDependencyError", ImportError),
        ("NotFittedError", AttributeError),
        ("SciinfWarning", UserWarning),
    ],
)
def test_built_in_bases(name: str, builtin: type) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_nearest_names_lists_all_when_nothing_is_near() -> None:
    assert errors.nearest_names("q", []) == "allowed: none"
    assert errors.nearest_names("tua", ["tau", "n_s"]).startswith("did you mean 'tau'")


def test_any_value_can_be_shown() -> None:
    shown = {errors.shown(value) for value in ("tau", 1.5, 10**30, 10**5000, [10**5000])}
    assert shown == {"'tau'", "1.5", str(10**30), "an integer of 16610 bits", "a list too long to show"}


def test_a_long_value_is_cut() -> None:
    assert errors.shown("x" * 5000) == "'" + "x" * 199 + "... (5002 characters)"
