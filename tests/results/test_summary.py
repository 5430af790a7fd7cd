"""The summary table: figures, text, JSON, and the edge report."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, MissingDependencyError
from sciinf.results import diagnostics
from sciinf.results.posterior import Posterior
from sciinf.results.summary import edge_report, summarise


def test_figures_of_chains(chains: Posterior, arviz: Any) -> None:
    table = chains.summary()
    draws = diagnostics.chains_of(chains, chains.samples[:, 0])
    row = table["alpha"]
    assert (row.mean, row.std) == pytest.approx((draws.mean(), draws.std(ddof=1)))
    assert (row.median, row.low, row.high) == pytest.approx(tuple(np.quantile(draws, [0.5, 0.1586552539, 0.8413447461])), rel=1e-8)
    assert (row.ess_bulk, row.ess_tail) == pytest.approx((float(arviz.ess(draws)), float(arviz.ess(draws, method="tail"))))
    assert row.autocorrelation_time == pytest.approx(diagnostics.autocorrelation_time(draws))
    assert row.ess == pytest.approx(8000 / row.autocorrelation_time)
    assert row.mcse == pytest.approx(row.std / math.sqrt(row.ess), rel=1e-3)
    assert row.best == chains.samples[chains.best, 0]
    assert table["total"].derived
    assert table.autocorrelation_time == max(table["alpha"].autocorrelation_time, table["beta"].autocorrelation_time)
    assert table.effective == pytest.approx(chains.ess)
    assert table.log_evidence is None


def test_figures_of_a_nested_run(nested: Posterior) -> None:
    table = nested.summary()
    row = table["y"]
    assert (row.mean, row.std) == pytest.approx((nested.mean()[1], nested.std()[1]))
    assert (table.log_evidence, table.log_evidence_error) == (nested.log_evidence, nested.log_evidence_error)
    assert row.ess == pytest.approx(diagnostics.ess(nested.log_weights))
    assert math.isnan(row.autocorrelation_time)
    assert abs(row.mean) < 5.0 * row.mcse  # the truth is 0


def test_mcse_of_weighted_points_is_the_scatter_of_means() -> None:
    """300 sets of 400 points from N(0, 2) weighted to N(0, 1): rms pull of the mean is 1 within 4 / sqrt(600)."""
    rng, pulls = np.random.default_rng(4), []
    for _ in range(300):
        x = 2.0 * rng.normal(size=400)
        posterior = Posterior(x[:, None], -0.375 * x**2, np.zeros(400), np.zeros(400), ("x",))
        row = posterior.summary()["x"]
        pulls.append(row.mean / row.mcse)
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1.0) < 4.0 / np.sqrt(600)


def test_text_is_aligned_and_complete(chains: Posterior, nested: Posterior) -> None:
    text = str(chains.summary())
    lines = text.splitlines()
    assert lines[0].startswith("8000 samples, ")
    assert lines[0].endswith("effective; status ok")
    assert "longest autocorrelation time" in lines[1]
    table = lines[3:7]
    assert [line.split()[0] for line in table[1:]] == ["alpha", "beta", "*"]
    assert "beta [Hz]" in text
    assert lines[-1] == "* derived"
    assert len({len(line) for line in table}) == 1
    assert f"log evidence {nested.log_evidence:.4f} +- {nested.log_evidence_error:.4f}" in str(nested.summary())


@pytest.mark.parametrize(("centre", "std", "shown"), [(0.0223651, 0.0001482, "0.022365"), (67.3, 0.6, "67.300"), (3.0e9, 2.0e8, "3e+09")])
def test_digits_follow_the_error(centre: float, std: float, shown: str) -> None:
    x = centre + std * np.array([-1.0, 0.0, 1.0])
    posterior = Posterior(x[:, None], np.zeros(3), np.zeros(3), np.zeros(3), ("x",))
    assert shown in str(posterior.summary())


def test_json_holds_no_nan_or_infinity(nested: Posterior) -> None:
    odd = dataclasses.replace(
        nested,
        derived=np.column_stack([np.full(len(nested), np.nan), np.full(len(nested), np.inf)]),
        derived_names=("u", "v"),
        log_evidence=-np.inf,
    )
    text = json.dumps(odd.summary().to_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["log_evidence"] is None
    assert back["rows"][3]["mean"] is None
    assert back["rows"][0]["mean"] == nested.summary()["x"].mean
    assert back["edges"] == []
    assert "-" in str(odd.summary()).splitlines()[-3]


def test_one_sample_and_a_constant() -> None:
    one = Posterior(np.ones((1, 1)), np.zeros(1), np.zeros(1), np.zeros(1), ("x",))
    assert math.isnan(one.summary()["x"].std)
    assert "x" in str(one.summary())
    same = Posterior(np.ones((5, 1)), np.zeros(5), np.zeros(5), np.zeros(5), ("x",), chain=np.zeros(5, int), draw=np.arange(5))
    assert same.summary()["x"].std == 0.0
    assert same.summary()["x"].ess == pytest.approx(5 / 9)  # it never moved: less than one draw
    json.dumps(same.summary().to_dict(), allow_nan=False)


def test_frame(chains: Posterior, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = chains.summary().to_frame()
    assert list(frame.index) == ["alpha", "beta", "total"]
    assert frame.loc["beta", "mean"] == pytest.approx(chains.mean()[1], rel=1e-12)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pandas"):
        chains.summary().to_frame()


def test_unknown_row(chains: Posterior) -> None:
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        chains.summary()["alfa"]


def test_notes_of_the_engines_check() -> None:
    x = np.array([[0.0], [1.0], [2.0]])
    said = {"scan": {"text": "best at 3", "good": True}, "width": {"text": "T width = 0.2", "good": False}}
    posterior = Posterior(x, np.zeros(3), np.zeros(3), np.zeros(3), ("x",), meta={"check": said})
    table = posterior.summary()
    assert str(table).splitlines()[-2:] == ["best at 3", "warning: T width = 0.2"]
    assert json.loads(json.dumps(table.to_dict()))["notes"][1] == {"text": "T width = 0.2", "good": False}
    for other in ("mine", {"scan": "mine"}, {"scan": {"text": "mine"}}):  # meta is the user's too
        assert dataclasses.replace(posterior, meta={"check": other}).summary().notes == ()


def test_edges() -> None:
    """Uniform samples on (0, 1): 2 % within 2 % of each edge; a wide box, or a mass of 1 % and less, is silent."""
    x = (np.arange(1000) + 0.5) / 1000.0
    posterior = Posterior(np.column_stack([x, x]), np.zeros(1000), np.zeros(1000), np.zeros(1000), ("a", "b"))
    found = edge_report(posterior, {"a": (0.0, 1.0), "b": (-9.0, 9.0), "fixed": (0.0, 1.0)})
    assert [(edge.name, edge.side) for edge in found] == [("a", "lower"), ("a", "upper")]
    assert [edge.mass for edge in found] == pytest.approx([0.02, 0.02])
    assert edge_report(posterior, {"a": (-np.inf, 1.0)}) == ()
    assert edge_report(posterior, None) == ()
    assert edge_report(posterior, {"a": (-0.0101, 1.0101)}) == ()  # mass 0.0103 + margin: 1.03 % wide, 1.0 % inside
    table = summarise(posterior, domain={"a": (0.0, 1.0)})
    assert len(table.edges) == 2
    assert "a: 2.0 % of the mass lies within 2 % of the box width from the lower edge 0" in str(table)
    assert json.loads(json.dumps(table.to_dict()))["edges"][1]["side"] == "upper"


def test_edges_count_weights_not_points() -> None:
    posterior = Posterior(np.array([[0.0], [0.5], [1.0]]), np.log([0.005, 0.99, 0.005]), np.zeros(3), np.zeros(3), ("a",))
    assert edge_report(posterior, {"a": (0.0, 1.0)}) == ()
    heavier = dataclasses.replace(posterior, log_weights=np.log([0.02, 0.971, 0.009]))
    assert [edge.side for edge in edge_report(heavier, {"a": (0.0, 1.0)})] == ["lower"]
