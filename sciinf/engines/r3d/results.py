"""What a fit found: the effect curve, its covariance, and everything that is computed from them."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import MissingDependencyError
from sciinf.engines.r3d import inference
from sciinf.engines.r3d.draws import Drawing, check_alpha
from sciinf.engines.r3d.estimates import Estimates
from sciinf.engines.r3d.gini import GiniResult, gini_test
from sciinf.engines.r3d.inference import AverageEffects, Band, Ranges, TestResult

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciinf.engines.r3d.effect import R3DEffectEngine
    from sciinf.engines.r3d.effect_models import EffectModel

__all__ = ["R3DResults"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class R3DResults(Estimates):
    """Results of `R3D.fit`: estimates and their covariance (`Estimates`), and all that follows from them.

    Intervals, bands and tests take ``alpha``, one less the level, and what they draw is said by ``n_draws``, ``seed``, ``draws`` and
    ``xi``, which `Drawing` describes; ``studentized`` divides by standard errors before a supremum is taken.

    Examples
    --------
    >>> from sciinf.engines.r3d import R3D, simulate
    >>> data = simulate.dgp1(300, 60, 2.0, np.random.default_rng(1))
    >>> fit = R3D(data.x, data.outcomes).fit(bandwidth=0.6)
    >>> band = fit.conf_band()
    >>> bool((band.lower < 2.0).all() and (band.upper > 2.0).all()), fit.test_nullity()[0].p_value < 0.05
    (True, True)
    """

    def conf_int(self, alpha: float = 0.05, use_t: bool = False) -> FloatArray:
        """Interval of each level by itself, (n_q, 2): normal, or t with ``nu_eff`` degrees of freedom.

        Raises
        ------
        ConfigError
            If alpha is not inside (0, 1).
        """
        alpha = check_alpha(alpha)
        z = inference.quantile_of_error(alpha, self.nu_eff if use_t else math.inf)
        return np.column_stack([self.params - z * self.bse, self.params + z * self.bse])

    def conf_band(
        self, alpha: float = 0.05, studentized: bool = False, n_draws: int = 4999, seed: int = 0, draws: str = "gaussian",
        xi: ArrayLike | None = None,
    ) -> Band:  # fmt: skip
        """Band that holds the whole curve with probability 1 - alpha: of constant width, or studentised in proportion to the error.

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
        seed: int = 0, draws: str = "gaussian", xi: ArrayLike | None = None,
    ) -> AverageEffects:  # fmt: skip
        """Average of the effect over each range of levels, with its own standard error and interval.

        Parameters
        ----------
        ranges : list of (low, high), or an increasing sequence of levels
            Default: all levels.
        simultaneous : bool
            Intervals that hold together, by the largest abs(t) over ranges.
        use_t : bool
            t with ``nu_eff`` degrees of freedom instead of the normal distribution.
        alpha, n_draws, seed, draws, xi
            As everywhere; draws are made for simultaneous intervals only.

        Raises
        ------
        ConfigError
            If a range holds fewer than two levels, or both forms are asked for.
        """
        return inference.average_effect(self, ranges, alpha, simultaneous, use_t, Drawing(n_draws, seed, draws, xi))

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

    def to_frame(self, alpha: float = 0.05, band: Band | None = None) -> Any:
        """A pandas data frame, a row per level.

        Columns: q, tau, se, lower, upper (pointwise), m_plus, m_minus, h; with ``band``, which holds for all levels, its ends too:
        band_lower, band_upper.
        """
        from sciinf.engines.r3d.summary import frame

        return frame(self, check_alpha(alpha), band)

    def manipulation_test(self) -> Any:
        """Whether units sort around the cutoff: ``rddensity.rddensity(X, c=cutoff)``, and what it returns (``.test`` holds the p-value).

        Raises
        ------
        MissingDependencyError
            If the package rddensity is not installed.
        """
        try:
            package = importlib.import_module("rddensity")
        except ImportError as error:
            raise MissingDependencyError(f"the test of manipulation needs rddensity ({error}): pip install rddensity") from error
        return package.rddensity(self.running_variable, c=self.cutoff)

    def plot_effect(self, band: Band | bool = True, averages: AverageEffects | None = None, ax: Axes | None = None) -> Figure:
        """The effect with its band (`conf_band` where none is given, none with False) and pointwise intervals; see `plots.effect`."""
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
