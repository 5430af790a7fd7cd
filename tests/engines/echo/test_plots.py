"""Pictures: what they show, that they can be drawn, and that nothing is left in pyplot."""

from __future__ import annotations

import builtins
import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, LikelihoodError, MissingDependencyError
from sciinf.engines.echo import plots
from sciinf.engines.echo.data import Psd
from sciinf.engines.echo.model import EchoSearch
from sciinf.engines.echo.priors import Remnant
from sciinf.engines.echo.simulate import gaussian_noise
from sciinf.results.posterior import Posterior

DENSITY = 2.0 / 1024.0
THETA = np.array([5.83, 0.2, 0.5])


@pytest.fixture(scope="module")
def engine() -> EchoSearch:
    quiet = EchoSearch(noise("H1"), band=(50.0, 250.0), amplitude="marginalised")
    return quiet.with_data(quiet.simulate(THETA, np.random.default_rng(2)))


def noise(name: str, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(gaussian_noise(Psd.white(DENSITY), 4.0, 1.0 / 1024.0, np.random.default_rng(1), name), **changes)


def drawn(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    assert figure.get_label()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    return stream.getvalue()


@pytest.mark.parametrize("phase", ["mode", "bin", "whittle"])
def test_spectrum_and_modes_are_drawn_for_every_phase(engine: EchoSearch, phase: str) -> None:
    from dataclasses import replace

    other = replace(engine, phase=phase)
    figure = plots.spectrum_with_teeth(other, THETA)
    assert len(figure.axes) == 2
    assert drawn(figure)
    assert drawn(plots.mode_statistics(other, THETA))


def test_a_network_has_a_row_for_each_detector_and_grey_where_it_is_masked() -> None:
    mask = np.ones(2049, dtype=bool)
    mask[236:245] = False
    engine = EchoSearch((noise("H1", mask=mask), noise("L1", delay=0.007)), remnant=Remnant(0.67, 67.65), amplitude="marginalised")
    theta = np.array([5.3, 0.4, 0.9, 60.0, 200.0, 1.0])
    figure = plots.spectrum_with_teeth(engine, theta)
    assert [axis.texts[0].get_text() for axis in figure.axes[:2]] == ["H1", "L1"]
    assert len(figure.axes[0].patches) == 1
    assert len(figure.axes[1].patches) == 0
    assert drawn(figure)
    assert drawn(plots.mode_statistics(engine, theta))


def test_dimensionless_searches_have_their_unit() -> None:
    from sciinf.engines.echo.simulate import benchmark

    engine = EchoSearch(benchmark("constant_wall", 20, 12.0, np.random.default_rng(1)), remnant=Remnant(0.69), amplitude="marginalised")
    figure = plots.spectrum_with_teeth(engine, np.array([0.00114927, 0.83, 1e-4, 0.04, 0.08]))
    assert figure.axes[0].get_xlabel() == "frequency [1/$M$]"
    assert drawn(figure)


def test_a_point_outside_the_domain_has_no_picture(engine: EchoSearch) -> None:
    with pytest.raises(LikelihoodError, match="spacing=-1"):
        plots.spectrum_with_teeth(engine, [-1.0, 0.2, 0.5])


def test_the_engines_figures_are_those_of_the_best_sample(engine: EchoSearch) -> None:
    others = THETA * np.array([[1.0, 1.0, 1.0], [1.01, 1.0, 1.0]])
    posterior = Posterior(
        samples=others[:, [0, 2]],
        log_weights=np.zeros(2),
        log_likelihood=engine.log_likelihood_many(others),
        log_prior=np.zeros(2),
        names=("spacing", "width"),
        meta={"fixed": {"offset": 0.2}},
    )
    found = engine.figures(posterior)
    assert sorted(found) == ["modes", "whitened_spectrum"]
    share = float(found["modes"].get_label().split("ln L = ")[1].split(" ")[0])
    table = engine.modes(others[posterior.best])
    assert share == pytest.approx(float(np.sum(table.log_likelihood)), abs=0.01)


@dataclass
class Scan:
    spacing: np.ndarray
    offset: np.ndarray
    grid: np.ndarray
    place: tuple[float, float] = (7.0, 0.2)
    log_likelihood: float = 60.0
    unit: str = "Hz"


def test_a_scans_peak_is_kept_however_fine_the_scan_is() -> None:
    spacing, offset = np.linspace(1.0, 10.0, 5001), np.linspace(0.0, 1.0, 31)
    values = np.zeros((5001, 31))
    values[3333, 7] = 50.0
    values[0, 0] = -np.inf
    figure = plots.scan_map(Scan(spacing, offset, values), (5.0, 0.5))
    mesh = figure.axes[1].collections[0].get_array()
    assert np.max(mesh) == 50.0
    assert np.size(mesh) <= 300 * 31
    assert [line.get_label() for line in figure.axes[1].lines] == ["best of the scan", "best sample"]
    assert [line.get_xydata().tolist() for line in figure.axes[1].lines] == [[[7.0, 0.2]], [[5.0, 0.5]]]
    assert figure.axes[1].get_xlabel() == "spacing [Hz]"
    assert np.sum((figure.axes[1].get_xticks() >= 1.0) & (figure.axes[1].get_xticks() <= 10.0)) >= 3
    assert drawn(figure)
    with pytest.raises(DataError, match=r"must be \(5001, 31\), spacing by offset, got \(31, 5001\)"):
        plots.scan_map(Scan(spacing, offset, values.T))


def test_the_scans_map_stands_in_the_report_once_a_run_is_held_against_it(engine: EchoSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciinf.engines.echo import scan as scan_of

    made = scan_of(engine, steps=4.0)
    engine.__dict__["default_scan"] = made
    samples = np.array([made.theta, made.theta])
    posterior = Posterior(samples, np.zeros(2), np.zeros(2), np.zeros(2), engine.parameters)
    assert "scan" not in engine.figures(posterior)
    checked = engine.check(posterior)
    figure = engine.figures(checked)["scan"]
    assert [line.get_xydata()[0].tolist() for line in figure.axes[1].lines] == [pytest.approx(made.place)] * 2
    assert "climbed" in figure.get_label()
    assert drawn(figure)

    def refused(self: EchoSearch) -> Any:
        raise ConfigError("no remnant")

    del engine.__dict__["default_scan"]
    monkeypatch.setattr(EchoSearch, "default_priors", refused)
    assert set(engine.figures(checked)) == {"whitened_spectrum", "modes"}


@pytest.mark.parametrize("values", [[-3.0], [-3.0, -2.5, -1.0], np.random.default_rng(1).normal(-3.0, 0.5, 110)])
def test_a_background_shows_the_event_inside_or_beyond(values: Any) -> None:
    for on in (-10.0, -3.0, 12.0):
        figure = plots.background_histogram(on, values, 0.1, (0.01, 0.3))
        low, high = figure.axes[0].get_xlim()
        assert low < on < high
        assert "p = 0.1 (0.01 to 0.3)" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()][-1]
        assert drawn(figure)
    with pytest.raises(DataError, match="must be finite"):
        plots.background_histogram(0.0, [np.nan])
    with pytest.raises(DataError, match="at least one value"):
        plots.background_histogram(0.0, [])


def test_evidence_against_duration() -> None:
    rng = np.random.default_rng(1)
    time = [1.0, 4.0, 12.0]
    signal = {"mode": rng.normal(40.0, 5.0, (3, 20)), "bin": rng.normal(20.0, 5.0, (3, 20))}
    figure = plots.evidence_against_duration(time, signal, {"mode": rng.normal(-5.0, 0.5, (3, 20))})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["mode, largest in noise", "mode", "bin"]
    assert drawn(figure)
    with pytest.raises(DataError, match="ln B of mode must have shape"):
        plots.evidence_against_duration(time, {"mode": np.zeros((2, 5))})


def test_without_matplotlib_the_error_says_what_to_install(engine: EchoSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **options)

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        plots.background_histogram(0.0, [1.0])
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        plots.spectrum_with_teeth(engine, THETA)
