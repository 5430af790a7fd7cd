"""Writes data/echo: the barrier table and four seconds of GW150914 with the detectors' PSDs. Needs the files named below.

    python data/make_echo.py FOLDER

FOLDER holds ``benchmarks/barrier_power_reflectivity_chi0.69.dat.gz`` and ``strain/?-??_LOSC_4_V2-1126259446-32.hdf5`` (data/SOURCES.md
says where they come from). The excerpts have the layout of the Gravitational Wave Open Science Center's files.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import h5py
import numpy as np

from sciinf.engines.echo.conditioning import welch_psd
from sciinf.engines.echo.gwosc import read_gwosc
from sciinf.engines.echo.strain import Strain

TARGET = Path(__file__).parent / "echo"
START, DURATION = 1126259461, 4
EXCLUDE = (1126259462.0, 1126259463.0)  # the merger
TABLE = "barrier_power_reflectivity_chi0.69.dat.gz"


def write_excerpt(strain: Strain, path: Path) -> None:
    """Write ``strain`` in the layout that `read_gwosc` reads."""
    with h5py.File(path, "w") as stream:
        series = stream.create_dataset("strain/Strain", data=strain.values, compression="gzip", compression_opts=9, shuffle=True)
        series.attrs.update({"Xstart": START, "Xspacing": strain.sample_interval, "Npoints": strain.n, "Xunits": "second"})
        stream["meta/GPSstart"] = START
        stream["meta/Duration"] = DURATION
        stream["meta/Detector"] = strain.detector
        quality = stream.create_dataset("quality/simple/DQmask", data=np.full(DURATION, 127, dtype=np.uint32))
        quality.attrs.update({"Xstart": START, "Xspacing": 1.0})


def write_psd(strain: Strain, path: Path) -> None:
    """Write the off-source PSD of ``strain`` as two columns, Hz and 1/Hz."""
    psd = welch_psd(strain, exclude=EXCLUDE)
    rows = "".join(f"{f:g} {s:.6e}\n" for f, s in zip(psd.frequency, psd.density, strict=True))
    path.write_bytes(gzip.compress(f"# {psd.source}; Hz, 1/Hz\n{rows}".encode(), 9, mtime=0))


def main(folder: Path) -> None:
    """Write every file and the list of hashes."""
    TARGET.mkdir(exist_ok=True)
    (TARGET / TABLE).write_bytes((folder / "benchmarks" / TABLE).read_bytes())
    for name in ("H-H1", "L-L1"):
        strain = read_gwosc(folder / "strain" / f"{name}_LOSC_4_V2-1126259446-32.hdf5")
        write_excerpt(strain.cut(START, DURATION), TARGET / f"{name}_LOSC_4_V2-{START}-{DURATION}.hdf5")
        write_psd(strain, TARGET / f"{name}_PSD-1126259446-32.txt.gz")
    files = sorted(path for path in TARGET.iterdir() if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  echo/{path.name}\n" for path in files]
    (TARGET.parent / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
