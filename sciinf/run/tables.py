"""Strict reading of TOML tables: every key is asked for with its type, and what nobody asked for is an error."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sciinf.core.errors import ConfigError, nearest_names, shown

__all__ = ["Table", "describe_value"]

_MISSING: Any = object()


def _is_finite(value: float) -> bool:
    """Whether a number is finite as a float64."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float64
        return False


def describe_value(value: Any) -> str:
    """What a TOML value is, for a message.

    Examples
    --------
    >>> describe_value("64"), describe_value(True), describe_value([1, 2])
    ("the string '64'", 'the boolean true', 'an array of 2')
    """
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return f"the integer {shown(value)}"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the string {shown(value)}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, Mapping):
        return "a table"
    return f"a {type(value).__name__}"


class Table:
    """One table of a TOML file, read key by key.

    Parameters
    ----------
    source : str
        Name of the file, for messages.
    path : tuple of str
        Where the table stands in the file; empty for the file itself.
    content : dict
        What `tomllib` gave.

    Notes
    -----
    Each getter removes the key from what is left; `finish` raises for what is left over, with the keys that were asked for as the
    allowed ones.

    Examples
    --------
    >>> table = Table("a.toml", ("sampler",), {"n_walker": 8})
    >>> table.integer("n_walkers", default=64)
    64
    >>> table.finish()
    Traceback (most recent call last):
    sciinf.core.errors.ConfigError: a.toml: [sampler] has an unknown key 'n_walker': did you mean 'n_walkers'? Allowed: n_walkers
    """

    def __init__(self, source: str, path: tuple[str, ...], content: Mapping[str, Any]) -> None:
        self.source, self.path, self.content = source, path, dict(content)
        self._left = dict(content)
        self._known: dict[str, None] = {}

    @property
    def where(self) -> str:
        """File and table, as messages begin."""
        return f"{self.source}: [{'.'.join(self.path)}]" if self.path else self.source

    def key_path(self, key: str) -> str:
        """File and full key path."""
        return f"{self.source}: {'.'.join((*self.path, key))}"

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def _take(self, key: str, default: Any, expected: str, accepts: Callable[[Any], bool]) -> Any:
        self._known[key] = None
        if key not in self._left:
            if default is _MISSING:
                near = difflib.get_close_matches(key, self._left, n=1)
                present = f"; it has {', '.join(self.content)}" if self.content else ""
                present += f". Is {near[0]!r} a misspelling of it?" if near else ""
                raise ConfigError(f"{self.where} needs the key '{key}' ({expected}){present}")
            return default
        value = self._left.pop(key)
        if not accepts(value):
            raise ConfigError(f"{self.key_path(key)} must be {expected}, got {describe_value(value)}")
        return value

    def string(self, key: str, default: Any = _MISSING) -> Any:
        """A non-empty string."""
        return self._take(key, default, "a non-empty string", lambda value: isinstance(value, str) and value != "")

    def choice(self, key: str, allowed: Iterable[str], default: Any = _MISSING) -> Any:
        """One of the ``allowed`` strings."""
        names = list(allowed)
        value = self._take(key, default, f"one of {', '.join(names)}", lambda value: isinstance(value, str))
        if value is not default and value not in names:
            raise ConfigError(f"{self.key_path(key)} = {shown(value)} is not known: {nearest_names(value, names)}")
        return value

    def integer(self, key: str, default: Any = _MISSING, *, low: int | None = None) -> Any:
        """An integer, at least ``low``."""
        expected = "an integer" if low is None else f"an integer of at least {low}"
        return self._take(
            key, default, expected, lambda value: isinstance(value, int) and not isinstance(value, bool) and (low is None or value >= low)
        )

    def number(self, key: str, default: Any = _MISSING, *, positive: bool = False) -> Any:
        """A finite number (integer or float)."""
        expected = "a positive number" if positive else "a finite number"

        def accepts(value: Any) -> bool:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return False
            return _is_finite(value) and (value > 0 or not positive)

        value = self._take(key, default, expected, accepts)
        return value if value is default else float(value)

    def boolean(self, key: str, default: Any = _MISSING) -> Any:
        """``true`` or ``false``."""
        return self._take(key, default, "true or false", lambda value: isinstance(value, bool))

    def strings(self, key: str, default: Any = _MISSING) -> Any:
        """A non-empty array of strings."""
        return self._take(
            key,
            default,
            "an array of strings",
            lambda value: isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value),
        )

    def value(self, key: str, default: Any = _MISSING) -> Any:
        """Anything; whoever takes it checks it."""
        return self._take(key, default, "a value", lambda value: True)

    def table(self, key: str, *, required: bool = False) -> Table:
        """The sub-table ``key`` (empty where it is absent and not required)."""
        content = self._take(key, _MISSING if required else {}, "a table", lambda value: isinstance(value, dict))
        return Table(self.source, (*self.path, key), content)

    def tables(self, key: str) -> dict[str, Table]:
        """The sub-tables of the table ``key``, by name."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer.content}

    def rest(self) -> dict[str, Any]:
        """Everything nobody asked for yet, taken."""
        left, self._left = self._left, {}
        self._known.update(dict.fromkeys(left))
        return left

    def finish(self) -> None:
        """Refuse keys that nobody asked for.

        Raises
        ------
        ConfigError
            With file, table, key and the nearest names that are allowed.
        """
        for key, value in self._left.items():
            kind = "table" if isinstance(value, dict) else "key"
            raise ConfigError(f"{self.where} has an unknown {kind} {shown(key)}: {nearest_names(key, self._known)}")
