"""What `import sciinf.engines.cmb` must not load."""

from __future__ import annotations

import subprocess
import sys


def test_heavy_packages_stay_out() -> None:
    heavy = ("camb", "astropy", "jax", "matplotlib", "cosmofit", "pandas", "dynesty", "emcee")
    code = f"import sys, sciinf.engines.cmb; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_data_are_found_without_importing_their_package() -> None:
    code = "import sys; from sciinf.engines.cmb.data import find_cosmofit; find_cosmofit(); print('cosmofit' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
