"""Exponentials of polynomials over a line, a half-line or an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.pn.closed import ClosedFamily
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import ModelMoments
from sciinf.engines.pn.settings import positive_integer
from sciinf.engines.pn.support import HalfLine, Interval, RealLine, Support

__all__ = ["PolynomialExponential"]

FloatArray = NDArray[np.float64]

_CREEPS = 8  # steps in a row cut to a quarter or less
_VANISHING = 1e-6  # of a polynomial's leading term at one standard deviation


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

    def check_step(self, theta: FloatArray, information: FloatArray, cut: int) -> None:
        """The leading term must not vanish, where it alone keeps the density finite, nor the search creep along where it nearly does.

        There a second mode far out, of hardly any mass, carries the highest moments: steps are cut by the wall at which it takes over.
        """
        if isinstance(self.support, Interval) or self.p == 1:
            return
        if cut > _CREEPS:
            raise DataError(
                f"pn: PolynomialExponential of degree {self.p} has no maximum of the likelihood that is found inside the family: the "
                f"search creeps along its edge, where the term of {(self.names or ())[-1]}, now {theta[-1]:.3g}, all but vanishes and a "
                "far mode of hardly any mass makes up the highest moments. Take a lower degree, or a bounded support"
            )
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
