"""Continuous families in their usual parameters: order of statistics and theta as in each class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, shown
from sciinf.engines.pn.closed import ClosedFamily, Cumulants, positive
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import GaussianMoments, ModelMoments
from sciinf.engines.pn.settings import positive_integer
from sciinf.engines.pn.support import Box, Circle, HalfLine, Interval, RealLine, Support

__all__ = ["Beta", "Exponential", "Gamma", "InverseGaussian", "MultivariateNormal", "Normal", "PolynomialExponential", "VonMises"]

FloatArray = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)
_VANISHING = 1e-6  # of a polynomial's leading term at one standard deviation


def _finite(owner: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ConfigError(f"{owner}: {name} must be a finite number, got {shown(value)}")
    return float(value)


def _one(first: float, second: float, third: float, fourth: float) -> Cumulants:
    """Cumulants of a single statistic."""
    return np.array([first]), np.array([[second]]), np.array([[[third]]]), np.array([[[[fourth]]]])


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
        return np.array([_finite("Normal", "mean", mean) * precision, -0.5 * precision])

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


class Exponential(ClosedFamily):
    """x: theta = -rate."""

    def __init__(self) -> None:
        super().__init__(HalfLine(0.0), ("x",))

    def natural(self, rate: float) -> FloatArray:
        """Theta of a rate."""
        return np.array([-positive("Exponential", "rate", rate)])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``rate`` of a theta."""
        return {"rate": float(-self.check_theta(theta)[0])}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """x."""
        return x.copy()

    def boundary(self, theta: FloatArray) -> str | None:
        """It must be negative."""
        return None if theta[0] < 0.0 else f"that of x must be negative, got {theta[0]:g}"

    def psi(self, theta: FloatArray) -> float:
        """Its closed form."""
        return -math.log(-theta[0])

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """Cumulants k! / rate^(k+1) less one."""
        scale = -1.0 / float(theta[0])
        return _one(scale, scale**2, 2.0 * scale**3, 6.0 * scale**4)

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Always, for positive observations."""
        del statistics, share

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """1 / mean."""
        (mean,) = finite_array("eta", np.asarray(eta), shape=(1,))
        return self.natural(1.0 / positive("Exponential", "mean of x", float(mean)))

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        return rng.exponential(1.0 / self.usual(theta)["rate"], n)


class Gamma(ClosedFamily):
    """ln x, x: theta = (shape - 1, -1 / scale)."""

    def __init__(self) -> None:
        super().__init__(HalfLine(0.0), ("ln x", "x"))

    def natural(self, shape: float, scale: float) -> FloatArray:
        """Theta of a shape and a scale."""
        return np.array([positive("Gamma", "shape", shape) - 1.0, -1.0 / positive("Gamma", "scale", scale)])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``shape`` and ``scale`` of a theta."""
        one, two = self.check_theta(theta)
        return {"shape": float(one + 1.0), "scale": float(-1.0 / two)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Ln x, x."""
        return np.hstack([np.log(x), x])

    def boundary(self, theta: FloatArray) -> str | None:
        """Shape and scale must be positive."""
        if not theta[0] > -1.0:
            return f"that of ln x must be above -1, got {theta[0]:g}"
        return None if theta[1] < 0.0 else f"that of x must be negative, got {theta[1]:g}"

    def psi(self, theta: FloatArray) -> float:
        """Its closed form."""
        return float(special.gammaln(theta[0] + 1.0) - (theta[0] + 1.0) * math.log(-theta[1]))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """Polygammas of the shape, and powers of the scale."""
        shape, scale = float(theta[0]) + 1.0, -1.0 / float(theta[1])
        poly = [float(special.polygamma(k, shape)) for k in range(4)]
        mean = np.array([poly[0] + math.log(scale), shape * scale])
        g = np.array([[poly[1], scale], [scale, shape * scale**2]])
        third, fourth = np.zeros((2, 2, 2)), np.zeros((2, 2, 2, 2))
        third[0, 0, 0], third[1, 1, 1], fourth[0, 0, 0, 0], fourth[1, 1, 1, 1] = (
            poly[2],
            2.0 * shape * scale**3,
            poly[3],
            6.0 * shape * scale**4,
        )
        for at in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
            third[at] = scale**2
        for four in ((0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)):
            fourth[four] = 2.0 * scale**3
        return mean, g, third, fourth

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Values must differ."""
        x = statistics[share > 0.0, 1]
        if np.ptp(x) == 0.0:
            raise self.missing(f"all observations are {x[0]:g}")

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """Shape from ln mean x - mean ln x, by Newton's method in its logarithm."""
        log_mean, mean = finite_array("eta", np.asarray(eta), shape=(2,))
        gap = math.log(positive("Gamma", "mean of x", float(mean))) - log_mean
        if not gap > 0.0:
            raise self.missing("the mean of ln x is not below the logarithm of that of x")
        start = (3.0 - gap + math.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
        shape = float(
            optimize.brentq(lambda a: math.log(a) - float(special.digamma(a)) - gap, 0.2 * start, 5.0 * start, xtol=1e-300, rtol=1e-15)
        )
        return self.natural(shape, mean / shape)

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        usual = self.usual(theta)
        return rng.gamma(usual["shape"], usual["scale"], n)


class InverseGaussian(ClosedFamily):
    """x, 1/x: theta = (-shape / (2 mean^2), -shape / 2)."""

    def __init__(self) -> None:
        super().__init__(HalfLine(0.0), ("x", "1/x"))

    def natural(self, mean: float, shape: float) -> FloatArray:
        """Theta of a mean and a shape."""
        m, s = positive("InverseGaussian", "mean", mean), positive("InverseGaussian", "shape", shape)
        return np.array([-0.5 * s / m**2, -0.5 * s])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``mean`` and ``shape`` of a theta."""
        one, two = self.check_theta(theta)
        return {"mean": float(math.sqrt(two / one)), "shape": float(-2.0 * two)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """x, 1/x."""
        return np.hstack([x, 1.0 / x])

    def log_base_of(self, x: FloatArray) -> FloatArray:
        """-(3/2) ln x - (1/2) ln 2 pi."""
        return np.asarray(-1.5 * np.log(x[:, 0]) - 0.5 * _LOG_2PI)

    def boundary(self, theta: FloatArray) -> str | None:
        """Both must be negative."""
        for value, name in zip(theta, ("x", "1/x"), strict=True):
            if not value < 0.0:
                return f"that of {name} must be negative, got {value:g}"
        return None

    def psi(self, theta: FloatArray) -> float:
        """-2 sqrt(theta_1 theta_2) - (1/2) ln(-2 theta_2)."""
        return float(-2.0 * math.sqrt(theta[0] * theta[1]) - 0.5 * math.log(-2.0 * theta[1]))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """Of u^(1/2) v^(1/2), u = -theta_1, v = -theta_2, and the logarithm."""
        u, v = -float(theta[0]), -float(theta[1])

        def power(i: int, j: int) -> float:
            """Derivative of -2 sqrt(uv), i times by theta_1 and j times by theta_2."""
            factor = -2.0 * (-1.0) ** (i + j)
            for k in range(i):
                factor *= 0.5 - k
            for k in range(j):
                factor *= 0.5 - k
            return float(factor * u ** (0.5 - i) * v ** (0.5 - j))

        arrays = [np.zeros((2,) * order) for order in (1, 2, 3, 4)]
        for order, array in enumerate(arrays, start=1):
            for at in np.ndindex(*array.shape):
                j = sum(at)
                array[at] = power(order - j, j) + (0.5 * math.factorial(order - 1) / v**order if j == order else 0.0)
        return arrays[0], arrays[1], arrays[2], arrays[3]

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Values must differ."""
        x = statistics[share > 0.0, 0]
        if np.ptp(x) == 0.0:
            raise self.missing(f"all observations are {x[0]:g}")

    def fit_mean(self, eta: ArrayLike, near: FloatArray | None = None) -> FloatArray:
        """1/shape = mean of 1/x - 1/mean."""
        mean, inverse = finite_array("eta", np.asarray(eta), shape=(2,))
        gap = inverse - 1.0 / positive("InverseGaussian", "mean of x", float(mean))
        if not gap > 0.0:
            raise self.missing("the mean of 1/x is not above 1 over that of x")
        return self.natural(mean, 1.0 / gap)

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        usual = self.usual(theta)
        return rng.wald(usual["mean"], usual["shape"], n)


class Beta(ClosedFamily):
    """ln x, ln(1 - x): theta = (alpha - 1, beta - 1)."""

    def __init__(self) -> None:
        super().__init__(Interval(0.0, 1.0), ("ln x", "ln(1-x)"))

    def natural(self, alpha: float, beta: float) -> FloatArray:
        """Theta of two shapes."""
        return np.array([positive("Beta", "alpha", alpha) - 1.0, positive("Beta", "beta", beta) - 1.0])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``alpha`` and ``beta`` of a theta."""
        one, two = self.check_theta(theta)
        return {"alpha": float(one + 1.0), "beta": float(two + 1.0)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Ln x, ln(1 - x)."""
        return np.hstack([np.log(x), np.log1p(-x)])

    def boundary(self, theta: FloatArray) -> str | None:
        """Both must be above -1."""
        for value, name in zip(theta, ("ln x", "ln(1-x)"), strict=True):
            if not value > -1.0:
                return f"that of {name} must be above -1, got {value:g}"
        return None

    def psi(self, theta: FloatArray) -> float:
        """Log of the beta function."""
        return float(special.betaln(theta[0] + 1.0, theta[1] + 1.0))

    def derivatives(self, theta: FloatArray) -> Cumulants:
        """Polygammas."""
        shapes = (float(theta[0]) + 1.0, float(theta[1]) + 1.0)
        arrays = []
        for order in (1, 2, 3, 4):
            array = np.full((2,) * order, -float(special.polygamma(order - 1, sum(shapes))))
            for k in (0, 1):
                array[(k,) * order] += float(special.polygamma(order - 1, shapes[k]))
            arrays.append(array)
        return arrays[0], arrays[1], arrays[2], arrays[3]

    def start(self, mean: FloatArray) -> FloatArray:
        """The uniform law's neighbour that has about this mean."""
        one, two = (math.exp(value) for value in mean)
        size = max(0.5 / max(1.0 - one - two, 1e-12), 1e-2)
        return np.array([one * size + 0.5, two * size + 0.5]) - 1.0

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Values must differ."""
        kept = statistics[share > 0.0, 0]
        if np.ptp(kept) == 0.0:
            raise self.missing(f"all observations are {math.exp(kept[0]):g}")

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,)."""
        usual = self.usual(theta)
        return rng.beta(usual["alpha"], usual["beta"], n)


class VonMises(ClosedFamily):
    """cos x, sin x: theta = kappa (cos mu, sin mu). Its moments come from equal steps on the circle, exact to rounding."""

    def __init__(self) -> None:
        super().__init__(Circle(), ("cos x", "sin x"))

    def natural(self, kappa: float, mu: float) -> FloatArray:
        """Theta of a concentration, which may be 0, and a direction in rad."""
        size = _finite("VonMises", "kappa", kappa)
        if size < 0.0:
            raise ConfigError(f"VonMises: kappa must not be negative, got {kappa:g}")
        angle = _finite("VonMises", "mu", mu)
        return np.array([size * math.cos(angle), size * math.sin(angle)])

    def usual(self, theta: ArrayLike) -> dict[str, float]:
        """``kappa`` and ``mu`` (rad) of a theta."""
        one, two = self.check_theta(theta)
        return {"kappa": math.hypot(one, two), "mu": math.atan2(two, one)}

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Cosine and sine."""
        return np.hstack([np.cos(x), np.sin(x)])

    def psi(self, theta: FloatArray) -> float:
        """Ln 2 pi I0(kappa)."""
        size = math.hypot(theta[0], theta[1])
        return _LOG_2PI + math.log(float(special.i0e(size))) + size

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """By nodes."""
        return ExponentialFamily.state(self, theta)

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """None."""
        del theta
        return None

    def start(self, mean: FloatArray) -> FloatArray:
        """R (2 - R^2) / (1 - R^2) along the mean direction (Banerjee et al. 2005, JMLR 6, 1345)."""
        r2 = min(float(mean @ mean), 1.0 - 1e-12)
        return np.asarray(mean * (2.0 - r2) / (1.0 - r2))

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """Directions must differ."""
        if float(np.linalg.norm(share @ statistics)) >= 1.0 - 1e-12:
            raise self.missing("all directions are the same")

    def simulate(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> FloatArray:
        """``n`` draws (n,) in rad."""
        usual = self.usual(theta)
        return rng.vonmises(usual["mu"], usual["kappa"], n)


class PolynomialExponential(ClosedFamily):
    """x, x^2 .. x^degree over a line, a half-line or an interval, by quadrature.

    Raises
    ------
    ConfigError
        On the real line, if the degree is odd.
    """

    def __init__(self, degree: int, support: Support) -> None:
        positive_integer("degree", degree)
        if not isinstance(support, RealLine | HalfLine | Interval):
            raise ConfigError(f"PolynomialExponential: support must be RealLine, HalfLine or Interval, got {shown(support)}")
        if isinstance(support, RealLine) and degree % 2:
            raise ConfigError(f"PolynomialExponential: on the real line the degree must be even, or no density is finite; got {degree}")
        super().__init__(support, tuple("x" if k == 1 else f"x^{k}" for k in range(1, degree + 1)))

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Powers."""
        return np.asarray(np.multiply.accumulate(np.repeat(x, self.p, axis=1), axis=1))

    def compiled_density(self, theta: FloatArray) -> tuple[Any, Any, FloatArray]:
        """Powers."""
        from sciinf.engines.pn.kernels import powers

        return powers, None, theta

    def natural(self, theta: ArrayLike) -> FloatArray:
        """Theta itself, checked."""
        return self.check_theta(theta)

    def usual(self, theta: ArrayLike) -> dict[str, FloatArray]:
        """``theta``."""
        return {"theta": self.check_theta(theta)}

    def boundary(self, theta: FloatArray) -> str | None:
        """Towards infinity the leading term must be negative."""
        if isinstance(self.support, Interval) or theta[-1] < 0.0:
            return None
        return f"that of {(self.names or ())[-1]} must be negative, got {theta[-1]:g}: the density cannot be normalised"

    def hints(self, theta: FloatArray) -> FloatArray | None:
        """Real roots of the derivative."""
        derivative = np.arange(1, self.p + 1) * theta
        roots = np.roots(derivative[::-1])
        return np.sort(roots[np.abs(roots.imag) < 1e-6 * (1.0 + np.abs(roots))].real)

    def log_partition(self, theta: ArrayLike) -> float:
        """psi by quadrature."""
        return ExponentialFamily.log_partition(self, theta)

    def state(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """By nodes."""
        return ExponentialFamily.state(self, theta)

    def closed_moments(self, theta: FloatArray) -> ModelMoments | None:
        """None."""
        del theta
        return None

    def start(self, mean: FloatArray) -> FloatArray:
        """A normal law of the same mean and variance, with a small leading term of the right sign."""
        theta = np.zeros(self.p)
        if isinstance(self.support, Interval) or self.p < 2:
            theta[-1] = 0.0 if isinstance(self.support, Interval) else -1.0
            return theta
        variance = max(mean[1] - mean[0] ** 2, 1e-12 * max(mean[1], 1e-300))
        theta[0], theta[1] = mean[0] / variance, -0.5 / variance
        if self.p > 2:
            theta[-1] -= 1e-3 * variance ** (-0.5 * self.p)
        return theta

    def check_step(self, theta: FloatArray, information: FloatArray) -> None:
        """The leading term must not vanish, where it alone keeps the density finite."""
        if isinstance(self.support, Interval) or self.p == 1:
            return
        spread = information[0, 0] ** (0.5 * self.p)
        if abs(theta[-1]) * spread < _VANISHING:
            raise self.missing(
                f"the likelihood rises towards a vanishing term of {(self.names or ())[-1]}, where the family ends: the data "
                "have heavier tails than it. Take a lower degree, or a bounded support"
            )

    def check_exists(self, statistics: FloatArray, share: FloatArray) -> None:
        """At least as many different values as the degree, and one more."""
        distinct = len(np.unique(statistics[share > 0.0, 0]))
        if distinct <= self.p // 2:
            raise self.missing(f"{distinct} different observations determine no polynomial of degree {self.p}")
