"""Values of an ``[engine]`` table, each checked: ConfigError says where it stands, what was expected and what came."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sciinf.core.errors import ConfigError, nearest_names, shown

__all__ = ["known", "number", "one_of", "pair", "positive", "required"]


def known(where: str, table: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A table as a dictionary; ConfigError for another type or an unknown key."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, got {shown(table)}")
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where} has an unknown key {shown(key)}: {nearest_names(key, keys)}")
    return dict(table)


def required(where: str, table: Mapping[str, Any], *keys: str) -> None:
    """ConfigError where a key is missing."""
    for key in keys:
        if key not in table:
            raise ConfigError(f"{where} needs {key}")


def number(where: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
        limits = "" if math.isinf(low) and math.isinf(high) else f" from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        raise ConfigError(f"{where} must be a finite number{limits}, got {shown(value)}")
    return float(value)


def positive(where: str, value: Any) -> float:
    """A finite number above 0."""
    found = number(where, value)
    if found <= 0.0:
        raise ConfigError(f"{where} must be a positive number, got {shown(value)}")
    return found


def one_of(where: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the allowed names."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"{where} = {shown(value)}: {nearest_names(str(value), allowed)}")
    return value


def pair(where: str, value: Any) -> tuple[float, float]:
    """A band in Hz."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ConfigError(f"{where} must be [f_min, f_max] in Hz, got {shown(value)}")
    return number(where, value[0]), number(where, value[1])
