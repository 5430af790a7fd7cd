"""Run the pn validation suite: ``python validation/pn.py --full --workers 2 --out results/pn``, as ``sciinf validate`` does."""

from __future__ import annotations

import sys

from sciinf.cli import app

if __name__ == "__main__":
    app(["validate", "pn", *sys.argv[1:]])
