"""Moments of a family's statistics at one theta, in whitened form, and what a risk takes from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from sciinf.core.errors import DataError
from sciinf.engines.pn.contractions import first_contraction, fourth_contraction, third_contractions

__all__ = ["Contractions", "DenseMoments", "GaussianMoments", "ModelMoments", "NodeMoments", "whitening_root"]

FloatArray = NDArray[np.float64]

_RANK = 1e-10  # smallest eigenvalue of the information scaled to a unit diagonal


@dataclass(frozen=True)
class Contractions:
    """tr(G^-1 Sigma), and the four second-order terms."""

    trace: float
    A1: float
    A2: float
    K4: float
    B: float

    @property
    def b(self) -> float:
        """Coefficient of 1/n^2 in the risk."""
        return -self.B / 3.0 + 3.0 * (self.A1 - self.K4) / 8.0 + 0.75 * self.A2

    @property
    def optimism(self) -> float:
        """Coefficient of 1/n^2 in the optimism of the mean log-likelihood."""
        return 0.5 * (self.A1 + 2.0 * self.A2 - self.K4 - self.B)


class ModelMoments(Protocol):
    """The model's side of a risk."""

    @property
    def fisher(self) -> FloatArray:
        """G (p, p)."""
        ...

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """With a truth given by statistics (n, p) and weights (n,) that sum to one, of the model's mean; with None the model is true."""
        ...

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """What each row adds to the trace, (n,)."""
        ...


def whitening_root(information: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Upper triangular R with R'R = G.

    Raises
    ------
    DataError
        If G is singular to working precision; names the combination of statistics that does not vary.
    """
    scale = np.sqrt(np.diag(information))
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0.0):
        dead = [name for name, value in zip(names, scale, strict=True) if not value > 0.0]
        raise DataError(f"pn: the information is singular: {', '.join(dead) or 'a statistic'} does not vary (rank below p = {len(names)})")
    scaled = information / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] < _RANK:
        null = vectors[:, 0] / scale
        null = null / np.max(np.abs(null))
        terms = " ".join(f"{value:+.3g} {name}" for name, value in zip(names, null, strict=True) if abs(value) > 1e-6)
        rank = int(np.sum(values >= _RANK))
        raise DataError(
            f"pn: the information is singular to working precision, rank {rank} of p = {len(names)}: {terms} does not vary. "
            "Leave one of these statistics out"
        )
    return np.asarray(linalg.cholesky(information, lower=False))


@dataclass(frozen=True, eq=False)
class NodeMoments:
    """From nodes: statistics (n, p) and probabilities (n,)."""

    statistics: FloatArray
    weights: FloatArray
    names: tuple[str, ...]
    mean: FloatArray
    root: FloatArray

    @classmethod
    def of(cls, statistics: FloatArray, weights: FloatArray, names: tuple[str, ...]) -> NodeMoments:
        """Centred and factored: by QR of the weighted rows, whose error is that of the rows and not of their squares."""
        mean = weights @ statistics
        centred = statistics - mean
        rows = centred * np.sqrt(weights)[:, None]
        whitening_root(rows.T @ rows, names)  # or an error that names what does not vary
        scale = np.sqrt(np.sum(rows**2, axis=0))
        root = np.linalg.qr(rows / scale, mode="r") * scale
        return cls(statistics, weights, names, mean, np.asarray(root * np.sign(np.diag(root))[:, None]))

    @property
    def fisher(self) -> FloatArray:
        """G (p, p)."""
        return np.asarray(self.root.T @ self.root)

    def whitened(self, statistics: FloatArray) -> FloatArray:
        """Rows of statistics (n, p), centred on the model's mean, in units of its covariance."""
        return np.asarray(linalg.solve_triangular(self.root, (statistics - self.mean).T, trans="T", lower=False).T)

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """See `ModelMoments`."""
        rows, p = self.whitened(self.statistics), len(self.mean)
        if statistics is None or weights is None:
            scale = np.ones(p)
            a2, b_sum = third_contractions((rows, self.weights), scale)
            return Contractions(
                float(p), first_contraction(rows, self.weights, scale), a2, fourth_contraction(rows, self.weights, scale), b_sum
            )
        truth = self.whitened(statistics)
        scale, turn = np.linalg.eigh((truth * weights[:, None]).T @ truth)
        rows, truth = rows @ turn, truth @ turn
        a2, b_sum = third_contractions((rows, self.weights), scale, (truth, weights))
        return Contractions(
            float(scale.sum()), first_contraction(rows, self.weights, scale), a2, fourth_contraction(rows, self.weights, scale), b_sum
        )

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """See `ModelMoments`."""
        return np.asarray(weights * np.sum(self.whitened(statistics) ** 2, axis=1))


@dataclass(frozen=True, eq=False)
class DenseMoments:
    """Cumulants of few statistics: mean (p,), G (p, p), third (p, p, p) and fourth (p, p, p, p)."""

    mean: FloatArray
    fisher: FloatArray
    third: FloatArray
    fourth: FloatArray
    names: tuple[str, ...]

    def _whitening(self) -> FloatArray:
        root = whitening_root(self.fisher, self.names)
        return np.asarray(linalg.solve_triangular(root, np.eye(len(root)), lower=False))

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """See `ModelMoments`."""
        inverse = self._whitening()
        third = np.einsum("abc,ai,bj,ck->ijk", self.third, inverse, inverse, inverse)
        fourth = np.einsum("abcd,ai,bj,ck,dl->ijkl", self.fourth, inverse, inverse, inverse, inverse)
        covariance, true_third = np.eye(len(inverse)), third
        if statistics is not None and weights is not None:
            rows = (statistics - self.mean) @ inverse
            covariance = (rows * weights[:, None]).T @ rows
            true_third = np.einsum("n,na,nb,nc->abc", weights, rows, rows, rows)
        vector = np.einsum("abe,ab->e", third, covariance)
        return Contractions(
            float(np.trace(covariance)),
            float(vector @ vector),
            float(np.einsum("ace,bde,ab,cd->", third, third, covariance, covariance)),
            float(np.einsum("abcd,ab,cd->", fourth, covariance, covariance)),
            float(np.sum(third * true_third)),
        )

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """See `ModelMoments`."""
        return np.asarray(weights * np.sum(((statistics - self.mean) @ self._whitening()) ** 2, axis=1))


@dataclass(frozen=True, eq=False)
class GaussianMoments:
    """Of the normal law of d dimensions, whose statistics are x_1 .. x_d and then the products x_i x_j, i <= j."""

    mean_x: FloatArray
    covariance_x: FloatArray

    @property
    def dim(self) -> int:
        """d."""
        return len(self.mean_x)

    @property
    def fisher(self) -> FloatArray:
        """G (p, p): covariances of the statistics, by Isserlis' theorem."""
        mean, cov = self.mean_x, self.covariance_x
        i, j = np.triu_indices(self.dim)
        cross = cov[:, i] * mean[j] + cov[:, j] * mean[i]
        quadratic = (
            cov[np.ix_(i, i)] * cov[np.ix_(j, j)] + cov[np.ix_(i, j)] * cov[np.ix_(j, i)]
            + mean[i][:, None] * mean[i] * cov[np.ix_(j, j)] + mean[i][:, None] * mean[j] * cov[np.ix_(j, i)]
            + mean[j][:, None] * mean[i] * cov[np.ix_(i, j)] + mean[j][:, None] * mean[j] * cov[np.ix_(i, i)]
        )  # fmt: skip
        return np.block([[cov, cross], [cross.T, quadratic]])

    def _rows(self, statistics: FloatArray) -> FloatArray:
        factor = np.linalg.cholesky(self.covariance_x)
        return np.asarray(linalg.solve_triangular(factor, (statistics[:, : self.dim] - self.mean_x).T, lower=True).T)

    def contract(self, statistics: FloatArray | None = None, weights: FloatArray | None = None) -> Contractions:
        """See `ModelMoments`.

        Notes
        -----
        With z the whitened data, rho = z.z and means over the data: R2 = mean rho^2, R3 = mean rho^3, F the squared norm of mean rho zz',
        f of mean rho z, m3 and m4 those of the third and fourth moments of z (derived here from the cumulants of the statistics).
        """
        d = self.dim
        if statistics is None or weights is None:
            r2, r3 = float(d * (d + 2)), float(d * (d + 2) * (d + 4))
            f2, f1, m3, m4 = float(d * (d + 2) ** 2), 0.0, 0.0, float(3 * d * (d + 2))
        else:
            z = self._rows(statistics)
            rho = np.sum(z * z, axis=1)
            r2, r3 = float(weights @ rho**2), float(weights @ rho**3)
            f2 = float(np.sum((z.T @ (z * (weights * rho)[:, None])) ** 2))
            f1 = float(np.sum(((weights * rho) @ z) ** 2))
            i, j = np.triu_indices(d)
            pairs = z[:, i] * z[:, j]
            count = np.where(i == j, 1.0, 2.0)
            m3 = float(np.sum(count[:, None] * (pairs.T @ (z * weights[:, None])) ** 2))
            m4 = float(np.sum(np.outer(count, count) * (pairs.T @ (pairs * weights[:, None])) ** 2))
        return Contractions(
            0.5 * (r2 + d),
            4.0 * f1 + 2.0 * f2,
            f2 + m4 + 2.0 * f1 + 4.0 * m3 - 2.0 * r2 + d * d + d,
            2.0 * f2 + m4 + 4.0 * f1 + 4.0 * m3 - 2.0 * r2 - d,
            r3 - d,
        )

    def shares(self, statistics: FloatArray, weights: FloatArray) -> FloatArray:
        """See `ModelMoments`."""
        rho = np.sum(self._rows(statistics) ** 2, axis=1)
        return np.asarray(weights * 0.5 * (rho**2 + self.dim))
