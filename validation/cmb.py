"""Run the cmb validation suite: ``python validation/cmb.py --full --workers 2 --directory results/cmb``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sciinf.validation import suites


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    tier = parser.add_mutually_exclusive_group()
    for name in ("quick", "full", "long"):
        tier.add_argument(f"--{name}", dest="tier", action="store_const", const=name)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where units and figures go; a run that was cut off goes on from there")
    parser.add_argument("--json", type=Path, help="write the result there as well")
    given = parser.parse_args()
    result = suites()["cmb"].run(given.tier or "quick", workers=given.workers, directory=given.directory)
    print(result)
    if given.json is not None:
        given.json.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 0 if result.passed else 4


if __name__ == "__main__":
    sys.exit(main())
