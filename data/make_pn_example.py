"""Writes data/pn: draws from a density with two modes. ``python data/make_pn_example.py``

400 draws of the density exp(x^2 - x^4 / 4) over its integral, theta = (0, 1, 0, -.25), by the inverse of its distribution function
(`sciinf.engines.pn.families.PolynomialExponential.simulate`, seed 20210518).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from sciinf.engines.pn import RealLine, families

TARGET = Path(__file__).parent / "pn"


def main() -> None:
    """Write the column and its checksum."""
    TARGET.mkdir(exist_ok=True)
    quartic = families.PolynomialExponential(4, RealLine())
    x = quartic.simulate([0.0, 1.0, 0.0, -0.25], 400, np.random.default_rng(20210518))
    (TARGET / "quartic.csv").write_text("x\n" + "".join(f"{value:.6f}\n" for value in x))
    sums = TARGET.parent / "SHA256SUMS"
    others = [line for line in sums.read_text().splitlines() if " pn/" not in line]
    own = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  pn/{path.name}" for path in sorted(TARGET.iterdir())]
    sums.write_text("\n".join(sorted([*others, *own], key=lambda line: line.split()[1])) + "\n")


if __name__ == "__main__":
    main()
