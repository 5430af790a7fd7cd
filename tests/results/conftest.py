"""Posteriors to test with: made by hand, and from real dynesty runs by a converter of its own."""

from __future__ import annotations

import warnings
from typing import Any

import dynesty
import numpy as np
import pytest

from sciinf.results.posterior import Posterior

LOG_Z_GAUSS = -3.0 * np.log(20.0)  # normalised 3-D Gaussian well inside a cube of side 20


def log_gauss(theta: np.ndarray) -> float:
    """Normalised standard Gaussian in 3-D."""
    return float(-0.5 * theta @ theta - 1.5 * np.log(2.0 * np.pi))


def cube(unit: np.ndarray) -> np.ndarray:
    return 20.0 * unit - 10.0


def births(results: Any) -> np.ndarray:
    """Contour of birth: ln L of the point before in the same strand, the batch's lower bound (or -inf) for a strand's first."""
    log_l, strand = np.asarray(results.logl), np.asarray(results.samples_id)
    if results.isdynamic():
        start = np.asarray(results.batch_logl_bounds)[np.asarray(results.samples_batch), 0]
    else:
        start = np.full(len(log_l), -np.inf)
    out, last = np.empty(len(log_l)), {}
    for i, label in enumerate(strand):
        out[i] = last.get(label, start[i])
        last[label] = log_l[i]
    return out


def live(results: Any) -> np.ndarray:
    if results.isdynamic():
        return np.asarray(results.samples_n)
    n = len(results.logl)
    return np.minimum(np.arange(n, 0, -1), results.nlive)


def to_posterior(results: Any, **changes: Any) -> Posterior:
    """A dynesty result as a Posterior."""
    fields: dict[str, Any] = {
        "samples": results.samples,
        "log_weights": np.asarray(results.logwt) - results.logz[-1],
        "log_likelihood": results.logl,
        "log_prior": np.full(len(results.logl), LOG_Z_GAUSS),
        "names": ("x", "y", "z"),
        "log_evidence": float(results.logz[-1]),
        "log_evidence_error": float(results.logzerr[-1]),
        "information": float(results.information[-1]),
        "birth_log_likelihood": births(results),
        "n_live": live(results),
        "log_volume": results.logvol,
    }
    return Posterior(**(fields | changes))


@pytest.fixture(scope="session")
def static_runs() -> list[Any]:
    """Three static dynesty runs, n_live 60, 60 and 90."""
    runs = []
    for seed, n_live in ((1, 60), (2, 60), (3, 90)):
        sampler = dynesty.NestedSampler(log_gauss, cube, 3, nlive=n_live, bound="single", sample="unif", rstate=np.random.default_rng(seed))
        sampler.run_nested(dlogz=0.1, print_progress=False)
        runs.append(sampler.results)
    return runs


@pytest.fixture(scope="session")
def dynamic_run() -> Any:
    """A dynamic dynesty run with two added batches."""
    sampler = dynesty.DynamicNestedSampler(log_gauss, cube, 3, bound="single", sample="unif", rstate=np.random.default_rng(4))
    sampler.run_nested(nlive_init=60, nlive_batch=40, maxbatch=2, dlogz_init=0.2, print_progress=False, use_stop=False)
    return sampler.results


def log_half_gauss(theta: np.ndarray) -> float:
    """The Gaussian where theta_0 > 0, likelihood zero elsewhere."""
    return log_gauss(theta) if theta[0] > 0.0 else -np.inf


@pytest.fixture(scope="session")
def hole_run() -> Any:
    """A static dynesty run whose likelihood is zero over half of the prior."""
    sampler = dynesty.NestedSampler(log_half_gauss, cube, 3, nlive=50, bound="single", sample="unif", rstate=np.random.default_rng(9))
    sampler.run_nested(dlogz=0.1, print_progress=False)
    return sampler.results


@pytest.fixture(scope="session")
def hole(hole_run: Any) -> Posterior:
    """That run as a Posterior: ln L = -inf where dynesty keeps -1e300."""
    zero = np.asarray(hole_run.logl) <= -1e300
    log_weights = np.where(zero, -np.inf, np.asarray(hole_run.logwt) - hole_run.logz[-1])
    return to_posterior(hole_run, log_likelihood=np.where(zero, -np.inf, hole_run.logl), log_weights=log_weights)


@pytest.fixture(scope="session")
def nested(static_runs: list[Any]) -> Posterior:
    """The first static run as a Posterior."""
    return to_posterior(static_runs[0])


def autoregressive(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Stationary AR(1) noise of unit variance along the second axis."""
    noise = rng.normal(size=shape)
    out = np.empty(shape)
    out[:, 0] = noise[:, 0]
    for step in range(1, shape[1]):
        out[:, step] = rho * out[:, step - 1] + np.sqrt(1.0 - rho**2) * noise[:, step]
    return out


@pytest.fixture(scope="session")
def chains() -> Posterior:
    """16 chains of 500 correlated steps in two parameters, one derived quantity; steps stored step after step as samplers do."""
    rng = np.random.default_rng(7)
    draws = autoregressive(rng, (16, 500, 2), 0.7)
    flat = draws.transpose(1, 0, 2).reshape(-1, 2)
    return Posterior(
        samples=flat,
        log_weights=np.zeros(len(flat)),
        log_likelihood=-0.5 * np.sum(flat**2, axis=1),
        log_prior=np.full(len(flat), -3.0),
        names=("alpha", "beta"),
        latex=(r"\alpha", r"\beta"),
        units=("", "Hz"),
        derived=flat.sum(axis=1)[:, None],
        derived_names=("total",),
        derived_latex=(r"\alpha+\beta",),
        chain=np.tile(np.arange(16), 500),
        draw=np.repeat(np.arange(500), 16),
        meta={"supports": {"alpha": [-10.0, 10.0], "beta": [None, 10.0]}},
    )


@pytest.fixture(scope="session")
def nested_runs(static_runs: list[Any]) -> list[Posterior]:
    """The static runs as Posteriors."""
    return [to_posterior(results) for results in static_runs]


@pytest.fixture(scope="session")
def dynamic(dynamic_run: Any) -> Posterior:
    """The dynamic run as a Posterior."""
    return to_posterior(dynamic_run)


@pytest.fixture(scope="session")
def arviz() -> Any:
    """ArviZ without its notice at import, and without its numba path (which numpy 2.4 breaks in ``mcse(method="sd")``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("arviz")
    if hasattr(module, "Numba"):
        module.Numba.disable_numba()
    return module
