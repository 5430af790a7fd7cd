"""Normal laws in their usual parameters: order of statistics and theta as in each class."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError
from sciinf.engines.pn.closed import ClosedFamily, Cumulants, finite, positive
from sciinf.engines.pn.moments import GaussianMoments, ModelMoments
from sciinf.engines.pn.settings import positive_integer
from sciinf.engines.pn.support import Box, RealLine

__all__ = ["MultivariateNormal", "Normal"]

FloatArray = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)


class Normal(ClosedFamily):
    """x, x^2: theta = (mean / sd^2, -1 / (2 sd^2)).

    Examples
    --------
    >>> round(Normal().cumulants(Normal().natural(1.0, 2.0)).b, 6)  # 61/12
    5.083333
    """

    def __init__(self) -> None:
        super().__init__(RealLine(), ("x", "x^2"))

    def natural(self, mean: float, sd: float) -> FloatArray:
        """Theta of a mean and a standard deviation."""
        precision = positive("Normal", "sd", sd) ** -2.0
        return np.array([finite("Normal", "mean", mean) * precision, -0.5 * precision])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``mean`` and ``sd`` of a theta."""
        one, two = self.check_theta(theta)
        return {"mean": float(-0.5 * one / two), "sd": float((-2.0 * two) ** -0.5)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """x, x^2."""
        return np.hstack([x, x**2])

    def boundary(self, theta: FloatArray) -> str | None:
        """The second must be negative."""
        return None if theta[1] < 0.0 else f"that of x^2 must be negative, got {theta[1]:g}"

    def psi(self, theta: FloatArray) -> float:
        """Its closed form."""
        return float(-(theta[0] ** 2) / (4.0 * theta[1]) + 0.5 * math.log(math.pi / -theta[1]))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """By the affine map from the standardised law, whose statistics z, z^2 have known cumulants."""
        usual = self.usual(theta)
        m, s = usual["mean"], usual["sd"]
        third, fourth = np.zeros((2, 2, 2)), np.zeros((2, 2, 2, 2))
        for at in ((0, 0, 1), (0, 1, 0), (1, 0, 0)):
            third[at] = 2.0
        third[1, 1, 1] = 8.0
        for four in ((0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0)):
            fourth[four] = 8.0
        fourth[1, 1, 1, 1] = 48.0
        turn = np.array([[s, 0.0], [2.0 * m * s, s * s]])
        return (
            np.array([m, m * m + s * s]),
            turn @ np.diag([1.0, 2.0]) @ turn.T,
            np.einsum("abc,ia,jb,kc->ijk", third, turn, turn, turn),
            np.einsum("abcd,ia,jb,kc,ld->ijkl", fourth, turn, turn, turn, turn),
        )

    def closed_moments(self, theta: FloatArray) -> ModelMoments:
        """Those of the multivariate law in one dimension."""
        usual = self.usual(theta)
        return GaussianMoments(np.array([usual["mean"]]), np.array([[usual["sd"] ** 2]]))

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Values must differ."""
        x = statistics[share > 0.0, 0]
        if np.ptp(x) == 0.0:
            raise self.missing(f"all observations are {x[0]:g}")

    def fit_statistics(self, statistics: FloatArray, share: FloatArray, near: FloatArray | None = None) -> FloatArray:
        """Mean and standard deviation with divisor n."""
        self.check_exists(statistics, share)
        mean = float(share @ statistics[:, 0])
        return self.natural(mean, math.sqrt(float(share @ (statistics[:, 0] - mean) ** 2)))

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """From E x and E x^2."""
        first, second = finite_array("eta", np.asarray(eta), shape=(2,))
        if not second > first * first:
            raise self.missing("the mean of x^2 is not above the square of that of x")
        return self.natural(first, math.sqrt(second - first * first))

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        usual = self.usual(theta)
        return rng.normal(usual["mean"], usual["sd"], n)


class MultivariateNormal(ClosedFamily):
    """x_1 .. x_d, then x_i x_j with i <= j, row by row."""

    def __init__(self, d: int) -> None:
        positive_integer("d", d)
        pairs = [f"x{i + 1} x{j + 1}" for i in range(d) for j in range(i, d)]
        big = 1e300
        super().__init__(RealLine() if d == 1 else Box((-big,) * d, (big,) * d), (*(f"x{i + 1}" for i in range(d)), *pairs))
        object.__setattr__(self, "d", int(d))

    d: int

    def natural(self, mean: ArrayLike, cov: ArrayLike) -> FloatArray:
        """Theta of a mean (d,) and a covariance (d, d).

        Raises
        ------
        ConfigError
            If the covariance is not symmetric and positive definite.
        """
        m, c = finite_array("mean", mean, shape=(self.d,)), finite_array("cov", cov, shape=(self.d, self.d))
        try:
            np.linalg.cholesky(c)
        except np.linalg.LinAlgError:
            raise ConfigError("MultivariateNormal: cov must be positive definite") from None
        if not np.allclose(c, c.T, rtol=1e-10, atol=0.0):
            raise ConfigError("MultivariateNormal: cov must be symmetric")
        precision = np.linalg.inv(c)
        i, j = np.triu_indices(self.d)
        return np.concatenate([precision @ m, np.where(i == j, -0.5, -1.0) * precision[i, j]])

    def _precision(self, theta: FloatArray) -> FloatArray:
        precision = np.zeros((self.d, self.d))
        i, j = np.triu_indices(self.d)
        precision[i, j] = np.where(i == j, -2.0, -1.0) * theta[self.d :]
        precision[j, i] = precision[i, j]
        return precision

    def usual(self, theta: ArrayLike) -> dict[str, FloatArray]:
        """``mean`` (d,) and ``cov`` (d, d) of a theta."""
        values = self.check_theta(theta)
        cov = np.asarray(np.linalg.inv(self._precision(values)), dtype=np.float64)
        return {"mean": cov @ values[: self.d], "cov": cov}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """The coordinates and their products."""
        i, j = np.triu_indices(self.d)
        return np.hstack([x, x[:, i] * x[:, j]])

    def boundary(self, theta: FloatArray) -> str | None:
        """The precision must be positive definite."""
        try:
            np.linalg.cholesky(self._precision(theta))
        except np.linalg.LinAlgError:
            return "the precision matrix that those of the products make must be positive definite"
        return None

    def psi(self, theta: FloatArray) -> float:
        """Its closed form."""
        factor = np.linalg.cholesky(self._precision(theta))
        half = np.linalg.solve(factor, theta[: self.d])
        return float(0.5 * half @ half - np.log(np.diag(factor)).sum() + 0.5 * self.d * _LOG_2PI)

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """In closed form."""
        usual = self.usual(theta)
        return self.psi(theta), self.mean(theta), GaussianMoments(usual["mean"], usual["cov"]).fisher

    def mean(self, theta: ArrayLike) -> FloatArray:
        """E T (p,)."""
        usual = self.usual(theta)
        i, j = np.triu_indices(self.d)
        return np.concatenate([usual["mean"], (usual["cov"] + np.outer(usual["mean"], usual["mean"]))[i, j]])

    def closed_moments(self, theta: FloatArray) -> ModelMoments:
        """`GaussianMoments`."""
        usual = self.usual(theta)
        return GaussianMoments(usual["mean"], usual["cov"])

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """More observations than dimensions, and no direction without spread."""
        kept = statistics[share > 0.0, : self.d]
        if len(kept) <= self.d:
            raise self.missing(f"{len(kept)} observations of {self.d} dimensions: more than d are needed")
        centred = kept - kept.mean(axis=0)
        spread = np.maximum(np.sqrt(np.mean(centred**2, axis=0)), 1e-300)
        if np.linalg.svd(centred / spread, compute_uv=False)[-1] < 1e-10 * math.sqrt(len(kept)):
            raise self.missing("a linear combination of the columns is constant")

    def fit_statistics(self, statistics: FloatArray, share: FloatArray, near: FloatArray | None = None) -> FloatArray:
        """Mean and covariance with divisor n."""
        self.check_exists(statistics, share)
        x = statistics[:, : self.d]
        mean = share @ x
        centred = x - mean
        return self.natural(mean, (centred * share[:, None]).T @ centred)

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """From the means of the coordinates and their products."""
        values = finite_array("eta", np.asarray(eta), shape=(self.p,))
        mean, second = values[: self.d], np.zeros((self.d, self.d))
        i, j = np.triu_indices(self.d)
        second[i, j] = second[j, i] = values[self.d :]
        cov = second - np.outer(mean, mean)
        if np.linalg.eigvalsh(cov)[0] <= 0.0:
            raise self.missing("the covariance that these means imply is not positive definite")
        return self.natural(mean, cov)

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n, d)."""
        usual = self.usual(theta)
        return rng.standard_normal((n, self.d)) @ np.linalg.cholesky(usual["cov"]).T + usual["mean"]
