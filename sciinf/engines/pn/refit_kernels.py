"""Compiled refits: many maxima of the likelihood, of one family over listed points or of one design."""

from __future__ import annotations

import math

import numba
import numpy as np

from sciinf.numerics.jit import INTS, MATRIX, VECTOR, kernel

__all__ = ["CONVERGED", "refit_design", "refit_listed"]

CONVERGED = 1
"""Status of a refit that has one; 0 of one that has not."""

_NEWTON = 60
_HALVINGS = 40
_DECREMENT = 1e-20  # square of the gradient's length in units of the information
_STILL = 1e-5  # change of an exponent in the last step; it stays about 1 where the maximum lies at infinity
_VANISHED = 1e-8  # of the information at the start: all of it goes where the maximum lies at infinity, and the gradient may round to 0
_SMALLEST = 1e-13  # pivot of the information scaled to a unit diagonal


@kernel()
def _solved(information, gradient, step):
    """Newton's step (p,) and its decrement, by Cholesky factors written over the information's lower half; -1 where it is singular."""
    p = gradient.shape[0]
    for j in range(p):
        whole = information[j, j]
        pivot = whole
        for k in range(j):
            pivot -= information[j, k] ** 2
        if not pivot > _SMALLEST * whole:
            return -1.0
        root = math.sqrt(pivot)
        information[j, j] = root
        for i in range(j + 1, p):
            value = information[i, j]
            for k in range(j):
                value -= information[i, k] * information[j, k]
            information[i, j] = value / root
    decrement = 0.0
    for j in range(p):
        value = gradient[j]
        for k in range(j):
            value -= information[j, k] * step[k]
        step[j] = value / information[j, j]
        decrement += step[j] ** 2
    for j in range(p - 1, -1, -1):
        value = step[j]
        for k in range(j + 1, p):
            value -= information[k, j] * step[k]
        step[j] = value / information[j, j]
    return decrement


@kernel()
def _listed_psi(statistics, measure, theta, weights):
    """psi at theta (p,); ``weights`` (m,) become the points' probabilities."""
    m, p = statistics.shape
    top = -math.inf
    for i in range(m):
        value = measure[i]
        for k in range(p):
            value += theta[k] * statistics[i, k]
        weights[i] = value
        top = max(top, value)
    total = 0.0
    for i in range(m):
        weights[i] = math.exp(weights[i] - top)
        total += weights[i]
    for i in range(m):
        weights[i] /= total
    return top + math.log(total)


@kernel(numba.types.void(MATRIX, VECTOR, VECTOR, MATRIX, VECTOR, MATRIX, VECTOR, INTS))
def refit_listed(statistics, measure, ranges, means, start, thetas, log_partitions, status):
    """Theta at which the mean of ``statistics`` (m, p) over points of log measure (m,) is each row of ``means`` (R, p).

    ``ranges`` (p,) are those of the statistics: a search for a maximum at infinity still steps by about 1 over them when its gradient
    vanishes.
    """
    m, p = statistics.shape
    weights, trial_weights = np.empty(m), np.empty(m)
    theta, trial, gradient, step, mean = np.empty(p), np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    information = np.empty((p, p))
    for r in range(means.shape[0]):
        theta[:] = start
        psi = _listed_psi(statistics, measure, theta, weights)
        status[r] = 0
        first = 0.0
        for _ in range(_NEWTON):
            mean[:] = 0.0
            information[:, :] = 0.0
            for i in range(m):
                for k in range(p):
                    mean[k] += weights[i] * statistics[i, k]
            for i in range(m):
                for k in range(p):
                    along = weights[i] * (statistics[i, k] - mean[k])
                    for j in range(k + 1):
                        information[k, j] += along * (statistics[i, j] - mean[j])
            value = psi
            for k in range(p):
                gradient[k] = mean[k] - means[r, k]
                value -= theta[k] * means[r, k]
            spread = 0.0
            for k in range(p):
                spread = max(spread, information[k, k])
            first = max(first, spread)
            decrement = _solved(information, gradient, step)
            if decrement < 0.0 or not math.isfinite(decrement) or spread < _VANISHED * first:
                break
            if decrement < _DECREMENT:
                moved = 0.0
                for k in range(p):
                    moved += abs(step[k]) * ranges[k]
                if moved < _STILL:
                    status[r] = 1
                    break
            length, found = 1.0, False
            for _ in range(_HALVINGS):
                after = 0.0
                for k in range(p):
                    trial[k] = theta[k] - length * step[k]
                    after -= trial[k] * means[r, k]
                trial_psi = _listed_psi(statistics, measure, trial, trial_weights)
                after += trial_psi
                if after <= value - 1e-4 * length * decrement or (decrement < 1e-10 and after <= value + 1e-12 * (1.0 + abs(value))):
                    found = True
                    break
                length *= 0.5
            if not found:
                break
            psi = trial_psi
            theta[:] = trial
            weights[:] = trial_weights
        thetas[r] = theta
        log_partitions[r] = psi


@kernel()
def _design_value(design, offset, size, logit, coefficients, means, variances):
    """Sum of size b(eta), and means and variances of the responses, of a logit or, else, a Poisson model."""
    total, product = 0.0, 1.0  # logarithms of single trials are taken together
    for i in range(design.shape[0]):
        eta = offset[i]
        for k in range(design.shape[1]):
            eta += design[i, k] * coefficients[k]
        if logit:
            small = math.exp(-abs(eta))
            share = 1.0 / (1.0 + small)
            other = small * share
            total += size[i] * max(eta, 0.0)
            if size[i] == 1.0:
                product *= 1.0 + small
                if product > 1e200:
                    total += math.log(product)
                    product = 1.0
            else:
                total += size[i] * math.log1p(small)
            means[i] = size[i] * (share if eta > 0.0 else other)
            variances[i] = size[i] * share * other
        else:
            rate = size[i] * math.exp(eta)
            total += rate
            means[i] = rate
            variances[i] = rate
    return total + math.log(product)


@kernel()
def _farthest(design, step):
    """Largest change of a linear predictor by a step."""
    farthest = 0.0
    for i in range(design.shape[0]):
        moved = 0.0
        for k in range(design.shape[1]):
            moved += design[i, k] * step[k]
        farthest = max(farthest, abs(moved))
    return farthest


@kernel(numba.types.void(MATRIX, VECTOR, VECTOR, numba.boolean, MATRIX, VECTOR, MATRIX, VECTOR, INTS))
def refit_design(design, offset, size, logit, totals, start, coefficients, values, status):
    """Coefficients at which X' mean is each row of ``totals`` (R, q), and the sum of size b(eta) there."""
    n, q = design.shape
    means, variances, other_means, other_variances = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    beta, trial, gradient, step = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    information = np.empty((q, q))
    for r in range(totals.shape[0]):
        beta[:] = start
        psi = _design_value(design, offset, size, logit, beta, means, variances)
        status[r] = 0
        first = 0.0
        for _ in range(_NEWTON):
            information[:, :] = 0.0
            value = psi
            for k in range(q):
                gradient[k] = -totals[r, k]
                value -= beta[k] * totals[r, k]
            for i in range(n):
                for k in range(q):
                    gradient[k] += means[i] * design[i, k]
                    along = variances[i] * design[i, k]
                    for j in range(k + 1):
                        information[k, j] += along * design[i, j]
            spread = 0.0
            for k in range(q):
                spread = max(spread, information[k, k])
            first = max(first, spread)
            decrement = _solved(information, gradient, step)
            if decrement < 0.0 or not math.isfinite(decrement) or spread < _VANISHED * first:
                break
            if decrement < _DECREMENT and _farthest(design, step) < _STILL:
                status[r] = 1
                break
            length, found = 1.0, False
            for _ in range(_HALVINGS):
                after = 0.0
                for k in range(q):
                    trial[k] = beta[k] - length * step[k]
                    after -= trial[k] * totals[r, k]
                trial_psi = _design_value(design, offset, size, logit, trial, other_means, other_variances)
                after += trial_psi
                if after <= value - 1e-4 * length * decrement or (decrement < 1e-10 and after <= value + 1e-12 * (1.0 + abs(value))):
                    found = True
                    break
                length *= 0.5
            if not found:
                break
            psi = trial_psi
            beta[:] = trial
            means, other_means = other_means, means
            variances, other_variances = other_variances, variances
        coefficients[r] = beta
        values[r] = psi
