"""Between a Kullback-Leibler divergence and the error of telling two densities apart; and how many observations that takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from scipy import optimize

from sciinf.core.errors import ConfigError, nearest_names, shown

__all__ = ["Bound", "bayes_error_lower", "check_bound", "kl_threshold", "max_p", "required_n"]

Bound = Literal["pinsker", "tight"]

_SMALL = 0.1  # of the parameter of the tight bound: series below, where differences would cancel
_WHOLE = 1e-9  # relative: what is as near to an integer as this is that integer


def check_bound(bound: str) -> Bound:
    """Return ``bound`` if there is such a one.

    Raises
    ------
    ConfigError
        If not.
    """
    for known in get_args(Bound):
        if bound == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"pn: no bound {shown(bound)}: {nearest_names(str(bound), get_args(Bound))}")


def _check_delta(delta: float) -> float:
    value = float(delta) if isinstance(delta, int | float) and not isinstance(delta, bool) else math.nan
    if not 0.0 < value < 0.5:
        raise ConfigError(f"pn: delta, by which the Bayes error may fall short of 1/2, must be a number in (0, 0.5), got {shown(delta)}")
    return value


def _check_positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ConfigError(f"pn: {name} must be a positive finite number, got {shown(value)}")
    return float(value)


def _even(coefficients: tuple[float, ...], square: float) -> float:
    """Sum of c_k square^k, k from 0."""
    total = 0.0
    for value in reversed(coefficients):
        total = total * square + value
    return total


_VARIATION = (1 / 2, -1 / 18, 1 / 135, -1 / 1050, 1 / 8505)
_DIVERGENCE = (1 / 2, -1 / 12, 1 / 81, -1 / 600, 1 / 4725, -16469 / 638512875)
"""Series in t^2, of t and t^2 times these: from those of coth t."""


def _variation(t: float) -> float:
    """Total variation at parameter t of the curve of the least divergence."""
    if t < _SMALL:
        return t * _even(_VARIATION, t * t)
    small = math.exp(-2.0 * t)
    rest = 1.0 / t - 2.0 * small / (1.0 - small)  # 1 - x, without cancellation where t is large
    return 0.5 * t * rest * (2.0 - rest)


def _divergence(t: float) -> float:
    """Least divergence at parameter t."""
    if t < _SMALL:
        return t * t * _even(_DIVERGENCE, t * t)
    small = math.exp(-2.0 * t)
    ratio = 2.0 * t * math.exp(-t) / (1.0 - small)  # t / sinh t
    return math.log(2.0 * t) - t - math.log1p(-small) + t / math.tanh(t) - ratio * ratio


def _least_divergence(variation: float) -> float:
    """Smallest divergence of two laws whose total variation is ``variation``."""
    if variation <= 0.0:
        return 0.0
    high = 1.0
    while _variation(high) < variation:
        high *= 2.0
    t = optimize.brentq(lambda value: _variation(value) - variation, 0.0, high, xtol=1e-300, rtol=1e-15, maxiter=300)
    return _divergence(float(t))


def _most_variation(divergence: float) -> float:
    """Largest total variation of two laws whose divergence is at most ``divergence``."""
    if divergence <= 0.0:
        return 0.0
    high = 1.0
    while _divergence(high) < divergence:
        high *= 2.0
        if high > 1e300:
            return 1.0
    t = optimize.brentq(lambda value: _divergence(value) - divergence, 0.0, high, xtol=1e-300, rtol=1e-15, maxiter=300)
    return _variation(float(t))


def kl_threshold(delta: float, bound: Bound = "pinsker") -> float:
    """Largest risk C, in nats per observation, that keeps the expected Bayes error at 1/2 - delta or above.

    Parameters
    ----------
    delta : float
        In (0, 0.5).
    bound : {"pinsker", "tight"}
        Which bound of the total variation by the divergence.

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        If delta is out of range or there is no such bound.

    Notes
    -----
    The Bayes error of telling two densities apart, at equal odds, is (1 - TV) / 2, so E[TV] <= 2 delta is asked. Pinsker's inequality,
    TV <= sqrt(KL / 2), gives C = 8 delta^2; the square root is concave, so that the bound holds for expectations (derived here). "tight" is
    the smallest divergence at a total variation v = 2 delta, min over s of the divergence of two Bernoulli laws of means s and s + v. It
    is convex in v, and has a parameter form: with x = coth t - 1/t, v = t (1 - x^2) / 2 and KL = ln(t / sinh t) + t coth t
    - t^2 / sinh^2 t.

    References
    ----------
    Fedotov, Harremoes & Topsoe (2003), IEEE Trans. Inf. Theory 49, 1491.

    Examples
    --------
    >>> kl_threshold(0.05), round(kl_threshold(0.05, "tight"), 8)
    (0.02, 0.02004468)
    """
    value = _check_delta(delta)
    return 8.0 * value * value if check_bound(bound) == "pinsker" else _least_divergence(2.0 * value)


def bayes_error_lower(ed: float, bound: Bound = "pinsker") -> float:
    """Lower bound of the expected Bayes error at a risk ``ed`` (nats per observation): 0.5 is indistinguishable, 0 is certain.

    Raises
    ------
    ConfigError
        If there is no such bound, or the risk is NaN.

    Examples
    --------
    >>> round(bayes_error_lower(0.02), 12)
    0.45
    """
    if not isinstance(ed, int | float) or math.isnan(ed):
        raise ConfigError(f"pn: the risk must be a number, got {shown(ed)}")
    if check_bound(bound) == "pinsker":
        return max(0.5 - 0.5 * math.sqrt(0.5 * max(ed, 0.0)), 0.0)
    return 0.5 - 0.5 * _most_variation(float(ed))


def _ceil(value: float) -> int:
    """The next integer, or the one that ``value`` is to 1e-9."""
    near = round(value)
    return int(near) if abs(value - near) <= _WHOLE * max(abs(value), 1.0) else math.ceil(value)


def required_n(a: float, b: float, threshold: float, order: int = 2) -> int:
    """Smallest n at which a / n + b / n^2 is no more than the threshold.

    Parameters
    ----------
    a, b : float
        Coefficients of 1/n and 1/n^2 in the risk; a > 0.
    threshold : float
        C, nats per observation.
    order : {1, 2}
        Whether ``b`` counts.

    Returns
    -------
    int
        With b < 0 and no root, the first order's.

    Raises
    ------
    ConfigError
        If a number is out of range.

    Notes
    -----
    Where b < 0 the larger root lies at n >= 2 abs(b) / a, where the risk falls with n (derived here).

    Examples
    --------
    >>> required_n(5, 16.9, 0.02, order=1), required_n(2.5, 203 / 12, 0.02)
    (250, 132)
    """
    first, level = _check_positive("a", a), _check_positive("threshold", threshold)
    if order not in (1, 2):
        raise ConfigError(f"pn: order must be 1 or 2, got {shown(order)}")
    if not isinstance(b, int | float) or not math.isfinite(b):
        raise ConfigError(f"pn: b must be a finite number, got {shown(b)}")
    discriminant = first * first + 4.0 * level * b
    if order == 1 or discriminant < 0.0:
        return _ceil(first / level)
    return _ceil((first + math.sqrt(discriminant)) / (2.0 * level))


def max_p(n: int, threshold: float, a_b: Callable[[int], tuple[float, float]] | None = None) -> int:
    """Largest number of parameters that ``n`` observations afford.

    Parameters
    ----------
    n : int
        Observations.
    threshold : float
        C, nats per observation.
    a_b : callable, optional
        From p to the coefficients (a, b), see `curves`; None for first order and a true model, a = p / 2.

    Returns
    -------
    int
        0 where not even one is affordable.

    Raises
    ------
    ConfigError
        If a number is out of range.

    Examples
    --------
    >>> max_p(1000, 0.02)
    40
    """
    level = _check_positive("threshold", threshold)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"pn: n must be a positive integer, got {shown(n)}")
    most = 2.0 * level * n
    first = round(most) if abs(most - round(most)) <= _WHOLE * max(most, 1.0) else math.floor(most)
    if a_b is None:
        return int(first)
    affordable = 0
    for p in range(1, 2 * int(first) + 2):
        a, b = a_b(p)
        if required_n(a, b, level) <= n:
            affordable = p
    return affordable
