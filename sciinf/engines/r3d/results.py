"""What a fit found: the effect curve, its covariance, and everything that is computed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from sciinf.engines.r3d import inference
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.covariance import Contributions
from sciinf.engines.r3d.draws import Drawing, check_alpha
from sciinf.engines.r3d.gini import GiniResult, gini_test
from sciinf.engines.r3d.inference import AverageEffects, Band, Ranges, TestResult
from sciinf.engines.r3d.projection import count_moved
from sciinf.engines.r3d.settings import CovType, R3DSettings

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.engines.r3d.effect import R3DEffectEngine
    from sciinf.engines.r3d.effect_models import EffectModel

__all__ = ["R3DResults"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class R3DResults:
    """Estimates of one fit.

    Attributes
    ----------
    settings : R3DSettings
        What was asked.
    params : (n_q,) float64 array
        Effect tau(q), outcome's unit: of all units at the cutoff, or of compliers in a fuzzy design.
    m_plus, m_minus : (n_q,) float64 array
        Limits from above and below, projected or sorted.
    m_plus_raw, m_minus_raw : (n_q,) float64 array
        Before that.
    contributions : Contributions
        What each unit adds, from which every covariance follows.
    cov_type : {"HC0", "HC2", "HC3", "CR0", "CR1"}
        Covariance of ``bse`` and of all inference.
    bandwidth_info : BandwidthInfo
        Bandwidths and where they come from.
    nobs : int
        Units.
    n_eff : (int, int)
        Units within the bandwidth, plus and minus side.
    cutoff : float
        Unit of the running variable.
    denominator : float, optional
        Jump of the treatment, in a fuzzy design.
    first_stage_t : float, optional
        It over its standard error.
    notes : tuple of str
        What is doubtful, as warned when the fit was made.
    """

    settings: R3DSettings
    params: FloatArray
    m_plus: FloatArray
    m_minus: FloatArray
    m_plus_raw: FloatArray
    m_minus_raw: FloatArray
    contributions: Contributions
    cov_type: CovType
    bandwidth_info: BandwidthInfo
    nobs: int
    n_eff: tuple[int, int]
    cutoff: float
    denominator: float | None = None
    first_stage_t: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def q_grid(self) -> FloatArray:
        """Quantile levels, (n_q,)."""
        return self.settings.levels

    @property
    def active(self) -> IntArray:
        """Places of the units that count, increasing: (n_active,)."""
        return self.contributions.active

    @property
    def weights(self) -> FloatArray:
        """Weights s_i of the outcome's fit, (n_outcome, k), k = 1 or n_q; the units are ``contributions.outcome.rows``."""
        return self.contributions.outcome.weights

    @cached_property
    def influence(self) -> FloatArray:
        """Contributions A (n_active, n_q) to the effect, outcome's unit."""
        return self.contributions.influence(self.cov_type)

    @cached_property
    def _covariance(self) -> FloatArray:
        blocks = self.contributions.independent(self.influence)
        return blocks.T @ blocks

    def cov_params(self) -> FloatArray:
        """Covariance S of the effect curve, (n_q, n_q), outcome's unit squared."""
        return self._covariance.copy()

    @property
    def bse(self) -> FloatArray:
        """Standard errors, (n_q,), outcome's unit."""
        return np.asarray(np.sqrt(np.diag(self._covariance)))

    @property
    def tvalues(self) -> FloatArray:
        """Effect over standard error, (n_q,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.params / self.bse

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided normal p-values of each level by itself, (n_q,)."""
        return np.asarray(2.0 * special.ndtr(-np.abs(self.tvalues)))

    @property
    def nu_eff(self) -> float:
        """Effective degrees of freedom of the variance: (sum s^2)^2 / sum s^4, the smallest over bandwidths."""
        return float(self.contributions.freedom().min())

    @property
    def n_projected(self) -> tuple[int, int]:
        """Levels moved by the projection, plus and minus side: how far the raw quantile curves cross."""
        return count_moved(self.m_plus_raw, self.m_plus), count_moved(self.m_minus_raw, self.m_minus)

    @property
    def n_blocks(self) -> int:
        """Independent blocks among all units: units, or clusters."""
        cluster = self.contributions.cluster
        return self.nobs if cluster is None else int(cluster.max()) + 1

    def draw(self, drawing: Drawing, statistic: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """``statistic`` of draws (b, n_q) of the curve's error; see `Drawing.over`."""
        return drawing.over(self.contributions.independent(self.influence), self.contributions.blocks, self.n_blocks, statistic)

    def side_contributions(self) -> FloatArray:
        """Contributions to (``m_+``, ``m_-``) together, (n_independent, 2 n_q), outcome's unit; in a fuzzy design of the reduced form."""
        reduced, part = self.contributions.reduced_form(self.cov_type), self.contributions.outcome
        plus = np.zeros(len(self.active), dtype=np.bool_)
        plus[np.searchsorted(self.active, part.rows)] = part.plus
        both = np.concatenate([np.where(plus[:, None], reduced, 0.0), np.where(plus[:, None], 0.0, -reduced)], axis=1)
        return self.contributions.independent(both)

    def conf_int(self, alpha: float = 0.05, use_t: bool = False) -> FloatArray:
        """Interval of each level by itself, (n_q, 2): normal, or t with ``nu_eff`` degrees of freedom.

        Raises
        ------
        ConfigError
            If alpha is not inside (0, 1).
        """
        alpha = check_alpha(alpha)
        z = inference.quantile_of_error(alpha, self.nu_eff if use_t else None)
        return np.column_stack([self.params - z * self.bse, self.params + z * self.bse])

    def conf_band(
        self,
        alpha: float = 0.05,
        studentized: bool = False,
        n_draws: int = 4999,
        seed: int = 0,
        draws: str = "gaussian",
        xi: ArrayLike | None = None,
    ) -> Band:
        """Band that holds the whole curve with probability 1 - alpha.

        Parameters
        ----------
        alpha : float
            One less the level.
        studentized : bool
            Width proportional to the standard error, instead of constant.
        n_draws, seed, draws, xi
            See `Drawing`.

        Raises
        ------
        ConfigError
            If alpha is not inside (0, 1), or there are too few draws for it.

        Notes
        -----
        Section 3.2 of arXiv:2504.03992, with the exact law N(0, S) of its multiplier process in place of n x B multipliers.
        """
        return inference.uniform_band(self, alpha, studentized, Drawing(n_draws, seed, draws, xi))

    def test_nullity(
        self, ranges: Ranges = None, alpha: float = 0.05, studentized: bool = False, n_draws: int = 4999, seed: int = 0,
        draws: str = "gaussian", xi: ArrayLike | None = None,
    ) -> tuple[TestResult, ...]:  # fmt: skip
        """Test of tau(q) = 0 over each range (default: all levels), by sup abs(tau).

        Raises
        ------
        ConfigError
            If a range holds fewer than two levels, or as `conf_band`.
        """
        return inference.curve_test(self, ranges, alpha, studentized, Drawing(n_draws, seed, draws, xi), constant=False)

    def test_homogeneity(
        self, ranges: Ranges = None, alpha: float = 0.05, studentized: bool = False, n_draws: int = 4999, seed: int = 0,
        draws: str = "gaussian", xi: ArrayLike | None = None,
    ) -> tuple[TestResult, ...]:  # fmt: skip
        """Test of tau(q) being the same at all levels of each range, by sup abs(tau - its average).

        Raises
        ------
        ConfigError
            If a range holds fewer than two levels, or as `conf_band`.
        """
        return inference.curve_test(self, ranges, alpha, studentized, Drawing(n_draws, seed, draws, xi), constant=True)

    def gini_test(
        self, alpha: float = 0.05, n_draws: int = 4999, seed: int = 0, draws: str = "gaussian", xi: ArrayLike | None = None
    ) -> GiniResult:
        """Difference of the Gini coefficients of ``m_+`` and ``m_-``; in a fuzzy design that of the reduced form.

        Raises
        ------
        DataError
            If a mean is not positive, in the estimate or in more than 1 % of the draws.
        ConfigError
            If the fit has one level only, or as `conf_band`.
        """
        return gini_test(self, alpha, Drawing(n_draws, seed, draws, xi))

    def average_effect(
        self, ranges: Ranges = None, alpha: float = 0.05, simultaneous: bool = False, use_t: bool = False, n_draws: int = 4999,
        seed: int = 0, xi: ArrayLike | None = None,
    ) -> AverageEffects:  # fmt: skip
        """Average of the effect over each range of levels, with its own standard error and interval.

        Parameters
        ----------
        ranges : list of (low, high), or an increasing sequence of levels
            Default: all levels.
        alpha : float
            One less the level.
        simultaneous : bool
            Intervals that hold together, by the largest abs(t) over ranges.
        use_t : bool
            t with ``nu_eff`` degrees of freedom instead of the normal distribution.
        n_draws, seed, xi
            Of simultaneous intervals; see `Drawing`.

        Raises
        ------
        ConfigError
            If a range holds fewer than two levels, or both forms are asked for.
        """
        return inference.average_effect(self, ranges, alpha, simultaneous, use_t, Drawing(n_draws, seed, "gaussian", xi))

    def save(self, path: Path | str) -> None:
        """Write the fit to one HDF5 file, whole or not at all; `load` reads it to the bit.

        Raises
        ------
        DataError
            If the folder does not exist.
        """
        from sciinf.engines.r3d.storage import save_results

        save_results(self, path)

    @staticmethod
    def load(path: Path | str) -> R3DResults:
        """Read a fit that `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, not one of ours, or changed.
        """
        from sciinf.engines.r3d.storage import load_results

        return load_results(path)

    def summary(self, alpha: float = 0.05) -> str:
        """Options, effects, averages over quarters of the distribution with their own intervals, and what is doubtful."""
        from sciinf.engines.r3d.summary import summary_text

        return summary_text(self, check_alpha(alpha))

    def to_frame(self, alpha: float = 0.05) -> Any:
        """A pandas data frame with columns q, tau, se, lower, upper (pointwise), m_plus, m_minus, h: a row per level."""
        import pandas

        interval, h = self.conf_int(alpha), np.broadcast_to(self.bandwidth_info.h, (self.settings.n_q,))
        columns = (self.q_grid, self.params, self.bse, interval[:, 0], interval[:, 1], self.m_plus, self.m_minus, h)
        names = ("q", "tau", "se", "lower", "upper", "m_plus", "m_minus", "h")
        return pandas.DataFrame({name: np.array(column) for name, column in zip(names, columns, strict=True)})

    def plot_effect(self, band: Band | None = None, averages: AverageEffects | None = None, ax: Axes | None = None) -> Figure:
        """The effect with its band and pointwise intervals; see `sciinf.engines.r3d.plots.effect`."""
        from sciinf.engines.r3d import plots

        return plots.effect(self, band, averages, ax)

    def plot_sides(self, ax: Axes | None = None) -> Figure:
        """The two limits at the cutoff; see `sciinf.engines.r3d.plots.sides`."""
        from sciinf.engines.r3d import plots

        return plots.sides(self, ax)

    def plot_bandwidth(self, ax: Axes | None = None) -> Figure:
        """Bias, variance and their sum against the bandwidth; see `sciinf.engines.r3d.plots.bandwidth`."""
        from sciinf.engines.r3d import plots

        return plots.bandwidth(self, ax)

    def to_engine(
        self, model: str | EffectModel = "shift", q: ArrayLike | None = None, n_components: int | None = None,
        likelihood: str = "t", nu: float | None = None, cov_type: str | None = None,
    ) -> R3DEffectEngine:  # fmt: skip
        """A quasi-likelihood for the shape of the effect, for samplers.

        Parameters
        ----------
        model : {"shift", "location_scale", "tilt", "minus_scale", "log_scale"} or EffectModel
            The shape.
        q : sequence of float, optional
            Levels of the fit at which the curve is the data: 0.1, 0.3, 0.5, 0.7 and 0.9 where neither this nor ``n_components`` is given.
            Coarse on purpose: the covariance of a fine grid is singular.
        n_components : int, optional
            In place of ``q``: the leading 1 to 3 principal components of the whole curve.
        likelihood : {"t", "gaussian"}
            Multivariate t, or a normal that takes the covariance as known and warns.
        nu : float, optional
            Degrees of freedom of the covariance. Default ``nu_eff``.
        cov_type : str, optional
            Default "HC2", with clusters that of the fit.

        Raises
        ------
        ConfigError
            If an option is not known, a level is not one of the fit's, both ``q`` and ``n_components`` are given, or the fit is a
            compatible one.
        DataError
            If the covariance is singular or nu + 1 <= d.

        Warns
        -----
        R3DWarning
            If d > nu / 4, for the Gaussian form, and for shapes that take ``m_-`` as known.
        """
        from sciinf.engines.r3d.effect_statistic import effect_engine

        return effect_engine(self, model, q, n_components, likelihood, nu, cov_type)
