"""Refits of regressions over a fixed design, for the bootstrap of their total risk.

Data are simulated from the fitted model, or drawn from the residuals: the wild bootstrap of Mammen (1993, Ann. Statist. 21, 255) multiplies
each row's part of the sufficient statistics by a random number of mean 0 and second and third moment 1, so that their covariance and third
moments are those of the sandwich. Where the link is not canonical there are no such statistics, and rows are drawn with replacement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from sciinf.core.errors import DataError
from sciinf.engines.pn.bootstrap import Replicates

__all__ = ["CanonicalRefits", "LinkedRefits", "NormalRefits", "Refits"]

FloatArray = NDArray[np.float64]

_NUMBERS = 2**21  # simulated at a time
_NO_MAXIMUM = "the maximum likelihood estimate does not exist"
_NO_SOLUTION = "Fisher's scoring does not end: the estimate does not exist, or is not found"
_NO_END = "Newton's method does not end"
_INTERIOR = 1e-9  # of the largest response: how far inside the range of the totals there must be one
_ROOT5 = math.sqrt(5.0)
_SCORING, _HALVINGS, _DECREMENT = 200, 30, 1e-18


def _mammen(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Numbers of mean 0 and second and third moment 1: (1 -+ sqrt 5) / 2."""
    low = rng.random(shape) < 0.5 * (_ROOT5 + 1.0) / _ROOT5
    return np.asarray(np.where(low, 0.5 * (1.0 - _ROOT5), 0.5 * (1.0 + _ROOT5)))


def _quadratic(off: FloatArray, middle: FloatArray) -> FloatArray:
    return np.asarray(0.5 * np.sum(off * (off @ middle), axis=1))


@dataclass(frozen=True, eq=False)
class CanonicalRefits:
    """A logit or Poisson regression at its fit.

    Attributes
    ----------
    design : (n, q) float64 array
    offset : (n,) float64 array
    trials : (n,) float64 array
        Of the logit; ones of the Poisson.
    weights : (n,) float64 array
        Of the variance: they multiply the likelihood.
    response : (n,) float64 array
        Successes per trial, or counts.
    params : (q,) float64 array
    logit : bool
    """

    design: FloatArray
    offset: FloatArray
    trials: FloatArray
    weights: FloatArray
    response: FloatArray
    params: FloatArray
    logit: bool

    @property
    def _mean(self) -> FloatArray:
        eta = self.design @ self.params + self.offset
        return np.asarray(special.expit(eta) if self.logit else np.exp(eta))

    def _of(self, totals: FloatArray, trace: float) -> Replicates:
        """Replicates of totals X'y (R, q)."""
        from sciinf.engines.pn.refit_kernels import CONVERGED, refit_design

        size, mean = self.trials * self.weights, self._mean
        scale = np.maximum(np.max(np.abs(self.design), axis=0), 1e-300)
        design = np.ascontiguousarray(self.design / scale)
        start, means = self.params * scale, size * mean
        slopes = size * mean * (1.0 - mean) if self.logit else means
        middle = np.linalg.inv((design * slopes[:, None]).T @ design)
        best, scaled = means @ design, np.ascontiguousarray(totals / scale)
        found, values, status = np.empty_like(scaled), np.empty(len(totals)), np.empty(len(totals), dtype=np.int64)
        refit_design(design, self.offset, size, self.logit, scaled, start, found, values, status)
        here, one = np.empty(1), np.empty(1, dtype=np.int64)
        refit_design(design, self.offset, size, self.logit, best[None, :], start, np.empty((1, len(start))), here, one)
        reasons = {r: _NO_END if self._inside(scaled[r], design) else _NO_MAXIMUM for r in np.flatnonzero(status != CONVERGED).tolist()}
        return Replicates(values - here[0] - (found - start) @ best, _quadratic(scaled - best, middle), trace / 2.0, reasons)

    def _inside(self, total: FloatArray, design: FloatArray) -> bool:
        """Whether a total is that of responses all strictly inside their range: then a maximum exists."""
        n, q = design.shape
        size = self.trials * self.weights
        rows = [np.hstack([-np.eye(n), np.ones((n, 1))])]
        if self.logit:
            rows.append(np.hstack([np.eye(n), np.ones((n, 1))]))
        found = optimize.linprog(
            np.append(np.zeros(n), -1.0), A_ub=np.vstack(rows), b_ub=np.concatenate([np.zeros(n), size])[: len(rows) * n],
            A_eq=np.hstack([design.T, np.zeros((q, 1))]), b_eq=total, bounds=[(0.0, None)] * n + [(0.0, 1.0)], method="highs",
        )  # fmt: skip
        return bool(found.status == 0 and -found.fun > _INTERIOR * float(np.max(size)))

    def simulated(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of data from the fitted model.

        Raises
        ------
        DataError
            If the likelihood is weighted: then no data belong to it.
        """
        _check_weights(self.weights)
        n, q = self.design.shape
        mean, totals = self._mean, np.empty((replicates, q))
        together = max(1, _NUMBERS // n)
        for start in range(0, replicates, together):
            shape = (min(together, replicates - start), n)
            if not self.logit:
                y: Any = rng.poisson(mean, shape)
            elif np.all(self.trials == 1.0):
                y = (rng.random(shape) < mean).astype(np.float64)
            else:
                y = rng.binomial(np.round(self.trials).astype(np.int64), mean, shape)
            totals[start : start + together] = y @ self.design
        return self._of(totals, float(q))

    def resampled(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of the fitted means with wild residuals."""
        n, q = self.design.shape
        size, mean = self.trials * self.weights, self._mean
        parts = self.design * (size * (self.response - mean))[:, None]
        best, totals = (size * mean) @ self.design, np.empty((replicates, q))
        together = max(1, _NUMBERS // n)
        for start in range(0, replicates, together):
            totals[start : start + together] = best + _mammen(rng, (min(together, replicates - start), n)) @ parts
        slopes = size * mean * (1.0 - mean) if self.logit else size * mean
        information = (self.design * slopes[:, None]).T @ self.design
        return self._of(totals, float(np.trace(np.linalg.solve(information, parts.T @ parts))))


def _check_weights(weights: FloatArray) -> None:
    if np.any(weights != 1.0):
        first = int(np.argmax(weights != 1.0))
        raise DataError(
            f"pn: no data can be simulated under var_weights other than 1, got var_weights[{first}] = {weights[first]:g}: "
            "take method 'expansion'"
        )


@dataclass(frozen=True, eq=False)
class NormalRefits:
    """A normal regression at its fit: design (n, q) and residuals (n,)."""

    design: FloatArray
    residual: FloatArray

    def _of(self, moved: FloatArray, squares: FloatArray, trace: float) -> Replicates:
        """Replicates from steps of the coefficients (R, q) in an orthonormal basis, and RSS (R,), both in units of the variance."""
        n = len(self.residual)
        within = squares / n
        reasons = dict.fromkeys(np.flatnonzero(~(within > 0.0)).tolist(), "the estimate of the variance is not positive")
        steps = np.sum(moved**2, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            divergence = 0.5 * n * (np.log(within) + (1.0 + steps / n) / within - 1.0)
        off = (squares + steps - n) / math.sqrt(2.0 * n)  # of the total of squares about the fit, in standard deviations
        return Replicates(np.where(within > 0.0, divergence, 0.0), 0.5 * (steps + off**2), trace / 2.0, reasons)

    def _basis(self) -> FloatArray:
        return np.asarray(np.linalg.qr(self.design / np.maximum(np.sqrt(np.sum(self.design**2, axis=0)), 1e-300))[0])

    def simulated(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of data from the fitted model: coefficients normal, RSS chi-square of n - q degrees of freedom."""
        n, q = self.design.shape
        return self._of(rng.standard_normal((replicates, q)), rng.chisquare(n - q, replicates), q + 1.0)

    def resampled(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of the fit's sufficient statistics with wild residuals."""
        n, q = self.design.shape
        e = self.residual / math.sqrt(float(np.mean(self.residual**2)))
        parts = np.column_stack([self._basis() * e[:, None], e * e - 1.0])
        totals = np.empty((replicates, q + 1))
        together = max(1, _NUMBERS // n)
        for start in range(0, replicates, together):
            totals[start : start + together] = _mammen(rng, (min(together, replicates - start), n)) @ parts
        moved = totals[:, :q]
        trace = float(np.sum(parts[:, :q] ** 2)) + float(np.sum(parts[:, q] ** 2)) / (2.0 * n)
        return self._of(moved, n + totals[:, q] - np.sum(moved**2, axis=1), trace)


@dataclass(frozen=True, eq=False)
class LinkedRefits:
    """A generalised linear model of any link at its fit, by Fisher scoring over all replicates at a time.

    Attributes
    ----------
    design, offset, trials, weights, response, params
        As of `CanonicalRefits`.
    family : str
    link : object
        Of statsmodels: ``__call__``, ``inverse``, ``inverse_deriv``.
    dispersion : float
        Held.
    first_order : tuple of arrays
        Scores (n, q), and K I K (q, q), K the inverse of the observed information and I the expected one.
    """

    design: FloatArray
    offset: FloatArray
    trials: FloatArray
    weights: FloatArray
    response: FloatArray
    params: FloatArray
    family: str
    link: Any
    dispersion: float
    first_order: tuple[FloatArray, FloatArray]

    @property
    def _size(self) -> FloatArray:
        return np.asarray(self.trials * self.weights / self.dispersion)

    def _mean(self, params: FloatArray) -> FloatArray:
        return np.asarray(self.link.inverse(params @ self.design.T + self.offset), dtype=np.float64)

    def _variance(self, mean: FloatArray) -> FloatArray:
        forms = {"Binomial": lambda: mean * (1.0 - mean), "Poisson": lambda: mean, "Gaussian": lambda: np.ones_like(mean)}
        powers = {"Gamma": 2.0, "InverseGaussian": 3.0}
        return np.asarray(forms[self.family]() if self.family in forms else mean ** powers[self.family])

    def _possible(self, mean: FloatArray) -> NDArray[np.bool_]:
        """Rows (R,) all of whose means (R, n) belong to the family."""
        inside = np.isfinite(mean)
        if self.family != "Gaussian":
            inside &= mean > 0.0
        if self.family == "Binomial":
            inside &= mean < 1.0
        return np.asarray(np.all(inside, axis=1))

    def _divergence(self, mean: FloatArray, other: FloatArray) -> FloatArray:
        """Total KL (R,) of the laws of mean (n,) from those of means (R, n)."""
        if self.family == "Poisson":
            unit = special.rel_entr(mean, other) - mean + other
        elif self.family == "Binomial":
            unit = special.rel_entr(mean, other) + special.rel_entr(1.0 - mean, 1.0 - other)
        elif self.family == "Gaussian":
            unit = 0.5 * (mean - other) ** 2
        elif self.family == "Gamma":
            unit = mean / other - 1.0 - np.log(mean / other)
        else:
            unit = 0.5 * (mean - other) ** 2 / (mean * other**2)
        return np.asarray(unit @ self._size)

    def _parts(self, params: FloatArray, response: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scores (R, q) and expected informations (R, q, q) at coefficients (R, q); rows of the data ``times`` (R, n)."""
        eta = params @ self.design.T + self.offset
        mean = np.asarray(self.link.inverse(eta), dtype=np.float64)
        slope = np.asarray(self.link.inverse_deriv(eta), dtype=np.float64)
        factor = times * self._size * slope / self._variance(mean)
        return ((response - mean) * factor) @ self.design, np.einsum("rn,ni,nj->rij", factor * slope, self.design, self.design)

    def _scored(self, response: FloatArray, times: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Coefficients (R, q) that solve the scores, and which rows have them."""
        count, q = len(times), len(self.params)
        params = np.tile(self.params, (count, 1))
        done, open_ = np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
        with np.errstate(all="ignore"):
            for _ in range(_SCORING):
                at = np.flatnonzero(open_)
                if not len(at):
                    break
                score, information = self._parts(params[at], response[at] if len(response) == count else response, times[at])
                sound = np.all(np.isfinite(information), axis=(1, 2)) & np.all(np.isfinite(score), axis=1)
                sound[sound] &= np.linalg.cond(information[sound]) < 1e13
                open_[at[~sound]] = False
                at, score, information = at[sound], score[sound], information[sound]
                step = np.linalg.solve(information, score[:, :, None])[:, :, 0] if len(at) else score.reshape(0, q)
                ended = np.sum(score * step, axis=1) < _DECREMENT
                done[at[ended]], open_[at[ended]] = True, False
                at, step = at[~ended], step[~ended]
                length = np.ones(len(at))
                for _ in range(_HALVINGS):
                    wrong = ~self._possible(self._mean(params[at] + length[:, None] * step))
                    if not wrong.any():
                        break
                    length[wrong] *= 0.5
                params[at] += length[:, None] * step
        return params, done

    def _of(self, draw: Any, replicates: int, trace: float, scores: Any, middle: FloatArray) -> Replicates:
        together = max(1, _NUMBERS // (16 * self.design.shape[0]))
        mean = self._mean(self.params)
        divergence, quadratic = np.zeros(replicates), np.zeros(replicates)
        reasons: dict[int, str] = {}
        for start in range(0, replicates, together):
            count = min(together, replicates - start)
            response, times = draw(count)
            params, done = self._scored(response, times)
            with np.errstate(all="ignore"):
                divergence[start : start + count] = np.where(done, self._divergence(mean, self._mean(params)), 0.0)
            quadratic[start : start + count] = _quadratic(scores(response, times), middle)
            for r in np.flatnonzero(~done).tolist():
                reasons[start + r] = _NO_SOLUTION
        return Replicates(divergence, quadratic, trace / 2.0, reasons)

    def simulated(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of data from the fitted model."""
        if self.family in ("Binomial", "Poisson"):
            _check_weights(self.weights)
        mean, n = self._mean(self.params), len(self.offset)
        spread = self.dispersion / self.weights
        ones = np.ones((1, n))
        _, information = self._parts(self.params[None, :], mean[None, :], ones)

        def draw(count: int) -> tuple[FloatArray, FloatArray]:
            shape = (count, n)
            if self.family == "Binomial":
                y: Any = rng.binomial(np.round(self.trials).astype(np.int64), mean, shape) / self.trials
            elif self.family == "Poisson":
                y = rng.poisson(mean, shape)
            elif self.family == "Gaussian":
                y = mean + np.sqrt(spread) * rng.standard_normal(shape)
            elif self.family == "Gamma":
                y = rng.gamma(1.0 / spread, mean * spread, shape)
            else:
                y = rng.wald(mean, 1.0 / spread, shape)
            return np.asarray(y, dtype=np.float64), np.ones(shape)

        def scores(response: FloatArray, times: FloatArray) -> FloatArray:
            return self._parts(self.params[None, :], response, times)[0]

        return self._of(draw, replicates, float(len(self.params)), scores, np.linalg.inv(information[0]))

    def resampled(self, replicates: int, rng: np.random.Generator) -> Replicates:
        """Refits of rows drawn with replacement."""
        n = len(self.offset)
        each, middle = self.first_order

        def draw(count: int) -> tuple[FloatArray, FloatArray]:
            return self.response[None, :], rng.multinomial(n, np.full(n, 1.0 / n), size=count).astype(np.float64)

        def scores(response: FloatArray, times: FloatArray) -> FloatArray:
            del response
            return np.asarray(times @ each)

        return self._of(draw, replicates, float(np.einsum("na,ab,nb->", each, middle, each)), scores, middle)


Refits = CanonicalRefits | LinkedRefits | NormalRefits
