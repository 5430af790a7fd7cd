"""Writes tests/fixtures/cmb/lookalike_chi2.json: chi2 of each component on the look-alike data of seed 1 at the fiducial spectra.

Run by hand, and read the difference, when the look-alike data change on purpose: python tests/engines/cmb/make_lookalike_golden.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from sciinf.engines.cmb.simulate import fiducial_spectra, write_lookalike

TARGET = Path(__file__).parents[2] / "fixtures" / "cmb" / "lookalike_chi2.json"


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_lookalike(folder, seed=1)
        components = (files.plik_lite(), files.low_tt_bins(), files.low_ee(), files.lensing())
        golden = {component.name: component.chi2(fiducial_spectra(), {"A_planck": 1.0}) for component in components}
    TARGET.write_text(json.dumps({"seed": 1, "tolerance_relative": 1e-9, "chi2": golden}, indent=1) + "\n")


if __name__ == "__main__":
    main()
