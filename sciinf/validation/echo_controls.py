"""Faults that the echo suite must find: wrong noise, terms left out, labels shifted, data the wrong way round, priors not normalised."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.verdict import Verdict
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.echo import EchoSearch, EchoWarning, Remnant, Spectrum
from sciinf.engines.echo.benchmarks import ROUND_TRIP
from sciinf.engines.echo.simulate import benchmark
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty
from sciinf.validation.echo_checks import Phase, noise
from sciinf.validation.echo_oracle import Oracle, log_i0

__all__ = ["Box", "WrongNoise", "box_masses", "boxes", "data_sign", "from_the_scan", "half_a_tooth", "without_the_norm"]


@dataclass(frozen=True, eq=False)
class WrongNoise:
    """An engine that simulates data of its PSD and analyses them with ``factor`` times that PSD."""

    truth: EchoSearch
    factor: float
    _analysis: EchoSearch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scaled = tuple(replace(item, psd=self.factor * item.psd) for item in self.truth.spectra)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EchoWarning)  # the level is wrong on purpose
            object.__setattr__(self, "_analysis", self.truth.with_data(scaled if len(scaled) > 1 else scaled[0]))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names, as the engine has them."""
        return self.truth.parameters

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L with the wrong PSD."""
        return self._analysis.log_likelihood(theta)

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L of each row with the wrong PSD."""
        return self._analysis.log_likelihood_many(thetas)

    def compiled(self) -> CompiledLikelihood | None:
        """The kernel with the wrong PSD."""
        return self._analysis.compiled()

    def default_priors(self) -> PriorSet:
        """The engine's."""
        return self.truth.default_priors()

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> Any:
        """Data of the right PSD."""
        return self.truth.simulate(theta, rng)

    def with_data(self, data: Any) -> WrongNoise:
        """The same fault on other data."""
        return WrongNoise(self.truth.with_data(data), self.factor)

    def fingerprint(self) -> str:
        """sha256 over the engine and the factor."""
        return sha256_of("wrong noise", self.truth.fingerprint(), self.factor)


def without_the_norm(oracle: Oracle, phase: Phase, amplitude: float) -> float:
    """An oracle that forgets rho^2 / 2."""
    return oracle.log_likelihood(phase, amplitude) + 0.5 * amplitude**2 * oracle.coefficients(phase)[1]


def half_a_tooth(oracle: Oracle, phase: Phase, amplitude: float) -> float:
    """An oracle whose labels begin a tooth at its centre: floor((f - f0)/Df) in place of the nearest."""
    if phase != "mode":
        return oracle.log_likelihood(phase, amplitude)
    matched, norm, _ = oracle.sums()
    _, _, j = oracle.template()
    labels = np.floor((j / oracle.duration - oracle.comb["offset_hz"]) / oracle.comb["spacing"])
    names, at = np.unique(labels, return_inverse=True)
    each = np.zeros(len(names), dtype=np.complex128)
    np.add.at(each, at, matched)
    return float(np.sum(log_i0(amplitude * np.abs(each)))) - 0.5 * amplitude**2 * float(np.sum(norm))


def data_sign(seed: int, conjugate: bool, runs: int = 6, snr: float = 15.0) -> Verdict:
    """The constant wall at N = 100 in noise: at the wall's own comb "mode" must gain more than "bin", as a mean over ``runs``.

    With conjugated data (the e^{+i omega t} sign) the phase runs the wrong way through each mode, and "mode" loses what it gains.
    """
    width = -math.log(0.99) / ROUND_TRIP
    phases: tuple[Phase, ...] = ("mode", "bin")
    gain = np.empty((runs, 2))
    for i in range(runs):
        data = benchmark("constant_wall", 100, snr, generator(seed, f"sign/{i}"))
        if conjugate:
            data = data.with_values(np.conj(data.values))
        for k, phase in enumerate(phases):
            engine = EchoSearch(data, phase=phase, remnant=Remnant(0.69))
            points = [np.array([1.0 / ROUND_TRIP, 0.83 + step, width, 1.0, 0.045, 0.08]) for step in np.linspace(-0.02, 0.02, 41)]
            gain[i, k] = max(engine.maximise_amplitude(point)[1] for point in points)
    difference = float(np.mean(gain[:, 0] - gain[:, 1]))
    detail = "mean ln L of mode less that of bin at the wall's comb; bound 0"
    return Verdict("constant wall, N = 100: sign of the data", difference, None, runs, difference > 0.0, detail)


def box_masses(n: int, seed: int) -> list[tuple[str, float, float, float]]:
    """-ln of the share of each published box inside its constraint: name, value, standard error, expected."""
    rng = generator(seed, "box")
    spacing, offset = rng.uniform(1.0, 10.0, n), rng.uniform(0.0, 10.0, n)
    inside = [np.mean((spacing - offset > 0.0) & (spacing - offset < 10.0))]
    remnant = Remnant(0.69)
    low, high = remnant.search_band
    spacing = rng.uniform(remnant.largest_spacing / 4.0, remnant.largest_spacing, n)
    room = rng.uniform(low, high, n)
    room = rng.uniform(low, high, n) - room - 10.0 * spacing
    inside.append(np.mean((room > 0.0) & (room < remnant.ringdown_frequency)))
    return [
        (name, -math.log(share), math.sqrt((1.0 - share) / share / n), expected)
        for name, share, expected in zip(("four parameters", "six parameters"), inside, (0.598, 1.06), strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Box:
    """An engine that keeps its prior's whole box and rejects with -inf what the constraint excludes."""

    engine: EchoSearch

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names, as the engine has them."""
        return self.engine.parameters

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L, -inf outside the constraint."""
        spacing, offset, *band = (float(theta[i]) for i in (0, 1, -2, -1))
        inside = offset < spacing if self.engine.offset_unit == "Hz" else band[1] - band[0] > 10.0 * spacing
        return self.engine.log_likelihood(theta) if inside else -math.inf

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L of each row."""
        return np.array([self.log_likelihood(theta) for theta in thetas])

    def default_priors(self) -> PriorSet:
        """The box: spacing, offset and the ends of a sampled band independent and uniform."""
        priors = self.engine.default_priors()
        sides = {"spacing": Uniform(*priors.supports["spacing"])}
        if self.engine.offset_unit == "Hz":
            sides["offset"] = Uniform(0.0, sides["spacing"].high)
        sides |= {name: Uniform(*self.engine.band_limits) for name in ("f_min", "f_max") if name in self.parameters}
        return priors.replace(**sides)

    def fingerprint(self) -> str:
        """sha256 over the engine."""
        return sha256_of("box", self.engine.fingerprint())


def from_the_scan(problem: Problem, n_live: int, seed: int) -> tuple[float, float]:
    """dynesty fed live points from about the peak, as a scan would give them, in place of prior draws: ln Z and its stated error."""
    import dynesty

    rng = generator(seed, "live points")
    units = rng.uniform(size=(20_000, problem.n_dim))
    values = problem.log_likelihood_many(problem.priors.transform(units))
    best = np.argsort(-values)[:n_live]
    points = problem.priors.transform(units[best])
    sampler = dynesty.NestedSampler(
        problem.log_likelihood, problem.priors.transform, problem.n_dim, nlive=n_live, sample="rwalk", walks=30,
        live_points=[units[best], points, values[best], np.zeros(n_live)][:3], rstate=rng,
    )  # fmt: skip
    sampler.run_nested(dlogz=0.01, print_progress=False)
    return float(sampler.results.logz[-1]), float(sampler.results.logzerr[-1])


def boxes(seed: int, n_live: int, points: int) -> tuple[list[Verdict], list[tuple[str, Verdict]]]:
    """ln Z of noise under the published priors of four and six parameters: what must hold, and, by name, what must fail.

    A nested run of four parameters must agree with ``points`` draws from the prior (of six, draws meet the few combs that fit the noise
    too rarely); runs that keep the rejecting box must not agree with those that do not.
    """
    rng = generator(seed, "boxes")
    fixed = EchoSearch(noise(4.0, rng), phase="bin", amplitude="marginalised", band=(50.0, 110.0), offset_unit="Hz")
    wave = benchmark("constant_wall", 20, 0.0, rng)
    sampled = EchoSearch(wave, phase="bin", amplitude="marginalised", remnant=Remnant(0.69))
    must_fail, right = [], []
    for name, engine in (("four parameters", fixed), ("six parameters", sampled)):
        (value, error), (wrong, own) = (
            _nested(Problem(engine, engine.default_priors()), n_live, seed),
            _nested(Problem(Box(engine), Box(engine).default_priors()), n_live, seed),
        )
        right.append((value, error))
        must_fail.append((f"box not normalised, {name}", agreeing("evidence", wrong, math.hypot(own, error), value)))
    values: NDArray[np.float64] = fixed.log_likelihood_many(fixed.default_priors().sample(rng, points))
    shares = np.exp(values - values.max())
    truth, spread = float(values.max() + math.log(shares.mean())), float(shares.std() / shares.mean() / math.sqrt(points))
    value, error = right[0]
    return [agreeing("evidence of noise, four parameters, by draws", value, math.hypot(error, spread), truth)], must_fail


def _nested(problem: Problem, n_live: int, seed: int) -> tuple[float, float]:
    """ln Z and its stated error."""
    run = sample(problem, Dynesty(n_live=n_live, walks=25), seed=seed, progress=False)
    assert run.log_evidence is not None
    assert run.log_evidence_error is not None
    return run.log_evidence, run.log_evidence_error


def agreeing(name: str, value: float, error: float, truth: float) -> Verdict:
    """The evidence test: within 3 errors or not."""
    z = (value - truth) / error
    return Verdict(name, abs(z), None, 1, abs(z) < 3.0, f"ln Z {value:.3f}, truth {truth:.3f}, error {error:.3f}; bound 3 errors")


def level(data: Spectrum, factor: float, first: int, last: int) -> Verdict:
    """PSD level q with ``factor`` times the PSD."""
    q = replace(data, psd=factor * data.psd).psd_level(first, last)
    return Verdict("PSD level", q, None, last - first + 1, 0.7 <= q <= 1.4, "q of the data, 1 for Gaussian noise; bounds 0.7, 1.4")
