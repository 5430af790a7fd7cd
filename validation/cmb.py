"""Run the cmb validation suite: ``python validation/cmb.py --full --workers 2 --out results/cmb``, as ``sciinf validate`` does."""

from __future__ import annotations

import sys

from sciinf.cli import app

if __name__ == "__main__":
    app(["validate", "cmb", *sys.argv[1:]])
