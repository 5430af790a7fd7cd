"""Run the spine validation suite: ``python validation/spine.py --full --workers 2 --out results/spine``, as ``sciinf validate`` does."""

from __future__ import annotations

import sys

from sciinf.cli import app

if __name__ == "__main__":
    app(["validate", "spine", *sys.argv[1:]])
