"""Reference tables, and families by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.engines.pn import ExponentialFamily, families

TABLES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "pn" / "tables.json").read_text())


def tupled(value: Any) -> Any:
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value


def made(row: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """The family and the theta of a row."""
    family: Any = getattr(families, row["family"])(*[tupled(item) for item in row.get("make", [])])
    assert isinstance(family, ExponentialFamily)
    return family, family.natural(**row["usual"])
