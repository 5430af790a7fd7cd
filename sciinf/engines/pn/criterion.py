"""The criterion: are n observations enough for p parameters?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataTypeError, shown
from sciinf.core.seeding import generator
from sciinf.engines.pn.adapters import FittedModel, from_statsmodels, is_statsmodels
from sciinf.engines.pn.bootstrap import BootstrapRisk, Replicates, family_replicates, summarised
from sciinf.engines.pn.data import counted
from sciinf.engines.pn.exact import exact_risk
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.glm import GeneralisedDesign, NormalDesign
from sciinf.engines.pn.moments import Contractions
from sciinf.engines.pn.parametric import ParametricModel
from sciinf.engines.pn.risk import RiskExpansion, expansion_of, jackknife_error, risk_expansion
from sciinf.engines.pn.settings import PNSettings
from sciinf.engines.pn.threshold import Bound
from sciinf.engines.pn.truths import TruthSample
from sciinf.engines.pn.verdict import InformationCriteria, Threshold, Verdict, information_criteria, judged

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Influence", "PNResult", "pn_criterion"]

FloatArray = NDArray[np.float64]

_BLOCKS = 20
_TOP = 5  # rows named
_INFLUENTIAL = 0.25  # of the trace


@dataclass(frozen=True)
class Influence:
    """The rows that carry most of the sandwich's trace: numbers from 0, and their shares of it."""

    rows: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PNResult:
    """What `pn_criterion` found.

    Attributes
    ----------
    family : str
        Of the model.
    p, n : int
        Parameters, and units.
    unit : str
        "row" or "trial".
    risk_model, risk_sandwich : RiskExpansion
        With the model taken as true, and with the truth as the data show it.
    threshold : Threshold
    verdict, verdict_model, verdict_sandwich : Verdict
        The first is one of the others, by ``robust``.
    information_criteria : InformationCriteria
    influence : Influence
    flags : tuple of str
        Of the verdict; each is a sentence in `summary`.
    method : str
        "expansion", "exact": of the model's row, the sandwich has the expansion only, or "bootstrap".
    seed : int
        Of the bootstrap.
    bootstrap : pair of BootstrapRisk, optional
        Of the model and of the sandwich.
    """

    family: str
    p: int
    n: int
    unit: str
    risk_model: RiskExpansion
    risk_sandwich: RiskExpansion
    threshold: Threshold
    verdict_model: Verdict
    verdict_sandwich: Verdict
    robust: bool
    information_criteria: InformationCriteria
    influence: Influence
    flags: tuple[str, ...]
    method: str
    seed: int = 0
    bootstrap: tuple[BootstrapRisk, BootstrapRisk] | None = None

    @property
    def verdict(self) -> Verdict:
        """The one that was asked for."""
        return self.verdict_sandwich if self.robust else self.verdict_model

    def summary(self) -> str:
        """In words and two tables."""
        from sciinf.engines.pn.summary import in_words

        return in_words(self)

    def __str__(self) -> str:
        return self.summary()

    def to_frame(self) -> DataFrame:
        """One row per risk: a, b, ED1, ED2, ED_used, reliable, er_lower, n_required_1, n_required_2, accept."""
        import pandas as pd

        rows = [self._row(risk, verdict) for risk, verdict in self._pairs()]
        return pd.DataFrame(rows, index=["model", "sandwich"])

    def _pairs(self) -> tuple[tuple[RiskExpansion, Verdict], ...]:
        return (self.risk_model, self.verdict_model), (self.risk_sandwich, self.verdict_sandwich)

    @staticmethod
    def _row(risk: RiskExpansion, verdict: Verdict) -> dict[str, Any]:
        return {
            "a": risk.a, "b": risk.b if risk.has_second_order else None, "ED1": verdict.ED1, "ED2": verdict.ED2, "ED_used": verdict.ED_used,
            "se": verdict.se, "reliable": verdict.reliable, "er_lower": verdict.er_lower, "n_required_1": verdict.n_required_1,
            "n_required_2": verdict.n_required_2, "accept": verdict.accept,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        criteria = {name: _plain(value) for name, value in vars(self.information_criteria).items()}
        return {
            "family": self.family, "p": self.p, "n": self.n, "unit": self.unit, "method": self.method, "seed": self.seed,
            "bootstrap": None if self.bootstrap is None else [{k: _plain(v) for k, v in vars(item).items()} for item in self.bootstrap],
            "robust": self.robust, "accept": self.verdict.accept, "flags": list(self.flags),
            "threshold": {"delta": self.threshold.delta, "bound": self.threshold.bound, "C": self.threshold.C},
            "model": {name: _plain(value) for name, value in self._row(self.risk_model, self.verdict_model).items()},
            "sandwich": {name: _plain(value) for name, value in self._row(self.risk_sandwich, self.verdict_sandwich).items()},
            "information_criteria": criteria,
            "influence": {"rows": list(self.influence.rows), "shares": list(self.influence.shares)},
        }  # fmt: skip


def _plain(value: Any) -> Any:
    """Numbers that JSON has: NaN and infinity become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, eq=False)
class _Case:
    """A model with its data, whatever it came from."""

    label: str
    n: int
    model: RiskExpansion
    sandwich: RiskExpansion
    log_likelihood: float
    flags: tuple[str, ...]
    exact: float | None  # of a true model, per unit
    replicates: Callable[[PNSettings], tuple[Replicates, Replicates]]  # of data from the model, and resampled
    units: float = 1.0  # of a total risk


def pn_criterion(
    model_or_fitted: Any, data: ArrayLike | None = None, *, weights: ArrayLike | None = None, delta: float = 0.05, bound: Bound = "pinsker",
    robust: bool = True, settings: PNSettings | None = None,
) -> PNResult:  # fmt: skip
    """Whether n observations afford the model's p parameters.

    Parameters
    ----------
    model_or_fitted : ExponentialFamily, ParametricModel, or a fitted result of statsmodels
        Of GLM, the discrete Logit or Poisson, or OLS.
    data : (n,) or (n, dim) array
        For a family or a ParametricModel; a fitted result has its own.
    weights : (n,) array, optional
        Of a family's observations: how often each occurred.
    delta : float
        By how much the expected Bayes error of telling the plug-in density from the model's best one may fall short of 1/2.
    bound : {"pinsker", "tight"}
        Of the total variation by the divergence, see `kl_threshold`.
    robust : bool
        Judge by the sandwich, which holds for a wrong model too, or by the risk of a true model; both are computed.
    settings : PNSettings, optional

    Returns
    -------
    PNResult

    Raises
    ------
    ConfigError
        If an option is wrong, or data are missing or given twice.
    DataError
        If data are malformed or the maximum-likelihood estimate does not exist.
    DataTypeError
        If the model is of an unsupported class.
    ConvergenceError
        If a fit has not converged.

    Notes
    -----
    The model is accepted where its estimation risk, the expected divergence KL[best of the model | plug-in], is at most C: then the two
    are hard to tell apart from one observation. It says nothing of how far the best of the model is from the truth; AIC and TIC, which
    rank models and do not say whether n suffices, stand beside it for that.

    References
    ----------
    Y. Sheena, arXiv:2105.08947: the idea; threshold and verdict are this package's definition.

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> x = np.random.default_rng(1).normal(size=200)
    >>> result = pn_criterion(families.Normal(), x)
    >>> result.verdict.accept, result.verdict_model.n_required_2
    (True, 55)
    """
    chosen = settings or PNSettings()
    if not isinstance(robust, bool):
        raise ConfigError(f"pn: robust must be True or False, got {shown(robust)}")
    threshold = Threshold.of(delta, bound)
    case = _case(model_or_fitted, data, weights, chosen)
    known: list[tuple[float, float] | None] = [None, None]
    flags, refits = list(case.flags), None
    if chosen.method == "exact":
        if case.exact is None:
            raise ConfigError(f"pn: no exact risk is known for {case.label}: take method 'expansion'")
        known[0] = (case.exact, 0.0)
    if chosen.method == "bootstrap":
        simulated, resampled = case.replicates(chosen)
        refits = summarised(simulated, units=case.units), summarised(resampled, units=case.units)
        sampled = math.hypot(case.sandwich.se_a / case.n, case.sandwich.se_b / case.n**2)  # of the data that the sandwich is made of
        known = [(refits[0].ed, refits[0].se), (refits[1].ed, math.hypot(refits[1].se, sampled if math.isfinite(sampled) else 0.0))]
        flags += ["conditional_on_existence"] if refits[int(robust)].n_failed else []
    judged_model, flags_model = judged(case.model, case.n, threshold, order=chosen.order, known=known[0])
    judged_sandwich, flags_sandwich = judged(case.sandwich, case.n, threshold, order=chosen.order, known=known[1])
    influence = _influence(case.sandwich)
    flags += flags_sandwich if robust else flags_model
    if influence.shares and influence.shares[0] > _INFLUENTIAL:
        flags.append("influential_rows")
    return PNResult(
        case.label, case.model.p, case.n, chosen.unit, case.model, case.sandwich, threshold, judged_model, judged_sandwich, robust,
        information_criteria(case.log_likelihood, case.model.p, case.n, case.sandwich), influence, tuple(dict.fromkeys(flags)),
        chosen.method if chosen.method in ("exact", "bootstrap") else "expansion", chosen.seed, refits,
    )  # fmt: skip


def _case(model: Any, data: ArrayLike | None, weights: ArrayLike | None, settings: PNSettings) -> _Case:
    if isinstance(model, ExponentialFamily | ParametricModel):
        if settings.unit != "row":
            raise ConfigError("pn: a family's observations are rows: leave unit out")
        if data is None:
            raise ConfigError(f"pn: {type(model).__name__} needs data: pn_criterion(family, data)")
        if isinstance(model, ExponentialFamily):
            return _of_family(model, data, weights, settings)
        if weights is not None:
            raise ConfigError("pn: a ParametricModel takes no weights: repeat the observations")
        return _of_parametric(model, data)
    if is_statsmodels(model):
        if data is not None or weights is not None:
            raise ConfigError("pn: a fitted result holds its data and weights: leave data and weights out")
        return _of_fitted(from_statsmodels(model), settings)
    raise DataTypeError(
        "pn: the model must be an ExponentialFamily, a ParametricModel or a fitted GLM, discrete Logit or Poisson, or OLS result of "
        f"statsmodels, got {shown(model)}"
    )


def _of_family(family: ExponentialFamily, data: ArrayLike, weights: ArrayLike | None, settings: PNSettings) -> _Case:
    points = family.observed(data)
    n, share = counted(len(points), weights)
    sandwich = risk_expansion(family, TruthSample(points, share), settings=settings.cumulants)
    model = risk_expansion(family, None, sandwich.theta, settings.cumulants)
    log_likelihood = n * float(share @ family.log_density(points, sandwich.theta))
    exact = exact_risk(family, sandwich.theta, n) if settings.method == "exact" else None
    flags = ("draws_optimistic_se",) if "draws" in (model.method, sandwich.method) else ()

    def replicates(chosen: PNSettings) -> tuple[Replicates, Replicates]:
        one, other = _generators(chosen)
        truth = family.evaluate(points), share
        return (
            family_replicates(family, sandwich.theta, n, chosen.n_bootstrap, one),
            family_replicates(family, sandwich.theta, n, chosen.n_bootstrap, other, truth),
        )

    return _Case(type(family).__name__, n, model, sandwich, log_likelihood, flags, exact, replicates)


def _generators(settings: PNSettings) -> tuple[np.random.Generator, np.random.Generator]:
    """For simulated and for resampled data."""
    return generator(settings.seed, "pn.bootstrap"), generator(settings.seed, "pn.bootstrap/data")


def _first_order_only(theta: FloatArray, trace: float, shares: FloatArray) -> tuple[RiskExpansion, RiskExpansion]:
    p, nan = float(len(theta)), math.nan
    return (
        expansion_of(theta, Contractions(p, nan, nan, nan, nan), "closed", well_specified=True),
        expansion_of(theta, Contractions(trace, nan, nan, nan, nan), "closed", well_specified=False, shares=shares),
    )


def _of_parametric(model: ParametricModel, data: ArrayLike) -> _Case:
    x = model.observations(data)
    theta = model.estimate(x)
    first = model.first_order(x, theta)
    true, sandwich = _first_order_only(theta, first.trace, first.shares)
    log_likelihood = float(np.sum(np.asarray(model.logpdf(x, theta))))
    flags = ("first_order_only", *(("information_observed",) if first.observed else ()))

    def replicates(chosen: PNSettings) -> tuple[Replicates, Replicates]:
        one, other = _generators(chosen)
        return model.simulated(theta, len(x), chosen.n_bootstrap, one), model.resampled(x, chosen.n_bootstrap, other)

    return _Case(type(model).__name__, len(x), true, sandwich, log_likelihood, flags, None, replicates)


def _of_fitted(fitted: FittedModel, settings: PNSettings) -> _Case:
    rows = fitted.n_rows
    n = rows if settings.unit == "row" else fitted.n_trials
    design = fitted.design

    def replicates(chosen: PNSettings) -> tuple[Replicates, Replicates]:
        one, other = _generators(chosen)
        return fitted.refits.simulated(chosen.n_bootstrap, one), fitted.refits.resampled(chosen.n_bootstrap, other)

    if design is None:
        assert fitted.first_order is not None
        model, sandwich = _first_order_only(fitted.params, *fitted.first_order)
        return _Case(fitted.label, round(n), model, sandwich, fitted.log_likelihood, fitted.flags, None, replicates, n)
    model = expansion_of(fitted.params, design.model(), "closed", well_specified=True, scale=n)
    sandwich = expansion_of(fitted.params, design.sandwich(), "closed", well_specified=False, scale=n, shares=design.shares())
    se_a, se_b = _design_error(design, len(fitted.params), n)
    sandwich = replace(sandwich, se_a=se_a, se_b=se_b)
    exact = design.exact() / n if isinstance(design, NormalDesign) else None
    return _Case(fitted.label, round(n), model, sandwich, fitted.log_likelihood, fitted.flags, exact, replicates, n)


def _design_error(design: GeneralisedDesign | NormalDesign, p: int, n: float) -> tuple[float, float]:
    """Of a and b: blocks of rows left out of the sums over residuals, the fit and the design held."""
    rows = len(design.residual)
    block = np.arange(rows) % min(_BLOCKS, rows)
    values = []
    for k in range(int(block.max()) + 1):
        terms = design.sandwich(block != k)
        values.append((0.5 * terms.trace, n * terms.b))
    error = jackknife_error(np.array(values))
    return float(error[0]), float(error[1])


def _influence(sandwich: RiskExpansion) -> Influence:
    if sandwich.shares is None:
        return Influence((), ())
    total = float(sandwich.shares.sum())
    first: Sequence[int] = np.argsort(-sandwich.shares, kind="stable")[:_TOP].tolist()
    return Influence(tuple(int(i) for i in first), tuple(float(sandwich.shares[i]) / total for i in first))
