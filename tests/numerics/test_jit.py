"""Kernels on disk: what is compiled into one from other files is part of its stamp."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

HELPERS = """
import math
import numba
from sciinf.numerics.jit import inline_kernel, kernel

SCALE = {scale}

@inline_kernel
def shifted(x):
    return x + {shift}

@kernel(numba.float64(numba.float64))
def twice(x):
    return {twice} * math.{rounded}(x)
"""
KERNELS = """
import sys
import numba
import helpers
from helpers import SCALE, shifted, twice
from sciinf.numerics.jit import kernel

@kernel(numba.float64(numba.float64))
def through(x):
    return SCALE * twice(shifted(x))

@kernel(numba.float64(numba.float64))
def outer(x):
    return through(x) + helpers.SCALE

print(outer(1.0), sum(outer.stats.cache_hits.values()))
"""


def _values(folder: Path, constants: dict[str, str]) -> tuple[float, int]:
    """``outer(1)`` in a fresh process, and whether it was read from the cache."""
    (folder / "helpers.py").write_text(HELPERS.format(**constants), encoding="utf-8")
    run = subprocess.run([sys.executable, "kernels.py"], cwd=folder, check=True, capture_output=True, text=True)
    value, hits = run.stdout.split()
    return float(value), int(hits)


def test_an_edited_helper_is_never_read_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS, encoding="utf-8")
    constants = {"scale": "3.0", "shift": "1.5", "twice": "2.0", "rounded": "floor"}
    assert _values(tmp_path, constants) == (3.0 * 2.0 * math.floor(1.0 + 1.5) + 3.0, 0)
    assert _values(tmp_path, constants) == (15.0, 1)
    edits = [("scale", "5.0", 25.0), ("shift", "3.5", 45.0), ("twice", "4.0", 85.0), ("rounded", "ceil", 105.0)]  # one after the other
    for name, to, value in edits:
        constants[name] = to
        assert _values(tmp_path, constants) == (value, 0), name
