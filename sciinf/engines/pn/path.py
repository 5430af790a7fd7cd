"""The criterion along a sequence of nested models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.pn.criterion import PNResult, pn_criterion
from sciinf.engines.pn.settings import PNSettings
from sciinf.engines.pn.threshold import Bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["PNPath", "pn_path"]

_ROUNDING = 1e-6  # of a log-likelihood, relative: by as much one of a larger model may fall short


@dataclass(frozen=True, eq=False)
class PNPath:
    """What `pn_path` found.

    Attributes
    ----------
    names : tuple of str
        Of the models, smallest first.
    results : tuple of PNResult
        In the same order.
    """

    names: tuple[str, ...]
    results: tuple[PNResult, ...]

    @property
    def largest_accepted(self) -> int | None:
        """Place of the accepted model with the most parameters, from 0; None where none is accepted."""
        accepted = [i for i, one in enumerate(self.results) if one.verdict.accept]
        return accepted[-1] if accepted else None

    def to_frame(self) -> DataFrame:
        """One row per model: p, log_likelihood, AIC, AICc, TIC, TIC2, ED1, ED2, accept."""
        import pandas as pd

        rows = []
        for one in self.results:
            criteria, verdict = one.information_criteria, one.verdict
            rows.append(
                {"p": one.p, "log_likelihood": criteria.log_likelihood, "AIC": criteria.aic, "AICc": criteria.aicc, "TIC": criteria.tic,
                 "TIC2": criteria.tic2, "ED1": verdict.ED1, "ED2": verdict.ED2, "accept": verdict.accept}
            )  # fmt: skip
        return pd.DataFrame(rows, index=list(self.names))

    def plot(self, ax: Axes | None = None) -> Figure:
        """Risk against p with the threshold, and the information criteria below it; with ``ax`` the risk alone.

        Raises
        ------
        MissingDependencyError
            If matplotlib is absent.
        """
        from sciinf.engines.pn.plots import path

        return path(self, ax)


def pn_path(
    models: Sequence[Any], data: ArrayLike | None = None, *, weights: ArrayLike | None = None, delta: float = 0.05,
    bound: Bound = "pinsker", robust: bool = True, settings: PNSettings | None = None, names: Sequence[str] | None = None,
) -> PNPath:  # fmt: skip
    """`pn_criterion` for nested models of the same data.

    Parameters
    ----------
    models : sequence of ExponentialFamily, or of fitted results of statsmodels
        Smallest first.
    data : (n,) or (n, dim) array
        For families; fitted results have their own.
    weights : (n,) array, optional
        Of a family's observations: how often each occurred.
    delta, bound, robust, settings
        As `pn_criterion`.
    names : sequence of str, optional
        Of the models; "p = 3" and so on by default.

    Returns
    -------
    PNPath

    Raises
    ------
    ConfigError
        If there is no model, if p does not grow from each to the next, or if names do not fit them.
    DataError
        If the models have not the same number of observations, or a larger one has a lower likelihood, so that they are not nested;
        else as `pn_criterion`.
    ConvergenceError, DataTypeError
        As `pn_criterion`.

    Examples
    --------
    >>> import numpy as np
    >>> from sciinf.engines.pn import families, RealLine
    >>> x = np.random.default_rng(7).normal(size=400)
    >>> path = pn_path([families.Normal(), families.PolynomialExponential(4, RealLine())], x)
    >>> path.to_frame()["p"].tolist(), path.largest_accepted
    ([2, 4], 1)
    """
    chosen = list(models)
    if not chosen:
        raise ConfigError("pn_path: at least one model is needed")
    results = tuple(
        pn_criterion(model, data, weights=weights, delta=delta, bound=bound, robust=robust, settings=settings) for model in chosen
    )
    labels = tuple(f"p = {one.p}" for one in results) if names is None else tuple(names)
    if len(labels) != len(results) or len(set(labels)) != len(labels) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"pn_path: names must be {len(results)} different texts, one for each model, got {shown(names)}")
    for before, after in pairwise(results):
        _check_nested(before, after)
    return PNPath(labels, results)


def _check_nested(before: PNResult, after: PNResult) -> None:
    if after.p <= before.p:
        raise ConfigError(
            f"pn_path: models must be nested, smallest first: {after.family} with p = {after.p} comes after {before.family} with "
            f"p = {before.p}"
        )
    if after.n != before.n:
        raise DataError(f"pn_path: models must be of the same data: {before.family} has n = {before.n}, {after.family} n = {after.n}")
    low, high = before.information_criteria.log_likelihood, after.information_criteria.log_likelihood
    if high < low - _ROUNDING * max(abs(low), 1.0):
        raise DataError(
            f"pn_path: {after.family} with p = {after.p} has a lower likelihood, ln L = {high:.6g}, than {before.family} with "
            f"p = {before.p}, {low:.6g}: the second is no special case of the first, or the data differ"
        )
