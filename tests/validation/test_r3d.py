"""The r3d suite: its checks pass where they should and fail where they must."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.engines.r3d import R3D
from sciinf.engines.r3d.simulate import dgp1
from sciinf.validation import r3d, suites
from sciinf.validation import r3d_checks as checks
from sciinf.validation.suite import Recorder

pytestmark = pytest.mark.filterwarnings("ignore::sciinf.core.errors.SciinfWarning")


def test_wilson() -> None:
    """Published values (Newcombe 1998, table I): 81 of 263, 15 of 148, 0 of 20."""
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert checks.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_windows() -> None:
    assert checks.window("right", [True] * 95 + [False] * 5, 0.92, 0.97).passed
    assert not checks.window("low", [True] * 80 + [False] * 20, 0.92, 0.97).passed
    assert not checks.window("high", [True] * 1000, 0.92, 0.97).passed
    assert not checks.window("floor", [True] * 92 + [False] * 8, 0.92, 0.97, floor=0.91).passed


def test_a_replica_depends_on_its_seed_alone() -> None:
    one, again, other = (checks.coverage_replica(seed, 200, 30, 1.0) for seed in (5, 5, 6))
    assert one == again
    assert one["h"] != other["h"]
    ragged = checks.coverage_replica(5, 200, (20, 60), 1.0)
    assert ragged["h"] != one["h"]


def test_the_truncated_variance_is_too_small() -> None:
    data = dgp1(400, 50, 1.0, np.random.default_rng(1))
    fit = replace(R3D(data.x, data.outcomes).fit(), cov_type="HC0")
    assert (checks.truncated(fit).bse < 0.95 * fit.bse).all()


def test_replicas_of_the_other_designs() -> None:
    fuzzy = checks.fuzzy_replica(1, 600, 30, 1.0, 0.75)
    assert fuzzy["t"] > 3.0
    assert set(checks.clustered_replica(1, 400, 20, 1.0)) == {"CR1", "HC3"}
    gini = checks.gini_replica(1, 300, 60, 1.0)
    assert gini["ours"] < 0.01
    assert gini["uncentred"] > 0.2
    assert 0.0 < checks.pipeline_replica(1, 300, 50) < 1.0
    contrast = checks.contrast_replica(1, 800, 60)
    assert contrast["ours"][1] > contrast["pooled"][1] > 0.0


def test_the_package_s_bandwidth_does_not_shrink() -> None:
    small, large = (np.median([checks.bandwidth_replica(seed, n)["R package"] for seed in range(5)]) for n in (500, 8000))
    ours = [np.median([checks.bandwidth_replica(seed, n)["ours"] for seed in range(5)]) for n in (500, 8000)]
    assert large > 0.7 * small
    assert ours[1] < 0.7 * ours[0]


def test_extraction() -> None:
    assert all(verdict.passed for verdict in checks.extraction(200_000, 100, 1))


def test_the_parts_of_the_suite_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    small = r3d.Scale(((200, 30, 8), (500, 30, 2)), 4, 4, 2, 3, 4, 2, 2, 20, 100_000)
    with Recorder("r3d", "quick", progress=False) as record:
        suite = r3d._Suite(small, record, None)
        for part in ("coverage", "gini", "designs", "bandwidths", "contrast", "extraction"):
            getattr(suite, part)()
    names = {verdict.name for verdict in record.result().verdicts}
    assert {
        "band",
        "averages together",
        "Gini not centred (control)",
        "clusters taken for independent (control)",
        "contrast, ours",
    } <= names
    assert len(record.result().tables) == 3


def test_its_place() -> None:
    assert suites()["r3d"].module == "sciinf.validation.r3d"
    with pytest.raises(ConfigError, match="no tier 'quik'"):
        r3d.run("quik", progress=False)  # type: ignore[arg-type]
