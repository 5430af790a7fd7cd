"""Settings: checked when made, described for the manifest, read back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.samplers.settings import Dynesty, Emcee, settings_from


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (Dynesty, {"n_live": 3}, "at least 10"),
        (Dynesty, {"n_live": 100.0}, "integer"),
        (Dynesty, {"n_live": True}, "integer"),
        (Dynesty, {"bound": "mutli"}, "'multi'"),
        (Dynesty, {"proposal": "walk"}, "'rwalk'"),
        (Dynesty, {"walks": 1}, "at least 2"),
        (Dynesty, {"proposal": "slice", "walks": 30}, "Leave it out"),
        (Dynesty, {"slices": 5}, "Leave it out"),
        (Dynesty, {"dlogz": 0.0}, "positive"),
        (Dynesty, {"dlogz": float("nan")}, "positive"),
        (Dynesty, {"queue_size": 0}, "at least 1"),
        (Dynesty, {"dynamic": "yes"}, "True or False"),
        (Dynesty, {"n_effective": 1000}, "for dynamic=True"),
        (Dynesty, {"dynamic": True, "n_effective": 0}, "at least 1"),
        (Dynesty, {"engine": "emcee"}, "'dynesty'"),
        (Dynesty, {"n_live": 10**400}, "at most 9223372036854775807"),
        (Dynesty, {"n_live": 10**5000}, "an integer of 16610 bits"),
        (Dynesty, {"dlogz": 10**400}, "positive finite"),
        (Dynesty, {"dlogz": 1j}, "positive finite"),
        (Dynesty, {"bound": np.array(["multi", "none"])}, "must be one of"),
        (Dynesty, {"proposal": ["rwalk"]}, "must be one of"),
        (Dynesty, {"n_live": np.timedelta64(100, "s")}, "integer"),
        (Emcee, {"n_walkers": 33}, "even"),
        (Emcee, {"n_walkers": 2}, "at least 4"),
        (Emcee, {"n_steps": 0}, "at least 1"),
        (Emcee, {"moves": "strech"}, "'stretch'"),
        (Emcee, {"tau_multiple": -1}, "positive"),
        (Emcee, {"burn": "none"}, "'auto'"),
        (Emcee, {"burn": -1}, "at least 0"),
        (Emcee, {"thin": 0}, "at least 1"),
        (Emcee, {"n_steps": 10, "burn": 10}, "less than n_steps"),
        (Emcee, {"start": "priors"}, "'prior'"),
        (Emcee, {"n_walkers": 4, "start": np.zeros((3, 2))}, r"\(4, n\)"),
        (Emcee, {"n_walkers": 4, "start": np.full((4, 2), np.nan)}, "finite"),
        (Emcee, {"engine": "compild"}, "'compiled'"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(made: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**options)


@pytest.mark.parametrize(
    "settings",
    [
        Dynesty(),
        Dynesty(n_live=50, dynamic=True, proposal="rslice", slices=4),
        Emcee(),
        Emcee(n_walkers=4, start=np.arange(8.0).reshape(4, 2)),
    ],
)
def test_a_description_is_json_and_makes_the_same_settings(settings: Dynesty | Emcee) -> None:
    described = json.loads(json.dumps(settings.describe()))
    assert settings_from(described).describe() == described


def test_an_unknown_kind_or_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'dynesty'"):
        settings_from({"kind": "dynasty"})
    with pytest.raises(ConfigError, match="did you mean 'n_live'"):
        settings_from({"kind": "dynesty", "nlive": 100})
    with pytest.raises(ConfigError, match=r"sampler kind must be one of dynesty, emcee, got \['dynesty'\]"):
        settings_from({"kind": ["dynesty"]})


def test_the_default_walk_is_long_and_grows_with_the_dimension() -> None:
    assert [Dynesty().walks_for(n) for n in (2, 80, 90)] == [100, 100, 110]
    assert Dynesty(walks=30).walks_for(90) == 30


def test_start_points_are_copied_and_frozen() -> None:
    points = np.arange(8.0).reshape(4, 2)
    settings = Emcee(n_walkers=4, start=points)
    points[0, 0] = 99.0
    assert isinstance(settings.start, np.ndarray)
    assert settings.start[0, 0] == 0.0
    assert not settings.start.flags.writeable
