"""The evidence error of a dynamic run against the bootstrap over threads and the scatter of simulated volumes."""

from __future__ import annotations

import numpy as np
import pytest

from sciinf.calibration import analytic
from sciinf.results.diagnostics import evidence_error_bootstrap
from sciinf.samplers.dead_points import evidence_error
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty


def simulated_scatter(log_likelihood: np.ndarray, n_live: np.ndarray, n: int, seed: int) -> float:
    """Standard deviation of ln Z over ``n`` draws of the volumes that such a run could have had: ln t = -E / n_k."""
    rng = np.random.default_rng(seed)
    log_x = np.cumsum(-rng.exponential(size=(n, len(n_live))) / n_live, axis=1)
    before = np.concatenate([np.zeros((n, 1)), log_x[:, :-1]], axis=1)
    terms = log_likelihood + before + np.log(-np.expm1(log_x - before))
    top = terms.max(axis=1, keepdims=True)
    return float(np.std(top[:, 0] + np.log(np.sum(np.exp(terms - top), axis=1)), ddof=1))


@pytest.mark.parametrize("pattern", ["constant", "rising", "falling"])
def test_error_is_the_scatter_over_possible_volumes(pattern: str) -> None:
    """A Gaussian-like climb; within 5 standard errors of 2,000 draws and the 3 % by which the linear propagation may be off."""
    steps = 1500
    n_live = {"constant": np.full(steps, 100), "rising": np.linspace(40, 400, steps), "falling": np.linspace(300, 50, steps)}[
        pattern
    ].astype(np.int64)
    log_x = -np.cumsum(1.0 / n_live)
    log_likelihood = -0.5 * np.exp(2.0 * (log_x + 6.0) / 3.0)
    log_weights = log_likelihood + log_x - np.log(n_live)
    log_weights -= np.log(np.sum(np.exp(log_weights)))
    scatter = simulated_scatter(log_likelihood, n_live, 2000, 1)
    assert evidence_error(log_weights, n_live) == pytest.approx(scatter, rel=0.03 + 5.0 / np.sqrt(2 * 2000))


def test_a_constant_likelihood_has_no_evidence_error() -> None:
    n_live = np.repeat([100, 37, 250], 3000)
    log_x = -np.cumsum(1.0 / n_live)
    weights = np.exp(log_x) / n_live
    assert evidence_error(np.log(weights / weights.sum()), n_live) < 1e-3


def test_a_dynamic_run_states_the_error_that_its_threads_have() -> None:
    """The bootstrap's own error over 100 draws is 7 %; dynesty's formula would be 0.6 of it."""
    settings = Dynesty(n_live=50, dynamic=True, proposal="unif", bound="single", n_effective=3000)
    posterior = sample(analytic.gauss3().problem, settings, seed=1, progress=False)
    bootstrap = evidence_error_bootstrap(posterior, np.random.default_rng(1), n_bootstrap=200).error
    assert posterior.log_evidence_error == pytest.approx(bootstrap, rel=0.25)
