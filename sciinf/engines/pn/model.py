"""An exponential family and its data, and the fit by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.core.errors import ConfigError, DataTypeError, shown
from sciinf.core.parameter import check_name
from sciinf.engines.pn.closed import ClosedFamily
from sciinf.engines.pn.data import SufficientStatistics, counted
from sciinf.engines.pn.family import ExponentialFamily
from sciinf.engines.pn.moments import whitening_root
from sciinf.engines.pn.partition import is_exact

if TYPE_CHECKING:
    from pandas import DataFrame

    from sciinf.engines.pn.criterion import PNResult
    from sciinf.engines.pn.likelihood import ExponentialFamilyLikelihood
    from sciinf.engines.pn.likelihood_settings import LikelihoodSettings
    from sciinf.engines.pn.settings import PNSettings
    from sciinf.engines.pn.threshold import Bound

__all__ = ["ExponentialFamilyModel", "ExponentialFamilyResults", "parameter_names"]

FloatArray = NDArray[np.float64]


def parameter_names(family: ExponentialFamily) -> tuple[str, ...]:
    """Names by which theta is sampled: the family's own where it was given them and they may name parameters, else theta_1, theta_2, ...

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> parameter_names(families.Normal())
    ('theta_1', 'theta_2')
    """
    numbered = tuple(f"theta_{i + 1}" for i in range(family.p))
    if isinstance(family, ClosedFamily):  # its names are those of the statistics
        return numbered
    try:
        return tuple(check_name(name) for name in family.names or ())
    except ConfigError:
        return numbered


@dataclass(frozen=True, eq=False)
class ExponentialFamilyModel:
    """Observations of an exponential family.

    Parameters
    ----------
    family : ExponentialFamily
    data : (n,) or (n, dim) float64 array
        Observations, in the unit of the family's x.
    weights : (n,) array of integers, optional
        How often each occurred.

    Raises
    ------
    DataError
        If an observation is not finite or outside the support, or the weights are no counts.
    DataTypeError
        If the family is none.

    Examples
    --------
    >>> from sciinf.engines.pn import families
    >>> fit = ExponentialFamilyModel(families.Poisson(), [1, 3, 2, 2]).fit()
    >>> fit.params.round(6), fit.bse.round(6)  # ln 2, 1 / sqrt(4 * 2)
    (array([0.693147]), array([0.353553]))
    """

    family: ExponentialFamily
    data: FloatArray
    weights: ArrayLike | None = None
    n: int = field(init=False)
    _share: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.family, ExponentialFamily):
            raise DataTypeError(f"ExponentialFamilyModel: family must be an ExponentialFamily, got {shown(self.family)}")
        points = self.family.observed(self.data)
        points.setflags(write=False)
        n, share = counted(len(points), self.weights)
        for name, value in {"data": points, "n": n, "_share": share}.items():
            object.__setattr__(self, name, value)

    def sufficient(self) -> SufficientStatistics:
        """What the likelihood takes from the data."""
        return SufficientStatistics._of(self.family, self.data, self.n, self._share)

    def fit(self, seed: int = 0) -> ExponentialFamilyResults:
        """Estimate theta by maximum likelihood.

        Parameters
        ----------
        seed : int
            Of the draws of x, where psi is known in no exact way.

        Raises
        ------
        DataError
            If no maximum exists or the information is singular.
        ConvergenceError
            If Newton's method, or the one from draws, does not end.
        """
        statistics = self.family.evaluate(self.data)
        if is_exact(self.family):
            theta = self.family.fit_statistics(statistics, self._share)
            fisher = self.family.fisher(theta)
        else:
            from sciinf.engines.pn.references import fit_by_draws

            theta, fisher = fit_by_draws(self.family, statistics, self._share, self.n, seed)
        whitening_root(fisher, self.family.names or ())  # or an error that names what does not vary
        mean = self._share @ statistics
        centred = (statistics - mean) * np.sqrt(self._share)[:, None]
        return ExponentialFamilyResults(self, theta, fisher, centred.T @ centred)


@dataclass(frozen=True, eq=False)
class ExponentialFamilyResults:
    """A fit by maximum likelihood.

    Attributes
    ----------
    model : ExponentialFamilyModel
    params : (p,) float64 array
        theta_hat.
    fisher : (p, p) float64 array
        G, the information of one observation there.
    spread : (p, p) float64 array
        Covariance of the statistics in the data.
    """

    model: ExponentialFamilyModel
    params: FloatArray
    fisher: FloatArray
    spread: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters; see `parameter_names`."""
        return parameter_names(self.model.family)

    @property
    def nobs(self) -> int:
        """Observations."""
        return self.model.n

    @cached_property
    def cov(self) -> FloatArray:
        """Covariance of the estimate (p, p), the model true: (n G)^-1."""
        return np.asarray(np.linalg.inv(self.fisher) / self.nobs)

    @cached_property
    def cov_robust(self) -> FloatArray:
        """The sandwich (p, p): G^-1 Sigma G^-1 / n, which holds for a wrong model too."""
        return np.asarray(self.nobs * self.cov @ self.spread @ self.cov)

    @property
    def bse(self) -> FloatArray:
        """Standard errors (p,), the model true."""
        return np.asarray(np.sqrt(np.diag(self.cov)))

    @property
    def bse_robust(self) -> FloatArray:
        """Standard errors (p,) by the sandwich."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.cov_robust), 0.0)))

    def conf_int(self, alpha: float = 0.05) -> FloatArray:
        """Normal intervals (p, 2) of level 1 - alpha by `bse`.

        Raises
        ------
        ConfigError
            If alpha does not lie in (0, 1).
        """
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0.0 < alpha < 1.0:
            raise ConfigError(f"conf_int: alpha must lie in (0, 1), got {shown(alpha)}")
        half = float(special.ndtri(1.0 - 0.5 * alpha)) * self.bse
        return np.column_stack([self.params - half, self.params + half])

    @cached_property
    def log_likelihood(self) -> float:
        """Ln L at the estimate.

        Raises
        ------
        DataError
            If psi is known in no exact way; a likelihood by draws (`to_engine`) has it then.
        """
        found = self.model.sufficient()
        value = float(self.params @ found.mean) - self.model.family.log_partition(self.params)
        return self.nobs * value + found.log_base

    def pn(
        self, delta: float = 0.05, bound: Bound = "pinsker", robust: bool = True, settings: PNSettings | None = None
    ) -> PNResult:  # fmt: skip
        """`pn_criterion` of this family and these data; same options."""
        from sciinf.engines.pn.criterion import pn_criterion

        model = self.model
        return pn_criterion(model.family, model.data, weights=model.weights, delta=delta, bound=bound, robust=robust, settings=settings)

    def to_engine(self, settings: LikelihoodSettings | None = None) -> ExponentialFamilyLikelihood:
        """The likelihood of these data, for emcee and dynesty. The criterion's result travels with it into ``Posterior.meta``.

        Raises
        ------
        ConfigError, ConvergenceError
            See `ExponentialFamilyLikelihood`.
        """
        from sciinf.engines.pn.likelihood import ExponentialFamilyLikelihood

        return ExponentialFamilyLikelihood.of_fit(self, settings)

    def to_frame(self) -> DataFrame:
        """One row per parameter: statistic, estimate, se, robust se, and the ends of the 95 % interval."""
        import pandas as pd

        ends = self.conf_int()
        columns = {
            "statistic": list(self.model.family.names or ()), "estimate": self.params, "se": self.bse, "se_robust": self.bse_robust,
            "lower": ends[:, 0], "upper": ends[:, 1],
        }  # fmt: skip
        return pd.DataFrame(columns, index=list(self.names))

    def summary(self) -> str:
        """Estimates with both standard errors."""
        family, ends = self.model.family, self.conf_int()
        known = f", ln L = {self.log_likelihood:.4f}" if is_exact(family) else ""
        width = max(len(name) for name in (*self.names, "parameter"))
        wide = max(len(name) for name in (*(family.names or ()), "statistic"))
        lines = [
            f"{type(family).__name__}: n = {self.nobs}, p = {family.p}{known}",
            f"{'parameter':{width}s}  {'statistic':{wide}s} {'estimate':>12s} {'se':>10s} {'robust se':>10s} "
            f"{'2.5 %':>12s} {'97.5 %':>12s}",
        ]
        for row in zip(self.names, family.names or (), self.params, self.bse, self.bse_robust, *ends.T, strict=True):
            name, statistic, *numbers = row
            value, se, robust, low, high = numbers
            lines.append(f"{name:{width}s}  {statistic:{wide}s} {value:12.5g} {se:10.4g} {robust:10.4g} {low:12.5g} {high:12.5g}")
        lines.append("se and interval take the model as true; the robust se holds for a wrong one too.")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()
