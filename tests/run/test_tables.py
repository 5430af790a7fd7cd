from __future__ import annotations

from typing import Any

import pytest

from sciinf.core.errors import ConfigError
from sciinf.run.tables import Table, describe_value


def table(**content: Any) -> Table:
    return Table("my.toml", ("sampler",), content)


def test_getters_return_what_stands_there() -> None:
    reader = table(a="x", b=3, c=2, d=True, e=["u", "v"], f={"g": 1.5})
    assert reader.string("a") == "x"
    assert reader.integer("b", low=3) == 3
    assert reader.number("c") == 2.0
    assert isinstance(table(c=2).number("c"), float)
    assert reader.boolean("d") is True
    assert reader.strings("e") == ["u", "v"]
    assert reader.table("f").number("g") == 1.5
    reader.finish()


def test_defaults_stand_in_for_absent_keys() -> None:
    reader = table()
    assert reader.string("a", None) is None
    assert reader.number("b", None) is None
    assert reader.choice("c", ("x", "y"), "y") == "y"
    assert reader.table("d").content == {}
    assert reader.tables("e") == {}


@pytest.mark.parametrize(
    ("getter", "value", "expected"),
    [
        ("string", 3, "sampler.k must be a non-empty string, got the integer 3"),
        ("string", "", "sampler.k must be a non-empty string, got the string ''"),
        ("integer", 3.0, "sampler.k must be an integer, got the number 3.0"),
        ("integer", True, "sampler.k must be an integer, got the boolean true"),
        ("number", "1", "sampler.k must be a finite number, got the string '1'"),
        ("number", float("nan"), "sampler.k must be a finite number, got the number nan"),
        ("number", False, "sampler.k must be a finite number, got the boolean false"),
        ("boolean", 1, "sampler.k must be true or false, got the integer 1"),
        ("strings", "abc", "sampler.k must be an array of strings, got the string 'abc'"),
        ("strings", [], "sampler.k must be an array of strings, got an array of 0"),
        ("strings", ["a", 1], "sampler.k must be an array of strings, got an array of 2"),
        ("table", [1], "sampler.k must be a table, got an array of 1"),
    ],
)
def test_wrong_types_name_file_key_and_both_types(getter: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=r"^my.toml: ") as caught:
        getattr(table(k=value), getter)("k")
    assert expected in str(caught.value)


def test_a_low_bound_is_part_of_what_was_expected() -> None:
    with pytest.raises(ConfigError, match=r"an integer of at least 1, got the integer 0"):
        table(k=0).integer("k", low=1)
    with pytest.raises(ConfigError, match=r"a positive number, got the number 0.0"):
        table(k=0.0).number("k", positive=True)


def test_a_missing_key_says_what_it_should_hold() -> None:
    with pytest.raises(ConfigError, match=r"\[sampler\] needs the key 'kind' \(a non-empty string\); it has n_live"):
        table(n_live=1).string("kind")


def test_an_unknown_key_names_the_nearest() -> None:
    reader = table(n_walker=1, kind="emcee")
    reader.string("kind")
    reader.integer("n_walkers", 64)
    with pytest.raises(
        ConfigError, match=r"my.toml: \[sampler\] has an unknown key 'n_walker': did you mean 'n_walkers'\? Allowed: kind, n_walkers"
    ):
        reader.finish()


def test_an_unknown_choice_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"sampler.kind = 'dinesty' is not known: did you mean 'dynesty'\?"):
        table(kind="dinesty").choice("kind", ("dynesty", "emcee"))


def test_rest_takes_what_is_left() -> None:
    reader = table(prior="normal", mean=1, std=2)
    reader.string("prior")
    assert reader.rest() == {"mean": 1, "std": 2}
    reader.finish()


def test_sub_tables_know_their_path() -> None:
    with pytest.raises(ConfigError, match=r"my.toml: sampler.inner.x must be an integer"):
        table(inner={"x": "y"}).table("inner").integer("x")


def test_describe_value_knows_every_toml_type() -> None:
    import datetime

    assert describe_value({}) == "a table"
    assert describe_value(1.5) == "the number 1.5"
    assert describe_value(datetime.date(2020, 1, 1)) == "a date"


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000], ids=["large", "negative", "unwritable"])
def test_an_integer_beyond_float64_is_no_number(value: int) -> None:
    with pytest.raises(ConfigError, match=r"my.toml: sampler.k must be a finite number, got the integer "):
        table(k=value).number("k")
    with pytest.raises(ConfigError, match=r"my.toml: sampler.k must be a non-empty string, got the integer "):
        table(k=value).string("k")
