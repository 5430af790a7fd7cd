"""Importing the package is cheap, and its lazy names exist."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sciinf

HEAVY = ("scipy", "numba", "matplotlib", "h5py", "emcee", "dynesty", "astropy", "pandas", "camb", "jax", "rich", "typer", "jinja2")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nsys.stdout.write(chr(10).join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_adds_at_most_15_modules_to_numpy_s_own() -> None:
    """Limit: 15 modules more than numpy's own (spine specification, performance table)."""
    added = modules_after("import sciinf") - modules_after("import numpy")
    assert len(added) <= 15, sorted(added)


def test_importing_rooms_stays_light() -> None:
    rooms = ("engines.cmb", "engines.r3d", "samplers", "results", "calibration", "run", "adapters")
    loaded = modules_after("import sciinf, " + ", ".join(f"sciinf.{room}" for room in rooms))
    assert not {"bilby", "cobaya", "camb", "astropy", "jax", "matplotlib", "cosmofit"} & loaded


def test_kernels_are_compiled_for_those_who_use_them_only() -> None:
    """A kernel is compiled when its module loads: seconds where numba's cache is empty."""
    echo = {f"sciinf.engines.echo.{name}" for name in ("batch_kernels", "draw_kernels", "profile_kernels", "scan_kernels")}
    assert not echo & modules_after("import sciinf.engines.echo")
    nested = """
import numpy as np
import sciinf
from sciinf.calibration.analytic import analytic_problem
sciinf.sample(analytic_problem("NAME").problem, sciinf.Dynesty(n_live=30, engine="compiled"), seed=1, progress=False)
"""
    densities = {"sciinf.numerics.prior_densities", "sciinf.numerics.prior_set_density", "sciinf.samplers.compiled.stretch_kernels"}
    assert not densities & modules_after(nested.replace("NAME", "gauss3"))
    assert densities & modules_after(nested.replace("NAME", "hole")) == {
        "sciinf.numerics.prior_densities",
        "sciinf.numerics.prior_set_density",
    }


def test_every_lazy_name_resolves() -> None:
    for name in sciinf.__all__:
        assert getattr(sciinf, name) is not None
    assert set(sciinf.__all__) <= set(dir(sciinf))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="smaple"):
        sciinf.smaple  # noqa: B018
