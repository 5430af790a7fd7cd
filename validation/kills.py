"""Kill runs of each sampler at random moments and at every step of their writes: ``python validation/kills.py --kills 100 --json FILE``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from sciinf.validation.spine import SEED, kill_reports
from sciinf.validation.spine_kills import HEADER
from sciinf.validation.suite import Recorder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="at random moments, per sampler")
    parser.add_argument("--json", type=Path, help="write every figure there")
    given = parser.parse_args()
    with Recorder("kills", "full", seed=SEED) as record:
        reports = dict(kill_reports(given.kills, record))
    record.add(*(report.verdict(label) for label, report in reports.items()))
    record.table("Killed and resumed", HEADER, [report.row(label) for label, report in reports.items()])
    result = record.result()
    print(result)
    if given.json is not None:
        figures = {label: {**dataclasses.asdict(report), "equal": report.equal} for label, report in reports.items()}
        given.json.write_text(json.dumps({**result.to_dict(), "reports": figures}, indent=2) + "\n", encoding="utf-8")
    return 0 if result.passed else 4


if __name__ == "__main__":
    sys.exit(main())
