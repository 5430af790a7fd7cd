"""Compiled log-likelihoods of the problems with known answers.

Each scalar kernel has the fixed signature ``f(theta, floats, ints, work)``; the batched forms call it row by row, so a row's bytes
never depend on its neighbours. ``floats`` holds the few numbers that each docstring names.
"""

from __future__ import annotations

import math

import numpy as np

from sciinf.numerics.jit import LIKELIHOOD, LIKELIHOOD_MANY, kernel

__all__ = [
    "constant",
    "constant_many",
    "eggbox",
    "eggbox_many",
    "funnel",
    "funnel_many",
    "gauss",
    "gauss_many",
    "line",
    "line_many",
    "plateau",
    "plateau_many",
    "shells",
    "shells_many",
]

_LOG_2PI = math.log(2.0 * math.pi)


@kernel(LIKELIHOOD)
def gauss(theta, floats, ints, work):
    """Normalised Gaussian about 0 with unit variances and one correlation; floats = (correlation,).

    The covariance (1 - c) I + c J has the inverse [I - c / (1 + (d - 1) c) J] / (1 - c) and the determinant
    (1 - c)^(d - 1) (1 + (d - 1) c), J being all ones.
    """
    n, c = theta.size, floats[0]
    total, squares = 0.0, 0.0
    for i in range(n):
        total += theta[i]
        squares += theta[i] * theta[i]
    spread = 1.0 + (n - 1) * c
    log_det = (n - 1) * math.log(1.0 - c) + math.log(spread)
    return -0.5 * ((squares - c / spread * total * total) / (1.0 - c) + log_det + n * _LOG_2PI)


@kernel(LIKELIHOOD)
def eggbox(theta, floats, ints, work):
    """(2 + cos(x/2) cos(y/2))^5 as ln L; no floats."""
    return (2.0 + math.cos(0.5 * theta[0]) * math.cos(0.5 * theta[1])) ** 5


@kernel(LIKELIHOOD)
def shells(theta, floats, ints, work):
    """Log of the sum of two normalised radial Gaussians; floats = (offset on axis 0, radius, width)."""
    offset, radius, width = floats[0], floats[1], floats[2]
    rest = 0.0
    for i in range(1, theta.size):
        rest += theta[i] * theta[i]
    left = (math.sqrt((theta[0] + offset) ** 2 + rest) - radius) / width
    right = (math.sqrt((theta[0] - offset) ** 2 + rest) - radius) / width
    a, b = -0.5 * left * left, -0.5 * right * right
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high)) - math.log(width) - 0.5 * _LOG_2PI


@kernel(LIKELIHOOD)
def funnel(theta, floats, ints, work):
    """Product of N(x_i; 0, exp(v/2)) with theta = (v, x_1, ...); no floats."""
    n, v = theta.size - 1, theta[0]
    squares = 0.0
    for i in range(1, theta.size):
        squares += theta[i] * theta[i]
    return -0.5 * (squares * math.exp(-v) + n * v + n * _LOG_2PI)


@kernel(LIKELIHOOD)
def plateau(theta, floats, ints, work):
    """-max(0, r^2 - 1) / 2: flat inside the unit ball, a Gaussian's fall outside; no floats."""
    squares = 0.0
    for i in range(theta.size):
        squares += theta[i] * theta[i]
    return -0.5 * max(0.0, squares - 1.0)


@kernel(LIKELIHOOD)
def constant(theta, floats, ints, work):
    """The same value everywhere; floats = (value,)."""
    return floats[0]


@kernel(LIKELIHOOD)
def line(theta, floats, ints, work):
    """Independent Gaussian errors around a linear model; floats = (error, y of length m, design (m, n_dim) row by row)."""
    n, error = theta.size, floats[0]
    m = (floats.size - 1) // (n + 1)
    chi2 = 0.0
    for i in range(m):
        model = 0.0
        for j in range(n):
            model += floats[1 + m + i * n + j] * theta[j]
        residual = (floats[1 + i] - model) / error
        chi2 += residual * residual
    return -0.5 * (chi2 + m * (_LOG_2PI + 2.0 * math.log(error)))


@kernel(LIKELIHOOD_MANY)
def gauss_many(thetas, floats, ints, work):
    """`gauss` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = gauss(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def eggbox_many(thetas, floats, ints, work):
    """`eggbox` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = eggbox(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def shells_many(thetas, floats, ints, work):
    """`shells` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = shells(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def funnel_many(thetas, floats, ints, work):
    """`funnel` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = funnel(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def plateau_many(thetas, floats, ints, work):
    """`plateau` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = plateau(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def constant_many(thetas, floats, ints, work):
    """`constant` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = constant(thetas[j], floats, ints, work)
    return out


@kernel(LIKELIHOOD_MANY)
def line_many(thetas, floats, ints, work):
    """`line` of each row."""
    out = np.empty(thetas.shape[0])
    for j in range(thetas.shape[0]):
        out[j] = line(thetas[j], floats, ints, work)
    return out
