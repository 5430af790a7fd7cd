"""Accept or reject: a risk against its threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sciinf.core.errors import ConfigError
from sciinf.engines.pn.risk import RiskExpansion
from sciinf.engines.pn.threshold import Bound, bayes_error_lower, kl_threshold, max_p, required_n

__all__ = ["InformationCriteria", "Threshold", "Verdict", "information_criteria", "judged"]

_RELIABLE = 0.5  # of the first order: what the second may be


@dataclass(frozen=True)
class Threshold:
    """delta, the bound, and the largest risk C that they allow, nats per observation."""

    delta: float
    bound: Bound
    C: float

    @classmethod
    def of(cls, delta: float, bound: Bound) -> Threshold:
        """From delta and the bound's name; errors as `kl_threshold`."""
        return cls(float(delta), bound, kl_threshold(delta, bound))


@dataclass(frozen=True)
class Verdict:
    """What a risk says.

    Attributes
    ----------
    robust : bool
        Whether the risk is that of the sandwich.
    ED1, ED2 : float or None
        First and second order, nats per observation; None where there is no second.
    ED_used, ED_total : float
        What is compared with C, and as many times n.
    se : float
        Standard error of ED_used.
    reliable : bool
        Whether the second order is at most half of the first.
    er_lower : float
        Lower bound of the expected Bayes error.
    accept : bool
    n_required_1, n_required_2 : int, int or None
        Observations needed, by the first and to the second order.
    p_max : int
        Parameters that n affords, to first order and for a true model.
    """

    robust: bool
    ED1: float
    ED2: float | None
    ED_used: float
    ED_total: float
    se: float
    reliable: bool
    er_lower: float
    accept: bool
    n_required_1: int
    n_required_2: int | None
    p_max: int


def judged(
    risk: RiskExpansion, n: int, threshold: Threshold, *, order: int = 2, known: tuple[float, float] | None = None
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict of a risk at ``n`` observations, and flags.

    Parameters
    ----------
    risk : RiskExpansion
    n : int
        Units.
    threshold : Threshold
    order : {1, 2}
        Terms to use.
    known : (ED, standard error), optional
        From an exact form or a bootstrap: it alone decides then.

    Raises
    ------
    ConfigError
        If n is not a positive integer.

    Notes
    -----
    Accepted where ED_used <= C and n is at least what is required, so that an expansion that fails at this n cannot accept; ED_used is the
    second order where it is reliable, else the larger of the two.
    """
    if isinstance(n, bool) or n != int(n) or n < 1:
        raise ConfigError(f"pn: n must be a positive integer, got {n}")
    size, flags = int(n), []
    first = risk.risk(size, 1)
    second = risk.risk(size, 2) if risk.has_second_order and order == 2 else None
    n1 = required_n(risk.a, 0.0, threshold.C, order=1)
    n2 = None
    if second is None:
        used, reliable, enough = first, True, size >= n1
        flags.append("first_order_only")
    else:
        reliable = abs(second - first) <= _RELIABLE * first
        used = second if reliable else max(first, second)
        n2 = required_n(risk.a, risk.b, threshold.C)
        enough = size >= n2
        if not reliable:
            flags.append("expansion_unreliable")
        if risk.a**2 + 4.0 * threshold.C * risk.b < 0.0:
            flags.append("no_second_order_root")
    se = math.hypot(risk.se_a / size, risk.se_b / size**2 if second is not None and used == second else 0.0)
    if known is not None:
        used, se = known
        enough = True
    if se > 0.0 and abs(used - threshold.C) < 2.0 * se:
        flags.append("near_threshold")
    if second is not None and risk.se_b / size**2 > threshold.C / 10.0:
        flags.append("b_robust_noisy")
    accept = used <= threshold.C and enough
    verdict = Verdict(
        not risk.well_specified, first, second, used, used * size, se, reliable, bayes_error_lower(used, threshold.bound), accept, n1, n2,
        max_p(size, threshold.C),
    )  # fmt: skip
    return verdict, tuple(flags)


@dataclass(frozen=True)
class InformationCriteria:
    """They rank models; they do not say whether n suffices.

    Attributes
    ----------
    log_likelihood : float
    aic, tic, tic2 : float
        -2 l + 2 p, -2 l + 4 a, and with the second order of the optimism (NaN where it is not known).
    aicc : float or None
        None where n <= p + 1.
    """

    log_likelihood: float
    aic: float
    aicc: float | None
    tic: float
    tic2: float


def information_criteria(log_likelihood: float, p: int, n: int, sandwich: RiskExpansion) -> InformationCriteria:
    """Of a fit and its sandwich risk."""
    aic = -2.0 * log_likelihood + 2.0 * p
    tic = -2.0 * log_likelihood + 4.0 * sandwich.a
    return InformationCriteria(
        log_likelihood, aic, aic + 2.0 * p * (p + 1.0) / (n - p - 1.0) if n > p + 1 else None, tic, tic + 2.0 * sandwich.optimism / n
    )
