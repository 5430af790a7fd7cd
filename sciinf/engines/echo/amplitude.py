"""The amplitude beside the likelihood that marginalises it: its best value, and draws from its conditional density."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sciinf.core.errors import ConfigError, LikelihoodError
from sciinf.core.priors import LogUniform

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch
    from sciinf.results.posterior import Posterior

__all__ = ["draw_amplitude", "profile"]


def profile(engine: EchoSearch, theta: ArrayLike) -> tuple[float, float]:
    """Amplitude >= 0 of the largest ln L at ``theta``, and that ln L.

    Raises
    ------
    LikelihoodError
        If theta is outside the domain.
    """
    from sciinf.engines.echo.profile_kernels import shapes_many, sums_many

    engine.named(theta)
    packed = engine.compiled()
    row = np.array(theta, dtype=np.float64).reshape(1, -1)
    work = np.empty(packed.workspace_size)
    best = float(sums_many(row, packed.floats, packed.ints, work)[0, 1])
    return best, float(shapes_many(row, packed.floats, packed.ints, work, np.array([[best]]))[0, 0])


def draw_amplitude(engine: EchoSearch, posterior: Posterior, rng: np.random.Generator) -> Posterior:
    """Restore a marginalised amplitude: one draw per sample, by the inverse of its cumulative conditional density.

    Parameters
    ----------
    engine : EchoSearch
        The one that was sampled.
    posterior : Posterior
        Of its parameters.
    rng : numpy.random.Generator
        One uniform number per sample.

    Returns
    -------
    Posterior
        With ``amplitude`` (s) after ``width``, ln L at it, its density in ln prior, and derived quantities of it. Weights and evidence
        stay: they are those of the joint posterior. What describes the nested run point by point is left out.

    Raises
    ------
    ConfigError
        If the engine samples the amplitude, or the posterior has other parameters.
    LikelihoodError
        If a sample is outside the engine's domain.
    """
    from sciinf.engines.echo.draw_kernels import draws_many
    from sciinf.engines.echo.profile_kernels import shapes_many

    prior = engine.amplitude_prior
    if prior is None:
        raise ConfigError("draw_amplitude restores a marginalised amplitude, and this engine samples it: the posterior has it")
    if posterior.names != engine.parameters:
        raise ConfigError(f"the posterior's parameters are {posterior.names}, the engine's are {engine.parameters}")
    packed, rows = engine.compiled(), np.array(posterior.samples)
    work, log_uniform = np.empty(packed.workspace_size), int(isinstance(prior, LogUniform))
    amplitude = draws_many(rows, packed.floats, packed.ints, work, rng.uniform(size=len(rows)), prior.low, prior.high, log_uniform)
    if not np.all(np.isfinite(amplitude)):
        raise LikelihoodError(f"EchoSearch: sample {int(np.argmin(np.isfinite(amplitude)))} of the posterior is outside the domain")
    log_likelihood = shapes_many(rows, packed.floats, packed.ints, work, amplitude.reshape(-1, 1))[:, 0]
    at = posterior.names.index("width") + 1
    sampled = replace(engine, amplitude="sampled")
    samples = np.insert(rows, at, amplitude, axis=1)
    return replace(
        posterior,
        samples=samples,
        log_likelihood=log_likelihood,
        log_prior=posterior.log_prior + prior.logpdf(amplitude),
        names=sampled.parameters,
        latex=_with(posterior.latex, at, "A"),
        units=_with(posterior.units, at, "s"),
        derived=sampled.derived_many(samples),
        derived_names=sampled.derived_names,
        derived_latex=(),
        birth_log_likelihood=None,
        insertion_rank=None,
    )


def _with(values: tuple[str, ...], at: int, value: str) -> tuple[str, ...]:
    """A tuple with one more member, or none where there is none."""
    return (*values[:at], value, *values[at:]) if values else ()
