"""The mixture that importance sampling draws from: Student's t about each of a scan's peaks, beside the prior.

It is fitted by population Monte Carlo (Cappe et al. 2008, Statistics and Computing 18, 447; Wraith et al. 2009, PRD 80, 023507).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.errors import DataError
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.engines.echo.scan_starts import FittedPeak

if TYPE_CHECKING:
    from sciinf.engines.echo.scan import ScanResult

__all__ = ["Component", "Mixture"]

FloatArray = NDArray[np.float64]

_FREEDOM = 6.0
_PEAKS = 16
_DEPTH = 14.0  # in ln L: peaks further below the best are left to the prior's draws
_FIRST = 500  # draws of a fitted peak that shape its component
_DRAWS = 3000
_PRIOR = 0.1  # least share of draws from the prior: where the mixture has nothing, a weight is at most ten times L
_TURNS = np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Component:
    """A Student's t in the spacing, the middle tooth's frequency, ln width, and what else is sampled, folded where periodic."""

    space: SearchSpace
    tooth: int
    mean: FloatArray
    root: FloatArray

    @classmethod
    def of(cls, space: SearchSpace, tooth: int, thetas: FloatArray, weights: FloatArray, near: FloatArray | None = None) -> Component:
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
class Mixture:
    """The components with their shares; what is left is drawn from the prior."""

    space: SearchSpace
    components: tuple[Component, ...]
    shares: FloatArray

    @classmethod
    def about(cls, scan: ScanResult, space: SearchSpace, rng: np.random.Generator) -> Mixture:
        """A component for each of the scan's peaks, by draws of the Gaussian fitted to it."""
        near = np.flatnonzero(scan.log_likelihoods[0] - scan.log_likelihoods <= _DEPTH)[:_PEAKS]
        components, masses = [], []
        for k in near:
            peak = FittedPeak.fitted(scan, int(k), rng)
            try:
                drawn = peak.draw(_FIRST, rng)
            except DataError:  # at the prior's very edge: left to the draws from the prior
                continue
            components.append(Component.of(space, space.middle(peak.local.theta), drawn, np.full(_FIRST, 1.0 / _FIRST)))
            masses.append(peak.log_mass)
        shares = np.exp(np.array(masses) - max(masses, default=0.0)) + 0.02
        return cls(space, tuple(components), (1.0 - 3.0 * _PRIOR) * shares / shares.sum())

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

    def adapted(self, rng: np.random.Generator) -> Mixture:
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
                component = Component.of(self.space, component.tooth, thetas, row / share, component.mean)
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
