"""Which combinations have published values beside them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sciinf.core.engine import references_of
from sciinf.engines.cmb.component import Component, Origin
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.presets import planck2018
from sciinf.engines.cmb.published import PUBLISHED, combination_of, published_values

LCDM = ("omega_b", "omega_c", "theta_mc", "tau", "logA", "n_s", "A_planck")
BASE = ("plik_lite", "low_tt_bins", "low_ee")


def as_real(component: Any) -> Any:
    """The same component with the origin of verified data."""
    origin = Origin("cosmofit 2.2.0", {"file": "0" * 64})
    if hasattr(component, "data"):
        return dataclasses.replace(component, data=dataclasses.replace(component.data, origin=origin))
    return dataclasses.replace(component, origin=origin)


@pytest.fixture(scope="module")
def real(components: dict[str, Component]) -> dict[str, Any]:
    return {name: as_real(component) for name, component in components.items()}


def test_the_published_combinations(real: dict[str, Any]) -> None:
    assert combination_of([real[name] for name in BASE]) == "TT,TE,EE+lowE"
    assert combination_of(list(real.values())) == "TT,TE,EE+lowE+lensing"
    tt = PlikLite(real["plik_lite"].data, ("TT",))
    assert combination_of([tt, real["low_tt_bins"], real["low_ee"]]) == "TT+lowE"


def test_what_was_not_published(real: dict[str, Any], components: dict[str, Component]) -> None:
    low = [real["low_tt_bins"], real["low_ee"]]
    data = real["plik_lite"].data
    others = [
        [real["plik_lite"], real["low_ee"]],
        [PlikLite(data, ("TE",)), *low],
        [PlikLite(data, ("TT",)), *low, real["lensing"]],
        [PlikLite(data, l_range=(30, 1000)), *low],
        [components[name] for name in BASE],
        [real["plik_lite"].with_data(real["plik_lite"].core.data), *low],
    ]
    for parts in others:
        assert combination_of(parts) is None
        assert published_values(parts, LCDM) == {}
    assert published_values([real[name] for name in BASE], ("amplitude", "tilt", "A_planck")) == {}


@pytest.mark.planck
def test_the_engine_offers_them(planck_files: PlanckFiles, lookalike: PlanckFiles) -> None:
    found = references_of(planck2018(data=planck_files))
    assert found["tau"] == (0.0544, 0.00755, found["tau"][2])
    assert found["tau"][2].startswith("Planck 2018 VI, table 2, TT,TE,EE+lowE (there low-l TT is Commander, here it is two Gaussian bins")
    assert set(found) == set(PUBLISHED["TT,TE,EE+lowE"])
    assert references_of(planck2018(data=lookalike)) == {}
