"""Risks of generalised linear models and of normal regression over a fixed design: totals over its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from sciinf.core.errors import DataError
from sciinf.engines.pn.contractions import third_contractions
from sciinf.engines.pn.moments import Contractions, whitening_root

__all__ = ["GeneralisedDesign", "NormalDesign"]

FloatArray = NDArray[np.float64]


def _whitened(design: FloatArray, variance: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Z = X L with L L' = (X' diag(variance) X)^-1, by QR of the scaled rows."""
    rows = design * np.sqrt(variance)[:, None]
    whitening_root(rows.T @ rows, names)  # or an error that names what is collinear
    scale = np.sqrt(np.sum(rows**2, axis=0))
    root = np.linalg.qr(rows / scale, mode="r") * scale
    return np.asarray(linalg.solve_triangular(root, design.T, trans="T", lower=False).T)


@dataclass(frozen=True, eq=False)
class GeneralisedDesign:
    """A canonical generalised linear model at its fit.

    Attributes
    ----------
    design : (n, p) float64 array
    k2, k3, k4 : (n,) float64 arrays
        Cumulants of a row's response over its dispersion: derivatives of b by the linear predictor, times weights.
    residual : (n,) float64 array
        Response less mean, over the dispersion, times weights.
    names : tuple of str
        Columns.
    """

    design: FloatArray
    k2: FloatArray
    k3: FloatArray
    k4: FloatArray
    residual: FloatArray
    names: tuple[str, ...]

    def model(self) -> Contractions:
        """The model true."""
        z = _whitened(self.design, self.k2, self.names)
        leverage = np.sum(z * z, axis=1)
        vector = z.T @ (self.k3 * leverage)
        a2, b_sum = third_contractions((z, self.k3), np.ones(z.shape[1]))
        return Contractions(float(z.shape[1]), float(vector @ vector), a2, float(self.k4 @ leverage**2), b_sum)

    def sandwich(self, kept: NDArray[np.bool_] | None = None) -> Contractions:
        """The truth as the residuals show it; those of the rows ``kept`` stand for all where given."""
        z = _whitened(self.design, self.k2, self.names)
        truth = z if kept is None else z[kept]
        residual = self.residual if kept is None else self.residual[kept]
        factor = len(z) / len(truth)
        scale, turn = np.linalg.eigh(factor * (truth * (residual**2)[:, None]).T @ truth)
        z, truth = z @ turn, truth @ turn
        spread = z**2 @ scale
        vector = z.T @ (self.k3 * spread)
        a2, b_sum = third_contractions((z, self.k3), scale, (truth, factor * residual**3))
        return Contractions(float(scale.sum()), float(vector @ vector), a2, float(self.k4 @ spread**2), b_sum)

    def shares(self) -> FloatArray:
        """What each row adds to the trace (n,)."""
        z = _whitened(self.design, self.k2, self.names)
        return np.asarray(self.residual**2 * np.sum(z * z, axis=1))


@dataclass(frozen=True, eq=False)
class NormalDesign:
    """Normal regression: q columns and the variance, whose estimate has divisor n.

    Attributes
    ----------
    design : (n, q) float64 array
    residual : (n,) float64 array
    names : tuple of str
        Columns.
    """

    design: FloatArray
    residual: FloatArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n, q = self.design.shape
        if n <= q + 2:
            raise DataError(f"pn: the risk of a regression is infinite where n <= q + 2: n = {n} rows, q = {q} columns")

    @property
    def variance(self) -> float:
        """RSS / n."""
        return float(np.mean(self.residual**2))

    def exact(self) -> float:
        """Total risk of a true model, exact.

        Notes
        -----
        (1/2) [n (digamma((n-q)/2) + ln(2/n)) + n (n+q)/(n-q-2) - n] (derived here).
        """
        n, q = self.design.shape
        return 0.5 * float(n * (float(special.digamma(0.5 * (n - q))) + math.log(2.0 / n)) + n * (n + q) / (n - q - 2.0) - n)

    def model(self) -> Contractions:
        """The model true: p = q + 1 and the second term of the exact risk's expansion, (9 q^2 + 30 q + 22) / (12 n)."""
        n, q = self.design.shape
        a1, a2, k4 = 2.0 * (q + 2.0) ** 2 / n, (6.0 * q + 8.0) / n, (8.0 * q + 12.0) / n
        return Contractions(q + 1.0, a1, a2, k4, a2)

    def sandwich(self, kept: NDArray[np.bool_] | None = None) -> Contractions:
        """The truth as the residuals show it; those of the rows ``kept`` stand for all where given.

        Notes
        -----
        With e the residuals in standard deviations, Z an orthonormal basis of the columns, g = (e^2 - 1) / sqrt(2 n), S_b = Z' diag(e^2) Z,
        s_b = Z'(e g), s_w = g.g, t = tr S_b (derived here from the cumulants of the regression's sufficient statistics).
        """
        n, _ = self.design.shape
        scale = np.maximum(np.sqrt(np.sum(self.design**2, axis=0)), 1e-300)
        gram = (self.design / scale).T @ (self.design / scale)
        whitening_root(gram, self.names)
        z = np.linalg.qr(self.design / scale)[0]
        e = self.residual / math.sqrt(self.variance)
        factor = 1.0
        if kept is not None:
            factor = n / int(np.sum(kept))
            z, e = z[kept], e[kept]
        g = (e * e - 1.0) / math.sqrt(2.0 * n)
        s_b = factor * (z * (e * e)[:, None]).T @ z
        cross = factor * (z.T @ (e * g))
        s_w, t, h = factor * float(g @ g), float(np.trace(s_b)), np.sum(z * z, axis=1)
        c2 = float(cross @ cross)
        return Contractions(
            t + s_w,
            8.0 / n * c2 + 2.0 / n * (t + 2.0 * s_w) ** 2,
            2.0 / n * (float(np.sum(s_b**2)) + 6.0 * c2 + 4.0 * s_w**2 + 2.0 * t * s_w),
            8.0 / n * t * s_w + 16.0 / n * c2 + 12.0 / n * s_w**2,
            factor * float(np.sum(3.0 / n * h * e * e * (e * e - 1.0) + (e * e - 1.0) ** 3 / n**2)),
        )

    def shares(self) -> FloatArray:
        """What each row adds to the trace (n,)."""
        n = len(self.residual)
        z = np.linalg.qr(self.design / np.maximum(np.sqrt(np.sum(self.design**2, axis=0)), 1e-300))[0]
        e2 = self.residual**2 / self.variance
        return np.asarray(e2 * np.sum(z * z, axis=1) + (e2 - 1.0) ** 2 / (2.0 * n))
