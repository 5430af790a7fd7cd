"""Pictures: what they show, odd inputs, and that pyplot's state stays untouched."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from sciinf.core.errors import ConfigError, DataError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Fixed, Uniform
from sciinf.core.problem import Problem
from sciinf.results import drawing, plots
from sciinf.results.posterior import Posterior


def rendered(figure: Figure) -> bytes:
    """The picture as PNG; drawing it must not warn."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=50)
    return stream.getvalue()


def of_samples(samples: np.ndarray, **changes: Any) -> Posterior:
    n = len(samples)
    names = tuple(f"p_{i}" for i in range(samples.shape[1]))
    fields: dict[str, Any] = {"log_weights": np.zeros(n), "log_likelihood": np.zeros(n), "log_prior": np.zeros(n), "names": names}
    return Posterior(samples, **(fields | changes))


@pytest.mark.parametrize("draw", [plots.corner, plots.trace, plots.run_plot])
@pytest.mark.parametrize("kind", ["chains", "nested", "dynamic", "hole"])
def test_every_picture_of_every_kind(draw: Callable[[Posterior], Figure], kind: str, request: pytest.FixtureRequest) -> None:
    figure = draw(request.getfixturevalue(kind))
    assert isinstance(figure, Figure)
    assert rendered(figure).startswith(b"\x89PNG")


def test_corner_has_labels_units_and_titles(chains: Posterior) -> None:
    figure = plots.corner(chains, names=["alpha", "beta", "total"])
    assert len(figure.axes) == 6
    labels = {ax.get_xlabel() for ax in figure.axes}
    assert {r"$\alpha$", r"$\beta$ [Hz]", r"$\alpha+\beta$"} <= labels
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 3
    assert titles[1].startswith("$\\beta$\n$")
    assert r"\pm" in titles[1]
    assert not any(ax.get_title() for ax in plots.corner(chains, titles=False).axes)


def test_corner_marks_truths_even_outside(chains: Posterior) -> None:
    figure = plots.corner(chains, truths={"alpha": 30.0})
    low, high = figure.axes[0].get_xlim()
    assert low < 30.0 < high
    with pytest.raises(ConfigError, match="gamma"):
        plots.corner(chains, truths={"gamma": 0.0})


def test_contours_hold_the_stated_mass() -> None:
    """40,000 correlated normal points: the fraction inside each level is the stated one within 1.5 % (smoothing widens a little)."""
    rng = np.random.default_rng(1)
    points = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], size=40_000)
    posterior = of_samples(points)
    axes = (drawing.axis_of(posterior, "p_0"), drawing.axis_of(posterior, "p_1"))
    x, y, density = drawing.density_2d(posterior.samples, posterior.weights, axes, len(points))
    i, j = (np.clip(np.searchsorted(c, points[:, k]), 0, len(c) - 1) for k, c in enumerate((x, y)))
    for level, mass in zip(drawing.mass_levels(density, drawing.MASSES), sorted(drawing.MASSES, reverse=True), strict=True):
        assert abs(np.mean(density[i, j] > level) - mass) < 0.015


def test_density_reaches_a_hard_end_at_full_height() -> None:
    """Uniform points on (0, 1) with the ends known: flat within 5 errors of a bin of the kernel's width; without them it falls to half."""
    x = np.random.default_rng(2).uniform(size=(20_000, 1))
    heights = {}
    for supports in ({}, {"p_0": [0.0, 1.0]}):
        posterior = of_samples(x, meta={"supports": supports})
        centres, height = drawing.density_1d(x[:, 0], posterior.weights, drawing.axis_of(posterior, "p_0"), 20_000)
        middle = np.mean(height[(centres > 0.4) & (centres < 0.6)])
        heights[bool(supports)] = height[np.searchsorted(centres, 0.0)] / middle
        assert not supports or np.all(height[(centres < 0.0) | (centres > 1.0)] == 0.0)
    assert heights[True] == pytest.approx(1.0, abs=0.15)
    assert heights[False] < 0.65


def test_corner_of_degenerate_inputs() -> None:
    rng = np.random.default_rng(3)
    one = of_samples(np.ones((1, 2)))
    same = of_samples(np.column_stack([rng.normal(size=50), np.full(50, 3.0), np.zeros(50)]))
    line = of_samples(np.outer(rng.normal(size=200), [1.0, -2.0]))
    few = of_samples(rng.normal(size=(2, 3)))
    heavy = of_samples(rng.normal(size=(100, 2)), log_weights=np.append(np.zeros(1), np.full(99, -800.0)))
    tiny = of_samples(1e-30 * rng.normal(size=(100, 2)))
    huge = of_samples(1e30 * rng.normal(size=(100, 2)))
    for posterior in (one, same, line, few, heavy, tiny, huge):
        rendered(plots.corner(posterior))
    for posterior in (one, same, heavy):
        rendered(plots.trace(posterior))
        rendered(plots.run_plot(posterior))


def test_labels_that_matplotlib_cannot_set_fall_back_to_the_name() -> None:
    posterior = of_samples(np.random.default_rng(4).normal(size=(50, 2)), latex=(r"\frac{1", r"\undefinedcommand"), units=("$", ""))
    figure = plots.corner(posterior)
    assert figure.axes[1].get_xlabel() == r"p_0 [\$]"
    rendered(figure)


def test_names_are_checked(chains: Posterior) -> None:
    for draw in (plots.corner, plots.trace):
        with pytest.raises(ConfigError, match="did you mean 'alpha'"):
            draw(chains, names=["alfa"])
        with pytest.raises(ConfigError, match="sequence"):
            draw(chains, names="alpha")
        with pytest.raises(DataError, match="'total' is not finite"):
            draw(dataclasses.replace(chains, derived=np.full((len(chains), 1), np.nan)), names=["total"])


def test_run_plot_of_chains_shows_the_autocorrelation_time(chains: Posterior) -> None:
    """The curves end at the times of the whole chain, below N / 50 = 10."""
    axes = plots.run_plot(chains).axes
    curves = axes[1].get_lines()
    whole = [chains.summary()[name].autocorrelation_time for name in ("alpha", "beta")]
    assert [line.get_ydata()[-1] for line in curves[:2]] == pytest.approx(whole)
    assert curves[2].get_ydata()[-1] == pytest.approx(10.0)


def test_run_plot_of_a_nested_run_ends_at_the_evidence(nested: Posterior) -> None:
    axes = plots.run_plot(nested).axes
    assert axes[3].get_lines()[0].get_ydata()[-1] == pytest.approx(1.0, abs=1e-9)
    assert axes[0].get_lines()[0].get_ydata()[0] == 60
    assert f"{nested.log_evidence:.3f}" in axes[3].texts[0].get_text()


def test_overlay(chains: Posterior, nested: Posterior) -> None:
    other = dataclasses.replace(chains, samples=chains.samples + 1.0)
    figure = plots.corner_overlay({"one": chains, "cost: $5": other}, names=["alpha", "beta"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", r"cost: \$5"]
    assert len(figure.axes[0].get_lines()) == 2
    rendered(figure)
    assert len(plots.corner_overlay({"one": chains, "shared": dataclasses.replace(other, names=("beta", "gamma"))}).axes) == 1
    with pytest.raises(ConfigError, match="share no sampled parameter"):
        plots.corner_overlay({"a": chains, "b": nested})
    with pytest.raises(ConfigError, match="at least one"):
        plots.corner_overlay({})


class Line(FunctionEngine):
    """A straight line that predicts."""

    def predict(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        return {"y": theta[0] + theta[1] * np.arange(5.0), "sum": np.array(theta.sum())}


def line_problem() -> tuple[Problem, Posterior]:
    engine = Line(lambda theta: 0.0, ["a", "b"], version="1")
    priors = PriorSet([Parameter("a", Uniform(-1, 1)), Parameter("b", Fixed(2.0))])
    x = np.random.default_rng(5).uniform(-1, 1, size=(400, 1))
    return Problem(engine, priors), Posterior(x, np.zeros(400), np.zeros(400), np.zeros(400), ("a",))


def test_posterior_predictive() -> None:
    problem, posterior = line_problem()
    rng = np.random.default_rng(6)
    figure = plots.posterior_predictive(
        posterior, problem, rng, n_draws=400, abscissae={"y": np.linspace(0, 1, 5)}, observed={"y": np.zeros(5)}
    )
    rendered(figure)
    line = figure.axes[0].get_lines()[0]
    assert np.array_equal(line.get_xdata(), np.linspace(0, 1, 5))
    # 400 systematic draws of 400 points of equal weight are these points; the fixed slope is 2
    offset = line.get_ydata() - 2.0 * np.arange(5)
    assert np.ptp(offset) < 1e-12
    assert offset[0] == pytest.approx(np.median(posterior.samples), abs=1e-12)
    for given, message in (({"z": np.zeros(5)}, "did you mean|allowed"), ({"y": np.zeros(4)}, "5 points, got 4")):
        with pytest.raises((ConfigError, DataError), match=message):
            plots.posterior_predictive(posterior, problem, rng, observed=given)


def test_posterior_predictive_needs_a_prediction_and_the_same_parameters(nested: Posterior) -> None:
    problem, posterior = line_problem()
    rng = np.random.default_rng(7)
    silent = Problem(FunctionEngine(lambda theta: 0.0, ["a", "b"], version="1"), problem.priors)
    with pytest.raises(ConfigError, match="no predict"):
        plots.posterior_predictive(posterior, silent, rng)
    with pytest.raises(ConfigError, match=r"\['x', 'y', 'z'\]"):
        plots.posterior_predictive(nested, problem, rng)


def test_pyplot_and_the_root_logger_are_left_alone() -> None:
    """In a fresh process: no pyplot, no handlers, no backend chosen."""
    code = (
        "import sys, logging, numpy as np\n"
        "from sciinf.results.posterior import Posterior\n"
        "from sciinf.results import plots\n"
        "z = np.zeros(40)\n"
        "p = Posterior(np.random.default_rng(1).normal(size=(40, 2)), z, z, z, ('a', 'b'))\n"
        "[f(p) for f in (plots.corner, plots.trace, plots.run_plot)]\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert not logging.getLogger().handlers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (0.0223667, 0.000148, r"0.02237 \pm 0.00015"),
        (67.3, 0.61, r"67.30 \pm 0.61"),
        (1234.0, 56.0, r"1234 \pm 56"),
        (5.0, 0.0, "5"),
        (3e12, 2e11, r"(3.00 \pm 0.20) \times 10^{12}"),
        (-1e-20, 3e-20, r"(-1.0 \pm 3.0) \times 10^{-20}"),
        (1.0, np.nan, "1"),
        (3.0, 9e-16, "3"),
    ],
)
def test_value_and_error(mean: float, std: float, text: str) -> None:
    assert drawing.value_and_error(mean, std) == text
