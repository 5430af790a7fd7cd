"""Regression discontinuity with a distribution as each unit's outcome: the data, and how an effect curve is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.errors import ConfigError, DataError, shown
from sciinf.engines.r3d import bandwidth as rules
from sciinf.engines.r3d import compat
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.covariance import check_cov_type
from sciinf.engines.r3d.data import FrameColumns, RaggedSample, as_labels, columns_of, join_units, real_column
from sciinf.engines.r3d.extract import UnitQuantiles
from sciinf.engines.r3d.fitting import estimate
from sciinf.engines.r3d.local_polynomial import Side, side_of
from sciinf.engines.r3d.projection import cell_weights
from sciinf.engines.r3d.results import R3DResults
from sciinf.engines.r3d.settings import CovType, R3DSettings, one_of

__all__ = ["R3D"]

FloatArray = NDArray[np.float64]

_RULES = ("imse", "mse", "rot")
_SAME_LEVEL = 1e-12


@dataclass(frozen=True, eq=False)
class R3D:
    """Data of a discontinuity design whose outcome is a sample of values in each unit.

    Parameters
    ----------
    x : (n,) float64 array
        Running variable of each unit.
    outcomes : RaggedSample, UnitQuantiles or list of (n_i,) arrays
        Values of each unit, or their quantiles, in the order of ``x``.
    cutoff : float
        Where treatment starts, unit of ``x``; a unit exactly there is treated.
    treatment : (n,) array, optional
        Share treated in [0, 1]; makes the design fuzzy.
    cluster : (n,) array of labels, optional
        Units that are not independent.
    settings : R3DSettings
        Options.

    Raises
    ------
    DataTypeError
        If a column does not hold real numbers.
    DataError
        If lengths differ, a value is not finite, a side has no unit or, with clusters, fewer than two of them, the treatment is outside
        [0, 1] or constant, or the levels of the settings are not among those of given quantiles.

    Notes
    -----
    The effect is the local average quantile treatment effect, tau(q) = lim E[Q(q) given X from above] - lim from below at the cutoff;
    fuzzy, over the jump of the treatment: definitions 1 and 2 of Van Dijcke, arXiv:2504.03992.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(-1.0, 1.0, 300)
    >>> outcomes = [rng.normal(u + 2.0 * (u >= 0.0), 1.0, 40) for u in x]
    >>> fit = R3D(x, outcomes, settings=R3DSettings(q_grid=(0.25, 0.5, 0.75))).fit(bandwidth=0.6)
    >>> bool(np.all(np.abs(fit.params - 2.0) < 4.0 * fit.bse))
    True
    """

    x: FloatArray
    outcomes: RaggedSample | UnitQuantiles
    cutoff: float = 0.0
    treatment: FloatArray | None = None
    cluster: NDArray[Any] | None = None
    settings: R3DSettings = R3DSettings()

    def __post_init__(self) -> None:
        if not isinstance(self.settings, R3DSettings):
            raise ConfigError(f"R3D: settings must be R3DSettings, got {shown(self.settings)}")
        outcomes: Any = self.outcomes
        if not isinstance(outcomes, (RaggedSample, UnitQuantiles)):
            object.__setattr__(self, "outcomes", RaggedSample.from_list(outcomes))
        n, labels = self.outcomes.n_units, self.labels
        object.__setattr__(
            self, "x", real_column("running variable", self.x, length=n, labels=labels if len(labels) == len(np.ravel(self.x)) else None)
        )
        object.__setattr__(self, "cutoff", self._real_cutoff())
        for sign, name in ((1, "plus"), (-1, "minus")):
            if not (self._centred >= 0.0 if sign > 0 else self._centred < 0.0).any():
                raise DataError(
                    f"no unit on the {name} side of the cutoff {self.cutoff:g}: the running variable runs from {self.x.min():g} to "
                    f"{self.x.max():g}. Is the cutoff in the unit of the running variable?"
                )
        if self.treatment is not None:
            object.__setattr__(self, "treatment", self._checked_treatment())
        if self.cluster is not None:
            object.__setattr__(self, "cluster", self._checked_clusters())

    def _real_cutoff(self) -> float:
        value = np.asarray(self.cutoff)
        if value.ndim != 0 or value.dtype.kind not in "fiu" or not np.isfinite(value):
            raise ConfigError(f"R3D: cutoff must be a finite number, in the unit of the running variable; got {shown(self.cutoff)}")
        return float(value)

    def _checked_treatment(self) -> FloatArray:
        share = real_column("treatment", self.treatment, length=len(self.x), labels=self.labels)  # type: ignore[arg-type]
        outside = np.flatnonzero((share < 0.0) | (share > 1.0))
        if len(outside):
            raise DataError(
                f"treatment must lie in [0, 1]; unit {self.labels[outside[0]]} has {share[outside[0]]:g} ({len(outside)} such units)"
            )
        if np.ptp(share) == 0.0:
            raise DataError(
                f"treatment is {share[0]:g} in every unit: a fuzzy design needs one that changes. For a sharp design leave treatment out"
            )
        return share

    def _checked_clusters(self) -> NDArray[Any]:
        names = as_labels("cluster", self.cluster)  # type: ignore[arg-type]
        if len(names) != len(self.x):
            raise DataError(f"cluster must have one label for each of the {len(self.x)} units, got {len(names)}")
        for side, where in (("plus", self._centred >= 0.0), ("minus", self._centred < 0.0)):
            if (count := len(np.unique(names[where]))) < 2:
                raise DataError(f"the {side} side has {count} cluster; a clustered covariance needs at least 2 on each side")
        return names

    @classmethod
    def from_frame(
        cls, observations: Any, units: Any, cutoff: float = 0.0, *, columns: FrameColumns | None = None, settings: R3DSettings | None = None
    ) -> R3D:
        """Model of two tables: one row per value, and one row per unit; data frames or dictionaries of columns, rows in any order.

        Parameters
        ----------
        observations : data frame or dict of arrays
            Columns ``columns.unit``, ``columns.value`` and, where named, ``columns.weight``.
        units : data frame or dict of arrays
            Columns ``columns.unit``, ``columns.running_variable`` and, where named, ``columns.treatment`` and ``columns.cluster``.
        cutoff : float
            Unit of the running variable.
        columns : FrameColumns, optional
            Names of the columns.
        settings : R3DSettings, optional
            Options.

        Raises
        ------
        ConfigError
            If a column is missing; names the nearest.
        DataError, DataTypeError
            If a unit is in one table only (either way) or twice in ``units``, or as the class.
        """
        columns = FrameColumns() if columns is None else columns
        if not isinstance(columns, FrameColumns):
            raise ConfigError(f"R3D: columns must be FrameColumns, got {shown(columns)}")
        long = columns_of(observations, "observations", {"unit": columns.unit, "value": columns.value, "weight": columns.weight})
        wide = columns_of(
            units,
            "units",
            {"unit": columns.unit, "x": columns.running_variable, "treatment": columns.treatment, "cluster": columns.cluster},
        )
        sample = RaggedSample.from_long(long["unit"], long["value"], long.get("weight"))
        sample = join_units(sample, as_labels("unit", wide["unit"]))
        return cls(wide["x"], sample, cutoff, wide.get("treatment"), wide.get("cluster"), settings or R3DSettings())

    @classmethod
    def from_quantiles(
        cls, x: ArrayLike, quantiles: ArrayLike, counts: ArrayLike | None = None, *, cutoff: float = 0.0,
        treatment: ArrayLike | None = None, cluster: ArrayLike | None = None, settings: R3DSettings | None = None,
    ) -> R3D:  # fmt: skip
        """Model of quantiles (n, n_q) at the levels of the settings, extracted before; ``counts`` (n,) are the units' sizes, if known.

        Raises
        ------
        DataError, DataTypeError
            If a row is not nondecreasing, or as the class.
        """
        settings = settings or R3DSettings()
        table = UnitQuantiles.of(quantiles, settings.q_grid, counts, settings.quantile_rule)
        return cls(x, table, cutoff, treatment, cluster, settings)  # type: ignore[arg-type]

    @property
    def labels(self) -> NDArray[Any]:
        """Names of the units, (n,)."""
        assert self.outcomes.labels is not None
        return self.outcomes.labels

    @property
    def _centred(self) -> FloatArray:
        return self.x - self.cutoff

    @cached_property
    def quantiles(self) -> FloatArray:
        """Quantiles of each unit at the levels of the settings, (n, n_q), outcome's unit."""
        levels = self.settings.levels
        if isinstance(self.outcomes, RaggedSample):
            return self.outcomes.quantiles(levels, self.settings.quantile_rule)
        if self.outcomes.rule != self.settings.quantile_rule:
            raise ConfigError(
                f"R3D: the quantiles given are of the rule '{self.outcomes.rule}', the settings ask for '{self.settings.quantile_rule}'"
            )
        places = np.clip(np.searchsorted(self.outcomes.q_grid, levels - _SAME_LEVEL), 0, len(self.outcomes.q_grid) - 1)
        absent = np.abs(self.outcomes.q_grid[places] - levels) > _SAME_LEVEL
        if absent.any():
            raise DataError(f"the quantiles given do not hold the levels {', '.join(f'{q:g}' for q in levels[absent][:5])} of the settings")
        return np.ascontiguousarray(self.outcomes.quantiles[:, places])

    def sides(self) -> tuple[Side, Side]:
        """Plus and minus side of the cutoff."""
        return side_of(self._centred, 1, self.labels), side_of(self._centred, -1, self.labels)

    def select_bandwidth(
        self,
        bandwidth: str | float | ArrayLike = "imse",
        bandwidth_den: float | None = None,
        regularise: bool = True,
        coverage_rule: bool = False,
    ) -> BandwidthInfo:
        """Bandwidths of outcome and, in a fuzzy design, of treatment.

        Parameters
        ----------
        bandwidth : {"imse", "mse", "rot"}, float or (n_q,) array
            "imse": one that minimises the error integrated over levels. "mse": one per level (method "simple"). "rot": 1.06 sd n^(-1/5).
            Or numbers, in the unit of the running variable.
        bandwidth_den : float, optional
            Of the treatment. Default: by the same rule; where one number is given for the outcome, that number.
        regularise : bool
            Add the variance of the estimated bias to its square: without it the optimum diverges where both sides curve alike.
        coverage_rule : bool
            Shrink a chosen bandwidth to the rate that is best for coverage.

        Raises
        ------
        ConfigError
            If the rule is not known or does not fit the method, or a number is not positive.
        DataError
            If a side has too few units for the estimate.
        """
        m, n = self.settings.n_q, len(self.x)
        given = self._given(bandwidth)
        if given is None:
            if not regularise and (bandwidth == "rot" or self.settings.compat is not None):
                raise ConfigError("R3D: 'rot' and the selector of compat='R3D' have no regularisation to leave out: leave regularise out")
            info = self._chosen(str(bandwidth), self.quantiles_for_bandwidth, regularise)
        elif coverage_rule or not regularise:
            raise ConfigError("R3D: coverage_rule and regularise are of chosen bandwidths; with a bandwidth that is given leave them out")
        else:
            info = rules.fixed(given, m)
        den = None
        if self.treatment is None:
            if bandwidth_den is not None:
                raise ConfigError(
                    "R3D: bandwidth_den is of the treatment, and there is none: give R3D(..., treatment=...), or leave it out"
                )
        elif bandwidth_den is not None:
            if np.ndim(bandwidth_den) != 0:
                raise ConfigError(f"R3D: bandwidth_den must be one number, got {shown(bandwidth_den)}")
            den = rules.fixed(self._positive("bandwidth_den", bandwidth_den), 1)
        elif given is None:
            den = self._chosen("rot" if bandwidth == "rot" else "imse", self.treatment[:, None], regularise)
        elif len(given) == 1:
            den = rules.fixed(given, 1)
        else:
            raise ConfigError("R3D: with a bandwidth for each level, give bandwidth_den for the treatment as well")
        if coverage_rule:
            factor = rules.coverage_factor(n, self.settings.s)
            info = replace(info, h=info.h * factor)
            den = None if den is None else replace(den, h=den.h * factor) if den.rule != "given" else den
        return replace(info, denominator=den)

    @property
    def quantiles_for_bandwidth(self) -> FloatArray:
        """The fit's own quantiles; in compatible fits those of unweighted samples."""
        if self.settings.compat is None or not isinstance(self.outcomes, RaggedSample):
            return self.quantiles
        return self.outcomes.unweighted().quantiles(self.settings.levels, "type7")

    def _given(self, bandwidth: Any) -> FloatArray | None:
        """A bandwidth in numbers as (1,) or (n_q,), or None where it is a rule."""
        if isinstance(bandwidth, str):
            one_of("bandwidth", bandwidth, _RULES)
            if bandwidth == "mse" and self.settings.method == "frechet":
                raise ConfigError("R3D: method 'frechet' takes one bandwidth for all levels, so not 'mse': take 'imse', 'rot' or a number")
            return None
        values = self._positive("bandwidth", bandwidth)
        if np.ndim(bandwidth) == 0:
            return values
        if self.settings.method == "frechet":
            raise ConfigError(f"R3D: method 'frechet' takes one bandwidth for all levels, got {len(values)} numbers")
        if len(values) != self.settings.n_q:
            raise ConfigError(f"R3D: bandwidth must be one number or one for each of the {self.settings.n_q} levels, got {len(values)}")
        return values

    @staticmethod
    def _positive(name: str, value: Any) -> FloatArray:
        values = np.asarray(value)
        if values.dtype.kind not in "fiu" or values.ndim > 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
            raise ConfigError(f"R3D: {name} must be positive and finite (or a rule: {', '.join(_RULES)}), got {shown(value)}")
        return np.atleast_1d(values.astype(np.float64))

    def _chosen(self, rule: str, outcomes: FloatArray, regularise: bool) -> BandwidthInfo:
        sides, s, kernel, m = self.sides(), self.settings.s, self.settings.kernel, outcomes.shape[1]
        if rule == "rot":
            return rules.rule_of_thumb(sides, m, kernel)
        cells = cell_weights(self.settings.levels) if m > 1 else np.ones(1)
        if self.settings.compat is not None:
            return compat.plug_in(sides, outcomes, self.settings.levels, s, kernel, pooled=rule == "imse")
        return rules.plug_in(sides, outcomes, cells, s, kernel, pooled=rule == "imse", regularise=regularise)

    def fit(
        self, bandwidth: str | float | ArrayLike = "imse", bandwidth_den: float | None = None, cov_type: CovType | None = None,
        regularise: bool = True, coverage_rule: bool = False,
    ) -> R3DResults:  # fmt: skip
        """Estimate the effect curve.

        Parameters
        ----------
        bandwidth, bandwidth_den, regularise, coverage_rule
            See `select_bandwidth`.
        cov_type : {"HC0", "HC2", "HC3", "CR0", "CR1"}, optional
            Covariance. Default "HC3", with clusters "CR1".

        Returns
        -------
        R3DResults

        Raises
        ------
        ConfigError
            If options do not fit; see also `select_bandwidth`.
        DataError
            If fewer than p + 2 units of a side have weight at some level, the design is singular, a unit determines its own fit
            (HC2, HC3), or the treatment does not jump.

        Warns
        -----
        R3DWarning
            If units are too small for their number, the running variable has few distinct values, the first stage is weak, or the
            bandwidth is cut off at the data's range.
        """
        settings = self.settings
        cov = check_cov_type(cov_type, clustered=self.cluster is not None, compat=settings.compat is not None)
        return estimate(self, self.select_bandwidth(bandwidth, bandwidth_den, regularise, coverage_rule), cov)
