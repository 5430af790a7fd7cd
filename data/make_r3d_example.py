"""Writes data/r3d: a small ragged example with a known effect. ``python data/make_r3d_example.py``

200 units of 15 to 40 values of the second design of arXiv:2504.03992 (`sciinf.engines.r3d.simulate.dgp2`, seed 20250404): at the cutoff 0
the normal part rises by 1 and the exponential tail shortens (rate + .5), so the effect falls with the level: 0.766 at .1, 0.450 at .5 and
-0.745 at .9, by quadrature; the mean rises by 1 + 2 (ln 2 - ln 3) = 0.189.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np

from sciinf.engines.r3d.simulate import dgp2

TARGET = Path(__file__).parent / "r3d"


def main() -> None:
    """Write the tables and their checksums."""
    TARGET.mkdir(exist_ok=True)
    rng = np.random.default_rng(20250404)
    data = dgp2(200, rng.integers(15, 41, 200), 1.0, 0.5, rng)
    units = np.repeat(np.arange(200), data.outcomes.sizes)
    rows = "".join(f"{unit},{value:.4f}\n" for unit, value in zip(units, data.outcomes.values, strict=True))
    (TARGET / "example_observations.csv.gz").write_bytes(gzip.compress(f"unit,z\n{rows}".encode(), 9, mtime=0))
    rows = "".join(f"{i},{x:.6f}\n" for i, x in enumerate(data.x))
    (TARGET / "example_units.csv").write_text(f"unit,x\n{rows}")
    sums = TARGET.parent / "SHA256SUMS"
    others = [line for line in sums.read_text().splitlines() if " r3d/" not in line]
    own = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  r3d/{path.name}" for path in sorted(TARGET.iterdir())]
    sums.write_text("\n".join([*others, *own]) + "\n")


if __name__ == "__main__":
    main()
