"""Run the echo validation suite: ``python validation/echo.py --full --workers 2 --out results/echo``, as ``sciinf validate`` does."""

from __future__ import annotations

import sys

from sciinf.cli import app

if __name__ == "__main__":
    app(["validate", "echo", *sys.argv[1:]])
