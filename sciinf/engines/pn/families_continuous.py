"""Positive, bounded and circular families in their usual parameters: order of statistics and theta as in each class."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError
from sciinf.engines.pn.closed import ClosedFamily, Cumulants, finite, positive
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import ModelMoments
from sciinf.engines.pn.support import Circle, HalfLine, Interval

__all__ = ["Beta", "Exponential", "Gamma", "InverseGaussian", "VonMises"]

FloatArray = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)


def _one(first: float, second: float, third: float, fourth: float) -> Cumulants:
    """Cumulants of a single statistic."""
    return np.array([first]), np.array([[second]]), np.array([[[third]]]), np.array([[[[fourth]]]])


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
        size = finite("VonMises", "kappa", kappa)
        if size < 0.0:
            raise ConfigError(f"VonMises: kappa must not be negative, got {kappa:g}")
        angle = finite("VonMises", "mu", mu)
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
