"""Walkers around a scan's peaks: a Gaussian fitted to each, and its share of the evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import DataError
from sciinf.engines.echo.scan_peaks import LocalFrame
from sciinf.engines.echo.scan_space import SearchSpace

if TYPE_CHECKING:
    from sciinf.engines.echo.scan import ScanResult

__all__ = ["FittedPeak"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedPeak:
    """A Gaussian fitted to the posterior around one peak, and the peak's share of the evidence (ln, by importance sampling)."""

    local: LocalFrame
    mean: FloatArray
    root: FloatArray
    log_mass: float
    floor: float

    @classmethod
    def fitted(cls, result: ScanResult, k: int, rng: np.random.Generator) -> FittedPeak:
        """That of a scan's peak number ``k``."""
        search = SearchSpace.of(result.engine, result.priors)
        theta = np.array([1.0] * len(search.names))
        for name, value in zip(result.names, result.peaks[k].tolist(), strict=True):
            theta[search.names.index(name)] = value
        theta[search.names.index("amplitude")] = result.amplitudes[k]
        step = max(theta[search.names.index("width")], 2.0 * math.pi / search.engine.duration) / (4.0 * math.pi)
        local = LocalFrame.around(search, theta, step)
        return cls._adapted(local, rng)

    @classmethod
    def _adapted(cls, local: LocalFrame, rng: np.random.Generator) -> FittedPeak:
        mean, scale = _centre(local), _spread(local)
        root = np.diag(scale)
        log_mass, floor = -math.inf, math.inf
        constant = math.lgamma(3.0 + 0.5 * len(mean)) - math.lgamma(3.0) - 0.5 * len(mean) * math.log(6.0 * math.pi)
        for _ in range(6):
            unit = rng.standard_normal((600, len(mean))) * np.sqrt(6.0 / rng.chisquare(6.0, size=(600, 1)))  # Student's t, six degrees
            points = mean + unit @ root.T
            values = _log_posterior(local, points)
            squares = np.sum(unit**2, axis=1)
            log_density = constant - 0.5 * (6.0 + len(mean)) * np.log1p(squares / 6.0) - float(np.sum(np.log(np.abs(np.diag(root)))))
            weights = values - log_density
            if not np.any(np.isfinite(weights)):
                root = 0.5 * root
                continue
            log_mass = float(np.logaddexp.reduce(weights)) - math.log(len(weights))
            floor = float(np.max(values)) - 2.0 * len(mean) - 4.0
            share = _tempered(weights, 20.0 * len(mean))
            mean = share @ points
            centred = points - mean
            covariance = (share[:, None] * centred).T @ centred + np.diag((1e-3 * scale) ** 2)
            root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        return cls(local, mean, root, log_mass, floor)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Points (n, n_dim) of the fitted Gaussian with a posterior not far below the peak's."""
        search, kept = self.local.search, np.empty((0, self.local.search.priors.n_dim))
        size, mean = 1.0, self.mean
        for turn in range(200):
            points = mean + size * rng.standard_normal((4 * n + 16, len(mean))) @ self.root.T
            good = _log_posterior(self.local, points) > self.floor
            kept = np.vstack([kept, search.sampled_columns(_full(self.local, points[good])[0])])
            if len(kept) >= n:
                return kept[:n]
            if turn % 10 == 9:  # a needle beside what the fit has seen: closer to the peak
                size, mean = 0.5 * size, _centre(self.local)
        raise DataError("scan: no start points with a finite posterior around a peak; are the priors those of the scan?")


def _tempered(weights: FloatArray, least: float) -> FloatArray:
    """Normalised weights, flattened until their effective number is at least ``least``."""
    power, share = 1.0, np.ones(len(weights))
    for _ in range(30):
        share = np.exp(power * (weights - np.max(weights)))
        share /= np.sum(share)
        if 1.0 / np.sum(share**2) >= least:
            break
        power *= 0.7
    return share


def _extra(search: SearchSpace) -> list[str]:
    """Sampled parameters that are no local coordinate: amplitude and band."""
    return [name for name in ("amplitude", "f_min", "f_max") if name in search.priors.names]


def _centre(local: LocalFrame) -> FloatArray:
    names, theta = local.search.names, local.theta
    return np.concatenate([local.origin[local.moves], [theta[names.index(name)] for name in _extra(local.search)]])


def _spread(local: LocalFrame) -> FloatArray:
    """First guess of the posterior's widths in the coordinates of `_centre`."""
    search, theta = local.search, local.theta
    spacing = theta[search.names.index("spacing")]
    snr = max(float(search.engine.derived_many(theta[None, :])[0, 0]), 1.0)
    wide = {"amplitude": theta[search.names.index("amplitude")] / snr, "f_min": 0.5 * spacing, "f_max": 0.5 * spacing}
    extra = [max(wide[name], 1e-300) for name in _extra(search)]
    return np.concatenate([min(1.0, 5.0 / snr) * local.scale[local.moves], extra])


def _full(local: LocalFrame, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All parameters of points in the coordinates of `_centre`, and the comb's local coordinates."""
    moves = local.moves
    combs = np.repeat(local.origin[None, :], len(points), axis=0)
    combs[:, moves] = points[:, : len(moves)]
    thetas = local.thetas(combs)
    for k, name in enumerate(_extra(local.search)):
        thetas[:, local.search.names.index(name)] = points[:, len(moves) + k]
    return thetas, combs


def _log_posterior(local: LocalFrame, points: FloatArray) -> FloatArray:
    """Posterior density (ln) in the coordinates of `_centre`; -inf outside the box."""
    search = local.search
    thetas, combs = _full(local, points)
    # Dtheta/dy is the width, and one over the spacing for an offset in spacings; what is fixed only adds a constant.
    out = search.log_prior(thetas) + combs[:, 2]
    if search.engine.offset_unit == "spacing":
        out -= np.log(combs[:, 0].clip(min=1e-300))
    for k, values in ((0, combs[:, 0]), (2, np.exp(combs[:, 2].clip(-700.0, 700.0)))):
        low, high = search.box[("spacing", "offset", "width")[k]]
        if high > low:
            out[(values < low) | (values > high)] = -np.inf
    inside = np.isfinite(out)
    if np.any(inside):
        out[inside] += search.original.log_likelihood_many(search.original_columns(thetas[inside]))
    return out
