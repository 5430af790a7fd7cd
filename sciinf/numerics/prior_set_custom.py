"""The kernels of a set of priors that brings compiled functions of its own: conditional numbers, joint priors, regions."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from sciinf.numerics import prior_codes as codes
from sciinf.numerics.jit import LIKELIHOOD
from sciinf.numerics.prior_set_density import term
from sciinf.numerics.prior_set_layout import FUNCTION, WIDTH
from sciinf.numerics.prior_set_transform import fill

__all__ = ["custom_kernels"]

CUSTOM_JOINT = codes.CUSTOM_JOINT


@numba.njit
def _no_numbers(which, theta, numbers):
    numbers[:] = math.nan


@numba.njit
def _no_joint(which, vector, floats, ints, out):
    return math.nan


@numba.njit
def _everywhere(theta):
    return True


def _link_numbers(head, columns, values, tail):
    """Numbers by the function ``head`` for which = 0, by ``tail`` beyond; ``columns`` -1 means a fixed value."""
    n = len(columns)

    @numba.njit
    def dispatch(which, theta, numbers):
        if which == 0:
            given = np.empty(n)
            for i in range(n):
                given[i] = theta[columns[i]] if columns[i] >= 0 else values[i]
            head(given, numbers)
        else:
            tail(which - 1, theta, numbers)

    return dispatch


def _link_joint(head, tail):
    """A joint prior's kernel ``head`` for which = 0, ``tail`` beyond."""

    @numba.njit
    def dispatch(which, vector, floats, ints, out):
        if which == 0:
            return head(vector, floats, ints, out)
        return tail(which - 1, vector, floats, ints, out)

    return dispatch


def _link_region(head, columns, values, tail):
    """Inside the region ``head`` and inside ``tail``; no ``columns``: the predicate takes theta itself."""
    n = len(columns)
    if n == 0:

        @numba.njit
        def of_vector(theta):
            return bool(head(theta)) and tail(theta)

        return of_vector

    @numba.njit
    def of_names(theta):
        given = np.empty(n)
        for i in range(n):
            given[i] = theta[columns[i]] if columns[i] >= 0 else values[i]
        return bool(head(*to_fixed_tuple(given, n))) and tail(theta)

    return of_names


def custom_kernels(functions, joints, regions):
    """``transform`` and ``log_prior`` of a set that brings compiled functions of its own; compiled anew in each process.

    Parameters
    ----------
    functions : list of (dispatcher, columns, values)
        Conditional priors' functions, with what they read: a column of theta, or -1 and a fixed value.
    joints : list of (dispatcher, dispatcher)
        Joint priors' transforms and log-densities, each of the signature `LIKELIHOOD` over its own columns and table.
    regions : list of (dispatcher, columns, values)
        Predicates, with what they read; no columns for one that takes theta.
    """
    numbers_of, joint_transform, joint_log_density, inside = _no_numbers, _no_joint, _no_joint, _everywhere
    for head, columns, values in reversed(functions):
        numbers_of = _link_numbers(head, columns, values, numbers_of)
    for head, other in reversed(joints):
        joint_transform, joint_log_density = _link_joint(head, joint_transform), _link_joint(other, joint_log_density)
    for head, columns, values in reversed(regions):
        inside = _link_region(head, columns, values, inside)

    @numba.njit(LIKELIHOOD, nogil=True, error_model="numpy")
    def custom_transform(unit, floats, ints, theta):
        numbers = np.empty(4)
        for block in range(ints[0]):
            at = 1 + WIDTH * block
            if ints[at] == CUSTOM_JOINT:
                first, end, start, stop = ints[at + 1], ints[at + 1] + ints[at + 2], ints[at + 4], ints[at + 3]
                joint_transform(ints[at + 6], unit[first:end], floats[start:stop], ints[:0], theta[first:end])
                continue
            if ints[at + 5] == FUNCTION:
                numbers[:] = math.nan
                numbers_of(ints[at + 6], theta, numbers)
            fill(at, unit, floats, ints, theta, numbers)
        return 0.0

    @numba.njit(LIKELIHOOD, nogil=True, error_model="numpy")
    def custom_log_prior(theta, floats, ints, work):
        numbers = np.empty(4)
        total = 0.0
        for block in range(ints[0]):
            at = 1 + WIDTH * block
            if ints[at] == CUSTOM_JOINT:
                first, end, start, stop = ints[at + 1], ints[at + 1] + ints[at + 2], ints[at + 4], ints[at + 3]
                total += joint_log_density(ints[at + 6], theta[first:end], floats[start:stop], ints[:0], work)
                continue
            if ints[at + 5] == FUNCTION:
                numbers[:] = math.nan
                numbers_of(ints[at + 6], theta, numbers)
            total += term(at, theta, floats, ints, numbers)
        if total == -math.inf or math.isnan(total):
            return total
        return total - floats[0] if inside(theta) else -math.inf

    return custom_transform, custom_log_prior
