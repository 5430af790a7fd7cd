"""Draws of x at reference points, weighted as one sample: psi at any theta, and how many draws count there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from sciinf.core.errors import ConvergenceError
from sciinf.engines.pn.partition_kernels import LANES, effective_sizes

__all__ = ["Mixture", "self_consistent"]

FloatArray = NDArray[np.float64]

_CHUNK = 2**15
_ROUNDS = 200
_SETTLED = 1e-11


@dataclass(frozen=True, eq=False)
class Mixture:
    """Draws from K reference points, pooled.

    Attributes
    ----------
    thetas : (K, p) float64 array
        References; the first is where psi is fixed.
    sizes : (K,) float64 array
        Draws at each.
    psis : (K,) float64 array
        psi there.
    rows : (S, p) float64 array
        Statistics of the draws, equal ones once.
    counts : (S,) float64 array
        How many draws each row stands for.
    log_weights : (S,) float64 array
        -ln of the pooled density of a row, so that psi(theta) = ln sum counts exp(theta.T + log_weights).
    kept : float
        Share of the draws that counts: 1 for independent ones.

    Notes
    -----
    The psi_k solve psi_k = ln sum_s exp(theta_k.T_s) / sum_j N_j exp(theta_j.T_s - psi_j): reverse logistic regression (Geyer 1994,
    University of Minnesota report 568), known as MBAR (Shirts & Chodera 2008, J. Chem. Phys. 129, 124105). One reference is the
    Monte Carlo likelihood of Geyer & Thompson (1992, JRSS B 54, 657).
    """

    thetas: FloatArray
    sizes: FloatArray
    psis: FloatArray
    rows: FloatArray
    counts: FloatArray
    log_weights: FloatArray
    kept: float

    @classmethod
    def of(cls, thetas: FloatArray, sizes: FloatArray, rows: FloatArray, counts: FloatArray, psi: float, kept: float) -> Mixture:
        """Solved, with psi of the first reference given."""
        psis = self_consistent(thetas, sizes, rows, counts, psi)
        log_weights = np.concatenate([-_pooled(thetas, sizes, psis, chunk)[0] for chunk in _chunks(rows)])
        return cls(thetas, sizes, psis, rows, counts, log_weights, kept)

    def effective(self, thetas: FloatArray) -> FloatArray:
        """Effective draws (n,) at natural parameters (n, p)."""
        n, p = self.rows.shape
        full = -(-n // LANES) * LANES
        columns, weights, counts = np.zeros((p, full)), np.full(full, -1e300), np.zeros(full)
        columns[:, :n], weights[:n], counts[:n] = self.rows.T, self.log_weights, self.counts
        out = np.empty(len(thetas))
        effective_sizes(np.ascontiguousarray(thetas), columns, weights, counts, out)
        return self.kept * out

    def moments(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """psi, mean (p,) and covariance (p, p) of the statistics at theta."""
        exponents = self.rows @ theta + self.log_weights + np.log(self.counts)
        psi = float(special.logsumexp(exponents))
        weights = np.exp(exponents - psi)
        mean = weights @ self.rows
        centred = self.rows - mean
        return psi, mean, (centred * weights[:, None]).T @ centred


def _chunks(rows: FloatArray) -> list[FloatArray]:
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]


def _pooled(thetas: FloatArray, sizes: FloatArray, psis: FloatArray, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log of the pooled density (S,) up to the base, and each reference's share of it (S, K)."""
    exponents = rows @ thetas.T + (np.log(sizes) - psis)
    top = exponents.max(axis=1)
    shares = np.exp(exponents - top[:, None])
    total = shares.sum(axis=1)
    return top + np.log(total), shares / total[:, None]


def self_consistent(thetas: FloatArray, sizes: FloatArray, rows: FloatArray, counts: FloatArray, psi: float) -> FloatArray:
    """psi (K,) of the references from their pooled draws, that of the first being given.

    Raises
    ------
    ConvergenceError
        If the equations have no solution to speak of: the references do not overlap.

    Notes
    -----
    Newton's method on the convex function sum_s ln sum_j N_j exp(theta_j.T_s - psi_j) + sum_j N_j psi_j, whose gradient the equations are;
    the fixed-point step where Newton's does not lower it.
    """
    k = len(thetas)
    if k == 1:
        return np.array([psi])
    chunks, numbers = _chunks(rows), _chunks(counts)
    total = float(sizes.sum())

    def at(values: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """The function, each reference's expected number of draws, and the sums of products of shares."""
        value, expected, products = float(sizes @ values), np.zeros(k), np.zeros((k, k))
        for chunk, number in zip(chunks, numbers, strict=True):
            logs, shares = _pooled(thetas, sizes, values, chunk)
            weighted = shares * number[:, None]
            value += float(number @ logs)
            expected += weighted.sum(axis=0)
            products += weighted.T @ shares
        return value, expected, products

    values, moved = np.full(k, psi), math.inf
    state = at(values)
    for _ in range(_ROUNDS):
        value, expected, products = state
        gradient = sizes - expected
        hessian = (np.diag(expected) - products)[1:, 1:]
        if moved < _SETTLED or float(np.max(np.abs(gradient) / sizes)) < _SETTLED * total / float(sizes.min()):
            if not _tied(hessian):
                break
            return values
        step = np.zeros(k)
        try:
            step[1:] = linalg.solve(hessian, -gradient[1:], assume_a="pos")
        except (linalg.LinAlgError, ValueError):
            step[:] = math.inf
        new = values + step
        after = at(new) if np.isfinite(step).all() and np.max(np.abs(step)) < 50.0 else None
        if after is None or not after[0] <= value + 1e-12 * abs(value):
            new = values + np.log(np.maximum(expected, 1e-300) / sizes)
            new = new - new[0] + psi
            after = at(new)
        moved = float(np.max(np.abs(new - values)))
        values, state = new, after
    raise ConvergenceError(
        f"pn: the draws do not determine psi at {k} reference points: the references overlap too little. Raise n_draws or n_references"
    )


def _tied(hessian: FloatArray) -> bool:
    """Whether each psi is known to one nat by the curvature of the function: without overlap there is none."""
    try:
        variances = np.diag(np.linalg.inv(hessian))
    except np.linalg.LinAlgError:
        return False
    return bool(np.all((variances > 0.0) & (variances < 1.0)))
