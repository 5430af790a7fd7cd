"""Evidence and posterior from a scan: importance sampling from a mixture about its peaks.

A nested run starts from the prior and can pass a narrow mode by, or meet it with a handful of its live points and misjudge its mass. A
scan sees it, but has no evidence. Importance sampling joins them: its evidence is unbiased whatever the mixture is, and the mixture, a
Student's t for each of the scan's peaks beside the prior itself, covers what the scan has found (population Monte Carlo: Cappe et al. 2008,
Statistics and Computing 18, 447; Wraith et al. 2009, PRD 80, 023507).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.errors import DataError
from sciinf.core.seeding import check_seed, generator
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.engines.echo.scan_starts import FittedPeak
from sciinf.results.importance import psis
from sciinf.results.posterior import Posterior
from sciinf.results.weights import effective_size
from sciinf.samplers.settings import check_integer

if TYPE_CHECKING:
    from sciinf.engines.echo.scan import ScanResult

__all__ = ["importance_sample"]

FloatArray = NDArray[np.float64]

_FREEDOM = 6.0
_PEAKS = 16
_DEPTH = 14.0  # in ln L: peaks further below the best are left to the prior's draws
_FIRST = 500  # draws of a fitted peak that shape its component
_ROUNDS, _DRAWS = 5, 3000
_PRIOR = 0.1  # least share of draws from the prior: where the mixture has nothing, a weight is at most ten times L
_BATCH = 10_000
_K_HAT = 0.7
_TURNS = np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class _Component:
    """A Student's t in the spacing, the middle tooth's frequency, ln width, and what else is sampled, folded where periodic."""

    space: SearchSpace
    tooth: int
    mean: FloatArray
    root: FloatArray

    @classmethod
    def of(cls, space: SearchSpace, tooth: int, thetas: FloatArray, weights: FloatArray, near: FloatArray | None = None) -> _Component:
        """Mean and covariance of weighted points; periodic ones are taken at their turn nearest to ``near``."""
        values = cls._coordinates(space, tooth, thetas)
        centre = values[int(np.argmax(weights))] if near is None else near
        values = cls._nearest(space, values, centre)
        mean = weights @ values
        centred = values - mean
        covariance = (weights[:, None] * centred).T @ centred
        scale = np.maximum(np.sqrt(np.diag(covariance)), 1e-9 * np.maximum(np.abs(mean), 1e-300))
        covariance += np.diag((1e-2 * scale) ** 2)
        return cls(space, tooth, mean, np.asarray(np.linalg.cholesky(covariance)))

    @staticmethod
    def _coordinates(space: SearchSpace, tooth: int, thetas: FloatArray) -> FloatArray:
        """(n, n_dim) in the priors' order, the offset as the frequency of a tooth in Hz, the width as its logarithm."""
        values, names = thetas.copy(), space.priors.names
        if "offset" in names:
            k, spacing = names.index("offset"), _spacing(space, thetas)
            offset = thetas[:, k] if space.engine.offset_unit == "Hz" else thetas[:, k] * spacing
            values[:, k] = offset + tooth * spacing
        if "width" in names:
            values[:, names.index("width")] = np.log(thetas[:, names.index("width")])
        return values

    @staticmethod
    def _periods(space: SearchSpace, values: FloatArray) -> dict[int, FloatArray]:
        """Period of each periodic coordinate at each point."""
        found: dict[int, FloatArray] = {}
        for k, name in enumerate(space.priors.names):
            if name == "offset":
                found[k] = _spacing(space, values)
            elif name.startswith("phase_shift"):
                found[k] = np.full(len(values), 2.0 * math.pi)
        return found

    @classmethod
    def _nearest(cls, space: SearchSpace, values: FloatArray, centre: FloatArray) -> FloatArray:
        values = values.copy()
        for k, period in cls._periods(space, values).items():
            values[:, k] -= period * np.round((values[:, k] - centre[k]) / period)
        return values

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Points (n, n_dim) in the order of the priors; some lie outside them."""
        shape = (n, len(self.mean))
        values = self.mean + rng.standard_normal(shape) * np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, size=(n, 1))) @ self.root.T
        names, thetas, spacing = self.space.priors.names, values.copy(), _spacing(self.space, values)
        good = spacing > 0.0
        if "offset" in names:
            k = names.index("offset")
            thetas[good, k] = self.space.with_offset(values[good, k] - self.tooth * spacing[good], spacing[good])
            thetas[~good, k] = math.nan
        if "width" in names:
            thetas[:, names.index("width")] = np.exp(np.clip(values[:, names.index("width")], -700.0, 700.0))
        for k, name in enumerate(names):
            if name.startswith("phase_shift"):
                low = self.space.box[name][0]
                thetas[:, k] = low + (values[:, k] - low) % (2.0 * math.pi)
        return thetas

    def log_density(self, thetas: FloatArray) -> FloatArray:
        """ln of its density (n,) over the parameters, all turns of periodic ones added."""
        values = self._nearest(self.space, self._coordinates(self.space, self.tooth, thetas), self.mean)
        turned = [values]
        for k, period in self._periods(self.space, values).items():
            turned = [self._shifted(item, k, turn * period) for item in turned for turn in _TURNS]
        n_dim, parts = len(self.mean), []
        constant = math.lgamma(0.5 * (_FREEDOM + n_dim)) - math.lgamma(0.5 * _FREEDOM) - 0.5 * n_dim * math.log(_FREEDOM * math.pi)
        constant -= float(np.sum(np.log(np.diag(self.root))))
        inverse = np.linalg.inv(self.root)
        for item in turned:
            squares = np.sum(((item - self.mean) @ inverse.T) ** 2, axis=1)
            parts.append(constant - 0.5 * (_FREEDOM + n_dim) * np.log1p(squares / _FREEDOM))
        names = self.space.priors.names
        out = np.asarray(special.logsumexp(np.array(parts), axis=0))
        if "offset" in names and self.space.engine.offset_unit == "spacing":
            out = out + np.log(_spacing(self.space, thetas))
        if "width" in names:
            out = out - np.log(thetas[:, names.index("width")])
        out[~self._first_turn(thetas)] = -math.inf
        return out

    def _first_turn(self, thetas: FloatArray) -> NDArray[np.bool_]:
        """Whether periodic parameters lie in the turn into which `draw` folds them."""
        space, first = self.space, np.ones(len(thetas), dtype=np.bool_)
        for k, name in enumerate(space.priors.names):
            if name.startswith("phase_shift"):
                first &= thetas[:, k] <= space.box[name][0] + 2.0 * math.pi
            elif name == "offset":
                turn = _spacing(space, thetas) if space.engine.offset_unit == "Hz" else 1.0
                first &= thetas[:, k] <= space.box[name][0] + turn
        return first

    @staticmethod
    def _shifted(values: FloatArray, k: int, by: FloatArray) -> FloatArray:
        moved = values.copy()
        moved[:, k] += by
        return moved


@dataclass(frozen=True, eq=False)
class _Mixture:
    """The components with their shares; what is left is drawn from the prior."""

    space: SearchSpace
    components: tuple[_Component, ...]
    shares: FloatArray

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Points (n, n_dim), and ln L and ln prior of each; ln prior is -inf outside."""
        counts = rng.multinomial(n, np.append(self.shares, max(1.0 - self.shares.sum(), 0.0)))
        drawn = [component.draw(int(count), rng) for component, count in zip(self.components, counts, strict=False)]
        thetas = np.concatenate([*drawn, self.space.priors.sample(rng, int(counts[-1]))])
        log_prior = np.asarray(self.space.priors.log_prior(thetas))
        inside = log_prior > -math.inf
        log_likelihood = np.full(n, -math.inf)
        log_likelihood[inside] = self.likelihoods(thetas[inside])
        return thetas, log_likelihood, np.where(inside, log_prior, -math.inf)

    def likelihoods(self, thetas: FloatArray) -> FloatArray:
        """ln L (n,) of points in the priors' order, fixed parameters put in."""
        priors, names = self.space.priors, self.space.original.parameters
        columns = [thetas[:, priors.names.index(x)] if x in priors.names else np.full(len(thetas), priors.fixed[x]) for x in names]
        return self.space.original.log_likelihood_many(np.ascontiguousarray(np.column_stack(columns)))

    def log_densities(self, thetas: FloatArray, log_prior: FloatArray) -> FloatArray:
        """ln of share times density (n_components + 1, n); the prior is the last."""
        parts = [math.log(share) + item.log_density(thetas) for share, item in zip(self.shares, self.components, strict=True)]
        return np.array([*parts, math.log(1.0 - self.shares.sum()) + log_prior])

    def adapted(self, rng: np.random.Generator) -> _Mixture:
        """One round of population Monte Carlo."""
        thetas, log_likelihood, log_prior = self.draw(_DRAWS, rng)
        inside = log_prior > -math.inf
        thetas, log_prior = thetas[inside], log_prior[inside]
        densities = self.log_densities(thetas, log_prior)
        total = special.logsumexp(densities, axis=0)
        weights = _flattened(log_likelihood[inside] + log_prior - total, 10.0 * self.space.priors.n_dim)
        belongs = weights * np.exp(densities - total)
        components, shares = [], []
        for component, row in zip(self.components, belongs, strict=False):
            share = float(row.sum())
            if share * len(thetas) < 5.0 * len(component.mean):
                continue
            if 1.0 / np.sum((row / share) ** 2) > 5.0 * len(component.mean):
                component = _Component.of(self.space, component.tooth, thetas, row / share, component.mean)
            components.append(component)
            shares.append(share)
        values = np.array(shares)
        if values.sum() > 1.0 - _PRIOR:
            values *= (1.0 - _PRIOR) / values.sum()
        return replace(self, components=tuple(components), shares=values)


def _spacing(space: SearchSpace, rows: FloatArray) -> FloatArray:
    """Spacing (n,) of rows in the priors' order, sampled or fixed."""
    names = space.priors.names
    return rows[:, names.index("spacing")] if "spacing" in names else np.full(len(rows), space.priors.fixed["spacing"])


def _flattened(log_weights: FloatArray, least: float) -> FloatArray:
    """Normalised weights, raised to a power until their effective number is at least ``least``."""
    power = 1.0
    for _ in range(30):
        share = np.exp(power * (log_weights - np.max(log_weights)))
        share /= share.sum()
        if 1.0 / np.sum(share**2) >= least:
            break
        power *= 0.7
    return np.asarray(share)


def importance_sample(scan: ScanResult, seed: int, *, n_effective: int = 2000, max_calls: int = 200_000) -> Posterior:
    """Posterior and evidence by importance sampling about a scan's peaks: seconds where a nested run takes minutes and may miss the mode.

    Parameters
    ----------
    scan : ScanResult
        Of the engine and the priors that are meant.
    seed : int
        Of all draws.
    n_effective : int
        Effective samples (Kish) to reach.
    max_calls : int
        Likelihood calls at most, after the mixture is fitted.

    Returns
    -------
    Posterior
        Weighted, with evidence and its standard error. The status is "not_converged" where ``n_effective`` was not reached, or the Pareto
        shape of the largest weights, ``meta["k_hat"]``, is above 0.7: the error is not to be trusted then. Noise without a comb, whose
        posterior is a thousand small peaks, often ends so; there a nested run is the better one.

    Raises
    ------
    ConfigError
        If a number is not a positive integer.

    Notes
    -----
    For a fixed number of draws the evidence is unbiased whatever the mixture; only the draws after its fit enter it. They come in lots of
    10,000 until ``n_effective`` is reached, which nearly always is one lot; to stop by it leaves a bias far below the stated error. What
    neither the scan nor the draws from the prior have met is not in it, as with any sampler. Sums over the turns of a periodic parameter
    stop at one (a part in 1e5 at most).

    Examples
    --------
    >>> import numpy as np
    >>> from sciinf.engines import echo
    >>> rng = np.random.default_rng(1)
    >>> strain = echo.simulate.gaussian_noise(echo.Psd.white(2 / 1024), 4.0, 1 / 1024, rng)
    >>> comb = echo.simulate.comb(strain, spacing=5.83, offset_hz=1.26, width=0.4, amplitude=0.3, band=(50, 110), rng=rng)
    >>> engine = echo.EchoSearch(echo.simulate.inject(strain, comb), amplitude="marginalised", band=(50, 110), offset_unit="Hz")
    >>> posterior = echo.importance_sample(echo.scan(engine), seed=1)
    >>> posterior.log_evidence_error < 0.02, bool(abs(posterior.mean()[0] - 5.83) < 4 * posterior.std()[0])
    (True, True)
    """
    check_integer("importance_sample: n_effective", n_effective, 1)
    check_integer("importance_sample: max_calls", max_calls, 1)
    rng = generator(check_seed(seed), "importance")
    space = SearchSpace.of(scan.engine, scan.priors)
    mixture = _first(scan, space, rng)
    for _ in range(_ROUNDS):
        mixture = mixture.adapted(rng)
    parts: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    calls, reached = 0, 0.0
    while reached < n_effective and calls < max_calls:
        thetas, log_likelihood, log_prior = mixture.draw(min(_BATCH, max_calls - calls), rng)
        calls += len(thetas)
        inside = log_prior > -math.inf
        weights = np.full(len(thetas), -math.inf)
        weights[inside] = log_likelihood[inside] + log_prior[inside]
        weights[inside] -= special.logsumexp(mixture.log_densities(thetas[inside], log_prior[inside]), axis=0)
        parts.append((thetas, log_likelihood, log_prior, weights))
        reached = effective_size(np.concatenate([part[3] for part in parts]))
    thetas, log_likelihood, log_prior, weights = (np.concatenate([part[i] for part in parts]) for i in range(4))
    log_evidence = float(special.logsumexp(weights)) - math.log(calls)
    shares = np.exp(weights - log_evidence)
    k_hat = psis(weights)[1]
    kept = weights > -math.inf
    sound = reached >= n_effective and k_hat < _K_HAT
    return Posterior(
        samples=thetas[kept],
        log_weights=weights[kept],
        log_likelihood=log_likelihood[kept],
        log_prior=log_prior[kept],
        names=space.priors.names,
        latex=space.priors.latex,
        units=space.priors.units,
        log_evidence=log_evidence,
        log_evidence_error=float(np.std(shares, ddof=1) / math.sqrt(calls)),
        status="ok" if sound else "not_converged",
        meta={
            "sampler": {"kind": "importance"},
            "seed": seed,
            "k_hat": k_hat,
            "counts": {"calls": calls},
            "fixed": dict(space.priors.fixed),
        },
    )


def _first(scan: ScanResult, space: SearchSpace, rng: np.random.Generator) -> _Mixture:
    """A component for each of the scan's peaks, by draws of the Gaussian fitted to it."""
    near = np.flatnonzero(scan.log_likelihoods[0] - scan.log_likelihoods <= _DEPTH)[:_PEAKS]
    components, masses = [], []
    for k in near:
        peak = FittedPeak.fitted(scan, int(k), rng)
        try:
            drawn = peak.draw(_FIRST, rng)
        except DataError:  # at the prior's very edge: left to the draws from the prior
            continue
        components.append(_Component.of(space, space.middle(peak.local.theta), drawn, np.full(_FIRST, 1.0 / _FIRST)))
        masses.append(peak.log_mass)
    shares = np.exp(np.array(masses) - max(masses, default=0.0)) + 0.02
    return _Mixture(space, tuple(components), (1.0 - 3.0 * _PRIOR) * shares / shares.sum())
