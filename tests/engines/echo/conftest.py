"""What several of the engine's tests need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[4] / "shared" / "data" / "echo"


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    """Path of a file beside the repository, or a skip."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/echo/{name}, which is not distributed with the project")
        return path

    return find
