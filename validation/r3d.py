"""Run the r3d validation suite: ``python validation/r3d.py --full --workers 2 --out results/r3d``, as ``sciinf validate`` does."""

from __future__ import annotations

import sys

from sciinf.cli import app

if __name__ == "__main__":
    app(["validate", "r3d", *sys.argv[1:]])
