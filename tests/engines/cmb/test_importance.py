"""Importance correction: no shift between equal theories, the right shift between known ones, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.importance import correct, engine_points
from sciinf.engines.cmb.model import Hybrid
from sciinf.results.posterior import Posterior

NAMES = ("amplitude", "tilt", "A_planck")


@pytest.fixture(scope="module")
def hybrid(components: dict[str, Component], toy_theory: type[Any]) -> Hybrid:
    return Hybrid(toy_theory(), (components["low_tt_bins"], components["lensing"]))


@pytest.fixture(scope="module")
def posterior(hybrid: Hybrid) -> Posterior:
    """Weighted draws of the hybrid's posterior: a normal proposal with exact weights."""
    rng = np.random.default_rng(1)
    mean, std = np.array([1.0, 0.0, 1.0]), np.array([0.06, 0.03, 0.0025])
    samples = mean + std * rng.normal(size=(4000, 3))
    log_likelihood, log_prior = hybrid.log_likelihood_many(samples), np.asarray(hybrid.default_priors().log_prior(samples))
    proposal = -0.5 * np.sum(((samples - mean) / std) ** 2, axis=1)
    return Posterior(samples, log_likelihood + log_prior - proposal, log_likelihood, log_prior, NAMES)


@pytest.fixture(scope="module")
def shifted(toy_theory: type[Any]) -> Any:
    """The same theory with every amplitude 1 % higher: the posterior of the amplitude moves down by 1 %."""

    class Shifted(toy_theory):  # type: ignore[misc]
        def spectra_many(self, thetas: np.ndarray) -> Any:
            return super().spectra_many(thetas * np.array([1.01, 1.0]))

    return Shifted()


def test_equal_theories_change_nothing(hybrid: Hybrid, posterior: Posterior, toy_theory: type[Any]) -> None:
    found = correct(posterior, hybrid, toy_theory(), n=100, seed=1)
    assert np.allclose(found.log_ratio, 0.0, atol=1e-9)
    assert found.effective_fraction == pytest.approx(1.0)
    assert all(abs(shift) < 1e-6 for shift in found.shifts.values())
    assert "effective fraction 1.000" in str(found)


def test_a_known_shift_is_found(hybrid: Hybrid, posterior: Posterior, shifted: Any) -> None:
    """1 % of the amplitude in units of its width, within 5 standard errors of 2,000 points."""
    found = correct(posterior, hybrid, shifted, n=2000, seed=2)
    expected = -0.01 / posterior.std()[0]
    error = 1.0 / np.sqrt(2000) + 0.05 * abs(expected)
    assert abs(found.shifts["amplitude"] - expected) < 5 * error * abs(expected) + 0.02
    assert found.shifts["amplitude"] < -0.05
    assert 0.5 < found.effective_fraction < 0.999
    assert found.k_hat < 0.7
    exact = Hybrid(shifted, hybrid.components)
    assert np.allclose(found.posterior.log_likelihood, exact.log_likelihood_many(found.posterior.samples), rtol=1e-12)


def test_the_same_seed_takes_the_same_points(hybrid: Hybrid, posterior: Posterior, shifted: Any) -> None:
    one, two, three = (correct(posterior, hybrid, shifted, n=50, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.posterior.samples, two.posterior.samples)
    assert not np.array_equal(one.posterior.samples, three.posterior.samples)


def test_refusals(hybrid: Hybrid, posterior: Posterior, toy_theory: type[Any]) -> None:
    class Other(toy_theory):  # type: ignore[misc]
        parameters = ("height", "tilt")

    class Empty(toy_theory):  # type: ignore[misc]
        def spectra_many(self, thetas: np.ndarray) -> Any:
            return super().spectra_many(thetas * np.nan)

    with pytest.raises(ConfigError, match="the theory samples height, tilt, the engine amplitude, tilt"):
        correct(posterior, hybrid, Other(), n=10, seed=1)
    with pytest.raises(ConfigError, match="n must be at least 2"):
        correct(posterior, hybrid, toy_theory(), n=1, seed=1)
    with pytest.raises(DataError, match="no likelihood at any of the 10 points: low_tt_bins: TT at l = 2 is nan"):
        correct(posterior, hybrid, Empty(), n=10, seed=1)


def test_points_are_matched_by_name_and_fixed_values_filled_in(hybrid: Hybrid) -> None:
    samples = np.array([[1.0, 0.1], [1.001, 0.2]])
    zeros = np.zeros(2)
    fixed = Posterior(samples, zeros, zeros, zeros, ("A_planck", "tilt"), meta={"fixed": {"amplitude": 0.9}})
    assert engine_points(fixed, hybrid, samples).tolist() == [[0.9, 0.1, 1.0], [0.9, 0.2, 1.001]]
    with pytest.raises(ConfigError, match="no parameter 'amplitude', which the engine needs"):
        engine_points(Posterior(samples, zeros, zeros, zeros, ("A_planck", "tilt")), hybrid, samples)
    with pytest.raises(ConfigError, match="samples n_s, which the engine does not know"):
        engine_points(Posterior(samples, zeros, zeros, zeros, ("n_s", "tilt")), hybrid, samples)
