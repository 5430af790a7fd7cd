"""Any other parametric model: its own log-density, score, Hessian, simulator and fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.arrays import finite_array
from sciinf.core.errors import ConfigError, ConvergenceError, DataError, LikelihoodError, shown
from sciinf.engines.pn.nodes import has_rule, rule_of
from sciinf.engines.pn.support import Support

if TYPE_CHECKING:
    from sciinf.engines.pn.bootstrap import Replicates

__all__ = ["FirstOrder", "ParametricModel"]

FloatArray = NDArray[np.float64]

_COMMON = 20_000  # draws for what has no closed form
_AGREE = 1e-4  # of score and Hessian with central differences, relative to the largest entry
_CHECKED = 20  # observations at which they are compared


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """First order of the risk under observed data.

    Attributes
    ----------
    trace : float
        tr(I K J K).
    shares : (n,) float64 array
        What each observation adds to it.
    observed : bool
        Whether minus the mean Hessian of the data stands for the information, which could not be integrated.
    """

    trace: float
    shares: FloatArray
    observed: bool


@dataclass(frozen=True, eq=False)
class ParametricModel:
    """A density with parameters theta (p,), for the first order of the risk and for its bootstrap.

    Parameters
    ----------
    logpdf : callable
        ``logpdf(x, theta) -> (n,)``, x (n,) or (n, dim).
    score : callable
        ``score(x, theta) -> (n, p)``: its gradient by theta.
    hessian : callable
        ``hessian(x, theta) -> (n, p, p)``.
    simulate : callable
        ``simulate(theta, n, rng) -> x``.
    fit : callable
        ``fit(x) -> theta``: the maximum of the likelihood; a ``DataError`` where there is none.
    kl : callable, optional
        ``kl(theta_a, theta_b) -> float``: KL[a | b]. Without it, by quadrature over ``support``, else by 20,000 common draws.
    support : Support, optional
        Where x lives; with it the information is integrated.
    names : tuple of str, optional
        Of the parameters.

    Raises
    ------
    ConfigError
        If something that must be called cannot be, or the support is none.

    Examples
    --------
    A normal law whose standard deviation is known:

    >>> from sciinf.engines.pn import RealLine
    >>> model = ParametricModel(
    ...     logpdf=lambda x, theta: -0.5 * (x - theta[0]) ** 2 - 0.5 * np.log(2.0 * np.pi),
    ...     score=lambda x, theta: (x - theta[0])[:, None],
    ...     hessian=lambda x, theta: np.full((len(x), 1, 1), -1.0),
    ...     simulate=lambda theta, n, rng: rng.normal(theta[0], 1.0, n),
    ...     fit=lambda x: np.array([np.mean(x)]),
    ...     support=RealLine(),
    ... )
    >>> x = np.array([-1.0, 0.0, 0.5, 2.5])
    >>> round(model.first_order(x).trace, 6), round(float(np.var(x)), 6)  # the variance of the data over that of the model
    (1.625, 1.625)
    """

    logpdf: Callable[[Any, FloatArray], Any]
    score: Callable[[Any, FloatArray], Any]
    hessian: Callable[[Any, FloatArray], Any]
    simulate: Callable[[FloatArray, int, np.random.Generator], Any]
    fit: Callable[[Any], Any]
    kl: Callable[[FloatArray, FloatArray], float] | None = None
    support: Support | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("logpdf", "score", "hessian", "simulate", "fit", "kl"):
            value = getattr(self, name)
            if not callable(value) and not (name == "kl" and value is None):
                raise ConfigError(f"ParametricModel: {name} must be a function, got {shown(value)}")
        if self.support is not None and not isinstance(self.support, Support):
            raise ConfigError(f"ParametricModel: support must be a support such as RealLine(), got {shown(self.support)}")

    def name_of(self, k: int) -> str:
        """Of parameter ``k``."""
        return self.names[k] if self.names is not None else f"theta_{k + 1}"

    def estimate(self, x: Any) -> FloatArray:
        """``fit`` with its result checked."""
        theta = finite_array("ParametricModel: fit", np.atleast_1d(np.asarray(self.fit(x), dtype=np.float64)), shape=(-1,))
        if self.names is not None and len(theta) != len(self.names):
            raise DataError(f"ParametricModel: fit gave {len(theta)} parameters, names are {self.names}")
        return theta

    def check_derivatives(self, x: Any, theta: FloatArray) -> None:
        """Compare score and Hessian with central differences at a few observations.

        Raises
        ------
        LikelihoodError
            If one differs by more than 1e-4 of the largest entry; names the parameters, the analytic and the numeric value.
        """
        some = x[:_CHECKED]
        p = len(theta)
        score, hessian = np.asarray(self.score(some, theta)), np.asarray(self.hessian(some, theta))
        for label, got, shape in (("score", score, (len(some), p)), ("hessian", hessian, (len(some), p, p))):
            if got.shape != shape:
                raise LikelihoodError(f"ParametricModel: {label} must have shape {shape}, got {got.shape}")
        for k in range(p):
            step = np.zeros(p)
            step[k] = 6e-6 * max(abs(float(theta[k])), 1.0)
            up, down = theta + step, theta - step
            numeric = (np.asarray(self.logpdf(some, up)) - np.asarray(self.logpdf(some, down))) / (2.0 * step[k])
            self._compare(f"score of {self.name_of(k)}", score[:, k], numeric, float(np.max(np.abs(score))))
            numeric = (np.asarray(self.score(some, up)) - np.asarray(self.score(some, down))) / (2.0 * step[k])
            for j in range(p):
                label = f"Hessian of {self.name_of(j)} and {self.name_of(k)}"
                self._compare(label, hessian[:, j, k], numeric[:, j], float(np.max(np.abs(hessian))))

    @staticmethod
    def _compare(label: str, analytic: FloatArray, numeric: FloatArray, size: float) -> None:
        off = np.abs(analytic - numeric)
        if not np.all(off <= _AGREE * max(size, 1e-8)):
            first = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
            raise LikelihoodError(
                f"ParametricModel: the {label} is {analytic[first]:.8g} at observation {first}, central differences give "
                f"{numeric[first]:.8g}: mend the derivative"
            )

    def _nodes(self, theta: FloatArray) -> tuple[Any, FloatArray] | None:
        """x and probabilities of a rule over the density at theta; None without a support that has one."""
        if self.support is None or not has_rule(self.support) or (self.support.dim > 1 and not self.support.is_finite):
            return None

        def shaped(points: FloatArray) -> FloatArray:
            return points[:, 0] if points.shape[1] == 1 else points

        def log_density(points: FloatArray) -> FloatArray:
            return np.asarray(self.logpdf(shaped(points), theta), dtype=np.float64)

        def first_derivatives(points: FloatArray) -> FloatArray:
            return np.asarray(self.score(shaped(points), theta), dtype=np.float64)

        rule = rule_of(self.support, log_density, first_derivatives)
        if rule.refined is not None:
            rule = rule.refined()
        density = np.exp(log_density(rule.points) + rule.log_measure)
        if abs(float(density.sum()) - 1.0) > 1e-6:
            raise LikelihoodError(f"ParametricModel: the density at theta = {theta.tolist()} has the integral {density.sum():.8g}, not 1")
        return shaped(rule.points[density > 0.0]), density[density > 0.0]

    def information(self, theta: FloatArray) -> FloatArray | None:
        """Minus the mean Hessian under the model (p, p); None where it cannot be integrated."""
        nodes = self._nodes(theta)
        if nodes is None:
            return None
        return np.asarray(-np.einsum("n,njk->jk", nodes[1], np.asarray(self.hessian(nodes[0], theta))), dtype=np.float64)

    def first_order(self, data: ArrayLike, theta: FloatArray | None = None) -> FirstOrder:
        """tr(I K J K) under the law of the data, at their estimate.

        Raises
        ------
        LikelihoodError
            If score or Hessian disagree with differences.
        DataError
            If the data are malformed or the Hessian is singular.
        """
        x = self.observations(data)
        best = self.estimate(x) if theta is None else theta
        self.check_derivatives(x, best)
        score = np.asarray(self.score(x, best), dtype=np.float64)
        inner = _inverse(-np.mean(np.asarray(self.hessian(x, best)), axis=0), "the data's mean Hessian")
        information = self.information(best)
        middle = inner @ (np.linalg.inv(inner) if information is None else information) @ inner
        shares = np.einsum("na,ab,nb->n", score, middle, score) / len(x)
        return FirstOrder(float(shares.sum()), shares, information is None)

    def observations(self, data: ArrayLike) -> FloatArray:
        """Data as (n,) or (n, dim) finite numbers, at least two, in the support where one is given."""
        x = np.asarray(data, dtype=np.float64)
        if x.ndim not in (1, 2) or len(x) < 2:
            raise DataError(f"ParametricModel: data must be (n,) or (n, dim) with n of at least 2, got shape {x.shape}")
        x = finite_array("data", x, shape=(-1,) if x.ndim == 1 else (-1, x.shape[1]))
        if self.support is not None:
            outside = ~self.support.contains(x[:, None] if x.ndim == 1 else x)
            if outside.any():
                first = int(np.argmax(outside))
                raise DataError(f"ParametricModel: observation {first} is {x[first]}, outside {self.support} ({int(outside.sum())} such)")
        return x

    def simulated(self, theta: ArrayLike, n: int, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of data simulated at theta."""
        values = finite_array("theta", np.atleast_1d(np.asarray(theta, dtype=np.float64)), shape=(-1,))
        common = np.asarray(self.simulate(values, _COMMON, rng))
        self.check_derivatives(common, values)
        information = self.information(values)
        scores = np.asarray(self.score(common, values))
        error = 0.0
        if information is None:  # the score's covariance is the information; from draws, with their error in the mean of Q
            information = -np.mean(np.asarray(self.hessian(common, values)), axis=0)
            inverse = _inverse(information, "the model's information")
            own = np.einsum("na,ab,nb->n", scores, inverse, scores)
            trace, error = float(np.mean(own)), float(np.std(own)) / math.sqrt(_COMMON) / (2.0 * n)
        else:
            inverse, trace = _inverse(information, "the model's information"), float(len(values))

        def draw(_: int) -> FloatArray:
            return np.asarray(self.simulate(values, n, rng))

        return self._refits(draw, values, n, replicates, inverse, trace, common, error)

    def resampled(self, data: ArrayLike, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of data drawn from the data."""
        x = self.observations(data)
        best = self.estimate(x)
        first = self.first_order(x, best)
        inner = _inverse(-np.mean(np.asarray(self.hessian(x, best)), axis=0), "the data's mean Hessian")
        information = self.information(best)
        middle = inner @ (np.linalg.inv(inner) if information is None else information) @ inner
        common = np.asarray(self.simulate(best, _COMMON, rng))

        def draw(_: int) -> FloatArray:
            return np.asarray(x[rng.integers(0, len(x), len(x))])

        return self._refits(draw, best, len(x), replicates, middle, first.trace, common, 0.0)

    def _refits(
        self, draw: Callable[[int], FloatArray], theta: FloatArray, n: int, replicates: int, middle: FloatArray, trace: float,
        common: FloatArray, error: float,
    ) -> Replicates:  # fmt: skip
        from sciinf.engines.pn.bootstrap import Replicates

        divergence, quadratic, reasons = np.zeros(replicates), np.zeros(replicates), {}
        judge = _Divergence(self, theta, common)
        for r in range(replicates):
            x = draw(r)
            mean = np.mean(np.asarray(self.score(x, theta)), axis=0)
            quadratic[r] = 0.5 * float(mean @ middle @ mean)
            try:
                divergence[r] = judge(self.estimate(x))
            except (DataError, ConvergenceError, LikelihoodError) as failed:
                reasons[r] = str(failed)
            else:
                if not math.isfinite(divergence[r]):
                    reasons[r] = "the divergence of the refit is not finite"
        return Replicates(divergence, quadratic, trace / (2.0 * n), reasons, math.hypot(error, judge.error))


class _Divergence:
    """KL[theta | other]: the model's own, by quadrature at theta, or over common draws from it."""

    def __init__(self, model: ParametricModel, theta: FloatArray, common: FloatArray) -> None:
        self.model, self.theta = model, theta
        nodes = None if model.kl is not None else model._nodes(theta)
        self.x: Any = common if nodes is None else nodes[0]
        self.weights: FloatArray = np.full(len(common), 1.0 / len(common)) if nodes is None else nodes[1]
        self.drawn = model.kl is None and nodes is None
        self.here = np.asarray(model.logpdf(self.x, theta))
        self.sums, self.count = np.zeros(len(self.x)), 0

    def __call__(self, other: FloatArray) -> float:
        if self.model.kl is not None:
            return float(self.model.kl(self.theta, other))
        difference = self.here - np.asarray(self.model.logpdf(self.x, other))
        if self.drawn and np.all(np.isfinite(difference)):
            self.sums += difference
            self.count += 1
        return float(self.weights @ difference)

    @property
    def error(self) -> float:
        """Standard error of the mean divergence that comes from common draws."""
        if not self.drawn or self.count == 0:
            return 0.0
        return float(np.std(self.sums / self.count, ddof=1)) / math.sqrt(len(self.sums))


def _inverse(matrix: FloatArray, what: str) -> FloatArray:
    if not np.all(np.isfinite(matrix)) or np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0] <= 0.0:
        raise DataError(f"ParametricModel: {what}, with its sign turned, is not positive definite: is theta the maximum of the likelihood?")
    return np.asarray(np.linalg.inv(matrix))
