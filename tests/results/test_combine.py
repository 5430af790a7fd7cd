"""Merging against dynesty's merge, thinning and burning by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import dynesty.utils
import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.results import combine
from sciinf.results.posterior import Posterior


def same_as_dynesty(merged: Posterior, theirs: Any) -> None:
    assert merged.log_evidence == pytest.approx(theirs.logz[-1], abs=1e-9)
    assert merged.log_evidence_error == pytest.approx(theirs.logzerr[-1], rel=1e-9)
    assert merged.information == pytest.approx(theirs.information[-1], abs=1e-9)
    assert np.array_equal(merged.samples, theirs.samples)
    assert np.allclose(merged.log_volume, theirs.logvol, rtol=0, atol=1e-9)
    assert np.allclose(merged.log_weights, np.asarray(theirs.logwt) - theirs.logz[-1], rtol=0, atol=1e-9)


def test_merge_is_dynesty_s(nested_runs: list[Posterior], static_runs: list[Any], dynamic: Posterior, dynamic_run: Any) -> None:
    same_as_dynesty(combine.merge_nested(nested_runs), dynesty.utils.merge_runs(static_runs, print_progress=False))
    same_as_dynesty(combine.merge_nested(nested_runs[:2]), dynesty.utils.merge_runs(static_runs[:2], print_progress=False))
    pair = dynesty.utils.merge_runs([dynamic_run, static_runs[0]], print_progress=False)
    same_as_dynesty(combine.merge_nested([dynamic, nested_runs[0]]), pair)


def stepped(values: Any) -> np.ndarray:
    """ln L in steps of 1 below -25, where a step holds a few points of a run and not more than live."""
    values = np.asarray(values)
    return np.where(values < -25.0, np.floor(values), values)


def test_merge_of_plateaus_is_dynesty_s(static_runs: list[Any], nested_runs: list[Posterior]) -> None:
    """Points of equal likelihood, within runs and across."""
    theirs = [dynesty.utils.Results({**results.asdict(), "logl": stepped(results.logl)}) for results in static_runs[:2]]
    ours = [
        dataclasses.replace(item, log_likelihood=stepped(item.log_likelihood), birth_log_likelihood=stepped(item.birth_log_likelihood))
        for item in nested_runs[:2]
    ]
    merged = combine.merge_nested(ours)
    assert np.max(np.unique(merged.log_likelihood, return_counts=True)[1]) > 3
    same_as_dynesty(merged, dynesty.utils.merge_runs(theirs, print_progress=False))


def test_merge_with_likelihood_zero_is_dynesty_s(
    hole: Posterior, hole_run: Any, nested_runs: list[Posterior], static_runs: list[Any]
) -> None:
    merged = combine.merge_nested([hole, nested_runs[0]])
    theirs = dynesty.utils.merge_runs([hole_run, static_runs[0]], print_progress=False)
    assert merged.log_evidence == pytest.approx(theirs.logz[-1], abs=1e-9)
    assert np.allclose(merged.log_volume, theirs.logvol, rtol=0, atol=1e-9)


def test_merge_of_an_impossible_plateau_stays_finite(nested_runs: list[Posterior]) -> None:
    """More equal points than were alive."""
    flat = [
        dataclasses.replace(item, log_likelihood=np.minimum(item.log_likelihood, -5.0), birth_log_likelihood=None)
        for item in nested_runs[:2]
    ]
    flat = [dataclasses.replace(item, birth_log_likelihood=np.full(len(item), -np.inf)) for item in flat]
    assert np.isfinite(combine.merge_nested(flat).log_evidence)


def test_merged_run_is_a_run(nested_runs: list[Posterior]) -> None:
    """More live points, a smaller error, ranks that are uniform, and the truth (-3 ln 20) within 4 sigma."""
    merged = combine.merge_nested(nested_runs)
    assert len(merged) == sum(map(len, nested_runs))
    assert merged.n_live is not None
    assert merged.n_live[0] == 60 + 60 + 90
    assert merged.log_evidence_error < min(item.log_evidence_error for item in nested_runs)
    assert abs(merged.log_evidence + 3.0 * np.log(20.0)) < 4.0 * merged.log_evidence_error
    from sciinf.results.diagnostics import insertion_rank_test

    assert insertion_rank_test(merged).p_value > 1e-4
    again = combine.merge_nested([combine.merge_nested(nested_runs[:2]), nested_runs[2]])
    assert again.log_evidence == pytest.approx(merged.log_evidence, abs=1e-10)
    assert np.array_equal(again.run, merged.run)


def test_merge_keeps_what_belongs_to_a_point(nested_runs: list[Posterior]) -> None:
    tagged = [
        dataclasses.replace(item, derived=item.samples[:, :1] * 2.0, derived_names=("d",), meta={"n": 1, "seed": i}, status=status)
        for i, (item, status) in enumerate(zip(nested_runs, ("ok", "not_converged", "ok"), strict=True))
    ]
    merged = combine.merge_nested(tagged)
    assert np.array_equal(merged.derived[:, 0], 2.0 * merged.samples[:, 0])
    for i, item in enumerate(nested_runs):
        assert np.array_equal(merged.samples[merged.run == i], item.samples)
    assert merged.meta == {"n": 1}
    assert merged.status == "not_converged"


def test_merge_refuses(nested_runs: list[Posterior], chains: Posterior) -> None:
    first = nested_runs[0]
    with pytest.raises(ConfigError, match="at least one"):
        combine.merge_nested([])
    with pytest.raises(DataError, match=r"posterior 1 has names \['x', 'y', 'w'\]"):
        combine.merge_nested([first, dataclasses.replace(first, names=("x", "y", "w"))])
    with pytest.raises(DataError, match="no n_live"):
        combine.merge_nested([chains])
    with pytest.raises(DataError, match="whole prior"):
        combine.merge_nested([dataclasses.replace(first, birth_log_likelihood=np.full(len(first), -1e9))])
    with pytest.raises(DataError, match="order of increasing"):
        combine.merge_nested([dataclasses.replace(first, log_likelihood=first.log_likelihood[::-1])])


def test_thin_and_burn(chains: Posterior) -> None:
    thinned = combine.thin(chains, 7)
    assert len(thinned) == 16 * 72  # steps 0, 7, ..., 497
    assert set(np.unique(thinned.draw)) == set(range(0, 500, 7))
    burnt = combine.burn(chains, 100)
    assert burnt.draw.min() == 100
    assert len(burnt) == 16 * 400
    assert np.array_equal(burnt.samples, chains.samples[chains.draw >= 100])
    assert np.array_equal(burnt.derived[:, 0], burnt.samples.sum(axis=1))
    assert burnt.weights.sum() == pytest.approx(1.0)
    both = combine.thin(burnt, 7)  # counted in kept steps: 100, 107, ...
    assert sorted(set(both.draw.tolist())) == list(range(100, 500, 7))
    assert combine.thin(chains, 1).content_hash() == combine.burn(chains, 0).content_hash() == chains.content_hash()


def test_thinning_beyond_two_tau_leaves_nearly_independent_draws(chains: Posterior) -> None:
    assert combine.thin(chains, 12).summary().autocorrelation_time < 1.5 < chains.summary().autocorrelation_time


@pytest.mark.parametrize(("function", "value"), [(combine.thin, 0), (combine.thin, 1.5), (combine.burn, -1), (combine.burn, 500)])
def test_thin_and_burn_refuse_numbers(chains: Posterior, function: Any, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"step|n_draws"):
        function(chains, value)


@pytest.mark.parametrize("function", [combine.thin, combine.burn])
def test_thin_and_burn_are_for_chains(nested: Posterior, function: Any) -> None:
    with pytest.raises(DataError, match="works on chains"):
        function(nested, 2)
