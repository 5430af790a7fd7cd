"""Pictures: what they show, what they refuse, and that pyplot stays untouched."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from sciinf.core.errors import ConfigError
from sciinf.core.priors import Fixed
from sciinf.core.problem import Problem
from sciinf.engines import cmb
from sciinf.engines.cmb import plots
from sciinf.engines.cmb.data import PlanckFiles
from sciinf.engines.cmb.presets import planck2018
from sciinf.results.posterior import Posterior
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Emcee

THETA = np.array([0.02237, 0.12, 1.04092, 0.0544, 3.044, 0.9649, 1.0005])
WIDTH = np.array([1.5e-4, 1.2e-3, 3e-4, 7e-3, 1.4e-2, 4e-3, 2.5e-3])


@pytest.fixture(scope="module")
def engine(lookalike: PlanckFiles) -> cmb.Hybrid:
    return planck2018(("plik_lite", "low_tt_bins", "low_ee", "lensing"), data=lookalike)


@pytest.fixture(scope="module")
def posterior(engine: cmb.Hybrid) -> Posterior:
    samples = THETA + WIDTH * np.random.default_rng(1).normal(size=(200, 7))
    log_likelihood = engine.log_likelihood_many(samples)
    return Posterior(samples, np.zeros(200), log_likelihood, np.zeros(200), engine.parameters)


def test_every_picture_is_drawn_and_named(engine: cmb.Hybrid, posterior: Posterior) -> None:
    figures = engine.figures(posterior)
    assert list(figures) == ["chi2_per_component", "spectra", "residuals", "low_multipoles", "lensing"]
    for name, figure in figures.items():
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        assert len(stream.getvalue()) > 5000, name
        assert figure.get_label(), name
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_residuals_hold_every_bin_and_their_chi2(engine: cmb.Hybrid) -> None:
    figure = plots.residuals(engine, THETA)
    counts = [axis.containers[0].lines[0].get_xdata().size for axis in figure.axes]
    assert counts == [215, 199, 199]
    part = engine.component("plik_lite")
    tt_only = type(part)(part.data, ("TT",))  # type: ignore[attr-defined, call-arg]
    expected = tt_only.chi2(engine.spectra(THETA), {"A_planck": THETA[6]})
    assert f"{expected:.1f} for 215 bins" in figure.axes[0].texts[0].get_text()


def test_bars_tell_each_component_s_chi2(engine: cmb.Hybrid) -> None:
    axis = plots.chi2_bars(engine, THETA).axes[0]
    widths = [bar.get_width() for bar in axis.patches]
    assert widths == pytest.approx(list(engine.breakdown(THETA).values()))
    assert [label.get_text() for label in axis.get_yticklabels()] == list(engine.names)


def test_a_posterior_s_spectra_bracket_their_median(engine: cmb.Hybrid, posterior: Posterior) -> None:
    figure = plots.spectra_posterior(engine, posterior, n=50)
    assert len(figure.axes) == 3
    assert "50 posterior draws" in figure.get_label()
    curve = figure.axes[0].lines[-1].get_ydata()
    assert curve[198] == pytest.approx(engine.spectra(THETA)["TT"][200] / THETA[6] ** 2, rel=0.02)


def test_a_fixed_parameter_is_filled_in(lookalike: PlanckFiles) -> None:
    engine = planck2018(("low_ee",), data=lookalike)
    priors = engine.default_priors().replace(**{name: Fixed(THETA[i]) for i, name in enumerate(engine.parameters) if name != "tau"})
    posterior = sample(Problem(engine, priors), Emcee(n_walkers=8, n_steps=60), seed=1, progress=False)
    assert posterior.names == ("tau",)
    assert list(engine.figures(posterior)) == ["chi2_per_component", "low_multipoles"]


def test_pictures_of_components_that_are_absent(lookalike: PlanckFiles, posterior: Posterior) -> None:
    engine = planck2018(("low_ee",), data=lookalike)
    for draw in (plots.residuals, plots.lensing):
        with pytest.raises(ConfigError, match=r"needs a \w+ component; the engine has low_ee"):
            draw(engine, THETA)
    only = planck2018(("lensing",), data=lookalike)
    with pytest.raises(ConfigError, match="needs low_tt_bins or low_ee; the engine has lensing"):
        plots.low_l(only, THETA)
    assert list(plots.figures(engine, posterior)) == ["chi2_per_component", "low_multipoles"]
    assert len(plots.low_l(engine, THETA).axes) == 1
