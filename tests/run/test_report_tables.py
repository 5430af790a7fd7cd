from __future__ import annotations

import math

import numpy as np
import pytest

from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Normal, PowerLaw
from sciinf.results.posterior import Posterior
from sciinf.run.report_tables import component_rows, describe_prior, label_of, prior_rows, result_groups, shift_in_sigma


@pytest.fixture
def posterior() -> Posterior:
    rng = np.random.default_rng(3)
    draws, flat = rng.normal([1.0, 0.0], 1.0, (500, 2)), np.zeros(500)
    derived = np.column_stack([draws[:, 0] ** 2, 10 + draws[:, 1]])
    names = ("a", "b_c")
    labels = {"latex": (r"\alpha", "b_c"), "units": ("Hz", ""), "derived_names": ("square", "chi2__one")}
    return Posterior(draws, flat, flat, flat, names, derived=derived, **labels)


def test_a_label_is_drawn_where_it_says_more_than_the_name(posterior: Posterior) -> None:
    assert label_of(posterior, "a").startswith('<svg class="math"')
    assert label_of(posterior, "b_c").startswith('<svg class="math"')  # given as b_c: a subscript, not the name with its underscore
    assert label_of(posterior, "square") == ""
    assert label_of(posterior, "unknown") == ""


def test_groups_and_published_values(posterior: Posterior) -> None:
    groups = result_groups(posterior, posterior.summary(), {"a": (0.0, 0.5, "somewhere")}, components=True)
    assert [(group["title"], [row["name"] for row in group["rows"]]) for group in groups] == [("", ["a", "b_c"]), ("Derived", ["square"])]
    row = groups[0]["rows"][0]
    assert row["unit"] == "Hz"
    assert row["published"] == "0.00 ± 0.50"
    assert row["shift"] == f"{posterior.mean()[0] / 0.5:+.2f} σ"
    assert groups[0]["rows"][1]["published"] == ""
    with_chi2 = result_groups(posterior, posterior.summary(), {}, components=False)
    assert with_chi2[-1]["title"] == "χ² over the posterior"


def test_components_sum_to_the_total_and_show_their_spread(posterior: Posterior) -> None:
    rows = component_rows({"one": 10.25, "two": -3.0}, posterior.summary())
    assert [(row["name"], row["value"]) for row in rows] == [("one", "10.25"), ("two", "−3.00"), ("total", "7.25")]
    assert " ± " in rows[0]["spread"]
    assert rows[1]["spread"] == ""


def test_shift_is_in_published_sigmas() -> None:
    assert shift_in_sigma(1.0, 0.1, (0.5, 0.25, "")) == 2.0
    assert math.isnan(shift_in_sigma(1.0, 0.1, (0.5, 0.0, "")))


def test_priors_are_written_as_people_write_them(posterior: Posterior) -> None:
    assert describe_prior({"std": 2.0, "mean": -1.0, "kind": "Normal"}) == "Normal(mean = −1, std = 2)"  # JSON forgets the order
    assert describe_prior(PowerLaw(2.0, 1.0, 3.0).describe()) == "PowerLaw(alpha = 2, low = 1, high = 3)"
    assert describe_prior({"kind": "Interpolated", "x": list(range(9)), "pdf": [1.0, 2.0]}) == "Interpolated(x = [9 numbers], pdf = [1, 2])"
    described = {
        "members": [
            {"name": "a", "periodic": True, "prior": Normal(0, 1).describe()},
            {"names": ["b_c", "d"], "prior": {"kind": "OrderedUniform", "low": 0.0, "high": 1.0, "size": 2}},
        ]
    }
    first, second = prior_rows(posterior, described, ("d",))
    assert first["prior"] == "Normal(mean = 0, std = 1), periodic"
    assert first["origin"] == "engine's default"
    assert (second["name"], second["origin"]) == ("b_c, d", "config")
    assert prior_rows(posterior, described, None)[0]["origin"] == ""


def test_regions_are_rows_too(posterior: Posterior) -> None:
    described = {"members": [], "regions": [{"name": "triangle", "predicate": "m.above", "version": 1, "mass": None}]}
    (row,) = prior_rows(posterior, described, ())
    assert row["name"] == "triangle"
    assert row["prior"] == "region m.above, version 1, normalised"
    assert PriorSet([]).describe() == {"members": [], "regions": []}
